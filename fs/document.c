#include "fs/document.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/pending.h"
#include "fs/writer.h"

enum origin { FROM_WRITE, FROM_TRUNCATE, FROM_FLUSH };

struct errand {
    struct commit commit; /* first: commit_done() gets it back */
    struct handle *handle;
    struct buf text;
    uint64_t round;
    enum origin origin;
    size_t size; /* of the write */
    int r;
};

static void answer(fuse_req_t req, struct node *n, enum origin origin,
                   size_t size)
{
    switch (origin) {
    case FROM_WRITE:
        fuse_reply_write(req, size);
        break;
    case FROM_TRUNCATE:
        fs_reply_attr(req, n);
        break;
    case FROM_FLUSH:
        fuse_reply_err(req, 0);
        break;
    }
}

/* The text before, for a writer who did not start with an empty file. Caller
 * holds h->lock. */
static void begin_locked(struct node *n, struct handle *h)
{
    const char *base = NULL;
    size_t len = 0;

    if (h->edit.active)
        return;
    if (!h->fresh) {
        if (h->text) {
            base = h->text->data;
            len = h->text->len;
        } else if (h->row) {
            base = row_text(h->row);
            len = base ? h->row->text_len : 0;
        } else {
            base = h->body.data;
            len = h->body.len;
        }
        h->base = h->row ? h->row->version : 0;
    }
    edit_start(&h->edit, base, len, (h->flags & O_APPEND) != 0,
               n->type->max(n));
}

static void forget_edit_locked(struct handle *h)
{
    edit_reset(&h->edit);
    h->round++;
    h->base = 0;
    h->broken = true;
}

static void errand_free(struct errand *e)
{
    buf_release(&e->text);
    handle_unref(e->handle);
    node_unref(e->commit.node);
    free(e);
}

/* On the notifier's thread: nobody sees the old content any more. */
static void finish(void *arg)
{
    struct errand *e = arg;
    struct pendings *ps = e->commit.node->mount->pendings;
    fuse_req_t req = pending_finish(e->commit.pending);

    if (req && e->r < 0)
        fuse_reply_err(req, fs_errno(e->r));
    else if (req)
        answer(req, e->commit.node, e->origin, e->size);
    errand_free(e);
    pendings_unhold(ps);
}

void commit_done(struct commit *c, int r, const struct err *err)
{
    struct errand *e = (struct errand *)c;
    struct handle *h = e->handle;

    pthread_mutex_lock(&h->lock);
    if (e->round == h->round) {
        if (r == 0) {
            edit_committed(&h->edit);
            h->must_be_new = h->broken = false;
            h->base = 0;
        } else {
            forget_edit_locked(h);
        }
    }
    pthread_mutex_unlock(&h->lock);

    /* A Ctrl-C is no refusal: nobody has to be told what he did. */
    if (r < 0 && r != -EINTR && c->node->type->refused)
        c->node->type->refused(c->node, r, err_text(err, r), e->text.data,
                               e->text.len);
    e->r = r;
    if (c->new_node) {
        struct mount *m = c->node->mount;
        struct node *dir;
        AUTO_STR char *name = node_name(c->node, &dir);
        /* finish() may come at once, and the end of the mount behind it. */
        pendings_hold(m->pendings);
        notify_name_then(m->notify, dir, name, finish, e);
        node_unref(dir);
        pendings_unhold(m->pendings);
    } else {
        notify_then(c->node->mount->notify, c->node, finish, e);
    }
}

/* Caller holds h->lock, which is let go. */
static void start_commit(fuse_req_t req, struct node *n, struct handle *h,
                         enum origin origin, size_t size)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    buf_add(&e->text, h->edit.text.data, h->edit.text.len);
    e->handle = handle_ref(h);
    e->round = h->round;
    e->origin = origin;
    e->size = size;
    e->commit = (struct commit){
        .node = node_ref(n),
        .text = e->text.data,
        .len = e->text.len,
        .must_be_new = h->must_be_new,
        /* Old bytes are in it: they must still be the current ones. */
        .if_version = h->edit.ours < h->edit.text.len ? h->base : 0,
    };
    pthread_mutex_unlock(&h->lock);

    e->commit.pending = pending_new(n->mount->pendings, req);
    n->type->commit(n, &e->commit);
}

/* Caller holds h->lock, which is let go. */
static void refuse(fuse_req_t req, struct node *n, struct handle *h, int r,
                   const struct err *err, enum origin origin)
{
    AUTO_BUF struct buf text = BUF_INIT;

    buf_add(&text, h->edit.text.data, h->edit.text.len);
    h->broken = true;
    /* At a close another process may have it open still, and go on. */
    if (origin != FROM_FLUSH)
        forget_edit_locked(h);
    pthread_mutex_unlock(&h->lock);

    if (n->type->refused)
        n->type->refused(n, r, err_text(err, r), text.data, text.len);
    /* Its size grew with the pieces that went before. */
    notify_changed(n->mount->notify, n);
    fuse_reply_err(req, fs_errno(r));
}

bool document_attr(struct fuse_req *req, struct node *n, struct handle *h)
{
    struct stat st;

    if (!h)
        return false;
    pthread_mutex_lock(&h->lock);
    bool active = h->edit.active || (h->fresh && handle_writes(h));
    size_t size = h->edit.text.len;
    pthread_mutex_unlock(&h->lock);
    if (!active || n->type->attr(n, &st) < 0)
        return false;
    st.st_size = (off_t)size;
    fuse_reply_attr(req, &st, 0);
    return true;
}

static void act(fuse_req_t req, struct node *n, struct handle *h,
                enum edit_verdict verdict, int r, const struct err *err,
                enum origin origin, size_t size)
{
    switch (verdict) {
    case EDIT_COMMIT:
        start_commit(req, n, h, origin, size);
        return;
    case EDIT_REFUSE:
        refuse(req, n, h, r, err, origin);
        return;
    case EDIT_WAIT:
        break;
    }
    pthread_mutex_unlock(&h->lock);
    if (origin != FROM_TRUNCATE || !document_attr(req, n, h))
        answer(req, n, origin, size);
}

void document_write(struct fuse_req *req, struct node *n, struct handle *h,
                    const char *data, size_t size, uint64_t off)
{
    struct err err = ERR_INIT;
    int r = 0;

    pthread_mutex_lock(&h->lock);
    h->wrote = true;
    begin_locked(n, h);
    enum edit_verdict v = edit_write(&h->edit, off, data, size, &r, &err);
    /* A bracket forgotten in an echo: at the close a shell would not hear of
     * it. A text in several lines, which bash writes one by one, or in several
     * printfs, looks otherwise: its first line ends in a bracket or a comma,
     * its first piece not in a newline. */
    if (v == EDIT_WAIT && size > 0 && data[size - 1] == '\n' &&
        edit_lacks_end(&h->edit, size) &&
        writer_is_shell(fuse_req_ctx(req)->pid))
        v = edit_flush(&h->edit, &r, &err);
    act(req, n, h, v, r, &err, FROM_WRITE, size);
}

/* truncate(2) by name: to nothing says that a new text will come, as opening
 * with O_TRUNC does. To anything else would leave half a text. */
static void truncate_name(fuse_req_t req, struct node *n, uint64_t size)
{
    struct stat st;

    int r = n->type->attr(n, &st);
    if (r < 0)
        fuse_reply_err(req, -r);
    else if (size == 0 || size == (uint64_t)st.st_size)
        fs_reply_attr(req, n);
    else {
        if (n->type->refused)
            n->type->refused(n, -EINVAL, "cut or extended by truncate", NULL,
                             0);
        fuse_reply_err(req, EINVAL);
    }
}

void document_truncate(struct fuse_req *req, struct node *n, struct handle *h,
                       uint64_t size)
{
    struct err err = ERR_INIT;
    int r = 0;

    if (!h || !handle_writes(h)) {
        truncate_name(req, n, size);
        return;
    }
    pthread_mutex_lock(&h->lock);
    begin_locked(n, h);
    enum edit_verdict v = edit_truncate(&h->edit, size, &r, &err);
    act(req, n, h, v, r, &err, FROM_TRUNCATE, 0);
}

void document_flush(struct fuse_req *req, struct node *n, struct handle *h)
{
    struct err err = ERR_INIT;
    int r = 0;

    pthread_mutex_lock(&h->lock);
    enum edit_verdict v = edit_flush(&h->edit, &r, &err);
    act(req, n, h, v, r, &err, FROM_FLUSH, 0);
}
