/* HTTP/1.1 requests out of a stream of bytes, however it is cut. Pure: no
 * sockets. Bodies by Content-Length or chunked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "tests/emulator/http.h"

enum {
    HTTP1_HEAD_MAX = 256 * 1024, /* a search may carry 500 channel ids */
    HTTP1_BODY_MAX = 25 * 1024 * 1024,
};

enum http1_state {
    HTTP1_HEAD,
    HTTP1_LENGTH_BODY,
    HTTP1_CHUNK_SIZE,
    HTTP1_CHUNK_DATA,
    HTTP1_CHUNK_END,
    HTTP1_TRAILER,
};

enum http1_result {
    HTTP1_MORE,     /* feed more */
    HTTP1_CONTINUE, /* send "100 Continue", then feed again */
    HTTP1_DONE,     /* req is whole; the parser is ready for the next */
    HTTP1_BAD,      /* `status` says why; the connection is of no more use */
};

struct http1 {
    enum http1_state state;
    struct http_request req; /* taken by who gets HTTP1_DONE */
    size_t remain;           /* of the body or the chunk */
    bool too_large;          /* the body is read and thrown away */
    bool keep_alive, head_only;
    int status; /* 400, 413, 431, 501, 505 */
};

void http1_init(struct http1 *p);
void http1_release(struct http1 *p);

/* Eats from `in`. A body over the limit is read to its end and then refused
 * with 413, so that the client gets to read the answer. */
enum http1_result http1_feed(struct http1 *p, struct buf *in);
