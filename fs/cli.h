/* dbcord in a terminal: from argv to one of the commands, and back to an exit
 * code. Results go to stdout, everything else to stderr. */
#pragma once

#include <stdbool.h>

#include "engine/base/err.h"
#include "engine/command/command.h"
#include "engine/format.h"

enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_NOT_FOUND = 3,
    CLI_REFUSED = 4, /* by schema, uniqueness or version */
    CLI_DISCORD = 5, /* not reachable, or refused by it */
};

/* What may stand before the command or behind it. */
struct cli_common {
    const char *env_file; /* --env-file; borrowed from argv */
    bool help;            /* --help, -h */
    bool yes;             /* --yes: do not ask */
    bool has_format;
    enum format format; /* --format */
};

/* One of the commands that only a terminal has. argv[0] is its name. */
struct cli_local {
    const char *name;
    const char *usage; /* its arguments */
    const char *summary;
    const char *help;           /* the rest of --help, lines of at most 79 */
    const char *const *options; /* for completion; ends in NULL */
    enum cli_exit (*run)(struct cli_common *common, int argc, char **argv);
};

extern const struct cli_local cli_mount;
extern const struct cli_local cli_unmount;
extern const struct cli_local cli_status;
extern const struct cli_local cli_doctor;
extern const struct cli_local cli_bot;
extern const struct cli_local cli_invite;

/* NULL behind the last. */
extern const struct cli_local *const cli_locals[];
const struct cli_local *cli_local_find(const char *name);

enum cli_exit cli_main(int argc, char **argv);

/* "dbcord: …" on stderr, and the exit code for r. */
enum cli_exit cli_fail(int r, const struct err *err);
/* The same for a use that is wrong; says where help is. */
enum cli_exit cli_usage_error(const char *command, const struct err *err);

/* --- cli_args.c: what was typed --------------------------------------------
 */

/* The one place where an errno becomes an exit code. */
enum cli_exit cli_exit_code(int r);

/* A command's name as typed here: '-' for '_'. For free(). */
char *cli_name(const char *name);

/* Is argv[*i] one of the common options? 1: taken, *i stands on its last word;
 * 0: no; -EINVAL. */
int cli_args_common(struct cli_common *common, int argc, char **argv, int *i,
                    struct err *err);

/* A value that is to be read before it is set. */
struct cli_source {
    size_t option;
    const char *path; /* "-": standard input; borrowed from argv */
};

struct cli_sources {
    struct cli_source list[COMMAND_OPTIONS_MAX];
    size_t n;
};

/* argv[0] is the command's name. Sets the options of call that were given as
 * they are, and lists those that stand for a file. Positional arguments fill
 * the places in order; where there are fewer than places, the optional ones
 * stay free. */
int cli_args_parse(struct command_call *call, struct cli_common *common,
                   int argc, char **argv, struct cli_sources *sources,
                   struct err *err);

/* --- cli_help.c -------------------------------------------------------------
 */

void cli_help_all(void);
void cli_help_command(const struct command *c);
void cli_help_local(const struct cli_local *l);

/* `dbcord help …`, without Discord. */
enum cli_exit cli_help(struct cli_common *common, int argc, char **argv);

/* --- cli_run.c: a command of the table ---------------------------------------
 */

enum cli_exit cli_run(const struct command *command, struct cli_common *common,
                      int argc, char **argv);
/* One that needs no engine, its results on stdout. */
enum cli_exit cli_run_offline(struct command_call *call,
                              struct cli_common *common);

/* "ada@host", for engine_options.by. For free(). */
char *cli_who(void);
