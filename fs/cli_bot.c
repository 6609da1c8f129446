/* dbcord bot: slash commands without a mount, and dbcord invite: the link by
 * which the bot comes into a server. */
#include "fs/cli.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bot/presence.h"
#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/discord/discord.h"
#include "engine/discord/message.h"
#include "engine/engine.h"
#include "fs/mount.h"
#include "fs/needs.h"
#include "fs/settings.h"

/* As a mount's. */
#define PATIENCE_MS 10000

/* Between looks at whether the connection has ended for good. */
#define LOOK_MS 1000

/* --- bot ------------------------------------------------------------------ */

/* Until a signal comes, or Discord will not have the bot. */
static int wait_for_end(struct presence *p, struct err *err)
{
    struct signalfd_siginfo info;
    sigset_t set;
    int r = 0;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    int fd = signalfd(-1, &set, SFD_CLOEXEC);
    if (fd < 0)
        return err_set(err, -errno, "signals: %s", strerror(errno));

    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    for (;;) {
        int n = poll(&poll_fd, 1, LOOK_MS);
        if (n > 0 && read(fd, &info, sizeof(info)) == sizeof(info)) {
            log_info("%s: stopping", strsignal((int)info.ssi_signo));
            break;
        }
        if (n == 0 && presence_is_fatal(p, err)) {
            r = -EPERM;
            break;
        }
    }
    close(fd);
    return r;
}

static int serve_commands(struct discord *discord, struct engine *engine,
                          const struct settings *s, struct err *err)
{
    struct presence_options o = {
        .discord = discord,
        .engine = engine,
        .guilds = s->guilds,
        .n_guilds = s->n_guilds,
        .commands = true,
        .roles = s->roles,
        .n_roles = s->n_roles,
    };
    struct presence *p;

    int r = presence_start(&o, &p, err);
    if (r < 0)
        return r;
    log_info("slash commands are served; Ctrl-C ends it");
    r = wait_for_end(p, err);
    presence_stop(p);
    return r;
}

static int serve_bot(const struct settings *s, struct err *err)
{
    AUTO_STR char *by = cli_who();
    struct discord_options d = {.api_url = s->api_url, .token = s->token};
    struct discord *discord;
    struct engine *engine;

    mount_block_signals();
    int r = discord_open(&d, &discord, err);
    if (r < 0)
        return r;
    struct engine_options o = {
        .remote = discord_remote(discord),
        .guilds = s->guilds,
        .n_guilds = s->n_guilds,
        .by = by,
        .all = true,
    };
    r = engine_open(&o, &engine, err);
    if (r == 0) {
        r = serve_commands(discord, engine, s, err);
        engine_close(engine, PATIENCE_MS);
    }
    remote_close(discord_remote(discord));
    return r;
}

static int no_arguments(struct cli_common *common, int argc, char **argv,
                        struct err *err)
{
    for (int i = 1; i < argc; i++) {
        int r = cli_args_common(common, argc, argv, &i, err);
        if (r < 0)
            return r;
        if (r == 0)
            return err_set(err, -EINVAL, "'%s' is one argument too many",
                           argv[i]);
    }
    return 0;
}

/* 0, or what the command is to return at once: -1 with *code. */
static bool begin(const struct cli_local *l, struct cli_common *common,
                  int argc, char **argv, struct settings *s,
                  enum cli_exit *code)
{
    struct err err = ERR_INIT;

    if (no_arguments(common, argc, argv, &err) < 0) {
        *code = cli_usage_error(l->name, &err);
        return false;
    }
    if (common->help) {
        cli_help_local(l);
        *code = CLI_OK;
        return false;
    }
    int r = settings_load(common->env_file, s, &err);
    if (r < 0)
        *code = cli_fail(r, &err);
    return r == 0;
}

static enum cli_exit run_bot(struct cli_common *common, int argc, char **argv)
{
    struct settings s = SETTINGS_INIT;
    struct err err = ERR_INIT;
    enum cli_exit code = CLI_OK;

    if (!begin(&cli_bot, common, argc, argv, &s, &code))
        return code;
    int r = serve_bot(&s, &err);
    if (r < 0)
        code = cli_fail(r, &err);
    settings_release(&s);
    return code;
}

const struct cli_local cli_bot = {
    .name = "bot",
    .usage = "",
    .summary = "Answer slash commands, without a mount",
    .help = "Stays in front and logs to stderr until Ctrl-C or SIGTERM. A "
            "mount does the same\nbeside being a mount, unless it has -o "
            "nobot.\n",
    .options = (const char *const[]){NULL},
    .run = run_bot,
};

/* --- invite --------------------------------------------------------------- */

static int print_link(const struct settings *s, struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;
    struct discord_options o = {.api_url = s->api_url, .token = s->token};
    struct discord *d;

    int r = discord_open(&o, &d, err);
    if (r < 0)
        return r;
    r = discord_request(d, "GET", "/applications/@me", NULL, REMOTE_INTERACTIVE,
                        NULL, &body, err);
    if (r == 0) {
        struct json_object *app =
            message_json(body.data ? body.data : "", body.len);
        uint64_t id = message_id(app, "id");
        json_object_put(app);
        if (id)
            printf("https://discord.com/oauth2/authorize?client_id=%" PRIu64
                   "&scope=bot+applications.commands&permissions=%" PRIu64 "\n",
                   id, needs_bits());
        else
            r = err_set(err, -EBADMSG, "Discord named no application");
    }
    remote_close(discord_remote(d));
    return r;
}

static enum cli_exit run_invite(struct cli_common *common, int argc,
                                char **argv)
{
    struct settings s = SETTINGS_INIT;
    struct err err = ERR_INIT;
    enum cli_exit code = CLI_OK;

    if (!begin(&cli_invite, common, argc, argv, &s, &code))
        return code;
    int r = print_link(&s, &err);
    if (r < 0)
        code = cli_fail(r, &err);
    settings_release(&s);
    return code;
}

const struct cli_local cli_invite = {
    .name = "invite",
    .usage = "",
    .summary = "Print the link by which the bot comes into a server",
    .help = "With exactly the permissions that dbcord needs, and slash "
            "commands. Who opens it\nneeds the right to manage the server.\n",
    .options = (const char *const[]){NULL},
    .run = run_invite,
};
