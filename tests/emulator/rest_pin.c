/* Pins: the new routes under messages, and the old ones. */
#include <stdlib.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/event.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/record.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

enum { PINS_MAX = 250 };

static void pins_event(struct emulator *e, const struct channel *ch)
{
    struct json_object *o = json_object_new_object();
    char at[CLOCK_STAMP_SIZE];
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    json_object_object_add(o, "channel_id", snowflake_json(ch->id));
    json_object_object_add(o, "last_pin_timestamp",
                           ch->last_pin_at ? json_object_new_string(clock_stamp(
                                                 ch->last_pin_at, at))
                                           : NULL);
    event_dispatch(e, "CHANNEL_PINS_UPDATE", ch->guild_id, ch->id, o);
    json_object_put(o);
}

/* Newest pin first. */
static int by_pin(const void *a, const void *b)
{
    const struct message *const *x = a, *const *y = b;
    if ((*x)->pinned_at != (*y)->pinned_at)
        return (*x)->pinned_at < (*y)->pinned_at ? 1 : -1;
    return ((*x)->id < (*y)->id) - ((*x)->id > (*y)->id);
}

/* For free(). */
static struct message **pinned(const struct channel *ch, size_t *n)
{
    struct message **list = xcalloc(ch->pin_count, sizeof *list);
    *n = 0;
    for (size_t i = 0; i < ch->message_count && *n < ch->pin_count; i++)
        if (ch->messages[i]->pinned)
            list[(*n)++] = ch->messages[i];
    if (*n)
        qsort(list, *n, sizeof *list, by_pin);
    return list;
}

static void get_pins(struct call *c)
{
    const char *before = request_query(&c->req, "before");
    struct channel *ch = rest_channel(c, 0, 0);
    int64_t limit, until = INT64_MAX;
    size_t n, given = 0;

    if (!ch || !rest_limit(c, "limit", 1, 50, 50, &limit))
        return;
    if (before && !clock_parse_stamp(before, &until)) {
        call_form_error(c, "before", "DATE_TIME_TYPE_PARSE",
                        "Could not parse %.60s. Should be ISO8601.", before);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *items = json_object_new_array();
    struct message **list = pinned(ch, &n);
    bool more = false;
    if (!(perm_in_channel(c->e, ch, c->e->bot->id) & PERM_READ_HISTORY))
        n = 0;
    for (size_t i = 0; i < n; i++) {
        if (list[i]->pinned_at >= until)
            continue;
        if (given++ == (size_t)limit) {
            more = true;
            break;
        }
        char at[CLOCK_STAMP_SIZE];
        struct json_object *item = json_object_new_object();
        json_object_object_add(
            item, "pinned_at",
            json_object_new_string(clock_stamp(list[i]->pinned_at, at)));
        json_object_object_add(item, "message", message_json(c->e, list[i]));
        json_object_array_add(items, item);
    }
    free(list);
    json_object_object_add(o, "items", items);
    json_object_object_add(o, "has_more", json_object_new_boolean(more));
    call_json(c, 200, o);
}

static void get_pins_old(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    size_t n;
    if (!ch)
        return;
    struct message **list = pinned(ch, &n);
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < n && i < 50; i++)
        json_object_array_add(a, message_json(c->e, list[i]));
    free(list);
    call_json(c, 200, a);
}

static void put_pin(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_PIN_MESSAGES);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;
    if (!m)
        return;
    if (m->type != MESSAGE_DEFAULT && m->type != MESSAGE_REPLY &&
        m->type != MESSAGE_COMMAND) {
        call_error(c, 403, 50021, "Cannot execute action on a system message");
        return;
    }
    if (ch->thread && ch->thread->archived) {
        call_error(c, 400, 50083, "Thread is archived");
        return;
    }
    if (m->pinned) {
        call_empty(c);
        return;
    }
    if (ch->pin_count >= PINS_MAX) {
        call_error(c, 400, 30003,
                   "Maximum number of pins reached for the channel (250)");
        return;
    }
    m->pinned = true;
    m->pinned_at = ch->last_pin_at = emulator_now(c->e);
    ch->pin_count++;
    record_channel(c->e, ch);
    message_changed(c->e, m);
    pins_event(c->e, ch);

    struct message *note = message_draft(ch, c->e->bot->id, MESSAGE_PINNED);
    note->ref_channel = ch->id;
    note->ref_message = m->id;
    message_insert(c->e, note);
    call_empty(c);
}

static void delete_pin(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_PIN_MESSAGES);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;
    if (!m)
        return;
    if (ch->thread && ch->thread->archived) {
        call_error(c, 400, 50083, "Thread is archived");
        return;
    }
    if (m->pinned) {
        m->pinned = false;
        m->pinned_at = 0;
        ch->pin_count--;
        message_changed(c->e, m);
        pins_event(c->e, ch);
    }
    call_empty(c);
}

static const struct bucket pin_bucket = {"pin", 5, 4000, false};
static const struct bucket list_bucket = {"pin-list", 1, 5000, false};

#define PINS "/channels/{channel.id}/messages/pins"
#define OLD "/channels/{channel.id}/pins"

const struct route pin_routes[] = {
    {"GET", PINS, get_pins, &list_bucket, NULL, 0},
    {"PUT", PINS "/{message.id}", put_pin, &pin_bucket, NULL, 0},
    {"DELETE", PINS "/{message.id}", delete_pin, &pin_bucket, NULL, 0},
    {"GET", OLD, get_pins_old, &list_bucket, NULL, 0},
    {"PUT", OLD "/{message.id}", put_pin, &pin_bucket, NULL, 0},
    {"DELETE", OLD "/{message.id}", delete_pin, &pin_bucket, NULL, 0},
    {0},
};
