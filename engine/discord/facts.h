/* What answers and events have taught and later requests need: who this bot
 * is, what it may do where, where files can be fetched. Memory only, bounded
 * by the guild's size. Safe from any thread; its lock is a leaf. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/remote.h"

struct facts;
struct json_object;

struct facts *facts_new(void);
void facts_free(struct facts *f);

void facts_note_me(struct facts *f, uint64_t user);
uint64_t facts_me(struct facts *f); /* 0: not known yet */

/* As the functions of perm.h that they stand before. */
void facts_note_guild(struct facts *f, struct json_object *guild);
void facts_guild_gone(struct facts *f, uint64_t guild);
void facts_note_member(struct facts *f, uint64_t guild,
                       struct json_object *member);
void facts_note_role(struct facts *f, uint64_t guild, struct json_object *role);
void facts_role_gone(struct facts *f, uint64_t guild, uint64_t role);
void facts_note_channel(struct facts *f, uint64_t guild,
                        struct json_object *channel);
void facts_channel_gone(struct facts *f, uint64_t channel);
uint64_t facts_guild_bits(struct facts *f, uint64_t guild);
void facts_rights(struct facts *f, struct remote_channel *c);

/* The bytes one file may have, in a guild or in a channel of one. */
uint64_t facts_max_file(struct facts *f, uint64_t guild, uint64_t channel);

/* Links to files, the newest thousand. */
void facts_note_files(struct facts *f, const struct remote_message *m);
/* Fills url and size if a link is known and lives at wall_ms. */
bool facts_link(struct facts *f, uint64_t file, int64_t wall_ms,
                struct buf *url, uint64_t *size);
void facts_forget_link(struct facts *f, uint64_t file);

/* When a link dies (its ex=), or INT64_MAX if it does not say. */
int64_t facts_link_expiry_ms(const char *url);
