/* What is written through one open file, and the moment it counts. Pure: the
 * caller writes and commits, this says when.
 *
 * A document (a row, a schema) is replaced as a whole, while a program hands
 * it over in pieces, in place, after a truncation or behind what was there.
 * The rule: a text whose every byte came through this file, from the first to
 * the last without a gap, is judged at each write: complete means commit now
 * (the shell would not hear of an error later), beyond repair means refuse
 * now. While old bytes remain behind the new ones, a complete text may be an
 * accident (half new, half old), so it is judged where the program says it is
 * done: at a truncation, fsync or close.
 *
 *        write, truncate          COMMIT
 *   idle ----------------> open ---------> idle (text kept: white space may
 *     ^                     |                    still follow)
 *     +---------------------+ REFUSE (text gone, or kept at a close: another
 *                                     process may still finish it)
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/json.h"

struct edit {
    struct buf text;       /* what the file holds as its writer sees it */
    size_t ours;           /* so many bytes from the start are this writer's */
    size_t max;            /* more is refused with -EFBIG */
    struct json_scan scan; /* of text's first scan.offset bytes */
    bool active;           /* text stands for the file */
    bool dirty;            /* something is to be judged */
    bool append;           /* opened with O_APPEND: offsets do not count */
};

enum edit_verdict {
    EDIT_WAIT,   /* nothing to do yet */
    EDIT_COMMIT, /* edit.text is a complete object: store it */
    EDIT_REFUSE, /* the error says why; the writer's call fails with it */
};

/* base: the text before, NULL for an empty or truncated file. */
void edit_start(struct edit *e, const char *base, size_t len, bool append,
                size_t max);
void edit_release(struct edit *e);

/* A refusal's number goes to *r: -EINVAL, -EFBIG. The piece is in text then,
 * so that the whole can be shown. */
enum edit_verdict edit_write(struct edit *e, uint64_t offset, const char *data,
                             size_t len, int *r, struct err *err);
enum edit_verdict edit_truncate(struct edit *e, uint64_t size, int *r,
                                struct err *err);
/* At close, fsync. After a refusal here the text stays, and is not refused
 * again before it changes. */
enum edit_verdict edit_flush(struct edit *e, int *r, struct err *err);

/* The first piece of a new text, size bytes of it, holds a whole value and
 * lacks the bracket that closes it. */
bool edit_lacks_end(const struct edit *e, size_t size);

/* After EDIT_COMMIT: it was stored. */
void edit_committed(struct edit *e);
/* After EDIT_REFUSE of a write or truncation, and where storing failed: the
 * file is what it was, the next write starts anew. */
void edit_reset(struct edit *e);
