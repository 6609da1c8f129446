/* What a catalog entry says of the indexes of a table: where each is, and since
 * when, and until when, its field was unique. Pure; plain values.
 *
 *     "indexes":{"email":{"channel":"1441..","unique":["1441.."]},
 *                "role":{"channel":"1441.."}}
 *
 * unique: from (an entry's message), until, from, … ; "self" is the message
 * that the entry itself stands in. A field that was unique once stays listed,
 * without a channel where it has no index any more: older records are judged
 * by it. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* In unique: the message that the entry will stand in. */
#define INDEX_SELF UINT64_MAX

struct index_def {
    char *field;
    uint64_t channel; /* 0: none */
    uint64_t *unique;
    size_t n_unique;
};

struct index_defs {
    struct index_def *list;
    size_t n;
};

void index_defs_release(struct index_defs *d);
void index_defs_copy(struct index_defs *to, const struct index_defs *from);
/* NULL: nothing is said of the field. Valid until one is added or removed. */
struct index_def *index_defs_find(const struct index_defs *d,
                                  const char *field);
struct index_def *index_defs_need(struct index_defs *d, const char *field);
/* Where nothing is left to say of the field it goes. */
void index_defs_tidy(struct index_defs *d);

bool index_def_is_unique(const struct index_def *d); /* NULL: no */
/* From the entry to be written on. */
void index_def_set_unique(struct index_def *d, bool unique);

/* The object, appended. */
void index_defs_write(const struct index_defs *d, struct buf *out);
/* self: the message that the entry stands in. -EINVAL. */
int index_defs_parse(const char *object, size_t len, uint64_t self,
                     struct index_defs *out, struct err *err);
