/* explain: how a find finds, what that was expected to cost and what it did. */
#include "engine/command/internal.h"

#include <errno.h>

static int skip(void *arg, struct row *row, const char *text, size_t len,
                struct err *err)
{
    (void)row, (void)text, (void)len;
    return call_stopped(arg) ? err_set(err, -EINTR, "stopped") : 0;
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    struct find_report report;
    struct find_options o = {.report = &report};
    struct query *q;

    int r = call_table(c, false, &t, err);
    if (r == 0)
        r = call_query(c, t, &q, err);
    if (r < 0)
        return r;

    r = table_find_wait(t, q, &o, skip, c, err);
    if (r == 0) {
        find_report_print(&report, q, &b);
        r = call_put(c, &b, err);
    }
    query_unref(q);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE, OPTION_TABLE,  OPTION_WHERE, OPTION_SORT,
    OPTION_LIMIT,    OPTION_FIELDS, OPTION_SKIP,
};

const struct command command_explain = {
    .name = "explain",
    .summary = "Show how a find is carried out, and what it costs",
    .details =
        "Carries it out without showing the rows: the ways there are, each "
        "with the requests, rows and bytes that were expected, the one that "
        "was chosen, and what it took.",
    .example = "prod users '{\"email\":\"ada@x.org\"}'",
    COMMAND_OPTIONS(options),
    .stoppable = true,
    .run = run,
};
