/* What was refused: lines, texts to mend, and their bounds; and the drafts
 * and the growing text they are made of. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/refusal.h"

static struct refusals f;
static struct buf dropped;

static int setup(void **state)
{
    (void)state;
    refusals_init(&f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    refusals_release(&f);
    buf_release(&dropped);
    assert_int_equal(atomic_load(&f.budget.used), 0);
    return 0;
}

static void refuse(const char *path, const char *why, const char *text)
{
    refusals_add(&f, 0, path, -EINVAL, why, text, text ? strlen(text) : 0, 0, 0,
                 &dropped);
}

static void rejected_is(const char *path, const char *text)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct draft_name *n = draft_set_find(&f.rejected, path);

    assert_non_null(n);
    draft_read(n->draft, 0, 1000, &b);
    assert_true(buf_equals(&b, text, strlen(text)));
}

static void a_refusal_is_a_line_and_a_text(void **state)
{
    (void)state;
    refuse("u_1.json", "line 1, column 2: expected a name", "{x");
    assert_string_equal(f.lines.text.data,
                        "1970-01-01T00:00:00.000Z u_1.json EINVAL "
                        "line 1, column 2: expected a name\n");
    rejected_is("u_1.json", "{x");
    assert_string_equal(refusals_why(&f, "u_1.json"),
                        "line 1, column 2: expected a name");
}

static void the_last_text_of_a_row_stays(void **state)
{
    (void)state;
    refuse("u_1.json", "first", "a longer text");
    struct draft *open =
        draft_ref(draft_set_find(&f.rejected, "u_1.json")->draft);
    refuse("u_1.json", "second", "short");
    rejected_is("u_1.json", "short");
    assert_int_equal(draft_attr(open).size, 5);
    draft_unref(open);
    assert_int_equal(f.rejected.names.count, 1);
}

static void a_version_settles_it(void **state)
{
    (void)state;
    refuse("u_1.json", "why", "x");
    refusals_settled(&f, "u_1.json");
    assert_null(refusals_why(&f, "u_1.json"));
    rejected_is("u_1.json", "x");
}

static void a_line_is_a_line(void **state)
{
    (void)state;
    refuse("u\n1.json", "two\nlines", NULL);
    assert_ptr_equal(strchr(f.lines.text.data, '\n'),
                     f.lines.text.data + f.lines.text.len - 1);
    assert_int_equal(f.rejected.names.count, 0);
}

static void oldest_texts_go_first(void **state)
{
    char name[32];

    (void)state;
    for (int i = 0; i < REFUSAL_TEXTS_MAX + 3; i++) {
        snprintf(name, sizeof(name), "%d.json", i);
        refuse(name, "why", "x");
    }
    assert_int_equal(f.rejected.names.count, REFUSAL_TEXTS_MAX);
    assert_null(draft_set_find(&f.rejected, "2.json"));
    assert_non_null(draft_set_find(&f.rejected, "3.json"));
    assert_true(buf_equals(&dropped,
                           "0.json\0"
                           "1.json\0"
                           "2.json",
                           21));
}

static void many_bytes_push_out_older_texts(void **state)
{
    size_t len = REFUSAL_BYTES_MAX / 2;
    AUTO_STR char *big = xmalloc(len);

    (void)state;
    memset(big, 'x', len);
    refuse("open.json", "why", "read on");
    struct draft *open =
        draft_ref(draft_set_find(&f.rejected, "open.json")->draft);
    for (int i = 0; i < 3; i++) {
        char name[32];
        snprintf(name, sizeof(name), "%d.json", i);
        refusals_add(&f, 0, name, -EFBIG, "why", big, len, 0, 0, &dropped);
    }
    assert_true(atomic_load(&f.budget.used) <= REFUSAL_BYTES_MAX);
    assert_null(draft_set_find(&f.rejected, "0.json"));
    /* What is open is read on, counts no more and does not grow. */
    assert_null(draft_set_find(&f.rejected, "open.json"));
    assert_int_equal(draft_attr(open).size, 7);
    assert_int_equal(draft_write(open, 7, "x", 1, 0), -ENOSPC);
    assert_int_equal(draft_truncate(open, 2, 0), 0);
    draft_unref(open);
    assert_int_equal(
        draft_attr(draft_set_find(&f.rejected, "2.json")->draft).size, len);
}

static void lines_are_bounded_and_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 3000; i++)
        refuse("u_1.json", "a reason of some length, to fill it", NULL);
    assert_true(f.lines.text.len <= REFUSAL_LINES_MAX);
    assert_true(f.lines.text.len > REFUSAL_LINES_MAX / 4);
    assert_memory_equal(f.lines.text.data, "1970-", 5);
}

static void drafts_share_a_budget(void **state)
{
    struct draft_budget budget = {.max = 2000};

    (void)state;
    struct draft *a = draft_new(&budget, 0600, 1, 2, 0);
    struct draft *b = draft_new(&budget, 0600, 1, 2, 0);
    assert_int_equal(draft_write(a, 0, "0123456789", 10, 0), 0);
    assert_int_equal(draft_truncate(a, 1500, 0), -ENOSPC);
    assert_int_equal(draft_write(a, UINT64_MAX, "x", 1, 0), -EFBIG);
    assert_int_equal(draft_truncate(a, 900, 0), 0);
    assert_int_equal(draft_write(b, 0, "0123456789", 10, 0), 0);
    assert_null(draft_new(&budget, 0600, 1, 2, 0));
    draft_unref(a);
    assert_int_equal(draft_truncate(b, 1200, 0), 0);
    draft_unref(b);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void a_draft_is_a_file(void **state)
{
    struct draft_budget budget = {.max = 10000};
    AUTO_BUF struct buf got = BUF_INIT;

    (void)state;
    struct draft *d = draft_new(&budget, 0640, 1, 2, 5);
    assert_int_equal(draft_write(d, 3, "abc", 3, 6), 0);
    draft_read(d, 0, 100, &got);
    assert_true(buf_equals(&got, "\0\0\0abc", 6));
    draft_set_mtime(d, 77);
    assert_true(draft_attr(d).mtime_set);
    assert_int_equal(draft_attr(d).mtime_ms, 77);
    assert_int_equal(draft_truncate(d, 4, 8), 0);
    assert_int_equal(draft_attr(d).size, 4);
    assert_false(draft_attr(d).mtime_set);
    assert_int_equal(draft_attr(d).mode, 0640);
    draft_unref(d);
}

static void names_keep_their_place(void **state)
{
    struct draft_budget budget = {.max = 10000};
    struct draft_set s;

    (void)state;
    draft_set_init(&s);
    struct draft *d = draft_new(&budget, 0600, 1, 2, 0);
    draft_set_put(&s, "one", d);
    draft_set_put(&s, "two", d);
    draft_set_put(&s, "three", d);
    draft_set_rename(&s, "two", "three");
    assert_int_equal(s.names.count, 2);
    struct draft_name *n = draft_set_next(&s, 0);
    assert_string_equal(n->name, "one");
    n = draft_set_next(&s, n->serial);
    assert_string_equal(n->name, "three");
    assert_int_equal(n->serial, 2);
    assert_null(draft_set_next(&s, n->serial));
    assert_true(draft_set_remove(&s, "one"));
    assert_false(draft_set_remove(&s, "one"));
    draft_unref(d);
    draft_set_release(&s);
    assert_int_equal(atomic_load(&budget.used), 0);
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_refusal_is_a_line_and_a_text),
        CASE(the_last_text_of_a_row_stays),
        CASE(a_version_settles_it),
        CASE(a_line_is_a_line),
        CASE(oldest_texts_go_first),
        CASE(many_bytes_push_out_older_texts),
        CASE(lines_are_bounded_and_whole),
        CASE(drafts_share_a_budget),
        CASE(a_draft_is_a_file),
        CASE(names_keep_their_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
