/* A request line, headers, a body. Strict where leniency would let two
 * readers disagree (lengths, line ends), lenient elsewhere. */
#include "tests/emulator/http1.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"

void http1_init(struct http1 *p)
{
    memset(p, 0, sizeof *p);
}

void http1_release(struct http1 *p)
{
    request_release(&p->req);
}

static void pair_add(struct http_pair **list, size_t *n, char *key, char *value)
{
    if (*n % 8 == 0)
        *list = xrealloc(*list, (*n + 8) * sizeof **list);
    (*list)[(*n)++] = (struct http_pair){key, value};
}

static void parse_query(struct http_request *r, const char *q)
{
    while (*q) {
        size_t n = strcspn(q, "&");
        size_t k = 0;
        while (k < n && q[k] != '=')
            k++;
        if (n)
            pair_add(&r->query, &r->query_count, percent_decode(q, k, true),
                     k < n ? percent_decode(q + k + 1, n - k - 1, true)
                           : xstrdup(""));
        q += n + (q[n] == '&');
    }
}

static bool parse_request_line(struct http1 *p, char *line)
{
    struct http_request *r = &p->req;

    char *target = strchr(line, ' ');
    if (!target || (size_t)(target - line) >= sizeof r->method)
        return false;
    *target++ = '\0';
    char *version = strchr(target, ' ');
    if (!version)
        return false;
    *version++ = '\0';

    if (strcmp(version, "HTTP/1.1") == 0)
        p->keep_alive = true;
    else if (strcmp(version, "HTTP/1.0") == 0)
        p->keep_alive = false;
    else
        return false;

    /* The absolute form, as sent to proxies. */
    if (strncasecmp(target, "http://", 7) == 0) {
        target = strchr(target + 7, '/');
        if (!target)
            return false;
    }
    if (*target != '/' || !*line)
        return false;
    for (const char *m = line; *m; m++)
        if (!isalpha((unsigned char)*m))
            return false;

    snprintf(r->method, sizeof r->method, "%s", line);
    r->target = xstrdup(target);
    size_t n = strcspn(target, "?#");
    r->path = xstrndup(target, n);
    if (target[n] == '?')
        parse_query(r, target + n + 1);
    return true;
}

static bool parse_header(struct http1 *p, char *line)
{
    char *colon = strchr(line, ':');
    if (!colon || colon == line)
        return false;
    for (char *k = line; k < colon; k++) {
        if (isspace((unsigned char)*k))
            return false;
        *k = (char)tolower((unsigned char)*k);
    }

    char *v = colon + 1;
    while (*v == ' ' || *v == '\t')
        v++;
    size_t n = strlen(v);
    while (n && (v[n - 1] == ' ' || v[n - 1] == '\t'))
        n--;
    pair_add(&p->req.headers, &p->req.header_count,
             xstrndup(line, (size_t)(colon - line)), xstrndup(v, n));
    return true;
}

static enum http1_result bad(struct http1 *p, int status)
{
    p->status = status;
    p->keep_alive = false;
    return HTTP1_BAD;
}

static bool has_token(const char *list, const char *token)
{
    size_t n = strlen(token);
    for (; list && *list; list += strcspn(list, ",")) {
        list += strspn(list, ", \t");
        if (strncasecmp(list, token, n) == 0 && strchr(", \t", list[n]))
            return true;
    }
    return false;
}

/* The length of the head with its empty line, or 0. */
static size_t head_length(const struct buf *in)
{
    const char *end = memmem(in->data, in->len, "\r\n\r\n", 4);
    return end ? (size_t)(end - in->data) + 4 : 0;
}

static enum http1_result read_head(struct http1 *p, struct buf *in)
{
    /* Empty lines before a request are forgiven. */
    while (in->len >= 2 && memcmp(in->data, "\r\n", 2) == 0)
        buf_consume(in, 2);
    if (!in->len)
        return HTTP1_MORE;

    size_t n = head_length(in);
    if (!n)
        return in->len > HTTP1_HEAD_MAX ? bad(p, 431) : HTTP1_MORE;
    if (n > HTTP1_HEAD_MAX)
        return bad(p, 431);
    if (memchr(in->data, '\0', n))
        return bad(p, 400);

    AUTO_STR char *head = xstrndup(in->data, n - 2);
    buf_consume(in, n);

    bool first = true;
    for (char *line = head; *line;) {
        char *end = strstr(line, "\r\n");
        *end = '\0';
        if (!(first ? parse_request_line(p, line) : parse_header(p, line)))
            return bad(p, 400);
        first = false;
        line = end + 2;
    }

    const char *connection = request_header(&p->req, "connection");
    if (has_token(connection, "close"))
        p->keep_alive = false;
    else if (has_token(connection, "keep-alive"))
        p->keep_alive = true;
    p->head_only = strcmp(p->req.method, "HEAD") == 0;

    const char *coding = request_header(&p->req, "transfer-encoding");
    const char *length = request_header(&p->req, "content-length");
    if (coding) {
        if (length || strcasecmp(coding, "chunked") != 0)
            return bad(p, length ? 400 : 501);
        p->state = HTTP1_CHUNK_SIZE;
    } else if (length) {
        uint64_t v;
        if (!str_to_u64(length, &v) || v > SIZE_MAX / 2)
            return bad(p, 400);
        p->remain = (size_t)v;
        p->too_large = v > HTTP1_BODY_MAX;
        p->state = HTTP1_LENGTH_BODY;
        if (!p->too_large)
            buf_reserve(&p->req.body, p->remain);
    } else {
        return HTTP1_DONE;
    }

    if (has_token(request_header(&p->req, "expect"), "100-continue"))
        return p->too_large ? bad(p, 413) : HTTP1_CONTINUE;
    return HTTP1_MORE;
}

/* What there is of the `remain` bytes goes to the body. */
static bool read_data(struct http1 *p, struct buf *in)
{
    size_t n = in->len < p->remain ? in->len : p->remain;
    if (p->req.body.len + n > HTTP1_BODY_MAX)
        p->too_large = true;
    if (!p->too_large)
        buf_add(&p->req.body, in->data, n);
    buf_consume(in, n);
    p->remain -= n;
    return p->remain == 0;
}

/* A line into out, without its end; false while it is not whole. */
static bool read_line(struct buf *in, char *out, size_t size)
{
    const char *end = in->len ? memmem(in->data, in->len, "\r\n", 2) : NULL;
    if (!end)
        return false;
    size_t n = (size_t)(end - in->data);
    snprintf(out, size, "%.*s", (int)n, in->data);
    buf_consume(in, n + 2);
    return true;
}

static enum http1_result finish(struct http1 *p)
{
    return p->too_large ? bad(p, 413) : HTTP1_DONE;
}

static enum http1_result step(struct http1 *p, struct buf *in)
{
    char line[256];

    switch (p->state) {
    case HTTP1_HEAD:
        return read_head(p, in);
    case HTTP1_LENGTH_BODY:
        return read_data(p, in) ? finish(p) : HTTP1_MORE;
    case HTTP1_CHUNK_SIZE: {
        if (!read_line(in, line, sizeof line))
            return in->len > sizeof line ? bad(p, 400) : HTTP1_MORE;
        char *end;
        unsigned long long v = strtoull(line, &end, 16);
        if (!isxdigit((unsigned char)*line) || (*end && *end != ';') ||
            v > SIZE_MAX / 2)
            return bad(p, 400);
        p->remain = (size_t)v;
        p->state = v ? HTTP1_CHUNK_DATA : HTTP1_TRAILER;
        return HTTP1_MORE;
    }
    case HTTP1_CHUNK_DATA:
        if (read_data(p, in))
            p->state = HTTP1_CHUNK_END;
        return HTTP1_MORE;
    case HTTP1_CHUNK_END:
        if (in->len < 2)
            return HTTP1_MORE;
        if (memcmp(in->data, "\r\n", 2) != 0)
            return bad(p, 400);
        buf_consume(in, 2);
        p->state = HTTP1_CHUNK_SIZE;
        return HTTP1_MORE;
    case HTTP1_TRAILER:
        if (!read_line(in, line, sizeof line))
            return in->len > HTTP1_HEAD_MAX ? bad(p, 431) : HTTP1_MORE;
        return *line ? HTTP1_MORE : finish(p);
    }
    return bad(p, 400);
}

enum http1_result http1_feed(struct http1 *p, struct buf *in)
{
    for (;;) {
        size_t before = in->len;
        enum http1_state state = p->state;
        enum http1_result r = step(p, in);
        if (r != HTTP1_MORE)
            return r;
        /* An empty body is whole without another byte; otherwise stop once
         * nothing moves. */
        if (in->len == before && p->state == state)
            return HTTP1_MORE;
    }
}
