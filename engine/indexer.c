/* The background writer of indexes. Each index is a track: the keys whose
 * entries are to be written, and what is known of its channel.
 *
 *     change of a row --value changed--> dirty --gathered--> one message
 *
 * What a message says is decided when it is written: of each key its newest
 * version, as the rows are then. Before the first one the channel is read, and
 * what its log lacks becomes dirty too: so that whatever a crash, or another
 * process's end, left unwritten is made up for.
 *
 * A log that has become long is written again as a whole, which supersedes what
 * was there; then that is deleted. Where the rows are too many for that, its
 * small messages are merged into one for a while. Only messages whose every
 * entry is known to be in the rows here are superseded: another process may
 * have told of what has not come here yet.
 *
 * One thread at a time works on a track (busy): a job, or the caller of
 * indexer_rewrite(). */
#include "engine/indexer.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/waiter.h"
#include "engine/index.h"
#include "engine/indexer_impl.h"
#include "engine/job.h"

/* While rows are being written their entries are gathered for so long, or until
 * there are so many: an import's in a few messages. */
#define BUSY_MOST_MS 20000
#define GATHER_KEYS 100000
#define BUSY_PAUSE_MS 200
#define RETRIES 10

/* --- tracks ----------------------------------------------------------------
 */

static uint64_t dirty_hash(const void *item)
{
    const struct dirty *d = item;
    return hash_bytes(d->key, d->key_len);
}

static bool dirty_has(const void *item, const void *key)
{
    const struct dirty *d = item;
    const struct name *n = key;
    return d->key_len == n->len && memcmp(d->key, n->s, n->len) == 0;
}

static const struct map_type dirty_type = {dirty_hash, dirty_has};

struct indexer *indexer_new(struct core *core, struct ledger *l)
{
    struct indexer *ix = xcalloc(1, sizeof(*ix));

    ix->core = core;
    ix->ledger = l;
    pthread_mutex_init(&ix->lock, NULL);
    pthread_cond_init(&ix->idle, NULL);
    return ix;
}

/* Is there work of ours that closing should wait for? */
static void recount_locked(struct indexer *ix, struct track *x)
{
    bool count = x->n_own > 0 && !x->dead && !x->lost &&
                 !atomic_load(&ix->core->stopped);

    if (count != x->counted)
        core_count(ix->core, &ix->core->unindexed, count ? 1 : -1);
    x->counted = count;
}

void track_drop_locked(struct track *x, struct dirty *d)
{
    struct name name = {d->key, d->key_len};

    map_remove(&x->dirty, dirty_hash(d), &name);
    x->n_own -= !d->later;
    free(d);
}

static void drop_all_locked(struct indexer *ix, struct track *x)
{
    struct dirty *d;

    for (size_t at = 0; (d = map_next(&x->dirty, &at));)
        free(d);
    map_release(&x->dirty);
    x->dirty = MAP_INIT(&dirty_type);
    x->n_own = 0;
    x->due_ms = 0;
    recount_locked(ix, x);
}

static void track_free_locked(struct indexer *ix, struct track *x)
{
    drop_all_locked(ix, x);
    map_release(&x->dirty);
    free(x->log);
    free(x->trash);
    free(x->field);
    free(x);
}

void indexer_free(struct indexer *ix)
{
    if (!ix)
        return;
    while (ix->tracks) {
        struct track *next = ix->tracks->next;
        track_free_locked(ix, ix->tracks);
        ix->tracks = next;
    }
    pthread_cond_destroy(&ix->idle);
    pthread_mutex_destroy(&ix->lock);
    free(ix);
}

static struct track *find_locked(struct indexer *ix, const char *field)
{
    struct track *x = ix->tracks;

    while (x && strcmp(x->field, field) != 0)
        x = x->next;
    return x;
}

static struct track *find_channel_locked(struct indexer *ix, uint64_t channel)
{
    struct track *x = ix->tracks;

    while (x && x->channel != channel)
        x = x->next;
    return x;
}

static const struct indexer_field *find_field(const struct indexer_field *list,
                                              size_t n, const char *field)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].field, field) == 0)
            return &list[i];
    return NULL;
}

void indexer_set(struct indexer *ix, const struct indexer_field *list, size_t n)
{
    pthread_mutex_lock(&ix->lock);
    for (struct track **at = &ix->tracks; *at;) {
        struct track *x = *at;
        const struct indexer_field *f = find_field(list, n, x->field);
        if (f && f->channel == x->channel) {
            at = &x->next;
            continue;
        }
        if (f && !f->channel) {
            if (!x->lost)
                log_warn("the channel of the index by '%s' was deleted: "
                         "reindex makes another",
                         x->field);
            x->lost = true;
            drop_all_locked(ix, x);
            at = &x->next;
            continue;
        }
        *at = x->next;
        x->dead = true;
        drop_all_locked(ix, x);
        if (!x->busy)
            track_free_locked(ix, x);
    }
    for (size_t i = 0; i < n; i++) {
        if (!list[i].channel || find_locked(ix, list[i].field))
            continue;
        struct track *x = xcalloc(1, sizeof(*x));
        x->field = xstrdup(list[i].field);
        x->channel = list[i].channel;
        x->dirty = MAP_INIT(&dirty_type);
        x->next = ix->tracks;
        ix->tracks = x;
    }
    pthread_mutex_unlock(&ix->lock);
}

/* --- what is to be written -------------------------------------------------
 */

static bool is_off(const struct indexer *ix)
{
    return ix->core->read_only || atomic_load(&ix->core->stopped);
}

int64_t track_gather_ms(const struct indexer *ix, bool later)
{
    int64_t gather = 2 * ix->core->settle_ms + ix->core->settle_ms / 2;
    return later ? gather + 2 * ix->core->grace_ms : gather;
}

void track_need_locked(struct indexer *ix, struct track *x, const char *key,
                       size_t key_len, uint32_t version, uint64_t of,
                       bool later)
{
    struct name name = {key, key_len};
    struct dirty *d = map_get(&x->dirty, hash_bytes(key, key_len), &name);
    int64_t now = clock_mono_ms(), due = now + track_gather_ms(ix, later);

    if (x->dirty.count == 0)
        x->first_ms = now;
    if (!d) {
        d = xcalloc(1, sizeof(*d) + key_len + 1);
        memcpy(d->key, key, key_len);
        d->key_len = key_len;
        d->since_ms = now;
        d->later = later;
        x->n_own += !later;
        map_put(&x->dirty, &name, d);
    } else if (d->later && !later) {
        d->later = false;
        x->n_own++;
    }
    d->number = ++ix->number;
    d->version = version;
    d->of = of;
    if (x->dirty.count >= GATHER_KEYS && !later)
        due = now;
    if (!x->due_ms || due < x->due_ms)
        x->due_ms = due;
}

static void run_due(struct indexer *ix);

static void timer_run(void *arg)
{
    struct indexer *ix = arg;
    struct ledger *l = ix->ledger;

    pthread_mutex_lock(&ix->lock);
    if (ix->timer_ms <= clock_mono_ms() || atomic_load(&ix->core->closing))
        ix->timer_ms = 0;
    pthread_mutex_unlock(&ix->lock);
    run_due(ix);
    ledger_unref(l);
}

static void arm_timer_locked(struct indexer *ix)
{
    int64_t due = 0;

    for (struct track *x = ix->tracks; x; x = x->next)
        if (x->due_ms && !x->busy && !x->lost && (!due || x->due_ms < due))
            due = x->due_ms;
    if (!due || is_off(ix) || atomic_load(&ix->core->closing) ||
        (ix->timer_ms && ix->timer_ms <= due))
        return;
    ix->timer_ms = due;
    int64_t delay = due - clock_mono_ms();
    ledger_ref(ix->ledger);
    job_after(ix->core->pool, delay > 0 ? delay : 0, timer_run, ix);
}

/* Is the value of a row known without asking for its text? */
bool track_has_value(const struct row *r, const char *field)
{
    return !r || r->deleted || row_tells_value(r, field);
}

static bool value_of(const struct row *r, const char *field, struct buf *out)
{
    return r && !r->deleted && row_value(r, field, out);
}

static bool is_changed(const struct ledger_change *c, const char *field)
{
    AUTO_BUF struct buf was = BUF_INIT;
    AUTO_BUF struct buf is = BUF_INIT;

    if (!track_has_value(c->old, field) || !track_has_value(c->now, field))
        return true;
    bool had = value_of(c->old, field, &was),
         has = value_of(c->now, field, &is);
    return had != has || (has && !buf_equals(&was, is.data, is.len));
}

void indexer_changed(struct indexer *ix, const struct ledger_change *list,
                     size_t n)
{
    pthread_mutex_lock(&ix->lock);
    for (struct track *x = ix->tracks; x && !is_off(ix); x = x->next) {
        for (size_t i = 0; i < n && !x->lost; i++) {
            const struct ledger_change *c = &list[i];
            const struct row *r = c->now ? c->now : c->old;
            /* A version that does not count any more may stand in the log, and
             * it may be higher than what counts. */
            if (c->voided && (!c->now || c->voided->version >= c->now->version))
                x->rewrite = true;
            if (r && (c->voided || is_changed(c, x->field)))
                track_need_locked(ix, x, row_key(r), r->key_len, r->version,
                                  r->id, !c->local);
        }
        recount_locked(ix, x);
    }
    arm_timer_locked(ix);
    pthread_mutex_unlock(&ix->lock);
}

/* --- the log ---------------------------------------------------------------
 */

bool track_is_own_locked(const struct track *x, uint64_t message)
{
    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message == message)
            return x->log[i].own;
    return false;
}

void track_add_logged_locked(struct track *x, uint64_t message, size_t entries,
                             bool own)
{
    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message == message) {
            x->log[i].own |= own;
            return;
        }
    if (x->n_log == x->cap_log) {
        x->cap_log = x->cap_log ? 2 * x->cap_log : 16;
        x->log = xrealloc(x->log, x->cap_log * sizeof(*x->log));
    }
    x->log[x->n_log++] = (struct logged){message, entries, own};
}

void track_add_trash_locked(struct track *x, uint64_t message)
{
    for (size_t i = 0; i < x->n_trash; i++)
        if (x->trash[i] == message)
            return;
    x->trash = xrealloc(x->trash, (x->n_trash + 1) * sizeof(*x->trash));
    x->trash[x->n_trash++] = message;
}

/* What stands up to here is superseded. */
void track_supersede_locked(struct track *x, uint64_t over)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message > over)
            x->log[kept++] = x->log[i];
        else
            track_add_trash_locked(x, x->log[i].message);
    x->n_log = kept;
}

/* --- asking the store ------------------------------------------------------
 */

struct ask {
    struct waiter waiter;
    struct remote_reply *reply;
};

static void ask_answered(void *arg, int r, struct remote_reply *reply,
                         const struct err *err)
{
    struct ask *a = arg;

    if (r == 0) {
        *a->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    waiter_done(&a->waiter, r, err);
}

int work_ask(struct work *w, struct remote_request *req,
             struct remote_reply *reply, struct err *err)
{
    struct indexer *ix = w->ix;
    struct ask a = {.reply = reply};

    if (atomic_load(&ix->core->stopped)) {
        remote_draft_release(&req->draft);
        return err_set(err, -ESHUTDOWN, "being closed");
    }
    req->channel = w->x->channel;
    req->priority = w->priority;
    waiter_init(&a.waiter, err);
    uint64_t number = core_submit(ix->core, req, ask_answered, &a);
    /* If it was answered already, cancelling it does nothing. */
    pthread_mutex_lock(&ix->lock);
    w->x->request = number;
    bool stopped = atomic_load(&ix->core->stopped);
    pthread_mutex_unlock(&ix->lock);
    if (stopped)
        remote_cancel(ix->core->remote, number);
    int r = waiter_wait(&a.waiter);
    waiter_release(&a.waiter);
    pthread_mutex_lock(&ix->lock);
    w->x->request = 0;
    pthread_mutex_unlock(&ix->lock);
    return r;
}

/* --- working ----------------------------------------------------------------
 */

/* It did not work: again later, or not at all. */
static void failed_locked(struct indexer *ix, struct track *x, int r)
{
    if (r == -ENOENT && !x->lost) {
        log_warn("the channel of the index by '%s' was deleted: reindex makes "
                 "another",
                 x->field);
        x->lost = true;
    }
    if (x->lost || atomic_load(&ix->core->closing)) {
        drop_all_locked(ix, x);
        return;
    }
    if (x->tries < RETRIES)
        x->tries++;
    x->due_ms = clock_mono_ms() + (ix->core->retry_ms << (2 + x->tries));
}

static void end_locked(struct indexer *ix, struct track *x)
{
    x->busy = false;
    pthread_cond_broadcast(&ix->idle);
    if (x->dead)
        track_free_locked(ix, x);
    else
        recount_locked(ix, x);
}

static void work_run(void *arg)
{
    struct work *w = arg;
    struct indexer *ix = w->ix;
    struct ledger *l = ix->ledger;
    struct err err = ERR_INIT;

    int r = is_off(ix) || !ledger_is_open(l)
                ? -ECANCELED
                : work_write(w, INCREMENT, false, &err);
    pthread_mutex_lock(&ix->lock);
    if (r == -ECANCELED && !is_off(ix))
        drop_all_locked(ix, w->x); /* the table is gone */
    else if (r < 0)
        failed_locked(ix, w->x, r);
    if (r < 0 && r != -ENOENT && r != -ECANCELED && r != -ESHUTDOWN)
        log_warn("the index by '%s' cannot be brought up to date yet: %s",
                 w->x->field, err_text(&err, r));
    end_locked(ix, w->x);
    pthread_mutex_unlock(&ix->lock);
    run_due(ix);
    free(w);
    ledger_unref(l);
}

/* Are there more to come, and few yet? */
static bool is_early_locked(const struct indexer *ix, const struct track *x,
                            int64_t now)
{
    struct core *c = ix->core;

    pthread_mutex_lock(&c->lock);
    bool writing = c->writes > 0;
    pthread_mutex_unlock(&c->lock);
    return writing && x->dirty.count < GATHER_KEYS &&
           now < x->first_ms + BUSY_MOST_MS;
}

static void run_due(struct indexer *ix)
{
    bool hasty = atomic_load(&ix->core->hasty);
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&ix->lock);
    for (struct track *x = ix->tracks; x && !is_off(ix); x = x->next) {
        bool due = x->due_ms && (x->due_ms <= now || (hasty && x->n_own > 0));
        if (!due || x->busy || x->lost)
            continue;
        if (!hasty && is_early_locked(ix, x, now)) {
            x->due_ms = now + BUSY_PAUSE_MS;
            continue;
        }
        struct work *w = xcalloc(1, sizeof(*w));
        *w = (struct work){.ix = ix, .x = x, .priority = REMOTE_BACKGROUND};
        x->busy = true;
        ledger_ref(ix->ledger);
        job_run(ix->core->pool, work_run, w);
    }
    arm_timer_locked(ix);
    pthread_mutex_unlock(&ix->lock);
}

int indexer_rewrite(struct indexer *ix, const char *field, bool fresh,
                    table_progress *progress, void *arg, struct err *err)
{
    struct err why = ERR_INIT;
    struct track *x;

    pthread_mutex_lock(&ix->lock);
    while ((x = find_locked(ix, field)) && x->busy)
        pthread_cond_wait(&ix->idle, &ix->lock);
    if (x && !x->lost)
        x->busy = true;
    pthread_mutex_unlock(&ix->lock);
    if (!x || x->lost)
        return err_set(err, -ENOENT, "the index by '%s' has no channel", field);

    struct work w = {ix, x, REMOTE_INTERACTIVE, progress, arg};
    int r = work_write(&w, WHOLE, fresh, &why);
    pthread_mutex_lock(&ix->lock);
    if (r < 0)
        failed_locked(ix, x, r);
    end_locked(ix, x);
    pthread_mutex_unlock(&ix->lock);
    run_due(ix);
    if (r < 0 && err)
        *err = why;
    return r < 0 ? err_wrap(err, r, "the index by '%s'", field) : 0;
}

/* --- events ----------------------------------------------------------------
 */

void indexer_event_message(struct indexer *ix, const struct remote_message *m)
{
    struct index_message im;

    if (m->author_id != ix->core->self || m->type != 0 ||
        index_parse(m, &im, NULL) < 0)
        return;
    pthread_mutex_lock(&ix->lock);
    struct track *x = find_channel_locked(ix, m->channel_id);
    if (x && !track_is_own_locked(x, m->id)) {
        if (x->read)
            track_add_logged_locked(x, m->id, im.count, false);
        if (im.over)
            track_supersede_locked(x, im.over);
        for (size_t i = 0; i < im.n; i++) {
            struct name name = {im.list[i].key, im.list[i].key_len};
            struct dirty *d =
                map_get(&x->dirty, hash_bytes(name.s, name.len), &name);
            /* Told as it is: by another process, or this is our own message,
             * whose answer is still on its way. */
            if (d && d->version == im.list[i].version && d->of == im.list[i].of)
                track_drop_locked(x, d);
        }
        recount_locked(ix, x);
    }
    pthread_mutex_unlock(&ix->lock);
    index_message_release(&im);
}

void indexer_event_deleted(struct indexer *ix, uint64_t channel,
                           const uint64_t *ids, size_t n)
{
    size_t lost = 0;

    pthread_mutex_lock(&ix->lock);
    struct track *x = find_channel_locked(ix, channel);
    for (size_t i = 0; x && i < n; i++) {
        size_t kept = 0;
        for (size_t k = 0; k < x->n_log; k++)
            if (x->log[k].message != ids[i])
                x->log[kept++] = x->log[k];
        lost += x->n_log - kept;
        x->n_log = kept;
    }
    if (lost > 0) {
        log_warn("%zu messages of the index by '%s' were deleted by somebody's "
                 "hand: it is written again",
                 lost, x->field);
        x->rewrite = true;
        x->upto = 0;
        if (!x->due_ms)
            x->due_ms = clock_mono_ms() + track_gather_ms(ix, true);
        arm_timer_locked(ix);
    }
    pthread_mutex_unlock(&ix->lock);
}

/* --- the end ---------------------------------------------------------------
 */

void indexer_hurry(struct indexer *ix)
{
    run_due(ix);
}

void indexer_stop(struct indexer *ix)
{
    uint64_t numbers[64];
    size_t n = 0;

    pthread_mutex_lock(&ix->lock);
    for (struct track *x = ix->tracks; x; x = x->next) {
        drop_all_locked(ix, x);
        if (x->request && n < sizeof(numbers) / sizeof(numbers[0]))
            numbers[n++] = x->request;
    }
    pthread_mutex_unlock(&ix->lock);
    for (size_t i = 0; i < n; i++)
        remote_cancel(ix->core->remote, numbers[i]);
}

void indexer_stats(struct indexer *ix, const char *field,
                   struct indexer_stats *out)
{
    int64_t now = clock_mono_ms();
    struct dirty *d;

    *out = (struct indexer_stats){0};
    pthread_mutex_lock(&ix->lock);
    struct track *x = find_locked(ix, field);
    if (x) {
        out->lost = x->lost;
        out->behind = x->dirty.count;
        for (size_t at = 0; (d = map_next(&x->dirty, &at));)
            if (now - d->since_ms > out->behind_ms)
                out->behind_ms = now - d->since_ms;
    }
    pthread_mutex_unlock(&ix->lock);
}
