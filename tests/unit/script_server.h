/* A server on loopback that answers as a script says, for what the emulator
 * does not do: broken answers, odd headers, silence. A thread for each
 * connection; it knows nothing of what is asked. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"

struct script;

struct script *script_new(void);
void script_free(struct script *s);

/* "http://127.0.0.1:<port>" */
const char *script_url(const struct script *s);

/* The next request whose line begins with this ("GET /api/x") and for which
 * nothing was said before gets this answer, as it is: status line, headers,
 * body. A body is given its Content-Length here, unless headers has one. */
void script_answer(struct script *s, const char *line, int status,
                   const char *headers, const char *body);

/* It is read, and then the connection is closed … */
void script_drop(struct script *s, const char *line);
/* … or stays open without a byte. */
void script_hang(struct script *s, const char *line);

/* It becomes a WebSocket, and talk says on the connection's thread what is
 * said there. When it returns the connection ends. */
struct script_ws;
void script_websocket(struct script *s, const char *line,
                      void (*talk)(struct script_ws *ws, void *arg), void *arg);

/* For talk. A text message; one of a zlib-stream, in `pieces` fragments. */
void ws_say(struct script_ws *ws, const char *text);
void ws_say_packed(struct script_ws *ws, const char *text, int pieces);
/* A frame with these bytes as they are. */
void ws_say_raw(struct script_ws *ws, int opcode, const void *data, size_t len);
void ws_close(struct script_ws *ws, int code);
/* The next message; false when the other side has gone. */
bool ws_hear(struct script_ws *ws, struct buf *out);

/* How many requests came whose line begins so. */
int script_count(struct script *s, const char *line);

/* Waits until there were n of them; false after ten seconds. */
bool script_await(struct script *s, const char *line, int n);

/* The n-th (from 0) of them: line, headers and body as they came; "" if there
 * was none. Valid until script_free(). */
const char *script_request(struct script *s, const char *line, int n);

/* Requests nobody had said anything about: answered 500. */
int script_unexpected(struct script *s);

/* How many were under way at once, at most. */
int script_most_at_once(struct script *s);
