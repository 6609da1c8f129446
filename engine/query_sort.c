/* The order of a query's rows. A row's place is a run of bytes, one part for
 * each sort key, so that a comparison is one memcmp() and the row's text need
 * not be at hand:
 *
 *     01 missing   02 null   03 00 false   03 01 true
 *     04 number: 00 and the bytes of its negation, inverted, below zero;
 *                01 zero; 02, the power of ten (8 bytes, from 2^63), the
 *                digits, 00 above
 *     05 string: its bytes, a NUL as 00 ff; 00 00
 *     06 array or object
 *
 * No part begins another; a descending key has all its bytes inverted. */
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query_impl.h"

static void add_power(struct buf *out, int64_t power)
{
    uint64_t v = (uint64_t)power + ((uint64_t)1 << 63);

    for (int shift = 56; shift >= 0; shift -= 8)
        buf_addc(out, (char)(v >> shift));
}

static void add_number(const char *s, size_t len, struct buf *out)
{
    AUTO_BUF struct buf form = BUF_INIT;
    size_t digits_from, digits;
    int64_t power, n;

    if (query_small_number(s, len, &n)) {
        /* The most there are; the form is the text but for its zeros. */
        size_t i = s[0] == '-';
        while (i + 1 < len && s[i] == '0')
            i++;
        power = (int64_t)(len - i) - 1;
        if (n == 0) {
            buf_addc(out, 1);
            return;
        }
        while (s[len - 1] == '0')
            len--;
        digits_from = i;
        digits = len - i;
    } else {
        json_number_canonical(s, len, &form);
        const char *e = strchr(form.data, 'e');
        if (!e) {
            buf_addc(out, 1);
            return;
        }
        s = form.data;
        digits_from = s[0] == '-';
        digits = (size_t)(e - s) - digits_from;
        power = strtoll(e + 1, NULL, 10);
    }
    bool negative = s[0] == '-';
    buf_addc(out, negative ? 0 : 2);
    size_t from = out->len;
    add_power(out, power);
    buf_add(out, s + digits_from, digits);
    buf_addc(out, 0);
    for (size_t i = from; negative && i < out->len; i++)
        out->data[i] = (char)~out->data[i];
}

static void add_string(const char *s, size_t len, struct buf *out)
{
    struct json_chars c;
    const char *run;
    size_t n;

    json_chars_init(&c, s, len);
    while (json_chars_next(&c, &run, &n)) {
        /* Only an escape can stand for a NUL. */
        buf_add(out, run, n);
        if (n == 1 && run[0] == '\0')
            buf_addc(out, '\xff');
    }
    buf_add(out, "\0\0", 2);
}

static void add_part(struct query_span v, struct buf *out)
{
    if (!v.at) {
        buf_addc(out, 1);
        return;
    }
    switch (json_type_of(v.at, v.len)) {
    case JSON_NULL:
        buf_addc(out, 2);
        break;
    case JSON_BOOL:
        buf_addc(out, 3);
        buf_addc(out, v.at[0] == 't');
        break;
    case JSON_NUMBER:
        buf_addc(out, 4);
        add_number(v.at, v.len, out);
        break;
    case JSON_STRING:
        buf_addc(out, 5);
        add_string(v.at, v.len, out);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_addc(out, 6);
        break;
    }
}

void query_sort_key(const struct query *q, const char *text, size_t len,
                    struct buf *out)
{
    struct query_picked picked;

    if (q->sort.n == 0)
        return;
    query_pick_run(&q->sort, text, len, &picked, NULL, NULL);
    for (size_t i = 0; i < q->sort.n; i++) {
        size_t from = out->len;
        add_part(picked.span[i], out);
        for (size_t k = from; q->down[i] && k < out->len; k++)
            out->data[k] = (char)~out->data[k];
    }
}

/* --- the first of many ---------------------------------------------------- */

struct entry {
    uint64_t head; /* the key's first bytes, as a number in their order */
    uint64_t seq;
    void *item;
    char *key;
    size_t len;
};

struct query_top {
    const struct query *q;
    size_t most;           /* SIZE_MAX: all */
    struct entry *entries; /* most of them: a heap, the last in order first */
    size_t n, cap;
    struct buf key; /* of the row at hand */
    void **items;
};

struct query_top *query_top_new(const struct query *q)
{
    struct query_top *t = xcalloc(1, sizeof(*t));

    t->q = q;
    t->most =
        q->limit < SIZE_MAX - q->skip ? (size_t)(q->limit + q->skip) : SIZE_MAX;
    return t;
}

void query_top_free(struct query_top *t)
{
    if (!t)
        return;
    for (size_t i = 0; i < t->n; i++)
        free(t->entries[i].key);
    free(t->entries);
    free(t->items);
    buf_release(&t->key);
    free(t);
}

static uint64_t head_of(const char *key, size_t len)
{
    uint64_t v = 0;

    for (size_t i = 0; i < 8; i++)
        v = v << 8 | (i < len ? (unsigned char)key[i] : 0u);
    return v;
}

static int compare(const struct entry *a, const struct entry *b)
{
    if (a->head != b->head)
        return a->head < b->head ? -1 : 1;
    size_t least = a->len < b->len ? a->len : b->len;
    int d = least ? memcmp(a->key, b->key, least) : 0;
    if (d != 0)
        return d;
    if (a->len != b->len)
        return a->len < b->len ? -1 : 1;
    return (a->seq > b->seq) - (a->seq < b->seq);
}

static int by_order(const void *a, const void *b)
{
    return compare(a, b);
}

static void swap(struct entry *a, struct entry *b)
{
    struct entry old = *a;

    *a = *b;
    *b = old;
}

static void sift_down(struct query_top *t)
{
    for (size_t i = 0;;) {
        size_t last = i, child = 2 * i + 1;
        for (size_t c = child; c < child + 2 && c < t->n; c++)
            if (compare(&t->entries[c], &t->entries[last]) > 0)
                last = c;
        if (last == i)
            return;
        swap(&t->entries[i], &t->entries[last]);
        i = last;
    }
}

static void sift_up(struct query_top *t)
{
    for (size_t i = t->n - 1; i > 0;) {
        size_t parent = (i - 1) / 2;
        if (compare(&t->entries[parent], &t->entries[i]) >= 0)
            return;
        swap(&t->entries[i], &t->entries[parent]);
        i = parent;
    }
}

void *query_top_add(struct query_top *t, const char *text, size_t len,
                    uint64_t seq, void *item)
{
    void *out = NULL;

    buf_reset(&t->key);
    query_sort_key(t->q, text, len, &t->key);
    struct entry e = {
        .head = head_of(t->key.data, t->key.len),
        .seq = seq,
        .item = item,
        .key = t->key.data,
        .len = t->key.len,
    };
    if (t->n == t->most) {
        if (t->n == 0 || compare(&e, &t->entries[0]) >= 0)
            return item;
        out = t->entries[0].item;
        free(t->entries[0].key);
    }
    e.key = xmalloc(e.len);
    if (e.len > 0)
        memcpy(e.key, t->key.data, e.len);
    if (out) {
        t->entries[0] = e;
        sift_down(t);
        return out;
    }
    if (t->n == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->entries = xrealloc(t->entries, t->cap * sizeof(*t->entries));
    }
    t->entries[t->n++] = e;
    if (t->most != SIZE_MAX)
        sift_up(t);
    return NULL;
}

void **query_top_items(struct query_top *t, size_t *n)
{
    free(t->items);
    t->items = xmalloc(t->n * sizeof(*t->items));
    if (t->n > 1)
        qsort(t->entries, t->n, sizeof(*t->entries), by_order);
    for (size_t i = 0; i < t->n; i++)
        t->items[i] = t->entries[i].item;
    *n = t->n;
    return t->items;
}
