/* Finding among the rows of an open table. Rows come in chunks, in the order
 * of their creation, from one of three sources; the table's lock is held for
 * the references of one chunk at a time. What is in the middle of a chunk when
 * a row changes is as it was.
 *
 *     source --rows--> texts --> terms --> (sort) --> skip, limit --> caller
 *
 * Texts that are attachments are asked for a few rows ahead. An index that is
 * dropped under way is no harm: what is left is found by looking at each row
 * behind the last one it gave. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/find_impl.h"

#define CHUNK 256
#define AHEAD 8 /* texts on their way at the same time */

/* --- sources ---------------------------------------------------------------
 */

/* The rows that have one value of an indexed field. */
struct cursor {
    const struct query_value *value;
    struct row *rows[16]; /* references */
    size_t n, at;
    uint64_t after;
    bool over;
};

struct source {
    struct find *f;
    struct ledger *l;
    enum find_way way;
    const struct query_term *term; /* INDEX */
    struct cursor *cursors;
    size_t n_cursors;
    struct row **rows; /* KEY: references, by seq */
    size_t n_rows, at;
    uint64_t after; /* the last seq that was given */
    bool whole;     /* what it gives matches, and nothing else does */
};

static int by_seq(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void source_keys(struct source *s)
{
    const struct query_key *keys;
    size_t n = 0;

    query_keys(s->f->query, &keys, &n);
    s->rows = xcalloc(n, sizeof(struct row *));
    for (size_t i = 0; i < n; i++) {
        struct row *row = ledger_find(s->l, keys[i].key, keys[i].len);
        if (row)
            s->rows[s->n_rows++] = row;
    }
    if (s->n_rows > 1)
        qsort(s->rows, s->n_rows, sizeof(struct row *), by_seq);
}

static void source_init(struct source *s, struct find *f, enum find_way way,
                        const char *field)
{
    size_t n = query_term_count(f->query);

    *s = (struct source){.f = f, .l = f->table->ledger, .way = way};
    s->whole = n == 0 || (n == 1 && way != FIND_SCAN);
    if (way == FIND_KEY)
        source_keys(s);
    if (way != FIND_INDEX)
        return;
    for (size_t i = 0; i < query_term_count(f->query); i++) {
        const struct query_term *t = query_term_at(f->query, i);
        if (query_is_equality(t) && t->field && strcmp(t->field, field) == 0) {
            s->term = t;
            break;
        }
    }
    s->n_cursors = s->term->n_values;
    s->cursors = xcalloc(s->n_cursors, sizeof(*s->cursors));
    for (size_t i = 0; i < s->n_cursors; i++)
        s->cursors[i].value = &s->term->values[i];
}

static void source_release(struct source *s)
{
    for (size_t i = 0; i < s->n_cursors; i++) {
        struct cursor *c = &s->cursors[i];
        while (c->at < c->n)
            row_unref(c->rows[c->at++]);
    }
    while (s->at < s->n_rows)
        row_unref(s->rows[s->at++]);
    free(s->cursors);
    free(s->rows);
}

/* False: the index is not there any more. */
static bool cursor_fill(struct source *s, struct cursor *c)
{
    if (c->at < c->n || c->over)
        return true;
    ssize_t n = ledger_index_find(s->l, s->term->field, c->value->canonical,
                                  c->value->canonical_len, c->after, c->rows,
                                  sizeof(c->rows) / sizeof(c->rows[0]));
    if (n < 0)
        return false;
    c->n = (size_t)n;
    c->at = 0;
    c->over = n == 0;
    if (n > 0)
        c->after = c->rows[n - 1]->seq;
    return true;
}

/* The next row of all the values together. *lost: the index is. */
static struct row *cursors_next(struct source *s, bool *lost)
{
    struct cursor *first = NULL;

    for (size_t i = 0; i < s->n_cursors; i++) {
        struct cursor *c = &s->cursors[i];
        if (!cursor_fill(s, c)) {
            *lost = true;
            return NULL;
        }
        if (!c->over &&
            (!first || c->rows[c->at]->seq < first->rows[first->at]->seq))
            first = c;
    }
    return first ? first->rows[first->at++] : NULL;
}

/* The index is gone: all rows behind the last one, each looked at whole. */
static void source_degrade(struct source *s)
{
    s->way = FIND_SCAN;
    s->whole = query_term_count(s->f->query) == 0;
    s->f->report->how = FIND_SCAN;
    s->f->report->how_field = NULL;
}

static size_t index_next_rows(struct source *s, struct row **out, size_t n)
{
    bool lost = false;
    struct row *row;

    /* One value: in whole chunks. */
    if (s->n_cursors == 1) {
        const struct query_value *v = s->cursors[0].value;
        ssize_t got = ledger_index_find(s->l, s->term->field, v->canonical,
                                        v->canonical_len, s->after, out, n);
        if (got >= 0)
            return (size_t)got;
        source_degrade(s);
        return ledger_list(s->l, s->after, out, n);
    }
    size_t got = 0;
    uint64_t last = s->after;
    while (got < n && (row = cursors_next(s, &lost))) {
        if (row->seq <= last) { /* a value that is named twice */
            row_unref(row);
            continue;
        }
        last = row->seq;
        out[got++] = row;
    }
    if (lost && got == 0) {
        source_degrade(s);
        return ledger_list(s->l, s->after, out, n);
    }
    return got;
}

static size_t source_next(struct source *s, struct row **out, size_t n)
{
    size_t got = 0;

    switch (s->way) {
    case FIND_KEY:
        while (got < n && s->at < s->n_rows) {
            struct row *row = s->rows[s->at++];
            if (row->seq <= s->after) {
                row_unref(row);
                continue;
            }
            s->after = row->seq;
            out[got++] = row;
        }
        return got;
    case FIND_INDEX:
        got = index_next_rows(s, out, n);
        break;
    default:
        got = ledger_list(s->l, s->after, out, n);
        break;
    }
    if (got > 0)
        s->after = out[got - 1]->seq;
    return got;
}

/* --- texts -----------------------------------------------------------------
 */

int find_with_texts(struct find *f, struct row **rows, size_t n, bool fetch,
                    find_with_text *fn, void *arg, struct err *err)
{
    struct promise *asked[AHEAD] = {0}; /* a ring, of the rows behind at */
    size_t ahead = 0, under_way = 0, first = 0;
    int r = 0;

    for (size_t at = 0; at < n && r == 0; at++) {
        const char *text = row_text(rows[at]);
        struct text *fetched = NULL;

        for (ahead = ahead < at ? at : ahead;
             fetch && ahead < n && under_way < AHEAD; ahead++) {
            if (row_text(rows[ahead]))
                continue;
            asked[(first + under_way++) % AHEAD] =
                promise_text(f->table->ledger, rows[ahead]);
        }
        if (!text && fetch) {
            struct promise *p = asked[first];
            asked[first] = NULL;
            first = (first + 1) % AHEAD;
            under_way--;
            r = promise_wait(p, f->cancel, err);
            if (r == 0)
                fetched = promise_take_text(p);
            else
                r = err_wrap(err, r, "row '%.120s'", row_key(rows[at]));
            promise_drop(p);
        }
        if (r == 0)
            r = fn(arg, rows[at], fetched ? fetched->data : text,
                   fetched ? fetched->len : rows[at]->text_len, err);
        text_unref(fetched);
    }
    for (size_t i = 0; i < AHEAD; i++)
        promise_drop(asked[i]);
    for (size_t i = 0; i < n; i++)
        row_unref(rows[i]);
    return r;
}

/* --- running ---------------------------------------------------------------
 */

int find_give(struct find *f, struct row *row, const char *text, size_t len,
              struct err *err)
{
    if (f->skip > 0) {
        f->skip--;
        return 0;
    }
    if (f->left == 0)
        return 1;
    f->left--;
    f->report->returned++;
    int r = f->put(f->arg, row, text, len, err);
    return r == 0 && f->left == 0 ? 1 : r;
}

struct run {
    struct find *f;
    bool look; /* terms must be asked of the text */
    struct query_top *top;
};

static int take(void *arg, struct row *row, const char *text, size_t len,
                struct err *err)
{
    struct run *run = arg;
    struct find *f = run->f;

    f->report->examined++;
    if (run->look && !query_matches(f->query, text, len))
        return 0;
    f->report->matched++;
    if (!run->top)
        return find_give(f, row, text, len, err);
    row_unref(query_top_add(run->top, text, len, row->seq, row_ref(row)));
    return 0;
}

int find_give_one(void *arg, struct row *row, const char *text, size_t len,
                  struct err *err)
{
    return find_give(arg, row, text, len, err);
}

/* Takes the items of the top. */
static int give_sorted(struct find *f, struct query_top *top, bool well,
                       struct err *err)
{
    size_t n, skip = f->skip;
    struct row **rows = (struct row **)query_top_items(top, &n);

    if (!well || skip > n)
        skip = n;
    for (size_t i = 0; i < skip; i++)
        row_unref(rows[i]);
    f->skip -= well ? skip : 0;
    return find_with_texts(f, rows + skip, n - skip, !f->no_texts,
                           find_give_one, f, err);
}

static int run_source(struct find *f, struct source *s, struct run *run,
                      struct err *err)
{
    struct row *rows[CHUNK];
    size_t n, want = CHUNK;
    int r = 0;

    /* Who wants a few rows need not take hold of many. */
    if (!run->top && !run->look && f->left < CHUNK && f->skip == 0)
        want = f->left + 1;
    while (r == 0 && (n = source_next(s, rows, want)) > 0) {
        if (find_is_cancelled(f)) {
            for (size_t i = 0; i < n; i++)
                row_unref(rows[i]);
            return find_cancelled(err);
        }
        run->look = !s->whole;
        bool fetch = run->look || run->top || !f->no_texts;
        r = find_with_texts(f, rows, n, fetch, take, run, err);
    }
    return r;
}

void find_terms(struct find *f, struct find_facts *facts)
{
    bool keyed = false;

    facts->never = query_never(f->query);
    facts->limit = query_sorts(f->query) || query_skip(f->query) > 0
                       ? UINT64_MAX
                       : query_limit(f->query);
    for (size_t i = 0; i < query_term_count(f->query); i++) {
        const struct query_term *t = query_term_at(f->query, i);
        if (!query_is_equality(t) || facts->n_terms == FIND_TERMS_MAX)
            continue;
        struct find_term *out = &facts->terms[facts->n_terms];
        *out = (struct find_term){.field = t->field, .values = t->n_values};
        if (t->is_key) {
            const struct query_key *keys;
            size_t n = 0;
            if (keyed || !query_keys(f->query, &keys, &n))
                continue;
            keyed = true;
            *out = (struct find_term){.values = n, .worded = true};
        } else if (!t->field) {
            continue;
        }
        facts->n_terms++;
    }
}

static void look_at_indexes(struct find *f, struct find_facts *facts)
{
    struct ledger *l = f->table->ledger;

    for (size_t i = 0; i < facts->n_terms; i++) {
        struct find_term *out = &facts->terms[i];
        const struct query_term *t = NULL;

        for (size_t k = 0; out->field && !t; k++) {
            t = query_term_at(f->query, k);
            if (t->field != out->field)
                t = NULL;
        }
        out->indexed = t != NULL;
        for (size_t k = 0; t && k < t->n_values; k++) {
            ssize_t n = ledger_index_count(l, t->field, t->values[k].canonical,
                                           t->values[k].canonical_len, NULL);
            if (n < 0)
                out->indexed = false;
            else
                out->rows += (uint64_t)n;
        }
    }
}

int find_run(struct find *f, bool planned, struct err *err)
{
    struct find_facts facts = {.open = true};
    struct find_report plan = {0}, *report = f->report;
    struct source s;

    facts.rows = ledger_count(f->table->ledger);
    find_terms(f, &facts);
    look_at_indexes(f, &facts);
    find_plan(&facts, planned ? &plan : report);
    const struct find_candidate *c =
        planned ? &plan.list[plan.choice] : &report->list[report->choice];
    report->how = c->way;
    report->how_field = c->field;
    if (c->way == FIND_NONE || f->left == 0)
        return 0;

    struct run run = {.f = f};
    source_init(&s, f, c->way, c->field);
    run.look = !s.whole;
    if (query_sorts(f->query))
        run.top = query_top_new(f->query);
    int r = run_source(f, &s, &run, err);
    source_release(&s);
    if (run.top) {
        int given = give_sorted(f, run.top, r >= 0, err);
        r = r < 0 ? r : given;
        query_top_free(run.top);
    }
    if (r >= 0 && !ledger_is_open(f->table->ledger)) {
        AUTO_STR char *name = table_name(f->table);
        r = err_set(err, -ENOENT, "table '%s' is gone", name);
    }
    return r < 0 ? r : 0;
}
