/* A command from Discord: its options become a call, what it says becomes the
 * answer. */
#include "bot/slash_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bot/manual.h"
#include "bot/register.h"
#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/command/command.h"
#include "engine/discord/discord.h"

/* What a file may be that somebody hands to a command. */
#define SOURCE_MAX ((uint64_t)64 << 20)

struct slash_sink {
    struct command_sink sink;
    struct turn *to;
    struct show show;
    struct buf said;             /* sentences to be read beside the result */
    char *file_name, *file_type; /* a result that is a file; NULL: it is not */
    struct buf file;
};

/* What is kept of such sentences: more has no room in a message. */
#define SAID_MAX 1200

static int sink_put(struct command_sink *sink, const char *json, size_t len,
                    struct err *err)
{
    struct slash_sink *s = (struct slash_sink *)sink;

    return show_add(&s->show, json, len, err);
}

static void sink_note(struct command_sink *sink, const char *text)
{
    struct turn *t = ((struct slash_sink *)sink)->to;
    char *copy = xstrdup(text);

    pthread_mutex_lock(&t->slash->lock);
    char *old = t->progress;
    t->progress = copy;
    pthread_mutex_unlock(&t->slash->lock);
    free(old);
}

static void sink_say(struct command_sink *sink, const char *text)
{
    struct slash_sink *s = (struct slash_sink *)sink;

    if (s->said.len < SAID_MAX)
        buf_printf(&s->said, "%s\n", text);
}

static int sink_file(struct command_sink *sink, const char *name,
                     const char *type, struct err *err)
{
    struct slash_sink *s = (struct slash_sink *)sink;

    (void)err;
    s->file_name = xstrdup(name);
    s->file_type = xstrdup(type);
    return 0;
}

static int sink_data(struct command_sink *sink, const char *data, size_t len,
                     struct err *err)
{
    struct slash_sink *s = (struct slash_sink *)sink;

    if (s->file.len + len > s->show.max)
        return err_set(err, -EFBIG,
                       "%s is larger than the %zu MiB that Discord takes: use "
                       "the command line",
                       s->file_name, s->show.max >> 20);
    buf_add(&s->file, data, len);
    return 0;
}

static bool sink_stopped(struct command_sink *sink)
{
    struct slash *s = ((struct slash_sink *)sink)->to->slash;

    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    return stopping;
}

static void sink_release(struct slash_sink *s)
{
    show_release(&s->show);
    buf_release(&s->said);
    buf_release(&s->file);
    free(s->file_name);
    free(s->file_type);
}

const struct command *run_command_of(const struct turn *t)
{
    if (!str_starts(t->in.command, SLASH_PREFIX))
        return NULL;
    return command_find(t->in.command + strlen(SLASH_PREFIX));
}

/* --- options -------------------------------------------------------------- */

static int set_option(struct turn *t, struct command_call *c,
                      const struct interaction_option *o, struct err *err)
{
    size_t i = command_option_index(c->command, o->name);
    AUTO_BUF struct buf file = BUF_INIT;

    if (strcmp(o->name, SLASH_PUBLIC) == 0)
        return 0;
    if (i == SIZE_MAX)
        return err_set(err, -EINVAL,
                       "the command has no option '%s' any more: reload the "
                       "client",
                       o->name);
    if (!o->url)
        return command_set(c, i, o->value, o->value_len, err);
    if (o->file_size > SOURCE_MAX)
        return err_set(err, -EFBIG, "%s is larger than %" PRIu64 " MiB",
                       o->file_name, SOURCE_MAX >> 20);
    int r = discord_fetch(t->slash->d, o->url, o->file_size, &file, err);
    if (r < 0)
        return err_wrap(err, r, "%s cannot be fetched", o->file_name);
    return command_set_file(c, i, o->file_name, &file, err);
}

static int set_options(struct turn *t, struct command_call *c, struct err *err)
{
    for (size_t i = 0; i < t->in.n_options; i++) {
        int r = set_option(t, c, &t->in.options[i], err);
        if (r < 0)
            return r;
    }
    return command_check(c, err);
}

/* --- the answer ----------------------------------------------------------- */

static void answer_failure(struct turn *to, const struct slash_sink *s, int r,
                           const struct err *err)
{
    AUTO_BUF struct buf content = BUF_INIT;
    AUTO_BUF struct buf why = BUF_INIT;

    buf_printf(&why, "%s\n", err_text(err, r));
    buf_add(&why, s->said.data ? s->said.data : "", s->said.len);
    buf_addstr(&content, "**Not done.**\n");
    show_block(&content, "", why.data, why.len, SHOW_CONTENT_MAX - 200);
    turn_answer(to, &(struct reply){.content = content.data}, NULL);
}

static void answer_file(struct turn *to, const char *content, const char *name,
                        const char *type, const struct buf *data)
{
    struct remote_upload file = {
        .name = name,
        .type = type,
        .data = data->data ? data->data : "",
        .len = data->len,
    };
    turn_answer(to, &(struct reply){.content = content}, &file);
}

static void answer_shown(struct turn *to, struct shown *shown)
{
    if (shown->n > 1)
        press_show_list(to, shown);
    else
        turn_answer(to, &(struct reply){.content = shown->pages[0]}, NULL);
    shown_release(shown);
}

/* What is to be read beside the result goes under its first page, if there is
 * room. */
static void add_said(const struct slash_sink *s, struct shown *shown)
{
    AUTO_BUF struct buf content = BUF_INIT;

    if (s->said.len == 0)
        return;
    buf_printf(&content, "%s\n", shown->pages[0]);
    show_block(&content, "", s->said.data, s->said.len, SAID_MAX / 2);
    if (utf16_units(content.data, content.len) > SHOW_CONTENT_MAX)
        return;
    free(shown->pages[0]);
    shown->pages[0] = buf_take_str(&content);
}

static void answer_result(struct turn *t, struct turn *to,
                          const struct slash_sink *s)
{
    const char *command = run_command_of(t)->name;
    struct shown shown;

    if (s->file_name) {
        AUTO_BUF struct buf content = BUF_INIT;
        buf_printf(&content, "`%s`: %zu bytes, in the file.", command,
                   s->file.len);
        answer_file(to, content.data, s->file_name, s->file_type, &s->file);
        return;
    }
    show_finish(&s->show, command, &shown);
    add_said(s, &shown);
    if (shown.as_file) {
        char name[80];
        snprintf(name, sizeof(name), "%s.%s", command,
                 s->show.many ? "ndjson" : "json");
        answer_file(to, shown.pages[0], name, "application/json", &shown.file);
        shown_release(&shown);
    } else {
        answer_shown(to, &shown);
    }
}

/* Of a command that needs no engine there is one: help, which the table
 * answers. */
static void answer_help(struct turn *t)
{
    const struct interaction_option *o = interaction_option(&t->in, "command");
    AUTO_STR char *name = o ? xstrndup(o->value, o->value_len) : NULL;
    const char *bare = name && str_starts(name, "/") ? name + 1 : name;
    struct shown shown;

    if (bare && str_starts(bare, SLASH_PREFIX))
        bare += strlen(SLASH_PREFIX);
    const struct command *about = bare ? command_find(bare) : NULL;
    if (bare && !about) {
        turn_say(t, "There is no such command; `/dbc_help` lists them.");
        return;
    }
    manual_show(about, &shown);
    answer_shown(t, &shown);
}

static void name_person(const struct interaction *in, char out[96])
{
    snprintf(out, 96, "%.32s/%" PRIu64 "@discord", in->user_name, in->user);
}

/* Is there anything in it that cannot be undone? */
static bool is_final(const struct command_call *c)
{
    size_t dry = command_option_index(c->command, "dry_run");

    return c->command->destructive &&
           !(dry != SIZE_MAX && c->values[dry].given && c->values[dry].flag);
}

void run_command(struct turn *t, struct turn *to)
{
    const struct command *command = run_command_of(t);
    struct command_call call;
    struct err err = ERR_INIT;
    char by[96];

    if (!turn_allowed(t)) {
        turn_say(to, "You may not use dbcord here: it takes one of the roles "
                     "its owner has allowed, or the right to manage the "
                     "server.");
        return;
    }
    if (!command) {
        turn_say(to, "There is no such command any more: reload the client.");
        return;
    }

    if (command->offline) {
        answer_help(to);
        return;
    }

    struct slash_sink sink = {
        .sink =
            {
                .put = sink_put,
                .note = sink_note,
                .say = sink_say,
                .file = sink_file,
                .data = sink_data,
                .stopped = sink_stopped,
            },
        .to = to,
        .show =
            {
                .many = command->many,
                .columns = command->columns,
                .max = database_max_file(t->database),
            },
    };
    name_person(&t->in, by);
    command_call_init(&call, command);
    call.engine = t->slash->engine;
    call.database = t->database;
    call.by = by;
    call.sink = &sink.sink;
    int r = set_options(t, &call, &err);
    if (r == 0 && to == t && is_final(&call)) {
        press_ask(t);
    } else {
        if (r == 0)
            r = command_run(&call, &err);
        if (r < 0)
            answer_failure(to, &sink, r, &err);
        else
            answer_result(t, to, &sink);
    }
    command_call_release(&call);
    sink_release(&sink);
}
