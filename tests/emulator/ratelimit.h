/* Windows that count. Pure: the time is an argument. A window opens with the
 * first use and closes window_ms later; `limit` uses fit in it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ratelimit;

struct ratelimit_state {
    int limit, remaining;
    int64_t reset_at; /* when the window closes; now + window_ms while there
                       * is none open */
};

struct ratelimit *ratelimit_new(void);
void ratelimit_free(struct ratelimit *rl);

/* How long until a use fits: 0 now. Takes nothing. */
int64_t ratelimit_wait(struct ratelimit *rl, const char *name, uint64_t key,
                       int limit, int64_t window_ms, int64_t now);

/* Takes a use; only where ratelimit_wait() was 0. */
void ratelimit_take(struct ratelimit *rl, const char *name, uint64_t key,
                    int limit, int64_t window_ms, int64_t now);

/* For the headers. */
struct ratelimit_state ratelimit_state(struct ratelimit *rl, const char *name,
                                       uint64_t key, int limit,
                                       int64_t window_ms, int64_t now);

/* Open windows, for a test that they are let go. */
size_t ratelimit_count(const struct ratelimit *rl);
