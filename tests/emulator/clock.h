/* The emulator's clock: real time plus what POST /emulator/clock added.
 * Everything that has a time (ids, limits, expiry, archiving, search lag,
 * heartbeats' deadlines) asks here, and timers fire by it, in order, also
 * while an advance jumps over them. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct emulator;

struct timer {
    int64_t at;
    uint64_t seq; /* order of equal times */
    void (*fire)(struct emulator *e, void *arg);
    void *arg;
    struct timer *next;
};

struct emulator_clock {
    int64_t wall0, mono0; /* at start */
    int64_t offset;       /* what was advanced, kept across restarts */
    int64_t held;         /* while advancing: the time of the timer that fires,
                           * else 0 */
    uint64_t seq;
    struct timer *timers; /* by at, seq */
};

void clock_init(struct emulator_clock *c);
void clock_release(struct emulator_clock *c);

/* Milliseconds since 1970, as the emulator sees it. */
int64_t emulator_now(const struct emulator *e);

/* fire(e, arg) once emulator_now() >= at, from the event loop. The handle is
 * gone once it has fired or was cancelled. Timers are not journalled: who sets
 * one for a lasting reason sets it again after replay. */
struct timer *timer_at(struct emulator *e, int64_t at,
                       void (*fire)(struct emulator *e, void *arg), void *arg);
void timer_cancel(struct emulator *e, struct timer *t); /* NULL is fine */

/* Moves the clock on; every timer on the way fires first, at its own time. */
void clock_advance(struct emulator *e, int64_t ms);

/* For the event loop: fires what is due; milliseconds until the next timer,
 * or -1. */
void clock_run(struct emulator *e);
int64_t clock_next_ms(const struct emulator *e);

/* "2026-11-22T23:51:34.123000+00:00", as Discord writes times. */
#define CLOCK_STAMP_SIZE 40
const char *clock_stamp(int64_t ms, char out[CLOCK_STAMP_SIZE]);

/* The other way; accepts Z and offsets, with or without a fraction. */
bool clock_parse_stamp(const char *s, int64_t *out);
