/* A WebSocket client and its event loop: one connection at a time, one timer,
 * frames by libwebsockets, zlib-stream unpacked. Knows nothing of what the
 * messages mean. All but conn_wake() is for the thread that runs the loop, or
 * before it runs and after. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct conn;

/* Called on the loop's thread. After conn_open() or conn_close() nothing more
 * is heard of the connection before. */
struct conn_ops {
    void (*opened)(void *arg);
    void (*message)(void *arg, const char *text, size_t len);
    /* code: the close code, 0 if there was none. */
    void (*closed)(void *arg, int code, const char *why);
    void (*timer)(void *arg);
    void (*woken)(void *arg);
};

int conn_new(const struct conn_ops *ops, void *arg, struct conn **out,
             struct err *err);
void conn_free(struct conn *c);

/* Begins to connect; opened or closed comes. Negative: it cannot even begin. */
int conn_open(struct conn *c, const char *url, struct err *err);

/* A text message; copied, and the copy wiped when it has left. */
void conn_send(struct conn *c, const char *text, size_t len);

void conn_close(struct conn *c, int code);

/* timer comes when clock_mono_ms() reaches at; INT64_MAX: never. */
void conn_timer(struct conn *c, int64_t at);

/* Runs until conn_stop(), then lets a close that was begun go out, for half a
 * second at most. */
void conn_run(struct conn *c);
void conn_stop(struct conn *c);

/* woken comes on the loop's thread, soon, and once for several calls. From
 * any thread, between conn_new() and conn_free(). */
void conn_wake(struct conn *c);
