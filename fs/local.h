/* What this mount keeps about one table beside its rows: drafts, refusals,
 * rows that were moved away and may come back, times that were set. Lives as
 * long as the mount. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "engine/base/map.h"
#include "fs/draft.h"
#include "fs/refusal.h"

struct fuse_req;
struct mount;
struct node;
struct row;
struct table;

struct local {
    struct mount *mount; /* set at creation, as table_id */
    uint64_t table_id;

    /* Taken before the engine's locks, the inodes' and the drafts'; never
     * held while something waits or the kernel is answered. Guards all below,
     * and what fs/file.h says. */
    pthread_mutex_t lock;
    struct draft_set drafts;
    struct refusals refusals;
    struct map away;  /* name -> struct away */
    struct map times; /* name -> struct local_time */
    uint64_t last_away;
    struct map listed;  /* directories listed since the last change: references
                         */
    uint64_t changes;   /* of the table's rows, schema and indexes */
    int64_t changed_ms; /* when the last of them was, 0: none yet */
};

/* The table's, made at first use. */
struct local *local_of(struct mount *m, uint64_t table_id);
void local_free(struct local *l);
extern const struct map_type locals_type;

/* A row that was renamed to a draft's name: hidden at once, deleted for good
 * when a moment has passed and nobody has made it anew. An editor that moves
 * the old file to a backup and writes a new one thus makes one version. */
#define LOCAL_AWAY_MS 5000

/* Caller holds l->lock for all of these. */
void local_send_away(struct local *l, struct table *t, const char *name,
                     const struct row *row);
bool local_is_away(const struct local *l, const char *name);
/* Too late to come back without a commit: the delete is on its way. */
bool local_is_leaving(const struct local *l, const char *name);
/* At the end of the mount: those rows stay. */
void local_forget_away(struct local *l);
void local_come_back(struct local *l, const char *name);

/* A time set by touch or cp -p, for the version that is there. */
void local_set_mtime(struct local *l, const char *name, uint32_t version,
                     int64_t mtime_ms);
int64_t local_mtime(const struct local *l, const char *name,
                    const struct row *row);

/* Caller does not hold l->lock for these two. The kernel got a listing of a
 * directory whose content follows the table's (a query, an index), and keeps
 * it: it is to be told of the next change. */
void local_listed(struct local *l, struct node *dir);
/* Something of the table changed. */
void local_changed(struct local *l);
/* How many changes there were; *ms (may be NULL): when the last one was. */
uint64_t local_changes(struct local *l, int64_t *ms);

/* Caller does not hold l->lock. Notes a refusal in .errors and .rejected, and
 * in the log. */
void local_refused(struct local *l, const char *path, int r, const char *why,
                   const char *text, size_t len);
/* Notes a refusal that has no text, and answers req with it. */
void local_refuse(struct fuse_req *req, struct local *l, const char *path,
                  int error, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
