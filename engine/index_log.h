/* The log of an index, folded: messages in, in any order, and what the index
 * tells out. Pure. Used to look a value up without the table, to verify, and
 * to know what an index still lacks. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/index_text.h"

struct index_log;

/* One entry that counts. Borrowed from the log, until the next add. */
struct index_hit {
    const char *key, *value; /* terminated too; value NULL: it has none */
    size_t key_len, value_len;
    uint32_t version;
    uint64_t of, in;
    uint64_t message; /* of the log, that tells so */
};

struct index_log *index_log_new(void);
void index_log_free(struct index_log *l); /* NULL is fine */

/* A message with its entries; those in a file have been read. Everything is
 * copied. */
void index_log_add(struct index_log *l, uint64_t message,
                   const struct index_message *im);

/* The highest message known to be superseded, 0: none. Who reads a channel
 * from its end may stop at it, or at the channel's beginning. */
uint64_t index_log_over(const struct index_log *l);

/* How far the log goes: every record with an id up to these has had its say.
 * True where it is complete: all messages behind index_log_over() were added.
 */
void index_log_upto(const struct index_log *l, uint64_t out[2]);

/* Messages that are not superseded, and entries in them. */
size_t index_log_messages(const struct index_log *l);
size_t index_log_entries(const struct index_log *l);

/* False: nothing is told of this key. */
bool index_log_get(const struct index_log *l, const char *key, size_t key_len,
                   struct index_hit *out);

/* What counts, in no order, those without a value too: *at is 0 at first;
 * false at the end. */
bool index_log_next(const struct index_log *l, size_t *at,
                    struct index_hit *out);
