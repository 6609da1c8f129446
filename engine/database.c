/* A guild: its name, its channels, and the rule that one thing is created or
 * dropped at a time. Which of its channels are namespaces is namespace.c's
 * affair, which are tables the catalogs'. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/engine_impl.h"
#include "engine/job.h"
#include "engine/name.h"

static uint64_t chan_hash(const void *item)
{
    return hash_u64(((const struct chan *)item)->id);
}

static bool chan_has(const void *item, const void *key)
{
    return ((const struct chan *)item)->id == *(const uint64_t *)key;
}

static const struct map_type chan_type = {chan_hash, chan_has};

struct chan *database_chan_locked(struct database *d, uint64_t id)
{
    return map_get(&d->channels, hash_u64(id), &id);
}

static void chan_free(struct chan *c)
{
    if (c)
        free(c->name);
    free(c);
}

bool database_note_locked(struct database *d, const struct remote_channel *ch)
{
    struct chan *c = database_chan_locked(d, ch->id);
    bool is_new = !c;

    if (ch->kind == REMOTE_CHANNEL_THREAD)
        return false;
    if (is_new) {
        c = xcalloc(1, sizeof(*c));
        c->id = ch->id;
        map_put(&d->channels, &c->id, c);
    }
    free(c->name);
    c->name = xstrdup(ch->name ? ch->name : "");
    c->parent = ch->parent_id;
    c->kind = ch->kind;
    c->writable = ch->viewable && ch->writable && ch->manageable;
    return is_new;
}

size_t database_children_locked(struct database *d, uint64_t category)
{
    const struct chan *c;
    size_t n = 0;

    for (size_t at = 0; (c = map_next(&d->channels, &at));)
        n += c->parent == category;
    return n;
}

/* --- names -----------------------------------------------------------------
 */

/* Guilds of one name are told apart by their ids; the first has it bare. */
void database_name_all_locked(struct engine *e)
{
    for (size_t i = 1; i < e->n_dbs; i++) {
        struct database *d = &e->dbs[i];
        bool taken = false;
        for (size_t k = 0; k < i; k++)
            taken |= strcmp(e->dbs[k].name, d->name) == 0;
        if (!taken)
            continue;
        AUTO_BUF struct buf b = BUF_INIT;
        buf_printf(&b, "%s-%llu", d->name, (unsigned long long)d->id);
        free(d->name);
        d->name = buf_take_str(&b);
    }
}

static char *file_name_of(const char *name)
{
    struct buf b = BUF_INIT;

    name_file_safe(name ? name : "", &b);
    return buf_take_str(&b);
}

char *database_name(struct database *d)
{
    struct buf b = BUF_INIT;

    database_describe(d, NULL);
    engine_lock(d->engine);
    if (d->name)
        buf_addstr(&b, d->name);
    else
        buf_printf(&b, "%llu", (unsigned long long)d->id);
    engine_unlock(d->engine);
    return buf_take_str(&b);
}

uint64_t database_id(const struct database *d)
{
    return d->id;
}

#define MANAGE_CHANNELS ((uint64_t)1 << 4)
#define ADMINISTRATOR ((uint64_t)1 << 3)

bool database_writable(struct database *d)
{
    database_describe(d, NULL);
    engine_lock(d->engine);
    bool may = !d->engine->core.read_only && !d->gone &&
               (d->permissions & (MANAGE_CHANNELS | ADMINISTRATOR));
    engine_unlock(d->engine);
    return may;
}

uint64_t database_max_file(struct database *d)
{
    database_describe(d, NULL);
    engine_lock(d->engine);
    uint64_t max = d->max_file;
    engine_unlock(d->engine);
    return max;
}

/* --- opening ---------------------------------------------------------------
 */

/* What a file may have on a server of which nothing is known. */
#define MAX_FILE ((uint64_t)10 << 20)

int database_describe(struct database *d, struct err *err)
{
    struct engine *e = d->engine;
    struct remote_reply reply = {0};
    struct remote_request about = {.op = REMOTE_GUILD, .guild = d->id};

    engine_lock(e);
    bool known = d->described;
    engine_unlock(e);
    if (known)
        return 0;
    int r = remote_run(e->core.remote, &about, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the server %llu", (unsigned long long)d->id);
    engine_lock(e);
    if (!d->described) {
        d->described = true;
        d->name = file_name_of(reply.guild.name);
        d->permissions = reply.guild.permissions;
        d->max_file = reply.guild.max_file;
    }
    engine_unlock(e);
    remote_reply_release(&reply);
    return 0;
}

int database_open(struct engine *e, struct database *d, uint64_t guild,
                  bool describe, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request channels = {.op = REMOTE_CHANNELS, .guild = guild};

    d->engine = e;
    d->id = guild;
    d->channels = MAP_INIT(&chan_type);
    pthread_cond_init(&d->idle, NULL);

    d->max_file = MAX_FILE;
    int r = describe ? database_describe(d, err) : 0;
    if (r < 0)
        return r;
    r = remote_run(e->core.remote, &channels, &reply, err);
    if (r < 0)
        return err_wrap(err, r, "the channels of the server %llu",
                        (unsigned long long)guild);
    engine_lock(e);
    for (size_t i = 0; i < reply.n_channels; i++)
        database_note_locked(d, &reply.channels[i]);
    namespace_discover_locked(d);
    engine_unlock(e);
    remote_reply_release(&reply);
    return 0;
}

void database_close(struct database *d)
{
    struct chan *c;

    for (size_t i = 0; i < d->n_spaces; i++) {
        struct namespace *ns = d->spaces[i];
        while (ns->n_tables > 0)
            table_unref(ns->tables[--ns->n_tables]);
        namespace_unref(ns);
    }
    free(d->spaces);
    for (size_t at = 0; (c = map_next(&d->channels, &at));)
        chan_free(c);
    map_release(&d->channels);
    if (d->engine)
        pthread_cond_destroy(&d->idle);
    free(d->name);
}

/* --- what changes ----------------------------------------------------------
 */

/* Namespaces and tables as the channels are now. Those whose catalog has not
 * been read stay so, unless all are to be. */
static void bring_in_line(struct database *d)
{
    struct engine *e = d->engine;

    engine_lock(e);
    namespace_discover_locked(d);
    size_t n = d->n_spaces;
    struct namespace **list = xcalloc(n, sizeof(struct namespace *));
    bool *loaded = xcalloc(n, sizeof(*loaded));
    for (size_t i = 0; i < n; i++) {
        list[i] = namespace_ref(d->spaces[i]);
        loaded[i] = list[i]->loaded;
    }
    engine_unlock(e);
    for (size_t i = 0; i < n; i++) {
        if (loaded[i])
            catalog_sync(list[i], false);
        else if (e->all)
            namespace_load_later(list[i]);
        namespace_unref(list[i]);
    }
    free(list);
    free(loaded);
    engine_tell(e);
}

/* Caller holds the engine's lock. */
static void remove_chan_locked(struct database *d, uint64_t id)
{
    chan_free(map_remove(&d->channels, hash_u64(id), &id));
    for (size_t i = 0; i < d->n_spaces;) {
        struct namespace *ns = d->spaces[i];
        if (ns->category == id || ns->catalog == id)
            namespace_gone_locked(ns);
        else
            i++;
    }
}

void database_event_channel(struct database *d, const struct remote_channel *c)
{
    engine_lock(d->engine);
    bool is_new = database_note_locked(d, c);
    engine_unlock(d->engine);
    if (is_new)
        bring_in_line(d);
}

void database_event_gone(struct database *d, uint64_t channel)
{
    engine_lock(d->engine);
    bool known = database_chan_locked(d, channel) != NULL;
    if (known)
        remove_chan_locked(d, channel);
    engine_unlock(d->engine);
    if (known)
        bring_in_line(d);
}

static bool is_among(const struct remote_reply *reply, uint64_t id)
{
    for (size_t i = 0; i < reply->n_channels; i++)
        if (reply->channels[i].id == id)
            return true;
    return false;
}

/* Caller holds the engine's lock. Channels made by this process meanwhile,
 * those younger than `newest` of the listing, are not missing. */
static void take_list_locked(struct database *d,
                             const struct remote_reply *reply, uint64_t newest)
{
    bool found = true;

    for (size_t i = 0; i < reply->n_channels; i++)
        database_note_locked(d, &reply->channels[i]);
    while (found) {
        const struct chan *c;
        found = false;
        for (size_t at = 0; !found && (c = map_next(&d->channels, &at));)
            found = c->id <= newest && !is_among(reply, c->id);
        if (found)
            remove_chan_locked(d, c->id);
    }
}

static void relisted(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct database *d = arg;

    engine_lock(d->engine);
    if (r == 0) {
        uint64_t newest = 0;
        for (size_t i = 0; i < reply->n_channels; i++)
            if (reply->channels[i].id > newest)
                newest = reply->channels[i].id;
        take_list_locked(d, reply, newest);
    }
    d->relisting = false;
    bool again = d->list_again;
    d->list_again = false;
    engine_unlock(d->engine);

    if (atomic_load(&d->engine->core.closing))
        return;
    if (r < 0)
        log_warn("the channels of the server %llu cannot be listed: %s",
                 (unsigned long long)d->id, err_text(err, r));
    else
        bring_in_line(d);
    if (again)
        database_relist(d);
}

void database_relist(struct database *d)
{
    engine_lock(d->engine);
    bool start = !d->relisting && !atomic_load(&d->engine->core.closing);
    d->list_again = d->relisting;
    d->relisting = d->relisting || start;
    engine_unlock(d->engine);
    if (!start)
        return;
    struct remote_request req = {.op = REMOTE_CHANNELS, .guild = d->id};
    core_submit(&d->engine->core, &req, relisted, d);
}

/* --- one at a time ---------------------------------------------------------
 */

void database_enter(struct database *d)
{
    engine_lock(d->engine);
    while (d->busy)
        pthread_cond_wait(&d->idle, &d->engine->lock);
    d->busy = true;
    engine_unlock(d->engine);
}

void database_leave(struct database *d)
{
    engine_lock(d->engine);
    d->busy = false;
    pthread_cond_signal(&d->idle);
    engine_unlock(d->engine);
}

int database_room(struct database *d, size_t n, struct err *err)
{
    engine_lock(d->engine);
    size_t have = d->channels.count;
    engine_unlock(d->engine);
    if (have + n <= GUILD_CHANNELS)
        return 0;
    return err_set(err, -ENOSPC,
                   "the server has %zu channels and Discord allows %d: delete "
                   "some, or drop tables that are not needed",
                   have, GUILD_CHANNELS);
}

/* The answer to a create was lost: has it come about? A channel has no nonce,
 * and asking for it again would make another. Moves it to the front. */
static bool find_made(struct database *d, enum remote_channel_kind kind,
                      uint64_t parent, const char *name,
                      struct remote_reply *reply)
{
    struct remote_request req = {
        .op = REMOTE_CHANNELS,
        .priority = REMOTE_INTERACTIVE,
        .guild = d->id,
    };

    if (remote_run(d->engine->core.remote, &req, reply, NULL) < 0)
        return false;
    for (size_t i = 0; i < reply->n_channels; i++) {
        struct remote_channel c = reply->channels[i];
        engine_lock(d->engine);
        bool known = database_chan_locked(d, c.id) != NULL;
        engine_unlock(d->engine);
        if (known || c.kind != kind || c.parent_id != parent ||
            strcmp(c.name, name) != 0)
            continue;
        reply->channels[i] = reply->channels[0];
        reply->channels[0] = c;
        return true;
    }
    remote_reply_release(reply);
    return false;
}

int database_add_channel(struct database *d, enum remote_channel_kind kind,
                         uint64_t parent, const char *name, const char *topic,
                         uint64_t *out, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_CHANNEL_CREATE,
        .priority = REMOTE_INTERACTIVE,
        .guild = d->id,
        .parent = parent,
        .kind = kind,
        .name = name,
        .topic = topic,
    };

    int r = remote_run(d->engine->core.remote, &req, &reply, err);
    if (r == -EIO || r == -ETIMEDOUT || r == -ENETUNREACH)
        r = find_made(d, kind, parent, name, &reply) ? 0 : r;
    if (r < 0)
        return err_wrap(err, r, "the channel '%s' cannot be created", name);
    *out = reply.channels[0].id;
    engine_lock(d->engine);
    database_note_locked(d, &reply.channels[0]);
    engine_unlock(d->engine);
    remote_reply_release(&reply);
    return 0;
}

int database_remove_channel(struct database *d, uint64_t id, struct err *err)
{
    struct remote_reply reply = {0};
    struct remote_request req = {
        .op = REMOTE_CHANNEL_DELETE,
        .priority = REMOTE_INTERACTIVE,
        .channel = id,
    };

    int r = remote_run(d->engine->core.remote, &req, &reply, err);
    if (r < 0 && r != -ENOENT)
        return err_wrap(err, r, "the channel %llu cannot be deleted",
                        (unsigned long long)id);
    if (r == 0)
        remote_reply_release(&reply);
    engine_lock(d->engine);
    remove_chan_locked(d, id);
    engine_unlock(d->engine);
    return 0;
}
