/* snapshot: all rows of a table as they are now, kept under a label. */
#include "engine/command/internal.h"

#include "engine/snapshot.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    struct snapshot_info info;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_snapshot_wait(t, call_string(c, "label", NULL), c->by, &info,
                            err);
    if (r < 0)
        return r;
    snapshot_describe(&info, &b);
    snapshot_info_release(&info);
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "label",
        .type = COMMAND_STRING,
        .place = 3,
        .help = "what it is called: then it is kept until it is dropped",
    },
};

const struct command command_snapshot = {
    .name = "snapshot",
    .summary = "Keep all rows of a table as they are now",
    .details = "A gzip file of one row a line, in the table's history thread. "
               "One without a label also serves to open the table fast, and "
               "goes when newer ones have taken its place and a vacuum is "
               "run.",
    .example = "prod users before-import",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
