/* What was typed, told apart by the table of commands. */
#include "fs/cli.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

struct typed {
    struct command_call call;
    struct cli_common common;
    struct cli_sources sources;
    struct err err;
    int r;
};

/* words: a command and its arguments, without quotes. */
static struct typed type_words(const char *words)
{
    struct typed t = {.err = ERR_INIT};
    static char line[256]; /* sources point into it */
    char *argv[16], *save;
    int argc = 0;

    strcpy(line, words);
    for (char *w = strtok_r(line, " ", &save); w;
         w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    command_call_init(&t.call, command_find(argv[0]));
    t.r = cli_args_parse(&t.call, &t.common, argc, argv, &t.sources, &t.err);
    return t;
}

static const char *value(const struct typed *t, const char *option)
{
    size_t i = command_option_index(t->call.command, option);

    assert_true(i != SIZE_MAX);
    return t->call.values[i].given ? t->call.values[i].text.data : "(none)";
}

static void assert_refused(const char *words, const char *reason)
{
    struct typed t = type_words(words);

    if (t.r == 0)
        t.r = command_check(&t.call, &t.err);
    assert_int_equal(t.r, -EINVAL);
    if (!strstr(t.err.text, reason))
        fail_msg("'%s' does not say '%s'", t.err.text, reason);
    command_call_release(&t.call);
}

static void arguments_fill_the_places(void **state)
{
    (void)state;
    struct typed t = type_words("insert prod users u_1 {}");

    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "database"), "prod");
    assert_string_equal(value(&t, "table"), "users");
    assert_string_equal(value(&t, "key"), "u_1");
    assert_string_equal(value(&t, "value_json"), "{}");
    command_call_release(&t.call);
}

static void an_optional_place_stays_free(void **state)
{
    (void)state;
    struct typed t = type_words("insert prod users {}");

    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "key"), "(none)");
    assert_string_equal(value(&t, "value_json"), "{}");
    command_call_release(&t.call);
}

static void a_place_given_by_name_is_taken(void **state)
{
    (void)state;
    struct typed t = type_words("insert --key u_1 --database=prod users {}");

    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "database"), "prod");
    assert_string_equal(value(&t, "table"), "users");
    assert_string_equal(value(&t, "key"), "u_1");
    assert_string_equal(value(&t, "value_json"), "{}");
    command_call_release(&t.call);
}

static void a_file_stands_for_the_value(void **state)
{
    (void)state;
    struct typed t = type_words("insert prod users u_1 --file=row.json");

    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "key"), "u_1");
    assert_int_equal(t.sources.n, 1);
    assert_string_equal(t.sources.list[0].path, "row.json");
    command_call_release(&t.call);
}

static void a_dash_is_standard_input(void **state)
{
    (void)state;
    struct typed t = type_words("insert prod users -");

    assert_int_equal(t.r, 0);
    assert_int_equal(t.sources.n, 1);
    assert_string_equal(t.sources.list[0].path, "-");
    command_call_release(&t.call);

    /* A key may be a dash. */
    t = type_words("get prod users -");
    assert_int_equal(t.sources.n, 0);
    assert_string_equal(value(&t, "key"), "-");
    command_call_release(&t.call);
}

static void both_spellings_of_a_name(void **state)
{
    (void)state;
    struct typed t = type_words("update prod users u_1 {} --if-version 3");
    assert_int_equal(t.call.values[4].integer, 3);
    command_call_release(&t.call);

    t = type_words("update prod users u_1 {} --if_version=3");
    assert_int_equal(t.call.values[4].integer, 3);
    command_call_release(&t.call);
    assert_ptr_equal(command_find("table-create"),
                     command_find("table_create"));
}

static void flags_take_no_word(void **state)
{
    (void)state;
    struct typed t = type_words("table-drop --if-empty prod users");

    assert_int_equal(t.r, 0);
    assert_true(t.call.values[2].flag);
    assert_string_equal(value(&t, "table"), "users");
    command_call_release(&t.call);

    t = type_words("table-drop --if-empty=false prod users");
    assert_false(t.call.values[2].flag);
    command_call_release(&t.call);
}

/* --format is the command's where it has one, else that of the results. */
static void a_format_of_its_own_goes_to_the_command(void **state)
{
    (void)state;
    struct typed t = type_words("export prod users --format csv");
    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "format"), "csv");
    assert_false(t.common.has_format);
    command_call_release(&t.call);

    t = type_words("import prod users - tsv");
    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "format"), "tsv");
    command_call_release(&t.call);

    t = type_words("get prod users u_1 --format csv");
    assert_true(t.common.has_format);
    command_call_release(&t.call);
    assert_refused("import prod users - --format table", "none of");
}

static void behind_two_dashes_all_are_arguments(void **state)
{
    (void)state;
    struct typed t = type_words("get prod users -- --key");

    assert_int_equal(t.r, 0);
    assert_string_equal(value(&t, "key"), "--key");
    command_call_release(&t.call);
}

static void common_options_stand_anywhere(void **state)
{
    (void)state;
    struct typed t = type_words("tables --env-file f --format=csv prod --yes");

    assert_int_equal(t.r, 0);
    assert_string_equal(t.common.env_file, "f");
    assert_true(t.common.has_format && t.common.yes);
    assert_int_equal(t.common.format, FORMAT_CSV);
    command_call_release(&t.call);
}

static void help_needs_no_arguments(void **state)
{
    (void)state;
    struct typed t = type_words("insert --help one two three four five");

    assert_int_equal(t.r, 0);
    assert_true(t.common.help);
    command_call_release(&t.call);
}

static void wrong_use_is_named(void **state)
{
    (void)state;
    assert_refused("insert prod users", "value_json is missing");
    assert_refused("insert prod", "table is missing");
    assert_refused("get prod users u_1 more", "one argument too many: 'more'");
    assert_refused("get prod users u_1 --mtea", "did you mean --meta?");
    assert_refused("get prod users u_1 --xyzzy", "unknown option --xyzzy");
    assert_refused("get prod users -k", "unknown option -k");
    assert_refused("get prod users --key", "--key needs a value");
    assert_refused("get prod users u_1 --key u_2", "one argument too many");
    assert_refused("get --key a --key b prod users", "given twice");
    assert_refused("update prod users u_1 {} --if-version x",
                   "not a whole number");
    assert_refused("update prod users u_1 {} --if-version 0", "not between");
    assert_refused("tables --format yaml", "'yaml' is none of");
    assert_refused("table-drop prod users --if-empty=maybe",
                   "neither true nor false");
    assert_refused("get prod users u_1 --help=no", "takes no value");
}

static void errno_becomes_an_exit_code(void **state)
{
    (void)state;
    assert_int_equal(cli_exit_code(0), 0);
    assert_int_equal(cli_exit_code(-ENOMEM), 1);
    assert_int_equal(cli_exit_code(-ENOENT), 3);
    assert_int_equal(cli_exit_code(-EINVAL), 4);
    assert_int_equal(cli_exit_code(-EEXIST), 4);
    assert_int_equal(cli_exit_code(-ESTALE), 4);
    assert_int_equal(cli_exit_code(-ENETUNREACH), 5);
    assert_int_equal(cli_exit_code(-EPERM), 5);
    assert_int_equal(cli_exit_code(-EACCES), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_fill_the_places),
        cmocka_unit_test(an_optional_place_stays_free),
        cmocka_unit_test(a_place_given_by_name_is_taken),
        cmocka_unit_test(a_file_stands_for_the_value),
        cmocka_unit_test(a_dash_is_standard_input),
        cmocka_unit_test(both_spellings_of_a_name),
        cmocka_unit_test(flags_take_no_word),
        cmocka_unit_test(a_format_of_its_own_goes_to_the_command),
        cmocka_unit_test(behind_two_dashes_all_are_arguments),
        cmocka_unit_test(common_options_stand_anywhere),
        cmocka_unit_test(help_needs_no_arguments),
        cmocka_unit_test(wrong_use_is_named),
        cmocka_unit_test(errno_becomes_an_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
