/* What was refused in one table: a line for each refusal, and the text of the
 * last one of each row, to mend and put in its place. Bounded; the oldest go
 * first. Guarded by its owner's lock. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "fs/draft.h"
#include "fs/stream.h"

#define REFUSAL_LINES_MAX (64 * 1024)
#define REFUSAL_TEXTS_MAX 64
#define REFUSAL_BYTES_MAX (24u << 20)

struct refusals {
    struct stream lines;        /* .errors */
    struct draft_set rejected;  /* .rejected */
    struct draft_budget budget; /* of the rejected texts */
};

void refusals_init(struct refusals *f);
void refusals_release(struct refusals *f);

/* One line: time, path (as in the table's directory), errno's name, reason.
 * text may be NULL: then the line is all. The names of texts that were dropped
 * for it go to dropped, each with its NUL. */
void refusals_add(struct refusals *f, int64_t now_ms, const char *path, int r,
                  const char *why, const char *text, size_t len, uid_t uid,
                  gid_t gid, struct buf *dropped);

/* The row took a version: its reason is history, its text stays to be seen. */
void refusals_settled(struct refusals *f, const char *path);

/* Why the last write of this path was refused, or NULL. Borrowed. */
const char *refusals_why(const struct refusals *f, const char *path);
