/* The inside of a query, for the files it is made of: query.c (building,
 * looking), query_parse.c (where), query_path.c (path terms, lists),
 * query_match.c, query_sort.c, query_project.c, query_print.c. Nobody else
 * includes this. */
#pragma once

#include <stdatomic.h>

#include "engine/query.h"
#include "engine/query_pick.h"

/* A value to compare with, made ready. */
struct query_operand {
    enum json_type type;
    const struct query_value *value; /* of the term, and */
    char *json, *form;               /* what that points to */
    char *str;                       /* JSON_STRING: its bytes */
    size_t str_len;
    size_t *fail; /* contains, a string: where to go on when a byte does not
                     fit, as Knuth, Morris and Pratt have it */
    bool small;   /* JSON_NUMBER: it is n */
    int64_t n;
};

/* Immutable, counted; copies of a query share it. */
struct query_term_box {
    atomic_uint refs;
    struct query_term pub;
    struct query_path *path;
    struct query_value *values;     /* pub.values */
    struct query_operand *operands; /* as many; by type and value where it is
                                       more than one */
    struct query_key *keys;         /* of an equality of the primary key, and */
    char **key_texts;               /* what they point to */
    size_t n_keys;
};

struct query {
    atomic_uint refs;
    struct schema *schema; /* may be NULL */
    struct query_term_box *terms[QUERY_TERMS_MAX];
    size_t n_terms;
    struct query_pick match; /* the terms' paths */
    int first[PICK_MAX];     /* by slot: its first term, -1 behind the last */
    int next[QUERY_TERMS_MAX];
    struct query_pick sort; /* slots are the sort keys in order */
    bool down[QUERY_SORT_MAX];
    struct query_pick fields;
    bool has_limit, has_skip;
    uint64_t limit, skip;
};

/* In which words an error says what to write. */
enum query_form { QUERY_FORM_JSON, QUERY_FORM_PATH };

/* --- query.c ----------------------------------------------------------- */

/* What the schema says of a field. */
struct query_kind {
    enum schema_type type;
    bool nullable;
    bool key; /* the primary key */
};
/* -ENOENT: a closed schema does not have it; -EINVAL: nothing can be in it. */
int query_kind_of(const struct query *q, const struct query_path *path,
                  struct query_kind *out, struct err *err);

/* Which op this name is; -1: none. */
int query_op_of(const char *name, size_t len);

/* Adds a term; takes path. values: n JSON values as text, of which the
 * operator makes sense with any number (see query_term.values). */
int query_add(struct query *q, struct query_path *path, enum query_op op,
              const struct query_span *values, size_t n, enum query_form form,
              struct err *err);
int query_add_exists(struct query *q, struct query_path *path, bool exists,
                     struct err *err);

/* "field 'age': " before what is said. */
int query_refuse(struct err *err, const struct query_path *path,
                 const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As much of a text as a sentence bears, on one line. */
void query_add_cut(struct buf *b, const char *s, size_t len);

/* A number without a fraction, whatever way it is written: its digits as a
 * whole number is written are appended. False: it has one, or thousands of
 * digits. */
bool query_whole_number(const char *s, size_t len, struct buf *out);

/* --- query_match.c ----------------------------------------------------- */

/* Makes o ready, and value, which lives as long as o, of json. */
void query_operand_init(struct query_operand *o, struct query_value *value,
                        struct query_span json, bool contains);
void query_operand_release(struct query_operand *o);
/* For qsort(): by type, then value. */
int query_operand_compare(const void *a, const void *b);

/* Does the term hold for the value at this place of a row? */
bool query_term_holds(const struct query_term_box *t, struct query_span v);

/* value against o of the same type (not array or object): <0, 0, >0. */
int query_compare(struct query_span value, const struct query_operand *o);

/* A number like those most rows have: up to 18 digits, no point, no exponent.
 */
bool query_small_number(const char *s, size_t len, int64_t *out);
