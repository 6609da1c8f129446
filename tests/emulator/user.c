/* Users and the application. */
#include "tests/emulator/user.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/record.h"

bool application_has_message_content(const struct application *a)
{
    return a->flags &
           (APP_FLAG_MESSAGE_CONTENT | APP_FLAG_MESSAGE_CONTENT_LIMITED);
}

bool application_has_members(const struct application *a)
{
    return a->flags & (APP_FLAG_MEMBERS | APP_FLAG_MEMBERS_LIMITED);
}

bool application_has_presence(const struct application *a)
{
    return a->flags & (APP_FLAG_PRESENCE | APP_FLAG_PRESENCE_LIMITED);
}

struct user *user_find(struct emulator *e, uint64_t id)
{
    return map_get(&e->users, hash_u64(id), &id);
}

struct user *user_by_name(struct emulator *e, const char *name)
{
    size_t at = 0;
    if (strcmp(name, "owner") == 0)
        return e->owner;
    for (struct user *u; (u = map_next(&e->users, &at));)
        if (strcmp(u->username, name) == 0)
            return u;
    return NULL;
}

struct user *user_new(struct emulator *e, const char *username, bool bot)
{
    struct user *u = xcalloc(1, sizeof *u);
    u->id = snowflake_new(e);
    u->username = xstrdup(username);
    u->bot = bot;
    map_put(&e->users, &u->id, u);
    record_user(e, u);
    return u;
}

struct json_object *user_json(const struct user *u)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "id", snowflake_json(u->id));
    json_object_object_add(o, "username", json_object_new_string(u->username));
    /* People have "0" since discriminators went; bots keep theirs. */
    char tag[8];
    snprintf(tag, sizeof tag, "%04u", (unsigned)(u->id / 4096 % 9999 + 1));
    json_object_object_add(o, "discriminator",
                           json_object_new_string(u->bot ? tag : "0"));
    json_object_object_add(o, "avatar", NULL);
    json_object_object_add(
        o, "global_name",
        u->global_name ? json_object_new_string(u->global_name) : NULL);
    json_object_object_add(o, "public_flags", json_object_new_int(0));
    json_object_object_add(o, "flags", json_object_new_int(0));
    if (u->bot)
        json_object_object_add(o, "bot", json_object_new_boolean(true));
    json_object_object_add(o, "banner", NULL);
    json_object_object_add(o, "accent_color", NULL);
    json_object_object_add(o, "avatar_decoration_data", NULL);
    json_object_object_add(o, "collectibles", NULL);
    json_object_object_add(o, "clan", NULL);
    json_object_object_add(o, "primary_guild", NULL);
    return o;
}

struct json_object *user_self_json(const struct user *u)
{
    struct json_object *o = user_json(u);
    json_object_object_add(o, "mfa_enabled", json_object_new_boolean(true));
    json_object_object_add(o, "locale", json_object_new_string("en-US"));
    json_object_object_add(o, "premium_type", json_object_new_int(0));
    json_object_object_add(o, "email", NULL);
    json_object_object_add(o, "verified", json_object_new_boolean(true));
    return o;
}

struct json_object *application_json(struct emulator *e)
{
    struct json_object *o = json_object_new_object();
    char key[65];
    /* It only has to look like a key: nothing here signs webhooks. */
    snprintf(key, sizeof key, "%016llx%016llx%016llx%016llx",
             (unsigned long long)e->app->id * 3,
             (unsigned long long)e->app->id * 5,
             (unsigned long long)e->app->id * 7,
             (unsigned long long)e->app->id * 11);
    json_object_object_add(o, "id", snowflake_json(e->app->id));
    json_object_object_add(o, "name", json_object_new_string(e->app->name));
    json_object_object_add(o, "icon", NULL);
    json_object_object_add(o, "description", json_object_new_string(""));
    json_object_object_add(o, "type", NULL);
    json_object_object_add(o, "bot", user_json(e->bot));
    json_object_object_add(o, "bot_public", json_object_new_boolean(true));
    json_object_object_add(o, "bot_require_code_grant",
                           json_object_new_boolean(false));
    json_object_object_add(o, "integration_types_config",
                           json_object_new_object());
    json_object_object_add(o, "verify_key", json_object_new_string(key));
    json_object_object_add(o, "flags", json_object_new_int64(e->app->flags));
    char flags[16];
    snprintf(flags, sizeof flags, "%u", e->app->flags);
    json_object_object_add(o, "flags_new", json_object_new_string(flags));
    json_object_object_add(o, "eligible_oauth2_scopes",
                           json_object_new_array());
    json_object_object_add(o, "summary", json_object_new_string(""));
    json_object_object_add(o, "owner", user_json(e->owner));
    json_object_object_add(o, "team", NULL);
    json_object_object_add(o, "redirect_uris", json_object_new_array());
    json_object_object_add(o, "interactions_endpoint_url", NULL);
    json_object_object_add(o, "role_connections_verification_url", NULL);
    json_object_object_add(o, "hook", json_object_new_boolean(true));
    json_object_object_add(o, "approximate_guild_count",
                           json_object_new_uint64(e->guild_count));
    json_object_object_add(o, "approximate_user_install_count",
                           json_object_new_int(0));
    json_object_object_add(o, "approximate_user_authorization_count",
                           json_object_new_int(0));
    json_object_object_add(o, "explicit_content_filter",
                           json_object_new_int(0));
    return o;
}

void application_changed(struct emulator *e)
{
    record_application(e);
}
