/* An inverted index over short texts: words and where they stand. No I/O, no
 * clock; when a text enters it is the caller's affair.
 *
 * A word is a run of letters, digits and '_', compared without case. There is
 * no stemming and no OR: a query's words must all occur, in their order, with
 * at most `slop` words skipped in all. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct search_index;

struct search_index *search_index_new(void);
void search_index_free(struct search_index *ix);
size_t search_index_count(const struct search_index *ix);

/* Adds the text, or replaces what is there under this id. */
void search_index_put(struct search_index *ix, uint64_t id, uint64_t channel_id,
                      const char *text);
void search_index_remove(struct search_index *ix, uint64_t id);

struct search_hit {
    uint64_t id, channel_id;
    unsigned score; /* how often the query's words occur */
};

/* What matches, by rising id; NULL or a query without words: everything.
 * *hits is for free(). */
size_t search_index_find(const struct search_index *ix, const char *query,
                         unsigned slop, struct search_hit **hits);
