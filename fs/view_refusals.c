/* <table>/.errors and <table>/.rejected/<key>.json: what was refused and why,
 * and the texts, to mend and move back. */
#include "fs/table.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/view.h"

static int errors_attr(struct node *n, struct stat *st)
{
    struct local *l = table_view_of(n)->local;

    pthread_mutex_lock(&l->lock);
    const struct stream *s = &l->refusals.lines;
    fs_stat_file(n->mount, fs_hash_ino(l->table_id, "/.errors", 8),
                 s->mtime_ms ? s->mtime_ms : n->mount->started_ms, false,
                 s->text.len, st);
    pthread_mutex_unlock(&l->lock);
    return 0;
}

static void errors_text(struct node *n, struct buf *out)
{
    struct local *l = table_view_of(n)->local;

    pthread_mutex_lock(&l->lock);
    buf_add(out, l->refusals.lines.text.data, l->refusals.lines.text.len);
    pthread_mutex_unlock(&l->lock);
}

const struct node_type view_errors = {
    .name = ".errors",
    .type = S_IFREG,
    .size = sizeof(struct table_view),
    .live = true,
    .init = table_view_init,
    .release = table_view_release,
    .attr = errors_attr,
    .text = errors_text,
};

static int rejected_attr(struct node *n, struct stat *st)
{
    struct local *l = table_view_of(n)->local;

    pthread_mutex_lock(&l->lock);
    int64_t mtime = l->refusals.lines.mtime_ms;
    pthread_mutex_unlock(&l->lock);
    fs_stat_dir(n->mount, fs_hash_ino(l->table_id, "/.rejected", 10),
                mtime ? mtime : n->mount->started_ms, !n->mount->o.read_only,
                st);
    return 0;
}

struct node *rejected_child(struct node *dir, const char *name)
{
    struct table_view *v = table_view_of(dir);
    struct node *n = NULL;

    pthread_mutex_lock(&v->local->lock);
    struct draft_name *d = draft_set_find(&v->local->refusals.rejected, name);
    if (d)
        n = file_of_draft(dir, v->local, v->table, d, true);
    pthread_mutex_unlock(&v->local->lock);
    return n;
}

static void rejected_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    struct node *n = rejected_child(dir, name);

    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void rejected_list(struct node *dir, struct listing *l)
{
    struct table_view *v = table_view_of(dir);
    uint64_t after = l->after > 2 ? (uint64_t)l->after - 2 : 0;
    bool room =
        listing_dots(l, fs_hash_ino(v->local->table_id, "/.rejected", 10),
                     v->local->table_id);

    while (room) {
        pthread_mutex_lock(&v->local->lock);
        struct draft_name *d =
            draft_set_next(&v->local->refusals.rejected, after);
        AUTO_STR char *name = d ? xstrdup(d->name) : NULL;
        struct node *n = NULL;
        if (d) {
            after = d->serial;
            n = file_of_draft(dir, v->local, v->table, d, true);
        }
        pthread_mutex_unlock(&v->local->lock);
        if (!n)
            break;
        struct stat st = {
            .st_ino = fs_hash_ino(v->local->table_id, name, strlen(name)),
            .st_mode = S_IFREG,
        };
        room = listing_add(l, name, n, &st, (off_t)after + 2);
        node_unref(n);
    }
    listing_reply(l);
}

static void rejected_unlink(fuse_req_t req, struct node *dir, const char *name)
{
    struct table_view *v = table_view_of(dir);
    struct node *n = rejected_child(dir, name);

    if (!n) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    pthread_mutex_lock(&v->local->lock);
    draft_set_remove(&v->local->refusals.rejected, name);
    file_gone_locked((struct file *)n);
    pthread_mutex_unlock(&v->local->lock);
    fuse_reply_err(req, 0);
    node_unref(n);
}

const struct node_type view_rejected = {
    .name = ".rejected",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = rejected_attr,
    .lookup = rejected_lookup,
    .list = rejected_list,
    .unlink = rejected_unlink,
    .rename = move_file,
};
