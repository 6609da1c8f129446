/* Search tokens: one word for the key and for each scalar top-level field, so
 * that equality is one word to search for. Letters only and of one shape, so
 * that no stemming or word splitting can touch them: 'q' and 12 of sixteen
 * consonants, 48 bits of SHA-256 over field, NUL, type and canonical value. */
#pragma once

#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/json.h"

#define TOKEN_LEN 13

/* Carried by a message whose fields did not all find room: a search for any
 * token must ask for this one too. */
extern const char token_overflow[TOKEN_LEN + 1];

/* value as JSON text (strings with quotes); field as its bytes, not NULL even
 * where it is empty. field NULL: the key's token, value is the key's bytes.
 * What is hashed: field, NUL, and "str:" with the string's bytes, "num:" with
 * json_number_canonical(), "raw:" with true, false or null; for the key: NUL,
 * "key:" and its bytes. */
void token_of(const char *field, size_t field_len, const char *value,
              size_t value_len, char out[TOKEN_LEN + 1]);

/* The same of a value in its canonical form (value.h): "str:", "num:", "raw:"
 * or another prefix with what follows it. */
void token_of_canonical(const char *field, size_t field_len, const char *value,
                        size_t value_len, char out[TOKEN_LEN + 1]);

/* The text is a row's, checked before. Where room is short the last token is
 * token_overflow, which takes room for two to be of use.
 * Appends " token" for the key and the scalar members of a row's text, as
 * many as fit into room bytes. */
void tokens_of_row(const char *key, size_t key_len, const char *text,
                   size_t len, size_t room, struct buf *out);
