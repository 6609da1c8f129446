/* Messages in, state out: what a table contains as a pure function of its
 * records. No I/O, no lock: the table's lock guards it.
 *
 * For each key the versions form a chain linked by base. Of two records with
 * the same base the one with the lower id counts, the other is void and so is
 * what is built on it. Records may come in any order and any number of times;
 * whoever has seen the same ones has the same rows.
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
    FOLD_KNOWN,   /* seen before, or a copy that adds nothing */
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
 * change then tells the first old and the last new state. */
enum fold_result fold_apply(struct fold *f, const struct record *r,
                            struct fold_change *change);

/* A row message of the table channel: where the key's home is and which
 * version (id of its commit) it shows. */
void fold_home(struct fold *f, const char *key, size_t key_len, uint64_t home,
               uint64_t shows);
/* Calls fn for each key whose home shows another version than the newest (or
 * that is deleted and still has a home). */
void fold_stale_homes(struct fold *f,
                      void (*fn)(void *arg, struct row *now, uint64_t home),
                      void *arg);
/* The key that lives in this row message, NULL if none. Borrowed. */
struct row *fold_at_home(struct fold *f, uint64_t home);

/* Borrowed; NULL: no such key. fold_head() gives tombstones too. */
struct row *fold_find(struct fold *f, const char *key, size_t key_len);
struct row *fold_head(struct fold *f, const char *key, size_t key_len);

size_t fold_count(const struct fold *f);   /* rows that are there */
uint64_t fold_bytes(const struct fold *f); /* of their texts */

/* Rows in the order of their creation: those with seq > after, at most n,
 * references to the caller. A listing that goes on with the last seq it got
 * neither misses nor repeats a row that is there all the while. */
size_t fold_list(struct fold *f, uint64_t after, struct row **out, size_t n);

/* Records whose base never came, and void ones: for verify and status. */
size_t fold_pending(const struct fold *f);
