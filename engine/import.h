/* Many rows at once, out of a file. The whole file is read and checked before
 * the first row is written: its JSON or CSV, the schema, keys and unique values
 * against each other and against the rows that are there. Then the rows go
 * into a few batches, in the order of the file.
 *
 * A row that is there with the same text is skipped, so that an import that
 * was interrupted can be run again. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/engine.h"
#include "engine/import_rows.h"

/* So many errors are told; the rest is counted. */
#define IMPORT_ERRORS 20

struct import_options {
    enum import_format format; /* IMPORT_GUESS: by name, then by the bytes */
    const char *name;          /* of the file; NULL: it has none */
    bool upsert; /* rows that are there are replaced; else that is an error */
    const char *by; /* as in struct write */

    /* May be NULL: now and then, on the caller's thread. checked and written
     * rise to total (0 while that is not known). */
    void (*progress)(void *arg, size_t done, size_t total, bool writing);
    /* May be NULL. True: who asked has had enough. */
    bool (*stopped)(void *arg);
    void *arg;
};

struct import_result {
    size_t rows;     /* in the file */
    size_t inserted; /* … that were written and new */
    size_t replaced;
    size_t skipped;    /* there already with the same text */
    size_t errors;     /* that the check found; nothing was written then */
    struct buf report; /* the first of them, a line each, "line 3, column 9: …"
                        */
};
void import_result_release(struct import_result *r);

/* Waits. The table must be open. *out is written in any case, and is to be
 * released. Where the check fails: what the first error is (-EINVAL, -EILSEQ,
 * -EEXIST, …), err tells of all. Where writing fails, or was stopped (-EINTR):
 * err says how many rows are in, and that it can be run again. */
int table_import_wait(struct table *t, const char *data, size_t len,
                      const struct import_options *o, struct import_result *out,
                      struct err *err);
