/* Extended attributes user.dbcord.*: what Discord knows about a node. */
#include "fs/ops.h"

#include <errno.h>
#include <string.h>

#include "engine/base/str.h"

#define PREFIX "user.dbcord."

/* Answers with the bytes, or their number where size is 0. */
static void reply(fuse_req_t req, const struct buf *b, size_t size)
{
    if (size == 0)
        fuse_reply_xattr(req, b->len);
    else if (b->len > size)
        fuse_reply_err(req, ERANGE);
    else
        fuse_reply_buf(req, b->data, b->len);
}

void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    AUTO_BUF struct buf value = BUF_INIT;
    struct node *n = fs_node(req, ino);

    if (!n->type->xattr || !str_starts(name, PREFIX) ||
        n->type->xattr(n, name + strlen(PREFIX), &value) < 0)
        fuse_reply_err(req, ENODATA);
    else
        reply(req, &value, size);
}

void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    AUTO_BUF struct buf names = BUF_INIT, value = BUF_INIT;
    struct node *n = fs_node(req, ino);

    for (const char *const *x = n->type->xattrs; x && *x; x++) {
        buf_reset(&value);
        if (n->type->xattr(n, *x, &value) < 0)
            continue;
        buf_addstr(&names, PREFIX);
        buf_add(&names, *x, strlen(*x) + 1);
    }
    reply(req, &names, size);
}

void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
                 const char *value, size_t size, int flags)
{
    (void)ino;
    (void)name;
    (void)value;
    (void)size;
    (void)flags;
    /* Ours are made from the row, there is no room for others; and for ours
     * too this is the answer that mv and cp -a take for no failure. */
    fuse_reply_err(req, EOPNOTSUPP);
}

void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    (void)ino;
    fuse_reply_err(req, str_starts(name, PREFIX) ? EPERM : ENODATA);
}
