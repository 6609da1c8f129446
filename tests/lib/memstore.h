/* A message store in memory, for the engine's tests: one guild that several
 * "processes" share, each with a struct remote of its own. It keeps what
 * Discord keeps and does to messages what Discord does: ids that rise, content
 * that is trimmed, attachments dropped by an edit that does not list them,
 * threads on messages, deletes that cannot be undone. And it fails on request.
 *
 * One thread carries out all requests, in order of priority and arrival; each
 * connection has another that delivers its events.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/remote.h"

struct memstore;

struct memstore *memstore_new(void);
/* After every connection was closed. */
void memstore_free(struct memstore *s);
uint64_t memstore_guild(struct memstore *s);

/* A process's view of the store; remote_close() ends it. */
struct remote *memstore_connect(struct memstore *s);
/* The process dies: nothing it asked for or will ask for is done any more. */
void memstore_kill(struct remote *r);

/* --- events ----------------------------------------------------------------
 */

typedef void memstore_event(void *arg, const struct remote_event *ev);
/* CONNECTED comes first. event NULL: no more come when this has returned. */
void memstore_listen(struct remote *r, memstore_event *event, void *arg);
/* Events wait, and come in order when it is let go. */
void memstore_hold_events(struct remote *r, bool hold);
/* Events are lost; when they come again, GAP is the first. */
void memstore_lose_events(struct remote *r, bool lose);
/* Until every event that is not held has been delivered, and what the store
 * was asked for is done. */
void memstore_quiet(struct memstore *s);

/* --- faults ----------------------------------------------------------------
 */

/* The next `times` requests of this kind fail with r: before anything was
 * done, or (after) when it was, so that the answer is lost. */
void memstore_fail(struct memstore *s, enum remote_op op, int times, int r,
                   bool after);
/* Requests of this kind do not leave; releasing lets them go. */
void memstore_hold(struct memstore *s, enum remote_op op, bool hold);
/* One of those that are held may leave. */
void memstore_let_one(struct memstore *s, enum remote_op op);
/* Until n requests of this kind are waiting to leave. */
void memstore_wait_held(struct memstore *s, enum remote_op op, size_t n);
/* At least so many ms between two posts into one channel. */
void memstore_set_interval(struct memstore *s, int64_t ms);
/* This byte does not survive in contents any more; 0: all do. */
void memstore_strip(struct memstore *s, char c);
/* Ids are made as if it were this much earlier. */
void memstore_set_age(struct memstore *s, int64_t ms);
/* The next message of a channel is posted and answered, but nobody is told of
 * it nor finds it in a listing until memstore_show(): it came late. */
void memstore_hide_next(struct memstore *s, uint64_t channel);
/* Messages whose content begins so are in no listing until memstore_show(). */
void memstore_hide(struct memstore *s, const char *prefix);
void memstore_show(struct memstore *s);
/* This process dies after so many more requests. */
void memstore_die_after(struct remote *r, size_t requests);
/* No file larger than that. */
void memstore_set_max_file(struct memstore *s, uint64_t bytes);

/* What the search is like; all false: it knows everything at once. Else as
 * unreliable as Discord's. */
struct memstore_search {
    bool lag;          /* it hears of changes at memstore_search_catch_up() */
    size_t drop_every; /* of the changes, that many it never hears of */
    bool stale;        /* what was deleted is still found, as it was */
    bool reorder;      /* hits stand in pages where they do not belong */
    bool not_ready;    /* -EAGAIN */
    bool deep;         /* it answers, and says that it is still at work */
};
void memstore_set_search(struct memstore *s, const struct memstore_search *how);
void memstore_search_catch_up(struct memstore *s);

/* --- a look inside ---------------------------------------------------------
 */

/* Requests carried out, or failed, since the last reset. */
size_t memstore_count(struct memstore *s, enum remote_op op);
/* Until there were n. */
void memstore_wait_count(struct memstore *s, enum remote_op op, size_t n);
size_t memstore_count_all(struct memstore *s);
void memstore_reset_counts(struct memstore *s);

/* The channel of this name, the n-th from 0 by id; 0: there is none. */
uint64_t memstore_channel(struct memstore *s, const char *name, size_t nth);
size_t memstore_channels(struct memstore *s);
/* Messages of type 0 in a channel, oldest first: how many, and the n-th. */
size_t memstore_messages(struct memstore *s, uint64_t channel);
uint64_t memstore_message_at(struct memstore *s, uint64_t channel, size_t nth);
/* Its content, for free(); NULL: it is not there. */
char *memstore_content(struct memstore *s, uint64_t channel, uint64_t id);
size_t memstore_files(struct memstore *s, uint64_t channel, uint64_t id);

/* By somebody's hand, not through a process. */
uint64_t memstore_post_as(struct memstore *s, uint64_t channel, uint64_t author,
                          const char *content);
void memstore_delete_as(struct memstore *s, uint64_t channel, uint64_t id);
/* Changes bytes of a message's attachment, or of its content. */
void memstore_damage_file(struct memstore *s, uint64_t channel, uint64_t id);
void memstore_damage_content(struct memstore *s, uint64_t channel, uint64_t id);
/* Gives a message another content; removes its attachments. */
void memstore_edit_as(struct memstore *s, uint64_t channel, uint64_t id,
                      const char *content);
void memstore_drop_files(struct memstore *s, uint64_t channel, uint64_t id);
uint64_t memstore_self(struct memstore *s);
