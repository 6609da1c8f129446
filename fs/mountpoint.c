#include "fs/mountpoint.h"

#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "fs/mount.h"
#include "fs/mounts.h"

/* As root by the system call; else fusermount3 may. 0 or -errno. */
static int take_off(const char *path, bool lazy)
{
    int r = umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0));

    if (r == 0 || errno != EPERM)
        return r == 0 ? 0 : -errno;

    char *argv[] = {(char *)(uintptr_t) "fusermount3",
                    (char *)(uintptr_t)(lazy ? "-uqz" : "-uq"),
                    (char *)(uintptr_t) "--", (char *)(uintptr_t)path, NULL};
    pid_t pid;
    int status = 0;
    r = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    if (r != 0)
        return -r;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EBUSY;
}

int mountpoint_prepare(const char *path, struct err *err)
{
    struct stat st;
    AUTO_STR char *real = mounts_resolve(path);

    if (real && mounts_is_dead(real)) {
        log_info("%s: a mount whose daemon is gone is taken off", path);
        int r = take_off(real, true);
        if (r < 0)
            return err_set(err, r,
                           "%s: the daemon of an older mount is gone, and it "
                           "cannot be unmounted: %s; try fusermount3 -uz",
                           path, strerror(-r));
    }
    if (stat(path, &st) < 0)
        return err_set(err, -errno, "%s: %s", path,
                       errno == ENOENT ? "there is no such directory; make "
                                         "it first"
                                       : strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s: not a directory", path);
    if (real && mounts_has(real))
        return err_set(err, -EBUSY,
                       "%s: mounted already; 'dbcord unmount' it first", path);
    return 0;
}

int mount_unmount(const char *path, struct err *err)
{
    AUTO_STR char *real = mounts_resolve(path);

    if (!real || !mounts_has(real))
        return err_set(err, -ENOENT, "%s: no dbcord is mounted here", path);
    /* With its daemon gone nothing can be busy in a way that matters. */
    int r = take_off(real, mounts_is_dead(real));
    if (r == -EBUSY)
        return err_set(err, r,
                       "%s: in use; close what is open there (fuser -m names "
                       "the programs)",
                       path);
    if (r < 0)
        return err_set(err, r, "%s: %s", path, strerror(-r));
    return 0;
}
