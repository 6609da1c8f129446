/* A list of rules; the oldest that fits a request is the one that happens. */
#include "tests/emulator/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"

struct rule {
    char *method; /* NULL: any */
    char *route;
    char *text;
    struct fault fault;
    int64_t times;
};

struct faults {
    struct rule *rules;
    size_t n;
};

void faults_open(struct emulator *e)
{
    e->faults = xcalloc(1, sizeof *e->faults);
}

static void rule_release(struct rule *r)
{
    free(r->method);
    free(r->route);
    free(r->text);
}

void faults_clear(struct emulator *e)
{
    for (size_t i = 0; i < e->faults->n; i++)
        rule_release(&e->faults->rules[i]);
    e->faults->n = 0;
}

void faults_close(struct emulator *e)
{
    if (!e->faults)
        return;
    faults_clear(e);
    free(e->faults->rules);
    free(e->faults);
    e->faults = NULL;
}

static bool parse_do(const char *s, struct fault *f)
{
    double n;
    int end = 0;

    if (strcmp(s, "drop") == 0)
        f->kind = FAULT_DROP;
    else if (strcmp(s, "drop-after") == 0)
        f->kind = FAULT_DROP_AFTER;
    else if (strcmp(s, "truncate") == 0)
        f->kind = FAULT_TRUNCATE;
    else if (sscanf(s, "delay %lf%n", &n, &end) == 1 && !s[end] && n >= 0)
        *f = (struct fault){FAULT_DELAY, 0, (int64_t)n};
    else if (sscanf(s, "429 %lf%n", &n, &end) == 1 && !s[end] && n >= 0)
        *f = (struct fault){FAULT_STATUS, 429, (int64_t)(n * 1000)};
    else if (sscanf(s, "status %d%n", &f->status, &end) == 1 && !s[end] &&
             f->status >= 200 && f->status <= 599)
        f->kind = FAULT_STATUS;
    else
        return false;
    return true;
}

static const char *member(struct json_object *o, const char *key)
{
    struct json_object *v = json_object_object_get(o, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v)
                                                    : NULL;
}

const char *faults_add(struct emulator *e, struct json_object *o)
{
    struct fault f = {0};
    const char *what = member(o, "do"), *route = member(o, "route");
    const char *method = member(o, "method");
    struct json_object *times = json_object_object_get(o, "times");

    if (!route)
        return "\"route\" is missing: a template such as "
               "\"/channels/{id}/messages\", or \"*\"";
    if (!what || !parse_do(what, &f))
        return "\"do\" must be \"status N\", \"429 SECONDS\", \"drop\", "
               "\"drop-after\", \"delay MS\" or \"truncate\"";
    if (times && (!json_object_is_type(times, json_type_int) ||
                  json_object_get_int64(times) < 1))
        return "\"times\" must be a number of at least 1";

    struct faults *all = e->faults;
    all->rules = xrealloc(all->rules, (all->n + 1) * sizeof *all->rules);
    all->rules[all->n++] = (struct rule){
        .method = method ? xstrdup(method) : NULL,
        .route = xstrdup(route),
        .text = xstrdup(what),
        .fault = f,
        .times = times ? json_object_get_int64(times) : 1,
    };
    return NULL;
}

struct json_object *faults_json(struct emulator *e)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < e->faults->n; i++) {
        const struct rule *r = &e->faults->rules[i];
        struct json_object *o = json_object_new_object();
        if (r->method)
            json_object_object_add(o, "method",
                                   json_object_new_string(r->method));
        json_object_object_add(o, "route", json_object_new_string(r->route));
        json_object_object_add(o, "times", json_object_new_int64(r->times));
        json_object_object_add(o, "do", json_object_new_string(r->text));
        json_object_array_add(list, o);
    }
    return list;
}

struct fault faults_take(struct emulator *e, const char *method,
                         const char *route)
{
    struct faults *all = e->faults;
    for (size_t i = 0; i < all->n; i++) {
        struct rule *r = &all->rules[i];
        if ((r->method && strcasecmp(r->method, method) != 0) ||
            (strcmp(r->route, "*") != 0 && strcmp(r->route, route) != 0))
            continue;
        struct fault f = r->fault;
        if (--r->times == 0) {
            rule_release(r);
            memmove(r, r + 1, (all->n - i - 1) * sizeof *r);
            all->n--;
        }
        return f;
    }
    return (struct fault){0};
}
