/* Records as the text of a message, and back. Pure: bytes in, bytes out.
 *
 * A message of dbcord is a sequence of records, each a small header line that
 * a person can read, with its row's text in a code block under it:
 *
 *     -# dbcord put "u_1" v2 base 1290 at 2026-11-22T23:51:34.123Z \
 *         by "root@host" len 31 sha 4f.. (all one line)
 *     ```json
 *     {"id":"u_1","email":"a@x.org"}
 *     ```
 *     -# dbcord was "u_1" v1 of 1290 base 0 at .. by .. len 12 sha 77..
 *     ```json
 *     {"id":"u_1"}
 *     ```
 *     -# find qbcdfghjklmnb qvtrqpnmlkjhg
 *
 *   put     a version of the row; delete: it is gone (no text)
 *   was     a copy of a version that was committed by message `of`
 *   of ID   (put, delete) this message only shows what message ID committed
 *   base    the message that held the version replaced, 0 for a new key, or
 *           "self": an earlier record of this same message. The version
 *           replaced is always the number before this one's: v1 has base 0
 *   and     (before sha; put and delete that are no copies) this record and the
 *           one before it count together or not at all: a rename
 *   mtime   only where the writer asked for a time of its own
 *   in "f"  (before len) the text is the attachment f of this message
 *   elsewhere (behind len, with `of` alone) the text is in message ID, not here
 *   sha     128 bits, hex, of SHA-256 over what the version is (record_digest),
 *           not over where it stands: a copy has the digest of its original
 *
 * or, where that does not fit, one line that names a file of records:
 *
 *     -# dbcord batch 64 in "batch.ndjson" len 20123 sha 9a..
 *
 * whose lines are {"op":"put","key":"u_1","v":2,"base":"1290","at":176..,
 * "by":"root@host","row":{...}}, members in this order ("of" before "base",
 * "mtime" behind "at", "and":true behind "by" where they are there); row is the
 * last member and its bytes are the row's text; a text that holds a line break
 * is "text":"...", escaped, instead. A batch's sha is over "batch <n> len
 * <bytes>", a newline and the file.
 *
 * Lines "-# dbcord card|snapshot|index ..." belong to other modules and
 * are no records.
 *
 * The find line carries search tokens (token.h). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/record.h"
#include "engine/remote.h"

/* What message_parse() found. */
struct records {
    struct record *list; /* borrowed texts point into the message, the batch
                            file or arena */
    size_t n;
    uint64_t batch_file; /* not 0: the records are in this attachment; fetch it
                            and call batch_parse() (batch.h) */
    uint32_t batch_count;
    uint64_t batch_len;
    unsigned char batch_sha[16];
    struct buf arena; /* unescaped keys and texts */
    char **kept;      /* records_keep() */
    size_t n_kept;
};
void records_release(struct records *r);
/* s, of the heap, is released with them. */
const char *records_keep(struct records *r, char *s);

/* Is it a message of ours at all (starts with "-# dbcord ")? */
bool message_is_ours(const struct remote_message *m);

/* Ours, and of a form that holds records. */
bool message_has_records(const struct remote_message *m);

/* 0; -ENOMSG: not a message of ours; -EBADMSG with what is wrong and the
 * message's id: damaged. A text in a file is not checked here:
 * record_check_file(). */
int message_parse(const struct remote_message *m, struct records *out,
                  struct err *err);

/* Builds messages. Add all records of one commit, or what a home message
 * shows; message_finish() then decides for content or file. Texts and keys are
 * borrowed until finish. `by` is cut to 64 bytes, times to years 1 to 9999. */
struct message_builder {
    struct record *list;
    size_t n, cap;
    bool find_tokens; /* add a find line for puts that stand alone */
    bool as_file;     /* nothing in the content: the store has changed it */
};
void message_builder_release(struct message_builder *b);
void message_add(struct message_builder *b, const struct record *r);

/* Fills the draft: inline where all fits REMOTE_CONTENT_MAX and every byte is
 * safe in transit; else texts that may be `elsewhere` are left out; else the
 * longest text as the file "<key made safe>.json" and the others inline; else
 * all as "batch.ndjson".
 * storage owns the files' bytes and must live as long as the draft. -EFBIG
 * above max_file, or where a kept_file's message has no room for its lines
 * (keys of several hundred characters: such a row has no home, see
 * RECORD_HEADER_MAX). */
int message_finish(struct message_builder *b, uint64_t max_file,
                   struct remote_draft *draft, struct buf *storage,
                   struct err *err);
