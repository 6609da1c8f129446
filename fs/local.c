#include "fs/local.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/notify.h"
#include "fs/pending.h"

/* So many times that were set are remembered. */
#define TIMES_MAX 20000

struct away {
    struct local *local;
    char *name, *key;
    size_t key_len;
    uint32_t version;
    uint64_t serial;
    bool deleting; /* the delete is on its way */
    struct table *table;
};

struct local_time {
    char *name;
    uint32_t version;
    int64_t mtime_ms;
};

static uint64_t away_hash(const void *item)
{
    return hash_str(((const struct away *)item)->name);
}

static bool away_is(const void *item, const void *key)
{
    return strcmp(((const struct away *)item)->name, key) == 0;
}

static const struct map_type away_type = {away_hash, away_is};

static uint64_t time_hash(const void *item)
{
    return hash_str(((const struct local_time *)item)->name);
}

static bool time_is(const void *item, const void *key)
{
    return strcmp(((const struct local_time *)item)->name, key) == 0;
}

static const struct map_type times_type = {time_hash, time_is};

static uint64_t local_hash(const void *item)
{
    return hash_u64(((const struct local *)item)->table_id);
}

static bool local_is(const void *item, const void *key)
{
    return ((const struct local *)item)->table_id == *(const uint64_t *)key;
}

const struct map_type locals_type = {local_hash, local_is};

static uint64_t listed_hash(const void *item)
{
    return hash_u64((uint64_t)(uintptr_t)item);
}

static bool listed_is(const void *item, const void *key)
{
    return item == key;
}

static const struct map_type listed_type = {listed_hash, listed_is};

struct local *local_of(struct mount *m, uint64_t table_id)
{
    pthread_mutex_lock(&m->lock);
    struct local *l = map_get(&m->locals, hash_u64(table_id), &table_id);
    if (!l) {
        l = xcalloc(1, sizeof(*l));
        l->mount = m;
        l->table_id = table_id;
        pthread_mutex_init(&l->lock, NULL);
        draft_set_init(&l->drafts);
        refusals_init(&l->refusals);
        l->away = MAP_INIT(&away_type);
        l->times = MAP_INIT(&times_type);
        l->listed = MAP_INIT(&listed_type);
        map_put(&m->locals, &table_id, l);
    }
    pthread_mutex_unlock(&m->lock);
    return l;
}

static void away_free(struct away *a)
{
    if (!a)
        return;
    table_unref(a->table);
    free(a->name);
    free(a->key);
    free(a);
}

static void forget_times(struct local *l)
{
    size_t at = 0;
    struct local_time *t;

    while ((t = map_next(&l->times, &at))) {
        free(t->name);
        free(t);
    }
    map_release(&l->times);
}

void local_free(struct local *l)
{
    local_forget_away(l);
    forget_times(l);
    /* The nodes go with the mount's. */
    map_release(&l->listed);
    draft_set_release(&l->drafts);
    refusals_release(&l->refusals);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

/* --- what the kernel has listed --------------------------------------------
 */

/* More are told at once, as if something had changed. */
#define LISTED_MAX 1024

/* Tells the kernel, and lets go of the nodes. */
static void tell_listed(struct local *l, struct map *listed)
{
    struct node *n;
    size_t at = 0;

    while ((n = map_next(listed, &at))) {
        notify_changed(l->mount->notify, n);
        node_unref(n);
    }
    map_release(listed);
}

/* Caller holds l->lock. */
static struct map take_listed_locked(struct local *l)
{
    struct map listed = l->listed;

    l->listed = MAP_INIT(&listed_type);
    return listed;
}

void local_listed(struct local *l, struct node *dir)
{
    struct map full = MAP_INIT(&listed_type);

    pthread_mutex_lock(&l->lock);
    if (!map_get(&l->listed, listed_hash(dir), dir)) {
        if (l->listed.count >= LISTED_MAX)
            full = take_listed_locked(l);
        map_put(&l->listed, dir, node_ref(dir));
    }
    pthread_mutex_unlock(&l->lock);
    tell_listed(l, &full);
}

void local_changed(struct local *l)
{
    pthread_mutex_lock(&l->lock);
    l->changes++;
    l->changed_ms = clock_wall_ms();
    struct map listed = take_listed_locked(l);
    pthread_mutex_unlock(&l->lock);
    tell_listed(l, &listed);
}

uint64_t local_changes(struct local *l, int64_t *ms)
{
    pthread_mutex_lock(&l->lock);
    uint64_t changes = l->changes;
    if (ms)
        *ms = l->changed_ms;
    pthread_mutex_unlock(&l->lock);
    return changes;
}

/* --- moved away ----------------------------------------------------------- */

/* A timer, or a delete under way, knows its row by name and number: the row
 * may have come back and gone again meanwhile. */
struct away_due {
    struct local *local;
    char *name;
    uint64_t serial;
};

static void due_free(struct away_due *d)
{
    free(d->name);
    free(d);
}

static struct away *find_away(const struct local *l, const char *name)
{
    return map_get(&l->away, hash_str(name), name);
}

static void table_changed(struct local *l, const char *name)
{
    struct node *dir = node_find_id(l->mount->inodes, l->table_id);

    if (!dir)
        return;
    notify_changed(l->mount->notify, dir);
    notify_name(l->mount->notify, dir, name, NULL);
    node_unref(dir);
}

static void away_deleted(void *arg, int r, struct row *row,
                         const struct err *err)
{
    struct away_due *d = arg;
    struct local *l = d->local;

    row_unref(row);
    pthread_mutex_lock(&l->lock);
    struct away *a = find_away(l, d->name);
    bool there = a && a->serial == d->serial;
    if (there)
        local_come_back(l, d->name);
    pthread_mutex_unlock(&l->lock);

    if (r < 0 && r != -ENOENT) {
        log_warn("%s was moved away and is back, since its delete failed: %s",
                 d->name, err_text(err, r));
        table_changed(l, d->name);
    }
    due_free(d);
    pendings_unhold(l->mount->pendings);
}

static void away_due(void *arg, bool late)
{
    struct away_due *d = arg;
    struct local *l = d->local;

    /* The mount ends: nobody said that the row is to go. */
    if (late) {
        due_free(d);
        return;
    }

    pthread_mutex_lock(&l->lock);
    struct away *a = find_away(l, d->name);
    if (!a || a->serial != d->serial || a->deleting) {
        pthread_mutex_unlock(&l->lock);
        due_free(d);
        return;
    }
    /* Somebody has the new file open and is about to write it. */
    if (draft_set_find(&l->drafts, d->name)) {
        pthread_mutex_unlock(&l->lock);
        notify_at(l->mount->notify, clock_mono_ms() + LOCAL_AWAY_MS, away_due,
                  d);
        return;
    }
    a->deleting = true;
    AUTO_STR char *key = a->key;
    a->key = NULL;
    struct write w = {
        .kind = WRITE_DELETE,
        .key = key,
        .key_len = a->key_len,
        .if_version = a->version,
    };
    struct table *t = table_ref(a->table);
    pthread_mutex_unlock(&l->lock);

    struct err err = ERR_INIT;
    pendings_hold(l->mount->pendings);
    int r = table_write(t, &w, away_deleted, d, NULL, &err);
    if (r < 0)
        away_deleted(d, r, NULL, &err);
    table_unref(t);
}

void local_send_away(struct local *l, struct table *t, const char *name,
                     const struct row *row)
{
    struct away *a = xcalloc(1, sizeof(*a));
    struct away_due *d = xcalloc(1, sizeof(*d));

    a->local = l;
    a->name = xstrdup(name);
    a->key = xmalloc(row->key_len + 1u);
    memcpy(a->key, row_key(row), row->key_len + 1u);
    a->key_len = row->key_len;
    a->version = row->version;
    a->serial = ++l->last_away;
    a->table = table_ref(t);
    away_free(map_put(&l->away, a->name, a));

    d->local = l;
    d->name = xstrdup(name);
    d->serial = a->serial;
    notify_at(l->mount->notify, clock_mono_ms() + LOCAL_AWAY_MS, away_due, d);
}

bool local_is_away(const struct local *l, const char *name)
{
    return find_away(l, name) != NULL;
}

bool local_is_leaving(const struct local *l, const char *name)
{
    const struct away *a = find_away(l, name);

    return a && a->deleting;
}

void local_come_back(struct local *l, const char *name)
{
    away_free(map_remove(&l->away, hash_str(name), name));
}

void local_forget_away(struct local *l)
{
    size_t at = 0;
    struct away *a;

    while ((a = map_next(&l->away, &at)))
        away_free(a);
    map_release(&l->away);
}

/* --- times ---------------------------------------------------------------- */

void local_set_mtime(struct local *l, const char *name, uint32_t version,
                     int64_t mtime_ms)
{
    struct local_time *t = map_get(&l->times, hash_str(name), name);

    if (!t) {
        if (l->times.count >= TIMES_MAX) {
            forget_times(l);
            l->times = MAP_INIT(&times_type);
        }
        t = xcalloc(1, sizeof(*t));
        t->name = xstrdup(name);
        map_put(&l->times, t->name, t);
    }
    t->version = version;
    t->mtime_ms = mtime_ms;
}

int64_t local_mtime(const struct local *l, const char *name,
                    const struct row *row)
{
    const struct local_time *t =
        l->times.count ? map_get(&l->times, hash_str(name), name) : NULL;

    return t && t->version == row->version ? t->mtime_ms : row->mtime_ms;
}

/* --- refusals ------------------------------------------------------------- */

/* Names in .rejected, each with its NUL, that stand for nothing any more.
 * Their nodes are gone before another text may have the name. Caller holds
 * l->lock; a reference for each to nodes. */
static size_t drop_nodes_locked(struct local *l, struct node *dir,
                                const struct buf *names,
                                struct node *nodes[REFUSAL_TEXTS_MAX])
{
    size_t count = 0;

    for (size_t at = 0; dir && at < names->len && count < REFUSAL_TEXTS_MAX;
         at += strlen(names->data + at) + 1) {
        struct node *n = node_find(l->mount->inodes, dir, names->data + at);
        if (!n)
            continue;
        file_gone_locked((struct file *)n);
        nodes[count++] = n;
    }
    return count;
}

void local_refused(struct local *l, const char *path, int r, const char *why,
                   const char *text, size_t len)
{
    struct mount *m = l->mount;
    AUTO_BUF struct buf dropped = BUF_INIT;
    struct node *nodes[REFUSAL_TEXTS_MAX];

    log_warn("%s refused: %s", path, why);
    pthread_mutex_lock(&l->lock);
    refusals_add(&l->refusals, clock_wall_ms(), path, r, why, text, len, m->uid,
                 m->gid, &dropped);
    struct node *table = node_find_id(m->inodes, l->table_id);
    struct node *dir = table ? node_find(m->inodes, table, ".rejected") : NULL;
    size_t count = drop_nodes_locked(l, dir, &dropped, nodes);
    struct node *file = dir ? node_find(m->inodes, dir, path) : NULL;
    pthread_mutex_unlock(&l->lock);

    for (size_t i = 0; i < count; i++) {
        AUTO_STR char *name = node_name(nodes[i], NULL);
        notify_name(m->notify, dir, name, nodes[i]);
        node_unref(nodes[i]);
    }
    if (dir)
        notify_changed(m->notify, dir);
    if (file)
        notify_changed(m->notify, file);
    node_unref(file);
    node_unref(dir);
    node_unref(table);
}

void local_refuse(struct fuse_req *req, struct local *l, const char *path,
                  int error, const char *fmt, ...)
{
    AUTO_BUF struct buf why = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&why, fmt, ap);
    va_end(ap);
    local_refused(l, path, -error, why.data, NULL, 0);
    fuse_reply_err(req, error);
}
