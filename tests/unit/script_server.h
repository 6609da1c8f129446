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
