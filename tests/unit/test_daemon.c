/* Into the background: what the parent is told, and when. */
#include "fs/daemon.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum ending { READY, FAILS, DIES, WAITS_FOR_TERM };

static void child(struct daemon *d, enum ending ending)
{
    sigset_t term;
    int sig;

    switch (ending) {
    case READY:
        daemon_ready(d);
        break;
    case FAILS:
        daemon_failed(d, 5, "no such luck");
        break;
    case DIES:
        raise(SIGKILL);
        break;
    case WAITS_FOR_TERM:
        /* As mount_run() takes it. The parent is told to interrupt itself
         * only now, so that the signal cannot come too early. */
        sigemptyset(&term);
        sigaddset(&term, SIGTERM);
        sigprocmask(SIG_BLOCK, &term, NULL);
        kill(getppid(), SIGINT);
        sigwait(&term, &sig);
        daemon_failed(d, 1, "told to stop");
        break;
    }
    _exit(0);
}

static int run(enum ending ending, struct err *err)
{
    struct daemon d;

    assert_int_equal(daemon_fork(&d, err), 0);
    if (d.pid == 0)
        child(&d, ending);
    int code = daemon_wait(&d, err);
    waitpid(d.pid, NULL, 0); /* gone already where daemon_wait() took it */
    return code;
}

static void parent_goes_when_the_child_is_ready(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(run(READY, &err), 0);
    assert_string_equal(err.text, "");
}

static void code_and_reason_come_through(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(run(FAILS, &err), 5);
    assert_string_equal(err.text, "no such luck");
}

static void a_child_that_dies_is_noticed(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(run(DIES, &err), 1);
    assert_non_null(strstr(err.text, "died"));
}

static void an_interrupt_goes_to_the_child(void **state)
{
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(run(WAITS_FOR_TERM, &err), 1);
    assert_string_equal(err.text, "told to stop");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parent_goes_when_the_child_is_ready),
        cmocka_unit_test(code_and_reason_come_through),
        cmocka_unit_test(a_child_that_dies_is_noticed),
        cmocka_unit_test(an_interrupt_goes_to_the_child),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
