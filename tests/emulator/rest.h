/* What the API's handlers share. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct channel;
struct emulator;
struct guild;
struct json_object;
struct message;

/* What the path's i-th id names, if it is there and the bot holds `bits` (and
 * VIEW_CHANNEL for channels); NULL: the call was answered. */
struct guild *rest_guild(struct call *c, int i);
struct channel *rest_channel(struct call *c, int i, uint64_t bits);
struct message *rest_message(struct call *c, const struct channel *ch, int i);

/* A number of the query within its bounds, or the fallback when absent. False:
 * answered. */
bool rest_limit(struct call *c, const char *key, int64_t min, int64_t max,
                int64_t fallback, int64_t *out);
/* An id of the query; *given tells. False: answered. */
bool rest_query_id(struct call *c, const char *key, bool *given, uint64_t *id);

/* The application's members' intent, or 403. */
bool rest_members_intent(struct call *c);

/* The edited message's age limit; false: answered. */
bool rest_may_edit(struct call *c, const struct message *m);

/* permission_overwrites of a body into ch; errors to the form. False: answered
 * (bits the bot does not hold). */
struct form;
bool rest_take_overwrites(struct call *c, struct form *f,
                          struct json_object *body, struct channel *ch);
