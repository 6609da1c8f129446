/* get: one row, the bytes that were written. */
#include "engine/command/internal.h"

#include <errno.h>
#include <string.h>

#include "engine/base/clock.h"

/* The row inside of what dbcord knows about it. */
static int put_meta(struct command_call *c, struct table *t,
                    const struct row *row, const struct text *text,
                    struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    char at[CLOCK_ISO_SIZE];
    size_t len = text->len;

    while (len && text->data[len - 1] == '\n')
        len--;

    buf_addc(&b, '{');
    json_add_name(&b, "key");
    buf_add_json(&b, row_key(row), row->key_len);
    json_add_int(&b, "version", row->version);
    json_add_string(&b, "at", clock_iso(row->at_ms, at));
    json_add_string(&b, "by", row->by ? row->by : "");
    json_add_id(&b, "message_id", row->id);
    json_add_id(&b, "channel_id", table_id(t));
    json_add_name(&b, "row");
    buf_add(&b, text->data, len);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const struct buf *key = call_text(c, "key");
    struct text *text;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    AUTO_ROW struct row *row = row_find(t, key->data, key->len);
    if (!row)
        return err_set(err, -ENOENT, "no row '%s' in table '%s'", key->data,
                       call_string(c, "table", ""));

    r = row_load_text_wait(t, row, &text, err);
    if (r < 0)
        return err_wrap(err, r, "row '%s'", key->data);

    if (call_flag(c, "meta"))
        r = put_meta(c, t, row, text, err);
    else
        r = c->sink->put(c->sink, text->data, text->len, err);
    text_unref(text);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    {
        .name = "meta",
        .type = COMMAND_BOOLEAN,
        .help = "with version, time, author and message around the row",
    },
};

const struct command command_get = {
    .name = "get",
    .summary = "Show a row",
    .example = "prod users u_1",
    COMMAND_OPTIONS(options),
    .run = run,
};
