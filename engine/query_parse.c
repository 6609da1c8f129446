/* A where: {"role":"student","age":{"$gte":18}}. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query_impl.h"

#define WHERE_EXAMPLE "{\"role\":\"student\",\"age\":{\"$gte\":18}}"

/* A member's name begins with '$'. */
static bool is_operator(const struct json_member *m)
{
    struct json_chars c;
    const char *run;
    size_t n;

    json_chars_init(&c, m->name, m->name_len);
    return json_chars_next(&c, &run, &n) && n > 0 && run[0] == '$';
}

static int unknown_operator(const struct json_member *m, struct err *err)
{
    static const char *const logic[] = {"$or", "$and", "$not", "$nor"};
    AUTO_BUF struct buf name = BUF_INIT;

    for (size_t i = 0; i < sizeof(logic) / sizeof(logic[0]); i++)
        if (json_name_is(m, logic[i], strlen(logic[i])))
            return err_set(err, -EINVAL,
                           "there is no %s: all terms must hold. For one of "
                           "several values write {\"$in\":[…]}, for any but "
                           "one {\"$ne\":…}",
                           logic[i]);
    query_add_cut(&name, m->name, m->name_len);
    return err_set(err, -EINVAL,
                   "there is no operator '%s'; there are $eq $ne $gt $gte $lt "
                   "$lte $contains $in $exists $prefix",
                   name.data ? name.data : "");
}

static int add_list(struct query *q, struct query_path *path,
                    const struct json_member *m, struct err *err)
{
    struct query_span *values = NULL;
    size_t n = 0;
    struct json_member e;

    if (m->type != JSON_ARRAY) {
        AUTO_BUF struct buf found = BUF_INIT;
        query_add_cut(&found, m->value, m->value_len);
        int r = query_refuse(err, path,
                             "$in expects a list like {\"$in\":[1,2]}, found "
                             "%s",
                             found.data);
        query_path_free(path);
        return r;
    }
    /* One more than allowed is enough to be refused. */
    values = xcalloc(QUERY_VALUES_MAX + 1, sizeof(*values));
    for (size_t at = 0; n <= QUERY_VALUES_MAX &&
                        json_element(m->value, m->value_len, &at, &e);)
        values[n++] = (struct query_span){e.value, e.value_len};
    int r = query_add(q, path, QUERY_IN, values, n, QUERY_FORM_JSON, err);
    free(values);
    return r;
}

static int add_operator(struct query *q, const struct query_path *path,
                        const struct json_member *m, struct err *err)
{
    AUTO_BUF struct buf name = BUF_INIT;

    json_unescape(m->name, m->name_len, &name);
    int op = name.len > 0 && name.data[0] == '$'
                 ? query_op_of(name.data + 1, name.len - 1)
                 : -1;
    if (op < 0) {
        int r = unknown_operator(m, err);
        return err_wrap(err, r, "field '%.60s'", path->spelled);
    }
    if (op == QUERY_IN)
        return add_list(q, query_path_copy(path), m, err);
    if (op == QUERY_EXISTS) {
        if (m->type == JSON_BOOL)
            return query_add_exists(q, query_path_copy(path),
                                    m->value[0] == 't', err);
        AUTO_BUF struct buf found = BUF_INIT;
        query_add_cut(&found, m->value, m->value_len);
        return query_refuse(
            err, path, "$exists expects true or false, found %s", found.data);
    }
    struct query_span value = {m->value, m->value_len};
    return query_add(q, query_path_copy(path), (enum query_op)op, &value, 1,
                     QUERY_FORM_JSON, err);
}

/* An object of operators, or one to be equal to? */
static int count_operators(const struct query_path *path,
                           const struct json_member *m, size_t *operators,
                           struct err *err)
{
    struct json_member one;
    size_t others = 0;

    *operators = 0;
    for (size_t at = 0; json_next(m->value, m->value_len, &at, &one);) {
        if (is_operator(&one))
            ++*operators;
        else
            others++;
    }
    if (*operators == 0 || others == 0)
        return 0;
    return query_refuse(err, path,
                        "operators and other names in one object; to compare "
                        "with an object that has such names write "
                        "{\"$eq\":{…}}");
}

static int add_field(struct query *q, const struct query_path *path,
                     const struct json_member *m, struct err *err)
{
    size_t operators = 0;
    struct json_member one;

    if (m->type == JSON_OBJECT) {
        int r = count_operators(path, m, &operators, err);
        if (r < 0)
            return r;
    }
    if (operators == 0) {
        struct query_span value = {m->value, m->value_len};
        return query_add(q, query_path_copy(path), QUERY_EQ, &value, 1,
                         QUERY_FORM_JSON, err);
    }
    for (size_t at = 0; json_next(m->value, m->value_len, &at, &one);) {
        int r = add_operator(q, path, &one, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A `$` outside of a field's object. */
static int misplaced(const struct json_member *m, struct err *err)
{
    AUTO_BUF struct buf name = BUF_INIT;

    json_unescape(m->name, m->name_len, &name);
    if (query_op_of(name.data + 1, name.len - 1) < 0)
        return unknown_operator(m, err);
    return err_set(err, -EINVAL,
                   "%s belongs to a field: write {\"field\":{\"%s\":…}}; a "
                   "field of that name is spelled \"\\\"%s\\\"\"",
                   name.data, name.data, name.data);
}

static int read_name(const struct json_member *m, struct query_path **out,
                     struct err *err)
{
    AUTO_BUF struct buf name = BUF_INIT;
    size_t used;

    json_unescape(m->name, m->name_len, &name);
    int r = query_path_read(name.data ? name.data : "", name.len, "", out,
                            &used, err);
    if (r < 0) {
        AUTO_BUF struct buf cut = BUF_INIT;
        query_add_cut(&cut, m->name, m->name_len);
        return err_wrap(err, r, "field '%s'", cut.data ? cut.data : "");
    }
    return 0;
}

static int add_members(struct query *q, const char *json, size_t len,
                       struct query_pick *seen, struct err *err)
{
    struct json_member m;

    for (size_t at = 0; json_next(json, len, &at, &m);) {
        struct query_path *path;
        if (is_operator(&m))
            return misplaced(&m, err);
        int r = read_name(&m, &path, err);
        if (r < 0)
            return r;
        size_t n = seen->n;
        /* A place in the list means a term at least. */
        if (n == PICK_MAX) {
            query_path_free(path);
            return err_set(err, -EINVAL, "a query has %d terms at most",
                           QUERY_TERMS_MAX);
        }
        size_t slot = query_pick_add(seen, path);
        if (slot < n)
            return query_refuse(err, seen->path[slot],
                                "it is there twice: put its operators into "
                                "one object, like {\"$gte\":1,\"$lt\":9}");
        r = add_field(q, seen->path[slot], &m, err);
        if (r < 0)
            return r;
    }
    return 0;
}

int query_add_where(struct query *q, const char *json, size_t len,
                    struct err *err)
{
    struct query_pick seen = {.n = 0};

    while (len > 0 && json[0] && strchr(" \t\r\n", json[0])) {
        json++;
        len--;
    }
    if (len == 0)
        return 0;
    if (len > QUERY_TEXT_MAX)
        return err_set(err, -EINVAL, "where: %d bytes at most, found %zu",
                       QUERY_TEXT_MAX, len);
    if (json[0] != '{') {
        AUTO_BUF struct buf found = BUF_INIT;
        query_add_cut(&found, json, len);
        return err_set(err, -EINVAL,
                       "where: expected a JSON object like " WHERE_EXAMPLE
                       ", found %s",
                       found.data);
    }
    if (json_check(json, len, err) < 0)
        return err_wrap(err, -EINVAL, "where");
    int r = add_members(q, json, len, &seen, err);
    query_pick_release(&seen);
    return r < 0 ? err_wrap(err, -EINVAL, "where") : 0;
}
