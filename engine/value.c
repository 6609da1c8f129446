#include "engine/value.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"

/* --- paths ---------------------------------------------------------------- */

static bool find_n(const char *text, size_t len, const char *name,
                   size_t name_len, struct json_member *out)
{
    struct json_member m;

    for (size_t at = 0; json_next(text, len, &at, &m);) {
        if (!json_name_is(&m, name, name_len))
            continue;
        *out = m;
        return true;
    }
    return false;
}

static bool at_path(const char *text, size_t len, const char *path,
                    size_t path_len, struct json_member *out)
{
    struct json_member m;

    if (find_n(text, len, path, path_len, out))
        return true;
    /* The longest name first, as the whole is tried before its parts. */
    for (size_t dot = path_len; dot-- > 0;) {
        if (path[dot] != '.' || !find_n(text, len, path, dot, &m) ||
            m.type != JSON_OBJECT)
            continue;
        if (at_path(m.value, m.value_len, path + dot + 1, path_len - dot - 1,
                    out))
            return true;
    }
    return false;
}

bool value_at(const char *text, size_t len, const char *path,
              struct json_member *out)
{
    return at_path(text, len, path, strlen(path), out);
}

/* --- canonical forms ------------------------------------------------------ */

static void add_value(const char *value, size_t len, struct buf *out);

struct named {
    struct buf name; /* unescaped */
    size_t place;
    struct json_member m;
};

static int by_name(const void *a, const void *b)
{
    const struct named *x = a, *y = b;
    size_t n = x->name.len < y->name.len ? x->name.len : y->name.len;
    int c = n ? memcmp(x->name.data, y->name.data, n) : 0;

    if (c != 0)
        return c;
    if (x->name.len != y->name.len)
        return x->name.len < y->name.len ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

static void add_object(const char *value, size_t len, struct buf *out)
{
    struct named *list = NULL;
    size_t n = 0, cap = 0;
    struct json_member m;

    for (size_t at = 0; json_next(value, len, &at, &m); n++) {
        if (n == cap) {
            cap = cap ? cap * 2 : 8;
            list = xrealloc(list, cap * sizeof(*list));
        }
        list[n] = (struct named){BUF_INIT, n, m};
        json_unescape(m.name, m.name_len, &list[n].name);
    }
    if (n > 1)
        qsort(list, n, sizeof(*list), by_name);
    buf_addc(out, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        buf_add_json(out, list[i].name.data ? list[i].name.data : "",
                     list[i].name.len);
        buf_addc(out, ':');
        add_value(list[i].m.value, list[i].m.value_len, out);
        buf_release(&list[i].name);
    }
    buf_addc(out, '}');
    free(list);
}

static void add_array(const char *value, size_t len, struct buf *out)
{
    struct json_member m;
    bool first = true;

    buf_addc(out, '[');
    for (size_t at = 0; json_element(value, len, &at, &m); first = false) {
        if (!first)
            buf_addc(out, ',');
        add_value(m.value, m.value_len, out);
    }
    buf_addc(out, ']');
}

static void add_value(const char *value, size_t len, struct buf *out)
{
    switch (json_type_of(value, len)) {
    case JSON_STRING: {
        AUTO_BUF struct buf plain = BUF_INIT;
        json_unescape(value, len, &plain);
        buf_add_json(out, plain.data ? plain.data : "", plain.len);
        break;
    }
    case JSON_NUMBER:
        json_number_canonical(value, len, out);
        break;
    case JSON_NULL:
    case JSON_BOOL:
        buf_add(out, value, len);
        break;
    case JSON_ARRAY:
        add_array(value, len, out);
        break;
    case JSON_OBJECT:
        add_object(value, len, out);
        break;
    }
}

void value_canonical(const char *value, size_t len, struct buf *out)
{
    size_t start = out->len;

    switch (json_type_of(value, len)) {
    case JSON_STRING:
        buf_addstr(out, "str:");
        json_unescape(value, len, out);
        break;
    case JSON_NUMBER:
        buf_addstr(out, "num:");
        json_number_canonical(value, len, out);
        break;
    case JSON_NULL:
    case JSON_BOOL:
        buf_addstr(out, "raw:");
        buf_add(out, value, len);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_addstr(out, "json:");
        add_value(value, len, out);
        break;
    }

    size_t n = out->len - start;
    if (n <= VALUE_INLINE && utf8_valid(out->data + start, n))
        return;
    struct sha256 d = sha256_of(out->data + start, n);
    char hex[65];
    buf_truncate(out, start);
    buf_addstr(out, "sha:");
    buf_addstr(out, hex_of(d.byte, 32, hex));
}

bool value_find(const char *text, size_t len, const char *path, struct buf *out)
{
    struct json_member m;

    if (!value_at(text, len, path, &m))
        return false;
    value_canonical(m.value, m.value_len, out);
    return true;
}

/* --- values without their text -------------------------------------------- */

void values_add(struct buf *values, const char *text, size_t len,
                const char *field)
{
    AUTO_BUF struct buf form = BUF_INIT;

    if (values->len == 0)
        buf_addc(values, '{');
    if (values->data[values->len - 1] != '{')
        buf_addc(values, ',');
    buf_add_json(values, field, strlen(field));
    buf_addc(values, ':');
    if (value_find(text, len, field, &form))
        buf_add_json(values, form.data, form.len);
    else
        buf_addstr(values, "null");
}

void values_end(struct buf *values)
{
    if (values->len == 0)
        buf_addc(values, '{');
    buf_addc(values, '}');
}

bool values_find(const char *values, size_t len, const char *field,
                 struct buf *out)
{
    struct json_member m;

    if (!find_n(values, len, field, strlen(field), &m) || m.type != JSON_STRING)
        return false;
    json_unescape(m.value, m.value_len, out);
    return true;
}

bool values_tell(const char *values, size_t len, const char *field)
{
    struct json_member m;
    return find_n(values, len, field, strlen(field), &m);
}
