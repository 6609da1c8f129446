/* Files of rows, from the check to the batches; and out again. */
#include "engine/import.h"

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
#include "engine/export.h"
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

/* {"id":"k0","pad":"…"} of about 200 bytes each, from..to. */
static void make_rows(struct buf *b, int from, int to)
{
    for (int i = from; i < to; i++)
        buf_printf(b, "{\"id\":\"k%d\",\"n\":%d,\"pad\":\"%0160d\"}\n", i, i,
                   i);
}

static int import(struct table *t, const struct buf *file,
                  const struct import_options *o, struct import_result *out,
                  struct err *err)
{
    static const struct import_options none = {0};

    *err = ERR_INIT;
    int r = table_import_wait(t, file->data ? file->data : "", file->len,
                              o ? o : &none, out, err);
    assert_true(r == 0 || err->text[0]);
    return r;
}

static void set_schema(struct table *t, const char *text)
{
    struct schema *s;
    struct err err = ERR_INIT;

    assert_int_equal(schema_parse(text, strlen(text), &s, &err), 0);
    assert_int_equal(table_schema_set(t, s, false, &err), 0);
    schema_unref(s);
}

static int collect(void *arg, const char *data, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, data, len);
    return 0;
}

static void assert_exported(struct table *t, enum format format,
                            const char *expected)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct export_options o = {.format = format};
    struct err err = ERR_INIT;

    assert_int_equal(table_export_wait(t, &o, collect, &b, NULL, &err), 0);
    assert_string_equal(b.data ? b.data : "", expected);
}

/* 3000 rows of 300 bytes as records, 200 KiB a file: 5 messages in the channel,
 * or a few more since slices are estimated. */
static void a_file_goes_in_full_batches(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    memstore_set_max_file(s, 200 << 10);
    process_start(&p, s);
    make_rows(&file, 0, 3000);
    size_t before = memstore_messages(s, table_id(p.table));
    assert_int_equal(import(p.table, &file, NULL, &res, &err), 0);
    assert_int_equal(res.rows, 3000);
    assert_int_equal(res.inserted, 3000);
    assert_in_range(memstore_messages(s, table_id(p.table)) - before, 4, 9);
    import_result_release(&res);
    assert_exported(p.table, FORMAT_NDJSON, file.data);
    process_stop(&p);

    process_start(&p, s);
    assert_int_equal(row_count(p.table), 3000);
    before = memstore_messages(s, table_id(p.table));
    assert_int_equal(import(p.table, &file, NULL, &res, &err), 0);
    assert_int_equal(res.skipped, 3000);
    assert_int_equal(memstore_messages(s, table_id(p.table)), before);
    import_result_release(&res);
    process_stop(&p);
}

static void mistakes_write_nothing(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "taken", "{\"n\":1}"), 0);
    make_rows(&file, 0, 10);
    buf_addstr(&file, "{\"id\":\"k3\"}\n{\"id\":\"taken\",\"n\":2}\n{\"id\":}\n"
                      "{\"id\":\"taken2\",\"id\":\"taken2\"}");
    memstore_reset_counts(s);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), -EEXIST);
    assert_int_equal(res.errors, 4);
    assert_non_null(strstr(res.report.data, "line 11, column 7: the row in "
                                            "line 4 has the key 'k3' too\n"));
    assert_non_null(strstr(res.report.data, "line 12, column 7: there is a row "
                                            "'taken' with another text"));
    assert_non_null(strstr(res.report.data, "line 13, column 7: "));
    assert_non_null(strstr(res.report.data, "line 14, column 1: field 'id' is "
                                            "there twice\n"));
    assert_non_null(strstr(err.text, "3 more"));
    assert_non_null(strstr(err.text, "nothing was written"));
    assert_int_equal(memstore_count_all(s), 0);
    assert_int_equal(row_count(p.table), 1);
    import_result_release(&res);
    process_stop(&p);
}

static void rows_that_are_there_are_replaced_on_request(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    struct import_options o = {.upsert = true, .name = "x.csv"};
    AUTO_BUF struct buf file = BUF_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    buf_addstr(&file, "id,n\na,1\nb,2\nc,3\n");
    assert_int_equal(import(p.table, &file, &o, &res, &err), 0);
    assert_int_equal(res.skipped, 1);
    assert_int_equal(res.replaced, 1);
    assert_int_equal(res.inserted, 1);
    import_result_release(&res);
    assert_int_equal(version_of(p.table, "a"), 1);
    assert_int_equal(version_of(p.table, "b"), 2);
    assert_exported(p.table, FORMAT_CSV, "id,n\na,1\nb,2\nc,3\n");
    process_stop(&p);
}

/* The second of several batches fails for good. */
static void an_import_goes_on_where_it_failed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    memstore_set_max_file(s, 100 << 10);
    process_start(&p, s);
    make_rows(&file, 0, 1000);
    memstore_fail(s, REMOTE_POST, 1, -EACCES, false);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), -EACCES);
    assert_non_null(strstr(err.text, "0 of 1000 rows are in"));
    assert_int_equal(res.inserted, 0);
    import_result_release(&res);

    AUTO_BUF struct buf half = BUF_INIT;
    make_rows(&half, 0, 400);
    assert_int_equal(import(p.table, &half, NULL, &res, &err), 0);
    import_result_release(&res);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), 0);
    assert_int_equal(res.skipped, 400);
    assert_int_equal(res.inserted, 600);
    import_result_release(&res);
    assert_exported(p.table, FORMAT_NDJSON, file.data);
    process_stop(&p);
}

struct stop {
    struct memstore *store;
    uint64_t channel;
    size_t messages;
};

/* As soon as there are so many messages. */
static bool stop_after(void *arg)
{
    const struct stop *stop = arg;

    return memstore_messages(stop->store, stop->channel) >= stop->messages;
}

static void an_import_stops_between_two_batches(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    struct stop stop = {s, 0, 0};
    struct import_options o = {.stopped = stop_after, .arg = &stop};
    AUTO_BUF struct buf file = BUF_INIT;

    memstore_set_max_file(s, 100 << 10);
    process_start(&p, s);
    make_rows(&file, 0, 2000);
    stop.channel = table_id(p.table);
    stop.messages = memstore_messages(s, stop.channel) + 2;
    assert_int_equal(import(p.table, &file, &o, &res, &err), -EINTR);
    assert_int_equal(memstore_messages(s, stop.channel), stop.messages);
    assert_true(res.inserted > 0 && res.inserted < 2000);
    assert_int_equal(res.inserted, row_count(p.table));
    size_t in = res.inserted;
    import_result_release(&res);

    assert_int_equal(import(p.table, &file, NULL, &res, &err), 0);
    assert_int_equal(res.skipped, in);
    import_result_release(&res);
    assert_exported(p.table, FORMAT_NDJSON, file.data);
    process_stop(&p);
}

static void unique_values_are_checked_before_anything_is_written(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    process_start(&p, s);
    set_schema(p.table,
               "{\"pk\":\"id\",\"indexes\":{\"mail\":{\"unique\":true},"
               "\"a.b\":{\"unique\":true}}}");
    buf_addstr(&file, "{\"id\":\"1\",\"mail\":\"x\",\"a\":{\"b\":1}}\n"
                      "{\"id\":\"2\",\"mail\":\"x\"}\n"
                      "{\"id\":\"3\",\"mail\":null,\"a\":{\"b\":1.0}}\n"
                      "{\"id\":\"4\",\"mail\":null}\n{\"id\":\"5\"}\n");
    memstore_reset_counts(s);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), -EEXIST);
    assert_int_equal(res.errors, 2);
    assert_non_null(strstr(res.report.data, "line 2, column 18: field 'mail' "
                                            "must be unique, and the row in "
                                            "line 1"));
    assert_non_null(strstr(res.report.data, "line 3, column 32: field 'a.b'"));
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);
    import_result_release(&res);

    /* Against rows that are there; but what an earlier line replaces is free.
     */
    assert_int_equal(put(p.table, "there", "{\"mail\":\"y\"}"), 0);
    buf_reset(&file);
    buf_addstr(&file, "{\"id\":\"1\",\"mail\":\"y\"}\n"
                      "{\"id\":\"there\",\"mail\":\"z\"}\n");
    struct import_options o = {.upsert = true};
    assert_int_equal(import(p.table, &file, &o, &res, &err), -EEXIST);
    assert_int_equal(res.errors, 1);
    assert_non_null(strstr(res.report.data,
                           "line 1, column 18: field 'mail' must be unique, "
                           "and the row 'there' of the table"));
    import_result_release(&res);
    buf_reset(&file);
    buf_addstr(&file, "{\"id\":\"there\",\"mail\":\"z\"}\n"
                      "{\"id\":\"1\",\"mail\":\"y\"}\n");
    assert_int_equal(import(p.table, &file, &o, &res, &err), 0);
    assert_int_equal(row_count(p.table), 2);
    import_result_release(&res);
    process_stop(&p);
}

static void a_row_that_no_file_holds_is_a_mistake(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    memstore_set_max_file(s, 20 << 10);
    process_start(&p, s);
    make_rows(&file, 0, 3);
    buf_printf(&file, "{\"id\":\"big\",\"pad\":\"%030000d\"}\n", 1);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), -EFBIG);
    assert_non_null(strstr(err.text, "line 4"));
    assert_int_equal(row_count(p.table), 0);
    import_result_release(&res);
    process_stop(&p);
}

static void who_may_not_write_may_not_import(void **state)
{
    struct memstore *s = *state;
    struct process p, writer;
    struct import_result res;
    struct err err;
    AUTO_BUF struct buf file = BUF_INIT;

    process_start(&writer, s);
    process_start_bare(&p, s, true, 0);
    process_open_table(&p);
    make_rows(&file, 0, 1);
    assert_int_equal(import(p.table, &file, NULL, &res, &err), -EROFS);
    import_result_release(&res);
    process_stop(&p);
    process_stop(&writer);
}

/* Large rows among small ones, more than are fetched at a time; CSV goes
 * through them twice. */
static void large_rows_come_out_in_their_place(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char key[8], *text = xmalloc(6000);
    AUTO_BUF struct buf expected = BUF_INIT, csv = BUF_INIT;

    process_start(&p, s);
    buf_addstr(&csv, "id,pad\n");
    for (int i = 0; i < 30; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, 6000, "{\"id\":\"%s\",\"pad\":\"%c%0*d\"}", key,
                 'a' + i % 26, i % 3 ? 5000 : 5, i);
        assert_int_equal(put(p.table, key, text), 0);
        buf_printf(&expected, "%s\n", text);
        buf_printf(&csv, "%s,%c%0*d\n", key, 'a' + i % 26, i % 3 ? 5000 : 5, i);
    }
    process_stop(&p);
    process_start(&p, s);
    assert_exported(p.table, FORMAT_NDJSON, expected.data);
    assert_exported(p.table, FORMAT_CSV, csv.data);

    /* One that cannot be had ends it, and is named. */
    struct export_options o = {.format = FORMAT_NDJSON};
    struct err err = ERR_INIT;
    process_stop(&p);
    process_start(&p, s);
    memstore_fail(s, REMOTE_DOWNLOAD, 1, -EIO, false);
    buf_reset(&expected);
    assert_int_equal(
        table_export_wait(p.table, &o, collect, &expected, NULL, &err), -EIO);
    assert_non_null(strstr(err.text, "row 'k1'"));
    process_stop(&p);
    free(text);
}

/* Writes that say more is coming wait for the one that does not. */
static void writes_wait_for_those_right_behind(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    struct write what = {.kind = WRITE_PUT,
                         .key_len = 1,
                         .text = "{}",
                         .text_len = 2,
                         .more = true};

    process_start(&p, s);
    writes_init(&w);
    memstore_reset_counts(s);
    what.key = "a";
    writes_do(&w, p.table, &what, NULL);
    what.key = "b";
    writes_do(&w, p.table, &what, NULL);
    memstore_quiet(s);
    assert_int_equal(memstore_count(s, REMOTE_POST), 0);
    what.key = "c";
    what.more = false;
    writes_do(&w, p.table, &what, NULL);
    writes_wait(&w);
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);

    what.key = "d";
    what.more = true;
    writes_do(&w, p.table, &what, NULL);
    table_write_flush(p.table);
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    assert_int_equal(row_count(p.table), 4);
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_file_goes_in_full_batches),
        CASE(mistakes_write_nothing),
        CASE(rows_that_are_there_are_replaced_on_request),
        CASE(an_import_goes_on_where_it_failed),
        CASE(an_import_stops_between_two_batches),
        CASE(unique_values_are_checked_before_anything_is_written),
        CASE(a_row_that_no_file_holds_is_a_mistake),
        CASE(who_may_not_write_may_not_import),
        CASE(large_rows_come_out_in_their_place),
        CASE(writes_wait_for_those_right_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
