/* What the push connection tells of a ledger's messages. Never waits: what
 * needs a file is fetched and comes later, what comes during an opening is
 * held until its end. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/checkpoint.h"
#include "engine/ledger_impl.h"

void held_free(struct held *h)
{
    if (h->is_message)
        remote_message_release(&h->message);
    free(h->ids);
    free(h);
}

static struct held *hold(struct ledger *l, uint64_t channel)
{
    struct held *h = xcalloc(1, sizeof(*h));

    h->channel = channel;
    *l->held_last = h;
    l->held_last = &h->next;
    return h;
}

void event_message_locked(struct ledger *l, const struct remote_message *m,
                          bool created, struct changes *out, bool *batch)
{
    int place = ledger_place(l, m->channel_id);
    struct records rs = {0};
    struct err err = ERR_INIT;

    if (created && m->id > l->seen[place])
        l->seen[place] = m->id;
    if (!ledger_wants_locked(l, m) || commit_takes_echo_locked(l, m))
        return;
    if (created && ledger_is_own_locked(&l->posted, m->id))
        return; /* its answer told of it already */

    if (place == IN_THREAD && snapshot_is(m)) {
        checkpoint_message_locked(l, m);
        return;
    }
    int r = message_parse(m, &rs, &err);
    if (r == -EBADMSG)
        ledger_note_damage_locked(l, m->id, err_text(&err, r));
    else if (r == 0 && rs.batch_file)
        *batch = created;
    else if (r == 0 && ledger_needs_text_locked(l, &rs) >= 0)
        *batch = true;
    else if (r == 0)
        ledger_apply_locked(l, place, m, &rs, false, NULL, NULL, out);
    l->late_files += *batch;
    records_release(&rs);
}

void ledger_event_message(struct ledger *l, const struct remote_message *m,
                          bool created)
{
    struct changes changes = {0};
    bool batch = false;

    ledger_lock(l);
    if (l->state == LEDGER_OPENING) {
        struct held *h = hold(l, m->channel_id);
        h->is_message = true;
        h->created = created;
        remote_message_copy(&h->message, m);
    } else if (l->state == LEDGER_OPEN) {
        event_message_locked(l, m, created, &changes, &batch);
    }
    ledger_tell_locked(l, &changes);
    ledger_unlock(l);

    if (batch)
        load_batch(l, ledger_place(l, m->channel_id), m);
    ledger_deliver(l);
    settle_go(l);
}

/* A message is gone that we did not delete. Another process may have: the row
 * message of a deleted row, a message that Discord had changed. Else it was
 * somebody's hand. */
static void deleted_locked(struct ledger *l, int place, uint64_t id)
{
    struct err err = ERR_INIT;

    if (place == IN_THREAD && checkpoint_gone_locked(l, id)) {
        ledger_forget_damage_locked(l, id);
        return;
    }
    if (map_get(&l->damage, hash_u64(id), &id)) {
        ledger_forget_damage_locked(l, id);
        return;
    }
    uint64_t *foreign = map_remove(&l->foreign, hash_u64(id), &id);
    if (foreign) {
        free(foreign);
        return;
    }
    const struct row *row = fold_at_home(l->fold, id);
    if (place == IN_CHANNEL && row) {
        if (row->deleted) {
            settle_home_gone_locked(l, row_key(row), row->key_len, id,
                                    SETTLE_LATER);
        } else {
            settle_lost_locked(l, row_key(row), row->key_len, id);
        }
        return;
    }
    if (place == IN_CHANNEL && settle_gone_locked(l, id))
        return;
    if (place == IN_CHANNEL && !map_get(&l->others, hash_u64(id), &id))
        return; /* the card, or a remark of the store's */
    if (id <= l->vacuumed)
        return;
    err_set(&err, -EBADMSG,
            "message %llu was deleted by somebody's hand: what it told is "
            "known to those who have read it, and lost for others",
            (unsigned long long)id);
    ledger_note_damage_locked(l, id, err.text);
}

void event_deleted_locked(struct ledger *l, uint64_t channel,
                          const uint64_t *ids, size_t n)
{
    int place = ledger_place(l, channel);

    for (size_t i = 0; i < n; i++)
        if (!ledger_is_own_locked(&l->deleted, ids[i]))
            deleted_locked(l, place, ids[i]);
}

void ledger_event_deleted(struct ledger *l, uint64_t channel,
                          const uint64_t *ids, size_t n)
{
    ledger_lock(l);
    if (l->state == LEDGER_OPENING) {
        struct held *h = hold(l, channel);
        h->ids = xcalloc(n, sizeof(*ids));
        memcpy(h->ids, ids, n * sizeof(*ids));
        h->n_ids = n;
    } else if (l->state == LEDGER_OPEN) {
        event_deleted_locked(l, channel, ids, n);
    }
    ledger_unlock(l);
    settle_go(l);
}
