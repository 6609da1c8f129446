/* Snapshots inside of the engine: how one is taken, what makes it right to
 * open a table from it, and when the engine writes one by itself.
 *
 * What a snapshot says. Its file has each key's newest version, rows and
 * tombstones, exactly as the records with ids up to its *cut* make them
 * (fold_past()); that is complete, because both places were listed to their
 * end before it was taken, and the cut is not above what those listings gave.
 * The homes are as they were a moment later, which does not matter: they are
 * hints. So the state at any later time is that of the file, and played upon it
 * the records behind the cut: whoever does that has what a full listing gives.
 *
 * What could make it wrong, and how a reader finds out:
 *
 *   a message that got its id before the cut, but came to be seen after the
 *     listings: messages are listed from a mark a little *before* the cut (20
 *     messages or a minute, `upto`), and the file names those between mark and
 *     cut that have their say in it. One that is not among them makes the
 *     snapshot unusable; the one before it is taken, or all is listed
 *   a rule (which field was unique when) of which its maker did not know: the
 *     file tells the rules it was made under, and is not used under others
 *   messages that are damaged or whose files could not be fetched: none is
 *     written by itself while there are such; one that was asked for names them
 *     and every reader goes on naming them
 *   a file that is damaged or gone: noted, and the snapshot before it is used
 *
 * Who finds, in a table that is open, a record that belongs before the cut of
 * the newest snapshot writes a new one.
 *
 * A snapshot `over` another one holds what changed since that, which holds all:
 * never more than two are read. It is for large tables of which little changed.
 *
 * Taking one never delays a commit: its requests are of the lowest priority,
 * the ledger's lock is held while references to the rows are gathered, and they
 * are written from those. One at a time in a process. What is interrupted
 * leaves parts that no snapshot names: nobody reads them, vacuum removes them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/ledger_impl.h"
#include "engine/snapshot.h"
#include "engine/snapshot_text.h"

/* Opening lists no more than about this many messages behind the newest: then
 * another is written. */
#define CHECKPOINT_TAIL 200
/* Or so many bytes of rows, where it is a quarter of the table's as well. */
#define CHECKPOINT_TAIL_BYTES ((uint64_t)4 * 1024 * 1024)

/* --- one request, waited for (load.c) --------------------------------------
 */

struct ask;
struct ask *ask_new(struct ledger *l, struct remote_request *req);
int ask_wait(struct ask *a);
struct remote_reply *ask_reply(struct ask *a);
const struct err *ask_err(struct ask *a);
void ask_free(struct ask *a); /* waits if need be; NULL is fine */

/* --- pages (snapshot_read.c) ------------------------------------------------
 */

/* Messages of a ledger's thread that are at hand: what was listed is not asked
 * for again. */
struct pages {
    struct ledger *l;
    enum remote_priority priority;
    struct remote_reply *list;
    size_t n;
};
void pages_release(struct pages *p);
/* Takes the reply's messages. */
void pages_add(struct pages *p, struct remote_reply *reply);
/* NULL: not at hand. */
const struct remote_message *pages_find(const struct pages *p, uint64_t id);
/* Listing for it where it is not at hand. -ENOENT: it is gone. */
int pages_need(struct pages *p, uint64_t id, const struct remote_message **out,
               struct err *err);

/* --- reading (snapshot_read.c) ----------------------------------------------
 */

struct snapshot_reader {
    /* First: before any line. A negative errno ends the reading. */
    int (*meta)(void *arg, const struct snapshot_meta *m, struct err *err);
    /* Each key once; in the order of creation, tombstones anywhere. `was`
     * lines too, the newer of two that are about one message last. in_base: it
     * has the place in the order that it has in the older of two files. */
    int (*line)(void *arg, const struct snapshot_line *line, bool in_base,
                struct err *err);
    void *arg;
};

/* Reads the snapshot in message m, and the one it is over. Waits. -EBADMSG:
 * damaged; -ENOENT: a part of it, or the one it is over, is gone. */
int snapshot_read(struct pages *p, const struct remote_message *m,
                  const struct snapshot_reader *r, struct err *err);

/* Its files, one behind the other. */
int snapshot_read_raw(struct pages *p, const struct remote_message *m,
                      struct buf *out, struct err *err);

/* --- what is known of a ledger's snapshots (checkpoint.c) -------------------
 */

struct checkpoints;
struct checkpoints *checkpoints_new(void);
void checkpoints_free(struct checkpoints *c);
/* All that was known is read anew. */
void checkpoints_forget_locked(struct ledger *l);

/* A message of the thread that snapshot_is(). */
void checkpoint_message_locked(struct ledger *l,
                               const struct remote_message *m);
/* What a snapshot's first line tells of others. */
void checkpoint_known_locked(struct ledger *l, const struct snapshot_meta *m);
/* The table was opened from this one: m is its first line. */
void checkpoint_opened_locked(struct ledger *l, uint64_t id,
                              const struct snapshot_meta *m);
/* The row that is the last of those in the older of two files; in the listing,
 * behind it are those that came later. key_len 0: not known. */
void checkpoint_base_seq_locked(struct ledger *l, uint64_t seq);
/* A message was deleted. False: it is none of a snapshot's. */
bool checkpoint_gone_locked(struct ledger *l, uint64_t message);

/* A message with records was applied: it is one more to be listed. late: one
 * of its records was new, though it belongs before this id. */
void checkpoint_count_locked(struct ledger *l, int place, uint64_t message,
                             uint64_t bytes);
void checkpoint_late_locked(struct ledger *l, uint64_t id);

/* The newest was of no use: a new one is. */
void checkpoint_wanted_locked(struct ledger *l);

/* Writes one on a job if it is time to; never waits, not under the lock. */
void checkpoint_go(struct ledger *l);
/* The engine is being closed: writes one if that pays, within patience_ms.
 * always: if anything changed. Waits. */
void checkpoint_close(struct ledger *l, bool always, int64_t patience_ms);

/* Takes one now, of all rows where full is set. Waits. label and by may be
 * NULL. */
int checkpoint_take(struct ledger *l, const char *label, const char *by,
                    bool full, enum remote_priority priority, uint64_t *id,
                    struct err *err);

/* Copies; for free() and snapshot_known_release(). Oldest first. */
struct snapshot_known *checkpoint_list(struct ledger *l, size_t *n);
/* The newest that opening may use, 0: none. */
uint64_t checkpoint_newest(struct ledger *l);

/* --- load.c -----------------------------------------------------------------
 */

/* Both places are listed to their end, and what is new is applied. For each
 * place the messages at its end that have a say (rising), with at least those
 * of the last minute or the newest 20, and the id up to which there are none
 * among them. *cut: no message up to it is missing. */
struct load_tail {
    struct snapshot_ids seen;
    uint64_t upto[2], cut;
};
int load_catch_up(struct ledger *l, enum remote_priority priority,
                  struct load_tail *out, struct err *err);
