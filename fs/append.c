#include "fs/append.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/json.h"
#include "engine/value.h"
#include "fs/handle.h"
#include "fs/local.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/pending.h"

#define FILE_NAME ".ndjson"

/* One write, until Discord has answered for each of its lines. */
struct append {
    struct node *node;   /* a reference */
    struct table *table; /* a reference */
    struct local *local;
    struct pending *pending;
    size_t size; /* to be answered */
    struct buf text;

    atomic_size_t left; /* lines under way, and one for who starts them */
    atomic_int failed;  /* the first of them, as a negative errno */
};

struct line {
    struct append *append;
    size_t start, len; /* in append.text */
};

static void append_free(struct append *a)
{
    buf_release(&a->text);
    table_unref(a->table);
    node_unref(a->node);
    free(a);
}

/* On the notifier's thread: nobody sees an old listing any more. */
static void finish(void *arg)
{
    struct append *a = arg;
    struct pendings *ps = a->node->mount->pendings;
    fuse_req_t req = pending_finish(a->pending);
    int r = atomic_load(&a->failed);

    if (req && r < 0)
        fuse_reply_err(req, fs_errno(r));
    else if (req)
        fuse_reply_write(req, a->size);
    append_free(a);
    pendings_unhold(ps);
}

static void one_less(struct append *a)
{
    if (atomic_fetch_sub(&a->left, 1) == 1)
        notify_then(a->node->mount->notify, a->node, finish, a);
}

/* Where the text is put to be mended: the row's name, if it tells a key. */
static void name_of_line(struct table *t, const char *text, size_t len,
                         struct buf *name)
{
    AUTO_BUF struct buf key = BUF_INIT;
    struct schema *s = table_schema(t);
    struct json_member m;

    if (json_check(text, len, NULL) == 0 &&
        value_at(text, len, schema_pk(s), &m)) {
        if (m.type == JSON_STRING)
            json_unescape(m.value, m.value_len, &key);
        else if (m.type == JSON_NUMBER)
            buf_add(&key, m.value, m.value_len);
    }
    if (key.len > 0 && schema_check_key(key.data, key.len, NULL) == 0)
        path_of_key(key.data, key.len, name);
    else
        buf_addstr(name, FILE_NAME);
    schema_unref(s);
}

static void refused(struct table *t, struct local *l, int r,
                    const struct err *err, const char *text, size_t len)
{
    AUTO_BUF struct buf name = BUF_INIT, why = BUF_INIT, whole = BUF_INIT;

    if (r == -EINTR)
        return;
    name_of_line(t, text, len, &name);
    buf_printf(&why, "a line appended to " FILE_NAME ": %s", err_text(err, r));
    buf_add(&whole, text, len);
    buf_addc(&whole, '\n');
    local_refused(l, name.data, r, why.data, whole.data, whole.len);
}

static void inserted(void *arg, int r, struct row *row, const struct err *err)
{
    struct line *line = arg;
    struct append *a = line->append;

    row_unref(row);
    if (r < 0) {
        int none = 0;
        refused(a->table, a->local, r, err, a->text.data + line->start,
                line->len);
        atomic_compare_exchange_strong(&a->failed, &none, r);
    }
    free(line);
    one_less(a);
}

/* Hands a line over; a negative errno: it was refused, and no other may be. */
static int insert(struct append *a, size_t start, size_t len, bool first)
{
    struct line *line = xcalloc(1, sizeof(*line));
    struct err err = ERR_INIT;
    struct write w = {
        .kind = WRITE_PUT,
        .text = a->text.data + start,
        .text_len = len,
        .must_be_new = true,
        .more = true,
    };

    *line = (struct line){a, start, len};
    atomic_fetch_add(&a->left, 1);
    int r = first
                ? pending_write(a->pending, a->table, &w, inserted, line, &err)
                : table_write(a->table, &w, inserted, line, NULL, &err);
    if (r == 0)
        return 0;
    atomic_fetch_sub(&a->left, 1);
    free(line);
    refused(a->table, a->local, r, &err, w.text, w.text_len);
    return r;
}

static size_t trimmed(const char *s, size_t len)
{
    while (len > 0 && strchr(" \t\r\n", s[len - 1]) && s[len - 1])
        len--;
    return len;
}

/* A whole object needs no newline to be complete: echo -n, printf. */
static bool is_whole(const char *s, size_t len)
{
    len = trimmed(s, len);
    return len > 0 && s[len - 1] == '}' && json_check(s, len, NULL) == 0;
}

/* The lines of a->text, of which the last `fresh` bytes came with this write.
 * Gives the bytes that were used up: what is behind them begins a line. Sets
 * a->size, or a->failed where nothing of the write counts. */
static size_t insert_lines(struct append *a, size_t fresh)
{
    size_t at = 0, old = a->text.len - fresh, lines = 0;

    while (at < a->text.len) {
        const char *s = a->text.data + at;
        size_t rest = a->text.len - at;
        const char *nl = memchr(s, '\n', rest);
        if (!nl && !is_whole(s, rest))
            break;
        size_t len = nl ? (size_t)(nl - s) : rest, text = trimmed(s, len);
        int r = text > 0 ? insert(a, at, text, lines == 0) : 0;
        if (r < 0) {
            if (lines == 0 || at <= old)
                atomic_store(&a->failed, r);
            else
                a->size = at - old;
            return a->text.len;
        }
        lines += text > 0;
        at += len + (nl != NULL);
    }
    a->size = fresh;
    return at;
}

void append_write(fuse_req_t req, struct node *n, struct table *t,
                  struct local *l, struct handle *h, const char *data,
                  size_t size)
{
    struct namespace *ns = table_namespace(t);
    uint64_t max = database_max_file(namespace_database(ns));
    struct append *a = xcalloc(1, sizeof(*a));

    a->node = node_ref(n);
    a->table = table_ref(t);
    a->local = l;
    atomic_init(&a->left, 1);
    atomic_init(&a->failed, 0);
    a->pending = pending_new(n->mount->pendings, req);

    pthread_mutex_lock(&h->lock);
    a->text = buf_take(&h->body);
    h->body = BUF_INIT;
    pthread_mutex_unlock(&h->lock);
    buf_add(&a->text, data, size);

    size_t used = insert_lines(a, size);
    size_t left = a->text.len - used;
    if (left > max) {
        struct err err = ERR_INIT;
        err_set(&err, -EFBIG, "it has more than the %ju bytes a row can have",
                (uintmax_t)max);
        refused(t, l, -EFBIG, &err, a->text.data + used, 80);
        atomic_store(&a->failed, -EFBIG);
    } else if (left > 0) {
        pthread_mutex_lock(&h->lock);
        buf_add(&h->body, a->text.data + used, left);
        pthread_mutex_unlock(&h->lock);
    }
    table_write_flush(t);
    one_less(a);
}

void append_flush(fuse_req_t req, struct node *n, struct table *t,
                  struct local *l, struct handle *h)
{
    AUTO_BUF struct buf text = BUF_INIT;
    struct err err = ERR_INIT;

    (void)n;
    /* It stays: another process may have the file open still, and go on. */
    pthread_mutex_lock(&h->lock);
    buf_add(&text, h->body.data, trimmed(h->body.data, h->body.len));
    pthread_mutex_unlock(&h->lock);
    if (text.len == 0) {
        fuse_reply_err(req, 0);
        return;
    }
    int r = json_check(text.data, text.len, &err);
    if (r == 0)
        r = err_set(&err, -EINVAL, "it is not complete");
    refused(t, l, r, &err, text.data, text.len);
    fuse_reply_err(req, fs_errno(r));
}
