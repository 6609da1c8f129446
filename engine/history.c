/* A walk down the chain of one key: from its newest version, which the ledger
 * knows, to the message that committed it, to the id that one names as its
 * base, and so on. Ids fall all the way, so one page of a listing behind each
 * of the two places is all that is kept.
 *
 *     channel   H: put v1, shows v3 by now
 *     thread       ... T1: put v2 base H, was v1 ... T2: put v3 base T1 ...
 *
 * What a message tells of the key is gathered whole: T1 has told of version 1
 * before the walk comes to H. */
#include "engine/history.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/waiter.h"
#include "engine/batch.h"
#include "engine/engine_impl.h"
#include "engine/message_text.h"
#include "engine/text.h"

#define PAGE 100

/* Behind a damaged message the version before it is looked for in so many
 * pages; its header mostly says where. */
#define PAGES_BLIND 20

enum { IN_CHANNEL, IN_THREAD, PLACES };

/* The messages of one place with ids from .. to, as far as there are any. */
struct page {
    uint64_t from, to; /* 0, 0: none was listed */
    struct remote_reply reply;
};

struct walk {
    struct table *table;
    struct core *core;
    const char *key;
    size_t key_len;
    struct row *head; /* may be a tombstone */
    struct page pages[PLACES];
    struct version *told; /* by the messages seen so far, in no order */
    uint64_t *bases;      /* of each */
    size_t n_told, cap_told;
};

void version_release(struct version *v)
{
    text_unref(v->text);
    free(v->why);
    free(v->strings);
    *v = (struct version){0};
}

struct version version_copy(const struct version *v)
{
    struct version to = *v;
    const struct record *r = &v->record;

    if (v->text)
        text_ref(v->text);
    if (v->why)
        to.why = xstrdup(v->why);
    if (!v->strings)
        return to;
    if (!r->file_name) {
        to.by = to.strings = xstrdup(v->strings);
        return to;
    }
    /* As version_of_record() laid them out. */
    size_t len = (size_t)(r->file_name - v->strings) + r->file_name_len;
    to.strings = xmalloc(len + 1);
    memcpy(to.strings, v->strings, len);
    to.strings[len] = '\0';
    to.by = to.record.by = to.strings;
    to.record.key = to.strings + (r->key - v->strings);
    to.record.file_name = to.strings + (r->file_name - v->strings);
    return to;
}

void history_release(struct history *h)
{
    for (size_t i = 0; i < h->n; i++)
        version_release(&h->list[i]);
    free(h->list);
    *h = (struct history){0};
}

static void walk_release(struct walk *w)
{
    for (int i = 0; i < PLACES; i++)
        remote_reply_release(&w->pages[i].reply);
    for (size_t i = 0; i < w->n_told; i++)
        version_release(&w->told[i]);
    free(w->told);
    free(w->bases);
    row_unref(w->head);
}

static int shown(size_t len)
{
    return len > 120 ? 120 : (int)len;
}

/* --- asking ----------------------------------------------------------------
 */

struct answer {
    struct waiter waiter;
    struct remote_reply *reply;
};

static void answered(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct answer *a = arg;

    if (r == 0) {
        *a->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    waiter_done(&a->waiter, r, err);
}

static int ask(struct walk *w, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    struct answer a = {.reply = reply};

    req->priority = REMOTE_INTERACTIVE;
    waiter_init(&a.waiter, err);
    core_submit(w->core, req, answered, &a);
    int r = waiter_wait(&a.waiter);
    waiter_release(&a.waiter);
    return r;
}

static uint64_t channel_of(const struct walk *w, int place)
{
    return place == IN_CHANNEL ? w->table->channel : w->table->history;
}

static bool covers(const struct page *p, uint64_t id)
{
    return p->to && id >= p->from && id <= p->to;
}

/* The page that ends with this id takes the place of the one before. */
static int turn_page(struct walk *w, int place, uint64_t id, struct err *err)
{
    struct page *p = &w->pages[place];
    struct remote_request req = {
        .op = REMOTE_LIST,
        .channel = channel_of(w, place),
        .before = id + 1,
        .limit = PAGE,
    };

    remote_reply_release(&p->reply);
    *p = (struct page){0};
    int r = ask(w, &req, &p->reply, err);
    /* A thread that was lost: what stood in it is gone. */
    if (r == -ENOENT && place == IN_THREAD)
        r = 0;
    if (r < 0)
        return err_wrap(err, r, "the history of '%.*s'", shown(w->key_len),
                        w->key);
    p->from = p->reply.n_messages == PAGE ? p->reply.messages[0].id : 1;
    p->to = id;
    return 0;
}

static const struct remote_message *on_page(const struct page *p, uint64_t id)
{
    for (size_t i = 0; i < p->reply.n_messages; i++)
        if (p->reply.messages[i].id == id)
            return &p->reply.messages[i];
    return NULL;
}

/* The message of this id in either place; *out NULL: it is in neither. The
 * pages that are there already cost nothing; then first is tried first. */
static int find_message(struct walk *w, uint64_t id, int first,
                        const struct remote_message **out, int *place,
                        struct err *err)
{
    bool known[PLACES];

    *out = NULL;
    for (int i = 0; i < PLACES; i++) {
        known[i] = covers(&w->pages[i], id);
        *place = i;
        if (known[i] && (*out = on_page(&w->pages[i], id)))
            return 0;
    }
    for (int i = 0; i < PLACES; i++) {
        *place = i == 0 ? first : PLACES - 1 - first;
        if (known[*place] || id < channel_of(w, *place))
            continue;
        int r = turn_page(w, *place, id, err);
        if (r < 0)
            return r;
        if ((*out = on_page(&w->pages[*place], id)))
            return 0;
    }
    return 0;
}

/* --- what messages tell ----------------------------------------------------
 */

static struct version *told_of(struct walk *w, uint32_t number, uint64_t id)
{
    for (size_t i = 0; i < w->n_told; i++)
        if (w->told[i].number == number && w->told[i].message == id)
            return &w->told[i];
    return NULL;
}

static bool is_about(const struct walk *w, const struct record *r)
{
    return r->key_len == w->key_len && memcmp(r->key, w->key, w->key_len) == 0;
}

static struct version version_of_record(const struct walk *w,
                                        const struct record *r, int place)
{
    struct version v = {
        .number = r->version,
        .deleted = r->verb == RECORD_DELETE,
        .at_ms = r->at_ms,
        .mtime_ms = r->mtime_ms,
        .message = r->id,
        .channel = r->copy ? 0 : channel_of(w, place),
    };
    char *s = xmalloc(r->by_len + r->key_len + r->file_name_len + 3);

    /* by comes first: it is also the C string. */
    v.strings = s;
    v.by = s;
    if (r->by_len)
        memcpy(s, r->by, r->by_len);
    s[r->by_len] = '\0';
    if (v.deleted)
        return v;

    v.text_len = r->text_len + 1;
    if (r->text) {
        v.text = text_new(r->text, r->text_len);
        return v;
    }
    v.record = *r;
    v.record.by = s;
    s += r->by_len + 1;
    v.record.key = memcpy(s, r->key, r->key_len);
    s += r->key_len;
    v.record.file_name = s;
    if (r->file_name_len)
        memcpy(s, r->file_name, r->file_name_len);
    v.file_channel = channel_of(w, place);
    return v;
}

/* A record of a message in this place, kept if it is of our key and tells
 * something: a copy without its text does not. */
static void take_record(struct walk *w, const struct record *r, int place)
{
    if (!is_about(w, r) || r->elsewhere)
        return;

    struct version *known = told_of(w, r->version, r->id);
    if (known && r->copy)
        return;
    struct version v = version_of_record(w, r, place);
    if (known) {
        version_release(known);
        *known = v;
        return;
    }
    if (w->n_told == w->cap_told) {
        w->cap_told = w->cap_told ? w->cap_told * 2 : 16;
        w->told = xrealloc(w->told, w->cap_told * sizeof(*w->told));
        w->bases = xrealloc(w->bases, w->cap_told * sizeof(*w->bases));
    }
    w->bases[w->n_told] = r->base;
    w->told[w->n_told++] = v;
}

static void take_records(struct walk *w, const struct records *rs, int place)
{
    for (size_t i = 0; i < rs->n; i++)
        take_record(w, &rs->list[i], place);
}

/* A number behind some words, after `from` and before `end`. 0: none. */
static uint64_t number_behind(const char *from, const char *end,
                              const char *words)
{
    size_t n = strlen(words);
    const char *at = memmem(from, (size_t)(end - from), words, n);
    uint64_t v = 0;

    for (at = at ? at + n : end; at < end && *at >= '0' && *at <= '9'; at++)
        v = v * 10 + (uint64_t)(*at - '0');
    return v;
}

/* What a damaged message seems to name as the base of our version. Where to
 * look next, no more: what is found there proves itself. */
static uint64_t guess_base(const struct walk *w, uint32_t number,
                           const char *data, size_t len, bool batch)
{
    AUTO_BUF struct buf head = BUF_INIT;

    if (batch)
        buf_addstr(&head, "\"key\":");
    buf_add_json(&head, w->key, w->key_len);
    buf_printf(&head, batch ? ",\"v\":%u," : " v%u ", number);
    const char *at = memmem(data, len, head.data, head.len);
    if (!at)
        return 0;
    at += head.len;
    const char *eol = memchr(at, '\n', (size_t)(data + len - at));
    return number_behind(at, eol ? eol : data + len,
                         batch ? "\"base\":\"" : " base ");
}

/* What the message tells of the key. -EBADMSG: it is damaged; *base is then a
 * guess, for the version looked for. Anything else: the store's. */
static int read_message(struct walk *w, const struct remote_message *m,
                        int place, uint32_t number, uint64_t *base,
                        struct err *err)
{
    struct records rs = {0}, lines = {0};
    struct remote_reply file = {0};

    *base = 0;
    int r = message_parse(m, &rs, err);
    if (r < 0) {
        *base = guess_base(w, number, m->content, m->content_len, false);
        if (r == -ENOMSG)
            err_set(err, r, "message %llu holds no record any more",
                    (unsigned long long)m->id);
        return -EBADMSG;
    }
    if (!rs.batch_file) {
        take_records(w, &rs, place);
        records_release(&rs);
        return 0;
    }

    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .channel = channel_of(w, place),
        .message = m->id,
        .file = rs.batch_file,
    };
    r = ask(w, &req, &file, err);
    if (r < 0) {
        err_wrap(err, r, "the batch in message %llu",
                 (unsigned long long)m->id);
        records_release(&rs);
        return r == -ENOENT ? -EBADMSG : r;
    }
    r = batch_parse(&rs, m->id, file.body.data ? file.body.data : "",
                    file.body.len, &lines, err);
    if (r == 0)
        take_records(w, &lines, place);
    else
        *base = guess_base(w, number, file.body.data ? file.body.data : "",
                           file.body.len, true);
    records_release(&lines);
    records_release(&rs);
    remote_reply_release(&file);
    return r;
}

/* --- the walk ---------------------------------------------------------------
 */

/* Where a version is committed: inserts in the channel, all else in the
 * thread; both only mostly. */
static int likely_place(const struct walk *w, uint32_t number, uint64_t id)
{
    if (!w->table->history)
        return IN_CHANNEL;
    return number == 1 || id == w->head->home ? IN_CHANNEL : IN_THREAD;
}

static struct version damaged(uint32_t number, uint64_t message,
                              uint64_t channel, const char *why)
{
    struct version v = {
        .number = number,
        .message = message,
        .channel = channel,
        .by = "",
        .r = -EBADMSG,
        .why = xstrdup(why),
    };
    return v;
}

/* The newest version as the ledger has it: its message is gone, or nobody
 * needs to ask for it. */
static struct version version_of_head(const struct walk *w)
{
    const struct row *r = w->head;
    struct version v = {
        .number = r->version,
        .deleted = r->deleted,
        .at_ms = r->at_ms,
        .mtime_ms = r->mtime_ms,
        .message = r->id,
        .text_len = r->text_len,
    };

    v.strings = xstrdup(r->by ? r->by : "");
    v.by = v.strings;
    if (r->id == r->home)
        v.channel = w->table->channel;
    return v;
}

/* The head has its text from the ledger, wherever that has it. */
static int head_version(struct walk *w, struct version *out, struct err *err)
{
    struct version v = version_of_head(w);

    if (!v.deleted) {
        int r = row_load_text_wait(w->table, w->head, &v.text, err);
        if (r == -EBADMSG) {
            v.r = r;
            v.why = xstrdup(err_text(err, r));
        } else if (r < 0) {
            version_release(&v);
            return r;
        }
    }
    *out = v;
    return 0;
}

/* The records of the key that the messages of this page tell, batches left
 * out: they would have to be fetched, all of them. */
static void read_page(struct walk *w, int place, uint64_t before)
{
    const struct page *p = &w->pages[place];

    for (size_t i = 0; i < p->reply.n_messages; i++) {
        const struct remote_message *m = &p->reply.messages[i];
        struct records rs = {0};

        if (m->author_id != w->core->self || m->id >= before ||
            message_parse(m, &rs, NULL) < 0)
            continue;
        take_records(w, &rs, place);
        records_release(&rs);
    }
}

/* Of what was told: the newest version before this number; of several the
 * one with the lowest id, which is the one that counts unless its base does
 * not. */
static struct version *newest_before(struct walk *w, uint32_t number)
{
    struct version *best = NULL;

    for (size_t i = 0; i < w->n_told; i++) {
        struct version *v = &w->told[i];
        if (v->number == 0 || v->number >= number)
            continue; /* 0: handed out already */
        if (!best || v->number > best->number ||
            (v->number == best->number && v->message < best->message))
            best = v;
    }
    return best;
}

/* The chain is broken: no message names the one of version `number` or before.
 * Looks for those in the pages that are here, and in so many more of the
 * thread. *out NULL: nothing was found. */
static int look_around(struct walk *w, uint32_t number, uint64_t before,
                       int more, struct version **out, struct err *err)
{
    for (int i = 0; i < PLACES; i++)
        read_page(w, i, before);
    for (uint64_t to = before - 1; more > 0; more--) {
        const struct page *p = &w->pages[IN_THREAD];
        if (newest_before(w, number + 1) || to <= w->table->history)
            break;
        if (!covers(p, to)) {
            int r = turn_page(w, IN_THREAD, to, err);
            if (r < 0)
                return r;
        }
        read_page(w, IN_THREAD, before);
        to = p->from - 1;
    }
    *out = newest_before(w, number + 1);
    return 0;
}

/* The version behind `number` may have been told by a copy. Its own message has
 * not been read then, and is where version `number` is told of again. */
static int read_child(struct walk *w, uint32_t number, uint64_t child,
                      struct err *err)
{
    const struct remote_message *m;
    struct err why = ERR_INIT;
    uint64_t base;
    int place;

    int r = find_message(w, child, likely_place(w, number + 1, child), &m,
                         &place, err);
    if (r < 0 || !m)
        return r;
    r = read_message(w, m, place, number + 1, &base, &why);
    if (r < 0 && r != -EBADMSG)
        *err = why;
    return r == -EBADMSG ? 0 : r;
}

/* 1: *out is version `number`, which message id committed, or that it is
 * damaged; *base: the message before it, 0: not known. 0: it is gone. child
 * (0: not known) committed the version behind it. */
static int load_version(struct walk *w, uint32_t number, uint64_t id,
                        uint64_t child, struct version *out, uint64_t *base,
                        struct err *err)
{
    bool is_head = w->head->id == id;
    struct version *v = told_of(w, number, id);
    const struct remote_message *m = NULL;
    struct err why = ERR_INIT;
    int place = IN_CHANNEL, r;

    *base = 0;
    if (!v) {
        r = find_message(w, id, likely_place(w, number, id), &m, &place, err);
        if (r < 0)
            return r;
        r = m ? read_message(w, m, place, number, base, &why) : 0;
        if (r < 0 && r != -EBADMSG) {
            *err = why;
            return r;
        }
        v = told_of(w, number, id);
        if (r == 0 && m && !v)
            err_set(&why, -EBADMSG,
                    "message %llu does not tell of version %u any more",
                    (unsigned long long)id, number);
    }
    if (!v && child) {
        r = read_child(w, number, child, err);
        if (r < 0)
            return r;
        v = told_of(w, number, id);
    }
    if (v) {
        *base = w->bases[v - w->told];
        *out = *v;
        *v = (struct version){0};
        return 1;
    }
    if (is_head && !m) {
        r = head_version(w, out, err);
        return r < 0 ? r : 1;
    }
    /* A row's own message that has gone on, without the copy that told what it
     * said before: vacuum has removed that, and keeps the message. */
    if (!m || (r == 0 && place == IN_CHANNEL))
        return 0;
    *out = damaged(number, id, channel_of(w, place), err_text(&why, -EBADMSG));
    return 1;
}

static void append(struct history *h, const struct version *v)
{
    /* Doubles from 4: the capacity is known from the number. */
    if (h->n < 4 ? h->n == 0 : (h->n & (h->n - 1)) == 0)
        h->list = xrealloc(h->list, (h->n ? h->n * 2 : 4) * sizeof(*h->list));
    h->list[h->n++] = *v;
}

/* Versions whose messages nothing names, or that are gone, with others behind
 * them: number down to the one behind next. id: the message of `number`, or 0.
 */
static void append_lost(struct history *h, uint32_t number, uint64_t id,
                        uint32_t next)
{
    for (; number > next; number--, id = 0) {
        AUTO_BUF struct buf b = BUF_INIT;
        if (id)
            buf_printf(&b, "message %llu, which committed it, is gone",
                       (unsigned long long)id);
        else
            buf_addstr(&b, "its message cannot be found: the one that names it "
                           "is damaged or gone");
        struct version v = damaged(number, id, 0, b.data);
        append(h, &v);
    }
}

/* From version `number`, committed by message id, down to `last`: newest first
 * into *out. */
static int walk_down(struct walk *w, uint32_t number, uint64_t id,
                     uint32_t last, struct history *out, struct err *err)
{
    uint64_t child = 0;

    for (;;) {
        struct version v, *next;
        uint64_t base;

        int r = load_version(w, number, id, child, &v, &base, err);
        if (r < 0)
            return r;
        bool known = r == 1;
        if (known) {
            append(out, &v);
            if (number <= last || number == 1)
                return 0;
            number--;
        }
        child = known ? id : 0;
        if (known && base) {
            id = base;
            continue;
        }

        /* A vacuum removes what is old, though not every message that tells
         * of it: what it left behind a gap is not history any more. */
        if (!known && id <= ledger_vacuumed(w->table->ledger)) {
            out->removed = number;
            return 0;
        }

        /* Behind damage it is worth a search; what is gone was removed with
         * all that was before it, but for what somebody's hand did. */
        r = look_around(w, number, id, known ? PAGES_BLIND : 0, &next, err);
        if (r < 0)
            return r;
        if (!next) {
            out->removed = number;
            return 0;
        }
        append_lost(out, number, known ? 0 : id, next->number);
        number = next->number;
        id = next->message;
        if (number < last)
            return 0;
    }
}

static int walk_init(struct walk *w, struct table *t, const char *key,
                     size_t key_len, struct err *err)
{
    *w = (struct walk){
        .table = t,
        .core = &t->engine->core,
        .key = key,
        .key_len = key_len,
    };
    w->head = ledger_head(t->ledger, key, key_len);
    if (w->head && w->head->version > 0)
        return 0;
    row_unref(w->head);
    return err_set(err, -ENOENT, "there is no '%.*s', and never was one",
                   shown(key_len), key);
}

/* Where a message stands of which only a copy tells. Copies are made of what a
 * row message shows: of the insert it was, in the channel, which has nothing or
 * a deletion before it; else of what the thread has. */
static void place_copies(const struct walk *w, struct history *h)
{
    for (size_t i = 0; i < h->n; i++) {
        struct version *v = &h->list[i];
        const struct version *older = i + 1 < h->n ? v + 1 : NULL;
        if (v->channel || v->r < 0)
            continue;
        bool insert = v->number == 1 || (older && older->deleted &&
                                         older->number == v->number - 1);
        v->channel = channel_of(w, insert ? IN_CHANNEL : IN_THREAD);
    }
}

static void reverse(struct history *h)
{
    for (size_t i = 0; i < h->n / 2; i++) {
        struct version v = h->list[i];
        h->list[i] = h->list[h->n - 1 - i];
        h->list[h->n - 1 - i] = v;
    }
}

int table_history_wait(struct table *t, const char *key, size_t key_len,
                       struct history *out, struct err *err)
{
    struct history h = {0};
    struct walk w;

    int r = walk_init(&w, t, key, key_len, err);
    if (r < 0)
        return r;
    r = walk_down(&w, w.head->version, w.head->id, 1, &h, err);
    place_copies(&w, &h);
    walk_release(&w);
    if (r < 0) {
        history_release(&h);
        return r;
    }
    reverse(&h);
    *out = h;
    return 0;
}

/* --- one version ------------------------------------------------------------
 */

/* Of what the walk down to it brought: that one alone. */
static int pick(const struct walk *w, struct history *h, uint32_t number,
                struct version *out, struct err *err)
{
    for (size_t i = 0; i < h->n; i++) {
        struct version *v = &h->list[i];
        if (v->number != number)
            continue;
        if (v->r < 0)
            return err_set(err, v->r, "version %u of '%.*s': %s", number,
                           shown(w->key_len), w->key, v->why);
        *out = *v;
        *v = (struct version){0};
        return 0;
    }
    return err_set(err, -ENOENT,
                   "version %u of '%.*s' is not there any more: the oldest "
                   "that is, is %u",
                   number, shown(w->key_len), w->key, h->removed + 1);
}

static int find_version(struct walk *w, uint32_t number, struct version *out,
                        struct err *err)
{
    struct history h = {0};

    if (number == 0 || number > w->head->version)
        return err_set(err, -ENOENT,
                       "there is no version %u of '%.*s': the newest is %u",
                       number, shown(w->key_len), w->key, w->head->version);
    if (number == w->head->version) {
        int r = head_version(w, out, err);
        if (r < 0 || out->r == 0)
            return r;
        r = err_set(err, out->r, "%s", out->why);
        version_release(out);
        return r;
    }
    int r = walk_down(w, w->head->version, w->head->id, number, &h, err);
    if (r == 0)
        r = pick(w, &h, number, out, err);
    history_release(&h);
    return r;
}

uint32_t table_newest_version(struct table *t, const char *key, size_t key_len)
{
    struct row *head = ledger_head(t->ledger, key, key_len);
    uint32_t number = head ? head->version : 0;

    row_unref(head);
    return number;
}

static int by_id(const void *a, const void *b)
{
    const struct row *x = *(struct row *const *)a, *y = *(struct row *const *)b;

    return x->id < y->id ? -1 : x->id > y->id;
}

size_t table_deleted_rows(struct table *t, struct row ***out)
{
    struct row **list;
    size_t n = ledger_heads_behind(t->ledger, 0, &list), kept = 0;

    for (size_t i = 0; i < n; i++) {
        if (list[i]->deleted && list[i]->version > 0)
            list[kept++] = list[i];
        else
            row_unref(list[i]);
    }
    if (kept > 0)
        qsort(list, kept, sizeof(struct row *), by_id);
    *out = list;
    return kept;
}

int table_version_wait(struct table *t, const char *key, size_t key_len,
                       uint32_t number, struct version *out, struct err *err)
{
    struct walk w;

    int r = walk_init(&w, t, key, key_len, err);
    if (r < 0)
        return r;
    r = find_version(&w, number, out, err);
    walk_release(&w);
    return r;
}

struct text_answer {
    struct waiter waiter;
    struct text *text;
};

static void text_here(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct text_answer *a = arg;

    a->text = text;
    waiter_done(&a->waiter, r, err);
}

int version_text_wait(struct table *t, const struct version *v,
                      struct text **out, struct err *err)
{
    struct text_answer a = {0};
    int r = 0;

    if (v->r < 0)
        return err_set(err, v->r, "%s", v->why);
    if (v->deleted)
        return err_set(err, -EINVAL, "version %u is a deletion: it has no text",
                       v->number);
    if (v->text) {
        *out = text_ref(v->text);
        return 0;
    }
    waiter_init(&a.waiter, err);
    if (text_load(t->engine->core.texts, v->file_channel, &v->record, &a.text,
                  text_here, &a) != 0)
        r = waiter_wait(&a.waiter);
    waiter_release(&a.waiter);
    if (r == 0)
        *out = a.text;
    return r;
}

/* --- going back --------------------------------------------------------------
 */

/* Is this the row's text as it is now? */
static int is_current(struct table *t, struct row *row, const struct text *text,
                      bool *same, struct err *err)
{
    struct text *now;

    *same = false;
    if (row->text_len != text->len)
        return 0;
    int r = row_load_text_wait(t, row, &now, err);
    if (r < 0)
        return r == -EBADMSG ? 0 : r;
    *same = memcmp(now->data, text->data, text->len) == 0;
    text_unref(now);
    return 0;
}

static int restore_text(struct table *t, const char *key, size_t key_len,
                        const struct text *text, const char *by, bool *changed,
                        struct row **out, struct err *err)
{
    struct row *row = row_find(t, key, key_len);
    bool same = false;

    int r = row ? is_current(t, row, text, &same, err) : 0;
    *changed = !same;
    if (r == 0 && same && out) {
        *out = row;
        return 0;
    }
    row_unref(row);
    if (r < 0 || same)
        return r;
    struct write w = {
        .kind = WRITE_PUT,
        .key = key,
        .key_len = key_len,
        .text = text->data,
        .text_len = text->len,
        .by = by,
    };
    return table_write_wait(t, &w, out, err);
}

int table_restore_wait(struct table *t, const char *key, size_t key_len,
                       uint32_t number, const char *by, bool *changed,
                       struct row **out, struct err *err)
{
    struct version v;
    struct text *text;

    int r = table_version_wait(t, key, key_len, number, &v, err);
    if (r < 0)
        return r;
    if (v.deleted)
        r = err_set(err, -EINVAL,
                    "version %u of '%.*s' is its deletion: there is nothing to "
                    "restore",
                    number, shown(key_len), key);
    else
        r = version_text_wait(t, &v, &text, err);
    version_release(&v);
    if (r < 0)
        return r;
    r = restore_text(t, key, key_len, text, by, changed, out, err);
    text_unref(text);
    return r;
}
