/* Error bodies, and the readers of fields that fill them. */
#include "tests/emulator/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "tests/emulator/http.h"
#include "tests/emulator/snowflake.h"

void call_error(struct call *c, int status, int code, const char *message)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "message", json_object_new_string(message));
    json_object_object_add(o, "code", json_object_new_int(code));
    call_json(c, status, o);
}

void call_unknown(struct call *c, int code, const char *what)
{
    char text[80];
    snprintf(text, sizeof text, "Unknown %s", what);
    call_error(c, 404, code, text);
}

void call_missing_access(struct call *c)
{
    call_error(c, 403, 50001, "Missing Access");
}

void call_missing_permissions(struct call *c)
{
    call_error(c, 403, 50013, "Missing Permissions");
}

void call_limited(struct call *c, int64_t retry_ms, const char *scope, int code)
{
    struct json_object *o = json_object_new_object();
    bool shared = strcmp(scope, "shared") == 0;
    bool global = strcmp(scope, "global") == 0;
    char seconds[32];

    json_object_object_add(
        o, "message",
        json_object_new_string(code == 30046
                                   ? "Maximum number of edits to messages "
                                     "older than 1 hour reached. Try again "
                                     "later."
                               : shared ? "The resource is being rate limited."
                                        : "You are being rate limited."));
    snprintf(seconds, sizeof seconds, "%.3f", (double)retry_ms / 1000);
    json_object_object_add(
        o, "retry_after",
        json_object_new_double_s((double)retry_ms / 1000, seconds));
    json_object_object_add(o, "global", json_object_new_boolean(global));
    if (code)
        json_object_object_add(o, "code", json_object_new_int(code));

    /* Whole seconds, rounded up, as HTTP wants it. */
    call_header(c, "Retry-After", "%lld", (long long)((retry_ms + 999) / 1000));
    call_header(c, "X-RateLimit-Scope", "%s", scope);
    if (global)
        call_header(c, "X-RateLimit-Global", "true");
    call_json(c, 429, o);
}

const char *form_path(char out[FORM_PATH_SIZE], const char *at, const char *key)
{
    snprintf(out, FORM_PATH_SIZE, "%s%s%s", at, *at ? "." : "", key);
    return out;
}

const char *form_index(char out[FORM_PATH_SIZE], const char *at, size_t i)
{
    char n[24];
    snprintf(n, sizeof n, "%zu", i);
    return form_path(out, at, n);
}

void form_error(struct form *f, const char *path, const char *code,
                const char *fmt, ...)
{
    if (!f->errors)
        f->errors = json_object_new_object();

    struct json_object *node = f->errors;
    while (*path) {
        char key[FORM_PATH_SIZE];
        size_t n = strcspn(path, ".");
        snprintf(key, sizeof key, "%.*s", (int)n, path);
        path += n + (path[n] == '.');

        struct json_object *next;
        if (!json_object_object_get_ex(node, key, &next)) {
            next = json_object_new_object();
            json_object_object_add(node, key, next);
        }
        node = next;
    }

    struct json_object *list;
    if (!json_object_object_get_ex(node, "_errors", &list)) {
        list = json_object_new_array();
        json_object_object_add(node, "_errors", list);
    }

    AUTO_BUF struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);

    struct json_object *leaf = json_object_new_object();
    json_object_object_add(leaf, "code", json_object_new_string(code));
    json_object_object_add(leaf, "message",
                           json_object_new_string(text.data ? text.data : ""));
    json_object_array_add(list, leaf);
}

void form_release(struct form *f)
{
    json_object_put(f->errors);
    f->errors = NULL;
}

void call_form(struct call *c, struct form *f)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "message",
                           json_object_new_string("Invalid Form Body"));
    json_object_object_add(o, "code", json_object_new_int(50035));
    if (f->errors)
        json_object_object_add(o, "errors", f->errors);
    f->errors = NULL;
    call_json(c, 400, o);
}

void call_form_error(struct call *c, const char *path, const char *code,
                     const char *fmt, ...)
{
    AUTO_BUF struct buf text = BUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);

    struct form f = FORM_INIT;
    form_error(&f, path, code, "%s", text.data ? text.data : "");
    call_form(c, &f);
}

/* The value and whether to look further. */
static enum field field_get(struct json_object *obj, const char *key,
                            struct json_object **v)
{
    if (!json_object_is_type(obj, json_type_object) ||
        !json_object_object_get_ex(obj, key, v))
        return FIELD_ABSENT;
    return *v ? FIELD_OK : FIELD_NULL;
}

static enum field field_bad(struct form *f, const char *at, const char *key,
                            const char *code, const char *message)
{
    char path[FORM_PATH_SIZE];
    form_error(f, form_path(path, at, key), code, "%s", message);
    return FIELD_BAD;
}

enum field field_string(struct form *f, struct json_object *obj, const char *at,
                        const char *key, size_t min, size_t max,
                        const char **out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;

    /* Numbers and booleans are taken as their text, as Discord does. */
    if (json_object_is_type(v, json_type_object) ||
        json_object_is_type(v, json_type_array))
        return field_bad(f, at, key, "STRING_TYPE_CONVERT",
                         "Could not interpret as string.");

    const char *s = json_object_get_string(v);
    size_t n = utf16_units(s, strlen(s));
    char path[FORM_PATH_SIZE];
    if (n > max && !min) {
        form_error(f, form_path(path, at, key), "BASE_TYPE_MAX_LENGTH",
                   "Must be %zu or fewer in length.", max);
        return FIELD_BAD;
    }
    if (n < min || n > max) {
        form_error(f, form_path(path, at, key), "BASE_TYPE_BAD_LENGTH",
                   "Must be between %zu and %zu in length.", min, max);
        return FIELD_BAD;
    }
    *out = s;
    return FIELD_OK;
}

enum field field_int(struct form *f, struct json_object *obj, const char *at,
                     const char *key, int64_t min, int64_t max, int64_t *out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;

    char path[FORM_PATH_SIZE];
    form_path(path, at, key);
    int64_t n;
    if (json_object_is_type(v, json_type_int)) {
        n = json_object_get_int64(v);
    } else if (json_object_is_type(v, json_type_string)) {
        const char *s = json_object_get_string(v);
        char *end;
        n = strtoll(s, &end, 10);
        if (!*s || *end) {
            form_error(f, path, "NUMBER_TYPE_COERCE",
                       "Value \"%.100s\" is not int.", s);
            return FIELD_BAD;
        }
    } else {
        form_error(f, path, "NUMBER_TYPE_COERCE",
                   "Value \"%.100s\" is not int.",
                   json_object_to_json_string(v));
        return FIELD_BAD;
    }
    if (n < min) {
        form_error(f, path, "NUMBER_TYPE_MIN",
                   "int value should be greater than or equal to %lld.",
                   (long long)min);
        return FIELD_BAD;
    }
    if (n > max) {
        form_error(f, path, "NUMBER_TYPE_MAX",
                   "int value should be less than or equal to %lld.",
                   (long long)max);
        return FIELD_BAD;
    }
    *out = n;
    return FIELD_OK;
}

enum field field_bool(struct form *f, struct json_object *obj, const char *at,
                      const char *key, bool *out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;
    if (!json_object_is_type(v, json_type_boolean))
        return field_bad(f, at, key, "BOOLEAN_TYPE_CONVERT",
                         "Must be either true or false.");
    *out = json_object_get_boolean(v);
    return FIELD_OK;
}

enum field field_id(struct form *f, struct json_object *obj, const char *at,
                    const char *key, uint64_t *out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;

    uint64_t id;
    const char *s = json_object_get_string(v);
    if (!snowflake_parse(s, &id)) {
        char path[FORM_PATH_SIZE];
        form_error(f, form_path(path, at, key), "NUMBER_TYPE_COERCE",
                   "Value \"%.100s\" is not snowflake.", s);
        return FIELD_BAD;
    }
    *out = id;
    return FIELD_OK;
}

enum field field_bits(struct form *f, struct json_object *obj, const char *at,
                      const char *key, uint64_t *out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;
    if (!str_to_u64(json_object_get_string(v), out))
        return field_bad(f, at, key, "NUMBER_TYPE_COERCE",
                         "Value is not a permission bit set.");
    return FIELD_OK;
}

enum field field_array(struct form *f, struct json_object *obj, const char *at,
                       const char *key, size_t max, struct json_object **out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;
    if (!json_object_is_type(v, json_type_array))
        return field_bad(f, at, key, "LIST_TYPE_CONVERT",
                         "Only iterables may be used in a ListType");
    if (json_object_array_length(v) > max) {
        char path[FORM_PATH_SIZE];
        form_error(f, form_path(path, at, key), "BASE_TYPE_MAX_LENGTH",
                   "Must be %zu or fewer in length.", max);
        return FIELD_BAD;
    }
    *out = v;
    return FIELD_OK;
}

enum field field_object(struct form *f, struct json_object *obj, const char *at,
                        const char *key, struct json_object **out)
{
    struct json_object *v;
    enum field got = field_get(obj, key, &v);
    if (got != FIELD_OK)
        return got;
    if (!json_object_is_type(v, json_type_object))
        return field_bad(f, at, key, "DICT_TYPE_CONVERT",
                         "Only dictionaries may be used in a DictType");
    *out = v;
    return FIELD_OK;
}
