/* The inside of a schema, for the files it is made of: schema.c (its own text),
 * schema_value.c (one value against one field), schema_check.c (rows). Nobody
 * else includes this. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/json.h"
#include "engine/pattern.h"
#include "engine/schema.h"

/* A JSON value of the schema's, as text. */
struct value {
    char *text; /* NULL: none */
    size_t len;
    enum json_type type;
};

struct property {
    char *name;
    size_t name_len;
    enum schema_type type;
    bool nullable, required;
    struct value least, most, otherwise; /* min, max, default */
    struct value *choices;
    size_t n_choices;
    struct pattern *pattern; /* NULL: none */
};

struct indexed {
    char *field;
    bool unique;
};

struct schema {
    atomic_uint refs;
    bool closed; /* "additional": false */
    char *text;
    size_t text_len;
    char *pk;
    size_t pk_len;
    const struct property *pk_property; /* NULL: nothing is said of it */
    struct property *properties;        /* by name */
    size_t n_properties;
    struct indexed *indexes; /* as they stand in the text */
    size_t n_indexes;
    bool says_indexes;
};

/* --- schema.c ------------------------------------------------------------- */

/* What the schema says of a field, or NULL. */
struct property *schema_property(const struct schema *s, const char *name,
                                 size_t len);

/* --- schema_value.c ------------------------------------------------------- */

#define SCHEMA_TYPES (SCHEMA_ARRAY + 1)

/* By enum schema_type, as a schema spells them. */
extern const char *const schema_type_names[SCHEMA_TYPES];

/* A number without fraction and exponent. */
bool schema_is_int(const char *s, size_t len);

bool schema_has_type(enum schema_type want, enum json_type is,
                     const char *value, size_t len);

/* Is it what the schema asks for? If not, what that is goes to *expected. */
bool schema_check_value(const struct property *p, enum json_type type,
                        const char *value, size_t len, struct buf *expected);

/* As much of a text as a sentence bears: quoted already or not. */
void schema_add_cut(struct buf *b, const char *s, size_t len);
