/* Users, and the application. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emulator;
struct json_object;

struct user {
    uint64_t id;
    char *username;
    char *global_name; /* or NULL */
    bool bot;
};

#define APP_FLAG_PRESENCE (1u << 12)
#define APP_FLAG_MEMBERS (1u << 14)
#define APP_FLAG_MESSAGE_CONTENT (1u << 18)
/* Their _LIMITED forms, for apps in few guilds, are the next bit up. */
#define APP_FLAG_PRESENCE_LIMITED (1u << 13)
#define APP_FLAG_MEMBERS_LIMITED (1u << 15)
#define APP_FLAG_MESSAGE_CONTENT_LIMITED (1u << 19)

struct application {
    uint64_t id; /* also the bot user's */
    char *name;
    uint32_t flags; /* the privileged intents the portal allows */
};

/* All three privileged intents may be on; these ask for one. */
bool application_has_message_content(const struct application *a);
bool application_has_members(const struct application *a);
bool application_has_presence(const struct application *a);

struct user *user_find(struct emulator *e, uint64_t id);
/* By username; "owner" is the owner. NULL if there is none. */
struct user *user_by_name(struct emulator *e, const char *name);
/* Journalled. */
struct user *user_new(struct emulator *e, const char *username, bool bot);

struct json_object *user_json(const struct user *u);
/* With what only oneself sees. */
struct json_object *user_self_json(const struct user *u);
struct json_object *application_json(struct emulator *e);
/* Flags were changed; journals. */
void application_changed(struct emulator *e);
