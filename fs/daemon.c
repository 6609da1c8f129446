#include "fs/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What goes through the pipe: one byte with the code, then the message. */

int daemon_fork(struct daemon *d, struct err *err)
{
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_set(err, -errno, "cannot make a pipe: %s", strerror(errno));

    sigset_t passed_on;
    sigemptyset(&passed_on);
    sigaddset(&passed_on, SIGINT);
    sigaddset(&passed_on, SIGTERM);
    sigprocmask(SIG_BLOCK, &passed_on, &d->mask);

    /* Or both would print what is in the buffers. */
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        int r = err_set(err, -errno, "cannot go into the background: %s",
                        strerror(errno));
        sigprocmask(SIG_SETMASK, &d->mask, NULL);
        close(ends[0]);
        close(ends[1]);
        return r;
    }

    d->pid = pid;
    d->pipe = pid ? ends[0] : ends[1];
    close(pid ? ends[1] : ends[0]);
    if (pid == 0) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        setsid();
        sigprocmask(SIG_SETMASK, &d->mask, NULL);
        if (null >= 0)
            dup2(null, STDIN_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    return 0;
}

static volatile sig_atomic_t child;    /* while the parent waits */
static volatile sig_atomic_t received; /* how many signals came */

/* The first asks, the second does not. */
static void pass_on(int sig)
{
    (void)sig;
    kill((pid_t)child, received++ ? SIGKILL : SIGTERM);
}

/* Reads until the child closes its end. */
static size_t read_report(int fd, char *report, size_t size)
{
    size_t n = 0;

    while (n < size) {
        ssize_t got = read(fd, report + n, size - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    return n;
}

static int died(pid_t pid, struct err *err)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (received)
        err_set(err, -EINTR, "interrupted");
    else if (WIFSIGNALED(status))
        err_set(err, -EIO, "the process in the background died: %s",
                strsignal(WTERMSIG(status)));
    else
        err_set(err, -EIO,
                "the process in the background ended without a word (exit "
                "%d)",
                WEXITSTATUS(status));
    return 1;
}

int daemon_wait(struct daemon *d, struct err *err)
{
    char report[1 + sizeof(err->text)] = "";
    struct sigaction pass = {.sa_handler = pass_on}, old_int, old_term;

    child = d->pid;
    sigaction(SIGINT, &pass, &old_int);
    sigaction(SIGTERM, &pass, &old_term);
    sigprocmask(SIG_SETMASK, &d->mask, NULL);
    size_t n = read_report(d->pipe, report, sizeof(report) - 1);
    close(d->pipe);

    int code;
    if (n == 0) {
        code = died(d->pid, err);
    } else {
        code = (unsigned char)report[0];
        if (code)
            err_set(err, -EIO, "%s", report + 1);
    }
    sigaction(SIGINT, &old_int, NULL);
    sigaction(SIGTERM, &old_term, NULL);
    return code;
}

static void write_all(int fd, const char *data, size_t len)
{
    while (len) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return; /* the parent is gone: nobody to tell */
        data += n;
        len -= (size_t)n;
    }
}

void daemon_ready(struct daemon *d)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    /* The terminal first: who reads our output to its end (`x=$(dbcord mount
     * …)`) waits for it. */
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
        if (null > STDERR_FILENO)
            close(null);
    }
    /* No directory is kept busy by a daemon. That / is there is certain. */
    int unused = chdir("/");
    (void)unused;
    write_all(d->pipe, "", 1);
    close(d->pipe);
    d->pipe = -1;
}

void daemon_failed(struct daemon *d, int code, const char *message)
{
    char byte = (char)code;

    write_all(d->pipe, &byte, 1);
    write_all(d->pipe, message, strlen(message));
    close(d->pipe);
    d->pipe = -1;
}
