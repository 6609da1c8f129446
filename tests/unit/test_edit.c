/* When what is written through an open file counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "fs/edit.h"

static const char old[] = "{\"a\":\"old and longer\"}\n";

static struct edit e;
static struct err err;
static int error;

static int setup(void **state)
{
    (void)state;
    e = (struct edit){0};
    err = ERR_INIT;
    error = 0;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    edit_release(&e);
    return 0;
}

static void start_empty(void)
{
    edit_start(&e, NULL, 0, false, 1000);
}

static void start_over(bool append)
{
    edit_start(&e, old, strlen(old), append, 1000);
}

static enum edit_verdict put(uint64_t at, const char *text)
{
    return edit_write(&e, at, text, strlen(text), &error, &err);
}

static enum edit_verdict cut(uint64_t size)
{
    return edit_truncate(&e, size, &error, &err);
}

static enum edit_verdict flush(void)
{
    return edit_flush(&e, &error, &err);
}

static void a_whole_object_counts_at_once(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(flush(), EDIT_WAIT); /* the shell's, before it writes */
    assert_int_equal(put(0, "{\"a\":1}\n"), EDIT_COMMIT);
    edit_committed(&e);
    assert_int_equal(flush(), EDIT_WAIT);
}

static void pieces_count_with_the_last(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(0, "{\"a\""), EDIT_WAIT);
    assert_int_equal(put(4, ":[1,"), EDIT_WAIT);
    assert_int_equal(put(8, "2]}"), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"a\":[1,2]}");
    edit_committed(&e);
    assert_int_equal(put(11, "\n"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_WAIT);
}

static void beyond_repair_fails_its_own_write(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(0, "{\"a\":1,\n"), EDIT_WAIT);
    assert_int_equal(put(8, "  b"), EDIT_REFUSE);
    assert_int_equal(error, -EINVAL);
    assert_non_null(strstr(err.text, "line 2, column 3"));
    edit_reset(&e);
    assert_int_equal(flush(), EDIT_WAIT);
    assert_int_equal(put(0, "{}"), EDIT_COMMIT);
}

static void incomplete_text_is_refused_at_close_once(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(0, "{\"a\":"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_REFUSE);
    assert_int_equal(error, -EINVAL);
    assert_int_equal(flush(), EDIT_WAIT);
    /* Another process may have the file open and go on. */
    assert_int_equal(put(5, "1}"), EDIT_COMMIT);
}

static void more_text_behind_an_object_is_refused(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(0, "{}\n"), EDIT_COMMIT);
    edit_committed(&e);
    assert_int_equal(put(3, "{}\n"), EDIT_REFUSE);
    assert_int_equal(error, -EINVAL);
}

static void appending_to_a_row_is_refused_at_once(void **state)
{
    (void)state;
    start_over(true);
    assert_int_equal(put(0, "\n"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_WAIT);
    assert_int_equal(put(999, "{}"), EDIT_REFUSE);
}

static void appending_to_nothing_is_writing(void **state)
{
    (void)state;
    edit_start(&e, NULL, 0, true, 1000);
    /* Where the kernel thinks the end is does not matter. */
    assert_int_equal(put(0, "{\"a\""), EDIT_WAIT);
    assert_int_equal(put(0, ":1}\n"), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"a\":1}\n");
}

static void in_place_the_old_tail_is_waited_for(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(put(0, "{\"a\":1}\n"), EDIT_WAIT);
    assert_int_equal(cut(8), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"a\":1}\n");
    edit_committed(&e);
    assert_int_equal(flush(), EDIT_WAIT);
}

static void in_place_and_longer_counts_in_the_write(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(put(0, "{\"a\":\"new and longer still\"}\n"), EDIT_COMMIT);
}

/* Half new, half old can be an object by accident. */
static void a_mixture_is_not_judged_before_the_close(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(put(0, "{\"b\""), EDIT_WAIT);
    assert_int_equal(put(6, "new"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"b\":\"new and longer\"}\n");
}

static void without_the_cut_the_tail_is_refused(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(put(0, "{\"a\":1}\n"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_REFUSE);
    assert_int_equal(error, -EINVAL);
}

static void emptied_through_the_same_file(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(cut(0), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_WAIT);
    assert_int_equal(put(0, "{}"), EDIT_COMMIT);
}

static void cut_in_the_middle_is_refused(void **state)
{
    (void)state;
    start_over(false);
    assert_int_equal(cut(5), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_REFUSE);
}

static void a_hole_is_refused(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(4, "}"), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_REFUSE);
    assert_int_equal(error, -EINVAL);
}

static void pieces_in_any_order_count_at_the_close(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(4, ":1}"), EDIT_WAIT);
    assert_int_equal(put(0, "{\"a\""), EDIT_WAIT);
    assert_int_equal(flush(), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"a\":1}");
}

static void what_was_written_can_be_written_over(void **state)
{
    (void)state;
    start_empty();
    assert_int_equal(put(0, "{\"a\":  "), EDIT_WAIT);
    assert_int_equal(put(5, "12"), EDIT_WAIT);
    assert_int_equal(put(7, "}"), EDIT_COMMIT);
    edit_committed(&e);
    assert_int_equal(put(5, "34"), EDIT_COMMIT);
    assert_string_equal(e.text.data, "{\"a\":34}");
}

static void too_much_is_refused_with_the_number(void **state)
{
    (void)state;
    edit_start(&e, NULL, 0, false, 10);
    assert_int_equal(put(0, "{\"a\":\"123456789\"}"), EDIT_REFUSE);
    assert_int_equal(error, -EFBIG);
    assert_non_null(strstr(err.text, "10"));
    edit_reset(&e);
    assert_int_equal(put(0, "{\"a\":1234}"), EDIT_COMMIT);
    edit_committed(&e);
    assert_int_equal(put(10, "\n"), EDIT_WAIT);
    assert_int_equal(put(UINT64_MAX - 1, "x"), EDIT_REFUSE);
    assert_int_equal(error, -EFBIG);
    assert_int_equal(cut(UINT64_MAX), EDIT_REFUSE);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_whole_object_counts_at_once),
        CASE(pieces_count_with_the_last),
        CASE(beyond_repair_fails_its_own_write),
        CASE(incomplete_text_is_refused_at_close_once),
        CASE(more_text_behind_an_object_is_refused),
        CASE(appending_to_a_row_is_refused_at_once),
        CASE(appending_to_nothing_is_writing),
        CASE(in_place_the_old_tail_is_waited_for),
        CASE(in_place_and_longer_counts_in_the_write),
        CASE(a_mixture_is_not_judged_before_the_close),
        CASE(without_the_cut_the_tail_is_refused),
        CASE(emptied_through_the_same_file),
        CASE(cut_in_the_middle_is_refused),
        CASE(a_hole_is_refused),
        CASE(pieces_in_any_order_count_at_the_close),
        CASE(what_was_written_can_be_written_over),
        CASE(too_much_is_refused_with_the_number),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
