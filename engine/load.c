/* Listings: page after page, each taken in while the next is on its way; and
 * what is listed again after a gap in the events, from where the last event or
 * listing left off. How a ledger is opened by them is in load_open.c. */
#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/waiter.h"
#include "engine/job.h"
#include "engine/load_impl.h"

#define RETRIES 6

/* One request whose answer a thread of the pool waits for. */
struct ask {
    struct waiter waiter;
    struct remote_reply reply;
    struct err err;
};

static void ask_answered(void *arg, int r, struct remote_reply *reply,
                         const struct err *err)
{
    struct ask *a = arg;

    if (r == 0) {
        a->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    waiter_done(&a->waiter, r, err);
}

struct ask *ask_new(struct ledger *l, struct remote_request *req)
{
    struct ask *a = xcalloc(1, sizeof(*a));

    waiter_init(&a->waiter, &a->err);
    int64_t until = atomic_load(&l->core->until_ms), now = clock_mono_ms();
    if (until && !req->timeout_ms)
        req->timeout_ms = until > now ? until - now : 1;
    core_submit(l->core, req, ask_answered, a);
    return a;
}

int ask_wait(struct ask *a)
{
    return waiter_wait(&a->waiter);
}

void ask_free(struct ask *a)
{
    if (!a)
        return;
    ask_wait(a);
    remote_reply_release(&a->reply);
    waiter_release(&a->waiter);
    free(a);
}

struct remote_reply *ask_reply(struct ask *a)
{
    return &a->reply;
}

const struct err *ask_err(struct ask *a)
{
    return &a->err;
}

void ledger_lend_page(struct ledger *l, struct remote_reply *page)
{
    struct remote_reply *lent = NULL;

    if (page) {
        lent = xmalloc(sizeof(*lent));
        *lent = *page;
        *page = (struct remote_reply){0};
    }
    ledger_lock(l);
    struct remote_reply *old = l->lent;
    l->lent = lent;
    ledger_unlock(l);
    if (old)
        remote_reply_release(old);
    free(old);
}

/* The page that was lent, as one that was asked for; NULL: none was. */
static struct ask *ask_lent(struct ledger *l)
{
    struct ask *a = NULL;

    ledger_lock(l);
    struct remote_reply *lent = l->lent;
    l->lent = NULL;
    ledger_unlock(l);
    if (lent) {
        a = xcalloc(1, sizeof(*a));
        waiter_init(&a->waiter, &a->err);
        a->reply = *lent;
        waiter_done(&a->waiter, 0, NULL);
    }
    free(lent);
    return a;
}

struct ask *load_ask_page(struct loading *ld, int place, uint64_t before,
                          uint64_t after)
{
    if (place == IN_THREAD && !before && !after) {
        struct ask *lent = ask_lent(ld->l);
        if (lent)
            return lent;
    }
    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = ld->priority,
        .channel = ledger_channel(ld->l, place),
        .before = before,
        .after = after,
        .limit = LOAD_PAGE,
    };
    return ask_new(ld->l, &req);
}

static void batch_request(struct ledger *l, int place, uint64_t message,
                          uint64_t file, struct remote_request *req)
{
    *req = (struct remote_request){
        .op = REMOTE_DOWNLOAD,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(l, place),
        .message = message,
        .file = file,
    };
}

/* What one message changed is news before the lock is let go: who changes the
 * same rows next tells of it behind this. out NULL: nobody wants to know. */
static void tell_locked(struct ledger *l, struct changes *out)
{
    if (out)
        ledger_tell_locked(l, out);
}

/* The records of a message, for the rows, or for those that are to take their
 * place. */
static void take_locked(struct ledger *l, int place,
                        const struct remote_message *m, struct records *rs,
                        bool reload, struct changes *out)
{
    if (reload)
        ledger_collect_locked(l, place, rs);
    else if (l->fold)
        ledger_apply_locked(l, place, m, rs, false, NULL, NULL, out);
}

/* The file of a batch is here: its records, or the damage. */
static void take_batch(struct ledger *l, int place,
                       const struct remote_message *m,
                       const struct records *head, const struct buf *body,
                       bool reload, struct changes *out)
{
    struct records rs = {0};
    struct err err = ERR_INIT;

    int r = batch_parse(head, m->id, body->data, body->len, &rs, &err);
    ledger_lock(l);
    if (r < 0)
        ledger_note_damage_locked(l, m->id, err_text(&err, r));
    else
        take_locked(l, place, m, &rs, reload, out);
    tell_locked(l, out);
    ledger_unlock(l);
    records_release(&rs);
}

/* --- listing ---------------------------------------------------------------
 */

static uint64_t file_of(const struct records *head, ssize_t text)
{
    return text < 0 ? head->batch_file : head->list[text].file;
}

/* A text came, or is gone; more of the message's may be wanted. */
static int take_texts(struct loading *ld, struct fetch *f, int r,
                      struct err *err)
{
    struct ledger *l = ld->l;

    for (;;) {
        const struct buf *body = &f->ask->reply.body;
        ledger_lock(l);
        ledger_take_text_locked(l, &f->head, (size_t)f->text,
                                r == 0 ? body->data : NULL, body->len);
        f->text = ledger_needs_text_locked(l, &f->head);
        if (f->text < 0)
            take_locked(l, f->place, f->message, &f->head, ld->reload, ld->out);
        tell_locked(l, ld->out);
        ledger_unlock(l);
        if (f->text < 0)
            return 0;
        struct remote_request req;
        batch_request(l, f->place, f->message->id, file_of(&f->head, f->text),
                      &req);
        ask_free(f->ask);
        f->ask = ask_new(l, &req);
        r = ask_wait(f->ask);
        if (r < 0 && r != -ENOENT) {
            *err = f->ask->err;
            return r;
        }
    }
}

static int end_fetch(struct loading *ld, struct err *err)
{
    struct fetch *f = &ld->fetches[ld->first_fetch];
    int r;

    ld->first_fetch = (ld->first_fetch + 1) % LOAD_FETCHES;
    ld->n_fetches--;
    r = ask_wait(f->ask);
    if (f->text >= 0 && (r == 0 || r == -ENOENT)) {
        r = take_texts(ld, f, r, err);
    } else if (r == 0) {
        take_batch(ld->l, f->place, f->message, &f->head, &f->ask->reply.body,
                   ld->reload, ld->out);
    } else if (r == -ENOENT) {
        ledger_lock(ld->l);
        ledger_note_damage_locked(ld->l, f->message->id,
                                  err_text(&f->ask->err, r));
        ledger_unlock(ld->l);
        r = 0;
    } else {
        *err = f->ask->err;
        err_wrap(err, r, "the %s in message %llu",
                 f->text < 0 ? "batch" : "text",
                 (unsigned long long)f->message->id);
    }
    ask_free(f->ask);
    records_release(&f->head);
    return r;
}

static int end_all_fetches(struct loading *ld, struct err *err)
{
    int res = 0;

    while (ld->n_fetches > 0) {
        struct err e = ERR_INIT;
        int r = end_fetch(ld, &e);
        if (r < 0 && res == 0) {
            res = r;
            *err = e;
        }
    }
    return res;
}

static int start_fetch(struct loading *ld, int place,
                       const struct remote_message *m, struct records *head,
                       ssize_t text, struct err *err)
{
    int r = 0;

    if (ld->n_fetches == LOAD_FETCHES)
        r = end_fetch(ld, err);
    struct fetch *f =
        &ld->fetches[(ld->first_fetch + ld->n_fetches++) % LOAD_FETCHES];
    struct remote_request req;
    batch_request(ld->l, place, m->id, file_of(head, text), &req);
    *f = (struct fetch){place, m, *head, text, ask_new(ld->l, &req)};
    *head = (struct records){0};
    return r;
}

static int load_message(struct loading *ld, int place,
                        const struct remote_message *m, struct err *err)
{
    struct ledger *l = ld->l;
    struct records rs = {0};
    struct err why = ERR_INIT;
    int res = 0;

    if (ld->upto && m->id > ld->upto)
        return 0;
    ledger_lock(l);
    bool ours = ledger_wants_locked(l, m) && !commit_takes_echo_locked(l, m);
    if (ours && place == IN_THREAD && snapshot_is(m)) {
        checkpoint_message_locked(l, m);
        ours = false;
    }
    ledger_unlock(l);
    if (!ours)
        return 0;

    int r = message_parse(m, &rs, &why);
    ssize_t text = -1;
    ledger_lock(l);
    if (r == -EBADMSG)
        ledger_note_damage_locked(l, m->id, err_text(&why, r));
    else if (r == 0 && !rs.batch_file)
        text = ledger_needs_text_locked(l, &rs);
    bool fetch = r == 0 && (rs.batch_file || text >= 0);
    if (r == 0 && !fetch)
        take_locked(l, place, m, &rs, ld->reload, ld->out);
    tell_locked(l, ld->out);
    ledger_unlock(l);
    if (fetch)
        res = start_fetch(ld, place, m, &rs, text, err);
    records_release(&rs);
    return res;
}

int load_page(struct loading *ld, int place, const struct remote_message *list,
              size_t n, uint64_t above, struct err *err)
{
    int res = 0;

    for (size_t i = 0; i < n && res == 0; i++)
        if (list[i].id > above)
            res = load_message(ld, place, &list[i], err);
    /* The page's messages are borrowed by what is still being fetched. */
    struct err e = ERR_INIT;
    int r = end_all_fetches(ld, &e);
    if (r < 0 && res == 0) {
        res = r;
        *err = e;
    }
    if (ld->out)
        ledger_deliver(ld->l);
    return res;
}

int load_from(struct loading *ld, uint64_t at[2], int places, struct err *err)
{
    struct ledger *l = ld->l;
    struct ask *next[2] = {NULL, NULL};
    int res = 0;

    if (places & LOAD_CHANNEL)
        next[0] = load_ask_page(ld, IN_CHANNEL, 0, at[0]);
    if ((places & LOAD_THREAD) && l->thread)
        next[1] = load_ask_page(ld, IN_THREAD, 0, at[1]);
    while (next[0] || next[1]) {
        for (int place = 0; place < 2; place++) {
            struct ask *page = next[place];
            if (!page)
                continue;
            next[place] = NULL;
            int r = ask_wait(page);
            if (r == -ENOENT && place == IN_THREAD) {
                /* A table whose thread was lost, or never begun. */
                AUTO_STR char *label = ledger_label(l);
                log_warn("%s has no history thread", label);
            } else if (r < 0 && res == 0) {
                res = r;
                *err = page->err;
            }
            size_t n = r == 0 ? page->reply.n_messages : 0;
            for (size_t i = 0; i < n; i++)
                if (page->reply.messages[i].id > at[place])
                    at[place] = page->reply.messages[i].id;
            if (res == 0 && n == LOAD_PAGE) {
                if (atomic_load(ld->closing ? &l->core->stopped
                                            : &l->core->closing))
                    res = err_set(err, -ESHUTDOWN, "being closed");
                else
                    next[place] = load_ask_page(ld, place, 0, at[place]);
            }
            if (res == 0)
                res = load_page(ld, place, page->reply.messages, n, 0, err);
            ask_free(page);
        }
    }
    return res;
}

/* --- gaps ------------------------------------------------------------------
 */

#define RELIST_PAUSE_MOST_MS 60000

int load_missed(struct ledger *l, uint64_t upto, struct err *err)
{
    struct changes changes = {0};
    struct loading ld = {.l = l,
                         .priority = REMOTE_INTERACTIVE,
                         .closing = true,
                         .upto = upto,
                         .out = &changes};

    ledger_lock(l);
    bool open = l->state == LEDGER_OPEN;
    uint64_t at[2] = {l->seen[0], l->seen[1]};
    ledger_unlock(l);
    if (!open)
        return 0;

    int r = load_from(&ld, at, LOAD_CHANNEL | LOAD_THREAD, err);
    ledger_lock(l);
    for (int i = 0; i < 2 && r == 0; i++) {
        if (at[i] > upto)
            at[i] = upto;
        if (at[i] > l->seen[i])
            l->seen[i] = at[i];
    }
    ledger_unlock(l);
    return r;
}

int ledger_catch_up(struct ledger *l, struct err *err)
{
    return l->core->alone ? load_missed(l, UINT64_MAX, err) : 0;
}

void load_relist(void *arg)
{
    struct ledger *l = arg;
    struct err err = ERR_INIT;
    int r = 0;

    ledger_lock(l);
    while (l->gap && l->state == LEDGER_OPEN &&
           !atomic_load(&l->core->closing)) {
        struct changes changes = {0};
        struct loading ld = {
            .l = l, .priority = REMOTE_INTERACTIVE, .out = &changes};
        uint64_t at[2] = {l->gap_from[0], l->gap_from[1]};
        uint64_t from[2] = {at[0], at[1]};

        l->gap = false;
        ledger_unlock(l);
        r = load_from(&ld, at, LOAD_CHANNEL | LOAD_THREAD, &err);
        ledger_lock(l);
        for (int i = 0; i < 2; i++) {
            if (r < 0)
                l->gap_from[i] = l->gap && l->gap_from[i] < from[i]
                                     ? l->gap_from[i]
                                     : from[i];
            else if (at[i] > l->seen[i])
                l->seen[i] = at[i];
        }
        if (r < 0) {
            l->gap = true;
            break;
        }
    }
    bool again =
        r < 0 && l->state == LEDGER_OPEN && !atomic_load(&l->core->closing);
    l->relisting = again;
    int64_t pause = 0;
    if (again) {
        pause =
            l->relist_pause_ms ? 2 * l->relist_pause_ms : 2 * l->core->retry_ms;
        if (pause > RELIST_PAUSE_MOST_MS)
            pause = RELIST_PAUSE_MOST_MS;
    }
    l->relist_pause_ms = pause;
    ledger_unlock(l);

    ledger_deliver(l);
    settle_go(l);
    if (again) {
        AUTO_STR char *label = ledger_label(l);
        log_warn("%s: what changed while the connection was lost cannot be "
                 "read yet: %s",
                 label, err_text(&err, r));
        job_after(l->core->pool, pause, load_relist, l);
    } else {
        core_count(l->core, &l->core->catching_up, -1);
        ledger_unref(l);
    }
}

void ledger_gap(struct ledger *l)
{
    ledger_lock(l);
    bool start = false;
    if (l->state == LEDGER_OPEN) {
        for (int i = 0; i < 2; i++)
            if (!l->gap || l->seen[i] < l->gap_from[i])
                l->gap_from[i] = l->seen[i];
        l->gap = true;
        start = !l->relisting;
        l->relisting = true;
    } else if (l->state == LEDGER_OPENING) {
        l->gap = true;
    }
    ledger_unlock(l);
    if (!start)
        return;
    core_count(l->core, &l->core->catching_up, 1);
    job_run(l->core->pool, load_relist, ledger_ref(l));
}

/* --- batches that events tell of -------------------------------------------
 */

struct late_batch {
    struct ledger *l; /* a reference */
    int place, tries;
    ssize_t text; /* as in struct fetch */
    struct remote_message message;
    struct records head;
};

static void late_batch_free(struct late_batch *b)
{
    ledger_lock(b->l);
    b->l->late_files--;
    ledger_unlock(b->l);
    core_count(b->l->core, &b->l->core->catching_up, -1);
    ledger_unref(b->l);
    remote_message_release(&b->message);
    records_release(&b->head);
    free(b);
}

static void late_batch_ask(void *arg);

/* The text that was asked for, NULL: there is none. True: all are here, and
 * the message is applied. */
static bool late_text(struct late_batch *b, const struct buf *body,
                      struct changes *changes)
{
    struct ledger *l = b->l;

    ledger_lock(l);
    if (b->text >= 0 && l->fold)
        ledger_take_text_locked(l, &b->head, (size_t)b->text,
                                body ? body->data : NULL, body ? body->len : 0);
    b->text = ledger_needs_text_locked(l, &b->head);
    if (b->text < 0)
        take_locked(l, b->place, &b->message, &b->head, false, changes);
    tell_locked(l, changes);
    ledger_unlock(l);
    return b->text < 0;
}

static void late_batch_answered(void *arg, int r, struct remote_reply *reply,
                                const struct err *err)
{
    struct late_batch *b = arg;
    struct ledger *l = b->l;
    struct changes changes = {0};

    if (b->text >= 0 && (r == 0 || r == -ENOENT)) {
        if (!late_text(b, r == 0 ? &reply->body : NULL, &changes)) {
            late_batch_ask(b);
            return;
        }
    } else if (r == 0) {
        take_batch(l, b->place, &b->message, &b->head, &reply->body, false,
                   &changes);
    } else if (r == -ENOENT || b->tries == RETRIES) {
        struct err why = *err;
        err_wrap(&why, r, "the %s in message %llu",
                 b->text < 0 ? "batch" : "text",
                 (unsigned long long)b->message.id);
        ledger_lock(l);
        ledger_note_damage_locked(l, b->message.id, err_text(&why, r));
        ledger_unlock(l);
    }
    /* Without its rows this process would be wrong until it ends: it goes on
     * asking. */
    if (r < 0 && r != -ENOENT) {
        if (b->tries < RETRIES)
            b->tries++;
        job_after(l->core->pool, l->core->retry_ms << b->tries, late_batch_ask,
                  b);
        return;
    }
    ledger_deliver(l);
    settle_go(l);
    late_batch_free(b);
}

static void late_batch_ask(void *arg)
{
    struct late_batch *b = arg;
    struct remote_request req;

    if (atomic_load(&b->l->core->closing) || ledger_is_gone(b->l)) {
        late_batch_free(b);
        return;
    }
    batch_request(b->l, b->place, b->message.id, file_of(&b->head, b->text),
                  &req);
    core_submit(b->l->core, &req, late_batch_answered, b);
}

void load_batch(struct ledger *l, int place, const struct remote_message *m)
{
    struct late_batch *b = xcalloc(1, sizeof(*b));

    core_count(l->core, &l->core->catching_up, 1);
    b->l = ledger_ref(l);
    b->place = place;
    remote_message_copy(&b->message, m);
    b->text = -1;
    if (message_parse(&b->message, &b->head, NULL) < 0) {
        late_batch_free(b);
        return;
    }
    struct changes changes = {0};
    if (b->head.batch_file || !late_text(b, NULL, &changes)) {
        late_batch_ask(b);
        return;
    }
    /* It was told of meanwhile by another way. */
    ledger_deliver(l);
    late_batch_free(b);
}
