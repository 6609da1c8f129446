/* restore: a row as it was in an older version. */
#include "engine/command/internal.h"

#include "engine/history.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_ROW struct row *row = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const struct buf *key = call_text(c, "key");
    uint32_t version = (uint32_t)call_integer(c, "version", 0);
    bool changed;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    r = table_restore_wait(t, key->data, key->len, version, c->by, &changed,
                           &row, err);
    if (r < 0)
        return r;

    buf_addc(&b, '{');
    json_add_name(&b, "key");
    buf_add_json(&b, key->data, key->len);
    json_add_int(&b, "restored", version);
    json_add_bool(&b, "changed", changed);
    if (row) {
        json_add_int(&b, "version", row->version);
        json_add_id(&b, "message_id", row->id);
    }
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    {
        .name = "version",
        .type = COMMAND_INTEGER,
        .offer = OFFER_VERSION,
        .place = 4,
        .required = true,
        .min = 1,
        .max = UINT32_MAX,
        .help = "the version whose text the row gets again; history lists them",
    },
};

const struct command command_restore = {
    .name = "restore",
    .summary = "Give a row the text of an older version",
    .details = "A new version with the old text, also for a row that was "
               "deleted. A row that has this text already stays as it is.",
    .example = "prod users u_1 3",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
