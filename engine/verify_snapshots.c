/* Snapshots against the messages. None is believed for what messages tell,
 * with one exception: what stands before the mark of a vacuum may be gone, and
 * then the snapshot of that time is the beginning.
 *
 *     thread     v1 ... v9  [snapshot S]  [vacuum upto X from S]  v10 ...
 *     told       by S's file as facts <-+                          by itself
 *
 * All snapshots that can be read are held against the records: a version that
 * one has and no message tells was lost. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/ledger_impl.h"
#include "engine/snapshot_text.h"
#include "engine/vacuum_mark.h"
#include "engine/value.h"
#include "engine/verify_impl.h"

#define ULL(x) ((unsigned long long)(x))
#define NAMED_LOST 1000

/* A message of a snapshot. */
struct snap {
    struct remote_message m;
    struct snapshot_head head;
    bool refers; /* a snapshot names it as a part */
    bool kept;   /* by a vacuum: it may be needed yet, or has a label */
};

struct snaps {
    struct verify *v;
    struct snap *list;
    size_t n;

    struct snap *now; /* being read */
    size_t lines, rows;
    bool as_facts; /* of the vacuum's snapshot */
    struct buf arena;
};

static void keep(struct snaps *ss, const struct remote_message *m)
{
    struct verify *v = ss->v;
    struct err why = ERR_INIT;
    uint64_t upto, from;

    if (vacuum_mark_parse(m, &upto, &from)) {
        if (upto > v->vacuumed) {
            v->vacuumed = upto;
            v->vacuum_from = from;
        }
        return;
    }
    if (!snapshot_is(m))
        return;
    struct snap s = {0};
    remote_message_copy(&s.m, m);
    int r = snapshot_parse(&s.m, &s.head, &why);
    if (r < 0) {
        verify_add(v, KIND_damaged_snapshot, m->channel_id, m->id, NULL, "%s",
                   err_text(&why, r));
        remote_message_release(&s.m);
        return;
    }
    ss->list = xrealloc(ss->list, (ss->n + 1) * sizeof(*ss->list));
    ss->list[ss->n++] = s;
}

static struct snap *find(struct snaps *ss, uint64_t id)
{
    for (size_t i = 0; i < ss->n; i++)
        if (ss->list[i].m.id == id)
            return &ss->list[i];
    return NULL;
}

static void damaged(struct snaps *ss, const struct snap *s, const char *why)
{
    struct item *it = verify_add(
        ss->v, KIND_damaged_snapshot, s->m.channel_id, s->m.id, NULL,
        "the snapshot %llu%s%.*s%s "
        "cannot be read: %s",
        ULL(s->m.id), s->head.label ? " '" : "", (int)s->head.label_len,
        s->head.label ? s->head.label : "", s->head.label ? "'" : "", why);
    if (it && s->head.label)
        it->f.severity = FINDING_ERROR;
    else if (it)
        it->how = REPAIR_CHECKPOINT;
}

/* It took a version for good that does not count. */
static void check_counts(struct snaps *ss, const struct record *rec)
{
    struct scan *s = ss->v->scan;
    const struct scan_key *k = scan_find_key(s, rec->key, rec->key_len);
    uint32_t n = k && k->records != NONE
                     ? scan_find_record(s, s->records[k->records].key,
                                        rec->version, rec->id)
                     : NONE;

    if (n == NONE || s->records[n].state != SCAN_VOID)
        return;
    const struct snap *now = ss->now;
    struct item *it = verify_add(
        ss->v, KIND_snapshot_differs, now->m.channel_id, now->m.id, k,
        "the snapshot %llu has version %u of '%s' by message %llu, which does "
        "not count",
        ULL(now->m.id), rec->version, k->text, ULL(rec->id));
    if (it && !now->head.label)
        it->how = REPAIR_CHECKPOINT;
}

/* --- lines ------------------------------------------------------------------
 */

static void values_of(const struct scan *s, const struct snapshot_line *l,
                      uint64_t *out)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        AUTO_BUF struct buf b = BUF_INIT;
        bool has = l->rec.text ? value_find(l->rec.text, l->rec.text_len,
                                            s->fields[i].name, &b)
                               : l->values_len > 0 &&
                                     values_find(l->values, l->values_len,
                                                 s->fields[i].name, &b);
        out[i] = has ? scan_value_hash(b.data, b.len) : 0;
    }
}

static void note_place(struct verify *v, uint32_t key,
                       const struct snapshot_line *l)
{
    if (v->n_places == v->cap_places) {
        v->cap_places = v->cap_places ? v->cap_places * 2 : 64;
        v->places = xrealloc(v->places, v->cap_places * sizeof(*v->places));
    }
    v->places[v->n_places++] = (struct fact_place){
        .key = key,
        .id = l->rec.id,
        .home = l->home,
        .holder = l->rec.text ? 0 : l->rec.holder,
    };
}

static int by_key(const void *a, const void *b)
{
    const struct fact_place *x = a, *y = b;

    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* Of a chain of snapshots the later tell of some keys again. */
static void order_places(struct verify *v)
{
    size_t n = 0;

    if (v->n_places)
        qsort(v->places, v->n_places, sizeof(*v->places), by_key);
    for (size_t i = 0; i < v->n_places; i++)
        if (i + 1 == v->n_places || v->places[i + 1].key != v->places[i].key)
            v->places[n++] = v->places[i];
    v->n_places = n;
}

static void take_fact(struct snaps *ss, const struct snapshot_line *l)
{
    struct scan *s = ss->v->scan;
    struct record rec = l->rec;
    uint64_t *values = xcalloc(s->n_fields, sizeof(*values));

    if (rec.id > ss->v->vacuumed || rec.verb == RECORD_WAS) {
        free(values);
        return; /* behind the mark messages tell */
    }
    values_of(s, l, values);
    rec.alone = rec.copy = rec.joined = false;
    if (rec.text)
        record_digest(&rec, rec.text, rec.text_len, rec.sha);
    scan_add_fact(s, &rec, values);
    if (rec.verb == RECORD_PUT)
        note_place(ss->v, s->records[s->n_records - 1].key, l);
    free(values);
}

static bool is_told(const struct scan *s, const struct record *rec)
{
    const struct scan_key *k = scan_find_key(s, rec->key, rec->key_len);

    for (uint32_t i = k ? k->records : NONE; i != NONE;
         i = s->records[i].older) {
        const struct scan_record *r = &s->records[i];
        if (r->id == rec->id && r->version == rec->version &&
            (r->flags & (SCAN_TEXT | SCAN_DELETE)))
            return true;
    }
    return false;
}

static void take_lost(struct snaps *ss, const struct snapshot_line *l)
{
    struct verify *v = ss->v;
    const struct record *rec = &l->rec;
    struct known *kn;

    if (rec->verb == RECORD_WAS || rec->id <= v->vacuumed ||
        is_told(v->scan, rec))
        return;
    for (kn = v->known; kn; kn = kn->next)
        if (kn->record.id == rec->id && kn->record.version == rec->version &&
            kn->record.key_len == rec->key_len &&
            memcmp(kn->record.key, rec->key, rec->key_len) == 0)
            return;
    if (v->n_known == NAMED_LOST)
        return;
    verify_know(v, rec, ss->now->m.id);
}

static void refer(struct verify *v, uint64_t message)
{
    if (v->n_refs == v->cap_refs) {
        v->cap_refs = v->cap_refs ? v->cap_refs * 2 : 16;
        v->refs = xrealloc(v->refs, v->cap_refs * sizeof(*v->refs));
    }
    v->refs[v->n_refs++] = message;
}

static int take_line(void *arg, const char *line, size_t len, struct err *err)
{
    struct snaps *ss = arg;
    struct snapshot_line l;
    const char *why;
    size_t at;

    if (ss->lines++ == 0)
        return 0; /* the meta line */
    if (!snapshot_read_line(line, len, &ss->arena, &l, &why, &at))
        return err_set(err, -EBADMSG, "line %zu, byte %zu: expected %s",
                       ss->lines, at, why);
    ss->rows += l.rec.verb == RECORD_PUT;
    if (ss->now->kept && !ss->as_facts && l.rec.verb != RECORD_DELETE &&
        !l.rec.text)
        refer(ss->v, l.rec.holder);
    if (ss->as_facts)
        take_fact(ss, &l);
    else
        take_lost(ss, &l);
    if (!ss->as_facts && l.rec.verb != RECORD_WAS)
        check_counts(ss, &l.rec);
    return 0;
}

/* --- files ------------------------------------------------------------------
 */

static int feed(struct snaps *ss, struct snapshot_unpacker *u, struct snap *s,
                struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;

    int r = verify_download(ss->v, &s->m, s->head.file, &body, err);
    if (r == 0)
        r = snapshot_check_file(&s->head, s->m.id, body.data, body.len, err);
    if (r == 0)
        r = snapshot_unpack(u, body.data, body.len, err);
    return r;
}

/* One snapshot, all its parts. Problems of its own are findings. */
static int read_one(struct snaps *ss, struct snap *s, struct err *err)
{
    struct snapshot_unpacker *u = snapshot_unpacker_new(take_line, ss);
    struct err why = ERR_INIT;
    int r = 0;

    ss->now = s;
    ss->lines = ss->rows = 0;
    for (size_t i = 0; i < s->head.n_parts && r == 0; i++) {
        struct snap *part = find(ss, s->head.parts[i]);
        if (part)
            r = feed(ss, u, part, &why);
        else
            r = err_set(&why, -ENOENT, "its part %zu, message %llu, is gone",
                        i + 1, ULL(s->head.parts[i]));
    }
    if (r == 0)
        r = feed(ss, u, s, &why);
    if (r == 0)
        r = snapshot_unpack_end(u, &why);
    if (r == 0 && !s->head.over && ss->rows != s->head.rows)
        r = err_set(&why, -EBADMSG, "it has %zu rows, and says %llu", ss->rows,
                    ULL(s->head.rows));
    snapshot_unpacker_free(u);
    if (r == -EBADMSG || verify_is_files_fault(r)) {
        if (!ss->as_facts)
            damaged(ss, s, err_text(&why, r));
        return 0;
    }
    if (r < 0)
        *err = why;
    return r;
}

/* The beginning: the vacuum's snapshot, with what it builds on, oldest first,
 * or the first whole one behind it. */
static int read_facts(struct snaps *ss, struct err *err)
{
    struct verify *v = ss->v;
    struct snap *s = find(ss, v->vacuum_from);
    struct snap *chain[8];
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; !s && i < ss->n; i++)
        if (!ss->list[i].head.part && !ss->list[i].head.over &&
            ss->list[i].head.cut >= v->vacuumed)
            s = &ss->list[i];
    if (!s) {
        verify_add(v, KIND_damaged_snapshot, v->scan->thread, v->vacuum_from,
                   NULL,
                   "the snapshot %llu, with which the table's history begins "
                   "since it was vacuumed, is gone",
                   ULL(v->vacuum_from));
        return 0;
    }
    while (s && n < 8) {
        chain[n++] = s;
        s = s->head.over ? find(ss, s->head.over) : NULL;
    }
    ss->as_facts = true;
    while (n > 0 && r == 0)
        r = read_one(ss, chain[--n], err);
    ss->as_facts = false;
    return r;
}

/* With a label, the newest two of the others, and what they build on. */
static void find_kept(struct snaps *ss)
{
    size_t others = 0;

    for (size_t i = ss->n; i > 0; i--) {
        struct snap *s = &ss->list[i - 1];
        if (s->head.part)
            continue;
        if (!ss->v->newest_snapshot)
            ss->v->newest_snapshot = s->m.id;
        s->kept |= s->head.label || others++ < 2;
        /* What it builds on is older. */
        struct snap *base = s->kept ? find(ss, s->head.over) : NULL;
        if (base)
            base->kept = true;
    }
    for (size_t i = 0; i < ss->n; i++) {
        const struct snap *s = &ss->list[i];
        if (!s->kept)
            continue;
        refer(ss->v, s->m.id);
        for (size_t k = 0; k < s->head.n_parts; k++)
            refer(ss->v, s->head.parts[k]);
    }
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void find_orphan_parts(struct snaps *ss)
{
    for (size_t i = 0; i < ss->n; i++) {
        struct snap *s = &ss->list[i];
        for (size_t k = 0; k < s->head.n_parts; k++) {
            struct snap *part = find(ss, s->head.parts[k]);
            if (part)
                part->refers = true;
        }
    }
    for (size_t i = 0; i < ss->n; i++)
        if (ss->list[i].head.part && !ss->list[i].refers)
            verify_add(ss->v, KIND_orphan_part, ss->list[i].m.channel_id,
                       ss->list[i].m.id, NULL,
                       "message %llu is part %u of a snapshot that was never "
                       "completed, or is gone",
                       ULL(ss->list[i].m.id), ss->list[i].head.part);
}

void verify_know(struct verify *v, const struct record *r, uint64_t from)
{
    size_t text = r->text ? r->text_len : 0;
    struct known *kn = xmalloc(sizeof(*kn) + r->key_len + r->by_len + text + 1);
    char *at = kn->data;

    kn->record = *r;
    kn->from = from;
    kn->record.key = memcpy(at, r->key, r->key_len);
    at += r->key_len;
    kn->record.by = at;
    if (r->by_len)
        memcpy(at, r->by, r->by_len);
    at += r->by_len;
    kn->record.text = r->text ? at : NULL;
    if (text)
        memcpy(at, r->text, text);
    kn->record.values = kn->record.file_name = NULL;
    kn->next = v->known;
    v->known = kn;
    v->n_known++;
}

static void tell_lost(struct verify *v)
{
    for (struct known *kn = v->known; kn; kn = kn->next) {
        const struct record *r = &kn->record;
        const struct scan_key *k = scan_find_key(v->scan, r->key, r->key_len);
        struct item *it = verify_add(
            v, KIND_lost_record, 0, r->id, k,
            "version %u of '%.*s' was committed by message %llu, which is not "
            "there any more; the snapshot %llu has it",
            r->version, (int)r->key_len, r->key, ULL(r->id), ULL(kn->from));
        if (!it)
            continue;
        it->how = REPAIR_TELL;
        if (!it->f.key) {
            it->f.key = it->key = xstrndup(r->key, r->key_len);
            it->f.key_len = r->key_len;
        }
    }
}

int verify_snapshots(struct verify *v, struct err *err)
{
    struct snaps ss = {.v = v};
    int r = 0;

    v->vacuumed = v->vacuum_from = 0;
    for (size_t i = 0; i < v->scan->n_kept; i++)
        keep(&ss, &v->scan->kept[i]);
    if (v->vacuumed)
        r = read_facts(&ss, err);
    order_places(v);
    find_kept(&ss);
    if (r == 0)
        scan_play(v->scan);
    for (size_t i = 0; i < ss.n && r == 0; i++)
        if (!ss.list[i].head.part)
            r = read_one(&ss, &ss.list[i], err);
    if (r == 0) {
        find_orphan_parts(&ss);
        tell_lost(v);
    }
    if (v->n_refs)
        qsort(v->refs, v->n_refs, sizeof(*v->refs), by_number);
    for (size_t i = 0; i < ss.n; i++) {
        snapshot_head_release(&ss.list[i].head);
        remote_message_release(&ss.list[i].m);
    }
    free(ss.list);
    buf_release(&ss.arena);
    return r;
}
