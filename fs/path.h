/* The grammar of names in the mount: keys and names of the engine's to file
 * names and back. Pure.
 *
 * Bytes that a file name cannot hold, or that mean something here, are
 * written %XX with upper-case digits: '/', NUL, control characters, '%', a '.'
 * in front, and an '@' that only digits follow. Everything else is UTF-8 as
 * it is. Each key has exactly one name: a name that spells it another way
 * ("%41" for "A") names nothing.
 *
 * A name that would be over 255 bytes is cut and ends in "%~" and 16 digits of
 * the key's digest. No escape starts with "%~", so no key's own name looks
 * like it; whoever looks such a name up compares it with the names of the
 * keys that are there. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

#define PATH_NAME_MAX 255
#define PATH_ROW_SUFFIX ".json"

enum path_kind {
    PATH_ROW,     /* <key>.json: text is the key */
    PATH_SHORT,   /* a shortened name: no key can be read from it */
    PATH_VERSION, /* <key>@<version>.json: text is the key, and version */
    PATH_OTHER,   /* not a row's name: a view or a draft */
};

struct path {
    enum path_kind kind;
    struct buf text; /* for buf_release() */
    uint32_t version;
};

/* What a name in a table says. 0; -EILSEQ: not UTF-8; -EINVAL: ends as a
 * row's name does, but is not the one form its key is listed in. */
int path_parse(const char *name, struct path *out);

/* The same of a directory that is a key's own, "<key>" without the suffix. */
int path_parse_key_dir(const char *name, struct path *out);
void path_of_key_dir(const char *key, size_t len, struct buf *out);

bool path_is_version(const char *name);

/* Appends the file name of a key. */
void path_of_key(const char *key, size_t len, struct buf *out);

/* True where path_of_key() shortens. */
bool path_is_shortened(const char *key, size_t len);

/* A namespace's, table's or database's name as a directory name. */
void path_of_dir(const char *name, struct buf *out);

/* And back, appended to *out: 0, -EILSEQ, -EINVAL (not the canonical form,
 * or a shortened one). */
int path_dir_name(const char *name, struct buf *out);

/* Any text as a directory name: a value of an index. May hold a NUL. */
void path_of_text(const char *s, size_t len, struct buf *out);
/* And back, appended to *out: as path_dir_name(), NULs let pass. */
int path_text(const char *name, struct buf *out);
/* %XX resolved wherever one stands: a term of a query, which people type and
 * nobody lists. Appended: 0, -EILSEQ, -EINVAL. */
int path_decode(const char *name, struct buf *out);
