#include "engine/import_rows.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/csv.h"
#include "engine/json.h"

const char *const import_format_names[] = {"json", "ndjson", "csv", "tsv",
                                           NULL};

bool import_format_parse(const char *name, enum import_format *out)
{
    for (int i = 0; import_format_names[i]; i++) {
        if (strcasecmp(import_format_names[i], name) == 0) {
            *out = (enum import_format)(i + IMPORT_JSON);
            return true;
        }
    }
    return false;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t mark_len(const char *data, size_t len)
{
    return len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* --- which format -----------------------------------------------------------
 */

static enum import_format guess_by_name(const char *name)
{
    static const struct {
        const char *ending;
        enum import_format format;
    } known[] = {
        {"json", IMPORT_JSON},    {"ndjson", IMPORT_NDJSON},
        {"jsonl", IMPORT_NDJSON}, {"csv", IMPORT_CSV},
        {"tsv", IMPORT_TSV},      {"tab", IMPORT_TSV},
    };
    const char *dot = name ? strrchr(name, '.') : NULL;

    for (size_t i = 0; dot && i < sizeof(known) / sizeof(known[0]); i++)
        if (strcasecmp(dot + 1, known[i].ending) == 0)
            return known[i].format;
    return IMPORT_GUESS;
}

static size_t count_byte(const char *data, size_t len, char c)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++)
        n += data[i] == c;
    return n;
}

static enum import_format guess_by_bytes(const char *data, size_t len)
{
    size_t at = mark_len(data, len);

    while (at < len && is_blank(data[at]))
        at++;
    if (at == len || data[at] == '[')
        return IMPORT_JSON;
    const char *eol = memchr(data + at, '\n', len - at);
    size_t line = eol ? (size_t)(eol - data) - at : len - at;
    if (data[at] == '{')
        return json_check(data + at, line, NULL) == 0 ? IMPORT_NDJSON
                                                      : IMPORT_JSON;
    return count_byte(data + at, line, '\t') > count_byte(data + at, line, ',')
               ? IMPORT_TSV
               : IMPORT_CSV;
}

enum import_format import_format_guess(const char *name, const char *data,
                                       size_t len)
{
    enum import_format f = guess_by_name(name);

    return f != IMPORT_GUESS ? f : guess_by_bytes(data, len);
}

/* --- readers ----------------------------------------------------------------
 */

struct field {
    struct buf name; /* as JSON, with its quotes and the colon */
    enum schema_type type;
    bool is_key;
};

/* Where a cell's value begins in the row's text, and in the file. */
struct cell_place {
    size_t offset;
    struct place at;
};

enum json_part {
    PART_BEGIN,  /* nothing was read yet */
    PART_LIST,   /* in the array, an object is next */
    PART_BEHIND, /* in the array, ',' or ']' is next */
    PART_LOOSE,  /* no array: objects one behind the other */
    PART_END,
};

struct import_reader {
    enum import_format format;
    const char *data;
    size_t len, at;
    const struct schema *schema;

    /* json, ndjson: of the byte at `at` */
    struct place place;
    enum json_part part;

    /* csv, tsv */
    struct csv csv;
    struct field *fields;
    size_t n_fields;
    bool has_header, broken;
    struct buf text;          /* of the row */
    struct cell_place *cells; /* of the row; as many as fields at most */
    size_t n_cells;
};

struct import_reader *import_reader_new(enum import_format format,
                                        const char *data, size_t len,
                                        const struct schema *schema)
{
    struct import_reader *r = xcalloc(1, sizeof(*r));

    r->format = format == IMPORT_GUESS ? guess_by_bytes(data, len) : format;
    r->data = data;
    r->len = len;
    r->at = mark_len(data, len);
    r->place = (struct place){1, 1};
    r->schema = schema;
    csv_init(&r->csv, r->format == IMPORT_TSV, data, len);
    return r;
}

void import_reader_free(struct import_reader *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n_fields; i++)
        buf_release(&r->fields[i].name);
    free(r->fields);
    free(r->cells);
    buf_release(&r->text);
    csv_release(&r->csv);
    free(r);
}

size_t import_reader_offset(const struct import_reader *r)
{
    return r->format == IMPORT_CSV || r->format == IMPORT_TSV
               ? (size_t)(r->csv.at - r->data)
               : r->at;
}

static struct place moved(struct place p, const char *from, const char *to)
{
    for (; from < to; from++) {
        if (*from == '\n') {
            p.line++;
            p.column = 1;
        } else if (((unsigned char)*from & 0xc0) != 0x80) {
            p.column++;
        }
    }
    return p;
}

struct place import_reader_place(const struct import_reader *r,
                                 const struct import_row *row, size_t offset)
{
    struct place p = row->at;

    if (offset > row->len)
        return p;
    if (row->verbatim)
        return moved(p, row->text, row->text + offset);
    for (size_t i = 0; i < r->n_cells && r->cells[i].offset <= offset; i++)
        p = r->cells[i].at;
    return p;
}

/* --- json, ndjson ------------------------------------------------------------
 */

static void skip_blanks(struct import_reader *r)
{
    size_t at = r->at;

    while (at < r->len && is_blank(r->data[at]))
        at++;
    r->place = moved(r->place, r->data + r->at, r->data + at);
    r->at = at;
}

/* An object that begins here, and is to end before `end`. */
static int read_object(struct import_reader *r, size_t end,
                       struct import_row *row, struct place *at,
                       struct err *err)
{
    struct json_scan s;
    size_t from = r->at, to = from;

    json_scan_init(&s);
    s.line = r->place.line;
    s.column = r->place.column;
    *at = r->place;
    while (s.state == JSON_MORE && to < end) {
        /* Only a brace can be its last byte. */
        const char *brace = memchr(r->data + to, '}', end - to);
        size_t next = brace ? (size_t)(brace - r->data) + 1 : end;
        json_scan_feed(&s, r->data + to, next - to);
        to = next;
    }
    if (s.state == JSON_BAD) {
        *at = (struct place){s.line, s.column};
        return err_set(err, s.why == json_why_utf8 ? -EILSEQ : -EINVAL, "%s",
                       s.why);
    }
    if (s.state == JSON_MORE)
        return err_set(err, -EINVAL,
                       "this object is not closed by the end of "
                       "the %s",
                       r->format == IMPORT_NDJSON ? "line" : "file");

    *row = (struct import_row){
        .text = r->data + from,
        .len = to - from,
        .at = r->place,
        .verbatim = true,
    };
    r->at = to;
    r->place = (struct place){s.line, s.column};
    return 1;
}

static int next_line(struct import_reader *r, struct import_row *row,
                     struct place *at, struct err *err)
{
    skip_blanks(r);
    if (r->at == r->len)
        return 0;

    size_t line = r->place.line;
    const char *eol = memchr(r->data + r->at, '\n', r->len - r->at);
    size_t end = eol ? (size_t)(eol - r->data) : r->len;
    int res = read_object(r, end, row, at, err);
    if (res == 1) {
        struct place behind = r->place;
        size_t i = r->at;
        while (i < end && is_blank(r->data[i])) {
            behind.column++;
            i++;
        }
        if (i < end) {
            *at = behind;
            res = err_set(err, -EINVAL,
                          "expected the end of the line behind "
                          "the object");
        }
    }
    r->at = end;
    r->place = (struct place){line, 1}; /* a line end is next, if anything */
    return res;
}

static int stop(struct import_reader *r, struct place *at, int code,
                const char *why, struct err *err)
{
    r->part = PART_END;
    *at = r->place;
    return err_set(err, code, "%s", why);
}

static void take_byte(struct import_reader *r)
{
    r->at++;
    r->place.column++;
}

static int next_object(struct import_reader *r, struct import_row *row,
                       struct place *at, struct err *err)
{
    skip_blanks(r);
    if (r->part == PART_END)
        return 0;
    if (r->part == PART_BEGIN) {
        bool list = r->at < r->len && r->data[r->at] == '[';
        r->part = list ? PART_LIST : PART_LOOSE;
        if (list) {
            take_byte(r);
            skip_blanks(r);
            if (r->at < r->len && r->data[r->at] == ']')
                r->part = PART_BEHIND;
        }
    }
    if (r->part == PART_BEHIND) {
        char c = r->at < r->len ? r->data[r->at] : 0;
        if (r->at == r->len)
            return stop(r, at, -EBADMSG, "the file ends inside of the array",
                        err);
        if (c != ',' && c != ']')
            return stop(r, at, -EBADMSG, "expected ',' or ']' behind an object",
                        err);
        take_byte(r);
        skip_blanks(r);
        if (c == ']') {
            if (r->at < r->len)
                return stop(r, at, -EBADMSG,
                            "expected nothing behind the array", err);
            r->part = PART_END;
            return 0;
        }
        r->part = PART_LIST;
    }
    if (r->at == r->len && r->part == PART_LOOSE)
        return 0;
    if (r->at == r->len)
        return stop(r, at, -EBADMSG, "the file ends inside of the array", err);

    int res = read_object(r, r->len, row, at, err);
    if (res < 0) {
        /* Where the next object begins nobody knows. */
        r->part = PART_END;
        return res == -EILSEQ ? res : -EBADMSG;
    }
    if (r->part == PART_LIST)
        r->part = PART_BEHIND;
    return res;
}

/* --- csv, tsv ----------------------------------------------------------------
 */

/* [ … ] or { … }, and nothing behind it. */
static bool is_nested(const char *s, size_t len)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct json_member m;
    size_t at = 0;

    if (len < 2 || (s[0] != '[' && s[0] != '{') ||
        (s[len - 1] != ']' && s[len - 1] != '}'))
        return false;
    buf_addstr(&b, "{\"\":");
    buf_add(&b, s, len);
    buf_addc(&b, '}');
    return json_check(b.data, b.len, NULL) == 0 &&
           json_next(b.data, b.len, &at, &m) && m.value_len == len;
}

static void add_value(struct buf *b, const struct field *f,
                      const struct csv_cell *c)
{
    const char *s = c->text;
    size_t len = c->len;
    bool json = false;

    if (f->type == SCHEMA_ANY && f->is_key) {
        /* Nothing but a string or a whole number can be one. */
        json = !c->quoted && schema_is_key_number(s, len);
    } else if (f->type == SCHEMA_ANY) {
        json = (!c->quoted && json_is_plain(s, len)) || is_nested(s, len);
    } else if (f->type != SCHEMA_STR) {
        while (len && is_blank(s[0])) {
            s++;
            len--;
        }
        while (len && is_blank(s[len - 1]))
            len--;
        json = json_is_plain(s, len) || is_nested(s, len);
    }
    /* What is no JSON is text, and the schema will say what it should be. */
    if (json)
        buf_add(b, s, len);
    else
        buf_add_json(b, c->text, c->len);
}

static struct place place_of(const struct csv_cell *c)
{
    return (struct place){c->line, c->column};
}

/* Refuses the cell that was read, and what is left of its line. */
static int refuse_line(struct import_reader *r, struct csv_cell *c,
                       struct place *at, int code, const char *why,
                       struct err *err)
{
    *at = place_of(c);
    while (!c->last)
        if (csv_next(&r->csv, c, NULL) == -EBADMSG)
            r->broken = true;
    return err_set(err, code, "%s", why);
}

static bool is_field(const struct import_reader *r, const struct buf *name)
{
    for (size_t i = 0; i < r->n_fields; i++)
        if (buf_equals(&r->fields[i].name, name->data, name->len))
            return true;
    return false;
}

static int read_header(struct import_reader *r, struct place *at,
                       struct err *err)
{
    struct csv_cell c;

    while (csv_skip_empty(&r->csv))
        ;
    do {
        AUTO_BUF struct buf name = BUF_INIT;
        int res = csv_next(&r->csv, &c, err);
        *at = place_of(&c);
        if (res <= 0)
            return res;
        if (c.len == 0 && !c.quoted)
            return err_set(err, -EBADMSG,
                           "the first line names the fields, and this one has "
                           "no name");
        if (!utf8_valid(c.text, c.len))
            return err_set(err, -EILSEQ, "a field's name that is not UTF-8");
        buf_add_json(&name, c.text, c.len);
        buf_addc(&name, ':');
        if (is_field(r, &name))
            return err_set(err, -EBADMSG,
                           "the first line names the field %.*s twice",
                           (int)(name.len > 80 ? 80 : name.len - 1), name.data);
        if ((r->n_fields & (r->n_fields - 1)) == 0)
            r->fields =
                xrealloc(r->fields, (r->n_fields ? r->n_fields * 2 : 1) *
                                        sizeof(*r->fields));
        r->fields[r->n_fields++] = (struct field){
            .name = buf_take(&name),
            .type = r->schema ? schema_field_type(r->schema, c.text, c.len)
                              : SCHEMA_ANY,
            .is_key = r->schema && strlen(schema_pk(r->schema)) == c.len &&
                      memcmp(schema_pk(r->schema), c.text, c.len) == 0,
        };
    } while (!c.last);
    r->cells = xcalloc(r->n_fields, sizeof(*r->cells));
    return 1;
}

static int next_csv(struct import_reader *r, struct import_row *row,
                    struct place *at, struct err *err)
{
    struct csv_cell c = {0};
    struct place first = {0};
    size_t n = 0;

    if (r->broken)
        return 0;
    if (!r->has_header) {
        r->has_header = true;
        int res = read_header(r, at, err);
        if (res <= 0) {
            r->broken = true;
            return res < 0 && res != -EILSEQ ? -EBADMSG : res;
        }
    }
    while (csv_skip_empty(&r->csv))
        ;
    buf_reset(&r->text);
    buf_addc(&r->text, '{');
    r->n_cells = 0;
    do {
        int res = csv_next(&r->csv, &c, err);
        if (res <= 0) {
            *at = place_of(&c);
            r->broken = res != -EINVAL;
            return res;
        }
        if (n == 0)
            first = place_of(&c);
        if (n == r->n_fields)
            return refuse_line(r, &c, at, -EINVAL,
                               "more fields than the first line names", err);
        const struct field *f = &r->fields[n++];
        if (c.len == 0 && !c.quoted)
            continue;
        if (!utf8_valid(c.text, c.len))
            return refuse_line(r, &c, at, -EILSEQ, "is not UTF-8 text", err);
        if (r->text.len > 1)
            buf_addc(&r->text, ',');
        buf_add(&r->text, f->name.data, f->name.len);
        r->cells[r->n_cells++] = (struct cell_place){r->text.len, place_of(&c)};
        add_value(&r->text, f, &c);
    } while (!c.last);
    if (n < r->n_fields) {
        *at = place_of(&c);
        return err_set(err, -EINVAL,
                       "%zu fields in this line, and the first line names %zu",
                       n, r->n_fields);
    }
    buf_addc(&r->text, '}');
    *row = (struct import_row){
        .text = r->text.data,
        .len = r->text.len,
        .at = first,
    };
    *at = first;
    return 1;
}

int import_reader_next(struct import_reader *r, struct import_row *row,
                       struct place *at, struct err *err)
{
    *row = (struct import_row){.at = r->place};
    *at = (struct place){1, 1};
    if (r->len >= 2 && (memcmp(r->data, "\xff\xfe", 2) == 0 ||
                        memcmp(r->data, "\xfe\xff", 2) == 0)) {
        if (r->broken)
            return 0;
        r->broken = true;
        return err_set(err, -EILSEQ,
                       "this is UTF-16; it must be UTF-8 (iconv -f utf-16 -t "
                       "utf-8)");
    }
    switch (r->format) {
    case IMPORT_GUESS:
    case IMPORT_JSON:
        return next_object(r, row, at, err);
    case IMPORT_NDJSON:
        return next_line(r, row, at, err);
    case IMPORT_CSV:
    case IMPORT_TSV:
        return next_csv(r, row, at, err);
    }
    return 0;
}
