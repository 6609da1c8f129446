/* <table>/.idx/<field>/<value>/: the rows by the values of an index.
 *
 *     mkdir .idx/<field>           builds it         rmdir   drops it
 *     touch .idx/<field>/.unique   makes it unique   rm      undoes that
 *
 * A value has a name as a path's term has one: the text of a string, a number,
 * true, false or null as they are. Where that could be another value (the
 * string "42" of a field without a type) or no name at all (the empty string)
 * the string is written as JSON, in quotes. Names are escaped as keys are. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/base/str.h"
#include "engine/index.h"
#include "engine/json.h"
#include "engine/value.h"
#include "fs/handle.h"
#include "fs/path.h"
#include "fs/set.h"
#include "fs/table.h"
#include "fs/view.h"

#define PAGE_ROWS 256
#define UNIQUE ".unique"

static const struct node_type type_field, type_value, type_unique;

struct field_dir {
    struct node node;
    struct table *table; /* a reference; set at creation, as all up to path */
    struct local *local;
    char *field;
    char *path; /* ".idx/role" */

    /* under local->lock; see set.h */
    struct page *page, *last;
};

static struct field_dir *field_of(struct node *n)
{
    return (struct field_dir *)n;
}

struct field_init {
    struct table_view *view;
    const char *field, *name;
};

static void field_init(struct node *n, const void *arg)
{
    const struct field_init *i = arg;
    struct field_dir *d = field_of(n);
    AUTO_BUF struct buf path = BUF_INIT;

    buf_printf(&path, ".idx/%s", i->name);
    d->table = table_ref(i->view->table);
    d->local = i->view->local;
    d->field = xstrdup(i->field);
    d->path = buf_take_str(&path);
}

static void field_release(struct node *n)
{
    struct field_dir *d = field_of(n);

    page_free(d->page);
    page_free(d->last);
    table_unref(d->table);
    free(d->field);
    free(d->path);
}

/* Is there an index by this field? */
static bool is_indexed(struct table *t, const char *field, bool *unique)
{
    struct schema *s = table_schema(t);
    bool found = false;

    for (size_t i = 0; !found && i < schema_index_count(s); i++)
        found = strcmp(schema_index_at(s, i, unique), field) == 0;
    schema_unref(s);
    return found;
}

/* --- values and their names -------------------------------------------------
 */

/* One JSON value and nothing else. */
static bool is_json(const char *s, size_t len, enum json_type *type)
{
    AUTO_BUF struct buf text = BUF_INIT;
    struct json_member m;

    buf_addstr(&text, "{\"v\":");
    buf_add(&text, s, len);
    buf_addc(&text, '}');
    if (json_check(text.data, text.len, NULL) < 0 ||
        !json_find(text.data, text.len, "v", &m) || m.value_len != len)
        return false;
    *type = m.type;
    return true;
}

/* How a text is read as a value of the field. */
struct reading {
    bool string;   /* all texts are strings … */
    bool nullable; /* … but null */
};

static struct reading reading_of(const struct schema *s, const char *field)
{
    size_t len = strlen(field);

    return (struct reading){
        .string = schema_field_type(s, field, len) == SCHEMA_STR,
        .nullable = schema_field_nullable(s, field, len),
    };
}

/* Could the text be read as something else than this string? */
static bool must_quote(struct reading r, const char *s, size_t len)
{
    if (len == 0 || s[0] == '"' || !utf8_valid(s, len))
        return true;
    if (r.string)
        return r.nullable && len == 4 && memcmp(s, "null", 4) == 0;
    return s[0] == '[' || s[0] == '{' || json_is_plain(s, len);
}

/* The value as JSON to the text of its name. */
static void text_of_value(struct reading r, const char *json, size_t len,
                          struct buf *out)
{
    AUTO_BUF struct buf own = BUF_INIT;

    if (json_type_of(json, len) == JSON_STRING) {
        json_unescape(json, len, &own);
        if (!must_quote(r, own.data, own.len)) {
            buf_add(out, own.data, own.len);
            return;
        }
    }
    buf_add(out, json, len);
}

/* And back. False: no value has this name. */
static bool value_of_text(struct reading r, const char *s, size_t len,
                          struct buf *json)
{
    enum json_type type;

    if (len > 0 && s[0] == '"') {
        if (!is_json(s, len, &type) || type != JSON_STRING)
            return false;
        buf_add(json, s, len);
    } else if (r.string
                   ? r.nullable && len == 4 && memcmp(s, "null", 4) == 0
                   : json_is_plain(s, len) || ((s[0] == '[' || s[0] == '{') &&
                                               is_json(s, len, &type))) {
        buf_add(json, s, len);
    } else {
        buf_add_json(json, s, len);
    }
    return true;
}

/* --- walking the values ------------------------------------------------------
 */

struct seen {
    size_t len;
    char canonical[];
};

static uint64_t seen_hash(const void *item)
{
    const struct seen *s = item;

    return hash_bytes(s->canonical, s->len);
}

static bool seen_is(const void *item, const void *key)
{
    const struct seen *a = item, *b = key;

    return a->len == b->len && memcmp(a->canonical, b->canonical, a->len) == 0;
}

static const struct map_type seen_type = {seen_hash, seen_is};

static void add_zeros(struct buf *out, int64_t n)
{
    for (; n > 0; n--)
        buf_addc(out, '0');
}

/* Longer ones are written with an exponent. */
#define PLAIN_DIGITS 20

/* A number as people write it, from its canonical form: digits and the power
 * of ten of the first, "365e1" for 36.5. False: as a row has it, then. */
static bool add_number(struct buf *out, const char *s, size_t len)
{
    const char *e = memchr(s, 'e', len);
    uint64_t power10 = 0;

    bool down = e && e + 1 < s + len && e[1] == '-';
    const char *digits = e ? e + 1 + down : NULL;
    if (!e || !str_to_u64_n(digits, (size_t)(s + len - digits), &power10) ||
        power10 > INT32_MAX)
        return false;
    int64_t power = down ? -(int64_t)power10 : (int64_t)power10;
    if (*s == '-')
        buf_addc(out, *s++);
    int64_t n = e - s, whole = power + 1;
    if (whole > PLAIN_DIGITS || whole < -5) {
        buf_addc(out, *s);
        if (n > 1)
            buf_addc(out, '.');
        buf_add(out, s + 1, (size_t)n - 1);
        buf_printf(out, "e%jd", (intmax_t)power);
    } else if (whole <= 0) {
        buf_addstr(out, "0.");
        add_zeros(out, -whole);
        buf_add(out, s, (size_t)n);
    } else if (n <= whole) {
        buf_add(out, s, (size_t)n);
        add_zeros(out, whole - n);
    } else {
        buf_add(out, s, (size_t)whole);
        buf_addc(out, '.');
        buf_add(out, s + whole, (size_t)(n - whole));
    }
    return true;
}

/* The value as JSON, from a row that has it. */
static int json_of(struct table *t, struct row *row, const char *field,
                   const struct seen *s, struct buf *json, struct err *err)
{
    struct text *text = NULL;
    struct json_member m;

    /* What need not be looked for in the text; of numbers and strings that are
     * equal all rows then give one name. */
    if (s->len > 4 && memcmp(s->canonical, "num:", 4) == 0 &&
        add_number(json, s->canonical + 4, s->len - 4))
        return 0;
    if (s->len > 4 && memcmp(s->canonical, "raw:", 4) == 0) {
        buf_add(json, s->canonical + 4, s->len - 4);
        return 0;
    }
    if (s->len >= 4 && memcmp(s->canonical, "str:", 4) == 0) {
        buf_add_json(json, s->canonical + 4, s->len - 4);
        return 0;
    }
    int r = row_load_text_wait(t, row, &text, err);
    if (r < 0)
        return r;
    const char *data = text ? text->data : row_text(row);
    size_t len = text ? text->len : row->text_len;
    if (data && value_at(data, len, field, &m))
        buf_add(json, m.value, m.value_len);
    if (text)
        text_unref(text);
    return 0;
}

/* A negative errno or 1 ends the walk. */
typedef int each_value(void *arg, const char *json, size_t len);

static int see(struct table *t, struct row *row, const char *field,
               struct map *seen, each_value *each, void *arg, struct err *err)
{
    AUTO_BUF struct buf canonical = BUF_INIT, json = BUF_INIT;

    if (!row_value(row, field, &canonical))
        return 0;
    struct seen *s = xmalloc(sizeof(*s) + canonical.len);
    s->len = canonical.len;
    memcpy(s->canonical, canonical.data, canonical.len);
    if (map_get(seen, seen_hash(s), s)) {
        free(s);
        return 0;
    }
    map_put(seen, s, s);
    int r = json_of(t, row, field, s, &json, err);
    return r < 0 || json.len == 0 ? r : each(arg, json.data, json.len);
}

/* Each value that a row has, in the order of the first rows. Waits. */
static int walk_values(struct table *t, const char *field,
                       const atomic_bool *cancel, each_value *each, void *arg,
                       struct err *err)
{
    struct row *rows[PAGE_ROWS];
    struct map seen = MAP_INIT(&seen_type);
    uint64_t after = 0;
    size_t n, at = 0;
    struct seen *s;
    int r = 0;

    while (r == 0 && (n = row_list(t, after, rows, PAGE_ROWS)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            if (r == 0)
                r = see(t, rows[i], field, &seen, each, arg, err);
            row_unref(rows[i]);
        }
        if (r == 0 && atomic_load(cancel))
            r = -EINTR;
    }
    while ((s = map_next(&seen, &at)))
        free(s);
    map_release(&seen);
    return r < 0 ? r : 0;
}

struct naming {
    struct reading reading;
    struct page *page;
    size_t cap;
    const char *wanted; /* a name: found is the value that has it */
    struct buf found;
};

static int name_value(void *arg, const char *json, size_t len)
{
    struct naming *w = arg;
    AUTO_BUF struct buf text = BUF_INIT, name = BUF_INIT;

    text_of_value(w->reading, json, len, &text);
    path_of_text(text.data, text.len, &name);
    if (w->wanted) {
        if (strcmp(w->wanted, name.data) != 0)
            return 0;
        buf_add(&w->found, json, len);
        return 1;
    }
    struct page *p = w->page;
    if (p->n == w->cap) {
        w->cap = w->cap ? w->cap * 2 : 64;
        p->names = xrealloc(p->names, w->cap * sizeof(*p->names));
    }
    p->names[p->n++] = buf_take_str(&name);
    return 0;
}

/* --- <value>
 * ------------------------------------------------------------------ */

/* What is being looked up: the value's query, as soon as there is one. */
struct wanted {
    struct schema *schema;
    struct query *query;
    bool there; /* some row has the value */
};

static void wanted_free(void *data)
{
    struct wanted *w = data;

    query_unref(w->query);
    schema_unref(w->schema);
    free(w);
}

static int some_row(void *arg, struct row *row, const char *text, size_t len,
                    struct err *err)
{
    (void)row;
    (void)text;
    (void)len;
    (void)err;
    *(bool *)arg = true;
    return 1;
}

/* The name of a value as JSON. -ENOENT: it is none. */
static int value_of_name(struct field_dir *d, struct call *c,
                         const struct schema *s, struct buf *json,
                         struct err *err)
{
    struct naming w = {.reading = reading_of(s, d->field), .wanted = c->name};
    AUTO_BUF struct buf text = BUF_INIT;

    int r = path_text(c->name, &text);
    if (r == 0)
        return value_of_text(w.reading, text.data, text.len, json) ? 0
                                                                   : -ENOENT;
    /* A shortened one: the value that has it is looked for. */
    if (!strstr(c->name, "%~"))
        return -ENOENT;
    r = walk_values(d->table, d->field, &c->cancelled, name_value, &w, err);
    if (r == 0 && w.found.len == 0)
        r = -ENOENT;
    buf_add(json, w.found.data, w.found.len);
    buf_release(&w.found);
    return r;
}

static int ask_for(struct query *q, const char *field, const struct buf *json,
                   struct err *err)
{
    AUTO_BUF struct buf spelled = BUF_INIT, where = BUF_INIT;

    /* One that looks like an operator or a quoted field is quoted itself. */
    if (field[0] == '$' || field[0] == '"')
        buf_add_json(&spelled, field, strlen(field));
    else
        buf_addstr(&spelled, field);
    buf_addc(&where, '{');
    buf_add_json(&where, spelled.data, spelled.len);
    buf_addstr(&where, ":{\"$eq\":");
    buf_add(&where, json->data, json->len);
    buf_addstr(&where, "}}");
    return query_add_where(q, where.data, where.len, err);
}

static int value_work(struct call *c, struct err *err)
{
    struct field_dir *d = field_of(c->node);
    struct wanted *w = c->data;
    AUTO_BUF struct buf json = BUF_INIT, path = BUF_INIT;
    struct find_options o = {
        .resident = true,
        .no_texts = true,
        .cancel = &c->cancelled,
    };

    w->schema = table_schema(d->table);
    int r = value_of_name(d, c, w->schema, &json, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        w->query = query_new(w->schema);
        r = ask_for(w->query, d->field, &json, err);
    }
    if (r == 0)
        r = table_find_wait(d->table, w->query, &o, some_row, &w->there, err);
    buf_printf(&path, "%s/%s", d->path, c->name);
    return r < 0 ? set_failed(c, d->local, path.data, r, err) : 0;
}

static void value_run(fuse_req_t req, struct call *c)
{
    struct field_dir *d = field_of(c->node);
    struct wanted *w = c->data;
    AUTO_BUF struct buf path = BUF_INIT;

    if (c->flags || !w->there) {
        fuse_reply_err(req, c->flags ? (int)c->flags : ENOENT);
        return;
    }
    buf_printf(&path, "%s/%s", d->path, c->name);
    struct set_init i = {
        .table = d->table,
        .local = d->local,
        .schema = w->schema,
        .query = w->query,
        .path = path.data,
        .keeps = true,
    };
    struct inodes *inodes = c->node->mount->inodes;
    struct node *n = node_find(inodes, c->node, c->name);
    if (n && ((struct set_dir *)n)->schema != w->schema)
        node_unhash(n);
    node_unref(n);
    n = node_get(inodes, &type_value, c->node, c->name, &i);
    fs_reply_fresh(req, n);
    node_unref(n);
}

static void value_when_open(fuse_req_t req, struct call *c)
{
    struct call *wait = call_new(c->node, c->name, value_run);

    wait->work = value_work;
    wait->data = xcalloc(1, sizeof(struct wanted));
    wait->release = wanted_free;
    call_spawn(req, wait);
}

static void value_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    if (!view_reply(req, dir, result_views, name))
        set_lookup_row(req, dir, name, NULL);
}

static const struct node_type type_value = {
    .type = S_IFDIR,
    .size = sizeof(struct set_dir),
    .live = true,
    .init = set_init,
    .release = set_release,
    .attr = set_attr,
    .lookup = value_lookup,
    .list = set_list,
    .create = set_create,
    .unlink = set_unlink,
    .rename = set_rename,
};

/* --- .unique
 * -------------------------------------------------------------------- */

/* Empty: that it is there says it all. */
static int unique_attr(struct node *n, struct stat *st)
{
    struct field_dir *d = field_of(n);

    fs_stat_file(n->mount,
                 fs_hash_ino(d->local->table_id, d->path, strlen(d->path)),
                 table_defined_ms(d->table),
                 !n->mount->o.read_only && table_writable(d->table), 0, st);
    return 0;
}

static void unique_init(struct node *n, const void *arg)
{
    const struct field_dir *dir = arg;
    struct field_dir *d = field_of(n);
    AUTO_BUF struct buf path = BUF_INIT;

    buf_printf(&path, "%s/" UNIQUE, dir->path);
    d->table = table_ref(dir->table);
    d->local = dir->local;
    d->field = xstrdup(dir->field);
    d->path = buf_take_str(&path);
}

static void unique_text(struct node *n, struct buf *out)
{
    (void)n;
    (void)out;
}

static void unique_write(fuse_req_t req, struct node *n, struct handle *h,
                         const char *data, size_t size, off_t off)
{
    struct field_dir *d = field_of(n);

    (void)h;
    (void)data;
    (void)size;
    (void)off;
    local_refuse(req, d->local, d->path, EPERM,
                 "it stays empty; rm makes the index one with duplicates");
}

static const struct node_type type_unique = {
    .type = S_IFREG,
    .size = sizeof(struct field_dir),
    .live = true,
    .init = unique_init,
    .release = field_release,
    .attr = unique_attr,
    .text = unique_text,
    .write = unique_write,
};

static struct node *unique_node(struct node *dir)
{
    return node_get(dir->mount->inodes, &type_unique, dir, UNIQUE,
                    field_of(dir));
}

static int set_unique(struct call *c, bool unique, struct err *err)
{
    struct field_dir *d = field_of(c->node);
    AUTO_BUF struct buf path = BUF_INIT;

    int r = table_open_wait(d->table, err);
    if (r == 0)
        r = table_index_set_unique(d->table, d->field, unique, err);
    buf_printf(&path, "%s/" UNIQUE, d->path);
    return r < 0 ? set_failed(c, d->local, path.data, r, err) : 0;
}

static int unique_work(struct call *c, struct err *err)
{
    return set_unique(c, true, err);
}

static int not_unique_work(struct call *c, struct err *err)
{
    return set_unique(c, false, err);
}

static void created(fuse_req_t req, struct call *c)
{
    if (c->flags) {
        fuse_reply_err(req, (int)c->flags);
        return;
    }
    struct node *n = unique_node(c->node);
    struct handle *h = handle_new(n, c->fi.flags);
    h->direct = true;
    c->fi.direct_io = 1;
    handle_give(h, &c->fi);
    handle_ref(h);
    if (fs_reply_created(req, n, &c->fi) < 0)
        handle_unref(h);
    handle_unref(h);
    node_unref(n);
}

static void field_create(struct fuse_req *req, struct node *dir,
                         const char *name, mode_t mode,
                         struct fuse_file_info *fi)
{
    struct field_dir *d = field_of(dir);

    (void)mode;
    if (strcmp(name, UNIQUE) != 0) {
        AUTO_BUF struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", d->path, name);
        local_refuse(req, d->local, path.data, EPERM,
                     "touch .unique is all that can be made here; a row is "
                     "made in its table's directory");
        return;
    }
    struct call *c = call_new(dir, name, created);
    c->fi = *fi;
    c->work = unique_work;
    call_spawn(req, c);
}

static void done(fuse_req_t req, struct call *c)
{
    fuse_reply_err(req, (int)c->flags);
}

static void field_unlink(struct fuse_req *req, struct node *dir,
                         const char *name)
{
    bool unique = false;

    if (strcmp(name, UNIQUE) != 0 ||
        !is_indexed(field_of(dir)->table, field_of(dir)->field, &unique) ||
        !unique) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    struct call *c = call_new(dir, name, done);
    c->work = not_unique_work;
    call_spawn(req, c);
}

/* --- <field>
 * ---------------------------------------------------------------------- */

static uint64_t field_ino(const struct field_dir *d)
{
    return fs_hash_ino(d->local->table_id, d->path, strlen(d->path));
}

static int field_attr(struct node *n, struct stat *st)
{
    struct field_dir *d = field_of(n);
    int64_t ms = table_defined_ms(d->table), changed;

    local_changes(d->local, &changed);
    fs_stat_dir(n->mount, field_ino(d), changed > ms ? changed : ms,
                !n->mount->o.read_only && table_writable(d->table), st);
    return 0;
}

static void field_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    struct field_dir *d = field_of(dir);
    bool unique = false;

    if (!is_indexed(d->table, d->field, &unique)) {
        fuse_reply_err(req, ENOENT);
    } else if (strcmp(name, UNIQUE) == 0 && unique) {
        struct node *n = unique_node(dir);
        fs_reply_fresh(req, n);
        node_unref(n);
    } else if (name[0] == '.') {
        fuse_reply_err(req, ENOENT);
    } else {
        call_when_open(req, d->table, call_new(dir, name, value_when_open));
    }
}

static uint64_t idx_ino(const struct table *t)
{
    return fs_hash_ino(table_id(t), "/.idx", 5);
}

static void list_values(struct field_dir *d, struct listing *l, struct page *p)
{
    bool unique = false;
    bool room = listing_dots(l, field_ino(d), idx_ino(d->table));

    for (size_t i = page_at(l->after); room && i < p->n + 1; i++) {
        /* In front of the values, if it is there. */
        const char *name = i == 0 ? UNIQUE : p->names[i - 1];
        if (i == 0 && (!is_indexed(d->table, d->field, &unique) || !unique))
            continue;
        AUTO_BUF struct buf path = BUF_INIT;
        buf_printf(&path, "%s/%s", d->path, name);
        struct stat st = {
            .st_ino =
                fs_hash_ino(d->local->table_id, path.data, strlen(path.data)),
            .st_mode = i == 0 ? S_IFREG : S_IFDIR,
        };
        room = listing_add(l, name, NULL, &st, page_next(p, i));
    }
    listing_reply(l);
}

static int list_work(struct call *c, struct err *err)
{
    struct field_dir *d = field_of(c->node);
    struct schema *s = table_schema(d->table);
    struct naming w = {
        .reading = reading_of(s, d->field),
        .page = page_new(d->local),
    };

    schema_unref(s);
    local_listed(d->local, c->node);
    int r = walk_values(d->table, d->field, &c->cancelled, name_value, &w, err);
    if (r == 0)
        page_put(d->local, &d->page, &d->last, w.page);
    page_unref(d->local, w.page);
    return r < 0 ? set_failed(c, d->local, d->path, r, err) : 0;
}

static void list_run(fuse_req_t req, struct call *c)
{
    struct field_dir *d = field_of(c->node);

    if (c->flags) {
        fuse_reply_err(req, (int)c->flags);
        return;
    }
    pthread_mutex_lock(&d->local->lock);
    struct page *p = d->page;
    p->refs++;
    pthread_mutex_unlock(&d->local->lock);
    c->listing.req = req;
    list_values(d, &c->listing, p);
    page_unref(d->local, p);
}

static void list_when_open(fuse_req_t req, struct call *c)
{
    struct field_dir *d = field_of(c->node);
    struct page *p = page_of(d->local, &d->page, &d->last, c->listing.after);

    if (p) {
        local_listed(d->local, c->node);
        c->listing.req = req;
        list_values(d, &c->listing, p);
        page_unref(d->local, p);
        return;
    }
    struct call *wait = call_new(c->node, NULL, list_run);
    wait->listing = c->listing;
    wait->work = list_work;
    call_spawn(req, wait);
}

static void field_list(struct node *dir, struct listing *l)
{
    struct call *c = call_new(dir, NULL, list_when_open);

    c->listing = *l;
    call_when_open(l->req, field_of(dir)->table, c);
}

static const struct node_type type_field = {
    .type = S_IFDIR,
    .size = sizeof(struct field_dir),
    .live = true,
    .init = field_init,
    .release = field_release,
    .attr = field_attr,
    .lookup = field_lookup,
    .list = field_list,
    .create = field_create,
    .unlink = field_unlink,
};

/* --- .idx
 * ---------------------------------------------------------------------------
 */

static int idx_attr(struct node *n, struct stat *st)
{
    struct table *t = table_view_of(n)->table;

    fs_stat_dir(n->mount, idx_ino(t), table_defined_ms(t),
                !n->mount->o.read_only && table_writable(t), st);
    return 0;
}

/* The field of this name; -EINVAL, -EILSEQ: none can have it. */
static int field_name(const char *name, struct buf *field)
{
    return path_dir_name(name, field);
}

/* The directory of an index that is there, a reference, or NULL. */
static struct node *field_node(struct node *dir, const char *name)
{
    AUTO_BUF struct buf field = BUF_INIT;
    struct table_view *v = table_view_of(dir);
    bool unique;

    if (field_name(name, &field) < 0 ||
        !is_indexed(v->table, field.data, &unique))
        return NULL;
    struct field_init i = {v, field.data, name};
    return node_get(dir->mount->inodes, &type_field, dir, name, &i);
}

static void reply_field(fuse_req_t req, struct node *dir, const char *name)
{
    struct node *n = field_node(dir, name);

    if (n)
        fs_reply_fresh(req, n);
    else
        fuse_reply_err(req, ENOENT);
    node_unref(n);
}

static void idx_list(struct node *dir, struct listing *l)
{
    struct table_view *v = table_view_of(dir);
    struct schema *s = table_schema(v->table);
    size_t i = l->after > 2 ? (size_t)(l->after - 2) : 0;
    bool unique, room = listing_dots(l, idx_ino(v->table), table_id(v->table));

    local_listed(v->local, dir);
    for (; room && i < schema_index_count(s); i++) {
        AUTO_BUF struct buf name = BUF_INIT, path = BUF_INIT;
        path_of_dir(schema_index_at(s, i, &unique), &name);
        buf_printf(&path, ".idx/%s", name.data);
        struct stat st = {
            .st_ino =
                fs_hash_ino(v->local->table_id, path.data, strlen(path.data)),
            .st_mode = S_IFDIR,
        };
        room = listing_add(l, name.data, NULL, &st, (off_t)i + 3);
    }
    schema_unref(s);
    listing_reply(l);
}

static int build_or_drop(struct call *c, bool build, struct err *err)
{
    struct table_view *v = table_view_of(c->node);
    AUTO_BUF struct buf field = BUF_INIT, path = BUF_INIT;

    int r = field_name(c->name, &field);
    if (r < 0)
        err_set(err, r,
                "no field has this name ('%%', '/' and a leading '.' are "
                "written %%XX)");
    if (r == 0)
        r = table_open_wait(v->table, err);
    if (r == 0)
        r = build ? table_index_create(v->table, field.data, false, err)
                  : table_index_drop(v->table, field.data, err);
    buf_printf(&path, ".idx/%s", c->name);
    return r < 0 ? set_failed(c, v->local, path.data, r, err) : 0;
}

static int build(struct call *c, struct err *err)
{
    return build_or_drop(c, true, err);
}

static int drop(struct call *c, struct err *err)
{
    return build_or_drop(c, false, err);
}

static void built(fuse_req_t req, struct call *c)
{
    if (c->flags)
        fuse_reply_err(req, (int)c->flags);
    else
        reply_field(req, c->node, c->name);
}

static void idx_mkdir(fuse_req_t req, struct node *dir, const char *name)
{
    struct call *c = call_new(dir, name, built);

    c->work = build;
    call_spawn(req, c);
}

static void idx_rmdir(fuse_req_t req, struct node *dir, const char *name)
{
    struct node *n = field_node(dir, name);

    if (!n) {
        fuse_reply_err(req, ENOENT);
        return;
    }
    node_unref(n);
    struct call *c = call_new(dir, name, done);
    c->work = drop;
    call_spawn(req, c);
}

const struct node_type view_idx = {
    .name = ".idx",
    .type = S_IFDIR,
    .size = sizeof(struct table_view),
    .live = true,
    .init = table_view_init,
    .release = table_view_release,
    .attr = idx_attr,
    .lookup = reply_field,
    .list = idx_list,
    .mkdir = idx_mkdir,
    .rmdir = idx_rmdir,
};
