#include "engine/discord/transfer.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"

#define USER_AGENT                                                             \
    "DiscordBot (https://github.com/dbcord/dbcord, " DBCORD_VERSION ")"

#define CONNECTIONS_MAX 16
#define CONNECT_TIMEOUT_MS 10000

/* Not a byte for so long, and the other side is gone. */
#define SILENCE_S 20

/* A file to send, and how much of it libcurl has taken. */
struct source {
    const char *data;
    size_t len, at;
};

struct transfer {
    struct transfer *prev, *next; /* of all under way */
    struct transfers *owner;
    CURL *easy;
    curl_mime *mime;
    struct curl_slist *headers;
    struct source files[TRANSFER_FILES_MAX];
    size_t max_answer;
    struct transfer_answer answer;
};

struct transfers {
    CURLM *multi;
    bool loopback;
    struct transfer *first;
    bool give_up;
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;

static void init_curl(void)
{
    curl_global_init(CURL_GLOBAL_DEFAULT);
}

struct transfers *transfers_new(bool loopback, int most)
{
    pthread_once(&curl_once, init_curl);

    struct transfers *t = xcalloc(1, sizeof(*t));
    t->loopback = loopback;
    t->multi = alloc_check(curl_multi_init());
    curl_multi_setopt(t->multi, CURLMOPT_PIPELINING, CURLPIPE_MULTIPLEX);
    curl_multi_setopt(t->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)CONNECTIONS_MAX);
    curl_multi_setopt(t->multi, CURLMOPT_MAXCONNECTS, (long)most);
    return t;
}

static void transfer_free(struct transfer *x)
{
    struct transfers *t = x->owner;

    curl_multi_remove_handle(t->multi, x->easy);
    curl_easy_cleanup(x->easy);
    curl_mime_free(x->mime);
    curl_slist_free_all(x->headers);
    buf_release(&x->answer.body);
    if (x->prev)
        x->prev->next = x->next;
    else
        t->first = x->next;
    if (x->next)
        x->next->prev = x->prev;
    free(x);
}

void transfers_free(struct transfers *t)
{
    if (!t)
        return;
    while (t->first)
        transfer_free(t->first);
    curl_multi_cleanup(t->multi);
    free(t);
}

static size_t take_body(char *data, size_t size, size_t n, void *arg)
{
    struct transfer *x = arg;
    size_t len = size * n;

    if (len > x->max_answer - x->answer.body.len)
        return 0; /* ends the transfer with CURLE_WRITE_ERROR */
    buf_add(&x->answer.body, data, len);
    return len;
}

int64_t transfer_seconds_ms(const char *s, size_t len)
{
    int64_t ms = 0;
    size_t i = 0;

    for (; i < len && s[i] >= '0' && s[i] <= '9'; i++) {
        if (ms > INT64_MAX / 100000)
            return -1;
        ms = ms * 10 + (s[i] - '0') * 1000;
    }
    if (i == 0 || (i < len && s[i] != '.'))
        return -1;
    int scale = 100;
    for (i++; i < len; i++, scale /= 10) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        ms += (s[i] - '0') * scale;
        if (scale == 0 && s[i] != '0') {
            ms++; /* a part of a millisecond is waited for whole */
            break;
        }
    }
    return ms;
}

static int small_int(const char *s, size_t len)
{
    int v = 0;

    if (len == 0 || len > 9)
        return -1;
    for (size_t i = 0; i < len; i++) {
        if (s[i] < '0' || s[i] > '9')
            return -1;
        v = v * 10 + (s[i] - '0');
    }
    return v;
}

static void copy(char *out, size_t size, const char *s, size_t len)
{
    if (len >= size)
        return; /* no such value is Discord's */
    memcpy(out, s, len);
    out[len] = '\0';
}

static void take_header(struct transfer_answer *a, const char *name, size_t n,
                        const char *value, size_t len)
{
#define IS(what) (n == strlen(what) && strncasecmp(name, what, n) == 0)
    if (IS("x-ratelimit-limit"))
        a->limits.limit = small_int(value, len);
    else if (IS("x-ratelimit-remaining"))
        a->limits.remaining = small_int(value, len);
    else if (IS("x-ratelimit-reset-after"))
        a->limits.reset_after_ms = transfer_seconds_ms(value, len);
    else if (IS("x-ratelimit-bucket"))
        copy(a->limits.bucket, sizeof(a->limits.bucket), value, len);
    else if (IS("x-ratelimit-scope"))
        copy(a->scope, sizeof(a->scope), value, len);
    else if (IS("x-ratelimit-global"))
        a->global = len == 4 && strncasecmp(value, "true", 4) == 0;
    else if (IS("retry-after"))
        a->retry_after_ms = transfer_seconds_ms(value, len);
#undef IS
}

static size_t take_header_line(char *data, size_t size, size_t count, void *arg)
{
    struct transfer *x = arg;
    size_t len = size * count;
    const char *colon = memchr(data, ':', len);

    if (len > 5 && memcmp(data, "HTTP/", 5) == 0) {
        /* A 100 Continue came before; only the last answer's count. */
        x->answer.limits = RATELIMIT_HEADERS_NONE;
        x->answer.retry_after_ms = -1;
    } else if (colon) {
        const char *v = colon + 1, *end = data + len;
        while (v < end && (*v == ' ' || *v == '\t'))
            v++;
        while (end > v && (unsigned char)end[-1] <= ' ')
            end--;
        take_header(&x->answer, data, (size_t)(colon - data), v,
                    (size_t)(end - v));
    }
    return len;
}

static size_t read_file(char *out, size_t size, size_t n, void *arg)
{
    struct source *f = arg;
    size_t want = size * n;

    if (want > f->len - f->at)
        want = f->len - f->at;
    memcpy(out, f->data + f->at, want);
    f->at += want;
    return want;
}

static int seek_file(void *arg, curl_off_t offset, int origin)
{
    struct source *f = arg;

    if (origin != SEEK_SET || offset < 0 || (size_t)offset > f->len)
        return CURL_SEEKFUNC_CANTSEEK;
    f->at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

/* payload_json and files[n], read from where they are. */
static void add_form(struct transfer *x, const struct transfer_request *r)
{
    x->mime = alloc_check(curl_mime_init(x->easy));

    curl_mimepart *part = alloc_check(curl_mime_addpart(x->mime));
    curl_mime_name(part, "payload_json");
    curl_mime_type(part, "application/json");
    curl_mime_data(part, r->json, r->json_len);
    for (size_t i = 0; i < r->n_files; i++) {
        const struct remote_upload *f = &r->files[i];
        char name[32];

        snprintf(name, sizeof(name), "files[%zu]", i);
        part = alloc_check(curl_mime_addpart(x->mime));
        curl_mime_name(part, name);
        curl_mime_filename(part, f->name);
        curl_mime_type(part, f->type ? f->type : "application/octet-stream");
        x->files[i].data = f->data;
        x->files[i].len = f->len;
        curl_mime_data_cb(part, (curl_off_t)f->len, read_file, seek_file, NULL,
                          &x->files[i]);
    }
    curl_easy_setopt(x->easy, CURLOPT_MIMEPOST, x->mime);
}

static void set_protocols(CURL *e, bool loopback)
{
#if LIBCURL_VERSION_NUM >= 0x075500
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR,
                     loopback ? "http,https" : "https");
#else
    curl_easy_setopt(
        e, CURLOPT_PROTOCOLS,
        (long)(loopback ? CURLPROTO_HTTP | CURLPROTO_HTTPS : CURLPROTO_HTTPS));
#endif
}

static void add_header(struct transfer *x, const char *line)
{
    x->headers = alloc_check(curl_slist_append(x->headers, line));
}

static void add_token(struct transfer *x, const char *token)
{
    AUTO_BUF struct buf line = BUF_INIT;

    buf_printf(&line, "Authorization: Bot %s", token);
    add_header(x, line.data);
    explicit_bzero(line.data, line.len);
}

struct transfer *transfer_start(struct transfers *t,
                                const struct transfer_request *r)
{
    struct transfer *x = xcalloc(1, sizeof(*x));
    CURL *e = alloc_check(curl_easy_init());

    x->owner = t;
    x->easy = e;
    x->max_answer = r->max_answer;
    x->answer.user = r->user;
    x->answer.limits = RATELIMIT_HEADERS_NONE;
    x->answer.retry_after_ms = -1;

    curl_easy_setopt(e, CURLOPT_URL, r->url);
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_USERAGENT, USER_AGENT);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    /* A redirect would carry what we send to a place nobody chose. */
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    set_protocols(e, t->loopback);
    if (t->loopback) {
        curl_easy_setopt(e, CURLOPT_PROXY, "");
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
    } else {
        curl_easy_setopt(e, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS);
        curl_easy_setopt(e, CURLOPT_PIPEWAIT, 1L);
        curl_easy_setopt(e, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    }
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_TIMEOUT_MS);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)r->timeout_ms);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, (long)SILENCE_S);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, take_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, take_header_line);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    /* libcurl repeats a request on its own when a kept connection turns out to
     * be dead; on a fresh one it does not. */
    if (r->once)
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);

    add_header(x, "Expect:");
    if (r->token) {
        add_token(x, r->token);
        curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    }
    if (r->n_files > 0) {
        add_form(x, r);
    } else if (r->json) {
        add_header(x, "Content-Type: application/json");
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE,
                         (curl_off_t)r->json_len);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, r->json);
    } else if (strcmp(r->method, "GET") != 0 &&
               strcmp(r->method, "DELETE") != 0) {
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
        add_header(x, "Content-Type: application/json");
    }
    if (strcmp(r->method, "GET") != 0)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->method);
    curl_easy_setopt(e, CURLOPT_HTTPHEADER, x->headers);

    x->next = t->first;
    if (x->next)
        x->next->prev = x;
    t->first = x;
    curl_multi_add_handle(t->multi, e);
    return x;
}

void transfers_give_up(struct transfers *t)
{
    t->give_up = true;
}

void transfers_run(struct transfers *t)
{
    int running;

    curl_multi_perform(t->multi, &running);
}

void transfers_wait(struct transfers *t, int64_t wait_ms)
{
    if (wait_ms > 60000)
        wait_ms = 60000;
    if (wait_ms > 0)
        curl_multi_poll(t->multi, NULL, 0, (int)wait_ms, NULL);
}

void transfers_wake(struct transfers *t)
{
    curl_multi_wakeup(t->multi);
}

static void hand_over(struct transfer *x, CURLcode code,
                      struct transfer_answer *a)
{
    x->answer.curl_code = (int)code;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &x->answer.http);
    *a = x->answer;
    x->answer.body = BUF_INIT;
    transfer_free(x);
}

bool transfers_next(struct transfers *t, struct transfer_answer *a)
{
    int left;
    CURLMsg *m;

    while ((m = curl_multi_info_read(t->multi, &left)) != NULL) {
        char *user = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;

        CURLcode code = m->data.result;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &user);
        hand_over((struct transfer *)(void *)user, code, a);
        return true;
    }
    if (t->give_up && t->first) {
        hand_over(t->first, CURLE_ABORTED_BY_CALLBACK, a);
        return true;
    }
    return false;
}
