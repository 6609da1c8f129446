/* The options that ask for rows: what find, count and explain share. */
#include "engine/command/internal.h"

static int add(const struct command_call *c, const char *option,
               int (*add_to)(struct query *q, const char *text, size_t len,
                             struct err *err),
               struct query *q, struct err *err)
{
    const struct buf *text;

    if (command_option_index(c->command, option) == SIZE_MAX)
        return 0;
    text = call_text(c, option);
    return text ? add_to(q, text->len ? text->data : "", text->len, err) : 0;
}

int call_query(struct command_call *c, struct table *t, struct query **out,
               struct err *err)
{
    struct schema *schema = table_schema(t);
    struct query *q = query_new(schema);

    schema_unref(schema);
    int r = add(c, "where_json", query_add_where, q, err);
    if (r == 0)
        r = add(c, "sort", query_add_sort, q, err);
    if (r == 0)
        r = add(c, "limit", query_add_limit, q, err);
    if (r == 0)
        r = add(c, "skip", query_add_skip, q, err);
    if (r == 0)
        r = add(c, "fields", query_add_fields, q, err);
    if (r < 0)
        query_unref(q);
    else
        *out = q;
    return r;
}
