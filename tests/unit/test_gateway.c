#include "bot/gateway.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"

#define TOKEN "unit.test.token-0123456789"
#define ALL (GATEWAY_GUILDS | GATEWAY_GUILD_MESSAGES | GATEWAY_MESSAGE_CONTENT)
#define BEAT 40000

/* A machine, its clock, and what it said to do last. */
struct world {
    struct gateway *gw;
    int64_t now;
    struct gateway_todo todo;
    int identifies, resumes; /* sent so far */
};

static void forget(struct world *w)
{
    json_object_put(w->todo.dispatch);
    buf_release(&w->todo.send);
    w->todo = (struct gateway_todo){0};
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->gw = gateway_new(TOKEN, ALL, 42);
    w->now = 1000000;
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    forget(w);
    gateway_free(w->gw);
    free(w);
    return 0;
}

static bool sent(const struct world *w, const char *what)
{
    return w->todo.send.data && strstr(w->todo.send.data, what);
}

static void step(struct world *w, struct gateway_event ev)
{
    forget(w);
    gateway_step(w->gw, &ev, w->now, &w->todo);
    w->identifies += sent(w, "\"op\":2,");
    w->resumes += sent(w, "\"op\":6,");
}

static void frame(struct world *w, const char *text)
{
    step(w, (struct gateway_event){
                .kind = GATEWAY_FRAME, .text = text, .len = strlen(text)});
}

static void opened(struct world *w)
{
    step(w, (struct gateway_event){.kind = GATEWAY_OPENED});
}

static void closed(struct world *w, int code)
{
    step(w, (struct gateway_event){.kind = GATEWAY_CLOSED, .code = code});
}

static void address(struct world *w, int left, int64_t reset_ms)
{
    struct discord_gateway a = {
        .url = "wss://gateway.example/",
        .identifies_left = left,
        .identifies_reset_ms = reset_ms,
    };

    step(w, (struct gateway_event){.kind = GATEWAY_ADDRESS, .address = &a});
}

/* The clock moves to when it wanted to be woken; how long that was. */
static int64_t sleep_on(struct world *w)
{
    int64_t before = w->now;

    assert_true(w->todo.wake != INT64_MAX);
    if (w->todo.wake > w->now)
        w->now = w->todo.wake;
    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    return w->now - before;
}

/* From the beginning to just before the hello. */
static void connect_new(struct world *w)
{
    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    while (!w->todo.ask)
        sleep_on(w);
    address(w, 1000, 0);
    if (!w->todo.connect)
        sleep_on(w);
    assert_true(w->todo.connect);
    opened(w);
}

static void hello(struct world *w)
{
    frame(w, "{\"op\":10,\"d\":{\"heartbeat_interval\":40000},\"s\":null,"
             "\"t\":null}");
}

static void ready(struct world *w)
{
    frame(w, "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"abc\","
             "\"resume_gateway_url\":\"wss://resume.example\",\"user\":{\"id\":"
             "\"7\"},\"guilds\":[]}}");
}

static void run(struct world *w)
{
    connect_new(w);
    hello(w);
    ready(w);
    assert_int_equal(w->todo.news, GATEWAY_READY);
}

/* A session that has lasted, its beats answered. */
static void run_long(struct world *w)
{
    run(w);
    for (int i = 0; i < 3; i++) {
        sleep_on(w);
        assert_true(sent(w, "\"op\":1,"));
        frame(w, "{\"op\":11}");
    }
}

static void it_asks_connects_and_identifies(void **state)
{
    struct world *w = *state;

    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    assert_true(w->todo.ask);
    address(w, 1000, 0);
    assert_true(w->todo.wake <= w->now);
    sleep_on(w);
    assert_true(w->todo.connect);
    assert_string_equal(
        gateway_url(w->gw),
        "wss://gateway.example/?v=10&encoding=json&compress=zlib-stream");
    opened(w);
    assert_int_equal(w->todo.send.len, 0);
    hello(w);
    assert_true(sent(w, "\"op\":2,"));
    assert_true(sent(w, "\"token\":\"" TOKEN "\""));
    assert_true(sent(w, "\"intents\":33281"));
    assert_true(w->todo.send.len < 4096);
    ready(w);
    assert_int_equal(w->todo.news, GATEWAY_READY);
    assert_string_equal(w->todo.type, "READY");
}

static void address_keeps_its_path(void **state)
{
    struct world *w = *state;
    struct discord_gateway a = {
        .url = "ws://127.0.0.1:81/gateway?x=1",
        .identifies_left = 1000,
    };

    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    step(w, (struct gateway_event){.kind = GATEWAY_ADDRESS, .address = &a});
    sleep_on(w);
    assert_string_equal(
        gateway_url(w->gw),
        "ws://127.0.0.1:81/gateway?v=10&encoding=json&compress=zlib-stream");
}

static void heartbeats_carry_the_last_number(void **state)
{
    struct world *w = *state;

    connect_new(w);
    hello(w);
    int64_t wait = sleep_on(w);
    assert_true(wait < BEAT);
    assert_string_equal(w->todo.send.data, "{\"op\":1,\"d\":null}");
    frame(w, "{\"op\":11}");
    ready(w);
    frame(w, "{\"op\":0,\"s\":9,\"t\":\"X\",\"d\":{}}");
    assert_int_equal(sleep_on(w), BEAT);
    assert_string_equal(w->todo.send.data, "{\"op\":1,\"d\":9}");
    frame(w, "{\"op\":11}");
    /* An event of a name that is not known yet, and long, was received too. */
    frame(w, "{\"op\":0,\"s\":10,\"d\":{},\"t\":\"AN_EVENT_WHOSE_NAME_IS_"
             "LONGER_THAN_ANY_THAT_THERE_IS_NOW\"}");
    assert_null(w->todo.dispatch);
    sleep_on(w);
    assert_string_equal(w->todo.send.data, "{\"op\":1,\"d\":10}");
}

static void first_beats_are_spread(void **state)
{
    int64_t first = -1;
    bool differ = false;

    (void)state;
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct world w = {.gw = gateway_new(TOKEN, ALL, seed * 7919), .now = 5};
        connect_new(&w);
        hello(&w);
        int64_t wait = w.todo.wake - w.now;
        assert_in_range(wait, 0, BEAT);
        differ = differ || (first >= 0 && wait != first);
        first = wait;
        forget(&w);
        gateway_free(w.gw);
    }
    assert_true(differ);
}

static void a_beat_that_is_asked_for_is_sent_at_once(void **state)
{
    struct world *w = *state;

    run(w);
    frame(w, "{\"op\":1,\"d\":null}");
    assert_string_equal(w->todo.send.data, "{\"op\":1,\"d\":1}");
    /* … but nobody makes us send so much that we are cut off. */
    int beats = 0;
    for (int i = 0; i < 500; i++) {
        frame(w, "{\"op\":1,\"d\":null}");
        beats += w->todo.send.len > 0;
    }
    assert_in_range(beats, 50, 118);
}

static void unanswered_beat_ends_the_connection_not_the_session(void **state)
{
    struct world *w = *state;

    run(w);
    sleep_on(w);
    assert_true(sent(w, "\"op\":1,"));
    sleep_on(w); /* no op 11 came */
    assert_int_equal(w->todo.news, GATEWAY_LOST);
    assert_in_range(w->todo.close, 4000, 4999);
    while (!w->todo.connect)
        sleep_on(w);
    assert_non_null(strstr(gateway_url(w->gw), "wss://resume.example/?v=10"));
    opened(w);
    hello(w);
    assert_true(sent(w, "\"op\":6,"));
    assert_true(sent(w, "\"session_id\":\"abc\""));
    assert_true(sent(w, "\"seq\":1"));
    frame(w, "{\"op\":0,\"s\":2,\"t\":\"MESSAGE_CREATE\",\"d\":{}}");
    assert_string_equal(w->todo.type, "MESSAGE_CREATE"); /* what was missed */
    frame(w, "{\"op\":0,\"s\":3,\"t\":\"RESUMED\",\"d\":{}}");
    assert_int_equal(w->todo.news, GATEWAY_RESUMED);
    assert_int_equal(w->identifies, 1);
}

static void loss_of_a_good_session_is_mended_at_once(void **state)
{
    struct world *w = *state;

    run_long(w);
    closed(w, 0);
    assert_int_equal(w->todo.news, GATEWAY_LOST);
    assert_true(w->todo.wake <= w->now);
    sleep_on(w);
    assert_true(w->todo.connect);
}

static void op_7_reconnects_even_before_the_hello(void **state)
{
    struct world *w = *state;

    run_long(w);
    frame(w, "{\"op\":7,\"d\":null}");
    assert_int_equal(w->todo.news, GATEWAY_LOST);
    assert_in_range(w->todo.close, 4000, 4999);
    sleep_on(w);
    assert_true(w->todo.connect);
    opened(w);
    frame(w, "{\"op\":7,\"d\":null}");
    assert_in_range(w->todo.close, 4000, 4999);
    while (!w->todo.connect)
        sleep_on(w);
    opened(w);
    hello(w);
    assert_true(sent(w, "\"op\":6,"));
}

static void op_9_says_whether_the_session_lives(void **state)
{
    struct world *w = *state;

    run_long(w);
    frame(w, "{\"op\":9,\"d\":true}");
    assert_in_range(w->todo.wake - w->now, 1000, 60000);
    while (!w->todo.connect)
        sleep_on(w);
    opened(w);
    hello(w);
    assert_true(sent(w, "\"op\":6,"));
    frame(w, "{\"op\":9,\"d\":false}");
    assert_in_range(w->todo.wake - w->now, 1000, 60000);
    while (!w->todo.ask)
        sleep_on(w);
    address(w, 1000, 0);
    sleep_on(w);
    opened(w);
    hello(w);
    assert_true(sent(w, "\"op\":2,"));
    ready(w);
    assert_int_equal(w->todo.news, GATEWAY_READY);
}

static void close_codes_decide(void **state)
{
    static const struct {
        int code;
        enum { RESUME, ANEW, FATAL } then;
    } codes[] = {
        {0, RESUME},    {1001, RESUME}, {1006, RESUME}, {4000, RESUME},
        {4001, RESUME}, {4002, RESUME}, {4005, RESUME}, {4008, RESUME},
        {4003, ANEW},   {4007, ANEW},   {4009, ANEW},   {4004, FATAL},
        {4010, FATAL},  {4011, FATAL},  {4012, FATAL},  {4013, FATAL},
        {4999, RESUME},
    };

    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        struct world w = {.gw = gateway_new(TOKEN, ALL, 3), .now = 77};
        (void)state;
        run_long(&w);
        closed(&w, codes[i].code);
        assert_int_equal(w.todo.news, GATEWAY_LOST);
        if (codes[i].then == FATAL) {
            assert_non_null(gateway_fatal(w.gw));
            assert_null(strstr(gateway_fatal(w.gw), TOKEN));
            assert_true(w.todo.wake == INT64_MAX);
            w.now += 1000000000;
            step(&w, (struct gateway_event){.kind = GATEWAY_TIME});
            assert_false(w.todo.ask || w.todo.connect);
        } else {
            assert_null(gateway_fatal(w.gw));
            while (!w.todo.connect && !w.todo.ask)
                sleep_on(&w);
            assert_int_equal(w.todo.connect, codes[i].then == RESUME);
        }
        forget(&w);
        gateway_free(w.gw);
    }
}

static void without_the_content_intent_it_asks_for_less(void **state)
{
    struct world *w = *state;

    connect_new(w);
    hello(w);
    assert_false(gateway_lacks_content(w->gw));
    closed(w, 4014);
    assert_null(gateway_fatal(w->gw));
    connect_new(w);
    hello(w);
    assert_true(sent(w, "\"intents\":513,"));
    ready(w);
    assert_true(gateway_lacks_content(w->gw));
    assert_null(gateway_fatal(w->gw));

    /* Less than that is not asked for. */
    closed(w, 4014);
    assert_non_null(gateway_fatal(w->gw));
}

static void silence_is_not_waited_for_forever(void **state)
{
    struct world *w = *state;

    connect_new(w); /* no hello */
    assert_in_range(w->todo.wake - w->now, 1, 60000);
    sleep_on(w);
    assert_in_range(w->todo.close, 4000, 4999);
    connect_new(w);
    hello(w); /* no READY, though the beats are answered */
    for (int i = 0; i < 10 && !w->todo.close; i++) {
        sleep_on(w);
        if (!w->todo.close)
            frame(w, "{\"op\":11}");
    }
    assert_in_range(w->todo.close, 4000, 4999);
}

static void crash_loop_does_not_burn_identifies(void **state)
{
    struct world *w = *state;
    int64_t day = 24 * 3600 * 1000, begin = w->now;

    /* Every session dies right after its READY, and cannot be resumed. */
    while (w->now - begin < day) {
        connect_new(w);
        hello(w);
        ready(w);
        closed(w, 4009);
    }
    assert_in_range(w->identifies, 20, 250);
}

static void flapping_connection_is_not_hammered(void **state)
{
    struct world *w = *state;
    int attempts = 0;
    int64_t begin;

    run_long(w);
    begin = w->now;
    closed(w, 0);
    /* The network is away: every attempt fails at once. */
    while (w->now - begin < 3600 * 1000) {
        sleep_on(w);
        if (w->todo.ask)
            step(w, (struct gateway_event){.kind = GATEWAY_NO_ADDRESS,
                                           .code = -ENETUNREACH,
                                           .text = "offline"});
        else if (w->todo.connect)
            closed(w, 0);
        attempts++;
    }
    assert_in_range(attempts, 60, 300);
    assert_int_equal(w->identifies, 1);
    /* When it is back, that is noticed within a minute. */
    assert_true(w->todo.wake - w->now <= 60000);
}

static void few_identifies_are_spread_over_the_day(void **state)
{
    struct world *w = *state;

    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    address(w, 50, 3600 * 1000);
    assert_false(w->todo.connect);
    assert_int_equal(w->todo.wake - w->now, 72000);
    sleep_on(w);
    assert_true(w->todo.connect);
}

static void the_last_identifies_are_not_used(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf status = BUF_INIT;

    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    address(w, 3, 7200 * 1000);
    gateway_status(w->gw, w->now, &status);
    assert_non_null(strstr(status.data, "\"identifies_left\":3"));
    assert_true(sleep_on(w) >= 7200 * 1000);
    assert_false(w->todo.connect);
    assert_true(w->todo.ask); /* how many are there now? */
    address(w, 0, 0);
    assert_true(w->todo.wake - w->now >= 60000);
}

static void refused_token_stops_it(void **state)
{
    struct world *w = *state;

    step(w, (struct gateway_event){.kind = GATEWAY_TIME});
    step(w, (struct gateway_event){
                .kind = GATEWAY_NO_ADDRESS, .code = -EPERM, .text = "refused"});
    assert_string_equal(gateway_fatal(w->gw), "refused");
}

static void resume_that_fails_for_long_ends_in_a_new_session(void **state)
{
    struct world *w = *state;

    run_long(w);
    closed(w, 0);
    for (int i = 0; i < 20 && !w->todo.ask; i++) {
        sleep_on(w);
        if (w->todo.connect)
            closed(w, 0);
    }
    assert_true(w->todo.ask);
}

static void resume_address_without_tls_is_not_used(void **state)
{
    struct world *w = *state;

    connect_new(w);
    hello(w);
    frame(w, "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"abc\","
             "\"resume_gateway_url\":\"ws://192.0.2.1/\"}}");
    closed(w, 0);
    while (!w->todo.connect)
        sleep_on(w);
    assert_non_null(strstr(gateway_url(w->gw), "wss://gateway.example/"));
}

static void hostile_frames_do_no_harm(void **state)
{
    static const char *const frames[] = {
        "{\"op\":0}",
        "{\"op\":0,\"t\":7,\"s\":\"x\",\"d\":[]}",
        "{\"op\":0,\"t\":\"READY\",\"s\":5,\"d\":null}",
        "{\"op\":0,\"t\":\"MESSAGE_CREATE\",\"s\":-9223372036854775808,\"d\":"
        "7}",
        "{\"op\":0,\"t\":\"AN_EVENT_WITH_A_NAME_THAT_IS_LONGER_THAN_ANY_NAME_"
        "OF_AN_EVENT\",\"s\":6,\"d\":{}}",
        "{\"op\":10,\"d\":{\"heartbeat_interval\":0}}",
        "{\"op\":10,\"d\":{\"heartbeat_interval\":\"x\"}}",
        "{\"op\":11}",
        "{\"op\":12345678901234567890}",
        "{\"op\":-1}",
        "{\"op\":\"7\"}",
        "[]",
        "",
        "{\"op\":9}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        for (int before = 0; before < 3; before++) {
            struct world w = {.gw = gateway_new(TOKEN, ALL, 9), .now = 1};
            AUTO_BUF struct buf status = BUF_INIT;
            connect_new(&w);
            if (before > 0)
                hello(&w);
            if (before > 1)
                ready(&w);
            frame(&w, frames[i]);
            assert_true(w.todo.wake > 0); /* it always comes back */
            gateway_status(w.gw, w.now, &status);
            assert_null(strstr(status.data, TOKEN));
            forget(&w);
            gateway_free(w.gw);
        }
    }
}

static void status_says_how_it_stands(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf status = BUF_INIT;

    run(w);
    sleep_on(w);
    w->now += 33;
    frame(w, "{\"op\":11}");
    gateway_status(w->gw, w->now, &status);
    struct json_object *o = json_tokener_parse(status.data);
    assert_non_null(o);
    json_object_put(o);
    assert_non_null(strstr(status.data, "\"connected\":true"));
    assert_non_null(strstr(status.data, "\"latency_ms\":33"));
    assert_non_null(strstr(status.data, "\"sessions\":1"));
    assert_non_null(strstr(status.data, "\"identifies_left\":999"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(it_asks_connects_and_identifies),
        CASE(address_keeps_its_path),
        CASE(heartbeats_carry_the_last_number),
        CASE(first_beats_are_spread),
        CASE(a_beat_that_is_asked_for_is_sent_at_once),
        CASE(unanswered_beat_ends_the_connection_not_the_session),
        CASE(loss_of_a_good_session_is_mended_at_once),
        CASE(op_7_reconnects_even_before_the_hello),
        CASE(op_9_says_whether_the_session_lives),
        CASE(close_codes_decide),
        CASE(without_the_content_intent_it_asks_for_less),
        CASE(silence_is_not_waited_for_forever),
        CASE(crash_loop_does_not_burn_identifies),
        CASE(flapping_connection_is_not_hammered),
        CASE(few_identifies_are_spread_over_the_day),
        CASE(the_last_identifies_are_not_used),
        CASE(refused_token_stops_it),
        CASE(resume_that_fails_for_long_ends_in_a_new_session),
        CASE(resume_address_without_tls_is_not_used),
        CASE(hostile_frames_do_no_harm),
        CASE(status_says_how_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
