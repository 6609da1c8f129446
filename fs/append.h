/* Lines that become rows: what is appended to a table's .ndjson. Each line is
 * one row to insert, committed before the write(2) that completes it returns.
 * A line that is refused fails its own write: those before it in the same
 * write count, so that write is answered short, and the one that then begins
 * with the line fails. The text goes to .rejected, the reason to .errors. */
#pragma once

#include <stddef.h>

#include "fs/fs.h"

struct handle;
struct local;

/* The table is open, h opened for writing; its body holds what has come of a
 * line that is not complete. Answers a WRITE. */
void append_write(fuse_req_t req, struct node *n, struct table *t,
                  struct local *l, struct handle *h, const char *data,
                  size_t size);
/* Answers FLUSH: half a line is refused there. */
void append_flush(fuse_req_t req, struct node *n, struct table *t,
                  struct local *l, struct handle *h);
