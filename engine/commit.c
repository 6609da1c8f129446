/* Group commit. Writes wait in a queue; at most one message create is under
 * way, and the writes it takes are chosen when it may leave, not before: so
 * all that came while it was held back by a limit leave together.
 *
 *     queue --submit--> waits for a limit --build--> on its way --answer--+
 *       ^                  (more come)      (group)                       |
 *       +-------- next group, after a short linger <----------------------+
 *
 * Inserts alone go into the channel, where a single one is its row's own
 * message; as soon as there is anything else all goes into the thread. What
 * is refused for the state of its row is refused at build, against the rows
 * and what the group did before it.
 *
 * An answer may be lost. The store repeats a create with its nonce; when it
 * gives up, the destination is listed to see whether the message is there.
 * And Discord may change a text: then the message is deleted and what it said
 * is sent again as a file. */
#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"
#include "engine/plan.h"
#include "engine/text.h"

#define GROUP_RECORDS 10000

/* Of the batch file's size, for the next record's escapes and names. */
#define ROOM_LEFT(max) ((max) / 16)

/* Those just answered come back at once, if they come: let them all leave
 * together, and not the first alone. Of the time the last commit took, within
 * bounds. */
#define LINGER_LEAST_MS 5
#define LINGER_MOST_MS 40

#define LOOKUPS 4

struct group {
    struct ledger *l; /* a reference */
    int place;

    /* The store's thread alone, from build to the answer. */
    struct plan plan;
    struct buf storage;        /* bytes of the file, */
    struct remote_upload file; /* which is this; len 0: none */
    struct pending_list writes;
    bool built;
    size_t refused;
    uint64_t kicks; /* of the ledger, at build */
    int64_t left_ms;
    uint64_t after; /* what we sent is behind this */
    int lookups;
    int r; /* why the create failed */
    struct err err;

    /* under the ledger's lock */
    struct buf content; /* as it left; empty: it has not */
    bool has_echo;      /* the push connection told of it */
    struct remote_message echo;
};

static void submit_group(struct group *g);
static void start(struct ledger *l);

/* --- lists -----------------------------------------------------------------
 */

static void list_add(struct pending_list *q, struct pending *p)
{
    p->next = NULL;
    *q->last = p;
    q->last = &p->next;
    q->n++;
}

static struct pending_list list_empty(void)
{
    return (struct pending_list){0};
}

/* Caller holds l->lock. */
static void answer_locked(struct ledger *l, struct pending *list)
{
    if (list)
        ledger_news_locked(l)->answers = list;
}

static void group_free(struct group *g)
{
    struct ledger *l = g->l;

    plan_release(&g->plan);
    buf_release(&g->storage);
    buf_release(&g->content);
    if (g->has_echo)
        remote_message_release(&g->echo);
    free(g);
    ledger_unref(l);
}

void commit_fail_all_locked(struct ledger *l, int r, const char *why)
{
    for (struct pending *p = l->queue.first; p; p = p->next)
        pending_refuse(p, r, "%s %s", l->label, why);
    answer_locked(l, l->queue.first);
    l->queue = list_empty();
    l->queue.last = &l->queue.first;
}

/* --- texts that must be fetched before a row can move ----------------------
 */

struct fetching {
    struct ledger *l; /* a reference */
    uint64_t ticket, text_of;
    struct row *row;
};

static struct pending *find_queued(struct ledger *l, uint64_t ticket)
{
    struct pending *p = l->queue.first;

    while (p && p->ticket != ticket)
        p = p->next;
    return p;
}

static struct pending *take_queued(struct ledger *l, uint64_t ticket)
{
    struct pending **at = &l->queue.first;

    while (*at && (*at)->ticket != ticket)
        at = &(*at)->next;
    struct pending *p = *at;
    if (!p)
        return NULL;
    *at = p->next;
    if (!*at)
        l->queue.last = at;
    l->queue.n--;
    p->next = NULL;
    return p;
}

static void fetched(void *arg, int r, struct text *text, const struct err *err)
{
    struct fetching *f = arg;
    struct ledger *l = f->l;

    ledger_lock(l);
    struct pending *p = find_queued(l, f->ticket);
    l->kicks++;
    if (p && r == 0) {
        p->fetching = false;
        text_unref(p->text);
        p->text = text_ref(text);
        p->text_of = f->text_of;
    } else if (p) {
        p = take_queued(l, f->ticket);
        pending_refuse(p, r, "%s", err_text(err, r));
        answer_locked(l, p);
    }
    ledger_unlock(l);
    text_unref(text);
    ledger_deliver(l);
    start(l);
    row_unref(f->row);
    ledger_unref(l);
    free(f);
}

static void fetch_run(void *arg)
{
    struct fetching *f = arg;
    struct text *text;

    if (ledger_load_text(f->l, f->row, &text, fetched, f) == 0)
        fetched(f, 0, text, NULL);
}

/* Caller holds l->lock. */
static void fetch_locked(struct ledger *l, struct pending *p)
{
    struct row *row = fold_find(l->fold, p->w.key, p->w.key_len);
    struct fetching *f = xcalloc(1, sizeof(*f));

    p->fetching = true;
    *f = (struct fetching){ledger_ref(l), p->ticket, row->id, row_ref(row)};
    job_run(l->core->pool, fetch_run, f);
}

/* --- leaving ---------------------------------------------------------------
 */

/* Caller holds l->lock. Is there anything but inserts? Without a thread all
 * goes into the channel. */
static int choose_place_locked(struct ledger *l)
{
    if (!l->thread)
        return IN_CHANNEL;
    for (struct pending *p = l->queue.first; p; p = p->next)
        if (!p->fetching && (p->w.kind != WRITE_PUT ||
                             fold_find(l->fold, p->w.key, p->w.key_len)))
            return IN_THREAD;
    return IN_CHANNEL;
}

/* Caller holds l->lock. Those that can leave move into the group, those that
 * cannot be done into *refused. */
static void gather_locked(struct group *g, struct pending_list *refused)
{
    struct ledger *l = g->l;
    struct pending_list later = list_empty();
    struct pending *p = l->queue.first;
    uint64_t max = atomic_load(&l->max_file);
    bool full = false;

    later.last = &later.first;
    while (p) {
        struct pending *next = p->next;
        size_t size = 2 * p->w.text_len + 2 * p->w.key_len + 512;
        struct pending_list *to = &later;

        if (g->writes.n > 0 && (g->plan.builder.n >= GROUP_RECORDS ||
                                g->plan.bytes + size > max - ROOM_LEFT(max)))
            full = true;
        if (!full) {
            switch (plan_write_locked(&g->plan, p)) {
            case PLAN_TAKEN:
                to = &g->writes;
                break;
            case PLAN_REFUSED:
                to = refused;
                break;
            case PLAN_FETCH:
                fetch_locked(l, p);
                break;
            case PLAN_LATER:
                break;
            }
        }
        list_add(to, p);
        p = next;
    }
    l->queue = later;
    if (!later.first)
        l->queue.last = &l->queue.first;
}

/* The store's thread, when the message may leave. */
static int build(void *arg, struct remote_draft *draft)
{
    struct group *g = arg;
    struct ledger *l = g->l;
    struct pending_list refused = list_empty();

    refused.last = &refused.first;
    g->built = true;
    ledger_lock(l);
    plan_init(&g->plan, l, g->place == IN_CHANNEL && l->thread);
    g->plan.builder.find_tokens = g->place == IN_CHANNEL && l->thread;
    if (l->state == LEDGER_OPEN)
        gather_locked(g, &refused);
    g->refused = refused.n;
    g->kicks = l->kicks;
    answer_locked(l, refused.first);
    g->after = l->newest[g->place] > ledger_channel(l, g->place)
                   ? l->newest[g->place]
                   : ledger_channel(l, g->place);
    plan_end(&g->plan);
    ledger_unlock(l);
    if (refused.first)
        ledger_deliver(l);
    if (g->writes.n == 0)
        return -ECANCELED;

    int r = message_finish(&g->plan.builder, atomic_load(&l->max_file), draft,
                           &g->storage, &g->err);
    if (r < 0) {
        g->r = r;
        return r;
    }
    if (draft->n_files > 0)
        g->file = draft->files[0];
    ledger_lock(l);
    buf_reset(&g->content);
    buf_add(&g->content, draft->content.data, draft->content.len);
    g->left_ms = clock_mono_ms();
    ledger_unlock(l);
    return 0;
}

bool commit_takes_echo_locked(struct ledger *l, const struct remote_message *m)
{
    struct group *g = l->group;

    if (!g || g->content.len == 0 || g->has_echo ||
        m->channel_id != ledger_channel(l, g->place) ||
        m->author_id != l->core->self ||
        !buf_equals(&g->content, m->content, m->content_len))
        return false;
    remote_message_copy(&g->echo, m);
    g->has_echo = true;
    return true;
}

/* --- answers ---------------------------------------------------------------
 */

/* What the fold made of a write's record, in words. */
static void judge(struct pending *p, enum fold_result res, struct row *row)
{
    switch (res) {
    case FOLD_APPLIED:
    case FOLD_KNOWN:
        if (row && !row->deleted)
            p->row = row_ref(row);
        return;
    case FOLD_VOID:
    case FOLD_PENDING:
        break;
    }
    const char *key = p->w.kind == WRITE_RENAME ? p->w.to : p->w.key;
    size_t len = p->w.kind == WRITE_RENAME ? p->w.to_len : p->w.key_len;
    int shown = len > 120 ? 120 : (int)len;
    if (p->w.must_be_new)
        pending_refuse(p, -EEXIST,
                       "'%.*s' was created by another process at the same time",
                       shown, key);
    else
        pending_refuse(p, -ESTALE,
                       "'%.*s' was changed by another process at the same time",
                       shown, key);
}

/* The texts just written are asked for next. */
static void keep_texts(struct group *g, const struct records *rs)
{
    for (size_t i = 0; i < rs->n && i < g->plan.builder.n; i++) {
        const struct record *sent = &g->plan.builder.list[i];
        if (!rs->list[i].file || !sent->text)
            continue;
        struct text *t = text_new(sent->text, sent->text_len);
        text_keep(g->l->core->texts, rs->list[i].file, t);
        text_unref(t);
    }
}

struct linger {
    struct ledger *l; /* a reference */
    uint64_t number;
};

static void linger_over(void *arg)
{
    struct linger *w = arg;

    ledger_lock(w->l);
    if (w->l->linger == w->number)
        w->l->lingering = false;
    ledger_unlock(w->l);
    start(w->l);
    ledger_unref(w->l);
    free(w);
}

/* Caller holds l->lock. Several writers have just been answered: they are
 * about to come back. */
static void linger_locked(struct ledger *l, size_t writers, int64_t took_ms)
{
    int64_t ms = took_ms / 2;

    if (writers < 2 || atomic_load(&l->core->closing))
        return;
    if (ms < LINGER_LEAST_MS)
        ms = LINGER_LEAST_MS;
    if (ms > LINGER_MOST_MS)
        ms = LINGER_MOST_MS;
    l->lingering = true;
    l->expect = writers;
    struct linger *w = xmalloc(sizeof(*w));
    *w = (struct linger){ledger_ref(l), ++l->linger};
    job_after(l->core->pool, ms, linger_over, w);
}

/* The group is over: its writes are answered, the next may go. */
static void end_group(struct group *g)
{
    struct ledger *l = g->l;

    ledger_lock(l);
    assert(l->group == g);
    l->group = NULL;
    if (g->writes.n > 0 && g->left_ms > 0)
        linger_locked(l, g->writes.n + l->queue.n,
                      clock_mono_ms() - g->left_ms);
    answer_locked(l, g->writes.first);
    /* Of those that are left all wait for a text, or for one that does: until
     * it is here the next group would be as empty. */
    bool go = g->writes.n > 0 || g->refused > 0 || g->kicks != l->kicks ||
              choose_place_locked(l) != g->place;
    ledger_unlock(l);
    ledger_deliver(l);
    if (go)
        start(l);
    settle_go(l);
    group_free(g);
}

static void fail_group(struct group *g, int r, const char *why)
{
    for (struct pending *p = g->writes.first; p; p = p->next)
        pending_refuse(p, r, "%s", why);
    end_group(g);
}

static int parse_answer(struct group *g, const struct remote_message *m,
                        struct records *rs, struct err *err)
{
    struct records head = {0};

    int r = message_parse(m, &head, err);
    if (r == 0 && head.batch_file) {
        r = batch_parse(&head, m->id, g->file.data, g->file.len, rs, err);
        records_release(&head);
    } else if (r == 0) {
        *rs = head;
    }
    if (r == 0 && rs->n != g->plan.builder.n) {
        r = err_set(err, -EBADMSG, "message %llu holds %zu records, not %zu",
                    (unsigned long long)m->id, rs->n, g->plan.builder.n);
        records_release(rs);
    }
    return r;
}

/* The message is in Discord, as it was sent. */
static void finish(struct group *g, const struct remote_message *m)
{
    struct ledger *l = g->l;
    struct records rs = {0};
    struct err err = ERR_INIT;
    struct changes changes = {0};

    int r = parse_answer(g, m, &rs, &err);
    if (r < 0) {
        fail_group(g, r, err_text(&err, r));
        return;
    }
    keep_texts(g, &rs);

    enum fold_result *results = xcalloc(rs.n, sizeof(*results));
    struct row **rows = xcalloc(rs.n, sizeof(struct row *));
    ledger_lock(l);
    ledger_note_own_locked(&l->posted, m->id);
    ledger_apply_locked(l, g->place, m, &rs, true, results, rows, &changes);
    ledger_tell_locked(l, &changes);
    ledger_unlock(l);

    for (struct pending *p = g->writes.first; p; p = p->next)
        judge(p, results[p->record], rows[p->record]);
    for (size_t i = 0; i < rs.n; i++)
        row_unref(rows[i]);
    free(rows);
    free(results);
    records_release(&rs);
    end_group(g);
}

static void posted(void *arg, int r, struct remote_reply *reply,
                   const struct err *err);

/* What Discord had changed is deleted; now the same as a file. */
static void changed_deleted(void *arg, int r, struct remote_reply *reply,
                            const struct err *err)
{
    struct group *g = arg;
    struct remote_draft draft = {0};

    (void)reply;
    if (r < 0 && r != -ENOENT)
        log_warn("a message that Discord had changed cannot be deleted: %s",
                 err_text(err, r));
    g->plan.builder.as_file = true;
    r = message_finish(&g->plan.builder, atomic_load(&g->l->max_file), &draft,
                       &g->storage, &g->err);
    if (r < 0) {
        remote_draft_release(&draft);
        fail_group(g, r, err_text(&g->err, r));
        return;
    }
    g->file = draft.files[0];
    ledger_lock(g->l);
    buf_reset(&g->content);
    buf_add(&g->content, draft.content.data, draft.content.len);
    ledger_unlock(g->l);

    struct remote_request req = {
        .op = REMOTE_POST,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(g->l, g->place),
        .draft = draft,
    };
    core_submit(g->l->core, &req, posted, g);
}

static void text_changed(struct group *g, const struct remote_message *m)
{
    struct ledger *l = g->l;
    AUTO_STR char *label = ledger_label(l);

    log_warn("%s: Discord changed the text of message %llu; sending it again "
             "as a file",
             label, (unsigned long long)m->id);
    ledger_lock(l);
    ledger_note_own_locked(&l->deleted, m->id);
    ledger_forget_damage_locked(l, m->id);
    ledger_unlock(l);
    struct remote_request req = {
        .op = REMOTE_DELETE,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(l, g->place),
        .message = m->id,
    };
    if (g->plan.builder.as_file)
        fail_group(g, -EIO, "Discord does not keep the text as it was sent");
    else
        core_submit(l->core, &req, changed_deleted, g);
}

/* --- lost answers ----------------------------------------------------------
 */

/* May the message be there for all that? */
static bool is_unknown(int r)
{
    return r == -ETIMEDOUT || r == -ENETUNREACH || r == -EIO || r == -EAGAIN;
}

static void look_up(void *arg);

static void looked_up(void *arg, int r, struct remote_reply *reply,
                      const struct err *err)
{
    struct group *g = arg;
    struct ledger *l = g->l;

    (void)err;
    if (r < 0 && ++g->lookups < LOOKUPS && r != -ESHUTDOWN && r != -EPERM) {
        job_after(l->core->pool, l->core->retry_ms << g->lookups, look_up, g);
        return;
    }
    if (r < 0) {
        struct err why = g->err;
        err_wrap(&why, g->r,
                 "it is not known whether this was saved; look again later");
        fail_group(g, g->r, err_text(&why, g->r));
        return;
    }
    for (size_t i = 0; i < reply->n_messages; i++) {
        struct remote_message *m = &reply->messages[i];
        if (m->author_id == l->core->self &&
            buf_equals(&g->content, m->content, m->content_len)) {
            finish(g, m);
            return;
        }
        if (m->id > g->after)
            g->after = m->id;
    }
    if (reply->n_messages == 100)
        look_up(g);
    else
        fail_group(g, g->r, err_text(&g->err, g->r));
}

static void look_up(void *arg)
{
    struct group *g = arg;
    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(g->l, g->place),
        .after = g->after,
        .limit = 100,
    };

    core_submit(g->l->core, &req, looked_up, g);
}

/* Caller holds l->lock. */
static void take_all_locked(struct group *g)
{
    struct ledger *l = g->l;

    g->writes = l->queue;
    if (!g->writes.first)
        g->writes.last = &g->writes.first;
    l->queue = list_empty();
    l->queue.last = &l->queue.first;
}

/* The store's thread: the create was answered, or has failed. */
static void posted(void *arg, int r, struct remote_reply *reply,
                   const struct err *err)
{
    struct group *g = arg;
    struct ledger *l = g->l;

    if (r == 0 && reply->n_messages == 1) {
        const struct remote_message *m = &reply->messages[0];
        if (buf_equals(&g->content, m->content, m->content_len))
            finish(g, m);
        else
            text_changed(g, m);
        return;
    }
    if (r == 0)
        r = -EIO;
    ledger_lock(l);
    bool has_echo = g->has_echo, left = g->content.len > 0;
    /* The store gave up before anything left: on all that waited. */
    if (!g->built && r != -ECANCELED)
        take_all_locked(g);
    ledger_unlock(l);
    if (has_echo) {
        finish(g, &g->echo);
        return;
    }
    if (g->r == 0) {
        g->r = r;
        g->err = *err;
    }
    if (left && is_unknown(r))
        look_up(g);
    else
        fail_group(g, g->r, err_text(&g->err, g->r));
}

/* --- the queue -------------------------------------------------------------
 */

/* Caller holds l->lock. Would a group leave with something? */
static bool has_work_locked(struct ledger *l)
{
    for (struct pending *p = l->queue.first; p; p = p->next)
        if (!p->fetching)
            return true;
    return false;
}

static void submit_group(struct group *g)
{
    struct remote_request req = {
        .op = REMOTE_POST,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(g->l, g->place),
        .build = build,
    };

    core_submit(g->l->core, &req, posted, g);
}

/* Begins the next group if there is work and nothing to wait for. */
static void start(struct ledger *l)
{
    struct group *g = NULL;

    ledger_lock(l);
    if (l->lingering && l->queue.n >= l->expect)
        l->lingering = false;
    if (!l->group && !l->lingering && l->state == LEDGER_OPEN &&
        has_work_locked(l)) {
        g = xcalloc(1, sizeof(*g));
        g->l = ledger_ref(l);
        g->place = choose_place_locked(l);
        g->writes.last = &g->writes.first;
        l->group = g;
    }
    ledger_unlock(l);
    if (g)
        submit_group(g);
}

static size_t without_newline(const char *text, size_t len)
{
    return len > 0 && text[len - 1] == '\n' ? len - 1 : len;
}

static const char *put_in(char **at, const char *s, size_t len)
{
    char *to = *at;

    if (!s)
        return NULL;
    memcpy(to, s, len);
    to[len] = '\0';
    *at += len + 1;
    return to;
}

static struct pending *pending_new(const struct write *w, write_done *done,
                                   void *arg)
{
    size_t text_len = w->text ? without_newline(w->text, w->text_len) : 0;
    size_t by_len = w->by ? strlen(w->by) : 0;
    struct pending *p =
        xmalloc(sizeof(*p) + w->key_len + w->to_len + text_len + by_len + 4);
    char *at = p->data;

    *p = (struct pending){.w = *w, .done = done, .arg = arg};
    p->w.text_len = text_len;
    p->w.key = put_in(&at, w->key, w->key_len);
    p->w.to = put_in(&at, w->to, w->to_len);
    p->w.text = put_in(&at, w->text, text_len);
    p->w.by = put_in(&at, w->by, by_len);
    return p;
}

/* What needs no look at the rows. */
static int check(struct ledger *l, const struct write *w, struct err *err)
{
    uint64_t max = atomic_load(&l->max_file);

    if (l->core->read_only)
        return err_set(err, -EROFS, "mounted read-only");
    if (w->key_len == 0 || (w->kind == WRITE_RENAME && w->to_len == 0))
        return err_set(err, -EINVAL, "a key must not be empty");
    if (w->key_len > RECORD_KEY_MAX || w->to_len > RECORD_KEY_MAX)
        return err_set(
            err, -ENAMETOOLONG, "a key of %zu bytes is longer than %d",
            w->to_len > w->key_len ? w->to_len : w->key_len, RECORD_KEY_MAX);
    if (w->kind == WRITE_RENAME && w->key_len == w->to_len &&
        memcmp(w->key, w->to, w->to_len) == 0)
        return err_set(err, -EINVAL, "'%.*s' has this key already",
                       w->key_len > 120 ? 120 : (int)w->key_len, w->key);
    if (w->text && w->text_len > max)
        return err_set(err, -EFBIG,
                       "a row of %zu bytes is larger than one file may be here "
                       "(%llu)",
                       w->text_len, (unsigned long long)max);
    return 0;
}

int ledger_write(struct ledger *l, const struct write *w, write_done *done,
                 void *arg, uint64_t *ticket, struct err *err)
{
    int r = check(l, w, err);
    if (r < 0)
        return r;

    struct pending *p = pending_new(w, done, arg);
    ledger_lock(l);
    if (l->state != LEDGER_OPEN || atomic_load(&l->core->closing)) {
        r = l->state == LEDGER_GONE
                ? err_set(err, -ENOENT, "%s is gone", l->label)
            : l->state == LEDGER_OPEN
                ? err_set(err, -ESHUTDOWN, "being closed")
                : err_set(err, -EINVAL, "%s is not open", l->label);
    } else {
        p->ticket = ++l->last_ticket;
        if (ticket)
            *ticket = p->ticket;
        list_add(&l->queue, p);
        l->kicks++;
        core_count(l->core, &l->core->writes, 1);
    }
    ledger_unlock(l);
    if (r < 0)
        free(p);
    else
        start(l);
    return r;
}

bool ledger_cancel(struct ledger *l, uint64_t ticket)
{
    ledger_lock(l);
    struct pending *p = take_queued(l, ticket);
    if (p) {
        pending_refuse(p, -EINTR, "interrupted before it was sent");
        answer_locked(l, p);
    }
    ledger_unlock(l);
    ledger_deliver(l);
    return p != NULL;
}

/* One caller that waits; lives on its stack. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done; /* with lock */
    bool is_done;        /* under lock, as all below */
    int r;
    struct row *row;
    struct err *err;
};

static void wake(void *arg, int r, struct row *row, const struct err *err)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->lock);
    w->r = r;
    w->row = row;
    if (r < 0 && w->err)
        *w->err = *err;
    w->is_done = true;
    /* Under the lock: the waiter's stack frame is gone once it is let go. */
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

int ledger_write_wait(struct ledger *l, const struct write *w, struct row **out,
                      struct err *err)
{
    struct waiter wait = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .done = PTHREAD_COND_INITIALIZER,
        .err = err,
    };

    int r = ledger_write(l, w, wake, &wait, NULL, err);
    if (r < 0)
        return r;
    pthread_mutex_lock(&wait.lock);
    while (!wait.is_done)
        pthread_cond_wait(&wait.done, &wait.lock);
    pthread_mutex_unlock(&wait.lock);
    pthread_cond_destroy(&wait.done);
    pthread_mutex_destroy(&wait.lock);
    if (out && wait.r == 0)
        *out = wait.row;
    else
        row_unref(wait.row);
    return wait.r;
}
