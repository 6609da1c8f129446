/* Files: opened, read, written, closed. Kinds that are documents, or texts
 * made at open, are served here; others by their type. */
#include "fs/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/document.h"
#include "fs/handle.h"
#include "fs/path.h"

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
               struct fuse_file_info *fi)
{
    struct node *dir = fs_node(req, parent);

    if (dir->mount->o.read_only)
        fuse_reply_err(req, EROFS);
    else if (fs_is_ending(dir->mount))
        fs_refuse(req, EIO, "%s: the mount is about to end", name);
    else if (strlen(name) > PATH_NAME_MAX)
        fuse_reply_err(req, ENAMETOOLONG);
    else if (dir->type->create)
        dir->type->create(req, dir, name, mode, fi);
    else
        fs_refuse(req, EPERM,
                  "%s: files can be made in the directory of a table only",
                  name);
}

void fs_open_text(struct fuse_req *req, struct node *n,
                  struct fuse_file_info *fi)
{
    struct handle *h = handle_new(n, fi->flags);

    if (handle_writes(h) && !n->type->document && !n->type->write) {
        handle_unref(h);
        fuse_reply_err(req, EACCES);
        return;
    }
    h->fresh = (fi->flags & O_TRUNC) != 0;
    h->direct = true;
    n->type->text(n, &h->body);
    fi->direct_io = 1;
    fi->noflush = !handle_writes(h);
    handle_give(h, fi);
    if (fuse_reply_open(req, fi) < 0)
        handle_unref(h);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);

    /* Where nobody writes there is nothing to know about an open file: the
     * kernel takes this for all files, and a warm cat asks us nothing. */
    if (n->mount->o.read_only)
        fuse_reply_err(req, ENOSYS);
    else if (n->type->open)
        n->type->open(req, n, fi);
    else if (n->type->text)
        fs_open_text(req, n, fi);
    else
        fuse_reply_err(req, EISDIR);
}

/* Who follows a text that grows reads on behind what there was at open. One
 * that is made anew each time does not begin with what it was: it stays. */
static void read_text(fuse_req_t req, struct node *n, struct handle *h,
                      size_t size, off_t off)
{
    AUTO_BUF struct buf now = BUF_INIT;

    if (!h) {
        /* A read-only mount: the kernel asked for the attributes before, and
         * drops what it has when they changed. */
        n->type->text(n, &now);
        if ((size_t)off >= now.len)
            fuse_reply_buf(req, NULL, 0);
        else
            fuse_reply_buf(
                req, now.data + off,
                size < now.len - (size_t)off ? size : now.len - (size_t)off);
        return;
    }
    pthread_mutex_lock(&h->lock);
    const struct buf *b = h->edit.active ? &h->edit.text : &h->body;
    if (!h->edit.active && (off == 0 || (size_t)off >= b->len)) {
        n->type->text(n, &now);
        if (off == 0 || (now.len > b->len && b->len > 0 &&
                         memcmp(now.data, b->data, b->len) == 0)) {
            buf_release(&h->body);
            h->body = buf_take(&now);
        }
    }
    AUTO_BUF struct buf part = BUF_INIT;
    if ((size_t)off < b->len) {
        size_t there = b->len - (size_t)off;
        buf_add(&part, b->data + off, size < there ? size : there);
    }
    pthread_mutex_unlock(&h->lock);
    fuse_reply_buf(req, part.data, part.len);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
             struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);
    struct handle *h = handle_of(fi);

    if (n->type->follow)
        n->type->follow(req, n, h, size, off, fi->flags);
    else if (n->type->read)
        n->type->read(req, n, h, size, off);
    else
        read_text(req, n, h, size, off);
}

void op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi,
             struct fuse_pollhandle *ph)
{
    struct node *n = fs_node(req, ino);

    if (n->type->poll) {
        n->type->poll(req, n, handle_of(fi), ph);
        return;
    }
    /* As an ordinary file: never is there anything to wait for. */
    if (ph)
        fuse_pollhandle_destroy(ph);
    fuse_reply_poll(req, POLLIN | POLLRDNORM | POLLOUT | POLLWRNORM);
}

/* A text of several pieces, of which some were taken, may be finished. */
static bool is_begun(struct handle *h)
{
    if (!h)
        return false;
    pthread_mutex_lock(&h->lock);
    bool begun = h->edit.active && h->edit.dirty;
    pthread_mutex_unlock(&h->lock);
    return begun;
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
              off_t off, struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);
    struct handle *h = handle_of(fi);

    if (fs_is_ending(n->mount) && !is_begun(h))
        fs_refuse(req, EIO,
                  "nothing is written any more: the mount is about to end");
    else if (n->type->write)
        n->type->write(req, n, h, data, size, off);
    else
        document_write(req, n, h, data, size, (uint64_t)off);
}

static void settle(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);
    struct handle *h = handle_of(fi);

    if (n->mount->o.read_only)
        fuse_reply_err(req, ENOSYS);
    else if (n->type->document && handle_writes(h))
        document_flush(req, n, h);
    else if (n->type->flush && handle_writes(h))
        n->type->flush(req, n, h);
    else
        fuse_reply_err(req, 0);
}

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    settle(req, ino, fi);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
              struct fuse_file_info *fi)
{
    (void)datasync;
    settle(req, ino, fi);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);
    struct handle *h = handle_of(fi);

    if (h && n->type->release_handle)
        n->type->release_handle(n, h);
    handle_unref(h);
    fuse_reply_err(req, 0);
}

const struct fuse_lowlevel_ops fs_ops = {
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .symlink = op_symlink,
    .link = op_link,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .rename = op_rename,
    .create = op_create,
    .open = op_open,
    .read = op_read,
    .poll = op_poll,
    .write = op_write,
    .flush = op_flush,
    .fsync = op_fsync,
    .release = op_release,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .setxattr = op_setxattr,
    .removexattr = op_removexattr,
};
