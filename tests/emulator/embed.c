/* Limits of discord-api.md sections 3 and 8. */
#include "tests/emulator/embed.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/str.h"

enum { TOTAL_MAX = 6000, COMPONENTS_MAX = 40 };

/* The text without white space at its ends; counts its length. */
static bool trimmed(struct form *f, struct json_object *from, const char *at,
                    const char *key, size_t max, bool required,
                    struct json_object *to, size_t *total)
{
    const char *s;
    char path[FORM_PATH_SIZE];
    struct json_object *v = json_object_object_get(from, key);

    if (!v) {
        if (required)
            form_error(f, form_path(path, at, key), "BASE_TYPE_REQUIRED",
                       "This field is required");
        return false;
    }
    if (field_string(f, from, at, key, 0, SIZE_MAX, &s) != FIELD_OK)
        return false;
    while (isspace((unsigned char)*s))
        s++;
    size_t n = strlen(s);
    while (n && isspace((unsigned char)s[n - 1]))
        n--;
    size_t units = utf16_units(s, n);
    if (required && !n)
        form_error(f, form_path(path, at, key), "BASE_TYPE_REQUIRED",
                   "This field is required");
    if (units > max)
        form_error(f, form_path(path, at, key), "BASE_TYPE_MAX_LENGTH",
                   "Must be %zu or fewer in length.", max);
    if (!n)
        return false;
    *total += units;
    json_object_object_add(to, key, json_object_new_string_len(s, (int)n));
    return true;
}

static void copy_url(struct form *f, struct json_object *from, const char *at,
                     const char *key, struct json_object *to)
{
    const char *s;
    char path[FORM_PATH_SIZE];
    if (field_string(f, from, at, key, 0, 2048, &s) != FIELD_OK || !*s)
        return;
    if (!str_starts(s, "http://") && !str_starts(s, "https://") &&
        !str_starts(s, "attachment://")) {
        form_error(f, form_path(path, at, key), "URL_TYPE_INVALID_URL",
                   "Not a well formed URL.");
        return;
    }
    json_object_object_add(to, key, json_object_new_string(s));
}

static void copy_media(struct form *f, struct json_object *from, const char *at,
                       const char *key, struct json_object *to)
{
    struct json_object *o;
    char path[FORM_PATH_SIZE];
    if (field_object(f, from, at, key, &o) != FIELD_OK)
        return;
    struct json_object *made = json_object_new_object();
    copy_url(f, o, form_path(path, at, key), "url", made);
    json_object_object_add(to, key, made);
}

static void copy_fields(struct form *f, struct json_object *from,
                        const char *at, struct json_object *to, size_t *total)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];
    if (field_array(f, from, at, "fields", 25, &list) != FIELD_OK)
        return;
    form_path(path, at, "fields");
    struct json_object *made = json_object_new_array();
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        struct json_object *field = json_object_new_object();
        bool in_line = false;
        form_index(each, path, i);
        trimmed(f, o, each, "name", 256, true, field, total);
        trimmed(f, o, each, "value", 1024, true, field, total);
        field_bool(f, o, each, "inline", &in_line);
        json_object_object_add(field, "inline",
                               json_object_new_boolean(in_line));
        json_object_array_add(made, field);
    }
    if (json_object_array_length(made))
        json_object_object_add(to, "fields", made);
    else
        json_object_put(made);
}

static struct json_object *embed_take(struct form *f, struct json_object *from,
                                      const char *at, size_t *total)
{
    struct json_object *to = json_object_new_object();
    struct json_object *o;
    const char *s;
    int64_t color;
    char path[FORM_PATH_SIZE];

    json_object_object_add(to, "type", json_object_new_string("rich"));
    trimmed(f, from, at, "title", 256, false, to, total);
    trimmed(f, from, at, "description", 4096, false, to, total);
    copy_url(f, from, at, "url", to);
    if (field_int(f, from, at, "color", 0, 0xFFFFFF, &color) == FIELD_OK)
        json_object_object_add(to, "color", json_object_new_int64(color));
    if (field_string(f, from, at, "timestamp", 0, 64, &s) == FIELD_OK)
        json_object_object_add(to, "timestamp", json_object_new_string(s));
    copy_fields(f, from, at, to, total);
    if (field_object(f, from, at, "footer", &o) == FIELD_OK) {
        struct json_object *footer = json_object_new_object();
        trimmed(f, o, form_path(path, at, "footer"), "text", 2048, true, footer,
                total);
        copy_url(f, o, path, "icon_url", footer);
        json_object_object_add(to, "footer", footer);
    }
    if (field_object(f, from, at, "author", &o) == FIELD_OK) {
        struct json_object *author = json_object_new_object();
        trimmed(f, o, form_path(path, at, "author"), "name", 256, true, author,
                total);
        copy_url(f, o, path, "url", author);
        copy_url(f, o, path, "icon_url", author);
        json_object_object_add(to, "author", author);
    }
    copy_media(f, from, at, "image", to);
    copy_media(f, from, at, "thumbnail", to);
    return to;
}

/* Two embeds of one URL are one, the first. */
static bool has_url(struct json_object *list, struct json_object *embed)
{
    const char *url =
        json_object_get_string(json_object_object_get(embed, "url"));
    for (size_t i = 0; url && i < json_object_array_length(list); i++) {
        const char *other = json_object_get_string(
            json_object_object_get(json_object_array_get_idx(list, i), "url"));
        if (other && strcmp(url, other) == 0)
            return true;
    }
    return false;
}

struct json_object *embeds_take(struct form *f, struct json_object *list,
                                const char *at)
{
    struct json_object *made = json_object_new_array();
    size_t total = 0;

    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        char each[FORM_PATH_SIZE];
        form_index(each, at, i);
        if (!json_object_is_type(o, json_type_object)) {
            form_error(f, each, "MODEL_TYPE_CONVERT",
                       "Only dictionaries may be used in a ModelType");
            continue;
        }
        struct json_object *embed = embed_take(f, o, each, &total);
        /* Its type alone says nothing. */
        if (json_object_object_length(embed) == 1 || has_url(made, embed))
            json_object_put(embed);
        else
            json_object_array_add(made, embed);
    }
    if (total > TOTAL_MAX)
        form_error(f, at, "MAX_EMBED_SIZE_EXCEEDED",
                   "Embed size exceeds maximum size of %d", TOTAL_MAX);
    return made;
}

/* --- components --- */

struct walk {
    struct form *f;
    bool v2;
    int count, next_id;
    struct json_object *custom_ids;
};

static void component(struct walk *w, struct json_object *o, const char *at,
                      int within);

static void children(struct walk *w, struct json_object *o, const char *at,
                     size_t max, int type)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];
    form_path(path, at, "components");
    enum field got = field_array(w->f, o, at, "components", max, &list);
    if (got == FIELD_ABSENT || got == FIELD_NULL)
        form_error(w->f, path, "BASE_TYPE_REQUIRED", "This field is required");
    if (got != FIELD_OK)
        return;
    size_t n = json_object_array_length(list), selects = 0;
    if (!n)
        form_error(w->f, path, "BASE_TYPE_BAD_LENGTH",
                   "Must be between 1 and %zu in length.", max);
    for (size_t i = 0; i < n; i++) {
        struct json_object *c = json_object_array_get_idx(list, i);
        component(w, c, form_index(each, path, i), type);
        selects += json_object_get_int(json_object_object_get(c, "type")) != 2;
    }
    if (type == 1 && selects && n > 1)
        form_error(w->f, path, "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                   "The specified component exceeds the maximum width");
}

static void custom_id(struct walk *w, struct json_object *o, const char *at)
{
    const char *s;
    char path[FORM_PATH_SIZE];
    form_path(path, at, "custom_id");
    enum field got = field_string(w->f, o, at, "custom_id", 1, 100, &s);
    if (got == FIELD_ABSENT || got == FIELD_NULL)
        form_error(w->f, path, "BASE_TYPE_REQUIRED", "This field is required");
    if (got != FIELD_OK)
        return;
    if (json_object_object_get_ex(w->custom_ids, s, NULL))
        form_error(w->f, path, "COMPONENT_CUSTOM_ID_DUPLICATED",
                   "Component custom id cannot be duplicated");
    json_object_object_add(w->custom_ids, s, NULL);
}

static void button(struct walk *w, struct json_object *o, const char *at)
{
    const char *s;
    int64_t style = 0;
    char path[FORM_PATH_SIZE];
    bool disabled;

    enum field got = field_int(w->f, o, at, "style", 1, 6, &style);
    if (got == FIELD_ABSENT)
        form_error(w->f, form_path(path, at, "style"), "BASE_TYPE_REQUIRED",
                   "This field is required");
    field_bool(w->f, o, at, "disabled", &disabled);
    if (style == 5) {
        if (field_string(w->f, o, at, "url", 1, 512, &s) == FIELD_ABSENT)
            form_error(w->f, form_path(path, at, "url"), "BASE_TYPE_REQUIRED",
                       "This field is required");
    } else if (style && style < 5) {
        custom_id(w, o, at);
    }
    got = field_string(w->f, o, at, "label", 0, 80, &s);
    if (style && style < 6 && (got != FIELD_OK || !*s) && got != FIELD_BAD &&
        !json_object_object_get_ex(o, "emoji", NULL))
        form_error(w->f, at, "BUTTON_COMPONENT_INVALID_EMPTY",
                   "A button must have a label or emoji");
}

static void select_menu(struct walk *w, struct json_object *o, const char *at,
                        int type)
{
    struct json_object *list;
    const char *s;
    int64_t low = 1, high = 1;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];

    custom_id(w, o, at);
    field_string(w->f, o, at, "placeholder", 0, 150, &s);
    field_int(w->f, o, at, "min_values", 0, 25, &low);
    field_int(w->f, o, at, "max_values", 1, 25, &high);
    if (type != 3)
        return;
    form_path(path, at, "options");
    if (field_array(w->f, o, at, "options", 25, &list) != FIELD_OK ||
        !json_object_array_length(list)) {
        form_error(w->f, path, "BASE_TYPE_BAD_LENGTH",
                   "Must be between 1 and 25 in length.");
        return;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        form_index(each, path, i);
        static const char *const need[] = {"label", "value"};
        for (size_t k = 0; k < 2; k++) {
            char leaf[FORM_PATH_SIZE];
            if (field_string(w->f, v, each, need[k], 1, 100, &s) ==
                FIELD_ABSENT)
                form_error(w->f, form_path(leaf, each, need[k]),
                           "BASE_TYPE_REQUIRED", "This field is required");
        }
        field_string(w->f, v, each, "description", 0, 100, &s);
    }
}

/* Of components v2: which types stand where. */
static bool newer_fits(int64_t type, int within)
{
    switch (type) {
    case 1:
    case 9:
    case 12:
    case 13:
    case 14:
        return within == 0 || within == 17;
    case 10:
        return within == 0 || within == 17 || within == 9;
    case 17:
        return within == 0;
    default:
        return false;
    }
}

/* {"url":…} under key: what a file or a picture is shown by. */
static void media(struct walk *w, struct json_object *o, const char *at,
                  const char *key)
{
    struct json_object *sub = NULL;
    const char *s;
    char path[FORM_PATH_SIZE], leaf[FORM_PATH_SIZE];

    form_path(path, at, key);
    enum field got = field_object(w->f, o, at, key, &sub);
    if (got == FIELD_BAD)
        return;
    if (got != FIELD_OK)
        form_error(w->f, path, "BASE_TYPE_REQUIRED", "This field is required");
    else if ((got = field_string(w->f, sub, path, "url", 1, 2048, &s)) ==
                 FIELD_ABSENT ||
             got == FIELD_NULL)
        form_error(w->f, form_path(leaf, path, "url"), "BASE_TYPE_REQUIRED",
                   "This field is required");
}

static void gallery(struct walk *w, struct json_object *o, const char *at)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];

    form_path(path, at, "items");
    enum field got = field_array(w->f, o, at, "items", 10, &list);
    if (got == FIELD_BAD)
        return;
    if (got != FIELD_OK || !json_object_array_length(list)) {
        form_error(w->f, path, "BASE_TYPE_BAD_LENGTH",
                   "Must be between 1 and 10 in length.");
        return;
    }
    for (size_t i = 0; i < json_object_array_length(list); i++)
        media(w, json_object_array_get_idx(list, i), form_index(each, path, i),
              "media");
}

/* within: the type of what holds it, 0 at the top. */
static void component(struct walk *w, struct json_object *o, const char *at,
                      int within)
{
    int64_t type = 0;
    const char *s;
    struct json_object *sub;
    char path[FORM_PATH_SIZE];

    if (!json_object_is_type(o, json_type_object)) {
        form_error(w->f, at, "MODEL_TYPE_CONVERT",
                   "Only dictionaries may be used in a ModelType");
        return;
    }
    w->count++;
    if (field_int(w->f, o, at, "type", 1, 100, &type) == FIELD_ABSENT)
        form_error(w->f, form_path(path, at, "type"), "BASE_TYPE_REQUIRED",
                   "This field is required");
    if (!json_object_object_get(o, "id"))
        json_object_object_add(o, "id", json_object_new_int(w->next_id));
    w->next_id++;

    bool classic =
        (within == 0 && type == 1) ||
        (within == 1 && (type == 2 || type == 3 || (type >= 5 && type <= 8)));
    if (!classic && (!w->v2 || !newer_fits(type, within))) {
        form_error(w->f, form_path(path, at, "type"), "UNION_TYPE_CHOICES",
                   "Value of field \"type\" must be one of %s.",
                   within == 1    ? "(2, 3, 5, 6, 7, 8)"
                   : within == 9  ? "(10,)"
                   : within == 17 ? "(1, 9, 10, 12, 13, 14)"
                   : w->v2        ? "(1, 9, 10, 12, 13, 14, 17)"
                                  : "(1,)");
        return;
    }
    switch (type) {
    case 1:
        children(w, o, at, 5, 1);
        break;
    case 2:
        button(w, o, at);
        break;
    case 3:
    case 5:
    case 6:
    case 7:
    case 8:
        select_menu(w, o, at, (int)type);
        break;
    case 9:
        children(w, o, at, 3, 9);
        if (field_object(w->f, o, at, "accessory", &sub) == FIELD_ABSENT)
            form_error(w->f, form_path(path, at, "accessory"),
                       "BASE_TYPE_REQUIRED", "This field is required");
        break;
    case 10:
        if (field_string(w->f, o, at, "content", 1, 4000, &s) == FIELD_ABSENT)
            form_error(w->f, form_path(path, at, "content"),
                       "BASE_TYPE_REQUIRED", "This field is required");
        break;
    case 12:
        gallery(w, o, at);
        break;
    case 13:
        media(w, o, at, "file");
        break;
    case 17:
        children(w, o, at, COMPONENTS_MAX, 17);
        break;
    default:
        break;
    }
}

struct json_object *components_take(struct form *f, struct json_object *list,
                                    const char *at, bool v2)
{
    struct json_object *copy = NULL;
    json_object_deep_copy(list, &copy, NULL);
    struct walk w = {f, v2, 0, 1, json_object_new_object()};

    size_t n = json_object_array_length(copy);
    if (!v2 && n > 5)
        form_error(f, at, "BASE_TYPE_BAD_LENGTH",
                   "Must be between 1 and 5 in length.");
    for (size_t i = 0; i < n; i++) {
        char each[FORM_PATH_SIZE];
        component(&w, json_object_array_get_idx(copy, i),
                  form_index(each, at, i), 0);
    }
    if (w.count > COMPONENTS_MAX)
        form_error(f, at, "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
                   "The total number of components exceeds %d", COMPONENTS_MAX);
    json_object_put(w.custom_ids);
    return copy;
}
