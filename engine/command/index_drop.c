/* index_drop: an index and its channel go; the rows stay as they are. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const char *field = call_string(c, "field", "");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_index_drop(t, field, err);
    if (r < 0)
        return err_wrap(err, r, "table '%s'", call_string(c, "table", ""));

    buf_addc(&b, '{');
    json_add_string(&b, "database", call_string(c, "database", ""));
    json_add_string(&b, "table", call_string(c, "table", ""));
    json_add_string(&b, "field", field);
    json_add_bool(&b, "dropped", true);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "field",
        .type = COMMAND_STRING,
        .offer = OFFER_INDEX,
        .place = 3,
        .required = true,
        .help = "the field whose index is to go",
    },
};

const struct command command_index_drop = {
    .name = "index_drop",
    .summary = "Remove an index and its channel; the rows stay",
    .example = "prod users email",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
