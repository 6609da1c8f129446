/* inspect: where a database or a table lives in Discord, and what it holds. */
#include "engine/command/internal.h"

#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/json.h"
#include "engine/snapshot.h"

/* Where a person sees it in Discord's own client. */
static void add_url(struct buf *b, const char *name, uint64_t guild,
                    uint64_t channel)
{
    json_add_name(b, name);
    buf_printf(b, "\"https://discord.com/channels/%llu/%llu\"",
               (unsigned long long)guild, (unsigned long long)channel);
}

static void add_database(struct buf *b, struct namespace *ns)
{
    struct database *d = namespace_database(ns);
    AUTO_STR char *guild = database_name(d);
    AUTO_STR char *name = namespace_name(ns);

    json_add_string(b, "guild", guild);
    json_add_id(b, "guild_id", database_id(d));
    json_add_string(b, "database", name);
    json_add_id(b, "category_id", namespace_id(ns));
}

static void add_schema(struct buf *b, struct table *t)
{
    struct schema *schema = table_schema(t);
    size_t len;
    const char *text = schema_text(schema, &len);

    while (len && text[len - 1] == '\n')
        len--;
    json_add_name(b, "schema");
    buf_add(b, text, len);
    schema_unref(schema);
}

static void add_place(struct buf *b, struct table *t)
{
    uint64_t guild = database_id(namespace_database(table_namespace(t)));

    json_add_id(b, "channel_id", table_id(t));
    add_url(b, "channel_url", guild, table_id(t));
    if (table_history_id(t)) {
        json_add_id(b, "history_id", table_history_id(t));
        add_url(b, "history_url", guild, table_history_id(t));
    }
}

static int inspect_database(struct command_call *c, struct namespace *ns,
                            struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    size_t n;
    struct table **all = table_list(ns, &n);

    buf_addc(&b, '{');
    add_database(&b, ns);
    json_add_name(&b, "tables");
    buf_addc(&b, '[');
    for (size_t i = 0; i < n; i++) {
        AUTO_STR char *name = table_name(all[i]);

        buf_addstr(&b, i ? ",{" : "{");
        json_add_string(&b, "table", name);
        add_place(&b, all[i]);
        add_schema(&b, all[i]);
        buf_addc(&b, '}');
        table_unref(all[i]);
    }
    free(all);
    buf_addstr(&b, "]}");
    return call_put(c, &b, err);
}

/* Numbers and sentences as the engine counts them. */
static void add_counts(struct buf *b, struct table *t)
{
    static const struct {
        const char *name, *of_engine;
    } counts[] = {
        {"rows", "rows"},
        {"bytes", "bytes"},
        {"waiting_records", "pending"},
        {"foreign_messages", "ignored"},
        {"damaged_messages", "damaged"},
        {"damage", "damage"},
        {"row_messages", "row_messages"},
        {"indexes", "indexes"},
    };
    AUTO_BUF struct buf status = BUF_INIT;
    struct json_member m;

    table_status(t, &status);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        if (!json_find(status.data, status.len, counts[i].of_engine, &m))
            continue;
        json_add_name(b, counts[i].name);
        buf_add(b, m.value, m.value_len);
    }
}

/* How many there ever were of the rows that are there, and the largest row. */
static void add_versions(struct buf *b, struct table *t)
{
    struct row *rows[256];
    uint64_t after = 0, versions = 0;
    uint32_t largest = 0;
    size_t n;

    while ((n = row_list(t, after, rows, 256)) > 0) {
        for (size_t i = 0; i < n; i++) {
            after = rows[i]->seq;
            versions += rows[i]->version;
            if (rows[i]->text_len > largest)
                largest = rows[i]->text_len;
            row_unref(rows[i]);
        }
    }
    json_add_int(b, "versions", (int64_t)versions);
    json_add_int(b, "largest_row", largest);
}

static int add_snapshots(struct buf *b, struct table *t, struct err *err)
{
    struct snapshot_list list = {0};

    int r = table_snapshots_wait(t, &list, err);
    if (r < 0)
        return r;
    json_add_name(b, "snapshots");
    buf_addc(b, '[');
    for (size_t i = 0; i < list.n; i++) {
        const struct snapshot_info *s = &list.list[i];
        buf_addstr(b, i ? ",{" : "{");
        json_add_id(b, "message_id", s->id);
        if (s->label)
            json_add_string(b, "label", s->label);
        json_add_int(b, "rows", (int64_t)s->rows);
        json_add_int(b, "bytes", (int64_t)s->bytes);
        json_add_int(b, "file_bytes", (int64_t)s->size);
        json_add_int(b, "messages", (int64_t)s->parts);
        buf_addc(b, '}');
    }
    buf_addc(b, ']');
    snapshot_list_release(&list);
    return 0;
}

static int inspect_table(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    AUTO_BUF struct buf b = BUF_INIT;

    int r = call_table(c, true, &t, err);
    if (r < 0)
        return r;

    buf_addc(&b, '{');
    add_database(&b, table_namespace(t));
    json_add_string(&b, "table", call_string(c, "table", ""));
    add_place(&b, t);
    add_counts(&b, t);
    add_versions(&b, t);
    r = add_snapshots(&b, t, err);
    if (r < 0)
        return r;
    add_schema(&b, t);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;

    if (call_has(c, "table"))
        return inspect_table(c, err);

    int r = call_namespace(c, &ns, err);
    return r < 0 ? r : inspect_database(c, ns, err);
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    {
        .name = "table",
        .type = COMMAND_STRING,
        .offer = OFFER_TABLE,
        .place = 2,
        .help = "this table alone, with its counts",
    },
};

const struct command command_inspect = {
    .name = "inspect",
    .summary =
        "Show ids, links, counts, sizes and schema of a database or a table",
    .example = "prod users",
    COMMAND_OPTIONS(options),
    .run = run,
};
