/* The background writer of a table's indexes: their channels follow the rows.
 * For each index it gathers the keys whose value changed, and tells of all of
 * them in one message (index_text.h) when some time has passed; a commit never
 * waits for it. What another process changed is left to that one for a while.
 *
 * Rows are never found wrongly by what a channel tells: who looks a value up
 * there reads the row. So all that matters is that no entry is missing: each
 * message tells how far the log goes, and whoever writes next, here or in
 * another process, first enters what came behind that.
 *
 * Safe from any thread. Belongs to a table and lives as long as its ledger,
 * which it borrows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/engine.h"
#include "engine/ledger.h"
#include "engine/remote.h"

struct core;
struct indexer;

struct indexer *indexer_new(struct core *core, struct ledger *l);
void indexer_free(struct indexer *ix);

/* Which indexes there are; those with channel 0 have none to write to. */
struct indexer_field {
    const char *field;
    uint64_t channel;
};
void indexer_set(struct indexer *ix, const struct indexer_field *list,
                 size_t n);

/* News of the rows, in their order. */
void indexer_changed(struct indexer *ix, const struct ledger_change *list,
                     size_t n);
/* Events in one of the channels. Never block. */
void indexer_event_message(struct indexer *ix, const struct remote_message *m);
void indexer_event_deleted(struct indexer *ix, uint64_t channel,
                           const uint64_t *ids, size_t n);

/* Writes all entries of an index again, superseding what is there; fresh: there
 * is nothing, the channel was just made. Waits. -ENOENT: the channel is gone,
 * or there is no such index. */
int indexer_rewrite(struct indexer *ix, const char *field, bool fresh,
                    table_progress *progress, void *arg, struct err *err);

/* What is gathered shall go out now; and nothing shall go any more. */
void indexer_hurry(struct indexer *ix);
void indexer_stop(struct indexer *ix);

struct indexer_stats {
    size_t behind;     /* keys whose entry is still to be written */
    int64_t behind_ms; /* for how long the oldest waits */
    bool lost;         /* the channel was found to be gone */
};
/* Zero where there is no such index. */
void indexer_stats(struct indexer *ix, const char *field,
                   struct indexer_stats *out);
