/* The listening sockets, their connections, and the event loop: HTTP by
 * libmicrohttpd, the gateway's WebSocket by libwebsockets on a port of its
 * own, both in one thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct call;
struct emulator;
struct lws_context;

int server_open(struct emulator *e, struct err *err);
/* Until server_stop(), which a signal handler may call. */
void server_run(struct emulator *e);
void server_stop(void);
void server_close(struct emulator *e);

int server_port(const struct emulator *e);
struct lws_context *server_context(const struct emulator *e);

/* fire(e, arg) after ms of real time. */
void server_after(struct emulator *e, int64_t ms,
                  void (*fire)(struct emulator *e, void *arg), void *arg);
