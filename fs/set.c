#include "fs/set.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/table.h"
#include "fs/view.h"

static struct set_dir *set_of(struct node *n)
{
    return (struct set_dir *)n;
}

void set_init(struct node *n, const void *arg)
{
    const struct set_init *i = arg;
    struct set_dir *s = set_of(n);

    s->table = table_ref(i->table);
    s->local = i->local;
    s->schema = schema_ref(i->schema);
    s->query = query_ref(i->query);
    s->path = xstrdup(i->path);
    s->keeps = i->keeps;
}

void set_release(struct node *n)
{
    struct set_dir *s = set_of(n);

    page_free(s->page);
    page_free(s->last);
    query_unref(s->query);
    schema_unref(s->schema);
    table_unref(s->table);
    free(s->path);
}

static uint64_t set_ino(const struct set_dir *s)
{
    return fs_hash_ino(s->local->table_id, s->path, strlen(s->path));
}

int set_attr(struct node *n, struct stat *st)
{
    struct set_dir *s = set_of(n);
    int64_t ms = table_mtime_ms(s->table), changed;

    local_changes(s->local, &changed);
    fs_stat_dir(n->mount, set_ino(s), changed > ms ? changed : ms,
                !n->mount->o.read_only && table_writable(s->table), st);
    return 0;
}

int set_failed(struct call *c, struct local *l, const char *path, int r,
               const struct err *err)
{
    if (r != -EINTR)
        local_refused(l, path, r, err_text(err, r), NULL, 0);
    c->flags = (unsigned)fs_errno(r);
    return 0;
}

/* --- pages ---------------------------------------------------------------- */

/* An offset: which listing, and how many of its entries were read. 1 and 2 are
 * the dots. */
#define SERIAL_SHIFT 32

struct page *page_new(struct local *l)
{
    static atomic_uint serial;
    struct page *p = xcalloc(1, sizeof(*p));

    p->refs = 1;
    p->serial = (atomic_fetch_add(&serial, 1) & 0x3fffffff) + 1;
    p->changes = local_changes(l, NULL);
    return p;
}

void page_free(struct page *p)
{
    if (!p)
        return;
    for (size_t i = 0; i < p->n; i++) {
        if (p->rows)
            row_unref(p->rows[i]);
        if (p->names)
            free(p->names[i]);
    }
    free(p->rows);
    free(p->seqs);
    free(p->names);
    free(p);
}

void page_unref(struct local *l, struct page *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&l->lock);
    bool last = --p->refs == 0;
    pthread_mutex_unlock(&l->lock);
    if (last)
        page_free(p);
}

struct page *page_of(struct local *l, struct page *const *newest,
                     struct page *const *last, off_t after)
{
    uint32_t serial = (uint32_t)((uint64_t)after >> SERIAL_SHIFT);
    struct page *p = NULL;

    pthread_mutex_lock(&l->lock);
    /* From its start it is made anew; and so it is for who comes back to one
     * that is gone: he goes on at his place in the newest. */
    if (serial && *newest && (*newest)->serial == serial)
        p = *newest;
    else if (serial && *last && (*last)->serial == serial)
        p = *last;
    else if (*newest && (*newest)->changes == l->changes)
        p = *newest;
    if (p)
        p->refs++;
    pthread_mutex_unlock(&l->lock);
    return p;
}

void page_put(struct local *l, struct page **newest, struct page **last,
              struct page *p)
{
    pthread_mutex_lock(&l->lock);
    struct page *old = *last;
    *last = *newest;
    *newest = p;
    p->refs++;
    pthread_mutex_unlock(&l->lock);
    page_unref(l, old);
}

size_t page_at(off_t after)
{
    size_t i = (size_t)((uint64_t)after & 0xffffffff);

    return i > 2 ? i - 2 : 0;
}

off_t page_next(const struct page *p, size_t i)
{
    return (off_t)((uint64_t)p->serial << SERIAL_SHIFT | (i + 3));
}

struct gathering {
    struct page *page;
    size_t cap;
};

static int gather(void *arg, struct row *row, const char *text, size_t len,
                  struct err *err)
{
    struct gathering *g = arg;
    struct page *p = g->page;

    (void)text;
    (void)len;
    (void)err;
    if (p->n == g->cap) {
        g->cap = g->cap ? g->cap * 2 : 64;
        p->rows = xrealloc(p->rows, g->cap * sizeof(*p->rows));
    }
    p->rows[p->n++] = row_ref(row);
    return 0;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Whether a row is in it can be told by the row alone. */
static bool takes_all(const struct query *q)
{
    return query_skip(q) == 0 && query_limit(q) == UINT64_MAX;
}

static void page_sort(struct page *p)
{
    if (p->n == 0)
        return;
    p->seqs = xmalloc(p->n * sizeof(*p->seqs));
    for (size_t i = 0; i < p->n; i++)
        p->seqs[i] = p->rows[i]->seq;
    qsort(p->seqs, p->n, sizeof(*p->seqs), by_number);
}

static bool page_has(const struct page *p, const struct row *row)
{
    return p->seqs && bsearch(&row->seq, p->seqs, p->n, sizeof(*p->seqs),
                              by_number) != NULL;
}

int set_find(struct table *t, struct local *l, const struct query *q,
             const atomic_bool *cancel, struct page **out, struct err *err)
{
    struct find_options o = {
        .resident = true,
        .no_texts = true,
        .cancel = cancel,
    };
    struct gathering g = {.page = page_new(l)};

    int r = table_find_wait(t, q, &o, gather, &g, err);
    if (r < 0) {
        page_unref(l, g.page);
        return r;
    }
    if (!takes_all(q))
        page_sort(g.page);
    *out = g.page;
    return 0;
}

/* --- listing -------------------------------------------------------------- */

/* Without attributes, so that nothing but the name is kept: each is looked up
 * when it is used. */
static void add_rows(struct set_dir *s, struct listing *l, struct page *p)
{
    bool room = true;

    for (size_t i = page_at(l->after); room && i < p->n; i++) {
        const struct row *row = p->rows[i];
        AUTO_BUF struct buf name = BUF_INIT;

        path_of_key(row_key(row), row->key_len, &name);
        pthread_mutex_lock(&s->local->lock);
        bool away =
            s->local->away.count > 0 && local_is_away(s->local, name.data);
        pthread_mutex_unlock(&s->local->lock);
        if (away)
            continue;
        struct stat st = {
            .st_ino = row->home ? row->home
                                : fs_hash_ino(s->local->table_id, row_key(row),
                                              row->key_len),
            .st_mode = S_IFREG,
        };
        room = listing_add(l, name.data, NULL, &st, page_next(p, i));
    }
}

static void list_page(struct set_dir *s, struct listing *l, struct page *p)
{
    struct stat st;
    uint64_t parent = s->local->table_id;

    if (s->node.parent && s->node.parent->type->attr &&
        s->node.parent->type->attr(s->node.parent, &st) == 0)
        parent = st.st_ino;
    if (listing_dots(l, set_ino(s), parent))
        add_rows(s, l, p);
    listing_reply(l);
}

static int list_work(struct call *c, struct err *err)
{
    struct set_dir *s = set_of(c->node);
    struct page *p = NULL;

    /* Before, so that a change meanwhile is told. */
    local_listed(s->local, c->node);
    int r = set_find(s->table, s->local, s->query, &c->cancelled, &p, err);
    if (r < 0)
        return set_failed(c, s->local, s->path, r, err);
    page_put(s->local, &s->page, &s->last, p);
    page_unref(s->local, p);
    return 0;
}

static void list_run(fuse_req_t req, struct call *c)
{
    struct set_dir *s = set_of(c->node);
    struct listing *l = &c->listing;

    if (c->flags) {
        fuse_reply_err(req, (int)c->flags);
        return;
    }
    pthread_mutex_lock(&s->local->lock);
    struct page *p = s->page;
    if (p)
        p->refs++;
    pthread_mutex_unlock(&s->local->lock);
    l->req = req;
    list_page(s, l, p);
    page_unref(s->local, p);
}

static void list_when_open(fuse_req_t req, struct call *c)
{
    struct set_dir *s = set_of(c->node);
    struct page *p = page_of(s->local, &s->page, &s->last, c->listing.after);

    if (p) {
        local_listed(s->local, c->node);
        c->listing.req = req;
        list_page(s, &c->listing, p);
        page_unref(s->local, p);
        return;
    }
    struct call *wait = call_new(c->node, NULL, list_run);
    wait->listing = c->listing;
    wait->work = list_work;
    call_spawn(req, wait);
}

void set_list(struct node *n, struct listing *l)
{
    struct call *c = call_new(n, NULL, list_when_open);

    c->listing = *l;
    call_when_open(l->req, set_of(n)->table, c);
}

/* --- one row -------------------------------------------------------------- */

/* A name in the set: which row it means, and whether it is in it. */
struct member {
    struct node *node; /* its file, a reference */
    struct row *row;   /* a reference */
    bool in;
    void (*then)(struct fuse_req *req, struct node *n, const char *name,
                 struct member *m);
    void (*otherwise)(struct fuse_req *req, struct node *n, const char *name);
};

static void member_free(void *data)
{
    struct member *m = data;

    node_unref(m->node);
    row_unref(m->row);
    free(m);
}

/* The row's file and the row; false: there is none of this name. */
static bool find_row_named(struct set_dir *s, const char *name,
                           struct member *m)
{
    struct node *dir = table_dir_of(s->node.mount, s->table);

    m->node = table_child(dir, name);
    node_unref(dir);
    if (!m->node || m->node->type != &type_file)
        return false;
    struct file *f = (struct file *)m->node;
    pthread_mutex_lock(&f->local->lock);
    if (f->key && !f->draft)
        m->row = row_find(f->table, f->key, f->key_len);
    pthread_mutex_unlock(&f->local->lock);
    return m->row != NULL;
}

/* By the row's text, fetched where it is an attachment. */
static int match_text(struct set_dir *s, struct member *m, struct err *err)
{
    struct text *text = NULL;

    int r = row_load_text_wait(s->table, m->row, &text, err);
    if (r < 0)
        return r;
    const char *t = text ? text->data : row_text(m->row);
    size_t len = text ? text->len : m->row->text_len;
    m->in = t && query_matches(s->query, t, len);
    if (text)
        text_unref(text);
    return 0;
}

/* With a limit only the whole result tells. */
static int match_listing(struct set_dir *s, struct member *m,
                         const atomic_bool *cancel, struct err *err)
{
    struct page *p = page_of(s->local, &s->page, &s->last, 0);

    if (!p) {
        int r = set_find(s->table, s->local, s->query, cancel, &p, err);
        if (r < 0)
            return r;
        page_put(s->local, &s->page, &s->last, p);
    }
    m->in = page_has(p, m->row);
    page_unref(s->local, p);
    return 0;
}

static void member_answer(fuse_req_t req, struct call *c)
{
    struct member *m = c->data;

    if (c->flags)
        fuse_reply_err(req, (int)c->flags);
    else if (m->in)
        m->then(req, c->node, c->name, m);
    else if (m->otherwise)
        m->otherwise(req, c->node, c->name);
    else
        fuse_reply_err(req, ENOENT);
}

static int member_work(struct call *c, struct err *err)
{
    struct set_dir *s = set_of(c->node);
    struct member *m = c->data;

    int r = takes_all(s->query) ? match_text(s, m, err)
                                : match_listing(s, m, &c->cancelled, err);
    return r < 0 ? set_failed(c, s->local, s->path, r, err) : 0;
}

static void member_when_open(fuse_req_t req, struct call *c)
{
    struct set_dir *s = set_of(c->node);
    struct member *m = c->data;

    bool there = find_row_named(s, c->name, m);
    if (there && takes_all(s->query) && row_text(m->row)) {
        m->in = query_matches(s->query, row_text(m->row), m->row->text_len);
        there = false;
    }
    struct page *p = there && !takes_all(s->query)
                         ? page_of(s->local, &s->page, &s->last, 0)
                         : NULL;
    if (p) {
        m->in = page_has(p, m->row);
        there = false;
        page_unref(s->local, p);
    }
    if (!there) {
        member_answer(req, c);
        return;
    }
    struct call *wait = call_new(c->node, c->name, member_answer);
    wait->work = member_work;
    wait->data = m;
    wait->release = member_free;
    c->data = NULL;
    c->release = NULL;
    call_spawn(req, wait);
}

static void member_find(fuse_req_t req, struct node *n, const char *name,
                        void (*then)(struct fuse_req *req, struct node *n,
                                     const char *name, struct member *m),
                        void (*otherwise)(struct fuse_req *req, struct node *n,
                                          const char *name))
{
    struct member *m = xcalloc(1, sizeof(*m));
    struct call *c = call_new(n, name, member_when_open);

    m->then = then;
    m->otherwise = otherwise;
    c->data = m;
    c->release = member_free;
    call_when_open(req, set_of(n)->table, c);
}

static void reply_member(struct fuse_req *req, struct node *n, const char *name,
                         struct member *m)
{
    (void)n;
    (void)name;
    fs_reply_fresh(req, m->node);
}

void set_lookup_row(struct fuse_req *req, struct node *n, const char *name,
                    void (*otherwise)(struct fuse_req *req, struct node *n,
                                      const char *name))
{
    member_find(req, n, name, reply_member, otherwise);
}

/* --- changes -------------------------------------------------------------- */

static void refuse_at(fuse_req_t req, struct node *n, const char *name,
                      const char *why)
{
    struct set_dir *s = set_of(n);
    AUTO_BUF struct buf path = BUF_INIT;

    buf_printf(&path, "%s/%s", s->path, name);
    local_refuse(req, s->local, path.data, EPERM, "%s", why);
}

void set_create(struct fuse_req *req, struct node *n, const char *name,
                mode_t mode, struct fuse_file_info *fi)
{
    (void)mode;
    (void)fi;
    /* Editors try backups and swap files and have another place: no line. */
    if (!str_ends(name, PATH_ROW_SUFFIX) || name[0] == '.')
        fuse_reply_err(req, EPERM);
    else
        refuse_at(req, n, name,
                  "a row is made in its table's directory; here is what a "
                  "query finds");
}

void set_rename(struct fuse_req *req, const struct rename *r)
{
    refuse_at(req, r->from, r->name,
              "mv: a row gets another key in its table's directory");
}

static void remove_member(struct fuse_req *req, struct node *n,
                          const char *name, struct member *m)
{
    struct set_dir *s = set_of(n);
    struct node *dir;

    if (!table_writable(s->table)) {
        refuse_at(req, n, name, "rm: the bot may not write in this channel");
        return;
    }
    dir = table_dir_of(n->mount, s->table);
    table_delete_row(req, dir, m->node, true);
    node_unref(dir);
}

void set_unlink(struct fuse_req *req, struct node *n, const char *name)
{
    if (view_is_reserved(name))
        refuse_at(req, n, name, "rm: this is a view and stays");
    else if (set_of(n)->keeps)
        refuse_at(req, n, name,
                  "rm: here it would remove the row itself; do so in its "
                  "table's directory (the index goes with rmdir of its field)");
    else
        member_find(req, n, name, remove_member, NULL);
}
