/* Text in, text as Discord keeps it out. */
#include "tests/emulator/content.h"

#include <string.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"

static bool is_space(uint32_t c)
{
    return c == ' ' || (c >= 9 && c <= 13) || c == 0x85 || c == 0xA0 ||
           c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 ||
           c == 0x2029 || c == 0x202F || c == 0x205F || c == 0x3000;
}

/* "Invalid Unicode and layout-breaking characters": which ones Discord does
 * not say; these are the ones nobody should count on. */
static bool is_stripped(uint32_t c)
{
    return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ||
           (c >= 0x202A && c <= 0x202E) || (c >= 0x2066 && c <= 0x2069) ||
           (c & 0xFFFE) == 0xFFFE || (c >= 0xFDD0 && c <= 0xFDEF);
}

char *content_clean(const char *s)
{
    struct buf b = BUF_INIT;
    size_t len = strlen(s), end = 0;

    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_decode(s + i, len - i, &c);
        if (!n) {
            n = 1;
            continue;
        }
        if (is_stripped(c) || (is_space(c) && !b.len))
            continue;
        buf_add(&b, s + i, n);
        if (!is_space(c))
            end = b.len;
    }
    if (b.data)
        buf_truncate(&b, end);
    return buf_take_str(&b);
}

enum mention content_mention(const char *s, size_t *at, uint64_t *id)
{
    for (const char *p = s + *at; *p; p++) {
        if (str_starts(p, "@everyone") || str_starts(p, "@here")) {
            *at = (size_t)(p - s) + 5;
            return MENTION_EVERYONE;
        }
        if (p[0] != '<' || p[1] != '@')
            continue;
        bool role = p[2] == '&';
        const char *digits = p + 2 + (role || p[2] == '!');
        size_t n = strspn(digits, "0123456789");
        if (digits[n] == '>' && str_to_u64_n(digits, n, id)) {
            *at = (size_t)(digits + n - s) + 1;
            return role ? MENTION_ROLE : MENTION_USER;
        }
    }
    *at = strlen(s);
    return MENTION_NONE;
}
