#include "engine/row.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"

static size_t row_size(const struct row *r)
{
    size_t n = sizeof(*r) + r->key_len + 1u;

    if (r->has_text)
        n += r->text_len + 1u;
    if (r->has_values)
        n += strlen(row_values(r)) + 1;
    return n;
}

struct row *row_new(const char *key, size_t key_len, const char *text,
                    size_t text_len)
{
    assert(key_len <= UINT16_MAX && text_len < UINT32_MAX - 1);

    struct row head = {
        .refs = 1,
        .text_len = text_len ? (uint32_t)text_len + 1 : 0,
        .key_len = (uint16_t)key_len,
        .has_text = text != NULL,
    };
    struct row *r = xmalloc(row_size(&head));
    memcpy(r, &head, sizeof(head));
    memcpy(r->data, key, key_len);
    r->data[key_len] = '\0';
    if (text) {
        char *t = r->data + key_len + 1;
        memcpy(t, text, text_len);
        t[text_len] = '\n';
        t[text_len + 1] = '\0';
    }
    return r;
}

struct row *row_new_values(const char *key, size_t key_len, size_t text_len,
                           const char *values, size_t values_len)
{
    assert(key_len <= UINT16_MAX && text_len < UINT32_MAX - 1);

    struct row head = {
        .refs = 1,
        .text_len = text_len ? (uint32_t)text_len + 1 : 0,
        .key_len = (uint16_t)key_len,
        .has_values = true,
    };
    struct row *r = xmalloc(sizeof(head) + key_len + 1 + values_len + 1);
    memcpy(r, &head, sizeof(head));
    memcpy(r->data, key, key_len);
    r->data[key_len] = '\0';
    char *v = r->data + key_len + 1;
    memcpy(v, values, values_len);
    v[values_len] = '\0';
    return r;
}

void row_copy_rest(struct row *to, const struct row *from)
{
    to->version = from->version;
    to->id = from->id;
    to->base = from->base;
    to->home = from->home;
    to->seq = from->seq;
    to->at_ms = from->at_ms;
    to->mtime_ms = from->mtime_ms;
    to->by = from->by;
    to->file = from->file;
    to->holder = from->holder;
    to->deleted = from->deleted;
}

struct row *row_copy(const struct row *r)
{
    struct row *copy = xmalloc(row_size(r));

    /* All behind refs, which others may be counting. */
    size_t from = offsetof(struct row, version);
    memcpy((char *)copy + from, (const char *)r + from, row_size(r) - from);
    atomic_init(&copy->refs, 1);
    return copy;
}

struct row *row_ref(struct row *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
    return r;
}

void row_unref(struct row *r)
{
    if (!r)
        return;
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) == 1)
        free(r);
}
