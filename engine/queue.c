/* The writes that wait for their group: how they come in, are called back,
 * and are given what they need before they can leave (commit.c). */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/waiter.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"
#include "engine/plan.h"
#include "engine/text.h"

void queue_add(struct pending_list *q, struct pending *p)
{
    p->next = NULL;
    *q->last = p;
    q->last = &p->next;
    q->n++;
}

struct pending_list queue_empty(void)
{
    return (struct pending_list){0};
}

void queue_answer_locked(struct ledger *l, struct pending *list)
{
    if (list)
        ledger_news_locked(l)->answers = list;
}

void queue_fail_all_locked(struct ledger *l, int r, const char *why)
{
    for (struct pending *p = l->queue.first; p; p = p->next)
        pending_refuse(p, r, "%s %s", l->label, why);
    queue_answer_locked(l, l->queue.first);
    l->queue = queue_empty();
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
        queue_answer_locked(l, p);
    }
    ledger_unlock(l);
    text_unref(text);
    ledger_deliver(l);
    commit_go(l);
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

void queue_fetch_locked(struct ledger *l, struct pending *p)
{
    struct row *row = fold_find(l->fold, p->w.key, p->w.key_len);
    struct fetching *f = xcalloc(1, sizeof(*f));

    p->fetching = true;
    *f = (struct fetching){ledger_ref(l), p->ticket, row->id, row_ref(row)};
    job_run(l->core->pool, fetch_run, f);
}

/* --- coming and going -------------------------------------------------------
 */

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
    } else if (l->frozen) {
        r = err_set(err, -EBUSY, "%s is just being dropped", l->label);
    } else {
        l->more = w->more;
        p->ticket = ++l->last_ticket;
        if (ticket)
            *ticket = p->ticket;
        queue_add(&l->queue, p);
        l->kicks++;
        core_count(l->core, &l->core->writes, 1);
    }
    ledger_unlock(l);
    if (r < 0)
        free(p);
    else if (!w->more)
        commit_go(l);
    return r;
}

void ledger_flush(struct ledger *l)
{
    ledger_lock(l);
    l->more = l->lingering = false;
    ledger_unlock(l);
    commit_go(l);
}

bool ledger_cancel(struct ledger *l, uint64_t ticket)
{
    ledger_lock(l);
    struct pending *p = take_queued(l, ticket);
    if (p) {
        pending_refuse(p, -EINTR, "interrupted before it was sent");
        queue_answer_locked(l, p);
    }
    ledger_unlock(l);
    ledger_deliver(l);
    return p != NULL;
}

/* ledger_write_wait()'s: where its answer goes. */
struct wait {
    struct waiter waiter;
    struct row *row;
};

static void wake(void *arg, int r, struct row *row, const struct err *err)
{
    struct wait *w = arg;

    w->row = row;
    waiter_done(&w->waiter, r, err);
}

int ledger_write_wait(struct ledger *l, const struct write *w, struct row **out,
                      struct err *err)
{
    struct wait wait = {0};

    waiter_init(&wait.waiter, err);
    int r = ledger_write(l, w, wake, &wait, NULL, err);
    if (r >= 0) {
        r = waiter_wait(&wait.waiter);
        if (out && r == 0)
            *out = wait.row;
        else
            row_unref(wait.row);
    }
    waiter_release(&wait.waiter);
    return r;
}
