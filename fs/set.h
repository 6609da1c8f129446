/* Sets of rows that are directories: what a query finds, the rows with one
 * value of an index. All have one shape, a table's directory has it too:
 *
 *     <key>.json                     the row: the same node as in its table
 *     .ndjson .json .csv .tsv        the rows as one file
 *     .count .keys .explain          how many, which, and how they are found
 *
 * Who is in a set changes without a word to the kernel, so it asks for each
 * name again. What it keeps of a listing it is told to forget with the next
 * change of the table (local_listed()). */
#pragma once

#include <stdint.h>

#include "engine/find.h"
#include "fs/call.h"
#include "fs/inode.h"
#include "fs/local.h"

struct page;

struct set_dir {
    struct node node;
    struct table *table; /* a reference; set at creation, as all up to path */
    struct local *local;
    struct schema *schema; /* that the query was read by; a reference */
    struct query *query;   /* a reference */
    char *path;            /* in the table's directory: ".find/role=student" */
    bool keeps;            /* rows are not removed by removing them here */

    /* under local->lock; for page_unref() */
    struct page *page; /* the newest listing, being read page by page */
    struct page *last; /* and the one before it */
};

/* What init copies. */
struct set_init {
    struct table *table;
    struct local *local;
    struct schema *schema;
    struct query *query;
    const char *path;
    bool keeps;
};

void set_init(struct node *n, const void *arg);
void set_release(struct node *n);
int set_attr(struct node *n, struct stat *st);
void set_list(struct node *n, struct listing *l);
void set_create(struct fuse_req *req, struct node *n, const char *name,
                mode_t mode, struct fuse_file_info *fi);
void set_unlink(struct fuse_req *req, struct node *n, const char *name);
void set_rename(struct fuse_req *req, const struct rename *r);

/* Answers a LOOKUP of <key>.json. otherwise (may be NULL) answers where no row
 * of this name is in the set. */
void set_lookup_row(struct fuse_req *req, struct node *n, const char *name,
                    void (*otherwise)(struct fuse_req *req, struct node *n,
                                      const char *name));

/* --- listings that take several answers
 * ---------------------------------------
 */

/* Made once, when its first entry is asked for; then read in pieces. One of
 * the two is there. */
struct page {
    unsigned refs;    /* under the local's lock */
    uint32_t serial;  /* in the offsets of its entries */
    uint64_t changes; /* local_changes() before it was made */
    size_t n;
    struct row **rows; /* references */
    uint64_t *seqs;    /* theirs, sorted, where only they tell who is in it */
    char **names;
};

struct page *page_new(struct local *l);
/* Caller does not hold the local's lock. NULL is fine. */
void page_unref(struct local *l, struct page *p);
/* Where nobody else can have it: who reads one holds its directory, and at the
 * end of the mount the local is gone before the nodes are. */
void page_free(struct page *p);
/* The one the listing goes on with, a reference; NULL: it is to be made. */
struct page *page_of(struct local *l, struct page *const *newest,
                     struct page *const *last, off_t after);
/* The newest now. */
void page_put(struct local *l, struct page **newest, struct page **last,
              struct page *p);
/* The entry's place, and the offset behind it. */
size_t page_at(off_t after);
off_t page_next(const struct page *p, size_t i);

/* Every row of the set, in order, into a page. Waits. */
int set_find(struct table *t, struct local *l, const struct query *q,
             const atomic_bool *cancel, struct page **out, struct err *err);

/* Notes a failure of c->work in the table's .errors; fails c->run's way: it
 * then answers with c->flags. Gives 0. */
int set_failed(struct call *c, struct local *l, const char *path, int r,
               const struct err *err);
