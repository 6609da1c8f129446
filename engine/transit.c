/* Which bytes reach the other side. When in doubt a character is on the list:
 * a row then goes into a file, which nothing touches. */
#include "engine/transit.h"

#include "engine/base/str.h"

/* Control, format, private, unassigned and invisible characters: known or
 * suspected to be stripped. Sorted, both ends included. */
static const struct {
    uint32_t first, last;
} unsafe[] = {
    {0x0000, 0x0008},   {0x000b, 0x001f},    {0x007f, 0x009f},
    {0x00ad, 0x00ad},   {0x034f, 0x034f},    {0x0600, 0x0605},
    {0x061c, 0x061c},   {0x06dd, 0x06dd},    {0x070f, 0x070f},
    {0x0890, 0x0891},   {0x08e2, 0x08e2},    {0x115f, 0x1160},
    {0x17b4, 0x17b5},   {0x180b, 0x180f},    {0x200b, 0x200f},
    {0x2028, 0x202e},   {0x2060, 0x206f},    {0x3164, 0x3164},
    {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},   {0xfff0, 0xffff},    {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f},  {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0x1fffe, 0x1ffff},  {0x2fffe, 0x2ffff},
    {0x3fffe, 0xdffff}, {0xe0000, 0x10ffff},
};

bool transit_strips(uint32_t cp)
{
    size_t low = 0, high = sizeof(unsafe) / sizeof(unsafe[0]);

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > unsafe[mid].last)
            low = mid + 1;
        else if (cp < unsafe[mid].first)
            high = mid;
        else
            return true;
    }
    return false;
}

/* s: at '<'. A custom emoji, <:name:1> or <a:name:1>: one that the bot may not
 * use comes back as :name:. */
static bool is_emoji(const char *s, size_t len)
{
    size_t i = 1, colons = 0;

    if (i < len && s[i] == 'a')
        i++;
    for (; i < len; i++) {
        char c = s[i];
        bool digit = c >= '0' && c <= '9';
        if (c == '>')
            return colons == 2;
        if (c == ':')
            colons++;
        else if (colons == 0 ||
                 (!digit && (colons > 1 || (c != '_' && ((c | 0x20) < 'a' ||
                                                         (c | 0x20) > 'z')))))
            return false;
    }
    return false;
}

bool text_survives_transit(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f) {
            if (c == '<' && is_emoji(text + i, len - i))
                return false;
            i++;
            continue;
        }
        uint32_t cp;
        size_t n = utf8_decode(text + i, len - i, &cp);
        if (n == 0 || transit_strips(cp))
            return false;
        i += n;
    }
    return true;
}

static void add_escape(struct buf *b, uint32_t cp)
{
    if (cp >= 0x10000) {
        cp -= 0x10000;
        buf_printf(b, "\\u%04x\\u%04x", 0xd800 | cp >> 10,
                   0xdc00 | (cp & 0x3ff));
    } else {
        buf_printf(b, "\\u%04x", cp);
    }
}

void transit_add_string(struct buf *b, const char *s, size_t len)
{
    if (text_survives_transit(s, len)) {
        buf_add_json(b, s, len);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0xfffd;
        size_t n = utf8_decode(s + i, len - i, &cp);
        if (n == 0)
            n = 1; /* checked before: not reached */
        if (transit_strips(cp) || cp == '\n' || cp == '\t' || cp == '<')
            add_escape(b, cp);
        else if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else
            buf_add(b, s + i, n);
        i += n;
    }
    buf_addc(b, '"');
}
