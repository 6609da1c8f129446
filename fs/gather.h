/* Files that are taken as a whole when their writer is done: rows to import, a
 * field, the name of a snapshot. What is written is collected in memory, out
 * of the budget of drafts, and goes to the type's store() at fsync and close,
 * which report its error; for a type that is eager at once, where a shell
 * wrote a whole line: it would not hear of an error at the close.
 *
 * A node type of this kind has gather_write, gather_read, gather_flush and
 * gather_setattr as they are, and an open of its own that calls gather_open().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

struct fuse_file_info;
struct fuse_req;
struct handle;
struct node;

/* Answers OPEN, or CREATE. base: what the file holds for who does not begin
 * anew; len 0: nothing. */
void gather_open(struct fuse_req *req, struct node *n,
                 struct fuse_file_info *fi, const char *base, size_t len,
                 bool created);

void gather_write(struct fuse_req *req, struct node *n, struct handle *h,
                  const char *data, size_t size, off_t off);
void gather_read(struct fuse_req *req, struct node *n, struct handle *h,
                 size_t size, off_t off);
void gather_flush(struct fuse_req *req, struct node *n, struct handle *h);
void gather_setattr(struct fuse_req *req, struct node *n, const struct stat *st,
                    int which, struct fuse_file_info *fi);
void gather_release(struct node *n, struct handle *h);
