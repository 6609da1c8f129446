/* <table>/.schema.json: what a row must look like. */
#include "fs/table.h"

#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "fs/document.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/pending.h"
#include "fs/view.h"

#define SCHEMA_MAX (256 * 1024)

static int schema_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;
    struct schema *s = table_schema(t);
    size_t len;

    schema_text(s, &len);
    fs_stat_file(n->mount, fs_hash_ino(table_id(t), "/.schema.json", 13),
                 table_defined_ms(t),
                 !n->mount->o.read_only && table_writable(t), len, st);
    schema_unref(s);
    return 0;
}

static void schema_text_now(struct node *n, struct buf *out)
{
    struct schema *s = table_schema(table_view_of(n)->table);
    size_t len;
    const char *text = schema_text(s, &len);

    buf_add(out, text, len);
    schema_unref(s);
}

/* Changing it checks every row, so the table is opened: on a thread that may
 * wait. */
static void store(void *arg)
{
    struct commit *c = arg;
    struct table *t = table_view_of(c->node)->table;
    struct err err = ERR_INIT;
    struct schema *old = table_schema(t), *s = NULL;

    /* What the text does not say of the key and of indexes stays. */
    int r = schema_parse_over(old, c->text, c->len, &s, &err);
    schema_unref(old);
    if (r == 0)
        r = table_open_wait(t, &err);
    if (r == 0)
        r = table_schema_set(t, s, false, &err);
    schema_unref(s);
    commit_done(c, r, &err);
}

static void schema_commit(struct node *n, struct commit *c)
{
    engine_spawn(n->mount->engine, store, c);
}

static void schema_refused(struct node *n, int r, const char *why,
                           const char *text, size_t len)
{
    local_refused(table_view_of(n)->local, ".schema.json", r, why, text, len);
}

static size_t schema_max(struct node *n)
{
    (void)n;
    return SCHEMA_MAX;
}

const struct node_type view_schema = {
    .name = ".schema.json",
    .type = S_IFREG,
    .size = sizeof(struct table_view),
    .live = true,
    .document = true,
    .init = table_view_init,
    .release = table_view_release,
    .attr = schema_attr,
    .text = schema_text_now,
    .commit = schema_commit,
    .refused = schema_refused,
    .max = schema_max,
};
