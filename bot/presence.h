/* What a running process is on Discord: connected to the gateway, whose news
 * go to the engine, and, where that is wanted, answering slash commands. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct discord;
struct engine;
struct presence;

struct presence_options {
    struct discord *discord; /* outlives it, as the engine does */
    struct engine *engine;
    const uint64_t *guilds; /* whose news are wanted; copied */
    size_t n_guilds;
    bool commands;         /* slash commands, too */
    const uint64_t *roles; /* as slash_options; copied */
    size_t n_roles;
};

/* Fails for want of a thread or a client alone: connecting goes on by itself,
 * and what ends it for good (bad token, intents) leaves the process working. */
int presence_start(const struct presence_options *o, struct presence **out,
                   struct err *err);

/* Before engine_close(). Waits for commands that are running. */
void presence_stop(struct presence *p);

/* Has the gateway ended for good? Copies the reason. */
bool presence_is_fatal(struct presence *p, struct err *why);

/* Appends one JSON object: the gateway's, with "commands" in it. */
void presence_status(struct presence *p, struct buf *out);
