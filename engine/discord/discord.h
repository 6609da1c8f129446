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
 * goes to *out (both may be NULL). Limits and retries as for all, but a POST
 * that may have counted is not repeated (-EIO says so). 0 for a 2xx alone. */
int discord_request(struct discord *d, const char *method, const char *path,
                    const char *json, enum remote_priority priority,
                    long *status, struct buf *out, struct err *err);

/* As discord_request(), with files for the attachments that json names:
 * multipart, json as payload_json. At most 10. */
int discord_request_files(struct discord *d, const char *method,
                          const char *path, const char *json,
                          const struct remote_upload *files, size_t n_files,
                          enum remote_priority priority, long *status,
                          struct buf *out, struct err *err);

/* As discord_request(), without waiting: done gets the body in reply->body,
 * whatever the status. The number is for remote_cancel(). */
uint64_t discord_submit(struct discord *d, const char *method, const char *path,
                        const char *json, enum remote_priority priority,
                        remote_done *done, void *arg);

/* The file behind a link that Discord has given (an attachment of an
 * interaction), of the size it has told. Waits. No token goes there. */
int discord_fetch(struct discord *d, const char *url, uint64_t size,
                  struct buf *out, struct err *err);

/* For the gateway: where to connect (GET /gateway/bot) and how many identifies
 * are left today. Waits. */
struct discord_gateway {
    char url[256];
    int identifies_left;
    int64_t identifies_reset_ms; /* from the answer on */
};
int discord_gateway(struct discord *d, struct discord_gateway *out,
                    struct err *err);

/* Reads the answer to GET /gateway/bot. -EBADMSG with the reason. */
int discord_parse_gateway(const struct buf *body, struct discord_gateway *out,
                          struct err *err);

/* The token, for IDENTIFY alone. */
const char *discord_token(const struct discord *d);

/* Parses one message / channel object as REST and gateway send them. These are
 * the only places that know Discord's JSON of them. 0 or -EBADMSG. */
struct json_object;
int discord_parse_message(struct json_object *o, struct remote_message *out);
int discord_parse_channel(struct json_object *o, struct remote_channel *out);

/* The rights in a channel that discord_parse_channel() cannot know (it says
 * yes to all): notes the object, then fills viewable, writable, manageable by
 * what is known of roles and overwrites. guild: where o does not say it. */
void discord_channel_rights(struct discord *d, uint64_t guild,
                            struct json_object *o, struct remote_channel *c);

/* Again for a channel noted before, after roles have changed. */
void discord_channel_rights_again(struct discord *d, struct remote_channel *c);

/* Fills permissions and max_file of the guild by what is known. */
void discord_guild_rights(struct discord *d, struct remote_guild *g);

/* Lets the store learn from a gateway event ("GUILD_CREATE", "GUILD_ROLE_*",
 * "GUILD_MEMBER_UPDATE", …) what it would else have to ask for. True: rights
 * may have changed. */
bool discord_note_event(struct discord *d, const char *type,
                        struct json_object *data);

/* Appends the client's part of status.json: one JSON object with requests by
 * route, buckets that hold back, waiting requests by priority, the global
 * limit, invalid requests. */
void discord_status(struct discord *d, struct buf *out);
