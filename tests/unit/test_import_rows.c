/* Rows out of files: what is taken, and where what is wrong stands. */
#include "engine/import_rows.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/csv.h"
#include "engine/json.h"

static const char definition[] =
    "{\"pk\":\"id\",\"properties\":{\"id\":\"str\",\"age\":\"int\","
    "\"on\":\"bool\",\"tags\":\"array\"}}";

/* All that is read, a line each: the row's text with its place, or the error
 * with its own. The bytes lie at the end of their memory, so that who reads
 * beyond is caught. */
static void read_all(enum import_format format, const char *data, size_t len,
                     struct buf *out)
{
    struct schema *schema = NULL;
    char *copy = xmalloc(len ? len : 1);
    struct import_row row;
    struct place at;
    struct err err = ERR_INIT;
    int r;

    memcpy(copy, data, len);
    assert_int_equal(
        schema_parse(definition, strlen(definition), &schema, &err), 0);
    struct import_reader *reader = import_reader_new(format, copy, len, schema);
    while ((r = import_reader_next(reader, &row, &at, &err)) != 0) {
        if (r > 0) {
            assert_int_equal(json_check(row.text, row.len, NULL), 0);
            buf_printf(out, "%zu:%zu %.*s\n", row.at.line, row.at.column,
                       (int)row.len, row.text);
            continue;
        }
        assert_true(err.text[0]);
        buf_printf(out, "%zu:%zu %s %s\n", at.line, at.column,
                   r == -EILSEQ   ? "bytes"
                   : r == -EINVAL ? "no row"
                                  : "lost",
                   err.text);
    }
    import_reader_free(reader);
    schema_unref(schema);
    free(copy);
}

static void assert_rows(enum import_format format, const char *data,
                        const char *expected)
{
    AUTO_BUF struct buf b = BUF_INIT;

    read_all(format, data, strlen(data), &b);
    assert_string_equal(b.data ? b.data : "", expected);
}

/* The sentence is looked for, not spelled out. */
static void assert_error(enum import_format format, const char *data,
                         const char *where, const char *words)
{
    AUTO_BUF struct buf b = BUF_INIT;

    read_all(format, data, strlen(data), &b);
    const char *at = b.data ? strstr(b.data, where) : NULL;
    if (!at || !strstr(at, words))
        fail_msg("expected '%s' and '%s' in:\n%s", where, words,
                 b.data ? b.data : "");
}

static void ndjson_has_a_row_a_line(void **state)
{
    (void)state;
    assert_rows(IMPORT_NDJSON, "{\"a\":1}\n\n  {\"b\" : \"}\"} \r\n{}",
                "1:1 {\"a\":1}\n3:3 {\"b\" : \"}\"}\n4:1 {}\n");
    assert_rows(IMPORT_NDJSON, "\xef\xbb\xbf{\"a\":1}\n", "1:1 {\"a\":1}\n");
    assert_rows(IMPORT_NDJSON, "", "");
    assert_rows(IMPORT_NDJSON, " \n\r\n", "");
}

/* A line that is none does not hide the next. */
static void ndjson_errors_have_their_place(void **state)
{
    (void)state;
    assert_error(IMPORT_NDJSON, "{\"a\":1}\n{\"a\":x}\n{\"b\":2}\n",
                 "2:6 no row", "3:1 {\"b\":2}");
    assert_error(IMPORT_NDJSON, "{\"a\":\n1}\n", "1:1 no row",
                 "not closed by the end of the line");
    assert_error(IMPORT_NDJSON, "{} {}\n{}", "1:4 no row", "2:1 {}");
    assert_error(IMPORT_NDJSON, "[1]\n{}", "1:1 no row", "2:1 {}");
    assert_error(IMPORT_NDJSON, "{\"\xc3\xa9\":\"\xff\"}\n", "1:7 bytes", "");
}

static void json_is_an_array_or_objects(void **state)
{
    (void)state;
    assert_rows(IMPORT_JSON, "[\n{\"a\":[{}]},\n {\n\"b\":1}\n]\n",
                "2:1 {\"a\":[{}]}\n3:2 {\n\"b\":1}\n");
    assert_rows(IMPORT_JSON, "{\"a\":1}{\"b\":2}\n{\"c\":3}",
                "1:1 {\"a\":1}\n1:8 {\"b\":2}\n2:1 {\"c\":3}\n");
    assert_rows(IMPORT_JSON, " [ ] ", "");
    assert_rows(IMPORT_JSON, "", "");
}

static void json_errors_have_their_place(void **state)
{
    (void)state;
    assert_error(IMPORT_JSON, "[{\"a\":1},\n{\"a\" 2}]", "2:6 lost", "':'");
    assert_error(IMPORT_JSON, "[{}", "1:4 lost", "ends inside of the array");
    assert_error(IMPORT_JSON, "[{},", "1:5 lost", "ends inside of the array");
    assert_error(IMPORT_JSON, "[{},]", "1:5 lost", "");
    assert_error(IMPORT_JSON, "[{} {}]", "1:5 lost", "',' or ']'");
    assert_error(IMPORT_JSON, "[{}] x", "1:6 lost", "nothing behind");
    assert_error(IMPORT_JSON, "[{},2]", "1:5 lost", "");
    assert_error(IMPORT_JSON, "{\"a\":1", "1:1 lost", "end of the file");
    assert_error(IMPORT_JSON, "7", "1:1 lost", "");
}

static void csv_cells_become_values(void **state)
{
    (void)state;
    /* By type; without one, what is JSON, and in quotes text. */
    assert_rows(IMPORT_CSV,
                "id,age,on,tags,x,y\r\n"
                "1,2,true,\"[1,\"\"a\"\"]\",3,\"3\"\r\n"
                "u, 7 ,maybe,no,true,\"\"\n"
                "v,,,,{},null\n",
                "2:1 {\"id\":\"1\",\"age\":2,\"on\":true,\"tags\":[1,\"a\"],"
                "\"x\":3,\"y\":\"3\"}\n"
                "3:1 {\"id\":\"u\",\"age\":7,\"on\":\"maybe\",\"tags\":\"no\","
                "\"x\":true,\"y\":\"\"}\n"
                "4:1 {\"id\":\"v\",\"x\":{},\"y\":null}\n");
    /* Only the whole of a cell is a value. */
    assert_rows(IMPORT_CSV, "x,y\n007,\"1,\"\"z\"\":2\"\n-0.5e3,+1\n",
                "2:1 {\"x\":\"007\",\"y\":\"1,\\\"z\\\":2\"}\n"
                "3:1 {\"x\":-0.5e3,\"y\":\"+1\"}\n");
    /* An object that would end too early. */
    assert_rows(IMPORT_CSV, "x\n\"{}, \"\"y\"\": {}\"\n",
                "2:1 {\"x\":\"{}, \\\"y\\\": {}\"}\n");
}

static void csv_is_what_the_rfc_says(void **state)
{
    (void)state;
    assert_rows(IMPORT_CSV, "\xef\xbb\xbfid,t\n1,\"a\nb\"\"c\"\n\n2,\"x,y\"",
                "2:1 {\"id\":\"1\",\"t\":\"a\\nb\\\"c\"}\n"
                "5:1 {\"id\":\"2\",\"t\":\"x,y\"}\n");
    assert_rows(IMPORT_CSV, "\"id\",\"a \"\"b\"\"\"\n1,2\n",
                "2:1 {\"id\":\"1\",\"a \\\"b\\\"\":2}\n");
    assert_rows(IMPORT_CSV, "id\n", "");
    assert_rows(IMPORT_CSV, "", "");
}

static void csv_errors_have_their_place(void **state)
{
    (void)state;
    assert_error(IMPORT_CSV, "id,t\n1,a\"b\n2,c\n", "2:4 no row",
                 "3:1 {\"id\":\"2\",\"t\":\"c\"}");
    assert_error(IMPORT_CSV, "id,t\n1,\"a\"b\n2,c\n", "2:6 no row",
                 "3:1 {\"id\":\"2\",\"t\":\"c\"}");
    assert_error(IMPORT_CSV, "id,t\n\xc3\xa9,\"a\n2,c\n", "2:3 lost",
                 "never closed");
    assert_error(IMPORT_CSV, "id,t\n1\n2,c\n", "2:1 no row",
                 "3:1 {\"id\":\"2\",\"t\":\"c\"}");
    assert_error(IMPORT_CSV, "id,t\n1,2,3\n2,c\n", "2:5 no row",
                 "3:1 {\"id\":\"2\",\"t\":\"c\"}");
    assert_error(IMPORT_CSV, "id,id\n1,2\n", "1:4 lost", "twice");
    assert_error(IMPORT_CSV, "id,\n1,2\n", "1:4 lost", "no name");
    assert_error(IMPORT_CSV, "id,t\n1,\xff\n2,c\n", "2:3 bytes",
                 "3:1 {\"id\":\"2\",\"t\":\"c\"}");
    assert_error(IMPORT_CSV, "\xff\xfei\0d\0", "1:1 bytes", "UTF-16");
}

static void tsv_has_escapes(void **state)
{
    (void)state;
    assert_rows(IMPORT_TSV, "id\tt\n1\ta\\tb\\nc\\\\d\\r\\x\n2\t\"q\"\n3\t\n",
                "2:1 {\"id\":\"1\",\"t\":\"a\\tb\\nc\\\\d\\r\\\\x\"}\n"
                "3:1 {\"id\":\"2\",\"t\":\"\\\"q\\\"\"}\n4:1 {\"id\":\"3\"}\n");
}

static void the_format_is_guessed(void **state)
{
    static const struct {
        const char *name, *data;
        enum import_format format;
    } cases[] = {
        {"rows.csv", "{}", IMPORT_CSV},
        {"a.b/rows.JSONL", "", IMPORT_NDJSON},
        {"x.json", "a,b", IMPORT_JSON},
        {"x.tsv", "", IMPORT_TSV},
        {"rows.txt", " [{}]", IMPORT_JSON},
        {NULL, "{\"a\":1}\n{\"a\":2}", IMPORT_NDJSON},
        {NULL, "{\n\"a\":1}", IMPORT_JSON},
        {NULL, "\xef\xbb\xbfid,name\n", IMPORT_CSV},
        {NULL, "id\tfull, name\tx\n", IMPORT_TSV},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(import_format_guess(cases[i].name, cases[i].data,
                                             strlen(cases[i].data)),
                         cases[i].format);
}

/* An offset into a row's text, told as a place in the file. */
static void a_field_has_a_place(void **state)
{
    const char csv[] = "id,a,b\n1,\"x\ny\",7\n";
    const char json[] = "[{\"id\":\"\xc3\xa9\",\n  \"a\":1}]";
    struct import_row row;
    struct place at;

    (void)state;
    struct import_reader *r =
        import_reader_new(IMPORT_CSV, csv, strlen(csv), NULL);
    assert_int_equal(import_reader_next(r, &row, &at, NULL), 1);
    size_t offset = (size_t)(strstr(row.text, "7") - row.text);
    at = import_reader_place(r, &row, offset);
    assert_int_equal(at.line, 3);
    assert_int_equal(at.column, 4);
    import_reader_free(r);

    r = import_reader_new(IMPORT_JSON, json, strlen(json), NULL);
    assert_int_equal(import_reader_next(r, &row, &at, NULL), 1);
    offset = (size_t)(strstr(row.text, "1") - row.text);
    at = import_reader_place(r, &row, offset);
    assert_int_equal(at.line, 2);
    assert_int_equal(at.column, 7);
    at = import_reader_place(r, &row, SIZE_MAX);
    assert_int_equal(at.line, 1);
    assert_int_equal(at.column, 2);
    import_reader_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ndjson_has_a_row_a_line),
        cmocka_unit_test(ndjson_errors_have_their_place),
        cmocka_unit_test(json_is_an_array_or_objects),
        cmocka_unit_test(json_errors_have_their_place),
        cmocka_unit_test(csv_cells_become_values),
        cmocka_unit_test(csv_is_what_the_rfc_says),
        cmocka_unit_test(csv_errors_have_their_place),
        cmocka_unit_test(tsv_has_escapes),
        cmocka_unit_test(the_format_is_guessed),
        cmocka_unit_test(a_field_has_a_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
