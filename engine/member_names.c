#include "engine/member_names.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"

void member_names_init(struct member_names *ns)
{
    ns->list = ns->few;
    ns->n = 0;
    ns->cap = sizeof(ns->few) / sizeof(ns->few[0]);
    ns->arena = BUF_INIT;
}

void member_names_release(struct member_names *ns)
{
    if (ns->list != ns->few)
        free(ns->list);
    buf_release(&ns->arena);
}

const struct member_name *member_names_add(struct member_names *ns,
                                           const struct json_member *m,
                                           size_t text_len)
{
    if (ns->n == ns->cap) {
        ns->cap *= 4;
        struct member_name *more = xmalloc(ns->cap * sizeof(*more));
        memcpy(more, ns->list, ns->n * sizeof(*more));
        if (ns->list != ns->few)
            free(ns->list);
        ns->list = more;
    }
    struct member_name *n = &ns->list[ns->n];
    n->text = m->name;
    n->len = m->name_len;
    if (memchr(m->name, '\\', m->name_len)) {
        if (!ns->arena.data)
            buf_reserve(&ns->arena, text_len);
        size_t at = ns->arena.len;
        json_unescape(m->name, m->name_len, &ns->arena);
        n->text = ns->arena.data + at;
        n->len = ns->arena.len - at;
    }
    n->hash = hash_bytes(n->text, n->len);
    n->at = ns->n++;
    return n;
}

static bool same_name(const struct member_name *a, const struct member_name *b)
{
    return a->hash == b->hash && a->len == b->len &&
           memcmp(a->text, b->text, a->len) == 0;
}

static int by_hash(const void *a, const void *b)
{
    const struct member_name *x = a, *y = b;

    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

const struct member_name *member_names_twice(struct member_names *ns)
{
    if (ns->n <= 32) {
        for (size_t i = 1; i < ns->n; i++)
            for (size_t k = 0; k < i; k++)
                if (same_name(&ns->list[i], &ns->list[k]))
                    return &ns->list[i];
        return NULL;
    }
    qsort(ns->list, ns->n, sizeof(*ns->list), by_hash);
    for (size_t i = 1; i < ns->n; i++)
        for (size_t k = i; k > 0 && ns->list[k - 1].hash == ns->list[i].hash;
             k--)
            if (same_name(&ns->list[i], &ns->list[k - 1]))
                return &ns->list[i];
    return NULL;
}
