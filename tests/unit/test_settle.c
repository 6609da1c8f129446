/* The background writer: row messages follow their rows, cheaply, and nothing
 * is lost by it. */
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
#include "engine/base/clock.h"
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

    if (!expected) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void assert_shows(struct memstore *s, struct table *t, uint64_t message,
                         const char *expected)
{
    char *content = memstore_content(s, table_id(t), message);

    assert_non_null(content);
    if (!strstr(content, expected))
        fail_msg("message does not show %s:\n%s", expected, content);
    free(content);
}

/* {"id":…,"pad":"xxx…"}: too big for a message. */
static char *big_text(char c)
{
    char *text = xmalloc(5000);

    memset(text, c, 4999);
    memcpy(text, "{\"pad\":\"", 8);
    memcpy(text + 4997, "\"}", 3);
    return text;
}

static void ten_updates_are_one_edit(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char text[32];

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":0}"), 0);
    uint64_t home = home_of(p.table, "a");
    assert_int_not_equal(home, 0);
    memstore_reset_counts(s);
    for (int i = 1; i <= 10; i++) {
        snprintf(text, sizeof(text), "{\"n\":%d}", i);
        assert_int_equal(put(p.table, "a", text), 0);
    }
    process_wait_settled(&p);
    assert_int_equal(memstore_count(s, REMOTE_POST), 10);
    assert_in_range(memstore_count(s, REMOTE_EDIT), 1, 2);
    assert_shows(s, p.table, home, "{\"id\":\"a\",\"n\":10}");
    assert_int_equal(home_of(p.table, "a"), home);
    process_stop(&p);

    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":10}");
    assert_int_equal(version_of(p.table, "a"), 11);
    assert_int_equal(home_of(p.table, "a"), home);
    process_stop(&p);
}

/* A row that is updated all the time, also while its message is being edited:
 * that does not make the next edit come at once, however long it goes on. */
static void updates_that_go_on_are_gathered_again_and_again(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char text[32];

    process_start_bare(&p, s, false, 100);
    process_open_table(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":0}"), 0);
    memstore_hold(s, REMOTE_EDIT, true);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    memstore_wait_held(s, REMOTE_EDIT, 1);
    int64_t start = clock_mono_ms();
    while (clock_mono_ms() < start + 600)
        assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    start = clock_mono_ms();
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof(text), "{\"n\":%d}", 10 + i);
        assert_int_equal(put(p.table, "a", text), 0);
        memstore_let_one(s, REMOTE_EDIT);
        memstore_wait_held(s, REMOTE_EDIT, 1);
    }
    assert_true(clock_mono_ms() - start >= 4 * 100);
    memstore_hold(s, REMOTE_EDIT, false);
    process_wait_settled(&p);
    assert_shows(s, p.table, home_of(p.table, "a"), "{\"id\":\"a\",\"n\":14}");
    process_stop(&p);
}

static void messages_of_deleted_rows_go_together(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char key[16];

    process_start(&p, s);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(p.table, key, "{}"), 0);
    }
    assert_int_equal(memstore_messages(s, table_id(p.table)), 11);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_DELETE, true);
    memstore_hold(s, REMOTE_DELETE_MANY, true);
    for (int i = 0; i < 9; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(drop_row(p.table, key), 0);
    }
    memstore_hold(s, REMOTE_DELETE, false);
    memstore_hold(s, REMOTE_DELETE_MANY, false);
    process_wait_settled(&p);
    assert_int_equal(memstore_messages(s, table_id(p.table)), 2);
    assert_in_range(memstore_count(s, REMOTE_DELETE) +
                        memstore_count(s, REMOTE_DELETE_MANY),
                    1, 3);
    process_stop(&p);

    process_start(&p, s);
    assert_int_equal(row_count(p.table), 1);
    process_stop(&p);
}

/* Messages of more than 14 days cannot go together. */
static void old_messages_go_one_by_one(void **state)
{
    struct memstore *s = *state;
    struct process p;

    memstore_set_age(s, (int64_t)20 * 24 * 3600 * 1000);
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    assert_int_equal(put(p.table, "b", "{}"), 0);
    memstore_set_age(s, 0);
    memstore_reset_counts(s);
    assert_int_equal(drop_row(p.table, "a"), 0);
    assert_int_equal(drop_row(p.table, "b"), 0);
    process_wait_settled(&p);
    assert_int_equal(memstore_count(s, REMOTE_DELETE), 2);
    assert_int_equal(memstore_messages(s, table_id(p.table)), 1);
    process_stop(&p);
}

/* A row that was deleted and created again has one message. */
static void a_row_created_again_lives_in_its_new_message(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t first = home_of(p.table, "a");
    assert_int_equal(drop_row(p.table, "a"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    uint64_t second = home_of(p.table, "a");
    assert_true(second > first);
    assert_int_equal(version_of(p.table, "a"), 3);
    process_wait_settled(&p);
    assert_null(memstore_content(s, table_id(p.table), first));
    /* And the version before an update of it is kept. */
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    process_wait_settled(&p);
    process_stop(&p);

    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    assert_int_equal(version_of(p.table, "a"), 4);
    process_stop(&p);
}

/* A row message that holds the file of a version never loses it. */
static void files_of_older_versions_stay(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *one = big_text('1'), *two = big_text('2');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", one), 0);
    uint64_t home = home_of(p.table, "a");
    assert_int_equal(memstore_files(s, table_id(p.table), home), 1);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    assert_shows(s, p.table, home, "{\"id\":\"a\",\"n\":2}");
    assert_shows(s, p.table, home, "dbcord was \"a\" v1");
    assert_int_equal(memstore_files(s, table_id(p.table), home), 1);
    /* A big version after it is in the history, not here. */
    assert_int_equal(put(p.table, "a", two), 0);
    process_wait_settled(&p);
    assert_shows(s, p.table, home, "elsewhere");
    assert_int_equal(memstore_files(s, table_id(p.table), home), 1);
    assert_int_equal(drop_row(p.table, "a"), 0);
    process_wait_settled(&p);
    assert_shows(s, p.table, home, "dbcord delete \"a\" v4");
    assert_int_equal(memstore_files(s, table_id(p.table), home), 1);
    process_stop(&p);

    process_start(&p, s);
    assert_text(p.table, "a", NULL);
    assert_int_equal(put(p.table, "a", "{\"n\":5}"), 0);
    assert_int_equal(version_of(p.table, "a"), 5);
    process_wait_settled(&p);
    process_stop(&p);
    free(one);
    free(two);
}

/* What the thread has already is not carried there again. */
static void an_update_carries_the_first_version_once(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    uint64_t thread = table_history_id(p.table);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    process_wait_settled(&p);
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":4}"), 0);
    for (size_t i = 0; i < 3; i++) {
        char *content =
            memstore_content(s, thread, memstore_message_at(s, thread, i));
        assert_int_equal(strstr(content, "dbcord was") != NULL, i == 0);
        free(content);
    }
    process_stop(&p);
}

/* What a killed process left is found by the next one, after a while. */
static void leavings_are_seen_to(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start_bare(&p, s, false, 1000000);
    process_open_table(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    uint64_t a = home_of(p.table, "a"), b = home_of(p.table, "b");
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(drop_row(p.table, "b"), 0);
    process_kill(&p);

    process_start(&p, s);
    assert_shows(s, p.table, a, "\"n\":1");
    process_wait_settled(&p);
    assert_shows(s, p.table, a, "\"n\":2");
    assert_null(memstore_content(s, table_id(p.table), b));
    assert_int_equal(home_of(p.table, "a"), a);
    process_stop(&p);
}

/* Closing gives the background writer time. */
static void closing_settles(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start_bare(&p, s, false, 1000000);
    process_open_table(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t home = home_of(p.table, "a"), channel = table_id(p.table);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_stop(&p);
    char *content = memstore_content(s, channel, home);
    assert_non_null(strstr(content, "\"n\":2"));
    free(content);
}

/* Somebody deletes a row's message: the row stays, and is posted again. */
static void a_lost_row_message_is_posted_again(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *big = big_text('1');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "c", big), 0);
    process_wait_settled(&p);
    uint64_t a = home_of(p.table, "a"), b = home_of(p.table, "b");
    uint64_t c = home_of(p.table, "c");
    memstore_delete_as(s, table_id(p.table), a);
    memstore_delete_as(s, table_id(p.table), b);
    memstore_delete_as(s, table_id(p.table), c);
    memstore_quiet(s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    process_wait_settled(&p);
    assert_true(home_of(p.table, "a") > a);
    assert_true(home_of(p.table, "b") > b);
    assert_true(home_of(p.table, "c") > c);
    assert_int_equal(version_of(p.table, "a"), 1);
    /* It can go on from there, here … */
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "c", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    process_stop(&p);

    /* … and for others. */
    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_int_equal(version_of(p.table, "a"), 2);
    assert_text(p.table, "b", "{\"id\":\"b\",\"n\":2}");
    assert_text(p.table, "c", "{\"id\":\"c\",\"n\":2}");
    process_stop(&p);
    free(big);
}

/* Of two processes one does it. */
static void one_of_two_posts_it_again(void **state)
{
    struct memstore *s = *state;
    struct process p, q;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    process_wait_changes(&q, 1);
    memstore_delete_as(s, table_id(p.table), home_of(p.table, "a"));
    memstore_quiet(s);
    process_wait_settled(&p);
    process_wait_settled(&q);
    process_wait_settled(&p);
    assert_int_equal(home_of(p.table, "a"), home_of(q.table, "a"));
    assert_int_equal(memstore_messages(s, table_id(p.table)), 2);
    process_stop(&p);
    process_stop(&q);
}

/* Discord changes what a row message would show: it shows less. */
static void a_row_message_is_never_left_damaged(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t home = home_of(p.table, "a");
    memstore_hold(s, REMOTE_EDIT, true);
    assert_int_equal(put(p.table, "a", "{\"s\":\"~\"}"), 0);
    memstore_wait_held(s, REMOTE_EDIT, 1);
    memstore_strip(s, '~');
    memstore_hold(s, REMOTE_EDIT, false);
    process_wait_settled(&p);
    assert_shows(s, p.table, home, "elsewhere");
    process_stop(&p);
    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"s\":\"~\"}");
    struct buf b = BUF_INIT;
    engine_status(p.engine, &b);
    assert_non_null(strstr(b.data, "\"damaged\":0"));
    buf_release(&b);
    process_stop(&p);
}

/* An edit that fails for a while is tried again, and commits do not wait. */
static void failures_do_not_hold_up_commits(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    memstore_hold(s, REMOTE_EDIT, true);
    for (int i = 0; i < 5; i++)
        assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    memstore_wait_held(s, REMOTE_EDIT, 1);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    memstore_hold(s, REMOTE_EDIT, false);
    process_wait_settled(&p);
    assert_shows(s, p.table, home_of(p.table, "a"), "\"n\":3");
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(ten_updates_are_one_edit),
        CASE(updates_that_go_on_are_gathered_again_and_again),
        CASE(messages_of_deleted_rows_go_together),
        CASE(old_messages_go_one_by_one),
        CASE(a_row_created_again_lives_in_its_new_message),
        CASE(files_of_older_versions_stay),
        CASE(an_update_carries_the_first_version_once),
        CASE(leavings_are_seen_to),
        CASE(closing_settles),
        CASE(a_lost_row_message_is_posted_again),
        CASE(one_of_two_posts_it_again),
        CASE(a_row_message_is_never_left_damaged),
        CASE(failures_do_not_hold_up_commits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
