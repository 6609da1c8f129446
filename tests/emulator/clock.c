/* Time and timers. The clock never goes back: it counts monotonic time from
 * the wall time at start. */
#include "tests/emulator/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "tests/emulator/emulator.h"

void clock_init(struct emulator_clock *c)
{
    memset(c, 0, sizeof *c);
    c->wall0 = clock_wall_ms();
    c->mono0 = clock_mono_ms();
}

void clock_release(struct emulator_clock *c)
{
    while (c->timers) {
        struct timer *t = c->timers;
        c->timers = t->next;
        free(t);
    }
}

static int64_t clock_now(const struct emulator_clock *c)
{
    return c->wall0 + (clock_mono_ms() - c->mono0) + c->offset;
}

int64_t emulator_now(const struct emulator *e)
{
    return e->clock.held ? e->clock.held : clock_now(&e->clock);
}

struct timer *timer_at(struct emulator *e, int64_t at,
                       void (*fire)(struct emulator *e, void *arg), void *arg)
{
    struct timer *t = xcalloc(1, sizeof *t);
    t->at = at;
    t->seq = e->clock.seq++;
    t->fire = fire;
    t->arg = arg;

    struct timer **p = &e->clock.timers;
    while (*p && (*p)->at <= at)
        p = &(*p)->next;
    t->next = *p;
    *p = t;
    return t;
}

void timer_cancel(struct emulator *e, struct timer *t)
{
    if (!t)
        return;
    for (struct timer **p = &e->clock.timers; *p; p = &(*p)->next) {
        if (*p == t) {
            *p = t->next;
            free(t);
            return;
        }
    }
}

/* Fires the first timer if it is due by `until`. */
static bool fire_first(struct emulator *e, int64_t until)
{
    struct timer *t = e->clock.timers;
    if (!t || t->at > until)
        return false;
    e->clock.timers = t->next;
    t->fire(e, t->arg);
    free(t);
    return true;
}

void clock_advance(struct emulator *e, int64_t ms)
{
    int64_t target = clock_now(&e->clock) + ms;

    for (struct timer *t; (t = e->clock.timers) && t->at <= target;) {
        /* A timer that is overdue fires late, never in the past. */
        int64_t now = clock_now(&e->clock);
        e->clock.held = t->at > now ? t->at : now;
        fire_first(e, target);
    }
    e->clock.held = 0;
    e->clock.offset += ms;
}

void clock_run(struct emulator *e)
{
    /* The time is taken once: a timer that sets itself again for now must
     * not keep the loop here. */
    int64_t now = emulator_now(e);
    while (fire_first(e, now))
        ;
}

int64_t clock_next_ms(const struct emulator *e)
{
    if (!e->clock.timers)
        return -1;
    int64_t ms = e->clock.timers->at - emulator_now(e);
    return ms > 0 ? ms : 0;
}

const char *clock_stamp(int64_t ms, char out[CLOCK_STAMP_SIZE])
{
    time_t s = (time_t)(ms / 1000);
    struct tm tm;
    gmtime_r(&s, &tm);

    char day[24];
    strftime(day, sizeof day, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out, CLOCK_STAMP_SIZE, "%s.%03d000+00:00", day, (int)(ms % 1000));
    return out;
}

bool clock_parse_stamp(const char *s, int64_t *out)
{
    struct tm tm = {0};
    int n = 0;
    if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &n) != 6)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;

    s += n;
    int64_t ms = 0;
    if (*s == '.') {
        int64_t unit = 100;
        for (s++; *s >= '0' && *s <= '9'; s++, unit /= 10)
            ms += unit * (*s - '0');
    }

    int64_t zone = 0;
    if (*s == '+' || *s == '-' || *s == ' ') {
        /* A '+' in a query that nobody encoded arrives as a space. */
        int h = 0, m = 0;
        if (sscanf(s + 1, "%2d:%2d", &h, &m) != 2)
            return false;
        zone = (h * 60 + m) * 60000LL * (*s == '-' ? -1 : 1);
    } else if (strcmp(s, "Z") != 0 && *s != '\0') {
        return false;
    }
    *out = (int64_t)timegm(&tm) * 1000 + ms - zone;
    return true;
}
