/* Sockets, the event loop, and calls on their way in and out. libmicrohttpd
 * speaks HTTP, libwebsockets the gateway's WebSocket on a port of its own and
 * the loop: it polls libmicrohttpd's one descriptor and its timers.
 *
 * A request is routed once its body is there. A call that is not answered at
 * once suspends its connection; the answer resumes it. */
#include "tests/emulator/server.h"

#include <arpa/inet.h>
#include <errno.h>
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
#include <microhttpd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/http.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/route.h"
#include "tests/emulator/tally.h"

enum {
    HEAD_MAX = 256 * 1024, /* a search may carry 500 channel ids */
    BODY_MAX = 25 * 1024 * 1024,
};

/* A client's connection. */
struct conn {
    struct server *server;
    struct MHD_Connection *mhd;
    char *target;      /* of the request that is arriving, as sent */
    struct call *call; /* arriving or being answered */
    bool routed;       /* the call is with its handler */
    bool suspended;
    bool too_large; /* the body is read to its end and then refused */
    bool drop;      /* to be closed without an answer */
    struct MHD_Response *response; /* the answer, not yet queued */
    int status;
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
    struct MHD_Daemon *http;
    lws_sorted_usec_list_t tick;     /* the emulator's next timer */
    lws_sorted_usec_list_t http_due; /* libmicrohttpd has something to do */
    bool http_running, http_again;   /* in MHD_run(); it is to run once more */
    struct conn *conns;
    struct call *answered; /* to be freed at the end of the turn */
    struct delay *delays;
    int port, ws_port;
    char http_base[64], ws_base[64];
};

static volatile sig_atomic_t stopping;
static struct lws_context *waking; /* for the signal handler */

/* --- calls --- */

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

/* An answered call lives to the end of the turn: handlers may look at it after
 * their answer without harm. */
static void call_retire(struct call *c)
{
    struct server *s = c->e->server;

    if (c->conn)
        c->conn->call = NULL;
    c->conn = NULL;
    c->next = s->answered;
    s->answered = c;
}

static void free_answered(struct server *s)
{
    while (s->answered) {
        struct call *c = s->answered;
        s->answered = c->next;
        call_free(c);
    }
}

/* --- the end of a turn of the loop --- */

static void on_tick(lws_sorted_usec_list_t *sul);
static void on_http_due(lws_sorted_usec_list_t *sul);
static void http_soon(struct server *s);

/* After anything that may have changed state or time: written down, and the
 * next timer known. */
static void settle(struct server *s)
{
    journal_commit(s->e);
    free_answered(s);
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

/* Half of a body whose length was announced whole. */
struct cut_body {
    size_t len;
    char data[];
};

static ssize_t read_cut_body(void *arg, uint64_t at, char *out, size_t max)
{
    const struct cut_body *b = arg;

    if (at >= b->len)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = b->len - (size_t)at < max ? b->len - (size_t)at : max;
    memcpy(out, b->data + at, n);
    return (ssize_t)n;
}

static struct MHD_Response *respond(const void *data, size_t len, bool cut)
{
    if (!cut || len < 2)
        return MHD_create_response_from_buffer(
            len, len ? (void *)(uintptr_t)data : NULL, MHD_RESPMEM_MUST_COPY);

    struct cut_body *b = xmalloc(sizeof *b + len / 2);
    b->len = len / 2;
    memcpy(b->data, data, b->len);
    return MHD_create_response_from_callback(len, 16 * 1024, read_cut_body, b,
                                             free);
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
    if (k && status) {
        k->response = respond(data, len, c->fault == FAULT_TRUNCATE);
        k->status = status;
        if (content_type)
            MHD_add_response_header(k->response, "Content-Type", content_type);
        for (size_t i = 0; i < c->extra_count; i++)
            MHD_add_response_header(k->response, c->extra[i].key,
                                    c->extra[i].value);
    } else if (k) {
        k->drop = true;
    }
    call_retire(c);
    if (k && k->suspended) {
        k->suspended = false;
        MHD_resume_connection(k->mhd);
        http_soon(k->server);
    }
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

static void on_connection(void *arg, struct MHD_Connection *mhd, void **slot,
                          enum MHD_ConnectionNotificationCode what)
{
    struct server *s = arg;
    struct conn *k = *slot;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        k = xcalloc(1, sizeof *k);
        k->server = s;
        k->mhd = mhd;
        k->next = s->conns;
        k->prev = &s->conns;
        if (k->next)
            k->next->prev = &k->next;
        s->conns = k;
        *slot = k;
        return;
    }
    *k->prev = k->next;
    if (k->next)
        k->next->prev = k->prev;
    if (k->call && k->routed)
        k->call->conn = NULL; /* its handler still has it */
    else if (k->call)
        call_free(k->call);
    if (k->response)
        MHD_destroy_response(k->response);
    free(k->target);
    free(k);
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    return MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT)
        ->socket_context;
}

/* The only place where the target is told as it was sent. */
static void *on_target(void *arg, const char *target,
                       struct MHD_Connection *mhd)
{
    struct conn *k = conn_of(mhd);

    (void)arg;
    free(k->target);
    k->target = xstrdup(target);
    return NULL;
}

/* Whatever happened to the request, the connection is ready for another. */
static void on_completed(void *arg, struct MHD_Connection *mhd, void **slot,
                         enum MHD_RequestTerminationCode why)
{
    struct conn *k = conn_of(mhd);

    (void)arg;
    (void)why;
    *slot = NULL;
    if (k->call && k->routed)
        k->call->conn = NULL;
    else if (k->call)
        call_free(k->call);
    k->call = NULL;
    k->routed = k->too_large = k->drop = false;
}

static enum MHD_Result add_header(void *arg, enum MHD_ValueKind kind,
                                  const char *name, const char *value)
{
    struct http_request *r = arg;

    (void)kind;
    request_add_header(r, name, value ? value : "");
    return MHD_YES;
}

static enum MHD_Result begin(struct conn *k, const char *method)
{
    struct call *c = xcalloc(1, sizeof *c);

    c->e = k->server->e;
    c->conn = k;
    k->call = c;
    if (strlen(method) >= sizeof c->req.method)
        return MHD_NO;
    strcpy(c->req.method, method);
    request_set_target(&c->req, k->target);
    MHD_get_connection_values(k->mhd, MHD_HEADER_KIND, add_header, &c->req);
    return MHD_YES;
}

static enum MHD_Result queue(struct conn *k)
{
    enum MHD_Result r = MHD_NO;

    if (k->response) {
        r = MHD_queue_response(k->mhd, (unsigned)k->status, k->response);
        MHD_destroy_response(k->response);
        k->response = NULL;
    }
    return r;
}

static enum MHD_Result refuse_size(struct conn *k)
{
    static const char text[] =
        "{\"message\": \"Request entity too large\", \"code\": 40005}";

    k->response = respond(text, sizeof text - 1, false);
    k->status = 413;
    MHD_add_response_header(k->response, "Content-Type", "application/json");
    return queue(k);
}

/* libmicrohttpd's one handler: first with the head, then with each piece of
 * the body, then with nothing more to come, and again after a resume. */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *mhd,
                                  const char *url, const char *method,
                                  const char *version, const char *data,
                                  size_t *len, void **slot)
{
    struct conn *k = conn_of(mhd);

    (void)arg;
    (void)url;
    (void)version;
    if (!*slot) {
        *slot = k;
        return begin(k, method);
    }
    if (*len > 0) {
        struct buf *body = &k->call->req.body;
        if (body->len + *len > BODY_MAX) {
            k->too_large = true;
            buf_release(body);
        }
        if (!k->too_large)
            buf_add(body, data, *len);
        *len = 0;
        return MHD_YES;
    }
    if (k->too_large)
        return refuse_size(k);
    if (!k->routed) {
        k->routed = true;
        route_call(k->call);
        if (!k->response && !k->drop) {
            k->suspended = true;
            MHD_suspend_connection(mhd);
            return MHD_YES;
        }
    }
    return queue(k);
}

/* --- the loop --- */

/* libmicrohttpd does what is to be done now; what is left has its time. */
static void http_run(struct server *s)
{
    /* A call answered from within another's resumes a connection that this
     * run has passed already, and no timeout tells of it. */
    s->http_running = true;
    do {
        s->http_again = false;
        MHD_run(s->http);
    } while (s->http_again);
    s->http_running = false;
    settle(s);

    MHD_UNSIGNED_LONG_LONG ms;
    if (MHD_get_timeout(s->http, &ms) == MHD_YES)
        lws_sul_schedule(s->context, 0, &s->http_due, on_http_due,
                         (lws_usec_t)ms * LWS_US_PER_MS + 1);
    else
        lws_sul_cancel(&s->http_due);
}

static void on_http_due(lws_sorted_usec_list_t *sul)
{
    http_run(lws_container_of(sul, struct server, http_due));
}

static void http_soon(struct server *s)
{
    if (s->http_running)
        s->http_again = true;
    else
        lws_sul_schedule(s->context, 0, &s->http_due, on_http_due, 1);
}

static int http_callback(struct lws *wsi, enum lws_callback_reasons why,
                         void *user, void *in, size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    if (why == LWS_CALLBACK_RAW_RX_FILE) {
        struct emulator *e = lws_context_user(lws_get_context(wsi));
        http_run(e->server);
    }
    return 0;
}

/* New connections of the gateway's port. */
static int listen_callback(struct lws *wsi, enum lws_callback_reasons why,
                           void *user, void *in, size_t len)
{
    (void)user;
    (void)in;
    (void)len;
    if (why != LWS_CALLBACK_RAW_RX_FILE)
        return 0;

    struct emulator *e = lws_context_user(lws_get_context(wsi));
    int listener = (int)(intptr_t)lws_get_opaque_user_data(wsi);
    for (int i = 0; i < 64; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            break;
        int one = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        lws_adopt_socket_vhost(e->server->vhost, fd);
    }
    return 0;
}

/* --- start and stop --- */

static int listen_on(const char *host, int *port, struct err *err)
{
    struct sockaddr_storage a = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&a;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    socklen_t size;

    if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)*port);
        size = sizeof *v4;
    } else if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)*port);
        size = sizeof *v6;
    } else {
        return err_set(err, -EINVAL, "'%s' is no address", host);
    }

    int fd = socket(a.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int one = 1;
    if (fd < 0)
        return err_set(err, -errno, "socket: %s", strerror(errno));
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&a, size) < 0 || listen(fd, 512) < 0) {
        int r = err_set(err, -errno, "cannot listen on %s port %d: %s", host,
                        *port, strerror(errno));
        close(fd);
        return r;
    }
    getsockname(fd, (struct sockaddr *)&a, &size);
    *port = ntohs(a.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
    return fd;
}

static int open_websocket(struct server *s, struct err *err)
{
    int fd = listen_on(s->e->options.listen_host, &s->ws_port, err);
    if (fd < 0)
        return fd;

    /* The first is what an adopted socket's HTTP and an upgrade without a
     * subprotocol get. */
    static struct lws_protocols protocols[] = {
        {"gateway", gateway_callback, 0, 16 * 1024, 0, NULL, 0},
        {"http", http_callback, 0, 0, 0, NULL, 0},
        {"listen", listen_callback, 0, 0, 0, NULL, 0},
        {NULL, NULL, 0, 0, 0, NULL, 0},
    };
    protocols[0].per_session_data_size = gateway_session_size;

    lws_set_log_level(0, NULL);
    struct lws_context_creation_info info = {0};
    info.port = CONTEXT_PORT_NO_LISTEN_SERVER;
    info.protocols = protocols;
    info.user = s->e;
    info.gid = (gid_t)-1;
    info.uid = (uid_t)-1;
    info.pt_serv_buf_size = 32 * 1024;
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

static int open_http(struct server *s, struct err *err)
{
    int fd = listen_on(s->e->options.listen_host, &s->port, err);
    if (fd < 0)
        return fd;

    s->http = MHD_start_daemon(
        MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL, on_request,
        NULL, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEAD_MAX, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s,
        MHD_OPTION_URI_LOG_CALLBACK, on_target, s, MHD_OPTION_END);
    if (!s->http) {
        close(fd);
        return err_set(err, -EIO, "libmicrohttpd would not start");
    }

    int poll_fd =
        MHD_get_daemon_info(s->http, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd;
    /* libwebsockets closes what it adopted, libmicrohttpd its own. */
    lws_sock_file_fd_type u = {.filefd = dup(poll_fd)};
    if (!lws_adopt_descriptor_vhost(s->vhost, LWS_ADOPT_RAW_FILE_DESC, u,
                                    "http", NULL))
        return err_set(err, -EIO, "libwebsockets does not poll for HTTP");
    return 0;
}

int server_open(struct emulator *e, struct err *err)
{
    struct server *s = xcalloc(1, sizeof *s);
    const char *host = e->options.listen_host;

    s->e = e;
    s->port = e->options.port;
    e->server = s;
    int r = open_websocket(s, err);
    if (r == 0)
        r = open_http(s, err);
    if (r < 0)
        return r;

    bool v6 = strchr(host, ':') != NULL;
    const char *before = v6 ? "[" : "", *behind = v6 ? "]" : "";
    snprintf(s->http_base, sizeof s->http_base, "http://%s%s%s:%d", before,
             host, behind, s->port);
    snprintf(s->ws_base, sizeof s->ws_base, "ws://%s%s%s:%d", before, host,
             behind, s->ws_port);
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
    lws_sul_cancel(&s->http_due);
    for (struct conn *k = s->conns; k; k = k->next) {
        if (k->call && k->routed)
            call_free(k->call);
        if (k->suspended) {
            k->drop = true;
            k->suspended = false;
            MHD_resume_connection(k->mhd);
        }
    }
    if (s->http)
        MHD_stop_daemon(s->http);
    free_answered(s);
    if (s->context)
        lws_context_destroy(s->context);
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
