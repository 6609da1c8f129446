/* A request, and the handle by which it is answered, now or later.
 *
 * A handler gets a struct call and answers it exactly once with one of the
 * call_*() functions below; after that the call is gone with this turn of the
 * loop. It may return without an answer and keep the pointer (a timer, a
 * waiting list): the call stays valid until it is answered, even if the client
 * hangs up meanwhile, and then the answer is dropped. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct call;
struct conn;
struct emulator;
struct json_object;
struct route;

struct http_pair {
    char *key, *value; /* decoded for a query; header keys are lower-case */
};

/* One part of a multipart body; points into the request's body. */
struct http_part {
    char *name;
    char *filename;     /* NULL: a plain field */
    char *content_type; /* NULL: not given */
    const char *data;
    size_t len;
};

#define CALL_MAX_ARGS 6

struct http_request {
    char method[12];
    char *target; /* as sent */
    char *path;   /* without the query, still percent-encoded */
    struct http_pair *query;
    size_t query_count;
    struct http_pair *headers;
    size_t header_count;
    struct buf body;

    /* The router's work, for API routes that take a body. */
    struct json_object *json; /* the JSON body or payload_json, or NULL */
    struct http_part *parts;  /* of a multipart body, payload_json left out */
    size_t part_count;
};

struct call {
    struct emulator *e;
    struct conn *conn; /* NULL: the client has gone */
    struct http_request req;

    const struct route *route;
    char *args[CALL_MAX_ARGS];   /* the pattern's {…}, percent-decoded */
    uint64_t ids[CALL_MAX_ARGS]; /* those that are ids, parsed */

    void *user;        /* for who defers the answer */
    struct call *next; /* the server's, once it is answered */

    /* What the router and the limits add to the answer. */
    struct http_pair *extra;
    size_t extra_count;
    int fault;  /* fault.h: what to do with the answer */
    bool trace; /* counted and traced when answered */
};

/* For who receives it: the path and the query out of a target as sent, and a
 * header; its name becomes lower-case. */
void request_set_target(struct http_request *r, const char *target);
void request_add_header(struct http_request *r, const char *name,
                        const char *value);

/* Case-insensitive; NULL if absent. */
const char *request_header(const struct http_request *r, const char *name);

/* The first value of a query key, or NULL. To walk repeated keys: start with
 * *at = 0, NULL at the end. */
const char *request_query(const struct http_request *r, const char *key);
const char *request_query_next(const struct http_request *r, const char *key,
                               size_t *at);

/* true|True|1 and false|False|0; fallback when absent. *bad if neither. */
bool request_query_bool(const struct http_request *r, const char *key,
                        bool fallback, bool *bad);

/* The file part named files[n]; NULL if there is none. */
const struct http_part *request_file(const struct http_request *r, unsigned n);

void request_release(struct http_request *r);

/* A header of the answer, before it is given. */
void call_header(struct call *c, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The answers. json is taken over. */
void call_json(struct call *c, int status, struct json_object *json);
void call_empty(struct call *c); /* 204 */
void call_raw(struct call *c, int status, const char *content_type,
              const void *data, size_t len);

/* Closes the connection without an answer. */
void call_drop(struct call *c);

/* Percent-decoding: in query values '+' is a space. */
char *percent_decode(const char *s, size_t len, bool plus);
