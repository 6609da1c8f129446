/* Healing what a verification found. Nothing in here takes away what is told
 * nowhere else; most of it tells again what is still known somewhere: in the
 * open table, in a snapshot, in a copy.
 *
 * In this order, since one may need the other: the thread, lost records, rows
 * that this process has otherwise, attachments, rows whose base is lost, row
 * messages, indexes, snapshots. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/checkpoint.h"
#include "engine/ledger_impl.h"
#include "engine/text.h"
#include "engine/verify_impl.h"

#define ULL(x) ((unsigned long long)(x))

/* Records that are told again leave in batches of at most so many. */
#define TELL_RECORDS 5000

/* The background writer is waited for this long for each row message, and a
 * minute: edits of old messages are held to one in two seconds. */
#define HOME_MS 3000
#define PATIENCE_MS 60000

static struct ledger *ledger_of(const struct verify *v)
{
    return v->table ? v->table->ledger : v->ns->ledger;
}

static int run(const struct verify *v, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    req->priority = REMOTE_NORMAL;
    int r = remote_run(v->engine->core.remote, req, reply, err);
    remote_draft_release(&req->draft);
    return r;
}

/* Why it could not be done goes with the finding. */
static void failed(struct item *it, int r, const struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, "%s; it could not be repaired: %s", it->f.text,
               err_text(err, r));
    free(it->text);
    it->f.text = it->text = buf_take_str(&b);
}

static int get_message(const struct verify *v, uint64_t channel, uint64_t id,
                       struct remote_reply *reply, struct err *err)
{
    struct remote_request req = {
        .op = REMOTE_GET,
        .channel = channel,
        .message = id,
    };
    return run(v, &req, reply, err);
}

/* --- the thread -------------------------------------------------------------
 */

static void repair_thread(struct verify *v, struct item *it)
{
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;
    struct remote_request req = {
        .op = REMOTE_THREAD_START,
        .channel = v->scan->channel,
        .message = v->scan->thread,
        .name = "history",
    };

    int r = run(v, &req, &reply, &err);
    if (r == 0 && reply.channels[0].id != v->scan->thread)
        r = err_set(&err, -EIO, "the new thread has another id");
    if (r == 0)
        it->f.repaired = true;
    else
        failed(it, r, &err);
    remote_reply_release(&reply);
}

/* --- telling again ----------------------------------------------------------
 */

/* A batch of copies being put together. */
struct telling {
    struct message_builder builder;
    struct item *items[TELL_RECORDS];
    struct row *rows[TELL_RECORDS];
    struct text *texts[TELL_RECORDS];
    size_t n, bytes;
};

static void told_release(struct telling *t)
{
    for (size_t i = 0; i < t->n; i++) {
        row_unref(t->rows[i]);
        text_unref(t->texts[i]);
    }
    message_builder_release(&t->builder);
    t->builder = (struct message_builder){0};
    t->n = t->bytes = 0;
}

static void tell_flush(struct verify *v, struct telling *t)
{
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;
    AUTO_BUF struct buf storage = BUF_INIT;
    struct ledger *l = ledger_of(v);
    struct remote_request req = {
        .op = REMOTE_POST,
        .channel = v->scan->thread ? v->scan->thread : v->scan->channel,
    };

    if (t->n == 0)
        return;
    /* As a batch: a copy alone in a message looks like a row message. */
    t->builder.as_file = true;
    int r = message_finish(&t->builder, atomic_load(&l->max_file), &req.draft,
                           &storage, &err);
    if (r == 0)
        r = run(v, &req, &reply, &err);
    if (r == 0)
        ledger_event_message(l, &reply.messages[0], true);
    for (size_t i = 0; i < t->n; i++) {
        t->items[i]->f.repaired = r == 0;
        if (r < 0)
            failed(t->items[i], r, &err);
    }
    remote_reply_release(&reply);
    told_release(t);
}

static const struct record *find_known(const struct verify *v,
                                       const struct item *it)
{
    for (const struct known *kn = v->known; kn; kn = kn->next)
        if (kn->record.id == it->f.message &&
            kn->record.key_len == it->f.key_len &&
            memcmp(kn->record.key, it->f.key, it->f.key_len) == 0 &&
            (kn->record.text || kn->record.verb == RECORD_DELETE))
            return &kn->record;
    return NULL;
}

/* The record of what the open table has, with its text. */
static bool record_of_row(const struct verify *v, struct row *row,
                          struct record *rec, struct text **text)
{
    *rec = (struct record){
        .verb = row->deleted ? RECORD_DELETE : RECORD_PUT,
        .version = row->version,
        .id = row->id,
        .base = row->base,
        .at_ms = row->at_ms,
        .mtime_ms = row->mtime_ms,
        .key = row_key(row),
        .key_len = row->key_len,
        .by = row->by,
        .by_len = strlen(row->by),
        .text = row_text(row),
        .text_len = row->deleted ? 0 : row->text_len - 1u,
    };
    if (row->version > 1 && !row->base)
        return false; /* a snapshot did not tell */
    if (!row->deleted && !rec->text) {
        *text = text_find(v->engine->core.texts, row->file);
        rec->text = *text ? (*text)->data : NULL;
    }
    return row->deleted || rec->text;
}

static void tell_one(struct verify *v, struct telling *t, struct item *it)
{
    struct ledger *l = ledger_of(v);
    struct text *text = NULL;
    struct record rec;

    struct row *row = ledger_head(l, it->f.key, it->f.key_len);
    const struct record *known = find_known(v, it);
    bool have =
        row && row->id == it->f.message && record_of_row(v, row, &rec, &text);
    if (!have && known) {
        rec = *known;
        have = true;
    }
    if (!have) {
        row_unref(row);
        text_unref(text);
        return;
    }
    rec.verb = rec.verb == RECORD_WAS ? RECORD_PUT : rec.verb;
    rec.copy = true;
    rec.alone = rec.joined = rec.elsewhere = rec.kept_file = false;
    rec.file = 0;
    rec.file_name = NULL;
    it->f.repairable = true;
    size_t len = batch_line_len(&rec);
    uint64_t room = atomic_load(&l->max_file) / 2;
    if (t->n == TELL_RECORDS || (t->n > 0 && t->bytes + len > room))
        tell_flush(v, t);
    message_add(&t->builder, &rec);
    t->items[t->n] = it;
    t->rows[t->n] = row;
    t->texts[t->n++] = text;
    t->bytes += len;
}

/* --- rows that this process has otherwise -----------------------------------
 */

static void repair_row(struct verify *v, struct item *it)
{
    const struct scan *s = v->scan;
    const struct scan_record *rec = &s->records[it->record];
    struct core *core = &v->engine->core;
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;

    if (rec->message == NONE)
        return;
    const struct scan_message *m = &s->messages[rec->message];
    int r = get_message(v, m->place == 0 ? s->channel : s->thread, m->id,
                        &reply, &err);
    if (r == 0) {
        ledger_event_message(ledger_of(v), &reply.messages[0], true);
        core_wait_zero(core, &core->catching_up, PATIENCE_MS);
        struct row *row = ledger_head(ledger_of(v), it->f.key, it->f.key_len);
        it->f.repaired = row && row->id >= rec->id;
        row_unref(row);
    } else {
        failed(it, r, &err);
    }
    remote_reply_release(&reply);
}

/* --- attachments ------------------------------------------------------------
 */

/* The text of a record whose own attachment is bad: from memory, or from
 * another message that tells it. */
static bool find_text(struct verify *v, const struct item *it, struct buf *out)
{
    const struct scan *s = v->scan;
    uint32_t record = it->record;

    /* Its message cannot be read without it: what the open table has. */
    if (record == NONE) {
        struct row *row = ledger_head(ledger_of(v), it->f.key, it->f.key_len);
        struct text *kept = row && row->holder == it->f.message && row->file
                                ? text_find(v->engine->core.texts, row->file)
                                : NULL;
        if (kept)
            buf_add(out, kept->data, kept->len - 1);
        text_unref(kept);
        row_unref(row);
        return out->len > 0;
    }
    const struct scan_record *r = &s->records[record];
    const struct scan_key *k = s->keys[r->key];

    struct text *text = text_find(v->engine->core.texts, r->file);
    if (text)
        buf_add(out, text->data, text->len - 1);
    text_unref(text);
    for (uint32_t i = k->records; !out->len && i != NONE;
         i = s->records[i].older) {
        const struct scan_record *o = &s->records[i];
        if (o->id == r->id && o->version == r->version && i != record &&
            (o->flags & SCAN_TEXT) && !(o->flags & SCAN_BAD) &&
            scan_fetch(s, i, NULL, NULL, out, NULL) < 0)
            buf_reset(out);
    }
    return out->len > 0;
}

/* The name that a message gives to its attachment, as "… in \"name\" len …". */
static bool name_of_file(const struct remote_message *m, struct buf *out)
{
    const char *at = strstr(m->content, " in \"");
    const char *end = at ? strstr(at + 5, "\" len ") : NULL;

    if (!end)
        return false;
    buf_add(out, at + 5, (size_t)(end - at - 5));
    return true;
}

static void repair_file(struct verify *v, struct item *it)
{
    const struct scan *s = v->scan;
    AUTO_BUF struct buf text = BUF_INIT;
    AUTO_BUF struct buf name = BUF_INIT;
    struct remote_reply got = {0}, reply = {0};
    struct err err = ERR_INIT;

    if (!find_text(v, it, &text))
        return;
    it->f.repairable = true;
    int r = get_message(v, it->f.channel, it->f.message, &got, &err);
    struct remote_message *m = r == 0 ? &got.messages[0] : NULL;
    if (m && name_of_file(m, &name)) {
        struct remote_request req = {
            .op = REMOTE_EDIT,
            .channel = it->f.channel,
            .message = it->f.message,
        };
        buf_add(&req.draft.content, m->content, m->content_len);
        req.draft.files[0] = (struct remote_upload){
            .name = name.data,
            .type = "application/json",
            .data = text.data,
            .len = text.len,
        };
        req.draft.n_files = 1;
        for (size_t i = 0; i < m->n_files && req.draft.n_keep < 4; i++)
            if (it->record == NONE ||
                m->files[i].id != s->records[it->record].file)
                req.draft.keep[req.draft.n_keep++] = m->files[i].id;
        r = run(v, &req, &reply, &err);
        if (r == 0) {
            ledger_event_message(ledger_of(v), &reply.messages[0], false);
            it->f.repaired = true;
        }
    }
    if (r < 0)
        failed(it, r, &err);
    remote_reply_release(&reply);
    remote_reply_release(&got);
}

/* --- rows whose base is lost ------------------------------------------------
 */

/* The newest of those that wait for it. */
static uint32_t last_waiting(const struct scan *s, uint32_t record)
{
    uint32_t best = record;
    uint32_t key = s->records[record].key;

    for (uint32_t i = s->keys[key]->records; i != NONE;
         i = s->records[i].older) {
        const struct scan_record *r = &s->records[i];
        if (r->state == SCAN_WAITS && !(r->flags & SCAN_DUP) &&
            (r->version > s->records[best].version ||
             (r->version == s->records[best].version &&
              r->id < s->records[best].id)))
            best = i;
    }
    return best;
}

static void repair_rewrite(struct verify *v, struct item *it)
{
    const struct scan *s = v->scan;
    uint32_t n = last_waiting(s, it->record);
    AUTO_BUF struct buf who = BUF_INIT;
    AUTO_BUF struct buf text = BUF_INIT;
    AUTO_STR char *by = NULL;
    struct record rec;
    struct err err = ERR_INIT;

    if (!v->table)
        return;
    /* What it waits for may have been told again just now. */
    for (const struct item *o = v->items; o; o = o->next)
        if (o->how == REPAIR_TELL && o->f.repaired &&
            o->f.message == s->records[it->record].base &&
            o->f.key_len == it->f.key_len &&
            memcmp(o->f.key, it->f.key, o->f.key_len) == 0) {
            it->f.repairable = it->f.repaired = true;
            return;
        }
    /* Where the open table has what waits, what it builds on is known here and
     * nowhere else: then a snapshot says so, and history begins with it. */
    struct row *row = ledger_head(v->table->ledger, it->f.key, it->f.key_len);
    bool known = row && row->id == s->records[n].id;
    row_unref(row);
    if (known) {
        it->how = REPAIR_BEGIN;
        return;
    }
    int r = scan_fetch(s, n, &rec, &who, &text, &err);
    if (r < 0) {
        failed(it, r, &err);
        return;
    }
    it->f.repairable = true;
    by = xstrndup(rec.by, rec.by_len);
    struct write w = {
        .kind = rec.verb == RECORD_DELETE ? WRITE_DELETE : WRITE_PUT,
        .key = rec.key,
        .key_len = rec.key_len,
        .text = rec.verb == RECORD_DELETE ? NULL : text.data,
        .text_len = rec.verb == RECORD_DELETE ? 0 : text.len,
        .mtime_ms = rec.mtime_ms,
        .by = by,
    };
    row = NULL;
    r = ledger_write_wait(v->table->ledger, &w, &row, &err);
    row_unref(row);
    /* What was to be deleted is not there. */
    if (r == 0 || (r == -ENOENT && w.kind == WRITE_DELETE))
        it->f.repaired = true;
    else
        failed(it, r, &err);
}

static void repair_begin(struct verify *v)
{
    struct err err = ERR_INIT;
    uint64_t snapshot, upto;
    bool begun = false;
    int r = 0;

    for (struct item *it = v->items; it; it = it->next) {
        if (it->how != REPAIR_BEGIN)
            continue;
        it->f.repairable = true;
        if (!begun)
            r = vacuum_begin(v, NULL, 1, &snapshot, &upto, &err);
        begun = true;
        it->f.repaired = r == 0;
        if (r < 0)
            failed(it, r, &err);
    }
}

/* --- row messages -----------------------------------------------------------
 */

static void repair_home(struct verify *v, struct item *it)
{
    struct ledger *l = v->table->ledger;
    struct remote_reply reply = {0};

    int r = get_message(v, v->scan->channel, it->f.message, &reply, NULL);
    if (r == 0)
        ledger_event_message(l, &reply.messages[0], false);
    if (r == 0 || r == -ENOENT)
        ledger_mend_home(l, it->f.key, it->f.key_len, it->f.message,
                         r == -ENOENT);
    remote_reply_release(&reply);
}

/* Does the row message show what it should now? */
static bool is_mended(struct verify *v, const struct item *it)
{
    struct remote_reply reply = {0};
    struct records rs = {0};
    bool good;

    struct row *row = ledger_head(v->table->ledger, it->f.key, it->f.key_len);
    int r = get_message(v, v->scan->channel, it->f.message, &reply, NULL);
    if (r < 0) {
        good = r == -ENOENT && row &&
               (row->deleted || (row->home != it->f.message && row->home != 0));
    } else {
        good = message_parse(&reply.messages[0], &rs, NULL) == 0 && rs.n > 0 &&
               row && rs.list[0].id == row->id;
    }
    records_release(&rs);
    remote_reply_release(&reply);
    row_unref(row);
    return good;
}

static void repair_homes(struct verify *v)
{
    struct core *core = &v->engine->core;
    int64_t patience = PATIENCE_MS;
    size_t n = 0;

    for (struct item *it = v->items; it; it = it->next) {
        if (it->how != REPAIR_HOME || !it->f.key)
            continue;
        repair_home(v, it);
        patience += HOME_MS;
        n++;
    }
    if (n == 0)
        return;
    core_wait_zero(core, &core->unsettled, patience);
    for (struct item *it = v->items; it; it = it->next)
        if (it->how == REPAIR_HOME && it->f.key) {
            it->f.repairable = true;
            it->f.repaired = is_mended(v, it);
        }
}

static void repair_delete(struct verify *v, struct item *it)
{
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;
    struct remote_request req = {
        .op = REMOTE_DELETE,
        .channel = it->f.channel,
        .message = it->f.message,
    };

    int r = run(v, &req, &reply, &err);
    remote_reply_release(&reply);
    if (r == 0 || r == -ENOENT) {
        ledger_event_deleted(v->table->ledger, it->f.channel, &it->f.message,
                             1);
        it->f.repaired = true;
    } else {
        failed(it, r, &err);
    }
}

/* --- indexes and snapshots --------------------------------------------------
 */

/* A message of the log that says what is not so: all that is so has been
 * written anew, and nothing in an index is told there alone. */
static int remove_wrong(struct verify *v, const struct item *it,
                        struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_DELETE,
        .channel = it->f.channel,
        .message = it->f.message,
    };

    if (!it->f.message)
        return 0;
    int r = run(v, &req, &reply, err);
    remote_reply_release(&reply);
    return r == -ENOENT ? 0 : r;
}

static void repair_index(struct verify *v, const char *field)
{
    struct err err = ERR_INIT;

    verify_note(v, "%s: writing the index of '%s' anew", v->name, field);
    int r = table_reindex(v->table, field, NULL, NULL, &err);
    for (struct item *it = v->items; it; it = it->next) {
        if (it->how != REPAIR_INDEX || it->field != field)
            continue;
        it->f.repairable = true;
        int removed = r == 0 ? remove_wrong(v, it, &err) : r;
        it->f.repaired = removed == 0;
        if (removed < 0)
            failed(it, removed, &err);
    }
}

static void repair_indexes(struct verify *v)
{
    for (size_t i = 0; i < v->scan->n_fields; i++)
        for (struct item *it = v->items; it; it = it->next)
            if (it->how == REPAIR_INDEX &&
                it->field == v->scan->fields[i].name) {
                repair_index(v, it->field);
                break;
            }
}

/* A checkpoint takes the place of those without a label that are damaged. */
static void repair_snapshots(struct verify *v)
{
    struct err err = ERR_INIT;
    uint64_t id;
    bool taken = false;
    int r = 0;

    for (struct item *it = v->items; it; it = it->next) {
        if (it->how != REPAIR_CHECKPOINT)
            continue;
        it->f.repairable = true;
        if (!taken)
            r = checkpoint_take(v->table->ledger, NULL, NULL, true,
                                REMOTE_NORMAL, &id, &err);
        taken = true;
        int removed = r == 0 ? remove_wrong(v, it, &err) : r;
        it->f.repaired = removed == 0;
        if (removed < 0)
            failed(it, removed, &err);
    }
}

/* --- the catalog ------------------------------------------------------------
 */

static void repair_entry(struct verify *v, struct item *it)
{
    struct err err = ERR_INIT;
    struct write w = {
        .kind = WRITE_DELETE,
        .key = it->f.key,
        .key_len = it->f.key_len,
    };

    it->f.repairable = true;
    int r = ledger_write_wait(v->ns->ledger, &w, NULL, &err);
    it->f.repaired = r == 0 || r == -ENOENT;
    if (!it->f.repaired)
        failed(it, r, &err);
    else
        catalog_sync(v->ns, true);
}

/* --- all --------------------------------------------------------------------
 */

static void each(struct verify *v, enum repair_how how,
                 void (*fn)(struct verify *v, struct item *it))
{
    for (struct item *it = v->items; it; it = it->next)
        if (it->how == how)
            fn(v, it);
}

/* What a message said that nobody can read is healed when all is told again
 * that it committed and that is known. */
static void judge_told(struct verify *v)
{
    for (struct item *it = v->items; it; it = it->next) {
        size_t told = 0, not = 0;
        if (it->how != REPAIR_TOLD)
            continue;
        for (const struct item *o = v->items; o; o = o->next)
            if (o->how == REPAIR_TELL && o->f.message == it->f.message) {
                told += o->f.repaired;
                not += !o->f.repaired;
            }
        it->f.repairable = told > 0;
        it->f.repaired = told > 0 && not == 0;
    }
}

static bool is_needed(const struct verify *v)
{
    for (const struct item *it = v->items; it; it = it->next)
        if (it->how != REPAIR_NOT)
            return true;
    return false;
}

int verify_repair(struct verify *v, struct err *err)
{
    if (!is_needed(v))
        return 0;
    verify_note(v, "%s: repairing", v->name ? v->name : "catalog");
    int r = ledger_open_wait(ledger_of(v), err);
    if (r < 0)
        return r;

    each(v, REPAIR_THREAD, repair_thread);
    struct telling *t = xcalloc(1, sizeof(*t));
    for (struct item *it = v->items; it; it = it->next)
        if (it->how == REPAIR_TELL && it->f.key)
            tell_one(v, t, it);
    tell_flush(v, t);
    free(t);
    each(v, REPAIR_ROW, repair_row);
    judge_told(v);
    if (!v->table) {
        each(v, REPAIR_ENTRY, repair_entry);
        return 0;
    }
    each(v, REPAIR_FILE, repair_file);
    each(v, REPAIR_REWRITE, repair_rewrite);
    repair_begin(v);
    each(v, REPAIR_DELETE, repair_delete);
    repair_homes(v);
    repair_indexes(v);
    repair_snapshots(v);
    return 0;
}
