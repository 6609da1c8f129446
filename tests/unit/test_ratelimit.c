#include "engine/discord/ratelimit.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

static const struct ratelimit_route edit_people = {
    .name = "PATCH /channels/{id}/messages/{id}", .major = 1};
static const struct ratelimit_route edit_cities = {
    .name = "PATCH /channels/{id}/messages/{id}", .major = 2};
static const struct ratelimit_route post_people = {
    .name = "POST /channels/{id}/messages", .major = 1};
static const struct ratelimit_route post_cities = {
    .name = "POST /channels/{id}/messages", .major = 2};
static const struct ratelimit_route list_people = {
    .name = "GET /channels/{id}/messages", .major = 1};

static int set_up(void **state)
{
    *state = ratelimit_new();
    return 0;
}

static int tear_down(void **state)
{
    ratelimit_free(*state);
    return 0;
}

static struct ratelimit_headers said(const char *bucket, int limit,
                                     int remaining, int64_t reset_after_ms)
{
    struct ratelimit_headers h = {
        .limit = limit,
        .remaining = remaining,
        .reset_after_ms = reset_after_ms,
    };
    strncpy(h.bucket, bucket, sizeof(h.bucket) - 1);
    return h;
}

/* One request there and back, with this answer. */
static void exchange(struct ratelimit *rl, const struct ratelimit_route *route,
                     const char *bucket, int limit, int remaining,
                     int64_t reset_after_ms, int64_t now)
{
    struct ratelimit_headers h = said(bucket, limit, remaining, reset_after_ms);

    uint64_t ticket = ratelimit_sent(rl, route, now);
    ratelimit_answered(rl, route, ticket, &h, 200, now);
}

static struct ratelimit_route in_background(struct ratelimit_route r)
{
    r.yields = 2;
    return r;
}

static void unknown_bucket_sends_one_and_learns(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_headers h = said("b", 5, 4, 5000);

    assert_int_equal(ratelimit_delay(rl, &post_people, 0), 0);
    uint64_t ticket = ratelimit_sent(rl, &post_people, 0);
    assert_true(ratelimit_delay(rl, &post_people, 0) == RATELIMIT_ANSWER);
    ratelimit_answered(rl, &post_people, ticket, &h, 200, 100);
    assert_int_equal(ratelimit_delay(rl, &post_people, 100), 0);

    /* Four are left, and all four may go before another answer. */
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ratelimit_delay(rl, &post_people, 100), 0);
        ratelimit_sent(rl, &post_people, 100);
    }
    assert_int_equal(ratelimit_delay(rl, &post_people, 100), 5000);
}

static void unknown_bucket_asks_again_after_a_loss(void **state)
{
    struct ratelimit *rl = *state;

    ratelimit_sent(rl, &post_people, 0);
    ratelimit_lost(rl, &post_people, 10);
    assert_int_equal(ratelimit_delay(rl, &post_people, 10), 0);
}

static void used_up_bucket_waits_for_its_reset(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 0, 1500, 1000);
    assert_int_equal(ratelimit_delay(rl, &post_people, 1000), 1500);
    assert_int_equal(ratelimit_delay(rl, &post_people, 2499), 1);
    assert_int_equal(ratelimit_delay(rl, &post_people, 2500), 0);
}

static void channels_do_not_share(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 0, 1500, 0);
    assert_int_equal(ratelimit_delay(rl, &post_cities, 0), 0);
}

static void what_one_channel_taught_is_known_for_another(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 3, 2, 1500, 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ratelimit_delay(rl, &post_cities, 0), 0);
        ratelimit_sent(rl, &post_cities, 0);
    }
    assert_int_equal(ratelimit_delay(rl, &post_cities, 0), 1500);
}

static void routes_of_one_bucket_share_it(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 4, 5000, 0);
    exchange(rl, &edit_people, "b", 5, 0, 5000, 0);
    assert_int_equal(ratelimit_delay(rl, &post_people, 0), 5000);
    assert_int_equal(ratelimit_delay(rl, &post_cities, 0), 0);
}

static void lane_follows_when_its_bucket_is_renamed(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 0, 60000, 0);
    exchange(rl, &post_people, "c", 5, 3, 1000, 0);
    assert_int_equal(ratelimit_delay(rl, &post_people, 0), 0);
}

static void what_is_under_way_counts_in_the_next_window(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 2, 1, 1000, 0);
    ratelimit_sent(rl, &post_people, 900); /* arrives who knows when */
    assert_int_equal(ratelimit_delay(rl, &post_people, 1000), 0);
    ratelimit_sent(rl, &post_people, 1000);
    assert_int_not_equal(ratelimit_delay(rl, &post_people, 1000), 0);
}

static void answers_out_of_order_open_nothing(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_headers older = said("b", 3, 1, 1000);
    struct ratelimit_headers newer = said("b", 3, 0, 990);

    exchange(rl, &post_people, "b", 3, 2, 1000, 0);
    uint64_t first = ratelimit_sent(rl, &post_people, 1);
    uint64_t second = ratelimit_sent(rl, &post_people, 1);
    ratelimit_answered(rl, &post_people, second, &newer, 200, 10);
    ratelimit_answered(rl, &post_people, first, &older, 200, 11);
    assert_int_equal(ratelimit_delay(rl, &post_people, 11), 989);
}

/* The other side's window ended before we thought, or it is not so strict. */
static void newest_answer_is_believed(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 2, 1, 5000, 0);
    exchange(rl, &post_people, "b", 2, 1, 5000, 4900);
    assert_int_equal(ratelimit_delay(rl, &post_people, 4900), 0);
}

static void edits_count_with_posts_until_told_otherwise(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 0, 5000, 0);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 5000);
    assert_int_equal(ratelimit_delay(rl, &edit_cities, 0), 0);

    /* One, to learn whether it is so. */
    uint64_t ticket = ratelimit_sent(rl, &edit_people, 5000);
    assert_true(ratelimit_delay(rl, &edit_people, 5000) == RATELIMIT_ANSWER);
    struct ratelimit_headers h = said("c", 5, 4, 5000);
    ratelimit_answered(rl, &edit_people, ticket, &h, 200, 5000);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(ratelimit_delay(rl, &edit_people, 5000), 0);
        ratelimit_sent(rl, &edit_people, 5000);
    }
    assert_int_equal(ratelimit_delay(rl, &post_people, 5000), 0);
}

static void a_name_learned_is_learned_for_both(void **state)
{
    struct ratelimit *rl = *state;

    /* Both unknown: one of them goes, and what it learns holds the other. */
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 0);
    uint64_t ticket = ratelimit_sent(rl, &post_people, 0);
    assert_true(ratelimit_delay(rl, &edit_people, 0) == RATELIMIT_ANSWER);
    struct ratelimit_headers h = said("b", 5, 0, 5000);
    ratelimit_answered(rl, &post_people, ticket, &h, 200, 0);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 5000);
}

static void use_by_somebody_else_is_believed(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 4, 1000, 0);
    exchange(rl, &post_people, "b", 5, 0, 900, 10);
    assert_int_equal(ratelimit_delay(rl, &post_people, 10), 900);
}

static void background_leaves_the_last_place(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route settle = in_background(edit_people);

    exchange(rl, &edit_people, "b", 5, 2, 1000, 0);
    assert_int_equal(ratelimit_delay(rl, &settle, 0), 0);
    ratelimit_sent(rl, &settle, 0);
    assert_int_equal(ratelimit_delay(rl, &settle, 0), 1000);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 0);
}

static void background_may_use_a_bucket_of_one(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route settle = in_background(edit_people);

    exchange(rl, &edit_people, "b", 1, 0, 1000, 0);
    assert_int_equal(ratelimit_delay(rl, &settle, 0), 1000);
    assert_int_equal(ratelimit_delay(rl, &settle, 1000), 0);
}

static void user_429_holds_the_bucket(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 4, 1000, 0);
    exchange(rl, &edit_people, "b", 5, 3, 1000, 0);
    ratelimit_refused(rl, &post_people, RATELIMIT_USER, 7000, 0);
    /* Retry-After wins over Reset-After, for all that share the bucket. */
    assert_int_equal(ratelimit_delay(rl, &post_people, 0), 7000);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 7000);
    assert_int_equal(ratelimit_delay(rl, &post_cities, 0), 0);
    assert_int_equal(ratelimit_delay(rl, &post_people, 7000), 0);
}

/* A 429 holds back the bucket it names and no other. */
static void limited_bucket_leaves_others_alone(void **state)
{
    struct ratelimit *rl = *state;

    ratelimit_refused(rl, &edit_people, RATELIMIT_USER, 1500, 0);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 1500);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 1500), 0);
    assert_int_equal(ratelimit_delay(rl, &edit_cities, 0), 0);
}

static void shared_429_holds_its_route_on_its_resource(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &post_people, "b", 5, 4, 1000, 0);
    exchange(rl, &edit_people, "b", 5, 3, 1000, 0);
    ratelimit_refused(rl, &edit_people, RATELIMIT_SHARED, 280000, 0);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 280000);
    assert_int_equal(ratelimit_delay(rl, &post_people, 0), 0);
    assert_int_equal(ratelimit_delay(rl, &edit_cities, 0), 0);
}

static void global_429_holds_all_but_interactions(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route reply = {
        .name = "POST /interactions/{id}/{token}/callback", .exempt = true};

    ratelimit_refused(rl, &edit_people, RATELIMIT_GLOBAL, 2000, 0);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 2000);
    assert_int_equal(ratelimit_delay(rl, &list_people, 500), 1500);
    assert_int_equal(ratelimit_delay(rl, &reply, 0), 0);
    assert_int_equal(ratelimit_delay(rl, &list_people, 2000), 0);
}

static void old_edits_have_a_lane_of_their_own(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route old = edit_people, elsewhere = edit_cities;

    old.old_edit = elsewhere.old_edit = true;
    exchange(rl, &old, "b", 100, 99, 1000, 0);
    exchange(rl, &old, "b", 100, 98, 1000, 0);
    exchange(rl, &old, "b", 100, 97, 1000, 0);
    /* The bucket has room; the limit that no header shows has not. */
    assert_int_equal(ratelimit_delay(rl, &old, 0), 6000);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 0);
    assert_int_equal(ratelimit_delay(rl, &elsewhere, 0), 0);

    ratelimit_refused(rl, &old, RATELIMIT_OLD_EDIT, 20000, 0);
    assert_int_equal(ratelimit_delay(rl, &old, 0), 20000);
    assert_int_equal(ratelimit_delay(rl, &edit_people, 0), 0);
    assert_int_equal(ratelimit_delay(rl, &elsewhere, 0), 0);
}

static void fifty_a_second_in_all(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route r = {.name = "GET /channels/{id}"};

    for (uint64_t i = 0; i < 50; i++) {
        r.major = 100 + i;
        assert_int_equal(ratelimit_delay(rl, &r, (int64_t)i), 0);
        ratelimit_sent(rl, &r, (int64_t)i);
    }
    r.major = 99;
    int64_t wait = ratelimit_delay(rl, &r, 49);
    assert_in_range(wait, 951, 1100);
    assert_int_equal(ratelimit_delay(rl, &r, 49 + wait), 0);
}

static void background_leaves_some_of_the_second(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route r = {.name = "GET /channels/{id}", .yields = 2};
    uint64_t sent = 0;

    for (; sent < 50; sent++) {
        r.major = 100 + sent;
        if (ratelimit_delay(rl, &r, 0) != 0)
            break;
        ratelimit_sent(rl, &r, 0);
    }
    assert_in_range(sent, 20, 45);
    r.yields = 0;
    assert_int_equal(ratelimit_delay(rl, &r, 0), 0);
}

static void no_header_means_no_visible_limit(void **state)
{
    struct ratelimit *rl = *state;

    uint64_t ticket = ratelimit_sent(rl, &list_people, 0);
    ratelimit_answered(rl, &list_people, ticket, &RATELIMIT_HEADERS_NONE, 200,
                       5);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ratelimit_delay(rl, &list_people, 5), 0);
        ratelimit_sent(rl, &list_people, 5);
    }
    /* … until a 429 says that there was one: from then on it is counted. */
    for (int i = 0; i < 20; i++)
        ratelimit_answered(rl, &list_people, ticket + 1 + (uint64_t)i,
                           &RATELIMIT_HEADERS_NONE, i ? 200 : 429, 6);
    ratelimit_refused(rl, &list_people, RATELIMIT_USER, 3000, 6);
    assert_int_equal(ratelimit_delay(rl, &list_people, 6), 3000);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(ratelimit_delay(rl, &list_people, 3006), 0);
        exchange(rl, &list_people, "", -1, -1, -1, 3006);
    }
    assert_int_equal(ratelimit_delay(rl, &list_people, 3006), 5000);
}

static void absurd_headers_are_not_believed(void **state)
{
    struct ratelimit *rl = *state;

    for (int i = 0; i < 5; i++) {
        assert_int_equal(ratelimit_delay(rl, &list_people, 0), 0);
        exchange(rl, &list_people, "l", 1000, 999 - i, 1000, 0);
    }
    assert_int_equal(ratelimit_delay(rl, &list_people, 0), 5000);
}

static void hostile_headers_do_no_harm(void **state)
{
    struct ratelimit *rl = *state;

    exchange(rl, &list_people, "l", 5, 400, INT64_MAX, 0);
    exchange(rl, &list_people, "l", 0, -7, -1, 1);
    exchange(rl, &list_people, "l", -1, 5, 0, 2);
    int64_t wait = ratelimit_delay(rl, &list_people, 3);
    assert_true(wait >= 0 && wait <= 24 * 3600 * 1000);
    ratelimit_refused(rl, &list_people, RATELIMIT_SHARED, INT64_MAX, 3);
    assert_int_equal(ratelimit_delay(rl, &list_people, 3), 24 * 3600 * 1000);
}

static void invalid_requests_stop_all_long_before_the_ban(void **state)
{
    struct ratelimit *rl = *state;

    for (int i = 0; i < RATELIMIT_INVALID_MAX - 1; i++)
        ratelimit_invalid(rl, 1000 + i);
    assert_int_equal(ratelimit_delay(rl, &list_people, 5000), 0);
    ratelimit_invalid(rl, 5000);
    assert_int_equal(ratelimit_invalid_count(rl, 5000), RATELIMIT_INVALID_MAX);

    int64_t wait = ratelimit_delay(rl, &list_people, 5000);
    assert_in_range(wait, 590000, 640000);
    assert_int_not_equal(ratelimit_delay(rl, &list_people, 5000 + wait - 1), 0);
    assert_int_equal(ratelimit_delay(rl, &list_people, 5000 + wait), 0);
    assert_true(RATELIMIT_INVALID_MAX < 10000 / 2);
}

static void a_429_says_what_it_means(void **state)
{
    (void)state;
    assert_int_equal(ratelimit_scope("user", false, 0, 0), RATELIMIT_USER);
    assert_int_equal(ratelimit_scope("", false, 0, -1), RATELIMIT_USER);
    assert_int_equal(ratelimit_scope("shared", false, 0, 4), RATELIMIT_SHARED);
    assert_int_equal(ratelimit_scope("global", false, 0, 4), RATELIMIT_GLOBAL);
    assert_int_equal(ratelimit_scope("", true, 0, -1), RATELIMIT_GLOBAL);
    assert_int_equal(ratelimit_scope("user", false, 30046, 4),
                     RATELIMIT_OLD_EDIT);
    /* Some were left: it was not the bucket. */
    assert_int_equal(ratelimit_scope("user", false, 0, 3), RATELIMIT_SHARED);
}

/* Many channels over a long time: what is at rest is forgotten, what is held
 * is not. */
static void memory_is_bounded(void **state)
{
    struct ratelimit *rl = *state;
    struct ratelimit_route r = {.name = "GET /channels/{id}"};
    AUTO_BUF struct buf status = BUF_INIT;

    ratelimit_refused(rl, &edit_people, RATELIMIT_SHARED, 80000000, 0);
    for (int64_t i = 0; i < 20000; i++) {
        r.major = (uint64_t)i + 1;
        exchange(rl, &r, "g", 5, 4, 1000, i * 1000);
    }
    assert_true(ratelimit_delay(rl, &edit_people, 20000000) == 60000000);
    ratelimit_status(rl, 20000000, &status);
    assert_non_null(strstr(status.data, "\"wait_ms\":60000000"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(unknown_bucket_sends_one_and_learns),
        CASE(unknown_bucket_asks_again_after_a_loss),
        CASE(used_up_bucket_waits_for_its_reset),
        CASE(channels_do_not_share),
        CASE(what_one_channel_taught_is_known_for_another),
        CASE(routes_of_one_bucket_share_it),
        CASE(lane_follows_when_its_bucket_is_renamed),
        CASE(what_is_under_way_counts_in_the_next_window),
        CASE(answers_out_of_order_open_nothing),
        CASE(newest_answer_is_believed),
        CASE(edits_count_with_posts_until_told_otherwise),
        CASE(a_name_learned_is_learned_for_both),
        CASE(use_by_somebody_else_is_believed),
        CASE(background_leaves_the_last_place),
        CASE(background_may_use_a_bucket_of_one),
        CASE(user_429_holds_the_bucket),
        CASE(limited_bucket_leaves_others_alone),
        CASE(shared_429_holds_its_route_on_its_resource),
        CASE(global_429_holds_all_but_interactions),
        CASE(old_edits_have_a_lane_of_their_own),
        CASE(fifty_a_second_in_all),
        CASE(background_leaves_some_of_the_second),
        CASE(no_header_means_no_visible_limit),
        CASE(absurd_headers_are_not_believed),
        CASE(hostile_headers_do_no_harm),
        CASE(invalid_requests_stop_all_long_before_the_ban),
        CASE(a_429_says_what_it_means),
        CASE(memory_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
