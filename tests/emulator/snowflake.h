/* Ids: uint64, decimal strings in JSON, made from the time. Strictly rising
 * here, across restarts too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct emulator;
struct json_object;

#define SNOWFLAKE_EPOCH 1420070400000LL

struct snowflakes {
    uint64_t last; /* the highest one given out or seen at replay */
};

uint64_t snowflake_new(struct emulator *e);

/* Replay: no id up to this one is ever given out again. */
void snowflake_seen(struct emulator *e, uint64_t id);

int64_t snowflake_ms(uint64_t id); /* since 1970 */
uint64_t snowflake_at(int64_t ms); /* the lowest id of that moment */

/* A new JSON string; null for 0. */
struct json_object *snowflake_json(uint64_t id);

/* ^(0|[1-9][0-9]*)$ within 64 bits. */
bool snowflake_parse(const char *s, uint64_t *out);

/* From a JSON string, or an integer as some clients send; 0 if neither. */
uint64_t snowflake_of(struct json_object *v);

/* A small growing list of ids. */
struct id_list {
    uint64_t *at;
    size_t n, cap;
};
void id_list_add(struct id_list *l, uint64_t id); /* at the end, no check */
bool id_list_has(const struct id_list *l, uint64_t id);
bool id_list_put(struct id_list *l, uint64_t id);  /* false: was there */
bool id_list_drop(struct id_list *l, uint64_t id); /* false: was not */
void id_list_release(struct id_list *l);
struct json_object *id_list_json(const struct id_list *l);
void id_list_from(struct id_list *l, struct json_object *array);
