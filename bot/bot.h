/* The bot: the connection to Discord's gateway, on a thread of its own, and
 * what it brings as news of the store. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/discord/discord.h"
#include "engine/remote.h"

struct bot;
struct json_object;

struct bot_options {
    /* The intents to ask for; 0: GUILDS, GUILD_MESSAGES, MESSAGE_CONTENT. The
     * last is asked for again without if the portal has it switched off. */
    unsigned intents;

    /* Whose events are told; all guilds' where there are none. Copied. */
    const uint64_t *guilds;
    size_t n_guilds;

    /* News, in Discord's order, on the bot's thread. Everything in the event
     * is borrowed. Must not wait for the network: heartbeats stop meanwhile.
     * After CONNECTED no event is missed until DISCONNECTED; what was missed
     * before a CONNECTED is said by a GAP right before it. */
    void (*event)(void *arg, const struct remote_event *event);

    /* INTERACTION_CREATE's data as it came, likewise; may be NULL. */
    void (*interaction)(void *arg, struct json_object *data);

    void *arg;
};

/* Starts the thread, which connects and stays connected; d must outlive the
 * bot. Fails for want of a thread or a client alone. */
int bot_start(struct discord *d, const struct bot_options *o, struct bot **out,
              struct err *err);

/* Closes the connection and waits for the thread: no callback comes after. Not
 * from a callback. */
void bot_stop(struct bot *bot);

/* From any thread. */
bool bot_is_connected(struct bot *bot);

/* Is it over for good (token, intents)? Copies the reason, for doctor. */
bool bot_is_fatal(struct bot *bot, struct err *why);

/* Did the portal refuse the MESSAGE_CONTENT intent? */
bool bot_lacks_content(struct bot *bot);

/* Appends the gateway's part of status.json: one JSON object. */
void bot_status(struct bot *bot, struct buf *out);
