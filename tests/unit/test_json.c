/* engine/json: what is JSON, where it is not, and the spans of what is. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/json.h"

static void assert_text(struct buf *b, const char *want)
{
    assert_string_equal(b->data ? b->data : "", want);
    buf_release(b);
}

static enum json_state scan(struct json_scan *s, const char *text, size_t len)
{
    json_scan_init(s);
    return json_scan_feed(s, text, len);
}

static const char *const good[] = {
    "{}",
    " \t\r\n{ } \n",
    "{\"a\":1}",
    "{\"a\":[],\"b\":{},\"c\":[{},[1,2,[3]]]}",
    "{\"\":null,\"t\":true,\"f\":false}",
    "{\"n\":[0,-0,1.5,-1.5e10,1E+2,0e-1,123456789012345678901234567890]}",
    "{\"s\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"}",
    "{\"lone\":\"\\ud800\"}",
    "{\"utf8\":\"\u00e9\u20ac\U0001f600\x7f\"}",
    ("{\"edges\":\"\xc2\x80\xdf\xbf\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80"
     "\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf\"}"),
    "{\"long\":\"0123456789012345678901234567890123456789\\\"0123456789\"}",
};

static const struct {
    const char *text;
    size_t line, column;
    const char *says;
} bad[] = {
    {"[1]", 1, 1, "expected '{'"},
    {"\"a\"", 1, 1, "expected '{'"},
    {"\xef\xbb\xbf{}", 1, 1, "byte order mark"},
    {"{}{}", 1, 3, "nothing more"},
    {"{\"a\" 1}", 1, 6, "expected ':'"},
    {"{\n  \"a\": 1\n  \"b\": 2\n}", 3, 3, "expected ',' or '}'"},
    {"{\"a\":[1 2]}", 1, 9, "expected ',' or ']'"},
    {"{\"a\":1,}", 1, 8, "no comma before '}'"},
    {"{\"a\":[1,]}", 1, 9, "expected a value"},
    {"{a:1}", 1, 2, "a name in quotes"},
    {"{'a':1}", 1, 2, "a name in quotes"},
    {"{\"a\":'x'}", 1, 6, "double quotes"},
    {"{\"a\":01}", 1, 7, "may not begin with 0"},
    {"{\"a\":.5}", 1, 6, "expected a value"},
    {"{\"a\":+1}", 1, 6, "expected a value"},
    {"{\"a\":1.}", 1, 8, "after the decimal point"},
    {"{\"a\":-}", 1, 7, "after '-'"},
    {"{\"a\":1e}", 1, 8, "exponent"},
    {"{\"a\":1e+}", 1, 9, "exponent"},
    {"{\"a\":tru}", 1, 9, "expected a value"},
    {"{\"a\":True}", 1, 6, "expected a value"},
    {"{\"a\":NaN}", 1, 6, "expected a value"},
    {"{\"a\":nulL}", 1, 9, "expected a value"},
    {"{\"a\":\"x\ny\"}", 1, 8, "before the line does"},
    {"{\"a\":\"x\ty\"}", 1, 8, "control character"},
    {"{\"a\":\"\\x\"}", 1, 8, "after a backslash"},
    {"{\"a\":\"\\u12g4\"}", 1, 11, "four hexadecimal"},
    {"{\"\u00e9\u20ac\":\"\xff\"}", 1, 8, "not UTF-8"},
    {"{\"a\":\"\xc0\x80\"}", 1, 7, "not UTF-8"},
    {"{\"a\":\"\xe0\x9f\xbf\"}", 1, 7, "not UTF-8"},
    {"{\"a\":\"\xed\xa0\x80\"}", 1, 7, "not UTF-8"},
    {"{\"a\":\"\xf0\x8f\xbf\xbf\"}", 1, 7, "not UTF-8"},
    {"{\"a\":\"\xf4\x90\x80\x80\"}", 1, 7, "not UTF-8"},
    {"{\"a\":\"\xe2\x82x\"}", 1, 7, "not UTF-8"},
    {"{\"a\":}", 1, 6, "expected a value"},
    {"{\"a\"}", 1, 5, "expected ':'"},
    {"{\"a\":1]", 1, 7, "expected ',' or '}'"},
    {"{\"a\":[1}", 1, 8, "expected ',' or ']'"},
    {"{// no\n}", 1, 2, "a name in quotes"},
};

#define N(array) (sizeof(array) / sizeof((array)[0]))

static void objects_are_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(good); i++) {
        struct err err = ERR_INIT;
        if (json_check(good[i], strlen(good[i]), &err) != 0)
            fail_msg("%s: %s", good[i], err.text);
    }
}

static void errors_tell_where_and_what(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(bad); i++) {
        struct err err = ERR_INIT;
        char where[64];
        assert_int_equal(json_check(bad[i].text, strlen(bad[i].text), &err),
                         -EINVAL);
        snprintf(where, sizeof(where), "line %zu, column %zu: ", bad[i].line,
                 bad[i].column);
        if (strncmp(err.text, where, strlen(where)) != 0 ||
            !strstr(err.text, bad[i].says))
            fail_msg("%s: %s", bad[i].text, err.text);
    }
}

static void a_nul_byte_is_refused_everywhere(void **state)
{
    static const char text[] =
        "{\"a\": [1, true, \"x\\u00e9y\"], \"b\": -2.5e3}";
    (void)state;

    for (size_t i = 0; i < sizeof(text) - 1; i++) {
        char copy[sizeof(text)];
        memcpy(copy, text, sizeof(text));
        copy[i] = '\0';
        assert_int_not_equal(json_check(copy, sizeof(text) - 1, NULL), 0);
    }
}

/* However a text is cut, the scanner ends in the same place. */
static void pieces_are_judged_like_the_whole(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(good) + N(bad); i++) {
        const char *text = i < N(good) ? good[i] : bad[i - N(good)].text;
        size_t len = strlen(text);
        struct json_scan whole, parts;
        scan(&whole, text, len);
        for (size_t cut = 0; cut <= len; cut++) {
            scan(&parts, text, cut);
            json_scan_feed(&parts, text + cut, len - cut);
            assert_int_equal(parts.state, whole.state);
            assert_int_equal(parts.offset, whole.offset);
            assert_int_equal(parts.line, whole.line);
            assert_int_equal(parts.column, whole.column);
            assert_ptr_equal(parts.why, whole.why);
        }
    }
}

/* Every beginning of a good text can still become one, and none is done. */
static void beginnings_want_more(void **state)
{
    (void)state;
    for (size_t i = 0; i < N(good); i++) {
        size_t end = strlen(good[i]);
        while (good[i][end - 1] != '}')
            end--;
        for (size_t cut = 0; cut < end; cut++) {
            struct json_scan s;
            assert_int_equal(scan(&s, good[i], cut), JSON_MORE);
            assert_int_equal(json_scan_error(&s, NULL), -EINVAL);
        }
    }
}

static void an_unfinished_text_says_what_is_open(void **state)
{
    struct err err = ERR_INIT;
    (void)state;

    json_check("{\"a\":[{\"b\":\"x", 13, &err);
    assert_string_equal(err.text,
                        "line 1, column 14: the text ends here, in the middle "
                        "of a string (3 brackets are open)");
    json_check(" \n", 2, &err);
    assert_non_null(strstr(err.text, "the text is empty"));
}

static void nesting_has_a_bound(void **state)
{
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT;
    (void)state;

    for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
        buf_reset(&b);
        buf_addstr(&b, "{\"a\":");
        for (int i = 1; i < depth; i++)
            buf_addc(&b, '[');
        for (int i = 1; i < depth; i++)
            buf_addc(&b, ']');
        buf_addc(&b, '}');
        assert_int_equal(json_check(b.data, b.len, &err),
                         depth <= JSON_DEPTH_MAX ? 0 : -EINVAL);
    }
    assert_non_null(strstr(err.text, "nested too deep"));
    buf_release(&b);
}

static void members_are_spans_of_the_text(void **state)
{
    static const char text[] =
        " { \"a\" : \"x\\\"}\" ,\n\"b\":[1,{\"c\":\"]\"}],\"\":{\"d\":2},"
        "\"n\":-1.5e3 ,\"t\":true,\"z\":null}";
    static const struct {
        const char *name, *value;
        enum json_type type;
    } want[] = {
        {"a", "\"x\\\"}\"", JSON_STRING},
        {"b", "[1,{\"c\":\"]\"}]", JSON_ARRAY},
        {"", "{\"d\":2}", JSON_OBJECT},
        {"n", "-1.5e3", JSON_NUMBER},
        {"t", "true", JSON_BOOL},
        {"z", "null", JSON_NULL},
    };
    struct json_member m;
    size_t at = 0;
    (void)state;

    assert_int_equal(json_check(text, sizeof(text) - 1, NULL), 0);
    for (size_t i = 0; i < N(want); i++) {
        assert_true(json_next(text, sizeof(text) - 1, &at, &m));
        assert_int_equal(m.name_len, strlen(want[i].name));
        assert_memory_equal(m.name, want[i].name, m.name_len);
        assert_int_equal(m.value_len, strlen(want[i].value));
        assert_memory_equal(m.value, want[i].value, m.value_len);
        assert_int_equal(m.type, want[i].type);
    }
    assert_false(json_next(text, sizeof(text) - 1, &at, &m));
}

static void elements_are_spans_of_an_array(void **state)
{
    static const char text[] = "[ 1 ,\"a,]\",[2, 3], {\"x\":[]} ]";
    static const char *const want[] = {"1", "\"a,]\"", "[2, 3]", "{\"x\":[]}"};
    struct json_member m;
    size_t at = 0;
    (void)state;

    for (size_t i = 0; i < N(want); i++) {
        assert_true(json_element(text, sizeof(text) - 1, &at, &m));
        assert_int_equal(m.value_len, strlen(want[i]));
        assert_memory_equal(m.value, want[i], m.value_len);
    }
    assert_false(json_element(text, sizeof(text) - 1, &at, &m));
    at = 0;
    assert_false(json_element("[ ]", 3, &at, &m));
}

static void a_name_is_found_however_it_is_escaped(void **state)
{
    static const char text[] = "{\"\\u0061b\":1,\"a\\\"b\":2,\"ab\":3}";
    struct json_member m;
    (void)state;

    assert_true(json_find(text, sizeof(text) - 1, "ab", &m));
    assert_int_equal(m.value[0], '1');
    assert_true(json_find(text, sizeof(text) - 1, "a\"b", &m));
    assert_int_equal(m.value[0], '2');
    assert_false(json_find(text, sizeof(text) - 1, "a", &m));
}

static void escapes_are_resolved(void **state)
{
    static const char text[] =
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"";
    struct buf b = BUF_INIT;
    (void)state;

    json_unescape(text, sizeof(text) - 1, &b);
    assert_text(&b, "\"\\/\b\f\n\r\tA\u00e9\u20ac\U0001f600");
    json_unescape("plain", 5, &b);
    assert_text(&b, "plain");
    json_unescape("\"\\ud800x\\udc00\"", 15, &b);
    assert_text(&b, "\xed\xa0\x80x\xed\xb0\x80");
}

/* Nothing but the member is touched; a new one looks like the others. */
static void a_member_is_set_in_the_texts_own_style(void **state)
{
    static const struct {
        const char *before, *after;
    } cases[] = {
        {"{}", "{\"id\":7}"},
        {"{ }", "{\"id\":7 }"},
        {"{\"a\":1}", "{\"id\":7,\"a\":1}"},
        {"{\"a\":1,\"b\":2}", "{\"id\":7,\"a\":1,\"b\":2}"},
        {"{\"a\": 1}", "{\"id\": 7, \"a\": 1}"},
        {"{\"a\":1, \"b\":2}", "{\"id\":7, \"a\":1, \"b\":2}"},
        {"{ \"a\": 1 }", "{ \"id\": 7, \"a\": 1 }"},
        {"{\n  \"a\": 1\n}", "{\n  \"id\": 7,\n  \"a\": 1\n}"},
        {"{\n\t\"a\": 1,\n\t\"b\": 2\n}\n",
         "{\n\t\"id\": 7,\n\t\"a\": 1,\n\t\"b\": 2\n}\n"},
        {"{\"a\":1,\"id\" : [1,2] }", "{\"a\":1,\"id\" : 7 }"},
        {"{\"\\u0069d\":\"x\"}", "{\"\\u0069d\":7}"},
        {"{\"a\":\",\" , \"b\":2}", "{\"id\":7, \"a\":\",\" , \"b\":2}"},
    };
    (void)state;

    for (size_t i = 0; i < N(cases); i++) {
        struct buf b = BUF_INIT;
        json_with_member(cases[i].before, strlen(cases[i].before), "id", "7", 1,
                         &b);
        assert_int_equal(json_check(b.data, b.len, NULL), 0);
        assert_text(&b, cases[i].after);
    }
}

static void numbers_are_compared_by_value(void **state)
{
    /* In order; those of one line are equal. */
    static const char *const sorted[][4] = {
        {"-1e400", "-10e399"},
        {"-20", "-2e1", "-20.0"},
        {"-19.99"},
        {"-0.5", "-5e-1"},
        {"0", "-0", "0.000", "0e99"},
        {"1e-400"},
        {"0.00120", "12e-4", "1.2E-3"},
        {"0.0013"},
        {"1", "1.0", "10e-1", "0.1e1"},
        {"9"},
        {"10", "1e1", "10.00"},
        {"123456789012345678901234567890"},
        {"123456789012345678901234567891", "123456789012345678901234567891.0"},
        {"1e99999999999999999999"},
    };
    (void)state;

    for (size_t i = 0; i < N(sorted); i++) {
        for (size_t k = 0; k < N(sorted); k++) {
            for (size_t x = 0; x < 4 && sorted[i][x]; x++) {
                for (size_t y = 0; y < 4 && sorted[k][y]; y++) {
                    const char *a = sorted[i][x], *b = sorted[k][y];
                    int c = json_number_compare(a, strlen(a), b, strlen(b));
                    if ((c > 0) - (c < 0) != (i > k) - (i < k))
                        fail_msg("%s against %s: %d", a, b, c);
                    struct buf p = BUF_INIT, q = BUF_INIT;
                    json_number_canonical(a, strlen(a), &p);
                    json_number_canonical(b, strlen(b), &q);
                    assert_int_equal(strcmp(p.data, q.data) == 0, i == k);
                    buf_release(&p);
                    buf_release(&q);
                }
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_accepted),
        cmocka_unit_test(errors_tell_where_and_what),
        cmocka_unit_test(a_nul_byte_is_refused_everywhere),
        cmocka_unit_test(pieces_are_judged_like_the_whole),
        cmocka_unit_test(beginnings_want_more),
        cmocka_unit_test(an_unfinished_text_says_what_is_open),
        cmocka_unit_test(nesting_has_a_bound),
        cmocka_unit_test(members_are_spans_of_the_text),
        cmocka_unit_test(elements_are_spans_of_an_array),
        cmocka_unit_test(a_name_is_found_however_it_is_escaped),
        cmocka_unit_test(escapes_are_resolved),
        cmocka_unit_test(a_member_is_set_in_the_texts_own_style),
        cmocka_unit_test(numbers_are_compared_by_value),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
