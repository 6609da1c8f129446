#include "bot/conn.h"

#include <errno.h>
#include <libwebsockets.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bot/inflate.h"
#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/discord/url.h"

#define MESSAGE_MAX (64u << 20)
#define STOP_GRACE_MS 500

/* One connection. libwebsockets holds a pointer to it until it has said
 * WSI_DESTROY, which can be after it has stopped to be of interest. */
struct link {
    struct link *next; /* of all that are not freed */
    struct conn *conn;
    struct lws *wsi; /* NULL before and after */
    bool over;       /* libwebsockets is done with it */
    int close_code;  /* to be sent, 0: none */
    int peer_code;   /* that came, 0: none */
    struct inflater *inflater;
    struct buf in, text; /* a message in pieces; a message unpacked */
    struct buf out[4];   /* to be sent, LWS_PRE bytes first */
    size_t n_out;
};

struct conn {
    const struct conn_ops *ops;
    void *arg;
    struct lws_context *context;
    struct link *links;
    struct link *current; /* the one that is heard of, or NULL */
    lws_sorted_usec_list_t timer;
    int64_t timer_at;
    lws_sorted_usec_list_t stop_timer;
    bool stopping, stopped;
    atomic_bool woken; /* from any thread: the context's wake-up was ours */
};

static int handle(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                  void *in, size_t len);

static const struct lws_protocols protocols[] = {
    {.name = "dbcord-gateway", .callback = handle, .rx_buffer_size = 65536},
    {0},
};

static void log_from_library(int level, const char *line)
{
    (void)level;
    log_debug("websocket: %.*s", (int)strcspn(line, "\r\n"), line);
}

static pthread_once_t log_once = PTHREAD_ONCE_INIT;

static void set_log(void)
{
    lws_set_log_level(LLL_ERR | LLL_WARN, log_from_library);
}

int conn_new(const struct conn_ops *ops, void *arg, struct conn **out,
             struct err *err)
{
    struct conn *c = xcalloc(1, sizeof(*c));
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .gid = (gid_t)-1,
        .uid = (uid_t)-1,
        .user = c,
    };

    pthread_once(&log_once, set_log);
    c->ops = ops;
    c->arg = arg;
    c->timer_at = INT64_MAX;
    c->context = lws_create_context(&info);
    if (!c->context) {
        free(c);
        return err_set(err, -EIO, "no WebSocket client can be made");
    }
    *out = c;
    return 0;
}

static void wipe(struct buf *b)
{
    if (b->data)
        explicit_bzero(b->data, b->len);
    buf_release(b);
}

static void link_free(struct link *l)
{
    inflater_free(l->inflater);
    buf_release(&l->in);
    buf_release(&l->text);
    for (size_t i = 0; i < l->n_out; i++)
        wipe(&l->out[i]);
    free(l);
}

static void free_links(struct conn *c, bool all)
{
    for (struct link **at = &c->links; *at;) {
        struct link *l = *at;
        if (!l->over && !all) {
            at = &l->next;
            continue;
        }
        *at = l->next;
        link_free(l);
    }
}

void conn_free(struct conn *c)
{
    if (!c)
        return;
    c->current = NULL;
    lws_sul_cancel(&c->timer);
    lws_sul_cancel(&c->stop_timer);
    lws_context_destroy(c->context);
    free_links(c, true);
    free(c);
}

/* Nobody is to hear of l any more. */
static bool let_go(struct link *l)
{
    struct conn *c = l->conn;

    if (c->current != l)
        return false;
    c->current = NULL;
    return true;
}

static void broke(struct link *l, int code, const char *why)
{
    if (let_go(l))
        l->conn->ops->closed(l->conn->arg, code, why);
    if (l->conn->stopping)
        l->conn->stopped = true;
}

/* A whole message, or what was left of one that is none. Negative: hang up. */
static int take_message(struct link *l, bool binary)
{
    struct conn *c = l->conn;
    struct err err = ERR_INIT;

    if (!binary) {
        /* What listens may close or open: l->in may change hands. */
        struct buf text = buf_take(&l->in);
        c->ops->message(c->arg, text.data ? text.data : "", text.len);
        buf_release(&text);
        return 0;
    }
    int r = inflater_feed(l->inflater, l->in.data, l->in.len, &l->text, &err);
    buf_reset(&l->in);
    if (r == 0)
        return 0;
    if (r < 0) {
        broke(l, 0, err.text);
        return -1;
    }
    c->ops->message(c->arg, l->text.data, l->text.len);
    return 0;
}

static int take_bytes(struct link *l, struct lws *wsi, const void *in,
                      size_t len)
{
    /* On its way out; its close frame is still to go. */
    if (l->conn->current != l)
        return 0;
    if (len > MESSAGE_MAX - l->in.len) {
        broke(l, 0, "a message larger than any is");
        return -1;
    }
    buf_add(&l->in, in, len);
    if (!lws_is_final_fragment(wsi) || lws_remaining_packet_payload(wsi) > 0)
        return 0;
    return take_message(l, lws_frame_is_binary(wsi));
}

/* Negative: the connection ends. */
static int write_next(struct link *l, struct lws *wsi)
{
    if (l->n_out > 0) {
        struct buf b = l->out[0];
        l->n_out--;
        memmove(&l->out[0], &l->out[1], l->n_out * sizeof(l->out[0]));
        size_t n = b.len - LWS_PRE;
        int r = lws_write(wsi, (unsigned char *)b.data + LWS_PRE, n,
                          LWS_WRITE_TEXT);
        wipe(&b);
        if (r < (int)n)
            return -1;
        if (l->n_out > 0 || l->close_code)
            lws_callback_on_writable(wsi);
        return 0;
    }
    if (!l->close_code)
        return 0;
    lws_close_reason(wsi, (enum lws_close_status)l->close_code, NULL, 0);
    return -1;
}

static int handle(struct lws *wsi, enum lws_callback_reasons reason, void *user,
                  void *in, size_t len)
{
    struct link *l = user;

    if (reason == LWS_CALLBACK_EVENT_WAIT_CANCELLED) {
        struct conn *c = lws_context_user(lws_get_context(wsi));
        if (c && atomic_exchange(&c->woken, false))
            c->ops->woken(c->arg);
        return 0;
    }
    if (!l)
        return 0;

    switch ((int)reason) {
    case LWS_CALLBACK_CLIENT_ESTABLISHED:
        l->wsi = wsi;
        if (l->conn->current != l)
            return -1;
        l->conn->ops->opened(l->conn->arg);
        return 0;
    case LWS_CALLBACK_CLIENT_RECEIVE:
        return take_bytes(l, wsi, in, len);
    case LWS_CALLBACK_CLIENT_WRITEABLE:
        return write_next(l, wsi);
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE:
        if (len >= 2)
            l->peer_code =
                ((unsigned char *)in)[0] << 8 | ((unsigned char *)in)[1];
        return 0;
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        l->wsi = NULL;
        broke(l, 0, in ? (const char *)in : "it could not be made");
        return 0;
    case LWS_CALLBACK_CLIENT_CLOSED:
        l->wsi = NULL;
        broke(l, l->peer_code, "");
        return 0;
    case LWS_CALLBACK_WSI_DESTROY:
        l->wsi = NULL;
        l->over = true;
        return 0;
    default:
        return 0;
    }
}

int conn_open(struct conn *c, const char *url, struct err *err)
{
    struct url u;
    AUTO_BUF struct buf host = BUF_INIT;

    conn_close(c, 1000);
    free_links(c, false);
    int r = url_parse(url, &u, err);
    if (r < 0)
        return err_wrap(err, r, "the gateway");

    /* libwebsockets takes $http_proxy for every host, this machine too. */
    struct lws_vhost *vhost = lws_get_vhost_by_name(c->context, "default");
    if (u.loopback && vhost)
        lws_set_proxy(vhost, ":0");

    struct link *l = xcalloc(1, sizeof(*l));
    l->conn = c;
    l->inflater = inflater_new();
    l->next = c->links;
    c->links = l;
    c->current = l;
    /* The port belongs into Host: unless it is the usual one. */
    if (u.port == (u.tls ? 443 : 80))
        buf_addstr(&host, u.host);
    else
        buf_printf(&host, "%s:%u", u.host, u.port);

    struct lws_client_connect_info info = {
        .context = c->context,
        .address = u.host,
        .port = u.port,
        .path = u.path[0] ? u.path : "/",
        .host = host.data,
        .alpn = "http/1.1", /* no WebSocket over HTTP/2 */
        .ssl_connection = u.tls ? LCCSCF_USE_SSL : 0,
        .local_protocol_name = protocols[0].name,
        .userdata = l,
        .pwsi = &l->wsi,
    };
    if (!lws_client_connect_via_info(&info)) {
        l->wsi = NULL;
        /* If it said so already, nobody hears it twice. */
        broke(l, 0, "it could not be made");
    }
    return 0;
}

void conn_send(struct conn *c, const char *text, size_t len)
{
    struct link *l = c->current;

    /* More than so many waiting: the connection does not move, and what
     * watches over it will end it. */
    if (!l || !l->wsi || l->n_out >= sizeof(l->out) / sizeof(l->out[0]))
        return;
    struct buf *b = &l->out[l->n_out++];
    char pre[LWS_PRE] = {0};
    *b = BUF_INIT;
    buf_reserve(b, LWS_PRE + len);
    buf_add(b, pre, LWS_PRE);
    buf_add(b, text, len);
    lws_callback_on_writable(l->wsi);
}

void conn_close(struct conn *c, int code)
{
    struct link *l = c->current;

    if (!l)
        return;
    c->current = NULL;
    l->close_code = code;
    if (l->wsi)
        lws_callback_on_writable(l->wsi);
}

static void timer_fired(lws_sorted_usec_list_t *sul)
{
    struct conn *c = lws_container_of(sul, struct conn, timer);

    if (c->stopping)
        return;
    c->ops->timer(c->arg);
}

void conn_timer(struct conn *c, int64_t at)
{
    lws_sul_cancel(&c->timer);
    if (at == INT64_MAX || c->stopping)
        return;

    int64_t in = at == INT64_MIN ? 0 : at - clock_mono_ms();
    if (in > 24 * 3600 * 1000)
        in = 24 * 3600 * 1000;
    lws_sul_schedule(c->context, 0, &c->timer, timer_fired,
                     in > 0 ? (lws_usec_t)in * LWS_US_PER_MS : 1);
}

static void stop_fired(lws_sorted_usec_list_t *sul)
{
    struct conn *c = lws_container_of(sul, struct conn, stop_timer);

    c->stopped = true;
    /* Timers run before the poll, which would go on to sleep. */
    lws_cancel_service(c->context);
}

void conn_stop(struct conn *c)
{
    bool talks = c->current && c->current->wsi;

    if (c->stopping)
        return;
    c->stopping = true;
    lws_sul_cancel(&c->timer);
    conn_close(c, 1000);
    if (!talks)
        c->stopped = true;
    lws_sul_schedule(c->context, 0, &c->stop_timer, stop_fired,
                     (lws_usec_t)STOP_GRACE_MS * LWS_US_PER_MS);
}

void conn_run(struct conn *c)
{
    while (!c->stopped)
        if (lws_service(c->context, 0) < 0)
            break;
}

void conn_wake(struct conn *c)
{
    atomic_store(&c->woken, true);
    lws_cancel_service(c->context);
}
