/* What a ledger tells those who keep something in step with its rows in other
 * places: how far it is known to be complete, and what came behind a mark. */
#include "engine/base/alloc.h"
#include "engine/ledger_impl.h"

/* Messages of two channels may be seen in another order than that of their ids
 * by so much. */
#define OVERLAP_MS 30000

static uint64_t later(const uint64_t id[2])
{
    return id[0] > id[1] ? id[0] : id[1];
}

/* Is something that was told of still to be fetched, for whichever ledger? */
static bool is_catching_up(struct core *c)
{
    pthread_mutex_lock(&c->lock);
    bool busy = c->catching_up > 0;
    pthread_mutex_unlock(&c->lock);
    return busy;
}

void ledger_note_told_locked(struct ledger *l)
{
    uint64_t id = later(l->gap || l->relisting ? l->gap_from : l->seen);
    uint64_t overlap = (uint64_t)OVERLAP_MS << 22;

    if (l->state == LEDGER_OPEN && id > l->told + overlap &&
        !is_catching_up(l->core))
        l->told = id - overlap;
}

uint64_t ledger_complete(struct ledger *l)
{
    ledger_lock(l);
    /* Events move the mark without news of their own. */
    if (!l->news && !l->delivering)
        ledger_note_told_locked(l);
    uint64_t told = l->told;
    ledger_unlock(l);
    return told;
}

size_t ledger_heads_behind(struct ledger *l, uint64_t id, struct row ***out)
{
    struct row **list = NULL, *r;
    size_t n = 0, cap = 0;

    ledger_lock(l);
    for (size_t at = 0;
         l->state == LEDGER_OPEN && (r = fold_next_head(l->fold, &at));) {
        if (r->id <= id)
            continue;
        if (n == cap) {
            cap = cap ? cap * 2 : 16;
            list = xrealloc(list, cap * sizeof(struct row *));
        }
        list[n++] = row_ref(r);
    }
    ledger_unlock(l);
    *out = list;
    return n;
}

uint64_t ledger_max_file(const struct ledger *l)
{
    return atomic_load(&l->max_file);
}

int64_t ledger_index_rows(struct ledger *l, const char *field)
{
    int64_t n = -1;

    ledger_lock(l);
    const struct index *ix =
        l->state == LEDGER_OPEN ? fold_index(l->fold, field) : NULL;
    if (ix)
        n = (int64_t)index_rows(ix);
    ledger_unlock(l);
    return n;
}
