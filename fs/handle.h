/* Open files. What a file held when it was opened stays with its handle, so
 * that a reader never gets parts of two versions; what is written is gathered
 * here until it counts (edit.h). */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/map.h"
#include "fs/edit.h"

struct draft;
struct follower;
struct fuse_file_info;
struct fuse_req;
struct node;
struct row;
struct text;

struct handle {
    atomic_uint refs;
    struct node *node; /* a reference; set at creation, as flags */
    int flags;         /* of open(2) */
    bool direct;       /* the kernel keeps nothing of it */

    struct follower *follower; /* of .changes: owned; set at creation */

    pthread_mutex_t lock; /* leaf; guards all below */
    struct buf body;      /* of a text made at open */
    int spill;           /* a long one is in this file instead; -1: it is not */
    struct row *row;     /* the version that was opened, a reference */
    struct text *text;   /* its text where the row has it not, a reference */
    struct draft *draft; /* what a file of gather.h was given, a reference; set
                            at creation */
    struct edit edit;
    uint64_t round;   /* counts edits thrown away: a commit's answer that
                         comes later is not for the one that followed */
    uint32_t base;    /* version that edit began with, 0: from nothing */
    bool fresh;       /* opened with O_TRUNC or created: no old text */
    bool must_be_new; /* created with O_EXCL */
    bool wrote;       /* a write reached it */
    bool broken;      /* the last thing that happened was a refusal */
};

struct handle *handle_new(struct node *n, int flags);
struct handle *handle_ref(struct handle *h);
void handle_unref(struct handle *h);

/* What an open file of the node has gathered and not committed goes to text,
 * or nothing does. False: there is no such. */
bool handles_gathered(struct node *n, struct buf *text);
/* The node's open files gather no more: its content is elsewhere now. */
void handles_let_go(struct node *n);

/* Those the kernel never closed, when it is gone. Their nodes go first. */
struct mount;
extern const struct map_type handles_type;
void handles_free(struct mount *m);

bool handle_writes(const struct handle *h);

/* Answers OPEN of a type with a text: as it is now; the kernel keeps nothing of
 * it. */
void fs_open_text(struct fuse_req *req, struct node *n,
                  struct fuse_file_info *fi);

/* Between fi->fh and here. */
void handle_give(struct handle *h, struct fuse_file_info *fi);
struct handle *handle_of(const struct fuse_file_info *fi);
