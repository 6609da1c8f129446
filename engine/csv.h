/* Cells of a CSV file (RFC 4180) or of one with tabs, one after the other, over
 * bytes that are all there. Pure.
 *
 * csv   cells are separated by ',', lines by LF or CRLF; a cell in quotes may
 *       hold both, and a quote as two
 * tsv   separated by tabs; nothing is quoted; \t \n \r \\ stand for themselves,
 *       another backslash is one */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct csv_cell {
    const char *text; /* escapes resolved; valid until the next */
    size_t len;
    bool quoted;
    bool last; /* of its line */
    size_t line, column;
};

struct csv {
    const char *at, *end;
    bool tabs;
    size_t line, column; /* of the next byte, from 1; column in characters */
    struct buf cell;
    bool in_line; /* a separator was read: another cell comes */
};

/* data is borrowed. A byte order mark is passed over. */
void csv_init(struct csv *c, bool tabs, const char *data, size_t len);
void csv_release(struct csv *c);

/* 1: a cell. 0: the end. -EINVAL: it is none, at out->line and column; the rest
 * of its line is skipped, out->last is set. -EBADMSG: the same, and nothing
 * behind it can be made out: the quote is never closed. */
int csv_next(struct csv *c, struct csv_cell *out, struct err *err);

/* Nothing but a line end: passed over. False: there is more in this line. */
bool csv_skip_empty(struct csv *c);
