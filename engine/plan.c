#include "engine/plan.h"

#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/text.h"

/* A key as the group has made it so far. */
struct key_state {
    const char *key;
    size_t key_len;
    uint32_t version; /* 0: there never was one */
    uint64_t base;    /* for the next record */
    bool live;
    const char *text; /* NULL: not in memory; without a newline at its end */
    size_t text_len;
    struct row *row; /* as it stands in the fold; NULL: the group changed it */
};

struct name {
    const char *key;
    size_t key_len;
};

static bool same(const char *a, size_t a_len, const struct name *b)
{
    return a_len == b->key_len && memcmp(a, b->key, a_len) == 0;
}

static uint64_t state_hash(const void *item)
{
    const struct key_state *s = item;
    return hash_bytes(s->key, s->key_len);
}

static bool state_has(const void *item, const void *key)
{
    const struct key_state *s = item;
    return same(s->key, s->key_len, key);
}

static uint64_t name_hash(const void *item)
{
    const struct name *n = item;
    return hash_bytes(n->key, n->key_len);
}

static bool name_has(const void *item, const void *key)
{
    const struct name *n = item;
    return same(n->key, n->key_len, key);
}

static const struct map_type state_type = {state_hash, state_has};
static const struct map_type name_type = {name_hash, name_has};

void plan_init(struct plan *pl, struct ledger *l, bool inserts_only)
{
    *pl = (struct plan){.l = l, .inserts_only = inserts_only};
    pl->at_ms = clock_wall_ms();
    pl->keys = MAP_INIT(&state_type);
    pl->deferred = MAP_INIT(&name_type);
}

static void free_items(struct map *m)
{
    void *item;

    for (size_t at = 0; (item = map_next(m, &at));)
        free(item);
    map_release(m);
}

void plan_end(struct plan *pl)
{
    free_items(&pl->keys);
    free_items(&pl->deferred);
}

void plan_release(struct plan *pl)
{
    plan_end(pl);
    message_builder_release(&pl->builder);
    for (size_t i = 0; i < pl->n_rows; i++)
        row_unref(pl->rows[i]);
    free(pl->rows);
    for (size_t i = 0; i < pl->n_bufs; i++)
        buf_release(&pl->bufs[i]);
    free(pl->bufs);
    *pl = (struct plan){0};
}

void pending_refuse(struct pending *p, int r, const char *fmt, ...)
{
    va_list ap;
    AUTO_BUF struct buf b = BUF_INIT;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    free(p->err);
    p->err = xcalloc(1, sizeof(*p->err));
    p->r = err_set(p->err, r, "%s", b.data);
}

static int shown_len(size_t len)
{
    return len > 120 ? 120 : (int)len;
}

/* --- keys ------------------------------------------------------------------
 */

static struct key_state look(const struct plan *pl, const char *key, size_t len)
{
    struct name name = {key, len};
    const struct key_state *known =
        map_get(&pl->keys, hash_bytes(key, len), &name);
    if (known)
        return *known;

    struct row *head = fold_head(pl->l->fold, key, len);
    struct key_state s = {.key = key, .key_len = len, .row = head};
    if (head) {
        s.version = head->version;
        s.base = head->id;
        s.live = !head->deleted;
        if (s.live && head->has_text) {
            s.text = row_text(head);
            s.text_len = head->text_len - 1;
        }
    }
    return s;
}

static void set_state(struct plan *pl, const struct record *r)
{
    struct name name = {r->key, r->key_len};
    struct key_state *s =
        map_get(&pl->keys, hash_bytes(r->key, r->key_len), &name);

    if (!s) {
        s = xcalloc(1, sizeof(*s));
        s->key = r->key;
        s->key_len = r->key_len;
        map_put(&pl->keys, &name, s);
    }
    s->version = r->version;
    s->base = RECORD_SELF;
    s->live = r->verb == RECORD_PUT;
    s->text = r->text;
    s->text_len = r->text_len;
    s->row = NULL;
}

static bool is_deferred(const struct plan *pl, const char *key, size_t len)
{
    struct name name = {key, len};
    return map_get(&pl->deferred, hash_bytes(key, len), &name) != NULL;
}

static void defer_key(struct plan *pl, const char *key, size_t len)
{
    if (is_deferred(pl, key, len))
        return;
    struct name *n = xmalloc(sizeof(*n));
    *n = (struct name){key, len};
    map_put(&pl->deferred, n, n);
}

/* What comes behind must not overtake it. */
static enum plan_result defer(struct plan *pl, const struct pending *p,
                              enum plan_result how)
{
    defer_key(pl, p->w.key, p->w.key_len);
    if (p->w.kind == WRITE_RENAME)
        defer_key(pl, p->w.to, p->w.to_len);
    return how;
}

/* --- records ---------------------------------------------------------------
 */

static void hold_row(struct plan *pl, struct row *r)
{
    if (pl->n_rows == pl->cap_rows) {
        pl->cap_rows = pl->cap_rows ? pl->cap_rows * 2 : 8;
        pl->rows = xrealloc(pl->rows, pl->cap_rows * sizeof(*pl->rows));
    }
    pl->rows[pl->n_rows++] = row_ref(r);
}

static void add(struct plan *pl, const struct record *r)
{
    message_add(&pl->builder, r);
    pl->bytes += batch_line_len(r);
}

/* The version replaced goes with the record where it stands nowhere but in the
 * row's own message: that one is edited soon. One whose text hangs on it as a
 * file stays there. */
static void add_was(struct plan *pl, struct row *r)
{
    if (!r || !r->has_text || !ledger_is_only_home_locked(pl->l, r))
        return;
    hold_row(pl, r);
    struct record was = {
        .verb = RECORD_WAS,
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
        .text_len = r->text_len - 1,
        .copy = true,
    };
    add(pl, &was);
}

/* The record that makes key what the write wants; joined to the one before it.
 */
static void add_record(struct plan *pl, const struct pending *p,
                       const struct key_state *s, enum record_verb verb,
                       const char *text, size_t text_len, bool joined)
{
    const char *by = p->w.by ? p->w.by : pl->l->core->by;
    struct record r = {
        .verb = verb,
        .version = s->version + 1,
        .base = s->base,
        .at_ms = pl->at_ms,
        .mtime_ms = p->w.mtime_ms ? p->w.mtime_ms : pl->at_ms,
        .key = s->key,
        .key_len = s->key_len,
        .by = by,
        .by_len = strlen(by),
        .text = text,
        .text_len = text_len,
        .joined = joined,
    };

    add(pl, &r);
    set_state(pl, &r);
}

/* The same alone, and what must go with it. */
static void add_change(struct plan *pl, const struct pending *p,
                       const struct key_state *s, enum record_verb verb,
                       const char *text, size_t text_len)
{
    add_record(pl, p, s, verb, text, text_len, false);
    if (s->live)
        add_was(pl, s->row);
}

/* --- writes ----------------------------------------------------------------
 */

static bool version_fits(struct pending *p, const struct key_state *s)
{
    if (!p->w.if_version || (s->live && p->w.if_version == s->version))
        return true;
    if (s->live)
        pending_refuse(p, -ESTALE, "'%.*s' is at version %u, not %u",
                       shown_len(s->key_len), s->key, s->version,
                       p->w.if_version);
    else
        pending_refuse(p, -ESTALE, "'%.*s' is not there, so not at version %u",
                       shown_len(s->key_len), s->key, p->w.if_version);
    return false;
}

static void refuse_taken(struct pending *p, const struct key_state *s)
{
    pending_refuse(p, -EEXIST, "'%.*s' is there already, at version %u",
                   shown_len(s->key_len), s->key, s->version);
}

static void refuse_missing(struct pending *p)
{
    pending_refuse(p, -ENOENT, "there is no '%.*s'", shown_len(p->w.key_len),
                   p->w.key);
}

static enum plan_result plan_put(struct plan *pl, struct pending *p)
{
    struct key_state s = look(pl, p->w.key, p->w.key_len);

    if (p->w.must_be_new && s.live) {
        refuse_taken(p, &s);
        return PLAN_REFUSED;
    }
    if (p->w.must_exist && !s.live) {
        refuse_missing(p);
        return PLAN_REFUSED;
    }
    if (!version_fits(p, &s))
        return PLAN_REFUSED;
    if (pl->inserts_only && s.live)
        return defer(pl, p, PLAN_LATER);
    p->record = pl->builder.n;
    add_change(pl, p, &s, RECORD_PUT, p->w.text, p->w.text_len);
    return PLAN_TAKEN;
}

static enum plan_result plan_delete(struct plan *pl, struct pending *p)
{
    struct key_state s = look(pl, p->w.key, p->w.key_len);

    if (!s.live) {
        refuse_missing(p);
        return PLAN_REFUSED;
    }
    if (!version_fits(p, &s))
        return PLAN_REFUSED;
    if (pl->inserts_only)
        return defer(pl, p, PLAN_LATER);
    p->record = pl->builder.n;
    add_change(pl, p, &s, RECORD_DELETE, NULL, 0);
    return PLAN_TAKEN;
}

/* The row's own text, wherever it is. False: it must be fetched. */
static bool text_to_move(struct plan *pl, struct pending *p,
                         const struct key_state *s, const char **text,
                         size_t *len)
{
    *text = s->text;
    *len = s->text_len;
    if (*text)
        return true;
    if (!p->text || p->text_of != s->row->id) {
        text_unref(p->text);
        p->text = text_find(pl->l->core->texts, s->row->file);
        p->text_of = s->row->id;
    }
    if (!p->text)
        return false;
    *text = p->text->data;
    *len = p->text->len - 1;
    return true;
}

static enum plan_result plan_rename(struct plan *pl, struct pending *p)
{
    struct key_state from = look(pl, p->w.key, p->w.key_len);
    struct key_state to = look(pl, p->w.to, p->w.to_len);
    const char *text = p->w.text;
    size_t len = p->w.text_len;

    if (!from.live) {
        refuse_missing(p);
        return PLAN_REFUSED;
    }
    if (p->w.must_be_new && to.live) {
        refuse_taken(p, &to);
        return PLAN_REFUSED;
    }
    if (!version_fits(p, &from))
        return PLAN_REFUSED;
    if (pl->inserts_only)
        return defer(pl, p, PLAN_LATER);

    if (!text) {
        if (!text_to_move(pl, p, &from, &text, &len))
            return defer(pl, p, PLAN_FETCH);
        struct buf rekeyed = BUF_INIT;
        struct err err = ERR_INIT;
        int r = pl->l->owner->rekey(pl->l->arg, p->w.to, p->w.to_len, text, len,
                                    &rekeyed, &err);
        if (r < 0) {
            buf_release(&rekeyed);
            pending_refuse(p, r, "%s", err_text(&err, r));
            return PLAN_REFUSED;
        }
        pl->bufs = xrealloc(pl->bufs, (pl->n_bufs + 1) * sizeof(*pl->bufs));
        pl->bufs[pl->n_bufs++] = rekeyed;
        text = rekeyed.data;
        len = rekeyed.len;
        if (len > 0 && text[len - 1] == '\n')
            len--;
    }
    if (from.row)
        hold_row(pl, from.row);
    /* Somebody may be about to change either row: then neither happens. */
    add_record(pl, p, &from, RECORD_DELETE, NULL, 0, false);
    p->record = pl->builder.n;
    add_record(pl, p, &to, RECORD_PUT, text, len, true);
    add_was(pl, from.row);
    if (to.live)
        add_was(pl, to.row);
    return PLAN_TAKEN;
}

/* Of a text as a line of a batch: quotes and line breaks may be escaped. */
static size_t text_room(const struct key_state *s)
{
    return s->text ? 2 * s->text_len : s->row && s->live ? s->row->text_len : 0;
}

size_t plan_room(const struct plan *pl, const struct pending *p)
{
    struct key_state s = look(pl, p->w.key, p->w.key_len);
    size_t room = 2 * p->w.text_len + (s.live ? text_room(&s) : 0);

    if (p->w.kind == WRITE_RENAME) {
        struct key_state to = look(pl, p->w.to, p->w.to_len);
        room += to.live ? text_room(&to) : 0;
        if (!p->w.text)
            room += text_room(&s) + 6 * p->w.to_len;
    }
    return room + 12 * (p->w.key_len + p->w.to_len) + 2048;
}

enum plan_result plan_write_locked(struct plan *pl, struct pending *p)
{
    if (is_deferred(pl, p->w.key, p->w.key_len) ||
        (p->w.kind == WRITE_RENAME && is_deferred(pl, p->w.to, p->w.to_len)))
        return defer(pl, p, PLAN_LATER);
    if (p->fetching)
        return defer(pl, p, PLAN_LATER);

    switch (p->w.kind) {
    case WRITE_PUT:
        return plan_put(pl, p);
    case WRITE_DELETE:
        return plan_delete(pl, p);
    case WRITE_RENAME:
        return plan_rename(pl, p);
    }
    return PLAN_LATER;
}
