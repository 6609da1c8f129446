/* Values inside of rows, and the one form each of them has: what indexes,
 * unique fields and search compare. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/json.h"

/* A canonical form is never longer than VALUE_INLINE or this: "sha:" and 64
 * digits. */
#define VALUE_INLINE 256

/* The one value that is never held against another's. */
#define VALUE_NULL "raw:null"

/* The member at a dotted path of a row's text (or of any JSON object that
 * json_check() accepts): "a.b" is member "a.b", else member b of the object a.
 * Of several with one name the first. Arrays are not reached into. False:
 * there is none. */
bool value_at(const char *text, size_t len, const char *path,
              struct json_member *out);

/* The canonical form of a JSON value, appended. Two values are equal if and
 * only if their forms are:
 *
 *     str:<bytes>            a string, escapes resolved
 *     num:<canonical>        json_number_canonical()
 *     raw:true, raw:false, raw:null
 *     json:<text>            arrays and objects: no blanks, members by name in
 *                            byte order, numbers canonical, strings with the
 *                            escapes that must be
 *     sha:<64 hex digits>    SHA-256 of any of these that is longer than
 *                            VALUE_INLINE bytes, or is not UTF-8 */
void value_canonical(const char *value, size_t len, struct buf *out);

/* The two in one: false, and nothing appended, where there is no such member.
 */
bool value_find(const char *text, size_t len, const char *path,
                struct buf *out);

/* The values of a row whose text is not at hand: a JSON object, from field to
 * canonical form as a string, or to null where the text has no such member.
 * Begin with an empty buf; add for each field, and end. */
void values_add(struct buf *values, const char *text, size_t len,
                const char *field);
void values_end(struct buf *values);
/* A canonical form out of it, appended; false: it has none for this field. */
bool values_find(const char *values, size_t len, const char *field,
                 struct buf *out);
/* Was this field added? */
bool values_tell(const char *values, size_t len, const char *field);
