/* One change of one row, and its text in a message.
 *
 * Pure: bytes in, bytes out. docs/storage-format.md describes the forms for a
 * second implementation; this is their one place in the code.
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
 * "mtime" behind "at" where they are there); row is the last member and its
 * bytes are the row's text; a text that holds a line break is "text":"...",
 * escaped, instead. A batch's sha is over "batch <n> len <bytes>", a newline
 * and the file.
 *
 * Lines "-# dbcord card|snapshot|index ..." belong to other modules and
 * are no records.
 *
 * The find line carries search tokens (token.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"

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
    unsigned char sha[16]; /* parse, not in batches: the version's digest, for a
                              text in a file still to be checked; encode:
                              asked for where text is NULL (record_digest()) */
    bool copy;      /* `was`, or put/delete with `of`: the same record as its
                       original, told again */
    bool kept_file; /* encode: the text is the attachment file_name that hangs
                       on this message already (keep it); needs sha */
    bool elsewhere; /* encode: where the text does not fit, leave it out, since
                       message `of` has it; parse: it was left out */
    bool alone;     /* the only put or delete of its message, in the message
                       itself: in a table channel that message is the row's home */
};

/* What message_parse() found. */
struct records {
    struct record *list; /* borrowed texts point into the message, the batch
                            file or arena */
    size_t n;
    uint64_t batch_file; /* not 0: the records are in this attachment; fetch it
                            and call batch_parse() */
    uint32_t batch_count;
    uint64_t batch_len;
    unsigned char batch_sha[16];
    struct buf arena; /* unescaped keys and texts */
};
void records_release(struct records *r);

/* Is it a message of ours at all (starts with "-# dbcord ")? */
bool message_is_ours(const struct remote_message *m);

/* 0; -ENOMSG: not a message of ours; -EBADMSG with what is wrong and the
 * message's id: damaged. A text in a file is not checked here:
 * record_check_file(). */
int message_parse(const struct remote_message *m, struct records *out,
                  struct err *err);

/* The file of a batch. The whole digest is checked first: all or nothing. */
int batch_parse(const struct records *head, uint64_t message, const char *data,
                size_t len, struct records *out, struct err *err);

/* The digest of a version: the first 16 bytes of SHA-256 over
 *
 *     put v2 base 1290 at 1763855494123 mtime 1763855494123 by 9 key 3 len
 * 31
 *
 * ("delete" for one, and 0 for its len; "base self" where base is id; times in
 * milliseconds; lengths in bytes), a newline, and the bytes of by, key and
 * text one after the other. */
void record_digest(const struct record *r, const char *text, size_t len,
                   unsigned char out[16]);

/* Does the text of an attachment have the digest its record tells? */
int record_check_file(const struct record *r, const char *data, size_t len,
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

/* Bytes this record would take in a batch file: who gathers commits stops
 * before their sum is above the upload limit. */
size_t record_batch_len(const struct record *r);

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

/* A header line longer than this goes into a batch file, so that a home can
 * always be edited to show two. */
#define RECORD_HEADER_MAX 800

/* What names who wrote is cut to. */
#define RECORD_BY_MAX 64
#define RECORD_KEY_MAX 1024

/* Would Discord give these bytes back unchanged inside a message? Refuses
 * what it is known or suspected to strip (discord-api, "What surprises" 1). */
bool text_survives_transit(const char *text, size_t len);
