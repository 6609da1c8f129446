/* The channel of an index against the rows, both ways: what rows have and the
 * log does not tell, and what the log tells and rows do not have. What came
 * behind the log's mark is still to be written, and no finding. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/index_log.h"
#include "engine/index_text.h"
#include "engine/verify_impl.h"

#define ULL(x) ((unsigned long long)(x))

struct index_check {
    struct verify *v;
    const struct scan_field *f;
    size_t field;
    struct index_log *log;
    uint64_t upto[2];
    bool writing;  /* this process has entries of it still to write */
    size_t behind; /* so many rows the log does not claim to have */
};

static struct item *add(struct index_check *c, enum verify_kind kind,
                        uint64_t message, const struct scan_key *k,
                        const char *text)
{
    struct item *it =
        verify_add(c->v, kind, c->f->channel, message, k, "%s", text);

    if (it) {
        it->how = REPAIR_INDEX;
        it->field = c->f->name;
    }
    return it;
}

static int take_message(void *arg, const struct remote_message *m,
                        struct err *err)
{
    struct index_check *c = arg;
    struct index_message im = {0};
    AUTO_BUF struct buf file = BUF_INIT;
    struct err why = ERR_INIT;

    if (m->type != 0)
        return 0;
    if (m->author_id != c->v->engine->core.self || !message_is_ours(m)) {
        verify_add(c->v, KIND_foreign_message, c->f->channel, m->id, NULL,
                   "message %llu in the channel of the index of '%s' is not "
                   "the database's: somebody wrote it",
                   ULL(m->id), c->f->name);
        return 0;
    }
    int r = index_parse(m, &im, &why);
    if (r == 0 && im.file) {
        r = verify_download(c->v, m, im.file, &file, &why);
        if (r < 0 && !verify_is_files_fault(r)) {
            *err = why;
            index_message_release(&im);
            return r;
        }
        if (r == 0)
            r = index_parse_file(&im, m->id, file.data, file.len, &why);
    }
    if (r == 0) {
        index_log_add(c->log, m->id, &im);
    } else {
        add(c, KIND_damaged_index_message, m->id, NULL, err_text(&why, r));
    }
    if (im.arena.data || im.list)
        index_message_release(&im);
    return 0;
}

/* Has this record had its say in the log? */
static bool is_covered(const struct index_check *c, const struct scan_record *r)
{
    const struct scan *s = c->v->scan;

    if (r->flags & SCAN_LATE)
        return false;
    if (r->message != NONE && s->messages[r->message].id == r->id)
        return r->id <= c->upto[s->messages[r->message].place];
    return r->id <= c->upto[0] && r->id <= c->upto[1];
}

/* Is what the row has in this field known? */
static bool is_known(const struct index_check *c, const struct scan_record *r)
{
    return !(r->flags & SCAN_BAD) && !(r->file && c->v->scan->skip_files);
}

/* Is the row of an entry nowhere, though nobody deleted it? Then its message,
 * the only one there was, is gone, and the entry is all that is left. Where a
 * snapshot or memory has it that was said already. */
static bool is_all_that_is_left(const struct index_check *c,
                                const struct index_hit *h)
{
    if (!h->value || h->of <= c->v->vacuumed ||
        scan_find_message(c->v->scan, h->of) != NONE)
        return false;
    for (const struct known *kn = c->v->known; kn; kn = kn->next)
        if (kn->record.key_len == h->key_len &&
            memcmp(kn->record.key, h->key, h->key_len) == 0)
            return false;
    struct row *row = ledger_find(c->v->table->ledger, h->key, h->key_len);
    row_unref(row);
    return row == NULL;
}

static void tell_lost(struct index_check *c, const struct index_hit *h)
{
    struct item *it = verify_add(
        c->v, KIND_lost_record, 0, h->of, NULL,
        "version %u of '%s' was committed by message %llu, which is not there "
        "any more; of the row only '%.*s' in '%s' is known, by the index",
        h->version, h->key, ULL(h->of),
        h->value_len > 80 ? 80 : (int)h->value_len, h->value, c->f->name);

    if (it) {
        it->f.key = it->key = xstrndup(h->key, h->key_len);
        it->f.key_len = h->key_len;
    }
}

static void check_hit(struct index_check *c, const struct index_hit *h)
{
    const struct scan *s = c->v->scan;
    const struct scan_key *k = scan_find_key(s, h->key, h->key_len);
    const struct scan_record *head =
        k && k->head != NONE ? &s->records[k->head] : NULL;
    bool live = head && !(head->flags & SCAN_DELETE);
    AUTO_BUF struct buf text = BUF_INIT;

    /* Of an older version, and the newer one may still be to come. */
    if (head && (!is_known(c, head) ||
                 (!is_covered(c, head) && h->version < head->version)))
        return;
    uint64_t has =
        live ? s->values[(size_t)k->head * s->n_fields + c->field] : 0;
    uint64_t told = h->value ? scan_value_hash(h->value, h->value_len) : 0;
    if (has == told)
        return;
    if (!k && is_all_that_is_left(c, h))
        tell_lost(c, h);
    if (!has) {
        buf_printf(&text, "message %llu says that '%s' has '%.*s' in '%s'; %s",
                   ULL(h->message), h->key,
                   h->value_len > 80 ? 80 : (int)h->value_len, h->value,
                   c->f->name,
                   live ? "the row has no such field" : "there is no such row");
        add(c, KIND_stray_index_entry, h->message, k, text.data);
    } else if (!told) {
        buf_printf(&text,
                   "message %llu says that '%s' has nothing in '%s', and the "
                   "row (version %u) has a value",
                   ULL(h->message), h->key, c->f->name, head->version);
        add(c, KIND_wrong_index_entry, h->message, k, text.data);
    } else {
        buf_printf(&text,
                   "message %llu says that '%s' has '%.*s' in '%s', and the "
                   "row (version %u) has something else",
                   ULL(h->message), h->key,
                   h->value_len > 80 ? 80 : (int)h->value_len, h->value,
                   c->f->name, head->version);
        add(c, KIND_wrong_index_entry, h->message, k, text.data);
    }
}

static void check_row(struct index_check *c, const struct scan_key *k)
{
    const struct scan *s = c->v->scan;
    const struct scan_record *head = scan_live(s, k);
    struct index_hit hit;
    AUTO_BUF struct buf text = BUF_INIT;

    if (!head || !is_known(c, head) || (head->flags & SCAN_LATE) ||
        !s->values[(size_t)k->head * s->n_fields + c->field] ||
        index_log_get(c->log, k->text, k->len, &hit))
        return;
    bool covered = is_covered(c, head);
    if (!covered && c->writing) {
        c->behind++;
        return;
    }
    buf_printf(&text, "the index of '%s' does not have the row '%s'%s",
               c->f->name, k->text,
               covered ? ""
                       : "; it does not claim to, and will be mended when "
                         "the table is opened to write");
    struct item *it = add(c, KIND_missing_index_entry, 0, k, text.data);
    if (it && !covered)
        it->f.severity = FINDING_WARNING;
}

/* What stands before the newest whole telling does not count any more. */
static void forgive_superseded(struct index_check *c)
{
    uint64_t over = index_log_over(c->log);

    for (struct item *it = c->v->items; it; it = it->next)
        if (it->f.channel == c->f->channel && it->f.message != 0 &&
            it->f.message <= over && it->how == REPAIR_INDEX) {
            it->how = REPAIR_NOT;
            it->f.severity = FINDING_NOTE;
            it->f.remedy = "Nothing: all it could say has been told again.";
        }
}

static bool is_writing(const struct verify *v, const char *field)
{
    bool behind = false;
    size_t n;

    struct table_index *list = table_indexes(v->table, &n);
    for (size_t i = 0; i < n; i++)
        behind |= strcmp(list[i].field, field) == 0 && list[i].behind > 0;
    table_indexes_free(list, n);
    return behind;
}

static int check_index(struct verify *v, size_t field, struct err *err)
{
    const struct scan *s = v->scan;
    struct index_check c = {
        .v = v,
        .f = &s->fields[field],
        .field = field,
        .log = index_log_new(),
    };
    struct index_hit hit;

    c.writing = is_writing(v, c.f->name);
    verify_note(v, "%s: reading the index of '%s'", v->name, c.f->name);
    int r = verify_list(v, c.f->channel, take_message, &c, err);
    if (r == 0) {
        index_log_upto(c.log, c.upto);
        forgive_superseded(&c);
        for (size_t at = 0; index_log_next(c.log, &at, &hit);)
            check_hit(&c, &hit);
        for (size_t i = 0; i < s->n_keys; i++)
            check_row(&c, s->keys[i]);
        if (c.behind)
            verify_add(v, KIND_index_behind, c.f->channel, 0, NULL,
                       "the index of '%s' does not have %zu rows yet",
                       c.f->name, c.behind);
    }
    index_log_free(c.log);
    /* Gone, or hidden: the channels have been told of. */
    return r == -ENOENT || r == -EACCES ? 0 : r;
}

int verify_indexes(struct verify *v, struct err *err)
{
    const struct scan *s = v->scan;
    int r = 0;

    for (size_t i = 0; i < s->n_fields && r == 0; i++)
        if (s->fields[i].channel && verify_channel(v, s->fields[i].channel))
            r = check_index(v, i, err);
    return r;
}
