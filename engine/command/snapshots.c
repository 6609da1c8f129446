/* snapshots: those of a table, oldest first. */
#include "engine/command/internal.h"

#include "engine/base/clock.h"
#include "engine/snapshot.h"

void snapshot_describe(const struct snapshot_info *i, struct buf *b)
{
    char at[CLOCK_ISO_SIZE];

    buf_addc(b, '{');
    if (i->label)
        json_add_string(b, "label", i->label);
    json_add_id(b, "id", i->id);
    json_add_string(b, "at", clock_iso(i->at_ms, at));
    json_add_string(b, "by", i->by ? i->by : "");
    json_add_int(b, "rows", (int64_t)i->rows);
    json_add_int(b, "bytes", (int64_t)i->bytes);
    json_add_int(b, "size", (int64_t)i->size);
    json_add_int(b, "parts", (int64_t)i->parts);
    json_add_bool(b, "automatic", !i->label);
    if (i->over)
        json_add_id(b, "changes_since", i->over);
    buf_addc(b, '}');
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    struct snapshot_list list;

    int r = call_table(c, true, &t, err);
    if (r == 0)
        r = table_snapshots_wait(t, &list, err);
    if (r < 0)
        return r;
    for (size_t i = 0; i < list.n && r == 0; i++) {
        AUTO_BUF struct buf b = BUF_INIT;
        snapshot_describe(&list.list[i], &b);
        r = call_put(c, &b, err);
    }
    snapshot_list_release(&list);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
};

const struct command command_snapshots = {
    .name = "snapshots",
    .summary = "List the snapshots of a table, those it wrote by itself too",
    .example = "prod users",
    COMMAND_OPTIONS(options),
    .many = true,
    .columns = true,
    .run = run,
};
