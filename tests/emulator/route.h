/* Which function answers which request, and what is checked before it.
 *
 * For a route of the API the router does, in this order: count, faults,
 * User-Agent and token, the path's ids, the limits, the body (JSON, form,
 * multipart), and then calls the handler. After the handler the journal is
 * written, before any answer leaves. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct emulator;

enum route_flags {
    ROUTE_NO_AUTH = 1 << 0,   /* no token asked for */
    ROUTE_NO_GLOBAL = 1 << 1, /* not under the global 50/s */
    ROUTE_CONTROL = 1 << 2,   /* /emulator/…: outside the API: not counted, no
                               * auth, no limits, no faults, path as it is */
};

/* A bucket: `limit` uses in `window_ms`, for each value of the route's first
 * {…} (channel, guild, or webhook with its token), or for the bot where `bot`
 * is set. Routes that name the same bucket share it; its `name` is hashed
 * for X-RateLimit-Bucket. */
struct bucket {
    const char *name;
    int limit;
    int64_t window_ms;
    bool bot; /* one for the bot, whatever the path says */
};

struct route {
    const char *method;
    /* From behind /api/v10. {x.id} must be a snowflake, other {…} are text.
     * In counts {channel.id} is shown as {id}, {interaction.token} as {token}.
     */
    const char *pattern;
    void (*handle)(struct call *c);
    const struct bucket *bucket; /* NULL: none, no X-RateLimit headers */
    /* Where the bucket depends on the request (a message's age); wins. */
    const struct bucket *(*pick)(struct call *c);
    unsigned flags;
};

/* Ends with an entry whose method is NULL. Literal parts win over {…}. */
extern const struct route user_routes[];        /* rest_user.c */
extern const struct route guild_routes[];       /* rest_guild.c */
extern const struct route channel_routes[];     /* rest_channel.c */
extern const struct route message_routes[];     /* rest_message.c */
extern const struct route pin_routes[];         /* rest_pin.c */
extern const struct route reaction_routes[];    /* rest_reaction.c */
extern const struct route thread_routes[];      /* rest_thread.c */
extern const struct route control_routes[];     /* control.c */
extern const struct route gateway_routes[];     /* gateway.c: control */
extern const struct route command_routes[];     /* commands.c */
extern const struct route interaction_routes[]; /* interactions.c */
extern const struct route search_routes[];      /* search.c */

/* A whole request has arrived. Answers it, or defers. */
void route_call(struct call *c);

/* "/channels/{id}/messages" for a pattern; static, for the process's life. */
const char *route_template(const struct route *r);
