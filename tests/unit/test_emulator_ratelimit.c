/* The emulator's windows, under a clock of the test's own. */
#include "tests/emulator/ratelimit.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int setup(void **state)
{
    *state = ratelimit_new();
    return 0;
}

static int teardown(void **state)
{
    ratelimit_free(*state);
    return 0;
}

static void use(struct ratelimit *rl, uint64_t key, int64_t now)
{
    assert_int_equal(ratelimit_wait(rl, "write", key, 5, 5000, now), 0);
    ratelimit_take(rl, "write", key, 5, 5000, now);
}

/* Five fit; the sixth waits for the window that the first one opened. */
static void window_opens_with_the_first_use(void **state)
{
    struct ratelimit *rl = *state;

    for (int i = 0; i < 5; i++)
        use(rl, 1, 1000 + i * 100);
    assert_int_equal(ratelimit_wait(rl, "write", 1, 5, 5000, 1500), 4500);
    assert_int_equal(ratelimit_wait(rl, "write", 1, 5, 5000, 5999), 1);
    assert_int_equal(ratelimit_wait(rl, "write", 1, 5, 5000, 6000), 0);
}

static void another_key_has_its_own(void **state)
{
    struct ratelimit *rl = *state;

    for (int i = 0; i < 5; i++)
        use(rl, 1, 0);
    assert_int_equal(ratelimit_wait(rl, "write", 2, 5, 5000, 0), 0);
    assert_int_equal(ratelimit_wait(rl, "read", 1, 5, 5000, 0), 0);
    assert_true(ratelimit_wait(rl, "write", 1, 5, 5000, 0) > 0);
}

/* Asking costs nothing: a client that is refused is not pushed back. */
static void refusals_take_nothing(void **state)
{
    struct ratelimit *rl = *state;

    for (int i = 0; i < 5; i++)
        use(rl, 1, 0);
    for (int i = 0; i < 100; i++)
        ratelimit_wait(rl, "write", 1, 5, 5000, 10);
    use(rl, 1, 5000);
    assert_int_equal(ratelimit_state(rl, "write", 1, 5, 5000, 5000).remaining,
                     4);
}

static void state_tells_what_is_left(void **state)
{
    struct ratelimit *rl = *state;

    struct ratelimit_state s = ratelimit_state(rl, "write", 1, 5, 5000, 100);
    assert_int_equal(s.remaining, 5);
    use(rl, 1, 100);
    use(rl, 1, 200);
    s = ratelimit_state(rl, "write", 1, 5, 5000, 300);
    assert_int_equal(s.remaining, 3);
    assert_int_equal(s.reset_at, 5100);
}

/* One window for every channel ever written to would never be let go. */
static void closed_windows_are_let_go(void **state)
{
    struct ratelimit *rl = *state;

    for (uint64_t key = 1; key <= 10000; key++)
        use(rl, key, (int64_t)key * 100);
    assert_true(ratelimit_count(rl) < 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(window_opens_with_the_first_use, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(another_key_has_its_own, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(refusals_take_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(state_tells_what_is_left, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(closed_windows_are_let_go, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
