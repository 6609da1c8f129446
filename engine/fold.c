/* Most keys have one version, known by one record: for those there is a row in
 * `rows` and nothing else. A key about which there is more to know has a track
 * besides:
 *
 *     chain    the ids of its versions, oldest first; a version's number is
 *              its place, its base the id before it. The last is the head.
 *     pending  records whose base has not come, kept as rows
 *     dead     records known to be void: they stay void, whatever comes, since
 *              what beat them can only be beaten by something lower still
 *     claims   its row messages, and what each shows
 *
 * A chain that begins at version 1 is whole; one that begins later begins at a
 * snapshot's row, which nothing can displace. A track that says no more than
 * its row does is dropped again.
 *
 *     rows    key  -> head row (tombstones too)      one reference each
 *     tracks  key  -> track
 *     homes   home -> head row that lives there      borrowed from rows
 *     list    rows that are there, by seq            borrowed from rows
 */
#include "engine/fold.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"

struct claim {
    uint64_t home, shows;
};

struct pending {
    uint64_t base;
    struct row *row; /* seq and home still to be filled in */
};

struct dead {
    uint64_t id;
    uint32_t version;
};

struct track {
    uint32_t first; /* version of chain[0] */
    uint32_t n_chain, n_pending, n_dead, n_claims;
    uint64_t *chain;         /* capacities follow from the numbers: grown() */
    struct pending *pending; /* by version */
    struct dead *dead;       /* by version, then id */
    struct claim *claims;    /* by home */
    uint16_t key_len;
    char key[];
};

struct name {
    size_t len;
    char text[];
};

/* A place in the listing: the row, or the seq of one that is gone. The first
 * is even, the second made odd. */
typedef uintptr_t place;

struct fold {
    struct map rows, tracks, homes;
    struct map names; /* who wrote: each once */
    place *list;
    size_t n_list, cap_list, holes;
    uint64_t last_seq;
    size_t count;
    uint64_t bytes;
    size_t unsettled; /* pending and dead of all tracks */
};

struct key {
    const char *text;
    size_t len;
};

static uint64_t row_hash(const void *item)
{
    const struct row *r = item;
    return hash_bytes(row_key(r), r->key_len);
}

static bool row_has_key(const void *item, const void *key)
{
    const struct row *r = item;
    const struct key *k = key;
    return r->key_len == k->len && memcmp(row_key(r), k->text, k->len) == 0;
}

static uint64_t track_hash(const void *item)
{
    const struct track *t = item;
    return hash_bytes(t->key, t->key_len);
}

static bool track_has_key(const void *item, const void *key)
{
    const struct track *t = item;
    const struct key *k = key;
    return t->key_len == k->len && memcmp(t->key, k->text, k->len) == 0;
}

static uint64_t home_hash(const void *item)
{
    return hash_u64(((const struct row *)item)->home);
}

static bool home_has_key(const void *item, const void *key)
{
    return ((const struct row *)item)->home == *(const uint64_t *)key;
}

static uint64_t name_hash(const void *item)
{
    const struct name *n = item;
    return hash_bytes(n->text, n->len);
}

static bool name_has_key(const void *item, const void *key)
{
    const struct name *n = item;
    const struct key *k = key;
    return n->len == k->len && memcmp(n->text, k->text, k->len) == 0;
}

static const struct map_type row_map = {row_hash, row_has_key};
static const struct map_type track_map = {track_hash, track_has_key};
static const struct map_type home_map = {home_hash, home_has_key};
static const struct map_type name_map = {name_hash, name_has_key};

struct fold *fold_new(void)
{
    struct fold *f = xcalloc(1, sizeof(*f));

    f->rows = MAP_INIT(&row_map);
    f->tracks = MAP_INIT(&track_map);
    f->homes = MAP_INIT(&home_map);
    f->names = MAP_INIT(&name_map);
    return f;
}

static void track_free(struct track *t)
{
    for (uint32_t i = 0; i < t->n_pending; i++)
        row_unref(t->pending[i].row);
    free(t->pending);
    free(t->chain);
    free(t->dead);
    free(t->claims);
    free(t);
}

void fold_free(struct fold *f)
{
    if (!f)
        return;

    void *item;
    for (size_t at = 0; (item = map_next(&f->rows, &at));)
        row_unref(item);
    for (size_t at = 0; (item = map_next(&f->tracks, &at));)
        track_free(item);
    for (size_t at = 0; (item = map_next(&f->names, &at));)
        free(item);
    map_release(&f->rows);
    map_release(&f->tracks);
    map_release(&f->homes);
    map_release(&f->names);
    free(f->list);
    free(f);
}

void fold_change_release(struct fold_change *c)
{
    row_unref(c->old);
    row_unref(c->now);
    row_unref(c->voided);
    *c = (struct fold_change){0};
}

/* Who wrote, kept once for all rows. */
static const char *intern(struct fold *f, const char *text, size_t len)
{
    struct key key = {text, len};
    struct name *n = map_get(&f->names, hash_bytes(text, len), &key);

    if (n)
        return n->text;
    n = xmalloc(sizeof(*n) + len + 1);
    n->len = len;
    if (len > 0)
        memcpy(n->text, text, len);
    n->text[len] = '\0';
    map_put(&f->names, &key, n);
    return n->text;
}

/* Room for one more in an array whose capacity is the power of two at or
 * above its number. */
static void *grown(void *array, uint32_t n, size_t size)
{
    if ((n & (n - 1)) != 0)
        return array;
    return xrealloc(array, (n ? (size_t)n * 2 : 1) * size);
}

/* Room at place i of n items. */
static void *opened(void *array, uint32_t n, uint32_t i, size_t size)
{
    char *a = grown(array, n, size);
    memmove(a + (i + 1) * size, a + i * size, (n - i) * size);
    return a;
}

static void closed(void *array, uint32_t n, uint32_t i, size_t size)
{
    char *a = array;
    memmove(a + i * size, a + (i + 1) * size, (n - i - 1) * size);
}

/* --- the listing ---------------------------------------------------------- */

static uint64_t place_seq(place p)
{
    return p & 1 ? (uint64_t)p >> 1 : ((const struct row *)p)->seq;
}

/* The first place with a seq of at least seq. */
static size_t list_find(const struct fold *f, uint64_t seq)
{
    size_t low = 0, high = f->n_list;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (place_seq(f->list[mid]) < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void list_append(struct fold *f, struct row *r)
{
    if (f->n_list == f->cap_list) {
        f->cap_list = f->cap_list ? f->cap_list + f->cap_list / 2 : 16;
        f->list = xrealloc(f->list, f->cap_list * sizeof(*f->list));
    }
    f->list[f->n_list++] = (place)r;
}

static void list_replace(struct fold *f, struct row *r)
{
    size_t i = list_find(f, r->seq);

    assert(i < f->n_list && place_seq(f->list[i]) == r->seq);
    f->list[i] = (place)r;
}

static void list_remove(struct fold *f, uint64_t seq)
{
    size_t i = list_find(f, seq), n = 0;

    assert(i < f->n_list && place_seq(f->list[i]) == seq);
    f->list[i] = (place)(seq << 1 | 1);
    if (++f->holes < 64 || f->holes < f->n_list / 2)
        return;
    for (i = 0; i < f->n_list; i++)
        if (!(f->list[i] & 1))
            f->list[n++] = f->list[i];
    f->n_list = n;
    f->holes = 0;
}

size_t fold_list(struct fold *f, uint64_t after, struct row **out, size_t n)
{
    size_t got = 0;

    for (size_t i = list_find(f, after + 1); i < f->n_list && got < n; i++)
        if (!(f->list[i] & 1))
            out[got++] = row_ref((struct row *)f->list[i]);
    return got;
}

/* --- heads ---------------------------------------------------------------- */

static struct row *head_of(const struct fold *f, const char *key, size_t len)
{
    struct key k = {key, len};
    return map_get(&f->rows, hash_bytes(key, len), &k);
}

static bool is_there(const struct row *r)
{
    return r && !r->deleted;
}

/* now takes the place of old (NULL: the key is new); the fold's reference to
 * old goes to the caller, that to now to the fold. home and seq are now's. */
static void put_head(struct fold *f, struct row *old, struct row *now)
{
    struct key key = {row_key(now), now->key_len};

    map_put(&f->rows, &key, now);
    if (old && old->home && old->home != now->home)
        map_remove(&f->homes, hash_u64(old->home), &old->home);
    if (now->home)
        map_put(&f->homes, &now->home, now);

    if (is_there(old)) {
        f->count--;
        f->bytes -= old->text_len;
    }
    if (is_there(now)) {
        f->count++;
        f->bytes += now->text_len;
    }
    if (is_there(old) && is_there(now))
        list_replace(f, now);
    else if (is_there(old))
        list_remove(f, old->seq);
    else if (is_there(now))
        list_append(f, now);
}

/* Makes now the head: a row that nobody else holds yet. What was the head is
 * the caller's afterwards. */
static struct row *install(struct fold *f, struct row *now)
{
    struct row *old = head_of(f, row_key(now), now->key_len);

    now->home = old ? old->home : 0;
    now->seq = is_there(old) && is_there(now) ? old->seq : ++f->last_seq;
    put_head(f, old, now);
    return old;
}

/* The head lives somewhere else from now on. Others may hold the row: then it
 * is a new one. */
static struct row *set_home(struct fold *f, struct row *r, uint64_t home)
{
    if (r->home == home)
        return r;
    if (atomic_load_explicit(&r->refs, memory_order_acquire) == 1) {
        if (r->home)
            map_remove(&f->homes, hash_u64(r->home), &r->home);
        r->home = home;
        if (home)
            map_put(&f->homes, &home, r);
        return r;
    }

    struct row *moved = row_copy(r);
    moved->home = home;
    put_head(f, r, moved);
    row_unref(r);
    return moved;
}

static struct row *row_of(struct fold *f, const struct record *rec)
{
    bool deleted = rec->verb == RECORD_DELETE;
    struct row *r = row_new(rec->key, rec->key_len, deleted ? NULL : rec->text,
                            deleted ? 0 : rec->text_len);

    r->version = rec->version;
    r->id = rec->id;
    r->base = rec->base;
    r->holder = rec->holder;
    r->at_ms = rec->at_ms;
    r->mtime_ms = rec->mtime_ms;
    r->by = intern(f, rec->by, rec->by_len);
    r->file = deleted || rec->text ? 0 : rec->file;
    r->deleted = deleted;
    return r;
}

/* --- tracks --------------------------------------------------------------- */

static struct track *track_find(const struct fold *f, const char *key,
                                size_t len)
{
    struct key k = {key, len};
    return map_get(&f->tracks, hash_bytes(key, len), &k);
}

static void add_claim(struct track *t, uint64_t home, uint64_t shows);

/* The key's track; where it has none yet, one that says what its row says. */
static struct track *track_need(struct fold *f, const char *key, size_t len)
{
    struct track *t = track_find(f, key, len);
    if (t)
        return t;

    t = xcalloc(1, sizeof(*t) + len);
    memcpy(t->key, key, len);
    t->key_len = (uint16_t)len;
    struct key k = {t->key, len};
    map_put(&f->tracks, &k, t);

    const struct row *head = head_of(f, key, len);
    if (head) {
        t->chain = grown(NULL, 0, sizeof(*t->chain));
        t->chain[0] = head->id;
        t->n_chain = 1;
        t->first = head->version;
        if (head->home)
            add_claim(t, head->home, head->id);
    }
    return t;
}

/* Drops a track that says no more than its row. */
static void track_trim(struct fold *f, struct track *t)
{
    if (t->n_chain > 1 || t->n_pending || t->n_dead || t->n_claims > 1)
        return;
    if (t->n_chain == 0 && t->n_claims)
        return;
    if (t->n_claims && t->claims[0].shows != t->chain[0])
        return;
    struct key k = {t->key, t->key_len};
    map_remove(&f->tracks, hash_bytes(t->key, t->key_len), &k);
    track_free(t);
}

static uint32_t next_version(const struct track *t)
{
    return t->n_chain ? t->first + t->n_chain : 1;
}

/* Is there nothing before the chain that we do not know? */
static bool is_whole(const struct track *t)
{
    return t->n_chain == 0 || t->first == 1;
}

/* The id of this version, 0: not in the chain. */
static uint64_t chain_at(const struct track *t, uint32_t version)
{
    if (t->n_chain == 0 || version < t->first ||
        version - t->first >= t->n_chain)
        return 0;
    return t->chain[version - t->first];
}

static void chain_append(struct track *t, uint32_t version, uint64_t id)
{
    if (t->n_chain == 0)
        t->first = version;
    t->chain = grown(t->chain, t->n_chain, sizeof(*t->chain));
    t->chain[t->n_chain++] = id;
}

/* The first dead record that is not before this one. */
static uint32_t dead_place(const struct track *t, uint32_t version, uint64_t id)
{
    uint32_t low = 0, high = t->n_dead;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct dead *d = &t->dead[mid];
        if (d->version < version || (d->version == version && d->id < id))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static bool is_dead(const struct track *t, uint32_t version, uint64_t id)
{
    uint32_t i = dead_place(t, version, id);
    return i < t->n_dead && t->dead[i].version == version &&
           t->dead[i].id == id;
}

static void add_dead(struct fold *f, struct track *t, uint32_t version,
                     uint64_t id)
{
    if (is_dead(t, version, id))
        return;
    uint32_t i = dead_place(t, version, id);
    t->dead = opened(t->dead, t->n_dead, i, sizeof(*t->dead));
    t->dead[i] = (struct dead){id, version};
    t->n_dead++;
    f->unsettled++;
}

/* The first pending record of at least this version. */
static uint32_t pending_place(const struct track *t, uint32_t version)
{
    uint32_t low = 0, high = t->n_pending;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (t->pending[mid].row->version < version)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct row *pending_take(struct fold *f, struct track *t, uint32_t i)
{
    struct row *r = t->pending[i].row;

    closed(t->pending, t->n_pending, i, sizeof(*t->pending));
    t->n_pending--;
    f->unsettled--;
    return r;
}

/* What hangs on something void is void. Versions rise from base to child, so
 * that one walk finds all generations. */
static void bury_children(struct fold *f, struct track *t)
{
    for (uint32_t i = 0; i < t->n_pending;) {
        const struct pending *p = &t->pending[i];
        uint32_t version = p->row->version;
        if (!is_dead(t, version - 1, p->base)) {
            i++;
            continue;
        }
        struct row *r = pending_take(f, t, i);
        add_dead(f, t, version, r->id);
        row_unref(r);
    }
}

/* Keeps a record for later. Of two that wait for the same base only the lower
 * can ever count. */
static enum fold_result keep_pending(struct fold *f, struct track *t,
                                     const struct record *rec)
{
    uint32_t i = pending_place(t, rec->version);

    for (; i < t->n_pending && t->pending[i].row->version == rec->version;
         i++) {
        struct pending *p = &t->pending[i];
        if (p->base != rec->base)
            continue;
        if (p->row->id == rec->id)
            return FOLD_KNOWN;
        if (p->row->id < rec->id) {
            add_dead(f, t, rec->version, rec->id);
            bury_children(f, t);
            return FOLD_VOID;
        }
        add_dead(f, t, rec->version, p->row->id);
        row_unref(p->row);
        p->row = row_of(f, rec);
        bury_children(f, t);
        return FOLD_PENDING;
    }
    t->pending = opened(t->pending, t->n_pending, i, sizeof(*t->pending));
    t->pending[i] = (struct pending){rec->base, row_of(f, rec)};
    t->n_pending++;
    f->unsettled++;
    return FOLD_PENDING;
}

/* The pending record that follows the head, or NULL. */
static struct row *take_follower(struct fold *f, struct track *t)
{
    uint32_t version = next_version(t);
    uint64_t head = t->chain[t->n_chain - 1];

    for (uint32_t i = pending_place(t, version);
         i < t->n_pending && t->pending[i].row->version == version; i++)
        if (t->pending[i].base == head)
            return pending_take(f, t, i);
    return NULL;
}

/* --- homes ---------------------------------------------------------------- */

static uint32_t claim_place(const struct track *t, uint64_t home)
{
    uint32_t i = 0;

    while (i < t->n_claims && t->claims[i].home < home)
        i++;
    return i;
}

static void add_claim(struct track *t, uint64_t home, uint64_t shows)
{
    uint32_t i = claim_place(t, home);

    if (i == t->n_claims || t->claims[i].home != home) {
        t->claims = opened(t->claims, t->n_claims, i, sizeof(*t->claims));
        t->n_claims++;
    }
    t->claims[i] = (struct claim){home, shows};
}

/* Where in the chain this id is first; n_chain: nowhere. */
static uint32_t chain_find(const struct track *t, uint64_t id)
{
    uint32_t i = 0;

    while (i < t->n_chain && t->chain[i] != id)
        i++;
    return i;
}

/* Does this message show a version that counts, or did before the snapshot the
 * chain begins at? */
static bool claim_counts(const struct track *t, const struct claim *c)
{
    if (t->n_chain == 0)
        return false;
    if (!is_whole(t) && c->shows < t->chain[0])
        return true;
    return chain_find(t, c->shows) < t->n_chain;
}

/* The home of a track's key by its claims, 0: none. */
static uint64_t track_home(const struct track *t)
{
    for (uint32_t i = t->n_claims; i > 0; i--)
        if (claim_counts(t, &t->claims[i - 1]))
            return t->claims[i - 1].home;
    return 0;
}

/* Brings the head's home in line with the claims. */
static void settle_home(struct fold *f, struct track *t)
{
    struct row *head = head_of(f, t->key, t->key_len);

    if (head)
        set_home(f, head, track_home(t));
}

void fold_home(struct fold *f, const char *key, size_t key_len, uint64_t home,
               uint64_t shows)
{
    struct track *t = track_find(f, key, key_len);
    struct row *head = head_of(f, key, key_len);

    /* By far the most: an insert's own message. */
    if (!t && head && head->id == shows &&
        (head->home == 0 || head->home == home)) {
        set_home(f, head, home);
        return;
    }
    t = track_need(f, key, key_len);
    add_claim(t, home, shows);
    settle_home(f, t);
    track_trim(f, t);
}

void fold_home_gone(struct fold *f, const char *key, size_t key_len,
                    uint64_t home)
{
    struct track *t = track_need(f, key, key_len);
    uint32_t i = claim_place(t, home);

    if (i < t->n_claims && t->claims[i].home == home) {
        closed(t->claims, t->n_claims, i, sizeof(*t->claims));
        t->n_claims--;
        settle_home(f, t);
    }
    track_trim(f, t);
}

/* What a message that counts should show: the head; or, left over from before
 * a deletion, that deletion, which is the version before the one with which
 * the next home began. */
static uint64_t claim_target(const struct track *t, uint32_t i)
{
    for (uint32_t k = i + 1; k < t->n_claims; k++) {
        if (!claim_counts(t, &t->claims[k]))
            continue;
        uint32_t born = chain_find(t, t->claims[k].home);
        return born > 0 && born < t->n_chain ? t->chain[born - 1] : 0;
    }
    return t->chain[t->n_chain - 1];
}

void fold_stale_homes(struct fold *f,
                      void (*fn)(void *arg, struct row *now, uint64_t home),
                      void *arg)
{
    const struct track *t;

    for (size_t at = 0; (t = map_next(&f->tracks, &at));) {
        for (uint32_t i = 0; i < t->n_claims; i++) {
            const struct claim *c = &t->claims[i];
            if (claim_counts(t, c) && c->shows != claim_target(t, i))
                fn(arg, head_of(f, t->key, t->key_len), c->home);
        }
    }
}

struct row *fold_at_home(struct fold *f, uint64_t home)
{
    return map_get(&f->homes, hash_u64(home), &home);
}

/* --- applying ------------------------------------------------------------- */

/* Makes r the head, then whatever waited for it. *change gathers. */
static void advance(struct fold *f, struct track *t, struct row *r,
                    struct fold_change *change)
{
    while (r) {
        if (t)
            chain_append(t, r->version, r->id);
        struct row *old = install(f, r);
        if (!change->now)
            change->old = old;
        else
            row_unref(old);
        change->now = r;
        r = t ? take_follower(f, t) : NULL;
    }
    if (t) {
        settle_home(f, t);
        change->now = head_of(f, t->key, t->key_len);
    }
    row_ref(change->now);
}

/* rec beats the version that stands in its place, and all behind it. */
static void displace(struct fold *f, struct track *t, const struct record *rec,
                     struct fold_change *change)
{
    uint32_t keep = rec->version - t->first;

    change->voided = row_ref(head_of(f, t->key, t->key_len));
    for (uint32_t i = keep; i < t->n_chain; i++)
        add_dead(f, t, t->first + i, t->chain[i]);
    t->n_chain = keep;
    bury_children(f, t);
}

static enum fold_result bury(struct fold *f, struct track *t,
                             const struct record *rec)
{
    add_dead(f, t, rec->version, rec->id);
    bury_children(f, t);
    return FOLD_VOID;
}

/* The same version told again by a newer message: where its text hangs on a
 * message, that one is the safer (the older may be gone). */
static void note_holder(struct fold *f, const struct record *rec)
{
    struct row *head = head_of(f, rec->key, rec->key_len);

    if (!head || head->id != rec->id || head->version != rec->version ||
        head->has_text || head->deleted || !rec->file ||
        rec->holder <= head->holder)
        return;
    struct row *moved = row_copy(head);
    moved->file = rec->file;
    moved->holder = rec->holder;
    put_head(f, head, moved);
    row_unref(head);
}

static enum fold_result apply_tracked(struct fold *f, struct track *t,
                                      const struct record *rec,
                                      struct fold_change *change)
{
    uint32_t v = rec->version;
    uint64_t place_holder = chain_at(t, v);

    if (place_holder == rec->id) {
        note_holder(f, rec);
        return FOLD_KNOWN;
    }
    if (is_dead(t, v, rec->id))
        return FOLD_KNOWN;
    if (!is_whole(t)) {
        /* Nothing displaces what a snapshot tells. What is older is part of
         * it; what is newer and sits beside it came too late. */
        if (v <= t->first && rec->id < t->chain[0])
            return FOLD_KNOWN;
        if (v <= t->first || (v == t->first + 1 && rec->base != t->chain[0]))
            return bury(f, t, rec);
    }

    bool follows =
        v == 1 ? is_whole(t) : rec->base && chain_at(t, v - 1) == rec->base;
    if (!follows) {
        if (v > 1 && is_dead(t, v - 1, rec->base))
            return bury(f, t, rec);
        return keep_pending(f, t, rec);
    }
    if (place_holder) {
        if (place_holder < rec->id)
            return bury(f, t, rec);
        displace(f, t, rec, change);
    }
    advance(f, t, row_of(f, rec), change);
    return FOLD_APPLIED;
}

enum fold_result fold_apply_one(struct fold *f, const struct record *r,
                            struct fold_change *change)
{
    struct track *t = track_find(f, r->key, r->key_len);

    *change = (struct fold_change){0};
    if (r->verb != RECORD_DELETE && !r->text && !r->file)
        return FOLD_KNOWN;
    if (!t) {
        const struct row *head = head_of(f, r->key, r->key_len);
        if (!head && r->version == 1) {
            advance(f, NULL, row_of(f, r), change);
            return FOLD_APPLIED;
        }
        if (head && head->id == r->id && head->version == r->version) {
            note_holder(f, r);
            return FOLD_KNOWN;
        }
        t = track_need(f, r->key, r->key_len);
    }
    enum fold_result res = apply_tracked(f, t, r, change);
    track_trim(f, t);
    return res;
}

/* Of what waits, what a snapshot's version r has behind it or beside it. */
static void prune_pending(struct fold *f, struct track *t,
                          const struct record *r)
{
    for (uint32_t i = 0; i < t->n_pending;) {
        const struct pending *p = &t->pending[i];
        uint32_t version = p->row->version;
        bool beside = version == r->version + 1 && p->base != r->id;
        if (version > r->version && !beside) {
            i++;
            continue;
        }
        uint64_t id = p->row->id;
        row_unref(pending_take(f, t, i));
        if (beside || id > r->id)
            add_dead(f, t, version, id);
    }
    bury_children(f, t);
}

enum fold_result fold_checkpoint_one(struct fold *f, const struct record *r,
                                 struct fold_change *change)
{
    *change = (struct fold_change){0};
    if (r->verb != RECORD_DELETE && !r->text && !r->file)
        return FOLD_KNOWN;

    struct track *t = track_find(f, r->key, r->key_len);
    if (!t && !head_of(f, r->key, r->key_len)) {
        advance(f, NULL, row_of(f, r), change);
        return FOLD_APPLIED;
    }
    t = track_need(f, r->key, r->key_len);
    if (chain_at(t, r->version) == r->id ||
        (!is_whole(t) && r->version < t->first)) {
        track_trim(f, t);
        return FOLD_KNOWN;
    }

    /* Records came before their snapshot; what they made of the key is older
     * than it or void. The chain begins anew. */
    prune_pending(f, t, r);
    t->n_chain = 0;
    advance(f, t, row_of(f, r), change);
    track_trim(f, t);
    return FOLD_APPLIED;
}

/* --- asking --------------------------------------------------------------- */

struct row *fold_head(struct fold *f, const char *key, size_t key_len)
{
    return head_of(f, key, key_len);
}

struct row *fold_find(struct fold *f, const char *key, size_t key_len)
{
    struct row *r = head_of(f, key, key_len);
    return is_there(r) ? r : NULL;
}

uint64_t fold_base(const struct fold *f, const char *key, size_t key_len)
{
    const struct track *t = track_find(f, key, key_len);
    return t && t->n_chain > 1 ? t->chain[t->n_chain - 2] : 0;
}

size_t fold_count(const struct fold *f)
{
    return f->count;
}

uint64_t fold_bytes(const struct fold *f)
{
    return f->bytes;
}

size_t fold_pending(const struct fold *f)
{
    return f->unsettled;
}
