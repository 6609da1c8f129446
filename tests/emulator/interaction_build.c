/* From what a person does to the payload of INTERACTION_CREATE.
 *
 * The checks are the client's: a required option that is missing, a value
 * that is not of its type, a button that is not there are refused here,
 * because no client would let them be sent. Autocomplete goes out as typed,
 * as it does from a client. */
#include "tests/emulator/interactions.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/commands.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/user.h"

enum { ATTACHMENT_LIMIT = 10 << 20 };

static const char *text_at(json_object *o, const char *key)
{
    json_object *v = json_object_object_get(o, key);

    return json_object_is_type(v, json_type_string) ? json_object_get_string(v)
                                                    : NULL;
}

static int int_at(json_object *o, const char *key, int fallback)
{
    json_object *v = json_object_object_get(o, key);

    return v ? json_object_get_int(v) : fallback;
}

static void add_bits(json_object *o, const char *key, uint64_t bits)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)bits);
    json_object_object_add(o, key, json_object_new_string(text));
}

__attribute__((format(printf, 2, 3))) static void refuse(struct call *c,
                                                         const char *fmt, ...)
{
    char text[300];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    call_error(c, 400, 50035, text);
}

/* --- who acts --- */

static struct role *actor_role(struct emulator *e, struct guild *g,
                               json_object *said)
{
    bool object = json_object_is_type(said, json_type_object);
    const char *name =
        object ? text_at(said, "name") : json_object_get_string(said);
    uint64_t id;

    if (!name)
        return NULL;
    struct role *r = guild_role_by_name(g, name);
    if (!r && snowflake_parse(name, &id))
        r = guild_role(g, id);
    if (!r)
        r = role_new(e, g, name, 0);
    if (object) {
        uint64_t bits =
            snowflake_of(json_object_object_get(said, "permissions"));
        if (r->permissions != bits) {
            r->permissions = bits;
            role_changed(e, g, r);
        }
    }
    return r;
}

struct member *interaction_actor(struct call *c, struct guild *g,
                                 struct json_object *body)
{
    const char *name = text_at(body, "user");
    json_object *roles = json_object_object_get(body, "roles");
    bool changed = false;

    if (!name)
        name = "owner";
    struct user *u = user_by_name(c->e, name);
    if (!u)
        u = user_new(c->e, name, false);
    struct member *m = guild_member(g, u->id);
    if (!m)
        m = member_new(c->e, g, u);
    if (!json_object_is_type(roles, json_type_array))
        return m;

    struct id_list now = {0};
    for (size_t i = 0; i < json_object_array_length(roles); i++) {
        struct role *r =
            actor_role(c->e, g, json_object_array_get_idx(roles, i));
        if (!r) {
            id_list_release(&now);
            refuse(c, "roles: a name, an id or {\"name\",\"permissions\"}");
            return NULL;
        }
        changed |= !id_list_has(&m->roles, r->id);
        id_list_put(&now, r->id);
    }
    changed |= now.n != m->roles.n;
    id_list_release(&m->roles);
    m->roles = now;
    if (changed)
        member_changed(c->e, g, m);
    return m;
}

/* --- resolved objects --- */

/* What building the data needs at every level. */
struct build {
    struct call *c;
    struct interaction *it;
    const struct guild *g;
    const struct channel *ch;
    json_object *resolved; /* kind -> id -> object */
    const char *focused;   /* the option typed in, or NULL */
    bool typing;           /* autocomplete: nothing is checked */
};

static void resolve(struct build *b, const char *kind, uint64_t id,
                    json_object *object)
{
    json_object *map;
    char key[24];

    if (!json_object_object_get_ex(b->resolved, kind, &map)) {
        map = json_object_new_object();
        json_object_object_add(b->resolved, kind, map);
    }
    snprintf(key, sizeof(key), "%llu", (unsigned long long)id);
    json_object_object_add(map, key, object);
}

static uint64_t resolve_user(struct build *b, const char *said)
{
    struct emulator *e = b->c->e;
    uint64_t id = 0;
    const struct user *u = user_by_name(e, said);

    if (!u && snowflake_parse(said, &id))
        u = user_find(e, id);
    if (!u)
        return 0;
    resolve(b, "users", u->id, user_json(u));
    const struct member *m = guild_member(b->g, u->id);
    if (m) {
        json_object *o = member_json(e, b->g, m, false);
        add_bits(o, "permissions", perm_in_channel(e, b->ch, u->id));
        resolve(b, "members", u->id, o);
    }
    return u->id;
}

static uint64_t resolve_role(struct build *b, const char *said)
{
    uint64_t id = 0;
    const struct role *r = guild_role_by_name(b->g, said);

    if (!r && snowflake_parse(said, &id))
        r = guild_role(b->g, id);
    if (!r)
        return 0;
    resolve(b, "roles", r->id, role_json(r));
    return r->id;
}

static const struct channel *
channel_said(struct emulator *e, const struct guild *g, const char *said)
{
    uint64_t id;

    if (snowflake_parse(said, &id)) {
        const struct channel *ch = channel_find(e, id);
        if (ch && ch->guild_id == g->id)
            return ch;
    }
    for (size_t i = 0; i < g->channel_count; i++) {
        if (strcmp(g->channels[i]->name, said) == 0)
            return g->channels[i];
    }
    for (size_t i = 0; i < g->thread_count; i++) {
        if (strcmp(g->threads[i]->name, said) == 0)
            return g->threads[i];
    }
    return NULL;
}

static uint64_t resolve_channel(struct build *b, const char *said)
{
    const struct channel *ch = channel_said(b->c->e, b->g, said);

    if (!ch)
        return 0;
    json_object *o = channel_json(b->c->e, ch, 0);
    add_bits(o, "permissions", perm_in_channel(b->c->e, ch, b->it->user_id));
    resolve(b, "channels", ch->id, o);
    return ch->id;
}

/* --- values --- */

static int base64_digit(char ch)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = ch ? strchr(digits, ch) : NULL;

    return at ? (int)(at - digits) : -1;
}

static bool base64_decode(const char *s, struct buf *out)
{
    uint32_t bits = 0;
    int n = 0;

    for (; *s && *s != '='; s++) {
        int d = base64_digit(*s);
        if (d < 0)
            return false;
        bits = bits << 6 | (uint32_t)d;
        n += 6;
        if (n >= 8) {
            n -= 8;
            buf_addc(out, (char)(bits >> n & 0xff));
        }
    }
    return s[strspn(s, "=")] == '\0';
}

/* {"filename","content"|"base64","content_type"?} to an attachment's id. */
static uint64_t resolve_file(struct build *b, json_object *said)
{
    AUTO_BUF struct buf bytes = BUF_INIT;
    const char *name = text_at(said, "filename");
    const char *packed = text_at(said, "base64");
    const char *type = text_at(said, "content_type");
    json_object *plain = json_object_object_get(said, "content");
    struct interaction *it = b->it;

    if (!name)
        return 0;
    if (packed) {
        if (!base64_decode(packed, &bytes))
            return 0;
    } else if (json_object_is_type(plain, json_type_string)) {
        buf_add(&bytes, json_object_get_string(plain),
                (size_t)json_object_get_string_len(plain));
    } else {
        return 0;
    }

    it->files = xrealloc(it->files, (it->file_count + 1) * sizeof(*it->files));
    struct attachment *a = &it->files[it->file_count++];
    *a = attachment_new(b->c->e, b->ch, name,
                        type ? type : "application/octet-stream",
                        bytes.data ? bytes.data : "", bytes.len);
    resolve(b, "attachments", a->id,
            attachment_json(b->c->e, b->ch->id, a, true));
    return a->id;
}

static json_object *id_or_null(uint64_t id)
{
    return id ? snowflake_json(id) : NULL;
}

/* The value as the event carries it, or NULL where it is not of the type. */
static json_object *typed_value(struct build *b, int type, json_object *said)
{
    bool number = json_object_is_type(said, json_type_int) ||
                  json_object_is_type(said, json_type_double);
    bool text = json_object_is_type(said, json_type_string);
    const char *s = text ? json_object_get_string(said) : "";
    uint64_t id;

    switch (type) {
    case OPTION_STRING:
        return text ? json_object_get(said) : NULL;
    case OPTION_INTEGER:
        return json_object_is_type(said, json_type_int) ? json_object_get(said)
                                                        : NULL;
    case OPTION_NUMBER:
        return number ? json_object_get(said) : NULL;
    case OPTION_BOOLEAN:
        return json_object_is_type(said, json_type_boolean)
                   ? json_object_get(said)
                   : NULL;
    case OPTION_USER:
        return id_or_null(resolve_user(b, s));
    case OPTION_CHANNEL:
        return id_or_null(resolve_channel(b, s));
    case OPTION_ROLE:
        return id_or_null(resolve_role(b, s));
    case OPTION_MENTIONABLE:
        id = resolve_user(b, s);
        return id_or_null(id ? id : resolve_role(b, s));
    case OPTION_ATTACHMENT:
        return json_object_is_type(said, json_type_object)
                   ? id_or_null(resolve_file(b, said))
                   : NULL;
    default:
        return NULL;
    }
}

static bool among_choices(json_object *option, json_object *value)
{
    json_object *choices = json_object_object_get(option, "choices");

    if (!choices || json_object_array_length(choices) == 0)
        return true;
    for (size_t i = 0; i < json_object_array_length(choices); i++) {
        json_object *choice = json_object_array_get_idx(choices, i);
        if (json_object_equal(json_object_object_get(choice, "value"), value))
            return true;
    }
    return false;
}

static bool within_bounds(json_object *option, int type, json_object *value)
{
    json_object *min, *max;

    if (type == OPTION_STRING) {
        const char *s = json_object_get_string(value);
        int n = (int)utf16_units(s, strlen(s));
        return n >= int_at(option, "min_length", 0) &&
               n <= int_at(option, "max_length", 6000);
    }
    if (type != OPTION_INTEGER && type != OPTION_NUMBER)
        return true;
    min = json_object_object_get(option, "min_value");
    max = json_object_object_get(option, "max_value");
    double v = json_object_get_double(value);
    return (!min || v >= json_object_get_double(min)) &&
           (!max || v <= json_object_get_double(max));
}

/* --- options --- */

static json_object *build_options(struct build *b, json_object *defined,
                                  json_object *said);

/* One option's entry, or NULL and the call answered. */
static json_object *build_option(struct build *b, json_object *option,
                                 json_object *said)
{
    const char *name = text_at(option, "name");
    int type = int_at(option, "type", 0);
    json_object *out = json_object_new_object();
    json_object *value;

    json_object_object_add(out, "name", json_object_new_string(name));
    json_object_object_add(out, "type", json_object_new_int(type));
    if (type == OPTION_SUB_COMMAND || type == OPTION_GROUP) {
        value =
            build_options(b, json_object_object_get(option, "options"), said);
        if (!value) {
            json_object_put(out);
            return NULL;
        }
        json_object_object_add(out, "options", value);
        return out;
    }

    bool focused = b->focused && strcmp(b->focused, name) == 0;
    /* What is being typed is text, whatever it will be. */
    if (b->typing)
        value = json_object_get(said);
    else
        value = typed_value(b, type, said);
    if (!value) {
        json_object_put(out);
        refuse(b->c, "option \"%s\": %s is no value of type %d", name,
               json_object_to_json_string(said), type);
        return NULL;
    }
    json_object_object_add(out, "value", value);
    if (focused) {
        b->it->focused_type = type;
        json_object_object_add(out, "focused", json_object_new_boolean(1));
    }
    if (!b->typing && (!among_choices(option, value) ||
                       !within_bounds(option, type, value))) {
        refuse(b->c, "option \"%s\": %s is not allowed by its definition", name,
               json_object_to_json_string(value));
        json_object_put(out);
        return NULL;
    }
    return out;
}

static json_object *defined_option(json_object *defined, const char *name)
{
    size_t n = defined ? json_object_array_length(defined) : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(defined, i);
        if (strcmp(text_at(o, "name"), name) == 0)
            return o;
    }
    return NULL;
}

/* Whether everything required is there; a subcommand must be named where
 * there are any. */
static bool complete(struct build *b, json_object *defined, json_object *said)
{
    size_t n = defined ? json_object_array_length(defined) : 0;
    bool subs = n > 0 && int_at(json_object_array_get_idx(defined, 0), "type",
                                0) <= OPTION_GROUP;

    if (subs && (!said || json_object_object_length(said) != 1)) {
        refuse(b->c, "exactly one subcommand must be given");
        return false;
    }
    for (size_t i = 0; i < n && !b->typing; i++) {
        json_object *o = json_object_array_get_idx(defined, i);
        const char *name = text_at(o, "name");
        if (json_object_get_boolean(json_object_object_get(o, "required")) &&
            !json_object_object_get(said, name)) {
            refuse(b->c, "option \"%s\" is required", name);
            return false;
        }
    }
    return true;
}

static json_object *build_options(struct build *b, json_object *defined,
                                  json_object *said)
{
    if (said && !json_object_is_type(said, json_type_object)) {
        refuse(b->c, "options must be an object of names and values");
        return NULL;
    }
    if (!complete(b, defined, said))
        return NULL;

    json_object *list = json_object_new_array();
    if (!said)
        return list;
    json_object_object_foreach(said, name, value)
    {
        json_object *option = defined_option(defined, name);
        json_object *entry = NULL;
        if (!option)
            refuse(b->c, "there is no option \"%s\"", name);
        else
            entry = build_option(b, option, value);
        if (!entry) {
            json_object_put(list);
            return NULL;
        }
        json_object_array_add(list, entry);
    }
    return list;
}

/* --- the three things a person can do --- */

/* Whether the command shows in this person's list. */
static bool may_use(struct build *b, json_object *command)
{
    uint64_t have = perm_in_channel(b->c->e, b->ch, b->it->user_id);
    json_object *need =
        json_object_object_get(command, "default_member_permissions");
    uint64_t bits = need ? snowflake_of(need) : 0;

    if (have & PERM_ADMINISTRATOR)
        return true;
    if (!(have & PERM_VIEW_CHANNEL) || !(have & PERM_USE_COMMANDS))
        return false;
    /* "0" keeps it for administrators. */
    return !need || (bits != 0 && (have & bits) == bits);
}

static json_object *build_command(struct build *b, json_object *body)
{
    const char *name = text_at(body, "command");
    json_object *command = commands_find(b->c->e, b->g->id, name, COMMAND_CHAT);

    if (!command) {
        call_unknown(b->c, 10063, "application command");
        return NULL;
    }
    if (!may_use(b, command)) {
        call_missing_permissions(b->c);
        return NULL;
    }
    b->focused = text_at(body, "focused");
    b->typing = b->focused != NULL;
    b->it->type = b->typing ? INTERACTION_AUTOCOMPLETE : INTERACTION_COMMAND;
    free(b->it->name);
    b->it->name = xstrdup(name);

    json_object *options =
        build_options(b, json_object_object_get(command, "options"),
                      json_object_object_get(body, "options"));
    if (!options)
        return NULL;
    if (b->typing && b->it->focused_type == 0) {
        json_object_put(options);
        refuse(b->c, "the focused option \"%s\" must be among the options",
               b->focused);
        return NULL;
    }

    json_object *data = json_object_new_object();
    json_object *guild_id = json_object_object_get(command, "guild_id");
    json_object_object_add(
        data, "id", json_object_get(json_object_object_get(command, "id")));
    json_object_object_add(data, "name", json_object_new_string(name));
    json_object_object_add(data, "type", json_object_new_int(COMMAND_CHAT));
    if (guild_id)
        json_object_object_add(data, "guild_id", json_object_get(guild_id));
    if (json_object_array_length(options) > 0)
        json_object_object_add(data, "options", options);
    else
        json_object_put(options);
    return data;
}

/* The component with this custom_id, at any depth. */
static json_object *find_component(json_object *list, const char *custom_id)
{
    size_t n = json_object_is_type(list, json_type_array)
                   ? json_object_array_length(list)
                   : 0;

    for (size_t i = 0; i < n; i++) {
        json_object *o = json_object_array_get_idx(list, i);
        const char *id = text_at(o, "custom_id");
        if (id && strcmp(id, custom_id) == 0)
            return o;
        json_object *found =
            find_component(json_object_object_get(o, "components"), custom_id);
        if (!found) {
            json_object *side = json_object_object_get(o, "accessory");
            const char *sid = side ? text_at(side, "custom_id") : NULL;
            found = sid && strcmp(sid, custom_id) == 0 ? side : NULL;
        }
        if (found)
            return found;
    }
    return NULL;
}

static bool select_has(json_object *select, const char *value)
{
    json_object *options = json_object_object_get(select, "options");

    for (size_t i = 0; i < json_object_array_length(options); i++) {
        const char *v = text_at(json_object_array_get_idx(options, i), "value");
        if (v && strcmp(v, value) == 0)
            return true;
    }
    return false;
}

enum {
    COMPONENT_BUTTON = 2,
    COMPONENT_STRINGS = 3,
    COMPONENT_USERS = 5,
    COMPONENT_ROLES = 6,
    COMPONENT_MENTIONABLES = 7,
    COMPONENT_CHANNELS = 8,
};

/* What is chosen, as it goes into `values`, or NULL. */
static json_object *chosen(struct build *b, json_object *select, int type,
                           const char *said)
{
    uint64_t id = 0;

    switch (type) {
    case COMPONENT_STRINGS:
        return select_has(select, said) ? json_object_new_string(said) : NULL;
    case COMPONENT_ROLES:
        return id_or_null(resolve_role(b, said));
    case COMPONENT_CHANNELS:
        return id_or_null(resolve_channel(b, said));
    case COMPONENT_MENTIONABLES:
    case COMPONENT_USERS:
        id = resolve_user(b, said);
        if (!id && type == COMPONENT_MENTIONABLES)
            id = resolve_role(b, said);
        return id_or_null(id);
    default:
        return NULL;
    }
}

static json_object *build_values(struct build *b, json_object *select, int type,
                                 json_object *said)
{
    size_t n = json_object_is_type(said, json_type_array)
                   ? json_object_array_length(said)
                   : 0;

    if ((int)n < int_at(select, "min_values", 1) ||
        (int)n > int_at(select, "max_values", 1)) {
        refuse(b->c, "values: %zu chosen, %d to %d allowed", n,
               int_at(select, "min_values", 1),
               int_at(select, "max_values", 1));
        return NULL;
    }
    json_object *list = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        const char *s =
            json_object_get_string(json_object_array_get_idx(said, i));
        json_object *v = chosen(b, select, type, s ? s : "");
        if (!v) {
            json_object_put(list);
            refuse(b->c, "values: there is no \"%s\" to choose", s ? s : "");
            return NULL;
        }
        json_object_array_add(list, v);
    }
    return list;
}

static json_object *build_component(struct build *b, json_object *body)
{
    struct emulator *e = b->c->e;
    uint64_t id = snowflake_of(json_object_object_get(body, "message_id"));
    const char *custom_id = text_at(body, "custom_id");
    const struct message *m = message_find(e, b->ch->id, id);
    json_object *values = NULL;

    if (!m || (m->ephemeral_to && m->ephemeral_to != b->it->user_id)) {
        call_unknown(b->c, 10008, "message");
        return NULL;
    }
    json_object *component =
        custom_id ? find_component(m->components, custom_id) : NULL;
    if (!component) {
        refuse(b->c, "the message has no component \"%s\"",
               custom_id ? custom_id : "");
        return NULL;
    }
    if (json_object_get_boolean(
            json_object_object_get(component, "disabled"))) {
        refuse(b->c, "the component \"%s\" is disabled", custom_id);
        return NULL;
    }
    int type = int_at(component, "type", 0);
    if (type != COMPONENT_BUTTON) {
        values = build_values(b, component, type,
                              json_object_object_get(body, "values"));
        if (!values)
            return NULL;
    }

    b->it->type = INTERACTION_COMPONENT;
    b->it->source_id = m->id;
    json_object *data = json_object_new_object();
    json_object_object_add(data, "id",
                           json_object_new_int(int_at(component, "id", 0)));
    json_object_object_add(data, "custom_id",
                           json_object_new_string(custom_id));
    json_object_object_add(data, "component_type", json_object_new_int(type));
    if (values)
        json_object_object_add(data, "values", values);
    return data;
}

enum { COMPONENT_TEXT_INPUT = 4, COMPONENT_LABEL = 18 };

/* Answers a modal: {"modal":custom_id,"fields":{custom_id:text}}. */
static json_object *build_modal(struct build *b, json_object *body)
{
    json_object *fields = json_object_object_get(body, "fields");
    json_object *data = json_object_new_object();
    json_object *list = json_object_new_array();
    int id = 1;

    b->it->type = INTERACTION_MODAL;
    b->it->source_id = snowflake_of(json_object_object_get(body, "message_id"));
    if (json_object_is_type(fields, json_type_object)) {
        json_object_object_foreach(fields, key, value)
        {
            json_object *label = json_object_new_object();
            json_object *input = json_object_new_object();
            json_object_object_add(label, "type",
                                   json_object_new_int(COMPONENT_LABEL));
            json_object_object_add(label, "id", json_object_new_int(id++));
            json_object_object_add(input, "type",
                                   json_object_new_int(COMPONENT_TEXT_INPUT));
            json_object_object_add(input, "id", json_object_new_int(id++));
            json_object_object_add(input, "custom_id",
                                   json_object_new_string(key));
            json_object_object_add(input, "value", json_object_get(value));
            json_object_object_add(label, "component", input);
            json_object_array_add(list, label);
        }
    }
    json_object_object_add(data, "custom_id",
                           json_object_new_string(text_at(body, "modal")));
    json_object_object_add(data, "components", list);
    return data;
}

/* Where it happens: named, or the message's, or the guild's first. */
static const struct channel *place(struct call *c, const struct guild *g,
                                   json_object *body)
{
    struct emulator *e = c->e;
    const char *said = text_at(body, "channel");
    uint64_t message_id =
        snowflake_of(json_object_object_get(body, "message_id"));
    size_t at = 0;

    if (!said)
        said = text_at(body, "channel_id");
    if (said)
        return channel_said(e, g, said);
    const struct message *m;
    while (message_id && (m = map_next(&e->messages, &at)) != NULL) {
        if (m->id == message_id)
            return channel_find(e, m->channel_id);
    }
    const struct channel *system = channel_find(e, g->system_channel_id);
    if (system)
        return system;
    for (size_t i = 0; i < g->channel_count; i++) {
        if (g->channels[i]->type == CHANNEL_TEXT)
            return g->channels[i];
    }
    return NULL;
}

struct json_object *interaction_data(struct call *c, struct interaction *it,
                                     struct json_object *body)
{
    struct build b = {.c = c, .it = it};
    json_object *data;

    b.g = guild_find(c->e, it->guild_id);
    b.ch = place(c, b.g, body);
    if (!b.ch) {
        call_unknown(c, 10003, "channel");
        return NULL;
    }
    it->channel_id = b.ch->id;
    b.resolved = json_object_new_object();
    if (text_at(body, "command"))
        data = build_command(&b, body);
    else if (text_at(body, "custom_id"))
        data = build_component(&b, body);
    else if (text_at(body, "modal"))
        data = build_modal(&b, body);
    else {
        refuse(c, "one of command, custom_id, modal must be given");
        data = NULL;
    }
    if (data && json_object_object_length(b.resolved) > 0)
        json_object_object_add(data, "resolved", json_object_get(b.resolved));
    json_object_put(b.resolved);
    return data;
}

/* --- the payload --- */

static json_object *actor_json(struct emulator *e, const struct interaction *it,
                               const struct guild *g, const struct channel *ch)
{
    const struct member *m = guild_member(g, it->user_id);
    json_object *o = member_json(e, g, m, true);

    add_bits(o, "permissions", perm_in_channel(e, ch, it->user_id));
    return o;
}

static json_object *partial_guild(const struct guild *g)
{
    json_object *o = json_object_new_object();

    json_object_object_add(o, "id", snowflake_json(g->id));
    json_object_object_add(o, "locale", json_object_new_string("en-US"));
    json_object_object_add(o, "features", json_object_new_array());
    return o;
}

struct json_object *interaction_payload(struct emulator *e,
                                        const struct interaction *it,
                                        struct json_object *data,
                                        const char *locale)
{
    const struct guild *g = guild_find(e, it->guild_id);
    const struct channel *ch = channel_find(e, it->channel_id);
    json_object *o = json_object_new_object();
    json_object *owners = json_object_new_object();
    json_object *channel = channel_json(e, ch, e->bot->id);

    add_bits(channel, "permissions", perm_in_channel(e, ch, it->user_id));
    json_object_object_add(owners, "0", snowflake_json(g->id));
    json_object_object_add(o, "version", json_object_new_int(1));
    json_object_object_add(o, "type", json_object_new_int((int)it->type));
    json_object_object_add(o, "token", json_object_new_string(it->token));
    json_object_object_add(o, "member", actor_json(e, it, g, ch));
    json_object_object_add(o, "locale", json_object_new_string(locale));
    json_object_object_add(o, "id", snowflake_json(it->id));
    json_object_object_add(o, "guild_locale", json_object_new_string("en-US"));
    json_object_object_add(o, "guild_id", snowflake_json(g->id));
    json_object_object_add(o, "guild", partial_guild(g));
    json_object_object_add(o, "entitlements", json_object_new_array());
    json_object_object_add(o, "data", data);
    json_object_object_add(o, "context", json_object_new_int(0));
    json_object_object_add(o, "channel_id", snowflake_json(ch->id));
    json_object_object_add(o, "channel", channel);
    json_object_object_add(o, "authorizing_integration_owners", owners);
    json_object_object_add(o, "attachment_size_limit",
                           json_object_new_int(ATTACHMENT_LIMIT));
    json_object_object_add(o, "application_id", snowflake_json(e->app->id));
    add_bits(o, "app_permissions", perm_in_channel(e, ch, e->bot->id));

    const struct message *m =
        it->source_id ? message_find(e, ch->id, it->source_id) : NULL;
    if (m)
        json_object_object_add(o, "message", message_full_json(e, m));
    return o;
}
