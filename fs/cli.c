#include "fs/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "fs/suggest.h"

const struct cli_local *const cli_locals[] = {
    &cli_mount,  &cli_unmount, &cli_status, &cli_doctor,
    &cli_invite, &cli_bot,     NULL,
};

const struct cli_local *cli_local_find(const char *name)
{
    for (size_t i = 0; cli_locals[i]; i++) {
        if (strcmp(cli_locals[i]->name, name) == 0)
            return cli_locals[i];
    }
    return NULL;
}

enum cli_exit cli_fail(int r, const struct err *err)
{
    fprintf(stderr, "dbcord: %s\n", err_text(err, r));
    return cli_exit_code(r);
}

enum cli_exit cli_usage_error(const char *command, const struct err *err)
{
    fprintf(stderr, "dbcord%s%s: %s\n", command ? " " : "",
            command ? command : "", err_text(err, -EINVAL));
    fprintf(stderr, "Try `dbcord%s%s --help`.\n", command ? " " : "",
            command ? command : "");
    return CLI_USAGE;
}

static enum cli_exit unknown_command(const char *name)
{
    struct suggest s = {.wanted = name};
    char *names[64];
    size_t n = 0;

    for (size_t i = 0; cli_locals[i]; i++)
        suggest_try(&s, cli_locals[i]->name);
    for (size_t i = 0; i < command_count() && n < 64; i++) {
        names[n] = cli_name(command_at(i)->name);
        suggest_try(&s, names[n++]);
    }
    fprintf(stderr, "dbcord: unknown command '%s'", name);
    if (s.best)
        fprintf(stderr, "; did you mean '%s'?\n", s.best);
    else
        fputs("; `dbcord help` lists them\n", stderr);
    while (n)
        free(names[--n]);
    return CLI_USAGE;
}

static enum cli_exit dispatch(struct cli_common *common, int argc, char **argv)
{
    const struct cli_local *local = cli_local_find(argv[0]);
    if (local)
        return local->run(common, argc, argv);
    if (strcmp(argv[0], "help") == 0)
        return cli_help(common, argc, argv);

    const struct command *command = command_find(argv[0]);
    if (!command)
        return unknown_command(argv[0]);
    return cli_run(command, common, argc, argv);
}

enum cli_exit cli_main(int argc, char **argv)
{
    struct cli_common common = {0};
    struct err err = ERR_INIT;
    int i;

    for (i = 1; i < argc && argv[i][0] == '-'; i++) {
        if (strcmp(argv[i], "--version") == 0 || strcmp(argv[i], "-V") == 0) {
            puts("dbcord " DBCORD_VERSION);
            return CLI_OK;
        }
        int r = cli_args_common(&common, argc, argv, &i, &err);
        if (r == 0)
            r = err_set(&err, -EINVAL, "unknown option %s", argv[i]);
        if (r < 0)
            return cli_usage_error(NULL, &err);
    }
    if (i < argc)
        return dispatch(&common, argc - i, argv + i);
    if (common.help) {
        cli_help_all();
        return CLI_OK;
    }
    err_set(&err, -EINVAL, "which command?");
    return cli_usage_error(NULL, &err);
}
