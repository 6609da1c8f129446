#include "engine/base/waiter.h"

void waiter_init(struct waiter *w, struct err *err)
{
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->done, NULL);
    w->is_done = false;
    w->result = 0;
    w->err = err;
}

void waiter_release(struct waiter *w)
{
    pthread_cond_destroy(&w->done);
    pthread_mutex_destroy(&w->lock);
}

void waiter_done(struct waiter *w, int result, const struct err *err)
{
    pthread_mutex_lock(&w->lock);
    w->result = result;
    if (result < 0 && w->err && err)
        *w->err = *err;
    w->is_done = true;
    /* Under the lock: the waiter's stack frame is gone once it is let go. */
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

int waiter_wait(struct waiter *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->is_done)
        pthread_cond_wait(&w->done, &w->lock);
    int r = w->result;
    pthread_mutex_unlock(&w->lock);
    return r;
}
