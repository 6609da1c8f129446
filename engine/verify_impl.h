/* The inside of verify and vacuum: what is in a table's channel and thread,
 * read message by message, and the rows that follow from it. For verify*.c,
 * repair.c and vacuum.c alone.
 *
 *     verify_scan.c  reads all messages and files   -> struct scan
 *     verify_play.c  which record counts, and why   -> state of each, heads
 *     verify_*.c     hold that against all else     -> items
 *     repair.c       heals items
 *
 * None of it uses the fold: it is a second, slower reading of the same rules,
 * and keeps no texts. A record takes about 100 bytes whatever its text has.
 * One thread at a time. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/map.h"
#include "engine/base/waiter.h"
#include "engine/engine_impl.h"
#include "engine/message_text.h"
#include "engine/verify.h"

/* --- kinds ---------------------------------------------------------------- */

/* kind, severity, what to do. docs/verify.md says more of each. */
#define VERIFY_KINDS(X)                                                        \
    /* channels and catalog */                                                 \
    X(missing_permission, ERROR,                                               \
      "Give the bot's role this permission, in the server or the channel.")    \
    X(missing_channel, ERROR,                                                  \
      "Its rows are gone with it. Verify with repair strikes the table out "   \
      "of the catalog; make it anew from an export.")                          \
    X(orphan_channel, WARNING,                                                 \
      "Look into it; delete the channel by hand if nothing in it is wanted.")  \
    X(bad_entry, ERROR,                                                        \
      "Set the table's schema again, or delete the message if the table is "   \
      "gone.")                                                                 \
    X(missing_card, NOTE, "Nothing: its thread is there without it.")          \
    X(missing_thread, ERROR,                                                   \
      "Run verify with repair in a process that still has the table open; "    \
      "what only the thread told is lost otherwise.")                          \
    X(archived_thread, NOTE, "Nothing: the next write opens it again.")        \
    X(locked_thread, WARNING,                                                  \
      "Unlock the thread, or give the bot Manage Threads.")                    \
    X(missing_index_channel, ERROR, "Run reindex for this field.")             \
    /* messages */                                                             \
    X(foreign_message, NOTE,                                                   \
      "Nothing: it is ignored. Write elsewhere, or take the right to write "   \
      "here from people.")                                                     \
    X(unknown_message, ERROR,                                                  \
      "Use a newer dbcord: this one does not know it.")                        \
    X(damaged_message, ERROR,                                                  \
      "Run verify with repair; if what it said is known nowhere else, it is "  \
      "lost.")                                                                 \
    X(missing_attachment, ERROR,                                               \
      "Run verify with repair; write the row again if its text is known "      \
      "nowhere else.")                                                         \
    X(damaged_attachment, ERROR,                                               \
      "Run verify with repair; write the row again if its text is known "      \
      "nowhere else.")                                                         \
    X(orphan_attachment, WARNING, "Run vacuum: it removes them.")              \
    /* records */                                                              \
    X(void_record, NOTE,                                                       \
      "Nothing: another program got there first, and its writer was told.")    \
    X(superseded_record, NOTE, "Nothing: the row has gone on without it.")     \
    X(waiting_record, ERROR,                                                   \
      "Run verify with repair: it makes what the record says the row again.")  \
    X(lost_record, ERROR,                                                      \
      "Run verify with repair in a process that still has it; restore a "      \
      "snapshot or an export otherwise.")                                      \
    /* rows */                                                                 \
    X(row_differs, ERROR,                                                      \
      "Run verify with repair on the mount, or mount again.")                  \
    X(missing_row_message, ERROR,                                              \
      "Run verify with repair: the row is posted again.")                      \
    X(stale_row_message, WARNING,                                              \
      "Run verify with repair, or wait: a mount brings it up to date.")        \
    X(duplicate_row_message, WARNING,                                          \
      "Run verify with repair: the older one is deleted.")                     \
    X(left_over_row_message, WARNING,                                          \
      "Run verify with repair: it is deleted.")                                \
    X(schema_violation, WARNING, "Change the row, or the schema.")             \
    X(unique_violation, ERROR, "Change one of the rows.")                      \
    /* indexes and snapshots */                                                \
    X(damaged_index_message, ERROR, "Run verify with repair, or reindex.")     \
    X(missing_index_entry, ERROR, "Run verify with repair, or reindex.")       \
    X(wrong_index_entry, ERROR, "Run verify with repair, or reindex.")         \
    X(stray_index_entry, WARNING, "Run verify with repair, or reindex.")       \
    X(index_behind, NOTE, "Nothing: they are about to be entered.")            \
    X(damaged_snapshot, WARNING,                                               \
      "Take a new snapshot; delete this one if it has no label.")              \
    X(snapshot_differs, ERROR,                                                 \
      "Run verify with repair: a new snapshot takes its place.")               \
    X(orphan_part, WARNING, "Run vacuum: it removes them.")

enum verify_kind {
#define X(name, severity, remedy) KIND_##name,
    VERIFY_KINDS(X)
#undef X
        KINDS
};

const char *verify_kind_name(enum verify_kind k);

/* --- what was read ---------------------------------------------------------
 */

#define NONE UINT32_MAX

enum scan_flags {
    SCAN_COPY = 1,    /* told again */
    SCAN_TEXT = 2,    /* with its text, here, in a file or a batch */
    SCAN_DELETE = 4,  /* a deletion; else a put */
    SCAN_ALONE = 8,   /* its message is, or was, a row's home */
    SCAN_AND = 16,    /* counts together with the one before it */
    SCAN_BAD = 32,    /* its file is missing or damaged */
    SCAN_UNFIT = 64,  /* the schema does not allow it */
    SCAN_FACT = 128,  /* out of the snapshot at which history begins */
    SCAN_LATE = 256,  /* came while the rest was read */
    SCAN_DUP = 512,   /* told elsewhere better: see there */
    SCAN_BATCH = 1024 /* stands in a batch */
};

enum scan_state {
    SCAN_SHOWN, /* without its text nowhere: it tells nothing */
    SCAN_COUNTS,
    SCAN_VOID,
    SCAN_WAITS,
    SCAN_SETTLED, /* before the beginning of what is known of its key */
};

struct scan_record {
    uint64_t id, base;
    uint64_t file;    /* attachment with the text; 0: none */
    uint32_t version; /* from 1 */
    uint32_t key;     /* in keys */
    uint32_t message; /* in messages; NONE: a fact */
    uint32_t older;   /* the key's records, newest read first */
    uint32_t order;   /* in its message */
    uint32_t len;     /* of the text */
    uint16_t flags;
    uint8_t state; /* enum scan_state, by scan_play() */
    unsigned char sha[16];
};

struct scan_key {
    uint32_t records; /* the last read */
    uint32_t head; /* by scan_play(): the record that is the newest version */
    uint32_t len;
    char text[];
};

enum scan_kind {
    MESSAGE_REMARK, /* the store's own */
    MESSAGE_FOREIGN,
    MESSAGE_CARD,
    MESSAGE_RECORDS,
    MESSAGE_BATCH,
    MESSAGE_SNAPSHOT, /* and its parts */
    MESSAGE_MARK,     /* of a vacuum */
    MESSAGE_OTHER,    /* damaged or unknown */
};

struct scan_message {
    uint64_t id;
    uint64_t bytes;    /* of its content and its files */
    uint32_t first, n; /* its records */
    uint8_t place, kind;
    bool late; /* came while the rest was read */
};

struct scan_file {
    uint64_t id, size;
    uint32_t message;
    bool used, bad;
};

/* Something wrong with a message that scan noticed. */
struct scan_problem {
    enum verify_kind kind;
    uint32_t message, record; /* NONE: none */
    uint32_t key; /* a damaged row message: whose it says it is; NONE */
    bool copy;    /* … and that it only shows what another committed */
    char *text;
};

/* A field that an index or uniqueness makes interesting. */
struct scan_field {
    char *name;
    bool unique; /* now */
    uint64_t channel;
    uint64_t *from_until; /* intervals in which it is unique; until 0: open */
    size_t n_from_until;
};

struct scan_load;

struct scan {
    /* set by the caller */
    struct core *core;
    uint64_t channel, thread;
    struct schema *schema; /* NULL: rows are not held against one */
    struct scan_field *fields;
    size_t n_fields;
    bool skip_files;
    void (*progress)(void *arg, const char *text); /* may be NULL */
    void *progress_arg;
    const char *label;

    /* what was read */
    struct scan_message *messages;
    size_t n_messages, cap_messages;
    size_t runs[4], n_runs; /* by id from each of these on */
    struct scan_record *records;
    size_t n_records, cap_records;
    uint64_t *values; /* n_fields a record: hash of the value, 0: none */
    struct map keys_by_text;
    struct scan_key **keys;
    size_t n_keys, cap_keys;
    struct scan_file *files;
    size_t n_files, cap_files;
    struct scan_problem *problems;
    size_t n_problems, cap_problems;
    uint64_t end[2]; /* how far channel and thread were read */
    bool missing[2]; /* there is no such channel, thread */
    uint64_t file_bytes;
    size_t files_read, foreign;

    /* by scan_play() */
    uint32_t *same;  /* records by key, version, id, the best first */
    uint32_t *order; /* those that are no duplicates, as they are played */
    size_t n_order;

    struct remote_message *kept; /* snapshots and marks of vacuums */
    size_t n_kept;

    struct scan_load *loads; /* files on their way */
    size_t n_loads;
};

/* The fields that a catalog entry speaks of, its id being id. */
void scan_set_fields(struct scan *s, const char *entry, size_t len,
                     uint64_t id);
void scan_release(struct scan *s);

/* Reads channel and thread. A channel or thread that is not there is empty,
 * with missing[] set. -EACCES where the bot may not read. */
int scan_run(struct scan *s, struct err *err);

/* Index of a message, NONE: it is not there. */
uint32_t scan_find_message(const struct scan *s, uint64_t id);
struct scan_key *scan_find_key(const struct scan *s, const char *key,
                               size_t len);
/* The record of this version of a key that is no duplicate, NONE. After
 * play(). */
uint32_t scan_find_record(const struct scan *s, uint32_t key, uint32_t version,
                          uint64_t id);
/* A record out of a snapshot that is the beginning. Before play(). */
void scan_add_fact(struct scan *s, const struct record *r,
                   const uint64_t *values);
void scan_problem(struct scan *s, enum verify_kind kind, uint32_t message,
                  uint32_t record, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* 0: the field has no value; the same for equal values in this process. */
uint64_t scan_value_hash(const char *canonical, size_t len);

/* --- verify_play.c
 * ---------------------------------------------------------------- */

/* Decides the state of every record and the head of every key. */
void scan_play(struct scan *s);
/* Its row, where it is there; else NULL. */
const struct scan_record *scan_live(const struct scan *s,
                                    const struct scan_key *k);
/* Is the field unique for a record of this id? */
bool scan_is_unique(const struct scan_field *f, uint64_t id);

/* --- findings --------------------------------------------------------------
 */

enum repair_how {
    REPAIR_NOT,
    REPAIR_HOME,    /* the row message of key: the background writer's work */
    REPAIR_DELETE,  /* the message goes: all of it is told elsewhere */
    REPAIR_FILE,    /* the attachment is uploaded again */
    REPAIR_TOLD,    /* what the message said is told again by others' repair */
    REPAIR_TELL,    /* a record that is known is told again in the thread */
    REPAIR_REWRITE, /* the row is written again, from the record; or, where
                       the open table has it, history begins anew */
    REPAIR_BEGIN,   /* history begins with a new snapshot */
    REPAIR_ROW,     /* the open table is told of the message */
    REPAIR_THREAD,
    REPAIR_ENTRY, /* the catalog's entry is struck out */
    REPAIR_INDEX, /* the field's index is written anew */
    REPAIR_CHECKPOINT,
};

struct item {
    struct item *next;
    struct finding f; /* its strings are these: */
    char *table, *key, *text;
    enum repair_how how;
    uint32_t record;   /* NONE */
    const char *field; /* borrowed */
};

/* A version that a snapshot has and no message tells. */
struct known {
    struct known *next;
    struct record record; /* strings in data; text NULL: in a file */
    uint64_t from;        /* the snapshot */
    char data[];
};

/* Where a row is that the snapshot tells with which history begins. */
struct fact_place {
    uint32_t key;    /* in scan.keys */
    uint64_t id;     /* the version's message */
    uint64_t home;   /* its row message; 0: none */
    uint64_t holder; /* whose attachment is its text; 0: the snapshot has it */
};

/* One run of verify. */
struct verify {
    struct engine *engine;
    struct database *db;
    struct namespace *ns;
    const struct verify_options *o;
    verify_found *found;
    void *arg;
    struct verify_summary *sum;

    struct remote_channel *channels; /* of the guild */
    size_t n_channels;
    bool whole; /* the namespace, not one table */

    /* of the table being looked at */
    struct table *table; /* NULL: the catalog */
    char *name;
    struct scan *scan;
    struct known *known;
    size_t n_known;
    struct fact_place *places; /* by key, of each the last that was read */
    size_t n_places, cap_places;
    uint64_t known_upto[2]; /* what memory had when the reading began, of the
                               channel and of the thread */
    uint64_t vacuumed; /* what stands before this message may be gone, and the
                          rows of that time are in a snapshot: */
    uint64_t vacuum_from;
    uint64_t *refs; /* messages that snapshots are made of and refer to, those
                       of the newest two and of those with a label; rising */
    size_t n_refs, cap_refs;
    uint64_t newest_snapshot; /* 0: there is none */
    struct item *items, **last;
    size_t named[KINDS], unnamed[KINDS];
};

/* Lists the server's channels. o, found, arg, sum and whole are set. */
int verify_init(struct verify *v, struct namespace *ns, struct err *err);
void verify_release(struct verify *v);
/* Reads a table into *s and gathers what is wrong with it in v->items; in any
 * case verify_leave() follows. */
int verify_examine(struct verify *v, struct table *t, struct scan *s,
                   struct err *err);
void verify_leave(struct verify *v);

/* One more finding; of each kind only the first thousand are named (NULL is
 * returned then), the rest is counted. */
struct item *verify_add(struct verify *v, enum verify_kind kind,
                        uint64_t channel, uint64_t message,
                        const struct scan_key *key, const char *fmt, ...)
    __attribute__((format(printf, 6, 7)));
const struct remote_channel *verify_channel(const struct verify *v,
                                            uint64_t id);
void verify_note(const struct verify *v, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* Every message of a channel, from the first on. -ENOENT, -EACCES. */
typedef int verify_message(void *arg, const struct remote_message *m,
                           struct err *err);
int verify_list(const struct verify *v, uint64_t channel, verify_message *fn,
                void *arg, struct err *err);
int verify_download(const struct verify *v, const struct remote_message *m,
                    uint64_t file, struct buf *out, struct err *err);
/* Is it the message's file that is at fault, and not the way to it? */
bool verify_is_files_fault(int r);

/* Copies what a snapshot tells of a version that is told nowhere else. */
void verify_know(struct verify *v, const struct record *r, uint64_t from);

/* The text of a record that was read: its message, and file, are read again.
 * Appended to *text, without a newline; *who takes the bytes of *r's strings.
 * r may be NULL. */
int scan_fetch(const struct scan *s, uint32_t record, struct record *r,
               struct buf *who, struct buf *text, struct err *err);

/* verify_rows.c: records, row messages, files, the open table */
void verify_rows(struct verify *v);
/* verify_index.c */
int verify_indexes(struct verify *v, struct err *err);
/* verify_snapshots.c: with the first thing, scan_play() */
int verify_snapshots(struct verify *v, struct err *err);
/* vacuum.c: takes so many snapshots of the open table, and says with a mark
 * that history begins with the last of them. by NULL: the engine's own name. */
int vacuum_begin(struct verify *v, const char *by, size_t snapshots,
                 uint64_t *snapshot, uint64_t *upto, struct err *err);
/* repair.c: what can be healed of v->items is */
int verify_repair(struct verify *v, struct err *err);
