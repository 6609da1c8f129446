#include "bot/event.h"

#include <json-c/json.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/discord/discord.h"
#include "engine/discord/message.h"

struct guild {
    uint64_t id;
    char *name;
    bool awaited; /* this session has not brought it yet */
    bool listed;  /* by this session's READY, or come since */
    bool away;    /* an outage of Discord's, or it did not come in time */
};

struct events {
    struct discord *d;
    uint64_t *only;
    size_t n_only;
    void (*tell)(void *arg, const struct remote_event *);
    void *arg;

    struct map guilds;
    bool gap;       /* to be said before CONNECTED */
    bool starting;  /* CONNECTED is still to be said in this session */
    bool connected; /* it was said */
};

static uint64_t guild_hash(const void *item)
{
    return hash_u64(((const struct guild *)item)->id);
}

static bool guild_has(const void *item, const void *key)
{
    return ((const struct guild *)item)->id == *(const uint64_t *)key;
}

static const struct map_type guild_type = {guild_hash, guild_has};

struct events *events_new(struct discord *d, const uint64_t *guilds, size_t n,
                          void (*tell)(void *arg, const struct remote_event *),
                          void *arg)
{
    struct events *ev = xcalloc(1, sizeof(*ev));

    ev->d = d;
    ev->only = xcalloc(n, sizeof(*ev->only));
    if (n > 0)
        memcpy(ev->only, guilds, n * sizeof(*ev->only));
    ev->n_only = n;
    ev->tell = tell;
    ev->arg = arg;
    ev->guilds = MAP_INIT(&guild_type);
    return ev;
}

static void guild_free(struct guild *g)
{
    if (!g)
        return;
    free(g->name);
    free(g);
}

void events_free(struct events *ev)
{
    size_t at = 0;
    struct guild *g;

    if (!ev)
        return;
    while ((g = map_next(&ev->guilds, &at)) != NULL)
        guild_free(g);
    map_release(&ev->guilds);
    free(ev->only);
    free(ev);
}

static bool is_wanted(const struct events *ev, uint64_t guild)
{
    for (size_t i = 0; i < ev->n_only; i++)
        if (ev->only[i] == guild)
            return true;
    return guild != 0 && ev->n_only == 0;
}

static struct guild *guild_find(const struct events *ev, uint64_t id)
{
    return map_get(&ev->guilds, hash_u64(id), &id);
}

static struct guild *guild_get(struct events *ev, uint64_t id)
{
    struct guild *g = guild_find(ev, id);

    if (!g) {
        g = xcalloc(1, sizeof(*g));
        g->id = id;
        map_put(&ev->guilds, &g->id, g);
    }
    return g;
}

static void say(struct events *ev, enum remote_event_kind kind)
{
    ev->tell(ev->arg, &(struct remote_event){.kind = kind});
}

static void say_guild(struct events *ev, const struct guild *g)
{
    struct remote_event e = {.kind = REMOTE_EVENT_GUILD};

    e.guild.id = g->id;
    e.guild.name = g->name;
    if (ev->d)
        discord_guild_rights(ev->d, &e.guild);
    ev->tell(ev->arg, &e);
}

static void say_channel(struct events *ev, uint64_t guild,
                        struct json_object *o, bool created)
{
    struct remote_event e = {.kind = REMOTE_EVENT_CHANNEL, .created = created};

    if (discord_parse_channel(o, &e.chan) < 0)
        return;
    if (!e.chan.guild_id)
        e.chan.guild_id = guild;
    if (ev->d)
        discord_channel_rights(ev->d, guild, o, &e.chan);
    ev->tell(ev->arg, &e);
    free(e.chan.name);
}

static void say_channel_gone(struct events *ev, uint64_t guild,
                             struct json_object *o)
{
    struct remote_event e = {.kind = REMOTE_EVENT_CHANNEL_GONE};

    e.chan.id = message_id(o, "id");
    e.chan.guild_id = guild;
    e.chan.parent_id = message_id(o, "parent_id");
    if (e.chan.id)
        ev->tell(ev->arg, &e);
}

static void say_channels(struct events *ev, uint64_t guild,
                         struct json_object *o, const char *name)
{
    struct json_object *a = NULL;

    if (!json_object_object_get_ex(o, name, &a) ||
        !json_object_is_type(a, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(a); i++)
        say_channel(ev, guild, json_object_array_get_idx(a, i), false);
}

static void say_message(struct events *ev, struct json_object *o, bool created)
{
    struct remote_event e = {.kind = REMOTE_EVENT_MESSAGE, .created = created};

    if (discord_parse_message(o, &e.message) < 0)
        return;
    e.channel = e.message.channel_id;
    ev->tell(ev->arg, &e);
    remote_message_release(&e.message);
}

static void say_deleted(struct events *ev, uint64_t channel,
                        const uint64_t *ids, size_t n)
{
    struct remote_event e = {.kind = REMOTE_EVENT_DELETED};

    e.channel = channel;
    e.ids = ids;
    e.n_ids = n;
    if (channel && n > 0)
        ev->tell(ev->arg, &e);
}

static void take_deleted_many(struct events *ev, struct json_object *o)
{
    struct json_object *a = NULL;

    if (!json_object_object_get_ex(o, "ids", &a) ||
        !json_object_is_type(a, json_type_array))
        return;

    size_t n = json_object_array_length(a), kept = 0;
    uint64_t *ids = xcalloc(n, sizeof(*ids));
    for (size_t i = 0; i < n; i++)
        if (message_id_of(json_object_array_get_idx(a, i), &ids[kept]))
            kept++;
    say_deleted(ev, message_id(o, "channel_id"), ids, kept);
    free(ids);
}

static void take_guild(struct events *ev, uint64_t id, struct json_object *o,
                       bool whole)
{
    struct guild *g = guild_get(ev, id);

    g->listed = true;
    const char *name = message_text(o, "name", NULL);

    if (name) {
        free(g->name);
        g->name = xstrdup(name);
    }
    if (!g->name)
        g->name = xstrdup("");
    say_guild(ev, g);
    if (!whole)
        return;

    say_channels(ev, id, o, "channels");
    say_channels(ev, id, o, "threads");
    bool was_away = g->away;
    g->away = false;
    g->awaited = false;
    /* Events may have been lost meanwhile. A session that is being resumed
     * says so with its CONNECTED. */
    if (was_away && ev->connected)
        say(ev, REMOTE_EVENT_GAP);
    else if (was_away)
        ev->gap = true;
    events_connected(ev, false);
}

static bool is_true(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(o, name, &v) &&
           json_object_is_type(v, json_type_boolean) &&
           json_object_get_boolean(v);
}

static void take_guild_gone(struct events *ev, uint64_t id,
                            struct json_object *o)
{
    struct guild *g = guild_find(ev, id);
    struct remote_event e = {.kind = REMOTE_EVENT_GUILD_GONE};

    if (g)
        g->awaited = false; /* waited for in vain */
    if (is_true(o, "unavailable")) {
        if (g)
            g->away = true;
    } else {
        e.guild.id = id;
        ev->tell(ev->arg, &e);
        guild_free(map_remove(&ev->guilds, hash_u64(id), &id));
    }
    events_connected(ev, false);
}

void events_take(struct events *ev, const char *type, struct json_object *o)
{
#define IS(what) (strcmp(type, what) == 0)
    bool about_guild =
        IS("GUILD_CREATE") || IS("GUILD_UPDATE") || IS("GUILD_DELETE");
    uint64_t guild = message_id(o, about_guild ? "id" : "guild_id");

    if (!is_wanted(ev, guild))
        return;
    /* An outage takes no right away; what is known stays known. */
    bool outage = IS("GUILD_DELETE") && is_true(o, "unavailable");
    bool rights = !outage && ev->d && discord_note_event(ev->d, type, o);

    if (IS("MESSAGE_CREATE") || IS("MESSAGE_UPDATE")) {
        say_message(ev, o, IS("MESSAGE_CREATE"));
    } else if (IS("MESSAGE_DELETE")) {
        uint64_t id = message_id(o, "id");
        say_deleted(ev, message_id(o, "channel_id"), &id, id ? 1 : 0);
    } else if (IS("MESSAGE_DELETE_BULK")) {
        take_deleted_many(ev, o);
    } else if (IS("CHANNEL_CREATE") || IS("CHANNEL_UPDATE")) {
        say_channel(ev, guild, o, IS("CHANNEL_CREATE"));
    } else if (IS("THREAD_CREATE") || IS("THREAD_UPDATE")) {
        say_channel(ev, guild, o, is_true(o, "newly_created"));
    } else if (IS("CHANNEL_DELETE") || IS("THREAD_DELETE")) {
        say_channel_gone(ev, guild, o);
    } else if (IS("THREAD_LIST_SYNC")) {
        say_channels(ev, guild, o, "threads");
    } else if (IS("GUILD_CREATE")) {
        take_guild(ev, guild, o, true);
    } else if (IS("GUILD_UPDATE")) {
        take_guild(ev, guild, o, false);
    } else if (IS("GUILD_DELETE")) {
        take_guild_gone(ev, guild, o);
    } else if (rights && guild_find(ev, guild)) {
        /* Roles: what may be done has changed. */
        say_guild(ev, guild_find(ev, guild));
    }
#undef IS
}

size_t events_awaited(const struct events *ev)
{
    size_t at = 0, n = 0;
    struct guild *g;

    while ((g = map_next(&ev->guilds, &at)) != NULL)
        n += g->awaited;
    return n;
}

void events_connected(struct events *ev, bool force)
{
    size_t at = 0;
    struct guild *g;

    if (!ev->starting || (!force && events_awaited(ev) > 0))
        return;
    while ((g = map_next(&ev->guilds, &at)) != NULL) {
        g->away = g->away || g->awaited;
        g->awaited = false;
    }
    ev->starting = false;
    ev->connected = true;
    if (ev->gap)
        say(ev, REMOTE_EVENT_GAP);
    ev->gap = false;
    say(ev, REMOTE_EVENT_CONNECTED);
}

/* Guilds that a new session does not list any more: left meanwhile. */
static void drop_unlisted(struct events *ev)
{
    for (;;) {
        size_t at = 0;
        struct guild *g;
        while ((g = map_next(&ev->guilds, &at)) != NULL && g->listed)
            ;
        if (!g)
            return;

        struct remote_event e = {.kind = REMOTE_EVENT_GUILD_GONE};
        e.guild.id = g->id;
        map_remove(&ev->guilds, hash_u64(g->id), &g->id);
        guild_free(g);
        ev->tell(ev->arg, &e);
    }
}

void events_session(struct events *ev, struct json_object *ready, bool gap)
{
    struct json_object *a = NULL;

    if (ev->d)
        discord_note_event(ev->d, "READY", ready);
    ev->starting = true;
    ev->connected = false;
    ev->gap = ev->gap || gap;

    size_t at = 0;
    struct guild *g;
    while ((g = map_next(&ev->guilds, &at)) != NULL)
        g->awaited = g->listed = false;
    if (json_object_object_get_ex(ready, "guilds", &a) &&
        json_object_is_type(a, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(a); i++) {
            uint64_t id = message_id(json_object_array_get_idx(a, i), "id");
            if (is_wanted(ev, id)) {
                g = guild_get(ev, id);
                g->awaited = g->listed = true;
            }
        }
    }
    drop_unlisted(ev);
    events_connected(ev, false);
}

void events_resumed(struct events *ev)
{
    ev->starting = true;
    events_connected(ev, false);
}

void events_lost(struct events *ev)
{
    ev->starting = false;
    if (ev->connected)
        say(ev, REMOTE_EVENT_DISCONNECTED);
    ev->connected = false;
}
