/* engine/record: what is written is what is read, and what is damaged is
 * refused. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/str.h"
#include "engine/batch.h"
#include "engine/message_text.h"
#include "engine/record.h"
#include "engine/token.h"
#include "engine/transit.h"

#define AT ((int64_t)1795391494123) /* 2026-11-22T23:51:34.123Z */

/* A message as a store would give it back after a post. */
struct post {
    struct message_builder builder;
    struct remote_draft draft;
    struct buf storage;
    struct remote_message message;
    struct remote_file files[4];
    struct records found;
};

static struct record put(const char *key, uint32_t version, uint64_t base,
                         const char *text)
{
    return (struct record){
        .verb = RECORD_PUT,
        .version = version,
        .base = base,
        .at_ms = AT,
        .key = key,
        .key_len = strlen(key),
        .by = "ada@host",
        .by_len = 8,
        .text = text,
        .text_len = strlen(text),
    };
}

static struct record copy_of(struct record r, enum record_verb verb,
                             uint64_t id)
{
    r.verb = verb;
    r.copy = true;
    r.id = id;
    return r;
}

static void release(struct post *p)
{
    message_builder_release(&p->builder);
    remote_draft_release(&p->draft);
    buf_release(&p->storage);
    records_release(&p->found);
    *p = (struct post){0};
}

static int finish(struct post *p, uint64_t max_file)
{
    return message_finish(&p->builder, max_file, &p->draft, &p->storage, NULL);
}

static void store(struct post *p, uint64_t id)
{
    assert_true(utf16_units(p->draft.content.data, p->draft.content.len) <=
                REMOTE_CONTENT_MAX);
    p->message = (struct remote_message){
        .id = id,
        .content = p->draft.content.data,
        .content_len = p->draft.content.len,
        .files = p->files,
        .n_files = p->draft.n_files,
    };
    for (size_t i = 0; i < p->draft.n_files; i++) {
        /* The store's file name, and one that lives as long as the draft. */
        p->files[i].id = 900 + i;
        p->files[i].size = p->draft.files[i].len;
        p->files[i].name = p->storage.data + p->draft.files[i].len + 1;
        assert_string_equal(p->files[i].name, p->draft.files[i].name);
    }
}

/* Finished, posted and read again; a batch's file too. */
static void round_trip(struct post *p, uint64_t id)
{
    struct err err = ERR_INIT;

    assert_int_equal(finish(p, 10 << 20), 0);
    store(p, id);
    if (message_parse(&p->message, &p->found, &err) != 0)
        fail_msg("%s\n%s", err.text, p->draft.content.data);
    if (!p->found.batch_file)
        return;
    struct records head = p->found;
    assert_int_equal(head.batch_file, 900);
    if (batch_parse(&head, id, p->storage.data, p->draft.files[0].len,
                    &p->found, &err) != 0)
        fail_msg("%s", err.text);
    records_release(&head);
}

static void assert_span(const char *s, size_t len, const char *want,
                        size_t want_len)
{
    assert_int_equal(len, want_len);
    if (len > 0)
        assert_memory_equal(s, want, len);
}

/* What the parser found is what was added to a message with this id. */
static void assert_record(const struct record *got, const struct record *want,
                          uint64_t message)
{
    assert_int_equal(got->verb, want->verb);
    assert_int_equal(got->version, want->version);
    assert_int_equal(got->holder, message);
    assert_int_equal(got->id, want->copy ? want->id : message);
    assert_int_equal(got->base,
                     want->base == RECORD_SELF ? message : want->base);
    assert_int_equal(got->at_ms, want->at_ms);
    assert_int_equal(got->mtime_ms,
                     want->mtime_ms ? want->mtime_ms : want->at_ms);
    assert_int_equal(got->copy, want->copy);
    assert_span(got->key, got->key_len, want->key, want->key_len);
    assert_span(got->by, got->by_len, want->by, want->by_len);
    if (want->verb == RECORD_DELETE)
        return;
    assert_int_equal(got->text_len, want->text_len);
    if (got->text)
        assert_span(got->text, got->text_len, want->text, want->text_len);
}

static void one_record_reads_like_this(void **state)
{
    struct post p = {0};
    struct record r = put("u_1", 2, 1290, "{\"id\":\"u_1\",\"n\":2}");
    (void)state;

    message_add(&p.builder, &r);
    round_trip(&p, 1300);
    assert_string_equal(
        p.draft.content.data,
        "-# dbcord put \"u_1\" v2 base 1290 at 2026-11-22T23:51:34.123Z by "
        "\"ada@host\" len 18 sha 99212ea3db00168ad8dcc7c4f12a5551\n"
        "```json\n"
        "{\"id\":\"u_1\",\"n\":2}\n"
        "```");
    assert_int_equal(p.found.n, 1);
    assert_record(&p.found.list[0], &r, 1300);
    assert_true(p.found.list[0].alone);
    release(&p);
}

static void a_row_message_carries_search_words(void **state)
{
    struct post p = {.builder.find_tokens = true};
    struct record r = put("u_1", 1, 0, "{\"id\":\"u_1\"}");
    char key[TOKEN_LEN + 1], id[TOKEN_LEN + 1];
    AUTO_BUF struct buf want = BUF_INIT;
    (void)state;

    message_add(&p.builder, &r);
    round_trip(&p, 1300);
    token_of(NULL, 0, "u_1", 3, key);
    token_of("id", 2, "\"u_1\"", 5, id);
    buf_printf(&want, "\n-# find %s %s", key, id);
    assert_true(str_ends(p.draft.content.data, want.data));
    release(&p);
}

/* The first update of a row: the version that was replaced comes with it. */
static void an_update_carries_what_it_replaces(void **state)
{
    struct post p = {.builder.find_tokens = true};
    struct record r[] = {
        put("u_1", 2, 1290, "{\"id\":\"u_1\",\"n\":2}"),
        copy_of(put("u_1", 1, 0, "{\"id\":\"u_1\"}"), RECORD_WAS, 1290),
    };
    (void)state;

    message_add(&p.builder, &r[0]);
    message_add(&p.builder, &r[1]);
    round_trip(&p, 1300);
    assert_int_equal(p.draft.n_files, 0);
    assert_int_equal(p.found.n, 2);
    assert_record(&p.found.list[0], &r[0], 1300);
    assert_record(&p.found.list[1], &r[1], 1300);
    assert_true(p.found.list[0].alone);
    assert_false(p.found.list[1].alone);
    release(&p);
}

static void a_deletion_has_no_text(void **state)
{
    struct post p = {0};
    struct record r = put("u_1", 3, 1300, "");
    (void)state;

    r.verb = RECORD_DELETE;
    r.text = NULL;
    message_add(&p.builder, &r);
    round_trip(&p, 1310);
    assert_string_equal(
        p.draft.content.data,
        "-# dbcord delete \"u_1\" v3 base 1300 at 2026-11-22T23:51:34.123Z by "
        "\"ada@host\" sha aad348551e1aef60ac3f5d818bc0d776");
    assert_record(&p.found.list[0], &r, 1310);
    release(&p);
}

static char *big_text(size_t len)
{
    char *text = malloc(len + 1);
    int n = snprintf(text, len, "{\"id\":\"k\",\"x\":\"");

    assert_non_null(text);
    memset(text + n, 'x', len - (size_t)n - 2);
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

/* Until nothing more fits, and then a file: never a byte too many. */
static void fill_to_the_brim(bool find, size_t least)
{
    size_t most = 0;
    bool file_seen = false;

    for (size_t len = 1700; len < 1980; len++) {
        struct post p = {.builder.find_tokens = find};
        char *text = big_text(len);
        struct record r = put("k", 1, 0, text);
        message_add(&p.builder, &r);
        round_trip(&p, 5);
        const struct record *got = &p.found.list[0];
        assert_record(got, &r, 5);
        if (p.draft.n_files) {
            file_seen = true;
            assert_int_equal(got->file, 900);
            assert_int_equal(record_check_file(got, p.draft.files[0].data,
                                               p.draft.files[0].len, NULL),
                             0);
        } else {
            assert_false(file_seen);
            most = p.draft.content.len;
        }
        assert_true(!find || strstr(p.draft.content.data, "\n-# find q"));
        free(text);
        release(&p);
    }
    assert_true(file_seen && most >= least);
}

static void content_is_filled_to_the_brim_and_not_beyond(void **state)
{
    (void)state;
    fill_to_the_brim(false, REMOTE_CONTENT_MAX);
    fill_to_the_brim(true, REMOTE_CONTENT_MAX - TOKEN_LEN);
}

static void a_big_text_is_a_file_named_after_its_key(void **state)
{
    struct post p = {.builder.find_tokens = true};
    char *text = big_text(5000);
    struct record r = put("../\u00e9t\u00e9 2_x", 1, 0, text);
    struct err err = ERR_INIT;
    (void)state;

    message_add(&p.builder, &r);
    round_trip(&p, 77);
    assert_string_equal(p.draft.files[0].name, "t-2-x.json");
    assert_int_equal(p.draft.files[0].len, 5000);
    assert_memory_equal(p.draft.files[0].data, text, 5000);
    assert_non_null(strstr(p.draft.content.data, "\n-# find q"));

    struct record *got = &p.found.list[0];
    assert_null(got->text);
    text[100]++;
    assert_int_equal(record_check_file(got, text, 5000, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "77"));
    assert_int_equal(record_check_file(got, text, 4999, &err), -EBADMSG);
    free(text);
    release(&p);
}

static void what_would_not_survive_is_a_file(void **state)
{
    static const char *const texts[] = {
        "{\"a\":\"\u200b\"}",     "{\"a\":\"\x7f\"}",
        "{\r\n\"a\":1}",          "{\"a\":\"\ue000\"}",
        "{\"a\":\"\U000e0041\"}", "{\"a\":\"<:x:12>\"}",
        "{\"a\":\"<a:Y_1:3>\"}",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct post p = {0};
        struct record r = put("k", 1, 0, texts[i]);
        message_add(&p.builder, &r);
        round_trip(&p, 5);
        assert_int_equal(p.draft.n_files, 1);
        release(&p);
    }
    const char *fine = "{\"a\":\"\u00fc\u4e2d\U0001f600 <b> <:x> <a:b:c>\"}";
    assert_true(text_survives_transit(fine, strlen(fine)));
    assert_true(text_survives_transit("\t\n", 2));
    assert_false(text_survives_transit("\xff", 1));
    assert_false(text_survives_transit("\0", 1));
}

/* Keys are bytes; in a header they are letters that nobody strips. */
static void any_key_makes_the_way_there_and_back(void **state)
{
    static const char *const keys[] = {
        "a b",          "\"\\/",       "line\nbreak\t",
        "\u200b",       "\u00fc",      "\U0001f600\U000e0041",
        "```\n-# find", "<@1> <:x:1>", "\x01\x7f",
        " v2 base 0 ",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct post p = {0};
        struct record r = put(keys[i], 1, 0, "{}");
        message_add(&p.builder, &r);
        round_trip(&p, 5);
        assert_int_equal(p.draft.n_files, 0);
        assert_record(&p.found.list[0], &r, 5);
        assert_true(
            text_survives_transit(p.draft.content.data, p.draft.content.len));
        release(&p);
    }

    struct post p = {0};
    struct record r = put("", 1, 0, "{}");
    r.key = "nul\0key";
    r.key_len = 7;
    message_add(&p.builder, &r);
    round_trip(&p, 5);
    assert_record(&p.found.list[0], &r, 5);
    release(&p);
}

static void a_key_too_long_for_headers_goes_into_a_batch(void **state)
{
    char key[RECORD_KEY_MAX + 1];
    struct post p = {.builder.find_tokens = true};
    (void)state;

    memset(key, 'k', RECORD_KEY_MAX);
    key[RECORD_KEY_MAX] = '\0';
    struct record r = put(key, 1, 0, "{}");
    message_add(&p.builder, &r);
    round_trip(&p, 5);
    assert_string_equal(p.draft.files[0].name, "batch.ndjson");
    assert_record(&p.found.list[0], &r, 5);
    assert_false(p.found.list[0].alone);
    release(&p);
}

static void who_wrote_is_cut_and_cleaned(void **state)
{
    struct post p = {0};
    struct record r = put("k", 1, 0, "{}");
    (void)state;

    r.by = "a\nb\xff\u200b"
           "0123456789012345678901234567890123456789012345678901234567\u00e9";
    r.by_len = strlen(r.by);
    message_add(&p.builder, &r);
    round_trip(&p, 5);
    r.by = "a?b??0123456789012345678901234567890123456789012345678901234567";
    r.by_len = strlen(r.by);
    assert_int_equal(r.by_len, 63);
    assert_record(&p.found.list[0], &r, 5);
    release(&p);
}

static void times_of_all_centuries_are_kept(void **state)
{
    static const int64_t times[] = {
        1,
        -1,
        951782399999,   /* the end of a leap day */
        951782400000,   /* and the day after */
        -2203977600001, /* 1900 had none */
        4107542400000,  /* nor will 2100 */
        -62135596800000,
        253402300799999, /* first and last */
        AT,
    };
    (void)state;

    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        struct post p = {0};
        struct record r = put("k", 1, 0, "{}");
        r.mtime_ms = times[i];
        message_add(&p.builder, &r);
        round_trip(&p, 5);
        assert_record(&p.found.list[0], &r, 5);
        release(&p);
    }
}

/* Several that do not fit: one file, with the texts as they are. */
static void a_batch_keeps_every_byte(void **state)
{
    struct post p = {0};
    char *text = big_text(3000);
    struct record r[] = {
        put("a", 1, 0, text),
        put("b\"\u200b", 4, 1290, "{\n  \"x\": \"\\n\"\n}"),
        put("b\"\u200b", 5, RECORD_SELF, "{ \"x\":1 }"),
        put("c", 9, 1200, ""),
        copy_of(put("c", 7, 1100, "{\r\n}"), RECORD_WAS, 1150),
    };
    (void)state;

    r[1].mtime_ms = -5;
    r[3].verb = RECORD_DELETE;
    r[3].text = NULL;
    size_t bound = 0;
    for (size_t i = 0; i < 5; i++) {
        message_add(&p.builder, &r[i]);
        bound += batch_line_len(&r[i]);
    }
    round_trip(&p, 1400);
    assert_int_equal(p.draft.n_files, 1);
    assert_int_equal(p.draft.files[0].len, bound);
    assert_int_equal(p.found.n, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_record(&p.found.list[i], &r[i], 1400);
        assert_false(p.found.list[i].alone);
        assert_true(!!p.found.list[i].text == (i != 3));
    }

    /* The last byte of the limit is used, and none more. */
    size_t len = p.draft.files[0].len;
    assert_int_equal(finish(&p, len), 0);
    assert_int_equal(finish(&p, len - 1), -EFBIG);
    free(text);
    release(&p);
}

/* A rename: in a message, and in a batch. */
static void joined_records_say_so(void **state)
{
    (void)state;
    for (int as_file = 0; as_file < 2; as_file++) {
        struct post p = {0};
        struct record r[] = {
            put("a", 2, 1200, ""),
            put("b", 1, 0, "{\"id\":\"b\"}"),
            copy_of(put("a", 1, 0, "{}"), RECORD_WAS, 1200),
        };

        r[0].verb = RECORD_DELETE;
        r[0].text = NULL;
        r[1].joined = true;
        p.builder.as_file = as_file;
        for (size_t i = 0; i < 3; i++)
            message_add(&p.builder, &r[i]);
        round_trip(&p, 1400);
        assert_int_equal(p.found.n, 3);
        for (size_t i = 0; i < 3; i++) {
            assert_record(&p.found.list[i], &r[i], 1400);
            assert_int_equal(p.found.list[i].joined, i == 1);
            assert_false(p.found.list[i].alone);
        }
        const char *said =
            as_file ? p.storage.data : (const char *)p.draft.content.data;
        assert_non_null(
            strstr(said, as_file ? ",\"and\":true,\"row\":" : " and sha "));
        release(&p);
    }
}

/* There must be something to join. */
static void a_first_record_joins_nothing(void **state)
{
    struct post p = {0};
    struct record r[] = {
        copy_of(put("a", 1, 0, "{}"), RECORD_WAS, 1200),
        put("a", 2, 1200, "{}"),
    };
    struct err err = ERR_INIT;
    struct records head, out = {0};
    (void)state;

    r[1].joined = true;
    message_add(&p.builder, &r[0]);
    message_add(&p.builder, &r[1]);
    assert_int_equal(finish(&p, 10000), 0);
    store(&p, 1400);
    assert_int_equal(message_parse(&p.message, &out, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "join"));
    p.builder.as_file = true;
    assert_int_equal(finish(&p, 10000), 0);
    store(&p, 1400);
    assert_int_equal(message_parse(&p.message, &head, &err), 0);
    assert_int_equal(batch_parse(&head, 1400, p.storage.data,
                                 p.draft.files[0].len, &out, &err),
                     -EBADMSG);
    assert_non_null(strstr(err.text, "join"));
    records_release(&head);
    release(&p);
}

static void a_batch_is_all_or_nothing(void **state)
{
    struct post p = {0};
    struct record r[] = {put("a", 1, 0, "{\"x\":\"\u200b\"}"),
                         put("b", 1, 0, "{}")};
    struct err err = ERR_INIT;
    struct records head, out = {0};
    (void)state;

    message_add(&p.builder, &r[0]);
    message_add(&p.builder, &r[1]);
    assert_int_equal(finish(&p, 10000), 0);
    store(&p, 1400);
    assert_int_equal(message_parse(&p.message, &head, &err), 0);

    size_t len = p.draft.files[0].len;
    char *data = malloc(len);
    for (size_t i = 0; i < len; i++) {
        memcpy(data, p.storage.data, len);
        data[i] ^= 1;
        assert_int_equal(batch_parse(&head, 1400, data, len, &out, &err),
                         -EBADMSG);
        assert_non_null(strstr(err.text, "message 1400"));
        assert_int_equal(
            batch_parse(&head, 1400, p.storage.data, i, &out, &err), -EBADMSG);
    }
    free(data);
    records_release(&head);
    release(&p);
}

/* What a row's message shows once it has been brought up to date. */
static void a_home_shows_the_newest_version(void **state)
{
    struct post p = {.builder.find_tokens = true};
    struct record r =
        copy_of(put("u_1", 3, 1300, "{\"id\":\"u_1\"}"), RECORD_PUT, 1310);
    (void)state;

    r.elsewhere = true;
    message_add(&p.builder, &r);
    round_trip(&p, 1290);
    assert_record(&p.found.list[0], &r, 1290);
    assert_non_null(p.found.list[0].text);
    assert_false(p.found.list[0].elsewhere);
    assert_true(p.found.list[0].alone);
    release(&p);
}

static void a_home_points_at_a_text_too_big_for_it(void **state)
{
    struct post p = {.builder.find_tokens = true};
    char *text = big_text(4000);
    struct record r = copy_of(put("u_1", 3, 1300, text), RECORD_PUT, 1310);
    char key[TOKEN_LEN + 1];
    (void)state;

    r.elsewhere = true;
    message_add(&p.builder, &r);
    round_trip(&p, 1290);
    assert_int_equal(p.draft.n_files, 0);
    assert_record(&p.found.list[0], &r, 1290);
    assert_null(p.found.list[0].text);
    assert_true(p.found.list[0].elsewhere);
    assert_int_equal(p.found.list[0].file, 0);
    token_of(NULL, 0, "u_1", 3, key);
    assert_non_null(strstr(p.draft.content.data, key));
    free(text);
    release(&p);
}

/* A home whose first version is a file keeps it, whatever it shows now; the
 * file's bytes are not needed for that. */
static void a_home_keeps_the_file_of_an_old_version(void **state)
{
    struct post first = {0}, later = {0};
    char *text = big_text(4000);
    struct record v1 = put("u_1", 1, 0, text);
    (void)state;

    message_add(&first.builder, &v1);
    round_trip(&first, 1290);

    struct record old = first.found.list[0];
    old.verb = RECORD_WAS;
    old.copy = true;
    old.kept_file = true;
    struct record gone = copy_of(put("u_1", 2, 1290, ""), RECORD_DELETE, 1310);
    gone.text = NULL;
    message_add(&later.builder, &gone);
    message_add(&later.builder, &old);
    assert_int_equal(finish(&later, 100), 0);
    assert_int_equal(later.draft.n_files, 0);
    store(&later, 1290);
    later.files[0] = first.files[0];
    later.message.n_files = 1;
    assert_int_equal(message_parse(&later.message, &later.found, NULL), 0);

    assert_record(&later.found.list[0], &gone, 1290);
    assert_true(later.found.list[0].alone);
    struct record *was = &later.found.list[1];
    assert_record(was, &old, 1290);
    assert_int_equal(was->file, 900);
    assert_int_equal(record_check_file(was, text, 4000, NULL), 0);
    free(text);
    release(&later);
    release(&first);
}

/* The big text is the message's file, the version it replaces stands beside. */
static void a_big_update_still_carries_what_it_replaces(void **state)
{
    struct post p = {0};
    char *text = big_text(4000);
    struct record r[] = {
        put("u_1", 2, 1290, text),
        copy_of(put("u_1", 1, 0, "{\"id\":\"u_1\"}"), RECORD_WAS, 1290),
    };
    (void)state;

    message_add(&p.builder, &r[0]);
    message_add(&p.builder, &r[1]);
    round_trip(&p, 1300);
    assert_string_equal(p.draft.files[0].name, "u-1.json");
    assert_record(&p.found.list[0], &r[0], 1300);
    assert_record(&p.found.list[1], &r[1], 1300);
    assert_int_equal(p.found.list[0].file, 900);
    assert_non_null(p.found.list[1].text);
    free(text);
    release(&p);
}

/* The store gave back something else than it was sent. */
static void a_message_can_be_kept_out_of_the_content(void **state)
{
    struct post p = {.builder = {.as_file = true, .find_tokens = true}};
    struct record r = put("u_1", 1, 0, "{}");
    (void)state;

    message_add(&p.builder, &r);
    round_trip(&p, 1300);
    assert_string_equal(p.draft.files[0].name, "batch.ndjson");
    assert_null(strstr(p.draft.content.data, "u_1"));
    assert_record(&p.found.list[0], &r, 1300);
    release(&p);
}

static void a_file_above_the_limit_is_refused(void **state)
{
    struct post p = {0};
    char *text = big_text(4000);
    struct record r = put("k", 1, 0, text);
    (void)state;

    message_add(&p.builder, &r);
    assert_int_equal(finish(&p, 4000), 0);
    assert_int_equal(finish(&p, 3999), -EFBIG);
    free(text);
    release(&p);
}

/* --- damage --------------------------------------------------------------- */

static int parse_text(const char *content, size_t len, struct err *err)
{
    struct remote_message m = {
        .id = 4711,
        .content = malloc(len + 1),
        .content_len = len,
    };
    struct records found = {0};

    memcpy(m.content, content, len);
    m.content[len] = '\0';
    int r = message_parse(&m, &found, err);
    if (r == 0)
        records_release(&found);
    free(m.content);
    return r;
}

static void other_messages_are_left_alone(void **state)
{
    static const char *const others[] = {
        "",
        "hello",
        "-# dbcor",
        "```json\n{}\n```",
        "-# dbcord card\ntable users",
        "-# dbcord snapshot 3 in \"x\"",
        "-# dbcord index x",
    };
    struct remote_message m = {.type = 18, .content_len = 18};
    char content[] = "-# dbcord put \"a\" ";
    struct records out;
    (void)state;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(parse_text(others[i], strlen(others[i]), NULL),
                         -ENOMSG);
    /* The notice of a thread's start bears the card's name. */
    m.content = content;
    assert_int_equal(message_parse(&m, &out, NULL), -ENOMSG);
}

/* No byte of a message can change, go or come unnoticed, save in the find
 * line and in what only says where things are. */
static void damage_is_noticed(void **state)
{
    static const char text[] =
        "-# dbcord put \"u_1\" v2 base 1290 at 2026-11-22T23:51:34.123Z mtime "
        "2020-01-31T00:00:00.000Z by \"ada@host\" len 18 sha "
        "9216d67ee7a121d8b13852291be8826a\n"
        "```json\n"
        "{\"id\":\"u_1\",\"n\":2}\n"
        "```";
    char copy[sizeof(text) + 1];
    size_t len = sizeof(text) - 1;
    struct err err = ERR_INIT;
    (void)state;

    assert_int_equal(parse_text(text, len, &err), 0);
    for (size_t i = 10; i < len; i++) {
        for (int bit = 0; bit < 8; bit++) {
            memcpy(copy, text, len);
            copy[i] = (char)(copy[i] ^ (1 << bit));
            err = ERR_INIT;
            assert_int_equal(parse_text(copy, len, &err), -EBADMSG);
            assert_non_null(strstr(err.text, "message 4711"));
        }
        assert_int_equal(parse_text(text, i, &err), -EBADMSG);
        memcpy(copy, text, i);
        memcpy(copy + i, text + i + 1, len - i - 1);
        assert_int_equal(parse_text(copy, len - 1, &err), -EBADMSG);
        memcpy(copy, text, i);
        copy[i] = '5';
        memcpy(copy + i + 1, text + i, len - i);
        assert_int_equal(parse_text(copy, len + 1, &err), -EBADMSG);
    }
}

static void errors_say_what_was_expected(void **state)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"-# dbcord ", "put, delete, was or batch"},
        {"-# dbcord put u", "a key in quotes"},
        {"-# dbcord put \"\" v1", "a key in quotes"},
        {"-# dbcord put \"\\ud800\" v1", "a key in quotes"},
        {"-# dbcord put \"a\\", "a key in quotes"},
        {"-# dbcord put \"a\\u00", "a key in quotes"},
        {"-# dbcord put \"a\" v0 base", "a version from 1"},
        {"-# dbcord put \"a\" v1 base 5 at", "agrees with the version"},
        {"-# dbcord put \"a\" v2 base 0 at", "agrees with the version"},
        {"-# dbcord delete \"a\" v1 base 0 at", "agrees with the version"},
        {"-# dbcord was \"a\" v1 base 0 at", " of "},
        {"-# dbcord put \"a\" v2 of 7 base self at", "the id of the base"},
        {"-# dbcord put \"a\" v1 base 0 at 2026-02-29T00:00:00.000Z", "a time"},
        {"-# dbcord put \"a\" v1 base 0 at 2026-02-28T00:00:00Z", "a time"},
        {"-# dbcord batch 1 in \"x\" len 3 sha 00", "32 hexadecimal"},
        {"-# dbcord batch 1 in \"x\" len 3 sha "
         "00000000000000000000000000000000",
         "'x' is missing"},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = ERR_INIT;
        assert_int_equal(parse_text(cases[i].text, strlen(cases[i].text), &err),
                         -EBADMSG);
        if (!strstr(err.text, cases[i].says))
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_record_reads_like_this),
        cmocka_unit_test(a_row_message_carries_search_words),
        cmocka_unit_test(an_update_carries_what_it_replaces),
        cmocka_unit_test(a_deletion_has_no_text),
        cmocka_unit_test(content_is_filled_to_the_brim_and_not_beyond),
        cmocka_unit_test(a_big_text_is_a_file_named_after_its_key),
        cmocka_unit_test(what_would_not_survive_is_a_file),
        cmocka_unit_test(any_key_makes_the_way_there_and_back),
        cmocka_unit_test(a_key_too_long_for_headers_goes_into_a_batch),
        cmocka_unit_test(who_wrote_is_cut_and_cleaned),
        cmocka_unit_test(times_of_all_centuries_are_kept),
        cmocka_unit_test(a_batch_keeps_every_byte),
        cmocka_unit_test(joined_records_say_so),
        cmocka_unit_test(a_first_record_joins_nothing),
        cmocka_unit_test(a_batch_is_all_or_nothing),
        cmocka_unit_test(a_home_shows_the_newest_version),
        cmocka_unit_test(a_home_points_at_a_text_too_big_for_it),
        cmocka_unit_test(a_home_keeps_the_file_of_an_old_version),
        cmocka_unit_test(a_big_update_still_carries_what_it_replaces),
        cmocka_unit_test(a_message_can_be_kept_out_of_the_content),
        cmocka_unit_test(a_file_above_the_limit_is_refused),
        cmocka_unit_test(other_messages_are_left_alone),
        cmocka_unit_test(damage_is_noticed),
        cmocka_unit_test(errors_say_what_was_expected),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
