#include "engine/format.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/map.h"
#include "engine/base/str.h"
#include "engine/json.h"

const char *const format_names[] = {
    [FORMAT_JSON] = "json", [FORMAT_NDJSON] = "ndjson", [FORMAT_CSV] = "csv",
    [FORMAT_TSV] = "tsv",   [FORMAT_TABLE] = "table",   NULL,
};

bool format_parse(const char *name, enum format *out)
{
    for (int i = 0; format_names[i]; i++) {
        if (strcmp(format_names[i], name) == 0) {
            *out = (enum format)i;
            return true;
        }
    }
    return false;
}

struct column {
    size_t index;
    size_t width; /* TABLE: the widest cell, in characters */
    size_t len;
    char name[];
};

struct span {
    const char *data;
    size_t len;
};

static uint64_t column_hash(const void *item)
{
    const struct column *c = item;
    return hash_bytes(c->name, c->len);
}

static bool column_has_key(const void *item, const void *key)
{
    const struct column *c = item;
    const struct span *s = key;
    return c->len == s->len && memcmp(c->name, s->data, s->len) == 0;
}

static const struct map_type column_map = {column_hash, column_has_key};

struct format_writer {
    enum format format;
    bool many;
    format_out *out;
    void *arg;
    size_t rows;

    /* CSV, TSV, TABLE */
    bool learned;     /* the columns are known: rows are not kept */
    bool headed;      /* the line with their names is out */
    struct buf texts; /* of the rows that are kept, one behind the other */
    size_t *ends;     /* of each row in texts */
    size_t ends_cap;
    struct json_member *cells; /* of one row, as many as columns_cap */
    struct map by_name; /* -> struct column; names with escapes resolved */
    struct column **columns;
    size_t n_columns, columns_cap;
};

struct format_writer *format_writer_new(enum format format, bool many,
                                        format_out *out, void *arg)
{
    struct format_writer *w = xcalloc(1, sizeof(*w));

    w->format = format;
    w->many = many;
    w->out = out;
    w->arg = arg;
    w->by_name = MAP_INIT(&column_map);
    return w;
}

void format_writer_free(struct format_writer *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->n_columns; i++)
        free(w->columns[i]);
    free(w->columns);
    free(w->cells);
    map_release(&w->by_name);
    free(w->ends);
    buf_release(&w->texts);
    free(w);
}

static size_t trimmed(const char *json, size_t len)
{
    while (len && strchr(" \t\r\n", json[len - 1]))
        len--;
    return len;
}

/* A raw line break cannot stand inside a JSON string, so that each one is
 * white space between tokens. */
static void add_line(struct buf *b, const char *json, size_t len)
{
    size_t at = b->len;

    buf_add(b, json, len);
    for (; at < b->len; at++) {
        if (b->data[at] == '\n' || b->data[at] == '\r')
            b->data[at] = ' ';
    }
}

/* The column of a member; made where there is none yet, or NULL where the
 * columns are settled. */
static struct column *column_of(struct format_writer *w,
                                const struct json_member *m, bool settled)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct span key = {m->name, m->name_len};

    if (memchr(m->name, '\\', m->name_len)) {
        json_unescape(m->name, m->name_len, &name);
        key = (struct span){name.data ? name.data : "", name.len};
    }
    struct column *c =
        map_get(&w->by_name, hash_bytes(key.data, key.len), &key);
    if (c || settled)
        return c;

    c = xmalloc(sizeof(*c) + key.len + 1);
    *c = (struct column){.index = w->n_columns, .len = key.len};
    memcpy(c->name, key.data, key.len);
    c->name[key.len] = 0;
    map_put(&w->by_name, &key, c);
    if (w->n_columns == w->columns_cap) {
        w->columns_cap = w->columns_cap ? w->columns_cap * 2 : 16;
        w->columns =
            xrealloc(w->columns, w->columns_cap * sizeof(w->columns[0]));
        w->cells = xrealloc(w->cells, w->columns_cap * sizeof(w->cells[0]));
    }
    return w->columns[w->n_columns++] = c;
}

/* A string that a reader would take for a number, a bool or null is in quotes,
 * as an empty one is. */
static void add_csv(struct buf *b, const char *s, size_t len, bool string)
{
    bool plain = !string || (len > 0 && !json_is_plain(s, len));

    for (size_t i = 0; i < len && plain; i++)
        plain = !strchr(",\"\r\n", s[i]) || s[i] == 0;
    /* White space at the ends is dropped by many readers of bare fields. */
    if (len && (s[0] == ' ' || s[len - 1] == ' '))
        plain = false;
    if (plain) {
        buf_add(b, s, len);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '"')
            buf_addc(b, '"');
        buf_addc(b, s[i]);
    }
    buf_addc(b, '"');
}

static void add_tsv(struct buf *b, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        switch (s[i]) {
        case '\t':
            buf_addstr(b, "\\t");
            break;
        case '\n':
            buf_addstr(b, "\\n");
            break;
        case '\r':
            buf_addstr(b, "\\r");
            break;
        case '\\':
            buf_addstr(b, "\\\\");
            break;
        default:
            buf_addc(b, s[i]);
        }
    }
}

/* What a row holds must not move the reader's cursor or colour the screen. */
static void add_visible(struct buf *b, const char *s, size_t len)
{
    for (size_t i = 0, n; i < len; i += n) {
        uint32_t cp;

        n = utf8_decode(s + i, len - i, &cp);
        if (n == 0) {
            n = 1;
            cp = (unsigned char)s[i];
            buf_printf(b, "\\x%02x", (unsigned)cp);
        } else if (cp == '\n') {
            buf_addstr(b, "\\n");
        } else if (cp == '\t') {
            buf_addstr(b, "\\t");
        } else if (cp < 0x20 || (cp >= 0x7f && cp < 0xa0)) {
            buf_printf(b, "\\u%04x", (unsigned)cp);
        } else {
            buf_add(b, s + i, n);
        }
    }
}

static size_t count_chars(const char *s, size_t len)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += ((unsigned char)s[i] & 0xc0) != 0x80;
    return n;
}

/* One cell's text, without padding. */
static void add_cell(const struct format_writer *w, struct buf *b,
                     const struct json_member *m)
{
    AUTO_BUF struct buf value = BUF_INIT;
    bool string = m->type == JSON_STRING;

    if (string)
        json_unescape(m->value, m->value_len, &value);
    else if (m->type != JSON_NULL)
        add_line(&value, m->value, m->value_len);

    const char *s = value.data ? value.data : "";
    switch (w->format) {
    case FORMAT_CSV:
        add_csv(b, s, value.len, string);
        break;
    case FORMAT_TSV:
        add_tsv(b, s, value.len);
        break;
    default:
        add_visible(b, s, value.len);
    }
}

/* The members of a row in the order of the columns, into w->cells; those that
 * are not there have no value. False: it has a field that is no column. */
static bool row_cells(struct format_writer *w, const char *json, size_t len)
{
    struct json_member m;
    size_t at = 0;

    for (size_t i = 0; i < w->n_columns; i++)
        w->cells[i] = (struct json_member){.type = JSON_NULL};
    while (json_next(json, len, &at, &m)) {
        const struct column *c = column_of(w, &m, true);
        if (!c)
            return false;
        w->cells[c->index] = m;
    }
    return true;
}

static void add_padded(const struct format_writer *w, struct buf *b, size_t i,
                       const struct buf *cell)
{
    const struct column *c = w->columns[i];
    size_t n = count_chars(cell->data ? cell->data : "", cell->len);

    if (i)
        buf_addstr(b, "  ");
    buf_add(b, cell->data, cell->len);
    /* Nothing behind the last column: lines end where their text ends. */
    for (; i + 1 < w->n_columns && n < c->width; n++)
        buf_addc(b, ' ');
}

static void add_separator(const struct format_writer *w, struct buf *b,
                          size_t i)
{
    if (i && w->format == FORMAT_CSV)
        buf_addc(b, ',');
    else if (i && w->format == FORMAT_TSV)
        buf_addc(b, '\t');
}

static void add_header(const struct format_writer *w, struct buf *b)
{
    for (size_t i = 0; i < w->n_columns; i++) {
        const struct column *c = w->columns[i];
        AUTO_BUF struct buf cell = BUF_INIT;

        add_separator(w, b, i);
        if (w->format == FORMAT_CSV) {
            add_csv(b, c->name, c->len, true);
        } else if (w->format == FORMAT_TSV) {
            add_tsv(b, c->name, c->len);
        } else {
            add_visible(&cell, c->name, c->len);
            add_padded(w, b, i, &cell);
        }
    }
    buf_addc(b, '\n');
}

static void measure_cell(struct column *c, const struct buf *cell)
{
    size_t n = count_chars(cell->data ? cell->data : "", cell->len);

    if (n > c->width)
        c->width = n;
}

static void measure_row(struct format_writer *w, const char *json, size_t len)
{
    row_cells(w, json, len);
    for (size_t i = 0; i < w->n_columns; i++) {
        AUTO_BUF struct buf cell = BUF_INIT;

        add_cell(w, &cell, &w->cells[i]);
        measure_cell(w->columns[i], &cell);
    }
}

static void measure_names(struct format_writer *w)
{
    for (size_t i = 0; i < w->n_columns; i++) {
        AUTO_BUF struct buf cell = BUF_INIT;
        struct column *c = w->columns[i];

        add_visible(&cell, c->name, c->len);
        measure_cell(c, &cell);
    }
}

static void add_row(struct format_writer *w, struct buf *b)
{
    for (size_t i = 0; i < w->n_columns; i++) {
        AUTO_BUF struct buf cell = BUF_INIT;

        add_separator(w, b, i);
        if (w->format == FORMAT_TABLE) {
            add_cell(w, &cell, &w->cells[i]);
            add_padded(w, b, i, &cell);
        } else {
            add_cell(w, b, &w->cells[i]);
        }
    }
    buf_addc(b, '\n');
}

/* One row of the columns that are known, their names before the first. */
static int put_row(struct format_writer *w, const char *json, size_t len,
                   struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (!w->headed) {
        measure_names(w);
        add_header(w, &b);
        w->headed = true;
    }
    if (!row_cells(w, json, len))
        return err_set(err, -ESTALE,
                       "a row got a field that none had before while the rows "
                       "were written; try again");
    add_row(w, &b);
    return w->out(w->arg, b.data, b.len, err);
}

static void keep_row(struct format_writer *w, const char *json, size_t len)
{
    struct json_member m;
    size_t at = 0;

    while (json_next(json, len, &at, &m))
        column_of(w, &m, false);

    buf_add(&w->texts, json, len);
    if (w->rows == w->ends_cap) {
        w->ends_cap = w->ends_cap ? w->ends_cap * 2 : 64;
        w->ends = xrealloc(w->ends, w->ends_cap * sizeof(w->ends[0]));
    }
    w->ends[w->rows] = w->texts.len;
}

void format_learn(struct format_writer *w, const char *json, size_t len)
{
    struct json_member m;
    size_t at = 0;

    if (w->format == FORMAT_JSON || w->format == FORMAT_NDJSON)
        return;
    len = trimmed(json, len);
    while (json_next(json, len, &at, &m))
        column_of(w, &m, false);
    if (w->format == FORMAT_TABLE)
        measure_row(w, json, len);
    w->learned = true;
}

int format_row(struct format_writer *w, const char *json, size_t len,
               struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    len = trimmed(json, len);
    switch (w->format) {
    case FORMAT_JSON:
        if (w->many)
            buf_addstr(&b, w->rows ? ",\n" : "[\n");
        buf_add(&b, json, len);
        if (!w->many)
            buf_addc(&b, '\n');
        break;
    case FORMAT_NDJSON:
        add_line(&b, json, len);
        buf_addc(&b, '\n');
        break;
    case FORMAT_CSV:
    case FORMAT_TSV:
    case FORMAT_TABLE:
        if (w->learned) {
            int r = put_row(w, json, len, err);
            w->rows += r >= 0;
            return r;
        }
        keep_row(w, json, len);
        break;
    }
    w->rows++;
    return b.len ? w->out(w->arg, b.data, b.len, err) : 0;
}

static int end_columns(struct format_writer *w, struct err *err)
{
    int r = 0;

    for (size_t i = 0; i < w->rows && w->format == FORMAT_TABLE; i++) {
        size_t start = i ? w->ends[i - 1] : 0;
        measure_row(w, w->texts.data + start, w->ends[i] - start);
    }
    for (size_t i = 0; i < w->rows && r >= 0; i++) {
        size_t start = i ? w->ends[i - 1] : 0;
        r = put_row(w, w->texts.data + start, w->ends[i] - start, err);
    }
    return r;
}

int format_end(struct format_writer *w, struct err *err)
{
    switch (w->format) {
    case FORMAT_JSON:
        if (!w->many)
            return 0;
        return w->rows ? w->out(w->arg, "\n]\n", 3, err)
                       : w->out(w->arg, "[]\n", 3, err);
    case FORMAT_NDJSON:
        return 0;
    default:
        return w->learned ? 0 : end_columns(w, err);
    }
}

const char *format_type(enum format format)
{
    switch (format) {
    case FORMAT_JSON:
        return "application/json";
    case FORMAT_NDJSON:
        return "application/x-ndjson";
    case FORMAT_CSV:
        return "text/csv";
    case FORMAT_TSV:
        return "text/tab-separated-values";
    case FORMAT_TABLE:
        break;
    }
    return "text/plain";
}
