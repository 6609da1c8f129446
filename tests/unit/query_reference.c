#include "tests/unit/query_reference.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"

/* What a path finds, on json-c's tree. */
static bool slow_at(struct json_object *o, const char *field,
                    struct json_object **out)
{
    if (!json_object_is_type(o, json_type_object))
        return false;
    if (json_object_object_get_ex(o, field, out))
        return true;
    for (size_t i = strlen(field); i-- > 0;) {
        struct json_object *in;
        if (field[i] != '.')
            continue;
        AUTO_STR char *head = xstrndup(field, i);
        if (json_object_object_get_ex(o, head, &in) &&
            slow_at(in, field + i + 1, out))
            return true;
    }
    return false;
}

enum { RANK_NULL, RANK_BOOL, RANK_NUMBER, RANK_STRING, RANK_OTHER };

static int rank(struct json_object *v)
{
    switch (json_object_get_type(v)) {
    case json_type_null:
        return RANK_NULL;
    case json_type_boolean:
        return RANK_BOOL;
    case json_type_double:
    case json_type_int:
        return RANK_NUMBER;
    case json_type_string:
        return RANK_STRING;
    case json_type_object:
    case json_type_array:
        break;
    }
    return RANK_OTHER;
}

static int slow_strings(struct json_object *a, struct json_object *b)
{
    size_t n = (size_t)json_object_get_string_len(a);
    size_t m = (size_t)json_object_get_string_len(b);
    int d = memcmp(json_object_get_string(a), json_object_get_string(b),
                   n < m ? n : m);
    return d ? d : (n > m) - (n < m);
}

/* Of one rank, not other. */
static int slow_order(struct json_object *a, struct json_object *b)
{
    switch (rank(a)) {
    case RANK_BOOL:
        return json_object_get_boolean(a) - json_object_get_boolean(b);
    case RANK_NUMBER: {
        double x = json_object_get_double(a), y = json_object_get_double(b);
        return (x > y) - (x < y);
    }
    case RANK_STRING:
        return slow_strings(a, b);
    default:
        return 0;
    }
}

static bool slow_equal(struct json_object *a, struct json_object *b)
{
    if (rank(a) != rank(b))
        return false;
    if (rank(a) != RANK_OTHER)
        return slow_order(a, b) == 0;
    if (json_object_get_type(a) != json_object_get_type(b))
        return false;
    if (json_object_is_type(a, json_type_array)) {
        size_t n = json_object_array_length(a);
        if (n != json_object_array_length(b))
            return false;
        for (size_t i = 0; i < n; i++)
            if (!slow_equal(json_object_array_get_idx(a, i),
                            json_object_array_get_idx(b, i)))
                return false;
        return true;
    }
    if (json_object_object_length(a) != json_object_object_length(b))
        return false;
    json_object_object_foreach(a, name, value)
    {
        struct json_object *other;
        if (!json_object_object_get_ex(b, name, &other) ||
            !slow_equal(value, other))
            return false;
    }
    return true;
}

/* As text in strings and names: operands here are scalars. */
static bool slow_contains(struct json_object *v, struct json_object *operand)
{
    const char *text = operand ? json_object_get_string(operand) : "null";
    size_t len = rank(operand) == RANK_STRING
                     ? (size_t)json_object_get_string_len(operand)
                     : strlen(text);

    switch (json_object_get_type(v)) {
    case json_type_string:
        return memmem(json_object_get_string(v),
                      (size_t)json_object_get_string_len(v), text, len) != NULL;
    case json_type_array:
        for (size_t i = 0; i < json_object_array_length(v); i++)
            if (slow_equal(json_object_array_get_idx(v, i), operand))
                return true;
        return false;
    case json_type_object:
        /* json-c's names are C strings. */
        return strlen(text) == len && json_object_object_get_ex(v, text, NULL);
    default:
        return false;
    }
}

static bool slow_holds(const char *op, bool there, struct json_object *v,
                       struct json_object *operand)
{
    if (strcmp(op, "$exists") == 0)
        return there == (json_object_get_boolean(operand) != 0);
    if (!there)
        return strcmp(op, "$ne") == 0;
    if (strcmp(op, "$eq") == 0)
        return slow_equal(v, operand);
    if (strcmp(op, "$ne") == 0)
        return !slow_equal(v, operand);
    if (strcmp(op, "$in") == 0) {
        for (size_t i = 0; i < json_object_array_length(operand); i++)
            if (slow_equal(v, json_object_array_get_idx(operand, i)))
                return true;
        return false;
    }
    if (strcmp(op, "$contains") == 0)
        return slow_contains(v, operand);
    if (strcmp(op, "$prefix") == 0)
        return rank(v) == RANK_STRING &&
               json_object_get_string_len(v) >=
                   json_object_get_string_len(operand) &&
               memcmp(json_object_get_string(v),
                      json_object_get_string(operand),
                      (size_t)json_object_get_string_len(operand)) == 0;
    if (rank(v) != rank(operand))
        return false;
    int d = slow_order(v, operand);
    if (strcmp(op, "$gt") == 0)
        return d > 0;
    if (strcmp(op, "$gte") == 0)
        return d >= 0;
    return strcmp(op, "$lt") == 0 ? d < 0 : d <= 0;
}

static bool slow_matches(struct json_object *w, struct json_object *row)
{
    json_object_object_foreach(w, field, ops)
    {
        struct json_object *v = NULL;
        bool there = slow_at(row, field, &v);
        json_object_object_foreach(ops, op, operand)
        {
            if (!slow_holds(op, there, v, operand))
                return false;
        }
    }
    return true;
}

static struct json_object *parse(const char *text)
{
    struct json_object *o = json_tokener_parse(text);

    if (!o)
        abort();
    return o;
}

bool reference_matches(const char *where, const char *row)
{
    struct json_object *w = parse(where), *r = parse(row);
    bool is = slow_matches(w, r);

    json_object_put(w);
    json_object_put(r);
    return is;
}

static struct json_object *parse_value(const char *value,
                                       struct json_object **out)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, "[%s]", value);
    *out = parse(b.data);
    return json_object_array_get_idx(*out, 0);
}

int reference_order(const char *a, const char *b)
{
    struct json_object *x, *y;
    struct json_object *v = parse_value(a, &x), *w = parse_value(b, &y);
    int d = rank(v) != rank(w) ? (int)rank(v) - (int)rank(w) : slow_order(v, w);

    json_object_put(x);
    json_object_put(y);
    return d;
}
