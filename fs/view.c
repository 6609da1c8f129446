#include "fs/view.h"

#include <string.h>

#include "fs/fs.h"

const struct node_type *const root_views[] = {
    &view_control,
    NULL,
};

const struct node_type *const table_views[] = {
    &view_stats,    &view_fields, &view_patch,  &view_import,   &view_snapshots,
    &view_changes,  &view_schema, &view_errors, &view_rejected, &view_history,
    &view_find_dir, &view_idx,    NULL,
};

bool view_is_reserved(const char *name)
{
    static const char *const names[] = {
        ".schema.json", ".fields",   ".patch",  ".idx",    ".history",
        ".find",        ".changes",  ".import", ".errors", ".stats.json",
        ".snapshots",   ".rejected", ".dbcord", ".ndjson", ".json",
        ".csv",         ".tsv",      ".count",  ".keys",   ".explain",
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

struct node *view_find(struct node *dir, const struct node_type *const *views,
                       const char *name)
{
    for (; *views; views++)
        if (strcmp((*views)->name, name) == 0)
            return node_get(dir->mount->inodes, *views, dir, name, dir);
    /* A table is a set of rows, too. */
    if (dir->type == &type_table && name[0] == '.')
        for (views = result_views; *views; views++)
            if (strcmp((*views)->name, name) == 0)
                return node_get(dir->mount->inodes, *views, dir, name, dir);
    return NULL;
}

bool view_reply(struct fuse_req *req, struct node *dir,
                const struct node_type *const *views, const char *name)
{
    struct node *n = view_find(dir, views, name);

    if (!n)
        return false;
    fs_reply_node(req, n);
    node_unref(n);
    return true;
}
