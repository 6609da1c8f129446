/* The permission computation, against the order Discord documents. */
#include "tests/emulator/perm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/emulator/channel.h"

enum { GUILD = 1, ME = 2, RED = 10, BLUE = 11 };

#define VIEW PERM_VIEW_CHANNEL
#define SEND PERM_SEND_MESSAGES

static const uint64_t both[] = {RED, BLUE};

static uint64_t with(uint64_t base, const struct overwrite *o, unsigned n)
{
    return perm_overwritten(base, GUILD, ME, both, 2, o, n);
}

static void without_overwrites_the_base_stays(void **state)
{
    (void)state;
    assert_int_equal(with(VIEW | SEND, NULL, 0), VIEW | SEND);
}

static void administrator_skips_overwrites(void **state)
{
    (void)state;
    const struct overwrite o[] = {{GUILD, 0, 0, VIEW}, {ME, 1, 0, VIEW}};
    assert_int_equal(with(PERM_ADMINISTRATOR, o, 2), PERM_ALL);
}

/* Denies of all roles first, then allows of all: the order of the roles, or
 * of the list, decides nothing. */
static void a_role_that_allows_beats_one_that_denies(void **state)
{
    (void)state;
    const struct overwrite o[] = {{RED, 0, SEND, 0}, {BLUE, 0, 0, SEND}};
    const struct overwrite r[] = {{BLUE, 0, 0, SEND}, {RED, 0, SEND, 0}};
    assert_int_equal(with(VIEW | SEND, o, 2), VIEW | SEND);
    assert_int_equal(with(VIEW | SEND, r, 2), VIEW | SEND);
}

static void a_role_beats_everyone_and_the_member_beats_both(void **state)
{
    (void)state;
    const struct overwrite o[] = {
        {ME, 1, 0, SEND}, {RED, 0, SEND, 0}, {GUILD, 0, 0, SEND}};
    assert_int_equal(with(VIEW | SEND, o + 1, 2), VIEW | SEND);
    assert_int_equal(with(VIEW | SEND, o, 3), VIEW);
}

static void only_what_is_held_is_given(void **state)
{
    (void)state;
    const uint64_t held = VIEW | PERM_MANAGE_ROLES;
    assert_true(perm_may_give(held, VIEW));
    assert_false(perm_may_give(held, VIEW | SEND));
    assert_false(perm_may_give(held, PERM_MANAGE_ROLES));
    assert_true(perm_may_give(PERM_ADMINISTRATOR, PERM_MANAGE_ROLES | SEND));
}

static void strangers_overwrites_do_not_count(void **state)
{
    (void)state;
    const struct overwrite o[] = {{99, 0, 0, SEND}, {98, 1, 0, VIEW}};
    assert_int_equal(with(VIEW | SEND, o, 2), VIEW | SEND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_overwrites_the_base_stays),
        cmocka_unit_test(administrator_skips_overwrites),
        cmocka_unit_test(a_role_that_allows_beats_one_that_denies),
        cmocka_unit_test(a_role_beats_everyone_and_the_member_beats_both),
        cmocka_unit_test(only_what_is_held_is_given),
        cmocka_unit_test(strangers_overwrites_do_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
