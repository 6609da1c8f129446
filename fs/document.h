/* Files that are stored as a whole and checked before: rows, a schema. Takes
 * the kernel's pieces to edit.h's verdicts, starts the commit its node's type
 * knows, and answers when it is done. A refusal is noted where the type says
 * and leaves the file as it was. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct fuse_req;
struct handle;
struct node;
struct pending;

/* One text on its way. Everything is borrowed by type->commit until it calls
 * commit_done(). */
struct commit {
    struct node *node;
    const char *text;
    size_t len;
    bool must_be_new;
    uint32_t if_version; /* 0: whatever is there */
    struct pending *pending;
    bool new_node; /* set by the type: the name stands for another node now */
};

void commit_done(struct commit *c, int r, const struct err *err);

/* h belongs to a node whose type is a document; opened for writing. */
void document_write(struct fuse_req *req, struct node *n, struct handle *h,
                    const char *data, size_t size, uint64_t off);
/* h may be NULL: truncate(2) of a name. */
void document_truncate(struct fuse_req *req, struct node *n, struct handle *h,
                       uint64_t size);
/* GETATTR by a handle whose edit stands for the file: answers with the size it
 * has there, which the kernel does not keep. False: not so, nothing answered;
 * h may be NULL. */
bool document_attr(struct fuse_req *req, struct node *n, struct handle *h);
/* At close and fsync. */
void document_flush(struct fuse_req *req, struct node *n, struct handle *h);
