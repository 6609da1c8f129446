/* The directories above the tables. */
#pragma once

#include "fs/inode.h"

struct database;
struct namespace;

/* References. */
struct node *tree_database(struct mount *m, struct database *d);
struct node *tree_namespace(struct mount *m, struct namespace *ns);

/* The directory of this name in one of them; a reference or NULL. */
struct node *tree_child(struct node *dir, const char *name);

/* user.dbcord.{channel_id,guild_id,url} of a database, namespace or table. */
int tree_xattr(struct node *n, const char *name, struct buf *out);
extern const char *const tree_xattrs[];
