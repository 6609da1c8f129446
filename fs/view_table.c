/* A table as a directory. */
#include "fs/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/str.h"
#include "fs/call.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/tree.h"
#include "fs/version.h"
#include "fs/view.h"

/* Above so many rows a listing has names alone: with attributes the kernel
 * would keep a kilobyte for each. */
#define PLUS_MAX 10000
#define PAGE_ROWS 256

/* Offsets in a listing: 0 to 2 the dots, then drafts by serial, then rows. */
#define ROWS_AT ((off_t)1 << 62)
#define DRAFTS_AT 2

void table_view_init(struct node *n, const void *arg)
{
    const struct table_dir *dir = arg;

    table_view_of(n)->table = table_ref(dir->table);
    table_view_of(n)->local = dir->local;
}

void table_view_release(struct node *n)
{
    table_unref(table_view_of(n)->table);
}

static struct table_dir *dir_of(struct node *n)
{
    return (struct table_dir *)n;
}

static void table_init(struct node *n, const void *arg)
{
    struct table *t = (struct table *)(uintptr_t)arg;

    dir_of(n)->table = table_ref(t);
    dir_of(n)->local = local_of(n->mount, table_id(t));
}

static void table_release(struct node *n)
{
    table_unref(dir_of(n)->table);
}

struct node *table_dir_of(struct mount *m, struct table *t)
{
    return node_get_id(m->inodes, &type_table, table_id(t), t);
}

struct table *table_of_node(struct node *table)
{
    return dir_of(table)->table;
}

static int table_attr(struct node *n, struct stat *st)
{
    struct table *t = dir_of(n)->table;

    fs_stat_dir(n->mount, table_id(t), table_mtime_ms(t),
                !n->mount->o.read_only && table_writable(t), st);
    return 0;
}

/* --- names ---------------------------------------------------------------- */

/* The row whose shortened name this is. Rare, and the listing is in memory:
 * all that can have one are compared. */
static struct row *find_shortened(struct table *t, const char *name)
{
    AUTO_BUF struct buf own = BUF_INIT;
    struct row *rows[PAGE_ROWS], *found = NULL;
    uint64_t after = 0;
    size_t n;

    while (!found && (n = row_list(t, after, rows, PAGE_ROWS)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            if (!found &&
                path_is_shortened(row_key(rows[i]), rows[i]->key_len)) {
                buf_reset(&own);
                path_of_key(row_key(rows[i]), rows[i]->key_len, &own);
                if (strcmp(own.data, name) == 0) {
                    found = rows[i];
                    continue;
                }
            }
            row_unref(rows[i]);
        }
    }
    return found;
}

struct row *table_row_named(struct table *t, const struct path *p,
                            const char *name)
{
    if (p->kind == PATH_ROW)
        return row_find(t, p->text.data, p->text.len);
    return p->kind == PATH_SHORT ? find_shortened(t, name) : NULL;
}

static struct node *find_draft(struct node *dir, const char *name)
{
    struct table_dir *d = dir_of(dir);
    struct node *n = NULL;

    pthread_mutex_lock(&d->local->lock);
    struct draft_name *draft = draft_set_find(&d->local->drafts, name);
    if (draft)
        n = file_of_draft(dir, d->local, d->table, draft, false);
    pthread_mutex_unlock(&d->local->lock);
    return n;
}

struct node *table_child(struct node *dir, const char *name)
{
    struct table_dir *d = dir_of(dir);
    struct path p;
    struct row *row = NULL;

    struct node *n = find_draft(dir, name);
    if (n || path_parse(name, &p) < 0)
        return n;

    pthread_mutex_lock(&d->local->lock);
    bool away = local_is_away(d->local, name);
    pthread_mutex_unlock(&d->local->lock);
    if (!away)
        row = table_row_named(d->table, &p, name);
    buf_release(&p.text);
    if (row)
        n = file_of_row(dir, row);
    row_unref(row);
    return n;
}

static void lookup_run(fuse_req_t req, struct call *c)
{
    struct node *n = table_child(c->node, c->name);

    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void table_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    struct path p;

    if (view_reply(req, dir, table_views, name))
        return;
    int r = path_parse(name, &p);
    enum path_kind kind = p.kind;
    buf_release(&p.text);
    if (r < 0) {
        fuse_reply_err(req, r == -EILSEQ ? EILSEQ : ENOENT);
        return;
    }
    /* Editors ask for many names that can only be drafts: no need to open
     * the table for them. */
    struct node *n = kind == PATH_OTHER ? find_draft(dir, name) : NULL;
    if (n)
        fs_reply_node(req, n);
    else if (kind == PATH_OTHER)
        fuse_reply_err(req, ENOENT);
    else if (kind == PATH_VERSION)
        version_lookup(req, dir, name);
    else
        call_when_open(req, dir_of(dir)->table,
                       call_new(dir, name, lookup_run));
    node_unref(n);
}

/* --- listing -------------------------------------------------------------- */

static bool add_drafts(struct node *dir, struct listing *l)
{
    struct table_dir *d = dir_of(dir);
    uint64_t after = l->after > DRAFTS_AT ? (uint64_t)l->after - DRAFTS_AT : 0;
    bool room = true;

    while (room) {
        pthread_mutex_lock(&d->local->lock);
        struct draft_name *draft = draft_set_next(&d->local->drafts, after);
        AUTO_STR char *name = draft ? xstrdup(draft->name) : NULL;
        struct node *n = NULL;
        if (draft) {
            after = draft->serial;
            n = file_of_draft(dir, d->local, d->table, draft, false);
        }
        pthread_mutex_unlock(&d->local->lock);
        if (!n)
            return true;
        struct stat st = {
            .st_ino = fs_hash_ino(table_id(d->table), name, strlen(name)),
            .st_mode = S_IFREG,
        };
        room = listing_add(l, name, n, &st, (off_t)after + DRAFTS_AT);
        node_unref(n);
    }
    return false;
}

static bool add_row(struct node *dir, struct listing *l, const struct row *row,
                    bool plus)
{
    struct table_dir *d = dir_of(dir);
    AUTO_BUF struct buf name = BUF_INIT;

    path_of_key(row_key(row), row->key_len, &name);
    /* Hidden behind a draft of its own name, or on its way out. */
    pthread_mutex_lock(&d->local->lock);
    bool hidden =
        (d->local->away.count > 0 && local_is_away(d->local, name.data)) ||
        (d->local->drafts.names.count > 0 &&
         draft_set_find(&d->local->drafts, name.data));
    pthread_mutex_unlock(&d->local->lock);
    if (hidden)
        return true;

    struct stat st = {
        .st_ino = row->home ? row->home
                            : fs_hash_ino(table_id(d->table), row_key(row),
                                          row->key_len),
        .st_mode = S_IFREG,
    };
    struct node *n = plus ? file_of_row(dir, row) : NULL;
    bool room = listing_add(l, name.data, n, &st, ROWS_AT + (off_t)row->seq);
    node_unref(n);
    return room;
}

static void add_rows(struct node *dir, struct listing *l)
{
    struct table *t = dir_of(dir)->table;
    struct row *rows[PAGE_ROWS];
    uint64_t after = l->after > ROWS_AT ? (uint64_t)(l->after - ROWS_AT) : 0;
    bool plus = l->plus && row_count(t) <= PLUS_MAX, room = true;
    size_t n;

    while (room && (n = row_list(t, after, rows, PAGE_ROWS)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            room = room && add_row(dir, l, rows[i], plus);
            row_unref(rows[i]);
        }
    }
}

static void list_run(fuse_req_t req, struct call *c)
{
    struct listing *l = &c->listing;
    struct table_dir *d = dir_of(c->node);

    l->req = req;
    if (listing_dots(l, table_id(d->table),
                     namespace_id(table_namespace(d->table))) &&
        (l->after >= ROWS_AT || add_drafts(c->node, l)))
        add_rows(c->node, l);
    listing_reply(l);
}

static void table_list_op(struct node *dir, struct listing *l)
{
    struct call *c = call_new(dir, NULL, list_run);

    c->listing = *l;
    call_when_open(l->req, dir_of(dir)->table, c);
}

/* --- create --------------------------------------------------------------- */

static void create_draft(fuse_req_t req, struct node *dir, const char *name,
                         mode_t mode, bool new_row, struct fuse_file_info *fi)
{
    struct table_dir *d = dir_of(dir);
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    struct draft *draft = draft_new(&dir->mount->drafts, mode, ctx->uid,
                                    ctx->gid, clock_wall_ms());
    if (!draft) {
        local_refuse(req, d->local, name, ENOSPC,
                     "drafts (files that are no rows) take all of the %zu "
                     "bytes this mount keeps in memory for them; remove some",
                     dir->mount->drafts.max);
        return;
    }
    pthread_mutex_lock(&d->local->lock);
    struct draft_name *entry = draft_set_put(&d->local->drafts, name, draft);
    entry->new_row = new_row;
    struct node *n = file_of_draft(dir, d->local, d->table, entry, false);
    pthread_mutex_unlock(&d->local->lock);
    draft_unref(draft);
    file_open(req, n, fi, true);
    node_unref(n);
}

static void create_run(fuse_req_t req, struct call *c)
{
    struct table_dir *d = dir_of(c->node);
    struct node *n = table_child(c->node, c->name);

    if (n && (c->fi.flags & O_EXCL))
        fuse_reply_err(req, EEXIST);
    else if (n)
        file_open(req, n, &c->fi, true);
    else if (!table_writable(d->table))
        local_refuse(req, d->local, c->name, EACCES,
                     "the bot may not write in this table's channel");
    else
        create_draft(req, c->node, c->name, c->mode, c->flags != 0, &c->fi);
    node_unref(n);
}

static void table_create_file(fuse_req_t req, struct node *dir,
                              const char *name, mode_t mode,
                              struct fuse_file_info *fi)
{
    struct local *l = dir_of(dir)->local;
    struct path p;

    if (view_is_reserved(name)) {
        local_refuse(req, l, name, EPERM, "this name belongs to a view");
        return;
    }
    int r = path_parse(name, &p);
    enum path_kind kind = p.kind;
    buf_release(&p.text);
    if (r == -EILSEQ) {
        local_refuse(req, l, "?", EILSEQ, "a file name that is not UTF-8");
        return;
    }
    if (kind == PATH_VERSION) {
        local_refuse(req, l, name, EINVAL,
                     "'@' and digits name a version, and there is none of "
                     "this number; in a key the '@' is written %%40");
        return;
    }
    if (r < 0 || kind == PATH_SHORT) {
        local_refuse(req, l, name, EINVAL, "%s",
                     kind == PATH_SHORT ? "this name stands for a longer key"
                                        : "a key is named in one way only, "
                                          "with %XX where it must be");
        return;
    }

    struct call *c = call_new(dir, name, create_run);
    c->mode = mode;
    c->fi = *fi;
    c->flags = kind == PATH_ROW;
    if (kind == PATH_OTHER) {
        /* A draft needs no table. */
        c->run(req, c);
        call_free(c);
    } else {
        call_when_open(req, dir_of(dir)->table, c);
    }
}

/* --- unlink --------------------------------------------------------------- */

struct removal {
    struct pending *pending;
    struct node *dir, *node;
    int r;
};

static void removed(void *arg)
{
    struct removal *m = arg;
    struct pendings *ps = m->dir->mount->pendings;
    fuse_req_t req = pending_finish(m->pending);

    if (req)
        fuse_reply_err(req, m->r < 0 ? fs_errno(m->r) : 0);
    node_unref(m->node);
    node_unref(m->dir);
    free(m);
    pendings_unhold(ps);
}

static void deleted(void *arg, int r, struct row *row, const struct err *err)
{
    struct removal *m = arg;
    struct file *f = (struct file *)m->node;
    AUTO_STR char *name = node_name(m->node, NULL);

    row_unref(row);
    if (r == 0) {
        pthread_mutex_lock(&f->local->lock);
        file_gone_locked(f);
        pthread_mutex_unlock(&f->local->lock);
    } else if (r != -EINTR) {
        local_refused(f->local, name, r, err_text(err, r), NULL, 0);
    }
    m->r = r;
    notify_then(m->dir->mount->notify, m->node, removed, m);
}

static void start_delete(void *arg)
{
    struct removal *m = arg;
    struct file *f = (struct file *)m->node;
    struct err err = ERR_INIT;

    pthread_mutex_lock(&f->local->lock);
    size_t key_len = f->key_len;
    AUTO_STR char *key = xmalloc(key_len + 1);
    memcpy(key, f->key, key_len + 1);
    pthread_mutex_unlock(&f->local->lock);
    struct write w = {.kind = WRITE_DELETE, .key = key, .key_len = key_len};
    int r = pending_write(m->pending, f->table, &w, deleted, m, &err);
    if (r < 0)
        deleted(m, r, NULL, &err);
}

void table_delete_row(struct fuse_req *req, struct node *dir, struct node *file,
                      bool elsewhere)
{
    struct removal *m = xcalloc(1, sizeof(*m));

    m->dir = node_ref(dir);
    m->node = node_ref(file);
    m->pending = pending_new(dir->mount->pendings, req);
    /* Its name here is forgotten now: to forget it as removed, the kernel waits
     * for the file, which it keeps locked until this is answered. */
    if (elsewhere) {
        AUTO_STR char *name = node_name(file, NULL);
        notify_name(dir->mount->notify, dir, name, NULL);
    }
    start_delete(m);
}

static void unlink_run(fuse_req_t req, struct call *c)
{
    struct table_dir *d = dir_of(c->node);
    struct node *n = table_child(c->node, c->name);

    if (!n) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct file *f = (struct file *)n;
    pthread_mutex_lock(&d->local->lock);
    bool draft = f->draft != NULL;
    if (draft) {
        draft_set_remove(&d->local->drafts, c->name);
        file_gone_locked(f);
    }
    pthread_mutex_unlock(&d->local->lock);
    if (draft)
        fuse_reply_err(req, 0);
    else if (!table_writable(d->table))
        local_refuse(req, d->local, c->name, EACCES,
                     "rm: the bot may not write in this channel");
    else
        table_delete_row(req, c->node, n, false);
    node_unref(n);
}

static void table_unlink(fuse_req_t req, struct node *dir, const char *name)
{
    if (view_is_reserved(name)) {
        local_refuse(req, dir_of(dir)->local, name, EPERM,
                     "rm: this is a view and stays");
        return;
    }
    if (path_is_version(name)) {
        local_refuse(req, dir_of(dir)->local, name, EPERM,
                     "rm: versions stay; what is removed is the row");
        return;
    }
    call_when_open(req, dir_of(dir)->table, call_new(dir, name, unlink_run));
}

const struct node_type type_table = {
    .type = S_IFDIR,
    .size = sizeof(struct table_dir),
    .init = table_init,
    .release = table_release,
    .attr = table_attr,
    .lookup = table_lookup,
    .list = table_list_op,
    .create = table_create_file,
    .unlink = table_unlink,
    .rename = move_file,
    .xattr = tree_xattr,
    .xattrs = tree_xattrs,
};
