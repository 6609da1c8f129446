/* The trivial model that the engine is held against: rows in an array, their
 * fields as plain numbers, every version that ever was, queries by looking at
 * each row. It knows nothing of messages, indexes or plans. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

#define MODEL_KEYS 24
#define MODEL_KEY_SIZE 32

/* What a row says. Each field but the key may be missing (NONE). */
enum { NONE = -1, IS_NULL = -2 };
struct fields {
    int email; /* "e<n>@x.org", or IS_NULL */
    int role;  /* one of model_roles */
    int age;   /* in halves */
    int deep;  /* obj.a.b, a number */
    int ok;    /* 0 false, 1 true, IS_NULL */
    int tags;  /* bits: of an array of "t0", "t1", … */
    int pad;   /* so many bytes of ballast */
};

#define MODEL_ROLES 4
extern const char *const model_roles[MODEL_ROLES];
#define MODEL_TAGS 3

enum model_field {
    FIELD_ID,
    FIELD_EMAIL,
    FIELD_ROLE,
    FIELD_AGE,
    FIELD_DEEP,
    FIELD_OK,
    FIELD_TAGS
};
#define MODEL_FIELDS (FIELD_TAGS + 1)
/* "id", "email", …, "obj.a.b", … */
extern const char *const model_field_names[MODEL_FIELDS];

struct version_of_row {
    uint32_t number;
    char *text; /* NULL: a deletion */
};

struct model_row {
    bool there;
    uint32_t version; /* of the newest, a deletion too; 0: there never was one
                       */
    struct fields f;
    char *text;
    uint64_t born; /* place in the order of creation */
    struct version_of_row *versions;
    size_t n_versions;
};

struct model {
    struct model_row rows[MODEL_KEYS];
    uint64_t births;
    bool unique[MODEL_FIELDS], indexed[MODEL_FIELDS];
};

void model_release(struct model *m);
void model_copy(const struct model *m, struct model *out);
const char *model_key(uint32_t i, char out[MODEL_KEY_SIZE]);
/* The number of a key; MODEL_KEYS: none of ours. */
uint32_t model_number(const char *key);

/* The row that has a value of f already in a unique field, i itself and
 * `besides` left aside; MODEL_KEYS: none. */
uint32_t model_conflict(const struct model *m, uint32_t i, uint32_t besides,
                        const struct fields *f);
/* Are two rows equal in this field? */
bool model_has_duplicates(const struct model *m, enum model_field field);
void model_put(struct model *m, uint32_t i, const struct fields *f,
               const char *text);
void model_delete(struct model *m, uint32_t i);
/* NULL: there is none of this number. */
const struct version_of_row *model_version(const struct model *m, uint32_t i,
                                           uint32_t number);
size_t model_count(const struct model *m);
/* Numbers of the rows that are there, in order of creation. */
size_t model_list(const struct model *m, uint32_t out[MODEL_KEYS]);

/* --- rows as text ------------------------------------------------------- */

uint32_t draw(uint64_t *rng, uint32_t n);
struct fields fields_random(uint64_t *rng);
/* As JSON, in one of many ways of writing it. */
void fields_write(const struct fields *f, const char *key, uint64_t *rng,
                  struct buf *out);
/* From JSON; false: that is none of ours. key: as the text says. */
bool fields_read(const char *text, struct fields *out,
                 char key[MODEL_KEY_SIZE]);
bool fields_equal(const struct fields *a, const struct fields *b);
/* A merge patch, and what it makes of f. */
void fields_patch(struct fields *f, uint64_t *rng, struct buf *patch);

/* --- queries ------------------------------------------------------------- */

enum model_op {
    OP_EQ,
    OP_NE,
    OP_GT,
    OP_GTE,
    OP_LT,
    OP_LTE,
    OP_IN,
    OP_EXISTS,
    OP_PREFIX,
    OP_CONTAINS,
};

struct value {
    enum { V_MISSING, V_NULL, V_BOOL, V_NUM, V_STR, V_ARRAY } kind;
    int n; /* true or false; a number in halves; an array's tags */
    char s[MODEL_KEY_SIZE];
};

struct model_term {
    enum model_field field;
    enum model_op op;
    struct value v[3];
    size_t n;
};

struct model_query {
    struct model_term terms[3];
    size_t n_terms;
    enum model_field sort[2];
    bool down[2];
    size_t n_sort;
    size_t skip, limit; /* 0: none */
};

void query_random(struct model_query *q, const struct model *m, uint64_t *rng);
/* Its where, and its sort list (empty: none). */
void query_where(const struct model_query *q, uint64_t *rng, struct buf *out);
void query_sort_list(const struct model_query *q, struct buf *out);
/* Are two rows equal in all that q sorts by? */
bool query_ties(const struct model *m, const struct model_query *q, uint32_t a,
                uint32_t b);
/* The rows found, in order. */
size_t model_find(const struct model *m, const struct model_query *q,
                  uint32_t out[MODEL_KEYS]);
