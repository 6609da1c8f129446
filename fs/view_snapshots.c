/* <table>/.snapshots/: a file for each snapshot that has a label. Reading one
 * gives its rows, a line each; touch takes one, rm removes it, and its name
 * written to .restore makes the table what it was, in one commit where it fits.
 *
 * Snapshots come from other processes too, and nobody tells: the kernel keeps
 * no listing of them, and a name that is known is looked for again when it is
 * opened. What is made of a snapshot is made at open, and lives with it; on a
 * read-only mount, which knows no open files, with its node. */
#include "fs/table.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/export.h"
#include "engine/snapshot.h"
#include "fs/call.h"
#include "fs/file.h"
#include "fs/gather.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/view.h"

#define RESTORE_NAME ".restore"

struct snapshot_file {
    struct node node;
    /* all set at creation */
    struct table *table; /* a reference */
    struct local *local;
    char *label;
    char *by;
    uint64_t id;
    int64_t at_ms;

    atomic_bool made; /* who took it has it open */

    pthread_mutex_t lock; /* leaf; guards all below */
    uint64_t size;        /* of its rows as lines; before they were read: of
                             their texts, which is the same mostly */
    bool loaded;          /* text is them */
    struct buf text;
};

static const struct node_type type_snapshot, type_restore;

static struct snapshot_file *snapshot_of(struct node *n)
{
    return (struct snapshot_file *)n;
}

/* ".snapshots/<name>" */
static char *shown_name(const char *name)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, ".snapshots/%s", name);
    return buf_take_str(&b);
}

static uint64_t ino_of(const struct table *t, const char *name)
{
    AUTO_STR char *shown = shown_name(name);

    return fs_hash_ino(table_id(t), shown, strlen(shown));
}

/* --- work that asks Discord ----------------------------------------------- */

struct asking {
    struct snapshot_list list;
    struct snapshot_info info;
    struct buf text;
    size_t size;
    off_t off;
    int r;
    struct err err;
};

static void asking_free(void *data)
{
    struct asking *a = data;

    snapshot_list_release(&a->list);
    snapshot_info_release(&a->info);
    buf_release(&a->text);
    free(a);
}

static struct call *asking_new(struct node *n, const char *name,
                               int (*work)(struct call *c, struct err *err),
                               void (*run)(fuse_req_t req, struct call *c))
{
    struct call *c = call_new(n, name, run);

    c->work = work;
    c->data = xcalloc(1, sizeof(struct asking));
    c->release = asking_free;
    return c;
}

/* True: it went wrong, and was answered. name: the snapshot's, or "". */
static bool failed(fuse_req_t req, struct call *c, const char *name)
{
    struct asking *a = c->data;

    if (a->r == 0)
        return false;
    if (a->r != -ENOENT && a->r != -EINTR) {
        AUTO_STR char *shown = shown_name(name);
        local_refused(table_view_of(c->node)->local, shown, a->r,
                      err_text(&a->err, a->r), NULL, 0);
    }
    fuse_reply_err(req, fs_errno(a->r));
    return true;
}

struct reading {
    struct buf *out;
    struct call *call;
};

static int add_piece(void *arg, const char *data, size_t len, struct err *err)
{
    struct reading *g = arg;

    if (atomic_load(&g->call->cancelled))
        return err_set(err, -EINTR, "its reader went away");
    buf_add(g->out, data, len);
    return 0;
}

/* The rows of a snapshot as lines, into the call's text. */
static int read_rows(struct call *c, struct table *t, const char *label)
{
    struct asking *a = c->data;
    struct reading g = {&a->text, c};
    struct export_options o = {.format = FORMAT_NDJSON, .snapshot = label};

    a->r = table_export_wait(t, &o, add_piece, &g, NULL, &a->err);
    return 0;
}

/* --- nodes ---------------------------------------------------------------- */

struct snapshot_init {
    struct table *table;
    const struct snapshot_info *info;
};

static void snapshot_init(struct node *n, const void *arg)
{
    const struct snapshot_init *i = arg;
    struct snapshot_file *f = snapshot_of(n);

    f->table = table_ref(i->table);
    f->local = local_of(n->mount, table_id(i->table));
    f->label = xstrdup(i->info->label);
    f->by = xstrdup(i->info->by ? i->info->by : "");
    f->id = i->info->id;
    f->at_ms = i->info->at_ms;
    f->size = i->info->bytes;
    f->text = BUF_INIT;
    atomic_init(&f->made, false);
    pthread_mutex_init(&f->lock, NULL);
}

static void snapshot_release(struct node *n)
{
    struct snapshot_file *f = snapshot_of(n);

    buf_release(&f->text);
    pthread_mutex_destroy(&f->lock);
    free(f->label);
    free(f->by);
    table_unref(f->table);
}

static void keep_size(struct snapshot_file *f, size_t size)
{
    pthread_mutex_lock(&f->lock);
    f->size = size;
    pthread_mutex_unlock(&f->lock);
}

/* A reference. One of another snapshot that had the label before is let go. */
static struct node *snapshot_node(struct node *dir,
                                  const struct snapshot_info *info)
{
    struct inodes *inodes = dir->mount->inodes;
    struct snapshot_init i = {table_view_of(dir)->table, info};
    struct node *n = node_get(inodes, &type_snapshot, dir, info->label, &i);

    if (snapshot_of(n)->id == info->id)
        return n;
    node_unhash(n);
    node_unref(n);
    return node_get(inodes, &type_snapshot, dir, info->label, &i);
}

/* --- .snapshots ----------------------------------------------------------- */

static int dir_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, ino_of(t, ""), n->mount->started_ms,
                !n->mount->o.read_only && table_writable(t), st);
    return 0;
}

static int find_work(struct call *c, struct err *err)
{
    struct table *t = table_view_of(c->node)->table;
    struct asking *a = c->data;

    (void)err;
    a->r = table_open_wait(t, &a->err);
    if (a->r == 0)
        a->r = table_snapshot_find_wait(t, c->name, &a->info, &a->err);
    /* By an id too: but that is not its name here. */
    if (a->r == 0 && (!a->info.label || strcmp(a->info.label, c->name) != 0))
        a->r = -ENOENT;
    if (a->r == 0)
        c->node2 = snapshot_node(c->node, &a->info);
    if (a->r < 0 || !c->node->mount->o.read_only)
        return 0;
    read_rows(c, t, c->name);
    if (a->r < 0)
        return 0;
    struct snapshot_file *f = snapshot_of(c->node2);
    pthread_mutex_lock(&f->lock);
    if (!f->loaded) {
        f->loaded = true;
        f->size = a->text.len;
        f->text = buf_take(&a->text);
    }
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static void find_run(fuse_req_t req, struct call *c)
{
    if (!failed(req, c, c->name))
        fs_reply_node(req, c->node2);
}

static void dir_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    if (strcmp(name, RESTORE_NAME) == 0) {
        struct node *n =
            node_get(dir->mount->inodes, &type_restore, dir, name, dir);
        fs_reply_node(req, n);
        node_unref(n);
    } else if (snapshot_check_label(name, NULL) < 0) {
        fuse_reply_err(req, ENOENT);
    } else {
        call_spawn(req, asking_new(dir, name, find_work, find_run));
    }
}

static int list_work(struct call *c, struct err *err)
{
    struct table *t = table_view_of(c->node)->table;
    struct asking *a = c->data;

    (void)err;
    a->r = table_open_wait(t, &a->err);
    if (a->r == 0)
        a->r = table_snapshots_wait(t, &a->list, &a->err);
    return 0;
}

static void list_run(fuse_req_t req, struct call *c)
{
    struct table *t = table_view_of(c->node)->table;
    struct asking *a = c->data;
    struct listing *l = &c->listing;

    if (failed(req, c, ""))
        return;
    l->req = req;
    bool room = listing_dots(l, ino_of(t, ""), table_id(t));
    for (size_t i = l->after > 2 ? (size_t)(l->after - 2) : 0;
         room && i < a->list.n; i++) {
        const struct snapshot_info *info = &a->list.list[i];
        struct stat st = {.st_mode = S_IFREG};
        if (!info->label)
            continue;
        st.st_ino = ino_of(t, info->label);
        struct node *n = l->plus && !c->node->mount->o.read_only
                             ? snapshot_node(c->node, info)
                             : NULL;
        room = listing_add(l, info->label, n, &st, (off_t)i + 3);
        node_unref(n);
    }
    listing_reply(l);
    notify_changed(c->node->mount->notify, c->node);
}

static void dir_list(struct node *dir, struct listing *l)
{
    struct call *c = asking_new(dir, NULL, list_work, list_run);

    c->listing = *l;
    call_spawn(l->req, c);
}

static int take_work(struct call *c, struct err *err)
{
    struct table *t = table_view_of(c->node)->table;
    struct asking *a = c->data;

    (void)err;
    a->r = table_open_wait(t, &a->err);
    if (a->r == 0)
        a->r = table_snapshot_wait(t, c->name, NULL, &a->info, &a->err);
    if (a->r == 0)
        c->node2 = snapshot_node(c->node, &a->info);
    return 0;
}

static void take_run(fuse_req_t req, struct call *c)
{
    if (failed(req, c, c->name))
        return;
    struct handle *h = handle_new(c->node2, c->fi.flags);
    h->direct = true;
    atomic_store(&snapshot_of(c->node2)->made, true);
    c->fi.direct_io = 1;
    handle_give(h, &c->fi);
    if (fs_reply_created(req, c->node2, &c->fi) < 0)
        handle_unref(h);
}

static void dir_create(fuse_req_t req, struct node *dir, const char *name,
                       mode_t mode, struct fuse_file_info *fi)
{
    struct call *c = asking_new(dir, name, take_work, take_run);

    (void)mode;
    c->fi = *fi;
    call_spawn(req, c);
}

static int drop_work(struct call *c, struct err *err)
{
    struct table *t = table_view_of(c->node)->table;
    struct asking *a = c->data;

    (void)err;
    a->r = table_open_wait(t, &a->err);
    if (a->r == 0)
        a->r = table_snapshot_drop_wait(t, c->name, &a->err);
    return 0;
}

static void drop_run(fuse_req_t req, struct call *c)
{
    if (failed(req, c, c->name))
        return;
    struct node *n = node_find(c->node->mount->inodes, c->node, c->name);
    if (n)
        node_unhash(n);
    node_unref(n);
    fuse_reply_err(req, 0);
}

static void dir_unlink(fuse_req_t req, struct node *dir, const char *name)
{
    if (strcmp(name, RESTORE_NAME) == 0) {
        AUTO_STR char *shown = shown_name(name);
        local_refuse(req, table_view_of(dir)->local, shown, EPERM,
                     "rm: this is a view and stays");
        return;
    }
    call_spawn(req, asking_new(dir, name, drop_work, drop_run));
}

const struct node_type view_snapshots = {
    .name = ".snapshots",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = dir_attr,
    .lookup = dir_lookup,
    .list = dir_list,
    .create = dir_create,
    .unlink = dir_unlink,
};

/* --- a snapshot ----------------------------------------------------------- */

static int snapshot_attr(struct node *n, struct stat *st)
{
    struct snapshot_file *f = snapshot_of(n);

    pthread_mutex_lock(&f->lock);
    fs_stat_file(n->mount, ino_of(f->table, f->label), f->at_ms, false, f->size,
                 st);
    pthread_mutex_unlock(&f->lock);
    return 0;
}

static int open_work(struct call *c, struct err *err)
{
    struct snapshot_file *f = snapshot_of(c->node);

    (void)err;
    return read_rows(c, f->table, f->label);
}

static void open_run(fuse_req_t req, struct call *c)
{
    struct asking *a = c->data;
    struct snapshot_file *f = snapshot_of(c->node);

    /* Removed by another process. */
    if (a->r == -ENOENT) {
        struct node *dir = NULL;
        AUTO_STR char *name = node_name(c->node, &dir);
        node_unhash(c->node);
        if (dir)
            notify_name(c->node->mount->notify, dir, name, c->node);
        node_unref(dir);
    }
    if (failed(req, c, f->label))
        return;
    struct handle *h = handle_new(c->node, c->fi.flags);
    h->direct = true;
    h->body = buf_take(&a->text);
    keep_size(f, h->body.len);
    c->fi.direct_io = 1;
    c->fi.noflush = 1;
    handle_give(h, &c->fi);
    if (fuse_reply_open(req, &c->fi) < 0)
        handle_unref(h);
}

static void snapshot_open(fuse_req_t req, struct node *n,
                          struct fuse_file_info *fi)
{
    struct snapshot_file *f = snapshot_of(n);

    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        AUTO_STR char *shown = shown_name(f->label);
        local_refuse(req, f->local, shown, EEXIST,
                     "there is a snapshot '%s' already; it cannot be changed, "
                     "but removed",
                     f->label);
        return;
    }
    struct call *c = asking_new(n, NULL, open_work, open_run);
    c->fi = *fi;
    call_spawn(req, c);
}

static void snapshot_read(fuse_req_t req, struct node *n, struct handle *h,
                          size_t size, off_t off)
{
    struct snapshot_file *f = snapshot_of(n);
    AUTO_BUF struct buf part = BUF_INIT;
    pthread_mutex_t *lock = h ? &h->lock : &f->lock;

    pthread_mutex_lock(lock);
    const struct buf *b = h ? &h->body : &f->text;
    if ((size_t)off < b->len)
        buf_add(&part, b->data + off,
                size < b->len - (size_t)off ? size : b->len - (size_t)off);
    pthread_mutex_unlock(lock);
    fuse_reply_buf(req, part.data, part.len);
}

/* touch has an open file for a moment; nothing can be put into it. */
static void snapshot_write(fuse_req_t req, struct node *n, struct handle *h,
                           const char *data, size_t size, off_t off)
{
    struct snapshot_file *f = snapshot_of(n);
    AUTO_STR char *shown = shown_name(f->label);

    (void)h;
    (void)data;
    (void)size;
    (void)off;
    local_refuse(req, f->local, shown, EPERM,
                 "a snapshot holds the rows of its table; it was taken, and "
                 "nothing can be written to it");
}

/* touch sets the time of what it made; of one that was there it fails to open
 * it, and then tries this. */
static void snapshot_setattr(fuse_req_t req, struct node *n,
                             const struct stat *st, int which,
                             struct fuse_file_info *fi)
{
    (void)st;
    (void)which;
    (void)fi;
    if (atomic_load(&snapshot_of(n)->made))
        fs_reply_attr(req, n);
    else
        fuse_reply_err(req, EPERM);
}

static void snapshot_close(struct node *n, struct handle *h)
{
    if (handle_writes(h))
        atomic_store(&snapshot_of(n)->made, false);
}

static const char *const snapshot_xattrs[] = {
    "message_id",
    "author",
    NULL,
};

static int snapshot_xattr(struct node *n, const char *name, struct buf *out)
{
    struct snapshot_file *f = snapshot_of(n);

    if (strcmp(name, "message_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)f->id);
    else if (strcmp(name, "author") == 0)
        buf_addstr(out, f->by);
    else
        return -ENODATA;
    return 0;
}

static const struct node_type type_snapshot = {
    .type = S_IFREG,
    .size = sizeof(struct snapshot_file),
    .live = true,
    .init = snapshot_init,
    .release = snapshot_release,
    .attr = snapshot_attr,
    .setattr = snapshot_setattr,
    .open = snapshot_open,
    .read = snapshot_read,
    .write = snapshot_write,
    .release_handle = snapshot_close,
    .xattr = snapshot_xattr,
    .xattrs = snapshot_xattrs,
};

/* --- .restore ------------------------------------------------------------- */

static int restore_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_file(n->mount, ino_of(t, RESTORE_NAME), n->mount->started_ms,
                 !n->mount->o.read_only && table_writable(t), 0, st);
    return 0;
}

static void restore_open(fuse_req_t req, struct node *n,
                         struct fuse_file_info *fi)
{
    gather_open(req, n, fi, NULL, 0, false);
}

static int restore_store(struct node *n, const char *text, size_t len,
                         atomic_bool *stopped, struct err *err)
{
    struct table *t = table_view_of(n)->table;
    struct snapshot_restored did;

    while (len > 0 && strchr(" \t\r\n", text[len - 1]))
        len--;
    AUTO_STR char *label = xmalloc(len + 1);
    memcpy(label, text, len);
    label[len] = '\0';
    if (len == 0 || strlen(label) != len || strpbrk(label, " \t\r\n"))
        return err_set(err, -EINVAL,
                       "expected the name of one snapshot and nothing else");
    if (atomic_load(stopped))
        return -EINTR;
    int r = table_open_wait(t, err);
    if (r == 0)
        r = table_snapshot_restore_wait(t, label, NULL, NULL, NULL, &did, err);
    if (r == 0)
        log_info("restored '%s': %zu rows written, %zu deleted, %zu were so, "
                 "%zu were written by others meanwhile",
                 label, did.put, did.deleted, did.same, did.overtaken);
    return r;
}

static bool restore_is_ready(struct node *n, const char *text, size_t len)
{
    (void)n;
    (void)text;
    return len > 0;
}

static void restore_refused(struct node *n, int r, const char *why,
                            const char *text, size_t len)
{
    (void)text;
    (void)len;
    local_refused(table_view_of(n)->local, ".snapshots/" RESTORE_NAME, r, why,
                  NULL, 0);
}

static void restore_text(struct node *n, struct buf *out)
{
    (void)n;
    (void)out;
}

static const struct node_type type_restore = {
    .type = S_IFREG,
    .size = sizeof(struct table_view),
    .live = true,
    .init = table_view_init,
    .release = table_view_release,
    .attr = restore_attr,
    .text = restore_text,
    .setattr = gather_setattr,
    .open = restore_open,
    .read = gather_read,
    .write = gather_write,
    .flush = gather_flush,
    .release_handle = gather_release,
    .store = restore_store,
    .is_ready = restore_is_ready,
    .refused = restore_refused,
};
