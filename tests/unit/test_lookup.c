/* Rows found by a search that cannot be relied on: what is given is right, or
 * nothing is given. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/lookup.h"
#include "engine/message_text.h"
#include "engine/snapshot.h"
#include "engine/snapshot_text.h"
#include "engine/token.h"
#include "tests/lib/world.h"

/* --- helpers -------------------------------------------------------------- */

struct world {
    struct memstore *store;
    struct process writer; /* has the table open */
    struct process cold;   /* a one-shot command */
    struct find_facts facts;
    struct lookup *lk;
    struct err err;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->store = memstore_new();
    process_start(&w->writer, w->store);
    process_start_cold(&w->cold, w->store);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    lookup_free(w->lk);
    process_stop(&w->cold);
    process_stop(&w->writer);
    memstore_free(w->store);
    free(w);
    return 0;
}

static void look(struct world *w)
{
    lookup_free(w->lk);
    w->lk = lookup_new(w->cold.table, NULL);
    w->facts = (struct find_facts){0};
    w->err = ERR_INIT;
    assert_int_equal(lookup_look(w->lk, &w->facts, &w->err), 0);
}

static int by_key(struct world *w, const char *key)
{
    look(w);
    return lookup_key(w->lk, key, strlen(key), &w->err);
}

static struct query *where(struct world *w, const char *json)
{
    struct schema *s = table_schema(w->cold.table);
    struct query *q = query_new(s);

    assert_int_equal(query_add_where(q, json, strlen(json), NULL), 0);
    schema_unref(s);
    return q;
}

/* Rows with this value, at most `wanted`. */
static int by_value(struct world *w, const char *json, size_t wanted)
{
    struct query *q = where(w, json);
    const struct query_term *t = query_term_at(q, 0);

    look(w);
    int r = lookup_some(w->lk, t, &t->values[0], wanted, q, &w->err);
    query_unref(q);
    return r;
}

static int by_unique(struct world *w, const char *json)
{
    struct query *q = where(w, json);
    const struct query_term *t = query_term_at(q, 0);

    look(w);
    int r = lookup_unique(w->lk, t, &t->values[0], &w->err);
    query_unref(q);
    return r;
}

static void assert_found(struct world *w, size_t i, const char *key,
                         const char *text)
{
    size_t n;
    const struct found_row *list = lookup_found(w->lk, &n);

    assert_in_range(i, 0, n - 1);
    assert_string_equal(row_key(list[i].row), key);
    assert_int_equal(list[i].text->len, strlen(text) + 1);
    assert_memory_equal(list[i].text->data, text, strlen(text));
}

static void search_is(struct world *w, struct memstore_search how)
{
    memstore_set_search(w->store, &how);
}

/* --- one row -------------------------------------------------------------- */

static void a_row_is_found_with_all_that_is_known_of_it(void **state)
{
    struct world *w = *state;
    size_t n;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    assert_int_equal(by_key(w, "a"), 0);
    assert_found(w, 0, "a", "{\"id\":\"a\",\"n\":1}");
    const struct row *row = lookup_found(w->lk, &n)->row;
    struct row *real = row_find(w->writer.table, "a", 1);
    assert_int_equal(n, 1);
    assert_int_equal(row->version, 1);
    assert_int_equal(row->id, real->id);
    assert_int_equal(row->home, real->home);
    assert_int_equal(row->at_ms, real->at_ms);
    assert_string_equal(row->by, real->by);
    row_unref(real);
}

static void a_later_version_is_found_once_its_message_shows_it(void **state)
{
    struct world *w = *state;
    size_t n;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":2}");
    process_wait_settled(&w->writer);
    assert_int_equal(by_key(w, "a"), 0);
    assert_found(w, 0, "a", "{\"id\":\"a\",\"n\":2}");
    assert_int_equal(lookup_found(w->lk, &n)->row->version, 2);
}

static void what_is_not_found_proves_nothing(void **state)
{
    struct world *w = *state;

    assert_int_equal(by_key(w, "a"), -ENODATA);
    search_is(w, (struct memstore_search){.lag = true});
    put(w->writer.table, "a", "{\"id\":\"a\"}");
    assert_int_equal(by_key(w, "a"), -ENODATA);
    memstore_search_catch_up(w->store);
    assert_int_equal(by_key(w, "a"), 0);
}

static void an_index_that_is_not_ready_proves_nothing(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\"}");
    search_is(w, (struct memstore_search){.not_ready = true});
    assert_int_equal(by_key(w, "a"), -ENODATA);
    /* What it does find while it is at work is as good as ever. */
    search_is(w, (struct memstore_search){.deep = true});
    assert_int_equal(by_key(w, "a"), 0);
}

static void a_refused_search_is_a_reason_to_open(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\"}");
    memstore_fail(w->store, REMOTE_SEARCH, 1, -EACCES, false);
    assert_int_equal(by_key(w, "a"), -ENODATA);
    assert_non_null(strstr(w->err.text, "search failed"));
}

/* --- what is stale -------------------------------------------------------- */

static void a_message_that_the_history_has_left_behind_is_no_row(void **state)
{
    struct world *w = *state;
    struct process slow;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    process_start_bare(&slow, w->store, false, 3600000);
    process_open_table(&slow);
    memstore_fail(w->store, REMOTE_EDIT, 100, -EIO, false);
    put(slow.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_int_equal(by_key(w, "a"), -ENODATA);
    memstore_fail(w->store, REMOTE_EDIT, 0, 0, false);
    process_kill(&slow);
}

static void a_deleted_row_that_is_still_found_is_no_row(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\"}");
    search_is(w, (struct memstore_search){.stale = true});
    drop_row(w->writer.table, "a");
    process_wait_settled(&w->writer);
    assert_int_equal(by_key(w, "a"), -ENODATA);
}

static void a_row_that_was_made_anew_is_the_new_one(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    search_is(w, (struct memstore_search){.stale = true});
    drop_row(w->writer.table, "a");
    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":2}");
    process_wait_settled(&w->writer);
    int r = by_key(w, "a");
    if (r == 0)
        assert_found(w, 0, "a", "{\"id\":\"a\",\"n\":2}");
    else
        assert_int_equal(r, -ENODATA);
}

static void a_value_the_row_has_no_more_does_not_find_it(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\",\"role\":\"x\"}");
    search_is(w, (struct memstore_search){.lag = true});
    put(w->writer.table, "a", "{\"id\":\"a\",\"role\":\"y\"}");
    process_wait_settled(&w->writer);
    assert_int_equal(by_value(w, "{\"role\":\"x\"}", 1), -ENODATA);
}

/* --- what is void --------------------------------------------------------- */

/* A row's message as another process would have posted it. */
static uint64_t plant(struct world *w, const char *key, const char *text)
{
    struct message_builder b = {.find_tokens = true};
    struct remote_draft draft = {0};
    AUTO_BUF struct buf storage = BUF_INIT;
    struct record r = {
        .verb = RECORD_PUT,
        .version = 1,
        .at_ms = 1795391494123,
        .mtime_ms = 1795391494123,
        .key = key,
        .key_len = strlen(key),
        .by = "planted",
        .by_len = 7,
        .text = text,
        .text_len = strlen(text),
    };

    message_add(&b, &r);
    assert_int_equal(message_finish(&b, 1 << 20, &draft, &storage, NULL), 0);
    assert_int_equal(draft.n_files, 0);
    uint64_t id = memstore_post_as(w->store, table_id(w->cold.table),
                                   memstore_self(w->store), draft.content.data);
    remote_draft_release(&draft);
    message_builder_release(&b);
    return id;
}

static void of_two_with_one_key_the_later_is_not_taken(void **state)
{
    struct world *w = *state;

    memstore_hold_events(w->writer.remote, true);
    search_is(w, (struct memstore_search){.drop_every = 1});
    plant(w, "a", "{\"id\":\"a\",\"who\":\"first\"}");
    search_is(w, (struct memstore_search){0});
    plant(w, "a", "{\"id\":\"a\",\"who\":\"second\"}");
    assert_int_equal(by_key(w, "a"), -ENODATA);
    memstore_hold_events(w->writer.remote, false);
    memstore_quiet(w->store);
}

static void of_two_with_one_unique_value_the_later_is_not_taken(void **state)
{
    struct world *w = *state;
    static const char text[] =
        "{\"pk\":\"id\",\"indexes\":{\"email\":{\"unique\":true}}}";
    struct schema *s;
    struct err err = ERR_INIT;

    assert_int_equal(schema_parse(text, strlen(text), &s, &err), 0);
    assert_int_equal(table_schema_set(w->writer.table, s, false, &err), 0);
    schema_unref(s);
    process_stop(&w->cold);
    process_start_cold(&w->cold, w->store);

    memstore_hold_events(w->writer.remote, true);
    search_is(w, (struct memstore_search){.drop_every = 1});
    plant(w, "a", "{\"id\":\"a\",\"email\":\"x\"}");
    search_is(w, (struct memstore_search){0});
    plant(w, "b", "{\"id\":\"b\",\"email\":\"x\"}");
    plant(w, "c", "{\"id\":\"c\",\"email\":\"y\"}");
    assert_int_equal(by_unique(w, "{\"email\":\"x\"}"), -ENODATA);
    assert_int_equal(by_key(w, "b"), -ENODATA);
    assert_int_equal(by_unique(w, "{\"email\":\"y\"}"), 0);
    assert_found(w, 0, "c", "{\"id\":\"c\",\"email\":\"y\"}");
    memstore_hold_events(w->writer.remote, false);
    memstore_quiet(w->store);
}

static void too_much_around_the_same_time_proves_nothing(void **state)
{
    struct world *w = *state;
    char key[16], text[64];

    memstore_hold_events(w->writer.remote, true);
    for (int i = 0; i < 150; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"id\":\"k%d\"}", i);
        plant(w, key, text);
    }
    assert_int_equal(by_key(w, "k149"), -ENODATA);
    assert_int_equal(by_key(w, "k5"), 0);
    memstore_hold_events(w->writer.remote, false);
    memstore_quiet(w->store);
}

/* --- behind a snapshot ---------------------------------------------------- */

/* Says that all is up to date up to `settled`. */
static void plant_snapshot(struct world *w, uint64_t settled)
{
    struct snapshot_head h = {
        .rows = 1,
        .bytes = 1,
        .cut = settled,
        .upto = {settled, settled},
        .settled = settled,
        .at_ms = 1795391494123,
        .by = "planted",
        .by_len = 7,
        .file_name = "users.ndjson.gz",
        .file_name_len = 15,
    };
    struct remote_draft draft = {0};
    struct remote_request req = {
        .op = REMOTE_POST,
        .channel = table_history_id(w->cold.table),
    };
    struct remote_reply reply;
    struct err err = ERR_INIT;

    assert_true(snapshot_build(&h, "packed", 6, &draft));
    req.draft = draft;
    assert_int_equal(remote_run(w->cold.remote, &req, &reply, &err), 0);
    remote_reply_release(&reply);
    snapshot_head_release(&h);
}

static void many_hits_are_read_page_by_page(void **state)
{
    struct world *w = *state;
    char key[16], text[64];
    enum { N = 120 };
    uint64_t last = 0;

    memstore_hold_events(w->writer.remote, true);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"id\":\"k%d\",\"role\":\"x\"}", i);
        last = plant(w, key, text);
    }
    plant_snapshot(w, last);
    memstore_reset_counts(w->store);
    assert_int_equal(by_value(w, "{\"role\":\"x\"}", 60), 0);
    assert_int_equal(w->facts.seen, FIND_SEEN_SNAPSHOT);
    assert_int_equal(memstore_count(w->store, REMOTE_SEARCH), 3);
    /* The thread, and the channel behind the snapshot. */
    assert_int_equal(memstore_count(w->store, REMOTE_LIST), 2);
    for (size_t i = 0; i < 60; i++) {
        snprintf(key, sizeof(key), "k%zu", N - 60 + i);
        snprintf(text, sizeof(text), "{\"id\":\"%s\",\"role\":\"x\"}", key);
        assert_found(w, i, key, text);
    }

    /* Whatever the order, none is given twice, and none that is not there. */
    search_is(w, (struct memstore_search){.reorder = true});
    int r = by_value(w, "{\"role\":\"x\"}", 60);
    size_t n;
    const struct found_row *list = lookup_found(w->lk, &n);
    assert_true(r == 0 || r == -ENODATA);
    assert_true(r < 0 || n == 60);
    for (size_t i = 1; i < n; i++)
        assert_true(list[i - 1].row->home < list[i].row->home);
    memstore_hold_events(w->writer.remote, false);
    memstore_quiet(w->store);
}

static void more_hits_than_any_offset_reaches(void **state)
{
    struct world *w = *state;
    char key[16], text[64];
    enum { N = 10100 };
    uint64_t last = 0;
    size_t n;

    memstore_lose_events(w->writer.remote, true);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"id\":\"k%d\",\"role\":\"x\"}", i);
        last = plant(w, key, text);
    }
    plant_snapshot(w, last);
    assert_int_equal(by_value(w, "{\"role\":\"x\"}", N), 0);
    lookup_found(w->lk, &n);
    assert_int_equal(n, N);
    assert_found(w, 0, "k0", "{\"id\":\"k0\",\"role\":\"x\"}");
    assert_int_equal(by_value(w, "{\"role\":\"x\"}", N + 1), -ENODATA);
}

static void what_came_behind_the_snapshot_is_looked_at(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    put(w->writer.table, "b", "{\"id\":\"b\",\"n\":1}");
    plant_snapshot(w, home_of(w->writer.table, "b"));
    assert_int_equal(by_key(w, "a"), 0);
    memstore_fail(w->store, REMOTE_EDIT, 1000, -EIO, false);
    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_int_equal(by_key(w, "a"), -ENODATA);
    assert_int_equal(by_key(w, "b"), 0);
    memstore_fail(w->store, REMOTE_EDIT, 0, 0, false);
}

static int take_one(void *arg, struct row *row, const char *text, size_t len,
                    struct err *err)
{
    (void)len, (void)err;
    buf_add(arg, row_key(row), row->key_len);
    buf_addstr(arg, text);
    return 0;
}

/* As a command does it: what is looked at first tells that opening would take
 * longer. */
static void a_huge_table_is_not_opened_for_a_row(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf text = BUF_INIT, got = BUF_INIT;
    struct find_report report;
    struct find_options o = {.report = &report};
    uint32_t random = 1;
    char key[16];

    memstore_lose_events(w->writer.remote, true);
    for (int i = 0; i < 8000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        buf_reset(&text);
        buf_printf(&text, "{\"id\":\"k%d\",\"role\":\"x\",\"noise\":\"", i);
        for (int k = 0; k < 60; k++) {
            random = random * 1664525 + 1013904223;
            buf_printf(&text, "%08x", (unsigned)random);
        }
        buf_addstr(&text, "\"}");
        plant(w, key, text.data);
    }
    memstore_lose_events(w->writer.remote, false);
    memstore_quiet(w->store);
    process_wait_idle(&w->writer);
    assert_int_equal(row_count(w->writer.table), 8000);
    assert_int_equal(
        table_snapshot_wait(w->writer.table, NULL, NULL, NULL, &w->err), 0);

    struct query *q = where(w, "{\"id\":\"k77\",\"role\":\"x\"}");
    assert_int_equal(
        table_find_wait(w->cold.table, q, &o, take_one, &got, &w->err), 0);
    query_unref(q);
    assert_int_equal(report.list[report.choice].way, FIND_SEARCH);
    assert_false(report.fell_back);
    assert_int_equal(report.how, FIND_SEARCH);
    assert_int_equal(report.requests, 3);
    assert_int_equal(report.returned, 1);
    assert_memory_equal(got.data, "k77{\"id\":\"k77\"", 14);
    assert_false(table_is_open(w->cold.table));

    /* And when it did not do. */
    buf_reset(&got);
    search_is(w, (struct memstore_search){.not_ready = true});
    assert_int_equal(
        table_get_wait(w->cold.table, "k78", 3, &o, take_one, &got, &w->err),
        0);
    assert_true(report.fell_back);
    assert_int_equal(report.how, FIND_KEY);
    assert_int_equal(report.requests, 3);
    assert_memory_equal(got.data, "k78{\"id\":\"k78\"", 14);
    assert_true(table_is_open(w->cold.table));
}

/* --- trouble -------------------------------------------------------------- */

static void a_damaged_neighbour_could_have_told_anything(void **state)
{
    struct world *w = *state;

    put(w->writer.table, "a", "{\"id\":\"a\",\"n\":1}");
    put(w->writer.table, "b", "{\"id\":\"b\",\"n\":1}");
    memstore_damage_content(w->store, table_id(w->cold.table),
                            home_of(w->writer.table, "a"));
    assert_int_equal(by_key(w, "a"), -ENODATA);
    assert_int_equal(by_key(w, "b"), -ENODATA);
    assert_non_null(strstr(w->err.text, "damaged"));
}

static void who_has_had_enough_is_heard(void **state)
{
    struct world *w = *state;
    static atomic_bool cancel;
    struct find_facts facts = {0};

    atomic_store(&cancel, true);
    memstore_hold(w->store, REMOTE_LIST, true);
    struct lookup *lk = lookup_new(w->cold.table, &cancel);
    assert_int_equal(lookup_look(lk, &facts, &w->err), -EINTR);
    lookup_free(lk);
    memstore_hold(w->store, REMOTE_LIST, false);
    memstore_quiet(w->store);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_row_is_found_with_all_that_is_known_of_it),
        TEST(a_later_version_is_found_once_its_message_shows_it),
        TEST(what_is_not_found_proves_nothing),
        TEST(an_index_that_is_not_ready_proves_nothing),
        TEST(a_refused_search_is_a_reason_to_open),
        TEST(a_message_that_the_history_has_left_behind_is_no_row),
        TEST(a_deleted_row_that_is_still_found_is_no_row),
        TEST(a_row_that_was_made_anew_is_the_new_one),
        TEST(a_value_the_row_has_no_more_does_not_find_it),
        TEST(of_two_with_one_key_the_later_is_not_taken),
        TEST(of_two_with_one_unique_value_the_later_is_not_taken),
        TEST(too_much_around_the_same_time_proves_nothing),
        TEST(many_hits_are_read_page_by_page),
        TEST(more_hits_than_any_offset_reaches),
        TEST(what_came_behind_the_snapshot_is_looked_at),
        TEST(a_huge_table_is_not_opened_for_a_row),
        TEST(a_damaged_neighbour_could_have_told_anything),
        TEST(who_has_had_enough_is_heard),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
