/* Reading a snapshot: its message, its parts, the one it is over; downloads
 * are under way while what came before is unpacked.
 *
 * Of two files the newer (what changed) is read first and kept as lines, by
 * key; then the older is read through, and what the newer tells of a key comes
 * in its place. What is left of the newer comes behind. */
#include <errno.h>

#include "engine/base/alloc.h"
#include "engine/checkpoint.h"

#define PAGE 100
#define AT_ONCE 4 /* downloads under way */

/* --- pages -----------------------------------------------------------------
 */

void pages_release(struct pages *p)
{
    for (size_t i = 0; i < p->n; i++)
        remote_reply_release(&p->list[i]);
    free(p->list);
    p->list = NULL;
    p->n = 0;
}

void pages_add(struct pages *p, struct remote_reply *reply)
{
    p->list = xrealloc(p->list, (p->n + 1) * sizeof(*p->list));
    p->list[p->n++] = *reply;
    *reply = (struct remote_reply){0};
}

const struct remote_message *pages_find(const struct pages *p, uint64_t id)
{
    for (size_t i = p->n; i-- > 0;) {
        const struct remote_reply *page = &p->list[i];
        size_t low = 0, high = page->n_messages;
        while (low < high) {
            size_t mid = (low + high) / 2;
            if (page->messages[mid].id < id)
                low = mid + 1;
            else
                high = mid;
        }
        if (low < page->n_messages && page->messages[low].id == id)
            return &page->messages[low];
    }
    return NULL;
}

int pages_need(struct pages *p, uint64_t id, const struct remote_message **out,
               struct err *err)
{
    *out = pages_find(p, id);
    if (*out)
        return 0;

    struct remote_request req = {
        .op = REMOTE_LIST,
        .priority = p->priority,
        .channel = p->l->thread,
        .before = id + 1,
        .limit = PAGE,
    };
    struct ask *a = ask_new(p->l, &req);
    int r = ask_wait(a);
    if (r < 0)
        *err = *ask_err(a);
    else
        pages_add(p, ask_reply(a));
    ask_free(a);
    if (r < 0)
        return r;
    *out = pages_find(p, id);
    return *out ? 0
                : err_set(err, -ENOENT, "message %llu is gone",
                          (unsigned long long)id);
}

/* --- files -----------------------------------------------------------------
 */

/* A file of a snapshot: its message, and its download. */
struct file {
    const struct remote_message *message;
    struct snapshot_head head;
    struct ask *ask;
};

static void file_release(struct file *f)
{
    ask_free(f->ask);
    snapshot_head_release(&f->head);
}

static int find_part(struct pages *p, uint64_t id, unsigned number,
                     struct file *f, struct err *err)
{
    int r = pages_need(p, id, &f->message, err);
    if (r == 0)
        r = snapshot_parse(f->message, &f->head, err);
    if (r == -ENOMSG || (r == 0 && f->head.part != number))
        r = err_set(err, -EBADMSG, "message %llu is not part %u of a snapshot",
                    (unsigned long long)id, number);
    return r;
}

static void start(struct pages *p, struct file *f)
{
    struct remote_request req = {
        .op = REMOTE_DOWNLOAD,
        .priority = p->priority,
        .channel = p->l->thread,
        .message = f->message->id,
        .file = f->head.file,
    };
    f->ask = ask_new(p->l, &req);
}

typedef int file_fn(void *arg, const char *data, size_t len, struct err *err);

static int take_file(struct file *f, file_fn *fn, void *arg, struct err *err)
{
    int r = ask_wait(f->ask);
    if (r < 0) {
        *err = *ask_err(f->ask);
        return err_wrap(err, r, "the snapshot's file in message %llu",
                        (unsigned long long)f->message->id);
    }
    const struct buf *body = &ask_reply(f->ask)->body;
    r = snapshot_check_file(&f->head, f->message->id, body->data, body->len,
                            err);
    return r < 0 ? r : fn(arg, body->data, body->len, err);
}

/* All files of one snapshot, in their order, each when it is here. */
static int each_file(struct pages *p, const struct remote_message *m,
                     file_fn *fn, void *arg, struct err *err)
{
    struct snapshot_head head;

    int r = snapshot_parse(m, &head, err);
    if (r < 0)
        return r;
    if (head.part) {
        snapshot_head_release(&head);
        return err_set(err, -EBADMSG, "message %llu is but a part",
                       (unsigned long long)m->id);
    }
    size_t n = head.n_parts + 1, started = 0;
    struct file *files = xcalloc(n, sizeof(*files));
    files[n - 1].message = m;
    for (size_t i = 0; i + 1 < n && r == 0; i++)
        r = find_part(p, head.parts[i], (unsigned)i + 1, &files[i], err);
    files[n - 1].head = head;

    for (size_t i = 0; i < n && r == 0; i++) {
        while (started < n && started < i + AT_ONCE)
            start(p, &files[started++]);
        r = take_file(&files[i], fn, arg, err);
        /* It may be large. */
        ask_free(files[i].ask);
        files[i].ask = NULL;
    }
    for (size_t i = 0; i < n; i++)
        file_release(&files[i]);
    free(files);
    return r;
}

static int add_file(void *arg, const char *data, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, data, len);
    return 0;
}

int snapshot_read_raw(struct pages *p, const struct remote_message *m,
                      struct buf *out, struct err *err)
{
    return each_file(p, m, add_file, out, err);
}

/* --- lines -----------------------------------------------------------------
 */

/* A line of the newer file. */
struct kept {
    struct kept *next; /* in its file */
    bool told;
    bool again; /* its place is behind those of the older file */
    uint16_t key_len;
    const char *key; /* in data, behind the line */
    size_t len;
    char data[];
};

static uint64_t kept_hash(const void *item)
{
    const struct kept *k = item;
    return hash_bytes(k->key, k->key_len);
}

struct key {
    const char *text;
    size_t len;
};

static bool kept_has(const void *item, const void *key)
{
    const struct kept *k = item;
    const struct key *want = key;
    return k->key_len == want->len &&
           memcmp(k->key, want->text, want->len) == 0;
}

static const struct map_type kept_type = {kept_hash, kept_has};

struct reading {
    const struct snapshot_reader *reader;
    uint64_t message; /* whose file it is */
    bool newer;       /* keep the lines: they are put upon another's */
    bool upon;        /* … and this is the other's */
    bool began;       /* the first line was here */
    uint64_t cut, over;
    size_t line;
    struct buf arena, arena2;
    struct map kept;
    struct kept *first, **last;
};

static int bad_line(const struct reading *rd, const char *why, size_t at,
                    struct err *err)
{
    AUTO_BUF struct buf what = BUF_INIT;

    buf_add_json(&what, why, strlen(why));
    return err_set(err, -EBADMSG,
                   "message %llu is damaged: line %zu of its snapshot, byte "
                   "%zu: expected %s",
                   (unsigned long long)rd->message, rd->line, at + 1,
                   what.data);
}

static int read_first(struct reading *rd, const char *line, size_t len,
                      struct err *err)
{
    struct snapshot_meta meta;

    int r = snapshot_read_meta(line, len, &meta, err);
    if (r < 0)
        return err_wrap(err, r, "message %llu is damaged",
                        (unsigned long long)rd->message);
    if (rd->upon) {
        /* Never more than two: what is read must be bounded. */
        if (meta.over)
            r = err_set(err, -EBADMSG,
                        "snapshot %llu is over another that is over one itself",
                        (unsigned long long)rd->message);
    } else {
        rd->cut = meta.cut;
        rd->over = meta.over;
        if (rd->newer != (meta.over != 0))
            r = err_set(err, -EBADMSG,
                        "message %llu is damaged: it says one thing in its "
                        "line, another in its file",
                        (unsigned long long)rd->message);
        else if (rd->reader->meta)
            r = rd->reader->meta(rd->reader->arg, &meta, err);
    }
    snapshot_meta_release(&meta);
    return r;
}

static void keep(struct reading *rd, const char *line, size_t len,
                 const struct snapshot_line *l)
{
    size_t key_len = l->rec.key_len;
    struct kept *k = xmalloc(sizeof(*k) + len + key_len);

    *k = (struct kept){.len = len, .again = l->again};
    memcpy(k->data, line, len);
    k->key = k->data + len;
    k->key_len = (uint16_t)key_len;
    memcpy(k->data + len, l->rec.key, key_len);
    *rd->last = k;
    rd->last = &k->next;
    /* Those that keep a file are by message, not by key. */
    if (l->rec.verb == RECORD_WAS)
        return;
    struct key key = {k->key, key_len};
    map_put(&rd->kept, &key, k);
}

static int tell_kept(struct reading *rd, struct kept *k, bool in_base,
                     struct err *err)
{
    struct snapshot_line l;
    const char *why;
    size_t at;

    k->told = true;
    if (!snapshot_read_line(k->data, k->len, &rd->arena2, &l, &why, &at))
        return bad_line(rd, why, at, err);
    return rd->reader->line(rd->reader->arg, &l, in_base, err);
}

static int read_a_line(void *arg, const char *line, size_t len, struct err *err)
{
    struct reading *rd = arg;
    struct snapshot_line l;
    const char *why;
    size_t at;

    rd->line++;
    if (!rd->began) {
        rd->began = true;
        return read_first(rd, line, len, err);
    }
    if (!snapshot_read_line(line, len, &rd->arena, &l, &why, &at))
        return bad_line(rd, why, at, err);
    if (!rd->upon && rd->newer) {
        keep(rd, line, len, &l);
        return 0;
    }
    if (rd->upon && l.rec.verb != RECORD_WAS) {
        struct key key = {l.rec.key, l.rec.key_len};
        struct kept *k =
            map_get(&rd->kept, hash_bytes(key.text, key.len), &key);
        if (k && (k->again || l.rec.verb == RECORD_DELETE))
            return 0;
        if (k)
            return tell_kept(rd, k, true, err);
    }
    return rd->reader->line(rd->reader->arg, &l, true, err);
}

static int unpack_file(void *arg, const char *data, size_t len, struct err *err)
{
    return snapshot_unpack(arg, data, len, err);
}

static int read_one(struct pages *p, const struct remote_message *m,
                    struct reading *rd, struct err *err)
{
    struct snapshot_unpacker *u = snapshot_unpacker_new(read_a_line, rd);

    rd->message = m->id;
    rd->began = false;
    rd->line = 0;
    int r = each_file(p, m, unpack_file, u, err);
    if (r == 0)
        r = snapshot_unpack_end(u, err);
    if (r == 0 && !rd->began)
        r = err_set(err, -EBADMSG,
                    "message %llu is damaged: its snapshot is "
                    "empty",
                    (unsigned long long)m->id);
    snapshot_unpacker_free(u);
    return r;
}

int snapshot_read(struct pages *p, const struct remote_message *m,
                  const struct snapshot_reader *reader, struct err *err)
{
    struct reading rd = {
        .reader = reader,
        .kept = MAP_INIT(&kept_type),
    };
    struct snapshot_head head;

    rd.last = &rd.first;
    int r = snapshot_parse(m, &head, err);
    if (r < 0)
        return r;
    rd.newer = head.over != 0;
    snapshot_head_release(&head);

    r = read_one(p, m, &rd, err);
    if (r == 0 && rd.newer) {
        const struct remote_message *base;
        rd.upon = true;
        r = pages_need(p, rd.over, &base, err);
        if (r == 0)
            r = read_one(p, base, &rd, err);
        if (r < 0)
            err_wrap(err, r, "what snapshot %llu is over",
                     (unsigned long long)m->id);
        for (struct kept *k = rd.first; k && r == 0; k = k->next)
            if (!k->told)
                r = tell_kept(&rd, k, false, err);
    }
    while (rd.first) {
        struct kept *next = rd.first->next;
        free(rd.first);
        rd.first = next;
    }
    map_release(&rd.kept);
    buf_release(&rd.arena);
    buf_release(&rd.arena2);
    return r;
}
