#include "engine/csv.h"

#include <errno.h>
#include <string.h>

void csv_init(struct csv *c, bool tabs, const char *data, size_t len)
{
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        len -= 3;
    }
    *c = (struct csv){.at = data, .tabs = tabs, .line = 1, .column = 1};
    c->end = len ? data + len : data;
}

void csv_release(struct csv *c)
{
    buf_release(&c->cell);
}

/* Takes the bytes up to `to`: counts lines and characters. */
static void take(struct csv *c, const char *to)
{
    for (; c->at < to; c->at++) {
        if (*c->at == '\n') {
            c->line++;
            c->column = 1;
        } else if (((unsigned char)*c->at & 0xc0) != 0x80) {
            c->column++;
        }
    }
}

/* How many bytes of a line end stand here: 0, 1, 2. */
static size_t line_end(const struct csv *c, const char *at)
{
    if (at < c->end && *at == '\n')
        return 1;
    return c->end - at >= 2 && at[0] == '\r' && at[1] == '\n' ? 2 : 0;
}

bool csv_skip_empty(struct csv *c)
{
    size_t n = c->in_line ? 0 : line_end(c, c->at);

    take(c, c->at + n);
    return n > 0;
}

/* Behind a cell: a separator, a line end or the end. False: something else. */
static bool end_cell(struct csv *c, struct csv_cell *out)
{
    size_t n = line_end(c, c->at);

    out->last = n > 0 || c->at == c->end;
    c->in_line = !out->last;
    if (out->last)
        take(c, c->at + n);
    else if (*c->at == (c->tabs ? '\t' : ','))
        take(c, c->at + 1);
    else
        return false;
    return true;
}

static int refuse(struct csv *c, struct csv_cell *out, int r, const char *why,
                  struct err *err)
{
    const char *eol = memchr(c->at, '\n', (size_t)(c->end - c->at));

    out->line = c->line;
    out->column = c->column;
    out->last = true;
    c->in_line = false;
    take(c, eol ? eol + 1 : c->end);
    return err_set(err, r, "%s", why);
}

static int read_quoted(struct csv *c, struct csv_cell *out, struct err *err)
{
    const char *from = c->at + 1, *at = from;

    out->quoted = true;
    buf_reset(&c->cell);
    for (;;) {
        const char *quote = memchr(at, '"', (size_t)(c->end - at));
        if (!quote)
            return refuse(c, out, -EBADMSG,
                          "this quote is never closed by another", err);
        at = quote + 1;
        if (at == c->end || *at != '"') {
            if (from < quote)
                buf_add(&c->cell, from, (size_t)(quote - from));
            break;
        }
        /* Two quotes are one. */
        buf_add(&c->cell, from, (size_t)(at - from));
        from = ++at;
    }
    take(c, at);
    out->text = c->cell.data ? c->cell.data : "";
    out->len = c->cell.len;
    if (!end_cell(c, out))
        return refuse(c, out, -EINVAL,
                      "expected ',' or the end of the line behind the closing "
                      "quote (a quote inside of quotes is written twice)",
                      err);
    return 1;
}

static void resolve(struct buf *out, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        char next = s[i] == '\\' && i + 1 < len ? s[i + 1] : 0;
        char stands = next == 't'    ? '\t'
                      : next == 'n'  ? '\n'
                      : next == 'r'  ? '\r'
                      : next == '\\' ? '\\'
                                     : 0;
        buf_addc(out, stands ? stands : s[i]);
        i += stands != 0;
    }
}

static int read_bare(struct csv *c, struct csv_cell *out, struct err *err)
{
    const char separator = c->tabs ? '\t' : ',';
    const char *at = c->at;

    while (at < c->end && *at != separator && !line_end(c, at)) {
        if (*at == '"' && !c->tabs) {
            take(c, at);
            return refuse(c, out, -EINVAL,
                          "a quote in a field that does not begin with one: "
                          "the whole field must be in quotes",
                          err);
        }
        at++;
    }
    out->text = c->at;
    out->len = (size_t)(at - c->at);
    if (c->tabs && memchr(c->at, '\\', out->len)) {
        buf_reset(&c->cell);
        resolve(&c->cell, c->at, out->len);
        out->text = c->cell.data;
        out->len = c->cell.len;
    }
    take(c, at);
    end_cell(c, out);
    return 1;
}

int csv_next(struct csv *c, struct csv_cell *out, struct err *err)
{
    *out = (struct csv_cell){.line = c->line, .column = c->column};
    if (c->at == c->end && !c->in_line)
        return 0;
    if (!c->tabs && c->at < c->end && *c->at == '"')
        return read_quoted(c, out, err);
    return read_bare(c, out, err);
}
