/* What the forms of a record have in common, for the files that write and read
 * them: record.c (the header line), message_text.c (messages of them) and
 * batch.c (files of them). Nobody else includes this. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/message_text.h"
#include "engine/reader.h"
#include "engine/record.h"

#define LINE_START "-# dbcord "
#define BATCH_NAME "batch.ndjson"

/* --- record.c ------------------------------------------------------------- */

/* put, delete, was: the same words in headers and batches. */
extern const char *const record_verbs[3];

/* Who wrote, as it is stored: at most RECORD_BY_MAX bytes, all of them
 * harmless. The length. */
size_t record_clean_by(const struct record *r, char out[RECORD_BY_MAX]);

/* The time ls shows, as it is stored: clamped. */
int64_t record_mtime(const struct record *r);

/* The base's number or self, between two of quote. */
void record_add_base(struct buf *b, const struct record *r, const char *quote);

/* Each reads what its name says into rec. The base comes last: what it may be
 * depends on verb, version, id and copy. */
bool record_read_verb(struct reader *r, struct record *rec);
bool record_read_version(struct reader *r, struct record *rec);
bool record_read_of(struct reader *r, struct record *rec);
bool record_read_base(struct reader *r, struct record *rec);

/* The header line; file_name: where the text is, NULL for here or elsewhere.
 */
void record_add_header(struct buf *b, const struct record *r,
                       const char *file_name, bool elsewhere);

/* Behind LINE_START, to the end of the line. message: where it stands. */
bool record_read_header(struct reader *r, uint64_t message, struct record *rec);

/* --- message_text.c ------------------------------------------------------- */

/* One more record, all zero; valid until the next. */
struct record *records_add(struct records *rs);

/* Has the newest, if it is joined, a put or delete before it that is its
 * message's own? */
bool records_joint_holds(const struct records *rs);

/* -EBADMSG, "message <id> is damaged: …". */
int message_damaged(struct err *err, uint64_t message, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* -EFBIG: len bytes are above what one file may have. */
int message_too_big(struct err *err, size_t len, uint64_t max_file);

/* --- batch.c -------------------------------------------------------------- */

/* The records as the lines of a file, and the one line of content that names
 * it BATCH_NAME. -EFBIG above max_file, or where a record's text is not here;
 * line is written on success alone. */
int batch_encode(const struct record *list, size_t n, uint64_t max_file,
                 struct buf *line, struct buf *file, struct err *err);

/* Behind LINE_START "batch ", to the end of the line: the batch_ members of
 * out but batch_file, and the file's name. */
bool batch_read_head(struct reader *r, struct records *out, const char **name,
                     size_t *name_len);
