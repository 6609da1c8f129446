/* Snapshots for who asks for them: taken, listed, read, gone back to. How one
 * is made and what it is for is checkpoint.c's. */
#include "engine/snapshot.h"

#include <errno.h>
#include <stdio.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/base/waiter.h"
#include "engine/checkpoint.h"
#include "engine/engine_impl.h"
#include "engine/name.h"
#include "engine/text.h"
#include "engine/value.h"

/* --- names ------------------------------------------------------------------
 */

void snapshot_info_release(struct snapshot_info *i)
{
    free(i->label);
    free(i->by);
    *i = (struct snapshot_info){0};
}

void snapshot_list_release(struct snapshot_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        snapshot_info_release(&l->list[i]);
    free(l->list);
    *l = (struct snapshot_list){0};
}

int snapshot_check_label(const char *label, struct err *err)
{
    uint64_t id;

    int r = name_check("snapshot", label, strlen(label), err);
    if (r == 0 && label[0] == '.')
        r = err_set(err, -EINVAL, "the snapshot's label '%s' begins with '.'",
                    label);
    if (r == 0 && str_to_u64(label, &id))
        r = err_set(err, -EINVAL,
                    "the snapshot's label '%s' is a number: those are ids",
                    label);
    return r;
}

static struct snapshot_info info_of(const struct snapshot_known *k)
{
    return (struct snapshot_info){
        .id = k->id,
        .label = k->label ? xstrdup(k->label) : NULL,
        .at_ms = k->at_ms,
        .by = xstrdup(k->by ? k->by : ""),
        .rows = k->rows,
        .bytes = k->bytes,
        .size = k->size,
        .parts = k->parts.n + 1,
        .over = k->over,
    };
}

static void free_known(struct snapshot_known *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        snapshot_known_release(&list[i]);
    free(list);
}

static int check_open(struct table *t, struct err *err)
{
    AUTO_STR char *name = table_name(t);

    return table_is_open(t) ? 0
                            : err_set(err, -ENOENT, "'%s' is not open", name);
}

/* Somebody deleted its message while nobody here was told. */
static void forget(struct ledger *l, uint64_t id)
{
    ledger_lock(l);
    checkpoint_gone_locked(l, id);
    ledger_unlock(l);
}

/* The first of this name that is there: its message is in p then. */
static int find(struct table *t, const char *name, struct pages *p,
                struct snapshot_known *out, const struct remote_message **m,
                struct err *err)
{
    uint64_t id = 0;
    size_t n;
    bool is_id = str_to_u64(name, &id);
    struct snapshot_known *list = checkpoint_list(t->ledger, &n);
    int r = 1;

    for (size_t i = 0; i < n && r == 1; i++) {
        struct snapshot_known *k = &list[i];
        if (is_id ? k->id != id : !k->label || strcmp(k->label, name) != 0)
            continue;
        r = pages_need(p, k->id, m, err);
        if (r == -ENOENT) {
            forget(t->ledger, k->id);
            r = 1;
        } else if (r == 0) {
            *out = *k;
            *k = (struct snapshot_known){0};
        }
    }
    free_known(list, n);
    if (r == 1) {
        AUTO_STR char *table = table_name(t);
        r = err_set(err, -ENOENT, "'%s' has no snapshot '%s'", table, name);
    }
    return r;
}

int table_snapshot_find_wait(struct table *t, const char *name,
                             struct snapshot_info *out, struct err *err)
{
    struct pages p = {.l = t->ledger, .priority = REMOTE_NORMAL};
    struct snapshot_known k;
    const struct remote_message *m;

    int r = check_open(t, err);
    if (r == 0)
        r = find(t, name, &p, &k, &m, err);
    if (r == 0) {
        *out = info_of(&k);
        snapshot_known_release(&k);
    }
    pages_release(&p);
    return r;
}

char **table_snapshot_labels(struct table *t, size_t *n)
{
    size_t known;
    struct snapshot_known *list = checkpoint_list(t->ledger, &known);
    char **labels = xcalloc(known, sizeof(*labels));

    *n = 0;
    for (size_t i = 0; i < known; i++)
        if (list[i].label)
            labels[(*n)++] = xstrdup(list[i].label);
    free_known(list, known);
    return labels;
}

int table_snapshots_wait(struct table *t, struct snapshot_list *out,
                         struct err *err)
{
    struct pages p = {.l = t->ledger, .priority = REMOTE_NORMAL};
    struct snapshot_list found = {0};
    size_t n;

    int r = check_open(t, err);
    if (r < 0)
        return r;
    struct snapshot_known *list = checkpoint_list(t->ledger, &n);
    found.list = xcalloc(n, sizeof(*found.list));
    /* The newest first: one page has those that stand near it. */
    for (size_t i = n; i-- > 0 && r == 0;) {
        const struct remote_message *m;
        r = pages_need(&p, list[i].id, &m, err);
        if (r == -ENOENT) {
            forget(t->ledger, list[i].id);
            r = 0;
        } else if (r == 0) {
            found.list[found.n++] = info_of(&list[i]);
        }
    }
    free_known(list, n);
    pages_release(&p);
    if (r < 0) {
        snapshot_list_release(&found);
        return r;
    }
    for (size_t i = 0; i < found.n / 2; i++) {
        struct snapshot_info swap = found.list[i];
        found.list[i] = found.list[found.n - 1 - i];
        found.list[found.n - 1 - i] = swap;
    }
    *out = found;
    return 0;
}

/* --- taking -----------------------------------------------------------------
 */

static int check_writable(struct table *t, struct err *err)
{
    int r = check_open(t, err);

    if (r == 0 && t->engine->core.read_only)
        r = err_set(err, -EROFS, "mounted read-only");
    if (r == 0 && !t->history)
        r = err_set(err, -ENOENT, "the table has no history thread");
    return r;
}

static int check_free(struct table *t, const char *label, struct err *err)
{
    struct snapshot_info taken = {0};

    int r = table_snapshot_find_wait(t, label, &taken, err);
    if (r == -ENOENT)
        return 0;
    if (r == 0) {
        r = err_set(err, -EEXIST, "there is a snapshot '%s' already", label);
        snapshot_info_release(&taken);
    }
    return r;
}

int table_snapshot_wait(struct table *t, const char *label, const char *by,
                        struct snapshot_info *out, struct err *err)
{
    AUTO_STR char *table = table_name(t);
    uint64_t id;

    int r = check_writable(t, err);
    if (r == 0 && label)
        r = snapshot_check_label(label, err);
    if (r == 0 && label)
        r = check_free(t, label, err);
    if (r == 0)
        r = checkpoint_take(t->ledger, label, by, true, REMOTE_NORMAL, &id,
                            err);
    if (r < 0)
        return err_wrap(err, r, "snapshot of '%s'", table);
    size_t n;
    struct snapshot_known *list = checkpoint_list(t->ledger, &n);
    if (out)
        *out = (struct snapshot_info){.id = id};
    for (size_t i = 0; i < n; i++)
        if (out && list[i].id == id)
            *out = info_of(&list[i]);
    free_known(list, n);
    return 0;
}

/* --- dropping ---------------------------------------------------------------
 */

static int remove_message(struct ledger *l, uint64_t id, struct err *err)
{
    struct remote_request req = {
        .op = REMOTE_DELETE,
        .priority = REMOTE_NORMAL,
        .channel = l->thread,
        .message = id,
    };

    ledger_lock(l);
    ledger_note_own_locked(&l->deleted, id);
    ledger_unlock(l);
    struct ask *a = ask_new(l, &req);
    int r = ask_wait(a);
    if (r < 0 && r != -ENOENT)
        *err = *ask_err(a);
    ask_free(a);
    return r == -ENOENT ? 0 : r;
}

static bool is_built_on(struct ledger *l, uint64_t id)
{
    size_t n;
    struct snapshot_known *list = checkpoint_list(l, &n);
    bool built = false;

    for (size_t i = 0; i < n; i++)
        built |= list[i].over == id;
    free_known(list, n);
    return built;
}

int table_snapshot_drop_wait(struct table *t, const char *name, struct err *err)
{
    struct ledger *l = t->ledger;
    struct pages p = {.l = l, .priority = REMOTE_NORMAL};
    struct snapshot_known k = {0};
    const struct remote_message *m;

    int r = check_writable(t, err);
    if (r == 0)
        r = find(t, name, &p, &k, &m, err);
    if (r == 0 && is_built_on(l, k.id))
        r = err_set(err, -EBUSY, "another snapshot builds on '%s'", name);
    /* First the message: without it nobody looks for the parts. */
    if (r == 0)
        r = remove_message(l, k.id, err);
    if (r == 0)
        forget(l, k.id);
    for (size_t i = 0; i < k.parts.n && r == 0; i++) {
        r = remove_message(l, k.parts.list[i], err);
        if (r == 0)
            forget(l, k.parts.list[i]);
    }
    snapshot_known_release(&k);
    pages_release(&p);
    return r;
}

/* --- reading ----------------------------------------------------------------
 */

struct text_wait {
    struct waiter waiter;
    struct text *text;
};

static void text_came(void *arg, int r, struct text *text,
                      const struct err *err)
{
    struct text_wait *w = arg;

    w->text = text;
    waiter_done(&w->waiter, r, err);
}

static int fetch_text(struct ledger *l, const struct snapshot_line *line,
                      struct text **out, struct err *err)
{
    struct text_wait w = {0};
    uint64_t channel =
        line->place == SNAPSHOT_IN_CHANNEL ? l->channel : l->thread;
    int r = 0;

    waiter_init(&w.waiter, err);
    if (text_load(l->core->texts, channel, &line->rec, out, text_came, &w)) {
        r = waiter_wait(&w.waiter);
        *out = w.text;
    }
    waiter_release(&w.waiter);
    return r;
}

struct row_reader {
    struct ledger *l;
    snapshot_row_fn *row;
    void *arg;
    struct buf text;
};

static int read_row(void *arg, const struct snapshot_line *line, bool in_base,
                    struct err *err)
{
    struct row_reader *rr = arg;
    const struct record *rec = &line->rec;
    struct text *big = NULL;
    struct snapshot_row row = {
        .key = rec->key,
        .key_len = rec->key_len,
        .version = rec->version,
        .id = rec->id,
        .at_ms = rec->at_ms,
        .mtime_ms = rec->mtime_ms,
        .by = rec->by,
        .by_len = rec->by_len,
    };
    int r = 0;

    (void)in_base;
    if (rec->verb != RECORD_PUT)
        return 0;
    if (rec->text) {
        buf_reset(&rr->text);
        buf_add(&rr->text, rec->text, rec->text_len);
        buf_addc(&rr->text, '\n');
        row.text = rr->text.data;
        row.text_len = rr->text.len;
    } else {
        r = fetch_text(rr->l, line, &big, err);
        if (r == 0) {
            row.text = big->data;
            row.text_len = big->len;
        }
    }
    if (r == 0)
        r = rr->row(rr->arg, &row, err);
    text_unref(big);
    return r;
}

int table_snapshot_read_wait(struct table *t, const char *name,
                             snapshot_row_fn *row, void *arg, struct err *err)
{
    struct pages p = {.l = t->ledger, .priority = REMOTE_NORMAL};
    struct row_reader rr = {.l = t->ledger, .row = row, .arg = arg};
    const struct snapshot_reader reader = {NULL, read_row, &rr};
    struct snapshot_known k = {0};
    const struct remote_message *m;

    int r = check_open(t, err);
    if (r == 0)
        r = find(t, name, &p, &k, &m, err);
    if (r == 0)
        r = snapshot_read(&p, m, &reader, err);
    snapshot_known_release(&k);
    buf_release(&rr.text);
    pages_release(&p);
    return r;
}

int table_snapshot_file_wait(struct table *t, const char *name, struct buf *out,
                             struct err *err)
{
    struct pages p = {.l = t->ledger, .priority = REMOTE_NORMAL};
    struct snapshot_known k = {0};
    const struct remote_message *m;

    int r = check_open(t, err);
    if (r == 0)
        r = find(t, name, &p, &k, &m, err);
    if (r == 0)
        r = snapshot_read_raw(&p, m, out, err);
    snapshot_known_release(&k);
    pages_release(&p);
    return r;
}

/* --- going back -------------------------------------------------------------
 */

/* A key of the snapshot. */
struct had {
    size_t len;
    char key[];
};

static uint64_t had_hash(const void *item)
{
    const struct had *h = item;
    return hash_bytes(h->key, h->len);
}

struct key {
    const char *text;
    size_t len;
};

static bool had_has(const void *item, const void *key)
{
    const struct had *h = item;
    const struct key *k = key;
    return h->len == k->len && memcmp(h->key, k->text, k->len) == 0;
}

static const struct map_type had_type = {had_hash, had_has};

struct restoring {
    struct table *table;
    const char *by;
    void (*progress)(void *arg, size_t done, size_t total);
    void *progress_arg;
    struct schema *schema;
    struct map had;    /* keys of the snapshot's rows */
    struct map values; /* … field, NUL, value, of fields that are unique now */
    struct map passed; /* keys whose write, if there is one, is handed over, or
                          that are deleted to make room */
    size_t same, sent;
    bool dry; /* only counting: nothing may be written yet */

    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    pthread_cond_t none;  /* with lock: waiting went to 0 */
    /* under lock, as all below */
    size_t waiting, answered, overtaken;
    size_t put, deleted;
    int failed;
    struct err why;
};

struct sent {
    struct restoring *rs;
    bool deleted;
    bool comes_back; /* deleted to make room: the row is written next */
};

static void written(void *arg, int r, struct row *row, const struct err *err)
{
    struct sent *sent = arg;
    struct restoring *rs = sent->rs;

    row_unref(row);
    pthread_mutex_lock(&rs->lock);
    rs->answered++;
    if (r == 0 && sent->deleted)
        rs->deleted += !sent->comes_back;
    else if (r == 0)
        rs->put++;
    else if (r == -ESTALE || r == -EEXIST || r == -ENOENT)
        rs->overtaken++;
    else if (!rs->failed) {
        rs->failed = r;
        rs->why = *err;
    }
    free(sent);
    /* Last: then it may be over. */
    if (--rs->waiting == 0)
        pthread_cond_signal(&rs->none);
    pthread_mutex_unlock(&rs->lock);
}

static int hand_over(struct restoring *rs, struct write *w, bool comes_back,
                     struct err *err)
{
    struct sent *sent = xmalloc(sizeof(*sent));

    *sent = (struct sent){rs, w->kind == WRITE_DELETE, comes_back};
    w->by = rs->by;
    w->more = true;
    pthread_mutex_lock(&rs->lock);
    rs->waiting++;
    pthread_mutex_unlock(&rs->lock);
    int r = table_write(rs->table, w, written, sent, NULL, err);
    if (r == 0) {
        rs->sent++;
        return 0;
    }
    pthread_mutex_lock(&rs->lock);
    rs->waiting--;
    pthread_mutex_unlock(&rs->lock);
    free(sent);
    return r;
}

static int is_same(struct restoring *rs, struct row *now,
                   const struct snapshot_row *then, bool *same, struct err *err)
{
    struct text *text = NULL;
    int r = 0;

    *same = now->id == then->id && now->version == then->version;
    if (*same || now->text_len != then->text_len)
        return 0;
    r = row_load_text_wait(rs->table, now, &text, err);
    *same = r == 0 && text->len == then->text_len &&
            memcmp(text->data, then->text, then->text_len) == 0;
    text_unref(text);
    return r;
}

static bool is_in(const struct map *m, const char *text, size_t len)
{
    struct key key = {text, len};
    return map_get(m, hash_bytes(text, len), &key);
}

static void put_in(struct map *m, const char *text, size_t len)
{
    struct had *h = xmalloc(sizeof(*h) + len);
    struct key key = {h->key, len};

    h->len = len;
    memcpy(h->key, text, len);
    free(map_put(m, &key, h));
}

static void free_keys(struct map *m)
{
    void *item;

    for (size_t at = 0; (item = map_next(m, &at));)
        free(item);
    map_release(m);
}

/* The i-th field that is unique now, and the row's value in it behind field and
 * NUL; *field NULL behind the last. False: it has none that could conflict. */
static bool unique_value(const struct restoring *rs, size_t i,
                         const struct snapshot_row *row, const char **field,
                         struct buf *out)
{
    size_t n = schema_index_count(rs->schema);
    bool unique = false;

    *field = NULL;
    for (size_t k = 0; k < n && !*field; k++) {
        const char *name = schema_index_at(rs->schema, k, &unique);
        if (unique && i-- == 0)
            *field = name;
    }
    buf_reset(out);
    if (!*field)
        return false;
    buf_add(out, *field, strlen(*field) + 1);
    size_t from = out->len;
    return value_find(row->text, row->text_len, *field, out) &&
           strcmp(out->data + from, "raw:null") != 0;
}

/* Two rows of the snapshot that may not be side by side any more must be known
 * before the first is written. */
static int check_values(struct restoring *rs, const struct snapshot_row *row,
                        struct err *err)
{
    AUTO_BUF struct buf value = BUF_INIT;
    const char *field = "";

    for (size_t i = 0; field; i++) {
        if (!unique_value(rs, i, row, &field, &value))
            continue;
        if (is_in(&rs->values, value.data, value.len))
            return err_set(err, -EEXIST,
                           "'%s' must be unique by now, and in the snapshot "
                           "'%.*s' has a value that another row has too",
                           field, row->key_len < 60 ? (int)row->key_len : 60,
                           row->key);
        put_in(&rs->values, value.data, value.len);
    }
    return 0;
}

/* A row that has a unique value which this one is to have again goes first,
 * and comes back with its own: it has another in the snapshot. */
static int make_room(struct restoring *rs, const struct snapshot_row *row,
                     struct err *err)
{
    AUTO_BUF struct buf value = BUF_INIT;
    const char *field = "";
    int r = 0;

    for (size_t i = 0; field && r == 0; i++) {
        struct row *rows[2];
        if (!unique_value(rs, i, row, &field, &value))
            continue;
        size_t from = strlen(field) + 1;
        ssize_t n =
            ledger_index_find(rs->table->ledger, field, value.data + from,
                              value.len - from, 0, rows, 2);
        for (ssize_t k = 0; k < n; k++) {
            struct row *in_way = rows[k];
            struct write w = {
                .kind = WRITE_DELETE,
                .key = row_key(in_way),
                .key_len = in_way->key_len,
                .if_version = in_way->version,
            };
            if (r == 0 && !is_in(&rs->passed, w.key, w.key_len) &&
                is_in(&rs->had, w.key, w.key_len) &&
                (w.key_len != row->key_len ||
                 memcmp(w.key, row->key, w.key_len) != 0)) {
                put_in(&rs->passed, w.key, w.key_len);
                r = hand_over(rs, &w, true, err);
            }
            row_unref(in_way);
        }
    }
    return r;
}

static int take_back(void *arg, const struct snapshot_row *then,
                     struct err *err)
{
    struct restoring *rs = arg;
    struct row *now = row_find(rs->table, then->key, then->key_len);
    bool same = false;
    int r = 0;

    if (now)
        r = is_same(rs, now, then, &same, err);
    if (r == 0 && rs->dry) {
        put_in(&rs->had, then->key, then->key_len);
        rs->same += same;
        r = check_values(rs, then, err);
        if (r == 0 && !same) {
            /* What the schema does not allow any more must be known before
             * the first row is written. */
            AUTO_BUF struct buf out = BUF_INIT;
            r = schema_check(rs->schema, then->key, then->key_len, then->text,
                             then->text_len, &out, NULL, err);
            if (r < 0)
                err_wrap(err, r, "row '%.*s' of the snapshot",
                         then->key_len < 60 ? (int)then->key_len : 60,
                         then->key);
        }
    } else if (r == 0 && !same) {
        /* Gone by then, to make room. */
        bool is_new = !now || is_in(&rs->passed, then->key, then->key_len);
        struct write w = {
            .kind = WRITE_PUT,
            .key = then->key,
            .key_len = then->key_len,
            .text = then->text,
            .text_len = then->text_len,
            .must_be_new = is_new,
            .if_version = is_new ? 0 : now->version,
        };
        r = make_room(rs, then, err);
        if (r == 0)
            r = hand_over(rs, &w, false, err);
        put_in(&rs->passed, then->key, then->key_len);
    }
    row_unref(now);
    return r;
}

static int delete_others(struct restoring *rs, struct err *err)
{
    struct row *rows[64];
    uint64_t after = 0;
    size_t n;
    int r = 0;

    while (r == 0 && (n = row_list(rs->table, after, rows, 64)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            struct key key = {row_key(rows[i]), rows[i]->key_len};
            struct write w = {
                .kind = WRITE_DELETE,
                .key = key.text,
                .key_len = key.len,
                .if_version = rows[i]->version,
            };
            if (r == 0 &&
                !map_get(&rs->had, hash_bytes(key.text, key.len), &key))
                r = hand_over(rs, &w, false, err);
            row_unref(rows[i]);
        }
    }
    return r;
}

static int wait_for_all(struct restoring *rs, struct err *err)
{
    table_write_flush(rs->table);
    pthread_mutex_lock(&rs->lock);
    while (rs->waiting > 0) {
        struct timespec ts;
        clock_gettime(CLOCK_REALTIME, &ts);
        ts.tv_sec++;
        pthread_cond_timedwait(&rs->none, &rs->lock, &ts);
        size_t done = rs->answered;
        pthread_mutex_unlock(&rs->lock);
        if (rs->progress)
            rs->progress(rs->progress_arg, done, rs->sent);
        pthread_mutex_lock(&rs->lock);
    }
    int r = rs->failed;
    if (r < 0)
        *err = rs->why;
    pthread_mutex_unlock(&rs->lock);
    return r;
}

int table_snapshot_restore_wait(
    struct table *t, const char *name, const char *by,
    void (*progress)(void *arg, size_t done, size_t total), void *arg,
    struct snapshot_restored *out, struct err *err)
{
    struct restoring rs = {
        .table = t,
        .by = by,
        .progress = progress,
        .progress_arg = arg,
        .schema = table_schema(t),
        .had = MAP_INIT(&had_type),
        .values = MAP_INIT(&had_type),
        .passed = MAP_INIT(&had_type),
        .dry = true,
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .none = PTHREAD_COND_INITIALIZER,
    };

    int r = check_writable(t, err);
    if (r == 0)
        r = table_snapshot_read_wait(t, name, take_back, &rs, err);
    rs.dry = false;
    /* First what goes: a unique value may be wanted for what comes back. */
    if (r == 0)
        r = delete_others(&rs, err);
    if (r == 0)
        r = table_snapshot_read_wait(t, name, take_back, &rs, err);
    struct err why = ERR_INIT;
    int waited = wait_for_all(&rs, &why);
    if (r == 0 && waited < 0) {
        r = waited;
        *err = why;
    }
    if (r == 0)
        *out = (struct snapshot_restored){rs.put, rs.deleted, rs.same,
                                          rs.overtaken};
    else if (rs.put + rs.deleted > 0)
        err_wrap(err, r, "%zu rows are as they were; it can be run again",
                 rs.put + rs.deleted);

    free_keys(&rs.had);
    free_keys(&rs.values);
    free_keys(&rs.passed);
    schema_unref(rs.schema);
    pthread_mutex_destroy(&rs.lock);
    pthread_cond_destroy(&rs.none);
    return r;
}

/* --- what is needed ----------------------------------------------------------
 */

struct needs {
    uint64_t *ids;
    size_t n, cap;
};

static void need(struct needs *ns, uint64_t id)
{
    if (ns->n == ns->cap) {
        ns->cap = ns->cap ? ns->cap * 2 : 64;
        ns->ids = xrealloc(ns->ids, ns->cap * sizeof(*ns->ids));
    }
    ns->ids[ns->n++] = id;
}

static int need_holder(void *arg, const struct snapshot_line *line,
                       bool in_base, struct err *err)
{
    (void)in_base;
    (void)err;
    if (line->rec.file)
        need(arg, line->rec.holder);
    return 0;
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* Which of them stay? The newest two that opening may use are the last two, by
 * their cut; a label keeps, and so does what builds on one. */
static void choose(const struct snapshot_known *list, size_t n, bool all,
                   bool *stays)
{
    for (int keep = 0; keep < 2; keep++) {
        size_t best = n;
        for (size_t i = 0; i < n; i++)
            if (!stays[i] && (best == n || list[i].cut >= list[best].cut))
                best = i;
        if (best < n)
            stays[best] = true;
    }
    for (size_t i = 0; i < n; i++)
        stays[i] |= all || list[i].label;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n && stays[i]; k++)
            stays[k] |= list[k].id == list[i].over;
}

int table_snapshot_needs_wait(struct table *t, bool all, uint64_t **ids,
                              size_t *n_ids, struct err *err)
{
    struct pages p = {.l = t->ledger, .priority = REMOTE_NORMAL};
    struct needs ns = {0};
    const struct snapshot_reader reader = {NULL, need_holder, &ns};
    size_t n;

    int r = check_open(t, err);
    if (r < 0)
        return r;
    struct snapshot_known *list = checkpoint_list(t->ledger, &n);
    bool *stays = xcalloc(n, sizeof(*stays));
    choose(list, n, all, stays);
    for (size_t i = n; i-- > 0 && r == 0;) {
        const struct remote_message *m;
        struct err why = ERR_INIT;
        if (!stays[i])
            continue;
        need(&ns, list[i].id);
        for (size_t k = 0; k < list[i].parts.n; k++)
            need(&ns, list[i].parts.list[k]);
        r = pages_need(&p, list[i].id, &m, &why);
        if (r == 0)
            r = snapshot_read(&p, m, &reader, &why);
        /* One that is damaged refers to nothing that it could still tell. */
        if (r == -ENOENT || r == -EBADMSG)
            r = 0;
        else if (r < 0)
            *err = why;
    }
    free(stays);
    free_known(list, n);
    pages_release(&p);
    if (r < 0) {
        free(ns.ids);
        return r;
    }
    if (ns.n > 0)
        qsort(ns.ids, ns.n, sizeof(*ns.ids), by_id);
    size_t kept = 0;
    for (size_t i = 0; i < ns.n; i++)
        if (kept == 0 || ns.ids[kept - 1] != ns.ids[i])
            ns.ids[kept++] = ns.ids[i];
    *ids = ns.ids;
    *n_ids = kept;
    return 0;
}
