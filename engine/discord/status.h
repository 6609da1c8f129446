/* The one place where Discord's answers, and the lack of one, become errno
 * values and sentences for people. No I/O. The sentences hold no address
 * with its query and no header, so nothing secret can be in them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

/* What an answer that is no success said. */
struct status {
    long http;
    int code;           /* Discord's, 0 for none */
    bool json;          /* the body was Discord's JSON, not some proxy's page */
    bool global;        /* 429: everything is limited */
    double retry_after; /* seconds, -1: not said */
    char message[160];
    char detail[240]; /* the first leaf of "errors": "name: Must be …" */
    bool parent_full; /* 50035 because the category has its 50 channels */
};

void status_read(struct status *s, long http, const char *body, size_t len);

/* The errno for it, negative, and the sentence. keyed: a path with a token of
 * its own (interactions, webhooks), where 401 is not about the bot's. */
int status_error(const struct status *s, bool keyed, struct err *err);

/* May the same request succeed later, as it is? (5xx) */
bool status_passes(long http);

/* For a CURLcode but CURLE_OK. host is named in the sentence. */
int status_transfer_error(int curl_code, const char *host, struct err *err);

/* Can the request not have reached the other side? Then anything may be sent
 * again. */
bool status_never_left(int curl_code);

/* May another attempt fare better? */
bool status_transfer_passes(int curl_code);
