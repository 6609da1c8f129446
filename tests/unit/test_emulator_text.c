/* What the emulator makes of names and of a message's text. */
#include "tests/emulator/content.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/emulator/channel.h"

static void check(char *(*f)(const char *), const char *in, const char *out)
{
    char *got = f(in);
    assert_string_equal(got, out);
    free(got);
}

static void channel_names_are_normalised(void **state)
{
    (void)state;
    check(channel_name_normalize, "table-people", "table-people");
    check(channel_name_normalize, "My New  Table's", "my-new-tables");
    check(channel_name_normalize, "--a---b--", "a-b");
    check(channel_name_normalize, "idx_A.b", "idx_ab");
    check(channel_name_normalize, "\xC3\x84RGER", "\xC3\xA4rger");
    check(channel_name_normalize, "!!!", "");
    check(channel_name_normalize, "a\xFF\x62", "ab");
}

static void file_names_are_rewritten(void **state)
{
    (void)state;
    check(file_name_normalize, "row.json", "row.json");
    check(file_name_normalize, "my row.json", "my_row.json");
    check(file_name_normalize, "__x.txt", "x.txt");
    check(file_name_normalize, "../../etc/passwd", "etc_passwd");
    check(file_name_normalize, "b\xC3\xB6se.bin", "bse.bin");
    check(file_name_normalize, "\xC3\xB6", "unknown");
}

static void content_loses_its_ends_and_controls(void **state)
{
    (void)state;
    check(content_clean, " \n a b \t", "a b");
    check(content_clean, "a\r\nb", "a\nb");
    check(content_clean, "a\x01\x7F\x62", "ab");
    check(content_clean, "\xC2\xA0x\xE3\x80\x80", "x");
    check(content_clean,
          "a\xE2\x80\xAE"
          "b",
          "ab");
    check(content_clean, " \n\t ", "");
    check(content_clean, "", "");
}

static void mentions_are_found_in_order(void **state)
{
    (void)state;
    const char *s = "<@12> <@!13> <@&14> <@x> <@> @here <@15";
    size_t at = 0;
    uint64_t id;
    assert_int_equal(content_mention(s, &at, &id), MENTION_USER);
    assert_int_equal(id, 12);
    assert_int_equal(content_mention(s, &at, &id), MENTION_USER);
    assert_int_equal(id, 13);
    assert_int_equal(content_mention(s, &at, &id), MENTION_ROLE);
    assert_int_equal(id, 14);
    assert_int_equal(content_mention(s, &at, &id), MENTION_EVERYONE);
    assert_int_equal(content_mention(s, &at, &id), MENTION_NONE);
    assert_int_equal(content_mention(s, &at, &id), MENTION_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(channel_names_are_normalised),
        cmocka_unit_test(file_names_are_rewritten),
        cmocka_unit_test(content_loses_its_ends_and_controls),
        cmocka_unit_test(mentions_are_found_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
