/* Unique fields at work: what is refused when it is built, who loses when two
 * processes are at it at once, and what a row that was too late to judge does
 * to the rest. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/clock.h"
#include "engine/engine_impl.h"
#include "engine/ledger_impl.h"
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

static const uint64_t since_ever[] = {1};
static const struct fold_rule unique_email = {"email", since_ever, 1};

/* A process whose table knows that email is unique. */
static void start(struct process *p, struct memstore *s)
{
    process_start(p, s);
    ledger_set_rules(p->table->ledger, &unique_email, 1);
}

static void assert_text(struct table *t, const char *key, const char *expected)
{
    char *text = text_of(t, key);

    if (expected) {
        assert_non_null(text);
        assert_string_equal(text, expected);
    } else {
        assert_null(text);
    }
    free(text);
}

static struct write write_of(enum write_kind kind, const char *key,
                             const char *text)
{
    return (struct write){
        .kind = kind,
        .key = key,
        .key_len = strlen(key),
        .text = text,
        .text_len = text ? strlen(text) : 0,
    };
}

static ssize_t count_of(struct table *t, const char *form)
{
    return ledger_index_count(t->ledger, "email", form, strlen(form), NULL);
}

static void a_taken_value_is_refused_by_name(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct write w = write_of(WRITE_PUT, "b", "{\"email\":\"a@\\u0078\"}");

    start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"email\":\"a@x\"}"), 0);
    memstore_reset_counts(s);
    assert_int_equal(table_write_wait(p.table, &w, NULL, &err), -EEXIST);
    assert_string_equal(
        err.text,
        "email is unique, and 'a' has the value \"a@\\u0078\" already");
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);

    /* Nobody has null, or nothing; and a row may keep what it has. */
    assert_int_equal(put(p.table, "c", "{\"email\":null}"), 0);
    assert_int_equal(put(p.table, "d", "{\"email\":null}"), 0);
    assert_int_equal(put(p.table, "e", "{}"), 0);
    assert_int_equal(put(p.table, "a", "{\"email\":\"a@x\",\"n\":1}"), 0);
    assert_int_equal(put(p.table, "c", "{\"email\":\"a@x\"}"), -EEXIST);
    /* Moved, it goes along; changed or deleted, it is free. */
    assert_int_equal(move_row(p.table, "a", "z"), 0);
    assert_int_equal(put(p.table, "c", "{\"email\":\"a@x\"}"), -EEXIST);
    assert_int_equal(put(p.table, "z", "{\"email\":\"z@x\"}"), 0);
    assert_int_equal(put(p.table, "c", "{\"email\":\"a@x\"}"), 0);
    assert_int_equal(drop_row(p.table, "c"), 0);
    assert_int_equal(put(p.table, "d", "{\"email\":\"a@x\"}"), 0);
    assert_int_equal(count_of(p.table, "str:a@x"), 1);
    process_stop(&p);
}

/* What leaves together is held against each other, in its order. */
static void a_group_knows_its_own_values(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    struct write drop = write_of(WRITE_DELETE, "a", NULL);
    struct write move = {.kind = WRITE_RENAME,
                         .key = "b",
                         .key_len = 1,
                         .to = "y",
                         .to_len = 1,
                         .text = "{\"email\":\"3\"}",
                         .text_len = 13};

    start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"email\":\"1\"}"), 0);
    writes_init(&w);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_POST, true);
    writes_do(&w, p.table, &drop, NULL);
    writes_put(&w, p.table, "b", "{\"email\":\"1\"}"); /* free since drop */
    writes_put(&w, p.table, "c", "{\"email\":\"2\"}");
    writes_do(&w, p.table, &move, NULL);
    writes_put(&w, p.table, "d", "{\"email\":\"1\"}"); /* free since move */
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_in_range(memstore_count(s, REMOTE_POST), 1, 2);

    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    writes_put(&w, p.table, "e", "{\"email\":\"5\"}");
    writes_put(&w, p.table, "f", "{\"email\":\"5\"}"); /* e's */
    writes_put(&w, p.table, "e", "{\"email\":\"6\"}");
    writes_put(&w, p.table, "g", "{\"email\":\"5\"}"); /* free again */
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 1);
    assert_int_equal(w.last_error, -EEXIST);
    assert_non_null(strstr(w.last_text, "'e'"));
    assert_text(p.table, "f", NULL);
    assert_text(p.table, "y", "{\"id\":\"y\",\"email\":\"3\"}");
    process_stop(&p);

    start(&p, s);
    assert_text(p.table, "g", "{\"id\":\"g\",\"email\":\"5\"}");
    assert_text(p.table, "d", "{\"id\":\"d\",\"email\":\"1\"}");
    assert_text(p.table, "f", NULL);
    process_stop(&p);
}

/* Neither knows of the other's: the first in Discord has it, for both and for
 * all who come later; the other is told. */
static void of_two_processes_one_has_it(void **state)
{
    struct memstore *s = *state;
    struct process a, b, c;
    struct err err = ERR_INIT;
    struct write w = write_of(WRITE_PUT, "b", "{\"email\":\"x\"}");

    start(&a, s);
    start(&b, s);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "a", "{\"email\":\"x\"}"), 0);
    /* b thinks that it has it. */
    assert_int_equal(table_write_wait(b.table, &w, NULL, &err), 0);
    assert_text(b.table, "b", "{\"id\":\"b\",\"email\":\"x\"}");
    memstore_hold_events(b.remote, false);
    process_wait_voided(&b, 1);
    assert_text(b.table, "b", NULL);
    assert_text(b.table, "a", "{\"id\":\"a\",\"email\":\"x\"}");
    assert_int_equal(count_of(b.table, "str:x"), 1);

    start(&c, s);
    assert_text(c.table, "b", NULL);
    assert_text(c.table, "a", "{\"id\":\"a\",\"email\":\"x\"}");
    process_stop(&c);
    process_stop(&b);
    process_stop(&a);
}

/* Of a move and a change of the same row one happens, whole. */
static void a_move_happens_whole_or_not_at_all(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct err err = ERR_INIT;
    struct write move = {
        .kind = WRITE_RENAME, .key = "k", .key_len = 1, .to = "m", .to_len = 1};

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "k", "{\"n\":1}"), 0);
    process_wait_changes(&b, 1);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "k", "{\"n\":2}"), 0);
    assert_int_equal(table_write_wait(b.table, &move, NULL, &err), 0);
    assert_text(b.table, "m", "{\"id\":\"m\",\"n\":1}");
    memstore_hold_events(b.remote, false);
    process_wait_voided(&b, 2);
    assert_text(b.table, "m", NULL);
    assert_text(b.table, "k", "{\"id\":\"k\",\"n\":2}");
    process_wait_settled(&b);
    process_stop(&b);
    assert_text(a.table, "m", NULL);
    assert_text(a.table, "k", "{\"id\":\"k\",\"n\":2}");
    process_stop(&a);
}

/* The value of a row that is a file is known without having its text. */
static void large_rows_have_values_too(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    char text[6000];

    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"email\":\"big\",\"s\":\"", 20);
    memcpy(text + sizeof(text) - 3, "\"}", 3);
    start(&a, s);
    start(&b, s);
    assert_int_equal(put(a.table, "a", text), 0);
    assert_int_equal(count_of(a.table, "str:big"), 1);
    assert_int_equal(put(a.table, "c", "{\"email\":\"big\"}"), -EEXIST);
    /* By the event, the text fetched for it; and by rules that come later. */
    process_wait_changes(&b, 1);
    assert_int_equal(count_of(b.table, "str:big"), 1);
    process_stop(&b);
    process_start(&b, s);
    ledger_set_rules(b.table->ledger, &unique_email, 1);
    process_wait_idle(&b);
    assert_int_equal(count_of(b.table, "str:big"), 1);
    assert_int_equal(put(b.table, "c", "{\"email\":\"big\"}"), -EEXIST);
    process_stop(&b);
    process_stop(&a);
}

/* More has come than can be taken back: all is read again, and what is
 * different then is told. */
static void what_comes_too_late_is_read_anew(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    char key[8], text[32];

    start(&a, s);
    start(&b, s);
    fold_keep(b.table->ledger->fold, 4, 1 << 20, FOLD_KEEP_AGE);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "a", "{\"email\":\"x\"}"), 0);
    assert_int_equal(put(b.table, "b", "{\"email\":\"x\"}"), 0);
    for (int i = 0; i < 20; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"email\":\"%d\"}", i);
        assert_int_equal(put(b.table, key, text), 0);
    }
    memstore_hold_events(b.remote, false);
    process_wait_voided(&b, 1);
    assert_text(b.table, "b", NULL);
    assert_text(b.table, "a", "{\"id\":\"a\",\"email\":\"x\"}");
    assert_text(b.table, "k19", "{\"id\":\"k19\",\"email\":\"19\"}");
    assert_int_equal(put(b.table, "b", "{\"email\":\"y\"}"), 0);
    process_stop(&b);
    process_stop(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(a_taken_value_is_refused_by_name),
        TEST(a_group_knows_its_own_values),
        TEST(of_two_processes_one_has_it),
        TEST(a_move_happens_whole_or_not_at_all),
        TEST(large_rows_have_values_too),
        TEST(what_comes_too_late_is_read_anew),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
