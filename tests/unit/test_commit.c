/* Group commit: what leaves together, what is refused, what becomes of writes
 * whose answer is lost, and who wins when two processes write one row. */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

/* The same rows for a process that knows nothing yet. */
static void assert_text_anew(struct memstore *s, const char *key,
                             const char *expected)
{
    struct process p;

    process_start(&p, s);
    assert_text(p.table, key, expected);
    process_stop(&p);
}

/* While one commit waits for a limit the next gather, and leave with it. */
static void writes_that_wait_leave_together(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    char key[16];

    process_start(&p, s);
    writes_init(&w);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_POST, true);
    for (int i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        writes_put(&w, p.table, key, "{}");
    }
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);
    assert_int_equal(row_count(p.table), 100);
    process_stop(&p);
    assert_text_anew(s, "k99", "{\"id\":\"k99\"}");
}

/* Several versions of one key in one group follow each other. */
static void one_group_may_hold_a_keys_whole_life(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    struct write drop = {.kind = WRITE_DELETE, .key = "a", .key_len = 1};
    struct write move = {
        .kind = WRITE_RENAME, .key = "b", .key_len = 1, .to = "c", .to_len = 1};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":0}"), 0);
    writes_init(&w);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_POST, true);
    writes_put(&w, p.table, "a", "{\"n\":1}");
    writes_put(&w, p.table, "b", "{\"n\":1}");
    writes_do(&w, p.table, &drop, NULL);
    writes_put(&w, p.table, "b", "{\"n\":2}");
    writes_put(&w, p.table, "a", "{\"n\":3}");
    writes_do(&w, p.table, &move, NULL);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_in_range(memstore_count(s, REMOTE_POST), 1, 2);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    assert_int_equal(version_of(p.table, "a"), 4);
    assert_text(p.table, "b", NULL);
    assert_text(p.table, "c", "{\"id\":\"c\",\"n\":2}");
    process_stop(&p);

    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    assert_int_equal(version_of(p.table, "a"), 4);
    assert_text(p.table, "b", NULL);
    assert_text(p.table, "c", "{\"id\":\"c\",\"n\":2}");
    process_stop(&p);
}

/* A file is filled before the next is begun: rows of 300 bytes, a tenth of a
 * hundred thousand in files of a tenth of 10 MiB. */
static void many_rows_need_few_messages(void **state)
{
    enum { ROWS = 10000 };
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    char key[16], text[301];

    memstore_set_max_file(s, 1 << 20);
    process_start(&p, s);
    for (int turn = 0; turn < 2; turn++) {
        writes_init(&w);
        memstore_reset_counts(s);
        memstore_hold(s, REMOTE_POST, true);
        for (int i = 0; i < ROWS; i++) {
            snprintf(key, sizeof(key), "%d", i);
            int n =
                snprintf(text, sizeof(text), "{\"id\":\"%s\",\"s\":\"", key);
            memset(text + n, 'a' + turn, sizeof(text) - (size_t)n);
            memcpy(text + sizeof(text) - 3, "\"}", 3);
            writes_put(&w, p.table, key, text);
        }
        memstore_hold(s, REMOTE_POST, false);
        writes_wait(&w);
        assert_int_equal(w.failed, 0);
        assert_in_range(memstore_count(s, REMOTE_POST), 4, 6);
    }
    assert_int_equal(row_count(p.table), ROWS);
    process_stop(&p);
}

struct loop {
    pthread_t thread;
    struct table *table;
    int number, rows;
    int64_t until_ms;
};

static void *insert_until(void *arg)
{
    struct loop *l = arg;
    char key[32];

    while (clock_mono_ms() < l->until_ms) {
        snprintf(key, sizeof(key), "w%d_%d", l->number, l->rows);
        if (put_new(l->table, key, "{}") < 0)
            break;
        l->rows++;
    }
    return NULL;
}

/* With one create in 100 ms, W writers that come back at once make W rows in
 * each. */
static void writers_share_every_commit(void **state)
{
    enum { WRITERS = 20, ROUNDS = 12, INTERVAL = 100 };
    struct memstore *s = *state;
    struct process p;
    struct loop loops[WRITERS];
    size_t rows = 0;

    process_start(&p, s);
    memstore_set_interval(s, INTERVAL);
    memstore_reset_counts(s);
    int64_t until = clock_mono_ms() + INTERVAL * ROUNDS;
    for (int i = 0; i < WRITERS; i++) {
        loops[i] =
            (struct loop){.table = p.table, .number = i, .until_ms = until};
        pthread_create(&loops[i].thread, NULL, insert_until, &loops[i]);
    }
    for (int i = 0; i < WRITERS; i++) {
        pthread_join(loops[i].thread, NULL);
        rows += (size_t)loops[i].rows;
    }
    size_t posts = memstore_count(s, REMOTE_POST);
    /* The first leaves with whoever was first. */
    assert_true(rows * 10 >= (posts - 1) * WRITERS * 9);
    memstore_set_interval(s, 0);
    process_stop(&p);
}

/* What a row's state forbids is refused, in words, and nothing is sent. */
static void state_is_checked_when_it_leaves(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct write w = {
        .kind = WRITE_PUT,
        .key = "a",
        .key_len = 1,
        .text = "{}",
        .text_len = 2,
        .if_version = 7,
    };

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    memstore_reset_counts(s);
    assert_int_equal(put_new(p.table, "a", "{}"), -EEXIST);
    assert_int_equal(drop_row(p.table, "b"), -ENOENT);
    assert_int_equal(move_row(p.table, "b", "c"), -ENOENT);
    assert_int_equal(table_write_wait(p.table, &w, NULL, &err), -ESTALE);
    assert_string_equal(err.text, "'a' is at version 1, not 7");
    w.if_version = 0;
    w.must_exist = true;
    w.key = "z";
    assert_int_equal(table_write_wait(p.table, &w, NULL, &err), -ENOENT);
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);
    assert_int_equal(version_of(p.table, "a"), 1);
    process_stop(&p);
}

/* One that is refused does not keep the others of its group. */
static void one_refusal_does_not_stop_the_group(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    struct write again = {.kind = WRITE_PUT,
                          .key = "b",
                          .key_len = 1,
                          .text = "{}",
                          .text_len = 2,
                          .must_be_new = true};

    process_start(&p, s);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    writes_put(&w, p.table, "a", "{}");
    writes_do(&w, p.table, &again, NULL);
    writes_do(&w, p.table, &again, NULL);
    writes_put(&w, p.table, "c", "{}");
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 1);
    assert_int_equal(w.last_error, -EEXIST);
    assert_int_equal(row_count(p.table), 3);
    process_stop(&p);
}

/* Rows move with their texts: two that are too large for one file leave one
 * after the other. */
static void large_rows_move_one_by_one(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    struct write a = {
        .kind = WRITE_RENAME, .key = "a", .key_len = 1, .to = "x", .to_len = 1};
    struct write b = {
        .kind = WRITE_RENAME, .key = "b", .key_len = 1, .to = "y", .to_len = 1};
    char text[60000];

    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"s\":\"", 6);
    memcpy(text + sizeof(text) - 3, "\"}", 3);
    memstore_set_max_file(s, 100000);
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", text), 0);
    assert_int_equal(put(p.table, "b", text), 0);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    writes_do(&w, p.table, &a, NULL);
    writes_do(&w, p.table, &b, NULL);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_int_equal(version_of(p.table, "x"), 1);
    assert_int_equal(version_of(p.table, "y"), 1);
    process_stop(&p);
}

static void a_write_that_has_not_left_can_be_cancelled(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    uint64_t ticket;
    struct write what = {.kind = WRITE_PUT,
                         .key = "a",
                         .key_len = 1,
                         .text = "{}",
                         .text_len = 2};

    process_start(&p, s);
    writes_init(&w);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_POST, true);
    writes_do(&w, p.table, &what, &ticket);
    assert_true(table_write_cancel(p.table, ticket));
    writes_wait(&w);
    assert_int_equal(w.last_error, -EINTR);
    memstore_hold(s, REMOTE_POST, false);
    memstore_quiet(s);
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);
    assert_false(table_write_cancel(p.table, ticket));
    assert_int_equal(put(p.table, "a", "{}"), 0);
    process_stop(&p);
}

/* The create was carried out and its answer lost: it is found, and counts
 * once. */
static void a_lost_answer_is_looked_up(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_hold_events(p.remote, true);
    memstore_fail(s, REMOTE_POST, 1, -ETIMEDOUT, true);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    memstore_fail(s, REMOTE_POST, 1, -EIO, true);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(version_of(p.table, "a"), 2);
    memstore_hold_events(p.remote, false);
    process_stop(&p);
    assert_text_anew(s, "a", "{\"id\":\"a\",\"n\":2}");
}

/* The push connection told of it before the store gave up. */
static void an_echo_is_as_good_as_an_answer(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_reset_counts(s);
    memstore_fail(s, REMOTE_POST, 1, -ETIMEDOUT, true);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);
    assert_int_equal(version_of(p.table, "a"), 1);
    process_stop(&p);
}

/* Or while it is being looked for, in vain. */
static void an_echo_may_come_during_the_search(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct writes w;

    process_start(&a, s);
    process_start(&b, s);
    writes_init(&w);
    memstore_hold_events(a.remote, true);
    memstore_hold(s, REMOTE_LIST, true);
    memstore_fail(s, REMOTE_LIST, 1000, -ETIMEDOUT, false);
    memstore_fail(s, REMOTE_POST, 1, -ETIMEDOUT, true);
    memstore_reset_counts(s);
    writes_put(&w, a.table, "a", "{\"n\":1}");
    memstore_wait_count(s, REMOTE_POST, 1);
    /* What b writes is told behind it. */
    assert_int_equal(put(b.table, "b", "{}"), 0);
    memstore_hold_events(a.remote, false);
    process_wait_changes(&a, 1);
    memstore_hold(s, REMOTE_LIST, false);
    writes_wait(&w);
    memstore_fail(s, REMOTE_LIST, 0, 0, false);
    assert_int_equal(w.failed, 0);
    assert_text(a.table, "a", "{\"id\":\"a\",\"n\":1}");
    assert_int_equal(put(a.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(version_of(a.table, "a"), 2);
    process_stop(&a);
    process_stop(&b);
}

/* It was not carried out: the write fails and the row is as it was. */
static void what_never_arrived_fails(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    memstore_fail(s, REMOTE_POST, 1, -ETIMEDOUT, false);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), -ETIMEDOUT);
    memstore_fail(s, REMOTE_POST, 1, -EACCES, false);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), -EACCES);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    assert_int_equal(version_of(p.table, "a"), 2);
    process_stop(&p);
    assert_text_anew(s, "a", "{\"id\":\"a\",\"n\":3}");
}

/* The store gives up before the message could leave, as with a token that was
 * revoked: whoever waits is told, and it is not tried over and over. */
static void what_cannot_leave_fails(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;

    process_start(&p, s);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    writes_put(&w, p.table, "a", "{}");
    writes_put(&w, p.table, "b", "{}");
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_kill(p.remote);
    writes_wait(&w);
    assert_int_equal(w.failed, 2);
    assert_int_equal(w.last_error, -ESHUTDOWN);
    assert_int_equal(row_count(p.table), 0);
    memstore_hold(s, REMOTE_POST, false);
    process_kill(&p);
}

/* Discord changes the text: it goes again, as a file, and is right. */
static void a_text_changed_in_transit_goes_as_a_file(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    uint64_t channel = table_id(p.table);
    memstore_strip(s, '~');
    assert_int_equal(put(p.table, "a", "{\"s\":\"x~y\"}"), 0);
    assert_text(p.table, "a", "{\"id\":\"a\",\"s\":\"x~y\"}");
    /* The card, and one message that holds a file. */
    assert_int_equal(memstore_messages(s, channel), 2);
    uint64_t id = memstore_message_at(s, channel, 1);
    assert_int_equal(memstore_files(s, channel, id), 1);
    assert_int_equal(put(p.table, "a", "{\"s\":\"~~\"}"), 0);
    process_stop(&p);
    assert_text_anew(s, "a", "{\"id\":\"a\",\"s\":\"~~\"}");
}

/* Nor is the message that was taken back damage, if it is told of late. */
static void a_text_taken_back_is_no_damage(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct buf status = BUF_INIT;

    process_start(&p, s);
    memstore_strip(s, '~');
    memstore_hold_events(p.remote, true);
    assert_int_equal(put(p.table, "a", "{\"s\":\"x~y\"}"), 0);
    memstore_hold_events(p.remote, false);
    memstore_quiet(s);
    table_status(p.table, &status);
    assert_non_null(strstr(status.data, "\"damaged\":0"));
    buf_release(&status);
    process_stop(&p);
}

/* --- two processes ---------------------------------------------------------
 */

static void a_row_is_created_once(void **state)
{
    struct memstore *s = *state;
    struct process a, b;

    process_start(&a, s);
    process_start(&b, s);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put_new(a.table, "k", "{\"by\":\"a\"}"), 0);
    /* b does not know yet, and the fold decides. */
    struct writes w;
    writes_init(&w);
    struct write what = {.kind = WRITE_PUT,
                         .key = "k",
                         .key_len = 1,
                         .text = "{\"by\":\"b\"}",
                         .text_len = 10,
                         .must_be_new = true};
    memstore_hold(s, REMOTE_POST, true);
    writes_do(&w, b.table, &what, NULL);
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    /* b had nothing to compare with: it was answered, and is told now. */
    memstore_hold_events(b.remote, false);
    process_wait_voided(&b, w.failed ? 0 : 1);
    memstore_quiet(s);
    assert_text(a.table, "k", "{\"id\":\"k\",\"by\":\"a\"}");
    assert_text(b.table, "k", "{\"id\":\"k\",\"by\":\"a\"}");
    assert_int_equal(version_of(b.table, "k"), 1);
    process_stop(&a);
    process_stop(&b);
    assert_text_anew(s, "k", "{\"id\":\"k\",\"by\":\"a\"}");
}

/* b's record is void when it is answered: the event came while it was on its
 * way. */
static void who_comes_second_is_told(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct writes w;

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "k", "{\"n\":1}"), 0);
    process_wait_changes(&b, 1);

    writes_init(&w);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "k", "{\"n\":2}"), 0);
    /* b builds on version 1; its answer is lost, and by the time it has found
     * its message it knows of a's. */
    memstore_fail(s, REMOTE_POST, 1, -ETIMEDOUT, true);
    memstore_hold(s, REMOTE_LIST, true);
    writes_put(&w, b.table, "k", "{\"n\":3}");
    memstore_wait_held(s, REMOTE_LIST, 1);
    memstore_hold_events(b.remote, false);
    process_wait_changes(&b, 2);
    memstore_hold(s, REMOTE_LIST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 1);
    assert_int_equal(w.last_error, -ESTALE);
    memstore_quiet(s);
    assert_text(a.table, "k", "{\"id\":\"k\",\"n\":2}");
    assert_text(b.table, "k", "{\"id\":\"k\",\"n\":2}");
    /* And goes on from there. */
    assert_int_equal(put(b.table, "k", "{\"n\":4}"), 0);
    assert_int_equal(version_of(b.table, "k"), 3);
    process_stop(&a);
    process_stop(&b);
    assert_text_anew(s, "k", "{\"id\":\"k\",\"n\":4}");
}

static void changes_arrive_at_the_other(void **state)
{
    struct memstore *s = *state;
    struct process a, b;

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "k", "{\"n\":1}"), 0);
    process_wait_changes(&b, 1);
    assert_text(b.table, "k", "{\"id\":\"k\",\"n\":1}");
    assert_int_equal(put(b.table, "k", "{\"n\":2}"), 0);
    process_wait_changes(&a, 2);
    assert_text(a.table, "k", "{\"id\":\"k\",\"n\":2}");
    assert_int_equal(drop_row(a.table, "k"), 0);
    process_wait_changes(&b, 3);
    assert_text(b.table, "k", NULL);
    process_stop(&a);
    process_stop(&b);
}

/* A batch by another process is fetched when its event comes. */
static void a_batch_arrives_at_the_other(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct writes w;
    char key[16];

    process_start(&a, s);
    process_start(&b, s);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        writes_put(&w, a.table, key, "{\"some\":\"text that takes room\"}");
    }
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    process_wait_changes(&b, 50);
    assert_int_equal(row_count(b.table), 50);
    process_stop(&a);
    process_stop(&b);
}

/* However long its file cannot be fetched. */
static void a_batch_is_asked_for_until_it_comes(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct writes w;
    struct buf status = BUF_INIT;
    char key[16];

    process_start(&a, s);
    process_start(&b, s);
    memstore_fail(s, REMOTE_DOWNLOAD, 7, -ETIMEDOUT, false);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        writes_put(&w, a.table, key, "{\"some\":\"text that takes room\"}");
    }
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    process_wait_changes(&b, 50);
    table_status(b.table, &status);
    assert_non_null(strstr(status.data, "\"damaged\":0"));
    buf_release(&status);
    process_stop(&a);
    process_stop(&b);
}

/* After events were lost what happened meanwhile is read again. */
static void a_gap_is_filled(void **state)
{
    struct memstore *s = *state;
    struct process a, b;

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "x", "{\"n\":1}"), 0);
    process_wait_changes(&b, 1);
    memstore_lose_events(b.remote, true);
    assert_int_equal(put(a.table, "x", "{\"n\":2}"), 0);
    assert_int_equal(put(a.table, "y", "{}"), 0);
    /* b's own writes must not hide what it missed before them. */
    assert_int_equal(put(b.table, "z", "{}"), 0);
    assert_text(b.table, "y", NULL);
    memstore_lose_events(b.remote, false);
    process_wait_changes(&b, 4);
    assert_text(b.table, "x", "{\"id\":\"x\",\"n\":2}");
    assert_text(b.table, "y", "{\"id\":\"y\"}");
    process_stop(&a);
    process_stop(&b);
}

/* And read once: a page for the catalog, and two for the table. */
static void a_gap_is_listed_once(void **state)
{
    enum { GAPS = 20, FOR_EACH = 3 };
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_quiet(s);
    memstore_reset_counts(s);
    for (int i = 0; i < GAPS; i++) {
        memstore_hold(s, REMOTE_LIST, true);
        memstore_lose_events(p.remote, true);
        memstore_lose_events(p.remote, false);
        memstore_wait_held(s, REMOTE_LIST, FOR_EACH);
        memstore_hold(s, REMOTE_LIST, false);
        memstore_quiet(s);
    }
    /* The first connection's may be among them. */
    assert_in_range(memstore_count(s, REMOTE_LIST), GAPS * FOR_EACH,
                    (GAPS + 2) * FOR_EACH);
    process_stop(&p);
}

/* What is read again is told in its place among all that happens. */
static void changes_behind_a_gap_are_told_in_order(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    char *x = NULL;

    process_start(&a, s);
    process_start(&b, s);
    memstore_lose_events(b.remote, true);
    assert_int_equal(put(a.table, "x", "{}"), 0);
    memstore_quiet(s);
    memstore_hold(s, REMOTE_LIST, true);
    memstore_lose_events(b.remote, false);
    /* The catalog's listing and the table's two, of which one stays; more
     * where one of the first connection's was among them. */
    memstore_wait_held(s, REMOTE_LIST, 3);
    memstore_let_one(s, REMOTE_LIST);
    for (unsigned turn = 0; !(x = text_of(b.table, "x")); turn++) {
        if (turn % 10000 == 0)
            memstore_let_one(s, REMOTE_LIST);
        sched_yield();
    }
    free(x);
    assert_int_equal(put(b.table, "y", "{}"), 0);
    memstore_hold(s, REMOTE_LIST, false);
    process_wait_changes(&b, 2);
    pthread_mutex_lock(&b.lock);
    assert_string_equal(b.last_key, "y");
    pthread_mutex_unlock(&b.lock);
    process_stop(&a);
    process_stop(&b);
}

static void *drop_if_empty(void *arg)
{
    struct table *t = arg;
    struct err err = ERR_INIT;

    return table_drop(t, true, &err) == 0 ? t : NULL;
}

/* What is answered with success while a table is dropped for being empty would
 * be lost with it. */
static void an_empty_table_takes_no_rows_while_it_is_dropped(void **state)
{
    struct memstore *s = *state;
    struct process a;
    struct writes w;
    pthread_t thread;
    void *dropped;

    process_start(&a, s);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    pthread_create(&thread, NULL, drop_if_empty, a.table);
    memstore_wait_held(s, REMOTE_POST, 1); /* the entry's end */
    struct err err = ERR_INIT;
    struct write row = {.kind = WRITE_PUT,
                        .key = "k",
                        .key_len = 1,
                        .text = "{}",
                        .text_len = 2};
    assert_int_equal(table_write(a.table, &row, NULL, NULL, NULL, &err),
                     -EBUSY);
    memstore_hold(s, REMOTE_POST, false);
    pthread_join(thread, &dropped);
    assert_non_null(dropped);
    process_stop(&a);
}

/* Where the drop fails it takes rows again. */
static void a_table_that_was_not_dropped_takes_rows(void **state)
{
    struct memstore *s = *state;
    struct process a;
    struct err err = ERR_INIT;

    process_start(&a, s);
    memstore_fail(s, REMOTE_POST, 1, -EACCES, false);
    assert_int_equal(table_drop(a.table, true, &err), -EACCES);
    assert_int_equal(put(a.table, "k", "{}"), 0);
    assert_int_equal(table_drop(a.table, true, &err), -ENOTEMPTY);
    assert_int_equal(put(a.table, "l", "{}"), 0);
    process_stop(&a);
}

/* A table that is dropped under waiting writes answers them. */
static void writes_to_a_dropped_table_fail(void **state)
{
    struct memstore *s = *state;
    struct process a;
    struct writes w;
    struct err err = ERR_INIT;

    process_start(&a, s);
    writes_init(&w);
    assert_int_equal(table_drop(a.table, true, &err), 0);
    assert_int_equal(put(a.table, "k", "{}"), -ENOENT);
    assert_int_equal(memstore_channel(s, "table-users", 0), 0);
    assert_null(table_find(a.ns, "users"));
    process_stop(&a);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(writes_that_wait_leave_together),
        CASE(one_group_may_hold_a_keys_whole_life),
        CASE(many_rows_need_few_messages),
        CASE(writers_share_every_commit),
        CASE(state_is_checked_when_it_leaves),
        CASE(one_refusal_does_not_stop_the_group),
        CASE(large_rows_move_one_by_one),
        CASE(a_write_that_has_not_left_can_be_cancelled),
        CASE(a_lost_answer_is_looked_up),
        CASE(an_echo_is_as_good_as_an_answer),
        CASE(an_echo_may_come_during_the_search),
        CASE(what_never_arrived_fails),
        CASE(what_cannot_leave_fails),
        CASE(a_text_changed_in_transit_goes_as_a_file),
        CASE(a_text_taken_back_is_no_damage),
        CASE(a_row_is_created_once),
        CASE(who_comes_second_is_told),
        CASE(changes_arrive_at_the_other),
        CASE(a_batch_arrives_at_the_other),
        CASE(a_batch_is_asked_for_until_it_comes),
        CASE(a_gap_is_filled),
        CASE(a_gap_is_listed_once),
        CASE(changes_behind_a_gap_are_told_in_order),
        CASE(an_empty_table_takes_no_rows_while_it_is_dropped),
        CASE(a_table_that_was_not_dropped_takes_rows),
        CASE(writes_to_a_dropped_table_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
