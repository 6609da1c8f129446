/* replace: the whole text of a row that is there. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_ROW struct row *row = NULL;
    const struct buf *key = call_text(c, "key");
    const struct buf *text =
        call_text(c, call_has(c, "file") ? "file" : "value_json");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    struct write w = {
        .kind = WRITE_PUT,
        .key = key->data,
        .key_len = key->len,
        .text = text->data ? text->data : "",
        .text_len = text->len,
        .must_exist = true,
        .if_version = (uint32_t)call_integer(c, "if_version", 0),
        .by = c->by,
    };
    r = table_write_wait(t, &w, &row, err);
    return r < 0 ? r : call_put_version(c, row, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    {
        .name = "value_json",
        .type = COMMAND_JSON,
        .place = 4,
        .required = true,
        .instead = "file",
        .help = "the new row, a JSON object",
    },
    {
        .name = "file",
        .type = COMMAND_FILE,
        .help = "a file with the new row",
    },
    OPTION_IF_VERSION,
};

const struct command command_replace = {
    .name = "replace",
    .summary = "Replace a row by another text",
    .example = "prod users u_1 '{\"email\":\"ada@y.org\"}'",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
