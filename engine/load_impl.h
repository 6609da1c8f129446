/* What load.c, which takes in listings, and load_open.c, which brings a ledger
 * into memory by them, have in common. Nobody else includes this. */
#pragma once

#include "engine/checkpoint.h"
#include "engine/ledger_impl.h"

#define LOAD_PAGE 100
#define LOAD_FETCHES 4 /* files on their way at the same time */

/* A batch whose file is on its way, or a message with a row whose text is, for
 * its values. */
struct fetch {
    int place;
    const struct remote_message *message; /* of the page being applied */
    struct records head;
    ssize_t text; /* of which record; -1: it is a batch */
    struct ask *ask;
};

struct loading {
    struct ledger *l;
    enum remote_priority priority;
    bool reload;         /* l->next is loaded, not l->fold */
    bool closing;        /* the engine's closing does not end it */
    uint64_t upto;       /* not 0: what is behind it is left for later */
    struct changes *out; /* NULL: nobody has seen what was before */
    struct fetch fetches[LOAD_FETCHES];
    size_t first_fetch, n_fetches;
};

struct ask *load_ask_page(struct loading *ld, int place, uint64_t before,
                          uint64_t after);

/* Takes in the messages of a page with ids above `above`. Waits for their
 * files; tells of what changed. */
int load_page(struct loading *ld, int place, const struct remote_message *list,
              size_t n, uint64_t above, struct err *err);

/* Lists from behind at[], and moves that on; places: which of the two. */
#define LOAD_CHANNEL 1
#define LOAD_THREAD 2
int load_from(struct loading *ld, uint64_t at[2], int places, struct err *err);

/* On a job: what came while the connection was lost. */
void load_relist(void *arg);
