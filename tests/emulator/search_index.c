/* See search_index.h. Each document keeps its words as numbers in their
 * order, each word the documents it occurs in, by rising id. */
#include "tests/emulator/search_index.h"

#include <locale.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/map.h"
#include "engine/base/str.h"

struct doc {
    uint64_t id, channel_id;
    uint32_t *words;
    size_t n;
};

struct word {
    char *text;
    uint32_t number;
    struct doc **docs; /* by id, each once */
    size_t n, cap;
};

struct search_index {
    struct map words; /* text -> struct word */
    struct word **by_number;
    size_t word_count, word_cap;
    struct doc **docs; /* by id */
    size_t n, cap;
};

static uint64_t word_hash(const void *item)
{
    return hash_str(((const struct word *)item)->text);
}

static bool word_has_key(const void *item, const void *key)
{
    return strcmp(((const struct word *)item)->text, key) == 0;
}

static const struct map_type word_type = {word_hash, word_has_key};

struct search_index *search_index_new(void)
{
    struct search_index *ix = xcalloc(1, sizeof(*ix));

    ix->words = MAP_INIT(&word_type);
    return ix;
}

static void doc_free(struct doc *d)
{
    free(d->words);
    free(d);
}

void search_index_free(struct search_index *ix)
{
    if (!ix)
        return;
    for (size_t i = 0; i < ix->n; i++)
        doc_free(ix->docs[i]);
    for (size_t i = 0; i < ix->word_count; i++) {
        free(ix->by_number[i]->text);
        free(ix->by_number[i]->docs);
        free(ix->by_number[i]);
    }
    free(ix->docs);
    free(ix->by_number);
    map_release(&ix->words);
    free(ix);
}

size_t search_index_count(const struct search_index *ix)
{
    return ix->n;
}

/* --- words --- */

static locale_t unicode(void)
{
    static locale_t loc;

    if (!loc)
        loc = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    return loc;
}

static bool word_char(uint32_t c)
{
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
               (c >= 'A' && c <= 'Z') || c == '_';
    return !unicode() || iswalnum_l((wint_t)c, unicode());
}

static void add_folded(struct buf *out, const char *at, size_t n, uint32_t c)
{
    if (c < 0x80) {
        buf_addc(out, (char)(c >= 'A' && c <= 'Z' ? c + 32 : c));
        return;
    }
    uint32_t low = unicode() ? (uint32_t)towlower_l((wint_t)c, unicode()) : c;
    if (low == c) {
        buf_add(out, at, n);
    } else if (low < 0x80) {
        buf_addc(out, (char)low);
    } else if (low < 0x800) {
        buf_addc(out, (char)(0xc0 | low >> 6));
        buf_addc(out, (char)(0x80 | (low & 0x3f)));
    } else if (low < 0x10000) {
        buf_addc(out, (char)(0xe0 | low >> 12));
        buf_addc(out, (char)(0x80 | (low >> 6 & 0x3f)));
        buf_addc(out, (char)(0x80 | (low & 0x3f)));
    } else {
        buf_add(out, at, n);
    }
}

/* The next word from *at on, folded into out; false at the end. */
static bool next_word(const char *text, size_t len, size_t *at, struct buf *out)
{
    buf_reset(out);
    while (*at < len) {
        uint32_t c;
        size_t n = utf8_decode(text + *at, len - *at, &c);
        if (n == 0) {
            n = 1;
            c = ' ';
        }
        if (word_char(c))
            add_folded(out, text + *at, n, c);
        else if (out->len > 0)
            return true;
        *at += n;
    }
    return out->len > 0;
}

static struct word *find_word(const struct search_index *ix, const char *text)
{
    return map_get(&ix->words, hash_str(text), text);
}

static struct word *make_word(struct search_index *ix, const char *text)
{
    struct word *w = find_word(ix, text);

    if (w)
        return w;
    if (ix->word_count == ix->word_cap) {
        ix->word_cap = ix->word_cap ? ix->word_cap * 2 : 256;
        ix->by_number =
            xrealloc(ix->by_number, ix->word_cap * sizeof(struct word *));
    }
    w = xcalloc(1, sizeof(*w));
    w->text = xstrdup(text);
    w->number = (uint32_t)ix->word_count;
    ix->by_number[ix->word_count++] = w;
    map_put(&ix->words, w->text, w);
    return w;
}

/* --- sorted lists of documents --- */

static size_t place_of(struct doc *const *list, size_t n, uint64_t id)
{
    size_t lo = 0, hi = n;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (list[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

static void list_put(struct doc ***list, size_t *n, size_t *cap, struct doc *d)
{
    size_t at = place_of(*list, *n, d->id);

    if (at < *n && (*list)[at] == d)
        return;
    if (*n == *cap) {
        *cap = *cap ? *cap * 2 : 4;
        *list = xrealloc(*list, *cap * sizeof(struct doc *));
    }
    memmove(*list + at + 1, *list + at, (*n - at) * sizeof(struct doc *));
    (*list)[at] = d;
    (*n)++;
}

static void list_drop(struct doc **list, size_t *n, const struct doc *d)
{
    size_t at = place_of(list, *n, d->id);

    if (at == *n || list[at] != d)
        return;
    memmove(list + at, list + at + 1, (*n - at - 1) * sizeof(struct doc *));
    (*n)--;
}

void search_index_remove(struct search_index *ix, uint64_t id)
{
    size_t at = place_of(ix->docs, ix->n, id);

    if (at == ix->n || ix->docs[at]->id != id)
        return;
    struct doc *d = ix->docs[at];
    for (size_t i = 0; i < d->n; i++) {
        struct word *w = ix->by_number[d->words[i]];
        list_drop(w->docs, &w->n, d);
    }
    list_drop(ix->docs, &ix->n, d);
    doc_free(d);
}

void search_index_put(struct search_index *ix, uint64_t id, uint64_t channel_id,
                      const char *text)
{
    AUTO_BUF struct buf word = BUF_INIT;
    struct doc *d = xcalloc(1, sizeof(*d));
    size_t len = strlen(text), at = 0, cap = 0;

    search_index_remove(ix, id);
    d->id = id;
    d->channel_id = channel_id;
    while (next_word(text, len, &at, &word)) {
        struct word *w = make_word(ix, word.data);
        if (d->n == cap) {
            cap = cap ? cap * 2 : 8;
            d->words = xrealloc(d->words, cap * sizeof(*d->words));
        }
        d->words[d->n++] = w->number;
        list_put(&w->docs, &w->n, &w->cap, d);
    }
    list_put(&ix->docs, &ix->n, &ix->cap, d);
}

/* --- finding --- */

/* Whether the query's words follow each other from `from` on; taking the
 * nearest each time skips the fewest. */
static bool follows(const struct doc *d, size_t from, struct word *const *q,
                    size_t n, unsigned slop)
{
    size_t at = from, skipped = 0;

    for (size_t i = 1; i < n; i++) {
        size_t next = at + 1;
        while (next < d->n && d->words[next] != q[i]->number)
            next++;
        if (next >= d->n)
            return false;
        skipped += next - at - 1;
        if (skipped > slop)
            return false;
        at = next;
    }
    return true;
}

static unsigned score_of(const struct doc *d, struct word *const *q, size_t n,
                         unsigned slop)
{
    unsigned score = 0;
    bool found = n == 0;

    for (size_t i = 0; i < d->n; i++) {
        for (size_t j = 0; j < n; j++)
            score += d->words[i] == q[j]->number;
        found |=
            !found && d->words[i] == q[0]->number && follows(d, i, q, n, slop);
    }
    return found ? score + 1 : 0;
}

size_t search_index_find(const struct search_index *ix, const char *query,
                         unsigned slop, struct search_hit **hits)
{
    AUTO_BUF struct buf word = BUF_INIT;
    struct word **q = NULL;
    size_t n = 0, at = 0, len = query ? strlen(query) : 0;
    struct doc *const *from = ix->docs;
    size_t count = ix->n, found = 0;

    *hits = NULL;
    while (next_word(query, len, &at, &word)) {
        struct word *w = find_word(ix, word.data);
        if (!w) {
            free(q);
            return 0;
        }
        q = xrealloc(q, (n + 1) * sizeof(struct word *));
        q[n++] = w;
        /* The rarest word leaves the fewest to look at. */
        if (w->n < count) {
            from = w->docs;
            count = w->n;
        }
    }

    *hits = xmalloc(count * sizeof(**hits));
    for (size_t i = 0; i < count; i++) {
        const struct doc *d = from[i];
        unsigned score = score_of(d, q, n, slop);
        if (score > 0)
            (*hits)[found++] = (struct search_hit){d->id, d->channel_id, score};
    }
    free(q);
    return found;
}
