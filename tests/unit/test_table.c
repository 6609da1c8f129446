/* A table from the outside: rows in, rows out, what they cost, what is there
 * when it is opened again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void assert_text(struct table *t, const char *key, const char *expected)
{
    char *text = text_of(t, key);

    if (expected)
        assert_non_null(text);
    if (expected)
        assert_string_equal(text, expected);
    else
        assert_null(text);
    free(text);
}

/* Each kind of write is one request, and reading none. */
static void a_write_is_one_request(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_reset_counts(s);
    assert_int_equal(put(p.table, "u_1", "{\"id\":\"u_1\",\"n\":1}"), 0);
    assert_int_equal(memstore_count_all(s), 1);
    assert_text(p.table, "u_1", "{\"id\":\"u_1\",\"n\":1}");
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);

    assert_int_equal(put(p.table, "u_1", "{\"id\":\"u_1\",\"n\":2}"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 2);
    assert_int_equal(version_of(p.table, "u_1"), 2);
    assert_int_equal(move_row(p.table, "u_1", "u_2"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 3);
    assert_text(p.table, "u_1", NULL);
    assert_text(p.table, "u_2", "{\"id\":\"u_2\",\"n\":2}");
    assert_int_equal(drop_row(p.table, "u_2"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 4);
    assert_text(p.table, "u_2", NULL);
    assert_int_equal(memstore_count(s, REMOTE_LIST), 0);
    process_stop(&p);
}

/* Reopened, the table is what it was. */
static void reopening_finds_everything(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "c", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    assert_int_equal(drop_row(p.table, "c"), 0);
    process_stop(&p);

    process_start(&p, s);
    assert_int_equal(row_count(p.table), 2);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    assert_text(p.table, "b", "{\"id\":\"b\",\"n\":2}");
    assert_int_equal(version_of(p.table, "b"), 2);
    assert_text(p.table, "c", NULL);
    process_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_write_is_one_request, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(reopening_finds_everything, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
