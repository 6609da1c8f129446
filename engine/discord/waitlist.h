/* The errands that wait to leave, in a queue for each route and resource and
 * by priority, and which of them may go. No I/O; not safe from several
 * threads: rest.c's lock guards it. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/discord/errand.h"
#include "engine/discord/ratelimit.h"

struct waitlist;

#define WAITLIST_PRIORITIES 3 /* those of enum remote_priority */

struct waitlist *waitlist_new(void);
void waitlist_free(struct waitlist *w); /* empty */

/* Behind the others of its priority, or before them (another attempt). */
void waitlist_add(struct waitlist *w, struct errand *e, bool first);

/* The next that may leave, taken out and its place reserved with rl; people
 * first, and of equals each queue in turn. NULL: none now; then *wait is
 * lowered to when time alone may change that. room: how many may be under way
 * besides those that are; the last few are kept for who waits. */
struct errand *waitlist_pick(struct waitlist *w, struct ratelimit *rl, int room,
                             int64_t now, int64_t *wait);

/* Takes one out by its number, if it may still be cancelled, or NULL. */
struct errand *waitlist_cancel(struct waitlist *w, uint64_t number);

/* Takes out those whose deadline is past, and all, as a list by ->next. The
 * first lowers *wait to the next deadline. */
struct errand *waitlist_late(struct waitlist *w, int64_t now, int64_t *wait);
struct errand *waitlist_all(struct waitlist *w);

uint64_t waitlist_count(const struct waitlist *w, int priority);

/* What it counts against. */
struct ratelimit_route waitlist_lane(const struct errand *e);
