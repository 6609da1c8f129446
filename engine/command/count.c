/* count: how many rows match. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    struct query *q;
    uint64_t n = 0;

    int r = call_table(c, false, &t, err);
    if (r == 0)
        r = call_query(c, t, &q, err);
    if (r < 0)
        return r;

    r = table_count_wait(t, q, NULL, &n, err);
    query_unref(q);
    if (r < 0)
        return r;
    buf_addc(&b, '{');
    json_add_int(&b, "count", (int64_t)n);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_WHERE,
};

const struct command command_count_rows = {
    .name = "count",
    .summary = "Count the rows that match",
    .example = "prod users '{\"age\":{\"$gte\":18}}'",
    COMMAND_OPTIONS(options),
    .run = run,
};
