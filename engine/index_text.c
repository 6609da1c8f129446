/* Entries of an index: the message's line, the lines below it, and the lines
 * of a file, each written and read here. */
#include "engine/index_text.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/reader.h"
#include "engine/record.h"
#include "engine/token.h"
#include "engine/transit.h"

#define HEAD "-# dbcord index "
#define FIND "\n-# find"
#define FILE_NAME "index.ndjson"

/* Of a canonical form: 256 bytes and what stands before it. */
#define VALUE_MAX 512
#define FIELD_MAX 4096

_Static_assert(INDEX_TOKEN_LEN == TOKEN_LEN, "one kind of word");

void index_message_release(struct index_message *im)
{
    free(im->list);
    buf_release(&im->arena);
    buf_release(&im->file_arena);
    *im = (struct index_message){0};
}

void index_token(const char *field, size_t field_len, const char *value,
                 size_t value_len, char out[INDEX_TOKEN_LEN + 1])
{
    token_of_canonical(field, field_len, value, value_len, out);
}

static void file_digest(size_t count, const char *data, size_t len,
                        unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, "index %zu len %zu\n", count, len);
    struct sha256 d = sha256_of_two(b.data, b.len, data, len);
    memcpy(out, d.byte, 16);
}

/* --- writing -------------------------------------------------------------- */

static void add_head(struct buf *b, const struct index_message *im, size_t n)
{
    bool last = n == im->n;

    buf_addstr(b, HEAD);
    transit_add_string(b, im->field, im->field_len);
    buf_printf(b, " of %llu entries %zu upto %llu %llu",
               (unsigned long long)im->table, n,
               (unsigned long long)(last ? im->upto[0] : 0),
               (unsigned long long)(last ? im->upto[1] : 0));
    if (last && im->over)
        buf_printf(b, " over %llu", (unsigned long long)im->over);
}

static void add_entry(struct buf *b, const struct index_entry *e)
{
    buf_addstr(b, e->value ? "\n+ " : "\n- ");
    transit_add_string(b, e->key, e->key_len);
    buf_printf(b, " v%u of %llu", e->version, (unsigned long long)e->of);
    if (!e->value)
        return;
    buf_printf(b, " in %llu ", (unsigned long long)e->in);
    transit_add_string(b, e->value, e->value_len);
}

/* All in the content; false: it has no room. */
static bool build_inline(const struct index_message *im, struct buf *content)
{
    AUTO_BUF struct buf words = BUF_INIT;
    AUTO_BUF struct buf b = BUF_INIT;
    char word[TOKEN_LEN + 1];

    /* Each takes more than this. */
    if (im->n > REMOTE_CONTENT_MAX / 16)
        return false;
    add_head(&b, im, im->n);
    for (size_t i = 0; i < im->n; i++) {
        const struct index_entry *e = &im->list[i];
        add_entry(&b, e);
        if (!e->value)
            continue;
        token_of_canonical(im->field, im->field_len, e->value, e->value_len,
                           word);
        if (words.data && strstr(words.data, word))
            continue;
        buf_addc(&words, ' ');
        buf_addstr(&words, word);
    }
    if (words.len > 0) {
        buf_addstr(&b, FIND);
        buf_add(&b, words.data, words.len);
    }
    if (utf16_units(b.data, b.len) > REMOTE_CONTENT_MAX)
        return false;
    *content = buf_take(&b);
    return true;
}

static void add_line(struct buf *b, const struct index_entry *e)
{
    buf_addstr(b, "{\"key\":");
    buf_add_json(b, e->key, e->key_len);
    buf_printf(b, ",\"v\":%u,\"of\":\"%llu\"", e->version,
               (unsigned long long)e->of);
    if (e->value) {
        buf_printf(b, ",\"in\":\"%llu\",\"value\":", (unsigned long long)e->in);
        buf_add_json(b, e->value, e->value_len);
    }
    buf_addstr(b, "}\n");
}

int index_build(const struct index_message *im, uint64_t max_file,
                size_t *taken, struct remote_draft *draft, struct buf *storage,
                struct err *err)
{
    unsigned char sha[16];
    char hex[33];
    size_t n = 0;

    if (!im->as_file && build_inline(im, &draft->content)) {
        *taken = im->n;
        return 0;
    }
    for (; n < im->n; n++) {
        size_t before = storage->len;
        add_line(storage, &im->list[n]);
        if (storage->len <= max_file)
            continue;
        buf_truncate(storage, before);
        break;
    }
    if (n == 0 && im->n > 0)
        return err_set(err, -EFBIG,
                       "an entry of an index is larger than a file may be "
                       "(%llu bytes)",
                       (unsigned long long)max_file);
    file_digest(n, storage->data, storage->len, sha);
    buf_reset(&draft->content);
    add_head(&draft->content, im, n);
    buf_printf(&draft->content, " in \"" FILE_NAME "\" len %zu sha %s",
               storage->len, hex_of(sha, 16, hex));
    draft->files[0] = (struct remote_upload){
        .name = FILE_NAME,
        .type = "application/x-ndjson",
        .data = storage->data,
        .len = storage->len,
    };
    draft->n_files = 1;
    *taken = n;
    return 0;
}

/* --- reading -------------------------------------------------------------- */

static int damaged(struct err *err, uint64_t message, const char *where,
                   const struct reader *r, const char *start)
{
    AUTO_BUF struct buf what = BUF_INIT;

    buf_add_json(&what, r->fail, strlen(r->fail));
    return err_set(err, -EBADMSG,
                   "message %llu is damaged: %s, byte %zu: expected %s",
                   (unsigned long long)message, where,
                   (size_t)(r->at - start) + 1, what.data);
}

static bool read_id(struct reader *r, const char *what, uint64_t *out)
{
    return reader_u64(r, UINT64_MAX - 1, what, out) &&
           (*out != 0 || reader_failed(r, what));
}

static bool read_version(struct reader *r, struct index_entry *e)
{
    uint64_t v;

    if (!reader_u64(r, UINT32_MAX, "a version from 1", &v))
        return false;
    e->version = (uint32_t)v;
    return v > 0 || reader_failed(r, "a version from 1");
}

static struct index_entry *add(struct index_message *im)
{
    if ((im->n & (im->n - 1)) == 0)
        im->list =
            xrealloc(im->list, (im->n ? im->n * 2 : 1) * sizeof(*im->list));
    im->list[im->n] = (struct index_entry){0};
    return &im->list[im->n++];
}

/* A line of the content, behind its sign. */
static bool read_entry(struct reader *r, bool has_value, struct index_entry *e)
{
    if (!reader_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &e->key,
                       &e->key_len) ||
        !reader_expect(r, " v") || !read_version(r, e) ||
        !reader_expect(r, " of ") || !read_id(r, "the id of a message", &e->of))
        return false;
    return !has_value || (reader_expect(r, " in ") &&
                          read_id(r, "the id of a message", &e->in) &&
                          reader_expect(r, " ") &&
                          reader_string(r, 1, VALUE_MAX, "a value in quotes",
                                        &e->value, &e->value_len));
}

static bool read_entries(struct reader *r, struct index_message *im)
{
    while (reader_left(r) > 0) {
        if (reader_accept(r, FIND)) {
            /* Words for Discord's search: what they are does not matter. */
            if (memchr(r->at, '\n', reader_left(r)))
                return reader_failed(r, "the end behind the words to find");
            r->at = r->end;
            break;
        }
        bool has_value = reader_accept(r, "\n+ ");
        if (!has_value && !reader_expect(r, "\n- "))
            return false;
        if (im->n == im->count)
            return reader_failed(r, "no more entries");
        if (!read_entry(r, has_value, add(im)))
            return false;
    }
    return im->n == im->count || reader_failed(r, "more entries");
}

static bool read_file_head(struct reader *r, const struct remote_message *m,
                           struct index_message *im)
{
    const char *name;
    size_t len;
    bool escaped;

    if (!reader_quoted(r, "a file's name in quotes", &name, &len, &escaped) ||
        !reader_expect(r, " len ") ||
        !reader_u64(r, UINT32_MAX - 2, "the file's length", &im->file_len) ||
        !reader_expect(r, " sha ") || !reader_sha(r, im->file_sha))
        return false;
    if (r->at != r->end)
        return reader_failed(r, "the end of the line");
    /* Discord may have changed its name; it is the only one. */
    if (m->n_files != 1 || m->files[0].id == 0)
        return reader_failed(r, "one attachment");
    im->file = m->files[0].id;
    return true;
}

static bool read_head(struct reader *r, uint64_t message,
                      struct index_message *im)
{
    uint64_t count;

    if (!reader_expect(r, HEAD) ||
        !reader_string(r, 1, FIELD_MAX, "a field in quotes", &im->field,
                       &im->field_len) ||
        !reader_expect(r, " of ") ||
        !read_id(r, "the id of the table's channel", &im->table) ||
        !reader_expect(r, " entries ") ||
        !reader_u64(r, UINT32_MAX, "how many entries", &count) ||
        !reader_expect(r, " upto ") ||
        !reader_u64(r, UINT64_MAX - 1, "an id", &im->upto[0]) ||
        !reader_expect(r, " ") ||
        !reader_u64(r, UINT64_MAX - 1, "an id", &im->upto[1]))
        return false;
    im->count = (size_t)count;
    if (!reader_accept(r, " over "))
        return true;
    return read_id(r, "an id", &im->over) &&
           (im->over < message || reader_failed(r, "the id of one before"));
}

int index_parse(const struct remote_message *m, struct index_message *out,
                struct err *err)
{
    struct reader r = {
        .at = m->content,
        .end = m->content + m->content_len,
        .arena_size = m->content_len,
    };

    *out = (struct index_message){0};
    if (m->content_len < strlen(HEAD) ||
        memcmp(m->content, HEAD, strlen(HEAD)) != 0)
        return err_set(err, -ENOMSG, "message %llu is not an index's",
                       (unsigned long long)m->id);
    r.arena = &out->arena;
    bool good = read_head(&r, m->id, out) &&
                (reader_accept(&r, " in ") ? read_file_head(&r, m, out)
                                           : read_entries(&r, out));
    if (good && !r.fail)
        return 0;
    int res = damaged(err, m->id, "its text", &r, m->content);
    index_message_release(out);
    return res;
}

static bool read_line(struct reader *r, struct index_entry *e)
{
    if (!reader_expect(r, "{\"key\":") ||
        !reader_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &e->key,
                       &e->key_len) ||
        !reader_expect(r, ",\"v\":") || !read_version(r, e) ||
        !reader_expect(r, ",\"of\":\"") ||
        !read_id(r, "the id of a message", &e->of) || !reader_expect(r, "\""))
        return false;
    if (reader_accept(r, ",\"in\":\"") &&
        (!read_id(r, "the id of a message", &e->in) ||
         !reader_expect(r, "\",\"value\":") ||
         !reader_string(r, 1, VALUE_MAX, "a value in quotes", &e->value,
                        &e->value_len)))
        return false;
    return reader_expect(r, "}") &&
           (r->at == r->end || reader_failed(r, "the end of the line"));
}

int index_parse_file(struct index_message *im, uint64_t message,
                     const char *data, size_t len, struct err *err)
{
    unsigned char sha[16];
    const char *at = data, *end = data ? data + len : data;

    if (len != im->file_len)
        return err_set(err, -EBADMSG,
                       "message %llu is damaged: its file has %zu bytes, not "
                       "%llu",
                       (unsigned long long)message, len,
                       (unsigned long long)im->file_len);
    file_digest(im->count, data, len, sha);
    if (memcmp(sha, im->file_sha, sizeof(sha)) != 0)
        return err_set(err, -EBADMSG,
                       "message %llu is damaged: its file has the wrong digest",
                       (unsigned long long)message);
    /* The field may stand in the arena already, which must not move. */
    struct index_message found = {.count = im->count};
    struct err why = ERR_INIT;
    int r = 0;
    for (size_t line = 1; r == 0 && at < end; line++) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        struct reader rd = {
            .at = at,
            .end = eol ? eol : end,
            .arena = &found.arena,
            .arena_size = len,
        };
        AUTO_BUF struct buf where = BUF_INIT;
        buf_printf(&where, "line %zu of its file", line);
        if (!eol)
            reader_failed(&rd, "a newline at its end");
        if (rd.fail || !read_line(&rd, add(&found)))
            r = damaged(&why, message, where.data, &rd, at);
        at = eol ? eol + 1 : end;
    }
    if (r == 0 && found.n != im->count)
        r = err_set(&why, -EBADMSG,
                    "message %llu is damaged: its file has %zu entries, not "
                    "%zu",
                    (unsigned long long)message, found.n, im->count);
    if (r < 0) {
        index_message_release(&found);
        if (err)
            *err = why;
        return r;
    }
    free(im->list);
    im->list = found.list;
    im->n = found.n;
    buf_release(&im->file_arena);
    im->file_arena = found.arena;
    return 0;
}
