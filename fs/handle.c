#include "fs/handle.h"

#include <fcntl.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "fs/changes.h"
#include "fs/fs.h"

struct handle *handle_new(struct node *n, int flags)
{
    struct handle *h = xcalloc(1, sizeof(*h));

    atomic_init(&h->refs, 1);
    pthread_mutex_init(&h->lock, NULL);
    h->node = node_ref(n);
    h->flags = flags;
    h->body = BUF_INIT;
    h->spill = -1;
    atomic_fetch_add(&n->mount->handles, 1);
    pthread_mutex_lock(&n->mount->lock);
    map_put(&n->mount->open, h, h);
    pthread_mutex_unlock(&n->mount->lock);
    return h;
}

static void destroy(struct handle *h)
{
    follower_free(h->follower);
    edit_release(&h->edit);
    buf_release(&h->body);
    if (h->spill >= 0)
        close(h->spill);
    row_unref(h->row);
    draft_unref(h->draft);
    if (h->text)
        text_unref(h->text);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

static uint64_t handle_hash(const void *item)
{
    return hash_u64((uint64_t)(uintptr_t)item);
}

static bool handle_is(const void *item, const void *key)
{
    return item == key;
}

const struct map_type handles_type = {handle_hash, handle_is};

void handles_free(struct mount *m)
{
    struct handle *h;
    size_t at = 0;

    while ((h = map_next(&m->open, &at)))
        destroy(h);
    map_release(&m->open);
}

struct handle *handle_ref(struct handle *h)
{
    atomic_fetch_add(&h->refs, 1);
    return h;
}

void handle_unref(struct handle *h)
{
    if (!h || atomic_fetch_sub(&h->refs, 1) != 1)
        return;
    struct node *n = h->node;
    atomic_fetch_sub(&n->mount->handles, 1);
    pthread_mutex_lock(&n->mount->lock);
    map_remove(&n->mount->open, handle_hash(h), h);
    pthread_mutex_unlock(&n->mount->lock);
    destroy(h);
    node_unref(n);
}

bool handles_gathered(struct node *n, struct buf *text)
{
    struct handle *h;
    size_t at = 0;
    bool found = false;

    pthread_mutex_lock(&n->mount->lock);
    while (!found && (h = map_next(&n->mount->open, &at))) {
        if (h->node != n)
            continue;
        pthread_mutex_lock(&h->lock);
        found = h->edit.active && h->edit.dirty;
        if (found)
            buf_add(text, h->edit.text.data, h->edit.text.len);
        pthread_mutex_unlock(&h->lock);
    }
    pthread_mutex_unlock(&n->mount->lock);
    return found;
}

void handles_let_go(struct node *n)
{
    struct handle *h;
    size_t at = 0;

    pthread_mutex_lock(&n->mount->lock);
    while ((h = map_next(&n->mount->open, &at))) {
        if (h->node != n)
            continue;
        pthread_mutex_lock(&h->lock);
        edit_release(&h->edit);
        h->round++;
        h->fresh = h->must_be_new = h->broken = false;
        pthread_mutex_unlock(&h->lock);
    }
    pthread_mutex_unlock(&n->mount->lock);
}

bool handle_writes(const struct handle *h)
{
    return (h->flags & O_ACCMODE) != O_RDONLY;
}

void handle_give(struct handle *h, struct fuse_file_info *fi)
{
    fi->fh = (uint64_t)(uintptr_t)h;
}

struct handle *handle_of(const struct fuse_file_info *fi)
{
    return fi ? (struct handle *)(uintptr_t)fi->fh : NULL;
}
