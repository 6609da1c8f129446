/* What the bot may do where: roles and overwrites as guilds, members and
 * channels show them, and what follows. No I/O. Not safe from several threads;
 * rest.c's lock guards it. Where too little is known, everything is allowed:
 * Discord will say no. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/remote.h"

struct json_object;
struct perm;

#define PERM_ADMINISTRATOR (UINT64_C(1) << 3)
#define PERM_MANAGE_CHANNELS (UINT64_C(1) << 4)
#define PERM_VIEW_CHANNEL (UINT64_C(1) << 10)
#define PERM_SEND_MESSAGES (UINT64_C(1) << 11)
#define PERM_MANAGE_MESSAGES (UINT64_C(1) << 13)
#define PERM_ATTACH_FILES (UINT64_C(1) << 15)
#define PERM_READ_MESSAGE_HISTORY (UINT64_C(1) << 16)
#define PERM_MANAGE_THREADS (UINT64_C(1) << 34)
#define PERM_CREATE_PUBLIC_THREADS (UINT64_C(1) << 35)
#define PERM_SEND_MESSAGES_IN_THREADS (UINT64_C(1) << 38)

struct perm *perm_new(void);
void perm_free(struct perm *p);

/* Who this bot is. */
void perm_note_me(struct perm *p, uint64_t user);

/* A guild object: roles, owner, boosts; with members[], those of this bot. */
void perm_note_guild(struct perm *p, struct json_object *guild);
void perm_guild_gone(struct perm *p, uint64_t guild);

/* A member object; passed over unless its user is this bot. */
void perm_note_member(struct perm *p, uint64_t guild,
                      struct json_object *member);

void perm_note_role(struct perm *p, uint64_t guild, struct json_object *role);
void perm_role_gone(struct perm *p, uint64_t guild, uint64_t role);

/* A channel or thread object. guild where the object does not say it, or 0. */
void perm_note_channel(struct perm *p, uint64_t guild,
                       struct json_object *channel);
void perm_channel_gone(struct perm *p, uint64_t channel);

/* The bits; all of them while roles and member are not known. */
uint64_t perm_in_guild(const struct perm *p, uint64_t guild);
uint64_t perm_in_channel(const struct perm *p, uint64_t channel);

/* Fills viewable, writable and manageable of a channel that was noted. */
void perm_rights(const struct perm *p, struct remote_channel *c);

/* The guild of a channel that was noted, or 0. */
uint64_t perm_guild_of(const struct perm *p, uint64_t channel);

/* The bytes one file may have there. Of an unknown guild: the least that any
 * guild allows. */
uint64_t perm_max_file(const struct perm *p, uint64_t guild);
