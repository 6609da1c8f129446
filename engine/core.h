/* What the living parts of one engine share: the store, who we are, the
 * threads, and the count of what is under way, so that closing can wait for
 * it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/remote.h"

struct job_pool;
struct text_cache;

struct core {
    /* set before the first thread starts */
    struct remote *remote;
    uint64_t self; /* the user id our messages have */
    struct job_pool *pool;
    struct text_cache *texts;
    char *by;
    bool read_only;
    bool alone; /* as in engine_options */
    int64_t settle_ms;
    int64_t retry_ms; /* what failed is tried again after this; then twice as
                         long, and so on */
    int64_t grace_ms; /* another process's leavings are left alone for this
                         long to twice as long: it may still see to them */

    atomic_bool closing; /* nothing new is begun */
    atomic_bool hasty;   /* the background writer does not wait any more */
    atomic_bool stopped; /* the background writer begins nothing more */

    atomic_bool checkpointing; /* one at a time */
    _Atomic int64_t
        until_ms; /* closing: what jobs ask for is not waited for
                     any longer (monotonic); 0: as long as it takes */

    _Atomic uint64_t sent; /* remote_reply.sent, all together */

    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t idle;  /* with lock: a count went to 0 */
    size_t requests;      /* under lock, as all below: submitted, unanswered */
    size_t writes;        /* accepted, unanswered */
    size_t checkpoints;   /* on their way to be written */
    size_t unsettled;     /* row messages that wait for the background writer */
    size_t unindexed;     /* indexes that do, with entries of ours */
    size_t catching_up; /* things that happened elsewhere and are not yet read,
                           or could not be and are tried again */
};

void core_init(struct core *c);
void core_release(struct core *c);

/* remote_submit(), counted. */
uint64_t core_submit(struct core *c, struct remote_request *req,
                     remote_done *done, void *arg);

void core_count(struct core *c, size_t *which, long by);

/* Until *which is 0, or for as long as patience_ms allows (negative: for
 * ever). Is it 0? */
bool core_wait_zero(struct core *c, size_t *which, int64_t patience_ms);
