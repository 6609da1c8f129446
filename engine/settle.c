/* The background writer: row messages follow their rows. Each ledger has a
 * list of row messages that do not show what they should, by the time at which
 * something is to be done; one request at a time is under way, of the lowest
 * priority, and what it says is decided when it is submitted. So ten updates
 * of one row while its message waits are one edit.
 *
 *     head lives here            edit it to show the head
 *     head is deleted            delete it; where it holds the file of a
 *                                version, edit it to show the deletion
 *     head lives elsewhere       delete it; where it holds a file, leave it
 *     removed by somebody's hand post the row again, as a copy
 *
 * The rows never depend on any of it. What another process made stale is left
 * to that one for a while; what is left over when this one ends will be found
 * by the next that opens the table. */
#include <assert.h>
#include <errno.h>
#include <sys/random.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/checkpoint.h"
#include "engine/job.h"
#include "engine/ledger_impl.h"
#include "engine/text.h"

/* Updated again and again, it is shown all the same after so many times the
 * gathering time. */
#define GATHER_MOST 5

#define RETRIES 5

/* Bulk deletes take nothing older than 14 days; an hour for clocks. */
#define BULK_AGE_MS ((int64_t)14 * 24 * 3600 * 1000 - 3600 * 1000)
#define BULK_MOST 100
#define SNOWFLAKE_EPOCH_MS 1420070400000

struct stale {
    uint64_t home; /* first: the map's key */
    struct stale *prev, *next;
    int64_t since_ms, due_ms;
    bool later;  /* closing does not wait for it */
    bool lost;   /* the message is gone */
    bool mend;   /* it was looked for: the row may not know that it had it */
    bool bare;   /* its text is changed in transit: leave it out */
    bool single; /* not by a bulk delete */
    int tries;
    size_t key_len;
    char key[];
};

enum action { EDIT, DELETE, REPOST };

/* A request of the background writer. */
struct act {
    struct ledger *l; /* a reference */
    enum action action;
    uint64_t homes[BULK_MOST];
    size_t n;
    struct remote_draft draft;
    struct buf storage;
    struct buf content; /* as sent */
};

/* --- the list --------------------------------------------------------------
 */

static struct stale *find(const struct ledger *l, uint64_t home)
{
    return map_get(&l->stale, hash_u64(home), &home);
}

static void unlink_stale(struct ledger *l, struct stale *s)
{
    *(s->prev ? &s->prev->next : &l->first_due) = s->next;
    *(s->next ? &s->next->prev : &l->last_due) = s->prev;
    s->prev = s->next = NULL;
}

/* Most come with the latest time of all. */
static void link_by_due(struct ledger *l, struct stale *s)
{
    struct stale *before = l->last_due;

    while (before && before->due_ms > s->due_ms)
        before = before->prev;
    s->prev = before;
    s->next = before ? before->next : l->first_due;
    *(s->prev ? &s->prev->next : &l->first_due) = s;
    *(s->next ? &s->next->prev : &l->last_due) = s;
}

static void set_due(struct ledger *l, struct stale *s, int64_t due_ms)
{
    unlink_stale(l, s);
    s->due_ms = due_ms;
    link_by_due(l, s);
}

static void set_later(struct ledger *l, struct stale *s, bool later)
{
    if (s->later != later)
        core_count(l->core, &l->core->unsettled, later ? -1 : 1);
    s->later = later;
}

/* Others may be about to do the same: at a time of our own. */
static int64_t grace_ms(const struct core *c)
{
    uint32_t draw = 0;

    if (getrandom(&draw, sizeof(draw), 0) != (ssize_t)sizeof(draw))
        draw = (uint32_t)clock_mono_ms();
    return c->grace_ms + (int64_t)(draw % 1000) * c->grace_ms / 1000;
}

static struct stale *add(struct ledger *l, const char *key, size_t key_len,
                         uint64_t home, int64_t delay_ms, bool later)
{
    struct stale *s = xcalloc(1, sizeof(*s) + key_len + 1);

    s->home = home;
    memcpy(s->key, key, key_len);
    s->key_len = key_len;
    s->since_ms = clock_mono_ms();
    s->due_ms = s->since_ms + delay_ms;
    s->later = true;
    set_later(l, s, later);
    map_put(&l->stale, &s->home, s);
    link_by_due(l, s);
    return s;
}

static bool is_off(const struct ledger *l)
{
    return !l->thread || l->core->read_only || l->state == LEDGER_GONE ||
           atomic_load(&l->core->stopped);
}

void settle_need_locked(struct ledger *l, const char *key, size_t key_len,
                        uint64_t home, enum settle_why why)
{
    struct stale *s = find(l, home);
    int64_t gather = l->core->settle_ms;

    if (is_off(l))
        return;
    if (!s) {
        add(l, key, key_len, home,
            why == SETTLE_SOON ? gather : gather + grace_ms(l->core),
            why == SETTLE_LATER);
        return;
    }
    if (why == SETTLE_LATER || s->lost)
        return;
    int64_t now = clock_mono_ms();
    if (s->later) {
        s->since_ms = now;
        set_later(l, s, false);
        set_due(l, s, now + gather);
    } else if (now + gather < s->since_ms + GATHER_MOST * gather) {
        set_due(l, s, now + gather);
    }
}

void settle_lost_locked(struct ledger *l, const char *key, size_t key_len,
                        uint64_t home)
{
    struct stale *s = find(l, home);
    int64_t delay = l->core->settle_ms + grace_ms(l->core);

    ledger_note_lost_locked(l, home);
    if (is_off(l))
        return;
    if (!s)
        s = add(l, key, key_len, home, delay, true);
    s->lost = true;
    set_later(l, s, true);
    set_due(l, s, clock_mono_ms() + delay);
}

void ledger_mend_home(struct ledger *l, const char *key, size_t key_len,
                      uint64_t home, bool lost)
{
    ledger_lock(l);
    if (l->state == LEDGER_OPEN && !is_off(l)) {
        if (lost)
            settle_lost_locked(l, key, key_len, home);
        else
            settle_need_locked(l, key, key_len, home, SETTLE_SOON);
        struct stale *s = find(l, home);
        s->mend = true;
        set_later(l, s, false);
        set_due(l, s, clock_mono_ms());
    }
    ledger_unlock(l);
    settle_go(l);
}

static void drop(struct ledger *l, struct stale *s)
{
    map_remove(&l->stale, hash_u64(s->home), &s->home);
    unlink_stale(l, s);
    set_later(l, s, true);
    free(s);
}

void settle_forget_locked(struct ledger *l, uint64_t home)
{
    struct stale *s = find(l, home);

    if (s)
        drop(l, s);
}

void settle_forget_all_locked(struct ledger *l)
{
    while (l->first_due)
        drop(l, l->first_due);
}

void settle_home_gone_locked(struct ledger *l, const char *key, size_t key_len,
                             uint64_t home, enum settle_why why)
{
    AUTO_STR char *own = xstrndup(key, key_len);

    fold_home_gone(l->fold, own, key_len, home);
    settle_forget_locked(l, home);
    /* One of an earlier life, kept for its file, is the home again. */
    const struct row *head = fold_head(l->fold, own, key_len);
    if (head && head->home)
        settle_need_locked(l, own, key_len, head->home, why);
}

bool settle_gone_locked(struct ledger *l, uint64_t home)
{
    const struct stale *s = find(l, home);

    if (s)
        settle_home_gone_locked(l, s->key, s->key_len, home, SETTLE_LATER);
    return s != NULL;
}

/* --- what to do ------------------------------------------------------------
 */

static bool is_young(uint64_t id)
{
    int64_t born = (int64_t)(id >> 22) + SNOWFLAKE_EPOCH_MS;
    return clock_wall_ms() - born < BULK_AGE_MS;
}

/* A record that tells a row's version again. */
static struct record record_of(const struct ledger *l, const struct row *r,
                               uint64_t home)
{
    struct record rec = {
        .verb = r->deleted ? RECORD_DELETE : RECORD_PUT,
        .version = r->version,
        .id = r->id,
        .base = r->base,
        .at_ms = r->at_ms,
        .mtime_ms = r->mtime_ms,
        .key = row_key(r),
        .key_len = r->key_len,
        .by = r->by,
        .by_len = strlen(r->by),
        .text = row_text(r),
        .text_len = r->deleted ? 0 : r->text_len - 1,
        .copy = r->id != home,
    };

    rec.elsewhere = rec.copy && !r->deleted;
    if (!r->deleted && !rec.text) {
        const struct big *big = ledger_big_locked(l, r->file);
        assert(big);
        memcpy(rec.sha, big->record.sha, sizeof(rec.sha));
    }
    return rec;
}

/* The record of the version whose file hangs on this row message: it stays. */
static struct record kept_of(const struct big *big)
{
    struct record rec = big->record;

    rec.verb = RECORD_WAS;
    rec.copy = true;
    rec.alone = rec.elsewhere = false;
    rec.kept_file = true;
    return rec;
}

static bool build_edit(struct ledger *l, const struct stale *s,
                       const struct row *head, struct act *a)
{
    struct message_builder mb = {.find_tokens = true};
    struct keeper *k = ledger_keeper_locked(l, s->home);
    const struct big *big = k ? ledger_big_locked(l, k->file) : NULL;
    struct record shown = record_of(l, head, s->home);
    struct err err = ERR_INIT;

    bool own_file = big && !head->deleted && head->file == k->file;
    if (own_file) {
        shown.kept_file = true;
        shown.elsewhere = false;
        shown.file_name = big->record.file_name;
        shown.file_name_len = big->record.file_name_len;
    } else if (s->bare && shown.text) {
        record_digest(&shown, shown.text, shown.text_len, shown.sha);
        shown.text = NULL;
    }
    message_add(&mb, &shown);
    if (big && !own_file) {
        struct record kept = kept_of(big);
        message_add(&mb, &kept);
    }
    int r = message_finish(&mb, atomic_load(&l->max_file), &a->draft,
                           &a->storage, &err);
    message_builder_release(&mb);
    /* A batch file has no place on a row message. */
    if (r < 0 || a->draft.n_files > 0) {
        log_debug("%s: row message %llu stays as it is: %s", l->label,
                  (unsigned long long)s->home,
                  r < 0 ? err_text(&err, r) : "no room");
        return false;
    }
    if (big) {
        a->draft.keep[0] = k->file;
        a->draft.n_keep = 1;
    }
    return true;
}

/* The row again, in a message of its own. */
static bool build_repost(struct ledger *l, const struct stale *s,
                         struct row *head, struct act *a)
{
    struct message_builder mb = {.find_tokens = true};
    struct record rec = record_of(l, head, 0);
    struct err err = ERR_INIT;
    struct text *text = NULL;
    bool only_copy = ledger_is_only_home_locked(l, head);

    if (only_copy)
        rec.elsewhere = false;
    if (only_copy && !rec.text) {
        text = text_find(l->core->texts, head->file);
        if (!text) {
            err_set(&err, -EBADMSG,
                    "message %llu was deleted by somebody's hand, and with it "
                    "the text of '%s' (version %u)",
                    (unsigned long long)s->home, row_key(head), head->version);
            ledger_note_damage_locked(l, s->home, err.text);
            return false;
        }
        rec.text = text->data;
    }
    message_add(&mb, &rec);
    int r = message_finish(&mb, atomic_load(&l->max_file), &a->draft,
                           &a->storage, &err);
    message_builder_release(&mb);
    text_unref(text);
    return r == 0;
}

/* What is to be done about this one? False: nothing, and it is dropped. */
static bool decide(struct ledger *l, struct stale *s, struct act *a)
{
    struct row *head = fold_head(l->fold, s->key, s->key_len);
    struct keeper *k = ledger_keeper_locked(l, s->home);
    bool known = head && (head->version == 1 || head->base);
    bool here = head && (head->home == s->home || head->home == 0);

    if (s->lost) {
        a->action = REPOST;
        if (known && !head->deleted &&
            (head->home == s->home || (s->mend && !head->home)) &&
            build_repost(l, s, head, a))
            return true;
        settle_gone_locked(l, s->home);
        return false;
    }
    a->action = EDIT;
    if (known && here && (!head->deleted || (k && k->shows != head->id)) &&
        build_edit(l, s, head, a))
        return true;
    a->action = DELETE;
    if (head && !k && (!here || head->deleted))
        return true;
    drop(l, s);
    return false;
}

/* The first for which it is time. */
static struct stale *next_due(struct ledger *l)
{
    struct stale *s = l->first_due;

    if (s && s->due_ms <= clock_mono_ms())
        return s;
    if (!atomic_load(&l->core->hasty))
        return NULL;
    while (s && s->later)
        s = s->next;
    return s;
}

/* More row messages to delete with the same request; those of this process
 * may as well go before their time. */
static void gather_deletes(struct ledger *l, struct act *a)
{
    int64_t now = clock_mono_ms();

    for (struct stale *s = l->first_due; s && a->n < BULK_MOST; s = s->next) {
        struct row *head = fold_head(l->fold, s->key, s->key_len);
        if ((s->due_ms > now && s->later) || s->home == a->homes[0] ||
            s->lost || s->single || !head || ledger_keeper_locked(l, s->home) ||
            !is_young(s->home))
            continue;
        bool here = head->home == s->home || head->home == 0;
        if (!here || head->deleted)
            a->homes[a->n++] = s->home;
    }
}

/* --- doing it --------------------------------------------------------------
 */

static void timer_run(void *arg)
{
    struct ledger *l = arg;

    ledger_lock(l);
    if (l->timer_ms <= clock_mono_ms() || atomic_load(&l->core->closing))
        l->timer_ms = 0;
    ledger_unlock(l);
    settle_go(l);
    ledger_unref(l);
}

static void arm_timer_locked(struct ledger *l)
{
    const struct stale *s = l->first_due;

    if (!s || atomic_load(&l->core->closing) ||
        (l->timer_ms && l->timer_ms <= s->due_ms))
        return;
    l->timer_ms = s->due_ms;
    job_after(l->core->pool, s->due_ms - clock_mono_ms(), timer_run,
              ledger_ref(l));
}

static void act_free(struct act *a)
{
    struct ledger *l = a->l;

    remote_draft_release(&a->draft);
    buf_release(&a->storage);
    buf_release(&a->content);
    free(a);
    ledger_unref(l);
}

/* It did not work: again later, or not at all. */
static void failed_locked(struct ledger *l, struct act *a, int r,
                          const struct err *err)
{
    for (size_t i = 0; i < a->n; i++) {
        struct stale *s = find(l, a->homes[i]);
        if (!s)
            continue;
        if (r == -EINVAL && a->n > 1) {
            s->single = true;
            continue;
        }
        bool hopeless =
            r == -EACCES || r == -EPERM || r == -EINVAL || ++s->tries > RETRIES;
        if (i == 0 && r != -ECANCELED && r != -ESHUTDOWN)
            log_warn("%s: row message %llu cannot be brought up to date%s: %s",
                     l->label, (unsigned long long)s->home,
                     hopeless ? "" : " yet", err_text(err, r));
        if (hopeless) {
            drop(l, s);
            continue;
        }
        set_later(l, s, true);
        set_due(l, s, clock_mono_ms() + (l->core->retry_ms << (3 + s->tries)));
    }
}

/* A message of ours as it is now. False: it is damaged. */
static bool take_answer(struct ledger *l, const struct remote_message *m,
                        struct changes *changes)
{
    struct records rs = {0};
    struct err err = ERR_INIT;

    int r = message_parse(m, &rs, &err);
    if (r < 0)
        ledger_note_damage_locked(l, m->id, err_text(&err, r));
    else if (!rs.batch_file)
        ledger_apply_locked(l, IN_CHANNEL, m, &rs, true, NULL, NULL, changes);
    records_release(&rs);
    return r == 0;
}

static void edited_locked(struct ledger *l, struct act *a,
                          const struct remote_message *m,
                          struct changes *changes)
{
    struct stale *s = find(l, a->homes[0]);

    if (!buf_equals(&a->content, m->content, m->content_len)) {
        /* It must not stay damaged. */
        if (s && !s->bare) {
            s->bare = true;
            set_due(l, s, clock_mono_ms());
            return;
        }
        ledger_note_damage_locked(l, m->id,
                                  "Discord changes what a row message says");
    }
    if (take_answer(l, m, changes))
        return;
    /* The attachment it was to keep is gone, and with it the reason to: once
     * more without. Nothing else would mend it. */
    struct keeper *k = s ? ledger_keeper_locked(l, m->id) : NULL;
    bool has_file = false;
    for (size_t i = 0; k && i < m->n_files; i++)
        has_file |= m->files[i].id == k->file;
    if (k && !has_file) {
        free(map_remove(&l->keepers, hash_u64(m->id), &m->id));
        set_due(l, s, clock_mono_ms());
    } else {
        settle_forget_locked(l, m->id);
    }
}

static void reposted_locked(struct ledger *l, struct act *a,
                            const struct remote_message *m,
                            struct changes *changes)
{
    log_warn("%s: row message %llu was deleted by somebody's hand; its row is "
             "now message %llu",
             l->label, (unsigned long long)a->homes[0],
             (unsigned long long)m->id);
    l->reposted++;
    settle_gone_locked(l, a->homes[0]);
    ledger_note_own_locked(&l->posted, m->id);
    take_answer(l, m, changes);
}

static void answered(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct act *a = arg;
    struct ledger *l = a->l;
    struct changes changes = {0};
    struct remote_message *m =
        r == 0 && reply->n_messages > 0 ? &reply->messages[0] : NULL;

    ledger_lock(l);
    l->settling = false;
    l->settle_req = 0;
    if (l->state != LEDGER_OPEN) {
        /* Nothing of it matters any more. */
    } else if (a->action == DELETE && (r == 0 || r == -ENOENT)) {
        for (size_t i = 0; i < a->n; i++)
            settle_gone_locked(l, a->homes[i]);
    } else if (a->action == EDIT && r == -ENOENT) {
        struct stale *s = find(l, a->homes[0]);
        if (s) {
            ledger_note_lost_locked(l, s->home);
            s->lost = true;
            set_later(l, s, true);
            set_due(l, s, clock_mono_ms());
        }
    } else if (a->action == EDIT && m) {
        edited_locked(l, a, m, &changes);
    } else if (a->action == REPOST && m) {
        reposted_locked(l, a, m, &changes);
    } else {
        failed_locked(l, a, r < 0 ? r : -EIO, err);
    }
    ledger_tell_locked(l, &changes);
    ledger_unlock(l);
    ledger_deliver(l);
    settle_go(l);
    act_free(a);
}

static void submit(struct act *a)
{
    struct ledger *l = a->l;
    struct remote_request req = {
        .priority = REMOTE_BACKGROUND,
        .channel = l->channel,
        .message = a->homes[0],
    };

    switch (a->action) {
    case EDIT:
        req.op = REMOTE_EDIT;
        break;
    case REPOST:
        req.op = REMOTE_POST;
        req.message = 0;
        break;
    case DELETE:
        req.op = a->n > 1 ? REMOTE_DELETE_MANY : REMOTE_DELETE;
        if (a->n > 1) {
            req.message = 0;
            req.ids = a->homes;
            req.n_ids = a->n;
        }
        break;
    }
    buf_add(&a->content, a->draft.content.data, a->draft.content.len);
    req.draft = a->draft;
    a->draft = (struct remote_draft){0};
    uint64_t number = core_submit(l->core, &req, answered, a);

    /* If it was answered already this is another's, or nobody's: cancelling a
     * number that is done does nothing. */
    ledger_lock(l);
    if (l->settling)
        l->settle_req = number;
    ledger_unlock(l);
}

void settle_go(struct ledger *l)
{
    struct act *a = NULL;
    struct stale *s;

    ledger_lock(l);
    while (!l->settling && l->state == LEDGER_OPEN && !is_off(l) &&
           (s = next_due(l))) {
        a = xcalloc(1, sizeof(*a));
        a->homes[0] = s->home;
        a->n = 1;
        /* A delete of many needs them all young. */
        bool single = s->single || !is_young(s->home);
        if (!decide(l, s, a)) {
            remote_draft_release(&a->draft);
            buf_release(&a->storage);
            free(a);
            a = NULL;
            continue;
        }
        if (a->action == DELETE && !single)
            gather_deletes(l, a);
        for (size_t i = 0; a->action == DELETE && i < a->n; i++)
            ledger_note_own_locked(&l->deleted, a->homes[i]);
        /* What comes while it is on its way is gathered anew. */
        s->since_ms = clock_mono_ms();
        a->l = ledger_ref(l);
        l->settling = true;
    }
    if (!l->settling && !is_off(l))
        arm_timer_locked(l);
    ledger_unlock(l);
    if (a)
        submit(a);
    checkpoint_go(l);
}

uint64_t ledger_vacuumed(struct ledger *l)
{
    ledger_lock(l);
    uint64_t upto = l->vacuumed;
    ledger_unlock(l);
    return upto;
}

void ledger_known(struct ledger *l, uint64_t upto[2])
{
    ledger_lock(l);
    for (int i = 0; i < 2; i++)
        upto[i] = l->newest[i];
    ledger_unlock(l);
}

void ledger_hurry(struct ledger *l)
{
    settle_go(l);
}

size_t ledger_behind(struct ledger *l, int64_t *oldest_ms)
{
    int64_t now = clock_mono_ms();

    *oldest_ms = 0;
    ledger_lock(l);
    for (const struct stale *s = l->first_due; s; s = s->next)
        if (now - s->since_ms > *oldest_ms)
            *oldest_ms = now - s->since_ms;
    size_t n = l->stale.count;
    ledger_unlock(l);
    return n;
}

void ledger_stop(struct ledger *l)
{
    ledger_lock(l);
    settle_forget_all_locked(l);
    uint64_t number = l->settle_req;
    ledger_unlock(l);
    if (number)
        remote_cancel(l->core->remote, number);
}
