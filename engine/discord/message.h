/* Discord's JSON and what remote.h calls things: messages and channels read,
 * bodies of requests written. No I/O. Reading trusts nothing: what is missing
 * or of the wrong type is -EBADMSG, what is unknown is passed over. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"

struct json_object;

/* One JSON text, the whole of it, strict, in UTF-8; NULL if it is not. */
struct json_object *message_json(const char *data, size_t len);

/* The member as an id: a decimal string, or the number that Discord sends for
 * some. 0 where there is none or it is null. */
uint64_t message_id(struct json_object *o, const char *member);

/* A value as an id; false if it is none. */
bool message_id_of(struct json_object *v, uint64_t *id);

/* A string member, or NULL; len may be NULL. */
const char *message_text(struct json_object *o, const char *member,
                         size_t *len);

int64_t message_int(struct json_object *o, const char *member,
                    int64_t fallback);

/* An array of messages to reply->messages, oldest first, each id once. */
int message_read_list(struct json_object *array, struct remote_reply *reply);

/* A search's answer to messages (the hits), total and index_not_ready. */
int message_read_search(struct json_object *o, struct remote_reply *reply);

/* Is the draft one that Discord can take? -EINVAL, or -EFBIG for a file above
 * max_file or a whole above the limit of one request. */
int message_check_draft(const struct remote_draft *d, bool edit,
                        uint64_t max_file, struct err *err);

/* The whole request of a message, with its files. */
#define MESSAGE_REQUEST_MAX (25u << 20)

/* The JSON of a create (nonce: at most 25 characters) and of an edit. The
 * files themselves go as parts files[0], files[1], … beside it. */
void message_write_post(const struct remote_draft *d, const char *nonce,
                        struct buf *out);
void message_write_edit(const struct remote_draft *d, struct buf *out);

void message_write_channel(const struct remote_request *req, struct buf *out);
void message_write_thread(const char *name, struct buf *out);
void message_write_ids(const uint64_t *ids, size_t n, struct buf *out);
