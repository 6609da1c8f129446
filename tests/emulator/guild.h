/* Guilds with their roles and members. Changes journal themselves and
 * dispatch their events. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/emulator/snowflake.h"

struct channel;
struct emulator;
struct json_object;
struct user;

struct role {
    uint64_t id;
    char *name;
    uint64_t permissions;
    int position;
    uint32_t color;
    bool hoist, mentionable, managed;
    uint64_t bot_id; /* the bot whose managed role it is, or 0 */
};

struct member {
    uint64_t user_id;
    struct id_list roles; /* without @everyone */
    char *nick;           /* or NULL */
    int64_t joined_at;
};

struct guild {
    uint64_t id;
    char *name;
    uint64_t owner_id;
    uint64_t system_channel_id;
    int64_t created_at;

    struct role **roles; /* @everyone (id = guild's) is the first */
    size_t role_count;
    struct member **members;
    size_t member_count;

    /* Channels without threads, by id; threads are in e->channels, and here
     * too by id, the active and the archived ones. */
    struct channel **channels;
    size_t channel_count;
    struct channel **threads;
    size_t thread_count;
};

struct guild *guild_find(struct emulator *e, uint64_t id);
struct role *guild_role(const struct guild *g, uint64_t id);
struct role *guild_role_by_name(const struct guild *g, const char *name);
struct member *guild_member(const struct guild *g, uint64_t user_id);
/* The bot's managed role. */
struct role *guild_bot_role(struct emulator *e, const struct guild *g);

/* With @everyone, the owner, the bot and its role, and #general. Dispatches
 * GUILD_CREATE if the emulator is running. */
struct guild *guild_new(struct emulator *e, const char *name);
/* Dispatches GUILD_ROLE_CREATE, and so on. */
struct role *role_new(struct emulator *e, struct guild *g, const char *name,
                      uint64_t permissions);
void role_changed(struct emulator *e, struct guild *g, struct role *r);
void role_remove(struct emulator *e, struct guild *g, struct role *r);
struct member *member_new(struct emulator *e, struct guild *g,
                          const struct user *u);
void member_changed(struct emulator *e, struct guild *g, struct member *m);

struct json_object *role_json(const struct role *r);
/* The `user` key is left out for messages' `member`. */
struct json_object *member_json(struct emulator *e, const struct guild *g,
                                const struct member *m, bool with_user);
/* As GET /guilds/{id}: roles, no channels. */
struct json_object *guild_json(struct emulator *e, const struct guild *g,
                               bool with_counts);
/* As in GUILD_CREATE: channels, active threads the bot sees, itself as the
 * member, … */
struct json_object *guild_create_json(struct emulator *e,
                                      const struct guild *g);
