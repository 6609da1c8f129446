/* tables: what there is, one result for each table. */
#include "engine/command/internal.h"

#include <stdlib.h>

#include "engine/base/alloc.h"

static int put_table(struct command_call *c, const char *guild,
                     const char *database, struct table *t, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_STR char *name = table_name(t);
    struct schema *schema = table_schema(t);

    buf_addc(&b, '{');
    json_add_string(&b, "guild", guild);
    json_add_string(&b, "database", database);
    json_add_string(&b, "table", name);
    json_add_string(&b, "pk", schema_pk(schema));
    json_add_id(&b, "channel_id", table_id(t));
    buf_addc(&b, '}');
    schema_unref(schema);
    return call_put(c, &b, err);
}

static int put_namespace(struct command_call *c, struct namespace *ns,
                         struct err *err)
{
    AUTO_STR char *guild = database_name(namespace_database(ns));
    AUTO_STR char *name = namespace_name(ns);

    int r = namespace_load(ns, err);
    if (r < 0)
        return err_wrap(err, r, "database '%s'", name);

    size_t n;
    struct table **all = table_list(ns, &n);
    for (size_t i = 0; i < n; i++) {
        if (r >= 0)
            r = put_table(c, guild, name, all[i], err);
        table_unref(all[i]);
    }
    free(all);
    return r;
}

static int put_database(struct command_call *c, struct database *d,
                        struct err *err)
{
    size_t n;
    struct namespace **all = namespace_list(d, &n);
    int r = 0;

    for (size_t i = 0; i < n; i++) {
        if (r >= 0)
            r = put_namespace(c, all[i], err);
        namespace_unref(all[i]);
    }
    free(all);
    return r;
}

static int run(struct command_call *c, struct err *err)
{
    if (call_has(c, "database")) {
        AUTO_NAMESPACE struct namespace *ns = NULL;
        int r = call_namespace(c, &ns, err);
        return r < 0 ? r : put_namespace(c, ns, err);
    }

    for (size_t i = 0; i < engine_database_count(c->engine); i++) {
        struct database *d = engine_database_at(c->engine, i);
        int r = c->database && c->database != d ? 0 : put_database(c, d, err);
        if (r < 0)
            return r;
    }
    return 0;
}

static const struct command_option options[] = {
    {
        .name = "database",
        .type = COMMAND_STRING,
        .offer = OFFER_DATABASE,
        .place = 1,
        .help = "of this database alone; of all if not given",
    },
};

const struct command command_tables = {
    .name = "tables",
    .summary = "List the tables",
    .example = "prod",
    COMMAND_OPTIONS(options),
    .many = true,
    .columns = true,
    .run = run,
};
