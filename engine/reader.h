/* A run of bytes being read from the front: the ground of the parsers for
 * header lines and batches.
 *
 * What cannot be read leaves its name in fail, the first such alone; nothing is
 * taken after that, so that a caller may go on and look once at the end. All
 * that return a bool say whether it was there; where it was not, what out
 * points to means nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct reader {
    const char *at, *end;
    const char *fail;  /* what was expected and not there; NULL: all is well */
    struct buf *arena; /* takes unescaped strings */
    size_t arena_size; /* what the arena will ever need: it must not move */
};

/* Notes what was expected. False, for `return reader_failed(…)`. */
bool reader_failed(struct reader *r, const char *what);

/* Bytes not read yet. */
size_t reader_left(const struct reader *r);

/* Is this next? Then it is taken. */
bool reader_accept(struct reader *r, const char *literal);

/* The same, and a failure where it is not. */
bool reader_expect(struct reader *r, const char *literal);

/* Decimal digits. */
bool reader_u64(struct reader *r, uint64_t max, const char *what,
                uint64_t *out);

/* A JSON string's span between its quotes; whether it holds escapes. */
bool reader_quoted(struct reader *r, const char *what, const char **s,
                   size_t *len, bool *escaped);

/* A JSON string of min to max bytes, escapes resolved, and checked for UTF-8.
 * *s points into the run or the arena. */
bool reader_string(struct reader *r, size_t min, size_t max, const char *what,
                   const char **s, size_t *len);

/* 128 bits as 32 lower case hexadecimal digits. */
bool reader_sha(struct reader *r, unsigned char out[16]);
