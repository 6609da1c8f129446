/* One change of one row, and its text in a message.
 *
 * Pure: bytes in, bytes out. docs/storage-format.md describes the forms for a
 * second implementation; this is their one place in the code.
 *
 * A message of dbcord is a sequence of records, each a small header line that
 * a person can read, with its row's text in a code block under it:
 *
 *     -# dbcord put "u_1" v2 base 1290..1 at 2026-11-22T23:51:34.123Z by
 * "root@host" len 31 sha 4f..
 *     ```json
 *     {"id":"u_1","email":"a@x.org"}
 *     ```
 *     -# dbcord was "u_1" v1 of 1290..1 base 0 at ... by "root@host" len 20
 * sha 77..
 *     ```json
 *     {"id":"u_1"}
 *     ```
 *     -# find qbcdfghjklmnb qvtrqpnmlkjhg
 *
 *   put     a version of the row; delete: it is gone (no text)
 *   was     a copy of a version that was committed by message `of`
 *   of ID   (put, delete) this message only shows what message ID committed
 *   base    the message that held the version replaced, 0 for a new key, or
 *           "self": an earlier record of this same message
 *   in "f"  the text is the attachment f of this message, not a block
 *   mtime   only where the writer asked for a time of its own
 *   sha     128 bits, hex, of SHA-256 over the header line from the verb to
 *           before " sha ", a newline, and the text
 *
 * or, where that does not fit, one line that names a file of records:
 *
 *     -# dbcord batch 64 in "batch.ndjson" len 20123 sha 9a..
 *
 * whose lines are {"op":"put","key":"u_1","v":2,"base":"1290..1","at":176..,
 * "by":"root@host","row":{...}}; row is the last member and its bytes are the
 * row's text; a text that holds a newline is "text":"...", escaped, instead.
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
    unsigned char sha[16]; /* parse: expected digest of a text in a file */
    bool copy;  /* `was`, or put/delete with `of`: tells what is so, but
                   decides nothing */
    bool alone; /* the only record of its message, in the message itself:
                   in a table channel that message is the row's home */
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

/* Does the text of an attachment have the digest its record tells? */
int record_check_file(const struct record *r, const char *data, size_t len,
                      struct err *err);

/* Builds messages. Records are added until they no longer fit in the content;
 * message_finish() then decides for content or batch file.
 * Texts and keys are borrowed until finish. */
struct message_builder {
    struct record *list;
    size_t n, cap;
    bool find_tokens; /* add a find line for puts that stand alone */
};
void message_builder_release(struct message_builder *b);
void message_add(struct message_builder *b, const struct record *r);

/* Fills the draft: inline where all fits REMOTE_CONTENT_MAX and every byte is
 * safe in transit; a single record whose text does not: its text as the file
 * "<key made safe>.json"; several: "batch.ndjson". storage owns the files'
 * bytes and must live as long as the draft. -EFBIG above max_file. */
int message_finish(struct message_builder *b, uint64_t max_file,
                   struct remote_draft *draft, struct buf *storage,
                   struct err *err);

/* Would Discord give these bytes back unchanged inside a message? Refuses
 * what it is known or suspected to strip (discord-api, "What surprises" 1). */
bool text_survives_transit(const char *text, size_t len);
