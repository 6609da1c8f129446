/* Rows kept as messages: what a table and a catalog have in common. A ledger
 * is one channel and, for a table, the history thread beside it, brought into
 * memory (load.c), kept current (event.c), written to by group commit
 * (commit.c), and its row messages looked after (settle.c).
 *
 * Safe from any thread. Callbacks come with no lock held, and those of one
 * ledger one after the other, in the order in which things became so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "engine/engine.h"
#include "engine/remote.h"
#include "engine/row.h"

struct core;
struct fold_rule;
struct ledger;

/* Borrowed during the call. now may be a tombstone. */
struct ledger_change {
    struct row *old, *now, *voided;
    bool local;
};

struct ledger_owner {
    /* What one message changed. */
    void (*changed)(void *arg, const struct ledger_change *list, size_t n);
    /* The text of a row that moves to another key; under the ledger's lock,
     * so it must not call it. */
    int (*rekey)(void *arg, const char *key, size_t key_len, const char *text,
                 size_t len, struct buf *out, struct err *err);
    /* The last reference is gone. */
    void (*free)(void *arg);
};

struct ledger_options {
    struct core *core;
    uint64_t channel;
    uint64_t thread;   /* 0: everything stands in the channel, which then has
                          no row messages to look after */
    const char *label; /* for errors: "table 'users'" */
    uint64_t max_file;
    const struct ledger_owner *owner;
    void *arg;
};

struct ledger *ledger_new(const struct ledger_options *o);
struct ledger *ledger_ref(struct ledger *l);
void ledger_unref(struct ledger *l);
void ledger_set_label(struct ledger *l, const char *label);
void ledger_set_max_file(struct ledger *l, uint64_t max_file);
const struct core *ledger_core(const struct ledger *l);
uint64_t ledger_id(const struct ledger *l); /* its channel's */

/* Its channel is gone or about to be: what waits fails with -ENOENT, and so
 * does all that comes. */
void ledger_gone(struct ledger *l);

/* For one that is to be dropped if it is empty: -ENOTEMPTY where it has rows or
 * some are being written; else it takes no more writes (-EBUSY) until it is
 * gone or thawed. It must be open. */
int ledger_freeze(struct ledger *l, struct err *err);
void ledger_thaw(struct ledger *l);

/* As table_open(). */
bool ledger_is_open(struct ledger *l);
int ledger_open(struct ledger *l, table_opened *done, void *arg);
int ledger_open_wait(struct ledger *l, struct err *err);
bool ledger_is_gone(struct ledger *l);

/* The newest page of its thread, listed a moment ago: the opening that comes
 * next need not ask for it. Moves it; NULL: what was lent before is not to be
 * used any more. Only in a process that no events are told: those that came
 * since would be lost. */
void ledger_lend_page(struct ledger *l, struct remote_reply *page);

/* As the row_* of engine.h. */
struct row *ledger_find(struct ledger *l, const char *key, size_t key_len);
/* A key's newest version, a deletion too. */
struct row *ledger_head(struct ledger *l, const char *key, size_t key_len);
/* Is this (no newline at its end) the text of the row? Told by the digest where
 * the text is an attachment: nothing is fetched. */
bool ledger_has_text(struct ledger *l, const struct row *r, const char *text,
                     size_t len);
size_t ledger_list(struct ledger *l, uint64_t after, struct row **out,
                   size_t n);
size_t ledger_count(struct ledger *l);

/* Which fields are indexed, and when they were unique (fold.h): copied, before
 * the opening or after it. A table that is open has its indexes at once, but
 * for rows whose texts must be fetched: those follow (ledger_lacks_values()).
 * Rows that the new rules void are told as changes. */
void ledger_set_rules(struct ledger *l, const struct fold_rule *rules,
                      size_t n);
bool ledger_lacks_values(struct ledger *l);
/* Rows, by their creation, with this canonical value (value.h) in an indexed
 * field: those with seq > after, at most n, references. -ENOENT: the field has
 * no index, or not all of its values are known yet, or it is not open. */
ssize_t ledger_index_find(struct ledger *l, const char *field,
                          const char *value, size_t len, uint64_t after,
                          struct row **out, size_t n);
/* How many they are; *values (may be NULL): how many different values the
 * index has. */
ssize_t ledger_index_count(struct ledger *l, const char *field,
                           const char *value, size_t len, size_t *values);
/* The values of an index, chunk by chunk: *at is 0 at first; the first row of
 * each value (references; its value: row_value() of index.h) and how many rows
 * have it. 0 at the end. An index that changes meanwhile may show a value
 * twice, or not at all. */
ssize_t ledger_index_list(struct ledger *l, const char *field, size_t *at,
                          struct row **out, size_t *counts, size_t n);
int64_t ledger_mtime_ms(struct ledger *l);
int ledger_load_text(struct ledger *l, struct row *r, struct text **out,
                     text_loaded *done, void *arg);
int ledger_load_text_wait(struct ledger *l, struct row *r, struct text **out,
                          struct err *err);

/* As table_write(); the text has been checked and has no newline at its end.
 */
int ledger_write(struct ledger *l, const struct write *w, write_done *done,
                 void *arg, uint64_t *ticket, struct err *err);
void ledger_flush(struct ledger *l);
bool ledger_cancel(struct ledger *l, uint64_t ticket);
int ledger_write_wait(struct ledger *l, const struct write *w, struct row **out,
                      struct err *err);

/* Push events that concern its channel or thread. Never block. */
void ledger_event_message(struct ledger *l, const struct remote_message *m,
                          bool created);
void ledger_event_deleted(struct ledger *l, uint64_t channel,
                          const uint64_t *ids, size_t n);
/* Events may have been missed: what is open is listed again from where the
 * last event or listing left off. */
void ledger_gap(struct ledger *l);

/* Messages up to this may have been removed by a vacuum; 0: none was. */
uint64_t ledger_vacuumed(struct ledger *l);

/* In a process that no events are told: what others wrote since is read. Else
 * there is nothing to do. It must be open. */
int ledger_catch_up(struct ledger *l, struct err *err);

/* The newest message of its channel and of its thread that is known here, by
 * whatever way. */
void ledger_known(struct ledger *l, uint64_t upto[2]);

/* A row message was looked at, and is not as it should be, or gone (lost): the
 * background writer sees to it now, and core.unsettled counts it until then. */
void ledger_mend_home(struct ledger *l, const char *key, size_t key_len,
                      uint64_t home, bool lost);

/* The background writer shall not gather any longer; and shall stop. */
void ledger_hurry(struct ledger *l);
void ledger_stop(struct ledger *l);
/* How many row messages are behind their rows, and for how long the oldest is.
 */
size_t ledger_behind(struct ledger *l, int64_t *oldest_ms);

struct ledger_stats {
    bool open, opening;
    size_t rows, pending, ignored, damaged, queued, stale, reposted;
    uint64_t bytes;
    bool committing;
};
void ledger_stats(struct ledger *l, struct ledger_stats *out);
/* The sentences about what is damaged, at most n; for free(), each. */
size_t ledger_damage(struct ledger *l, char **out, size_t n);

/* Every record with an id up to this is in the rows, and has been told of; 0:
 * not known at the moment. */
uint64_t ledger_complete(struct ledger *l);
/* The newest versions, deletions too, that were committed by messages behind
 * id: references in *out, for free(). */
size_t ledger_heads_behind(struct ledger *l, uint64_t id, struct row ***out);
uint64_t ledger_max_file(const struct ledger *l);
/* Rows with a value in an indexed field; -1: there is no such index, or the
 * ledger is not open. */
int64_t ledger_index_rows(struct ledger *l, const char *field);
