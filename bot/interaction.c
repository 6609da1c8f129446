#include "bot/interaction.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/discord/message.h"

#define OPTION_ATTACHMENT 11
#define CHAT_INPUT 1

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    if (json_object_is_type(o, json_type_object))
        json_object_object_get_ex(o, name, &v);
    return v;
}

/* In a guild the person is a member; elsewhere nothing is served. */
static int parse_person(struct json_object *data, struct interaction *in,
                        struct err *err)
{
    struct json_object *who = member(data, "member");
    struct json_object *user = member(who, "user");
    struct json_object *roles = member(who, "roles");
    const char *bits = message_text(who, "permissions", NULL);

    in->guild = message_id(data, "guild_id");
    in->channel = message_id(data, "channel_id");
    if (!user)
        user = member(data, "user");
    in->user = message_id(user, "id");
    in->user_name = message_text(user, "username", NULL);
    if (!in->user || !in->user_name)
        return err_set(err, -EBADMSG, "an interaction without a user");
    if (bits && !str_to_u64_n(bits, strlen(bits), &in->permissions))
        return err_set(err, -EBADMSG, "an interaction with odd permissions");

    size_t n = json_object_is_type(roles, json_type_array)
                   ? json_object_array_length(roles)
                   : 0;
    in->roles = xcalloc(n, sizeof(*in->roles));
    for (size_t i = 0; i < n; i++)
        if (message_id_of(json_object_array_get_idx(roles, i),
                          &in->roles[in->n_roles]))
            in->n_roles++;
    return 0;
}

static int parse_attachment(struct json_object *data,
                            struct interaction_option *o, struct err *err)
{
    struct json_object *all = member(member(data, "resolved"), "attachments");
    struct json_object *file = member(all, o->value);
    int64_t size = message_int(file, "size", -1);

    o->url = message_text(file, "url", NULL);
    o->file_name = message_text(file, "filename", NULL);
    if (!o->url || !o->file_name || size < 0)
        return err_set(err, -EBADMSG, "the attachment '%s' is not described",
                       o->name);
    o->file_size = (uint64_t)size;
    return 0;
}

static int parse_option(struct json_object *data, struct json_object *from,
                        struct interaction_option *o, struct err *err)
{
    struct json_object *value = member(from, "value");

    o->name = message_text(from, "name", NULL);
    o->focused = json_object_get_boolean(member(from, "focused"));
    if (!o->name || member(from, "options"))
        return err_set(err, -EBADMSG, "an option of an unknown form");
    if (json_object_is_type(value, json_type_string)) {
        o->value = json_object_get_string(value);
        o->value_len = (size_t)json_object_get_string_len(value);
    } else if (json_object_is_type(value, json_type_int) ||
               json_object_is_type(value, json_type_boolean)) {
        o->value = json_object_to_json_string(value);
        o->value_len = strlen(o->value);
    } else {
        return err_set(err, -EBADMSG, "the option '%s' has an unknown type",
                       o->name);
    }
    if (message_int(from, "type", 0) == OPTION_ATTACHMENT)
        return parse_attachment(data, o, err);
    return 0;
}

static int parse_command(struct json_object *data, struct interaction *in,
                         struct err *err)
{
    struct json_object *options = member(data, "options");
    int r = 0;

    in->command = message_text(data, "name", NULL);
    if (!in->command || message_int(data, "type", CHAT_INPUT) != CHAT_INPUT)
        return err_set(err, -ENOTSUP, "not a slash command");
    size_t n = json_object_is_type(options, json_type_array)
                   ? json_object_array_length(options)
                   : 0;
    in->options = xcalloc(n, sizeof(*in->options));
    for (; in->n_options < n && r == 0; in->n_options++)
        r = parse_option(data,
                         json_object_array_get_idx(options, in->n_options),
                         &in->options[in->n_options], err);
    return r;
}

int interaction_parse(struct json_object *data, struct interaction *out,
                      struct err *err)
{
    struct json_object *what = member(data, "data");
    int64_t kind = message_int(data, "type", 0);

    *out = (struct interaction){.json = json_object_get(data)};
    out->id = message_id(data, "id");
    out->application = message_id(data, "application_id");
    out->token = message_text(data, "token", NULL);
    if (!out->id || !out->application || !out->token)
        return err_set(err, -EBADMSG, "an interaction without id or token");
    if (kind != INTERACTION_COMMAND && kind != INTERACTION_PRESS &&
        kind != INTERACTION_TYPING)
        return err_set(err, -ENOTSUP, "an interaction of an unknown kind");
    out->kind = (enum interaction_kind)kind;

    int r = parse_person(data, out, err);
    if (r < 0)
        return r;
    if (kind != INTERACTION_PRESS)
        return parse_command(what, out, err);
    out->custom_id = message_text(what, "custom_id", NULL);
    out->message = message_id(member(data, "message"), "id");
    if (!out->custom_id || !out->message)
        return err_set(err, -EBADMSG, "a button without an id");
    return 0;
}

void interaction_release(struct interaction *in)
{
    free(in->roles);
    free(in->options);
    json_object_put(in->json);
    *in = (struct interaction){0};
}

const struct interaction_option *
interaction_option(const struct interaction *in, const char *name)
{
    for (size_t i = 0; i < in->n_options; i++)
        if (strcmp(in->options[i].name, name) == 0)
            return &in->options[i];
    return NULL;
}
