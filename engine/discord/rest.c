/* The store over Discord's REST API: one thread, all transfers.
 *
 *   submit ----> queue of its route ----> pick: may it leave? ----> under way
 *     any         by priority              ratelimit_delay()           |
 *     thread                                    ^                      |
 *                                               |  429, 5xx, lost,     |
 *                                               '---- next step -------+
 *                                                                      |
 *                                              callback <--- decided --'
 *
 * What is submitted waits in a list for its route and resource; a request
 * leaves when no limit holds it and a place is free, those of people first.
 * It is built (errand.c) at that moment. A 429 puts it back to the head of its
 * list, a failure that may pass too, after a pause. Nothing else decides.
 *
 * Patience: a caller's timeout_ms counts everything from the submission on.
 * Without one a request is given up after a minute of network time (attempts
 * and the pauses between them); waiting for a limit does not count, because
 * the end of that wait is known. */
#include "engine/discord/discord.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/map.h"
#include "engine/base/str.h"
#include "engine/base/waiter.h"
#include "engine/discord/errand.h"
#include "engine/discord/facts.h"
#include "engine/discord/message.h"
#include "engine/discord/ratelimit.h"
#include "engine/discord/status.h"
#include "engine/discord/transfer.h"
#include "engine/discord/url.h"
#include "engine/discord/waitlist.h"

/* Transfers at once: over HTTP/1.1 each takes a connection, over HTTP/2 they
 * share. */
#define PLAIN_MAX 16
#define SHARED_MAX 48

#define ATTEMPTS_MAX 6
#define PAUSE_FIRST_MS 250
#define PAUSE_MAX_MS 15000

/* "A few minutes", says Discord, does it remember a nonce. Within this time a
 * post in doubt is repeated; after it, never. */
#define NONCE_LIVES_MS 120000

/* At close, for what is under way to end. */
#define CLOSE_GRACE_MS 2000

#define COUNTS_MAX 200

struct count {
    char *route;
    uint64_t requests;
};

struct discord {
    struct remote remote; /* first */

    /* Set before the thread starts. */
    struct url api;
    char *base; /* api_url without a slash at its end */
    char *token;
    struct facts *facts;         /* has a lock of its own */
    struct transfers *transfers; /* the thread's alone, but for a wake-up */
    int most;
    pthread_t thread;

    uint64_t random; /* the thread's alone */

    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    /* under lock, all below */
    struct waitlist *waitlist;
    struct errand *over_first; /* ended without leaving: callbacks due */
    struct errand *over_last;
    struct ratelimit *ratelimit;
    uint64_t last_number;
    bool closing;
    bool refused; /* a 401: the token is worth nothing any more */
    int under_way;
    struct map counts;
    uint64_t total, refused_429, repeated;
};

static uint64_t count_hash(const void *item)
{
    return hash_str(((const struct count *)item)->route);
}

static bool count_has(const void *item, const void *key)
{
    return strcmp(((const struct count *)item)->route, key) == 0;
}

static const struct map_type count_type = {count_hash, count_has};

static void count_locked(struct discord *d, const char *route)
{
    struct count *c = map_get(&d->counts, hash_str(route), route);

    d->total++;
    if (!c && d->counts.count < COUNTS_MAX) {
        c = xcalloc(1, sizeof(*c));
        c->route = xstrdup(route);
        map_put(&d->counts, c->route, c);
    }
    if (c)
        c->requests++;
}

/* --- the end of an errand --- */

static const char token_refused[] =
    "Discord refused the token earlier, so nothing is sent any more; put the "
    "bot's current one into DISCORD_BOT_TOKEN and start again";
static const char being_closed[] = "the connection to Discord is being closed";

/* It ended without leaving: its callback comes on the thread. */
static void over_locked(struct discord *d, struct errand *e, int result,
                        const char *why)
{
    if (why)
        errand_fail(e, result, "%s", why);
    e->next = NULL;
    if (d->over_last)
        d->over_last->next = e;
    else
        d->over_first = e;
    d->over_last = e;
}

static void all_over_locked(struct discord *d, struct errand *list, int result,
                            const char *why)
{
    while (list) {
        struct errand *next = list->next;
        over_locked(d, list, result, why);
        list = next;
    }
}

/* No answer of Discord's repeats the token; but were one to, nobody reads it.
 */
static void hide_token(const struct discord *d, struct err *err)
{
    size_t n = strlen(d->token);

    for (char *at = err->text; (at = strstr(at, d->token)) != NULL; at += n)
        memset(at, '*', n);
}

static void deliver(struct discord *d, struct errand *e)
{
    assert(e->state == ERRAND_OVER && !e->transfer);
    hide_token(d, &e->err);
    e->done(e->arg, e->result, &e->reply, &e->err);
    errand_free(e);
}

/* --- sending --- */

/* The reservation of one that did not leave after all. */
static void give_back(struct discord *d, struct errand *e, int64_t now)
{
    struct ratelimit_route lane = waitlist_lane(e);

    pthread_mutex_lock(&d->lock);
    ratelimit_lost(d->ratelimit, &lane, now);
    d->under_way--;
    pthread_mutex_unlock(&d->lock);
}

/* Where a file may be fetched from: links come from outside. */
static int check_link(struct discord *d, struct errand *e)
{
    struct url u;
    struct err why = ERR_INIT;

    int r = url_parse(e->link.data, &u, &why);
    if (r == 0 && !u.tls && !d->api.loopback)
        r = err_set(&why, -EINVAL, "%s: the link has no TLS", u.host);
    if (r < 0)
        errand_fail(e, -EIO, "file %" PRIu64 " cannot be fetched: %s", e->file,
                    err_text(&why, r));
    return r;
}

static int may_leave(struct discord *d, struct errand *e, int64_t now)
{
    if (e->op == REMOTE_POST && !e->raw && e->doubtful_since &&
        now - e->doubtful_since > NONCE_LIVES_MS) {
        errand_fail(
            e, -ETIMEDOUT,
            "whether the message was posted is not known, and it is too "
            "late to ask again");
        return -ETIMEDOUT;
    }
    if (errand_is_file(e))
        return check_link(d, e);
    return errand_prepare(e, d->facts);
}

static void leave(struct discord *d, struct errand *e)
{
    AUTO_BUF struct buf url = BUF_INIT;
    int64_t now = clock_mono_ms();

    if (may_leave(d, e, now) < 0) {
        give_back(d, e, now);
        deliver(d, e);
        return;
    }

    struct transfer_request r = {
        .method = errand_is_file(e) ? "GET" : e->route.method,
        .max_answer = errand_max_answer(e),
        .timeout_ms = e->patience_ms > 1 ? e->patience_ms : 1,
        .user = e,
    };
    if (errand_is_file(e)) {
        r.url = e->link.data;
    } else {
        buf_printf(&url, "%s%s", d->base, e->route.path.data);
        r.url = url.data;
        r.token = d->token;
        r.json = errand_json(e, &r.json_len);
        r.files = errand_files(e, &r.n_files);
        r.once = !e->route.repeatable;
        e->reply.sent++;
    }
    if (e->deadline && e->deadline - now < r.timeout_ms)
        r.timeout_ms = e->deadline > now ? e->deadline - now : 1;
    e->left_at = now;
    e->state = ERRAND_UNDER_WAY;
    e->transfer = transfer_start(d->transfers, &r);
}

/* Lets go what may; how long until more may by time alone. */
static int64_t let_go(struct discord *d)
{
    int64_t wait;

    for (;;) {
        int64_t now = clock_mono_ms();

        wait = INT64_MAX;
        pthread_mutex_lock(&d->lock);
        if (d->refused)
            all_over_locked(d, waitlist_all(d->waitlist), -EPERM,
                            token_refused);
        if (d->closing)
            all_over_locked(d, waitlist_all(d->waitlist), -ESHUTDOWN,
                            being_closed);
        all_over_locked(d, waitlist_late(d->waitlist, now, &wait), -ETIMEDOUT,
                        "no answer in time: Discord's rate limits or the "
                        "network held it back");
        struct errand *e = waitlist_pick(d->waitlist, d->ratelimit,
                                         d->most - d->under_way, now, &wait);
        if (e) {
            count_locked(d, waitlist_lane(e).name);
            e->state = ERRAND_LEAVING;
            d->under_way++;
        }
        pthread_mutex_unlock(&d->lock);
        if (!e)
            break;
        leave(d, e);
    }
    return wait;
}

/* --- answers --- */

static int64_t pause_ms(struct discord *d, int attempts)
{
    int64_t most = PAUSE_FIRST_MS;

    for (int i = 1; i < attempts && most < PAUSE_MAX_MS; i++)
        most *= 2;
    if (most > PAUSE_MAX_MS)
        most = PAUSE_MAX_MS;
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return most / 2 + (int64_t)(d->random % (uint64_t)(most / 2 + 1));
}

/* Back to the head of its list. */
static void again(struct discord *d, struct errand *e, int64_t pause)
{
    e->not_before = clock_mono_ms() + pause;
    pthread_mutex_lock(&d->lock);
    e->state = ERRAND_QUEUED;
    waitlist_add(d->waitlist, e, true);
    pthread_mutex_unlock(&d->lock);
}

/* A failure that may pass: another attempt, or the end with what err says. */
static void failed(struct discord *d, struct errand *e, bool passes,
                   bool in_doubt, int64_t least_pause)
{
    int64_t now = clock_mono_ms();

    /* Of a question it does not matter whether it was heard. */
    if (strcmp(e->route.method, "GET") == 0)
        in_doubt = false;
    if (in_doubt && !e->doubtful_since)
        e->doubtful_since = now;
    e->attempts++;

    bool unsafe = in_doubt && !e->route.repeatable;
    int64_t pause = pause_ms(d, e->attempts);
    if (pause < least_pause)
        pause = least_pause;
    e->patience_ms -= pause;
    if (!unsafe && passes && e->attempts < ATTEMPTS_MAX && e->patience_ms > 0 &&
        (!e->deadline || now + pause < e->deadline)) {
        pthread_mutex_lock(&d->lock);
        d->repeated++;
        pthread_mutex_unlock(&d->lock);
        again(d, e, pause);
        return;
    }
    e->state = ERRAND_OVER;
    if (unsafe) {
        struct err why = e->err;
        errand_fail(e, -EIO,
                    "whether it was done is not known, and it is not safe to "
                    "ask again: %.400s",
                    why.text);
    } else if (e->deadline && now + pause >= e->deadline &&
               e->result == -ENETUNREACH) {
        e->result = -ETIMEDOUT;
    }
    deliver(d, e);
}

/* A 429: the limits know until when; the request goes back to the head. */
static void refused(struct discord *d, struct errand *e)
{
    int64_t extra = 0;

    /* Again right after the wait it asked for: the wait was not the truth. */
    if (e->refused++ > 0)
        extra = pause_ms(d, e->refused);
    again(d, e, extra);
}

/* What an answer does to the limits and the counts. */
static void account(struct discord *d, struct errand *e,
                    const struct transfer_answer *a, const struct status *s)
{
    int64_t now = clock_mono_ms();
    struct ratelimit_route lane = waitlist_lane(e);

    pthread_mutex_lock(&d->lock);
    d->under_way--;
    if (a->curl_code != 0)
        ratelimit_lost(d->ratelimit, &lane, now);
    else
        ratelimit_answered(d->ratelimit, &lane, e->ticket, &a->limits,
                           (int)a->http, now);

    if (a->curl_code == 0 && a->http == 429) {
        /* The body is exact to the millisecond, the header rounded up. */
        int64_t after = s->retry_after >= 0 && s->retry_after < 1e6
                            ? (int64_t)(s->retry_after * 1000 + 0.999)
                            : a->retry_after_ms;
        enum ratelimit_scope scope = ratelimit_scope(
            a->scope, a->global || s->global, s->code, a->limits.remaining);
        /* A page of the proxy in front: this whole address is unwelcome. */
        if (!s->json && !a->scope[0] && !errand_is_file(e))
            scope = RATELIMIT_GLOBAL;
        /* The message grew old while it waited: it waits with its like now. */
        if (scope == RATELIMIT_OLD_EDIT)
            e->route.old_edit = true;
        d->refused_429++;
        ratelimit_refused(d->ratelimit, &lane, scope, after < 0 ? 5000 : after,
                          now);
    }
    bool shared = strcmp(a->scope, "shared") == 0;
    if (a->curl_code == 0 && !errand_is_file(e) &&
        (a->http == 401 || a->http == 403 || (a->http == 429 && !shared)))
        ratelimit_invalid(d->ratelimit, now);
    if (a->curl_code == 0 && a->http == 401 && !lane.exempt)
        d->refused = true;
    pthread_mutex_unlock(&d->lock);
}

static void answered(struct discord *d, struct transfer_answer *a)
{
    struct errand *e = a->user;
    struct status s = {.http = a->http, .retry_after = -1};
    const char *host = errand_is_file(e) ? "the file server" : d->api.host;

    e->transfer = NULL;
    e->result = 0; /* of an earlier attempt or step */
    e->err = ERR_INIT;
    e->patience_ms -= clock_mono_ms() - e->left_at;
    if (a->curl_code == 0 && (a->http < 200 || a->http > 299))
        status_read(&s, a->http, a->body.data, a->body.len);
    account(d, e, a, &s);

    if (a->curl_code != 0) {
        e->result = status_transfer_error(a->curl_code, host, &e->err);
        failed(d, e, status_transfer_passes(a->curl_code),
               !status_never_left(a->curl_code), 0);
        return;
    }
    if (a->http == 429) {
        refused(d, e);
        return;
    }
    e->refused = 0;
    if (status_passes(a->http)) {
        int64_t least = a->retry_after_ms < 30000 ? a->retry_after_ms : 30000;
        e->result = status_error(&s, e->route.exempt, &e->err);
        if (e->raw && e->raw_status)
            *e->raw_status = a->http;
        if (e->raw) {
            buf_release(&e->reply.body);
            e->reply.body = buf_take(&a->body);
        }
        failed(d, e, true, true, least);
        return;
    }
    switch (errand_answered(e, &s, &a->body, d->facts)) {
    case ERRAND_DECIDED:
        deliver(d, e);
        return;
    case ERRAND_STEP:
        again(d, e, 0);
        return;
    case ERRAND_UNREADABLE:
        e->result = err_set(&e->err, -EIO, "%s's answer to %s cannot be read",
                            host, e->route.name);
        failed(d, e, true, true, 0);
        return;
    }
}

/* --- the thread --- */

static bool deliver_over(struct discord *d)
{
    pthread_mutex_lock(&d->lock);
    struct errand *e = d->over_first;
    d->over_first = d->over_last = NULL;
    pthread_mutex_unlock(&d->lock);

    bool any = e != NULL;
    while (e) {
        struct errand *next = e->next;
        e->next = NULL;
        deliver(d, e);
        e = next;
    }
    return any;
}

static bool take_answers(struct discord *d)
{
    struct transfer_answer a;
    bool any = false;

    while (transfers_next(d->transfers, &a)) {
        any = true;
        answered(d, &a);
        buf_release(&a.body);
    }
    return any;
}

static void *rest_thread(void *arg)
{
    struct discord *d = arg;
    int64_t close_at = 0;

    for (;;) {
        int64_t wait = let_go(d);
        transfers_run(d->transfers);
        /* Each may have made room or work for others. */
        bool any = take_answers(d);
        any = deliver_over(d) || any;
        if (any)
            continue;

        pthread_mutex_lock(&d->lock);
        bool closing = d->closing;
        bool end = closing && d->under_way == 0 && !d->over_first;
        pthread_mutex_unlock(&d->lock);
        if (end)
            return NULL;
        if (closing) {
            int64_t now = clock_mono_ms();
            if (close_at == 0)
                close_at = now + CLOSE_GRACE_MS;
            if (now >= close_at)
                transfers_give_up(d->transfers);
            else if (close_at - now < wait)
                wait = close_at - now;
        }
        transfers_wait(d->transfers, wait);
    }
}

/* --- what others call --- */

static void wake(struct discord *d)
{
    transfers_wake(d->transfers);
}

static uint64_t submit_errand(struct discord *d, struct errand *e,
                              int64_t timeout_ms)
{
    if (timeout_ms > 0)
        e->deadline = clock_mono_ms() + timeout_ms;

    pthread_mutex_lock(&d->lock);
    uint64_t number = e->number = ++d->last_number;
    if (e->state == ERRAND_OVER)
        over_locked(d, e, 0, NULL);
    else if (d->refused)
        over_locked(d, e, -EPERM, token_refused);
    else if (d->closing)
        over_locked(d, e, -ESHUTDOWN, being_closed);
    else
        waitlist_add(d->waitlist, e, false);
    pthread_mutex_unlock(&d->lock);
    wake(d);
    return number;
}

static uint64_t discord_op_submit(struct remote *r, struct remote_request *req,
                                  remote_done *done, void *arg)
{
    struct discord *d = (struct discord *)r;

    return submit_errand(d,
                         errand_new(req, done, arg, d->facts, clock_wall_ms()),
                         req->timeout_ms);
}

static bool discord_op_cancel(struct remote *r, uint64_t number)
{
    struct discord *d = (struct discord *)r;

    pthread_mutex_lock(&d->lock);
    struct errand *e = waitlist_cancel(d->waitlist, number);
    if (e)
        over_locked(d, e, -ECANCELED, "cancelled");
    pthread_mutex_unlock(&d->lock);
    if (e)
        wake(d);
    return e != NULL;
}

static void discord_free(struct discord *d)
{
    assert(!d->over_first);

    size_t at = 0;
    struct count *c;
    while ((c = map_next(&d->counts, &at)) != NULL) {
        free(c->route);
        free(c);
    }
    map_release(&d->counts);
    waitlist_free(d->waitlist);
    ratelimit_free(d->ratelimit);
    transfers_free(d->transfers);
    facts_free(d->facts);
    if (d->token)
        explicit_bzero(d->token, strlen(d->token));
    free(d->token);
    free(d->base);
    pthread_mutex_destroy(&d->lock);
    free(d);
}

static void discord_op_close(struct remote *r)
{
    struct discord *d = (struct discord *)r;

    pthread_mutex_lock(&d->lock);
    d->closing = true;
    pthread_mutex_unlock(&d->lock);
    wake(d);
    pthread_join(d->thread, NULL);
    discord_free(d);
}

static const struct remote_ops discord_ops = {
    discord_op_submit,
    discord_op_cancel,
    discord_op_close,
};

/* What can be in a header, and nothing that could end it. */
static int check_token(const char *token, struct err *err)
{
    size_t n = token ? strlen(token) : 0;

    if (n == 0)
        return err_set(err, -EINVAL,
                       "there is no token; set "
                       "DISCORD_BOT_TOKEN");
    for (size_t i = 0; i < n; i++)
        if ((unsigned char)token[i] <= 0x20 || (unsigned char)token[i] >= 0x7f)
            return err_set(err, -EINVAL,
                           "DISCORD_BOT_TOKEN holds a character that no "
                           "token has");
    return n > 500 ? err_set(err, -EINVAL, "DISCORD_BOT_TOKEN is too long") : 0;
}

int discord_open(const struct discord_options *o, struct discord **out,
                 struct err *err)
{
    struct url api;

    int r = check_token(o->token, err);
    if (r < 0)
        return r;
    r = url_parse(o->api_url, &api, err);
    if (r < 0)
        return err_wrap(err, r, "DBCORD_API_URL");
    if (strchr(api.path, '?'))
        return err_set(err, -EINVAL, "DBCORD_API_URL: must not have a query");
    log_redact(o->token);

    struct discord *d = xcalloc(1, sizeof(*d));
    d->remote.ops = &discord_ops;
    d->api = api;
    d->base = xstrdup(o->api_url);
    for (size_t n = strlen(d->base); n > 0 && d->base[n - 1] == '/'; n--)
        d->base[n - 1] = '\0';
    d->token = xstrdup(o->token);
    d->facts = facts_new();
    d->most = api.tls ? SHARED_MAX : PLAIN_MAX;
    d->transfers = transfers_new(!api.tls, d->most);
    d->waitlist = waitlist_new();
    d->ratelimit = ratelimit_new();
    d->counts = MAP_INIT(&count_type);
    if (getrandom(&d->random, sizeof(d->random), 0) < 0 || d->random == 0)
        d->random = (uint64_t)clock_wall_ms() | 1;
    pthread_mutex_init(&d->lock, NULL);

    int e = pthread_create(&d->thread, NULL, rest_thread, d);
    if (e != 0) {
        discord_free(d);
        return err_set(err, -e, "no thread can be started: %s", strerror(e));
    }
    *out = d;
    return 0;
}

struct remote *discord_remote(struct discord *d)
{
    return &d->remote;
}

const char *discord_token(const struct discord *d)
{
    return d->token;
}

uint64_t discord_submit(struct discord *d, const char *method, const char *path,
                        const char *json, enum remote_priority priority,
                        remote_done *done, void *arg)
{
    return submit_errand(
        d,
        errand_new_raw(method, path, json, NULL, 0, priority, done, arg, NULL),
        0);
}

/* discord_request_files()'s: where its answer goes. */
struct wait {
    struct waiter waiter;
    struct buf *out;
};

static void finish_wait(void *arg, int r, struct remote_reply *reply,
                        const struct err *err)
{
    struct wait *w = arg;

    /* A refusal's body too: it may be looked at. */
    if (w->out) {
        buf_release(w->out);
        *w->out = buf_take(&reply->body);
    }
    waiter_done(&w->waiter, r, err);
}

int discord_request_files(struct discord *d, const char *method,
                          const char *path, const char *json,
                          const struct remote_upload *files, size_t n_files,
                          enum remote_priority priority, long *status,
                          struct buf *out, struct err *err)
{
    struct wait w = {.out = out};

    if (status)
        *status = 0;
    if (n_files > TRANSFER_FILES_MAX)
        return err_set(err, -EINVAL, "%zu files; one message has at most %d",
                       n_files, TRANSFER_FILES_MAX);
    waiter_init(&w.waiter, err);
    submit_errand(d,
                  errand_new_raw(method, path, json, files, n_files, priority,
                                 finish_wait, &w, status),
                  0);
    int r = waiter_wait(&w.waiter);
    waiter_release(&w.waiter);
    return r;
}

int discord_request(struct discord *d, const char *method, const char *path,
                    const char *json, enum remote_priority priority,
                    long *status, struct buf *out, struct err *err)
{
    return discord_request_files(d, method, path, json, NULL, 0, priority,
                                 status, out, err);
}

int discord_fetch(struct discord *d, const char *url, uint64_t size,
                  struct buf *out, struct err *err)
{
    struct wait w = {.out = out};

    waiter_init(&w.waiter, err);
    submit_errand(
        d, errand_new_file(url, size, REMOTE_INTERACTIVE, finish_wait, &w), 0);
    int r = waiter_wait(&w.waiter);
    waiter_release(&w.waiter);
    return r;
}

int discord_parse_gateway(const struct buf *body, struct discord_gateway *out,
                          struct err *err)
{
    struct discord_gateway g = {.identifies_left = 1000};
    struct json_object *o =
        message_json(body->data ? body->data : "", body->len);
    struct json_object *limit = NULL;
    const char *url = message_text(o, "url", NULL);
    struct url parsed;
    int r = 0;

    if (!url || strlen(url) >= sizeof(g.url)) {
        r = err_set(err, -EBADMSG,
                    "Discord's answer to GET /gateway/bot names no address");
    } else if (url_parse(url, &parsed, err) < 0) {
        r = err_wrap(err, -EBADMSG, "the gateway's address");
    } else {
        strcpy(g.url, url);
        if (json_object_object_get_ex(o, "session_start_limit", &limit)) {
            int64_t left = message_int(limit, "remaining", 1000);
            int64_t reset = message_int(limit, "reset_after", 0);
            g.identifies_left = left < 0        ? 0
                                : left > 100000 ? 100000
                                                : (int)left;
            g.identifies_reset_ms = reset < 0 ? 0 : reset;
        }
        *out = g;
    }
    json_object_put(o);
    return r;
}

int discord_gateway(struct discord *d, struct discord_gateway *out,
                    struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;

    int r = discord_request(d, "GET", "/gateway/bot", NULL, REMOTE_INTERACTIVE,
                            NULL, &body, err);
    if (r < 0)
        return err_wrap(err, r, "where the gateway is");
    return discord_parse_gateway(&body, out, err);
}

void discord_channel_rights(struct discord *d, uint64_t guild,
                            struct json_object *o, struct remote_channel *c)
{
    facts_note_channel(d->facts, guild, o);
    facts_rights(d->facts, c);
}

void discord_channel_rights_again(struct discord *d, struct remote_channel *c)
{
    facts_rights(d->facts, c);
}

void discord_guild_rights(struct discord *d, struct remote_guild *g)
{
    g->permissions = facts_guild_bits(d->facts, g->id);
    g->max_file = facts_max_file(d->facts, g->id, 0);
}

bool discord_note_event(struct discord *d, const char *type,
                        struct json_object *data)
{
    uint64_t guild = message_id(data, "guild_id");
    struct json_object *role = NULL;

    if (strcmp(type, "READY") == 0) {
        struct json_object *user = NULL;
        if (json_object_object_get_ex(data, "user", &user) &&
            message_id(user, "id"))
            facts_note_me(d->facts, message_id(user, "id"));
        return false;
    }
    if (strcmp(type, "GUILD_CREATE") == 0 || strcmp(type, "GUILD_UPDATE") == 0)
        facts_note_guild(d->facts, data);
    else if (strcmp(type, "GUILD_DELETE") == 0)
        facts_guild_gone(d->facts, message_id(data, "id"));
    else if (strcmp(type, "GUILD_MEMBER_UPDATE") == 0)
        facts_note_member(d->facts, guild, data);
    else if (strcmp(type, "GUILD_ROLE_DELETE") == 0)
        facts_role_gone(d->facts, guild, message_id(data, "role_id"));
    else if ((strcmp(type, "GUILD_ROLE_CREATE") == 0 ||
              strcmp(type, "GUILD_ROLE_UPDATE") == 0) &&
             json_object_object_get_ex(data, "role", &role))
        facts_note_role(d->facts, guild, role);
    else
        return false;
    return true;
}

static void add_count(struct buf *out, const char *name, uint64_t n)
{
    buf_printf(out, "\"%s\":%" PRIu64 ",", name, n);
}

void discord_status(struct discord *d, struct buf *out)
{
    static const char *const names[WAITLIST_PRIORITIES] = {
        "interactive", "normal", "background"};
    size_t at = 0;
    bool first = true;
    struct count *c;

    pthread_mutex_lock(&d->lock);
    buf_addstr(out, "{\"host\":");
    buf_add_json(out, d->api.host, strlen(d->api.host));
    buf_printf(out, ",\"token\":\"%s\",\"under_way\":%d,\"waiting\":{",
               d->refused ? "refused" : "not refused", d->under_way);
    for (int p = 0; p < WAITLIST_PRIORITIES; p++)
        buf_printf(out, "%s\"%s\":%" PRIu64, p ? "," : "", names[p],
                   waitlist_count(d->waitlist, p));
    buf_addstr(out, "},\"requests\":{");
    add_count(out, "total", d->total);
    add_count(out, "rate_limited", d->refused_429);
    add_count(out, "repeated", d->repeated);
    buf_addstr(out, "\"routes\":{");
    while ((c = map_next(&d->counts, &at)) != NULL) {
        if (!first)
            buf_addc(out, ',');
        first = false;
        buf_add_json(out, c->route, strlen(c->route));
        buf_printf(out, ":%" PRIu64, c->requests);
    }
    buf_addstr(out, "}},\"limits\":");
    ratelimit_status(d->ratelimit, clock_mono_ms(), out);
    buf_addc(out, '}');
    pthread_mutex_unlock(&d->lock);
}
