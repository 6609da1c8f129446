/* What a ledger's rules want of it: the values of indexed fields, also of rows
 * whose texts are attachments, and the indexes they make. */
#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"
#include "engine/text.h"

/* --- rules -----------------------------------------------------------------
 */

struct rules {
    size_t n;
    struct fold_rule *list; /* fields and ids are in these: */
    char **fields;
    uint64_t **unique;
};

void ledger_free_rules(struct ledger *l)
{
    struct rules *r = l->rules;

    l->rules = NULL;
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++) {
        free(r->fields[i]);
        free(r->unique[i]);
    }
    free(r->fields);
    free(r->unique);
    free(r->list);
    free(r);
}

static struct rules *rules_copy(const struct fold_rule *list, size_t n)
{
    struct rules *r = xcalloc(1, sizeof(*r));

    r->n = n;
    r->list = xcalloc(n, sizeof(*r->list));
    r->fields = xcalloc(n, sizeof(char *));
    r->unique = xcalloc(n, sizeof(uint64_t *));
    for (size_t i = 0; i < n; i++) {
        r->fields[i] = xstrdup(list[i].field);
        r->unique[i] = xcalloc(list[i].n_unique, sizeof(uint64_t));
        for (size_t k = 0; k < list[i].n_unique; k++)
            r->unique[i][k] = list[i].unique[k];
        r->list[i] =
            (struct fold_rule){r->fields[i], r->unique[i], list[i].n_unique};
    }
    return r;
}

static bool same_rules(const struct rules *r, const struct fold_rule *list,
                       size_t n)
{
    if ((r ? r->n : 0) != n)
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct fold_rule *a = &r->list[i], *b = &list[i];
        if (strcmp(a->field, b->field) != 0 || a->n_unique != b->n_unique)
            return false;
        for (size_t k = 0; k < a->n_unique; k++)
            if (a->unique[k] != b->unique[k])
                return false;
    }
    return true;
}

void ledger_give_rules_locked(struct ledger *l, struct fold *f)
{
    if (l->rules)
        fold_set_rules(f, l->rules->list, l->rules->n, NULL);
}

void ledger_set_rules(struct ledger *l, const struct fold_rule *rules, size_t n)
{
    struct changes changes = {0};
    struct fold_changes told = {0};

    ledger_lock(l);
    if (!same_rules(l->rules, rules, n)) {
        ledger_free_rules(l);
        l->rules = rules_copy(rules, n);
        if (l->next)
            ledger_give_rules_locked(l, l->next);
        if (l->fold && fold_set_rules(l->fold, rules, n, &told) == FOLD_LATE)
            l->reload_due = true;
        ledger_changed_locked(l, &told, 0, &changes);
        ledger_tell_locked(l, &changes);
        l->kicks++;
    }
    ledger_unlock(l);
    ledger_give_values(l);
    ledger_deliver(l);
}

/* --- values ----------------------------------------------------------------
 */

ssize_t ledger_needs_text_locked(const struct ledger *l,
                                 const struct records *rs)
{
    if (!l->fold || !fold_needs_values(l->fold))
        return -1;
    for (size_t i = 0; i < rs->n; i++) {
        const struct record *r = &rs->list[i];
        if (r->file && !r->text && !r->values && r->verb != RECORD_DELETE &&
            (fold_is_loading(l->fold) || !fold_knows(l->fold, r)))
            return (ssize_t)i;
    }
    return -1;
}

void ledger_take_text_locked(const struct ledger *l, struct records *rs,
                             size_t i, const char *text, size_t len)
{
    struct record *r = &rs->list[i];
    struct buf values = BUF_INIT;

    if (text && record_check_file(r, text, len, NULL) == 0)
        fold_values(l->fold, text, len, &values);
    else
        buf_addstr(&values, "{}"); /* the row lacks them, for now */
    r->values_len = values.len;
    r->values = records_keep(rs, buf_take_str(&values));
}

static void give_run(void *arg)
{
    struct ledger *l = arg;
    uint64_t after = 0;

    ledger_lock(l);
    while (l->state == LEDGER_OPEN && !atomic_load(&l->core->closing)) {
        struct err err = ERR_INIT;
        struct text *text = NULL;
        struct row *row;
        if (fold_lacking(l->fold, after, &row, 1) == 0)
            break;
        ledger_unlock(l);
        after = row->seq;
        /* Waits for the store, not for another job. */
        int r = ledger_load_text_wait(l, row, &text, &err);
        ledger_lock(l);
        if (r == 0 && l->state == LEDGER_OPEN)
            fold_give_values(l->fold, row, text->data, text->len - 1);
        row_unref(row);
        text_unref(text);
    }
    l->giving = false;
    ledger_unlock(l);
    core_count(l->core, &l->core->catching_up, -1);
    ledger_unref(l);
}

void ledger_give_values(struct ledger *l)
{
    ledger_lock(l);
    bool start = l->state == LEDGER_OPEN && !l->giving &&
                 !atomic_load(&l->core->closing) &&
                 fold_lacking_count(l->fold) > 0;
    if (start)
        l->giving = true;
    ledger_unlock(l);
    if (!start)
        return;
    core_count(l->core, &l->core->catching_up, 1);
    job_run(l->core->pool, give_run, ledger_ref(l));
}

bool ledger_lacks_values(struct ledger *l)
{
    ledger_lock(l);
    bool lacks = l->state == LEDGER_OPEN && fold_lacking_count(l->fold) > 0;
    ledger_unlock(l);
    return lacks;
}

/* --- indexes ----------------------------------------------------------------
 */

static const struct index *index_locked(const struct ledger *l,
                                        const char *field)
{
    if (l->state != LEDGER_OPEN || fold_lacking_count(l->fold) > 0)
        return NULL;
    return fold_index(l->fold, field);
}

ssize_t ledger_index_find(struct ledger *l, const char *field,
                          const char *value, size_t len, uint64_t after,
                          struct row **out, size_t n)
{
    ssize_t got = -ENOENT;

    ledger_lock(l);
    const struct index *ix = index_locked(l, field);
    if (ix)
        got = (ssize_t)index_find(ix, value, len, after, out, n);
    for (ssize_t i = 0; i < got; i++)
        row_ref(out[i]);
    ledger_unlock(l);
    return got;
}

ssize_t ledger_index_count(struct ledger *l, const char *field,
                           const char *value, size_t len, size_t *values)
{
    ssize_t got = -ENOENT;

    ledger_lock(l);
    const struct index *ix = index_locked(l, field);
    if (ix)
        got = (ssize_t)index_count(ix, value, len);
    if (ix && values)
        *values = index_values(ix);
    ledger_unlock(l);
    return got;
}

ssize_t ledger_index_list(struct ledger *l, const char *field, size_t *at,
                          struct row **out, size_t *counts, size_t n)
{
    ssize_t got = -ENOENT;

    ledger_lock(l);
    const struct index *ix = index_locked(l, field);
    if (ix)
        for (got = 0; (size_t)got < n; got++) {
            struct row *r = index_next(ix, at, &counts[got]);
            if (!r)
                break;
            out[got] = row_ref(r);
        }
    ledger_unlock(l);
    return got;
}
