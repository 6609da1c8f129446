#include "tests/unit/life.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/history.h"

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
static void claim_plan(struct life *l, int process, const struct meant *p,
                       int r, struct seen now, struct seen gone)
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
    struct process *p = life_someone(l, &who);
    struct meant plan;
    struct err err = ERR_INIT;
    struct row *row = NULL;
    struct seen now = {0};
    char what[200];

    meant_write(l, &plan, 6);
    meant_describe(&plan, what);
    int r = table_write_wait(p->table, &plan.w, &row, &err);
    if (row)
        now = (struct seen){row->version, row->id};
    row_unref(row);
    say(l, "p%d %s -> %d v%u %llu", who, what, r, now.version,
        (unsigned long long)now.id);
    CHECK(l, r == 0 || is_refusal(r) || is_failure(r), "%d %s", r, err.text);
    claim_plan(l, who, &plan, r, now, seen_of(l, who, plan.i));
    meant_release(&plan);
}

static void claim_ask(struct life *l, const struct ask *a)
{
    if (a->r != -EINTR)
        claim_plan(l, a->process, &a->plan, a->r, a->seen, (struct seen){0});
}

static void storm_writes(struct life *l, int dying)
{
    struct ask asks[BATCH];
    size_t n = 2 + draw(&l->rng, BATCH - 2);

    ask_many(l, asks, n, 6, false, dying);
    for (size_t i = 0; i < n; i++) {
        struct ask *a = &asks[i];
        claim_ask(l, a);
        CHECK(l,
              a->r == 0 || is_refusal(a->r) || is_failure(a->r) ||
                  a->r == -EINTR || (a->process == dying && a->r == -ESHUTDOWN),
              "%d %s", a->r, a->why);
        meant_release(&a->plan);
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
        life_fault(l);
        break;
    case 3:
        storm_writes(l, -1);
        break;
    case 4:
        if (draw(&l->rng, 3))
            break;
        storm_writes(l, who);
        life_no_faults(l);
        process_kill(&l->p[who]);
        l->killed = true;
        forget_claims(l, who);
        life_start(l, who);
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

/* --- afterwards ------------------------------------------------------------
 */

static const struct version *version_in(const struct history *h,
                                        uint32_t number)
{
    for (size_t i = 0; i < h->n; i++)
        if (h->list[i].number == number)
            return &h->list[i];
    return NULL;
}

/* "?": any text. */
static bool is_text(const char *claimed, const char *text)
{
    if (!claimed || !text)
        return !claimed && !text;
    return claimed[0] == '?' || strcmp(claimed, text) == 0;
}

/* What processes were told of a key, against its versions. */
static void check_claims(struct life *l, uint32_t key, const struct history *h,
                         char *const *texts)
{
    for (size_t i = 0; i < l->n_claims; i++) {
        const struct claim *c = &l->claims[i];
        const struct version *v = version_in(h, c->version);
        if (c->key != key)
            continue;
        bool is_there = v && v->message == c->id;
        if (c->r == 0 && c->version && !c->excused)
            CHECK(l, is_there && is_text(c->text, texts[v - h->list]),
                  "p%d was told that it wrote %u v%u", c->process, key,
                  c->version);
        CHECK(l, !(c->voided && is_there), "what was voided is there: %u v%u",
              key, c->version);
        for (size_t k = 0; is_refusal(c->r) && k < h->n; k++)
            CHECK(l,
                  !c->text || c->text[0] == '?' || !texts[k] ||
                      strcmp(c->text, texts[k]) != 0,
                  "what was refused is there: %u %s", key, c->text);
    }
}

/* What was there before the storm still is, and what has come since somebody
 * wrote. */
static void check_versions(struct life *l, uint32_t key,
                           const struct history *h, char *const *texts)
{
    const struct model_row *r = &l->m.rows[key];

    for (size_t k = 0; k < h->n; k++) {
        uint32_t number = h->list[k].number;
        bool known = false;
        CHECK(l, number == k + 1 + h->removed, "%u has no v%zu", key, k + 1);
        if (number <= r->version) {
            const struct version_of_row *v = model_version(&l->m, key, number);
            CHECK(l, !v || is_text(v->text, texts[k]),
                  "%u v%u is '%s', not '%s'", key, number, texts[k], v->text);
            continue;
        }
        for (size_t i = 0; i < l->n_claims && !known; i++)
            known = l->claims[i].key == key && !is_refusal(l->claims[i].r) &&
                    is_text(l->claims[i].text, texts[k]);
        CHECK(l, known, "nobody wrote %u v%u: %s", key, number, texts[k]);
    }
    CHECK(l, h->n + h->removed >= r->version, "%u had v%u, and has v%zu", key,
          r->version, h->n);
}

static void adopt(struct life *l, struct table *t, uint32_t i)
{
    struct history h = {0};
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE], said[MODEL_KEY_SIZE];

    model_key(i, key);
    int r = table_history_wait(t, key, strlen(key), &h, &err);
    CHECK(l, r == 0 || r == -ENOENT, "%s: %s", key, err.text);
    char **texts = xcalloc(h.n + 1, sizeof(*texts));
    for (size_t k = 0; k < h.n; k++) {
        CHECK(l, h.list[k].r == 0, "%s", h.list[k].why);
        texts[k] = life_version_text(l, t, &h.list[k]);
    }
    check_claims(l, i, &h, texts);
    check_versions(l, i, &h, texts);
    for (size_t k = 0; k < h.n; k++) {
        struct fields f;
        if (h.list[k].number <= l->m.rows[i].version)
            continue;
        if (!texts[k]) {
            model_delete(&l->m, i);
            continue;
        }
        CHECK(l, fields_read(texts[k], &f, said) && strcmp(said, key) == 0,
              "%s", texts[k]);
        model_put(&l->m, i, &f, texts[k]);
    }
    for (size_t k = 0; k < h.n; k++)
        free(texts[k]);
    free(texts);
    history_release(&h);
}

void life_take_order(struct life *l, struct table *t)
{
    struct row *rows[MODEL_KEYS];
    size_t n = row_list(t, 0, rows, MODEL_KEYS);

    for (size_t i = 0; i < n; i++) {
        l->m.rows[model_number(row_key(rows[i]))].born = ++l->m.births;
        row_unref(rows[i]);
    }
}

/* Holds what processes were told against t, and makes the model like it. */
static void settle_claims(struct life *l, struct table *t)
{
    mark_voided(l);
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        adopt(l, t, i);
    life_take_order(l, t);
    for (size_t i = 0; i < l->n_claims; i++)
        free(l->claims[i].text);
    l->n_claims = 0;
}

void life_storm(struct life *l)
{
    struct process fresh;
    int events = 5 + (int)draw(&l->rng, 20);

    say(l, "a storm");
    for (int i = 0; i < events; i++)
        storm_event(l);
    life_calm_down(l);
    say(l, "it is calm again");

    process_start(&fresh, l->store);
    settle_claims(l, fresh.table);
    life_check(l, fresh.table, "who came after the storm");
    /* Of rows that two made at once a process may have heard in another order,
     * and a listing that goes on may not be shuffled. */
    l->stormed = true;
    for (int i = 0; i < PROCESSES; i++)
        life_check(l, l->p[i].table,
                   i ? "p1 after the storm" : "p0 after the storm");
    process_stop(&fresh);
}

void life_take(struct life *l, const struct ask *asks, size_t n)
{
    life_calm_down(l);
    for (size_t i = 0; i < n; i++)
        claim_ask(l, &asks[i]);
    settle_claims(l, l->p[0].table);
}
