/* From records to rows, as docs/storage-format.md section 5 has it: every
 * record once, in the order of the messages that committed them; one counts if
 * its key's newest version is its base at that moment, and no other row has
 * its value where values are unique then.
 *
 *     records --by key, version, id--> same    finds what is told twice, and
 *                                              whether a base is known
 *     those that are left --by id--> order     played once
 */
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/verify_impl.h"

/* qsort() has no argument for it; one scan is played at a time in a thread. */
static _Thread_local const struct scan *sorted;

static int cmp(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

/* How good it is as the one that tells of its version; less is better. */
static unsigned rank(const struct scan_record *r)
{
    bool tells = r->flags & (SCAN_TEXT | SCAN_DELETE);

    return (tells ? 0u : 16u) + (r->flags & SCAN_BAD ? 8u : 0u) +
           (r->flags & SCAN_FACT ? 4u : 0u) + (r->flags & SCAN_COPY ? 2u : 0u);
}

static int by_version(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct scan_record *x = &sorted->records[i];
    const struct scan_record *y = &sorted->records[k];
    int c = cmp(x->key, y->key);

    c = c ? c : cmp(x->version, y->version);
    c = c ? c : cmp(x->id, y->id);
    c = c ? c : cmp(rank(x), rank(y));
    return c ? c : cmp(i, k);
}

static int by_id(const void *a, const void *b)
{
    uint32_t i = *(const uint32_t *)a, k = *(const uint32_t *)b;
    const struct scan_record *x = &sorted->records[i];
    const struct scan_record *y = &sorted->records[k];
    int c = cmp(x->id, y->id);

    c = c ? c : cmp(x->order, y->order);
    c = c ? c : cmp(x->version, y->version);
    return c ? c : cmp(i, k);
}

static bool is_same(const struct scan_record *a, const struct scan_record *b)
{
    return a->key == b->key && a->version == b->version && a->id == b->id;
}

/* The best of those in the same array that tell of this version. */
uint32_t scan_find_record(const struct scan *s, uint32_t key, uint32_t version,
                          uint64_t id)
{
    size_t low = 0, high = s->n_records;

    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct scan_record *r = &s->records[s->same[mid]];
        int c = cmp(r->key, key);
        c = c ? c : cmp(r->version, version);
        c = c ? c : cmp(r->id, id);
        if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    if (low == s->n_records)
        return NONE;
    const struct scan_record *r = &s->records[s->same[low]];
    return r->key == key && r->version == version && r->id == id ? s->same[low]
                                                                 : NONE;
}

/* Sorts, and finds what is told more than once. */
static void sort(struct scan *s)
{
    free(s->same);
    free(s->order);
    s->same = xcalloc(s->n_records, sizeof(*s->same));
    s->order = xcalloc(s->n_records, sizeof(*s->order));
    s->n_order = 0;
    for (uint32_t i = 0; i < s->n_records; i++)
        s->same[i] = i;
    sorted = s;
    qsort(s->same, s->n_records, sizeof(*s->same), by_version);
    for (size_t i = 0; i < s->n_records; i++) {
        struct scan_record *r = &s->records[s->same[i]];
        const struct scan_record *before =
            i > 0 ? &s->records[s->same[i - 1]] : NULL;
        r->flags &= (uint16_t)~SCAN_DUP;
        if (before && is_same(before, r))
            r->flags |= SCAN_DUP;
        else
            s->order[s->n_order++] = s->same[i];
    }
    qsort(s->order, s->n_order, sizeof(*s->order), by_id);
}

/* --- values that rows have --------------------------------------------------
 */

struct taken {
    uint64_t value; /* mixed with its field */
    uint32_t key;
};

static uint64_t taken_hash(const void *item)
{
    return ((const struct taken *)item)->value;
}

static bool taken_has(const void *item, const void *key)
{
    return ((const struct taken *)item)->value == *(const uint64_t *)key;
}

static const struct map_type taken_type = {taken_hash, taken_has};

struct player {
    struct scan *s;
    struct map taken; /* by field and value: the row that has it, of fields that
                         are ever unique */
};

bool scan_is_unique(const struct scan_field *f, uint64_t id)
{
    for (size_t i = 0; i < f->n_from_until; i += 2)
        if (id > f->from_until[i] &&
            (!f->from_until[i + 1] || id < f->from_until[i + 1]))
            return true;
    return false;
}

/* 0 where it can be in nobody's way: null and what is missing never are. */
static uint64_t value_of(const struct scan *s, uint32_t record, size_t field)
{
    uint64_t v = s->values[(size_t)record * s->n_fields + field];

    if (!v || v == scan_value_hash("raw:null", strlen("raw:null")))
        return 0;
    return v ^ hash_u64(field + 1);
}

/* Several rows may have a value that was not unique when they got it: then the
 * map knows one of them, and only the others' absence is not noticed. */
static void take_values(struct player *p, uint32_t record, bool put)
{
    const struct scan *s = p->s;

    for (size_t i = 0; i < s->n_fields; i++) {
        uint64_t v = s->fields[i].n_from_until ? value_of(s, record, i) : 0;
        if (!v)
            continue;
        struct taken *t = map_get(&p->taken, v, &v);
        if (put && !t) {
            t = xmalloc(sizeof(*t));
            *t = (struct taken){v, s->records[record].key};
            map_put(&p->taken, &t->value, t);
        } else if (!put && t && t->key == s->records[record].key) {
            free(map_remove(&p->taken, v, &v));
        }
    }
}

static bool is_free(const struct player *p, uint32_t record)
{
    const struct scan *s = p->s;
    const struct scan_record *r = &s->records[record];

    for (size_t i = 0; i < s->n_fields; i++) {
        uint64_t v = s->fields[i].n_from_until ? value_of(s, record, i) : 0;
        if (!v || !scan_is_unique(&s->fields[i], r->id))
            continue;
        const struct taken *t = map_get(&p->taken, v, &v);
        if (t && t->key != r->key)
            return false;
    }
    return true;
}

/* --- playing ----------------------------------------------------------------
 */

static bool follows(const struct scan *s, const struct scan_record *r)
{
    uint32_t head = s->keys[r->key]->head;

    if (head == NONE)
        return r->version == 1 && r->base == 0;
    return s->records[head].id == r->base &&
           s->records[head].version + 1 == r->version;
}

static void set_head(struct player *p, uint32_t key, uint32_t now)
{
    struct scan *s = p->s;
    uint32_t old = s->keys[key]->head;

    if (old != NONE && !(s->records[old].flags & SCAN_DELETE))
        take_values(p, old, false);
    if (now != NONE && !(s->records[now].flags & SCAN_DELETE))
        take_values(p, now, true);
    s->keys[key]->head = now;
}

static bool tells(const struct scan_record *r)
{
    return r->flags & (SCAN_TEXT | SCAN_DELETE);
}

/* One record, and those that count together with it: from at to the end. */
static size_t play_group(struct player *p, size_t at)
{
    struct scan *s = p->s;
    size_t end = at + 1, done = at;

    while (end < s->n_order && (s->records[s->order[end]].flags & SCAN_AND) &&
           s->records[s->order[end]].id == s->records[s->order[at]].id)
        end++;

    uint32_t before[16];
    if (end - at > sizeof(before) / sizeof(before[0]))
        end = at + sizeof(before) / sizeof(before[0]);
    for (; done < end; done++) {
        struct scan_record *r = &s->records[s->order[done]];
        before[done - at] = s->keys[r->key]->head;
        if (!tells(r) || !follows(s, r) ||
            (!(r->flags & SCAN_DELETE) && !is_free(p, s->order[done])))
            break;
        set_head(p, r->key, s->order[done]);
    }
    bool counts = done == end;
    while (!counts && done > at) {
        done--;
        set_head(p, s->records[s->order[done]].key, before[done - at]);
    }
    for (size_t i = at; i < end; i++) {
        struct scan_record *r = &s->records[s->order[i]];
        r->state = counts ? SCAN_COUNTS : tells(r) ? SCAN_VOID : SCAN_SHOWN;
    }
    return end;
}

/* What came before the fact that a key begins with. */
static bool is_settled(const struct scan *s, const struct scan_record *r)
{
    for (uint32_t i = s->keys[r->key]->records; i != NONE;
         i = s->records[i].older)
        if ((s->records[i].flags & SCAN_FACT) &&
            s->records[i].version >= r->version)
            return true;
    return false;
}

/* A void record is one whose base is known: it lost against another. The
 * others wait. By id, so that what a record builds on is decided before it. */
static void tell_waiting(struct scan *s)
{
    for (size_t i = 0; i < s->n_order; i++) {
        struct scan_record *r = &s->records[s->order[i]];
        if (r->state != SCAN_VOID || r->version == 1)
            continue;
        uint32_t base = scan_find_record(s, r->key, r->version - 1, r->base);
        if (base == NONE || s->records[base].state == SCAN_WAITS ||
            s->records[base].state == SCAN_SHOWN)
            r->state = SCAN_WAITS;
    }
}

void scan_play(struct scan *s)
{
    struct player p = {.s = s, .taken = MAP_INIT(&taken_type)};
    bool facts = false;

    sort(s);
    for (size_t i = 0; i < s->n_keys; i++)
        s->keys[i]->head = NONE;
    for (uint32_t i = 0; i < s->n_records; i++) {
        const struct scan_record *r = &s->records[i];
        s->records[i].state = SCAN_SHOWN;
        if (!(r->flags & SCAN_FACT))
            continue;
        facts = true;
        set_head(&p, r->key, scan_find_record(s, r->key, r->version, r->id));
    }
    for (size_t i = 0; i < s->n_order;) {
        struct scan_record *r = &s->records[s->order[i]];
        if (facts && is_settled(s, r)) {
            r->state = s->keys[r->key]->head == s->order[i] ? SCAN_COUNTS
                                                            : SCAN_SETTLED;
            i++;
        } else {
            i = play_group(&p, i);
        }
    }
    tell_waiting(s);
    /* What is told twice is as what tells it best. */
    for (size_t i = 1; i < s->n_records; i++)
        if (s->records[s->same[i]].flags & SCAN_DUP)
            s->records[s->same[i]].state = s->records[s->same[i - 1]].state;

    void *item;
    for (size_t at = 0; (item = map_next(&p.taken, &at));)
        free(item);
    map_release(&p.taken);
}

const struct scan_record *scan_live(const struct scan *s,
                                    const struct scan_key *k)
{
    if (k->head == NONE || (s->records[k->head].flags & SCAN_DELETE))
        return NULL;
    return &s->records[k->head];
}
