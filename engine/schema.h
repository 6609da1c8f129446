/* What a row of a table must look like. Immutable, counted; pure. schema.c
 * makes one of its text, schema_check.c holds rows against it, value by value
 * (schema_value.c).
 *
 * Patterns are POSIX extended regular expressions that must match somewhere in
 * the string (^ and $ bind them). Numbers are compared by their exact decimal
 * value. An int is a number written without fraction and exponent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct schema;

enum schema_type {
    SCHEMA_ANY,
    SCHEMA_STR,
    SCHEMA_INT,
    SCHEMA_FLOAT,
    SCHEMA_BOOL,
    SCHEMA_OBJECT,
    SCHEMA_ARRAY,
};

/* As stored and as in .schema.json (INTERFACE section 6). Unknown members,
 * wrong types, a pk that is missing: -EINVAL naming them. */
int schema_parse(const char *text, size_t len, struct schema **out,
                 struct err *err);
/* The same, where a table has a schema already: what the text does not say of
 * "pk" and "indexes" is as it was. */
int schema_parse_over(const struct schema *old, const char *text, size_t len,
                      struct schema **out, struct err *err);
struct schema_index {
    const char *field;
    bool unique;
};
/* s with these indexes instead of its own, all else as it was written. NULL:
 * a field cannot have one of these names. */
struct schema *schema_with_indexes(const struct schema *s,
                                   const struct schema_index *list, size_t n);
/* NULL where no field can have this name (empty, not UTF-8). */
struct schema *schema_new_default(const char *pk);
struct schema *schema_ref(struct schema *s);
void schema_unref(struct schema *s); /* NULL is fine */

/* The text it was made from, ending in a newline. */
const char *schema_text(const struct schema *s, size_t *len);
const char *schema_pk(const struct schema *s);

/* How a field's values are read: SCHEMA_ANY where nothing is said. */
enum schema_type schema_field_type(const struct schema *s, const char *field,
                                   size_t len);

/* Does its text speak of indexes at all? */
bool schema_says_indexes(const struct schema *s);
bool schema_field_nullable(const struct schema *s, const char *field,
                           size_t len);
/* Is anything said of it, if only that it is the key? */
bool schema_has_field(const struct schema *s, const char *field, size_t len);
/* "additional": false: a row has no other fields. */
bool schema_is_closed(const struct schema *s);
/* The fields of which something is said, in no order; NULL at the end. */
const char *schema_field_at(const struct schema *s, size_t i);

size_t schema_index_count(const struct schema *s);
const char *schema_index_at(const struct schema *s, size_t i, bool *unique);

/* 0, or why these bytes cannot be a row's key: -EINVAL (empty), -EILSEQ,
 * -ENAMETOOLONG (over 1024 bytes). */
int schema_check_key(const char *key, size_t len, struct err *err);

/* Can this be a row's key that is a number? It has one name only: no 1.0, no
 * 01. */
bool schema_is_key_number(const char *s, size_t len);

/* Checks a row's text against JSON's grammar, the key and the schema, and
 * gives the text to store: white space at the end removed, the primary key
 * filled in where it is missing (as string, or as the number the schema's
 * type asks for), and fields that have a default. key NULL: taken from the
 * text, into *key_out (else untouched, and may be NULL). Without a type in the
 * schema the primary key may be a string or a whole number. Errors name field,
 * expected and found, or line and column: -EINVAL, -EILSEQ for a key or text
 * that is not UTF-8, -ENAMETOOLONG. out and key_out are appended to, on success
 * alone. */
int schema_check(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct buf *key_out, struct err *err);

/* The same for a row that is part of something larger, its key taken from the
 * text: where a member is wrong, err does not say where, but *at is its offset
 * in text; else SIZE_MAX. */
int schema_check_at(const struct schema *s, const char *text, size_t len,
                    struct buf *out, struct buf *key_out, size_t *at,
                    struct err *err);

/* A row renamed: the text with its primary key changed to the new key. The
 * text was checked when it was stored; the key is here: -EINVAL where the
 * schema does not allow it. */
int schema_rekey(const struct schema *s, const char *key, size_t key_len,
                 const char *text, size_t len, struct buf *out,
                 struct err *err);
