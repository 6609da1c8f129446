/* The gateway's dispatches as news of a store (remote.h). Keeps the guilds it
 * was told of; no I/O. One thread's alone. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/remote.h"

struct discord;
struct events;
struct json_object;

/* d (may be NULL) learns roles and rights on the way and fills them in.
 * guilds: those that are told of, all where n is 0; copied. */
struct events *events_new(struct discord *d, const uint64_t *guilds, size_t n,
                          void (*tell)(void *arg, const struct remote_event *),
                          void *arg);
void events_free(struct events *ev);

/* Tells what an event of this type means; what means nothing to a store, or
 * cannot be read, is passed over. */
void events_take(struct events *ev, const char *type, struct json_object *data);

/* A session begins: the guilds READY lists are awaited. gap: events were
 * lost, said when they have come. */
void events_session(struct events *ev, struct json_object *ready, bool gap);

/* Have all guilds of the session come? Says CONNECTED once, now or when the
 * last of them comes, or at once with force: those that come later then bring
 * a GAP. */
void events_connected(struct events *ev, bool force);

/* The old session goes on, nothing was lost: CONNECTED. */
void events_resumed(struct events *ev);

/* No more events for now: DISCONNECTED, if CONNECTED was said. */
void events_lost(struct events *ev);

/* How many guilds are awaited still. */
size_t events_awaited(const struct events *ev);
