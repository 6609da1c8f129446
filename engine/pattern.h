/* Patterns of a schema: POSIX extended regular expressions, bounded so that no
 * pattern takes all memory or all time. Immutable; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

struct pattern;

/* -EINVAL: not a pattern, or one of more than it may cost. */
int pattern_new(const char *text, size_t len, struct pattern **out,
                struct err *err);
void pattern_free(struct pattern *p); /* NULL is fine */

/* As it was given, NUL-terminated. */
const char *pattern_text(const struct pattern *p);

/* Does it match somewhere in the string? s[len] is a NUL. */
bool pattern_matches(const struct pattern *p, const char *s, size_t len);
