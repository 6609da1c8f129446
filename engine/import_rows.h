/* The rows of a file, one after the other: JSON, NDJSON, CSV or TSV. Pure; the
 * whole file is in memory (or mapped), rows point into it where they can.
 *
 *   json    an array of objects, or objects one behind the other
 *   ndjson  an object a line; empty lines are passed over
 *   csv     RFC 4180 (csv.h); the first line names the fields
 *   tsv     the same with tabs, nothing is quoted, and \t \n \r \\ are escapes
 *
 * Cells become values by the schema's type of their field: a string is taken
 * as it is, anything else must be JSON. Where the schema says nothing a cell
 * that is JSON (a number, true, false, null, an array, an object) is that
 * value, else it is text; in quotes, a number, true, false and null are text
 * too. An empty cell that is not quoted is no field at all. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/schema.h"

enum import_format {
    IMPORT_GUESS, /* by the bytes */
    IMPORT_JSON,
    IMPORT_NDJSON,
    IMPORT_CSV,
    IMPORT_TSV,
};

/* As the choices of an option; ends in NULL. */
extern const char *const import_format_names[];
bool import_format_parse(const char *name, enum import_format *out);

/* By the name's extension (NULL: none), else by what the bytes look like. */
enum import_format import_format_guess(const char *name, const char *data,
                                       size_t len);

struct place {
    size_t line, column; /* from 1; column in characters */
};

/* Valid until the next is read. */
struct import_row {
    const char *text; /* one complete JSON object */
    size_t len;
    struct place at; /* where it begins in the file */
    bool verbatim;   /* text is the file's own bytes */
};

struct import_reader;

/* All borrowed, while it lives. */
struct import_reader *import_reader_new(enum import_format format,
                                        const char *data, size_t len,
                                        const struct schema *schema);
void import_reader_free(struct import_reader *r);

/* 1: a row. 0: the end. A negative errno: this one is none; err says why,
 * without the place, which is *at. What comes behind it can be read unless the
 * errno is -EBADMSG: then nothing behind it can be made out. */
int import_reader_next(struct import_reader *r, struct import_row *row,
                       struct place *at, struct err *err);

/* How far it has come: bytes. */
size_t import_reader_offset(const struct import_reader *r);

/* Where a field of the row that was read last stands in the file, or the row
 * itself. offset: into row->text. */
struct place import_reader_place(const struct import_reader *r,
                                 const struct import_row *row, size_t offset);
