/* <table>/.fields/<key>/<field>: one field of a row as text. A string is itself
 * and a newline, anything else its JSON. What is written becomes the field's
 * value by the schema's type, in one commit; every other byte of the row stays.
 * rm removes the field.
 *
 * Where the schema says nothing a string stays a string; what is new, or was
 * something else, is JSON if it reads as such, and text if not. */
#include "fs/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "fs/call.h"
#include "fs/file.h"
#include "fs/gather.h"
#include "fs/handle.h"
#include "fs/notify.h"
#include "fs/path.h"
#include "fs/view.h"

/* So often others may get in between reading a row and writing it. */
#define TRIES 100

struct fields_dir {
    struct node node;
    /* all set at creation */
    struct table *table; /* a reference */
    struct local *local;
    char *key;
    size_t key_len;
};

struct field_file {
    struct node node;
    /* all set at creation */
    struct table *table; /* a reference */
    struct local *local;
    char *key;
    size_t key_len;
    char *field;

    atomic_bool made; /* created, and open since: it is there without a value */
};

static const struct node_type type_fields, type_field;

static struct fields_dir *dir_of(struct node *n)
{
    return (struct fields_dir *)n;
}

static struct field_file *field_of(struct node *n)
{
    return (struct field_file *)n;
}

static char *copy_key(const char *key, size_t len)
{
    char *s = xmalloc(len + 1);

    memcpy(s, key, len);
    s[len] = '\0';
    return s;
}

/* ".fields/<key>/<name>", for .errors. */
static char *shown_name(const char *key, size_t len, const char *name)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addstr(&b, ".fields/");
    path_of_key_dir(key, len, &b);
    buf_printf(&b, "/%s", name);
    return buf_take_str(&b);
}

static uint64_t ino_of(const struct table *t, const char *key, size_t len,
                       const char *field)
{
    AUTO_STR char *shown = shown_name(key, len, field);

    return fs_hash_ino(table_id(t), shown, strlen(shown));
}

static bool writable(const struct node *n, struct table *t)
{
    return !n->mount->o.read_only && table_writable(t);
}

/* --- values --------------------------------------------------------------- */

/* The field as its file holds it; false: the row has it not. */
static bool value_text(const char *row, size_t len, const char *field,
                       struct buf *out, enum json_type *type)
{
    struct json_member m;

    if (!json_find(row, len, field, &m))
        return false;
    if (m.type == JSON_STRING)
        json_unescape(m.value, m.value_len, out);
    else
        buf_add(out, m.value, m.value_len);
    buf_addc(out, '\n');
    if (type)
        *type = m.type;
    return true;
}

/* Is it one JSON value, of any kind? */
static int check_json(const char *text, size_t len, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addstr(&b, "{\"\":");
    buf_add(&b, text, len);
    buf_addc(&b, '}');
    return json_check(b.data, b.len, err);
}

static const char *type_name(enum schema_type t)
{
    switch (t) {
    case SCHEMA_INT:
        return "a whole number";
    case SCHEMA_FLOAT:
        return "a number";
    case SCHEMA_BOOL:
        return "true or false";
    case SCHEMA_OBJECT:
        return "a JSON object";
    case SCHEMA_ARRAY:
        return "a JSON array";
    default:
        return "a JSON value";
    }
}

/* What was written, as a JSON value. was: what the field is, or JSON_NULL. */
static int value_of(const struct schema *s, const char *field,
                    enum json_type was, const char *text, size_t len,
                    struct buf *out, struct err *err)
{
    enum schema_type type = schema_field_type(s, field, strlen(field));

    if (!utf8_valid(text, len))
        return err_set(err, -EILSEQ, "field '%s': this is not UTF-8", field);
    if (len > 0 && text[len - 1] == '\n')
        len--;
    bool is_text = type == SCHEMA_STR ||
                   (type == SCHEMA_ANY &&
                    (was == JSON_STRING || check_json(text, len, NULL) < 0));
    if (is_text) {
        buf_add_json(out, text, len);
        return 0;
    }
    if (check_json(text, len, NULL) < 0)
        return err_set(err, -EINVAL, "field '%s': expected %s, found '%.*s'",
                       field, type_name(type), len > 80 ? 80 : (int)len, text);
    buf_add(out, text, len);
    return 0;
}

/* --- .fields -------------------------------------------------------------- */

struct key_init {
    struct table *table;
    const struct row *row;
};

static int view_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, fs_hash_ino(table_id(t), "/.fields", 8),
                n->mount->started_ms, false, st);
    return 0;
}

static void lookup_key_run(fuse_req_t req, struct call *c)
{
    struct table *t = table_view_of(c->node)->table;
    AUTO_BUF struct buf file = BUF_INIT;
    struct row *row = NULL;
    struct path p;

    buf_printf(&file, "%s%s", c->name, PATH_ROW_SUFFIX);
    if (path_parse(file.data, &p) == 0)
        row = table_row_named(t, &p, file.data);
    buf_release(&p.text);
    if (row) {
        struct key_init i = {t, row};
        struct node *n = node_get(c->node->mount->inodes, &type_fields, c->node,
                                  c->name, &i);
        fs_reply_node(req, n);
        node_unref(n);
    } else {
        fuse_reply_err(req, ENOENT);
    }
    row_unref(row);
}

static void lookup_key(fuse_req_t req, struct node *dir, const char *name)
{
    call_when_open(req, table_view_of(dir)->table,
                   call_new(dir, name, lookup_key_run));
}

/* Rows are listed in their table. */
static void list_nothing(struct node *dir, struct listing *l)
{
    uint64_t table = table_id(table_view_of(dir)->table);

    listing_dots(l, fs_hash_ino(table, "/.fields", 8), table);
    listing_reply(l);
}

const struct node_type view_fields = {
    .name = ".fields",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .init = table_view_init,
    .release = table_view_release,
    .attr = view_attr,
    .lookup = lookup_key,
    .list = list_nothing,
};

/* --- the row's text ------------------------------------------------------- */

struct reading {
    struct text *text;
    int r;
    struct err err;
};

static void reading_free(void *data)
{
    struct reading *g = data;

    if (g->text)
        text_unref(g->text);
    free(g);
}

/* The node is a directory of fields, or one of them: both begin alike. */
static int load_row(struct call *c, struct err *err)
{
    struct fields_dir *d = dir_of(c->node);
    struct reading *g = c->data;
    struct row *row = row_find(d->table, d->key, d->key_len);

    (void)err;
    g->r = row ? row_load_text_wait(d->table, row, &g->text, &g->err) : -ENOENT;
    row_unref(row);
    return 0;
}

/* run with the row's text, at once where it is in memory. */
static void with_row(fuse_req_t req, struct call *c)
{
    struct fields_dir *d = dir_of(c->node);
    struct row *row = row_find(d->table, d->key, d->key_len);
    bool here = !row || row_text(row);

    row_unref(row);
    c->data = xcalloc(1, sizeof(struct reading));
    c->release = reading_free;
    c->work = load_row;
    if (!here) {
        call_spawn(req, c);
        return;
    }
    load_row(c, NULL);
    c->run(req, c);
    call_free(c);
}

/* True: it went wrong, and was answered. */
static bool failed(fuse_req_t req, struct call *c)
{
    struct reading *g = c->data;
    struct fields_dir *d = dir_of(c->node);

    if (g->r == 0)
        return false;
    if (g->r != -ENOENT) {
        AUTO_STR char *shown =
            shown_name(d->key, d->key_len, c->name ? c->name : "");
        local_refused(d->local, shown, g->r, err_text(&g->err, g->r), NULL, 0);
    }
    fuse_reply_err(req, fs_errno(g->r));
    return true;
}

/* --- .fields/<key> -------------------------------------------------------- */

static void dir_init(struct node *n, const void *arg)
{
    const struct key_init *i = arg;
    struct fields_dir *d = dir_of(n);

    d->table = table_ref(i->table);
    d->local = local_of(n->mount, table_id(i->table));
    d->key = copy_key(row_key(i->row), i->row->key_len);
    d->key_len = i->row->key_len;
}

static void dir_release(struct node *n)
{
    free(dir_of(n)->key);
    table_unref(dir_of(n)->table);
}

static int dir_attr(struct node *n, struct stat *st)
{
    struct fields_dir *d = dir_of(n);
    struct row *row = row_find(d->table, d->key, d->key_len);

    if (!row)
        return -ENOENT;
    fs_stat_dir(n->mount, ino_of(d->table, d->key, d->key_len, ""),
                row->mtime_ms, writable(n, d->table), st);
    row_unref(row);
    return 0;
}

static struct node *field_node(struct node *dir, const char *name,
                               const char *field)
{
    struct fields_dir *d = dir_of(dir);
    struct field_file i = {
        .table = d->table,
        .local = d->local,
        .key = d->key,
        .key_len = d->key_len,
        .field = (char *)(uintptr_t)field,
    };

    return node_get(dir->mount->inodes, &type_field, dir, name, &i);
}

static void lookup_field_run(fuse_req_t req, struct call *c)
{
    struct reading *g = c->data;
    AUTO_BUF struct buf field = BUF_INIT, value = BUF_INIT;

    if (failed(req, c))
        return;
    if (path_dir_name(c->name, &field) < 0 ||
        !value_text(g->text->data, g->text->len, field.data, &value, NULL)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct node *n = field_node(c->node, c->name, field.data);
    fs_reply_node(req, n);
    node_unref(n);
}

static void lookup_field(fuse_req_t req, struct node *dir, const char *name)
{
    with_row(req, call_new(dir, name, lookup_field_run));
}

static void list_fields_run(fuse_req_t req, struct call *c)
{
    struct reading *g = c->data;
    struct listing *l = &c->listing;
    struct fields_dir *d = dir_of(c->node);
    struct json_member m;
    size_t at = 0;
    off_t i = 2;

    if (failed(req, c))
        return;
    l->req = req;
    bool room = listing_dots(l, ino_of(d->table, d->key, d->key_len, ""),
                             fs_hash_ino(table_id(d->table), "/.fields", 8));
    while (room && json_next(g->text->data, g->text->len, &at, &m)) {
        AUTO_BUF struct buf field = BUF_INIT, name = BUF_INIT;
        struct stat st = {.st_mode = S_IFREG};
        json_unescape(m.name, m.name_len, &field);
        if (++i <= l->after || field.len == 0 ||
            memchr(field.data, 0, field.len))
            continue;
        path_of_dir(field.data, &name);
        st.st_ino = ino_of(d->table, d->key, d->key_len, field.data);
        room = listing_add(l, name.data, NULL, &st, i);
    }
    listing_reply(l);
}

/* The kernel may keep it until the row changes, which says so. */
static void list_fields(struct node *dir, struct listing *l)
{
    struct call *c = call_new(dir, NULL, list_fields_run);

    c->listing = *l;
    with_row(l->req, c);
}

static void create_field(fuse_req_t req, struct node *dir, const char *name,
                         mode_t mode, struct fuse_file_info *fi)
{
    struct fields_dir *d = dir_of(dir);
    AUTO_STR char *shown = shown_name(d->key, d->key_len, name);
    AUTO_BUF struct buf field = BUF_INIT;

    (void)mode;
    if (path_dir_name(name, &field) < 0) {
        local_refuse(req, d->local, shown, EINVAL,
                     "no field is named so (%%XX for '/', '%%', control "
                     "characters, a leading '.', '@' before digits)");
        return;
    }
    /* An editor that may not put its backup here has another place for it. */
    if (field.data[field.len - 1] == '~') {
        local_refuse(req, d->local, shown, EPERM,
                     "it would be a backup, and a field of the row; a field "
                     "of this name is set by .patch");
        return;
    }
    struct node *n = field_node(dir, name, field.data);
    atomic_store(&field_of(n)->made, true);
    gather_open(req, n, fi, NULL, 0, true);
    node_unref(n);
}

static int remove_work(struct call *c, struct err *err)
{
    struct fields_dir *d = dir_of(c->node);
    struct reading *g = c->data;
    AUTO_BUF struct buf field = BUF_INIT, patch = BUF_INIT, value = BUF_INIT;

    if (path_dir_name(c->name, &field) < 0) {
        g->r = -ENOENT;
        return 0;
    }
    load_row(c, err);
    /* Made and never written: its name is all that goes. */
    if (g->r < 0 ||
        !value_text(g->text->data, g->text->len, field.data, &value, NULL))
        return 0;
    buf_addc(&patch, '{');
    buf_add_json(&patch, field.data, field.len);
    buf_addstr(&patch, ":null}");
    g->r = table_patch_wait(d->table, d->key, d->key_len, patch.data, patch.len,
                            0, NULL, &g->err);
    return 0;
}

static void remove_run(fuse_req_t req, struct call *c)
{
    if (!failed(req, c))
        fuse_reply_err(req, 0);
}

static void remove_field(fuse_req_t req, struct node *dir, const char *name)
{
    struct call *c = call_new(dir, name, remove_run);

    c->data = xcalloc(1, sizeof(struct reading));
    c->release = reading_free;
    c->work = remove_work;
    call_spawn(req, c);
}

static const struct node_type type_fields = {
    .type = S_IFDIR,
    .size = sizeof(struct fields_dir),
    .live = true,
    .init = dir_init,
    .release = dir_release,
    .attr = dir_attr,
    .lookup = lookup_field,
    .list = list_fields,
    .create = create_field,
    .unlink = remove_field,
};

/* --- .fields/<key>/<field> ------------------------------------------------ */

static void field_init(struct node *n, const void *arg)
{
    const struct field_file *i = arg;
    struct field_file *f = field_of(n);

    f->table = table_ref(i->table);
    f->local = i->local;
    f->key = copy_key(i->key, i->key_len);
    f->key_len = i->key_len;
    f->field = xstrdup(i->field);
    atomic_init(&f->made, false);
}

static void field_release(struct node *n)
{
    struct field_file *f = field_of(n);

    free(f->key);
    free(f->field);
    table_unref(f->table);
}

/* From memory: of a row whose text is not, what the engine's cache has, or an
 * empty file that is read past its size all the same. A field that is not there
 * is one that is about to be made, or was: getattr tells. */
static int field_attr(struct node *n, struct stat *st)
{
    struct field_file *f = field_of(n);
    AUTO_BUF struct buf value = BUF_INIT;
    struct row *row = row_find(f->table, f->key, f->key_len);

    if (!row)
        return -ENOENT;
    if (row_text(row))
        value_text(row_text(row), row->text_len, f->field, &value, NULL);
    fs_stat_file(n->mount, ino_of(f->table, f->key, f->key_len, f->field),
                 row->mtime_ms, writable(n, f->table), value.len, st);
    row_unref(row);
    return 0;
}

static void getattr_run(fuse_req_t req, struct call *c)
{
    struct reading *g = c->data;
    struct field_file *f = field_of(c->node);
    AUTO_BUF struct buf value = BUF_INIT;
    struct stat st;

    if (failed(req, c))
        return;
    int r = c->node->type->attr(c->node, &st);
    if (r < 0) {
        fuse_reply_err(req, -r);
        return;
    }
    if (!value_text(g->text->data, g->text->len, f->field, &value, NULL) &&
        !atomic_load(&f->made)) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    st.st_size = (off_t)value.len;
    fuse_reply_attr(req, &st, 0);
}

static void field_getattr(fuse_req_t req, struct node *n)
{
    with_row(req, call_new(n, NULL, getattr_run));
}

static void open_run(fuse_req_t req, struct call *c)
{
    struct reading *g = c->data;
    struct field_file *f = field_of(c->node);
    AUTO_BUF struct buf value = BUF_INIT;

    if (failed(req, c))
        return;
    if (!value_text(g->text->data, g->text->len, f->field, &value, NULL) &&
        (c->fi.flags & O_ACCMODE) == O_RDONLY)
        fuse_reply_err(req, ENOENT);
    else
        gather_open(req, c->node, &c->fi, value.data, value.len, false);
}

static void field_open(fuse_req_t req, struct node *n,
                       struct fuse_file_info *fi)
{
    struct call *c = call_new(n, NULL, open_run);

    c->fi = *fi;
    with_row(req, c);
}

/* A read-only mount has no open files: what is in memory. */
static void field_text(struct node *n, struct buf *out)
{
    struct field_file *f = field_of(n);
    struct row *row = row_find(f->table, f->key, f->key_len);

    if (row && row_text(row))
        value_text(row_text(row), row->text_len, f->field, out, NULL);
    row_unref(row);
}

/* One try: the row with the value in it, if nobody comes between. */
static int put_value(struct field_file *f, const char *text, size_t len,
                     struct err *err)
{
    AUTO_BUF struct buf old = BUF_INIT, value = BUF_INIT, now = BUF_INIT;
    enum json_type was = JSON_NULL;
    struct text *row_is = NULL;
    struct row *row = row_find(f->table, f->key, f->key_len);

    if (!row)
        return err_set(err, -ENOENT, "the row was removed");
    uint32_t version = row->version;
    int r = row_load_text_wait(f->table, row, &row_is, err);
    row_unref(row);
    if (r < 0)
        return r;
    value_text(row_is->data, row_is->len, f->field, &old, &was);
    struct schema *s = table_schema(f->table);
    r = value_of(s, f->field, was, text, len, &value, err);
    schema_unref(s);
    if (r == 0) {
        size_t end = row_is->len;
        while (end > 0 && row_is->data[end - 1] == '\n')
            end--;
        json_with_member(row_is->data, end, f->field, value.data, value.len,
                         &now);
    }
    text_unref(row_is);
    if (r < 0)
        return r;
    struct write w = {
        .kind = WRITE_PUT,
        .key = f->key,
        .key_len = f->key_len,
        .text = now.data,
        .text_len = now.len,
        .if_version = version,
        .must_exist = true,
    };
    return table_write_wait(f->table, &w, NULL, err);
}

static int field_store(struct node *n, const char *text, size_t len,
                       atomic_bool *stopped, struct err *err)
{
    int r = -ESTALE;

    for (int i = 0; i < TRIES && r == -ESTALE; i++) {
        if (atomic_load(stopped))
            return -EINTR;
        r = put_value(field_of(n), text, len, err);
    }
    return r;
}

/* An object or a list may go on in the next line. */
static bool field_is_ready(struct node *n, const char *text, size_t len)
{
    (void)n;
    return len == 0 || !strchr("{[", text[0]) ||
           check_json(text, len, NULL) == 0;
}

static void field_refused(struct node *n, int r, const char *why,
                          const char *text, size_t len)
{
    struct field_file *f = field_of(n);
    AUTO_STR char *name = node_name(n, NULL);
    AUTO_STR char *shown = shown_name(f->key, f->key_len, name);

    (void)text;
    (void)len;
    local_refused(f->local, shown, r, why, NULL, 0);
}

static void field_close(struct node *n, struct handle *h)
{
    if (handle_writes(h))
        atomic_store(&field_of(n)->made, false);
    gather_release(n, h);
}

void fields_changed(struct node *table, const struct row *row)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct inodes *inodes = table->mount->inodes;
    struct node *all = node_find(inodes, table, view_fields.name);

    path_of_key_dir(row_key(row), row->key_len, &name);
    struct node *dir = all ? node_find(inodes, all, name.data) : NULL;
    if (dir)
        notify_changed(table->mount->notify, dir);
    node_unref(dir);
    node_unref(all);
}

static const struct node_type type_field = {
    .type = S_IFREG,
    .size = sizeof(struct field_file),
    .live = true,
    .init = field_init,
    .release = field_release,
    .attr = field_attr,
    .text = field_text,
    .getattr = field_getattr,
    .setattr = gather_setattr,
    .open = field_open,
    .read = gather_read,
    .write = gather_write,
    .flush = gather_flush,
    .release_handle = field_close,
    .store = field_store,
    .is_ready = field_is_ready,
    .refused = field_refused,
};
