#include "bot/complete.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "bot/register.h"
#include "bot/reply.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/str.h"
#include "engine/command/command.h"
#include "engine/engine.h"

#define CHOICES_MAX 25
#define CHOICE_UNITS 100
#define PAGE 256

/* Looking through keys ends after this: an answer that comes late is none. */
#define LOOK_MS 60

struct choices {
    char *list[CHOICES_MAX];
    size_t n;
    const char *typed;
    size_t typed_len;
};

static bool is_full(const struct choices *c)
{
    return c->n == CHOICES_MAX;
}

/* Does it begin with what was typed? Capitals make no difference. */
static void offer(struct choices *c, const char *text, size_t len)
{
    if (is_full(c) || len == 0 || len < c->typed_len ||
        strncasecmp(text, c->typed, c->typed_len) != 0 ||
        utf16_units(text, len) > CHOICE_UNITS)
        return;
    c->list[c->n++] = xstrndup(text, len);
}

static void offer_commands(struct choices *c)
{
    for (size_t i = 0; i < command_count(); i++)
        offer(c, command_at(i)->name, strlen(command_at(i)->name));
}

static void offer_databases(struct choices *c, struct database *d)
{
    size_t n;
    struct namespace **list = namespace_list(d, &n);

    for (size_t i = 0; i < n; i++) {
        AUTO_STR char *name = namespace_name(list[i]);
        offer(c, name, strlen(name));
        namespace_unref(list[i]);
    }
    free(list);
}

static void offer_tables(struct choices *c, struct namespace *ns)
{
    size_t n;
    struct table **list = table_list(ns, &n);

    for (size_t i = 0; i < n; i++) {
        AUTO_STR char *name = table_name(list[i]);
        offer(c, name, strlen(name));
        table_unref(list[i]);
    }
    free(list);
}

static void offer_fields(struct choices *c, struct table *t)
{
    struct schema *s = table_schema(t);

    const char *name;

    for (size_t i = 0; (name = schema_field_at(s, i)); i++)
        offer(c, name, strlen(name));
    schema_unref(s);
}

static void opened(void *arg, int r, const struct err *err)
{
    (void)r;
    (void)err;
    table_unref(arg);
}

static void offer_keys(struct choices *c, struct table *t)
{
    struct row *rows[PAGE];
    uint64_t after = 0;
    int64_t end = clock_mono_ms() + LOOK_MS;
    size_t n;

    if (!table_is_open(t)) {
        if (table_open(t, opened, table_ref(t)) == 0)
            table_unref(t);
        return;
    }
    while (!is_full(c) && clock_mono_ms() < end &&
           (n = row_list(t, after, rows, PAGE)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            offer(c, row_key(rows[i]), rows[i]->key_len);
            row_unref(rows[i]);
        }
    }
}

/* The option `name` as it stands in the half-typed command, for free(); NULL:
 * not given yet. */
static char *given(const struct interaction *in, const char *name)
{
    const struct interaction_option *o = interaction_option(in, name);

    return o && o->value ? xstrndup(o->value, o->value_len) : NULL;
}

/* What is below a database and a table that have been typed. */
static void offer_within(struct choices *c, struct database *d,
                         const struct interaction *in, enum command_offer what)
{
    AUTO_STR char *database = given(in, "database");
    AUTO_STR char *table = given(in, "table");
    const char *slash = database ? strrchr(database, '/') : NULL;
    struct namespace *ns =
        database ? namespace_find(d, slash ? slash + 1 : database) : NULL;

    if (!ns)
        return;
    if (what == OFFER_TABLE) {
        offer_tables(c, ns);
    } else {
        struct table *t = table ? table_find(ns, table) : NULL;
        if (t && what == OFFER_FIELD)
            offer_fields(c, t);
        else if (t && what == OFFER_KEY)
            offer_keys(c, t);
        table_unref(t);
    }
    namespace_unref(ns);
}

static const struct interaction_option *focused(const struct interaction *in,
                                                enum command_offer *what)
{
    const struct command *c =
        str_starts(in->command, SLASH_PREFIX)
            ? command_find(in->command + strlen(SLASH_PREFIX))
            : NULL;

    for (size_t i = 0; c && i < in->n_options; i++) {
        size_t k = command_option_index(c, in->options[i].name);
        if (in->options[i].focused && k != SIZE_MAX) {
            *what = c->options[k].offer;
            return &in->options[i];
        }
    }
    return NULL;
}

void complete_choices(struct database *d, const struct interaction *in,
                      struct buf *out)
{
    enum command_offer what = OFFER_NOTHING;
    const struct interaction_option *o = focused(in, &what);
    struct choices c = {0};
    struct reply_choice list[CHOICES_MAX];

    if (o && d) {
        c.typed = o->value ? o->value : "";
        c.typed_len = o->value_len;
        if (what == OFFER_COMMAND)
            offer_commands(&c);
        else if (what == OFFER_DATABASE)
            offer_databases(&c, d);
        else if (what != OFFER_NOTHING)
            offer_within(&c, d, in, what);
    }
    for (size_t i = 0; i < c.n; i++)
        list[i] = (struct reply_choice){c.list[i], c.list[i]};
    reply_write_choices(list, c.n, out);
    for (size_t i = 0; i < c.n; i++)
        free(c.list[i]);
}
