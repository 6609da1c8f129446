/* RENAME of files in a table's directory.
 *
 *     from \ to   a row's name                      a draft's name
 *     draft       its text is committed as the      a new name, nothing else
 *                 row: one put
 *     new row     the name alone (no content yet)   becomes a draft
 *     row         one commit moves it to the new    hidden at once, the text
 *                 key, the text's own key with it   goes to the draft; deleted
 *                                                   if it does not come back
 *
 * Between tables there is no commit that does both: EXDEV, and mv copies and
 * removes, as it does between file systems. */
#include "fs/table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/call.h"
#include "fs/file.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/view.h"

struct move {
    struct pending *pending;
    struct node *node;     /* the file; a reference, as to */
    struct node *to;       /* the directory */
    char *name, *new_name; /* owned */
    bool no_replace;
    struct path target;
    struct buf text;  /* of a draft */
    struct row *row;  /* that is moved away; a reference */
    struct text *big; /* its text */
    int r;
};

static void move_free(struct move *m)
{
    node_unref(m->node);
    node_unref(m->to);
    free(m->name);
    free(m->new_name);
    buf_release(&m->target.text);
    buf_release(&m->text);
    row_unref(m->row);
    if (m->big)
        text_unref(m->big);
    free(m);
}

/* mv explains EINVAL as a directory moved into itself, and answers EXDEV by
 * copying. */
static int rename_errno(int r)
{
    if (r == -EINVAL || r == -EILSEQ || r == -EXDEV)
        return EBADMSG;
    return fs_errno(r);
}

static void finish(void *arg)
{
    struct move *m = arg;
    struct notify *notify = m->node->mount->notify;
    struct pendings *ps = m->node->mount->pendings;
    fuse_req_t req = pending_finish(m->pending);

    if (req) {
        fuse_reply_err(req, m->r < 0 ? rename_errno(m->r) : 0);
    } else if (m->r == 0) {
        /* Given up by its caller when it was on its way already: the kernel
         * has not heard that it came to pass. */
        notify_changed(notify, m->to);
        notify_name(notify, m->to, m->name, NULL);
        notify_name(notify, m->to, m->new_name, NULL);
    }
    move_free(m);
    pendings_unhold(ps);
}

static struct draft_set *source_set(struct file *f)
{
    return f->rejected ? &f->local->refusals.rejected : &f->local->drafts;
}

/* The file has its new place; who was there is gone. Caller holds the local's
 * lock. */
static void take_place_locked(struct move *m)
{
    struct inodes *t = m->node->mount->inodes;
    struct node *old = node_find(t, m->to, m->new_name);

    if (old && old != m->node)
        file_gone_locked((struct file *)old);
    node_move(m->node, m->to, m->new_name);
    /* The last reference to a node is not dropped under the lock: its
     * release may need it. The kernel's own keeps it. */
    node_unref(old);
}

/* --- to a row's name ------------------------------------------------------ */

static void became_row(void *arg, int r, struct row *row, const struct err *err)
{
    struct move *m = arg;
    struct file *f = (struct file *)m->node;
    struct local *l = f->local;

    if (r == 0) {
        pthread_mutex_lock(&l->lock);
        if (f->draft)
            draft_set_remove(source_set(f), m->name);
        draft_set_remove(&l->drafts, m->new_name);
        file_becomes_row_locked(f, m->target.text.data, m->target.text.len);
        local_come_back(l, m->new_name);
        refusals_settled(&l->refusals, m->new_name);
        take_place_locked(m);
        pthread_mutex_unlock(&l->lock);
    } else if (r != -EINTR) {
        local_refused(l, m->new_name, r, err_text(err, r), m->text.data,
                      m->text.len);
    }
    row_unref(row);
    m->r = r;
    notify_then(m->node->mount->notify, m->node, finish, m);
}

static void put_draft(fuse_req_t req, struct move *m, struct draft *d,
                      bool away)
{
    struct file *f = (struct file *)m->node;
    struct draft_attr a = draft_attr(d);
    struct err err = ERR_INIT;

    draft_read(d, 0, a.size, &m->text);
    m->pending = pending_new(fs_of(req)->pendings, req);
    struct write w = {
        .kind = WRITE_PUT,
        .key = m->target.text.data,
        .key_len = m->target.text.len,
        .text = m->text.data ? m->text.data : "",
        .text_len = m->text.len,
        .must_be_new = m->no_replace && !away,
        .mtime_ms = a.mtime_set ? a.mtime_ms : 0,
    };
    int r = pending_write(m->pending, f->table, &w, became_row, m, &err);
    if (r < 0)
        became_row(m, r, NULL, &err);
}

static void rekey_row(fuse_req_t req, struct move *m, const char *key,
                      size_t key_len, bool away)
{
    struct file *f = (struct file *)m->node;
    struct err err = ERR_INIT;

    m->pending = pending_new(fs_of(req)->pendings, req);
    struct write w = {
        .kind = WRITE_RENAME,
        .key = key,
        .key_len = key_len,
        .to = m->target.text.data,
        .to_len = m->target.text.len,
        .must_be_new = m->no_replace && !away,
    };
    int r = pending_write(m->pending, f->table, &w, became_row, m, &err);
    if (r < 0)
        became_row(m, r, NULL, &err);
}

/* The draft that a row went to comes back with the row's text: nothing has
 * happened. Caller holds the local's lock. */
static bool undo_away_locked(struct move *m, struct file *f)
{
    struct local *l = f->local;
    bool same = false;

    if (!local_is_away(l, m->new_name) || local_is_leaving(l, m->new_name) ||
        draft_set_find(&l->drafts, m->new_name))
        return false;
    struct row *row =
        row_find(f->table, m->target.text.data, m->target.text.len);
    if (row && row_text(row)) {
        AUTO_BUF struct buf text = BUF_INIT;
        draft_read(f->draft, 0, draft_attr(f->draft).size, &text);
        same = buf_equals(&text, row_text(row), row->text_len);
    }
    row_unref(row);
    if (!same)
        return false;
    draft_set_remove(source_set(f), m->name);
    local_come_back(l, m->new_name);
    file_becomes_row_locked(f, m->target.text.data, m->target.text.len);
    take_place_locked(m);
    return true;
}

static void to_row(fuse_req_t req, struct move *m)
{
    struct file *f = (struct file *)m->node;
    struct local *l = f->local;

    pthread_mutex_lock(&l->lock);
    bool away = local_is_away(l, m->new_name);
    bool is_new = f->is_new;
    struct draft *d = f->draft ? draft_ref(f->draft) : NULL;
    size_t key_len = f->key_len;
    AUTO_STR char *key = xmalloc(key_len + 1);
    if (f->key)
        memcpy(key, f->key, key_len + 1);
    struct row *there =
        row_find(f->table, m->target.text.data, m->target.text.len);
    bool empty_name = is_new && (!there || away);
    bool undone = !is_new && d && undo_away_locked(m, f);
    if (empty_name) {
        draft_set_rename(&l->drafts, m->name, m->new_name);
        file_becomes_row_locked(f, m->target.text.data, m->target.text.len);
        f->draft = draft_ref(d);
        f->is_new = true;
        take_place_locked(m);
    }
    row_unref(there);
    pthread_mutex_unlock(&l->lock);

    if (empty_name || undone) {
        fuse_reply_err(req, 0);
        move_free(m);
    } else if (is_new) {
        local_refuse(req, l, m->new_name, EBADMSG,
                     "mv of %s: the file has no content yet", m->name);
        move_free(m);
    } else if (d) {
        put_draft(req, m, d, away);
    } else {
        rekey_row(req, m, key, key_len, away);
    }
    draft_unref(d);
}

/* --- to a draft's name ---------------------------------------------------- */

static void refuse_room(fuse_req_t req, struct move *m)
{
    local_refuse(req, ((struct file *)m->node)->local, m->new_name, ENOSPC,
                 "mv of %s: drafts take all of the %zu bytes this mount keeps "
                 "in memory for them",
                 m->name, m->node->mount->drafts.max);
    move_free(m);
}

static void draft_to_draft(fuse_req_t req, struct move *m)
{
    struct file *f = (struct file *)m->node;
    struct local *l = f->local;
    AUTO_BUF struct buf text = BUF_INIT;
    int r = 0;

    pthread_mutex_lock(&l->lock);
    /* The beginning of a row that was to come is the draft's. */
    if (f->is_new && handles_gathered(m->node, &text))
        r = draft_write(f->draft, 0, text.data, text.len, clock_wall_ms());
    if (r < 0) {
        pthread_mutex_unlock(&l->lock);
        refuse_room(req, m);
        return;
    }
    if (f->is_new)
        handles_let_go(m->node);
    if (source_set(f) == &l->drafts) {
        draft_set_rename(&l->drafts, m->name, m->new_name);
        struct draft_name *d = draft_set_find(&l->drafts, m->new_name);
        d->new_row = false;
    } else {
        draft_set_put(&l->drafts, m->new_name, f->draft);
        draft_set_remove(&l->refusals.rejected, m->name);
    }
    f->rejected = false;
    file_becomes_draft_locked(f, f->draft);
    take_place_locked(m);
    pthread_mutex_unlock(&l->lock);
    fuse_reply_err(req, 0);
    move_free(m);
}

static void row_to_draft(fuse_req_t req, struct move *m)
{
    struct file *f = (struct file *)m->node;
    struct local *l = f->local;
    struct mount *mount = m->node->mount;
    const char *text = m->big ? m->big->data : row_text(m->row);
    size_t len = m->row->text_len;
    AUTO_BUF struct buf gathered = BUF_INIT;

    /* Who is writing the row goes on in the draft, behind what he wrote. */
    if (handles_gathered(m->node, &gathered) && gathered.len > 0) {
        text = gathered.data;
        len = gathered.len;
    }
    struct draft *d = draft_new(&mount->drafts, 0644, mount->uid, mount->gid,
                                m->row->mtime_ms);
    if (!d || draft_write(d, 0, text, len, m->row->mtime_ms) < 0) {
        refuse_room(req, m);
        draft_unref(d);
        return;
    }
    pthread_mutex_lock(&l->lock);
    handles_let_go(m->node);
    local_send_away(l, f->table, m->name, m->row);
    draft_set_put(&l->drafts, m->new_name, d);
    file_becomes_draft_locked(f, d);
    take_place_locked(m);
    pthread_mutex_unlock(&l->lock);
    draft_unref(d);
    fuse_reply_err(req, 0);
    move_free(m);
}

static void text_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct move *m = arg;
    struct pendings *ps = m->node->mount->pendings;
    fuse_req_t req = pending_finish(m->pending);

    m->big = text;
    if (req && r >= 0) {
        row_to_draft(req, m);
    } else {
        if (req)
            fs_reply_failure(req, r, err, "mv %s %s", m->name, m->new_name);
        move_free(m);
    }
    pendings_unhold(ps);
}

static void row_away(fuse_req_t req, struct move *m)
{
    struct file *f = (struct file *)m->node;
    struct text *text = NULL;

    pthread_mutex_lock(&f->local->lock);
    m->row = f->key ? row_find(f->table, f->key, f->key_len) : NULL;
    pthread_mutex_unlock(&f->local->lock);
    if (!m->row) {
        fuse_reply_err(req, ENOENT);
        move_free(m);
    } else if (!table_writable(f->table)) {
        local_refuse(req, f->local, m->name, EACCES,
                     "mv to %s: the bot may not write in this channel",
                     m->new_name);
        move_free(m);
    } else if (row_text(m->row)) {
        row_to_draft(req, m);
    } else {
        m->pending = pending_new(fs_of(req)->pendings, req);
        int r = row_load_text(f->table, m->row, &text, text_came, m);
        if (r <= 0)
            text_came(m, r, text, NULL);
    }
}

/* -------------------------------------------------------------------------- */

static void move_run(fuse_req_t req, struct call *c)
{
    struct move *m = c->data;

    c->data = NULL;
    c->release = NULL;
    if (!m->node)
        m->node = table_child(c->node, m->name);
    if (!m->node) {
        fuse_reply_err(req, ENOENT);
        move_free(m);
        return;
    }
    if (m->no_replace) {
        struct node *there = table_child(m->to, m->new_name);
        node_unref(there);
        if (there) {
            fuse_reply_err(req, EEXIST);
            move_free(m);
            return;
        }
    }

    struct file *f = (struct file *)m->node;
    pthread_mutex_lock(&f->local->lock);
    bool draft = f->draft != NULL;
    pthread_mutex_unlock(&f->local->lock);
    if (m->target.kind == PATH_ROW && !table_writable(f->table)) {
        local_refuse(req, f->local, m->new_name, EACCES,
                     "mv of %s: the bot may not write in this channel",
                     m->name);
        move_free(m);
    } else if (m->target.kind == PATH_ROW) {
        to_row(req, m);
    } else if (draft) {
        draft_to_draft(req, m);
    } else {
        row_away(req, m);
    }
}

static void free_data(void *m)
{
    move_free(m);
}

void move_file(struct fuse_req *req, const struct rename *r)
{
    bool from_rejected = r->from->type == &view_rejected;
    struct node *from_table = from_rejected ? r->from->parent : r->from;
    struct local *l = ((struct table_dir *)from_table)->local;
    struct path target;

    if (r->to->type != &type_table) {
        local_refuse(req, l, r->name, EPERM,
                     "mv to %s: not into this directory", r->new_name);
        return;
    }
    if (view_is_reserved(r->new_name) ||
        (!from_rejected && view_is_reserved(r->name))) {
        local_refuse(req, l, r->new_name, EPERM,
                     "mv of %s: a view keeps its name", r->name);
        return;
    }
    if (path_parse(r->new_name, &target) < 0 || target.kind == PATH_VERSION ||
        target.kind == PATH_SHORT) {
        buf_release(&target.text);
        local_refuse(req, l, r->new_name, EPERM,
                     "mv of %s: no key has this name (%%XX for '/', '%%', "
                     "control characters, a leading '.', '@' before digits)",
                     r->name);
        return;
    }
    if (from_table != r->to) {
        buf_release(&target.text);
        fuse_reply_err(req, EXDEV);
        return;
    }

    struct move *m = xcalloc(1, sizeof(*m));
    m->to = node_ref(r->to);
    m->name = xstrdup(r->name);
    m->new_name = xstrdup(r->new_name);
    m->no_replace = (r->flags & RENAME_NOREPLACE) != 0;
    m->target = target;
    if (from_rejected)
        m->node = rejected_child(r->from, r->name);

    struct call *c = call_new(r->from, r->name, move_run);
    c->data = m;
    c->release = free_data;
    if (from_rejected && !m->node) {
        fuse_reply_err(req, ENOENT);
        call_free(c);
    } else {
        call_when_open(req, ((struct table_dir *)r->to)->table, c);
    }
}
