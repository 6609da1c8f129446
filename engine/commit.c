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
 * is sent again as a file.
 *
 * Whether a record counts is decided by those with lower ids. Where events are
 * told of, a write is answered before the last of these is known, and who wrote
 * it hears of its loss; a process that is told of none would have ended by
 * then, so it lists what came meanwhile first. */
#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"
#include "engine/plan.h"
#include "engine/text.h"

/* What is gathered, and parsed again, under the ledger's lock. The size of the
 * file is the nearer bound unless rows are tiny. */
#define GROUP_RECORDS 50000

/* Those just answered come back at once, if they come: let them all leave
 * together, and not the first alone. Of the time the last commit took, within
 * bounds. */
#define LINGER_LEAST_MS 5
#define LINGER_MOST_MS 40

/* Where a limit holds commits back there are few of them, and who misses one
 * waits long for the next: then all are waited for, as long as this. It costs
 * nothing, the limit gives no more commits to who hurries. */
#define LINGER_SCARCE_MS 250
#define HELD_MS 100         /* held back so long tells of a limit, */
#define SCARCE_FOR_MS 30000 /* and it is remembered so long */

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
    int64_t submitted_ms, left_ms;
    uint64_t after; /* what we sent is behind this */
    int lookups;
    int r; /* why the create failed */
    struct err err;

    /* under the ledger's lock */
    struct buf content; /* as it left; empty: it has not */
    bool has_echo;      /* the push connection told of it */
    struct remote_message echo;
    bool has_answer; /* it is there; what came before it is being listed */
    struct remote_message answer;
};

/* --- groups ----------------------------------------------------------------
 */

static void group_free(struct group *g)
{
    struct ledger *l = g->l;

    plan_release(&g->plan);
    buf_release(&g->storage);
    buf_release(&g->content);
    if (g->has_echo)
        remote_message_release(&g->echo);
    if (g->has_answer)
        remote_message_release(&g->answer);
    free(g);
    ledger_unref(l);
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
    struct pending_list later = queue_empty();
    struct pending *p = l->queue.first;
    uint64_t max = atomic_load(&l->max_file);
    bool full = false;

    later.last = &later.first;
    while (p) {
        struct pending *next = p->next;
        struct pending_list *to = &later;

        if (g->writes.n > 0 && (g->plan.builder.n >= GROUP_RECORDS ||
                                g->plan.bytes + plan_room(&g->plan, p) > max))
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
                queue_fetch_locked(l, p);
                break;
            case PLAN_LATER:
                break;
            }
        }
        queue_add(to, p);
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
    struct pending_list refused = queue_empty();

    refused.last = &refused.first;
    g->built = true;
    ledger_lock(l);
    plan_init(&g->plan, l, g->place == IN_CHANNEL && l->thread);
    g->plan.builder.find_tokens = g->place == IN_CHANNEL && l->thread;
    if (l->state == LEDGER_OPEN)
        gather_locked(g, &refused);
    g->refused = refused.n;
    g->kicks = l->kicks;
    queue_answer_locked(l, refused.first);
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
    if (g->left_ms - g->submitted_ms >= HELD_MS)
        l->held_ms = g->left_ms;
    ledger_unlock(l);
    return 0;
}

bool commit_takes_echo_locked(struct ledger *l, const struct remote_message *m)
{
    struct group *g = l->group;

    if (g && g->has_answer)
        return m->id == g->answer.id;
    if (!g || g->content.len == 0 || g->has_echo ||
        m->channel_id != ledger_channel(l, g->place) ||
        m->author_id != l->core->self ||
        !buf_equals(&g->content, m->content, m->content_len))
        return false;
    remote_message_copy(&g->echo, m);
    g->has_echo = true;
    return true;
}

uint64_t commit_echo_locked(const struct ledger *l)
{
    const struct group *g = l->group;

    if (g && g->has_answer)
        return g->answer.id;
    return g && g->has_echo ? g->echo.id : 0;
}

/* --- answers ---------------------------------------------------------------
 */

/* What the fold made of a write's record, in words. row: the version, or what
 * its key has instead. Caller holds l->lock. */
static void judge_locked(struct group *g, struct pending *p,
                         enum fold_result res, struct row *row)
{
    const char *key = p->w.key;
    size_t len = p->w.key_len;
    bool there = row && !row->deleted;

    if (res == FOLD_APPLIED || res == FOLD_KNOWN) {
        if (there)
            p->row = row_ref(row);
        return;
    }
    if (res == FOLD_TAKEN) {
        plan_refuse_value(g->l, p, &g->plan.builder.list[p->record]);
        return;
    }
    /* Of a row that moves either end may have been changed. */
    bool taken = p->w.must_be_new && (p->w.kind != WRITE_RENAME || there);
    if (taken && p->w.kind == WRITE_RENAME) {
        key = p->w.to;
        len = p->w.to_len;
    }
    pending_refuse(p, taken ? -EEXIST : -ESTALE,
                   "'%.*s' was %s by another process at the same time",
                   len > 120 ? 120 : (int)len, key,
                   taken ? "created" : "changed");
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
    commit_go(w->l);
    ledger_unref(w->l);
    free(w);
}

/* Caller holds l->lock. Several writers have just been answered: they are
 * about to come back. */
static void linger_locked(struct ledger *l, size_t writers, int64_t took_ms)
{
    int64_t ms = took_ms / 2;
    int64_t now = clock_mono_ms();

    if (writers < 2 || atomic_load(&l->core->closing))
        return;
    if (ms < LINGER_LEAST_MS)
        ms = LINGER_LEAST_MS;
    if (ms > LINGER_MOST_MS)
        ms = LINGER_MOST_MS;
    if (l->held_ms > 0 && now - l->held_ms < SCARCE_FOR_MS)
        ms = LINGER_SCARCE_MS;
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
    queue_answer_locked(l, g->writes.first);
    /* Of those that are left all wait for a text, or for one that does: until
     * it is here the next group would be as empty. */
    bool go = g->writes.n > 0 || g->refused > 0 || g->kicks != l->kicks ||
              choose_place_locked(l) != g->place;
    ledger_unlock(l);
    ledger_deliver(l);
    if (go)
        commit_go(l);
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
    for (ssize_t i; (i = ledger_needs_text_locked(l, &rs)) >= 0;)
        ledger_take_text_locked(l, &rs, (size_t)i, g->plan.builder.list[i].text,
                                g->plan.builder.list[i].text_len);
    ledger_apply_locked(l, g->place, m, &rs, true, results, rows, &changes);
    ledger_tell_locked(l, &changes);
    for (struct pending *p = g->writes.first; p; p = p->next)
        judge_locked(g, p, results[p->record], rows[p->record]);
    ledger_unlock(l);

    for (size_t i = 0; i < rs.n; i++)
        row_unref(rows[i]);
    free(rows);
    free(results);
    records_release(&rs);
    end_group(g);
}

/* On a job. */
static void look_around(void *arg)
{
    struct group *g = arg;
    struct err err = ERR_INIT;

    int r = load_missed(g->l, g->answer.id, &err);
    if (r < 0) {
        AUTO_STR char *label = ledger_label(g->l);
        log_warn("%s: this was saved as message %llu; whether another program "
                 "was first cannot be read: %s",
                 label, (unsigned long long)g->answer.id, err_text(&err, r));
    }
    finish(g, &g->answer);
}

/* The message is in Discord. */
static void landed(struct group *g, const struct remote_message *m)
{
    struct ledger *l = g->l;

    if (!l->core->alone) {
        finish(g, m);
        return;
    }
    ledger_lock(l);
    remote_message_copy(&g->answer, m);
    g->has_answer = true;
    ledger_unlock(l);
    job_run(l->core->pool, look_around, g);
}

/* Its answer is lost and it was not found: it has failed, unless the push
 * connection told of it meanwhile. An echo that comes after this is a message
 * like any other. */
static void give_up(struct group *g, int r, const char *why)
{
    ledger_lock(g->l);
    bool has_echo = g->has_echo;
    buf_reset(&g->content);
    ledger_unlock(g->l);
    if (has_echo)
        landed(g, &g->echo);
    else
        fail_group(g, r, why);
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
    /* The push connection may tell of it still, and of its end. */
    ledger_lock(l);
    ledger_note_own_locked(&l->posted, m->id);
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
        give_up(g, g->r, err_text(&why, g->r));
        return;
    }
    for (size_t i = 0; i < reply->n_messages; i++) {
        struct remote_message *m = &reply->messages[i];
        if (m->author_id == l->core->self &&
            buf_equals(&g->content, m->content, m->content_len)) {
            landed(g, m);
            return;
        }
        if (m->id > g->after)
            g->after = m->id;
    }
    if (reply->n_messages == 100)
        look_up(g);
    else
        give_up(g, g->r, err_text(&g->err, g->r));
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
    l->queue = queue_empty();
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
            landed(g, m);
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
        landed(g, &g->echo);
        return;
    }
    if (g->r == 0) {
        g->r = r;
        g->err = *err;
    }
    if (g->r == -ENOENT)
        /* Not the row: a caller must not take it for that. */
        g->r = err_wrap(&g->err, -EIO,
                        "its channel or its history thread was deleted");
    if (left && is_unknown(r))
        look_up(g);
    else
        give_up(g, g->r, err_text(&g->err, g->r));
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

    g->submitted_ms = clock_mono_ms();
    core_submit(g->l->core, &req, posted, g);
}

/* Begins the next group if there is work and nothing to wait for. */
void commit_go(struct ledger *l)
{
    struct group *g = NULL;

    ledger_lock(l);
    if (l->lingering && l->queue.n >= l->expect)
        l->lingering = false;
    if (!l->group && !l->lingering && !l->more && l->state == LEDGER_OPEN &&
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
