/* engine/index_text, engine/index_log, engine/index_defs: what an index says,
 * and what a log of it comes to. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/index_defs.h"
#include "engine/index_log.h"
#include "engine/index_text.h"

static struct index_entry entry(const char *key, uint32_t version, uint64_t of,
                                uint64_t in, const char *value)
{
    return (struct index_entry){
        .key = key,
        .key_len = strlen(key),
        .version = version,
        .of = of,
        .in = in,
        .value = value,
        .value_len = value ? strlen(value) : 0,
    };
}

static struct index_message message(struct index_entry *list, size_t n)
{
    return (struct index_message){
        .field = "email",
        .field_len = 5,
        .table = 1290,
        .upto = {1300, 1301},
        .list = list,
        .n = n,
    };
}

static struct remote_message as_posted(struct remote_draft *draft,
                                       struct remote_file *file)
{
    struct remote_message m = {
        .id = 1400,
        .content = draft->content.data,
        .content_len = draft->content.len,
    };

    if (draft->n_files > 0) {
        *file = (struct remote_file){.id = 77, .size = draft->files[0].len};
        m.files = file;
        m.n_files = 1;
    }
    return m;
}

static void assert_entry(const struct index_entry *a,
                         const struct index_entry *b)
{
    assert_int_equal(a->key_len, b->key_len);
    assert_memory_equal(a->key, b->key, b->key_len);
    assert_int_equal(a->version, b->version);
    assert_int_equal(a->of, b->of);
    assert_int_equal(a->value != NULL, b->value != NULL);
    if (!b->value)
        return;
    assert_int_equal(a->in, b->in);
    assert_int_equal(a->value_len, b->value_len);
    assert_memory_equal(a->value, b->value, b->value_len);
}

/* Builds, reads back, and compares. */
static void assert_comes_back(struct index_message *im, bool in_file)
{
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    struct index_message got;
    struct remote_file file;
    struct err err = ERR_INIT;
    size_t taken;

    assert_int_equal(index_build(im, 1 << 20, &taken, &draft, &storage, &err),
                     0);
    assert_int_equal(taken, im->n);
    assert_int_equal(draft.n_files, in_file ? 1 : 0);
    struct remote_message m = as_posted(&draft, &file);
    if (index_parse(&m, &got, &err) != 0)
        fail_msg("%s", err.text);
    assert_int_equal(got.table, im->table);
    assert_int_equal(got.upto[0], im->upto[0]);
    assert_int_equal(got.upto[1], im->upto[1]);
    assert_int_equal(got.over, im->over);
    assert_int_equal(got.field_len, im->field_len);
    assert_memory_equal(got.field, im->field, im->field_len);
    assert_int_equal(got.count, im->n);
    if (in_file) {
        assert_int_equal(got.file, 77);
        assert_int_equal(got.n, 0);
        if (index_parse_file(&got, m.id, storage.data, storage.len, &err) != 0)
            fail_msg("%s", err.text);
    }
    assert_int_equal(got.n, im->n);
    for (size_t i = 0; i < im->n; i++)
        assert_entry(&got.list[i], &im->list[i]);
    index_message_release(&got);
    remote_draft_release(&draft);
    buf_release(&storage);
}

/* Other programs read these. */
static void a_message_reads_as_the_format_says(void **state)
{
    struct index_entry list[] = {
        entry("u_1", 2, 1379, 1330, "str:ada@x.org"),
        entry("u_3", 4, 1399, 0, NULL),
    };
    struct index_message im = message(list, 2);
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    size_t taken;
    (void)state;

    im.over = 1250;
    assert_int_equal(index_build(&im, 1 << 20, &taken, &draft, &storage, NULL),
                     0);
    assert_string_equal(
        draft.content.data,
        "-# dbcord index \"email\" of 1290 entries 2 upto 1300 1301 over 1250\n"
        "+ \"u_1\" v2 of 1379 in 1330 \"str:ada@x.org\"\n"
        "- \"u_3\" v4 of 1399\n"
        "-# find qqcpmgmrbbrpd");
    remote_draft_release(&draft);
    buf_release(&storage);

    im.as_file = true;
    assert_int_equal(index_build(&im, 1 << 20, &taken, &draft, &storage, NULL),
                     0);
    assert_string_equal(
        storage.data,
        "{\"key\":\"u_1\",\"v\":2,\"of\":\"1379\",\"in\":\"1330\","
        "\"value\":\"str:ada@x.org\"}\n"
        "{\"key\":\"u_3\",\"v\":4,\"of\":\"1399\"}\n");
    remote_draft_release(&draft);
    buf_release(&storage);
}

static void what_was_written_is_read(void **state)
{
    struct index_entry list[200];
    char keys[200][16];
    struct index_message im = message(list, 0);
    (void)state;

    assert_comes_back(&im, false);
    for (int i = 0; i < 200; i++) {
        snprintf(keys[i], sizeof(keys[i]), "key %d", i);
        list[i] = entry(keys[i], (uint32_t)i + 1, 2000 + (uint64_t)i, 1999,
                        i % 3 ? "num:36e1" : NULL);
    }
    im.n = 3;
    assert_comes_back(&im, false);
    im.over = 1299;
    assert_comes_back(&im, false);
    im.as_file = true;
    assert_comes_back(&im, true);
    im.as_file = false;
    im.n = 200;
    assert_comes_back(&im, true);
}

static void any_name_and_value_goes_through(void **state)
{
    static const char *const strings[] = {
        "a\nb", "\"quoted\\\"",    "\u200b",     "<:name:1>",
        "```",  "\u00e9\u4e2d",    "\U0001f600", "-# find",
        "\x7f", "+ \"x\" v1 of 1", "@everyone",  " ",
    };
    struct index_entry list[12];
    struct index_message im = message(list, 1);
    (void)state;

    for (size_t i = 0; i < 12; i++) {
        AUTO_BUF struct buf value = BUF_INIT;
        buf_printf(&value, "str:%s", strings[i]);
        list[0] = entry(strings[i], 1, 1400, 1400, value.data);
        im.field = strings[i];
        im.field_len = strlen(strings[i]);
        im.as_file = false;
        assert_comes_back(&im, false);
        im.as_file = true;
        assert_comes_back(&im, true);
    }
}

static void what_has_no_room_is_left_for_the_next(void **state)
{
    struct index_entry list[100];
    struct index_message im = message(list, 100);
    struct buf storage = BUF_INIT;
    struct remote_draft draft = {0};
    struct remote_file file;
    struct index_message got;
    struct err err = ERR_INIT;
    size_t taken;
    (void)state;

    for (int i = 0; i < 100; i++)
        list[i] = entry("key", (uint32_t)i + 1, 2000, 1999, "str:something");
    im.over = 1200;
    assert_int_equal(index_build(&im, 1000, &taken, &draft, &storage, &err), 0);
    assert_in_range(taken, 5, 20);
    assert_true(storage.len <= 1000);
    struct remote_message m = as_posted(&draft, &file);
    assert_int_equal(index_parse(&m, &got, &err), 0);
    /* The last of several alone tells how far it goes. */
    assert_int_equal(got.upto[0], 0);
    assert_int_equal(got.upto[1], 0);
    assert_int_equal(got.over, 0);
    index_message_release(&got);
    remote_draft_release(&draft);
    buf_release(&storage);
    assert_int_equal(index_build(&im, 10, &taken, &draft, &storage, &err),
                     -EFBIG);
    remote_draft_release(&draft);
    buf_release(&storage);
}

static int parse_text(const char *text)
{
    struct index_message im;
    struct err err = ERR_INIT;
    char *copy = xstrdup(text);
    struct remote_message m = {
        .id = 1400, .content = copy, .content_len = strlen(text)};

    int r = index_parse(&m, &im, &err);
    if (r == 0)
        index_message_release(&im);
    else
        assert_non_null(strstr(err.text, "1400"));
    free(copy);
    return r;
}

static void what_is_damaged_is_refused(void **state)
{
#define HEAD "-# dbcord index \"email\" of 1290 entries "
    static const char *const bad[] = {
        HEAD "1 upto 0 0",
        HEAD "0 upto 0 0\n+ \"u\" v1 of 5 in 5 \"str:\"",
        HEAD "1 upto 0 0\n+ \"u\" v0 of 5 in 5 \"str:\"",
        HEAD "1 upto 0 0\n+ \"u\" v1 of 0 in 5 \"str:\"",
        HEAD "1 upto 0 0\n+ \"\" v1 of 5 in 5 \"str:\"",
        HEAD "1 upto 0 0\n+ \"u\" v1 of 5 in 5",
        HEAD "1 upto 0 0\n- \"u\" v1 of 5 in 5 \"str:\"",
        HEAD "1 upto 0 0 over 0\n- \"u\" v1 of 5",
        HEAD "0 upto 0",
        HEAD "0 upto 0 0 over",
        HEAD "0 upto 0 0 ",
        HEAD "3 upto 0 0 in \"index.ndjson\" len 7 sha 00",
        HEAD "3 upto 0 0 in \"index.ndjson\" len 7 sha "
             "00000000000000000000000000000000",
        "-# dbcord index email of 1290 entries 0 upto 0 0",
        "-# dbcord index \"email\" of 0 entries 0 upto 0 0",
    };
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse_text(bad[i]) != -EBADMSG)
            fail_msg("taken: %s", bad[i]);
    assert_int_equal(parse_text(HEAD "0 upto 0 0"), 0);
    assert_int_equal(parse_text("-# dbcord put \"x\""), -ENOMSG);
    assert_int_equal(parse_text("hello"), -ENOMSG);
#undef HEAD
}

static void a_file_that_was_changed_is_refused(void **state)
{
    struct index_entry list[] = {entry("u", 1, 5, 5, "str:x")};
    struct index_message im = message(list, 1);
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    struct remote_file file;
    struct index_message got;
    struct err err = ERR_INIT;
    size_t taken;
    (void)state;

    im.as_file = true;
    index_build(&im, 1000, &taken, &draft, &storage, &err);
    struct remote_message m = as_posted(&draft, &file);
    assert_int_equal(index_parse(&m, &got, &err), 0);
    assert_int_equal(
        index_parse_file(&got, 1400, storage.data, storage.len - 1, &err),
        -EBADMSG);
    storage.data[10] ^= 1;
    assert_int_equal(
        index_parse_file(&got, 1400, storage.data, storage.len, &err),
        -EBADMSG);
    assert_int_equal(got.n, 0);
    storage.data[10] ^= 1;
    assert_int_equal(
        index_parse_file(&got, 1400, storage.data, storage.len, &err), 0);
    assert_int_equal(got.n, 1);
    index_message_release(&got);
    remote_draft_release(&draft);
    buf_release(&storage);
}

/* --- the log ---------------------------------------------------------------
 */

static void tell(struct index_log *log, uint64_t id, uint64_t over,
                 struct index_entry e)
{
    struct index_message im = message(&e, 1);

    im.over = over;
    im.upto[0] = im.upto[1] = id - 100;
    index_log_add(log, id, &im);
}

static void assert_told(const struct index_log *log, const char *key,
                        const char *value)
{
    struct index_hit hit;

    assert_true(index_log_get(log, key, strlen(key), &hit));
    if (value)
        assert_string_equal(hit.value, value);
    else
        assert_null(hit.value);
}

static void the_highest_version_counts_in_any_order(void **state)
{
    struct index_log *log = index_log_new();
    struct index_hit hit;
    uint64_t upto[2];
    (void)state;

    assert_false(index_log_get(log, "a", 1, &hit));
    tell(log, 1502, 0, entry("a", 3, 30, 1, NULL));
    tell(log, 1501, 0, entry("a", 2, 20, 1, "str:x"));
    tell(log, 1500, 0, entry("a", 1, 10, 1, "str:y"));
    assert_told(log, "a", NULL);
    tell(log, 1503, 0, entry("a", 4, 40, 1, "str:z"));
    assert_told(log, "a", "str:z");
    /* Two processes wrote version 4: the lower id is the one that counts. */
    tell(log, 1504, 0, entry("a", 4, 39, 1, "str:first"));
    assert_told(log, "a", "str:first");
    tell(log, 1505, 0, entry("a", 4, 41, 1, "str:third"));
    assert_told(log, "a", "str:first");
    assert_int_equal(index_log_messages(log), 6);
    assert_int_equal(index_log_entries(log), 6);
    index_log_upto(log, upto);
    assert_int_equal(upto[0], 1405);
    index_log_free(log);
}

static void what_is_superseded_does_not_count(void **state)
{
    struct index_log *log = index_log_new();
    struct index_hit hit;
    size_t at = 0, n = 0;
    (void)state;

    tell(log, 1500, 0, entry("gone", 1, 10, 1, "str:y"));
    tell(log, 1501, 0, entry("void", 9, 90, 1, "str:y"));
    /* Posted by another process while the whole was on its way. */
    tell(log, 1502, 0, entry("late", 2, 20, 1, "str:y"));
    tell(log, 1503, 1501, entry("void", 8, 80, 1, "str:true"));
    tell(log, 1499, 0, entry("older", 1, 9, 1, "str:y"));
    assert_false(index_log_get(log, "gone", 4, &hit));
    assert_false(index_log_get(log, "older", 5, &hit));
    assert_told(log, "void", "str:true");
    assert_told(log, "late", "str:y");
    assert_int_equal(index_log_over(log), 1501);
    assert_int_equal(index_log_messages(log), 2);
    while (index_log_next(log, &at, &hit))
        n++;
    assert_int_equal(n, 2);
    index_log_free(log);
}

/* --- definitions ------------------------------------------------------------
 */

static void definitions_come_back(void **state)
{
    struct index_defs defs = {0}, got, copy;
    AUTO_BUF struct buf text = BUF_INIT;
    AUTO_BUF struct buf again = BUF_INIT;
    (void)state;

    index_defs_need(&defs, "a \"b\"")->channel = 12;
    index_def_set_unique(index_defs_need(&defs, "a \"b\""), true);
    index_def_set_unique(index_defs_need(&defs, "a \"b\""), true);
    index_defs_need(&defs, "role")->channel = 13;
    index_defs_need(&defs, "nothing");
    index_defs_tidy(&defs);
    index_defs_write(&defs, &text);
    assert_string_equal(text.data,
                        "{\"a \\\"b\\\"\":{\"channel\":\"12\",\"unique\":"
                        "[\"self\"]},\"role\":{\"channel\":\"13\"}}");
    assert_int_equal(index_defs_parse(text.data, text.len, 99, &got, NULL), 0);
    assert_true(index_def_is_unique(index_defs_find(&got, "a \"b\"")));
    assert_int_equal(index_defs_find(&got, "a \"b\"")->unique[0], 99);
    index_defs_copy(&copy, &got);
    index_def_set_unique(index_defs_find(&copy, "a \"b\""), false);
    index_defs_find(&copy, "a \"b\"")->channel = 0;
    index_defs_tidy(&copy);
    index_defs_write(&copy, &again);
    assert_string_equal(again.data,
                        "{\"a \\\"b\\\"\":{\"unique\":[\"99\",\"self\"]},"
                        "\"role\":{\"channel\":\"13\"}}");
    assert_false(index_def_is_unique(index_defs_find(&copy, "a \"b\"")));
    assert_false(index_def_is_unique(NULL));
    index_defs_release(&defs);
    index_defs_release(&got);
    index_defs_release(&copy);
}

static void bad_definitions_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"\":{}}",
        "{\"a\":1}",
        "{\"a\":{\"channel\":12}}",
        "{\"a\":{\"channel\":\"self\"}}",
        "{\"a\":{\"unique\":\"12\"}}",
        "{\"a\":{\"unique\":[\"0\"]}}",
        "{\"a\":{\"unique\":[\"12\",\"11\"]}}",
        "{\"a\":{},\"a\":{}}",
    };
    struct index_defs defs;
    struct err err = ERR_INIT;
    (void)state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (index_defs_parse(bad[i], strlen(bad[i]), 99, &defs, &err) !=
            -EINVAL)
            fail_msg("taken: %s", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_reads_as_the_format_says),
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(any_name_and_value_goes_through),
        cmocka_unit_test(what_has_no_room_is_left_for_the_next),
        cmocka_unit_test(what_is_damaged_is_refused),
        cmocka_unit_test(a_file_that_was_changed_is_refused),
        cmocka_unit_test(the_highest_version_counts_in_any_order),
        cmocka_unit_test(what_is_superseded_does_not_count),
        cmocka_unit_test(definitions_come_back),
        cmocka_unit_test(bad_definitions_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
