/* The way from a change of state to the gateway's sessions (gateway.c). */
#pragma once

#include <stdint.h>

struct emulator;
struct json_object;

/* Queues a dispatch (op 0) of `type` for every session whose intents ask for
 * it and whose bot may see it. payload is the event's full `d`, for a message
 * with its content: the gateway takes out what a session may not read
 * (message_strip()). channel_id is 0 for an event of the guild itself; for a
 * thread it is the thread's. The caller keeps its reference to payload, and
 * may not change it afterwards.
 *
 * Nothing is written to a socket before control is back in the event loop, and
 * so never before the journal. */
void event_dispatch(struct emulator *e, const char *type, uint64_t guild_id,
                    uint64_t channel_id, struct json_object *payload);
