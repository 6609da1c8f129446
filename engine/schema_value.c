/* One value against what a schema says of its field. */
#include <string.h>

#include "engine/base/str.h"
#include "engine/schema_impl.h"

const char *const schema_type_names[] = {
    [SCHEMA_ANY] = "any",     [SCHEMA_STR] = "str",
    [SCHEMA_INT] = "int",     [SCHEMA_FLOAT] = "float",
    [SCHEMA_BOOL] = "bool",   [SCHEMA_OBJECT] = "object",
    [SCHEMA_ARRAY] = "array",
};

void schema_add_cut(struct buf *b, const char *s, size_t len)
{
    size_t most = 60, n = 0;

    while (n < len) {
        uint32_t cp;
        size_t bytes = utf8_decode(s + n, len - n, &cp);
        if (bytes == 0 || n + bytes > most)
            break;
        /* One line in a log. */
        if (cp < 0x20 || cp == 0x7f)
            buf_addc(b, ' ');
        else
            buf_add(b, s + n, bytes);
        n += bytes;
    }
    if (n < len)
        buf_addstr(b, "…");
}

bool schema_is_int(const char *s, size_t len)
{
    for (size_t i = s[0] == '-'; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > (s[0] == '-');
}

bool schema_has_type(enum schema_type want, enum json_type is,
                     const char *value, size_t len)
{
    switch (want) {
    case SCHEMA_ANY:
        return true;
    case SCHEMA_STR:
        return is == JSON_STRING;
    case SCHEMA_INT:
        return is == JSON_NUMBER && schema_is_int(value, len);
    case SCHEMA_FLOAT:
        return is == JSON_NUMBER;
    case SCHEMA_BOOL:
        return is == JSON_BOOL;
    case SCHEMA_OBJECT:
        return is == JSON_OBJECT;
    case SCHEMA_ARRAY:
        return is == JSON_ARRAY;
    }
    return false;
}

/* Scalars by value. */
static bool same_value(const struct value *a, enum json_type type,
                       const char *text, size_t len)
{
    if (a->type != type)
        return false;
    if (type == JSON_NUMBER)
        return json_number_compare(a->text, a->len, text, len) == 0;
    if (type != JSON_STRING)
        return a->len == len && memcmp(a->text, text, len) == 0;

    AUTO_BUF struct buf x = BUF_INIT;
    AUTO_BUF struct buf y = BUF_INIT;
    json_unescape(a->text, a->len, &x);
    json_unescape(text, len, &y);
    return buf_equals(&x, y.data, y.len);
}

static bool matches(const struct pattern *p, const char *value, size_t len)
{
    AUTO_BUF struct buf s = BUF_INIT;

    json_unescape(value, len, &s);
    return pattern_matches(p, s.data ? s.data : "", s.len);
}

bool schema_check_value(const struct property *p, enum json_type type,
                        const char *value, size_t len, struct buf *expected)
{
    if (type == JSON_NULL && p->nullable)
        return true;
    if (!schema_has_type(p->type, type, value, len)) {
        buf_printf(expected, "%s%s", schema_type_names[p->type],
                   p->nullable ? " or null" : "");
        return false;
    }
    if (p->least.text &&
        json_number_compare(value, len, p->least.text, p->least.len) < 0) {
        buf_printf(expected, "at least %s", p->least.text);
        return false;
    }
    if (p->most.text &&
        json_number_compare(value, len, p->most.text, p->most.len) > 0) {
        buf_printf(expected, "at most %s", p->most.text);
        return false;
    }
    if (p->pattern && !matches(p->pattern, value, len)) {
        buf_addstr(expected, "a string that matches ");
        const char *text = pattern_text(p->pattern);
        schema_add_cut(expected, text, strlen(text));
        return false;
    }
    for (size_t i = 0; i < p->n_choices; i++)
        if (same_value(&p->choices[i], type, value, len))
            return true;
    if (p->n_choices == 0)
        return true;
    buf_addstr(expected, "one of ");
    for (size_t i = 0; i < p->n_choices; i++) {
        if (i > 0)
            buf_addstr(expected, ", ");
        if (expected->len > 160) {
            buf_addstr(expected, "…");
            break;
        }
        schema_add_cut(expected, p->choices[i].text, p->choices[i].len);
    }
    return false;
}
