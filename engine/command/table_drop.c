/* table_drop: the channel, its thread and the entry in the catalog go. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const char *name = call_string(c, "table", "");

    int r = call_table(c, false, &t, err);
    if (r < 0)
        return r;
    r = table_drop(t, call_flag(c, "if_empty"), err);
    if (r < 0)
        return err_wrap(err, r, "table '%s'", name);

    buf_addc(&b, '{');
    json_add_string(&b, "database", call_string(c, "database", ""));
    json_add_string(&b, "table", name);
    json_add_bool(&b, "dropped", true);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "if_empty",
        .type = COMMAND_BOOLEAN,
        .help = "refuse when the table has rows",
    },
};

const struct command command_table_drop = {
    .name = "table_drop",
    .summary = "Remove a table with all its rows and all their history",
    .details = "Discord cannot bring back a deleted channel: nothing of the "
               "table is left.",
    .example = "prod users",
    COMMAND_OPTIONS(options),
    .writes = true,
    .destructive = true,
    .run = run,
};
