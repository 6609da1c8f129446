/* Counting is by route and method and by status; the trace is a ring, bounded
 * in number and in bytes. */
#include "tests/emulator/tally.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/http.h"
#include "tests/emulator/route.h"

enum {
    TRACE_MAX = 2000,
    TRACE_BYTES = 32 * 1024 * 1024,
    TRACE_BODY_MAX = 256 * 1024, /* larger bodies are left out */
    STATUS_MAX = 24,
};

struct count {
    char *method;
    const char *route;
    uint64_t n;
    struct {
        int status;
        uint64_t n;
    } by[STATUS_MAX];
};

struct exchange {
    uint64_t seq;
    char *text; /* JSON */
    size_t len;
};

struct tally {
    struct count *counts;
    size_t n;
    uint64_t total;

    struct exchange ring[TRACE_MAX];
    size_t first, held, bytes;
    uint64_t seq;
};

void tally_open(struct emulator *e)
{
    e->tally = xcalloc(1, sizeof *e->tally);
}

void tally_clear(struct emulator *e)
{
    struct tally *t = e->tally;
    for (size_t i = 0; i < t->n; i++)
        free(t->counts[i].method);
    t->n = 0;
    t->total = 0;
}

static void drop_oldest(struct tally *t)
{
    struct exchange *x = &t->ring[t->first];
    t->bytes -= x->len;
    free(x->text);
    t->first = (t->first + 1) % TRACE_MAX;
    t->held--;
}

void tally_close(struct emulator *e)
{
    struct tally *t = e->tally;
    if (!t)
        return;
    tally_clear(e);
    free(t->counts);
    while (t->held)
        drop_oldest(t);
    free(t);
    e->tally = NULL;
}

static void count(struct tally *t, const char *method, const char *route,
                  int status)
{
    struct count *k = NULL;
    for (size_t i = 0; i < t->n && !k; i++)
        if (strcmp(t->counts[i].method, method) == 0 &&
            strcmp(t->counts[i].route, route) == 0)
            k = &t->counts[i];
    if (!k) {
        t->counts = xrealloc(t->counts, (t->n + 1) * sizeof *t->counts);
        k = &t->counts[t->n++];
        *k = (struct count){.method = xstrdup(method), .route = route};
    }

    t->total++;
    k->n++;
    for (size_t i = 0; i < STATUS_MAX; i++) {
        if (!k->by[i].n || k->by[i].status == status) {
            k->by[i].status = status;
            k->by[i].n++;
            break;
        }
    }
}

static struct json_object *parse(const char *text, size_t len)
{
    struct json_tokener *tok = json_tokener_new_ex(128);
    struct json_object *o = json_tokener_parse_ex(tok, text, (int)len);
    json_tokener_free(tok);
    return o;
}

static void trace(struct call *c, const char *route, int status,
                  const char *body, size_t len)
{
    struct tally *t = c->e->tally;
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "n", json_object_new_uint64(++t->seq));
    json_object_object_add(o, "at", json_object_new_int64(emulator_now(c->e)));
    json_object_object_add(o, "method", json_object_new_string(c->req.method));
    json_object_object_add(o, "route", json_object_new_string(route));
    json_object_object_add(o, "path", json_object_new_string(c->req.target));
    json_object_object_add(o, "request",
                           c->req.body.len <= TRACE_BODY_MAX
                               ? json_object_get(c->req.json)
                               : NULL);
    if (c->req.part_count) {
        struct json_object *parts = json_object_new_array();
        for (size_t i = 0; i < c->req.part_count; i++) {
            const struct http_part *p = &c->req.parts[i];
            struct json_object *part = json_object_new_object();
            json_object_object_add(part, "name",
                                   json_object_new_string(p->name));
            if (p->filename)
                json_object_object_add(part, "filename",
                                       json_object_new_string(p->filename));
            json_object_object_add(part, "size",
                                   json_object_new_uint64(p->len));
            json_object_array_add(parts, part);
        }
        json_object_object_add(o, "parts", parts);
    }
    json_object_object_add(o, "status", json_object_new_int(status));
    json_object_object_add(
        o, "response", len && len <= TRACE_BODY_MAX ? parse(body, len) : NULL);

    size_t n;
    const char *text = json_object_to_json_string_length(
        o, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
    while (t->held == TRACE_MAX || (t->held && t->bytes + n > TRACE_BYTES))
        drop_oldest(t);
    t->ring[(t->first + t->held++) % TRACE_MAX] =
        (struct exchange){t->seq, xstrndup(text, n), n};
    t->bytes += n;
    json_object_put(o);
}

void tally_add(struct call *c, int status, const char *body, size_t len)
{
    const char *route = c->route ? route_template(c->route) : "unknown";
    count(c->e->tally, c->req.method, route, status);
    trace(c, route, status, body, len);
}

struct json_object *tally_json(struct emulator *e)
{
    struct tally *t = e->tally;
    struct json_object *o = json_object_new_object();
    struct json_object *routes = json_object_new_array();

    for (size_t i = 0; i < t->n; i++) {
        const struct count *k = &t->counts[i];
        struct json_object *r = json_object_new_object();
        struct json_object *by = json_object_new_object();
        for (size_t s = 0; s < STATUS_MAX && k->by[s].n; s++) {
            char status[16];
            snprintf(status, sizeof status, "%d", k->by[s].status);
            json_object_object_add(by, status,
                                   json_object_new_uint64(k->by[s].n));
        }
        json_object_object_add(r, "method", json_object_new_string(k->method));
        json_object_object_add(r, "route", json_object_new_string(k->route));
        json_object_object_add(r, "count", json_object_new_uint64(k->n));
        json_object_object_add(r, "status", by);
        json_object_array_add(routes, r);
    }
    json_object_object_add(o, "total", json_object_new_uint64(t->total));
    json_object_object_add(o, "routes", routes);
    return o;
}

struct json_object *trace_json(struct emulator *e, uint64_t since)
{
    struct tally *t = e->tally;
    struct json_object *o = json_object_new_object();
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < t->held; i++) {
        const struct exchange *x = &t->ring[(t->first + i) % TRACE_MAX];
        if (x->seq >= since)
            json_object_array_add(list, parse(x->text, x->len));
    }
    json_object_object_add(o, "next", json_object_new_uint64(t->seq + 1));
    json_object_object_add(o, "exchanges", list);
    return o;
}
