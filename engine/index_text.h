/* Entries of an index as the text of a message, and back. Pure: bytes in,
 * bytes out.
 *
 * The channel of an index is a log. Each message tells for some keys which
 * value their rows have now, and how far the log goes:
 *
 *     -# dbcord index "email" of 1441..10 entries 2 upto 1441..79 1441..99
 *     + "u_1" v2 of 1441..79 in 1441..30 "str:ada@x.org"
 *     - "u_3" v4 of 1441..99
 *     -# find qbcdfghjklmnb
 *
 *   "email" of ID  the index: its field, and the channel of its table
 *   upto C T       every record of the table with an id up to C in its channel
 *                  and up to T in its thread has its say in the log that ends
 *                  with this message; 0 0: nothing is said about that
 *   over ID        (behind upto) the messages of this channel up to ID are
 *                  superseded: what they tell does not count any more
 *   +              the row has this value, in its canonical form (value.h);
 *                  the version that gave it to the row, the message that
 *                  committed it, and the one where the row's text is to be
 *                  looked for: its own, or the batch it came in
 *   -              the row has no value any more, or there is no row
 *   find           a word for each value, as in the messages of rows
 *
 * or, where that does not fit, one line that names a file of entries,
 *
 *     -# dbcord index "email" of 1441..10 entries 5000 upto .. .. [over ..] \
 *         in "index.ndjson" len 401234 sha 9a..
 *
 * whose lines are {"key":"u_1","v":2,"of":"1441..79","in":"1441..30",
 * "value":"str:ada@x.org"}, members in this order; without in and value the
 * row has none. The sha is over "index <n> len <bytes>", a newline and the
 * file.
 *
 * Of all that a log tells of a key the highest version counts, of equal ones
 * that with the lowest `of`: index_log.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"

struct index_entry {
    const char *key; /* not terminated, borrowed; as value */
    size_t key_len;
    uint32_t version;
    uint64_t of;       /* the message that committed the version */
    uint64_t in;       /* where the row's text is to be looked for */
    const char *value; /* canonical; NULL: it has none any more */
    size_t value_len;
};

/* What a message tells, read or to be written. */
struct index_message {
    const char *field; /* not terminated, borrowed */
    size_t field_len;
    uint64_t table;           /* its channel */
    uint64_t upto[2];         /* in the channel, in the thread */
    uint64_t over;            /* 0: supersedes nothing */
    struct index_entry *list; /* parsed: owned; to be written: the caller's */
    size_t n;
    bool as_file; /* to be written: nothing in the content */

    /* parsed alone */
    uint64_t file; /* not 0: the entries are in this attachment; fetch it and
                      call index_parse_file() */
    size_t count;  /* of entries, here or in the file */
    uint64_t file_len;
    unsigned char file_sha[16];
    struct buf arena, file_arena; /* what was unescaped */
};
/* Of one that was parsed. */
void index_message_release(struct index_message *im);

/* 0; -ENOMSG: not a message of an index; -EBADMSG with what is wrong and the
 * message's id. Everything points into the message and the arena. */
int index_parse(const struct remote_message *m, struct index_message *out,
                struct err *err);

/* The entries of im's file, into im->list; data must live as long as they do.
 * All or nothing. */
int index_parse_file(struct index_message *im, uint64_t message,
                     const char *data, size_t len, struct err *err);

/* A message with as many of im's entries as have room, *taken: in the content
 * where all do, else as a file of at most max_file bytes. upto and over are
 * told where all were taken, that is by the last of several. storage owns the
 * file's bytes and must live as long as the draft. -EFBIG: not even one. */
int index_build(const struct index_message *im, uint64_t max_file,
                size_t *taken, struct remote_draft *draft, struct buf *storage,
                struct err *err);

/* The word to search for, of a value in its canonical form: for strings,
 * numbers, true, false and null that which the row's own message has. */
#define INDEX_TOKEN_LEN 13
void index_token(const char *field, size_t field_len, const char *value,
                 size_t value_len, char out[INDEX_TOKEN_LEN + 1]);
