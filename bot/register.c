#include "bot/register.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/log.h"
#include "engine/command/command.h"
#include "engine/discord/discord.h"
#include "engine/discord/message.h"

/* Discord's numbers for kinds of options (discord-api, "Options"). */
enum {
    OPTION_STRING = 3,
    OPTION_INTEGER = 4,
    OPTION_BOOLEAN = 5,
    OPTION_ATTACHMENT = 11,
};

#define TEXT_MAX 6000
#define INTEGER_MAX ((INT64_C(1) << 53) - 1)
#define MANAGE_GUILD "32"

static int type_of(enum command_type type)
{
    switch (type) {
    case COMMAND_INTEGER:
        return OPTION_INTEGER;
    case COMMAND_BOOLEAN:
        return OPTION_BOOLEAN;
    case COMMAND_FILE:
        return OPTION_ATTACHMENT;
    case COMMAND_STRING:
    case COMMAND_JSON:
    case COMMAND_CHOICE:
        break;
    }
    return OPTION_STRING;
}

static struct json_object *text(const char *s)
{
    return json_object_new_string(s);
}

static struct json_object *new_option(int type, const char *name,
                                      const char *help)
{
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "type", json_object_new_int(type));
    json_object_object_add(o, "name", text(name));
    json_object_object_add(o, "description", text(help));
    return o;
}

static int64_t within(int64_t n)
{
    return n > INTEGER_MAX ? INTEGER_MAX : n < -INTEGER_MAX ? -INTEGER_MAX : n;
}

/* What may be given in another option's place Discord cannot express. */
static bool is_required(const struct command_option *o)
{
    return o->required && !o->instead;
}

static struct json_object *option_json(const struct command_option *from)
{
    int type = type_of(from->type);
    struct json_object *o = new_option(type, from->name, from->help);

    if (is_required(from))
        json_object_object_add(o, "required", json_object_new_boolean(true));
    if (from->offer != OFFER_NOTHING)
        json_object_object_add(o, "autocomplete",
                               json_object_new_boolean(true));
    if (from->type == COMMAND_INTEGER) {
        json_object_object_add(o, "min_value",
                               json_object_new_int64(within(from->min)));
        json_object_object_add(o, "max_value",
                               json_object_new_int64(within(from->max)));
    }
    if (from->type == COMMAND_CHOICE) {
        struct json_object *list = json_object_new_array();
        for (size_t i = 0; from->choices[i]; i++) {
            struct json_object *choice = json_object_new_object();
            json_object_object_add(choice, "name", text(from->choices[i]));
            json_object_object_add(choice, "value", text(from->choices[i]));
            json_object_array_add(list, choice);
        }
        json_object_object_add(o, "choices", list);
    } else if (type == OPTION_STRING) {
        json_object_object_add(o, "max_length", json_object_new_int(TEXT_MAX));
    }
    return o;
}

/* Discord wants those that are required before the others. */
static struct json_object *options_json(const struct command *c)
{
    struct json_object *list = json_object_new_array();

    for (int required = 1; required >= 0; required--)
        for (size_t i = 0; i < c->n_options; i++)
            if (is_required(&c->options[i]) == (required == 1))
                json_object_array_add(list, option_json(&c->options[i]));
    json_object_array_add(
        list, new_option(OPTION_BOOLEAN, SLASH_PUBLIC,
                         "show the answer to everybody in this channel"));
    return list;
}

static struct json_object *command_json(const struct command *c, bool open)
{
    struct json_object *o = json_object_new_object();
    char name[64];
    bool all = open || c->permission == COMMAND_FOR_ALL;

    snprintf(name, sizeof(name), SLASH_PREFIX "%s", c->name);
    json_object_object_add(o, "type", json_object_new_int(1));
    json_object_object_add(o, "name", text(name));
    json_object_object_add(o, "description", text(c->summary));
    json_object_object_add(o, "options", options_json(c));
    json_object_object_add(o, "default_member_permissions",
                           all ? NULL : text(MANAGE_GUILD));
    return o;
}

void register_write(bool open, struct buf *out)
{
    struct json_object *list = json_object_new_array();

    for (size_t i = 0; i < command_count(); i++)
        json_object_array_add(list, command_json(command_at(i), open));
    buf_addstr(out, json_object_to_json_string_ext(
                        list, JSON_C_TO_STRING_PLAIN |
                                  JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(list);
}

/* --- comparing ------------------------------------------------------------ */

static bool same_list(struct json_object *a, struct json_object *b,
                      const char *const *members);

/* What decides, with what it is where it is left out. */
static const char *const command_members[] = {
    "type",    "name", "description", "default_member_permissions",
    "options", NULL,
};
static const char *const option_members[] = {
    "type",         "name",      "description", "required",
    "min_value",    "max_value", "max_length",  "min_length",
    "autocomplete", "choices",   NULL,
};
static const char *const choice_members[] = {"name", "value", NULL};

static bool is_default(const char *member, struct json_object *v)
{
    if (!v)
        return true;
    switch (json_object_get_type(v)) {
    case json_type_boolean:
        return !json_object_get_boolean(v);
    case json_type_array:
        return json_object_array_length(v) == 0;
    case json_type_int:
        return (strcmp(member, "type") == 0 && json_object_get_int(v) == 1) ||
               (strcmp(member, "min_length") == 0 &&
                json_object_get_int(v) == 0);
    default:
        return false;
    }
}

static bool same_value(const char *member, struct json_object *a,
                       struct json_object *b)
{
    if (is_default(member, a) || is_default(member, b))
        return is_default(member, a) && is_default(member, b);
    if (strcmp(member, "options") == 0)
        return same_list(a, b, option_members);
    if (strcmp(member, "choices") == 0)
        return same_list(a, b, choice_members);
    return json_object_equal(a, b) != 0;
}

static bool same_object(struct json_object *a, struct json_object *b,
                        const char *const *members)
{
    for (; *members; members++) {
        struct json_object *x = NULL, *y = NULL;
        json_object_object_get_ex(a, *members, &x);
        json_object_object_get_ex(b, *members, &y);
        if (!same_value(*members, x, y))
            return false;
    }
    return true;
}

static bool same_list(struct json_object *a, struct json_object *b,
                      const char *const *members)
{
    if (!json_object_is_type(a, json_type_array) ||
        !json_object_is_type(b, json_type_array) ||
        json_object_array_length(a) != json_object_array_length(b))
        return false;
    for (size_t i = 0; i < json_object_array_length(a); i++)
        if (!same_object(json_object_array_get_idx(a, i),
                         json_object_array_get_idx(b, i), members))
            return false;
    return true;
}

static struct json_object *by_name(struct json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        const char *other = message_text(o, "name", NULL);
        if (other && strcmp(other, name) == 0)
            return o;
    }
    return NULL;
}

bool register_is_same(struct json_object *theirs, struct json_object *ours)
{
    if (!json_object_is_type(theirs, json_type_array) ||
        json_object_array_length(theirs) != json_object_array_length(ours))
        return false;
    for (size_t i = 0; i < json_object_array_length(ours); i++) {
        struct json_object *mine = json_object_array_get_idx(ours, i);
        struct json_object *other =
            by_name(theirs, message_text(mine, "name", NULL));
        if (!other || !same_object(mine, other, command_members))
            return false;
    }
    return true;
}

/* --- doing it ------------------------------------------------------------- */

int register_commands(struct discord *d, uint64_t application, uint64_t guild,
                      bool open, bool *written, struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;
    AUTO_BUF struct buf answer = BUF_INIT;
    char path[128];

    if (written)
        *written = false;
    snprintf(path, sizeof(path),
             "/applications/%" PRIu64 "/guilds/%" PRIu64 "/commands",
             application, guild);
    int r = discord_request(d, "GET", path, NULL, REMOTE_NORMAL, NULL, &answer,
                            err);
    if (r < 0)
        return err_wrap(err, r, "which slash commands are registered");

    register_write(open, &body);
    struct json_object *theirs =
        message_json(answer.data ? answer.data : "", answer.len);
    struct json_object *ours = message_json(body.data, body.len);
    bool same = theirs && register_is_same(theirs, ours);
    json_object_put(theirs);
    json_object_put(ours);
    if (same)
        return 0;

    r = discord_request(d, "PUT", path, body.data, REMOTE_NORMAL, NULL, NULL,
                        err);
    if (r < 0)
        return err_wrap(err, r, "the slash commands cannot be registered");
    if (written)
        *written = true;
    log_info("guild %" PRIu64 ": %zu slash commands registered", guild,
             command_count());
    return 0;
}
