/* schema_set: what the rows of a table must look like from now on. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    const struct buf *text = call_text(c, "schema_json");
    const char *json = text->data ? text->data : "";
    struct schema *any = schema_new_default("id"), *schema = NULL;

    /* Before anything is asked of Discord. */
    int r = schema_parse_over(any, json, text->len, &schema, err);
    schema_unref(any);
    if (r < 0)
        return err_wrap(err, r, "schema_json");
    schema_unref(schema);
    schema = NULL;

    r = call_table(c, true, &t, err);
    if (r < 0)
        return r;
    struct schema *old = table_schema(t);
    r = schema_parse_over(old, json, text->len, &schema, err);
    schema_unref(old);
    if (r == 0)
        r = table_schema_set(t, schema, call_flag(c, "force"), err);
    if (r < 0)
        err_wrap(err, r, "table '%s'", call_string(c, "table", ""));
    if (r == 0) {
        size_t len;
        const char *stored = schema_text(schema, &len);
        r = c->sink->put(c->sink, stored, len, err);
    }
    schema_unref(schema);
    return r;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    OPTION_TABLE,
    {
        .name = "schema_json",
        .type = COMMAND_JSON,
        .place = 3,
        .required = true,
        .help = "the schema: pk, required, properties, indexes",
    },
    {
        .name = "force",
        .type = COMMAND_BOOLEAN,
        .help = "even if rows that are there break it",
    },
};

const struct command command_schema_set = {
    .name = "schema_set",
    .summary = "Change what a table's rows must look like",
    .details = "A schema that rows break is refused and the first of them are "
               "named, unless force is given. Without \"pk\" or \"indexes\" "
               "in it these stay as they are; indexes that it names are made, "
               "those it leaves out are dropped.",
    .example = "prod users '{\"pk\":\"id\",\"required\":[\"email\"],"
               "\"properties\":{\"email\":\"str\"}}'",
    COMMAND_OPTIONS(options),
    .writes = true,
    .run = run,
};
