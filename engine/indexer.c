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

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/map.h"
#include "engine/base/waiter.h"
#include "engine/core.h"
#include "engine/index.h"
#include "engine/index_log.h"
#include "engine/index_text.h"
#include "engine/job.h"
#include "engine/text.h"
#include "engine/value.h"

#define PAGE 100
/* More than so many messages are written again as one, if the rows are not too
 * many for that; more entries than so many rows in any case. */
#define LOG_MESSAGES 64
#define LOG_ROWS 20000
#define LOG_ENTRIES 2000
/* So many are not gathered any longer. */
#define GATHER_KEYS 50000
/* Of a log that is too large for that, messages with up to so many entries are
 * merged into one. */
#define MERGE_ENTRIES 5000
/* The files of a log are fetched to see what it lacks when that spares
 * writing more than so many entries. */
#define TAIL_KEYS 200
/* Rows whose entries are built at a time. */
#define CHUNK 20000
#define RETRIES 10
/* Bulk deletes take nothing older than 14 days; an hour for clocks. */
#define BULK_AGE_MS ((int64_t)14 * 24 * 3600 * 1000 - 3600 * 1000)
#define BULK_MOST 100
#define SINGLE_MOST 20
#define SNOWFLAKE_EPOCH_MS 1420070400000

struct dirty {
    struct dirty *next; /* of those that are being looked at */
    uint64_t number;    /* rises; what is marked again while it is written
                           stays */
    int64_t since_ms;
    uint32_t version; /* that was there when it was marked */
    bool later;       /* another process made it so */
    size_t key_len;
    char key[];
};

/* A message of the log. */
struct logged {
    uint64_t message;
    size_t entries;
    bool own; /* this process posted it */
};

struct track {
    struct track *next;
    char *field;
    uint64_t channel;
    bool busy;
    bool dead;    /* no index any more: whoever works on it frees it */
    bool lost;    /* the channel is gone */
    bool read;    /* the log's messages are known */
    bool rewrite; /* it must be written again as a whole */
    struct map dirty;
    size_t n_own;   /* of them not later */
    bool counted;   /* in core.unindexed */
    int64_t due_ms; /* 0: nothing is */
    int tries;
    struct logged *log;
    size_t n_log, cap_log;
    uint64_t upto;   /* every record up to this has had its say */
    uint64_t *trash; /* superseded messages */
    size_t n_trash;
    uint64_t request; /* under way, for cancel */
};

struct indexer {
    struct core *core;
    struct ledger *ledger; /* borrowed; each job holds a reference */

    pthread_mutex_t lock; /* leaf but for core's count and the job pool */
    pthread_cond_t idle;  /* with lock: a track is not busy any more */
    struct track *tracks; /* under lock, as all below */
    uint64_t number;
    int64_t timer_ms; /* 0: none is set */
};

/* --- tracks ----------------------------------------------------------------
 */

struct name {
    const char *s;
    size_t len;
};

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

static void drop_locked(struct track *x, struct dirty *d)
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

static int64_t gather_ms(const struct indexer *ix, bool later)
{
    int64_t gather = 2 * ix->core->settle_ms + ix->core->settle_ms / 2;
    return later ? gather + 2 * ix->core->grace_ms : gather;
}

static void need_locked(struct indexer *ix, struct track *x, const char *key,
                        size_t key_len, uint32_t version, bool later)
{
    struct name name = {key, key_len};
    struct dirty *d = map_get(&x->dirty, hash_bytes(key, key_len), &name);
    int64_t now = clock_mono_ms(), due = now + gather_ms(ix, later);

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
static bool has_values(const struct row *r)
{
    return !r || r->deleted || row_text(r) || row_values(r);
}

static bool value_of(const struct row *r, const char *field, struct buf *out)
{
    return r && !r->deleted && row_value(r, field, out);
}

static bool is_changed(const struct ledger_change *c, const char *field)
{
    AUTO_BUF struct buf was = BUF_INIT;
    AUTO_BUF struct buf is = BUF_INIT;

    if (!has_values(c->old) || !has_values(c->now))
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
                need_locked(ix, x, row_key(r), r->key_len, r->version,
                            !c->local);
        }
        recount_locked(ix, x);
    }
    arm_timer_locked(ix);
    pthread_mutex_unlock(&ix->lock);
}

/* --- asking the store ------------------------------------------------------
 */

struct work {
    struct indexer *ix;
    struct track *x;
    enum remote_priority priority;
    table_progress *progress;
    void *progress_arg;
};

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

static int ask(struct work *w, struct remote_request *req,
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

/* --- reading the log -------------------------------------------------------
 */

struct page {
    struct page *older;
    struct remote_reply reply;
};

/* The messages of the log, newest page first. */
struct reading {
    struct page *pages;
    struct {
        uint64_t id;
        struct index_message im;
        struct buf body; /* of its file, where that was fetched */
    } * list;
    size_t n;
    uint64_t over, upto;
    bool damaged;
    bool complete; /* no file of them is unread */
    struct index_log *log;
};

static void reading_release(struct reading *rd)
{
    for (size_t i = 0; i < rd->n; i++) {
        index_message_release(&rd->list[i].im);
        buf_release(&rd->list[i].body);
    }
    free(rd->list);
    while (rd->pages) {
        struct page *older = rd->pages->older;
        remote_reply_release(&rd->pages->reply);
        free(rd->pages);
        rd->pages = older;
    }
    index_log_free(rd->log);
    *rd = (struct reading){0};
}

static void take_message(struct work *w, struct reading *rd,
                         const struct remote_message *m)
{
    struct index_message im;
    struct err err = ERR_INIT;

    if (m->author_id != w->ix->core->self || m->type != 0)
        return;
    int r = index_parse(m, &im, &err);
    if (r < 0) {
        if (r == -EBADMSG)
            log_warn("the index by '%s': %s", w->x->field, err.text);
        rd->damaged |= r == -EBADMSG;
        return;
    }
    if (im.table != ledger_id(w->ix->ledger) ||
        im.field_len != strlen(w->x->field) ||
        memcmp(im.field, w->x->field, im.field_len) != 0) {
        index_message_release(&im);
        return;
    }
    rd->list = xrealloc(rd->list, (rd->n + 1) * sizeof(*rd->list));
    rd->list[rd->n].id = m->id;
    rd->list[rd->n].im = im;
    rd->list[rd->n].body = BUF_INIT;
    rd->n++;
    if (im.over > rd->over)
        rd->over = im.over;
}

static int read_pages(struct work *w, struct reading *rd, struct err *err)
{
    uint64_t before = 0;
    bool more = true;

    while (more) {
        struct page *p = xcalloc(1, sizeof(*p));
        struct remote_request req = {
            .op = REMOTE_LIST,
            .before = before,
            .limit = PAGE,
        };
        int r = ask(w, &req, &p->reply, err);
        if (r < 0) {
            free(p);
            return r;
        }
        p->older = rd->pages;
        rd->pages = p;
        for (size_t i = p->reply.n_messages; i > 0; i--)
            take_message(w, rd, &p->reply.messages[i - 1]);
        if (p->reply.n_messages > 0)
            before = p->reply.messages[0].id;
        more = p->reply.n_messages == PAGE && before > rd->over;
    }
    return 0;
}

static int fetch_file(struct work *w, struct reading *rd, size_t i,
                      struct err *err)
{
    struct index_message *im = &rd->list[i].im;
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .message = rd->list[i].id,
        .file = im->file,
    };

    if (!im->file || rd->list[i].body.data)
        return 0;
    int r = ask(w, &req, &reply, err);
    if (r == -ENOENT) {
        rd->damaged = true;
        return 0;
    }
    if (r < 0)
        return r;
    rd->list[i].body = buf_take(&reply.body);
    remote_reply_release(&reply);
    struct err why = ERR_INIT;
    if (index_parse_file(im, rd->list[i].id, rd->list[i].body.data,
                         rd->list[i].body.len, &why) < 0) {
        log_warn("the index by '%s': %s", w->x->field, why.text);
        rd->damaged = true;
    }
    return 0;
}

static int fetch_files(struct work *w, struct reading *rd, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < rd->n && r == 0; i++)
        if (rd->list[i].id > rd->over)
            r = fetch_file(w, rd, i, err);
    return r;
}

static void fold_log(struct reading *rd)
{
    uint64_t upto[2];

    index_log_free(rd->log);
    rd->log = index_log_new();
    rd->complete = true;
    for (size_t i = 0; i < rd->n; i++) {
        if (rd->list[i].id <= rd->over)
            continue;
        index_log_add(rd->log, rd->list[i].id, &rd->list[i].im);
        rd->complete &= rd->list[i].im.n == rd->list[i].im.count;
    }
    index_log_upto(rd->log, upto);
    rd->upto = upto[0] < upto[1] ? upto[0] : upto[1];
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t x = ((const struct logged *)a)->message;
    uint64_t y = ((const struct logged *)b)->message;
    return x < y ? -1 : x > y;
}

static bool is_own(const struct track *x, uint64_t message)
{
    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message == message)
            return x->log[i].own;
    return false;
}

static struct logged *add_logged(struct track *x, uint64_t message,
                                 size_t entries, bool own)
{
    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message == message) {
            x->log[i].own |= own;
            return &x->log[i];
        }
    if (x->n_log == x->cap_log) {
        x->cap_log = x->cap_log ? 2 * x->cap_log : 16;
        x->log = xrealloc(x->log, x->cap_log * sizeof(*x->log));
    }
    x->log[x->n_log] = (struct logged){message, entries, own};
    return &x->log[x->n_log++];
}

static void add_trash(struct track *x, uint64_t message)
{
    for (size_t i = 0; i < x->n_trash; i++)
        if (x->trash[i] == message)
            return;
    x->trash = xrealloc(x->trash, (x->n_trash + 1) * sizeof(*x->trash));
    x->trash[x->n_trash++] = message;
}

/* What stands up to here is superseded. */
static void supersede_locked(struct track *x, uint64_t over)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->n_log; i++)
        if (x->log[i].message > over)
            x->log[kept++] = x->log[i];
        else
            add_trash(x, x->log[i].message);
    x->n_log = kept;
}

static int read_log(struct work *w, struct reading *rd, struct err *err)
{
    struct track *x = w->x;

    int r = read_pages(w, rd, err);
    if (r < 0)
        return r;
    fold_log(rd);
    pthread_mutex_lock(&w->ix->lock);
    for (size_t i = 0; i < rd->n; i++)
        add_logged(x, rd->list[i].id, rd->list[i].im.count, false);
    supersede_locked(x, rd->over);
    qsort(x->log, x->n_log, sizeof(*x->log), compare_ids);
    if (rd->upto > x->upto)
        x->upto = rd->upto;
    x->read = true;
    pthread_mutex_unlock(&w->ix->lock);
    return 0;
}

/* --- what the log lacks ----------------------------------------------------
 */

/* The value of a row, its text fetched where need be. */
static int load_value(struct work *w, struct row *r, bool *has, struct buf *out,
                      struct err *err)
{
    struct text *text;

    buf_reset(out);
    *has = false;
    if (r->deleted)
        return 0;
    if (has_values(r)) {
        *has = row_value(r, w->x->field, out);
        return 0;
    }
    int res = ledger_load_text_wait(w->ix->ledger, r, &text, err);
    if (res < 0)
        return res;
    *has = value_find(text->data, text->len, w->x->field, out);
    text_unref(text);
    return 0;
}

enum known { LACKS, HAS, CONTRADICTS };

/* Does the log tell of this version as it is? complete: the rows here are
 * known to be complete up to that id. */
static enum known compare(const struct reading *rd, const struct row *r,
                          bool has, const struct buf *value, uint64_t complete)
{
    struct index_hit hit;

    if (!index_log_get(rd->log, row_key(r), r->key_len, &hit))
        return rd->complete && !has ? HAS : LACKS;
    if (hit.version > r->version)
        return hit.of <= complete ? CONTRADICTS : HAS;
    bool same = (hit.value != NULL) == has &&
                (!has || buf_equals(value, hit.value, hit.value_len));
    if (same && (hit.version < r->version || hit.of == r->id))
        return HAS;
    return hit.version == r->version && hit.of < r->id ? CONTRADICTS : LACKS;
}

/* Those that are to be written anyway need not be looked at. */
static size_t drop_dirty(struct work *w, struct row **rows, size_t n)
{
    size_t kept = 0;

    pthread_mutex_lock(&w->ix->lock);
    for (size_t i = 0; i < n; i++) {
        struct name name = {row_key(rows[i]), rows[i]->key_len};
        if (map_get(&w->x->dirty, hash_bytes(name.s, name.len), &name))
            row_unref(rows[i]);
        else
            rows[kept++] = rows[i];
    }
    pthread_mutex_unlock(&w->ix->lock);
    return kept;
}

/* What came behind the log's mark and is not in it becomes dirty. */
static int take_tail(struct work *w, struct reading *rd, uint64_t complete,
                     struct err *err)
{
    struct row **rows;
    AUTO_BUF struct buf value = BUF_INIT;
    size_t n = ledger_heads_behind(w->ix->ledger, rd->upto, &rows);
    int r = 0;

    n = drop_dirty(w, rows, n);
    if (n > TAIL_KEYS && !rd->complete && rd->upto) {
        r = fetch_files(w, rd, err);
        if (r == 0)
            fold_log(rd);
    }
    for (size_t i = 0; i < n; i++) {
        bool has;
        if (r == 0 && rd->upto)
            r = load_value(w, rows[i], &has, &value, err);
        if (r == 0 && rd->upto) {
            enum known known = compare(rd, rows[i], has, &value, complete);
            pthread_mutex_lock(&w->ix->lock);
            if (known == CONTRADICTS)
                w->x->rewrite = true;
            if (known != HAS)
                need_locked(w->ix, w->x, row_key(rows[i]), rows[i]->key_len,
                            rows[i]->version, true);
            pthread_mutex_unlock(&w->ix->lock);
        }
        row_unref(rows[i]);
    }
    free(rows);
    pthread_mutex_lock(&w->ix->lock);
    /* A log that says nothing of how far it goes proves nothing. */
    if (!rd->upto || rd->damaged)
        w->x->rewrite = true;
    pthread_mutex_unlock(&w->ix->lock);
    return r;
}

/* Everything it tells is known here. */
static bool is_reflected(struct work *w, const struct index_message *im)
{
    bool all = im->n == im->count;

    for (size_t i = 0; i < im->n && all; i++) {
        const struct index_entry *e = &im->list[i];
        struct row *head = ledger_head(w->ix->ledger, e->key, e->key_len);
        all = head && head->version >= e->version;
        row_unref(head);
    }
    return all;
}

/* The keys of small messages become dirty, so that the next message tells of
 * them all; *merged: those messages, which can go then. */
static int merge_small(struct work *w, struct reading *rd, uint64_t **merged,
                       size_t *n_merged, struct err *err)
{
    *merged = xcalloc(rd->n, sizeof(**merged));
    *n_merged = 0;
    for (size_t i = 0; i < rd->n; i++) {
        const struct index_message *im = &rd->list[i].im;
        if (rd->list[i].id <= rd->over || im->count > MERGE_ENTRIES)
            continue;
        int r = fetch_file(w, rd, i, err);
        if (r < 0)
            return r;
        if (!is_reflected(w, im))
            continue;
        pthread_mutex_lock(&w->ix->lock);
        for (size_t k = 0; k < im->n; k++)
            need_locked(w->ix, w->x, im->list[k].key, im->list[k].key_len,
                        im->list[k].version, true);
        pthread_mutex_unlock(&w->ix->lock);
        (*merged)[(*n_merged)++] = rd->list[i].id;
    }
    return 0;
}

static void drop_merged_locked(struct track *x, const uint64_t *ids, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->n_log; i++) {
        bool gone = false;
        for (size_t k = 0; k < n && !gone; k++)
            gone = x->log[i].message == ids[k];
        if (gone)
            add_trash(x, x->log[i].message);
        else
            x->log[kept++] = x->log[i];
    }
    x->n_log = kept;
}

/* Up to which message may a whole that is written now supersede the log? */
static int may_supersede(struct work *w, struct reading *rd, uint64_t complete,
                         uint64_t *over, struct err *err)
{
    *over = rd->over;
    /* From the oldest to the newest. */
    for (size_t i = rd->n; i > 0; i--) {
        uint64_t id = rd->list[i - 1].id;
        pthread_mutex_lock(&w->ix->lock);
        bool fine = id <= complete || id <= rd->over || is_own(w->x, id);
        pthread_mutex_unlock(&w->ix->lock);
        if (!fine) {
            int r = fetch_file(w, rd, i - 1, err);
            if (r < 0)
                return r;
            fine = is_reflected(w, &rd->list[i - 1].im);
        }
        if (!fine)
            break;
        if (id > *over)
            *over = id;
    }
    return 0;
}

/* --- writing ---------------------------------------------------------------
 */

/* Entries on their way into messages. */
struct entries {
    struct index_entry *list;
    struct row **rows; /* references; hold the keys */
    size_t *values;    /* where in bytes; SIZE_MAX: none */
    size_t n, cap;
    struct buf bytes;
};

static void entries_reset(struct entries *es)
{
    for (size_t i = 0; i < es->n; i++)
        row_unref(es->rows[i]);
    es->n = 0;
    buf_reset(&es->bytes);
}

static void entries_release(struct entries *es)
{
    entries_reset(es);
    free(es->list);
    free(es->rows);
    free(es->values);
    buf_release(&es->bytes);
}

/* Takes the reference. */
static void entries_add(struct entries *es, struct row *r, bool has,
                        const struct buf *value)
{
    if (es->n == es->cap) {
        es->cap = es->cap ? 2 * es->cap : 64;
        es->list = xrealloc(es->list, es->cap * sizeof(*es->list));
        es->rows = xrealloc(es->rows, es->cap * sizeof(struct row *));
        es->values = xrealloc(es->values, es->cap * sizeof(*es->values));
    }
    es->rows[es->n] = r;
    es->values[es->n] = has ? es->bytes.len : SIZE_MAX;
    es->list[es->n++] = (struct index_entry){
        .key = row_key(r),
        .key_len = r->key_len,
        .version = r->version,
        .of = r->id,
        .in = has ? (r->home ? r->home : r->holder) : 0,
        .value_len = has ? value->len : 0,
    };
    if (has)
        buf_add(&es->bytes, value->data, value->len);
}

static int post(struct work *w, struct index_message *im, size_t *taken,
                struct err *err)
{
    struct remote_request req = {.op = REMOTE_POST};
    struct remote_reply reply = {0};
    AUTO_BUF struct buf storage = BUF_INIT;
    AUTO_BUF struct buf content = BUF_INIT;

    int r = index_build(im, ledger_max_file(w->ix->ledger), taken, &req.draft,
                        &storage, err);
    if (r < 0)
        return r;
    buf_add(&content, req.draft.content.data, req.draft.content.len);
    r = ask(w, &req, &reply, err);
    if (r < 0)
        return r;
    const struct remote_message *m = &reply.messages[0];
    bool same = buf_equals(&content, m->content, m->content_len);
    pthread_mutex_lock(&w->ix->lock);
    if (same)
        add_logged(w->x, m->id, *taken, true);
    else
        add_trash(w->x, m->id);
    pthread_mutex_unlock(&w->ix->lock);
    remote_reply_release(&reply);
    if (same)
        return 0;
    if (im->as_file)
        return err_set(err, -EIO, "Discord changes what an index says");
    im->as_file = true;
    return post(w, im, taken, err);
}

/* Posts what has been gathered, in as many messages as it takes. last: no more
 * comes, so that the last one tells how far the log goes. */
static int post_entries(struct work *w, struct entries *es, bool last,
                        uint64_t upto, uint64_t over, struct err *err)
{
    size_t done = 0, taken = 0;
    int r = 0;

    for (size_t i = 0; i < es->n; i++)
        if (es->values[i] != SIZE_MAX)
            es->list[i].value = es->bytes.data + es->values[i];
    while (r == 0 && (done < es->n || (last && taken == 0))) {
        struct index_message im = {
            .field = w->x->field,
            .field_len = strlen(w->x->field),
            .table = ledger_id(w->ix->ledger),
            .upto = {last ? upto : 0, last ? upto : 0},
            .over = last ? over : 0,
            .list = es->list + done,
            .n = es->n - done,
        };
        r = post(w, &im, &taken, err);
        if (r < 0)
            break;
        done += taken;
        if (es->n == 0)
            break;
    }
    entries_reset(es);
    return r;
}

/* The keys that are dirty: their newest versions. */
static int add_dirty(struct work *w, struct entries *es, uint64_t number,
                     bool gone_alone, struct err *err)
{
    struct indexer *ix = w->ix;
    AUTO_BUF struct buf keys = BUF_INIT;
    AUTO_BUF struct buf value = BUF_INIT;
    struct dirty *d;
    int r = 0;

    pthread_mutex_lock(&ix->lock);
    for (size_t at = 0; (d = map_next(&w->x->dirty, &at));) {
        if (d->number > number)
            continue;
        buf_add(&keys, &d->key_len, sizeof(d->key_len));
        buf_add(&keys, d->key, d->key_len);
    }
    pthread_mutex_unlock(&ix->lock);
    for (size_t at = 0; at < keys.len && r == 0;) {
        size_t len;
        bool has = false;
        memcpy(&len, keys.data + at, sizeof(len));
        at += sizeof(len);
        struct row *head = ledger_head(ix->ledger, keys.data + at, len);
        at += len;
        if (head)
            r = load_value(w, head, &has, &value, err);
        if (head && r == 0 && !(gone_alone && has))
            entries_add(es, head, has, &value);
        else
            row_unref(head);
    }
    return r;
}

static void tell_progress(struct work *w, size_t done)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (!w->progress)
        return;
    buf_printf(&b, "index by '%s': %zu of %zu rows", w->x->field, done,
               ledger_count(w->ix->ledger));
    w->progress(w->progress_arg, b.data);
}

/* All rows, and what is gone and was told of in messages that stay. */
static int write_whole(struct work *w, uint64_t number, uint64_t upto,
                       uint64_t over, struct err *err)
{
    struct entries es = {0};
    AUTO_BUF struct buf value = BUF_INIT;
    struct row *rows[64];
    uint64_t after = 0;
    size_t n, done = 0;

    int r = add_dirty(w, &es, number, true, err);
    while (r == 0 && (n = ledger_list(w->ix->ledger, after, rows, 64)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            bool has = false;
            if (r == 0)
                r = load_value(w, rows[i], &has, &value, err);
            if (r == 0 && has)
                entries_add(&es, rows[i], true, &value);
            else
                row_unref(rows[i]);
        }
        done += n;
        if (r == 0 && es.n >= CHUNK) {
            r = post_entries(w, &es, false, 0, 0, err);
            tell_progress(w, done);
        }
    }
    if (r == 0)
        r = post_entries(w, &es, true, upto, over, err);
    entries_release(&es);
    if (r == 0 && over) {
        pthread_mutex_lock(&w->ix->lock);
        supersede_locked(w->x, over);
        pthread_mutex_unlock(&w->ix->lock);
    }
    return r;
}

static int write_dirty(struct work *w, uint64_t number, uint64_t upto,
                       struct err *err)
{
    struct entries es = {0};

    int r = add_dirty(w, &es, number, false, err);
    if (r == 0 && es.n > 0)
        r = post_entries(w, &es, true, upto, 0, err);
    entries_release(&es);
    return r;
}

static bool is_young(uint64_t id)
{
    int64_t born = (int64_t)(id >> 22) + SNOWFLAKE_EPOCH_MS;
    return clock_wall_ms() - born < BULK_AGE_MS;
}

/* Superseded messages go: it does not matter when, or whether. */
static void delete_trash(struct work *w)
{
    struct track *x = w->x;
    uint64_t ids[BULK_MOST];
    size_t singles = 0;

    for (;;) {
        size_t n = 0;
        pthread_mutex_lock(&w->ix->lock);
        for (size_t i = 0; i < x->n_trash && n < BULK_MOST; i++)
            if (is_young(x->trash[i]) || n == 0)
                ids[n++] = x->trash[i];
        if (n > 0 && !is_young(ids[0]))
            n = singles++ < SINGLE_MOST ? 1 : 0;
        pthread_mutex_unlock(&w->ix->lock);
        if (n == 0)
            return;
        struct remote_request req = {
            .op = n > 1 ? REMOTE_DELETE_MANY : REMOTE_DELETE,
            .message = n > 1 ? 0 : ids[0],
            .ids = n > 1 ? ids : NULL,
            .n_ids = n > 1 ? n : 0,
        };
        struct remote_reply reply = {0};
        int r = ask(w, &req, &reply, NULL);
        if (r < 0 && r != -ENOENT)
            return;
        remote_reply_release(&reply);
        pthread_mutex_lock(&w->ix->lock);
        size_t kept = 0;
        for (size_t i = 0; i < x->n_trash; i++) {
            bool done = false;
            for (size_t k = 0; k < n; k++)
                done |= x->trash[i] == ids[k];
            if (!done)
                x->trash[kept++] = x->trash[i];
        }
        x->n_trash = kept;
        pthread_mutex_unlock(&w->ix->lock);
    }
}

enum form { INCREMENT, MERGED, WHOLE };

/* What the next message should be, by how long the log has become. */
static enum form form_locked(const struct track *x, size_t rows)
{
    size_t entries = 0, small = 0;

    for (size_t i = 0; i < x->n_log; i++) {
        entries += x->log[i].entries;
        small += x->log[i].entries <= MERGE_ENTRIES;
    }
    if (x->rewrite || entries > 2 * rows + LOG_ENTRIES ||
        (x->n_log > LOG_MESSAGES && rows <= LOG_ROWS))
        return WHOLE;
    return small > LOG_MESSAGES ? MERGED : INCREMENT;
}

/* Everything up to this number has been written. */
static void written_locked(struct indexer *ix, struct track *x, uint64_t number,
                           uint64_t upto)
{
    struct dirty *d, *done = NULL;

    for (size_t at = 0; (d = map_next(&x->dirty, &at));) {
        if (d->number > number)
            continue;
        d->next = done;
        done = d;
    }
    while (done) {
        d = done;
        done = d->next;
        drop_locked(x, d);
    }
    x->due_ms = 0;
    for (size_t at = 0; (d = map_next(&x->dirty, &at));) {
        int64_t due = d->since_ms + gather_ms(ix, d->later);
        if (!x->due_ms || due < x->due_ms)
            x->due_ms = due;
    }
    if (upto > x->upto)
        x->upto = upto;
    x->tries = 0;
}

static int work_on(struct work *w, enum form least, bool fresh, struct err *err)
{
    struct indexer *ix = w->ix;
    struct track *x = w->x;
    struct reading rd = {0};
    size_t rows = ledger_count(ix->ledger), n_merged = 0;
    uint64_t over = 0, *merged = NULL;
    int r = 0;

    /* In this order: all that is known up to the mark has been marked dirty
     * when the number is drawn. */
    uint64_t complete = ledger_complete(ix->ledger);
    pthread_mutex_lock(&ix->lock);
    if (complete < x->upto)
        complete = x->upto;
    x->read |= fresh;
    bool read = x->read;
    enum form form = form_locked(x, rows);
    pthread_mutex_unlock(&ix->lock);

    form = form > least ? form : least;
    if (!fresh && (!read || form != INCREMENT)) {
        r = read_log(w, &rd, err);
        if (r == 0 && !read)
            r = take_tail(w, &rd, complete, err);
        pthread_mutex_lock(&ix->lock);
        form = form_locked(x, rows);
        pthread_mutex_unlock(&ix->lock);
        form = form > least ? form : least;
    }
    if (r == 0 && form == MERGED)
        r = merge_small(w, &rd, &merged, &n_merged, err);
    if (r == 0 && form == WHOLE && !fresh)
        r = may_supersede(w, &rd, complete, &over, err);

    pthread_mutex_lock(&ix->lock);
    uint64_t number = ix->number;
    x->rewrite = false;
    pthread_mutex_unlock(&ix->lock);
    if (r == 0)
        r = form == WHOLE ? write_whole(w, number, complete, over, err)
                          : write_dirty(w, number, complete, err);

    pthread_mutex_lock(&ix->lock);
    if (r == 0) {
        written_locked(ix, x, number, complete);
        drop_merged_locked(x, merged, n_merged);
    } else {
        x->rewrite |= form == WHOLE;
    }
    bool has_trash = r == 0 && x->n_trash > 0;
    pthread_mutex_unlock(&ix->lock);
    reading_release(&rd);
    free(merged);
    if (has_trash)
        delete_trash(w);
    return r;
}

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
                : work_on(w, INCREMENT, false, &err);
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

static void run_due(struct indexer *ix)
{
    bool hasty = atomic_load(&ix->core->hasty);
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&ix->lock);
    for (struct track *x = ix->tracks; x && !is_off(ix); x = x->next) {
        bool due = x->due_ms && (x->due_ms <= now || (hasty && x->n_own > 0));
        if (!due || x->busy || x->lost)
            continue;
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
    int r = work_on(&w, WHOLE, fresh, &why);
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
    if (x && !is_own(x, m->id)) {
        if (x->read)
            add_logged(x, m->id, im.count, false);
        if (im.over)
            supersede_locked(x, im.over);
        for (size_t i = 0; i < im.n; i++) {
            struct name name = {im.list[i].key, im.list[i].key_len};
            struct dirty *d =
                map_get(&x->dirty, hash_bytes(name.s, name.len), &name);
            /* Our own, perhaps, on its way: then it goes with its answer. */
            if (d && d->later && d->version <= im.list[i].version)
                drop_locked(x, d);
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
        if (!x->due_ms)
            x->due_ms = clock_mono_ms() + gather_ms(ix, true);
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
