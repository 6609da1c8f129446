/* update: some fields of a row, by RFC 7396. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_ROW struct row *row = NULL;
    const struct buf *key = call_text(c, "key");
    const struct buf *patch = call_text(c, "patch_json");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    r = table_patch_wait(t, key->data, key->len, patch->data ? patch->data : "",
                         patch->len, (uint32_t)call_integer(c, "if_version", 0),
                         &row, err);
    return r < 0 ? r : call_put_version(c, row, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    {
        .name = "patch_json",
        .type = COMMAND_JSON,
        .place = 4,
        .required = true,
        .help = "the fields to change; null removes one (RFC 7396)",
    },
    OPTION_IF_VERSION,
};

const struct command command_update = {
    .name = "update",
    .summary = "Change some fields of a row",
    .example = "prod users u_1 '{\"role\":\"admin\"}'",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
