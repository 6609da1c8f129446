#include "script_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <zlib.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"

enum what { ANSWER, DROP, HANG, TALK };

struct line {
    struct line *next;
    char *begins;
    enum what what;
    struct buf answer;
    void (*talk)(struct script_ws *ws, void *arg);
    void *arg;
    bool used;
};

struct script_ws {
    int fd;
    z_stream z;
};

struct seen {
    struct seen *next;
    struct buf text;
};

struct conn {
    struct conn *next;
    struct script *script;
    int fd;
    pthread_t thread;
};

struct script {
    int fd;
    char url[64];
    pthread_t thread;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct line *lines;
    struct seen *seen;
    struct conn *conns;
    int unexpected, now, most;
    bool closing;
};

static struct line *match_locked(struct script *s, const char *request)
{
    for (struct line *l = s->lines; l; l = l->next) {
        if (!l->used && str_starts(request, l->begins)) {
            l->used = true;
            return l;
        }
    }
    return NULL;
}

/* A whole request's length, or 0 while more must come. */
static size_t whole(const struct buf *b)
{
    const char *end = b->data ? strstr(b->data, "\r\n\r\n") : NULL;
    size_t body = 0;

    if (!end)
        return 0;
    const char *at = strcasestr(b->data, "\r\nContent-Length:");
    if (at && at < end)
        sscanf(at + 17, "%zu", &body);
    size_t all = (size_t)(end - b->data) + 4 + body;
    return b->len >= all ? all : 0;
}

static void send_all(int fd, const struct buf *b)
{
    for (size_t at = 0; at < b->len;) {
        ssize_t n = send(fd, b->data + at, b->len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        at += (size_t)n;
    }
}

/* RFC 6455, 4.2.2. */
static void shake_hands(int fd, const char *request)
{
    static const char magic[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    AUTO_BUF struct buf b = BUF_INIT;
    unsigned char digest[EVP_MAX_MD_SIZE], text[64];
    unsigned n = 0;

    const char *key = strcasestr(request, "\r\nSec-WebSocket-Key:");
    if (key) {
        key += 20;
        key += strspn(key, " ");
        buf_add(&b, key, strcspn(key, " \r"));
    }
    buf_addstr(&b, magic);
    EVP_Digest(b.data, b.len, digest, &n, EVP_sha1(), NULL);
    EVP_EncodeBlock(text, digest, (int)n);
    buf_reset(&b);
    buf_printf(&b,
               "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
               "Connection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n",
               text);
    send_all(fd, &b);
}

static void frame(struct script_ws *ws, int first, const void *data, size_t len)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addc(&b, (char)first);
    if (len < 126) {
        buf_addc(&b, (char)len);
    } else {
        buf_addc(&b, 127);
        for (int i = 7; i >= 0; i--)
            buf_addc(&b, (char)(len >> (8 * i)));
    }
    buf_add(&b, data, len);
    send_all(ws->fd, &b);
}

void ws_say_raw(struct script_ws *ws, int opcode, const void *data, size_t len)
{
    frame(ws, 0x80 | opcode, data, len);
}

void ws_say(struct script_ws *ws, const char *text)
{
    ws_say_raw(ws, 1, text, strlen(text));
}

void ws_say_packed(struct script_ws *ws, const char *text, int pieces)
{
    size_t len = strlen(text), room = len + 1000;
    unsigned char *out = xmalloc(room);

    ws->z.next_in = (unsigned char *)(uintptr_t)text;
    ws->z.avail_in = (uInt)len;
    ws->z.next_out = out;
    ws->z.avail_out = (uInt)room;
    deflate(&ws->z, Z_SYNC_FLUSH);
    size_t n = room - ws->z.avail_out, at = 0;
    for (int i = 0; i < pieces; i++) {
        size_t part = i + 1 < pieces ? n / (size_t)pieces : n - at;
        int opcode = i ? 0 : 2, fin = i + 1 < pieces ? 0 : 0x80;
        frame(ws, fin | opcode, out + at, part);
        at += part;
    }
    free(out);
}

void ws_close(struct script_ws *ws, int code)
{
    unsigned char b[2] = {(unsigned char)(code >> 8), (unsigned char)code};

    ws_say_raw(ws, 8, b, 2);
}

static bool take_all(int fd, void *out, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)out + at, len - at, 0);
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

bool ws_hear(struct script_ws *ws, struct buf *out)
{
    unsigned char head[2], more[8], mask[4];

    buf_reset(out);
    if (!take_all(ws->fd, head, 2) || (head[0] & 15) == 8)
        return false;
    size_t len = head[1] & 127, extra = len == 126 ? 2 : len == 127 ? 8 : 0;
    if (!take_all(ws->fd, more, extra))
        return false;
    if (extra)
        len = 0;
    for (size_t i = 0; i < extra; i++)
        len = len << 8 | more[i];
    if (!take_all(ws->fd, mask, 4)) /* a client's frames are masked */
        return false;
    buf_reserve(out, len);
    if (!take_all(ws->fd, out->data, len))
        return false;
    for (size_t i = 0; i < len; i++)
        out->data[i] = (char)(out->data[i] ^ mask[i % 4]);
    out->len = len;
    out->data[len] = '\0';
    return true;
}

static void talk_on(int fd, const char *request,
                    void (*talk)(struct script_ws *ws, void *arg), void *arg)
{
    struct script_ws ws = {.fd = fd};

    shake_hands(fd, request);
    deflateInit(&ws.z, 6);
    talk(&ws, arg);
    deflateEnd(&ws.z);
}

/* False: the connection is over. */
static bool serve(struct script *s, int fd, const char *request, size_t len)
{
    static const char no[] = "HTTP/1.1 500 Unexpected\r\nContent-Length: 0\r\n"
                             "\r\n";
    AUTO_BUF struct buf answer = BUF_INIT;
    struct seen *seen = xcalloc(1, sizeof(*seen));
    enum what what = ANSWER;
    void (*talk)(struct script_ws *, void *) = NULL;
    void *arg = NULL;

    buf_add(&seen->text, request, len);
    pthread_mutex_lock(&s->lock);
    struct line *l = match_locked(s, request);
    if (l) {
        what = l->what;
        talk = l->talk;
        arg = l->arg;
        buf_add(&answer, l->answer.data, l->answer.len);
    } else {
        s->unexpected++;
        buf_addstr(&answer, no);
    }
    struct seen **end = &s->seen;
    while (*end)
        end = &(*end)->next;
    *end = seen;
    s->now++;
    if (s->now > s->most)
        s->most = s->now;
    pthread_cond_broadcast(&s->changed);
    while (what == HANG && !s->closing)
        pthread_cond_wait(&s->changed, &s->lock);
    s->now--;
    pthread_mutex_unlock(&s->lock);

    if (what == TALK)
        talk_on(fd, seen->text.data, talk, arg);
    if (what != ANSWER)
        return false;
    send_all(fd, &answer);
    return !strstr(answer.data, "Connection: close");
}

static void *serve_conn(void *arg)
{
    struct conn *c = arg;
    AUTO_BUF struct buf in = BUF_INIT;
    char piece[65536];

    for (;;) {
        ssize_t n = recv(c->fd, piece, sizeof(piece), 0);
        if (n <= 0)
            break;
        buf_add(&in, piece, (size_t)n);
        size_t len = whole(&in);
        if (len == 0)
            continue;
        bool more = serve(c->script, c->fd, in.data, len);
        buf_consume(&in, len);
        if (!more)
            break;
    }
    shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static void *accept_all(void *arg)
{
    struct script *s = arg;

    for (;;) {
        int fd = accept(s->fd, NULL, NULL);
        if (fd < 0)
            return NULL;
        struct conn *c = xcalloc(1, sizeof(*c));
        c->script = s;
        c->fd = fd;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
        pthread_mutex_lock(&s->lock);
        c->next = s->conns;
        s->conns = c;
        int e = pthread_create(&c->thread, NULL, serve_conn, c);
        assert(e == 0);
        (void)e;
        pthread_mutex_unlock(&s->lock);
    }
}

struct script *script_new(void)
{
    struct script *s = xcalloc(1, sizeof(*s));
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t len = sizeof(a);

    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t mono;
    pthread_condattr_init(&mono);
    pthread_condattr_setclock(&mono, CLOCK_MONOTONIC);
    pthread_cond_init(&s->changed, &mono);
    pthread_condattr_destroy(&mono);
    s->fd = socket(AF_INET, SOCK_STREAM, 0);
    int r = bind(s->fd, (struct sockaddr *)&a, sizeof(a));
    r = r ? r : listen(s->fd, 64);
    r = r ? r : getsockname(s->fd, (struct sockaddr *)&a, &len);
    r = r ? r : pthread_create(&s->thread, NULL, accept_all, s);
    assert(r == 0);
    (void)r;
    snprintf(s->url, sizeof(s->url), "http://127.0.0.1:%d", ntohs(a.sin_port));
    return s;
}

void script_free(struct script *s)
{
    shutdown(s->fd, SHUT_RDWR);
    pthread_join(s->thread, NULL);
    close(s->fd);

    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_cond_broadcast(&s->changed);
    for (struct conn *c = s->conns; c; c = c->next)
        shutdown(c->fd, SHUT_RDWR);
    pthread_mutex_unlock(&s->lock);
    while (s->conns) {
        struct conn *c = s->conns;
        s->conns = c->next;
        pthread_join(c->thread, NULL);
        close(c->fd);
        free(c);
    }
    while (s->lines) {
        struct line *l = s->lines;
        s->lines = l->next;
        free(l->begins);
        buf_release(&l->answer);
        free(l);
    }
    while (s->seen) {
        struct seen *x = s->seen;
        s->seen = x->next;
        buf_release(&x->text);
        free(x);
    }
    pthread_cond_destroy(&s->changed);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

const char *script_url(const struct script *s)
{
    return s->url;
}

static void add_line(struct script *s, struct line *l)
{
    pthread_mutex_lock(&s->lock);
    struct line **end = &s->lines;
    while (*end)
        end = &(*end)->next;
    *end = l;
    pthread_mutex_unlock(&s->lock);
}

static void say(struct script *s, const char *begins, enum what what,
                struct buf answer)
{
    struct line *l = xcalloc(1, sizeof(*l));

    l->begins = xstrdup(begins);
    l->what = what;
    l->answer = answer;
    add_line(s, l);
}

void script_websocket(struct script *s, const char *line,
                      void (*talk)(struct script_ws *ws, void *arg), void *arg)
{
    struct line *l = xcalloc(1, sizeof(*l));

    l->begins = xstrdup(line);
    l->what = TALK;
    l->talk = talk;
    l->arg = arg;
    add_line(s, l);
}

void script_answer(struct script *s, const char *line, int status,
                   const char *headers, const char *body)
{
    struct buf b = BUF_INIT;

    buf_printf(&b, "HTTP/1.1 %d Scripted\r\n%s", status, headers);
    if (!strcasestr(headers, "Content-Length:"))
        buf_printf(&b, "Content-Length: %zu\r\n", strlen(body));
    buf_printf(&b, "\r\n%s", body);
    say(s, line, ANSWER, b);
}

void script_drop(struct script *s, const char *line)
{
    say(s, line, DROP, BUF_INIT);
}

void script_hang(struct script *s, const char *line)
{
    say(s, line, HANG, BUF_INIT);
}

static int count_locked(struct script *s, const char *line)
{
    int n = 0;

    for (struct seen *x = s->seen; x; x = x->next)
        n += str_starts(x->text.data, line);
    return n;
}

int script_count(struct script *s, const char *line)
{
    pthread_mutex_lock(&s->lock);
    int n = count_locked(s, line);
    pthread_mutex_unlock(&s->lock);
    return n;
}

bool script_await(struct script *s, const char *line, int n)
{
    struct timespec end;

    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += 10;
    pthread_mutex_lock(&s->lock);
    int r = 0;
    while (count_locked(s, line) < n && r == 0)
        r = pthread_cond_timedwait(&s->changed, &s->lock, &end);
    bool there = count_locked(s, line) >= n;
    pthread_mutex_unlock(&s->lock);
    return there;
}

const char *script_request(struct script *s, const char *line, int n)
{
    const char *found = "";

    pthread_mutex_lock(&s->lock);
    for (struct seen *x = s->seen; x; x = x->next) {
        if (str_starts(x->text.data, line) && n-- == 0) {
            found = x->text.data;
            break;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

int script_unexpected(struct script *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->unexpected;
    pthread_mutex_unlock(&s->lock);
    return n;
}

int script_most_at_once(struct script *s)
{
    pthread_mutex_lock(&s->lock);
    int n = s->most;
    pthread_mutex_unlock(&s->lock);
    return n;
}
