/* Path terms: role=student, age=gte.18, _sort=-age,id; and the lists and
 * numbers of the modifiers, which commands take as options. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/query_impl.h"

/* --- values --------------------------------------------------------------- */

/* Is all of s one JSON value? */
static bool is_json(const char *s, size_t len)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct json_member m;
    size_t at = 0;

    buf_addstr(&b, "{\"\":");
    buf_add(&b, s, len);
    buf_addc(&b, '}');
    return json_check(b.data, b.len, NULL) == 0 &&
           json_next(b.data, b.len, &at, &m) && m.value_len == len;
}

static bool is_scalar(const char *s, size_t len)
{
    return len > 0 && !strchr("\"[{", s[0]) && is_json(s, len);
}

/* The JSON value that a text stands for, by the field's type; a text that is
 * none of that type is a string, which query_add() refuses by name. */
static void read_value(const struct query_kind *kind, enum query_op op,
                       const char *s, size_t len, struct buf *out)
{
    enum schema_type type = kind->type;
    bool text = op == QUERY_PREFIX || type == SCHEMA_STR ||
                (op == QUERY_CONTAINS && (type == SCHEMA_OBJECT || kind->key));
    bool json = false;

    if (type == SCHEMA_STR && kind->nullable && op != QUERY_CONTAINS &&
        op != QUERY_PREFIX)
        json = len == 4 && memcmp(s, "null", 4) == 0;
    else if (!text && (type == SCHEMA_OBJECT || type == SCHEMA_ARRAY) &&
             op != QUERY_CONTAINS)
        json = is_json(s, len);
    else if (!text)
        json = is_scalar(s, len);
    if (json)
        buf_add(out, s, len);
    else
        buf_add_json(out, s, len);
}

/* Values as texts, made into one run of bytes. */
struct values {
    struct buf bytes;
    size_t end[2 * (QUERY_VALUES_MAX + 1)]; /* of each, in bytes */
    size_t n;
};

static bool is_whole_number(const char *s, size_t len)
{
    AUTO_BUF struct buf whole = BUF_INIT;

    return is_scalar(s, len) && json_type_of(s, len) == JSON_NUMBER &&
           query_whole_number(s, len, &whole);
}

static void add_value(struct values *vs, const struct query_kind *kind,
                      enum query_op op, const char *s, size_t len)
{
    /* The key's text tells which row it is. Without a type it is a string or a
     * whole number, so one that looks like a number is meant both ways, and
     * nothing else is any. */
    bool equality = op == QUERY_EQ || op == QUERY_NE || op == QUERY_IN;

    if (kind->key && kind->type == SCHEMA_ANY && equality) {
        if (is_whole_number(s, len)) {
            buf_add(&vs->bytes, s, len);
            vs->end[vs->n++] = vs->bytes.len;
        }
        buf_add_json(&vs->bytes, s, len);
    } else {
        read_value(kind, op, s, len, &vs->bytes);
    }
    vs->end[vs->n++] = vs->bytes.len;
}

static int add_values(struct query *q, struct query_path *path,
                      enum query_op op, const char *s, size_t len,
                      struct err *err)
{
    struct query_kind kind;

    int r = query_kind_of(q, path, &kind, err);
    if (r < 0) {
        query_path_free(path);
        return r;
    }
    struct values *vs = xcalloc(1, sizeof(*vs));
    if (op != QUERY_IN) {
        add_value(vs, &kind, op, s, len);
    } else {
        /* One more than allowed is enough to be refused. */
        for (size_t at = 0, n = 0; at <= len && n <= QUERY_VALUES_MAX; n++) {
            const char *comma = memchr(s + at, ',', len - at);
            size_t end = comma ? (size_t)(comma - s) : len;
            add_value(vs, &kind, op, s + at, end - at);
            at = end + 1;
        }
    }
    if (op == QUERY_EQ && vs->n > 1)
        op = QUERY_IN;
    struct query_span *spans = xcalloc(vs->n, sizeof(*spans));
    for (size_t i = 0, from = 0; i < vs->n; from = vs->end[i++])
        spans[i] =
            (struct query_span){vs->bytes.data + from, vs->end[i] - from};
    r = query_add(q, path, op, spans, vs->n, QUERY_FORM_PATH, err);
    free(spans);
    buf_release(&vs->bytes);
    free(vs);
    return r;
}

/* --- terms ---------------------------------------------------------------- */

static int add_exists(struct query *q, struct query_path *path, const char *s,
                      size_t len, struct err *err)
{
    if (len == 4 && memcmp(s, "true", 4) == 0)
        return query_add_exists(q, path, true, err);
    if (len == 5 && memcmp(s, "false", 5) == 0)
        return query_add_exists(q, path, false, err);
    AUTO_BUF struct buf found = BUF_INIT;
    query_add_cut(&found, s, len);
    int r = query_refuse(err, path,
                         "exists expects true or false, found '%s'; write "
                         "%.60s=exists.true",
                         found.data ? found.data : "", path->spelled);
    query_path_free(path);
    return r;
}

/* s: what stands behind the first '='. */
static int add_comparison(struct query *q, struct query_path *path,
                          const char *s, size_t len, struct err *err)
{
    const char *dot = len ? memchr(s, '.', len) : NULL;
    int op = dot ? query_op_of(s, (size_t)(dot - s)) : -1;

    if (op < 0) {
        op = QUERY_EQ;
    } else {
        len -= (size_t)(dot - s) + 1;
        s = dot + 1;
    }
    if (!utf8_valid(s, len)) {
        int r = query_refuse(err, path, "its value is not UTF-8");
        query_path_free(path);
        return r;
    }
    if (op == QUERY_EXISTS)
        return add_exists(q, path, s, len, err);
    return add_values(q, path, (enum query_op)op, s, len, err);
}

static const struct modifier {
    const char *name;
    int (*add)(struct query *q, const char *s, size_t len, struct err *err);
} modifiers[4];

static int add_modifier(struct query *q, const char *name, size_t name_len,
                        const char *s, size_t len, struct err *err)
{
    for (size_t i = 0; i < sizeof(modifiers) / sizeof(modifiers[0]); i++)
        if (strlen(modifiers[i].name) == name_len &&
            memcmp(modifiers[i].name, name, name_len) == 0)
            return modifiers[i].add(q, s, len, err);
    AUTO_BUF struct buf cut = BUF_INIT;
    query_add_cut(&cut, name, name_len);
    return err_set(err, -ENOENT,
                   "there is no modifier '%s'; there are _sort _limit _skip "
                   "_fields. A field of that name is spelled in quotes: "
                   "\"%s\"=…",
                   cut.data, cut.data);
}

int query_add_term(struct query *q, const char *term, size_t len,
                   struct err *err)
{
    struct query_path *path;
    size_t used;
    const char *equals = len ? memchr(term, '=', len) : NULL;

    if (len > QUERY_TEXT_MAX)
        return err_set(err, -EINVAL, "a term has %d bytes at most, found %zu",
                       QUERY_TEXT_MAX, len);
    if (!equals) {
        AUTO_BUF struct buf cut = BUF_INIT;
        query_add_cut(&cut, term, len);
        return err_set(err, -ENOENT,
                       "'%s' is no term: write field=value, like "
                       "role=student or age=gte.18",
                       cut.data ? cut.data : "");
    }
    if (term[0] == '_')
        return add_modifier(q, term, (size_t)(equals - term), equals + 1,
                            len - (size_t)(equals - term) - 1, err);
    if (term[0] == '$')
        return err_set(err, -EINVAL,
                       "operators are written field=op.value, like age=gte.18; "
                       "a field whose name begins with '$' is spelled in "
                       "quotes: \"$name\"=…");
    int r = query_path_read(term, len, "=", &path, &used, err);
    if (r < 0) {
        AUTO_BUF struct buf cut = BUF_INIT;
        query_add_cut(&cut, term, len);
        return err_wrap(err, r, "'%s'", cut.data);
    }
    if (used == len) {
        query_path_free(path);
        return err_set(err, -ENOENT, "a term needs '=' behind its field");
    }
    return add_comparison(q, path, term + used + 1, len - used - 1, err);
}

/* --- modifiers ------------------------------------------------------------ */

static int read_list(struct query *q, const char *what, bool signs, size_t most,
                     const char *s, size_t len, struct query_pick *out,
                     bool *down, struct err *err)
{
    for (size_t at = 0;;) {
        struct query_path *path;
        struct query_kind kind;
        size_t used = 0;
        bool minus = signs && at < len && s[at] == '-';

        at += minus;
        int r = query_path_read(s + at, len - at, ",", &path, &used, err);
        if (r < 0)
            return err_wrap(err, r, "%s", what);
        r = query_kind_of(q, path, &kind, err);
        if (r == 0 && signs &&
            (kind.type == SCHEMA_OBJECT || kind.type == SCHEMA_ARRAY))
            r = query_refuse(err, path, "%s have no order",
                             kind.type == SCHEMA_ARRAY ? "arrays" : "objects");
        if (r == 0 && out->n == most)
            r = err_set(err, -EINVAL, "%zu fields at most", most);
        if (r < 0) {
            query_path_free(path);
            return err_wrap(err, r, "%s", what);
        }
        size_t n = out->n, slot = query_pick_add(out, path);
        if (slot < n)
            return err_wrap(
                err, query_refuse(err, out->path[slot], "it is there twice"),
                "%s", what);
        if (down)
            down[slot] = minus;
        at += used;
        if (at == len)
            return 0;
        at++; /* the comma */
    }
}

static int add_sort(struct query *q, const char *s, size_t len, struct err *err)
{
    if (q->sort.n > 0)
        return err_set(err, -EINVAL,
                       "the order is there twice: write one list, like "
                       "-age,id");
    if (len > QUERY_TEXT_MAX)
        return err_set(err, -EINVAL, "sort: too long");
    return read_list(q, "sort", true, QUERY_SORT_MAX, s, len, &q->sort, q->down,
                     err);
}

static int add_fields(struct query *q, const char *s, size_t len,
                      struct err *err)
{
    if (q->fields.n > 0)
        return err_set(err, -EINVAL,
                       "the fields are there twice: write one list, like "
                       "id,email");
    if (len > QUERY_TEXT_MAX)
        return err_set(err, -EINVAL, "fields: too long");
    return read_list(q, "fields", false, QUERY_FIELDS_MAX, s, len, &q->fields,
                     NULL, err);
}

static int read_number(const char *what, uint64_t least, bool twice,
                       const char *s, size_t len, uint64_t *out,
                       struct err *err)
{
    uint64_t v;

    if (twice)
        return err_set(err, -EINVAL, "the %s is there twice", what);
    if (str_to_u64_n(s, len, &v) && v >= least && v < UINT64_MAX) {
        *out = v;
        return 0;
    }
    AUTO_BUF struct buf found = BUF_INIT;
    query_add_cut(&found, s, len);
    return err_set(err, -EINVAL,
                   "%s: expected a whole number from %llu, found '%s'", what,
                   (unsigned long long)least, found.data ? found.data : "");
}

static int add_limit(struct query *q, const char *s, size_t len,
                     struct err *err)
{
    int r = read_number("limit", 1, q->has_limit, s, len, &q->limit, err);
    if (r == 0)
        q->has_limit = true;
    return r;
}

static int add_skip(struct query *q, const char *s, size_t len, struct err *err)
{
    int r = read_number("skip", 0, q->has_skip, s, len, &q->skip, err);
    if (r == 0)
        q->has_skip = true;
    return r;
}

static const struct modifier modifiers[4] = {
    {"_sort", add_sort},
    {"_limit", add_limit},
    {"_skip", add_skip},
    {"_fields", add_fields},
};

/* A command names no place that could be missing: its options are wrong. */
static int as_option(int r)
{
    return r == -ENOENT ? -EINVAL : r;
}

int query_add_sort(struct query *q, const char *list, size_t len,
                   struct err *err)
{
    return as_option(add_sort(q, list, len, err));
}

int query_add_fields(struct query *q, const char *list, size_t len,
                     struct err *err)
{
    return as_option(add_fields(q, list, len, err));
}

int query_add_limit(struct query *q, const char *number, size_t len,
                    struct err *err)
{
    return add_limit(q, number, len, err);
}

int query_add_skip(struct query *q, const char *number, size_t len,
                   struct err *err)
{
    return add_skip(q, number, len, err);
}
