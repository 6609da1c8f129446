/* The mounts of dbcord on this machine, as the kernel lists them. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Paths of dbcord's mounts in this name space, oldest first; n of them, each
 * and the array for free(). */
char **mounts_list(size_t *n);
void mounts_free(char **list, size_t n);

/* The mounts in a text of mountinfo's form. */
char **mounts_parse(char *mountinfo, size_t *n);

bool mounts_has(const char *path);

/* Is the process of the mount on path gone? */
bool mounts_is_dead(const char *path);

/* path made absolute without links, also where a dead mount is at its end.
 * For free(); NULL with errno. */
char *mounts_resolve(const char *path);

/* The text of a mount's .dbcord/status.json: -ENOENT where path is no mount
 * of dbcord, -ENOTCONN where its process is gone. */
int mounts_status(const char *path, struct buf *out, struct err *err);

/* The process that serves it; 0 where it is not known. */
pid_t mounts_pid(const char *path);
