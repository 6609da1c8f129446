/* import: a file of rows. */
#include "engine/command/internal.h"

#include <string.h>

#include "engine/import.h"

static void progress(void *arg, size_t done, size_t total, bool writing)
{
    struct command_call *c = arg;

    if (writing)
        call_note(c, "%zu of %zu rows are in", done, total);
    else
        call_note(c, "%zu rows checked", done);
}

static bool stopped(void *arg)
{
    return call_stopped(arg);
}

/* Where there are several mistakes each is told, and the error sums up. */
static int tell_mistakes(struct command_call *c, struct import_result *res,
                         int r, struct err *err)
{
    if (res->errors < 2 || !c->sink->say)
        return r;
    for (char *line = res->report.data; *line;) {
        char *eol = strchr(line, '\n');
        *eol = '\0';
        call_say(c, "%s", line);
        line = eol + 1;
    }
    if (res->errors > IMPORT_ERRORS)
        return err_set(err, r,
                       "%zu mistakes in the file, the first %d are above; "
                       "nothing was written",
                       res->errors, IMPORT_ERRORS);
    return err_set(err, r, "%zu mistakes in the file; nothing was written",
                   res->errors);
}

static int put_result(struct command_call *c, const struct import_result *res,
                      struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addc(&b, '{');
    json_add_int(&b, "rows", (int64_t)res->rows);
    json_add_int(&b, "inserted", (int64_t)res->inserted);
    json_add_int(&b, "replaced", (int64_t)res->replaced);
    json_add_int(&b, "skipped", (int64_t)res->skipped);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    struct import_result res;
    const struct buf *file = call_text(c, "file");
    const char *format = call_string(c, "format", NULL);

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    struct import_options o = {
        .name = call_file_name(c, "file"),
        .upsert = call_flag(c, "upsert"),
        .by = c->by,
        .progress = progress,
        .stopped = stopped,
        .arg = c,
    };
    if (format)
        import_format_parse(format, &o.format);
    r = table_import_wait(t, file->data ? file->data : "", file->len, &o, &res,
                          err);
    r = r < 0 ? tell_mistakes(c, &res, r, err) : put_result(c, &res, err);
    import_result_release(&res);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "file",
        .type = COMMAND_FILE,
        .place = 3,
        .required = true,
        .help = "the rows: JSON, NDJSON, CSV or TSV",
    },
    {
        .name = "upsert",
        .type = COMMAND_BOOLEAN,
        .help = "replace rows that are there; else that is an error",
    },
    {
        .name = "format",
        .type = COMMAND_CHOICE,
        .place = 4,
        .choices = import_format_names,
        .help = "of the file; by its name or what it looks like if not given",
    },
};

const struct command command_import = {
    .name = "import",
    .summary = "Add the rows of a file",
    .details = "The whole file is checked before anything is written: JSON, "
               "schema, keys, unique values; mistakes are told with line and "
               "column. Rows that are there with the same text are skipped, so "
               "that an import that was interrupted can be run again.",
    .example = "prod users rows.csv",
    COMMAND_OPTIONS(options),
    .writes = true,
    .stoppable = true,
    .run = run,
};
