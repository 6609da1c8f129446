/* Rows of a table, as engine.h tells of them: the schema in front of the
 * ledger. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/engine_impl.h"
#include "engine/patch.h"

struct row *row_find(struct table *t, const char *key, size_t key_len)
{
    return ledger_find(t->ledger, key, key_len);
}

size_t row_list(struct table *t, uint64_t after, struct row **out, size_t n)
{
    return ledger_list(t->ledger, after, out, n);
}

size_t row_count(struct table *t)
{
    return ledger_count(t->ledger);
}

int row_load_text(struct table *t, struct row *r, struct text **out,
                  text_loaded *done, void *arg)
{
    return ledger_load_text(t->ledger, r, out, done, arg);
}

int row_load_text_wait(struct table *t, struct row *r, struct text **out,
                       struct err *err)
{
    return ledger_load_text_wait(t->ledger, r, out, err);
}

/* A write as it goes to the ledger: the text as it is to be stored. */
struct checked {
    struct write w;
    struct buf text, key;
};

static void checked_release(struct checked *c)
{
    buf_release(&c->text);
    buf_release(&c->key);
}

static int check_write(struct table *t, const struct write *w,
                       struct checked *out, struct err *err)
{
    struct schema *s = table_schema(t);
    int r = 0;

    *out = (struct checked){.w = *w};
    if (w->kind == WRITE_PUT && !w->text) {
        r = err_set(err, -EINVAL, "a row needs a text");
    } else if (w->kind == WRITE_PUT) {
        r = schema_check(s, w->key, w->key_len, w->text, w->text_len,
                         &out->text, &out->key, err);
        if (r == 0 && !w->key) {
            out->w.key = out->key.data;
            out->w.key_len = out->key.len;
        }
    } else if (w->kind == WRITE_RENAME) {
        r = schema_check_key(w->to, w->to_len, err);
        if (r == 0 && w->text)
            r = schema_check(s, w->to, w->to_len, w->text, w->text_len,
                             &out->text, NULL, err);
    }
    if (w->text) {
        out->w.text = out->text.data;
        out->w.text_len = out->text.len;
    }
    schema_unref(s);
    if (r < 0)
        checked_release(out);
    return r;
}

int table_write(struct table *t, const struct write *w, write_done *done,
                void *arg, uint64_t *ticket, struct err *err)
{
    struct checked c;

    if (t->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only");
    int r = check_write(t, w, &c, err);
    if (r < 0)
        return r;
    r = ledger_write(t->ledger, &c.w, done, arg, ticket, err);
    checked_release(&c);
    return r;
}

void table_write_flush(struct table *t)
{
    ledger_flush(t->ledger);
}

bool table_write_cancel(struct table *t, uint64_t ticket)
{
    return ledger_cancel(t->ledger, ticket);
}

int table_write_wait(struct table *t, const struct write *w, struct row **out,
                     struct err *err)
{
    struct checked c;

    if (t->engine->core.read_only)
        return err_set(err, -EROFS, "mounted read-only");
    int r = check_write(t, w, &c, err);
    if (r < 0)
        return r;
    r = ledger_write_wait(t->ledger, &c.w, out, err);
    checked_release(&c);
    return r;
}

#define PATCH_TRIES 8

static int patch_once(struct table *t, struct row *row, const char *patch,
                      size_t len, struct row **out, struct err *err)
{
    AUTO_BUF struct buf merged = BUF_INIT;
    struct text *text;

    int r = row_load_text_wait(t, row, &text, err);
    if (r < 0)
        return r;
    r = patch_merge(text->data, text->len, patch, len, &merged, err);
    text_unref(text);
    if (r < 0)
        return r;
    struct write w = {
        .kind = WRITE_PUT,
        .key = row_key(row),
        .key_len = row->key_len,
        .text = merged.data,
        .text_len = merged.len,
        .must_exist = true,
        .if_version = row->version,
    };
    return table_write_wait(t, &w, out, err);
}

int table_patch_wait(struct table *t, const char *key, size_t key_len,
                     const char *patch, size_t len, uint32_t if_version,
                     struct row **out, struct err *err)
{
    int r = -ESTALE;

    /* Somebody else may change the row in between; then once more, unless
     * this one version was meant. */
    for (int i = 0; r == -ESTALE && i < PATCH_TRIES; i++) {
        struct row *row = row_find(t, key, key_len);
        if (!row)
            return err_set(err, -ENOENT, "there is no '%.*s'",
                           key_len > 120 ? 120 : (int)key_len, key);
        if (if_version && row->version != if_version) {
            r = err_set(err, -ESTALE, "'%.*s' is at version %u, not %u",
                        key_len > 120 ? 120 : (int)key_len, key, row->version,
                        if_version);
            row_unref(row);
            return r;
        }
        r = patch_once(t, row, patch, len, out, err);
        row_unref(row);
        if (if_version)
            break;
    }
    return r;
}
