/* "Did you mean": the known name that is nearest to one that is not. */
#pragma once

#include <stddef.h>

/* Edits (insert, delete, replace, swap of neighbours) from a to b. */
size_t suggest_distance(const char *a, const char *b);

/* Feed the known names; best is NULL where none is near enough. */
struct suggest {
    const char *wanted;
    const char *best; /* borrowed */
    size_t distance;
};

void suggest_try(struct suggest *s, const char *name);
