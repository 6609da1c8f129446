/* What the log in the channel of an index says, and what it lacks of the rows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/indexer_impl.h"

#define PAGE 100
/* The files of a log are fetched to see what it lacks when that spares
 * writing more than so many entries. */
#define TAIL_KEYS 200

/* --- reading the log -------------------------------------------------------
 */

void reading_release(struct reading *rd)
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
        int r = work_ask(w, &req, &p->reply, err);
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
    int r = work_ask(w, &req, &reply, err);
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

int reading_begin(struct work *w, struct reading *rd, struct err *err)
{
    struct track *x = w->x;

    int r = read_pages(w, rd, err);
    if (r < 0)
        return r;
    fold_log(rd);
    pthread_mutex_lock(&w->ix->lock);
    for (size_t i = 0; i < rd->n; i++)
        track_add_logged_locked(x, rd->list[i].id, rd->list[i].im.count, false);
    track_supersede_locked(x, rd->over);
    qsort(x->log, x->n_log, sizeof(*x->log), compare_ids);
    if (rd->upto > x->upto)
        x->upto = rd->upto;
    x->read = true;
    pthread_mutex_unlock(&w->ix->lock);
    return 0;
}

/* --- what the log lacks ----------------------------------------------------
 */

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
int reading_take_tail(struct work *w, struct reading *rd, uint64_t complete,
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
            r = work_value(w, rows[i], &has, &value, err);
        if (r == 0 && rd->upto) {
            enum known known = compare(rd, rows[i], has, &value, complete);
            pthread_mutex_lock(&w->ix->lock);
            if (known == CONTRADICTS)
                w->x->rewrite = true;
            if (known != HAS)
                track_need_locked(w->ix, w->x, row_key(rows[i]),
                                  rows[i]->key_len, rows[i]->version,
                                  rows[i]->id, true);
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

/* Another process has written many rows, and perhaps their entries, in files
 * that events do not tell of. */
int reading_drop_known(struct work *w, struct reading *rd, uint64_t complete,
                       struct err *err)
{
    struct indexer *ix = w->ix;
    AUTO_BUF struct buf keys = BUF_INIT;
    AUTO_BUF struct buf value = BUF_INIT;
    struct dirty *d;

    int r = fetch_files(w, rd, err);
    if (r < 0)
        return r;
    fold_log(rd);
    pthread_mutex_lock(&ix->lock);
    uint64_t number = ix->number;
    for (size_t at = 0; (d = map_next(&w->x->dirty, &at));) {
        buf_add(&keys, &d->key_len, sizeof(d->key_len));
        buf_add(&keys, d->key, d->key_len);
    }
    pthread_mutex_unlock(&ix->lock);
    for (size_t at = 0; at < keys.len && r == 0;) {
        struct name name;
        bool has = false;
        memcpy(&name.len, keys.data + at, sizeof(name.len));
        name.s = keys.data + at + sizeof(name.len);
        at += sizeof(name.len) + name.len;
        struct row *head = ledger_head(ix->ledger, name.s, name.len);
        if (head)
            r = work_value(w, head, &has, &value, err);
        if (head && r == 0 && compare(rd, head, has, &value, complete) == HAS) {
            pthread_mutex_lock(&ix->lock);
            d = map_get(&w->x->dirty, hash_bytes(name.s, name.len), &name);
            if (d && d->number <= number)
                track_drop_locked(w->x, d);
            pthread_mutex_unlock(&ix->lock);
        }
        row_unref(head);
    }
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
int reading_merge(struct work *w, struct reading *rd, uint64_t **merged,
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
        /* Whoever tells of them again meanwhile may mean this message. */
        for (size_t k = 0; k < im->n; k++)
            track_need_locked(w->ix, w->x, im->list[k].key, im->list[k].key_len,
                              im->list[k].version, 0, true);
        pthread_mutex_unlock(&w->ix->lock);
        (*merged)[(*n_merged)++] = rd->list[i].id;
    }
    return 0;
}

/* Up to which message may a whole that is written now supersede the log? */
int reading_may_supersede(struct work *w, struct reading *rd, uint64_t complete,
                          uint64_t *over, struct err *err)
{
    *over = rd->over;
    /* From the oldest to the newest. */
    for (size_t i = rd->n; i > 0; i--) {
        uint64_t id = rd->list[i - 1].id;
        pthread_mutex_lock(&w->ix->lock);
        bool fine =
            id <= complete || id <= rd->over || track_is_own_locked(w->x, id);
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
