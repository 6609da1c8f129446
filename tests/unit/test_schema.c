/* engine/schema: what a row must look like, and what is said of one that does
 * not. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/schema.h"

static struct schema *parse(const char *text)
{
    struct schema *s = NULL;
    struct err err = ERR_INIT;

    if (schema_parse(text, strlen(text), &s, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    return s;
}

static int check(const struct schema *s, const char *key, const char *text,
                 struct buf *out, struct err *err)
{
    return schema_check(s, key, key ? strlen(key) : 0, text, strlen(text), out,
                        NULL, err);
}

static void assert_stored(const struct schema *s, const char *key,
                          const char *text, const char *want)
{
    AUTO_BUF struct buf out = BUF_INIT;
    struct err err = ERR_INIT;

    if (check(s, key, text, &out, &err) != 0)
        fail_msg("%s: %s", text, err.text);
    assert_string_equal(out.data, want);
}

static void assert_refused(const struct schema *s, const char *key,
                           const char *text, int code, const char *why)
{
    AUTO_BUF struct buf out = BUF_INIT;
    struct err err = ERR_INIT;

    assert_int_equal(check(s, key, text, &out, &err), code);
    assert_int_equal(out.len, 0);
    if (strcmp(err.text, why) != 0)
        fail_msg("%s\n  said   %s\n  wanted %s", text, err.text, why);
}

static void text_is_kept_as_it_was_written(void **state)
{
    struct schema *s = schema_new_default("id");
    (void)state;

    assert_stored(s, "a", "{\"id\":\"a\"}", "{\"id\":\"a\"}");
    assert_stored(s, "a", " {\n\t\"x\" : 1e5, \"id\":\"\\u0061\" }\n \r\n\t",
                  " {\n\t\"x\" : 1e5, \"id\":\"\\u0061\" }");
    assert_stored(s, "12", "{\"id\":12}", "{\"id\":12}");
    schema_unref(s);
}

static void a_missing_key_is_filled_in(void **state)
{
    struct schema *s = schema_new_default("id");
    (void)state;

    assert_stored(s, "u_1", "{}", "{\"id\":\"u_1\"}");
    assert_stored(s, "u_1", "{\"a\":1}", "{\"id\":\"u_1\",\"a\":1}");
    assert_stored(s, "u\"1", "{\n  \"a\": 1\n}\n",
                  "{\n  \"id\": \"u\\\"1\",\n  \"a\": 1\n}");
    assert_stored(s, "12", "{}", "{\"id\":\"12\"}");
    schema_unref(s);

    s = parse("{\"pk\":\"n\",\"properties\":{\"n\":\"int\"}}");
    assert_stored(s, "-12", "{}", "{\"n\":-12}");
    assert_refused(s, "12a", "{}", -EINVAL,
                   "field 'n': the primary key must be a whole number like 12, "
                   "and the row is '12a'");
    assert_refused(s, "012", "{}", -EINVAL,
                   "field 'n': the primary key must be a whole number like 12, "
                   "and the row is '012'");
    schema_unref(s);
}

static void a_key_that_differs_is_refused(void **state)
{
    struct schema *s = schema_new_default("id");
    (void)state;

    assert_refused(s, "b", "{\n\"id\": \"a\"}", -EINVAL,
                   "field 'id' (line 2, column 7): the primary key is \"a\", "
                   "but the row is 'b'");
    assert_refused(s, "b", "{\"id\":null}", -EINVAL,
                   "field 'id' (line 1, column 7): the primary key must be a "
                   "string or a whole number like 12, found null");
    assert_refused(s, "1", "{\"id\":1.0}", -EINVAL,
                   "field 'id' (line 1, column 7): the primary key must be a "
                   "string or a whole number like 12, found 1.0");
    schema_unref(s);

    s = parse("{\"pk\":\"id\",\"properties\":{\"id\":\"str\"}}");
    assert_refused(s, "1", "{\"id\":1}", -EINVAL,
                   "field 'id' (line 1, column 7): the primary key must be a "
                   "string, found 1");
    schema_unref(s);
}

static void a_key_can_come_from_the_text(void **state)
{
    struct schema *s = schema_new_default("id");
    struct buf out = BUF_INIT, key = BUF_INIT;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(
        schema_check(s, NULL, 0, "{\"id\":\"a\\nb\"}", 13, &out, &key, NULL),
        0);
    assert_string_equal(key.data, "a\nb");
    buf_reset(&key);
    assert_int_equal(
        schema_check(s, NULL, 0, "{\"id\":-7}", 9, &out, &key, NULL), 0);
    assert_string_equal(key.data, "-7");
    buf_reset(&key);
    assert_int_equal(schema_check(s, NULL, 0, "{}", 2, &out, &key, &err),
                     -EINVAL);
    assert_string_equal(err.text, "field 'id' is missing: the primary key");
    assert_int_equal(
        schema_check(s, NULL, 0, "{\"id\":\"\"}", 9, &out, &key, &err),
        -EINVAL);
    assert_int_equal(
        schema_check(s, NULL, 0, "{\"id\":\"\\ud800\"}", 15, &out, &key, &err),
        -EILSEQ);
    assert_int_equal(key.len, 0);
    buf_release(&out);
    buf_release(&key);
    schema_unref(s);
}

static void keys_have_bounds(void **state)
{
    char key[1025];
    (void)state;

    memset(key, 'k', sizeof(key));
    assert_int_equal(schema_check_key(key, 1024, NULL), 0);
    assert_int_equal(schema_check_key(key, 1025, NULL), -ENAMETOOLONG);
    assert_int_equal(schema_check_key("", 0, NULL), -EINVAL);
    assert_int_equal(schema_check_key("\xff", 1, NULL), -EILSEQ);
}

static void broken_text_is_refused_with_its_place(void **state)
{
    struct schema *s = schema_new_default("id");
    (void)state;

    assert_refused(s, "a", "{\"x\":1,\n}", -EINVAL,
                   "line 2, column 1: expected a name after ',': no comma "
                   "before '}'");
    assert_refused(s, "a", "", -EINVAL,
                   "the text is empty: expected '{': a row is one JSON object");
    assert_refused(s, "a", "{\"x\":\"\xff\"}", -EILSEQ,
                   "line 1, column 7: a byte that is not UTF-8");
    assert_refused(s, "a", "{\"x\":1,\"y\":2,\"\\u0078\":3}", -EINVAL,
                   "field 'x' is there twice");
    schema_unref(s);
}

static void many_members_are_checked_for_twins_too(void **state)
{
    struct schema *s = schema_new_default("id");
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf out = BUF_INIT;
    (void)state;

    buf_addstr(&b, "{\"id\":\"a\"");
    for (int i = 0; i < 500; i++)
        buf_printf(&b, ",\"f%d\":%d", i, i);
    size_t len = b.len;
    buf_addc(&b, '}');
    assert_int_equal(check(s, "a", b.data, &out, NULL), 0);
    buf_truncate(&b, len);
    buf_addstr(&b, ",\"\\u0066250\":1}");
    assert_refused(s, "a", b.data, -EINVAL, "field 'f250' is there twice");
    schema_unref(s);
}

static void types_are_checked(void **state)
{
    static const char *const values[] = {
        "\"s\"", "1", "1.5", "1e2", "true", "null", "{}", "[]",
    };
    static const struct {
        const char *type, *takes; /* by place in values */
    } types[] = {
        {"any", "11111111"},   {"str", "10000000"},  {"int", "01000000"},
        {"float", "01110000"}, {"bool", "00001000"}, {"object", "00000010"},
        {"array", "00000001"}, {"int?", "01000100"}, {"str?", "10000100"},
    };
    (void)state;

    for (size_t t = 0; t < sizeof(types) / sizeof(types[0]); t++) {
        char text[128];
        snprintf(text, sizeof(text),
                 "{\"pk\":\"id\",\"properties\":{\"x\":\"%s\"}}",
                 types[t].type);
        struct schema *s = parse(text);
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            AUTO_BUF struct buf out = BUF_INIT;
            snprintf(text, sizeof(text), "{\"x\":%s}", values[v]);
            int r = check(s, "a", text, &out, NULL);
            if ((r == 0) != (types[t].takes[v] == '1'))
                fail_msg("%s: %s gave %d", types[t].type, values[v], r);
        }
        schema_unref(s);
    }
}

static void refusals_name_field_expected_and_found(void **state)
{
    struct schema *s =
        parse("{\"pk\":\"id\",\"required\":[\"email\"],\"properties\":{"
              "\"email\":{\"type\":\"str\",\"pattern\":\"^[^@]+@[^@]+$\"},"
              "\"age\":{\"type\":\"int\",\"min\":0,\"max\":150},"
              "\"role\":{\"type\":\"str?\",\"enum\":[\"student\",\"admin\"]},"
              "\"rate\":{\"enum\":[1,2.50,\"free\",null]}}}");
    (void)state;

    assert_stored(s, "a",
                  "{\"id\":\"a\",\"email\":\"a@b\",\"age\":1,\"role\":null,"
                  "\"rate\":25e-1,\"more\":[]}",
                  "{\"id\":\"a\",\"email\":\"a@b\",\"age\":1,\"role\":null,"
                  "\"rate\":25e-1,\"more\":[]}");
    assert_refused(s, "a", "{}", -EINVAL,
                   "field 'email' is required and missing");
    assert_refused(s, "a", "{\"email\":\"ab\"}", -EINVAL,
                   "field 'email' (line 1, column 10): expected a string that "
                   "matches ^[^@]+@[^@]+$, found \"ab\"");
    assert_refused(s, "a", "{\"email\":\"a@b\",\n \"age\":-1}", -EINVAL,
                   "field 'age' (line 2, column 8): expected at least 0, found "
                   "-1");
    assert_refused(
        s, "a", "{\"age\":151}", -EINVAL,
        "field 'age' (line 1, column 8): expected at most 150, found "
        "151");
    assert_refused(s, "a", "{\"\u00e9\":1,\"age\":{\"x\":1}}", -EINVAL,
                   "field 'age' (line 1, column 14): expected int, found an "
                   "object");
    assert_refused(s, "a", "{\"role\":\"boss\"}", -EINVAL,
                   "field 'role' (line 1, column 9): expected one of "
                   "\"student\", \"admin\", found \"boss\"");
    assert_refused(s, "a", "{\"rate\":2.51}", -EINVAL,
                   "field 'rate' (line 1, column 9): expected one of 1, 2.50, "
                   "\"free\", null, found 2.51");
    assert_refused(s, "a", "{\"email\":\"a@b\\u0000\"}", -EINVAL,
                   "field 'email' (line 1, column 10): expected a string that "
                   "matches ^[^@]+@[^@]+$, found \"a@b\\u0000\"");
    schema_unref(s);
}

static void a_closed_schema_takes_no_other_fields(void **state)
{
    struct schema *s = parse("{\"pk\":\"id\",\"properties\":{\"a\":\"int\"},"
                             "\"additional\":false}");
    (void)state;

    assert_stored(s, "k", "{\"a\":1}", "{\"id\":\"k\",\"a\":1}");
    assert_refused(s, "k", "{\"a\":1,\"b\":2}", -EINVAL,
                   "field 'b' (line 1, column 9): the schema does not have it, "
                   "and allows no others");
    schema_unref(s);
}

static void defaults_are_filled_in(void **state)
{
    struct schema *s =
        parse("{\"pk\":\"id\",\"required\":[\"role\"],\"properties\":{"
              "\"role\":{\"type\":\"str\",\"default\":\"student\"},"
              "\"tags\":{\"type\":\"array\",\"default\":[1, 2]}}}");
    (void)state;

    assert_stored(
        s, "k", "{ \"a\": 1 }",
        "{ \"id\": \"k\", \"role\": \"student\", \"tags\": [1, 2], \"a\": 1 }");
    assert_stored(s, "k", "{\"id\":\"k\",\"role\":\"x\",\"tags\":[]}",
                  "{\"id\":\"k\",\"role\":\"x\",\"tags\":[]}");
    schema_unref(s);
}

static void a_schema_with_a_fault_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "schema: line 1, column 1"},
        {"{}", "\"pk\" is missing"},
        {"{\"pk\":1}", "pk: expected a field's name as a string"},
        {"{\"pk\":\"\"}", "may not be empty"},
        {"{\"pk\":\"id\",\"pk\":\"x\"}", "'pk' is there twice"},
        {"{\"pk\":\"id\",\"require\":[]}", "unknown word 'require'"},
        {"{\"pk\":\"id\",\"required\":\"a\"}", "required: expected an array"},
        {"{\"pk\":\"id\",\"required\":[1]}", "expected a field's name"},
        {"{\"pk\":\"id\",\"additional\":0}", "expected true or false"},
        {"{\"pk\":\"id\",\"properties\":[]}", "expected an object"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":1}}", "a: expected a type"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":\"text\"}}", "unknown type"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":\"?\"}}", "unknown type"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":\"int\",\"a\":\"int\"}}",
         "'a' is there twice"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"typ\":\"int\"}}}",
         "unknown word 'typ'"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"min\":1}}}",
         "need type int or float"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"int\",\"min\":2,"
         "\"max\":1}}}",
         "min is above max"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"int\",\"max\":"
         "\"9\"}}}",
         "max: expected a number"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"enum\":[]}}}",
         "no value would be allowed"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"enum\":[[]]}}}", "enum"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"int\",\"enum\":[1,"
         "\"x\"]}}}",
         "enum: \"x\" is no int"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"str\",\"pattern\":"
         "\"[\"}}}",
         "a: pattern: "},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"str\",\"pattern\":"
         "\"((x{1,99}){1,99}){1,99}\"}}}",
         "come to more than 1000"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"str\",\"pattern\":"
         "\"(x)\\\\1\"}}}",
         "references back"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"pattern\":\"x\"}}}",
         "pattern needs type str"},
        {"{\"pk\":\"id\",\"properties\":{\"a\":{\"type\":\"int\","
         "\"default\":\"x\"}}}",
         "default: expected int"},
        {"{\"pk\":\"id\",\"properties\":{\"id\":\"float\"}}",
         "must have type str or int"},
        {"{\"pk\":\"id\",\"properties\":{\"id\":\"str?\"}}",
         "must have type str or int"},
        {"{\"pk\":\"id\",\"properties\":{\"id\":{\"type\":\"str\",\"default\":"
         "\"x\"}}}",
         "no default"},
        {"{\"pk\":\"id\",\"indexes\":[\"a\"]}", "indexes: expected an object"},
        {"{\"pk\":\"id\",\"indexes\":{\"a\":true}}", "{\"unique\":true}"},
        {"{\"pk\":\"id\",\"indexes\":{\"a\":{\"uniq\":true}}}",
         "{\"unique\":true}"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct schema *s = NULL;
        struct err err = ERR_INIT;
        assert_int_equal(
            schema_parse(cases[i].text, strlen(cases[i].text), &s, &err),
            -EINVAL);
        assert_null(s);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
    assert_null(schema_new_default(""));
    assert_null(schema_new_default("\xff"));
}

static void a_schema_tells_what_it_says(void **state)
{
    struct schema *s =
        parse("{\"pk\":\"id\",\"properties\":{\"email\":\"str?\","
              "\"age\":{\"type\":\"int\"}},\n"
              "\"indexes\":{\"email\":{\"unique\":true},\"age\":{},"
              "\"x\":{\"unique\":false}}} \n\n");
    bool unique;
    size_t len;
    (void)state;

    assert_string_equal(schema_pk(s), "id");
    assert_int_equal(schema_field_type(s, "email", 5), SCHEMA_STR);
    assert_int_equal(schema_field_type(s, "age", 3), SCHEMA_INT);
    assert_int_equal(schema_field_type(s, "other", 5), SCHEMA_ANY);
    assert_int_equal(schema_index_count(s), 3);
    assert_string_equal(schema_index_at(s, 0, &unique), "email");
    assert_true(unique);
    assert_string_equal(schema_index_at(s, 1, &unique), "age");
    assert_false(unique);
    assert_string_equal(schema_index_at(s, 2, &unique), "x");
    assert_false(unique);
    const char *text = schema_text(s, &len);
    assert_int_equal(text[len - 1], '\n');
    assert_int_equal(text[len - 2], '}');
    assert_int_equal(strlen(text), len);

    struct schema *other = schema_ref(s);
    schema_unref(s);
    assert_string_equal(schema_pk(other), "id");
    schema_unref(other);
}

static void assert_rekeyed(const struct schema *s, const char *key,
                           const char *text, const char *want)
{
    AUTO_BUF struct buf out = BUF_INIT;

    assert_int_equal(
        schema_rekey(s, key, strlen(key), text, strlen(text), &out, NULL), 0);
    assert_string_equal(out.data, want);
}

static void a_row_can_be_renamed(void **state)
{
    struct schema *s = schema_new_default("id");
    struct buf out = BUF_INIT;
    (void)state;

    assert_rekeyed(s, "b", "{\"x\":1, \"id\" : \"a\"}\n",
                   "{\"x\":1, \"id\" : \"b\"}");
    assert_rekeyed(s, "b", "{\"x\":1}", "{\"id\":\"b\",\"x\":1}");
    assert_rekeyed(s, "8", "{\"id\":7}", "{\"id\":8}");
    assert_rekeyed(s, "8b", "{\"id\":7}", "{\"id\":\"8b\"}");
    assert_rekeyed(s, "8", "{\"id\":\"7\"}", "{\"id\":\"8\"}");
    schema_unref(s);

    s = parse("{\"pk\":\"id\",\"properties\":{\"id\":{\"type\":\"int\","
              "\"max\":9}}}");
    assert_rekeyed(s, "8", "{\"id\":7}", "{\"id\":8}");
    assert_int_equal(schema_rekey(s, "b", 1, "{\"id\":7}", 8, &out, NULL),
                     -EINVAL);
    assert_int_equal(schema_rekey(s, "10", 2, "{\"id\":7}", 8, &out, NULL),
                     -EINVAL);
    schema_unref(s);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_kept_as_it_was_written),
        cmocka_unit_test(a_missing_key_is_filled_in),
        cmocka_unit_test(a_key_that_differs_is_refused),
        cmocka_unit_test(a_key_can_come_from_the_text),
        cmocka_unit_test(keys_have_bounds),
        cmocka_unit_test(broken_text_is_refused_with_its_place),
        cmocka_unit_test(many_members_are_checked_for_twins_too),
        cmocka_unit_test(types_are_checked),
        cmocka_unit_test(refusals_name_field_expected_and_found),
        cmocka_unit_test(a_closed_schema_takes_no_other_fields),
        cmocka_unit_test(defaults_are_filled_in),
        cmocka_unit_test(a_schema_with_a_fault_is_refused),
        cmocka_unit_test(a_schema_tells_what_it_says),
        cmocka_unit_test(a_row_can_be_renamed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
