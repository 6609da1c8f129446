/* The engine against a trivial model (model.h), over long random histories.
 *
 * Two or three processes share one store. Most of the time one acts while the
 * others look on, and the model says what must come of it, to the letter:
 * results, texts, versions, order. What fails without a clear answer is looked
 * up and taken as it is found.
 *
 * Now and then comes a storm: processes that do not hear of each other, or
 * lose events, or die, write the same rows at the same time. What they are
 * told then are claims, to be settled when all is quiet: a write answered with
 * success is there, unless its process was told that it lost (CHANGE_VOIDED)
 * or died before it could be; one that was refused is not; nothing is there
 * that nobody wrote. And all processes agree, with one that has just come too.
 * Then the model takes over what is there.
 *
 * One thread drives it all and decides what leaves the store when, so that a
 * seed makes the same history as far as the engine's own threads allow. A
 * failure prints seed and history; DBCORD_MODEL_SEED repeats it,
 * DBCORD_MODEL_STEPS makes it longer. */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "tests/lib/world.h"
#include "tests/unit/model.h"

enum { PROCESSES = 2, STEPS = 300, BATCH = 12, CLAIMS = 400 };

/* What a process was told of one write of a storm. */
struct claim {
    int process;
    uint32_t key, version; /* 0: not known */
    uint64_t id;
    char *text; /* NULL: a deletion */
    int r;
    bool voided;  /* its process was told that it lost */
    bool excused; /* … or that one lost which was built on it, perhaps */
};

/* What a process saw last of a key that it wrote itself. */
struct seen {
    uint32_t version;
    uint64_t id;
};

struct life {
    struct memstore *store;
    struct process p[PROCESSES];
    bool held[PROCESSES];
    struct model m;
    uint64_t rng;
    unsigned long serial;
    int step;
    struct buf log;

    struct claim claims[CLAIMS]; /* of this storm */
    size_t n_claims;

    pthread_mutex_t lock;
    /* under lock */
    struct seen seen[PROCESSES][MODEL_KEYS];
    struct claim voids[CLAIMS];
    size_t n_voids;
};

static int steps = STEPS;
static struct life *running; /* for a history when it crashes */

/* --- the history -----------------------------------------------------------
 */

static void say(struct life *l, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct life *l, const char *format, ...)
{
    char line[512];
    va_list args;

    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    buf_printf(&l->log, "%4d %s\n", l->step, line);
}

static void print_history(void)
{
    if (!running)
        return;
    /* The end of it tells most. */
    size_t from = running->log.len > 60000 ? running->log.len - 60000 : 0;
    if (write(STDERR_FILENO, running->log.data + from,
              running->log.len - from) < 0)
        return;
}

static void crashed(int signal_number)
{
    print_history();
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

#define CHECK(l, what, ...)                                                    \
    do {                                                                       \
        if (!(what)) {                                                         \
            say(l, "FAILED: " #what ": " __VA_ARGS__);                         \
            fail_msg("%s", #what);                                             \
        }                                                                      \
    } while (0)

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

static void start(struct life *l, int i)
{
    process_start(&l->p[i], l->store);
    watchers[i] = (struct watcher){l, i};
    process_watch(&l->p[i], told, &watchers[i]);
    l->held[i] = false;
}

static void no_faults(struct life *l)
{
    memstore_hold(l->store, REMOTE_POST, false);
    for (int op = 0; op <= REMOTE_DOWNLOAD; op++)
        memstore_fail(l->store, (enum remote_op)op, 0, 0, false);
    memstore_strip(l->store, 0);
}

/* Everybody has heard of everything. */
static void calm_down(struct life *l)
{
    no_faults(l);
    for (int i = 0; i < PROCESSES; i++) {
        memstore_hold_events(l->p[i].remote, false);
        l->held[i] = false;
    }
    for (int i = 0; i < PROCESSES; i++)
        process_wait_idle(&l->p[i]);
    memstore_quiet(l->store);
}

static struct process *someone(struct life *l, int *which)
{
    *which = (int)draw(&l->rng, PROCESSES);
    return &l->p[*which];
}

/* --- is it as the model says? ----------------------------------------------
 */

static void assert_row(struct life *l, struct table *t, const char *who,
                       uint32_t i)
{
    const struct model_row *r = &l->m.rows[i];
    char key[MODEL_KEY_SIZE];
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

static void assert_listed(struct life *l, struct table *t, const char *who)
{
    struct row *rows[MODEL_KEYS + 1];
    size_t n = row_list(t, 0, rows, MODEL_KEYS + 1), there = model_count(&l->m);

    CHECK(l, n == there, "%s lists %zu rows, not %zu", who, n, there);
    CHECK(l, row_count(t) == there, "%s counts %zu rows", who, row_count(t));
    for (size_t i = 0; i < n; i++)
        row_unref(rows[i]);
}

static void assert_table(struct life *l, struct table *t, const char *who)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        assert_row(l, t, who, i);
    assert_listed(l, t, who);
}

/* --- writes ----------------------------------------------------------------
 */

/* A write as it is meant, and what it would make of the rows. */
struct plan {
    struct write w;
    uint32_t i, to;
    struct fields f;
    char key[MODEL_KEY_SIZE], to_key[MODEL_KEY_SIZE];
    struct buf text;
};

static void plan_release(struct plan *p)
{
    buf_release(&p->text);
}

/* With a number that no other write has. */
static void unlike_any_other(struct life *l, struct buf *text)
{
    buf_truncate(text, text->len - 1);
    buf_printf(text, "%s\"#\":%lu}", text->len > 1 ? "," : "", ++l->serial);
}

static void plan_text(struct life *l, struct plan *p, const char *key)
{
    p->f = fields_random(&l->rng);
    fields_write(&p->f, key, &l->rng, &p->text);
    unlike_any_other(l, &p->text);
    p->w.text = p->text.data;
    p->w.text_len = p->text.len;
}

static void plan_write(struct life *l, struct plan *p, uint32_t keys)
{
    *p = (struct plan){.i = draw(&l->rng, keys), .to = MODEL_KEYS};
    model_key(p->i, p->key);
    p->w.key = p->key;
    p->w.key_len = strlen(p->key);
    switch (draw(&l->rng, 8)) {
    case 0:
    case 1:
        p->w.kind = WRITE_DELETE;
        break;
    case 2:
        p->w.kind = WRITE_RENAME;
        p->to = (p->i + 1 + draw(&l->rng, keys - 1)) % keys;
        model_key(p->to, p->to_key);
        p->w.to = p->to_key;
        p->w.to_len = strlen(p->to_key);
        p->w.must_be_new = draw(&l->rng, 2);
        if (draw(&l->rng, 3) == 0)
            plan_text(l, p, p->to_key);
        break;
    default:
        p->w.kind = WRITE_PUT;
        plan_text(l, p, p->key);
        p->w.must_be_new = draw(&l->rng, 4) == 0;
        p->w.must_exist = !p->w.must_be_new && draw(&l->rng, 4) == 0;
        break;
    }
    if (draw(&l->rng, 6) == 0)
        p->w.if_version = l->m.rows[p->i].version + (draw(&l->rng, 3) == 0);
}

static void describe(const struct plan *p, char out[200])
{
    static const char *const kinds[] = {"put", "delete", "rename"};

    snprintf(out, 200, "%s %s%s%s%s%s if %u: #%.*s", kinds[p->w.kind], p->key,
             p->w.to ? " to " : "", p->w.to ? p->to_key : "",
             p->w.must_be_new ? " new" : "", p->w.must_exist ? " old" : "",
             p->w.if_version, 20,
             p->text.len ? strstr(p->text.data, "\"#\"") + 4 : "-");
}

/* The row's text under another key. */
static char *rekeyed(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    struct buf b = BUF_INIT;

    buf_add(&b, text, (size_t)(at - text));
    buf_printf(&b, "%s%s", to, at + strlen(from));
    return buf_take_str(&b);
}

/* What must come of it, as things are; where there are several reasons to
 * refuse it, any. */
static int expected(const struct model *m, const struct plan *p)
{
    const struct model_row *r = &m->rows[p->i];

    if (p->w.must_be_new && p->w.kind == WRITE_PUT && r->there)
        return -EEXIST;
    if (!r->there && (p->w.kind != WRITE_PUT || p->w.must_exist))
        return -ENOENT;
    if (p->w.if_version && (!r->there || r->version != p->w.if_version))
        return -ESTALE;
    if (p->w.kind == WRITE_RENAME && p->w.must_be_new && m->rows[p->to].there)
        return -EEXIST;
    if (p->w.kind == WRITE_PUT &&
        model_conflict(m, p->i, p->i, &p->f) < MODEL_KEYS)
        return -EEXIST;
    if (p->w.kind == WRITE_RENAME &&
        model_conflict(m, p->to, p->i, p->text.len ? &p->f : &r->f) <
            MODEL_KEYS)
        return -EEXIST;
    return 0;
}

static bool is_refusal(int r)
{
    return r == -EEXIST || r == -ENOENT || r == -ESTALE;
}

static bool is_failure(int r)
{
    return r == -ETIMEDOUT || r == -EIO || r == -ENETUNREACH || r == -EAGAIN;
}

static void apply(struct model *m, const struct plan *p)
{
    struct model_row *r = &m->rows[p->i];

    switch (p->w.kind) {
    case WRITE_PUT:
        model_put(m, p->i, &p->f, p->text.data);
        break;
    case WRITE_DELETE:
        model_delete(m, p->i);
        break;
    case WRITE_RENAME: {
        struct fields f = p->text.len ? p->f : r->f;
        char *text = p->text.len ? xstrdup(p->text.data)
                                 : rekeyed(r->text, p->key, p->to_key);
        model_delete(m, p->i);
        model_put(m, p->to, &f, text);
        free(text);
        break;
    }
    }
}

/* Of a write without a clear answer: what was done, as the process sees it
 * when it has heard of everything. */
static bool was_done(const struct model *m, const struct plan *p,
                     struct table *t)
{
    uint32_t i = p->w.kind == WRITE_RENAME ? p->to : p->i;
    char key[MODEL_KEY_SIZE];
    uint32_t v = version_of(t, model_key(i, key));

    return p->w.kind == WRITE_DELETE ? v == 0 : v == m->rows[i].version + 1;
}

static void judge(struct life *l, const struct plan *p, struct table *t, int r,
                  const char *why)
{
    int wanted = expected(&l->m, p);

    if (wanted == 0 && is_failure(r)) {
        calm_down(l);
        r = was_done(&l->m, p, t) ? 0 : r;
        say(l, "     it was %s", r ? "not done" : "done");
        if (r)
            return;
    }
    if (wanted < 0)
        CHECK(l, is_refusal(r), "%d (%s) instead of %d", r, why, wanted);
    else
        CHECK(l, r == 0, "%d (%s)", r, why);
    if (wanted == -ENOENT)
        CHECK(l, r == wanted, "%d instead of -ENOENT", r);
    if (r == 0)
        apply(&l->m, p);
}

static void random_fault(struct life *l)
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

static void one_write(struct life *l)
{
    int who;
    struct process *p = someone(l, &who);
    struct plan plan;
    struct err err = ERR_INIT;
    char what[200];

    plan_write(l, &plan, MODEL_KEYS);
    describe(&plan, what);
    int r = table_write_wait(p->table, &plan.w, NULL, &err);
    say(l, "p%d %s -> %d", who, what, r);
    judge(l, &plan, p->table, r, err.text);
    plan_release(&plan);
}

static void one_patch(struct life *l)
{
    int who;
    struct process *p = someone(l, &who);
    uint32_t i = draw(&l->rng, MODEL_KEYS);
    struct model_row *row = &l->m.rows[i];
    struct fields f = row->f, got;
    struct buf patch = BUF_INIT;
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE], said[MODEL_KEY_SIZE];

    fields_patch(&f, &l->rng, &patch);
    unlike_any_other(l, &patch);
    uint32_t if_version =
        draw(&l->rng, 4) ? 0 : row->version + draw(&l->rng, 2);
    model_key(i, key);
    int r = table_patch_wait(p->table, key, strlen(key), patch.data, patch.len,
                             if_version, NULL, &err);
    say(l, "p%d patch %s if %u: %s -> %d", who, key, if_version, patch.data, r);
    int wanted = !row->there                                    ? -ENOENT
                 : if_version && if_version != row->version     ? -ESTALE
                 : model_conflict(&l->m, i, i, &f) < MODEL_KEYS ? -EEXIST
                                                                : 0;
    if (wanted == 0 && is_failure(r)) {
        calm_down(l);
        if (version_of(p->table, key) == row->version + 1)
            r = 0;
        say(l, "     it was %s", r ? "not done" : "done");
    } else {
        CHECK(l, r == wanted, "%d (%s) instead of %d", r, err.text, wanted);
    }
    if (r == 0) {
        char *text = text_of(p->table, key);
        CHECK(l, text && fields_read(text, &got, said), "'%s'", text);
        CHECK(l, strcmp(said, key) == 0 && fields_equal(&f, &got), "'%s'",
              text);
        model_put(&l->m, i, &f, text);
        free(text);
    }
    buf_release(&patch);
}

/* --- several at once ---------------------------------------------------------
 */

/* A write that does not wait. */
struct ask {
    struct plan plan;
    int process;
    pthread_mutex_t *lock;
    pthread_cond_t *done; /* with lock */
    /* under lock */
    bool answered;
    int r;
    struct seen seen;
    char why[200];
};

static void answered(void *arg, int r, struct row *row, const struct err *err)
{
    struct ask *a = arg;

    pthread_mutex_lock(a->lock);
    a->answered = true;
    a->r = r;
    if (row)
        a->seen = (struct seen){row->version, row->id};
    snprintf(a->why, sizeof(a->why), "%s", r < 0 ? err_text(err, r) : "");
    pthread_cond_broadcast(a->done);
    pthread_mutex_unlock(a->lock);
    row_unref(row);
}

/* Writes by one process or several while nothing leaves, and lets them go; some
 * are cancelled. */
static void ask_many(struct life *l, struct ask *asks, size_t n, uint32_t keys,
                     bool one_process, int dying)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t done = PTHREAD_COND_INITIALIZER;
    uint64_t tickets[BATCH];
    int who = (int)draw(&l->rng, PROCESSES);

    memstore_hold(l->store, REMOTE_POST, true);
    for (size_t i = 0; i < n; i++) {
        struct ask *a = &asks[i];
        struct err err = ERR_INIT;
        char what[200];
        *a = (struct ask){.lock = &lock, .done = &done};
        a->process = one_process ? who : (int)draw(&l->rng, PROCESSES);
        plan_write(l, &a->plan, keys);
        describe(&a->plan, what);
        say(l, "p%d asks: %s", a->process, what);
        int r = table_write(l->p[a->process].table, &a->plan.w, answered, a,
                            &tickets[i], &err);
        CHECK(l, r == 0, "%s", err.text);
    }
    if (draw(&l->rng, 3) == 0) {
        size_t i = draw(&l->rng, (uint32_t)n);
        bool cancelled =
            table_write_cancel(l->p[asks[i].process].table, tickets[i]);
        say(l, "%zu is %scancelled", i, cancelled ? "" : "not ");
    }
    if (dying >= 0) {
        if (draw(&l->rng, 2))
            memstore_let_one(l->store, REMOTE_POST);
        say(l, "p%d dies", dying);
        memstore_kill(l->p[dying].remote);
    }
    memstore_hold(l->store, REMOTE_POST, false);
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < n; i++)
        while (!asks[i].answered)
            pthread_cond_wait(&done, &lock);
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++)
        say(l, "  %zu -> %d v%u %s", i, asks[i].r, asks[i].seen.version,
            asks[i].why);
}

static void many_writes(struct life *l)
{
    struct ask asks[BATCH];
    size_t n = 2 + draw(&l->rng, BATCH - 2);

    ask_many(l, asks, n, draw(&l->rng, 2) ? 5 : MODEL_KEYS, true, -1);
    for (size_t i = 0; i < n; i++) {
        struct ask *a = &asks[i];
        if (a->r != -EINTR)
            judge(l, &a->plan, l->p[a->process].table, a->r, a->why);
        plan_release(&a->plan);
    }
}

/* --- lives end and begin -----------------------------------------------------
 */

static void restart(struct life *l)
{
    int who = (int)draw(&l->rng, PROCESSES);
    bool clean = draw(&l->rng, 2);

    say(l, "p%d %s and comes back", who, clean ? "leaves" : "is killed");
    no_faults(l);
    if (clean)
        process_stop(&l->p[who]);
    else
        process_kill(&l->p[who]);
    start(l, who);
    assert_table(l, l->p[who].table, "who came back");
}

static void settle(struct life *l)
{
    say(l, "all row messages are brought up to date");
    no_faults(l);
    for (int i = 0; i < PROCESSES; i++)
        process_wait_settled(&l->p[i]);
}

/* Ids are made as if it were some days before; never more than the last time,
 * since ids rise. */
static void move_clock(struct life *l)
{
    static const int64_t days[] = {30, 16, 13, 1, 0};
    int64_t age = days[(size_t)l->step * 5 / ((size_t)steps + 1)];

    memstore_set_age(l->store, age * 24 * 3600 * 1000);
    say(l, "it is %d days ago", (int)age);
}

/* --- storms ------------------------------------------------------------------
 */

static void claim(struct life *l, int process, uint32_t key, uint32_t version,
                  uint64_t id, const char *text, int r)
{
    CHECK(l, l->n_claims < CLAIMS, "too many claims");
    l->claims[l->n_claims++] = (struct claim){
        .process = process,
        .key = key,
        .version = version,
        .id = id,
        .text = text ? xstrdup(text) : NULL,
        .r = r,
    };
}

/* What the process was told of p, where row is the new version. */
static void claim_plan(struct life *l, int process, const struct plan *p, int r,
                       struct seen now, struct seen gone)
{
    const char *text = p->text.len ? p->text.data : NULL;

    if (p->w.kind == WRITE_PUT) {
        claim(l, process, p->i, now.version, now.id, text, r);
        return;
    }
    claim(l, process, p->i, gone.version, gone.id, NULL, r);
    /* The text that moved is what that process saw: not known here. */
    if (p->w.kind == WRITE_RENAME)
        claim(l, process, p->to, now.version, now.id, text ? text : "?", r);
}

static struct seen seen_of(struct life *l, int process, uint32_t key)
{
    pthread_mutex_lock(&l->lock);
    struct seen s = l->seen[process][key];
    pthread_mutex_unlock(&l->lock);
    return s;
}

static void storm_write(struct life *l)
{
    int who;
    struct process *p = someone(l, &who);
    struct plan plan;
    struct err err = ERR_INIT;
    struct row *row = NULL;
    struct seen now = {0};
    char what[200];

    plan_write(l, &plan, 6);
    describe(&plan, what);
    int r = table_write_wait(p->table, &plan.w, &row, &err);
    if (row)
        now = (struct seen){row->version, row->id};
    row_unref(row);
    say(l, "p%d %s -> %d v%u %llu", who, what, r, now.version,
        (unsigned long long)now.id);
    CHECK(l, r == 0 || is_refusal(r) || is_failure(r), "%d %s", r, err.text);
    claim_plan(l, who, &plan, r, now, seen_of(l, who, plan.i));
    plan_release(&plan);
}

static void storm_writes(struct life *l, int dying)
{
    struct ask asks[BATCH];
    size_t n = 2 + draw(&l->rng, BATCH - 2);

    ask_many(l, asks, n, 6, false, dying);
    for (size_t i = 0; i < n; i++) {
        struct ask *a = &asks[i];
        CHECK(l,
              a->r == 0 || is_refusal(a->r) || is_failure(a->r) ||
                  a->r == -EINTR || (a->process == dying && a->r == -ESHUTDOWN),
              "%d %s", a->r, a->why);
        if (a->r != -EINTR)
            claim_plan(l, a->process, &a->plan, a->r, a->seen,
                       (struct seen){0});
        plan_release(&a->plan);
    }
}

/* Who died was told of nothing any more. */
static void forget_claims(struct life *l, int process)
{
    for (size_t i = 0; i < l->n_claims; i++)
        if (l->claims[i].process == process && l->claims[i].r == 0)
            l->claims[i].r = -ESHUTDOWN;
}

static void storm_event(struct life *l)
{
    int who = (int)draw(&l->rng, PROCESSES);

    switch (draw(&l->rng, 9)) {
    case 0:
        l->held[who] = !l->held[who];
        say(l, "p%d hears %s", who, l->held[who] ? "nothing" : "again");
        memstore_hold_events(l->p[who].remote, l->held[who]);
        break;
    case 1:
        say(l, "p%d loses events", who);
        memstore_lose_events(l->p[who].remote, true);
        storm_write(l);
        storm_write(l);
        memstore_lose_events(l->p[who].remote, false);
        break;
    case 2:
        random_fault(l);
        break;
    case 3:
        storm_writes(l, -1);
        break;
    case 4:
        if (draw(&l->rng, 3))
            break;
        storm_writes(l, who);
        no_faults(l);
        process_kill(&l->p[who]);
        forget_claims(l, who);
        start(l, who);
        break;
    default:
        storm_write(l);
        break;
    }
}

static void mark_voided(struct life *l)
{
    pthread_mutex_lock(&l->lock);
    for (size_t i = 0; i < l->n_voids; i++) {
        const struct claim *v = &l->voids[i];
        for (size_t k = 0; k < l->n_claims; k++) {
            struct claim *c = &l->claims[k];
            if (c->key != v->key || c->process != v->process)
                continue;
            c->voided |= c->version == v->version && c->id == v->id;
            c->excused |= c->version <= v->version && c->id <= v->id;
        }
    }
    l->n_voids = 0;
    pthread_mutex_unlock(&l->lock);
}

/* Is what is there in the end what somebody wrote, and what was answered with
 * success there? */
static void assert_claims(struct life *l, uint32_t key, const struct row *head,
                          const char *text)
{
    uint32_t version = head ? head->version : 0;
    bool written =
        !head || (l->m.rows[key].there && l->m.rows[key].version == version);

    for (size_t i = 0; i < l->n_claims; i++) {
        const struct claim *c = &l->claims[i];
        if (c->key != key)
            continue;
        bool is_head = head && c->text &&
                       (strcmp(c->text, text) == 0 || c->text[0] == '?');
        if (c->r == 0 && !c->excused && head && c->version >= version)
            CHECK(l, c->id == head->id, "p%d was told that it wrote %u v%u",
                  c->process, key, c->version);
        if (is_head && c->text[0] != '?') {
            CHECK(l, !is_refusal(c->r), "what was refused is there: %u %s", key,
                  c->text);
            CHECK(l, !c->voided, "what was voided is there: %u %s", key,
                  c->text);
        }
        written |= is_head;
    }
    CHECK(l, written, "nobody wrote %u v%u '%s'", key, version, text);
}

/* The newest deletion that counts, as its process was told; the version of a
 * row that is not there is told by none else. */
static void adopt(struct life *l, struct table *t, uint32_t i)
{
    struct model_row *r = &l->m.rows[i];
    char key[MODEL_KEY_SIZE], said[MODEL_KEY_SIZE];
    struct row *head = row_find(t, model_key(i, key), strlen(key));
    char *text = head ? text_of(t, key) : NULL;
    struct fields f;

    assert_claims(l, i, head, text);
    if (!head && !r->there && r->version == 0 && l->n_claims == 0)
        return;
    if (!head) {
        /* What version the deletion has shows in the next. */
        struct plan p = {.i = i};
        struct row *row = NULL;
        struct err err = ERR_INIT;
        memcpy(p.key, key, sizeof(key));
        plan_text(l, &p, key);
        p.f.email = p.f.role = NONE;
        buf_reset(&p.text);
        fields_write(&p.f, key, &l->rng, &p.text);
        p.w = (struct write){.kind = WRITE_PUT,
                             .key = key,
                             .key_len = strlen(key),
                             .text = p.text.data,
                             .text_len = p.text.len};
        int res = table_write_wait(t, &p.w, &row, &err);
        CHECK(l, res == 0, "%s", err.text);
        head = row;
        text = text_of(t, key);
        plan_release(&p);
    }
    CHECK(l, fields_read(text, &f, said) && strcmp(said, key) == 0, "%s", text);
    model_put(&l->m, i, &f, text);
    model_forget(&l->m, i, head->version); /* what came between */
    row_unref(head);
    free(text);
}

static void take_order(struct life *l, struct table *t)
{
    struct row *rows[MODEL_KEYS];
    size_t n = row_list(t, 0, rows, MODEL_KEYS);

    for (size_t i = 0; i < n; i++) {
        l->m.rows[model_number(row_key(rows[i]))].born = ++l->m.births;
        row_unref(rows[i]);
    }
}

static void storm(struct life *l)
{
    struct process fresh;
    int events = 5 + (int)draw(&l->rng, 20);

    say(l, "a storm");
    for (int i = 0; i < events; i++)
        storm_event(l);
    calm_down(l);
    say(l, "it is calm again");
    mark_voided(l);

    process_start(&fresh, l->store);
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        adopt(l, fresh.table, i);
    take_order(l, fresh.table);
    calm_down(l);
    process_wait_idle(&fresh);
    assert_table(l, fresh.table, "who came after the storm");
    for (int i = 0; i < PROCESSES; i++)
        assert_table(l, l->p[i].table,
                     i ? "p1 after the storm" : "p0 after the storm");
    process_stop(&fresh);
    for (size_t i = 0; i < l->n_claims; i++)
        free(l->claims[i].text);
    l->n_claims = 0;
}

/* --- a life ------------------------------------------------------------------
 */

static void one_step(struct life *l)
{
    switch (draw(&l->rng, 60)) {
    case 0:
    case 1:
        restart(l);
        break;
    case 2:
        settle(l);
        break;
    case 3:
    case 4:
    case 5:
        random_fault(l);
        break;
    case 6:
        memstore_strip(l->store, draw(&l->rng, 2) ? 'q' : 0);
        break;
    case 7:
        move_clock(l);
        break;
    case 8:
    case 9:
        storm(l);
        break;
    case 10:
    case 11:
    case 12:
    case 13:
    case 14:
        many_writes(l);
        break;
    case 15:
    case 16:
    case 17:
    case 18:
    case 19:
        one_patch(l);
        break;
    default:
        one_write(l);
        break;
    }
    calm_down(l);
    int who = (int)draw(&l->rng, PROCESSES);
    assert_row(l, l->p[who].table, "somebody", draw(&l->rng, MODEL_KEYS));
    if (draw(&l->rng, 10) == 0)
        assert_table(l, l->p[who].table, "somebody");
}

static void live(uint64_t seed)
{
    struct life l = {.rng = seed, .store = memstore_new()};
    struct process last;

    running = &l;
    pthread_mutex_init(&l.lock, NULL);
    say(&l, "DBCORD_MODEL_SEED=%llu DBCORD_MODEL_STEPS=%d",
        (unsigned long long)seed, steps);
    move_clock(&l);
    for (int i = 0; i < PROCESSES; i++)
        start(&l, i);
    for (l.step = 0; l.step < steps; l.step++)
        one_step(&l);

    settle(&l);
    for (int i = 0; i < PROCESSES; i++) {
        assert_table(&l, l.p[i].table, "who was there all the time");
        process_stop(&l.p[i]);
    }
    process_start(&last, l.store);
    assert_table(&l, last.table, "who came last");
    process_stop(&last);
    running = NULL;
    memstore_free(l.store);
    model_release(&l.m);
    buf_release(&l.log);
    pthread_mutex_destroy(&l.lock);
}

static int if_failed(void **state)
{
    (void)state;
    print_history();
    running = NULL;
    return 0;
}

static void a_life_of_one_seed(void **state)
{
    live(*(const uint64_t *)*state);
}

int main(void)
{
    const char *seed = getenv("DBCORD_MODEL_SEED");
    const char *length = getenv("DBCORD_MODEL_STEPS");
    uint64_t seeds[] = {1, 2, (uint64_t)time(NULL)};

    if (length)
        steps = atoi(length);
    if (seed)
        seeds[0] = strtoull(seed, NULL, 10);
    signal(SIGABRT, crashed);
    signal(SIGSEGV, crashed);
    signal(SIGALRM, crashed);
    printf("DBCORD_MODEL_SEED=%llu\n", (unsigned long long)seeds[seed ? 0 : 2]);
    struct CMUnitTest tests[3];
    for (size_t i = 0; i < 3; i++)
        tests[i] =
            (struct CMUnitTest){"a life agrees with a model",
                                a_life_of_one_seed, NULL, if_failed, &seeds[i]};
    if (seed)
        tests[1] = tests[2] = tests[0];
    return _cmocka_run_group_tests("model", tests, seed ? 1 : 3, NULL, NULL);
}
