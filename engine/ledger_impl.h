/* The inside of a ledger, for the files it is made of: ledger.c, load.c,
 * event.c, queue.c, commit.c, settle.c, and for those who verify, heal and
 * clear away. Nobody else includes this.
 *
 * One lock guards all that changes. Nothing is called under it but the fold,
 * pure functions, and leaf locks (core's counts, the text cache, the job
 * pool's); what is to be told to others is put into l->news under the lock and
 * told by ledger_deliver() without it.
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
#include "engine/batch.h"
#include "engine/core.h"
#include "engine/fold.h"
#include "engine/ledger.h"
#include "engine/message_text.h"
#include "engine/record.h"

enum ledger_state { LEDGER_CLOSED, LEDGER_OPENING, LEDGER_OPEN, LEDGER_GONE };

/* The two places a ledger's messages stand in. */
enum { IN_CHANNEL, IN_THREAD };

/* A text that is an attachment: its record, for the digest, and the name. By
 * attachment id. */
struct big {
    struct record record; /* strings in data */
    int place;            /* of its message */
    char data[];
};

/* A row message that holds the attachment of a version: it must never lose it.
 * By message id. */
struct keeper {
    uint64_t home, file;
    uint64_t shows; /* the version its first record tells */
};

/* By message id. */
struct damage {
    uint64_t message;
    char *text;
};

struct opener {
    struct opener *next;
    table_opened *done;
    void *arg;
};

/* An event that came while the ledger was being opened. */
struct held {
    struct held *next;
    bool is_message, created;
    struct remote_message message;
    uint64_t channel, *ids;
    size_t n_ids;
};

/* A write that was accepted and is not yet answered. */
struct pending {
    struct pending *next;
    uint64_t ticket;
    struct write w; /* its strings are in data */
    write_done *done;
    void *arg;

    /* RENAME of a row whose text is in an attachment: that text, and of which
     * version; fetching: it is on its way */
    struct text *text;
    uint64_t text_of;
    bool fetching;

    size_t record;   /* in a group: which of its records decides, */
    struct row *row; /* the answer */
    int r;
    struct err *err; /* owned, with r < 0 */
    char data[];
};

struct pending_list {
    struct pending *first, **last;
    size_t n;
};

/* Something to be told: what one message changed, or answers. */
struct news {
    struct news *next;
    struct ledger_change *changes; /* references */
    size_t n_changes;
    struct pending *answers;
    struct opener *openers; /* to be told r */
    int r;
    struct err err;
};

struct checkpoints; /* checkpoint.c */
struct group;       /* commit.c: the writes that leave together */
struct rules;
struct stale; /* settle.c: a row message to be looked after */

/* The newest of the messages this process posted, or deleted: their events
 * are no news. More than one bulk delete's. */
#define RECENT 256
struct recent {
    uint64_t id[RECENT];
    size_t n;
};

struct ledger {
    struct core *core;
    uint64_t channel, thread; /* never change */
    const struct ledger_owner *owner;
    void *arg;
    atomic_uint refs;
    _Atomic uint64_t max_file;

    pthread_mutex_t lock; /* order: docs/locking.md */
    /* under lock, all below */
    char *label;
    enum ledger_state state;
    bool frozen;         /* takes no more writes */
    struct fold *fold;   /* NULL unless opening or open */
    struct fold *next;   /* being loaded to take its place; else NULL */
    bool reload_due;     /* a record came too late for the fold to judge */
    bool giving;         /* values of rows are being fetched: ledger_values.c */
    struct rules *rules; /* for a fold to come; ledger_values.c */
    int64_t mtime_ms;
    struct map bigs, keepers, damage;
    struct map others;  /* ids of our messages in the channel that are no row
                           message */
    struct map lost;    /* ids of row messages that somebody deleted */
    struct map safe;    /* ids of versions that were first seen as a row message
                           shows them, and then in the thread */
    struct map foreign; /* ids of messages by others than us */
    struct recent posted, deleted;
    uint64_t vacuumed; /* messages up to this may be gone: vacuum.h */

    /* opening and gaps */
    struct opener *openers;
    struct remote_reply *lent; /* newest page of the thread; NULL: none */
    struct held *held, **held_last;
    uint64_t seen[2];   /* up to here nothing can be missing */
    uint64_t newest[2]; /* highest id known at all */
    uint64_t gap_from[2];
    bool gap, relisting;
    int64_t relist_pause_ms; /* before the next try; 0: the last went well */

    size_t late_files; /* that events told of, and are on their way */
    struct checkpoints *checkpoints;

    struct news *news, **news_last;
    bool delivering;
    uint64_t told; /* everything up to here is applied, and told of */

    /* commit.c */
    struct pending_list queue;
    struct group *group; /* submitted, not yet answered */
    uint64_t last_ticket;
    uint64_t kicks; /* counts what may let a waiting write go */
    bool more; /* who wrote last says that more comes right behind: it is waited
                  for */
    bool lingering;
    size_t expect;   /* so many writers are about to come back */
    uint64_t linger; /* number of the linger under way */
    int64_t held_ms; /* when a limit last held a commit back; 0: never */

    /* settle.c */
    struct map stale; /* by home */
    struct stale *first_due, *last_due;
    bool settling;       /* a request of the background writer is out */
    uint64_t settle_req; /* its number, for cancel */
    int64_t timer_ms;    /* when the next timer comes; 0: none set */
    size_t reposted;
};

static inline void ledger_lock(struct ledger *l)
{
    pthread_mutex_lock(&l->lock);
}

static inline void ledger_unlock(struct ledger *l)
{
    pthread_mutex_unlock(&l->lock);
}

/* --- ledger.c; _locked: the caller holds l->lock -------------------------- */

/* What a message changed, gathered. */
struct changes {
    struct ledger_change *list;
    size_t n, cap;
};

/* Where it stands: IN_CHANNEL or IN_THREAD. */
int ledger_place(const struct ledger *l, uint64_t channel);
uint64_t ledger_channel(const struct ledger *l, int place);

/* Applies the records of one message. results and rows (may be NULL) as
 * fold_apply(); while the ledger is opened the records are only gathered. */
void ledger_apply_locked(struct ledger *l, int place,
                         const struct remote_message *m, struct records *rs,
                         bool local, enum fold_result *results,
                         struct row **rows, struct changes *out);
/* What the fold has told, released here: homes are looked after, and it is
 * gathered in out (may be NULL). own: the message of ours that did it, or 0. */
void ledger_changed_locked(struct ledger *l, struct fold_changes *changes,
                           uint64_t own, struct changes *out);

/* Rules for a fold that begins to load. */
void ledger_give_rules_locked(struct ledger *l, struct fold *f);

/* Must a text of these records be fetched before they are applied, since the
 * values of indexed fields are wanted? Which record's; -1: none. */
ssize_t ledger_needs_text_locked(const struct ledger *l,
                                 const struct records *rs);
/* Here it is: the record has its values (which live as long as rs). A text with
 * a wrong digest is not taken. */
void ledger_take_text_locked(const struct ledger *l, struct records *rs,
                             size_t i, const char *text, size_t len);

/* The same for the fold that is to take the place of this one, alone. */
void ledger_collect_locked(struct ledger *l, int place, struct records *rs);

/* Hands what was gathered to the news. */
void ledger_tell_locked(struct ledger *l, struct changes *c);
struct news *ledger_news_locked(struct ledger *l);
/* Tells the news; not under the lock. */
void ledger_deliver(struct ledger *l);

/* What came since the last listing, up to this message. Waits; not beside a
 * listing after a gap in the events. load.c */
int load_missed(struct ledger *l, uint64_t upto, struct err *err);

/* All there is to tell has been told. ledger_tail.c */
void ledger_note_told_locked(struct ledger *l);

void ledger_note_damage_locked(struct ledger *l, uint64_t message,
                               const char *text);
void ledger_forget_damage_locked(struct ledger *l, uint64_t message);

void ledger_note_own_locked(struct recent *r, uint64_t message);
bool ledger_is_own_locked(const struct recent *r, uint64_t message);

/* This row message was deleted by somebody's hand. */
void ledger_note_lost_locked(struct ledger *l, uint64_t home);
/* Does this version stand nowhere but in its row's message, which is about to
 * be edited or deleted? */
bool ledger_is_only_home_locked(const struct ledger *l, const struct row *r);

/* Does this message tell of a row, and is it by us? Notes those of others. */
bool ledger_wants_locked(struct ledger *l, const struct remote_message *m);

/* What is known of an attachment that is the text of a row. */
const struct big *ledger_big_locked(const struct ledger *l, uint64_t file);
struct keeper *ledger_keeper_locked(const struct ledger *l, uint64_t home);

void ledger_note_big_locked(struct ledger *l, int place,
                            const struct record *r);
void ledger_note_keeper_locked(struct ledger *l, uint64_t home, uint64_t file,
                               uint64_t shows);
void ledger_note_other_locked(struct ledger *l, uint64_t message);
void ledger_note_foreign_locked(struct ledger *l, uint64_t message);
/* All that was read is to be read anew; there is no fold. */
void ledger_forget_locked(struct ledger *l);

/* For free(). */
char *ledger_label(struct ledger *l);

void remote_message_copy(struct remote_message *to,
                         const struct remote_message *from);

/* --- ledger_values.c
 * -------------------------------------------------------------- */

void ledger_free_rules(struct ledger *l);
/* Fetches the texts of rows whose indexed values are not known. */
void ledger_give_values(struct ledger *l);

/* --- load.c, load_open.c
 * ----------------------------------------------------------------
 */

/* Fetches the file of a batch, or the text of a row where indexes need it, and
 * applies it. It was counted in late_files. */
void load_batch(struct ledger *l, int place, const struct remote_message *m);

/* Lists everything anew beside the rows that are there, and takes its place
 * when it is complete; what is different then is told. Not under the lock. */
void ledger_reload(struct ledger *l);

/* --- event.c ---------------------------------------------------------------
 */

void event_message_locked(struct ledger *l, const struct remote_message *m,
                          bool created, struct changes *out, bool *batch);
void event_deleted_locked(struct ledger *l, uint64_t channel,
                          const uint64_t *ids, size_t n);
void held_free(struct held *h);

/* --- commit.c --------------------------------------------------------------
 */

/* Is this message the one that is being committed right now? Then the commit
 * takes it. */
bool commit_takes_echo_locked(struct ledger *l, const struct remote_message *m);
/* The message that it is known to be; 0: none is under way, or not known. */
uint64_t commit_echo_locked(const struct ledger *l);
/* Begins the next group if there is work and nothing to wait for; not under
 * the lock. */
void commit_go(struct ledger *l);

/* --- queue.c ---------------------------------------------------------------
 */

struct pending_list queue_empty(void); /* last is still to be set */
void queue_add(struct pending_list *q, struct pending *p);
/* They are answered with the next news. */
void queue_answer_locked(struct ledger *l, struct pending *list);
/* Everything that waits fails. */
void queue_fail_all_locked(struct ledger *l, int r, const char *why);
/* Fetches the text of the row that p moves; p waits for it. */
void queue_fetch_locked(struct ledger *l, struct pending *p);

/* --- settle.c --------------------------------------------------------------
 */

enum settle_why {
    SETTLE_SOON,  /* we made it stale */
    SETTLE_LATER, /* somebody else did, who will see to it if he lives */
};
/* This row message does not show what it should, or is superfluous. */
void settle_need_locked(struct ledger *l, const char *key, size_t key_len,
                        uint64_t home, enum settle_why why);
/* It was removed by somebody's hand while its row is there. */
void settle_lost_locked(struct ledger *l, const char *key, size_t key_len,
                        uint64_t home);
/* A row message that was to be looked after is gone; false: it is not one. */
bool settle_gone_locked(struct ledger *l, uint64_t home);
/* This message of the key is gone, and was not to be. */
void settle_home_gone_locked(struct ledger *l, const char *key, size_t key_len,
                             uint64_t home, enum settle_why why);
/* It shows what it should. */
void settle_forget_locked(struct ledger *l, uint64_t home);
void settle_forget_all_locked(struct ledger *l);
/* After any of these, without the lock. */
void settle_go(struct ledger *l);
