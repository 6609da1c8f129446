#include "fs/pending.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/fs.h"

struct pending {
    struct pendings *owner;
    uintptr_t id;

    /* under owner->lock */
    fuse_req_t req; /* NULL: answered with EINTR */
    bool entering;  /* pending_new() still runs: it must not be answered */
    bool interrupted;
    unsigned refs;
    atomic_bool *cancelled; /* lives until pending_finish(); may be NULL */
    struct table *table;    /* a reference */
    uint64_t ticket;        /* 0: nothing to hold back */
};

struct pendings {
    pthread_mutex_t lock;
    pthread_cond_t fewer;
    struct map waiting; /* under lock: id -> struct pending */
    uintptr_t last_id;  /* under lock */
    size_t unanswered;  /* under lock */
    size_t held;        /* under lock */
};

static uint64_t pending_hash(const void *item)
{
    return hash_u64(((const struct pending *)item)->id);
}

static bool pending_has_id(const void *item, const void *key)
{
    return ((const struct pending *)item)->id == *(const uintptr_t *)key;
}

static const struct map_type waiting_type = {pending_hash, pending_has_id};

struct pendings *pendings_new(void)
{
    struct pendings *ps = xcalloc(1, sizeof(*ps));
    pthread_condattr_t attr;

    pthread_mutex_init(&ps->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&ps->fewer, &attr);
    pthread_condattr_destroy(&attr);
    ps->waiting = MAP_INIT(&waiting_type);
    return ps;
}

void pendings_free(struct pendings *ps)
{
    if (!ps)
        return;
    map_release(&ps->waiting);
    pthread_cond_destroy(&ps->fewer);
    pthread_mutex_destroy(&ps->lock);
    free(ps);
}

size_t pendings_waiting(struct pendings *ps)
{
    pthread_mutex_lock(&ps->lock);
    size_t n = ps->unanswered;
    pthread_mutex_unlock(&ps->lock);
    return n;
}

void pendings_hold(struct pendings *ps)
{
    pthread_mutex_lock(&ps->lock);
    ps->held++;
    pthread_mutex_unlock(&ps->lock);
}

void pendings_unhold(struct pendings *ps)
{
    pthread_mutex_lock(&ps->lock);
    ps->held--;
    pthread_cond_broadcast(&ps->fewer);
    pthread_mutex_unlock(&ps->lock);
}

/* Takes the request out of p, to be answered with EINTR after unlock. */
static fuse_req_t take_locked(struct pending *p)
{
    fuse_req_t req = p->req;

    if (req) {
        p->req = NULL;
        p->owner->unanswered--;
    }
    return req;
}

/* Ends p by id: by the time an interrupt gets here, p may be freed. */
static void interrupt(struct pendings *ps, uintptr_t id)
{
    struct table *table = NULL;
    uint64_t ticket = 0;
    fuse_req_t req = NULL;

    pthread_mutex_lock(&ps->lock);
    struct pending *p = map_get(&ps->waiting, hash_u64(id), &id);
    if (p) {
        p->interrupted = true;
        if (p->cancelled)
            atomic_store(p->cancelled, true);
        if (!p->entering) {
            req = take_locked(p);
            ticket = p->ticket;
            if (ticket)
                table = table_ref(p->table);
        }
    }
    pthread_mutex_unlock(&ps->lock);

    /* Held back before the program hears of it, so that what it sees after
     * Ctrl-C is what stays. */
    if (req && table)
        table_write_cancel(table, ticket);
    if (req)
        fuse_reply_err(req, EINTR);
    table_unref(table);
}

/* libfuse calls this with a lock of the request's held, perhaps while the
 * request is being answered elsewhere: so it gets a number, no pointer. */
static void interrupted(fuse_req_t req, void *data)
{
    struct mount *m = fuse_req_userdata(req);

    if (data)
        interrupt(m->pendings, (uintptr_t)data);
}

struct pending *pending_new(struct pendings *ps, struct fuse_req *req)
{
    struct pending *p = xcalloc(1, sizeof(*p));

    p->owner = ps;
    p->req = req;
    p->entering = true;
    p->refs = 1;
    pthread_mutex_lock(&ps->lock);
    p->id = ++ps->last_id;
    uintptr_t id = p->id;
    map_put(&ps->waiting, &id, p);
    ps->unanswered++;
    pthread_mutex_unlock(&ps->lock);

    /* Calls interrupted() at once if the interrupt is here already. Then an
     * answer would free the request under libfuse's feet. */
    fuse_req_interrupt_func(req, interrupted, (void *)id);

    pthread_mutex_lock(&ps->lock);
    p->entering = false;
    bool now = p->interrupted;
    pthread_mutex_unlock(&ps->lock);
    if (now)
        interrupt(ps, id);
    return p;
}

/* Caller holds the owner's lock. True: that was the last reference. */
static bool unref_locked(struct pending *p)
{
    return --p->refs == 0;
}

static void destroy(struct pending *p)
{
    table_unref(p->table);
    free(p);
}

int pending_write(struct pending *p, struct table *t, const struct write *w,
                  write_done *done, void *arg, struct err *err)
{
    struct pendings *ps = p->owner;
    uint64_t ticket = 0;

    /* done may come, and finish p, before table_write() returns. */
    pthread_mutex_lock(&ps->lock);
    p->refs++;
    p->table = table_ref(t);
    pthread_mutex_unlock(&ps->lock);

    int r = table_write(t, w, done, arg, &ticket, err);

    pthread_mutex_lock(&ps->lock);
    if (r == 0)
        p->ticket = ticket;
    bool too_late = r == 0 && !p->req && p->interrupted;
    bool last = unref_locked(p);
    pthread_mutex_unlock(&ps->lock);
    /* The interrupt came before there was anything to hold back. */
    if (too_late)
        table_write_cancel(t, ticket);
    if (last)
        destroy(p);
    return r;
}

void pending_cancels(struct pending *p, atomic_bool *flag)
{
    pthread_mutex_lock(&p->owner->lock);
    p->cancelled = flag;
    if (p->interrupted)
        atomic_store(flag, true);
    pthread_mutex_unlock(&p->owner->lock);
}

bool pending_is_over(struct pending *p)
{
    pthread_mutex_lock(&p->owner->lock);
    bool over = p->req == NULL;
    pthread_mutex_unlock(&p->owner->lock);
    return over;
}

struct fuse_req *pending_finish(struct pending *p)
{
    struct pendings *ps = p->owner;

    pthread_mutex_lock(&ps->lock);
    fuse_req_t req = take_locked(p);
    map_remove(&ps->waiting, hash_u64(p->id), &p->id);
    ps->held++;
    bool last = unref_locked(p);
    pthread_mutex_unlock(&ps->lock);
    if (last)
        destroy(p);
    return req;
}

/* False: patience_ms went by and some are left. */
static bool wait_for_none(struct pendings *ps, int64_t patience_ms)
{
    struct timespec until;
    int r = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += patience_ms / 1000;
    until.tv_nsec += patience_ms % 1000 * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&ps->lock);
    while ((ps->waiting.count > 0 || ps->held > 0) && r != ETIMEDOUT)
        r = pthread_cond_timedwait(&ps->fewer, &ps->lock, &until);
    bool none = ps->waiting.count == 0 && ps->held == 0;
    pthread_mutex_unlock(&ps->lock);
    return none;
}

bool pendings_expire(struct pendings *ps, int64_t patience_ms)
{
    if (wait_for_none(ps, patience_ms))
        return true;

    pthread_mutex_lock(&ps->lock);
    uintptr_t last = ps->last_id;
    pthread_mutex_unlock(&ps->lock);
    for (uintptr_t id = 1; id <= last; id++)
        interrupt(ps, id);
    return false;
}

void pendings_drain(struct pendings *ps, int64_t patience_ms)
{
    if (pendings_expire(ps, patience_ms))
        return;

    /* Their owners come back by themselves: every request to Discord ends. */
    while (!wait_for_none(ps, 60000))
        ;
}
