/* The result files of a set of rows: .ndjson .json .csv .tsv .count .keys
 * .explain. What one holds is made when it is opened and stays with its
 * handle; its size is known from then on, or found out when somebody asks
 * for it. Lines appended to a table's .ndjson are rows to insert. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/format.h"
#include "engine/json.h"
#include "engine/value.h"
#include "fs/append.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/set.h"
#include "fs/table.h"
#include "fs/view.h"

struct result {
    struct node node;
    struct table *table; /* a reference; set at creation, as all up to path */
    struct local *local;
    struct query *query; /* a reference; NULL: all rows of the table */
    char *path;          /* in the table's directory */

    /* under local->lock */
    bool known;       /* what was made at `changes` had this size */
    uint64_t changes; /* local_changes() then */
    uint64_t size;
    struct buf body; /* it, on a read-only mount, where nothing is opened */
};

extern const struct node_type view_ndjson, view_json, view_csv, view_tsv,
    view_count, view_keys, view_explain;

const struct node_type *const result_views[] = {
    &view_ndjson, &view_json, &view_csv,     &view_tsv,
    &view_count,  &view_keys, &view_explain, NULL,
};

static struct result *result_of(struct node *n)
{
    return (struct result *)n;
}

static void result_init(struct node *n, const void *arg)
{
    const struct node *dir = arg;
    struct result *f = result_of(n);

    if (dir->type == &type_table) {
        f->table = table_ref(((const struct table_dir *)dir)->table);
        f->local = ((const struct table_dir *)dir)->local;
        f->path = xstrdup(n->type->name);
        return;
    }
    const struct set_dir *s = (const struct set_dir *)dir;
    AUTO_BUF struct buf path = BUF_INIT;
    buf_printf(&path, "%s/%s", s->path, n->type->name);
    f->table = table_ref(s->table);
    f->local = s->local;
    f->query = query_ref(s->query);
    f->path = buf_take_str(&path);
}

static void result_release(struct node *n)
{
    struct result *f = result_of(n);

    buf_release(&f->body);
    query_unref(f->query);
    table_unref(f->table);
    free(f->path);
}

static bool takes_rows(struct result *f)
{
    return f->node.type == &view_ndjson && !f->query &&
           !f->node.mount->o.read_only && table_writable(f->table);
}

static int result_attr(struct node *n, struct stat *st)
{
    struct result *f = result_of(n);
    int64_t ms = table_mtime_ms(f->table);

    pthread_mutex_lock(&f->local->lock);
    if (f->local->changed_ms > ms)
        ms = f->local->changed_ms;
    uint64_t size = f->size;
    pthread_mutex_unlock(&f->local->lock);
    fs_stat_file(n->mount,
                 fs_hash_ino(f->local->table_id, f->path, strlen(f->path)), ms,
                 takes_rows(f), size, st);
    return 0;
}

/* --- making it ------------------------------------------------------------ */

/* So much of one stays in memory, more goes to a file without a name: a table
 * of a million rows can be opened by many. */
#define SPILL_BYTES (8u << 20)
#define SPILL_DIR "/tmp"

/* Where it goes: kept, or counted only. */
struct sink {
    struct buf *text; /* may be NULL */
    int *spill;       /* -1 until there is one; NULL: all stays in memory */
    uint64_t size;
    const struct query *query;
    struct format_writer *writer;
    bool learning;
};

static int write_all(int fd, const char *data, size_t len, struct err *err)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(err, -errno, "a file in " SPILL_DIR ": %s",
                           strerror(errno));
        data += n;
        len -= (size_t)n;
    }
    return 0;
}

/* The text is written in pieces of this size. */
#define PIECE_BYTES (256u << 10)

static int spill(struct sink *s, struct err *err)
{
    int r = write_all(*s->spill, s->text->data, s->text->len, err);

    buf_reset(s->text);
    return r;
}

static int put(void *arg, const char *data, size_t len, struct err *err)
{
    struct sink *s = arg;

    s->size += len;
    if (!s->text)
        return 0;
    buf_add(s->text, data, len);
    if (!s->spill)
        return 0;
    if (*s->spill >= 0)
        return s->text->len >= PIECE_BYTES ? spill(s, err) : 0;
    if (s->text->len < SPILL_BYTES)
        return 0;
    *s->spill = open(SPILL_DIR, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (*s->spill < 0) {
        /* There are file systems that cannot do this. */
        s->spill = NULL;
        return 0;
    }
    int r = spill(s, err);
    buf_release(s->text);
    return r;
}

/* From the start again. */
static void put_anew(struct sink *s)
{
    s->size = 0;
    if (s->text)
        buf_reset(s->text);
    if (s->spill && *s->spill >= 0) {
        close(*s->spill);
        *s->spill = -1;
    }
}

static int put_key(void *arg, struct row *row, const char *text, size_t len,
                   struct err *err)
{
    (void)text;
    (void)len;
    put(arg, row_key(row), row->key_len, err);
    return put(arg, "\n", 1, err);
}

static int put_nothing(void *arg, struct row *row, const char *text, size_t len,
                       struct err *err)
{
    (void)arg;
    (void)row;
    (void)text;
    (void)len;
    (void)err;
    return 0;
}

static int put_row(void *arg, struct row *row, const char *text, size_t len,
                   struct err *err)
{
    struct sink *s = arg;
    AUTO_BUF struct buf part = BUF_INIT;

    (void)row;
    if (query_projects(s->query)) {
        query_project(s->query, text, len, &part);
        text = part.data ? part.data : "";
        len = part.len;
    }
    if (s->learning) {
        format_learn(s->writer, text, len);
        return 0;
    }
    return format_row(s->writer, text, len, err);
}

/* Columns are known when the rows were gone through once. */
static int put_rows(struct result *f, const struct query *q,
                    const struct find_options *o, enum format format,
                    struct sink *s, struct err *err)
{
    int r;

    s->query = q;
    s->writer = format_writer_new(format, true, put, s);
    if (format == FORMAT_CSV || format == FORMAT_TSV) {
        s->learning = true;
        r = table_find_wait(f->table, q, o, put_row, s, err);
        s->learning = false;
    } else {
        r = 0;
    }
    if (r == 0)
        r = table_find_wait(f->table, q, o, put_row, s, err);
    if (r == 0)
        r = format_end(s->writer, err);
    format_writer_free(s->writer);
    return r;
}

/* A column that came up between the two goes: once more from the start. */
#define TRIES 5

static int make_rows(struct result *f, const struct query *q,
                     const struct find_options *o, enum format format,
                     struct sink *s, struct err *err)
{
    int r = -ESTALE;

    for (int i = 0; r == -ESTALE && i < TRIES; i++) {
        put_anew(s);
        r = put_rows(f, q, o, format, s, err);
    }
    return r;
}

static int make_explain(struct result *f, const struct query *q,
                        struct find_options *o, struct sink *s, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT;
    struct find_report report = {0};

    o->report = &report;
    o->no_texts = true;
    int r = table_find_wait(f->table, q, o, put_nothing, NULL, err);
    if (r < 0)
        return r;
    find_report_print(&report, q, &text);
    buf_addc(&text, '\n');
    return put(s, text.data, text.len, err);
}

static int make_count(struct result *f, const struct query *q,
                      const struct find_options *o, struct sink *s,
                      struct err *err)
{
    char line[32];
    uint64_t n = 0;

    int r = table_count_wait(f->table, q, o, &n, err);
    if (r < 0)
        return r;
    return put(s, line,
               (size_t)snprintf(line, sizeof(line), "%ju\n", (uintmax_t)n),
               err);
}

/* Waits. text NULL: it is only measured. What it holds may be a moment newer
 * than *changes, never older. */
static int make(struct result *f, const atomic_bool *cancel, struct buf *text,
                int *spilled, uint64_t *changes, uint64_t *size,
                struct err *err)
{
    const struct node_type *type = f->node.type;
    struct find_options o = {.resident = true, .cancel = cancel};
    struct sink s = {.text = text, .spill = spilled};
    struct query *q = f->query ? query_ref(f->query) : query_new(NULL);
    int r;

    *changes = local_changes(f->local, NULL);
    if (type == &view_count) {
        r = make_count(f, q, &o, &s, err);
    } else if (type == &view_keys) {
        o.no_texts = true;
        r = table_find_wait(f->table, q, &o, put_key, &s, err);
    } else if (type == &view_explain) {
        r = make_explain(f, q, &o, &s, err);
    } else {
        r = make_rows(f, q, &o,
                      type == &view_csv    ? FORMAT_CSV
                      : type == &view_tsv  ? FORMAT_TSV
                      : type == &view_json ? FORMAT_JSON
                                           : FORMAT_NDJSON,
                      &s, err);
    }
    if (r == 0 && spilled && *spilled >= 0)
        r = spill(&s, err);
    query_unref(q);
    *size = s.size;
    return r;
}

/* What a call carries. */
struct made {
    struct buf text;
    int spill;   /* or in this file; -1: it is not */
    size_t size; /* to be read, at off */
    off_t off;
};

static struct made *made_new(void)
{
    struct made *m = xcalloc(1, sizeof(*m));

    m->spill = -1;
    return m;
}

static void made_free(void *data)
{
    struct made *m = data;

    buf_release(&m->text);
    if (m->spill >= 0)
        close(m->spill);
    free(m);
}

/* Makes it; with keep the text too. */
static int make_work(struct call *c, bool keep, struct err *err)
{
    struct result *f = result_of(c->node);
    struct made *m = c->data;
    uint64_t changes, size;
    bool unopened = f->node.mount->o.read_only;

    int r = make(f, &c->cancelled, keep || unopened ? &m->text : NULL,
                 keep && !unopened ? &m->spill : NULL, &changes, &size, err);
    if (r < 0)
        return set_failed(c, f->local, f->path, r, err);
    pthread_mutex_lock(&f->local->lock);
    f->known = true;
    f->changes = changes;
    f->size = size;
    if (unopened) {
        buf_reset(&f->body);
        buf_add(&f->body, m->text.data, m->text.len);
    }
    pthread_mutex_unlock(&f->local->lock);
    return 0;
}

static int keep_work(struct call *c, struct err *err)
{
    return make_work(c, true, err);
}

static int measure_work(struct call *c, struct err *err)
{
    return make_work(c, false, err);
}

/* run, once it is made, on a thread that may wait. */
static void make_then(fuse_req_t req, struct call *c,
                      int (*work)(struct call *c, struct err *err),
                      void (*run)(fuse_req_t req, struct call *c))
{
    struct call *wait = call_new(c->node, NULL, run);

    wait->work = work;
    wait->fi = c->fi;
    wait->data = c->data ? c->data : made_new();
    wait->release = made_free;
    c->data = NULL;
    c->release = NULL;
    call_spawn(req, wait);
}

/* --- size ----------------------------------------------------------------- */

static void measured(fuse_req_t req, struct call *c)
{
    if (c->flags)
        fuse_reply_err(req, (int)c->flags);
    else
        fs_reply_attr(req, c->node);
}

static void getattr_when_open(fuse_req_t req, struct call *c)
{
    struct result *f = result_of(c->node);

    pthread_mutex_lock(&f->local->lock);
    bool known = f->known && f->changes == f->local->changes;
    pthread_mutex_unlock(&f->local->lock);
    if (known)
        fs_reply_attr(req, c->node);
    else
        make_then(req, c, measure_work, measured);
}

static void result_getattr(fuse_req_t req, struct node *n)
{
    call_when_open(req, result_of(n)->table,
                   call_new(n, NULL, getattr_when_open));
}

/* --- open, read ------------------------------------------------------------
 */

static void reply_open(fuse_req_t req, struct handle *h,
                       struct fuse_file_info *fi)
{
    h->direct = true;
    fi->direct_io = 1;
    fi->noflush = !handle_writes(h);
    handle_give(h, fi);
    handle_ref(h);
    if (fuse_reply_open(req, fi) < 0)
        handle_unref(h);
    handle_unref(h);
}

static void opened(fuse_req_t req, struct call *c)
{
    struct made *m = c->data;

    if (c->flags) {
        fuse_reply_err(req, (int)c->flags);
        return;
    }
    struct handle *h = handle_new(c->node, c->fi.flags);
    h->body = buf_take(&m->text);
    h->spill = m->spill;
    m->spill = -1;
    reply_open(req, h, &c->fi);
}

static void open_when_open(fuse_req_t req, struct call *c)
{
    if ((c->fi.flags & O_ACCMODE) == O_WRONLY)
        reply_open(req, handle_new(c->node, c->fi.flags), &c->fi);
    else
        make_then(req, c, keep_work, opened);
}

static void result_open(fuse_req_t req, struct node *n,
                        struct fuse_file_info *fi)
{
    struct result *f = result_of(n);

    if ((fi->flags & O_ACCMODE) != O_RDONLY) {
        const char *why =
            f->query || n->type != &view_ndjson
                ? "this is what a query finds, to be read; rows are added to "
                  "the .ndjson of their table"
            : !table_writable(f->table)
                ? "the bot may not write in this channel"
            : (fi->flags & O_TRUNC) || !(fi->flags & O_APPEND)
                ? "lines are appended here, as with >>; rows are removed and "
                  "replaced one by one, as files"
            : (fi->flags & O_ACCMODE) == O_RDWR
                ? "it is appended to or read, not both at once"
                : NULL;
        if (why) {
            local_refuse(req, f->local, f->path, EPERM, "%s", why);
            return;
        }
    }
    struct call *c = call_new(n, NULL, open_when_open);
    c->fi = *fi;
    call_when_open(req, f->table, c);
}

static void reply_part(fuse_req_t req, const struct buf *b, size_t size,
                       off_t off)
{
    if ((size_t)off >= b->len)
        fuse_reply_buf(req, NULL, 0);
    else
        fuse_reply_buf(req, b->data + off,
                       size < b->len - (size_t)off ? size
                                                   : b->len - (size_t)off);
}

static void reply_spilled(fuse_req_t req, int fd, size_t size, off_t off)
{
    AUTO_BUF struct buf part = BUF_INIT;

    buf_reserve(&part, size);
    ssize_t n = pread(fd, part.data, size, off);
    if (n < 0)
        fuse_reply_err(req, EIO);
    else
        fuse_reply_buf(req, part.data, (size_t)n);
}

static void read_made(fuse_req_t req, struct call *c)
{
    struct made *m = c->data;

    if (c->flags)
        fuse_reply_err(req, (int)c->flags);
    else
        reply_part(req, &m->text, m->size, m->off);
}

static void read_when_open(fuse_req_t req, struct call *c)
{
    make_then(req, c, keep_work, read_made);
}

/* A read-only mount: of what the kernel was told the size of, if it is there
 * still. */
static void read_unopened(fuse_req_t req, struct node *n, size_t size,
                          off_t off)
{
    struct result *f = result_of(n);
    AUTO_BUF struct buf part = BUF_INIT;

    pthread_mutex_lock(&f->local->lock);
    bool known = f->known && (off > 0 || f->changes == f->local->changes);
    if (known && (size_t)off < f->body.len)
        buf_add(&part, f->body.data + off,
                size < f->body.len - (size_t)off ? size
                                                 : f->body.len - (size_t)off);
    pthread_mutex_unlock(&f->local->lock);
    if (known) {
        fuse_reply_buf(req, part.data, part.len);
        return;
    }
    struct call *c = call_new(n, NULL, read_when_open);
    struct made *m = made_new();
    m->size = size;
    m->off = off;
    c->data = m;
    c->release = made_free;
    call_when_open(req, f->table, c);
}

static void result_read(fuse_req_t req, struct node *n, struct handle *h,
                        size_t size, off_t off)
{
    if (!h) {
        read_unopened(req, n, size, off);
        return;
    }
    /* The body of a handle that reads is never changed; and it stays while it
     * is being answered, though the reader may be gone by then. */
    handle_ref(h);
    if (handle_writes(h))
        fuse_reply_err(req, EBADF);
    else if (h->spill >= 0)
        reply_spilled(req, h->spill, size, off);
    else
        reply_part(req, &h->body, size, off);
    handle_unref(h);
}

static void result_setattr(fuse_req_t req, struct node *n,
                           const struct stat *st, int which,
                           struct fuse_file_info *fi)
{
    struct result *f = result_of(n);

    (void)st;
    (void)fi;
    if (which & FUSE_SET_ATTR_SIZE)
        local_refuse(req, f->local, f->path, EPERM,
                     "it cannot be cut: rows are removed one by one, as files");
    else
        fs_reply_attr(req, n);
}

#define RESULT(text)                                                           \
    .name = (text), .type = S_IFREG, .size = sizeof(struct result),            \
    .live = true, .init = result_init, .release = result_release,              \
    .attr = result_attr, .getattr = result_getattr, .setattr = result_setattr, \
    .open = result_open, .read = result_read

const struct node_type view_json = {RESULT(".json")};
const struct node_type view_csv = {RESULT(".csv")};
const struct node_type view_tsv = {RESULT(".tsv")};
const struct node_type view_count = {RESULT(".count")};
const struct node_type view_keys = {RESULT(".keys")};
const struct node_type view_explain = {RESULT(".explain")};

/* --- appending --------------------------------------------------------------
 */

/* A write on its way while its table is being opened. */
struct piece {
    struct handle *handle; /* a reference */
    struct buf data;
};

static void piece_free(void *data)
{
    struct piece *p = data;

    handle_unref(p->handle);
    buf_release(&p->data);
    free(p);
}

static void write_when_open(fuse_req_t req, struct call *c)
{
    struct result *f = result_of(c->node);
    struct piece *p = c->data;

    append_write(req, c->node, f->table, f->local, p->handle, p->data.data,
                 p->data.len);
}

static void ndjson_write(fuse_req_t req, struct node *n, struct handle *h,
                         const char *data, size_t size, off_t off)
{
    struct piece *p = xcalloc(1, sizeof(*p));
    struct call *c = call_new(n, NULL, write_when_open);

    (void)off; /* always the end */
    p->handle = handle_ref(h);
    buf_add(&p->data, data, size);
    c->data = p;
    c->release = piece_free;
    call_when_open(req, result_of(n)->table, c);
}

static void ndjson_flush(fuse_req_t req, struct node *n, struct handle *h)
{
    append_flush(req, n, result_of(n)->table, result_of(n)->local, h);
}

const struct node_type view_ndjson = {
    RESULT(".ndjson"),
    .write = ndjson_write,
    .flush = ndjson_flush,
};
