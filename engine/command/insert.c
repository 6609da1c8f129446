/* insert: a row that was not there. */
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
        .key = key ? key->data : NULL,
        .key_len = key ? key->len : 0,
        .text = text->data ? text->data : "",
        .text_len = text->len,
        .must_be_new = true,
        .by = c->by,
    };
    r = table_write_wait(t, &w, &row, err);
    return r < 0 ? r : call_put_version(c, row, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "key",
        .type = COMMAND_STRING,
        .offer = OFFER_KEY,
        .place = 3,
        .help = "the row's primary key; taken from the row if not given",
    },
    {
        .name = "value_json",
        .type = COMMAND_JSON,
        .place = 4,
        .required = true,
        .instead = "file",
        .help = "the row, a JSON object",
    },
    {
        .name = "file",
        .type = COMMAND_FILE,
        .help = "a file with the row",
    },
};

const struct command command_insert = {
    .name = "insert",
    .summary = "Add a row; refused if its key is taken",
    .details = "The primary key may be left out of the row where it is given "
               "as key, and the other way round.",
    .example = "prod users u_1 '{\"email\":\"ada@x.org\"}'",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
