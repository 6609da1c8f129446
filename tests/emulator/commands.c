/* The store of commands and its routes.
 *
 * A command is kept as the JSON that is answered for it. In one scope (the
 * guild's id, 0 for global ones) a name and type stand for one command:
 * whoever registers it again replaces it and keeps its id. The version is new
 * whenever something changed, and only then. */
#include "tests/emulator/commands.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/route.h"
#include "tests/emulator/snowflake.h"
#include "tests/emulator/user.h"

enum { LIST_MAX = 130, CREATES_A_DAY = 200, CHAT_MAX = 100, MENU_MAX = 15 };
#define DAY_MS ((int64_t)24 * 3600 * 1000)

struct command {
    uint64_t id, guild_id;
    int type;
    const char *name; /* in json */
    json_object *json;
};

struct commands {
    struct command *at; /* in the order of registration */
    size_t n, cap;
};

void commands_open(struct emulator *e)
{
    e->commands = xcalloc(1, sizeof(*e->commands));
}

void commands_close(struct emulator *e)
{
    if (!e->commands)
        return;
    for (size_t i = 0; i < e->commands->n; i++)
        json_object_put(e->commands->at[i].json);
    free(e->commands->at);
    free(e->commands);
    e->commands = NULL;
}

static struct command *by_id(struct emulator *e, uint64_t guild_id, uint64_t id)
{
    for (size_t i = 0; i < e->commands->n; i++) {
        struct command *k = &e->commands->at[i];
        if (k->id == id && k->guild_id == guild_id)
            return k;
    }
    return NULL;
}

static struct command *by_name(struct emulator *e, uint64_t guild_id,
                               const char *name, int type)
{
    for (size_t i = 0; i < e->commands->n; i++) {
        struct command *k = &e->commands->at[i];
        if (k->guild_id == guild_id && k->type == type &&
            strcmp(k->name, name) == 0)
            return k;
    }
    return NULL;
}

struct json_object *commands_find(struct emulator *e, uint64_t guild_id,
                                  const char *name, int type)
{
    const struct command *k = by_name(e, guild_id, name, type);

    if (!k)
        k = by_name(e, 0, name, type);
    return k ? k->json : NULL;
}

static const char *string_of(json_object *o, const char *key)
{
    return json_object_get_string(json_object_object_get(o, key));
}

/* Puts a whole command in, over the one with its id; takes json over. */
static struct command *keep(struct emulator *e, json_object *json)
{
    struct commands *cs = e->commands;
    uint64_t id = snowflake_of(json_object_object_get(json, "id"));
    uint64_t guild_id = snowflake_of(json_object_object_get(json, "guild_id"));
    struct command *k = by_id(e, guild_id, id);

    if (k) {
        json_object_put(k->json);
    } else {
        if (cs->n == cs->cap) {
            cs->cap = cs->cap ? cs->cap * 2 : 16;
            cs->at = xrealloc(cs->at, cs->cap * sizeof(*cs->at));
        }
        k = &cs->at[cs->n++];
    }
    *k = (struct command){
        .id = id,
        .guild_id = guild_id,
        .type = json_object_get_int(json_object_object_get(json, "type")),
        .name = string_of(json, "name"),
        .json = json,
    };
    return k;
}

static void forget(struct emulator *e, struct command *k)
{
    struct commands *cs = e->commands;

    json_object_put(k->json);
    memmove(k, k + 1, (size_t)(cs->at + cs->n - (k + 1)) * sizeof(*k));
    cs->n--;
}

void commands_replay(struct emulator *e, const char *kind,
                     struct json_object *record, const void *data, size_t len)
{
    (void)data;
    (void)len;
    uint64_t id = snowflake_of(json_object_object_get(record, "id"));
    uint64_t version = snowflake_of(json_object_object_get(record, "version"));

    snowflake_seen(e, id);
    snowflake_seen(e, version);
    if (strcmp(kind, "command.put") == 0) {
        keep(e, json_object_get(record));
    } else if (strcmp(kind, "command.del") == 0) {
        struct command *k = by_id(
            e, snowflake_of(json_object_object_get(record, "guild_id")), id);
        if (k)
            forget(e, k);
    }
}

static void removed(struct emulator *e, struct command *k)
{
    json_object *record = json_object_new_object();

    json_object_object_add(record, "id", snowflake_json(k->id));
    json_object_object_add(record, "guild_id", snowflake_json(k->guild_id));
    journal_add(e, "command.del", record);
    json_object_put(record);
    forget(e, k);
}

/* --- registering --- */

/* What the store adds to a checked command. */
static const char *const added[] = {"id", "application_id", "version",
                                    "guild_id"};

static bool same_but_version(json_object *a, json_object *b)
{
    json_object *copy = NULL;

    if (json_object_deep_copy(a, &copy, NULL) < 0)
        abort();
    for (size_t i = 0; i < sizeof(added) / sizeof(added[0]); i++)
        json_object_object_del(copy, added[i]);
    bool same = json_object_equal(copy, b);
    json_object_put(copy);
    return same;
}

/* Takes a checked command over, as a new one or in old's place. */
static struct command *put(struct emulator *e, uint64_t guild_id,
                           struct command *old, json_object *checked)
{
    if (old && same_but_version(old->json, checked)) {
        json_object_put(checked);
        return old;
    }

    json_object *json = json_object_new_object();
    uint64_t id = old ? old->id : snowflake_new(e);
    json_object_object_add(json, "id", snowflake_json(id));
    json_object_object_add(json, "application_id", snowflake_json(e->app->id));
    json_object_object_add(json, "version", snowflake_json(snowflake_new(e)));
    json_object_object_foreach(checked, key, value)
        json_object_object_add(json, key, json_object_get(value));
    if (guild_id)
        json_object_object_add(json, "guild_id", snowflake_json(guild_id));
    json_object_put(checked);
    journal_add(e, "command.put", json);
    return keep(e, json);
}

static size_t count_type(struct emulator *e, uint64_t guild_id, int type)
{
    size_t n = 0;

    for (size_t i = 0; i < e->commands->n; i++) {
        const struct command *k = &e->commands->at[i];
        n += k->guild_id == guild_id && k->type == type;
    }
    return n;
}

static size_t most_of(int type)
{
    return type == COMMAND_CHAT ? CHAT_MAX : MENU_MAX;
}

static void too_many(struct call *c, int type)
{
    char text[96];

    snprintf(text, sizeof(text),
             "Maximum number of application commands reached (%zu).",
             most_of(type));
    call_error(c, 400, 30032, text);
}

static bool may_create(struct call *c, uint64_t guild_id)
{
    return limits_hidden(c, "command-create", guild_id, CREATES_A_DAY, DAY_MS,
                         "user", 30034);
}

/* --- routes: what both scopes share --- */

/* The command's scope: the guild of the path, 0 for global commands. False:
 * answered. */
static bool scope_of(struct call *c, bool global, uint64_t *guild_id)
{
    *guild_id = global ? 0 : c->ids[1];
    if (c->ids[0] != c->e->app->id) {
        call_error(c, 403, 20012,
                   "You are not authorized to perform this action on this "
                   "application");
        return false;
    }
    if (!global && !guild_find(c->e, *guild_id)) {
        call_missing_access(c);
        return false;
    }
    return true;
}

/* The command of the path's last id. NULL: answered. */
static struct command *command_of(struct call *c, bool global)
{
    uint64_t guild_id;

    if (!scope_of(c, global, &guild_id))
        return NULL;
    struct command *k = by_id(c->e, guild_id, c->ids[global ? 1 : 2]);
    if (!k)
        call_unknown(c, 10063, "application command");
    return k;
}

static void drop_localizations(json_object *o)
{
    json_object *list;

    json_object_object_del(o, "name_localizations");
    json_object_object_del(o, "description_localizations");
    for (int i = 0; i < 2; i++) {
        if (!json_object_object_get_ex(o, i ? "choices" : "options", &list))
            continue;
        for (size_t j = 0; j < json_object_array_length(list); j++)
            drop_localizations(json_object_array_get_idx(list, j));
    }
}

/* The commands of one scope as an answer. */
static json_object *list_json(struct emulator *e, uint64_t guild_id,
                              bool localizations)
{
    json_object *list = json_object_new_array();

    for (size_t i = 0; i < e->commands->n; i++) {
        const struct command *k = &e->commands->at[i];
        json_object *copy = NULL;
        if (k->guild_id != guild_id)
            continue;
        if (json_object_deep_copy(k->json, &copy, NULL) < 0)
            abort();
        if (!localizations)
            drop_localizations(copy);
        json_object_array_add(list, copy);
    }
    return list;
}

static void list_commands(struct call *c, bool global)
{
    uint64_t guild_id;
    bool bad = false;

    if (!scope_of(c, global, &guild_id))
        return;
    bool all = request_query_bool(&c->req, "with_localizations", false, &bad);
    if (bad)
        call_form_error(c, "with_localizations", "BOOLEAN_TYPE_CONVERT",
                        "Must be either true or false.");
    else
        call_json(c, 200, list_json(c->e, guild_id, all));
}

static void answer_command(struct call *c, int status, const struct command *k)
{
    call_json(c, status, json_object_get(k->json));
}

static void create_command(struct call *c, bool global)
{
    struct form f = FORM_INIT;
    uint64_t guild_id;

    if (!scope_of(c, global, &guild_id))
        return;
    if (!json_object_is_type(c->req.json, json_type_object)) {
        call_form_error(c, "", "MODEL_TYPE_CONVERT",
                        "Only dictionaries may be used in a ModelType");
        return;
    }
    json_object *checked = command_check(&f, "", c->req.json, global);
    if (!checked) {
        call_form(c, &f);
        return;
    }
    int type = json_object_get_int(json_object_object_get(checked, "type"));
    struct command *old =
        by_name(c->e, guild_id, string_of(checked, "name"), type);
    if (!old && count_type(c->e, guild_id, type) >= most_of(type)) {
        json_object_put(checked);
        too_many(c, type);
        return;
    }
    if (!old && !may_create(c, guild_id)) {
        json_object_put(checked);
        return;
    }
    bool fresh = old == NULL;
    answer_command(c, fresh ? 201 : 200, put(c->e, guild_id, old, checked));
}

static void get_command(struct call *c, bool global)
{
    const struct command *k = command_of(c, global);

    if (k)
        answer_command(c, 200, k);
}

static void delete_command(struct call *c, bool global)
{
    struct command *k = command_of(c, global);

    if (!k)
        return;
    removed(c->e, k);
    call_empty(c);
}

/* The stored command with the request's keys laid over it is checked as if
 * all of it had been sent. */
static void patch_command(struct call *c, bool global)
{
    struct form f = FORM_INIT;
    struct command *k = command_of(c, global);
    json_object *whole = NULL;

    if (!k)
        return;
    if (json_object_deep_copy(k->json, &whole, NULL) < 0)
        abort();
    if (json_object_is_type(c->req.json, json_type_object)) {
        json_object_object_foreach(c->req.json, key, value)
            json_object_object_add(whole, key, json_object_get(value));
    }
    json_object_object_add(whole, "type", json_object_new_int(k->type));
    json_object *checked = command_check(&f, "", whole, global);
    json_object_put(whole);
    if (!checked) {
        call_form(c, &f);
        return;
    }
    struct command *other =
        by_name(c->e, k->guild_id, string_of(checked, "name"), k->type);
    if (other && other != k) {
        json_object_put(checked);
        call_error(c, 400, 40041,
                   "An application command with that name already exists");
        return;
    }
    answer_command(c, 200, put(c->e, k->guild_id, k, checked));
}

/* --- the whole list at once --- */

/* A checked entry, and the stored command it goes on with. */
struct entry {
    json_object *checked;
    uint64_t keeps; /* 0: it is new */
};

static void entries_release(struct entry *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        json_object_put(list[i].checked);
    free(list);
}

static bool entry_taken(const struct entry *list, size_t n,
                        json_object *checked)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].checked &&
            json_object_equal(json_object_object_get(list[i].checked, "type"),
                              json_object_object_get(checked, "type")) &&
            strcmp(string_of(list[i].checked, "name"),
                   string_of(checked, "name")) == 0)
            return true;
    }
    return false;
}

/* By its id if it carries one of this scope, else by name and type. */
static uint64_t entry_keeps(struct emulator *e, uint64_t guild_id,
                            json_object *body, json_object *checked)
{
    uint64_t id = snowflake_of(json_object_object_get(body, "id"));
    const struct command *k = id ? by_id(e, guild_id, id) : NULL;

    if (!k)
        k = by_name(
            e, guild_id, string_of(checked, "name"),
            json_object_get_int(json_object_object_get(checked, "type")));
    return k ? k->id : 0;
}

static void check_entry(struct emulator *e, struct form *f, uint64_t guild_id,
                        json_object *body, struct entry *list, size_t i)
{
    char at[FORM_PATH_SIZE], path[FORM_PATH_SIZE];
    struct form own = FORM_INIT;

    form_index(at, "", i);
    if (!json_object_is_type(body, json_type_object)) {
        form_error(f, at, "MODEL_TYPE_CONVERT",
                   "Only dictionaries may be used in a ModelType");
        return;
    }
    /* A form of its own, or one bad entry would fail all behind it. */
    list[i].checked = command_check(&own, at, body, guild_id == 0);
    if (!list[i].checked) {
        form_release(&own);
        command_check(f, at, body, guild_id == 0);
    } else if (entry_taken(list, i, list[i].checked)) {
        form_error(f, form_path(path, at, "name"),
                   "APPLICATION_COMMANDS_DUPLICATE_NAME",
                   "Application command names must be unique");
    } else {
        list[i].keeps = entry_keeps(e, guild_id, body, list[i].checked);
    }
}

/* The type of which there are too many, or 0. */
static int over_count(const struct entry *list, size_t n)
{
    for (int type = COMMAND_CHAT; type <= COMMAND_MESSAGE; type++) {
        size_t count = 0;
        for (size_t i = 0; i < n; i++)
            count += json_object_get_int(json_object_object_get(
                         list[i].checked, "type")) == type;
        if (count > most_of(type))
            return type;
    }
    return 0;
}

static bool entry_with(const struct entry *list, size_t n, uint64_t id)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].keeps == id)
            return true;
    }
    return false;
}

static void replace_all(struct emulator *e, uint64_t guild_id,
                        struct entry *list, size_t n)
{
    for (size_t i = e->commands->n; i-- > 0;) {
        struct command *k = &e->commands->at[i];
        if (k->guild_id == guild_id && !entry_with(list, n, k->id))
            removed(e, k);
    }
    for (size_t i = 0; i < n; i++) {
        struct command *old =
            list[i].keeps ? by_id(e, guild_id, list[i].keeps) : NULL;
        put(e, guild_id, old, list[i].checked);
        list[i].checked = NULL;
    }
}

static void put_commands(struct call *c, bool global)
{
    struct form f = FORM_INIT;
    uint64_t guild_id;
    int type;

    if (!scope_of(c, global, &guild_id))
        return;
    if (!json_object_is_type(c->req.json, json_type_array)) {
        call_form_error(c, "", "LIST_TYPE_CONVERT",
                        "Only iterables may be used in a ListType");
        return;
    }
    size_t n = json_object_array_length(c->req.json);
    if (n > LIST_MAX) {
        call_form_error(c, "", "BASE_TYPE_MAX_LENGTH",
                        "Must be %d or fewer in length.", LIST_MAX);
        return;
    }

    struct entry *list = xcalloc(n, sizeof(*list));
    for (size_t i = 0; i < n; i++)
        check_entry(c->e, &f, guild_id,
                    json_object_array_get_idx(c->req.json, i), list, i);
    if (form_failed(&f)) {
        call_form(c, &f);
        entries_release(list, n);
        return;
    }
    if ((type = over_count(list, n)) != 0) {
        too_many(c, type);
        entries_release(list, n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!list[i].keeps && !may_create(c, guild_id)) {
            entries_release(list, n);
            return;
        }
    }
    replace_all(c->e, guild_id, list, n);
    entries_release(list, n);
    call_json(c, 200, list_json(c->e, guild_id, true));
}

/* --- the table --- */

#define BOTH(verb)                                                             \
    static void verb##_global(struct call *c)                                  \
    {                                                                          \
        verb(c, true);                                                         \
    }                                                                          \
    static void verb##_guild(struct call *c)                                   \
    {                                                                          \
        verb(c, false);                                                        \
    }

BOTH(list_commands)
BOTH(create_command)
BOTH(get_command)
BOTH(patch_command)
BOTH(delete_command)
BOTH(put_commands)

/* Overwrites of permissions are set by people (or with their token); here
 * nobody has. */
static void no_permissions(struct call *c)
{
    uint64_t guild_id;

    if (scope_of(c, false, &guild_id))
        call_json(c, 200, json_object_new_array());
}

static void no_permissions_of_one(struct call *c)
{
    if (command_of(c, false))
        call_unknown(c, 10066, "application command permissions");
}

static const struct bucket put_bucket = {"commands-put", 2, 60000, false};
static const struct bucket item_bucket = {"commands-item", 5, 20000, false};

#define GLOBAL "/applications/{application.id}/commands"
#define GUILD "/applications/{application.id}/guilds/{guild.id}/commands"

const struct route command_routes[] = {
    {"GET", GLOBAL, list_commands_global, NULL, NULL, 0},
    {"POST", GLOBAL, create_command_global, &item_bucket, NULL, 0},
    {"PUT", GLOBAL, put_commands_global, &put_bucket, NULL, 0},
    {"GET", GLOBAL "/{command.id}", get_command_global, NULL, NULL, 0},
    {"PATCH", GLOBAL "/{command.id}", patch_command_global, &item_bucket, NULL,
     0},
    {"DELETE", GLOBAL "/{command.id}", delete_command_global, &item_bucket,
     NULL, 0},
    {"GET", GUILD, list_commands_guild, NULL, NULL, 0},
    {"POST", GUILD, create_command_guild, &item_bucket, NULL, 0},
    {"PUT", GUILD, put_commands_guild, &put_bucket, NULL, 0},
    {"GET", GUILD "/permissions", no_permissions, NULL, NULL, 0},
    {"GET", GUILD "/{command.id}", get_command_guild, NULL, NULL, 0},
    {"PATCH", GUILD "/{command.id}", patch_command_guild, &item_bucket, NULL,
     0},
    {"DELETE", GUILD "/{command.id}", delete_command_guild, &item_bucket, NULL,
     0},
    {"GET", GUILD "/{command.id}/permissions", no_permissions_of_one, NULL,
     NULL, 0},
    {NULL},
};
