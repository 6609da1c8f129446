/* A verification: the server's channels and the catalog first, then one table
 * after the other. What is found is gathered for each table, healed where that
 * is asked for and can be, and then told. */
#include "engine/verify.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/name.h"
#include "engine/text.h"
#include "engine/verify_impl.h"

/* So many of one kind are named one by one. */
#define NAMED_MOST 1000
#define FOREIGN_NAMED 5

#define TABLE_PREFIX "table/"
#define TABLE_CHANNEL "table-"
#define INDEX_CHANNEL "idx-"

static const struct {
    const char *name;
    enum finding_severity severity;
    const char *remedy;
} kinds[KINDS] = {
#define X(name, severity, remedy) {#name, FINDING_##severity, remedy},
    VERIFY_KINDS(X)
#undef X
};

const char *verify_kind_name(enum verify_kind k)
{
    return kinds[k].name;
}

const char *finding_severity_name(enum finding_severity s)
{
    static const char *const names[] = {"note", "warning", "error"};
    return names[s];
}

void verify_note(const struct verify *v, const char *fmt, ...)
{
    AUTO_BUF struct buf b = BUF_INIT;
    va_list ap;

    if (!v->o->progress)
        return;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    v->o->progress(v->arg, b.data);
}

/* --- findings ---------------------------------------------------------------
 */

struct item *verify_add(struct verify *v, enum verify_kind kind,
                        uint64_t channel, uint64_t message,
                        const struct scan_key *key, const char *fmt, ...)
{
    size_t most = kind == KIND_foreign_message ? FOREIGN_NAMED : NAMED_MOST;
    struct buf text = BUF_INIT;
    va_list ap;

    if (v->named[kind] == most) {
        v->unnamed[kind]++;
        return NULL;
    }
    v->named[kind]++;

    struct item *it = xcalloc(1, sizeof(*it));
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    it->record = NONE;
    it->table = v->name ? xstrdup(v->name) : NULL;
    it->key = key ? xstrndup(key->text, key->len) : NULL;
    it->text = buf_take_str(&text);
    it->f = (struct finding){
        .kind = kinds[kind].name,
        .severity = kinds[kind].severity,
        .table = it->table,
        .key = it->key,
        .key_len = key ? key->len : 0,
        .channel = channel,
        .message = message,
        .text = it->text,
        .remedy = kinds[kind].remedy,
    };
    *v->last = it;
    v->last = &it->next;
    return it;
}

static void item_free(struct item *it)
{
    free(it->table);
    free(it->key);
    free(it->text);
    free(it);
}

static void drop_items(struct verify *v)
{
    while (v->items) {
        struct item *it = v->items;
        v->items = it->next;
        item_free(it);
    }
    v->last = &v->items;
}

static int tell(struct verify *v, const struct finding *f, size_t n,
                struct err *err)
{
    struct verify_summary *sum = v->sum;

    if (f->severity == FINDING_NOTE)
        sum->notes += n;
    else if (f->severity == FINDING_WARNING)
        sum->warnings += n;
    else
        sum->errors += n;
    if (f->severity == FINDING_ERROR && !f->repaired)
        sum->unhealed += n;
    if (f->repaired && f->severity != FINDING_NOTE)
        sum->repaired += n;
    return v->found(v->arg, f, err);
}

/* What was gathered is healed, told and forgotten. */
static int tell_all(struct verify *v, struct err *err)
{
    int r = 0;

    if (v->o->repair)
        r = verify_repair(v, err);
    for (struct item *it = v->items; it && r == 0; it = it->next) {
        if (!v->o->repair)
            it->f.repairable = it->how != REPAIR_NOT;
        r = tell(v, &it->f, 1, err);
    }
    for (int k = 0; k < KINDS && r == 0; k++) {
        AUTO_BUF struct buf text = BUF_INIT;
        if (!v->unnamed[k])
            continue;
        buf_printf(&text, "%zu more of this kind", v->unnamed[k]);
        struct finding f = {
            .kind = kinds[k].name,
            .severity = kinds[k].severity,
            .table = v->name,
            .text = text.data,
            .remedy = kinds[k].remedy,
        };
        r = tell(v, &f, v->unnamed[k], err);
    }
    drop_items(v);
    memset(v->named, 0, sizeof(v->named));
    memset(v->unnamed, 0, sizeof(v->unnamed));
    return r;
}

/* --- asking -----------------------------------------------------------------
 */

int verify_list(const struct verify *v, uint64_t channel, verify_message *fn,
                void *arg, struct err *err)
{
    uint64_t at = channel;
    size_t n = 100;
    int r = 0;

    while (r == 0 && n == 100) {
        struct remote_reply reply = {0};
        struct remote_request req = {
            .op = REMOTE_LIST,
            .priority = REMOTE_NORMAL,
            .channel = channel,
            .after = at,
            .limit = 100,
        };
        if (atomic_load(&v->engine->core.closing))
            return err_set(err, -ESHUTDOWN, "being closed");
        r = remote_run(v->engine->core.remote, &req, &reply, err);
        n = r == 0 ? reply.n_messages : 0;
        for (size_t i = 0; i < n && r == 0; i++) {
            at = reply.messages[i].id;
            r = fn(arg, &reply.messages[i], err);
        }
        remote_reply_release(&reply);
        v->sum->messages += n;
    }
    return r;
}

int verify_download(const struct verify *v, const struct remote_message *m,
                    uint64_t file, struct buf *out, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .priority = REMOTE_NORMAL,
        .channel = m->channel_id,
        .message = m->id,
        .file = file,
    };

    int r = remote_run(v->engine->core.remote, &req, &reply, err);
    if (r < 0)
        return r;
    v->sum->files++;
    v->sum->file_bytes += reply.body.len;
    *out = buf_take(&reply.body);
    remote_reply_release(&reply);
    return 0;
}

/* --- channels ---------------------------------------------------------------
 */

const struct remote_channel *verify_channel(const struct verify *v, uint64_t id)
{
    for (size_t i = 0; i < v->n_channels; i++)
        if (v->channels[i].id == id)
            return &v->channels[i];
    return NULL;
}

static int list_channels(struct verify *v, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {.op = REMOTE_CHANNELS, .guild = v->db->id};

    int r = remote_run(v->engine->core.remote, &req, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the server's channels");
    v->channels = reply.channels;
    v->n_channels = reply.n_channels;
    reply.channels = NULL;
    reply.n_channels = 0;
    remote_reply_release(&reply);
    return 0;
}

/* What the bot may do in a channel it must read and write. */
static void check_rights(struct verify *v, const struct remote_channel *c,
                         const char *what)
{
    if (!c->viewable)
        verify_add(v, KIND_missing_permission, c->id, 0, NULL,
                   "the bot may not read %s: it needs View Channel and Read "
                   "Message History",
                   what);
    else if (!c->writable)
        verify_add(v, KIND_missing_permission, c->id, 0, NULL,
                   "the bot may not write in %s: it needs %s and Attach Files",
                   what,
                   c->kind == REMOTE_CHANNEL_THREAD ? "Send Messages in Threads"
                                                    : "Send Messages");
}

static void check_guild_rights(struct verify *v)
{
    static const struct {
        uint64_t bit;
        const char *name, *why;
    } needed[] = {
        {1u << 4, "Manage Channels", "make and remove tables and indexes"},
        {1u << 13, "Manage Messages", "remove many messages at once"},
        {UINT64_C(1) << 35, "Create Public Threads",
         "begin the history of a table"},
    };

    engine_lock(v->engine);
    uint64_t bits = v->db->permissions;
    engine_unlock(v->engine);
    for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++)
        if (!(bits & needed[i].bit) && !(bits & 1u << 3))
            verify_add(v, KIND_missing_permission, 0, 0, NULL,
                       "the bot lacks %s on this server: it cannot %s",
                       needed[i].name, needed[i].why);
}

/* Is this category one of the namespace's? "dbcord-prod", "dbcord-prod-2". */
static bool is_our_category(const struct verify *v, uint64_t id)
{
    const struct remote_channel *first = verify_channel(v, v->ns->category);
    const struct remote_channel *c = verify_channel(v, id);

    if (!first || !c || c->kind != REMOTE_CHANNEL_CATEGORY)
        return false;
    if (c == first)
        return true;
    size_t n = strlen(first->name);
    uint64_t nth;
    return strncmp(c->name, first->name, n) == 0 && c->name[n] == '-' &&
           str_to_u64(c->name + n + 1, &nth) && nth > 1;
}

/* An entry of the catalog, as far as channels go. */
struct entry_ids {
    uint64_t channel, history;
    uint64_t *indexes;
    size_t n_indexes;
};

static bool get_id(const char *text, size_t len, const char *member,
                   uint64_t *out)
{
    struct json_member m;

    return json_find(text, len, member, &m) && m.type == JSON_STRING &&
           m.value_len > 2 && str_to_u64_n(m.value + 1, m.value_len - 2, out);
}

/* The ids in "indexes":{"email":{"channel":"…"}}. */
static void add_index_ids(struct entry_ids *e, const char *text, size_t len)
{
    struct json_member all, one;

    if (!json_find(text, len, "indexes", &all) || all.type != JSON_OBJECT)
        return;
    for (size_t at = 0; json_next(all.value, all.value_len, &at, &one);) {
        uint64_t id;
        if (one.type != JSON_OBJECT ||
            !get_id(one.value, one.value_len, "channel", &id))
            continue;
        e->indexes =
            xrealloc(e->indexes, (e->n_indexes + 1) * sizeof(*e->indexes));
        e->indexes[e->n_indexes++] = id;
    }
}

/* The namespace's channels that no entry names. */
static void find_orphans(struct verify *v, const uint64_t *known, size_t n)
{
    for (size_t i = 0; i < v->n_channels; i++) {
        const struct remote_channel *c = &v->channels[i];
        bool wanted = c->id == v->ns->catalog;
        for (size_t k = 0; k < n && !wanted; k++)
            wanted = known[k] == c->id;
        if (wanted || c->kind != REMOTE_CHANNEL_TEXT ||
            !is_our_category(v, c->parent_id))
            continue;
        if (str_starts(c->name, TABLE_CHANNEL))
            verify_add(v, KIND_orphan_channel, c->id, 0, NULL,
                       "the channel %s is called as a table's is, and no table "
                       "has it: an interrupted table_create, or an entry that "
                       "was lost",
                       c->name);
        else if (str_starts(c->name, INDEX_CHANNEL))
            verify_add(v, KIND_orphan_channel, c->id, 0, NULL,
                       "the channel %s is called as an index's is, and no "
                       "table has it: an interrupted index_create or drop",
                       c->name);
    }
}

/* --- scanning ---------------------------------------------------------------
 */

static void scan_progress(void *arg, const char *text)
{
    struct verify *v = arg;

    v->o->progress(v->arg, text);
}

static struct scan scan_of(struct verify *v, uint64_t channel, uint64_t thread)
{
    struct scan s = {
        .core = &v->engine->core,
        .channel = channel,
        .thread = thread,
    };

    s.skip_files = v->o->skip_files;
    s.label = v->name ? v->name : "catalog";
    if (v->o->progress) {
        s.progress = scan_progress;
        s.progress_arg = v;
    }
    return s;
}

static int read_all(struct verify *v, struct scan *s, struct err *err)
{
    int r = scan_run(s, err);

    if (r < 0)
        return r;
    v->sum->messages += s->n_messages;
    v->sum->records += s->n_records;
    v->sum->files += s->files_read;
    v->sum->file_bytes += s->file_bytes;
    return 0;
}

/* --- tables -----------------------------------------------------------------
 */

/* The entry of the table in the catalog as this process has it. */
static int load_entry(struct verify *v, struct text **text, uint64_t *id,
                      struct err *err)
{
    AUTO_BUF struct buf key = BUF_INIT;

    catalog_key_table(v->name, &key);
    struct row *row = ledger_find(v->ns->ledger, key.data, key.len);
    if (!row)
        return err_set(err, -ENOENT, "it has no entry in the catalog");
    int r = ledger_load_text_wait(v->ns->ledger, row, text, err);
    *id = row->id;
    row_unref(row);
    return r;
}

/* "unique":["from","until",…]; "self" is the entry itself. */
static void read_unique(struct scan_field *f, const char *text, size_t len,
                        uint64_t self)
{
    struct json_member list, m;

    if (!json_find(text, len, "unique", &list) || list.type != JSON_ARRAY)
        return;
    for (size_t at = 0; json_element(list.value, list.value_len, &at, &m);) {
        uint64_t id = self;
        if (m.value_len < 2)
            continue;
        (void)str_to_u64_n(m.value + 1, m.value_len - 2, &id);
        f->from_until = xrealloc(f->from_until, (f->n_from_until + 2) *
                                                    sizeof(*f->from_until));
        f->from_until[f->n_from_until++] = id;
    }
    f->unique = f->n_from_until % 2 == 1;
    if (f->unique)
        f->from_until[f->n_from_until++] = 0;
}

static struct scan_field *field_of(struct scan *s, const char *name, size_t len)
{
    for (size_t i = 0; i < s->n_fields; i++)
        if (strlen(s->fields[i].name) == len &&
            memcmp(s->fields[i].name, name, len) == 0)
            return &s->fields[i];
    s->fields = xrealloc(s->fields, (s->n_fields + 1) * sizeof(*s->fields));
    s->fields[s->n_fields] = (struct scan_field){.name = xstrndup(name, len)};
    return &s->fields[s->n_fields++];
}

void scan_set_fields(struct scan *s, const char *entry, size_t len, uint64_t id)
{
    struct json_member all, m;

    if (!json_find(entry, len, "indexes", &all) || all.type != JSON_OBJECT)
        return;
    for (size_t at = 0; json_next(all.value, all.value_len, &at, &m);) {
        AUTO_BUF struct buf name = BUF_INIT;
        if (m.type != JSON_OBJECT)
            continue;
        json_unescape(m.name, m.name_len, &name);
        struct scan_field *f =
            field_of(s, name.data ? name.data : "", name.len);
        (void)get_id(m.value, m.value_len, "channel", &f->channel);
        read_unique(f, m.value, m.value_len, id);
    }
}

static void check_thread(struct verify *v, struct scan *s)
{
    struct remote_reply reply = {0};
    struct remote_request req = {.op = REMOTE_CHANNEL, .channel = s->thread};
    struct err err = ERR_INIT;

    bool has_card = scan_find_message(s, s->thread) != NONE;
    if (s->missing[1]) {
        struct item *it = verify_add(
            v, KIND_missing_thread, s->thread, 0, NULL,
            "the history thread %llu was deleted: updates and deletions that "
            "stood there alone are lost%s",
            (unsigned long long)s->thread,
            has_card ? "" : ", and so is the card it was begun from");
        if (it && has_card)
            it->how = REPAIR_THREAD;
        return;
    }
    if (!has_card)
        verify_add(v, KIND_missing_card, s->channel, s->thread, NULL,
                   "the card, the table's first message, was deleted");
    if (remote_run(s->core->remote, &req, &reply, &err) < 0)
        return;
    const struct remote_channel *c = &reply.channels[0];
    check_rights(v, c, "the history thread");
    if (c->locked)
        verify_add(v, KIND_locked_thread, c->id, 0, NULL,
                   "the history thread is locked: only who may manage threads "
                   "can write there");
    if (c->archived)
        verify_add(v, KIND_archived_thread, c->id, 0, NULL,
                   "the history thread is archived");
    remote_reply_release(&reply);
}

static void check_index_channels(struct verify *v, const struct scan *s)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        const struct scan_field *f = &s->fields[i];
        if (!f->channel)
            continue;
        const struct remote_channel *c = verify_channel(v, f->channel);
        if (c) {
            check_rights(v, c, "the channel of an index");
            continue;
        }
        struct item *it =
            verify_add(v, KIND_missing_index_channel, f->channel, 0, NULL,
                       "the channel of the index of '%s' was deleted", f->name);
        if (it) {
            it->how = REPAIR_INDEX;
            it->field = f->name;
        }
    }
}

static int read_table(struct verify *v, struct scan *s, struct err *err)
{
    struct text *entry = NULL;
    uint64_t id = 0;

    int r = load_entry(v, &entry, &id, err);
    if (r < 0)
        return r;
    scan_set_fields(s, entry->data, entry->len, id);
    text_unref(entry);
    s->schema = table_schema(v->table);
    return read_all(v, s, err);
}

/* Reads a table whose channel is there and may be read. */
static int examine(struct verify *v, struct err *err)
{
    struct scan *s = v->scan;

    ledger_known(v->table->ledger, v->known_upto);
    int r = read_table(v, s, err);
    if (r == -EACCES || (r == 0 && s->missing[0])) {
        /* Hidden or deleted just now. */
        verify_add(v, KIND_missing_permission, s->channel, 0, NULL,
                   "the table cannot be read: %s",
                   r < 0 ? err_text(err, r) : "its channel was deleted");
        return 0;
    }
    if (r < 0)
        return r;
    check_thread(v, s);
    check_index_channels(v, s);
    r = verify_snapshots(v, err);
    if (r < 0)
        return r;
    verify_rows(v);
    return verify_indexes(v, err);
}

int verify_examine(struct verify *v, struct table *t, struct scan *s,
                   struct err *err)
{
    const struct remote_channel *c = verify_channel(v, t->channel);
    int r = 0;

    v->table = t;
    v->name = table_name(t);
    v->scan = s;
    *s = scan_of(v, t->channel, t->history);
    v->sum->tables++;
    verify_note(v, "%s: reading", v->name);
    if (c)
        check_rights(v, c, "the table's channel");
    /* The catalog's reading has told of a missing one, if it was read. */
    if (!c && !v->whole)
        verify_add(v, KIND_missing_channel, t->channel, 0, NULL,
                   "the channel of the table was deleted, with all its rows");
    if (c && c->viewable)
        r = examine(v, err);
    return r < 0 ? err_wrap(err, r, "table '%s'", v->name) : 0;
}

void verify_leave(struct verify *v)
{
    drop_items(v);
    while (v->known) {
        struct known *kn = v->known;
        v->known = kn->next;
        free(kn);
    }
    v->n_known = 0;
    free(v->places);
    v->places = NULL;
    v->n_places = v->cap_places = 0;
    free(v->refs);
    v->refs = NULL;
    v->n_refs = v->cap_refs = 0;
    v->newest_snapshot = 0;
    scan_release(v->scan);
    v->scan = NULL;
    free(v->name);
    v->name = NULL;
    v->table = NULL;
}

static int check_one(struct verify *v, struct table *t, struct err *err)
{
    struct scan s;

    int r = verify_examine(v, t, &s, err);
    if (r == 0)
        r = tell_all(v, err);
    verify_leave(v);
    return r;
}

/* --- the catalog ------------------------------------------------------------
 */

/* Not listed, and not hidden either. */
static bool is_gone(const struct verify *v, uint64_t channel)
{
    struct remote_reply reply = {0};
    struct remote_request req = {.op = REMOTE_CHANNEL, .channel = channel};

    if (verify_channel(v, channel))
        return false;
    int r = remote_run(v->engine->core.remote, &req, &reply, NULL);
    remote_reply_release(&reply);
    return r == -ENOENT;
}

/* All its channels, and whether the entry can be read at all. */
static int check_entry(struct verify *v, const struct scan_key *k,
                       struct entry_ids *ids, struct err *err)
{
    struct text *text = NULL;
    struct schema *schema = NULL;
    struct json_member m;
    struct err why = ERR_INIT;
    const struct scan_record *head = scan_live(v->scan, k);
    const char *name = k->text + strlen(TABLE_PREFIX);

    struct row *row = ledger_find(v->ns->ledger, k->text, k->len);
    if (!row)
        return 0; /* verify_rows() tells of that */
    int r = ledger_load_text_wait(v->ns->ledger, row, &text, err);
    row_unref(row);
    if (r < 0)
        return r == -EBADMSG || r == -ENOENT || r == -EIO ? 0 : r;
    bool good = get_id(text->data, text->len, "channel", &ids->channel) &&
                get_id(text->data, text->len, "history", &ids->history) &&
                json_find(text->data, text->len, "schema", &m);
    if (good)
        good = schema_parse(m.value, m.value_len, &schema, &why) == 0;
    if (!good) {
        verify_add(v, KIND_bad_entry, v->ns->catalog, head->id, k,
                   "the entry of the table '%s' cannot be read: %s", name,
                   why.text[0] ? why.text
                               : "channel, history or schema is missing");
    } else {
        schema_unref(schema);
        add_index_ids(ids, text->data, text->len);
        if (is_gone(v, ids->channel)) {
            struct item *it =
                verify_add(v, KIND_missing_channel, ids->channel, head->id, k,
                           "the channel of the table '%s' was deleted, with "
                           "all its rows",
                           name);
            if (it)
                it->how = REPAIR_ENTRY;
        }
    }
    text_unref(text);
    return 0;
}

static int check_entries(struct verify *v, struct err *err)
{
    struct scan *s = v->scan;
    uint64_t *known = NULL;
    size_t n = 0;
    int r = 0;

    for (size_t i = 0; i < s->n_keys && r == 0; i++) {
        struct entry_ids ids = {0};
        if (!scan_live(s, s->keys[i]) ||
            !str_starts(s->keys[i]->text, TABLE_PREFIX))
            continue;
        r = check_entry(v, s->keys[i], &ids, err);
        known = xrealloc(known, (n + 1 + ids.n_indexes) * sizeof(*known));
        known[n++] = ids.channel;
        for (size_t k = 0; k < ids.n_indexes; k++)
            known[n++] = ids.indexes[k];
        free(ids.indexes);
    }
    if (r == 0)
        find_orphans(v, known, n);
    free(known);
    return r;
}

static int check_catalog(struct verify *v, struct err *err)
{
    struct scan s = scan_of(v, v->ns->catalog, 0);
    const struct remote_channel *c = verify_channel(v, v->ns->catalog);

    v->scan = &s;
    verify_note(v, "reading the catalog");
    ledger_known(v->ns->ledger, v->known_upto);
    check_guild_rights(v);
    if (c)
        check_rights(v, c, "the catalog");
    int r = read_all(v, &s, err);
    if (r == 0 && s.missing[0])
        r = err_set(err, -ENOENT, "the catalog's channel was deleted");
    if (r == 0) {
        scan_play(&s);
        verify_rows(v);
        r = check_entries(v, err);
    }
    if (r == 0)
        r = tell_all(v, err);
    else
        drop_items(v);
    scan_release(&s);
    v->scan = NULL;
    return r;
}

/* --- all --------------------------------------------------------------------
 */

static int check_all(struct verify *v, struct err *err)
{
    int r = check_catalog(v, err);
    if (r < 0)
        return r;

    size_t n;
    struct table **list = table_list(v->ns, &n);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = check_one(v, list[i], err);
        table_unref(list[i]);
    }
    free(list);
    return r;
}

int verify_init(struct verify *v, struct namespace *ns, struct err *err)
{
    v->engine = ns->db->engine;
    v->db = ns->db;
    v->ns = ns;
    v->last = &v->items;
    return list_channels(v, err);
}

void verify_release(struct verify *v)
{
    struct remote_reply channels = {
        .channels = v->channels,
        .n_channels = v->n_channels,
    };

    remote_reply_release(&channels);
}

int verify_wait(struct namespace *ns, struct table *t,
                const struct verify_options *o, verify_found *found, void *arg,
                struct verify_summary *sum, struct err *err)
{
    struct verify v = {
        .o = o,
        .found = found,
        .arg = arg,
        .sum = sum,
        .whole = t == NULL,
    };

    *sum = (struct verify_summary){0};
    if (o->repair && ns->db->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only: nothing is repaired");
    int r = database_describe(ns->db, err);
    if (r == 0)
        r = verify_init(&v, ns, err);
    if (r == 0)
        r = t ? check_one(&v, t, err) : check_all(&v, err);
    verify_release(&v);
    return r;
}
