#include "tests/unit/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/find.h"
#include "engine/lookup.h"
#include "engine/query.h"

/* --- finding ---------------------------------------------------------------
 */

struct found {
    struct life *l;
    uint32_t keys[MODEL_KEYS + 1];
    size_t n;
};

/* Each row is the one the model has, to the byte. */
static int take_row(void *arg, struct row *row, const char *text, size_t len,
                    struct err *err)
{
    struct found *f = arg;
    struct life *l = f->l;
    uint32_t i = model_number(row_key(row));

    (void)err;
    CHECK(l, i < MODEL_KEYS && l->m.rows[i].there, "%s was found",
          row_key(row));
    CHECK(l, f->n <= MODEL_KEYS, "more than there are");
    f->keys[f->n++] = i;
    const struct model_row *r = &l->m.rows[i];
    CHECK(l,
          text && len == strlen(r->text) + 1 &&
              memcmp(text, r->text, len - 1) == 0,
          "%s is '%.*s', not '%s'", row_key(row), (int)len, text, r->text);
    CHECK(l, row->version == r->version, "%s v%u, not v%u", row_key(row),
          row->version, r->version);
    return 0;
}

static struct query *query_of(struct life *l, struct table *t,
                              const struct model_query *mq, struct buf *print)
{
    struct schema *schema = table_schema(t);
    struct query *q = query_new(schema);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf where = BUF_INIT, sort = BUF_INIT;
    char number[24];

    schema_unref(schema);
    query_where(mq, &l->rng, &where);
    int r = query_add_where(q, where.data, where.len, &err);
    CHECK(l, r == 0, "%s: %s", where.data, err.text);
    query_sort_list(mq, &sort);
    if (mq->n_sort)
        r = query_add_sort(q, sort.data, sort.len, &err);
    snprintf(number, sizeof(number), "%zu", mq->limit);
    if (r == 0 && mq->limit)
        r = query_add_limit(q, number, strlen(number), &err);
    snprintf(number, sizeof(number), "%zu", mq->skip);
    if (r == 0 && mq->skip)
        r = query_add_skip(q, number, strlen(number), &err);
    CHECK(l, r == 0, "%s", err.text);
    query_print(q, print);
    return q;
}

/* Which of the rows that match come first is promised where the table is in
 * memory: those that q does not tell apart are in the order of the listing. */
static void check_found(struct life *l, const struct model_query *mq,
                        const struct found *f, bool in_order)
{
    uint32_t wanted[MODEL_KEYS], all[MODEL_KEYS];
    size_t n = model_find(&l->m, mq, wanted);
    struct model_query any = *mq;

    CHECK(l, f->n == n, "%zu rows instead of %zu", f->n, n);
    for (size_t i = 0; i < n && in_order; i++)
        CHECK(l, f->keys[i] == wanted[i], "%u in place %zu instead of %u",
              f->keys[i], i, wanted[i]);
    any.limit = any.skip = 0;
    size_t n_all = model_find(&l->m, &any, all);
    for (size_t i = 0; i < n; i++) {
        bool matches = false;
        for (size_t k = 0; k < n_all; k++)
            matches |= all[k] == f->keys[i];
        CHECK(l, matches, "%u does not match", f->keys[i]);
        CHECK(l, query_ties(&l->m, mq, f->keys[i], wanted[i]),
              "%u in place %zu instead of %u", f->keys[i], i, wanted[i]);
        for (size_t k = 0; k < i; k++)
            CHECK(l, f->keys[k] != f->keys[i], "%u twice", f->keys[i]);
    }
}

static void find_in(struct life *l, struct table *t, const char *who,
                    bool in_order)
{
    struct model_query mq;
    struct found f = {.l = l};
    struct find_report report = {0};
    struct find_options o = {.report = &report};
    struct err err = ERR_INIT;
    AUTO_BUF struct buf print = BUF_INIT;
    uint64_t count;

    query_random(&mq, &l->m, &l->rng);
    struct query *q = query_of(l, t, &mq, &print);
    int r = table_find_wait(t, q, &o, take_row, &f, &err);
    say(l, "%s finds %s -> %d, %zu rows by %s, %zu requests", who, print.data,
        r, f.n, r == 0 ? find_way_names[report.how] : "",
        (size_t)report.requests);
    CHECK(l, r == 0, "%s", err.text);
    /* By a search any of those that match may come, where nothing sorts. */
    in_order &=
        report.how != FIND_SEARCH || mq.n_sort || (!mq.limit && !mq.skip);
    check_found(l, &mq, &f, in_order);
    r = table_count_wait(t, q, NULL, &count, &err);
    CHECK(l, r == 0, "%s", err.text);
    CHECK(l, count == f.n, "%zu counted", (size_t)count);
    query_unref(q);
}

static void get_in(struct life *l, struct table *t, const char *who)
{
    uint32_t i = draw(&l->rng, MODEL_KEYS);
    struct found f = {.l = l};
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE];

    model_key(i, key);
    int r = table_get_wait(t, key, strlen(key), NULL, take_row, &f, &err);
    say(l, "%s gets %s -> %d", who, key, r);
    CHECK(l, r == (l->m.rows[i].there ? 0 : -ENOENT), "%s", err.text);
    CHECK(l, r < 0 || (f.n == 1 && f.keys[0] == i), "%zu rows", f.n);
}

/* What a search finds is right or is not believed, whatever the planner would
 * have chosen. */
static void look_up(struct life *l, struct table *t)
{
    uint32_t i = draw(&l->rng, MODEL_KEYS);
    struct lookup *lk = lookup_new(t, NULL);
    struct find_facts facts = {0};
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE];
    size_t n;

    model_key(i, key);
    int r = lookup_look(lk, &facts, &err);
    if (r == 0)
        r = lookup_key(lk, key, strlen(key), &err);
    const struct found_row *list = lookup_found(lk, &n);
    say(l, "a search for %s -> %d, %s", key, r, r < 0 ? err.text : "found");
    CHECK(l, r == 0 || r == -ENODATA, "%s", err.text);
    CHECK(l, r < 0 || n == 1, "%zu rows", n);
    if (r == 0) {
        struct found f = {.l = l};
        take_row(&f, list->row, list->text->data, list->text->len, &err);
        CHECK(l, f.keys[0] == i, "%u was found", f.keys[0]);
    }
    lookup_free(lk);
}

void life_find(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);

    life_no_faults(l);
    life_take_order(l, p->table);
    for (uint32_t i = draw(&l->rng, 3); i < 3; i++)
        find_in(l, p->table, who ? "p1" : "p0", true);
}

/* One-shot commands, while the search is as it is. */
void life_find_cold(struct life *l)
{
    struct process cold;

    life_no_faults(l);
    process_start_cold(&cold, l->store);
    for (uint32_t i = 0; i < 4; i++)
        look_up(l, cold.table);
    for (uint32_t i = draw(&l->rng, 3); i < 3; i++)
        if (draw(&l->rng, 3))
            find_in(l, cold.table, "a command", !l->stormed);
        else
            get_in(l, cold.table, "a command");
    process_stop(&cold);
}

void life_search(struct life *l)
{
    struct memstore_search how = {
        .lag = draw(&l->rng, 3) == 0,
        .drop_every = draw(&l->rng, 3) ? 0 : 2 + draw(&l->rng, 4),
        .stale = draw(&l->rng, 4) == 0,
        .reorder = draw(&l->rng, 3) == 0,
        .not_ready = draw(&l->rng, 6) == 0,
        .deep = draw(&l->rng, 6) == 0,
    };

    say(l, "search:%s%s%s%s%s, drops 1 of %zu", how.lag ? " lag" : "",
        how.stale ? " stale" : "", how.reorder ? " reorder" : "",
        how.not_ready ? " not ready" : "", how.deep ? " deep" : "",
        how.drop_every);
    memstore_set_search(l->store, &how);
}

/* --- indexes ---------------------------------------------------------------
 */

void life_index(struct life *l)
{
    static const enum model_field fields[] = {
        FIELD_EMAIL, FIELD_EMAIL, FIELD_ROLE, FIELD_AGE,
        FIELD_DEEP,  FIELD_OK,    FIELD_TAGS,
    };
    enum model_field f = fields[draw(&l->rng, 7)];
    const char *name = model_field_names[f];
    bool unique = draw(&l->rng, 3) == 0;
    bool clash = unique && model_has_duplicates(&l->m, f);
    struct err err = ERR_INIT;
    int who, r, wanted;
    struct process *p = life_someone(l, &who);

    life_no_faults(l);
    if (!l->m.indexed[f]) {
        r = table_index_create(p->table, name, unique, &err);
        wanted = clash ? -EEXIST : 0;
        say(l, "p%d makes an index of %s%s -> %d", who, name,
            unique ? ", unique" : "", r);
    } else if (draw(&l->rng, 2)) {
        r = table_index_set_unique(p->table, name, unique, &err);
        wanted = clash ? -EEXIST : 0;
        say(l, "p%d makes %s %sunique -> %d", who, name, unique ? "" : "not ",
            r);
    } else if (draw(&l->rng, 3) == 0) {
        unique = l->m.unique[f];
        r = table_reindex(p->table, draw(&l->rng, 2) ? name : NULL, NULL, NULL,
                          &err);
        wanted = 0;
        say(l, "p%d makes %s anew -> %d", who, name, r);
    } else {
        r = table_index_drop(p->table, name, &err);
        say(l, "p%d drops the index of %s -> %d", who, name, r);
        CHECK(l, r == 0, "%s", err.text);
        l->m.indexed[f] = l->m.unique[f] = false;
        return;
    }
    CHECK(l, r == wanted, "%d (%s) instead of %d", r, err.text, wanted);
    if (r == 0) {
        l->m.indexed[f] = true;
        l->m.unique[f] = unique;
    }
}
