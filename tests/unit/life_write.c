#include "tests/unit/life.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"

/* --- writes ----------------------------------------------------------------
 */

void meant_release(struct meant *p)
{
    buf_release(&p->text);
}

static void plan_text(struct life *l, struct meant *p, const char *key)
{
    p->f = fields_random(&l->rng);
    fields_write(&p->f, key, &l->rng, &p->text);
    life_number(l, &p->text);
    p->w.text = p->text.data;
    p->w.text_len = p->text.len;
}

void meant_write(struct life *l, struct meant *p, uint32_t keys)
{
    *p = (struct meant){.i = draw(&l->rng, keys), .to = MODEL_KEYS};
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

void meant_describe(const struct meant *p, char out[200])
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
static int expected(const struct model *m, const struct meant *p)
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

static void apply(struct model *m, const struct meant *p)
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
static bool was_done(const struct model *m, const struct meant *p,
                     struct table *t)
{
    uint32_t i = p->w.kind == WRITE_RENAME ? p->to : p->i;
    char key[MODEL_KEY_SIZE];
    uint32_t v = version_of(t, model_key(i, key));

    return p->w.kind == WRITE_DELETE ? v == 0 : v == m->rows[i].version + 1;
}

static void judge(struct life *l, const struct meant *p, struct table *t, int r,
                  const char *why)
{
    int wanted = expected(&l->m, p);

    if (is_failure(r)) {
        life_calm_down(l);
        bool done = wanted == 0 && was_done(&l->m, p, t);
        say(l, "     it was %s", done ? "done" : "not done");
        if (!done)
            return;
        r = 0;
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

void life_write(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    struct meant plan;
    struct err err = ERR_INIT;
    char what[200];

    meant_write(l, &plan, MODEL_KEYS);
    meant_describe(&plan, what);
    int r = table_write_wait(p->table, &plan.w, NULL, &err);
    say(l, "p%d %s -> %d", who, what, r);
    judge(l, &plan, p->table, r, err.text);
    meant_release(&plan);
}

void life_patch(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    uint32_t i = draw(&l->rng, MODEL_KEYS);
    struct model_row *row = &l->m.rows[i];
    struct fields f = row->f, got;
    struct buf patch = BUF_INIT;
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE], said[MODEL_KEY_SIZE];

    fields_patch(&f, &l->rng, &patch);
    life_number(l, &patch);
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
    if (is_failure(r)) {
        life_calm_down(l);
        if (wanted == 0 && version_of(p->table, key) == row->version + 1)
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
void ask_many(struct life *l, struct ask *asks, size_t n, uint32_t keys,
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
        meant_write(l, &a->plan, keys);
        meant_describe(&a->plan, what);
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

void life_write_many(struct life *l)
{
    struct ask asks[BATCH];
    size_t n = 2 + draw(&l->rng, BATCH - 2);

    ask_many(l, asks, n, draw(&l->rng, 2) ? 5 : MODEL_KEYS, true, -1);
    bool failed = false;
    for (size_t i = 0; i < n; i++)
        failed |= is_failure(asks[i].r);
    /* Some were refused in view of those that failed with them. */
    if (failed)
        life_take(l, asks, n);
    for (size_t i = 0; i < n; i++) {
        struct ask *a = &asks[i];
        if (!failed && a->r != -EINTR)
            judge(l, &a->plan, l->p[a->process].table, a->r, a->why);
        meant_release(&a->plan);
    }
    /* One that needs a file first leaves after those that came later. */
    life_quiet(l);
    life_take_order(l, l->p[asks[0].process].table);
}
