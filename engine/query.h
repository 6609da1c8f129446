/* A query: which rows, in which order, how many, and which of their fields.
 * Made from a JSON `where` or from path terms (docs/queries.md is the whole
 * language), held against the schema once, then asked of one row after the
 * other. Pure: no I/O, no thread, no table.
 *
 * A query is built by one thread with the query_add functions; from then on it
 * is never changed and may be used by any number of threads.
 *
 * Fields are dotted paths as value_at() reads them: at each level a member
 * that has the whole rest for its name wins, else the part before the first
 * dot is entered. A field that begins with a quote is spelled exactly instead:
 * JSON strings joined by dots, as in "a.b"."c" or "_sort". */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/json.h"
#include "engine/schema.h"

/* More is refused. */
#define QUERY_TERMS_MAX 64
#define QUERY_VALUES_MAX 1000 /* of one `in` */
#define QUERY_SORT_MAX 8
#define QUERY_FIELDS_MAX 64
#define QUERY_FIELD_LEN 512      /* bytes of a field's path */
#define QUERY_DEPTH_MAX 16       /* names in a field's path */
#define QUERY_TEXT_MAX (1 << 18) /* bytes of a where, a term, a list */

struct query;

enum query_op {
    QUERY_EQ,
    QUERY_NE,
    QUERY_GT,
    QUERY_GTE,
    QUERY_LT,
    QUERY_LTE,
    QUERY_CONTAINS,
    QUERY_IN,
    QUERY_EXISTS,
    QUERY_PREFIX,
};
#define QUERY_OPS (QUERY_PREFIX + 1)

/* "eq", "ne", … */
extern const char *const query_op_names[QUERY_OPS];

/* --- building ---------------------------------------------------------- */

/* Every row, in order of creation. schema (a reference is taken) says how
 * values are read and which fields there can be; NULL: nothing is known. */
struct query *query_new(struct schema *schema);
struct query *query_ref(struct query *q);
void query_unref(struct query *q); /* NULL is fine */
/* One reference; to add to what others use already. */
struct query *query_copy(const struct query *q);

/* All add to what is there; terms are joined by AND. On an error the query is
 * good for query_unref() alone.
 *
 * {"role":"student","age":{"$gte":18}}. NULL, empty and {}: no terms. All
 * errors are -EINVAL. */
int query_add_where(struct query *q, const char *json, size_t len,
                    struct err *err);

/* One path term or modifier, percent signs decoded: role=student,
 * age=gte.18, _sort=-age,id, _limit=10. -ENOENT where the name names nothing:
 * no '=' in it, a modifier there is not, a field that a closed schema does not
 * have. -EINVAL for everything else. */
int query_add_term(struct query *q, const char *term, size_t len,
                   struct err *err);

/* What a command's options hold: "-age,id", "id,email". Each once: -EINVAL. */
int query_add_sort(struct query *q, const char *list, size_t len,
                   struct err *err);
int query_add_fields(struct query *q, const char *list, size_t len,
                     struct err *err);
int query_add_limit(struct query *q, const char *number, size_t len,
                    struct err *err); /* from 1 */
int query_add_skip(struct query *q, const char *number, size_t len,
                   struct err *err);

/* --- looking at it ----------------------------------------------------- */

struct query_value {
    enum json_type type;
    const char *json; /* as JSON text, strings with quotes; for token_of() */
    size_t json_len;
    const char *canonical; /* value_canonical() of it */
    size_t canonical_len;
};

struct query_term {
    /* The field's path as an index has it: one of this name finds all rows
     * that an eq or in term matches. NULL: the field is spelled with quotes in
     * a way that no index's name says. */
    const char *field;
    size_t field_len;
    const char *spelled; /* as a query writes it; a C string */
    bool is_key;         /* the primary key's field */
    enum query_op op;
    /* One, or any number (none, too) for in. A value that a path leaves open
     * (an untyped key 42: a string or a number) may have made an eq an in, or
     * have given a ne two values, which means none of them. */
    const struct query_value *values;
    size_t n_values;
    bool exists; /* QUERY_EXISTS, which has no values */
};

size_t query_term_count(const struct query *q);
const struct query_term *query_term_at(const struct query *q, size_t i);

/* Terms that a key, an index or a search token can answer: eq and in. */
static inline bool query_is_equality(const struct query_term *t)
{
    return t->op == QUERY_EQ || t->op == QUERY_IN;
}

struct query_key {
    const char *key; /* may hold a NUL */
    size_t len;
};

/* The keys that rows must have to match, where a term says so (there may be
 * none). False: any key may match. */
bool query_keys(const struct query *q, const struct query_key **keys,
                size_t *n);

/* Does a look at the terms alone tell that no row can match? */
bool query_never(const struct query *q);

/* The fields that terms and sort look at (as query_term.spelled); i counts
 * from 0, NULL at the end. */
const char *query_field_at(const struct query *q, size_t i);

bool query_sorts(const struct query *q);    /* by more than creation */
bool query_projects(const struct query *q); /* not whole rows */
uint64_t query_skip(const struct query *q);
uint64_t query_limit(const struct query *q); /* UINT64_MAX: none given */

/* The query as one JSON object, for explain and logs:
 * {"where":{…},"sort":"-age,id","skip":20,"limit":10,"fields":"id,email"},
 * only what was asked for. Its parts can be given to the query_add functions
 * and make an equal query. */
void query_print(const struct query *q, struct buf *out);

/* --- asking it of rows --------------------------------------------------- */

/* text: a row's, checked when it was stored (white space at the end is fine).
 * One pass; asks for memory only where an array or object is compared with
 * one. */
bool query_matches(const struct query *q, const char *text, size_t len);

/* The row with the fields asked for, values byte for byte as they are in the
 * text, names in the order asked for; no newline at the end. Missing ones are
 * left out. Without query_projects(): the text as it is without its white
 * space at the end. */
void query_project(const struct query *q, const char *text, size_t len,
                   struct buf *out);

/* A run of bytes that has the place of this row in the query's order: what
 * memcmp() says of two (a shorter one first where one begins the other) is
 * their order, equal ones stay in order of creation. Appended. */
void query_sort_key(const struct query *q, const char *text, size_t len,
                    struct buf *out);

/* The rows that matched, put in order, with no more kept than skip and limit
 * let through. Items are the caller's (references to rows). */
struct query_top;
struct query_top *query_top_new(const struct query *q); /* borrows q */
void query_top_free(struct query_top *t); /* NULL is fine; not the items */
/* seq: order of creation. The item is kept, or one comes back that will not be
 * in the result: this one or one that was added before; NULL: none. */
void *query_top_add(struct query_top *t, const char *text, size_t len,
                    uint64_t seq, void *item);
/* In order; the first query_skip() of them (all, when fewer) are those skipped.
 * Nothing is added after this. The array lives as long as t. */
void **query_top_items(struct query_top *t, size_t *n);
