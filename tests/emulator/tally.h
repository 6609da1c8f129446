/* What was asked: counts for GET /emulator/requests, and the newest exchanges
 * in full for GET /emulator/trace. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;
struct emulator;
struct json_object;

void tally_open(struct emulator *e);
void tally_close(struct emulator *e);

/* An API request has been answered; status 0: its connection was closed
 * without an answer. body is the answer's, JSON text or NULL. */
void tally_add(struct call *c, int status, const char *body, size_t len);

struct json_object *tally_json(struct emulator *e);
void tally_clear(struct emulator *e);

/* {"next":n,"exchanges":[…]}: those numbered from `since` on, as far as they
 * are still held. */
struct json_object *trace_json(struct emulator *e, uint64_t since);
