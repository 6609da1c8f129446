/* One request of a caller's, as the steps over HTTP that it takes: what to
 * send next, and what an answer means. No I/O, no limits and no retries:
 * those are rest.c's, which owns the errand and calls this on its thread.
 *
 *   REMOTE_GUILD         guild -> (me) -> member
 *   REMOTE_THREAD_START  thread -> (the one that exists)
 *   REMOTE_EDIT, DELETE  message -> (unarchive the thread -> message)
 *   REMOTE_DOWNLOAD      (message) -> file -> (message -> file)
 *   all others           one step */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/discord/facts.h"
#include "engine/discord/route.h"
#include "engine/discord/status.h"
#include "engine/remote.h"

enum errand_step {
    STEP_MAIN,
    STEP_ME,        /* GUILD: who am I? */
    STEP_MEMBER,    /* GUILD: my roles there */
    STEP_THREAD,    /* THREAD_START: it exists; read it */
    STEP_UNARCHIVE, /* EDIT, DELETE: the thread slept */
    STEP_FILE,      /* DOWNLOAD: from where the link points */
};

enum errand_state {
    ERRAND_QUEUED,  /* under d->lock; may be cancelled if nothing is in doubt */
    ERRAND_LEAVING, /* the REST thread's alone, as all below */
    ERRAND_UNDER_WAY,
    ERRAND_OVER,
};

struct transfer;

/* Fields without a note are set before the errand is queued and then the REST
 * thread's alone. */
struct errand {
    struct errand *next;     /* under d->lock: in a queue's list */
    enum errand_state state; /* under d->lock */
    uint64_t number;         /* for cancel, never 0 */

    /* What was asked, copied. */
    enum remote_op op;
    bool raw; /* discord_request(): op means nothing */
    enum remote_priority priority;
    uint64_t guild, channel, message, file;
    struct remote_draft draft;
    int (*build)(void *arg, struct remote_draft *draft);
    bool built;
    char nonce[32];
    const struct remote_upload *raw_files; /* borrowed until done */
    size_t n_raw_files;
    remote_done *done;
    void *arg;
    long *raw_status; /* borrowed until done; may be NULL */

    /* The step to take. */
    enum errand_step step;
    struct route route;
    struct route main_route; /* while another step is taken */
    struct buf json;         /* body of STEP_MAIN; data NULL: none */
    struct buf link;         /* STEP_FILE: where */
    uint64_t file_size;      /* STEP_FILE: how much */
    bool link_kept;          /* STEP_FILE: the link is of an earlier answer */
    bool unarchived;

    /* How it goes. Times are monotonic ms. */
    int attempts;        /* of this step that ended without a decision */
    int refused;         /* 429s in a row */
    int64_t not_before;  /* pause before the next attempt */
    int64_t deadline;    /* the caller's, 0: none */
    int64_t patience_ms; /* left of the store's own, waits for limits apart */
    int64_t left_at;
    uint64_t ticket;        /* of ratelimit_sent() */
    int64_t doubtful_since; /* 0, or the first attempt that may have counted */
    struct transfer *transfer;

    int result;
    struct err err;
    struct remote_reply reply;
};

/* Copies what is borrowed, takes the draft. Never NULL: what is wrong with the
 * request is in result and err. */
struct errand *errand_new(struct remote_request *req, remote_done *done,
                          void *arg, struct facts *facts, int64_t wall_ms);

/* As errand_new, for discord_request(). */
struct errand *errand_new_raw(const char *method, const char *path,
                              const char *json,
                              const struct remote_upload *files, size_t n_files,
                              enum remote_priority priority, remote_done *done,
                              void *arg, long *status);

/* As errand_new, for discord_fetch(): the file of size bytes behind a link. */
struct errand *errand_new_file(const char *url, uint64_t size,
                               enum remote_priority priority, remote_done *done,
                               void *arg);

void errand_free(struct errand *e);

/* About to leave: has the message built and checked, once. Negative: nothing
 * may be sent, result and err are set. */
int errand_prepare(struct errand *e, struct facts *facts);

/* The body of the step and its files. */
const char *errand_json(const struct errand *e, size_t *len);
const struct remote_upload *errand_files(const struct errand *e, size_t *n);

/* Is it the file itself, not a request to the API? */
bool errand_is_file(const struct errand *e);

/* How long an answer can be. */
size_t errand_max_answer(const struct errand *e);

enum errand_verdict {
    ERRAND_DECIDED,    /* over, with result, err and reply set */
    ERRAND_STEP,       /* another step is to be taken */
    ERRAND_UNREADABLE, /* a success whose body was cut or garbled */
};

/* An answer that is neither 429 nor 5xx. The body may be taken. */
enum errand_verdict errand_answered(struct errand *e, const struct status *s,
                                    struct buf *body, struct facts *facts);

/* Ends it without (or in spite of) an answer. */
void errand_fail(struct errand *e, int result, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
