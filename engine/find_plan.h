/* Which way to find what a query asks for. Pure: what is known goes in, the
 * candidates and the choice among them come out. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/find.h"

/* What the newest page of a table's thread has told. */
enum find_seen {
    FIND_SEEN_NOTHING,  /* nobody has looked */
    FIND_SEEN_SNAPSHOT, /* a snapshot, and all that came behind it */
    FIND_SEEN_ALL,      /* the whole thread: there is no snapshot */
    FIND_SEEN_LATE,     /* a full page without a snapshot: more is before it */
};

/* A term that asks for the values of one field, or for keys. */
struct find_term {
    const char *field; /* NULL: the primary key */
    size_t values;
    bool indexed;  /* in memory, and complete */
    uint64_t rows; /* indexed: that have one of the values */
    bool unique;
    bool worded; /* a search can ask for each of the values */
};

#define FIND_TERMS_MAX 8

struct find_facts {
    bool never; /* no row can match */
    bool open;
    uint64_t rows, bytes; /* of the table; not open: of the snapshot */
    struct find_term terms[FIND_TERMS_MAX];
    size_t n_terms;
    uint64_t limit; /* rows after which the result is complete in whatever
                       order they come; UINT64_MAX: all are needed */

    /* not open */
    enum find_seen seen;
    uint64_t packed;       /* SNAPSHOT: bytes of its files, */
    size_t parts;          /* which are so many; */
    bool chained;          /* it builds on another */
    size_t tail;           /* messages on the page behind it, or all */
    bool long_channel;     /* more than a page of the channel is to be read */
    const char *no_search; /* why nothing can be searched; NULL: it can */
};

/* Candidates and choice of *out are filled in. There is always one that is
 * possible. */
void find_plan(const struct find_facts *f, struct find_report *out);
