/* Options and positional arguments, told apart by the command's own table;
 * names and codes as a shell wants them. No I/O. */
#include "fs/cli.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "fs/suggest.h"

enum cli_exit cli_exit_code(int r)
{
    switch (-r) {
    case 0:
        return CLI_OK;
    case ENOENT:
        return CLI_NOT_FOUND;
    case EINVAL: /* what the engine refuses: JSON, schema, a key that differs */
    case EEXIST:
    case ESTALE:
    case EILSEQ:
    case ENAMETOOLONG:
        return CLI_REFUSED;
    case EPERM:
    case EACCES:
    case ENOSPC:
    case EDQUOT:
    case ETIMEDOUT:
    case ENETUNREACH:
    case EAGAIN:
    case EIO:
        return CLI_DISCORD;
    default:
        return CLI_FAILED;
    }
}

char *cli_name(const char *name)
{
    char *s = xstrdup(name);

    for (char *p = s; *p; p++) {
        if (*p == '_')
            *p = '-';
    }
    return s;
}

/* "--name", "--name=value": the name's length and where the value begins. */
static bool split_option(const char *word, size_t *name_len, const char **value)
{
    if (!str_starts(word, "--") || !word[2])
        return false;
    const char *equals = strchr(word + 2, '=');
    *name_len = equals ? (size_t)(equals - word - 2) : strlen(word + 2);
    *value = equals ? equals + 1 : NULL;
    return true;
}

static bool is_option(const char *word, size_t name_len, const char *name)
{
    return strlen(name) == name_len && strncmp(word + 2, name, name_len) == 0;
}

/* Is it an option that a command has for itself, though others share one of
 * this name? */
static bool is_own(const struct command_call *call, const char *word)
{
    size_t n;
    const char *value;

    if (!split_option(word, &n, &value))
        return false;
    for (size_t i = 0; i < call->command->n_options; i++)
        if (is_option(word, n, call->command->options[i].name))
            return true;
    return false;
}

/* The value behind '=' or the next word. */
static int take_value(const char *name, const char **value, int argc,
                      char **argv, int *i, struct err *err)
{
    if (*value)
        return 0;
    if (*i + 1 >= argc)
        return err_set(err, -EINVAL, "--%s needs a value", name);
    *value = argv[++*i];
    return 0;
}

static int set_format(struct cli_common *common, const char *name,
                      struct err *err)
{
    if (!format_parse(name, &common->format))
        return err_set(err, -EINVAL,
                       "--format: '%.40s' is none of json, ndjson, csv, tsv, "
                       "table",
                       name);
    common->has_format = true;
    return 1;
}

int cli_args_common(struct cli_common *common, int argc, char **argv, int *i,
                    struct err *err)
{
    const char *word = argv[*i], *value;
    size_t n;

    if (strcmp(word, "-h") == 0) {
        common->help = true;
        return 1;
    }
    if (!split_option(word, &n, &value))
        return 0;

    bool help = is_option(word, n, "help"), yes = is_option(word, n, "yes");
    if (help || yes) {
        if (value)
            return err_set(err, -EINVAL, "--%.*s takes no value", (int)n,
                           word + 2);
        common->help |= help;
        common->yes |= yes;
        return 1;
    }
    if (is_option(word, n, "env-file")) {
        int r = take_value("env-file", &value, argc, argv, i, err);
        common->env_file = value;
        return r < 0 ? r : 1;
    }
    if (is_option(word, n, "format")) {
        int r = take_value("format", &value, argc, argv, i, err);
        return r < 0 ? r : set_format(common, value, err);
    }
    return 0;
}

/* Sets it, or puts it on the list of what is to be read. */
static int give(struct command_call *call, struct cli_sources *sources,
                size_t option, const char *value, struct err *err)
{
    enum command_type type = call->command->options[option].type;
    bool from_file = type == COMMAND_FILE;
    bool from_stdin = type == COMMAND_JSON && strcmp(value, "-") == 0;

    if (!from_file && !from_stdin)
        return command_set(call, option, value, strlen(value), err);

    for (size_t i = 0; i < sources->n; i++) {
        const struct cli_source *s = &sources->list[i];
        if (s->option == option)
            return err_set(err, -EINVAL, "%s is given twice",
                           call->command->options[option].name);
        if (strcmp(s->path, "-") == 0 && strcmp(value, "-") == 0)
            return err_set(err, -EINVAL,
                           "standard input can be read for one value alone");
    }
    assert(sources->n < COMMAND_OPTIONS_MAX);
    sources->list[sources->n++] = (struct cli_source){option, value};
    return 0;
}

static bool is_given(const struct command_call *call,
                     const struct cli_sources *sources, size_t option)
{
    for (size_t i = 0; i < sources->n; i++) {
        if (sources->list[i].option == option)
            return true;
    }
    return call->values[option].given;
}

static int unknown_option(const struct command_call *call, const char *word,
                          size_t n, struct err *err)
{
    static const char *const common[] = {"help", "yes", "env-file", "format"};
    AUTO_STR char *name = xstrndup(word, n + 2);
    struct suggest s = {.wanted = name + 2};
    AUTO_STR char *best = NULL;

    for (size_t i = 0; i < call->command->n_options; i++)
        suggest_try(&s, call->command->options[i].name);
    for (size_t i = 0; i < sizeof(common) / sizeof(common[0]); i++)
        suggest_try(&s, common[i]);
    if (s.best)
        best = cli_name(s.best);
    return err_set(err, -EINVAL, "unknown option %s%s%s%s", name,
                   best ? ", did you mean --" : "", best ? best : "",
                   best ? "?" : "");
}

static int parse_option(struct command_call *call, struct cli_sources *sources,
                        int argc, char **argv, int *i, struct err *err)
{
    const char *word = argv[*i], *value;
    size_t n;

    if (!split_option(word, &n, &value))
        return err_set(err, -EINVAL,
                       "unknown option %s (behind -- it is an argument)", word);

    AUTO_STR char *name = xstrndup(word + 2, n);
    size_t option = command_option_index(call->command, name);
    if (option == SIZE_MAX)
        return unknown_option(call, word, n, err);

    /* A flag takes no next word. */
    if (call->command->options[option].type == COMMAND_BOOLEAN && !value)
        value = "true";
    int r = take_value(name, &value, argc, argv, i, err);
    return r < 0 ? r : give(call, sources, option, value, err);
}

/* The option that has this place, SIZE_MAX when the places end before. */
static size_t option_at(const struct command *c, int place)
{
    for (size_t i = 0; i < c->n_options; i++) {
        if (c->options[i].place == place)
            return i;
    }
    return SIZE_MAX;
}

/* Must this place be filled? Places given by name are none any more. */
static bool is_needed(const struct command_call *call,
                      const struct cli_sources *sources, size_t option)
{
    const struct command_option *o = &call->command->options[option];

    if (is_given(call, sources, option) || !o->required)
        return false;
    return !o->instead ||
           !is_given(call, sources,
                     command_option_index(call->command, o->instead));
}

static int place_words(struct command_call *call, struct cli_sources *sources,
                       char **words, size_t n, struct err *err)
{
    const struct command *c = call->command;
    size_t needed = 0, option;

    for (int place = 1; (option = option_at(c, place)) != SIZE_MAX; place++)
        needed += is_needed(call, sources, option);

    for (int place = 1; n && (option = option_at(c, place)) != SIZE_MAX;
         place++) {
        bool need = is_needed(call, sources, option);

        if (is_given(call, sources, option) || (!need && n <= needed))
            continue;
        int r = give(call, sources, option, *words, err);
        if (r < 0)
            return r;
        needed -= need;
        words++;
        n--;
    }
    if (n)
        return err_set(err, -EINVAL, "one argument too many: '%.60s'", *words);
    return 0;
}

/* --format before the name of a command that has one of its own. */
static int hand_on_format(struct command_call *call, struct cli_common *common,
                          struct err *err)
{
    size_t i = command_option_index(call->command, "format");

    if (!common->has_format || i == SIZE_MAX)
        return 0;
    const char *name = format_names[common->format];
    common->has_format = false;
    return command_set(call, i, name, strlen(name), err);
}

int cli_args_parse(struct command_call *call, struct cli_common *common,
                   int argc, char **argv, struct cli_sources *sources,
                   struct err *err)
{
    char **words = xcalloc((size_t)argc, sizeof(*words));
    size_t n = 0;
    int r = 0;

    sources->n = 0;
    for (int i = 1; i < argc && r >= 0; i++) {
        if (strcmp(argv[i], "--") == 0) {
            while (++i < argc)
                words[n++] = argv[i];
            break;
        }
        if (argv[i][0] != '-' || !argv[i][1]) {
            words[n++] = argv[i];
            continue;
        }
        r = is_own(call, argv[i])
                ? 0
                : cli_args_common(common, argc, argv, &i, err);
        if (r == 0)
            r = parse_option(call, sources, argc, argv, &i, err);
    }
    if (r >= 0)
        r = hand_on_format(call, common, err);
    /* Who asks for help has not finished typing. */
    if (r >= 0 && !common->help)
        r = place_words(call, sources, words, n, err);
    free(words);
    return r < 0 ? r : 0;
}
