/* snapshot_restore: all rows as they were. */
#include "engine/command/internal.h"

#include "engine/snapshot.h"

static void progress(void *arg, size_t done, size_t total)
{
    call_note(arg, "%zu of %zu rows are as they were", done, total);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const char *label = call_string(c, "label", "");
    struct snapshot_restored did;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_snapshot_restore_wait(t, label, c->by, progress, c, &did, err);
    if (r < 0)
        return r;
    buf_addc(&b, '{');
    json_add_string(&b, "snapshot", label);
    json_add_int(&b, "put", (int64_t)did.put);
    json_add_int(&b, "deleted", (int64_t)did.deleted);
    json_add_int(&b, "same", (int64_t)did.same);
    json_add_int(&b, "overtaken", (int64_t)did.overtaken);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "label",
        .type = COMMAND_STRING,
        .offer = OFFER_LABEL,
        .place = 3,
        .required = true,
        .help = "the snapshot's label, or its id",
    },
};

const struct command command_snapshot_restore = {
    .name = "snapshot_restore",
    .summary = "Make the rows of a table what they were in a snapshot",
    .details = "Rows that differ are written as they were, those that came "
               "since are deleted. The history shows it and keeps what was "
               "there. Rows that somebody else writes meanwhile stay so and "
               "are counted as overtaken.",
    .example = "prod users before-import",
    COMMAND_OPTIONS(options),
    .writes = true,
    .destructive = true,
    .run = run,
};
