/* Guilds, roles, members. */
#include "tests/emulator/guild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/event.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/record.h"
#include "tests/emulator/user.h"

/* What a person who invites an application like this one grants. */
#define INVITED_BITS                                                           \
    (PERM_VIEW_CHANNEL | PERM_SEND_MESSAGES | PERM_MANAGE_MESSAGES |           \
     PERM_EMBED_LINKS | PERM_ATTACH_FILES | PERM_READ_HISTORY |                \
     PERM_ADD_REACTIONS | PERM_MANAGE_CHANNELS | PERM_MANAGE_ROLES |           \
     PERM_MANAGE_WEBHOOKS | PERM_MANAGE_THREADS | PERM_CREATE_PUBLIC_THREADS | \
     PERM_CREATE_PRIVATE_THREADS | PERM_SEND_IN_THREADS | PERM_PIN_MESSAGES |  \
     PERM_USE_COMMANDS | PERM_BYPASS_SLOWMODE)

/* @everyone of a new guild. */
#define EVERYONE_BITS                                                          \
    (PERM_VIEW_CHANNEL | PERM_SEND_MESSAGES | PERM_EMBED_LINKS |               \
     PERM_ATTACH_FILES | PERM_READ_HISTORY | PERM_ADD_REACTIONS |              \
     PERM_MENTION_EVERYONE | PERM_USE_COMMANDS | PERM_CREATE_PUBLIC_THREADS |  \
     PERM_CREATE_PRIVATE_THREADS | PERM_SEND_IN_THREADS)

struct guild *guild_find(struct emulator *e, uint64_t id)
{
    for (size_t i = 0; i < e->guild_count; i++)
        if (e->guilds[i]->id == id)
            return e->guilds[i];
    return NULL;
}

struct role *guild_role(const struct guild *g, uint64_t id)
{
    for (size_t i = 0; i < g->role_count; i++)
        if (g->roles[i]->id == id)
            return g->roles[i];
    return NULL;
}

struct role *guild_role_by_name(const struct guild *g, const char *name)
{
    for (size_t i = 0; i < g->role_count; i++)
        if (strcmp(g->roles[i]->name, name) == 0)
            return g->roles[i];
    return NULL;
}

struct member *guild_member(const struct guild *g, uint64_t user_id)
{
    for (size_t i = 0; i < g->member_count; i++)
        if (g->members[i]->user_id == user_id)
            return g->members[i];
    return NULL;
}

struct role *guild_bot_role(struct emulator *e, const struct guild *g)
{
    for (size_t i = 0; i < g->role_count; i++)
        if (g->roles[i]->bot_id == e->bot->id)
            return g->roles[i];
    return NULL;
}

static void role_event(struct emulator *e, const char *type, struct guild *g,
                       const struct role *r, uint64_t id)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "guild_id", snowflake_json(g->id));
    if (r)
        json_object_object_add(o, "role", role_json(r));
    else
        json_object_object_add(o, "role_id", snowflake_json(id));
    event_dispatch(e, type, g->id, 0, o);
    json_object_put(o);
}

static struct role *role_add(struct emulator *e, struct guild *g, uint64_t id,
                             const char *name, uint64_t permissions)
{
    struct role *r = xcalloc(1, sizeof *r);
    r->id = id ? id : snowflake_new(e);
    r->name = xstrdup(name);
    r->permissions = permissions;
    r->position = (int)g->role_count;
    g->roles = xrealloc(g->roles, (g->role_count + 1) * sizeof(void *));
    g->roles[g->role_count++] = r;
    return r;
}

struct role *role_new(struct emulator *e, struct guild *g, const char *name,
                      uint64_t permissions)
{
    struct role *r = role_add(e, g, 0, name, permissions);
    record_role(e, g, r);
    role_event(e, "GUILD_ROLE_CREATE", g, r, 0);
    return r;
}

void role_changed(struct emulator *e, struct guild *g, struct role *r)
{
    record_role(e, g, r);
    role_event(e, "GUILD_ROLE_UPDATE", g, r, 0);
}

void role_remove(struct emulator *e, struct guild *g, struct role *r)
{
    uint64_t id = r->id;
    for (size_t i = 0; i < g->member_count; i++)
        if (id_list_drop(&g->members[i]->roles, id))
            member_changed(e, g, g->members[i]);
    for (size_t i = 0; i < g->role_count; i++) {
        if (g->roles[i] == r) {
            memmove(g->roles + i, g->roles + i + 1,
                    (g->role_count - i - 1) * sizeof(void *));
            g->role_count--;
            break;
        }
    }
    free(r->name);
    free(r);
    record_role_gone(e, g, id);
    role_event(e, "GUILD_ROLE_DELETE", g, NULL, id);
}

static struct member *member_add(struct emulator *e, struct guild *g,
                                 const struct user *u)
{
    struct member *m = xcalloc(1, sizeof *m);
    m->user_id = u->id;
    m->joined_at = emulator_now(e);
    g->members = xrealloc(g->members, (g->member_count + 1) * sizeof(void *));
    g->members[g->member_count++] = m;
    return m;
}

static void member_event(struct emulator *e, const char *type,
                         const struct guild *g, const struct member *m)
{
    struct json_object *o = member_json(e, g, m, true);
    json_object_object_add(o, "guild_id", snowflake_json(g->id));
    event_dispatch(e, type, g->id, 0, o);
    json_object_put(o);
}

struct member *member_new(struct emulator *e, struct guild *g,
                          const struct user *u)
{
    struct member *m = member_add(e, g, u);
    record_member(e, g, m);
    member_event(e, "GUILD_MEMBER_ADD", g, m);
    return m;
}

void member_changed(struct emulator *e, struct guild *g, struct member *m)
{
    record_member(e, g, m);
    member_event(e, "GUILD_MEMBER_UPDATE", g, m);
}

struct guild *guild_new(struct emulator *e, const char *name)
{
    struct guild *g = xcalloc(1, sizeof *g);
    g->id = snowflake_new(e);
    g->name = xstrdup(name);
    g->owner_id = e->owner->id;
    g->created_at = emulator_now(e);
    role_add(e, g, g->id, "@everyone", EVERYONE_BITS);
    struct role *managed = role_add(e, g, 0, e->bot->username, INVITED_BITS);
    managed->managed = true;
    managed->bot_id = e->bot->id;
    member_add(e, g, e->owner);
    id_list_add(&member_add(e, g, e->bot)->roles, managed->id);
    guild_link(e, g);

    record_guild(e, g);
    for (size_t i = 0; i < g->role_count; i++)
        record_role(e, g, g->roles[i]);
    for (size_t i = 0; i < g->member_count; i++)
        record_member(e, g, g->members[i]);

    struct channel *general = channel_draft(g->id, CHANNEL_TEXT, "general");
    general->id = snowflake_new(e);
    channel_link(e, general);
    record_channel(e, general);
    g->system_channel_id = general->id;
    record_guild(e, g);

    if (e->gateway) {
        struct json_object *o = guild_create_json(e, g);
        event_dispatch(e, "GUILD_CREATE", g->id, 0, o);
        json_object_put(o);
    }
    return g;
}

static void add_bits(struct json_object *o, const char *key, uint64_t bits)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)bits);
    json_object_object_add(o, key, json_object_new_string(text));
}

struct json_object *role_json(const struct role *r)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "id", snowflake_json(r->id));
    json_object_object_add(o, "name", json_object_new_string(r->name));
    json_object_object_add(o, "description", NULL);
    add_bits(o, "permissions", r->permissions);
    json_object_object_add(o, "position", json_object_new_int(r->position));
    json_object_object_add(o, "color", json_object_new_int64(r->color));
    struct json_object *colors = json_object_new_object();
    json_object_object_add(colors, "primary_color",
                           json_object_new_int64(r->color));
    json_object_object_add(colors, "secondary_color", NULL);
    json_object_object_add(colors, "tertiary_color", NULL);
    json_object_object_add(o, "colors", colors);
    json_object_object_add(o, "hoist", json_object_new_boolean(r->hoist));
    json_object_object_add(o, "managed", json_object_new_boolean(r->managed));
    json_object_object_add(o, "mentionable",
                           json_object_new_boolean(r->mentionable));
    json_object_object_add(o, "icon", NULL);
    json_object_object_add(o, "unicode_emoji", NULL);
    json_object_object_add(o, "flags", json_object_new_int(0));
    if (r->bot_id) {
        struct json_object *tags = json_object_new_object();
        json_object_object_add(tags, "bot_id", snowflake_json(r->bot_id));
        json_object_object_add(o, "tags", tags);
    }
    return o;
}

struct json_object *member_json(struct emulator *e, const struct guild *g,
                                const struct member *m, bool with_user)
{
    struct json_object *o = json_object_new_object();
    char at[CLOCK_STAMP_SIZE];
    (void)g;
    json_object_object_add(o, "avatar", NULL);
    json_object_object_add(o, "banner", NULL);
    json_object_object_add(o, "communication_disabled_until", NULL);
    json_object_object_add(o, "flags", json_object_new_int(0));
    json_object_object_add(
        o, "joined_at", json_object_new_string(clock_stamp(m->joined_at, at)));
    json_object_object_add(o, "nick",
                           m->nick ? json_object_new_string(m->nick) : NULL);
    json_object_object_add(o, "pending", json_object_new_boolean(false));
    json_object_object_add(o, "premium_since", NULL);
    json_object_object_add(o, "roles", id_list_json(&m->roles));
    json_object_object_add(o, "mute", json_object_new_boolean(false));
    json_object_object_add(o, "deaf", json_object_new_boolean(false));
    if (with_user)
        json_object_object_add(o, "user", user_json(user_find(e, m->user_id)));
    return o;
}

struct json_object *guild_json(struct emulator *e, const struct guild *g,
                               bool with_counts)
{
    struct json_object *o = json_object_new_object();
    struct json_object *roles = json_object_new_array();
    (void)e;
    for (size_t i = 0; i < g->role_count; i++)
        json_object_array_add(roles, role_json(g->roles[i]));

    static const char *const nulls[] = {"icon",
                                        "description",
                                        "home_header",
                                        "splash",
                                        "discovery_splash",
                                        "banner",
                                        "application_id",

                                        "afk_channel_id",
                                        "widget_channel_id",
                                        "rules_channel_id",
                                        "public_updates_channel_id",
                                        "safety_alerts_channel_id",
                                        "vanity_url_code",
                                        "icon_hash",
                                        "max_presences",
                                        "latest_onboarding_question_id",
                                        "incidents_data"};
    static const struct {
        const char *key;
        int value;
    } numbers[] = {{"afk_timeout", 300},
                   {"system_channel_flags", 0},
                   {"verification_level", 0},
                   {"default_message_notifications", 0},
                   {"mfa_level", 0},
                   {"explicit_content_filter", 0},
                   {"max_members", 500000},
                   {"max_stage_video_channel_users", 50},
                   {"max_video_channel_users", 25},
                   {"premium_tier", 0},
                   {"premium_subscription_count", 0},
                   {"nsfw_level", 0}};

    json_object_object_add(o, "id", snowflake_json(g->id));
    json_object_object_add(o, "name", json_object_new_string(g->name));
    for (size_t i = 0; i < sizeof nulls / sizeof *nulls; i++)
        json_object_object_add(o, nulls[i], NULL);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        json_object_object_add(o, numbers[i].key,
                               json_object_new_int(numbers[i].value));
    /* Deprecated, and still a text. */
    json_object_object_add(o, "region", json_object_new_string("deprecated"));
    json_object_object_add(o, "features", json_object_new_array());
    json_object_object_add(o, "owner_id", snowflake_json(g->owner_id));
    json_object_object_add(o, "system_channel_id",
                           snowflake_json(g->system_channel_id));
    json_object_object_add(o, "widget_enabled", json_object_new_boolean(false));
    json_object_object_add(o, "preferred_locale",
                           json_object_new_string("en-US"));
    json_object_object_add(o, "premium_progress_bar_enabled",
                           json_object_new_boolean(false));
    json_object_object_add(o, "nsfw", json_object_new_boolean(false));
    json_object_object_add(o, "emojis", json_object_new_array());
    json_object_object_add(o, "stickers", json_object_new_array());
    json_object_object_add(o, "roles", roles);
    if (with_counts) {
        json_object_object_add(o, "approximate_member_count",
                               json_object_new_uint64(g->member_count));
        json_object_object_add(o, "approximate_presence_count",
                               json_object_new_int(1));
    }
    return o;
}

struct json_object *guild_create_json(struct emulator *e, const struct guild *g)
{
    struct json_object *o = guild_json(e, g, false);
    struct json_object *channels = json_object_new_array();
    struct json_object *threads = json_object_new_array();
    struct json_object *members = json_object_new_array();
    const struct member *self = guild_member(g, e->bot->id);
    char at[CLOCK_STAMP_SIZE];

    for (size_t i = 0; i < g->channel_count; i++)
        json_object_array_add(channels,
                              channel_json(e, g->channels[i], e->bot->id));
    for (size_t i = 0; i < g->thread_count; i++)
        if (!g->threads[i]->thread->archived &&
            perm_in_channel(e, g->threads[i], e->bot->id))
            json_object_array_add(threads,
                                  channel_json(e, g->threads[i], e->bot->id));
    json_object_array_add(members, member_json(e, g, self, true));

    json_object_object_add(
        o, "joined_at",
        json_object_new_string(clock_stamp(self->joined_at, at)));
    json_object_object_add(o, "large", json_object_new_boolean(false));
    json_object_object_add(o, "unavailable", json_object_new_boolean(false));
    json_object_object_add(o, "member_count",
                           json_object_new_uint64(g->member_count));
    json_object_object_add(o, "channels", channels);
    json_object_object_add(o, "threads", threads);
    json_object_object_add(o, "members", members);
    json_object_object_add(o, "voice_states", json_object_new_array());
    json_object_object_add(o, "presences", json_object_new_array());
    json_object_object_add(o, "stage_instances", json_object_new_array());
    json_object_object_add(o, "guild_scheduled_events",
                           json_object_new_array());
    json_object_object_add(o, "soundboard_sounds", json_object_new_array());
    return o;
}
