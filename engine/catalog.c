/* The catalog of a namespace: a ledger without a thread, with one row that says
 * what the namespace is and one for each table.
 *
 *     "namespace"      {"format":1,"name":"prod"}
 *     "table/users"    {"name":"users","channel":"1290..","history":"1290..",
 *                       "indexes":{...},"schema":{...}}
 *
 * Tables are brought in line with the rows as a whole, by their channels: so a
 * rename is seen as one, whoever made it, and it does not matter in how many
 * pieces, or how often, the news comes. Of two catalogs that name one channel
 * (a table that was moved, and a crash before the old entry was taken out) the
 * later entry counts. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/base/str.h"
#include "engine/engine_impl.h"
#include "engine/json.h"
#include "engine/text.h"

#define FORMAT 1
#define TABLE_PREFIX "table/"

/* --- texts -----------------------------------------------------------------
 */

void catalog_text_namespace(const char *name, struct buf *out)
{
    buf_printf(out, "{\"format\":%d,\"name\":", FORMAT);
    buf_add_json(out, name, strlen(name));
    buf_addc(out, '}');
}

void catalog_text_table(const char *name, uint64_t channel, uint64_t history,
                        const struct index_defs *defs,
                        const struct schema *schema, struct buf *out)
{
    size_t len;
    const char *text = schema_text(schema, &len);

    buf_addstr(out, "{\"name\":");
    buf_add_json(out, name, strlen(name));
    buf_printf(out, ",\"channel\":\"%llu\",\"history\":\"%llu\"",
               (unsigned long long)channel, (unsigned long long)history);
    if (defs && defs->n > 0) {
        buf_addstr(out, ",\"indexes\":");
        index_defs_write(defs, out);
    }
    buf_addstr(out, ",\"schema\":");
    buf_add(out, text, len > 0 && text[len - 1] == '\n' ? len - 1 : len);
    buf_addc(out, '}');
}

void catalog_key_table(const char *name, struct buf *out)
{
    buf_addstr(out, TABLE_PREFIX);
    buf_addstr(out, name);
}

static bool get_string(const char *text, size_t len, const char *member,
                       struct buf *out)
{
    struct json_member m;

    if (!json_find(text, len, member, &m) || m.type != JSON_STRING)
        return false;
    json_unescape(m.value, m.value_len, out);
    return true;
}

static bool get_id(const char *text, size_t len, const char *member,
                   uint64_t *out)
{
    AUTO_BUF struct buf b = BUF_INIT;

    return get_string(text, len, member, &b) && b.data &&
           str_to_u64_n(b.data, b.len, out);
}

/* An entry as read. */
struct entry {
    uint64_t channel, history;
    struct buf name;
    struct index_defs defs;
    struct schema *schema;
};

static void entry_release(struct entry *e)
{
    buf_release(&e->name);
    index_defs_release(&e->defs);
    schema_unref(e->schema);
}

/* message: the entry's. */
static int parse_entry(uint64_t message, const char *text, size_t len,
                       struct entry *out, struct err *err)
{
    struct json_member schema, defs;

    *out = (struct entry){0};
    if (!get_string(text, len, "name", &out->name) || !out->name.len ||
        !get_id(text, len, "channel", &out->channel) ||
        !get_id(text, len, "history", &out->history) ||
        !json_find(text, len, "schema", &schema)) {
        entry_release(out);
        return err_set(err, -EBADMSG,
                       "a catalog entry without name, channel, history or "
                       "schema");
    }
    int r = 0;
    if (json_find(text, len, "indexes", &defs))
        r = defs.type == JSON_OBJECT
                ? index_defs_parse(defs.value, defs.value_len, message,
                                   &out->defs, err)
                : err_set(err, -EBADMSG, "its indexes are no object");
    if (r == 0)
        r = schema_parse(schema.value, schema.value_len, &out->schema, err);
    if (r < 0) {
        out->schema = NULL;
        entry_release(out);
        return err_wrap(err, -EBADMSG, "a catalog entry");
    }
    return 0;
}

/* --- the rows --------------------------------------------------------------
 */

static void text_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct namespace *ns = arg;

    if (r < 0)
        log_error("an entry of the catalog %llu cannot be read: %s",
                  (unsigned long long)ns->catalog, err_text(err, r));
    else
        catalog_sync(ns, false);
    text_unref(text);
    namespace_unref(ns);
}

/* The rows of a catalog with their texts. */
struct rows {
    struct row **list;
    struct text **texts; /* NULL: not in memory */
    size_t n;
};

static void rows_release(struct rows *rs)
{
    for (size_t i = 0; i < rs->n; i++) {
        row_unref(rs->list[i]);
        text_unref(rs->texts[i]);
    }
    free(rs->list);
    free(rs->texts);
}

static void rows_list(struct namespace *ns, struct rows *rs)
{
    size_t cap = ledger_count(ns->ledger) + 64;

    rs->list = xcalloc(cap, sizeof(struct row *));
    rs->n = ledger_list(ns->ledger, 0, rs->list, cap);
    rs->texts = xcalloc(cap, sizeof(struct text *));
}

int catalog_fetch(struct namespace *ns, struct err *err)
{
    struct rows rs;
    int r = 0;

    rows_list(ns, &rs);
    for (size_t i = 0; i < rs.n && r == 0; i++) {
        struct text *text = NULL;
        if (rs.list[i]->has_text)
            continue;
        r = ledger_load_text_wait(ns->ledger, rs.list[i], &text, err);
        rs.texts[i] = text;
    }
    /* Still referenced: the cache will not let them go before the sync. */
    if (r == 0)
        catalog_sync(ns, false);
    rows_release(&rs);
    return r;
}

/* --- in line ---------------------------------------------------------------
 */

struct sync {
    struct namespace *ns;
    bool local;
    struct table **ended; /* detached: table_end() after the lock */
    size_t n_ended;
};

static struct table *find_by_channel(struct database *d, uint64_t channel)
{
    for (size_t i = 0; i < d->n_spaces; i++)
        for (size_t k = 0; k < d->spaces[i]->n_tables; k++)
            if (d->spaces[i]->tables[k]->channel == channel)
                return d->spaces[i]->tables[k];
    return NULL;
}

static void note_table(struct sync *s, struct table *t, const char *old_name,
                       bool gone)
{
    struct change c = {
        .kind = CHANGE_TABLE,
        .database = s->ns->db,
        .ns = s->ns,
        .table = t,
        .gone = gone,
        .local = s->local,
    };
    engine_note_locked(s->ns->db->engine, &c, old_name);
}

static void sync_namespace(struct sync *s, const char *text, size_t len)
{
    struct namespace *ns = s->ns;
    AUTO_BUF struct buf name = BUF_INIT;
    struct json_member format;
    uint64_t n = 0;

    free(ns->refused);
    ns->refused = NULL;
    if (!json_find(text, len, "format", &format) ||
        !str_to_u64_n(format.value, format.value_len, &n) || n > FORMAT) {
        AUTO_BUF struct buf b = BUF_INIT;
        buf_printf(&b,
                   "its catalog has format %.*s, which this version does not "
                   "know (it knows %d): use a newer dbcord",
                   n ? (int)format.value_len : 1, n ? format.value : "?",
                   FORMAT);
        ns->refused = buf_take_str(&b);
    }
    if (!get_string(text, len, "name", &name) || name.len == 0)
        return;
    if (ns->born && strcmp(ns->name, name.data) == 0)
        return;
    bool renamed = ns->born;
    char *old = ns->name;
    ns->name = buf_take_str(&name);
    ns->born = true;
    struct change c = {
        .kind = CHANGE_NAMESPACE,
        .database = ns->db,
        .ns = ns,
        .local = s->local,
    };
    engine_note_locked(ns->db->engine, &c, renamed ? old : NULL);
    free(old);
}

static void sync_table(struct sync *s, const struct row *row, const char *text,
                       size_t len)
{
    struct namespace *ns = s->ns;
    struct entry en;
    struct err err = ERR_INIT;

    int r = parse_entry(row->id, text, len, &en, &err);
    if (r < 0) {
        log_error("message %llu: '%s': %s", (unsigned long long)row->id,
                  row_key(row), err_text(&err, r));
        return;
    }
    struct table *t = find_by_channel(ns->db, en.channel);
    bool is_new = !t;
    bool renamed = t && (strcmp(t->name, en.name.data) != 0 || t->ns != ns);
    bool skip = (t && (t->entry_id == row->id || t->entry_id > row->id)) ||
                !database_chan_locked(ns->db, en.channel);
    if (!skip) {
        AUTO_STR char *old = renamed ? xstrdup(t->name) : NULL;
        if (is_new)
            t = table_new_locked(ns, en.channel, en.history, en.name.data);
        if (t->ns != ns)
            table_move_locked(t, ns);
        if (renamed)
            table_set_name_locked(t, en.name.data);
        t->entry_id = row->id;
        table_define_locked(t, en.schema, &en.defs);
        en.schema = NULL;
        note_table(s, t, old, false);
    }
    entry_release(&en);
}

static bool is_taken(const struct namespace *ns, uint64_t entry_id)
{
    for (size_t i = 0; i < ns->n_tables; i++)
        if (ns->tables[i]->entry_id == entry_id)
            return true;
    return false;
}

/* Is this table still in the catalog? One whose new entry cannot be read stays
 * as it was. */
static bool is_listed(const struct rows *rs, const struct table *t)
{
    AUTO_BUF struct buf key = BUF_INIT;

    catalog_key_table(t->name, &key);
    for (size_t i = 0; i < rs->n; i++) {
        const struct row *row = rs->list[i];
        if (row->id == t->entry_id || !rs->texts[i] ||
            (strcmp(row_key(row), key.data) == 0 && !is_taken(t->ns, row->id)))
            return true;
    }
    return false;
}

static void sync_rows_locked(struct sync *s, const struct rows *rs)
{
    struct namespace *ns = s->ns;

    for (size_t i = 0; i < rs->n; i++) {
        const struct row *row = rs->list[i];
        const struct text *text = rs->texts[i];
        if (!text)
            continue;
        if (strcmp(row_key(row), CATALOG_KEY_NAMESPACE) == 0)
            sync_namespace(s, text->data, text->len);
        else if (str_starts(row_key(row), TABLE_PREFIX))
            sync_table(s, row, text->data, text->len);
    }
    for (size_t i = 0; i < ns->n_tables;) {
        struct table *t = ns->tables[i];
        if (is_listed(rs, t) && database_chan_locked(ns->db, t->channel)) {
            i++;
            continue;
        }
        note_table(s, t, NULL, true);
        table_detach_locked(t);
        s->ended = xrealloc(s->ended, (s->n_ended + 1) * sizeof(*s->ended));
        s->ended[s->n_ended++] = t;
    }
    ns->loaded = true;
}

void catalog_sync(struct namespace *ns, bool local)
{
    struct engine *e = ns->db->engine;
    struct sync s = {.ns = ns, .local = local};
    struct rows rs;

    /* Listed under the lock: of two syncs the later sees the later state. */
    engine_lock(e);
    rows_list(ns, &rs);
    for (size_t i = 0; i < rs.n; i++)
        if (rs.list[i]->has_text)
            rs.texts[i] = text_new(row_text(rs.list[i]), rs.list[i]->text_len);
        else
            rs.texts[i] = text_find(e->core.texts, rs.list[i]->file);
    if (!ns->gone && ledger_is_open(ns->ledger))
        sync_rows_locked(&s, &rs);
    struct table **tables = xcalloc(ns->n_tables, sizeof(struct table *));
    size_t n_tables = ns->n_tables;
    for (size_t i = 0; i < n_tables; i++)
        tables[i] = table_ref(ns->tables[i]);
    engine_unlock(e);

    for (size_t i = 0; i < s.n_ended; i++)
        table_end(s.ended[i]);
    free(s.ended);
    /* Before anybody hears of a table and opens it. */
    for (size_t i = 0; i < n_tables; i++) {
        table_apply_rules(tables[i]);
        table_unref(tables[i]);
    }
    free(tables);
    engine_tell(e);
    for (size_t i = 0; i < rs.n; i++) {
        struct text *text = NULL;
        if (rs.texts[i])
            continue;
        /* Too big for a message, by somebody else: again when it is here. */
        if (ledger_load_text(ns->ledger, rs.list[i], &text, text_came,
                             namespace_ref(ns)) == 0) {
            text_unref(text);
            namespace_unref(ns);
        }
    }
    rows_release(&rs);
}

/* --- as owner --------------------------------------------------------------
 */

static void changed(void *arg, const struct ledger_change *list, size_t n)
{
    struct namespace *ns = arg;
    bool local = false, lost = false;

    for (size_t i = 0; i < n; i++) {
        local |= list[i].local;
        lost |= list[i].voided != NULL;
    }
    if (lost)
        log_warn("the catalog %llu was changed by another process at the same "
                 "time; the earlier change counts",
                 (unsigned long long)ns->catalog);
    catalog_sync(ns, local);
}

static void freed(void *arg)
{
    struct namespace *ns = arg;

    free(ns->name);
    free(ns->refused);
    free(ns->tables);
    free(ns);
}

const struct ledger_owner catalog_owner = {changed, NULL, freed};
