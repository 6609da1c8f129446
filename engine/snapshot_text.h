/* Snapshots as bytes: the line of their message, and the lines of their file.
 * Pure: no I/O, no clock. What they mean, and why a reader may believe them,
 * is told in checkpoint.h.
 *
 *     -# dbcord snapshot "before-import" rows 3 bytes 96 cut 1441..79 \
 *         upto 1441..30 1441..41 settled 1441..79 at 2026-11-22T23:51:34.123Z \
 *         by "ada@host" in "users.ndjson.gz" len 402 sha 9a..
 *
 *   "label"   where it has one
 *   rows      that the table has, and the bytes of their texts
 *   cut       it holds the rows as the records up to this id make them
 *   upto C T  messages up to these, in the channel and in the thread, need not
 *             be listed any more; those between them and the cut that were seen
 *             are named in the file
 *   settled   (where known) each row whose version is from a message up to
 *             this has a row message that shows it, or none
 *   over ID   (behind settled) what changed since the snapshot ID alone
 *   parts     (behind that) ids: the file begins with those of these messages,
 *             in this order, and ends with its own
 *   sha       128 bits, hex, of SHA-256 over the line up to the blank before
 *             "sha", a newline, and the bytes of its own file
 *
 * A part, posted before:
 *
 *     -# dbcord snapshot part 1 in "users.ndjson.gz" len 10480000 sha 02..
 *
 * The files together are one gzip file, a line for each row, like those of a
 * batch:
 *
 *     {"op":"snapshot","format":1,...}             first: struct snapshot_meta
 *     {"op":"put","key":"u_1","v":2,"id":"1441..79","base":"1441..30",
 *      "home":"1441..30","at":1795391494123,"by":"ada@host","row":{...}}
 *     {"op":"delete","key":"u_2","v":4,"id":..,"base":..,"at":..,"by":..}
 *     {"op":"was",...}                             a kept file, see below
 *
 * members in this order, none but those that say something:
 *
 *   id      the message that committed the version; base: the version before's
 *   home    the row message; shows: the version (by its id) that it shows,
 *           where that is not this one
 *   holder  the message the text stands in or hangs on, where that is not id
 *   again   (true) the row was deleted and created again since `over`
 *   mtime   where it is not at
 *   row     the text, last; text: the same as a string, where it has a line
 *           break; or, where the text is an attachment, instead:
 *   place   "channel" or "thread": where holder is; file: the attachment's id,
 *           in: its name, len and sha as in a header line; values: the
 *           canonical values of indexed fields (value.h), field to string
 *
 * "was" tells of a row message (holder) that must keep the attachment of an
 * older version: the version as it was, and what the message shows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/record.h"
#include "engine/remote.h"

/* More the line of a message cannot name. */
#define SNAPSHOT_PARTS_MAX 60
#define SNAPSHOT_LABEL_MAX 100

/* --- the message -----------------------------------------------------------
 */

struct snapshot_head {
    const char *label; /* not terminated; NULL: none */
    size_t label_len;
    uint64_t rows, bytes, cut, upto[2], settled, over;
    int64_t at_ms;
    const char *by;
    size_t by_len;
    uint64_t parts[SNAPSHOT_PARTS_MAX];
    size_t n_parts;

    /* of its own file */
    const char *file_name;
    size_t file_name_len;
    uint64_t file; /* parsed alone: the attachment's id */
    uint64_t len;
    unsigned char sha[16];

    unsigned part; /* not 0: it is that part of one, and of the above there is
                      what is its own file's */
    struct buf arena;   /* parsed alone */
    const char *hashed; /* parsed alone: what the sha is over, in the */
    size_t hashed_len;  /* message's content */
};
void snapshot_head_release(struct snapshot_head *h);

/* Is it a message of a snapshot, as far as its first words go? */
bool snapshot_is(const struct remote_message *m);

/* 0; -ENOMSG: none; -EBADMSG with what is wrong and the message's id.
 * Everything points into the message and the arena. */
int snapshot_parse(const struct remote_message *m, struct snapshot_head *out,
                   struct err *err);

/* Has the file the digest that its message tells? -EBADMSG. */
int snapshot_check_file(const struct snapshot_head *h, uint64_t message,
                        const char *data, size_t len, struct err *err);

/* The message for this file; len and sha are filled in. data is borrowed by
 * the draft. False: it has no room (too many parts, a label that is too
 * long). */
bool snapshot_build(struct snapshot_head *h, const char *data, size_t len,
                    struct remote_draft *draft);

/* "users.ndjson.gz": a table's name as a file's. Appended. */
void snapshot_file_name(const char *table, struct buf *out);

/* --- lines -----------------------------------------------------------------
 */

enum { SNAPSHOT_IN_CHANNEL, SNAPSHOT_IN_THREAD };

struct snapshot_line {
    struct record rec; /* put, delete or was; without sha where text is here */
    uint64_t home, shows; /* 0: none; shows is rec.id where home has it all */
    bool again;
    int place; /* of rec.holder, where the text is an attachment */
    const char *values;
    size_t values_len; /* 0: none */
};

void snapshot_add_line(struct buf *b, const struct snapshot_line *l);

/* One line, without its newline, that is not the first. arena takes what had
 * to be unescaped and is reset before. False: *why says what was expected, at
 * byte *at. */
bool snapshot_read_line(const char *line, size_t len, struct buf *arena,
                        struct snapshot_line *out, const char **why,
                        size_t *at);

struct snapshot_ids {
    uint64_t *list;
    size_t n;
};

/* Another snapshot, as the meta line tells of it. */
struct snapshot_known {
    uint64_t id, over, cut;
    uint64_t rows, bytes, size;
    int64_t at_ms;
    char *label; /* NULL: none */
    char *by;
    struct snapshot_ids parts;
};

struct snapshot_damage {
    uint64_t message;
    char *text;
};

/* A row message that is left over from before its key was deleted and created
 * again. */
struct snapshot_left {
    char *key;
    uint64_t home;
};

/* Everything in it is owned. */
struct snapshot_meta {
    uint64_t cut, upto[2], over;
    uint64_t vacuumed; /* vacuum_mark.h: messages up to this may be gone */
    int64_t mtime_ms;  /* of the set of rows */
    char *unique;      /* the rules under which the rows came about, as
                          fold_unique_text() has them; never NULL */
    struct snapshot_ids seen;    /* messages behind upto that have their say in
                                    it, rising */
    struct snapshot_ids others;  /* batches in the channel */
    struct snapshot_ids foreign; /* messages by others */
    struct snapshot_damage *damage;
    size_t n_damage;
    struct snapshot_left *left;
    size_t n_left;
    struct snapshot_known *known;
    size_t n_known;
};
void snapshot_known_release(struct snapshot_known *k);
void snapshot_meta_release(struct snapshot_meta *m);
void snapshot_add_meta(struct buf *b, const struct snapshot_meta *m);
/* The first line, without its newline. -EBADMSG. */
int snapshot_read_meta(const char *line, size_t len, struct snapshot_meta *out,
                       struct err *err);

/* --- the file --------------------------------------------------------------
 */

/* Packs lines into files of at most max bytes each. */
struct snapshot_packer;
/* A file is complete; last: it is the last one. May wait. */
typedef int snapshot_packed(void *arg, struct buf *file, bool last,
                            struct err *err);
struct snapshot_packer *snapshot_packer_new(uint64_t max, snapshot_packed *done,
                                            void *arg);
void snapshot_packer_free(struct snapshot_packer *p);
int snapshot_pack(struct snapshot_packer *p, const char *data, size_t len,
                  struct err *err);
int snapshot_pack_end(struct snapshot_packer *p, struct err *err);

/* Unpacks files that are fed one after the other, and tells each line, without
 * its newline; borrowed. */
struct snapshot_unpacker;
typedef int snapshot_unpacked(void *arg, const char *line, size_t len,
                              struct err *err);
struct snapshot_unpacker *snapshot_unpacker_new(snapshot_unpacked *line,
                                                void *arg);
void snapshot_unpacker_free(struct snapshot_unpacker *u);
/* -EBADMSG: it is not what a packer made; else what the callback returned. */
int snapshot_unpack(struct snapshot_unpacker *u, const char *data, size_t len,
                    struct err *err);
int snapshot_unpack_end(struct snapshot_unpacker *u, struct err *err);
