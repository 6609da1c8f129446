#include "engine/core.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

void core_init(struct core *c)
{
    pthread_condattr_t attr;

    *c = (struct core){0};
    pthread_mutex_init(&c->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&c->idle, &attr);
    pthread_condattr_destroy(&attr);
}

void core_release(struct core *c)
{
    pthread_cond_destroy(&c->idle);
    pthread_mutex_destroy(&c->lock);
    free(c->by);
    c->by = NULL;
}

void core_count(struct core *c, size_t *which, long by)
{
    pthread_mutex_lock(&c->lock);
    assert(by > 0 || *which >= (size_t)-by);
    *which += (size_t)by;
    if (*which == 0)
        pthread_cond_broadcast(&c->idle);
    pthread_mutex_unlock(&c->lock);
}

bool core_wait_zero(struct core *c, size_t *which, int64_t patience_ms)
{
    int64_t until = clock_mono_ms() + patience_ms;
    struct timespec ts = {
        .tv_sec = (time_t)(until / 1000),
        .tv_nsec = (long)(until % 1000) * 1000000,
    };

    pthread_mutex_lock(&c->lock);
    while (*which > 0) {
        if (patience_ms < 0)
            pthread_cond_wait(&c->idle, &c->lock);
        else if (pthread_cond_timedwait(&c->idle, &c->lock, &ts) == ETIMEDOUT)
            break;
    }
    bool zero = *which == 0;
    pthread_mutex_unlock(&c->lock);
    return zero;
}

struct call {
    struct core *core;
    int (*build)(void *arg, struct remote_draft *draft);
    remote_done *done;
    void *arg;
};

static int build(void *arg, struct remote_draft *draft)
{
    struct call *call = arg;

    return call->build(call->arg, draft);
}

static void answered(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct call *call = arg;

    /* Before: who waits for the answer may look at the count. */
    atomic_fetch_add_explicit(&call->core->sent, reply->sent,
                              memory_order_relaxed);
    call->done(call->arg, r, reply, err);
    /* Last: whoever closes the engine waits for this count, and frees all
     * that the callback above used. */
    core_count(call->core, &call->core->requests, -1);
    free(call);
}

uint64_t core_submit(struct core *c, struct remote_request *req,
                     remote_done *done, void *arg)
{
    struct call *call = xmalloc(sizeof(*call));

    *call = (struct call){c, req->build, done, arg};
    if (req->build)
        req->build = build;
    core_count(c, &c->requests, 1);
    return remote_submit(c->remote, req, answered, call);
}
