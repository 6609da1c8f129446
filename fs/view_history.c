/* <table>/.history/<key>/: a row's versions as files, oldest first, and .log,
 * a line for each of them. Its listing has the keys of the rows that are there,
 * and of deleted ones as far as the engine has them in memory; what was deleted
 * is found by its name in any case.
 *
 * What is listed asks Discord, on a thread that may wait. Between the pages of
 * a listing it is kept here; then the kernel keeps it, until the row has
 * another version. */
#include "fs/version.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/str.h"
#include "fs/call.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/table.h"
#include "fs/view.h"

#define PAGE_ROWS 256
#define LOG_NAME ".log"

/* Offsets in the listing of all keys: rows by their place, behind the dots;
 * then rows that were deleted, by the message that did it. */
#define ROWS_AT 2
#define DELETED_AT ((off_t)1 << 62)

struct history_dir {
    struct node node;
    struct table *table; /* a reference; set at creation, as local and key */
    struct local *local;
    char *key;
    size_t key_len;

    pthread_mutex_t lock; /* leaf; guards all below */
    struct history *kept; /* between two pages of a listing; or NULL */
    uint32_t kept_at;     /* the newest version then */
};

struct history_log {
    struct node node;
    struct table *table; /* a reference; set at creation, as local and key */
    struct local *local;
    char *key;
    size_t key_len;

    pthread_mutex_t lock; /* leaf; guards all below */
    struct buf text;
    int64_t mtime_ms;
    uint32_t text_at; /* the newest version in text */
};

static const struct node_type type_history_dir, type_history_log;

static struct history_dir *dir_of(struct node *n)
{
    return (struct history_dir *)n;
}

static struct history_log *log_of(struct node *n)
{
    return (struct history_log *)n;
}

static uint64_t history_ino(uint64_t table)
{
    return fs_hash_ino(table, "/.history", 9);
}

static uint64_t dir_ino(const struct table *t, const char *key, size_t len)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addstr(&b, "/.history/");
    buf_add(&b, key, len);
    return fs_hash_ino(table_id(t), b.data, b.len);
}

/* ".history/<key>/<name>", for .errors. */
static void add_shown(struct buf *out, const char *key, size_t len,
                      const char *name)
{
    buf_addstr(out, ".history/");
    path_of_key_dir(key, len, out);
    buf_addc(out, '/');
    buf_addstr(out, name);
}

static void refuse_making(fuse_req_t req, struct node *dir, const char *name,
                          mode_t mode, struct fuse_file_info *fi)
{
    (void)mode;
    (void)fi;
    local_refuse(req, table_view_of(dir)->local, name, EPERM,
                 "nothing can be put into .history; a new version is made by "
                 "writing the row");
}

static void refuse_removing(fuse_req_t req, struct node *dir, const char *name)
{
    local_refuse(req, table_view_of(dir)->local, name, EPERM,
                 "versions stay; dbcord vacuum removes old ones");
}

/* --- .history ------------------------------------------------------------- */

struct key_init {
    struct table *table;
    const char *key;
    size_t key_len;
};

static int history_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, history_ino(table_id(t)), table_mtime_ms(t), false,
                st);
    return 0;
}

static struct node *key_dir(struct node *dir, const char *name)
{
    struct table *t = table_view_of(dir)->table;
    struct path p;
    struct node *n = NULL;

    if (path_parse_key_dir(name, &p) == 0 && p.kind == PATH_ROW &&
        table_newest_version(t, p.text.data, p.text.len) > 0) {
        struct key_init i = {t, p.text.data, p.text.len};
        n = node_get(dir->mount->inodes, &type_history_dir, dir, name, &i);
    } else if (p.kind == PATH_SHORT) {
        AUTO_BUF struct buf file = BUF_INIT;
        buf_printf(&file, "%s%s", name, PATH_ROW_SUFFIX);
        struct row *row = table_row_named(t, &p, file.data);
        if (row) {
            struct key_init i = {t, row_key(row), row->key_len};
            n = node_get(dir->mount->inodes, &type_history_dir, dir, name, &i);
        }
        row_unref(row);
    }
    buf_release(&p.text);
    return n;
}

static void lookup_key_run(fuse_req_t req, struct call *c)
{
    struct node *n = key_dir(c->node, c->name);

    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void lookup_key(fuse_req_t req, struct node *dir, const char *name)
{
    call_when_open(req, table_view_of(dir)->table,
                   call_new(dir, name, lookup_key_run));
}

static bool add_key(struct listing *l, struct table *t, const struct row *row,
                    off_t next)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct stat st = {
        .st_ino = dir_ino(t, row_key(row), row->key_len),
        .st_mode = S_IFDIR,
    };

    path_of_key_dir(row_key(row), row->key_len, &name);
    return listing_add(l, name.data, NULL, &st, next);
}

static bool add_rows(struct listing *l, struct table *t)
{
    uint64_t after = l->after > ROWS_AT ? (uint64_t)(l->after - ROWS_AT) : 0;
    struct row *rows[PAGE_ROWS];
    bool room = true;
    size_t n;

    while (room && (n = row_list(t, after, rows, PAGE_ROWS)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            room =
                room && add_key(l, t, rows[i], (off_t)rows[i]->seq + ROWS_AT);
            row_unref(rows[i]);
        }
    }
    return room;
}

/* A shortened name leads to a row that is there alone, so a deleted one is not
 * listed by it. */
static void add_deleted(struct listing *l, struct table *t)
{
    struct row **rows;
    size_t n = table_deleted_rows(t, &rows);
    bool room = true;

    for (size_t i = 0; i < n; i++) {
        off_t at = DELETED_AT + (off_t)rows[i]->id;
        if (at > l->after &&
            !path_is_shortened(row_key(rows[i]), rows[i]->key_len))
            room = room && add_key(l, t, rows[i], at);
        row_unref(rows[i]);
    }
    free(rows);
}

static void list_keys_run(fuse_req_t req, struct call *c)
{
    struct listing *l = &c->listing;
    struct table *t = table_view_of(c->node)->table;

    l->req = req;
    if (listing_dots(l, history_ino(table_id(t)), table_id(t)) &&
        (l->after >= DELETED_AT || add_rows(l, t)))
        add_deleted(l, t);
    listing_reply(l);
}

static void list_keys(struct node *dir, struct listing *l)
{
    struct call *c = call_new(dir, NULL, list_keys_run);

    c->listing = *l;
    call_when_open(l->req, table_view_of(dir)->table, c);
}

const struct node_type view_history = {
    .name = ".history",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = history_attr,
    .lookup = lookup_key,
    .list = list_keys,
    .create = refuse_making,
    .unlink = refuse_removing,
    .rmdir = refuse_removing,
};

/* --- .history/<key>: what Discord tells ----------------------------------- */

struct telling {
    struct history history;
    uint32_t newest; /* before it was asked for */
    int r;
    struct err err;
};

static void telling_free(void *data)
{
    struct telling *g = data;

    history_release(&g->history);
    free(g);
}

static struct telling *telling_of(struct call *c)
{
    if (!c->data) {
        c->data = xcalloc(1, sizeof(struct telling));
        c->release = telling_free;
    }
    return c->data;
}

/* key: of the directory, or of its .log. */
static int ask(struct call *c, struct table *t, const char *key, size_t len)
{
    struct telling *g = telling_of(c);

    g->newest = table_newest_version(t, key, len);
    g->r = table_history_wait(t, key, len, &g->history, &g->err);
    return 0;
}

/* True: it went wrong, and was answered. */
static bool failed(fuse_req_t req, struct call *c, const char *key, size_t len,
                   const char *name)
{
    struct telling *g = telling_of(c);

    if (g->r == 0)
        return false;
    if (g->r != -ENOENT) {
        AUTO_BUF struct buf shown = BUF_INIT;
        add_shown(&shown, key, len, name);
        local_refused(table_view_of(c->node)->local, shown.data, g->r,
                      err_text(&g->err, g->r), NULL, 0);
    }
    fuse_reply_err(req, fs_errno(g->r));
    return true;
}

/* --- .history/<key>: listing ---------------------------------------------- */

static void dir_init(struct node *n, const void *arg)
{
    const struct key_init *i = arg;
    struct history_dir *d = dir_of(n);

    d->table = table_ref(i->table);
    d->local = local_of(n->mount, table_id(i->table));
    d->key = xmalloc(i->key_len + 1);
    memcpy(d->key, i->key, i->key_len);
    d->key[i->key_len] = '\0';
    d->key_len = i->key_len;
    pthread_mutex_init(&d->lock, NULL);
}

static void forget_kept(struct history *h)
{
    if (h)
        history_release(h);
    free(h);
}

static void dir_release(struct node *n)
{
    struct history_dir *d = dir_of(n);

    forget_kept(d->kept);
    pthread_mutex_destroy(&d->lock);
    free(d->key);
    table_unref(d->table);
}

static int dir_attr(struct node *n, struct stat *st)
{
    struct history_dir *d = dir_of(n);
    struct row *row = row_find(d->table, d->key, d->key_len);

    fs_stat_dir(n->mount, dir_ino(d->table, d->key, d->key_len),
                row ? row->at_ms : table_mtime_ms(d->table), false, st);
    row_unref(row);
    return 0;
}

static bool add_version(struct node *dir, struct listing *l, struct version *v)
{
    struct history_dir *d = dir_of(dir);
    char name[32];
    struct stat st = {.st_mode = S_IFREG};
    struct node *n = NULL;

    snprintf(name, sizeof(name), "%u.json", v->number);
    st.st_ino = dir_ino(d->table, d->key, d->key_len) ^ v->number;
    /* A name alone, of what is damaged: reading it says what is wrong. */
    if (l->plus && v->r == 0) {
        struct version own = version_copy(v);
        n = version_node(dir, d->table, name, d->key, d->key_len, &own);
        n->type->attr(n, &st);
    }
    bool room = listing_add(l, name, n, &st, (off_t)v->number + 2);
    node_unref(n);
    return room;
}

static void reply_versions(fuse_req_t req, struct node *dir, struct listing *l,
                           struct history *h, uint32_t newest)
{
    struct history_dir *d = dir_of(dir);
    l->req = req;
    bool room = listing_dots(l, dir_ino(d->table, d->key, d->key_len),
                             history_ino(table_id(d->table)));
    for (size_t i = 0; room && i < h->n; i++)
        if (!h->list[i].deleted && (off_t)h->list[i].number + 2 > l->after)
            room = add_version(dir, l, &h->list[i]);
    if (!room) {
        struct history *keep = xcalloc(1, sizeof(*keep));
        *keep = *h;
        *h = (struct history){0};
        pthread_mutex_lock(&d->lock);
        struct history *old = d->kept;
        d->kept = keep;
        d->kept_at = newest;
        pthread_mutex_unlock(&d->lock);
        forget_kept(old);
    }
    listing_reply(l);
}

static int list_work(struct call *c, struct err *err)
{
    struct history_dir *d = dir_of(c->node);

    (void)err;
    return ask(c, d->table, d->key, d->key_len);
}

static void list_run(fuse_req_t req, struct call *c)
{
    struct history_dir *d = dir_of(c->node);
    struct telling *g = telling_of(c);

    if (!failed(req, c, d->key, d->key_len, ""))
        reply_versions(req, c->node, &c->listing, &g->history, g->newest);
}

static void list_versions(struct node *dir, struct listing *l)
{
    struct history_dir *d = dir_of(dir);
    uint32_t newest = table_newest_version(d->table, d->key, d->key_len);

    pthread_mutex_lock(&d->lock);
    struct history *kept = d->kept;
    bool fresh = kept && l->after > 0 && d->kept_at == newest;
    d->kept = NULL;
    pthread_mutex_unlock(&d->lock);

    if (fresh) {
        reply_versions(l->req, dir, l, kept, newest);
    } else {
        struct call *c = call_new(dir, NULL, list_run);
        c->work = list_work;
        c->listing = *l;
        call_spawn(l->req, c);
    }
    forget_kept(kept);
}

/* --- .history/<key>: names ------------------------------------------------ */

static void refresh_log(fuse_req_t req, struct node *n,
                        const struct fuse_file_info *fi,
                        void (*run)(fuse_req_t req, struct call *c));

static void log_found(fuse_req_t req, struct call *c)
{
    struct history_log *g = log_of(c->node);

    if (!failed(req, c, g->key, g->key_len, LOG_NAME))
        fs_reply_node(req, c->node);
}

static void lookup_version(fuse_req_t req, struct node *dir, const char *name)
{
    struct history_dir *d = dir_of(dir);
    AUTO_BUF struct buf shown = BUF_INIT;
    size_t len = strlen(name);
    uint64_t number;

    if (strcmp(name, LOG_NAME) == 0) {
        struct key_init i = {d->table, d->key, d->key_len};
        struct node *n =
            node_get(dir->mount->inodes, &type_history_log, dir, name, &i);
        refresh_log(req, n, NULL, log_found);
        node_unref(n);
        return;
    }
    if (!str_ends(name, PATH_ROW_SUFFIX) ||
        !str_to_u64_n(name, len - strlen(PATH_ROW_SUFFIX), &number) ||
        number == 0 || number > UINT32_MAX) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    add_shown(&shown, d->key, d->key_len, name);
    version_lookup_number(req, dir, d->table, name, shown.data, d->key,
                          d->key_len, (uint32_t)number);
}

static const struct node_type type_history_dir = {
    .type = S_IFDIR,
    .size = sizeof(struct history_dir),
    .init = dir_init,
    .release = dir_release,
    .attr = dir_attr,
    .lookup = lookup_version,
    .list = list_versions,
    .create = refuse_making,
    .unlink = refuse_removing,
    .rmdir = refuse_removing,
};

/* --- .history/<key>/.log -------------------------------------------------- */

static void log_init(struct node *n, const void *arg)
{
    const struct key_init *i = arg;
    struct history_log *g = log_of(n);

    g->table = table_ref(i->table);
    g->local = local_of(n->mount, table_id(i->table));
    g->key = xmalloc(i->key_len + 1);
    memcpy(g->key, i->key, i->key_len);
    g->key[i->key_len] = '\0';
    g->key_len = i->key_len;
    g->text = BUF_INIT;
    pthread_mutex_init(&g->lock, NULL);
}

static void log_release(struct node *n)
{
    struct history_log *g = log_of(n);

    buf_release(&g->text);
    pthread_mutex_destroy(&g->lock);
    free(g->key);
    table_unref(g->table);
}

static int log_attr(struct node *n, struct stat *st)
{
    struct history_log *g = log_of(n);

    pthread_mutex_lock(&g->lock);
    fs_stat_file(n->mount, dir_ino(g->table, g->key, g->key_len) ^ UINT32_MAX,
                 g->mtime_ms, false, g->text.len, st);
    pthread_mutex_unlock(&g->lock);
    return 0;
}

static void log_text(struct node *n, struct buf *out)
{
    struct history_log *g = log_of(n);

    pthread_mutex_lock(&g->lock);
    buf_add(out, g->text.data, g->text.len);
    pthread_mutex_unlock(&g->lock);
}

/* version, time, who, what, message; with tabs between them. */
static void add_line(struct buf *out, const struct version *v)
{
    char at[CLOCK_ISO_SIZE];

    if (v->r < 0)
        buf_printf(out, "%u\t-\t-\tdamaged\t%ju\t%s\n", v->number,
                   (uintmax_t)v->message, v->why);
    else
        buf_printf(out, "%u\t%s\t%s\t%s\t%ju\n", v->number,
                   clock_iso(v->at_ms, at), *v->by ? v->by : "-",
                   v->deleted ? "delete" : "put", (uintmax_t)v->message);
}

static int log_work(struct call *c, struct err *err)
{
    struct history_log *g = log_of(c->node);
    struct telling *tell = telling_of(c);
    AUTO_BUF struct buf text = BUF_INIT;

    (void)err;
    ask(c, g->table, g->key, g->key_len);
    if (tell->r < 0)
        return 0;
    const struct history *h = &tell->history;
    for (size_t i = 0; i < h->n; i++)
        add_line(&text, &h->list[i]);
    pthread_mutex_lock(&g->lock);
    buf_release(&g->text);
    g->text = buf_take(&text);
    g->text_at = tell->newest;
    g->mtime_ms = h->n ? h->list[h->n - 1].at_ms : 0;
    pthread_mutex_unlock(&g->lock);
    return 0;
}

/* Asks if there is more to tell than what is here. */
static void refresh_log(fuse_req_t req, struct node *n,
                        const struct fuse_file_info *fi,
                        void (*run)(fuse_req_t req, struct call *c))
{
    struct history_log *g = log_of(n);
    struct call *c = call_new(n, NULL, run);
    uint32_t newest = table_newest_version(g->table, g->key, g->key_len);

    if (fi)
        c->fi = *fi;
    pthread_mutex_lock(&g->lock);
    bool fresh = g->text_at == newest;
    pthread_mutex_unlock(&g->lock);
    if (fresh) {
        run(req, c);
        call_free(c);
        return;
    }
    c->work = log_work;
    call_spawn(req, c);
}

static void log_getattr_run(fuse_req_t req, struct call *c)
{
    struct history_log *g = log_of(c->node);

    if (!failed(req, c, g->key, g->key_len, LOG_NAME))
        fs_reply_attr(req, c->node);
}

static void log_getattr(fuse_req_t req, struct node *n)
{
    refresh_log(req, n, NULL, log_getattr_run);
}

static void log_open_run(fuse_req_t req, struct call *c)
{
    struct history_log *g = log_of(c->node);

    if (!failed(req, c, g->key, g->key_len, LOG_NAME))
        fs_open_text(req, c->node, &c->fi);
}

static void log_open(fuse_req_t req, struct node *n, struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY)
        fuse_reply_err(req, EACCES);
    else
        refresh_log(req, n, fi, log_open_run);
}

static const struct node_type type_history_log = {
    .type = S_IFREG,
    .size = sizeof(struct history_log),
    .live = true,
    .init = log_init,
    .release = log_release,
    .attr = log_attr,
    .text = log_text,
    .getattr = log_getattr,
    .open = log_open,
};

/* --- what changes --------------------------------------------------------- */

static struct node *key_node(struct node *table, const struct row *row,
                             struct node **all)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct inodes *inodes = table->mount->inodes;

    *all = node_find(inodes, table, ".history");
    if (!*all)
        return NULL;
    path_of_key_dir(row_key(row), row->key_len, &name);
    return node_find(inodes, *all, name.data);
}

void history_changed(struct node *table, const struct row *row, bool keys)
{
    struct node *all, *dir = key_node(table, row, &all);
    struct notify *notify = table->mount->notify;

    if (all && keys)
        notify_changed(notify, all);
    if (dir)
        notify_changed(notify, dir);
    node_unref(dir);
    node_unref(all);
}

static void forget_name(struct node *dir, const char *name)
{
    struct mount *m = dir->mount;
    struct node *n = node_find(m->inodes, dir, name);

    if (!n)
        return;
    node_unhash(n);
    notify_name(m->notify, dir, name, n);
    node_unref(n);
}

void history_voided(struct node *table, const struct row *row)
{
    struct node *all, *dir = key_node(table, row, &all);
    AUTO_BUF struct buf name = BUF_INIT;

    path_of_key_dir(row_key(row), row->key_len, &name);
    buf_printf(&name, "@%u%s", row->version, PATH_ROW_SUFFIX);
    forget_name(table, name.data);
    if (dir) {
        buf_reset(&name);
        buf_printf(&name, "%u%s", row->version, PATH_ROW_SUFFIX);
        forget_name(dir, name.data);
        forget_name(dir, LOG_NAME);
        notify_changed(table->mount->notify, dir);
    }
    node_unref(dir);
    node_unref(all);
}
