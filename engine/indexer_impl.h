/* The inside of the background writer of indexes, for the files it is made of:
 * indexer.c (what is to be written, and when), index_reading.c (what the log of
 * a channel says and lacks), index_writing.c (messages and what they replace).
 * Nobody else includes this. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/map.h"
#include "engine/core.h"
#include "engine/index_log.h"
#include "engine/index_text.h"
#include "engine/indexer.h"

struct dirty {
    struct dirty *next; /* of those that are being looked at */
    uint64_t number;    /* rises; what is marked again while it is written
                           stays */
    int64_t since_ms;
    uint32_t version; /* that was there when it was marked, */
    uint64_t of;      /* and the message that committed it */
    bool later;       /* another process made it so */
    size_t key_len;
    char key[];
};

/* A message of the log. */
struct logged {
    uint64_t message;
    size_t entries;
    bool own; /* this process posted it */
};

struct track {
    struct track *next;
    char *field;
    uint64_t channel;
    bool busy;
    bool dead;    /* no index any more: whoever works on it frees it */
    bool lost;    /* the channel is gone */
    bool read;    /* the log's messages are known */
    bool rewrite; /* it must be written again as a whole */
    int repeats;  /* so often it was for the same reason */
    struct map dirty;
    size_t n_own;     /* of them not later */
    bool counted;     /* in core.unindexed */
    int64_t due_ms;   /* 0: nothing is */
    int64_t first_ms; /* since when something is dirty */
    int tries;
    struct logged *log;
    size_t n_log, cap_log;
    uint64_t upto;   /* every record up to this has had its say */
    uint64_t *trash; /* superseded messages */
    size_t n_trash;
    uint64_t request; /* under way, for cancel */
};

struct indexer {
    struct core *core;
    struct ledger *ledger; /* borrowed; each job holds a reference */

    pthread_mutex_t lock; /* leaf but for core's count and the job pool */
    pthread_cond_t idle;  /* with lock: a track is not busy any more */
    struct track *tracks; /* under lock, as all below */
    uint64_t number;
    int64_t timer_ms; /* 0: none is set */
};

struct name {
    const char *s;
    size_t len;
};

/* --- indexer.c; _locked: the caller holds ix->lock ---------------------------
 */

/* This key's entry is to be written. */
void track_need_locked(struct indexer *ix, struct track *x, const char *key,
                       size_t key_len, uint32_t version, uint64_t of,
                       bool later);
void track_drop_locked(struct track *x, struct dirty *d);
int64_t track_gather_ms(const struct indexer *ix, bool later);
/* Is the value of a row known without asking for its text? */
bool track_has_value(const struct row *r, const char *field);

/* A message that is in the log. */
void track_add_logged_locked(struct track *x, uint64_t message, size_t entries,
                             bool own);
bool track_is_own_locked(const struct track *x, uint64_t message);
/* A message that is to be deleted. */
void track_add_trash_locked(struct track *x, uint64_t message);
/* What stands up to here is superseded. */
void track_supersede_locked(struct track *x, uint64_t over);

/* Work on a track that is busy with it. */
struct work {
    struct indexer *ix;
    struct track *x;
    enum remote_priority priority;
    table_progress *progress;
    void *progress_arg;
};

/* A request on the track's channel, waited for. Takes the draft. */
int work_ask(struct work *w, struct remote_request *req,
             struct remote_reply *reply, struct err *err);
/* --- index_reading.c --------------------------------------------------------
 */

struct page {
    struct page *older;
    struct remote_reply reply;
};

/* The messages of the log, newest page first. */
struct reading {
    struct page *pages;
    struct {
        uint64_t id;
        struct index_message im;
        struct buf body; /* of its file, where that was fetched */
    } * list;
    size_t n;
    uint64_t over, upto;
    bool damaged;
    bool complete; /* no file of them is unread */
    struct index_log *log;
};

/* Reads the log's messages, its files not yet. */
int reading_begin(struct work *w, struct reading *rd, struct err *err);
void reading_release(struct reading *rd);
/* What came behind the log's mark and is not in it becomes dirty. The rows here
 * are known to be complete up to that id. */
int reading_take_tail(struct work *w, struct reading *rd, uint64_t complete,
                      struct err *err);
/* What is dirty and in the log is dirty no more: for when that is much, since
 * the log's files are fetched. */
int reading_drop_known(struct work *w, struct reading *rd, uint64_t complete,
                       struct err *err);
/* Up to which message may a whole that is written now supersede the log? */
int reading_may_supersede(struct work *w, struct reading *rd, uint64_t complete,
                          uint64_t *over, struct err *err);
/* The keys of small messages become dirty, so that the next message tells of
 * them all; *merged: those messages, which can go then; for free(). */
int reading_merge(struct work *w, struct reading *rd, uint64_t **merged,
                  size_t *n_merged, struct err *err);

/* --- index_writing.c --------------------------------------------------------
 */

/* Messages with up to so many entries are merged into one, in a log that is
 * too large to be written again. */
#define MERGE_ENTRIES 5000

enum form { INCREMENT, MERGED, WHOLE };

/* Writes what is dirty, in this form at least. fresh: the channel is empty. */
int work_write(struct work *w, enum form least, bool fresh, struct err *err);
/* The value of a row, its text fetched where need be. */
int work_value(struct work *w, struct row *r, bool *has, struct buf *out,
               struct err *err);
