/* The inside of the slash commands, for the files they are made of: slash.c
 * (what comes in, answers), slash_run.c (commands), slash_press.c (buttons).
 *
 * s->lock is a leaf: nothing else is taken under it, nothing is asked. */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "bot/interaction.h"
#include "bot/reply.h"
#include "bot/show.h"
#include "bot/slash.h"
#include "engine/base/map.h"
#include "engine/engine.h"
#include "engine/remote.h"

enum turn_state {
    TURN_NEW,     /* Discord has heard nothing yet */
    TURN_TELLING, /* "is thinking", or progress, is on its way */
    TURN_PUT_OFF, /* it was told; what comes now is an edit */
    TURN_ANSWERED,
};

/* One interaction, from its coming to its answer. Counted. */
struct turn {
    struct slash *slash;
    struct interaction in;     /* never changes */
    struct database *database; /* of its guild */
    int64_t came_ms;
    bool is_public;
    unsigned refs; /* under slash->lock, as all below */
    enum turn_state state;
    bool heard;      /* Discord has taken a first answer */
    char *progress;  /* to be told, or NULL */
    int64_t told_ms; /* when progress was told last */
    bool ended;
};

/* Buttons refer to these by their number. */
struct question; /* slash_press.c */
struct list;

struct slash {
    struct discord *d; /* set before the first thread, as all up to lock */
    struct engine *engine;
    uint64_t *roles;
    size_t n_roles;
    struct job_pool *workers; /* may wait */
    struct job_pool *quick;   /* may not */
    struct job_pool *offers;  /* likewise, but may compute */

    pthread_mutex_t lock;
    pthread_cond_t told; /* with lock: a turn is no longer TELLING, or one of
                            the two counts below is 0 */
    /* under lock, as all below */
    bool stopping;
    size_t waiting; /* commands that are not answered */
    size_t asking;  /* answers under way that nobody waits for */
    struct map questions, lists;
    struct list *oldest, *newest;
    size_t list_bytes;
    uint64_t commands, presses, typings, declined, failed, late;
    uint64_t registered; /* guilds */
};

/* --- slash.c -------------------------------------------------------------- */

struct turn *turn_ref(struct turn *t);
void turn_unref(struct turn *t);

/* The answer, whichever form it takes by now. Waits; once. */
void turn_answer(struct turn *t, const struct reply *r,
                 const struct remote_upload *file);
/* A plain sentence of ours. */
void turn_say(struct turn *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* The same without waiting; the turn has had no answer yet. kind is not
 * REPLY_EDIT. */
void turn_answer_now(struct turn *t, const struct reply *r,
                     enum reply_kind kind);
/* Edits what was answered, without waiting. */
void turn_edit_now(struct turn *t, const struct reply *r);

/* Tells how far t is, from now on until it has ended. */
void turn_tell_progress(struct turn *t);
/* What was counted as waiting has its answer. t: one reference less. */
void turn_end(struct turn *t);

/* May this person use commands at all? */
bool turn_allowed(const struct turn *t);

/* --- slash_run.c ---------------------------------------------------------- */

/* Runs the command that t asks for. to: whose answer the result becomes, t
 * itself or the button's by which t was confirmed. On a worker. */
void run_command(struct turn *t, struct turn *to);
/* The command t asks for; NULL: there is none of this name (any more). */
const struct command *run_command_of(const struct turn *t);

/* --- slash_press.c -------------------------------------------------------- */

/* Asks whether t, which cannot be undone, is really meant. Waits. */
void press_ask(struct turn *t);
/* Answers with the first of several pages, which are taken. Waits. */
void press_show_list(struct turn *t, struct shown *pages);
/* A button. On a quick thread. */
void press_run(void *turn);
void press_release(struct slash *s);
