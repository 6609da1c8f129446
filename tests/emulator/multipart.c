/* Every part starts with "--boundary" CRLF, headers, an empty line; it ends
 * before CRLF "--boundary". */
#include "tests/emulator/multipart.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"

enum { PARTS_MAX = 64 };

/* The value of a parameter, quoted or not, in "a; key=value; …". */
static char *param(const char *s, const char *key)
{
    size_t n = strlen(key);

    while ((s = strchr(s, ';'))) {
        s += 1 + strspn(s + 1, " \t");
        if (strncasecmp(s, key, n) != 0 || s[n] != '=') {
            /* A ';' inside quotes is no separator. */
            const char *quote = strchr(s, '"');
            const char *semi = strchr(s, ';');
            if (quote && semi && quote < semi) {
                const char *end = strchr(quote + 1, '"');
                if (end)
                    s = end;
            }
            continue;
        }
        s += n + 1;
        if (*s != '"')
            return xstrndup(s, strcspn(s, "; \t"));

        /* Browsers write %22 for a quote; others a backslash before it. */
        char *out = xmalloc(strlen(s));
        size_t len = 0;
        for (s++; *s && *s != '"'; s++) {
            if (*s == '\\' && (s[1] == '"' || s[1] == '\\'))
                s++;
            if (strncmp(s, "%22", 3) == 0) {
                out[len++] = '"';
                s += 2;
            } else {
                out[len++] = *s;
            }
        }
        out[len] = '\0';
        return out;
    }
    return NULL;
}

char *multipart_boundary(const char *content_type)
{
    char *b = param(content_type, "boundary");
    if (b && (!*b || strlen(b) > 200)) {
        free(b);
        b = NULL;
    }
    return b;
}

void multipart_free(struct http_part *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(parts[i].name);
        free(parts[i].filename);
        free(parts[i].content_type);
    }
    free(parts);
}

static void part_header(struct http_part *p, const char *line)
{
    static const char disposition[] = "content-disposition:";
    static const char type[] = "content-type:";

    if (strncasecmp(line, disposition, sizeof disposition - 1) == 0) {
        free(p->name);
        free(p->filename);
        p->name = param(line, "name");
        p->filename = param(line, "filename");
    } else if (strncasecmp(line, type, sizeof type - 1) == 0) {
        line += sizeof type - 1;
        free(p->content_type);
        p->content_type = xstrdup(line + strspn(line, " \t"));
    }
}

int multipart_parse(const char *body, size_t len, const char *boundary,
                    struct http_part **out, size_t *count)
{
    char delim[220];
    size_t n = (size_t)snprintf(delim, sizeof delim, "\r\n--%s", boundary);
    const char *p = body, *end = body + len;
    struct http_part *parts = NULL;
    size_t have = 0;

    /* The first delimiter may stand at the very beginning. */
    if (len >= n - 2 && memcmp(p, delim + 2, n - 2) == 0) {
        p += n - 2;
    } else {
        p = len ? memmem(p, len, delim, n) : NULL;
        if (!p)
            return -1;
        p += n;
    }

    for (;;) {
        if (end - p >= 2 && memcmp(p, "--", 2) == 0)
            break;
        while (p < end && (*p == ' ' || *p == '\t'))
            p++;
        if (end - p < 2 || memcmp(p, "\r\n", 2) != 0 || have == PARTS_MAX)
            goto bad;
        p += 2;

        parts = xrealloc(parts, (have + 1) * sizeof *parts);
        struct http_part *part = &parts[have++];
        *part = (struct http_part){0};

        for (;;) {
            const char *eol = memmem(p, (size_t)(end - p), "\r\n", 2);
            if (!eol || memchr(p, '\0', (size_t)(eol - p)))
                goto bad;
            bool last = eol == p;
            AUTO_STR char *line = xstrndup(p, (size_t)(eol - p));
            p = eol + 2;
            if (last)
                break;
            part_header(part, line);
        }
        if (!part->name)
            goto bad;

        /* An empty part's delimiter shares the CRLF of the empty line. */
        const char *from = p - 2;
        const char *stop = memmem(from, (size_t)(end - from), delim, n);
        if (!stop)
            goto bad;
        part->data = p;
        part->len = stop > p ? (size_t)(stop - p) : 0;
        p = stop + n;
    }
    *out = parts;
    *count = have;
    return 0;

bad:
    multipart_free(parts, have);
    return -1;
}
