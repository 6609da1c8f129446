/* <table>/.import/{insert,upsert}.{ndjson,json,csv}: a file of rows written
 * there is checked as a whole when its writer is done, and then written in a
 * few batches; where a row of it is wrong nothing is. All read as empty. */
#include "fs/table.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/import.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/gather.h"
#include "fs/view.h"

static const struct import_file {
    const char *name;
    enum import_format format;
    bool upsert;
} files[] = {
    {"insert.ndjson", IMPORT_NDJSON, false},
    {"insert.json", IMPORT_JSON, false},
    {"insert.csv", IMPORT_CSV, false},
    {"upsert.ndjson", IMPORT_NDJSON, true},
    {"upsert.json", IMPORT_JSON, true},
    {"upsert.csv", IMPORT_CSV, true},
};
#define FILES (sizeof(files) / sizeof(*files))

static const struct node_type type_import;

/* ".import/<name>" */
static char *shown_name(const char *name)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, ".import/%s", name);
    return buf_take_str(&b);
}

static const struct import_file *file_named(const char *name)
{
    for (size_t i = 0; i < FILES; i++)
        if (strcmp(files[i].name, name) == 0)
            return &files[i];
    return NULL;
}

static uint64_t ino_of(const struct node *n, const char *name)
{
    AUTO_STR char *shown = shown_name(name);
    const struct table_view *v = (const struct table_view *)n;

    return fs_hash_ino(table_id(v->table), shown, strlen(shown));
}

static bool writable(struct node *n)
{
    return !n->mount->o.read_only && table_writable(table_view_of(n)->table);
}

/* --- .import -------------------------------------------------------------- */

static int dir_attr(struct node *n, struct stat *st)
{
    fs_stat_dir(n->mount, ino_of(n, ""), n->mount->started_ms, writable(n), st);
    return 0;
}

static void dir_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    if (!file_named(name)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct node *n = node_get(dir->mount->inodes, &type_import, dir, name, dir);
    fs_reply_node(req, n);
    node_unref(n);
}

static void dir_list(struct node *dir, struct listing *l)
{
    bool room =
        listing_dots(l, ino_of(dir, ""), table_id(table_view_of(dir)->table));
    size_t i = l->after > 2 ? (size_t)(l->after - 2) : 0;

    for (; room && i < FILES; i++) {
        struct stat st = {
            .st_ino = ino_of(dir, files[i].name),
            .st_mode = S_IFREG,
        };
        room = listing_add(l, files[i].name, NULL, &st, (off_t)i + 3);
    }
    listing_reply(l);
}

static void dir_create(fuse_req_t req, struct node *dir, const char *name,
                       mode_t mode, struct fuse_file_info *fi)
{
    AUTO_STR char *shown = shown_name(name);

    (void)mode;
    (void)fi;
    local_refuse(req, table_view_of(dir)->local, shown, EPERM,
                 "rows are imported by writing insert or upsert .ndjson, "
                 ".json or .csv");
}

const struct node_type view_import = {
    .name = ".import",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = dir_attr,
    .lookup = dir_lookup,
    .list = dir_list,
    .create = dir_create,
};

/* --- a file of it --------------------------------------------------------- */

static int import_attr(struct node *n, struct stat *st)
{
    AUTO_STR char *name = node_name(n, NULL);

    fs_stat_file(n->mount, ino_of(n, name), n->mount->started_ms, writable(n),
                 0, st);
    return 0;
}

static void import_open(fuse_req_t req, struct node *n,
                        struct fuse_file_info *fi)
{
    gather_open(req, n, fi, NULL, 0, false);
}

struct watch {
    atomic_bool *stopped;
    bool writing;
};

static void progress(void *arg, size_t done, size_t total, bool writing)
{
    struct watch *w = arg;

    (void)done;
    (void)total;
    w->writing = writing;
}

/* Until the first row is written: then it goes on to the end, since half a file
 * helps nobody. */
static bool stopped(void *arg)
{
    struct watch *w = arg;

    return !w->writing && atomic_load(w->stopped);
}

static int import_store(struct node *n, const char *text, size_t len,
                        atomic_bool *stop, struct err *err)
{
    AUTO_STR char *name = node_name(n, NULL);
    const struct import_file *f = file_named(name);
    struct table *t = table_view_of(n)->table;
    struct watch w = {stop, false};
    struct import_options o = {
        .format = f->format,
        .name = name,
        .upsert = f->upsert,
        .progress = progress,
        .stopped = stopped,
        .arg = &w,
    };
    struct import_result result;

    int r = table_open_wait(t, err);
    if (r < 0)
        return r;
    r = table_import_wait(t, text, len, &o, &result, err);
    if (r == 0)
        log_info("%s: %zu rows: %zu inserted, %zu replaced, %zu there already",
                 name, result.rows, result.inserted, result.replaced,
                 result.skipped);
    import_result_release(&result);
    return r;
}

/* The text is no row: it cannot be mended in .rejected. */
static void import_refused(struct node *n, int r, const char *why,
                           const char *text, size_t len)
{
    AUTO_STR char *name = node_name(n, NULL);
    AUTO_STR char *shown = shown_name(name);

    (void)text;
    (void)len;
    local_refused(table_view_of(n)->local, shown, r, why, NULL, 0);
}

static void import_text(struct node *n, struct buf *out)
{
    (void)n;
    (void)out;
}

static const struct node_type type_import = {
    .type = S_IFREG,
    .size = sizeof(struct table_view),
    .live = true,
    .init = table_view_init,
    .release = table_view_release,
    .attr = import_attr,
    .text = import_text,
    .setattr = gather_setattr,
    .open = import_open,
    .read = gather_read,
    .write = gather_write,
    .flush = gather_flush,
    .release_handle = gather_release,
    .store = import_store,
    .refused = import_refused,
};
