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

static bool is_nested(struct json_object *v)
{
    return json_object_is_type(v, json_type_object) ||
           json_object_is_type(v, json_type_array);
}

static void print_member(const char *name, struct json_object *v, int depth)
{
    indent(depth);
    if (is_nested(v) && !is_empty(v)) {
        printf("%s:\n", name);
        print_value(v, depth + 1);
    } else {
        printf("%s: ", name);
        print_value(v, depth);
    }
}

/* As lines, nested by indentation. */
static void print_value(struct json_object *v, int depth)
{
    if (is_empty(v) || !v) {
        puts("none");
    } else if (json_object_is_type(v, json_type_object)) {
        json_object_object_foreach(v, name, member)
            print_member(name, member, depth);
    } else if (json_object_is_type(v, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(v); i++) {
            struct json_object *item = json_object_array_get_idx(v, i);

            indent(depth);
            if (is_nested(item) && !is_empty(item)) {
                puts("-");
                print_value(item, depth + 1);
            } else {
                fputs("- ", stdout);
                print_value(item, depth);
            }
        }
    } else if (json_object_is_type(v, json_type_string)) {
        puts(json_object_get_string(v));
    } else {
        puts(json_object_to_json_string(v));
    }
}

static int print_status(const char *path, bool as_json, struct err *err)
{
    AUTO_BUF struct buf text = BUF_INIT;

    int r = mounts_status(path, &text, err);
    if (r < 0)
        return r;
    if (as_json) {
        fwrite(text.data, 1, text.len, stdout);
        if (text.len && text.data[text.len - 1] != '\n')
            putchar('\n');
        return 0;
    }

    struct json_object *o = json_tokener_parse(text.data);
    if (!o)
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
        if (i && !as_json)
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
