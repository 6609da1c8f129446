/* Files that are not rows: editors' temporary and backup files, rejected
 * texts, rows that have a name and no content yet. They live in this
 * process's memory, bounded, and are never sent.
 *
 * A draft is counted and has a lock of its own; a name may go while somebody
 * has it open. A set of names is guarded by its owner's lock. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/base/buf.h"
#include "engine/base/map.h"

/* What many drafts may take together. */
struct draft_budget {
    atomic_size_t used;
    size_t max;
};

struct draft;

struct draft_attr {
    size_t size;
    int64_t mtime_ms;
    bool mtime_set; /* by its user, not by a write */
    mode_t mode;    /* permission bits */
    uid_t uid;
    gid_t gid;
};

/* NULL: the budget is used up. */
struct draft *draft_new(struct draft_budget *budget, mode_t mode, uid_t uid,
                        gid_t gid, int64_t now_ms);
struct draft *draft_ref(struct draft *d);
void draft_unref(struct draft *d); /* NULL is fine */

/* It lost its place to others: its bytes count no more, though who has it open
 * reads on, and it cannot grow. */
void draft_uncount(struct draft *d);

struct draft_attr draft_attr(struct draft *d);
void draft_set_mode(struct draft *d, mode_t mode);
void draft_set_owner(struct draft *d, uid_t uid, gid_t gid);
void draft_set_mtime(struct draft *d, int64_t mtime_ms);

/* Appends at most len bytes from offset. */
void draft_read(struct draft *d, uint64_t offset, size_t len, struct buf *out);
/* 0, -ENOSPC over the budget, -EFBIG. */
int draft_write(struct draft *d, uint64_t offset, const char *data, size_t len,
                int64_t now_ms);
int draft_truncate(struct draft *d, uint64_t size, int64_t now_ms);

/* --- names ----------------------------------------------------------------
 */

struct draft_name {
    char *name;
    struct draft *draft; /* the set's reference */
    uint64_t serial;     /* place in a listing */
    bool new_row;        /* a row's name: a row that has no content yet */
    bool must_be_new;    /* new_row: made by O_EXCL */
    char *note;          /* why it was rejected; may be NULL */
};

struct draft_set {
    struct map names;
    uint64_t last_serial;
};

void draft_set_init(struct draft_set *s);
void draft_set_release(struct draft_set *s);

/* Borrowed, or NULL. */
struct draft_name *draft_set_find(const struct draft_set *s, const char *name);
/* Takes a reference of its own; who had the name before is let go. */
struct draft_name *draft_set_put(struct draft_set *s, const char *name,
                                 struct draft *d);
/* False: no such name. */
bool draft_set_remove(struct draft_set *s, const char *name);
/* The name's place in the listing stays. `to` is replaced. */
void draft_set_rename(struct draft_set *s, const char *from, const char *to);
/* The entry with the lowest serial above after, or NULL. */
struct draft_name *draft_set_next(const struct draft_set *s, uint64_t after);
