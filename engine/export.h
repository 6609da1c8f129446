/* All rows of a table as a file, in the order of their creation. Waits; the
 * table must be open. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"
#include "engine/engine.h"
#include "engine/format.h"

struct export_options {
    enum format format;
    const char *snapshot; /* as it was then: a label or an id; NULL: now */

    /* May be NULL: now and then, on the caller's thread. total 0: not known. */
    void (*progress)(void *arg, size_t done, size_t total);
    void *arg;
};

/* The rows as they are when it begins. out gets the file piece by piece: of
 * rows that are in memory nothing is copied, of those whose text is an
 * attachment some are fetched ahead. CSV, TSV and TABLE go through them twice,
 * to know the columns before the first row. A row whose text cannot be had ends
 * it. *rows (may be NULL): how many there were. */
int table_export_wait(struct table *t, const struct export_options *o,
                      format_out *out, void *arg, size_t *rows,
                      struct err *err);
