/* A long random life of a table, for test_model.c: processes on one store, the
 * model they are held against, the history of what was done, and its parts.
 *
 *     life.c         processes, the history, is it as the model says?
 *     life_write.c   single writes and many at once
 *     life_storm.c   processes that do not hear of each other
 *     life_find.c    indexes, finding, counting, getting
 *     life_time.c    histories, and going back to a version
 *     life_snapshot.c, life_import.c, life_verify.c
 *
 * Each life_... function is one step; all draw from l->rng. */
#pragma once

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "tests/lib/world.h"
#include "tests/unit/model.h"

enum { PROCESSES = 2, BATCH = 12, CLAIMS = 400, SNAPSHOTS = 3 };

/* What a process was told of one write of a storm. */
struct claim {
    int process;
    uint32_t key, version; /* 0: not known */
    uint64_t id;
    char *text; /* NULL: a deletion */
    int r;
    bool voided;  /* its process was told that it lost */
    bool excused; /* … or that one lost which was built on it, perhaps */
};

/* What a process saw last of a key that it wrote itself. */
struct seen {
    uint32_t version;
    uint64_t id;
};

/* The rows as they were when a snapshot was taken. */
struct saved {
    char label[16]; /* empty: none */
    char *texts[MODEL_KEYS];
};

struct life {
    struct memstore *store;
    struct process p[PROCESSES];
    bool held[PROCESSES];
    struct model m;
    uint64_t rng;
    unsigned long serial;
    int step, steps;
    struct buf log;

    bool stormed;  /* each process lists the rows in an order of its own */
    bool stripped; /* Discord took something away from messages once */
    bool killed;   /* somebody died */

    struct claim claims[CLAIMS]; /* of this storm */
    size_t n_claims;
    struct saved saved[SNAPSHOTS];

    pthread_mutex_t lock;
    /* under lock */
    struct seen seen[PROCESSES][MODEL_KEYS];
    struct claim voids[CLAIMS];
    size_t n_voids;
};

/* --- life.c -------------------------------------------------------------- */

void life_init(struct life *l, uint64_t seed, int steps);
void life_release(struct life *l);
void say(struct life *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The end of the history of the life that goes on, to standard error. */
void life_print(void);

/* What a failure says comes last in the history. */
#define CHECK(l, what, ...)                                                    \
    do {                                                                       \
        if (!(what)) {                                                         \
            say(l, "FAILED: " #what ": " __VA_ARGS__);                         \
            fail_msg("%s", #what);                                             \
        }                                                                      \
    } while (0)

void life_start(struct life *l, int process);
void life_no_faults(struct life *l);
/* Until all have heard of what they may hear of, and nothing is under way. */
void life_quiet(struct life *l);
/* No faults any more, nothing held back; and everybody has heard of it all. */
void life_calm_down(struct life *l);
struct process *life_someone(struct life *l, int *which);
void life_check_row(struct life *l, struct table *t, const char *who,
                    uint32_t i);
/* Does t list its rows as the model does? */
bool life_in_order(struct life *l, struct table *t);
void life_check(struct life *l, struct table *t, const char *who);
/* An answer that is no clear no: the store failed. */
bool is_failure(int r);
bool is_refusal(int r);
/* Gives a row's text or a patch a number that no other has. */
void life_number(struct life *l, struct buf *text);

void life_restart(struct life *l);
void life_settle(struct life *l);
void life_move_clock(struct life *l);
void life_fault(struct life *l);

/* --- life_write.c ----------------------------------------------------------
 */

/* A write as it is meant, and what it would make of the rows. */
struct meant {
    struct write w;
    uint32_t i, to;
    struct fields f;
    char key[MODEL_KEY_SIZE], to_key[MODEL_KEY_SIZE];
    struct buf text;
};

/* A write that does not wait. */
struct ask {
    struct meant plan;
    int process;
    pthread_mutex_t *lock;
    pthread_cond_t *done; /* with lock */
    /* under lock */
    bool answered;
    int r;
    struct seen seen;
    char why[200];
};

/* Of one of the first so many keys. */
void meant_write(struct life *l, struct meant *p, uint32_t keys);
void meant_describe(const struct meant *p, char out[200]);
void meant_release(struct meant *p);
/* Writes by one process or several while nothing leaves, and lets them go; some
 * are cancelled. dying (-1: nobody) is killed when some may have left. */
void ask_many(struct life *l, struct ask *asks, size_t n, uint32_t keys,
              bool one_process, int dying);

void life_write(struct life *l);
void life_patch(struct life *l);
void life_write_many(struct life *l);

/* --- life_storm.c ----------------------------------------------------------
 */

void life_storm(struct life *l);
/* The order in which t lists its rows is taken as it is. */
void life_take_order(struct life *l, struct table *t);
/* Settles what a process was told of writes of which some failed. */
void life_take(struct life *l, const struct ask *asks, size_t n);

/* --- life_find.c -----------------------------------------------------------
 */

void life_find(struct life *l);
void life_find_cold(struct life *l);
/* The search becomes better or worse. */
void life_search(struct life *l);
void life_index(struct life *l);

/* --- life_time.c -----------------------------------------------------------
 */

/* A version's text without the newline, for free(); NULL: a deletion. */
struct version;
char *life_version_text(struct life *l, struct table *t,
                        const struct version *v);
/* One row's versions as t tells them are those of the model. */
void life_check_history(struct life *l, struct table *t, uint32_t i);
void life_history(struct life *l);
void life_restore(struct life *l);

/* --- life_snapshot.c, life_import.c, life_verify.c -------------------------
 */

void life_snapshot(struct life *l);
void life_snapshot_restore(struct life *l);
void life_import(struct life *l);
void life_verify(struct life *l);
/* Takes away old versions: the model knows them still. */
void life_vacuum(struct life *l);
