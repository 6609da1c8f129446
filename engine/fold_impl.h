/* The inside of a fold, for the files it is made of: fold.c, which keeps what
 * is known of each key, and fold_play.c, which decides what that is. Nobody
 * else includes this.
 *
 * Most keys have one version, known by one record: for those there is a row in
 * `rows` and nothing else. A key about which there is more to know has a track
 * besides:
 *
 *     chain    the ids of its versions that count, oldest first; a version's
 *              number is its place. The last is the head.
 *     others   records that do not count, or wait
 *     claims   its row messages, and what each shows
 *
 * A chain that begins at version 1 is whole; one that begins later begins at a
 * snapshot's row. A track that says no more than its row does is dropped.
 *
 *     rows     key  -> head row (tombstones too)      one reference each
 *     tracks   key  -> track
 *     homes    home -> head row that lives there      borrowed from rows
 *     list     rows that are there, by seq            borrowed from rows
 *     rules    field -> index of them                 borrowed from rows
 *     journal  the last records in their order, and what each has replaced:
 *              from the end of it the fold can be taken back, record by record
 */
#pragma once

#include "engine/base/map.h"
#include "engine/fold.h"

struct claim {
    uint64_t home, shows;
};

struct other {
    uint64_t id, base;
    uint32_t version;
    bool waits;
};

struct track {
    uint32_t first; /* version of chain[0] */
    uint32_t n_chain, n_others, n_claims;
    uint64_t *chain;      /* capacities follow from the numbers: grown() */
    struct other *others; /* by version, then id */
    struct claim *claims; /* by home */
    uint16_t key_len;
    char key[];
};

enum entry_state {
    ENTRY_NEW, /* not yet played, or undone */
    ENTRY_COUNTS,
    ENTRY_VOID,
    ENTRY_TAKEN, /* void, for a unique value */
    ENTRY_WAITS,
};

struct entry {
    struct row *row; /* a reference. Where it is its key's newest version, the
                        head itself */
    struct row *old; /* COUNTS: what was the head before; the fold's reference
                        to it */
    uint32_t pos;    /* in its message, from 1; 0: known by a copy alone */
    uint8_t state;
    bool joined; /* to the entry before it */
    bool linked; /* joined, or the next is (loading) */
    bool played; /* before: its home is in claims */
};

/* A place in the listing: the row, or the seq of one that is gone. The first
 * is even, the second made odd. */
typedef uintptr_t place;

struct rule {
    char *field;
    uint64_t *unique;
    size_t n_unique;
    struct index *index;
};

/* Who wrote, each once: shared with the fold that takes the place of this. */
struct names;

struct touched;

struct fold {
    struct map rows, tracks, homes;
    struct names *names;
    place *list;
    size_t n_list, cap_list, holes;
    uint64_t last_seq;
    size_t count, lacking;
    uint64_t bytes;
    size_t unsettled; /* others of all tracks */

    struct rule *rules;
    size_t n_rules;

    struct entry *journal; /* from first to n: in order */
    size_t first, n, cap;
    size_t keep; /* so many at most, */
    uint64_t keep_bytes, keep_age;
    uint64_t journal_bytes; /* of rows that the journal alone holds */
    uint64_t mark;          /* of the snapshot that it began with, or 0 */
    uint64_t floor;         /* records up to this id are beyond undoing */

    bool loading;
    uint64_t load_most; /* bytes of texts that are gathered, and then looked
                           through for what is not needed; */
    size_t n_later;     /* worth it with so many that are no first versions */
    uint64_t dropped;   /* up to this id there are records without their
                           texts, which would be missing in the past */
    const struct fold *before; /* while loading: whose place it is to take */
    struct touched *touched;   /* while something is applied: keys by the
                                  order in which they changed first */
};

struct key {
    const char *text;
    size_t len;
};

static inline struct key key_of(const struct row *r)
{
    return (struct key){row_key(r), r->key_len};
}

/* --- fold.c ----------------------------------------------------------------
 */

struct row *fold_row_of(struct fold *f, const struct record *rec);

static inline bool row_is_there(const struct row *r)
{
    return r && !r->deleted;
}

/* now takes the place of old; NULL: nothing does, or it is new. The fold's
 * reference to old goes to the caller, that to now to the fold. home and seq
 * are now's. */
void fold_put_head(struct fold *f, struct row *old, struct row *now);
/* Makes now the head, with its place in the listing; returns what was. */
struct row *fold_install(struct fold *f, struct row *now);
/* The same version told better: now takes the place of the head r, and of its
 * entry. References as fold_put_head(), but old is let go. */
void fold_exchange(struct fold *f, struct row *r, struct row *now);

struct track *fold_track(const struct fold *f, struct key key);
/* Where it has none yet, one that says what its row says. */
struct track *fold_need_track(struct fold *f, struct key key);
/* Drops a track that says no more than its row. */
void fold_trim_track(struct fold *f, struct track *t);
bool track_says_more(const struct track *t);
void track_free(struct track *t);

/* Is there nothing before the chain that we do not know? */
bool track_is_whole(const struct track *t);
/* The id of this version, 0: not in the chain. */
uint64_t track_at(const struct track *t, uint32_t version);
void track_append(struct track *t, uint32_t version, uint64_t id);
const struct other *track_other(const struct track *t, uint32_t version,
                                uint64_t id);
void fold_add_other(struct fold *f, struct track *t, const struct row *r,
                    bool waits);
void fold_drop_other(struct fold *f, struct track *t, const struct row *r);
void track_claim(struct track *t, uint64_t home, uint64_t shows);
/* A row message shows this version. */
void fold_claim(struct fold *f, struct key key, uint64_t home, uint64_t shows);
/* Brings the head's home in line with the claims. */
void fold_settle_home(struct fold *f, struct track *t);
/* The same for all, and drops the tracks that are not needed. */
void fold_settle_all(struct fold *f);

bool rule_holds(const struct rule *rule, uint64_t id);
/* Does it hold for both, without a break between? */
bool rule_is_constant(const struct rule *rule, uint64_t from, uint64_t to);
bool row_lacks(const struct fold *f, const struct row *r);

/* --- fold_play.c
 * ----------------------------------------------------------------- */

/* The entry whose row this is, NULL: none. */
struct entry *journal_find(const struct fold *f, const struct row *r);
void journal_free(struct fold *f);
/* Undoes all entries behind this id; and plays them again. What came of it is
 * between touched_begin() and touched_end(). */
size_t journal_undo_behind(struct fold *f, uint64_t id);
void journal_play(struct fold *f, size_t from);

void touched_begin(struct fold *f);
void touched_end(struct fold *f, struct fold_changes *out);
/* What a key's change is; false: it is none. */
bool fold_compare(const struct fold *f, struct row *old, struct row *now,
                  struct fold_change *c);
void fold_add_change(struct fold_changes *out, struct fold_change c);
