/* Two lists under one lock: what may run now, in order of arrival, and what
 * must wait, in order of time. Each thread takes from the first, moves over
 * what has become due, and sleeps until the next time or a signal. */
#include "engine/job.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

struct job {
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
    int64_t due_ms; /* clock_mono_ms(); of a timer */
};

struct job_pool {
    int max; /* set before the first thread starts */

    pthread_mutex_t lock;      /* leaf: nothing else is taken under it */
    pthread_cond_t work;       /* with lock */
    struct job *first, **last; /* under lock, as all below: may run */
    struct job *timers;        /* by due_ms */
    pthread_t *threads;
    int started, sleeping;
    size_t under_way; /* may run, or are running */
    uint64_t begun;
    bool ending;
};

struct job_pool *job_pool_new(int threads)
{
    struct job_pool *p = xcalloc(1, sizeof(*p));
    pthread_condattr_t attr;

    p->max = threads;
    p->threads = xcalloc((size_t)threads, sizeof(*p->threads));
    p->last = &p->first;
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->work, &attr);
    pthread_condattr_destroy(&attr);
    return p;
}

/* Caller holds p->lock. At the end every timer is due. */
static void move_due_locked(struct job_pool *p)
{
    int64_t now = clock_mono_ms();

    while (p->timers && (p->ending || p->timers->due_ms <= now)) {
        struct job *j = p->timers;
        p->timers = j->next;
        j->next = NULL;
        *p->last = j;
        p->last = &j->next;
        p->under_way++;
    }
}

static void sleep_locked(struct job_pool *p)
{
    p->sleeping++;
    if (p->timers) {
        struct timespec ts = {
            .tv_sec = (time_t)(p->timers->due_ms / 1000),
            .tv_nsec = (long)(p->timers->due_ms % 1000) * 1000000,
        };
        pthread_cond_timedwait(&p->work, &p->lock, &ts);
    } else {
        pthread_cond_wait(&p->work, &p->lock);
    }
    p->sleeping--;
}

static void *run(void *arg);

/* Caller holds p->lock. Somebody must see to what there is. */
static void wake_locked(struct job_pool *p)
{
    if (p->sleeping > 0)
        pthread_cond_signal(&p->work);
    else if (p->started < p->max &&
             pthread_create(&p->threads[p->started], NULL, run, p) == 0)
        p->started++;
    assert(p->started > 0);
}

static void *run(void *arg)
{
    struct job_pool *p = arg;

    pthread_mutex_lock(&p->lock);
    for (;;) {
        move_due_locked(p);
        struct job *j = p->first;
        if (!j) {
            if (p->ending)
                break;
            sleep_locked(p);
            continue;
        }
        p->first = j->next;
        if (!p->first)
            p->last = &p->first;
        /* This one may wait for long: somebody else must see to the rest, and
         * to the time. Of several signals one sleeper may have had all. */
        if (p->first || p->timers)
            wake_locked(p);
        p->begun++;
        pthread_mutex_unlock(&p->lock);
        j->fn(j->arg);
        free(j);
        pthread_mutex_lock(&p->lock);
        p->under_way--;
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

void job_run(struct job_pool *p, void (*fn)(void *arg), void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));

    j->fn = fn;
    j->arg = arg;
    pthread_mutex_lock(&p->lock);
    *p->last = j;
    p->last = &j->next;
    p->under_way++;
    wake_locked(p);
    pthread_mutex_unlock(&p->lock);
}

void job_after(struct job_pool *p, int64_t delay_ms, void (*fn)(void *arg),
               void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));
    struct job **at = &p->timers;

    j->fn = fn;
    j->arg = arg;
    j->due_ms = clock_mono_ms() + (delay_ms > 0 ? delay_ms : 0);
    pthread_mutex_lock(&p->lock);
    while (*at && (*at)->due_ms <= j->due_ms)
        at = &(*at)->next;
    j->next = *at;
    *at = j;
    /* A sleeper looks at the clock anew if this is the first to come due. */
    if (p->timers == j || p->ending)
        wake_locked(p);
    pthread_mutex_unlock(&p->lock);
}

void job_pool_count(struct job_pool *p, size_t *under_way, uint64_t *begun)
{
    pthread_mutex_lock(&p->lock);
    *under_way = p->under_way;
    *begun = p->begun;
    pthread_mutex_unlock(&p->lock);
}

void job_pool_free(struct job_pool *p)
{
    if (!p)
        return;

    pthread_mutex_lock(&p->lock);
    p->ending = true;
    if (p->first || p->timers)
        wake_locked(p);
    pthread_cond_broadcast(&p->work);
    /* A job may add another, and with it a thread: take them one by one. */
    for (int i = 0; i < p->started; i++) {
        pthread_t t = p->threads[i];
        pthread_mutex_unlock(&p->lock);
        pthread_join(t, NULL);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    assert(!p->first && !p->timers);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}
