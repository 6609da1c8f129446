#include "tests/lib/memstore_impl.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

/* --- events ----------------------------------------------------------------
 */

void mem_event_release(struct remote_event *ev)
{
    remote_message_release(&ev->message);
    free(ev->chan.name);
    free((void *)(uintptr_t)ev->ids);
}

static void event_copy(struct remote_event *to, const struct remote_event *ev)
{
    *to = *ev;
    if (ev->message.content) {
        struct remote_message *m = &to->message;
        m->content = xstrdup(ev->message.content);
        m->files = xcalloc(m->n_files, sizeof(*m->files));
        for (size_t i = 0; i < m->n_files; i++) {
            m->files[i] = ev->message.files[i];
            m->files[i].name = xstrdup(ev->message.files[i].name);
            m->files[i].url = xstrdup(ev->message.files[i].url);
        }
    }
    if (ev->chan.name)
        to->chan.name = xstrdup(ev->chan.name);
    if (ev->n_ids) {
        uint64_t *ids = xcalloc(ev->n_ids, sizeof(*ids));
        memcpy(ids, ev->ids, ev->n_ids * sizeof(*ids));
        to->ids = ids;
    }
}

/* Caller holds the lock. */
static void enqueue(struct mem_client *c, const struct remote_event *ev)
{
    struct mem_event *e = xcalloc(1, sizeof(*e));

    event_copy(&e->ev, ev);
    *c->events_last = e;
    c->events_last = &e->next;
}

void mem_emit(struct memstore *s, struct remote_event *ev)
{
    for (struct mem_client *c = s->clients; c; c = c->next) {
        if (!c->event || c->dead)
            continue;
        if (c->lose)
            c->lost = true;
        else
            enqueue(c, ev);
    }
    mem_event_release(ev);
    pthread_cond_broadcast(&s->changed);
}

static void *deliver(void *arg)
{
    struct mem_client *c = arg;
    struct memstore *s = c->store;

    pthread_mutex_lock(&s->lock);
    while (!c->ending) {
        struct mem_event *e = c->hold ? NULL : c->events;
        if (!e) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        c->events = e->next;
        if (!c->events)
            c->events_last = &c->events;
        c->delivering = true;
        memstore_event *event = c->event;
        void *event_arg = c->event_arg;
        pthread_mutex_unlock(&s->lock);
        if (event)
            event(event_arg, &e->ev);
        mem_event_release(&e->ev);
        free(e);
        pthread_mutex_lock(&s->lock);
        c->delivering = false;
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void drop_events(struct mem_client *c)
{
    while (c->events) {
        struct mem_event *e = c->events;
        c->events = e->next;
        mem_event_release(&e->ev);
        free(e);
    }
    c->events_last = &c->events;
}

void memstore_listen(struct remote *r, memstore_event *event, void *arg)
{
    struct mem_client *c = (struct mem_client *)r;
    struct memstore *s = c->store;

    pthread_mutex_lock(&s->lock);
    c->event = event;
    c->event_arg = arg;
    if (event) {
        struct remote_event ev = {.kind = REMOTE_EVENT_CONNECTED};
        enqueue(c, &ev);
    } else {
        drop_events(c);
    }
    pthread_cond_broadcast(&s->changed);
    while (!event && c->delivering)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void memstore_hold_events(struct remote *r, bool hold)
{
    struct mem_client *c = (struct mem_client *)r;

    pthread_mutex_lock(&c->store->lock);
    c->hold = hold;
    pthread_cond_broadcast(&c->store->changed);
    pthread_mutex_unlock(&c->store->lock);
}

void memstore_lose_events(struct remote *r, bool lose)
{
    struct mem_client *c = (struct mem_client *)r;

    pthread_mutex_lock(&c->store->lock);
    c->lose = lose;
    if (!lose && c->event) {
        struct remote_event ev = {.kind = REMOTE_EVENT_GAP};
        enqueue(c, &ev);
    }
    pthread_cond_broadcast(&c->store->changed);
    pthread_mutex_unlock(&c->store->lock);
}

/* --- requests --------------------------------------------------------------
 */

static void request_free(struct mem_request *q)
{
    free((void *)(uintptr_t)q->req.name);
    free((void *)(uintptr_t)q->req.topic);
    free((void *)(uintptr_t)q->req.ids);
    free((void *)(uintptr_t)q->search.content);
    free((void *)(uintptr_t)q->search.channels);
    remote_draft_release(&q->req.draft);
    free(q);
}

/* When may this one leave? 0: now; negative: not yet known. */
static int64_t leaves_in(struct memstore *s, const struct mem_request *q,
                         int64_t now)
{
    if (q->client->dead || q->client->closing || q->cancelled)
        return 0;
    if (s->held[q->req.op] && s->passes[q->req.op] == 0)
        return -1;
    if (q->req.op != REMOTE_POST || !s->interval_ms)
        return 0;
    for (size_t i = 0; i < s->n_last_posts; i++)
        if (s->last_posts[i].channel == q->req.channel) {
            int64_t at = s->last_posts[i].at_ms + s->interval_ms;
            return at > now ? at - now : 0;
        }
    return 0;
}

static void note_post(struct memstore *s, uint64_t channel)
{
    size_t i = 0;

    while (i < s->n_last_posts && s->last_posts[i].channel != channel)
        i++;
    if (i == s->n_last_posts) {
        assert(i < 64);
        s->n_last_posts++;
    }
    s->last_posts[i].channel = channel;
    s->last_posts[i].at_ms = clock_mono_ms();
}

/* Caller holds the lock. The next to leave, taken out of the queue; or NULL
 * and how long to wait (negative: until something changes). */
static struct mem_request *next_request(struct memstore *s, int64_t *wait_ms)
{
    struct mem_request **best = NULL;
    int64_t now = clock_mono_ms();

    *wait_ms = -1;
    for (struct mem_request **at = &s->queue; *at; at = &(*at)->next) {
        int64_t in = leaves_in(s, *at, now);
        if (in == 0 && (!best || (*at)->req.priority < (*best)->req.priority))
            best = at;
        if (in > 0 && (*wait_ms < 0 || in < *wait_ms))
            *wait_ms = in;
    }
    if (!best)
        return NULL;
    struct mem_request *q = *best;
    *best = q->next;
    if (s->held[q->req.op] && s->passes[q->req.op] > 0)
        s->passes[q->req.op]--;
    return q;
}

/* Carries one out; not under the lock. */
static int carry_out(struct memstore *s, struct mem_request *q,
                     struct remote_reply *reply, struct err *err)
{
    enum remote_op op = q->req.op;
    int fail = 0;
    bool after = false;

    pthread_mutex_lock(&s->lock);
    if (q->client->dying && q->client->lives-- == 0)
        q->client->dead = true;
    bool dead = q->client->dead, closing = q->client->closing;
    if (!dead && !closing && !q->cancelled && s->faults[op].times > 0) {
        s->faults[op].times--;
        fail = s->faults[op].r;
        after = s->faults[op].after;
    }
    pthread_mutex_unlock(&s->lock);
    if (q->cancelled)
        return err_set(err, -ECANCELED, "cancelled");
    if (dead || closing)
        return err_set(err, -ESHUTDOWN, "being closed");

    if (q->req.build) {
        int r = q->req.build(q->arg, &q->req.draft);
        if (r < 0)
            return err_set(err, r, "not built");
    }
    pthread_mutex_lock(&s->lock);
    s->counts[op]++;
    if (op == REMOTE_POST && s->interval_ms)
        note_post(s, q->req.channel);
    int r = fail && !after ? err_set(err, fail, "made to fail")
                           : mem_execute(s, &q->req, reply, err);
    pthread_mutex_unlock(&s->lock);
    if (r == 0 && fail) {
        remote_reply_release(reply);
        r = err_set(err, fail, "the answer was lost");
    }
    return r;
}

static void *work(void *arg)
{
    struct memstore *s = arg;

    pthread_mutex_lock(&s->lock);
    while (!s->ending || s->queue) {
        int64_t wait_ms;
        struct mem_request *q = next_request(s, &wait_ms);
        if (!q && wait_ms < 0) {
            pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        if (!q) {
            struct timespec ts;
            clock_gettime(CLOCK_REALTIME, &ts);
            ts.tv_sec += wait_ms / 1000;
            ts.tv_nsec += wait_ms % 1000 * 1000000;
            if (ts.tv_nsec >= 1000000000) {
                ts.tv_nsec -= 1000000000;
                ts.tv_sec++;
            }
            pthread_cond_timedwait(&s->changed, &s->lock, &ts);
            continue;
        }
        s->busy = true;
        pthread_mutex_unlock(&s->lock);

        struct remote_reply reply = {0};
        struct err err = ERR_INIT;
        int r = carry_out(s, q, &reply, &err);
        reply.sent =
            r != -ECANCELED && r != -ESHUTDOWN && q->req.op != REMOTE_DOWNLOAD;
        q->done(q->arg, r, &reply, &err);
        remote_reply_release(&reply);

        pthread_mutex_lock(&s->lock);
        s->busy = false;
        q->client->waiting--;
        request_free(q);
        pthread_cond_broadcast(&s->changed);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

static void copy_search(struct mem_request *q, const struct remote_search *from)
{
    q->search = *from;
    q->search.content = from->content ? xstrdup(from->content) : NULL;
    if (from->n_channels) {
        uint64_t *ids = xcalloc(from->n_channels, sizeof(*ids));
        memcpy(ids, from->channels, from->n_channels * sizeof(*ids));
        q->search.channels = ids;
    }
    q->req.search = &q->search;
}

static uint64_t submit(struct remote *r, struct remote_request *req,
                       remote_done *done, void *arg)
{
    struct mem_client *c = (struct mem_client *)r;
    struct memstore *s = c->store;
    struct mem_request *q = xcalloc(1, sizeof(*q));
    struct mem_request **at = &s->queue;

    q->req = *req;
    req->draft = (struct remote_draft){0};
    q->req.name = req->name ? xstrdup(req->name) : NULL;
    q->req.topic = req->topic ? xstrdup(req->topic) : NULL;
    if (req->n_ids) {
        uint64_t *ids = xcalloc(req->n_ids, sizeof(*ids));
        memcpy(ids, req->ids, req->n_ids * sizeof(*ids));
        q->req.ids = ids;
    }
    if (req->search)
        copy_search(q, req->search);
    q->client = c;
    q->done = done;
    q->arg = arg;

    pthread_mutex_lock(&s->lock);
    uint64_t number = q->number = ++s->last_number;
    while (*at)
        at = &(*at)->next;
    *at = q;
    c->waiting++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return number;
}

static bool cancel(struct remote *r, uint64_t number)
{
    struct memstore *s = ((struct mem_client *)r)->store;
    bool found = false;

    pthread_mutex_lock(&s->lock);
    for (struct mem_request *q = s->queue; q; q = q->next)
        if (q->number == number)
            found = q->cancelled = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return found;
}

static void close_client(struct remote *r)
{
    struct mem_client *c = (struct mem_client *)r;
    struct memstore *s = c->store;
    struct mem_client **at = &s->clients;

    pthread_mutex_lock(&s->lock);
    c->closing = true;
    c->ending = true;
    pthread_cond_broadcast(&s->changed);
    while (c->waiting > 0)
        pthread_cond_wait(&s->changed, &s->lock);
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
    pthread_mutex_unlock(&s->lock);
    pthread_join(c->thread, NULL);
    drop_events(c);
    free(c);
}

static const struct remote_ops ops = {submit, cancel, close_client};

/* --- the store -------------------------------------------------------------
 */

struct memstore *memstore_new(void)
{
    struct memstore *s = xcalloc(1, sizeof(*s));

    s->guild = 4194304000;
    s->self = 4194304001;
    s->max_file = 10u << 20;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->changed, NULL);
    pthread_create(&s->worker, NULL, work, s);
    return s;
}

void memstore_free(struct memstore *s)
{
    pthread_mutex_lock(&s->lock);
    if (s->clients) {
        /* A test that failed half-way: its engine still uses the store. */
        pthread_mutex_unlock(&s->lock);
        return;
    }
    s->ending = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->worker, NULL);
    mem_guild_free(s);
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

uint64_t memstore_guild(struct memstore *s)
{
    return s->guild;
}

struct remote *memstore_connect(struct memstore *s)
{
    struct mem_client *c = xcalloc(1, sizeof(*c));

    c->remote.ops = &ops;
    c->store = s;
    c->events_last = &c->events;
    pthread_mutex_lock(&s->lock);
    c->next = s->clients;
    s->clients = c;
    pthread_mutex_unlock(&s->lock);
    pthread_create(&c->thread, NULL, deliver, c);
    return &c->remote;
}

void memstore_kill(struct remote *r)
{
    struct mem_client *c = (struct mem_client *)r;

    pthread_mutex_lock(&c->store->lock);
    c->dead = true;
    pthread_cond_broadcast(&c->store->changed);
    pthread_mutex_unlock(&c->store->lock);
}

void memstore_die_after(struct remote *r, size_t requests)
{
    struct mem_client *c = (struct mem_client *)r;

    pthread_mutex_lock(&c->store->lock);
    c->dying = true;
    c->lives = requests;
    pthread_mutex_unlock(&c->store->lock);
}

static bool is_quiet(const struct memstore *s)
{
    if (s->busy)
        return false;
    for (const struct mem_request *q = s->queue; q; q = q->next)
        if (!s->held[q->req.op])
            return false;
    for (const struct mem_client *c = s->clients; c; c = c->next)
        if (c->delivering || (c->events && !c->hold))
            return false;
    return true;
}

void memstore_quiet(struct memstore *s)
{
    pthread_mutex_lock(&s->lock);
    while (!is_quiet(s))
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* --- faults and counts -----------------------------------------------------
 */

void memstore_fail(struct memstore *s, enum remote_op op, int times, int r,
                   bool after)
{
    pthread_mutex_lock(&s->lock);
    s->faults[op].times = times;
    s->faults[op].r = r;
    s->faults[op].after = after;
    pthread_mutex_unlock(&s->lock);
}

void memstore_hold(struct memstore *s, enum remote_op op, bool hold)
{
    pthread_mutex_lock(&s->lock);
    s->held[op] = hold;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void memstore_let_one(struct memstore *s, enum remote_op op)
{
    pthread_mutex_lock(&s->lock);
    s->passes[op]++;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

void memstore_wait_held(struct memstore *s, enum remote_op op, size_t n)
{
    pthread_mutex_lock(&s->lock);
    for (;;) {
        size_t have = 0;
        for (const struct mem_request *q = s->queue; q; q = q->next)
            have += q->req.op == op;
        if (have >= n && s->passes[op] == 0)
            break;
        pthread_cond_wait(&s->changed, &s->lock);
    }
    pthread_mutex_unlock(&s->lock);
}

void memstore_set_interval(struct memstore *s, int64_t ms)
{
    pthread_mutex_lock(&s->lock);
    s->interval_ms = ms;
    pthread_mutex_unlock(&s->lock);
}

void memstore_strip(struct memstore *s, char c)
{
    pthread_mutex_lock(&s->lock);
    s->strip = c;
    pthread_mutex_unlock(&s->lock);
}

void memstore_set_age(struct memstore *s, int64_t ms)
{
    pthread_mutex_lock(&s->lock);
    s->age_ms = ms;
    pthread_mutex_unlock(&s->lock);
}

void memstore_hide_next(struct memstore *s, uint64_t channel)
{
    pthread_mutex_lock(&s->lock);
    s->hide_next = channel;
    pthread_mutex_unlock(&s->lock);
}

void memstore_hide(struct memstore *s, const char *prefix)
{
    pthread_mutex_lock(&s->lock);
    s->hide_prefix = prefix;
    pthread_mutex_unlock(&s->lock);
}

void memstore_show(struct memstore *s)
{
    pthread_mutex_lock(&s->lock);
    s->hide_prefix = NULL;
    for (size_t i = 0; i < s->n_channels; i++)
        for (size_t k = 0; k < s->channels[i]->n_messages; k++)
            s->channels[i]->messages[k]->hidden = false;
    pthread_mutex_unlock(&s->lock);
}

void memstore_set_max_file(struct memstore *s, uint64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    s->max_file = bytes;
    pthread_mutex_unlock(&s->lock);
}

size_t memstore_count(struct memstore *s, enum remote_op op)
{
    pthread_mutex_lock(&s->lock);
    size_t n = s->counts[op];
    pthread_mutex_unlock(&s->lock);
    return n;
}

void memstore_wait_count(struct memstore *s, enum remote_op op, size_t n)
{
    pthread_mutex_lock(&s->lock);
    while (s->counts[op] < n)
        pthread_cond_wait(&s->changed, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

size_t memstore_count_all(struct memstore *s)
{
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < MEM_OPS; i++)
        n += s->counts[i];
    pthread_mutex_unlock(&s->lock);
    return n;
}

void memstore_reset_counts(struct memstore *s)
{
    pthread_mutex_lock(&s->lock);
    memset(s->counts, 0, sizeof(s->counts));
    pthread_mutex_unlock(&s->lock);
}
