/* One window for each name and key, thrown away once it has closed. */
#include "tests/emulator/ratelimit.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"

struct window {
    char *name;
    uint64_t key;
    int used;
    int64_t closes;
};

struct ratelimit {
    struct map windows;
    size_t sweep_at; /* closed windows are swept out at this count */
};

struct window_key {
    const char *name;
    uint64_t key;
};

static uint64_t key_hash(const char *name, uint64_t key)
{
    return hash_str(name) ^ hash_u64(key);
}

static uint64_t window_hash(const void *item)
{
    const struct window *w = item;
    return key_hash(w->name, w->key);
}

static bool window_has_key(const void *item, const void *key)
{
    const struct window *w = item;
    const struct window_key *k = key;
    return w->key == k->key && strcmp(w->name, k->name) == 0;
}

static const struct map_type window_type = {window_hash, window_has_key};

struct ratelimit *ratelimit_new(void)
{
    struct ratelimit *rl = xcalloc(1, sizeof *rl);
    rl->windows = MAP_INIT(&window_type);
    rl->sweep_at = 256;
    return rl;
}

static void window_free(struct window *w)
{
    free(w->name);
    free(w);
}

void ratelimit_free(struct ratelimit *rl)
{
    if (!rl)
        return;
    size_t at = 0;
    for (struct window *w; (w = map_next(&rl->windows, &at));)
        window_free(w);
    map_release(&rl->windows);
    free(rl);
}

/* The open window, or NULL. */
static struct window *find(struct ratelimit *rl, const char *name, uint64_t key,
                           int64_t now)
{
    struct window_key k = {name, key};
    struct window *w = map_get(&rl->windows, key_hash(name, key), &k);
    return w && w->closes > now ? w : NULL;
}

int64_t ratelimit_wait(struct ratelimit *rl, const char *name, uint64_t key,
                       int limit, int64_t window_ms, int64_t now)
{
    (void)window_ms;
    const struct window *w = find(rl, name, key, now);
    return w && w->used >= limit ? w->closes - now : 0;
}

/* Windows are many (one a channel and bucket) and short: now and then the
 * closed ones go. */
static void sweep(struct ratelimit *rl, int64_t now)
{
    struct map kept = MAP_INIT(&window_type);
    size_t at = 0;
    for (struct window *w; (w = map_next(&rl->windows, &at));) {
        struct window_key k = {w->name, w->key};
        if (w->closes > now)
            map_put(&kept, &k, w);
        else
            window_free(w);
    }
    map_release(&rl->windows);
    rl->windows = kept;
    rl->sweep_at = 256 + 2 * kept.count;
}

void ratelimit_take(struct ratelimit *rl, const char *name, uint64_t key,
                    int limit, int64_t window_ms, int64_t now)
{
    (void)limit;
    struct window *w = find(rl, name, key, now);
    if (w) {
        w->used++;
        return;
    }

    if (rl->windows.count >= rl->sweep_at)
        sweep(rl, now);

    struct window_key k = {name, key};
    w = xcalloc(1, sizeof *w);
    w->name = xstrdup(name);
    w->key = key;
    w->used = 1;
    w->closes = now + window_ms;
    struct window *old = map_put(&rl->windows, &k, w);
    if (old)
        window_free(old);
}

struct ratelimit_state ratelimit_state(struct ratelimit *rl, const char *name,
                                       uint64_t key, int limit,
                                       int64_t window_ms, int64_t now)
{
    const struct window *w = find(rl, name, key, now);
    int left = w ? limit - w->used : limit;
    return (struct ratelimit_state){
        .limit = limit,
        .remaining = left > 0 ? left : 0,
        .reset_at = w ? w->closes : now + window_ms,
    };
}

size_t ratelimit_count(const struct ratelimit *rl)
{
    return rl->windows.count;
}
