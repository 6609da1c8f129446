/* Finds the route, checks what every route checks, reads the body. */
#include "tests/emulator/route.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "tests/emulator/cdn.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/http.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/multipart.h"
#include "tests/emulator/server.h"
#include "tests/emulator/snowflake.h"

static const struct route *const tables[] = {
    user_routes,    guild_routes,    channel_routes,     message_routes,
    pin_routes,     reaction_routes, thread_routes,      control_routes,
    gateway_routes, command_routes,  interaction_routes, search_routes,
};

enum { JSON_DEPTH = 64 };

const char *route_template(const struct route *r)
{
    static struct cached {
        const struct route *route;
        char *text;
    } * cache;
    static size_t n;

    for (size_t i = 0; i < n; i++)
        if (cache[i].route == r)
            return cache[i].text;

    AUTO_BUF struct buf b = BUF_INIT;
    for (const char *p = r->pattern; *p;) {
        if (*p != '{') {
            buf_addc(&b, *p++);
            continue;
        }
        size_t len = strcspn(p, "}");
        const char *dot = memchr(p, '.', len);
        buf_addc(&b, '{');
        if (dot)
            buf_add(&b, dot + 1, len - (size_t)(dot - p) - 1);
        else
            buf_add(&b, p + 1, len - 1);
        buf_addc(&b, '}');
        p += len + 1;
    }
    cache = xrealloc(cache, (n + 1) * sizeof *cache);
    cache[n] = (struct cached){r, buf_take_str(&b)};
    return cache[n++].text;
}

struct match {
    const char *at[CALL_MAX_ARGS];
    size_t len[CALL_MAX_ARGS];
    int args;
};

/* Does path go on with this byte, as it is or as %XX ("@original" is often
 * sent as "%40original")? The length it takes, or 0. */
static size_t literal(const char *path, char want)
{
    unsigned v;

    if (*path == want)
        return 1;
    if (*path == '%' && isxdigit((unsigned char)path[1]) &&
        isxdigit((unsigned char)path[2]) && sscanf(path + 1, "%2x", &v) == 1)
        return v && v == (unsigned char)want ? 3 : 0;
    return 0;
}

/* Whether path is of this pattern; fewer args is the closer match. */
static bool match(const char *pattern, const char *path, struct match *m)
{
    m->args = 0;
    for (;;) {
        if (*pattern == '{') {
            size_t n = strcspn(path, "/");
            if (!n || m->args == CALL_MAX_ARGS)
                return false;
            m->at[m->args] = path;
            m->len[m->args++] = n;
            path += n;
            pattern += strcspn(pattern, "}") + 1;
        } else if (*pattern == '@' && strncmp(path, "%40", 3) == 0) {
            /* Some clients encode the '@' of @me and @original. */
            pattern++;
            path += 3;
        } else if (!*pattern) {
            return !*path;
        } else {
            size_t n = literal(path, *pattern);
            if (!n)
                return false;
            pattern++;
            path += n;
        }
    }
}

/* The route of this method and path. *other: another method would do. */
static const struct route *find(const char *method, const char *path,
                                bool control, struct match *best, bool *other)
{
    const struct route *found = NULL;

    *other = false;
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++) {
        for (const struct route *r = tables[t]; r->method; r++) {
            struct match m;
            if (control != !!(r->flags & ROUTE_CONTROL) ||
                !match(r->pattern, path, &m))
                continue;
            if (strcmp(r->method, method) != 0)
                *other = true;
            else if (!found || m.args < best->args) {
                found = r;
                *best = m;
            }
        }
    }
    return found;
}

/* {x.id} is an id, {x} text. */
static bool take_args(struct call *c, const struct match *m)
{
    const char *p = c->route->pattern;
    for (int i = 0; i < m->args; i++) {
        p = strchr(p, '{');
        const char *close = strchr(p, '}');
        c->args[i] = percent_decode(m->at[i], m->len[i], false);

        bool id = close - p > 3 && strncmp(close - 3, ".id", 3) == 0;
        if (id && !snowflake_parse(c->args[i], &c->ids[i])) {
            char name[64];
            snprintf(name, sizeof name, "%.*s", (int)(close - p - 1), p + 1);
            char *dot = strchr(name, '.');
            if (dot)
                *dot = '_';
            call_form_error(c, name, "NUMBER_TYPE_COERCE",
                            "Value \"%.100s\" is not snowflake.", c->args[i]);
            return false;
        }
        p = close;
    }
    return true;
}

/* --- who asks --- */

static void unauthorized(struct call *c)
{
    call_error(c, 401, 0, "401: Unauthorized");
}

static bool authorized(const struct call *c)
{
    const char *a = request_header(&c->req, "authorization");
    return a && strncmp(a, "Bot ", 4) == 0 && strcmp(a + 4, c->e->token) == 0;
}

/* --- the body --- */

static struct json_object *parse_json(const char *s, size_t len)
{
    if (!len || !utf8_valid(s, len))
        return NULL;
    struct json_tokener *tok = json_tokener_new_ex(JSON_DEPTH);
    json_tokener_set_flags(tok, JSON_TOKENER_STRICT);
    struct json_object *o = json_tokener_parse_ex(tok, s, (int)len);
    enum json_tokener_error err = json_tokener_get_error(tok);
    size_t used = json_tokener_get_parse_end(tok);
    json_tokener_free(tok);

    while (used < len && strchr(" \t\r\n", s[used]))
        used++;
    if (err == json_tokener_continue && used == len && o)
        err = json_tokener_success;
    if (err != json_tokener_success || used != len) {
        json_object_put(o);
        return NULL;
    }
    return o;
}

static bool bad_json(struct call *c)
{
    call_error(c, 400, 50109, "The request body contains invalid JSON.");
    return false;
}

static bool read_multipart(struct call *c, const char *type)
{
    struct http_request *r = &c->req;
    AUTO_STR char *boundary = multipart_boundary(type);
    struct http_part *parts = NULL;
    size_t n = 0, kept = 0;

    if (!boundary ||
        multipart_parse(r->body.data, r->body.len, boundary, &parts, &n) < 0) {
        call_error(c, 400, 50035, "Invalid Form Body");
        return false;
    }
    r->parts = parts;
    r->part_count = n;
    for (size_t i = 0; i < n; i++) {
        struct http_part p = parts[i];
        if (strcmp(p.name, "payload_json") != 0) {
            parts[kept++] = p;
            continue;
        }
        json_object_put(r->json);
        r->json = parse_json(p.data, p.len);
        free(p.name);
        free(p.filename);
        free(p.content_type);
        if (!r->json) {
            /* The rest is still the request's, to be let go with it. */
            memmove(parts + kept, parts + i + 1, (n - i - 1) * sizeof *parts);
            r->part_count = kept + n - i - 1;
            return bad_json(c);
        }
    }
    r->part_count = kept;

    /* Plain fields stand for the keys of a body, as from a form. */
    for (size_t i = 0; i < kept; i++) {
        if (parts[i].filename)
            continue;
        if (!r->json)
            r->json = json_object_new_object();
        if (json_object_is_type(r->json, json_type_object) &&
            !json_object_object_get_ex(r->json, parts[i].name, NULL))
            json_object_object_add(
                r->json, parts[i].name,
                json_object_new_string_len(parts[i].data, (int)parts[i].len));
    }
    return true;
}

static void read_urlencoded(struct http_request *r)
{
    r->json = json_object_new_object();
    const char *p = r->body.data, *end = p + r->body.len;
    while (p < end) {
        const char *amp = memchr(p, '&', (size_t)(end - p));
        const char *stop = amp ? amp : end;
        const char *eq = memchr(p, '=', (size_t)(stop - p));
        const char *k = eq ? eq : stop;
        AUTO_STR char *key = percent_decode(p, (size_t)(k - p), true);
        AUTO_STR char *value =
            eq ? percent_decode(eq + 1, (size_t)(stop - eq - 1), true)
               : xstrdup("");
        json_object_object_add(r->json, key, json_object_new_string(value));
        p = stop + 1;
    }
}

static bool is_type(const char *have, const char *want)
{
    size_t n = strlen(want);
    return strncasecmp(have, want, n) == 0 && strchr("; \t", have[n]);
}

static bool read_body(struct call *c)
{
    struct http_request *r = &c->req;
    if (!r->body.len || strcmp(r->method, "GET") == 0)
        return true;

    const char *type = request_header(r, "content-type");
    /* The control routes speak JSON alone, whatever curl -d calls it. */
    bool control = c->route->flags & ROUTE_CONTROL;
    if (control || (type && is_type(type, "application/json"))) {
        r->json = parse_json(r->body.data, r->body.len);
        return r->json || bad_json(c);
    }
    if (type && is_type(type, "multipart/form-data"))
        return read_multipart(c, type);
    if (type && is_type(type, "application/x-www-form-urlencoded")) {
        read_urlencoded(r);
        return true;
    }
    call_form_error(c, "", "CONTENT_TYPE_INVALID",
                    "Expected \"Content-Type\" header to be one of "
                    "application/json, application/x-www-form-urlencoded, "
                    "multipart/form-data.");
    return false;
}

/* --- the way of a call --- */

static uint64_t bucket_key(const struct call *c)
{
    if (!c->args[0])
        return 0;
    /* A webhook or interaction is its id together with its token. */
    uint64_t key = c->ids[0] ? c->ids[0] : hash_str(c->args[0]);
    if (c->args[1] && (strstr(c->route->pattern, ".token}")))
        key ^= hash_str(c->args[1]);
    return key;
}

static void proceed(struct call *c)
{
    const struct route *r = c->route;

    if (limits_banned(c))
        return;
    if (!request_header(&c->req, "user-agent")) {
        call_error(c, 403, 40333, "internal network error");
        return;
    }
    if (!(r->flags & ROUTE_NO_AUTH) && !authorized(c)) {
        unauthorized(c);
        return;
    }
    if (!(r->flags & ROUTE_NO_GLOBAL) && !limits_global(c))
        return;
    const struct bucket *b = r->pick ? r->pick(c) : r->bucket;
    if (b && !limits_bucket(c, b, bucket_key(c)))
        return;
    if (!read_body(c))
        return;
    r->handle(c);
}

static void proceed_later(struct emulator *e, void *arg)
{
    (void)e;
    proceed(arg);
}

static void with_faults(struct call *c)
{
    struct fault f = faults_take(c->e, c->req.method, route_template(c->route));

    c->fault = f.kind;
    switch (f.kind) {
    case FAULT_STATUS:
        if (f.status == 429) {
            call_limited(c, f.ms, "user", 0);
        } else {
            char text[64];
            snprintf(text, sizeof text, "%d: emulated fault", f.status);
            call_error(c, f.status, 0, text);
        }
        return;
    case FAULT_DROP:
        call_drop(c);
        return;
    case FAULT_DELAY:
        server_after(c->e, f.ms, proceed_later, c);
        return;
    case FAULT_NONE:
    case FAULT_DROP_AFTER:
    case FAULT_TRUNCATE:
        proceed(c);
    }
}

static void route_api(struct call *c, const char *path)
{
    struct match m;
    bool other;

    c->trace = true;
    c->route = find(c->req.method, path, false, &m, &other);
    if (!c->route) {
        if (other)
            call_error(c, 405, 0, "405: Method Not Allowed");
        else
            call_error(c, 404, 0, "404: Not Found");
        return;
    }
    if (take_args(c, &m))
        with_faults(c);
}

static void route_control(struct call *c)
{
    struct match m;
    bool other;

    c->route = find(c->req.method, c->req.path, true, &m, &other);
    if (!c->route)
        call_error(c, other ? 405 : 404, 0,
                   other ? "405: Method Not Allowed" : "404: Not Found");
    else if (take_args(c, &m) && read_body(c))
        c->route->handle(c);
}

static void discontinued(struct call *c)
{
    call_error(c, 400, 50041, "Invalid API version");
}

void route_call(struct call *c)
{
    const char *path = c->req.path;

    if (str_starts(path, "/emulator/")) {
        route_control(c);
    } else if (str_starts(path, "/attachments/") ||
               str_starts(path, "/ephemeral-attachments/")) {
        cdn_call(c);
    } else if (str_starts(path, "/api/v10/")) {
        route_api(c, path + strlen("/api/v10"));
    } else if (str_starts(path, "/api/")) {
        /* Only v10 is spoken; others are told so. */
        c->trace = true;
        discontinued(c);
    } else {
        c->trace = true;
        call_error(c, 404, 0, "404: Not Found");
    }
}
