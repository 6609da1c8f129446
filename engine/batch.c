/* A batch: its line in the message and the lines of its file, each written and
 * read here. */
#include "engine/batch.h"

#include <errno.h>
#include <string.h>

#include "engine/base/digest.h"
#include "engine/json.h"
#include "engine/record_impl.h"
#include "engine/timestamp.h"

static void batch_digest(uint32_t count, const char *data, size_t len,
                         unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, "batch %u len %zu\n", count, len);
    struct sha256 d = sha256_of_two(b.data, b.len, data, len);
    memcpy(out, d.byte, 16);
}

/* --- writing -------------------------------------------------------------- */

static bool has_line_break(const char *text, size_t len)
{
    return memchr(text, '\n', len) || memchr(text, '\r', len);
}

static void add_line(struct buf *b, const struct record *r)
{
    char by[RECORD_BY_MAX];
    size_t by_len = record_clean_by(r, by);

    buf_printf(b, "{\"op\":\"%s\",\"key\":", record_verbs[r->verb]);
    buf_add_json(b, r->key, r->key_len);
    buf_printf(b, ",\"v\":%u", r->version);
    if (r->copy)
        buf_printf(b, ",\"of\":\"%llu\"", (unsigned long long)r->id);
    buf_addstr(b, ",\"base\":");
    record_add_base(b, r, "\"");
    buf_printf(b, ",\"at\":%lld", (long long)timestamp_clamp(r->at_ms));
    if (record_mtime(r) != timestamp_clamp(r->at_ms))
        buf_printf(b, ",\"mtime\":%lld", (long long)record_mtime(r));
    buf_addstr(b, ",\"by\":");
    buf_add_json(b, by, by_len);
    if (r->joined)
        buf_addstr(b, ",\"and\":true");
    if (r->verb != RECORD_DELETE) {
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

size_t batch_line_len(const struct record *r)
{
    AUTO_BUF struct buf b = BUF_INIT;
    struct record bare = *r;

    /* All but the text, which may be long: its own length, or that of its
     * escapes. */
    if (r->text && !has_line_break(r->text, r->text_len)) {
        bare.text = "";
        bare.text_len = 0;
        add_line(&b, &bare);
        return b.len + r->text_len;
    }
    if (!r->text)
        bare.text = "";
    add_line(&b, &bare);
    return b.len;
}

int batch_encode(const struct record *list, size_t n, uint64_t max_file,
                 struct buf *line, struct buf *file, struct err *err)
{
    unsigned char sha[16];
    char hex[33];

    for (size_t i = 0; i < n; i++) {
        const struct record *r = &list[i];
        if (r->verb != RECORD_DELETE && !r->text)
            return err_set(err, -EFBIG,
                           "version %u of the row has no room in its message",
                           r->version);
        add_line(file, r);
        /* Before memory is filled with what cannot be sent. */
        if (file->len > max_file)
            return message_too_big(err, file->len, max_file);
    }
    batch_digest((uint32_t)n, file->data, file->len, sha);
    buf_reset(line);
    buf_printf(line,
               LINE_START "batch %zu in \"" BATCH_NAME "\" len %zu sha %s", n,
               file->len, hex_of(sha, 16, hex));
    return 0;
}

/* --- reading -------------------------------------------------------------- */

bool batch_read_head(struct reader *r, struct records *out, const char **name,
                     size_t *name_len)
{
    uint64_t count;
    bool escaped;

    if (!reader_u64(r, UINT32_MAX, "how many records", &count) ||
        !reader_expect(r, " in ") ||
        !reader_quoted(r, "a file's name in quotes", name, name_len,
                       &escaped) ||
        !reader_expect(r, " len ") ||
        !reader_u64(r, UINT32_MAX - 2, "the file's length", &out->batch_len) ||
        !reader_expect(r, " sha ") || !reader_sha(r, out->batch_sha))
        return false;
    out->batch_count = (uint32_t)count;
    return r->at == r->end || reader_failed(r, "the end of the line");
}

static bool read_ms(struct reader *r, const char *what, int64_t *out)
{
    uint64_t v;
    bool negative = reader_accept(r, "-");

    if (!reader_u64(
            r, negative ? (uint64_t)-TIMESTAMP_FIRST : (uint64_t)TIMESTAMP_LAST,
            what, &v))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

/* One line, without its newline. */
static bool read_line(struct reader *r, uint64_t message, struct record *rec)
{
    rec->id = rec->holder = message;
    if (!reader_expect(r, "{\"op\":\"") || !record_read_verb(r, rec) ||
        !reader_expect(r, "\",\"key\":") ||
        !reader_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &rec->key,
                       &rec->key_len) ||
        !reader_expect(r, ",\"v\":") || !record_read_version(r, rec))
        return false;
    if (reader_accept(r, ",\"of\":\"") &&
        (!record_read_of(r, rec) || !reader_expect(r, "\"")))
        return false;
    if (rec->verb == RECORD_WAS && !rec->copy)
        return reader_failed(r, ",\"of\":\"");
    if (!reader_expect(r, ",\"base\":\"") || !record_read_base(r, rec) ||
        !reader_expect(r, "\",\"at\":") ||
        !read_ms(r, "milliseconds since 1970", &rec->at_ms))
        return false;
    rec->mtime_ms = rec->at_ms;
    if (rec->verb != RECORD_DELETE && reader_accept(r, ",\"mtime\":") &&
        !read_ms(r, "milliseconds since 1970", &rec->mtime_ms))
        return false;
    if (!reader_expect(r, ",\"by\":") ||
        !reader_string(r, 0, RECORD_BY_MAX, "who, in quotes", &rec->by,
                       &rec->by_len))
        return false;
    rec->joined = !rec->copy && reader_accept(r, ",\"and\":true");

    if (rec->verb == RECORD_DELETE) {
        reader_expect(r, "}");
    } else if (reader_accept(r, ",\"text\":")) {
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
    return !r->fail &&
           (r->at == r->end || reader_failed(r, "the end of the line"));
}

static int parse_lines(uint64_t message, const char *data, size_t len,
                       struct records *out, struct err *err)
{
    const char *at = data, *end = data + len;

    for (size_t line = 1; at < end; line++) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        if (!eol)
            return message_damaged(err, message,
                                   "its batch ends inside of line %zu", line);
        struct reader r = {
            .at = at, .end = eol, .arena = &out->arena, .arena_size = len};
        struct record *rec = records_add(out);
        if (!read_line(&r, message, rec)) {
            AUTO_BUF struct buf what = BUF_INIT;
            buf_add_json(&what, r.fail, strlen(r.fail));
            return message_damaged(
                err, message, "line %zu of its batch, byte %zu: expected %s",
                line, (size_t)(r.at - at) + 1, what.data);
        }
        if (!records_joint_holds(out))
            return message_damaged(
                err, message,
                "line %zu of its batch: nothing before it to join", line);
        if (rec->text && json_check(rec->text, rec->text_len, err) < 0)
            return err_wrap(err, -EBADMSG,
                            "message %llu is damaged: line %zu of its batch",
                            (unsigned long long)message, line);
        at = eol + 1;
    }
    return 0;
}

int batch_parse(const struct records *head, uint64_t message, const char *data,
                size_t len, struct records *out, struct err *err)
{
    unsigned char sha[16];
    struct records found = {0};

    if (len != head->batch_len)
        return message_damaged(err, message,
                               "its batch has %zu bytes, not %llu", len,
                               (unsigned long long)head->batch_len);
    batch_digest(head->batch_count, data, len, sha);
    if (memcmp(sha, head->batch_sha, sizeof(sha)) != 0)
        return message_damaged(err, message, "its batch has the wrong digest");

    int r = parse_lines(message, data, len, &found, err);
    if (r == 0 && found.n != head->batch_count)
        r = message_damaged(err, message, "its batch has %zu records, not %u",
                            found.n, head->batch_count);
    if (r < 0) {
        records_release(&found);
        return r;
    }
    *out = found;
    return 0;
}
