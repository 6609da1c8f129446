/* What the server makes of names it is given. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"

/* Lower case where the pair is regular: Latin, Greek, Cyrillic. */
static uint32_t lower(uint32_t c)
{
    if ((c >= 'A' && c <= 'Z') || (c >= 0xC0 && c <= 0xDE && c != 0xD7) ||
        (c >= 0x391 && c <= 0x3AB && c != 0x3A2) || (c >= 0x410 && c <= 0x42F))
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    return c;
}

static void add_utf8(struct buf *b, uint32_t c)
{
    if (c < 0x80) {
        buf_addc(b, (char)c);
    } else if (c < 0x800) {
        buf_addc(b, (char)(0xC0 | c >> 6));
        buf_addc(b, (char)(0x80 | (c & 0x3F)));
    } else if (c < 0x10000) {
        buf_addc(b, (char)(0xE0 | c >> 12));
        buf_addc(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_addc(b, (char)(0x80 | (c & 0x3F)));
    } else {
        buf_addc(b, (char)(0xF0 | c >> 18));
        buf_addc(b, (char)(0x80 | (c >> 12 & 0x3F)));
        buf_addc(b, (char)(0x80 | (c >> 6 & 0x3F)));
        buf_addc(b, (char)(0x80 | (c & 0x3F)));
    }
}

/* Known: lower case, spaces to dashes, apostrophes dropped, runs of dashes to
 * one. Other ASCII punctuation than - and _ is dropped too, and dashes at the
 * ends: what a client may see, so that none relies on its own spelling. */
char *channel_name_normalize(const char *name)
{
    struct buf b = BUF_INIT;
    size_t len = strlen(name);

    for (size_t i = 0, n; i < len; i += n) {
        uint32_t c;
        n = utf8_decode(name + i, len - i, &c);
        if (!n) {
            n = 1;
            continue;
        }
        if (c == ' ' || c == '\t' || c == '\n' || c == 0xA0)
            c = '-';
        if (c == '-' && (!b.len || b.data[b.len - 1] == '-'))
            continue;
        if (c < 0x80 && !isalnum((int)c) && c != '-' && c != '_')
            continue;
        add_utf8(&b, lower(c));
    }
    while (b.len && b.data[b.len - 1] == '-')
        buf_truncate(&b, b.len - 1);
    return buf_take_str(&b);
}

char *file_name_normalize(const char *name)
{
    struct buf b = BUF_INIT;

    for (const char *p = name; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == ' ' || c == '/' || c == '\\') {
            if (b.len && b.data[b.len - 1] != '_')
                buf_addc(&b, '_');
        } else if (isalnum(c) || c == '.' || c == '-' || c == '_') {
            /* Neither '_' nor '.' may stand first. */
            if (b.len || (c != '_' && c != '.'))
                buf_addc(&b, (char)c);
        }
    }
    while (b.len && strchr("._", b.data[b.len - 1]))
        buf_truncate(&b, b.len - 1);
    if (!b.len)
        buf_addstr(&b, "unknown");
    return buf_take_str(&b);
}
