/* What the emulator lets an application register as a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "engine/base/buf.h"
#include "tests/emulator/commands.h"
#include "tests/emulator/error.h"

/* The checked command, or NULL; the errors as text in *errors. */
static json_object *check(const char *text, struct buf *errors)
{
    struct form f = FORM_INIT;
    json_object *body = json_tokener_parse(text);

    assert_non_null(body);
    json_object *out = command_check(&f, "", body, false);
    assert_true((out == NULL) == form_failed(&f));
    if (f.errors)
        buf_addstr(errors, json_object_to_json_string(f.errors));
    form_release(&f);
    json_object_put(body);
    return out;
}

static void assert_fits(const char *text)
{
    AUTO_BUF struct buf errors = BUF_INIT;
    json_object *out = check(text, &errors);

    if (!out)
        print_error("%s\n", errors.data);
    assert_non_null(out);
    json_object_put(out);
}

/* Refused, and the errors say what. */
static void assert_refused(const char *text, const char *what)
{
    AUTO_BUF struct buf errors = BUF_INIT;
    json_object *out = check(text, &errors);

    json_object_put(out);
    assert_null(out);
    if (!strstr(errors.data, what))
        print_error("%s\nlacks %s\n", errors.data, what);
    assert_non_null(strstr(errors.data, what));
}

#define CHAT(rest) "{\"name\":\"find\",\"description\":\"d\"" rest "}"
#define OPTION(rest) "{\"name\":\"a\",\"description\":\"d\"," rest "}"
#define OPTIONS(list) CHAT(",\"options\":[" list "]")

static void names_are_lower_case_words_of_any_script(void **state)
{
    (void)state;
    assert_true(command_name_valid("dbc_find-2"));
    assert_true(command_name_valid("größe"));
    assert_true(command_name_valid("検索"));
    assert_true(command_name_valid("ค้นหา"));
    assert_false(command_name_valid(""));
    assert_false(command_name_valid("Find"));
    assert_false(command_name_valid("GRÖSSE"));
    assert_false(command_name_valid("a b"));
    assert_false(command_name_valid("a.b"));
    assert_false(command_name_valid("\xff"));
    assert_true(command_name_valid("aaaaaaaaaabbbbbbbbbbccccccccccdd"));
    assert_false(command_name_valid("aaaaaaaaaabbbbbbbbbbccccccccccddd"));
}

static void absent_keys_are_filled_in(void **state)
{
    AUTO_BUF struct buf errors = BUF_INIT;
    json_object *v, *out = check(CHAT(), &errors);

    (void)state;
    assert_non_null(out);
    assert_int_equal(json_object_get_int(json_object_object_get(out, "type")),
                     COMMAND_CHAT);
    assert_true(
        json_object_object_get_ex(out, "default_member_permissions", &v));
    assert_null(v);
    assert_false(json_object_get_boolean(json_object_object_get(out, "nsfw")));
    json_object_put(out);
}

static void name_and_description_are_needed(void **state)
{
    (void)state;
    assert_refused("{\"name\":\"a\"}", "BASE_TYPE_REQUIRED");
    assert_refused("{\"description\":\"a\"}", "BASE_TYPE_REQUIRED");
    assert_refused("{\"name\":\"A\",\"description\":\"a\"}",
                   "APPLICATION_COMMAND_INVALID_NAME");
    assert_fits("{\"name\":\"Say Hi\",\"type\":2}");
    assert_refused("{\"name\":\"Say Hi\",\"type\":2,\"description\":\"x\"}",
                   "APPLICATION_COMMAND_INVALID_DESCRIPTION");
}

static void required_options_come_first(void **state)
{
    (void)state;
    assert_fits(
        OPTIONS(OPTION("\"type\":3,\"required\":true") ",{\"name\":"
                                                       "\"b\",\"description\":"
                                                       "\"d\",\"type\":4}"));
    assert_refused(
        OPTIONS(OPTION("\"type\":3") ",{\"name\":\"b\",\"description\":\"d\","
                                     "\"type\":4,\"required\":true}"),
        "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID");
}

static void option_names_are_unique(void **state)
{
    (void)state;
    assert_refused(OPTIONS(OPTION("\"type\":3") "," OPTION("\"type\":4")),
                   "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE");
}

static void subcommands_nest_two_deep_and_stay_alone(void **state)
{
    (void)state;
    assert_fits(
        OPTIONS(OPTION("\"type\":1,\"options\":[" OPTION("\"type\":3") "]")));
    assert_fits(OPTIONS(OPTION("\"type\":2,\"options\":[" OPTION(
        "\"type\":1,\"options\":[" OPTION("\"type\":3") "]") "]")));
    assert_refused(
        OPTIONS(OPTION("\"type\":2,\"options\":[" OPTION("\"type\":3") "]")),
        "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID");
    assert_refused(
        OPTIONS(OPTION("\"type\":1,\"options\":[" OPTION("\"type\":1") "]")),
        "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID");
    assert_refused(OPTIONS(OPTION("\"type\":1") ",{\"name\":\"b\","
                                                "\"description\":\"d\","
                                                "\"type\":3}"),
                   "mutually exclusive");
}

static void choices_are_typed_and_exclude_autocomplete(void **state)
{
    (void)state;
    assert_fits(OPTIONS(
        OPTION("\"type\":4,\"choices\":[{\"name\":\"One\",\"value\":1}]")));
    assert_refused(
        OPTIONS(OPTION(
            "\"type\":4,\"choices\":[{\"name\":\"One\",\"value\":\"1\"}]")),
        "APPLICATION_COMMAND_OPTIONS_CHOICE_TYPE_INVALID");
    assert_refused(
        OPTIONS(OPTION("\"type\":3,\"autocomplete\":true,\"choices\":[{"
                       "\"name\":\"One\",\"value\":\"1\"}]")),
        "choices and autocomplete");
    assert_refused(OPTIONS(OPTION("\"type\":12")), "type");
}

static void bounds_are_of_the_options_type(void **state)
{
    (void)state;
    assert_fits(OPTIONS(OPTION("\"type\":10,\"min_value\":0.5")));
    assert_refused(OPTIONS(OPTION("\"type\":4,\"min_value\":0.5")),
                   "min_value");
    assert_refused(OPTIONS(OPTION("\"type\":3,\"max_length\":0")),
                   "max_length");
}

static void twenty_six_options_are_too_many(void **state)
{
    AUTO_BUF struct buf text = BUF_INIT;

    (void)state;
    buf_addstr(&text, "{\"name\":\"a\",\"description\":\"d\",\"options\":[");
    for (int i = 0; i < 26; i++)
        buf_printf(&text,
                   "%s{\"type\":3,\"name\":\"o%d\",\"description\":\"d\"}",
                   i ? "," : "", i);
    buf_addstr(&text, "]}");
    assert_refused(text.data, "BASE_TYPE_");
}

/* 25 options with 4 choices of 100 and 1 characters each: over 8000. */
static void eight_thousand_characters_in_all(void **state)
{
    AUTO_BUF struct buf text = BUF_INIT;

    (void)state;
    buf_addstr(&text, "{\"name\":\"a\",\"description\":\"d\",\"options\":[");
    for (int i = 0; i < 25; i++) {
        buf_printf(&text,
                   "%s{\"type\":3,\"name\":\"o%d\",\"description\":\"d\","
                   "\"choices\":[",
                   i ? "," : "", i);
        for (int j = 0; j < 4; j++)
            buf_printf(&text, "%s{\"name\":\"%0100d\",\"value\":\"v\"}",
                       j ? "," : "", j);
        buf_addstr(&text, "]}");
    }
    buf_addstr(&text, "]}");
    assert_refused(text.data, "APPLICATION_COMMAND_TOO_LARGE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_lower_case_words_of_any_script),
        cmocka_unit_test(absent_keys_are_filled_in),
        cmocka_unit_test(name_and_description_are_needed),
        cmocka_unit_test(required_options_come_first),
        cmocka_unit_test(option_names_are_unique),
        cmocka_unit_test(subcommands_nest_two_deep_and_stay_alone),
        cmocka_unit_test(choices_are_typed_and_exclude_autocomplete),
        cmocka_unit_test(bounds_are_of_the_options_type),
        cmocka_unit_test(twenty_six_options_are_too_many),
        cmocka_unit_test(eight_thousand_characters_in_all),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
