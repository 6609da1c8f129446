/* A vacuum: what verify reads decides what each message still tells that is to
 * be kept; those that tell nothing of it go, oldest first in each channel.
 *
 *     record     kept where it is its row's newest version, one of the newest
 *                so many, or was so within so many days; of a row that was
 *                deleted before that, none
 *     message    goes when none of its records is kept, it is no row's own
 *                message, and no snapshot refers to it
 *
 * The list is made before anything is changed, and a dry run tells the same
 * list. Records can only go once a snapshot tells the rows without them, so
 * one is taken first (two: should the newest be damaged, the other tells as
 * much), and the mark says that history begins there. */
#include "engine/vacuum.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/checkpoint.h"
#include "engine/index_text.h"
#include "engine/snapshot_text.h"
#include "engine/vacuum_mark.h"
#include "engine/verify_impl.h"

#define ULL(x) ((unsigned long long)(x))
#define DAY_MS ((int64_t)24 * 3600 * 1000)

/* Bulk deletes take nothing older than 14 days; an hour for clocks. */
#define BULK_AGE_MS (14 * DAY_MS - 3600 * 1000)
#define BULK_MOST 100

/* A part without its snapshot may be one that is just being posted. */
#define PART_AGE_MS ((int64_t)3600 * 1000)

static int run(const struct verify *v, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    req->priority = REMOTE_NORMAL;
    int r = remote_run(v->engine->core.remote, req, reply, err);
    remote_draft_release(&req->draft);
    return r;
}

/* How far the snapshot goes. */
static int cut_of(const struct verify *v, uint64_t snapshot, uint64_t *cut,
                  struct err *err)
{
    struct remote_reply reply = {0};
    struct snapshot_head head = {0};
    struct remote_request req = {
        .op = REMOTE_GET,
        .channel = v->table->history,
        .message = snapshot,
    };

    int r = run(v, &req, &reply, err);
    if (r == 0)
        r = snapshot_parse(&reply.messages[0], &head, err);
    if (r == 0) {
        *cut = head.cut;
        snapshot_head_release(&head);
    }
    remote_reply_release(&reply);
    return r;
}

static int take_snapshot(struct verify *v, const char *by, uint64_t *id,
                         uint64_t *cut, struct err *err)
{
    int r = checkpoint_take(v->table->ledger, NULL, by, true, REMOTE_NORMAL, id,
                            err);
    return r < 0 ? r : cut_of(v, *id, cut, err);
}

int vacuum_begin(struct verify *v, const char *by, size_t snapshots,
                 uint64_t *snapshot, uint64_t *upto, struct err *err)
{
    const char *who = by ? by : v->engine->core.by;
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_POST,
        .channel = v->table->history,
    };
    int r = 0;

    *upto = UINT64_MAX;

    for (size_t i = 0; i < snapshots && r == 0; i++) {
        uint64_t cut = 0;
        r = take_snapshot(v, who, snapshot, &cut, err);
        /* What all of them have. */
        if (cut < *upto)
            *upto = cut;
    }
    if (r < 0)
        return err_wrap(err, r, "the snapshot before");
    vacuum_mark_add(&req.draft.content, *upto, *snapshot, clock_wall_ms(), who);
    r = run(v, &req, &reply, err);
    remote_reply_release(&reply);
    return r < 0 ? err_wrap(err, r, "the mark before") : 0;
}

/* --- what is needed ---------------------------------------------------------
 */

/* One thing that goes: a message, or attachments of one that stays. */
struct removal {
    uint64_t channel, message;
    const char *kind;
    uint32_t key;  /* NONE */
    uint32_t home; /* not NONE: this record's row message is written anew */
    size_t versions;
    uint64_t bytes;
    bool edit;
    uint64_t keep[4];
    size_t n_keep;
};

struct vacuum {
    struct verify v;
    struct scan scan;
    const struct vacuum_options *o;
    vacuum_gone *gone;
    void *arg;
    struct vacuum_summary *sum;

    uint64_t limit; /* what was so behind this id is within the days */
    bool *needed;   /* by record */
    uint64_t upto;  /* what is behind it stays */
    struct removal *list;
    size_t n, cap;
};

static uint64_t id_of_ms(int64_t ms)
{
    return ms <= SNOWFLAKE_EPOCH_MS ? 0
                                    : (uint64_t)(ms - SNOWFLAKE_EPOCH_MS) << 22;
}

static bool is_young(uint64_t id, int64_t ms)
{
    return id > id_of_ms(clock_wall_ms() - ms);
}

/* The records of one key, as s->same has them, oldest version first. */
static void need_of_key(struct vacuum *va, const uint32_t *list, size_t n)
{
    const struct scan *s = &va->scan;
    const struct scan_key *k = s->keys[s->records[list[0]].key];
    const struct scan_record *head =
        k->head == NONE ? NULL : &s->records[k->head];
    bool long_gone =
        head && (head->flags & SCAN_DELETE) && head->id <= va->limit;
    uint64_t next = UINT64_MAX; /* what replaced it */
    uint32_t rank = 0;

    for (size_t i = n; i > 0; i--) {
        const struct scan_record *r = &s->records[list[i - 1]];
        bool *needed = &va->needed[list[i - 1]];
        if (r->flags & SCAN_DUP)
            continue;
        if (r->flags & SCAN_LATE) {
            *needed = true;
        } else if (r->state == SCAN_VOID || r->state == SCAN_WAITS) {
            *needed = r->id > va->limit;
        } else if (r->state != SCAN_SHOWN) {
            *needed =
                !long_gone && (rank < va->o->versions || next > va->limit);
            next = r->id;
            rank++;
        }
    }
}

static void find_needed(struct vacuum *va)
{
    const struct scan *s = &va->scan;
    size_t from = 0;

    va->needed = xcalloc(s->n_records, sizeof(*va->needed));
    while (from < s->n_records) {
        size_t to = from + 1;
        while (to < s->n_records &&
               s->records[s->same[to]].key == s->records[s->same[from]].key)
            to++;
        need_of_key(va, s->same + from, to - from);
        from = to;
    }
}

static bool is_referred_to(const struct vacuum *va, uint64_t message)
{
    size_t low = 0, high = va->v.n_refs;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (va->v.refs[mid] < message)
            low = mid + 1;
        else
            high = mid;
    }
    return low < va->v.n_refs && va->v.refs[low] == message;
}

/* Is this record told by this message, and by none better? */
static bool is_teller(const struct scan *s, uint32_t n)
{
    const struct scan_record *r = &s->records[n];

    if (!(r->flags & SCAN_DUP))
        return true;
    uint32_t best = scan_find_record(s, r->key, r->version, r->id);
    return s->records[best].message == NONE ||
           (s->records[best].flags & SCAN_BAD);
}

static bool is_needed(const struct vacuum *va, uint32_t n)
{
    const struct scan *s = &va->scan;
    const struct scan_record *r = &s->records[n];
    uint32_t best = scan_find_record(s, r->key, r->version, r->id);

    return is_teller(s, n) && va->needed[best];
}

/* The row message of a row that is there: the newest that shows one of its
 * versions. */
static uint32_t home_of(const struct scan *s, const struct scan_key *k)
{
    uint32_t best = NONE;

    if (!scan_live(s, k) || !s->thread)
        return NONE;
    for (uint32_t i = k->records; i != NONE; i = s->records[i].older) {
        const struct scan_record *r = &s->records[i];
        if (r->message != NONE && s->messages[r->message].place == 0 &&
            (r->flags & SCAN_ALONE) &&
            (r->state == SCAN_COUNTS || r->state == SCAN_SETTLED) &&
            (best == NONE || r->message > s->records[best].message))
            best = i;
    }
    return best;
}

static bool is_home(const struct scan *s, uint32_t message)
{
    const struct scan_message *m = &s->messages[message];

    for (uint32_t i = m->first; m->place == 0 && i < m->first + m->n; i++) {
        uint32_t home = home_of(s, s->keys[s->records[i].key]);
        if (home != NONE && s->records[home].message == message)
            return true;
    }
    return false;
}

/* --- the list ---------------------------------------------------------------
 */

static struct removal *add(struct vacuum *va, const char *kind,
                           uint64_t channel, uint64_t message, uint64_t bytes)
{
    if (va->n == va->cap) {
        va->cap = va->cap ? va->cap * 2 : 64;
        va->list = xrealloc(va->list, va->cap * sizeof(*va->list));
    }
    va->list[va->n] = (struct removal){
        .channel = channel,
        .message = message,
        .kind = kind,
        .key = NONE,
        .home = NONE,
        .bytes = bytes,
    };
    return &va->list[va->n++];
}

static void list_message(struct vacuum *va, uint32_t n)
{
    const struct scan *s = &va->scan;
    const struct scan_message *m = &s->messages[n];
    size_t versions = 0;

    if (m->late || m->n == 0 || is_referred_to(va, m->id) || is_home(s, n))
        return;
    for (uint32_t i = m->first; i < m->first + m->n; i++) {
        if (is_needed(va, i))
            return;
        versions += s->records[i].state != SCAN_SHOWN && is_teller(s, i);
    }
    const struct scan_record *first = &s->records[m->first];
    struct removal *rm =
        add(va,
            m->kind == MESSAGE_BATCH                       ? "batch"
            : m->place == 0 && (first->flags & SCAN_ALONE) ? "row_message"
                                                           : "version",
            m->place == 0 ? s->channel : s->thread, m->id, m->bytes);
    rm->versions = versions;
    if (m->kind != MESSAGE_BATCH)
        rm->key = first->key;
}

/* Attachments of a message that stays: those nobody refers to, and those that
 * are the texts of versions that may go. */
static void list_files(struct vacuum *va, size_t *at, uint32_t n)
{
    const struct scan *s = &va->scan;
    const struct scan_message *m = &s->messages[n];
    struct removal rm = {.message = m->id, .home = NONE, .key = NONE};
    bool goes = false;

    for (; *at < s->n_files && s->files[*at].message == n; ++*at) {
        const struct scan_file *f = &s->files[*at];
        bool keep = f->used;
        for (uint32_t i = m->first; i < m->first + m->n && keep; i++) {
            const struct scan_record *r = &s->records[i];
            if (r->file != f->id ||
                va->needed[scan_find_record(s, r->key, r->version, r->id)] ||
                i == m->first)
                continue;
            keep = false;
            rm.home = m->first;
            rm.versions++;
            rm.key = r->key;
        }
        if (keep && rm.n_keep < 4) {
            rm.keep[rm.n_keep++] = f->id;
        } else if (!keep) {
            goes = true;
            rm.bytes += f->size;
        }
    }
    if (!goes || m->late || is_referred_to(va, m->id) ||
        (rm.home != NONE && !is_home(s, n)))
        return;
    struct removal *out =
        add(va, "attachment", m->place == 0 ? s->channel : s->thread, m->id,
            rm.bytes);
    out->edit = true;
    out->home = rm.home;
    out->key = rm.key;
    out->versions = rm.versions;
    out->n_keep = rm.n_keep;
    memcpy(out->keep, rm.keep, sizeof(out->keep));
}

static bool is_listed(const struct vacuum *va, size_t from, uint64_t message)
{
    for (size_t i = from; i < va->n; i++)
        if (va->list[i].message == message)
            return true;
    return false;
}

static void list_messages(struct vacuum *va)
{
    const struct scan *s = &va->scan;
    size_t file = 0;

    for (uint32_t i = 0; i < s->n_messages; i++) {
        size_t before = va->n;
        const struct scan_message *m = &s->messages[i];
        if (m->kind == MESSAGE_RECORDS || m->kind == MESSAGE_BATCH)
            list_message(va, i);
        while (file < s->n_files && s->files[file].message < i)
            file++;
        if (m->kind == MESSAGE_RECORDS && !is_listed(va, before, m->id))
            list_files(va, &file, i);
    }
}

/* Snapshots that nothing needs, and marks that a later one has superseded. */
static void list_snapshots(struct vacuum *va)
{
    const struct scan *s = &va->scan;

    for (size_t i = 0; i < s->n_kept; i++) {
        const struct remote_message *m = &s->kept[i];
        uint64_t upto, from, bytes = m->content_len;
        struct snapshot_head head = {0};
        bool goes;
        for (size_t k = 0; k < m->n_files; k++)
            bytes += m->files[k].size;
        if (vacuum_mark_parse(m, &upto, &from)) {
            if (upto < va->v.vacuumed)
                add(va, "mark", s->thread, m->id, bytes);
            continue;
        }
        int r = snapshot_parse(m, &head, NULL);
        /* Only what is known to be superseded; and never one with a label. */
        goes = r == 0 && !head.label && !is_referred_to(va, m->id) &&
               !(head.part && is_young(m->id, PART_AGE_MS)) &&
               m->id < va->v.newest_snapshot;
        if (r == 0)
            snapshot_head_release(&head);
        if (goes)
            add(va, "snapshot", s->thread, m->id, bytes);
    }
}

/* --- indexes ----------------------------------------------------------------
 */

struct index_list {
    struct vacuum *va;
    uint64_t channel, over;
    size_t from;
};

static int take_index(void *arg, const struct remote_message *m,
                      struct err *err)
{
    struct index_list *il = arg;
    struct index_message im = {0};
    uint64_t bytes = m->content_len;

    (void)err;
    if (m->type != 0 || m->author_id != il->va->v.engine->core.self ||
        index_parse(m, &im, NULL) < 0)
        return 0;
    if (im.over > il->over)
        il->over = im.over;
    for (size_t i = 0; i < m->n_files; i++)
        bytes += m->files[i].size;
    add(il->va, "index_message", il->channel, m->id, bytes);
    index_message_release(&im);
    return 0;
}

static int list_index(struct vacuum *va, uint64_t channel, struct err *err)
{
    struct index_list il = {va, channel, 0, va->n};
    size_t kept = va->n;

    int r = verify_list(&va->v, channel, take_index, &il, err);
    for (size_t i = il.from; i < va->n; i++)
        if (va->list[i].message <= il.over)
            va->list[kept++] = va->list[i];
    va->n = kept;
    return r == -ENOENT || r == -EACCES ? 0 : r;
}

static int by_place(const void *a, const void *b)
{
    const struct removal *x = a, *y = b;

    if (x->channel != y->channel)
        return x->channel < y->channel ? -1 : 1;
    return x->message < y->message ? -1 : x->message > y->message;
}

static int make_list(struct vacuum *va, struct err *err)
{
    const struct scan *s = &va->scan;

    va->limit = id_of_ms(clock_wall_ms() - (int64_t)va->o->days * DAY_MS);
    int r = 0;

    find_needed(va);
    list_messages(va);
    list_snapshots(va);
    for (size_t i = 0; i < s->n_fields && r == 0; i++)
        if (s->fields[i].channel)
            r = list_index(va, s->fields[i].channel, err);
    if (va->n)
        qsort(va->list, va->n, sizeof(*va->list), by_place);
    return r;
}

/* --- doing it ---------------------------------------------------------------
 */

static int tell(struct vacuum *va, const struct removal *rm, struct err *err)
{
    const struct scan_key *k = rm->key == NONE ? NULL : va->scan.keys[rm->key];
    struct vacuumed g = {
        .kind = rm->kind,
        .channel = rm->channel,
        .message = rm->message,
        .key = k ? k->text : NULL,
        .key_len = k ? k->len : 0,
        .versions = rm->versions,
        .bytes = rm->bytes,
    };

    va->sum->messages += !rm->edit;
    va->sum->versions += rm->versions;
    va->sum->bytes += rm->bytes;
    return va->gone(va->arg, &g, err);
}

static void note_own(struct ledger *l, const uint64_t *ids, size_t n)
{
    ledger_lock(l);
    for (size_t i = 0; i < n; i++)
        ledger_note_own_locked(&l->deleted, ids[i]);
    ledger_unlock(l);
}

static int delete_some(struct vacuum *va, const struct removal *rm, size_t n,
                       struct err *err)
{
    uint64_t ids[BULK_MOST];
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = n > 1 ? REMOTE_DELETE_MANY : REMOTE_DELETE,
        .channel = rm->channel,
        .message = n > 1 ? 0 : rm->message,
        .ids = n > 1 ? ids : NULL,
        .n_ids = n > 1 ? n : 0,
    };

    for (size_t i = 0; i < n; i++)
        ids[i] = rm[i].message;
    note_own(va->v.table->ledger, ids, n);
    int r = run(&va->v, &req, &reply, err);
    remote_reply_release(&reply);
    return r == -ENOENT ? 0 : r;
}

/* The row message again, with what it shows alone. */
static int write_home(struct vacuum *va, const struct removal *rm,
                      struct remote_request *req, struct buf *storage,
                      struct err *err)
{
    const struct scan *s = &va->scan;
    const struct scan_record *r = &s->records[rm->home];
    struct message_builder mb = {.find_tokens = true};
    AUTO_BUF struct buf who = BUF_INIT;
    AUTO_BUF struct buf text = BUF_INIT;
    struct record rec;

    uint32_t best = scan_find_record(s, r->key, r->version, r->id);
    int res = scan_fetch(s, best, &rec, &who, &text, err);
    if (res < 0)
        return res;
    rec.copy = rec.id != rm->message;
    rec.elsewhere = rec.copy;
    rec.joined = rec.kept_file = false;
    rec.file = 0;
    rec.file_name = NULL;
    message_add(&mb, &rec);
    res = message_finish(&mb, atomic_load(&va->v.table->ledger->max_file),
                         &req->draft, storage, err);
    message_builder_release(&mb);
    if (res == 0 && req->draft.n_files > 0)
        res = err_set(err, -ENOSPC, "its text has no room there");
    return res;
}

static int edit(struct vacuum *va, const struct removal *rm, struct err *err)
{
    struct remote_reply got = {0}, reply = {0};
    AUTO_BUF struct buf storage = BUF_INIT;
    struct remote_request get = {
        .op = REMOTE_GET,
        .channel = rm->channel,
        .message = rm->message,
    };
    struct remote_request req = {
        .op = REMOTE_EDIT,
        .channel = rm->channel,
        .message = rm->message,
    };

    int r = run(&va->v, &get, &got, err);
    if (r == 0 && rm->home != NONE)
        r = write_home(va, rm, &req, &storage, err);
    else if (r == 0)
        buf_add(&req.draft.content, got.messages[0].content,
                got.messages[0].content_len);
    if (r == 0) {
        memcpy(req.draft.keep, rm->keep, sizeof(rm->keep));
        req.draft.n_keep = rm->n_keep;
        r = run(&va->v, &req, &reply, err);
    }
    if (r == 0)
        ledger_event_message(va->v.table->ledger, &reply.messages[0], false);
    remote_draft_release(&req.draft);
    remote_reply_release(&reply);
    remote_reply_release(&got);
    return r == -ENOENT || r == -ENOSPC ? 0 : r;
}

/* So many from i on may go with one request. */
static size_t together(const struct vacuum *va, size_t i)
{
    size_t n = 1;

    if (va->list[i].edit || !is_young(va->list[i].message, BULK_AGE_MS))
        return 1;
    while (n < BULK_MOST && i + n < va->n && !va->list[i + n].edit &&
           va->list[i + n].channel == va->list[i].channel)
        n++;
    return n;
}

/* Came to be seen between the reading and the snapshot, and is not in that. */
static void drop_late(struct vacuum *va)
{
    size_t n = 0;

    for (size_t i = 0; i < va->n; i++)
        if (va->list[i].versions == 0 || va->list[i].message <= va->upto)
            va->list[n++] = va->list[i];
    va->n = n;
}

static int remove_all(struct vacuum *va, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < va->n && r == 0;) {
        size_t n = together(va, i);
        if (atomic_load(&va->v.engine->core.closing))
            return err_set(err, -ESHUTDOWN, "being closed");
        if (!va->o->dry_run)
            r = va->list[i].edit ? edit(va, &va->list[i], err)
                                 : delete_some(va, &va->list[i], n, err);
        for (size_t k = 0; k < n && r == 0; k++)
            r = tell(va, &va->list[i + k], err);
        i += n;
        if (!va->o->dry_run)
            verify_note(&va->v, "%s: %zu of %zu removed", va->v.name, i, va->n);
    }
    return r;
}

/* --- all --------------------------------------------------------------------
 */

/* What makes it unsafe to say which messages are still needed. */
static int check_sound(const struct vacuum *va, struct err *err)
{
    static const enum verify_kind unsafe[] = {
        KIND_missing_channel, KIND_missing_thread,  KIND_missing_permission,
        KIND_waiting_record,  KIND_lost_record,     KIND_row_differs,
        KIND_unknown_message, KIND_damaged_message, KIND_snapshot_differs,
    };

    for (const struct item *it = va->v.items; it; it = it->next) {
        if (it->f.severity != FINDING_ERROR)
            continue;
        for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
            if (strcmp(it->f.kind, verify_kind_name(unsafe[i])) == 0)
                return err_set(err, -EBUSY,
                               "%s; run verify with repair first: nothing is "
                               "removed until it finds no such errors",
                               it->f.text);
    }
    return 0;
}

static bool loses_versions(const struct vacuum *va)
{
    for (size_t i = 0; i < va->n; i++)
        if (va->list[i].versions > 0)
            return true;
    return false;
}

static int nothing(void *arg, const struct finding *f, struct err *err)
{
    (void)arg;
    (void)f;
    (void)err;
    return 0;
}

static int examine(struct vacuum *va, struct table *t, struct err *err)
{
    int r = ledger_open_wait(t->ledger, err);

    if (r == 0)
        r = verify_init(&va->v, table_namespace(t), err);
    if (r < 0)
        return r;
    r = verify_examine(&va->v, t, &va->scan, err);
    if (r == 0)
        r = check_sound(va, err);
    if (r == 0)
        r = make_list(va, err);
    if (r == 0 && !va->o->dry_run && loses_versions(va))
        r = vacuum_begin(&va->v, va->o->by, 2, &va->sum->snapshot, &va->upto,
                         err);
    if (r == 0) {
        drop_late(va);
        r = remove_all(va, err);
    }
    verify_leave(&va->v);
    verify_release(&va->v);
    return r;
}

int table_vacuum_wait(struct table *t, const struct vacuum_options *o,
                      vacuum_gone *gone, void *arg, struct vacuum_summary *sum,
                      struct err *err)
{
    struct verify_options vo = {.progress = o->progress};
    struct verify_summary ignored = {0};
    struct vacuum va = {
        .v = {.o = &vo, .found = nothing, .arg = arg, .sum = &ignored},
        .o = o,
        .gone = gone,
        .arg = arg,
        .sum = sum,
        .upto = UINT64_MAX,
    };

    *sum = (struct vacuum_summary){0};
    if (!o->dry_run && t->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only: nothing is removed");
    int r = examine(&va, t, err);
    free(va.needed);
    free(va.list);
    return r;
}
