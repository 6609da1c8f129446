/* Twice through the file. First everything is checked and nothing written; what
 * is kept of a row is its key, its unique values and two bits. Then the rows
 * are handed to group commit a slice at a time, each so large that it just fits
 * one batch, the next when the one before is in. */
#include "engine/import.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/map.h"
#include "engine/engine_impl.h"
#include "engine/value.h"

#define PROGRESS_MS 200

/* Of what one batch holds, in bytes and rows: what is estimated too low should
 * still fit. */
#define SLICE_BYTES(max) ((max) / 4 * 3)
#define SLICE_ROWS 40000
/* What a row takes there beside its text, about. */
#define ROW_OVERHEAD 220

void import_result_release(struct import_result *r)
{
    buf_release(&r->report);
}

/* --- what the file had already ----------------------------------------------
 */

/* A key or a value, and in which line. */
struct seen {
    size_t line, len;
    char text[];
};

struct span {
    const char *text;
    size_t len;
};

static uint64_t seen_hash(const void *item)
{
    const struct seen *s = item;
    return hash_bytes(s->text, s->len);
}

static bool seen_has(const void *item, const void *key)
{
    const struct seen *s = item;
    const struct span *k = key;
    return s->len == k->len && memcmp(s->text, k->text, k->len) == 0;
}

static const struct map_type seen_type = {seen_hash, seen_has};

/* Memory for many small things that end together. */
struct pool {
    struct block *last;
    size_t used, size;
};

struct block {
    struct block *before;
    max_align_t data[];
};

#define BLOCK ((size_t)1 << 18)

static void *pool_take(struct pool *p, size_t n)
{
    n = (n + sizeof(max_align_t) - 1) / sizeof(max_align_t) *
        sizeof(max_align_t);
    if (!p->last || p->size - p->used < n) {
        p->size = n > BLOCK ? n : BLOCK;
        struct block *b = xmalloc(sizeof(*b) + p->size);
        b->before = p->last;
        p->last = b;
        p->used = 0;
    }
    p->used += n;
    return (char *)p->last->data + p->used - n;
}

static void pool_release(struct pool *p)
{
    while (p->last) {
        struct block *before = p->last->before;
        free(p->last);
        p->last = before;
    }
}

/* --- a run -------------------------------------------------------------------
 */

/* A field whose values must differ. */
struct unique {
    const char *field;
    struct map values;
};

enum { ROW_SKIP = 1, ROW_THERE = 2 };

struct run {
    struct table *table;
    const struct import_options *o;
    struct import_result *result;
    struct schema *schema;
    const char *data;
    size_t len;
    enum import_format format;
    uint64_t max_file;
    int64_t told_ms;

    /* the check */
    struct map keys;
    struct unique *uniques;
    size_t n_uniques;
    struct pool pool;
    unsigned char *bits; /* of each row: ROW_SKIP, ROW_THERE */
    size_t cap;
    struct buf text, key, value;
    struct err first;
    int first_r;

    /* the writing */
    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t none;  /* with lock: nothing waits */
    /* under lock, all below */
    size_t waiting;
    size_t inserted, replaced;
    int failed; /* the first failure, and why */
    struct err why;
};

/* A row on its way. */
struct sent {
    struct run *run;
    bool there;
};

static void run_init(struct run *run, struct table *t, const char *data,
                     size_t len, const struct import_options *o,
                     struct import_result *out)
{
    pthread_condattr_t attr;

    *run = (struct run){
        .table = t,
        .o = o,
        .result = out,
        .schema = table_schema(t),
        .data = data,
        .len = len,
        .format =
            o->format ? o->format : import_format_guess(o->name, data, len),
        .max_file = database_max_file(namespace_database(table_namespace(t))),
        .keys = MAP_INIT(&seen_type),
        .told_ms = clock_mono_ms(),
    };
    pthread_mutex_init(&run->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&run->none, &attr);
    pthread_condattr_destroy(&attr);

    size_t n = schema_index_count(run->schema);
    run->uniques = xcalloc(n, sizeof(*run->uniques));
    for (size_t i = 0; i < n; i++) {
        bool unique;
        const char *field = schema_index_at(run->schema, i, &unique);
        if (unique)
            run->uniques[run->n_uniques++] =
                (struct unique){field, MAP_INIT(&seen_type)};
    }
}

/* What only the check needs: the writing has the memory. */
static void end_check(struct run *run)
{
    map_release(&run->keys);
    for (size_t i = 0; i < run->n_uniques; i++)
        map_release(&run->uniques[i].values);
    free(run->uniques);
    run->uniques = NULL;
    run->n_uniques = 0;
    pool_release(&run->pool);
    buf_release(&run->text);
    buf_release(&run->key);
    buf_release(&run->value);
}

static void run_release(struct run *run)
{
    end_check(run);
    free(run->bits);
    schema_unref(run->schema);
    pthread_cond_destroy(&run->none);
    pthread_mutex_destroy(&run->lock);
}

static bool is_stopped(const struct run *run)
{
    return run->o->stopped && run->o->stopped(run->o->arg);
}

/* Now and then. */
static void tell_progress(struct run *run, size_t done, size_t total,
                          bool writing)
{
    int64_t now = clock_mono_ms();

    if (!run->o->progress || now - run->told_ms < PROGRESS_MS)
        return;
    run->told_ms = now;
    run->o->progress(run->o->arg, done, total, writing);
}

/* --- the check ---------------------------------------------------------------
 */

static int shown(size_t len)
{
    return len > 80 ? 80 : (int)len;
}

static void add_error(struct run *run, struct place at, int r,
                      const struct err *why)
{
    struct import_result *out = run->result;
    struct err e = *why;

    err_wrap(&e, r, "line %zu, column %zu", at.line, at.column);
    if (out->errors++ == 0) {
        run->first = e;
        run->first_r = r == -EBADMSG ? -EINVAL : r;
    }
    if (out->errors <= IMPORT_ERRORS)
        buf_printf(&out->report, "%s\n", err_text(&e, r));
}

/* The line it stands in already, or 0: then it is noted. */
static size_t note(struct run *run, struct map *m, const struct buf *what,
                   size_t line)
{
    struct span key = {what->data ? what->data : "", what->len};
    const struct seen *known = map_get(m, hash_bytes(key.text, key.len), &key);

    if (known)
        return known->line;
    struct seen *s = pool_take(&run->pool, sizeof(*s) + what->len);
    s->line = line;
    s->len = what->len;
    memcpy(s->text, key.text, key.len);
    map_put(m, &key, s);
    return 0;
}

static void set_bits(struct run *run, size_t row, unsigned char bits)
{
    if (row >= run->cap) {
        size_t cap = run->cap ? run->cap * 2 : 4096;
        run->bits = xrealloc(run->bits, cap);
        memset(run->bits + run->cap, 0, cap - run->cap);
        run->cap = cap;
    }
    run->bits[row] = bits;
}

/* Against the rows that are there: what will become of this one. -EEXIST. */
static int check_key(struct run *run, unsigned char *bits, struct err *err)
{
    struct row *row = row_find(run->table, run->key.data, run->key.len);
    int r = 0;

    *bits = 0;
    if (!row)
        return 0;
    *bits = ROW_THERE;
    if (ledger_has_text(run->table->ledger, row, run->text.data, run->text.len))
        *bits |= ROW_SKIP;
    else if (!run->o->upsert)
        r = err_set(err, -EEXIST,
                    "there is a row '%.*s' with another text (version %u); "
                    "only with upsert is it replaced",
                    shown(run->key.len), run->key.data, row->version);
    row_unref(row);
    return r;
}

/* Where the value of a field stands in the file. */
static struct place field_place(const struct import_reader *reader,
                                const struct import_row *row, const char *field)
{
    struct json_member m;
    size_t offset = SIZE_MAX;

    if (value_at(row->text, row->len, field, &m))
        offset = (size_t)(m.value - row->text);
    return import_reader_place(reader, row, offset);
}

/* A row that has run->value in this field and is not written anew by a line
 * before: a reference, or NULL. */
static struct row *holder(struct run *run, const char *field)
{
    struct row *rows[2];
    struct row *found = NULL;

    ssize_t n = ledger_index_find(run->table->ledger, field, run->value.data,
                                  run->value.len, 0, rows, 2);
    for (ssize_t i = 0; i < n; i++) {
        struct span key = {row_key(rows[i]), rows[i]->key_len};
        if (!found && !map_get(&run->keys, hash_bytes(key.text, key.len), &key))
            found = rows[i];
        else
            row_unref(rows[i]);
    }
    return found;
}

static void check_uniques(struct run *run, const struct import_reader *reader,
                          const struct import_row *row)
{
    for (size_t i = 0; i < run->n_uniques; i++) {
        struct unique *u = &run->uniques[i];
        struct err why = ERR_INIT;

        buf_reset(&run->value);
        if (!value_find(run->text.data, run->text.len, u->field, &run->value) ||
            buf_equals(&run->value, "raw:null", 8))
            continue;
        size_t line = note(run, &u->values, &run->value, row->at.line);
        struct row *there = line ? NULL : holder(run, u->field);
        if (line)
            err_set(&why, -EEXIST,
                    "field '%s' must be unique, and the row in line %zu has "
                    "this value already",
                    u->field, line);
        else if (there)
            err_set(&why, -EEXIST,
                    "field '%s' must be unique, and the row '%.*s' of the "
                    "table has this value",
                    u->field, shown(there->key_len), row_key(there));
        else
            continue;
        row_unref(there);
        add_error(run, field_place(reader, row, u->field), -EEXIST, &why);
    }
}

static void check_row(struct run *run, const struct import_reader *reader,
                      const struct import_row *row, size_t number)
{
    struct err why = ERR_INIT;
    unsigned char bits = 0;
    size_t at;

    buf_reset(&run->text);
    buf_reset(&run->key);
    int r = schema_check_at(run->schema, row->text, row->len, &run->text,
                            &run->key, &at, &why);
    if (r < 0) {
        add_error(run, import_reader_place(reader, row, at), r, &why);
        return;
    }
    size_t line = note(run, &run->keys, &run->key, row->at.line);
    if (line)
        r = err_set(&why, -EEXIST, "the row in line %zu has the key '%.*s' too",
                    line, shown(run->key.len), run->key.data);
    else if (run->text.len > run->max_file)
        r = err_set(&why, -EFBIG,
                    "the row has %zu bytes, and one may have %" PRIu64,
                    run->text.len, run->max_file);
    else
        r = check_key(run, &bits, &why);
    if (r < 0)
        add_error(run, field_place(reader, row, schema_pk(run->schema)), r,
                  &why);
    if (!line)
        check_uniques(run, reader, row);
    set_bits(run, number, bits);
}

static int check(struct run *run, struct err *err)
{
    struct import_reader *reader =
        import_reader_new(run->format, run->data, run->len, run->schema);
    struct import_result *out = run->result;
    struct import_row row;
    struct place at;
    int r = 0, got;

    for (;;) {
        struct err why = ERR_INIT;

        got = import_reader_next(reader, &row, &at, &why);
        if (got == 0)
            break;
        if (got < 0) {
            add_error(run, at, got, &why);
            continue;
        }
        check_row(run, reader, &row, out->rows++);
        if (out->rows % 256 == 0) {
            tell_progress(run, out->rows, 0, false);
            if (is_stopped(run)) {
                r = err_set(err, -EINTR, "stopped; nothing was written");
                break;
            }
        }
    }
    import_reader_free(reader);
    if (r < 0 || out->errors == 0)
        return r;
    if (out->errors == 1)
        return err_set(err, run->first_r, "%s; nothing was written",
                       run->first.text);
    return err_set(err, run->first_r,
                   "%s; %zu more of %zu rows are wrong; nothing was written",
                   run->first.text, out->errors - 1, out->rows);
}

/* --- writing
 * ------------------------------------------------------------------ */

static void written(void *arg, int r, struct row *row, const struct err *err)
{
    struct sent *sent = arg;
    struct run *run = sent->run;

    row_unref(row);
    pthread_mutex_lock(&run->lock);
    run->waiting--;
    if (r < 0 && !run->failed) {
        run->failed = r;
        run->why = *err;
    }
    run->replaced += r == 0 && sent->there;
    run->inserted += r == 0 && !sent->there;
    free(sent);
    /* Last: then the run may be over. */
    if (run->waiting == 0)
        pthread_cond_signal(&run->none);
    pthread_mutex_unlock(&run->lock);
}

/* Until all that was sent is answered. Tells how far it has come meanwhile. */
static int wait_for_slice(struct run *run, struct err *err)
{
    size_t skipped = run->result->skipped, total = run->result->rows;

    table_write_flush(run->table);
    pthread_mutex_lock(&run->lock);
    while (run->waiting > 0) {
        int64_t until = clock_mono_ms() + PROGRESS_MS;
        struct timespec ts = {
            .tv_sec = (time_t)(until / 1000),
            .tv_nsec = (long)(until % 1000) * 1000000,
        };
        pthread_cond_timedwait(&run->none, &run->lock, &ts);
        size_t done = run->inserted + run->replaced + skipped;
        pthread_mutex_unlock(&run->lock);
        tell_progress(run, done, total, true);
        pthread_mutex_lock(&run->lock);
    }
    int r = run->failed;
    if (r < 0)
        *err = run->why;
    pthread_mutex_unlock(&run->lock);
    return r;
}

static int send_row(struct run *run, const struct import_row *row, bool there,
                    struct err *err)
{
    struct sent *sent = xmalloc(sizeof(*sent));
    struct write w = {
        .kind = WRITE_PUT,
        .text = row->text,
        .text_len = row->len,
        .must_be_new = !run->o->upsert,
        .by = run->o->by,
        .more = true,
    };

    *sent = (struct sent){run, there};
    pthread_mutex_lock(&run->lock);
    run->waiting++;
    pthread_mutex_unlock(&run->lock);
    int r = table_write(run->table, &w, written, sent, NULL, err);
    if (r == 0)
        return 0;
    pthread_mutex_lock(&run->lock);
    run->waiting--;
    pthread_mutex_unlock(&run->lock);
    free(sent);
    return r;
}

static int write_rows(struct run *run, struct err *err)
{
    struct import_reader *reader =
        import_reader_new(run->format, run->data, run->len, run->schema);
    size_t most = SLICE_BYTES((size_t)run->max_file), bytes = 0, rows = 0;
    struct import_row row;
    struct place at;
    int r = 0;

    for (size_t i = 0;
         r == 0 && import_reader_next(reader, &row, &at, NULL) > 0; i++) {
        if (run->bits[i] & ROW_SKIP) {
            run->result->skipped++;
            continue;
        }
        bytes += row.len + ROW_OVERHEAD;
        if (rows == SLICE_ROWS || (rows > 0 && bytes > most)) {
            r = wait_for_slice(run, err);
            rows = 0;
            bytes = row.len + ROW_OVERHEAD;
        }
        if (r == 0 && rows == 0 && is_stopped(run))
            r = err_set(err, -EINTR, "stopped");
        if (r == 0)
            r = send_row(run, &row, run->bits[i] & ROW_THERE, err);
        rows++;
    }
    import_reader_free(reader);
    struct err late = ERR_INIT;
    int last = wait_for_slice(run, &late);
    if (r == 0 && last < 0) {
        r = last;
        *err = late;
    }
    return r;
}

/* How far it came, for who reads why it ended. */
static int end_early(const struct run *run, int r, struct err *err)
{
    const struct import_result *out = run->result;
    size_t in = out->inserted + out->replaced + out->skipped;
    struct err why = *err;

    return err_set(err, r,
                   "%s; %zu of %zu rows are in: run it again to go on, rows "
                   "that are in are passed over",
                   err_text(&why, r), in, out->rows);
}

int table_import_wait(struct table *t, const char *data, size_t len,
                      const struct import_options *o, struct import_result *out,
                      struct err *err)
{
    struct run run;

    *out = (struct import_result){0};
    if (t->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only");
    run_init(&run, t, data, len, o, out);
    int r = check(&run, err);
    end_check(&run);
    if (r == 0) {
        r = write_rows(&run, err);
        out->inserted = run.inserted;
        out->replaced = run.replaced;
        if (r < 0)
            r = end_early(&run, r, err);
    }
    run_release(&run);
    return r;
}
