/* The kinds of nodes. A view is one file with its type, and one line in the
 * list of the directory it stands in. */
#pragma once

#include <stdbool.h>

#include "fs/inode.h"

struct fuse_req;

/* Directories of the engine's objects; found by id. */
extern const struct node_type type_root, type_database, type_namespace,
    type_table;

/* NULL at the end. */
extern const struct node_type *const root_views[];
extern const struct node_type *const table_views[];

/* Names that belong to views, those that are not there (yet) too: nothing of
 * this name is ever a draft. */
bool view_is_reserved(const char *name);

/* The view of this name, a reference, or NULL. */
struct node *view_find(struct node *dir, const struct node_type *const *views,
                       const char *name);
/* Answers a lookup if it is for one of these views. */
bool view_reply(struct fuse_req *req, struct node *dir,
                const struct node_type *const *views, const char *name);

/* view_*.c */
extern const struct node_type view_changes;
extern const struct node_type view_control, view_status, view_log, view_schema,
    view_errors, view_rejected, view_find_dir, view_idx, view_history;

extern const struct node_type view_stats, view_fields, view_patch, view_import,
    view_snapshots;

/* view_results.c: result files of every set of rows */
extern const struct node_type *const result_views[];
