/* Discord's limits, as arithmetic: what may leave now, and if not, when to ask
 * again. No I/O and no clock; every call is told the time in milliseconds.
 * Not safe from several threads; rest.c's lock guards it.
 *
 * A request counts against
 *   - the global limit of 50 a second,
 *   - the bucket of its route. The answers' headers say which one that is and
 *     how much is left; routes can share a bucket, and each top-level resource
 *     (channel, guild, webhook) has its own. Until the first answer a bucket
 *     is unknown and lets one request out at a time. What another channel's
 *     bucket of the route has taught is the first guess for a new one, and
 *     edits are taken to share the bucket of posts until an answer denies it;
 *   - limits that no header announces: a 429 of scope "shared" holds back its
 *     route on its resource alone, and edits of messages over an hour old have
 *     a lane of their own in each channel;
 *   - the budget of invalid requests (401, 403, 429): Discord bans an address
 *     that makes 10,000 in ten minutes, so all stop long before.
 *
 * What leaves is reserved at once and corrected by the answer. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct ratelimit;

/* What a request counts against. */
struct ratelimit_route {
    const char *name; /* "PATCH /channels/{id}/messages/{id}" */
    uint64_t major;   /* the top-level resource's id, 0 for none */
    bool old_edit;    /* an edit of a message over an hour old */
    bool exempt;      /* interactions: outside of the global limit */
    int yields;       /* 0 goes first, 1 leaves a little of the global limit,
                         2 (background) also the last free slot of a bucket */
};

/* The limit part of an answer's headers. What was absent is -1 or "". */
struct ratelimit_headers {
    char bucket[64];
    int limit, remaining;
    int64_t reset_after_ms;
};

#define RATELIMIT_HEADERS_NONE                                                 \
    ((struct ratelimit_headers){                                               \
        .limit = -1, .remaining = -1, .reset_after_ms = -1})

enum ratelimit_scope {
    RATELIMIT_USER,    /* the bucket is used up */
    RATELIMIT_SHARED,  /* the resource is: this route on it, nothing else */
    RATELIMIT_GLOBAL,  /* everything waits */
    RATELIMIT_OLD_EDIT /* code 30046: old edits in this channel */
};

/* Nothing but the next answer can tell: ask again then. */
#define RATELIMIT_ANSWER INT64_MAX

struct ratelimit *ratelimit_new(void);
void ratelimit_free(struct ratelimit *rl);

/* 0: may leave now. Else how long to wait before asking again, or
 * RATELIMIT_ANSWER. */
int64_t ratelimit_delay(struct ratelimit *rl,
                        const struct ratelimit_route *route, int64_t now);

/* It leaves: its place is taken. Each is followed by exactly one of
 * ratelimit_answered(), with the ticket returned here, and ratelimit_lost(). */
uint64_t ratelimit_sent(struct ratelimit *rl,
                        const struct ratelimit_route *route, int64_t now);

/* An answer came, of whatever status. */
void ratelimit_answered(struct ratelimit *rl,
                        const struct ratelimit_route *route, uint64_t ticket,
                        const struct ratelimit_headers *h, int status,
                        int64_t now);

/* No answer came; whether it counted, nobody knows, so it did. */
void ratelimit_lost(struct ratelimit *rl, const struct ratelimit_route *route,
                    int64_t now);

/* Which one a 429 means: X-RateLimit-Scope ("" if absent), the body's
 * "global" and "code", X-RateLimit-Remaining (-1 if absent). With some left
 * the bucket is not what refused. */
enum ratelimit_scope ratelimit_scope(const char *scope, bool global, int code,
                                     int remaining);

/* The answer was a 429 of this scope; it wins over what the headers said, so
 * it comes after ratelimit_answered(). */
void ratelimit_refused(struct ratelimit *rl,
                       const struct ratelimit_route *route,
                       enum ratelimit_scope scope, int64_t retry_after_ms,
                       int64_t now);

/* A 401, a 403 or a 429 that is not of scope shared. */
void ratelimit_invalid(struct ratelimit *rl, int64_t now);

/* How many of them in the last ten minutes, and where all stops. */
int ratelimit_invalid_count(struct ratelimit *rl, int64_t now);
#define RATELIMIT_INVALID_MAX 2000

/* Appends a JSON object: what is held back and for how long, the global
 * limit's use, the invalid requests. */
void ratelimit_status(struct ratelimit *rl, int64_t now, struct buf *out);
