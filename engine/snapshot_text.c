/* The line of a snapshot's message and the lines of its file. The reader
 * believes nothing but the digest: a row's text that is no JSON object is
 * refused as it would be anywhere else. */
#include "engine/snapshot_text.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/reader.h"
#include "engine/record_impl.h"
#include "engine/timestamp.h"
#include "engine/transit.h"

#define HEAD_START LINE_START "snapshot "
#define PART_START LINE_START "snapshot part "
#define FILE_END ".ndjson.gz"

#define FORMAT 1

/* --- the message -----------------------------------------------------------
 */

void snapshot_head_release(struct snapshot_head *h)
{
    buf_release(&h->arena);
}

bool snapshot_is(const struct remote_message *m)
{
    return m->type == 0 && m->content_len >= sizeof(HEAD_START) - 1 &&
           memcmp(m->content, HEAD_START, sizeof(HEAD_START) - 1) == 0;
}

void snapshot_file_name(const char *table, struct buf *out)
{
    size_t start = out->len;

    for (const char *s = table; *s && out->len - start < 60; s++) {
        unsigned char c = (unsigned char)*s;
        bool letter =
            (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (letter)
            buf_addc(out, (char)c);
        else if (out->len > start && out->data[out->len - 1] != '-')
            buf_addc(out, '-');
    }
    if (out->len == start)
        buf_addstr(out, "table");
    buf_addstr(out, FILE_END);
}

static bool read_ids(struct reader *r, struct snapshot_head *h)
{
    do {
        if (h->n_parts == SNAPSHOT_PARTS_MAX)
            return reader_failed(r, "fewer parts");
        if (!reader_u64(r, UINT64_MAX - 1, "the id of a part",
                        &h->parts[h->n_parts++]))
            return false;
    } while (reader_accept(r, ","));
    return true;
}

static bool read_time(struct reader *r, int64_t *out)
{
    if (r->fail || reader_left(r) < TIMESTAMP_LEN ||
        !timestamp_parse(r->at, out))
        return reader_failed(r, "a time like 2026-01-31T23:59:59.999Z");
    r->at += TIMESTAMP_LEN;
    return true;
}

static bool read_id(struct reader *r, const char *before, uint64_t *out)
{
    return reader_expect(r, before) &&
           reader_u64(r, UINT64_MAX - 1, "an id", out);
}

/* What is not about the file. */
static bool read_state(struct reader *r, struct snapshot_head *h)
{
    if (reader_left(r) > 0 && *r->at == '"') {
        if (!reader_string(r, 1, SNAPSHOT_LABEL_MAX, "a label in quotes",
                           &h->label, &h->label_len) ||
            !reader_expect(r, " "))
            return false;
    }
    if (!reader_expect(r, "rows ") ||
        !reader_u64(r, UINT64_MAX, "how many rows", &h->rows) ||
        !reader_expect(r, " bytes ") ||
        !reader_u64(r, UINT64_MAX, "how many bytes", &h->bytes) ||
        !read_id(r, " cut ", &h->cut) || !read_id(r, " upto ", &h->upto[0]) ||
        !read_id(r, " ", &h->upto[1]))
        return false;
    if (reader_accept(r, " settled ") &&
        !reader_u64(r, UINT64_MAX - 1, "an id", &h->settled))
        return false;
    if (reader_accept(r, " over ") &&
        (!reader_u64(r, UINT64_MAX - 1, "an id", &h->over) || h->over == 0))
        return reader_failed(r, "an id");
    if (reader_accept(r, " parts ") && !read_ids(r, h))
        return false;
    return reader_expect(r, " at ") && read_time(r, &h->at_ms) &&
           reader_expect(r, " by ") &&
           reader_string(r, 0, RECORD_BY_MAX, "who, in quotes", &h->by,
                         &h->by_len);
}

static bool read_head(struct reader *r, struct snapshot_head *h,
                      const char *start)
{
    uint64_t part = 0;
    bool escaped;

    if (reader_accept(r, "part ")) {
        if (!reader_u64(r, SNAPSHOT_PARTS_MAX, "a part's number", &part) ||
            part == 0)
            return reader_failed(r, "a part's number");
        h->part = (unsigned)part;
    } else if (!read_state(r, h)) {
        return false;
    }
    if (!reader_expect(r, " in ") ||
        !reader_quoted(r, "a file's name in quotes", &h->file_name,
                       &h->file_name_len, &escaped) ||
        !reader_expect(r, " len ") ||
        !reader_u64(r, UINT32_MAX, "the file's length", &h->len))
        return false;
    h->hashed = start;
    h->hashed_len = (size_t)(r->at - start);
    return reader_expect(r, " sha ") && reader_sha(r, h->sha) &&
           (r->at == r->end || reader_failed(r, "the end of the line"));
}

static uint64_t find_file(const struct remote_message *m, const char *name,
                          size_t len)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (strlen(m->files[i].name) == len &&
            memcmp(m->files[i].name, name, len) == 0)
            return m->files[i].id;
    return m->n_files == 1 ? m->files[0].id : 0;
}

int snapshot_parse(const struct remote_message *m, struct snapshot_head *out,
                   struct err *err)
{
    if (!snapshot_is(m))
        return err_set(err, -ENOMSG, "message %llu is no snapshot",
                       (unsigned long long)m->id);

    struct snapshot_head h = {0};
    struct reader r = {
        .at = m->content + sizeof(HEAD_START) - 1,
        .end = m->content + m->content_len,
        .arena = &h.arena,
        .arena_size = m->content_len,
    };
    int res = 0;
    if (!read_head(&r, &h, m->content)) {
        AUTO_BUF struct buf what = BUF_INIT;
        buf_add_json(&what, r.fail, strlen(r.fail));
        res = message_damaged(err, m->id,
                              "its snapshot line, byte %zu: expected %s",
                              (size_t)(r.at - m->content) + 1, what.data);
    } else {
        h.file = find_file(m, h.file_name, h.file_name_len);
        if (!h.file)
            res =
                message_damaged(err, m->id, "its attachment '%.*s' is missing",
                                (int)h.file_name_len, h.file_name);
    }
    if (res < 0)
        snapshot_head_release(&h);
    else
        *out = h;
    return res;
}

static void digest(const char *line, size_t line_len, const char *data,
                   size_t len, unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_add(&b, line, line_len);
    buf_addc(&b, '\n');
    struct sha256 d = sha256_of_two(b.data, b.len, data, len);
    memcpy(out, d.byte, 16);
}

int snapshot_check_file(const struct snapshot_head *h, uint64_t message,
                        const char *data, size_t len, struct err *err)
{
    unsigned char sha[16];

    if (len != h->len)
        return message_damaged(err, message,
                               "its snapshot has %zu bytes, not %llu", len,
                               (unsigned long long)h->len);
    digest(h->hashed, h->hashed_len, data, len, sha);
    if (memcmp(sha, h->sha, sizeof(sha)) != 0)
        return message_damaged(err, message,
                               "its snapshot has the wrong digest");
    return 0;
}

static void add_state(struct buf *b, const struct snapshot_head *h)
{
    char by[RECORD_BY_MAX];
    struct record rec = {.by = h->by, .by_len = h->by_len};

    if (h->label) {
        transit_add_string(b, h->label, h->label_len);
        buf_addc(b, ' ');
    }
    buf_printf(b, "rows %llu bytes %llu cut %llu upto %llu %llu",
               (unsigned long long)h->rows, (unsigned long long)h->bytes,
               (unsigned long long)h->cut, (unsigned long long)h->upto[0],
               (unsigned long long)h->upto[1]);
    if (h->settled)
        buf_printf(b, " settled %llu", (unsigned long long)h->settled);
    if (h->over)
        buf_printf(b, " over %llu", (unsigned long long)h->over);
    for (size_t i = 0; i < h->n_parts; i++)
        buf_printf(b, "%s%llu", i ? "," : " parts ",
                   (unsigned long long)h->parts[i]);
    buf_addstr(b, " at ");
    timestamp_add(b, h->at_ms);
    buf_addstr(b, " by ");
    size_t by_len = record_clean_by(&rec, by);
    transit_add_string(b, by, by_len);
}

bool snapshot_build(struct snapshot_head *h, const char *data, size_t len,
                    struct remote_draft *draft)
{
    struct buf *b = &draft->content;
    AUTO_BUF struct buf name = BUF_INIT;
    char hex[33];

    buf_add(&name, h->file_name, h->file_name_len);
    buf_reset(b);
    if (h->part) {
        buf_printf(b, PART_START "%u", h->part);
    } else {
        buf_addstr(b, HEAD_START);
        add_state(b, h);
    }
    buf_printf(b, " in \"%s\" len %zu", name.data, len);
    h->len = len;
    digest(b->data, b->len, data, len, h->sha);
    buf_printf(b, " sha %s", hex_of(h->sha, 16, hex));
    draft->files[0] = (struct remote_upload){
        .name = h->file_name,
        .type = "application/gzip",
        .data = data,
        .len = len,
    };
    draft->n_files = 1;
    return h->n_parts <= SNAPSHOT_PARTS_MAX &&
           h->label_len <= SNAPSHOT_LABEL_MAX &&
           utf16_units(b->data, b->len) <= REMOTE_CONTENT_MAX;
}

/* --- rows ------------------------------------------------------------------
 */

static void add_id(struct buf *b, const char *name, uint64_t id)
{
    buf_printf(b, ",\"%s\":\"%llu\"", name, (unsigned long long)id);
}

static void add_file(struct buf *b, const struct snapshot_line *l)
{
    char hex[33];

    buf_printf(b, ",\"place\":\"%s\"",
               l->place == SNAPSHOT_IN_CHANNEL ? "channel" : "thread");
    add_id(b, "file", l->rec.file);
    buf_addstr(b, ",\"in\":");
    buf_add_json(b, l->rec.file_name, l->rec.file_name_len);
    buf_printf(b, ",\"len\":%zu,\"sha\":\"%s\"", l->rec.text_len,
               hex_of(l->rec.sha, 16, hex));
    if (l->values_len > 0) {
        buf_addstr(b, ",\"values\":");
        buf_add(b, l->values, l->values_len);
    }
}

static bool has_line_break(const char *text, size_t len)
{
    return memchr(text, '\n', len) || memchr(text, '\r', len);
}

void snapshot_add_line(struct buf *b, const struct snapshot_line *l)
{
    const struct record *r = &l->rec;
    char by[RECORD_BY_MAX];
    size_t by_len = record_clean_by(r, by);

    buf_addstr(b, "{\"op\":\"");
    buf_addstr(b, record_verbs[r->verb]);
    buf_addstr(b, "\",\"key\":");
    buf_add_json(b, r->key, r->key_len);
    buf_printf(b, ",\"v\":%u,\"id\":\"%llu\"", r->version,
               (unsigned long long)r->id);
    /* Of a first version there is none, of others it may not be known. */
    if (r->base)
        add_id(b, "base", r->base);
    if (l->home)
        add_id(b, "home", l->home);
    if (l->shows && l->shows != r->id)
        add_id(b, "shows", l->shows);
    if (r->holder != r->id)
        add_id(b, "holder", r->holder);
    if (l->again)
        buf_addstr(b, ",\"again\":true");
    buf_printf(b, ",\"at\":%lld", (long long)timestamp_clamp(r->at_ms));
    if (record_mtime(r) != timestamp_clamp(r->at_ms))
        buf_printf(b, ",\"mtime\":%lld", (long long)record_mtime(r));
    buf_addstr(b, ",\"by\":");
    buf_add_json(b, by, by_len);
    if (r->verb != RECORD_DELETE && !r->text) {
        add_file(b, l);
    } else if (r->verb != RECORD_DELETE) {
        if (has_line_break(r->text, r->text_len)) {
            buf_addstr(b, ",\"text\":");
            buf_add_json(b, r->text, r->text_len);
        } else {
            buf_addstr(b, ",\"row\":");
            buf_add(b, r->text, r->text_len);
        }
    }
    buf_addstr(b, "}\n");
}

static bool read_ms(struct reader *r, int64_t *out)
{
    static const char what[] = "milliseconds since 1970";
    uint64_t v;
    bool negative = reader_accept(r, "-");

    if (!reader_u64(
            r, negative ? (uint64_t)-TIMESTAMP_FIRST : (uint64_t)TIMESTAMP_LAST,
            what, &v))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

/* ,"name":"ID" where it is there. */
static bool read_maybe_id(struct reader *r, const char *name, uint64_t *out)
{
    static const char what[] = "an id in quotes";

    if (!reader_accept(r, name))
        return !r->fail;
    if (!reader_u64(r, UINT64_MAX - 1, what, out))
        return false;
    if (*out == 0)
        return reader_failed(r, what);
    return reader_expect(r, "\"");
}

/* A JSON object, by its brackets: the value is looked at when it is used. */
static bool read_object(struct reader *r, const char **s, size_t *len)
{
    const char *from = r->at;
    int depth = 0;
    bool in_string = false;

    for (const char *p = from; p < r->end; p++) {
        if (in_string) {
            if (*p == '\\')
                p++;
            else if (*p == '"')
                in_string = false;
        } else if (*p == '"') {
            in_string = true;
        } else if (*p == '{') {
            depth++;
        } else if (*p == '}' && --depth == 0) {
            *s = from;
            *len = (size_t)(p + 1 - from);
            r->at = p + 1;
            return json_check(*s, *len, NULL) == 0 ||
                   reader_failed(r, "an object");
        }
        if (depth == 0)
            break;
    }
    return reader_failed(r, "an object");
}

static bool read_file(struct reader *r, struct snapshot_line *out)
{
    uint64_t len;

    if (!reader_expect(r, ",\"place\":\""))
        return false;
    if (reader_accept(r, "channel"))
        out->place = SNAPSHOT_IN_CHANNEL;
    else if (reader_accept(r, "thread"))
        out->place = SNAPSHOT_IN_THREAD;
    else
        return reader_failed(r, "channel or thread");
    if (!reader_expect(r, "\"") ||
        !read_maybe_id(r, ",\"file\":\"", &out->rec.file) ||
        (!out->rec.file && !reader_failed(r, ",\"file\":\"")) ||
        !reader_expect(r, ",\"in\":") ||
        !reader_string(r, 0, 1024, "a file's name in quotes",
                       &out->rec.file_name, &out->rec.file_name_len) ||
        !reader_expect(r, ",\"len\":") ||
        !reader_u64(r, UINT32_MAX - 2, "the text's length", &len) ||
        !reader_expect(r, ",\"sha\":\"") || !reader_sha(r, out->rec.sha) ||
        !reader_expect(r, "\""))
        return false;
    out->rec.text_len = (size_t)len;
    if (reader_accept(r, ",\"values\":") &&
        !read_object(r, &out->values, &out->values_len))
        return false;
    return reader_expect(r, "}");
}

static bool read_text(struct reader *r, struct record *rec)
{
    if (reader_accept(r, ",\"text\":")) {
        if (!reader_string(r, 2, UINT32_MAX - 2, "a row as a string",
                           &rec->text, &rec->text_len) ||
            !reader_expect(r, "}"))
            return false;
    } else {
        if (!reader_expect(r, ",\"row\":"))
            return false;
        if (reader_left(r) < 3 || r->end[-1] != '}')
            return reader_failed(r, "a row, and '}' at the line's end");
        rec->text = r->at;
        rec->text_len = reader_left(r) - 1;
        r->at = r->end;
    }
    return json_check(rec->text, rec->text_len, NULL) == 0 ||
           reader_failed(r, "a row that is a JSON object");
}

static bool read_line(struct reader *r, struct snapshot_line *out)
{
    struct record *rec = &out->rec;

    if (!reader_expect(r, "{\"op\":\"") || !record_read_verb(r, rec) ||
        !reader_expect(r, "\",\"key\":") ||
        !reader_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &rec->key,
                       &rec->key_len) ||
        !reader_expect(r, ",\"v\":") || !record_read_version(r, rec) ||
        !read_maybe_id(r, ",\"id\":\"", &rec->id) ||
        (!rec->id && !reader_failed(r, ",\"id\":\"")) ||
        !read_maybe_id(r, ",\"base\":\"", &rec->base) ||
        !read_maybe_id(r, ",\"home\":\"", &out->home) ||
        !read_maybe_id(r, ",\"shows\":\"", &out->shows) ||
        !read_maybe_id(r, ",\"holder\":\"", &rec->holder))
        return false;
    if (rec->base && rec->version == 1)
        return reader_failed(r, "no base of a first version");
    if (rec->verb == RECORD_DELETE && rec->version == 1)
        return reader_failed(r, "a version that can be a deletion");
    if (!out->shows && (out->home || rec->verb == RECORD_WAS))
        out->shows = rec->id;
    if (!rec->holder)
        rec->holder = rec->id;
    out->again = reader_accept(r, ",\"again\":true");
    if (!reader_expect(r, ",\"at\":") || !read_ms(r, &rec->at_ms))
        return false;
    rec->mtime_ms = rec->at_ms;
    if (rec->verb != RECORD_DELETE && reader_accept(r, ",\"mtime\":") &&
        !read_ms(r, &rec->mtime_ms))
        return false;
    if (!reader_expect(r, ",\"by\":") ||
        !reader_string(r, 0, RECORD_BY_MAX, "who, in quotes", &rec->by,
                       &rec->by_len))
        return false;
    if (rec->verb == RECORD_DELETE)
        reader_expect(r, "}");
    else if (rec->verb == RECORD_WAS || (reader_left(r) > 2 && r->at[2] == 'p'))
        read_file(r, out);
    else
        read_text(r, rec);
    return !r->fail &&
           (r->at == r->end || reader_failed(r, "the end of the line"));
}

bool snapshot_read_line(const char *line, size_t len, struct buf *arena,
                        struct snapshot_line *out, const char **why, size_t *at)
{
    struct reader r = {
        .at = line,
        .end = line + len,
        .arena = arena,
        .arena_size = len,
    };

    *out = (struct snapshot_line){0};
    buf_reset(arena);
    /* It must not move while the line is read. */
    if (memchr(line, '\\', len))
        buf_reserve(arena, len);
    bool ok = read_line(&r, out);
    *why = r.fail;
    *at = (size_t)(r.at - line);
    return ok;
}

/* --- the first line --------------------------------------------------------
 */

void snapshot_known_release(struct snapshot_known *k)
{
    free(k->label);
    free(k->by);
    free(k->parts.list);
    *k = (struct snapshot_known){0};
}

void snapshot_meta_release(struct snapshot_meta *m)
{
    for (size_t i = 0; i < m->n_damage; i++)
        free(m->damage[i].text);
    for (size_t i = 0; i < m->n_left; i++)
        free(m->left[i].key);
    free(m->left);
    for (size_t i = 0; i < m->n_known; i++)
        snapshot_known_release(&m->known[i]);
    free(m->damage);
    free(m->known);
    free(m->seen.list);
    free(m->others.list);
    free(m->foreign.list);
    free(m->unique);
    *m = (struct snapshot_meta){0};
}

static void add_ids(struct buf *b, const char *name,
                    const struct snapshot_ids *ids)
{
    buf_printf(b, ",\"%s\":[", name);
    for (size_t i = 0; i < ids->n; i++)
        buf_printf(b, "%s\"%llu\"", i ? "," : "",
                   (unsigned long long)ids->list[i]);
    buf_addc(b, ']');
}

static void add_text(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    buf_add_json(b, text, strlen(text));
}

static void add_known(struct buf *b, const struct snapshot_known *k)
{
    buf_printf(b, "{\"id\":\"%llu\"", (unsigned long long)k->id);
    if (k->over)
        add_id(b, "over", k->over);
    add_id(b, "cut", k->cut);
    buf_printf(b, ",\"rows\":%llu,\"bytes\":%llu,\"size\":%llu,\"at\":%lld",
               (unsigned long long)k->rows, (unsigned long long)k->bytes,
               (unsigned long long)k->size, (long long)k->at_ms);
    if (k->label)
        add_text(b, "label", k->label);
    add_text(b, "by", k->by ? k->by : "");
    add_ids(b, "parts", &k->parts);
    buf_addc(b, '}');
}

void snapshot_add_meta(struct buf *b, const struct snapshot_meta *m)
{
    buf_printf(b, "{\"op\":\"snapshot\",\"format\":%d", FORMAT);
    add_id(b, "cut", m->cut);
    buf_printf(b, ",\"upto\":[\"%llu\",\"%llu\"]",
               (unsigned long long)m->upto[0], (unsigned long long)m->upto[1]);
    if (m->over)
        add_id(b, "over", m->over);
    if (m->vacuumed)
        add_id(b, "vacuumed", m->vacuumed);
    buf_printf(b, ",\"mtime\":%lld", (long long)m->mtime_ms);
    add_text(b, "unique", m->unique ? m->unique : "");
    add_ids(b, "seen", &m->seen);
    add_ids(b, "others", &m->others);
    add_ids(b, "foreign", &m->foreign);
    buf_addstr(b, ",\"damage\":[");
    for (size_t i = 0; i < m->n_damage; i++) {
        buf_printf(b, "%s{\"message\":\"%llu\"", i ? "," : "",
                   (unsigned long long)m->damage[i].message);
        add_text(b, "text", m->damage[i].text);
        buf_addc(b, '}');
    }
    buf_addstr(b, "],\"left\":[");
    for (size_t i = 0; i < m->n_left; i++) {
        buf_printf(b, "%s{\"home\":\"%llu\"", i ? "," : "",
                   (unsigned long long)m->left[i].home);
        add_text(b, "key", m->left[i].key);
        buf_addc(b, '}');
    }
    buf_addstr(b, "],\"snapshots\":[");
    for (size_t i = 0; i < m->n_known; i++) {
        if (i > 0)
            buf_addc(b, ',');
        add_known(b, &m->known[i]);
    }
    buf_addstr(b, "]}\n");
}

/* What is read of an object; the first that is wrong is noted. */
struct member_reader {
    const char *text;
    size_t len;
    const char *wrong;
};

static bool find(struct member_reader *o, const char *name, bool needed,
                 enum json_type type, struct json_member *m)
{
    bool there = json_find(o->text, o->len, name, m);

    if ((!there && needed) || (there && m->type != type)) {
        if (!o->wrong)
            o->wrong = name;
        return false;
    }
    return there;
}

static bool id_of(const char *value, size_t len, uint64_t *out)
{
    return len > 2 && value[0] == '"' && str_to_u64_n(value + 1, len - 2, out);
}

static uint64_t get_id(struct member_reader *o, const char *name, bool needed)
{
    struct json_member m;
    uint64_t id = 0;

    if (find(o, name, needed, JSON_STRING, &m) &&
        !id_of(m.value, m.value_len, &id) && !o->wrong)
        o->wrong = name;
    return id;
}

static uint64_t get_count(struct member_reader *o, const char *name)
{
    struct json_member m;
    uint64_t n = 0;

    if (find(o, name, true, JSON_NUMBER, &m) &&
        !str_to_u64_n(m.value, m.value_len, &n) && !o->wrong)
        o->wrong = name;
    return n;
}

static int64_t get_ms(struct member_reader *o, const char *name)
{
    struct json_member m;
    uint64_t n = 0;

    if (!find(o, name, true, JSON_NUMBER, &m))
        return 0;
    bool negative = m.value[0] == '-';
    if ((!str_to_u64_n(m.value + negative, m.value_len - negative, &n) ||
         n > INT64_MAX) &&
        !o->wrong)
        o->wrong = name;
    return timestamp_clamp(negative ? -(int64_t)n : (int64_t)n);
}

static char *get_text(struct member_reader *o, const char *name, bool needed)
{
    struct json_member m;
    struct buf b = BUF_INIT;

    if (!find(o, name, needed, JSON_STRING, &m))
        return NULL;
    json_unescape(m.value, m.value_len, &b);
    if ((b.len > 0 &&
         (memchr(b.data, 0, b.len) || !utf8_valid(b.data, b.len))) &&
        !o->wrong)
        o->wrong = name;
    return buf_take_str(&b);
}

static void get_ids(struct member_reader *o, const char *name,
                    struct snapshot_ids *out)
{
    struct json_member m, e;
    size_t cap = 0;

    if (!find(o, name, true, JSON_ARRAY, &m))
        return;
    for (size_t at = 0; json_element(m.value, m.value_len, &at, &e);) {
        if (out->n == cap) {
            cap = cap ? cap * 2 : 8;
            out->list = xrealloc(out->list, cap * sizeof(*out->list));
        }
        if (!id_of(e.value, e.value_len, &out->list[out->n])) {
            o->wrong = name;
            return;
        }
        out->n++;
    }
}

static void get_damage(struct member_reader *o, struct snapshot_meta *m)
{
    struct json_member list, e;

    if (!find(o, "damage", true, JSON_ARRAY, &list))
        return;
    for (size_t at = 0; json_element(list.value, list.value_len, &at, &e);) {
        struct member_reader d = {e.value, e.value_len, NULL};
        if (e.type != JSON_OBJECT) {
            o->wrong = "damage";
            return;
        }
        m->damage = xrealloc(m->damage, (m->n_damage + 1) * sizeof(*m->damage));
        struct snapshot_damage *out = &m->damage[m->n_damage++];
        out->message = get_id(&d, "message", true);
        out->text = get_text(&d, "text", true);
        if (d.wrong) {
            o->wrong = d.wrong;
            return;
        }
    }
}

static void get_left(struct member_reader *o, struct snapshot_meta *m)
{
    struct json_member list, e;

    if (!find(o, "left", true, JSON_ARRAY, &list))
        return;
    for (size_t at = 0; json_element(list.value, list.value_len, &at, &e);) {
        struct member_reader d = {e.value, e.value_len, NULL};
        if (e.type != JSON_OBJECT) {
            o->wrong = "left";
            return;
        }
        m->left = xrealloc(m->left, (m->n_left + 1) * sizeof(*m->left));
        struct snapshot_left *out = &m->left[m->n_left++];
        out->home = get_id(&d, "home", true);
        out->key = get_text(&d, "key", true);
        if (d.wrong) {
            o->wrong = d.wrong;
            return;
        }
    }
}

static void get_known(struct member_reader *o, struct snapshot_meta *m)
{
    struct json_member list, e;

    if (!find(o, "snapshots", true, JSON_ARRAY, &list))
        return;
    for (size_t at = 0; json_element(list.value, list.value_len, &at, &e);) {
        struct member_reader k = {e.value, e.value_len, NULL};
        if (e.type != JSON_OBJECT) {
            o->wrong = "snapshots";
            return;
        }
        m->known = xrealloc(m->known, (m->n_known + 1) * sizeof(*m->known));
        struct snapshot_known *out = &m->known[m->n_known++];
        *out = (struct snapshot_known){
            .id = get_id(&k, "id", true),
            .over = get_id(&k, "over", false),
            .cut = get_id(&k, "cut", true),
            .rows = get_count(&k, "rows"),
            .bytes = get_count(&k, "bytes"),
            .size = get_count(&k, "size"),
            .at_ms = get_ms(&k, "at"),
            .label = get_text(&k, "label", false),
            .by = get_text(&k, "by", true),
        };
        get_ids(&k, "parts", &out->parts);
        if (k.wrong) {
            o->wrong = k.wrong;
            return;
        }
    }
}

int snapshot_read_meta(const char *line, size_t len, struct snapshot_meta *out,
                       struct err *err)
{
    struct member_reader o = {line, len, NULL};
    struct snapshot_meta m = {0};
    struct snapshot_ids upto = {0};

    int r = json_check(line, len, err);
    if (r < 0)
        return err_wrap(err, -EBADMSG, "the snapshot's first line");
    AUTO_STR char *op = get_text(&o, "op", true);
    if (!op || strcmp(op, "snapshot") != 0 || get_count(&o, "format") != FORMAT)
        return err_set(err, -EBADMSG,
                       "the snapshot's first line is of another format");
    m.cut = get_id(&o, "cut", true);
    m.over = get_id(&o, "over", false);
    m.vacuumed = get_id(&o, "vacuumed", false);
    m.mtime_ms = get_ms(&o, "mtime");
    get_ids(&o, "upto", &upto);
    if (upto.n == 2)
        memcpy(m.upto, upto.list, sizeof(m.upto));
    else if (!o.wrong)
        o.wrong = "upto";
    free(upto.list);
    m.unique = get_text(&o, "unique", true);
    get_ids(&o, "seen", &m.seen);
    get_ids(&o, "others", &m.others);
    get_ids(&o, "foreign", &m.foreign);
    get_damage(&o, &m);
    get_left(&o, &m);
    get_known(&o, &m);
    if (o.wrong) {
        snapshot_meta_release(&m);
        return err_set(err, -EBADMSG,
                       "the snapshot's first line: its member "
                       "\"%s\" is missing or wrong",
                       o.wrong);
    }
    *out = m;
    return 0;
}
