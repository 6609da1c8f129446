/* Small questions about text and numbers. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

/* Strict decimal, the whole string, no sign, no leading zero but "0". */
bool str_to_u64(const char *s, uint64_t *out);
bool str_to_u64_n(const char *s, size_t len, uint64_t *out);

/* Is it UTF-8 of Unicode's rules (no surrogates, no overlong form)? */
bool utf8_valid(const char *s, size_t len);

/* The code point at s and its length in bytes (1 to 4), or 0 where the bytes
 * are not UTF-8. len > 0. */
size_t utf8_decode(const char *s, size_t len, uint32_t *cp);

/* Length in UTF-16 code units: what a client counts for "characters" at most.
 */
size_t utf16_units(const char *s, size_t len);
