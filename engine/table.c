/* Tables: a channel, its card, the thread on the card, and an entry in the
 * namespace's catalog.
 *
 *     table_create:   channel -> card -> thread -> entry (table_create.c)
 *     table_drop:     entry -> channels
 *     table_rename:   entry
 *     table_schema_set, and all that concerns indexes: table_index.c
 *
 * The entry is the commit. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/engine_impl.h"
#include "engine/fold.h"
#include "engine/indexer.h"
#include "engine/json.h"
#include "engine/name.h"

static void changed(void *arg, const struct ledger_change *list, size_t n)
{
    struct table *t = arg;
    struct engine *e = t->engine;

    indexer_changed(t->indexer, list, n);
    for (size_t i = 0; e->watch && i < n; i++) {
        const struct ledger_change *lc = &list[i];
        bool was = lc->old && !lc->old->deleted;
        bool is = lc->now && !lc->now->deleted;
        struct change c = {
            .kind = CHANGE_ROW,
            .table = t,
            .old = was ? lc->old : NULL,
            .now = is ? lc->now : NULL,
            .tomb = lc->now && !is ? lc->now : NULL,
            .local = lc->local,
        };
        engine_lock(e);
        c.ns = t->ns;
        c.database = c.ns->db;
        engine_unlock(e);
        if (was || is)
            e->watch(e->watch_arg, &c);
        if (lc->voided) {
            c.kind = CHANGE_VOIDED;
            c.old = c.tomb = NULL;
            c.now = lc->voided;
            e->watch(e->watch_arg, &c);
        }
    }
}

static int rekey(void *arg, const char *key, size_t key_len, const char *text,
                 size_t len, struct buf *out, struct err *err)
{
    struct table *t = arg;
    struct schema *s = table_schema(t);

    int r = schema_rekey(s, key, key_len, text, len, out, err);
    schema_unref(s);
    return r;
}

static void freed(void *arg)
{
    struct table *t = arg;

    for (size_t i = 0; i < t->n_former; i++)
        namespace_unref(t->former[i]);
    free(t->former);
    namespace_unref(t->ns);
    schema_unref(t->schema);
    index_defs_release(&t->defs);
    indexer_free(t->indexer);
    buf_release(&t->rules);
    pthread_mutex_destroy(&t->rules_lock);
    pthread_mutex_destroy(&t->lock);
    free(t->name);
    free(t);
}

static const struct ledger_owner owner = {changed, rekey, freed};

/* --- in the tree -----------------------------------------------------------
 */

static void label_of(const char *name, struct buf *out)
{
    buf_printf(out, "table '%s'", name);
}

struct table *table_new_locked(struct namespace *ns, uint64_t channel,
                               uint64_t history, const char *name)
{
    struct engine *e = ns->db->engine;
    struct table *t = xcalloc(1, sizeof(*t));
    AUTO_BUF struct buf label = BUF_INIT;

    label_of(name, &label);
    struct ledger_options o = {
        .core = &e->core,
        .channel = channel,
        .thread = history,
        .label = label.data,
        .max_file = ns->db->max_file,
        .owner = &owner,
        .arg = t,
    };
    t->engine = e;
    t->ledger = ledger_new(&o);
    t->indexer = indexer_new(&e->core, t->ledger);
    t->ns = namespace_ref(ns);
    t->channel = channel;
    t->history = history;
    t->name = xstrdup(name);
    pthread_mutex_init(&t->rules_lock, NULL);
    pthread_mutex_init(&t->lock, NULL);
    ns->tables = xrealloc(ns->tables, (ns->n_tables + 1) * sizeof(*ns->tables));
    ns->tables[ns->n_tables++] = t;
    engine_route_locked(e, channel, t->ledger);
    engine_route_locked(e, history, t->ledger);
    return t;
}

static void remove_from(struct namespace *ns, const struct table *t)
{
    size_t at = 0;

    while (ns->tables[at] != t)
        at++;
    for (ns->n_tables--; at < ns->n_tables; at++)
        ns->tables[at] = ns->tables[at + 1];
}

void table_move_locked(struct table *t, struct namespace *ns)
{
    remove_from(t->ns, t);
    t->former = xrealloc(t->former, (t->n_former + 1) * sizeof(*t->former));
    t->former[t->n_former++] = t->ns;
    t->ns = namespace_ref(ns);
    ns->tables = xrealloc(ns->tables, (ns->n_tables + 1) * sizeof(*ns->tables));
    ns->tables[ns->n_tables++] = t;
}

/* Caller holds the engine's lock. */
static void unroute_indexes(struct table *t, const struct index_defs *defs)
{
    for (size_t i = 0; i < defs->n; i++)
        engine_unroute_locked(t->engine, defs->list[i].channel);
}

void table_detach_locked(struct table *t)
{
    struct engine *e = t->engine;

    remove_from(t->ns, t);
    t->gone = true;
    unroute_indexes(t, &t->defs);
    engine_unroute_locked(e, t->channel);
    engine_unroute_locked(e, t->history);
}

void table_end(struct table *t)
{
    ledger_gone(t->ledger);
    table_unref(t);
}

void table_set_name_locked(struct table *t, const char *name)
{
    AUTO_BUF struct buf label = BUF_INIT;

    free(t->name);
    t->name = xstrdup(name);
    label_of(name, &label);
    ledger_set_label(t->ledger, label.data);
}

/* --- what is indexed -------------------------------------------------------
 */

void table_define_locked(struct table *t, struct schema *s,
                         struct index_defs *defs)
{
    pthread_mutex_lock(&t->lock);
    struct schema *old = t->schema;
    struct index_defs old_defs = t->defs;
    t->schema = s;
    t->defs = *defs;
    pthread_mutex_unlock(&t->lock);
    *defs = (struct index_defs){0};

    unroute_indexes(t, &old_defs);
    for (size_t i = 0; i < t->defs.n; i++)
        if (t->defs.list[i].channel)
            engine_route_index_locked(t->engine, t->defs.list[i].channel, t);
    index_defs_release(&old_defs);
    schema_unref(old);
}

/* What is handed on, gathered. */
struct rules {
    struct fold_rule *list;
    struct indexer_field *fields;
    size_t n, n_fields;
    struct index_defs defs; /* a copy, with what is being made */
    struct schema *schema;
};

/* A field that is about to become unique refuses this process's writes from
 * now on; no record has an id this high, so none is judged by it. */
#define ABOUT_TO_BE (UINT64_MAX - 1)

static void gather_rules(struct table *t, struct rules *rs)
{
    bool unique;

    *rs = (struct rules){0};
    pthread_mutex_lock(&t->lock);
    rs->schema = schema_ref(t->schema);
    index_defs_copy(&rs->defs, &t->defs);
    for (size_t i = 0; i < schema_index_count(rs->schema); i++)
        index_defs_need(&rs->defs, schema_index_at(rs->schema, i, &unique));
    for (size_t i = 0; i < t->n_making; i++) {
        const struct provisional *p = &t->making[i];
        struct index_def *d = index_defs_need(&rs->defs, p->field);
        if (p->channel)
            d->channel = p->channel;
        if (p->unique && !index_def_is_unique(d)) {
            index_def_set_unique(d, true);
            d->unique[d->n_unique - 1] = ABOUT_TO_BE;
        }
    }
    pthread_mutex_unlock(&t->lock);

    rs->list = xcalloc(rs->defs.n, sizeof(*rs->list));
    rs->fields = xcalloc(rs->defs.n, sizeof(*rs->fields));
    for (size_t i = 0; i < rs->defs.n; i++) {
        const struct index_def *d = &rs->defs.list[i];
        rs->list[rs->n++] =
            (struct fold_rule){d->field, d->unique, d->n_unique};
        engine_lock(t->engine);
        bool there = database_chan_locked(t->ns->db, d->channel) != NULL;
        engine_unlock(t->engine);
        if (d->channel)
            rs->fields[rs->n_fields++] =
                (struct indexer_field){d->field, there ? d->channel : 0};
    }
}

static void rules_release(struct rules *rs)
{
    index_defs_release(&rs->defs);
    schema_unref(rs->schema);
    free(rs->list);
    free(rs->fields);
}

void table_apply_rules(struct table *t)
{
    AUTO_BUF struct buf text = BUF_INIT;
    struct rules rs;

    pthread_mutex_lock(&t->rules_lock);
    gather_rules(t, &rs);
    index_defs_write(&rs.defs, &text);
    if (!t->rules.data || !buf_equals(&t->rules, text.data, text.len)) {
        ledger_set_rules(t->ledger, rs.list, rs.n);
        buf_release(&t->rules);
        t->rules = buf_take(&text);
    }
    indexer_set(t->indexer, rs.fields, rs.n_fields);
    rules_release(&rs);
    pthread_mutex_unlock(&t->rules_lock);
}

struct schema *table_schema(struct table *t)
{
    pthread_mutex_lock(&t->lock);
    struct schema *s = schema_ref(t->schema);
    pthread_mutex_unlock(&t->lock);
    return s;
}

struct table *table_ref(struct table *t)
{
    ledger_ref(t->ledger);
    return t;
}

void table_unref(struct table *t)
{
    if (t)
        ledger_unref(t->ledger);
}

struct table *table_find(struct namespace *ns, const char *name)
{
    struct table *t = NULL;

    engine_lock(ns->db->engine);
    for (size_t i = 0; i < ns->n_tables && !t; i++)
        if (strcmp(ns->tables[i]->name, name) == 0)
            t = table_ref(ns->tables[i]);
    engine_unlock(ns->db->engine);
    return t;
}

struct table **table_list(struct namespace *ns, size_t *n)
{
    engine_lock(ns->db->engine);
    struct table **list = xcalloc(ns->n_tables, sizeof(struct table *));
    *n = ns->n_tables;
    for (size_t i = 0; i < ns->n_tables; i++)
        list[i] = table_ref(ns->tables[i]);
    engine_unlock(ns->db->engine);
    return list;
}

char *table_name(struct table *t)
{
    struct engine *e = t->engine;

    engine_lock(e);
    char *name = xstrdup(t->name);
    engine_unlock(e);
    return name;
}

uint64_t table_id(const struct table *t)
{
    return t->channel;
}

uint64_t table_history_id(const struct table *t)
{
    return t->history;
}

struct namespace *table_namespace(struct table *t)
{
    struct engine *e = t->engine;

    engine_lock(e);
    struct namespace *ns = t->ns;
    engine_unlock(e);
    return ns;
}

int64_t table_mtime_ms(struct table *t)
{
    int64_t rows = ledger_mtime_ms(t->ledger);
    int64_t born = (int64_t)(t->channel >> 22) + SNOWFLAKE_EPOCH_MS;

    return rows > born ? rows : born;
}

int64_t table_defined_ms(struct table *t)
{
    engine_lock(t->engine);
    uint64_t entry = t->entry_id;
    engine_unlock(t->engine);
    return (int64_t)(entry >> 22) + SNOWFLAKE_EPOCH_MS;
}

bool table_writable(struct table *t)
{
    struct engine *e = t->engine;

    engine_lock(e);
    const struct chan *c = database_chan_locked(t->ns->db, t->channel);
    bool may = !e->core.read_only && !t->gone && c && c->writable;
    engine_unlock(e);
    return may;
}

bool table_is_open(struct table *t)
{
    return ledger_is_open(t->ledger);
}

int table_open(struct table *t, table_opened *done, void *arg)
{
    return ledger_open(t->ledger, done, arg);
}

int table_open_wait(struct table *t, struct err *err)
{
    return ledger_open_wait(t->ledger, err);
}

/* --- entries ---------------------------------------------------------------
 */

int table_check_change(struct namespace *ns, const char *name, struct err *err)
{
    if (ns->db->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only");
    if (!database_writable(ns->db))
        return err_set(err, -EACCES,
                       "the bot may not manage channels on this server: give "
                       "it the permission Manage Channels");
    return name ? name_check("table", name, strlen(name), err) : 0;
}

void table_entry_write(enum write_kind kind, const struct buf *key,
                       const struct buf *text, struct write *w)
{
    *w = (struct write){
        .kind = kind,
        .key = key->data,
        .key_len = key->len,
    };
    if (text) {
        w->text = text->data;
        w->text_len = text->len;
    }
}

/* --- dropping --------------------------------------------------------------
 */

static int drop(struct table *t, struct namespace *ns, struct err *err)
{
    AUTO_BUF struct buf key = BUF_INIT;
    AUTO_STR char *name = table_name(t);
    struct index_defs defs;
    struct write w;
    struct err e = ERR_INIT;

    pthread_mutex_lock(&t->lock);
    index_defs_copy(&defs, &t->defs);
    pthread_mutex_unlock(&t->lock);
    catalog_key_table(name, &key);
    table_entry_write(WRITE_DELETE, &key, NULL, &w);
    int r = ledger_write_wait(ns->ledger, &w, NULL, err);
    if (r < 0) {
        index_defs_release(&defs);
        return r;
    }
    catalog_sync(ns, true);
    for (size_t i = 0; i < defs.n; i++)
        if (defs.list[i].channel &&
            database_remove_channel(ns->db, defs.list[i].channel, &e) < 0)
            log_warn("table '%s' is dropped, but %s", name, e.text);
    index_defs_release(&defs);
    /* It is dropped. A channel that stays is an orphan with messages in it:
     * nothing will ever take it for a table. */
    if (database_remove_channel(ns->db, t->channel, &e) < 0)
        log_warn("table '%s' is dropped, but %s", name, e.text);
    return 0;
}

int table_drop(struct table *t, bool if_empty, struct err *err)
{
    struct namespace *ns = table_namespace(t);
    AUTO_STR char *name = table_name(t);

    int r = table_check_change(ns, NULL, err);
    if (r < 0)
        return r;
    if (if_empty)
        r = ledger_open_wait(t->ledger, err);
    if (r < 0)
        return err_wrap(err, r, "drop '%s'", name);
    database_enter(ns->db);
    /* What would be written from here on would be lost with it. */
    if (if_empty)
        r = ledger_freeze(t->ledger, err);
    if (r == 0) {
        r = drop(t, table_namespace(t), err);
        ledger_thaw(t->ledger);
    }
    database_leave(ns->db);
    return r < 0 ? err_wrap(err, r, "drop '%s'", name) : 0;
}

/* --- other entries ---------------------------------------------------------
 */

static int rename_within(struct table *t, const char *old, const char *name,
                         const struct buf *text, struct err *err)
{
    struct namespace *ns = table_namespace(t);
    AUTO_BUF struct buf from = BUF_INIT;
    AUTO_BUF struct buf to = BUF_INIT;
    struct write w;

    catalog_key_table(old, &from);
    catalog_key_table(name, &to);
    table_entry_write(WRITE_RENAME, &from, text, &w);
    w.to = to.data;
    w.to_len = to.len;
    w.must_be_new = true;
    int r = ledger_write_wait(ns->ledger, &w, NULL, err);
    catalog_sync(ns, true);
    return r;
}

/* First the new entry, then the old one goes: in between the later counts. */
static int rename_across(struct table *t, struct namespace *to, const char *old,
                         const char *name, const struct buf *text,
                         struct err *err)
{
    struct namespace *from = table_namespace(t);
    AUTO_BUF struct buf old_key = BUF_INIT;
    AUTO_BUF struct buf key = BUF_INIT;
    struct write w;

    int r = namespace_load(to, err);
    if (r < 0)
        return r;
    catalog_key_table(name, &key);
    table_entry_write(WRITE_PUT, &key, text, &w);
    w.must_be_new = true;
    r = ledger_write_wait(to->ledger, &w, NULL, err);
    catalog_sync(to, true);
    if (r < 0)
        return r;
    catalog_key_table(old, &old_key);
    table_entry_write(WRITE_DELETE, &old_key, NULL, &w);
    r = ledger_write_wait(from->ledger, &w, NULL, err);
    catalog_sync(from, true);
    return r == -ENOENT ? 0 : r;
}

int table_rename(struct table *t, struct namespace *to, const char *name,
                 struct err *err)
{
    struct namespace *ns = table_namespace(t);
    AUTO_BUF struct buf text = BUF_INIT;

    int r = table_check_change(to, name, err);
    if (r < 0)
        return r;
    if (to->db != ns->db)
        return err_set(err, -EXDEV, "a table cannot move to another server");

    database_enter(ns->db);
    ns = table_namespace(t);
    AUTO_STR char *old = table_name(t);
    struct schema *s = table_schema(t);
    struct index_defs defs;
    pthread_mutex_lock(&t->lock);
    index_defs_copy(&defs, &t->defs);
    pthread_mutex_unlock(&t->lock);
    catalog_text_table(name, t->channel, t->history, &defs, s, &text);
    index_defs_release(&defs);
    schema_unref(s);
    if (ns == to && strcmp(old, name) == 0)
        r = 0;
    else if (ns == to)
        r = rename_within(t, old, name, &text, err);
    else
        r = rename_across(t, to, old, name, &text, err);
    database_leave(ns->db);
    return r < 0 ? err_wrap(err, r, "rename '%s' to '%s'", old, name) : 0;
}

#define OFFENDERS 3

static int check_row(const struct schema *s, const struct row *row,
                     const struct text *text, struct err *err)
{
    AUTO_BUF struct buf out = BUF_INIT;
    struct json_member m;

    int r = schema_check(s, row_key(row), row->key_len, text->data, text->len,
                         &out, NULL, err);
    /* A write would fill it in; a row that is there has it, or nobody could
     * tell from its text whose it is. */
    if (r == 0 && !json_find(text->data, text->len, schema_pk(s), &m))
        r = err_set(err, -EINVAL, "field '%s' is missing: the primary key",
                    schema_pk(s));
    return r;
}

/* Which rows would the new schema refuse? */
static int check_rows(struct table *t, const struct schema *s, struct err *err)
{
    struct row *rows[64];
    uint64_t after = 0;
    size_t n, bad = 0;
    AUTO_BUF struct buf named = BUF_INIT;

    int r = ledger_open_wait(t->ledger, err);
    while (r == 0 && (n = ledger_list(t->ledger, after, rows, 64)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            struct text *text = NULL;
            struct err why = ERR_INIT;
            if (r == 0)
                r = ledger_load_text_wait(t->ledger, rows[i], &text, err);
            if (r == 0 && check_row(s, rows[i], text, &why) < 0 &&
                ++bad <= OFFENDERS)
                buf_printf(&named, "%s'%.60s' (%s)", bad > 1 ? ", " : "",
                           row_key(rows[i]), why.text);
            text_unref(text);
            row_unref(rows[i]);
        }
    }
    if (r < 0 || bad == 0)
        return r;
    return err_set(err, -EINVAL, "%zu row%s would break it: %s%s", bad,
                   bad == 1 ? "" : "s", named.data,
                   bad > OFFENDERS ? ", …" : "");
}

int table_put_entry(struct table *t, const struct index_defs *defs,
                    const struct schema *s, struct err *err)
{
    struct namespace *ns = table_namespace(t);
    AUTO_BUF struct buf key = BUF_INIT;
    AUTO_BUF struct buf text = BUF_INIT;
    AUTO_STR char *name = table_name(t);
    struct write w;

    catalog_key_table(name, &key);
    catalog_text_table(name, t->channel, t->history, defs, s, &text);
    table_entry_write(WRITE_PUT, &key, &text, &w);
    w.must_exist = true;
    int r = ledger_write_wait(ns->ledger, &w, NULL, err);
    catalog_sync(ns, true);
    return r;
}

/* Where s does not speak of indexes it gets those that are there. */
static struct schema *keep_indexes(struct table *t, struct schema *s)
{
    struct schema *old = table_schema(t), *made = NULL;
    size_t n = schema_index_count(old);

    if (!schema_says_indexes(s) && n > 0) {
        struct schema_index *list = xcalloc(n, sizeof(*list));
        for (size_t i = 0; i < n; i++)
            list[i].field = schema_index_at(old, i, &list[i].unique);
        made = schema_with_indexes(s, list, n);
        free(list);
    }
    schema_unref(old);
    return made ? made : schema_ref(s);
}

int table_schema_set(struct table *t, struct schema *s, bool force,
                     struct err *err)
{
    int r = 0;

    if (t->engine->core.read_only)
        r = err_set(err, -EROFS, "mounted read-only");
    if (r == 0 && !force)
        r = check_rows(t, s, err);
    if (r < 0)
        return r;
    struct database *d = table_namespace(t)->db;
    database_enter(d);
    AUTO_STR char *name = table_name(t);
    struct schema *whole = keep_indexes(t, s);
    r = table_become(t, whole, err);
    schema_unref(whole);
    database_leave(d);
    return r < 0 ? err_wrap(err, r, "the schema of '%s'", name) : 0;
}
