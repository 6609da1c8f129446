/* One version of one row as a file (version.h). What it says of itself is asked
 * for once, small texts with it; those of attachments come from the engine's
 * cache of texts. */
#include "fs/version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/call.h"
#include "fs/document.h"
#include "fs/file.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/table.h"
#include "fs/view.h"

static const struct node_type type_version, type_old_version;

static struct version_file *version_of(struct node *n)
{
    return (struct version_file *)n;
}

static char *copy_key(const char *key, size_t len)
{
    char *s = xmalloc(len + 1);

    memcpy(s, key, len);
    s[len] = '\0';
    return s;
}

/* As .errors names it: its path in the table's directory. */
static char *shown_name(struct node *n)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_STR char *name = node_name(n, NULL);

    if (n->type == &type_old_version) {
        buf_addstr(&b, ".history/");
        path_of_key_dir(version_of(n)->key, version_of(n)->key_len, &b);
        buf_addc(&b, '/');
    }
    buf_addstr(&b, name);
    return buf_take_str(&b);
}

/* --- nodes ---------------------------------------------------------------- */

struct version_init {
    struct table *table;
    const char *key;
    size_t key_len;
    uint32_t number;
    struct version *version; /* NULL: not known */
};

static void version_init(struct node *n, const void *arg)
{
    const struct version_init *i = arg;
    struct version_file *f = version_of(n);

    f->table = table_ref(i->table);
    f->local = local_of(n->mount, table_id(i->table));
    f->key = copy_key(i->key, i->key_len);
    f->key_len = i->key_len;
    f->number = i->number;
    pthread_mutex_init(&f->lock, NULL);
    atomic_init(&f->loaded, i->version != NULL);
    if (i->version) {
        f->version = *i->version;
        *i->version = (struct version){0};
    }
}

static void version_forget(struct node *n)
{
    struct version_file *f = version_of(n);

    version_release(&f->version);
    pthread_mutex_destroy(&f->lock);
    free(f->key);
    table_unref(f->table);
}

struct node *version_node(struct node *dir, struct table *t, const char *name,
                          const char *key, size_t key_len, struct version *v)
{
    struct version_init i = {t, key, key_len, v->number, v};
    struct node *n =
        node_get(dir->mount->inodes, &type_old_version, dir, name, &i);

    version_release(v); /* of one that was there already */
    return n;
}

/* May wait. -ENOENT: there is no such version, or it is a deletion. */
static int load_version(struct version_file *f, struct err *err)
{
    struct version v;

    if (atomic_load(&f->loaded))
        return 0;
    int r =
        table_version_wait(f->table, f->key, f->key_len, f->number, &v, err);
    if (r < 0)
        return r;
    if (v.deleted) {
        version_release(&v);
        return -ENOENT;
    }
    pthread_mutex_lock(&f->lock);
    bool first = !atomic_load(&f->loaded);
    if (first) {
        f->version = v;
        atomic_store(&f->loaded, true);
    }
    pthread_mutex_unlock(&f->lock);
    if (!first)
        version_release(&v);
    return 0;
}

/* --- lookup --------------------------------------------------------------- */

struct asking {
    struct table *table; /* a reference */
    char *shown, *key;
    size_t key_len;
    uint32_t number;
    int r;
    struct err err;
};

static void asking_free(void *data)
{
    struct asking *a = data;

    table_unref(a->table);
    free(a->shown);
    free(a->key);
    free(a);
}

static int ask(struct call *c, struct err *err)
{
    struct asking *a = c->data;
    struct version v;

    (void)err;
    a->r = table_version_wait(a->table, a->key, a->key_len, a->number, &v,
                              &a->err);
    if (a->r == 0 && v.deleted) {
        version_release(&v);
        a->r = -ENOENT;
    } else if (a->r == 0) {
        c->node2 =
            version_node(c->node, a->table, c->name, a->key, a->key_len, &v);
    }
    return 0;
}

static void asked(fuse_req_t req, struct call *c)
{
    struct asking *a = c->data;

    if (a->r == 0) {
        fs_reply_node(req, c->node2);
        return;
    }
    /* That there is none is an answer. */
    if (a->r != -ENOENT)
        local_refused(local_of(c->node->mount, table_id(a->table)), a->shown,
                      a->r, err_text(&a->err, a->r), NULL, 0);
    fuse_reply_err(req, fs_errno(a->r));
}

static void ask_run(fuse_req_t req, struct call *c)
{
    struct asking *a = c->data;

    if (a->number > table_newest_version(a->table, a->key, a->key_len)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct call *next = call_new(c->node, c->name, asked);
    next->work = ask;
    next->data = a;
    next->release = asking_free;
    c->data = NULL;
    c->release = NULL;
    call_spawn(req, next);
}

void version_lookup_number(struct fuse_req *req, struct node *dir,
                           struct table *t, const char *name, const char *shown,
                           const char *key, size_t key_len, uint32_t number)
{
    struct node *n = node_find(dir->mount->inodes, dir, name);

    if (n) {
        fs_reply_node(req, n);
        node_unref(n);
        return;
    }
    struct call *c = call_new(dir, name, ask_run);
    struct asking *a = xcalloc(1, sizeof(*a));

    a->table = table_ref(t);
    a->shown = xstrdup(shown);
    a->key = copy_key(key, key_len);
    a->key_len = key_len;
    a->number = number;
    c->data = a;
    c->release = asking_free;
    call_when_open(req, t, c);
}

/* The version that is current and in memory costs nothing. */
static bool is_at_hand(struct table *t, const char *key, size_t len,
                       uint32_t number)
{
    struct row *row = row_find(t, key, len);
    bool here = row && row->version == number && row_text(row);

    row_unref(row);
    return here;
}

static void lookup_run(fuse_req_t req, struct call *c)
{
    struct table *t = ((struct table_dir *)c->node)->table;
    struct path p;
    struct node *n = NULL;

    if (path_parse(c->name, &p) == 0 && p.kind == PATH_VERSION &&
        p.version <= table_newest_version(t, p.text.data, p.text.len)) {
        struct version_init i = {t, p.text.data, p.text.len, p.version, NULL};
        n = node_get(c->node->mount->inodes, &type_version, c->node, c->name,
                     &i);
        if (is_at_hand(t, p.text.data, p.text.len, p.version))
            load_version(version_of(n), NULL);
    }
    buf_release(&p.text);
    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

void version_lookup(struct fuse_req *req, struct node *dir, const char *name)
{
    call_when_open(req, ((struct table_dir *)dir)->table,
                   call_new(dir, name, lookup_run));
}

/* --- attributes ----------------------------------------------------------- */

static int version_attr(struct node *n, struct stat *st)
{
    struct version_file *f = version_of(n);
    AUTO_STR char *shown = shown_name(n);
    bool writable = n->type == &type_version && !n->mount->o.read_only &&
                    table_writable(f->table);

    bool loaded = atomic_load(&f->loaded);

    fs_stat_file(n->mount,
                 fs_hash_ino(table_id(f->table), shown, strlen(shown)),
                 loaded ? f->version.mtime_ms : n->mount->started_ms, writable,
                 loaded ? f->version.text_len : 0, st);
    return 0;
}

static const char *const version_xattrs[] = {
    "version", "message_id", "channel_id", "guild_id", "url",
    "etag",    "author",     "key",        NULL,
};

static int version_xattr(struct node *n, const char *name, struct buf *out)
{
    struct version_file *f = version_of(n);
    const struct version *v = &f->version;
    uintmax_t guild =
        database_id(namespace_database(table_namespace(f->table)));
    /* An insert stands in the table's channel, all else in the thread. */
    uintmax_t channel = !atomic_load(&f->loaded) ? 0
                        : v->channel             ? v->channel
                        : v->number == 1         ? table_id(f->table)
                                                 : table_history_id(f->table);

    if (strcmp(name, "version") == 0)
        buf_printf(out, "%u", f->number);
    else if (strcmp(name, "guild_id") == 0)
        buf_printf(out, "%ju", guild);
    else if (strcmp(name, "key") == 0)
        buf_add(out, f->key, f->key_len);
    else if (!atomic_load(&f->loaded))
        return -ENODATA;
    else if (strcmp(name, "author") == 0)
        buf_addstr(out, v->by);
    else if (!v->message)
        return -ENODATA;
    else if (strcmp(name, "message_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)v->message);
    else if (strcmp(name, "channel_id") == 0)
        buf_printf(out, "%ju", channel);
    else if (strcmp(name, "url") == 0)
        buf_printf(out, "https://discord.com/channels/%ju/%ju/%ju", guild,
                   channel, (uintmax_t)v->message);
    else if (strcmp(name, "etag") == 0)
        buf_printf(out, "\"%u-%jx\"", v->number, (uintmax_t)v->message);
    else
        return -ENODATA;
    return 0;
}

/* --- open, read ----------------------------------------------------------- */

struct opening {
    struct text *text; /* a reference, or NULL */
    size_t size;
    off_t off;
    int r;
    struct err err;
};

static void opening_free(void *data)
{
    struct opening *o = data;

    if (o->text)
        text_unref(o->text);
    free(o);
}

static int load(struct call *c, struct err *err)
{
    struct version_file *f = version_of(c->node);
    struct opening *o = c->data;

    (void)err;
    o->r = load_version(f, &o->err);
    if (o->r == 0)
        o->r = version_text_wait(f->table, &f->version, &o->text, &o->err);
    return 0;
}

static void with_text(fuse_req_t req, struct node *n,
                      const struct fuse_file_info *fi, size_t size, off_t off,
                      void (*run)(fuse_req_t req, struct call *c))
{
    struct call *c = call_new(n, NULL, run);
    struct opening *o = xcalloc(1, sizeof(*o));

    if (fi)
        c->fi = *fi;
    o->size = size;
    o->off = off;
    c->data = o;
    c->release = opening_free;
    c->work = load;
    if (atomic_load(&version_of(n)->loaded) && version_of(n)->version.text) {
        load(c, NULL);
        run(req, c);
        call_free(c);
    } else {
        call_spawn(req, c);
    }
}

/* True: it went wrong, and was answered. */
static bool failed(fuse_req_t req, struct call *c)
{
    struct opening *o = c->data;

    if (o->r == 0)
        return false;
    if (o->r != -ENOENT) {
        AUTO_STR char *shown = shown_name(c->node);
        local_refused(version_of(c->node)->local, shown, o->r,
                      err_text(&o->err, o->r), NULL, 0);
    }
    fuse_reply_err(req, fs_errno(o->r));
    return true;
}

static void reply_part(fuse_req_t req, const char *text, size_t len,
                       size_t size, off_t off)
{
    size_t at = (size_t)off < len ? (size_t)off : len;

    fuse_reply_buf(req, text + at, size < len - at ? size : len - at);
}

static void read_run(fuse_req_t req, struct call *c)
{
    struct opening *o = c->data;

    if (!failed(req, c))
        reply_part(req, o->text->data, o->text->len, o->size, o->off);
}

static void version_read(fuse_req_t req, struct node *n, struct handle *h,
                         size_t size, off_t off)
{
    AUTO_BUF struct buf own = BUF_INIT;

    if (!h) {
        with_text(req, n, NULL, size, off, read_run);
        return;
    }
    /* What its writer made of it, or what was there when it was opened. */
    pthread_mutex_lock(&h->lock);
    bool edited = handle_writes(h) && (h->edit.active || h->fresh);
    if (edited)
        buf_add(&own, h->edit.text.data, h->edit.text.len);
    pthread_mutex_unlock(&h->lock);
    if (edited)
        reply_part(req, own.data ? own.data : "", own.len, size, off);
    else
        reply_part(req, h->text->data, h->text->len, size, off);
}

static void open_run(fuse_req_t req, struct call *c)
{
    struct opening *o = c->data;
    struct handle *h;

    if (failed(req, c))
        return;
    h = handle_new(c->node, c->fi.flags);
    h->fresh = (c->fi.flags & O_TRUNC) != 0;
    h->direct = true;
    h->text = o->text;
    o->text = NULL;
    c->fi.direct_io = 1;
    c->fi.noflush = !handle_writes(h);
    handle_give(h, &c->fi);
    if (fuse_reply_open(req, &c->fi) < 0)
        handle_unref(h);
}

static void getattr_run(fuse_req_t req, struct call *c)
{
    if (!failed(req, c))
        fs_reply_attr(req, c->node);
}

static int load_attr(struct call *c, struct err *err)
{
    struct opening *o = c->data;

    (void)err;
    o->r = load_version(version_of(c->node), &o->err);
    return 0;
}

static void version_getattr(fuse_req_t req, struct node *n)
{
    if (atomic_load(&version_of(n)->loaded)) {
        fs_reply_attr(req, n);
        return;
    }
    struct call *c = call_new(n, NULL, getattr_run);
    c->data = xcalloc(1, sizeof(struct opening));
    c->release = opening_free;
    c->work = load_attr;
    call_spawn(req, c);
}

static void version_open(fuse_req_t req, struct node *n,
                         struct fuse_file_info *fi)
{
    struct version_file *f = version_of(n);

    /* The kernel may have no size of it yet: read past its cache. */
    if ((fi->flags & O_ACCMODE) == O_RDONLY) {
        with_text(req, n, fi, 0, 0, open_run);
    } else if (!table_writable(f->table)) {
        AUTO_STR char *shown = shown_name(n);
        local_refuse(req, f->local, shown, EACCES,
                     "the bot may not write in this channel");
    } else {
        with_text(req, n, fi, 0, 0, open_run);
    }
}

static void old_version_open(fuse_req_t req, struct node *n,
                             struct fuse_file_info *fi)
{
    struct version_file *f = version_of(n);

    /* Who only reads needs no handle: the kernel keeps what never changes. */
    if ((fi->flags & O_ACCMODE) == O_RDONLY) {
        fi->keep_cache = 1;
        fi->noflush = 1;
        fuse_reply_open(req, fi);
        return;
    }
    AUTO_BUF struct buf row = BUF_INIT;
    AUTO_STR char *shown = shown_name(n);
    path_of_key(f->key, f->key_len, &row);
    local_refuse(req, f->local, shown, EACCES,
                 "versions stay as they are; cp this file to %s restores it",
                 row.data);
}

/* --- write ---------------------------------------------------------------- */

static void written(void *arg, int r, struct row *row, const struct err *err)
{
    row_unref(row);
    commit_done(arg, r, err);
}

/* Compare and swap: whatever was written, it replaces this version alone. */
static void version_commit(struct node *n, struct commit *c)
{
    struct version_file *f = version_of(n);
    struct err err = ERR_INIT;
    struct write w = {
        .kind = WRITE_PUT,
        .key = f->key,
        .key_len = f->key_len,
        .text = c->text,
        .text_len = c->len,
        .must_exist = true,
        .if_version = f->number,
    };

    int r = pending_write(c->pending, f->table, &w, written, c, &err);
    if (r < 0)
        written(c, r, NULL, &err);
}

static void version_refused(struct node *n, int r, const char *why,
                            const char *text, size_t len)
{
    AUTO_STR char *shown = shown_name(n);

    local_refused(version_of(n)->local, shown, r, why, text, len);
}

static size_t version_max(struct node *n)
{
    return database_max_file(
        namespace_database(table_namespace(version_of(n)->table)));
}

/* Pieces that were not committed, or O_TRUNC, gave it another size. */
static void version_close(struct node *n, struct handle *h)
{
    if (handle_writes(h))
        notify_changed(n->mount->notify, n);
}

static const struct node_type type_version = {
    .type = S_IFREG,
    .size = sizeof(struct version_file),
    .live = true,
    .document = true,
    .init = version_init,
    .release = version_forget,
    .attr = version_attr,
    .getattr = version_getattr,
    .open = version_open,
    .read = version_read,
    .release_handle = version_close,
    .commit = version_commit,
    .refused = version_refused,
    .max = version_max,
    .xattr = version_xattr,
    .xattrs = version_xattrs,
};

static const struct node_type type_old_version = {
    .type = S_IFREG,
    .size = sizeof(struct version_file),
    .init = version_init,
    .release = version_forget,
    .attr = version_attr,
    .open = old_version_open,
    .read = version_read,
    .xattr = version_xattr,
    .xattrs = version_xattrs,
};
