/* The versions of a row: all that counted, in order, from few requests; and
 * going back to one. */
#include "engine/history.h"

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

/* A history in one line: "1:{…} 2:gone 3:damaged", and "-2 " before it where
 * the first two are removed. */
static void add_history(const struct history *h, struct table *t,
                        struct buf *out)
{
    if (h->removed)
        buf_printf(out, "-%u ", h->removed);
    for (size_t i = 0; i < h->n; i++) {
        const struct version *v = &h->list[i];
        struct text *text;
        struct err err = ERR_INIT;

        buf_printf(out, "%s%u:", i ? " " : "", v->number);
        if (v->r < 0) {
            assert_non_null(strstr(v->why, "message"));
            buf_addstr(out, "damaged");
        } else if (v->deleted) {
            assert_int_equal(version_text_wait(t, v, &text, &err), -EINVAL);
            buf_addstr(out, "gone");
        } else {
            assert_int_equal(version_text_wait(t, v, &text, &err), 0);
            assert_int_equal(text->len, v->text_len);
            assert_string_equal(v->by, "ada@test");
            assert_true(v->at_ms > 0);
            buf_add(out, text->data, text->len > 60 ? 10 : text->len - 1);
            text_unref(text);
        }
    }
}

static void assert_history(struct table *t, const char *key,
                           const char *expected)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct history h;
    struct err err = ERR_INIT;

    int r = table_history_wait(t, key, strlen(key), &h, &err);
    if (r < 0)
        fail_msg("%s", err_text(&err, r));
    add_history(&h, t, &b);
    assert_string_equal(b.data, expected);
    history_release(&h);
}

/* By a process that has just started, too. */
static void assert_history_anew(struct memstore *s, const char *key,
                                const char *expected)
{
    struct process p;

    process_start(&p, s);
    assert_history(p.table, key, expected);
    process_stop(&p);
}

static uint64_t message_of(struct table *t, const char *key, uint32_t number)
{
    struct history h;
    struct err err = ERR_INIT;
    uint64_t id = 0;

    assert_int_equal(table_history_wait(t, key, strlen(key), &h, &err), 0);
    for (size_t i = 0; i < h.n; i++)
        if (h.list[i].number == number)
            id = h.list[i].message;
    history_release(&h);
    assert_int_not_equal(id, 0);
    return id;
}

static int restore(struct table *t, const char *key, uint32_t number,
                   bool *changed)
{
    struct err err = ERR_INIT;

    int r = table_restore_wait(t, key, strlen(key), number, NULL, changed, NULL,
                               &err);
    assert_true(r == 0 || err.text[0]);
    return r;
}

/* {"id":"…","pad":"xxx…"}: too big for a message. */
static char *big_text(char c)
{
    char *text = xmalloc(5000);

    memset(text, c, 4999);
    memcpy(text, "{\"x\":\"", 6);
    memcpy(text + 4997, "\"}", 3);
    return text;
}

static const char life[] = "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                           "3:{\"id\":\"a\",\"n\":3} 4:gone "
                           "5:{\"id\":\"a\",\"n\":5} 6:{\"id\":\"a\",\"n\":6}";

static void live_a_life(struct process *p)
{
    assert_int_equal(put(p->table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p->table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p->table, "a", "{\"n\":3}"), 0);
    assert_int_equal(drop_row(p->table, "a"), 0);
    assert_int_equal(put(p->table, "a", "{\"n\":5}"), 0);
    assert_int_equal(put(p->table, "a", "{\"n\":6}"), 0);
}

static void every_version_is_there(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    live_a_life(&p);
    assert_history(p.table, "a", life);
    process_wait_settled(&p);
    assert_history(p.table, "a", life);
    assert_int_equal(drop_row(p.table, "a"), 0);
    process_wait_settled(&p);
    process_stop(&p);

    char all[sizeof(life) + 8];
    snprintf(all, sizeof(all), "%s 7:gone", life);
    assert_history_anew(s, "a", all);
}

static void neighbours_share_a_request(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    live_a_life(&p);
    process_wait_settled(&p);
    memstore_reset_counts(s);
    assert_history(p.table, "a", life);
    /* A page of the thread, one of the channel. */
    assert_in_range(memstore_count_all(s), 1, 2);
    assert_int_equal(memstore_count(s, REMOTE_DOWNLOAD), 0);
    process_stop(&p);
}

/* Between two versions are more messages than a page has. */
static void distant_versions_cost_a_request_each(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char text[32];

    process_start(&p, s);
    assert_int_equal(put(p.table, "b", "{}"), 0);
    for (int i = 1; i <= 4; i++) {
        snprintf(text, sizeof(text), "{\"n\":%d}", i);
        assert_int_equal(put(p.table, "a", text), 0);
        for (int j = 0; j < 120; j++) {
            snprintf(text, sizeof(text), "{\"n\":%d}", j);
            assert_int_equal(put(p.table, "b", text), 0);
        }
    }
    process_wait_settled(&p);
    memstore_reset_counts(s);
    assert_history(p.table, "a",
                   "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                   "3:{\"id\":\"a\",\"n\":3} 4:{\"id\":\"a\",\"n\":4}");
    assert_in_range(memstore_count_all(s), 3, 4);
    process_stop(&p);
}

static void a_row_of_one_version_costs_one_request(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    memstore_reset_counts(s);
    assert_history(p.table, "a", "1:{\"id\":\"a\"}");
    assert_int_equal(memstore_count_all(s), 1);
    process_stop(&p);
}

static void what_never_was_has_no_history(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct history h;
    struct version v;
    struct err err = ERR_INIT;

    process_start(&p, s);
    memstore_reset_counts(s);
    assert_int_equal(table_history_wait(p.table, "a", 1, &h, &err), -ENOENT);
    assert_int_equal(table_version_wait(p.table, "a", 1, 1, &v, &err), -ENOENT);
    assert_int_equal(memstore_count_all(s), 0);
    process_stop(&p);
}

/* Versions in one batch, several of one key among them; it is fetched once. */
static void batches_are_fetched_once(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    char text[32], key[8];

    process_start(&p, s);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    for (int i = 1; i <= 3; i++) {
        for (int k = 0; k < 20; k++) {
            snprintf(key, sizeof(key), "k%d", k);
            snprintf(text, sizeof(text), "{\"n\":%d}", i);
            writes_put(&w, p.table, key, text);
        }
    }
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_int_equal(put(p.table, "k7", "{\"n\":4}"), 0);
    memstore_reset_counts(s);
    assert_history(p.table, "k7",
                   "1:{\"id\":\"k7\",\"n\":1} 2:{\"id\":\"k7\",\"n\":2} "
                   "3:{\"id\":\"k7\",\"n\":3} 4:{\"id\":\"k7\",\"n\":4}");
    assert_in_range(memstore_count(s, REMOTE_DOWNLOAD), 1, 2);
    process_stop(&p);
}

static void a_renamed_row_has_two_histories(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(move_row(p.table, "a", "b"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    process_stop(&p);
    assert_history_anew(s, "a", "1:{\"id\":\"a\",\"n\":1} 2:gone");
    assert_history_anew(s, "b",
                        "1:{\"id\":\"b\",\"n\":1} 2:{\"id\":\"b\",\"n\":2}");
}

static void large_texts_are_fetched_when_asked_for(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *x = big_text('x'), *y = big_text('y');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", x), 0);
    assert_int_equal(put(p.table, "a", y), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    process_wait_settled(&p);
    process_stop(&p);

    process_start(&p, s);
    struct history h;
    struct err err = ERR_INIT;
    memstore_reset_counts(s);
    assert_int_equal(table_history_wait(p.table, "a", 1, &h, &err), 0);
    assert_int_equal(memstore_count(s, REMOTE_DOWNLOAD), 0);
    assert_int_equal(h.n, 3);
    history_release(&h);
    assert_history(
        p.table, "a",
        "1:{\"id\":\"a\", 2:{\"id\":\"a\", 3:{\"id\":\"a\",\"n\":3}");
    bool changed;
    assert_int_equal(restore(p.table, "a", 1, &changed), 0);
    assert_true(changed);
    char *text = text_of(p.table, "a");
    assert_non_null(strstr(text, "xxxx"));
    free(text);
    process_stop(&p);
    free(x);
    free(y);
}

/* Two processes on one version: one of them was told that it lost, and its
 * version is no part of the history, nor what it did next. */
static void what_lost_is_not_shown(void **state)
{
    struct memstore *s = *state;
    struct process a, b;

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "k", "{\"n\":1}"), 0);
    process_wait_changes(&b, 1);
    memstore_hold_events(a.remote, true);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "k", "{\"n\":2}"), 0);
    assert_int_equal(put(b.table, "k", "{\"lost\":2}"), 0);
    assert_int_equal(put(b.table, "k", "{\"lost\":3}"), 0);
    assert_int_equal(put(a.table, "k", "{\"n\":3}"), 0);
    memstore_hold_events(a.remote, false);
    memstore_hold_events(b.remote, false);
    process_wait_voided(&b, 1);
    memstore_quiet(s);
    const char *expected = "1:{\"id\":\"k\",\"n\":1} 2:{\"id\":\"k\",\"n\":2} "
                           "3:{\"id\":\"k\",\"n\":3}";
    assert_history(a.table, "k", expected);
    assert_history(b.table, "k", expected);
    process_wait_settled(&a);
    process_wait_settled(&b);
    process_stop(&a);
    process_stop(&b);
    assert_history_anew(s, "k", expected);
}

/* The damage is told where it is, and hides nothing else. */
static void damage_hides_one_version(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct version v;
    struct err err = ERR_INIT;
    bool changed;

    process_start(&p, s);
    live_a_life(&p);
    process_wait_settled(&p);
    uint64_t third = message_of(p.table, "a", 3);
    memstore_damage_content(s, table_history_id(p.table), third);
    assert_history(p.table, "a",
                   "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                   "3:damaged 4:gone 5:{\"id\":\"a\",\"n\":5} "
                   "6:{\"id\":\"a\",\"n\":6}");
    assert_int_equal(table_version_wait(p.table, "a", 1, 3, &v, &err),
                     -EBADMSG);
    char id[24];
    snprintf(id, sizeof(id), "%llu", (unsigned long long)third);
    assert_non_null(strstr(err.text, id));
    assert_int_equal(restore(p.table, "a", 3, &changed), -EBADMSG);
    assert_int_equal(table_version_wait(p.table, "a", 1, 2, &v, &err), 0);
    version_release(&v);
    process_stop(&p);
}

/* A batch that cannot be read: what it held is lost, not what it built on. */
static void a_damaged_batch_hides_what_was_in_it(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    writes_put(&w, p.table, "a", "{\"n\":3}");
    for (int i = 0; i < 30; i++)
        writes_put(&w, p.table, "b", "{\"n\":0}");
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    assert_int_equal(put(p.table, "a", "{\"n\":4}"), 0);
    process_wait_settled(&p);
    uint64_t batch = message_of(p.table, "a", 3);
    memstore_damage_file(s, table_history_id(p.table), batch);
    assert_history(p.table, "a",
                   "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                   "3:damaged 4:{\"id\":\"a\",\"n\":4}");
    process_stop(&p);
}

/* Somebody's hand took the message of the second of four. */
static void a_message_that_is_gone_hides_one_version(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    for (int i = 1; i <= 4; i++) {
        char text[32];
        snprintf(text, sizeof(text), "{\"n\":%d}", i);
        assert_int_equal(put(p.table, "a", text), 0);
    }
    process_wait_settled(&p);
    uint64_t third = message_of(p.table, "a", 3);
    memstore_delete_as(s, table_history_id(p.table), third);
    memstore_quiet(s);
    assert_history(p.table, "a",
                   "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                   "3:damaged 4:{\"id\":\"a\",\"n\":4}");
    process_stop(&p);
}

/* As after a vacuum: the oldest are gone, with nothing before them. */
static void removed_versions_are_told_as_removed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct version v;
    struct err err = ERR_INIT;

    process_start(&p, s);
    for (int i = 1; i <= 5; i++) {
        char text[32];
        snprintf(text, sizeof(text), "{\"n\":%d}", i);
        assert_int_equal(put(p.table, "a", text), 0);
    }
    process_wait_settled(&p);
    uint64_t second = message_of(p.table, "a", 2);
    uint64_t third = message_of(p.table, "a", 3);
    memstore_delete_as(s, table_history_id(p.table), second);
    memstore_delete_as(s, table_history_id(p.table), third);
    memstore_quiet(s);
    assert_history(p.table, "a",
                   "-3 4:{\"id\":\"a\",\"n\":4} 5:{\"id\":\"a\",\"n\":5}");
    assert_int_equal(table_version_wait(p.table, "a", 1, 3, &v, &err), -ENOENT);
    assert_non_null(strstr(err.text, "is 4"));
    process_stop(&p);
}

/* The newest version is in memory, whatever became of its message. */
static void the_newest_version_needs_no_request(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct version v;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    uint64_t second = message_of(p.table, "a", 2);
    memstore_delete_as(s, table_history_id(p.table), second);
    memstore_quiet(s);
    memstore_reset_counts(s);
    assert_int_equal(table_version_wait(p.table, "a", 1, 2, &v, &err), 0);
    assert_string_equal(v.text->data, "{\"id\":\"a\",\"n\":2}\n");
    assert_int_equal(v.message, second);
    version_release(&v);
    assert_int_equal(memstore_count_all(s), 0);
    assert_int_equal(table_version_wait(p.table, "a", 1, 3, &v, &err), -ENOENT);
    assert_int_equal(table_version_wait(p.table, "a", 1, 0, &v, &err), -ENOENT);
    assert_history(p.table, "a", "-1 2:{\"id\":\"a\",\"n\":2}");
    process_stop(&p);
}

static void going_back_is_one_commit(void **state)
{
    struct memstore *s = *state;
    struct process p;
    bool changed;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(restore(p.table, "a", 1, &changed), 0);
    assert_true(changed);
    assert_int_equal(version_of(p.table, "a"), 3);
    memstore_reset_counts(s);
    assert_int_equal(restore(p.table, "a", 3, &changed), 0);
    assert_false(changed);
    assert_int_equal(restore(p.table, "a", 1, &changed), 0);
    assert_false(changed);
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);

    /* A row that was deleted, too; but not to its deletion. */
    assert_int_equal(drop_row(p.table, "a"), 0);
    assert_int_equal(restore(p.table, "a", 4, &changed), -EINVAL);
    assert_int_equal(restore(p.table, "a", 9, &changed), -ENOENT);
    assert_int_equal(restore(p.table, "a", 2, &changed), 0);
    assert_true(changed);
    assert_history(p.table, "a",
                   "1:{\"id\":\"a\",\"n\":1} 2:{\"id\":\"a\",\"n\":2} "
                   "3:{\"id\":\"a\",\"n\":1} 4:gone 5:{\"id\":\"a\",\"n\":2}");
    process_stop(&p);
}

static void no_answer_is_no_history(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct history h;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    memstore_fail(s, REMOTE_LIST, 1, -ETIMEDOUT, false);
    assert_int_equal(table_history_wait(p.table, "a", 1, &h, &err), -ETIMEDOUT);
    assert_non_null(strstr(err.text, "history of 'a'"));
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_version_is_there),
        CASE(neighbours_share_a_request),
        CASE(distant_versions_cost_a_request_each),
        CASE(a_row_of_one_version_costs_one_request),
        CASE(what_never_was_has_no_history),
        CASE(batches_are_fetched_once),
        CASE(a_renamed_row_has_two_histories),
        CASE(large_texts_are_fetched_when_asked_for),
        CASE(what_lost_is_not_shown),
        CASE(damage_hides_one_version),
        CASE(a_damaged_batch_hides_what_was_in_it),
        CASE(a_message_that_is_gone_hides_one_version),
        CASE(removed_versions_are_told_as_removed),
        CASE(the_newest_version_needs_no_request),
        CASE(going_back_is_one_commit),
        CASE(no_answer_is_no_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
