/* engine/value: what is equal has one form, and only that. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/value.h"

static void assert_form(const char *value, const char *expected)
{
    AUTO_BUF struct buf b = BUF_INIT;

    value_canonical(value, strlen(value), &b);
    assert_string_equal(b.data, expected);
}

static void forms(void **state)
{
    (void)state;
    assert_form("\"a\"", "str:a");
    assert_form("\"\\u0061\\n\"", "str:a\n");
    assert_form("36", "num:36e1");
    assert_form("3.60e1", "num:36e1");
    assert_form("-0.0", "num:0");
    assert_form("true", "raw:true");
    assert_form("null", "raw:null");
    assert_form("\"true\"", "str:true");
    assert_form("[ 1.0, \"\\u0041\" , null ]", "json:[1e0,\"A\",null]");
    assert_form("{\"b\": {}, \"a\" : [ ]}", "json:{\"a\":[],\"b\":{}}");
    assert_form("{\"a\":1,\"ab\":2,\"\\u0061\":3}",
                "json:{\"a\":1e0,\"a\":3e0,\"ab\":2e0}");
}

static void long_values_are_digests(void **state)
{
    AUTO_BUF struct buf v = BUF_INIT, form = BUF_INIT, other = BUF_INIT;
    (void)state;

    buf_addc(&v, '"');
    for (int i = 0; i < VALUE_INLINE - 4; i++)
        buf_addc(&v, 'x');
    buf_addc(&v, '"');
    value_canonical(v.data, v.len, &form);
    assert_int_equal(form.len, VALUE_INLINE);
    buf_reset(&form);
    v.data[v.len - 1] = 'y';
    buf_addc(&v, '"');
    value_canonical(v.data, v.len, &form);
    assert_int_equal(form.len, 4 + 64);
    assert_memory_equal(form.data, "sha:", 4);
    v.data[v.len - 2] = 'z';
    value_canonical(v.data, v.len, &other);
    assert_int_equal(other.len, 4 + 64);
    assert_string_not_equal(other.data, form.data);
    /* What is not UTF-8 has no other form that can be written down. */
    buf_reset(&form);
    value_canonical("\"\\ud800\"", 8, &form);
    assert_int_equal(form.len, 4 + 64);
}

static void assert_path(const char *text, const char *path,
                        const char *expected)
{
    AUTO_BUF struct buf b = BUF_INIT;
    bool found = value_find(text, strlen(text), path, &b);

    assert_int_equal(found, expected != NULL);
    if (expected)
        assert_string_equal(b.data, expected);
}

static void paths(void **state)
{
    const char *row = "{\"id\":\"u\",\"a\":{\"b\":{\"c\":1},\"b.c\":2},"
                      "\"a.x\":3,\"a\":4,\"d.e\":{\"f\":5},\"l\":[{\"m\":1}]}";
    (void)state;

    assert_path(row, "id", "str:u");
    assert_path(row, "a.b", "json:{\"c\":1e0}");
    /* The name with the dots wins, at each level. */
    assert_path(row, "a.b.c", "num:2e0");
    assert_path(row, "a.x", "num:3e0");
    assert_path(row, "d.e.f", "num:5e0");
    assert_path(row, "a.y", NULL);
    assert_path(row, "id.x", NULL);
    assert_path(row, "l.m", NULL);
    assert_path(row, "l.0", NULL);
    assert_path(row, "", NULL);
}

static void values_stand_for_a_text(void **state)
{
    const char *row = "{\"a\":{\"b\":\"x\\\"y\"},\"n\":10}";
    AUTO_BUF struct buf values = BUF_INIT, form = BUF_INIT;
    (void)state;

    values_add(&values, row, strlen(row), "a.b");
    values_add(&values, row, strlen(row), "gone");
    values_add(&values, row, strlen(row), "n");
    values_end(&values);
    assert_string_equal(values.data, "{\"a.b\":\"str:x\\\"y\",\"gone\":null,"
                                     "\"n\":\"num:1e1\"}");
    assert_true(values_find(values.data, values.len, "a.b", &form));
    assert_string_equal(form.data, "str:x\"y");
    assert_false(values_find(values.data, values.len, "gone", &form));
    assert_true(values_tell(values.data, values.len, "gone"));
    assert_false(values_tell(values.data, values.len, "other"));
    buf_reset(&values);
    values_end(&values);
    assert_string_equal(values.data, "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms),
        cmocka_unit_test(long_values_are_digests),
        cmocka_unit_test(paths),
        cmocka_unit_test(values_stand_for_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
