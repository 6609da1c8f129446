/* Vacuum: rows are the same before and after, whatever happened to them and
 * wherever it was cut short; what is to be kept can be read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/history.h"
#include "engine/snapshot.h"
#include "engine/vacuum.h"
#include "engine/vacuum_mark.h"
#include "engine/verify.h"
#include "tests/lib/world.h"

static int setup(void **state)
{
    *state = memstore_new();
    return 0;
}

static int teardown(void **state)
{
    memstore_free(*state);
    return 0;
}

/* What goes, as lines. */
static int note(void *arg, const struct vacuumed *g, struct err *err)
{
    struct buf *b = arg;

    (void)err;
    buf_printf(b, "%s %llu %zu\n", g->kind, (unsigned long long)g->message,
               g->versions);
    return 0;
}

static int vacuum(struct table *t, uint32_t versions, bool dry_run,
                  struct buf *lines, struct vacuum_summary *sum)
{
    struct vacuum_options o = {.versions = versions, .dry_run = dry_run};
    struct err err = ERR_INIT;

    int r = table_vacuum_wait(t, &o, note, lines, sum, &err);
    if (r < 0)
        buf_printf(lines, "%s\n", err_text(&err, r));
    return r;
}

/* All rows with their versions, in the order of the listing. */
static void dump(struct table *t, struct buf *out)
{
    struct row *rows[64];
    uint64_t after = 0;
    size_t n;

    while ((n = row_list(t, after, rows, 64)) > 0) {
        for (size_t i = 0; i < n; i++) {
            char *text = text_of(t, row_key(rows[i]));
            buf_printf(out, "%s v%u %s\n", row_key(rows[i]), rows[i]->version,
                       text);
            free(text);
            after = rows[i]->seq;
            row_unref(rows[i]);
        }
    }
}

static int sorted_line(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The same rows, in whatever order. */
static void sort_lines(struct buf *b)
{
    char *lines[256], *save = NULL;
    size_t n = 0;
    struct buf out = BUF_INIT;

    for (char *at = b->len ? strtok_r(b->data, "\n", &save) : NULL; at;
         at = strtok_r(NULL, "\n", &save))
        lines[n++] = at;
    qsort(lines, n, sizeof(char *), sorted_line);
    for (size_t i = 0; i < n; i++)
        buf_printf(&out, "%s\n", lines[i]);
    buf_release(b);
    *b = out;
}

static void assert_rows(struct process *p, const struct buf *expected)
{
    AUTO_BUF struct buf now = BUF_INIT;

    dump(p->table, &now);
    sort_lines(&now);
    assert_string_equal(now.len ? now.data : "",
                        expected->len ? expected->data : "");
}

static int no_errors(void *arg, const struct finding *f, struct err *err)
{
    (void)arg;
    (void)err;
    if (f->severity != FINDING_NOTE)
        fail_msg("verify finds %s: %s", f->kind, f->text);
    return 0;
}

static void assert_sound(struct process *p)
{
    struct verify_options o = {0};
    struct verify_summary sum;
    struct err err = ERR_INIT;

    process_wait_settled(p);
    int r = verify_wait(p->ns, NULL, &o, no_errors, NULL, &sum, &err);
    if (r < 0)
        fail_msg("verify: %s", err_text(&err, r));
}

static void text_for(unsigned draw, char *out, size_t size)
{
    if (draw % 7 != 0) {
        snprintf(out, size, "{\"n\":%u}", draw);
        return;
    }
    memset(out, 'a' + (int)(draw % 26), 5000);
    memcpy(out, "{\"pad\":\"", 8);
    memcpy(out + 4998, "\"}", 3);
}

static unsigned draw(unsigned *seed)
{
    *seed = *seed * 1103515245u + 12345u;
    return *seed >> 16;
}

static void one_life(struct process *p, unsigned *seed, size_t steps)
{
    char key[16], other[16], text[5100];

    for (size_t i = 0; i < steps; i++) {
        unsigned d = draw(seed);
        snprintf(key, sizeof(key), "k%u", draw(seed) % 9);
        snprintf(other, sizeof(other), "k%u", draw(seed) % 9);
        text_for(draw(seed), text, sizeof(text));
        if (d % 10 < 6) {
            assert_int_equal(put(p->table, key, text), 0);
        } else if (d % 10 < 7) {
            struct writes w;
            writes_init(&w);
            for (int k = 0; k < 6; k++) {
                snprintf(key, sizeof(key), "k%d", k);
                writes_put(&w, p->table, key, "{\"batch\":true}");
            }
            writes_wait(&w);
        } else if (d % 10 < 9) {
            (void)drop_row(p->table, key);
        } else {
            (void)move_row(p->table, key, other);
        }
    }
}

/* The versions that are to be kept can be read, and those before are known to
 * have been removed. */
static void assert_histories(struct process *p, uint32_t versions)
{
    struct row *rows[64];
    size_t n = row_list(p->table, 0, rows, 64);

    for (size_t i = 0; i < n; i++) {
        struct history h = {0};
        struct err err = ERR_INIT;
        int r = table_history_wait(p->table, row_key(rows[i]), rows[i]->key_len,
                                   &h, &err);
        if (r < 0)
            fail_msg("history of %s: %s", row_key(rows[i]), err_text(&err, r));
        size_t kept = 0;
        for (size_t k = h.n; k > 0; k--, kept++) {
            assert_int_equal(h.list[k - 1].number,
                             rows[i]->version - (h.n - k));
            if (h.list[k - 1].r < 0)
                fail_msg("version %u of %s (now %u): %s", h.list[k - 1].number,
                         row_key(rows[i]), rows[i]->version, h.list[k - 1].why);
        }
        assert_true(kept >= versions || kept == rows[i]->version);
        assert_int_equal(h.removed + kept, rows[i]->version);
        history_release(&h);
        row_unref(rows[i]);
    }
}

static void rows_stay_as_they_are(void **state)
{
    struct memstore *s = *state;
    struct process p;

    for (unsigned round = 1; round <= 4; round++) {
        unsigned seed = round * 7919;
        AUTO_BUF struct buf rows = BUF_INIT;
        AUTO_BUF struct buf dry = BUF_INIT;
        AUTO_BUF struct buf done = BUF_INIT;
        AUTO_BUF struct buf again = BUF_INIT;
        struct vacuum_summary foretold, sum;

        process_start(&p, s);
        one_life(&p, &seed, 60);
        process_wait_settled(&p);
        dump(p.table, &rows);
        sort_lines(&rows);

        assert_int_equal(vacuum(p.table, 2, true, &dry, &foretold), 0);
        assert_int_equal(vacuum(p.table, 2, false, &done, &sum), 0);
        assert_string_equal(done.len ? done.data : "", dry.len ? dry.data : "");
        assert_int_equal(sum.messages, foretold.messages);
        assert_int_equal(sum.bytes, foretold.bytes);
        assert_true(sum.versions > 0);
        assert_rows(&p, &rows);
        assert_histories(&p, 2);
        assert_sound(&p);
        process_stop(&p);

        /* Somebody who was not there. */
        process_start(&p, s);
        assert_rows(&p, &rows);
        assert_histories(&p, 2);
        assert_sound(&p);
        /* Nothing is left to do but for the snapshots of this one. */
        assert_int_equal(vacuum(p.table, 2, false, &again, &sum), 0);
        assert_int_equal(sum.versions, 0);
        assert_rows(&p, &rows);
        process_stop(&p);
    }
}

static void it_goes_on_where_it_was_cut_short(void **state)
{
    struct memstore *s = *state;
    struct process p;
    unsigned seed = 42;
    AUTO_BUF struct buf rows = BUF_INIT;
    struct vacuum_summary sum;

    process_start(&p, s);
    one_life(&p, &seed, 80);
    process_wait_settled(&p);
    dump(p.table, &rows);
    sort_lines(&rows);
    process_stop(&p);
    /* What is old goes one by one, and each time the next fails. */
    for (int left = 0; left < 3; left++) {
        AUTO_BUF struct buf lines = BUF_INIT;
        process_start(&p, s);
        memstore_fail(s, left == 1 ? REMOTE_POST : REMOTE_DELETE_MANY, 1, -EIO,
                      left == 2);
        (void)vacuum(p.table, 1, false, &lines, &sum);
        assert_rows(&p, &rows);
        process_kill(&p);
        memstore_fail(s, REMOTE_DELETE_MANY, 0, 0, false);
        memstore_fail(s, REMOTE_POST, 0, 0, false);
        process_start(&p, s);
        assert_rows(&p, &rows);
        assert_sound(&p);
        process_stop(&p);
    }
    AUTO_BUF struct buf lines = BUF_INIT;
    process_start(&p, s);
    assert_int_equal(vacuum(p.table, 1, false, &lines, &sum), 0);
    assert_rows(&p, &rows);
    assert_histories(&p, 1);
    process_stop(&p);
}

static int count_row(void *arg, const struct snapshot_row *r, struct err *err)
{
    size_t *n = arg;

    (void)err;
    assert_true(r->text_len > 2);
    ++*n;
    return 0;
}

static void what_a_label_needs_stays(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct vacuum_summary sum;
    struct err err = ERR_INIT;
    char big[5100];
    size_t n = 0;

    process_start(&p, s);
    text_for(7, big, sizeof(big));
    assert_int_equal(put(p.table, "big", big), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    int r = table_snapshot_wait(p.table, "before", NULL, NULL, &err);
    if (r < 0)
        fail_msg("%s", err_text(&err, r));
    assert_int_equal(put(p.table, "big", "{\"small\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    assert_int_equal(drop_row(p.table, "big"), 0);
    process_wait_settled(&p);
    for (int i = 0; i < 3; i++) {
        AUTO_BUF struct buf lines = BUF_INIT;
        assert_int_equal(vacuum(p.table, 1, false, &lines, &sum), 0);
    }
    r = table_snapshot_read_wait(p.table, "before", count_row, &n, &err);
    if (r < 0)
        fail_msg("%s", err_text(&err, r));
    assert_int_equal(n, 2);
    assert_sound(&p);
    process_stop(&p);
}

static void damage_comes_first(void **state)
{
    struct memstore *s = *state;
    struct process p;
    AUTO_BUF struct buf lines = BUF_INIT;
    struct vacuum_summary sum;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    memstore_post_as(s, table_history_id(p.table), memstore_self(s),
                     "-# dbcord merge \"x\"");
    size_t before = memstore_messages(s, table_history_id(p.table));
    assert_int_equal(vacuum(p.table, 1, false, &lines, &sum), -EBUSY);
    assert_non_null(strstr(lines.data, "verify"));
    assert_int_equal(memstore_messages(s, table_history_id(p.table)), before);
    process_stop(&p);
}

static void a_process_that_is_open_takes_it_for_no_damage(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    AUTO_BUF struct buf lines = BUF_INIT;
    AUTO_BUF struct buf status = BUF_INIT;
    struct vacuum_summary sum;

    process_start(&a, s);
    for (int i = 0; i < 5; i++)
        assert_int_equal(put(a.table, "a", i % 2 ? "{\"n\":1}" : "{\"n\":2}"),
                         0);
    process_wait_settled(&a);
    process_start(&b, s);
    assert_int_equal(vacuum(a.table, 1, false, &lines, &sum), 0);
    assert_true(sum.versions >= 3);
    memstore_quiet(s);
    table_status(b.table, &status);
    assert_non_null(strstr(status.data, "\"damaged\":0"));
    assert_int_equal(put(b.table, "a", "{\"n\":9}"), 0);
    process_stop(&b);
    process_stop(&a);
}

static void marks_are_read_as_they_are_written(void **state)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct remote_message m = {0};
    uint64_t upto, from;

    (void)state;
    vacuum_mark_add(&b, 1441, 1450, 1795391494123, "ada@host");
    assert_string_equal(b.data, "-# dbcord vacuum upto 1441 from 1450 at "
                                "2026-11-22T23:51:34.123Z by \"ada@host\"");
    m.content = b.data;
    m.content_len = b.len;
    assert_true(vacuum_mark_parse(&m, &upto, &from));
    assert_int_equal(upto, 1441);
    assert_int_equal(from, 1450);
    m.content_len = strlen("-# dbcord vacuum upto 1441 from ");
    assert_false(vacuum_mark_parse(&m, &upto, &from));
    m.content_len = 10;
    assert_false(vacuum_mark_parse(&m, &upto, &from));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks_are_read_as_they_are_written),
        CASE(rows_stay_as_they_are),
        CASE(it_goes_on_where_it_was_cut_short),
        CASE(what_a_label_needs_stays),
        CASE(damage_comes_first),
        CASE(a_process_that_is_open_takes_it_for_no_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
