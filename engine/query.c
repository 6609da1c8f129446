/* Building a query: terms are held against the schema as they come, so that a
 * query that was built makes sense, and a row need not be asked about it. */
#include "engine/query_impl.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"

const char *const query_op_names[QUERY_OPS] = {
    [QUERY_EQ] = "eq",
    [QUERY_NE] = "ne",
    [QUERY_GT] = "gt",
    [QUERY_GTE] = "gte",
    [QUERY_LT] = "lt",
    [QUERY_LTE] = "lte",
    [QUERY_CONTAINS] = "contains",
    [QUERY_IN] = "in",
    [QUERY_EXISTS] = "exists",
    [QUERY_PREFIX] = "prefix",
};

/* As a schema spells them. */
static const char *const type_names[] = {
    [SCHEMA_ANY] = "any",     [SCHEMA_STR] = "str",
    [SCHEMA_INT] = "int",     [SCHEMA_FLOAT] = "float",
    [SCHEMA_BOOL] = "bool",   [SCHEMA_OBJECT] = "object",
    [SCHEMA_ARRAY] = "array",
};

/* --- life ----------------------------------------------------------------- */

struct query *query_new(struct schema *schema)
{
    struct query *q = xcalloc(1, sizeof(*q));

    atomic_init(&q->refs, 1);
    q->schema = schema ? schema_ref(schema) : NULL;
    q->limit = UINT64_MAX;
    for (size_t i = 0; i < PICK_MAX; i++)
        q->first[i] = -1;
    return q;
}

struct query *query_ref(struct query *q)
{
    atomic_fetch_add_explicit(&q->refs, 1, memory_order_relaxed);
    return q;
}

static void term_unref(struct query_term_box *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < t->pub.n_values; i++)
        query_operand_release(&t->operands[i]);
    for (size_t i = 0; i < t->n_keys; i++)
        free(t->key_texts[i]);
    free(t->key_texts);
    free(t->keys);
    free(t->values);
    free(t->operands);
    query_path_free(t->path);
    free(t);
}

void query_unref(struct query *q)
{
    if (!q || atomic_fetch_sub_explicit(&q->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (size_t i = 0; i < q->n_terms; i++)
        term_unref(q->terms[i]);
    query_pick_release(&q->match);
    query_pick_release(&q->sort);
    query_pick_release(&q->fields);
    schema_unref(q->schema);
    free(q);
}

static void pick_copy(struct query_pick *to, const struct query_pick *from)
{
    for (size_t i = 0; i < from->n; i++)
        query_pick_add(to, query_path_copy(from->path[i]));
}

struct query *query_copy(const struct query *q)
{
    struct query *c = xmalloc(sizeof(*c));

    *c = *q;
    atomic_init(&c->refs, 1);
    if (c->schema)
        schema_ref(c->schema);
    for (size_t i = 0; i < c->n_terms; i++)
        atomic_fetch_add_explicit(&c->terms[i]->refs, 1, memory_order_relaxed);
    c->match = c->sort = c->fields = (struct query_pick){.n = 0};
    pick_copy(&c->match, &q->match);
    pick_copy(&c->sort, &q->sort);
    pick_copy(&c->fields, &q->fields);
    return c;
}

/* --- words ---------------------------------------------------------------- */

int query_op_of(const char *name, size_t len)
{
    for (int i = 0; i < QUERY_OPS; i++)
        if (strlen(query_op_names[i]) == len &&
            memcmp(query_op_names[i], name, len) == 0)
            return i;
    return -1;
}

void query_add_cut(struct buf *b, const char *s, size_t len)
{
    size_t n = 0;

    while (n < len) {
        uint32_t cp;
        size_t bytes = utf8_decode(s + n, len - n, &cp);
        if (bytes == 0 || n + bytes > 60)
            break;
        if (cp < 0x20 || cp == 0x7f)
            buf_addc(b, ' ');
        else
            buf_add(b, s + n, bytes);
        n += bytes;
    }
    if (n < len)
        buf_addstr(b, "…");
}

int query_refuse(struct err *err, const struct query_path *path,
                 const char *fmt, ...)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf name = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    query_add_cut(&name, path->spelled, strlen(path->spelled));
    return err_set(err, -EINVAL, "field '%s': %s", name.data ? name.data : "",
                   b.data);
}

bool query_whole_number(const char *s, size_t len, struct buf *out)
{
    AUTO_BUF struct buf form = BUF_INIT;
    uint64_t power = 0;

    json_number_canonical(s, len, &form);
    const char *digits = form.data, *e = strchr(form.data, 'e');
    if (!e) {
        buf_addc(out, '0');
        return true;
    }
    size_t n = (size_t)(e - digits) - (digits[0] == '-');
    if (!str_to_u64(e + 1, &power) || power + 1 < n || power > 2000)
        return false;
    buf_add(out, digits, (size_t)(e - digits));
    for (size_t i = n; i < power + 1; i++)
        buf_addc(out, '0');
    return true;
}

/* --- the schema ----------------------------------------------------------- */

static int unknown_field(const struct query *q, const struct query_path *path,
                         struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    const char *name;

    for (size_t i = 0; (name = schema_field_at(q->schema, i)); i++) {
        if (b.len > 200) {
            buf_addstr(&b, ", …");
            break;
        }
        if (i > 0)
            buf_addstr(&b, ", ");
        query_add_cut(&b, name, strlen(name));
    }
    query_refuse(err, path, "there is none of this name; the schema has %s",
                 b.data);
    return -ENOENT;
}

/* Can a name of the path be one that objects are in? */
static int enter(const struct query *q, const struct query_path *path,
                 const char *name, size_t len, bool *found, struct err *err)
{
    if (!schema_has_field(q->schema, name, len))
        return 0;
    enum schema_type type = schema_field_type(q->schema, name, len);
    const char *pk = schema_pk(q->schema);
    bool key = strlen(pk) == len && memcmp(pk, name, len) == 0;
    if (!key && (type == SCHEMA_ANY || type == SCHEMA_OBJECT)) {
        *found = true;
        return 0;
    }
    AUTO_BUF struct buf b = BUF_INIT;
    query_add_cut(&b, name, len);
    return query_refuse(err, path, "'%s' is %s: there are no fields in it",
                        b.data ? b.data : "",
                        key ? "the primary key" : type_names[type]);
}

int query_kind_of(const struct query *q, const struct query_path *path,
                  struct query_kind *out, struct err *err)
{
    const struct schema *s = q->schema;
    size_t len = 0;
    const char *name = query_path_name(path, &len);
    bool found = false;
    int r = 0;

    *out = (struct query_kind){.type = SCHEMA_ANY};
    if (!s)
        return 0;
    if (name && schema_has_field(s, name, len)) {
        const char *pk = schema_pk(s);
        out->type = schema_field_type(s, name, len);
        out->nullable = schema_field_nullable(s, name, len);
        out->key = strlen(pk) == len && memcmp(pk, name, len) == 0;
        return 0;
    }
    if (path->exact && path->n > 1) {
        r = enter(q, path, query_path_at(path, 0), path->name[0].len, &found,
                  err);
    } else if (!path->exact) {
        struct err first = ERR_INIT;
        /* One name that can be entered is enough. */
        for (size_t i = 0; i < path->len && !found; i++) {
            if (path->bytes[i] != '.')
                continue;
            int e = enter(q, path, path->bytes, i, &found, &first);
            if (e < 0 && r == 0) {
                r = e;
                if (err)
                    *err = first;
            }
        }
        if (found)
            r = 0;
    }
    if (r == 0 && !found && schema_is_closed(s))
        return unknown_field(q, path, err);
    return r;
}

/* --- values --------------------------------------------------------------- */

static const char *example_of(enum schema_type type, enum query_form form)
{
    switch (type) {
    case SCHEMA_INT:
        return "18";
    case SCHEMA_FLOAT:
        return "1.5";
    case SCHEMA_BOOL:
        return "true";
    case SCHEMA_OBJECT:
        return "{\"a\":1}";
    case SCHEMA_ARRAY:
        return "[1,2]";
    case SCHEMA_STR:
    case SCHEMA_ANY:
        break;
    }
    return form == QUERY_FORM_JSON ? "\"text\"" : "text";
}

/* The term as it should be written. */
static void add_example(struct buf *b, const struct query_path *path,
                        enum query_op op, const char *value,
                        enum query_form form)
{
    AUTO_BUF struct buf name = BUF_INIT;

    query_add_cut(&name, path->spelled, strlen(path->spelled));
    if (form == QUERY_FORM_PATH) {
        buf_printf(b, "%s=", name.data);
        if (op != QUERY_EQ)
            buf_printf(b, "%s.", query_op_names[op]);
        buf_addstr(b, value);
        return;
    }
    buf_addc(b, '{');
    buf_add_json(b, name.data, name.len);
    if (op == QUERY_EQ)
        buf_printf(b, ":%s}", value);
    else if (op == QUERY_IN)
        buf_printf(b, ":{\"$in\":[%s]}}", value);
    else
        buf_printf(b, ":{\"$%s\":%s}}", query_op_names[op], value);
}

/* What a value must be: "int" of "expected int, found …". NULL: it is. */
static const char *expected_of(const struct query_kind *kind, enum query_op op,
                               struct query_span v, enum schema_type *example)
{
    enum json_type is = json_type_of(v.at, v.len);
    bool order =
        op == QUERY_GT || op == QUERY_GTE || op == QUERY_LT || op == QUERY_LTE;
    enum schema_type type = kind->type;

    *example = type;
    if (op == QUERY_PREFIX || (op == QUERY_CONTAINS && type != SCHEMA_ARRAY &&
                               (type != SCHEMA_ANY || kind->key))) {
        *example = SCHEMA_STR;
        return is == JSON_STRING ? NULL : "a string";
    }
    if (op == QUERY_CONTAINS)
        return NULL;
    if (order && (is == JSON_NULL || is == JSON_ARRAY || is == JSON_OBJECT)) {
        if (type == SCHEMA_ANY)
            *example = SCHEMA_INT;
        return type == SCHEMA_ANY ? "a number, a string or a boolean"
                                  : type_names[type];
    }
    if (is == JSON_NULL && kind->nullable)
        return NULL;
    AUTO_BUF struct buf whole = BUF_INIT;
    switch (type) {
    case SCHEMA_ANY:
        if (!kind->key || is == JSON_STRING || (order && is == JSON_NUMBER) ||
            (is == JSON_NUMBER && query_whole_number(v.at, v.len, &whole)))
            return NULL;
        return "a string or a whole number";
    case SCHEMA_STR:
        return is == JSON_STRING ? NULL : "str";
    case SCHEMA_INT:
        if (is == JSON_NUMBER &&
            (order || query_whole_number(v.at, v.len, &whole)))
            return NULL;
        return "int";
    case SCHEMA_FLOAT:
        return is == JSON_NUMBER ? NULL : "float";
    case SCHEMA_BOOL:
        return is == JSON_BOOL ? NULL : "bool";
    case SCHEMA_OBJECT:
        return is == JSON_OBJECT ? NULL : "object";
    case SCHEMA_ARRAY:
        return is == JSON_ARRAY ? NULL : "array";
    }
    return NULL;
}

static int check_value(const struct query_path *path,
                       const struct query_kind *kind, enum query_op op,
                       struct query_span v, enum query_form form,
                       struct err *err)
{
    AUTO_BUF struct buf found = BUF_INIT;
    AUTO_BUF struct buf example = BUF_INIT;
    enum schema_type like;
    const char *expected = expected_of(kind, op, v, &like);

    if (!expected)
        return 0;
    query_add_cut(&found, v.at, v.len);
    add_example(&example, path, op, example_of(like, form), form);
    if (json_type_of(v.at, v.len) == JSON_NULL && op <= QUERY_NE) {
        buf_addstr(&example, ", or for rows without it ");
        add_example(&example, path, QUERY_EXISTS, "false", form);
    }
    return query_refuse(err, path, "expected %s%s, found %s; write %s",
                        expected,
                        kind->nullable && op <= QUERY_NE ? " or null" : "",
                        found.data ? found.data : "", example.data);
}

/* Can this operator be asked of a field of this type at all? */
static int check_op(const struct query_path *path,
                    const struct query_kind *kind, enum query_op op,
                    struct err *err)
{
    enum schema_type type = kind->type;
    const char *what = NULL;

    switch (op) {
    case QUERY_GT:
    case QUERY_GTE:
    case QUERY_LT:
    case QUERY_LTE:
        if (type == SCHEMA_OBJECT || type == SCHEMA_ARRAY)
            what = "needs an order, which int, float, str and bool have";
        break;
    case QUERY_CONTAINS:
        if (type == SCHEMA_INT || type == SCHEMA_FLOAT || type == SCHEMA_BOOL)
            what = "looks into str, array and object";
        break;
    case QUERY_PREFIX:
        if (type != SCHEMA_STR && type != SCHEMA_ANY)
            what = "looks at the beginning of a str";
        break;
    case QUERY_EQ:
    case QUERY_NE:
    case QUERY_IN:
    case QUERY_EXISTS:
        break;
    }
    if (!what)
        return 0;
    return query_refuse(err, path, "%s %s, and this field is %s",
                        query_op_names[op], what, type_names[type]);
}

/* --- terms ---------------------------------------------------------------- */

static void add_key(struct query_term_box *t, struct buf *key)
{
    for (size_t i = 0; i < t->n_keys; i++)
        if (buf_equals(key, t->keys[i].key, t->keys[i].len))
            return;
    size_t n = t->n_keys + 1, len = key->len;
    t->keys = xrealloc(t->keys, n * sizeof(*t->keys));
    t->key_texts = xrealloc(t->key_texts, n * sizeof(*t->key_texts));
    t->key_texts[n - 1] = buf_take_str(key);
    t->keys[n - 1] = (struct query_key){t->key_texts[n - 1], len};
    t->n_keys = n;
}

/* Which keys rows with these values have: a key is a string's bytes, or a
 * whole number as it is written. */
static void find_keys(struct query_term_box *t)
{
    for (size_t i = 0; i < t->pub.n_values; i++) {
        const struct query_value *v = &t->values[i];
        AUTO_BUF struct buf key = BUF_INIT;
        if (v->type == JSON_STRING)
            json_unescape(v->json, v->json_len, &key);
        else if (v->type == JSON_NUMBER)
            query_whole_number(v->json, v->json_len, &key);
        if (key.len > 0)
            add_key(t, &key);
    }
}

static struct query_term_box *
term_new(struct query_path *path, const struct query_kind *kind,
         enum query_op op, const struct query_span *values, size_t n)
{
    struct query_term_box *t = xcalloc(1, sizeof(*t));

    atomic_init(&t->refs, 1);
    t->path = path;
    t->values = xcalloc(n, sizeof(*t->values));
    t->operands = xcalloc(n, sizeof(*t->operands));
    for (size_t i = 0; i < n; i++)
        query_operand_init(&t->operands[i], &t->values[i], values[i],
                           op == QUERY_CONTAINS);
    if (n > 1)
        qsort(t->operands, n, sizeof(*t->operands), query_operand_compare);
    t->pub = (struct query_term){
        .spelled = path->spelled,
        .is_key = kind->key,
        .op = op,
        .values = t->values,
        .n_values = n,
    };
    t->pub.field = query_path_name(path, &t->pub.field_len);
    if (kind->key && query_is_equality(&t->pub))
        find_keys(t);
    return t;
}

static int put_term(struct query *q, struct query_path *path, enum query_op op,
                    const struct query_kind *kind,
                    const struct query_span *values, size_t n, bool exists,
                    struct err *err)
{
    if (q->n_terms == QUERY_TERMS_MAX) {
        int r = query_refuse(err, path, "a query has %d terms at most",
                             QUERY_TERMS_MAX);
        query_path_free(path);
        return r;
    }
    struct query_term_box *t = term_new(path, kind, op, values, n);
    t->pub.exists = exists;
    size_t i = q->n_terms++, slot;
    q->terms[i] = t;
    slot = query_pick_add(&q->match, query_path_copy(path));
    /* Behind those the slot has: errors and printing keep their order. */
    int *link = &q->first[slot];
    while (*link >= 0)
        link = &q->next[*link];
    *link = (int)i;
    q->next[i] = -1;
    return 0;
}

int query_add(struct query *q, struct query_path *path, enum query_op op,
              const struct query_span *values, size_t n, enum query_form form,
              struct err *err)
{
    struct query_kind kind;

    int r = query_kind_of(q, path, &kind, err);
    if (r == 0)
        r = check_op(path, &kind, op, err);
    if (r == 0 && n > QUERY_VALUES_MAX)
        r = query_refuse(err, path, "in takes %d values at most, found %zu%s",
                         QUERY_VALUES_MAX, n,
                         kind.key && kind.type == SCHEMA_ANY
                             ? " (a key that looks like a number is two)"
                             : "");
    for (size_t i = 0; r == 0 && i < n; i++)
        r = check_value(path, &kind, op, values[i], form, err);
    if (r < 0) {
        query_path_free(path);
        return r;
    }
    return put_term(q, path, op, &kind, values, n, false, err);
}

int query_add_exists(struct query *q, struct query_path *path, bool exists,
                     struct err *err)
{
    struct query_kind kind;

    int r = query_kind_of(q, path, &kind, err);
    if (r < 0) {
        query_path_free(path);
        return r;
    }
    return put_term(q, path, QUERY_EXISTS, &kind, NULL, 0, exists, err);
}

/* --- looking -------------------------------------------------------------- */

size_t query_term_count(const struct query *q)
{
    return q->n_terms;
}

const struct query_term *query_term_at(const struct query *q, size_t i)
{
    return &q->terms[i]->pub;
}

bool query_keys(const struct query *q, const struct query_key **keys, size_t *n)
{
    bool any = false;

    for (size_t i = 0; i < q->n_terms; i++) {
        const struct query_term_box *t = q->terms[i];
        if (!t->pub.is_key || !query_is_equality(&t->pub) ||
            (any && t->n_keys >= *n))
            continue;
        *keys = t->keys;
        *n = t->n_keys;
        any = true;
    }
    return any;
}

const char *query_field_at(const struct query *q, size_t i)
{
    if (i < q->match.n)
        return q->match.path[i]->spelled;
    i -= q->match.n;
    for (size_t k = 0; k < q->sort.n; k++) {
        bool seen = false;
        for (size_t m = 0; m < q->match.n && !seen; m++)
            seen = query_path_same(q->match.path[m], q->sort.path[k]);
        if (!seen && i-- == 0)
            return q->sort.path[k]->spelled;
    }
    return NULL;
}

bool query_sorts(const struct query *q)
{
    return q->sort.n > 0;
}

bool query_projects(const struct query *q)
{
    return q->fields.n > 0;
}

uint64_t query_skip(const struct query *q)
{
    return q->skip;
}

uint64_t query_limit(const struct query *q)
{
    return q->limit;
}

/* --- can it match? -------------------------------------------------------- */

static bool is_lower(enum query_op op)
{
    return op == QUERY_GT || op == QUERY_GTE;
}

static bool is_upper(enum query_op op)
{
    return op == QUERY_LT || op == QUERY_LTE;
}

/* Does every value of an equality break another term of its field? */
static bool no_value_holds(const struct query *q, size_t slot,
                           const struct query_term_box *equality)
{
    for (size_t k = 0; k < equality->pub.n_values; k++) {
        struct query_span v = {equality->values[k].json,
                               equality->values[k].json_len};
        bool holds = true;
        for (int i = q->first[slot]; i >= 0 && holds; i = q->next[i])
            holds = query_term_holds(q->terms[i], v);
        if (holds)
            return false;
    }
    return true;
}

/* Two terms of one field that no value can meet. */
static bool exclude(const struct query_term_box *a,
                    const struct query_term_box *b)
{
    enum query_op x = a->pub.op, y = b->pub.op;

    /* Being missing fits not being equal to something, and nothing else. */
    if (x == QUERY_EXISTS && !a->pub.exists)
        return y == QUERY_EXISTS ? b->pub.exists : y != QUERY_NE;
    bool x_typed = is_lower(x) || is_upper(x) || x == QUERY_PREFIX;
    bool y_typed = is_lower(y) || is_upper(y) || y == QUERY_PREFIX;
    if (!x_typed || !y_typed)
        return false;
    const struct query_operand *o = &a->operands[0], *p = &b->operands[0];
    if (o->type != p->type)
        return true;
    if (!is_lower(x) || !is_upper(y))
        return false;
    int d = query_operand_compare(o, p);
    return d > 0 || (d == 0 && (x == QUERY_GT || y == QUERY_LT));
}

static bool slot_never(const struct query *q, size_t slot)
{
    for (int i = q->first[slot]; i >= 0; i = q->next[i]) {
        if (query_is_equality(&q->terms[i]->pub) &&
            no_value_holds(q, slot, q->terms[i]))
            return true;
        for (int k = q->first[slot]; k >= 0; k = q->next[k])
            if (exclude(q->terms[i], q->terms[k]))
                return true;
    }
    return false;
}

bool query_never(const struct query *q)
{
    for (size_t i = 0; i < q->match.n; i++)
        if (slot_never(q, i))
            return true;
    return false;
}
