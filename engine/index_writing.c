/* Entries of an index into messages: what has changed, or everything again, and
 * what is superseded by it goes. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/index.h"
#include "engine/indexer_impl.h"
#include "engine/text.h"
#include "engine/value.h"

/* More than so many messages are written again as one, if the rows are not too
 * many for that; more entries than so many rows in any case. */
#define LOG_MESSAGES 64
#define LOG_ROWS 20000
#define LOG_ENTRIES 2000
/* When so many rows of another process wait, it is looked whether that one has
 * written their entries itself. */
#define OTHERS_KEYS 200
/* Rows whose entries are built at a time. */
#define CHUNK 20000
/* Bulk deletes take nothing older than 14 days; an hour for clocks. */
#define BULK_AGE_MS ((int64_t)14 * 24 * 3600 * 1000 - 3600 * 1000)
#define BULK_MOST 100
#define SINGLE_MOST 20
#define REPEATS 3
#define REPEAT_MS 45000
#define SNOWFLAKE_EPOCH_MS 1420070400000

/* The value of a row, its text fetched where need be. */
int work_value(struct work *w, struct row *r, bool *has, struct buf *out,
               struct err *err)
{
    struct text *text;

    buf_reset(out);
    *has = false;
    if (r->deleted)
        return 0;
    if (track_has_value(r, w->x->field)) {
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
    r = work_ask(w, &req, &reply, err);
    if (r < 0)
        return r;
    const struct remote_message *m = &reply.messages[0];
    bool same = buf_equals(&content, m->content, m->content_len);
    pthread_mutex_lock(&w->ix->lock);
    if (same)
        track_add_logged_locked(w->x, m->id, *taken, true);
    else
        track_add_trash_locked(w->x, m->id);
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
            r = work_value(w, head, &has, &value, err);
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
                r = work_value(w, rows[i], &has, &value, err);
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
        track_supersede_locked(w->x, over);
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
        int r = work_ask(w, &req, &reply, NULL);
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

static void drop_merged_locked(struct track *x, const uint64_t *ids, size_t n)
{
    size_t kept = 0;

    for (size_t i = 0; i < x->n_log; i++) {
        bool gone = false;
        for (size_t k = 0; k < n && !gone; k++)
            gone = x->log[i].message == ids[k];
        if (gone)
            track_add_trash_locked(x, x->log[i].message);
        else
            x->log[kept++] = x->log[i];
    }
    x->n_log = kept;
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
        track_drop_locked(x, d);
    }
    x->due_ms = 0;
    x->first_ms = clock_mono_ms();
    for (size_t at = 0; (d = map_next(&x->dirty, &at));) {
        int64_t due = d->since_ms + track_gather_ms(ix, d->later);
        if (!x->due_ms || due < x->due_ms)
            x->due_ms = due;
    }
    if (upto > x->upto)
        x->upto = upto;
    x->tries = 0;
}

/* A log that contradicts the rows was written again, but a message stayed that
 * another process had posted just before: once more when that one is known. */
static void repeat_locked(struct track *x)
{
    if (++x->repeats > REPEATS) {
        x->repeats = 0;
        return;
    }
    x->rewrite = true;
    x->due_ms = clock_mono_ms() + REPEAT_MS;
}

int work_write(struct work *w, enum form least, bool fresh, struct err *err)
{
    struct indexer *ix = w->ix;
    struct track *x = w->x;
    struct reading rd = {0};
    size_t rows = ledger_count(ix->ledger), n_merged = 0;
    uint64_t over = 0, *merged = NULL;
    bool contradicted = false;
    int r = 0;

    /* In this order: all that is known up to the mark has been marked dirty
     * when the number is drawn. */
    uint64_t complete = ledger_complete(ix->ledger);
    pthread_mutex_lock(&ix->lock);
    bool read = x->read || fresh;
    x->read = read;
    enum form form = form_locked(x, rows);
    bool others = x->dirty.count - x->n_own > OTHERS_KEYS;
    pthread_mutex_unlock(&ix->lock);

    form = form > least ? form : least;
    if (!fresh && (!read || others || form != INCREMENT)) {
        r = reading_begin(w, &rd, err);
        if (r == 0 && !read)
            r = reading_take_tail(w, &rd, complete, err);
        if (r == 0 && others)
            r = reading_drop_known(w, &rd, complete, err);
        pthread_mutex_lock(&ix->lock);
        form = form_locked(x, rows);
        contradicted = x->rewrite;
        x->rewrite = false;
        pthread_mutex_unlock(&ix->lock);
        form = form > least ? form : least;
    }
    if (r == 0 && form == MERGED)
        r = reading_merge(w, &rd, &merged, &n_merged, err);
    if (r == 0 && form == WHOLE && !fresh)
        r = reading_may_supersede(w, &rd, complete, &over, err);

    pthread_mutex_lock(&ix->lock);
    uint64_t number = ix->number;
    /* What the log vouches for already it goes on to. */
    uint64_t upto = rd.damaged || complete > x->upto ? complete : x->upto;
    pthread_mutex_unlock(&ix->lock);
    if (r == 0)
        r = form == WHOLE ? write_whole(w, number, upto, over, err)
                          : write_dirty(w, number, upto, err);

    pthread_mutex_lock(&ix->lock);
    if (r == 0) {
        written_locked(ix, x, number, upto);
        drop_merged_locked(x, merged, n_merged);
        if (contradicted && rd.n > 0 && over < rd.list[0].id)
            repeat_locked(x);
    } else {
        x->rewrite |= contradicted;
    }
    bool has_trash = r == 0 && x->n_trash > 0;
    pthread_mutex_unlock(&ix->lock);
    reading_release(&rd);
    free(merged);
    if (has_trash)
        delete_trash(w);
    return r;
}
