/* The kernel's list of mounts. */
#include "fs/mounts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void only_ours_are_listed(void **state)
{
    char text[] =
        "22 1 0:20 / / rw shared:1 - ext4 /dev/sda rw\n"
        "90 22 0:44 / /home/a/my\\040guild rw,nosuid shared:9 master:2 - "
        "fuse.dbcord dbcord rw,user_id=0\n"
        "91 22 0:45 / /x rw - fuse.sshfs host rw\n"
        "92 22 0:46 / /y rw - fuse.dbcord2 x rw\n"
        "93 22 0:47 / /z rw - fuse.dbcord dbcord rw\n"
        "broken line\n";
    size_t n;

    (void)state;
    char **list = mounts_parse(text, &n);
    assert_int_equal(n, 2);
    assert_string_equal(list[0], "/home/a/my guild");
    assert_string_equal(list[1], "/z");
    mounts_free(list, n);
}

static void the_newest_mount_on_a_directory_counts(void **state)
{
    char text[] = "90 22 0:44 / /a rw - fuse.dbcord dbcord rw\n"
                  "91 22 0:45 / /b rw - fuse.dbcord dbcord rw\n"
                  "92 22 0:46 / /a rw - tmpfs x rw\n"
                  "93 22 0:47 / /b rw - fuse.dbcord dbcord rw\n";
    size_t n;

    (void)state;
    char **list = mounts_parse(text, &n);
    assert_int_equal(n, 1);
    assert_string_equal(list[0], "/b");
    mounts_free(list, n);
}

static void paths_are_made_absolute(void **state)
{
    (void)state;
    assert_int_equal(chdir("/"), 0);
    char *path = mounts_resolve("proc/../proc/.");
    assert_string_equal(path, "/proc");
    free(path);
    assert_null(mounts_resolve("/no/such/path"));
}

static void a_directory_is_no_mount_of_ours(void **state)
{
    struct err err = ERR_INIT;
    struct buf text = BUF_INIT;

    (void)state;
    assert_false(mounts_has("/proc"));
    assert_true(mounts_status("/proc", &text, &err) < 0);
    assert_non_null(strstr(err.text, "/proc is not a mount of dbcord"));
    assert_int_equal(mounts_pid("/proc"), 0);
    buf_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_ours_are_listed),
        cmocka_unit_test(the_newest_mount_on_a_directory_counts),
        cmocka_unit_test(paths_are_made_absolute),
        cmocka_unit_test(a_directory_is_no_mount_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
