/* The inside of the engine above the ledgers: which databases, namespaces and
 * tables there are. For engine.c, database.c, namespace.c, table.c and
 * catalog.c.
 *
 * One lock, engine.lock, guards the whole tree: it is held for a look or a
 * change in memory, never over a request or a callback. Under it a catalog's
 * ledger may be locked (to read the catalog), never a table's: those call up,
 * with their own lock held, for a table's schema, which has a leaf lock.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/base/map.h"
#include "engine/core.h"
#include "engine/engine.h"
#include "engine/index_defs.h"
#include "engine/ledger.h"

#define CATALOG_CHANNEL "dbc-catalog"
#define CATEGORY_CHANNELS 50
#define GUILD_CHANNELS 500
#define SNOWFLAKE_EPOCH_MS 1420070400000

struct indexer;

/* An index that is being made: its channel is not in the catalog yet, or its
 * field not unique yet. */
struct provisional {
    char *field;
    uint64_t channel;
    bool unique;
};

struct table {
    struct engine *engine;
    struct ledger *ledger;   /* counts the references to both */
    struct indexer *indexer; /* lives with it */
    struct namespace *ns;    /* under engine.lock: a rename may move it; each it
                                was in has been referenced, see former */
    uint64_t channel, history;

    /* under engine.lock */
    char *name;
    bool gone;
    uint64_t entry_id; /* the catalog's record it was made of */
    struct namespace **former;
    size_t n_former;

    pthread_mutex_t rules_lock; /* one at a time hands the rules on, so that the
                                   latest stay; order: docs/locking.md */
    struct buf rules;           /* under rules_lock: those in force, as text */

    pthread_mutex_t lock;  /* leaf: nothing else is taken under it */
    struct schema *schema; /* under lock, as all below */
    struct index_defs defs;
    struct provisional *making; /* under lock; set by who has the turn */
    size_t n_making;
};

struct namespace
{
    struct ledger *ledger; /* the catalog; counts the references to both */
    struct database *db;
    uint64_t category, catalog;

    /* under engine.lock */
    char *name;  /* of the catalog; until it is read, what the category's
                    name suggests */
    bool loaded; /* the catalog has been read */
    bool born;   /* … and has a record that says it is a namespace */
    bool gone;
    char *refused; /* why its catalog cannot be used; NULL: it can */
    struct table **tables;
    size_t n_tables;
};

/* A channel of the guild, threads not among them. By id. */
struct chan {
    uint64_t id, parent;
    enum remote_channel_kind kind;
    bool writable;
    char *name;
};

struct database {
    struct engine *engine;
    uint64_t id;

    /* under engine.lock */
    bool described; /* name, permissions and max_file are known */
    char *name;     /* file-safe */
    bool gone;
    uint64_t permissions, max_file;
    struct map channels;
    struct namespace **spaces; /* references */
    size_t n_spaces;
    bool busy; /* one change of structure at a time: database_enter() */
    pthread_cond_t idle; /* with engine.lock */
    bool relisting, list_again;
};

/* Who gets a message's event. By channel. */
struct route {
    uint64_t channel;
    struct ledger *ledger;  /* a reference */
    struct table *index_of; /* it is the channel of an index; ledger is this
                               table's */
};

/* A change to be told to the watcher, with references. */
struct told {
    struct told *next;
    struct change c;
    char *old_name;
};

struct engine {
    struct core core;
    struct job_pool *lent; /* engine_spawn() */
    void (*watch)(void *arg, const struct change *c);
    void *watch_arg;
    bool all;
    struct database *dbs; /* their number and place do not change */
    size_t n_dbs;

    pthread_mutex_t lock; /* order: docs/locking.md */
    struct map routes;    /* under lock, as all below */
    struct told *told, **told_last;
    bool telling;
    bool connected;       /* the push connection was there once */
    int64_t connected_ms; /* wall clock; 0: it is not there now */
};

static inline void engine_lock(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
}

static inline void engine_unlock(struct engine *e)
{
    pthread_mutex_unlock(&e->lock);
}

/* --- engine.c ---------------------------------------------------------------
 */

/* Takes note of a change; references are taken, old_name is copied. */
void engine_note_locked(struct engine *e, const struct change *c,
                        const char *old_name);
/* Tells the watcher what was noted; not under the lock. */
void engine_tell(struct engine *e);

void engine_route_locked(struct engine *e, uint64_t channel, struct ledger *l);
void engine_unroute_locked(struct engine *e, uint64_t channel);
/* The channel of an index of t. */
void engine_route_index_locked(struct engine *e, uint64_t channel,
                               struct table *t);

/* --- database.c -------------------------------------------------------------
 */

/* describe: also what database_describe() would ask for later. */
int database_open(struct engine *e, struct database *d, uint64_t guild,
                  bool describe, struct err *err);
void database_close(struct database *d);
void database_name_all_locked(struct engine *e);

struct chan *database_chan_locked(struct database *d, uint64_t id);
/* Takes in a channel as the store tells it. True: that was news. */
bool database_note_locked(struct database *d, const struct remote_channel *ch);
size_t database_children_locked(struct database *d, uint64_t category);
/* Asks what the server is called and what may be done there, if nobody has
 * yet. May wait, in an engine that has not read everything. */
int database_describe(struct database *d, struct err *err);
/* Lists the channels again, and takes in what came and went. On a job. */
void database_relist(struct database *d);
/* A channel came, changed or is gone. */
void database_event_channel(struct database *d, const struct remote_channel *c);
void database_event_gone(struct database *d, uint64_t channel);

/* Channels, namespaces and tables are created and dropped one at a time: what
 * looks for a name must see what the other made. */
void database_enter(struct database *d);
void database_leave(struct database *d);

/* -ENOSPC with the reason where the guild has no room for n more channels. */
int database_room(struct database *d, size_t n, struct err *err);
/* Creates a channel and takes it in. */
int database_add_channel(struct database *d, enum remote_channel_kind kind,
                         uint64_t parent, const char *name, const char *topic,
                         uint64_t *out, struct err *err);
int database_remove_channel(struct database *d, uint64_t id, struct err *err);

/* --- namespace.c ------------------------------------------------------------
 */

/* Namespaces for catalog channels that are new in d. */
void namespace_discover_locked(struct database *d);
void namespace_gone_locked(struct namespace *ns);
/* Also those that are none yet, or whose catalog is not known. */
struct namespace **namespace_list_all(struct database *d, size_t *n);
bool namespace_is_category(const struct chan *c);
/* As the user sees it: unique in its database. Appended. */
void namespace_shown_locked(const struct namespace *ns, struct buf *out);
/* A category of ns with room for one more channel; made where there is none. */
int namespace_room(struct namespace *ns, uint64_t *category, struct err *err);
/* Reads the catalog on a job, for who cannot wait. */
void namespace_load_later(struct namespace *ns);

/* --- catalog.c --------------------------------------------------------------
 */

extern const struct ledger_owner catalog_owner;

/* Brings namespace and tables in line with the catalog. */
void catalog_sync(struct namespace *ns, bool local);
/* All texts of the catalog are in memory. Waits. */
int catalog_fetch(struct namespace *ns, struct err *err);

void catalog_text_namespace(const char *name, struct buf *out);
void catalog_text_table(const char *name, uint64_t channel, uint64_t history,
                        const struct index_defs *defs,
                        const struct schema *schema, struct buf *out);
void catalog_key_table(const char *name, struct buf *out);
#define CATALOG_KEY_NAMESPACE "namespace"

/* --- table.c ----------------------------------------------------------------
 */

struct table *table_new_locked(struct namespace *ns, uint64_t channel,
                               uint64_t history, const char *name);
/* Takes both. table_apply_rules() when the engine's lock is let go. */
void table_define_locked(struct table *t, struct schema *s,
                         struct index_defs *defs);
/* Hands on what is indexed, and what is unique since when: to the ledger and
 * the background writer. After table_define_locked(), and when channels came or
 * went. */
void table_apply_rules(struct table *t);
/* Its entry in the catalog as it is to be: one commit. Has the turn. */
int table_put_entry(struct table *t, const struct index_defs *defs,
                    const struct schema *s, struct err *err);
void table_set_name_locked(struct table *t, const char *name);
/* It is in ns from now on. */
void table_move_locked(struct table *t, struct namespace *ns);
/* Takes it out of the tree; its reference goes to the caller, who calls
 * table_end() when the lock is let go. */
void table_detach_locked(struct table *t);
void table_end(struct table *t);
/* May tables of ns be created, changed or dropped, and is name (NULL: none is
 * given) one for a table? */
int table_check_change(struct namespace *ns, const char *name, struct err *err);
/* The entry of a table as a write. */
void table_entry_write(enum write_kind kind, const struct buf *key,
                       const struct buf *text, struct write *w);

/* --- table_index.c ----------------------------------------------------------
 */

/* A channel for the index of a table (its name, its channel) by a field: one
 * that an interrupted attempt left, or a new one. *taken: there are messages in
 * it. */
int index_channel_make(struct namespace *ns, const char *table,
                       uint64_t table_channel, const char *field,
                       uint64_t *channel, bool *taken, struct err *err);
/* Its first message where there are no rows yet. */
int index_channel_begin(struct engine *e, uint64_t table_channel,
                        const char *field, uint64_t channel, struct err *err);
/* The table gets this schema, and the indexes that it says. Has the turn. */
int table_become(struct table *t, const struct schema *s, struct err *err);
/* Is it the channel of an index that some catalog knows? */
bool index_channel_in_use_locked(const struct database *d, uint64_t channel);
