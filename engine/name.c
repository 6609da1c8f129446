#include "engine/name.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/str.h"

static bool is_control(uint32_t cp)
{
    return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x2028 ||
           cp == 0x2029;
}

int name_check(const char *what, const char *name, size_t len, struct err *err)
{
    if (len == 0)
        return err_set(err, -EINVAL, "the %s's name may not be empty", what);
    if (len > NAME_MAX_LEN)
        return err_set(err, -EINVAL,
                       "the %s's name may have %d bytes; this one has %zu",
                       what, NAME_MAX_LEN, len);
    if ((len == 1 && name[0] == '.') ||
        (len == 2 && name[0] == '.' && name[1] == '.'))
        return err_set(err, -EINVAL, "'.' and '..' are no name for the %s",
                       what);
    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = utf8_decode(name + i, len - i, &cp);
        if (n == 0)
            return err_set(err, -EINVAL, "the %s's name must be UTF-8", what);
        if (cp == '/' || is_control(cp))
            return err_set(err, -EINVAL,
                           "the %s's name may have no '/' and no control "
                           "characters",
                           what);
        i += n;
    }
    return 0;
}

/* One '_' for each character that has no place in a channel's name, so that
 * what is left can still be recognised; max is for the whole of out. */
static void add_mapped(struct buf *out, const char *name, size_t max)
{
    size_t len = strlen(name);

    for (size_t i = 0; i < len && out->len < max;) {
        uint32_t cp = 0;
        size_t n = utf8_decode(name + i, len - i, &cp);
        if (cp >= 'A' && cp <= 'Z')
            cp += 'a' - 'A';
        bool plain =
            (cp >= 'a' && cp <= 'z') || (cp >= '0' && cp <= '9') || cp == '_';
        buf_addc(out, plain ? (char)cp : '_');
        i += n ? n : 1;
    }
}

void name_category(const char *ns, unsigned nth, struct buf *out)
{
    size_t start = out->len;

    buf_addstr(out, "dbcord-");
    add_mapped(out, ns, start + NAME_MAX_LEN - 8); /* room for "-500" */
    if (nth > 1)
        buf_printf(out, "-%u", nth);
}

void name_table_channel(const char *table, struct buf *out)
{
    size_t start = out->len;

    buf_addstr(out, "table-");
    add_mapped(out, table, start + NAME_MAX_LEN);
}

void name_index_channel(const char *table, const char *field, struct buf *out)
{
    size_t start = out->len;

    /* Neither may push out the other. */
    buf_addstr(out, "idx-");
    add_mapped(out, table, start + NAME_MAX_LEN / 2);
    buf_addc(out, '-');
    add_mapped(out, field, start + NAME_MAX_LEN);
}

void name_file_safe(const char *name, struct buf *out)
{
    size_t start = out->len, len = strlen(name);

    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = utf8_decode(name + i, len - i, &cp);
        bool good = n > 0 && cp != '/' && !is_control(cp) &&
                    !(cp == '.' && out->len == start);
        size_t take = good ? n : 1;
        if (out->len - start + take > NAME_MAX_LEN)
            break;
        if (good)
            buf_add(out, name + i, n);
        else
            buf_addc(out, '_');
        i += n ? n : 1;
    }
    if (out->len == start)
        buf_addc(out, '_');
}
