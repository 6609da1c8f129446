/* Who may do what: roles, overwrites, threads. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;
struct channel;
struct emulator;
struct guild;
struct overwrite;

#define PERM_KICK_MEMBERS (1ULL << 1)
#define PERM_ADMINISTRATOR (1ULL << 3)
#define PERM_MANAGE_CHANNELS (1ULL << 4)
#define PERM_MANAGE_GUILD (1ULL << 5)
#define PERM_ADD_REACTIONS (1ULL << 6)
#define PERM_VIEW_AUDIT_LOG (1ULL << 7)
#define PERM_VIEW_CHANNEL (1ULL << 10)
#define PERM_SEND_MESSAGES (1ULL << 11)
#define PERM_SEND_TTS (1ULL << 12)
#define PERM_MANAGE_MESSAGES (1ULL << 13)
#define PERM_EMBED_LINKS (1ULL << 14)
#define PERM_ATTACH_FILES (1ULL << 15)
#define PERM_READ_HISTORY (1ULL << 16)
#define PERM_MENTION_EVERYONE (1ULL << 17)
#define PERM_MANAGE_ROLES (1ULL << 28)
#define PERM_MANAGE_WEBHOOKS (1ULL << 29)
#define PERM_USE_COMMANDS (1ULL << 31)
#define PERM_MANAGE_THREADS (1ULL << 34)
#define PERM_CREATE_PUBLIC_THREADS (1ULL << 35)
#define PERM_CREATE_PRIVATE_THREADS (1ULL << 36)
#define PERM_SEND_IN_THREADS (1ULL << 38)
#define PERM_PIN_MESSAGES (1ULL << 51)
#define PERM_BYPASS_SLOWMODE (1ULL << 52)
#define PERM_ALL ((1ULL << 53) - 1)

/* Whether who holds these may put bits into an overwrite: only bits held, and
 * MANAGE_ROLES only for administrators. */
bool perm_may_give(uint64_t held, uint64_t bits);

/* The computation itself, free of state: base is @everyone's bits or'ed with
 * those of the member's roles. */
uint64_t perm_overwritten(uint64_t base, uint64_t guild_id, uint64_t user_id,
                          const uint64_t *role_ids, unsigned role_count,
                          const struct overwrite *overwrites, unsigned count);

/* 0 for who is no member. */
uint64_t perm_in_guild(struct emulator *e, const struct guild *g,
                       uint64_t user_id);

/* In a channel; for a thread by its parent's overwrites, and a private thread
 * is seen by its members and by MANAGE_THREADS only. Nothing at all without
 * VIEW_CHANNEL. */
uint64_t perm_in_channel(struct emulator *e, const struct channel *ch,
                         uint64_t user_id);

/* For the bot, in a handler: true if it holds all of `bits`; otherwise the
 * call was answered, 50001 if it cannot see the channel, else 50013. */
bool perm_require(struct call *c, const struct channel *ch, uint64_t bits);
bool perm_require_guild(struct call *c, const struct guild *g, uint64_t bits);
