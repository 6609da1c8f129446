/* The text of a message: what the server strips, whom it mentions. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Without white space at the ends, control characters, carriage returns and
 * the marks that turn the direction of text; free() it. */
char *content_clean(const char *s);

/* The next mention in the text. Start with *at = 0. */
enum mention { MENTION_NONE, MENTION_USER, MENTION_ROLE, MENTION_EVERYONE };
enum mention content_mention(const char *s, size_t *at, uint64_t *id);
