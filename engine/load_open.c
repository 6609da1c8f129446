/* How a ledger is opened: from a snapshot, or by listing all there is; how it
 * is brought up to date before a snapshot is taken of it; and how it is loaded
 * anew beside itself. load.c has the listings. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/waiter.h"
#include "engine/job.h"
#include "engine/load_impl.h"
#include "engine/message_text.h"

/* So far back a snapshot is looked for. They are written long before: where
 * there is none in so many messages, there is none at all. */
#define BACK_PAGES 30

/* A message may be seen so much later than its id says, or so many messages:
 * those are listed that came before a cut by no more. */
#define OVERLAP_MS 60000
#define OVERLAP 20

#define RELOAD_PAUSE_MS 5000

static void reload_again(void *arg);

/* --- pages -----------------------------------------------------------------
 */

/* The newest messages of a place, without a hole. */
struct back {
    struct pages pages;
    size_t n;        /* of them, so many are without a hole; oldest last */
    uint64_t oldest; /* … back to this message; 0: none yet */
    bool all;        /* there is nothing before */
};

static int go_back(struct loading *ld, struct back *b, struct err *err)
{
    struct ask *a = load_ask_page(ld, IN_THREAD, b->oldest, 0);

    int r = ask_wait(a);
    if (r < 0) {
        *err = *ask_err(a);
    } else {
        struct remote_reply *reply = ask_reply(a);
        b->all = reply->n_messages < LOAD_PAGE;
        if (reply->n_messages > 0)
            b->oldest = reply->messages[0].id;
        pages_add(&b->pages, reply);
        /* One that was listed for something else must not stand between. */
        struct remote_reply last = b->pages.list[b->pages.n - 1];
        for (size_t i = b->pages.n - 1; i > b->n; i--)
            b->pages.list[i] = b->pages.list[i - 1];
        b->pages.list[b->n++] = last;
    }
    ask_free(a);
    return r;
}

/* The newest snapshot with an id below `below`; NULL: not in these pages. */
static const struct remote_message *
newest_snapshot(const struct loading *ld, const struct back *b, uint64_t below)
{
    for (size_t i = 0; i < b->n; i++) {
        const struct remote_reply *page = &b->pages.list[i];
        for (size_t k = page->n_messages; k-- > 0;) {
            const struct remote_message *m = &page->messages[k];
            struct snapshot_head h;
            if (m->id >= below || m->author_id != ld->l->core->self ||
                !snapshot_is(m) || snapshot_parse(m, &h, NULL) < 0)
                continue;
            bool part = h.part != 0;
            snapshot_head_release(&h);
            if (!part)
                return m;
        }
    }
    return NULL;
}

/* Does a message have its say in what the rows are? */
static bool has_say(const struct ledger *l, const struct remote_message *m)
{
    return m->author_id == l->core->self && message_has_records(m);
}

static bool has_id(const struct snapshot_ids *ids, uint64_t id)
{
    size_t low = 0, high = ids->n;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (ids->list[mid] < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low < ids->n && ids->list[low] == id;
}

static void take_back(struct back *b, uint64_t *newest)
{
    for (size_t i = 0; i < b->n; i++)
        for (size_t k = 0; k < b->pages.list[i].n_messages; k++)
            if (b->pages.list[i].messages[k].id > *newest)
                *newest = b->pages.list[i].messages[k].id;
}

/* --- from a snapshot --------------------------------------------------------
 */

struct opening {
    struct loading ld;
    struct back thread;
    struct pages channel; /* behind upto[IN_CHANNEL] */

    /* the snapshot being tried */
    uint64_t id, cut, upto[2];
    bool begun;       /* the fold has something of it */
    uint64_t last_id; /* of the version that is last in the order of … */
    char *last_key;   /* … the older of two files */
    size_t last_key_len;
    struct snapshot_left *left; /* keys are owned */
    size_t n_left;
};

static bool is_late(const struct opening *o, int place,
                    const struct remote_reply *page,
                    const struct snapshot_meta *m, struct err *err)
{
    for (size_t i = 0; i < page->n_messages; i++) {
        const struct remote_message *msg = &page->messages[i];
        if (msg->id <= m->upto[place] || msg->id > m->cut ||
            !has_say(o->ld.l, msg) || has_id(&m->seen, msg->id))
            continue;
        err_set(err, -ESTALE, "message %llu came after its time",
                (unsigned long long)msg->id);
        return true;
    }
    return false;
}

/* All of the channel behind the mark. */
static int list_channel(struct opening *o, struct ask *first, struct err *err)
{
    struct ask *a = first;
    int r = 0;

    while (a) {
        struct remote_reply *reply = ask_reply(a);
        r = ask_wait(a);
        if (r < 0)
            *err = *ask_err(a);
        size_t n = r < 0 ? 0 : reply->n_messages;
        uint64_t last = n > 0 ? reply->messages[n - 1].id : 0;
        if (n > 0)
            pages_add(&o->channel, reply);
        ask_free(a);
        a = n == LOAD_PAGE ? load_ask_page(&o->ld, IN_CHANNEL, 0, last) : NULL;
    }
    return r;
}

static int check_meta(struct opening *o, const struct snapshot_meta *m,
                      struct err *err)
{
    struct ledger *l = o->ld.l;
    AUTO_BUF struct buf unique = BUF_INIT;

    if (m->cut != o->cut || m->upto[0] != o->upto[0] ||
        m->upto[1] != o->upto[1])
        return err_set(err, -EBADMSG,
                       "message %llu is damaged: it says one thing in its "
                       "line, another in its file",
                       (unsigned long long)o->id);
    ledger_lock(l);
    fold_unique_text(l->fold, m->cut, &unique);
    ledger_unlock(l);
    if (!buf_equals(&unique, m->unique, strlen(m->unique)))
        return err_set(err, -ESTALE,
                       "it was made when other fields were known to be unique");
    for (size_t i = 0; i < o->thread.n; i++)
        if (is_late(o, IN_THREAD, &o->thread.pages.list[i], m, err))
            return -ESTALE;
    for (size_t i = 0; i < o->channel.n; i++)
        if (is_late(o, IN_CHANNEL, &o->channel.list[i], m, err))
            return -ESTALE;
    return 0;
}

static int take_meta(void *arg, const struct snapshot_meta *m, struct err *err)
{
    struct opening *o = arg;
    struct ledger *l = o->ld.l;

    int r = check_meta(o, m, err);
    if (r < 0)
        return r;
    o->begun = true;
    ledger_lock(l);
    fold_load_begin(l->fold, m->cut, NULL);
    l->mtime_ms = m->mtime_ms;
    for (size_t i = 0; i < m->others.n; i++)
        ledger_note_other_locked(l, m->others.list[i]);
    for (size_t i = 0; i < m->foreign.n; i++)
        ledger_note_foreign_locked(l, m->foreign.list[i]);
    for (size_t i = 0; i < m->n_damage; i++)
        ledger_note_damage_locked(l, m->damage[i].message, m->damage[i].text);
    checkpoint_known_locked(l, m);
    o->left = xcalloc(m->n_left, sizeof(*o->left));
    for (size_t i = 0; i < m->n_left; i++)
        o->left[o->n_left++] =
            (struct snapshot_left){xstrdup(m->left[i].key), m->left[i].home};
    checkpoint_opened_locked(l, o->id, m);
    ledger_unlock(l);
    return 0;
}

static int take_line(void *arg, const struct snapshot_line *line, bool in_base,
                     struct err *err)
{
    struct opening *o = arg;
    struct ledger *l = o->ld.l;
    int place = line->place == SNAPSHOT_IN_CHANNEL ? IN_CHANNEL : IN_THREAD;

    (void)err;
    ledger_lock(l);
    if (line->rec.file)
        ledger_note_big_locked(l, place, &line->rec);
    if (line->rec.verb == RECORD_WAS) {
        ledger_note_keeper_locked(l, line->rec.holder, line->rec.file,
                                  line->shows);
    } else {
        struct record rec = line->rec;
        rec.values = line->values;
        rec.values_len = line->values_len;
        fold_checkpoint(l->fold, &rec, line->home, line->shows);
    }
    ledger_unlock(l);
    if (in_base && line->rec.verb == RECORD_PUT) {
        o->last_id = line->rec.id;
        if (o->last_key_len < line->rec.key_len || !o->last_key)
            o->last_key = xrealloc(o->last_key, line->rec.key_len + 1);
        memcpy(o->last_key, line->rec.key, line->rec.key_len);
        o->last_key_len = line->rec.key_len;
    }
    return 0;
}

/* What came behind the cut. */
static int take_tail(struct opening *o, struct err *err)
{
    int r = 0;

    for (size_t i = o->thread.n; i-- > 0 && r == 0;) {
        const struct remote_reply *page = &o->thread.pages.list[i];
        r = load_page(&o->ld, IN_THREAD, page->messages, page->n_messages,
                      o->cut, err);
    }
    for (size_t i = 0; i < o->channel.n && r == 0; i++)
        r = load_page(&o->ld, IN_CHANNEL, o->channel.list[i].messages,
                      o->channel.list[i].n_messages, o->cut, err);
    return r;
}

static void note_base_seq_locked(struct opening *o)
{
    const struct row *last =
        o->last_key ? fold_head(o->ld.l->fold, o->last_key, o->last_key_len)
                    : NULL;
    checkpoint_base_seq_locked(o->ld.l,
                               last && last->id == o->last_id ? last->seq : 0);
}

/* -EBADMSG, -ENOENT: it is damaged. -ESTALE: it cannot be used. Others: it
 * could not be read. */
static int try_snapshot(struct opening *o, const struct remote_message *m,
                        uint64_t at[2], struct err *err)
{
    struct ledger *l = o->ld.l;
    struct snapshot_head h;
    const struct snapshot_reader reader = {take_meta, take_line, o};

    int r = snapshot_parse(m, &h, err);
    if (r < 0)
        return r;
    o->id = m->id;
    o->cut = h.cut;
    o->upto[0] = h.upto[0];
    o->upto[1] = h.upto[1];
    snapshot_head_release(&h);

    pages_release(&o->channel);
    struct ask *first =
        load_ask_page(&o->ld, IN_CHANNEL, 0,
                      o->upto[0] > l->channel ? o->upto[0] : l->channel);
    while (r == 0 && !o->thread.all && o->thread.oldest > o->upto[1])
        r = go_back(&o->ld, &o->thread, err);
    if (r < 0) {
        ask_free(first);
        return r;
    }
    r = list_channel(o, first, err);
    if (r == 0)
        r = snapshot_read(&o->thread.pages, m, &reader, err);
    if (r == 0)
        r = take_tail(o, err);
    if (r < 0)
        return r;
    at[0] = at[1] = o->cut;
    take_back(&o->thread, &at[1]);
    for (size_t i = 0; i < o->channel.n; i++) {
        const struct remote_reply *page = &o->channel.list[i];
        if (page->messages[page->n_messages - 1].id > at[0])
            at[0] = page->messages[page->n_messages - 1].id;
    }
    return 0;
}

static void forget_left(struct opening *o)
{
    for (size_t i = 0; i < o->n_left; i++)
        free(o->left[i].key);
    free(o->left);
    o->left = NULL;
    o->n_left = 0;
}

/* As if nothing had been read. */
static void begin_again(struct opening *o)
{
    ledger_lock(o->ld.l);
    ledger_forget_locked(o->ld.l);
    o->ld.l->fold = fold_new();
    ledger_give_rules_locked(o->ld.l, o->ld.l->fold);
    fold_load_begin(o->ld.l->fold, 0, NULL);
    ledger_unlock(o->ld.l);
    o->begun = false;
    free(o->last_key);
    o->last_key = NULL;
    forget_left(o);
}

static bool is_damage(int r)
{
    return r == -EBADMSG || r == -ENOENT || r == -ESTALE;
}

/* 0: done. 1: there is none that can be used. */
static int open_snapshot(struct opening *o, uint64_t at[2], struct err *err)
{
    struct ledger *l = o->ld.l;
    uint64_t below = UINT64_MAX;
    struct damage {
        uint64_t id;
        char *text;
    } *damage = NULL;
    size_t n = 0;
    bool skipped = false;
    int r = 1;

    while (r == 1) {
        const struct remote_message *m =
            newest_snapshot(&o->ld, &o->thread, below);
        if (!m) {
            if (o->thread.all || o->thread.n >= BACK_PAGES)
                break;
            int went = go_back(&o->ld, &o->thread, err);
            if (went < 0)
                r = went;
            continue;
        }
        below = m->id;
        uint64_t id = m->id;
        struct err why = ERR_INIT;
        int tried = try_snapshot(o, m, at, &why);
        if (tried < 0 && !is_damage(tried)) {
            *err = why;
            r = tried;
        } else if (tried < 0) {
            skipped = true;
            AUTO_STR char *label = ledger_label(l);
            log_warn("%s: snapshot %llu is not used: %s", label,
                     (unsigned long long)id, err_text(&why, tried));
            if (tried != -ESTALE) {
                damage = xrealloc(damage, (n + 1) * sizeof(*damage));
                damage[n].id = id;
                damage[n++].text = xstrdup(err_text(&why, tried));
            }
            if (o->begun)
                begin_again(o);
        } else {
            r = 0;
        }
    }
    ledger_lock(l);
    if (skipped)
        checkpoint_wanted_locked(l);
    for (size_t i = 0; i < n; i++) {
        ledger_note_damage_locked(l, damage[i].id, damage[i].text);
        free(damage[i].text);
    }
    ledger_unlock(l);
    free(damage);
    return r;
}

/* --- by listing all ---------------------------------------------------------
 */

static int list_all(struct loading *ld, struct back *thread, uint64_t at[2],
                    struct err *err)
{
    int r = 0;

    /* What was listed from the end may be the whole thread. */
    for (size_t i = thread->n; thread->all && i-- > 0 && r == 0;)
        r = load_page(ld, IN_THREAD, thread->pages.list[i].messages,
                      thread->pages.list[i].n_messages, 0, err);
    if (r == 0)
        r = load_from(ld, at, LOAD_CHANNEL | (thread->all ? 0 : LOAD_THREAD),
                      err);
    if (thread->all)
        take_back(thread, &at[1]);
    return r;
}

/* --- opening ---------------------------------------------------------------
 */

static int open_ledger(struct ledger *l, uint64_t at[2], struct err *err)
{
    struct opening o = {
        .ld = {.l = l, .priority = REMOTE_INTERACTIVE},
        .thread.pages = {.l = l, .priority = REMOTE_INTERACTIVE},
        .channel = {.l = l},
    };
    int r = 0;

    if (l->thread) {
        r = go_back(&o.ld, &o.thread, err);
        if (r == -ENOENT) {
            AUTO_STR char *label = ledger_label(l);
            log_warn("%s has no history thread", label);
            o.thread.all = true;
            r = 0;
        }
        if (r == 0)
            r = open_snapshot(&o, at, err);
    } else {
        o.thread.all = true;
        r = 1;
    }
    if (r == 1) {
        r = list_all(&o.ld, &o.thread, at, err);
    }
    ledger_lock(l);
    if (r == 0 && l->fold) {
        fold_load_end(l->fold);
        note_base_seq_locked(&o);
        for (size_t i = 0; i < o.n_left; i++)
            settle_need_locked(l, o.left[i].key, strlen(o.left[i].key),
                               o.left[i].home, SETTLE_LATER);
    }
    ledger_unlock(l);
    free(o.last_key);
    forget_left(&o);
    pages_release(&o.thread.pages);
    pages_release(&o.channel);
    return r;
}

static void need_settling(void *arg, struct row *now, uint64_t home)
{
    settle_need_locked(arg, row_key(now), now->key_len, home, SETTLE_LATER);
}

/* Caller holds l->lock. What came by events meanwhile; what needs a file is
 * moved to *files. */
static void apply_held_locked(struct ledger *l, struct held **files)
{
    while (l->held) {
        struct held *h = l->held;
        bool file = false;

        l->held = h->next;
        if (h->is_message)
            event_message_locked(l, &h->message, h->created, NULL, &file);
        else
            event_deleted_locked(l, h->channel, h->ids, h->n_ids);
        if (file) {
            h->next = *files;
            *files = h;
        } else {
            held_free(h);
        }
    }
    l->held_last = &l->held;
}

static void open_run(void *arg)
{
    struct ledger *l = arg;
    struct err err = ERR_INIT;
    uint64_t at[2] = {l->channel, l->thread};
    struct held *files = NULL;
    bool again = false;

    int r = open_ledger(l, at, &err);

    ledger_lock(l);
    if (l->state == LEDGER_OPENING) {
        if (r < 0)
            err_wrap(&err, r, "%s cannot be read", l->label);
        l->state = r < 0 ? LEDGER_CLOSED : LEDGER_OPEN;
        for (int i = 0; i < 2; i++)
            l->seen[i] = at[i];
        /* A gap meanwhile: what came between a page and the first event. */
        again = l->gap && r == 0;
        l->gap = l->relisting = again;
        for (int i = 0; i < 2; i++)
            l->gap_from[i] = at[i];
        if (r == 0) {
            fold_stale_homes(l->fold, need_settling, l);
        }
        apply_held_locked(l, &files);
        struct news *n = ledger_news_locked(l);
        n->openers = l->openers;
        n->r = r;
        n->err = err;
        l->openers = NULL;
    }
    ledger_unlock(l);

    while (files) {
        struct held *next = files->next;
        load_batch(l, ledger_place(l, files->channel), &files->message);
        held_free(files);
        files = next;
    }
    ledger_give_values(l);
    ledger_deliver(l);
    settle_go(l);
    if (again) {
        core_count(l->core, &l->core->catching_up, 1);
        load_relist(l);
    } else {
        ledger_unref(l);
    }
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

/* --- anew --------------------------------------------------------------------
 */

/* What came too late for the fold to judge is judged by another, which is
 * loaded beside it; what comes meanwhile goes to both. */
static void reload_run(void *arg)
{
    struct ledger *l = arg;
    struct loading ld = {.l = l, .priority = REMOTE_NORMAL, .reload = true};
    struct changes changes = {0};
    struct fold_changes told = {0};
    uint64_t at[2] = {l->channel, l->thread};
    struct err err = ERR_INIT;

    int r = load_from(&ld, at, LOAD_CHANNEL | LOAD_THREAD, &err);

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
        /* What was too late for the fold was so for the snapshots too. */
        checkpoint_wanted_locked(l);
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

/* --- up to date -------------------------------------------------------------
 */

static int newest_page(struct loading *ld, int place, struct pages *p,
                       struct err *err)
{
    struct ask *a = load_ask_page(ld, place, 0, 0);

    int r = ask_wait(a);
    if (r < 0)
        *err = *ask_err(a);
    else
        pages_add(p, ask_reply(a));
    ask_free(a);
    return r;
}

static uint64_t newest_of(const struct pages *p, size_t i)
{
    const struct remote_reply *page = &p->list[i];
    return page->n_messages ? page->messages[page->n_messages - 1].id : 0;
}

/* Applies what is new in the newest page of a place, and what came between
 * that and what is known. */
static int apply_page(struct loading *ld, int place,
                      const struct remote_reply *page, struct err *err)
{
    struct ledger *l = ld->l;
    int r = 0;

    ledger_lock(l);
    uint64_t at[2] = {l->seen[0], l->seen[1]};
    uint64_t above = at[place];
    ledger_unlock(l);
    if (page->n_messages == LOAD_PAGE && page->messages[0].id > above)
        r = load_from(ld, at, place == IN_CHANNEL ? LOAD_CHANNEL : LOAD_THREAD,
                      err);
    else
        r = load_page(ld, place, page->messages, page->n_messages, above, err);
    if (r < 0)
        return r;
    uint64_t last =
        page->n_messages ? page->messages[page->n_messages - 1].id : 0;
    if (at[place] > last)
        last = at[place];
    ledger_lock(l);
    if (last > l->seen[place])
        l->seen[place] = last;
    ledger_unlock(l);
    return 0;
}

/* Where the listing of this place is to begin for a reader of a snapshot with
 * this cut; those from there to the cut are appended to seen. */
static uint64_t mark_of(const struct ledger *l, int place,
                        const struct remote_reply *page, uint64_t cut,
                        struct snapshot_ids *seen)
{
    uint64_t say[LOAD_PAGE], overlap = (uint64_t)OVERLAP_MS << 22;
    size_t n = 0, from = 0;

    for (size_t i = 0; i < page->n_messages; i++)
        if (page->messages[i].id <= cut && has_say(l, &page->messages[i]))
            say[n++] = page->messages[i].id;
    if (n > OVERLAP)
        from = n - OVERLAP;
    while (from < n && say[from] + overlap < cut)
        from++;
    seen->list =
        xrealloc(seen->list, (seen->n + n - from + 1) * sizeof(*seen->list));
    for (size_t i = from; i < n; i++)
        seen->list[seen->n++] = say[i];
    if (from > 0)
        return say[from - 1];
    if (page->n_messages == LOAD_PAGE)
        return page->messages[0].id - 1;
    return ledger_channel(l, place);
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

int load_catch_up(struct ledger *l, enum remote_priority priority,
                  struct load_tail *out, struct err *err)
{
    struct changes changes = {0};
    struct loading ld = {
        .l = l, .priority = priority, .out = &changes, .closing = true};
    struct pages pages = {.l = l};
    uint64_t cut = l->channel;

    int r = newest_page(&ld, IN_THREAD, &pages, err);
    if (r == 0)
        r = newest_page(&ld, IN_CHANNEL, &pages, err);
    if (r == 0) {
        uint64_t thread = newest_of(&pages, 0), channel = newest_of(&pages, 1);
        cut = thread > channel ? thread : channel;
        if (cut < l->channel)
            cut = l->channel;
        /* The thread was complete up to its newest message; up to the
         * channel's, which was listed later, only now. */
        if (channel > thread)
            r = newest_page(&ld, IN_THREAD, &pages, err);
    }
    if (r == 0)
        r = apply_page(&ld, IN_THREAD, &pages.list[pages.n == 3 ? 2 : 0], err);
    if (r == 0)
        r = apply_page(&ld, IN_CHANNEL, &pages.list[1], err);
    if (r == 0) {
        out->cut = cut;
        out->upto[IN_CHANNEL] =
            mark_of(l, IN_CHANNEL, &pages.list[1], cut, &out->seen);
        out->upto[IN_THREAD] = mark_of(
            l, IN_THREAD, &pages.list[pages.n == 3 ? 2 : 0], cut, &out->seen);
        if (out->seen.n > 0)
            qsort(out->seen.list, out->seen.n, sizeof(uint64_t), by_id);
    }
    pages_release(&pages);
    settle_go(l);
    return r;
}
