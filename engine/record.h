/* One change of one row. Pure: bytes in, bytes out.
 *
 * Its text in a message, alone or among others, is message_text.h's; the file
 * of a batch is batch.h's. docs/storage-format.md describes the forms for a
 * second implementation. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

/* A header line longer than this goes into a batch file, so that a home can
 * always be edited to show two. */
#define RECORD_HEADER_MAX 800

/* What names who wrote is cut to. */
#define RECORD_BY_MAX 64
#define RECORD_KEY_MAX 1024 /* bytes */

enum record_verb { RECORD_PUT, RECORD_DELETE, RECORD_WAS };

/* base of a record that follows another of the same message */
#define RECORD_SELF UINT64_MAX

struct record {
    enum record_verb verb;
    uint32_t version;
    uint64_t id;     /* the message that committed it: the message it stands
                        in, or `of` */
    uint64_t holder; /* the message it stands in */
    uint64_t base;   /* RECORD_SELF is resolved by the parser to id */
    int64_t at_ms;
    int64_t mtime_ms; /* at_ms where none was given */
    const char *key;  /* not terminated; borrowed, as text and by */
    size_t key_len;
    const char *by;
    size_t by_len;
    const char
        *text; /* without the newline at its end; NULL: in a file, or none */
    size_t text_len; /* known even where text is NULL */
    uint64_t file; /* attachment id with the text, on message holder; 0: none */
    const char *
        file_name; /* encode: the name for it (NULL: inline); parse: as found */
    size_t file_name_len;
    const char *values; /* for the fold: what the indexed fields of a text in a
                           file have (value.h); NULL: not known */
    size_t values_len;
    uint64_t home;         /* for the fold: the row message it stands in */
    unsigned char sha[16]; /* parse, not in batches: the version's digest, for a
                              text in a file still to be checked; encode:
                              asked for where text is NULL (record_digest()) */
    bool copy;      /* `was`, or put/delete with `of`: the same record as its
                       original, told again */
    bool joined;    /* put, delete: it counts together with the put or delete
                    before    it in this message (not a copy), or not at all */
    bool kept_file; /* encode: the text is the attachment file_name that hangs
                       on this message already (keep it); needs sha */
    bool elsewhere; /* encode: where the text does not fit, leave it out, since
                       message `of` has it; parse: it was left out */
    bool alone;     /* the only put or delete of its message, in the message
                       itself: in a table channel that message is the row's home */
};

/* The digest of a version: the first 16 bytes of SHA-256 over
 *
 *     put v2 base 1290 at 1763855494123 mtime 1763855494123 by 9 key 3 len 31
 *
 * ("delete" for one, and 0 for its len; "base self" where base is id; times in
 * milliseconds; lengths in bytes), a newline, and the bytes of by, key and
 * text one after the other. */
void record_digest(const struct record *r, const char *text, size_t len,
                   unsigned char out[16]);

/* Does the text of an attachment have the digest its record tells? */
int record_check_file(const struct record *r, const char *data, size_t len,
                      struct err *err);
