#include "engine/base/log.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <syslog.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

#define RECENT_LINES 512
#define MAX_SECRETS 4

static enum log_level max_level = LOG_LEVEL_INFO; /* set before the threads */
static bool to_syslog;                            /* likewise */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* leaf */
static char *secrets[MAX_SECRETS];                       /* under lock */
static char *recent[RECENT_LINES]; /* under lock: a ring */
static size_t recent_next;         /* under lock */
static uint64_t written;           /* under lock: lines since the start */

void log_open_syslog(const char *name)
{
    openlog(name, LOG_PID, LOG_DAEMON);
    to_syslog = true;
}

void log_set_level(enum log_level level)
{
    max_level = level;
}

void log_redact(const char *secret)
{
    if (strlen(secret) < 8)
        return;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < MAX_SECRETS; i++) {
        if (secrets[i] && strcmp(secrets[i], secret) == 0)
            break;
        if (!secrets[i]) {
            secrets[i] = xstrdup(secret);
            break;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void redact_locked(char *line)
{
    for (size_t i = 0; i < MAX_SECRETS && secrets[i]; i++) {
        size_t n = strlen(secrets[i]);
        for (char *at = line; (at = strstr(at, secrets[i])) != NULL; at += n)
            memset(at, '*', n);
    }
}

void log_line(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int prio[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    AUTO_BUF struct buf line = BUF_INIT;
    char when[CLOCK_ISO_SIZE];
    va_list ap;

    if (level > max_level)
        return;

    buf_printf(&line, "%s %s: ", clock_iso(clock_wall_ms(), when),
               names[level]);
    size_t start = line.len;
    va_start(ap, fmt);
    buf_vprintf(&line, fmt, ap);
    va_end(ap);
    /* One event is one line, whatever a server's answer had in it. */
    for (char *c = line.data; *c; c++)
        if ((unsigned char)*c < 0x20)
            *c = ' ';

    pthread_mutex_lock(&lock);
    redact_locked(line.data);
    if (to_syslog)
        syslog(prio[level], "%s", line.data + start);
    else
        fprintf(stderr, "%s\n", line.data);
    free(recent[recent_next]);
    recent[recent_next] = buf_take_str(&line);
    recent_next = (recent_next + 1) % RECENT_LINES;
    written++;
    pthread_mutex_unlock(&lock);
}

void log_recent(struct buf *out)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < RECENT_LINES; i++) {
        const char *line = recent[(recent_next + i) % RECENT_LINES];
        if (line) {
            buf_addstr(out, line);
            buf_addc(out, '\n');
        }
    }
    pthread_mutex_unlock(&lock);
}

uint64_t log_since(uint64_t seen, struct buf *out)
{
    pthread_mutex_lock(&lock);
    uint64_t first = written > RECENT_LINES ? written - RECENT_LINES : 0;
    for (uint64_t i = seen > first ? seen : first; i < written; i++) {
        buf_addstr(out, recent[i % RECENT_LINES]);
        buf_addc(out, '\n');
    }
    seen = written;
    pthread_mutex_unlock(&lock);
    return seen;
}
