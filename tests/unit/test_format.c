/* Rows as JSON, NDJSON, CSV, TSV and columns. */
#include "engine/format.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/buf.h"

static int collect(void *arg, const char *data, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, data, len);
    return 0;
}

/* learn: the rows are gone through twice, and not kept. */
static void assert_written(enum format format, bool many, bool learn,
                           const char *const *rows, const char *expected)
{
    struct buf out = BUF_INIT;
    struct format_writer *w = format_writer_new(format, many, collect, &out);

    for (size_t i = 0; learn && rows[i]; i++)
        format_learn(w, rows[i], strlen(rows[i]));
    for (; *rows; rows++)
        assert_int_equal(format_row(w, *rows, strlen(*rows), NULL), 0);
    assert_int_equal(format_end(w, NULL), 0);
    assert_string_equal(out.data ? out.data : "", expected);
    format_writer_free(w);
    buf_release(&out);
}

static void assert_formatted(enum format format, bool many,
                             const char *const *rows, const char *expected)
{
    assert_written(format, many, false, rows, expected);
    assert_written(format, many, true, rows, expected);
}

#define ROWS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_ROWS ((const char *const[]){NULL})

static void one_object_keeps_its_bytes(void **state)
{
    (void)state;
    assert_formatted(FORMAT_JSON, false, ROWS("{\n \"a\" : 1.0 }\n"),
                     "{\n \"a\" : 1.0 }\n");
}

static void many_objects_are_an_array(void **state)
{
    (void)state;
    assert_formatted(FORMAT_JSON, true, ROWS("{\"a\":1}", "{\"a\":2}\n"),
                     "[\n{\"a\":1},\n{\"a\":2}\n]\n");
    assert_formatted(FORMAT_JSON, true, NO_ROWS, "[]\n");
}

static void ndjson_is_one_line_a_row(void **state)
{
    (void)state;
    assert_formatted(FORMAT_NDJSON, true,
                     ROWS("{\n\"a\":\"x\\ny\"\r\n}\n", "{\"b\":2}"),
                     "{ \"a\":\"x\\ny\"  }\n{\"b\":2}\n");
    assert_formatted(FORMAT_NDJSON, true, NO_ROWS, "");
}

static void csv_quotes_what_needs_it(void **state)
{
    (void)state;
    assert_formatted(
        FORMAT_CSV, true,
        ROWS("{\"id\":\"1\",\"t\":\"a,b\"}",
             "{\"id\":\"2\",\"t\":\"say \\\"hi\\\"\\nthere\"}",
             "{\"id\":\"3\",\"t\":\"\"}", "{\"id\":\"4\",\"t\":null}",
             "{\"id\":\"5\",\"new\":[1,2],\"t\":\" x\"}"),
        "id,t,new\n\"1\",\"a,b\",\n\"2\",\"say \"\"hi\"\"\nthere\",\n"
        "\"3\",\"\",\n\"4\",,\n\"5\",\" x\",\"[1,2]\"\n");
}

static void tsv_escapes(void **state)
{
    (void)state;
    assert_formatted(
        FORMAT_TSV, true,
        ROWS("{\"a\":\"x\\ty\\n\\\\\",\"b\":1.50}", "{\"b\":true}"),
        "a\tb\nx\\ty\\n\\\\\t1.50\n\ttrue\n");
}

static void columns_line_up_by_characters(void **state)
{
    (void)state;
    assert_formatted(FORMAT_TABLE, true,
                     ROWS("{\"key\":\"äöü\",\"n\":1}", "{\"key\":\"x\","
                                                       "\"n\":22}"),
                     "key  n\näöü  1\nx    22\n");
}

/* What a row holds must not reach the terminal as a control sequence. */
static void columns_hold_no_control_characters(void **state)
{
    (void)state;
    assert_formatted(FORMAT_TABLE, true,
                     ROWS("{\"a\\u001b\":\"\\u001b[2J\\u009b\\n\"}"),
                     "a\\u001b\n\\u001b[2J\\u009b\\n\n");
}

static int refuse(void *arg, const char *data, size_t len, struct err *err)
{
    (void)arg;
    (void)data;
    (void)len;
    return err_set(err, -EPIPE, "gone");
}

static void a_writer_that_fails_ends_it(void **state)
{
    (void)state;
    struct format_writer *w =
        format_writer_new(FORMAT_NDJSON, true, refuse, NULL);
    assert_int_equal(format_row(w, "{}", 2, NULL), -EPIPE);
    format_writer_free(w);

    w = format_writer_new(FORMAT_CSV, true, refuse, NULL);
    assert_int_equal(format_row(w, "{\"a\":1}", 7, NULL), 0);
    assert_int_equal(format_end(w, NULL), -EPIPE);
    format_writer_free(w);
}

static void a_field_that_was_not_learned_is_an_error(void **state)
{
    struct buf out = BUF_INIT;
    struct format_writer *w =
        format_writer_new(FORMAT_CSV, true, collect, &out);

    (void)state;
    format_learn(w, "{\"a\":1}", 7);
    assert_int_equal(format_row(w, "{\"a\":1}", 7, NULL), 0);
    assert_int_equal(format_row(w, "{\"b\":1}", 7, NULL), -ESTALE);
    format_writer_free(w);
    buf_release(&out);
}

static void names_are_known(void **state)
{
    enum format f;

    (void)state;
    assert_true(format_parse("tsv", &f));
    assert_int_equal(f, FORMAT_TSV);
    assert_false(format_parse("yaml", &f));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_object_keeps_its_bytes),
        cmocka_unit_test(many_objects_are_an_array),
        cmocka_unit_test(ndjson_is_one_line_a_row),
        cmocka_unit_test(csv_quotes_what_needs_it),
        cmocka_unit_test(tsv_escapes),
        cmocka_unit_test(columns_line_up_by_characters),
        cmocka_unit_test(columns_hold_no_control_characters),
        cmocka_unit_test(a_writer_that_fails_ends_it),
        cmocka_unit_test(a_field_that_was_not_learned_is_an_error),
        cmocka_unit_test(names_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
