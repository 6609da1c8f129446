/* schema_get: the schema as it is stored. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    size_t len;

    int r = call_table(c, false, &t, err);
    if (r < 0)
        return r;

    struct schema *schema = table_schema(t);
    const char *text = schema_text(schema, &len);
    r = c->sink->put(c->sink, text, len, err);
    schema_unref(schema);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
};

const struct command command_schema_get = {
    .name = "schema_get",
    .summary = "Show a table's schema",
    .example = "prod users",
    COMMAND_OPTIONS(options),
    .run = run,
};
