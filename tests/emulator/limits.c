/* Which numbers: discord-api.md section 6, observed ones where Discord
 * publishes none. */
#include "tests/emulator/limits.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/http.h"
#include "tests/emulator/ratelimit.h"
#include "tests/emulator/route.h"

enum {
    GLOBAL_LIMIT = 50,
    GLOBAL_MS = 1000,
    INVALID_LIMIT = 10000,
    INVALID_MS = 600 * 1000,
    BAN_MS = 24 * 3600 * 1000,
};

struct limits {
    struct ratelimit *rl;
};

void limits_open(struct emulator *e)
{
    e->limits = xcalloc(1, sizeof *e->limits);
    e->limits->rl = ratelimit_new();
}

void limits_close(struct emulator *e)
{
    if (!e->limits)
        return;
    ratelimit_free(e->limits->rl);
    free(e->limits);
    e->limits = NULL;
}

/* Waits and takes: 0, or how long to wait. */
static int64_t use(struct emulator *e, const char *name, uint64_t key,
                   int limit, int64_t window_ms)
{
    struct ratelimit *rl = e->limits->rl;
    int64_t now = emulator_now(e);
    int64_t wait = ratelimit_wait(rl, name, key, limit, window_ms, now);

    if (wait && e->options.limits)
        return wait;
    if (!wait)
        ratelimit_take(rl, name, key, limit, window_ms, now);
    return 0;
}

bool limits_banned(struct call *c)
{
    struct emulator *e = c->e;
    int64_t wait =
        ratelimit_wait(e->limits->rl, "ban", 0, 1, BAN_MS, emulator_now(e));
    if (!wait || !e->options.limits)
        return false;

    /* Not Discord itself answers but what stands before it: no JSON. */
    static const char page[] =
        "<!doctype html><title>Access denied | discord.com used Cloudflare to "
        "restrict access</title><h1>Error 1015</h1><p>You are being rate "
        "limited.";
    call_header(c, "Retry-After", "%lld", (long long)((wait + 999) / 1000));
    call_raw(c, 429, "text/html; charset=UTF-8", page, sizeof page - 1);
    return true;
}

void limits_invalid(struct emulator *e)
{
    struct ratelimit *rl = e->limits->rl;
    int64_t now = emulator_now(e);

    ratelimit_take(rl, "invalid", 0, INVALID_LIMIT, INVALID_MS, now);
    /* The ban outlasts the window that led to it, and does not grow while
     * it lasts. */
    if (ratelimit_wait(rl, "invalid", 0, INVALID_LIMIT, INVALID_MS, now) &&
        !ratelimit_wait(rl, "ban", 0, 1, BAN_MS, now))
        ratelimit_take(rl, "ban", 0, 1, BAN_MS, now);
}

bool limits_global(struct call *c)
{
    int64_t wait = use(c->e, "global", 0, GLOBAL_LIMIT, GLOBAL_MS);
    if (!wait)
        return true;
    call_limited(c, wait, "global", 0);
    return false;
}

static void bucket_headers(struct call *c, const struct bucket *b, uint64_t key)
{
    int64_t now = emulator_now(c->e);
    struct ratelimit_state s = ratelimit_state(c->e->limits->rl, b->name, key,
                                               b->limit, b->window_ms, now);

    /* Opaque, the same for every resource, and for every run. */
    char hash[33];
    struct sha256 h = sha256_of(b->name, strlen(b->name));
    hex_of(h.byte, 16, hash);

    int left = c->e->options.limits || s.remaining ? s.remaining : 1;
    call_header(c, "X-RateLimit-Limit", "%d", s.limit);
    call_header(c, "X-RateLimit-Remaining", "%d", left);
    call_header(c, "X-RateLimit-Reset", "%.3f", (double)s.reset_at / 1000);
    call_header(c, "X-RateLimit-Reset-After", "%.3f",
                (double)(s.reset_at - now) / 1000);
    call_header(c, "X-RateLimit-Bucket", "%s", hash);
}

bool limits_bucket(struct call *c, const struct bucket *b, uint64_t key)
{
    if (b->bot)
        key = 0;
    int64_t wait = use(c->e, b->name, key, b->limit, b->window_ms);
    bucket_headers(c, b, key);
    if (!wait)
        return true;
    call_limited(c, wait, "user", 0);
    return false;
}

bool limits_hidden(struct call *c, const char *name, uint64_t key, int limit,
                   int64_t window_ms, const char *scope, int code)
{
    int64_t wait = use(c->e, name, key, limit, window_ms);
    if (!wait)
        return true;
    call_limited(c, wait, scope, code);
    return false;
}
