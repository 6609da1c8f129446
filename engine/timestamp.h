/* Times as they are written in a header line: 2026-11-22T23:51:34.123Z, and
 * no other way. Years 1 to 9999 of the Gregorian calendar. Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

#define TIMESTAMP_FIRST                                                        \
    ((int64_t)-62135596800000) /* 0001-01-01T00:00:00.000Z */
#define TIMESTAMP_LAST                                                         \
    ((int64_t)253402300799999) /* 9999-12-31T23:59:59.999Z                     \
                                */
#define TIMESTAMP_LEN 24

/* The nearest time that can be written. */
int64_t timestamp_clamp(int64_t ms);

/* ms: clamped. */
void timestamp_add(struct buf *b, int64_t ms);

/* s: TIMESTAMP_LEN bytes at least. Exactly the form timestamp_add() writes. */
bool timestamp_parse(const char *s, int64_t *out);
