/* Slash commands: what somebody types in a Discord client is run against the
 * engine, and the answer goes back, within the times Discord sets: something
 * within 3 seconds, the rest within 15 minutes.
 *
 * The gateway's thread only hands in. Commands run on threads that may wait,
 * so many at a time; what would wait too long for one of them is declined with
 * a kind word. What answers at once from memory (what a person may type next,
 * buttons) has threads of its own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct discord;
struct engine;
struct json_object;
struct slash;

struct slash_options {
    struct discord *discord; /* outlives it, as the engine does */
    struct engine *engine;
    /* Who holds one of these roles may use the commands, and who may manage
     * the server; with none of them Discord alone decides, by the commands'
     * default permission. Copied. */
    const uint64_t *roles;
    size_t n_roles;
};

/* Also sees to it that the commands are registered in each guild of the
 * engine's. Does not wait. */
struct slash *slash_start(const struct slash_options *o);

/* An INTERACTION_CREATE's data. Never blocks; the json is copied. */
void slash_interaction(struct slash *s, struct json_object *data);

/* What is running is answered, what waits is declined. After bot_stop(), before
 * engine_close(). NULL is fine. */
void slash_stop(struct slash *s);

/* Appends one JSON object: counts, for status.json. */
void slash_status(struct slash *s, struct buf *out);
