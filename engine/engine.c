/* The engine as a whole: opening and closing, which ledger an event is for,
 * and telling the watcher. */
#include "engine/engine.h"

#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/str.h"
#include "engine/checkpoint.h"
#include "engine/engine_impl.h"
#include "engine/indexer.h"
#include "engine/job.h"
#include "engine/name.h"
#include "engine/text.h"

/* For openings and other work that waits, each for as long as Discord takes;
 * timers need a free one. Started when needed. */
#define OWN_THREADS 16
#define LENT_THREADS 4 /* engine_spawn() */
#define TEXT_CACHE ((uint64_t)64 << 20)
#define SETTLE_MS 2000

static uint64_t route_hash(const void *item)
{
    return hash_u64(((const struct route *)item)->channel);
}

static bool route_has(const void *item, const void *key)
{
    return ((const struct route *)item)->channel == *(const uint64_t *)key;
}

static const struct map_type route_type = {route_hash, route_has};

/* --- opening ---------------------------------------------------------------
 */

/* Ended one of two ways: never shown to anybody, or closed. */
static void free_engine(struct engine *e)
{
    struct route *r;
    size_t at = 0;

    while ((r = map_next(&e->routes, &at))) {
        ledger_unref(r->ledger);
        free(r);
    }
    map_release(&e->routes);
    for (size_t i = 0; i < e->n_dbs; i++)
        database_close(&e->dbs[i]);
    free(e->dbs);
    text_cache_free(e->core.texts);
    pthread_mutex_destroy(&e->lock);
    core_release(&e->core);
    free(e);
}

/* All catalogs, at the same time. */
static int load_catalogs(struct engine *e, struct err *err)
{
    int res = 0;

    for (size_t i = 0; i < e->n_dbs; i++) {
        size_t n;
        struct namespace **list = namespace_list_all(&e->dbs[i], &n);
        for (size_t k = 0; k < n; k++)
            namespace_load_later(list[k]);
        for (size_t k = 0; k < n; k++) {
            struct err why = ERR_INIT;
            int r = namespace_load(list[k], &why);
            /* One that cannot be used is no reason to refuse the others. */
            if (r == -EPROTONOSUPPORT || r == -EACCES || r == -EBADMSG)
                log_error("%s", err_text(&why, r));
            else if (r < 0 && r != -ENOENT && res == 0) {
                res = r;
                *err = why;
            }
            namespace_unref(list[k]);
        }
        free(list);
    }
    return res;
}

static int start(struct engine *e, const struct engine_options *o,
                 struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request me = {.op = REMOTE_ME};

    int r = remote_run(o->remote, &me, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the bot's own account");
    e->core.self = reply.user_id;
    remote_reply_release(&reply);
    /* Who reads a table of the one server there is need not know what the
     * server is called, nor what else may be done in it. */
    bool describe = o->all || !o->read_only || o->n_guilds > 1;
    for (size_t i = 0; i < o->n_guilds && r == 0; i++) {
        e->n_dbs++;
        r = database_open(e, &e->dbs[i], o->guilds[i], describe, err);
    }
    if (r < 0)
        return r;
    engine_lock(e);
    database_name_all_locked(e);
    engine_unlock(e);
    return o->all ? load_catalogs(e, err) : 0;
}

int engine_open(const struct engine_options *o, struct engine **out,
                struct err *err)
{
    struct engine *e = xcalloc(1, sizeof(*e));

    core_init(&e->core);
    e->core.remote = o->remote;
    e->core.by = xstrdup(o->by ? o->by : "dbcord");
    e->core.read_only = o->read_only;
    e->core.alone = o->alone;
    e->core.settle_ms = o->settle_ms > 0 ? o->settle_ms : SETTLE_MS;
    e->core.retry_ms = (e->core.settle_ms + 1) / 2;
    e->core.grace_ms = 5 * e->core.settle_ms;
    e->core.pool = job_pool_new(OWN_THREADS);
    e->core.texts =
        text_cache_new(&e->core, o->cache_bytes ? o->cache_bytes : TEXT_CACHE);
    e->lent = job_pool_new(LENT_THREADS);
    e->watch = o->watch;
    e->watch_arg = o->watch_arg;
    e->all = o->all;
    e->dbs = xcalloc(o->n_guilds, sizeof(*e->dbs));
    e->routes = MAP_INIT(&route_type);
    e->told_last = &e->told;
    pthread_mutex_init(&e->lock, NULL);

    int r = start(e, o, err);
    if (r < 0) {
        engine_close(e, 0);
        return r;
    }
    *out = e;
    return 0;
}

/* --- closing ---------------------------------------------------------------
 */

/* Every ledger once, though a table's has two routes; referenced. */
static struct ledger **all_ledgers(struct engine *e, size_t *n)
{
    struct route *r;
    size_t at = 0;

    engine_lock(e);
    struct ledger **list = xcalloc(e->routes.count, sizeof(struct ledger *));
    *n = 0;
    while ((r = map_next(&e->routes, &at)))
        if (r->channel == ledger_id(r->ledger))
            list[(*n)++] = ledger_ref(r->ledger);
    engine_unlock(e);
    return list;
}

static void each_ledger(struct engine *e, void (*fn)(struct ledger *l))
{
    size_t n;
    struct ledger **list = all_ledgers(e, &n);

    for (size_t i = 0; i < n; i++) {
        fn(list[i]);
        ledger_unref(list[i]);
    }
    free(list);
}

static void each_indexer(struct engine *e, void (*fn)(struct indexer *ix))
{
    for (size_t d = 0; d < e->n_dbs; d++) {
        size_t n_spaces;
        struct namespace **spaces = namespace_list_all(&e->dbs[d], &n_spaces);
        for (size_t i = 0; i < n_spaces; i++) {
            size_t n;
            struct table **tables = table_list(spaces[i], &n);
            for (size_t k = 0; k < n; k++) {
                fn(tables[k]->indexer);
                table_unref(tables[k]);
            }
            free(tables);
            namespace_unref(spaces[i]);
        }
        free(spaces);
    }
}

/* With what is left of the patience. */
static void close_checkpoints(struct engine *e, int64_t until)
{
    size_t n;
    struct ledger **list = all_ledgers(e, &n);

    atomic_store(&e->core.until_ms, until);
    core_wait_zero(&e->core, &e->core.checkpoints,
                   until > clock_mono_ms() ? until - clock_mono_ms() : 0);
    for (size_t i = 0; i < n; i++) {
        checkpoint_close(list[i], e->all, until - clock_mono_ms());
        ledger_unref(list[i]);
    }
    free(list);
}

void engine_close(struct engine *e, int64_t patience_ms)
{
    if (!e)
        return;

    int64_t until = clock_mono_ms() + patience_ms;
    /* Work that was lent may still write. */
    job_pool_free(e->lent);
    atomic_store(&e->core.closing, true);
    core_wait_zero(&e->core, &e->core.writes, -1);

    atomic_store(&e->core.hasty, true);
    each_indexer(e, indexer_hurry);
    each_ledger(e, ledger_hurry);
    int64_t left = until - clock_mono_ms();
    if (!core_wait_zero(&e->core, &e->core.unsettled, left > 0 ? left : 0))
        log_info("some messages still show older versions of their rows; they "
                 "are brought up to date when the table is next opened");
    left = until - clock_mono_ms();
    if (!core_wait_zero(&e->core, &e->core.unindexed, left > 0 ? left : 0))
        log_info("some entries of indexes are not written yet; who changes the "
                 "table next sees to it");
    close_checkpoints(e, until);
    atomic_store(&e->core.stopped, true);
    each_indexer(e, indexer_stop);
    each_ledger(e, ledger_stop);

    /* Answers may hand something to the pool, and what runs there may submit:
     * but nothing new is begun, so that both come to an end. Timers run at once
     * and find that all is over. */
    core_wait_zero(&e->core, &e->core.requests, -1);
    job_pool_free(e->core.pool);
    core_wait_zero(&e->core, &e->core.requests, -1);
    free_engine(e);
}

/* --- telling the watcher ---------------------------------------------------
 */

void engine_note_locked(struct engine *e, const struct change *c,
                        const char *old_name)
{
    if (!e->watch)
        return;
    struct told *t = xcalloc(1, sizeof(*t));
    t->c = *c;
    if (c->ns)
        namespace_ref(c->ns);
    if (c->table)
        table_ref(c->table);
    t->old_name = old_name ? xstrdup(old_name) : NULL;
    *e->told_last = t;
    e->told_last = &t->next;
}

void engine_tell(struct engine *e)
{
    engine_lock(e);
    if (e->telling) {
        engine_unlock(e);
        return;
    }
    e->telling = true;
    while (e->told) {
        struct told *t = e->told;
        e->told = t->next;
        if (!e->told)
            e->told_last = &e->told;
        engine_unlock(e);
        t->c.old_name = t->old_name;
        e->watch(e->watch_arg, &t->c);
        namespace_unref(t->c.ns);
        table_unref(t->c.table);
        free(t->old_name);
        free(t);
        engine_lock(e);
    }
    e->telling = false;
    engine_unlock(e);
}

/* --- events ----------------------------------------------------------------
 */

void engine_route_locked(struct engine *e, uint64_t channel, struct ledger *l)
{
    struct route *r = xcalloc(1, sizeof(*r));

    if (!channel) {
        free(r);
        return;
    }
    r->channel = channel;
    r->ledger = ledger_ref(l);
    struct route *old = map_put(&e->routes, &r->channel, r);
    if (old) {
        ledger_unref(old->ledger);
        free(old);
    }
}

void engine_route_index_locked(struct engine *e, uint64_t channel,
                               struct table *t)
{
    engine_route_locked(e, channel, t->ledger);
    struct route *r = map_get(&e->routes, hash_u64(channel), &channel);
    if (r)
        r->index_of = t;
}

void engine_unroute_locked(struct engine *e, uint64_t channel)
{
    struct route *r = map_remove(&e->routes, hash_u64(channel), &channel);

    if (r)
        ledger_unref(r->ledger); /* never the last one */
    free(r);
}

/* A reference; *indexer is not NULL where it is the channel of an index. */
static struct ledger *route(struct engine *e, uint64_t channel,
                            struct indexer **indexer)
{
    engine_lock(e);
    struct route *r = map_get(&e->routes, hash_u64(channel), &channel);
    struct ledger *l = r ? ledger_ref(r->ledger) : NULL;
    *indexer = r && r->index_of ? r->index_of->indexer : NULL;
    engine_unlock(e);
    return l;
}

static struct database *by_id(struct engine *e, uint64_t guild)
{
    for (size_t i = 0; i < e->n_dbs; i++)
        if (e->dbs[i].id == guild)
            return &e->dbs[i];
    return NULL;
}

static void guild_changed(struct database *d, const char *name, bool gone)
{
    struct engine *e = d->engine;
    struct buf b = BUF_INIT;

    engine_lock(e);
    if (!d->described) {
        /* It will be asked for when somebody wants to know. */
        d->gone = gone;
        engine_unlock(e);
        return;
    }
    AUTO_STR char *old = xstrdup(d->name);
    bool came_or_went = d->gone != gone;
    d->gone = gone;
    /* A second one of this name keeps the id it was given. */
    if (name)
        name_file_safe(name, &b);
    if (b.len > 0 && !(str_starts(d->name, b.data) &&
                       (!d->name[b.len] || d->name[b.len] == '-'))) {
        free(d->name);
        d->name = buf_take_str(&b);
        database_name_all_locked(e);
    }
    buf_release(&b);
    bool renamed = strcmp(old, d->name) != 0;
    if (came_or_went || renamed) {
        struct change c = {
            .kind = CHANGE_DATABASE,
            .database = d,
            .gone = gone,
        };
        engine_note_locked(e, &c, renamed ? old : NULL);
    }
    engine_unlock(e);
    engine_tell(e);
}

static void list_all_again(struct engine *e)
{
    each_ledger(e, ledger_gap);
    for (size_t i = 0; i < e->n_dbs; i++)
        database_relist(&e->dbs[i]);
}

/* The first time there was nothing to resume: what happened since the listings
 * of engine_open() was not told. */
static void set_connected(struct engine *e, bool connected)
{
    engine_lock(e);
    bool first = connected && !e->connected;
    if (connected)
        e->connected = true;
    e->connected_ms = connected ? clock_wall_ms() : 0;
    engine_unlock(e);
    if (first)
        list_all_again(e);
}

static void channel_event(struct engine *e, const struct remote_event *ev)
{
    struct database *d = by_id(e, ev->chan.guild_id);

    if (d && ev->kind == REMOTE_EVENT_CHANNEL &&
        ev->chan.kind != REMOTE_CHANNEL_THREAD)
        database_event_channel(d, &ev->chan);
    if (ev->kind != REMOTE_EVENT_CHANNEL_GONE)
        return;
    for (size_t i = 0; i < e->n_dbs; i++)
        if (!d || d == &e->dbs[i])
            database_event_gone(&e->dbs[i], ev->chan.id);
}

void engine_event(struct engine *e, const struct remote_event *ev)
{
    struct database *d = by_id(e, ev->guild.id);
    struct ledger *l = NULL;
    struct indexer *indexer;

    if (atomic_load(&e->core.closing))
        return;
    switch (ev->kind) {
    case REMOTE_EVENT_MESSAGE:
        l = route(e, ev->message.channel_id, &indexer);
        if (l && indexer)
            indexer_event_message(indexer, &ev->message);
        else if (l)
            ledger_event_message(l, &ev->message, ev->created);
        break;
    case REMOTE_EVENT_DELETED:
        l = route(e, ev->channel, &indexer);
        if (l && indexer)
            indexer_event_deleted(indexer, ev->channel, ev->ids, ev->n_ids);
        else if (l)
            ledger_event_deleted(l, ev->channel, ev->ids, ev->n_ids);
        break;
    case REMOTE_EVENT_CHANNEL:
    case REMOTE_EVENT_CHANNEL_GONE:
        channel_event(e, ev);
        break;
    case REMOTE_EVENT_GUILD:
    case REMOTE_EVENT_GUILD_GONE:
        if (d)
            guild_changed(d, ev->guild.name,
                          ev->kind == REMOTE_EVENT_GUILD_GONE);
        break;
    case REMOTE_EVENT_GAP:
        list_all_again(e);
        break;
    case REMOTE_EVENT_CONNECTED:
    case REMOTE_EVENT_DISCONNECTED:
        set_connected(e, ev->kind == REMOTE_EVENT_CONNECTED);
        break;
    }
    ledger_unref(l);
}

/* --- small questions -------------------------------------------------------
 */

void engine_spawn(struct engine *e, void (*fn)(void *arg), void *arg)
{
    job_run(e->lent, fn, arg);
}

bool engine_read_only(const struct engine *e)
{
    return e->core.read_only;
}

struct remote *engine_remote(struct engine *e)
{
    return e->core.remote;
}

size_t engine_database_count(struct engine *e)
{
    return e->n_dbs;
}

struct database *engine_database_at(struct engine *e, size_t i)
{
    return &e->dbs[i];
}

struct database *engine_database_find(struct engine *e, const char *name)
{
    struct database *d = NULL;

    for (size_t i = 0; i < e->n_dbs; i++)
        database_describe(&e->dbs[i], NULL);
    engine_lock(e);
    for (size_t i = 0; i < e->n_dbs && !d; i++)
        if (!e->dbs[i].gone && e->dbs[i].name &&
            strcmp(e->dbs[i].name, name) == 0)
            d = &e->dbs[i];
    engine_unlock(e);
    return d;
}

/* --- status ----------------------------------------------------------------
 */

static void add_string(struct buf *out, const char *s)
{
    buf_add_json(out, s, strlen(s));
}

#define DAMAGE_SHOWN 20

static void status_of_ledger(struct ledger *l, struct buf *out)
{
    struct ledger_stats s;
    char *damage[DAMAGE_SHOWN];

    ledger_stats(l, &s);
    buf_printf(out,
               ",\"open\":%s,\"rows\":%zu,\"bytes\":%llu,\"pending\":%zu,"
               "\"ignored\":%zu,\"waiting\":%zu,\"committing\":%s,"
               "\"stale\":%zu,\"reposted\":%zu,\"damaged\":%zu,\"damage\":[",
               s.open ? "true" : "false", s.rows, (unsigned long long)s.bytes,
               s.pending, s.ignored, s.queued, s.committing ? "true" : "false",
               s.stale, s.reposted, s.damaged);
    size_t n = ledger_damage(l, damage, DAMAGE_SHOWN);
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        add_string(out, damage[i]);
        free(damage[i]);
    }
    buf_addstr(out, "]");
}

/* How far the background writer is behind the rows. */
static void status_of_writer(struct table *t, struct buf *out)
{
    int64_t oldest_ms;
    size_t n, behind = ledger_behind(t->ledger, &oldest_ms);
    struct table_index *list = table_indexes(t, &n);

    buf_printf(out,
               ",\"row_messages\":{\"behind\":%zu,\"oldest_ms\":%lld},"
               "\"indexes\":[",
               behind, (long long)oldest_ms);
    for (size_t i = 0; i < n; i++) {
        buf_addstr(out, i > 0 ? ",{\"field\":" : "{\"field\":");
        add_string(out, list[i].field);
        buf_printf(out,
                   ",\"unique\":%s,\"channel_id\":\"%llu\",\"lost\":%s,"
                   "\"entries\":%lld,\"behind\":%zu,\"oldest_ms\":%lld}",
                   list[i].unique ? "true" : "false",
                   (unsigned long long)list[i].channel,
                   list[i].lost ? "true" : "false", (long long)list[i].entries,
                   list[i].behind, (long long)list[i].behind_ms);
    }
    buf_addc(out, ']');
    table_indexes_free(list, n);
}

void table_status(struct table *t, struct buf *out)
{
    AUTO_STR char *name = table_name(t);

    buf_addstr(out, "{\"name\":");
    add_string(out, name);
    status_of_ledger(t->ledger, out);
    status_of_writer(t, out);
    buf_addc(out, '}');
}

static void status_of_namespace(struct namespace *ns, struct buf *out)
{
    AUTO_STR char *name = namespace_name(ns);
    size_t n;
    struct table **tables = table_list(ns, &n);

    buf_addstr(out, "{\"name\":");
    add_string(out, name);
    engine_lock(ns->db->engine);
    if (ns->refused) {
        buf_addstr(out, ",\"refused\":");
        add_string(out, ns->refused);
    }
    engine_unlock(ns->db->engine);
    buf_addstr(out, ",\"tables\":[");
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        table_status(tables[i], out);
        table_unref(tables[i]);
    }
    free(tables);
    buf_addstr(out, "]}");
}

void engine_status(struct engine *e, struct buf *out)
{
    pthread_mutex_lock(&e->core.lock);
    size_t writes = e->core.writes, requests = e->core.requests;
    size_t unsettled = e->core.unsettled, unindexed = e->core.unindexed;
    size_t catching_up = e->core.catching_up;
    pthread_mutex_unlock(&e->core.lock);
    size_t jobs;
    uint64_t begun;
    job_pool_count(e->core.pool, &jobs, &begun);
    engine_lock(e);
    int64_t since = e->connected_ms;
    engine_unlock(e);

    buf_printf(out,
               "{\"writes_waiting\":%zu,\"requests_under_way\":%zu,"
               "\"jobs_under_way\":%zu,\"jobs_begun\":%llu,"
               "\"catching_up\":%zu,"
               "\"row_messages_behind\":%zu,\"indexes_behind\":%zu,"
               "\"text_cache_bytes\":%llu,"
               "\"connected_since_ms\":%lld,\"read_only\":%s,\"databases\":[",
               writes, requests, jobs, (unsigned long long)begun, catching_up,
               unsettled, unindexed,
               (unsigned long long)text_cache_bytes(e->core.texts),
               (long long)since, e->core.read_only ? "true" : "false");
    for (size_t i = 0; i < e->n_dbs; i++) {
        AUTO_STR char *name = database_name(&e->dbs[i]);
        size_t n;
        struct namespace **list = namespace_list(&e->dbs[i], &n);
        buf_addstr(out, i > 0 ? ",{\"name\":" : "{\"name\":");
        add_string(out, name);
        buf_printf(out, ",\"id\":\"%llu\",\"namespaces\":[",
                   (unsigned long long)e->dbs[i].id);
        for (size_t k = 0; k < n; k++) {
            if (k > 0)
                buf_addc(out, ',');
            status_of_namespace(list[k], out);
            namespace_unref(list[k]);
        }
        free(list);
        buf_addstr(out, "]}");
    }
    buf_addstr(out, "]}");
}
