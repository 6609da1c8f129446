#include "engine/lookup.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/batch.h"
#include "engine/message_text.h"
#include "engine/snapshot_text.h"
#include "engine/text.h"
#include "engine/token.h"
#include "engine/value.h"

#define PAGE 100
#define HITS 25
#define RIVAL_PAGES 3 /* more, and opening is as good */
#define SPARE_SEARCHES 3
#define BATCH_BYTES (4u << 20) /* of all batches on the pages */

/* A page of messages, with the records they tell. */
struct page {
    struct page *next;
    int place;
    struct remote_reply reply;
    struct records *told; /* of each message; batches read */
    struct buf *bodies;   /* of the batches */
    bool whole;           /* there is nothing beyond it */
    uint64_t first;       /* the lowest id on it */
    bool broken;          /* its records could not all be read */
};

enum { IN_CHANNEL, IN_THREAD };

struct lookup {
    struct table *table;
    struct core *core;
    const atomic_bool *cancel;
    struct schema *schema;
    struct page *thread;   /* the newest */
    uint64_t settled;      /* of the newest snapshot on it; 0: none */
    struct page *behind;   /* of the channel, from there on */
    struct page *channels; /* those before hits */
    size_t n_channels;
    uint64_t batch_bytes;
    size_t examined;

    struct found_row *found;
    size_t n_found, cap_found;
    char **names; /* whom the rows' `by` points to */
    size_t n_names;
};

/* --- reading ---------------------------------------------------------------
 */

static void page_forget_records(struct page *p)
{
    for (size_t i = 0; p->told && i < p->reply.n_messages; i++) {
        records_release(&p->told[i]);
        buf_release(&p->bodies[i]);
    }
    free(p->told);
    free(p->bodies);
    p->told = NULL;
    p->bodies = NULL;
}

static void page_free(struct page *p)
{
    if (!p)
        return;
    page_forget_records(p);
    remote_reply_release(&p->reply);
    free(p);
}

struct lookup *lookup_new(struct table *t, const atomic_bool *cancel)
{
    struct lookup *lk = xcalloc(1, sizeof(*lk));

    lk->table = t;
    lk->core = &t->engine->core;
    lk->cancel = cancel;
    lk->schema = table_schema(t);
    return lk;
}

void lookup_free(struct lookup *lk)
{
    if (!lk)
        return;
    for (size_t i = 0; i < lk->n_found; i++) {
        row_unref(lk->found[i].row);
        text_unref(lk->found[i].text);
    }
    free(lk->found);
    for (size_t i = 0; i < lk->n_names; i++)
        free(lk->names[i]);
    free(lk->names);
    page_free(lk->thread);
    page_free(lk->behind);
    while (lk->channels) {
        struct page *next = lk->channels->next;
        page_free(lk->channels);
        lk->channels = next;
    }
    schema_unref(lk->schema);
    free(lk);
}

static int ask(struct lookup *lk, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    req->priority = REMOTE_INTERACTIVE;
    struct promise *p = promise_request(lk->core, req);
    int r = promise_wait(p, lk->cancel, err);

    if (r == 0)
        *reply = promise_take_reply(p);
    promise_drop(p);
    return r;
}

static uint64_t channel_of(const struct lookup *lk, int place)
{
    return place == IN_CHANNEL ? lk->table->channel : lk->table->history;
}

static bool is_ours(const struct lookup *lk, const struct remote_message *m)
{
    return m->author_id == lk->core->self && m->type == 0 && message_is_ours(m);
}

static int unproved(struct err *err, const char *why)
{
    return err_set(err, -ENODATA, "%s", why);
}

static int download(struct lookup *lk, int place, uint64_t message,
                    uint64_t file, struct buf *out, struct err *err)
{
    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .channel = channel_of(lk, place),
        .message = message,
        .file = file,
    };
    struct remote_reply reply;

    int r = ask(lk, &req, &reply, err);
    if (r < 0)
        return r;
    *out = buf_take(&reply.body);
    remote_reply_release(&reply);
    return 0;
}

static int read_batch(struct lookup *lk, struct page *p, size_t i,
                      struct err *err)
{
    struct records head = p->told[i];
    uint64_t id = p->reply.messages[i].id;

    lk->batch_bytes += head.batch_len;
    if (lk->batch_bytes > BATCH_BYTES)
        return unproved(err, "too much was written lately to look through");
    int r = download(lk, p->place, id, head.batch_file, &p->bodies[i], err);
    if (r < 0)
        return r;
    p->told[i] = (struct records){0};
    r = batch_parse(&head, id, p->bodies[i].data, p->bodies[i].len, &p->told[i],
                    err);
    records_release(&head);
    return r;
}

static const char cannot_read[] =
    "a message that would have to be looked through is damaged";

/* The records of a page. What is damaged could have told anything. */
static int read_records(struct lookup *lk, struct page *p, struct err *err)
{
    size_t n = p->reply.n_messages;
    int r = 0;

    if (p->told)
        return p->broken ? unproved(err, cannot_read) : 0;
    p->told = xcalloc(n + 1, sizeof(*p->told));
    p->bodies = xcalloc(n + 1, sizeof(*p->bodies));
    p->first = n ? p->reply.messages[0].id : 0;
    for (size_t i = 0; i < n && r == 0; i++) {
        const struct remote_message *m = &p->reply.messages[i];
        lk->examined++;
        if (!is_ours(lk, m) || snapshot_is(m))
            continue;
        r = message_parse(m, &p->told[i], NULL);
        if (r == -ENOMSG)
            r = 0;
        if (r == 0 && p->told[i].batch_file)
            r = read_batch(lk, p, i, err);
    }
    p->broken = r < 0;
    return r == -EBADMSG || r == -ENOENT ? unproved(err, cannot_read) : r;
}

/* before and after 0: the newest page. whole: nothing is beyond it. */
static int read_page(struct lookup *lk, int place, uint64_t before,
                     uint64_t after, struct page **out, struct err *err)
{
    struct page *p = xcalloc(1, sizeof(*p));
    struct remote_request req = {
        .op = REMOTE_LIST,
        .channel = channel_of(lk, place),
        .before = before,
        .after = after,
        .limit = PAGE,
    };

    int r = ask(lk, &req, &p->reply, err);
    if (r < 0) {
        free(p);
        return r;
    }
    p->place = place;
    p->whole = p->reply.n_messages < PAGE;
    *out = p;
    return 0;
}

/* The newest snapshot on the page, if there is one. */
static void look_for_snapshot(struct lookup *lk, struct find_facts *facts)
{
    const struct remote_reply *reply = &lk->thread->reply;

    for (size_t i = reply->n_messages; i > 0; i--) {
        const struct remote_message *m = &reply->messages[i - 1];
        struct snapshot_head head;
        if (!is_ours(lk, m) || !snapshot_is(m) ||
            snapshot_parse(m, &head, NULL) < 0)
            continue;
        if (!head.part) {
            lk->settled = head.settled;
            facts->seen = FIND_SEEN_SNAPSHOT;
            facts->rows = head.rows;
            facts->bytes = head.bytes;
            /* Its other parts are as large as they can be. */
            facts->parts = head.n_parts + 1;
            facts->packed =
                head.len + head.n_parts * (uint64_t)lk->table->ns->db->max_file;
            facts->chained = head.over != 0;
            facts->tail = reply->n_messages - i;
        }
        snapshot_head_release(&head);
        if (facts->seen == FIND_SEEN_SNAPSHOT)
            return;
    }
}

int lookup_look(struct lookup *lk, struct find_facts *facts, struct err *err)
{
    int r = read_page(lk, IN_THREAD, 0, 0, &lk->thread, err);
    if (r < 0)
        return r;
    facts->seen = lk->thread->whole ? FIND_SEEN_ALL : FIND_SEEN_LATE;
    facts->tail = lk->thread->reply.n_messages;
    look_for_snapshot(lk, facts);
    return 0;
}

void lookup_lend(struct lookup *lk)
{
    if (!lk->thread)
        return;
    page_forget_records(lk->thread);
    ledger_lend_page(lk->table->ledger, &lk->thread->reply);
    page_free(lk->thread);
    lk->thread = NULL;
}

/* --- proof -----------------------------------------------------------------
 */

/* A row message that may be in the result. */
struct hint {
    const struct remote_message *m;
    struct records records;
    const struct record *shown;
    struct text *text;
    uint64_t since; /* what tells of a rival is from here on */
};

static bool same_key(const struct record *a, const struct record *b)
{
    return a->key_len == b->key_len && memcmp(a->key, b->key, a->key_len) == 0;
}

/* Have they the same value in a field that must be unique? If it is not known:
 * yes. */
static bool has_same_unique(const struct lookup *lk, const struct hint *h,
                            const struct record *r)
{
    bool unique;

    for (size_t i = 0; i < schema_index_count(lk->schema); i++) {
        const char *field = schema_index_at(lk->schema, i, &unique);
        AUTO_BUF struct buf mine = BUF_INIT, its = BUF_INIT;

        if (!unique || !value_find(h->text->data, h->text->len, field, &mine) ||
            buf_equals(&mine, "raw:null", 8))
            continue;
        if (!r->text)
            return true;
        if (value_find(r->text, r->text_len, field, &its) &&
            buf_equals(&its, mine.data, mine.len))
            return true;
    }
    return false;
}

/* Does the record say anything against the hint? */
static bool speaks_against(const struct lookup *lk, const struct hint *h,
                           const struct record *r)
{
    if (same_key(h->shown, r))
        return r->version >= h->shown->version && r->id != h->shown->id;
    return r->verb != RECORD_DELETE && has_same_unique(lk, h, r);
}

static bool page_speaks_against(const struct lookup *lk, const struct hint *h,
                                const struct page *p)
{
    for (size_t i = 0; i < p->reply.n_messages; i++) {
        if (p->reply.messages[i].id == h->m->id)
            continue;
        for (size_t k = 0; k < p->told[i].n; k++)
            if (speaks_against(lk, h, &p->told[i].list[k]))
                return true;
    }
    return false;
}

/* The page of the channel that has what stands from `since` on up to the
 * version. */
static int page_before(struct lookup *lk, const struct hint *h,
                       struct page **out, struct err *err)
{
    uint64_t upto = h->shown->id > h->m->id ? h->shown->id : h->m->id;

    for (struct page *p = lk->channels; p; p = p->next) {
        size_t n = p->reply.n_messages;
        if (n > 0 && p->reply.messages[n - 1].id >= upto &&
            (p->whole || p->first <= h->since)) {
            *out = p;
            return read_records(lk, p, err);
        }
    }
    if (lk->n_channels == RIVAL_PAGES)
        return unproved(err, "too many messages would have to be looked "
                             "through");
    struct page *p;
    int r = read_page(lk, IN_CHANNEL, upto + 1, 0, &p, err);
    if (r < 0)
        return r;
    p->next = lk->channels;
    lk->channels = p;
    lk->n_channels++;
    r = read_records(lk, p, err);
    if (r == 0 && !p->whole && p->first > h->since)
        r = unproved(err, "too much was written around the same time");
    *out = p;
    return r;
}

static int changed_since(struct err *err)
{
    return unproved(err, "the row was changed, or written twice, since its "
                         "message was brought up to date");
}

/* The message was there when the snapshot was taken, and up to date. */
static int prove_settled(struct lookup *lk, const struct hint *h,
                         struct err *err)
{
    int r = 0;

    if (!lk->behind)
        r = read_page(lk, IN_CHANNEL, 0, lk->settled, &lk->behind, err);
    if (r == 0)
        r = read_records(lk, lk->behind, err);
    if (r < 0)
        return r;
    if (!lk->behind->whole)
        return unproved(err, "too much was written since the snapshot");
    return page_speaks_against(lk, h, lk->behind) ? changed_since(err) : 0;
}

static bool has_unique(const struct lookup *lk)
{
    bool unique = false;

    for (size_t i = 0; !unique && i < schema_index_count(lk->schema); i++)
        schema_index_at(lk->schema, i, &unique);
    return unique;
}

static int prove_alone(struct lookup *lk, struct hint *h, struct err *err)
{
    uint64_t shown = h->shown->id, back = (uint64_t)RIVALS_MS << 22;
    struct page *p = NULL;

    /* Who wrote a later version, long after the row was made, knew what it was
     * built on. */
    bool old = shown > h->m->id && shown - h->m->id > back;
    uint64_t from = old ? shown : h->m->id;
    h->since = from > back ? from - back : 0;
    if (!lk->thread->whole && lk->thread->first > h->since)
        return unproved(err, "the newest page of the history does not reach "
                             "back to the row");
    if (old && !has_unique(lk))
        return 0;
    int r = page_before(lk, h, &p, err);
    if (r < 0)
        return r;
    return page_speaks_against(lk, h, p)
               ? unproved(err, "another message tells of the same row")
               : 0;
}

static int prove(struct lookup *lk, struct hint *h, struct err *err)
{
    const struct page *thread = lk->thread;

    int r = read_records(lk, lk->thread, err);
    if (r < 0)
        return r;
    if (page_speaks_against(lk, h, thread))
        return changed_since(err);
    bool settled = h->m->id <= lk->settled &&
                   (thread->whole || thread->first <= lk->settled);
    return settled ? prove_settled(lk, h, err) : prove_alone(lk, h, err);
}

/* --- hits ------------------------------------------------------------------
 */

static void hint_release(struct hint *h)
{
    text_unref(h->text);
    records_release(&h->records);
}

/* The text of what a row message shows, which may stand elsewhere. */
static int hint_text(struct lookup *lk, struct hint *h, struct err *err)
{
    const struct record *r = h->shown;
    AUTO_BUF struct buf body = BUF_INIT;

    if (r->text) {
        h->text = text_new(r->text, r->text_len);
        return 0;
    }
    if (!r->file)
        return unproved(err, "the row's text is not in its message");
    int res = download(lk, IN_CHANNEL, h->m->id, r->file, &body, err);
    if (res == 0)
        res = record_check_file(r, body.data, body.len, err);
    if (res == 0)
        h->text = text_new(body.data, body.len);
    return res == -ENOENT || res == -EBADMSG || res == -EIO
               ? unproved(err, "the row's attachment cannot be used")
               : res;
}

/* What a message shows, if it is a row's. False: it is none. */
static bool hint_read(const struct lookup *lk, const struct remote_message *m,
                      struct hint *h)
{
    *h = (struct hint){.m = m};
    if (m->channel_id != lk->table->channel || !is_ours(lk, m) ||
        message_parse(m, &h->records, NULL) < 0)
        return false;
    for (size_t i = 0; i < h->records.n && !h->shown; i++)
        if (h->records.list[i].alone)
            h->shown = &h->records.list[i];
    return h->shown && h->shown->verb == RECORD_PUT;
}

static bool is_found(const struct lookup *lk, uint64_t home)
{
    for (size_t i = 0; i < lk->n_found; i++)
        if (lk->found[i].row->home == home)
            return true;
    return false;
}

static void add_found(struct lookup *lk, struct hint *h)
{
    const struct record *r = h->shown;
    size_t len = h->text->len - 1; /* without the newline */
    struct row *row = row_new(r->key, r->key_len, h->text->data, len);

    lk->names = xrealloc(lk->names, (lk->n_names + 1) * sizeof(char *));
    lk->names[lk->n_names] = xstrndup(r->by, r->by_len);
    row->by = lk->names[lk->n_names++];
    row->version = r->version;
    row->id = r->id;
    row->base = r->base;
    row->home = row->holder = h->m->id;
    row->seq = h->m->id;
    row->at_ms = r->at_ms;
    row->mtime_ms = r->mtime_ms;
    if (lk->n_found == lk->cap_found) {
        lk->cap_found = lk->cap_found ? 2 * lk->cap_found : 8;
        lk->found = xrealloc(lk->found, lk->cap_found * sizeof(*lk->found));
    }
    lk->found[lk->n_found++] = (struct found_row){row, h->text};
    h->text = NULL;
}

/* What is searched for: a key, a value, or what matches a query. */
struct wish {
    const char *key;
    size_t key_len;
    const struct query_term *term;
    const struct query_value *value;
    const struct query *q;
    size_t wanted, found;
    struct err why; /* why a hit was not believed */
};

static bool is_wished(const struct wish *w, const struct hint *h)
{
    const struct text *t = h->text;
    AUTO_BUF struct buf value = BUF_INIT;

    if (w->q)
        return query_matches(w->q, t->data, t->len);
    return !w->value ||
           (value_find(t->data, t->len, w->term->field, &value) &&
            buf_equals(&value, w->value->canonical, w->value->canonical_len));
}

static int take_hit(struct lookup *lk, const struct remote_message *m,
                    struct wish *w, struct err *err)
{
    struct hint h;
    int r = -ENODATA;

    lk->examined++;
    if (!hint_read(lk, m, &h) || is_found(lk, m->id)) {
        hint_release(&h);
        return 0;
    }
    bool meant = !w->key || (w->key_len == h.shown->key_len &&
                             memcmp(w->key, h.shown->key, w->key_len) == 0);
    if (meant)
        r = hint_text(lk, &h, &w->why);
    if (r == 0)
        r = is_wished(w, &h) ? prove(lk, &h, &w->why) : -ENODATA;
    if (r == 0) {
        add_found(lk, &h);
        w->found++;
    }
    hint_release(&h);
    if (r < 0 && r != -ENODATA) {
        *err = w->why;
        return r;
    }
    return 0;
}

/* One page of hits below *max, which moves on. 1: there are no more. */
static int search_page(struct lookup *lk, const char *token, uint64_t *max,
                       struct wish *w, struct err *err)
{
    struct remote_search s = {
        .content = token,
        .channels = &lk->table->channel,
        .n_channels = 1,
        .author = lk->core->self,
        .max_id = *max,
        .limit = HITS,
    };
    struct remote_request req = {
        .op = REMOTE_SEARCH,
        .guild = table_namespace(lk->table)->db->id,
        .search = &s,
    };
    struct remote_reply reply = {0};
    struct err why = ERR_INIT;

    int r = ask(lk, &req, &reply, &why);
    if (r == -EINTR || r == -EPERM || r == -ESHUTDOWN) {
        *err = why;
        return r;
    }
    if (r < 0)
        return err_set(err, -ENODATA, "the search failed: %.90s", why.text);
    if (reply.index_not_ready && reply.n_messages == 0)
        r = unproved(err, "the search index is not ready");
    /* Pages go down by id and not by number: an offset ends at 10,000, and
     * what comes meanwhile would move it. */
    for (size_t i = 0; i < reply.n_messages && r == 0; i++)
        if (!*max || reply.messages[i].id < *max)
            *max = reply.messages[i].id;
    for (size_t i = reply.n_messages; i > 0 && r == 0; i--)
        if (w->found < w->wanted)
            r = take_hit(lk, &reply.messages[i - 1], w, err);
    if (r == 0 && reply.n_messages == 0)
        r = 1;
    remote_reply_release(&reply);
    return r;
}

static int search(struct lookup *lk, const char *token, struct wish *w,
                  struct err *err)
{
    size_t searches = (w->wanted + HITS - 1) / HITS + SPARE_SEARCHES;
    uint64_t max = 0;
    int r = 0;

    /* A hit that is the one and was not believed will not be believed on the
     * next page either. */
    if (w->wanted == 1)
        searches = 1;
    for (size_t i = 0; i < searches && r == 0 && w->found < w->wanted; i++)
        r = search_page(lk, token, &max, w, err);
    if (r < 0 || w->found == w->wanted)
        return r < 0 ? r : 0;
    if (w->why.text[0]) {
        *err = w->why;
        return -ENODATA;
    }
    return unproved(err, w->found > 0 ? "the search found too few"
                                      : "the search found nothing, which "
                                        "proves nothing");
}

int lookup_key(struct lookup *lk, const char *key, size_t len, struct err *err)
{
    struct wish w = {.key = key, .key_len = len, .wanted = 1};
    char token[TOKEN_LEN + 1];

    token_of(NULL, 0, key, len, token);
    return search(lk, token, &w, err);
}

int lookup_unique(struct lookup *lk, const struct query_term *t,
                  const struct query_value *v, struct err *err)
{
    struct wish w = {.term = t, .value = v, .wanted = 1};
    char token[TOKEN_LEN + 1];

    token_of(t->field, t->field_len, v->json, v->json_len, token);
    return search(lk, token, &w, err);
}

int lookup_some(struct lookup *lk, const struct query_term *t,
                const struct query_value *v, size_t wanted,
                const struct query *q, struct err *err)
{
    struct wish w = {.q = q, .wanted = wanted};
    char token[TOKEN_LEN + 1];

    token_of(t->field, t->field_len, v->json, v->json_len, token);
    return search(lk, token, &w, err);
}

static int by_home(const void *a, const void *b)
{
    const struct found_row *x = a, *y = b;
    return x->row->home < y->row->home ? -1 : x->row->home > y->row->home;
}

const struct found_row *lookup_found(struct lookup *lk, size_t *n)
{
    if (lk->n_found > 1)
        qsort(lk->found, lk->n_found, sizeof(*lk->found), by_home);
    *n = lk->n_found;
    return lk->found;
}

size_t lookup_examined(const struct lookup *lk)
{
    return lk->examined;
}
