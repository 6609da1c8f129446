#include "engine/base/map.h"

#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/alloc.h"

static uint64_t seed;
static pthread_once_t seeded = PTHREAD_ONCE_INIT;

/* Keys come from outside: without a secret somebody could make them collide. */
static void draw_seed(void)
{
    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = (uint64_t)(uintptr_t)&seed;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    unsigned __int128 p = (unsigned __int128)a * b;
    return (uint64_t)p ^ (uint64_t)(p >> 64);
}

uint64_t hash_bytes(const void *data, size_t len)
{
    const unsigned char *p = data;
    pthread_once(&seeded, draw_seed);
    uint64_t h = seed ^ (len * 0x9e3779b97f4a7c15u);

    while (len >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        h = mix(h ^ w, 0xa0761d6478bd642fu);
        p += 8;
        len -= 8;
    }
    uint64_t last = 0;
    if (len > 0)
        memcpy(&last, p, len);
    return mix(h ^ last, 0xe7037ed1a0b428dbu);
}

uint64_t hash_str(const char *s)
{
    return hash_bytes(s, strlen(s));
}

uint64_t hash_u64(uint64_t v)
{
    return hash_bytes(&v, sizeof(v));
}

void map_release(struct map *m)
{
    free(m->slots);
    *m = MAP_INIT(m->type);
}

/* The slot that holds key, or the empty one where it would go. */
static size_t find_slot(const struct map *m, uint64_t hash, const void *key)
{
    size_t mask = m->cap - 1, i = (size_t)hash & mask;

    while (m->slots[i] && !m->type->has_key(m->slots[i], key))
        i = (i + 1) & mask;
    return i;
}

void *map_get(const struct map *m, uint64_t hash, const void *key)
{
    return m->cap ? m->slots[find_slot(m, hash, key)] : NULL;
}

static void grow(struct map *m)
{
    struct map bigger = {m->type, NULL, m->cap ? m->cap * 2 : 16, m->count};

    bigger.slots = xcalloc(bigger.cap, sizeof(void *));
    for (size_t i = 0; i < m->cap; i++) {
        if (!m->slots[i])
            continue;
        size_t mask = bigger.cap - 1;
        size_t at = (size_t)m->type->hash(m->slots[i]) & mask;
        while (bigger.slots[at])
            at = (at + 1) & mask;
        bigger.slots[at] = m->slots[i];
    }
    free(m->slots);
    *m = bigger;
}

void *map_put(struct map *m, const void *key, void *item)
{
    if ((m->count + 1) * 4 > m->cap * 3)
        grow(m);

    size_t i = find_slot(m, m->type->hash(item), key);
    void *old = m->slots[i];
    m->slots[i] = item;
    if (!old)
        m->count++;
    return old;
}

void *map_remove(struct map *m, uint64_t hash, const void *key)
{
    if (!m->cap)
        return NULL;

    size_t mask = m->cap - 1, i = find_slot(m, hash, key);
    void *item = m->slots[i];
    if (!item)
        return NULL;

    /* Close the gap: an item behind it may move up unless that would put it
     * before its own home. */
    for (size_t j = (i + 1) & mask; m->slots[j]; j = (j + 1) & mask) {
        size_t home = (size_t)m->type->hash(m->slots[j]) & mask;
        if (((j - home) & mask) >= ((j - i) & mask)) {
            m->slots[i] = m->slots[j];
            i = j;
        }
    }
    m->slots[i] = NULL;
    m->count--;
    return item;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->cap) {
        void *item = m->slots[(*at)++];
        if (item)
            return item;
    }
    return NULL;
}
