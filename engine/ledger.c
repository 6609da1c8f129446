/* The state of a ledger and who is told of it: records go in here, from
 * whatever side they came, and changes go out.
 *
 *     listing, events, answers --records--> fold --changes--> news --> owner
 *
 * News is told by one thread at a time, whichever came first; the others leave
 * theirs in the list and go on. So the order of what the owner hears is the
 * order in which it became so, and nobody waits for a callback. */
#include "engine/ledger.h"

#include <assert.h>
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "engine/checkpoint.h"
#include "engine/ledger_impl.h"
#include "engine/text.h"
#include "engine/vacuum_mark.h"

static uint64_t big_hash(const void *item)
{
    return hash_u64(((const struct big *)item)->record.file);
}

static bool big_has(const void *item, const void *key)
{
    return ((const struct big *)item)->record.file == *(const uint64_t *)key;
}

/* keeper, damage and other begin with their id. */
static uint64_t id_hash(const void *item)
{
    return hash_u64(*(const uint64_t *)item);
}

static bool id_has(const void *item, const void *key)
{
    return *(const uint64_t *)item == *(const uint64_t *)key;
}

static const struct map_type big_type = {big_hash, big_has};
static const struct map_type id_type = {id_hash, id_has};

struct ledger *ledger_new(const struct ledger_options *o)
{
    struct ledger *l = xcalloc(1, sizeof(*l));

    l->core = o->core;
    l->channel = o->channel;
    l->thread = o->thread;
    l->owner = o->owner;
    l->arg = o->arg;
    l->label = xstrdup(o->label);
    atomic_init(&l->refs, 1);
    atomic_init(&l->max_file, o->max_file);
    pthread_mutex_init(&l->lock, NULL);
    l->bigs = MAP_INIT(&big_type);
    l->keepers = MAP_INIT(&id_type);
    l->damage = MAP_INIT(&id_type);
    l->others = MAP_INIT(&id_type);
    l->foreign = MAP_INIT(&id_type);
    l->lost = MAP_INIT(&id_type);
    l->safe = MAP_INIT(&id_type);
    l->stale = MAP_INIT(&id_type);
    l->checkpoints = checkpoints_new();
    l->held_last = &l->held;
    l->news_last = &l->news;
    l->queue.last = &l->queue.first;
    return l;
}

struct ledger *ledger_ref(struct ledger *l)
{
    atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
    return l;
}

static void free_items(struct map *m)
{
    void *item;

    for (size_t at = 0; (item = map_next(m, &at));)
        free(item);
    map_release(m);
}

static void free_damage(struct ledger *l)
{
    struct damage *d;

    for (size_t at = 0; (d = map_next(&l->damage, &at));)
        free(d->text);
    free_items(&l->damage);
}

/* What a listing brings anew. */
static void forget_all(struct ledger *l)
{
    fold_free(l->fold);
    fold_free(l->next);
    l->fold = l->next = NULL;
    free_items(&l->bigs);
    free_items(&l->keepers);
    free_items(&l->others);
    free_items(&l->foreign);
    free_items(&l->lost);
    free_items(&l->safe);
    free_damage(l);
    settle_forget_all_locked(l);
    checkpoints_forget_locked(l);
    l->mtime_ms = 0;
}

void ledger_unref(struct ledger *l)
{
    if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
        return;

    assert(!l->queue.first && !l->group && !l->news && !l->openers);
    forget_all(l);
    while (l->held) {
        struct held *next = l->held->next;
        held_free(l->held);
        l->held = next;
    }
    ledger_free_rules(l);
    map_release(&l->stale);
    checkpoints_free(l->checkpoints);
    pthread_mutex_destroy(&l->lock);
    free(l->label);
    if (l->owner->free)
        l->owner->free(l->arg);
    free(l);
}

void ledger_set_label(struct ledger *l, const char *label)
{
    ledger_lock(l);
    free(l->label);
    l->label = xstrdup(label);
    ledger_unlock(l);
}

char *ledger_label(struct ledger *l)
{
    ledger_lock(l);
    char *label = xstrdup(l->label);
    ledger_unlock(l);
    return label;
}

void ledger_set_max_file(struct ledger *l, uint64_t max_file)
{
    atomic_store(&l->max_file, max_file);
}

uint64_t ledger_id(const struct ledger *l)
{
    return l->channel;
}

const struct core *ledger_core(const struct ledger *l)
{
    return l->core;
}

bool ledger_is_open(struct ledger *l)
{
    ledger_lock(l);
    bool open = l->state == LEDGER_OPEN;
    ledger_unlock(l);
    return open;
}

bool ledger_is_gone(struct ledger *l)
{
    ledger_lock(l);
    bool gone = l->state == LEDGER_GONE;
    ledger_unlock(l);
    return gone;
}

void ledger_gone(struct ledger *l)
{
    ledger_lock(l);
    bool first = l->state != LEDGER_GONE;
    if (first) {
        l->state = LEDGER_GONE;
        queue_fail_all_locked(l, -ENOENT, "is gone");
        if (l->openers) {
            struct news *n = ledger_news_locked(l);
            n->openers = l->openers;
            n->r = err_set(&n->err, -ENOENT, "%s is gone", l->label);
            l->openers = NULL;
        }
        settle_forget_all_locked(l);
    }
    ledger_unlock(l);
    if (first)
        ledger_deliver(l);
}

int ledger_freeze(struct ledger *l, struct err *err)
{
    int r = 0;

    ledger_lock(l);
    if (l->state != LEDGER_OPEN)
        r = err_set(err, -ENOENT, "%s is gone", l->label);
    else if (fold_count(l->fold) > 0)
        r = err_set(err, -ENOTEMPTY, "it has %zu rows", fold_count(l->fold));
    else if (l->queue.n > 0 || l->group)
        r = err_set(err, -ENOTEMPTY, "rows are just being written");
    else
        l->frozen = true;
    ledger_unlock(l);
    return r;
}

void ledger_thaw(struct ledger *l)
{
    ledger_lock(l);
    l->frozen = false;
    ledger_unlock(l);
}

/* --- rows ------------------------------------------------------------------
 */

struct row *ledger_find(struct ledger *l, const char *key, size_t key_len)
{
    struct row *r = NULL;

    ledger_lock(l);
    if (l->state == LEDGER_OPEN)
        r = fold_find(l->fold, key, key_len);
    if (r)
        row_ref(r);
    ledger_unlock(l);
    return r;
}

struct row *ledger_head(struct ledger *l, const char *key, size_t key_len)
{
    struct row *r = NULL;

    ledger_lock(l);
    if (l->state == LEDGER_OPEN)
        r = fold_head(l->fold, key, key_len);
    if (r)
        row_ref(r);
    ledger_unlock(l);
    return r;
}

size_t ledger_list(struct ledger *l, uint64_t after, struct row **out, size_t n)
{
    ledger_lock(l);
    size_t got =
        l->state == LEDGER_OPEN ? fold_list(l->fold, after, out, n) : 0;
    ledger_unlock(l);
    return got;
}

size_t ledger_count(struct ledger *l)
{
    ledger_lock(l);
    size_t n = l->state == LEDGER_OPEN ? fold_count(l->fold) : 0;
    ledger_unlock(l);
    return n;
}

int64_t ledger_mtime_ms(struct ledger *l)
{
    ledger_lock(l);
    int64_t ms = l->mtime_ms;
    ledger_unlock(l);
    return ms;
}

const struct big *ledger_big_locked(const struct ledger *l, uint64_t file)
{
    return map_get(&l->bigs, hash_u64(file), &file);
}

bool ledger_has_text(struct ledger *l, const struct row *r, const char *text,
                     size_t len)
{
    if (r->text_len != len + 1)
        return false;
    if (r->has_text)
        return memcmp(row_text(r), text, len) == 0;
    ledger_lock(l);
    const struct big *big = ledger_big_locked(l, r->file);
    ledger_unlock(l);
    return big && record_check_file(&big->record, text, len, NULL) == 0;
}

int ledger_load_text(struct ledger *l, struct row *r, struct text **out,
                     text_loaded *done, void *arg)
{
    if (r->has_text) {
        *out = text_new(row_text(r), r->text_len);
        return 0;
    }
    ledger_lock(l);
    const struct big *big = ledger_big_locked(l, r->file);
    ledger_unlock(l);
    /* The fold has the attachment from a record, which is kept: nothing is
     * forgotten once a ledger is open, and before nobody has rows of it. */
    assert(big);
    return text_load(l->core->texts, ledger_channel(l, big->place),
                     &big->record, out, done, arg);
}

/* --- news ------------------------------------------------------------------
 */

struct news *ledger_news_locked(struct ledger *l)
{
    struct news *n = xcalloc(1, sizeof(*n));

    *l->news_last = n;
    l->news_last = &n->next;
    return n;
}

void ledger_tell_locked(struct ledger *l, struct changes *c)
{
    if (c->n == 0) {
        free(c->list);
    } else {
        struct news *n = ledger_news_locked(l);
        n->changes = c->list;
        n->n_changes = c->n;
    }
    *c = (struct changes){0};
}

static void tell(struct ledger *l, struct news *n)
{
    if (n->n_changes > 0 && l->owner->changed)
        l->owner->changed(l->arg, n->changes, n->n_changes);
    for (size_t i = 0; i < n->n_changes; i++) {
        row_unref(n->changes[i].old);
        row_unref(n->changes[i].now);
        row_unref(n->changes[i].voided);
    }
    free(n->changes);

    while (n->openers) {
        struct opener *o = n->openers;
        n->openers = o->next;
        o->done(o->arg, n->r, &n->err);
        free(o);
    }

    struct err none = ERR_INIT;
    while (n->answers) {
        struct pending *p = n->answers;
        n->answers = p->next;
        p->done(p->arg, p->r, p->row, p->err ? p->err : &none);
        core_count(l->core, &l->core->writes, -1);
        text_unref(p->text);
        free(p->err);
        free(p);
    }
    free(n);
}

void ledger_deliver(struct ledger *l)
{
    ledger_lock(l);
    bool reload = l->reload_due && l->state == LEDGER_OPEN;
    if (reload) {
        l->reload_due = false;
        ledger_unlock(l);
        ledger_reload(l);
        ledger_lock(l);
    }
    if (l->delivering || !l->news) {
        ledger_unlock(l);
        return;
    }
    l->delivering = true;
    while (l->news) {
        struct news *n = l->news;
        l->news = n->next;
        if (!l->news)
            l->news_last = &l->news;
        /* Who is told that it is open may ask how far it is complete. */
        if (!l->news && n->n_changes == 0)
            ledger_note_told_locked(l);
        ledger_unlock(l);
        tell(l, n);
        ledger_lock(l);
    }
    l->delivering = false;
    ledger_note_told_locked(l);
    ledger_unlock(l);
}

/* --- what messages say -----------------------------------------------------
 */

int ledger_place(const struct ledger *l, uint64_t channel)
{
    return channel == l->channel ? IN_CHANNEL : IN_THREAD;
}

uint64_t ledger_channel(const struct ledger *l, int place)
{
    return place == IN_CHANNEL ? l->channel : l->thread;
}

void remote_message_copy(struct remote_message *to,
                         const struct remote_message *from)
{
    *to = *from;
    to->content = xmalloc(from->content_len + 1);
    memcpy(to->content, from->content, from->content_len);
    to->content[from->content_len] = '\0';
    to->files =
        from->n_files ? xcalloc(from->n_files, sizeof(*to->files)) : NULL;
    for (size_t i = 0; i < from->n_files; i++) {
        to->files[i] = from->files[i];
        to->files[i].name =
            from->files[i].name ? xstrdup(from->files[i].name) : NULL;
        to->files[i].url =
            from->files[i].url ? xstrdup(from->files[i].url) : NULL;
    }
}

void ledger_note_own_locked(struct recent *r, uint64_t message)
{
    r->id[r->n++ % RECENT] = message;
}

bool ledger_is_own_locked(const struct recent *r, uint64_t message)
{
    for (size_t i = 0; i < RECENT; i++)
        if (r->id[i] == message)
            return true;
    return false;
}

void ledger_note_damage_locked(struct ledger *l, uint64_t message,
                               const char *text)
{
    struct damage *d = map_get(&l->damage, hash_u64(message), &message);
    char *copy = xstrdup(text);

    if (d && strcmp(d->text, copy) == 0) {
        free(copy);
        return;
    }
    log_error("%s: %s", l->label, copy);
    if (!d) {
        d = xcalloc(1, sizeof(*d));
        d->message = message;
        map_put(&l->damage, &d->message, d);
    }
    free(d->text);
    d->text = copy;
}

void ledger_forget_damage_locked(struct ledger *l, uint64_t message)
{
    struct damage *d = map_remove(&l->damage, hash_u64(message), &message);

    if (d)
        free(d->text);
    free(d);
}

static void note_id(struct map *m, uint64_t id)
{
    if (map_get(m, hash_u64(id), &id))
        return;
    uint64_t *item = xmalloc(sizeof(*item));
    *item = id;
    map_put(m, item, item);
}

void ledger_note_lost_locked(struct ledger *l, uint64_t home)
{
    note_id(&l->lost, home);
}

bool ledger_is_only_home_locked(const struct ledger *l, const struct row *r)
{
    if (!l->thread || !r->home)
        return false;
    if (r->id == r->home)
        return true;
    /* Its own message is lost, and what is there now a copy? */
    return (r->holder == r->home ||
            map_get(&l->lost, hash_u64(r->id), &r->id)) &&
           !map_get(&l->safe, hash_u64(r->id), &r->id);
}

bool ledger_wants_locked(struct ledger *l, const struct remote_message *m)
{
    if (m->author_id == l->core->self && m->type == 0 && message_is_ours(m)) {
        uint64_t upto, from;
        if (vacuum_mark_parse(m, &upto, &from) && upto > l->vacuumed)
            l->vacuumed = upto;
        return true;
    }
    /* The card and the store's own remarks (a thread was started) are not
     * what somebody wrote here. */
    if (m->type == 0 && m->author_id != l->core->self)
        note_id(&l->foreign, m->id);
    return false;
}

static void note_big(struct ledger *l, int place, const struct record *r)
{
    if (map_get(&l->bigs, hash_u64(r->file), &r->file))
        return;

    struct big *b =
        xmalloc(sizeof(*b) + r->key_len + r->by_len + r->file_name_len);
    char *s = b->data;
    b->record = *r;
    b->place = place;
    b->record.text = NULL;
    b->record.key = memcpy(s, r->key, r->key_len);
    s += r->key_len;
    b->record.by = s;
    if (r->by_len)
        memcpy(s, r->by, r->by_len);
    s += r->by_len;
    b->record.file_name = s;
    if (r->file_name_len)
        memcpy(s, r->file_name, r->file_name_len);
    map_put(&l->bigs, &b->record.file, b);
}

struct keeper *ledger_keeper_locked(const struct ledger *l, uint64_t home)
{
    return map_get(&l->keepers, hash_u64(home), &home);
}

static void note_keeper(struct ledger *l, uint64_t home, uint64_t file,
                        uint64_t shows)
{
    struct keeper *k = ledger_keeper_locked(l, home);

    if (!file) {
        free(map_remove(&l->keepers, hash_u64(home), &home));
        return;
    }
    if (!k) {
        k = xcalloc(1, sizeof(*k));
        k->home = home;
        map_put(&l->keepers, &k->home, k);
    }
    k->file = file;
    k->shows = shows;
}

/* Is the row message of this key as it should be? */
static void look_at_home(struct ledger *l, const char *key, size_t key_len,
                         uint64_t home, uint64_t shows, bool local)
{
    const struct row *head = fold_head(l->fold, key, key_len);

    if (l->state != LEDGER_OPEN || !home)
        return;
    if (head && head->home == home && head->id == shows && !head->deleted)
        settle_forget_locked(l, home);
    else
        settle_need_locked(l, key, key_len, home,
                           local ? SETTLE_SOON : SETTLE_LATER);
}

static void gather(struct changes *out, const struct fold_change *c, bool local)
{
    if (out->n == out->cap) {
        out->cap = out->cap ? out->cap * 2 : 1;
        out->list = xrealloc(out->list, out->cap * sizeof(*out->list));
    }
    out->list[out->n++] =
        (struct ledger_change){c->old, c->now, c->voided, local};
}

static bool is_live(const struct row *r)
{
    return r && !r->deleted;
}

/* The head of a key changed: the set of rows, the home it now misses. */
static void note_change(struct ledger *l, const struct fold_change *c,
                        bool local)
{
    if (is_live(c->old) != is_live(c->now) && c->now->at_ms > l->mtime_ms)
        l->mtime_ms = c->now->at_ms;
    if (l->state != LEDGER_OPEN)
        return;

    uint64_t home = c->now->home;
    if (!home && c->voided)
        home = c->voided->home;
    look_at_home(l, row_key(c->now), c->now->key_len, home, 0, local);
}

void ledger_changed_locked(struct ledger *l, struct fold_changes *changes,
                           uint64_t own, struct changes *out)
{
    for (size_t i = 0; i < changes->n; i++) {
        struct fold_change *c = &changes->list[i];
        bool local = own && c->now->id == own;
        note_change(l, c, local);
        if (out) {
            gather(out, c, local);
            *c = (struct fold_change){0};
        }
    }
    fold_changes_release(changes);
}

/* A loading has no rows yet that could tell of changes. */
static void note_time(struct ledger *l, const struct record *r)
{
    if ((r->version == 1 || r->verb == RECORD_DELETE) && r->at_ms > l->mtime_ms)
        l->mtime_ms = r->at_ms;
}

/* Told by its row's message first, and now in the thread. */
static void note_safe(struct ledger *l, const struct record *r)
{
    const struct row *head = fold_head(l->fold, r->key, r->key_len);

    if (head && head->id == r->id && head->holder != r->holder)
        note_id(&l->safe, r->id);
}

/* What its records say but for the rows: where texts and homes are. */
static void note_places(struct ledger *l, int place, struct records *rs)
{
    bool in_rows = place == IN_CHANNEL && l->thread != 0;
    bool has_home = false;
    uint64_t file = 0, message = rs->n > 0 ? rs->list[0].holder : 0;

    for (size_t i = 0; i < rs->n; i++) {
        struct record *r = &rs->list[i];
        r->home = in_rows && r->alone ? r->holder : 0;
        has_home |= r->home != 0;
        if (!r->file)
            continue;
        note_big(l, place, r);
        file = r->file;
    }
    for (size_t i = 0; i < rs->n; i++)
        if (rs->list[i].home)
            note_keeper(l, message, file, rs->list[i].id);
    if (in_rows && !has_home)
        note_id(&l->others, message);
}

void ledger_collect_locked(struct ledger *l, int place, struct records *rs)
{
    note_places(l, place, rs);
    if (l->next)
        fold_load_add(l->next, rs->list, rs->n);
}

/* An opening without a newer snapshot would have to list it. */
static void count_message(struct ledger *l, int place, uint64_t message,
                          const struct records *rs)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < rs->n; i++)
        bytes += rs->list[i].text_len;
    checkpoint_count_locked(l, place, message, bytes);
}

void ledger_apply_locked(struct ledger *l, int place,
                         const struct remote_message *m, struct records *rs,
                         bool local, enum fold_result *results,
                         struct row **rows, struct changes *out)
{
    struct fold_changes changes = {0};

    if (m->id > l->newest[place])
        l->newest[place] = m->id;
    note_places(l, place, rs);
    ledger_forget_damage_locked(l, m->id);
    count_message(l, place, m->id, rs);
    if (l->next)
        fold_load_add(l->next, rs->list, rs->n);
    if (fold_is_loading(l->fold)) {
        fold_load_add(l->fold, rs->list, rs->n);
        for (size_t i = 0; i < rs->n; i++)
            note_time(l, &rs->list[i]);
        return;
    }

    enum fold_result *said = results ? results : xcalloc(rs->n, sizeof(*said));
    fold_apply(l->fold, rs->list, rs->n, said, rows, &changes);
    ledger_changed_locked(l, &changes, local ? m->id : 0, out);
    for (size_t i = 0; i < rs->n; i++) {
        const struct record *r = &rs->list[i];
        if (said[i] == FOLD_LATE)
            l->reload_due = true;
        if (said[i] != FOLD_KNOWN)
            checkpoint_late_locked(l, r->id);
        if (said[i] == FOLD_KNOWN && place == IN_THREAD)
            note_safe(l, r);
        if (r->home)
            look_at_home(l, r->key, r->key_len, r->home, r->id, local);
    }
    if (said != results)
        free(said);
}

void ledger_note_big_locked(struct ledger *l, int place, const struct record *r)
{
    note_big(l, place, r);
}

void ledger_note_keeper_locked(struct ledger *l, uint64_t home, uint64_t file,
                               uint64_t shows)
{
    note_keeper(l, home, file, shows);
}

void ledger_note_other_locked(struct ledger *l, uint64_t message)
{
    note_id(&l->others, message);
}

void ledger_note_foreign_locked(struct ledger *l, uint64_t message)
{
    note_id(&l->foreign, message);
}

void ledger_forget_locked(struct ledger *l)
{
    forget_all(l);
}

/* --- status ----------------------------------------------------------------
 */

void ledger_stats(struct ledger *l, struct ledger_stats *out)
{
    *out = (struct ledger_stats){0};
    ledger_lock(l);
    out->open = l->state == LEDGER_OPEN;
    out->opening = l->state == LEDGER_OPENING;
    if (out->open) {
        out->rows = fold_count(l->fold);
        out->bytes = fold_bytes(l->fold);
        out->pending = fold_pending(l->fold);
    }
    out->ignored = l->foreign.count;
    out->damaged = l->damage.count;
    out->queued = l->queue.n;
    out->committing = l->group != NULL;
    out->stale = l->stale.count;
    out->reposted = l->reposted;
    ledger_unlock(l);
}

size_t ledger_damage(struct ledger *l, char **out, size_t n)
{
    size_t got = 0;
    struct damage *d;

    ledger_lock(l);
    for (size_t at = 0; got < n && (d = map_next(&l->damage, &at));)
        out[got++] = xstrdup(d->text);
    ledger_unlock(l);
    return got;
}
