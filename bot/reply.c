#include "bot/reply.h"

#include <string.h>

#define FLAG_SUPPRESS_EMBEDS 4
#define FLAG_EPHEMERAL 64
#define CHOICES 8

static void add_buttons(const struct reply *r, struct buf *out)
{
    buf_addstr(out, ",\"components\":[");
    if (r->n_buttons > 0)
        buf_addstr(out, "{\"type\":1,\"components\":[");
    for (size_t i = 0; i < r->n_buttons; i++) {
        const struct reply_button *b = &r->buttons[i];
        buf_printf(out, "%s{\"type\":2,\"style\":%d,\"label\":", i ? "," : "",
                   b->danger ? 4 : 2);
        buf_add_json(out, b->label, strlen(b->label));
        buf_addstr(out, ",\"custom_id\":");
        buf_add_json(out, b->id, strlen(b->id));
        buf_printf(out, "%s}", b->disabled ? ",\"disabled\":true" : "");
    }
    buf_addstr(out, r->n_buttons > 0 ? "]}]" : "]");
}

static void add_message(const struct reply *r, enum reply_kind kind,
                        struct buf *out)
{
    bool changes = kind == REPLY_EDIT || kind == REPLY_UPDATE;
    int flags = FLAG_SUPPRESS_EMBEDS;

    if (!changes && !r->is_public)
        flags |= FLAG_EPHEMERAL;
    buf_printf(out, "{\"allowed_mentions\":{\"parse\":[]},\"flags\":%d", flags);
    if (r->content) {
        buf_addstr(out, ",\"content\":");
        buf_add_json(out, r->content, strlen(r->content));
    }
    if (changes || r->n_buttons > 0)
        add_buttons(r, out);
    if (r->file_name) {
        buf_addstr(out, ",\"attachments\":[{\"id\":\"0\",\"filename\":");
        buf_add_json(out, r->file_name, strlen(r->file_name));
        buf_addstr(out, "}]");
    } else if (changes) {
        buf_addstr(out, ",\"attachments\":[]");
    }
    buf_addc(out, '}');
}

void reply_write(const struct reply *r, enum reply_kind kind, struct buf *out)
{
    if (kind == REPLY_EDIT) {
        add_message(r, kind, out);
        return;
    }
    buf_printf(out, "{\"type\":%d", kind);
    if (kind == REPLY_LATER) {
        buf_printf(out, ",\"data\":{\"flags\":%d}",
                   r->is_public ? 0 : FLAG_EPHEMERAL);
    } else {
        buf_addstr(out, ",\"data\":");
        add_message(r, kind, out);
    }
    buf_addc(out, '}');
}

void reply_write_choices(const struct reply_choice *list, size_t n,
                         struct buf *out)
{
    buf_printf(out, "{\"type\":%d,\"data\":{\"choices\":[", CHOICES);
    for (size_t i = 0; i < n; i++) {
        buf_printf(out, "%s{\"name\":", i ? "," : "");
        buf_add_json(out, list[i].name, strlen(list[i].name));
        buf_addstr(out, ",\"value\":");
        if (list[i].number)
            buf_addstr(out, list[i].value);
        else
            buf_add_json(out, list[i].value, strlen(list[i].value));
        buf_addc(out, '}');
    }
    buf_addstr(out, "]}}");
}
