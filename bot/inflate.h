/* zlib-stream: one deflate stream for a connection, its messages told apart
 * by the flush marker each ends with. Bounded: what claims to be larger than
 * any message is refused. No I/O. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct inflater;

struct inflater *inflater_new(void);
void inflater_free(struct inflater *inf);

/* Takes bytes as they come. 1: out holds a whole message. 0: more must come.
 * -EBADMSG: this is no such stream, and the connection is of no more use. */
int inflater_feed(struct inflater *inf, const void *data, size_t len,
                  struct buf *out, struct err *err);
