/* <table>/.find/<term>/<term>/…: queries as directories, made by looking them
 * up. .find lists nothing, a query its rows: nobody who walks a tree gets
 * lost in it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "fs/path.h"
#include "fs/set.h"
#include "fs/table.h"
#include "fs/view.h"

static const struct node_type type_query;

static int find_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, fs_hash_ino(table_id(t), "/.find", 6),
                table_defined_ms(t), false, st);
    return 0;
}

/* The directory of one term more, by the schema as it is; a reference. */
static int query_child(struct node *dir, struct table *t, struct local *l,
                       const struct set_dir *above, const char *name,
                       const char *path, struct node **out, struct err *err)
{
    AUTO_BUF struct buf term = BUF_INIT;
    struct schema *schema = above ? schema_ref(above->schema) : table_schema(t);

    struct node *n = node_find(dir->mount->inodes, dir, name);
    if (n && ((struct set_dir *)n)->schema == schema) {
        schema_unref(schema);
        *out = n;
        return 0;
    }
    int r = path_decode(name, &term);
    if (r < 0)
        err_set(err, r,
                r == -EILSEQ ? "a term that is not UTF-8"
                             : "'%%' stands before two hexadecimal digits; for "
                               "itself it is written %%25");
    struct query *q = above ? query_copy(above->query) : query_new(schema);
    if (r == 0)
        r = query_add_term(q, term.data, term.len, err);
    if (r == 0) {
        struct set_init i = {
            .table = t,
            .local = l,
            .schema = schema,
            .query = q,
            .path = path,
        };
        /* It was read by another schema: its rows may be others. */
        if (n)
            node_unhash(n);
        *out = node_get(dir->mount->inodes, &type_query, dir, name, &i);
    }
    node_unref(n);
    query_unref(q);
    schema_unref(schema);
    return r;
}

static void lookup_term(fuse_req_t req, struct node *dir, struct table *t,
                        struct local *l, const struct set_dir *above,
                        const char *name)
{
    AUTO_BUF struct buf path = BUF_INIT;
    struct err err = ERR_INIT;
    struct node *n = NULL;

    buf_printf(&path, "%s/%s", above ? above->path : ".find", name);
    int r = query_child(dir, t, l, above, name, path.data, &n, &err);
    if (r == 0)
        fs_reply_fresh(req, n);
    else if (name[0] == '.' && !strchr(name, '='))
        /* What desktops and shells look for everywhere. */
        fuse_reply_err(req, ENOENT);
    else
        local_refuse(req, l, path.data, -r, "%s", err_text(&err, r));
    node_unref(n);
}

static void find_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    struct table_view *v = table_view_of(dir);

    lookup_term(req, dir, v->table, v->local, NULL, name);
}

static void find_list(struct node *dir, struct listing *l)
{
    struct table *t = table_view_of(dir)->table;

    listing_dots(l, fs_hash_ino(table_id(t), "/.find", 6), table_id(t));
    listing_reply(l);
}

const struct node_type view_find_dir = {
    .name = ".find",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = find_attr,
    .lookup = find_lookup,
    .list = find_list,
};

/* --- a query -------------------------------------------------------------- */

static void lookup_below(struct fuse_req *req, struct node *dir,
                         const char *name)
{
    struct set_dir *s = (struct set_dir *)dir;

    lookup_term(req, dir, s->table, s->local, s, name);
}

static void query_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    if (view_reply(req, dir, result_views, name))
        return;
    /* A row has its name before a term, and a name without '=' is none. */
    if (str_ends(name, PATH_ROW_SUFFIX) && name[0] != '.')
        set_lookup_row(req, dir, name, strchr(name, '=') ? lookup_below : NULL);
    else
        lookup_below(req, dir, name);
}

static const struct node_type type_query = {
    .type = S_IFDIR,
    .size = sizeof(struct set_dir),
    .live = true,
    .init = set_init,
    .release = set_release,
    .attr = set_attr,
    .lookup = query_lookup,
    .list = set_list,
    .create = set_create,
    .unlink = set_unlink,
    .rename = set_rename,
};
