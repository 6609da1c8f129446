/* dbcord-emulator: options, state, the ready line, the loop. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <json-c/json.h>
#include <openssl/rand.h>

#include "engine/base/alloc.h"
#include "engine/base/err.h"
#include "engine/base/str.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/record.h"
#include "tests/emulator/server.h"
#include "tests/emulator/tally.h"
#include "tests/emulator/user.h"

static const char usage[] =
    "usage: dbcord-emulator [--listen 127.0.0.1:PORT] [--data FILE]\n"
    "                       [--limits real|off] [--search-lag MS]\n"
    "                       [--token T] [--guild NAME]\n"
    "\n"
    "Discord on loopback: REST API v10, CDN, gateway, search and rate limits.\n"
    "\n"
    "  --listen ADDR:PORT  a loopback address; port 0 or none: a free one\n"
    "  --data FILE         keep the state in this log and replay it at start\n"
    "  --limits real|off   refuse what is over Discord's rate limits (real)\n"
    "  --search-lag MS     how late search knows of a message\n"
    "  --token T           the bot's token (else a random one)\n"
    "  --guild NAME        the name of the guild that is there at first\n";

enum { USAGE = 2 };

static int wrong(const char *what, const char *value)
{
    fprintf(stderr, "dbcord-emulator: %s '%s'\n%s", what, value, usage);
    return USAGE;
}

/* "127.0.0.1:0", "127.0.0.1", "[::1]:0", "localhost:0". The host is cut out
 * of s. */
static bool parse_listen(char *s, struct emulator_options *o)
{
    char *port = NULL;
    o->listen_host = s;
    if (*s == '[') {
        o->listen_host = s + 1;
        char *close = strchr(s, ']');
        if (!close)
            return false;
        *close = '\0';
        port = close[1] == ':' ? close + 2 : NULL;
    } else if ((port = strchr(s, ':'))) {
        *port++ = '\0';
    }
    if (strcmp(o->listen_host, "localhost") == 0)
        o->listen_host = "127.0.0.1";

    uint64_t v = 0;
    if (port && (!str_to_u64(port, &v) || v > 65535))
        return false;
    o->port = (int)v;
    return true;
}

static bool is_loopback(const char *host)
{
    return strcmp(host, "::1") == 0 || str_starts(host, "127.");
}

static int parse_options(int argc, char **argv, struct emulator_options *o)
{
    static const struct option longs[] = {
        {"listen", required_argument, NULL, 'l'},
        {"data", required_argument, NULL, 'd'},
        {"limits", required_argument, NULL, 'm'},
        {"search-lag", required_argument, NULL, 's'},
        {"token", required_argument, NULL, 't'},
        {"guild", required_argument, NULL, 'g'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {0}};
    uint64_t v;

    for (int c; (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
        switch (c) {
        case 'l':
            if (!parse_listen(optarg, o))
                return wrong("not an address and port:", optarg);
            if (!is_loopback(o->listen_host))
                return wrong("only loopback addresses are listened on, not",
                             o->listen_host);
            break;
        case 'd':
            o->data = optarg;
            break;
        case 'm':
            if (strcmp(optarg, "real") && strcmp(optarg, "off"))
                return wrong("--limits is real or off, not", optarg);
            o->limits = strcmp(optarg, "real") == 0;
            break;
        case 's':
            if (!str_to_u64(optarg, &v) || v > 1000000000)
                return wrong("not a number of milliseconds:", optarg);
            o->search_lag_ms = (int64_t)v;
            break;
        case 't':
            o->token = optarg;
            break;
        case 'g':
            o->guild_name = optarg;
            break;
        case 'h':
            fputs(usage, stdout);
            exit(0);
        case 'v':
            puts("dbcord-emulator " DBCORD_VERSION);
            exit(0);
        default:
            fputs(usage, stderr);
            return USAGE;
        }
    }
    return optind < argc ? wrong("unexpected argument", argv[optind]) : 0;
}

/* Three parts joined by dots, the first of which is the application's id in
 * base64, as clients expect them. */
static char *random_token(uint64_t id)
{
    static const char set[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char noise[44];
    char digits[24], *token = xcalloc(1, 80);
    size_t n = 0;
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)id);

    RAND_bytes(noise, sizeof noise);
    for (int i = 0; i < len; i += 3) {
        unsigned v = 0;
        int have = len - i < 3 ? len - i : 3;
        for (int k = 0; k < 3; k++)
            v = v << 8 | (k < have ? (unsigned char)digits[i + k] : 0u);
        for (int k = 0; k <= have; k++)
            token[n++] = set[v >> (18 - 6 * k) & 63];
    }
    token[n++] = '.';
    for (size_t i = 0; i < 6; i++)
        token[n++] = set[noise[i] & 63];
    token[n++] = '.';
    for (size_t i = 6; i < sizeof noise; i++)
        token[n++] = set[noise[i] & 63];
    return token;
}

/* A world of its own: an application with its bot, an owner, a guild. */
static void make_world(struct emulator *e)
{
    e->owner = user_new(e, "owner", false);
    e->bot = user_new(e, "robot", true);
    e->app = xcalloc(1, sizeof *e->app);
    e->app->id = e->bot->id;
    e->app->name = xstrdup("robot");
    e->app->flags = APP_FLAG_MESSAGE_CONTENT_LIMITED | APP_FLAG_MEMBERS_LIMITED;
    RAND_bytes(e->link_key, sizeof e->link_key);
    e->token =
        e->options.token ? xstrdup(e->options.token) : random_token(e->app->id);
    record_application(e);
    guild_new(e, e->options.guild_name);
}

static void take_up_world(struct emulator *e)
{
    if (e->options.token && strcmp(e->options.token, e->token) != 0) {
        free(e->token);
        e->token = xstrdup(e->options.token);
        record_application(e);
    }
    for (size_t i = 0; i < e->guild_count; i++)
        for (size_t k = 0; k < e->guilds[i]->thread_count; k++)
            thread_arm(e, e->guilds[i]->threads[k]);
}

static void print_ready(const struct emulator *e)
{
    struct json_object *o = json_object_new_object();
    char api[128];
    snprintf(api, sizeof api, "%s/api/v10", emulator_http_base(e));
    json_object_object_add(o, "api", json_object_new_string(api));
    json_object_object_add(o, "token", json_object_new_string(e->token));
    json_object_object_add(o, "guild_id", snowflake_json(e->guilds[0]->id));
    json_object_object_add(o, "application_id", snowflake_json(e->app->id));
    puts(json_object_to_json_string_ext(o, JSON_C_TO_STRING_PLAIN |
                                               JSON_C_TO_STRING_NOSLASHESCAPE));
    fflush(stdout);
    json_object_put(o);
}

static void on_signal(int sig)
{
    (void)sig;
    server_stop();
}

static int run(struct emulator *e, struct err *err)
{
    clock_init(&e->clock);
    state_init(e);
    limits_open(e);
    faults_open(e);
    tally_open(e);
    commands_open(e);

    int r = journal_open(e, e->options.data, err);
    if (r < 0)
        return r;
    if (e->app && e->guild_count)
        take_up_world(e);
    else
        make_world(e);

    r = server_open(e, err);
    if (r < 0)
        return r;
    gateway_open(e);
    interactions_open(e);
    search_open(e);

    struct sigaction sa = {.sa_handler = on_signal};
    sigaction(SIGTERM, &sa, NULL);
    sigaction(SIGINT, &sa, NULL);
    signal(SIGPIPE, SIG_IGN);

    /* Written down before it is announced. */
    journal_commit(e);
    print_ready(e);
    server_run(e);
    return 0;
}

int main(int argc, char **argv)
{
    static struct emulator e = {.options = {.listen_host = "127.0.0.1",
                                            .limits = true,
                                            .search_lag_ms = 1000,
                                            .guild_name = "emulated"}};
    struct err err = ERR_INIT;

    int r = parse_options(argc, argv, &e.options);
    if (r)
        return r;

    /* Every client connection is a descriptor. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < 8192 ? files.rlim_max : 8192;
        setrlimit(RLIMIT_NOFILE, &files);
    }

    r = run(&e, &err);
    if (r < 0)
        fprintf(stderr, "dbcord-emulator: %s\n", err_text(&err, r));

    /* The reverse of run(), as far as it came. */
    if (e.server) {
        search_close(&e);
        interactions_close(&e);
        gateway_close(&e);
        server_close(&e);
    }
    commands_close(&e);
    if (e.journal)
        journal_close(&e);
    tally_close(&e);
    faults_close(&e);
    limits_close(&e);
    state_release(&e);
    clock_release(&e.clock);
    return r < 0 ? 1 : 0;
}
