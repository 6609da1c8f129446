/* What a row of a table must look like. Immutable, counted; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct schema;

/* As stored and as in .schema.json (INTERFACE section 6). Unknown members,
 * wrong types, a pk that is missing: -EINVAL naming them. */
int schema_parse(const char *text, size_t len, struct schema **out,
                 struct err *err);
struct schema *schema_new_default(const char *pk);
struct schema *schema_ref(struct schema *s);
void schema_unref(struct schema *s);

/* The text it was made from, ending in a newline. */
const char *schema_text(const struct schema *s, size_t *len);
const char *schema_pk(const struct schema *s);

/* Checks a row's text against JSON's grammar, the key and the schema, and
 * gives the text to store: white space at the end removed, the primary key
 * filled in where it is missing (as string, or as the number the schema's
 * type asks for). key NULL: taken from the text, into *key_out (else
 * untouched). Errors name field, expected and found, or line and column:
 * -EINVAL, -EILSEQ for a key or text that is not UTF-8, -ENAMETOOLONG. */
int schema_check(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct buf *key_out, struct err *err);

/* A row renamed: the text with its primary key changed to the new key. */
int schema_rekey(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct err *err);
