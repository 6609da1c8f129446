/* The table of commands: what Discord, the shell and the documents rely on,
 * and how values are checked. */
#include "engine/command/command.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/buf.h"
#include "engine/json.h"

static bool is_name(const char *s)
{
    return *s && strspn(s, "abcdefghijklmnopqrstuvwxyz_") == strlen(s) &&
           strlen(s) <= 28; /* 32 with Discord's "dbc_" */
}

static void names_and_texts_fit_discord(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *c = command_at(i);

        assert_true(is_name(c->name));
        assert_in_range(strlen(c->summary), 1, 100);
        assert_true(c->n_options <= COMMAND_OPTIONS_MAX);
        assert_ptr_equal(command_find(c->name), c);
        for (size_t j = 0; j < c->n_options; j++) {
            const struct command_option *o = &c->options[j];

            assert_true(is_name(o->name));
            assert_in_range(strlen(o->help), 1, 100);
            assert_int_equal(command_option_index(c, o->name), j);
            if (o->instead)
                assert_true(command_option_index(c, o->instead) != SIZE_MAX);
            assert_int_equal(o->choices != NULL, o->type == COMMAND_CHOICE);
        }
    }
}

/* 1, 2, 3 … each once: the command line fills them in order. */
static void places_have_no_gaps(void **state)
{
    (void)state;
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *c = command_at(i);
        unsigned seen = 0;

        for (size_t j = 0; j < c->n_options; j++) {
            unsigned bit = 1u << c->options[j].place;
            if (c->options[j].place == 0)
                continue;
            assert_int_equal(seen & bit, 0);
            seen |= bit;
        }
        assert_int_equal((seen >> 1) & ((seen >> 1) + 1), 0);
    }
}

static int set(struct command_call *call, const char *option, const char *text,
               struct err *err)
{
    size_t i = command_option_index(call->command, option);

    assert_true(i != SIZE_MAX);
    return command_set(call, i, text, strlen(text), err);
}

static void values_are_checked_by_type(void **state)
{
    struct command_call call;
    struct err err;

    (void)state;
    command_call_init(&call, command_find("update"));
    assert_int_equal(set(&call, "database", "", &err), -EINVAL);
    assert_int_equal(set(&call, "database", "\xff", &err), -EINVAL);
    assert_int_equal(set(&call, "if_version", "4294967296", &err), -EINVAL);
    assert_int_equal(set(&call, "if_version", "-1", &err), -EINVAL);
    assert_int_equal(set(&call, "if_version", "1.5", &err), -EINVAL);
    assert_int_equal(set(&call, "if_version", "4294967295", &err), 0);
    assert_int_equal(set(&call, "if_version", "1", &err), -EINVAL);
    assert_int_equal(command_set(&call, 2, "a\0b", 3, &err), -EINVAL);
    assert_int_equal(command_set(&call, 3, "a\0b", 3, &err), 0);
    command_call_release(&call);
}

static void value_and_file_exclude_each_other(void **state)
{
    struct command_call call;
    struct err err;

    (void)state;
    command_call_init(&call, command_find("insert"));
    assert_int_equal(set(&call, "database", "prod", &err), 0);
    assert_int_equal(set(&call, "table", "users", &err), 0);
    assert_int_equal(command_check(&call, &err), -EINVAL);
    assert_non_null(strstr(err.text, "or give file"));
    assert_int_equal(set(&call, "file", "{}", &err), 0);
    assert_int_equal(command_check(&call, &err), 0);
    assert_int_equal(set(&call, "value_json", "{}", &err), 0);
    assert_int_equal(command_check(&call, &err), -EINVAL);
    command_call_release(&call);
}

/* A file keeps its name, and its bytes are not copied. */
static void files_are_taken_with_their_names(void **state)
{
    struct command_call call;
    struct err err;
    struct buf bytes = BUF_INIT;

    (void)state;
    command_call_init(&call, command_find("import"));
    size_t file = command_option_index(call.command, "file");
    buf_add(&bytes, "a\0b", 3);
    const char *data = bytes.data;
    assert_int_equal(command_set_file(&call, file, "rows.csv", &bytes, &err),
                     0);
    assert_null(bytes.data);
    assert_ptr_equal(call.values[file].text.data, data);
    assert_string_equal(call.values[file].name, "rows.csv");
    buf_addstr(&bytes, "x");
    assert_int_equal(command_set_file(&call, file, NULL, &bytes, &err),
                     -EINVAL);
    buf_release(&bytes);
    command_call_release(&call);
}

struct counting_sink {
    struct command_sink sink;
    size_t n;
    bool valid;
};

static int count(struct command_sink *s, const char *json, size_t len,
                 struct err *err)
{
    struct counting_sink *c = (struct counting_sink *)s;

    c->n++;
    c->valid = json_check(json, len, err) == 0 && c->valid;
    return 0;
}

static void help_tells_of_every_command(void **state)
{
    struct counting_sink sink = {.sink = {.put = count}, .valid = true};
    struct command_call call;
    struct err err;

    (void)state;
    command_call_init(&call, command_find("help"));
    call.sink = &sink.sink;
    assert_int_equal(command_run(&call, &err), 0);
    assert_int_equal(sink.n, command_count());
    assert_true(sink.valid);

    assert_int_equal(set(&call, "command", "frobnicate", &err), 0);
    assert_int_equal(command_run(&call, &err), -ENOENT);
    command_call_release(&call);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_texts_fit_discord),
        cmocka_unit_test(places_have_no_gaps),
        cmocka_unit_test(values_are_checked_by_type),
        cmocka_unit_test(value_and_file_exclude_each_other),
        cmocka_unit_test(files_are_taken_with_their_names),
        cmocka_unit_test(help_tells_of_every_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
