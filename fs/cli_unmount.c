/* dbcord unmount: gone from the tree, and its process gone too. */
#include "fs/cli.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "fs/mount.h"
#include "fs/mounts.h"

/* A wait of this length is worth a word to who watches. */
#define QUIET_MS 1500

/* pidfd_open() has no wrapper in Debian 12's libc. */
static int open_process(pid_t pid)
{
    return pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
}

/* What was accepted is committed before the process ends. */
static void wait_for_process(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n;

    while ((n = poll(&p, 1, QUIET_MS)) < 0 && errno == EINTR)
        ;
    if (n == 0) {
        fputs("dbcord: unmounted; waiting until all is written to Discord "
              "(Ctrl-C: the process goes on alone)\n",
              stderr);
        while (poll(&p, 1, -1) < 0 && errno == EINTR)
            ;
    }
}

static enum cli_exit unmount(const char *given)
{
    struct err err = ERR_INIT;
    AUTO_STR char *path = mounts_resolve(given);

    if (!path)
        return cli_fail(err_set(&err, -errno, "%s: %s", given, strerror(errno)),
                        &err);
    if (!mounts_has(path))
        return cli_fail(
            err_set(&err, -ENOENT, "%s is not a mount of dbcord", given), &err);

    int process = open_process(mounts_pid(path));
    int r = mount_unmount(path, &err);
    if (r >= 0 && process >= 0)
        wait_for_process(process);
    if (process >= 0)
        close(process);
    if (r < 0) {
        cli_fail(r, &err);
        return CLI_FAILED;
    }
    return CLI_OK;
}

static enum cli_exit run(struct cli_common *common, int argc, char **argv)
{
    struct err err = ERR_INIT;
    const char *path = NULL;

    for (int i = 1; i < argc; i++) {
        int r = cli_args_common(common, argc, argv, &i, &err);
        if (r == 0 && argv[i][0] == '-')
            r = err_set(&err, -EINVAL, "unknown option %s", argv[i]);
        else if (r == 0 && path)
            r = err_set(&err, -EINVAL, "one mount point at a time");
        else if (r == 0)
            path = argv[i];
        if (r < 0)
            return cli_usage_error("unmount", &err);
    }
    if (common->help) {
        cli_help_local(&cli_unmount);
        return CLI_OK;
    }
    if (!path) {
        err_set(&err, -EINVAL, "which mount point?");
        return cli_usage_error("unmount", &err);
    }
    return unmount(path);
}

const struct cli_local cli_unmount = {
    .name = "unmount",
    .usage = "MOUNTPOINT",
    .summary = "Unmount, and wait until all is written",
    .help = "Returns when the mount and the process that served it are gone. "
            "Refused\nwhile files in it are open or a shell stands in it.\n",
    .run = run,
};
