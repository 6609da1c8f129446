/* From records to heads. The journal is the list of records in their order;
 * playing an entry decides whether its record counts, and undoing it leaves
 * the fold as it was before. So whatever comes late is put in its place by
 * taking back what stands behind it:
 *
 *     floor          place of the late one
 *       |                    |
 *       v   kept             v   undone, and played again
 *     [ . . . . . . . . . . . . . . . . . . . . . ]
 *       first                                     n
 *
 * A loading is the same, with all records put there first. */
#include "engine/fold.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/fold_impl.h"
#include "engine/value.h"

/* --- order ---------------------------------------------------------------- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

static int compare_keys(const struct row *a, const struct row *b)
{
    size_t n = a->key_len < b->key_len ? a->key_len : b->key_len;
    int c = memcmp(row_key(a), row_key(b), n);

    return c != 0 ? c : compare_u64(a->key_len, b->key_len);
}

/* Records of one message as they stand there. Those of which only copies are
 * known come first, by key. */
static int by_order(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;
    int c = compare_u64(a->row->id, b->row->id);

    if (c == 0)
        c = compare_u64(a->pos, b->pos);
    if (c == 0)
        c = compare_keys(a->row, b->row);
    return c != 0 ? c : compare_u64(a->row->version, b->row->version);
}

/* The same record side by side, the original before its copies. */
static int by_record(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;
    int c = compare_u64(a->row->id, b->row->id);

    if (c == 0)
        c = compare_keys(a->row, b->row);
    if (c == 0)
        c = compare_u64(a->row->version, b->row->version);
    if (c == 0)
        c = compare_u64(a->pos == 0, b->pos == 0);
    return c != 0 ? c : compare_u64(a->pos, b->pos);
}

static void sort(struct entry *list, size_t n,
                 int (*cmp)(const void *, const void *))
{
    for (size_t i = 1; i < n; i++) {
        if (cmp(&list[i - 1], &list[i]) <= 0)
            continue;
        qsort(list, n, sizeof(*list), cmp);
        return;
    }
}

/* The first entry of the journal with an id of at least this. */
static size_t first_with(const struct fold *f, uint64_t id)
{
    size_t low = f->first, high = f->n;

    if (high > low && f->journal[high - 1].row->id < id)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (f->journal[mid].row->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct entry *journal_find(const struct fold *f, const struct row *r)
{
    if (r->id < f->floor)
        return NULL;
    size_t end = first_with(f, r->id + 1);
    for (size_t i = first_with(f, r->id); i < end; i++)
        if (f->journal[i].row == r)
            return &f->journal[i];
    return NULL;
}

/* A record's order against an entry of the same id. */
static int compare_record(const struct record *r, uint32_t pos,
                          const struct entry *e)
{
    size_t n = r->key_len < e->row->key_len ? r->key_len : e->row->key_len;
    int c = compare_u64(pos, e->pos);

    if (c == 0)
        c = memcmp(r->key, row_key(e->row), n);
    if (c == 0)
        c = compare_u64(r->key_len, e->row->key_len);
    return c != 0 ? c : compare_u64(r->version, e->row->version);
}

/* The entry of a record at this place in its message (0: of its copy), NULL:
 * none. */
static struct entry *find_record(const struct fold *f, const struct record *r,
                                 uint32_t pos)
{
    size_t low = first_with(f, r->id), high = first_with(f, r->id + 1);

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        int c = compare_record(r, pos, &f->journal[mid]);
        if (c == 0)
            return &f->journal[mid];
        if (c > 0)
            low = mid + 1;
        else
            high = mid;
    }
    return NULL;
}

/* --- what has changed ----------------------------------------------------- */

struct was {
    struct row *old; /* the head before; a reference, NULL: there was none */
    struct row *any; /* has the key; a reference */
    bool listed;
};

struct touched {
    struct map map;
    struct was **list;
    size_t n, cap;
};

static uint64_t was_hash(const void *item)
{
    const struct row *r = ((const struct was *)item)->any;
    return hash_bytes(row_key(r), r->key_len);
}

static bool was_has(const void *item, const void *key)
{
    const struct row *r = ((const struct was *)item)->any;
    const struct key *k = key;
    return r->key_len == k->len && memcmp(row_key(r), k->text, k->len) == 0;
}

static const struct map_type was_type = {was_hash, was_has};

void touched_begin(struct fold *f)
{
    assert(!f->touched);
    f->touched = xcalloc(1, sizeof(*f->touched));
    f->touched->map = MAP_INIT(&was_type);
}

/* The key of r is about to change; head is what it is. All that is undone is
 * played again: then it gets its place among the changes. */
static void touch(struct fold *f, struct row *r, struct row *head, bool undo)
{
    struct touched *t = f->touched;
    struct key key = key_of(r);
    struct was *w;

    if (!t)
        return;
    w = map_get(&t->map, hash_bytes(key.text, key.len), &key);
    if (!w) {
        w = xmalloc(sizeof(*w));
        *w = (struct was){head ? row_ref(head) : NULL, row_ref(r), false};
        map_put(&t->map, &key, w);
    }
    if (undo || w->listed)
        return;
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 4;
        t->list = xrealloc(t->list, t->cap * sizeof(*t->list));
    }
    t->list[t->n++] = w;
    w->listed = true;
}

/* What became of a key; its home is brought in line while nobody else holds
 * the new head. */
static void end_touch(struct fold *f, struct was *w, struct fold_changes *out)
{
    struct key key = key_of(w->any);
    struct row *head = fold_head(f, key.text, key.len);
    struct track *t = fold_track(f, key);
    bool same = head == w->old;
    struct fold_change c;

    if (same) {
        row_unref(w->old);
        w->old = NULL;
    }
    if (t) {
        struct row *any = w->any;
        /* key borrows from it; but its reference may be what makes the head
         * look as if somebody held it */
        if (any == head) {
            key.text = t->key;
            row_unref(any);
            w->any = NULL;
        }
        fold_settle_home(f, t);
        head = fold_head(f, key.text, key.len);
    }
    if (!same && fold_compare(f, w->old, head, &c))
        fold_add_change(out, c);
    if (t)
        fold_trim_track(f, t);
    row_unref(w->old);
    row_unref(w->any);
    free(w);
}

void touched_end(struct fold *f, struct fold_changes *out)
{
    struct touched *t = f->touched;

    f->touched = NULL;
    assert(t->n == t->map.count);
    map_release(&t->map);
    for (size_t i = 0; i < t->n; i++)
        end_touch(f, t->list[i], out);
    free(t->list);
    free(t);
}

/* --- one entry ------------------------------------------------------------ */

static uint64_t row_bytes(const struct row *r)
{
    return r ? sizeof(*r) + r->key_len + (r->has_text ? r->text_len : 0) : 0;
}

/* Of what the entry alone keeps in memory. */
static uint64_t entry_bytes(const struct entry *e)
{
    return row_bytes(e->state == ENTRY_COUNTS ? e->old : e->row);
}

/* Has another row a value that this one may not have? */
static bool is_taken(const struct fold *f, const struct row *r)
{
    AUTO_BUF struct buf form = BUF_INIT;
    struct row *rows[2];

    if (r->deleted)
        return false;
    for (size_t i = 0; i < f->n_rules; i++) {
        const struct rule *rule = &f->rules[i];
        if (rule->n_unique == 0 || !rule_holds(rule, r->id))
            continue;
        buf_reset(&form);
        if (!row_value(r, rule->field, &form) ||
            buf_equals(&form, VALUE_NULL, strlen(VALUE_NULL)))
            continue;
        size_t n = index_find(rule->index, form.data, form.len, 0, rows, 2);
        for (size_t k = 0; k < n; k++)
            if (compare_keys(rows[k], r) != 0)
                return true;
    }
    return false;
}

/* Does r follow what is its key's newest version? */
static bool follows(const struct row *head, uint32_t version, uint64_t base)
{
    return version == 1
               ? !head
               : head && head->id == base && head->version == version - 1;
}

/* Why a record that does not follow does not count. */
static enum entry_state misses(const struct row *head, const struct track *t,
                               uint32_t version, uint64_t base)
{
    if (version == 1)
        return ENTRY_VOID;
    if (!t) {
        /* Nothing displaces what a snapshot tells. */
        return head && head->version > 1 && version <= head->version + 1
                   ? ENTRY_VOID
                   : ENTRY_WAITS;
    }
    if (!track_is_whole(t) &&
        (version <= t->first ||
         (version == t->first + 1 && base != t->chain[0])))
        return ENTRY_VOID;
    if (track_at(t, version - 1) == base && base)
        return ENTRY_VOID;
    const struct other *o = track_other(t, version - 1, base);
    return o && !o->waits ? ENTRY_VOID : ENTRY_WAITS;
}

static enum entry_state judge(const struct fold *f, const struct row *r,
                              const struct row *head, const struct track *t)
{
    if (!follows(head, r->version, r->base))
        return misses(head, t, r->version, r->base);
    return is_taken(f, r) ? ENTRY_TAKEN : ENTRY_COUNTS;
}

/* The entry's record counts. A key that nobody knows needs no track. */
static void enter(struct fold *f, struct entry *e, struct row *head,
                  struct track *t)
{
    touch(f, e->row, head, false);
    if (head && !t)
        t = fold_need_track(f, key_of(e->row));
    if (t)
        track_append(t, e->row->version, e->row->id);
    e->old = fold_install(f, row_ref(e->row));
    e->state = ENTRY_COUNTS;
}

static void leave(struct fold *f, struct entry *e)
{
    struct track *t = fold_need_track(f, key_of(e->row));

    touch(f, e->row, e->row, true);
    assert(t->chain[t->n_chain - 1] == e->row->id);
    t->n_chain--;
    fold_put_head(f, e->row, e->old);
    row_unref(e->row);
    e->old = NULL;
}

static void put_aside(struct fold *f, struct entry *e, enum entry_state state)
{
    struct track *t = fold_need_track(f, key_of(e->row));

    touch(f, e->row, fold_head(f, row_key(e->row), e->row->key_len), false);
    fold_add_other(f, t, e->row, state == ENTRY_WAITS);
    e->state = (uint8_t)state;
}

static void undo(struct fold *f, struct entry *e)
{
    f->journal_bytes -= entry_bytes(e);
    if (e->state == ENTRY_COUNTS) {
        leave(f, e);
    } else {
        struct track *t = fold_track(f, key_of(e->row));
        touch(f, e->row, fold_head(f, row_key(e->row), e->row->key_len), true);
        fold_drop_other(f, t, e->row);
    }
    e->state = ENTRY_NEW;
}

/* The home that a new record stands in is where a row of its own keeps it, or
 * else among its key's claims. */
static void move_home(struct fold *f, struct entry *e, const struct row *head,
                      struct track **t, enum entry_state state)
{
    uint64_t home = e->row->home;

    if (e->played || !home || (state == ENTRY_COUNTS && !head && !*t))
        return;
    e->row->home = 0;
    *t = fold_need_track(f, key_of(e->row));
    track_claim(*t, home, e->row->id);
}

static enum entry_state play(struct fold *f, struct entry *e)
{
    struct key key = key_of(e->row);
    struct row *head = fold_head(f, key.text, key.len);
    struct track *t = fold_track(f, key);
    enum entry_state state = judge(f, e->row, head, t);

    move_home(f, e, head, &t, state);
    if (state == ENTRY_COUNTS)
        enter(f, e, head, t);
    e->played = true;
    return state;
}

/* --- the journal ---------------------------------------------------------- */

/* Plays the entries that count together: the next is returned. */
static size_t play_joined(struct fold *f, size_t i)
{
    struct entry *list = f->journal;
    size_t end = i + 1, k = i;
    enum entry_state state;

    while (end < f->n && list[end].joined &&
           list[end].row->id == list[i].row->id)
        end++;
    do
        state = play(f, &list[k]);
    while (state == ENTRY_COUNTS && ++k < end);

    if (state != ENTRY_COUNTS) {
        while (k-- > i) {
            leave(f, &list[k]);
            list[k].state = ENTRY_NEW;
        }
        for (k = i; k < end; k++) {
            struct row *head =
                fold_head(f, row_key(list[k].row), list[k].row->key_len);
            struct track *t = fold_track(f, key_of(list[k].row));
            move_home(f, &list[k], head, &t, state);
            list[k].played = true;
            put_aside(f, &list[k], state);
        }
    }
    for (k = i; k < end; k++)
        f->journal_bytes += entry_bytes(&list[k]);
    return end;
}

/* Forgets how the oldest came about. */
static void trim(struct fold *f, size_t upto)
{
    while (f->first < upto &&
           (upto - f->first > f->keep || f->journal_bytes > f->keep_bytes)) {
        do {
            struct entry *e = &f->journal[f->first++];
            f->journal_bytes -= entry_bytes(e);
            f->floor = e->row->id;
            row_unref(e->row);
            row_unref(e->old);
        } while (f->first < upto && f->journal[f->first].joined);
    }
}

void journal_play(struct fold *f, size_t from)
{
    for (size_t i = from; i < f->n;)
        i = play_joined(f, i);
}

static size_t undo_from(struct fold *f, size_t from)
{
    for (size_t i = f->n; i > from; i--)
        undo(f, &f->journal[i - 1]);
    return from;
}

size_t journal_undo_behind(struct fold *f, uint64_t id)
{
    return undo_from(f, id == UINT64_MAX ? f->n : first_with(f, id + 1));
}

void journal_free(struct fold *f)
{
    for (size_t i = f->first; i < f->n; i++) {
        row_unref(f->journal[i].row);
        row_unref(f->journal[i].old);
    }
    free(f->journal);
}

static void append(struct fold *f, struct entry e)
{
    if (f->n == f->cap && f->first > f->cap / 2) {
        f->n -= f->first;
        memmove(f->journal, f->journal + f->first, f->n * sizeof(e));
        f->first = 0;
    }
    if (f->n == f->cap) {
        f->cap += f->cap / 2 + 16;
        f->journal = xrealloc(f->journal, f->cap * sizeof(e));
    }
    f->journal[f->n++] = e;
}

/* --- records -------------------------------------------------------------- */

/* A copy without its text, which only says where a home is. */
static bool tells_nothing(const struct record *r)
{
    return r->verb != RECORD_DELETE && !r->text && !r->file;
}

static struct entry entry_of(struct fold *f, const struct record *r, size_t i)
{
    struct entry e = {
        .row = fold_row_of(f, r),
        .pos = r->copy ? 0 : (uint32_t)i + 1,
        .joined = r->joined && !r->copy,
    };
    e.row->home = r->home;
    return e;
}

static struct key record_key(const struct record *r)
{
    return (struct key){r->key, r->key_len};
}

/* Is its text, or what is known of it, better kept than this? A file hangs
 * safer on the newer message: the older may be gone. */
static bool tells_better(const struct row *a, const struct row *b)
{
    if (a->deleted)
        return b->home && !a->home;
    if (a->has_text != b->has_text)
        return a->has_text;
    /* One that stands not in the row's own message, which changes. */
    if (a->has_text)
        return b->home && !a->home;
    return a->holder > b->holder ||
           (a->holder == b->holder && a->has_values && !b->has_values);
}

/* Drops entry k, which tells the same as entry i. */
static void merge(struct fold *f, struct entry *i, struct entry *k)
{
    uint64_t home = i->row->home ? i->row->home : k->row->home;

    if (i->row->home && k->row->home)
        track_claim(fold_need_track(f, key_of(k->row)), k->row->home,
                    k->row->id);
    if (tells_better(k->row, i->row)) {
        struct row *better = k->row;
        k->row = i->row;
        i->row = better;
    }
    i->row->home = home;
    row_unref(k->row);
}

/* Each record once, in order. How many are left. */
static size_t put_in_order(struct fold *f, struct entry *list, size_t n)
{
    size_t kept = n > 0;

    sort(list, n, by_record);
    for (size_t i = 1; i < n; i++) {
        struct entry *last = &list[kept - 1];
        if (last->row->id == list[i].row->id &&
            last->row->version == list[i].row->version &&
            compare_keys(last->row, list[i].row) == 0)
            merge(f, last, &list[i]);
        else
            list[kept++] = list[i];
    }
    for (size_t i = 0, end; i < kept; i = end) {
        for (end = i + 1; end < kept && list[end].row->id == list[i].row->id;)
            end++;
        sort(list + i, end - i, by_order);
    }
    return kept;
}

/* --- loading -------------------------------------------------------------- */

/* Is it joined with another record of its message? */
static bool is_joined(const struct record *list, size_t n, size_t i)
{
    if (list[i].copy)
        return false;
    if (list[i].joined)
        return true;
    for (size_t k = i + 1; k < n; k++)
        if (!list[k].copy)
            return list[k].joined;
    return false;
}

/* What is loaded is played at the end, when most texts of rows that have seen
 * many versions are not needed any more: so they are let go before, where it is
 * certain that a version is followed by another.
 *
 * Is it, if c has r for its base? Then, if r counts, c does or another with
 * that base; unless c is joined with something that does not, or has a value
 * that is not r's already and may be another row's. */
static bool is_followed_by(const struct fold *f, const struct entry *r,
                           const struct entry *c)
{
    AUTO_BUF struct buf mine = BUF_INIT, its = BUF_INIT;

    if (c->row->base != r->row->id || c->row->id <= r->row->id || c->linked ||
        c->pos == 0)
        return false;
    for (size_t i = 0; i < f->n_rules && !c->row->deleted; i++) {
        const struct rule *rule = &f->rules[i];
        if (rule->n_unique == 0)
            continue;
        buf_reset(&mine);
        buf_reset(&its);
        if (!row_value(c->row, rule->field, &its) ||
            buf_equals(&its, VALUE_NULL, strlen(VALUE_NULL)))
            continue;
        if (!rule_is_constant(rule, r->row->id, c->row->id) ||
            !row_value(r->row, rule->field, &mine) ||
            !buf_equals(&mine, its.data, its.len))
            return false;
    }
    return true;
}

static void drop_text(struct fold *f, struct entry *e, uint64_t follower)
{
    AUTO_BUF struct buf values = BUF_INIT;
    struct row *old = e->row;

    fold_values(f, row_text(old), old->text_len - 1, &values);
    e->row = row_new_values(row_key(old), old->key_len, old->text_len - 1,
                            values.data, values.len);
    row_copy_rest(e->row, old);
    f->journal_bytes -= old->text_len;
    if (follower > f->dropped)
        f->dropped = follower;
    row_unref(old);
}

static int by_version(const void *one, const void *other)
{
    const struct entry *a = one, *b = other;
    int c = compare_keys(a->row, b->row);

    return c != 0 ? c : compare_u64(a->row->version, b->row->version);
}

static void drop_texts(struct fold *f)
{
    uint64_t newest = 0;

    sort(f->journal, f->n, by_version);
    for (size_t i = 0; i < f->n; i++)
        if (f->journal[i].row->id > newest)
            newest = f->journal[i].row->id;
    for (size_t i = 0; i < f->n; i++) {
        struct entry *e = &f->journal[i];
        uint32_t next = e->row->version + 1;
        for (size_t k = i + 1; k < f->n && e->row->has_text; k++) {
            const struct entry *c = &f->journal[k];
            if (c->row->version > next || compare_keys(e->row, c->row) != 0)
                break;
            if (c->row->version == next && newest - c->row->id > f->keep_age &&
                is_followed_by(f, e, c))
                drop_text(f, e, c->row->id);
        }
    }
    f->load_most = 2 * f->journal_bytes;
    if (f->load_most < 4 * f->keep_bytes)
        f->load_most = 4 * f->keep_bytes;
}

void fold_load_add(struct fold *f, const struct record *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct record *r = &list[i];
        bool old = r->id <= f->mark;
        if (tells_nothing(r) || (old && !r->file)) {
            if (r->home)
                fold_claim(f, record_key(r), r->home, r->id);
            continue;
        }
        struct entry e = entry_of(f, r, i);
        e.linked = is_joined(list, n, i);
        f->journal_bytes += e.row->has_text ? e.row->text_len : 0;
        f->n_later += e.row->version > 1;
        append(f, e);
    }
    if (f->journal_bytes > f->load_most && f->n_later > f->n / 4)
        drop_texts(f);
}

void fold_checkpoint(struct fold *f, const struct record *r, uint64_t home,
                     uint64_t shows)
{
    struct row *row = fold_row_of(f, r);
    struct key key = record_key(r);
    struct track *t = fold_track(f, key);

    if (fold_head(f, r->key, r->key_len)) {
        row_unref(row);
        return;
    }
    if (t)
        track_append(t, row->version, row->id);
    if (home && !t && shows == row->id)
        row->home = home;
    fold_install(f, row);
    if (home && !row->home)
        fold_claim(f, key, home, shows);
}

/* What a snapshot has the row of already may still tell where its text is. */
static void drop_old(struct fold *f, struct entry *e)
{
    struct row *head = fold_head(f, row_key(e->row), e->row->key_len);

    if (e->row->home)
        fold_claim(f, key_of(e->row), e->row->home, e->row->id);
    if (head && head->id == e->row->id && head->version == e->row->version &&
        tells_better(e->row, head)) {
        struct row *now = row_copy(e->row);
        now->home = head->home;
        now->seq = head->seq;
        fold_exchange(f, head, now);
    }
    row_unref(e->row);
}

void fold_load_end(struct fold *f)
{
    size_t i = 0;

    f->n = put_in_order(f, f->journal, f->n);
    f->journal_bytes = 0;
    while (i < f->n && f->journal[i].row->id <= f->mark)
        i++;
    for (size_t k = 0; k < i; k++) {
        f->first = k + 1;
        drop_old(f, &f->journal[k]);
    }
    while (i < f->n) {
        i = play_joined(f, i);
        trim(f, i);
    }
    f->n -= f->first;
    f->cap = f->n;
    struct entry *list = xcalloc(f->n, sizeof(*list));
    if (f->n > 0)
        memcpy(list, f->journal + f->first, f->n * sizeof(*list));
    free(f->journal);
    f->journal = list;
    f->first = 0;
    f->loading = false;
    f->before = NULL;
    fold_settle_all(f);
}

/* --- snapshots ------------------------------------------------------------ */

uint64_t fold_mark(const struct fold *f, uint64_t wish)
{
    uint64_t least = f->floor > f->dropped ? f->floor : f->dropped;
    return wish > least ? wish : least;
}

/* A key whose head at the mark is another than now. */
struct past {
    const struct row *now;
    struct row *then;
};

static uint64_t past_hash(const void *item)
{
    const struct row *r = ((const struct past *)item)->now;
    return hash_bytes(row_key(r), r->key_len);
}

static bool past_has(const void *item, const void *key)
{
    const struct row *r = ((const struct past *)item)->now;
    const struct key *k = key;
    return r->key_len == k->len && memcmp(row_key(r), k->text, k->len) == 0;
}

static const struct map_type past_type = {past_hash, past_has};

static void tell_past(const struct fold *f, struct row *head, struct row *then,
                      void (*fn)(void *arg, struct row *r, uint64_t home,
                                 uint64_t shows),
                      void *arg)
{
    const struct track *t = fold_track(f, key_of(head));
    uint64_t shows = head->home ? head->id : 0;

    for (uint32_t i = 0; t && i < t->n_claims; i++)
        if (t->claims[i].home == head->home)
            shows = t->claims[i].shows;
    if (then)
        fn(arg, then, head->home, shows);
}

void fold_past(struct fold *f, uint64_t mark,
               void (*fn)(void *arg, struct row *r, uint64_t home,
                          uint64_t shows),
               void *arg)
{
    struct map past = MAP_INIT(&past_type);
    struct past *p;
    struct row *head;

    assert(mark >= f->floor && mark >= f->dropped);
    for (size_t i = f->n; i > f->first; i--) {
        struct entry *e = &f->journal[i - 1];
        struct key key = key_of(e->row);
        if (e->row->id <= mark)
            break;
        if (e->state != ENTRY_COUNTS)
            continue;
        p = map_get(&past, hash_bytes(key.text, key.len), &key);
        if (!p) {
            p = xmalloc(sizeof(*p));
            p->now = e->row;
            map_put(&past, &key, p);
        }
        p->then = e->old;
    }
    for (size_t at = 0; (head = map_next(&f->rows, &at));) {
        struct key key = key_of(head);
        p = map_get(&past, hash_bytes(key.text, key.len), &key);
        tell_past(f, head, p ? p->then : head, fn, arg);
    }
    for (size_t at = 0; (p = map_next(&past, &at));)
        free(p);
    map_release(&past);
}

/* --- applying ------------------------------------------------------------- */

static bool has_unique(const struct fold *f, uint64_t id)
{
    for (size_t i = 0; i < f->n_rules; i++)
        if (rule_holds(&f->rules[i], id))
            return true;
    return false;
}

/* Was this record seen before, or is it older than what a snapshot tells? */
static bool is_known(const struct fold *f, const struct record *r,
                     const struct row *head, const struct track *t)
{
    if (r->id <= f->mark)
        return true;
    if (!t) {
        if (!head)
            return false;
        if (head->id == r->id && head->version == r->version)
            return true;
        return head->version > 1 && r->version <= head->version &&
               r->id < head->id;
    }
    if (track_at(t, r->version) == r->id || track_other(t, r->version, r->id))
        return true;
    return !track_is_whole(t) && r->version <= t->first && r->id < t->chain[0];
}

bool fold_knows(const struct fold *f, const struct record *r)
{
    struct key key = record_key(r);

    return is_known(f, r,
                    map_get(&f->rows, hash_bytes(key.text, key.len), &key),
                    fold_track(f, key));
}

/* The same version told again: perhaps its text hangs on a message that is
 * there longer. */
static void note_again(struct fold *f, const struct record *r, struct row *head)
{
    if (!head || head->id != r->id || head->version != r->version ||
        head->has_text || head->deleted || r->text || !r->file ||
        r->holder <= head->holder)
        return;
    struct row *moved = row_copy(head);
    moved->file = r->file;
    moved->holder = r->holder;
    fold_exchange(f, head, moved);
}

/* Counts without the journal: nothing in there knows of the key. */
static enum fold_result enter_past(struct fold *f, const struct record *r)
{
    struct entry e = entry_of(f, r, 0);
    struct row *head = fold_head(f, r->key, r->key_len);
    struct track *t = fold_track(f, record_key(r));

    move_home(f, &e, head, &t, ENTRY_COUNTS);
    enter(f, &e, head, t);
    row_unref(e.old);
    row_unref(e.row);
    return FOLD_APPLIED;
}

static enum fold_result aside_past(struct fold *f, const struct record *r,
                                   bool waits)
{
    struct row *row = fold_row_of(f, r);
    struct track *t = fold_need_track(f, record_key(r));

    fold_add_other(f, t, row, waits);
    row_unref(row);
    if (r->home)
        fold_claim(f, record_key(r), r->home, r->id);
    return waits ? FOLD_PENDING : FOLD_VOID;
}

/* A record from before the journal that nobody has seen. joined: with another
 * of its message. */
static enum fold_result apply_past(struct fold *f, const struct record *r,
                                   bool joined)
{
    struct row *head = fold_head(f, r->key, r->key_len);
    struct track *t = fold_track(f, record_key(r));
    uint64_t there = t ? track_at(t, r->version)
                     : head && head->version == r->version ? head->id
                                                           : 0;

    /* At its time its place was taken already. */
    if (there && there < r->id)
        return aside_past(f, r, false);
    if (follows(head, r->version, r->base)) {
        if (joined || has_unique(f, r->id) || (t && t->n_others > 0))
            return FOLD_LATE;
        return enter_past(f, r);
    }
    if (misses(head, t, r->version, r->base) == ENTRY_WAITS)
        return aside_past(f, r, true);
    /* Does it follow, and what stands in its place is younger? */
    bool whole = t ? track_is_whole(t) : !head || head->version == 1;
    if (whole &&
        (r->version == 1 || (t && track_at(t, r->version - 1) == r->base)))
        return FOLD_LATE;
    return aside_past(f, r, false);
}

static enum fold_result result_of(const struct fold *f, const struct record *r,
                                  size_t i, struct row **row)
{
    const struct entry *e = r->copy ? NULL : find_record(f, r, (uint32_t)i + 1);

    if (!e)
        e = find_record(f, r, 0);

    if (row && e && e->state == ENTRY_COUNTS)
        *row = row_ref(e->row);
    switch (e ? (enum entry_state)e->state : ENTRY_NEW) {
    case ENTRY_COUNTS:
        return FOLD_APPLIED;
    case ENTRY_VOID:
        return FOLD_VOID;
    case ENTRY_TAKEN:
        return FOLD_TAKEN;
    case ENTRY_WAITS:
        return FOLD_PENDING;
    case ENTRY_NEW:
        break;
    }
    return FOLD_KNOWN;
}

/* An entry that was known by a copy, and whose original has come: it moves to
 * its own place. */
struct lift {
    size_t at; /* in the journal */
    uint32_t pos;
    bool joined;
};

struct lifts {
    struct lift *list;
    size_t n, cap;
};

static void note_lift(struct fold *f, const struct record *r, size_t i,
                      struct lifts *lifts)
{
    const struct entry *e = r->copy ? NULL : find_record(f, r, 0);

    if (!e)
        return;
    if (lifts->n == lifts->cap) {
        lifts->cap = lifts->cap ? lifts->cap * 2 : 4;
        lifts->list = xrealloc(lifts->list, lifts->cap * sizeof(*lifts->list));
    }
    lifts->list[lifts->n++] =
        (struct lift){(size_t)(e - f->journal), (uint32_t)i + 1, r->joined};
}

/* Puts new entries into the journal, and plays what must be played. */
static void play_fresh(struct fold *f, struct entry *fresh, size_t n,
                       const struct lifts *lifts)
{
    size_t from = f->n;

    n = put_in_order(f, fresh, n);
    if (n > 0 && f->n > f->first &&
        by_order(&f->journal[f->n - 1], &fresh[0]) > 0) {
        size_t low = f->first;
        while (low < from) {
            size_t mid = low + (from - low) / 2;
            if (by_order(&f->journal[mid], &fresh[0]) < 0)
                low = mid + 1;
            else
                from = mid;
        }
    }
    for (size_t i = 0; i < lifts->n; i++)
        from = lifts->list[i].at < from ? lifts->list[i].at : from;
    /* Joined ones are undone together. */
    while (from > f->first && from < f->n && f->journal[from].joined)
        from--;
    bool behind = from == f->n;

    undo_from(f, from);
    for (size_t i = 0; i < lifts->n; i++) {
        f->journal[lifts->list[i].at].pos = lifts->list[i].pos;
        f->journal[lifts->list[i].at].joined = lifts->list[i].joined;
    }
    size_t first = f->first;
    for (size_t i = 0; i < n; i++)
        append(f, fresh[i]);
    from -= first - f->first;
    if (!behind)
        qsort(f->journal + from, f->n - from, sizeof(*fresh), by_order);
    journal_play(f, from);
}

void fold_apply(struct fold *f, const struct record *list, size_t n,
                enum fold_result *results, struct row **rows,
                struct fold_changes *out)
{
    struct entry one, *fresh = n > 1 ? xcalloc(n, sizeof(*fresh)) : &one;
    enum fold_result *said = xcalloc(n, sizeof(*said));
    struct lifts lifts = {0};
    size_t n_fresh = 0;

    assert(!f->loading);
    touched_begin(f);
    for (size_t i = 0; i < n; i++) {
        const struct record *r = &list[i];
        struct row *head = fold_head(f, r->key, r->key_len);
        said[i] = FOLD_KNOWN;
        if (tells_nothing(r))
            continue;
        if (is_known(f, r, head, fold_track(f, record_key(r)))) {
            note_lift(f, r, i, &lifts);
            note_again(f, r, head);
        } else if (r->id <= f->floor) {
            said[i] = apply_past(f, r, is_joined(list, n, i));
        } else {
            fresh[n_fresh++] = entry_of(f, r, i);
            said[i] = FOLD_PENDING; /* to be asked for */
        }
    }
    size_t asked = n_fresh;
    if (n_fresh > 0 || lifts.n > 0)
        play_fresh(f, fresh, n_fresh, &lifts);
    free(lifts.list);
    for (size_t i = 0; i < n; i++) {
        struct row **row = rows ? &rows[i] : NULL;
        if (row)
            *row = NULL;
        if (said[i] == FOLD_PENDING && asked > 0 && list[i].id > f->floor)
            said[i] = result_of(f, &list[i], i, row);
        else if (said[i] == FOLD_KNOWN && list[i].home)
            fold_claim(f, record_key(&list[i]), list[i].home, list[i].id);
        if (results)
            results[i] = said[i];
    }
    touched_end(f, out);
    for (size_t i = 0; rows && i < n; i++) {
        struct row *head =
            rows[i] ? NULL : fold_head(f, list[i].key, list[i].key_len);
        rows[i] = head ? row_ref(head) : rows[i];
    }
    trim(f, f->n);
    if (fresh != &one)
        free(fresh);
    free(said);
}
