/* Rows of a table that is not open, found by Discord's search.
 *
 * A search proves presence and never absence: it may lag, miss, answer that it
 * is not ready, show what was deleted, in any order. So a hit is a hint, and a
 * row is taken from it when all of this holds:
 *
 *   - the message is one of ours in the table's channel, a row message whose
 *     record has its digest, and the row's text matches;
 *   - nothing that is told beside it speaks against it: no other record of
 *     this or a later version of its key, none that has the same value in a
 *     field that is unique. That is asked of all messages that could tell so:
 *
 *       behind a snapshot   whose `settled` is not below the row message: then
 *           that showed the key's newest version (checkpoint.h), and what came
 *           later is on the newest page of the thread, which was read before,
 *           and in the channel behind that mark
 *       without one         the thread from the version on, and what is up to
 *           RIVALS_MS older in both places. Older than that could only be what
 *           makes the version void: the same key, or unique value, written by
 *           two who did not know of each other, and for that long they would
 *           have had to write while they were cut off from Discord.
 *
 * What cannot be proved is not an error but a reason to open the table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/find_impl.h"
#include "engine/query.h"

#define RIVALS_MS 120000

struct lookup;

struct lookup *lookup_new(struct table *t, const atomic_bool *cancel);
void lookup_free(struct lookup *lk); /* NULL is fine */

/* Reads the newest page of the thread, and tells of it in facts. */
int lookup_look(struct lookup *lk, struct find_facts *facts, struct err *err);

/* What was looked at goes to the opening that follows. */
void lookup_lend(struct lookup *lk);

/* Search for the row with this key; for the row that has this value in a
 * top-level field that is unique; for rows that have it and match q, until
 * there are `wanted` of them. 0: found and proved, all that were wanted.
 * -ENODATA: not so, *err says why; the table must be opened. Else what no
 * opening would mend. */
int lookup_key(struct lookup *lk, const char *key, size_t len, struct err *err);
int lookup_unique(struct lookup *lk, const struct query_term *t,
                  const struct query_value *v, struct err *err);
int lookup_some(struct lookup *lk, const struct query_term *t,
                const struct query_value *v, size_t wanted,
                const struct query *q, struct err *err);

/* What was proved, in the order of creation; borrowed, with row->by, until
 * lookup_free(). */
struct found_row {
    struct row *row;
    struct text *text;
};
const struct found_row *lookup_found(struct lookup *lk, size_t *n);

/* Messages that were read. */
size_t lookup_examined(const struct lookup *lk);
