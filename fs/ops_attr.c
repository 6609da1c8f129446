/* Attributes of nodes and of the whole. */
#include "fs/ops.h"

#include <errno.h>

#include "fs/document.h"
#include "fs/handle.h"

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);

    if (n->type->end_asked && handle_of(fi))
        n->type->end_asked(n, handle_of(fi));
    if (n->type->document && document_attr(req, n, handle_of(fi)))
        return;
    if (n->type->getattr)
        n->type->getattr(req, n);
    else
        fs_reply_attr(req, n);
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int which,
                struct fuse_file_info *fi)
{
    struct node *n = fs_node(req, ino);

    if (n->mount->o.read_only)
        fuse_reply_err(req, EROFS);
    else if (n->type->setattr)
        n->type->setattr(req, n, st, which, fi);
    else if ((which & FUSE_SET_ATTR_SIZE) && n->type->document)
        document_truncate(req, n, handle_of(fi), (uint64_t)st->st_size);
    else if (which & FUSE_SET_ATTR_SIZE)
        fuse_reply_err(req, n->type->write ? 0 : EPERM);
    else
        /* Directories and views: nothing of it is kept, and archivers set
         * it on all they make. */
        fs_reply_attr(req, n);
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    /* Discord tells no bound on the whole: programs that ask whether there is
     * room hear of plenty. */
    struct statvfs s = {
        .f_bsize = 4096,
        .f_frsize = 4096,
        .f_blocks = 1u << 28,
        .f_bfree = 1u << 28,
        .f_bavail = 1u << 28,
        .f_files = 1u << 30,
        .f_ffree = 1u << 30,
        .f_favail = 1u << 30,
        .f_namemax = 255,
    };

    (void)ino;
    fuse_reply_statfs(req, &s);
}
