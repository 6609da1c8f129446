/* Tables on top of messages: the engine as the mount, the commands and the
 * bot see it. Knows nothing of paths or of slash commands.
 *
 * engine: one message store, some guilds (databases), each with namespaces,
 * each with tables. All functions are safe from any thread. The verb tells
 * the cost: find and list look in memory; open, load, create, drop, set and
 * everything with `wait` in its name may wait on the network; table_write and
 * the other calls with a callback never wait.
 *
 * Callbacks come on a thread of the engine's or the store's, with no lock
 * held, exactly once; they must not block and not call what waits.
 *
 * Errors: a negative errno and a sentence. Besides remote.h's:
 *   -EINVAL broken JSON, schema, key differs   -EEXIST key taken
 *   -ENOENT no such row, table, namespace      -ESTALE version moved on
 *   -EROFS  mounted read-only                  -ENOTEMPTY, -ENAMETOOLONG,
 *   -EILSEQ           a key or text that is not UTF-8
 *   -EINTR            cancelled before it left: nothing was done
 *   -EBADMSG          a message is damaged; the sentence names it
 *   -EPROTONOSUPPORT  a namespace that a newer version has made
 *   -EXDEV            a table cannot move to another server
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/remote.h"
#include "engine/row.h"
#include "engine/schema.h"

struct engine;
struct database;  /* a guild; lives as long as the engine */
struct namespace; /* counted */
struct table;     /* counted */

/* What changed, for who shows it. Everything is borrowed during the call. */
enum change_kind {
    CHANGE_ROW,       /* table, key, old and now (NULL: not there) */
    CHANGE_TABLE,     /* table came, went, was renamed or got a new schema */
    CHANGE_NAMESPACE, /* namespace came, went or was renamed */
    CHANGE_DATABASE,  /* database came, went or was renamed */
    CHANGE_VOIDED,    /* now: a version that had been answered and lost to
                         another process that got there first */
};

struct change {
    enum change_kind kind;
    struct database *database;
    struct namespace *ns;
    struct table *table;
    struct row *old, *now;
    struct row *tomb; /* CHANGE_ROW with now NULL: the deletion itself, with its
                         version, time and author */
    const char *old_name; /* renamed: the name before; NULL otherwise */
    bool gone;
    bool local; /* caused by a write of this process */
};

struct engine_options {
    struct remote *remote; /* the caller's; outlives the engine */
    const uint64_t *guilds;
    size_t n_guilds;
    const char *by; /* who writes: "ada@host" */
    bool read_only;
    uint64_t cache_bytes; /* texts of large rows kept in memory; 0: 64 MiB */
    bool all;             /* load every catalog now (a mount); else on demand */
    bool alone;           /* nobody tells of events: what others wrote is read
                             before a write is answered, so that the answer is
                             final */
    int64_t settle_ms;    /* how long the background writer gathers before it
                             brings row messages up to date; 0: 2000 */
    void (*watch)(void *arg, const struct change *c); /* on any thread, no lock
                                 held; takes note and returns. May be NULL. */
    void *watch_arg;
};

/* Waits: who we are, the guilds' names and channels, with `all` the catalogs.
 */
int engine_open(const struct engine_options *o, struct engine **out,
                struct err *err);

/* Accepted writes are committed, then the background writer may use what is
 * left of patience_ms, then everything is freed. All callbacks have returned
 * and all references must have been given back before. */
void engine_close(struct engine *e, int64_t patience_ms);

/* Push events, on the gateway's thread, in order. Never blocks. */
void engine_event(struct engine *e, const struct remote_event *ev);

/* Runs fn on a thread that may wait; at most a few at a time, in order of
 * priority of arrival. For callers that must not wait themselves. */
void engine_spawn(struct engine *e, void (*fn)(void *arg), void *arg);

/* One JSON object: databases, tables open, rows, bytes, queues, lag. */
void engine_status(struct engine *e, struct buf *out);

bool engine_read_only(const struct engine *e);
struct remote *engine_remote(struct engine *e);

/* --- databases and namespaces ------------------------------------------- */

size_t engine_database_count(struct engine *e);
struct database *engine_database_at(struct engine *e, size_t i);
uint64_t database_id(const struct database *d);
/* What a server is called and allows is asked for once, when it is first
 * wanted; an engine with `all`, or one that writes, knows it from the start.
 * Only before that may these four wait. */
struct database *engine_database_find(struct engine *e, const char *name);
/* File-safe and unique within the engine (a second one of the same name has
 * "-<id>"); copied out, since a guild can be renamed. For free(). */
char *database_name(struct database *d);
bool database_writable(struct database *d); /* may tables be created here? */
uint64_t database_max_file(struct database *d);

/* References to the caller, or NULL. Without engine_options.all the catalogs
 * are read by namespace_load(). */
struct namespace *namespace_find(struct database *d, const char *name);
struct namespace **namespace_list(struct database *d, size_t *n); /* free() */
int namespace_load(struct namespace *ns, struct err *err);
/* The namespace of this name, loaded; where need be all catalogs are read to
 * find it, since a category's name only suggests one. -ENOENT. */
int namespace_open_wait(struct database *d, const char *name,
                        struct namespace **out, struct err *err);
int namespace_create(struct database *d, const char *name,
                     struct namespace **out, struct err *err);
int namespace_rename(struct namespace *ns, const char *name, struct err *err);
int namespace_drop(struct namespace *ns, struct err *err); /* -ENOTEMPTY */
struct namespace *namespace_ref(struct namespace *ns);
void namespace_unref(struct namespace *ns);
char *namespace_name(struct namespace *ns);        /* for free() */
uint64_t namespace_id(const struct namespace *ns); /* its category */
struct database *namespace_database(struct namespace *ns);

/* --- tables -------------------------------------------------------------- */

struct table *table_find(struct namespace *ns, const char *name);
struct table **table_list(struct namespace *ns, size_t *n); /* free() */
/* schema NULL: primary key "id" and nothing more. -EEXIST. */
int table_create(struct namespace *ns, const char *name, struct schema *schema,
                 struct table **out, struct err *err);
int table_rename(struct table *t, struct namespace *to, const char *name,
                 struct err *err);
/* With its channel and all its history. if_empty: -ENOTEMPTY when rows are
 * there (opens the table to know); rows that would be written meanwhile fail
 * with -EBUSY. */
int table_drop(struct table *t, bool if_empty, struct err *err);
struct table *table_ref(struct table *t);
void table_unref(struct table *t);
char *table_name(struct table *t);                  /* for free() */
uint64_t table_id(const struct table *t);           /* its channel */
uint64_t table_history_id(const struct table *t);   /* its thread */
struct namespace *table_namespace(struct table *t); /* borrowed, lives with t */
int64_t table_mtime_ms(struct table *t);            /* of its set of rows */
int64_t table_defined_ms(struct table *t);          /* of its name and schema */
bool table_writable(struct table *t);
/* Appends its part of engine_status(): one JSON object with rows, bytes,
 * ignored (messages by others), damaged and damage, what waits, and how far the
 * background writer is behind, for row messages and each index. Counts are
 * those of what is open. */
void table_status(struct table *t, struct buf *out);

struct schema *table_schema(struct table *t); /* a reference */
/* The rows are checked first: -EINVAL names the first offenders. A schema that
 * does not speak of indexes keeps those that are there; else they are made and
 * dropped as it says. */
int table_schema_set(struct table *t, struct schema *s, bool force,
                     struct err *err);

/* --- indexes: each a field of the schema's, and a channel with its entries -
 */

/* How far an operation that takes long has come. */
typedef void table_progress(void *arg, const char *text);

/* Makes the index and, where rows are there, its entries. unique: -EEXIST names
 * rows that have the same value. -EEXIST too where it is there already. What an
 * interrupted one left behind the next one goes on with. Opens the table. */
int table_index_create(struct table *t, const char *field, bool unique,
                       struct err *err);
/* -ENOENT: there is none. */
int table_index_drop(struct table *t, const char *field, struct err *err);
/* -EEXIST names rows that have the same value: it stays as it was. */
int table_index_set_unique(struct table *t, const char *field, bool unique,
                           struct err *err);
/* Writes the entries of an index anew, field NULL: of all; makes the channel
 * again where somebody deleted it. progress may be NULL. */
int table_reindex(struct table *t, const char *field, table_progress *progress,
                  void *arg, struct err *err);

struct table_index {
    char *field;
    bool unique;
    uint64_t channel;  /* 0: it has none (reindex makes one) */
    bool lost;         /* it had one, and somebody deleted it */
    int64_t entries;   /* rows with a value; -1: the table is not open */
    size_t behind;     /* rows whose entry is still to be written */
    int64_t behind_ms; /* for how long the oldest of them waits */
};
/* Those the schema names, in its order; for table_indexes_free(). */
struct table_index *table_indexes(struct table *t, size_t *n);
void table_indexes_free(struct table_index *list, size_t n);

typedef void table_opened(void *arg, int r, const struct err *err);
bool table_is_open(struct table *t);
/* Brings the table into memory. 0: it is there, done is not called. 1: done
 * will be called. */
int table_open(struct table *t, table_opened *done, void *arg);
int table_open_wait(struct table *t, struct err *err);

/* --- rows: of an open table ---------------------------------------------- */

struct row *row_find(struct table *t, const char *key,
                     size_t key_len); /* ref */
/* As fold_list(). */
size_t row_list(struct table *t, uint64_t after, struct row **out, size_t n);
size_t row_count(struct table *t);

/* The text of a row whose row_text() is NULL, checked against its digest and
 * kept in a bounded cache. text ends in a newline; the callback's to
 * text_unref(). */
struct text {
    atomic_uint refs;
    size_t len;
    char data[];
};
void text_unref(struct text *t);
typedef void text_loaded(void *arg, int r, struct text *text,
                         const struct err *err);
/* 0: *out is set and done is not called (cached, or the row has its text);
 * 1: done will be called. */
int row_load_text(struct table *t, struct row *r, struct text **out,
                  text_loaded *done, void *arg);
int row_load_text_wait(struct table *t, struct row *r, struct text **out,
                       struct err *err);

/* --- writes --------------------------------------------------------------- */

enum write_kind { WRITE_PUT, WRITE_DELETE, WRITE_RENAME };

struct write {
    enum write_kind kind;
    const char
        *key; /* copied, as all below; PUT: NULL takes it from the text */
    size_t key_len;
    const char
        *to; /* RENAME: the new key; what was there is replaced, unless */
    size_t to_len;
    const char *text; /* PUT; RENAME: NULL, or a new text for the new key */
    size_t text_len;
    bool must_be_new;    /* PUT, RENAME's target: -EEXIST */
    bool must_exist;     /* PUT: -ENOENT (DELETE and RENAME: always) */
    uint32_t if_version; /* not 0: -ESTALE unless this is the current one */
    int64_t mtime_ms;    /* 0: now */
    const char *by;      /* NULL: engine_options.by */
    bool more;           /* others are handed over right behind it: it waits for
                            the first of them that does not say so, or for
                            table_write_flush(), so that all leave together */
};

/* row: the new version, the callback's own reference, NULL after a delete. */
typedef void write_done(void *arg, int r, struct row *row,
                        const struct err *err);

/* The table must be open. Checked at once: a negative errno says why it is
 * refused, done is not called. Else 0: the write waits with others, leaves
 * with them in one commit, and done is called when Discord has answered; by
 * then row_find() sees it. *ticket (may be NULL) is for table_write_cancel().
 */
int table_write(struct table *t, const struct write *w, write_done *done,
                void *arg, uint64_t *ticket, struct err *err);

/* Writes that wait for more need not any longer. */
void table_write_flush(struct table *t);

/* True: it had not left, nothing is done, done comes with -EINTR. */
bool table_write_cancel(struct table *t, uint64_t ticket);

int table_write_wait(struct table *t, const struct write *w, struct row **out,
                     struct err *err);

/* RFC 7396, one commit, at the version that is current (or if_version). */
int table_patch_wait(struct table *t, const char *key, size_t key_len,
                     const char *patch, size_t len, uint32_t if_version,
                     struct row **out, struct err *err);
