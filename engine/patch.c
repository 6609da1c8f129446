#include "engine/patch.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#include "engine/json.h"

/* Without the member, and without the comma that it leaves behind. */
static void remove_member(struct buf *text, const struct json_member *m)
{
    size_t start = (size_t)(m->name - 1 - text->data);
    size_t end = (size_t)(m->value + m->value_len - text->data);
    AUTO_BUF struct buf rest = BUF_INIT;

    while (end < text->len && strchr(" \t\r\n", text->data[end]))
        end++;
    if (end < text->len && text->data[end] == ',') {
        end++;
        while (end < text->len && strchr(" \t\r\n", text->data[end]))
            end++;
    } else {
        /* The last one: the comma before it goes, if there is one, and the
         * closing brace stays where it was. */
        end = (size_t)(m->value + m->value_len - text->data);
        size_t at = start;
        while (at > 0 && strchr(" \t\r\n", text->data[at - 1]))
            at--;
        if (at > 0 && text->data[at - 1] == ',')
            start = at - 1;
    }
    buf_add(&rest, text->data + end, text->len - end);
    buf_truncate(text, start);
    buf_add(text, rest.data, rest.len);
}

static void append_member(struct buf *text, const struct json_member *named,
                          const char *value, size_t len)
{
    struct json_member m;
    size_t at = 0;
    bool empty = !json_next(text->data, text->len, &at, &m);
    size_t close = text->len;
    AUTO_BUF struct buf tail = BUF_INIT;

    while (text->data[close - 1] != '}')
        close--;
    size_t end = close - 1; /* of the last member */
    while (!empty && strchr(" \t\r\n", text->data[end - 1]))
        end--;
    buf_add(&tail, text->data + end, text->len - end);
    buf_truncate(text, end);
    if (!empty)
        buf_addc(text, ',');
    buf_addc(text, '"');
    buf_add(text, named->name, named->name_len);
    buf_addstr(text, "\":");
    buf_add(text, value, len);
    buf_add(text, tail.data, tail.len);
}

static void replace_value(struct buf *text, const struct json_member *m,
                          const char *value, size_t len)
{
    size_t start = (size_t)(m->value - text->data);
    size_t end = start + m->value_len;
    AUTO_BUF struct buf tail = BUF_INIT;

    buf_add(&tail, text->data + end, text->len - end);
    buf_truncate(text, start);
    buf_add(text, value, len);
    buf_add(text, tail.data, tail.len);
}

/* As json_find(), for a name that may have a NUL in it. */
static bool find_member(const struct buf *text, const struct buf *name,
                        struct json_member *out)
{
    struct json_member m;

    for (size_t at = 0; json_next(text->data, text->len, &at, &m);) {
        if (!json_name_is(&m, name->data ? name->data : "", name->len))
            continue;
        *out = m;
        return true;
    }
    return false;
}

static void merge(const char *text, size_t len, const char *patch,
                  size_t patch_len, struct buf *out)
{
    AUTO_BUF struct buf result = BUF_INIT;
    struct json_member p;

    buf_add(&result, text, len);
    for (size_t at = 0; json_next(patch, patch_len, &at, &p);) {
        AUTO_BUF struct buf name = BUF_INIT;
        AUTO_BUF struct buf value = BUF_INIT;
        struct json_member have;

        json_unescape(p.name, p.name_len, &name);
        bool there = find_member(&result, &name, &have);
        if (p.type == JSON_NULL) {
            if (there)
                remove_member(&result, &have);
            continue;
        }
        if (p.type == JSON_OBJECT) {
            /* Nulls in it are not values even where nothing is there yet. */
            if (there && have.type == JSON_OBJECT)
                merge(have.value, have.value_len, p.value, p.value_len, &value);
            else
                merge("{}", 2, p.value, p.value_len, &value);
        } else {
            buf_add(&value, p.value, p.value_len);
        }
        if (there)
            replace_value(&result, &have, value.data, value.len);
        else
            append_member(&result, &p, value.data, value.len);
    }
    buf_add(out, result.data, result.len);
}

int patch_merge(const char *text, size_t len, const char *patch,
                size_t patch_len, struct buf *out, struct err *err)
{
    int r = json_check(patch, patch_len, err);
    if (r < 0)
        return err_wrap(err, r, "the patch");
    merge(text, len, patch, patch_len, out);
    return 0;
}
