/* What the files of this room share: the mount's state, and how the kernel is
 * answered. */
#pragma once

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/map.h"
#include "engine/engine.h"
#include "fs/draft.h"
#include "fs/inode.h"
#include "fs/mount.h"

struct local;
struct notify;
struct pendings;

/* Nothing goes out of date by itself: what changes is told. */
#define FS_FOREVER 1e9

struct mount {
    struct mount_options o; /* set before the first thread, as all up to locals
                             */
    struct engine *engine;
    struct fuse_session *session;
    uid_t uid; /* who mounted owns everything */
    gid_t gid;
    int64_t started_ms;
    struct node *root;
    struct inodes *inodes;
    struct notify *notify;
    struct pendings *pendings;
    struct draft_budget drafts;

    pthread_mutex_t lock; /* leaf */
    struct map locals;    /* under lock: table id -> struct local, owned */
    struct map open;      /* under lock: handles */
    atomic_size_t handles;
    /* Asked to end: reads go on, what would change something is refused. */
    atomic_bool ending;

    pthread_rwlock_t watch; /* before all other locks */
    bool serving;           /* under watch: there is somebody to tell */
};

static inline struct mount *fs_of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}

/* What would change something now is refused. */
static inline bool fs_is_ending(const struct mount *m)
{
    return atomic_load(&m->ending);
}

/* The number the kernel knows a node by, and back. */
fuse_ino_t fs_ino(const struct node *n);
struct node *fs_node(fuse_req_t req, fuse_ino_t ino);

/* The error a program sees for an engine's: what has no meaning for a system
 * call becomes EIO. */
int fs_errno(int r);

/* Logs "what: why" and answers with fs_errno(r). */
void fs_reply_failure(fuse_req_t req, int r, const struct err *err,
                      const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* As fs_reply_failure(), where the errno is for this place alone and the
 * sentence is all there is. */
void fs_refuse(fuse_req_t req, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Answers a LOOKUP, MKDIR: the kernel then holds one more reference. */
void fs_reply_node(fuse_req_t req, struct node *n);
/* As fs_reply_node(), for a name whose meaning can change without a word to the
 * kernel: it asks again each time. */
void fs_reply_fresh(fuse_req_t req, struct node *n);
/* Answers CREATE. Negative: the kernel does not have it open. */
int fs_reply_created(fuse_req_t req, struct node *n,
                     const struct fuse_file_info *fi);
/* Answers GETATTR, SETATTR. */
void fs_reply_attr(fuse_req_t req, struct node *n);

/* The parts of a struct stat that are the same for all nodes. */
void fs_stat_dir(const struct mount *m, uint64_t ino, int64_t mtime_ms,
                 bool writable, struct stat *st);
void fs_stat_file(const struct mount *m, uint64_t ino, int64_t mtime_ms,
                  bool writable, uint64_t size, struct stat *st);

/* A number for what has no message of its own: stable over restarts. */
uint64_t fs_hash_ino(uint64_t id, const char *name, size_t len);

/* A page of a directory being filled. */
struct listing {
    struct mount *mount;
    fuse_req_t req;
    bool plus; /* with attributes: READDIRPLUS */
    off_t after;
    size_t size;
    struct buf page;
    struct buf known; /* struct node *: references the kernel gets with it */
};

/* False: the page is full. With attributes where n is given; next is where
 * the following entry would be read from. */
bool listing_add(struct listing *l, const char *name, struct node *n,
                 const struct stat *st, off_t next);
/* "." and "..", at offsets 0 and 1. */
bool listing_dots(struct listing *l, uint64_t ino, uint64_t parent);
void listing_reply(struct listing *l);
