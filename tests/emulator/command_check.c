/* What a command may look like. Nothing here knows of the store or of HTTP:
 * JSON goes in, the normalised command or a tree of errors comes out. */
#include "tests/emulator/commands.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include <json-c/json.h>

#include "engine/base/str.h"
#include "tests/emulator/error.h"
#include "tests/emulator/snowflake.h"

enum {
    NAME_MAX_CHARS = 32,
    DESCRIPTION_MAX = 100,
    OPTIONS_MAX = 25,
    CHOICES_MAX = 25,
    TEXT_MAX = 8000,
    LENGTH_MAX = 6000,
    FILE_TYPES_MAX = 10,
};

/* The range of numbers that survive a double: |x| <= 2^53. */
#define SAFE_INTEGER ((int64_t)1 << 53)

/* --- names --- */

static locale_t unicode(void)
{
    static locale_t loc;

    if (!loc)
        loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return loc;
}

static bool name_char(uint32_t c)
{
    if (c < 0x80) {
        return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
               c == '_' || c == '\'';
    }
    /* Devanagari and Thai with their marks, which are no letters. */
    if ((c >= 0x900 && c <= 0x97f) || (c >= 0xe00 && c <= 0xe7f))
        return true;
    if (!unicode())
        return true;
    return iswalnum_l((wint_t)c, unicode()) &&
           towlower_l((wint_t)c, unicode()) == (wint_t)c;
}

bool command_name_valid(const char *name)
{
    size_t len = strlen(name), chars = 0;

    for (size_t i = 0; i < len; chars++) {
        uint32_t c;
        size_t n = utf8_decode(name + i, len - i, &c);
        if (n == 0 || !name_char(c))
            return false;
        i += n;
    }
    return chars >= 1 && chars <= NAME_MAX_CHARS;
}

/* --- one walk over a command, with what it gathers --- */

struct check {
    struct form *form;
    size_t text; /* characters counted against TEXT_MAX */
};

static void required(struct check *k, const char *at, const char *key)
{
    char path[FORM_PATH_SIZE];

    form_error(k->form, form_path(path, at, key), "BASE_TYPE_REQUIRED",
               "This field is required");
}

static void count_text(struct check *k, const char *s)
{
    k->text += utf16_units(s, strlen(s));
}

/* A name by the pattern, for chat commands and options. */
static void take_name(struct check *k, json_object *in, const char *at,
                      bool pattern, json_object *out)
{
    char path[FORM_PATH_SIZE];
    const char *name;

    switch (field_string(k->form, in, at, "name", 1, NAME_MAX_CHARS, &name)) {
    case FIELD_OK:
        if (pattern && !command_name_valid(name))
            form_error(k->form, form_path(path, at, "name"),
                       "APPLICATION_COMMAND_INVALID_NAME",
                       "Command name is invalid");
        count_text(k, name);
        json_object_object_add(out, "name", json_object_new_string(name));
        break;
    case FIELD_ABSENT:
    case FIELD_NULL:
        required(k, at, "name");
        break;
    case FIELD_BAD:
        break;
    }
}

static void take_description(struct check *k, json_object *in, const char *at,
                             json_object *out)
{
    const char *text;

    switch (field_string(k->form, in, at, "description", 1, DESCRIPTION_MAX,
                         &text)) {
    case FIELD_OK:
        count_text(k, text);
        json_object_object_add(out, "description",
                               json_object_new_string(text));
        break;
    case FIELD_ABSENT:
    case FIELD_NULL:
        required(k, at, "description");
        break;
    case FIELD_BAD:
        break;
    }
}

static void take_localizations(struct check *k, json_object *in, const char *at,
                               const char *key, bool always, json_object *out)
{
    json_object *map;

    if (field_object(k->form, in, at, key, &map) == FIELD_OK)
        json_object_object_add(out, key, json_object_get(map));
    else if (always)
        json_object_object_add(out, key, NULL);
}

static bool take_bool(struct check *k, json_object *in, const char *at,
                      const char *key, json_object *out)
{
    bool v;

    if (field_bool(k->form, in, at, key, &v) != FIELD_OK)
        return false;
    json_object_object_add(out, key, json_object_new_boolean(v));
    return v;
}

static void take_length(struct check *k, json_object *in, const char *at,
                        const char *key, int64_t min, json_object *out)
{
    int64_t v;

    if (field_int(k->form, in, at, key, min, LENGTH_MAX, &v) == FIELD_OK)
        json_object_object_add(out, key, json_object_new_int64(v));
}

static bool is_number(json_object *v, bool integer)
{
    if (json_object_is_type(v, json_type_int))
        return json_object_get_int64(v) >= -SAFE_INTEGER &&
               json_object_get_int64(v) <= SAFE_INTEGER;
    return !integer && json_object_is_type(v, json_type_double);
}

static void take_bound(struct check *k, json_object *in, const char *at,
                       const char *key, bool integer, json_object *out)
{
    char path[FORM_PATH_SIZE];
    json_object *v = json_object_object_get(in, key);

    if (!v)
        return;
    if (is_number(v, integer))
        json_object_object_add(out, key, json_object_get(v));
    else
        form_error(k->form, form_path(path, at, key), "NUMBER_TYPE_COERCE",
                   "Value \"%s\" is not %s.", json_object_get_string(v),
                   integer ? "int" : "float");
}

static void take_list(struct check *k, json_object *in, const char *at,
                      const char *key, size_t max, json_object *out)
{
    json_object *list;

    if (field_array(k->form, in, at, key, max, &list) == FIELD_OK)
        json_object_object_add(out, key, json_object_get(list));
}

/* --- choices --- */

static bool choice_value_fits(json_object *v, int type)
{
    if (type == OPTION_STRING)
        return json_object_is_type(v, json_type_string);
    return is_number(v, type == OPTION_INTEGER);
}

static void take_choice_value(struct check *k, json_object *choice,
                              const char *at, int type, json_object *out)
{
    char path[FORM_PATH_SIZE];
    json_object *value = json_object_object_get(choice, "value");
    const char *text;

    if (!value) {
        required(k, at, "value");
    } else if (!choice_value_fits(value, type)) {
        form_error(k->form, form_path(path, at, "value"),
                   "APPLICATION_COMMAND_OPTIONS_CHOICE_TYPE_INVALID",
                   "The choice's value is not of the option's type");
    } else if (type != OPTION_STRING ||
               field_string(k->form, choice, at, "value", 0, 100, &text) ==
                   FIELD_OK) {
        count_text(k, json_object_get_string(value));
        json_object_object_add(out, "value", json_object_get(value));
    }
}

static bool name_taken(json_object *list, const char *name)
{
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *item = json_object_array_get_idx(list, i);
        json_object *other = json_object_object_get(item, "name");
        if (other && strcmp(json_object_get_string(other), name) == 0)
            return true;
    }
    return false;
}

static void take_choice(struct check *k, json_object *choice, const char *at,
                        int type, json_object *list)
{
    char path[FORM_PATH_SIZE];
    json_object *out = json_object_new_object();
    const char *name;

    switch (field_string(k->form, choice, at, "name", 1, 100, &name)) {
    case FIELD_OK:
        if (name_taken(list, name))
            form_error(k->form, form_path(path, at, "name"),
                       "APPLICATION_COMMAND_OPTIONS_CHOICE_NAME_DUPLICATE",
                       "Two choices have the same name");
        count_text(k, name);
        json_object_object_add(out, "name", json_object_new_string(name));
        break;
    case FIELD_ABSENT:
    case FIELD_NULL:
        required(k, at, "name");
        break;
    case FIELD_BAD:
        break;
    }
    take_localizations(k, choice, at, "name_localizations", false, out);
    take_choice_value(k, choice, at, type, out);
    json_object_array_add(list, out);
}

/* The object at index i of a list in the request, or NULL and an error. */
static json_object *object_at(struct check *k, json_object *list, size_t i,
                              const char *at)
{
    json_object *o = json_object_array_get_idx(list, i);

    if (json_object_is_type(o, json_type_object))
        return o;
    form_error(k->form, at, "MODEL_TYPE_CONVERT",
               "Only dictionaries may be used in a ModelType");
    return NULL;
}

/* Whether there are any. */
static bool take_choices(struct check *k, json_object *in, const char *at,
                         int type, json_object *out)
{
    char path[FORM_PATH_SIZE], item[FORM_PATH_SIZE];
    json_object *choices;

    if (field_array(k->form, in, at, "choices", CHOICES_MAX, &choices) !=
        FIELD_OK)
        return false;

    json_object *list = json_object_new_array();
    form_path(path, at, "choices");
    for (size_t i = 0; i < json_object_array_length(choices); i++) {
        form_index(item, path, i);
        json_object *choice = object_at(k, choices, i, item);
        if (choice)
            take_choice(k, choice, item, type, list);
    }
    json_object_object_add(out, "choices", list);
    return json_object_array_length(choices) > 0;
}

/* --- options --- */

/* Where options stand: what may be among them follows from it. */
enum level { IN_COMMAND, IN_GROUP, IN_SUB_COMMAND };

static void take_options(struct check *k, json_object *in, const char *at,
                         enum level level, json_object *out);

static bool has_choices(int type)
{
    return type == OPTION_STRING || type == OPTION_INTEGER ||
           type == OPTION_NUMBER;
}

static void take_details(struct check *k, json_object *in, const char *at,
                         int type, json_object *out)
{
    char path[FORM_PATH_SIZE];

    take_bool(k, in, at, "required", out);
    if (has_choices(type)) {
        bool choices = take_choices(k, in, at, type, out);
        bool typed = take_bool(k, in, at, "autocomplete", out);
        if (choices && typed)
            form_error(k->form, form_path(path, at, "autocomplete"),
                       "APPLICATION_COMMAND_OPTIONS_AUTOCOMPLETE_CHOICES",
                       "An option cannot have both choices and autocomplete");
    }
    if (type == OPTION_STRING) {
        take_length(k, in, at, "min_length", 0, out);
        take_length(k, in, at, "max_length", 1, out);
    }
    if (type == OPTION_INTEGER || type == OPTION_NUMBER) {
        take_bound(k, in, at, "min_value", type == OPTION_INTEGER, out);
        take_bound(k, in, at, "max_value", type == OPTION_INTEGER, out);
    }
    if (type == OPTION_CHANNEL)
        take_list(k, in, at, "channel_types", 20, out);
    if (type == OPTION_ATTACHMENT)
        take_list(k, in, at, "file_types", FILE_TYPES_MAX, out);
}

static bool nests(int type)
{
    return type == OPTION_SUB_COMMAND || type == OPTION_GROUP;
}

static bool type_allowed(int64_t type, enum level level)
{
    switch (level) {
    case IN_COMMAND:
        return true;
    case IN_GROUP:
        return type == OPTION_SUB_COMMAND;
    case IN_SUB_COMMAND:
        return type >= OPTION_STRING;
    }
    return false;
}

/* The option's type, or 0 after an error. */
static int take_type(struct check *k, json_object *in, const char *at,
                     enum level level, json_object *out)
{
    char path[FORM_PATH_SIZE];
    int64_t type;

    switch (field_int(k->form, in, at, "type", OPTION_SUB_COMMAND,
                      OPTION_ATTACHMENT, &type)) {
    case FIELD_OK:
        break;
    case FIELD_ABSENT:
    case FIELD_NULL:
        required(k, at, "type");
        return 0;
    case FIELD_BAD:
        return 0;
    }
    if (!type_allowed(type, level)) {
        form_error(k->form, form_path(path, at, "type"),
                   "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                   "An option of this type cannot stand here");
        return 0;
    }
    json_object_object_add(out, "type", json_object_new_int64(type));
    return (int)type;
}

static void take_option(struct check *k, json_object *in, const char *at,
                        enum level level, json_object *list)
{
    char path[FORM_PATH_SIZE];
    json_object *out = json_object_new_object();
    int type = take_type(k, in, at, level, out);

    take_name(k, in, at, true, out);
    json_object *name = json_object_object_get(out, "name");
    if (name && name_taken(list, json_object_get_string(name)))
        form_error(k->form, form_path(path, at, "name"),
                   "APPLICATION_COMMAND_OPTIONS_NAME_DUPLICATE",
                   "Two options have the same name");
    take_localizations(k, in, at, "name_localizations", false, out);
    take_description(k, in, at, out);
    take_localizations(k, in, at, "description_localizations", false, out);
    if (type == OPTION_SUB_COMMAND)
        take_options(k, in, at, IN_SUB_COMMAND, out);
    else if (type == OPTION_GROUP)
        take_options(k, in, at, IN_GROUP, out);
    else if (type)
        take_details(k, in, at, type, out);
    json_object_array_add(list, out);
}

static int type_at(json_object *list, size_t i)
{
    return json_object_get_int(
        json_object_object_get(json_object_array_get_idx(list, i), "type"));
}

/* Required ones first; subcommands among themselves. */
static void check_order(struct check *k, json_object *list, const char *path)
{
    char item[FORM_PATH_SIZE];
    bool optional = false;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        json_object *o = json_object_array_get_idx(list, i);
        bool must =
            json_object_get_boolean(json_object_object_get(o, "required"));
        form_index(item, path, i);
        if (nests(type_at(list, i)) != nests(type_at(list, 0)))
            form_error(k->form, item,
                       "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID",
                       "Sub-command and sub-command group option types are "
                       "mutually exclusive to all other types");
        else if (!nests(type_at(list, i)) && must && optional)
            form_error(k->form, item,
                       "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID",
                       "Required options must be placed before non-required "
                       "options");
        optional |= !must;
    }
}

static void take_options(struct check *k, json_object *in, const char *at,
                         enum level level, json_object *out)
{
    char path[FORM_PATH_SIZE], item[FORM_PATH_SIZE];
    json_object *options;

    if (field_array(k->form, in, at, "options", OPTIONS_MAX, &options) !=
        FIELD_OK)
        return;

    json_object *list = json_object_new_array();
    form_path(path, at, "options");
    for (size_t i = 0; i < json_object_array_length(options); i++) {
        form_index(item, path, i);
        json_object *option = object_at(k, options, i, item);
        if (option)
            take_option(k, option, item, level, list);
    }
    check_order(k, list, path);
    if (json_object_array_length(list) > 0)
        json_object_object_add(out, "options", list);
    else
        json_object_put(list);
}

/* --- the command --- */

static void take_permissions(struct check *k, json_object *in, const char *at,
                             json_object *out)
{
    char text[24];
    uint64_t bits;

    if (field_bits(k->form, in, at, "default_member_permissions", &bits) !=
        FIELD_OK) {
        json_object_object_add(out, "default_member_permissions", NULL);
        return;
    }
    snprintf(text, sizeof(text), "%llu", (unsigned long long)bits);
    json_object_object_add(out, "default_member_permissions",
                           json_object_new_string(text));
}

static void take_scope(struct check *k, json_object *in, const char *at,
                       json_object *out)
{
    json_object *list;
    bool dm = true;

    if (field_array(k->form, in, at, "contexts", 3, &list) == FIELD_OK)
        json_object_object_add(out, "contexts", json_object_get(list));
    else
        json_object_object_add(out, "contexts", NULL);

    if (field_array(k->form, in, at, "integration_types", 2, &list) ==
        FIELD_OK) {
        list = json_object_get(list);
    } else {
        list = json_object_new_array();
        json_object_array_add(list, json_object_new_int(0));
    }
    json_object_object_add(out, "integration_types", list);

    field_bool(k->form, in, at, "dm_permission", &dm);
    json_object_object_add(out, "dm_permission", json_object_new_boolean(dm));
}

static void take_chat_parts(struct check *k, json_object *in, const char *at,
                            json_object *out)
{
    take_description(k, in, at, out);
    take_localizations(k, in, at, "description_localizations", true, out);
    take_options(k, in, at, IN_COMMAND, out);
}

/* Commands of users and messages are an entry of a menu. */
static void take_menu_parts(struct check *k, json_object *in, const char *at,
                            json_object *out)
{
    char path[FORM_PATH_SIZE];
    json_object *text = json_object_object_get(in, "description");
    json_object *options = json_object_object_get(in, "options");

    if (text && *json_object_get_string(text))
        form_error(k->form, form_path(path, at, "description"),
                   "APPLICATION_COMMAND_INVALID_DESCRIPTION",
                   "Context menu commands cannot have description");
    if (json_object_is_type(options, json_type_array) &&
        json_object_array_length(options) > 0)
        form_error(k->form, form_path(path, at, "options"),
                   "APPLICATION_COMMAND_INVALID_OPTIONS",
                   "Context menu commands cannot have options");
    json_object_object_add(out, "description", json_object_new_string(""));
    json_object_object_add(out, "description_localizations", NULL);
}

struct json_object *command_check(struct form *f, const char *at,
                                  struct json_object *body, bool global)
{
    struct check k = {f, 0};
    json_object *out = json_object_new_object();
    int64_t type = COMMAND_CHAT;
    bool nsfw = false;

    field_int(f, body, at, "type", COMMAND_CHAT, COMMAND_MESSAGE, &type);
    take_permissions(&k, body, at, out);
    json_object_object_add(out, "type", json_object_new_int64(type));
    take_name(&k, body, at, type == COMMAND_CHAT, out);
    take_localizations(&k, body, at, "name_localizations", true, out);
    if (type == COMMAND_CHAT)
        take_chat_parts(&k, body, at, out);
    else
        take_menu_parts(&k, body, at, out);
    if (global)
        take_scope(&k, body, at, out);
    field_bool(f, body, at, "nsfw", &nsfw);
    json_object_object_add(out, "nsfw", json_object_new_boolean(nsfw));

    if (k.text > TEXT_MAX)
        form_error(f, at, "APPLICATION_COMMAND_TOO_LARGE",
                   "Command exceeds maximum size (%d)", TEXT_MAX);
    if (form_failed(f)) {
        json_object_put(out);
        return NULL;
    }
    return out;
}
