/* A few threads for work that may wait, and one-shot timers for work that
 * should happen later. Safe from any thread.
 *
 * Work that waits for other work of the same pool could hold all its threads
 * and wait for ever; so the engine has a pool of its own beside the one it
 * lends by engine_spawn(), and what runs in its own never waits for another
 * job.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct job_pool;

/* Threads start when there is work for them, at most this many. */
struct job_pool *job_pool_new(int threads);

/* Runs fn(arg) on a thread of the pool, in order of arrival. */
void job_run(struct job_pool *p, void (*fn)(void *arg), void *arg);

/* The same, not before delay_ms have passed. There is no cancel: fn looks
 * whether there is still something to do. */
void job_after(struct job_pool *p, int64_t delay_ms, void (*fn)(void *arg),
               void *arg);

/* How many may run or are running (timers that are not due do not count), and
 * how many have been begun since the start. */
void job_pool_count(struct job_pool *p, size_t *under_way, uint64_t *begun);

/* Runs all that waits, timers included without their delay, and what they add;
 * ends the threads. Every fn has been called exactly once then. NULL is fine.
 */
void job_pool_free(struct job_pool *p);
