/* index_create: rows by the values of a field, in a channel of their own. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const char *field = call_string(c, "field", "");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_index_create(t, field, call_flag(c, "unique"), err);
    if (r < 0)
        return err_wrap(err, r, "table '%s'", call_string(c, "table", ""));
    return call_put_index(c, t, field, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "field",
        .type = COMMAND_STRING,
        .offer = OFFER_FIELD,
        .place = 3,
        .required = true,
        .help = "the field; a.b is member b of the object a",
    },
    {
        .name = "unique",
        .type = COMMAND_BOOLEAN,
        .place = 4,
        .help = "no two rows may have the same value",
    },
};

const struct command command_index_create = {
    .name = "index_create",
    .summary = "Make an index: rows by the values of a field",
    .details = "The index is a channel beside the table's. With unique the "
               "rows that are there are checked first: those that have the "
               "same value are named. Rows without the field, or with null in "
               "it, are never the same.",
    .example = "prod users email --unique",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
