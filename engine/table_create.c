/* A table is made: a channel, its card, the thread on the card, channels for
 * its indexes, and then its entry in the namespace's catalog, which is the
 * commit.
 *
 * What a crash leaves behind before it is a channel nobody refers to; the next
 * table_create() of the same name takes it, if there is nothing in it. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/engine_impl.h"
#include "engine/name.h"

/* A channel without a card may be another process's, half way through. */
#define ORPHAN_AGE_MS 10000

/* The table's first message: it says what the channel is, and its id is the
 * history thread's. */
static void card_text(const char *name, struct buf *out)
{
    buf_addstr(out, "-# dbcord card ");
    buf_add_json(out, name, strlen(name));
    buf_addstr(out, "\nThis channel is a table of a database. Each message "
                    "below is a row, kept by a program; the thread on this "
                    "message holds their history. Please do not delete any of "
                    "it: rows are read by what is here. What people write here "
                    "is ignored.");
}

static int post_card(struct engine *e, uint64_t channel, const char *name,
                     uint64_t *card, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_POST,
        .priority = REMOTE_INTERACTIVE,
        .channel = channel,
    };

    card_text(name, &req.draft.content);
    int r = remote_run(e->core.remote, &req, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the card of the table");
    *card = reply.messages[0].id;
    remote_reply_release(&reply);
    return 0;
}

static int start_thread(struct engine *e, uint64_t channel, uint64_t card,
                        struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_THREAD_START,
        .priority = REMOTE_INTERACTIVE,
        .channel = channel,
        .message = card,
        .name = "history",
    };

    int r = remote_run(e->core.remote, &req, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the history thread of the table");
    remote_reply_release(&reply);
    return 0;
}

/* The first messages of a channel or thread. */
static int list_first(struct engine *e, uint64_t channel,
                      struct remote_reply *reply, struct err *err)
{
    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = REMOTE_INTERACTIVE,
        .channel = channel,
        .after = channel,
        .limit = 10,
    };

    return remote_run(e->core.remote, &req, reply, err);
}

/* A channel an interrupted create left behind, and how far that came. */
struct orphan {
    uint64_t channel, card;
    bool has_thread;
};

static bool starts_as_card(const struct remote_message *m, const char *name)
{
    AUTO_BUF struct buf card = BUF_INIT;

    card_text(name, &card);
    return buf_equals(&card, m->content, m->content_len);
}

/* Can the table go on from there? Only where no row was ever written. */
static bool is_usable(struct engine *e, struct orphan *o, const char *name)
{
    struct remote_reply reply = {0};
    int64_t born = (int64_t)(o->channel >> 22) + SNOWFLAKE_EPOCH_MS;
    size_t others = 0;

    if (list_first(e, o->channel, &reply, NULL) < 0)
        return false;
    for (size_t i = 0; i < reply.n_messages; i++) {
        const struct remote_message *m = &reply.messages[i];
        if (!o->card && m->author_id == e->core.self && m->type == 0 &&
            starts_as_card(m, name)) {
            o->card = m->id;
            o->has_thread = m->thread_id != 0;
        } else if (m->type == 0) {
            others++;
        }
    }
    remote_reply_release(&reply);
    if (others > 0)
        return false;
    if (!o->card)
        return clock_wall_ms() - born > ORPHAN_AGE_MS;
    if (!o->has_thread)
        return true;
    if (list_first(e, o->card, &reply, NULL) < 0)
        return false;
    for (size_t i = 0; i < reply.n_messages; i++)
        others += reply.messages[i].type == 0;
    remote_reply_release(&reply);
    return others == 0;
}

static bool is_in_use(const struct database *d, uint64_t channel)
{
    for (size_t i = 0; i < d->n_spaces; i++)
        for (size_t k = 0; k < d->spaces[i]->n_tables; k++)
            if (d->spaces[i]->tables[k]->channel == channel)
                return true;
    return false;
}

static struct orphan find_orphan(struct namespace *ns, const char *name)
{
    struct database *d = ns->db;
    struct engine *e = d->engine;
    AUTO_BUF struct buf wanted = BUF_INIT;
    struct orphan list[8];
    size_t n = 0;
    const struct chan *c;

    name_table_channel(name, &wanted);
    engine_lock(e);
    const struct chan *first = database_chan_locked(d, ns->category);
    for (size_t at = 0; first && (c = map_next(&d->channels, &at));) {
        const struct chan *parent = database_chan_locked(d, c->parent);
        if (n < 8 && c->kind == REMOTE_CHANNEL_TEXT && parent &&
            strncmp(parent->name, first->name, strlen(first->name)) == 0 &&
            strcmp(c->name, wanted.data) == 0 && !is_in_use(d, c->id))
            list[n++] = (struct orphan){.channel = c->id};
    }
    engine_unlock(e);
    for (size_t i = 0; i < n; i++)
        if (is_usable(e, &list[i], name))
            return list[i];
    return (struct orphan){0};
}

static int make_channel(struct namespace *ns, const char *name,
                        struct orphan *o, struct err *err)
{
    struct engine *e = ns->db->engine;
    uint64_t category;
    int r = 0;

    *o = find_orphan(ns, name);
    if (!o->channel) {
        AUTO_BUF struct buf channel = BUF_INIT;
        AUTO_BUF struct buf topic = BUF_INIT;
        name_table_channel(name, &channel);
        buf_printf(&topic,
                   "The table %s. Kept by dbcord, a program; please "
                   "leave its messages alone.",
                   name);
        r = namespace_room(ns, &category, err);
        if (r == 0)
            r = database_add_channel(ns->db, REMOTE_CHANNEL_TEXT, category,
                                     channel.data, topic.data, &o->channel,
                                     err);
    }
    if (r == 0 && !o->card)
        r = post_card(e, o->channel, name, &o->card, err);
    if (r == 0 && !o->has_thread)
        r = start_thread(e, o->channel, o->card, err);
    return r;
}

/* A channel for each index of the schema. */
static int make_indexes(struct namespace *ns, const char *name,
                        const struct orphan *o, const struct schema *schema,
                        struct index_defs *defs, struct err *err)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < schema_index_count(schema); i++) {
        bool unique, taken;
        const char *field = schema_index_at(schema, i, &unique);
        struct index_def *d = index_defs_need(defs, field);
        r = index_channel_make(ns, name, o->channel, field, &d->channel, &taken,
                               err);
        if (r == 0 && !taken)
            r = index_channel_begin(ns->db->engine, o->channel, field,
                                    d->channel, err);
        if (r == 0)
            index_def_set_unique(d, unique);
    }
    return r;
}

static int put_new_entry(struct namespace *ns, const char *name,
                         const struct orphan *o, const struct index_defs *defs,
                         const struct schema *schema, struct err *err)
{
    AUTO_BUF struct buf key = BUF_INIT;
    AUTO_BUF struct buf text = BUF_INIT;
    struct write w;

    catalog_key_table(name, &key);
    catalog_text_table(name, o->channel, o->card, defs, schema, &text);
    table_entry_write(WRITE_PUT, &key, &text, &w);
    w.must_be_new = true;
    int r = ledger_write_wait(ns->ledger, &w, NULL, err);
    catalog_sync(ns, true);
    if (r != -EEXIST)
        return r;

    /* Another process was first. What was made here goes, unless it took just
     * that channel. */
    struct err ignored = ERR_INIT;
    engine_lock(ns->db->engine);
    bool in_use = is_in_use(ns->db, o->channel);
    engine_unlock(ns->db->engine);
    if (!in_use && database_remove_channel(ns->db, o->channel, &ignored) < 0)
        log_warn("%s", ignored.text);
    for (size_t i = 0; !in_use && i < defs->n; i++)
        if (database_remove_channel(ns->db, defs->list[i].channel, &ignored) <
            0)
            log_warn("%s", ignored.text);
    return err_set(err, -EEXIST, "there is a table '%s' already", name);
}

static int create(struct namespace *ns, const char *name,
                  const struct schema *schema, struct table **out,
                  struct err *err)
{
    struct orphan o;
    struct index_defs defs = {0};

    int r = namespace_load(ns, err);
    if (r < 0)
        return r;
    struct table *t = table_find(ns, name);
    if (t) {
        table_unref(t);
        return err_set(err, -EEXIST, "there is a table '%s' already", name);
    }
    r = make_channel(ns, name, &o, err);
    if (r == 0)
        r = make_indexes(ns, name, &o, schema, &defs, err);
    if (r == 0)
        r = put_new_entry(ns, name, &o, &defs, schema, err);
    index_defs_release(&defs);
    if (r < 0)
        return r;
    t = table_find(ns, name);
    if (!t)
        return err_set(err, -ENOENT,
                       "the table '%s' was dropped as soon as it was there",
                       name);
    if (out)
        *out = t;
    else
        table_unref(t);
    return 0;
}

int table_create(struct namespace *ns, const char *name, struct schema *schema,
                 struct table **out, struct err *err)
{
    int r = table_check_change(ns, name, err);
    if (r < 0)
        return r;

    struct schema *s = schema ? schema_ref(schema) : schema_new_default("id");
    database_enter(ns->db);
    r = create(ns, name, s, out, err);
    database_leave(ns->db);
    schema_unref(s);
    return r < 0 ? err_wrap(err, r, "create '%s'", name) : 0;
}
