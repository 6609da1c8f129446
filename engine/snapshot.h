/* Snapshots of a table: all its rows at one moment, as a file in its history
 * thread. Those with a label were asked for and stay until somebody drops
 * them; the others (checkpoints) the engine writes by itself, so that a table
 * opens in a handful of requests, and vacuum takes away what is superseded.
 *
 * A snapshot is named by its label, or by the id of its message. A label is
 * what name_check() allows, does not begin with '.', is not all digits, and is
 * its table's alone.
 *
 * The table must be open. Safe from any thread; all with `wait` may wait on
 * the network. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/engine.h"

struct snapshot_info {
    uint64_t id;    /* its message, in the table's thread */
    char *label;    /* NULL: a checkpoint */
    int64_t at_ms;  /* when it was taken, by its maker's clock */
    char *by;       /* who */
    uint64_t rows;  /* of the table at that moment */
    uint64_t bytes; /* of their texts */
    uint64_t size;  /* of the file, packed */
    size_t parts;   /* messages it is made of, at least 1 */
    uint64_t over;  /* it holds what changed since this other one; 0: all */
};
void snapshot_info_release(struct snapshot_info *i);

struct snapshot_list {
    struct snapshot_info *list; /* oldest first */
    size_t n;
};
void snapshot_list_release(struct snapshot_list *l);

/* 0, or -EINVAL with a sentence. */
int snapshot_check_label(const char *label, struct err *err);

/* Takes one, of all rows. label NULL: a checkpoint. by NULL: the engine's own
 * name. -EEXIST: the label is taken. out may be NULL. */
int table_snapshot_wait(struct table *t, const char *label, const char *by,
                        struct snapshot_info *out, struct err *err);

int table_snapshots_wait(struct table *t, struct snapshot_list *out,
                         struct err *err);

/* In memory: the labels this process knows of, oldest first. One for free(),
 * with each of them. */
char **table_snapshot_labels(struct table *t, size_t *n);

/* By label or id. -ENOENT: there is none. */
int table_snapshot_find_wait(struct table *t, const char *name,
                             struct snapshot_info *out, struct err *err);

/* Removes it. Its rows stay where they are. -EBUSY: others build on it. */
int table_snapshot_drop_wait(struct table *t, const char *name,
                             struct err *err);

/* A row as a snapshot has it; borrowed during the call. text ends in a
 * newline. A negative errno ends the reading with it. */
struct snapshot_row {
    const char *key; /* not terminated */
    size_t key_len;
    uint32_t version;
    uint64_t id; /* the message that committed this version */
    int64_t at_ms, mtime_ms;
    const char *by; /* not terminated */
    size_t by_len;
    const char *text;
    size_t text_len;
};
typedef int snapshot_row_fn(void *arg, const struct snapshot_row *r,
                            struct err *err);

/* Its rows one after the other, in the order of their creation, on the
 * caller's thread; texts that are attachments are fetched. What was taken is
 * checked against its digest before the first row is told. */
int table_snapshot_read_wait(struct table *t, const char *name,
                             snapshot_row_fn *row, void *arg, struct err *err);

/* The file as it is: gzip, a line for each row (docs/storage-format.md). For a
 * checkpoint that holds changes alone, those. Appended. */
int table_snapshot_file_wait(struct table *t, const char *name, struct buf *out,
                             struct err *err);

/* Makes the rows what they were: writes those that differ or are missing,
 * deletes those that came since; the history shows it, and can undo it. One
 * commit, where it fits into one. progress (may be NULL): so many of so many
 * are written. Rows that are written by others meanwhile stay as those have
 * them, and are counted. */
struct snapshot_restored {
    size_t put, deleted; /* what was written */
    size_t same;         /* were so already */
    size_t overtaken;    /* written by others meanwhile */
};
int table_snapshot_restore_wait(
    struct table *t, const char *name, const char *by,
    void (*progress)(void *arg, size_t done, size_t total), void *arg,
    struct snapshot_restored *out, struct err *err);

/* For who removes messages. All messages that snapshots are made of or refer
 * to, as far as this process knows: ids for free(), rising. With `all` those
 * of superseded checkpoints too; else only those that opening may need (the
 * newest two, and what they build on) and those with a label. Among them are
 * the messages whose attachments are the texts of rows in them. */
int table_snapshot_needs_wait(struct table *t, bool all, uint64_t **ids,
                              size_t *n, struct err *err);
