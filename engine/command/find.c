/* find: the rows that match, one result each. */
#include "engine/command/internal.h"

#include <errno.h>

struct finding {
    struct command_call *c;
    const struct query *q;
    struct buf row; /* with the fields that were asked for */
};

static int put(void *arg, struct row *row, const char *text, size_t len,
               struct err *err)
{
    struct finding *f = arg;

    (void)row;
    if (call_stopped(f->c))
        return err_set(err, -EINTR, "stopped");
    if (!query_projects(f->q))
        return f->c->sink->put(f->c->sink, text, len, err);
    buf_reset(&f->row);
    query_project(f->q, text, len, &f->row);
    return call_put(f->c, &f->row, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    struct query *q;

    int r = call_table(c, false, &t, err);
    if (r == 0)
        r = call_query(c, t, &q, err);
    if (r < 0)
        return r;

    struct finding f = {.c = c, .q = q};
    r = table_find_wait(t, q, NULL, put, &f, err);
    buf_release(&f.row);
    query_unref(q);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE, OPTION_TABLE,  OPTION_WHERE, OPTION_SORT,
    OPTION_LIMIT,    OPTION_FIELDS, OPTION_SKIP,
};

const struct command command_find_rows = {
    .name = "find",
    .summary = "Show the rows that match",
    .details =
        "The condition is an object of fields: a value the field must have, "
        "or operators: $eq $ne $gt $gte $lt $lte $contains $in $exists "
        "$prefix. All must hold; a dotted field reaches into objects. "
        "Without a condition all rows match. docs/queries.md tells all.",
    .example = "prod users '{\"role\":\"student\"}' --sort=-age --limit=10",
    COMMAND_OPTIONS(options),
    .many = true,
    .stoppable = true,
    .run = run,
};
