#include "engine/export.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/snapshot.h"

#define PROGRESS_MS 200
#define AHEAD 8   /* texts on their way at the same time */
#define PAGE 4096 /* rows listed under one lock */

struct rows {
    struct row **list; /* references */
    size_t n;
};

static void rows_take(struct table *t, struct rows *rows)
{
    size_t cap = 0, got;
    uint64_t after = 0;

    *rows = (struct rows){0};
    do {
        if (cap - rows->n < PAGE) {
            cap = cap ? cap * 2 : PAGE;
            rows->list = xrealloc(rows->list, cap * sizeof(struct row *));
        }
        got = row_list(t, after, rows->list + rows->n, PAGE);
        rows->n += got;
        if (got)
            after = rows->list[rows->n - 1]->seq;
    } while (got == PAGE);
}

static void rows_release(struct rows *rows)
{
    for (size_t i = 0; i < rows->n; i++)
        row_unref(rows->list[i]);
    free(rows->list);
}

/* --- texts that must be fetched ---------------------------------------------
 */

struct ahead;

struct fetch {
    struct ahead *ahead;
    bool done; /* under the lock, as all below */
    int r;
    struct text *text;
    struct err err;
};

/* A ring: texts of the next rows that have none, in their order. */
struct ahead {
    struct table *table;
    const struct rows *rows;
    size_t next; /* the first row that was not looked at yet */
    size_t first, n;
    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t come;  /* with lock */
    struct fetch ring[AHEAD];
};

static void loaded(void *arg, int r, struct text *text, const struct err *err)
{
    struct fetch *f = arg;
    struct ahead *a = f->ahead;

    pthread_mutex_lock(&a->lock);
    f->r = r;
    f->text = text;
    if (r < 0)
        f->err = *err;
    f->done = true;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
}

/* Begins what there is room for. */
static void fill(struct ahead *a)
{
    for (; a->n < AHEAD && a->next < a->rows->n; a->next++) {
        struct row *row = a->rows->list[a->next];
        if (row->has_text)
            continue;
        struct fetch *f = &a->ring[(a->first + a->n++) % AHEAD];
        struct text *text = NULL;
        *f = (struct fetch){.ahead = a};
        if (row_load_text(a->table, row, &text, loaded, f) == 0)
            loaded(f, 0, text, NULL);
    }
}

/* The first of them; the caller's reference. */
static int take_first(struct ahead *a, struct text **out, struct err *err)
{
    struct fetch *f = &a->ring[a->first];

    pthread_mutex_lock(&a->lock);
    while (!f->done)
        pthread_cond_wait(&a->come, &a->lock);
    pthread_mutex_unlock(&a->lock);
    a->first = (a->first + 1) % AHEAD;
    a->n--;
    *out = f->text;
    if (f->r < 0)
        *err = f->err;
    return f->r;
}

/* --- all rows
 * ----------------------------------------------------------------- */

typedef int row_fn(void *arg, const char *text, size_t len, struct err *err);

struct run {
    const struct export_options *o;
    struct format_writer *writer;
    size_t done, total;
    int64_t told_ms;
};

static int each_row(struct table *t, const struct rows *rows, row_fn *fn,
                    void *arg, struct err *err)
{
    struct ahead a = {.table = t, .rows = rows};
    struct text *text;
    int r = 0;

    pthread_mutex_init(&a.lock, NULL);
    pthread_cond_init(&a.come, NULL);
    for (size_t i = 0; i < rows->n && r == 0; i++) {
        const struct row *row = rows->list[i];
        if (row->has_text) {
            r = fn(arg, row_text(row), row->text_len, err);
            continue;
        }
        fill(&a);
        r = take_first(&a, &text, err);
        if (r < 0)
            err_wrap(err, r, "row '%.120s'", row_key(row));
        else
            r = fn(arg, text->data, text->len, err);
        text_unref(text);
    }
    while (a.n > 0) {
        take_first(&a, &text, NULL);
        text_unref(text);
    }
    pthread_cond_destroy(&a.come);
    pthread_mutex_destroy(&a.lock);
    return r;
}

static int learn(void *arg, const char *text, size_t len, struct err *err)
{
    struct run *run = arg;

    (void)err;
    format_learn(run->writer, text, len);
    run->total++;
    return 0;
}

static int write_row(void *arg, const char *text, size_t len, struct err *err)
{
    struct run *run = arg;

    run->done++;
    if (run->o->progress && run->done % 64 == 0) {
        int64_t now = clock_mono_ms();
        if (now - run->told_ms >= PROGRESS_MS) {
            run->told_ms = now;
            run->o->progress(run->o->arg, run->done, run->total);
        }
    }
    return format_row(run->writer, text, len, err);
}

static bool goes_twice(enum format format)
{
    return format != FORMAT_JSON && format != FORMAT_NDJSON;
}

static int export_rows(struct table *t, struct run *run, struct err *err)
{
    struct rows rows;
    int r = 0;

    rows_take(t, &rows);
    if (goes_twice(run->o->format))
        r = each_row(t, &rows, learn, run, err);
    run->total = rows.n;
    if (r == 0)
        r = each_row(t, &rows, write_row, run, err);
    rows_release(&rows);
    return r;
}

static int learn_snapshot(void *arg, const struct snapshot_row *r,
                          struct err *err)
{
    return learn(arg, r->text, r->text_len, err);
}

static int write_snapshot(void *arg, const struct snapshot_row *r,
                          struct err *err)
{
    return write_row(arg, r->text, r->text_len, err);
}

static int export_snapshot(struct table *t, struct run *run, struct err *err)
{
    const char *name = run->o->snapshot;
    int r = 0;

    if (goes_twice(run->o->format))
        r = table_snapshot_read_wait(t, name, learn_snapshot, run, err);
    if (r == 0)
        r = table_snapshot_read_wait(t, name, write_snapshot, run, err);
    return r;
}

int table_export_wait(struct table *t, const struct export_options *o,
                      format_out *out, void *arg, size_t *rows, struct err *err)
{
    struct run run = {
        .o = o,
        .writer = format_writer_new(o->format, true, out, arg),
        .told_ms = clock_mono_ms(),
    };

    int r =
        o->snapshot ? export_snapshot(t, &run, err) : export_rows(t, &run, err);
    if (r == 0)
        r = format_end(run.writer, err);
    format_writer_free(run.writer);
    if (rows)
        *rows = run.done;
    return r;
}
