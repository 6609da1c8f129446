/* The gateway's WebSocket: libwebsockets does frames and sockets, session.c
 * the protocol; this file carries bytes between them, compresses, and keeps
 * the timer of the pool's deadlines.
 *
 * A frame is taken from the link only when the socket is ready for more, and
 * then sent in pieces: what a slow peer has not read stays with its session,
 * once. */
#include "tests/emulator/gateway.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <json-c/json.h>
#include <libwebsockets.h>
#include <zlib.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/http.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/record.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

/* A WebSocket message leaves in fragments of this size. */
enum { PIECE = 32 * 1024 };

struct gateway {
    struct session_pool *pool;
    struct timer *timer;
    struct id_list hidden;
};

/* lws gives it zeroed, for each connection. */
struct socket {
    struct lws *wsi;
    struct emulator *e;
    struct session_link *link;
    struct buf in;  /* a message that has not arrived whole */
    struct buf out; /* a message that has not left whole */
    size_t out_at;
    z_stream *deflate; /* NULL: not compressed */
    int peer_code;
};

const size_t gateway_session_size = sizeof(struct socket);

/* --- the pool, its timer and its host --- */

static void arm(struct emulator *e);

static void on_deadline(struct emulator *e, void *arg)
{
    (void)arg;
    e->gateway->timer = NULL;
    session_pool_tick(e->gateway->pool, emulator_now(e));
    arm(e);
}

static void arm(struct emulator *e)
{
    struct gateway *g = e->gateway;
    int64_t at = session_pool_deadline(g->pool);

    if (g->timer && g->timer->at == at)
        return;
    timer_cancel(e, g->timer);
    g->timer = at == INT64_MAX ? NULL : timer_at(e, at, on_deadline, NULL);
}

static bool host_token_ok(void *arg, const char *token)
{
    const struct emulator *e = arg;

    return strcmp(token, e->token) == 0;
}

static void host_welcome(void *arg, struct session *s)
{
    event_welcome(arg, s);
}

static void host_request(void *arg, struct session *s, int op, const char *d)
{
    event_request(arg, s, op, d);
}

static void host_wake(void *arg, void *link_user)
{
    struct socket *k = link_user;

    (void)arg;
    lws_callback_on_writable(k->wsi);
}

/* Too many sessions in a day cost the token: a new one is made, which only the
 * portal would show. */
static void host_revoke(void *arg)
{
    struct emulator *e = arg;
    unsigned char secret[32];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        abort();
    free(e->token);
    e->token = xmalloc(2 * sizeof(secret) + 1);
    hex_of(secret, sizeof(secret), e->token);
    record_application(e);
}

/* The portal's switches, as they are now. */
static void refresh_allowed(struct emulator *e)
{
    uint32_t off = 0;

    if (!application_has_members(e->app))
        off |= INTENT_GUILD_MEMBERS;
    if (!application_has_presence(e->app))
        off |= INTENT_GUILD_PRESENCES;
    if (!application_has_message_content(e->app))
        off |= INTENT_MESSAGE_CONTENT;
    session_pool_allow(e->gateway->pool, ~off);
}

void gateway_open(struct emulator *e)
{
    struct session_host host = {
        .arg = e,
        .token_ok = host_token_ok,
        .welcome = host_welcome,
        .request = host_request,
        .wake = host_wake,
        .revoke = host_revoke,
    };

    e->gateway = xcalloc(1, sizeof(*e->gateway));
    e->gateway->pool = session_pool_new(&host);
    session_pool_limits(e->gateway->pool, e->options.limits);
}

void gateway_close(struct emulator *e)
{
    if (!e->gateway)
        return;
    timer_cancel(e, e->gateway->timer);
    session_pool_free(e->gateway->pool);
    id_list_release(&e->gateway->hidden);
    free(e->gateway);
    e->gateway = NULL;
}

int gateway_publish(struct emulator *e, const struct session_event *ev)
{
    return session_publish(e->gateway->pool, ev, emulator_now(e));
}

bool gateway_anybody(struct emulator *e, uint32_t intents)
{
    return session_pool_any(e->gateway->pool, intents, true);
}

bool gateway_anybody_without(struct emulator *e, uint32_t intents)
{
    return session_pool_any(e->gateway->pool, intents, false);
}

struct id_list *gateway_hidden(struct emulator *e)
{
    return &e->gateway->hidden;
}

/* --- the socket --- */

static void open_link(struct socket *k)
{
    char query[512] = "", pair[256];

    for (int i = 0; lws_hdr_copy_fragment(k->wsi, pair, sizeof(pair),
                                          WSI_TOKEN_HTTP_URI_ARGS, i) >= 0;
         i++) {
        size_t used = strlen(query);
        snprintf(query + used, sizeof(query) - used, "%s%s", used ? "&" : "",
                 pair);
    }
    refresh_allowed(k->e);
    k->link =
        session_link_new(k->e->gateway->pool, query, k, emulator_now(k->e));
    if (session_link_compressed(k->link)) {
        k->deflate = xcalloc(1, sizeof(*k->deflate));
        if (deflateInit(k->deflate, Z_DEFAULT_COMPRESSION) != Z_OK)
            abort();
    }
    lws_callback_on_writable(k->wsi);
}

static void close_link(struct socket *k)
{
    /* The pool's end has freed the link when the emulator stops. */
    if (k->link && k->e->gateway)
        session_link_gone(k->link, k->peer_code, emulator_now(k->e));
    k->link = NULL;
    buf_release(&k->in);
    buf_release(&k->out);
    if (k->deflate)
        deflateEnd(k->deflate);
    free(k->deflate);
    k->deflate = NULL;
}

static void receive(struct socket *k, const char *data, size_t len)
{
    /* One byte too many says all that session.c needs to know. */
    if (k->in.len + len > SESSION_PAYLOAD_MAX + 1)
        len = SESSION_PAYLOAD_MAX + 1 - k->in.len;
    buf_add(&k->in, data, len);
    if (lws_remaining_packet_payload(k->wsi) > 0 ||
        !lws_is_final_fragment(k->wsi))
        return;
    session_link_receive(k->link, k->in.data, k->in.len, emulator_now(k->e));
    buf_reset(&k->in);
}

/* Text to what goes over the wire: the stream so far, flushed, so that it
 * ends in 00 00 FF FF. */
static void compress_frame(struct socket *k, struct buf *text)
{
    AUTO_BUF struct buf packed = BUF_INIT;
    z_stream *z = k->deflate;

    z->next_in = (Bytef *)text->data;
    z->avail_in = (uInt)text->len;
    do {
        buf_reserve(&packed, PIECE);
        z->next_out = (Bytef *)packed.data + packed.len;
        z->avail_out = PIECE;
        deflate(z, Z_SYNC_FLUSH);
        packed.len += PIECE - z->avail_out;
    } while (z->avail_out == 0);
    buf_release(text);
    *text = buf_take(&packed);
}

static bool send_piece(struct socket *k)
{
    size_t left = k->out.len - LWS_PRE - k->out_at;
    size_t n = left < PIECE ? left : PIECE;
    int flags = k->out_at > 0 ? LWS_WRITE_CONTINUATION
                : k->deflate  ? LWS_WRITE_BINARY
                              : LWS_WRITE_TEXT;

    if (n < left)
        flags |= LWS_WRITE_NO_FIN;
    /* lws writes its header in front of the piece, over what has left. */
    unsigned char *p = (unsigned char *)k->out.data + LWS_PRE + k->out_at;
    if (lws_write(k->wsi, p, n, (enum lws_write_protocol)flags) < (int)n)
        return false;
    k->out_at += n;
    if (n == left)
        buf_release(&k->out);
    return true;
}

/* Non-zero ends the connection. */
static int writable(struct socket *k)
{
    const char *reason;
    int code = session_link_close_code(k->link, &reason);

    if (code == SESSION_CUT)
        return -1;
    if (k->out.len == 0) {
        AUTO_BUF struct buf frame = BUF_INIT;
        if (session_link_next(k->link, &frame)) {
            if (k->deflate)
                compress_frame(k, &frame);
            static const char room[LWS_PRE];
            buf_add(&k->out, room, sizeof(room));
            buf_add(&k->out, frame.data, frame.len);
            k->out_at = 0;
        }
    }
    if (k->out.len > 0) {
        if (!send_piece(k))
            return -1;
    } else if (code > 0) {
        char text[124];
        snprintf(text, sizeof(text), "%s", reason);
        lws_close_reason(k->wsi, (enum lws_close_status)code,
                         (unsigned char *)text, strlen(text));
        return -1;
    }
    if (k->out.len > 0 || code > 0 || session_link_pending(k->link))
        lws_callback_on_writable(k->wsi);
    return 0;
}

int gateway_callback(struct lws *wsi, enum lws_callback_reasons reason,
                     void *user, void *in, size_t len)
{
    struct socket *k = user;
    struct emulator *e = lws_context_user(lws_get_context(wsi));
    int r = 0;

    switch (reason) {
    case LWS_CALLBACK_ESTABLISHED:
        k->wsi = wsi;
        k->e = e;
        open_link(k);
        break;
    case LWS_CALLBACK_RECEIVE:
        if (k->link && e->gateway)
            receive(k, in, len);
        break;
    case LWS_CALLBACK_SERVER_WRITEABLE:
        if (k->link && e->gateway)
            r = writable(k);
        break;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (len >= 2) {
            const unsigned char *p = in;
            k->peer_code = p[0] << 8 | p[1];
        }
        break;
    case LWS_CALLBACK_CLOSED:
        if (k->e)
            close_link(k);
        break;
    default:
        return 0;
    }
    if (e->gateway)
        arm(e);
    return r;
}

/* --- routes --- */

const char *gateway_url(const struct emulator *e, char out[GATEWAY_URL_SIZE])
{
    snprintf(out, GATEWAY_URL_SIZE, "%s/gateway", emulator_ws_base(e));
    return out;
}

int gateway_identifies_left(struct emulator *e, int64_t *reset_after_ms)
{
    return session_pool_remaining(e->gateway->pool, emulator_now(e),
                                  reset_after_ms);
}

json_object *control_object(struct call *c)
{
    json_object *o = c->req.json ? json_object_get(c->req.json)
                     : c->req.body.len > 0
                         ? json_tokener_parse(c->req.body.data)
                         : NULL;

    if (json_object_is_type(o, json_type_object))
        return o;
    json_object_put(o);
    call_error(c, 400, 50109, "The request body must be a JSON object.");
    return NULL;
}

static void answer_state(struct call *c)
{
    struct session_pool *p = c->e->gateway->pool;
    json_object *o = json_object_new_object();

    json_object_object_add(
        o, "connections",
        json_object_new_int64((int64_t)session_pool_links(p)));
    json_object_object_add(
        o, "sessions",
        json_object_new_int64((int64_t)session_pool_sessions(p)));
    call_json(c, 200, o);
}

static int int_member(json_object *o, const char *key, int fallback)
{
    json_object *v = json_object_object_get(o, key);

    return json_object_is_type(v, json_type_int) ? json_object_get_int(v)
                                                 : fallback;
}

/* POST /emulator/gateway {"do":…} */
static void post_control(struct call *c)
{
    struct session_pool *p = c->e->gateway->pool;
    json_object *body = control_object(c);

    if (!body)
        return;
    json_object *what = json_object_object_get(body, "do");
    const char *verb = what ? json_object_get_string(what) : "";
    bool known = true;

    if (strcmp(verb, "drop") == 0)
        session_pool_drop(p);
    else if (strcmp(verb, "invalid-session") == 0)
        session_pool_invalidate(
            p,
            json_object_get_boolean(json_object_object_get(body, "resumable")),
            emulator_now(c->e));
    else if (strcmp(verb, "reconnect") == 0)
        session_pool_reconnect(p);
    else if (strcmp(verb, "silence") == 0)
        session_pool_silence(p);
    else if (strcmp(verb, "heartbeat") == 0)
        session_pool_beat(p);
    else if (strcmp(verb, "close") == 0)
        session_pool_close(p, int_member(body, "code", 4000),
                           "Asked for by the control route.");
    else
        known = false;
    json_object_put(body);

    if (!known) {
        call_error(c, 400, 50035,
                   "\"do\" must be one of drop, invalid-session, reconnect, "
                   "silence, heartbeat, close.");
        return;
    }
    arm(c->e);
    answer_state(c);
}

const struct route gateway_routes[] = {
    {"GET", "/emulator/gateway", answer_state, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/gateway", post_control, NULL, NULL, ROUTE_CONTROL},
    {NULL},
};
