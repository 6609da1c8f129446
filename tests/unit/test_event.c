#include "bot/event.h"

#include <json-c/json.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <inttypes.h>
#include <string.h>

#include "bot/inflate.h"
#include "engine/base/alloc.h"
#include "engine/base/buf.h"

#include <zlib.h>

/* What was told, a word for each. */
struct world {
    struct events *ev;
    struct buf told;
};

static void tell(void *arg, const struct remote_event *e)
{
    struct world *w = arg;

    switch (e->kind) {
    case REMOTE_EVENT_MESSAGE:
        buf_printf(&w->told, "%s %" PRIu64 "/%" PRIu64 " '%s'; ",
                   e->created ? "new" : "changed", e->channel, e->message.id,
                   e->message.content);
        break;
    case REMOTE_EVENT_DELETED:
        buf_printf(&w->told, "deleted %" PRIu64, e->channel);
        for (size_t i = 0; i < e->n_ids; i++)
            buf_printf(&w->told, "/%" PRIu64, e->ids[i]);
        buf_addstr(&w->told, "; ");
        break;
    case REMOTE_EVENT_CHANNEL:
        buf_printf(&w->told, "%schannel %" PRIu64 "/%" PRIu64 " %s; ",
                   e->created ? "new " : "", e->chan.guild_id, e->chan.id,
                   e->chan.name);
        break;
    case REMOTE_EVENT_CHANNEL_GONE:
        buf_printf(&w->told, "no channel %" PRIu64 "; ", e->chan.id);
        break;
    case REMOTE_EVENT_GUILD:
        buf_printf(&w->told, "guild %" PRIu64 " %s; ", e->guild.id,
                   e->guild.name);
        break;
    case REMOTE_EVENT_GUILD_GONE:
        buf_printf(&w->told, "no guild %" PRIu64 "; ", e->guild.id);
        break;
    case REMOTE_EVENT_GAP:
        buf_addstr(&w->told, "gap; ");
        break;
    case REMOTE_EVENT_CONNECTED:
        buf_addstr(&w->told, "connected; ");
        break;
    case REMOTE_EVENT_DISCONNECTED:
        buf_addstr(&w->told, "disconnected; ");
        break;
    }
}

static int set_up(void **state)
{
    static const uint64_t guilds[] = {1, 2};
    struct world *w = xcalloc(1, sizeof(*w));

    w->ev = events_new(NULL, guilds, 2, tell, w);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    events_free(w->ev);
    buf_release(&w->told);
    free(w);
    return 0;
}

static void take(struct world *w, const char *type, const char *text)
{
    struct json_object *o = json_tokener_parse(text);

    events_take(w->ev, type, o);
    json_object_put(o);
}

static void session(struct world *w, const char *ready, bool gap)
{
    struct json_object *o = json_tokener_parse(ready);

    events_session(w->ev, o, gap);
    json_object_put(o);
}

/* … and nothing else was told since the last time. */
static void told(struct world *w, const char *what)
{
    assert_string_equal(w->told.data ? w->told.data : "", what);
    buf_reset(&w->told);
}

static void session_is_connected_when_its_guilds_have_come(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"},{\"id\":\"2\"},{\"id\":\"3\"}]}",
            false);
    told(w, "");
    assert_int_equal(events_awaited(w->ev), 2);
    take(w, "GUILD_CREATE",
         "{\"id\":\"1\",\"name\":\"a\",\"roles\":[],\"channels\":[{\"id\":"
         "\"10\",\"type\":0,\"name\":\"x\"}],\"threads\":[{\"id\":\"11\","
         "\"type\":11,\"name\":\"y\"}]}");
    told(w, "guild 1 a; channel 1/10 x; channel 1/11 y; ");
    take(w, "GUILD_CREATE", "{\"id\":\"3\",\"name\":\"not ours\"}");
    told(w, "");
    take(w, "GUILD_CREATE", "{\"id\":\"2\",\"name\":\"b\"}");
    told(w, "guild 2 b; connected; ");
}

static void guild_that_does_not_come_holds_up_nothing_for_good(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"},{\"id\":\"2\"}]}", false);
    take(w, "GUILD_DELETE", "{\"id\":\"1\",\"unavailable\":true}");
    told(w, "");
    events_connected(w->ev, true);
    told(w, "connected; ");
    /* What happened during the outage was not told. */
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    told(w, "guild 1 a; gap; ");
}

/* It was not told of; what it brings when it comes may not be all. */
static void guild_that_comes_too_late_says_gap(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"},{\"id\":\"2\"}]}", false);
    take(w, "GUILD_CREATE", "{\"id\":\"2\",\"name\":\"b\"}");
    events_connected(w->ev, true);
    told(w, "guild 2 b; connected; ");
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    told(w, "guild 1 a; gap; ");
    /* Once. */
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    told(w, "guild 1 a; ");
}

/* A guild comes back while the session that lost it is being resumed. */
static void outage_that_ends_in_a_resume_says_gap(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"}]}", false);
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    take(w, "GUILD_DELETE", "{\"id\":\"1\",\"unavailable\":true}");
    events_lost(w->ev);
    told(w, "guild 1 a; connected; disconnected; ");
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    events_resumed(w->ev);
    told(w, "guild 1 a; gap; connected; ");
}

static void new_session_says_gap_before_connected(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"}]}", false);
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    told(w, "guild 1 a; connected; ");
    events_lost(w->ev);
    told(w, "disconnected; ");
    events_resumed(w->ev);
    told(w, "connected; ");
    events_lost(w->ev);
    events_lost(w->ev);
    told(w, "disconnected; ");
    session(w, "{\"guilds\":[{\"id\":\"1\"}]}", true);
    told(w, "");
    /* Lost again before it was connected, and resumed: the gap stays one. */
    events_lost(w->ev);
    events_resumed(w->ev);
    told(w, "");
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    told(w, "guild 1 a; gap; connected; ");
}

static void guild_that_was_left_meanwhile_is_gone(void **state)
{
    struct world *w = *state;

    session(w, "{\"guilds\":[{\"id\":\"1\"},{\"id\":\"2\"}]}", false);
    take(w, "GUILD_CREATE", "{\"id\":\"1\",\"name\":\"a\"}");
    take(w, "GUILD_CREATE", "{\"id\":\"2\",\"name\":\"b\"}");
    buf_reset(&w->told);
    session(w, "{\"guilds\":[{\"id\":\"2\"}]}", true);
    told(w, "no guild 1; ");
    take(w, "GUILD_DELETE", "{\"id\":\"2\"}");
    told(w, "no guild 2; gap; connected; ");
}

static void messages_are_told(void **state)
{
    struct world *w = *state;

    take(w, "MESSAGE_CREATE",
         "{\"id\":\"5\",\"channel_id\":\"10\",\"guild_id\":\"1\",\"content\":"
         "\"hi\"}");
    take(w, "MESSAGE_UPDATE",
         "{\"id\":\"5\",\"channel_id\":\"10\",\"guild_id\":\"1\",\"content\":"
         "\"ho\"}");
    take(w, "MESSAGE_DELETE",
         "{\"id\":\"5\",\"channel_id\":\"10\",\"guild_id\":\"1\"}");
    take(w, "MESSAGE_DELETE_BULK",
         "{\"ids\":[\"6\",\"7\",null,\"x\"],\"channel_id\":\"10\",\"guild_id\":"
         "\"1\"}");
    told(w, "new 10/5 'hi'; changed 10/5 'ho'; deleted 10/5; deleted 10/6/7; ");

    /* Others' servers, and messages of none. */
    take(w, "MESSAGE_CREATE",
         "{\"id\":\"5\",\"channel_id\":\"10\",\"guild_id\":\"9\"}");
    take(w, "MESSAGE_CREATE", "{\"id\":\"5\",\"channel_id\":\"10\"}");
    told(w, "");
}

static void channels_are_told(void **state)
{
    struct world *w = *state;
    const char *c = "{\"id\":\"10\",\"type\":0,\"guild_id\":\"1\",\"name\":"
                    "\"x\",\"newly_created\":true}";

    take(w, "CHANNEL_CREATE", c);
    take(w, "CHANNEL_UPDATE", c);
    take(w, "CHANNEL_DELETE", c);
    take(w, "THREAD_CREATE", c);
    take(w, "THREAD_UPDATE",
         "{\"id\":\"11\",\"type\":11,\"guild_id\":\"1\",\"name\":\"t\"}");
    take(w, "THREAD_DELETE", "{\"id\":\"11\",\"guild_id\":\"1\",\"type\":11}");
    take(w, "THREAD_LIST_SYNC",
         "{\"guild_id\":\"2\",\"threads\":[{\"id\":\"12\",\"type\":11,"
         "\"name\":\"u\"}]}");
    told(w, "new channel 1/10 x; channel 1/10 x; no channel 10; new channel "
            "1/10 x; channel 1/11 t; no channel 11; channel 2/12 u; ");
}

static void hostile_events_do_no_harm(void **state)
{
    static const char *const types[] = {
        "READY",
        "GUILD_CREATE",
        "GUILD_UPDATE",
        "GUILD_DELETE",
        "CHANNEL_CREATE",
        "CHANNEL_DELETE",
        "THREAD_CREATE",
        "THREAD_LIST_SYNC",
        "MESSAGE_CREATE",
        "MESSAGE_DELETE",
        "MESSAGE_DELETE_BULK",
        "GUILD_ROLE_UPDATE",
        "?",
        "",
    };
    static const char *const data[] = {
        "null",
        "[]",
        "7",
        "{}",
        "{\"id\":\"1\",\"guild_id\":\"1\"}",
        ("{\"id\":\"1\",\"guild_id\":\"1\",\"name\":7,\"channels\":{},"
         "\"threads\":[null,7,{}],\"ids\":{},\"guilds\":[7],\"role\":[]}"),
        "{\"guild_id\":\"1\",\"ids\":[[],{}],\"channel_id\":{}}",
    };
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        for (size_t j = 0; j < sizeof(data) / sizeof(data[0]); j++)
            take(w, types[i], data[j]);
    session(w, "{\"guilds\":{}}", false);
    session(w, "[]", false);
}

/* --- the compressed stream beneath --- */

struct packed {
    z_stream z;
    struct buf out;
};

/* The next message of a zlib-stream. */
static void pack(struct packed *p, const char *text, size_t len)
{
    buf_reset(&p->out);
    buf_reserve(&p->out, len + 1000);
    p->z.next_in = (unsigned char *)(uintptr_t)text;
    p->z.avail_in = (uInt)len;
    p->z.next_out = (unsigned char *)p->out.data;
    p->z.avail_out = (uInt)(len + 1000);
    assert_int_equal(deflate(&p->z, Z_SYNC_FLUSH), Z_OK);
    p->out.len = len + 1000 - p->z.avail_out;
}

static void stream_is_unpacked_message_by_message(void **state)
{
    struct packed p = {0};
    struct inflater *inf = inflater_new();
    AUTO_BUF struct buf out = BUF_INIT, big = BUF_INIT;

    (void)state;
    deflateInit(&p.z, 9);
    for (int i = 0; i < 300000; i++)
        buf_printf(&big, "%d ", i);
    for (int round = 0; round < 3; round++) {
        pack(&p, "{\"op\":11}", 9);
        assert_int_equal(inflater_feed(inf, p.out.data, p.out.len, &out, NULL),
                         1);
        assert_string_equal(out.data, "{\"op\":11}");
        /* In pieces, and larger than any buffer. */
        pack(&p, big.data, big.len);
        for (size_t i = 0; i < p.out.len; i += 50000) {
            size_t n = p.out.len - i < 50000 ? p.out.len - i : 50000;
            int r = inflater_feed(inf, p.out.data + i, n, &out, NULL);
            assert_int_equal(r, i + n == p.out.len);
        }
        assert_true(buf_equals(&out, big.data, big.len));
    }
    inflater_free(inf);
    deflateEnd(&p.z);
    buf_release(&p.out);
}

static void damaged_stream_is_an_error(void **state)
{
    struct inflater *inf = inflater_new();
    AUTO_BUF struct buf out = BUF_INIT;
    struct err err = ERR_INIT;

    (void)state;
    assert_true(inflater_feed(inf, "\x01garbage\0\0\xff\xff", 12, &out, &err) <
                0);
    assert_true(strlen(err.text) > 0);
    inflater_free(inf);
}

static void bomb_is_an_error(void **state)
{
    struct packed p = {0};
    struct inflater *inf = inflater_new();
    AUTO_BUF struct buf out = BUF_INIT, zeros = BUF_INIT;

    (void)state;
    deflateInit(&p.z, 9);
    buf_reserve(&zeros, 100 << 20);
    memset(zeros.data, ' ', 100 << 20);
    pack(&p, zeros.data, 100 << 20);
    assert_true(p.out.len < 1 << 20);
    assert_true(inflater_feed(inf, p.out.data, p.out.len, &out, NULL) < 0);
    inflater_free(inf);
    deflateEnd(&p.z);
    buf_release(&p.out);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(session_is_connected_when_its_guilds_have_come),
        CASE(guild_that_does_not_come_holds_up_nothing_for_good),
        CASE(guild_that_comes_too_late_says_gap),
        CASE(outage_that_ends_in_a_resume_says_gap),
        CASE(new_session_says_gap_before_connected),
        CASE(guild_that_was_left_meanwhile_is_gone),
        CASE(messages_are_told),
        CASE(channels_are_told),
        CASE(hostile_events_do_no_harm),
        cmocka_unit_test(stream_is_unpacked_message_by_message),
        cmocka_unit_test(damaged_stream_is_an_error),
        cmocka_unit_test(bomb_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
