/* Messages from outside, and messages of our own making: what is accepted is
 * written again as it was, what we write is accepted. */
#include <string.h>

#include "engine/base/str.h"
#include "engine/batch.h"
#include "engine/json.h"
#include "engine/message_text.h"
#include "engine/record.h"
#include "engine/transit.h"
#include "tests/fuzz/fuzz.h"

static bool same_span(const char *a, size_t a_len, const char *b, size_t b_len)
{
    return a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0);
}

static bool same(const struct record *a, const struct record *b)
{
    return a->verb == b->verb && a->version == b->version && a->id == b->id &&
           a->base == b->base && a->at_ms == b->at_ms &&
           a->mtime_ms == b->mtime_ms && a->copy == b->copy &&
           a->text_len == b->text_len &&
           same_span(a->key, a->key_len, b->key, b->key_len);
}

static void parse_outside(const char *content, size_t len)
{
    char names[][16] = {"batch.ndjson", "a.json"};
    struct remote_file files[] = {
        {.id = 7, .name = names[0]},
        {.id = 8, .name = names[1]},
    };
    struct remote_message m = {
        .id = 1300,
        .content = (char *)(uintptr_t)content,
        .content_len = len,
        .files = files,
        .n_files = 2,
    };
    struct records found;
    struct err err = ERR_INIT;

    if (message_parse(&m, &found, &err) != 0) {
        REQUIRE(err.text[0]);
        return;
    }

    struct message_builder b = {0};
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    for (size_t i = 0; i < found.n; i++) {
        struct record r = found.list[i];
        REQUIRE(!r.text || json_check(r.text, r.text_len, NULL) == 0);
        REQUIRE(r.key_len > 0 && utf8_valid(r.key, r.key_len));
        r.kept_file = r.file != 0;
        message_add(&b, &r);
    }
    if (found.n > 0 &&
        message_finish(&b, 1 << 20, &draft, &storage, NULL) == 0 &&
        draft.n_files == 0) {
        struct records again;
        m.content = draft.content.data;
        m.content_len = draft.content.len;
        REQUIRE(message_parse(&m, &again, NULL) == 0);
        REQUIRE(again.n == found.n);
        for (size_t i = 0; i < found.n; i++)
            REQUIRE(same(&again.list[i], &found.list[i]));
        records_release(&again);
    }
    message_builder_release(&b);
    remote_draft_release(&draft);
    buf_release(&storage);
    records_release(&found);
}

/* Takes bytes off the input. */
struct source {
    const uint8_t *at;
    size_t left;
};

static uint8_t take(struct source *s)
{
    if (s->left == 0)
        return 0;
    s->left--;
    return *s->at++;
}

/* Some of the input as text; *len of it. */
static const char *take_text(struct source *s, size_t max, size_t *len)
{
    *len = ((size_t)take(s) << 4 | take(s)) % (max + 1);

    const char *text = (const char *)s->at;
    if (*len > s->left)
        *len = s->left;
    s->at += *len;
    s->left -= *len;
    return text;
}

static void make_and_read(struct source s)
{
    struct message_builder b = {.find_tokens = take(&s) & 1};
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    struct buf texts[8];
    size_t n = 1 + take(&s) % 8;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < n; i++) {
        struct record r = {.version = 2u + take(&s), .base = 1 + take(&s)};
        uint8_t kind = take(&s);
        size_t len;

        r.verb = (enum record_verb)(kind % 3);
        r.copy = r.verb == RECORD_WAS || (kind & 8);
        r.id = r.copy ? 1200u + take(&s) : 1300;
        r.at_ms = (int64_t)take(&s) << (take(&s) % 40);
        r.mtime_ms = r.at_ms;
        if ((kind & 16) && r.verb != RECORD_DELETE && r.at_ms > 256)
            r.mtime_ms -= take(&s);
        r.key = take_text(&s, 100, &r.key_len);
        if (r.key_len == 0 || !utf8_valid(r.key, r.key_len)) {
            r.key = "key";
            r.key_len = 3;
        }
        r.by = take_text(&s, 80, &r.by_len);
        texts[i] = BUF_INIT;
        const char *text = take_text(&s, 4000, &len);
        if (json_check(text, len, NULL) == 0) {
            buf_add(&texts[i], text, len);
        } else {
            buf_addstr(&texts[i], "{\"x\":\"");
            for (size_t k = 0; k < len; k++)
                buf_addc(&texts[i], (char)('a' + (unsigned char)text[k] % 16));
            buf_addstr(&texts[i], "\"}");
        }
        if (r.verb != RECORD_DELETE) {
            r.text = texts[i].data;
            r.text_len = texts[i].len;
        }
        message_add(&b, &r);
    }
    REQUIRE(message_finish(&b, 1 << 20, &draft, &storage, &err) == 0);
    REQUIRE(utf16_units(draft.content.data, draft.content.len) <=
            REMOTE_CONTENT_MAX);
    REQUIRE(text_survives_transit(draft.content.data, draft.content.len));

    char name[128] = "";
    struct remote_file file = {.id = 9, .name = name};
    if (draft.n_files)
        snprintf(name, sizeof(name), "%s", draft.files[0].name);
    struct remote_message m = {
        .id = 1300,
        .content = draft.content.data,
        .content_len = draft.content.len,
        .files = &file,
        .n_files = draft.n_files,
    };
    struct records found, in_file = {0}, *got = &found;
    REQUIRE(message_parse(&m, &found, &err) == 0);
    if (found.batch_file) {
        REQUIRE(batch_parse(&found, 1300, draft.files[0].data,
                            draft.files[0].len, &in_file, &err) == 0);
        got = &in_file;
    }
    REQUIRE(got->n == n);
    for (size_t i = 0; i < n; i++) {
        REQUIRE(same(&got->list[i], &b.list[i]));
        if (got->list[i].text)
            REQUIRE(same_span(got->list[i].text, got->list[i].text_len,
                              b.list[i].text, b.list[i].text_len));
        else if (got->list[i].file)
            REQUIRE(record_check_file(&got->list[i], draft.files[0].data,
                                      draft.files[0].len, &err) == 0);
    }

    records_release(&found);
    records_release(&in_file);
    message_builder_release(&b);
    remote_draft_release(&draft);
    buf_release(&storage);
    for (size_t i = 0; i < n; i++)
        buf_release(&texts[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    parse_outside((const char *)data, size);
    make_and_read((struct source){data, size});
    return 0;
}
