#include "fs/notify.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/fs.h"

struct job {
    struct job *next;
    struct node *node;  /* to forget the content of; a reference or NULL */
    struct node *dir;   /* and the name in it; a reference or NULL */
    struct node *child; /* gone with the name; a reference or NULL */
    char *name;
    void (*then)(void *arg);
    void *arg;
};

struct timer {
    struct timer *next;
    int64_t at_ms;
    void (*fn)(void *arg, bool late);
    void *arg;
};

struct lane {
    struct notify *owner;
    pthread_t thread;
    pthread_cond_t wake;
    struct job *first, **last; /* under notify.lock, as all of a lane */
    const struct node *at;     /* whose name is being forgotten; to compare */
    struct timer *timers;      /* the next one first */
    size_t waiting;
};

/* Directories whose names can be waited for side by side; with more at once
 * some wait behind others. */
#define NAMES_MAX 32

struct notify {
    struct mount *mount;  /* set at creation */
    pthread_mutex_t lock; /* leaf */
    bool stopping;        /* under lock */
    bool stopped;         /* the threads have ended */
    struct lane content;
    struct lane *names[NAMES_MAX]; /* under lock: made when all are busy */
    size_t names_count;            /* under lock; fixed once stopping */
};

static void job_free(struct job *j)
{
    node_unref(j->node);
    node_unref(j->dir);
    node_unref(j->child);
    free(j->name);
    free(j);
}

/* With quiet the kernel is not told: see notify_stop(). */
static void carry_out(struct notify *n, struct job *j, bool quiet)
{
    struct fuse_session *se = quiet ? NULL : n->mount->session;

    /* ENOENT says that the kernel does not have it: all is well. */
    if (j->node && se && node_is_known(j->node))
        fuse_lowlevel_notify_inval_inode(se, fs_ino(j->node), 0, 0);
    if (j->dir && se && node_is_known(j->dir)) {
        int r = -ENOSYS;
        if (j->child)
            r = fuse_lowlevel_notify_delete(
                se, fs_ino(j->dir), fs_ino(j->child), j->name, strlen(j->name));
        if (r < 0 && r != -ENOENT)
            fuse_lowlevel_notify_inval_entry(se, fs_ino(j->dir), j->name,
                                             strlen(j->name));
    }
    if (j->then)
        j->then(j->arg);
    job_free(j);
}

static struct job *next_locked(struct lane *l)
{
    struct job *j = l->first;

    if (!j)
        return NULL;
    l->first = j->next;
    if (!l->first)
        l->last = &l->first;
    l->waiting--;
    /* From here on a change is a new one. */
    if (j->node && !j->then)
        j->node->marked = false;
    return j;
}

static struct timer *due_locked(struct lane *l, int64_t now, bool all)
{
    struct timer *t = l->timers;

    if (!t || (!all && t->at_ms > now))
        return NULL;
    l->timers = t->next;
    return t;
}

static void wait_locked(struct notify *n, struct lane *l)
{
    if (!l->timers) {
        pthread_cond_wait(&l->wake, &n->lock);
        return;
    }
    int64_t at = l->timers->at_ms;
    struct timespec until = {at / 1000, at % 1000 * 1000000};
    pthread_cond_timedwait(&l->wake, &n->lock, &until);
}

static void *run(void *arg)
{
    struct lane *l = arg;
    struct notify *n = l->owner;

    pthread_mutex_lock(&n->lock);
    for (;;) {
        struct job *j = next_locked(l);
        struct timer *t = NULL;
        bool late = n->stopping;
        if (!j)
            t = due_locked(l, clock_mono_ms(), late);
        if (!j && !t) {
            if (n->stopping)
                break;
            wait_locked(n, l);
            continue;
        }
        l->at = j ? j->dir : NULL;
        pthread_mutex_unlock(&n->lock);
        if (j)
            carry_out(n, j, late);
        if (t) {
            t->fn(t->arg, late);
            free(t);
        }
        pthread_mutex_lock(&n->lock);
        l->at = NULL;
    }
    pthread_mutex_unlock(&n->lock);
    return NULL;
}

static void lane_init(struct notify *n, struct lane *l)
{
    pthread_condattr_t attr;

    l->owner = n;
    l->last = &l->first;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &attr);
    pthread_condattr_destroy(&attr);
    alloc_check(pthread_create(&l->thread, NULL, run, l) == 0 ? l : NULL);
}

struct notify *notify_new(struct mount *m)
{
    struct notify *n = xcalloc(1, sizeof(*n));

    n->mount = m;
    pthread_mutex_init(&n->lock, NULL);
    lane_init(n, &n->content);
    return n;
}

void notify_stop(struct notify *n)
{
    if (n->stopped)
        return;
    pthread_mutex_lock(&n->lock);
    n->stopping = true;
    pthread_cond_signal(&n->content.wake);
    for (size_t i = 0; i < n->names_count; i++)
        pthread_cond_signal(&n->names[i]->wake);
    pthread_mutex_unlock(&n->lock);
    pthread_join(n->content.thread, NULL);
    for (size_t i = 0; i < n->names_count; i++)
        pthread_join(n->names[i]->thread, NULL);
    n->stopped = true;
}

void notify_free(struct notify *n)
{
    if (!n)
        return;
    notify_stop(n);
    pthread_cond_destroy(&n->content.wake);
    for (size_t i = 0; i < n->names_count; i++) {
        pthread_cond_destroy(&n->names[i]->wake);
        free(n->names[i]);
    }
    pthread_mutex_destroy(&n->lock);
    free(n);
}

size_t notify_waiting(struct notify *n)
{
    pthread_mutex_lock(&n->lock);
    size_t waiting = n->content.waiting;
    for (size_t i = 0; i < n->names_count; i++)
        waiting += n->names[i]->waiting;
    pthread_mutex_unlock(&n->lock);
    return waiting;
}

static void push_locked(struct lane *l, struct job *j)
{
    *l->last = j;
    l->last = &j->next;
    l->waiting++;
    pthread_cond_signal(&l->wake);
}

void notify_changed(struct notify *n, struct node *node)
{
    pthread_mutex_lock(&n->lock);
    bool push = !node->marked && !n->stopping;
    if (push)
        node->marked = true;
    pthread_mutex_unlock(&n->lock);
    if (!push)
        return;

    struct job *j = xcalloc(1, sizeof(*j));
    j->node = node_ref(node);
    pthread_mutex_lock(&n->lock);
    push_locked(&n->content, j);
    pthread_mutex_unlock(&n->lock);
}

void notify_then(struct notify *n, struct node *node, void (*fn)(void *arg),
                 void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));

    if (node)
        j->node = node_ref(node);
    j->then = fn;
    j->arg = arg;
    pthread_mutex_lock(&n->lock);
    bool stopping = n->stopping;
    if (!stopping)
        push_locked(&n->content, j);
    pthread_mutex_unlock(&n->lock);
    /* No thread any more, and nobody who could read what is old. */
    if (stopping) {
        fn(arg);
        job_free(j);
    }
}

static bool lane_is_for(const struct lane *l, const struct node *dir)
{
    return l->at == dir || (l->first && l->first->dir == dir);
}

/* The lane that is at this directory already, else an idle one, else a new
 * one. In which order names are forgotten does not matter. */
static struct lane *names_lane_locked(struct notify *n, const struct node *dir)
{
    struct lane *idle = NULL;

    for (size_t i = 0; i < n->names_count; i++) {
        struct lane *l = n->names[i];
        if (lane_is_for(l, dir))
            return l;
        if (!l->at && !l->first)
            idle = l;
    }
    if (idle)
        return idle;
    if (n->names_count == NAMES_MAX)
        return n->names[dir->id % NAMES_MAX];
    struct lane *l = xcalloc(1, sizeof(*l));
    n->names[n->names_count++] = l;
    lane_init(n, l);
    return l;
}

static void push_name(struct notify *n, struct node *dir, const char *name,
                      struct node *child, void (*fn)(void *arg), void *arg)
{
    struct job *j = xcalloc(1, sizeof(*j));

    j->dir = node_ref(dir);
    j->name = xstrdup(name);
    if (child)
        j->child = node_ref(child);
    j->then = fn;
    j->arg = arg;
    pthread_mutex_lock(&n->lock);
    bool stopping = n->stopping;
    if (!stopping)
        push_locked(names_lane_locked(n, dir), j);
    pthread_mutex_unlock(&n->lock);
    if (stopping) {
        if (fn)
            fn(arg);
        job_free(j);
    }
}

void notify_name(struct notify *n, struct node *dir, const char *name,
                 struct node *child)
{
    push_name(n, dir, name, child, NULL, NULL);
}

void notify_name_then(struct notify *n, struct node *dir, const char *name,
                      void (*fn)(void *arg), void *arg)
{
    push_name(n, dir, name, NULL, fn, arg);
}

void notify_at(struct notify *n, int64_t mono_ms,
               void (*fn)(void *arg, bool late), void *arg)
{
    struct timer *t = xcalloc(1, sizeof(*t));

    t->at_ms = mono_ms;
    t->fn = fn;
    t->arg = arg;
    pthread_mutex_lock(&n->lock);
    bool stopping = n->stopping;
    if (!stopping) {
        struct timer **at = &n->content.timers;
        while (*at && (*at)->at_ms <= mono_ms)
            at = &(*at)->next;
        t->next = *at;
        *at = t;
        pthread_cond_signal(&n->content.wake);
    }
    pthread_mutex_unlock(&n->lock);
    if (stopping) {
        fn(arg, true);
        free(t);
    }
}
