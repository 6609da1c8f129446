#include "fs/mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/log.h"
#include "engine/base/str.h"
#include "fs/mount.h"

extern char **environ;

/* Absolute and without links, also where the last part is a dead mount, which
 * realpath() cannot look at. For free(). */
static char *canonical(const char *path)
{
    AUTO_STR char *copy = xstrdup(path);
    size_t len = strlen(copy);

    char *whole = realpath(copy, NULL);
    if (whole)
        return whole;
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = '\0';
    char *slash = strrchr(copy, '/');
    const char *dir = slash ? copy : ".";
    const char *base = slash ? slash + 1 : copy;
    if (slash)
        *slash = '\0';
    AUTO_STR char *real = realpath(*dir ? dir : "/", NULL);
    if (!real)
        return xstrdup(path);

    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s", strcmp(real, "/") == 0 ? "" : real, base);
    return buf_take_str(&b);
}

/* mountinfo writes white space and backslashes as \ooo. */
static void unescape(char *s)
{
    char *out = s;

    for (; *s; s++) {
        unsigned c;
        if (*s == '\\' && sscanf(s + 1, "%3o", &c) == 1) {
            *out++ = (char)c;
            s += 3;
        } else {
            *out++ = *s;
        }
    }
    *out = '\0';
}

/* Is the newest mount on path (canonical) one of ours? */
static bool is_ours(const char *path)
{
    FILE *f = fopen("/proc/self/mountinfo", "re");
    char *line = NULL;
    size_t cap = 0;
    bool ours = false;

    while (f && getline(&line, &cap, f) > 0) {
        char where[PATH_MAX], type[64];
        const char *rest = strstr(line, " - ");
        if (!rest || sscanf(line, "%*s %*s %*s %*s %4095s", where) != 1 ||
            sscanf(rest, " - %63s", type) != 1)
            continue;
        unescape(where);
        if (strcmp(where, path) == 0)
            ours = strcmp(type, "fuse.dbcord") == 0;
    }
    free(line);
    if (f)
        fclose(f);
    return ours;
}

/* 0, or -errno; as root by the system call, else fusermount3 may. */
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
    AUTO_STR char *real = canonical(path);

    if (stat(path, &st) < 0 && errno == ENOTCONN) {
        log_info("%s: a mount whose daemon is gone is taken off", path);
        int r = take_off(real, true);
        if (r < 0)
            return err_set(err, r,
                           "%s: the daemon of an older mount is gone, and it "
                           "cannot be unmounted: %s; try fusermount3 -uz",
                           path, strerror(-r));
    } else if (is_ours(real)) {
        return err_set(err, -EBUSY,
                       "%s: mounted already; 'dbcord unmount' it first", path);
    }
    if (stat(path, &st) < 0)
        return err_set(err, -errno, "%s: %s", path,
                       errno == ENOENT ? "there is no such directory; make "
                                         "it first"
                                       : strerror(errno));
    if (!S_ISDIR(st.st_mode))
        return err_set(err, -ENOTDIR, "%s: not a directory", path);
    return 0;
}

int mount_unmount(const char *path, struct err *err)
{
    struct stat st;
    AUTO_STR char *real = canonical(path);

    if (!is_ours(real))
        return err_set(err, -ENOENT, "%s: no dbcord is mounted here", path);
    /* With its daemon gone nothing can be busy in a way that matters. */
    bool dead = stat(path, &st) < 0 && errno == ENOTCONN;
    int r = take_off(real, dead);
    if (r == -EBUSY)
        return err_set(err, r,
                       "%s: in use; close what is open there (fuser -m names "
                       "the programs)",
                       path);
    if (r < 0)
        return err_set(err, r, "%s: %s", path, strerror(-r));
    return 0;
}
