/* What the engine's tests have in common: processes on one store, a table,
 * rows in few words. Helpers fail by assert: what they do must work for the
 * test to mean anything. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "tests/lib/memstore.h"

/* Row messages are brought up to date after this long in tests. */
#define WORLD_SETTLE_MS 20

/* A process: an engine with a connection of its own. */
struct process {
    struct memstore *store;
    struct remote *remote;
    struct engine *engine;
    struct namespace *ns; /* "prod" */
    struct table *table;  /* "users", open */

    pthread_mutex_t lock;
    pthread_cond_t told; /* with lock */
    /* under lock */
    size_t row_changes, voided, table_changes, namespace_changes;
    char *last_key, *last_old_name;
    bool last_gone;

    /* set by process_watch(), while nothing changes: told of each change,
     * under no lock */
    void (*also)(void *arg, const struct change *c);
    void *also_arg;
};

/* With events, all catalogs, "prod" and "users" (made if they are missing). */
void process_start(struct process *p, struct memstore *s);
/* settle_ms 0: WORLD_SETTLE_MS. Without namespace and table. */
void process_start_bare(struct process *p, struct memstore *s, bool read_only,
                        int64_t settle_ms);
void process_open_table(struct process *p);
/* A one-shot command: without events, knowing "prod" and "users" (which are
 * there) from the catalog alone, the table not open. */
void process_start_cold(struct process *p, struct memstore *s);
void process_watch(struct process *p,
                   void (*fn)(void *arg, const struct change *c), void *arg);
/* Cleanly, with patience for the background writer. */
void process_stop(struct process *p);
/* As if by SIGKILL: nothing more reaches the store. */
void process_kill(struct process *p);

/* Until as many row changes (voided versions) were told. */
void process_wait_changes(struct process *p, size_t n);
void process_wait_voided(struct process *p, size_t n);
void process_wait_tables(struct process *p, size_t n);
/* Until nothing is under way: what a connection or a gap has made it list
 * again is there. */
void process_wait_idle(struct process *p);
/* Until every row message shows what it should, and indexes their rows. */
void process_wait_settled(struct process *p);

/* One row; the result of the commit. */
int put(struct table *t, const char *key, const char *text);
int put_new(struct table *t, const char *key, const char *text);
int drop_row(struct table *t, const char *key);
int move_row(struct table *t, const char *from, const char *to);
/* Its text, without the newline, for free(); NULL: there is no such row. */
char *text_of(struct table *t, const char *key);
uint32_t version_of(struct table *t, const char *key);
uint64_t home_of(struct table *t, const char *key);

/* Writes that do not wait: their results are gathered. */
struct writes {
    pthread_mutex_t lock;
    pthread_cond_t done; /* with lock */
    size_t asked, answered, failed;
    int last_error;
    char last_text[600];
};
void writes_init(struct writes *w);
void writes_put(struct writes *w, struct table *t, const char *key,
                const char *text);
void writes_do(struct writes *w, struct table *t, const struct write *what,
               uint64_t *ticket);
void writes_wait(struct writes *w);
