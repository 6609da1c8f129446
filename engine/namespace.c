/* Namespaces: a category named dbcord-<name> that holds a text channel
 * dbc-catalog. What a namespace is called, and which tables it has, says the
 * catalog alone; the names of channels only tell which ones are ours.
 *
 *     namespace_create:   category -> catalog channel -> its first record
 *     namespace_drop:     catalog channel -> categories
 *
 * The record makes it a namespace: what a crash leaves behind before that (a
 * category without catalog, a catalog without record) is no namespace, and
 * the next namespace_create() of the same name goes on from there. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/base/str.h"
#include "engine/engine_impl.h"
#include "engine/job.h"
#include "engine/name.h"

#define CATEGORY_PREFIX "dbcord-"

bool namespace_is_category(const struct chan *c)
{
    return c && c->kind == REMOTE_CHANNEL_CATEGORY &&
           str_starts(c->name, CATEGORY_PREFIX) &&
           c->name[sizeof(CATEGORY_PREFIX) - 1];
}

/* --- what there is ---------------------------------------------------------
 */

static struct namespace *find_by_catalog(struct database *d, uint64_t catalog)
{
    for (size_t i = 0; i < d->n_spaces; i++)
        if (d->spaces[i]->catalog == catalog)
            return d->spaces[i];
    return NULL;
}

static void add_namespace(struct database *d, const struct chan *catalog,
                          const struct chan *category)
{
    struct engine *e = d->engine;
    struct namespace *ns = xcalloc(1, sizeof(*ns));
    AUTO_BUF struct buf label = BUF_INIT;

    ns->db = d;
    ns->category = category->id;
    ns->catalog = catalog->id;
    ns->name = xstrdup(category->name + sizeof(CATEGORY_PREFIX) - 1);
    buf_printf(&label, "the catalog of '%s'", ns->name);
    struct ledger_options o = {
        .core = &e->core,
        .channel = catalog->id,
        .label = label.data,
        .max_file = d->max_file,
        .owner = &catalog_owner,
        .arg = ns,
    };
    ns->ledger = ledger_new(&o);
    d->spaces = xrealloc(d->spaces, (d->n_spaces + 1) * sizeof(*d->spaces));

    /* By their ids: of two with one name the older has it bare. */
    size_t at = d->n_spaces++;
    while (at > 0 && d->spaces[at - 1]->catalog > ns->catalog) {
        d->spaces[at] = d->spaces[at - 1];
        at--;
    }
    d->spaces[at] = ns;
    engine_route_locked(e, catalog->id, ns->ledger);
}

void namespace_discover_locked(struct database *d)
{
    const struct chan *c;

    for (size_t at = 0; (c = map_next(&d->channels, &at));) {
        const struct chan *category = database_chan_locked(d, c->parent);
        if (c->kind == REMOTE_CHANNEL_TEXT &&
            strcmp(c->name, CATALOG_CHANNEL) == 0 &&
            namespace_is_category(category) && !find_by_catalog(d, c->id))
            add_namespace(d, c, category);
    }
}

struct dying {
    struct namespace *ns;
    struct table **tables;
    size_t n;
};

static void die(void *arg)
{
    struct dying *dying = arg;

    for (size_t i = 0; i < dying->n; i++)
        table_end(dying->tables[i]);
    ledger_gone(dying->ns->ledger);
    engine_tell(dying->ns->db->engine);
    namespace_unref(dying->ns);
    free(dying->tables);
    free(dying);
}

void namespace_gone_locked(struct namespace *ns)
{
    struct database *d = ns->db;
    struct dying *dying = xcalloc(1, sizeof(*dying));
    size_t at = 0;

    while (d->spaces[at] != ns)
        at++;
    for (d->n_spaces--; at < d->n_spaces; at++)
        d->spaces[at] = d->spaces[at + 1];
    ns->gone = true;
    if (ns->born) {
        struct change c = {
            .kind = CHANGE_NAMESPACE,
            .database = d,
            .ns = ns,
            .gone = true,
        };
        engine_note_locked(d->engine, &c, NULL);
    }
    engine_unroute_locked(d->engine, ns->catalog);

    dying->ns = ns; /* with the tree's reference */
    dying->tables = xcalloc(ns->n_tables, sizeof(*dying->tables));
    while (ns->n_tables > 0) {
        struct table *t = ns->tables[0];
        table_detach_locked(t);
        dying->tables[dying->n++] = t;
    }
    /* What waits in them is told on a thread without the lock. */
    job_run(d->engine->core.pool, die, dying);
}

/* --- names -----------------------------------------------------------------
 */

void namespace_shown_locked(const struct namespace *ns, struct buf *out)
{
    const struct database *d = ns->db;

    buf_addstr(out, ns->name);
    for (size_t i = 0; i < d->n_spaces && d->spaces[i] != ns; i++) {
        if (!d->spaces[i]->gone && d->spaces[i]->born &&
            strcmp(d->spaces[i]->name, ns->name) == 0) {
            buf_printf(out, "-%llu", (unsigned long long)ns->category);
            return;
        }
    }
}

/* Whether it is one is known when its catalog has been read: where all are
 * read, one that has not been yet is about to be. */
static bool is_visible(const struct namespace *ns)
{
    return !ns->gone && (ns->born || (!ns->loaded && !ns->db->engine->all));
}

/* Without its catalog all there is to go by is the category's name. */
static bool is_called(const struct namespace *ns, const char *name)
{
    AUTO_BUF struct buf shown = BUF_INIT;

    if (ns->loaded) {
        namespace_shown_locked(ns, &shown);
        return buf_equals(&shown, name, strlen(name));
    }
    name_category(name, 1, &shown);
    return strcmp(shown.data + sizeof(CATEGORY_PREFIX) - 1, ns->name) == 0;
}

struct namespace *namespace_find(struct database *d, const char *name)
{
    struct namespace *found = NULL;

    engine_lock(d->engine);
    /* What is known by its catalog goes before what is only guessed. */
    for (int loaded = 1; loaded >= 0 && !found; loaded--)
        for (size_t i = 0; i < d->n_spaces && !found; i++)
            if (d->spaces[i]->loaded == (loaded == 1) &&
                is_visible(d->spaces[i]) && is_called(d->spaces[i], name))
                found = namespace_ref(d->spaces[i]);
    engine_unlock(d->engine);
    return found;
}

struct namespace **namespace_list(struct database *d, size_t *n)
{
    engine_lock(d->engine);
    struct namespace **list = xcalloc(d->n_spaces, sizeof(struct namespace *));
    *n = 0;
    for (size_t i = 0; i < d->n_spaces; i++)
        if (is_visible(d->spaces[i]))
            list[(*n)++] = namespace_ref(d->spaces[i]);
    engine_unlock(d->engine);
    return list;
}

struct namespace **namespace_list_all(struct database *d, size_t *n)
{
    engine_lock(d->engine);
    struct namespace **list = xcalloc(d->n_spaces, sizeof(struct namespace *));
    *n = d->n_spaces;
    for (size_t i = 0; i < *n; i++)
        list[i] = namespace_ref(d->spaces[i]);
    engine_unlock(d->engine);
    return list;
}

char *namespace_name(struct namespace *ns)
{
    struct buf b = BUF_INIT;

    engine_lock(ns->db->engine);
    namespace_shown_locked(ns, &b);
    engine_unlock(ns->db->engine);
    return buf_take_str(&b);
}

uint64_t namespace_id(const struct namespace *ns)
{
    return ns->category;
}

struct database *namespace_database(struct namespace *ns)
{
    return ns->db;
}

struct namespace *namespace_ref(struct namespace *ns)
{
    ledger_ref(ns->ledger);
    return ns;
}

void namespace_unref(struct namespace *ns)
{
    if (ns)
        ledger_unref(ns->ledger);
}

/* --- reading the catalog ---------------------------------------------------
 */

int namespace_load(struct namespace *ns, struct err *err)
{
    struct engine *e = ns->db->engine;
    AUTO_STR char *name = namespace_name(ns);
    int r = 0;

    engine_lock(e);
    bool loaded = ns->loaded, gone = ns->gone;
    engine_unlock(e);
    if (gone)
        return err_set(err, -ENOENT, "the namespace '%s' is gone", name);
    if (!loaded) {
        r = ledger_open_wait(ns->ledger, err);
        if (r == 0)
            r = catalog_fetch(ns, err);
        if (r < 0)
            return err_wrap(err, r, "the namespace '%s'", name);
    }
    engine_lock(e);
    if (ns->refused)
        r = err_set(err, -EPROTONOSUPPORT, "the namespace '%s': %s", name,
                    ns->refused);
    else if (!ns->born)
        r = err_set(err, -ENOENT, "the namespace '%s' was never completed",
                    name);
    engine_unlock(e);
    return r;
}

static void load_run(void *arg)
{
    struct namespace *ns = arg;
    struct err err = ERR_INIT;

    /* Without waiting for another job: the opening runs here. */
    int r = catalog_fetch(ns, &err);
    if (r < 0)
        log_error("the catalog %llu cannot be read: %s",
                  (unsigned long long)ns->catalog, err_text(&err, r));
    namespace_unref(ns);
}

static void later_opened(void *arg, int r, const struct err *err)
{
    struct namespace *ns = arg;

    if (r < 0) {
        log_error("%s", err_text(err, r));
        namespace_unref(ns);
        return;
    }
    job_run(ns->db->engine->core.pool, load_run, ns);
}

void namespace_load_later(struct namespace *ns)
{
    if (ledger_open(ns->ledger, later_opened, namespace_ref(ns)) == 0)
        namespace_unref(ns);
}

/* --- creating --------------------------------------------------------------
 */

/* Names are compared as the catalogs say them: all must have been read. */
static int load_all(struct database *d, struct err *err)
{
    size_t n;
    struct namespace **list = namespace_list_all(d, &n);
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = namespace_load(list[i], err);
        /* One that is no namespace, or of another format, is no obstacle. */
        if (r == -ENOENT || r == -EPROTONOSUPPORT)
            r = 0;
        namespace_unref(list[i]);
    }
    free(list);
    return r;
}

int namespace_open_wait(struct database *d, const char *name,
                        struct namespace **out, struct err *err)
{
    struct namespace *ns = namespace_find(d, name);
    int r = ns ? namespace_load(ns, err) : 0;

    if (r < 0 && r != -ENOENT) {
        namespace_unref(ns);
        return r;
    }
    bool is_it = false;
    if (ns && r == 0) {
        AUTO_STR char *shown = namespace_name(ns);
        is_it = strcmp(shown, name) == 0;
    }
    if (!is_it) {
        /* It was renamed, or its name cannot be a channel's. */
        namespace_unref(ns);
        r = load_all(d, err);
        if (r < 0)
            return r;
        ns = namespace_find(d, name);
    }
    if (!ns)
        return err_set(err, -ENOENT, "there is no namespace '%s'", name);
    *out = ns;
    return 0;
}

/* What an interrupted create of this name left: a catalog without a record,
 * or a category without a catalog. */
static void find_leavings(struct database *d, const char *category_name,
                          uint64_t *category, struct namespace **unborn)
{
    const struct chan *c;

    *category = 0;
    *unborn = NULL;
    engine_lock(d->engine);
    for (size_t at = 0; (c = map_next(&d->channels, &at));) {
        if (c->kind != REMOTE_CHANNEL_CATEGORY ||
            strcmp(c->name, category_name) != 0)
            continue;
        struct namespace *ns = NULL;
        for (size_t i = 0; i < d->n_spaces && !ns; i++)
            if (d->spaces[i]->category == c->id)
                ns = d->spaces[i];
        if (ns && !ns->born && ns->loaded && !*unborn)
            *unborn = namespace_ref(ns);
        else if (!ns && database_children_locked(d, c->id) == 0)
            *category = c->id;
    }
    engine_unlock(d->engine);
}

/* The channels of a namespace called name, and the catalog opened. */
static int make_channels(struct database *d, const char *name,
                         struct namespace **out, struct err *err)
{
    AUTO_BUF struct buf category_name = BUF_INIT;
    AUTO_BUF struct buf topic = BUF_INIT;
    uint64_t category, catalog;

    name_category(name, 1, &category_name);
    find_leavings(d, category_name.data, &category, out);
    if (*out)
        return 0;
    int r = database_room(d, category ? 1 : 2, err);
    if (r == 0 && !category)
        r = database_add_channel(d, REMOTE_CHANNEL_CATEGORY, 0,
                                 category_name.data, NULL, &category, err);
    buf_printf(&topic,
               "The catalog of the dbcord namespace %s: which tables it has. "
               "Kept by a program; please leave it alone.",
               name);
    if (r == 0)
        r = database_add_channel(d, REMOTE_CHANNEL_TEXT, category,
                                 CATALOG_CHANNEL, topic.data, &catalog, err);
    if (r < 0)
        return r;

    engine_lock(d->engine);
    namespace_discover_locked(d);
    struct namespace *ns = find_by_catalog(d, catalog);
    if (ns)
        namespace_ref(ns);
    engine_unlock(d->engine);
    if (!ns)
        return err_set(err, -ENOENT, "the catalog channel %llu was deleted",
                       (unsigned long long)catalog);
    r = ledger_open_wait(ns->ledger, err);
    if (r == 0)
        r = catalog_fetch(ns, err);
    if (r < 0)
        namespace_unref(ns);
    else
        *out = ns;
    return r;
}

static int put_namespace(struct namespace *ns, const char *name, bool is_new,
                         struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT;

    catalog_text_namespace(name, &text);
    struct write w = {
        .kind = WRITE_PUT,
        .key = CATALOG_KEY_NAMESPACE,
        .key_len = strlen(CATALOG_KEY_NAMESPACE),
        .text = text.data,
        .text_len = text.len,
        .must_be_new = is_new,
        .must_exist = !is_new,
    };
    int r = ledger_write_wait(ns->ledger, &w, NULL, err);
    if (r == 0)
        catalog_sync(ns, true);
    return r;
}

static int check_writable(struct database *d, struct err *err)
{
    if (d->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only");
    if (!database_writable(d))
        return err_set(err, -EACCES,
                       "the bot may not manage channels on this server: give "
                       "it the permission Manage Channels");
    return 0;
}

static bool is_name_taken(struct database *d, const char *name,
                          const struct namespace *but)
{
    bool taken = false;

    engine_lock(d->engine);
    for (size_t i = 0; i < d->n_spaces; i++) {
        const struct namespace *ns = d->spaces[i];
        taken |=
            ns != but && ns->loaded && is_visible(ns) && is_called(ns, name);
    }
    engine_unlock(d->engine);
    return taken;
}

static int create(struct database *d, const char *name, struct namespace **out,
                  struct err *err)
{
    struct namespace *ns = NULL;

    int r = load_all(d, err);
    if (r == 0 && is_name_taken(d, name, NULL))
        r = err_set(err, -EEXIST, "there is a namespace '%s' already", name);
    if (r == 0)
        r = make_channels(d, name, &ns, err);
    if (r < 0)
        return r;
    r = put_namespace(ns, name, true, err);
    if (r == 0 && out)
        *out = ns;
    else
        namespace_unref(ns);
    return r;
}

int namespace_create(struct database *d, const char *name,
                     struct namespace **out, struct err *err)
{
    int r = name_check("namespace", name, strlen(name), err);
    if (r == 0)
        r = check_writable(d, err);
    if (r < 0)
        return r;
    database_enter(d);
    r = create(d, name, out, err);
    database_leave(d);
    return r < 0 ? err_wrap(err, r, "create '%s'", name) : 0;
}

int namespace_rename(struct namespace *ns, const char *name, struct err *err)
{
    struct database *d = ns->db;

    int r = name_check("namespace", name, strlen(name), err);
    if (r == 0)
        r = check_writable(d, err);
    if (r < 0)
        return r;
    database_enter(d);
    r = load_all(d, err);
    if (r == 0)
        r = namespace_load(ns, err);
    if (r == 0 && is_name_taken(d, name, ns))
        r = err_set(err, -EEXIST, "there is a namespace '%s' already", name);
    if (r == 0)
        r = put_namespace(ns, name, false, err);
    database_leave(d);
    return r;
}

/* --- dropping --------------------------------------------------------------
 */

/* The categories of ns, its first one first. */
static size_t list_categories(struct namespace *ns, uint64_t *out, size_t max)
{
    struct database *d = ns->db;
    size_t n = 0;

    engine_lock(d->engine);
    const struct chan *first = database_chan_locked(d, ns->category);
    if (first && max > 0)
        out[n++] = ns->category;
    for (unsigned nth = 2; first && n < max; nth++) {
        AUTO_BUF struct buf name = BUF_INIT;
        const struct chan *c, *found = NULL;
        buf_printf(&name, "%s-%u", first->name, nth);
        for (size_t at = 0; (c = map_next(&d->channels, &at));)
            if (c->kind == REMOTE_CHANNEL_CATEGORY &&
                strcmp(c->name, name.data) == 0 &&
                (!found || c->id < found->id))
                found = c;
        if (!found)
            break;
        out[n++] = found->id;
    }
    engine_unlock(d->engine);
    return n;
}

static int drop(struct namespace *ns, struct err *err)
{
    struct database *d = ns->db;
    uint64_t categories[GUILD_CHANNELS / CATEGORY_CHANNELS];

    int r = namespace_load(ns, err);
    if (r < 0)
        return r;
    engine_lock(d->engine);
    size_t tables = ns->n_tables;
    engine_unlock(d->engine);
    if (tables > 0)
        return err_set(err, -ENOTEMPTY, "it has %zu tables", tables);

    size_t n = list_categories(ns, categories,
                               sizeof(categories) / sizeof(categories[0]));
    r = database_remove_channel(d, ns->catalog, err);
    if (r < 0)
        return r;
    /* The namespace is gone; what follows is tidying up. What holds channels
     * of others stays. */
    for (size_t i = n; i > 0; i--) {
        struct err e = ERR_INIT;
        engine_lock(d->engine);
        size_t children = database_children_locked(d, categories[i - 1]);
        engine_unlock(d->engine);
        if (children == 0 &&
            database_remove_channel(d, categories[i - 1], &e) < 0)
            log_warn("%s", e.text);
    }
    engine_tell(d->engine);
    return 0;
}

int namespace_drop(struct namespace *ns, struct err *err)
{
    AUTO_STR char *name = namespace_name(ns);

    int r = check_writable(ns->db, err);
    if (r < 0)
        return r;
    database_enter(ns->db);
    r = drop(ns, err);
    database_leave(ns->db);
    return r < 0 ? err_wrap(err, r, "drop '%s'", name) : 0;
}

int namespace_room(struct namespace *ns, uint64_t *category, struct err *err)
{
    struct database *d = ns->db;
    uint64_t list[GUILD_CHANNELS / CATEGORY_CHANNELS];
    size_t n = list_categories(ns, list, sizeof(list) / sizeof(list[0]));

    if (n == 0)
        return err_set(err, -ENOENT, "the namespace's category was deleted");
    for (size_t i = 0; i < n; i++) {
        engine_lock(d->engine);
        size_t children = database_children_locked(d, list[i]);
        engine_unlock(d->engine);
        if (children < CATEGORY_CHANNELS) {
            *category = list[i];
            return database_room(d, 1, err);
        }
    }
    int r = database_room(d, 2, err);
    if (r < 0)
        return r;
    AUTO_BUF struct buf name = BUF_INIT;
    engine_lock(d->engine);
    const struct chan *first = database_chan_locked(d, ns->category);
    buf_printf(&name, "%s-%zu", first ? first->name : CATEGORY_PREFIX "x",
               n + 1);
    engine_unlock(d->engine);
    return database_add_channel(d, REMOTE_CHANNEL_CATEGORY, 0, name.data, NULL,
                                category, err);
}
