/* A conversation with a gateway that says anything: each line of the input is
 * a frame, or with a digit first a close code, a step of time or an address.
 * Whatever comes, the machine knows what it waits for, sends nothing too long,
 * and tells no lie about being connected. */
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "bot/event.h"
#include "bot/gateway.h"
#include "bot/inflate.h"
#include "engine/base/str.h"
#include "tests/fuzz/fuzz.h"

struct talk {
    struct gateway *gw;
    struct events *ev;
    bool asked, connected, had_session;
    int64_t now, wake;
};

static void tell(void *arg, const struct remote_event *e)
{
    struct talk *t = arg;

    if (e->kind == REMOTE_EVENT_CONNECTED) {
        REQUIRE(!t->connected);
        t->connected = true;
    } else if (e->kind == REMOTE_EVENT_DISCONNECTED) {
        REQUIRE(t->connected);
        t->connected = false;
    } else if (e->kind == REMOTE_EVENT_MESSAGE) {
        REQUIRE(e->message.id && e->message.content);
    } else if (e->kind == REMOTE_EVENT_DELETED) {
        REQUIRE(e->channel && e->n_ids > 0);
    }
}

static void step(struct talk *t, struct gateway_event ev)
{
    struct gateway_todo todo;

    gateway_step(t->gw, &ev, t->now, &todo);
    REQUIRE(todo.send.len <= 4096);
    REQUIRE(!todo.close || (todo.close >= 4000 && todo.close < 5000));
    REQUIRE(!(todo.connect && todo.close));
    switch (todo.news) {
    case GATEWAY_READY:
        events_session(t->ev, todo.dispatch, t->had_session);
        t->had_session = true;
        break;
    case GATEWAY_RESUMED:
        events_resumed(t->ev);
        break;
    case GATEWAY_LOST:
        events_lost(t->ev);
        break;
    case GATEWAY_NOTHING_NEW:
        if (todo.dispatch)
            events_take(t->ev, todo.type, todo.dispatch);
    }
    json_object_put(todo.dispatch);
    buf_release(&todo.send);
    t->asked = t->asked || todo.ask;
    t->wake = todo.wake;
    REQUIRE(t->wake != INT64_MAX || t->asked || gateway_fatal(t->gw));
    if (todo.connect)
        step(t, (struct gateway_event){.kind = GATEWAY_OPENED});
}

static void answer(struct talk *t, int left)
{
    struct discord_gateway a = {
        .url = "wss://gateway.example",
        .identifies_left = left,
        .identifies_reset_ms = 1000,
    };

    if (!t->asked)
        return;
    t->asked = false;
    if (left == 0)
        step(t, (struct gateway_event){
                    .kind = GATEWAY_NO_ADDRESS, .code = -EIO, .text = "none"});
    else
        step(t, (struct gateway_event){.kind = GATEWAY_ADDRESS, .address = &a});
}

static void take_line(struct talk *t, const char *line, size_t len)
{
    uint64_t n;

    if (!str_to_u64_n(line, len, &n)) {
        step(t, (struct gateway_event){
                    .kind = GATEWAY_FRAME, .text = line, .len = len});
        return;
    }
    if (n < 1000) {
        answer(t, (int)n);
    } else if (n >= 4000 && n < 5000) {
        step(t, (struct gateway_event){
                    .kind = GATEWAY_CLOSED, .code = (int)n, .text = ""});
    } else if (t->wake != INT64_MAX) {
        if (t->wake > t->now)
            t->now = t->wake;
        step(t, (struct gateway_event){.kind = GATEWAY_TIME});
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct talk t = {
        .gw = gateway_new("a-token-for-tests", 33281, 5),
        .now = 1,
    };
    AUTO_BUF struct buf status = BUF_INIT, out = BUF_INIT;
    const char *text = (const char *)data;

    t.ev = events_new(NULL, NULL, 0, tell, &t);
    step(&t, (struct gateway_event){.kind = GATEWAY_TIME});
    while (size > 0) {
        const char *end = memchr(text, '\n', size);
        size_t len = end ? (size_t)(end - text) : size;
        take_line(&t, text, len);
        len += end ? 1 : 0;
        text += len;
        size -= len;
    }
    gateway_status(t.gw, t.now, &status);
    struct json_object *o = json_tokener_parse(status.data);
    REQUIRE(o && !strstr(status.data, "a-token-for-tests"));
    json_object_put(o);
    events_free(t.ev);
    gateway_free(t.gw);

    struct inflater *inf = inflater_new();
    inflater_feed(inf, data, (size_t)(text - (const char *)data), &out, NULL);
    inflater_free(inf);
    return 0;
}
