#include "fs/path.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/str.h"

#define DIGEST_BYTES 8
#define SHORT_MARK "%~"
#define SHORT_TAIL (sizeof(SHORT_MARK) - 1 + 2 * DIGEST_BYTES)

static bool all_digits(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > 0;
}

static bool must_escape(const char *s, size_t len, size_t i)
{
    unsigned char c = (unsigned char)s[i];

    if (c < 0x20 || c == 0x7f || c == '/' || c == '%')
        return true;
    if (c == '.')
        return i == 0;
    return c == '@' && all_digits(s + i + 1, len - i - 1);
}

static void escape(const char *s, size_t len, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (must_escape(s, len, i)) {
            buf_addc(out, '%');
            buf_addc(out, hex[c >> 4]);
            buf_addc(out, hex[c & 15]);
        } else {
            buf_addc(out, s[i]);
        }
    }
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static bool unescape(const char *s, size_t len, struct buf *out)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '%') {
            buf_addc(out, s[i]);
            continue;
        }
        if (len - i < 3)
            return false;
        int high = hex_digit(s[i + 1]), low = hex_digit(s[i + 2]);
        if (high < 0 || low < 0)
            return false;
        buf_addc(out, (char)(high << 4 | low));
        i += 2;
    }
    return true;
}

/* Decodes the one form that a text is listed in, and no other. */
static int unescape_canonical(const char *s, size_t len, struct buf *out)
{
    AUTO_BUF struct buf text = BUF_INIT, again = BUF_INIT;

    if (!unescape(s, len, &text) || text.len == 0)
        return -EINVAL;
    if (!utf8_valid(text.data, text.len))
        return -EILSEQ;
    escape(text.data, text.len, &again);
    if (!buf_equals(&again, s, len))
        return -EINVAL;
    buf_add(out, text.data, text.len);
    return 0;
}

/* Appends the escaped text, shortened so that `room` more bytes fit behind. */
static void escape_into(const char *s, size_t len, size_t room, struct buf *out)
{
    size_t start = out->len;
    size_t max = PATH_NAME_MAX - room;

    escape(s, len, out);
    if (out->len - start <= max)
        return;

    /* Cut before a character or an escape, not within. */
    char *text = out->data + start;
    size_t cut = max - SHORT_TAIL;
    while (cut > 0 && ((unsigned char)text[cut] & 0xc0) == 0x80)
        cut--;
    if (cut >= 1 && text[cut - 1] == '%')
        cut -= 1;
    else if (cut >= 2 && text[cut - 2] == '%')
        cut -= 2;
    buf_truncate(out, start + cut);

    struct sha256 digest = sha256_of(s, len);
    char digits[2 * DIGEST_BYTES + 1];
    buf_addstr(out, SHORT_MARK);
    buf_addstr(out, hex_of(digest.byte, DIGEST_BYTES, digits));
}

static bool looks_shortened(const char *s, size_t len)
{
    if (len < SHORT_TAIL)
        return false;
    const char *tail = s + len - SHORT_TAIL;
    if (memcmp(tail, SHORT_MARK, sizeof(SHORT_MARK) - 1) != 0)
        return false;
    for (size_t i = sizeof(SHORT_MARK) - 1; i < SHORT_TAIL; i++)
        if (!isxdigit((unsigned char)tail[i]) ||
            isupper((unsigned char)tail[i]))
            return false;
    return true;
}

void path_of_key(const char *key, size_t len, struct buf *out)
{
    escape_into(key, len, sizeof(PATH_ROW_SUFFIX) - 1, out);
    buf_addstr(out, PATH_ROW_SUFFIX);
}

bool path_is_shortened(const char *key, size_t len)
{
    size_t n = 0;

    if (len * 3 + sizeof(PATH_ROW_SUFFIX) - 1 <= PATH_NAME_MAX)
        return false;
    for (size_t i = 0; i < len; i++)
        n += must_escape(key, len, i) ? 3 : 1;
    return n + sizeof(PATH_ROW_SUFFIX) - 1 > PATH_NAME_MAX;
}

/* "<key>@<digits>": where the '@' is, or NULL. */
static const char *version_mark(const char *s, size_t len)
{
    size_t i = len;

    while (i > 0 && s[i - 1] >= '0' && s[i - 1] <= '9')
        i--;
    return i < len && i > 1 && s[i - 1] == '@' ? s + i - 1 : NULL;
}

int path_parse(const char *name, struct path *out)
{
    size_t len = strlen(name), suffix = sizeof(PATH_ROW_SUFFIX) - 1;

    *out = (struct path){.kind = PATH_OTHER, .text = BUF_INIT};
    if (!utf8_valid(name, len))
        return -EILSEQ;
    if (name[0] == '.' || !str_ends(name, PATH_ROW_SUFFIX))
        return 0;
    len -= suffix;

    if (looks_shortened(name, len)) {
        out->kind = PATH_SHORT;
        return 0;
    }

    const char *at = version_mark(name, len);
    if (at) {
        uint64_t version;
        size_t digits = len - (size_t)(at + 1 - name);
        if (!str_to_u64_n(at + 1, digits, &version) || version == 0 ||
            version > UINT32_MAX)
            return -EINVAL;
        int r = unescape_canonical(name, (size_t)(at - name), &out->text);
        if (r < 0)
            return r;
        out->kind = PATH_VERSION;
        out->version = (uint32_t)version;
        return 0;
    }

    int r = unescape_canonical(name, len, &out->text);
    if (r == 0)
        out->kind = PATH_ROW;
    return r;
}

bool path_is_version(const char *name)
{
    struct path p;

    int r = path_parse(name, &p);
    buf_release(&p.text);
    return r == 0 && p.kind == PATH_VERSION;
}

int path_parse_key_dir(const char *name, struct path *out)
{
    AUTO_BUF struct buf file = BUF_INIT;

    buf_addstr(&file, name);
    buf_addstr(&file, PATH_ROW_SUFFIX);
    return path_parse(file.data, out);
}

void path_of_key_dir(const char *key, size_t len, struct buf *out)
{
    escape_into(key, len, sizeof(PATH_ROW_SUFFIX) - 1, out);
}

void path_of_dir(const char *name, struct buf *out)
{
    escape_into(name, strlen(name), 0, out);
}

void path_of_text(const char *s, size_t len, struct buf *out)
{
    escape_into(s, len, 0, out);
}

int path_text(const char *name, struct buf *out)
{
    if (!utf8_valid(name, strlen(name)))
        return -EILSEQ;
    return unescape_canonical(name, strlen(name), out);
}

int path_decode(const char *name, struct buf *out)
{
    AUTO_BUF struct buf text = BUF_INIT;

    if (!unescape(name, strlen(name), &text))
        return -EINVAL;
    if (!utf8_valid(text.data, text.len))
        return -EILSEQ;
    buf_add(out, text.data, text.len);
    return 0;
}

int path_dir_name(const char *name, struct buf *out)
{
    if (!utf8_valid(name, strlen(name)))
        return -EILSEQ;
    int r = unescape_canonical(name, strlen(name), out);
    /* The engine's names are C strings. */
    if (r == 0 && memchr(out->data, 0, out->len))
        return -EINVAL;
    return r;
}
