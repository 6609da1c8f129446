#include "engine/plan.h"

#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/text.h"
#include "engine/value.h"

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

/* A value of a field that is unique: "field", NUL, its canonical form. */
struct claim {
    struct name key; /* the row that has it; where it still does */
    size_t len;
    char value[];
};

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

static uint64_t claim_hash(const void *item)
{
    const struct claim *c = item;
    return hash_bytes(c->value, c->len);
}

static bool claim_has(const void *item, const void *key)
{
    const struct claim *c = item;
    const struct buf *b = key;
    return c->len == b->len && memcmp(c->value, b->data, b->len) == 0;
}

static const struct map_type state_type = {state_hash, state_has};
static const struct map_type name_type = {name_hash, name_has};
static const struct map_type claim_type = {claim_hash, claim_has};

void plan_init(struct plan *pl, struct ledger *l, bool inserts_only)
{
    *pl = (struct plan){.l = l, .inserts_only = inserts_only};
    pl->at_ms = clock_wall_ms();
    pl->keys = MAP_INIT(&state_type);
    pl->deferred = MAP_INIT(&name_type);
    pl->values = MAP_INIT(&claim_type);
    pl->awaited = MAP_INIT(&claim_type);
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
    free_items(&pl->values);
    free_items(&pl->awaited);
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

/* --- unique values ----------------------------------------------------------
 */

/* The next field that is unique and has a value in text, from rule *at on.
 * NULL at the end; *claim is what it is known by in the maps. */
static const char *next_unique(const struct plan *pl, size_t *at,
                               const char *text, size_t len, struct buf *claim)
{
    const char *field;
    bool unique;

    while ((field = fold_rule_at(pl->l->fold, *at, &unique))) {
        ++*at;
        if (!unique)
            continue;
        buf_reset(claim);
        buf_addstr(claim, field);
        buf_addc(claim, '\0');
        size_t start = claim->len;
        if (value_find(text, len, field, claim) &&
            strcmp(claim->data + start, VALUE_NULL) != 0)
            return field;
    }
    return NULL;
}

static void claim_value(struct map *m, const struct buf *claim, struct name key)
{
    struct claim *c = xmalloc(sizeof(*c) + claim->len);

    c->key = key;
    c->len = claim->len;
    memcpy(c->value, claim->data, claim->len);
    free(map_put(m, claim, c));
}

static void claim_values(struct plan *pl, struct map *m, struct name key,
                         const char *text, size_t len)
{
    AUTO_BUF struct buf claim = BUF_INIT;

    for (size_t at = 0; next_unique(pl, &at, text, len, &claim);)
        claim_value(m, &claim, key);
}

/* Is this the value that the group has given to the row? */
static bool still_has(const struct plan *pl, const struct claim *c,
                      const char *field)
{
    struct key_state s = look(pl, c->key.key, c->key.key_len);
    AUTO_BUF struct buf form = BUF_INIT;
    size_t skip = strlen(field) + 1;

    return s.live && s.text && value_find(s.text, s.text_len, field, &form) &&
           buf_equals(&form, c->value + skip, c->len - skip);
}

static bool changed_by_group(const struct plan *pl, const struct row *r)
{
    struct name name = {row_key(r), r->key_len};
    return map_get(&pl->keys, hash_bytes(name.key, name.key_len), &name);
}

static void refuse_value(struct pending *p, const char *field, const char *text,
                         size_t len, const char *key, size_t key_len)
{
    struct json_member m = {.value = "", .value_len = 0};

    value_at(text, len, field, &m);
    pending_refuse(p, -EEXIST,
                   "%s is unique, and '%.*s' has the value %.*s already", field,
                   shown_len(key_len), key, shown_len(m.value_len), m.value);
}

void plan_refuse_value(const struct ledger *l, struct pending *p,
                       const struct record *r)
{
    const char *field = NULL;
    const struct row *has = fold_taken(l->fold, r->key, r->key_len, r->text,
                                       r->text_len, NULL, &field);

    if (has)
        refuse_value(p, field, r->text, r->text_len, row_key(has),
                     has->key_len);
    else
        pending_refuse(p, -EEXIST,
                       "another process wrote the value of a unique field of "
                       "'%.*s' at the same time",
                       shown_len(r->key_len), r->key);
}

/* May the row `to` have this text, when row `from` (the same where it does not
 * move) is gone? What waits before it has the first say. */
static enum plan_result check_unique(struct plan *pl, struct pending *p,
                                     struct name from, struct name to,
                                     const char *text, size_t len)
{
    AUTO_BUF struct buf claim = BUF_INIT;
    const char *field;

    for (size_t at = 0; (field = next_unique(pl, &at, text, len, &claim));) {
        uint64_t hash = hash_bytes(claim.data, claim.len);
        if (map_get(&pl->awaited, hash, &claim))
            return PLAN_LATER;
        const struct claim *c = map_get(&pl->values, hash, &claim);
        if (c && !same(c->key.key, c->key.key_len, &from) &&
            !same(c->key.key, c->key.key_len, &to) && still_has(pl, c, field)) {
            if (is_deferred(pl, c->key.key, c->key.key_len))
                return PLAN_LATER;
            refuse_value(p, field, text, len, c->key.key, c->key.key_len);
            return PLAN_REFUSED;
        }
        size_t skip = strlen(field) + 1;
        struct row *rows[2];
        size_t n = index_find(fold_index(pl->l->fold, field), claim.data + skip,
                              claim.len - skip, 0, rows, 2);
        for (size_t i = 0; i < n; i++) {
            const char *key = row_key(rows[i]);
            size_t key_len = rows[i]->key_len;
            if (same(key, key_len, &from) || same(key, key_len, &to) ||
                changed_by_group(pl, rows[i]))
                continue;
            if (is_deferred(pl, key, key_len))
                return PLAN_LATER;
            refuse_value(p, field, text, len, key, key_len);
            return PLAN_REFUSED;
        }
    }
    return PLAN_TAKEN;
}

/* What comes behind must not overtake it. */
static enum plan_result defer(struct plan *pl, const struct pending *p,
                              enum plan_result how)
{
    struct name key = {p->w.key, p->w.key_len};

    defer_key(pl, p->w.key, p->w.key_len);
    if (p->w.kind == WRITE_RENAME)
        defer_key(pl, p->w.to, p->w.to_len);
    if (p->w.text)
        claim_values(pl, &pl->awaited, key, p->w.text, p->w.text_len);
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
    if (verb == RECORD_PUT)
        claim_values(pl, &pl->values, (struct name){r.key, r.key_len}, text,
                     text_len);
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
    struct name key = {p->w.key, p->w.key_len};
    enum plan_result r =
        check_unique(pl, p, key, key, p->w.text, p->w.text_len);
    if (r == PLAN_LATER)
        return defer(pl, p, r);
    if (r == PLAN_REFUSED)
        return r;
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
    enum plan_result r =
        check_unique(pl, p, (struct name){p->w.key, p->w.key_len},
                     (struct name){p->w.to, p->w.to_len}, text, len);
    if (r == PLAN_LATER)
        return defer(pl, p, r);
    if (r == PLAN_REFUSED)
        return r;
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
