/* The part of a catalog entry that tells of indexes, written and read. */
#include "engine/index_defs.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/json.h"

static void def_release(struct index_def *d)
{
    free(d->field);
    free(d->unique);
}

void index_defs_release(struct index_defs *d)
{
    for (size_t i = 0; i < d->n; i++)
        def_release(&d->list[i]);
    free(d->list);
    *d = (struct index_defs){0};
}

static void add_id(struct index_def *d, uint64_t id)
{
    d->unique = xrealloc(d->unique, (d->n_unique + 1) * sizeof(*d->unique));
    d->unique[d->n_unique++] = id;
}

void index_defs_copy(struct index_defs *to, const struct index_defs *from)
{
    *to = (struct index_defs){0};
    for (size_t i = 0; i < from->n; i++) {
        const struct index_def *d = &from->list[i];
        struct index_def *made = index_defs_need(to, d->field);
        made->channel = d->channel;
        for (size_t k = 0; k < d->n_unique; k++)
            add_id(made, d->unique[k]);
    }
}

struct index_def *index_defs_find(const struct index_defs *d, const char *field)
{
    for (size_t i = 0; i < d->n; i++)
        if (strcmp(d->list[i].field, field) == 0)
            return &d->list[i];
    return NULL;
}

struct index_def *index_defs_need(struct index_defs *d, const char *field)
{
    struct index_def *found = index_defs_find(d, field);

    if (found)
        return found;
    d->list = xrealloc(d->list, (d->n + 1) * sizeof(*d->list));
    d->list[d->n] = (struct index_def){.field = xstrdup(field)};
    return &d->list[d->n++];
}

void index_defs_tidy(struct index_defs *d)
{
    size_t kept = 0;

    for (size_t i = 0; i < d->n; i++) {
        if (d->list[i].channel || d->list[i].n_unique > 0)
            d->list[kept++] = d->list[i];
        else
            def_release(&d->list[i]);
    }
    d->n = kept;
}

bool index_def_is_unique(const struct index_def *d)
{
    return d && d->n_unique % 2 == 1;
}

void index_def_set_unique(struct index_def *d, bool unique)
{
    if (index_def_is_unique(d) != unique)
        add_id(d, INDEX_SELF);
}

void index_defs_write(const struct index_defs *d, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t i = 0; i < d->n; i++) {
        const struct index_def *def = &d->list[i];
        if (i > 0)
            buf_addc(out, ',');
        buf_add_json(out, def->field, strlen(def->field));
        buf_addstr(out, ":{");
        if (def->channel)
            buf_printf(out, "\"channel\":\"%llu\"",
                       (unsigned long long)def->channel);
        if (def->n_unique > 0)
            buf_addstr(out, def->channel ? ",\"unique\":[" : "\"unique\":[");
        for (size_t k = 0; k < def->n_unique; k++) {
            if (k > 0)
                buf_addc(out, ',');
            if (def->unique[k] == INDEX_SELF)
                buf_addstr(out, "\"self\"");
            else
                buf_printf(out, "\"%llu\"", (unsigned long long)def->unique[k]);
        }
        buf_addstr(out, def->n_unique > 0 ? "]}" : "}");
    }
    buf_addc(out, '}');
}

/* An id as a string, or "self". */
static bool read_id(const struct json_member *m, uint64_t self, uint64_t *out)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (m->type != JSON_STRING)
        return false;
    json_unescape(m->value, m->value_len, &b);
    if (self && buf_equals(&b, "self", 4)) {
        *out = self;
        return true;
    }
    return b.data && str_to_u64_n(b.data, b.len, out) && *out != 0;
}

static bool read_def(const struct json_member *m, uint64_t self,
                     struct index_def *d)
{
    struct json_member member, e;

    if (m->type != JSON_OBJECT)
        return false;
    for (size_t at = 0; json_next(m->value, m->value_len, &at, &member);) {
        if (json_name_is(&member, "channel", 7)) {
            if (!read_id(&member, 0, &d->channel))
                return false;
        } else if (json_name_is(&member, "unique", 6)) {
            if (member.type != JSON_ARRAY)
                return false;
            for (size_t i = 0;
                 json_element(member.value, member.value_len, &i, &e);) {
                uint64_t id;
                if (!read_id(&e, self, &id) ||
                    (d->n_unique > 0 && id <= d->unique[d->n_unique - 1]))
                    return false;
                add_id(d, id);
            }
        }
    }
    return true;
}

int index_defs_parse(const char *object, size_t len, uint64_t self,
                     struct index_defs *out, struct err *err)
{
    struct json_member m;

    *out = (struct index_defs){0};
    for (size_t at = 0; json_next(object, len, &at, &m);) {
        AUTO_BUF struct buf field = BUF_INIT;
        json_unescape(m.name, m.name_len, &field);
        bool good = field.len > 0 && strlen(field.data) == field.len &&
                    !index_defs_find(out, field.data);
        if (good && read_def(&m, self, index_defs_need(out, field.data)))
            continue;
        index_defs_release(out);
        return err_set(err, -EINVAL, "what it says of the index '%.*s'",
                       (int)(m.name_len < 60 ? m.name_len : 60), m.name);
    }
    return 0;
}
