/* table_create: a channel for rows and an entry in the catalog. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;
    const char *name = call_string(c, "table", "");
    const char *pk = call_string(c, "pk", "id");

    int r = call_namespace(c, &ns, err);
    if (r < 0)
        return r;

    struct schema *schema = schema_new_default(pk);
    r = table_create(ns, name, schema, &t, err);
    schema_unref(schema);
    if (r < 0)
        return err_wrap(err, r, "table '%s'", name);

    buf_addc(&b, '{');
    json_add_string(&b, "database", call_string(c, "database", ""));
    json_add_string(&b, "table", name);
    json_add_string(&b, "pk", pk);
    json_add_id(&b, "channel_id", table_id(t));
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    {
        .name = "table",
        .type = COMMAND_STRING,
        .place = 2,
        .required = true,
        .help = "the new table's name",
    },
    {
        .name = "pk",
        .type = COMMAND_STRING,
        .place = 3,
        .help = "the field that is the primary key; id if not given",
    },
};

const struct command command_table_create = {
    .name = "table_create",
    .summary = "Make a table: a channel whose messages are rows",
    .example = "prod users id",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
