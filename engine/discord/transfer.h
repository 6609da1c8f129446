/* HTTP exchanges, many at a time, over libcurl: connections kept and shared,
 * HTTP/2 where offered, answers bounded. One thread owns it; transfers_wake()
 * alone may come from others. Nothing here knows what is asked or why. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/discord/ratelimit.h"
#include "engine/remote.h"

struct transfers;
struct transfer;

#define TRANSFER_FILES_MAX 10

/* Everything is borrowed until the answer has been taken. */
struct transfer_request {
    const char *method;
    const char *url;
    const char *token; /* NULL: none is sent */
    const char *json;  /* NULL: no body */
    size_t json_len;
    const struct remote_upload *files; /* with n_files > 0: multipart */
    size_t n_files;
    size_t max_answer;  /* a longer one ends the transfer */
    int64_t timeout_ms; /* for the whole; silence ends it sooner */
    bool once;          /* libcurl must not send it a second time on its own */
    void *user;         /* given back with the answer */
};

struct transfer_answer {
    void *user;
    int curl_code; /* 0: an answer came */
    long http;
    struct buf body;
    struct ratelimit_headers limits;
    char scope[16];         /* X-RateLimit-Scope */
    bool global;            /* X-RateLimit-Global */
    int64_t retry_after_ms; /* -1: not said */
};

/* loopback: plain HTTP/1.1 without a proxy. most: transfers at once. */
struct transfers *transfers_new(bool loopback, int most);
void transfers_free(struct transfers *t); /* aborts what is under way */

struct transfer *transfer_start(struct transfers *t,
                                const struct transfer_request *r);

/* From now on all that are under way are over, unanswered. */
void transfers_give_up(struct transfers *t);

/* Moves all transfers on as far as they go. */
void transfers_run(struct transfers *t);
/* Until one can move on, transfers_wake() is called, or wait_ms have passed. */
void transfers_wait(struct transfers *t, int64_t wait_ms);
void transfers_wake(struct transfers *t);

/* The next that is over, or false. The caller releases a->body. */
bool transfers_next(struct transfers *t, struct transfer_answer *a);

/* "1.25" -> 1250, rounded up; -1 for what is no number of seconds. */
int64_t transfer_seconds_ms(const char *s, size_t len);
