/* Ids made from the time, and short lists of them. */
#include "tests/emulator/snowflake.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "tests/emulator/emulator.h"

/* bits 21-17 and 16-12: which of Discord's machines; any will do. */
#define WORKER (1ULL << 17 | 1ULL << 12)
#define STEPS 4096

uint64_t snowflake_at(int64_t ms)
{
    return ms <= SNOWFLAKE_EPOCH ? 0 : (uint64_t)(ms - SNOWFLAKE_EPOCH) << 22;
}

int64_t snowflake_ms(uint64_t id)
{
    return (int64_t)(id >> 22) + SNOWFLAKE_EPOCH;
}

uint64_t snowflake_new(struct emulator *e)
{
    uint64_t id = snowflake_at(emulator_now(e)) | WORKER;

    if (id <= e->ids.last) {
        /* The same millisecond, or a clock that was set back between two
         * runs: go on from the last one. */
        id = e->ids.last + 1;
        if (id % STEPS == 0)
            id = snowflake_at(snowflake_ms(e->ids.last) + 1) | WORKER;
    }
    e->ids.last = id;
    return id;
}

void snowflake_seen(struct emulator *e, uint64_t id)
{
    if (id > e->ids.last)
        e->ids.last = id;
}

struct json_object *snowflake_json(uint64_t id)
{
    char text[24];
    if (!id)
        return NULL;
    int n = snprintf(text, sizeof text, "%" PRIu64, id);
    return json_object_new_string_len(text, n);
}

bool snowflake_parse(const char *s, uint64_t *out)
{
    return str_to_u64(s, out);
}

uint64_t snowflake_of(struct json_object *v)
{
    uint64_t id = 0;
    if (json_object_is_type(v, json_type_string)) {
        if (!snowflake_parse(json_object_get_string(v), &id))
            id = 0;
    } else if (json_object_is_type(v, json_type_int)) {
        id = json_object_get_uint64(v);
    }
    return id;
}

void id_list_add(struct id_list *l, uint64_t id)
{
    if (l->n == l->cap) {
        l->cap = l->cap ? l->cap * 2 : 4;
        l->at = xrealloc(l->at, l->cap * sizeof *l->at);
    }
    l->at[l->n++] = id;
}

bool id_list_has(const struct id_list *l, uint64_t id)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->at[i] == id)
            return true;
    return false;
}

bool id_list_put(struct id_list *l, uint64_t id)
{
    if (id_list_has(l, id))
        return false;
    id_list_add(l, id);
    return true;
}

bool id_list_drop(struct id_list *l, uint64_t id)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->at[i] == id) {
            memmove(l->at + i, l->at + i + 1, (l->n - i - 1) * sizeof *l->at);
            l->n--;
            return true;
        }
    }
    return false;
}

void id_list_release(struct id_list *l)
{
    free(l->at);
    *l = (struct id_list){0};
}

struct json_object *id_list_json(const struct id_list *l)
{
    struct json_object *a = json_object_new_array();
    for (size_t i = 0; i < l->n; i++)
        json_object_array_add(a, snowflake_json(l->at[i]));
    return a;
}

void id_list_from(struct id_list *l, struct json_object *array)
{
    l->n = 0;
    if (!json_object_is_type(array, json_type_array))
        return;
    for (size_t i = 0; i < json_object_array_length(array); i++) {
        uint64_t id = snowflake_of(json_object_array_get_idx(array, i));
        if (id)
            id_list_put(l, id);
    }
}
