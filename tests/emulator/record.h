/* State as the journal's records: each function adds the whole new form of
 * one thing, state_replay() puts it back. */
#pragma once

#include <stdint.h>

struct channel;
struct emulator;
struct guild;
struct member;
struct message;
struct role;
struct user;
struct blob;

void record_application(struct emulator *e);
void record_user(struct emulator *e, const struct user *u);
void record_guild(struct emulator *e, const struct guild *g);
void record_role(struct emulator *e, const struct guild *g,
                 const struct role *r);
void record_role_gone(struct emulator *e, const struct guild *g, uint64_t id);
void record_member(struct emulator *e, const struct guild *g,
                   const struct member *m);
void record_channel(struct emulator *e, const struct channel *ch);
void record_channel_gone(struct emulator *e, uint64_t id);
void record_message(struct emulator *e, const struct message *m);
void record_message_gone(struct emulator *e, uint64_t id);
void record_blob(struct emulator *e, const struct blob *b);
void record_blob_gone(struct emulator *e, uint64_t id);
void record_clock(struct emulator *e);

/* What state_replay() and the living code both do: links without a record or
 * an event. state.c. */
void state_init(struct emulator *e);
void state_release(struct emulator *e);
void guild_link(struct emulator *e, struct guild *g);
void guild_unlink_channel(struct guild *g, struct channel *ch);
void channel_link(struct emulator *e, struct channel *ch);
/* Out of every list and freed, with its messages. */
void channel_unlink(struct emulator *e, struct channel *ch);
void channel_free(struct emulator *e, struct channel *ch);
/* New ones only; counts and last ids follow. */
void message_link(struct emulator *e, struct message *m);
void message_unlink(struct emulator *e, struct message *m);
void message_free(struct message *m);
void blob_link(struct emulator *e, struct blob *b);
void blob_drop(struct emulator *e, uint64_t id);

/* Nonces: by author; kept for the window even if the message is gone. */
struct json_object;
void nonce_note(struct emulator *e, const struct message *m);
/* The id of the message that this author sent by this nonce lately, or 0. */
uint64_t nonce_find(struct emulator *e, uint64_t author,
                    struct json_object *nonce);
