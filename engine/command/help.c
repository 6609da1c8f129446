/* help: the table of commands as data; who shows it gives it its looks. */
#include "engine/command/internal.h"

#include <errno.h>

static const char *type_name(enum command_type type)
{
    static const char *const names[] = {
        [COMMAND_STRING] = "string",   [COMMAND_INTEGER] = "integer",
        [COMMAND_BOOLEAN] = "boolean", [COMMAND_JSON] = "json",
        [COMMAND_FILE] = "file",       [COMMAND_CHOICE] = "choice",
    };
    return names[type];
}

static void add_option(struct buf *b, const struct command_option *o)
{
    buf_addc(b, '{');
    json_add_string(b, "name", o->name);
    json_add_string(b, "type", type_name(o->type));
    json_add_bool(b, "required", o->required);
    if (o->instead)
        json_add_string(b, "instead", o->instead);
    if (o->place)
        json_add_int(b, "place", o->place);
    if (o->type == COMMAND_CHOICE) {
        json_add_name(b, "choices");
        buf_addc(b, '[');
        for (size_t i = 0; o->choices[i]; i++)
            buf_printf(b, "%s\"%s\"", i ? "," : "", o->choices[i]);
        buf_addc(b, ']');
    }
    json_add_string(b, "help", o->help);
    buf_addc(b, '}');
}

static int put_command(struct command_call *c, const struct command *about,
                       struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addc(&b, '{');
    json_add_string(&b, "command", about->name);
    json_add_string(&b, "summary", about->summary);
    if (about->details)
        json_add_string(&b, "details", about->details);
    if (about->example)
        json_add_string(&b, "example", about->example);
    json_add_bool(&b, "destructive", about->destructive);
    json_add_name(&b, "options");
    buf_addc(&b, '[');
    for (size_t i = 0; i < about->n_options; i++) {
        if (i)
            buf_addc(&b, ',');
        add_option(&b, &about->options[i]);
    }
    buf_addstr(&b, "]}");
    return call_put(c, &b, err);
}

static int run(struct command_call *c, struct err *err)
{
    const char *name = call_string(c, "command", NULL);

    if (name) {
        const struct command *about = command_find(name);
        if (!about)
            return err_set(err, -ENOENT, "no command '%s'", name);
        return put_command(c, about, err);
    }
    for (size_t i = 0; i < command_count(); i++) {
        int r = put_command(c, command_at(i), err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct command_option options[] = {
    {
        .name = "command",
        .type = COMMAND_STRING,
        .offer = OFFER_COMMAND,
        .place = 1,
        .help = "about this command alone",
    },
};

const struct command command_help = {
    .name = "help",
    .summary = "List the commands, or tell how one is used",
    .example = "insert",
    COMMAND_OPTIONS(options),
    .permission = COMMAND_FOR_ALL,
    .many = true,
    .offline = true,
    .run = run,
};
