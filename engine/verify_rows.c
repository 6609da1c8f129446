/* What was read, held against itself and against the open table: messages that
 * cannot be read, records that do not count, row messages, rows, files. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/schema.h"
#include "engine/verify_impl.h"

#define ULL(x) ((unsigned long long)(x))

static const struct scan_message *message_of(const struct scan *s,
                                             const struct scan_record *r)
{
    return r->message == NONE ? NULL : &s->messages[r->message];
}

static uint64_t channel_of(const struct scan *s, const struct scan_message *m)
{
    return m->place == 0 ? s->channel : s->thread;
}

static uint64_t id_of(const struct scan *s, const struct scan_record *r)
{
    const struct scan_message *m = message_of(s, r);
    return m ? m->id : 0;
}

/* --- messages ---------------------------------------------------------------
 */

/* Where those that a message committed begin in the order. */
static size_t first_of(const struct scan *s, uint64_t message)
{
    size_t low = 0, high = s->n_order;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (s->records[s->order[mid]].id < message)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Is what this message committed told by another one, as a copy? */
static bool is_told_again(const struct scan *s, uint64_t message)
{
    for (size_t low = first_of(s, message); low < s->n_order; low++) {
        const struct scan_record *r = &s->records[s->order[low]];
        if (r->id != message)
            return false;
        if (id_of(s, r) != message && r->state != SCAN_SHOWN)
            return true;
    }
    return false;
}

/* The key whose row this message was: by a copy of what it committed, or as
 * the open table has it. */
static const struct scan_key *key_at_home(const struct verify *v,
                                          uint64_t message)
{
    const struct scan *s = v->scan;
    size_t low = first_of(s, message);

    if (low < s->n_order && s->records[s->order[low]].id == message)
        return s->keys[s->records[s->order[low]].key];
    for (size_t i = 0; v->table && i < s->n_keys; i++) {
        struct row *row =
            ledger_head(v->table->ledger, s->keys[i]->text, s->keys[i]->len);
        bool is_it = row && row->home == message;
        row_unref(row);
        if (is_it)
            return s->keys[i];
    }
    return NULL;
}

static void tell_problem(struct verify *v, const struct scan_problem *p)
{
    const struct scan *s = v->scan;
    const struct scan_message *m = &s->messages[p->message];
    const struct scan_record *r =
        p->record == NONE ? NULL : &s->records[p->record];
    const struct scan_key *k = r ? s->keys[r->key] : NULL;

    if (r && (r->flags & SCAN_DUP) &&
        !(s->records[scan_find_record(s, r->key, r->version, r->id)].flags &
          SCAN_BAD))
        return; /* a copy, and what it tells is whole elsewhere */
    /* A row message, if its row is there. Where it alone told a version, and
     * nobody knows that, it stays as it is: a person may read it. */
    if (!k && m->place == 0 && s->thread)
        k = key_at_home(v, m->id);
    if (!k && p->copy)
        k = s->keys[p->key];
    struct item *it =
        verify_add(v, p->kind, channel_of(s, m), m->id, k, "%s", p->text);
    if (!it)
        return;
    bool home = !r && k && scan_live(s, k);
    if (!home && is_told_again(s, m->id)) {
        it->f.severity = FINDING_NOTE;
        it->f.remedy = "Nothing: what it said is told by another message.";
    } else if (r) {
        it->how = REPAIR_FILE;
        it->record = p->record;
    } else if (k) {
        it->how =
            p->kind == KIND_missing_attachment ? REPAIR_FILE : REPAIR_HOME;
    } else {
        it->how = REPAIR_TOLD;
    }
}

static void tell_foreign(struct verify *v)
{
    const struct scan *s = v->scan;

    for (size_t i = 0; s->foreign && i < s->n_messages; i++)
        if (s->messages[i].kind == MESSAGE_FOREIGN)
            verify_add(v, KIND_foreign_message, channel_of(s, &s->messages[i]),
                       s->messages[i].id, NULL,
                       "message %llu is not the database's: somebody wrote it",
                       ULL(s->messages[i].id));
}

static void tell_files(struct verify *v)
{
    const struct scan *s = v->scan;

    for (size_t i = 0; i < s->n_files; i++) {
        const struct scan_file *f = &s->files[i];
        const struct scan_message *m = &s->messages[f->message];
        if (!f->used)
            verify_add(
                v, KIND_orphan_attachment, channel_of(s, m), m->id, NULL,
                "the attachment %llu (%llu bytes) hangs on message %llu, "
                "which does not speak of it",
                ULL(f->id), ULL(f->size), ULL(m->id));
    }
}

/* --- records ----------------------------------------------------------------
 */

static void tell_waiting(struct verify *v, uint32_t n)
{
    const struct scan *s = v->scan;
    const struct scan_record *r = &s->records[n];
    const struct scan_key *k = s->keys[r->key];
    uint64_t at = id_of(s, r);

    if (r->flags & SCAN_LATE)
        return;
    uint32_t base = scan_find_record(s, r->key, r->version - 1, r->base);
    if (base != NONE && s->records[base].state == SCAN_WAITS)
        return; /* what that one waits for is told */
    if (k->head != NONE && s->records[k->head].id > r->id) {
        verify_add(v, KIND_superseded_record, s->thread, at, k,
                   "version %u of '%s', committed by message %llu, follows "
                   "message %llu, which is not there; the row has gone on",
                   r->version, k->text, ULL(r->id), ULL(r->base));
        return;
    }
    const struct scan_message *m = message_of(s, r);
    struct item *it = verify_add(
        v, KIND_waiting_record, m ? channel_of(s, m) : 0, at, k,
        "version %u of '%s', committed by message %llu, follows version %u in "
        "message %llu, which is not there any more",
        r->version, k->text, ULL(r->id), r->version - 1, ULL(r->base));
    if (it) {
        it->how = REPAIR_REWRITE;
        it->record = n;
    }
}

/* A row message shows a version that nothing tells of. */
static void tell_shown(struct verify *v, uint32_t n)
{
    const struct scan *s = v->scan;
    const struct scan_record *r = &s->records[n];
    const struct scan_key *k = s->keys[r->key];

    if ((r->flags & SCAN_LATE) || scan_find_message(s, r->id) != NONE ||
        (k->head != NONE && s->records[k->head].id > r->id))
        return;
    struct item *it =
        verify_add(v, KIND_lost_record, s->thread, r->id, k,
                   "version %u of '%s' was committed by message %llu, which "
                   "is not there any more",
                   r->version, k->text, ULL(r->id));
    if (it)
        it->how = REPAIR_TELL;
}

static void tell_records(struct verify *v)
{
    const struct scan *s = v->scan;

    for (size_t i = 0; i < s->n_order; i++) {
        uint32_t n = s->order[i];
        const struct scan_record *r = &s->records[n];
        const struct scan_key *k = s->keys[r->key];
        if (r->state == SCAN_WAITS)
            tell_waiting(v, n);
        else if (r->state == SCAN_SHOWN)
            tell_shown(v, n);
        else if (r->state == SCAN_VOID)
            verify_add(v, KIND_void_record,
                       r->message == NONE
                           ? 0
                           : channel_of(s, &s->messages[r->message]),
                       id_of(s, r), k,
                       "version %u of '%s', committed by message %llu, does "
                       "not count: another was there first",
                       r->version, k->text, ULL(r->id));
    }
}

/* --- row messages -----------------------------------------------------------
 */

/* Does this record make its message a home of its key? */
static bool is_home(const struct scan *s, const struct scan_record *r)
{
    const struct scan_message *m = message_of(s, r);

    return m && m->place == 0 && s->thread && (r->flags & SCAN_ALONE) &&
           (r->state == SCAN_COUNTS || r->state == SCAN_SETTLED);
}

/* Has the message a file that some version's text is? Then it stays. */
static bool keeps_file(const struct scan *s, const struct scan_message *m)
{
    for (uint32_t i = m->first; i < m->first + m->n; i++)
        if (s->records[i].file && !(s->records[i].flags & SCAN_DUP))
            return true;
    return false;
}

/* Is all that it tells told elsewhere too? */
static bool is_copied(const struct scan *s, const struct scan_message *m)
{
    for (uint32_t i = m->first; i < m->first + m->n; i++) {
        const struct scan_record *r = &s->records[i];
        bool found = false;
        if (!(r->flags & (SCAN_TEXT | SCAN_DELETE)))
            continue;
        for (uint32_t k = s->keys[r->key]->records; k != NONE && !found;
             k = s->records[k].older) {
            const struct scan_record *o = &s->records[k];
            found = o->message != r->message && o->id == r->id &&
                    o->version == r->version &&
                    (o->flags & (SCAN_TEXT | SCAN_DELETE)) &&
                    !(o->flags & SCAN_BAD);
        }
        if (!found)
            return false;
    }
    return true;
}

/* The newest deletion of a key that counts, or 0: what was before it is
 * another life. */
static uint64_t last_deletion(const struct scan *s, const struct scan_key *k)
{
    uint64_t id = 0;

    for (uint32_t i = k->records; i != NONE; i = s->records[i].older) {
        const struct scan_record *r = &s->records[i];
        if (r->state == SCAN_COUNTS && (r->flags & SCAN_DELETE) && r->id > id)
            id = r->id;
    }
    return id;
}

static void tell_spare_home(struct verify *v, const struct scan_key *k,
                            const struct scan_record *r, uint64_t deletion)
{
    const struct scan *s = v->scan;
    const struct scan_message *m = message_of(s, r);
    bool live = scan_live(s, k) != NULL;
    bool duplicate = live && m->id > deletion;

    if (keeps_file(s, m))
        return;
    struct item *it =
        duplicate
            ? verify_add(v, KIND_duplicate_row_message, s->channel, m->id, k,
                         "message %llu is a second row message of '%s', older "
                         "than the one that counts",
                         ULL(m->id), k->text)
            : verify_add(v, KIND_left_over_row_message, s->channel, m->id, k,
                         "message %llu is a row message of '%s', which was "
                         "deleted%s",
                         ULL(m->id), k->text, live ? " and made again" : "");
    if (!it)
        return;
    if (is_copied(s, m) && !m->late)
        it->how = REPAIR_DELETE;
    else
        it->f.remedy = "Nothing is at stake; vacuum removes it once its "
                       "versions are past the retention.";
}

/* What the snapshot at which history begins says of a key; NULL: nothing. */
static const struct fact_place *fact_place(const struct verify *v,
                                           const struct scan_key *k)
{
    size_t low = 0, high = v->n_places;

    if (k->records == NONE)
        return NULL;
    uint32_t key = v->scan->records[k->records].key;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (v->places[mid].key < key)
            low = mid + 1;
        else
            high = mid;
    }
    return low < v->n_places && v->places[low].key == key ? &v->places[low]
                                                          : NULL;
}

/* A row that is told by the snapshot alone, and its text by nobody. */
static void check_fact(struct verify *v, const struct scan_key *k)
{
    const struct scan *s = v->scan;
    const struct scan_record *live = scan_live(s, k);
    const struct fact_place *p = live ? fact_place(v, k) : NULL;

    if (p && (live->flags & SCAN_FACT) && p->id == live->id && p->holder &&
        scan_find_message(s, p->holder) == NONE)
        verify_add(v, KIND_missing_attachment, 0, p->holder, k,
                   "the text of '%s' was an attachment of message %llu, which "
                   "is not there any more",
                   k->text, ULL(p->holder));
}

/* Was there a message that showed the row, and is it gone? Told by a copy of
 * what it committed, by the snapshot at which history begins, or by the open
 * table. 0: no. */
static uint64_t lost_home(const struct verify *v, const struct scan_key *k,
                          uint64_t deletion)
{
    const struct scan *s = v->scan;
    uint64_t lost = 0;

    for (uint32_t i = k->records; i != NONE; i = s->records[i].older) {
        const struct scan_record *r = &s->records[i];
        if (r->state == SCAN_COUNTS && (r->flags & SCAN_COPY) &&
            !(r->flags & (SCAN_BATCH | SCAN_DELETE)) && r->id > deletion &&
            r->message != NONE && s->messages[r->message].place == 1 &&
            s->messages[r->message].first != i &&
            scan_find_message(s, r->id) == NONE && r->id > lost)
            lost = r->id;
    }
    const struct fact_place *p = fact_place(v, k);
    if (p && p->home && p->id > deletion &&
        scan_find_message(s, p->home) == NONE && p->home > lost)
        lost = p->home;
    if (!v->table)
        return lost;
    struct row *row = ledger_head(v->table->ledger, k->text, k->len);
    if (row && !row->deleted && row->home &&
        scan_find_message(s, row->home) == NONE &&
        row->home <= v->known_upto[0])
        lost = row->home;
    row_unref(row);
    return lost;
}

/* Has it a row message that cannot be read? Then that one is mended. */
static bool has_damaged_home(const struct scan *s, const struct scan_key *k)
{
    for (size_t i = 0; i < s->n_problems; i++)
        if (s->problems[i].key != NONE && s->keys[s->problems[i].key] == k)
            return true;
    return false;
}

static void check_homes(struct verify *v, const struct scan_key *k)
{
    const struct scan *s = v->scan;
    const struct scan_record *live = scan_live(s, k), *home = NULL;

    for (uint32_t i = k->records; i != NONE; i = s->records[i].older)
        if (is_home(s, &s->records[i]) &&
            (!home || id_of(s, &s->records[i]) > id_of(s, home)))
            home = &s->records[i];
    uint64_t deletion = last_deletion(s, k);
    /* The message of an earlier life is that of a later one that came in a
     * batch and has none of its own. */
    bool spare =
        home && id_of(s, home) < deletion && (!live || home->id != live->id);
    if (home && (!live || spare)) {
        tell_spare_home(v, k, home, deletion);
    } else if (home && home->id != live->id) {
        struct item *it = verify_add(
            v, KIND_stale_row_message, s->channel, id_of(s, home), k,
            "the row message of '%s' shows version %u, and the row has version "
            "%u",
            k->text, home->version, live->version);
        if (it)
            it->how = REPAIR_HOME;
    }
    for (uint32_t i = k->records; home && i != NONE; i = s->records[i].older)
        if (is_home(s, &s->records[i]) &&
            s->records[i].message != home->message)
            tell_spare_home(v, k, &s->records[i], deletion);
    if (!live || (home && !spare) || has_damaged_home(s, k))
        return;
    uint64_t lost = lost_home(v, k, deletion);
    if (!lost)
        return;
    struct item *it =
        verify_add(v, KIND_missing_row_message, s->channel, lost, k,
                   "the row message of '%s', %llu, was deleted by somebody's "
                   "hand; the row is told in its history",
                   k->text, ULL(lost));
    if (it)
        it->how = REPAIR_HOME;
}

/* --- rows -------------------------------------------------------------------
 */

static void check_schema(struct verify *v, const struct scan_key *k)
{
    const struct scan *s = v->scan;
    const struct scan_record *live = scan_live(s, k);

    if (live && (live->flags & SCAN_UNFIT))
        verify_add(
            v, KIND_schema_violation,
            live->message == NONE ? 0
                                  : channel_of(s, &s->messages[live->message]),
            live->id, k, "version %u of '%s' is not what the schema allows",
            live->version, k->text);
}

struct value_key {
    uint64_t value;
    uint32_t key;
};

static int by_value(const void *a, const void *b)
{
    const struct value_key *x = a, *y = b;

    if (x->value != y->value)
        return x->value < y->value ? -1 : 1;
    return x->key < y->key ? -1 : x->key > y->key;
}

/* Rows that have one value of a field that is unique now: they had it before
 * it became so, or a writer was forced. */
static void check_unique(struct verify *v, size_t field)
{
    const struct scan *s = v->scan;
    struct value_key *list = xcalloc(s->n_keys, sizeof(*list));
    uint64_t null = scan_value_hash("raw:null", strlen("raw:null"));
    size_t n = 0;

    for (size_t i = 0; i < s->n_keys; i++) {
        uint32_t head = s->keys[i]->head;
        if (!scan_live(s, s->keys[i]))
            continue;
        uint64_t value = s->values[(size_t)head * s->n_fields + field];
        if (value && value != null)
            list[n++] = (struct value_key){value, (uint32_t)i};
    }
    qsort(list, n, sizeof(*list), by_value);
    for (size_t i = 1; i < n; i++) {
        const struct scan_key *k = s->keys[list[i].key];
        const struct scan_record *r = scan_live(s, k);
        if (list[i].value == list[i - 1].value)
            verify_add(v, KIND_unique_violation, 0, r->id, k,
                       "'%s' and '%s' have the same value in '%s', which is "
                       "to be unique",
                       s->keys[list[i - 1].key]->text, k->text,
                       s->fields[field].name);
    }
    free(list);
}

/* --- the open table ---------------------------------------------------------
 */

/* A version that is known in memory, and told by no message. */
static void tell_lost(struct verify *v, const struct row *row)
{
    const struct scan_key *k =
        scan_find_key(v->scan, row_key(row), row->key_len);
    bool home = row->home == row->id;
    struct item *it = verify_add(
        v, home ? KIND_missing_row_message : KIND_lost_record,
        home ? v->scan->channel : 0, row->id, k,
        "version %u of '%s' was committed by message %llu, which is not there "
        "any more; this process still has it",
        row->version, row_key(row), ULL(row->id));

    if (!it)
        return;
    it->how = home ? REPAIR_HOME : REPAIR_TELL;
    if (!it->f.key) {
        it->f.key = it->key = xstrndup(row_key(row), row->key_len);
        it->f.key_len = row->key_len;
    }
}

/* What memory has of a key, against what was read. */
static void compare_row(struct verify *v, const struct row *row)
{
    const struct scan *s = v->scan;
    const struct scan_key *k = scan_find_key(s, row_key(row), row->key_len);
    const struct scan_record *head =
        k && k->head != NONE ? &s->records[k->head] : NULL;

    if (head && head->id == row->id && head->version == row->version)
        return;
    if (row->id > v->known_upto[0] && row->id > v->known_upto[1])
        return; /* written since */
    /* Told nowhere: not even as what does not count. */
    bool known = false;
    for (uint32_t i = k ? k->records : NONE; i != NONE && !known;
         i = s->records[i].older)
        known = s->records[i].id == row->id &&
                s->records[i].version == row->version &&
                s->records[i].state != SCAN_SHOWN;
    if (!known) {
        tell_lost(v, row);
        return;
    }
    if (!head || (head->flags & SCAN_LATE))
        return;
    struct item *it = verify_add(
        v, KIND_row_differs,
        head->message == NONE ? 0 : channel_of(s, &s->messages[head->message]),
        head->id, k,
        "this process has version %u of '%s' (message %llu), and what is "
        "stored says version %u (message %llu)",
        row->version, row_key(row), ULL(row->id), head->version, ULL(head->id));
    if (it) {
        it->how = REPAIR_ROW;
        it->record = k->head;
    }
}

#define CHUNK 256

static struct ledger *ledger_of(const struct verify *v)
{
    return v->table ? v->table->ledger : v->ns->ledger;
}

static void compare_open(struct verify *v)
{
    const struct scan *s = v->scan;
    struct ledger *l = ledger_of(v);
    struct row *rows[CHUNK];
    uint64_t after = 0;
    size_t n;

    if (!ledger_is_open(l))
        return;
    while ((n = ledger_list(l, after, rows, CHUNK)) > 0) {
        for (size_t i = 0; i < n; i++) {
            after = rows[i]->seq;
            compare_row(v, rows[i]);
            row_unref(rows[i]);
        }
    }
    /* Those that are there, or deleted, without this process knowing. */
    for (size_t i = 0; i < s->n_keys; i++) {
        const struct scan_key *k = s->keys[i];
        if (k->head == NONE || (s->records[k->head].flags & SCAN_LATE))
            continue;
        const struct scan_record *head = &s->records[k->head];
        struct row *row = ledger_head(l, k->text, k->len);
        if (row && row->deleted)
            compare_row(v, row);
        if (!row && !(head->flags & SCAN_DELETE)) {
            struct item *it = verify_add(
                v, KIND_row_differs, 0, head->id, k,
                "this process does not know '%s', of which version %u was "
                "committed by message %llu",
                k->text, head->version, ULL(head->id));
            if (it) {
                it->how = REPAIR_ROW;
                it->record = k->head;
            }
        }
        row_unref(row);
    }
}

void verify_rows(struct verify *v)
{
    const struct scan *s = v->scan;

    for (size_t i = 0; i < s->n_problems; i++)
        tell_problem(v, &s->problems[i]);
    tell_foreign(v);
    tell_files(v);
    tell_records(v);
    for (size_t i = 0; i < s->n_keys; i++) {
        v->sum->rows += v->table && scan_live(s, s->keys[i]);
        if (s->thread)
            check_homes(v, s->keys[i]);
        check_fact(v, s->keys[i]);
        check_schema(v, s->keys[i]);
    }
    for (size_t i = 0; i < s->n_fields; i++)
        if (s->fields[i].unique)
            check_unique(v, i);
    compare_open(v);
}
