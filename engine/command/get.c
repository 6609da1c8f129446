/* get: one row, the bytes that were written. */
#include "engine/command/internal.h"

#include "engine/base/clock.h"

struct getting {
    struct command_call *c;
    struct table *t;
};

/* The row inside of what dbcord knows about it. */
static int put_meta(const struct getting *g, const struct row *row,
                    const char *text, size_t len, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    char at[CLOCK_ISO_SIZE];

    while (len && text[len - 1] == '\n')
        len--;

    buf_addc(&b, '{');
    json_add_name(&b, "key");
    buf_add_json(&b, row_key(row), row->key_len);
    json_add_int(&b, "version", row->version);
    json_add_string(&b, "at", clock_iso(row->at_ms, at));
    json_add_string(&b, "by", row->by ? row->by : "");
    json_add_id(&b, "message_id", row->id);
    json_add_id(&b, "channel_id", table_id(g->t));
    json_add_name(&b, "row");
    buf_add(&b, text, len);
    buf_addc(&b, '}');
    return call_put(g->c, &b, err);
}

static int put(void *arg, struct row *row, const char *text, size_t len,
               struct err *err)
{
    const struct getting *g = arg;

    if (call_flag(g->c, "meta"))
        return put_meta(g, row, text, len, err);
    return g->c->sink->put(g->c->sink, text, len, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const struct buf *key = call_text(c, "key");

    int r = call_table(c, false, &t, err);
    if (r < 0)
        return r;

    struct getting g = {c, t};
    return table_get_wait(t, key->data, key->len, NULL, put, &g, err);
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
