/* dbcord mount: from settings to a mount that answers, and down again.
 *
 *     options, settings, mount point   in the shell's own process
 *     fork                             unless -f; before the first thread
 *     store, engine, bot, mount        each stopped after the next one
 */
#include "fs/cli.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bot/presence.h"
#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/log.h"
#include "engine/discord/discord.h"
#include "engine/engine.h"
#include "fs/daemon.h"
#include "fs/mount.h"
#include "fs/mounts.h"
#include "fs/settings.h"

/* After an unmount: what the background writer may take to bring the row
 * messages up to date. What was accepted is committed without a limit. */
#define PATIENCE_MS 10000

struct session {
    struct mount_options options;
    struct settings settings;
    bool foreground;
    struct daemon daemon;
    struct discord *discord;
    struct presence *presence; /* set before mount_run(), read by its threads */
};

static int check_directory(const char *given, const char *path, struct err *err)
{
    if (mounts_has(path))
        return err_set(err, -EBUSY,
                       "%s is a mount of dbcord already; `dbcord unmount %s` "
                       "takes it away",
                       given, given);

    DIR *dir = opendir(path);
    if (!dir)
        return errno == ENOTDIR
                   ? err_set(err, -ENOTDIR, "%s is not a directory", given)
                   : err_set(err, -errno, "%s: %s", given, strerror(errno));

    bool empty = true;
    for (struct dirent *e; empty && (e = readdir(dir));)
        empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
    closedir(dir);
    if (!empty)
        return err_set(err, -ENOTEMPTY,
                       "%s is not empty: a mount would hide what is in it",
                       given);
    return 0;
}

/* Something that answers as a directory, with nothing in it that the mount
 * would hide. A dead mount at this place is mount_run()'s to clear. */
static int check_mountpoint(const char *given, char **path, struct err *err)
{
    AUTO_STR char *p = mounts_resolve(given);
    if (!p && errno == ENOENT)
        return err_set(err, -ENOENT, "%s does not exist; `mkdir %s` makes it",
                       given, given);
    if (!p)
        return err_set(err, -errno, "%s: %s", given, strerror(errno));

    if (!mounts_is_dead(p)) {
        int r = check_directory(given, p, err);
        if (r < 0)
            return r;
    }
    *path = p;
    p = NULL;
    return 0;
}

static void on_mounted(void *arg)
{
    struct session *s = arg;

    if (!s->foreground)
        daemon_ready(&s->daemon);
}

static void rest_status(void *arg, struct buf *out)
{
    struct session *s = arg;
    discord_status(s->discord, out);
}

static void gateway_status(void *arg, struct buf *out)
{
    struct session *s = arg;
    presence_status(s->presence, out);
}

static int serve_engine(struct session *s, struct mount *m,
                        struct engine *engine, struct err *err)
{
    struct presence_options o = {
        .discord = s->discord,
        .engine = engine,
        .guilds = s->settings.guilds,
        .n_guilds = s->settings.n_guilds,
        .commands = !s->options.no_bot,
        .roles = s->settings.roles,
        .n_roles = s->settings.n_roles,
    };

    int r = presence_start(&o, &s->presence, err);
    if (r < 0)
        return r;
    r = mount_run(m, engine, err);
    presence_stop(s->presence);
    return r;
}

static int serve_mount(struct session *s, struct mount *m, struct err *err)
{
    AUTO_STR char *by = cli_who();
    struct engine_options o = {
        .remote = discord_remote(s->discord),
        .guilds = s->settings.guilds,
        .n_guilds = s->settings.n_guilds,
        .by = by,
        .read_only = s->options.read_only,
        .cache_bytes = s->options.cache_bytes,
        .all = true,
        .watch = mount_watch,
        .watch_arg = m,
    };
    struct engine *engine;

    int r = engine_open(&o, &engine, err);
    if (r < 0)
        return r;
    r = serve_engine(s, m, engine, err);
    engine_close(engine, PATIENCE_MS);
    return r;
}

static int serve(struct session *s, struct err *err)
{
    struct discord_options o = {
        .api_url = s->settings.api_url,
        .token = s->settings.token,
    };

    mount_block_signals();
    int r = discord_open(&o, &s->discord, err);
    if (r < 0)
        return r;

    s->options.mounted = on_mounted;
    s->options.mounted_arg = s;
    s->options.rest_status = rest_status;
    s->options.gateway_status = gateway_status;
    s->options.status_arg = s;

    struct mount *m = mount_new(&s->options);
    r = serve_mount(s, m, err);
    mount_free(m);
    remote_close(discord_remote(s->discord));
    return r;
}

/* What is wrong with an option of -o shows when libfuse reads it. */
static enum cli_exit exit_code(int r)
{
    return r == -EINVAL ? CLI_USAGE : cli_exit_code(r);
}

static enum cli_exit serve_in_front(struct session *s)
{
    struct err err = ERR_INIT;
    int r = serve(s, &err);

    if (r < 0)
        cli_fail(r, &err);
    return exit_code(r);
}

static enum cli_exit serve_behind(struct session *s)
{
    struct err err = ERR_INIT;

    int r = daemon_fork(&s->daemon, &err);
    if (r < 0)
        return cli_fail(r, &err);
    if (s->daemon.pid) {
        int code = daemon_wait(&s->daemon, &err);
        if (code)
            fprintf(stderr, "dbcord: %s\n", err.text);
        return (enum cli_exit)code;
    }

    log_open_syslog("dbcord");
    r = serve(s, &err);
    if (r < 0 && s->daemon.pipe >= 0)
        daemon_failed(&s->daemon, exit_code(r), err_text(&err, r));
    else if (r < 0)
        log_error("%s", err_text(&err, r));
    return exit_code(r);
}

/* "-o a -o b" is "-o a,b". */
static void add_options(struct buf *all, const char *more)
{
    if (all->len)
        buf_addc(all, ',');
    buf_addstr(all, more);
}

static int parse(struct cli_common *common, int argc, char **argv,
                 struct session *s, const char **where, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT;

    for (int i = 1; i < argc; i++) {
        int r = cli_args_common(common, argc, argv, &i, err);

        if (r < 0)
            return r;
        if (r > 0)
            continue;
        if (strcmp(argv[i], "-f") == 0) {
            s->foreground = true;
        } else if (strcmp(argv[i], "-d") == 0) {
            s->foreground = s->options.debug = true;
        } else if (strcmp(argv[i], "-o") == 0) {
            if (++i == argc)
                return err_set(err, -EINVAL, "-o needs options behind it");
            add_options(&text, argv[i]);
        } else if (strncmp(argv[i], "-o", 2) == 0) {
            add_options(&text, argv[i] + 2);
        } else if (argv[i][0] == '-') {
            return err_set(err, -EINVAL, "unknown option %s", argv[i]);
        } else if (*where) {
            return err_set(err, -EINVAL, "one mount point at a time");
        } else {
            *where = argv[i];
        }
    }
    if (common->help)
        return 0;
    if (!*where)
        return err_set(err, -EINVAL, "on which directory?");

    bool debug = s->options.debug;
    int r = mount_options_parse(text.data, &s->options, err);
    s->options.debug = debug;
    return r;
}

static enum cli_exit run(struct cli_common *common, int argc, char **argv)
{
    struct session s = {.settings = SETTINGS_INIT};
    struct err err = ERR_INIT;
    const char *where = NULL;
    AUTO_STR char *path = NULL;
    enum cli_exit code = CLI_FAILED;

    if (parse(common, argc, argv, &s, &where, &err) < 0) {
        code = cli_usage_error("mount", &err);
    } else if (common->help) {
        cli_help_local(&cli_mount);
        code = CLI_OK;
    } else {
        int r = check_mountpoint(where, &path, &err);
        if (r >= 0)
            r = settings_load(common->env_file, &s.settings, &err);
        if (r < 0) {
            cli_fail(r, &err);
        } else {
            s.options.mountpoint = path;
            code = s.foreground ? serve_in_front(&s) : serve_behind(&s);
        }
    }
    mount_options_release(&s.options);
    settings_release(&s.settings);
    return code;
}

static const char *const options[] = {
    "-f\tstay in front, log to stderr",
    "-o\toptions, by commas",
    NULL,
};

const struct cli_local cli_mount = {
    .name = "mount",
    .usage = "MOUNTPOINT [-f] [-o OPTION,…]",
    .summary = "Show the guilds as directories below an empty directory",
    .help =
        "Returns when the mount answers; its process stays in the background "
        "and logs\nto syslog.\n\n"
        "  -f             stay in front, log to stderr; Ctrl-C unmounts\n"
        "  -d             as -f, and print every request of the kernel\n"
        "  -o ro          read only; also the fastest reads\n"
        "  -o allow_other other users may look in too\n"
        "  -o cache=SIZE  memory for rows' texts: 512K, 64M, 1G\n"
        "  -o nobot       no slash commands\n"
        "  -o root=PATH   mount database[/namespace[/table]] alone\n"
        "  -o …           libfuse's own options\n",
    .options = options,
    .run = run,
};
