/* export: all rows of a table, as a file. */
#include "engine/command/internal.h"

#include "engine/export.h"

static void progress(void *arg, size_t done, size_t total)
{
    if (total)
        call_note(arg, "%zu of %zu rows", done, total);
    else
        call_note(arg, "%zu rows", done);
}

static int to_file(void *arg, const char *data, size_t len, struct err *err)
{
    struct command_call *c = arg;

    return c->sink->data(c->sink, data, len, err);
}

/* A sink without files gets the rows: each is one piece of NDJSON. */
static int to_rows(void *arg, const char *data, size_t len, struct err *err)
{
    struct command_call *c = arg;

    return c->sink->put(c->sink, data, len, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf name = BUF_INIT;
    const char *format = call_string(c, "format", "ndjson");
    struct export_options o = {
        .snapshot = call_string(c, "snapshot", NULL),
        .progress = progress,
        .arg = c,
    };

    format_parse(format, &o.format);
    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    if (!c->sink->file) {
        o.format = FORMAT_NDJSON;
        return table_export_wait(t, &o, to_rows, c, NULL, err);
    }
    buf_printf(&name, "%s.%s", call_string(c, "table", ""),
               o.format == FORMAT_TABLE ? "txt" : format);
    r = c->sink->file(c->sink, name.data, format_type(o.format), err);
    return r < 0 ? r : table_export_wait(t, &o, to_file, c, NULL, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "format",
        .type = COMMAND_CHOICE,
        .place = 3,
        .choices = format_names,
        .help = "of the file; ndjson if not given",
    },
    {
        .name = "snapshot",
        .type = COMMAND_STRING,
        .offer = OFFER_LABEL,
        .help = "the rows as this snapshot has them: its label or id",
    },
};

const struct command command_export = {
    .name = "export",
    .summary = "Write all rows of a table as a file",
    .details = "In the order of their creation, each with its own bytes in "
               "JSON and NDJSON. On the command line it goes to standard "
               "output. A file in any format but `table` can be imported.",
    .example = "prod users csv",
    COMMAND_OPTIONS(options),
    .run = run,
};
