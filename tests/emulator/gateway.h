/* The gateway as the emulator's other parts see it. */
#pragma once

#include <stdbool.h>

#include "tests/emulator/session.h"

struct call;
struct emulator;
struct json_object;

/* Where sessions connect. */
#define GATEWAY_URL_SIZE 96
const char *gateway_url(const struct emulator *e, char out[GATEWAY_URL_SIZE]);

/* Of the day's IDENTIFYs, and when they begin anew. */
int gateway_identifies_left(struct emulator *e, int64_t *reset_after_ms);

/* Publishes at the emulator's time; how many sessions got it. */
int gateway_publish(struct emulator *e, const struct session_event *ev);

/* Is there a session that would get it / that may read message content? */
bool gateway_anybody(struct emulator *e, uint32_t intents);
bool gateway_anybody_without(struct emulator *e, uint32_t intents);

/* event.c: the payloads a new session is greeted with. */
void event_welcome(struct emulator *e, struct session *s);
/* event.c: opcode 8 and its like; d is JSON. */
void event_request(struct emulator *e, struct session *s, int op,
                   const char *d);

/* Which channels the bot could not see when last asked, so that gaining
 * access is noticed. */
struct id_list;
struct id_list *gateway_hidden(struct emulator *e);

/* The JSON object a control route was sent; NULL: there is none and the call
 * was answered with what is wrong. The reference is the caller's. */
struct json_object *control_object(struct call *c);
