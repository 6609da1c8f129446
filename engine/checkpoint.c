/* Taking snapshots: what is known of them, when the next is due, and the way
 * from rows in memory to a message. checkpoint.h says what makes one right.
 *
 *     listings to the end -> cut -> references to rows, under the lock
 *         -> lines -> gzip -> parts, posted as they fill -> the message
 *
 * The message comes last: a snapshot is there when it is, or not at all. */
#include "engine/checkpoint.h"

#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/job.h"

/* What changed is written alone where all would be more than this, and the
 * changes are at most a quarter of it. */
#define WHOLE_LEAST ((uint64_t)1024 * 1024)

/* After one failed. */
#define PAUSE_MS ((int64_t)10 * 60 * 1000)

/* How often the way to a cut is tried again, where more comes than the journal
 * holds. */
#define TRIES 3

struct checkpoints {
    struct snapshot_known *list; /* by id */
    size_t n;
    struct snapshot_ids parts; /* seen in the thread, of whichever snapshot */
    struct snapshot_ids bad;   /* … and messages that are damaged ones */

    uint64_t newest, cut; /* what an opening would begin with */
    bool opened;          /* it is known how far listings went at first */
    /* The newest that holds all, where rows changed since can be told. */
    uint64_t whole, whole_cut, whole_seq;

    uint64_t counted[2]; /* messages up to these are counted, or before */
    uint64_t messages, bytes;
    bool late; /* the newest is wrong: one that is right is wanted soon */

    bool running;
    int64_t not_before_ms;
};

struct checkpoints *checkpoints_new(void)
{
    return xcalloc(1, sizeof(struct checkpoints));
}

static void forget(struct checkpoints *c)
{
    for (size_t i = 0; i < c->n; i++)
        snapshot_known_release(&c->list[i]);
    free(c->list);
    free(c->parts.list);
    free(c->bad.list);
    bool running = c->running;
    *c = (struct checkpoints){.running = running};
}

void checkpoints_free(struct checkpoints *c)
{
    if (!c)
        return;
    forget(c);
    free(c);
}

void checkpoints_forget_locked(struct ledger *l)
{
    forget(l->checkpoints);
}

/* --- what is known ----------------------------------------------------------
 */

static struct snapshot_known *find(const struct checkpoints *c, uint64_t id)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->list[i].id == id)
            return &c->list[i];
    return NULL;
}

static bool drop_id(struct snapshot_ids *ids, uint64_t id)
{
    for (size_t i = 0; i < ids->n; i++) {
        if (ids->list[i] != id)
            continue;
        ids->list[i] = ids->list[--ids->n];
        return true;
    }
    return false;
}

static void add_id(struct snapshot_ids *ids, uint64_t id)
{
    ids->list = xrealloc(ids->list, (ids->n + 1) * sizeof(*ids->list));
    ids->list[ids->n++] = id;
}

static bool has_id(const struct snapshot_ids *ids, uint64_t id)
{
    for (size_t i = 0; i < ids->n; i++)
        if (ids->list[i] == id)
            return true;
    return false;
}

static void copy_known(struct snapshot_known *to,
                       const struct snapshot_known *from)
{
    *to = *from;
    to->label = from->label ? xstrdup(from->label) : NULL;
    to->by = xstrdup(from->by ? from->by : "");
    to->parts.list = xcalloc(from->parts.n, sizeof(*to->parts.list));
    for (size_t i = 0; i < from->parts.n; i++)
        to->parts.list[i] = from->parts.list[i];
}

/* Takes k, unless it is known. */
static void add_known(struct checkpoints *c, struct snapshot_known *k)
{
    if (find(c, k->id)) {
        snapshot_known_release(k);
        return;
    }
    c->list = xrealloc(c->list, (c->n + 1) * sizeof(*c->list));
    size_t i = c->n++;
    for (; i > 0 && c->list[i - 1].id > k->id; i--)
        c->list[i] = c->list[i - 1];
    c->list[i] = *k;
    *k = (struct snapshot_known){0};
}

/* An opening begins with this one from now on. */
static void set_newest(struct checkpoints *c, uint64_t id, uint64_t cut,
                       uint64_t over)
{
    if (cut < c->cut || id == c->newest)
        return;
    c->newest = id;
    c->cut = cut;
    c->messages = c->bytes = 0;
    c->late = false;
    if (!over) {
        c->whole = id;
        c->whole_cut = cut;
        c->whole_seq = 0;
    } else if (over != c->whole) {
        c->whole = 0;
    }
}

static struct snapshot_known known_of(uint64_t id,
                                      const struct snapshot_head *h)
{
    struct snapshot_known k = {
        .id = id,
        .over = h->over,
        .cut = h->cut,
        .rows = h->rows,
        .bytes = h->bytes,
        .size = h->len,
        .at_ms = h->at_ms,
        .label = h->label ? xstrndup(h->label, h->label_len) : NULL,
        .by = xstrndup(h->by, h->by_len),
        .parts = {xcalloc(h->n_parts, sizeof(uint64_t)), h->n_parts},
    };
    for (size_t i = 0; i < h->n_parts; i++)
        k.parts.list[i] = h->parts[i];
    return k;
}

void checkpoint_message_locked(struct ledger *l, const struct remote_message *m)
{
    struct checkpoints *c = l->checkpoints;
    struct snapshot_head h;
    struct err err = ERR_INIT;

    if (m->author_id != l->core->self)
        return;
    int r = snapshot_parse(m, &h, &err);
    if (r < 0) {
        add_id(&c->bad, m->id);
        ledger_note_damage_locked(l, m->id, err_text(&err, r));
        return;
    }
    if (h.part) {
        add_id(&c->parts, m->id);
    } else {
        struct snapshot_known k = known_of(m->id, &h);
        add_known(c, &k);
        /* During an opening it is not known yet whether it can be used. */
        if (l->state == LEDGER_OPEN)
            set_newest(c, m->id, h.cut, h.over);
    }
    snapshot_head_release(&h);
}

void checkpoint_known_locked(struct ledger *l, const struct snapshot_meta *m)
{
    for (size_t i = 0; i < m->n_known; i++) {
        struct snapshot_known k;
        copy_known(&k, &m->known[i]);
        add_known(l->checkpoints, &k);
    }
}

void checkpoint_opened_locked(struct ledger *l, uint64_t id,
                              const struct snapshot_meta *m)
{
    set_newest(l->checkpoints, id, m->cut, m->over);
    if (m->vacuumed > l->vacuumed)
        l->vacuumed = m->vacuumed;
    if (m->over) {
        const struct snapshot_known *base = find(l->checkpoints, m->over);
        l->checkpoints->whole = m->over;
        l->checkpoints->whole_cut = base ? base->cut : 0;
        if (!base)
            l->checkpoints->whole = 0;
    }
}

void checkpoint_base_seq_locked(struct ledger *l, uint64_t seq)
{
    l->checkpoints->whole_seq = seq;
}

bool checkpoint_gone_locked(struct ledger *l, uint64_t message)
{
    struct checkpoints *c = l->checkpoints;
    struct snapshot_known *k = find(c, message);
    bool part = drop_id(&c->parts, message);

    for (size_t i = 0; i < c->n && !part; i++)
        part = has_id(&c->list[i].parts, message);
    if (!k)
        return part;
    if (k->id == c->whole)
        c->whole = 0;
    if (k->id == c->newest) {
        c->newest = 0;
        c->late = true;
    }
    snapshot_known_release(k);
    for (c->n--; k < c->list + c->n; k++)
        k[0] = k[1];
    return true;
}

void checkpoint_count_locked(struct ledger *l, int place, uint64_t message,
                             uint64_t bytes)
{
    struct checkpoints *c = l->checkpoints;

    if (message <= c->counted[place] || message <= c->cut)
        return;
    c->counted[place] = message;
    c->messages++;
    c->bytes += bytes;
}

void checkpoint_late_locked(struct ledger *l, uint64_t id)
{
    if (l->state == LEDGER_OPEN && id <= l->checkpoints->cut)
        l->checkpoints->late = true;
}

void checkpoint_wanted_locked(struct ledger *l)
{
    l->checkpoints->late = true;
}

struct snapshot_known *checkpoint_list(struct ledger *l, size_t *n)
{
    ledger_lock(l);
    const struct checkpoints *c = l->checkpoints;
    struct snapshot_known *list = xcalloc(c->n, sizeof(*list));
    for (size_t i = 0; i < c->n; i++)
        copy_known(&list[i], &c->list[i]);
    *n = c->n;
    ledger_unlock(l);
    return list;
}

uint64_t checkpoint_newest(struct ledger *l)
{
    ledger_lock(l);
    uint64_t id = l->checkpoints->newest;
    ledger_unlock(l);
    return id;
}

/* --- the cut ----------------------------------------------------------------
 */

/* A row whose home is not what the row says, or shows another version. */
struct odd {
    const struct row *row;
    uint64_t home, shows;
};

/* The file of a version: its record, and where it is. */
struct held_file {
    struct record record; /* strings in data */
    int place;
    uint64_t home, shows; /* a row message that keeps it; 0: none does */
    char *data;
};

struct shot {
    struct ledger *l;
    enum remote_priority priority;
    const char *label, *by;
    int64_t at_ms;
    bool full;

    struct snapshot_meta meta;
    uint64_t settled;
    struct row **rows; /* references, later by seq */
    size_t n, cap;
    struct odd *odds; /* later by row */
    size_t n_odds, cap_odds;
    struct held_file *files; /* later by file; those of rows */
    size_t n_files, cap_files;
    struct held_file *kept; /* those that row messages keep */
    size_t n_kept, cap_kept;
    uint64_t last_seq, row_bytes, row_count;
    uint64_t over_cut, over_seq; /* meta.over's */

    struct snapshot_head head;
    struct buf file_name;
    uint64_t size;
    uint64_t id; /* of the message */
};

static void files_free(struct held_file *f, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(f[i].data);
    free(f);
}

static void drop_rows(struct shot *s)
{
    for (size_t i = 0; i < s->n; i++)
        row_unref(s->rows[i]);
    free(s->rows);
    free(s->odds);
    files_free(s->files, s->n_files);
    files_free(s->kept, s->n_kept);
    s->rows = NULL;
    s->odds = NULL;
    s->files = s->kept = NULL;
    s->n = s->cap = s->n_odds = s->cap_odds = 0;
    s->n_files = s->cap_files = s->n_kept = s->cap_kept = 0;
    s->row_bytes = s->row_count = s->last_seq = 0;
}

static void shot_release(struct shot *s)
{
    drop_rows(s);
    snapshot_meta_release(&s->meta);
    buf_release(&s->file_name);
}

#define GROW(array, n, cap)                                                    \
    do {                                                                       \
        if ((n) == (cap)) {                                                    \
            (cap) = (cap) ? (cap) + (cap) / 2 : 16;                            \
            (array) = xrealloc((array), (cap) * sizeof(*(array)));             \
        }                                                                      \
    } while (0)

static void hold_file(struct held_file *to, const struct big *b)
{
    const struct record *r = &b->record;
    char *d = xmalloc(r->key_len + r->by_len + r->file_name_len + 1);

    *to = (struct held_file){.record = *r, .place = b->place, .data = d};
    to->record.key = memcpy(d, r->key, r->key_len);
    d += r->key_len;
    to->record.by = memcpy(d, r->by, r->by_len);
    d += r->by_len;
    to->record.file_name = memcpy(d, r->file_name, r->file_name_len);
}

/* Under the ledger's lock, for each row and tombstone. */
static void take_row(void *arg, struct row *r, uint64_t home, uint64_t shows)
{
    struct shot *s = arg;

    GROW(s->rows, s->n, s->cap);
    s->rows[s->n++] = row_ref(r);
    if (home != r->home || (home && shows != r->id)) {
        GROW(s->odds, s->n_odds, s->cap_odds);
        s->odds[s->n_odds++] = (struct odd){r, home, shows};
    }
    if (r->seq > s->last_seq)
        s->last_seq = r->seq;
    if (r->deleted)
        return;
    s->row_count++;
    s->row_bytes += r->text_len;
    if (r->has_text)
        return;
    const struct big *big = ledger_big_locked(s->l, r->file);
    assert(big);
    GROW(s->files, s->n_files, s->cap_files);
    hold_file(&s->files[s->n_files++], big);
}

static void take_kept(struct shot *s)
{
    struct keeper *k;

    for (size_t at = 0; (k = map_next(&s->l->keepers, &at));) {
        const struct big *big = ledger_big_locked(s->l, k->file);
        if (!big)
            continue;
        GROW(s->kept, s->n_kept, s->cap_kept);
        struct held_file *f = &s->kept[s->n_kept++];
        hold_file(f, big);
        f->home = k->home;
        f->shows = k->shows;
    }
}

static void note_behind(void *arg, struct row *now, uint64_t home)
{
    struct shot *s = arg;

    if (now->id <= s->settled)
        s->settled = now->id - 1;
    /* The row tells of its own home, not of what is left of older ones. */
    if (home == now->home || strlen(row_key(now)) != now->key_len)
        return;
    struct snapshot_meta *m = &s->meta;
    m->left = xrealloc(m->left, (m->n_left + 1) * sizeof(*m->left));
    m->left[m->n_left++] = (struct snapshot_left){xstrdup(row_key(now)), home};
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void take_meta(struct shot *s, const struct load_tail *tail,
                      uint64_t cut)
{
    struct ledger *l = s->l;
    struct snapshot_meta *m = &s->meta;
    struct damage *d;
    uint64_t *id;
    AUTO_BUF struct buf unique = BUF_INIT;

    snapshot_meta_release(m);
    m->cut = cut;
    m->mtime_ms = l->mtime_ms;
    m->vacuumed = l->vacuumed;
    fold_unique_text(l->fold, cut, &unique);
    m->unique = buf_take_str(&unique);
    for (int i = 0; i < 2; i++)
        m->upto[i] = tail->upto[i] < cut ? tail->upto[i] : cut;
    m->seen.list = xcalloc(tail->seen.n, sizeof(uint64_t));
    for (size_t i = 0; i < tail->seen.n; i++)
        if (tail->seen.list[i] <= cut)
            m->seen.list[m->seen.n++] = tail->seen.list[i];

    m->others.list = xcalloc(l->others.count, sizeof(uint64_t));
    for (size_t at = 0; (id = map_next(&l->others, &at));)
        if (*id <= cut)
            m->others.list[m->others.n++] = *id;
    if (m->others.n > 0)
        qsort(m->others.list, m->others.n, sizeof(uint64_t), by_number);
    m->foreign.list = xcalloc(l->foreign.count, sizeof(uint64_t));
    for (size_t at = 0; (id = map_next(&l->foreign, &at));)
        if (*id <= cut)
            m->foreign.list[m->foreign.n++] = *id;
    m->damage = xcalloc(l->damage.count, sizeof(*m->damage));
    for (size_t at = 0; (d = map_next(&l->damage, &at));)
        m->damage[m->n_damage++] =
            (struct snapshot_damage){d->message, xstrdup(d->text)};
    const struct checkpoints *c = l->checkpoints;
    m->known = xcalloc(c->n, sizeof(*m->known));
    for (size_t i = 0; i < c->n; i++)
        copy_known(&m->known[m->n_known++], &c->list[i]);

    s->settled = cut;
    fold_stale_homes(l->fold, note_behind, s);
}

/* One try. -EAGAIN: more has come than can be taken back. */
static int cut_now(struct shot *s, const struct load_tail *tail,
                   struct err *err)
{
    struct ledger *l = s->l;
    uint64_t wish = tail->cut;
    int r = 0;

    ledger_lock(l);
    /* A message that is in the thread already, but whose commit waits for its
     * answer to apply it. */
    uint64_t echo = commit_echo_locked(l);
    if (echo && echo <= wish)
        wish = echo - 1;
    if (l->state != LEDGER_OPEN)
        r = err_set(err, -ENOENT, "%s is gone", l->label);
    else if (l->late_files > 0)
        r = err_set(err, -EAGAIN, "some rows of %s are still being fetched",
                    l->label);
    else if (fold_mark(l->fold, wish) > wish)
        r = err_set(err, -EAGAIN, "too much is being written to %s", l->label);
    if (r == 0) {
        uint64_t cut = fold_mark(l->fold, wish);
        fold_past(l->fold, cut, take_row, s);
        take_kept(s);
        take_meta(s, tail, cut);
        const struct checkpoints *c = l->checkpoints;
        if (!s->full && c->whole && c->whole_seq && !c->late) {
            s->meta.over = c->whole;
            s->over_cut = c->whole_cut;
            s->over_seq = c->whole_seq;
        }
    }
    ledger_unlock(l);
    return r;
}

static int cut(struct shot *s, struct err *err)
{
    int r = -EAGAIN;

    for (int i = 0; i < TRIES && r == -EAGAIN; i++) {
        struct load_tail tail = {0};
        r = load_catch_up(s->l, s->priority, &tail, err);
        if (r == 0)
            r = cut_now(s, &tail, err);
        free(tail.seen.list);
    }
    return r;
}

/* --- all of it, or what changed ---------------------------------------------
 */

static int by_seq(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static int by_row(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const struct odd *)a)->row;
    uintptr_t y = (uintptr_t)((const struct odd *)b)->row;
    return x < y ? -1 : x > y;
}

static int by_file(const void *a, const void *b)
{
    return by_number(&((const struct held_file *)a)->record.file,
                     &((const struct held_file *)b)->record.file);
}

static const struct odd *odd_of(const struct shot *s, const struct row *r)
{
    struct odd key = {.row = r};
    return s->n_odds ? bsearch(&key, s->odds, s->n_odds, sizeof(key), by_row)
                     : NULL;
}

static uint64_t home_of(const struct shot *s, const struct row *r)
{
    const struct odd *o = odd_of(s, r);
    return o ? o->home : r->home;
}

static bool row_changed(const struct shot *s, const struct row *r)
{
    return r->id > s->over_cut || home_of(s, r) > s->over_cut ||
           r->holder > s->over_cut;
}

/* Is it worth while to write the changes alone? Then the rest is dropped. */
static void choose(struct shot *s)
{
    uint64_t all = 0, changed = 0;
    size_t n = 0;

    if (s->n > 0)
        qsort(s->rows, s->n, sizeof(*s->rows), by_seq);
    if (s->n_odds > 0)
        qsort(s->odds, s->n_odds, sizeof(*s->odds), by_row);
    if (s->n_files > 0)
        qsort(s->files, s->n_files, sizeof(*s->files), by_file);
    if (!s->meta.over)
        return;
    for (size_t i = 0; i < s->n; i++) {
        const struct row *r = s->rows[i];
        uint64_t bytes = 100u + r->key_len + (r->has_text ? r->text_len : 0);
        all += bytes;
        if (row_changed(s, r))
            changed += bytes;
    }
    if (all < WHOLE_LEAST || changed > all / 4) {
        s->meta.over = 0;
        return;
    }
    for (size_t i = 0; i < s->n; i++) {
        if (row_changed(s, s->rows[i]))
            s->rows[n++] = s->rows[i];
        else
            row_unref(s->rows[i]);
    }
    s->n = n;
    for (n = 0; n < s->n_kept;) {
        struct held_file *f = &s->kept[n];
        if (f->home > s->over_cut || f->shows > s->over_cut ||
            f->record.holder > s->over_cut) {
            n++;
            continue;
        }
        free(f->data);
        *f = s->kept[--s->n_kept];
    }
}

/* --- posting ----------------------------------------------------------------
 */

static int post(struct shot *s, const struct buf *file, struct err *err)
{
    struct remote_request req = {
        .op = REMOTE_POST,
        .priority = s->priority,
        .channel = s->l->thread,
    };

    if (!snapshot_build(&s->head, file->data, file->len, &req.draft)) {
        remote_draft_release(&req.draft);
        return err_set(err, -EFBIG,
                       "a snapshot of %s would be more than %d files of %llu "
                       "bytes",
                       s->l->label, SNAPSHOT_PARTS_MAX + 1,
                       (unsigned long long)atomic_load(&s->l->max_file));
    }
    struct ask *a = ask_new(s->l, &req);
    int r = ask_wait(a);
    if (r < 0) {
        *err = *ask_err(a);
    } else {
        const struct remote_message *m = &ask_reply(a)->messages[0];
        s->id = m->id;
        s->size += file->len;
        ledger_lock(s->l);
        ledger_note_own_locked(&s->l->posted, m->id);
        if (s->head.part)
            checkpoint_message_locked(s->l, m);
        ledger_unlock(s->l);
    }
    ask_free(a);
    return r;
}

static int file_done(void *arg, struct buf *file, bool last, struct err *err)
{
    struct shot *s = arg;

    if (atomic_load(&s->l->core->stopped))
        return err_set(err, -ESHUTDOWN, "being closed");
    if (last) {
        s->head.part = 0;
        return post(s, file, err);
    }
    if (s->head.n_parts == SNAPSHOT_PARTS_MAX)
        return err_set(err, -EFBIG,
                       "it would be more than %d files of %llu bytes",
                       SNAPSHOT_PARTS_MAX + 1,
                       (unsigned long long)atomic_load(&s->l->max_file));
    s->head.part = (unsigned)s->head.n_parts + 1;
    int r = post(s, file, err);
    if (r == 0)
        s->head.parts[s->head.n_parts++] = s->id;
    return r;
}

static struct snapshot_line line_of(const struct shot *s, const struct row *r)
{
    const struct odd *o = odd_of(s, r);
    struct snapshot_line l = {
        .rec = {.verb = r->deleted ? RECORD_DELETE : RECORD_PUT,
                .version = r->version,
                .id = r->id,
                .holder = r->id,
                .base = r->base,
                .at_ms = r->at_ms,
                .mtime_ms = r->mtime_ms,
                .key = row_key(r),
                .key_len = r->key_len,
                .by = r->by,
                .by_len = strlen(r->by),
                .text = row_text(r),
                .text_len = r->deleted ? 0 : r->text_len - 1},
        .home = o ? o->home : r->home,
        .shows = o         ? o->shows
                 : r->home ? r->id
                           : 0,
        .again = s->meta.over && r->seq > s->over_seq,
    };
    if (r->deleted || r->has_text) {
        /* A home that shows the only copy there is. */
        if (l.home && r->holder == l.home)
            l.rec.holder = l.home;
        return l;
    }
    struct held_file key = {.record.file = r->file};
    const struct held_file *f =
        bsearch(&key, s->files, s->n_files, sizeof(key), by_file);
    assert(f);
    /* Its digest is over the base too, which the row may not know. */
    l.rec.base = f->record.base;
    l.rec.holder = r->holder;
    l.rec.file = r->file;
    l.rec.file_name = f->record.file_name;
    l.rec.file_name_len = f->record.file_name_len;
    memcpy(l.rec.sha, f->record.sha, sizeof(l.rec.sha));
    l.place = f->place == IN_CHANNEL ? SNAPSHOT_IN_CHANNEL : SNAPSHOT_IN_THREAD;
    if (row_values(r)) {
        l.values = row_values(r);
        l.values_len = strlen(l.values);
    }
    return l;
}

static struct snapshot_line kept_line(const struct held_file *f)
{
    struct snapshot_line l = {.rec = f->record, .shows = f->shows};

    l.rec.verb = RECORD_WAS;
    l.rec.text = NULL;
    l.rec.holder = f->home;
    l.place = f->place == IN_CHANNEL ? SNAPSHOT_IN_CHANNEL : SNAPSHOT_IN_THREAD;
    return l;
}

static int write_lines(struct shot *s, struct snapshot_packer *p,
                       struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    snapshot_add_meta(&b, &s->meta);
    int r = snapshot_pack(p, b.data, b.len, err);
    for (size_t i = 0; i < s->n && r == 0; i++) {
        struct snapshot_line line = line_of(s, s->rows[i]);
        buf_reset(&b);
        snapshot_add_line(&b, &line);
        r = snapshot_pack(p, b.data, b.len, err);
        /* What nobody else needs any more need not wait for the end. */
        if (!odd_of(s, s->rows[i])) {
            row_unref(s->rows[i]);
            s->rows[i] = NULL;
        }
    }
    for (size_t i = 0; i < s->n_kept && r == 0; i++) {
        struct snapshot_line line = kept_line(&s->kept[i]);
        buf_reset(&b);
        snapshot_add_line(&b, &line);
        r = snapshot_pack(p, b.data, b.len, err);
    }
    return r == 0 ? snapshot_pack_end(p, err) : r;
}

static void add_file_name(struct shot *s)
{
    AUTO_STR char *label = ledger_label(s->l);
    char *name = strchr(label, '\'');
    char *end = name ? strrchr(name + 1, '\'') : NULL;

    if (end)
        *end = '\0';
    snapshot_file_name(name ? name + 1 : label, &s->file_name);
}

/* It is in the thread. */
static void done(struct shot *s)
{
    struct ledger *l = s->l;

    ledger_lock(l);
    struct checkpoints *c = l->checkpoints;
    struct snapshot_known k = known_of(s->id, &s->head);
    k.size = s->size;
    /* The push connection may have told of it. */
    struct snapshot_known *old = find(c, k.id);
    if (old)
        old->size = k.size;
    add_known(c, &k);
    if (l->state == LEDGER_OPEN) {
        set_newest(c, s->id, s->meta.cut, s->meta.over);
        if (!s->meta.over && c->whole == s->id)
            c->whole_seq = s->last_seq;
    }
    ledger_unlock(l);
}

int checkpoint_take(struct ledger *l, const char *label, const char *by,
                    bool full, enum remote_priority priority, uint64_t *id,
                    struct err *err)
{
    struct shot s = {
        .l = l,
        .priority = priority,
        .label = label,
        .by = by ? by : l->core->by,
        .at_ms = clock_wall_ms(),
        .full = full,
    };

    int r = cut(&s, err);
    if (r == 0) {
        choose(&s);
        add_file_name(&s);
        s.head = (struct snapshot_head){
            .label = label,
            .label_len = label ? strlen(label) : 0,
            .rows = s.row_count,
            .bytes = s.row_bytes,
            .cut = s.meta.cut,
            .upto = {s.meta.upto[0], s.meta.upto[1]},
            .settled = s.settled,
            .over = s.meta.over,
            .at_ms = s.at_ms,
            .by = s.by,
            .by_len = strlen(s.by),
            .file_name = s.file_name.data,
            .file_name_len = s.file_name.len,
        };
        struct snapshot_packer *p =
            snapshot_packer_new(atomic_load(&l->max_file), file_done, &s);
        r = write_lines(&s, p, err);
        snapshot_packer_free(p);
    }
    if (r == 0) {
        done(&s);
        if (id)
            *id = s.id;
    }
    shot_release(&s);
    return r;
}

/* --- by itself ---------------------------------------------------------------
 */

/* Is something damaged that a snapshot would hide for ever? Not where it is a
 * snapshot itself. */
static bool is_damaged_locked(const struct ledger *l)
{
    const struct checkpoints *c = l->checkpoints;
    const struct damage *d;

    for (size_t at = 0; (d = map_next(&l->damage, &at));)
        if (!find(c, d->message) && !has_id(&c->parts, d->message) &&
            !has_id(&c->bad, d->message))
            return true;
    return false;
}

/* Caller holds l->lock. May one be written without being asked for? */
static bool may_locked(const struct ledger *l)
{
    return l->thread && !l->core->read_only && l->state == LEDGER_OPEN &&
           !l->frozen && !l->checkpoints->running && !is_damaged_locked(l) &&
           !atomic_load(&l->core->stopped);
}

static bool is_due_locked(const struct ledger *l)
{
    const struct checkpoints *c = l->checkpoints;

    return c->late || c->messages > CHECKPOINT_TAIL ||
           (c->bytes > CHECKPOINT_TAIL_BYTES &&
            c->bytes > fold_bytes(l->fold) / 4);
}

static int write_one(struct ledger *l)
{
    struct err err = ERR_INIT;

    int r =
        checkpoint_take(l, NULL, NULL, false, REMOTE_BACKGROUND, NULL, &err);
    ledger_lock(l);
    l->checkpoints->running = false;
    l->checkpoints->not_before_ms =
        r < 0 ? clock_mono_ms() + (r == -EAGAIN ? 1000 : PAUSE_MS) : 0;
    if (r < 0 && r != -ESHUTDOWN && r != -EAGAIN && r != -ENOENT)
        log_warn("%s: no checkpoint was written: %s", l->label,
                 err_text(&err, r));
    ledger_unlock(l);
    return r;
}

/* One at a time in a process. */
static bool take_turn(struct core *c)
{
    bool busy = false;
    return atomic_compare_exchange_strong(&c->checkpointing, &busy, true);
}

static void run(void *arg)
{
    struct ledger *l = arg;
    bool turn = take_turn(l->core);

    if (turn && !atomic_load(&l->core->closing)) {
        write_one(l);
    } else {
        ledger_lock(l);
        l->checkpoints->running = false;
        l->checkpoints->not_before_ms = clock_mono_ms() + 1000;
        ledger_unlock(l);
    }
    if (turn)
        atomic_store(&l->core->checkpointing, false);
    ledger_deliver(l);
    core_count(l->core, &l->core->checkpoints, -1);
    ledger_unref(l);
}

void checkpoint_go(struct ledger *l)
{
    if (!l->thread)
        return;
    ledger_lock(l);
    struct checkpoints *c = l->checkpoints;
    bool go = may_locked(l) && is_due_locked(l) &&
              !atomic_load(&l->core->closing) &&
              (!c->not_before_ms || clock_mono_ms() >= c->not_before_ms);
    if (go) {
        c->running = true;
        core_count(l->core, &l->core->checkpoints, 1);
    }
    ledger_unlock(l);
    if (go)
        job_run(l->core->pool, run, ledger_ref(l));
}

void checkpoint_close(struct ledger *l, bool always, int64_t patience_ms)
{
    if (!l->thread || patience_ms <= 0)
        return;
    ledger_lock(l);
    struct checkpoints *c = l->checkpoints;
    bool go =
        may_locked(l) && (is_due_locked(l) || (always && c->messages > 0));
    if (go)
        c->running = true;
    ledger_unlock(l);
    if (go)
        write_one(l);
}
