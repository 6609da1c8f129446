/* <table>/.stats.json: how a table is: rows, bytes, versions, its indexes, and
 * how far the background writer is behind. Costs no request. */
#include "fs/table.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "fs/call.h"
#include "fs/handle.h"
#include "fs/view.h"

#define PAGE_ROWS 256
/* All rows are looked at for the versions: once in so long. */
#define COUNT_MS 1000

struct stats_view {
    struct table_view view;
    pthread_mutex_t lock; /* leaf; guards all below */
    int64_t counted_ms;   /* clock_mono_ms(), 0: never */
    uint64_t versions, largest;
};

static struct stats_view *stats_of(struct node *n)
{
    return (struct stats_view *)n;
}

static void stats_init(struct node *n, const void *arg)
{
    table_view_init(n, arg);
    pthread_mutex_init(&stats_of(n)->lock, NULL);
}

static void stats_release(struct node *n)
{
    pthread_mutex_destroy(&stats_of(n)->lock);
    table_view_release(n);
}

static void count_rows(struct table *t, uint64_t *versions, uint64_t *largest)
{
    struct row *rows[PAGE_ROWS];
    uint64_t after = 0;
    size_t n;

    *versions = *largest = 0;
    while ((n = row_list(t, after, rows, PAGE_ROWS)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            *versions += rows[i]->version;
            if (rows[i]->text_len > *largest)
                *largest = rows[i]->text_len;
            row_unref(rows[i]);
        }
    }
}

static void counted(struct node *n, uint64_t *versions, uint64_t *largest)
{
    struct stats_view *v = stats_of(n);
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&v->lock);
    bool fresh = v->counted_ms && now < v->counted_ms + COUNT_MS;
    *versions = v->versions;
    *largest = v->largest;
    pthread_mutex_unlock(&v->lock);
    if (fresh)
        return;
    count_rows(v->view.table, versions, largest);
    pthread_mutex_lock(&v->lock);
    v->counted_ms = now;
    v->versions = *versions;
    v->largest = *largest;
    pthread_mutex_unlock(&v->lock);
}

static void stats_text(struct node *n, struct buf *out)
{
    struct table *t = table_view_of(n)->table;
    uint64_t versions = 0, largest = 0;

    if (table_is_open(t))
        counted(n, &versions, &largest);
    table_status(t, out);
    buf_truncate(out, out->len - 1);
    buf_printf(out,
               ",\"versions\":%ju,\"largest_row\":%ju,\"channel_id\":\"%ju\","
               "\"history_id\":\"%ju\"}\n",
               (uintmax_t)versions, (uintmax_t)largest, (uintmax_t)table_id(t),
               (uintmax_t)table_history_id(t));
}

static int stats_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;
    AUTO_BUF struct buf text = BUF_INIT;

    stats_text(n, &text);
    fs_stat_file(n->mount, fs_hash_ino(table_id(t), "/.stats.json", 12),
                 clock_wall_ms(), false, text.len, st);
    return 0;
}

static void getattr_run(fuse_req_t req, struct call *c)
{
    fs_reply_attr(req, c->node);
}

static void stats_getattr(fuse_req_t req, struct node *n)
{
    call_when_open(req, table_view_of(n)->table,
                   call_new(n, NULL, getattr_run));
}

static void open_run(fuse_req_t req, struct call *c)
{
    fs_open_text(req, c->node, &c->fi);
}

static void stats_open(fuse_req_t req, struct node *n,
                       struct fuse_file_info *fi)
{
    struct call *c = call_new(n, NULL, open_run);

    c->fi = *fi;
    call_when_open(req, table_view_of(n)->table, c);
}

const struct node_type view_stats = {
    .name = ".stats.json",
    .type = S_IFREG,
    .size = sizeof(struct stats_view),
    .live = true,
    .init = stats_init,
    .release = stats_release,
    .attr = stats_attr,
    .text = stats_text,
    .getattr = stats_getattr,
    .open = stats_open,
};
