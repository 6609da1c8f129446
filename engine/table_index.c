/* The indexes of a table: each a channel beside the table's, and what the
 * table's entry in the catalog says of it.
 *
 *     made:      check -> channel -> its entries -> entry in the catalog
 *     dropped:   entry in the catalog -> channel
 *     unique:    check -> entry in the catalog -> check
 *
 * The entry is the commit. What a crash leaves behind is a channel that no
 * entry knows: the next that makes this index takes it, for its messages say of
 * which table and field they are. Between the check of a unique field and the
 * commit this process refuses what would break it; what another process wrote
 * meanwhile is found by the second check. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/map.h"
#include "engine/engine_impl.h"
#include "engine/index.h"
#include "engine/index_text.h"
#include "engine/indexer.h"
#include "engine/name.h"
#include "engine/value.h"

/* A field's name stands in the first line of each message. */
#define FIELD_MAX 255

/* An empty channel may be another process's, half way through. */
#define ORPHAN_AGE_MS 10000

/* --- channels --------------------------------------------------------------
 */

bool index_channel_in_use_locked(const struct database *d, uint64_t channel)
{
    for (size_t i = 0; i < d->n_spaces; i++)
        for (size_t k = 0; k < d->spaces[i]->n_tables; k++) {
            const struct index_defs *defs = &d->spaces[i]->tables[k]->defs;
            for (size_t n = 0; n < defs->n; n++)
                if (defs->list[n].channel == channel)
                    return true;
        }
    return false;
}

/* Does it hold, or is it to hold, the entries of this index? */
static bool is_usable(struct engine *e, uint64_t channel, uint64_t table,
                      const char *field, bool *taken)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = REMOTE_INTERACTIVE,
        .channel = channel,
        .after = channel,
        .limit = 10,
    };
    int64_t born = (int64_t)(channel >> 22) + SNOWFLAKE_EPOCH_MS;
    size_t ours = 0, others = 0;

    if (remote_run(e->core.remote, &req, &reply, NULL) < 0)
        return false;
    for (size_t i = 0; i < reply.n_messages; i++) {
        const struct remote_message *m = &reply.messages[i];
        struct index_message im;
        if (m->type != 0 || m->author_id != e->core.self)
            continue;
        bool is_it = index_parse(m, &im, NULL) == 0;
        if (is_it) {
            is_it = im.table == table && im.field_len == strlen(field) &&
                    memcmp(im.field, field, im.field_len) == 0;
            index_message_release(&im);
        }
        ours += is_it;
        others += !is_it;
    }
    remote_reply_release(&reply);
    *taken = ours > 0;
    return others == 0 && (ours > 0 || clock_wall_ms() - born > ORPHAN_AGE_MS);
}

static uint64_t find_orphan(struct namespace *ns, const char *name,
                            uint64_t table, const char *field, bool *taken)
{
    struct database *d = ns->db;
    uint64_t list[8];
    size_t n = 0;
    const struct chan *c;

    engine_lock(d->engine);
    const struct chan *first = database_chan_locked(d, ns->category);
    for (size_t at = 0; first && (c = map_next(&d->channels, &at));) {
        const struct chan *parent = database_chan_locked(d, c->parent);
        if (n < sizeof(list) / sizeof(list[0]) &&
            c->kind == REMOTE_CHANNEL_TEXT && parent &&
            strncmp(parent->name, first->name, strlen(first->name)) == 0 &&
            strcmp(c->name, name) == 0 &&
            !index_channel_in_use_locked(d, c->id))
            list[n++] = c->id;
    }
    engine_unlock(d->engine);
    for (size_t i = 0; i < n; i++)
        if (is_usable(d->engine, list[i], table, field, taken))
            return list[i];
    return 0;
}

int index_channel_make(struct namespace *ns, const char *table,
                       uint64_t table_channel, const char *field,
                       uint64_t *channel, bool *taken, struct err *err)
{
    AUTO_BUF struct buf name = BUF_INIT;
    AUTO_BUF struct buf topic = BUF_INIT;
    uint64_t category;

    name_index_channel(table, field, &name);
    *taken = false;
    *channel = find_orphan(ns, name.data, table_channel, field, taken);
    if (*channel)
        return 0;
    buf_printf(&topic,
               "The index of the table %.100s by %.400s. Kept by dbcord, a "
               "program; please leave its messages alone.",
               table, field);
    int r = namespace_room(ns, &category, err);
    if (r == 0)
        r = database_add_channel(ns->db, REMOTE_CHANNEL_TEXT, category,
                                 name.data, topic.data, channel, err);
    return r;
}

int index_channel_begin(struct engine *e, uint64_t table_channel,
                        const char *field, uint64_t channel, struct err *err)
{
    struct index_message im = {
        .field = field,
        .field_len = strlen(field),
        .table = table_channel,
        .upto = {table_channel, table_channel},
    };
    struct remote_request req = {
        .op = REMOTE_POST,
        .priority = REMOTE_INTERACTIVE,
        .channel = channel,
    };
    struct remote_reply reply = {0};
    AUTO_BUF struct buf storage = BUF_INIT;
    size_t taken;

    int r = index_build(&im, UINT64_MAX, &taken, &req.draft, &storage, err);
    if (r == 0)
        r = remote_run(e->core.remote, &req, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the first message of the index by '%s'",
                        field);
    remote_reply_release(&reply);
    return 0;
}

/* --- unique? ---------------------------------------------------------------
 */

struct seen {
    struct row *row;
    size_t len;
    char value[];
};

struct text_span {
    const char *s;
    size_t len;
};

static uint64_t seen_hash(const void *item)
{
    const struct seen *s = item;
    return hash_bytes(s->value, s->len);
}

static bool seen_has(const void *item, const void *key)
{
    const struct seen *s = item;
    const struct text_span *k = key;
    return s->len == k->len && memcmp(s->value, k->s, k->len) == 0;
}

static const struct map_type seen_type = {seen_hash, seen_has};

#define PAIRS 3

/* A row's value, its text fetched where need be. */
static int value_of(struct table *t, struct row *r, const char *field,
                    bool *has, struct buf *out, struct err *err)
{
    struct text *text;

    if (row_tells_value(r, field)) {
        *has = row_value(r, field, out);
        return 0;
    }
    int res = ledger_load_text_wait(t->ledger, r, &text, err);
    if (res < 0)
        return res;
    *has = value_find(text->data, text->len, field, out);
    text_unref(text);
    return 0;
}

/* Takes the reference. */
static void look_at(struct map *values, struct row *r, const struct buf *value,
                    size_t *pairs, struct buf *named)
{
    struct text_span key = {value->data, value->len};
    struct seen *s = map_get(values, hash_bytes(key.s, key.len), &key);

    if (s) {
        if (++*pairs <= PAIRS)
            buf_printf(named, "%s'%.60s' and '%.60s' (%.80s)",
                       *pairs > 1 ? ", " : "", row_key(s->row), row_key(r),
                       strchr(value->data, ':') + 1);
        row_unref(r);
        return;
    }
    s = xmalloc(sizeof(*s) + value->len);
    s->row = r;
    s->len = value->len;
    memcpy(s->value, value->data, value->len);
    map_put(values, &key, s);
}

/* -EEXIST: rows have the same value; null and what is missing are none. */
static int check_unique(struct table *t, const char *field, struct err *err)
{
    struct map values = MAP_INIT(&seen_type);
    AUTO_BUF struct buf named = BUF_INIT;
    AUTO_BUF struct buf value = BUF_INIT;
    struct row *rows[64];
    struct seen *s;
    uint64_t after = 0;
    size_t n, pairs = 0;
    int r = 0;

    while (r == 0 && (n = ledger_list(t->ledger, after, rows, 64)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            bool has = false;
            buf_reset(&value);
            if (r == 0)
                r = value_of(t, rows[i], field, &has, &value, err);
            if (r == 0 && has && !buf_equals(&value, "raw:null", 8))
                look_at(&values, rows[i], &value, &pairs, &named);
            else
                row_unref(rows[i]);
        }
    }
    for (size_t at = 0; (s = map_next(&values, &at));) {
        row_unref(s->row);
        free(s);
    }
    map_release(&values);
    if (r < 0 || pairs == 0)
        return r;
    return err_set(err, -EEXIST,
                   "'%s' cannot be unique: %zu row%s the value of another: "
                   "%s%s",
                   field, pairs, pairs == 1 ? " has" : "s have", named.data,
                   pairs > PAIRS ? ", …" : "");
}

/* --- becoming --------------------------------------------------------------
 */

/* What an index of the new schema still needs. */
struct step {
    const char *field;
    bool unique;      /* it is to be */
    bool new_unique;  /* it is to be and was not */
    bool make;        /* it has no channel */
    bool taken;       /* the channel had messages in it */
    uint64_t channel; /* made for it */
};

struct change_plan {
    struct step *steps;
    size_t n;
    struct index_defs old, now;
};

static void plan_release(struct change_plan *p)
{
    free(p->steps);
    index_defs_release(&p->old);
    index_defs_release(&p->now);
}

static const struct step *find_step(const struct change_plan *p,
                                    const char *field)
{
    for (size_t i = 0; i < p->n; i++)
        if (strcmp(p->steps[i].field, field) == 0)
            return &p->steps[i];
    return NULL;
}

static void plan_make(struct table *t, const struct schema *s,
                      struct change_plan *p)
{
    struct engine *e = t->engine;

    *p = (struct change_plan){0};
    pthread_mutex_lock(&t->lock);
    index_defs_copy(&p->old, &t->defs);
    index_defs_copy(&p->now, &t->defs);
    pthread_mutex_unlock(&t->lock);
    p->n = schema_index_count(s);
    p->steps = xcalloc(p->n, sizeof(*p->steps));
    for (size_t i = 0; i < p->n; i++) {
        struct step *step = &p->steps[i];
        step->field = schema_index_at(s, i, &step->unique);
        const struct index_def *d = index_defs_find(&p->now, step->field);
        engine_lock(e);
        step->make =
            !d || !d->channel || !database_chan_locked(t->ns->db, d->channel);
        engine_unlock(e);
        step->new_unique = step->unique && !index_def_is_unique(d);
    }
    for (size_t i = 0; i < p->now.n; i++) {
        struct index_def *d = &p->now.list[i];
        if (find_step(p, d->field))
            continue;
        d->channel = 0;
        index_def_set_unique(d, false);
    }
}

static void set_making(struct table *t, const struct change_plan *p)
{
    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->n_making; i++)
        free(t->making[i].field);
    free(t->making);
    t->making = NULL;
    t->n_making = 0;
    if (p && p->n > 0) {
        t->making = xcalloc(p->n, sizeof(*t->making));
        for (size_t i = 0; i < p->n; i++)
            if (p->steps[i].make || p->steps[i].new_unique)
                t->making[t->n_making++] = (struct provisional){
                    .field = xstrdup(p->steps[i].field),
                    .channel = p->steps[i].channel,
                    .unique = p->steps[i].new_unique,
                };
    }
    pthread_mutex_unlock(&t->lock);
    table_apply_rules(t);
}

static int check_all_unique(struct table *t, const struct change_plan *p,
                            struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < p->n && r == 0; i++)
        if (p->steps[i].new_unique)
            r = check_unique(t, p->steps[i].field, err);
    return r;
}

static int make_channels(struct table *t, struct change_plan *p,
                         struct err *err)
{
    struct namespace *ns = table_namespace(t);
    AUTO_STR char *name = table_name(t);
    int r = 0;

    for (size_t i = 0; i < p->n && r == 0; i++) {
        struct step *step = &p->steps[i];
        if (step->make)
            r = index_channel_make(ns, name, t->channel, step->field,
                                   &step->channel, &step->taken, err);
    }
    return r;
}

/* Some rows that are the same came from another process between the check and
 * the commit: unique from then on, it is not true of those before. */
static int undo_unique(struct table *t, const struct schema *s,
                       const struct change_plan *p, int r, struct err *err)
{
    size_t n = schema_index_count(s);
    struct schema_index *list = xcalloc(n, sizeof(*list));
    struct index_defs defs;
    struct err why = ERR_INIT;

    pthread_mutex_lock(&t->lock);
    index_defs_copy(&defs, &t->defs);
    pthread_mutex_unlock(&t->lock);
    for (size_t i = 0; i < n; i++) {
        list[i].field = schema_index_at(s, i, &list[i].unique);
        const struct step *step = find_step(p, list[i].field);
        struct index_def *d = index_defs_find(&defs, list[i].field);
        if (!step || !step->new_unique || !d)
            continue;
        list[i].unique = false;
        index_def_set_unique(d, false);
    }
    struct schema *made = schema_with_indexes(s, list, n);
    int res = made ? table_put_entry(t, &defs, made, &why) : -EINVAL;
    if (res < 0)
        log_error("%s", err_text(&why, res));
    schema_unref(made);
    index_defs_release(&defs);
    free(list);
    return err_wrap(err, r, "another process was writing meanwhile");
}

/* Nothing has come of it: the channels that were made go, where nobody can have
 * taken note of them. */
static void unmake_channels(struct table *t, const struct change_plan *p)
{
    struct database *d = table_namespace(t)->db;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < p->n; i++)
        if (p->steps[i].channel && !p->steps[i].taken &&
            database_remove_channel(d, p->steps[i].channel, &err) < 0)
            log_warn("%s: the next that makes the index by '%s' takes it",
                     err.text, p->steps[i].field);
}

static int become(struct table *t, const struct schema *s,
                  struct change_plan *p, struct err *err)
{
    int r = 0;
    bool any_new = false, any_made = false;

    for (size_t i = 0; i < p->n; i++) {
        if (p->steps[i].make && strlen(p->steps[i].field) > FIELD_MAX)
            return err_set(err, -ENAMETOOLONG,
                           "an index by a field whose name has %zu bytes: %d "
                           "are the most",
                           strlen(p->steps[i].field), FIELD_MAX);
        any_new |= p->steps[i].new_unique;
        any_made |= p->steps[i].make;
    }
    if (any_new || any_made)
        r = ledger_open_wait(t->ledger, err);
    if (r == 0 && any_new) {
        set_making(t, p);
        r = check_all_unique(t, p, err);
    }
    if (r == 0)
        r = make_channels(t, p, err);
    if (r == 0 && any_made) {
        set_making(t, p);
        for (size_t i = 0; i < p->n && r == 0; i++)
            if (p->steps[i].make)
                r = indexer_rewrite(t->indexer, p->steps[i].field,
                                    !p->steps[i].taken, NULL, NULL, err);
    }
    for (size_t i = 0; i < p->n && r == 0; i++) {
        struct index_def *d = index_defs_need(&p->now, p->steps[i].field);
        if (p->steps[i].make)
            d->channel = p->steps[i].channel;
        index_def_set_unique(d, p->steps[i].unique);
    }
    index_defs_tidy(&p->now);
    bool is_ready = r == 0;
    if (is_ready)
        r = table_put_entry(t, &p->now, s, err);
    if (any_new || any_made)
        set_making(t, NULL);
    if (!is_ready)
        unmake_channels(t, p);
    if (r == 0 && any_new)
        r = ledger_catch_up(t->ledger, err);
    if (r == 0 && any_new) {
        r = check_all_unique(t, p, err);
        if (r == -EEXIST)
            r = undo_unique(t, s, p, r, err);
    }
    return r;
}

/* The channels of indexes that are no more. */
static void remove_channels(struct table *t, const struct change_plan *p)
{
    struct namespace *ns = table_namespace(t);
    struct err err = ERR_INIT;

    for (size_t i = 0; i < p->old.n; i++) {
        const struct index_def *d = &p->old.list[i];
        const struct index_def *now = index_defs_find(&p->now, d->field);
        if (!d->channel || (now && now->channel == d->channel))
            continue;
        if (database_remove_channel(ns->db, d->channel, &err) < 0)
            log_warn("the index by '%s' is dropped, but %s", d->field,
                     err.text);
    }
}

int table_become(struct table *t, const struct schema *s, struct err *err)
{
    struct change_plan p;

    plan_make(t, s, &p);
    int r = become(t, s, &p, err);
    if (r == 0)
        remove_channels(t, &p);
    plan_release(&p);
    return r;
}

/* --- one index -------------------------------------------------------------
 */

/* The indexes of a schema, one more, one less, or one otherwise. */
struct index_list {
    struct schema *schema; /* holds the names */
    struct schema_index *list;
    size_t n;
};

static void index_list_of(struct table *t, struct index_list *il)
{
    il->schema = table_schema(t);
    il->n = schema_index_count(il->schema);
    il->list = xcalloc(il->n + 1, sizeof(*il->list));
    for (size_t i = 0; i < il->n; i++)
        il->list[i].field = schema_index_at(il->schema, i, &il->list[i].unique);
}

static void index_list_release(struct index_list *il)
{
    schema_unref(il->schema);
    free(il->list);
}

static struct schema_index *index_list_find(const struct index_list *il,
                                            const char *field)
{
    for (size_t i = 0; i < il->n; i++)
        if (strcmp(il->list[i].field, field) == 0)
            return &il->list[i];
    return NULL;
}

static int become_list(struct table *t, const struct index_list *il,
                       const char *field, struct err *err)
{
    struct schema *s = schema_with_indexes(il->schema, il->list, il->n);

    if (!s)
        return err_set(err, -EINVAL,
                       "'%s' cannot be a field: it must be UTF-8 and not empty",
                       field);
    int r = table_become(t, s, err);
    schema_unref(s);
    return r;
}

/* Is its channel there? */
static bool is_made(struct table *t, const char *field)
{
    engine_lock(t->engine);
    const struct index_def *d = index_defs_find(&t->defs, field);
    bool made = d && d->channel && database_chan_locked(t->ns->db, d->channel);
    engine_unlock(t->engine);
    return made;
}

static int create(struct table *t, const char *field, bool unique,
                  struct err *err)
{
    struct index_list il;
    int r;

    index_list_of(t, &il);
    struct schema_index *found = index_list_find(&il, field);
    if (found && is_made(t, field)) {
        r = err_set(err, -EEXIST, "there is an index by '%s' already%s", field,
                    found->unique == unique ? ""
                    : unique ? ", not unique: \"unique\":true in the schema "
                               "makes it so"
                             : ", unique");
    } else {
        if (!found) {
            found = &il.list[il.n++];
            found->field = field;
        }
        found->unique |= unique;
        r = become_list(t, &il, field, err);
    }
    index_list_release(&il);
    return r;
}

static int drop(struct table *t, const char *field, struct err *err)
{
    struct index_list il;
    int r;

    index_list_of(t, &il);
    struct schema_index *found = index_list_find(&il, field);
    if (!found) {
        r = err_set(err, -ENOENT, "there is no index by '%s'", field);
    } else {
        il.n--;
        for (; found < il.list + il.n; found++)
            found[0] = found[1];
        r = become_list(t, &il, field, err);
    }
    index_list_release(&il);
    return r;
}

static int set_unique(struct table *t, const char *field, bool unique,
                      struct err *err)
{
    struct index_list il;
    int r = 0;

    index_list_of(t, &il);
    struct schema_index *found = index_list_find(&il, field);
    if (!found) {
        r = err_set(err, -ENOENT, "there is no index by '%s'", field);
    } else if (found->unique != unique || !is_made(t, field)) {
        found->unique = unique;
        r = become_list(t, &il, field, err);
    }
    index_list_release(&il);
    return r;
}

/* May it be changed? Then the turn is ours. */
static int begin(struct table *t, struct database **d, struct err *err)
{
    struct namespace *ns = table_namespace(t);

    int r = table_check_change(ns, NULL, err);
    if (r == 0)
        r = ledger_open_wait(t->ledger, err);
    if (r < 0)
        return r;
    *d = ns->db;
    database_enter(*d);
    return 0;
}

int table_index_create(struct table *t, const char *field, bool unique,
                       struct err *err)
{
    struct database *d;

    int r = begin(t, &d, err);
    if (r < 0)
        return r;
    r = create(t, field, unique, err);
    database_leave(d);
    return r;
}

int table_index_drop(struct table *t, const char *field, struct err *err)
{
    struct database *d;

    int r = begin(t, &d, err);
    if (r < 0)
        return r;
    r = drop(t, field, err);
    database_leave(d);
    return r;
}

int table_index_set_unique(struct table *t, const char *field, bool unique,
                           struct err *err)
{
    struct database *d;

    int r = begin(t, &d, err);
    if (r < 0)
        return r;
    r = set_unique(t, field, unique, err);
    database_leave(d);
    return r;
}

static int reindex(struct table *t, const char *field, table_progress *progress,
                   void *arg, struct err *err)
{
    struct index_list il;
    int r = 0;

    index_list_of(t, &il);
    if (field && !index_list_find(&il, field))
        r = err_set(err, -ENOENT, "there is no index by '%s'", field);
    for (size_t i = 0; i < il.n && r == 0; i++) {
        const char *one = il.list[i].field;
        if (field && strcmp(field, one) != 0)
            continue;
        /* Making one writes its entries. */
        r = is_made(t, one)
                ? indexer_rewrite(t->indexer, one, false, progress, arg, err)
                : become_list(t, &il, one, err);
        if (r == -ENOENT && !is_made(t, one))
            r = become_list(t, &il, one, err);
    }
    index_list_release(&il);
    return r;
}

int table_reindex(struct table *t, const char *field, table_progress *progress,
                  void *arg, struct err *err)
{
    struct database *d;

    int r = begin(t, &d, err);
    if (r < 0)
        return r;
    r = reindex(t, field, progress, arg, err);
    database_leave(d);
    return r;
}

/* --- what there is ---------------------------------------------------------
 */

struct table_index *table_indexes(struct table *t, size_t *n)
{
    struct index_list il;

    index_list_of(t, &il);
    struct table_index *list = xcalloc(il.n, sizeof(*list));
    for (size_t i = 0; i < il.n; i++) {
        struct table_index *one = &list[i];
        struct indexer_stats stats;
        one->field = xstrdup(il.list[i].field);
        one->unique = il.list[i].unique;
        engine_lock(t->engine);
        const struct index_def *d = index_defs_find(&t->defs, one->field);
        if (d && d->channel) {
            one->lost = !database_chan_locked(t->ns->db, d->channel);
            one->channel = one->lost ? 0 : d->channel;
        }
        engine_unlock(t->engine);
        indexer_stats(t->indexer, one->field, &stats);
        if (stats.lost) {
            one->lost = true;
            one->channel = 0;
        }
        one->behind = stats.behind;
        one->behind_ms = stats.behind_ms;
        one->entries = ledger_index_rows(t->ledger, one->field);
    }
    *n = il.n;
    index_list_release(&il);
    return list;
}

void table_indexes_free(struct table_index *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i].field);
    free(list);
}
