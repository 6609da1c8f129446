/* The emulator's search index: which texts a query finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/emulator/search_index.h"

static int setup(void **state)
{
    *state = search_index_new();
    return 0;
}

static int teardown(void **state)
{
    search_index_free(*state);
    return 0;
}

static size_t count(struct search_index *ix, const char *query, unsigned slop)
{
    struct search_hit *hits;
    size_t n = search_index_find(ix, query, slop, &hits);

    free(hits);
    return n;
}

static void words_match_whole_and_without_case(void **state)
{
    struct search_index *ix = *state;

    search_index_put(ix, 1, 9, "The quick Brown-fox, jumps_over 42 ÄPFEL!");
    assert_int_equal(count(ix, "brown", 0), 1);
    assert_int_equal(count(ix, "BROWN", 0), 1);
    assert_int_equal(count(ix, "äpfel", 0), 1);
    assert_int_equal(count(ix, "42", 0), 1);
    assert_int_equal(count(ix, "jumps_over", 0), 1);
    assert_int_equal(count(ix, "jumps", 0), 0);
    assert_int_equal(count(ix, "bro", 0), 0);
}

static void order_and_slop_decide(void **state)
{
    struct search_index *ix = *state;

    search_index_put(ix, 1, 9, "a b c d e");
    assert_int_equal(count(ix, "a b", 0), 1);
    assert_int_equal(count(ix, "b a", 5), 0);
    assert_int_equal(count(ix, "a d", 1), 0);
    assert_int_equal(count(ix, "a d", 2), 1);
    assert_int_equal(count(ix, "a c e", 1), 0);
    assert_int_equal(count(ix, "a c e", 2), 1);
    search_index_put(ix, 2, 9, "a x x x a b");
    assert_int_equal(count(ix, "a b", 0), 2);
}

static void all_words_must_occur(void **state)
{
    struct search_index *ix = *state;

    search_index_put(ix, 1, 9, "one two");
    search_index_put(ix, 2, 9, "two three");
    assert_int_equal(count(ix, "one three", 100), 0);
    assert_int_equal(count(ix, "nothing", 0), 0);
    assert_int_equal(count(ix, "", 0), 2);
    assert_int_equal(count(ix, NULL, 0), 2);
    assert_int_equal(count(ix, "...", 0), 2);
}

static void hits_come_by_id_with_their_place(void **state)
{
    struct search_index *ix = *state;
    struct search_hit *hits;

    search_index_put(ix, 30, 3, "word");
    search_index_put(ix, 10, 1, "word");
    search_index_put(ix, 20, 2, "word and word");
    assert_int_equal(search_index_find(ix, "word", 0, &hits), 3);
    assert_int_equal(hits[0].id, 10);
    assert_int_equal(hits[1].id, 20);
    assert_int_equal(hits[1].channel_id, 2);
    assert_int_equal(hits[2].id, 30);
    assert_true(hits[1].score > hits[0].score);
    free(hits);
}

static void replacing_and_removing_leave_nothing(void **state)
{
    struct search_index *ix = *state;

    search_index_put(ix, 1, 9, "old old words");
    search_index_put(ix, 1, 9, "new words");
    assert_int_equal(search_index_count(ix), 1);
    assert_int_equal(count(ix, "old", 0), 0);
    assert_int_equal(count(ix, "words", 0), 1);
    search_index_remove(ix, 1);
    search_index_remove(ix, 1);
    assert_int_equal(count(ix, "words", 0), 0);
    assert_int_equal(search_index_count(ix), 0);
}

static void broken_text_is_just_text(void **state)
{
    struct search_index *ix = *state;

    search_index_put(ix, 1, 9, "good \xff\xfe bad");
    assert_int_equal(count(ix, "good bad", 0), 1);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(words_match_whole_and_without_case),
        CASE(order_and_slop_decide),
        CASE(all_words_must_occur),
        CASE(hits_come_by_id_with_their_place),
        CASE(replacing_and_removing_leave_nothing),
        CASE(broken_text_is_just_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
