/* <table>/.patch/<key>.json: what is written there is merged into the row by
 * RFC 7396, in one commit, at the version that is current then; all it does not
 * name keeps every byte. Reads as an empty file, and is not listed. */
#include "fs/table.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/call.h"
#include "fs/document.h"
#include "fs/file.h"
#include "fs/path.h"
#include "fs/view.h"

struct patch_file {
    struct node node;
    /* all set at creation */
    struct table *table; /* a reference */
    struct local *local;
    char *key;
    size_t key_len;
};

static const struct node_type type_patch;

static struct patch_file *patch_of(struct node *n)
{
    return (struct patch_file *)n;
}

/* ".patch/<key>.json", for .errors. */
static char *shown_name(const char *name)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, ".patch/%s", name);
    return buf_take_str(&b);
}

/* --- .patch --------------------------------------------------------------- */

struct patch_init {
    struct table *table;
    const struct row *row;
};

static int dir_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, fs_hash_ino(table_id(t), "/.patch", 7),
                n->mount->started_ms,
                !n->mount->o.read_only && table_writable(t), st);
    return 0;
}

static struct node *patch_node(struct node *dir, const char *name)
{
    struct table *t = table_view_of(dir)->table;
    struct node *n = NULL;
    struct path p;

    struct row *row =
        path_parse(name, &p) == 0 ? table_row_named(t, &p, name) : NULL;
    if (row) {
        struct patch_init i = {t, row};
        n = node_get(dir->mount->inodes, &type_patch, dir, name, &i);
    }
    row_unref(row);
    buf_release(&p.text);
    return n;
}

static void lookup_run(fuse_req_t req, struct call *c)
{
    struct node *n = patch_node(c->node, c->name);

    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void dir_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    call_when_open(req, table_view_of(dir)->table,
                   call_new(dir, name, lookup_run));
}

static void dir_list(struct node *dir, struct listing *l)
{
    uint64_t table = table_id(table_view_of(dir)->table);

    listing_dots(l, fs_hash_ino(table, "/.patch", 7), table);
    listing_reply(l);
}

static void dir_create(fuse_req_t req, struct node *dir, const char *name,
                       mode_t mode, struct fuse_file_info *fi)
{
    AUTO_STR char *shown = shown_name(name);

    (void)mode;
    (void)fi;
    local_refuse(req, table_view_of(dir)->local, shown, ENOENT,
                 "there is no such row to patch; write it to %s in the table's "
                 "directory",
                 name);
}

const struct node_type view_patch = {
    .name = ".patch",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = dir_attr,
    .lookup = dir_lookup,
    .list = dir_list,
    .create = dir_create,
};

/* --- .patch/<key>.json ---------------------------------------------------- */

static void patch_init(struct node *n, const void *arg)
{
    const struct patch_init *i = arg;
    struct patch_file *f = patch_of(n);

    f->table = table_ref(i->table);
    f->local = local_of(n->mount, table_id(i->table));
    f->key_len = i->row->key_len;
    f->key = xmalloc(f->key_len + 1);
    memcpy(f->key, row_key(i->row), f->key_len + 1);
}

static void patch_release(struct node *n)
{
    free(patch_of(n)->key);
    table_unref(patch_of(n)->table);
}

/* A row may go while its patch's name is known. */
static int patch_attr(struct node *n, struct stat *st)
{
    struct patch_file *f = patch_of(n);
    AUTO_BUF struct buf name = BUF_INIT;
    struct row *row = row_find(f->table, f->key, f->key_len);

    if (!row)
        return -ENOENT;
    buf_addstr(&name, "/.patch/");
    buf_add(&name, f->key, f->key_len);
    fs_stat_file(n->mount, fs_hash_ino(table_id(f->table), name.data, name.len),
                 row->mtime_ms,
                 !n->mount->o.read_only && table_writable(f->table), 0, st);
    row_unref(row);
    return 0;
}

static void patch_text(struct node *n, struct buf *out)
{
    (void)n;
    (void)out;
}

static void merge(void *arg)
{
    struct commit *c = arg;
    struct patch_file *f = patch_of(c->node);
    struct err err = ERR_INIT;

    int r = table_open_wait(f->table, &err);
    if (r == 0)
        r = table_patch_wait(f->table, f->key, f->key_len, c->text, c->len, 0,
                             NULL, &err);
    commit_done(c, r, &err);
}

static void patch_commit(struct node *n, struct commit *c)
{
    engine_spawn(n->mount->engine, merge, c);
}

/* The text is no row: it cannot be mended in .rejected. */
static void patch_refused(struct node *n, int r, const char *why,
                          const char *text, size_t len)
{
    AUTO_STR char *name = node_name(n, NULL);
    AUTO_STR char *shown = shown_name(name);

    (void)text;
    (void)len;
    local_refused(patch_of(n)->local, shown, r, why, NULL, 0);
}

static size_t patch_max(struct node *n)
{
    return database_max_file(
        namespace_database(table_namespace(patch_of(n)->table)));
}

static const struct node_type type_patch = {
    .type = S_IFREG,
    .size = sizeof(struct patch_file),
    .live = true,
    .document = true,
    .init = patch_init,
    .release = patch_release,
    .attr = patch_attr,
    .text = patch_text,
    .commit = patch_commit,
    .refused = patch_refused,
    .max = patch_max,
};
