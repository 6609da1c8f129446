/* One thread runs conn.c's loop and steps gateway.c's machine; what they say
 * goes to events.c and from there to the engine. The one thing that is asked
 * of others is the gateway's address: the REST thread answers into a struct
 * question and wakes the loop. */
#include "bot/bot.h"

#include <assert.h>
#include <errno.h>
#include <json-c/json.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "bot/conn.h"
#include "bot/event.h"
#include "bot/gateway.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"

/* Guilds that a session announced and that do not come are not awaited for
 * longer: an outage of Discord's can last hours. */
#define GUILDS_TIMEOUT_MS 20000

/* GET /gateway/bot on its way. Held by the bot and by the REST thread; who
 * lets go last frees it, so that neither waits for the other. */
struct question {
    pthread_mutex_t lock; /* above conn's and the REST client's own */
    int holders;          /* under lock, as all below */
    struct conn *conn;    /* to wake; NULL once the bot has let go */
    bool answered;
    int result;
    struct buf body;
    struct err err;
};

struct bot {
    /* Set before the thread starts. */
    struct discord *d;
    void (*event)(void *arg, const struct remote_event *event);
    void (*interaction)(void *arg, struct json_object *data);
    void *arg;
    struct conn *conn;
    pthread_t thread;

    /* The thread's alone. */
    struct events *events;
    struct question *question; /* under way, or NULL */
    bool had_session;
    int64_t wake;          /* the machine's */
    int64_t guilds_wanted; /* until when the session's guilds are awaited */
    bool said_fatal, said_content;

    pthread_mutex_t lock; /* leaf: nothing else is taken under it */
    struct gateway *gw;   /* under lock */
    bool connected;       /* under lock: CONNECTED was said */
    bool stopping;        /* under lock */
};

static void question_let_go(struct question *q)
{
    pthread_mutex_lock(&q->lock);
    q->conn = NULL;
    bool last = --q->holders == 0;
    pthread_mutex_unlock(&q->lock);
    if (!last)
        return;
    pthread_mutex_destroy(&q->lock);
    buf_release(&q->body);
    free(q);
}

/* On the REST thread. */
static void answer_came(void *arg, int r, struct remote_reply *reply,
                        const struct err *err)
{
    struct question *q = arg;

    pthread_mutex_lock(&q->lock);
    q->answered = true;
    q->result = r;
    q->body = buf_take(&reply->body);
    q->err = *err;
    /* Under the lock: the bot lets go of it before it frees its conn. */
    if (q->conn)
        conn_wake(q->conn);
    bool last = --q->holders == 0;
    pthread_mutex_unlock(&q->lock);
    if (last) {
        pthread_mutex_destroy(&q->lock);
        buf_release(&q->body);
        free(q);
    }
}

static void ask(struct bot *bot)
{
    struct question *q = xcalloc(1, sizeof(*q));

    assert(!bot->question);
    pthread_mutex_init(&q->lock, NULL);
    q->holders = 2;
    q->conn = bot->conn;
    bot->question = q;
    discord_submit(bot->d, "GET", "/gateway/bot", NULL, REMOTE_NORMAL,
                   answer_came, q);
}

static void tell(void *arg, const struct remote_event *event)
{
    struct bot *bot = arg;

    if (event->kind == REMOTE_EVENT_CONNECTED ||
        event->kind == REMOTE_EVENT_DISCONNECTED) {
        bool connected = event->kind == REMOTE_EVENT_CONNECTED;
        log_info("gateway: %s", connected ? "connected" : "disconnected");
        pthread_mutex_lock(&bot->lock);
        bot->connected = connected;
        pthread_mutex_unlock(&bot->lock);
    }
    if (bot->event)
        bot->event(bot->arg, event);
}

static void set_timer(struct bot *bot)
{
    int64_t at = bot->wake;

    if (bot->guilds_wanted < at)
        at = bot->guilds_wanted;
    conn_timer(bot->conn, at);
}

/* What the machine cannot mend, once, for people. */
static void complain(struct bot *bot)
{
    struct err why = ERR_INIT;

    if (!bot->said_fatal && bot_is_fatal(bot, &why)) {
        bot->said_fatal = true;
        log_error("gateway: %s", why.text);
    }
    if (!bot->said_content && bot_lacks_content(bot)) {
        bot->said_content = true;
        log_warn("gateway: the message content intent is switched off in the "
                 "developer portal; search is not used");
    }
}

static void take_news(struct bot *bot, const struct gateway_todo *todo,
                      int64_t now)
{
    switch (todo->news) {
    case GATEWAY_NOTHING_NEW:
        break;
    case GATEWAY_READY:
        bot->guilds_wanted = now + GUILDS_TIMEOUT_MS;
        events_session(bot->events, todo->dispatch, bot->had_session);
        bot->had_session = true;
        break;
    case GATEWAY_RESUMED:
        bot->guilds_wanted = now + GUILDS_TIMEOUT_MS;
        events_resumed(bot->events);
        break;
    case GATEWAY_LOST:
        bot->guilds_wanted = INT64_MAX;
        events_lost(bot->events);
        break;
    }
    if (todo->dispatch && todo->news == GATEWAY_NOTHING_NEW) {
        if (bot->interaction && strcmp(todo->type, "INTERACTION_CREATE") == 0)
            bot->interaction(bot->arg, todo->dispatch);
        else
            events_take(bot->events, todo->type, todo->dispatch);
    }
    if (events_awaited(bot->events) == 0)
        bot->guilds_wanted = INT64_MAX;
}

static void step(struct bot *bot, const struct gateway_event *ev)
{
    struct gateway_todo todo;
    struct err err = ERR_INIT;
    char url[512] = "";
    int64_t now = clock_mono_ms();

    pthread_mutex_lock(&bot->lock);
    gateway_step(bot->gw, ev, now, &todo);
    if (todo.connect)
        strncpy(url, gateway_url(bot->gw), sizeof(url) - 1);
    pthread_mutex_unlock(&bot->lock);

    bot->wake = todo.wake;
    take_news(bot, &todo, now);
    json_object_put(todo.dispatch);
    if (todo.send.len > 0) {
        conn_send(bot->conn, todo.send.data, todo.send.len);
        explicit_bzero(todo.send.data, todo.send.len);
    }
    buf_release(&todo.send);
    if (todo.close)
        conn_close(bot->conn, todo.close);
    if (todo.ask)
        ask(bot);
    complain(bot);
    set_timer(bot);
    if (todo.connect && conn_open(bot->conn, url, &err) < 0)
        step(bot, &(struct gateway_event){
                      .kind = GATEWAY_CLOSED,
                      .text = err.text,
                  });
}

static void on_opened(void *arg)
{
    step(arg, &(struct gateway_event){.kind = GATEWAY_OPENED});
}

static void on_message(void *arg, const char *text, size_t len)
{
    step(arg, &(struct gateway_event){
                  .kind = GATEWAY_FRAME, .text = text, .len = len});
}

static void on_closed(void *arg, int code, const char *why)
{
    step(arg, &(struct gateway_event){
                  .kind = GATEWAY_CLOSED, .code = code, .text = why});
}

static void on_timer(void *arg)
{
    struct bot *bot = arg;

    if (clock_mono_ms() >= bot->guilds_wanted) {
        bot->guilds_wanted = INT64_MAX;
        log_warn("gateway: %zu servers do not come; going on without",
                 events_awaited(bot->events));
        events_connected(bot->events, true);
    }
    step(bot, &(struct gateway_event){.kind = GATEWAY_TIME});
}

static void take_answer(struct bot *bot)
{
    struct question *q = bot->question;
    struct discord_gateway address;
    struct err err = ERR_INIT;

    pthread_mutex_lock(&q->lock);
    bool answered = q->answered;
    int r = q->result;
    if (answered && r == 0)
        r = discord_parse_gateway(&q->body, &address, &err);
    else
        err = q->err;
    pthread_mutex_unlock(&q->lock);
    if (!answered)
        return;

    bot->question = NULL;
    question_let_go(q);
    if (r == 0)
        step(bot, &(struct gateway_event){.kind = GATEWAY_ADDRESS,
                                          .address = &address});
    else
        step(bot, &(struct gateway_event){.kind = GATEWAY_NO_ADDRESS,
                                          .code = r,
                                          .text = err_text(&err, r)});
}

static void on_woken(void *arg)
{
    struct bot *bot = arg;

    pthread_mutex_lock(&bot->lock);
    bool stopping = bot->stopping;
    pthread_mutex_unlock(&bot->lock);
    if (stopping)
        conn_stop(bot->conn);
    else if (bot->question)
        take_answer(bot);
}

static const struct conn_ops ops = {
    .opened = on_opened,
    .message = on_message,
    .closed = on_closed,
    .timer = on_timer,
    .woken = on_woken,
};

static void *bot_thread(void *arg)
{
    struct bot *bot = arg;

    step(bot, &(struct gateway_event){.kind = GATEWAY_TIME});
    conn_run(bot->conn);
    events_lost(bot->events);
    return NULL;
}

static void bot_free(struct bot *bot)
{
    if (bot->question)
        question_let_go(bot->question);
    conn_free(bot->conn);
    events_free(bot->events);
    gateway_free(bot->gw);
    pthread_mutex_destroy(&bot->lock);
    free(bot);
}

int bot_start(struct discord *d, const struct bot_options *o, struct bot **out,
              struct err *err)
{
    struct bot *bot = xcalloc(1, sizeof(*bot));
    unsigned intents = o->intents ? o->intents
                                  : GATEWAY_GUILDS | GATEWAY_GUILD_MESSAGES |
                                        GATEWAY_MESSAGE_CONTENT;
    uint64_t seed = 0;

    if (getrandom(&seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
        seed = (uint64_t)clock_wall_ms();
    bot->d = d;
    bot->event = o->event;
    bot->interaction = o->interaction;
    bot->arg = o->arg;
    bot->wake = bot->guilds_wanted = INT64_MAX;
    pthread_mutex_init(&bot->lock, NULL);
    bot->gw = gateway_new(discord_token(d), intents, seed);
    bot->events = events_new(d, o->guilds, o->n_guilds, tell, bot);

    int r = conn_new(&ops, bot, &bot->conn, err);
    if (r == 0) {
        r = -pthread_create(&bot->thread, NULL, bot_thread, bot);
        if (r < 0)
            err_set(err, r, "no thread can be started: %s", strerror(-r));
    }
    if (r < 0) {
        bot_free(bot);
        return err_wrap(err, r, "gateway");
    }
    *out = bot;
    return 0;
}

void bot_stop(struct bot *bot)
{
    if (!bot)
        return;
    pthread_mutex_lock(&bot->lock);
    bot->stopping = true;
    pthread_mutex_unlock(&bot->lock);
    conn_wake(bot->conn);
    pthread_join(bot->thread, NULL);
    bot_free(bot);
}

bool bot_is_connected(struct bot *bot)
{
    pthread_mutex_lock(&bot->lock);
    bool connected = bot->connected;
    pthread_mutex_unlock(&bot->lock);
    return connected;
}

bool bot_is_fatal(struct bot *bot, struct err *why)
{
    pthread_mutex_lock(&bot->lock);
    const char *reason = gateway_fatal(bot->gw);
    if (reason)
        err_set(why, -EIO, "%s", reason);
    pthread_mutex_unlock(&bot->lock);
    return reason != NULL;
}

bool bot_lacks_content(struct bot *bot)
{
    pthread_mutex_lock(&bot->lock);
    bool lacks = gateway_lacks_content(bot->gw);
    pthread_mutex_unlock(&bot->lock);
    return lacks;
}

void bot_status(struct bot *bot, struct buf *out)
{
    pthread_mutex_lock(&bot->lock);
    gateway_status(bot->gw, clock_mono_ms(), out);
    pthread_mutex_unlock(&bot->lock);
}
