#include "bot/complete.h"

#include <inttypes.h>
#include <stdio.h>
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
#include "engine/history.h"
#include "engine/snapshot.h"

#define CHOICES_MAX 25
#define CHOICE_UNITS 100
#define PAGE 256

/* Looking through keys ends after this: an answer that comes late is none. */
#define LOOK_MS 60

struct choice {
    char *name, *value;
};

struct choices {
    struct choice list[CHOICES_MAX];
    size_t n;
    bool numbers; /* for an integer option */
    const char *typed;
    size_t typed_len;
    size_t head; /* so much of typed is a list's finished part, and stays */
};

static bool is_full(const struct choices *c)
{
    return c->n == CHOICES_MAX;
}

/* Does it begin with what was typed? Capitals make no difference. */
static bool begins(const struct choices *c, const char *text, size_t len)
{
    size_t typed = c->typed_len - c->head;

    return len > 0 && len >= typed &&
           strncasecmp(text, c->typed + c->head, typed) == 0;
}

static void add(struct choices *c, const char *name, const char *value)
{
    if (is_full(c) || utf16_units(name, strlen(name)) > CHOICE_UNITS ||
        utf16_units(value, strlen(value)) > CHOICE_UNITS)
        return;
    c->list[c->n++] = (struct choice){xstrdup(name), xstrdup(value)};
}

static void offer(struct choices *c, const char *text, size_t len)
{
    AUTO_BUF struct buf whole = BUF_INIT;

    if (is_full(c) || !begins(c, text, len))
        return;
    buf_add(&whole, c->typed, c->head);
    buf_add(&whole, text, len);
    add(c, whole.data, whole.data);
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

    /* -age,ro: of several the last, and not its direction. */
    for (size_t i = 0; i < c->typed_len; i++)
        if (c->typed[i] == ',')
            c->head = i + 1;
    if (c->head < c->typed_len && c->typed[c->head] == '-')
        c->head++;
    for (size_t i = 0; (name = schema_field_at(s, i)); i++)
        offer(c, name, strlen(name));
    schema_unref(s);
}

static void offer_indexes(struct choices *c, struct table *t)
{
    size_t n;
    struct table_index *list = table_indexes(t, &n);

    for (size_t i = 0; i < n; i++)
        offer(c, list[i].field, strlen(list[i].field));
    table_indexes_free(list, n);
}

static void opened(void *arg, int r, const struct err *err)
{
    (void)r;
    (void)err;
    table_unref(arg);
}

/* In memory? Else it begins to be read, for the next keystroke. */
static bool is_at_hand(struct table *t)
{
    if (table_is_open(t))
        return true;
    if (table_open(t, opened, table_ref(t)) == 0)
        table_unref(t);
    return false;
}

static void offer_keys(struct choices *c, struct table *t)
{
    struct row *rows[PAGE];
    uint64_t after = 0;
    int64_t end = clock_mono_ms() + LOOK_MS;
    size_t n;

    /* The whole key is found wherever its row stands. */
    struct row *exact = row_find(t, c->typed, c->typed_len);
    if (exact)
        offer(c, row_key(exact), exact->key_len);
    while (!is_full(c) && clock_mono_ms() < end &&
           (n = row_list(t, after, rows, PAGE)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            if (!exact || rows[i]->seq != exact->seq)
                offer(c, row_key(rows[i]), rows[i]->key_len);
            row_unref(rows[i]);
        }
    }
    row_unref(exact);
}

/* The newest first, which is likeliest wanted. */
static void offer_versions(struct choices *c, struct table *t, const char *key)
{
    size_t len = strlen(key);
    uint32_t newest = table_newest_version(t, key, len);
    struct row *row = row_find(t, key, len);
    char number[16], name[40];

    for (uint32_t v = newest; v > 0 && !is_full(c); v--) {
        int n = snprintf(number, sizeof(number), "%" PRIu32, v);
        snprintf(name, sizeof(name), "%s%s", number,
                 v < newest ? ""
                 : row      ? " (the row as it is)"
                            : " (deleted)");
        if (begins(c, number, (size_t)n))
            add(c, name, number);
    }
    row_unref(row);
}

static void offer_labels(struct choices *c, struct table *t)
{
    size_t n;
    char **list = table_snapshot_labels(t, &n);

    while (n-- > 0) {
        offer(c, list[n], strlen(list[n]));
        free(list[n]);
    }
    free(list);
}

/* The option `name` as it stands in the half-typed command, for free(); NULL:
 * not given yet. */
static char *given(const struct interaction *in, const char *name)
{
    const struct interaction_option *o = interaction_option(in, name);

    return o && o->value ? xstrndup(o->value, o->value_len) : NULL;
}

static void offer_of_table(struct choices *c, struct table *t,
                           const struct interaction *in,
                           enum command_offer what)
{
    AUTO_STR char *key = given(in, "key");

    if (what == OFFER_FIELD)
        offer_fields(c, t);
    else if (what == OFFER_INDEX)
        offer_indexes(c, t);
    else if (!is_at_hand(t))
        return;
    else if (what == OFFER_KEY)
        offer_keys(c, t);
    else if (what == OFFER_VERSION && key)
        offer_versions(c, t, key);
    else if (what == OFFER_LABEL)
        offer_labels(c, t);
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
        if (t)
            offer_of_table(c, t, in, what);
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
        c.numbers = what == OFFER_VERSION;
        if (what == OFFER_COMMAND)
            offer_commands(&c);
        else if (what == OFFER_DATABASE)
            offer_databases(&c, d);
        else if (what != OFFER_NOTHING)
            offer_within(&c, d, in, what);
    }
    for (size_t i = 0; i < c.n; i++)
        list[i] = (struct reply_choice){
            c.list[i].name,
            c.list[i].value,
            c.numbers,
        };
    reply_write_choices(list, c.n, out);
    for (size_t i = 0; i < c.n; i++) {
        free(c.list[i].name);
        free(c.list[i].value);
    }
}
