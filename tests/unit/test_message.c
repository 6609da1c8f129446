#include "engine/discord/message.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "engine/discord/discord.h"
#include "engine/discord/facts.h"
#include "engine/discord/perm.h"

static int parse_message(const char *text, struct remote_message *m)
{
    struct json_object *o = message_json(text, strlen(text));
    int r = discord_parse_message(o, m);

    json_object_put(o);
    return r;
}

static int parse_channel(const char *text, struct remote_channel *c)
{
    struct json_object *o = message_json(text, strlen(text));
    int r = discord_parse_channel(o, c);

    json_object_put(o);
    return r;
}

static void message_is_read(void **state)
{
    struct remote_message m;

    (void)state;
    assert_int_equal(
        parse_message(
            "{\"id\":\"18446744073709551615\",\"channel_id\":\"20\",\"author\":"
            "{\"id\":\"30\",\"new\":[]},\"content\":\"a\\u0000\\u00fc\","
            "\"timestamp\":\"2017-07-11T17:27:07.299000+00:00\","
            "\"edited_timestamp\":\"2017-07-11T19:27:07.299000+02:00\","
            "\"type\":19,\"unknown\":{\"x\":null},\"thread\":{\"id\":\"40\"},"
            "\"attachments\":[{\"id\":\"50\",\"filename\":\"row.json\","
            "\"size\":12,\"url\":\"https://cdn/x\",\"width\":null}]}",
            &m),
        0);
    assert_true(m.id == UINT64_MAX);
    assert_int_equal(m.channel_id, 20);
    assert_int_equal(m.author_id, 30);
    assert_int_equal(m.thread_id, 40);
    assert_int_equal(m.type, 19);
    assert_int_equal(m.edited_ms, INT64_C(1499794027299));
    assert_int_equal(m.content_len, 4);
    assert_memory_equal(m.content, "a\0\xc3\xbc", 5);
    assert_int_equal(m.n_files, 1);
    assert_int_equal(m.files[0].id, 50);
    assert_int_equal(m.files[0].size, 12);
    assert_string_equal(m.files[0].name, "row.json");
    assert_string_equal(m.files[0].url, "https://cdn/x");
    remote_message_release(&m);
}

static void little_is_enough(void **state)
{
    struct remote_message m;

    (void)state;
    assert_int_equal(parse_message("{\"id\":1,\"channel_id\":\"2\","
                                   "\"edited_timestamp\":null,\"flags\":32}",
                                   &m),
                     0);
    assert_int_equal(m.id, 1);
    assert_string_equal(m.content, "");
    assert_int_equal(m.edited_ms, 0);
    assert_int_equal(m.thread_id, 1); /* HAS_THREAD */
    remote_message_release(&m);

    assert_int_equal(parse_message("{\"id\":\"1\",\"channel_id\":\"2\","
                                   "\"edited_timestamp\":\"yesterday\"}",
                                   &m),
                     0);
    assert_int_not_equal(m.edited_ms, 0);
    remote_message_release(&m);
}

static void hostile_messages_are_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "null",
        "[]",
        "1",
        "\"x\"",
        "{}",
        "{\"id\":\"1\"}",
        "{\"id\":\"-1\",\"channel_id\":\"2\"}",
        "{\"id\":\"01\",\"channel_id\":\"2\"}",
        "{\"id\":\"99999999999999999999\",\"channel_id\":\"2\"}",
        "{\"id\":1.5,\"channel_id\":\"2\"}",
        "{\"id\":\"1\\u0000\",\"channel_id\":\"2\"}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"content\":7}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"content\":\"\xff\"}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"attachments\":{}}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"attachments\":[null]}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"attachments\":[{\"id\":\"5\","
        "\"filename\":\"a\",\"size\":-1}]}",
        "{\"id\":\"1\",\"channel_id\":\"2\",\"attachments\":[{\"id\":\"5\","
        "\"filename\":\"a\",\"size\":1},{\"id\":\"6\"}]}",
        "{\"id\":\"1\",\"channel_id\":\"2\"} trailing",
        "{\"id\":\"1\",\"channel_id\":\"2\"",
        "{'id':'1','channel_id':'2'}",
    };
    struct remote_message m;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (parse_message(bad[i], &m) != -EBADMSG)
            fail_msg("accepted: %s", bad[i]);
}

static void deep_json_is_refused(void **state)
{
    AUTO_BUF struct buf b = BUF_INIT;

    (void)state;
    for (int i = 0; i < 100000; i++)
        buf_addc(&b, '[');
    assert_null(message_json(b.data, b.len));
}

static void pages_come_oldest_first_and_once(void **state)
{
    const char *text = "[{\"id\":\"9\",\"channel_id\":\"1\"},"
                       "{\"id\":\"7\",\"channel_id\":\"1\"},"
                       "{\"id\":\"8\",\"channel_id\":\"1\"},"
                       "{\"id\":\"7\",\"channel_id\":\"1\"}]";
    struct json_object *o = message_json(text, strlen(text));
    struct remote_reply r = {0};

    (void)state;
    assert_int_equal(message_read_list(o, &r), 0);
    assert_int_equal(r.n_messages, 3);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(r.messages[i].id, 7 + i);
    remote_reply_release(&r);
    json_object_put(o);
}

static void search_hits_are_read(void **state)
{
    const char *text =
        "{\"total_results\":40,\"doing_deep_historical_index\":true,"
        "\"messages\":[[{\"id\":\"3\",\"channel_id\":\"1\",\"hit\":true}],[],"
        "[{\"id\":\"1\",\"channel_id\":\"1\"},"
        "{\"id\":\"2\",\"channel_id\":\"1\",\"hit\":true}]]}";
    const char *not_ready = "{\"message\":\"Index not yet available\","
                            "\"code\":110000,\"retry_after\":2}";
    struct json_object *o = message_json(text, strlen(text));
    struct remote_reply r = {0};

    (void)state;
    assert_int_equal(message_read_search(o, &r), 0);
    assert_int_equal(r.total, 40);
    assert_true(r.index_not_ready);
    assert_int_equal(r.n_messages, 2);
    assert_int_equal(r.messages[0].id, 2);
    assert_int_equal(r.messages[1].id, 3);
    remote_reply_release(&r);
    json_object_put(o);

    o = message_json(not_ready, strlen(not_ready));
    assert_int_equal(message_read_search(o, &r), -EBADMSG);
    json_object_put(o);
    remote_reply_release(&r);
}

static void channels_are_read(void **state)
{
    struct remote_channel c;

    (void)state;
    assert_int_equal(
        parse_channel("{\"id\":\"5\",\"type\":0,\"guild_id\":\"6\",\"name\":"
                      "\"table-people\",\"position\":3,\"parent_id\":\"7\"}",
                      &c),
        0);
    assert_int_equal(c.kind, REMOTE_CHANNEL_TEXT);
    assert_int_equal(c.guild_id, 6);
    assert_int_equal(c.parent_id, 7);
    assert_int_equal(c.position, 3);
    assert_string_equal(c.name, "table-people");
    assert_true(c.viewable && c.writable && c.manageable);
    free(c.name);

    assert_int_equal(
        parse_channel("{\"id\":\"5\",\"type\":11,\"parent_id\":\"7\",\"name\":"
                      "\"history\",\"thread_metadata\":{\"archived\":true}}",
                      &c),
        0);
    assert_int_equal(c.kind, REMOTE_CHANNEL_THREAD);
    assert_true(c.archived);
    free(c.name);

    assert_int_equal(
        parse_channel("{\"id\":\"5\",\"type\":4,\"name\":null}", &c), 0);
    assert_int_equal(c.kind, REMOTE_CHANNEL_CATEGORY);
    assert_string_equal(c.name, "");
    free(c.name);

    assert_int_equal(parse_channel("{\"id\":\"5\",\"name\":\"x\"}", &c),
                     -EBADMSG);
    assert_int_equal(parse_channel("{\"type\":0,\"name\":\"x\"}", &c),
                     -EBADMSG);
    assert_int_equal(parse_channel("[]", &c), -EBADMSG);
}

static struct json_object *member(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    assert_true(json_object_object_get_ex(o, name, &v));
    return v;
}

static void every_body_pings_nobody(void **state)
{
    struct remote_draft d = {
        .files = {{.name = "row.json", .data = "{}", .len = 2}},
        .n_files = 1,
        .keep = {77},
        .n_keep = 1,
    };
    const char *text = "quote \" back \\ line \n bell \a \xc3\xbc @everyone";
    AUTO_BUF struct buf post = BUF_INIT, edit = BUF_INIT;

    (void)state;
    buf_addstr(&d.content, text);
    message_write_post(&d, "nonce", &post);
    message_write_edit(&d, &edit);
    for (int i = 0; i < 2; i++) {
        struct buf *b = i ? &edit : &post;
        struct json_object *o = message_json(b->data, b->len);
        assert_non_null(o);
        assert_string_equal(json_object_get_string(member(o, "content")), text);
        assert_int_equal(json_object_array_length(
                             member(member(o, "allowed_mentions"), "parse")),
                         0);
        assert_int_equal(json_object_get_int(member(o, "flags")), 4);
        struct json_object *a = member(o, "attachments");
        assert_int_equal(json_object_array_length(a), 2);
        assert_string_equal(json_object_get_string(
                                member(json_object_array_get_idx(a, 0), "id")),
                            "77");
        assert_int_equal(
            json_object_get_int(member(json_object_array_get_idx(a, 1), "id")),
            0);
        assert_int_equal(json_object_object_get_ex(o, "nonce", NULL), i == 0);
        if (i == 0)
            assert_true(json_object_get_boolean(member(o, "enforce_nonce")));
        json_object_put(o);
    }
    remote_draft_release(&d);
}

static void an_edit_lists_what_stays_even_if_nothing_does(void **state)
{
    struct remote_draft d = {0};
    AUTO_BUF struct buf b = BUF_INIT;

    (void)state;
    message_write_edit(&d, &b);
    assert_non_null(strstr(b.data, "\"attachments\":[]"));
    assert_non_null(strstr(b.data, "\"content\":\"\""));
}

static int check(const char *content, size_t n_files, size_t file_len)
{
    struct remote_draft d = {.n_files = n_files};
    struct err err = ERR_INIT;

    buf_addstr(&d.content, content);
    for (size_t i = 0; i < n_files && i < 4; i++)
        d.files[i] = (struct remote_upload){.name = "f", .len = file_len};
    int r = message_check_draft(&d, false, 10 << 20, &err);
    assert_int_equal(r<0, strlen(err.text)> 0);
    remote_draft_release(&d);
    return r;
}

static void what_discord_refuses_does_not_leave(void **state)
{
    AUTO_BUF struct buf long_text = BUF_INIT;

    (void)state;
    assert_int_equal(check("x", 0, 0), 0);
    assert_int_equal(check("", 1, 10), 0);
    assert_int_equal(check("", 0, 0), -EINVAL);
    assert_int_equal(check("\xff", 0, 0), -EINVAL);
    assert_int_equal(check("x", 5, 10), -EINVAL);
    assert_int_equal(check("x", 1, (10 << 20) + 1), -EFBIG);
    assert_int_equal(check("x", 3, 9 << 20), -EFBIG);

    /* Counted as Discord counts at worst: what needs two units, as two. */
    for (int i = 0; i < 1000; i++)
        buf_addstr(&long_text, "\xf0\x9f\x98\x80");
    assert_int_equal(check(long_text.data, 0, 0), 0);
    buf_addc(&long_text, 'x');
    assert_int_equal(check(long_text.data, 0, 0), -EINVAL);
}

static void note(struct facts *f,
                 void (*how)(struct facts *, uint64_t, struct json_object *),
                 const char *text)
{
    struct json_object *o = message_json(text, strlen(text));

    assert_non_null(o);
    how(f, 1, o);
    json_object_put(o);
}

static void note_guild(struct facts *f, uint64_t guild, struct json_object *o)
{
    (void)guild;
    facts_note_guild(f, o);
}

static struct remote_channel rights(struct facts *f, uint64_t id,
                                    enum remote_channel_kind kind)
{
    struct remote_channel c = {.id = id, .kind = kind};

    facts_rights(f, &c);
    return c;
}

/* 68608 = VIEW | SEND | HISTORY, + 32768 ATTACH = 101376. */
static void rights_follow_roles_and_overwrites(void **state)
{
    struct facts *f = facts_new();
    struct remote_channel c;

    (void)state;
    note(f, note_guild,
         "{\"id\":\"1\",\"owner_id\":\"99\",\"premium_tier\":2,\"roles\":["
         "{\"id\":\"1\",\"permissions\":\"68608\"},"
         "{\"id\":\"10\",\"permissions\":\"32768\"},"
         "{\"id\":\"11\",\"permissions\":\"16\"}]}");
    note(f, facts_note_channel,
         "{\"id\":\"2\",\"type\":0,\"permission_overwrites\":["
         "{\"id\":\"1\",\"type\":0,\"allow\":\"0\",\"deny\":\"1024\"},"
         "{\"id\":\"10\",\"type\":0,\"allow\":\"1024\",\"deny\":\"2048\"},"
         "{\"id\":\"11\",\"type\":0,\"allow\":\"2048\",\"deny\":\"1024\"}]}");
    note(f, facts_note_channel,
         "{\"id\":\"3\",\"type\":0,\"permission_overwrites\":["
         "{\"id\":\"50\",\"type\":1,\"allow\":\"0\",\"deny\":\"1024\"}]}");
    note(f, facts_note_channel,
         "{\"id\":\"4\",\"type\":11,\"parent_id\":\"2\"}");

    /* Who this is is not known: yes to all. */
    c = rights(f, 2, REMOTE_CHANNEL_TEXT);
    assert_true(c.viewable && c.writable && c.manageable);

    facts_note_me(f, 50);
    note(f, facts_note_member, "{\"user\":{\"id\":\"50\"},\"roles\":[\"10\"]}");
    assert_int_equal(facts_guild_bits(f, 1), 101376);

    /* Hidden from everyone, shown to role 10, which may not write there. */
    c = rights(f, 2, REMOTE_CHANNEL_TEXT);
    assert_true(c.viewable);
    assert_false(c.writable);
    assert_false(c.manageable);
    /* Hidden from this bot alone. */
    c = rights(f, 3, REMOTE_CHANNEL_TEXT);
    assert_false(c.viewable);
    assert_false(c.writable);
    /* A thread has its parent's rights, and a right to send of its own. */
    c = rights(f, 4, REMOTE_CHANNEL_THREAD);
    assert_true(c.viewable);
    assert_false(c.writable);

    /* With both roles, what one allows wins over what the other denies. */
    note(f, facts_note_member,
         "{\"user\":{\"id\":\"50\"},\"roles\":[\"10\",\"11\"]}");
    c = rights(f, 2, REMOTE_CHANNEL_TEXT);
    assert_true(c.viewable && c.writable && c.manageable);

    /* An administrator is not held by overwrites. */
    note(f, facts_note_role, "{\"id\":\"10\",\"permissions\":\"8\"}");
    c = rights(f, 3, REMOTE_CHANNEL_TEXT);
    assert_true(c.viewable && c.writable && c.manageable);

    assert_int_equal(facts_max_file(f, 0, 2), 24 << 20);
    assert_int_equal(facts_max_file(f, 12345, 0), 10 << 20);
    facts_free(f);
}

static void hostile_permissions_do_no_harm(void **state)
{
    static const char *const texts[] = {
        ("{\"id\":\"1\",\"roles\":[null,{},{\"id\":\"x\"},5,[]],\"members\":[7,"
         "{\"user\":null,\"roles\":{}},{\"roles\":[1,null]}]}"),
        "{\"id\":\"1\",\"roles\":{}}",
        "{\"id\":\"2\",\"type\":11,\"parent_id\":\"2\"}",
        "{\"id\":\"3\",\"permission_overwrites\":[null,{\"id\":{}},[]]}",
        "[]",
    };
    struct facts *f = facts_new();

    (void)state;
    facts_note_me(f, 50);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        note(f, note_guild, texts[i]);
        note(f, facts_note_member, texts[i]);
        note(f, facts_note_role, texts[i]);
        note(f, facts_note_channel, texts[i]);
    }
    for (uint64_t id = 0; id < 5; id++)
        rights(f, id, REMOTE_CHANNEL_THREAD);
    facts_free(f);
}

static void links_are_kept_until_they_die(void **state)
{
    struct facts *f = facts_new();
    struct remote_file file = {.id = 5,
                               .size = 9,
                               .name = (char *)"f",
                               .url = (char *)"https://c/a?ex=64&is=0&hm=0&"};
    struct remote_message m = {.files = &file, .n_files = 1};
    AUTO_BUF struct buf url = BUF_INIT;
    uint64_t size = 0;

    (void)state;
    assert_int_equal(facts_link_expiry_ms("https://c/a?is=1&ex=64"), 100000);
    assert_true(facts_link_expiry_ms("https://c/a?sex=64") == INT64_MAX);
    assert_true(facts_link_expiry_ms("https://c/a?ex=") == INT64_MAX);

    facts_note_files(f, &m);
    assert_true(facts_link(f, 5, 0, &url, &size));
    assert_string_equal(url.data, file.url);
    assert_int_equal(size, 9);
    assert_false(facts_link(f, 5, 99000, &url, &size));

    /* Bounded: the newest thousand stay. */
    for (uint64_t i = 1; i <= 3000; i++) {
        file.id = 1000 + i;
        facts_note_files(f, &m);
    }
    assert_false(facts_link(f, 5, 0, &url, &size));
    assert_true(facts_link(f, 4000, 0, &url, &size));
    facts_forget_link(f, 4000);
    assert_false(facts_link(f, 4000, 0, &url, &size));
    facts_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_read),
        cmocka_unit_test(little_is_enough),
        cmocka_unit_test(hostile_messages_are_refused),
        cmocka_unit_test(deep_json_is_refused),
        cmocka_unit_test(pages_come_oldest_first_and_once),
        cmocka_unit_test(search_hits_are_read),
        cmocka_unit_test(channels_are_read),
        cmocka_unit_test(every_body_pings_nobody),
        cmocka_unit_test(an_edit_lists_what_stays_even_if_nothing_does),
        cmocka_unit_test(what_discord_refuses_does_not_leave),
        cmocka_unit_test(rights_follow_roles_and_overwrites),
        cmocka_unit_test(hostile_permissions_do_no_harm),
        cmocka_unit_test(links_are_kept_until_they_die),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
