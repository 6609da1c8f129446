#include "fs/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/json.h"

#define FSTYPE "fuse.dbcord"

/* mountinfo writes space, tab, newline and backslash as \ooo. */
static void unescape_octal(char *s)
{
    char *to = s;

    for (; *s; s++) {
        if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' &&
            s[2] <= '7' && s[3] >= '0' && s[3] <= '7') {
            *to++ = (char)((s[1] - '0') * 64 + (s[2] - '0') * 8 + s[3] - '0');
            s += 3;
        } else {
            *to++ = *s;
        }
    }
    *to = 0;
}

/* "36 35 98:0 / /mnt rw,noatime shared:1 - fuse.dbcord dbcord rw": the mount
 * point, and whether it is one of ours. NULL: not a line of this form. */
static char *parse_line(char *line, bool *ours)
{
    char *dash = strstr(line, " - ");
    char *save, *field = NULL;

    if (!dash)
        return NULL;
    *ours = str_starts(dash + 3, FSTYPE " ");
    *dash = 0;
    field = strtok_r(line, " ", &save);
    for (int i = 0; i < 4 && field; i++)
        field = strtok_r(NULL, " ", &save);
    if (field)
        unescape_octal(field);
    return field;
}

static void drop(char **list, size_t *n, const char *path)
{
    for (size_t i = 0; i < *n; i++) {
        if (strcmp(list[i], path) != 0)
            continue;
        free(list[i]);
        memmove(&list[i], &list[i + 1], (--*n - i) * sizeof(list[0]));
        return;
    }
}

char **mounts_parse(char *mountinfo, size_t *n)
{
    char **list = NULL;
    char *save;

    *n = 0;
    for (char *line = strtok_r(mountinfo, "\n", &save); line;
         line = strtok_r(NULL, "\n", &save)) {
        bool ours;
        char *path = parse_line(line, &ours);

        if (!path)
            continue;
        /* What is mounted last on a directory is what is seen of it. */
        drop(list, n, path);
        if (!ours)
            continue;
        list = xrealloc(list, (*n + 1) * sizeof(*list));
        list[(*n)++] = xstrdup(path);
    }
    return list;
}

static int read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = 0;

    if (fd < 0)
        return -errno;
    for (;;) {
        buf_reserve(out, 16384);
        ssize_t n = read(fd, out->data + out->len, 16384);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = -errno;
        if (n <= 0)
            break;
        out->len += (size_t)n;
        out->data[out->len] = 0;
    }
    close(fd);
    return r;
}

char **mounts_list(size_t *n)
{
    AUTO_BUF struct buf text = BUF_INIT;

    *n = 0;
    if (read_file("/proc/self/mountinfo", &text) < 0 || !text.len)
        return NULL;
    return mounts_parse(text.data, n);
}

void mounts_free(char **list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        free(list[i]);
    free(list);
}

bool mounts_has(const char *path)
{
    size_t n;
    char **list = mounts_list(&n);
    bool found = false;

    for (size_t i = 0; i < n && !found; i++)
        found = strcmp(list[i], path) == 0;
    mounts_free(list, n);
    return found;
}

bool mounts_is_dead(const char *path)
{
    struct statvfs v;

    /* Not stat(): the kernel answers that from what it remembers. */
    return statvfs(path, &v) < 0 && errno == ENOTCONN;
}

char *mounts_resolve(const char *path)
{
    char *whole = realpath(path, NULL);
    if (whole || errno != ENOTCONN)
        return whole;

    /* A dead mount answers nothing: its parent is asked instead. */
    AUTO_STR char *copy = xstrdup(path);
    size_t len = strlen(copy);
    while (len > 1 && copy[len - 1] == '/')
        copy[--len] = 0;

    char *slash = strrchr(copy, '/');
    const char *name = slash ? slash + 1 : copy;
    if (slash)
        *slash = 0;
    AUTO_STR char *parent = realpath(!slash ? "." : *copy ? copy : "/", NULL);
    if (!parent)
        return NULL;

    struct buf b = BUF_INIT;
    buf_printf(&b, "%s/%s", strcmp(parent, "/") == 0 ? "" : parent, name);
    return buf_take_str(&b);
}

int mounts_status(const char *path, struct buf *out, struct err *err)
{
    AUTO_BUF struct buf file = BUF_INIT;

    buf_printf(&file, "%s/.dbcord/status.json", path);
    int r = read_file(file.data, out);
    if (r == -ENOENT || r == -ENOTDIR)
        return err_set(err, -ENOENT, "%s is not a mount of dbcord", path);
    if (r == -ENOTCONN)
        return err_set(err, r,
                       "the process of %s is gone; `dbcord unmount %s` clears "
                       "the way",
                       path, path);
    if (r < 0)
        return err_set(err, r, "%s: %s", file.data, strerror(-r));
    return 0;
}

pid_t mounts_pid(const char *path)
{
    AUTO_BUF struct buf text = BUF_INIT;
    struct json_member m;
    uint64_t pid;

    if (mounts_status(path, &text, NULL) < 0 || !text.len ||
        json_check(text.data, text.len, NULL) < 0 ||
        !json_find(text.data, text.len, "pid", &m) ||
        !str_to_u64_n(m.value, m.value_len, &pid) || pid > INT32_MAX)
        return 0;
    return (pid_t)pid;
}
