/* Finding rows: which of a table's rows match a query, in its order, by the
 * way that costs least. One of an open table needs no request at all but for
 * texts that are attachments; one of a table that nobody has opened may be
 * answered without opening it, where Discord's search can prove the answer.
 *
 *     find_plan.c    which way, by what each would cost; pure
 *     find_run.c     over the rows of an open table
 *     find_cold.c    over a table that is not open: looks, decides, falls back
 *     lookup.c       what search finds, and why it may be believed
 *
 * What comes out is the same whichever way was taken. Without a sort rows come
 * in the order of their creation; with a limit and no sort, of a table that is
 * not open, which of those that match is not promised. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/query.h"
#include "engine/row.h"

struct table;

enum find_way {
    FIND_NONE,   /* the terms contradict each other: no row can match */
    FIND_KEY,    /* open table: by primary key */
    FIND_INDEX,  /* open table: by the values of an indexed field */
    FIND_SCAN,   /* open table: one row after the other */
    FIND_OPEN,   /* bring the table into memory, from a snapshot or by listing
                    it, and then as above */
    FIND_SEARCH, /* Discord's search for a value's word, each hit proved */
};
extern const char *const find_way_names[];

#define FIND_CANDIDATES_MAX 10

struct find_candidate {
    enum find_way way;
    const char *field; /* INDEX, SEARCH: of the query; NULL: the key */
    bool possible;     /* else why says why not */
    double requests;   /* to Discord's API, … */
    double rows;       /* rows looked at, */
    double bytes;      /* and bytes fetched that are expected */
    double cost;       /* all three in one, about microseconds */
    char why[120];     /* not possible: why; else a remark or "" */
};

/* What was done and why, for explain. */
struct find_report {
    struct find_candidate list[FIND_CANDIDATES_MAX];
    size_t n, choice;   /* index into list */
    bool fell_back;     /* the choice did not do: */
    char fallback[160]; /* why; then what was done was FIND_OPEN */

    enum find_way how; /* over the rows of the open table, in the end;
                          FIND_SEARCH where it was not opened */
    const char *how_field;
    uint64_t requests; /* to the API; in a process that does other things at
                          the same time those are counted too */
    uint64_t examined, matched, returned;
    uint64_t micros;
};

/* One JSON object: query, candidates, choice, what it took. Appended. */
void find_report_print(const struct find_report *r, const struct query *q,
                       struct buf *out);

struct find_options {
    bool resident; /* over the open table alone (opened where it is not): rows
                      may then be kept, as those of row_find() */
    bool no_texts; /* the caller does not look at texts: those that are
                      attachments are fetched only where a term needs them */
    const atomic_bool *cancel;  /* set: ends with -EINTR, soon. May be NULL */
    struct find_report *report; /* may be NULL */
};

/* One row of the result, on the caller's thread, with no lock held. row is
 * borrowed (and row->by with it, unless `resident`), text is its whole text
 * with its newline: projection is the caller's, by query_project(). NULL where
 * no_texts was asked for and it is not at hand. A negative errno ends the
 * find with it; 1 ends it well. */
typedef int find_row(void *arg, struct row *row, const char *text, size_t len,
                     struct err *err);

/* Every row that matches, in the query's order, skip and limit applied. In
 * bounded memory, but for a reference to each row (and its place in the order)
 * that may yet be in the result of a sort. o may be NULL. Each row is as it was
 * at some moment of the find; one that stays as it is all the while is there
 * or not, once, as the query says. */
int table_find_wait(struct table *t, const struct query *q,
                    const struct find_options *o, find_row *put, void *arg,
                    struct err *err);

/* How many table_find_wait() would give; where neither terms nor skip and
 * limit ask for more, without looking at them. */
int table_count_wait(struct table *t, const struct query *q,
                     const struct find_options *o, uint64_t *out,
                     struct err *err);

/* The row with this key, put once. -ENOENT: there is none. */
int table_get_wait(struct table *t, const char *key, size_t key_len,
                   const struct find_options *o, find_row *put, void *arg,
                   struct err *err);
