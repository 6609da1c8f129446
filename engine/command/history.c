/* history: the versions of a row, or one of them. */
#include "engine/command/internal.h"

#include <errno.h>

#include "engine/base/clock.h"
#include "engine/history.h"

static int put_version(struct command_call *c, const struct version *v,
                       struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    char at[CLOCK_ISO_SIZE];

    buf_addc(&b, '{');
    json_add_int(&b, "version", v->number);
    if (v->r < 0) {
        json_add_string(&b, "error", v->why);
    } else {
        json_add_string(&b, "op", v->deleted ? "delete" : "put");
        json_add_string(&b, "at", clock_iso(v->at_ms, at));
        json_add_string(&b, "by", v->by);
    }
    if (v->message)
        json_add_id(&b, "message_id", v->message);
    if (v->channel)
        json_add_id(&b, "channel_id", v->channel);
    if (v->text) {
        size_t len = v->text->len;
        while (len && v->text->data[len - 1] == '\n')
            len--;
        json_add_name(&b, "row");
        buf_add(&b, v->text->data, len);
    } else if (v->r == 0 && !v->deleted) {
        json_add_id(&b, "attachment_id", v->record.file);
        json_add_int(&b, "bytes", (int64_t)v->text_len);
    }
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static int put_all(struct command_call *c, struct table *t,
                   const struct buf *key, struct err *err)
{
    struct history h;
    size_t damaged = 0;

    int r = table_history_wait(t, key->data, key->len, &h, err);
    if (r < 0)
        return r;
    if (h.removed)
        call_say(c, "%u older version%s not there any more", h.removed,
                 h.removed == 1 ? " is" : "s are");
    for (size_t i = 0; i < h.n && r == 0; i++) {
        r = put_version(c, &h.list[i], err);
        damaged += h.list[i].r < 0;
    }
    history_release(&h);
    if (r == 0 && damaged)
        r = err_set(
            err, -EBADMSG,
            "%zu version%s of '%s' cannot be read; what can be is shown",
            damaged, damaged == 1 ? "" : "s", key->data);
    return r;
}

static int put_one(struct command_call *c, struct table *t,
                   const struct buf *key, struct err *err)
{
    struct version v;
    struct text *text;

    int r =
        table_version_wait(t, key->data, key->len,
                           (uint32_t)call_integer(c, "version", 0), &v, err);
    if (r < 0)
        return r;
    r = version_text_wait(t, &v, &text, err);
    version_release(&v);
    if (r < 0)
        return r;
    r = c->sink->put(c->sink, text->data, text->len, err);
    text_unref(text);
    return r;
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const struct buf *key = call_text(c, "key");

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    return call_has(c, "version") ? put_one(c, t, key, err)
                                  : put_all(c, t, key, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    OPTION_KEY,
    {
        .name = "version",
        .type = COMMAND_INTEGER,
        .offer = OFFER_VERSION,
        .min = 1,
        .max = UINT32_MAX,
        .help = "the row as it was in this version, and nothing else",
    },
};

const struct command command_history = {
    .name = "history",
    .summary = "List the versions of a row, oldest first",
    .details = "Each with its time, author and message; deletions too, and "
               "rows that are deleted. A version whose text is an attachment "
               "is listed without it: ask for that version alone.",
    .example = "prod users u_1",
    COMMAND_OPTIONS(options),
    .many = true,
    .columns = true,
    .run = run,
};
