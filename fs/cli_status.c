/* dbcord status: what the process of a mount says about itself. */
#include "fs/cli.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "fs/mounts.h"

static void print_value(struct json_object *v, int depth);

static void indent(int depth)
{
    printf("%*s", depth * 2, "");
}

static bool is_empty(struct json_object *v)
{
    return (json_object_is_type(v, json_type_object) &&
            json_object_object_length(v) == 0) ||
           (json_object_is_type(v, json_type_array) &&
            json_object_array_length(v) == 0);
}

static const char *text_of(struct json_object *v)
{
    if (!v || is_empty(v))
        return "none";
    return json_object_is_type(v, json_type_string)
               ? json_object_get_string(v)
               : json_object_to_json_string(v);
}

static bool is_nested(struct json_object *v)
{
    return json_object_is_type(v, json_type_object) ||
           json_object_is_type(v, json_type_array);
}

/* "a 1, b 2" where that is a line: more is read at a glance. */
static bool print_in_one_line(const char *before, struct json_object *v)
{
    AUTO_BUF struct buf line = BUF_INIT;

    if (!json_object_is_type(v, json_type_object))
        return false;
    json_object_object_foreach(v, name, member)
    {
        if (is_nested(member) && !is_empty(member))
            return false;
        buf_printf(&line, "%s%s %s", line.len ? ", " : "", name,
                   text_of(member));
        if (line.len > 64)
            return false;
    }
    printf("%s %s\n", before, line.data);
    return true;
}

static void print_member(const char *name, struct json_object *v, int depth)
{
    indent(depth);
    if (!is_nested(v) || is_empty(v)) {
        printf("%s: %s\n", name, text_of(v));
        return;
    }
    printf("%s:", name);
    if (print_in_one_line("", v))
        return;
    putchar('\n');
    print_value(v, depth + 1);
}

/* An object or an array as lines, nested by indentation. */
static void print_value(struct json_object *v, int depth)
{
    if (json_object_is_type(v, json_type_object)) {
        json_object_object_foreach(v, name, member)
            print_member(name, member, depth);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(v); i++) {
        struct json_object *item = json_object_array_get_idx(v, i);

        indent(depth);
        if (!is_nested(item) || is_empty(item)) {
            printf("- %s\n", text_of(item));
        } else if (!print_in_one_line("-", item)) {
            puts("-");
            print_value(item, depth + 1);
        }
    }
}

static int to_stdout(void *arg, const char *data, size_t len, struct err *err)
{
    (void)arg;
    (void)err;
    fwrite(data, 1, len, stdout); /* main() looks for what went wrong */
    return 0;
}

static int print_status(const char *path, bool as_json, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT;

    int r = mounts_status(path, &text, err);
    if (r < 0)
        return r;
    if (as_json) {
        struct format_writer *w =
            format_writer_new(FORMAT_NDJSON, true, to_stdout, NULL);
        r = format_row(w, text.data ? text.data : "", text.len, err);
        format_writer_free(w);
        return r;
    }

    struct json_object *o = json_tokener_parse(text.data ? text.data : "");
    if (!json_object_is_type(o, json_type_object))
        return err_set(err, -EBADMSG, "%s: its status is not JSON", path);
    printf("mount: %s\n", path);
    print_value(o, 0);
    json_object_put(o);
    return 0;
}

static enum cli_exit print_all(bool as_json)
{
    struct err err = ERR_INIT;
    size_t n;
    char **list = mounts_list(&n);
    enum cli_exit code = CLI_OK;

    if (!n)
        code = cli_fail(err_set(&err, -ENOENT, "nothing of dbcord is mounted"),
                        &err);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && !as_json)
            putchar('\n');
        int r = print_status(list[i], as_json, &err);
        if (r < 0)
            code = cli_fail(r, &err);
    }
    mounts_free(list, n);
    return code;
}

static enum cli_exit run(struct cli_common *common, int argc, char **argv)
{
    struct err err = ERR_INIT;
    const char *path = NULL;
    bool as_json = false;

    for (int i = 1; i < argc; i++) {
        int r = cli_args_common(common, argc, argv, &i, &err);
        if (r == 0 && strcmp(argv[i], "--json") == 0)
            as_json = true;
        else if (r == 0 && argv[i][0] == '-')
            r = err_set(&err, -EINVAL, "unknown option %s", argv[i]);
        else if (r == 0 && path)
            r = err_set(&err, -EINVAL, "one mount point at a time");
        else if (r == 0)
            path = argv[i];
        if (r < 0)
            return cli_usage_error("status", &err);
    }
    if (common->help) {
        cli_help_local(&cli_status);
        return CLI_OK;
    }
    as_json |= common->has_format && common->format <= FORMAT_NDJSON;
    if (!path)
        return print_all(as_json);

    int r = print_status(path, as_json, &err);
    return r < 0 ? cli_fail(r, &err) : CLI_OK;
}

static const char *const options[] = {
    "--json\tas JSON",
    NULL,
};

const struct cli_local cli_status = {
    .name = "status",
    .usage = "[MOUNTPOINT] [--json]",
    .summary = "Show what a mount is doing: gateway, limits, queues, caches",
    .help = "Without a mount point: of every mount of dbcord on this machine.\n"
            "  --json         as JSON, one line a mount\n",
    .options = options,
    .run = run,
};
