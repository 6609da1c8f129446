/* reindex: the entries of an index, or of all of a table, written again. */
#include <string.h>

#include "engine/command/internal.h"

static void note(void *arg, const char *text)
{
    struct command_sink *sink = arg;

    if (sink->note)
        sink->note(sink, text);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const char *field = call_string(c, "field", NULL);
    size_t n;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_reindex(t, field, note, c->sink, err);
    if (r < 0)
        return err_wrap(err, r, "table '%s'", call_string(c, "table", ""));

    struct table_index *list = table_indexes(t, &n);
    for (size_t i = 0; i < n && r == 0; i++)
        if (!field || strcmp(field, list[i].field) == 0)
            r = call_put_index(c, t, list[i].field, err);
    table_indexes_free(list, n);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "field",
        .type = COMMAND_STRING,
        .offer = OFFER_INDEX,
        .place = 3,
        .help = "this index alone",
    },
};

const struct command command_reindex = {
    .name = "reindex",
    .summary = "Write the entries of a table's indexes again",
    .details = "For an index that somebody's hand has damaged; makes its "
               "channel again where that was deleted.",
    .example = "prod users email",
    COMMAND_OPTIONS(options),
    .many = true,
    .writes = true,
    .run = run,
};
