/* Rows are checked on their text, member by member, without a tree: a table of
 * a million rows is checked when its schema changes. */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/member_names.h"
#include "engine/record.h"
#include "engine/schema_impl.h"

/* --- words in messages ---------------------------------------------------- */

static void add_found(struct buf *b, const char *value, size_t len)
{
    switch (json_type_of(value, len)) {
    case JSON_OBJECT:
        buf_addstr(b, "an object");
        break;
    case JSON_ARRAY:
        buf_addstr(b, "an array");
        break;
    case JSON_STRING:
    case JSON_NUMBER:
    case JSON_BOOL:
    case JSON_NULL:
        schema_add_cut(b, value, len);
        break;
    }
}

/* A place in the text a person is looking at. */
static void add_position(struct buf *b, const char *text, const char *at)
{
    size_t line = 1, column = 1;

    for (const char *p = text; p < at; p++) {
        if (*p == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char)*p & 0xc0) != 0x80) {
            column++;
        }
    }
    buf_printf(b, "line %zu, column %zu", line, column);
}

/* --- keys and fields ------------------------------------------------------ */

int schema_check_key(const char *key, size_t len, struct err *err)
{
    if (len == 0)
        return err_set(err, -EINVAL, "a row's key may not be empty");
    if (len > RECORD_KEY_MAX)
        return err_set(err, -ENAMETOOLONG,
                       "a row's key may have %d bytes; this one has %zu",
                       RECORD_KEY_MAX, len);
    if (!utf8_valid(key, len))
        return err_set(err, -EILSEQ, "a row's key must be UTF-8");
    return 0;
}

bool schema_is_key_number(const char *s, size_t len)
{
    if (!schema_is_int(s, len))
        return false;
    size_t first = s[0] == '-';
    return s[first] != '0' || len == 1;
}

static bool pk_is_int(const struct schema *s)
{
    return s->pk_property && s->pk_property->type == SCHEMA_INT;
}

static bool pk_may_be_number(const struct schema *s)
{
    return !s->pk_property || s->pk_property->type != SCHEMA_STR;
}

/* The text that is being checked, for who is told where it is wrong. */
struct spot {
    const char *text;
    size_t *at; /* not NULL: the offset goes here instead of into words */
};

/* "field 'age' (line 3, column 9)"; value NULL: it is not in the text. */
static void add_field(struct buf *b, const char *name, size_t name_len,
                      const struct spot *spot, const char *value)
{
    buf_addstr(b, "field '");
    schema_add_cut(b, name, name_len);
    buf_addc(b, '\'');
    if (!value)
        return;
    if (spot->at) {
        *spot->at = (size_t)(value - spot->text);
        return;
    }
    buf_addstr(b, " (");
    add_position(b, spot->text, value);
    buf_addc(b, ')');
}

static int check_field(const struct property *p, const struct spot *spot,
                       const struct json_member *m, struct err *err)
{
    AUTO_BUF struct buf expected = BUF_INIT;

    if (schema_check_value(p, m->type, m->value, m->value_len, &expected))
        return 0;
    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, p->name, p->name_len, spot, spot ? m->value : NULL);
    buf_printf(&b, ": expected %s, found ", expected.data);
    add_found(&b, m->value, m->value_len);
    return err_set(err, -EINVAL, "%s", b.data);
}

/* The key as the text's primary key has it. */
static int key_of_value(const struct schema *s, const struct spot *spot,
                        const struct json_member *m, struct buf *out,
                        struct err *err)
{
    if (m->type == JSON_STRING && !pk_is_int(s)) {
        json_unescape(m->value, m->value_len, out);
        return 0;
    }
    if (m->type == JSON_NUMBER && pk_may_be_number(s) &&
        schema_is_key_number(m->value, m->value_len)) {
        buf_add(out, m->value, m->value_len);
        return 0;
    }
    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, s->pk, s->pk_len, spot, m->value);
    buf_printf(&b, ": the primary key must be %s, found ",
               pk_is_int(s)          ? "a whole number like 12"
               : pk_may_be_number(s) ? "a string or a whole number like 12"
                                     : "a string");
    add_found(&b, m->value, m->value_len);
    return err_set(err, -EINVAL, "%s", b.data);
}

static int check_pk(const struct schema *s, const char *key, size_t key_len,
                    const struct spot *spot, const struct json_member *m,
                    struct buf *found, struct err *err)
{
    int r = key_of_value(s, spot, m, found, err);
    if (r < 0)
        return r;
    if (!key) {
        r = schema_check_key(found->data, found->len, err);
        return r < 0 ? err_wrap(err, r, "field '%s'", s->pk) : 0;
    }
    if (buf_equals(found, key, key_len))
        return 0;

    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, s->pk, s->pk_len, spot, m->value);
    buf_addstr(&b, ": the primary key is ");
    add_found(&b, m->value, m->value_len);
    buf_addstr(&b, ", but the row is '");
    schema_add_cut(&b, key, key_len);
    buf_addc(&b, '\'');
    return err_set(err, -EINVAL, "%s", b.data);
}

/* A key as the JSON value the schema wants it to be. */
static int value_of_key(const struct schema *s, const char *key, size_t key_len,
                        bool number, struct buf *out, struct err *err)
{
    if (pk_is_int(s) && !schema_is_key_number(key, key_len)) {
        AUTO_BUF struct buf b = BUF_INIT;
        schema_add_cut(&b, key, key_len);
        return err_set(err, -EINVAL,
                       "field '%s': the primary key must be a whole number "
                       "like 12, and the row is '%s'",
                       s->pk, b.data ? b.data : "");
    }
    if (number)
        buf_add(out, key, key_len);
    else
        buf_add_json(out, key, key_len);
    if (!s->pk_property)
        return 0;
    struct json_member m = {
        .value = out->data,
        .value_len = out->len,
        .type = json_type_of(out->data, out->len),
    };
    return check_field(s->pk_property, NULL, &m, err);
}

static int check_text(const char *text, size_t len, struct err *err)
{
    struct json_scan scan;

    json_scan_init(&scan);
    if (json_scan_feed(&scan, text, len) == JSON_DONE)
        return 0;
    int r = json_scan_error(&scan, err);
    return scan.why == json_why_utf8 ? -EILSEQ : r;
}

/* --- rows ----------------------------------------------------------------- */

/* What walking a row's members found out. */
struct found {
    struct member_names names;
    struct buf key;         /* of the pk, if it is there */
    unsigned char *present; /* by property: is it there? */
    bool has_pk;
};

static void found_release(struct found *f)
{
    member_names_release(&f->names);
    buf_release(&f->key);
    free(f->present);
}

#define AUTO_FOUND __attribute__((cleanup(found_release)))

static int check_members(const struct schema *s, const char *key,
                         size_t key_len, const struct spot *spot, size_t len,
                         struct found *f, struct err *err)
{
    struct json_member m;
    int r = 0;

    for (size_t at = 0; r == 0 && json_next(spot->text, len, &at, &m);) {
        const struct member_name *n = member_names_add(&f->names, &m, len);
        bool pk = n->len == s->pk_len && memcmp(n->text, s->pk, n->len) == 0;
        struct property *p = schema_property(s, n->text, n->len);
        if (p)
            f->present[p - s->properties] = 1;
        if (pk && !f->has_pk) {
            f->has_pk = true;
            r = check_pk(s, key, key_len, spot, &m, &f->key, err);
        }
        if (r == 0 && p) {
            r = check_field(p, spot, &m, err);
        } else if (r == 0 && s->closed && !pk) {
            AUTO_BUF struct buf b = BUF_INIT;
            add_field(&b, n->text, n->len, spot, m.name);
            r = err_set(err, -EINVAL,
                        "%s: the schema does not have it, and allows no "
                        "others",
                        b.data);
        }
    }
    if (r < 0)
        return r;

    const struct member_name *twice = member_names_twice(&f->names);
    if (twice) {
        AUTO_BUF struct buf b = BUF_INIT;
        add_field(&b, twice->text, twice->len, spot, NULL);
        return err_set(err, -EINVAL, "%s is there twice", b.data);
    }
    return 0;
}

static int check(const struct schema *s, const char *key, size_t key_len,
                 const struct spot *spot, size_t len, struct buf *out,
                 struct buf *key_out, struct err *err)
{
    const char *text = spot->text;
    AUTO_BUF struct buf pk_value = BUF_INIT;
    AUTO_FOUND struct found f = {.key = BUF_INIT};
    int r = key ? schema_check_key(key, key_len, err) : 0;

    member_names_init(&f.names);
    if (r < 0)
        return r;
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    r = check_text(text, len, err);
    if (r < 0)
        return r;

    f.present = xcalloc(s->n_properties, 1);
    r = check_members(s, key, key_len, spot, len, &f, err);
    if (r < 0)
        return r;
    if (!f.has_pk && !key)
        return err_set(err, -EINVAL, "field '%s' is missing: the primary key",
                       s->pk);
    if (!f.has_pk) {
        r = value_of_key(s, key, key_len, pk_is_int(s), &pk_value, err);
        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < s->n_properties; i++) {
        const struct property *p = &s->properties[i];
        if (p->required && !f.present[i] && !p->otherwise.text &&
            p != s->pk_property)
            return err_set(err, -EINVAL, "field '%s' is required and missing",
                           p->name);
    }

    /* Each goes in as the first member: the last to come is the key. */
    AUTO_BUF struct buf filled = BUF_INIT;
    buf_add(&filled, text, len);
    for (size_t i = s->n_properties; i > 0; i--) {
        const struct property *p = &s->properties[i - 1];
        if (f.present[i - 1] || !p->otherwise.text)
            continue;
        AUTO_BUF struct buf next = BUF_INIT;
        json_with_member(filled.data, filled.len, p->name, p->otherwise.text,
                         p->otherwise.len, &next);
        struct buf old = filled;
        filled = next;
        next = old;
    }
    if (!f.has_pk)
        json_with_member(filled.data, filled.len, s->pk, pk_value.data,
                         pk_value.len, out);
    else
        buf_add(out, filled.data, filled.len);
    if (!key)
        buf_add(key_out, f.key.data, f.key.len);
    return 0;
}

int schema_check(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct buf *key_out, struct err *err)
{
    return check(s, key, key_len, &(struct spot){text, NULL}, len, out, key_out,
                 err);
}

int schema_check_at(const struct schema *s, const char *text, size_t len,
                    struct buf *out, struct buf *key_out, size_t *at,
                    struct err *err)
{
    *at = SIZE_MAX;
    return check(s, NULL, 0, &(struct spot){text, at}, len, out, key_out, err);
}

int schema_rekey(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out, struct err *err)
{
    AUTO_BUF struct buf value = BUF_INIT;
    struct json_member m;

    int r = schema_check_key(key, key_len, err);
    if (r < 0)
        return r;
    /* Where the schema leaves it open the text keeps its kind of key. */
    bool number = pk_is_int(s);
    if (!number && pk_may_be_number(s) && json_find(text, len, s->pk, &m))
        number = m.type == JSON_NUMBER && schema_is_key_number(key, key_len);
    r = value_of_key(s, key, key_len, number, &value, err);
    if (r < 0)
        return r;
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    json_with_member(text, len, s->pk, value.data, value.len, out);
    return 0;
}
