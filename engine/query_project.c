/* Some of a row's fields as an object of their own. Values are the row's own
 * bytes; the objects around nested ones are made anew, one for all that were
 * asked for in it. */
#include <assert.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query_impl.h"

/* Where a found value stands: the names from the row down to it. */
struct place {
    struct query_span value;
    size_t n; /* 0: missing */
    struct {
        const char *at;
        size_t len;
    } name[QUERY_DEPTH_MAX];
};

/* Which of the path's dots part names, and which are in one: the value found
 * tells it, since it lies in all the objects on its way. */
static void place_plain(const struct query_path *p, const char *text,
                        size_t len, struct place *out)
{
    const char *rest = p->bytes;
    struct json_member m = {0};

    while (m.value != out->value.at) {
        bool inside = false;
        for (size_t at = 0; !inside && json_next(text, len, &at, &m);)
            inside = out->value.at >= m.value &&
                     out->value.at < m.value + m.value_len;
        assert(inside && out->n < QUERY_DEPTH_MAX);
        /* The name may be written with escapes: as many bytes as it stands
         * for are the path's. */
        struct json_chars c;
        const char *run;
        size_t n, name_len = 0;
        json_chars_init(&c, m.name, m.name_len);
        while (json_chars_next(&c, &run, &n))
            name_len += n;
        out->name[out->n].at = rest;
        out->name[out->n++].len = name_len;
        rest += name_len + 1; /* the dot */
        text = m.value;
        len = m.value_len;
    }
}

static void find_place(const struct query_path *p, const char *text, size_t len,
                       struct query_span value, struct place *out)
{
    out->value = value;
    out->n = 0;
    if (!value.at)
        return;
    if (!p->exact && p->n > 1) {
        place_plain(p, text, len, out);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        out->name[i].at = query_path_at(p, i);
        out->name[i].len = p->name[i].len;
    }
    out->n = p->n;
}

static bool same_name(const struct place *a, const struct place *b, size_t i)
{
    return a->name[i].len == b->name[i].len &&
           memcmp(a->name[i].at, b->name[i].at, a->name[i].len) == 0;
}

/* Do a and b share their first n names? */
static bool together(const struct place *a, const struct place *b, size_t n)
{
    if (a->n < n || b->n < n)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!same_name(a, b, i))
            return false;
    return true;
}

/* Writes the object for all places that share the first depth names with
 * places[first], and strikes them out. */
static void add_object(struct place *places, size_t n, size_t first,
                       size_t depth, struct buf *out)
{
    struct place parent = places[first];
    bool any = false;

    buf_addc(out, '{');
    for (size_t i = first; i < n; i++) {
        struct place *p = &places[i];
        if (p->n <= depth || !together(p, &parent, depth))
            continue;
        if (any)
            buf_addc(out, ',');
        any = true;
        buf_add_json(out, p->name[depth].at, p->name[depth].len);
        buf_addc(out, ':');

        /* A whole value is there with all that is in it. */
        const struct place *whole = NULL;
        for (size_t k = i; k < n && !whole; k++)
            if (places[k].n == depth + 1 && together(&places[k], p, depth + 1))
                whole = &places[k];
        if (!whole) {
            add_object(places, n, i, depth + 1, out);
            continue;
        }
        buf_add(out, whole->value.at, whole->value.len);
        struct place done = *p;
        for (size_t k = i; k < n; k++)
            if (together(&places[k], &done, depth + 1))
                places[k].n = 0;
    }
    buf_addc(out, '}');
    for (size_t i = first; i < n; i++)
        if (depth > 0 && together(&places[i], &parent, depth))
            places[i].n = 0;
}

void query_project(const struct query *q, const char *text, size_t len,
                   struct buf *out)
{
    struct query_picked picked;

    while (len > 0 && text[len - 1] && strchr(" \t\r\n", text[len - 1]))
        len--;
    if (q->fields.n == 0) {
        buf_add(out, text, len);
        return;
    }
    query_pick_run(&q->fields, text, len, &picked, NULL, NULL);
    struct place *places = xcalloc(q->fields.n, sizeof(*places));
    size_t n = 0;
    for (size_t i = 0; i < q->fields.n; i++) {
        find_place(q->fields.path[i], text, len, picked.span[i], &places[n]);
        n += places[n].n > 0;
    }
    if (n > 0)
        add_object(places, n, 0, 0, out);
    else
        buf_addstr(out, "{}");
    free(places);
}
