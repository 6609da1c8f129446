/* What happened, one line each, for people. Safe from any thread.
 *
 * Lines go to stderr or syslog, and the newest stay in memory for
 * `/.dbcord/log`. A text given to log_redact() never comes out: it is
 * replaced before a line is written anywhere. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG
};

/* Before the first thread. Without it lines go to stderr. */
void log_open_syslog(const char *name);
void log_set_level(enum log_level level);

/* Secrets of at least 8 bytes, at most 4 of them; copied. */
void log_redact(const char *secret);

void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_line(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_line(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Appends the newest lines, oldest first. */
void log_recent(struct buf *out);

/* Appends those written after the first `seen` lines of this process, as far
 * as they are kept. The number to ask with the next time. */
uint64_t log_since(uint64_t seen, struct buf *out);
