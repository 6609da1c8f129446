/* A table's directory: its rows, its drafts, and the views beside them. */
#pragma once

#include "fs/inode.h"
#include "fs/local.h"

struct path;
struct row;

struct table_dir {
    struct node node;
    struct table *table; /* a reference; set at creation, as local */
    struct local *local;
};

/* A view of a table: what its node holds, made and let go. The argument of
 * init is the table's directory. */
struct table_view {
    struct node node;
    struct table *table; /* a reference; set at creation, as local */
    struct local *local;
};

static inline struct table_view *table_view_of(struct node *n)
{
    return (struct table_view *)n;
}

void table_view_init(struct node *n, const void *arg);
void table_view_release(struct node *n);

/* The table's node; a reference. */
struct node *table_dir_of(struct mount *m, struct table *t);

/* What a name in a table stands for now, if it is a file; a reference or
 * NULL. The table is open. */
struct node *table_child(struct node *dir, const char *name);

/* The row that a parsed name of a row, or its directory's, stands for: what
 * path_parse() gave, and the name with its suffix. A reference or NULL. */
struct row *table_row_named(struct table *t, const struct path *p,
                            const char *name);

/* Answers UNLINK of a row's file. elsewhere: it was removed by its name in
 * another directory, so the kernel must be told of this one first. */
void table_delete_row(struct fuse_req *req, struct node *dir, struct node *file,
                      bool elsewhere);

/* The same in its .rejected. */
struct node *rejected_child(struct node *dir, const char *name);

/* view_fields.c: a row has another version. */
void fields_changed(struct node *table, const struct row *row);

/* move.c: RENAME of a file, in a table's directory or out of its .rejected */
void move_file(struct fuse_req *req, const struct rename *r);
