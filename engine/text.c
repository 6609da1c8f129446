/* Entries hang in a map by attachment id and in a list by last use. Texts in
 * use by somebody do not count twice: the cache holds one reference each, and
 * what it lets go lives on with its readers. */
#include "engine/text.h"

#include <errno.h>
#include <pthread.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/core.h"

struct entry {
    uint64_t file;
    struct text *text;
    struct entry *newer, *older;
};

/* One who waits for a download. */
struct waiter {
    struct waiter *next;
    text_loaded *done;
    void *arg;
};

struct download {
    struct text_cache *cache;
    uint64_t file;
    struct record record; /* its strings are in strings */
    char *strings;
    struct waiter *waiters; /* under the cache's lock */
};

struct text_cache {
    struct core *core;
    uint64_t budget; /* set before the first thread starts */

    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    struct map entries;   /* under lock, as all below */
    struct map downloads;
    struct entry *newest, *oldest;
    uint64_t bytes;
};

static uint64_t entry_hash(const void *item)
{
    return hash_u64(((const struct entry *)item)->file);
}

static bool entry_has(const void *item, const void *key)
{
    return ((const struct entry *)item)->file == *(const uint64_t *)key;
}

static uint64_t download_hash(const void *item)
{
    return hash_u64(((const struct download *)item)->file);
}

static bool download_has(const void *item, const void *key)
{
    return ((const struct download *)item)->file == *(const uint64_t *)key;
}

static const struct map_type entry_type = {entry_hash, entry_has};
static const struct map_type download_type = {download_hash, download_has};

struct text *text_new(const char *data, size_t len)
{
    struct text *t = xmalloc(sizeof(*t) + len + 2);

    atomic_init(&t->refs, 1);
    memcpy(t->data, data, len);
    if (len == 0 || data[len - 1] != '\n')
        t->data[len++] = '\n';
    t->data[len] = '\0';
    t->len = len;
    return t;
}

struct text *text_ref(struct text *t)
{
    atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
    return t;
}

void text_unref(struct text *t)
{
    if (t && atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) == 1)
        free(t);
}

struct text_cache *text_cache_new(struct core *core, uint64_t budget)
{
    struct text_cache *c = xcalloc(1, sizeof(*c));

    c->core = core;
    c->budget = budget;
    c->entries = MAP_INIT(&entry_type);
    c->downloads = MAP_INIT(&download_type);
    pthread_mutex_init(&c->lock, NULL);
    return c;
}

static void unlink_entry(struct text_cache *c, struct entry *e)
{
    *(e->newer ? &e->newer->older : &c->newest) = e->older;
    *(e->older ? &e->older->newer : &c->oldest) = e->newer;
    e->newer = e->older = NULL;
}

static void link_newest(struct text_cache *c, struct entry *e)
{
    e->older = c->newest;
    *(c->newest ? &c->newest->newer : &c->oldest) = e;
    c->newest = e;
}

/* Caller holds c->lock. */
static void drop_oldest_locked(struct text_cache *c)
{
    struct entry *e = c->oldest;

    unlink_entry(c, e);
    map_remove(&c->entries, hash_u64(e->file), &e->file);
    c->bytes -= e->text->len;
    text_unref(e->text);
    free(e);
}

void text_cache_free(struct text_cache *c)
{
    if (!c)
        return;
    while (c->oldest)
        drop_oldest_locked(c);
    map_release(&c->entries);
    map_release(&c->downloads);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static struct text *find_locked(struct text_cache *c, uint64_t file)
{
    struct entry *e = map_get(&c->entries, hash_u64(file), &file);

    if (!e)
        return NULL;
    unlink_entry(c, e);
    link_newest(c, e);
    return text_ref(e->text);
}

static void keep_locked(struct text_cache *c, uint64_t file, struct text *t)
{
    if (t->len > c->budget || map_get(&c->entries, hash_u64(file), &file))
        return;

    struct entry *e = xcalloc(1, sizeof(*e));
    e->file = file;
    e->text = text_ref(t);
    map_put(&c->entries, &e->file, e);
    link_newest(c, e);
    c->bytes += t->len;
    while (c->bytes > c->budget)
        drop_oldest_locked(c);
}

struct text *text_find(struct text_cache *c, uint64_t file)
{
    pthread_mutex_lock(&c->lock);
    struct text *t = find_locked(c, file);
    pthread_mutex_unlock(&c->lock);
    return t;
}

void text_keep(struct text_cache *c, uint64_t file, struct text *t)
{
    pthread_mutex_lock(&c->lock);
    keep_locked(c, file, t);
    pthread_mutex_unlock(&c->lock);
}

uint64_t text_cache_bytes(struct text_cache *c)
{
    pthread_mutex_lock(&c->lock);
    uint64_t bytes = c->bytes;
    pthread_mutex_unlock(&c->lock);
    return bytes;
}

static void downloaded(void *arg, int r, struct remote_reply *reply,
                       const struct err *err)
{
    struct download *d = arg;
    struct text_cache *c = d->cache;
    struct text *t = NULL;
    struct err e = ERR_INIT;

    if (r < 0) {
        e = *err;
        /* Not the row: a caller must not take it for that. */
        if (r == -ENOENT)
            r = -EIO;
        err_wrap(&e, r, "the text of '%.*s' (attachment of message %llu)",
                 (int)d->record.key_len, d->record.key,
                 (unsigned long long)d->record.holder);
    } else {
        r = record_check_file(&d->record, reply->body.data, reply->body.len,
                              &e);
    }
    if (r == 0)
        t = text_new(reply->body.data, reply->body.len);

    pthread_mutex_lock(&c->lock);
    map_remove(&c->downloads, hash_u64(d->file), &d->file);
    if (t)
        keep_locked(c, d->file, t);
    struct waiter *w = d->waiters;
    pthread_mutex_unlock(&c->lock);

    while (w) {
        struct waiter *next = w->next;
        w->done(w->arg, r, t ? text_ref(t) : NULL, &e);
        free(w);
        w = next;
    }
    text_unref(t);
    free(d->strings);
    free(d);
}

static struct download *download_new(struct text_cache *c,
                                     const struct record *r)
{
    struct download *d = xcalloc(1, sizeof(*d));
    char *s = xmalloc(r->key_len + r->by_len + r->file_name_len + 1);

    d->cache = c;
    d->file = r->file;
    d->record = *r;
    d->strings = s;
    d->record.text = NULL;
    d->record.key = s;
    memcpy(s, r->key, r->key_len);
    s += r->key_len;
    d->record.by = s;
    memcpy(s, r->by, r->by_len);
    s += r->by_len;
    d->record.file_name = s;
    memcpy(s, r->file_name, r->file_name_len);
    return d;
}

int text_load(struct text_cache *c, uint64_t channel, const struct record *r,
              struct text **out, text_loaded *done, void *arg)
{
    struct download *started = NULL;

    pthread_mutex_lock(&c->lock);
    struct text *t = find_locked(c, r->file);
    if (t) {
        pthread_mutex_unlock(&c->lock);
        *out = t;
        return 0;
    }
    struct download *d = map_get(&c->downloads, hash_u64(r->file), &r->file);
    if (!d) {
        d = started = download_new(c, r);
        map_put(&c->downloads, &d->file, d);
    }
    struct waiter *w = xcalloc(1, sizeof(*w));
    w->done = done;
    w->arg = arg;
    w->next = d->waiters;
    d->waiters = w;
    pthread_mutex_unlock(&c->lock);

    if (started) {
        struct remote_request req = {
            .op = REMOTE_DOWNLOAD,
            .priority = REMOTE_INTERACTIVE,
            .channel = channel,
            .message = r->holder,
            .file = r->file,
        };
        core_submit(c->core, &req, downloaded, started);
    }
    return 1;
}
