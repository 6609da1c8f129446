/* The states, and what leads from one to the next:
 *
 *            .------------------ later ------------------.
 *            v        (a pause, or at once)              |
 *         RESTING --ask--> ASKING --address--> RESTING   |
 *            |                 no session to resume      |
 *            '--connect--> OPENING --opened--> GREETING  |
 *                             |                   | hello: identify or resume
 *                             |                   v      |
 *                             |               STARTING   |
 *                             |                   | READY, RESUMED
 *                             |                   v      |
 *                             |                RUNNING   |
 *                             '------- closed, silence, op 7, op 9 ---'
 *
 *     a fatal close code, a refused token ----> STOPPED, for good
 *
 * A session is resumed wherever it can be, since a day has 1000 identifies
 * and Discord takes the token away from a bot that wants more. An identify is
 * preceded by a question how many are left, and when they are few they are
 * spread over what is left of the day. Losses make the pauses longer, up to a
 * minute, identifies that led to no lasting session up to a quarter of an
 * hour; only a session that lasted makes them short again. */
#include "bot/gateway.h"

#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/discord/message.h"
#include "engine/discord/url.h"

#define OPEN_TIMEOUT_MS 20000
#define HELLO_TIMEOUT_MS 20000
#define START_TIMEOUT_MS 60000

/* A session that lasted so long was a good one. */
#define GOOD_SESSION_MS 60000

#define PAUSE_MS 1000
#define PAUSE_MAX_MS 60000
#define IDENTIFY_PAUSE_MAX_MS 900000
#define BAD_RESUMES_MAX 5 /* then a new session */

/* With fewer identifies left than these: spread them; wait for more. */
#define IDENTIFIES_FEW 100
#define IDENTIFIES_NONE 5

#define BEAT_MIN_MS 1000
#define BEAT_MAX_MS 600000

/* Discord cuts off who sends more than 120 messages a minute. */
#define SENDS_MAX 100
#define SENDS_WINDOW_MS 60000

/* Any but 1000 and 1001, which would end the session. */
#define CLOSE_TO_RESUME 4000

enum state {
    RESTING,
    ASKING,
    OPENING,
    GREETING,
    STARTING,
    RUNNING,
    STOPPED,
};

static const char *const state_names[] = {
    [RESTING] = "waiting",    [ASKING] = "asking",
    [OPENING] = "connecting", [GREETING] = "connecting",
    [STARTING] = "starting",  [RUNNING] = "connected",
    [STOPPED] = "stopped",
};

struct gateway {
    const char *token;
    unsigned intents;
    bool content_refused; /* 4014 came: asked again without */
    uint64_t random;

    enum state state;
    int64_t at;       /* RESTING: when to go on; others: when to give up */
    bool addressed;   /* RESTING: the address is known, connect next */
    bool resuming;    /* OPENING to STARTING: what hello is answered with */
    int failures;     /* losses since a good session */
    int bad_sessions; /* identifies since one */
    int bad_resumes;  /* attempts at this session since it last ran */
    char reason[256]; /* why it is not connected */

    char address[256]; /* of GET /gateway/bot */
    char session[128]; /* "" if none */
    char session_url[256];
    char url[512]; /* of the connection */
    int64_t seq;   /* -1: none yet */

    int64_t interval, next_beat;
    int64_t beat_sent; /* 0: none yet on this connection */
    bool acked;

    int64_t sends_from; /* the window's start */
    int sends;

    int64_t running_since, last_event, latency; /* latency -1: not known */
    int identifies_left;
    uint64_t sessions, resumes, events;
};

struct gateway *gateway_new(const char *token, unsigned intents, uint64_t seed)
{
    struct gateway *gw = xcalloc(1, sizeof(*gw));

    gw->token = token;
    gw->intents = intents;
    gw->random = seed | 1;
    gw->seq = -1;
    gw->latency = -1;
    gw->identifies_left = -1;
    gw->at = INT64_MIN; /* at once */
    return gw;
}

void gateway_free(struct gateway *gw)
{
    free(gw);
}

/* Between 0 and most. */
static int64_t draw(struct gateway *gw, int64_t most)
{
    gw->random ^= gw->random << 13;
    gw->random ^= gw->random >> 7;
    gw->random ^= gw->random << 17;
    return (int64_t)(gw->random % (uint64_t)(most + 1));
}

/* first, doubled each time, up to most; between half and whole of it. */
static int64_t pause_ms(struct gateway *gw, int times, int64_t first,
                        int64_t most)
{
    int64_t p = first;

    for (int i = 1; i < times && p < most; i++)
        p *= 2;
    if (p > most)
        p = most;
    return p / 2 + draw(gw, p / 2);
}

static void stop(struct gateway *gw, const char *why)
{
    gw->state = STOPPED;
    gw->at = INT64_MAX;
    snprintf(gw->reason, sizeof(gw->reason), "%s", why);
}

/* The connection is over, or never was: when and how to go on. */
static void rest(struct gateway *gw, int64_t now, int64_t least,
                 const char *why)
{
    if (gw->state == RUNNING && now - gw->running_since >= GOOD_SESSION_MS)
        gw->failures = gw->bad_sessions = 0;
    gw->failures++;
    if (gw->state != RUNNING && gw->resuming &&
        ++gw->bad_resumes >= BAD_RESUMES_MAX)
        gw->session[0] = '\0';

    int64_t pause = pause_ms(gw, gw->failures, PAUSE_MS, PAUSE_MAX_MS);
    if (gw->session[0]) {
        /* The first loss of a good session is mended at once. */
        if (gw->failures == 1)
            pause = 0;
    } else if (gw->bad_sessions > 0) {
        int64_t longer =
            pause_ms(gw, gw->bad_sessions, PAUSE_MS, IDENTIFY_PAUSE_MAX_MS);
        pause = longer > pause ? longer : pause;
    }
    gw->state = RESTING;
    gw->addressed = false;
    gw->at = now + (pause > least ? pause : least);
    snprintf(gw->reason, sizeof(gw->reason), "%s", why);
}

/* We end the connection; the session may live on. */
static void hang_up(struct gateway *gw, int64_t now, int64_t least,
                    const char *why, struct gateway_todo *todo)
{
    if (gw->state == RUNNING)
        todo->news = GATEWAY_LOST;
    todo->close = CLOSE_TO_RESUME;
    rest(gw, now, least, why);
}

static void forget_session(struct gateway *gw)
{
    gw->session[0] = '\0';
    gw->seq = -1;
}

/* --- sending --- */

static bool may_send(struct gateway *gw, int64_t now)
{
    if (now - gw->sends_from >= SENDS_WINDOW_MS) {
        gw->sends_from = now;
        gw->sends = 0;
    }
    return gw->sends++ < SENDS_MAX;
}

static void send_beat(struct gateway *gw, int64_t now,
                      struct gateway_todo *todo)
{
    if (!may_send(gw, now))
        return;
    if (gw->seq >= 0)
        buf_printf(&todo->send, "{\"op\":1,\"d\":%lld}", (long long)gw->seq);
    else
        buf_addstr(&todo->send, "{\"op\":1,\"d\":null}");
    gw->beat_sent = now;
}

static void send_identify(struct gateway *gw, struct gateway_todo *todo)
{
    buf_addstr(&todo->send, "{\"op\":2,\"d\":{\"token\":");
    buf_add_json(&todo->send, gw->token, strlen(gw->token));
    buf_printf(&todo->send,
               ",\"intents\":%u,\"large_threshold\":50,\"properties\":{\"os\":"
               "\"linux\",\"browser\":\"dbcord\",\"device\":\"dbcord\"}}}",
               gw->intents);
}

static void send_resume(struct gateway *gw, struct gateway_todo *todo)
{
    buf_addstr(&todo->send, "{\"op\":6,\"d\":{\"token\":");
    buf_add_json(&todo->send, gw->token, strlen(gw->token));
    buf_addstr(&todo->send, ",\"session_id\":");
    buf_add_json(&todo->send, gw->session, strlen(gw->session));
    buf_printf(&todo->send, ",\"seq\":%lld}}",
               (long long)(gw->seq >= 0 ? gw->seq : 0));
}

/* --- what came --- */

static struct json_object *object_in(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    if (!json_object_is_type(o, json_type_object) ||
        !json_object_object_get_ex(o, name, &v) ||
        !json_object_is_type(v, json_type_object))
        return NULL;
    return v;
}

static void hello(struct gateway *gw, struct json_object *d, int64_t now,
                  struct gateway_todo *todo)
{
    int64_t interval = message_int(d, "heartbeat_interval", 0);

    if (gw->state != GREETING)
        return;
    if (interval < BEAT_MIN_MS)
        interval = BEAT_MIN_MS;
    if (interval > BEAT_MAX_MS)
        interval = BEAT_MAX_MS;
    gw->interval = interval;
    /* Not all clients that were cut off together beat together. */
    gw->next_beat = now + draw(gw, interval - 1);
    gw->acked = true;
    gw->beat_sent = 0;
    gw->state = STARTING;
    gw->at = now + START_TIMEOUT_MS;
    gw->sends_from = now;
    gw->sends = 1;
    if (gw->resuming) {
        send_resume(gw, todo);
    } else {
        if (gw->identifies_left > 0)
            gw->identifies_left--;
        gw->bad_sessions++;
        send_identify(gw, todo);
    }
}

static void running(struct gateway *gw, int64_t now)
{
    gw->state = RUNNING;
    gw->at = INT64_MAX;
    gw->running_since = now;
    gw->bad_resumes = 0;
    gw->reason[0] = '\0';
}

/* The session's name and place; without them it cannot be resumed. */
static void ready(struct gateway *gw, struct json_object *d, int64_t now,
                  struct gateway_todo *todo)
{
    const char *id = message_text(d, "session_id", NULL);
    const char *url = message_text(d, "resume_gateway_url", NULL);
    struct url parsed;

    gw->session[0] = '\0';
    if (id && strlen(id) < sizeof(gw->session))
        strcpy(gw->session, id);
    strcpy(gw->session_url, gw->address);
    if (url && strlen(url) < sizeof(gw->session_url) &&
        url_parse(url, &parsed, NULL) == 0)
        strcpy(gw->session_url, url);
    gw->sessions++;
    todo->news = GATEWAY_READY;
    running(gw, now);
}

static void dispatch(struct gateway *gw, struct json_object *frame,
                     struct json_object *d, int64_t now,
                     struct gateway_todo *todo)
{
    const char *type = message_text(frame, "t", NULL);
    int64_t seq = message_int(frame, "s", -1);

    if (gw->state != STARTING && gw->state != RUNNING)
        return;
    if (!type || strlen(type) >= sizeof(todo->type)) {
        /* Passed over, but received. */
        if (seq > gw->seq)
            gw->seq = seq;
        return;
    }
    gw->last_event = now;
    gw->events++;
    if (gw->state == STARTING && strcmp(type, "READY") == 0) {
        gw->seq = -1;
        ready(gw, d, now, todo);
    } else if (gw->state == STARTING && strcmp(type, "RESUMED") == 0) {
        gw->resumes++;
        todo->news = GATEWAY_RESUMED;
        running(gw, now);
    }
    if (seq > gw->seq)
        gw->seq = seq;
    strcpy(todo->type, type);
    todo->dispatch = json_object_get(d);
}

static void frame_came(struct gateway *gw, const char *text, size_t len,
                       int64_t now, struct gateway_todo *todo)
{
    struct json_object *frame = message_json(text, len);
    struct json_object *d = object_in(frame, "d"), *flag = NULL;
    int64_t op = message_int(frame, "op", -1);

    switch (op) {
    case 0:
        dispatch(gw, frame, d, now, todo);
        break;
    case 1:
        if (gw->state == STARTING || gw->state == RUNNING)
            send_beat(gw, now, todo);
        break;
    case 7:
        hang_up(gw, now, 0, "the gateway asked for a new connection", todo);
        break;
    case 9:
        if (!json_object_object_get_ex(frame, "d", &flag) ||
            !json_object_is_type(flag, json_type_boolean) ||
            !json_object_get_boolean(flag))
            forget_session(gw);
        hang_up(gw, now, 1000 + draw(gw, 4000),
                "the gateway refused the session", todo);
        break;
    case 10:
        hello(gw, d, now, todo);
        break;
    case 11:
        gw->acked = true;
        if (gw->beat_sent)
            gw->latency = now - gw->beat_sent;
        break;
    default:
        if (op < 0)
            hang_up(gw, now, 0, "the gateway sent what cannot be read", todo);
        break; /* what is new is passed over */
    }
    json_object_put(frame);
}

static void closed(struct gateway *gw, int code, const char *text, int64_t now,
                   struct gateway_todo *todo)
{
    char why[200];

    if (gw->state == RUNNING)
        todo->news = GATEWAY_LOST;
    switch (code) {
    case 4004:
        stop(gw, "the gateway refused the token (4004); put the bot's current "
                 "one into DISCORD_BOT_TOKEN");
        return;
    case 4010:
    case 4011:
        stop(gw, "the bot is in too many servers for one connection (4011); "
                 "sharding is not supported");
        return;
    case 4012:
        stop(gw, "Discord no longer speaks this version of the gateway "
                 "(4012); a newer dbcord is needed");
        return;
    case 4013:
        stop(gw, "the gateway does not know the intents asked for (4013); a "
                 "newer dbcord is needed");
        return;
    case 4014:
        if (!(gw->intents & GATEWAY_MESSAGE_CONTENT)) {
            stop(gw, "the gateway refused the intents (4014); switch them on "
                     "in the developer portal, page Bot");
            return;
        }
        /* Our own messages are readable without it. */
        gw->intents &= ~GATEWAY_MESSAGE_CONTENT;
        gw->content_refused = true;
        forget_session(gw);
        rest(gw, now, 0, "asking again without the message content intent");
        return;
    case 4003:
    case 4007:
    case 4009:
        forget_session(gw);
        break;
    }
    if (code)
        snprintf(why, sizeof(why), "the gateway closed the connection (%d)",
                 code);
    else
        snprintf(why, sizeof(why),
                 "the connection to the gateway broke%s%.120s",
                 text && *text ? ": " : "", text ? text : "");
    rest(gw, now, 0, why);
}

static void address_came(struct gateway *gw, const struct discord_gateway *a,
                         int64_t now)
{
    int64_t wait = 0;

    if (gw->state != ASKING)
        return;
    snprintf(gw->address, sizeof(gw->address), "%s", a->url);
    gw->identifies_left = a->identifies_left;
    if (a->identifies_left <= IDENTIFIES_NONE)
        wait =
            (a->identifies_reset_ms > 60000 ? a->identifies_reset_ms : 60000) +
            1000;
    else if (a->identifies_left < IDENTIFIES_FEW)
        wait = a->identifies_reset_ms / a->identifies_left;
    gw->state = RESTING;
    if (wait > 0) {
        /* Ask again first if it takes long: others may have used them. */
        gw->addressed = wait < 3600000 && a->identifies_left > IDENTIFIES_NONE;
        snprintf(gw->reason, sizeof(gw->reason),
                 "%d of today's connections to the gateway are left; the next "
                 "is made in %lld s",
                 a->identifies_left, (long long)(wait / 1000));
    } else {
        gw->addressed = true;
    }
    gw->at = now + wait;
}

static void no_address(struct gateway *gw, int code, const char *text,
                       int64_t now)
{
    if (gw->state != ASKING)
        return;
    if (code == -EPERM)
        stop(gw, text);
    else
        rest(gw, now, 0, text);
}

static void connect_to(struct gateway *gw, const char *base, int64_t now,
                       struct gateway_todo *todo)
{
    size_t n = strcspn(base, "?#");
    const char *host = strstr(base, "://");
    const char *path = host ? strchr(host + 3, '/') : NULL;

    snprintf(gw->url, sizeof(gw->url),
             "%.*s%s?v=10&encoding=json&compress=zlib-stream", (int)n, base,
             path && path < base + n ? "" : "/");
    gw->state = OPENING;
    gw->at = now + OPEN_TIMEOUT_MS;
    todo->connect = true;
}

static void time_passed(struct gateway *gw, int64_t now,
                        struct gateway_todo *todo)
{
    if (now < gw->at) {
        ;
    } else if (gw->state == RESTING && gw->session[0]) {
        gw->resuming = true;
        connect_to(gw, gw->session_url, now, todo);
        return;
    } else if (gw->state == RESTING && gw->addressed) {
        gw->addressed = false;
        gw->resuming = false;
        connect_to(gw, gw->address, now, todo);
        return;
    } else if (gw->state == RESTING) {
        gw->state = ASKING;
        gw->at = INT64_MAX; /* an answer or a failure comes */
        todo->ask = true;
        return;
    } else if (gw->state == OPENING || gw->state == GREETING ||
               gw->state == STARTING) {
        hang_up(gw, now, 0, "the gateway did not answer in time", todo);
        return;
    }

    if ((gw->state != STARTING && gw->state != RUNNING) || now < gw->next_beat)
        return;
    if (!gw->acked) {
        hang_up(gw, now, 0, "the gateway stopped answering", todo);
        return;
    }
    gw->acked = false;
    gw->next_beat = now + gw->interval;
    send_beat(gw, now, todo);
}

static int64_t wake_at(const struct gateway *gw)
{
    bool beats = gw->state == STARTING || gw->state == RUNNING;

    if (beats && gw->next_beat < gw->at)
        return gw->next_beat;
    return gw->at;
}

void gateway_step(struct gateway *gw, const struct gateway_event *ev,
                  int64_t now, struct gateway_todo *todo)
{
    bool connected = gw->state == OPENING || gw->state == GREETING ||
                     gw->state == STARTING || gw->state == RUNNING;

    *todo = (struct gateway_todo){.wake = INT64_MAX};
    if (gw->state == STOPPED)
        return;
    switch (ev->kind) {
    case GATEWAY_TIME:
        time_passed(gw, now, todo);
        break;
    case GATEWAY_ADDRESS:
        address_came(gw, ev->address, now);
        break;
    case GATEWAY_NO_ADDRESS:
        no_address(gw, ev->code, ev->text, now);
        break;
    case GATEWAY_OPENED:
        if (gw->state == OPENING) {
            gw->state = GREETING;
            gw->at = now + HELLO_TIMEOUT_MS;
        }
        break;
    case GATEWAY_FRAME:
        if (connected)
            frame_came(gw, ev->text, ev->len, now, todo);
        break;
    case GATEWAY_CLOSED:
        if (connected)
            closed(gw, ev->code, ev->text, now, todo);
        break;
    }
    todo->wake = wake_at(gw);
}

const char *gateway_url(const struct gateway *gw)
{
    return gw->url;
}

const char *gateway_fatal(const struct gateway *gw)
{
    return gw->state == STOPPED ? gw->reason : NULL;
}

bool gateway_lacks_content(const struct gateway *gw)
{
    return gw->content_refused;
}

static void add_age(struct buf *out, const char *name, int64_t at, int64_t now)
{
    if (at)
        buf_printf(out, ",\"%s\":%lld", name, (long long)(now - at));
    else
        buf_printf(out, ",\"%s\":null", name);
}

void gateway_status(const struct gateway *gw, int64_t now, struct buf *out)
{
    buf_printf(out, "{\"state\":\"%s\",\"connected\":%s,\"reason\":",
               state_names[gw->state], gw->state == RUNNING ? "true" : "false");
    if (gw->reason[0])
        buf_add_json(out, gw->reason, strlen(gw->reason));
    else
        buf_addstr(out, "null");
    buf_printf(out, ",\"fatal\":%s", gw->state == STOPPED ? "true" : "false");
    add_age(out, "connected_ms", gw->state == RUNNING ? gw->running_since : 0,
            now);
    add_age(out, "last_event_ms", gw->last_event, now);
    if (gw->latency >= 0)
        buf_printf(out, ",\"latency_ms\":%lld", (long long)gw->latency);
    else
        buf_addstr(out, ",\"latency_ms\":null");
    buf_printf(out,
               ",\"session\":%s,\"sessions\":%llu,\"resumes\":%llu,"
               "\"events\":%llu,\"message_content\":%s",
               gw->session[0] ? "true" : "false",
               (unsigned long long)gw->sessions,
               (unsigned long long)gw->resumes, (unsigned long long)gw->events,
               gw->intents & GATEWAY_MESSAGE_CONTENT ? "true" : "false");
    if (gw->identifies_left >= 0)
        buf_printf(out, ",\"identifies_left\":%d", gw->identifies_left);
    if (gw->state == RESTING && gw->at > now)
        buf_printf(out, ",\"next_attempt_ms\":%lld", (long long)(gw->at - now));
    buf_addc(out, '}');
}
