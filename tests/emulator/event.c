/* What the gateway tells: which intent an event needs, which sessions may see
 * it, and what a new session is greeted with. */
#include "tests/emulator/event.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/gateway.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/message.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/search.h"
#include "tests/emulator/user.h"

#define INTENT_DIRECT_MESSAGE_REACTIONS (1u << 13)

enum { OP_REQUEST_MEMBERS = 8, MEMBERS_A_CHUNK = 1000 };

/* By the beginning of the name; the first that fits counts. */
struct kind {
    const char *prefix;
    uint32_t in_guild, direct; /* any of these; 0: every session */
    bool needs_view;           /* of the channel, by the bot */
    bool has_content;          /* a message that may have to be blanked */
};

static const struct kind kinds[] = {
    {"MESSAGE_REACTION_", INTENT_GUILD_MESSAGE_REACTIONS,
     INTENT_DIRECT_MESSAGE_REACTIONS, true, false},
    {"MESSAGE_CREATE", INTENT_GUILD_MESSAGES, INTENT_DIRECT_MESSAGES, true,
     true},
    {"MESSAGE_UPDATE", INTENT_GUILD_MESSAGES, INTENT_DIRECT_MESSAGES, true,
     true},
    {"MESSAGE_", INTENT_GUILD_MESSAGES, INTENT_DIRECT_MESSAGES, true, false},
    {"CHANNEL_PINS_UPDATE", INTENT_GUILDS, INTENT_DIRECT_MESSAGES, true, false},
    /* A bot is told of channels it cannot look into, as the list of a guild's
     * channels names them too; of threads it is not. */
    {"CHANNEL_", INTENT_GUILDS, 0, false, false},
    {"THREAD_MEMBERS_UPDATE", INTENT_GUILDS | INTENT_GUILD_MEMBERS, 0, true,
     false},
    {"THREAD_", INTENT_GUILDS, 0, true, false},
    {"GUILD_MEMBER_", INTENT_GUILD_MEMBERS, 0, false, false},
    {"GUILD_", INTENT_GUILDS, 0, false, false},
    {"INTERACTION_CREATE", 0, 0, false, false},
    {"", 0, 0, false, false},
};

static const struct kind *kind_of(const char *type)
{
    const struct kind *k = kinds;

    while (!str_starts(type, k->prefix))
        k++;
    return k;
}

static const char *text_of(json_object *o)
{
    return json_object_to_json_string_ext(
        o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE);
}

static json_object *copy_of(json_object *o)
{
    json_object *copy = NULL;

    if (json_object_deep_copy(o, &copy, NULL) < 0)
        abort();
    return copy;
}

static bool is_self(struct emulator *e, json_object *payload)
{
    json_object *user = json_object_object_get(payload, "user");

    return user &&
           snowflake_of(json_object_object_get(user, "id")) == e->bot->id;
}

static bool bot_sees(struct emulator *e, uint64_t channel_id)
{
    const struct channel *ch = channel_find(e, channel_id);

    /* One that is gone was seen by who could see it. */
    return !ch || (perm_in_channel(e, ch, e->bot->id) & PERM_VIEW_CHANNEL);
}

/* The bot can look into ch now and could not before: the threads it finds
 * there. */
static void dispatch_thread_list(struct emulator *e, const struct guild *g,
                                 const struct channel *ch)
{
    json_object *d = json_object_new_object();
    json_object *channels = json_object_new_array();
    json_object *threads = json_object_new_array();
    json_object *members = json_object_new_array();

    json_object_array_add(channels, snowflake_json(ch->id));
    for (size_t i = 0; i < g->thread_count; i++) {
        const struct channel *t = g->threads[i];
        if (t->parent_id != ch->id || t->thread->archived ||
            !bot_sees(e, t->id))
            continue;
        json_object_array_add(threads, channel_json(e, t, 0));
        json_object *self = thread_member_json(t, e->bot->id);
        if (self)
            json_object_array_add(members, self);
    }
    json_object_object_add(d, "guild_id", snowflake_json(g->id));
    json_object_object_add(d, "channel_ids", channels);
    json_object_object_add(d, "threads", threads);
    json_object_object_add(d, "members", members);
    event_dispatch(e, "THREAD_LIST_SYNC", g->id, ch->id, d);
    json_object_put(d);
}

/* Roles, overwrites or the bot's membership may have changed what it sees. */
static void look_again(struct emulator *e, const struct guild *g)
{
    struct id_list *hidden = gateway_hidden(e);

    for (size_t i = 0; i < g->channel_count; i++) {
        const struct channel *ch = g->channels[i];
        if (ch->type == CHANNEL_CATEGORY)
            continue;
        if (!bot_sees(e, ch->id))
            id_list_put(hidden, ch->id);
        else if (hidden->n > 0 && id_list_drop(hidden, ch->id))
            dispatch_thread_list(e, g, ch);
    }
}

static bool changes_view(struct emulator *e, const char *type,
                         json_object *payload)
{
    return str_starts(type, "CHANNEL_CREATE") ||
           str_starts(type, "CHANNEL_UPDATE") ||
           str_starts(type, "GUILD_ROLE_") ||
           (strcmp(type, "GUILD_MEMBER_UPDATE") == 0 && is_self(e, payload));
}

void event_dispatch(struct emulator *e, const char *type, uint64_t guild_id,
                    uint64_t channel_id, json_object *payload)
{
    const struct kind *k = kind_of(type);
    /* What one person alone sees is told as a direct message: its payload
     * names no guild. */
    bool direct = k->direct && !json_object_object_get(payload, "guild_id");
    struct session_event ev = {
        .type = type,
        .intents = direct ? k->direct : k->in_guild,
        .guild_id = guild_id,
    };
    json_object *blank = NULL;

    search_note(e, type, guild_id, payload);
    if (!e->gateway)
        return;
    /* Of itself the bot hears without being allowed to watch members. */
    if (k->in_guild == INTENT_GUILD_MEMBERS && is_self(e, payload))
        ev.intents = 0;

    bool seen = !k->needs_view || direct || bot_sees(e, channel_id);
    if (seen && gateway_anybody(e, ev.intents)) {
        ev.data = text_of(payload);
        if (k->has_content &&
            gateway_anybody_without(e, INTENT_MESSAGE_CONTENT)) {
            blank = copy_of(payload);
            message_strip(e, blank);
            ev.blank = text_of(blank);
        }
        gateway_publish(e, &ev);
        json_object_put(blank);
    }

    const struct guild *g = guild_find(e, guild_id);
    if (g && changes_view(e, type, payload))
        look_again(e, g);
}

/* --- the greeting --- */

static void add_empty(json_object *o, const char *key)
{
    json_object_object_add(o, key, json_object_new_array());
}

static json_object *unavailable_guilds(struct emulator *e, struct session *s)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < e->guild_count; i++) {
        if (!session_sees_guild(s, e->guilds[i]->id))
            continue;
        json_object *g = json_object_new_object();
        json_object_object_add(g, "unavailable", json_object_new_boolean(1));
        json_object_object_add(g, "id", snowflake_json(e->guilds[i]->id));
        json_object_array_add(list, g);
    }
    return list;
}

static json_object *ready_json(struct emulator *e, struct session *s)
{
    json_object *d = json_object_new_object();
    json_object *app = json_object_new_object();
    json_object *shard = json_object_new_array();
    char url[GATEWAY_URL_SIZE];
    int id, count;

    session_shard(s, &id, &count);
    json_object_array_add(shard, json_object_new_int(id));
    json_object_array_add(shard, json_object_new_int(count));
    json_object_object_add(app, "id", snowflake_json(e->app->id));
    json_object_object_add(app, "flags", json_object_new_int64(e->app->flags));

    json_object_object_add(d, "v", json_object_new_int(10));
    json_object_object_add(d, "user_settings", json_object_new_object());
    json_object_object_add(d, "user", user_self_json(e->bot));
    json_object_object_add(d, "shard", shard);
    json_object_object_add(d, "session_type", json_object_new_string("normal"));
    json_object_object_add(d, "session_id",
                           json_object_new_string(session_id(s)));
    json_object_object_add(d, "resume_gateway_url",
                           json_object_new_string(gateway_url(e, url)));
    add_empty(d, "relationships");
    add_empty(d, "private_channels");
    add_empty(d, "presences");
    json_object_object_add(d, "guilds", unavailable_guilds(e, s));
    add_empty(d, "guild_join_requests");
    add_empty(d, "geo_ordered_rtc_regions");
    json_object_object_add(d, "auth", json_object_new_object());
    json_object_object_add(d, "application", app);
    add_empty(d, "_trace");
    return d;
}

void event_welcome(struct emulator *e, struct session *s)
{
    json_object *ready = ready_json(e, s);

    session_emit(s, "READY", text_of(ready), emulator_now(e));
    json_object_put(ready);
    if (!(session_intents(s) & INTENT_GUILDS))
        return;
    for (size_t i = 0; i < e->guild_count; i++) {
        const struct guild *g = e->guilds[i];
        if (!session_sees_guild(s, g->id))
            continue;
        json_object *d = guild_create_json(e, g);
        session_emit(s, "GUILD_CREATE", text_of(d), emulator_now(e));
        json_object_put(d);
        look_again(e, g);
    }
}

/* --- opcode 8 --- */

static bool asked_for(struct emulator *e, const struct member *m,
                      json_object *ids, const char *query)
{
    const struct user *u = user_find(e, m->user_id);

    if (!ids)
        return u && strncasecmp(u->username, query, strlen(query)) == 0;
    if (!json_object_is_type(ids, json_type_array))
        return snowflake_of(ids) == m->user_id;
    for (size_t i = 0; i < json_object_array_length(ids); i++) {
        if (snowflake_of(json_object_array_get_idx(ids, i)) == m->user_id)
            return true;
    }
    return false;
}

static void not_found(const struct guild *g, json_object *ids, json_object *out)
{
    size_t n = json_object_is_type(ids, json_type_array)
                   ? json_object_array_length(ids)
                   : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *id = json_object_array_get_idx(ids, i);
        if (!guild_member(g, snowflake_of(id)))
            json_object_array_add(out, json_object_get(id));
    }
}

static void send_members(struct emulator *e, struct session *s,
                         json_object *asked)
{
    const struct guild *g =
        guild_find(e, snowflake_of(json_object_object_get(asked, "guild_id")));
    json_object *ids = json_object_object_get(asked, "user_ids");
    json_object *prefix = json_object_object_get(asked, "query");
    json_object *nonce = json_object_object_get(asked, "nonce");
    const char *query = prefix ? json_object_get_string(prefix) : "";
    int limit = json_object_get_int(json_object_object_get(asked, "limit"));

    if (!g || (!ids && !prefix))
        return;
    /* The whole list is for those who may watch members. */
    if (!ids && (!*query || limit == 0) &&
        !(session_intents(s) & INTENT_GUILD_MEMBERS))
        return;
    if (limit <= 0 || limit > MEMBERS_A_CHUNK)
        limit = MEMBERS_A_CHUNK;

    json_object *d = json_object_new_object();
    json_object *members = json_object_new_array();
    json_object *missing = json_object_new_array();
    for (size_t i = 0; i < g->member_count; i++) {
        if (json_object_array_length(members) < (size_t)limit &&
            asked_for(e, g->members[i], ids, query))
            json_object_array_add(members,
                                  member_json(e, g, g->members[i], true));
    }
    not_found(g, ids, missing);
    json_object_object_add(d, "guild_id", snowflake_json(g->id));
    json_object_object_add(d, "members", members);
    json_object_object_add(d, "not_found", missing);
    json_object_object_add(d, "chunk_index", json_object_new_int(0));
    json_object_object_add(d, "chunk_count", json_object_new_int(1));
    if (nonce)
        json_object_object_add(d, "nonce", json_object_get(nonce));
    session_emit(s, "GUILD_MEMBERS_CHUNK", text_of(d), emulator_now(e));
    json_object_put(d);
}

void event_request(struct emulator *e, struct session *s, int op, const char *d)
{
    json_object *asked = json_tokener_parse(d);

    if (op == OP_REQUEST_MEMBERS)
        send_members(e, s, asked);
    json_object_put(asked);
}
