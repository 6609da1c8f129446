#include "fs/fs.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"

fuse_ino_t fs_ino(const struct node *n)
{
    return n == n->mount->root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)n;
}

struct node *fs_node(fuse_req_t req, fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? fs_of(req)->root
                               : (struct node *)(uintptr_t)ino;
}

int fs_errno(int r)
{
    switch (-r) {
    case EAGAIN:
    case ECANCELED:
    case ESHUTDOWN:
    case ETIMEDOUT:
    case ENETUNREACH:
    case EBADMSG:
        return EIO;
    default:
        return -r;
    }
}

void fs_reply_failure(fuse_req_t req, int r, const struct err *err,
                      const char *fmt, ...)
{
    if (r != -EINTR) {
        AUTO_BUF struct buf what = BUF_INIT;
        va_list ap;

        va_start(ap, fmt);
        buf_vprintf(&what, fmt, ap);
        va_end(ap);
        log_warn("%s: %s", what.data ? what.data : "", err_text(err, r));
    }
    fuse_reply_err(req, fs_errno(r));
}

void fs_refuse(fuse_req_t req, int error, const char *fmt, ...)
{
    AUTO_BUF struct buf why = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&why, fmt, ap);
    va_end(ap);
    log_warn("%s", why.data);
    fuse_reply_err(req, error);
}

static int fill_entry(struct node *n, struct fuse_entry_param *e)
{
    *e = (struct fuse_entry_param){
        .ino = fs_ino(n),
        .generation = n->generation,
        .attr_timeout = n->type->live ? 0 : FS_FOREVER,
        .entry_timeout = FS_FOREVER,
    };
    return n->type->attr(n, &e->attr);
}

static void reply_entry(fuse_req_t req, struct node *n, double timeout)
{
    struct fuse_entry_param e;

    int r = fill_entry(n, &e);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    e.entry_timeout = timeout;
    /* Counted first: with the answer the kernel may forget it already. */
    node_remember(n);
    if (fuse_reply_entry(req, &e) < 0)
        node_forget(n, 1);
}

void fs_reply_node(fuse_req_t req, struct node *n)
{
    reply_entry(req, n, FS_FOREVER);
}

void fs_reply_fresh(fuse_req_t req, struct node *n)
{
    reply_entry(req, n, 0);
}

int fs_reply_created(fuse_req_t req, struct node *n,
                     const struct fuse_file_info *fi)
{
    struct fuse_entry_param e;

    int r = fill_entry(n, &e);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return r;
    }
    node_remember(n);
    r = fuse_reply_create(req, &e, fi);
    if (r < 0)
        node_forget(n, 1);
    return r;
}

void fs_reply_attr(fuse_req_t req, struct node *n)
{
    struct stat st;

    int r = n->type->attr(n, &st);
    if (r < 0)
        fuse_reply_err(req, -r);
    else
        fuse_reply_attr(req, &st, n->type->live ? 0 : FS_FOREVER);
}

static void set_times(struct stat *st, int64_t ms)
{
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};

    st->st_atim = st->st_mtim = st->st_ctim = t;
}

void fs_stat_dir(const struct mount *m, uint64_t ino, int64_t mtime_ms,
                 bool writable, struct stat *st)
{
    *st = (struct stat){
        .st_ino = ino,
        .st_mode = S_IFDIR | (writable ? 0755 : 0555),
        .st_nlink = 2,
        .st_uid = m->uid,
        .st_gid = m->gid,
        .st_blksize = 4096,
    };
    set_times(st, mtime_ms);
}

void fs_stat_file(const struct mount *m, uint64_t ino, int64_t mtime_ms,
                  bool writable, uint64_t size, struct stat *st)
{
    *st = (struct stat){
        .st_ino = ino,
        .st_mode = S_IFREG | (writable ? 0644 : 0444),
        .st_nlink = 1,
        .st_uid = m->uid,
        .st_gid = m->gid,
        .st_size = (off_t)size,
        .st_blocks = (blkcnt_t)((size + 511) / 512),
        .st_blksize = 4096,
    };
    set_times(st, mtime_ms);
}

/* FNV-1a: base's hash has a secret for each process. */
uint64_t fs_hash_ino(uint64_t id, const char *name, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < sizeof(id); i++)
        h = (h ^ (id >> (8 * i) & 0xff)) * 0x100000001b3u;
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3u;
    /* Away from the ids of messages, which are below 2^62. */
    return h | UINT64_C(1) << 63;
}

bool listing_add(struct listing *l, const char *name, struct node *n,
                 const struct stat *st, off_t next)
{
    size_t room = l->size - l->page.len;
    char *at;
    size_t need;

    buf_reserve(&l->page, room);
    at = l->page.data + l->page.len;
    if (l->plus) {
        struct fuse_entry_param e = {.attr = *st};
        need = fuse_add_direntry_plus(l->req, NULL, 0, name, &e, next);
        if (need > room)
            return false;
        if (n && fill_entry(n, &e) == 0) {
            node_remember(n);
            buf_add(&l->known, &n, sizeof(struct node *));
        } else {
            /* Without a number the kernel takes the name alone. */
            e = (struct fuse_entry_param){.attr = *st};
        }
        fuse_add_direntry_plus(l->req, at, room, name, &e, next);
    } else {
        need = fuse_add_direntry(l->req, at, room, name, st, next);
        if (need > room)
            return false;
    }
    l->page.len += need;
    return true;
}

bool listing_dots(struct listing *l, uint64_t ino, uint64_t parent)
{
    struct stat st = {.st_ino = ino, .st_mode = S_IFDIR};

    if (l->after < 1 && !listing_add(l, ".", NULL, &st, 1))
        return false;
    st.st_ino = parent;
    return l->after >= 2 || listing_add(l, "..", NULL, &st, 2);
}

void listing_reply(struct listing *l)
{
    int r = fuse_reply_buf(l->req, l->page.data, l->page.len);
    struct node **known = (struct node **)(void *)l->known.data;

    if (r < 0)
        for (size_t i = 0; i < l->known.len / sizeof(*known); i++)
            node_forget(known[i], 1);
    buf_release(&l->page);
    buf_release(&l->known);
}
