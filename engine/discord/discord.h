/* remote.h over Discord's REST API v10. One thread drives all transfers
 * (libcurl multi: keep-alive, HTTP/2 where offered); it is the thread that
 * callbacks and builds come on. Safe from any thread. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"

struct discord;

struct discord_options {
    const char
        *api_url; /* "https://discord.com/api/v10", or http:// on loopback */
    const char
        *token; /* copied; wiped at close; sent to api_url's host alone */
};

/* Checks the URL, starts the thread, sends nothing. */
int discord_open(const struct discord_options *o, struct discord **out,
                 struct err *err);

/* The store; remote_close() of it closes the whole. */
struct remote *discord_remote(struct discord *d);

/* An API request that remote.h has no word for (doctor, gateway, commands):
 * method and path below the API's base, a JSON body or NULL. Waits. *status is
 * the HTTP status, 0 where none came; the answer's body, whatever the status,
 * goes to *out. Limits and retries as for all. */
int discord_request(struct discord *d, const char *method, const char *path,
                    const char *json, enum remote_priority priority,
                    long *status, struct buf *out, struct err *err);

/* For the gateway: where to connect (GET /gateway/bot) and how many identifies
 * are left today. Waits. */
struct discord_gateway {
    char url[256];
    int identifies_left;
    int64_t identifies_reset_ms;
};
int discord_gateway(struct discord *d, struct discord_gateway *out,
                    struct err *err);

/* The token, for IDENTIFY alone. */
const char *discord_token(const struct discord *d);

/* Parses one message / channel object as REST and gateway send them. These are
 * the only places that know Discord's JSON of them. 0 or -EBADMSG. */
struct json_object;
int discord_parse_message(struct json_object *o, struct remote_message *out);
int discord_parse_channel(struct json_object *o, struct remote_channel *out);

/* Appends the client's part of status.json: one JSON object with requests by
 * route, buckets that hold back, waiting requests by priority, the global
 * limit, invalid requests. */
void discord_status(struct discord *d, struct buf *out);
