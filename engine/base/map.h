/* A hash set of pointers to items that carry their own key: open addressing,
 * 8 bytes a slot. Not safe from several threads; the owner's lock guards it.
 *
 *     static const struct map_type rows = {row_hash, row_has_key};
 *     struct map m = MAP_INIT(&rows);
 *     struct row *r = map_get(&m, hash_str(key), key);
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_type {
    uint64_t (*hash)(const void *item);
    bool (*has_key)(const void *item, const void *key);
};

struct map {
    const struct map_type *type;
    void **slots;
    size_t cap; /* 0 or a power of two */
    size_t count;
};

#define MAP_INIT(type) ((struct map){(type), NULL, 0, 0})

/* Frees the slots, not the items. */
void map_release(struct map *m);

/* hash is the hash of key, the same that type->hash gives for the item. */
void *map_get(const struct map *m, uint64_t hash, const void *key);

/* Adds item; an item with the same key is replaced and returned. */
void *map_put(struct map *m, const void *key, void *item);

/* Takes the item out and returns it, or NULL. */
void *map_remove(struct map *m, uint64_t hash, const void *key);

/* Walks in no order: start with *at = 0; NULL at the end. Nothing may be
 * added or removed meanwhile. */
void *map_next(const struct map *m, size_t *at);

/* The hashes. hash_bytes mixes all bits, seeded for each process. */
uint64_t hash_bytes(const void *data, size_t len);
uint64_t hash_str(const char *s);
uint64_t hash_u64(uint64_t v);
