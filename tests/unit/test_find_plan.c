/* Which way is chosen, by what is known. */
#include "engine/find_plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "engine/json.h"

static struct find_report report;

static const struct find_candidate *plan(const struct find_facts *f)
{
    report = (struct find_report){0};
    find_plan(f, &report);
    assert_in_range(report.n, 1, FIND_CANDIDATES_MAX);
    assert_in_range(report.choice, 0, report.n - 1);
    assert_true(report.list[report.choice].possible);
    return &report.list[report.choice];
}

static const struct find_candidate *candidate(enum find_way way,
                                              const char *field)
{
    for (size_t i = 0; i < report.n; i++) {
        const struct find_candidate *c = &report.list[i];
        bool same = field && c->field ? strcmp(field, c->field) == 0
                                      : field == c->field;
        if (c->way == way && same)
            return c;
    }
    fail_msg("there is no such candidate");
    return NULL;
}

static struct find_facts open_table(uint64_t rows)
{
    return (struct find_facts){.open = true, .rows = rows, .limit = UINT64_MAX};
}

static struct find_facts closed_table(enum find_seen seen)
{
    return (struct find_facts){.seen = seen, .limit = UINT64_MAX};
}

static void add_term(struct find_facts *f, struct find_term t)
{
    f->terms[f->n_terms++] = t;
}

/* --- an open table -------------------------------------------------------- */

static void without_a_usable_term_all_rows_are_looked_at(void **state)
{
    struct find_facts f = open_table(1000);

    (void)state;
    const struct find_candidate *c = plan(&f);
    assert_int_equal(c->way, FIND_SCAN);
    assert_int_equal(c->rows, 1000);
    assert_int_equal(c->requests, 0);
    assert_int_equal(report.n, 1);
}

static void a_key_comes_before_an_index(void **state)
{
    struct find_facts f = open_table(1000);

    (void)state;
    add_term(&f, (struct find_term){
                     .field = "role", .values = 1, .indexed = true, .rows = 7});
    add_term(&f, (struct find_term){.values = 1});
    assert_int_equal(plan(&f)->way, FIND_KEY);
    assert_int_equal(candidate(FIND_INDEX, "role")->rows, 7);
    assert_int_equal(candidate(FIND_SCAN, NULL)->rows, 1000);
}

static void of_two_indexes_the_one_with_fewer_rows_is_taken(void **state)
{
    struct find_facts f = open_table(1000);

    (void)state;
    add_term(&f,
             (struct find_term){
                 .field = "role", .values = 1, .indexed = true, .rows = 500});
    add_term(&f, (struct find_term){
                     .field = "city", .values = 3, .indexed = true, .rows = 9});
    assert_string_equal(plan(&f)->field, "city");
}

static void a_field_without_index_says_why_it_does_not_help(void **state)
{
    struct find_facts f = open_table(10);

    (void)state;
    add_term(&f, (struct find_term){.field = "role", .values = 1});
    assert_int_equal(plan(&f)->way, FIND_SCAN);
    assert_false(candidate(FIND_INDEX, "role")->possible);
    assert_non_null(strstr(candidate(FIND_INDEX, "role")->why, "index"));
}

static void a_value_that_no_row_has_costs_nothing(void **state)
{
    struct find_facts f = open_table(10);

    (void)state;
    add_term(&f,
             (struct find_term){.field = "role", .values = 1, .indexed = true});
    assert_int_equal(plan(&f)->way, FIND_INDEX);
    assert_int_equal(plan(&f)->rows, 0);
}

static void what_cannot_be_true_is_not_looked_for(void **state)
{
    struct find_facts f = open_table(10);

    (void)state;
    f.never = true;
    assert_int_equal(plan(&f)->way, FIND_NONE);
}

/* --- one that is not ------------------------------------------------------ */

static struct find_facts key_of_closed(enum find_seen seen)
{
    struct find_facts f = closed_table(seen);

    add_term(&f, (struct find_term){.values = 1, .worded = true});
    return f;
}

static void a_small_snapshot_is_loaded(void **state)
{
    struct find_facts f = key_of_closed(FIND_SEEN_SNAPSHOT);

    (void)state;
    f.rows = 1000;
    f.packed = 50000;
    f.parts = 1;
    assert_int_equal(plan(&f)->way, FIND_OPEN);
    assert_int_equal(plan(&f)->requests, 2);
}

static void a_key_in_a_huge_table_is_searched_for(void **state)
{
    struct find_facts f = key_of_closed(FIND_SEEN_SNAPSHOT);

    (void)state;
    f.rows = 1000000;
    f.packed = 80000000;
    f.parts = 9;
    assert_int_equal(plan(&f)->way, FIND_SEARCH);
    assert_int_equal(plan(&f)->requests, 3);
}

static void a_short_thread_without_snapshot_tells_of_a_short_table(void **state)
{
    struct find_facts f = key_of_closed(FIND_SEEN_ALL);

    (void)state;
    assert_int_equal(plan(&f)->way, FIND_OPEN);
    f.long_channel = true;
    assert_int_equal(plan(&f)->way, FIND_SEARCH);
}

static void far_from_the_last_snapshot_a_search_is_shorter(void **state)
{
    struct find_facts f = key_of_closed(FIND_SEEN_LATE);

    (void)state;
    assert_int_equal(plan(&f)->way, FIND_SEARCH);
}

static void a_search_cannot_tell_that_these_are_all(void **state)
{
    struct find_facts f = closed_table(FIND_SEEN_LATE);

    (void)state;
    add_term(&f,
             (struct find_term){.field = "role", .values = 1, .worded = true});
    assert_int_equal(plan(&f)->way, FIND_OPEN);
    assert_false(candidate(FIND_SEARCH, "role")->possible);

    f.terms[0].unique = true;
    assert_int_equal(plan(&f)->way, FIND_SEARCH);
    f.terms[0].unique = false;
    f.limit = 1;
    assert_int_equal(plan(&f)->way, FIND_SEARCH);
    f.limit = 1000;
    assert_int_equal(plan(&f)->way, FIND_OPEN);
}

static void what_has_no_word_is_not_searched_for(void **state)
{
    struct find_facts f = closed_table(FIND_SEEN_LATE);

    (void)state;
    add_term(&f,
             (struct find_term){.field = "a.b", .values = 1, .unique = true});
    assert_int_equal(plan(&f)->way, FIND_OPEN);
    assert_non_null(strstr(candidate(FIND_SEARCH, "a.b")->why, "word"));
}

static void many_values_are_not_searched_for_one_by_one(void **state)
{
    struct find_facts f = closed_table(FIND_SEEN_LATE);

    (void)state;
    add_term(&f, (struct find_term){.values = 100, .worded = true});
    assert_int_equal(plan(&f)->way, FIND_OPEN);
}

/* --- explaining ----------------------------------------------------------- */

static void assert_member(const struct buf *b, const char *name,
                          const char *value)
{
    struct json_member m;

    assert_true(json_find(b->data, b->len, name, &m));
    assert_int_equal(m.value_len, strlen(value));
    assert_memory_equal(m.value, value, m.value_len);
}

static void the_report_is_an_object_that_tells_it_all(void **state)
{
    struct find_facts f = open_table(1000);
    struct query *q = query_new(NULL);
    AUTO_BUF struct buf b = BUF_INIT;
    static const char where[] = "{\"role\":\"a\"}";
    struct json_member m, c;
    size_t at = 0;

    (void)state;
    assert_int_equal(query_add_where(q, where, strlen(where), NULL), 0);
    add_term(&f, (struct find_term){.field = "role", .values = 1});
    plan(&f);
    report.how = FIND_SCAN;
    report.examined = 1000;
    report.matched = 3;
    report.returned = 2;
    report.micros = 12045;
    find_report_print(&report, q, &b);

    assert_int_equal(json_check(b.data, b.len, NULL), 0);
    assert_member(&b, "choice", "\"scan\"");
    assert_member(&b, "examined", "1000");
    assert_member(&b, "returned", "2");
    assert_member(&b, "ms", "12.045");
    assert_true(json_find(b.data, b.len, "candidates", &m));
    assert_true(json_element(m.value, m.value_len, &at, &c));
    assert_true(json_find(c.value, c.value_len, "why_not", &c));
    assert_true(json_element(m.value, m.value_len, &at, &c));
    assert_false(json_element(m.value, m.value_len, &at, &c));
    query_unref(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_usable_term_all_rows_are_looked_at),
        cmocka_unit_test(a_key_comes_before_an_index),
        cmocka_unit_test(of_two_indexes_the_one_with_fewer_rows_is_taken),
        cmocka_unit_test(a_field_without_index_says_why_it_does_not_help),
        cmocka_unit_test(a_value_that_no_row_has_costs_nothing),
        cmocka_unit_test(what_cannot_be_true_is_not_looked_for),
        cmocka_unit_test(a_small_snapshot_is_loaded),
        cmocka_unit_test(a_key_in_a_huge_table_is_searched_for),
        cmocka_unit_test(
            a_short_thread_without_snapshot_tells_of_a_short_table),
        cmocka_unit_test(far_from_the_last_snapshot_a_search_is_shorter),
        cmocka_unit_test(a_search_cannot_tell_that_these_are_all),
        cmocka_unit_test(what_has_no_word_is_not_searched_for),
        cmocka_unit_test(many_values_are_not_searched_for_one_by_one),
        cmocka_unit_test(the_report_is_an_object_that_tells_it_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
