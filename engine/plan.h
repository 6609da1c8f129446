/* What a waiting write becomes: its records, or why it is refused. Looks at
 * the rows as they are and at what the same group does before it. */
#pragma once

#include "engine/ledger_impl.h"

/* A group being put together. */
struct plan {
    struct ledger *l;
    bool inserts_only; /* for the channel: all else waits for the next */
    int64_t at_ms;
    struct message_builder builder;
    size_t bytes;        /* of the records, as a batch would have them */
    struct map keys;     /* what became of the keys the group touches */
    struct map deferred; /* keys whose writes wait: those behind them too */
    struct map values;   /* of unique fields, as the group has them */
    struct map awaited;  /* the same of writes that wait */
    struct row **rows;   /* references: the records borrow their texts */
    size_t n_rows, cap_rows;
    struct buf *bufs; /* texts made for this group */
    size_t n_bufs;
};

enum plan_result {
    PLAN_TAKEN,   /* p->record is set */
    PLAN_REFUSED, /* p->r and p->err are set */
    PLAN_LATER,   /* not in this group */
    PLAN_FETCH,   /* not before p->text is fetched */
};

void plan_init(struct plan *pl, struct ledger *l, bool inserts_only);
/* Caller holds the ledger's lock, here and until the plan is complete. */
enum plan_result plan_write_locked(struct plan *pl, struct pending *p);
/* At most so many bytes it adds to a batch, about. Under that lock too. */
size_t plan_room(const struct plan *pl, const struct pending *p);
/* After that the maps are not needed. */
void plan_end(struct plan *pl);
void plan_release(struct plan *pl);

/* For a write whose record r (with its text) came to be void, since another row
 * has a unique value of it. */
void plan_refuse_value(const struct ledger *l, struct pending *p,
                       const struct record *r);

/* For a write that is refused. */
void pending_refuse(struct pending *p, int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
