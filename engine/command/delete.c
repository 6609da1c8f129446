/* delete: a row goes; its history stays. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_ROW struct row *row = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const struct buf *key = call_text(c, "key");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    struct write w = {
        .kind = WRITE_DELETE,
        .key = key->data,
        .key_len = key->len,
        .if_version = (uint32_t)call_integer(c, "if_version", 0),
        .by = c->by,
    };
    r = table_write_wait(t, &w, &row, err);
    if (r < 0)
        return r;

    buf_addc(&b, '{');
    json_add_name(&b, "key");
    buf_add_json(&b, key->data, key->len);
    json_add_bool(&b, "deleted", true);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    OPTION_IF_VERSION,
};

const struct command command_delete = {
    .name = "delete",
    .summary = "Remove a row; its versions stay in the history",
    .example = "prod users u_1",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
