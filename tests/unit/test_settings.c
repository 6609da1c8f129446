/* Settings from the environment and from files: which goes first, what is
 * refused, and that the token leaves no trace. */
#include "fs/settings.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define A_TOKEN "aaaa.bbbb.cccc-dddd"

static char dir[] = "/tmp/test-settings-XXXXXX";

static int enter_empty_dir(void **state)
{
    (void)state;
    strcpy(strrchr(dir, '-'), "-XXXXXX");
    if (!mkdtemp(dir) || chdir(dir) < 0)
        return -1;
    unsetenv("DISCORD_BOT_TOKEN");
    unsetenv("DBCORD_GUILD_ID");
    unsetenv("DBCORD_API_URL");
    setenv("XDG_CONFIG_HOME", dir, 1);
    return 0;
}

static int remove_dir(void **state)
{
    (void)state;
    unlink(".env");
    unlink("other");
    unlink("dbcord/env");
    rmdir("dbcord");
    return chdir("/") < 0 || rmdir(dir) < 0;
}

static void write_file(const char *path, mode_t mode, const char *text)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, mode);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void assert_refused(const char *env_file, int code, const char *words)
{
    struct settings s;
    struct err err = ERR_INIT;

    assert_int_equal(settings_load(env_file, &s, &err), code);
    if (!strstr(err.text, words))
        fail_msg("'%s' does not say '%s'", err.text, words);
    assert_null(strstr(err.text, A_TOKEN));
}

static struct settings load(const char *env_file)
{
    struct settings s;
    struct err err = ERR_INIT;

    if (settings_load(env_file, &s, &err) < 0)
        fail_msg("%s", err.text);
    return s;
}

static void environment_alone_is_enough(void **state)
{
    (void)state;
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    setenv("DBCORD_GUILD_ID", "123, 456", 1);
    struct settings s = load(NULL);

    assert_string_equal(s.token, A_TOKEN);
    assert_int_equal(s.n_guilds, 2);
    assert_int_equal(s.guilds[1], 456);
    assert_string_equal(s.api_url, SETTINGS_API_URL);
    assert_null(s.file);
    settings_release(&s);
}

static void token_leaves_the_environment(void **state)
{
    (void)state;
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    setenv("DBCORD_GUILD_ID", "1", 1);
    const char *where = getenv("DISCORD_BOT_TOKEN");
    struct settings s = load(NULL);

    assert_null(getenv("DISCORD_BOT_TOKEN"));
    assert_int_equal(where[0], 0);
    settings_release(&s);
}

static void dot_env_is_read(void **state)
{
    (void)state;
    write_file(".env", 0600,
               "# a comment\n\nexport DISCORD_BOT_TOKEN='" A_TOKEN "'\n"
               "DBCORD_GUILD_ID = 42 # mine\nOTHER=1\n"
               "DBCORD_API_URL=http://127.0.0.1:1/api/v10");
    struct settings s = load(NULL);

    assert_string_equal(s.token, A_TOKEN);
    assert_int_equal(s.guilds[0], 42);
    assert_string_equal(s.api_url, "http://127.0.0.1:1/api/v10");
    assert_string_equal(s.file, "./.env");
    settings_release(&s);
}

static void config_file_is_read_last(void **state)
{
    (void)state;
    mkdir("dbcord", 0700);
    write_file("dbcord/env", 0600,
               "DISCORD_BOT_TOKEN=" A_TOKEN "\nDBCORD_GUILD_ID=7\n");
    struct settings s = load(NULL);
    assert_int_equal(s.guilds[0], 7);
    settings_release(&s);

    write_file(".env", 0600,
               "DISCORD_BOT_TOKEN=" A_TOKEN "\nDBCORD_GUILD_ID=8\n");
    s = load(NULL);
    assert_int_equal(s.guilds[0], 8);
    settings_release(&s);
}

static void environment_goes_before_the_file(void **state)
{
    (void)state;
    write_file("other", 0600,
               "DISCORD_BOT_TOKEN=from-the-file\nDBCORD_GUILD_ID=7\n");
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    struct settings s = load("other");

    assert_string_equal(s.token, A_TOKEN);
    assert_int_equal(s.guilds[0], 7);
    settings_release(&s);
}

/* A .env in a directory that somebody else filled must not get the token of
 * the environment sent to its own address. */
static void found_file_cannot_redirect_a_token(void **state)
{
    (void)state;
    write_file(".env", 0600,
               "DBCORD_GUILD_ID=7\nDBCORD_API_URL=https://elsewhere.example\n");
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    struct settings s = load(NULL);

    assert_string_equal(s.api_url, SETTINGS_API_URL);
    settings_release(&s);
}

static void file_others_can_read_is_refused(void **state)
{
    (void)state;
    write_file(".env", 0644, "DISCORD_BOT_TOKEN=" A_TOKEN "\n");
    assert_refused(NULL, -EACCES, "chmod 600");
    assert_int_equal(chmod(".env", 0640), 0);
    assert_refused(NULL, -EACCES, "chmod 600");
}

static void file_that_is_not_needed_is_left_alone(void **state)
{
    (void)state;
    write_file(".env", 0644, "NODE_ENV=production\n");
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    setenv("DBCORD_GUILD_ID", "1", 1);
    struct settings s = load(NULL);
    settings_release(&s);
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    assert_refused(NULL, -EINVAL, "DISCORD_BOT_TOKEN");
    assert_refused("other", -ENOENT, "other");
    setenv("DISCORD_BOT_TOKEN", A_TOKEN, 1);
    assert_refused(NULL, -EINVAL, "DBCORD_GUILD_ID");
}

static void broken_lines_are_named(void **state)
{
    (void)state;
    write_file("other", 0600, "A=1\nnonsense\n");
    assert_refused("other", -EINVAL, "line 2");
    write_file("other", 0600, "DISCORD_BOT_TOKEN=\"" A_TOKEN "\n");
    assert_refused("other", -EINVAL, "quote");
    write_file("other", 0600,
               "DISCORD_BOT_TOKEN=Bot " A_TOKEN "\nDBCORD_GUILD_ID=1\n");
    assert_refused("other", -EINVAL, "DISCORD_BOT_TOKEN");
}

static void guilds_are_numbers(void **state)
{
    static const char *const wrong[] = {"x", "1,", "0", "1 2", "-1", "", ","};
    uint64_t *ids;
    size_t n;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (strcmp(wrong[i], "1,") == 0)
            continue; /* a comma at the end is no guild more */
        assert_int_equal(settings_parse_ids("IDS", wrong[i], &ids, &n, NULL),
                         -EINVAL);
    }
    assert_int_equal(settings_parse_ids("IDS", "1,", &ids, &n, NULL), 0);
    assert_int_equal(n, 1);
    free(ids);
}

static void lines_of_every_kind(void **state)
{
    static const struct {
        const char *line, *value;
    } good[] = {
        {"A=1", "1"},         {"A=", ""},
        {" A = x y ", "x y"}, {"A=\"x # y\" # z", "x # y"},
        {"A='it''", NULL},    {"A=a#b", "a#b"},
        {"A=a #b", "a"},      {"export A=1\r\n", "1"},
        {"A==", "="},         {"=1", NULL},
        {"1A=1", NULL},       {"A B=1", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        char line[64], *name, *value;

        snprintf(line, sizeof(line), "%s", good[i].line);
        int r = settings_parse_line(line, &name, &value, NULL);
        if (!good[i].value) {
            assert_int_equal(r, -EINVAL);
            continue;
        }
        assert_int_equal(r, 1);
        assert_string_equal(name, "A");
        assert_string_equal(value, good[i].value);
    }
}

#define CASE(name)                                                             \
    cmocka_unit_test_setup_teardown(name, enter_empty_dir, remove_dir)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(environment_alone_is_enough),
        CASE(token_leaves_the_environment),
        CASE(dot_env_is_read),
        CASE(config_file_is_read_last),
        CASE(environment_goes_before_the_file),
        CASE(found_file_cannot_redirect_a_token),
        CASE(file_others_can_read_is_refused),
        CASE(file_that_is_not_needed_is_left_alone),
        CASE(what_is_missing_is_named),
        CASE(broken_lines_are_named),
        CASE(guilds_are_numbers),
        CASE(lines_of_every_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
