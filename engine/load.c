/* Bringing a ledger into memory: its channel and its thread are listed from
 * the beginning, both at once, page after page, and each page is applied while
 * the next is on its way. After a gap in the events the same is done from
 * where the last event or listing left off.
 *
 *     CLOSED --open--> OPENING --listed--> OPEN --channel deleted--> GONE
 *        ^                |                  | gap: listed again, stays OPEN
 *        +-----failed-----+
 *
 * What arrives by events while OPENING is held and applied at the end. A
 * message that is damaged is noted and left out; one that cannot be fetched
 * fails the opening. */
#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/base/waiter.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"

#define PAGE 100
#define FETCHES 4 /* batch files on their way at the same time */
#define RETRIES 6
#define RELOAD_PAUSE_MS 5000

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

static struct ask *ask_new(struct ledger *l, struct remote_request *req)
{
    struct ask *a = xcalloc(1, sizeof(*a));

    waiter_init(&a->waiter, &a->err);
    core_submit(l->core, req, ask_answered, a);
    return a;
}

static int ask_wait(struct ask *a)
{
    return waiter_wait(&a->waiter);
}

/* Waits if need be: the answer comes in any case. NULL is fine. */
static void ask_free(struct ask *a)
{
    if (!a)
        return;
    ask_wait(a);
    remote_reply_release(&a->reply);
    waiter_release(&a->waiter);
    free(a);
}

static struct ask *ask_page(struct ledger *l, int place, uint64_t after)
{
    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = REMOTE_INTERACTIVE,
        .channel = ledger_channel(l, place),
        .after = after,
        .limit = PAGE,
    };
    return ask_new(l, &req);
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

/* A batch whose file is on its way, or a message with a row whose text is, for
 * its values. */
struct fetch {
    int place;
    const struct remote_message *message; /* of the page being applied */
    struct records head;
    ssize_t text; /* of which record; -1: it is a batch */
    struct ask *ask;
};

struct loading {
    struct ledger *l;
    bool reload;         /* l->next is loaded, not l->fold */
    struct changes *out; /* NULL: nobody has seen what was before */
    struct fetch fetches[FETCHES];
    size_t first_fetch, n_fetches;
};

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

    ld->first_fetch = (ld->first_fetch + 1) % FETCHES;
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

    if (ld->n_fetches == FETCHES)
        r = end_fetch(ld, err);
    struct fetch *f =
        &ld->fetches[(ld->first_fetch + ld->n_fetches++) % FETCHES];
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

    ledger_lock(l);
    bool ours = ledger_wants_locked(l, m) && !commit_takes_echo_locked(l, m);
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

static int load_page(struct loading *ld, int place,
                     const struct remote_reply *page, struct err *err)
{
    int res = 0;

    for (size_t i = 0; i < page->n_messages && res == 0; i++)
        res = load_message(ld, place, &page->messages[i], err);
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

/* Lists both places from behind at[], and moves that on. */
static int load_from(struct loading *ld, uint64_t at[2], struct err *err)
{
    struct ledger *l = ld->l;
    struct ask *next[2] = {ask_page(l, IN_CHANNEL, at[0]), NULL};
    int res = 0;

    if (l->thread)
        next[1] = ask_page(l, IN_THREAD, at[1]);
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
            if (res == 0 && n == PAGE) {
                if (atomic_load(&l->core->closing))
                    res = err_set(err, -ESHUTDOWN, "being closed");
                else
                    next[place] = ask_page(l, place, at[place]);
            }
            if (res == 0)
                res = load_page(ld, place, &page->reply, err);
            ask_free(page);
        }
    }
    return res;
}

/* --- opening ---------------------------------------------------------------
 */

static void need_settling(void *arg, struct row *now, uint64_t home)
{
    settle_need_locked(arg, row_key(now), now->key_len, home, SETTLE_LATER);
}

/* Caller holds l->lock. What came by events meanwhile; batches are moved to
 * *batches. */
static void apply_held_locked(struct ledger *l, struct held **batches)
{
    while (l->held) {
        struct held *h = l->held;
        bool batch = false;

        l->held = h->next;
        if (h->is_message)
            event_message_locked(l, &h->message, h->created, NULL, &batch);
        else
            event_deleted_locked(l, h->channel, h->ids, h->n_ids);
        if (batch) {
            h->next = *batches;
            *batches = h;
        } else {
            held_free(h);
        }
    }
    l->held_last = &l->held;
}

static void relist_run(void *arg);
static void reload_again(void *arg);

static void open_run(void *arg)
{
    struct ledger *l = arg;
    struct loading ld = {.l = l};
    struct err err = ERR_INIT;
    uint64_t at[2] = {l->channel, l->thread};
    struct held *batches = NULL;
    bool again = false;

    int r = load_from(&ld, at, &err);

    ledger_lock(l);
    if (l->state == LEDGER_OPENING) {
        if (r < 0)
            err_wrap(&err, r, "%s cannot be read", l->label);
        l->state = r < 0 ? LEDGER_CLOSED : LEDGER_OPEN;
        if (r == 0)
            fold_load_end(l->fold);
        for (int i = 0; i < 2; i++)
            l->seen[i] = at[i];
        /* A gap meanwhile: what came between a page and the first event. */
        again = l->gap && r == 0;
        l->gap = l->relisting = again;
        for (int i = 0; i < 2; i++)
            l->gap_from[i] = at[i];
        apply_held_locked(l, &batches);
        if (r == 0)
            fold_stale_homes(l->fold, need_settling, l);
        struct news *n = ledger_news_locked(l);
        n->openers = l->openers;
        n->r = r;
        n->err = err;
        l->openers = NULL;
    }
    ledger_unlock(l);

    while (batches) {
        struct held *next = batches->next;
        load_batch(l, ledger_place(l, batches->channel), &batches->message);
        held_free(batches);
        batches = next;
    }
    ledger_give_values(l);
    ledger_deliver(l);
    settle_go(l);
    if (again) {
        core_count(l->core, &l->core->catching_up, 1);
        relist_run(l);
    } else {
        ledger_unref(l);
    }
}

/* --- anew --------------------------------------------------------------------
 */

/* What came too late for the fold to judge is judged by another, which is
 * loaded beside it; what comes meanwhile goes to both. */
static void reload_run(void *arg)
{
    struct ledger *l = arg;
    struct loading ld = {.l = l, .reload = true};
    struct changes changes = {0};
    struct fold_changes told = {0};
    uint64_t at[2] = {l->channel, l->thread};
    struct err err = ERR_INIT;

    int r = load_from(&ld, at, &err);

    ledger_lock(l);
    struct fold *next = l->next;
    l->next = NULL;
    bool open = l->state == LEDGER_OPEN;
    if (r == 0 && open) {
        struct fold *old = l->fold;
        fold_load_end(next);
        fold_difference(next, old, &told);
        l->fold = next;
        next = old;
        ledger_changed_locked(l, &told, 0, &changes);
        ledger_tell_locked(l, &changes);
        fold_stale_homes(l->fold, need_settling, l);
    }
    bool again = r < 0 && open && !atomic_load(&l->core->closing);
    ledger_unlock(l);
    fold_free(next);
    core_count(l->core, &l->core->catching_up, -1);
    if (again) {
        /* The rows are as they were, which is wrong. */
        AUTO_STR char *label = ledger_label(l);
        log_warn("%s cannot be read again yet: %s", label, err_text(&err, r));
        job_after(l->core->pool, RELOAD_PAUSE_MS, reload_again, l);
        return;
    }
    ledger_give_values(l);
    ledger_deliver(l);
    settle_go(l);
    ledger_unref(l);
}

static void reload_again(void *arg)
{
    struct ledger *l = arg;

    ledger_reload(l);
    ledger_unref(l);
}

void ledger_reload(struct ledger *l)
{
    ledger_lock(l);
    bool start =
        l->state == LEDGER_OPEN && !l->next && !atomic_load(&l->core->closing);
    if (start) {
        log_info("%s: a message came late; reading all again", l->label);
        l->next = fold_new();
        ledger_give_rules_locked(l, l->next);
        fold_load_begin(l->next, 0, l->fold);
    }
    ledger_unlock(l);
    if (!start)
        return;
    core_count(l->core, &l->core->catching_up, 1);
    job_run(l->core->pool, reload_run, ledger_ref(l));
}

int ledger_open(struct ledger *l, table_opened *done, void *arg)
{
    bool start = false;
    int r = 0;

    ledger_lock(l);
    if (l->state != LEDGER_OPEN) {
        struct opener *o = xcalloc(1, sizeof(*o));
        o->done = done;
        o->arg = arg;
        r = 1;
        if (l->state == LEDGER_GONE || atomic_load(&l->core->closing)) {
            struct news *n = ledger_news_locked(l);
            n->openers = o;
            n->r = l->state == LEDGER_GONE
                       ? err_set(&n->err, -ENOENT, "%s is gone", l->label)
                       : err_set(&n->err, -ESHUTDOWN, "being closed");
        } else {
            o->next = l->openers;
            l->openers = o;
            start = l->state == LEDGER_CLOSED;
        }
        if (start) {
            l->state = LEDGER_OPENING;
            fold_free(l->fold);
            l->fold = fold_new();
            ledger_give_rules_locked(l, l->fold);
            fold_load_begin(l->fold, 0, NULL);
        }
    }
    ledger_unlock(l);
    if (start)
        job_run(l->core->pool, open_run, ledger_ref(l));
    else if (r == 1)
        ledger_deliver(l);
    return r;
}

static void open_waited(void *arg, int r, const struct err *err)
{
    waiter_done(arg, r, err);
}

int ledger_open_wait(struct ledger *l, struct err *err)
{
    struct waiter w;
    int r = 0;

    waiter_init(&w, err);
    if (ledger_open(l, open_waited, &w) != 0)
        r = waiter_wait(&w);
    waiter_release(&w);
    return r;
}

struct text_wait {
    struct waiter waiter;
    struct text *text;
};

static void text_waited(void *arg, int r, struct text *text,
                        const struct err *err)
{
    struct text_wait *w = arg;

    w->text = text;
    waiter_done(&w->waiter, r, err);
}

int ledger_load_text_wait(struct ledger *l, struct row *r, struct text **out,
                          struct err *err)
{
    struct text_wait w = {0};
    int res = 0;

    waiter_init(&w.waiter, err);
    if (ledger_load_text(l, r, out, text_waited, &w) != 0) {
        res = waiter_wait(&w.waiter);
        if (res == 0)
            *out = w.text;
    }
    waiter_release(&w.waiter);
    return res;
}

/* --- gaps ------------------------------------------------------------------
 */

#define RELIST_PAUSE_MOST_MS 60000

static void relist_run(void *arg)
{
    struct ledger *l = arg;
    struct err err = ERR_INIT;
    int r = 0;

    ledger_lock(l);
    while (l->gap && l->state == LEDGER_OPEN &&
           !atomic_load(&l->core->closing)) {
        struct changes changes = {0};
        struct loading ld = {.l = l, .out = &changes};
        uint64_t at[2] = {l->gap_from[0], l->gap_from[1]};
        uint64_t from[2] = {at[0], at[1]};

        l->gap = false;
        ledger_unlock(l);
        r = load_from(&ld, at, &err);
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
        job_after(l->core->pool, pause, relist_run, l);
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
    job_run(l->core->pool, relist_run, ledger_ref(l));
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
