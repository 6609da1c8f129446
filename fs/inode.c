#include "fs/inode.h"

#include <pthread.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "fs/fs.h"

struct inodes {
    struct mount *mount; /* set at creation */

    pthread_mutex_t lock; /* leaf */
    struct map nodes;     /* under lock: all that can be found */
    struct map all;       /* under lock: all, by address */
    uint64_t generation;  /* under lock */
};

struct node_key {
    uint64_t id;
    const struct node *parent;
    const char *name;
};

static uint64_t key_hash(const struct node_key *k)
{
    if (k->id)
        return hash_u64(k->id);
    return hash_str(k->name) ^ hash_u64((uint64_t)(uintptr_t)k->parent);
}

static uint64_t node_hash(const void *item)
{
    const struct node *n = item;

    return key_hash(&(struct node_key){n->id, n->parent, n->name});
}

static bool node_has_key(const void *item, const void *key)
{
    const struct node *n = item;
    const struct node_key *k = key;

    if (n->id || k->id)
        return n->id == k->id;
    return n->parent == k->parent && strcmp(n->name, k->name) == 0;
}

static const struct map_type nodes_type = {node_hash, node_has_key};

static uint64_t address_hash(const void *item)
{
    return hash_u64((uint64_t)(uintptr_t)item);
}

static bool address_is(const void *item, const void *key)
{
    return item == key;
}

static const struct map_type all_type = {address_hash, address_is};

struct inodes *inodes_new(struct mount *m)
{
    struct inodes *t = xcalloc(1, sizeof(*t));

    t->mount = m;
    pthread_mutex_init(&t->lock, NULL);
    t->nodes = MAP_INIT(&nodes_type);
    t->all = MAP_INIT(&all_type);
    return t;
}

static void destroy(struct node *n)
{
    if (n->type->release)
        n->type->release(n);
    free(n->name);
    free(n);
}

void inodes_free(struct inodes *t)
{
    size_t at = 0;
    struct node *n;

    if (!t)
        return;
    while ((n = map_next(&t->all, &at)))
        destroy(n);
    map_release(&t->nodes);
    map_release(&t->all);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

size_t inodes_count(struct inodes *t)
{
    pthread_mutex_lock(&t->lock);
    size_t n = t->all.count;
    pthread_mutex_unlock(&t->lock);
    return n;
}

static struct node *find_locked(struct inodes *t, const struct node_key *key)
{
    struct node *n = map_get(&t->nodes, key_hash(key), key);

    if (n)
        n->refs++;
    return n;
}

static struct node *get(struct inodes *t, const struct node_type *type,
                        const struct node_key *key, const void *arg)
{
    pthread_mutex_lock(&t->lock);
    struct node *n = find_locked(t, key);
    if (!n) {
        n = xcalloc(1, type->size ? type->size : sizeof(*n));
        n->type = type;
        n->mount = t->mount;
        n->id = key->id;
        n->generation = ++t->generation;
        n->refs = 1;
        n->hashed = true;
        if (key->name)
            n->name = xstrdup(key->name);
        if (key->parent) {
            n->parent = (struct node *)(uintptr_t)key->parent;
            n->parent->refs++;
        }
        if (type->init)
            type->init(n, arg);
        struct node_key own = {n->id, n->parent, n->name};
        map_put(&t->nodes, &own, n);
        map_put(&t->all, n, n);
    }
    pthread_mutex_unlock(&t->lock);
    return n;
}

struct node *node_get(struct inodes *t, const struct node_type *type,
                      struct node *parent, const char *name, const void *arg)
{
    return get(t, type, &(struct node_key){0, parent, name}, arg);
}

struct node *node_get_id(struct inodes *t, const struct node_type *type,
                         uint64_t id, const void *arg)
{
    return get(t, type, &(struct node_key){id, NULL, NULL}, arg);
}

struct node *node_find(struct inodes *t, const struct node *parent,
                       const char *name)
{
    pthread_mutex_lock(&t->lock);
    struct node *n = find_locked(t, &(struct node_key){0, parent, name});
    pthread_mutex_unlock(&t->lock);
    return n;
}

struct node *node_find_id(struct inodes *t, uint64_t id)
{
    pthread_mutex_lock(&t->lock);
    struct node *n = find_locked(t, &(struct node_key){id, NULL, NULL});
    pthread_mutex_unlock(&t->lock);
    return n;
}

struct node *node_ref(struct node *n)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    n->refs++;
    pthread_mutex_unlock(&t->lock);
    return n;
}

static void unhash_locked(struct inodes *t, struct node *n)
{
    if (!n->hashed)
        return;
    struct node_key key = {n->id, n->parent, n->name};
    map_remove(&t->nodes, key_hash(&key), &key);
    n->hashed = false;
}

/* Lets go of count references; a node that nobody holds any more is freed,
 * and with it its hold on its directory. */
static void drop(struct inodes *t, struct node *n, uint64_t count)
{
    while (n) {
        pthread_mutex_lock(&t->lock);
        n->refs -= count;
        bool dead = n->refs == 0;
        struct node *parent = n->parent;
        if (dead) {
            unhash_locked(t, n);
            map_remove(&t->all, address_hash(n), n);
        }
        pthread_mutex_unlock(&t->lock);
        if (!dead)
            return;
        destroy(n);
        n = parent;
        count = 1;
    }
}

void node_unref(struct node *n)
{
    if (n)
        drop(n->mount->inodes, n, 1);
}

/* Each count of the kernel's is a reference. */
void node_remember(struct node *n)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    n->lookups++;
    n->refs++;
    pthread_mutex_unlock(&t->lock);
}

void node_forget(struct node *n, uint64_t count)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    if (count > n->lookups)
        count = n->lookups;
    n->lookups -= count;
    pthread_mutex_unlock(&t->lock);
    if (count > 0)
        drop(t, n, count);
}

bool node_is_known(struct node *n)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    bool known = n->lookups > 0;
    pthread_mutex_unlock(&t->lock);
    return known || n == n->mount->root;
}

void node_unhash(struct node *n)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    unhash_locked(t, n);
    pthread_mutex_unlock(&t->lock);
}

void node_move(struct node *n, struct node *parent, const char *name)
{
    struct inodes *t = n->mount->inodes;
    struct node *old_parent;

    pthread_mutex_lock(&t->lock);
    unhash_locked(t, n);
    old_parent = n->parent;
    n->parent = parent;
    parent->refs++;
    free(n->name);
    n->name = xstrdup(name);
    struct node_key key = {0, parent, n->name};
    struct node *other = map_get(&t->nodes, key_hash(&key), &key);
    if (other)
        unhash_locked(t, other);
    map_put(&t->nodes, &key, n);
    n->hashed = true;
    pthread_mutex_unlock(&t->lock);
    if (old_parent)
        drop(t, old_parent, 1);
}

char *node_name(struct node *n, struct node **parent)
{
    struct inodes *t = n->mount->inodes;

    pthread_mutex_lock(&t->lock);
    char *name = xstrdup(n->name ? n->name : "");
    if (parent) {
        *parent = n->parent;
        if (n->parent)
            n->parent->refs++;
    }
    pthread_mutex_unlock(&t->lock);
    return name;
}
