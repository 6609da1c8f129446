/* One record: its digest, and its header line. What writes a part of the line
 * and what reads it stand side by side, so that they can be compared. */
#include "engine/record.h"

#include <errno.h>
#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/record_impl.h"
#include "engine/timestamp.h"
#include "engine/transit.h"

/* --- what is stored of it ------------------------------------------------- */

size_t record_clean_by(const struct record *r, char out[RECORD_BY_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < r->by_len;) {
        uint32_t cp;
        size_t bytes = utf8_decode(r->by + i, r->by_len - i, &cp);
        bool good = bytes > 0 && cp >= 0x20 && !transit_strips(cp) && cp != '<';
        size_t take = good ? bytes : 1;
        if (n + take > RECORD_BY_MAX)
            break;
        if (good)
            memcpy(out + n, r->by + i, take);
        else
            out[n] = '?';
        n += take;
        i += bytes ? bytes : 1;
    }
    return n;
}

int64_t record_mtime(const struct record *r)
{
    return r->verb == RECORD_DELETE || r->mtime_ms == 0
               ? timestamp_clamp(r->at_ms)
               : timestamp_clamp(r->mtime_ms);
}

static bool base_is_self(const struct record *r)
{
    return r->base == RECORD_SELF || (r->base != 0 && r->base == r->id);
}

/* --- digest --------------------------------------------------------------- */

void record_digest(const struct record *r, const char *text, size_t len,
                   unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;
    char by[RECORD_BY_MAX];
    size_t by_len = record_clean_by(r, by);

    buf_printf(&b, "%s v%u base ", r->verb == RECORD_DELETE ? "delete" : "put",
               r->version);
    if (base_is_self(r))
        buf_addstr(&b, "self");
    else
        buf_printf(&b, "%llu", (unsigned long long)r->base);
    buf_printf(&b, " at %lld mtime %lld by %zu key %zu len %zu\n",
               (long long)timestamp_clamp(r->at_ms), (long long)record_mtime(r),
               by_len, r->key_len, len);
    buf_add(&b, by, by_len);
    buf_add(&b, r->key, r->key_len);
    struct sha256 d = sha256_of_two(b.data, b.len, text, len);
    memcpy(out, d.byte, 16);
}

int record_check_file(const struct record *r, const char *data, size_t len,
                      struct err *err)
{
    unsigned char sha[16];

    if (len != r->text_len)
        return err_set(err, -EBADMSG,
                       "message %llu: the attachment with the row's text has "
                       "%zu bytes, not %zu",
                       (unsigned long long)r->holder, len, r->text_len);
    record_digest(r, data, len, sha);
    if (memcmp(sha, r->sha, sizeof(sha)) != 0)
        return err_set(err, -EBADMSG,
                       "message %llu: the attachment with the row's text has "
                       "the wrong digest",
                       (unsigned long long)r->holder);
    if (json_check(data, len, err) < 0)
        return err_wrap(err, -EBADMSG, "message %llu: the attachment is no row",
                        (unsigned long long)r->holder);
    return 0;
}

/* --- parts that batches have too ------------------------------------------ */

const char *const record_verbs[3] = {
    [RECORD_PUT] = "put", [RECORD_DELETE] = "delete", [RECORD_WAS] = "was"};

void record_add_base(struct buf *b, const struct record *r, const char *quote)
{
    /* In a copy "self" would mean the message that holds the copy. */
    if (base_is_self(r) && !r->copy)
        buf_printf(b, "%sself%s", quote, quote);
    else
        buf_printf(b, "%s%llu%s", quote, (unsigned long long)r->base, quote);
}

bool record_read_verb(struct reader *r, struct record *rec)
{
    for (size_t v = 0; v < sizeof(record_verbs) / sizeof(record_verbs[0]);
         v++) {
        if (!reader_accept(r, record_verbs[v]))
            continue;
        rec->verb = (enum record_verb)v;
        return true;
    }
    return reader_failed(r, "put, delete, was or batch");
}

bool record_read_base(struct reader *r, struct record *rec)
{
    if (!rec->copy && reader_accept(r, "self"))
        rec->base = rec->id;
    else if (!reader_u64(r, UINT64_MAX - 1, "the id of the base", &rec->base))
        return false;
    /* What has no base is a first version, and the other way round. */
    if ((rec->version == 1) != (rec->base == 0) ||
        (rec->verb == RECORD_DELETE && rec->version == 1))
        return reader_failed(r, "a base that agrees with the version");
    return true;
}

bool record_read_version(struct reader *r, struct record *rec)
{
    uint64_t v;

    if (!reader_u64(r, UINT32_MAX, "a version from 1", &v))
        return false;
    rec->version = (uint32_t)v;
    return v > 0 || reader_failed(r, "a version from 1");
}

bool record_read_of(struct reader *r, struct record *rec)
{
    rec->copy = true;
    return reader_u64(r, UINT64_MAX - 1, "the id of a message", &rec->id) &&
           (rec->id != 0 || reader_failed(r, "the id of a message"));
}

/* --- the header line ------------------------------------------------------ */

void record_add_header(struct buf *b, const struct record *r,
                       const char *file_name, bool elsewhere)
{
    unsigned char sha[16];
    char hex[33], by[RECORD_BY_MAX];

    buf_printf(b, LINE_START "%s ", record_verbs[r->verb]);
    transit_add_string(b, r->key, r->key_len);
    buf_printf(b, " v%u", r->version);
    if (r->copy)
        buf_printf(b, " of %llu", (unsigned long long)r->id);
    buf_addstr(b, " base ");
    record_add_base(b, r, "");
    buf_addstr(b, " at ");
    timestamp_add(b, timestamp_clamp(r->at_ms));
    if (record_mtime(r) != timestamp_clamp(r->at_ms)) {
        buf_addstr(b, " mtime ");
        timestamp_add(b, record_mtime(r));
    }
    buf_addstr(b, " by ");
    size_t by_len = record_clean_by(r, by);
    transit_add_string(b, by, by_len);
    if (r->verb != RECORD_DELETE) {
        if (file_name)
            buf_printf(b, " in \"%s\"", file_name);
        buf_printf(b, " len %zu", r->text_len);
        if (elsewhere)
            buf_addstr(b, " elsewhere");
    }
    if (r->joined)
        buf_addstr(b, " and");
    if (r->text || r->verb == RECORD_DELETE)
        record_digest(r, r->text, r->text ? r->text_len : 0, sha);
    else
        memcpy(sha, r->sha, sizeof(sha));
    buf_printf(b, " sha %s", hex_of(sha, 16, hex));
}

static bool read_time(struct reader *r, int64_t *out)
{
    if (r->fail || reader_left(r) < TIMESTAMP_LEN ||
        !timestamp_parse(r->at, out))
        return reader_failed(r, "a time like 2026-01-31T23:59:59.999Z");
    r->at += TIMESTAMP_LEN;
    return true;
}

bool record_read_header(struct reader *r, uint64_t message, struct record *rec)
{
    uint64_t len = 0;

    rec->id = rec->holder = message;
    if (!record_read_verb(r, rec) || !reader_expect(r, " ") ||
        !reader_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &rec->key,
                       &rec->key_len) ||
        !reader_expect(r, " v") || !record_read_version(r, rec))
        return false;
    if (reader_accept(r, " of ") && !record_read_of(r, rec))
        return false;
    if (rec->verb == RECORD_WAS && !rec->copy)
        return reader_failed(r, " of ");
    if (!reader_expect(r, " base ") || !record_read_base(r, rec) ||
        !reader_expect(r, " at ") || !read_time(r, &rec->at_ms))
        return false;
    rec->mtime_ms = rec->at_ms;
    if (rec->verb != RECORD_DELETE && reader_accept(r, " mtime ") &&
        !read_time(r, &rec->mtime_ms))
        return false;
    if (!reader_expect(r, " by ") ||
        !reader_string(r, 0, RECORD_BY_MAX, "who, in quotes", &rec->by,
                       &rec->by_len))
        return false;
    if (rec->verb != RECORD_DELETE) {
        bool escaped;
        if (reader_accept(r, " in ") &&
            !reader_quoted(r, "a file's name in quotes", &rec->file_name,
                           &rec->file_name_len, &escaped))
            return false;
        if (!reader_expect(r, " len ") ||
            !reader_u64(r, UINT32_MAX - 2, "the text's length", &len))
            return false;
        rec->text_len = (size_t)len;
        rec->elsewhere = rec->copy && rec->verb == RECORD_PUT &&
                         !rec->file_name && reader_accept(r, " elsewhere");
    }
    rec->joined = !rec->copy && reader_accept(r, " and");
    return reader_expect(r, " sha ") && reader_sha(r, rec->sha) &&
           (r->at == r->end || reader_failed(r, "the end of the line"));
}
