/* engine/name: what things may be called, and what their channels are. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/str.h"
#include "engine/name.h"

static void assert_text(struct buf *b, const char *want)
{
    assert_string_equal(b->data, want);
    buf_release(b);
}

static int check(const char *name)
{
    return name_check("table", name, strlen(name), NULL);
}

static void names_are_what_a_directory_can_be_called(void **state)
{
    char long_name[102];
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(check("users"), 0);
    assert_int_equal(check("Stra\u00dfen & Pl\u00e4tze"), 0);
    assert_int_equal(check("..."), 0);
    assert_int_equal(check(""), -EINVAL);
    assert_int_equal(check("."), -EINVAL);
    assert_int_equal(check(".."), -EINVAL);
    assert_int_equal(check("a/b"), -EINVAL);
    assert_int_equal(check("a\nb"), -EINVAL);
    assert_int_equal(check("a\xc2\x85"
                           "b"),
                     -EINVAL);
    assert_int_equal(check("\xff"), -EINVAL);
    assert_int_equal(name_check("table", "a\0b", 3, NULL), -EINVAL);

    memset(long_name, 'x', 101);
    long_name[101] = '\0';
    assert_int_equal(name_check("index", long_name, 101, &err), -EINVAL);
    assert_string_equal(err.text, "the index's name may have 100 bytes; "
                                  "this one has 101");
    long_name[100] = '\0';
    assert_int_equal(check(long_name), 0);
}

static void channels_are_called_after_what_they_hold(void **state)
{
    struct buf b = BUF_INIT;
    (void)state;

    name_category("prod", 1, &b);
    assert_text(&b, "dbcord-prod");
    name_category("prod", 3, &b);
    assert_text(&b, "dbcord-prod-3");
    name_table_channel("Users_2", &b);
    assert_text(&b, "table-users_2");
    name_table_channel("Stra\u00dfe 1-a", &b);
    assert_text(&b, "table-stra_e_1_a");
    name_index_channel("users", "e-mail", &b);
    assert_text(&b, "idx-users-e_mail");
}

static void channel_names_stay_in_bounds(void **state)
{
    char t[101], f[101];
    struct buf b = BUF_INIT;
    (void)state;

    memset(t, 't', 100);
    memset(f, 'f', 100);
    t[100] = f[100] = '\0';
    name_index_channel(t, f, &b);
    assert_int_equal(b.len, 100);
    assert_non_null(strstr(b.data, "ttt-fff"));
    buf_reset(&b);
    name_category(t, 500, &b);
    assert_true(b.len <= 100);
    assert_true(str_ends(b.data, "-500"));
    buf_reset(&b);
    name_table_channel(t, &b);
    assert_int_equal(b.len, 100);
    buf_release(&b);
}

static void any_guild_is_a_directory(void **state)
{
    struct buf b = BUF_INIT;
    (void)state;

    name_file_safe("Ada's B\u00fcro", &b);
    assert_text(&b, "Ada's B\u00fcro");
    name_file_safe("a/b\nc", &b);
    assert_text(&b, "a_b_c");
    name_file_safe("..", &b);
    assert_text(&b, "_.");
    name_file_safe(".dbcord", &b);
    assert_text(&b, "_dbcord");
    name_file_safe("", &b);
    assert_text(&b, "_");
    name_file_safe("\xff\xfe", &b);
    assert_text(&b, "__");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_what_a_directory_can_be_called),
        cmocka_unit_test(channels_are_called_after_what_they_hold),
        cmocka_unit_test(channel_names_stay_in_bounds),
        cmocka_unit_test(any_guild_is_a_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
