/* Requests: looking into them, and letting go of them. */
#include "tests/emulator/http.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"

static void pair_add(struct http_pair **list, size_t *n, char *key, char *value)
{
    if (*n % 8 == 0)
        *list = xrealloc(*list, (*n + 8) * sizeof **list);
    (*list)[(*n)++] = (struct http_pair){key, value};
}

static void parse_query(struct http_request *r, const char *q)
{
    while (*q) {
        size_t n = strcspn(q, "&#");
        size_t k = 0;
        while (k < n && q[k] != '=')
            k++;
        if (n)
            pair_add(&r->query, &r->query_count, percent_decode(q, k, true),
                     k < n ? percent_decode(q + k + 1, n - k - 1, true)
                           : xstrdup(""));
        q += n;
        if (*q != '&')
            break;
        q++;
    }
}

void request_set_target(struct http_request *r, const char *target)
{
    /* The absolute form, as sent to proxies. */
    if (strncasecmp(target, "http://", 7) == 0) {
        const char *path = strchr(target + 7, '/');
        target = path ? path : "/";
    }
    r->target = xstrdup(target);
    size_t n = strcspn(target, "?#");
    r->path = xstrndup(target, n);
    if (target[n] == '?')
        parse_query(r, target + n + 1);
}

void request_add_header(struct http_request *r, const char *name,
                        const char *value)
{
    char *key = xstrdup(name);
    for (char *c = key; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    pair_add(&r->headers, &r->header_count, key, xstrdup(value));
}

const char *request_header(const struct http_request *r, const char *name)
{
    for (size_t i = 0; i < r->header_count; i++)
        if (strcasecmp(r->headers[i].key, name) == 0)
            return r->headers[i].value;
    return NULL;
}

const char *request_query_next(const struct http_request *r, const char *key,
                               size_t *at)
{
    while (*at < r->query_count) {
        const struct http_pair *p = &r->query[(*at)++];
        if (strcmp(p->key, key) == 0)
            return p->value;
    }
    return NULL;
}

const char *request_query(const struct http_request *r, const char *key)
{
    size_t at = 0;
    return request_query_next(r, key, &at);
}

bool request_query_bool(const struct http_request *r, const char *key,
                        bool fallback, bool *bad)
{
    const char *v = request_query(r, key);
    if (!v)
        return fallback;
    if (!strcmp(v, "true") || !strcmp(v, "True") || !strcmp(v, "1"))
        return true;
    if (strcmp(v, "false") && strcmp(v, "False") && strcmp(v, "0"))
        *bad = true;
    return false;
}

const struct http_part *request_file(const struct http_request *r, unsigned n)
{
    char name[32];
    snprintf(name, sizeof name, "files[%u]", n);
    for (size_t i = 0; i < r->part_count; i++)
        if (r->parts[i].filename && strcmp(r->parts[i].name, name) == 0)
            return &r->parts[i];
    return NULL;
}

static void pairs_free(struct http_pair *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(p[i].key);
        free(p[i].value);
    }
    free(p);
}

void request_release(struct http_request *r)
{
    free(r->target);
    free(r->path);
    pairs_free(r->query, r->query_count);
    pairs_free(r->headers, r->header_count);
    buf_release(&r->body);
    json_object_put(r->json);
    for (size_t i = 0; i < r->part_count; i++) {
        free(r->parts[i].name);
        free(r->parts[i].filename);
        free(r->parts[i].content_type);
    }
    free(r->parts);
    memset(r, 0, sizeof *r);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *percent_decode(const char *s, size_t len, bool plus)
{
    char *out = xmalloc(len + 1);
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        int hi, lo;
        if (s[i] == '%' && i + 2 < len && (hi = hex_digit(s[i + 1])) >= 0 &&
            (lo = hex_digit(s[i + 2])) >= 0 && (hi || lo)) {
            out[n++] = (char)(hi << 4 | lo);
            i += 2;
        } else {
            out[n++] = plus && s[i] == '+' ? ' ' : s[i];
        }
    }
    out[n] = '\0';
    return out;
}
