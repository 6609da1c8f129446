/* Finding in a table that nobody has opened, as a one-shot command does.
 *
 *     could a search prove the answer? --no--> open
 *            | yes
 *     newest page of the thread: how long would opening take?
 *            | longer than a search
 *     search, prove each hit --what cannot be proved--> open
 *
 * The page is needed for either way, so that looking costs nothing. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/find_impl.h"
#include "engine/lookup.h"
#include "engine/value.h"

/* Has every value of the term a word in the message of a row that has it? Only
 * top-level members have, and of those what is neither array nor object. */
static bool has_words(const struct query_term *t)
{
    if (memchr(t->field, '.', t->field_len) || t->n_values == 0)
        return false;
    for (size_t i = 0; i < t->n_values; i++)
        if (t->values[i].type == JSON_ARRAY || t->values[i].type == JSON_OBJECT)
            return false;
    return true;
}

static const struct query_term *term_of(const struct find *f, const char *field)
{
    for (size_t i = 0; i < query_term_count(f->query); i++) {
        const struct query_term *t = query_term_at(f->query, i);
        if (t->field == field && query_is_equality(t))
            return t;
    }
    return NULL;
}

static void look_at_terms(struct find *f, struct find_facts *facts)
{
    struct schema *s = table_schema(f->table);

    for (size_t i = 0; i < facts->n_terms; i++) {
        struct find_term *out = &facts->terms[i];
        if (!out->field)
            continue;
        out->worded = has_words(term_of(f, out->field));
        for (size_t k = 0; k < schema_index_count(s); k++) {
            bool unique;
            const char *field = schema_index_at(s, k, &unique);
            if (strcmp(field, out->field) == 0)
                out->unique = unique;
        }
    }
    schema_unref(s);
}

/* --- by search -------------------------------------------------------------
 */

static int search_keys(struct find *f, struct lookup *lk, struct err *err)
{
    const struct query_key *keys;
    size_t n = 0;
    int r = 0;

    if (!f->query)
        return lookup_key(lk, f->key, f->key_len, err);
    query_keys(f->query, &keys, &n);
    for (size_t i = 0; i < n && r == 0; i++)
        r = lookup_key(lk, keys[i].key, keys[i].len, err);
    return r;
}

static int search_values(struct find *f, struct lookup *lk,
                         const struct find_term *c, struct err *err)
{
    const struct query_term *t = term_of(f, c->field);
    size_t n, limit = (size_t)query_limit(f->query);
    int r = 0;

    for (size_t i = 0; i < t->n_values && r == 0; i++) {
        lookup_found(lk, &n);
        if (c->unique)
            r = lookup_unique(lk, t, &t->values[i], err);
        else if (n < limit)
            r = lookup_some(lk, t, &t->values[i], limit - n, f->query, err);
        /* What one value lacks the next may have. */
        if (r == -ENODATA && !c->unique && i + 1 < t->n_values)
            r = 0;
    }
    return r;
}

static int give_found(struct find *f, struct lookup *lk, struct err *err)
{
    bool sorts = f->query && query_sorts(f->query);
    struct query_top *top = sorts ? query_top_new(f->query) : NULL;
    size_t n;
    const struct found_row *list = lookup_found(lk, &n);
    int r = 0;

    for (size_t i = 0; i < n && r == 0; i++) {
        const struct found_row *x = &list[i];
        if (f->query && !query_matches(f->query, x->text->data, x->text->len))
            continue;
        f->report->matched++;
        if (top)
            query_top_add(top, x->text->data, x->text->len, x->row->seq,
                          (void *)(uintptr_t)x);
        else
            r = find_give(f, x->row, x->text->data, x->text->len, err);
    }
    if (top) {
        void **sorted = query_top_items(top, &n);
        for (size_t i = 0; i < n && r == 0; i++) {
            const struct found_row *x = sorted[i];
            r = find_give(f, x->row, x->text->data, x->text->len, err);
        }
        query_top_free(top);
    }
    return r < 0 ? r : 0;
}

static const struct find_term *chosen_term(const struct find_facts *facts,
                                           const struct find_candidate *c)
{
    for (size_t i = 0; i < facts->n_terms; i++)
        if (facts->terms[i].field == c->field)
            return &facts->terms[i];
    return NULL;
}

/* --- deciding --------------------------------------------------------------
 */

static void fall_back(struct find *f, const struct err *err)
{
    f->report->fell_back = true;
    /* The beginning says enough. */
    snprintf(f->report->fallback, sizeof(f->report->fallback), "%.159s",
             err->text);
}

static bool is_final(int r)
{
    return r == -EINTR || r == -EPERM || r == -ESHUTDOWN;
}

/* Looks at the thread, decides, and searches where that is the choice. 0: what
 * lk has found is the answer. -ENODATA: the table must be opened. */
static int try_search(struct find *f, struct lookup *lk,
                      struct find_facts *facts, struct err *err)
{
    const struct find_candidate *c;

    int r = lookup_look(lk, facts, err);
    if (r < 0)
        return is_final(r) ? r : -ENODATA;
    find_plan(facts, f->report);
    c = &f->report->list[f->report->choice];
    if (c->way != FIND_SEARCH)
        return -ENODATA;
    r = c->field ? search_values(f, lk, chosen_term(facts, c), err)
                 : search_keys(f, lk, err);
    if (r < 0 && !is_final(r)) {
        fall_back(f, err);
        return -ENODATA;
    }
    f->report->how = FIND_SEARCH;
    f->report->how_field = c->field;
    return r;
}

static bool could_search(const struct find_report *r)
{
    for (size_t i = 0; i < r->n; i++)
        if (r->list[i].way == FIND_SEARCH && r->list[i].possible)
            return true;
    return false;
}

int find_cold(struct find *f, bool *rest, struct err *err)
{
    struct find_facts facts = {0};
    struct err why = ERR_INIT;
    int r = -ENODATA;

    if (f->query) {
        find_terms(f, &facts);
        look_at_terms(f, &facts);
    } else {
        facts.terms[facts.n_terms++] =
            (struct find_term){.values = 1, .worded = true};
    }
    find_plan(&facts, f->report);
    *rest = false;
    if (facts.never)
        return 0;
    if (could_search(f->report)) {
        struct lookup *lk = lookup_new(f->table, f->cancel);
        r = try_search(f, lk, &facts, &why);
        f->report->examined = lookup_examined(lk);
        if (r == 0) {
            r = give_found(f, lk, err);
            lookup_free(lk);
            return r;
        }
        if (!f->table->engine->all)
            lookup_lend(lk);
        lookup_free(lk);
    }
    if (r != -ENODATA) {
        *err = why;
        return r;
    }
    f->report->examined = 0;
    *rest = true;
    r = find_open(f, err);
    ledger_lend_page(f->table->ledger, NULL);
    return r;
}
