/* Rows as people and other programs want them: JSON, NDJSON, CSV, TSV, or
 * columns to look at. Rows come as the text of a JSON object each and are
 * checked already. Pure: what comes out goes to a callback. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/err.h"

enum format {
    FORMAT_JSON,   /* one: the text as it is; many: an array */
    FORMAT_NDJSON, /* one line a row */
    FORMAT_CSV,    /* RFC 4180 with a header line; null is an empty field; an
                      empty string is in quotes, and so is one that looks like a
                      number, true, false or null */
    FORMAT_TSV,    /* tab, newline, return and backslash as \t \n \r \\ */
    FORMAT_TABLE,  /* columns lined up */
};

/* Also as the choices of an option; ends in NULL. */
extern const char *const format_names[];

/* False: there is no format of this name. */
bool format_parse(const char *name, enum format *out);

/* A negative errno ends the writing. */
typedef int format_out(void *arg, const char *data, size_t len,
                       struct err *err);

/* Its MIME type. */
const char *format_type(enum format format);

struct format_writer;

/* many: any number of rows may come; else one at most. */
struct format_writer *format_writer_new(enum format format, bool many,
                                        format_out *out, void *arg);
void format_writer_free(struct format_writer *w);

/* CSV, TSV and TABLE keep all rows until the end: a field that no row had
 * before is a column more. Who can go through the rows twice need not have them
 * kept: each is given to format_learn() first, then each to format_row(), which
 * writes it at once (-ESTALE: it has a field that none had the first time). */
void format_learn(struct format_writer *w, const char *json, size_t len);
int format_row(struct format_writer *w, const char *json, size_t len,
               struct err *err);
int format_end(struct format_writer *w, struct err *err);
