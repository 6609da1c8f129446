/* Names: what a namespace, table or field may be called, and what its channel
 * is called then. Channel names are lower case letters, digits and '_' behind
 * a prefix; two names can have one channel name, the catalog tells them
 * apart. */
#pragma once

#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* The longest name, and the longest channel name, in bytes. */
#define NAME_MAX_LEN 100

/* 0, or -EINVAL with a sentence: empty, longer than 100 bytes, "." or "..",
 * not UTF-8, or with a '/' or control characters in it. what: "table". */
int name_check(const char *what, const char *name, size_t len, struct err *err);

/* "dbcord-<ns>"; nth > 1: "dbcord-<ns>-2", for what 50 channels cannot hold.
 * "table-<t>". "idx-<t>-<f>". Appended. */
void name_category(const char *ns, unsigned nth, struct buf *out);
void name_table_channel(const char *table, struct buf *out);
void name_index_channel(const char *table, const char *field, struct buf *out);

/* A guild's name as a directory's: without '/', NUL and control characters,
 * not hidden, not empty, at most 100 bytes. Any bytes come in; UTF-8 comes
 * out. Appended. */
void name_file_safe(const char *name, struct buf *out);
