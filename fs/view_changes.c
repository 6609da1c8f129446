/* <table>/.changes: one line of JSON for each change of a row, as the engine
 * tells of it, whoever made it.
 *
 *     engine ----changes_tell()----> feed ----wake()----> reads that wait,
 * polls (any thread: appends a line)        (the notifier's thread, behind what
 *                                          it forgets of the row that changed)
 *
 * An open file reads from the moment of its opening, and a read waits where
 * there is nothing yet. tail is served as well: it takes a regular file at its
 * word and first looks for its last lines from the end. So the file has a size,
 * all bytes there ever were (one, while there are none: an empty file tail
 * would read as a pipe, to an end that never comes). Asking for the end is
 * how such a program is known: the kernel asks for the attributes through the
 * open file then. From there on its offsets are places in the whole text, and
 * below the end that it was told nothing waits.
 *
 * On a read-only mount nobody tells of an open file: there it is a text that
 * grows. Lines are kept from when somebody first opened it. */
#include "fs/changes.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/call.h"
#include "fs/feed.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/pending.h"
#include "fs/table.h"
#include "fs/view.h"

/* Of lines kept for a table; who falls back further loses the oldest. */
#define FEED_MAX ((size_t)1 << 20)
/* Given at once: what was read last is kept for each open file. */
#define READ_MAX ((size_t)64 << 10)

/* A read that waits. */
struct waiter {
    struct waiter *next;
    struct pending *pending;
    int64_t off;
    size_t size;
};

/* An open file; all of it under the view's lock. */
struct follower {
    struct follower *next;
    struct changes *view;
    struct feed_reader *reader;
    int64_t told; /* the end that was asked for; below it nothing waits */
    struct waiter *waiters;
    struct fuse_pollhandle *poll; /* who polls is woken by this, or NULL */
};

struct changes {
    struct table_view view;
    pthread_mutex_t lock; /* under it only that of the requests that wait */

    /* under lock */
    struct feed *feed; /* NULL: nobody has opened it yet */
    int64_t changed_ms;
    struct follower *followers;
    bool waking; /* wake() is on its way */
    bool gone;   /* the table is */
};

static struct changes *changes_of(struct node *n)
{
    return (struct changes *)n;
}

static void changes_init(struct node *n, const void *arg)
{
    struct changes *v = changes_of(n);

    table_view_init(n, arg);
    pthread_mutex_init(&v->lock, NULL);
    v->changed_ms = n->mount->started_ms;
}

static void changes_release(struct node *n)
{
    struct changes *v = changes_of(n);

    feed_free(v->feed);
    pthread_mutex_destroy(&v->lock);
    table_view_release(n);
}

/* --- what happened -------------------------------------------------------- */

/* A raw line break cannot stand inside a JSON string: each is white space
 * between tokens. */
static void add_row(struct buf *b, const struct row *r)
{
    size_t at = b->len + strlen(",\"row\":");

    buf_addstr(b, ",\"row\":");
    buf_add(b, row_text(r), r->text_len);
    for (; at < b->len; at++)
        if (b->data[at] == '\n' || b->data[at] == '\r')
            b->data[at] = ' ';
    while (b->data[b->len - 1] == ' ')
        buf_truncate(b, b->len - 1);
}

static void add_change(struct buf *b, const struct change *c)
{
    const struct row *key = c->now ? c->now : c->old;
    /* A row can go without a deletion: one that was never really there. */
    const struct row *r = c->now ? c->now : c->tomb;
    char at[CLOCK_ISO_SIZE];

    buf_printf(b, "{\"op\":\"%s\",\"key\":", c->now ? "put" : "delete");
    buf_add_json(b, row_key(key), key->key_len);
    if (r) {
        buf_printf(b, ",\"version\":%u,\"at\":\"%s\",\"by\":", r->version,
                   clock_iso(r->at_ms, at));
        if (r->by)
            buf_add_json(b, r->by, strlen(r->by));
        else
            buf_addstr(b, "null");
        buf_printf(b, ",\"message_id\":\"%ju\"", (uintmax_t)r->id);
    }
    if (c->now && row_text(c->now))
        add_row(b, c->now);
    buf_printf(b, ",\"local\":%s}\n", c->local ? "true" : "false");
}

/* --- who waits for it ----------------------------------------------------- */

/* Nothing more will come; caller holds v->lock. */
static bool is_over(const struct changes *v)
{
    return v->gone || fs_is_ending(v->view.node.mount);
}

/* Caller holds the view's lock. False: it has to wait. */
static bool read_locked(struct follower *f, int64_t off, size_t size,
                        struct buf *out)
{
    return feed_read(f->reader, off, size < READ_MAX ? size : READ_MAX, out) ||
           off < f->told || is_over(f->view);
}

/* Takes out a read that is to be answered with this; NULL: there is none.
 * Caller holds v->lock. */
static fuse_req_t next_answer_locked(struct changes *v, struct buf *text)
{
    struct pendings *ps = v->view.node.mount->pendings;

    for (struct follower *f = v->followers; f; f = f->next) {
        for (struct waiter **at = &f->waiters; *at;) {
            struct waiter *w = *at;
            if (!read_locked(f, w->off, w->size, text)) {
                at = &w->next;
                continue;
            }
            *at = w->next;
            fuse_req_t req = pending_finish(w->pending);
            /* Interrupted: he reads it again from where he was. */
            if (!req)
                feed_unread(f->reader, w->off);
            free(w);
            if (req)
                return req;
            buf_reset(text);
            pendings_unhold(ps);
        }
    }
    return NULL;
}

/* Each that is there now once: who is told polls again, and would be told
 * again without end. */
static void wake_polls(struct changes *v)
{
    struct fuse_pollhandle **list = NULL;
    size_t n = 0;

    pthread_mutex_lock(&v->lock);
    v->waking = false;
    for (struct follower *f = v->followers; f; f = f->next) {
        if (!f->poll)
            continue;
        list = xrealloc(list, (n + 1) * sizeof(struct fuse_pollhandle *));
        list[n++] = f->poll;
        f->poll = NULL;
    }
    pthread_mutex_unlock(&v->lock);
    for (size_t i = 0; i < n; i++) {
        fuse_lowlevel_notify_poll(list[i]);
        fuse_pollhandle_destroy(list[i]);
    }
    free(list);
}

static void wake(struct changes *v)
{
    struct pendings *ps = v->view.node.mount->pendings;

    wake_polls(v);
    for (;;) {
        AUTO_BUF struct buf text = BUF_INIT;
        pthread_mutex_lock(&v->lock);
        fuse_req_t req = next_answer_locked(v, &text);
        pthread_mutex_unlock(&v->lock);
        if (!req)
            break;
        fuse_reply_buf(req, text.data, text.len);
        pendings_unhold(ps);
    }
}

static void wake_then(void *arg)
{
    struct node *n = arg;

    wake(changes_of(n));
    node_unref(n);
}

/* Caller holds v->lock. True: the caller is to let_know(). */
static bool must_wake_locked(struct changes *v)
{
    bool must = v->followers && !v->waking;

    v->waking |= must;
    return must;
}

static void let_know(struct changes *v)
{
    struct node *n = &v->view.node;

    notify_then(n->mount->notify, NULL, wake_then, node_ref(n));
}

void changes_tell(struct mount *m, struct node *dir, const struct change *c)
{
    AUTO_BUF struct buf line = BUF_INIT;
    struct node *n = node_find(m->inodes, dir, view_changes.name);

    /* The same version told again, since its message is another one now, is
     * no change. */
    if (!n || (c->now && c->old && c->now->version == c->old->version &&
               c->now->id == c->old->id)) {
        node_unref(n);
        return;
    }
    struct changes *v = changes_of(n);
    pthread_mutex_lock(&v->lock);
    bool wanted = v->feed != NULL;
    pthread_mutex_unlock(&v->lock);
    if (wanted) {
        add_change(&line, c);
        pthread_mutex_lock(&v->lock);
        feed_add(v->feed, line.data, line.len);
        v->changed_ms = clock_wall_ms();
        bool must = must_wake_locked(v);
        pthread_mutex_unlock(&v->lock);
        if (must)
            let_know(v);
    }
    node_unref(n);
}

/* The views that somebody has open, of one table or (t NULL) all: a reference
 * to an open file of each, several where there are several. */
static size_t list_open(struct mount *m, const struct table *t,
                        struct handle ***out)
{
    struct handle *h, **list = NULL;
    size_t at = 0, n = 0;

    pthread_mutex_lock(&m->lock);
    while ((h = map_next(&m->open, &at))) {
        if (h->node->type != &view_changes ||
            (t && table_view_of(h->node)->table != t))
            continue;
        list = xrealloc(list, (n + 1) * sizeof(struct handle *));
        list[n++] = handle_ref(h);
    }
    pthread_mutex_unlock(&m->lock);
    *out = list;
    return n;
}

void changes_gone(struct mount *m, const struct table *t)
{
    struct handle **list;
    size_t n = list_open(m, t, &list);

    for (size_t i = 0; i < n; i++) {
        struct changes *v = changes_of(list[i]->node);
        pthread_mutex_lock(&v->lock);
        v->gone = true;
        bool must = must_wake_locked(v);
        pthread_mutex_unlock(&v->lock);
        if (must)
            let_know(v);
        handle_unref(list[i]);
    }
    free(list);
}

void changes_end(struct mount *m)
{
    struct handle **list;
    size_t n = list_open(m, NULL, &list);

    for (size_t i = 0; i < n; i++) {
        wake(changes_of(list[i]->node));
        handle_unref(list[i]);
    }
    free(list);
}

/* --- open files ----------------------------------------------------------- */

static void feed_start_locked(struct changes *v)
{
    if (!v->feed)
        v->feed = feed_new(FEED_MAX);
}

static struct follower *follower_new(struct changes *v)
{
    struct follower *f = xcalloc(1, sizeof(*f));

    f->view = v;
    pthread_mutex_lock(&v->lock);
    feed_start_locked(v);
    f->reader = feed_reader_new(v->feed);
    f->next = v->followers;
    v->followers = f;
    pthread_mutex_unlock(&v->lock);
    return f;
}

/* Reads that were interrupted, and with `all` those that the kernel has given
 * up. Caller holds the view's lock. */
static void sweep_locked(struct follower *f, bool all)
{
    struct pendings *ps = f->view->view.node.mount->pendings;

    for (struct waiter **at = &f->waiters; *at;) {
        struct waiter *w = *at;
        if (!all && !pending_is_over(w->pending)) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        pending_finish(w->pending);
        pendings_unhold(ps);
        free(w);
    }
}

void follower_free(struct follower *f)
{
    if (!f)
        return;
    struct changes *v = f->view;
    struct follower **at = &v->followers;

    pthread_mutex_lock(&v->lock);
    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    sweep_locked(f, true);
    feed_reader_free(f->reader);
    pthread_mutex_unlock(&v->lock);
    if (f->poll)
        fuse_pollhandle_destroy(f->poll);
    free(f);
}

static void open_run(fuse_req_t req, struct call *c)
{
    struct handle *h = handle_new(c->node, c->fi.flags);

    h->direct = true;
    h->follower = follower_new(changes_of(c->node));
    c->fi.direct_io = 1;
    c->fi.noflush = 1;
    handle_give(h, &c->fi);
    if (fuse_reply_open(req, &c->fi) < 0)
        handle_unref(h);
}

/* What is not in memory does not change: the table is opened first. */
static void changes_open(fuse_req_t req, struct node *n,
                         struct fuse_file_info *fi)
{
    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        fuse_reply_err(req, EACCES);
        return;
    }
    struct call *c = call_new(n, NULL, open_run);
    c->fi = *fi;
    call_when_open(req, table_view_of(n)->table, c);
}

/* Without an open file: by places in the whole, and without waiting. */
static void read_at(fuse_req_t req, struct changes *v, size_t size, off_t off)
{
    AUTO_BUF struct buf out = BUF_INIT;

    pthread_mutex_lock(&v->lock);
    if (v->feed) {
        struct feed_reader *r = feed_reader_new(v->feed);
        feed_seek_end(r);
        feed_read(r, off, size, &out);
        feed_reader_free(r);
    }
    pthread_mutex_unlock(&v->lock);
    fuse_reply_buf(req, out.data, out.len);
}

static void changes_follow(fuse_req_t req, struct node *n, struct handle *h,
                           size_t size, off_t off, int flags)
{
    struct changes *v = changes_of(n);
    AUTO_BUF struct buf out = BUF_INIT;

    if (!h) {
        read_at(req, v, size, off);
        return;
    }
    struct follower *f = h->follower;
    pthread_mutex_lock(&v->lock);
    sweep_locked(f, false);
    bool ready = read_locked(f, off, size, &out);
    pthread_mutex_unlock(&v->lock);
    if (ready) {
        fuse_reply_buf(req, out.data, out.len);
        return;
    }
    if (flags & O_NONBLOCK) {
        fuse_reply_err(req, EAGAIN);
        return;
    }

    struct pendings *ps = n->mount->pendings;
    struct waiter *w = xcalloc(1, sizeof(*w));
    w->pending = pending_new(ps, req);
    w->off = off;
    w->size = size;
    pthread_mutex_lock(&v->lock);
    /* Something may have come meanwhile, and nobody known to wait for it. */
    ready = read_locked(f, off, size, &out);
    if (ready) {
        req = pending_finish(w->pending);
        if (!req)
            feed_unread(f->reader, off);
        free(w);
    } else {
        w->next = f->waiters;
        f->waiters = w;
    }
    pthread_mutex_unlock(&v->lock);
    if (!ready)
        return;
    if (req)
        fuse_reply_buf(req, out.data, out.len);
    pendings_unhold(ps);
}

static void changes_poll(fuse_req_t req, struct node *n, struct handle *h,
                         struct fuse_pollhandle *ph)
{
    struct changes *v = changes_of(n);
    struct fuse_pollhandle *old = ph;
    unsigned events = POLLIN | POLLRDNORM;

    if (h) {
        struct follower *f = h->follower;
        pthread_mutex_lock(&v->lock);
        if (ph) {
            old = f->poll;
            f->poll = ph;
        }
        if (is_over(v))
            events |= POLLHUP;
        else if (!feed_has_more(f->reader))
            events = 0;
        pthread_mutex_unlock(&v->lock);
    }
    if (old)
        fuse_pollhandle_destroy(old);
    fuse_reply_poll(req, events);
}

/* --- attributes ----------------------------------------------------------- */

static void changes_end_asked(struct node *n, struct handle *h)
{
    struct changes *v = changes_of(n);

    pthread_mutex_lock(&v->lock);
    feed_seek_end(h->follower->reader);
    h->follower->told = feed_end(v->feed) > 0 ? feed_end(v->feed) : 1;
    pthread_mutex_unlock(&v->lock);
}

static void opened(void *arg, int r, const struct err *err)
{
    struct mount *m = arg;

    (void)r;
    (void)err;
    pendings_unhold(m->pendings);
}

/* A read-only mount hears of no opening: looking at it is one. */
static void start_by_look(struct changes *v)
{
    struct mount *m = v->view.node.mount;

    pthread_mutex_lock(&v->lock);
    bool first = !v->feed;
    feed_start_locked(v);
    pthread_mutex_unlock(&v->lock);
    if (!first || table_is_open(v->view.table) || fs_is_ending(m))
        return;
    pendings_hold(m->pendings);
    if (table_open(v->view.table, opened, m) == 0)
        pendings_unhold(m->pendings);
}

static int changes_attr(struct node *n, struct stat *st)
{
    struct changes *v = changes_of(n);
    bool read_only = n->mount->o.read_only;

    if (read_only)
        start_by_look(v);
    pthread_mutex_lock(&v->lock);
    int64_t end = v->feed ? feed_end(v->feed) : 0, at = v->changed_ms;
    pthread_mutex_unlock(&v->lock);
    fs_stat_file(n->mount, fs_hash_ino(v->view.local->table_id, "/.changes", 9),
                 at, false, (uint64_t)(end || read_only ? end : 1), st);
    return 0;
}

const struct node_type view_changes = {
    .name = ".changes",
    .type = S_IFREG,
    .size = sizeof(struct changes),
    .live = true,
    .init = changes_init,
    .release = changes_release,
    .attr = changes_attr,
    .open = changes_open,
    .follow = changes_follow,
    .poll = changes_poll,
    .end_asked = changes_end_asked,
};
