/* Open addressing with linear probing over two arrays, so that a slot has 12
 * bytes: 32 bits of the value's hash, and the row. A row's place is its hash as
 * a fraction of the size: who grows walks both tables once from left to right,
 * and no value is computed again.
 *
 * A slot's pointer is a row, or, with its lowest bit set, a list of rows. */
#include "engine/index.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/value.h"

struct list {
    size_t n, cap;
    struct row *rows[]; /* by seq */
};

struct index {
    uint32_t *hashes;
    uintptr_t *slots; /* 0: empty */
    size_t cap, used, rows, list_bytes;
    struct buf form, *other; /* between calls: memory alone */
    char field[];
};

#define CAP_LEAST 64

struct index *index_new(const char *field)
{
    size_t len = strlen(field) + 1;
    struct index *ix = xcalloc(1, sizeof(*ix) + len);

    memcpy(ix->field, field, len);
    ix->other = xcalloc(1, sizeof(*ix->other));
    return ix;
}

static struct list *list_in(uintptr_t slot)
{
    return slot & 1 ? (struct list *)(slot - 1) : NULL;
}

void index_free(struct index *ix)
{
    if (!ix)
        return;
    for (size_t i = 0; i < ix->cap; i++)
        free(list_in(ix->slots[i]));
    free(ix->hashes);
    free(ix->slots);
    buf_release(&ix->form);
    buf_release(ix->other);
    free(ix->other);
    free(ix);
}

const char *index_field(const struct index *ix)
{
    return ix->field;
}

bool row_value(const struct row *r, const char *field, struct buf *out)
{
    if (r->has_text)
        return value_find(row_text(r), r->text_len - 1, field, out);
    if (r->has_values)
        return values_find(row_values(r), strlen(row_values(r)), field, out);
    return false;
}

bool row_tells_value(const struct row *r, const char *field)
{
    return row_text(r) ||
           (row_values(r) &&
            values_tell(row_values(r), strlen(row_values(r)), field));
}

/* --- slots ---------------------------------------------------------------- */

static size_t place_of(const struct index *ix, uint32_t hash)
{
    return (size_t)((uint64_t)hash * ix->cap >> 32);
}

static struct row *first_in(uintptr_t slot)
{
    const struct list *l = list_in(slot);
    return l ? l->rows[0] : (struct row *)slot;
}

/* Does the slot hold this value? Its rows are asked: a hash may be another's.
 */
static bool has_value(const struct index *ix, uintptr_t slot, const char *value,
                      size_t len)
{
    struct buf *form = ix->other;

    buf_reset(form);
    return row_value(first_in(slot), ix->field, form) &&
           buf_equals(form, value, len);
}

/* The value's slot, or the empty one where it would go. */
static size_t find_slot(const struct index *ix, uint32_t hash,
                        const char *value, size_t len)
{
    size_t i = place_of(ix, hash);

    for (; ix->slots[i]; i = i + 1 == ix->cap ? 0 : i + 1)
        if (ix->hashes[i] == hash && has_value(ix, ix->slots[i], value, len))
            break;
    return i;
}

static void put_slot(struct index *ix, uint32_t hash, uintptr_t slot)
{
    size_t i = place_of(ix, hash);

    while (ix->slots[i])
        i = i + 1 == ix->cap ? 0 : i + 1;
    ix->hashes[i] = hash;
    ix->slots[i] = slot;
}

static void resize(struct index *ix, size_t cap)
{
    struct index old = *ix;

    ix->cap = cap;
    ix->hashes = xmalloc(cap * sizeof(*ix->hashes));
    ix->slots = xcalloc(cap, sizeof(*ix->slots));
    for (size_t i = 0; i < old.cap; i++)
        if (old.slots[i])
            put_slot(ix, old.hashes[i], old.slots[i]);
    free(old.hashes);
    free(old.slots);
}

static void free_slot(struct index *ix, size_t i)
{
    /* Close the gap: what stands behind it moves up, unless that would put it
     * before its own place. */
    for (size_t j = i + 1 == ix->cap ? 0 : i + 1; ix->slots[j];
         j = j + 1 == ix->cap ? 0 : j + 1) {
        size_t home = place_of(ix, ix->hashes[j]);
        size_t from_home = j >= home ? j - home : j + ix->cap - home;
        size_t from_gap = j >= i ? j - i : j + ix->cap - i;
        if (from_home >= from_gap) {
            ix->slots[i] = ix->slots[j];
            ix->hashes[i] = ix->hashes[j];
            i = j;
        }
    }
    ix->slots[i] = 0;
    ix->used--;
}

static uint32_t hash_of(const char *value, size_t len)
{
    return (uint32_t)(hash_bytes(value, len) >> 32);
}

/* --- lists ---------------------------------------------------------------- */

static size_t list_size(size_t cap)
{
    return sizeof(struct list) + cap * sizeof(struct row *);
}

/* The first place with a seq of at least seq. */
static size_t list_place(const struct list *l, uint64_t seq)
{
    size_t low = 0, high = l->n;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (l->rows[mid]->seq < seq)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct list *list_resize(struct index *ix, struct list *l, size_t cap)
{
    if (l)
        ix->list_bytes -= list_size(l->cap);
    l = xrealloc(l, list_size(cap));
    l->cap = cap;
    ix->list_bytes += list_size(cap);
    return l;
}

static struct list *list_put(struct index *ix, struct list *l, struct row *r)
{
    if (l->n == l->cap)
        l = list_resize(ix, l, l->cap + l->cap / 2 + 1);
    size_t i = list_place(l, r->seq);
    memmove(&l->rows[i + 1], &l->rows[i], (l->n - i) * sizeof(*l->rows));
    l->rows[i] = r;
    l->n++;
    return l;
}

/* --- rows in and out ------------------------------------------------------ */

static void put(struct index *ix, struct row *r, const char *value, size_t len)
{
    if ((ix->used + 1) * 10 > ix->cap * 9)
        resize(ix, ix->cap ? ix->cap + ix->cap / 2 : CAP_LEAST);

    uint32_t hash = hash_of(value, len);
    size_t i = find_slot(ix, hash, value, len);
    ix->rows++;
    if (!ix->slots[i]) {
        ix->hashes[i] = hash;
        ix->slots[i] = (uintptr_t)r;
        ix->used++;
        return;
    }
    struct list *l = list_in(ix->slots[i]);
    if (!l) {
        l = list_resize(ix, NULL, 4);
        l->n = 1;
        l->rows[0] = (struct row *)ix->slots[i];
    }
    ix->slots[i] = (uintptr_t)list_put(ix, l, r) | 1;
}

static void take(struct index *ix, const struct row *r, const char *value,
                 size_t len)
{
    size_t i = find_slot(ix, hash_of(value, len), value, len);
    struct list *l = list_in(ix->slots[i]);

    assert(ix->slots[i]);
    ix->rows--;
    if (!l) {
        assert((const struct row *)ix->slots[i] == r);
        free_slot(ix, i);
        if (ix->cap > CAP_LEAST && ix->used * 4 < ix->cap)
            resize(ix, ix->cap / 2);
        return;
    }
    size_t k = list_place(l, r->seq);
    assert(k < l->n && l->rows[k] == r);
    memmove(&l->rows[k], &l->rows[k + 1],
            (l->n - k - 1) * sizeof(struct row *));
    if (--l->n == 1) {
        ix->slots[i] = (uintptr_t)l->rows[0];
        ix->list_bytes -= list_size(l->cap);
        free(l);
    } else if (l->n * 4 < l->cap) {
        ix->slots[i] = (uintptr_t)list_resize(ix, l, l->cap / 2) | 1;
    }
}

void index_put(struct index *ix, struct row *r)
{
    buf_reset(&ix->form);
    if (row_value(r, ix->field, &ix->form))
        put(ix, r, ix->form.data, ix->form.len);
}

void index_remove(struct index *ix, const struct row *r)
{
    buf_reset(&ix->form);
    if (row_value(r, ix->field, &ix->form))
        take(ix, r, ix->form.data, ix->form.len);
}

void index_replace(struct index *ix, const struct row *old, struct row *now)
{
    AUTO_BUF struct buf was = BUF_INIT;

    buf_reset(&ix->form);
    bool had = row_value(old, ix->field, &was);
    bool has = row_value(now, ix->field, &ix->form);
    if (had && has && buf_equals(&was, ix->form.data, ix->form.len)) {
        size_t i = find_slot(ix, hash_of(was.data, was.len), was.data, was.len);
        struct list *l = list_in(ix->slots[i]);
        assert(ix->slots[i] && old->seq == now->seq);
        if (l)
            l->rows[list_place(l, now->seq)] = now;
        else
            ix->slots[i] = (uintptr_t)now;
        return;
    }
    if (had)
        take(ix, old, was.data, was.len);
    if (has)
        put(ix, now, ix->form.data, ix->form.len);
}

/* --- asking --------------------------------------------------------------- */

static uintptr_t slot_of(const struct index *ix, const char *value, size_t len)
{
    return ix->cap ? ix->slots[find_slot(ix, hash_of(value, len), value, len)]
                   : 0;
}

size_t index_find(const struct index *ix, const char *value, size_t len,
                  uint64_t after, struct row **out, size_t n)
{
    uintptr_t slot = slot_of(ix, value, len);
    const struct list *l = list_in(slot);

    if (!slot || n == 0)
        return 0;
    if (!l) {
        out[0] = (struct row *)slot;
        return out[0]->seq > after;
    }
    size_t i = list_place(l, after + 1), got = l->n - i < n ? l->n - i : n;
    memcpy(out, &l->rows[i], got * sizeof(*out));
    return got;
}

static size_t count_in(uintptr_t slot)
{
    const struct list *l = list_in(slot);
    return l ? l->n : slot != 0;
}

size_t index_count(const struct index *ix, const char *value, size_t len)
{
    return count_in(slot_of(ix, value, len));
}

size_t index_rows(const struct index *ix)
{
    return ix->rows;
}

size_t index_values(const struct index *ix)
{
    return ix->used;
}

size_t index_bytes(const struct index *ix)
{
    return sizeof(*ix) + ix->cap * (sizeof(*ix->hashes) + sizeof(*ix->slots)) +
           ix->list_bytes;
}

struct row *index_next(const struct index *ix, size_t *at, size_t *count)
{
    while (*at < ix->cap) {
        uintptr_t slot = ix->slots[(*at)++];
        if (!slot)
            continue;
        *count = count_in(slot);
        return first_in(slot);
    }
    return NULL;
}
