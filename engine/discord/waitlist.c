#include "engine/discord/waitlist.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"

/* Places that are kept from each priority, for those before it. */
static const int kept[WAITLIST_PRIORITIES] = {0, 2, 4};

/* What waits for one route on one resource. */
struct queue {
    struct queue *next;
    char name[160];
    uint64_t major;
    bool old_edit, exempt;
    struct errand *first[WAITLIST_PRIORITIES], *last[WAITLIST_PRIORITIES];
};

struct waitlist {
    struct queue *queues; /* none of them empty; next to serve first */
    int with_deadline;    /* how many have one */
    uint64_t count[WAITLIST_PRIORITIES];
};

struct waitlist *waitlist_new(void)
{
    return xcalloc(1, sizeof(struct waitlist));
}

void waitlist_free(struct waitlist *w)
{
    assert(!w || !w->queues);
    free(w);
}

struct ratelimit_route waitlist_lane(const struct errand *e)
{
    /* Files do not come from the API. */
    if (errand_is_file(e))
        return (struct ratelimit_route){.name = "GET file", .exempt = true};
    return (struct ratelimit_route){
        .name = e->route.name,
        .major = e->route.major,
        .old_edit = e->route.old_edit,
        .exempt = e->route.exempt,
    };
}

static struct queue *queue_get(struct waitlist *w, const struct errand *e)
{
    struct ratelimit_route lane = waitlist_lane(e);
    struct queue **at = &w->queues;

    for (; *at; at = &(*at)->next)
        if ((*at)->major == lane.major && (*at)->old_edit == lane.old_edit &&
            strcmp((*at)->name, lane.name) == 0)
            return *at;

    struct queue *q = xcalloc(1, sizeof(*q));
    snprintf(q->name, sizeof(q->name), "%s", lane.name);
    q->major = lane.major;
    q->old_edit = lane.old_edit;
    q->exempt = lane.exempt;
    *at = q;
    return q;
}

void waitlist_add(struct waitlist *w, struct errand *e, bool first)
{
    struct queue *q = queue_get(w, e);
    int p = (int)e->priority;

    if (first || !q->first[p]) {
        e->next = q->first[p];
        q->first[p] = e;
        if (!e->next)
            q->last[p] = e;
    } else {
        e->next = NULL;
        q->last[p]->next = e;
        q->last[p] = e;
    }
    w->count[p]++;
    w->with_deadline += e->deadline != 0;
}

/* Takes e, standing behind `before` (NULL: at the head), out of q. */
static void take_out(struct waitlist *w, struct queue *q, struct errand *before,
                     struct errand *e)
{
    int p = (int)e->priority;

    if (before)
        before->next = e->next;
    else
        q->first[p] = e->next;
    if (q->last[p] == e)
        q->last[p] = before;
    e->next = NULL;
    w->count[p]--;
    w->with_deadline -= e->deadline != 0;
}

static void drop_empty(struct waitlist *w)
{
    for (struct queue **at = &w->queues; *at;) {
        struct queue *q = *at;
        if (q->first[0] || q->first[1] || q->first[2]) {
            at = &q->next;
            continue;
        }
        *at = q->next;
        free(q);
    }
}

static void sooner(int64_t *wait, int64_t candidate)
{
    if (candidate < *wait)
        *wait = candidate;
}

/* The next of q that may leave, taken out, or NULL. */
static struct errand *pick_from(struct waitlist *w, struct queue *q, int p,
                                struct ratelimit *rl, int64_t now,
                                int64_t *wait)
{
    struct errand *before = NULL, *e = q->first[p];

    /* Those in a pause hold up nobody. */
    while (e && e->not_before > now) {
        sooner(wait, e->not_before - now);
        before = e;
        e = e->next;
    }
    if (!e)
        return NULL;

    struct ratelimit_route lane = {
        .name = q->name,
        .major = q->major,
        .old_edit = q->old_edit,
        .exempt = q->exempt,
        .yields = p,
    };
    int64_t delay = ratelimit_delay(rl, &lane, now);
    if (delay > 0) {
        sooner(wait, delay);
        return NULL;
    }
    take_out(w, q, before, e);
    e->ticket = ratelimit_sent(rl, &lane, now);
    return e;
}

/* The others are served before it is again. */
static void move_to_end(struct queue **at)
{
    struct queue *q = *at;

    *at = q->next;
    q->next = NULL;
    while (*at)
        at = &(*at)->next;
    *at = q;
}

struct errand *waitlist_pick(struct waitlist *w, struct ratelimit *rl, int room,
                             int64_t now, int64_t *wait)
{
    for (int p = 0; p < WAITLIST_PRIORITIES; p++) {
        if (room <= kept[p])
            return NULL; /* the next answer makes room */
        for (struct queue **at = &w->queues; *at; at = &(*at)->next) {
            struct errand *e = pick_from(w, *at, p, rl, now, wait);
            if (!e)
                continue;
            move_to_end(at);
            drop_empty(w);
            return e;
        }
    }
    return NULL;
}

struct errand *waitlist_cancel(struct waitlist *w, uint64_t number)
{
    for (struct queue *q = w->queues; q; q = q->next) {
        for (int p = 0; p < WAITLIST_PRIORITIES; p++) {
            struct errand *before = NULL, *e = q->first[p];
            while (e && e->number != number) {
                before = e;
                e = e->next;
            }
            if (!e)
                continue;
            /* In doubt is as good as left: it may have happened. */
            if (e->doubtful_since)
                return NULL;
            take_out(w, q, before, e);
            drop_empty(w);
            return e;
        }
    }
    return NULL;
}

/* Those whose deadline is not behind end, in the order they waited. */
static struct errand *take_until(struct waitlist *w, int64_t end, bool all,
                                 int64_t *next)
{
    struct errand *taken = NULL, **last = &taken;

    for (struct queue *q = w->queues; q; q = q->next) {
        for (int p = 0; p < WAITLIST_PRIORITIES; p++) {
            struct errand *before = NULL, *following;
            for (struct errand *e = q->first[p]; e; e = following) {
                following = e->next;
                if (!all && (!e->deadline || e->deadline > end)) {
                    if (e->deadline)
                        sooner(next, e->deadline);
                    before = e;
                    continue;
                }
                take_out(w, q, before, e);
                *last = e;
                last = &e->next;
            }
        }
    }
    drop_empty(w);
    return taken;
}

struct errand *waitlist_late(struct waitlist *w, int64_t now, int64_t *wait)
{
    int64_t next = INT64_MAX;

    if (w->with_deadline == 0)
        return NULL;
    struct errand *late = take_until(w, now, false, &next);
    if (next != INT64_MAX)
        sooner(wait, next - now);
    return late;
}

struct errand *waitlist_all(struct waitlist *w)
{
    int64_t next = INT64_MAX;

    return take_until(w, INT64_MAX, true, &next);
}

uint64_t waitlist_count(const struct waitlist *w, int priority)
{
    return w->count[priority];
}
