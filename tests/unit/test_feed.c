/* Lines for several readers: offsets, going back, what a slow reader hears. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/feed.h"

#define MAX 100

static struct feed *f;
static struct feed_reader *r;

static int setup(void **state)
{
    (void)state;
    f = feed_new(MAX);
    feed_add(f, "before\n", 7);
    r = feed_reader_new(f);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    feed_reader_free(r);
    feed_free(f);
    return 0;
}

static void add(const char *line)
{
    feed_add(f, line, strlen(line));
}

/* Ten bytes each, so that ten are kept. */
static void add_numbers(int from, int to)
{
    char line[32];

    for (int i = from; i <= to; i++) {
        snprintf(line, sizeof(line), "line %04d\n", i);
        add(line);
    }
}

static void assert_reads(int64_t off, size_t size, const char *wanted)
{
    AUTO_BUF struct buf out = BUF_INIT;

    assert_int_equal(feed_read(r, off, size, &out), *wanted != '\0');
    buf_addc(&out, '\0');
    assert_string_equal(out.data, wanted);
}

static void reads_from_its_opening(void **state)
{
    (void)state;
    assert_reads(0, 50, "");
    assert_false(feed_has_more(r));
    add("a\n");
    add("b\n");
    assert_true(feed_has_more(r));
    assert_reads(0, 50, "a\nb\n");
    assert_false(feed_has_more(r));
    assert_reads(4, 50, "");
    add("c\n");
    assert_reads(4, 1, "c");
    assert_true(feed_has_more(r));
    assert_reads(5, 50, "\n");
    assert_false(feed_has_more(r));
}

/* As a shell does: it takes much and goes back to behind the first line. */
static void goes_back_in_what_it_read(void **state)
{
    (void)state;
    add_numbers(1, 3);
    assert_reads(0, 50, "line 0001\nline 0002\nline 0003\n");
    add_numbers(4, 40);
    assert_reads(10, 20, "line 0002\nline 0003\n");
    assert_reads(20, 10, "line 0003\n");
    assert_reads(30, 24, "{\"op\":\"lost\",\"n\":27}\nlin");
    assert_reads(51, 14, "line 0031\nline");
}

static void begun_line_is_read_to_its_end(void **state)
{
    (void)state;
    add_numbers(1, 2);
    assert_reads(0, 4, "line");
    add_numbers(3, 30);
    assert_reads(4, 6, " 0001\n");
    assert_reads(10, 31, "{\"op\":\"lost\",\"n\":19}\nline 0021\n");
    assert_reads(41, 90,
                 "line 0022\nline 0023\nline 0024\nline 0025\nline 0026\n"
                 "line 0027\nline 0028\nline 0029\nline 0030\n");
    assert_reads(131, 10, "");
}

static void what_was_not_taken_is_still_to_come(void **state)
{
    (void)state;
    add_numbers(1, 1);
    assert_reads(0, 50, "line 0001\n");
    feed_unread(r, 0);
    assert_true(feed_has_more(r));
    assert_reads(0, 50, "line 0001\n");
    assert_false(feed_has_more(r));
}

/* As tail does: from the end backwards, then on. */
static void from_the_end_offsets_are_places(void **state)
{
    (void)state;
    add_numbers(1, 3);
    assert_int_equal(feed_end(f), 37);
    feed_seek_end(r);
    assert_false(feed_has_more(r));
    assert_reads(0, 37, "before\nline 0001\nline 0002\nline 0003\n");
    assert_reads(30, 3, "e 0");
    add_numbers(4, 4);
    assert_reads(37, 50, "line 0004\n");
    assert_reads(100, 50, "");
    add_numbers(5, 5);
    assert_reads(100, 50, "line 0005\n");
}

static void what_is_gone_reads_as_empty_lines(void **state)
{
    (void)state;
    add_numbers(1, 20);
    assert_int_equal(feed_end(f), 207);
    feed_seek_end(r);
    assert_reads(0, 3, "\n\n\n");
    assert_reads(3, 4, "\n\n\n\n");
    assert_reads(105, 12, "\n\nline 0011\n");
    assert_reads(117, 10, "line 0012\n");
}

/* Reads of any size anywhere within the last one, and lines that come and go
 * meanwhile: each is there once, or counted as lost. */
static void nothing_is_lost_in_silence(void **state)
{
    AUTO_BUF struct buf all = BUF_INIT;
    unsigned seed = 7;
    int added = 0;

    (void)state;
    for (int i = 0; i < 3000; i++) {
        seed = seed * 1103515245 + 12345;
        int n = (int)(seed >> 16) % 4;
        add_numbers(added + 1, added + n);
        added += n;
        AUTO_BUF struct buf out = BUF_INIT;
        feed_read(r, (int64_t)all.len, (seed >> 8) % 40 + 1, &out);
        /* Of some reads a part is given back. */
        size_t back = seed % 3 == 0 ? out.len / 2 : 0;
        buf_add(&all, out.data ? out.data : "", out.len - back);
    }
    AUTO_BUF struct buf out = BUF_INIT;
    feed_read(r, (int64_t)all.len, 1000, &out);
    buf_add(&all, out.data ? out.data : "", out.len);
    buf_addc(&all, '\0');

    int seen = 0, number, losses = 0;
    for (char *save = NULL, *line = strtok_r(all.data, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        if (sscanf(line, "{\"op\":\"lost\",\"n\":%d}", &number) == 1) {
            seen += number;
            losses++;
        } else {
            assert_int_equal(sscanf(line, "line %d", &number), 1);
            assert_int_equal(number, ++seen);
        }
    }
    assert_int_equal(seen, added);
    assert_true(losses > 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(reads_from_its_opening),
        CASE(goes_back_in_what_it_read),
        CASE(begun_line_is_read_to_its_end),
        CASE(what_was_not_taken_is_still_to_come),
        CASE(from_the_end_offsets_are_places),
        CASE(what_is_gone_reads_as_empty_lines),
        CASE(nothing_is_lost_in_silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
