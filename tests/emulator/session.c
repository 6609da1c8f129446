/* Sessions of the gateway: see session.h for the drawing.
 *
 * What stays true: the events of a session are numbered from 1 without gaps
 * in the order they happened; a link sends them in that order, each once; a
 * session belongs to at most one link. */
#include "tests/emulator/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/random.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"

enum {
    OP_DISPATCH = 0,
    OP_HEARTBEAT = 1,
    OP_IDENTIFY = 2,
    OP_PRESENCE = 3,
    OP_VOICE_STATE = 4,
    OP_RESUME = 6,
    OP_RECONNECT = 7,
    OP_REQUEST_MEMBERS = 8,
    OP_INVALID_SESSION = 9,
    OP_HELLO = 10,
    OP_ACK = 11,
    OP_REQUEST_SOUNDS = 31,
    OP_REQUEST_CHANNEL_INFO = 43,
};

enum {
    CLOSE_UNKNOWN = 4000,
    CLOSE_OPCODE = 4001,
    CLOSE_DECODE = 4002,
    CLOSE_NOT_AUTHENTICATED = 4003,
    CLOSE_AUTHENTICATION = 4004,
    CLOSE_ALREADY = 4005,
    CLOSE_SEQ = 4007,
    CLOSE_RATE = 4008,
    CLOSE_TIMEOUT = 4009,
    CLOSE_SHARD = 4010,
    CLOSE_VERSION = 4012,
    CLOSE_INTENTS = 4013,
    CLOSE_DISALLOWED = 4014,
};

/* Bits 0 to 16, AutoMod (20, 21) and polls (24, 25) are documented. */
#define INTENTS_KNOWN (0x1ffffu | 3u << 20 | 3u << 24)

/* A client that misses a heartbeat by half an interval is taken for dead. */
#define BEAT_GRACE_MS (SESSION_HEARTBEAT_MS * 3 / 2)

/* What a session may hold for a client that does not read. */
enum { EVENTS_MAX = 100000 };
#define EVENT_BYTES_MAX ((size_t)64 << 20)

struct event {
    uint64_t seq;
    int64_t at;
    struct buf text; /* the whole frame */
};

struct session {
    struct session_pool *pool;
    struct session *next;
    struct session_link *link; /* NULL: parked */
    char id[33];
    uint32_t intents;
    int shard, shards;
    int64_t born;
    int64_t parked_at;
    uint64_t seq;   /* of the newest event */
    uint64_t acked; /* what the client's heartbeats have named */

    struct event *ring; /* the newest n events, oldest at head */
    size_t head, n, cap, bytes;
};

struct session_link {
    struct session_pool *pool;
    struct session_link *next;
    struct session *session;
    void *user;
    bool compressed, silent;

    uint64_t sent;     /* the newest event handed out */
    struct buf *queue; /* frames that are not events, sent before those */
    size_t queued, queue_cap;

    int64_t heard;                     /* the last heartbeat, or the opening */
    int64_t frames_at[SESSION_FRAMES]; /* a ring of when frames came in */
    size_t frames;

    int close_code;
    char close_reason[128];
};

struct session_pool {
    struct session_host host;
    struct session_link *links;
    struct session *sessions;
    bool enforce;
    uint32_t allowed;

    int64_t last_identify;
    int64_t day_start; /* of the first IDENTIFY counted */
    int used;
};

struct session_pool *session_pool_new(const struct session_host *host)
{
    struct session_pool *p = xcalloc(1, sizeof(*p));

    p->host = *host;
    p->enforce = true;
    p->allowed = INTENTS_KNOWN;
    p->last_identify = INT64_MIN / 2;
    p->day_start = INT64_MIN / 2;
    return p;
}

void session_pool_limits(struct session_pool *p, bool enforce)
{
    p->enforce = enforce;
}

void session_pool_allow(struct session_pool *p, uint32_t intents)
{
    p->allowed = intents;
}

static void wake(struct session_link *l)
{
    if (l && l->pool->host.wake)
        l->pool->host.wake(l->pool->host.arg, l->user);
}

/* --- the events of a session --- */

static struct event *event_at(const struct session *s, size_t i)
{
    return &s->ring[(s->head + i) % s->cap];
}

static uint64_t oldest_seq(const struct session *s)
{
    return s->seq - s->n + 1;
}

static void drop_oldest(struct session *s)
{
    struct event *e = event_at(s, 0);

    s->bytes -= e->text.len;
    buf_release(&e->text);
    s->head = (s->head + 1) % s->cap;
    s->n--;
}

static void grow(struct session *s)
{
    size_t cap = s->cap ? s->cap * 2 : 64;
    struct event *ring = xcalloc(cap, sizeof(*ring));

    for (size_t i = 0; i < s->n; i++)
        ring[i] = *event_at(s, i);
    free(s->ring);
    s->ring = ring;
    s->cap = cap;
    s->head = 0;
}

static void link_close(struct session_link *l, int code, const char *reason)
{
    if (l->close_code != 0)
        return;
    l->close_code = code;
    snprintf(l->close_reason, sizeof(l->close_reason), "%s", reason);
    wake(l);
}

static void trim(struct session *s, int64_t now)
{
    while (s->n > 0) {
        const struct event *e = event_at(s, 0);
        bool old = now - e->at > SESSION_RESUME_MS && e->seq <= s->acked;

        if (!old && s->n <= EVENTS_MAX && s->bytes <= EVENT_BYTES_MAX)
            return;
        /* Dropping an event nobody has sent would leave a gap. */
        if (s->link && e->seq > s->link->sent)
            link_close(s->link, CLOSE_UNKNOWN, "Too far behind.");
        drop_oldest(s);
    }
}

void session_emit(struct session *s, const char *type, const char *data,
                  int64_t now)
{
    struct event e = {.seq = ++s->seq, .at = now, .text = BUF_INIT};

    buf_printf(&e.text, "{\"t\":\"%s\",\"s\":%llu,\"op\":0,\"d\":", type,
               (unsigned long long)e.seq);
    buf_addstr(&e.text, data);
    buf_addc(&e.text, '}');

    if (s->n == s->cap)
        grow(s);
    s->ring[(s->head + s->n) % s->cap] = e;
    s->n++;
    s->bytes += e.text.len;
    trim(s, now);
    wake(s->link);
}

const char *session_id(const struct session *s)
{
    return s->id;
}

uint32_t session_intents(const struct session *s)
{
    return s->intents;
}

int64_t session_born(const struct session *s)
{
    return s->born;
}

void session_shard(const struct session *s, int *id, int *count)
{
    *id = s->shard;
    *count = s->shards;
}

bool session_sees_guild(const struct session *s, uint64_t guild_id)
{
    return guild_id == 0 ||
           (guild_id >> 22) % (uint64_t)s->shards == (uint64_t)s->shard;
}

static struct session *session_new(struct session_pool *p, int64_t now)
{
    struct session *s = xcalloc(1, sizeof(*s));
    unsigned char id[16];

    if (getrandom(id, sizeof(id), 0) != (ssize_t)sizeof(id))
        abort();
    hex_of(id, sizeof(id), s->id);
    s->pool = p;
    s->born = now;
    s->shards = 1;
    s->next = p->sessions;
    p->sessions = s;
    return s;
}

/* Unlinks and frees; its link, if any, lives on without a session. */
static void session_end(struct session *s)
{
    struct session **at = &s->pool->sessions;

    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    if (s->link)
        s->link->session = NULL;
    while (s->n > 0)
        drop_oldest(s);
    free(s->ring);
    free(s);
}

/* --- the pool --- */

void session_pool_free(struct session_pool *p)
{
    if (!p)
        return;
    while (p->sessions)
        session_end(p->sessions);
    while (p->links)
        session_link_gone(p->links, 0, 0);
    free(p);
}

static void roll_day(struct session_pool *p, int64_t now)
{
    if (now - p->day_start >= SESSION_DAY_MS) {
        p->day_start = now;
        p->used = 0;
    }
}

int session_pool_remaining(struct session_pool *p, int64_t now,
                           int64_t *reset_after_ms)
{
    if (p->used == 0 || now - p->day_start >= SESSION_DAY_MS) {
        *reset_after_ms = 0;
        return SESSION_IDENTIFIES_A_DAY;
    }
    *reset_after_ms = p->day_start + SESSION_DAY_MS - now;
    return p->used < SESSION_IDENTIFIES_A_DAY
               ? SESSION_IDENTIFIES_A_DAY - p->used
               : 0;
}

int session_publish(struct session_pool *p, const struct session_event *ev,
                    int64_t now)
{
    int reached = 0;

    for (struct session *s = p->sessions; s; s = s->next) {
        if (ev->intents && !(s->intents & ev->intents))
            continue;
        if (!session_sees_guild(s, ev->guild_id))
            continue;
        bool blank = ev->blank && !(s->intents & INTENT_MESSAGE_CONTENT);
        session_emit(s, ev->type, blank ? ev->blank : ev->data, now);
        reached++;
    }
    return reached;
}

int64_t session_pool_deadline(const struct session_pool *p)
{
    int64_t next = INT64_MAX;

    for (const struct session_link *l = p->links; l; l = l->next) {
        int64_t at = l->heard + BEAT_GRACE_MS;
        if (l->close_code == 0 && !l->silent && at < next)
            next = at;
    }
    for (const struct session *s = p->sessions; s; s = s->next) {
        int64_t at = s->parked_at + SESSION_RESUME_MS;
        if (!s->link && at < next)
            next = at;
    }
    return next;
}

void session_pool_tick(struct session_pool *p, int64_t now)
{
    for (struct session_link *l = p->links; l; l = l->next) {
        if (l->close_code != 0 || l->silent || now < l->heard + BEAT_GRACE_MS)
            continue;
        link_close(l, CLOSE_TIMEOUT, "Session timed out.");
        if (l->session)
            session_end(l->session);
    }
    for (struct session *s = p->sessions, *next; s; s = next) {
        next = s->next;
        if (!s->link && now >= s->parked_at + SESSION_RESUME_MS)
            session_end(s);
    }
}

bool session_pool_any(const struct session_pool *p, uint32_t intents, bool with)
{
    for (const struct session *s = p->sessions; s; s = s->next) {
        if ((intents == 0 || (s->intents & intents) != 0) == with)
            return true;
    }
    return false;
}

size_t session_pool_links(const struct session_pool *p)
{
    size_t n = 0;

    for (const struct session_link *l = p->links; l; l = l->next)
        n += l->close_code == 0;
    return n;
}

size_t session_pool_sessions(const struct session_pool *p)
{
    size_t n = 0;

    for (const struct session *s = p->sessions; s; s = s->next)
        n++;
    return n;
}

/* --- links --- */

static void queue_frame(struct session_link *l, int op, const char *data)
{
    if (l->queued == l->queue_cap) {
        l->queue_cap = l->queue_cap ? l->queue_cap * 2 : 4;
        l->queue = xrealloc(l->queue, l->queue_cap * sizeof(*l->queue));
    }
    struct buf *frame = &l->queue[l->queued++];
    *frame = BUF_INIT;
    buf_printf(frame, "{\"t\":null,\"s\":null,\"op\":%d,\"d\":", op);
    buf_addstr(frame, data);
    buf_addc(frame, '}');
    wake(l);
}

/* The value of a key in a query string, "" where it is absent. Values here
 * are single words, so nothing is decoded. */
static void query_value(const char *query, const char *key, char *out,
                        size_t size)
{
    size_t klen = strlen(key);

    out[0] = '\0';
    for (const char *p = query; p && *p;) {
        size_t len = strcspn(p, "&");
        if (len > klen && p[klen] == '=' && strncmp(p, key, klen) == 0) {
            snprintf(out, size, "%.*s", (int)(len - klen - 1), p + klen + 1);
            return;
        }
        p += len;
        p += *p == '&';
    }
}

struct session_link *session_link_new(struct session_pool *p, const char *query,
                                      void *user, int64_t now)
{
    struct session_link *l = xcalloc(1, sizeof(*l));
    char value[32];

    l->pool = p;
    l->user = user;
    l->heard = now;
    l->next = p->links;
    p->links = l;

    query_value(query, "v", value, sizeof(value));
    if (strcmp(value, "10") != 0) {
        link_close(l, CLOSE_VERSION, "Invalid API version.");
        return l;
    }
    query_value(query, "encoding", value, sizeof(value));
    if (value[0] && strcmp(value, "json") != 0) {
        link_close(l, CLOSE_DECODE, "Only JSON is spoken here.");
        return l;
    }
    query_value(query, "compress", value, sizeof(value));
    l->compressed = strcmp(value, "zlib-stream") == 0;
    if (value[0] && !l->compressed) {
        link_close(l, CLOSE_DECODE, "Unknown transport compression.");
        return l;
    }

    AUTO_BUF struct buf hello = BUF_INIT;
    buf_printf(&hello,
               "{\"heartbeat_interval\":%d,"
               "\"_trace\":[\"[\\\"gateway\\\",{\\\"micros\\\":0.0}]\"]}",
               SESSION_HEARTBEAT_MS);
    queue_frame(l, OP_HELLO, hello.data);
    return l;
}

bool session_link_compressed(const struct session_link *l)
{
    return l->compressed;
}

static bool has_events(const struct session_link *l)
{
    return l->session && l->sent < l->session->seq;
}

bool session_link_pending(const struct session_link *l)
{
    return !l->silent && l->close_code != SESSION_CUT &&
           (l->queued > 0 || (l->close_code == 0 && has_events(l)));
}

bool session_link_next(struct session_link *l, struct buf *out)
{
    if (!session_link_pending(l))
        return false;
    if (l->queued > 0) {
        buf_add(out, l->queue[0].data, l->queue[0].len);
        buf_release(&l->queue[0]);
        l->queued--;
        memmove(l->queue, l->queue + 1, l->queued * sizeof(*l->queue));
        return true;
    }

    struct session *s = l->session;
    assert(l->sent + 1 >= oldest_seq(s));
    const struct event *e = event_at(s, (size_t)(l->sent + 1 - oldest_seq(s)));
    buf_add(out, e->text.data, e->text.len);
    l->sent = e->seq;
    return true;
}

int session_link_close_code(const struct session_link *l, const char **reason)
{
    *reason = l->close_reason;
    if (l->silent && l->close_code != SESSION_CUT)
        return 0;
    return l->close_code;
}

static void detach(struct session_link *l, int64_t now)
{
    if (!l->session)
        return;
    l->session->link = NULL;
    l->session->parked_at = now;
    l->session = NULL;
}

/* 4007 and 4009 tell the client to start anew, the fatal ones not to come
 * back: their sessions are over. Of the peer's own codes only a normal end
 * says that it will not resume. */
static bool ends_session(int ours, int peers)
{
    return peers == 1000 || peers == 1001 || ours == CLOSE_SEQ ||
           ours == CLOSE_TIMEOUT || ours == CLOSE_AUTHENTICATION ||
           ours >= CLOSE_SHARD;
}

void session_link_gone(struct session_link *l, int peer_code, int64_t now)
{
    struct session_link **at = &l->pool->links;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;

    if (l->session && ends_session(l->close_code, peer_code))
        session_end(l->session);
    detach(l, now);
    for (size_t i = 0; i < l->queued; i++)
        buf_release(&l->queue[i]);
    free(l->queue);
    free(l);
}

/* --- what the client says --- */

static json_object *parse_object(const char *text, size_t len)
{
    json_tokener *tok = json_tokener_new_ex(32);
    json_object *root = NULL;

    if (utf8_valid(text, len)) {
        json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
        root = json_tokener_parse_ex(tok, text, (int)len);
        if (json_tokener_get_error(tok) != json_tokener_success ||
            json_tokener_get_parse_end(tok) != len) {
            json_object_put(root);
            root = NULL;
        }
    }
    json_tokener_free(tok);
    if (root && !json_object_is_type(root, json_type_object)) {
        json_object_put(root);
        return NULL;
    }
    return root;
}

static json_object *member(json_object *o, const char *key, json_type type)
{
    json_object *v = NULL;

    if (!json_object_object_get_ex(o, key, &v) || !json_object_is_type(v, type))
        return NULL;
    return v;
}

/* Absent or null is 0 with a null out; false: of another type. */
static bool optional(json_object *o, const char *key, json_type type,
                     json_object **out)
{
    if (!json_object_object_get_ex(o, key, out))
        *out = NULL;
    return !*out || json_object_is_type(*out, type);
}

static bool token_ok(struct session_link *l, json_object *d)
{
    json_object *token = member(d, "token", json_type_string);

    if (!token)
        return false;
    const char *s = json_object_get_string(token);
    /* Clients may send the Authorization header's value. */
    if (strncasecmp(s, "Bot ", 4) == 0)
        s += 4;
    return l->pool->host.token_ok(l->pool->host.arg, s);
}

static void refuse_decode(struct session_link *l)
{
    link_close(l, CLOSE_DECODE, "Error while decoding payload.");
}

/* An IDENTIFY too many in the day: every session ends, the token with them.
 */
static void day_used_up(struct session_pool *p)
{
    for (struct session_link *l = p->links; l; l = l->next)
        link_close(l, CLOSE_AUTHENTICATION, "Authentication failed.");
    while (p->sessions)
        session_end(p->sessions);
    if (p->host.revoke)
        p->host.revoke(p->host.arg);
}

/* False: op 9 has been queued or the link closed. */
static bool identify_allowed(struct session_link *l, int64_t now)
{
    struct session_pool *p = l->pool;

    roll_day(p, now);
    if (p->enforce && p->used >= SESSION_IDENTIFIES_A_DAY) {
        day_used_up(p);
        return false;
    }
    p->used++;
    if (p->enforce && now - p->last_identify < SESSION_IDENTIFY_MS) {
        queue_frame(l, OP_INVALID_SESSION, "false");
        return false;
    }
    p->last_identify = now;
    return true;
}

static bool read_shard(json_object *d, int *id, int *count)
{
    json_object *shard;

    *id = 0;
    *count = 1;
    if (!json_object_object_get_ex(d, "shard", &shard) || !shard)
        return true;
    if (!json_object_is_type(shard, json_type_array) ||
        json_object_array_length(shard) != 2)
        return false;
    *id = json_object_get_int(json_object_array_get_idx(shard, 0));
    *count = json_object_get_int(json_object_array_get_idx(shard, 1));
    return *count >= 1 && *id >= 0 && *id < *count;
}

static void on_identify(struct session_link *l, json_object *d, int64_t now)
{
    struct session_pool *p = l->pool;
    json_object *compress, *large, *presence;
    int shard, shards;

    if (l->session) {
        link_close(l, CLOSE_ALREADY, "Already authenticated.");
        return;
    }
    json_object *intents = member(d, "intents", json_type_int);
    if (!member(d, "token", json_type_string) || !intents ||
        !member(d, "properties", json_type_object) ||
        !optional(d, "compress", json_type_boolean, &compress) ||
        !optional(d, "large_threshold", json_type_int, &large) ||
        !optional(d, "presence", json_type_object, &presence) ||
        (compress && json_object_get_boolean(compress) && l->compressed)) {
        refuse_decode(l);
        return;
    }
    if (large && (json_object_get_int64(large) < 50 ||
                  json_object_get_int64(large) > 250)) {
        refuse_decode(l);
        return;
    }
    if (!token_ok(l, d)) {
        link_close(l, CLOSE_AUTHENTICATION, "Authentication failed.");
        return;
    }
    int64_t bits = json_object_get_int64(intents);
    if (bits < 0 || (bits & ~(int64_t)INTENTS_KNOWN) != 0) {
        link_close(l, CLOSE_INTENTS, "Invalid intent(s).");
        return;
    }
    if (((uint32_t)bits & ~p->allowed) != 0) {
        link_close(l, CLOSE_DISALLOWED, "Disallowed intent(s).");
        return;
    }
    if (!read_shard(d, &shard, &shards)) {
        link_close(l, CLOSE_SHARD, "Invalid shard.");
        return;
    }
    if (!identify_allowed(l, now))
        return;

    struct session *s = session_new(p, now);
    s->intents = (uint32_t)bits;
    s->shard = shard;
    s->shards = shards;
    s->link = l;
    l->session = s;
    l->sent = 0;
    if (p->host.welcome)
        p->host.welcome(p->host.arg, s);
}

static struct session *find_session(struct session_pool *p, const char *id)
{
    for (struct session *s = p->sessions; s; s = s->next) {
        if (strcmp(s->id, id) == 0)
            return s;
    }
    return NULL;
}

static void on_resume(struct session_link *l, json_object *d, int64_t now)
{
    json_object *id = member(d, "session_id", json_type_string);
    json_object *seq = member(d, "seq", json_type_int);

    if (l->session) {
        link_close(l, CLOSE_ALREADY, "Already authenticated.");
        return;
    }
    if (!id || !seq || !member(d, "token", json_type_string)) {
        refuse_decode(l);
        return;
    }
    if (!token_ok(l, d)) {
        link_close(l, CLOSE_AUTHENTICATION, "Authentication failed.");
        return;
    }

    session_pool_tick(l->pool, now);
    struct session *s = find_session(l->pool, json_object_get_string(id));
    int64_t from = json_object_get_int64(seq);
    if (!s) {
        queue_frame(l, OP_INVALID_SESSION, "false");
        return;
    }
    if (from < 0 || (uint64_t)from > s->seq) {
        session_end(s);
        link_close(l, CLOSE_SEQ, "Invalid seq.");
        return;
    }
    if ((uint64_t)from + 1 < oldest_seq(s)) {
        session_end(s);
        queue_frame(l, OP_INVALID_SESSION, "false");
        return;
    }
    /* The peer has given that connection up, whatever we still see of it. */
    if (s->link) {
        struct session_link *old = s->link;
        detach(old, now);
        link_close(old, SESSION_CUT, "");
    }
    s->link = l;
    l->session = s;
    l->sent = (uint64_t)from;
    session_emit(s, "RESUMED", "{\"_trace\":[]}", now);
}

static void on_heartbeat(struct session_link *l, json_object *d, int64_t now)
{
    l->heard = now;
    if (l->session && d) {
        int64_t seq = json_object_get_int64(d);
        if (seq > 0 && (uint64_t)seq <= l->session->seq)
            l->session->acked = (uint64_t)seq;
        trim(l->session, now);
    }
    queue_frame(l, OP_ACK, "null");
}

/* Whether the peer has sent more than it may in a minute. */
static bool too_many_frames(struct session_link *l, int64_t now)
{
    size_t slot = l->frames % SESSION_FRAMES;
    bool full = l->frames >= SESSION_FRAMES &&
                now - l->frames_at[slot] < SESSION_FRAMES_MS;

    l->frames_at[slot] = now;
    l->frames++;
    return full && l->pool->enforce;
}

static void on_frame(struct session_link *l, int64_t op, json_object *d,
                     int64_t now)
{
    bool object = json_object_is_type(d, json_type_object);
    struct session_pool *p = l->pool;

    switch (op) {
    case OP_HEARTBEAT:
        if (d && !json_object_is_type(d, json_type_int))
            refuse_decode(l);
        else
            on_heartbeat(l, d, now);
        return;
    case OP_IDENTIFY:
    case OP_RESUME:
        if (!object)
            refuse_decode(l);
        else if (op == OP_IDENTIFY)
            on_identify(l, d, now);
        else
            on_resume(l, d, now);
        return;
    case OP_PRESENCE:
    case OP_VOICE_STATE:
    case OP_REQUEST_MEMBERS:
    case OP_REQUEST_SOUNDS:
    case OP_REQUEST_CHANNEL_INFO:
        if (!l->session)
            link_close(l, CLOSE_NOT_AUTHENTICATED, "Not authenticated.");
        else if (!object)
            refuse_decode(l);
        else if (p->host.request)
            p->host.request(
                p->host.arg, l->session, (int)op,
                json_object_to_json_string_ext(d, JSON_C_TO_STRING_PLAIN));
        return;
    default:
        link_close(l, CLOSE_OPCODE, "Unknown opcode.");
    }
}

void session_link_receive(struct session_link *l, const char *text, size_t len,
                          int64_t now)
{
    json_object *root, *d = NULL;

    if (l->close_code != 0)
        return;
    if (too_many_frames(l, now)) {
        link_close(l, CLOSE_RATE, "Rate limited.");
        return;
    }
    root = len <= SESSION_PAYLOAD_MAX ? parse_object(text, len) : NULL;
    json_object *op = root ? member(root, "op", json_type_int) : NULL;
    if (op) {
        json_object_object_get_ex(root, "d", &d);
        on_frame(l, json_object_get_int64(op), d, now);
    } else {
        refuse_decode(l);
    }
    json_object_put(root);
}

/* --- faults --- */

void session_pool_invalidate(struct session_pool *p, bool resumable,
                             int64_t now)
{
    for (struct session_link *l = p->links; l; l = l->next) {
        if (l->close_code != 0)
            continue;
        queue_frame(l, OP_INVALID_SESSION, resumable ? "true" : "false");
        if (resumable)
            detach(l, now);
        else if (l->session)
            session_end(l->session);
    }
    if (!resumable) {
        while (p->sessions)
            session_end(p->sessions);
    }
}

void session_pool_reconnect(struct session_pool *p)
{
    for (struct session_link *l = p->links; l; l = l->next)
        queue_frame(l, OP_RECONNECT, "null");
}

void session_pool_beat(struct session_pool *p)
{
    for (struct session_link *l = p->links; l; l = l->next)
        queue_frame(l, OP_HEARTBEAT, "null");
}

void session_pool_silence(struct session_pool *p)
{
    for (struct session_link *l = p->links; l; l = l->next)
        l->silent = true;
}

void session_pool_close(struct session_pool *p, int code, const char *reason)
{
    for (struct session_link *l = p->links; l; l = l->next)
        link_close(l, code, reason);
}

void session_pool_drop(struct session_pool *p)
{
    for (struct session_link *l = p->links; l; l = l->next) {
        l->close_code = SESSION_CUT;
        wake(l);
    }
}
