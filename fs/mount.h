/* The mount: a file system over the engine, served until it is unmounted.
 *
 * The engine tells the mount what changed and the mount asks the engine, so
 * one of them must come first. The order, for main.c:
 *
 *     mount_block_signals();              before the first thread
 *     mount_options_parse(text, &o, &err);
 *     m = mount_new(&o);                  no engine yet; takes note of changes
 *     engine_open(.watch = mount_watch, .watch_arg = m,
 *                 .read_only = o.read_only, .all = true)
 *     r = mount_run(m, engine, &err);     until unmounted or a signal
 *     engine_close(engine, patience);     commits what was accepted
 *     mount_free(m);
 *
 * Turning into a daemon is the caller's, and comes before all of this: a fork
 * takes no threads along. mounted() is where a parent can be told. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct change;
struct engine;
struct mount;

struct mount_options {
    /* From -o, by mount_options_parse(); all owned. */
    bool read_only;
    bool allow_other;
    bool no_bot;        /* for main.c: no slash commands */
    size_t cache_bytes; /* cache=SIZE (K, M, G); 0: not given */
    char *root;         /* "<database>[/<ns>[/<table>]]", as directory names;
                           NULL: everything */
    char *rest;         /* for libfuse, comma separated; NULL: nothing */

    /* From the caller; borrowed until mount_free(). */
    const char *mountpoint;
    bool debug; /* libfuse prints every request to stderr */

    /* On mount_run()'s thread, once the mount answers. May be NULL. */
    void (*mounted)(void *arg);
    void *mounted_arg;

    /* Parts of /.dbcord/status.json that are not the engine's: each appends
     * one JSON value and does not wait. NULL: the member is null. */
    void (*rest_status)(void *arg, struct buf *out);    /* "rate_limits" */
    void (*gateway_status)(void *arg, struct buf *out); /* "gateway" */
    void *status_arg;
};

/* Fills the first half of *o from the text behind -o (several joined by
 * commas; NULL: nothing). -EINVAL names the option that is wrong. */
int mount_options_parse(const char *text, struct mount_options *o,
                        struct err *err);
void mount_options_release(struct mount_options *o);

/* SIGTERM, SIGINT and SIGHUP are for mount_run() alone: blocked here, before
 * any thread is started, so that every thread inherits it. */
void mount_block_signals(void);

/* *o is copied, what it points to is not. */
struct mount *mount_new(const struct mount_options *o);

/* engine_options.watch, with the mount as its argument. */
void mount_watch(void *mount, const struct change *c);

/* Mounts and serves. 0 after an unmount or SIGTERM, SIGINT, SIGHUP: then every
 * request that waited has been answered, no callback of the mount's is
 * outstanding and all references to the engine's objects are given back.
 * Negative when the mount could not be made: -ENOENT, -ENOTDIR (the mount
 * point), -EBUSY, -EINVAL (options), -EIO; the sentence says what to do. A
 * mount point whose daemon died is unmounted first. */
int mount_run(struct mount *m, struct engine *e, struct err *err);

/* After engine_close(). NULL is fine. */
void mount_free(struct mount *m);

/* For `dbcord unmount`: 0, or why not. Waits until it is unmounted. */
int mount_unmount(const char *mountpoint, struct err *err);
