/* Waiting that can be given up. A find may wait for Discord for a long time
 * (limits, big attachments), and whoever asked for it may go meanwhile; what
 * is under way then comes to its end without him. */
#include <errno.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/find_impl.h"

/* Who gives up is noticed after this long. A flag can be set by anybody, a
 * signal's handler too, but wakes nobody. */
#define LOOK_MS 50

struct promise {
    atomic_uint refs;
    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t kept;  /* with lock */
    bool done;            /* under lock, as all below */
    int r;
    struct err err;
    struct text *text;
    struct remote_reply reply;
};

struct promise *promise_new(void)
{
    struct promise *p = xcalloc(1, sizeof(*p));
    pthread_condattr_t attr;

    atomic_init(&p->refs, 2);
    pthread_mutex_init(&p->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&p->kept, &attr);
    pthread_condattr_destroy(&attr);
    return p;
}

void promise_drop(struct promise *p)
{
    if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
        return;
    text_unref(p->text);
    remote_reply_release(&p->reply);
    pthread_cond_destroy(&p->kept);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

/* The side that answers: its reference goes with it. */
static void keep(struct promise *p, int r, const struct err *err)
{
    pthread_mutex_lock(&p->lock);
    p->done = true;
    p->r = r;
    if (r < 0 && err)
        p->err = *err;
    pthread_cond_broadcast(&p->kept);
    pthread_mutex_unlock(&p->lock);
    promise_drop(p);
}

int promise_wait(struct promise *p, const atomic_bool *cancel, struct err *err)
{
    bool given_up = false;

    pthread_mutex_lock(&p->lock);
    while (!p->done && !given_up) {
        if (!cancel) {
            pthread_cond_wait(&p->kept, &p->lock);
            continue;
        }
        struct timespec ts;
        clock_gettime(CLOCK_MONOTONIC, &ts);
        ts.tv_nsec += LOOK_MS * 1000000L;
        if (ts.tv_nsec >= 1000000000L) {
            ts.tv_nsec -= 1000000000L;
            ts.tv_sec++;
        }
        given_up = atomic_load(cancel);
        if (!given_up)
            pthread_cond_timedwait(&p->kept, &p->lock, &ts);
    }
    int r = given_up ? 0 : p->r;
    if (r < 0 && err)
        *err = p->err;
    pthread_mutex_unlock(&p->lock);
    return given_up ? find_cancelled(err) : r;
}

int find_cancelled(struct err *err)
{
    return err_set(err, -EINTR, "given up while it was under way");
}

static void text_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct promise *p = arg;

    p->text = text;
    keep(p, r, err);
}

struct promise *promise_text(struct ledger *l, struct row *row)
{
    struct promise *p = promise_new();
    struct text *text = NULL;

    if (ledger_load_text(l, row, &text, text_came, p) == 0) {
        p->text = text;
        keep(p, 0, NULL);
    }
    return p;
}

struct text *promise_take_text(struct promise *p)
{
    struct text *text = p->text;

    p->text = NULL;
    return text;
}

static void answered(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct promise *p = arg;

    if (r == 0) {
        p->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    keep(p, r, err);
}

struct promise *promise_request(struct core *c, struct remote_request *req)
{
    struct promise *p = promise_new();

    core_submit(c, req, answered, p);
    return p;
}

struct remote_reply promise_take_reply(struct promise *p)
{
    struct remote_reply reply = p->reply;

    p->reply = (struct remote_reply){0};
    return reply;
}

static void opened(void *arg, int r, const struct err *err)
{
    keep(arg, r, err);
}

struct promise *promise_open(struct table *t)
{
    struct promise *p = promise_new();

    if (table_open(t, opened, p) == 0)
        keep(p, 0, NULL);
    return p;
}
