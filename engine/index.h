/* An index in memory: from the canonical value (value.h) of one field to the
 * rows that have it, in the order of their creation. Rows that lack the field
 * are not in it; null is a value like another. Borrows its rows: the fold puts
 * them in and takes them out, each time its head changes. No lock: the table's
 * guards it.
 *
 * A value that one row has takes a slot of 12 bytes, at 60 to 90 % full; one
 * that several have a list besides, 8 bytes a row. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/row.h"

struct index;

struct index *index_new(const char *field); /* copied */
void index_free(struct index *ix);
const char *index_field(const struct index *ix);

/* The canonical form of a row's field, appended: from its text, or from what
 * is known of a text that is an attachment. False: it has none. */
bool row_value(const struct row *r, const char *field, struct buf *out);
/* Is that known? Not of a row whose text is an attachment, where the field got
 * its index after the row came: until its text was fetched again. */
bool row_tells_value(const struct row *r, const char *field);

void index_put(struct index *ix, struct row *r);
void index_remove(struct index *ix, const struct row *r);
/* now takes the place of old, whose seq it has; the values may differ. */
void index_replace(struct index *ix, const struct row *old, struct row *now);

/* The rows with this value whose seq is above after, by seq, at most n:
 * borrowed. */
size_t index_find(const struct index *ix, const char *value, size_t len,
                  uint64_t after, struct row **out, size_t n);
/* How many there are. */
size_t index_count(const struct index *ix, const char *value, size_t len);
size_t index_rows(const struct index *ix);   /* in all */
size_t index_values(const struct index *ix); /* how many different ones */
size_t index_bytes(const struct index *ix);  /* memory it takes */

/* Walks the values, in an order of its own that stays while nothing changes:
 * start with *at = 0. The first row of each, borrowed, whose value is
 * row_value(); *count of them. NULL at the end. */
struct row *index_next(const struct index *ix, size_t *at, size_t *count);
