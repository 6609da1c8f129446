/* The bot on real sockets, against a gateway that follows a script. */
#include "bot/bot.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "script_server.h"

#define TOKEN "unit.test.token-0123456789"
#define HELLO "{\"op\":10,\"d\":{\"heartbeat_interval\":41250}}"
#define GUILD                                                                  \
    "{\"op\":0,\"s\":2,\"t\":\"GUILD_CREATE\",\"d\":{\"id\":\"1\",\"name\":"   \
    "\"home\",\"roles\":[],\"channels\":[]}}"
#define RESUMED "{\"op\":0,\"s\":99,\"t\":\"RESUMED\",\"d\":{}}"

struct world {
    struct script *s;
    struct discord *d;
    struct bot *bot;
    char ready[512];

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct buf told; /* under lock: what the bot told, a word each */
    bool go_on;      /* under lock: the script may */
};

static void on_event(void *arg, const struct remote_event *e)
{
    static const char *const names[] = {
        [REMOTE_EVENT_MESSAGE] = "message ",
        [REMOTE_EVENT_DELETED] = "deleted ",
        [REMOTE_EVENT_CHANNEL] = "channel ",
        [REMOTE_EVENT_CHANNEL_GONE] = "channel-gone ",
        [REMOTE_EVENT_GUILD] = "guild ",
        [REMOTE_EVENT_GUILD_GONE] = "guild-gone ",
        [REMOTE_EVENT_GAP] = "gap ",
        [REMOTE_EVENT_CONNECTED] = "connected ",
        [REMOTE_EVENT_DISCONNECTED] = "disconnected ",
    };
    struct world *w = arg;

    pthread_mutex_lock(&w->lock);
    buf_addstr(&w->told, names[e->kind]);
    if (e->kind == REMOTE_EVENT_MESSAGE)
        buf_printf(&w->told, "%zu ", e->message.content_len);
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static struct timespec soon(void)
{
    struct timespec end;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    return end;
}

/* Waits until all of this, and nothing else, was told. */
static void told(struct world *w, const char *what)
{
    struct timespec end = soon();
    int r = 0;

    pthread_mutex_lock(&w->lock);
    while (r == 0 && (!w->told.data || w->told.len < strlen(what)))
        r = pthread_cond_timedwait(&w->changed, &w->lock, &end);
    assert_string_equal(w->told.data ? w->told.data : "", what);
    buf_reset(&w->told);
    pthread_mutex_unlock(&w->lock);
}

static void let_go_on(struct world *w)
{
    pthread_mutex_lock(&w->lock);
    w->go_on = true;
    pthread_cond_broadcast(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

/* For the script: until the test says so. */
static void wait_for_test(struct world *w)
{
    struct timespec end = soon();

    pthread_mutex_lock(&w->lock);
    while (!w->go_on &&
           pthread_cond_timedwait(&w->changed, &w->lock, &end) == 0)
        ;
    w->go_on = false;
    pthread_mutex_unlock(&w->lock);
}

static void answer_address(struct world *w)
{
    char body[256];

    snprintf(body, sizeof(body),
             "{\"url\":\"ws%s/gw\",\"session_start_limit\":{\"remaining\":900,"
             "\"reset_after\":0}}",
             script_url(w->s) + 4);
    script_answer(w->s, "GET /api/v10/gateway/bot", 200, "", body);
}

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    char url[128];

    w->s = script_new();
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->changed, NULL);
    snprintf(url, sizeof(url), "%s/api/v10", script_url(w->s));
    snprintf(w->ready, sizeof(w->ready),
             "{\"op\":0,\"s\":1,\"t\":\"READY\",\"d\":{\"session_id\":\"abc\","
             "\"resume_gateway_url\":\"ws%s/resume\",\"user\":{\"id\":\"7\"},"
             "\"guilds\":[{\"id\":\"1\",\"unavailable\":true}]}}",
             script_url(w->s) + 4);
    *state = w;
    return discord_open(
        &(struct discord_options){.api_url = url, .token = TOKEN}, &w->d, NULL);
}

static void start(struct world *w)
{
    struct bot_options o = {.event = on_event, .arg = w};
    struct err err = ERR_INIT;

    if (bot_start(w->d, &o, &w->bot, &err) < 0)
        fail_msg("%s", err.text);
}

static int tear_down(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf log = BUF_INIT;

    bot_stop(w->bot);
    remote_close(discord_remote(w->d));
    script_free(w->s);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->changed);
    buf_release(&w->told);
    free(w);
    log_recent(&log);
    return log.data && strstr(log.data, TOKEN) ? -1 : 0;
}

static void expect(struct script_ws *ws, const char *what)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (!ws_hear(ws, &b) || !strstr(b.data, what))
        print_error("expected %s, got %s\n", what, b.data ? b.data : "");
}

/* Until the other side hangs up. */
static void listen_on(struct script_ws *ws)
{
    AUTO_BUF struct buf b = BUF_INIT;

    while (ws_hear(ws, &b))
        ;
}

static void begin(struct script_ws *ws, struct world *w)
{
    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"op\":2,\"d\":{\"token\":\"" TOKEN "\",\"intents\":33281");
    ws_say_packed(ws, w->ready, 1);
    ws_say_packed(ws, GUILD, 3);
}

static void say_message(struct script_ws *ws, size_t len, int pieces)
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_addstr(&b, "{\"op\":0,\"s\":3,\"t\":\"MESSAGE_CREATE\",\"d\":{\"id\":"
                   "\"5\",\"channel_id\":\"2\",\"guild_id\":\"1\",\"content\":"
                   "\"");
    for (size_t i = 0; i < len; i++)
        buf_addc(&b, (char)('a' + i * i % 26));
    buf_addstr(&b, "\"}}");
    ws_say_packed(ws, b.data, pieces);
}

static void one_session(struct script_ws *ws, void *arg)
{
    begin(ws, arg);
    say_message(ws, 3, 1);
    say_message(ws, 500000, 7);
    listen_on(ws);
}

static void session_brings_its_events(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf status = BUF_INIT;

    answer_address(w);
    script_websocket(w->s, "GET /gw?v=10&encoding=json&compress=zlib-stream",
                     one_session, w);
    start(w);
    told(w, "guild connected message 3 message 500000 ");
    assert_true(bot_is_connected(w->bot));
    assert_false(bot_lacks_content(w->bot));
    bot_status(w->bot, &status);
    assert_non_null(strstr(status.data, "\"connected\":true"));
    assert_null(strstr(status.data, TOKEN));
    bot_stop(w->bot);
    w->bot = NULL;
    told(w, "disconnected ");
}

static void cut_off(struct script_ws *ws, void *arg)
{
    begin(ws, arg);
    wait_for_test(arg);
}

static void resumed(struct script_ws *ws, void *arg)
{
    (void)arg;
    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"op\":6,\"d\":{\"token\":\"" TOKEN "\",\"session_id\":\"abc\","
               "\"seq\":2}");
    say_message(ws, 1, 1);
    ws_say_packed(ws, RESUMED, 1);
    listen_on(ws);
}

static void connection_that_broke_is_resumed(void **state)
{
    struct world *w = *state;

    answer_address(w);
    script_websocket(w->s, "GET /gw?", cut_off, w);
    script_websocket(w->s, "GET /resume?", resumed, w);
    start(w);
    told(w, "guild connected ");
    let_go_on(w);
    told(w, "disconnected message 1 connected ");
    assert_int_equal(script_count(w->s, "GET /api/v10/gateway/bot"), 1);
}

static void refuse_session(struct script_ws *ws, void *arg)
{
    (void)arg;
    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"op\":6,");
    ws_say_packed(ws, "{\"op\":9,\"d\":false}", 1);
    listen_on(ws);
}

static void session_that_is_gone_leaves_a_gap(void **state)
{
    struct world *w = *state;

    answer_address(w);
    answer_address(w);
    script_websocket(w->s, "GET /gw?", cut_off, w);
    script_websocket(w->s, "GET /resume?", refuse_session, w);
    script_websocket(w->s, "GET /gw?", one_session, w);
    start(w);
    told(w, "guild connected ");
    let_go_on(w);
    told(w, "disconnected guild gap connected message 3 message 500000 ");
}

static void refuse_intents(struct script_ws *ws, void *arg)
{
    (void)arg;
    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"intents\":33281");
    ws_close(ws, 4014);
    listen_on(ws);
}

static void fewer_intents(struct script_ws *ws, void *arg)
{
    struct world *w = arg;

    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"intents\":513");
    ws_say_packed(ws, w->ready, 1);
    ws_say_packed(ws, GUILD, 1);
    listen_on(ws);
}

static void refused_intent_is_given_up(void **state)
{
    struct world *w = *state;

    answer_address(w);
    answer_address(w);
    script_websocket(w->s, "GET /gw?", refuse_intents, w);
    script_websocket(w->s, "GET /gw?", fewer_intents, w);
    start(w);
    told(w, "guild connected ");
    assert_true(bot_lacks_content(w->bot));
}

static void refuse_token(struct script_ws *ws, void *arg)
{
    ws_say_packed(ws, HELLO, 1);
    expect(ws, "\"op\":2,");
    ws_close(ws, 4004);
    listen_on(ws);
    let_go_on(arg);
}

static void refused_token_is_told_once_and_for_good(void **state)
{
    struct world *w = *state;
    struct err why = ERR_INIT;

    answer_address(w);
    script_websocket(w->s, "GET /gw?", refuse_token, w);
    start(w);
    wait_for_test(w);
    int64_t end = clock_mono_ms() + 20000;
    while (!bot_is_fatal(w->bot, &why) && clock_mono_ms() < end)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    assert_non_null(strstr(why.text, "4004"));
    assert_null(strstr(why.text, TOKEN));
    assert_int_equal(script_count(w->s, "GET /gw?"), 1);
}

static void garbage(struct script_ws *ws, void *arg)
{
    begin(ws, arg);
    wait_for_test(arg);
    ws_say_raw(ws, 2, "no zlib at all\0\0\xff\xff", 18);
    listen_on(ws);
}

static void damaged_stream_is_left_and_resumed(void **state)
{
    struct world *w = *state;

    answer_address(w);
    script_websocket(w->s, "GET /gw?", garbage, w);
    script_websocket(w->s, "GET /resume?", resumed, w);
    start(w);
    told(w, "guild connected ");
    let_go_on(w);
    told(w, "disconnected message 1 connected ");
}

static void gateway_that_is_not_there_is_tried_again(void **state)
{
    struct world *w = *state;

    script_answer(w->s, "GET /api/v10/gateway/bot", 404, "", "");
    answer_address(w);
    script_answer(w->s, "GET /gw?", 502, "Connection: close\r\n", "");
    answer_address(w);
    script_drop(w->s, "GET /gw?");
    answer_address(w);
    script_websocket(w->s, "GET /gw?", one_session, w);
    start(w);
    told(w, "guild connected message 3 message 500000 ");
}

static void stop_does_not_wait_for(struct world *w, const char *line)
{
    script_hang(w->s, line);
    start(w);
    assert_true(script_await(w->s, line, 1));
    int64_t before = clock_mono_ms();
    bot_stop(w->bot);
    w->bot = NULL;
    assert_true(clock_mono_ms() - before < 5000);
}

static void stop_does_not_wait_for_an_address(void **state)
{
    stop_does_not_wait_for(*state, "GET /api/v10/gateway/bot");
}

static void stop_does_not_wait_for_a_connection(void **state)
{
    answer_address(*state);
    stop_does_not_wait_for(*state, "GET /gw?");
}

static void silent(struct script_ws *ws, void *arg)
{
    begin(ws, arg);
    wait_for_test(arg); /* hears nothing, not even a close */
}

static void stop_does_not_wait_for_a_gateway_that_does_not_listen(void **state)
{
    struct world *w = *state;

    answer_address(w);
    script_websocket(w->s, "GET /gw?", silent, w);
    start(w);
    told(w, "guild connected ");
    int64_t before = clock_mono_ms();
    bot_stop(w->bot);
    w->bot = NULL;
    assert_true(clock_mono_ms() - before < 5000);
    let_go_on(w);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(session_brings_its_events),
        CASE(connection_that_broke_is_resumed),
        CASE(session_that_is_gone_leaves_a_gap),
        CASE(refused_intent_is_given_up),
        CASE(refused_token_is_told_once_and_for_good),
        CASE(damaged_stream_is_left_and_resumed),
        CASE(gateway_that_is_not_there_is_tried_again),
        CASE(stop_does_not_wait_for_an_address),
        CASE(stop_does_not_wait_for_a_connection),
        CASE(stop_does_not_wait_for_a_gateway_that_does_not_listen),
    };
    /* Nobody listens there: this machine is reached without a proxy. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
