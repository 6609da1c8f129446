#include "fs/draft.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "engine/base/alloc.h"

/* What a draft costs beside its bytes; keeps empty ones bounded too. */
#define DRAFT_COST 512

struct draft {
    atomic_uint refs;
    struct draft_budget *budget; /* set at creation */

    pthread_mutex_t lock; /* leaf; guards all below */
    struct buf data;
    struct draft_attr attr; /* size is data.len */
    bool uncounted;         /* takes nothing of the budget */
};

static bool budget_take(struct draft_budget *b, size_t n)
{
    size_t used = atomic_load(&b->used);

    do {
        if (n > b->max || used > b->max - n)
            return false;
    } while (!atomic_compare_exchange_weak(&b->used, &used, used + n));
    return true;
}

static void budget_give(struct draft_budget *b, size_t n)
{
    atomic_fetch_sub(&b->used, n);
}

struct draft *draft_new(struct draft_budget *budget, mode_t mode, uid_t uid,
                        gid_t gid, int64_t now_ms)
{
    if (!budget_take(budget, DRAFT_COST))
        return NULL;

    struct draft *d = xcalloc(1, sizeof(*d));
    atomic_init(&d->refs, 1);
    d->budget = budget;
    pthread_mutex_init(&d->lock, NULL);
    d->attr.mtime_ms = now_ms;
    d->attr.mode = mode & 07777;
    d->attr.uid = uid;
    d->attr.gid = gid;
    return d;
}

struct draft *draft_ref(struct draft *d)
{
    atomic_fetch_add(&d->refs, 1);
    return d;
}

void draft_unref(struct draft *d)
{
    if (!d || atomic_fetch_sub(&d->refs, 1) != 1)
        return;
    if (!d->uncounted)
        budget_give(d->budget, DRAFT_COST + d->data.len);
    buf_release(&d->data);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

void draft_uncount(struct draft *d)
{
    pthread_mutex_lock(&d->lock);
    if (!d->uncounted)
        budget_give(d->budget, DRAFT_COST + d->data.len);
    d->uncounted = true;
    pthread_mutex_unlock(&d->lock);
}

struct draft_attr draft_attr(struct draft *d)
{
    pthread_mutex_lock(&d->lock);
    struct draft_attr a = d->attr;
    a.size = d->data.len;
    pthread_mutex_unlock(&d->lock);
    return a;
}

void draft_set_mode(struct draft *d, mode_t mode)
{
    pthread_mutex_lock(&d->lock);
    d->attr.mode = mode & 07777;
    pthread_mutex_unlock(&d->lock);
}

void draft_set_owner(struct draft *d, uid_t uid, gid_t gid)
{
    pthread_mutex_lock(&d->lock);
    if (uid != (uid_t)-1)
        d->attr.uid = uid;
    if (gid != (gid_t)-1)
        d->attr.gid = gid;
    pthread_mutex_unlock(&d->lock);
}

void draft_set_mtime(struct draft *d, int64_t mtime_ms)
{
    pthread_mutex_lock(&d->lock);
    d->attr.mtime_ms = mtime_ms;
    d->attr.mtime_set = true;
    pthread_mutex_unlock(&d->lock);
}

void draft_read(struct draft *d, uint64_t offset, size_t len, struct buf *out)
{
    pthread_mutex_lock(&d->lock);
    if (offset < d->data.len) {
        size_t there = d->data.len - (size_t)offset;
        buf_add(out, d->data.data + offset, len < there ? len : there);
    }
    pthread_mutex_unlock(&d->lock);
}

/* Makes it exactly len long, with NULs where nothing was. */
static int resize_locked(struct draft *d, size_t len)
{
    if (len <= d->data.len) {
        if (!d->uncounted)
            budget_give(d->budget, d->data.len - len);
        if (len == 0)
            buf_release(&d->data);
        else
            buf_truncate(&d->data, len);
        return 0;
    }
    size_t more = len - d->data.len;
    if (d->uncounted || !budget_take(d->budget, more))
        return -ENOSPC;
    buf_reserve(&d->data, more);
    memset(d->data.data + d->data.len, 0, more + 1);
    d->data.len = len;
    return 0;
}

int draft_write(struct draft *d, uint64_t offset, const char *data, size_t len,
                int64_t now_ms)
{
    int r = 0;

    if (len == 0)
        return 0;
    if (offset > d->budget->max || len > d->budget->max)
        return -EFBIG;

    pthread_mutex_lock(&d->lock);
    size_t end = (size_t)offset + len;
    if (end > d->data.len)
        r = resize_locked(d, end);
    if (r == 0) {
        memcpy(d->data.data + offset, data, len);
        d->attr.mtime_ms = now_ms;
        d->attr.mtime_set = false;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

int draft_truncate(struct draft *d, uint64_t size, int64_t now_ms)
{
    if (size > d->budget->max)
        return -EFBIG;

    pthread_mutex_lock(&d->lock);
    int r = resize_locked(d, (size_t)size);
    if (r == 0) {
        d->attr.mtime_ms = now_ms;
        d->attr.mtime_set = false;
    }
    pthread_mutex_unlock(&d->lock);
    return r;
}

static uint64_t name_hash(const void *item)
{
    return hash_str(((const struct draft_name *)item)->name);
}

static bool name_is(const void *item, const void *key)
{
    return strcmp(((const struct draft_name *)item)->name, key) == 0;
}

static const struct map_type names_type = {name_hash, name_is};

static void name_free(struct draft_name *n)
{
    if (!n)
        return;
    draft_unref(n->draft);
    free(n->name);
    free(n->note);
    free(n);
}

void draft_set_init(struct draft_set *s)
{
    *s = (struct draft_set){MAP_INIT(&names_type), 0};
}

void draft_set_release(struct draft_set *s)
{
    size_t at = 0;
    struct draft_name *n;

    while ((n = map_next(&s->names, &at)))
        name_free(n);
    map_release(&s->names);
}

struct draft_name *draft_set_find(const struct draft_set *s, const char *name)
{
    return map_get(&s->names, hash_str(name), name);
}

struct draft_name *draft_set_put(struct draft_set *s, const char *name,
                                 struct draft *d)
{
    struct draft_name *n = xcalloc(1, sizeof(*n));

    n->name = xstrdup(name);
    n->draft = draft_ref(d);
    n->serial = ++s->last_serial;
    name_free(map_put(&s->names, n->name, n));
    return n;
}

bool draft_set_remove(struct draft_set *s, const char *name)
{
    struct draft_name *n = map_remove(&s->names, hash_str(name), name);

    name_free(n);
    return n != NULL;
}

void draft_set_rename(struct draft_set *s, const char *from, const char *to)
{
    struct draft_name *n = map_remove(&s->names, hash_str(from), from);

    if (!n)
        return;
    free(n->name);
    n->name = xstrdup(to);
    name_free(map_put(&s->names, n->name, n));
}

/* A listing asks for one after the other; sets are small, and a sorted copy
 * would have to be kept in step. */
struct draft_name *draft_set_next(const struct draft_set *s, uint64_t after)
{
    struct draft_name *n, *best = NULL;
    size_t at = 0;

    while ((n = map_next(&s->names, &at)))
        if (n->serial > after && (!best || n->serial < best->serial))
            best = n;
    return best;
}
