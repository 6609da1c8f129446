/* The names of an object's members with escapes resolved, to see which are
 * there and whether one is there twice. Pure; lives on its user's stack, and
 * asks for memory only where an object has many members or a name escapes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/json.h"

struct member_names {
    struct member_name {
        uint64_t hash;
        const char *text; /* in the object's text or the arena */
        size_t len;
        size_t at; /* which member: 0, 1, … */
    } few[32], *list;
    size_t n, cap;
    struct buf arena; /* of names that had escapes; never moves */
};

void member_names_init(struct member_names *ns);
void member_names_release(struct member_names *ns);

#define AUTO_MEMBER_NAMES __attribute__((cleanup(member_names_release)))

/* The name added; valid until the next call. Borrows the object's text.
 * text_len bounds what all its names together can take: the text's length. */
const struct member_name *member_names_add(struct member_names *ns,
                                           const struct json_member *m,
                                           size_t text_len);

/* A name that is there twice, or NULL. The list may be sorted by it. */
const struct member_name *member_names_twice(struct member_names *ns);
