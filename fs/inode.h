/* The nodes the kernel knows: identity, references, lookup counts.
 *
 * A node is made at its first lookup and lives until the kernel has forgotten
 * it and nobody here refers to it. Its number for the kernel is its address;
 * since addresses are used again, each node has a generation of its own.
 *
 * A node is found by its directory and its name, or, where it is one of the
 * engine's objects that can be renamed elsewhere, by that object's id. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct commit;
struct fuse_file_info;
struct fuse_pollhandle;
struct fuse_req;
struct handle;
struct inodes;
struct listing;
struct mount;
struct node;

struct rename {
    struct node *from, *to; /* directories */
    const char *name, *new_name;
    unsigned flags;
};

/* What a kind of node can do. An operation that is NULL is refused as an
 * ordinary file system would. Those with a request answer it, now or later,
 * exactly once. */
struct node_type {
    const char *name; /* in its directory, where it is a view */
    mode_t type;      /* S_IFDIR or S_IFREG */
    size_t size;      /* of the struct that begins with a node */
    bool live;        /* attributes and content are asked for each time */
    bool document;    /* written as a whole: the rules of edit.h */

    /* Fills a new node; under the inodes' lock, so it only copies. */
    void (*init)(struct node *n, const void *arg);
    void (*release)(struct node *n);

    /* From memory. 0 or -ENOENT. */
    int (*attr)(struct node *n, struct stat *st);
    /* A file whose content is made when it is opened. */
    void (*text)(struct node *n, struct buf *out);

    void (*lookup)(struct fuse_req *req, struct node *dir, const char *name);
    /* Fills l and gives it to listing_reply(), or copies it for later. */
    void (*list)(struct node *dir, struct listing *l);
    void (*create)(struct fuse_req *req, struct node *dir, const char *name,
                   mode_t mode, struct fuse_file_info *fi);
    void (*mkdir)(struct fuse_req *req, struct node *dir, const char *name);
    void (*unlink)(struct fuse_req *req, struct node *dir, const char *name);
    void (*rmdir)(struct fuse_req *req, struct node *dir, const char *name);
    void (*rename)(struct fuse_req *req, const struct rename *r);

    void (*getattr)(struct fuse_req *req, struct node *n);
    void (*setattr)(struct fuse_req *req, struct node *n, const struct stat *st,
                    int which, struct fuse_file_info *fi);
    void (*open)(struct fuse_req *req, struct node *n,
                 struct fuse_file_info *fi);
    void (*read)(struct fuse_req *req, struct node *n, struct handle *h,
                 size_t size, off_t off);
    /* Instead of read, where it may wait: flags are those of the open file
     * now, O_NONBLOCK among them. */
    void (*follow)(struct fuse_req *req, struct node *n, struct handle *h,
                   size_t size, off_t off, int flags);
    /* Can it be read without waiting? ph, if there is one, is kept to tell. */
    void (*poll)(struct fuse_req *req, struct node *n, struct handle *h,
                 struct fuse_pollhandle *ph);
    /* Attributes are asked for through an open file: somebody wants to know
     * where it ends (lseek). */
    void (*end_asked)(struct node *n, struct handle *h);
    void (*write)(struct fuse_req *req, struct node *n, struct handle *h,
                  const char *data, size_t size, off_t off);
    /* Of what is not a document, at close and fsync; NULL: nothing to do. */
    void (*flush)(struct fuse_req *req, struct node *n, struct handle *h);
    void (*release_handle)(struct node *n, struct handle *h);

    /* A document: stores c's text, then commit_done(c), from any thread. */
    void (*commit)(struct node *n, struct commit *c);
    /* A file of gather.h: stores a whole text; may wait. *stopped: its writer
     * waits no longer. */
    int (*store)(struct node *n, const char *text, size_t len,
                 atomic_bool *stopped, struct err *err);
    /* … that is eager: is this all, as far as one can tell? NULL: it is not. */
    bool (*is_ready)(struct node *n, const char *text, size_t len);
    /* Where a refusal is noted; text NULL: none. */
    void (*refused)(struct node *n, int r, const char *why, const char *text,
                    size_t len);
    /* How large a document may be. */
    size_t (*max)(struct node *n);

    /* Appends the value: 0 or -ENODATA. */
    int (*xattr)(struct node *n, const char *name, struct buf *out);
    const char *const *xattrs; /* names, NULL at the end */
};

struct node {
    const struct node_type *type;
    struct mount *mount;
    uint64_t generation;
    uint64_t id; /* 0: found by parent and name */

    /* under the inodes' lock; parent and name change by a rename */
    struct node *parent; /* a reference, or NULL */
    char *name;
    uint64_t lookups;
    uint64_t refs;
    bool hashed;

    bool marked; /* under the notifier's lock: waits there already */
};

struct inodes *inodes_new(struct mount *m);
/* All nodes, whatever the kernel thinks: it is gone. */
void inodes_free(struct inodes *t);
size_t inodes_count(struct inodes *t);

/* References for the caller. get makes what is not there: type->init(arg). */
struct node *node_get(struct inodes *t, const struct node_type *type,
                      struct node *parent, const char *name, const void *arg);
struct node *node_get_id(struct inodes *t, const struct node_type *type,
                         uint64_t id, const void *arg);
struct node *node_find(struct inodes *t, const struct node *parent,
                       const char *name);
struct node *node_find_id(struct inodes *t, uint64_t id);
struct node *node_ref(struct node *n);
void node_unref(struct node *n); /* NULL is fine */

/* The kernel got the node once more, forgot it count times. */
void node_remember(struct node *n);
void node_forget(struct node *n, uint64_t count);
bool node_is_known(struct node *n);

/* The name is free for another node; this one lives on without. */
void node_unhash(struct node *n);
/* Another place; who was there is unhashed. */
void node_move(struct node *n, struct node *parent, const char *name);
/* A copy for free(), and the directory, a reference (may be NULL). */
char *node_name(struct node *n, struct node **parent);
