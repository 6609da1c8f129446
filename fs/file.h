/* A file in a table's directory: a row, a draft, or a row's name that has no
 * content yet. One kind of node, since a file goes from one to the other
 * while programs have it open:
 *
 *     create n.json      -> NEW --first complete text--> ROW
 *     create n.tmp       -> DRAFT --mv n.tmp n.json----> ROW
 *     mv n.json n.json~     ROW ------------------------> DRAFT
 */
#pragma once

#include "engine/row.h"
#include "fs/inode.h"
#include "fs/local.h"

struct file {
    struct node node;
    struct local *local; /* the table's; set at creation, as table */
    struct table *table; /* a reference */

    /* under local->lock */
    char *key; /* of a row's name, else NULL */
    size_t key_len;
    struct draft *draft; /* DRAFT, NEW: the content; a reference */
    bool is_new;         /* NEW */
    bool rejected;       /* DRAFT: its directory is .rejected */
    bool gone;           /* removed; who has it open may go on */
    bool frozen;         /* stays with the version in shown */
    struct row *shown;   /* version whose attributes the kernel has */
    unsigned writers;
    unsigned readers;   /* through the page cache */
    int64_t changed_ms; /* clock_mono_ms() of the last change */
};

extern const struct node_type type_file;

/* The table of a table's directory; borrowed. */
struct table *table_of_node(struct node *table);

/* The row's file in its table's directory; a reference. */
struct node *file_of_row(struct node *table, const struct row *row);
/* Of a name in the table's set of drafts, or of .rejected with dir that
 * directory. Caller holds the local's lock. A reference. */
struct node *file_of_draft(struct node *dir, struct local *l, struct table *t,
                           const struct draft_name *d, bool rejected);

/* Answers OPEN (or, with n new to the kernel, CREATE) for a row's file. */
void file_open(struct fuse_req *req, struct node *n, struct fuse_file_info *fi,
               bool created);

/* It has this version now, and this name; caller holds local->lock. */
void file_becomes_row_locked(struct file *f, const char *key, size_t key_len);
void file_becomes_draft_locked(struct file *f, struct draft *d);
void file_gone_locked(struct file *f);

/* A version came from elsewhere. */
void file_changed(struct file *f);

/* There is a new version while somebody has this one open through the page
 * cache: the node keeps it, and the name gets a new node. True: it was done,
 * the name is to be looked up. */
bool file_freeze(struct file *f);
