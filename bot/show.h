/* How results look in a Discord client: JSON in code blocks, a page at a time,
 * or a file where they are many; lists for people as columns, or, where those
 * are too wide for a phone, as names and values under each other. Pure.
 *
 * What comes out is safe whatever is in the rows: everything that is not our
 * own words stands in a code block, where Discord looks for no mentions, links
 * and marks, and nothing inside can end the block. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Discord refuses content of more UTF-16 units. */
#define SHOW_CONTENT_MAX 2000
/* What is wider is broken into lines by a phone. */
#define SHOW_COLUMNS_MAX 44
/* More pages than that nobody turns: the rows come as a file. */
#define SHOW_PAGES_MAX 40

/* Results as they come. */
struct show {
    bool many;       /* any number of rows; else one object */
    bool columns;    /* a list for people, not rows */
    size_t max;      /* bytes that can be shown at all: a file's */
    struct buf text; /* JSON objects, each ended by a newline */
    size_t n;
};

void show_release(struct show *s);

/* -EFBIG where they have become more than a file can hold. */
int show_add(struct show *s, const char *json, size_t len, struct err *err);

struct shown {
    char **pages; /* contents, at least one */
    size_t n;
    bool as_file; /* pages[0] is the beginning, all of it is to go along as
                     `file`; no other pages */
    struct buf file;
};

/* command: for the headline. */
void show_finish(const struct show *s, const char *command, struct shown *out);
void shown_release(struct shown *s);

/* Appends a code block with this text made safe, cut at room units with a
 * mark where it is longer. lang may be "". */
void show_block(struct buf *out, const char *lang, const char *text, size_t len,
                size_t room);
