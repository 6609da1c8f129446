/* One version of one row as a file (version.h). What it says of itself comes
 * with the lookup, which may ask Discord; small texts come with it, those of
 * attachments from the engine's cache of texts. */
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
    struct version *version;
};

static void version_init(struct node *n, const void *arg)
{
    const struct version_init *i = arg;
    struct version_file *f = version_of(n);

    f->table = table_ref(i->table);
    f->local = local_of(n->mount, table_id(i->table));
    f->key = copy_key(i->key, i->key_len);
    f->key_len = i->key_len;
    f->version = *i->version;
    *i->version = (struct version){0};
}

static void version_forget(struct node *n)
{
    struct version_file *f = version_of(n);

    version_release(&f->version);
    free(f->key);
    table_unref(f->table);
}

struct node *version_node(struct node *dir, struct table *t,
                          const struct node_type *type, const char *name,
                          const char *key, size_t key_len, struct version *v)
{
    struct version_init i = {t, key, key_len, v};
    struct node *n = node_get(dir->mount->inodes, type, dir, name, &i);

    version_release(v); /* of one that was there already */
    return n;
}

/* --- lookup --------------------------------------------------------------- */

struct asking {
    struct table *table; /* a reference */
    const struct node_type *type;
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
        c->node2 = version_node(c->node, a->table, a->type, c->name, a->key,
                                a->key_len, &v);
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
                           struct table *t, const struct node_type *type,
                           const char *name, const char *shown, const char *key,
                           size_t key_len, uint32_t number)
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
    a->type = type;
    a->shown = xstrdup(shown);
    a->key = copy_key(key, key_len);
    a->key_len = key_len;
    a->number = number;
    c->data = a;
    c->release = asking_free;
    call_when_open(req, t, c);
}

void version_lookup(struct fuse_req *req, struct node *dir, struct table *t,
                    const char *name)
{
    struct path p;

    if (path_parse(name, &p) == 0 && p.kind == PATH_VERSION)
        version_lookup_number(req, dir, t, &type_version, name, name,
                              p.text.data, p.text.len, p.version);
    else
        fuse_reply_err(req, ENOENT);
    buf_release(&p.text);
}

/* --- attributes ----------------------------------------------------------- */

static int version_attr(struct node *n, struct stat *st)
{
    struct version_file *f = version_of(n);
    AUTO_STR char *shown = shown_name(n);
    bool writable = n->type == &type_version && !n->mount->o.read_only &&
                    table_writable(f->table);

    fs_stat_file(n->mount,
                 fs_hash_ino(table_id(f->table), shown, strlen(shown)),
                 f->version.mtime_ms, writable, f->version.text_len, st);
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
    uintmax_t channel = v->channel       ? v->channel
                        : v->number == 1 ? table_id(f->table)
                                         : table_history_id(f->table);

    if (strcmp(name, "version") == 0)
        buf_printf(out, "%u", v->number);
    else if (strcmp(name, "guild_id") == 0)
        buf_printf(out, "%ju", guild);
    else if (strcmp(name, "author") == 0)
        buf_addstr(out, v->by);
    else if (strcmp(name, "key") == 0)
        buf_add(out, f->key, f->key_len);
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
    if (version_of(n)->version.text) {
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
    AUTO_STR char *shown = shown_name(c->node);
    local_refused(version_of(c->node)->local, shown, o->r,
                  err_text(&o->err, o->r), NULL, 0);
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
    bool edited = false;

    if (h) {
        pthread_mutex_lock(&h->lock);
        edited = h->edit.active || h->fresh;
        if (edited)
            buf_add(&own, h->edit.text.data, h->edit.text.len);
        pthread_mutex_unlock(&h->lock);
    }
    if (edited)
        reply_part(req, own.data ? own.data : "", own.len, size, off);
    else
        with_text(req, n, NULL, size, off, read_run);
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
    handle_give(h, &c->fi);
    if (fuse_reply_open(req, &c->fi) < 0)
        handle_unref(h);
}

/* Who only reads needs no handle: the kernel keeps what never changes. */
static void open_read(fuse_req_t req, struct fuse_file_info *fi)
{
    fi->keep_cache = 1;
    fi->noflush = 1;
    fuse_reply_open(req, fi);
}

static void version_open(fuse_req_t req, struct node *n,
                         struct fuse_file_info *fi)
{
    struct version_file *f = version_of(n);

    if ((fi->flags & O_ACCMODE) == O_RDONLY) {
        open_read(req, fi);
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

    if ((fi->flags & O_ACCMODE) == O_RDONLY) {
        open_read(req, fi);
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
        .if_version = f->version.number,
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

const struct node_type type_version = {
    .type = S_IFREG,
    .size = sizeof(struct version_file),
    .document = true,
    .init = version_init,
    .release = version_forget,
    .attr = version_attr,
    .open = version_open,
    .read = version_read,
    .release_handle = version_close,
    .commit = version_commit,
    .refused = version_refused,
    .max = version_max,
    .xattr = version_xattr,
    .xattrs = version_xattrs,
};

const struct node_type type_old_version = {
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
