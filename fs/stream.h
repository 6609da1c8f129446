/* A text of lines that grows at its end and is bounded: over its limit it
 * loses its older half at once. Who follows it by its size (tail -f) reads
 * what was added, and sees a shrunk file when the old lines went. Not safe
 * from several threads: its owner's lock guards it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct stream {
    struct buf text;
    size_t max;
    int64_t mtime_ms; /* of the newest line, 0: there is none */
};

#define STREAM_INIT(limit) ((struct stream){BUF_INIT, (limit), 0})

void stream_release(struct stream *s);

/* Whole lines, each with its newline. */
void stream_add(struct stream *s, const char *lines, size_t len,
                int64_t now_ms);
