/* Three kinds of things, each with its lifetime:
 *
 *   family   a route, on every resource: the bucket name and limit it was
 *            last seen with, the first guess for a resource never asked
 *   lane     a route on one resource: what it has in flight, a hidden limit
 *            that holds it, and the bucket it counts against
 *   bucket   shared by the lanes whose answers name it on the same resource
 *
 *                   no headers            free: no limit is visible
 *                 .------------------------------------.
 *     unknown ----+  headers                           | a 429 nobody saw
 *     one at a    '---------> limited: remaining, <----' coming: counted by
 *     time                    reset_at                   the table below
 */
#include "engine/discord/ratelimit.h"

#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"

#define GLOBAL_LIMIT 50
/* A little over the second: requests may arrive closer together than they
 * left. */
#define GLOBAL_WINDOW_MS 1050

#define INVALID_WINDOW_MS 600000
#define INVALID_SLOT_MS 30000
#define INVALID_SLOTS (INVALID_WINDOW_MS / INVALID_SLOT_MS + 1)

#define HOLD_MAX_MS (24 * 3600 * (int64_t)1000)
#define LANES_MAX 4096

/* A header that allows this many says nothing: listing announced 999 of 1000
 * until the 429 said 0 of 5. */
#define NONSENSE_LIMIT 500

/* What others have observed, for routes whose headers are silent or absurd.
 * None of it is promised; where headers speak, they are believed. */
static const struct gentle {
    const char *name;
    int limit;
    int window_ms;
    const char *like; /* a route whose bucket it may share: some have seen it
                         so, others not */
} gentle[] = {
    {"POST /channels/{id}/messages", 5, 5000},
    {"PATCH /channels/{id}/messages/{id}", 5, 5000,
     "POST /channels/{id}/messages"},
    {"GET /channels/{id}/messages", 5, 5000},
    {"GET /channels/{id}/messages/{id}", 5, 5000},
    {"DELETE /channels/{id}/messages/{id}", 5, 1000},
    {"POST /channels/{id}/messages/bulk-delete", 1, 3000},
    {"PATCH /channels/{id}", 2, 600000},
    {"POST /channels/{id}/threads", 50, 300000},
    {"POST /channels/{id}/messages/{id}/threads", 50, 300000},
    {"GET /gateway/bot", 2, 5000},
    {"PUT /applications/{id}/guilds/{id}/commands", 2, 60000},
};
static const struct gentle gentle_others = {NULL, 5, 5000, NULL};

/* Edits of messages over an hour old, in each channel: documented to exist,
 * the number observed. */
static const char old_edits[] = "edits of messages over an hour old";
#define OLD_EDIT_LIMIT 3
#define OLD_EDIT_WINDOW_MS 6000

enum bucket_state { UNKNOWN, FREE, LIMITED };

struct bucket {
    char name[64]; /* "": not named by any answer */
    uint64_t major;
    int lanes; /* how many count against it */
    enum bucket_state state;
    bool counted_here; /* no header helps: window and use are ours alone */
    bool guessed;      /* reset_at is our guess, no answer has said it yet */
    int limit, remaining;
    int in_flight;
    uint64_t newest; /* ticket, of those answered */
    int64_t window_ms;
    int64_t reset_at; /* 0: nothing used since the window ended */
};

struct family {
    char *name;
    enum bucket_state state;
    char bucket[64];
    bool counted_here;
    int limit;
    int64_t window_ms;
};

struct lane {
    char *name;
    uint64_t major;
    struct bucket *bucket; /* never NULL */
    bool told; /* an answer has said which it is, here or elsewhere */
    int in_flight;
    int64_t held_until;
};

struct key {
    const char *name;
    uint64_t major;
};

struct ratelimit {
    struct map families, lanes, buckets; /* buckets: the named ones */
    uint64_t last_ticket;
    int64_t global_until;
    int64_t global_sent[GLOBAL_LIMIT]; /* a ring of the newest */
    size_t global_next;
    struct {
        int64_t start;
        int count;
    } invalid[INVALID_SLOTS];
};

static uint64_t key_hash(const char *name, uint64_t major)
{
    return hash_str(name) ^ hash_u64(major);
}

static uint64_t family_hash(const void *item)
{
    return hash_str(((const struct family *)item)->name);
}

static bool family_has(const void *item, const void *key)
{
    return strcmp(((const struct family *)item)->name, key) == 0;
}

static uint64_t lane_hash(const void *item)
{
    const struct lane *l = item;
    return key_hash(l->name, l->major);
}

static bool lane_has(const void *item, const void *key)
{
    const struct lane *l = item;
    const struct key *k = key;
    return l->major == k->major && strcmp(l->name, k->name) == 0;
}

static uint64_t bucket_hash(const void *item)
{
    const struct bucket *b = item;
    return key_hash(b->name, b->major);
}

static bool bucket_has(const void *item, const void *key)
{
    const struct bucket *b = item;
    const struct key *k = key;
    return b->major == k->major && strcmp(b->name, k->name) == 0;
}

static const struct map_type family_type = {family_hash, family_has};
static const struct map_type lane_type = {lane_hash, lane_has};
static const struct map_type bucket_type = {bucket_hash, bucket_has};

struct ratelimit *ratelimit_new(void)
{
    struct ratelimit *rl = xcalloc(1, sizeof(*rl));

    rl->families = MAP_INIT(&family_type);
    rl->lanes = MAP_INIT(&lane_type);
    rl->buckets = MAP_INIT(&bucket_type);
    for (size_t i = 0; i < GLOBAL_LIMIT; i++)
        rl->global_sent[i] = INT64_MIN / 2;
    for (size_t i = 0; i < INVALID_SLOTS; i++)
        rl->invalid[i].start = INT64_MIN / 2;
    return rl;
}

/* Drops a bucket that no lane counts against any more. */
static void bucket_unref(struct ratelimit *rl, struct bucket *b)
{
    if (--b->lanes > 0)
        return;
    if (b->name[0])
        map_remove(&rl->buckets, key_hash(b->name, b->major),
                   &(struct key){b->name, b->major});
    free(b);
}

static void lane_free(struct ratelimit *rl, struct lane *l)
{
    bucket_unref(rl, l->bucket);
    free(l->name);
    free(l);
}

void ratelimit_free(struct ratelimit *rl)
{
    if (!rl)
        return;

    size_t at = 0;
    struct family *f;
    while ((f = map_next(&rl->families, &at)) != NULL) {
        free(f->name);
        free(f);
    }
    at = 0;
    struct lane *l;
    while ((l = map_next(&rl->lanes, &at)) != NULL)
        lane_free(rl, l);
    map_release(&rl->families);
    map_release(&rl->lanes);
    map_release(&rl->buckets);
    free(rl);
}

static const struct gentle *gentle_find(const char *name)
{
    /* "DELETE … (fresh)" is a DELETE … too. */
    const char *note = strstr(name, " (");
    size_t n = note ? (size_t)(note - name) : strlen(name);

    for (size_t i = 0; i < sizeof(gentle) / sizeof(gentle[0]); i++)
        if (strlen(gentle[i].name) == n && memcmp(gentle[i].name, name, n) == 0)
            return &gentle[i];
    return &gentle_others;
}

static struct family *family_get(struct ratelimit *rl, const char *name)
{
    struct family *f = map_get(&rl->families, hash_str(name), name);

    if (!f) {
        f = xcalloc(1, sizeof(*f));
        f->name = xstrdup(name);
        map_put(&rl->families, f->name, f);
    }
    return f;
}

/* A bucket is used and refilled in windows; when one has ended all is there
 * again, but for what is under way and may count in the next. */
static void refill(struct bucket *b, int64_t now)
{
    if (b->reset_at == 0 || now < b->reset_at)
        return;
    b->reset_at = 0;
    b->remaining = b->limit > b->in_flight ? b->limit - b->in_flight : 0;
}

static void limit_to(struct bucket *b, int limit, int64_t window_ms)
{
    b->state = LIMITED;
    b->limit = limit;
    b->window_ms = window_ms;
    b->remaining = limit > b->in_flight ? limit - b->in_flight : 0;
    b->reset_at = 0;
}

static bool lane_idle(struct lane *l, int64_t now)
{
    refill(l->bucket, now);
    return l->in_flight == 0 && l->held_until <= now &&
           l->bucket->reset_at == 0;
}

/* Channels come and go; what was learned of one that is at rest is learned
 * again when it is asked for. */
static void forget_idle(struct ratelimit *rl, int64_t now)
{
    struct map kept = MAP_INIT(&lane_type);
    size_t at = 0;
    struct lane *l;

    while ((l = map_next(&rl->lanes, &at)) != NULL) {
        if (lane_idle(l, now))
            lane_free(rl, l);
        else
            map_put(&kept, &(struct key){l->name, l->major}, l);
    }
    map_release(&rl->lanes);
    rl->lanes = kept;
}

static struct bucket *bucket_named(struct ratelimit *rl, const char *name,
                                   uint64_t major)
{
    struct key k = {name, major};
    struct bucket *b = map_get(&rl->buckets, key_hash(name, major), &k);

    if (!b) {
        b = xcalloc(1, sizeof(*b));
        strncpy(b->name, name, sizeof(b->name) - 1);
        b->major = major;
        map_put(&rl->buckets, &(struct key){b->name, major}, b);
    }
    return b;
}

static struct lane *lane_get(struct ratelimit *rl, const char *name,
                             uint64_t major, int64_t now)
{
    struct key k = {name, major};
    struct lane *l = map_get(&rl->lanes, key_hash(name, major), &k);

    if (l)
        return l;
    if (rl->lanes.count >= LANES_MAX)
        forget_idle(rl, now);

    struct family *f = family_get(rl, name);
    const char *like = gentle_find(name)->like;
    l = xcalloc(1, sizeof(*l));
    l->name = xstrdup(name);
    l->major = major;
    l->told = f->state != UNKNOWN || name == old_edits;
    if (f->bucket[0]) {
        l->bucket = bucket_named(rl, f->bucket, major);
    } else if (!l->told && like) {
        l->bucket = lane_get(rl, like, major, now)->bucket;
    } else {
        l->bucket = xcalloc(1, sizeof(*l->bucket));
        l->bucket->major = major;
    }
    if (l->bucket->lanes == 0 && name == old_edits) {
        l->bucket->counted_here = true;
        limit_to(l->bucket, OLD_EDIT_LIMIT, OLD_EDIT_WINDOW_MS);
    } else if (l->bucket->lanes == 0 && f->state == LIMITED) {
        l->bucket->counted_here = f->counted_here;
        limit_to(l->bucket, f->limit, f->window_ms);
    } else if (l->bucket->lanes == 0) {
        l->bucket->state = f->state;
    }
    l->bucket->lanes++;
    map_put(&rl->lanes, &(struct key){l->name, major}, l);
    return l;
}

static int64_t longer(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t bucket_delay(struct bucket *b, int yields, int64_t now)
{
    refill(b, now);

    switch (b->state) {
    case UNKNOWN:
        return b->in_flight > 0 ? RATELIMIT_ANSWER : 0;
    case FREE:
        return 0;
    case LIMITED:
        break;
    }

    int need = yields >= 2 && b->limit > 1 ? 2 : 1;
    if (b->remaining >= need)
        return 0;
    if (b->reset_at)
        return b->reset_at - now;
    return b->in_flight > 0 ? RATELIMIT_ANSWER : 0;
}

static int64_t lane_delay(struct lane *l, int yields, int64_t now)
{
    int64_t held = l->held_until > now ? l->held_until - now : 0;

    if (!l->told && l->in_flight > 0)
        return RATELIMIT_ANSWER;
    return longer(held, bucket_delay(l->bucket, yields, now));
}

static int64_t global_delay(const struct ratelimit *rl, int yields, int64_t now)
{
    size_t leave = yields >= 2 ? 15 : yields == 1 ? 5 : 0;
    size_t may = GLOBAL_LIMIT - leave;
    /* The one that must have left the window before another may enter. */
    size_t i = (rl->global_next + GLOBAL_LIMIT - may) % GLOBAL_LIMIT;
    int64_t d = rl->global_sent[i] + GLOBAL_WINDOW_MS - now;

    return longer(longer(d, rl->global_until - now), 0);
}

static int64_t invalid_delay(struct ratelimit *rl, int64_t now)
{
    int64_t oldest = INT64_MAX;

    if (ratelimit_invalid_count(rl, now) < RATELIMIT_INVALID_MAX)
        return 0;
    for (size_t i = 0; i < INVALID_SLOTS; i++)
        if (rl->invalid[i].count > 0 && rl->invalid[i].start < oldest &&
            rl->invalid[i].start > now - INVALID_WINDOW_MS - INVALID_SLOT_MS)
            oldest = rl->invalid[i].start;
    return longer(oldest + INVALID_WINDOW_MS + INVALID_SLOT_MS - now, 1);
}

int64_t ratelimit_delay(struct ratelimit *rl,
                        const struct ratelimit_route *route, int64_t now)
{
    int64_t d = invalid_delay(rl, now);

    if (!route->exempt)
        d = longer(d, global_delay(rl, route->yields, now));
    d = longer(d, lane_delay(lane_get(rl, route->name, route->major, now),
                             route->yields, now));
    if (route->old_edit)
        d = longer(d, lane_delay(lane_get(rl, old_edits, route->major, now),
                                 route->yields, now));
    return d;
}

static void lane_sent(struct lane *l, int64_t now)
{
    struct bucket *b = l->bucket;

    refill(b, now);
    l->in_flight++;
    b->in_flight++;
    if (b->state != LIMITED)
        return;
    if (b->remaining > 0)
        b->remaining--;
    if (b->reset_at == 0) {
        b->reset_at = now + b->window_ms;
        b->guessed = true;
    }
}

uint64_t ratelimit_sent(struct ratelimit *rl,
                        const struct ratelimit_route *route, int64_t now)
{
    if (!route->exempt) {
        rl->global_sent[rl->global_next] = now;
        rl->global_next = (rl->global_next + 1) % GLOBAL_LIMIT;
    }
    lane_sent(lane_get(rl, route->name, route->major, now), now);
    if (route->old_edit)
        lane_sent(lane_get(rl, old_edits, route->major, now), now);
    return ++rl->last_ticket;
}

static void lane_landed(struct lane *l, int64_t now)
{
    struct bucket *b = l->bucket;

    /* The other side's window began when the request arrived, and that was
     * no later than now. */
    if (b->state == LIMITED && b->counted_here && b->guessed) {
        b->reset_at = now + b->window_ms;
        b->guessed = false;
    }
    assert(l->in_flight > 0 && b->in_flight > 0);
    l->in_flight--;
    b->in_flight--;
}

static void lane_move(struct ratelimit *rl, struct lane *l, struct bucket *to)
{
    struct bucket *from = l->bucket;

    to->lanes++;
    to->in_flight += l->in_flight;
    if (to->state == LIMITED)
        to->remaining -=
            l->in_flight < to->remaining ? l->in_flight : to->remaining;
    from->in_flight -= l->in_flight;
    l->bucket = to;
    bucket_unref(rl, from);
}

/* The answer names another bucket than the lane counted against. Those that
 * shared one without a name are taken to share this one as well. */
static void name_bucket(struct ratelimit *rl, struct lane *l, const char *name)
{
    struct bucket *from = l->bucket, *to = bucket_named(rl, name, l->major);
    bool nameless = from->name[0] == '\0' && from->lanes > 1;
    size_t at = 0;
    struct lane *other;

    lane_move(rl, l, to);
    while (nameless && (other = map_next(&rl->lanes, &at)) != NULL) {
        if (other->bucket != from)
            continue;
        nameless = from->lanes > 1; /* else from goes with this one */
        lane_move(rl, other, to);
    }
}

/* Headers against our own count. Ours has what is under way taken off
 * already, theirs only what has arrived: anything between is agreement. */
static void bucket_correct(struct bucket *b, int limit, int remaining,
                           int64_t reset_after, uint64_t ticket, int64_t now)
{
    bool overtaken = ticket < b->newest;

    if (remaining > limit)
        remaining = limit;

    int open = remaining - b->in_flight; /* at worst */
    if (open < 0)
        open = 0;

    if (b->state != LIMITED || b->counted_here) {
        b->state = LIMITED;
        b->counted_here = false;
        b->remaining = open;
        b->window_ms = 0;
    } else if (remaining < b->remaining) {
        b->remaining = open; /* somebody else uses this bucket too */
    } else if (remaining > b->remaining + b->in_flight && !overtaken) {
        b->remaining = open; /* a new window, or a larger limit */
    }
    if (overtaken)
        return;
    b->newest = ticket;

    b->limit = limit;
    if (reset_after > b->window_ms)
        b->window_ms = reset_after;
    b->reset_at = now + reset_after;
    b->guessed = false;
    if (b->remaining >= b->limit)
        b->remaining = b->limit;
}

static void count_here(struct bucket *b, const char *name)
{
    const struct gentle *g = gentle_find(name);

    b->counted_here = true;
    limit_to(b, g->limit, g->window_ms);
}

static void family_learn(struct family *f, const struct bucket *b)
{
    f->state = b->state;
    f->counted_here = b->counted_here;
    f->limit = b->limit;
    f->window_ms = b->window_ms;
    memcpy(f->bucket, b->name, sizeof(f->bucket));
}

void ratelimit_answered(struct ratelimit *rl,
                        const struct ratelimit_route *route, uint64_t ticket,
                        const struct ratelimit_headers *h, int status,
                        int64_t now)
{
    struct lane *l = lane_get(rl, route->name, route->major, now);
    struct family *f = family_get(rl, route->name);

    lane_landed(l, now);
    if (route->old_edit)
        lane_landed(lane_get(rl, old_edits, route->major, now), now);

    if (h->bucket[0] && strcmp(h->bucket, l->bucket->name) != 0)
        name_bucket(rl, l, h->bucket);

    struct bucket *b = l->bucket;
    bool usable = h->limit > 0 && h->limit < NONSENSE_LIMIT &&
                  h->remaining >= 0 && h->reset_after_ms >= 0;
    if (usable) {
        int64_t after =
            h->reset_after_ms < HOLD_MAX_MS ? h->reset_after_ms : HOLD_MAX_MS;
        bucket_correct(b, h->limit, h->remaining, after, ticket, now);
    } else if (b->state != LIMITED && h->limit >= NONSENSE_LIMIT) {
        count_here(b, route->name);
        b->remaining =
            b->limit > 1 + b->in_flight ? b->limit - 1 - b->in_flight : 0;
        b->reset_at = now + b->window_ms;
        b->guessed = false;
    } else if (b->state == UNKNOWN && status < 500 && status != 429 &&
               status != 401) {
        /* An answer of the API itself without a limit: none is visible. */
        b->state = FREE;
    } else {
        return;
    }
    l->told = true;
    family_learn(f, b);
}

void ratelimit_lost(struct ratelimit *rl, const struct ratelimit_route *route,
                    int64_t now)
{
    lane_landed(lane_get(rl, route->name, route->major, now), now);
    if (route->old_edit)
        lane_landed(lane_get(rl, old_edits, route->major, now), now);
}

enum ratelimit_scope ratelimit_scope(const char *scope, bool global, int code,
                                     int remaining)
{
    if (code == 30046)
        return RATELIMIT_OLD_EDIT;
    if (global || strcmp(scope, "global") == 0)
        return RATELIMIT_GLOBAL;
    if (strcmp(scope, "shared") == 0 || code == 40062)
        return RATELIMIT_SHARED;
    return remaining > 0 ? RATELIMIT_SHARED : RATELIMIT_USER;
}

void ratelimit_refused(struct ratelimit *rl,
                       const struct ratelimit_route *route,
                       enum ratelimit_scope scope, int64_t retry_after_ms,
                       int64_t now)
{
    if (retry_after_ms < 0)
        retry_after_ms = 0;
    if (retry_after_ms > HOLD_MAX_MS)
        retry_after_ms = HOLD_MAX_MS;

    int64_t until = now + retry_after_ms;
    struct lane *l = lane_get(rl, route->name, route->major, now);

    switch (scope) {
    case RATELIMIT_GLOBAL:
        rl->global_until = longer(rl->global_until, until);
        /* What the global limit does not cover was still refused. */
        if (route->exempt)
            l->held_until = longer(l->held_until, until);
        break;
    case RATELIMIT_OLD_EDIT:
        l = lane_get(rl, old_edits, route->major, now);
        l->held_until = longer(l->held_until, until);
        break;
    case RATELIMIT_SHARED:
        l->held_until = longer(l->held_until, until);
        break;
    case RATELIMIT_USER:
        if (l->bucket->state != LIMITED) {
            count_here(l->bucket, route->name);
            family_learn(family_get(rl, route->name), l->bucket);
        }
        l->bucket->remaining = 0;
        l->bucket->reset_at = until > 0 ? until : 1;
        l->bucket->guessed = false;
        break;
    }
}

void ratelimit_invalid(struct ratelimit *rl, int64_t now)
{
    int64_t start = now - now % INVALID_SLOT_MS;
    size_t i = (size_t)(start / INVALID_SLOT_MS) % INVALID_SLOTS;

    if (rl->invalid[i].start != start) {
        rl->invalid[i].start = start;
        rl->invalid[i].count = 0;
    }
    rl->invalid[i].count++;
}

int ratelimit_invalid_count(struct ratelimit *rl, int64_t now)
{
    int n = 0;

    for (size_t i = 0; i < INVALID_SLOTS; i++)
        if (rl->invalid[i].start > now - INVALID_WINDOW_MS - INVALID_SLOT_MS)
            n += rl->invalid[i].count;
    return n;
}

void ratelimit_status(struct ratelimit *rl, int64_t now, struct buf *out)
{
    int used = 0, shown = 0;
    size_t at = 0;
    struct lane *l;

    for (size_t i = 0; i < GLOBAL_LIMIT; i++)
        used += rl->global_sent[i] + GLOBAL_WINDOW_MS > now;
    buf_printf(out,
               "{\"global\":{\"limit\":%d,\"used\":%d,\"wait_ms\":%lld},"
               "\"invalid\":{\"count\":%d,\"max\":%d},\"held\":[",
               GLOBAL_LIMIT, used, (long long)longer(rl->global_until - now, 0),
               ratelimit_invalid_count(rl, now), RATELIMIT_INVALID_MAX);
    while ((l = map_next(&rl->lanes, &at)) != NULL && shown < 100) {
        int64_t d = lane_delay(l, 0, now);
        if (d == 0)
            continue;
        buf_addstr(out, shown++ ? ",{\"route\":" : "{\"route\":");
        buf_add_json(out, l->name, strlen(l->name));
        buf_printf(out, ",\"resource\":\"%llu\",\"in_flight\":%d",
                   (unsigned long long)l->major, l->in_flight);
        if (d != RATELIMIT_ANSWER)
            buf_printf(out, ",\"wait_ms\":%lld", (long long)d);
        buf_addc(out, '}');
    }
    buf_addstr(out, "]}");
}
