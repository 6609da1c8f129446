/* The mark that a vacuum leaves in a table's thread before it removes anything:
 *
 *     -# dbcord vacuum upto 1441..79 from 1441..95 at 2026-.. by "ada@host"
 *
 * What messages up to `upto` told may be gone from here on, and the rows of
 * that time are in the snapshot `from`, or in any later one that is whole.
 * Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/remote.h"

/* Is it such a mark? */
bool vacuum_mark_parse(const struct remote_message *m, uint64_t *upto,
                       uint64_t *from);
void vacuum_mark_add(struct buf *b, uint64_t upto, uint64_t from, int64_t at_ms,
                     const char *by);
