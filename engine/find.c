#include "engine/find.h"

#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/find_impl.h"

int find_open(struct find *f, struct err *err)
{
    struct promise *p = promise_open(f->table);

    int r = promise_wait(p, f->cancel, err);
    promise_drop(p);
    return r;
}

static int run(struct find *f, struct err *err)
{
    bool open = table_is_open(f->table), rest = true;
    int r = 0;

    if (!open && f->resident)
        r = find_open(f, err);
    else if (!open)
        r = find_cold(f, &rest, err);
    if (r < 0 || !rest)
        return r;
    return find_run(f, !open && !f->resident, err);
}

static void find_init(struct find *f, struct table *t,
                      const struct find_options *o, find_row *put, void *arg)
{
    *f = (struct find){.table = t, .put = put, .arg = arg, .left = 1};
    f->report = &f->unused;
    if (o) {
        f->cancel = o->cancel;
        f->resident = o->resident;
        f->no_texts = o->no_texts;
        if (o->report)
            f->report = o->report;
    }
    *f->report = (struct find_report){0};
}

/* Runs it, and notes what it took. */
static int measured(struct find *f, int (*fn)(struct find *f, struct err *err),
                    struct err *err)
{
    struct core *core = &f->table->engine->core;
    uint64_t sent = atomic_load(&core->sent);
    int64_t from = clock_mono_us();

    int r = fn(f, err);
    f->report->micros = (uint64_t)(clock_mono_us() - from);
    f->report->requests = atomic_load(&core->sent) - sent;
    return r;
}

int table_find_wait(struct table *t, const struct query *q,
                    const struct find_options *o, find_row *put, void *arg,
                    struct err *err)
{
    struct find f;

    find_init(&f, t, o, put, arg);
    f.query = q;
    f.skip = query_skip(q);
    f.left = query_limit(q);
    return measured(&f, run, err);
}

static int count_one(void *arg, struct row *row, const char *text, size_t len,
                     struct err *err)
{
    (void)row, (void)text, (void)len, (void)err;
    ++*(uint64_t *)arg;
    return 0;
}

/* How many there are says the table itself. */
static int count_all(struct find *f, struct err *err)
{
    int r = table_is_open(f->table) ? 0 : find_open(f, err);

    if (r == 0) {
        f->report->how = FIND_SCAN;
        f->report->matched = ledger_count(f->table->ledger);
    }
    return r;
}

int table_count_wait(struct table *t, const struct query *q,
                     const struct find_options *o, uint64_t *out,
                     struct err *err)
{
    struct find_options quiet = o ? *o : (struct find_options){0};
    uint64_t n = 0;

    if (query_term_count(q) == 0) {
        struct find f;
        find_init(&f, t, o, NULL, NULL);
        int r = measured(&f, count_all, err);
        if (r < 0)
            return r;
        n = f.report->matched;
        n = n > query_skip(q) ? n - query_skip(q) : 0;
        *out = n < query_limit(q) ? n : query_limit(q);
        return 0;
    }
    quiet.no_texts = true;
    int r = table_find_wait(t, q, &quiet, count_one, &n, err);
    if (r == 0)
        *out = n;
    return r;
}

static int get(struct find *f, struct err *err)
{
    bool rest = true;
    int r = 0;

    if (!table_is_open(f->table))
        r = f->resident ? find_open(f, err) : find_cold(f, &rest, err);
    if (r < 0 || !rest)
        return r;

    struct row *row = ledger_find(f->table->ledger, f->key, f->key_len);
    if (!row) {
        AUTO_STR char *name = table_name(f->table);
        return err_set(err, -ENOENT, "no row '%.*s' in table '%s'",
                       f->key_len > 120 ? 120 : (int)f->key_len, f->key, name);
    }
    f->report->how = FIND_KEY;
    f->report->examined = f->report->matched = 1;
    r = find_with_texts(f, &row, 1, !f->no_texts, find_give_one, f, err);
    return r < 0 ? r : 0;
}

int table_get_wait(struct table *t, const char *key, size_t key_len,
                   const struct find_options *o, find_row *put, void *arg,
                   struct err *err)
{
    struct find f;

    find_init(&f, t, o, put, arg);
    f.key = key;
    f.key_len = key_len;
    return measured(&f, get, err);
}
