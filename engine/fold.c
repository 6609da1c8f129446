/* What is known of each key, and how it is asked for. */
#include "engine/fold.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/fold_impl.h"
#include "engine/value.h"

struct name {
    size_t len;
    char text[];
};

struct names {
    size_t refs; /* folds of one ledger: its lock guards it */
    struct map map;
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
    f->names = xcalloc(1, sizeof(*f->names));
    f->names->refs = 1;
    f->names->map = MAP_INIT(&name_map);
    f->keep = FOLD_KEEP;
    f->keep_bytes = FOLD_KEEP_BYTES;
    f->keep_age = FOLD_KEEP_AGE;
    return f;
}

void fold_keep(struct fold *f, size_t records, uint64_t bytes, uint64_t age)
{
    f->keep = records;
    f->keep_bytes = bytes;
    f->keep_age = age;
}

static void names_unref(struct names *names)
{
    void *item;

    if (--names->refs > 0)
        return;
    for (size_t at = 0; (item = map_next(&names->map, &at));)
        free(item);
    map_release(&names->map);
    free(names);
}

void track_free(struct track *t)
{
    free(t->chain);
    free(t->others);
    free(t->claims);
    free(t);
}

static void free_rules(struct rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(rules[i].field);
        free(rules[i].unique);
        index_free(rules[i].index);
    }
    free(rules);
}

void fold_free(struct fold *f)
{
    if (!f)
        return;

    void *item;
    journal_free(f);
    free_rules(f->rules, f->n_rules);
    for (size_t at = 0; (item = map_next(&f->rows, &at));)
        row_unref(item);
    for (size_t at = 0; (item = map_next(&f->tracks, &at));)
        track_free(item);
    map_release(&f->rows);
    map_release(&f->tracks);
    map_release(&f->homes);
    names_unref(f->names);
    free(f->list);
    free(f);
}

void fold_changes_release(struct fold_changes *c)
{
    for (size_t i = 0; i < c->n; i++) {
        row_unref(c->list[i].old);
        row_unref(c->list[i].now);
        row_unref(c->list[i].voided);
    }
    free(c->list);
    *c = (struct fold_changes){0};
}

/* Who wrote, kept once for all rows. */
static const char *intern(struct fold *f, const char *text, size_t len)
{
    struct key key = {text, len};
    struct name *n = map_get(&f->names->map, hash_bytes(text, len), &key);

    if (n)
        return n->text;
    n = xmalloc(sizeof(*n) + len + 1);
    n->len = len;
    if (len > 0)
        memcpy(n->text, text, len);
    n->text[len] = '\0';
    map_put(&f->names->map, &key, n);
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

    /* By far the most go to the end. */
    if (high == 0 || place_seq(f->list[high - 1]) < seq)
        return high;
    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (place_seq(f->list[mid]) < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Into its place: the end, mostly; where it stood, or what it replaces. */
static void list_put(struct fold *f, struct row *r)
{
    size_t i = list_find(f, r->seq);

    if (i < f->n_list && place_seq(f->list[i]) == r->seq) {
        f->holes -= f->list[i] & 1;
        f->list[i] = (place)r;
        return;
    }
    if (f->n_list == f->cap_list) {
        f->cap_list = f->cap_list ? f->cap_list + f->cap_list / 2 : 16;
        f->list = xrealloc(f->list, f->cap_list * sizeof(*f->list));
    }
    memmove(&f->list[i + 1], &f->list[i], (f->n_list - i) * sizeof(*f->list));
    f->list[i] = (place)r;
    f->n_list++;
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

static struct row *head_of(const struct fold *f, struct key key)
{
    return map_get(&f->rows, hash_bytes(key.text, key.len), &key);
}

bool row_lacks(const struct fold *f, const struct row *r)
{
    if (!row_is_there(r) || r->has_text)
        return false;
    for (size_t i = 0; i < f->n_rules; i++)
        if (!r->has_values || !values_tell(row_values(r), strlen(row_values(r)),
                                           f->rules[i].field))
            return true;
    return false;
}

static void list_heads(struct fold *f, struct row *old, struct row *now)
{
    bool was = row_is_there(old), is = row_is_there(now);

    f->count = f->count - was + is;
    if (was) {
        f->bytes -= old->text_len;
        f->lacking -= row_lacks(f, old);
    }
    if (is) {
        f->bytes += now->text_len;
        f->lacking += row_lacks(f, now);
    }
    if (was && (!is || old->seq != now->seq))
        list_remove(f, old->seq);
    if (is)
        list_put(f, now);

    for (size_t i = 0; i < f->n_rules; i++) {
        struct index *ix = f->rules[i].index;
        if (was && is && old->seq == now->seq) {
            index_replace(ix, old, now);
            continue;
        }
        if (was)
            index_remove(ix, old);
        if (is)
            index_put(ix, now);
    }
}

void fold_put_head(struct fold *f, struct row *old, struct row *now)
{
    struct key key = key_of(now ? now : old);

    if (now)
        map_put(&f->rows, &key, now);
    else
        map_remove(&f->rows, hash_bytes(key.text, key.len), &key);
    if (old && old->home && (!now || old->home != now->home) &&
        fold_at_home(f, old->home) == old)
        map_remove(&f->homes, hash_u64(old->home), &old->home);
    if (now && now->home)
        map_put(&f->homes, &now->home, now);
    list_heads(f, old, now);
}

struct row *fold_install(struct fold *f, struct row *now)
{
    struct key key = key_of(now);
    struct row *old = head_of(f, key);

    if (now->seq == 0) {
        const struct row *before = f->before ? head_of(f->before, key) : NULL;
        now->seq = row_is_there(old) && row_is_there(now) ? old->seq
                   : row_is_there(before)                 ? before->seq
                                                          : ++f->last_seq;
    }
    fold_put_head(f, old, now);
    return old;
}

void fold_exchange(struct fold *f, struct row *r, struct row *now)
{
    struct entry *e = journal_find(f, r);

    fold_put_head(f, r, now);
    if (e) {
        row_unref(e->row);
        e->row = row_ref(now);
    }
    row_unref(r);
}

/* The head lives somewhere else from now on. Others may hold the row: then it
 * is a new one. */
static void set_home(struct fold *f, struct row *r, uint64_t home)
{
    if (r->home == home)
        return;
    unsigned own = 1 + (journal_find(f, r) != NULL);
    if (atomic_load_explicit(&r->refs, memory_order_acquire) == own) {
        if (r->home && fold_at_home(f, r->home) == r)
            map_remove(&f->homes, hash_u64(r->home), &r->home);
        r->home = home;
        if (home)
            map_put(&f->homes, &home, r);
        return;
    }

    struct row *moved = row_copy(r);
    moved->home = home;
    fold_exchange(f, r, moved);
}

struct row *fold_row_of(struct fold *f, const struct record *rec)
{
    bool deleted = rec->verb == RECORD_DELETE;
    struct row *r =
        !deleted && !rec->text && rec->values
            ? row_new_values(rec->key, rec->key_len, rec->text_len, rec->values,
                             rec->values_len)
            : row_new(rec->key, rec->key_len, deleted ? NULL : rec->text,
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

struct track *fold_track(const struct fold *f, struct key key)
{
    if (f->tracks.count == 0)
        return NULL;
    return map_get(&f->tracks, hash_bytes(key.text, key.len), &key);
}

struct track *fold_need_track(struct fold *f, struct key key)
{
    struct track *t = fold_track(f, key);
    if (t)
        return t;

    t = xcalloc(1, sizeof(*t) + key.len);
    memcpy(t->key, key.text, key.len);
    t->key_len = (uint16_t)key.len;
    struct key k = {t->key, key.len};
    map_put(&f->tracks, &k, t);

    const struct row *head = head_of(f, key);
    if (head) {
        track_append(t, head->version, head->id);
        if (head->home)
            track_claim(t, head->home, head->id);
    }
    return t;
}

bool track_says_more(const struct track *t)
{
    if (t->n_chain > 1 || t->n_others || t->n_claims > 1)
        return true;
    if (t->n_claims == 0)
        return false;
    return t->n_chain == 0 || t->claims[0].shows != t->chain[0];
}

void fold_trim_track(struct fold *f, struct track *t)
{
    struct key k = {t->key, t->key_len};

    if (track_says_more(t))
        return;
    map_remove(&f->tracks, hash_bytes(t->key, t->key_len), &k);
    track_free(t);
}

bool track_is_whole(const struct track *t)
{
    return t->n_chain == 0 || t->first == 1;
}

uint64_t track_at(const struct track *t, uint32_t version)
{
    if (t->n_chain == 0 || version < t->first ||
        version - t->first >= t->n_chain)
        return 0;
    return t->chain[version - t->first];
}

void track_append(struct track *t, uint32_t version, uint64_t id)
{
    if (t->n_chain == 0)
        t->first = version;
    t->chain = grown(t->chain, t->n_chain, sizeof(*t->chain));
    t->chain[t->n_chain++] = id;
}

/* The first that is not before this one. */
static uint32_t other_place(const struct track *t, uint32_t version,
                            uint64_t id)
{
    uint32_t low = 0, high = t->n_others;

    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        const struct other *o = &t->others[mid];
        if (o->version < version || (o->version == version && o->id < id))
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

const struct other *track_other(const struct track *t, uint32_t version,
                                uint64_t id)
{
    uint32_t i = other_place(t, version, id);
    const struct other *o = &t->others[i];

    return i < t->n_others && o->version == version && o->id == id ? o : NULL;
}

void fold_add_other(struct fold *f, struct track *t, const struct row *r,
                    bool waits)
{
    uint32_t i = other_place(t, r->version, r->id);

    t->others = opened(t->others, t->n_others, i, sizeof(*t->others));
    t->others[i] = (struct other){r->id, r->base, r->version, waits};
    t->n_others++;
    f->unsettled++;
}

void fold_drop_other(struct fold *f, struct track *t, const struct row *r)
{
    uint32_t i = other_place(t, r->version, r->id);

    assert(i < t->n_others && t->others[i].id == r->id);
    closed(t->others, t->n_others, i, sizeof(*t->others));
    t->n_others--;
    f->unsettled--;
}

/* --- homes ---------------------------------------------------------------- */

static uint32_t claim_place(const struct track *t, uint64_t home)
{
    uint32_t i = 0;

    while (i < t->n_claims && t->claims[i].home < home)
        i++;
    return i;
}

void track_claim(struct track *t, uint64_t home, uint64_t shows)
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
    if (!track_is_whole(t) && c->shows < t->chain[0])
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

void fold_settle_home(struct fold *f, struct track *t)
{
    struct row *head = head_of(f, (struct key){t->key, t->key_len});

    if (head)
        set_home(f, head, track_home(t));
}

void fold_settle_all(struct fold *f)
{
    struct map all = f->tracks;
    struct track *t;

    f->tracks = MAP_INIT(&track_map);
    for (size_t at = 0; (t = map_next(&all, &at));) {
        struct key key = {t->key, t->key_len};
        fold_settle_home(f, t);
        if (track_says_more(t))
            map_put(&f->tracks, &key, t);
        else
            track_free(t);
    }
    map_release(&all);
}

void fold_claim(struct fold *f, struct key key, uint64_t home, uint64_t shows)
{
    struct track *t = fold_track(f, key);
    struct row *head = head_of(f, key);

    /* By far the most: an insert's own message. */
    if (!f->loading && !t && head && head->id == shows &&
        (head->home == 0 || head->home == home)) {
        set_home(f, head, home);
        return;
    }
    t = fold_need_track(f, key);
    track_claim(t, home, shows);
    if (f->loading)
        return;
    fold_settle_home(f, t);
    fold_trim_track(f, t);
}

void fold_home_gone(struct fold *f, const char *key, size_t key_len,
                    uint64_t home)
{
    struct track *t = fold_need_track(f, (struct key){key, key_len});
    uint32_t i = claim_place(t, home);

    if (i < t->n_claims && t->claims[i].home == home) {
        closed(t->claims, t->n_claims, i, sizeof(*t->claims));
        t->n_claims--;
        fold_settle_home(f, t);
    }
    fold_trim_track(f, t);
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
                fn(arg, head_of(f, (struct key){t->key, t->key_len}), c->home);
        }
    }
}

struct row *fold_at_home(struct fold *f, uint64_t home)
{
    return map_get(&f->homes, hash_u64(home), &home);
}

/* --- rules ---------------------------------------------------------------- */

bool rule_holds(const struct rule *rule, uint64_t id)
{
    size_t i = 0;

    while (i < rule->n_unique && rule->unique[i] < id)
        i++;
    return i % 2 == 1 && (i == rule->n_unique || rule->unique[i] != id);
}

bool rule_is_constant(const struct rule *rule, uint64_t from, uint64_t to)
{
    for (size_t i = 0; i < rule->n_unique; i++)
        if (rule->unique[i] >= from && rule->unique[i] <= to)
            return false;
    return rule_holds(rule, from);
}

static struct rule *find_rule(const struct fold *f, const char *field)
{
    for (size_t i = 0; i < f->n_rules; i++)
        if (strcmp(f->rules[i].field, field) == 0)
            return &f->rules[i];
    return NULL;
}

/* The lowest id from which on two rules judge differently; UINT64_MAX: none. */
static uint64_t first_difference(const uint64_t *a, size_t n_a,
                                 const uint64_t *b, size_t n_b)
{
    size_t i = 0;

    while (i < n_a && i < n_b && a[i] == b[i])
        i++;
    uint64_t x = i < n_a ? a[i] : UINT64_MAX, y = i < n_b ? b[i] : UINT64_MAX;
    return x < y ? x : y;
}

static uint64_t rules_differ_from(const struct fold *f,
                                  const struct fold_rule *rules, size_t n)
{
    uint64_t from = UINT64_MAX;

    for (size_t i = 0; i < n; i++) {
        const struct rule *old = find_rule(f, rules[i].field);
        uint64_t d =
            first_difference(old ? old->unique : NULL, old ? old->n_unique : 0,
                             rules[i].unique, rules[i].n_unique);
        from = d < from ? d : from;
    }
    for (size_t k = 0; k < f->n_rules; k++) {
        bool kept = false;
        for (size_t i = 0; i < n && !kept; i++)
            kept = strcmp(rules[i].field, f->rules[k].field) == 0;
        if (!kept && f->rules[k].n_unique > 0 && f->rules[k].unique[0] < from)
            from = f->rules[k].unique[0];
    }
    return from;
}

static void exchange_rules(struct fold *f, const struct fold_rule *rules,
                           size_t n)
{
    struct rule *list = xcalloc(n, sizeof(*list));

    for (size_t i = 0; i < n; i++) {
        struct rule *old = find_rule(f, rules[i].field);
        list[i].field = xstrdup(rules[i].field);
        list[i].n_unique = rules[i].n_unique;
        list[i].unique = xcalloc(rules[i].n_unique, sizeof(uint64_t));
        for (size_t k = 0; k < rules[i].n_unique; k++)
            list[i].unique[k] = rules[i].unique[k];
        if (old) {
            list[i].index = old->index;
            old->index = NULL;
            continue;
        }
        list[i].index = index_new(rules[i].field);
        for (size_t k = 0; k < f->n_list; k++)
            if (!(f->list[k] & 1))
                index_put(list[i].index, (struct row *)f->list[k]);
    }
    free_rules(f->rules, f->n_rules);
    f->rules = list;
    f->n_rules = n;
    f->lacking = 0;
    for (size_t k = 0; k < f->n_list; k++)
        if (!(f->list[k] & 1))
            f->lacking += row_lacks(f, (struct row *)f->list[k]);
}

enum fold_result fold_set_rules(struct fold *f, const struct fold_rule *rules,
                                size_t n, struct fold_changes *out)
{
    uint64_t from = rules_differ_from(f, rules, n);
    /* Nor may one become a row whose text is gone. */
    bool late = (from < f->floor || from < f->dropped) && !f->loading;

    if (f->loading || late || from == UINT64_MAX) {
        exchange_rules(f, rules, n);
        return late ? FOLD_LATE : FOLD_APPLIED;
    }
    touched_begin(f);
    size_t at = journal_undo_behind(f, from);
    exchange_rules(f, rules, n);
    journal_play(f, at);
    touched_end(f, out);
    return FOLD_APPLIED;
}

bool fold_needs_values(const struct fold *f)
{
    return f->n_rules > 0;
}

void fold_values(const struct fold *f, const char *text, size_t len,
                 struct buf *out)
{
    struct buf values = BUF_INIT;

    for (size_t i = 0; i < f->n_rules; i++)
        values_add(&values, text, len, f->rules[i].field);
    values_end(&values);
    buf_add(out, values.data, values.len);
    buf_release(&values);
}

size_t fold_lacking(struct fold *f, uint64_t after, struct row **out, size_t n)
{
    size_t got = 0;

    if (f->lacking == 0)
        return 0;
    for (size_t i = list_find(f, after + 1); i < f->n_list && got < n; i++) {
        struct row *r = (struct row *)f->list[i];
        if (!(f->list[i] & 1) && row_lacks(f, r))
            out[got++] = row_ref(r);
    }
    return got;
}

size_t fold_lacking_count(const struct fold *f)
{
    return f->lacking;
}

void fold_give_values(struct fold *f, const struct row *r, const char *text,
                      size_t len)
{
    struct row *head = head_of(f, key_of(r));
    AUTO_BUF struct buf values = BUF_INIT;

    if (!head || head->id != r->id || head->version != r->version ||
        !row_lacks(f, head))
        return;
    fold_values(f, text, len, &values);
    struct row *now =
        row_new_values(row_key(head), head->key_len, head->text_len - 1,
                       values.data, values.len);
    row_copy_rest(now, head);
    fold_exchange(f, head, now);
}

const struct index *fold_index(const struct fold *f, const char *field)
{
    const struct rule *rule = find_rule(f, field);
    return rule ? rule->index : NULL;
}

struct row *fold_taken(const struct fold *f, const char *key, size_t key_len,
                       const char *text, size_t len, const char *values,
                       const char **field)
{
    AUTO_BUF struct buf form = BUF_INIT;
    struct row *rows[2];

    for (size_t i = 0; i < f->n_rules; i++) {
        const struct rule *rule = &f->rules[i];
        buf_reset(&form);
        if (rule->n_unique % 2 == 0 ||
            !(text ? value_find(text, len, rule->field, &form)
                   : values && values_find(values, strlen(values), rule->field,
                                           &form)) ||
            buf_equals(&form, VALUE_NULL, strlen(VALUE_NULL)))
            continue;
        size_t n = index_find(rule->index, form.data, form.len, 0, rows, 2);
        for (size_t k = 0; k < n; k++) {
            if (rows[k]->key_len == key_len &&
                memcmp(row_key(rows[k]), key, key_len) == 0)
                continue;
            if (field)
                *field = rule->field;
            return rows[k];
        }
    }
    return NULL;
}

bool fold_is_unique(const struct fold *f, const char *field)
{
    const struct rule *rule = find_rule(f, field);
    return rule && rule->n_unique % 2 == 1;
}

static int by_field(const void *a, const void *b)
{
    const struct rule *const *x = a, *const *y = b;
    return strcmp((*x)->field, (*y)->field);
}

void fold_unique_text(const struct fold *f, uint64_t upto, struct buf *out)
{
    const struct rule **list = xcalloc(f->n_rules, sizeof(*list));

    for (size_t i = 0; i < f->n_rules; i++)
        list[i] = &f->rules[i];
    if (f->n_rules > 1)
        qsort(list, f->n_rules, sizeof(*list), by_field);
    for (size_t i = 0; i < f->n_rules; i++) {
        const struct rule *r = list[i];
        if (r->n_unique == 0 || r->unique[0] >= upto)
            continue;
        buf_add_json(out, r->field, strlen(r->field));
        for (size_t k = 0; k < r->n_unique && r->unique[k] <= upto; k++)
            buf_printf(out, " %llu", (unsigned long long)r->unique[k]);
        buf_addc(out, ';');
    }
    free(list);
}

const char *fold_rule_at(const struct fold *f, size_t i, bool *unique)
{
    if (i >= f->n_rules)
        return NULL;
    *unique = f->rules[i].n_unique % 2 == 1;
    return f->rules[i].field;
}

/* --- asking --------------------------------------------------------------- */

struct row *fold_head(struct fold *f, const char *key, size_t key_len)
{
    return head_of(f, (struct key){key, key_len});
}

struct row *fold_find(struct fold *f, const char *key, size_t key_len)
{
    struct row *r = fold_head(f, key, key_len);
    return row_is_there(r) ? r : NULL;
}

struct row *fold_next_head(const struct fold *f, size_t *at)
{
    return map_next(&f->rows, at);
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

/* --- one in the place of another -------------------------------------------
 */

void fold_load_begin(struct fold *f, uint64_t mark, const struct fold *old)
{
    f->loading = true;
    f->mark = f->floor = mark;
    f->before = old;
    f->load_most = 4 * f->keep_bytes;
    if (!old)
        return;
    /* Rows that others still hold have their names from there. */
    names_unref(f->names);
    f->names = old->names;
    f->names->refs++;
    f->last_seq = old->last_seq;
}

bool fold_is_loading(const struct fold *f)
{
    return f->loading;
}

/* Does this version count here? */
static bool counts(const struct fold *f, const struct row *r)
{
    const struct track *t = fold_track(f, key_of(r));
    const struct row *head = head_of(f, key_of(r));

    if (!head)
        return false;
    if (head->id == r->id && head->version == r->version)
        return true;
    if (!t)
        return head->version > 1 && r->version < head->version;
    return track_at(t, r->version) == r->id ||
           (!track_is_whole(t) && r->version < t->first);
}

void fold_add_change(struct fold_changes *out, struct fold_change c)
{
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 1;
        out->list = xrealloc(out->list, out->cap * sizeof(*out->list));
    }
    out->list[out->n++] = c;
}

static struct row *never_was(const struct row *old)
{
    struct row *r = row_new(row_key(old), old->key_len, NULL, 0);

    r->deleted = true;
    r->at_ms = old->at_ms;
    r->mtime_ms = old->mtime_ms;
    r->by = old->by;
    r->seq = old->seq;
    return r;
}

bool fold_compare(const struct fold *f, struct row *old, struct row *now,
                  struct fold_change *c)
{
    if (old == now || (!old && !now))
        return false;
    /* A home or a place of the text is no change of the row. */
    if (old && now && old->id == now->id && old->version == now->version)
        return false;
    *c = (struct fold_change){
        .old = old ? row_ref(old) : NULL,
        .now = now ? row_ref(now) : never_was(old),
        .voided = old && !counts(f, old) ? row_ref(old) : NULL,
    };
    return true;
}

void fold_difference(struct fold *f, struct fold *old, struct fold_changes *out)
{
    struct fold_change c;
    struct row *r;

    for (size_t at = 0; (r = map_next(&old->rows, &at));)
        if (fold_compare(f, r, head_of(f, key_of(r)), &c))
            fold_add_change(out, c);
    for (size_t at = 0; (r = map_next(&f->rows, &at));)
        if (!head_of(old, key_of(r)) && fold_compare(f, NULL, r, &c))
            fold_add_change(out, c);
}
