/* An index's log in memory: one item for each key that is told of. Which of a
 * key's entries counts does not depend on the order in which they come, but for
 * what is superseded: so all are kept until it is known what is. */
#include "engine/index_log.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"

struct item {
    struct item *older; /* of the same key */
    uint64_t of, in, message;
    uint32_t version, key_len, value_len;
    bool has_value;
    char data[]; /* key, NUL, value, NUL */
};

struct name {
    const char *s;
    size_t len;
};

struct told {
    uint64_t message, upto[2];
    size_t entries;
};

struct index_log {
    struct map keys; /* the newest item of each, by key */
    struct told *messages;
    size_t n_messages, cap;
    uint64_t over;
};

static uint64_t item_hash(const void *item)
{
    const struct item *it = item;
    return hash_bytes(it->data, it->key_len);
}

static bool item_has(const void *item, const void *key)
{
    const struct item *it = item;
    const struct name *n = key;
    return it->key_len == n->len && memcmp(it->data, n->s, n->len) == 0;
}

static const struct map_type item_type = {item_hash, item_has};

struct index_log *index_log_new(void)
{
    struct index_log *l = xcalloc(1, sizeof(*l));

    l->keys = MAP_INIT(&item_type);
    return l;
}

void index_log_free(struct index_log *l)
{
    struct item *it;

    if (!l)
        return;
    for (size_t at = 0; (it = map_next(&l->keys, &at));) {
        while (it) {
            struct item *older = it->older;
            free(it);
            it = older;
        }
    }
    map_release(&l->keys);
    free(l->messages);
    free(l);
}

/* Does a count, and not b, where both stand in messages that do? */
static bool goes_before(const struct item *a, const struct item *b)
{
    if (a->version != b->version)
        return a->version > b->version;
    return a->of != b->of ? a->of < b->of : a->message > b->message;
}

static void add_item(struct index_log *l, uint64_t message,
                     const struct index_entry *e)
{
    struct item *it = xmalloc(sizeof(*it) + e->key_len + 1 + e->value_len + 1);
    struct name key = {e->key, e->key_len};

    *it = (struct item){
        .of = e->of,
        .in = e->in,
        .message = message,
        .version = e->version,
        .key_len = (uint32_t)e->key_len,
        .value_len = (uint32_t)e->value_len,
        .has_value = e->value != NULL,
    };
    memcpy(it->data, e->key, e->key_len);
    it->data[e->key_len] = '\0';
    if (e->value)
        memcpy(it->data + e->key_len + 1, e->value, e->value_len);
    it->data[e->key_len + 1 + e->value_len] = '\0';

    struct item *first = map_get(&l->keys, hash_bytes(key.s, key.len), &key);
    if (!first || goes_before(it, first)) {
        it->older = first;
        map_put(&l->keys, &key, it);
        return;
    }
    while (first->older && goes_before(first->older, it))
        first = first->older;
    it->older = first->older;
    first->older = it;
}

void index_log_add(struct index_log *l, uint64_t message,
                   const struct index_message *im)
{
    if (im->over > l->over)
        l->over = im->over;
    if (message <= l->over)
        return;
    if (l->n_messages == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 16;
        l->messages = xrealloc(l->messages, l->cap * sizeof(*l->messages));
    }
    l->messages[l->n_messages++] = (struct told){
        .message = message,
        .upto = {im->upto[0], im->upto[1]},
        .entries = im->n,
    };
    for (size_t i = 0; i < im->n; i++)
        add_item(l, message, &im->list[i]);
}

uint64_t index_log_over(const struct index_log *l)
{
    return l->over;
}

void index_log_upto(const struct index_log *l, uint64_t out[2])
{
    out[0] = out[1] = 0;
    for (size_t i = 0; i < l->n_messages; i++)
        for (size_t k = 0; k < 2; k++)
            if (l->messages[i].message > l->over &&
                l->messages[i].upto[k] > out[k])
                out[k] = l->messages[i].upto[k];
}

size_t index_log_messages(const struct index_log *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n_messages; i++)
        n += l->messages[i].message > l->over;
    return n;
}

size_t index_log_entries(const struct index_log *l)
{
    size_t n = 0;

    for (size_t i = 0; i < l->n_messages; i++)
        if (l->messages[i].message > l->over)
            n += l->messages[i].entries;
    return n;
}

static bool tell(const struct index_log *l, const struct item *it,
                 struct index_hit *out)
{
    while (it && it->message <= l->over)
        it = it->older;
    if (!it)
        return false;
    *out = (struct index_hit){
        .key = it->data,
        .key_len = it->key_len,
        .value = it->has_value ? it->data + it->key_len + 1 : NULL,
        .value_len = it->value_len,
        .version = it->version,
        .of = it->of,
        .in = it->in,
        .message = it->message,
    };
    return true;
}

bool index_log_get(const struct index_log *l, const char *key, size_t key_len,
                   struct index_hit *out)
{
    struct name name = {key, key_len};

    return tell(l, map_get(&l->keys, hash_bytes(key, key_len), &name), out);
}

bool index_log_next(const struct index_log *l, size_t *at,
                    struct index_hit *out)
{
    struct item *it;

    while ((it = map_next(&l->keys, at)))
        if (tell(l, it, out))
            return true;
    return false;
}
