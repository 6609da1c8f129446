/* Messages: sent, read, edited, deleted. */
#include "tests/emulator/message.h"

#include <stdio.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/cdn.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/record.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

#define DAYS_14_MS (14LL * 24 * 3600 * 1000)

enum { NONCE_LENGTH = 25, ACTIVE_THREADS_MAX = 1000 };

/* --- list and get --- */

static void get_messages(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    bool around, before, after;
    uint64_t id_around = 0, id_before = 0, id_after = 0;
    int64_t limit;

    if (!ch || !rest_limit(c, "limit", 1, 100, 50, &limit) ||
        !rest_query_id(c, "around", &around, &id_around) ||
        !rest_query_id(c, "before", &before, &id_before) ||
        !rest_query_id(c, "after", &after, &id_after))
        return;
    struct json_object *list = json_object_new_array();
    if (!channel_holds_messages(ch)) {
        json_object_put(list);
        call_error(c, 400, 50024, "Cannot execute action on this channel type");
        return;
    }
    /* Without the right to the history a channel looks empty. */
    if (!(perm_in_channel(c->e, ch, c->e->bot->id) & PERM_READ_HISTORY)) {
        call_json(c, 200, list);
        return;
    }

    /* [from, to) of the channel's messages, which are in the order of ids. */
    size_t n = (size_t)limit, from, to;
    if (around) {
        size_t at = channel_message_at(ch, id_around);
        from = at > n / 2 ? at - n / 2 : 0;
        to = from + n < ch->message_count ? from + n : ch->message_count;
    } else if (after) {
        from = id_after == UINT64_MAX ? ch->message_count
                                      : channel_message_at(ch, id_after + 1);
        to = from + n < ch->message_count ? from + n : ch->message_count;
    } else {
        to = before ? channel_message_at(ch, id_before) : ch->message_count;
        from = to > n ? to - n : 0;
    }
    while (to > from)
        json_object_array_add(list, message_json(c->e, ch->messages[--to]));
    call_json(c, 200, list);
}

static void get_message(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_READ_HISTORY);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;
    if (m)
        call_json(c, 200, message_json(c->e, m));
}

/* --- create --- */

static void read_nonce(struct form *f, struct json_object *body,
                       struct message *m)
{
    struct json_object *v = json_object_object_get(body, "nonce");
    const char *s;

    if (json_object_is_type(v, json_type_string)) {
        if (field_string(f, body, "", "nonce", 0, NONCE_LENGTH, &s) ==
                FIELD_OK &&
            *s)
            m->nonce = json_object_get(v);
    } else if (json_object_is_type(v, json_type_int)) {
        m->nonce = json_object_get(v);
    } else if (v) {
        form_error(f, "nonce", "NONCE_TYPE_COERCE",
                   "Nonce must be a string or an integer.");
    }
    field_bool(f, body, "", "enforce_nonce", &m->enforce_nonce);
}

/* False: answered. */
static bool read_reference(struct call *c, struct form *f,
                           const struct channel *ch, struct message *m)
{
    struct json_object *o;
    uint64_t message = 0, channel = ch->id;
    int64_t type = 0;
    bool must = true;

    if (field_object(f, c->req.json, "", "message_reference", &o) != FIELD_OK)
        return true;
    if (field_int(f, o, "message_reference", "type", 0, 1, &type) == FIELD_OK &&
        type == 1)
        form_error(f, "message_reference.type", "BASE_TYPE_CHOICES",
                   "Value must be one of (0,).");
    if (field_id(f, o, "message_reference", "message_id", &message) ==
        FIELD_ABSENT)
        form_error(f, "message_reference.message_id", "BASE_TYPE_REQUIRED",
                   "This field is required");
    field_id(f, o, "message_reference", "channel_id", &channel);
    field_bool(f, o, "message_reference", "fail_if_not_exists", &must);
    if (form_failed(f))
        return true;

    if (!(perm_in_channel(c->e, ch, c->e->bot->id) & PERM_READ_HISTORY)) {
        call_error(c, 403, 160002,
                   "Cannot reply without permission to read message history");
        return false;
    }
    const struct message *to = message_find(c->e, channel, message);
    if (!to || channel != ch->id) {
        if (must)
            form_error(f, "message_reference",
                       "MESSAGE_REFERENCE_UNKNOWN_MESSAGE", "Unknown message");
        return true;
    }
    if (to->type != MESSAGE_DEFAULT && to->type != MESSAGE_REPLY &&
        to->type != MESSAGE_COMMAND) {
        form_error(f, "message_reference",
                   "REPLIES_CANNOT_REPLY_TO_SYSTEM_MESSAGE",
                   "Cannot reply to a system message");
        return true;
    }
    m->type = MESSAGE_REPLY;
    m->ref_channel = channel;
    m->ref_message = message;
    return true;
}

/* What the channel itself allows. False: answered. */
static bool may_send(struct call *c, const struct channel *ch)
{
    if (!channel_holds_messages(ch)) {
        call_error(c, 400, 50008, "Cannot send messages in a non-text channel");
        return false;
    }
    if (!perm_require(c, ch,
                      ch->thread ? PERM_SEND_IN_THREADS : PERM_SEND_MESSAGES))
        return false;
    if (!ch->thread)
        return true;
    bool manages =
        perm_in_channel(c->e, ch, c->e->bot->id) & PERM_MANAGE_THREADS;
    if (ch->thread->locked && !manages) {
        call_error(c, 400, 160005, "Thread is locked");
        return false;
    }
    if (ch->thread->archived && ch->thread->locked) {
        call_error(c, 400, 50083, "Thread is archived");
        return false;
    }
    if (ch->thread->archived &&
        guild_active_threads(channel_guild(c->e, ch)) >= ACTIVE_THREADS_MAX) {
        call_error(c, 400, 160006, "Maximum number of active threads reached");
        return false;
    }
    return true;
}

static size_t array_length(struct json_object *body, const char *key)
{
    struct json_object *v = json_object_object_get(body, key);
    return json_object_is_type(v, json_type_array) ? json_object_array_length(v)
                                                   : 0;
}

/* Fills m from the request. False: answered. */
static bool compose(struct call *c, const struct channel *ch, struct message *m)
{
    struct json_object *body = c->req.json;
    struct form f = FORM_INIT;

    if (body && !json_object_is_type(body, json_type_object)) {
        call_form_error(c, "", "MODEL_TYPE_CONVERT",
                        "Only dictionaries may be used in a ModelType");
        return false;
    }
    read_nonce(&f, body, m);
    if (!read_reference(c, &f, ch, m)) {
        form_release(&f);
        return false;
    }
    field_bool(&f, body, "", "tts", &m->tts);
    if (json_object_object_get(body, "poll"))
        form_error(&f, "poll", "BASE_TYPE_CHOICES",
                   "Polls are not emulated here.");
    if (form_failed(&f)) {
        call_form(c, &f);
        return false;
    }
    if (array_length(body, "sticker_ids")) {
        call_unknown(c, 10060, "Sticker");
        return false;
    }

    uint64_t bits = perm_in_channel(c->e, ch, c->e->bot->id);
    m->tts = m->tts && bits & PERM_SEND_TTS;
    struct message_rules rules = {
        .at = "",
        .flags = MESSAGE_SUPPRESS_EMBEDS | MESSAGE_SUPPRESS_NOTIFICATIONS |
                 MESSAGE_COMPONENTS_V2,
        .permissions = bits,
    };
    return message_body_apply(c, body, m, &rules);
}

static void answer_made(struct call *c, const struct message *m)
{
    struct json_object *o = message_json(c->e, m);
    if (m->nonce)
        json_object_object_add(o, "nonce", json_object_get(m->nonce));
    call_json(c, 200, o);
}

/* The message that this nonce made before: true: answered with it. */
static bool known_nonce(struct call *c)
{
    struct json_object *body = c->req.json;
    struct json_object *nonce = json_object_object_get(body, "nonce");
    struct json_object *enforce = json_object_object_get(body, "enforce_nonce");

    if (!nonce || !json_object_get_boolean(enforce))
        return false;
    uint64_t id = nonce_find(c->e, c->e->bot->id, nonce);
    if (!id)
        return false;
    const struct message *old = map_get(&c->e->messages, hash_u64(id), &id);
    if (old)
        answer_made(c, old);
    else
        call_unknown(c, 10008, "Message");
    return true;
}

static void post_message(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);

    if (!ch || !may_send(c, ch) ||
        (json_object_is_type(c->req.json, json_type_object) && known_nonce(c)))
        return;
    struct message *m = message_draft(ch, c->e->bot->id, MESSAGE_DEFAULT);
    if (!compose(c, ch, m)) {
        message_draft_free(m);
        return;
    }
    message_insert(c->e, m);
    answer_made(c, m);
}

/* --- edit and delete --- */

static bool thread_open(struct call *c, const struct channel *ch)
{
    if (!ch->thread || !ch->thread->archived)
        return true;
    call_error(c, 400, 50083, "Thread is archived");
    return false;
}

static bool only_flags(struct json_object *body)
{
    return json_object_is_type(body, json_type_object) &&
           json_object_object_length(body) == 1 &&
           json_object_object_get_ex(body, "flags", NULL);
}

static void patch_message(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;

    if (!m)
        return;
    bool own = m->author_id == c->e->bot->id;
    if (!own) {
        if (!only_flags(c->req.json)) {
            call_error(c, 403, 50005,
                       "Cannot edit a message authored by another user");
            return;
        }
        if (!perm_require(c, ch, PERM_MANAGE_MESSAGES))
            return;
    }
    if (m->type != MESSAGE_DEFAULT && m->type != MESSAGE_REPLY &&
        m->type != MESSAGE_COMMAND) {
        call_error(c, 403, 50021, "Cannot execute action on a system message");
        return;
    }
    if (!thread_open(c, ch) || !rest_may_edit(c, m))
        return;

    struct message_rules rules = {
        .edit = true,
        .at = "",
        .flags = MESSAGE_SUPPRESS_EMBEDS | (own ? MESSAGE_COMPONENTS_V2 : 0),
        .permissions = perm_in_channel(c->e, ch, c->e->bot->id),
    };
    if (!message_body_apply(c, c->req.json, m, &rules))
        return;
    if (!only_flags(c->req.json))
        m->edited_at = emulator_now(c->e);
    message_changed(c->e, m);
    call_json(c, 200, message_json(c->e, m));
}

/* What tells of members, calls, names and icons (1 to 5) stays, and so does a
 * thread's starter. */
static bool deletable(const struct message *m)
{
    return (m->type < 1 || m->type > 5) && m->type != MESSAGE_THREAD_STARTER;
}

/* Headers promise 30 in 4 s for the oldest; what is refused is as for the
 * fresh, 5 in 1 s. */
static bool may_delete_old(struct call *c, const struct message *m)
{
    return emulator_now(c->e) - m->at < DAYS_14_MS ||
           limits_hidden(c, "delete-fresh", m->channel_id, 5, 1000, "user", 0);
}

static void delete_message(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;

    if (!m || (m->author_id != c->e->bot->id &&
               !perm_require(c, ch, PERM_MANAGE_MESSAGES)))
        return;
    if (!deletable(m)) {
        call_error(c, 403, 50021, "Cannot execute action on a system message");
        return;
    }
    if (!thread_open(c, ch) || !may_delete_old(c, m))
        return;
    message_remove(c->e, m);
    call_empty(c);
}

static void post_bulk_delete(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_MANAGE_MESSAGES);
    struct form f = FORM_INIT;
    struct json_object *list = NULL;
    struct id_list ids = {0};

    if (!ch)
        return;
    enum field got =
        field_array(&f, c->req.json, "", "messages", SIZE_MAX, &list);
    if (got == FIELD_ABSENT || got == FIELD_NULL)
        form_error(&f, "messages", "BASE_TYPE_REQUIRED",
                   "This field is required");
    size_t n = list ? json_object_array_length(list) : 0;
    if (list && (n < 2 || n > 100)) {
        call_error(c, 400, 50016,
                   "Provided too few or too many messages to delete. Must "
                   "provide at least 2 and fewer than 100 messages to delete.");
        return;
    }
    bool old = false;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        uint64_t id = snowflake_of(v);
        char path[FORM_PATH_SIZE];
        form_index(path, "messages", i);
        if (!id)
            form_error(&f, path, "NUMBER_TYPE_COERCE",
                       "Value \"%.100s\" is not snowflake.",
                       v ? json_object_get_string(v) : "None");
        else if (!id_list_put(&ids, id))
            form_error(&f, "messages", "BASE_TYPE_DUPLICATE",
                       "Must not contain duplicates.");
        old |= id && snowflake_ms(id) < emulator_now(c->e) - DAYS_14_MS;
    }
    if (form_failed(&f)) {
        call_form(c, &f);
    } else if (old) {
        call_error(c, 400, 50034,
                   "You can only bulk delete messages that are under 14 days "
                   "old.");
    } else if (thread_open(c, ch)) {
        struct message *found[100];
        size_t k = 0;
        for (size_t i = 0; i < ids.n; i++) {
            struct message *m = message_find(c->e, ch->id, ids.at[i]);
            if (m && !m->ephemeral_to && deletable(m))
                found[k++] = m;
        }
        message_remove_bulk(c->e, ch, found, k);
        call_empty(c);
    }
    id_list_release(&ids);
}

/* --- links --- */

static void post_refresh_urls(struct call *c)
{
    struct form f = FORM_INIT;
    struct json_object *list = NULL;
    enum field got =
        field_array(&f, c->req.json, "", "attachment_urls", 50, &list);

    if (got != FIELD_OK || !json_object_array_length(list)) {
        if (!form_failed(&f))
            form_error(&f, "attachment_urls", "BASE_TYPE_BAD_LENGTH",
                       "Must be between 1 and 50 in length.");
        call_form(c, &f);
        return;
    }
    struct json_object *o = json_object_new_object();
    struct json_object *made = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        const char *url =
            json_object_get_string(json_object_array_get_idx(list, i));
        const char *path = url ? strstr(url, "/attachments/") : NULL;
        unsigned long long channel, id;
        struct json_object *one = json_object_new_object();
        json_object_object_add(one, "original",
                               json_object_new_string(url ? url : ""));
        const struct blob *b = NULL;
        if (path && sscanf(path, "/attachments/%llu/%llu/", &channel, &id) == 2)
            b = blob_find(c->e, id);
        if (b) {
            AUTO_STR char *fresh =
                cdn_link(c->e, b->channel_id, b->id, b->filename);
            json_object_object_add(one, "refreshed",
                                   json_object_new_string(fresh));
        } else {
            json_object_object_add(one, "refreshed", NULL);
        }
        json_object_array_add(made, one);
    }
    json_object_object_add(o, "refreshed_urls", made);
    call_json(c, 200, o);
}

/* --- buckets --- */

/* Create and edit: whether they share a bucket is told both ways; shared is
 * the harder world to live in. */
static const struct bucket write_bucket = {"message-write", 5, 5000, false};
static const struct bucket get_bucket = {"message-get", 5, 5000, false};
static const struct bucket list_bucket = {"message-list", 5, 5000, false};
static const struct bucket bulk_bucket = {"bulk-delete", 1, 3000, false};
static const struct bucket delete_fresh = {"delete-fresh", 5, 1000, false};
static const struct bucket delete_older = {"delete-older", 3, 330, false};
static const struct bucket delete_old = {"delete-old", 30, 4000, false};

static const struct bucket *delete_bucket(struct call *c)
{
    const struct message *m = message_find(c->e, c->ids[0], c->ids[1]);
    int64_t age = m ? emulator_now(c->e) - m->at : 0;
    return age < 10000        ? &delete_fresh
           : age < DAYS_14_MS ? &delete_older
                              : &delete_old;
}

#define MESSAGES "/channels/{channel.id}/messages"

const struct route message_routes[] = {
    {"GET", MESSAGES, get_messages, &list_bucket, NULL, 0},
    {"POST", MESSAGES, post_message, &write_bucket, NULL, 0},
    {"GET", MESSAGES "/{message.id}", get_message, &get_bucket, NULL, 0},
    {"PATCH", MESSAGES "/{message.id}", patch_message, &write_bucket, NULL, 0},
    {"DELETE", MESSAGES "/{message.id}", delete_message, NULL, delete_bucket,
     0},
    {"POST", MESSAGES "/bulk-delete", post_bulk_delete, &bulk_bucket, NULL, 0},
    {"POST", "/attachments/refresh-urls", post_refresh_urls, NULL, NULL, 0},
    {0},
};
