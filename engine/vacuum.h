/* What may go: versions past the retention, what is left over of deleted rows,
 * snapshots that were superseded, attachments that nothing refers to. The only
 * thing that destroys history, and only where it is asked to.
 *
 * A vacuum reads everything, as verify does; then it takes a snapshot of all
 * rows, posts a mark (vacuum_mark.h), and removes, oldest first in each
 * channel. From then on each removal leaves the same rows; interrupted
 * anywhere, the next run does the rest. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/engine.h"

struct vacuum_options {
    uint32_t versions; /* the newest so many of each row stay, at least 1 */
    uint32_t days;     /* and those that were current within so many days */
    bool dry_run;
    const char *by; /* NULL: the engine's own name */
    /* How far it has come, now and then. May be NULL. */
    void (*progress)(void *arg, const char *text);
};

/* A message, or attachment of one that stays, that goes (went). Borrowed. */
struct vacuumed {
    const char *kind; /* a stable word: docs/verify.md */
    uint64_t channel, message;
    const char *key; /* not terminated; NULL: about none, or several */
    size_t key_len;
    size_t versions; /* that are lost with it */
    uint64_t bytes;  /* of its attachments and content, about */
};
typedef int vacuum_gone(void *arg, const struct vacuumed *g, struct err *err);

struct vacuum_summary {
    size_t messages, versions;
    uint64_t bytes;
    uint64_t snapshot; /* that was taken; 0: none was needed */
};

/* Waits. The table is opened. gone is told of each message: dry, of what would
 * go, in the same order. -EBUSY: verify finds errors in the table; nothing is
 * removed before they are healed. */
int table_vacuum_wait(struct table *t, const struct vacuum_options *o,
                      vacuum_gone *gone, void *arg, struct vacuum_summary *sum,
                      struct err *err);
