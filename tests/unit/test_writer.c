/* Whose write it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <unistd.h>

#include "fs/writer.h"

static void shells_are_known_by_their_program(void **state)
{
    (void)state;
    assert_true(program_is_shell("/usr/bin/bash"));
    assert_true(program_is_shell("/bin/dash"));
    assert_true(program_is_shell("/usr/bin/bash (deleted)"));
    assert_true(program_is_shell("busybox"));
    assert_false(program_is_shell("/usr/bin/bashful"));
    assert_false(program_is_shell("/usr/bin/cat"));
    assert_false(program_is_shell("/usr/bin/"));
}

static void this_test_is_no_shell(void **state)
{
    (void)state;
    assert_false(writer_is_shell(getpid()));
    assert_false(writer_is_shell(0));
    assert_false(writer_is_shell(-1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shells_are_known_by_their_program),
        cmocka_unit_test(this_test_is_no_shell),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
