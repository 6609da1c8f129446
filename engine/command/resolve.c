/* From the names in a command's arguments to what they name. */
#include "engine/command/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"

/* How many names an error lists before it says that there are more. */
#define NAMES_MAX 12

static void add_name(struct buf *list, size_t n, const char *name)
{
    if (n < NAMES_MAX)
        buf_printf(list, "%s%s", n ? ", " : "", name);
    else if (n == NAMES_MAX)
        buf_addstr(list, ", …");
}

static void list_databases(struct engine *e, struct buf *list)
{
    for (size_t i = 0; i < engine_database_count(e); i++) {
        AUTO_STR char *name = database_name(engine_database_at(e, i));
        add_name(list, i, name);
    }
}

/* The guild that holds a namespace of this name, if one alone does. */
static int guess_database(struct engine *e, const char *name,
                          struct database **out, struct err *err)
{
    struct database *found = NULL;

    for (size_t i = 0; i < engine_database_count(e); i++) {
        struct database *d = engine_database_at(e, i);
        AUTO_NAMESPACE struct namespace *ns = NULL;

        int r = namespace_open_wait(d, name, &ns, err);
        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        if (found) {
            AUTO_STR char *a = database_name(found);
            AUTO_STR char *b = database_name(d);
            return err_set(err, -EINVAL,
                           "'%s' is in several guilds: say %s/%s or %s/%s",
                           name, a, name, b, name);
        }
        found = d;
    }
    if (!found) {
        AUTO_BUF struct buf list = BUF_INIT;
        list_databases(e, &list);
        return err_set(err, -ENOENT,
                       "no guild has a database '%s'; say guild/%s, with a "
                       "guild of: %s",
                       name, name, list.data ? list.data : "none");
    }
    *out = found;
    return 0;
}

int call_split_database(struct command_call *c, const char *text,
                        struct database **d, const char **name, struct err *err)
{
    struct engine *e = c->engine;
    const char *slash = strchr(text, '/');

    if (c->database) {
        AUTO_STR char *own = database_name(c->database);
        size_t len = slash ? (size_t)(slash - text) : 0;
        if (slash && (strlen(own) != len || strncmp(own, text, len) != 0))
            return err_set(err, -EACCES,
                           "only databases of this server can be reached from "
                           "here, not '%s'",
                           text);
        *d = c->database;
        *name = slash ? slash + 1 : text;
        if (!**name)
            return err_set(err, -EINVAL, "'%s' names no database", text);
        return 0;
    }
    if (slash) {
        AUTO_STR char *guild = xstrndup(text, (size_t)(slash - text));
        *d = engine_database_find(e, guild);
        if (!*d) {
            AUTO_BUF struct buf list = BUF_INIT;
            list_databases(e, &list);
            return err_set(err, -ENOENT, "no guild '%s' here; there is: %s",
                           guild, list.data ? list.data : "none");
        }
        *name = slash + 1;
        if (!**name)
            return err_set(err, -EINVAL, "'%s' names no database", text);
        return 0;
    }

    *name = text;
    if (engine_database_count(e) == 1) {
        *d = engine_database_at(e, 0);
        return 0;
    }
    return guess_database(e, text, d, err);
}

static int no_namespace(struct database *d, const char *name, struct err *err)
{
    AUTO_BUF struct buf list = BUF_INIT;
    AUTO_STR char *guild = database_name(d);
    size_t n;
    struct namespace **all = namespace_list(d, &n);

    for (size_t i = 0; i < n; i++) {
        AUTO_STR char *other = namespace_name(all[i]);
        add_name(&list, i, other);
        namespace_unref(all[i]);
    }
    free(all);
    if (n)
        return err_set(err, -ENOENT,
                       "no database '%s' in guild '%s'; there is: %s", name,
                       guild, list.data);
    return err_set(err, -ENOENT,
                   "no database '%s' in guild '%s'; the command init makes "
                   "one",
                   name, guild);
}

int call_namespace(struct command_call *c, struct namespace **out,
                   struct err *err)
{
    struct database *d;
    const char *name;

    int r =
        call_split_database(c, call_string(c, "database", ""), &d, &name, err);
    if (r < 0)
        return r;

    AUTO_NAMESPACE struct namespace *ns = NULL;
    r = namespace_open_wait(d, name, &ns, err);
    if (r == -ENOENT)
        return no_namespace(d, name, err);
    if (r < 0)
        return err_wrap(err, r, "database '%s'", name);

    *out = ns;
    ns = NULL;
    return 0;
}

static int no_table(struct namespace *ns, const char *name, struct err *err)
{
    AUTO_BUF struct buf list = BUF_INIT;
    AUTO_STR char *database = namespace_name(ns);
    size_t n;
    struct table **all = table_list(ns, &n);

    for (size_t i = 0; i < n; i++) {
        AUTO_STR char *other = table_name(all[i]);
        add_name(&list, i, other);
        table_unref(all[i]);
    }
    free(all);
    if (n)
        return err_set(err, -ENOENT,
                       "no table '%s' in database '%s'; there is: %s", name,
                       database, list.data);
    return err_set(err, -ENOENT,
                   "no table '%s' in database '%s'; the command table_create "
                   "makes one",
                   name, database);
}

int call_table(struct command_call *c, bool open, struct table **out,
               struct err *err)
{
    AUTO_NAMESPACE struct namespace *ns = NULL;
    const char *name = call_string(c, "table", "");

    int r = call_namespace(c, &ns, err);
    if (r < 0)
        return r;

    AUTO_TABLE struct table *t = table_find(ns, name);
    if (!t)
        return no_table(ns, name, err);

    if (open) {
        r = table_open_wait(t, err);
        if (r < 0)
            return err_wrap(err, r, "table '%s'", name);
    }
    *out = t;
    t = NULL;
    return 0;
}
