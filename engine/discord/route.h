/* From what is asked to where it is asked: method, path, and what the request
 * counts against. No I/O. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"

struct route {
    char method[8];
    struct buf path; /* below the API's base, with the query */
    char name[160];  /* "GET /channels/{id}/messages": ids taken out */
    uint64_t major;  /* the channel, guild or webhook, 0 for none */
    bool exempt;     /* interactions and webhooks: no global limit; a 401 is
                        about their own token, not the bot's */
    bool old_edit;   /* an edit of a message over an hour old */
    bool repeatable; /* a second time changes nothing more */
};

void route_release(struct route *r);

/* Any method and path below the base. -EINVAL: not a path. */
int route_make(struct route *r, const char *method, const char *path,
               struct err *err);

/* A store's request, but for REMOTE_DOWNLOAD the message that has the file.
 * Checks what can be known to be refused before it is sent. wall_ms tells a
 * message's age. */
int route_of(struct route *r, const struct remote_request *req, int64_t wall_ms,
             struct err *err);

/* When the thing with this id was made. */
int64_t snowflake_ms(uint64_t id);
