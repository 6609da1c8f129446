/* What Discord is told: commands, answers, pages; and what it tells. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bot/interaction.h"
#include "bot/manual.h"
#include "bot/register.h"
#include "bot/reply.h"
#include "bot/show.h"
#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/command/command.h"

static struct json_object *parse(const char *text)
{
    struct json_object *o = json_tokener_parse(text);

    assert_non_null(o);
    return o;
}

static struct json_object *get(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    assert_true(json_object_object_get_ex(o, name, &v));
    return v;
}

static const char *text_of(struct json_object *o, const char *name)
{
    return json_object_get_string(get(o, name));
}

/* --- commands ------------------------------------------------------------- */

static struct json_object *commands(bool open)
{
    AUTO_BUF struct buf b = BUF_INIT;

    register_write(open, &b);
    return parse(b.data);
}

static void check_name(const char *name)
{
    size_t len = strlen(name);

    assert_in_range(len, 1, 32);
    assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-"),
                     len);
}

/* Adds what Discord counts towards its 8000. */
static size_t check_described(struct json_object *o)
{
    size_t len = utf16_units(text_of(o, "description"),
                             strlen(text_of(o, "description")));

    check_name(text_of(o, "name"));
    assert_in_range(len, 1, 100);
    return len + strlen(text_of(o, "name"));
}

static size_t check_options(struct json_object *command)
{
    struct json_object *list = get(command, "options");
    size_t total = 0;
    bool optional = false;

    assert_in_range(json_object_array_length(list), 1, 25);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i), *v;
        total += check_described(o);
        bool required = json_object_object_get_ex(o, "required", &v) &&
                        json_object_get_boolean(v);
        assert_false(required && optional);
        optional = optional || !required;
        if (json_object_object_get_ex(o, "choices", &v)) {
            assert_in_range(json_object_array_length(v), 1, 25);
            assert_false(json_object_object_get_ex(o, "autocomplete", &v));
        }
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(
                text_of(json_object_array_get_idx(list, k), "name"),
                text_of(o, "name"));
    }
    return total;
}

static void every_command_is_one_discord_takes(void **state)
{
    struct json_object *list = commands(false);

    (void)state;
    assert_int_equal(json_object_array_length(list), command_count());
    assert_in_range(json_object_array_length(list), 1, 100);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        assert_true(str_starts(text_of(c, "name"), SLASH_PREFIX));
        assert_in_range(check_described(c) + check_options(c), 1, 8000);
    }
    json_object_put(list);
}

/* The list as Discord gives it back: ids of its own, defaults left out or
 * filled in. */
static struct json_object *as_registered(void)
{
    struct json_object *list = commands(false);

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        struct json_object *options = get(c, "options");
        json_object_object_add(c, "id", json_object_new_string("123"));
        json_object_object_add(c, "nsfw", json_object_new_boolean(false));
        json_object_object_del(c, "type");
        for (size_t k = 0; k < json_object_array_length(options); k++) {
            struct json_object *o = json_object_array_get_idx(options, k), *v;
            if (!json_object_object_get_ex(o, "required", &v))
                json_object_object_add(o, "required",
                                       json_object_new_boolean(false));
        }
    }
    return list;
}

static void what_is_registered_is_left_alone(void **state)
{
    struct json_object *theirs = as_registered();
    struct json_object *ours = commands(false);

    (void)state;
    assert_true(register_is_same(theirs, ours));
    json_object_put(theirs);
    json_object_put(ours);
}

static void any_difference_is_written(void **state)
{
    struct json_object *ours = commands(false);
    struct json_object *theirs = as_registered(), *open = commands(true);
    struct json_object *first = json_object_array_get_idx(theirs, 0);

    (void)state;
    assert_false(register_is_same(theirs, open));
    json_object_object_add(first, "description",
                           json_object_new_string("something else"));
    assert_false(register_is_same(theirs, ours));
    json_object_put(theirs);

    theirs = as_registered();
    first = json_object_array_get_idx(theirs, 0);
    struct json_object *option =
        json_object_array_get_idx(get(first, "options"), 0);
    json_object_object_add(option, "required", json_object_new_boolean(false));
    assert_false(register_is_same(theirs, ours));
    json_object_array_del_idx(theirs, 0, 1);
    assert_false(register_is_same(theirs, ours));
    json_object_put(theirs);
    json_object_put(open);
    json_object_put(ours);
}

/* --- answers -------------------------------------------------------------- */

static struct json_object *written(const struct reply *r, enum reply_kind kind)
{
    AUTO_BUF struct buf b = BUF_INIT;

    reply_write(r, kind, &b);
    return parse(b.data);
}

static void an_answer_is_for_one_person_and_pings_nobody(void **state)
{
    struct reply r = {.content = "@everyone"};
    struct json_object *o = written(&r, REPLY_MESSAGE);
    struct json_object *data = get(o, "data");

    (void)state;
    assert_int_equal(json_object_get_int(get(o, "type")), 4);
    assert_int_equal(json_object_get_int(get(data, "flags")), 64 | 4);
    assert_int_equal(
        json_object_array_length(get(get(data, "allowed_mentions"), "parse")),
        0);
    json_object_put(o);

    r.is_public = true;
    o = written(&r, REPLY_MESSAGE);
    assert_int_equal(json_object_get_int(get(get(o, "data"), "flags")), 4);
    json_object_put(o);
}

static void an_edit_takes_buttons_and_files_away(void **state)
{
    struct json_object *o =
        written(&(struct reply){.content = "x"}, REPLY_EDIT);

    (void)state;
    assert_int_equal(json_object_array_length(get(o, "components")), 0);
    assert_int_equal(json_object_array_length(get(o, "attachments")), 0);
    json_object_put(o);
}

/* --- pages ---------------------------------------------------------------- */

static void add(struct show *s, const char *json)
{
    assert_int_equal(show_add(s, json, strlen(json), NULL), 0);
}

static void check_pages(const struct shown *out)
{
    assert_true(out->n > 0);
    for (size_t i = 0; i < out->n; i++)
        assert_in_range(utf16_units(out->pages[i], strlen(out->pages[i])), 1,
                        SHOW_CONTENT_MAX);
}

static size_t occurrences(const char *text, const char *what)
{
    size_t n = 0;

    for (; (text = strstr(text, what)); text += strlen(what))
        n++;
    return n;
}

static void one_object_is_a_block_of_json(void **state)
{
    struct show s = {.max = 1 << 20};
    struct shown out;

    (void)state;
    add(&s, "{\"id\":\"u_1\"}\n");
    show_finish(&s, "get", &out);
    assert_int_equal(out.n, 1);
    assert_string_equal(out.pages[0], "```json\n{\"id\":\"u_1\"}\n```");
    shown_release(&out);
    show_release(&s);
}

static void a_row_of_several_lines_is_one_line_among_many(void **state)
{
    struct show s = {.many = true, .max = 1 << 20};
    struct shown out;

    (void)state;
    add(&s, "{\n \"a\": 1\n}\n");
    add(&s, "{\"a\":2}");
    show_finish(&s, "find", &out);
    assert_non_null(strstr(out.pages[0], "\n{  \"a\": 1 }\n{\"a\":2}\n"));
    shown_release(&out);
    show_release(&s);

    s = (struct show){.max = 1 << 20};
    add(&s, "{\n \"a\": 1\n}\n");
    show_finish(&s, "get", &out);
    assert_string_equal(out.pages[0], "```json\n{\n \"a\": 1\n}\n```");
    shown_release(&out);
    show_release(&s);
}

static void nothing_in_a_row_ends_the_block(void **state)
{
    static const char *const hostile[] = {
        "{\"a\":\"```@everyone <@1> https://x.org ``````\"}",
        "{\"a\":\"\xe2\x80\xae`````\xe2\x80\x8b```\"}",
        "{\"```\":\"\xf3\xa0\x80\x81\"}",
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct show s = {.max = 1 << 20};
        struct shown out;
        add(&s, hostile[i]);
        show_finish(&s, "get", &out);
        assert_int_equal(occurrences(out.pages[0], "```"), 2);
        assert_null(strstr(out.pages[0], "\xe2\x80\xae"));

        /* It still means the same. */
        char *body = xstrdup(out.pages[0] + strlen("```json\n"));
        *strstr(body, "\n```") = '\0';
        struct json_object *shown = parse(body), *was = parse(hostile[i]);
        assert_true(json_object_equal(shown, was));
        json_object_put(shown);
        json_object_put(was);
        free(body);
        shown_release(&out);
        show_release(&s);
    }
}

static void many_rows_are_pages_and_none_is_torn(void **state)
{
    struct show s = {.many = true, .max = 1 << 20};
    struct shown out;
    char row[64];
    size_t seen = 0;

    (void)state;
    for (int i = 0; i < 300; i++) {
        snprintf(row, sizeof(row), "{\"id\":\"u_%d\",\"n\":%d}", i, i);
        add(&s, row);
    }
    show_finish(&s, "find", &out);
    check_pages(&out);
    assert_false(out.as_file);
    assert_true(out.n > 1);
    for (size_t i = 0; i < out.n; i++)
        seen += occurrences(out.pages[i], "\"n\":");
    assert_int_equal(seen, 300);
    assert_non_null(strstr(out.pages[0], "of 300"));
    shown_release(&out);
    show_release(&s);
}

static void very_many_rows_are_a_file_with_a_beginning(void **state)
{
    struct show s = {.many = true, .max = 4 << 20};
    struct shown out;
    char row[200];

    (void)state;
    for (int i = 0; i < 5000; i++) {
        snprintf(row, sizeof(row), "{\"id\":\"u_%d\",\"text\":\"%0100d\"}", i,
                 i);
        add(&s, row);
    }
    show_finish(&s, "find", &out);
    check_pages(&out);
    assert_true(out.as_file);
    assert_int_equal(out.n, 1);
    assert_int_equal(occurrences(out.file.data, "\n"), 5000);
    assert_non_null(strstr(out.pages[0], "5000 rows"));
    shown_release(&out);
    show_release(&s);
}

static void a_row_larger_than_a_message_is_a_file(void **state)
{
    struct show s = {.max = 1 << 20};
    struct shown out;
    char row[4096];

    (void)state;
    snprintf(row, sizeof(row), "{\"text\":\"%03000d\"}", 1);
    add(&s, row);
    show_finish(&s, "get", &out);
    check_pages(&out);
    assert_true(out.as_file);
    assert_int_equal(out.file.len, strlen(row) + 1);
    shown_release(&out);
    show_release(&s);
}

static void more_than_a_file_is_refused_with_advice(void **state)
{
    struct show s = {.many = true, .max = 1 << 20};
    char *row = xmalloc(1 << 20);
    struct err err = ERR_INIT;

    (void)state;
    memset(row, ' ', 1 << 20);
    assert_int_equal(show_add(&s, row, 1 << 20, &err), -EFBIG);
    assert_non_null(strstr(err.text, "limit"));
    free(row);
    show_release(&s);
}

static void a_list_is_columns_where_a_phone_has_room(void **state)
{
    struct show s = {.many = true, .columns = true, .max = 1 << 20};
    struct shown out;

    (void)state;
    add(&s, "{\"table\":\"users\",\"rows\":12}");
    add(&s, "{\"table\":\"orders\",\"rows\":3400}");
    show_finish(&s, "tables", &out);
    assert_int_equal(out.n, 1);
    assert_non_null(strstr(out.pages[0], "users"));
    assert_null(strstr(out.pages[0], "table: "));
    shown_release(&out);

    add(&s, "{\"table\":\"a table whose name is much too long for it\","
            "\"rows\":1}");
    show_finish(&s, "tables", &out);
    assert_non_null(strstr(out.pages[0], "table: orders\nrows: 3400\n"));
    shown_release(&out);
    show_release(&s);
}

static void an_empty_list_says_so(void **state)
{
    struct show s = {.many = true, .max = 1 << 20};
    struct shown out;

    (void)state;
    show_finish(&s, "find", &out);
    assert_string_equal(out.pages[0], "`find`: nothing found.");
    shown_release(&out);
}

static void a_long_error_is_cut_at_a_character(void **state)
{
    AUTO_BUF struct buf text = BUF_INIT;
    AUTO_BUF struct buf out = BUF_INIT;

    (void)state;
    for (int i = 0; i < 2000; i++)
        buf_addstr(&text, "\xf0\x9f\x98\x80");
    show_block(&out, "", text.data, text.len, 500);
    assert_in_range(utf16_units(out.data, out.len), 400, 520);
    assert_true(utf8_valid(out.data, out.len));
}

static void the_manual_fits_and_names_every_command(void **state)
{
    struct shown out;
    size_t named = 0;

    (void)state;
    manual_show(NULL, &out);
    check_pages(&out);
    for (size_t i = 0; i < out.n; i++)
        named += occurrences(out.pages[i], "**/" SLASH_PREFIX);
    assert_int_equal(named, command_count());
    shown_release(&out);
    for (size_t i = 0; i < command_count(); i++) {
        manual_show(command_at(i), &out);
        check_pages(&out);
        shown_release(&out);
    }
}

/* --- interactions --------------------------------------------------------- */

#define HEAD                                                                   \
    "\"id\":\"1\",\"application_id\":\"2\",\"token\":\"t\",\"guild_id\":"      \
    "\"3\","                                                                   \
    "\"channel_id\":\"4\",\"member\":{\"user\":{\"id\":\"5\",\"username\":"    \
    "\"ada\"},\"roles\":[\"6\",\"7\"],\"permissions\":\"2147483648\"}"

static int read_one(const char *text, struct interaction *in, struct err *err)
{
    struct json_object *o = parse(text);
    int r = interaction_parse(o, in, err);

    json_object_put(o);
    return r;
}

static void a_command_is_read(void **state)
{
    struct interaction in;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        read_one("{\"type\":2," HEAD ",\"data\":{\"name\":\"dbc_import\","
                 "\"type\":1,\"options\":["
                 "{\"name\":\"database\",\"type\":3,\"value\":\"prod\"},"
                 "{\"name\":\"limit\",\"type\":4,\"value\":12},"
                 "{\"name\":\"public\",\"type\":5,\"value\":true},"
                 "{\"name\":\"file\",\"type\":11,\"value\":\"9\"}],"
                 "\"resolved\":{\"attachments\":{\"9\":{\"id\":\"9\",\"url\":"
                 "\"https://cdn/x\",\"filename\":\"a.csv\",\"size\":77}}}}}",
                 &in, &err),
        0);
    assert_int_equal(in.kind, INTERACTION_COMMAND);
    assert_int_equal(in.guild, 3);
    assert_int_equal(in.user, 5);
    assert_string_equal(in.user_name, "ada");
    assert_int_equal(in.n_roles, 2);
    assert_int_equal(in.roles[1], 7);
    assert_int_equal(in.permissions, 2147483648);
    assert_string_equal(interaction_option(&in, "database")->value, "prod");
    assert_string_equal(interaction_option(&in, "limit")->value, "12");
    assert_string_equal(interaction_option(&in, "public")->value, "true");
    assert_string_equal(interaction_option(&in, "file")->file_name, "a.csv");
    assert_int_equal(interaction_option(&in, "file")->file_size, 77);
    assert_null(interaction_option(&in, "table"));
    interaction_release(&in);
}

static void a_press_is_read(void **state)
{
    struct interaction in;

    (void)state;
    assert_int_equal(read_one("{\"type\":3," HEAD
                              ",\"data\":{\"custom_id\":\"dbc:yes:1\","
                              "\"component_type\":2},\"message\":{\"id\":"
                              "\"8\"}}",
                              &in, NULL),
                     0);
    assert_string_equal(in.custom_id, "dbc:yes:1");
    assert_int_equal(in.message, 8);
    interaction_release(&in);
}

#define FILE_OPTION "{\"name\":\"f\",\"type\":11,\"value\":\"9\"}"
#define SUB_OPTION "{\"name\":\"f\",\"type\":1,\"options\":[]}"
#define NOBODYS                                                                \
    "{\"type\":2,\"id\":\"1\",\"application_id\":\"2\",\"token\":\"t\","       \
    "\"data\":{\"name\":\"x\"}}"

static void what_is_not_understood_is_an_error(void **state)
{
    static const char *const wrong[] = {
        "{}",
        "[]",
        "{\"type\":2," HEAD "}",
        "{\"type\":5," HEAD ",\"data\":{}}",
        "{\"type\":2," HEAD ",\"data\":{\"name\":\"x\",\"type\":3}}",
        "{\"type\":2," HEAD ",\"data\":{\"name\":\"x\",\"options\":[{}]}}",
        "{\"type\":2," HEAD
        ",\"data\":{\"name\":\"x\",\"options\":[" FILE_OPTION "]}}",
        "{\"type\":2," HEAD ",\"data\":{\"name\":\"x\",\"options\":[" SUB_OPTION
        "]}}",
        "{\"type\":3," HEAD ",\"data\":{\"custom_id\":\"x\"}}",
        NOBODYS,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct interaction in;
        struct err err = ERR_INIT;
        assert_true(read_one(wrong[i], &in, &err) < 0);
        assert_true(err.text[0] != '\0');
        interaction_release(&in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_command_is_one_discord_takes),
        cmocka_unit_test(what_is_registered_is_left_alone),
        cmocka_unit_test(any_difference_is_written),
        cmocka_unit_test(an_answer_is_for_one_person_and_pings_nobody),
        cmocka_unit_test(an_edit_takes_buttons_and_files_away),
        cmocka_unit_test(one_object_is_a_block_of_json),
        cmocka_unit_test(a_row_of_several_lines_is_one_line_among_many),
        cmocka_unit_test(nothing_in_a_row_ends_the_block),
        cmocka_unit_test(many_rows_are_pages_and_none_is_torn),
        cmocka_unit_test(very_many_rows_are_a_file_with_a_beginning),
        cmocka_unit_test(a_row_larger_than_a_message_is_a_file),
        cmocka_unit_test(more_than_a_file_is_refused_with_advice),
        cmocka_unit_test(a_list_is_columns_where_a_phone_has_room),
        cmocka_unit_test(an_empty_list_says_so),
        cmocka_unit_test(a_long_error_is_cut_at_a_character),
        cmocka_unit_test(the_manual_fits_and_names_every_command),
        cmocka_unit_test(a_command_is_read),
        cmocka_unit_test(a_press_is_read),
        cmocka_unit_test(what_is_not_understood_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
