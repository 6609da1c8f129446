/* Rows are checked on their text, member by member, without a tree: a table of
 * a million rows is checked when its schema changes. */
#include "engine/schema.h"

#include <errno.h>
#include <regex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/record.h"

/* A JSON value of the schema's, as text. */
struct value {
    char *text; /* NULL: none */
    size_t len;
    enum json_type type;
};

struct property {
    char *name;
    size_t name_len;
    enum schema_type type;
    bool nullable, required;
    struct value least, most, otherwise; /* min, max, default */
    struct value *choices;
    size_t n_choices;
    char *pattern; /* NULL: none */
    regex_t regex; /* of pattern */
};

struct index {
    char *field;
    bool unique;
};

struct schema {
    atomic_uint refs;
    bool closed; /* "additional": false */
    char *text;
    size_t text_len;
    char *pk;
    size_t pk_len;
    const struct property *pk_property; /* NULL: nothing is said of it */
    struct property *properties;        /* by name */
    size_t n_properties;
    struct index *indexes; /* as they stand in the text */
    size_t n_indexes;
};

static const char *const type_names[] = {
    [SCHEMA_ANY] = "any",     [SCHEMA_STR] = "str",
    [SCHEMA_INT] = "int",     [SCHEMA_FLOAT] = "float",
    [SCHEMA_BOOL] = "bool",   [SCHEMA_OBJECT] = "object",
    [SCHEMA_ARRAY] = "array",
};

#define N_TYPES (sizeof(type_names) / sizeof(type_names[0]))

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
    if (p->pattern)
        regfree(&p->regex);
    free(p->pattern);
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

size_t schema_index_count(const struct schema *s)
{
    return s->n_indexes;
}

const char *schema_index_at(const struct schema *s, size_t i, bool *unique)
{
    *unique = s->indexes[i].unique;
    return s->indexes[i].field;
}

/* --- names ---------------------------------------------------------------- */

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

static struct property *property_find(const struct schema *s, const char *name,
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
    const struct property *p = property_find(s, field, len);
    return p ? p->type : SCHEMA_ANY;
}

/* The names an object has, escapes resolved. */
struct names {
    struct name {
        uint64_t hash;
        const char *text;
        size_t len;
        size_t at; /* which member: 0, 1, … */
    } few[32], *list;
    size_t n, cap;
    struct buf arena; /* of names that had escapes; never moves */
};

static void names_init(struct names *ns)
{
    ns->list = ns->few;
    ns->n = 0;
    ns->cap = sizeof(ns->few) / sizeof(ns->few[0]);
    ns->arena = BUF_INIT;
}

static void names_release(struct names *ns)
{
    if (ns->list != ns->few)
        free(ns->list);
    buf_release(&ns->arena);
}

#define AUTO_NAMES __attribute__((cleanup(names_release)))

/* text_len bounds what all its names together can take. */
static const struct name *
names_add(struct names *ns, const struct json_member *m, size_t text_len)
{
    if (ns->n == ns->cap) {
        ns->cap *= 4;
        struct name *more = xmalloc(ns->cap * sizeof(*more));
        memcpy(more, ns->list, ns->n * sizeof(*more));
        if (ns->list != ns->few)
            free(ns->list);
        ns->list = more;
    }
    struct name *n = &ns->list[ns->n];
    n->text = m->name;
    n->len = m->name_len;
    if (memchr(m->name, '\\', m->name_len)) {
        if (!ns->arena.data)
            buf_reserve(&ns->arena, text_len);
        size_t at = ns->arena.len;
        json_unescape(m->name, m->name_len, &ns->arena);
        n->text = ns->arena.data + at;
        n->len = ns->arena.len - at;
    }
    n->hash = hash_bytes(n->text, n->len);
    n->at = ns->n++;
    return n;
}

static bool same_name(const struct name *a, const struct name *b)
{
    return a->hash == b->hash && a->len == b->len &&
           memcmp(a->text, b->text, a->len) == 0;
}

static int by_hash(const void *a, const void *b)
{
    const struct name *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

/* A name that is there twice, or NULL. The list may be sorted by it. */
static const struct name *names_twice(struct names *ns)
{
    if (ns->n <= 32) {
        for (size_t i = 1; i < ns->n; i++)
            for (size_t k = 0; k < i; k++)
                if (same_name(&ns->list[i], &ns->list[k]))
                    return &ns->list[i];
        return NULL;
    }
    qsort(ns->list, ns->n, sizeof(*ns->list), by_hash);
    for (size_t i = 1; i < ns->n; i++)
        for (size_t k = i; k > 0 && ns->list[k - 1].hash == ns->list[i].hash;
             k--)
            if (same_name(&ns->list[i], &ns->list[k - 1]))
                return &ns->list[i];
    return NULL;
}

/* --- words in messages ---------------------------------------------------- */

/* As much of a text as a sentence bears: quoted already or not. */
static void add_cut(struct buf *b, const char *s, size_t len)
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
        add_cut(b, value, len);
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

/* --- values --------------------------------------------------------------- */

static bool is_int(const char *s, size_t len)
{
    for (size_t i = s[0] == '-'; i < len; i++)
        if (s[i] < '0' || s[i] > '9')
            return false;
    return len > (s[0] == '-');
}

static bool has_type(enum schema_type want, enum json_type is,
                     const char *value, size_t len)
{
    switch (want) {
    case SCHEMA_ANY:
        return true;
    case SCHEMA_STR:
        return is == JSON_STRING;
    case SCHEMA_INT:
        return is == JSON_NUMBER && is_int(value, len);
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

static bool matches(const struct property *p, const char *value, size_t len)
{
    AUTO_BUF struct buf s = BUF_INIT;

    json_unescape(value, len, &s);
    /* regexec() would see the string end at a NUL. */
    if (s.len > 0 && memchr(s.data, '\0', s.len))
        return false;
    return regexec(&p->regex, s.data ? s.data : "", 0, NULL, 0) == 0;
}

/* Is it what the schema asks for? If not, what that is goes to *expected. */
static bool check_value(const struct property *p, enum json_type type,
                        const char *value, size_t len, struct buf *expected)
{
    if (type == JSON_NULL && p->nullable)
        return true;
    if (!has_type(p->type, type, value, len)) {
        buf_printf(expected, "%s%s", type_names[p->type],
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
    if (p->pattern && !matches(p, value, len)) {
        buf_addstr(expected, "a string that matches ");
        add_cut(expected, p->pattern, strlen(p->pattern));
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
        add_cut(expected, p->choices[i].text, p->choices[i].len);
    }
    return false;
}

/* --- the schema's own text ------------------------------------------------ */

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
    struct property *p = property_find(s, name, len);

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
    for (size_t i = 0; i < N_TYPES; i++) {
        if (strlen(type_names[i]) != n || memcmp(type_names[i], name, n) != 0)
            continue;
        p->type = (enum schema_type)i;
        return 0;
    }
    return refuse(err, p->name,
                  "unknown type %.*s; known are str, int, float, bool, object, "
                  "array, any, and each with '?' to allow null",
                  (int)(len < 60 ? len : 60), value);
}

/* The library's compiler multiplies out what {m,n} repeats, so that a pattern
 * of a few bytes could take all memory; and \1 takes exponential time. */
static const char *pattern_fault(const char *s)
{
    unsigned long product = 1;

    if (strlen(s) > 512)
        return "longer than 512 bytes";
    for (; *s; s++) {
        if (*s == '\\') {
            if (s[1] >= '1' && s[1] <= '9')
                return "references back (\\1) are not supported";
            if (s[1])
                s++;
            continue;
        }
        if (*s != '{')
            continue;
        unsigned long most = 1, bound = 0;
        for (s++; *s && *s != '}'; s++) {
            if (*s == ',')
                bound = 0;
            else if (*s >= '0' && *s <= '9' && bound < 10000)
                bound = bound * 10 + (unsigned long)(*s - '0');
            if (bound > most)
                most = bound;
        }
        product *= most;
        if (product > 1000)
            return "repeats in braces come to more than 1000";
        if (!*s)
            break;
    }
    return NULL;
}

static int parse_pattern(const struct json_member *m, struct property *p,
                         struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (m->type != JSON_STRING)
        return refuse(err, p->name, "pattern: expected a string");
    json_unescape(m->value, m->value_len, &b);
    if (b.len > 0 &&
        (memchr(b.data, '\0', b.len) || !utf8_valid(b.data, b.len)))
        return refuse(err, p->name, "pattern: not UTF-8, or a NUL in it");

    AUTO_STR char *text = buf_take_str(&b);
    const char *fault = pattern_fault(text);
    if (fault)
        return refuse(err, p->name, "pattern: %s", fault);
    int r = regcomp(&p->regex, text, REG_EXTENDED | REG_NOSUB);
    if (r != 0) {
        char why[128];
        regerror(r, &p->regex, why, sizeof(why));
        return refuse(err, p->name, "pattern: %s", why);
    }
    p->pattern = text;
    text = NULL;
    return 0;
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
            !has_type(p->type, v->type, v->text, v->len))
            return refuse(err, p->name, "enum: %.*s is no %s",
                          (int)(v->len < 60 ? v->len : 60), v->text,
                          type_names[p->type]);
    }
    if (p->otherwise.text &&
        !check_value(p, p->otherwise.type, p->otherwise.text, p->otherwise.len,
                     &b))
        return refuse(err, p->name, "default: expected %s", b.data);
    return 0;
}

/* No name twice in an object of the schema's: the second would win unseen. */
static int check_twice(const char *object, size_t len, const char *where,
                       struct err *err)
{
    AUTO_NAMES struct names seen;
    struct json_member m;

    names_init(&seen);
    for (size_t at = 0; json_next(object, len, &at, &m);)
        names_add(&seen, &m, len);
    const struct name *twice = names_twice(&seen);
    if (!twice)
        return 0;
    AUTO_BUF struct buf b = BUF_INIT;
    add_cut(&b, twice->text, twice->len);
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
    s->indexes[s->n_indexes++] = (struct index){name, unique};
    name = NULL;
    return 0;
}

static int parse_indexes(struct schema *s, const struct json_member *m,
                         struct err *err)
{
    struct json_member one;

    if (m->type != JSON_OBJECT)
        return refuse(err, "indexes", "expected an object");
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
    struct property *p = property_find(s, s->pk, s->pk_len);
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

/* --- rows ----------------------------------------------------------------- */

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

/* A whole number in the one way it can be written: as a key it must have one
 * name only. */
static bool is_key_number(const char *s, size_t len)
{
    if (!is_int(s, len))
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

/* "field 'age' (line 3, column 9)"; value NULL: it is not in the text. */
static void add_field(struct buf *b, const char *name, size_t name_len,
                      const char *text, const char *value)
{
    buf_addstr(b, "field '");
    add_cut(b, name, name_len);
    buf_addc(b, '\'');
    if (!value)
        return;
    buf_addstr(b, " (");
    add_position(b, text, value);
    buf_addc(b, ')');
}

static int check_field(const struct property *p, const char *text,
                       const struct json_member *m, struct err *err)
{
    AUTO_BUF struct buf expected = BUF_INIT;

    if (check_value(p, m->type, m->value, m->value_len, &expected))
        return 0;
    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, p->name, p->name_len, text, text ? m->value : NULL);
    buf_printf(&b, ": expected %s, found ", expected.data);
    add_found(&b, m->value, m->value_len);
    return err_set(err, -EINVAL, "%s", b.data);
}

/* The key as the text's primary key has it. */
static int key_of_value(const struct schema *s, const char *text,
                        const struct json_member *m, struct buf *out,
                        struct err *err)
{
    if (m->type == JSON_STRING && !pk_is_int(s)) {
        json_unescape(m->value, m->value_len, out);
        return 0;
    }
    if (m->type == JSON_NUMBER && pk_may_be_number(s) &&
        is_key_number(m->value, m->value_len)) {
        buf_add(out, m->value, m->value_len);
        return 0;
    }
    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, s->pk, s->pk_len, text, m->value);
    buf_printf(&b, ": the primary key must be %s, found ",
               pk_is_int(s)          ? "a whole number like 12"
               : pk_may_be_number(s) ? "a string or a whole number like 12"
                                     : "a string");
    add_found(&b, m->value, m->value_len);
    return err_set(err, -EINVAL, "%s", b.data);
}

static int check_pk(const struct schema *s, const char *key, size_t key_len,
                    const char *text, const struct json_member *m,
                    struct buf *found, struct err *err)
{
    int r = key_of_value(s, text, m, found, err);
    if (r < 0)
        return r;
    if (!key) {
        r = schema_check_key(found->data, found->len, err);
        return r < 0 ? err_wrap(err, r, "field '%s'", s->pk) : 0;
    }
    if (buf_equals(found, key, key_len))
        return 0;

    AUTO_BUF struct buf b = BUF_INIT;
    add_field(&b, s->pk, s->pk_len, text, m->value);
    buf_addstr(&b, ": the primary key is ");
    add_found(&b, m->value, m->value_len);
    buf_addstr(&b, ", but the row is '");
    add_cut(&b, key, key_len);
    buf_addc(&b, '\'');
    return err_set(err, -EINVAL, "%s", b.data);
}

/* A key as the JSON value the schema wants it to be. */
static int value_of_key(const struct schema *s, const char *key, size_t key_len,
                        bool number, struct buf *out, struct err *err)
{
    if (pk_is_int(s) && !is_key_number(key, key_len)) {
        AUTO_BUF struct buf b = BUF_INIT;
        add_cut(&b, key, key_len);
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

/* What walking a row's members found out. */
struct found {
    struct names names;
    struct buf key;         /* of the pk, if it is there */
    unsigned char *present; /* by property: is it there? */
    bool has_pk;
};

static void found_release(struct found *f)
{
    names_release(&f->names);
    buf_release(&f->key);
    free(f->present);
}

#define AUTO_FOUND __attribute__((cleanup(found_release)))

static int check_members(const struct schema *s, const char *key,
                         size_t key_len, const char *text, size_t len,
                         struct found *f, struct err *err)
{
    struct json_member m;
    int r = 0;

    for (size_t at = 0; r == 0 && json_next(text, len, &at, &m);) {
        const struct name *n = names_add(&f->names, &m, len);
        bool pk = n->len == s->pk_len && memcmp(n->text, s->pk, n->len) == 0;
        struct property *p = property_find(s, n->text, n->len);
        if (p)
            f->present[p - s->properties] = 1;
        if (pk && !f->has_pk) {
            f->has_pk = true;
            r = check_pk(s, key, key_len, text, &m, &f->key, err);
        }
        if (r == 0 && p) {
            r = check_field(p, text, &m, err);
        } else if (r == 0 && s->closed && !pk) {
            AUTO_BUF struct buf b = BUF_INIT;
            add_field(&b, n->text, n->len, text, m.name);
            r = err_set(err, -EINVAL,
                        "%s: the schema does not have it, and allows no "
                        "others",
                        b.data);
        }
    }
    if (r < 0)
        return r;

    const struct name *twice = names_twice(&f->names);
    if (twice) {
        AUTO_BUF struct buf b = BUF_INIT;
        add_field(&b, twice->text, twice->len, text, NULL);
        return err_set(err, -EINVAL, "%s is there twice", b.data);
    }
    return 0;
}

int schema_check(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct buf *key_out, struct err *err)
{
    AUTO_BUF struct buf pk_value = BUF_INIT;
    AUTO_FOUND struct found f = {.key = BUF_INIT};
    int r = key ? schema_check_key(key, key_len, err) : 0;

    names_init(&f.names);
    if (r < 0)
        return r;
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    r = check_text(text, len, err);
    if (r < 0)
        return r;

    f.present = xcalloc(s->n_properties, 1);
    r = check_members(s, key, key_len, text, len, &f, err);
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
        number = m.type == JSON_NUMBER && is_key_number(key, key_len);
    r = value_of_key(s, key, key_len, number, &value, err);
    if (r < 0)
        return r;
    while (len > 0 && strchr(" \t\r\n", text[len - 1]) && text[len - 1])
        len--;
    json_with_member(text, len, s->pk, value.data, value.len, out);
    return 0;
}
