/* What the files of finding share: find_run.c, find_cold.c and lookup.c. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "engine/base/err.h"
#include "engine/engine_impl.h"
#include "engine/find.h"
#include "engine/find_plan.h"
#include "engine/remote.h"

/* An answer that somebody waits for, and may cease to: a text, a reply, an
 * opening. Counted, so that it can come when nobody waits any more. */
struct promise;
struct promise *promise_new(void);
/* What came with it is freed by the last who lets go, if nobody took it. */
void promise_drop(struct promise *p);
/* The answer; -EINTR where *cancel (may be NULL) says so first. */
int promise_wait(struct promise *p, const atomic_bool *cancel, struct err *err);

/* The text of a row that has it in an attachment. */
struct promise *promise_text(struct ledger *l, struct row *row);
struct text *promise_take_text(struct promise *p);
/* A request; its reply is moved out by promise_take_reply(). */
struct promise *promise_request(struct core *c, struct remote_request *req);
struct remote_reply promise_take_reply(struct promise *p);
struct promise *promise_open(struct table *t);

/* One find under way. */
struct find {
    struct table *table;
    const struct query *query; /* NULL: the row with this key, */
    const char *key;
    size_t key_len;
    const atomic_bool *cancel;
    bool resident, no_texts;
    struct find_report *report; /* never NULL */
    struct find_report unused;  /* where nobody asked for one */
    find_row *put;
    void *arg;
    uint64_t skip, left; /* of what matches: still to be left out, and given */
};

static inline bool find_is_cancelled(const struct find *f)
{
    return f->cancel && atomic_load_explicit(f->cancel, memory_order_relaxed);
}

int find_cancelled(struct err *err);

/* Brings the table into memory. */
int find_open(struct find *f, struct err *err);

/* A row that matches, in the result's order: skip and limit are applied. 1:
 * the result is complete. */
int find_give(struct find *f, struct row *row, const char *text, size_t len,
              struct err *err);

typedef int find_with_text(void *arg, struct row *row, const char *text,
                           size_t len, struct err *err);
/* Calls fn for each row with its text, those that are attachments fetched
 * where `fetch` says so, else NULL. Takes the references. */
int find_with_texts(struct find *f, struct row **rows, size_t n, bool fetch,
                    find_with_text *fn, void *arg, struct err *err);
/* find_give() as such a function; arg is the find. */
int find_give_one(void *arg, struct row *row, const char *text, size_t len,
                  struct err *err);

/* The terms that a key, an index or a search could answer. */
void find_terms(struct find *f, struct find_facts *facts);

/* --- find_run.c: the table is open ---------------------------------------- */

/* Plans (the report's candidates too, unless something was planned already)
 * and runs. */
int find_run(struct find *f, bool planned, struct err *err);

/* --- find_cold.c ----------------------------------------------------------
 */

/* The table is not open. *rest: it is now, and is to be asked. */
int find_cold(struct find *f, bool *rest, struct err *err);
