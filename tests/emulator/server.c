/* Sockets, and one HTTP request after another on each. A connection answers
 * in order because it starts a request only when the one before it has been
 * answered; what a client sent ahead waits in the socket. */
#include "tests/emulator/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <json-c/json.h>
#include <libwebsockets.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/http1.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/route.h"
#include "tests/emulator/tally.h"

struct conn {
    struct server *server;
    struct lws *wsi;
    int fd;
    bool routed; /* it is HTTP, not the gateway's */
    struct http1 parser;
    struct buf in, out;
    size_t out_at;
    struct call *call; /* being answered */
    bool close_after;  /* when out has left */
    bool dead;         /* to be closed on return to the loop */
    bool ended;        /* the client sends no more */
    bool busy;         /* conn_work() is on the stack */
    struct conn *next, **prev;
};

struct delay {
    lws_sorted_usec_list_t sul; /* first: found from its address */
    struct server *server;
    void (*fire)(struct emulator *e, void *arg);
    void *arg;
    struct delay *next, **prev;
};

struct server {
    struct emulator *e;
    struct lws_context *context;
    struct lws_vhost *vhost;
    int port;
    lws_sorted_usec_list_t tick;
    struct conn *conns;
    struct delay *delays;
    char http_base[64], ws_base[64];
};

static volatile sig_atomic_t stopping;
static struct lws_context *waking; /* for the signal handler */

static void conn_work(struct conn *k);

/* --- the end of a turn of the loop --- */

static void on_tick(lws_sorted_usec_list_t *sul);

/* After anything that may have changed state or time: written down, and the
 * next timer known. */
static void settle(struct server *s)
{
    journal_commit(s->e);
    int64_t ms = clock_next_ms(s->e);
    if (ms < 0)
        lws_sul_cancel(&s->tick);
    else
        lws_sul_schedule(s->context, 0, &s->tick, on_tick,
                         ms * LWS_US_PER_MS + 1);
}

static void on_tick(lws_sorted_usec_list_t *sul)
{
    struct server *s = lws_container_of(sul, struct server, tick);
    clock_run(s->e);
    settle(s);
}

static void delay_unlink(struct delay *d)
{
    *d->prev = d->next;
    if (d->next)
        d->next->prev = d->prev;
}

static void on_delay(lws_sorted_usec_list_t *sul)
{
    struct delay *d = lws_container_of(sul, struct delay, sul);
    struct server *s = d->server;
    delay_unlink(d);
    d->fire(s->e, d->arg);
    free(d);
    settle(s);
}

void server_after(struct emulator *e, int64_t ms,
                  void (*fire)(struct emulator *e, void *arg), void *arg)
{
    struct server *s = e->server;
    struct delay *d = xcalloc(1, sizeof *d);
    d->server = s;
    d->fire = fire;
    d->arg = arg;
    d->next = s->delays;
    d->prev = &s->delays;
    if (d->next)
        d->next->prev = &d->next;
    s->delays = d;
    lws_sul_schedule(s->context, 0, &d->sul, on_delay, ms * LWS_US_PER_MS + 1);
}

/* --- answers --- */

static void call_free(struct call *c)
{
    if (c->conn)
        c->conn->call = NULL;
    request_release(&c->req);
    for (int i = 0; i < CALL_MAX_ARGS; i++)
        free(c->args[i]);
    for (size_t i = 0; i < c->extra_count; i++) {
        free(c->extra[i].key);
        free(c->extra[i].value);
    }
    free(c->extra);
    free(c);
}

void call_header(struct call *c, const char *name, const char *fmt, ...)
{
    AUTO_BUF struct buf v = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&v, fmt, ap);
    va_end(ap);

    for (size_t i = 0; i < c->extra_count; i++) {
        if (strcmp(c->extra[i].key, name) == 0) {
            free(c->extra[i].value);
            c->extra[i].value = buf_take_str(&v);
            return;
        }
    }
    c->extra = xrealloc(c->extra, (c->extra_count + 1) * sizeof *c->extra);
    c->extra[c->extra_count++] =
        (struct http_pair){xstrdup(name), buf_take_str(&v)};
}

static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } known[] = {{200, "OK"},
                 {201, "Created"},
                 {202, "Accepted"},
                 {204, "No Content"},
                 {206, "Partial Content"},
                 {304, "Not Modified"},
                 {400, "Bad Request"},
                 {401, "Unauthorized"},
                 {403, "Forbidden"},
                 {404, "Not Found"},
                 {405, "Method Not Allowed"},
                 {411, "Length Required"},
                 {413, "Payload Too Large"},
                 {416, "Range Not Satisfiable"},
                 {429, "Too Many Requests"},
                 {431, "Request Header Fields Too Large"},
                 {500, "Internal Server Error"},
                 {501, "Not Implemented"},
                 {502, "Bad Gateway"},
                 {503, "Service Unavailable"},
                 {504, "Gateway Timeout"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].status == status)
            return known[i].text;
    return "Unknown";
}

static bool conn_flush(struct conn *k);

static void write_head(struct buf *out, int status, const char *content_type,
                       size_t len, bool keep_alive)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\n", status, reason(status));
    if (content_type)
        buf_printf(out, "Content-Type: %s\r\n", content_type);
    if (status != 204 && status != 304)
        buf_printf(out, "Content-Length: %zu\r\n", len);
    buf_printf(out, "Connection: %s\r\n", keep_alive ? "keep-alive" : "close");
}

/* The one place where a call ends. status 0: close without an answer. */
static void answer(struct call *c, int status, const char *content_type,
                   const void *data, size_t len)
{
    struct emulator *e = c->e;
    struct conn *k = c->conn;

    /* First what was done becomes lasting, then it is told. */
    journal_commit(e);

    if (c->fault == FAULT_DROP_AFTER)
        status = 0;
    if (c->trace) {
        tally_add(c, status, data, len);
        const char *scope = NULL;
        for (size_t i = 0; i < c->extra_count; i++)
            if (strcmp(c->extra[i].key, "X-RateLimit-Scope") == 0)
                scope = c->extra[i].value;
        if (status == 401 || status == 403 ||
            (status == 429 && (!scope || strcmp(scope, "shared") != 0)))
            limits_invalid(e);
    }
    if (!k) {
        call_free(c);
        return;
    }
    if (!status) {
        k->dead = true;
    } else {
        bool cut = c->fault == FAULT_TRUNCATE;
        k->close_after = !c->keep_alive || cut;
        write_head(&k->out, status, content_type, len, c->keep_alive && !cut);
        for (size_t i = 0; i < c->extra_count; i++)
            buf_printf(&k->out, "%s: %s\r\n", c->extra[i].key,
                       c->extra[i].value);
        buf_addstr(&k->out, "\r\n");
        if (len && strcmp(c->req.method, "HEAD") != 0)
            buf_add(&k->out, data, cut ? len / 2 : len);
    }
    call_free(c);

    /* Inside conn_work() its loop goes on by itself. */
    if (!k->busy)
        conn_work(k);
}

void call_json(struct call *c, int status, struct json_object *json)
{
    size_t n;
    const char *text = json_object_to_json_string_length(
        json, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    answer(c, status, "application/json", text, n);
    json_object_put(json);
}

void call_empty(struct call *c)
{
    answer(c, 204, NULL, NULL, 0);
}

void call_raw(struct call *c, int status, const char *content_type,
              const void *data, size_t len)
{
    answer(c, status, content_type, data, len);
}

void call_drop(struct call *c)
{
    answer(c, 0, NULL, NULL, 0);
}

/* --- connections --- */

static struct conn *conn_new(struct server *s, int fd)
{
    struct conn *k = xcalloc(1, sizeof *k);
    k->server = s;
    k->fd = fd;
    http1_init(&k->parser);
    k->next = s->conns;
    k->prev = &s->conns;
    if (k->next)
        k->next->prev = &k->next;
    s->conns = k;
    return k;
}

static void conn_free(struct conn *k)
{
    *k->prev = k->next;
    if (k->next)
        k->next->prev = k->prev;
    if (k->call)
        k->call->conn = NULL;
    http1_release(&k->parser);
    buf_release(&k->in);
    buf_release(&k->out);
    free(k);
}

/* Sends what the socket takes; false: the peer is gone. */
static bool conn_flush(struct conn *k)
{
    while (k->out_at < k->out.len) {
        ssize_t n = send(k->fd, k->out.data + k->out_at, k->out.len - k->out_at,
                         MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            lws_callback_on_writable(k->wsi);
            return true;
        }
        if (n < 0)
            return false;
        k->out_at += (size_t)n;
    }
    /* An answer of megabytes does not keep its memory. */
    if (k->out.cap > 1024 * 1024)
        buf_release(&k->out);
    buf_reset(&k->out);
    k->out_at = 0;
    if (k->close_after)
        k->dead = true;
    return true;
}

static void conn_start(struct conn *k)
{
    struct http1 *p = &k->parser;
    struct call *c = xcalloc(1, sizeof *c);

    c->e = k->server->e;
    c->conn = k;
    c->req = p->req;
    c->keep_alive = p->keep_alive;
    http1_init(p);
    k->call = c;
    route_call(c);
}

static void conn_refuse(struct conn *k)
{
    static const char text[] =
        "{\"message\": \"Request entity too large\", \"code\": 40005}";
    int status = k->parser.status;
    size_t n = status == 413 ? sizeof text - 1 : 0;

    write_head(&k->out, status, n ? "application/json" : NULL, n, false);
    buf_addstr(&k->out, "\r\n");
    buf_add(&k->out, text, n);
    k->close_after = true;
}

/* Goes as far as it can: requests out of what was read, answers out. */
static void conn_work(struct conn *k)
{
    k->busy = true;
    while (!k->dead && !k->call && !k->close_after) {
        enum http1_result r = http1_feed(&k->parser, &k->in);
        if (r == HTTP1_DONE) {
            conn_start(k);
        } else if (r == HTTP1_CONTINUE) {
            buf_addstr(&k->out, "HTTP/1.1 100 Continue\r\n\r\n");
        } else if (r == HTTP1_BAD) {
            conn_refuse(k);
        } else {
            break;
        }
        /* Who does not read its answers gets no more of them. */
        if (!conn_flush(k))
            k->dead = true;
        if (k->out.len)
            break;
    }
    if (!k->dead && k->out.len && !conn_flush(k))
        k->dead = true;
    if (k->ended && !k->call && !k->out.len)
        k->dead = true;
    k->busy = false;

    lws_rx_flow_control(k->wsi, !k->call && !k->out.len && !k->ended);
    /* libwebsockets closes a connection when its callback says so. */
    if (k->dead)
        lws_set_timeout(k->wsi, PENDING_TIMEOUT_USER_OK, LWS_TO_KILL_ASYNC);
}

/* Is it the gateway's? Looks without taking. Undecided while too little has
 * arrived. */
enum whose { UNDECIDED, OURS, GATEWAY };

static enum whose conn_peek(const struct conn *k)
{
    static const char want[] = "GET /gateway";
    char got[sizeof want];
    ssize_t n = recv(k->fd, got, sizeof got, MSG_PEEK | MSG_DONTWAIT);
    size_t len = sizeof want - 1;

    if (n <= 0)
        return OURS; /* the read will find out */
    if (memcmp(got, want, (size_t)n < len ? (size_t)n : len) != 0)
        return OURS;
    if ((size_t)n <= len)
        return UNDECIDED;
    return strchr("/? ", got[len]) ? GATEWAY : OURS;
}

static int conn_readable(struct conn *k)
{
    if (!k->routed) {
        switch (conn_peek(k)) {
        case UNDECIDED:
            return 0;
        case GATEWAY: {
            /* libwebsockets knows a connection by its descriptor: it gets
             * another one for the same socket. */
            int fd = dup(k->fd);
            if (fd >= 0)
                lws_adopt_socket_vhost(k->server->vhost, fd);
            return -1;
        }
        case OURS:
            k->routed = true;
        }
    }

    char chunk[64 * 1024];
    ssize_t n = recv(k->fd, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    if (n == 0)
        k->ended = true;
    else
        buf_add(&k->in, chunk, (size_t)n);
    conn_work(k);
    settle(k->server);
    return k->dead ? -1 : 0;
}

static int conn_callback(struct lws *wsi, enum lws_callback_reasons why,
                         void *user, void *in, size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    struct conn *k = lws_get_opaque_user_data(wsi);

    if (!k)
        return 0;
    switch (why) {
    case LWS_CALLBACK_RAW_RX_FILE:
        return conn_readable(k);
    case LWS_CALLBACK_RAW_WRITEABLE_FILE:
        if (!conn_flush(k))
            return -1;
        if (!k->out.len && !k->dead) {
            conn_work(k);
            settle(k->server);
        }
        return k->dead ? -1 : 0;
    case LWS_CALLBACK_RAW_CLOSE_FILE:
        lws_set_opaque_user_data(wsi, NULL);
        conn_free(k);
        return 0;
    default:
        return 0;
    }
}

static int listen_callback(struct lws *wsi, enum lws_callback_reasons why,
                           void *user, void *in, size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    if (why != LWS_CALLBACK_RAW_RX_FILE)
        return 0;

    struct emulator *e = lws_context_user(lws_get_context(wsi));
    struct server *s = e->server;
    int listener = (int)(intptr_t)lws_get_opaque_user_data(wsi);
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);

        struct conn *k = conn_new(s, fd);
        lws_sock_file_fd_type u = {.filefd = fd};
        k->wsi = lws_adopt_descriptor_vhost(s->vhost, LWS_ADOPT_RAW_FILE_DESC,
                                            u, "http-connection", NULL);
        if (!k->wsi) {
            conn_free(k);
            close(fd);
            continue;
        }
        lws_set_opaque_user_data(k->wsi, k);
    }
    return 0;
}

/* --- start and stop --- */

static int listen_on(const struct emulator_options *o, int *port,
                     struct err *err)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    socklen_t size;

    if (inet_pton(AF_INET, o->listen_host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)o->port);
        size = sizeof *v4;
    } else if (inet_pton(AF_INET6, o->listen_host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)o->port);
        size = sizeof *v6;
    } else {
        return err_set(err, -EINVAL, "'%s' is no address", o->listen_host);
    }

    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return err_set(err, -errno, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, 512) < 0) {
        int r = err_set(err, -errno, "cannot listen on %s port %d: %s",
                        o->listen_host, o->port, strerror(errno));
        close(fd);
        return r;
    }
    getsockname(fd, (struct sockaddr *)&a, &size);
    *port = ntohs(a.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return fd;
}

int server_open(struct emulator *e, struct err *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    s->e = e;
    e->server = s;

    int fd = listen_on(&e->options, &s->port, err);
    if (fd < 0)
        return fd;

    bool v6 = strchr(e->options.listen_host, ':') != NULL;
    snprintf(s->http_base, sizeof s->http_base, "http://%s%s%s:%d",
             v6 ? "[" : "", e->options.listen_host, v6 ? "]" : "", s->port);
    snprintf(s->ws_base, sizeof s->ws_base, "ws%s", s->http_base + 4);

    /* The first is what an adopted socket's HTTP and an upgrade without a
     * subprotocol get. */
    static struct lws_protocols protocols[] = {
        {"gateway", gateway_callback, 0, 16 * 1024, 0, NULL, 0},
        {"http-connection", conn_callback, 0, 0, 0, NULL, 0},
        {"listen", listen_callback, 0, 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    protocols[0].per_session_data_size = gateway_session_size;

    lws_set_log_level(0, NULL);
    struct lws_context_creation_info info = {0};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.user = e;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.pt_serv_buf_size = 32 * 1024;
    info.max_http_header_data = 16 * 1024;
    info.options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS;
    s->context = lws_create_context(&info);
    if (s->context)
        s->vhost = lws_create_vhost(s->context, &info);

    lws_sock_file_fd_type u = {.filefd = fd};
    struct lws *wsi =
        s->vhost ? lws_adopt_descriptor_vhost(s->vhost, LWS_ADOPT_RAW_FILE_DESC,
                                              u, "listen", NULL)
                 : NULL;
    if (!wsi) {
        close(fd);
        return err_set(err, -EIO, "libwebsockets would not start");
    }
    lws_set_opaque_user_data(wsi, (void *)(intptr_t)fd);
    waking = s->context;
    return 0;
}

void server_run(struct emulator *e)
{
    settle(e->server);
    while (!stopping && lws_service(e->server->context, 0) >= 0)
        /* Frames of the gateway may have set timers. */
        settle(e->server);
}

void server_stop(void)
{
    stopping = 1;
    if (waking)
        lws_cancel_service(waking);
}

void server_close(struct emulator *e)
{
    struct server *s = e->server;
    if (!s)
        return;
    waking = NULL;
    while (s->delays) {
        struct delay *d = s->delays;
        lws_sul_cancel(&d->sul);
        delay_unlink(d);
        free(d);
    }
    lws_sul_cancel(&s->tick);
    for (struct conn *k = s->conns; k; k = k->next)
        if (k->call)
            call_free(k->call);
    if (s->context)
        lws_context_destroy(s->context);
    while (s->conns)
        conn_free(s->conns);
    free(s);
    e->server = NULL;
}

int server_port(const struct emulator *e)
{
    return e->server->port;
}

struct lws_context *server_context(const struct emulator *e)
{
    return e->server->context;
}

const char *emulator_http_base(const struct emulator *e)
{
    return e->server->http_base;
}

const char *emulator_ws_base(const struct emulator *e)
{
    return e->server->ws_base;
}
