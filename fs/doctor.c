/* dbcord doctor: is all there that dbcord needs? Each line is `ok   …` or
 * `FAIL … — what to do`. What could not be looked at, because something before
 * it failed, has no line. */
#include "fs/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "engine/discord/discord.h"
#include "fs/needs.h"
#include "fs/settings.h"

/* Discord's bounds, and how near to them is worth a word. */
#define CHANNELS_MAX 500
#define CHANNELS_WARN 490
#define IDENTIFIES_WARN 20

#define FLAG_MESSAGE_CONTENT (1u << 18)
#define FLAG_MESSAGE_CONTENT_LIMITED (1u << 19)

struct doctor {
    struct settings settings;
    struct discord *discord;
    uint64_t application;
    bool failed;
};

static void ok(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void fail(struct doctor *d, const char *todo, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void ok(const char *fmt, ...)
{
    va_list ap;

    fputs("ok   ", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    putchar('\n');
    fflush(stdout);
}

static void fail(struct doctor *d, const char *todo, const char *fmt, ...)
{
    va_list ap;

    fputs("FAIL ", stdout);
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
    printf(" — %s\n", todo);
    fflush(stdout);
    d->failed = true;
}

/* --- this machine ----------------------------------------------------------
 */

static bool find_in_path(const char *program, struct buf *found)
{
    const char *path = getenv("PATH");
    AUTO_STR char *copy = xstrdup(path ? path : "/usr/bin:/bin");
    char *save;

    for (char *dir = strtok_r(copy, ":", &save); dir;
         dir = strtok_r(NULL, ":", &save)) {
        buf_reset(found);
        buf_printf(found, "%s/%s", dir, program);
        if (access(found->data, X_OK) == 0)
            return true;
    }
    return false;
}

static void check_machine(struct doctor *d)
{
    AUTO_BUF struct buf program = BUF_INIT;
    struct stat st;

    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        ok("/dev/fuse can be opened");
        close(fd);
    } else if (errno == ENOENT) {
        fail(d,
             "`modprobe fuse`; in a container, start it with --device "
             "/dev/fuse --cap-add SYS_ADMIN (only `dbcord mount` needs it)",
             "/dev/fuse is not there");
    } else {
        fail(d, "give this user the right to read and write it",
             "/dev/fuse cannot be opened: %s", strerror(errno));
    }

    if (!find_in_path("fusermount3", &program))
        fail(d, "`apt install fuse3`", "fusermount3 is not installed");
    else if (geteuid() != 0 && stat(program.data, &st) == 0 &&
             !(st.st_mode & S_ISUID))
        fail(d, "reinstall the package fuse3, or mount as root",
             "%s is not setuid root", program.data);
    else
        ok("fusermount3 is %s", program.data);
}

/* --- Discord ----------------------------------------------------------------
 */

/* GET path; the object for json_object_put(), or NULL with *status and err. */
static struct json_object *ask(struct doctor *d, const char *path, long *status,
                               struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;

    *status = 0;
    int r = discord_request(d->discord, "GET", path, NULL, REMOTE_INTERACTIVE,
                            status, &body, err);
    if (r < 0 || *status != 200)
        return NULL;
    struct json_object *o = json_tokener_parse(body.data ? body.data : "");
    if (!o)
        err_set(err, -EBADMSG, "the answer is not JSON");
    return o;
}

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v;

    if (!json_object_object_get_ex(o, name, &v) || !v)
        return "";
    return json_object_get_string(v);
}

static void fail_request(struct doctor *d, const char *what, long status,
                         const struct err *err)
{
    if (status == 401)
        fail(d,
             "copy it again from the developer portal (your application, Bot, "
             "Reset Token) into DISCORD_BOT_TOKEN",
             "the token is refused by %s", d->settings.api_url);
    else if (status == 0)
        fail(d, "look at the network, and at DBCORD_API_URL if it is set",
             "%s cannot be reached: %s", d->settings.api_url,
             err_text(err, -ENETUNREACH));
    else
        fail(d, "try again in a while; discordstatus.com tells of outages",
             "%s: HTTP status %ld: %s", what, status, err_text(err, -EIO));
}

static bool check_token(struct doctor *d)
{
    struct err err = ERR_INIT;
    long status;
    struct json_object *me = ask(d, "/users/@me", &status, &err);

    if (!me) {
        fail_request(d, "the question who the bot is", status, &err);
        return false;
    }
    ok("%s answers", d->settings.api_url);
    ok("the token belongs to the bot %s (%s)", text_of(me, "username"),
       text_of(me, "id"));
    json_object_put(me);
    return true;
}

static void check_intents(struct doctor *d)
{
    struct err err = ERR_INIT;
    long status;
    struct json_object *app = ask(d, "/applications/@me", &status, &err);
    struct json_object *flags = NULL;

    if (!app) {
        fail_request(d, "the application", status, &err);
        return;
    }
    str_to_u64(text_of(app, "id"), &d->application);
    json_object_object_get_ex(app, "flags", &flags);
    uint64_t bits = flags ? (uint64_t)json_object_get_int64(flags) : 0;
    if (bits & (FLAG_MESSAGE_CONTENT | FLAG_MESSAGE_CONTENT_LIMITED))
        ok("the intent MESSAGE CONTENT is on");
    else
        fail(d,
             "developer portal, your application, Bot, Message Content "
             "Intent: on. Until then finds go without Discord's search",
             "the intent MESSAGE CONTENT is off");
    json_object_put(app);
}

static void check_identifies(struct doctor *d)
{
    struct discord_gateway gateway;
    struct err err = ERR_INIT;

    int r = discord_gateway(d->discord, &gateway, &err);
    if (r < 0)
        fail(d, "try again in a while; discordstatus.com tells of outages",
             "the gateway's address: %s", err_text(&err, r));
    else if (gateway.identifies_left < IDENTIFIES_WARN)
        fail(d,
             "find the process that starts over and over; the count starts "
             "again within a day",
             "only %d gateway sessions are left today",
             gateway.identifies_left);
    else
        ok("the gateway is %s, %d sessions are left today", gateway.url,
           gateway.identifies_left);
}

static int run_request(struct doctor *d, enum remote_op op, uint64_t guild,
                       struct remote_reply *reply, struct err *err)
{
    struct remote_request req = {
        .op = op,
        .priority = REMOTE_INTERACTIVE,
        .guild = guild,
    };

    return remote_run(discord_remote(d->discord), &req, reply, err);
}

static void fail_guild(struct doctor *d, uint64_t guild, int r,
                       const struct err *err)
{
    AUTO_BUF struct buf todo = BUF_INIT;

    if (r != -ENOENT && r != -EACCES) {
        fail(d, "try again in a while; discordstatus.com tells of outages",
             "guild %llu: %s", (unsigned long long)guild, err_text(err, r));
        return;
    }
    buf_printf(&todo,
               "compare DBCORD_GUILD_ID with the server's id, and invite the "
               "bot: https://discord.com/oauth2/authorize?client_id=%llu"
               "&scope=bot+applications.commands&permissions=%llu",
               (unsigned long long)d->application,
               (unsigned long long)needs_bits());
    fail(d, todo.data, "guild %llu does not exist or the bot is no member",
         (unsigned long long)guild);
}

static void check_permissions(struct doctor *d, const struct remote_guild *g)
{
    bool all = true;

    for (size_t i = 0; i < n_needs; i++) {
        if (g->permissions & UINT64_C(1) << needs[i].bit)
            continue;
        all = false;
        fail(d, "Server Settings, Roles, the bot's role, Permissions: allow it",
             "the bot lacks %s in %s, which it needs %s", needs[i].name,
             g->name, needs[i].what_for);
    }
    if (all)
        ok("the bot has all %zu permissions it needs in %s", n_needs, g->name);
}

static bool is_ours(const struct remote_channel *c)
{
    return str_starts(c->name, "dbcord-") || str_starts(c->name, "table-") ||
           str_starts(c->name, "idx-") || strcmp(c->name, "dbc-catalog") == 0;
}

/* An overwrite on a channel can take away what the role gives. */
static void check_channels(struct doctor *d, const struct remote_guild *g)
{
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;
    size_t ours = 0;
    bool all = true;

    int r = run_request(d, REMOTE_CHANNELS, g->id, &reply, &err);
    if (r < 0) {
        fail(d, "try again in a while", "the channels of %s: %s", g->name,
             err_text(&err, r));
        return;
    }
    for (size_t i = 0; i < reply.n_channels; i++) {
        const struct remote_channel *c = &reply.channels[i];

        if (!is_ours(c))
            continue;
        ours++;
        if (c->viewable && c->writable && c->manageable)
            continue;
        all = false;
        fail(d, "Edit Channel, Permissions: let the bot's role have its rights",
             "the bot may not %s #%s in %s",
             !c->viewable   ? "see"
             : !c->writable ? "write in"
                            : "manage",
             c->name, g->name);
    }
    if (all && ours)
        ok("%zu channels of dbcord in %s can be seen, written and managed",
           ours, g->name);
    if (reply.n_channels >= CHANNELS_WARN)
        fail(d, "remove channels: every table and every index needs one",
             "%s has %zu of %d channels", g->name, reply.n_channels,
             CHANNELS_MAX);
    else
        ok("%s has %zu of %d channels", g->name, reply.n_channels,
           CHANNELS_MAX);
    remote_reply_release(&reply);
}

static void check_guild(struct doctor *d, uint64_t id)
{
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;

    int r = run_request(d, REMOTE_GUILD, id, &reply, &err);
    if (r < 0) {
        fail_guild(d, id, r, &err);
        return;
    }
    ok("guild %llu is %s, files up to %llu MiB", (unsigned long long)id,
       reply.guild.name, (unsigned long long)(reply.guild.max_file >> 20));
    check_permissions(d, &reply.guild);
    check_channels(d, &reply.guild);
    remote_reply_release(&reply);
}

static void check_discord(struct doctor *d)
{
    struct discord_options o = {
        .api_url = d->settings.api_url,
        .token = d->settings.token,
    };
    struct err err = ERR_INIT;

    int r = discord_open(&o, &d->discord, &err);
    if (r < 0) {
        fail(d, "set DBCORD_API_URL right, or leave it out", "%s",
             err_text(&err, r));
        return;
    }
    if (check_token(d)) {
        check_intents(d);
        check_identifies(d);
        for (size_t i = 0; i < d->settings.n_guilds; i++)
            check_guild(d, d->settings.guilds[i]);
    }
    remote_close(discord_remote(d->discord));
}

static enum cli_exit examine(const char *env_file)
{
    struct doctor d = {.settings = SETTINGS_INIT};
    struct err err = ERR_INIT;

    check_machine(&d);
    int r = settings_load(env_file, &d.settings, &err);
    if (r < 0) {
        fail(&d, "mend the settings, then ask again", "%s", err_text(&err, r));
    } else {
        ok("settings: %s, %zu guild%s",
           d.settings.file ? d.settings.file : "from the environment",
           d.settings.n_guilds, d.settings.n_guilds == 1 ? "" : "s");
        check_discord(&d);
    }
    settings_release(&d.settings);
    return d.failed ? CLI_FAILED : CLI_OK;
}

static enum cli_exit run(struct cli_common *common, int argc, char **argv)
{
    struct err err = ERR_INIT;

    for (int i = 1; i < argc; i++) {
        int r = cli_args_common(common, argc, argv, &i, &err);
        if (r == 0)
            r = err_set(&err, -EINVAL, "unknown argument %s", argv[i]);
        if (r < 0)
            return cli_usage_error("doctor", &err);
    }
    if (common->help) {
        cli_help_local(&cli_doctor);
        return CLI_OK;
    }
    return examine(common->env_file);
}

const struct cli_local cli_doctor = {
    .name = "doctor",
    .usage = "",
    .summary = "Check token, intents, permissions, guild and this machine",
    .help =
        "One line for each check: `ok   …`, or `FAIL … — what to do`. Exits "
        "with 0 only\nwhen all is well. Changes nothing.\n",
    .run = run,
};
