/* The directories above the tables: the root with its databases, a database
 * with its namespaces, a namespace with its tables. They hold directories
 * only, made and renamed by the engine on a thread that may wait. */
#include "fs/fs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/call.h"
#include "fs/file.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/table.h"
#include "fs/tree.h"
#include "fs/view.h"

struct database_dir {
    struct node node;
    struct database *database; /* lives as long as the engine */
};

struct namespace_dir {
    struct node node;
    struct namespace *ns; /* a reference */
};

static struct database *database_of(const struct node *n)
{
    return ((const struct database_dir *)n)->database;
}

static struct namespace *namespace_of(const struct node *n)
{
    return ((const struct namespace_dir *)n)->ns;
}

static void database_init(struct node *n, const void *arg)
{
    ((struct database_dir *)n)->database = (struct database *)(uintptr_t)arg;
}

static void namespace_init(struct node *n, const void *arg)
{
    ((struct namespace_dir *)n)->ns =
        namespace_ref((struct namespace *)(uintptr_t)arg);
}

static void namespace_release(struct node *n)
{
    namespace_unref(namespace_of(n));
}

struct node *tree_database(struct mount *m, struct database *d)
{
    return node_get_id(m->inodes, &type_database, database_id(d), d);
}

struct node *tree_namespace(struct mount *m, struct namespace *ns)
{
    return node_get_id(m->inodes, &type_namespace, namespace_id(ns), ns);
}

static int root_attr(struct node *n, struct stat *st)
{
    fs_stat_dir(n->mount, FUSE_ROOT_ID, n->mount->started_ms, false, st);
    return 0;
}

static int database_attr(struct node *n, struct stat *st)
{
    struct database *d = database_of(n);

    fs_stat_dir(n->mount, database_id(d), n->mount->started_ms,
                !n->mount->o.read_only && database_writable(d), st);
    return 0;
}

static int namespace_attr(struct node *n, struct stat *st)
{
    struct namespace *ns = namespace_of(n);

    fs_stat_dir(n->mount, namespace_id(ns), n->mount->started_ms,
                !n->mount->o.read_only &&
                    database_writable(namespace_database(ns)),
                st);
    return 0;
}

/* --- names ---------------------------------------------------------------- */

struct node *tree_child(struct node *dir, const char *name)
{
    AUTO_BUF struct buf own = BUF_INIT;
    struct mount *m = dir->mount;
    struct node *n = NULL;

    if (path_dir_name(name, &own) < 0)
        return NULL;
    if (dir->type == &type_root) {
        struct database *d = engine_database_find(m->engine, own.data);
        if (d)
            n = tree_database(m, d);
    } else if (dir->type == &type_database) {
        struct namespace *ns = namespace_find(database_of(dir), own.data);
        if (ns)
            n = tree_namespace(m, ns);
        namespace_unref(ns);
    } else if (dir->type == &type_namespace) {
        struct table *t = table_find(namespace_of(dir), own.data);
        if (t)
            n = table_dir_of(m, t);
        table_unref(t);
    }
    return n;
}

static void tree_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    struct node *n = tree_child(dir, name);

    if (n)
        fs_reply_node(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

/* --- listing -------------------------------------------------------------- */

static bool add_dir(struct listing *l, const char *name, struct node *n,
                    uint64_t ino, size_t i)
{
    AUTO_BUF struct buf path = BUF_INIT;
    struct stat st = {.st_ino = ino, .st_mode = S_IFDIR};

    path_of_dir(name, &path);
    return listing_add(l, path.data, n, &st, (off_t)i + 3);
}

static size_t first(const struct listing *l)
{
    return l->after > 2 ? (size_t)(l->after - 2) : 0;
}

static void root_list(struct node *dir, struct listing *l)
{
    struct engine *e = dir->mount->engine;
    bool room = listing_dots(l, FUSE_ROOT_ID, FUSE_ROOT_ID);

    for (size_t i = first(l); room && i < engine_database_count(e); i++) {
        struct database *d = engine_database_at(e, i);
        AUTO_STR char *name = database_name(d);
        struct node *n = tree_database(dir->mount, d);
        room = add_dir(l, name, n, database_id(d), i);
        node_unref(n);
    }
    listing_reply(l);
}

static void database_list(struct node *dir, struct listing *l)
{
    size_t count;
    struct namespace **all = namespace_list(database_of(dir), &count);
    bool room = listing_dots(l, database_id(database_of(dir)), FUSE_ROOT_ID);

    for (size_t i = 0; i < count; i++) {
        if (room && i >= first(l)) {
            AUTO_STR char *name = namespace_name(all[i]);
            struct node *n = tree_namespace(dir->mount, all[i]);
            room = add_dir(l, name, n, namespace_id(all[i]), i);
            node_unref(n);
        }
        namespace_unref(all[i]);
    }
    free(all);
    listing_reply(l);
}

static void namespace_list_op(struct node *dir, struct listing *l)
{
    size_t count;
    struct namespace *ns = namespace_of(dir);
    struct table **all = table_list(ns, &count);
    bool room =
        listing_dots(l, namespace_id(ns), database_id(namespace_database(ns)));

    for (size_t i = 0; i < count; i++) {
        if (room && i >= first(l)) {
            AUTO_STR char *name = table_name(all[i]);
            struct node *n = table_dir_of(dir->mount, all[i]);
            room = add_dir(l, name, n, table_id(all[i]), i);
            node_unref(n);
        }
        table_unref(all[i]);
    }
    free(all);
    listing_reply(l);
}

/* --- changes -------------------------------------------------------------- */

/* The engine's name behind a directory name; answers what none can be. */
static bool engine_name(fuse_req_t req, const char *what, const char *name,
                        struct buf *own)
{
    int r = name[0] == '.' ? -EINVAL : path_dir_name(name, own);

    if (r < 0)
        fs_refuse(req, r == -EILSEQ ? EILSEQ : EPERM,
                  "%s %s: no namespace or table has this name (%%XX for '/', "
                  "'%%', control characters, a leading '.')",
                  what, name);
    return r == 0;
}

static int make(struct call *c, struct err *err)
{
    AUTO_BUF struct buf own = BUF_INIT;
    int r = path_dir_name(c->name, &own);

    if (r < 0)
        return r;
    if (c->node->type == &type_database) {
        struct namespace *ns = NULL;
        r = namespace_create(database_of(c->node), own.data, &ns, err);
        namespace_unref(ns);
    } else {
        struct table *t = NULL;
        r = table_create(namespace_of(c->node), own.data, NULL, &t, err);
        table_unref(t);
    }
    return r;
}

static void made(fuse_req_t req, struct call *c)
{
    struct node *n = tree_child(c->node, c->name);

    if (n)
        fs_reply_node(req, n);
    else
        /* Removed by somebody else in the meantime. */
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void tree_mkdir(fuse_req_t req, struct node *dir, const char *name)
{
    AUTO_BUF struct buf own = BUF_INIT;

    if (!engine_name(req, "mkdir", name, &own))
        return;
    struct call *c = call_new(dir, name, made);
    c->work = make;
    call_spawn(req, c);
}

static void root_mkdir(fuse_req_t req, struct node *dir, const char *name)
{
    (void)dir;
    fs_refuse(req, EPERM,
              "mkdir %s: a database is a guild; invite the bot to it and name "
              "its id in DBCORD_GUILD_ID",
              name);
}

static int drop(struct call *c, struct err *err)
{
    AUTO_BUF struct buf own = BUF_INIT;
    int r = path_dir_name(c->name, &own);

    if (r < 0)
        return r;
    if (c->node->type == &type_database) {
        struct namespace *ns = namespace_find(database_of(c->node), own.data);
        r = ns ? namespace_drop(ns, err) : -ENOENT;
        namespace_unref(ns);
    } else {
        struct table *t = table_find(namespace_of(c->node), own.data);
        r = t ? table_drop(t, true, err) : -ENOENT;
        table_unref(t);
    }
    return r;
}

static void done(fuse_req_t req, struct call *c)
{
    (void)c;
    fuse_reply_err(req, 0);
}

/* Drafts go with their table only when they are removed first, as the files
 * they are. */
static bool has_drafts(struct node *n)
{
    if (n->type != &type_table)
        return false;
    struct local *l = ((struct table_dir *)n)->local;
    pthread_mutex_lock(&l->lock);
    bool any = l->drafts.names.count > 0;
    pthread_mutex_unlock(&l->lock);
    return any;
}

static void tree_rmdir(fuse_req_t req, struct node *dir, const char *name)
{
    struct node *n = tree_child(dir, name);

    if (!n) {
        fuse_reply_err(req, ENOENT);
    } else if (has_drafts(n)) {
        fuse_reply_err(req, ENOTEMPTY);
    } else {
        struct call *c = call_new(dir, name, done);
        c->work = drop;
        call_spawn(req, c);
    }
    node_unref(n);
}

static int move_dir(struct call *c, struct err *err)
{
    AUTO_BUF struct buf from = BUF_INIT, to = BUF_INIT;
    int r = path_dir_name(c->name, &from);

    if (r == 0)
        r = path_dir_name(c->new_name, &to);
    if (r < 0)
        return r;
    if (c->node->type == &type_database) {
        struct namespace *ns = namespace_find(database_of(c->node), from.data);
        r = ns ? namespace_rename(ns, to.data, err) : -ENOENT;
        namespace_unref(ns);
    } else {
        struct table *t = table_find(namespace_of(c->node), from.data);
        r = t ? table_rename(t, namespace_of(c->node2), to.data, err) : -ENOENT;
        table_unref(t);
    }
    /* mv explains these by something that is not the case. */
    return r == -EINVAL || r == -EXDEV ? -EPERM : r;
}

static void tree_rename(fuse_req_t req, const struct rename *r)
{
    AUTO_BUF struct buf own = BUF_INIT;

    if (r->to->type != r->from->type ||
        (r->from->type == &type_database && r->from != r->to)) {
        fs_refuse(req, EPERM,
                  "mv %s %s: a namespace stays in its database, a table in "
                  "a namespace",
                  r->name, r->new_name);
        return;
    }
    if (!engine_name(req, "mv", r->new_name, &own))
        return;
    struct node *there = tree_child(r->to, r->new_name);
    if (there) {
        node_unref(there);
        fs_refuse(req, EEXIST, "mv %s %s: there is one of this name", r->name,
                  r->new_name);
        return;
    }
    struct call *c = call_new(r->from, r->name, done);
    c->node2 = node_ref(r->to);
    c->new_name = xstrdup(r->new_name);
    c->work = move_dir;
    call_spawn(req, c);
}

/* --- extended attributes -------------------------------------------------- */

const char *const tree_xattrs[] = {"channel_id", "guild_id", "url", NULL};

int tree_xattr(struct node *n, const char *name, struct buf *out)
{
    struct database *d = NULL;
    uint64_t channel = 0;

    if (n->type == &type_database) {
        d = database_of(n);
    } else if (n->type == &type_namespace) {
        d = namespace_database(namespace_of(n));
        channel = namespace_id(namespace_of(n));
    } else if (n->type == &type_table) {
        struct table *t = table_of_node(n);
        d = namespace_database(table_namespace(t));
        channel = table_id(t);
    }
    if (!d)
        return -ENODATA;
    if (strcmp(name, "guild_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)database_id(d));
    else if (channel && strcmp(name, "channel_id") == 0)
        buf_printf(out, "%ju", (uintmax_t)channel);
    else if (channel && strcmp(name, "url") == 0)
        buf_printf(out, "https://discord.com/channels/%ju/%ju",
                   (uintmax_t)database_id(d), (uintmax_t)channel);
    else
        return -ENODATA;
    return 0;
}

const struct node_type type_root = {
    .type = S_IFDIR,
    .size = sizeof(struct node),
    .attr = root_attr,
    .lookup = tree_lookup,
    .list = root_list,
    .mkdir = root_mkdir,
};

const struct node_type type_database = {
    .type = S_IFDIR,
    .size = sizeof(struct database_dir),
    .init = database_init,
    .attr = database_attr,
    .lookup = tree_lookup,
    .list = database_list,
    .mkdir = tree_mkdir,
    .rmdir = tree_rmdir,
    .rename = tree_rename,
    .xattr = tree_xattr,
    .xattrs = tree_xattrs,
};

const struct node_type type_namespace = {
    .type = S_IFDIR,
    .size = sizeof(struct namespace_dir),
    .init = namespace_init,
    .release = namespace_release,
    .attr = namespace_attr,
    .lookup = tree_lookup,
    .list = namespace_list_op,
    .mkdir = tree_mkdir,
    .rmdir = tree_rmdir,
    .rename = tree_rename,
    .xattr = tree_xattr,
    .xattrs = tree_xattrs,
};
