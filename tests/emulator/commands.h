/* An application's commands: what may be registered, and what is. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emulator;
struct form;
struct json_object;

enum command_type { COMMAND_CHAT = 1, COMMAND_USER = 2, COMMAND_MESSAGE = 3 };

enum option_type {
    OPTION_SUB_COMMAND = 1,
    OPTION_GROUP = 2,
    OPTION_STRING = 3,
    OPTION_INTEGER = 4,
    OPTION_BOOLEAN = 5,
    OPTION_USER = 6,
    OPTION_CHANNEL = 7,
    OPTION_ROLE = 8,
    OPTION_MENTIONABLE = 9,
    OPTION_NUMBER = 10,
    OPTION_ATTACHMENT = 11,
};

/* command_check.c, free of state: the command that body asks for, with what
 * is absent filled in, or NULL and the reasons in f. `at` is where body stands
 * in the request ("" or "3"); contexts and integration_types count for global
 * commands only. The result lacks what the store adds (id, version, …). */
struct json_object *command_check(struct form *f, const char *at,
                                  struct json_object *body, bool global);

/* 1 to 32 letters, digits, - _ ' of any script, lower-case where there is
 * one. */
bool command_name_valid(const char *name);

/* What a guild's users see under that name: the guild's own command first,
 * then the global one. Borrowed; NULL if there is none. */
struct json_object *commands_find(struct emulator *e, uint64_t guild_id,
                                  const char *name, int type);
