/* The emulator's gateway protocol, frame by frame and with a clock of our
 * own: what a client library must be able to rely on. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "tests/emulator/session.h"

#define QUERY "v=10&encoding=json"
#define IDENTIFY(intents)                                                      \
    "{\"op\":2,\"d\":{\"token\":\"good\",\"intents\":" #intents                \
    ",\"properties\":{\"os\":\"linux\",\"browser\":\"x\",\"device\":\"x\"}}}"

struct world {
    struct session_pool *pool;
    int64_t now;
    int woken, revoked, requested_op;
};

static bool token_ok(void *arg, const char *token)
{
    (void)arg;
    return strcmp(token, "good") == 0;
}

static void welcome(void *arg, struct session *s)
{
    struct world *w = arg;
    char ready[128];

    snprintf(ready, sizeof(ready), "{\"session_id\":\"%s\"}", session_id(s));
    session_emit(s, "READY", ready, w->now);
}

static void request(void *arg, struct session *s, int op, const char *d)
{
    struct world *w = arg;

    (void)d;
    w->requested_op = op;
    session_emit(s, "GUILD_MEMBERS_CHUNK", "{}", w->now);
}

static void wake(void *arg, void *user)
{
    struct world *w = arg;

    (void)user;
    w->woken++;
}

static void revoke(void *arg)
{
    struct world *w = arg;

    w->revoked++;
}

static int setup(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct session_host host = {
        .arg = w,
        .token_ok = token_ok,
        .welcome = welcome,
        .request = request,
        .wake = wake,
        .revoke = revoke,
    };

    w->pool = session_pool_new(&host);
    w->now = 1000;
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    session_pool_free(w->pool);
    free(w);
    return 0;
}

static struct session_link *connect_to(struct world *w)
{
    return session_link_new(w->pool, QUERY, NULL, w->now);
}

static void say(struct world *w, struct session_link *l, const char *text)
{
    session_link_receive(l, text, strlen(text), w->now);
}

/* The next frame, for json_object_put(), or NULL. */
static json_object *next_frame(struct session_link *l)
{
    AUTO_BUF struct buf text = BUF_INIT;

    if (!session_link_next(l, &text))
        return NULL;
    return json_tokener_parse(text.data);
}

static int frame_op(json_object *frame)
{
    return json_object_get_int(json_object_object_get(frame, "op"));
}

static void expect_op(struct session_link *l, int op)
{
    json_object *frame = next_frame(l);

    assert_non_null(frame);
    assert_int_equal(frame_op(frame), op);
    json_object_put(frame);
}

static void expect_event(struct session_link *l, const char *type, int seq)
{
    json_object *frame = next_frame(l);

    assert_non_null(frame);
    assert_int_equal(frame_op(frame), 0);
    assert_string_equal(
        json_object_get_string(json_object_object_get(frame, "t")), type);
    assert_int_equal(json_object_get_int(json_object_object_get(frame, "s")),
                     seq);
    json_object_put(frame);
}

static void expect_nothing(struct session_link *l)
{
    AUTO_BUF struct buf text = BUF_INIT;

    assert_false(session_link_next(l, &text));
}

static int close_code(struct session_link *l)
{
    const char *reason;

    return session_link_close_code(l, &reason);
}

/* A link that is past hello and READY; its session's id goes to id. */
static struct session_link *login(struct world *w, char id[64])
{
    struct session_link *l = connect_to(w);

    expect_op(l, 10);
    say(w, l, IDENTIFY(33281));
    json_object *frame = next_frame(l);
    assert_non_null(frame);
    json_object *d = json_object_object_get(frame, "d");
    if (id)
        snprintf(
            id, 64, "%s",
            json_object_get_string(json_object_object_get(d, "session_id")));
    json_object_put(frame);
    w->now += SESSION_IDENTIFY_MS;
    return l;
}

static void resume(struct world *w, struct session_link *l, const char *id,
                   int seq)
{
    char text[256];

    snprintf(text, sizeof(text),
             "{\"op\":6,\"d\":{\"token\":\"good\",\"session_id\":\"%s\","
             "\"seq\":%d}}",
             id, seq);
    say(w, l, text);
}

static int publish(struct world *w, const char *type, uint32_t intents)
{
    struct session_event ev = {.type = type,
                               .intents = intents,
                               .data = "{\"content\":\"full\"}",
                               .blank = "{\"content\":\"\"}"};

    return session_publish(w->pool, &ev, w->now);
}

static void hello_names_the_interval(void **state)
{
    struct session_link *l = connect_to(*state);
    json_object *frame = next_frame(l);
    json_object *d = json_object_object_get(frame, "d");

    assert_int_equal(frame_op(frame), 10);
    assert_int_equal(
        json_object_get_int(json_object_object_get(d, "heartbeat_interval")),
        41250);
    json_object_put(frame);
}

static void wrong_urls_are_refused(void **state)
{
    struct world *w = *state;

    struct session_link *old =
        session_link_new(w->pool, "v=5&encoding=json", NULL, w->now);
    assert_int_equal(close_code(old), 4012);
    struct session_link *etf =
        session_link_new(w->pool, "v=10&encoding=etf", NULL, w->now);
    assert_int_equal(close_code(etf), 4002);
    struct session_link *zlib =
        session_link_new(w->pool, QUERY "&compress=zlib-stream", NULL, w->now);
    assert_int_equal(close_code(zlib), 0);
    assert_true(session_link_compressed(zlib));
}

struct refusal {
    const char *frame;
    int code;
};

static void bad_first_frames_close_with_their_code(void **state)
{
    static const struct refusal cases[] = {
        {"{\"op\":3,\"d\":{}}", 4003},
        {"{\"op\":99,\"d\":{}}", 4001},
        {"{\"op\":2,\"d\":", 4002},
        {"[]", 4002},
        {"{\"d\":1}", 4002},
        {"{\"op\":2,\"d\":{\"token\":\"good\"}}", 4002},
        {"{\"op\":2,\"d\":{\"token\":\"bad\",\"intents\":1,"
         "\"properties\":{}}}",
         4004},
        {IDENTIFY(1073741824), 4013},
        {IDENTIFY(-1), 4013},
        {IDENTIFY(2), 4014},
        {"{\"op\":2,\"d\":{\"token\":\"good\",\"intents\":1,"
         "\"properties\":{},\"shard\":[1,1]}}",
         4010},
        {"{\"op\":6,\"d\":{\"token\":\"bad\",\"session_id\":\"x\","
         "\"seq\":1}}",
         4004},
    };
    struct world *w = *state;

    session_pool_allow(w->pool, ~INTENT_GUILD_MEMBERS);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct session_link *l = connect_to(w);
        say(w, l, cases[i].frame);
        if (close_code(l) != cases[i].code)
            print_error("%s\n", cases[i].frame);
        assert_int_equal(close_code(l), cases[i].code);
    }
}

static void identifying_twice_closes(void **state)
{
    struct world *w = *state;
    struct session_link *l = login(w, NULL);

    say(w, l, IDENTIFY(1));
    assert_int_equal(close_code(l), 4005);
}

static void long_payload_closes(void **state)
{
    struct world *w = *state;
    struct session_link *l = login(w, NULL);
    char text[SESSION_PAYLOAD_MAX + 2];

    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"op\":1,\"d\":null", 16);
    text[SESSION_PAYLOAD_MAX - 1] = '}';
    session_link_receive(l, text, SESSION_PAYLOAD_MAX, w->now);
    assert_int_equal(close_code(l), 0);
    text[SESSION_PAYLOAD_MAX - 1] = ' ';
    text[SESSION_PAYLOAD_MAX] = '}';
    session_link_receive(l, text, SESSION_PAYLOAD_MAX + 1, w->now);
    assert_int_equal(close_code(l), 4002);
}

static void hundred_and_twenty_frames_a_minute(void **state)
{
    struct world *w = *state;
    struct session_link *l = connect_to(w);

    for (int i = 0; i < SESSION_FRAMES; i++)
        say(w, l, "{\"op\":1,\"d\":null}");
    w->now += SESSION_FRAMES_MS;
    say(w, l, "{\"op\":1,\"d\":null}");
    assert_int_equal(close_code(l), 0);
    for (int i = 0; i < SESSION_FRAMES; i++)
        say(w, l, "{\"op\":1,\"d\":null}");
    assert_int_equal(close_code(l), 4008);
}

static void heartbeats_are_answered_and_missed(void **state)
{
    struct world *w = *state;
    struct session_link *l = login(w, NULL);

    w->now += SESSION_HEARTBEAT_MS;
    session_pool_tick(w->pool, w->now);
    say(w, l, "{\"op\":1,\"d\":1}");
    expect_op(l, 11);
    assert_int_equal(session_pool_deadline(w->pool),
                     w->now + SESSION_HEARTBEAT_MS * 3 / 2);

    w->now = session_pool_deadline(w->pool) - 1;
    session_pool_tick(w->pool, w->now);
    assert_int_equal(close_code(l), 0);
    w->now++;
    session_pool_tick(w->pool, w->now);
    assert_int_equal(close_code(l), 4009);
    assert_int_equal(session_pool_sessions(w->pool), 0);
}

static void second_identify_within_five_seconds_waits(void **state)
{
    struct world *w = *state;

    login(w, NULL);
    w->now -= 1;
    struct session_link *l = connect_to(w);
    expect_op(l, 10);
    say(w, l, IDENTIFY(1));
    expect_op(l, 9);
    assert_int_equal(close_code(l), 0);
    w->now += SESSION_IDENTIFY_MS;
    say(w, l, IDENTIFY(1));
    expect_event(l, "READY", 1);
}

static void thousand_identifies_a_day(void **state)
{
    struct world *w = *state;
    int64_t reset;

    for (int i = 0; i < SESSION_IDENTIFIES_A_DAY; i++) {
        session_link_gone(login(w, NULL), 1000, w->now);
        assert_int_equal(session_pool_remaining(w->pool, w->now, &reset),
                         SESSION_IDENTIFIES_A_DAY - 1 - i);
    }
    assert_true(reset > 0 && reset < SESSION_DAY_MS);
    struct session_link *l = connect_to(w);
    say(w, l, IDENTIFY(1));
    assert_int_equal(close_code(l), 4004);
    assert_int_equal(w->revoked, 1);

    w->now += SESSION_DAY_MS;
    assert_int_equal(session_pool_remaining(w->pool, w->now, &reset), 1000);
}

static void events_follow_the_intents(void **state)
{
    struct world *w = *state;
    struct session_link *l = login(w, NULL);
    struct session_link *blind = connect_to(w);

    expect_op(blind, 10);
    say(w, blind, IDENTIFY(513));
    expect_event(blind, "READY", 1);

    assert_int_equal(
        publish(w, "MESSAGE_REACTION_ADD", INTENT_GUILD_MESSAGE_REACTIONS), 0);
    assert_int_equal(publish(w, "MESSAGE_CREATE", INTENT_GUILD_MESSAGES), 2);

    AUTO_BUF struct buf text = BUF_INIT;
    assert_true(session_link_next(l, &text));
    assert_non_null(strstr(text.data, "full"));
    buf_reset(&text);
    assert_true(session_link_next(blind, &text));
    assert_null(strstr(text.data, "full"));

    assert_int_equal(publish(w, "INTERACTION_CREATE", 0), 2);
    expect_event(l, "INTERACTION_CREATE", 3);
}

static void shards_share_the_guilds_out(void **state)
{
    struct world *w = *state;
    struct session_link *l = connect_to(w);
    struct session_event ev = {.type = "CHANNEL_CREATE",
                               .intents = INTENT_GUILDS,
                               .guild_id = 2ull << 22,
                               .data = "{}"};

    say(w, l,
        "{\"op\":2,\"d\":{\"token\":\"good\",\"intents\":1,"
        "\"properties\":{},\"shard\":[1,2]}}");
    assert_int_equal(session_publish(w->pool, &ev, w->now), 0);
    ev.guild_id = 3ull << 22;
    assert_int_equal(session_publish(w->pool, &ev, w->now), 1);
}

static void resume_replays_in_order(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *l = login(w, id);

    publish(w, "A", 0);
    expect_event(l, "A", 2);
    publish(w, "B", 0);
    session_link_gone(l, 0, w->now);
    publish(w, "C", 0);
    w->now += SESSION_RESUME_MS - 1;
    session_pool_tick(w->pool, w->now);

    l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 2);
    expect_event(l, "B", 3);
    expect_event(l, "C", 4);
    expect_event(l, "RESUMED", 5);
    publish(w, "D", 0);
    expect_event(l, "D", 6);
    expect_nothing(l);
}

static void resume_may_go_back_over_what_was_sent(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *l = login(w, id);

    publish(w, "A", 0);
    expect_event(l, "A", 2);
    session_link_gone(l, 4000, w->now);
    l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 1);
    expect_event(l, "A", 2);
    expect_event(l, "RESUMED", 3);
}

static void resume_takes_a_live_session_over(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *old = login(w, id);
    struct session_link *l = connect_to(w);

    expect_op(l, 10);
    resume(w, l, id, 1);
    expect_event(l, "RESUMED", 2);
    assert_int_equal(close_code(old), SESSION_CUT);
    session_link_gone(old, 0, w->now);
    publish(w, "A", 0);
    expect_event(l, "A", 3);
}

static void lost_sessions_cannot_be_resumed(void **state)
{
    struct world *w = *state;
    char id[64];

    /* Closed by 1000. */
    session_link_gone(login(w, id), 1000, w->now);
    struct session_link *l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 1);
    expect_op(l, 9);

    /* Parked for too long. */
    session_link_gone(login(w, id), 4000, w->now);
    w->now += SESSION_RESUME_MS;
    l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 1);
    expect_op(l, 9);
    assert_int_equal(close_code(l), 0);

    /* A number the session has not reached. */
    session_link_gone(login(w, id), 4000, w->now);
    l = connect_to(w);
    resume(w, l, id, 99);
    assert_int_equal(close_code(l), 4007);
}

static void acknowledged_events_do_not_pile_up(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *l = login(w, id);

    for (int i = 0; i < 10; i++)
        publish(w, "A", 0);
    for (int i = 0; i < 10; i++)
        expect_event(l, "A", i + 2);
    /* They are forgotten only once named and old. */
    w->now += SESSION_HEARTBEAT_MS;
    say(w, l, "{\"op\":1,\"d\":11}");
    for (int i = 0; i < 6; i++) {
        w->now += SESSION_HEARTBEAT_MS;
        say(w, l, "{\"op\":1,\"d\":11}");
    }
    session_link_gone(l, 4000, w->now);
    l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 5);
    expect_op(l, 9);
}

static void faults_reach_every_link(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *l = login(w, id);

    session_pool_reconnect(w->pool);
    expect_op(l, 7);
    session_pool_beat(w->pool);
    expect_op(l, 1);
    session_pool_invalidate(w->pool, true, w->now);
    expect_op(l, 9);
    assert_int_equal(session_pool_sessions(w->pool), 1);
    resume(w, l, id, 1);
    expect_event(l, "RESUMED", 2);
    session_pool_invalidate(w->pool, false, w->now);
    expect_op(l, 9);
    assert_int_equal(session_pool_sessions(w->pool), 0);
    session_pool_drop(w->pool);
    assert_int_equal(close_code(l), SESSION_CUT);
}

static void silence_holds_everything_back(void **state)
{
    struct world *w = *state;
    char id[64];
    struct session_link *l = login(w, id);

    session_pool_silence(w->pool);
    say(w, l, "{\"op\":1,\"d\":1}");
    publish(w, "A", 0);
    expect_nothing(l);
    w->now += 10 * SESSION_HEARTBEAT_MS;
    session_pool_tick(w->pool, w->now);
    assert_int_equal(close_code(l), 0);

    session_link_gone(l, 4900, w->now);
    l = connect_to(w);
    expect_op(l, 10);
    resume(w, l, id, 1);
    expect_event(l, "A", 2);
}

static void requests_need_a_session_and_reach_the_host(void **state)
{
    struct world *w = *state;
    struct session_link *l = login(w, NULL);

    say(w, l, "{\"op\":8,\"d\":{\"guild_id\":\"1\"}}");
    assert_int_equal(w->requested_op, 8);
    expect_event(l, "GUILD_MEMBERS_CHUNK", 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(hello_names_the_interval),
        CASE(wrong_urls_are_refused),
        CASE(bad_first_frames_close_with_their_code),
        CASE(identifying_twice_closes),
        CASE(long_payload_closes),
        CASE(hundred_and_twenty_frames_a_minute),
        CASE(heartbeats_are_answered_and_missed),
        CASE(second_identify_within_five_seconds_waits),
        CASE(thousand_identifies_a_day),
        CASE(events_follow_the_intents),
        CASE(shards_share_the_guilds_out),
        CASE(resume_replays_in_order),
        CASE(resume_may_go_back_over_what_was_sent),
        CASE(resume_takes_a_live_session_over),
        CASE(lost_sessions_cannot_be_resumed),
        CASE(acknowledged_events_do_not_pile_up),
        CASE(faults_reach_every_link),
        CASE(silence_holds_everything_back),
        CASE(requests_need_a_session_and_reach_the_host),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
