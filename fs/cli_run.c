/* A command of the table: settings, engine, run, results on stdout. */
#include "fs/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/discord/discord.h"
#include "engine/engine.h"
#include "fs/settings.h"

/* One value is read into memory: a row, a schema, a file to import. */
#define SOURCE_MAX ((size_t)1 << 30)

/* What the background writer may take before a one-shot command ends: row
 * messages follow what was committed, the next process goes on where it
 * stopped. */
#define PATIENCE_MS 5000

struct stdout_sink {
    struct command_sink sink;
    struct format_writer *writer;
    size_t n;      /* objects that were put */
    bool progress; /* a line of progress stands on the terminal */
    bool is_file;  /* the result goes out as it comes */
};

/* Ctrl-C, for a command that ends cleanly by itself. The second one ends the
 * process: the handler is gone by then. */
static volatile sig_atomic_t interrupted;

static void note_interrupt(int signal)
{
    static const char text[] =
        "\r\033[Kdbcord: stopping; once more ends it at once\n";

    (void)signal;
    interrupted = 1;
    if (isatty(STDERR_FILENO) &&
        write(STDERR_FILENO, text, sizeof(text) - 1) < 0)
        return;
}

static void catch_interrupt(void)
{
    struct sigaction sa = {.sa_handler = note_interrupt,
                           .sa_flags = (int)SA_RESETHAND},
                     old;

    /* Where it is ignored (a job in the background) it stays so. */
    if (sigaction(SIGINT, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGINT, &sa, NULL);
}

static int to_stdout(void *arg, const char *data, size_t len, struct err *err)
{
    (void)arg;
    if (fwrite(data, 1, len, stdout) == len)
        return 0;

    /* No trouble of Discord's, whatever the disk says. What is left in the
     * buffer would fail at the end again. */
    int r = errno == EPIPE ? -EPIPE : -EBADF;
    err_set(err, r, "cannot write the result: %s", strerror(errno));
    __fpurge(stdout);
    clearerr(stdout);
    return r;
}

static void end_progress(struct stdout_sink *s)
{
    if (s->progress)
        fputs("\r\033[K", stderr);
    s->progress = false;
}

static int sink_put(struct command_sink *sink, const char *json, size_t len,
                    struct err *err)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;

    end_progress(s);
    s->n++;
    return format_row(s->writer, json, len, err);
}

static bool sink_stopped(struct command_sink *sink)
{
    (void)sink;
    return interrupted != 0;
}

static void sink_say(struct command_sink *sink, const char *text)
{
    end_progress((struct stdout_sink *)sink);
    fprintf(stderr, "dbcord: %s\n", text);
}

/* Redirected it has the name the shell gave it. */
static int sink_file(struct command_sink *sink, const char *name,
                     const char *type, struct err *err)
{
    (void)name;
    (void)type;
    (void)err;
    ((struct stdout_sink *)sink)->is_file = true;
    return 0;
}

static int sink_data(struct command_sink *sink, const char *data, size_t len,
                     struct err *err)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;

    /* One terminal has room for one of them. */
    if (s->progress && isatty(STDOUT_FILENO))
        end_progress(s);
    return to_stdout(NULL, data, len, err);
}

static void sink_note(struct command_sink *sink, const char *text)
{
    struct stdout_sink *s = (struct stdout_sink *)sink;

    if (!isatty(STDERR_FILENO) || (s->is_file && isatty(STDOUT_FILENO)))
        return;
    end_progress(s);
    fputs(text, stderr);
    fflush(stderr);
    s->progress = true;
}

/* Runs it with stdout as its sink. */
static int run_to_stdout(struct command_call *call, struct cli_common *common,
                         struct err *err)
{
    bool many = call->command->many;
    enum format format = common->has_format ? common->format
                         : many             ? FORMAT_NDJSON
                                            : FORMAT_JSON;
    struct stdout_sink s = {
        .sink =
            {
                .put = sink_put,
                .note = sink_note,
                .say = sink_say,
                .file = sink_file,
                .data = sink_data,
                .stopped = sink_stopped,
            },
        .writer = format_writer_new(format, many, to_stdout, NULL),
    };

    call->sink = &s.sink;
    if (call->command->stoppable)
        catch_interrupt();
    int r = command_run(call, err);
    end_progress(&s);
    /* What was put before an error is shown all the same, and whole. */
    int end = s.is_file || (r < 0 && s.n == 0)
                  ? 0
                  : format_end(s.writer, r < 0 ? NULL : err);
    if (r >= 0)
        r = end;
    if (r >= 0 && fflush(stdout) != 0)
        r = to_stdout(NULL, "", 1, err);
    format_writer_free(s.writer);
    return r;
}

/* A reader that has seen enough (`| head`) is no news. Who was interrupted
 * ends as the shell expects it, by the signal: a loop around it ends too. */
static enum cli_exit finish(int r, const struct err *err)
{
    if (r == -EPIPE)
        return CLI_FAILED;
    if (r == -EINTR && interrupted) {
        cli_fail(r, err);
        signal(SIGINT, SIG_DFL);
        raise(SIGINT);
    }
    return r < 0 ? cli_fail(r, err) : CLI_OK;
}

enum cli_exit cli_run_offline(struct command_call *call,
                              struct cli_common *common)
{
    struct err err = ERR_INIT;
    int r = run_to_stdout(call, common, &err);

    return finish(r, &err);
}

static int read_source(const char *path, struct buf *out, struct err *err)
{
    bool in = strcmp(path, "-") == 0;
    int fd = in ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    const char *name = in ? "standard input" : path;
    int r = 0;

    if (fd < 0)
        return err_set(err, -errno, "cannot open %s: %s", name,
                       strerror(errno));
    for (;;) {
        buf_reserve(out, 65536);
        ssize_t n = read(fd, out->data + out->len, 65536);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            r = err_set(err, -errno, "cannot read %s: %s", name,
                        strerror(errno));
        if (n <= 0)
            break;
        out->len += (size_t)n;
        out->data[out->len] = 0;
        if (out->len > SOURCE_MAX) {
            r = err_set(err, -EFBIG, "%s is larger than %zu bytes", name,
                        SOURCE_MAX);
            break;
        }
    }
    if (!in)
        close(fd);
    return r;
}

/* What a file is called, without its directories; NULL for standard input. */
static const char *file_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(path, "-") == 0 ? NULL : slash ? slash + 1 : path;
}

static int read_sources(struct command_call *call,
                        const struct cli_sources *sources, struct err *err)
{
    for (size_t i = 0; i < sources->n; i++) {
        AUTO_BUF struct buf text = BUF_INIT;
        const struct cli_source *s = &sources->list[i];

        int r = read_source(s->path, &text, err);
        if (r < 0)
            return r;
        r = command_set_file(call, s->option, file_name(s->path), &text, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* What cannot be undone is asked about where there is somebody to answer. */
static bool confirmed(const struct command_call *call)
{
    char answer[16];

    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return true;
    fprintf(stderr, "%s.", call->command->summary);
    for (size_t i = 0; i < call->command->n_options; i++) {
        if (call->values[i].given && call->command->options[i].place)
            fprintf(stderr, " %s: %s.", call->command->options[i].name,
                    call->values[i].text.data);
    }
    fputs(" This cannot be undone. Go on? [y/N] ", stderr);
    fflush(stderr);
    if (!fgets(answer, sizeof(answer), stdin))
        return false;
    return answer[0] == 'y' || answer[0] == 'Y';
}

char *cli_who(void)
{
    struct buf b = BUF_INIT;
    const struct passwd *user = getpwuid(geteuid());
    char host[256] = "";

    gethostname(host, sizeof(host) - 1);
    if (user)
        buf_addstr(&b, user->pw_name);
    else
        buf_printf(&b, "%lu", (unsigned long)geteuid());
    buf_printf(&b, "@%s", *host ? host : "localhost");
    return buf_take_str(&b);
}

static int run_with_engine(struct command_call *call, struct cli_common *common,
                           struct discord *discord,
                           const struct settings *settings, struct err *err)
{
    AUTO_STR char *by = cli_who();
    struct engine_options o = {
        .remote = discord_remote(discord),
        .guilds = settings->guilds,
        .n_guilds = settings->n_guilds,
        .by = by,
        .read_only = !command_writes(call),
        .alone = true,
        .settle_ms = 1, /* nothing more will come that could be gathered */
    };

    int r = engine_open(&o, &call->engine, err);
    if (r < 0)
        return r;
    r = run_to_stdout(call, common, err);
    engine_close(call->engine, PATIENCE_MS);
    return r;
}

static enum cli_exit run_online(struct command_call *call,
                                struct cli_common *common)
{
    struct settings settings;
    struct discord *discord;
    struct err err = ERR_INIT;

    int r = settings_load(common->env_file, &settings, &err);
    if (r < 0) {
        cli_fail(r, &err);
        return CLI_FAILED;
    }

    struct discord_options o = {
        .api_url = settings.api_url,
        .token = settings.token,
    };
    r = discord_open(&o, &discord, &err);
    if (r < 0) {
        cli_fail(r, &err);
        settings_release(&settings);
        return CLI_FAILED;
    }

    r = run_with_engine(call, common, discord, &settings, &err);
    remote_close(discord_remote(discord));
    settings_release(&settings);
    return finish(r, &err);
}

static enum cli_exit run_call(struct command_call *call,
                              struct cli_common *common, int argc, char **argv)
{
    struct cli_sources sources;
    struct err err = ERR_INIT;

    if (cli_args_parse(call, common, argc, argv, &sources, &err) < 0)
        return cli_usage_error(argv[0], &err);
    if (common->help) {
        cli_help_command(call->command);
        return CLI_OK;
    }
    if (read_sources(call, &sources, &err) < 0) {
        cli_fail(-EIO, &err);
        return CLI_FAILED;
    }
    /* Before the network is asked for anything. */
    if (command_check(call, &err) < 0)
        return cli_usage_error(argv[0], &err);
    if (call->command->destructive && !common->yes && !confirmed(call)) {
        fputs("dbcord: nothing was done\n", stderr);
        return CLI_FAILED;
    }
    return call->command->offline ? cli_run_offline(call, common)
                                  : run_online(call, common);
}

enum cli_exit cli_run(const struct command *command, struct cli_common *common,
                      int argc, char **argv)
{
    struct command_call call;

    command_call_init(&call, command);
    enum cli_exit code = run_call(&call, common, argc, argv);
    command_call_release(&call);
    return code;
}
