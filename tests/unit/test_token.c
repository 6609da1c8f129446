/* engine/token: equality is one word. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/token.h"

static void token(const char *field, const char *value, char out[TOKEN_LEN + 1])
{
    token_of(field, field ? strlen(field) : 0, value, strlen(value), out);
}

static void assert_same(const char *a, const char *b)
{
    char x[TOKEN_LEN + 1], y[TOKEN_LEN + 1];

    token("f", a, x);
    token("f", b, y);
    assert_string_equal(x, y);
}

static void assert_other(const char *f, const char *a, const char *g,
                         const char *b)
{
    char x[TOKEN_LEN + 1], y[TOKEN_LEN + 1];

    token(f, a, x);
    token(g, b, y);
    assert_string_not_equal(x, y);
}

/* Other programs search for these: they may never change. */
static void tokens_are_what_the_format_says(void **state)
{
    char t[TOKEN_LEN + 1];
    (void)state;

    token(NULL, "u_1", t);
    assert_string_equal(t, "qpvfpvrphqglh");
    token("email", "\"ada@x.org\"", t);
    assert_string_equal(t, "qqcpmgmrbbrpd");
    token("age", "36", t);
    assert_string_equal(t, "qnlltjtrhnvhl");
    token("admin", "true", t);
    assert_string_equal(t, "qrkvtclbndgvk");
}

static void equal_values_have_one_token(void **state)
{
    (void)state;
    assert_same("1", "1.0");
    assert_same("1e2", "100");
    assert_same("-0", "0");
    assert_same("\"a\"", "\"\\u0061\"");
    assert_same("\"\u00e9/\"", "\"\\u00e9\\/\"");
}

static void others_have_others(void **state)
{
    (void)state;
    assert_other("f", "1", "f", "\"1\"");
    assert_other("f", "true", "f", "\"true\"");
    assert_other("f", "null", "f", "\"\"");
    assert_other("f", "1", "f", "-1");
    assert_other("f", "1", "g", "1");
    assert_other("", "\"x\"", NULL, "x");
    assert_other("fs", "\"x\"", "f", "\"sx\"");
}

static void all_have_one_shape(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        char value[16], t[TOKEN_LEN + 1];
        snprintf(value, sizeof(value), "%d", i);
        token("n", value, t);
        assert_int_equal(strlen(t), TOKEN_LEN);
        assert_int_equal(t[0], 'q');
        assert_int_equal(strspn(t, "bcdfghjklmnpqrtv"), TOKEN_LEN);
    }
    assert_int_equal(strlen(token_overflow), TOKEN_LEN);
}

static void a_rows_tokens_are_its_key_and_scalars(void **state)
{
    static const char text[] =
        "{\"id\":\"u_1\",\"tags\":[1],\"age\":36,\"o\":{\"x\":1},\"ok\":null}";
    struct buf b = BUF_INIT, want = BUF_INIT;
    char t[TOKEN_LEN + 1];
    (void)state;

    token(NULL, "u_1", t);
    buf_printf(&want, " %s", t);
    token("id", "\"u_1\"", t);
    buf_printf(&want, " %s", t);
    token("age", "36", t);
    buf_printf(&want, " %s", t);
    token("ok", "null", t);
    buf_printf(&want, " %s", t);
    tokens_of_row("u_1", 3, text, sizeof(text) - 1, 4 * (TOKEN_LEN + 1), &b);
    assert_string_equal(b.data, want.data);

    /* One place less: the last that fitted makes way for the mark. */
    buf_reset(&b);
    tokens_of_row("u_1", 3, text, sizeof(text) - 1, 4 * (TOKEN_LEN + 1) - 1,
                  &b);
    buf_truncate(&want, 2 * (TOKEN_LEN + 1));
    buf_printf(&want, " %s", token_overflow);
    assert_string_equal(b.data, want.data);
    buf_release(&b);
    buf_release(&want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_what_the_format_says),
        cmocka_unit_test(equal_values_have_one_token),
        cmocka_unit_test(others_have_others),
        cmocka_unit_test(all_have_one_shape),
        cmocka_unit_test(a_rows_tokens_are_its_key_and_scalars),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
