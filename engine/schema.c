/* A schema, made from its text: every word is known and agrees with the others,
 * so that who checks rows need not look again. */
#include "engine/schema.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/member_names.h"
#include "engine/schema_impl.h"

struct schema *schema_ref(struct schema *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

static void property_release(struct property *p)
{
    free(p->name);
    free(p->least.text);
    free(p->most.text);
    free(p->otherwise.text);
    for (size_t i = 0; i < p->n_choices; i++)
        free(p->choices[i].text);
    free(p->choices);
    pattern_free(p->pattern);
}

void schema_unref(struct schema *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < s->n_properties; i++)
        property_release(&s->properties[i]);
    free(s->properties);
    for (size_t i = 0; i < s->n_indexes; i++)
        free(s->indexes[i].field);
    free(s->indexes);
    free(s->pk);
    free(s->text);
    free(s);
}

const char *schema_text(const struct schema *s, size_t *len)
{
    *len = s->text_len;
    return s->text;
}

const char *schema_pk(const struct schema *s)
{
    return s->pk;
}

bool schema_says_indexes(const struct schema *s)
{
    return s->says_indexes;
}

size_t schema_index_count(const struct schema *s)
{
    return s->n_indexes;
}

const char *schema_index_at(const struct schema *s, size_t i, bool *unique)
{
    *unique = s->indexes[i].unique;
    return s->indexes[i].field;
}

/* --- properties ----------------------------------------------------------- */

static int compare_names(const char *a, size_t a_len, const char *b,
                         size_t b_len)
{
    if (a_len != b_len)
        return a_len < b_len ? -1 : 1;
    return memcmp(a, b, a_len);
}

/* Where this name is among the properties, or would be put. */
static size_t property_place(const struct schema *s, const char *name,
                             size_t len)
{
    size_t low = 0, high = s->n_properties;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct property *p = &s->properties[mid];
        if (compare_names(p->name, p->name_len, name, len) < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct property *schema_property(const struct schema *s, const char *name,
                                 size_t len)
{
    size_t i = property_place(s, name, len);

    if (i == s->n_properties ||
        compare_names(s->properties[i].name, s->properties[i].name_len, name,
                      len) != 0)
        return NULL;
    return &s->properties[i];
}

enum schema_type schema_field_type(const struct schema *s, const char *field,
                                   size_t len)
{
    const struct property *p = schema_property(s, field, len);
    return p ? p->type : SCHEMA_ANY;
}

bool schema_field_nullable(const struct schema *s, const char *field,
                           size_t len)
{
    const struct property *p = schema_property(s, field, len);
    return p && p->nullable;
}

bool schema_has_field(const struct schema *s, const char *field, size_t len)
{
    return schema_property(s, field, len) ||
           (len == s->pk_len && memcmp(field, s->pk, len) == 0);
}

bool schema_is_closed(const struct schema *s)
{
    return s->closed;
}

const char *schema_field_at(const struct schema *s, size_t i)
{
    if (i < s->n_properties)
        return s->properties[i].name;
    return i == s->n_properties && !s->pk_property ? s->pk : NULL;
}

/* --- reading the text ----------------------------------------------------- */

static int refuse(struct err *err, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(struct err *err, const char *where, const char *fmt, ...)
{
    va_list ap;
    AUTO_BUF struct buf b = BUF_INIT;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    return err_set(err, -EINVAL, "schema: %s: %s", where, b.data);
}

/* Names in the schema become C strings: channels and paths are made of them.
 */
static int parse_name(const char *text, size_t len, const char *where,
                      char **out, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    json_unescape(text, len, &b);
    if (b.len == 0)
        return refuse(err, where, "a field's name may not be empty");
    if (memchr(b.data, '\0', b.len) || !utf8_valid(b.data, b.len))
        return refuse(err, where,
                      "a field's name must be UTF-8 without a NUL in it");
    *out = buf_take_str(&b);
    return 0;
}

static int parse_name_value(const struct json_member *m, const char *where,
                            char **out, struct err *err)
{
    if (m->type != JSON_STRING)
        return refuse(err, where, "expected a field's name as a string");
    return parse_name(m->value, m->value_len, where, out, err);
}

static struct property *property_need(struct schema *s, const char *name)
{
    size_t len = strlen(name), i = property_place(s, name, len);
    struct property *p = schema_property(s, name, len);

    if (p)
        return p;
    s->properties =
        xrealloc(s->properties, (s->n_properties + 1) * sizeof(*s->properties));
    memmove(s->properties + i + 1, s->properties + i,
            (s->n_properties - i) * sizeof(*s->properties));
    s->n_properties++;
    s->properties[i] = (struct property){
        .name = xstrndup(name, len),
        .name_len = len,
    };
    return &s->properties[i];
}

static struct value value_of(const struct json_member *m)
{
    return (struct value){
        .text = xstrndup(m->value, m->value_len),
        .len = m->value_len,
        .type = m->type,
    };
}

static int parse_type(const char *value, size_t len, struct property *p,
                      struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    json_unescape(value, len, &b);
    const char *name = b.data ? b.data : "";
    size_t n = b.len;
    if (n > 0 && name[n - 1] == '?') {
        p->nullable = true;
        n--;
    }
    for (size_t i = 0; i < SCHEMA_TYPES; i++) {
        if (strlen(schema_type_names[i]) != n ||
            memcmp(schema_type_names[i], name, n) != 0)
            continue;
        p->type = (enum schema_type)i;
        return 0;
    }
    return refuse(err, p->name,
                  "unknown type %.*s; known are str, int, float, bool, object, "
                  "array, any, and each with '?' to allow null",
                  (int)(len < 60 ? len : 60), value);
}

static int parse_pattern(const struct json_member *m, struct property *p,
                         struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (m->type != JSON_STRING)
        return refuse(err, p->name, "pattern: expected a string");
    json_unescape(m->value, m->value_len, &b);
    int r = pattern_new(b.data ? b.data : "", b.len, &p->pattern, err);
    return r < 0 ? err_wrap(err, r, "schema: %s: pattern", p->name) : 0;
}

static int parse_choices(const struct json_member *m, struct property *p,
                         struct err *err)
{
    struct json_member e;

    if (m->type != JSON_ARRAY)
        return refuse(err, p->name, "enum: expected an array of values");
    for (size_t at = 0; json_element(m->value, m->value_len, &at, &e);) {
        if (e.type == JSON_OBJECT || e.type == JSON_ARRAY)
            return refuse(err, p->name,
                          "enum: expected strings, numbers, true, false or "
                          "null in it");
        if ((p->n_choices & (p->n_choices - 1)) == 0)
            p->choices =
                xrealloc(p->choices, (p->n_choices ? p->n_choices * 2 : 1) *
                                         sizeof(*p->choices));
        p->choices[p->n_choices++] = value_of(&e);
    }
    if (p->n_choices == 0)
        return refuse(err, p->name, "enum: no value would be allowed");
    return 0;
}

static int parse_bound(const struct json_member *m, const char *word,
                       struct property *p, struct value *out, struct err *err)
{
    if (m->type != JSON_NUMBER)
        return refuse(err, p->name, "%s: expected a number", word);
    *out = value_of(m);
    return 0;
}

static int parse_word(const struct json_member *m, struct property *p,
                      struct err *err)
{
    if (json_name_is(m, "type", 4)) {
        if (m->type != JSON_STRING)
            return refuse(err, p->name, "type: expected a string");
        return parse_type(m->value, m->value_len, p, err);
    }
    if (json_name_is(m, "min", 3))
        return parse_bound(m, "min", p, &p->least, err);
    if (json_name_is(m, "max", 3))
        return parse_bound(m, "max", p, &p->most, err);
    if (json_name_is(m, "enum", 4))
        return parse_choices(m, p, err);
    if (json_name_is(m, "pattern", 7))
        return parse_pattern(m, p, err);
    if (json_name_is(m, "default", 7)) {
        p->otherwise = value_of(m);
        return 0;
    }
    return refuse(err, p->name,
                  "unknown word '%.*s'; known are type, min, max, enum, "
                  "pattern, default",
                  (int)(m->name_len < 60 ? m->name_len : 60), m->name);
}

/* Do a property's words agree with each other? */
static int check_property(const struct property *p, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    bool number = p->type == SCHEMA_INT || p->type == SCHEMA_FLOAT;

    if ((p->least.text || p->most.text) && !number)
        return refuse(err, p->name, "min and max need type int or float");
    if (p->least.text && p->most.text &&
        json_number_compare(p->least.text, p->least.len, p->most.text,
                            p->most.len) > 0)
        return refuse(err, p->name, "min is above max");
    if (p->pattern && p->type != SCHEMA_STR)
        return refuse(err, p->name, "pattern needs type str");
    for (size_t i = 0; i < p->n_choices; i++) {
        const struct value *v = &p->choices[i];
        if (!(v->type == JSON_NULL && p->nullable) &&
            !schema_has_type(p->type, v->type, v->text, v->len))
            return refuse(err, p->name, "enum: %.*s is no %s",
                          (int)(v->len < 60 ? v->len : 60), v->text,
                          schema_type_names[p->type]);
    }
    if (p->otherwise.text &&
        !schema_check_value(p, p->otherwise.type, p->otherwise.text,
                            p->otherwise.len, &b))
        return refuse(err, p->name, "default: expected %s", b.data);
    return 0;
}

/* No name twice in an object of the schema's: the second would win unseen. */
static int check_twice(const char *object, size_t len, const char *where,
                       struct err *err)
{
    AUTO_MEMBER_NAMES struct member_names seen;
    struct json_member m;

    member_names_init(&seen);
    for (size_t at = 0; json_next(object, len, &at, &m);)
        member_names_add(&seen, &m, len);
    const struct member_name *twice = member_names_twice(&seen);
    if (!twice)
        return 0;
    AUTO_BUF struct buf b = BUF_INIT;
    schema_add_cut(&b, twice->text, twice->len);
    return refuse(err, where, "'%s' is there twice", b.data ? b.data : "");
}

static int parse_property(struct schema *s, const struct json_member *m,
                          struct err *err)
{
    AUTO_STR char *name = NULL;
    struct json_member word;

    int r = parse_name(m->name, m->name_len, "properties", &name, err);
    if (r < 0)
        return r;
    struct property *p = property_need(s, name);
    if (m->type == JSON_STRING)
        return parse_type(m->value, m->value_len, p, err);
    if (m->type != JSON_OBJECT)
        return refuse(err, name,
                      "expected a type, or an object like "
                      "{\"type\":\"int\",\"min\":0}");
    r = check_twice(m->value, m->value_len, name, err);
    for (size_t at = 0;
         r == 0 && json_next(m->value, m->value_len, &at, &word);)
        r = parse_word(&word, p, err);
    return r < 0 ? r : check_property(p, err);
}

static int parse_properties(struct schema *s, const struct json_member *m,
                            struct err *err)
{
    struct json_member one;

    if (m->type != JSON_OBJECT)
        return refuse(err, "properties", "expected an object");
    int r = check_twice(m->value, m->value_len, "properties", err);
    for (size_t at = 0; r == 0 && json_next(m->value, m->value_len, &at, &one);)
        r = parse_property(s, &one, err);
    return r;
}

static int parse_required(struct schema *s, const struct json_member *m,
                          struct err *err)
{
    struct json_member e;

    if (m->type != JSON_ARRAY)
        return refuse(err, "required", "expected an array of field names");
    for (size_t at = 0; json_element(m->value, m->value_len, &at, &e);) {
        AUTO_STR char *name = NULL;
        int r = parse_name_value(&e, "required", &name, err);
        if (r < 0)
            return r;
        /* Where the properties say nothing of it, any value will do. */
        property_need(s, name)->required = true;
    }
    return 0;
}

static int parse_index(struct schema *s, const struct json_member *m,
                       struct err *err)
{
    AUTO_STR char *name = NULL;
    bool unique = false;
    struct json_member word;

    int r = parse_name(m->name, m->name_len, "indexes", &name, err);
    if (r < 0)
        return r;
    if (m->type != JSON_OBJECT)
        return refuse(err, "indexes", "%s: expected {} or {\"unique\":true}",
                      name);
    r = check_twice(m->value, m->value_len, "indexes", err);
    if (r < 0)
        return r;
    for (size_t at = 0; json_next(m->value, m->value_len, &at, &word);) {
        if (!json_name_is(&word, "unique", 6) || word.type != JSON_BOOL)
            return refuse(err, "indexes",
                          "%s: expected {} or {\"unique\":true}", name);
        unique = word.value[0] == 't';
    }
    s->indexes = xrealloc(s->indexes, (s->n_indexes + 1) * sizeof(*s->indexes));
    s->indexes[s->n_indexes++] = (struct indexed){name, unique};
    name = NULL;
    return 0;
}

static int parse_indexes(struct schema *s, const struct json_member *m,
                         struct err *err)
{
    struct json_member one;

    if (m->type != JSON_OBJECT)
        return refuse(err, "indexes", "expected an object");
    s->says_indexes = true;
    int r = check_twice(m->value, m->value_len, "indexes", err);
    for (size_t at = 0; r == 0 && json_next(m->value, m->value_len, &at, &one);)
        r = parse_index(s, &one, err);
    return r;
}

static int parse_part(struct schema *s, const struct json_member *m,
                      struct err *err)
{
    if (json_name_is(m, "pk", 2))
        return parse_name_value(m, "pk", &s->pk, err);
    if (json_name_is(m, "required", 8))
        return parse_required(s, m, err);
    if (json_name_is(m, "properties", 10))
        return parse_properties(s, m, err);
    if (json_name_is(m, "indexes", 7))
        return parse_indexes(s, m, err);
    if (json_name_is(m, "additional", 10)) {
        if (m->type != JSON_BOOL)
            return refuse(err, "additional", "expected true or false");
        s->closed = m->value[0] == 'f';
        return 0;
    }
    return err_set(err, -EINVAL,
                   "schema: unknown word '%.*s'; known are pk, required, "
                   "properties, additional, indexes",
                   (int)(m->name_len < 60 ? m->name_len : 60), m->name);
}

static int parse_all(struct schema *s, const char *text, size_t len,
                     struct err *err)
{
    struct json_member m;

    if (json_check(text, len, err) < 0)
        return err_wrap(err, -EINVAL, "schema");
    int r = check_twice(text, len, "the text", err);
    for (size_t at = 0; r == 0 && json_next(text, len, &at, &m);)
        r = parse_part(s, &m, err);
    if (r < 0)
        return r;
    if (!s->pk)
        return err_set(err, -EINVAL,
                       "schema: \"pk\" is missing: the field that is a row's "
                       "key, as in {\"pk\":\"id\"}");
    s->pk_len = strlen(s->pk);
    struct property *p = schema_property(s, s->pk, s->pk_len);
    s->pk_property = p;
    if (p && ((p->type != SCHEMA_STR && p->type != SCHEMA_INT &&
               p->type != SCHEMA_ANY) ||
              p->nullable))
        return refuse(err, s->pk,
                      "the primary key must have type str or int, without '?'");
    if (p && p->otherwise.text)
        return refuse(err, s->pk, "the primary key can have no default");
    return 0;
}

int schema_parse(const char *text, size_t len, struct schema **out,
                 struct err *err)
{
    struct schema *s = xcalloc(1, sizeof(*s));
    AUTO_BUF struct buf b = BUF_INIT;

    atomic_init(&s->refs, 1);
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    buf_add(&b, text, len);
    buf_addc(&b, '\n');
    s->text_len = b.len;
    s->text = buf_take_str(&b);
    int r = parse_all(s, s->text, len, err);
    if (r < 0) {
        schema_unref(s);
        return r;
    }
    *out = s;
    return 0;
}

struct schema *schema_new_default(const char *pk)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct schema *s = NULL;

    buf_addstr(&b, "{\"pk\":");
    buf_add_json(&b, pk, strlen(pk));
    buf_addc(&b, '}');
    return schema_parse(b.data, b.len, &s, NULL) < 0 ? NULL : s;
}

int schema_parse_over(const struct schema *old, const char *text, size_t len,
                      struct schema **out, struct err *err)
{
    AUTO_BUF struct buf indexes = BUF_INIT;
    AUTO_BUF struct buf both = BUF_INIT;
    struct json_member m;

    /* What is no object says so by itself. */
    if (json_check(text, len, NULL) == 0) {
        struct json_member kept;
        if (!json_find(text, len, "indexes", &m) &&
            json_find(old->text, old->text_len, "indexes", &kept)) {
            json_with_member(text, len, "indexes", kept.value, kept.value_len,
                             &indexes);
            text = indexes.data;
            len = indexes.len;
        }
        if (!json_find(text, len, "pk", &m)) {
            AUTO_BUF struct buf pk = BUF_INIT;
            buf_add_json(&pk, old->pk, old->pk_len);
            json_with_member(text, len, "pk", pk.data, pk.len, &both);
            text = both.data;
            len = both.len;
        }
    }
    return schema_parse(text, len, out, err);
}

struct schema *schema_with_indexes(const struct schema *s,
                                   const struct schema_index *list, size_t n)
{
    AUTO_BUF struct buf value = BUF_INIT;
    AUTO_BUF struct buf text = BUF_INIT;
    struct schema *made = NULL;

    buf_addc(&value, '{');
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(&value, ',');
        buf_add_json(&value, list[i].field, strlen(list[i].field));
        buf_addstr(&value, list[i].unique ? ":{\"unique\":true}" : ":{}");
    }
    buf_addc(&value, '}');
    /* New words go behind the others. */
    struct json_member m;
    size_t end = s->text_len;
    if (json_find(s->text, s->text_len, "indexes", &m)) {
        json_with_member(s->text, s->text_len, "indexes", value.data, value.len,
                         &text);
    } else {
        while (s->text[end - 1] != '}')
            end--;
        size_t last = end - 1;
        while (strchr(" \t\r\n", s->text[last - 1]))
            last--;
        buf_add(&text, s->text, last);
        buf_addstr(&text, ",\"indexes\":");
        buf_add(&text, value.data, value.len);
        buf_add(&text, s->text + last, s->text_len - last);
    }
    /* Nothing but names that were in a schema or have been checked. */
    return schema_parse(text.data, text.len, &made, NULL) < 0 ? NULL : made;
}
