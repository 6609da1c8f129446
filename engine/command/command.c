#include "engine/command/command.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/command/internal.h"

/* In the order in which help lists them. */
static const struct command *const table[] = {
    &command_init,
    &command_table_create,
    &command_table_drop,
    &command_tables,
    &command_inspect,
    &command_schema_set,
    &command_schema_get,
    &command_index_create,
    &command_index_drop,
    &command_reindex,
    &command_insert,
    &command_get,
    &command_find_rows,
    &command_count_rows,
    &command_explain,
    &command_update,
    &command_replace,
    &command_delete,
    &command_history,
    &command_restore,
    &command_snapshot,
    &command_snapshots,
    &command_snapshot_restore,
    &command_export,
    &command_import,
    &command_verify,
    &command_vacuum,
    &command_status,
    &command_help,
};

size_t command_count(void)
{
    return sizeof(table) / sizeof(table[0]);
}

const struct command *command_at(size_t i)
{
    return table[i];
}

/* Both spellings are one name: '_' in Discord, '-' on the command line. */
static bool same_name(const char *a, const char *b)
{
    for (; *a && *b; a++, b++) {
        char x = *a == '-' ? '_' : *a, y = *b == '-' ? '_' : *b;
        if (x != y)
            return false;
    }
    return *a == *b;
}

const struct command *command_find(const char *name)
{
    for (size_t i = 0; i < command_count(); i++) {
        if (same_name(table[i]->name, name))
            return table[i];
    }
    return NULL;
}

size_t command_option_index(const struct command *c, const char *name)
{
    for (size_t i = 0; i < c->n_options; i++) {
        if (same_name(c->options[i].name, name))
            return i;
    }
    return SIZE_MAX;
}

void command_call_init(struct command_call *c, const struct command *command)
{
    assert(command->n_options <= COMMAND_OPTIONS_MAX);
    *c = (struct command_call){.command = command};
}

void command_call_release(struct command_call *c)
{
    for (size_t i = 0; i < COMMAND_OPTIONS_MAX; i++) {
        buf_release(&c->values[i].text);
        free(c->values[i].name);
    }
}

static int set_integer(const struct command_option *o, const char *text,
                       int64_t *out, struct err *err)
{
    bool negative = *text == '-';
    uint64_t v;

    if (!str_to_u64(text + negative, &v) || v > INT64_MAX)
        return err_set(err, -EINVAL, "%s: '%.40s' is not a whole number",
                       o->name, text);

    int64_t n = negative ? -(int64_t)v : (int64_t)v;
    if (n < o->min || n > o->max)
        return err_set(err, -EINVAL, "%s: %lld is not between %lld and %lld",
                       o->name, (long long)n, (long long)o->min,
                       (long long)o->max);
    *out = n;
    return 0;
}

static int set_choice(const struct command_option *o, const char *text,
                      struct err *err)
{
    AUTO_BUF struct buf list = BUF_INIT;

    for (size_t i = 0; o->choices[i]; i++) {
        if (strcmp(o->choices[i], text) == 0)
            return 0;
        buf_printf(&list, "%s%s", i ? ", " : "", o->choices[i]);
    }
    return err_set(err, -EINVAL, "%s: '%.40s' is none of %s", o->name, text,
                   list.data);
}

int command_set(struct command_call *c, size_t i, const char *text, size_t len,
                struct err *err)
{
    const struct command_option *o = &c->command->options[i];
    struct command_value *v = &c->values[i];

    if (v->given)
        return err_set(err, -EINVAL, "%s is given twice", o->name);
    /* Files are bytes, and of JSON the schema's check says where a NUL is. */
    if (o->type != COMMAND_FILE && o->type != COMMAND_JSON &&
        memchr(text, 0, len))
        return err_set(err, -EINVAL, "%s: has a NUL byte in it", o->name);

    AUTO_BUF struct buf copy = BUF_INIT;
    buf_add(&copy, text, len);
    int r = 0;

    switch (o->type) {
    case COMMAND_STRING:
        if (len == 0)
            r = err_set(err, -EINVAL, "%s is empty", o->name);
        else if (!utf8_valid(text, len))
            r = err_set(err, -EINVAL, "%s is not UTF-8 text", o->name);
        break;
    case COMMAND_INTEGER:
        r = set_integer(o, len ? copy.data : "", &v->integer, err);
        break;
    case COMMAND_BOOLEAN:
        /* By its own name too: `index-create prod users email unique`. */
        v->flag = len && (strcmp(copy.data, "true") == 0 ||
                          same_name(copy.data, o->name));
        if (!v->flag && (!len || strcmp(copy.data, "false") != 0))
            r = err_set(err, -EINVAL, "%s: '%.40s' is neither true nor false",
                        o->name, len ? copy.data : "");
        break;
    case COMMAND_CHOICE:
        r = set_choice(o, len ? copy.data : "", err);
        break;
    case COMMAND_JSON:
    case COMMAND_FILE:
        break;
    }
    if (r < 0)
        return r;

    v->given = true;
    v->text = buf_take(&copy);
    return 0;
}

int command_set_file(struct command_call *c, size_t i, const char *name,
                     struct buf *bytes, struct err *err)
{
    struct command_value *v = &c->values[i];

    if (c->command->options[i].type != COMMAND_FILE)
        return command_set(c, i, bytes->data ? bytes->data : "", bytes->len,
                           err);
    if (v->given)
        return err_set(err, -EINVAL, "%s is given twice",
                       c->command->options[i].name);
    v->given = true;
    v->text = buf_take(bytes);
    v->name = name ? xstrdup(name) : NULL;
    return 0;
}

bool command_option_required(const struct command_call *c, size_t i)
{
    const struct command_option *o = &c->command->options[i];

    if (!o->required)
        return false;
    if (!o->instead)
        return true;
    return !c->values[command_option_index(c->command, o->instead)].given;
}

int command_check(const struct command_call *c, struct err *err)
{
    for (size_t i = 0; i < c->command->n_options; i++) {
        const struct command_option *o = &c->command->options[i];
        bool given = c->values[i].given;

        if (!given && command_option_required(c, i))
            return err_set(err, -EINVAL, "%s is missing: %s%s%s", o->name,
                           o->help, o->instead ? ", or give " : "",
                           o->instead ? o->instead : "");
        if (given && o->instead && call_has(c, o->instead))
            return err_set(err, -EINVAL, "%s and %s exclude each other",
                           o->name, o->instead);
    }
    return 0;
}

bool command_writes(const struct command_call *c)
{
    const char *with = c->command->writes_with;

    return c->command->writes ||
           (with && c->values[command_option_index(c->command, with)].flag);
}

int command_run(struct command_call *c, struct err *err)
{
    int r = command_check(c, err);
    if (r < 0)
        return r;

    assert(c->sink && (c->engine || c->command->offline));
    if (command_writes(c) && engine_read_only(c->engine))
        return err_set(err, -EROFS, "%s: this process was started read-only",
                       c->command->name);
    return c->command->run(c, err);
}

/* --- what the commands read and write ------------------------------------- */

static const struct command_value *value_of(const struct command_call *c,
                                            const char *option)
{
    size_t i = command_option_index(c->command, option);
    assert(i != SIZE_MAX);
    return &c->values[i];
}

bool call_has(const struct command_call *c, const char *option)
{
    return value_of(c, option)->given;
}

bool call_flag(const struct command_call *c, const char *option)
{
    return value_of(c, option)->flag;
}

int64_t call_integer(const struct command_call *c, const char *option,
                     int64_t otherwise)
{
    const struct command_value *v = value_of(c, option);
    return v->given ? v->integer : otherwise;
}

const struct buf *call_text(const struct command_call *c, const char *option)
{
    const struct command_value *v = value_of(c, option);
    return v->given ? &v->text : NULL;
}

const char *call_string(const struct command_call *c, const char *option,
                        const char *otherwise)
{
    const struct command_value *v = value_of(c, option);
    return v->given ? v->text.data : otherwise;
}

const char *call_file_name(const struct command_call *c, const char *option)
{
    return value_of(c, option)->name;
}

void call_note(struct command_call *c, const char *fmt, ...)
{
    AUTO_BUF struct buf b = BUF_INIT;
    va_list ap;

    if (!c->sink->note)
        return;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    c->sink->note(c->sink, b.data);
}

void call_say(struct command_call *c, const char *fmt, ...)
{
    AUTO_BUF struct buf b = BUF_INIT;
    va_list ap;

    if (!c->sink->say)
        return;
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    c->sink->say(c->sink, b.data);
}

int call_put(struct command_call *c, const struct buf *json, struct err *err)
{
    return c->sink->put(c->sink, json->data, json->len, err);
}

bool call_stopped(struct command_call *c)
{
    return c->sink->stopped && c->sink->stopped(c->sink);
}

void json_add_name(struct buf *b, const char *name)
{
    char last = b->len ? b->data[b->len - 1] : '{';

    if (last != '{' && last != '[')
        buf_addc(b, ',');
    buf_add_json(b, name, strlen(name));
    buf_addc(b, ':');
}

void json_add_string(struct buf *b, const char *name, const char *value)
{
    json_add_name(b, name);
    buf_add_json(b, value, strlen(value));
}

void json_add_id(struct buf *b, const char *name, uint64_t id)
{
    json_add_name(b, name);
    /* As text: JavaScript's numbers end at 2^53. */
    buf_printf(b, "\"%llu\"", (unsigned long long)id);
}

void json_add_int(struct buf *b, const char *name, int64_t value)
{
    json_add_name(b, name);
    buf_printf(b, "%lld", (long long)value);
}

void json_add_bool(struct buf *b, const char *name, bool value)
{
    json_add_name(b, name);
    buf_addstr(b, value ? "true" : "false");
}

int call_put_index(struct command_call *c, struct table *t, const char *field,
                   struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    size_t n;
    struct table_index *list = table_indexes(t, &n);

    buf_addc(&b, '{');
    json_add_string(&b, "database", call_string(c, "database", ""));
    json_add_string(&b, "table", call_string(c, "table", ""));
    json_add_string(&b, "field", field);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].field, field) != 0)
            continue;
        json_add_bool(&b, "unique", list[i].unique);
        json_add_id(&b, "channel_id", list[i].channel);
        json_add_int(&b, "entries", list[i].entries);
    }
    table_indexes_free(list, n);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

int call_put_version(struct command_call *c, const struct row *r,
                     struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addc(&b, '{');
    json_add_name(&b, "key");
    buf_add_json(&b, row_key(r), r->key_len);
    json_add_int(&b, "version", r->version);
    json_add_id(&b, "message_id", r->id);
    buf_addc(&b, '}');
    return call_put(c, &b, err);
}

void namespace_unref_at(struct namespace **ns)
{
    if (*ns)
        namespace_unref(*ns);
}

void table_unref_at(struct table **t)
{
    if (*t)
        table_unref(*t);
}

void row_unref_at(struct row **r)
{
    row_unref(*r);
}
