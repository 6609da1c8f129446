/* init: a namespace with its catalog. Repeating it is safe, as with git. */
#include "engine/command/internal.h"

#include <errno.h>

#include "engine/base/alloc.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    struct database *d;
    const char *name;

    int r =
        call_split_database(c, call_string(c, "database", ""), &d, &name, err);
    if (r < 0)
        return r;

    bool created = true;
    r = namespace_create(d, name, &ns, err);
    if (r == -EEXIST) {
        created = false;
        r = call_namespace(c, &ns, err);
    }
    if (r < 0)
        return r;

    AUTO_STR char *guild = database_name(d);
    buf_addc(&b, '{');
    json_add_string(&b, "database", name);
    json_add_string(&b, "guild", guild);
    json_add_id(&b, "guild_id", database_id(d));
    json_add_id(&b, "category_id", namespace_id(ns));
    json_add_bool(&b, "created", created);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
};

const struct command command_init = {
    .name = "init",
    .summary = "Make a database: a category with a catalog of its tables",
    .details = "Makes a category and in it the catalog's channel. Nothing "
               "happens where they are there already.",
    .example = "prod",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
