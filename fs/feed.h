/* Lines that several readers follow: the newest are kept, up to so many bytes,
 * each once for all readers. A reader starts at the end, reads on at his own
 * pace, and is told when lines were dropped that he had not read.
 *
 * What he reads is a file to him: a text with offsets, which go on behind what
 * he has read and begin with 0 where he began. Who asks where the file ends
 * (tail, to look for its last lines) gets the places in all that was ever
 * added. Going back is possible: within the last read always, else as far as
 * lines are kept; what stood further back reads as empty lines.
 *
 * Not safe from several threads: the owner's lock guards a feed and all its
 * readers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct feed;
struct feed_reader;

struct feed *feed_new(size_t max);
/* After its readers. NULL is fine. */
void feed_free(struct feed *f);

/* One line with its newline; copied. */
void feed_add(struct feed *f, const char *line, size_t len);
/* Bytes ever added. */
int64_t feed_end(const struct feed *f);

struct feed_reader *feed_reader_new(struct feed *f);
void feed_reader_free(struct feed_reader *r); /* NULL is fine */

/* Appends up to size bytes at this offset. False: nothing is there yet. */
bool feed_read(struct feed_reader *r, int64_t off, size_t size,
               struct buf *out);
/* Is there anything behind what was read last? */
bool feed_has_more(const struct feed_reader *r);
/* What was read at this offset last was not taken: it is still to come. */
void feed_unread(struct feed_reader *r, int64_t off);
/* From now on offsets are places in all that was ever added, and the reader is
 * at its end. */
void feed_seek_end(struct feed_reader *r);
