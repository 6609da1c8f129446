/* The seam between the two halves: what the gateway, commands, interactions
 * and search give to main.c and server.c. */
#pragma once

#include <libwebsockets.h>

struct emulator;

/* Called once, after replay, before the first connection; and at the end. */
void gateway_open(struct emulator *e);
void gateway_close(struct emulator *e);
void commands_open(struct emulator *e); /* before replay */
void commands_close(struct emulator *e);
void interactions_open(struct emulator *e);
void interactions_close(struct emulator *e);
void search_open(struct emulator *e);
void search_close(struct emulator *e);

/* The WebSocket protocol: every connection whose first request's path is
 * /gateway (with or without / and ?query) is handed to libwebsockets with this
 * callback as its only protocol. lws_context_user() of the wsi's context is
 * the struct emulator. Size of the session's user data: gateway_session_size.
 */
int gateway_callback(struct lws *wsi, enum lws_callback_reasons reason,
                     void *user, void *in, size_t len);
extern const size_t gateway_session_size;
