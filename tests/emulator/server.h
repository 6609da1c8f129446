/* The listening socket, its connections, and the event loop.
 *
 * The loop is libwebsockets'. Connections whose first request is for /gateway
 * are given to it whole (modules.h). All others are HTTP and spoken here, over
 * sockets that libwebsockets only polls: its own HTTP server does not read
 * chunked bodies or answer "Expect: 100-continue", and the faults this
 * emulator is for (a cut body, an answer that never comes) need the bytes. */
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
