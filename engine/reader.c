#include "engine/reader.h"

#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/json.h"

bool reader_failed(struct reader *r, const char *what)
{
    if (!r->fail)
        r->fail = what;
    return false;
}

size_t reader_left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

bool reader_accept(struct reader *r, const char *literal)
{
    size_t n = strlen(literal);

    if (r->fail || reader_left(r) < n || memcmp(r->at, literal, n) != 0)
        return false;
    r->at += n;
    return true;
}

bool reader_expect(struct reader *r, const char *literal)
{
    return reader_accept(r, literal) || reader_failed(r, literal);
}

bool reader_u64(struct reader *r, uint64_t max, const char *what, uint64_t *out)
{
    size_t n = 0;

    while (n < reader_left(r) && n < 21 && r->at[n] >= '0' && r->at[n] <= '9')
        n++;
    if (r->fail || !str_to_u64_n(r->at, n, out) || *out > max)
        return reader_failed(r, what);
    r->at += n;
    return true;
}

bool reader_quoted(struct reader *r, const char *what, const char **s,
                   size_t *len, bool *escaped)
{
    if (!reader_accept(r, "\""))
        return reader_failed(r, what);

    *escaped = false;
    for (const char *p = r->at; p < r->end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            *s = r->at;
            *len = (size_t)(p - r->at);
            r->at = p + 1;
            return true;
        }
        if (c < 0x20)
            break;
        if (c != '\\')
            continue;
        *escaped = true;
        if (++p == r->end || !strchr("\"\\/bfnrtu", *p) || *p == '\0')
            break;
        for (int i = 0; *p == 'u' && i < 4; i++)
            if (r->end - p <= 4 ||
                !strchr("0123456789abcdefABCDEF", p[i + 1]) || p[i + 1] == '\0')
                return reader_failed(r, what);
    }
    return reader_failed(r, what);
}

bool reader_string(struct reader *r, size_t min, size_t max, const char *what,
                   const char **s, size_t *len)
{
    const char *raw;
    size_t raw_len;
    bool escaped;

    if (!reader_quoted(r, what, &raw, &raw_len, &escaped))
        return false;
    if (escaped) {
        struct buf *arena = r->arena;
        if (!arena->data)
            buf_reserve(arena, r->arena_size);
        size_t at = arena->len;
        json_unescape(raw, raw_len, arena);
        raw = arena->data + at;
        raw_len = arena->len - at;
    }
    if (raw_len < min || raw_len > max || !utf8_valid(raw, raw_len))
        return reader_failed(r, what);
    *s = raw;
    *len = raw_len;
    return true;
}

bool reader_sha(struct reader *r, unsigned char out[16])
{
    char hex[33];

    if (r->fail || reader_left(r) < 32)
        return reader_failed(r, "32 hexadecimal digits");
    for (size_t i = 0; i < 16; i++) {
        unsigned v = 0;
        for (size_t k = 0; k < 2; k++) {
            char c = r->at[2 * i + k];
            v = v << 4 | (c >= 'a' ? (unsigned)(c - 'a') + 10u
                                   : (unsigned)(unsigned char)c - '0');
        }
        out[i] = (unsigned char)v;
    }
    /* Whatever other characters made, they do not come out again. */
    if (memcmp(hex_of(out, 16, hex), r->at, 32) != 0)
        return reader_failed(r, "32 hexadecimal digits");
    r->at += 32;
    return true;
}
