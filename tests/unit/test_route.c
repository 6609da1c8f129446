#include "engine/discord/route.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "engine/discord/url.h"

#define NOW INT64_C(1790000000000)
#define HOUR INT64_C(3600000)

/* The id of something made so long ago. */
static uint64_t id_aged(int64_t ms)
{
    return (uint64_t)(NOW - ms - INT64_C(1420070400000)) << 22;
}

static void expect_route(const struct remote_request *req, const char *method,
                         const char *path, const char *name, uint64_t major)
{
    struct route r;
    struct err err = ERR_INIT;

    if (route_of(&r, req, NOW, &err) != 0)
        fail_msg("%s", err.text);
    assert_string_equal(r.method, method);
    assert_string_equal(r.path.data, path);
    assert_string_equal(r.name, name);
    assert_int_equal(r.major, major);
    route_release(&r);
}

static void expect_refused(const struct remote_request *req)
{
    struct route r;
    struct err err = ERR_INIT;

    assert_int_equal(route_of(&r, req, NOW, &err), -EINVAL);
    assert_true(strlen(err.text) > 0);
    route_release(&r);
}

static void each_operation_has_its_route(void **state)
{
    (void)state;
    expect_route(&(struct remote_request){.op = REMOTE_ME}, "GET", "/users/@me",
                 "GET /users/@me", 0);
    expect_route(&(struct remote_request){.op = REMOTE_GUILD, .guild = 7},
                 "GET", "/guilds/7", "GET /guilds/{id}", 7);
    expect_route(&(struct remote_request){.op = REMOTE_CHANNELS, .guild = 7},
                 "GET", "/guilds/7/channels", "GET /guilds/{id}/channels", 7);
    expect_route(&(struct remote_request){.op = REMOTE_CHANNEL_CREATE,
                                          .guild = 7,
                                          .name = "table-people"},
                 "POST", "/guilds/7/channels", "POST /guilds/{id}/channels", 7);
    expect_route(&(struct remote_request){.op = REMOTE_CHANNEL, .channel = 8},
                 "GET", "/channels/8", "GET /channels/{id}", 8);
    expect_route(
        &(struct remote_request){.op = REMOTE_CHANNEL_DELETE, .channel = 8},
        "DELETE", "/channels/8", "DELETE /channels/{id}", 8);
    expect_route(&(struct remote_request){.op = REMOTE_THREAD_START,
                                          .channel = 8,
                                          .message = 9,
                                          .name = "history"},
                 "POST", "/channels/8/messages/9/threads",
                 "POST /channels/{id}/messages/{id}/threads", 8);
    expect_route(
        &(struct remote_request){
            .op = REMOTE_LIST, .channel = 8, .limit = 100, .after = 5},
        "GET", "/channels/8/messages?limit=100&after=5",
        "GET /channels/{id}/messages", 8);
    expect_route(
        &(struct remote_request){.op = REMOTE_GET, .channel = 8, .message = 9},
        "GET", "/channels/8/messages/9", "GET /channels/{id}/messages/{id}", 8);
    expect_route(&(struct remote_request){.op = REMOTE_POST, .channel = 8},
                 "POST", "/channels/8/messages", "POST /channels/{id}/messages",
                 8);
    expect_route(
        &(struct remote_request){.op = REMOTE_EDIT, .channel = 8, .message = 9},
        "PATCH", "/channels/8/messages/9", "PATCH /channels/{id}/messages/{id}",
        8);
}

static void messages_of_each_age_are_deleted_apart(void **state)
{
    struct remote_request q = {.op = REMOTE_DELETE, .channel = 8};
    const char *path = "/channels/8/messages/";
    char full[64];
    static const struct {
        int64_t age;
        const char *name;
    } ages[] = {
        {5000, "DELETE /channels/{id}/messages/{id} (fresh)"},
        {HOUR, "DELETE /channels/{id}/messages/{id}"},
        {15 * 24 * HOUR, "DELETE /channels/{id}/messages/{id} (old)"},
    };

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        q.message = id_aged(ages[i].age);
        snprintf(full, sizeof(full), "%s%llu", path,
                 (unsigned long long)q.message);
        expect_route(&q, "DELETE", full, ages[i].name, 8);
    }
}

static void old_edits_are_told_apart(void **state)
{
    struct remote_request q = {.op = REMOTE_EDIT, .channel = 8};
    struct route r;

    (void)state;
    q.message = id_aged(HOUR - 2 * 60000);
    assert_int_equal(route_of(&r, &q, NOW, NULL), 0);
    assert_false(r.old_edit);
    route_release(&r);
    q.message = id_aged(HOUR);
    assert_int_equal(route_of(&r, &q, NOW, NULL), 0);
    assert_true(r.old_edit);
    route_release(&r);
}

static void search_says_all_it_was_asked(void **state)
{
    const uint64_t channels[] = {1, 2};
    struct remote_search s = {
        .content = "k9a f\xc3\xbc&x=1",
        .channels = channels,
        .n_channels = 2,
        .author = 3,
        .min_id = 4,
        .max_id = 5,
        .limit = 25,
        .offset = 50,
        .oldest_first = true,
    };
    struct remote_request q = {.op = REMOTE_SEARCH, .guild = 7, .search = &s};

    (void)state;
    expect_route(&q, "GET",
                 "/guilds/7/messages/search?limit=25&offset=50&sort_by="
                 "timestamp&sort_order=asc&include_nsfw=true&author_id=3&"
                 "min_id=4&max_id=5&channel_id=1&channel_id=2&content=k9a%20f"
                 "%C3%BC%26x%3D1&slop=100",
                 "GET /guilds/{id}/messages/search", 7);
    s.offset = 9976;
    expect_refused(&q);
    s.offset = 0;
    s.limit = 26;
    expect_refused(&q);
}

static void what_must_fail_is_refused(void **state)
{
    uint64_t ids[3] = {id_aged(0), id_aged(1), id_aged(0)};
    struct remote_request q = {
        .op = REMOTE_DELETE_MANY, .channel = 8, .ids = ids, .n_ids = 2};
    struct route r;

    (void)state;
    assert_int_equal(route_of(&r, &q, NOW, NULL), 0);
    route_release(&r);
    q.n_ids = 1;
    expect_refused(&q);
    q.n_ids = 3; /* one of them twice */
    expect_refused(&q);
    ids[2] = id_aged(14 * 24 * HOUR);
    expect_refused(&q);

    expect_refused(&(struct remote_request){
        .op = REMOTE_LIST, .channel = 8, .limit = 101});
    expect_refused(&(struct remote_request){.op = REMOTE_LIST, .channel = 8});
    expect_refused(&(struct remote_request){
        .op = REMOTE_LIST, .channel = 8, .limit = 1, .before = 1, .after = 2});
    expect_refused(&(struct remote_request){
        .op = REMOTE_CHANNEL_CREATE, .guild = 1, .name = ""});
    expect_refused(&(struct remote_request){.op = REMOTE_CHANNEL_CREATE,
                                            .guild = 1,
                                            .kind = REMOTE_CHANNEL_THREAD,
                                            .name = "x"});
    for (int op = REMOTE_GUILD; op <= REMOTE_DOWNLOAD; op++)
        expect_refused(&(struct remote_request){.op = (enum remote_op)op});
    expect_refused(&(struct remote_request){.op = (enum remote_op)99});
}

static void secrets_and_ids_are_out_of_the_name(void **state)
{
    struct route a, b;

    (void)state;
    assert_int_equal(route_make(&a, "POST",
                                "/interactions/12/aW50ZXI.x-1/callback?with_"
                                "response=true",
                                NULL),
                     0);
    assert_string_equal(a.name, "POST /interactions/{id}/{token}/callback");
    assert_true(a.exempt);
    assert_true(a.repeatable);
    route_release(&a);
    assert_int_equal(route_make(&a, "POST", "/webhooks/12/tok", NULL), 0);
    assert_true(a.exempt);
    assert_false(a.repeatable);
    route_release(&a);

    assert_int_equal(
        route_make(&a, "PATCH", "/webhooks/1/tokA/messages/@original", NULL),
        0);
    assert_int_equal(
        route_make(&b, "PATCH", "/webhooks/1/tokB/messages/@original", NULL),
        0);
    assert_string_equal(a.name, "PATCH /webhooks/{id}/{token}/messages/"
                                "@original");
    assert_string_equal(a.name, b.name);
    assert_int_not_equal(a.major, b.major);
    route_release(&a);
    route_release(&b);

    assert_int_equal(
        route_make(&a, "PUT", "/channels/1/messages/2/reactions/%F0/@me", NULL),
        0);
    assert_string_equal(
        a.name, "PUT /channels/{id}/messages/{id}/reactions/{emoji}/@me");
    assert_true(a.repeatable);
    route_release(&a);
}

static void no_path_carries_more_than_a_path(void **state)
{
    static const char *const bad[] = {
        "", "users/@me", "/a b", "/a\r\nHost: x", "/a#b", "/\xff",
    };
    struct route r;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_int_equal(route_make(&r, "GET", bad[i], NULL), -EINVAL);
        route_release(&r);
    }
    assert_int_equal(route_make(&r, "get", "/a", NULL), -EINVAL);
    route_release(&r);
}

static void long_paths_end_in_bounded_names(void **state)
{
    AUTO_BUF struct buf path = BUF_INIT;
    struct route r;

    (void)state;
    for (int i = 0; i < 100; i++)
        buf_addstr(&path, "/segment");
    assert_int_equal(route_make(&r, "GET", path.data, NULL), 0);
    assert_true(strlen(r.name) < sizeof(r.name));
    route_release(&r);
}

static void addresses_without_tls_stay_on_this_machine(void **state)
{
    static const char *const good[] = {
        "https://discord.com/api/v10",
        "wss://gateway.discord.gg",
        "http://127.0.0.1:8080/api/v10",
        "ws://localhost:9/?v=10",
        "http://[::1]:80",
    };
    static const char *const bad[] = {
        "http://discord.com/api/v10",
        "ws://gateway.discord.gg/",
        "http://127.0.0.1.example.org/",
        "http://127.0.0.1@example.org/",
        "http://localhost.example.org",
        "https://user:pw@discord.com/",
        "https://",
        "https://a:0/",
        "https://a:70000/",
        "https://a:8x/",
        "https://a\\@b/",
        "https://a/ b",
        "https://[::1/",
        "ftp://127.0.0.1/",
        "discord.com",
        "",
    };
    struct url u;
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(url_parse(good[i], &u, NULL), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        err = ERR_INIT;
        assert_int_equal(url_parse(bad[i], &u, &err), -EINVAL);
        assert_true(strlen(err.text) > 0);
    }

    assert_int_equal(url_parse("wss://h:444/a?b#c", &u, NULL), 0);
    assert_true(u.tls);
    assert_string_equal(u.host, "h");
    assert_int_equal(u.port, 444);
    assert_string_equal(u.path, "/a?b");
    assert_int_equal(url_parse("https://h?x=1", &u, NULL), 0);
    assert_int_equal(u.port, 443);
    assert_string_equal(u.path, "/?x=1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operation_has_its_route),
        cmocka_unit_test(messages_of_each_age_are_deleted_apart),
        cmocka_unit_test(old_edits_are_told_apart),
        cmocka_unit_test(search_says_all_it_was_asked),
        cmocka_unit_test(what_must_fail_is_refused),
        cmocka_unit_test(secrets_and_ids_are_out_of_the_name),
        cmocka_unit_test(no_path_carries_more_than_a_path),
        cmocka_unit_test(long_paths_end_in_bounded_names),
        cmocka_unit_test(addresses_without_tls_stay_on_this_machine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
