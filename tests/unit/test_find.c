/* Finding among the rows of a table, whichever way is taken. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/find.h"
#include "tests/lib/world.h"

/* --- helpers -------------------------------------------------------------- */

struct world {
    struct memstore *store;
    struct process p, other;
    struct table *table; /* of the process that finds */
    struct find_report report;
    struct find_options options;
    struct err err;

    struct buf keys; /* of what was found, each with a blank behind it */
    size_t rows, texts, enough;
    int answer;                    /* of the callback, when it is enough */
    void (*then)(struct world *w); /* done at the first row */
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->store = memstore_new();
    process_start(&w->p, w->store);
    w->table = w->p.table;
    w->options.report = &w->report;
    w->enough = SIZE_MAX;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    buf_release(&w->keys);
    if (w->other.engine)
        process_stop(&w->other);
    process_stop(&w->p);
    memstore_free(w->store);
    free(w);
    return 0;
}

static int take(void *arg, struct row *row, const char *text, size_t len,
                struct err *err)
{
    struct world *w = arg;

    (void)err;
    if (text) {
        assert_int_equal(len, row->text_len);
        assert_int_equal(text[len - 1], '\n');
        w->texts++;
    }
    buf_add(&w->keys, row_key(row), row->key_len);
    buf_addc(&w->keys, ' ');
    if (w->rows++ == 0 && w->then)
        w->then(w);
    return w->rows >= w->enough ? w->answer : 0;
}

static struct query *query(struct world *w, const char *where, const char *sort)
{
    struct schema *s = table_schema(w->p.table);
    struct query *q = query_new(s);
    struct err err = ERR_INIT;

    schema_unref(s);
    if (query_add_where(q, where, strlen(where), &err) < 0 ||
        (sort && query_add_sort(q, sort, strlen(sort), &err) < 0))
        fail_msg("%s", err.text);
    return q;
}

static int find_with(struct world *w, struct query *q)
{
    buf_reset(&w->keys);
    w->rows = w->texts = 0;
    int r = table_find_wait(w->table, q, &w->options, take, w, &w->err);
    query_unref(q);
    return r;
}

static int find(struct world *w, const char *where, const char *sort)
{
    return find_with(w, query(w, where, sort));
}

static void assert_keys(struct world *w, const char *keys)
{
    assert_string_equal(w->keys.len ? w->keys.data : "", keys);
}

static void put_rows(struct world *w, int n)
{
    char key[16], text[96];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text),
                 "{\"id\":\"k%d\",\"n\":%d,\"role\":\"r%d\"}", i, i, i % 3);
        assert_int_equal(put(w->p.table, key, text), 0);
    }
}

/* One that has just come is to find. */
static void by_another(struct world *w)
{
    process_start(&w->other, w->store);
    w->table = w->other.table;
}

static void by_a_command(struct world *w)
{
    process_start_cold(&w->other, w->store);
    w->table = w->other.table;
}

static void index_field(struct world *w, const char *field)
{
    assert_int_equal(table_index_create(w->p.table, field, false, &w->err), 0);
}

/* --- ways ----------------------------------------------------------------- */

static void with_and_without_an_index_the_rows_are_the_same(void **state)
{
    struct world *w = *state;

    put_rows(w, 12);
    assert_int_equal(find(w, "{\"role\":\"r1\"}", NULL), 0);
    assert_keys(w, "k1 k4 k7 k10 ");
    assert_int_equal(w->report.how, FIND_SCAN);
    assert_int_equal(w->report.examined, 12);
    index_field(w, "role");
    assert_int_equal(find(w, "{\"role\":\"r1\"}", NULL), 0);
    assert_keys(w, "k1 k4 k7 k10 ");
    assert_int_equal(w->report.how, FIND_INDEX);
    assert_int_equal(w->report.examined, 4);
    assert_int_equal(w->report.requests, 0);

    /* Of several values the rows come mixed, each once. */
    assert_int_equal(
        find(w, "{\"role\":{\"$in\":[\"r2\",\"r0\",\"r2\"]}}", NULL), 0);
    assert_keys(w, "k0 k2 k3 k5 k6 k8 k9 k11 ");
    assert_int_equal(find(w, "{\"role\":\"r1\",\"n\":{\"$gt\":4}}", "-n"), 0);
    assert_keys(w, "k10 k7 ");
}

static void an_index_follows_the_rows(void **state)
{
    struct world *w = *state;

    index_field(w, "role");
    put_rows(w, 6);
    put(w->p.table, "k1", "{\"id\":\"k1\",\"role\":\"r2\"}");
    drop_row(w->p.table, "k5");
    assert_int_equal(find(w, "{\"role\":\"r2\"}", NULL), 0);
    assert_keys(w, "k1 k2 ");
    assert_int_equal(find(w, "{\"role\":\"r1\"}", NULL), 0);
    assert_keys(w, "k4 ");
}

static void keys_come_in_the_order_of_creation(void **state)
{
    struct world *w = *state;

    put_rows(w, 6);
    assert_int_equal(
        find(w, "{\"id\":{\"$in\":[\"k5\",\"no\",\"k0\",\"k5\"]}}", NULL), 0);
    assert_keys(w, "k0 k5 ");
    assert_int_equal(w->report.how, FIND_KEY);
    assert_int_equal(find(w, "{\"id\":\"k3\",\"role\":\"r9\"}", NULL), 0);
    assert_keys(w, "");
}

static void drop_index(struct world *w)
{
    assert_int_equal(table_index_drop(w->p.table, "role", &w->err), 0);
}

/* More rows than one chunk has. */
static void an_index_that_goes_under_way_is_not_missed(void **state)
{
    struct world *w = *state;
    char key[16], text[96];
    struct writes ws;

    index_field(w, "role");
    writes_init(&ws);
    for (int i = 0; i < 900; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"id\":\"k%d\",\"role\":\"r%d\"}", i,
                 i % 2);
        writes_put(&ws, w->p.table, key, text);
    }
    writes_wait(&ws);
    w->then = drop_index;
    assert_int_equal(find(w, "{\"role\":\"r1\"}", NULL), 0);
    assert_int_equal(w->rows, 450);
    assert_int_equal(w->report.how, FIND_SCAN);
    w->then = NULL;
    index_field(w, "role");
    w->then = drop_index;
    assert_int_equal(find(w, "{\"role\":{\"$in\":[\"r0\",\"r1\"]}}", NULL), 0);
    assert_int_equal(w->rows, 900);
}

/* --- ends ----------------------------------------------------------------- */

static void the_caller_may_stop_it(void **state)
{
    struct world *w = *state;

    put_rows(w, 8);
    w->enough = 3;
    w->answer = 1;
    assert_int_equal(find(w, "{}", NULL), 0);
    assert_keys(w, "k0 k1 k2 ");
    assert_int_equal(find(w, "{}", "-n"), 0);
    assert_keys(w, "k7 k6 k5 ");
    w->answer = -EPIPE;
    assert_int_equal(find(w, "{}", NULL), -EPIPE);
    assert_int_equal(find(w, "{}", "n"), -EPIPE);
}

static atomic_bool cancel;

static void give_up(struct world *w)
{
    (void)w;
    atomic_store(&cancel, true);
}

static void who_has_had_enough_is_heard(void **state)
{
    struct world *w = *state;
    char big[4000];

    w->options.cancel = &cancel;
    atomic_store(&cancel, true);
    put_rows(w, 3);
    assert_int_equal(find(w, "{}", NULL), -EINTR);
    /* While a text is on its way that never comes. */
    snprintf(big, sizeof(big), "{\"id\":\"big\",\"pad\":\"%03000d\"}", 0);
    put(w->p.table, "big", big);
    atomic_store(&cancel, false);
    by_another(w);
    memstore_hold(w->store, REMOTE_DOWNLOAD, true);
    w->then = give_up;
    assert_int_equal(find(w, "{}", NULL), -EINTR);
    assert_keys(w, "k0 k1 k2 ");
    memstore_hold(w->store, REMOTE_DOWNLOAD, false);
    memstore_quiet(w->store);
}

/* --- large rows ----------------------------------------------------------- */

static void put_large(struct world *w, int n)
{
    char key[16], text[4000];

    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text),
                 "{\"id\":\"k%d\",\"pad\":\"%03000d\",\"role\":\"r%d\"}", i, i,
                 i % 3);
        assert_int_equal(put(w->p.table, key, text), 0);
    }
}

static void texts_that_are_attachments_are_looked_into(void **state)
{
    struct world *w = *state;

    put_large(w, 40);
    by_another(w); /* who has no text yet */
    memstore_reset_counts(w->store);
    assert_int_equal(find(w, "{\"role\":\"r1\"}", "-id"), 0);
    assert_int_equal(w->rows, 13);
    assert_int_equal(w->texts, 13);
    assert_int_equal(memstore_count(w->store, REMOTE_DOWNLOAD), 40);
}

static void texts_that_nobody_looks_at_are_not_fetched(void **state)
{
    struct world *w = *state;
    uint64_t n;

    put_large(w, 5);
    by_another(w);
    memstore_reset_counts(w->store);
    w->options.no_texts = true;
    assert_int_equal(find(w, "{}", NULL), 0);
    assert_int_equal(w->rows, 5);
    assert_int_equal(w->texts, 0);
    struct query *q = query(w, "{}", NULL);
    assert_int_equal(table_count_wait(w->table, q, NULL, &n, &w->err), 0);
    assert_int_equal(n, 5);
    assert_int_equal(query_add_skip(q, "1", 1, NULL), 0);
    assert_int_equal(query_add_limit(q, "3", 1, NULL), 0);
    assert_int_equal(table_count_wait(w->table, q, NULL, &n, &w->err), 0);
    assert_int_equal(n, 3);
    query_unref(q);
    assert_int_equal(memstore_count(w->store, REMOTE_DOWNLOAD), 0);
}

static void an_attachment_that_cannot_be_had_is_an_error(void **state)
{
    struct world *w = *state;

    put_large(w, 3);
    by_another(w);
    memstore_damage_file(w->store, table_id(w->table), home_of(w->table, "k1"));
    assert_int_equal(find(w, "{\"role\":\"r9\"}", NULL), -EBADMSG);
    assert_non_null(strstr(w->err.text, "k1"));
}

/* --- a table that is not open --------------------------------------------- */

static void a_table_is_opened_where_rows_must_stay(void **state)
{
    struct world *w = *state;

    put_rows(w, 3);
    by_a_command(w);
    w->options.resident = true;
    assert_int_equal(find(w, "{\"id\":\"k1\"}", NULL), 0);
    assert_keys(w, "k1 ");
    assert_true(table_is_open(w->table));
    assert_int_equal(w->report.how, FIND_KEY);
}

static void requests_are_counted(void **state)
{
    struct world *w = *state;

    put_rows(w, 3);
    by_a_command(w);
    memstore_reset_counts(w->store);
    assert_int_equal(find(w, "{\"n\":{\"$gt\":0}}", NULL), 0);
    assert_keys(w, "k1 k2 ");
    assert_int_equal(w->report.list[w->report.choice].way, FIND_OPEN);
    assert_int_equal(w->report.requests, memstore_count_all(w->store));
    assert_in_range(w->report.requests, 1, 3);
    assert_int_equal(find(w, "{\"n\":{\"$gt\":0}}", NULL), 0);
    assert_int_equal(w->report.requests, 0);
}

static void a_row_is_got_without_a_query(void **state)
{
    struct world *w = *state;

    put_rows(w, 3);
    assert_int_equal(
        table_get_wait(w->p.table, "k2", 2, &w->options, take, w, &w->err), 0);
    assert_keys(w, "k2 ");
    assert_int_equal(
        table_get_wait(w->p.table, "no", 2, &w->options, take, w, &w->err),
        -ENOENT);
    assert_string_equal(w->err.text, "no row 'no' in table 'users'");
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(with_and_without_an_index_the_rows_are_the_same),
        TEST(an_index_follows_the_rows),
        TEST(keys_come_in_the_order_of_creation),
        TEST(an_index_that_goes_under_way_is_not_missed),
        TEST(the_caller_may_stop_it),
        TEST(who_has_had_enough_is_heard),
        TEST(texts_that_are_attachments_are_looked_into),
        TEST(texts_that_nobody_looks_at_are_not_fetched),
        TEST(an_attachment_that_cannot_be_had_is_an_error),
        TEST(a_table_is_opened_where_rows_must_stay),
        TEST(requests_are_counted),
        TEST(a_row_is_got_without_a_query),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
