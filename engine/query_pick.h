/* Some fields of a row, found in one pass over its text. What a field is, and
 * which of several members it means, is what value_at() says; here many are
 * looked for at once, and without memory. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/json.h"
#include "engine/query.h"

/* A field's path as it was read. */
struct query_path {
    char *spelled; /* as a query writes it */
    char *bytes;   /* plain: the path; exact: each name with a NUL behind it */
    size_t len;    /* of bytes, without the last NUL */
    bool exact;    /* spelled name by name */
    size_t n;      /* names; plain: as many as there may be at most */
    struct {
        size_t at, len; /* in bytes */
    } name[QUERY_DEPTH_MAX];
};

static inline const char *query_path_at(const struct query_path *p, size_t i)
{
    return p->bytes + p->name[i].at;
}

/* Reads a path from the front of s, up to one of stops (outside of quotes) or
 * the end; *used bytes of it. stops "": all of s is the path. The errors
 * (-EINVAL) call the thing a field. */
int query_path_read(const char *s, size_t len, const char *stops,
                    struct query_path **out, size_t *used, struct err *err);
void query_path_free(struct query_path *p);
struct query_path *query_path_copy(const struct query_path *p);
bool query_path_same(const struct query_path *a, const struct query_path *b);

/* The one name by which an index has what this path finds; NULL: none. */
const char *query_path_name(const struct query_path *p, size_t *len);

/* --- picking ----------------------------------------------------------- */

#define PICK_MAX (QUERY_TERMS_MAX)

/* The paths, each once; slots count from 0 in the order they came. */
struct query_pick {
    struct query_path *path[PICK_MAX];
    size_t n;
    size_t n_deep; /* of them may be in nested objects */
};

void query_pick_release(struct query_pick *p);
/* The slot of the path, which is taken. There is room for PICK_MAX. */
size_t query_pick_add(struct query_pick *p, struct query_path *path);

struct query_span {
    const char *at; /* a JSON value; NULL: missing */
    size_t len;
};

/* What a pass has found so far. */
struct query_picked {
    struct query_span span[PICK_MAX];
    /* private, of slots that may be nested: the length of the first name of
     * the best find, and which lengths were seen (by number of dots in it) */
    size_t head[PICK_MAX];
    uint32_t seen[PICK_MAX];
};

/* Told of a value as soon as nothing later in the row can change it. False
 * ends the pass. */
typedef bool query_found(void *arg, size_t slot, struct query_span value);

/* Fills out->span of all slots; found (may be NULL) is told of those that are
 * settled on the way: out->span of the others is true at the end alone. False
 * where found ended it. */
bool query_pick_run(const struct query_pick *p, const char *text, size_t len,
                    struct query_picked *out, query_found *found, void *arg);
