/* The gateway protocol of Discord's side as a plain state machine: frames and
 * the time go in, frames and a close code come out. No I/O, no clock, one
 * thread.
 *
 * A *link* is one WebSocket connection; a *session* is what IDENTIFY opens
 * and RESUME picks up again on another link. The *pool* holds all of them and
 * the limits they share.
 *
 *            hello            IDENTIFY ok            peer or we close
 *    open ----------> waiting ------------> attached ----------------+
 *                        |  RESUME ok           ^                    |
 *                        +----------------------+  parked <----------+
 *                                               |    | 1000, 1001, 4009,
 *                                       RESUME  +----+ or a few minutes: gone
 *
 * A session keeps its events, numbered, and the link is a cursor into them:
 * what a slow or silent peer has not read yet costs no second copy, and a
 * replay is the cursor set back. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct session_pool;
struct session;
struct session_link;

enum {
    SESSION_HEARTBEAT_MS = 41250,
    SESSION_RESUME_MS = 180 * 1000,
    SESSION_IDENTIFY_MS = 5000,
    SESSION_DAY_MS = 24 * 3600 * 1000,
    SESSION_IDENTIFIES_A_DAY = 1000,
    SESSION_FRAMES = 120,
    SESSION_FRAMES_MS = 60 * 1000,
    SESSION_PAYLOAD_MAX = 4096,
};

/* Bits of IDENTIFY's intents that the emulator's events depend on. */
#define INTENT_GUILDS (1u << 0)
#define INTENT_GUILD_MEMBERS (1u << 1)
#define INTENT_GUILD_PRESENCES (1u << 8)
#define INTENT_GUILD_MESSAGES (1u << 9)
#define INTENT_GUILD_MESSAGE_REACTIONS (1u << 10)
#define INTENT_DIRECT_MESSAGES (1u << 12)
#define INTENT_MESSAGE_CONTENT (1u << 15)

/* What the pool asks of the program around it. welcome fills a new session
 * by session_emit(): READY first. request answers opcode 8 and its like, d is
 * JSON. wake says that a link has a frame or a close to fetch. revoke: the
 * day's IDENTIFYs are used up, the token is no longer good. Any but token_ok
 * may be NULL. */
struct session_host {
    void *arg;
    bool (*token_ok)(void *arg, const char *token);
    void (*welcome)(void *arg, struct session *s);
    void (*request)(void *arg, struct session *s, int op, const char *d);
    void (*wake)(void *arg, void *link_user);
    void (*revoke)(void *arg);
};

struct session_pool *session_pool_new(const struct session_host *host);
void session_pool_free(struct session_pool *p);

/* Whether 1 IDENTIFY in 5 s, 1000 a day and 120 frames a minute are held to.
 */
void session_pool_limits(struct session_pool *p, bool enforce);

/* The intents switched on for the application; a session that asks for more
 * is closed with 4014. All, at first. */
void session_pool_allow(struct session_pool *p, uint32_t intents);

/* What /gateway/bot says of the day. */
int session_pool_remaining(struct session_pool *p, int64_t now,
                           int64_t *reset_after_ms);

/* When to call session_pool_tick(), or INT64_MAX. */
int64_t session_pool_deadline(const struct session_pool *p);
void session_pool_tick(struct session_pool *p, int64_t now);

/* Something happened: each session that asked for one of the intents (0:
 * every session) gets it. Sessions without MESSAGE_CONTENT get blank where it
 * is not NULL. guild_id picks the shard, 0 is for all. data is JSON. */
struct session_event {
    const char *type;
    uint32_t intents;
    uint64_t guild_id;
    const char *data;
    const char *blank;
};
/* The number of sessions that got it. */
int session_publish(struct session_pool *p, const struct session_event *ev,
                    int64_t now);

/* Faults. The first three reach each link, resumable says what op 9
 * carries; silence lets existing links hear nothing more, drop cuts them
 * (SESSION_CUT). */
void session_pool_invalidate(struct session_pool *p, bool resumable,
                             int64_t now);
void session_pool_reconnect(struct session_pool *p);
void session_pool_beat(struct session_pool *p);
void session_pool_silence(struct session_pool *p);
void session_pool_drop(struct session_pool *p);
/* Closes each link with this code. */
void session_pool_close(struct session_pool *p, int code, const char *reason);

/* Is there a session with one of the intents (0: any), or one without? Spares
 * the making of payloads nobody would read. */
bool session_pool_any(const struct session_pool *p, uint32_t intents,
                      bool with);
size_t session_pool_links(const struct session_pool *p);
size_t session_pool_sessions(const struct session_pool *p);

/* One session, for the host's callbacks. */
void session_emit(struct session *s, const char *type, const char *data,
                  int64_t now);
const char *session_id(const struct session *s);
uint32_t session_intents(const struct session *s);
int64_t session_born(const struct session *s);
/* The shard as [id, count], [0, 1] where the client named none. */
void session_shard(const struct session *s, int *id, int *count);
bool session_sees_guild(const struct session *s, uint64_t guild_id);

/* A connection. query is the part of the URL behind '?', or NULL. */
struct session_link *session_link_new(struct session_pool *p, const char *query,
                                      void *user, int64_t now);
bool session_link_compressed(const struct session_link *l);
void session_link_receive(struct session_link *l, const char *text, size_t len,
                          int64_t now);

/* The next frame to send, as text, or false. */
bool session_link_next(struct session_link *l, struct buf *out);
bool session_link_pending(const struct session_link *l);

/* 0 while the connection is to stay; a close code, or SESSION_CUT for an end
 * without a close frame. Frames in front of it still count. */
#define SESSION_CUT (-1)
int session_link_close_code(const struct session_link *l, const char **reason);

/* The connection is gone; peer_code is the code of the peer's close frame, 0
 * if there was none. Frees l. */
void session_link_gone(struct session_link *l, int peer_code, int64_t now);
