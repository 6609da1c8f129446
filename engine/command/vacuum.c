/* vacuum: what is past its retention is removed. */
#include "engine/vacuum.h"

#include <errno.h>
#include <stdlib.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/command/internal.h"

#define VERSIONS 10
#define DAYS 30

struct going {
    struct command_call *c;
    const char *table;
};

static void progress(void *arg, const char *text)
{
    const struct going *g = arg;

    call_note(g->c, "%s", text);
}

static int put_gone(void *arg, const struct vacuumed *v, struct err *err)
{
    const struct going *g = arg;
    AUTO_BUF struct buf b = BUF_INIT;

    if (call_stopped(g->c))
        return err_set(err, -EINTR, "stopped; the next vacuum does the rest");
    buf_addc(&b, '{');
    json_add_string(&b, "kind", v->kind);
    json_add_string(&b, "table", g->table);
    if (v->key) {
        json_add_name(&b, "key");
        buf_add_json(&b, v->key, v->key_len);
    }
    json_add_id(&b, "channel_id", v->channel);
    json_add_id(&b, "message_id", v->message);
    json_add_int(&b, "versions", (int64_t)v->versions);
    json_add_int(&b, "bytes", (int64_t)v->bytes);
    json_add_bool(&b, "removed", !call_flag(g->c, "dry_run"));
    buf_addc(&b, '}');
    return call_put(g->c, &b, err);
}

static int vacuum_table(struct command_call *c, struct table *t,
                        struct vacuum_summary *all, struct err *err)
{
    AUTO_STR char *name = table_name(t);
    struct going g = {c, name};
    struct vacuum_summary sum;
    struct vacuum_options o = {
        .versions = (uint32_t)call_integer(c, "versions", VERSIONS),
        .days = (uint32_t)call_integer(c, "days", DAYS),
        .dry_run = call_flag(c, "dry_run"),
        .by = c->by,
        .progress = progress,
    };

    int r = table_vacuum_wait(t, &o, put_gone, &g, &sum, err);
    all->messages += sum.messages;
    all->versions += sum.versions;
    all->bytes += sum.bytes;
    return r < 0 ? err_wrap(err, r, "table '%s'", name) : 0;
}

static int vacuum_all(struct command_call *c, struct vacuum_summary *sum,
                      struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;
    size_t n;

    int r = call_namespace(c, &ns, err);
    if (r < 0)
        return r;
    struct table **list = table_list(ns, &n);
    for (size_t i = 0; i < n; i++) {
        if (r == 0)
            r = vacuum_table(c, list[i], sum, err);
        table_unref(list[i]);
    }
    free(list);
    return r;
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_TABLE struct table *t = NULL;
    struct vacuum_summary sum = {0};
    int r;

    if (call_has(c, "table")) {
        r = call_table(c, true, &t, err);
        if (r == 0)
            r = vacuum_table(c, t, &sum, err);
    } else {
        r = vacuum_all(c, &sum, err);
    }
    if (r < 0)
        return r;
    call_say(c, "%zu message%s with %zu version%s, %llu bytes, %s",
             sum.messages, sum.messages == 1 ? "" : "s", sum.versions,
             sum.versions == 1 ? "" : "s", (unsigned long long)sum.bytes,
             call_flag(c, "dry_run") ? "would be removed" : "removed");
    return 0;
}

static const struct command_option options[] = {
    OPTION_DATABASE,
    {
        .name = "table",
        .type = COMMAND_STRING,
        .offer = OFFER_TABLE,
        .place = 2,
        .help = "this table alone",
    },
    {
        .name = "dry_run",
        .type = COMMAND_BOOLEAN,
        .help = "only tell what would be removed",
    },
    {
        .name = "versions",
        .type = COMMAND_INTEGER,
        .min = 1,
        .max = INT32_MAX,
        .help = "keep the newest so many versions of each row (10)",
    },
    {
        .name = "days",
        .type = COMMAND_INTEGER,
        .min = 0,
        .max = 36500,
        .help = "and those that were current within so many days (30)",
    },
};

const struct command command_vacuum = {
    .name = "vacuum",
    .summary = "Remove versions, messages and files that are past retention",
    .details = "The only command that destroys history, and what it removes "
               "cannot be brought back: look with --dry-run first. Rows stay "
               "as they are, and so does what a snapshot with a label needs. "
               "May be interrupted at any time; the next run does the rest.",
    .example = "prod users --dry-run --versions 3 --days 7",
    COMMAND_OPTIONS(options),
    .many = true,
    .writes = true,
    .destructive = true,
    .run = run,
};
