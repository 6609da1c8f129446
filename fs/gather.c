#include "fs/gather.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/pending.h"
#include "fs/writer.h"

/* One text on its way to the type's store(). */
struct errand {
    struct node *node;     /* a reference */
    struct handle *handle; /* a reference */
    struct buf text;
    size_t size; /* of the write that is to be answered; 0: a flush */
    int r;
    atomic_bool stopped;
    struct pending *pending;
};

void gather_open(struct fuse_req *req, struct node *n,
                 struct fuse_file_info *fi, const char *base, size_t len,
                 bool created)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);
    struct handle *h;

    struct draft *d =
        draft_new(&n->mount->drafts, 0600, ctx->uid, ctx->gid, clock_wall_ms());
    int r = d ? 0 : -ENOSPC;
    if (r == 0 && len > 0 && !(fi->flags & O_TRUNC))
        r = draft_write(d, 0, base, len, clock_wall_ms());
    if (r < 0) {
        draft_unref(d);
        n->type->refused(
            n, r, "there is no room left to collect what is written", NULL, 0);
        fuse_reply_err(req, -r);
        return;
    }
    h = handle_new(n, fi->flags);
    h->direct = true;
    h->draft = d;
    fi->direct_io = 1;
    fi->noflush = !handle_writes(h);
    handle_give(h, fi);
    r = created ? fs_reply_created(req, n, fi) : fuse_reply_open(req, fi);
    if (r < 0)
        handle_unref(h);
}

static void all_of(struct handle *h, struct buf *out)
{
    draft_read(h->draft, 0, draft_attr(h->draft).size, out);
}

void gather_read(struct fuse_req *req, struct node *n, struct handle *h,
                 size_t size, off_t off)
{
    AUTO_BUF struct buf part = BUF_INIT;

    if (h && h->draft) {
        draft_read(h->draft, (uint64_t)off, size, &part);
    } else if (n->type->text) {
        AUTO_BUF struct buf all = BUF_INIT;
        n->type->text(n, &all);
        size_t at = (size_t)off < all.len ? (size_t)off : all.len;
        buf_add(&part, all.data ? all.data + at : "",
                size < all.len - at ? size : all.len - at);
    }
    fuse_reply_buf(req, part.data, part.len);
}

/* On the notifier's thread: what it changed can be seen. */
static void finish(void *arg)
{
    struct errand *e = arg;
    struct pendings *ps = e->node->mount->pendings;
    fuse_req_t req = pending_finish(e->pending);

    if (req && e->r < 0)
        fuse_reply_err(req, fs_errno(e->r));
    else if (req && e->size > 0)
        fuse_reply_write(req, e->size);
    else if (req)
        fuse_reply_err(req, 0);
    buf_release(&e->text);
    handle_unref(e->handle);
    node_unref(e->node);
    free(e);
    pendings_unhold(ps);
}

static void store(void *arg)
{
    struct errand *e = arg;
    struct err err = ERR_INIT;
    struct node *n = e->node;

    e->r = n->type->store(n, e->text.data ? e->text.data : "", e->text.len,
                          &e->stopped, &err);
    if (e->r < 0 && e->r != -EINTR)
        n->type->refused(n, e->r, err_text(&err, e->r), e->text.data,
                         e->text.len);
    notify_then(n->mount->notify, n, finish, e);
}

static void start(fuse_req_t req, struct node *n, struct handle *h, size_t size)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    e->node = node_ref(n);
    e->handle = handle_ref(h);
    e->size = size;
    atomic_init(&e->stopped, false);
    all_of(h, &e->text);
    e->pending = pending_new(n->mount->pendings, req);
    pending_cancels(e->pending, &e->stopped);
    engine_spawn(n->mount->engine, store, e);
}

/* Once for each text: who closes it twice hears of it once. */
static bool take_dirty(struct handle *h)
{
    pthread_mutex_lock(&h->lock);
    bool dirty = h->wrote;
    h->wrote = false;
    pthread_mutex_unlock(&h->lock);
    return dirty;
}

static bool is_whole_line(struct node *n, struct handle *h, const char *data,
                          size_t size)
{
    AUTO_BUF struct buf text = BUF_INIT;

    if (size == 0 || data[size - 1] != '\n')
        return false;
    all_of(h, &text);
    return n->type->is_ready(n, text.data, text.len);
}

void gather_write(struct fuse_req *req, struct node *n, struct handle *h,
                  const char *data, size_t size, off_t off)
{
    uint64_t at =
        h->flags & O_APPEND ? draft_attr(h->draft).size : (uint64_t)off;

    int r = draft_write(h->draft, at, data, size, clock_wall_ms());
    if (r < 0) {
        n->type->refused(n, r,
                         "it takes more than this mount keeps in memory for "
                         "what is being written; write it in parts",
                         NULL, 0);
        fuse_reply_err(req, -r);
        return;
    }
    pthread_mutex_lock(&h->lock);
    h->wrote = true;
    pthread_mutex_unlock(&h->lock);
    if (n->type->is_ready && writer_is_shell(fuse_req_ctx(req)->pid) &&
        is_whole_line(n, h, data, size) && take_dirty(h))
        start(req, n, h, size);
    else
        fuse_reply_write(req, size);
}

void gather_flush(struct fuse_req *req, struct node *n, struct handle *h)
{
    if (h && h->draft && take_dirty(h))
        start(req, n, h, 0);
    else
        fuse_reply_err(req, 0);
}

void gather_setattr(struct fuse_req *req, struct node *n, const struct stat *st,
                    int which, struct fuse_file_info *fi)
{
    struct handle *h = handle_of(fi);
    struct stat now;

    if ((which & FUSE_SET_ATTR_SIZE) && h && h->draft) {
        int r =
            draft_truncate(h->draft, (uint64_t)st->st_size, clock_wall_ms());
        if (r < 0) {
            fuse_reply_err(req, -r);
            return;
        }
        pthread_mutex_lock(&h->lock);
        h->wrote = st->st_size > 0;
        pthread_mutex_unlock(&h->lock);
        if (n->type->attr(n, &now) == 0) {
            now.st_size = st->st_size;
            fuse_reply_attr(req, &now, 0);
            return;
        }
    }
    /* To nothing by name says that something will come. */
    if ((which & FUSE_SET_ATTR_SIZE) && !h && st->st_size != 0)
        fuse_reply_err(req, EINVAL);
    else
        fs_reply_attr(req, n);
}

void gather_release(struct node *n, struct handle *h)
{
    /* Its size was the writer's. */
    if (handle_writes(h))
        notify_changed(n->mount->notify, n);
}
