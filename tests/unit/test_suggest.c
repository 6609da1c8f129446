/* The nearest name to a mistyped one. */
#include "fs/suggest.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

static const char *best_of(const char *wanted, const char *const *names)
{
    struct suggest s = {.wanted = wanted};

    for (; *names; names++)
        suggest_try(&s, *names);
    return s.best;
}

static const char *const names[] = {"insert", "inspect",      "tables",
                                    "get",    "table-create", NULL};

static void edits_are_counted(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("", ""), 0);
    assert_int_equal(suggest_distance("get", "get"), 0);
    assert_int_equal(suggest_distance("get", "gte"), 1);
    assert_int_equal(suggest_distance("insret", "insert"), 1);
    assert_int_equal(suggest_distance("kitten", "sitting"), 3);
    assert_int_equal(suggest_distance("abc", ""), 3);
}

static void a_slip_finds_its_name(void **state)
{
    (void)state;
    assert_string_equal(best_of("isnert", names), "insert");
    assert_string_equal(best_of("gett", names), "get");
    assert_string_equal(best_of("table-craete", names), "table-create");
}

static void a_beginning_finds_its_name(void **state)
{
    (void)state;
    assert_string_equal(best_of("insp", names), "inspect");
}

static void what_is_far_from_all_finds_none(void **state)
{
    (void)state;
    assert_null(best_of("frobnicate", names));
    assert_null(best_of("x", names));
}

static void a_word_of_any_length_is_taken(void **state)
{
    char word[4000];

    (void)state;
    for (size_t i = 0; i + 1 < sizeof(word); i++)
        word[i] = 'a';
    word[sizeof(word) - 1] = 0;
    assert_null(best_of(word, names));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(a_slip_finds_its_name),
        cmocka_unit_test(a_beginning_finds_its_name),
        cmocka_unit_test(what_is_far_from_all_finds_none),
        cmocka_unit_test(a_word_of_any_length_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
