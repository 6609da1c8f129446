/* One caller that waits for one answer of another thread's: what turns a call
 * with a callback into one that returns the result. It lives in what the
 * answer is written to, mostly on the caller's stack:
 *
 *     struct wait { struct waiter waiter; struct row *row; };
 *
 *     callback:  w->row = row;  waiter_done(&w->waiter, r, err);
 *     caller:    r = waiter_wait(&w.waiter);  ... w.row ...
 *
 * What the callback writes before waiter_done() can be read behind
 * waiter_wait() without another lock. */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "engine/base/err.h"

struct waiter {
    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t done;  /* with lock */
    bool is_done;         /* under lock, as all below */
    int result;
    struct err *err; /* may be NULL */
};

/* err: where the message of a failure goes; NULL: nowhere. */
void waiter_init(struct waiter *w, struct err *err);

/* When the answer has been waited for, or will never come. */
void waiter_release(struct waiter *w);

/* The answer: 0, or a negative errno and why (may be NULL). Once. The waiter
 * may be gone when it returns: nothing near it is touched from here on. */
void waiter_done(struct waiter *w, int result, const struct err *err);

/* The answer, as soon as it is here. May be asked again. */
int waiter_wait(struct waiter *w);
