/* Messages and their records. The parser believes nothing: what it accepts has
 * a right digest, keys of valid UTF-8 and texts that json_check() accepts, so
 * that who reads rows need not look again. */
#include "engine/message_text.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/record_impl.h"
#include "engine/token.h"
#include "engine/transit.h"

#define FIND_START "-# find"

/* Room a find line needs at least: the key's token and token_overflow. */
#define FIND_LEAST (sizeof("\n" FIND_START) - 1 + 2 * (TOKEN_LEN + 1))

/* --- building ------------------------------------------------------------- */

void message_builder_release(struct message_builder *b)
{
    free(b->list);
    *b = (struct message_builder){.find_tokens = b->find_tokens};
}

void message_add(struct message_builder *b, const struct record *r)
{
    if (b->n == b->cap) {
        b->cap = b->cap ? b->cap * 2 : 4;
        b->list = xrealloc(b->list, b->cap * sizeof(*b->list));
    }
    b->list[b->n++] = *r;
}

static void add_block(struct buf *b, const struct record *r)
{
    buf_addstr(b, "\n```json\n");
    buf_add(b, r->text, r->text_len);
    buf_addstr(b, "\n```");
}

/* Letters, digits, '.' and '-' beginning with one of the first two: what the
 * store leaves as it is. */
static void add_file_name(struct buf *b, const struct record *r)
{
    size_t start = b->len;

    for (size_t i = 0; i < r->key_len && b->len - start < 60; i++) {
        unsigned char c = (unsigned char)r->key[i];
        bool letter =
            (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
        if (letter)
            buf_addc(b, (char)c);
        else if (b->len > start && b->data[b->len - 1] != '-')
            buf_addc(b, c == '.' ? '.' : '-');
    }
    if (b->len == start)
        buf_addstr(b, "row");
    buf_addstr(b, ".json");
}

/* Which of the texts a form carries, and how. */
struct form {
    const struct record *in_file; /* the one whose text goes into a file … */
    const char *file_name;        /* … of this name */
    bool leave_out;               /* texts that may be elsewhere */
};

static bool text_is_inline(const struct record *r, const struct form *f)
{
    return r->verb != RECORD_DELETE && r->text && !r->kept_file &&
           f->in_file != r && !(f->leave_out && r->elsewhere);
}

/* The records as content, with the find line where there is one. False: it
 * does not fit, or would not survive; content is then undefined. */
static bool try_content(const struct message_builder *mb, const struct form *f,
                        struct buf *content)
{
    const struct record *shown = NULL;
    size_t changes = 0;

    buf_reset(content);
    for (size_t i = 0; i < mb->n; i++) {
        const struct record *r = &mb->list[i];
        bool here = text_is_inline(r, f);
        bool in_file = r->kept_file || f->in_file == r;
        bool out = r->verb != RECORD_DELETE && !here && !in_file;
        if (out && !r->elsewhere)
            return false;
        if (here && (r->text_len > REMOTE_CONTENT_MAX * 3 ||
                     !text_survives_transit(r->text, r->text_len)))
            return false;
        if (i > 0)
            buf_addc(content, '\n');
        size_t start = content->len;
        AUTO_BUF struct buf kept = BUF_INIT;
        if (r->kept_file)
            buf_add(&kept, r->file_name, r->file_name_len);
        record_add_header(content, r,
                          r->kept_file ? kept.data
                          : in_file    ? f->file_name
                                       : NULL,
                          out);
        if (utf16_units(content->data + start, content->len - start) >
            RECORD_HEADER_MAX)
            return false;
        if (here)
            add_block(content, r);
        if (r->verb != RECORD_WAS) {
            changes++;
            shown = r;
        }
    }

    size_t units = utf16_units(content->data, content->len);
    bool find = mb->find_tokens && changes == 1 && shown->verb == RECORD_PUT &&
                shown->text;
    if (units + (find ? FIND_LEAST : 0) > REMOTE_CONTENT_MAX)
        return false;
    if (find) {
        buf_addstr(content, "\n" FIND_START);
        tokens_of_row(shown->key, shown->key_len, shown->text, shown->text_len,
                      REMOTE_CONTENT_MAX - units -
                          (sizeof("\n" FIND_START) - 1),
                      content);
    }
    return true;
}

static void set_file(struct remote_draft *draft, struct buf *storage,
                     const char *name, const char *type)
{
    size_t len = storage->len;

    /* The name lives behind the bytes; nothing is added after it. */
    buf_addc(storage, '\0');
    size_t at = storage->len;
    buf_addstr(storage, name);
    draft->files[0] = (struct remote_upload){
        .name = storage->data + at,
        .type = type,
        .data = storage->data,
        .len = len,
    };
    draft->n_files = 1;
}

int message_too_big(struct err *err, size_t len, uint64_t max_file)
{
    return err_set(err, -EFBIG,
                   "%zu bytes are more than one file may have here (%llu)", len,
                   (unsigned long long)max_file);
}

static int finish_batch(const struct message_builder *mb, uint64_t max_file,
                        struct remote_draft *draft, struct buf *storage,
                        struct err *err)
{
    int r =
        batch_encode(mb->list, mb->n, max_file, &draft->content, storage, err);
    if (r < 0)
        return r;
    set_file(draft, storage, BATCH_NAME, "application/x-ndjson");
    return 0;
}

int message_finish(struct message_builder *b, uint64_t max_file,
                   struct remote_draft *draft, struct buf *storage,
                   struct err *err)
{
    assert(b->n > 0 && b->n <= UINT32_MAX);
    buf_reset(storage);
    draft->n_files = 0;

    struct form all_here = {0}, leave_out = {.leave_out = true};
    bool may_fit = !b->as_file && b->n <= REMOTE_CONTENT_MAX / 100;
    if (may_fit && (try_content(b, &all_here, &draft->content) ||
                    try_content(b, &leave_out, &draft->content)))
        return 0;

    const struct record *longest = NULL;
    for (size_t i = 0; may_fit && i < b->n; i++) {
        const struct record *r = &b->list[i];
        if (r->text && !r->kept_file &&
            (!longest || r->text_len > longest->text_len))
            longest = r;
    }
    if (longest) {
        if (longest->text_len > max_file)
            return message_too_big(err, longest->text_len, max_file);
        AUTO_BUF struct buf name = BUF_INIT;
        add_file_name(&name, longest);
        struct form in_file = {.in_file = longest, .file_name = name.data};
        if (try_content(b, &in_file, &draft->content)) {
            buf_add(storage, longest->text, longest->text_len);
            set_file(draft, storage, name.data, "application/json");
            return 0;
        }
    }
    return finish_batch(b, max_file, draft, storage, err);
}

/* --- parsing -------------------------------------------------------------- */

void records_release(struct records *r)
{
    free(r->list);
    buf_release(&r->arena);
    for (size_t i = 0; i < r->n_kept; i++)
        free(r->kept[i]);
    free(r->kept);
    *r = (struct records){0};
}

const char *records_keep(struct records *r, char *s)
{
    r->kept = xrealloc(r->kept, (r->n_kept + 1) * sizeof(*r->kept));
    r->kept[r->n_kept++] = s;
    return s;
}

struct record *records_add(struct records *rs)
{
    /* Doubles from 4: the capacity is known from the number. */
    if (rs->n < 4 ? rs->n == 0 : (rs->n & (rs->n - 1)) == 0)
        rs->list =
            xrealloc(rs->list, (rs->n ? rs->n * 2 : 4) * sizeof(*rs->list));
    rs->list[rs->n] = (struct record){0};
    return &rs->list[rs->n++];
}

bool records_joint_holds(const struct records *rs)
{
    if (!rs->list[rs->n - 1].joined)
        return true;
    for (size_t i = 0; i + 1 < rs->n; i++)
        if (!rs->list[i].copy)
            return true;
    return false;
}

/* The attachment a header names; should the store have rewritten the name,
 * the only one there is (its digest will tell). 0: none. */
static uint64_t find_file(const struct remote_message *m, const char *name,
                          size_t len)
{
    for (size_t i = 0; i < m->n_files; i++)
        if (m->files[i].name && strlen(m->files[i].name) == len &&
            memcmp(m->files[i].name, name, len) == 0)
            return m->files[i].id;
    return m->n_files == 1 ? m->files[0].id : 0;
}

bool message_is_ours(const struct remote_message *m)
{
    return m->type == 0 && m->content_len >= sizeof(LINE_START) - 1 &&
           memcmp(m->content, LINE_START, sizeof(LINE_START) - 1) == 0;
}

/* Forms that other modules write and read. */
static bool is_foreign_form(const struct reader *r)
{
    static const char *const forms[] = {"card", "snapshot", "index", "vacuum"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i]);
        if (reader_left(r) >= n && memcmp(r->at, forms[i], n) == 0 &&
            (reader_left(r) == n || r->at[n] == ' ' || r->at[n] == '\n'))
            return true;
    }
    return false;
}

bool message_has_records(const struct remote_message *m)
{
    if (!message_is_ours(m))
        return false;
    struct reader r = {
        .at = m->content + sizeof(LINE_START) - 1,
        .end = m->content + m->content_len,
    };
    return !is_foreign_form(&r);
}

/* The code block under a header whose text is here. */
static bool read_block(struct reader *r, struct record *rec)
{
    if (!reader_expect(r, "```json\n"))
        return false;
    if (reader_left(r) < rec->text_len)
        return reader_failed(r, "as many bytes of text as the header says");
    rec->text = r->at;
    r->at += rec->text_len;
    return reader_expect(r, "\n```");
}

int message_damaged(struct err *err, uint64_t message, const char *fmt, ...)
{
    va_list ap;
    AUTO_BUF struct buf b = BUF_INIT;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    return err_set(err, -EBADMSG, "message %llu is damaged: %s",
                   (unsigned long long)message, b.data);
}

static unsigned line_of(const char *text, const char *at)
{
    unsigned line = 1;

    for (const char *p = text; p < at; p++)
        line += *p == '\n';
    return line;
}

/* A literal may hold a newline, and begin or end in blanks: in quotes. */
static int expected(struct err *err, const struct remote_message *m,
                    const struct reader *r)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_add_json(&b, r->fail, strlen(r->fail));
    return message_damaged(err, m->id, "line %u: expected %s",
                           line_of(m->content, r->at), b.data);
}

static int check_record(const struct remote_message *m, struct record *rec,
                        struct err *err)
{
    unsigned char sha[16];

    if (rec->file_name) {
        rec->file = find_file(m, rec->file_name, rec->file_name_len);
        if (!rec->file)
            return message_damaged(err, m->id,
                                   "its attachment '%.*s' is missing",
                                   (int)rec->file_name_len, rec->file_name);
        return 0;
    }
    if (rec->elsewhere)
        return 0;
    record_digest(rec, rec->text, rec->text_len, sha);
    if (memcmp(sha, rec->sha, sizeof(sha)) != 0)
        return message_damaged(
            err, m->id, "version %u of '%.*s' has the wrong digest",
            rec->version, (int)(rec->key_len < 60 ? rec->key_len : 60),
            rec->key);
    if (rec->verb != RECORD_DELETE &&
        json_check(rec->text, rec->text_len, err) < 0)
        return err_wrap(err, -EBADMSG,
                        "message %llu is damaged: version %u of a row",
                        (unsigned long long)m->id, rec->version);
    return 0;
}

static int parse_batch_head(const struct remote_message *m, struct reader *r,
                            struct records *out, struct err *err)
{
    const char *name;
    size_t name_len;

    if (!batch_read_head(r, out, &name, &name_len))
        return expected(err, m, r);
    out->batch_file = find_file(m, name, name_len);
    if (!out->batch_file)
        return message_damaged(err, m->id, "its attachment '%.*s' is missing",
                               (int)name_len, name);
    return 0;
}

/* One record with its block. */
static int parse_record(const struct remote_message *m, struct reader *line,
                        struct reader *rest, struct records *out,
                        struct err *err)
{
    struct record *rec = records_add(out);

    if (!record_read_header(line, m->id, rec))
        return expected(err, m, line);
    if (!records_joint_holds(out))
        return message_damaged(err, m->id,
                               "its first record has none before it to join");
    bool here =
        rec->verb != RECORD_DELETE && !rec->file_name && !rec->elsewhere;
    if (here && (!reader_expect(rest, "\n") || !read_block(rest, rec)))
        return expected(err, m, rest);
    return check_record(m, rec, err);
}

static int parse_message(const struct remote_message *m, struct records *out,
                         struct err *err)
{
    struct reader rest = {
        .at = m->content,
        .end = m->content + m->content_len,
        .arena = &out->arena,
        .arena_size = m->content_len,
    };

    for (;;) {
        if (!reader_expect(&rest, LINE_START))
            return expected(err, m, &rest);
        const char *eol = memchr(rest.at, '\n', reader_left(&rest));
        struct reader line = rest;
        if (eol)
            line.end = eol;
        rest.at = line.end;
        if (out->n == 0 && reader_accept(&line, "batch ")) {
            if (rest.at != rest.end) {
                reader_failed(&rest, "nothing behind a batch's line");
                return expected(err, m, &rest);
            }
            return parse_batch_head(m, &line, out, err);
        }
        int r = parse_record(m, &line, &rest, out, err);
        if (r < 0)
            return r;
        if (rest.at == rest.end)
            return 0;
        if (!reader_expect(&rest, "\n"))
            return expected(err, m, &rest);
        if (reader_accept(&rest, FIND_START)) {
            /* Hints: what they say is not looked at. But they end it. */
            if (!memchr(rest.at, '\n', reader_left(&rest)))
                return 0;
            reader_failed(&rest, "nothing behind the find line");
            return expected(err, m, &rest);
        }
    }
}

int message_parse(const struct remote_message *m, struct records *out,
                  struct err *err)
{
    struct records found = {0};

    if (!message_is_ours(m))
        return err_set(err, -ENOMSG, "message %llu is not one of dbcord's",
                       (unsigned long long)m->id);
    struct reader r = {
        .at = m->content + sizeof(LINE_START) - 1,
        .end = m->content + m->content_len,
    };
    if (is_foreign_form(&r))
        return err_set(err, -ENOMSG, "message %llu holds no records",
                       (unsigned long long)m->id);

    int res = parse_message(m, &found, err);
    if (res < 0) {
        records_release(&found);
        return res;
    }

    struct record *change = NULL;
    size_t changes = 0;
    for (size_t i = 0; i < found.n; i++) {
        if (found.list[i].verb == RECORD_WAS)
            continue;
        change = &found.list[i];
        changes++;
    }
    if (changes == 1)
        change->alone = true;
    *out = found;
    return 0;
}
