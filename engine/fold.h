/* Messages in, state out: what a table contains as a pure function of its
 * records. No I/O, no lock: the table's lock guards it.
 *
 * For each key the versions form a chain linked by base. Of two records with
 * the same base the one with the lower id counts, the other is void and so is
 * what is built on it. Records may come in any order and any number of times;
 * whoever has seen the same ones has the same rows.
 *
 * A copy (`was`, `of`) that has its text is as good as its original: once a
 * row's own message shows a later version, the copy in the thread is the only
 * place that still tells of the first. A copy without its text tells nothing.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/record.h"
#include "engine/row.h"

struct fold;

struct fold *fold_new(void);
void fold_free(struct fold *f);

enum fold_result {
    FOLD_KNOWN,   /* seen before, or older than a snapshot, or no text */
    FOLD_APPLIED, /* change tells what became of the key */
    FOLD_VOID,    /* another record with the same base counts */
    FOLD_PENDING, /* its base has not come yet; kept */
};

/* References to the caller: fold_change_release(). */
struct fold_change {
    struct row *old; /* NULL: the key was new; may be a tombstone */
    struct row *now; /* may be a tombstone */
    /* Versions that counted until now and no longer do: another process got
     * there first. NULL or the newest of them. */
    struct row *voided;
};
void fold_change_release(struct fold_change *c);

/* Applies one record. A pending one that can follow now is applied with it;
 * change then tells the first old and the last new state. *change is written
 * always, empty unless FOLD_APPLIED. */
enum fold_result fold_apply(struct fold *f, const struct record *r,
                            struct fold_change *change);

/* The newest version of a key as a snapshot tells it, tombstones too: taken as
 * it is, r->base is not looked at. What came before it is settled: an older
 * record changes nothing any more. Before the records that came after the
 * snapshot, or in any order with them. FOLD_KNOWN where the key has this
 * version or a later one already. */
enum fold_result fold_checkpoint(struct fold *f, const struct record *r,
                                 struct fold_change *change);

/* A row message of the table channel (record.alone): where the key's home is
 * and which version (id of its commit) it shows. In any order with
 * fold_apply(); cheapest after it, with its change released. A home that shows
 * a void version is none; of several the newest is the home. */
void fold_home(struct fold *f, const char *key, size_t key_len, uint64_t home,
               uint64_t shows);
/* That message is gone from the channel. */
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

/* Borrowed; NULL: no such key. fold_head() gives tombstones too. */
struct row *fold_find(struct fold *f, const char *key, size_t key_len);
struct row *fold_head(struct fold *f, const char *key, size_t key_len);

/* The base of the key's head; 0 too where a snapshot does not tell it. */
uint64_t fold_base(const struct fold *f, const char *key, size_t key_len);

size_t fold_count(const struct fold *f);   /* rows that are there */
uint64_t fold_bytes(const struct fold *f); /* of their texts */

/* Rows in the order of their creation: those with seq > after, at most n,
 * references to the caller. A listing that goes on with the last seq it got
 * neither misses nor repeats a row that is there all the while. */
size_t fold_list(struct fold *f, uint64_t after, struct row **out, size_t n);

/* Records whose base never came, and void ones: for verify and status. */
size_t fold_pending(const struct fold *f);
