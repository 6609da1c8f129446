/* Records as text. Encoding and parsing stand side by side, form by form, so
 * that they can be compared: the header's strings and times, the digest, the
 * header line, the message, the batch file.
 *
 * The parser believes nothing: what it accepts has a right digest, keys of
 * valid UTF-8 and texts that json_check() accepts, so that who reads rows
 * need not look again. */
#include "engine/record.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/token.h"

#define LINE_START "-# dbcord "
#define FIND_START "-# find"
#define BATCH_NAME "batch.ndjson"

/* Room a find line needs at least: the key's token and token_overflow. */
#define FIND_LEAST (sizeof("\n" FIND_START) - 1 + 2 * (TOKEN_LEN + 1))

/* --- what survives -------------------------------------------------------- */

/* Control, format, private, unassigned and invisible characters: known or
 * suspected to be stripped. Sorted, both ends included. */
static const struct {
    uint32_t first, last;
} unsafe[] = {
    {0x0000, 0x0008},   {0x000b, 0x001f},    {0x007f, 0x009f},
    {0x00ad, 0x00ad},   {0x034f, 0x034f},    {0x0600, 0x0605},
    {0x061c, 0x061c},   {0x06dd, 0x06dd},    {0x070f, 0x070f},
    {0x0890, 0x0891},   {0x08e2, 0x08e2},    {0x115f, 0x1160},
    {0x17b4, 0x17b5},   {0x180b, 0x180f},    {0x200b, 0x200f},
    {0x2028, 0x202e},   {0x2060, 0x206f},    {0x3164, 0x3164},
    {0xd800, 0xf8ff},   {0xfdd0, 0xfdef},    {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},   {0xfff0, 0xffff},    {0x110bd, 0x110bd},
    {0x110cd, 0x110cd}, {0x13430, 0x1343f},  {0x1bca0, 0x1bca3},
    {0x1d173, 0x1d17a}, {0x1fffe, 0x1ffff},  {0x2fffe, 0x2ffff},
    {0x3fffe, 0xdffff}, {0xe0000, 0x10ffff},
};

static bool is_unsafe(uint32_t cp)
{
    size_t low = 0, high = sizeof(unsafe) / sizeof(unsafe[0]);

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (cp > unsafe[mid].last)
            low = mid + 1;
        else if (cp < unsafe[mid].first)
            high = mid;
        else
            return true;
    }
    return false;
}

/* s: at '<'. A custom emoji, <:name:1> or <a:name:1>: one that the bot may not
 * use comes back as :name:. */
static bool is_emoji(const char *s, size_t len)
{
    size_t i = 1, colons = 0;

    if (i < len && s[i] == 'a')
        i++;
    for (; i < len; i++) {
        char c = s[i];
        bool digit = c >= '0' && c <= '9';
        if (c == '>')
            return colons == 2;
        if (c == ':')
            colons++;
        else if (colons == 0 ||
                 (!digit && (colons > 1 || (c != '_' && ((c | 0x20) < 'a' ||
                                                         (c | 0x20) > 'z')))))
            return false;
    }
    return false;
}

bool text_survives_transit(const char *text, size_t len)
{
    for (size_t i = 0; i < len;) {
        unsigned char c = (unsigned char)text[i];
        if (c >= 0x20 && c < 0x7f) {
            if (c == '<' && is_emoji(text + i, len - i))
                return false;
            i++;
            continue;
        }
        uint32_t cp;
        size_t n = utf8_decode(text + i, len - i, &cp);
        if (n == 0 || is_unsafe(cp))
            return false;
        i += n;
    }
    return true;
}

/* --- strings in a header -------------------------------------------------- */

static void add_escape(struct buf *b, uint32_t cp)
{
    if (cp >= 0x10000) {
        cp -= 0x10000;
        buf_printf(b, "\\u%04x\\u%04x", 0xd800 | cp >> 10,
                   0xdc00 | (cp & 0x3ff));
    } else {
        buf_printf(b, "\\u%04x", cp);
    }
}

/* s as a JSON string of one line that survives transit. s is UTF-8. */
static void add_string(struct buf *b, const char *s, size_t len)
{
    if (text_survives_transit(s, len)) {
        buf_add_json(b, s, len);
        return;
    }
    buf_addc(b, '"');
    for (size_t i = 0; i < len;) {
        uint32_t cp = 0xfffd;
        size_t n = utf8_decode(s + i, len - i, &cp);
        if (n == 0)
            n = 1; /* keys are checked before: not reached */
        if (is_unsafe(cp) || cp == '\n' || cp == '\t' || cp == '<')
            add_escape(b, cp);
        else if (cp == '"' || cp == '\\')
            buf_printf(b, "\\%c", (char)cp);
        else
            buf_add(b, s + i, n);
        i += n;
    }
    buf_addc(b, '"');
}

/* Who wrote, as it is stored: at most RECORD_BY_MAX bytes, all of them
 * harmless. The length. */
static size_t clean_by(const struct record *r, char out[RECORD_BY_MAX])
{
    size_t n = 0;

    for (size_t i = 0; i < r->by_len;) {
        uint32_t cp;
        size_t bytes = utf8_decode(r->by + i, r->by_len - i, &cp);
        bool good = bytes > 0 && cp >= 0x20 && !is_unsafe(cp) && cp != '<';
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

/* --- times ---------------------------------------------------------------- */

#define DAY_MS ((int64_t)86400000)
#define TIME_FIRST ((int64_t)-62135596800000) /* 0001-01-01T00:00:00.000Z */
#define TIME_LAST ((int64_t)253402300799999)  /* 9999-12-31T23:59:59.999Z */
#define TIME_LEN 24

static int64_t clamp_time(int64_t ms)
{
    return ms < TIME_FIRST ? TIME_FIRST : ms > TIME_LAST ? TIME_LAST : ms;
}

/* Days from 1970-01-01 to a date of the Gregorian calendar: years begin in
 * March here, so that the leap day is the last. */
static int64_t days_of_date(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year =
        (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era =
        year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void add_time(struct buf *b, int64_t ms)
{
    int64_t days = ms / DAY_MS, rest = ms % DAY_MS;
    if (rest < 0) {
        rest += DAY_MS;
        days--;
    }

    int year = (int)(days * 400 / 146097) + 1970;
    while (days_of_date(year, 1, 1) > days)
        year--;
    while (days_of_date(year + 1, 1, 1) <= days)
        year++;
    int month = 12;
    while (days_of_date(year, month, 1) > days)
        month--;
    int day = (int)(days - days_of_date(year, month, 1)) + 1;
    int secs = (int)(rest / 1000);
    buf_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", year, month, day,
               secs / 3600, secs / 60 % 60, secs % 60, (int)(rest % 1000));
}

static bool two_digits(const char *s, int least, int most, int *out)
{
    if (s[0] < '0' || s[0] > '9' || s[1] < '0' || s[1] > '9')
        return false;
    *out = (s[0] - '0') * 10 + (s[1] - '0');
    return *out >= least && *out <= most;
}

/* Exactly the form add_time() writes. */
static bool parse_time(const char *s, int64_t *out)
{
    static const char form[] = "0000-00-00T00:00:00.000Z";
    int century, year, month, day, hour, minute, second, centi;

    for (size_t i = 0; i < TIME_LEN; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (form[i] == '0' ? !digit : s[i] != form[i])
            return false;
    }
    if (!two_digits(s, 0, 99, &century) || !two_digits(s + 2, 0, 99, &year) ||
        !two_digits(s + 5, 1, 12, &month) || !two_digits(s + 8, 1, 31, &day) ||
        !two_digits(s + 11, 0, 23, &hour) ||
        !two_digits(s + 14, 0, 59, &minute) ||
        !two_digits(s + 17, 0, 59, &second) ||
        !two_digits(s + 20, 0, 99, &centi))
        return false;
    year += century * 100;
    int64_t days = days_of_date(year, month, day);
    int64_t next = month == 12 ? days_of_date(year + 1, 1, 1)
                               : days_of_date(year, month + 1, 1);
    if (year < 1 || days >= next)
        return false;
    *out = days * DAY_MS +
           ((hour * 60 + minute) * 60 + second) * (int64_t)1000 + centi * 10 +
           (s[22] - '0');
    return true;
}

/* --- digests -------------------------------------------------------------- */

static int64_t mtime_of(const struct record *r)
{
    return r->verb == RECORD_DELETE || r->mtime_ms == 0
               ? clamp_time(r->at_ms)
               : clamp_time(r->mtime_ms);
}

static bool base_is_self(const struct record *r)
{
    return r->base == RECORD_SELF || (r->base != 0 && r->base == r->id);
}

void record_digest(const struct record *r, const char *text, size_t len,
                   unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;
    char by[RECORD_BY_MAX];
    size_t by_len = clean_by(r, by);

    buf_printf(&b, "%s v%u base ", r->verb == RECORD_DELETE ? "delete" : "put",
               r->version);
    if (base_is_self(r))
        buf_addstr(&b, "self");
    else
        buf_printf(&b, "%llu", (unsigned long long)r->base);
    buf_printf(&b, " at %lld mtime %lld by %zu key %zu len %zu\n",
               (long long)clamp_time(r->at_ms), (long long)mtime_of(r), by_len,
               r->key_len, len);
    buf_add(&b, by, by_len);
    buf_add(&b, r->key, r->key_len);
    struct sha256 d = sha256_of_two(b.data, b.len, text, len);
    memcpy(out, d.byte, 16);
}

static void batch_digest(uint32_t count, const char *data, size_t len,
                         unsigned char out[16])
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_printf(&b, "batch %u len %zu\n", count, len);
    struct sha256 d = sha256_of_two(b.data, b.len, data, len);
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

static void add_base(struct buf *b, const struct record *r, const char *quote)
{
    /* In a copy "self" would mean the message that holds the copy. */
    if (base_is_self(r) && !r->copy)
        buf_printf(b, "%sself%s", quote, quote);
    else
        buf_printf(b, "%s%llu%s", quote, (unsigned long long)r->base, quote);
}

static const char *const verbs[] = {
    [RECORD_PUT] = "put", [RECORD_DELETE] = "delete", [RECORD_WAS] = "was"};

/* The header line; file_name: where the text is, NULL for here or elsewhere.
 */
static void add_header(struct buf *b, const struct record *r,
                       const char *file_name, bool elsewhere)
{
    unsigned char sha[16];
    char hex[33], by[RECORD_BY_MAX];

    buf_printf(b, LINE_START "%s ", verbs[r->verb]);
    add_string(b, r->key, r->key_len);
    buf_printf(b, " v%u", r->version);
    if (r->copy)
        buf_printf(b, " of %llu", (unsigned long long)r->id);
    buf_addstr(b, " base ");
    add_base(b, r, "");
    buf_addstr(b, " at ");
    add_time(b, clamp_time(r->at_ms));
    if (mtime_of(r) != clamp_time(r->at_ms)) {
        buf_addstr(b, " mtime ");
        add_time(b, mtime_of(r));
    }
    buf_addstr(b, " by ");
    size_t by_len = clean_by(r, by);
    add_string(b, by, by_len);
    if (r->verb != RECORD_DELETE) {
        if (file_name)
            buf_printf(b, " in \"%s\"", file_name);
        buf_printf(b, " len %zu", r->text_len);
        if (elsewhere)
            buf_addstr(b, " elsewhere");
    }
    if (r->text || r->verb == RECORD_DELETE)
        record_digest(r, r->text, r->text ? r->text_len : 0, sha);
    else
        memcpy(sha, r->sha, sizeof(sha));
    buf_printf(b, " sha %s", hex_of(sha, 16, hex));
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
        add_header(content, r,
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

static bool has_line_break(const char *text, size_t len)
{
    return memchr(text, '\n', len) || memchr(text, '\r', len);
}

static size_t escaped_len(const char *s, size_t len)
{
    size_t n = 2;

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        n += c == '"' || c == '\\' || c == '\n' || c == '\r' || c == '\t' ? 2
             : c < 0x20 || c == 0x7f                                      ? 6
                                                                          : 1;
    }
    return n;
}

size_t record_batch_len(const struct record *r)
{
    /* Members' names, numbers of 20 digits, two times, by. */
    size_t n = 160 + 2 * 20 + 2 * 16 + 6 * RECORD_BY_MAX;

    n += escaped_len(r->key, r->key_len);
    if (r->text)
        n += has_line_break(r->text, r->text_len)
                 ? escaped_len(r->text, r->text_len)
                 : r->text_len;
    return n;
}

static void add_line(struct buf *b, const struct record *r)
{
    char by[RECORD_BY_MAX];
    size_t by_len = clean_by(r, by);

    buf_printf(b, "{\"op\":\"%s\",\"key\":", verbs[r->verb]);
    buf_add_json(b, r->key, r->key_len);
    buf_printf(b, ",\"v\":%u", r->version);
    if (r->copy)
        buf_printf(b, ",\"of\":\"%llu\"", (unsigned long long)r->id);
    buf_addstr(b, ",\"base\":");
    add_base(b, r, "\"");
    buf_printf(b, ",\"at\":%lld", (long long)clamp_time(r->at_ms));
    if (mtime_of(r) != clamp_time(r->at_ms))
        buf_printf(b, ",\"mtime\":%lld", (long long)mtime_of(r));
    buf_addstr(b, ",\"by\":");
    buf_add_json(b, by, by_len);
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

static int too_big(struct err *err, size_t len, uint64_t max_file)
{
    return err_set(err, -EFBIG,
                   "%zu bytes are more than one file may have here (%llu)", len,
                   (unsigned long long)max_file);
}

static int finish_batch(const struct message_builder *mb, uint64_t max_file,
                        struct remote_draft *draft, struct buf *storage,
                        struct err *err)
{
    unsigned char sha[16];
    char hex[33];

    for (size_t i = 0; i < mb->n; i++) {
        const struct record *r = &mb->list[i];
        if (r->verb != RECORD_DELETE && !r->text)
            return err_set(err, -EFBIG,
                           "version %u of the row has no room in its message",
                           r->version);
        add_line(storage, r);
        /* Before memory is filled with what cannot be sent. */
        if (storage->len > max_file)
            return too_big(err, storage->len, max_file);
    }
    batch_digest((uint32_t)mb->n, storage->data, storage->len, sha);
    buf_reset(&draft->content);
    buf_printf(&draft->content,
               LINE_START "batch %zu in \"" BATCH_NAME "\" len %zu sha %s",
               mb->n, storage->len, hex_of(sha, 16, hex));
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
            return too_big(err, longest->text_len, max_file);
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
    *r = (struct records){0};
}

static struct record *records_add(struct records *rs)
{
    /* Doubles from 4: the capacity is known from the number. */
    if (rs->n < 4 ? rs->n == 0 : (rs->n & (rs->n - 1)) == 0)
        rs->list =
            xrealloc(rs->list, (rs->n ? rs->n * 2 : 4) * sizeof(*rs->list));
    rs->list[rs->n] = (struct record){0};
    return &rs->list[rs->n++];
}

/* A run of bytes being read from the front. fail: the first thing that was
 * expected and not there; nothing is taken after it. */
struct reader {
    const char *at, *end;
    const char *fail;
    struct records *out; /* its arena takes unescaped strings */
    size_t arena_size;   /* what the arena will ever need: it must not move */
};

static bool failed(struct reader *r, const char *what)
{
    if (!r->fail)
        r->fail = what;
    return false;
}

static size_t left(const struct reader *r)
{
    return (size_t)(r->end - r->at);
}

/* Is this next? Then it is taken. */
static bool accept(struct reader *r, const char *literal)
{
    size_t n = strlen(literal);

    if (r->fail || left(r) < n || memcmp(r->at, literal, n) != 0)
        return false;
    r->at += n;
    return true;
}

static bool expect(struct reader *r, const char *literal)
{
    return accept(r, literal) || failed(r, literal);
}

static bool read_u64(struct reader *r, uint64_t max, const char *what,
                     uint64_t *out)
{
    size_t n = 0;

    while (n < left(r) && n < 21 && r->at[n] >= '0' && r->at[n] <= '9')
        n++;
    if (r->fail || !str_to_u64_n(r->at, n, out) || *out > max)
        return failed(r, what);
    r->at += n;
    return true;
}

static bool read_ms(struct reader *r, const char *what, int64_t *out)
{
    uint64_t v;
    bool negative = accept(r, "-");

    if (!read_u64(r, negative ? (uint64_t)-TIME_FIRST : (uint64_t)TIME_LAST,
                  what, &v))
        return false;
    *out = negative ? -(int64_t)v : (int64_t)v;
    return true;
}

static bool read_time(struct reader *r, int64_t *out)
{
    if (r->fail || left(r) < TIME_LEN || !parse_time(r->at, out))
        return failed(r, "a time like 2026-01-31T23:59:59.999Z");
    r->at += TIME_LEN;
    return true;
}

/* A JSON string's span between its quotes; whether it holds escapes. */
static bool read_quoted(struct reader *r, const char *what, const char **s,
                        size_t *len, bool *escaped)
{
    if (!accept(r, "\""))
        return failed(r, what);

    *escaped = false;
    for (const char *p = r->at; p < r->end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '"') {
            *s = r->at;
            *len = (size_t)(p - r->at);
            r->at = p + 1;
            return true;
        }
        if (c < 0x20)
            break;
        if (c != '\\')
            continue;
        *escaped = true;
        if (++p == r->end || !strchr("\"\\/bfnrtu", *p) || *p == '\0')
            break;
        for (int i = 0; *p == 'u' && i < 4; i++)
            if (r->end - p <= 4 ||
                !strchr("0123456789abcdefABCDEF", p[i + 1]) || p[i + 1] == '\0')
                return failed(r, what);
    }
    return failed(r, what);
}

/* The same with escapes resolved, and checked for UTF-8. */
static bool read_string(struct reader *r, size_t min, size_t max,
                        const char *what, const char **s, size_t *len)
{
    const char *raw;
    size_t raw_len;
    bool escaped;

    if (!read_quoted(r, what, &raw, &raw_len, &escaped))
        return false;
    if (escaped) {
        struct buf *arena = &r->out->arena;
        if (!arena->data)
            buf_reserve(arena, r->arena_size);
        size_t at = arena->len;
        json_unescape(raw, raw_len, arena);
        raw = arena->data + at;
        raw_len = arena->len - at;
    }
    if (raw_len < min || raw_len > max || !utf8_valid(raw, raw_len))
        return failed(r, what);
    *s = raw;
    *len = raw_len;
    return true;
}

static bool read_sha(struct reader *r, unsigned char out[16])
{
    char hex[33];

    if (r->fail || left(r) < 32)
        return failed(r, "32 hexadecimal digits");
    for (size_t i = 0; i < 16; i++) {
        unsigned v = 0;
        for (size_t k = 0; k < 2; k++) {
            char c = r->at[2 * i + k];
            v = v << 4 | (c >= 'a' ? (unsigned)(c - 'a') + 10u
                                   : (unsigned)(unsigned char)c - '0');
        }
        out[i] = (unsigned char)v;
    }
    /* Whatever other characters made, they do not come out again. */
    if (memcmp(hex_of(out, 16, hex), r->at, 32) != 0)
        return failed(r, "32 hexadecimal digits");
    r->at += 32;
    return true;
}

/* put, delete or was; the same words in headers and batches. */
static bool read_verb(struct reader *r, struct record *rec)
{
    for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
        if (!accept(r, verbs[v]))
            continue;
        rec->verb = (enum record_verb)v;
        return true;
    }
    return failed(r, "put, delete, was or batch");
}

/* The base's number or self, once version, id and copy are known. */
static bool read_base(struct reader *r, struct record *rec)
{
    if (!rec->copy && accept(r, "self"))
        rec->base = rec->id;
    else if (!read_u64(r, UINT64_MAX - 1, "the id of the base", &rec->base))
        return false;
    /* What has no base is a first version, and the other way round. */
    if ((rec->version == 1) != (rec->base == 0) ||
        (rec->verb == RECORD_DELETE && rec->version == 1))
        return failed(r, "a base that agrees with the version");
    return true;
}

static bool read_version(struct reader *r, struct record *rec)
{
    uint64_t v;

    if (!read_u64(r, UINT32_MAX, "a version from 1", &v))
        return false;
    rec->version = (uint32_t)v;
    return v > 0 || failed(r, "a version from 1");
}

static bool read_of(struct reader *r, struct record *rec)
{
    rec->copy = true;
    return read_u64(r, UINT64_MAX - 1, "the id of a message", &rec->id) &&
           (rec->id != 0 || failed(r, "the id of a message"));
}

/* Behind "-# dbcord ", to the end of the line. */
static bool read_header(struct reader *r, uint64_t message, struct record *rec)
{
    uint64_t len = 0;

    rec->id = rec->holder = message;
    if (!read_verb(r, rec) || !expect(r, " ") ||
        !read_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &rec->key,
                     &rec->key_len) ||
        !expect(r, " v") || !read_version(r, rec))
        return false;
    if (accept(r, " of ") && !read_of(r, rec))
        return false;
    if (rec->verb == RECORD_WAS && !rec->copy)
        return failed(r, " of ");
    if (!expect(r, " base ") || !read_base(r, rec) || !expect(r, " at ") ||
        !read_time(r, &rec->at_ms))
        return false;
    rec->mtime_ms = rec->at_ms;
    if (rec->verb != RECORD_DELETE && accept(r, " mtime ") &&
        !read_time(r, &rec->mtime_ms))
        return false;
    if (!expect(r, " by ") ||
        !read_string(r, 0, RECORD_BY_MAX, "who, in quotes", &rec->by,
                     &rec->by_len))
        return false;
    if (rec->verb != RECORD_DELETE) {
        bool escaped;
        if (accept(r, " in ") &&
            !read_quoted(r, "a file's name in quotes", &rec->file_name,
                         &rec->file_name_len, &escaped))
            return false;
        if (!expect(r, " len ") ||
            !read_u64(r, UINT32_MAX - 2, "the text's length", &len))
            return false;
        rec->text_len = (size_t)len;
        rec->elsewhere = rec->copy && rec->verb == RECORD_PUT &&
                         !rec->file_name && accept(r, " elsewhere");
    }
    return expect(r, " sha ") && read_sha(r, rec->sha) &&
           (r->at == r->end || failed(r, "the end of the line"));
}

static bool read_batch_header(struct reader *r, struct records *out,
                              const char **name, size_t *name_len)
{
    uint64_t count;
    bool escaped;

    if (!read_u64(r, UINT32_MAX, "how many records", &count) ||
        !expect(r, " in ") ||
        !read_quoted(r, "a file's name in quotes", name, name_len, &escaped) ||
        !expect(r, " len ") ||
        !read_u64(r, UINT32_MAX - 2, "the file's length", &out->batch_len) ||
        !expect(r, " sha ") || !read_sha(r, out->batch_sha))
        return false;
    out->batch_count = (uint32_t)count;
    return r->at == r->end || failed(r, "the end of the line");
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
    static const char *const forms[] = {"card", "snapshot", "index"};

    for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        size_t n = strlen(forms[i]);
        if (left(r) >= n && memcmp(r->at, forms[i], n) == 0 &&
            (left(r) == n || r->at[n] == ' ' || r->at[n] == '\n'))
            return true;
    }
    return false;
}

/* The code block under a header whose text is here. */
static bool read_block(struct reader *r, struct record *rec)
{
    if (!expect(r, "```json\n"))
        return false;
    if (left(r) < rec->text_len)
        return failed(r, "as many bytes of text as the header says");
    rec->text = r->at;
    r->at += rec->text_len;
    return expect(r, "\n```");
}

static int damaged(struct err *err, uint64_t message, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int damaged(struct err *err, uint64_t message, const char *fmt, ...)
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
    return damaged(err, m->id, "line %u: expected %s",
                   line_of(m->content, r->at), b.data);
}

static int check_record(const struct remote_message *m, struct record *rec,
                        struct err *err)
{
    unsigned char sha[16];

    if (rec->file_name) {
        rec->file = find_file(m, rec->file_name, rec->file_name_len);
        if (!rec->file)
            return damaged(err, m->id, "its attachment '%.*s' is missing",
                           (int)rec->file_name_len, rec->file_name);
        return 0;
    }
    if (rec->elsewhere)
        return 0;
    record_digest(rec, rec->text, rec->text_len, sha);
    if (memcmp(sha, rec->sha, sizeof(sha)) != 0)
        return damaged(err, m->id, "version %u of '%.*s' has the wrong digest",
                       rec->version,
                       (int)(rec->key_len < 60 ? rec->key_len : 60), rec->key);
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

    if (!read_batch_header(r, out, &name, &name_len))
        return expected(err, m, r);
    out->batch_file = find_file(m, name, name_len);
    if (!out->batch_file)
        return damaged(err, m->id, "its attachment '%.*s' is missing",
                       (int)name_len, name);
    return 0;
}

/* One record with its block. */
static int parse_record(const struct remote_message *m, struct reader *line,
                        struct reader *rest, struct records *out,
                        struct err *err)
{
    struct record *rec = records_add(out);

    if (!read_header(line, m->id, rec))
        return expected(err, m, line);
    bool here =
        rec->verb != RECORD_DELETE && !rec->file_name && !rec->elsewhere;
    if (here && (!expect(rest, "\n") || !read_block(rest, rec)))
        return expected(err, m, rest);
    return check_record(m, rec, err);
}

static int parse_message(const struct remote_message *m, struct records *out,
                         struct err *err)
{
    struct reader rest = {
        .at = m->content,
        .end = m->content + m->content_len,
        .out = out,
        .arena_size = m->content_len,
    };

    for (;;) {
        if (!expect(&rest, LINE_START))
            return expected(err, m, &rest);
        const char *eol = memchr(rest.at, '\n', left(&rest));
        struct reader line = rest;
        if (eol)
            line.end = eol;
        rest.at = line.end;
        if (out->n == 0 && accept(&line, "batch ")) {
            if (rest.at != rest.end) {
                failed(&rest, "nothing behind a batch's line");
                return expected(err, m, &rest);
            }
            return parse_batch_head(m, &line, out, err);
        }
        int r = parse_record(m, &line, &rest, out, err);
        if (r < 0)
            return r;
        if (rest.at == rest.end)
            return 0;
        if (!expect(&rest, "\n"))
            return expected(err, m, &rest);
        if (accept(&rest, FIND_START)) {
            /* Hints: what they say is not looked at. But they end it. */
            if (!memchr(rest.at, '\n', left(&rest)))
                return 0;
            failed(&rest, "nothing behind the find line");
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

/* --- batch files ---------------------------------------------------------- */

/* One line, without its newline. */
static bool read_line(struct reader *r, uint64_t message, struct record *rec)
{
    rec->id = rec->holder = message;
    if (!expect(r, "{\"op\":\"") || !read_verb(r, rec) ||
        !expect(r, "\",\"key\":") ||
        !read_string(r, 1, RECORD_KEY_MAX, "a key in quotes", &rec->key,
                     &rec->key_len) ||
        !expect(r, ",\"v\":") || !read_version(r, rec))
        return false;
    if (accept(r, ",\"of\":\"") && (!read_of(r, rec) || !expect(r, "\"")))
        return false;
    if (rec->verb == RECORD_WAS && !rec->copy)
        return failed(r, ",\"of\":\"");
    if (!expect(r, ",\"base\":\"") || !read_base(r, rec) ||
        !expect(r, "\",\"at\":") ||
        !read_ms(r, "milliseconds since 1970", &rec->at_ms))
        return false;
    rec->mtime_ms = rec->at_ms;
    if (rec->verb != RECORD_DELETE && accept(r, ",\"mtime\":") &&
        !read_ms(r, "milliseconds since 1970", &rec->mtime_ms))
        return false;
    if (!expect(r, ",\"by\":") ||
        !read_string(r, 0, RECORD_BY_MAX, "who, in quotes", &rec->by,
                     &rec->by_len))
        return false;

    if (rec->verb == RECORD_DELETE) {
        expect(r, "}");
    } else if (accept(r, ",\"text\":")) {
        if (!read_string(r, 2, UINT32_MAX - 2, "a row as a string", &rec->text,
                         &rec->text_len) ||
            !expect(r, "}"))
            return false;
    } else {
        if (!expect(r, ",\"row\":"))
            return false;
        if (left(r) < 3 || r->end[-1] != '}')
            return failed(r, "a row, and '}' at the line's end");
        rec->text = r->at;
        rec->text_len = left(r) - 1;
        r->at = r->end;
    }
    return !r->fail && (r->at == r->end || failed(r, "the end of the line"));
}

static int parse_lines(uint64_t message, const char *data, size_t len,
                       struct records *out, struct err *err)
{
    const char *at = data, *end = data + len;

    for (size_t line = 1; at < end; line++) {
        const char *eol = memchr(at, '\n', (size_t)(end - at));
        if (!eol)
            return damaged(err, message, "its batch ends inside of line %zu",
                           line);
        struct reader r = {.at = at, .end = eol, .out = out, .arena_size = len};
        struct record *rec = records_add(out);
        if (!read_line(&r, message, rec)) {
            AUTO_BUF struct buf what = BUF_INIT;
            buf_add_json(&what, r.fail, strlen(r.fail));
            return damaged(err, message,
                           "line %zu of its batch, byte %zu: expected %s", line,
                           (size_t)(r.at - at) + 1, what.data);
        }
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
        return damaged(err, message, "its batch has %zu bytes, not %llu", len,
                       (unsigned long long)head->batch_len);
    batch_digest(head->batch_count, data, len, sha);
    if (memcmp(sha, head->batch_sha, sizeof(sha)) != 0)
        return damaged(err, message, "its batch has the wrong digest");

    int r = parse_lines(message, data, len, &found, err);
    if (r == 0 && found.n != head->batch_count)
        r = damaged(err, message, "its batch has %zu records, not %u", found.n,
                    head->batch_count);
    if (r < 0) {
        records_release(&found);
        return r;
    }
    *out = found;
    return 0;
}
