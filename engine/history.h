/* The versions of a row, read from its table's messages: each one that was
 * ever committed and counts, deletions too, until a vacuum removes it. Safe
 * from any thread; the table must be open.
 *
 * A chain is walked back from the newest version by the ids it names, so what
 * lost to another process is never met. One page of a listing serves all
 * versions that stand near each other: a row's history costs few requests,
 * about one for each version where they lie far apart.
 *
 * What is damaged is one version that says so and names the message; those
 * before and behind it are told all the same. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"
#include "engine/record.h"

struct version {
    uint32_t number;   /* from 1, without gaps but where some were removed */
    bool deleted;      /* the row was deleted: there is no text */
    int64_t at_ms;     /* when it was committed, by the writer's clock */
    int64_t mtime_ms;  /* what ls shows */
    const char *by;    /* never NULL */
    uint64_t message;  /* that committed it; 0: not known, the version before a
                          damaged one */
    uint64_t channel;  /* that this message stands, or stood, in: the table's or
                          its thread's. 0: not known */
    size_t text_len;   /* with the newline at its end */
    struct text *text; /* NULL: none, or in an attachment:
                          version_text_wait() */
    int r;             /* -EBADMSG: damaged, and nothing but number and message
                          are known */
    char *why;         /* … the sentence */

    /* private */
    struct record record; /* where an attachment is; its strings in strings */
    uint64_t file_channel;
    char *strings;
};
void version_release(struct version *v);
/* Another of the same, to be released too. */
struct version version_copy(const struct version *v);

struct history {
    struct version *list; /* oldest first, the current one last */
    size_t n;
    uint32_t removed; /* so many of the first are there no more; 0: all are */
};
void history_release(struct history *h);

/* -ENOENT: there never was such a row, as far as anybody knows. */
int table_history_wait(struct table *t, const char *key, size_t key_len,
                       struct history *out, struct err *err);

/* In memory: the number of the newest version, a deletion's too. 0: there never
 * was such a row, as far as anybody knows. */
uint32_t table_newest_version(struct table *t, const char *key, size_t key_len);

/* In memory: the deletions that are the newest version of their row, as far as
 * anybody knows of them here, rising by id. References in *out, for free(). */
size_t table_deleted_rows(struct table *t, struct row ***out);

/* One version; the current one is in memory. -ENOENT: there is none of this
 * number, or it was removed; -EBADMSG: it is damaged. */
int table_version_wait(struct table *t, const char *key, size_t key_len,
                       uint32_t number, struct version *out, struct err *err);

/* Its text, a reference. -EINVAL: it is a deletion. */
int version_text_wait(struct table *t, const struct version *v,
                      struct text **out, struct err *err);

/* Writes the text of a version again, as one commit by `by` (NULL: as in
 * struct write), for a row that was deleted too. *changed false: it is the
 * row's text already, nothing was written. out (may be NULL): the row as it is
 * then, a reference. -EINVAL: that version is a deletion, or the schema does
 * not allow its text any more. */
int table_restore_wait(struct table *t, const char *key, size_t key_len,
                       uint32_t number, const char *by, bool *changed,
                       struct row **out, struct err *err);
