/* The store's search: as late, forgetful and out of order as is asked for.
 *
 * The index keeps the content of each message as it was when the index last
 * heard of it. A hit is read from the message as it is now, so that one that
 * was deleted meanwhile counts in the total and leaves a gap in its page, and
 * one that was edited is found by its old words and shows its new ones. */
#include "tests/lib/memstore_impl.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "engine/base/alloc.h"

enum {
    LIMIT_MAX = 25,
    OFFSET_MAX = 9975,
    CONTENT_MAX = 1024,
    SLOP = 100, /* words that may stand between two of the query */
    WORDS_MAX = 16,
};

/* --- the index -------------------------------------------------------------
 */

static size_t entry_place(const struct mem_search *x, uint64_t id)
{
    size_t low = 0, high = x->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (x->entries[mid].id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static void entry_put(struct mem_search *x, uint64_t channel, uint64_t id,
                      const char *content)
{
    size_t i = entry_place(x, id);

    if (i < x->n && x->entries[i].id == id) {
        free(x->entries[i].content);
    } else {
        if (x->n == x->cap) {
            x->cap = x->cap ? x->cap * 2 : 64;
            x->entries = xrealloc(x->entries, x->cap * sizeof(*x->entries));
        }
        memmove(&x->entries[i + 1], &x->entries[i],
                (x->n - i) * sizeof(*x->entries));
        x->n++;
    }
    x->entries[i] = (struct mem_entry){id, channel, xstrdup(content)};
}

static void entry_remove(struct mem_search *x, uint64_t id)
{
    size_t i = entry_place(x, id);

    if (i == x->n || x->entries[i].id != id)
        return;
    free(x->entries[i].content);
    x->n--;
    memmove(&x->entries[i], &x->entries[i + 1],
            (x->n - i) * sizeof(*x->entries));
}

static void take_in(struct memstore *s, uint64_t channel, uint64_t id)
{
    const struct mem_message *m = mem_find_message(s, channel, id);

    if (m)
        entry_put(&s->search, channel, id, m->content);
    else if (!s->search.how.stale)
        entry_remove(&s->search, id);
}

void mem_search_note(struct memstore *s, uint64_t channel, uint64_t id)
{
    struct mem_search *x = &s->search;

    x->changes++;
    if (x->how.drop_every && x->changes % x->how.drop_every == 0)
        return;
    if (!x->how.lag) {
        take_in(s, channel, id);
        return;
    }
    x->late = xrealloc(x->late, (x->n_late + 1) * sizeof(*x->late));
    x->late[x->n_late++] = (struct mem_entry){id, channel, NULL};
}

void mem_search_catch_up(struct memstore *s)
{
    struct mem_search *x = &s->search;

    for (size_t i = 0; i < x->n_late; i++)
        take_in(s, x->late[i].channel, x->late[i].id);
    x->n_late = 0;
}

void mem_search_free(struct memstore *s)
{
    struct mem_search *x = &s->search;

    for (size_t i = 0; i < x->n; i++)
        free(x->entries[i].content);
    free(x->entries);
    free(x->late);
}

/* --- words -----------------------------------------------------------------
 */

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

/* The next word from *at on, its length; 0: there is none. */
static size_t next_word(const char **at)
{
    size_t n = 0;

    while (**at && !is_word(**at))
        (*at)++;
    while ((*at)[n] && is_word((*at)[n]))
        n++;
    return n;
}

/* Do the words of query occur from here on, in this order, none further from
 * the one before than SLOP? first: anywhere. */
static bool words_follow(const char *text, const char *query, bool first)
{
    size_t wanted = next_word(&query), n;

    if (wanted == 0)
        return true;
    for (int skipped = 0; first || skipped <= SLOP; skipped++) {
        n = next_word(&text);
        if (n == 0)
            return false;
        if (n == wanted && strncasecmp(text, query, n) == 0 &&
            words_follow(text + n, query + wanted, false))
            return true;
        text += n;
    }
    return false;
}

/* --- asking ----------------------------------------------------------------
 */

static bool is_among(const uint64_t *ids, size_t n, uint64_t id)
{
    bool found = n == 0;

    for (size_t i = 0; i < n; i++)
        found |= ids[i] == id;
    return found;
}

static bool entry_matches(const struct memstore *s, const struct mem_entry *e,
                          const struct remote_search *q)
{
    const struct mem_message *m = mem_find_message(s, e->channel, e->id);

    if (!is_among(q->channels, q->n_channels, e->channel) ||
        (q->min_id && e->id <= q->min_id) || (q->max_id && e->id >= q->max_id))
        return false;
    if (q->author && m && m->author != q->author)
        return false;
    return !q->content || words_follow(e->content, q->content, true);
}

/* Any order, but always the same. */
static uint64_t scramble(uint64_t id)
{
    id *= 0x9e3779b97f4a7c15u;
    return id ^ id >> 29;
}

static int by_nothing(const void *a, const void *b)
{
    uint64_t x = scramble(*(const uint64_t *)a),
             y = scramble(*(const uint64_t *)b);
    return x < y ? -1 : x > y;
}

static int by_id(const void *a, const void *b)
{
    const struct remote_message *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* In the order of the answer's pages; for free(). */
static size_t find_hits(const struct memstore *s, const struct remote_search *q,
                        uint64_t **out)
{
    const struct mem_search *x = &s->search;
    uint64_t *ids = xcalloc(x->n + 1, sizeof(*ids));
    size_t n = 0;

    for (size_t i = 0; i < x->n; i++) {
        const struct mem_entry *e =
            &x->entries[q->oldest_first ? i : x->n - 1 - i];
        if (entry_matches(s, e, q))
            ids[n++] = e->id;
    }
    if (x->how.reorder)
        qsort(ids, n, sizeof(*ids), by_nothing);
    *out = ids;
    return n;
}

/* A hit as it is now; false: it is there no more. */
static bool copy_hit(const struct memstore *s, uint64_t id,
                     struct remote_message *out)
{
    const struct mem_entry *e = &s->search.entries[entry_place(&s->search, id)];
    const struct mem_message *m = mem_find_message(s, e->channel, id);
    struct mem_message ghost = {
        .id = id, .author = s->self, .content = e->content};

    if (!m && !s->search.how.stale)
        return false;
    mem_copy_message(e->channel, m ? m : &ghost, out);
    return true;
}

int mem_search(struct memstore *s, const struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    const struct remote_search *q = req->search;

    if (!q || q->limit < 1 || q->limit > LIMIT_MAX || q->offset < 0 ||
        q->offset > OFFSET_MAX || q->n_channels > 500 ||
        (q->content && strlen(q->content) > CONTENT_MAX))
        return err_set(err, -EINVAL, "a search that is never answered");
    if (s->search.how.not_ready) {
        reply->index_not_ready = true;
        return err_set(err, -EAGAIN, "the search index is not ready");
    }

    uint64_t *ids;
    size_t n = find_hits(s, q, &ids), from = (size_t)q->offset,
           to = from + (size_t)q->limit;
    reply->total = n;
    reply->index_not_ready = s->search.how.deep;
    reply->messages = xcalloc((size_t)q->limit, sizeof(*reply->messages));
    for (size_t i = from; i < n && i < to; i++)
        if (copy_hit(s, ids[i], &reply->messages[reply->n_messages]))
            reply->n_messages++;
    qsort(reply->messages, reply->n_messages, sizeof(*reply->messages), by_id);
    free(ids);
    return 0;
}

/* --- knobs -----------------------------------------------------------------
 */

void memstore_set_search(struct memstore *s, const struct memstore_search *how)
{
    pthread_mutex_lock(&s->lock);
    s->search.how = *how;
    if (!how->lag)
        mem_search_catch_up(s);
    pthread_mutex_unlock(&s->lock);
}

void memstore_search_catch_up(struct memstore *s)
{
    pthread_mutex_lock(&s->lock);
    mem_search_catch_up(s);
    pthread_mutex_unlock(&s->lock);
}
