#include "bot/show.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/format.h"
#include "engine/json.h"
#include "engine/transit.h"

/* Units that the words around a block may take. */
#define HEADLINE_ROOM 160
#define BLOCK_ROOM (SHOW_CONTENT_MAX - HEADLINE_ROOM)
#define FENCES 12 /* ```json\n and \n``` */

void show_release(struct show *s)
{
    buf_release(&s->text);
    s->n = 0;
}

int show_add(struct show *s, const char *json, size_t len, struct err *err)
{
    while (len > 0 && json[len - 1] == '\n')
        len--;
    if (s->text.len + len + 1 > s->max)
        return err_set(err, -EFBIG,
                       "the result is larger than the %zu MiB that Discord "
                       "takes: ask for less (where, limit, fields), or use the "
                       "command line",
                       s->max >> 20);
    size_t at = s->text.len;
    buf_add(&s->text, json, len);
    buf_addc(&s->text, '\n');
    s->n++;
    /* A row has a line. Between JSON's words a line break is a blank, and
     * inside of them there is none. */
    for (size_t i = at; s->many && i < at + len; i++)
        if (s->text.data[i] == '\n' || s->text.data[i] == '\r')
            s->text.data[i] = ' ';
    return 0;
}

void shown_release(struct shown *s)
{
    for (size_t i = 0; i < s->n; i++)
        free(s->pages[i]);
    free(s->pages);
    buf_release(&s->file);
    *s = (struct shown){0};
}

/* --- safe text ------------------------------------------------------------ */

static void add_escape(struct buf *out, uint32_t cp)
{
    if (cp >= 0x10000)
        buf_printf(out, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                   0xdc00 + ((cp - 0x10000) & 0x3ff));
    else
        buf_printf(out, "\\u%04x", cp);
}

/* What Discord or a screen would not show as it is comes out as \uXXXX, which
 * in JSON means the same; so does a backtick that might end the block. */
static void add_safe(struct buf *out, const char *s, size_t len)
{
    int ticks = 0;

    for (size_t i = 0; i < len;) {
        uint32_t cp;
        size_t n = utf8_decode(s + i, len - i, &cp);
        if (n == 0) {
            buf_addstr(out, "\\ufffd");
            i++;
            continue;
        }
        ticks = cp == '`' ? ticks + 1 : 0;
        if ((cp != '\n' && transit_strips(cp)) || ticks == 2) {
            add_escape(out, cp);
            ticks = 0;
        } else {
            buf_add(out, s + i, n);
        }
        i += n;
    }
}

/* As much of a text as has room, whole characters. */
static size_t fitting(const char *s, size_t len, size_t units)
{
    size_t at = 0, used = 0;

    while (at < len) {
        uint32_t cp;
        size_t n = utf8_decode(s + at, len - at, &cp);
        used += cp >= 0x10000 ? 2 : 1;
        if (n == 0 || used > units)
            break;
        at += n;
    }
    return at;
}

static void add_fenced(struct buf *out, const char *lang, const char *safe,
                       size_t len)
{
    buf_printf(out, "```%s\n", lang);
    buf_add(out, safe, len);
    if (len == 0 || safe[len - 1] != '\n')
        buf_addc(out, '\n');
    buf_addstr(out, "```");
}

void show_block(struct buf *out, const char *lang, const char *text, size_t len,
                size_t room)
{
    AUTO_BUF struct buf safe = BUF_INIT;

    add_safe(&safe, text, len);
    if (utf16_units(safe.data ? safe.data : "", safe.len) > room) {
        buf_truncate(&safe, fitting(safe.data, safe.len, room - 2));
        buf_addstr(&safe, " …");
    }
    add_fenced(out, lang, safe.data ? safe.data : "", safe.len);
}

/* --- rows as text --------------------------------------------------------- */

static int to_buf(void *arg, const char *data, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, data, len);
    return 0;
}

static const char *next_row(const struct show *s, const char *at, size_t *len)
{
    const char *end = s->text.data + s->text.len;

    if (!s->text.data || at == end)
        return NULL;
    if (!s->many) {
        *len = (size_t)(end - at) - 1;
        return at;
    }
    *len = (size_t)((const char *)memchr(at, '\n', (size_t)(end - at)) - at);
    return at;
}

static size_t widest(const struct buf *b)
{
    size_t most = 0;

    for (size_t at = 0; at < b->len;) {
        const char *nl = memchr(b->data + at, '\n', b->len - at);
        size_t n = nl ? (size_t)(nl - b->data) - at : b->len - at;
        size_t units = utf16_units(b->data + at, n);
        most = units > most ? units : most;
        at += n + 1;
    }
    return most;
}

static void add_table(const struct show *s, struct buf *out)
{
    struct format_writer *w =
        format_writer_new(FORMAT_TABLE, true, to_buf, out);
    struct err err = ERR_INIT;
    size_t len;

    for (const char *at = s->text.data; (at = next_row(s, at, &len));
         at += len + 1)
        format_row(w, at, len, &err);
    format_end(w, &err);
    format_writer_free(w);
}

/* name: value, one under the other. */
static void add_record(const char *json, size_t len, struct buf *out)
{
    struct json_member m;

    for (size_t at = 0; json_next(json, len, &at, &m);) {
        if (m.type == JSON_NULL)
            continue;
        json_unescape(m.name, m.name_len, out);
        buf_addstr(out, ": ");
        if (m.type == JSON_STRING)
            json_unescape(m.value, m.value_len, out);
        else
            buf_add(out, m.value, m.value_len);
        buf_addc(out, '\n');
    }
}

/* Safe text in pieces that may not be torn: where each ends. */
struct pieces {
    struct buf text;
    size_t *ends;
    size_t n;
};

static void add_piece(struct pieces *p, const char *text, size_t len)
{
    if ((p->n & (p->n - 1)) == 0)
        p->ends = xrealloc(p->ends, (p->n ? p->n * 2 : 1) * sizeof(*p->ends));
    add_safe(&p->text, text, len);
    p->ends[p->n++] = p->text.len;
}

/* Lines, of a table that is narrow enough; else records. */
static void cut_columns(const struct show *s, struct pieces *p)
{
    AUTO_BUF struct buf table = BUF_INIT;
    AUTO_BUF struct buf record = BUF_INIT;
    size_t len;

    add_table(s, &table);
    if (widest(&table) <= SHOW_COLUMNS_MAX) {
        for (size_t at = 0; at < table.len; at += len) {
            const char *nl = memchr(table.data + at, '\n', table.len - at);
            len = nl ? (size_t)(nl - table.data) - at + 1 : table.len - at;
            add_piece(p, table.data + at, len);
        }
        return;
    }
    for (const char *at = s->text.data; (at = next_row(s, at, &len));
         at += len + 1) {
        buf_reset(&record);
        if (p->n > 0)
            buf_addc(&record, '\n');
        add_record(at, len, &record);
        add_piece(p, record.data ? record.data : "", record.len);
    }
}

static void cut_rows(const struct show *s, struct pieces *p)
{
    size_t len;

    for (const char *at = s->text.data; (at = next_row(s, at, &len));
         at += len + 1)
        add_piece(p, at, len + 1);
}

/* --- pages ---------------------------------------------------------------- */

static void add_page(struct shown *out, struct buf *content)
{
    out->pages = xrealloc(out->pages, (out->n + 1) * sizeof(*out->pages));
    out->pages[out->n++] = buf_take_str(content);
}

/* How many pieces from `first` on a page holds; 0: not even one. */
static size_t page_of(const struct pieces *p, size_t first)
{
    size_t units = 0, n = 0;

    while (first + n < p->n) {
        size_t begin = first + n ? p->ends[first + n - 1] : 0;
        units += utf16_units(p->text.data + begin, p->ends[first + n] - begin);
        if (units > BLOCK_ROOM - FENCES)
            break;
        n++;
    }
    return n;
}

static void headline(const struct show *s, const char *command, size_t from,
                     size_t to, struct buf *out)
{
    if (!s->many)
        return;
    if (s->n == 0)
        buf_printf(out, "`%s`: nothing found.", command);
    else if (s->columns)
        buf_printf(out, "`%s`: %zu\n", command, s->n);
    else if (from == 0 && to == s->n)
        buf_printf(out, "`%s`: %zu row%s\n", command, s->n,
                   s->n == 1 ? "" : "s");
    else
        buf_printf(out, "`%s`: rows %zu to %zu of %zu\n", command, from + 1, to,
                   s->n);
}

static void add_file(const struct show *s, const char *command, size_t first,
                     const struct pieces *p, struct shown *out)
{
    AUTO_BUF struct buf content = BUF_INIT;
    size_t begin = p->n ? p->ends[first ? first - 1 : 0] : 0;

    if (s->many)
        buf_printf(&content, "`%s`: %zu row%s, all in the file.", command, s->n,
                   s->n == 1 ? "" : "s");
    else
        buf_printf(&content, "`%s`: the answer is in the file.", command);
    if (first > 0) {
        buf_printf(&content, " The first %zu:\n", first);
        add_fenced(&content, s->columns ? "" : "json", p->text.data, begin);
    }
    add_page(out, &content);
    out->as_file = true;
    buf_add(&out->file, s->text.data, s->text.len);
}

void show_finish(const struct show *s, const char *command, struct shown *out)
{
    AUTO_BUF struct buf content = BUF_INIT;
    struct pieces p = {0};

    *out = (struct shown){0};
    if (s->columns)
        cut_columns(s, &p);
    else
        cut_rows(s, &p);

    if (p.n == 0) {
        headline(s, command, 0, 0, &content);
        if (content.len == 0)
            buf_printf(&content, "`%s`: done.", command);
        add_page(out, &content);
    }
    for (size_t first = 0; first < p.n;) {
        size_t n = page_of(&p, first);
        if (n == 0 || (out->n == SHOW_PAGES_MAX)) {
            size_t shown = first ? page_of(&p, 0) : 0;
            shown_release(out);
            add_file(s, command, shown, &p, out);
            break;
        }
        size_t begin = first ? p.ends[first - 1] : 0;
        headline(s, command, first, first + n, &content);
        add_fenced(&content, s->columns ? "" : "json", p.text.data + begin,
                   p.ends[first + n - 1] - begin);
        add_page(out, &content);
        first += n;
    }
    buf_release(&p.text);
    free(p.ends);
}
