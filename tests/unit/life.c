#include "tests/unit/life.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"

static struct life *running; /* for a history when it crashes */

/* --- the history -----------------------------------------------------------
 */

void say(struct life *l, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_printf(&l->log, "%4d %s\n", l->step, line);
}

/* What stands in a channel, message by message. */
static void print_channel(struct memstore *s, uint64_t channel)
{
    size_t n = memstore_messages(s, channel);

    for (size_t i = 0; i < n; i++) {
        uint64_t id = memstore_message_at(s, channel, i);
        char *content = memstore_content(s, channel, id);
        fprintf(stderr, "--- %llu in %llu, %zu files\n%.700s\n",
                (unsigned long long)id, (unsigned long long)channel,
                memstore_files(s, channel, id), content);
        free(content);
    }
}

void life_print(void)
{
    if (!running)
        return;
    /* The end of it tells most. */
    size_t from = running->log.len > 60000 ? running->log.len - 60000 : 0;
    if (write(STDERR_FILENO, running->log.data + from,
              running->log.len - from) < 0)
        return;
    /* All that the store holds, for who wants to know it. */
    if (getenv("DBCORD_MODEL_DUMP")) {
        static const char *const names[] = {
            "table-users",   "history",        "idx-users-email",
            "idx-users-age", "idx-users-role", "idx-users-obj_a_b",
            "idx-users-ok",  "idx-users-tags",
        };
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            print_channel(running->store,
                          memstore_channel(running->store, names[i], 0));
    }
}

static void crashed(int signal_number)
{
    life_print();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void life_init(struct life *l, uint64_t seed, int steps)
{
    *l = (struct life){
        .rng = seed * 2654435761u + 1,
        .steps = steps,
        .store = memstore_new(),
    };
    pthread_mutex_init(&l->lock, NULL);
    running = l;
    struct sigaction on_crash = {.sa_handler = crashed};
    sigaction(SIGABRT, &on_crash, NULL);
    sigaction(SIGSEGV, &on_crash, NULL);
    say(l, "DBCORD_MODEL_SEED=%llu DBCORD_MODEL_STEPS=%d",
        (unsigned long long)seed, steps);
    life_move_clock(l);
    for (int i = 0; i < PROCESSES; i++)
        life_start(l, i);
}

void life_release(struct life *l)
{
    for (size_t i = 0; i < SNAPSHOTS; i++)
        for (size_t k = 0; k < MODEL_KEYS; k++)
            free(l->saved[i].texts[k]);
    running = NULL;
    memstore_free(l->store);
    model_release(&l->m);
    buf_release(&l->log);
    pthread_mutex_destroy(&l->lock);
}

/* --- processes -------------------------------------------------------------
 */

struct watcher {
    struct life *l;
    int process;
};
static struct watcher watchers[PROCESSES];

static void told(void *arg, const struct change *c)
{
    struct watcher *w = arg;
    struct life *l = w->l;

    pthread_mutex_lock(&l->lock);
    if (c->kind == CHANGE_VOIDED && l->n_voids < CLAIMS) {
        l->voids[l->n_voids++] = (struct claim){
            .process = w->process,
            .key = model_number(row_key(c->now)),
            .version = c->now->version,
            .id = c->now->id,
        };
    } else if (c->kind == CHANGE_ROW && c->local) {
        const struct row *r = c->now ? c->now : c->tomb;
        uint32_t key = r ? model_number(row_key(r)) : MODEL_KEYS;
        if (key < MODEL_KEYS)
            l->seen[w->process][key] = (struct seen){r->version, r->id};
    }
    pthread_mutex_unlock(&l->lock);
}

void life_start(struct life *l, int i)
{
    process_start(&l->p[i], l->store);
    watchers[i] = (struct watcher){l, i};
    process_watch(&l->p[i], told, &watchers[i]);
    l->held[i] = false;
}

void life_no_faults(struct life *l)
{
    memstore_hold(l->store, REMOTE_POST, false);
    for (int op = 0; op <= REMOTE_DOWNLOAD; op++)
        memstore_fail(l->store, (enum remote_op)op, 0, 0, false);
    memstore_strip(l->store, 0);
}

void life_quiet(struct life *l)
{
    for (int i = 0; i < PROCESSES; i++)
        process_wait_idle(&l->p[i]);
    memstore_quiet(l->store);
}

void life_calm_down(struct life *l)
{
    life_no_faults(l);
    for (int i = 0; i < PROCESSES; i++) {
        memstore_hold_events(l->p[i].remote, false);
        l->held[i] = false;
    }
    life_quiet(l);
}

struct process *life_someone(struct life *l, int *which)
{
    *which = (int)draw(&l->rng, PROCESSES);
    return &l->p[*which];
}

/* --- is it as the model says? ----------------------------------------------
 */

void life_check_row(struct life *l, struct table *t, const char *who,
                    uint32_t i)
{
    const struct model_row *r = &l->m.rows[i];
    char key[MODEL_KEY_SIZE];

    memstore_fail(l->store, REMOTE_DOWNLOAD, 0, 0, false);
    char *text = text_of(t, model_key(i, key));
    CHECK(l, r->there == (text != NULL), "%s has %s '%s'", who, key,
          text ? text : "not");
    if (text) {
        CHECK(l, strcmp(text, r->text) == 0, "%s has %s '%s', not '%s'", who,
              key, text, r->text);
        CHECK(l, version_of(t, key) == r->version, "%s has %s v%u, not v%u",
              who, key, version_of(t, key), r->version);
    }
    free(text);
}

bool life_in_order(struct life *l, struct table *t)
{
    struct row *rows[MODEL_KEYS + 1];
    uint32_t list[MODEL_KEYS];
    size_t n = row_list(t, 0, rows, MODEL_KEYS + 1);
    bool same = n == model_list(&l->m, list);

    for (size_t i = 0; i < n; i++) {
        if (same && model_number(row_key(rows[i])) != list[i]) {
            same = false;
            say(l, "%s in place %zu, where %u belongs", row_key(rows[i]), i,
                list[i]);
        }
        row_unref(rows[i]);
    }
    return same;
}

void life_check(struct life *l, struct table *t, const char *who)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        life_check_row(l, t, who, i);
    CHECK(l, l->stormed || life_in_order(l, t), "%s", who);
    CHECK(l, row_count(t) == model_count(&l->m), "%s counts %zu", who,
          row_count(t));
}

/* --- what happens to processes ---------------------------------------------
 */

bool is_refusal(int r)
{
    return r == -EEXIST || r == -ENOENT || r == -ESTALE;
}

bool is_failure(int r)
{
    return r == -ETIMEDOUT || r == -EIO || r == -ENETUNREACH || r == -EAGAIN;
}

/* With a number that no other write has. */
void life_number(struct life *l, struct buf *text)
{
    buf_truncate(text, text->len - 1);
    buf_printf(text, "%s\"#\":%lu}", text->len > 1 ? "," : "", ++l->serial);
}

void life_fault(struct life *l)
{
    static const enum remote_op ops[] = {REMOTE_POST,   REMOTE_POST,
                                         REMOTE_EDIT,   REMOTE_LIST,
                                         REMOTE_DELETE, REMOTE_DOWNLOAD};
    static const int codes[] = {-ETIMEDOUT, -EIO, -ENETUNREACH};
    enum remote_op op = ops[draw(&l->rng, 6)];
    bool after = op != REMOTE_LIST && op != REMOTE_DOWNLOAD && draw(&l->rng, 2);

    memstore_fail(l->store, op, 1, codes[draw(&l->rng, 3)], after);
    say(l, "request %d will fail%s", op, after ? " when it is done" : "");
}

void life_restart(struct life *l)
{
    int who = (int)draw(&l->rng, PROCESSES);
    bool clean = draw(&l->rng, 2);

    say(l, "p%d %s and comes back", who, clean ? "leaves" : "is killed");
    life_no_faults(l);
    if (clean)
        process_stop(&l->p[who]);
    else
        process_kill(&l->p[who]);
    l->killed |= !clean;
    life_start(l, who);
    life_check(l, l->p[who].table, "who came back");
}

void life_settle(struct life *l)
{
    say(l, "all row messages are brought up to date");
    life_calm_down(l);
    /* What one does is news to the other, and may leave it something to do. */
    for (int i = 0; i < 2 * PROCESSES; i++) {
        process_wait_settled(&l->p[i % PROCESSES]);
        life_quiet(l);
    }
}

/* Ids are made as if it were some days before; never more than the last time,
 * since ids rise. */
void life_move_clock(struct life *l)
{
    static const int64_t days[] = {30, 16, 13, 1, 0};
    int64_t age = days[(size_t)l->step * 5 / ((size_t)l->steps + 1)];

    memstore_set_age(l->store, age * 24 * 3600 * 1000);
    say(l, "it is %d days ago", (int)age);
}
