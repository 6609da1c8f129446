/* Reading a channel and its thread from the first message to the last, page by
 * page; the files that hang on messages are fetched a few at a time behind
 * that.
 *
 * A table is in use while it is read. The channel is read first, then the
 * thread, then the ends of both once more: so the base of every record of the
 * first reading has been seen, if it is there at all. What came with the last
 * look is `late`: nothing is concluded from what it may lack. */
#include <errno.h>
#include <stdio.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/batch.h"
#include "engine/json.h"
#include "engine/ledger_impl.h"
#include "engine/schema.h"
#include "engine/value.h"
#include "engine/verify_impl.h"

#define PAGE 100
#define LOADS 6
#define PROBLEMS_MAX 100000

/* A file on its way. */
struct scan_load {
    struct scan_load *next;
    struct waiter waiter;
    struct remote_reply reply;
    struct err err;
    struct remote_message m;
    uint32_t message; /* in s->messages */
    uint64_t file;
    bool batch;
};

/* --- keys, records, messages ------------------------------------------------
 */

struct text_key {
    const char *text;
    size_t len;
};

static uint64_t key_hash(const void *item)
{
    const struct scan_key *k = item;
    return hash_bytes(k->text, k->len);
}

static bool key_has(const void *item, const void *key)
{
    const struct scan_key *k = item;
    const struct text_key *t = key;
    return k->len == t->len && memcmp(k->text, t->text, t->len) == 0;
}

static const struct map_type key_type = {key_hash, key_has};

/* Scan keys carry no number of their own: it stands behind the text. */
static uint32_t key_number(const struct scan_key *k)
{
    uint32_t n;

    memcpy(&n, k->text + k->len + 1, sizeof(n));
    return n;
}

struct scan_key *scan_find_key(const struct scan *s, const char *key,
                               size_t len)
{
    struct text_key t = {key, len};

    return s->keys_by_text.type
               ? map_get(&s->keys_by_text, hash_bytes(key, len), &t)
               : NULL;
}

static uint32_t need_key(struct scan *s, const char *key, size_t len)
{
    struct scan_key *k = scan_find_key(s, key, len);

    if (k)
        return key_number(k);
    if (!s->keys_by_text.type)
        s->keys_by_text = MAP_INIT(&key_type);
    if (s->n_keys == s->cap_keys) {
        s->cap_keys = s->cap_keys ? s->cap_keys * 2 : 64;
        s->keys = xrealloc(s->keys, s->cap_keys * sizeof(struct scan_key *));
    }
    uint32_t n = (uint32_t)s->n_keys;
    k = xmalloc(sizeof(*k) + len + 1 + sizeof(n));
    k->records = k->head = NONE;
    k->len = (uint32_t)len;
    memcpy(k->text, key, len);
    k->text[len] = '\0';
    memcpy(k->text + len + 1, &n, sizeof(n));
    struct text_key t = {k->text, len};
    map_put(&s->keys_by_text, &t, k);
    s->keys[s->n_keys++] = k;
    return n;
}

uint64_t scan_value_hash(const char *canonical, size_t len)
{
    uint64_t h = hash_bytes(canonical, len);
    return h ? h : 1;
}

static void take_values(struct scan *s, uint32_t record, const char *text,
                        size_t len)
{
    for (size_t i = 0; i < s->n_fields; i++) {
        AUTO_BUF struct buf b = BUF_INIT;
        if (value_find(text, len, s->fields[i].name, &b))
            s->values[(size_t)record * s->n_fields + i] =
                scan_value_hash(b.data, b.len);
    }
}

/* What only the text can tell. */
static void take_text(struct scan *s, uint32_t record, const char *text,
                      size_t len)
{
    struct scan_record *r = &s->records[record];
    const struct scan_key *k = s->keys[r->key];
    AUTO_BUF struct buf out = BUF_INIT;

    take_values(s, record, text, len);
    if (s->schema && schema_check(s->schema, k->text, k->len, text, len, &out,
                                  NULL, NULL) < 0)
        r->flags |= SCAN_UNFIT;
}

static uint32_t add_record(struct scan *s, uint32_t message, uint32_t order,
                           const struct record *r, bool in_batch)
{
    if (s->n_records == s->cap_records) {
        s->cap_records = s->cap_records ? s->cap_records * 2 : 64;
        s->records = xrealloc(s->records, s->cap_records * sizeof(*s->records));
        if (s->n_fields)
            s->values = xrealloc(s->values, s->cap_records * s->n_fields *
                                                sizeof(*s->values));
    }
    uint32_t n = (uint32_t)s->n_records++;
    uint32_t key = need_key(s, r->key, r->key_len);
    struct scan_record *out = &s->records[n];
    unsigned flags = 0;

    if (r->copy)
        flags |= SCAN_COPY;
    if (r->verb == RECORD_DELETE)
        flags |= SCAN_DELETE;
    else if (r->text || r->file)
        flags |= SCAN_TEXT;
    if (r->alone)
        flags |= SCAN_ALONE;
    if (r->joined && !r->copy)
        flags |= SCAN_AND;
    if (in_batch)
        flags |= SCAN_BATCH;
    *out = (struct scan_record){
        .id = r->id,
        .base = r->base,
        .file = r->text ? 0 : r->file,
        .version = r->version,
        .key = key,
        .message = message,
        .older = s->keys[key]->records,
        /* Where only a copy is left its place is before the originals. */
        .order = r->copy ? n : order | 0x80000000u,
        .len = (uint32_t)r->text_len,
        .flags = (uint16_t)flags,
    };
    if (in_batch)
        record_digest(r, r->text, r->text_len, out->sha);
    else
        memcpy(out->sha, r->sha, sizeof(out->sha));
    s->keys[key]->records = n;
    if (s->n_fields)
        memset(s->values + (size_t)n * s->n_fields, 0,
               s->n_fields * sizeof(*s->values));
    if (r->verb != RECORD_DELETE && r->text)
        take_text(s, n, r->text, r->text_len);
    return n;
}

static void add_records(struct scan *s, uint32_t message,
                        const struct records *rs, bool in_batch)
{
    struct scan_message *m = &s->messages[message];

    m->first = (uint32_t)s->n_records;
    m->n = (uint32_t)rs->n;
    for (size_t i = 0; i < rs->n; i++) {
        uint32_t n =
            add_record(s, message, (uint32_t)i, &rs->list[i], in_batch);
        if (m->late)
            s->records[n].flags |= SCAN_LATE;
    }
}

void scan_add_fact(struct scan *s, const struct record *r,
                   const uint64_t *values)
{
    uint32_t n = add_record(s, NONE, 0, r, false);

    s->records[n].flags |= SCAN_FACT | SCAN_TEXT;
    if (r->verb == RECORD_DELETE)
        s->records[n].flags &= (uint16_t)~SCAN_TEXT;
    if (values && s->n_fields)
        memcpy(s->values + (size_t)n * s->n_fields, values,
               s->n_fields * sizeof(*values));
}

uint32_t scan_find_message(const struct scan *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_runs; i++) {
        size_t low = s->runs[i];
        size_t to = i + 1 < s->n_runs ? s->runs[i + 1] : s->n_messages;
        size_t high = to;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (s->messages[mid].id < id)
                low = mid + 1;
            else
                high = mid;
        }
        if (low < to && s->messages[low].id == id)
            return (uint32_t)low;
    }
    return NONE;
}

void scan_problem(struct scan *s, enum verify_kind kind, uint32_t message,
                  uint32_t record, const char *fmt, ...)
{
    struct buf b = BUF_INIT;
    va_list ap;

    if (s->n_problems == PROBLEMS_MAX)
        return;
    if (s->n_problems == s->cap_problems) {
        s->cap_problems = s->cap_problems ? s->cap_problems * 2 : 8;
        s->problems =
            xrealloc(s->problems, s->cap_problems * sizeof(*s->problems));
    }
    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    s->problems[s->n_problems++] = (struct scan_problem){
        .kind = kind,
        .message = message,
        .record = record,
        .key = NONE,
        .text = buf_take_str(&b),
    };
}

/* --- files ------------------------------------------------------------------
 */

static struct scan_file *find_file(struct scan *s, uint64_t id)
{
    /* Only those of the newest messages are asked for. */
    for (size_t i = s->n_files; i > 0; i--)
        if (s->files[i - 1].id == id)
            return &s->files[i - 1];
    return NULL;
}

static void note_files(struct scan *s, uint32_t message,
                       const struct remote_message *m)
{
    for (size_t i = 0; i < m->n_files; i++) {
        if (s->n_files == s->cap_files) {
            s->cap_files = s->cap_files ? s->cap_files * 2 : 16;
            s->files = xrealloc(s->files, s->cap_files * sizeof(*s->files));
        }
        s->files[s->n_files++] = (struct scan_file){
            .id = m->files[i].id,
            .size = m->files[i].size,
            .message = message,
        };
        s->messages[message].bytes += m->files[i].size;
    }
}

static void use_file(struct scan *s, uint64_t id)
{
    struct scan_file *f = find_file(s, id);

    if (f)
        f->used = true;
}

static void load_answered(void *arg, int r, struct remote_reply *reply,
                          const struct err *err)
{
    struct scan_load *ld = arg;

    if (r == 0) {
        ld->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    waiter_done(&ld->waiter, r, err);
}

static void load_free(struct scan_load *ld)
{
    remote_reply_release(&ld->reply);
    remote_message_release(&ld->m);
    waiter_release(&ld->waiter);
    free(ld);
}

bool verify_is_files_fault(int r)
{
    return r == -ENOENT || r == -EIO || r == -EFBIG;
}

static void mark_bad(struct scan *s, uint32_t message, uint64_t file)
{
    const struct scan_message *m = &s->messages[message];
    struct scan_file *f = find_file(s, file);

    if (f)
        f->bad = true;
    for (uint32_t i = m->first; i < m->first + m->n; i++)
        if (s->records[i].file == file)
            s->records[i].flags |= SCAN_BAD;
}

static void end_batch(struct scan *s, struct scan_load *ld)
{
    struct records head = {0}, rs = {0};
    struct err err = ERR_INIT;

    int r = message_parse(&ld->m, &head, &err);
    if (r == 0)
        r = batch_parse(&head, ld->m.id, ld->reply.body.data,
                        ld->reply.body.len, &rs, &err);
    if (r < 0) {
        mark_bad(s, ld->message, ld->file);
        scan_problem(s, KIND_damaged_attachment, ld->message, NONE, "%s",
                     err_text(&err, r));
    } else {
        add_records(s, ld->message, &rs, true);
    }
    records_release(&rs);
    records_release(&head);
}

static void end_text(struct scan *s, struct scan_load *ld)
{
    const struct scan_message *m = &s->messages[ld->message];
    struct records rs = {0};
    struct err err = ERR_INIT;
    bool checked = false;

    int r = message_parse(&ld->m, &rs, &err);
    for (size_t i = 0; r == 0 && i < rs.n && i < m->n; i++) {
        if (rs.list[i].file != ld->file)
            continue;
        if (!checked)
            r = record_check_file(&rs.list[i], ld->reply.body.data,
                                  ld->reply.body.len, &err);
        checked = true;
        if (r == 0)
            take_text(s, m->first + (uint32_t)i, ld->reply.body.data,
                      ld->reply.body.len);
    }
    if (r < 0) {
        mark_bad(s, ld->message, ld->file);
        scan_problem(s, KIND_damaged_attachment, ld->message, m->first, "%s",
                     err_text(&err, r));
    }
    records_release(&rs);
}

/* The oldest one on its way. */
static int end_load(struct scan *s, struct err *err)
{
    struct scan_load *ld = s->loads;

    s->loads = ld->next;
    s->n_loads--;
    int r = waiter_wait(&ld->waiter);
    if (r == 0) {
        s->files_read++;
        s->file_bytes += ld->reply.body.len;
        if (ld->batch)
            end_batch(s, ld);
        else
            end_text(s, ld);
    } else if (verify_is_files_fault(r)) {
        mark_bad(s, ld->message, ld->file);
        scan_problem(s, KIND_missing_attachment, ld->message,
                     ld->batch ? NONE : s->messages[ld->message].first, "%s",
                     err_text(&ld->err, r));
        r = 0;
    } else {
        *err = ld->err;
        err_wrap(err, r, "the file of message %llu",
                 (unsigned long long)ld->m.id);
    }
    load_free(ld);
    return r;
}

static int end_loads(struct scan *s, size_t down_to, struct err *err)
{
    int res = 0;

    while (s->n_loads > down_to) {
        struct err e = ERR_INIT;
        int r = end_load(s, &e);
        if (r < 0 && res == 0) {
            res = r;
            *err = e;
        }
    }
    return res;
}

static int start_load(struct scan *s, uint32_t message,
                      const struct remote_message *m, uint64_t file, bool batch,
                      struct err *err)
{
    int r = end_loads(s, LOADS - 1, err);
    if (r < 0)
        return r;

    struct scan_load *ld = xcalloc(1, sizeof(*ld)), **at = &s->loads;
    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .priority = REMOTE_NORMAL,
        .channel = m->channel_id,
        .message = m->id,
        .file = file,
    };
    remote_message_copy(&ld->m, m);
    ld->message = message;
    ld->file = file;
    ld->batch = batch;
    waiter_init(&ld->waiter, &ld->err);
    while (*at)
        at = &(*at)->next;
    *at = ld;
    s->n_loads++;
    core_submit(s->core, &req, load_answered, ld);
    return 0;
}

/* --- messages ---------------------------------------------------------------
 */

/* The word behind "-# dbcord ". */
static bool is_word(const struct remote_message *m, const char *word)
{
    const char *at = m->content + strlen("-# dbcord ");
    size_t n = strcspn(at, " \n");

    return strlen(word) == n && memcmp(at, word, n) == 0;
}

static bool tells_records(const struct remote_message *m)
{
    static const char *const words[] = {"put", "delete", "was", "batch"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (is_word(m, words[i]))
            return true;
    return false;
}

/* What can still be read of a damaged message's first line: whose row message
 * it is, and whether it tells again what stands elsewhere. */
static void read_remains(struct scan *s, const struct remote_message *m,
                         struct scan_problem *p)
{
    const char *at = m->content + strlen("-# dbcord put ");
    AUTO_BUF struct buf key = BUF_INIT;
    size_t n = 1;

    if (!is_word(m, "put") || *at != '"')
        return;
    while (at[n] && at[n] != '"' && at[n] != '\n')
        n += at[n] == '\\' && at[n + 1] ? 2 : 1;
    if (at[n] != '"')
        return;
    json_unescape(at, n + 1, &key);
    if (key.len == 0 || key.len > RECORD_KEY_MAX)
        return;
    p->key = need_key(s, key.data, key.len);
    at += n + 1;
    p->copy = strncmp(at, " v", 2) == 0 &&
              strncmp(at + 2 + strspn(at + 2, "0123456789"), " of ", 4) == 0;
}

static void damaged(struct scan *s, uint32_t message,
                    const struct remote_message *m, int r,
                    const struct err *err)
{
    enum verify_kind kind = KIND_damaged_message;

    s->messages[message].kind = MESSAGE_OTHER;
    if (!tells_records(m))
        kind = KIND_unknown_message;
    else if (m->n_files == 0 && strstr(err->text, "attachment"))
        kind = KIND_missing_attachment;
    for (size_t i = 0; i < m->n_files; i++)
        use_file(s, m->files[i].id);
    size_t before = s->n_problems;
    scan_problem(s, kind, message, NONE, "%s", err_text(err, r));
    if (s->n_problems > before && s->messages[message].place == 0)
        read_remains(s, m, &s->problems[before]);
}

static int take_records(struct scan *s, uint32_t message,
                        const struct remote_message *m, struct err *err)
{
    struct records rs = {0};
    struct err why = ERR_INIT;
    int res = 0;

    int r = message_parse(m, &rs, &why);
    if (r < 0) {
        damaged(s, message, m, r, &why);
    } else if (rs.batch_file) {
        s->messages[message].kind = MESSAGE_BATCH;
        use_file(s, rs.batch_file);
        res = start_load(s, message, m, rs.batch_file, true, err);
    } else {
        s->messages[message].kind = MESSAGE_RECORDS;
        add_records(s, message, &rs, false);
        uint64_t last = 0;
        for (size_t i = 0; i < rs.n && res == 0; i++) {
            uint64_t file = rs.list[i].file;
            if (!file)
                continue;
            use_file(s, file);
            if (!s->skip_files && file != last)
                res = start_load(s, message, m, file, false, err);
            last = file;
        }
    }
    records_release(&rs);
    return res;
}

static int take_message(struct scan *s, int place, bool late,
                        const struct remote_message *m, struct err *err)
{
    if (s->n_messages == s->cap_messages) {
        s->cap_messages = s->cap_messages ? s->cap_messages * 2 : 64;
        s->messages =
            xrealloc(s->messages, s->cap_messages * sizeof(*s->messages));
    }
    uint32_t n = (uint32_t)s->n_messages++;
    s->messages[n] = (struct scan_message){
        .id = m->id,
        .place = (uint8_t)place,
        .late = late,
    };

    if (m->type != 0) {
        s->messages[n].kind = MESSAGE_REMARK;
        return 0;
    }
    if (m->author_id != s->core->self || !message_is_ours(m)) {
        s->messages[n].kind = MESSAGE_FOREIGN;
        s->foreign++;
        return 0;
    }
    s->messages[n].bytes = m->content_len;
    note_files(s, n, m);
    if (is_word(m, "card")) {
        s->messages[n].kind = MESSAGE_CARD;
        return 0;
    }
    if (is_word(m, "snapshot") || is_word(m, "vacuum")) {
        s->messages[n].kind =
            is_word(m, "vacuum") ? MESSAGE_MARK : MESSAGE_SNAPSHOT;
        for (size_t i = 0; i < m->n_files; i++)
            use_file(s, m->files[i].id);
        s->kept = xrealloc(s->kept, (s->n_kept + 1) * sizeof(*s->kept));
        remote_message_copy(&s->kept[s->n_kept++], m);
        return 0;
    }
    return take_records(s, n, m, err);
}

static void tell_progress(const struct scan *s)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (!s->progress)
        return;
    buf_printf(&b, "%s: %zu messages, %zu records, %zu files read",
               s->label ? s->label : "", s->n_messages, s->n_records,
               s->files_read);
    s->progress(s->progress_arg, b.data);
}

/* From behind s->end[place] on. */
static int read_place(struct scan *s, int place, bool late, struct err *err)
{
    size_t n = PAGE;
    int r = 0;

    s->runs[s->n_runs++] = s->n_messages;
    while (r == 0 && n == PAGE) {
        struct remote_reply reply = {0};
        struct remote_request req = {
            .op = REMOTE_LIST,
            .priority = REMOTE_NORMAL,
            .channel = place == 0 ? s->channel : s->thread,
            .after = s->end[place],
            .limit = PAGE,
        };
        if (atomic_load(&s->core->closing))
            return err_set(err, -ESHUTDOWN, "being closed");
        r = remote_run(s->core->remote, &req, &reply, err);
        if (r == -ENOENT) {
            s->missing[place] = true;
            return 0;
        }
        n = r == 0 ? reply.n_messages : 0;
        for (size_t i = 0; i < n && r == 0; i++) {
            r = take_message(s, place, late, &reply.messages[i], err);
            s->end[place] = reply.messages[i].id;
        }
        remote_reply_release(&reply);
        if (s->n_messages % 1000 < PAGE)
            tell_progress(s);
    }
    return r;
}

int scan_run(struct scan *s, struct err *err)
{
    int r = 0;

    /* The card has the thread's id, and a thread's first message a later one.
     * The channel's own id is before all of them. */
    s->end[0] = s->channel;
    s->end[1] = s->thread;
    for (int late = 0; late < 2 && r == 0; late++)
        for (int place = 0; place < 2 && r == 0; place++)
            if ((place == 0 || s->thread) && !s->missing[place])
                r = read_place(s, place, late, err);
    struct err e = ERR_INIT;
    int ended = end_loads(s, 0, &e);
    if (r == 0 && ended < 0) {
        r = ended;
        *err = e;
    }
    return r;
}

/* --- again ------------------------------------------------------------------
 */

static int ask(const struct scan *s, enum remote_op op, uint64_t channel,
               uint64_t message, uint64_t file, struct remote_reply *reply,
               struct err *err)
{
    struct remote_request req = {
        .op = op,
        .priority = REMOTE_NORMAL,
        .channel = channel,
        .message = message,
        .file = file,
    };

    return remote_run(s->core->remote, &req, reply, err);
}

static const struct record *find_among(const struct records *rs,
                                       const struct scan *s,
                                       const struct scan_record *wanted)
{
    const struct scan_key *k = s->keys[wanted->key];

    for (size_t i = 0; i < rs->n; i++) {
        const struct record *r = &rs->list[i];
        if (r->id == wanted->id && r->version == wanted->version &&
            r->key_len == k->len && memcmp(r->key, k->text, k->len) == 0)
            return r;
    }
    return NULL;
}

static int copy_out(const struct scan *s, uint64_t channel,
                    const struct record *found, struct record *r,
                    struct buf *who, struct buf *text, struct err *err)
{
    struct remote_reply file = {0};
    int res = 0;

    if (found->verb == RECORD_DELETE) {
        /* nothing more */
    } else if (found->text) {
        buf_add(text, found->text, found->text_len);
    } else if (!found->file) {
        res = err_set(err, -ENOENT, "its text is told elsewhere");
    } else {
        res = ask(s, REMOTE_DOWNLOAD, channel, found->holder, found->file,
                  &file, err);
        if (res == 0)
            res = record_check_file(found, file.body.data, file.body.len, err);
        if (res == 0)
            buf_add(text, file.body.data, file.body.len);
        remote_reply_release(&file);
    }
    if (res == 0 && r) {
        *r = *found;
        buf_add(who, found->key, found->key_len);
        buf_add(who, found->by, found->by_len);
        if (found->file_name)
            buf_add(who, found->file_name, found->file_name_len);
        r->key = who->data;
        r->by = who->data + r->key_len;
        r->file_name = found->file_name ? r->by + r->by_len : NULL;
        r->text = text->data ? text->data : "";
        r->values = NULL;
    }
    return res;
}

int scan_fetch(const struct scan *s, uint32_t record, struct record *r,
               struct buf *who, struct buf *text, struct err *err)
{
    const struct scan_record *wanted = &s->records[record];
    struct remote_reply reply = {0}, batch = {0};
    struct records head = {0}, rs = {0};
    const struct record *found = NULL;

    if (wanted->message == NONE)
        return err_set(err, -ENOENT, "it is in a snapshot alone");
    const struct scan_message *m = &s->messages[wanted->message];
    uint64_t channel = m->place == 0 ? s->channel : s->thread;
    int res = ask(s, REMOTE_GET, channel, m->id, 0, &reply, err);
    if (res == 0)
        res = message_parse(&reply.messages[0], &head, err);
    if (res == 0 && head.batch_file) {
        res = ask(s, REMOTE_DOWNLOAD, channel, m->id, head.batch_file, &batch,
                  err);
        if (res == 0)
            res = batch_parse(&head, m->id, batch.body.data, batch.body.len,
                              &rs, err);
    }
    if (res == 0)
        found = find_among(head.batch_file ? &rs : &head, s, wanted);
    if (res == 0 && !found)
        res = err_set(err, -ENOENT, "message %llu does not tell it any more",
                      (unsigned long long)m->id);
    if (res == 0)
        res = copy_out(s, channel, found, r, who, text, err);
    records_release(&rs);
    records_release(&head);
    remote_reply_release(&batch);
    remote_reply_release(&reply);
    return res;
}

void scan_release(struct scan *s)
{
    for (size_t i = 0; i < s->n_keys; i++)
        free(s->keys[i]);
    for (size_t i = 0; i < s->n_problems; i++)
        free(s->problems[i].text);
    for (size_t i = 0; i < s->n_fields; i++) {
        free(s->fields[i].name);
        free(s->fields[i].from_until);
    }
    for (size_t i = 0; i < s->n_kept; i++)
        remote_message_release(&s->kept[i]);
    free(s->kept);
    free(s->fields);
    free(s->messages);
    free(s->records);
    free(s->values);
    map_release(&s->keys_by_text);
    free(s->keys);
    free(s->files);
    free(s->problems);
    free(s->same);
    free(s->order);
    schema_unref(s->schema);
    *s = (struct scan){0};
}
