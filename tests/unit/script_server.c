#include "script_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"

enum what { ANSWER, DROP, HANG };

struct line {
    struct line *next;
    char *begins;
    enum what what;
    struct buf answer;
    bool used;
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

/* False: the connection is over. */
static bool serve(struct script *s, int fd, const char *request, size_t len)
{
    static const char no[] = "HTTP/1.1 500 Unexpected\r\nContent-Length: 0\r\n"
                             "\r\n";
    AUTO_BUF struct buf answer = BUF_INIT;
    struct seen *seen = xcalloc(1, sizeof(*seen));
    enum what what = ANSWER;

    buf_add(&seen->text, request, len);
    pthread_mutex_lock(&s->lock);
    struct line *l = match_locked(s, request);
    if (l) {
        what = l->what;
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

static void say(struct script *s, const char *begins, enum what what,
                struct buf answer)
{
    struct line *l = xcalloc(1, sizeof(*l));

    l->begins = xstrdup(begins);
    l->what = what;
    l->answer = answer;
    pthread_mutex_lock(&s->lock);
    struct line **end = &s->lines;
    while (*end)
        end = &(*end)->next;
    *end = l;
    pthread_mutex_unlock(&s->lock);
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
