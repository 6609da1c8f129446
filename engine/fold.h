/* Messages in, state out: what a table contains as a pure function of its
 * records. No I/O, no lock: the table's lock guards it.
 *
 * Definition. Take every record once (it is known by id, key and version),
 * order them by id, those of one message as they stand in it, and play them. A
 * record counts if at that moment its base is its key's newest version (a new
 * key: there was none) and no other row has the same value in a field that is
 * unique then. Records joined by `and` count together or not at all. What does
 * not count is void; a record whose base is not known waits, and decides
 * nothing. Whoever has seen the same records has the same rows, in whatever
 * order and however often they came.
 *
 * A copy (`was`, `of`) that has its text is as good as its original: once a
 * row's own message shows a later version, the copy in the thread is the only
 * place that still tells of the first. Where both are seen the original's place
 * and joints count; of copies alone the place is before all other records of
 * that id. A copy without its text tells nothing but where a home is.
 *
 *     loading   fold_load_begin(), then anything in any order, fold_load_end():
 *               what was gathered is sorted and played once
 *     open      fold_apply(), a message at a time. The last records stand in a
 *               journal: a late one is put in its place, and what came after it
 *               is undone and played again. One that is older than the journal
 *               and could matter is FOLD_LATE: only a new loading can tell
 *     snapshot  fold_past() tells the rows as they were at a mark; a loading
 *               that begins with them (fold_checkpoint()) and goes on with the
 *               records behind the mark comes to the same state
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/index.h"
#include "engine/record.h"
#include "engine/row.h"

struct fold;

struct fold *fold_new(void);
void fold_free(struct fold *f);

/* How far back late records can be put in their place: so many records at
 * most, and so many bytes of rows that nothing else holds. A loading gathers
 * no more than four times as many of superseded versions, but for those with
 * ids that are no more than age below the newest. */
#define FOLD_KEEP 65536
#define FOLD_KEEP_BYTES ((uint64_t)16 << 20)
#define FOLD_KEEP_AGE ((uint64_t)600000 << 22) /* ten minutes */
void fold_keep(struct fold *f, size_t records, uint64_t bytes, uint64_t age);

enum fold_result {
    FOLD_KNOWN,   /* seen before, or older than a snapshot, or no text */
    FOLD_APPLIED, /* it counts */
    FOLD_VOID,    /* it does not: its base is not the newest version */
    FOLD_TAKEN,   /* it does not: another row has a unique value of its, or of
                     one that it is joined with */
    FOLD_PENDING, /* its base has not come yet */
    FOLD_LATE,    /* not applied: too old for the journal, and could matter */
};

/* What became of one key. References to the caller. */
struct fold_change {
    struct row *old; /* NULL: the key was new; may be a tombstone */
    struct row *now; /* may be a tombstone; with version 0 where no version of
                        the key counts any more */
    /* The newest version that counted until now and no longer does: another
     * process got there first. NULL: none. */
    struct row *voided;
};

/* Each key once, in the order in which they were touched first. */
struct fold_changes {
    struct fold_change *list;
    size_t n, cap;
};
void fold_changes_release(struct fold_changes *c);

/* --- rules ---------------------------------------------------------------- */

/* A field with an index, and when it was unique: from which id on (exclusive)
 * until which (exclusive), and again; with an odd number of them it still is.
 * Rising. A record with an id inside is held against the rows of its moment;
 * one that lacks the field or has null there conflicts with nothing. */
struct fold_rule {
    const char *field;
    const uint64_t *unique;
    size_t n_unique;
};

/* The rules from now on, copied. Indexes are built from the rows that are
 * there, and what the journal holds is judged again: the changes are appended
 * to out (may be NULL during a loading). FOLD_LATE: the rules are set, but an
 * interval that is new, or is other than it was, begins or ends before the
 * journal does; only a loading can judge. Else FOLD_APPLIED. */
enum fold_result fold_set_rules(struct fold *f, const struct fold_rule *rules,
                                size_t n, struct fold_changes *out);

/* Is any field indexed, so that texts of attachments must be at hand? */
bool fold_needs_values(const struct fold *f);
/* Those of a text, as struct record's values wants them: appended. */
void fold_values(const struct fold *f, const char *text, size_t len,
                 struct buf *out);
/* Rows without text or values for all rules, since a rule came after them:
 * references, those with seq > after, at most n. fold_give_values() when their
 * texts are here; a row that has changed meanwhile is left alone. Until then
 * the indexes lack them. */
size_t fold_lacking(struct fold *f, uint64_t after, struct row **out, size_t n);
size_t fold_lacking_count(const struct fold *f);
void fold_give_values(struct fold *f, const struct row *r, const char *text,
                      size_t len);

/* NULL: this field is not indexed. Complete unless fold_lacking() has rows. */
const struct index *fold_index(const struct fold *f, const char *field);

/* The row that has a value of this text in a field that is unique now, not
 * counting that of key: borrowed, NULL if there is none. *field (may be NULL)
 * tells which. text NULL: by values. */
struct row *fold_taken(const struct fold *f, const char *key, size_t key_len,
                       const char *text, size_t len, const char *values,
                       const char **field);
/* Is the field unique now? */
bool fold_is_unique(const struct fold *f, const char *field);
/* What the rules say of records up to this id, as a text that is equal for
 * equal rules: for who keeps rows that were judged by them. Appended. */
void fold_unique_text(const struct fold *f, uint64_t upto, struct buf *out);
/* The i-th rule's field and whether it is unique now; NULL behind the last. */
const char *fold_rule_at(const struct fold *f, size_t i, bool *unique);

/* --- loading -------------------------------------------------------------- */

/* A new fold loads from fold_load_begin() to fold_load_end(); till then it has
 * no rows to ask for. mark: all records up to this id are in the rows that
 * fold_checkpoint() tells, and what is told of them again is known; 0 where
 * there is no snapshot. old (may be NULL):
 * the fold whose place this one is to take; rows that are in both keep their
 * place in the listing. It must live until the loading ends. */
void fold_load_begin(struct fold *f, uint64_t mark, const struct fold *old);
/* The records of one message: as fold_apply(), with nothing known yet. */
void fold_load_add(struct fold *f, const struct record *list, size_t n);
/* The state at the mark of one key, tombstones too: taken as it is. base may
 * be 0 where it is not known; home (0: none) and which version it shows. */
void fold_checkpoint(struct fold *f, const struct record *r, uint64_t home,
                     uint64_t shows);
void fold_load_end(struct fold *f);
bool fold_is_loading(const struct fold *f);
/* What a loading has brought that was to take the place of old: appended. */
void fold_difference(struct fold *f, struct fold *old,
                     struct fold_changes *out);

/* The mark up to which the state can be told that is not above wish, or else
 * the lowest there is: of the journal's beginning. */
uint64_t fold_mark(const struct fold *f, uint64_t wish);
/* The rows and tombstones as they were at a mark that fold_mark() gave, their
 * homes as they are now and which version those show (0, 0: none). fn must not
 * change the fold. */
void fold_past(struct fold *f, uint64_t mark,
               void (*fn)(void *arg, struct row *r, uint64_t home,
                          uint64_t shows),
               void *arg);

/* --- applying ------------------------------------------------------------- */

/* Applies the records of one message, in its order. A record whose home is set
 * stands alone in a row message of the table channel, which is its key's home
 * if what it shows counts; of several the newest is. results and rows
 * (may be NULL) have room for n; rows: references, to the version of each
 * record that counts, else to its key's head, or NULL. Changes are appended to
 * *out. */
void fold_apply(struct fold *f, const struct record *list, size_t n,
                enum fold_result *results, struct row **rows,
                struct fold_changes *out);

/* Is it known to fold_apply() already? */
bool fold_knows(const struct fold *f, const struct record *r);

/* A row message is gone from the channel. */
void fold_home_gone(struct fold *f, const char *key, size_t key_len,
                    uint64_t home);
/* Calls fn for each home that does not show what it should: its key's newest
 * version (a deleted row's home, the deletion: it is removed, or shows it
 * where it holds the file of a version). home is not now->home where the key
 * has a newer one: then it is left over from before a deletion. fn must not
 * change the fold. */
void fold_stale_homes(struct fold *f,
                      void (*fn)(void *arg, struct row *now, uint64_t home),
                      void *arg);
/* The key that lives in this row message, NULL if none. Borrowed. */
struct row *fold_at_home(struct fold *f, uint64_t home);

/* --- asking --------------------------------------------------------------- */

/* Borrowed; NULL: no such key. fold_head() gives tombstones too. */
struct row *fold_find(struct fold *f, const char *key, size_t key_len);
struct row *fold_head(struct fold *f, const char *key, size_t key_len);

size_t fold_count(const struct fold *f);   /* rows that are there */
uint64_t fold_bytes(const struct fold *f); /* of their texts */

/* Rows in the order of their creation: those with seq > after, at most n,
 * references to the caller. A listing that goes on with the last seq it got
 * neither misses nor repeats a row that is there all the while. */
size_t fold_list(struct fold *f, uint64_t after, struct row **out, size_t n);
/* Tombstones too, in no order: all heads, borrowed. Start with *at = 0; NULL at
 * the end; the fold must not change meanwhile. */
struct row *fold_next_head(const struct fold *f, size_t *at);

/* Records whose base never came, and void ones: for verify and status. */
size_t fold_pending(const struct fold *f);
