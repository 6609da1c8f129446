/* Rows and drafts as files: content, attributes, versions.
 *
 * What the kernel keeps of a row is one page at most: a row of that size is
 * read through the page cache, so that a warm cat costs no READ. Everything
 * else is read past the cache from the version that was current at open:
 * larger rows, and those that are being written or changed a moment ago, whose
 * size and page the kernel could pair wrongly.
 *
 * Where a row changes while somebody has it open through the page cache, the
 * name gets a new node with the same inode number, and the old one keeps its
 * version: who opened it reads on to its end. On a read-only mount, which knows
 * of no open files, that is so for every change. */
#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "fs/call.h"
#include "fs/document.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/view.h"

#define PAGE_BYTES 4096
/* So long after a change a row is read past the cache. */
#define HOT_MS 2000

struct file_init {
    struct local *local;
    struct table *table;
    const char *key;
    size_t key_len;
    struct draft *draft;
    bool is_new, rejected;
};

static struct file *file_of(struct node *n)
{
    return (struct file *)n;
}

static void set_key(struct file *f, const char *key, size_t len)
{
    free(f->key);
    f->key = NULL;
    f->key_len = 0;
    if (key) {
        f->key = xmalloc(len + 1);
        memcpy(f->key, key, len);
        f->key[len] = '\0';
        f->key_len = len;
    }
}

static void file_init(struct node *n, const void *arg)
{
    const struct file_init *i = arg;
    struct file *f = file_of(n);

    f->local = i->local;
    f->table = table_ref(i->table);
    set_key(f, i->key, i->key_len);
    if (i->draft)
        f->draft = draft_ref(i->draft);
    f->is_new = i->is_new;
    f->rejected = i->rejected;
    f->changed_ms = -HOT_MS;
}

static void file_release(struct node *n)
{
    struct file *f = file_of(n);

    free(f->key);
    draft_unref(f->draft);
    row_unref(f->shown);
    table_unref(f->table);
}

struct node *file_of_row(struct node *table, const struct row *row)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct table *t = table_of_node(table);
    struct file_init i = {
        .local = local_of(table->mount, table_id(t)),
        .table = t,
        .key = row_key(row),
        .key_len = row->key_len,
    };

    path_of_key(row_key(row), row->key_len, &name);
    return node_get(table->mount->inodes, &type_file, table, name.data, &i);
}

struct node *file_of_draft(struct node *dir, struct local *l, struct table *t,
                           const struct draft_name *d, bool rejected)
{
    struct path p;
    struct file_init i = {
        .local = l,
        .table = t,
        .draft = d->draft,
        .is_new = d->new_row,
        .rejected = rejected,
    };

    int r = path_parse(d->name, &p);
    if (r == 0 && p.kind == PATH_ROW && d->new_row) {
        i.key = p.text.data;
        i.key_len = p.text.len;
    }
    struct node *n = node_get(dir->mount->inodes, &type_file, dir, d->name, &i);
    buf_release(&p.text);
    return n;
}

void file_becomes_row_locked(struct file *f, const char *key, size_t key_len)
{
    if (key)
        set_key(f, key, key_len);
    draft_unref(f->draft);
    f->draft = NULL;
    f->is_new = f->rejected = false;
    /* Of a rename the news that its old key is gone may come first. */
    f->gone = f->frozen = false;
    f->changed_ms = clock_mono_ms();
}

void file_becomes_draft_locked(struct file *f, struct draft *d)
{
    set_key(f, NULL, 0);
    draft_ref(d);
    draft_unref(f->draft);
    f->draft = d;
    f->is_new = false;
    row_unref(f->shown);
    f->shown = NULL;
}

void file_gone_locked(struct file *f)
{
    f->gone = true;
    node_unhash(&f->node);
}

/* The row now; a reference, or NULL. Caller holds local->lock. */
static struct row *row_now_locked(struct file *f)
{
    return f->key ? row_find(f->table, f->key, f->key_len) : NULL;
}

static void show_locked(struct file *f, struct row *row)
{
    if (f->shown == row)
        return;
    row_unref(f->shown);
    f->shown = row_ref(row);
}

void file_changed(struct file *f)
{
    pthread_mutex_lock(&f->local->lock);
    f->changed_ms = clock_mono_ms();
    pthread_mutex_unlock(&f->local->lock);
    notify_changed(f->node.mount->notify, &f->node);
}

bool file_freeze(struct file *f)
{
    pthread_mutex_lock(&f->local->lock);
    bool freeze = !f->draft && f->shown && !f->gone && !f->frozen &&
                  (f->readers > 0 || f->node.mount->o.read_only);
    if (freeze) {
        f->frozen = true;
        node_unhash(&f->node);
    }
    pthread_mutex_unlock(&f->local->lock);
    return freeze;
}

/* --- attributes ----------------------------------------------------------- */

static uint64_t row_ino(const struct table *t, const struct row *row)
{
    return row->home ? row->home
                     : fs_hash_ino(table_id(t), row_key(row), row->key_len);
}

static void stat_draft(struct file *f, const char *name, struct stat *st)
{
    struct draft_attr a = draft_attr(f->draft);

    fs_stat_file(f->node.mount,
                 fs_hash_ino(f->local->table_id, name, strlen(name)),
                 a.mtime_ms, true, a.size, st);
    st->st_mode = S_IFREG | a.mode;
    st->st_uid = a.uid;
    st->st_gid = a.gid;
}

static int file_attr(struct node *n, struct stat *st)
{
    struct file *f = file_of(n);
    AUTO_STR char *name = node_name(n, NULL);
    bool writable = !n->mount->o.read_only && table_writable(f->table);
    int r = 0;

    pthread_mutex_lock(&f->local->lock);
    if (f->draft) {
        stat_draft(f, name, st);
    } else {
        bool fixed = f->gone || f->frozen;
        struct row *row = fixed ? NULL : row_now_locked(f);
        if (row) {
            show_locked(f, row);
            row_unref(row);
        }
        if (row || (fixed && f->shown))
            fs_stat_file(n->mount, row_ino(f->table, f->shown),
                         local_mtime(f->local, name, f->shown), writable,
                         f->shown->text_len, st);
        else
            r = -ENOENT;
    }
    if (f->gone)
        st->st_nlink = 0;
    pthread_mutex_unlock(&f->local->lock);
    return r;
}

static void getattr_run(fuse_req_t req, struct call *c)
{
    struct file *f = file_of(c->node);
    struct stat st;

    pthread_mutex_lock(&f->local->lock);
    bool written = f->writers > 0;
    pthread_mutex_unlock(&f->local->lock);
    /* A writer's own handle knows another size: it is to be asked for. */
    if (!written || file_attr(c->node, &st) < 0)
        fs_reply_attr(req, c->node);
    else
        fuse_reply_attr(req, &st, 0);
}

static void file_getattr(fuse_req_t req, struct node *n)
{
    call_when_open(req, file_of(n)->table, call_new(n, NULL, getattr_run));
}

static int64_t time_of(struct timespec t, bool now)
{
    return now ? clock_wall_ms() : t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0, or why not. */
static int set_draft_attr_locked(struct file *f, const struct stat *st,
                                 int which)
{
    if (which & FUSE_SET_ATTR_MODE)
        draft_set_mode(f->draft, st->st_mode);
    if (which & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID))
        draft_set_owner(f->draft,
                        which & FUSE_SET_ATTR_UID ? st->st_uid : (uid_t)-1,
                        which & FUSE_SET_ATTR_GID ? st->st_gid : (gid_t)-1);
    if (which & FUSE_SET_ATTR_MTIME)
        draft_set_mtime(f->draft,
                        time_of(st->st_mtim, which & FUSE_SET_ATTR_MTIME_NOW));
    return 0;
}

/* A row has no mode or owner of its own. What archivers and copying tools set
 * is let pass, but not what asks for a protection that would not be there. */
static int set_row_attr_locked(struct file *f, const char *name,
                               const struct stat *st, int which)
{
    if ((which & FUSE_SET_ATTR_MODE) && (st->st_mode & 0600) != 0600) {
        log_warn("chmod %04o %s: a row cannot be protected by its mode; the "
                 "bot's permissions in Discord decide",
                 st->st_mode & 07777, name);
        return -EPERM;
    }
    if (which & FUSE_SET_ATTR_MTIME) {
        struct row *row = row_now_locked(f);
        if (row)
            local_set_mtime(
                f->local, name, row->version,
                time_of(st->st_mtim, which & FUSE_SET_ATTR_MTIME_NOW));
        row_unref(row);
    }
    return 0;
}

static void file_setattr(fuse_req_t req, struct node *n, const struct stat *st,
                         int which, struct fuse_file_info *fi)
{
    struct file *f = file_of(n);
    AUTO_STR char *name = node_name(n, NULL);
    int r;

    pthread_mutex_lock(&f->local->lock);
    bool draft = f->draft && !f->is_new;
    if (f->draft)
        r = set_draft_attr_locked(f, st, which);
    else
        r = set_row_attr_locked(f, name, st, which);
    if (r == 0 && draft && (which & FUSE_SET_ATTR_SIZE))
        r = draft_truncate(f->draft, (uint64_t)st->st_size, clock_wall_ms());
    pthread_mutex_unlock(&f->local->lock);

    if (r < 0)
        fuse_reply_err(req, -r);
    else if (!draft && (which & FUSE_SET_ATTR_SIZE))
        document_truncate(req, n, handle_of(fi), (uint64_t)st->st_size);
    else
        fs_reply_attr(req, n);
}

/* --- open ----------------------------------------------------------------- */

static void reply_open(fuse_req_t req, struct node *n, struct handle *h,
                       struct fuse_file_info *fi, bool created)
{
    struct file *f = file_of(n);
    bool writes = handle_writes(h);

    fi->direct_io = h->direct;
    fi->keep_cache = !h->direct;
    fi->noflush = !writes;
    handle_give(h, fi);
    if (writes) {
        pthread_mutex_lock(&f->local->lock);
        f->writers++;
        pthread_mutex_unlock(&f->local->lock);
    }
    /* Without an answer no RELEASE comes. */
    handle_ref(h);
    int r = created ? fs_reply_created(req, n, fi) : fuse_reply_open(req, fi);
    if (r < 0) {
        if (n->type->release_handle)
            n->type->release_handle(n, h);
        handle_unref(h);
    }
    handle_unref(h);
}

static void open_draft(fuse_req_t req, struct node *n, struct draft *d,
                       struct fuse_file_info *fi, bool created)
{
    struct handle *h = handle_new(n, fi->flags);

    if (fi->flags & O_TRUNC)
        draft_truncate(d, 0, clock_wall_ms());
    reply_open(req, n, h, fi, created);
}

struct opening {
    struct node *node;
    struct handle *handle;
    struct fuse_file_info fi;
    struct pending *pending;
    bool created;
};

static void text_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct opening *o = arg;
    struct pendings *ps = o->node->mount->pendings;
    fuse_req_t req = pending_finish(o->pending);

    if (r == 0)
        o->handle->text = text;
    if (req && r == 0) {
        reply_open(req, o->node, o->handle, &o->fi, o->created);
    } else {
        if (req)
            fs_reply_failure(req, r, err, "reading a row");
        handle_unref(o->handle);
    }
    node_unref(o->node);
    free(o);
    pendings_unhold(ps);
}

/* A row whose text is in an attachment: opened when it is here. */
static void open_loading(fuse_req_t req, struct node *n, struct handle *h,
                         struct fuse_file_info *fi, bool created)
{
    struct opening *o = xcalloc(1, sizeof(*o));
    struct text *text = NULL;

    o->node = node_ref(n);
    o->handle = h;
    o->fi = *fi;
    o->created = created;
    o->pending = pending_new(n->mount->pendings, req);
    int r = row_load_text(file_of(n)->table, h->row, &text, text_came, o);
    if (r <= 0)
        text_came(o, r, text, NULL);
}

static int may_write(struct node *n)
{
    if (n->mount->o.read_only)
        return -EROFS;
    if (!table_writable(file_of(n)->table)) {
        AUTO_STR char *name = node_name(n, NULL);
        local_refused(file_of(n)->local, name, -EACCES,
                      "the bot may not write in this channel", NULL, 0);
        return -EACCES;
    }
    return 0;
}

void file_open(struct fuse_req *req, struct node *n, struct fuse_file_info *fi,
               bool created)
{
    struct file *f = file_of(n);
    bool writes = (fi->flags & O_ACCMODE) != O_RDONLY;

    pthread_mutex_lock(&f->local->lock);
    struct draft *draft = f->draft ? draft_ref(f->draft) : NULL;
    bool is_new = f->is_new, fixed = f->frozen || f->gone;
    struct row *row = draft ? NULL : row_now_locked(f);
    /* The page cache is for what the kernel knows the size of, and stays. A
     * name that the kernel has not looked up again yet gives the newest. */
    bool cached = row && row == f->shown && !fixed && !writes && !f->writers &&
                  clock_mono_ms() >= f->changed_ms + HOT_MS &&
                  row->text_len <= PAGE_BYTES && row_text(row);
    if (cached)
        f->readers++;
    pthread_mutex_unlock(&f->local->lock);

    if (draft && !is_new) {
        open_draft(req, n, draft, fi, created);
        draft_unref(draft);
        return;
    }
    draft_unref(draft);
    if (!row && !is_new) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    int r = writes ? may_write(n) : 0;
    if (r < 0) {
        row_unref(row);
        fuse_reply_err(req, -r);
        return;
    }

    struct handle *h = handle_new(n, fi->flags);
    h->row = row;
    h->fresh = is_new || (fi->flags & O_TRUNC);
    h->direct = !cached;
    h->must_be_new = created && is_new && (fi->flags & O_EXCL);
    if (row && !row_text(row) && !(writes && h->fresh))
        open_loading(req, n, h, fi, created);
    else
        reply_open(req, n, h, fi, created);
}

static void open_run(fuse_req_t req, struct call *c)
{
    file_open(req, c->node, &c->fi, false);
}

static void file_open_op(fuse_req_t req, struct node *n,
                         struct fuse_file_info *fi)
{
    struct call *c = call_new(n, NULL, open_run);

    c->fi = *fi;
    call_when_open(req, file_of(n)->table, c);
}

/* A new file whose text was refused, or came by half, is no file. One that
 * nobody wrote to stays, empty, until somebody does or removes it. */
static void file_release_handle(struct node *n, struct handle *h)
{
    struct file *f = file_of(n);
    struct node *dir = NULL;
    AUTO_STR char *name = NULL;
    bool vanish = false;

    if (!handle_writes(h)) {
        pthread_mutex_lock(&f->local->lock);
        if (h->row && !h->direct)
            f->readers--;
        pthread_mutex_unlock(&f->local->lock);
        return;
    }
    pthread_mutex_lock(&h->lock);
    bool broken = h->broken || (h->wrote && h->edit.dirty), wrote = h->wrote;
    pthread_mutex_unlock(&h->lock);

    name = node_name(n, &dir);
    pthread_mutex_lock(&f->local->lock);
    f->writers--;
    if (wrote)
        f->changed_ms = clock_mono_ms();
    if (f->is_new && broken && !f->gone && f->writers == 0) {
        vanish = true;
        draft_set_remove(&f->local->drafts, name);
        file_gone_locked(f);
    }
    bool draft = f->draft && !f->is_new;
    pthread_mutex_unlock(&f->local->lock);

    if (vanish) {
        notify_changed(n->mount->notify, dir);
        notify_name(n->mount->notify, dir, name, n);
    } else if (!draft) {
        /* O_TRUNC made it look empty; pieces may have made it look long. */
        notify_changed(n->mount->notify, n);
    }
    node_unref(dir);
}

/* --- read ----------------------------------------------------------------- */

static void reply_part(fuse_req_t req, const char *text, size_t len,
                       size_t size, off_t off)
{
    if ((size_t)off >= len)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_buf(req, text + off,
                       size < len - (size_t)off ? size : len - (size_t)off);
}

/* A reader at the start may as well have the newest. */
static void move_on_locked(struct file *f, struct handle *h)
{
    struct row *now = row_now_locked(f);

    if (!now || now == h->row || !row_text(now)) {
        row_unref(now);
        return;
    }
    row_unref(h->row);
    h->row = now;
    if (h->text)
        text_unref(h->text);
    h->text = NULL;
}

struct reading {
    struct pending *pending;
    struct node *node;
    struct row *row;
    size_t size;
    off_t off;
};

static void part_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct reading *g = arg;
    struct pendings *ps = g->node->mount->pendings;
    fuse_req_t req = pending_finish(g->pending);

    if (req && r < 0)
        fs_reply_failure(req, r, err, "reading a row");
    else if (req)
        reply_part(req, text->data, text->len, g->size, g->off);
    if (text)
        text_unref(text);
    row_unref(g->row);
    node_unref(g->node);
    free(g);
    pendings_unhold(ps);
}

/* A read-only mount, no open file: the version the kernel knows the size of.
 * Takes the reference to row. */
static void read_row(fuse_req_t req, struct node *n, struct row *row,
                     size_t size, off_t off)
{
    struct text *text = NULL;

    if (row_text(row)) {
        reply_part(req, row_text(row), row->text_len, size, off);
        row_unref(row);
        return;
    }
    struct reading *g = xcalloc(1, sizeof(*g));
    *g = (struct reading){
        .node = node_ref(n), .row = row, .size = size, .off = off};
    g->pending = pending_new(n->mount->pendings, req);
    int r = row_load_text(file_of(n)->table, row, &text, part_came, g);
    if (r <= 0)
        part_came(g, r, text, NULL);
}

static void read_unopened(fuse_req_t req, struct node *n, size_t size,
                          off_t off)
{
    struct file *f = file_of(n);

    pthread_mutex_lock(&f->local->lock);
    struct row *now = f->gone || f->frozen ? NULL : row_now_locked(f);
    struct row *row = f->shown ? row_ref(f->shown) : NULL;
    bool again = now && now != row;
    pthread_mutex_unlock(&f->local->lock);

    /* The kernel is told that there is a newer one before it gets this. */
    if (again)
        notify_changed(n->mount->notify, n);
    if (!row) {
        row = now;
        now = NULL;
    }
    row_unref(now);
    if (row)
        read_row(req, n, row, size, off);
    else
        fuse_reply_err(req, ENOENT);
}

/* What the file's name stood for last; a reference, or NULL. */
static struct row *version_locked(struct file *f)
{
    if (f->gone || f->frozen)
        return f->shown ? row_ref(f->shown) : NULL;
    return row_now_locked(f);
}

static void file_read(fuse_req_t req, struct node *n, struct handle *h,
                      size_t size, off_t off)
{
    struct file *f = file_of(n);

    if (!h) {
        read_unopened(req, n, size, off);
        return;
    }
    AUTO_BUF struct buf part = BUF_INIT;
    struct row *row = NULL;
    struct text *text = NULL;

    pthread_mutex_lock(&f->local->lock);
    pthread_mutex_lock(&h->lock);
    if (f->draft && !f->is_new) {
        draft_read(f->draft, (uint64_t)off, size, &part);
    } else if (h->edit.active || (h->fresh && handle_writes(h))) {
        if ((size_t)off < h->edit.text.len)
            buf_add(&part, h->edit.text.data + off,
                    h->edit.text.len - (size_t)off < size
                        ? h->edit.text.len - (size_t)off
                        : size);
    } else if (h->direct) {
        if (off == 0 && !f->draft)
            move_on_locked(f, h);
        row = h->row ? row_ref(h->row) : NULL;
        if (h->text) {
            atomic_fetch_add(&h->text->refs, 1);
            text = h->text;
        }
    } else {
        /* Through the page cache; or a draft that has become a row, which
         * its reader then reads to the end as others do. */
        row = h->row ? row_ref(h->row) : version_locked(f);
        if (row && !h->row && !handle_writes(h)) {
            h->row = row_ref(row);
            f->readers++;
        }
    }
    pthread_mutex_unlock(&h->lock);
    pthread_mutex_unlock(&f->local->lock);

    if (text)
        reply_part(req, text->data, text->len, size, off);
    else if (row)
        read_row(req, n, row_ref(row), size, off);
    else
        fuse_reply_buf(req, part.data, part.len);
    if (text)
        text_unref(text);
    row_unref(row);
}

/* --- write ---------------------------------------------------------------- */

static void refuse_draft(fuse_req_t req, struct node *n, int error)
{
    AUTO_STR char *name = node_name(n, NULL);

    local_refuse(req, file_of(n)->local, name, error,
                 "drafts (files that are no rows) take more than the %zu bytes "
                 "this mount keeps in memory for them",
                 n->mount->drafts.max);
}

static void file_write(fuse_req_t req, struct node *n, struct handle *h,
                       const char *data, size_t size, off_t off)
{
    struct file *f = file_of(n);

    pthread_mutex_lock(&f->local->lock);
    struct draft *d = f->draft && !f->is_new ? draft_ref(f->draft) : NULL;
    pthread_mutex_unlock(&f->local->lock);
    if (!d) {
        document_write(req, n, h, data, size, (uint64_t)off);
        return;
    }

    int r = draft_write(d, (uint64_t)off, data, size, clock_wall_ms());
    draft_unref(d);
    if (r < 0)
        refuse_draft(req, n, -r);
    else
        fuse_reply_write(req, size);
}

static void written(void *arg, int r, struct row *row, const struct err *err)
{
    struct commit *c = arg;
    struct file *f = file_of(c->node);
    struct node *dir = NULL;

    if (r == 0) {
        AUTO_STR char *name = node_name(c->node, &dir);
        pthread_mutex_lock(&f->local->lock);
        if (f->is_new) {
            draft_set_remove(&f->local->drafts, name);
            file_becomes_row_locked(f, NULL, 0);
        }
        f->changed_ms = clock_mono_ms();
        refusals_settled(&f->local->refusals, name);
        local_come_back(f->local, name);
        pthread_mutex_unlock(&f->local->lock);
        node_unref(dir);
        file_freeze(f);
        pthread_mutex_lock(&f->local->lock);
        c->new_node = f->frozen;
        pthread_mutex_unlock(&f->local->lock);
    }
    row_unref(row);
    commit_done(c, r, err);
}

static void file_commit(struct node *n, struct commit *c)
{
    struct file *f = file_of(n);
    AUTO_STR char *name = node_name(n, NULL);
    struct err err = ERR_INIT;

    pthread_mutex_lock(&f->local->lock);
    bool gone = f->gone;
    AUTO_STR char *key = xmalloc(f->key_len + 1);
    size_t key_len = f->key_len;
    if (f->key)
        memcpy(key, f->key, key_len + 1);
    /* Moved away and made anew: for the program it is new, here it is the
     * next version. */
    bool away = local_is_away(f->local, name);
    pthread_mutex_unlock(&f->local->lock);
    if (gone) {
        commit_done(c, -ESTALE,
                    &(struct err){"it was removed while it was open"});
        return;
    }

    struct write w = {
        .kind = WRITE_PUT,
        .key = key,
        .key_len = key_len,
        .text = c->text,
        .text_len = c->len,
        .must_be_new = c->must_be_new && !away,
        .if_version = c->if_version,
    };
    int r = pending_write(c->pending, f->table, &w, written, c, &err);
    if (r < 0)
        commit_done(c, r, &err);
}

static void file_refused(struct node *n, int r, const char *why,
                         const char *text, size_t len)
{
    AUTO_STR char *name = node_name(n, NULL);

    local_refused(file_of(n)->local, name, r, why, text, len);
}

static size_t file_max(struct node *n)
{
    struct namespace *ns = table_namespace(file_of(n)->table);

    return database_max_file(namespace_database(ns));
}

/* --- extended attributes -------------------------------------------------- */

static const char *const file_xattrs[] = {
    "version", "message_id", "channel_id", "guild_id", "url",
    "etag",    "author",     "key",        "error",    NULL,
};

static int row_xattr(struct file *f, const struct row *row, const char *name,
                     struct buf *out)
{
    struct database *db = namespace_database(table_namespace(f->table));
    uint64_t message = row->home ? row->home : row->id;
    /* A record without a message of its own is in the table's channel if it
     * was an insert, else in the thread. */
    uint64_t channel = row->home || row->version == 1
                           ? table_id(f->table)
                           : table_history_id(f->table);

    if (strcmp(name, "version") == 0)
        buf_printf(out, "%u", row->version);
    else if (strcmp(name, "message_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)message);
    else if (strcmp(name, "channel_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)channel);
    else if (strcmp(name, "guild_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)database_id(db));
    else if (strcmp(name, "url") == 0)
        buf_printf(out, "https://discord.com/channels/%ju/%ju/%ju",
                   (uintmax_t)database_id(db), (uintmax_t)channel,
                   (uintmax_t)message);
    else if (strcmp(name, "etag") == 0)
        buf_printf(out, "\"%u-%jx\"", row->version, (uintmax_t)row->id);
    else if (strcmp(name, "author") == 0)
        buf_addstr(out, row->by ? row->by : "");
    else if (strcmp(name, "key") == 0)
        buf_add(out, row_key(row), row->key_len);
    else
        return -ENODATA;
    return 0;
}

static int file_xattr(struct node *n, const char *name, struct buf *out)
{
    struct file *f = file_of(n);
    AUTO_STR char *own = node_name(n, NULL);
    int r = -ENODATA;

    pthread_mutex_lock(&f->local->lock);
    struct row *row = f->draft ? NULL : row_now_locked(f);
    if (strcmp(name, "error") == 0) {
        const char *why = refusals_why(&f->local->refusals, own);
        if (why) {
            buf_addstr(out, why);
            r = 0;
        }
    } else if (row) {
        r = row_xattr(f, row, name, out);
    }
    pthread_mutex_unlock(&f->local->lock);
    row_unref(row);
    return r;
}

const struct node_type type_file = {
    .type = S_IFREG,
    .size = sizeof(struct file),
    .document = true,
    .init = file_init,
    .release = file_release,
    .attr = file_attr,
    .getattr = file_getattr,
    .setattr = file_setattr,
    .open = file_open_op,
    .read = file_read,
    .write = file_write,
    .release_handle = file_release_handle,
    .commit = file_commit,
    .refused = file_refused,
    .max = file_max,
    .xattr = file_xattr,
    .xattrs = file_xattrs,
};
