/* What the commands are, for a person at a terminal; and for the shells'
 * completions, one name a line. */
#include "fs/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "fs/suggest.h"

static void print_line(const char *name, const char *summary)
{
    printf("  %-14s %s\n", name, summary);
}

void cli_help_all(void)
{
    fputs("dbcord: a Discord server as a database, in the file system\n\n"
          "usage: dbcord COMMAND [ARGUMENT…]\n\n",
          stdout);
    for (size_t i = 0; cli_locals[i]; i++)
        print_line(cli_locals[i]->name, cli_locals[i]->summary);
    putchar('\n');
    for (size_t i = 0; i < command_count(); i++) {
        AUTO_STR char *name = cli_name(command_at(i)->name);

        if (!cli_local_find(name))
            print_line(name, command_at(i)->summary);
    }
    fputs("\nFor all commands:\n"
          "  --env-file F   read the settings from F\n"
          "  --format F     json, ndjson, csv, tsv or table\n"
          "  --help         how the command is used\n"
          "  --version      dbcord's version\n\n"
          "Settings: DISCORD_BOT_TOKEN and DBCORD_GUILD_ID in the environment, "
          "in ./.env\nor in ~/.config/dbcord/env. Start with `dbcord "
          "doctor`.\n",
          stdout);
}

static void add_placeholder(struct buf *b, const struct command_option *o,
                            const struct command *c)
{
    AUTO_STR char *name = cli_name(o->name);

    if (o->instead) {
        size_t other = command_option_index(c, o->instead);
        AUTO_STR char *instead = cli_name(c->options[other].name);
        buf_printf(b, " %s|--%s=FILE", name, instead);
    } else {
        buf_printf(b, o->required ? " %s" : " [%s]", name);
    }
}

static bool is_alternative(const struct command *c, const char *name)
{
    for (size_t i = 0; i < c->n_options; i++) {
        const char *instead = c->options[i].instead;
        if (instead && strcmp(instead, name) == 0)
            return true;
    }
    return false;
}

static void add_usage(struct buf *b, const struct command *c)
{
    AUTO_STR char *name = cli_name(c->name);

    buf_printf(b, "dbcord %s", name);
    for (int place = 1; place <= COMMAND_OPTIONS_MAX; place++) {
        for (size_t i = 0; i < c->n_options; i++) {
            if (c->options[i].place == place)
                add_placeholder(b, &c->options[i], c);
        }
    }
    for (size_t i = 0; i < c->n_options; i++) {
        const struct command_option *o = &c->options[i];
        AUTO_STR char *option = cli_name(o->name);

        if (o->place || is_alternative(c, o->name))
            continue;
        buf_printf(b, o->type == COMMAND_BOOLEAN ? " [--%s]" : " [--%s=…]",
                   option);
    }
}

void cli_help_command(const struct command *c)
{
    AUTO_BUF struct buf usage = BUF_INIT;
    AUTO_STR char *name = cli_name(c->name);

    add_usage(&usage, c);
    printf("usage: %s\n\n%s.\n", usage.data, c->summary);
    if (c->details)
        printf("%s\n", c->details);
    if (c->n_options)
        putchar('\n');
    for (size_t i = 0; i < c->n_options; i++) {
        const struct command_option *o = &c->options[i];
        AUTO_STR char *option = cli_name(o->name);
        bool reads = o->type == COMMAND_JSON || o->type == COMMAND_FILE;

        printf("  --%-14s %s%s", option, o->help,
               reads ? "; - reads standard input" : "");
        for (size_t j = 0; o->type == COMMAND_CHOICE && o->choices[j]; j++)
            printf("%s%s", j ? ", " : ": ", o->choices[j]);
        putchar('\n');
    }
    if (c->destructive)
        printf("  --%-14s %s\n", "yes", "do not ask first");
    if (c->example)
        printf("\nexample: dbcord %s %s\n", name, c->example);
}

void cli_help_local(const struct cli_local *l)
{
    printf("usage: dbcord %s%s%s\n\n%s.\n", l->name, *l->usage ? " " : "",
           l->usage, l->summary);
    if (l->help)
        printf("\n%s", l->help);
}

static void print_names(void)
{
    for (size_t i = 0; cli_locals[i]; i++)
        printf("%s\t%s\n", cli_locals[i]->name, cli_locals[i]->summary);
    for (size_t i = 0; i < command_count(); i++) {
        AUTO_STR char *name = cli_name(command_at(i)->name);

        if (!cli_local_find(name))
            printf("%s\t%s\n", name, command_at(i)->summary);
    }
}

static void print_options(const char *name)
{
    const struct cli_local *l = cli_local_find(name);
    const struct command *c = l ? NULL : command_find(name);

    puts("--help\thow the command is used");
    puts("--env-file\tread the settings from this file");
    for (size_t i = 0; l && l->options && l->options[i]; i++)
        puts(l->options[i]);
    if (!c)
        return;
    puts("--format\tjson, ndjson, csv, tsv or table");
    if (c->destructive)
        puts("--yes\tdo not ask first");
    for (size_t i = 0; i < c->n_options; i++) {
        AUTO_STR char *option = cli_name(c->options[i].name);
        printf("--%s\t%s\n", option, c->options[i].help);
    }
}

enum cli_exit cli_help(struct cli_common *common, int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--names") == 0) {
        print_names();
        return CLI_OK;
    }
    if (argc == 3 && strcmp(argv[1], "--options") == 0) {
        print_options(argv[2]);
        return CLI_OK;
    }

    struct command_call call;
    struct cli_sources sources;
    struct err err = ERR_INIT;

    command_call_init(&call, command_find("help"));
    enum cli_exit code = CLI_OK;
    int r = cli_args_parse(&call, common, argc, argv, &sources, &err);
    const struct command_value *about = &call.values[0];
    const struct cli_local *local =
        about->given ? cli_local_find(about->text.data) : NULL;
    const struct command *command =
        about->given ? command_find(about->text.data) : NULL;

    if (r < 0)
        code = cli_usage_error("help", &err);
    else if (common->help)
        cli_help_command(call.command);
    else if (common->has_format && !local)
        code = cli_run_offline(&call, common);
    else if (!about->given)
        cli_help_all();
    else if (local)
        cli_help_local(local);
    else if (command)
        cli_help_command(command);
    else
        code = cli_fail(err_set(&err, -ENOENT,
                                "no command '%s'; `dbcord help` lists them",
                                about->text.data),
                        &err);
    command_call_release(&call);
    return code;
}
