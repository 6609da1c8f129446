/* Links and the bytes behind them. A link is
 *
 *     /attachments/{channel}/{attachment}/{file}?ex=<hex s>&is=<hex
 * s>&hm=<hex>&
 *
 * hm signs the path, is and ex. */
#include "tests/emulator/cdn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/digest.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/server.h"

#define LINK_SECONDS (24 * 3600)

static void sign(const struct emulator *e, const char *path, unsigned long ex,
                 unsigned long is, char out[65])
{
    AUTO_BUF struct buf b = BUF_INIT;
    unsigned char mac[EVP_MAX_MD_SIZE];
    unsigned len;

    buf_printf(&b, "%s %lx %lx", path, ex, is);
    HMAC(EVP_sha256(), e->link_key, sizeof e->link_key,
         (const unsigned char *)b.data, b.len, mac, &len);
    hex_of(mac, 32, out);
}

char *cdn_link(struct emulator *e, uint64_t channel_id, uint64_t attachment_id,
               const char *filename)
{
    struct buf b = BUF_INIT;
    char path[1400], hm[65];
    unsigned long is = (unsigned long)(emulator_now(e) / 1000);

    snprintf(path, sizeof path, "/attachments/%llu/%llu/%s",
             (unsigned long long)channel_id, (unsigned long long)attachment_id,
             filename);
    sign(e, path, is + LINK_SECONDS, is, hm);
    buf_printf(&b, "%s%s?ex=%lx&is=%lx&hm=%s&", emulator_http_base(e), path,
               is + LINK_SECONDS, is, hm);
    return buf_take_str(&b);
}

static void gone(struct call *c)
{
    static const char text[] = "This content is no longer available.";
    call_raw(c, 404, "text/plain;charset=UTF-8", text, sizeof text - 1);
}

static struct blob *find(const struct call *c)
{
    const struct http_request *r = &c->req;
    const char *ex = request_query(r, "ex"), *is = request_query(r, "is");
    const char *hm = request_query(r, "hm");
    unsigned long long channel, id;
    char want[65];
    int n = 0;

    if (sscanf(r->path, "/attachments/%llu/%llu/%n", &channel, &id, &n) != 2 ||
        !n || !ex || !is || !hm)
        return NULL;
    unsigned long until = strtoul(ex, NULL, 16);
    sign(c->e, r->path, until, strtoul(is, NULL, 16), want);
    if (strlen(hm) != 64 || CRYPTO_memcmp(hm, want, 64) != 0 ||
        (int64_t)until * 1000 <= emulator_now(c->e))
        return NULL;

    struct blob *b = blob_find(c->e, id);
    return b && b->channel_id == channel &&
                   strcmp(b->filename, r->path + n) == 0
               ? b
               : NULL;
}

/* One range, "bytes=a-b", "a-", "-n". False: not understood, send it all. */
static bool parse_range(const char *s, size_t len, size_t *from, size_t *to,
                        bool *possible)
{
    unsigned long long a, b;
    int n = 0;

    *possible = true;
    if (sscanf(s, "bytes=%llu-%llu%n", &a, &b, &n) == 2 && !s[n]) {
        if (b < a)
            return false;
    } else if (n = 0, sscanf(s, "bytes=-%llu%n", &b, &n) == 1 && n && !s[n]) {
        *possible = b && len;
        a = b < len ? len - b : 0;
        b = len ? len - 1 : 0;
    } else if (n = 0, sscanf(s, "bytes=%llu-%n", &a, &n) == 1 && n && !s[n]) {
        b = len ? len - 1 : 0;
    } else {
        return false;
    }
    if (a >= len)
        *possible = false;
    *from = (size_t)a;
    *to = b < len ? (size_t)b : len - 1;
    return true;
}

static void serve(struct call *c)
{
    const struct blob *b = find(c);
    size_t from = 0, to = 0;
    bool possible = true;

    if (!b) {
        gone(c);
        return;
    }
    call_header(c, "Accept-Ranges", "bytes");
    call_header(c, "Cache-Control", "public, max-age=31536000");
    const char *range = request_header(&c->req, "range");
    if (!range || !parse_range(range, b->len, &from, &to, &possible)) {
        call_raw(c, 200, b->content_type, b->data, b->len);
    } else if (!possible) {
        call_header(c, "Content-Range", "bytes */%zu", b->len);
        call_raw(c, 416, "text/plain", "", 0);
    } else {
        call_header(c, "Content-Range", "bytes %zu-%zu/%zu", from, to, b->len);
        call_raw(c, 206, b->content_type, b->data + from, to - from + 1);
    }
}

static void serve_later(struct emulator *e, void *arg)
{
    (void)e;
    serve(arg);
}

void cdn_call(struct call *c)
{
    if (strcmp(c->req.method, "GET") != 0 &&
        strcmp(c->req.method, "HEAD") != 0) {
        call_raw(c, 405, "text/plain", "", 0);
        return;
    }
    struct fault f = faults_take(c->e, c->req.method, "/attachments");
    c->fault = (int)f.kind;
    switch (f.kind) {
    case FAULT_STATUS:
        call_raw(c, f.status, "text/plain", "", 0);
        return;
    case FAULT_DROP:
        call_drop(c);
        return;
    case FAULT_DELAY:
        server_after(c->e, f.ms, serve_later, c);
        return;
    case FAULT_NONE:
    case FAULT_DROP_AFTER:
    case FAULT_TRUNCATE:
        serve(c);
    }
}
