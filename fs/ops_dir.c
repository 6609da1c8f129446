/* Directories: names to nodes, listings, and the changes of both. */
#include "fs/ops.h"

#include <errno.h>
#include <string.h>

#include "engine/base/str.h"
#include "fs/path.h"
#include "fs/view.h"

/* The kernel passes longer names than a file name may be. */
static bool name_fits(fuse_req_t req, const char *name)
{
    if (strlen(name) <= PATH_NAME_MAX)
        return true;
    fuse_reply_err(req, ENAMETOOLONG);
    return false;
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node *dir = fs_node(req, parent);

    if (!name_fits(req, name))
        return;
    if (dir == dir->mount->root && view_reply(req, dir, root_views, name))
        return;
    if (!dir->type->lookup)
        fuse_reply_err(req, ENOTDIR);
    else
        dir->type->lookup(req, dir, name);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    if (ino != FUSE_ROOT_ID)
        node_forget(fs_node(req, ino), count);
    fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t n, struct fuse_forget_data *f)
{
    for (size_t i = 0; i < n; i++)
        if (f[i].ino != FUSE_ROOT_ID)
            node_forget(fs_node(req, f[i].ino), f[i].nlookup);
    fuse_reply_none(req);
}

/* False: answered, since nothing can be changed here. */
static bool may_change(fuse_req_t req, struct node *dir, const char *name)
{
    if (dir->mount->o.read_only) {
        fuse_reply_err(req, EROFS);
        return false;
    }
    if (fs_is_ending(dir->mount)) {
        fs_refuse(req, EIO, "%s: the mount is about to end", name ? name : "");
        return false;
    }
    return !name || name_fits(req, name);
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct node *dir = fs_node(req, parent);

    (void)mode;
    if (!may_change(req, dir, name))
        return;
    if (dir->type->mkdir)
        dir->type->mkdir(req, dir, name);
    else
        fs_refuse(req, EPERM, "mkdir %s: no directories can be made here",
                  name);
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
              dev_t dev)
{
    (void)mode;
    (void)dev;
    if (may_change(req, fs_node(req, parent), name))
        fs_refuse(req, EPERM, "mknod %s: only regular files can be made", name);
}

void op_symlink(fuse_req_t req, const char *link, fuse_ino_t parent,
                const char *name)
{
    (void)link;
    /* Editors try this for their locks and have another way: no line. */
    if (may_change(req, fs_node(req, parent), name))
        fuse_reply_err(req, EPERM);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent,
             const char *name)
{
    (void)ino;
    if (may_change(req, fs_node(req, parent), name))
        fuse_reply_err(req, EPERM);
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node *dir = fs_node(req, parent);

    if (!may_change(req, dir, name))
        return;
    if (dir->type->unlink)
        dir->type->unlink(req, dir, name);
    else
        fs_refuse(req, EPERM, "rm %s: this file is a view and stays", name);
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct node *dir = fs_node(req, parent);

    if (!may_change(req, dir, name))
        return;
    if (dir->type->rmdir)
        dir->type->rmdir(req, dir, name);
    else
        fs_refuse(req, EPERM, "rmdir %s: this directory stays", name);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
               fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
    struct rename r = {
        .from = fs_node(req, parent),
        .to = fs_node(req, new_parent),
        .name = name,
        .new_name = new_name,
        .flags = flags,
    };

    if (!may_change(req, r.from, new_name))
        return;
    /* What renameat2 says of flags that are not supported. */
    if (flags & ~1u)
        fuse_reply_err(req, EINVAL);
    else if (r.from->type->rename)
        r.from->type->rename(req, &r);
    else
        fs_refuse(req, EPERM, "mv %s: this name stays", name);
}

/* The kernel then keeps listings until told otherwise, and asks no more. */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, ENOSYS);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                     bool plus)
{
    struct node *dir = fs_node(req, ino);
    struct listing l = {
        .mount = dir->mount,
        .req = req,
        .plus = plus,
        .after = off,
        .size = size,
        .page = BUF_INIT,
        .known = BUF_INIT,
    };

    if (dir->type->list)
        dir->type->list(dir, &l);
    else
        fuse_reply_err(req, ENOTDIR);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)fi;
    read_dir(req, ino, size, off, true);
}

/* What a directory holds was committed when it was answered. */
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
                 struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    (void)fi;
    fuse_reply_err(req, 0);
}
