/* JSON as text. Rows are kept byte for byte as they were written, so what is
 * needed of a row is whether it is complete and correct (while it is still
 * arriving), where its top-level members stand, and how to put one in or
 * change one without touching another byte. json-c builds trees of copies and
 * tells no spans; it is used where values are wanted (schemas, patches). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Deeper nesting is refused, as an error with a position. */
#define JSON_DEPTH_MAX 256

enum json_state {
    JSON_MORE, /* a correct beginning; more must come */
    JSON_DONE, /* one complete object, and nothing but white space behind it */
    JSON_BAD,  /* no bytes to come can mend it */
};

/* A validator of one JSON *object* (RFC 8259, UTF-8 checked, no control
 * characters in strings, nothing but white space around it) fed in pieces. */
struct json_scan {
    enum json_state state;
    size_t offset;       /* bytes taken */
    size_t line, column; /* of the next byte, from 1; column in characters */
    const char *why;     /* when BAD: what was wrong at line, column */
    /* private: where in the grammar */
    unsigned char lex, sub, want;
    uint16_t depth;
    uint32_t utf8;
    unsigned char nest[JSON_DEPTH_MAX / 8];
};

void json_scan_init(struct json_scan *s);
enum json_state json_scan_feed(struct json_scan *s, const char *data,
                               size_t len);

/* what `why` points to (the same pointer) where a byte was not UTF-8 */
extern const char json_why_utf8[];

/* "line 3, column 7: expected ':' after a name", or for JSON_MORE where the
 * text ends and what is open. */
int json_scan_error(const struct json_scan *s, struct err *err); /* -EINVAL */

/* The text so far ends behind a whole value, and nothing is missing but what
 * closes (or goes on behind a comma). */
bool json_scan_lacks_end(const struct json_scan *s);

/* The whole at once: 0, or -EINVAL with line and column. */
int json_check(const char *text, size_t len, struct err *err);

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT,
};

/* A member of an object; spans point into the text. */
struct json_member {
    const char *name; /* between the quotes, escapes as written */
    size_t name_len;
    const char *value; /* strings: with their quotes */
    size_t value_len;
    enum json_type type;
};

/* Walks the top-level members of a text that json_check() accepted. *at is 0
 * at first; false at the end. */
bool json_next(const char *text, size_t len, size_t *at,
               struct json_member *out);

/* The same for a value that is an array: its elements, without names. Both
 * also walk values inside of such a text. */
bool json_element(const char *text, size_t len, size_t *at,
                  struct json_member *out);

enum json_type json_type_of(const char *value, size_t len);

/* Has the member this name (escapes resolved)? */
bool json_name_is(const struct json_member *m, const char *name,
                  size_t name_len);

/* Finds the member with this name (unescaped, bytes compared). */
bool json_find(const char *text, size_t len, const char *name,
               struct json_member *out);

/* A string's (with quotes) or a name's bytes with escapes resolved, appended.
 * A lone surrogate comes out as its three bytes, which are not UTF-8. */
void json_unescape(const char *s, size_t len, struct buf *out);

/* The same without memory: a string's or name's bytes run by run. */
struct json_chars {
    const char *at, *end; /* what is still to come, escapes as written */
    char few[4];          /* what an escape stands for */
};

void json_chars_init(struct json_chars *c, const char *s, size_t len);
/* The next run of bytes, which are good until the next call; false: at the
 * end. */
bool json_chars_next(struct json_chars *c, const char **run, size_t *len);

/* A number, true, false or null, and nothing around it. Any bytes. */
bool json_is_plain(const char *s, size_t len);

/* Numbers as JSON text, by their exact decimal value: 1, 1.0 and 10e-1 are
 * equal and have one canonical form. compare: <0, 0, >0. */
int json_number_compare(const char *a, size_t a_len, const char *b,
                        size_t b_len);
void json_number_canonical(const char *s, size_t len, struct buf *out);

/* text with member `name` set to the JSON value, all else untouched: replaced
 * where it stands, or put in as the first member in the text's own style. */
void json_with_member(const char *text, size_t len, const char *name,
                      const char *value, size_t value_len, struct buf *out);
