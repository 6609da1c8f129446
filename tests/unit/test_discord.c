/* The REST client and the bot against the emulator: what they do is what
 * Discord's rules allow, and they come through the trouble it makes. */
#include "engine/discord/discord.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "bot/bot.h"
#include "emulated.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"

struct world {
    struct emulated e;
    struct discord *d;
    struct remote *r;
    uint64_t category, channel;
};

static int run(struct world *w, struct remote_request q,
               struct remote_reply *reply)
{
    struct err err = ERR_INIT;

    *reply = (struct remote_reply){0};
    int r = remote_run(w->r, &q, reply, &err);
    assert_true(r == 0 || strlen(err.text) > 0);
    return r;
}

static int run_only(struct world *w, struct remote_request q)
{
    struct remote_reply reply;
    int r = run(w, q, &reply);

    remote_reply_release(&reply);
    return r;
}

/* What the request brings as its only channel or message: the id. */
static uint64_t id_of(struct world *w, struct remote_request q)
{
    struct remote_reply reply;

    assert_int_equal(run(w, q, &reply), 0);
    uint64_t id =
        reply.n_channels ? reply.channels[0].id : reply.messages[0].id;
    remote_reply_release(&reply);
    return id;
}

static struct remote_request post(struct world *w, const char *text)
{
    struct remote_request q = {.op = REMOTE_POST, .channel = w->channel};

    buf_addstr(&q.draft.content, text);
    return q;
}

static int set_up_with(void **state, const char *limits)
{
    struct world *w = xcalloc(1, sizeof(*w));
    struct err err = ERR_INIT;

    emulated_start(&w->e, limits);
    if (discord_open(
            &(struct discord_options){.api_url = w->e.api, .token = w->e.token},
            &w->d, &err) < 0)
        fail_msg("%s", err.text);
    w->r = discord_remote(w->d);
    w->category = id_of(w, (struct remote_request){
                               .op = REMOTE_CHANNEL_CREATE,
                               .guild = w->e.guild,
                               .kind = REMOTE_CHANNEL_CATEGORY,
                               .name = "dbcord-prod",
                           });
    w->channel = id_of(w, (struct remote_request){
                              .op = REMOTE_CHANNEL_CREATE,
                              .guild = w->e.guild,
                              .parent = w->category,
                              .kind = REMOTE_CHANNEL_TEXT,
                              .name = "table-people",
                              .topic = "people",
                          });
    *state = w;
    return 0;
}

static int set_up(void **state)
{
    return set_up_with(state, "real");
}

static int tear_down(void **state)
{
    struct world *w = *state;

    remote_close(w->r);
    emulated_stop(&w->e);
    free(w);
    return 0;
}

static void bot_and_guild_are_known(void **state)
{
    struct world *w = *state;
    struct remote_reply r;

    assert_int_equal(run(w, (struct remote_request){.op = REMOTE_ME}, &r), 0);
    assert_true(r.user_id != 0 && strlen(r.user_name) > 0);
    remote_reply_release(&r);
    assert_int_equal(
        run(w, (struct remote_request){.op = REMOTE_GUILD, .guild = w->e.guild},
            &r),
        0);
    assert_true(strlen(r.guild.name) > 0);
    assert_true(r.guild.permissions != 0);
    assert_int_equal(r.guild.max_file, 10 << 20);
    remote_reply_release(&r);

    assert_int_equal(
        run(w,
            (struct remote_request){.op = REMOTE_CHANNELS, .guild = w->e.guild},
            &r),
        0);
    bool found = false;
    for (size_t i = 0; i < r.n_channels; i++) {
        if (r.channels[i].id != w->channel)
            continue;
        found = true;
        assert_string_equal(r.channels[i].name, "table-people");
        assert_int_equal(r.channels[i].parent_id, w->category);
        assert_int_equal(r.channels[i].kind, REMOTE_CHANNEL_TEXT);
        assert_true(r.channels[i].writable && r.channels[i].viewable);
    }
    assert_true(found);
    remote_reply_release(&r);
    assert_int_equal(
        run_only(w, (struct remote_request){.op = REMOTE_GUILD, .guild = 5}),
        -ENOENT);
}

static void message_lives(void **state)
{
    struct world *w = *state;
    struct remote_reply r;
    struct remote_request q = post(w, "{\"id\": \"ada\"} @everyone");

    uint64_t id = id_of(w, q);
    q = (struct remote_request){
        .op = REMOTE_EDIT, .channel = w->channel, .message = id};
    buf_addstr(&q.draft.content, "{\"id\": \"ada\", \"born\": 1815}");
    assert_int_equal(run(w, q, &r), 0);
    assert_int_not_equal(r.messages[0].edited_ms, 0);
    remote_reply_release(&r);

    q = (struct remote_request){
        .op = REMOTE_GET, .channel = w->channel, .message = id};
    assert_int_equal(run(w, q, &r), 0);
    assert_string_equal(r.messages[0].content,
                        "{\"id\": \"ada\", \"born\": 1815}");
    remote_reply_release(&r);
    q.op = REMOTE_DELETE;
    assert_int_equal(run_only(w, q), 0);
    q.op = REMOTE_GET;
    assert_int_equal(run_only(w, q), -ENOENT);
    q.op = REMOTE_DELETE;
    assert_int_equal(run_only(w, q), -ENOENT);
}

static void pages_are_oldest_first_from_either_end(void **state)
{
    struct world *w = *state;
    struct remote_request q = {
        .op = REMOTE_LIST, .channel = w->channel, .limit = 2};
    struct remote_reply r;
    uint64_t ids[4];
    char text[16];

    for (int i = 0; i < 4; i++) {
        snprintf(text, sizeof(text), "row %d", i);
        ids[i] = id_of(w, post(w, text));
    }
    assert_int_equal(run(w, q, &r), 0);
    assert_int_equal(r.n_messages, 2);
    assert_true(r.messages[0].id == ids[2] && r.messages[1].id == ids[3]);
    remote_reply_release(&r);
    q.before = ids[2];
    assert_int_equal(run(w, q, &r), 0);
    assert_true(r.messages[0].id == ids[0] && r.messages[1].id == ids[1]);
    remote_reply_release(&r);
    q.before = 0;
    q.after = ids[0];
    assert_int_equal(run(w, q, &r), 0);
    assert_true(r.messages[0].id == ids[1] && r.messages[1].id == ids[2]);
    remote_reply_release(&r);

    assert_int_equal(run_only(w,
                              (struct remote_request){
                                  .op = REMOTE_DELETE_MANY,
                                  .channel = w->channel,
                                  .ids = ids,
                                  .n_ids = 4,
                              }),
                     0);
    q.after = 0;
    assert_int_equal(run(w, q, &r), 0);
    assert_int_equal(r.n_messages, 0);
    remote_reply_release(&r);
}

static void thread_is_started_once(void **state)
{
    struct world *w = *state;
    uint64_t card = id_of(w, post(w, "card"));
    struct remote_request q = {
        .op = REMOTE_THREAD_START,
        .channel = w->channel,
        .message = card,
        .name = "history",
    };
    struct remote_reply r;

    assert_true(id_of(w, q) == card);
    assert_true(id_of(w, q) == card); /* it is there, and that is what counts */
    struct remote_request in_thread = post(w, "version 2");
    in_thread.channel = card;
    uint64_t id = id_of(w, in_thread);
    assert_int_equal(run(w,
                         (struct remote_request){
                             .op = REMOTE_LIST, .channel = card, .limit = 100},
                         &r),
                     0);
    assert_true(r.messages[r.n_messages - 1].id == id);
    remote_reply_release(&r);
    assert_int_equal(run(w,
                         (struct remote_request){.op = REMOTE_GET,
                                                 .channel = w->channel,
                                                 .message = card},
                         &r),
                     0);
    assert_true(r.messages[0].thread_id == card);
    remote_reply_release(&r);

    /* Asleep it takes no edit; the client wakes it. */
    char path[64];
    long status;
    snprintf(path, sizeof(path), "/channels/%" PRIu64, card);
    assert_int_equal(discord_request(w->d, "PATCH", path, "{\"archived\":true}",
                                     REMOTE_NORMAL, &status, NULL, NULL),
                     0);
    q = (struct remote_request){
        .op = REMOTE_EDIT, .channel = card, .message = id};
    buf_addstr(&q.draft.content, "version 2, mended");
    assert_int_equal(run_only(w, q), 0);
}

static void file_comes_back_as_it_went(void **state)
{
    struct world *w = *state;
    size_t len = 3 << 20;
    char *data = xmalloc(len);
    struct remote_request q = post(w, "batch");
    struct remote_reply r;

    for (size_t i = 0; i < len; i++)
        data[i] = (char)(i * 2654435761u >> 13);
    q.draft.files[0] = (struct remote_upload){
        .name = "batch.bin",
        .type = "application/octet-stream",
        .data = data,
        .len = len,
    };
    q.draft.n_files = 1;
    assert_int_equal(run(w, q, &r), 0);
    assert_int_equal(r.messages[0].n_files, 1);
    assert_int_equal(r.messages[0].files[0].size, len);
    struct remote_request get = {
        .op = REMOTE_DOWNLOAD,
        .channel = w->channel,
        .message = r.messages[0].id,
        .file = r.messages[0].files[0].id,
    };
    remote_reply_release(&r);

    assert_int_equal(run(w, get, &r), 0);
    assert_true(buf_equals(&r.body, data, len));
    remote_reply_release(&r);
    assert_int_equal(
        emulated_count(&w->e, "GET", "/channels/{id}/messages/{id}", 0), 0);

    /* A day later the link is dead; the message has a new one. */
    AUTO_BUF struct buf out = BUF_INIT;
    emulated_tell(&w->e, "POST", "/emulator/clock",
                  "{\"advance_ms\":200000000}", &out);
    assert_int_equal(run(w, get, &r), 0);
    assert_true(buf_equals(&r.body, data, len));
    remote_reply_release(&r);
    assert_int_equal(
        emulated_count(&w->e, "GET", "/channels/{id}/messages/{id}", 0), 1);

    /* An edit keeps what it lists. */
    q = (struct remote_request){
        .op = REMOTE_EDIT, .channel = w->channel, .message = get.message};
    buf_addstr(&q.draft.content, "batch, kept");
    q.draft.keep[0] = get.file;
    q.draft.n_keep = 1;
    assert_int_equal(run(w, q, &r), 0);
    assert_int_equal(r.messages[0].n_files, 1);
    remote_reply_release(&r);
    q = (struct remote_request){
        .op = REMOTE_EDIT, .channel = w->channel, .message = get.message};
    buf_addstr(&q.draft.content, "batch, gone");
    assert_int_equal(run(w, q, &r), 0);
    assert_int_equal(r.messages[0].n_files, 0);
    remote_reply_release(&r);
    assert_int_equal(run_only(w, get), -ENOENT);
    free(data);
}

static void fault(struct world *w, const char *json)
{
    AUTO_BUF struct buf out = BUF_INIT;

    emulated_tell(&w->e, "POST", "/emulator/faults", json, &out);
}

static void lost_answers_make_no_second_message(void **state)
{
    struct world *w = *state;
    struct remote_reply r;

    fault(w, "{\"method\":\"POST\",\"route\":\"/channels/{id}/messages\","
             "\"times\":2,\"do\":\"drop-after\"}");
    assert_int_equal(run_only(w, post(w, "once")), 0);
    fault(w, "{\"method\":\"POST\",\"route\":\"/channels/{id}/messages\","
             "\"times\":1,\"do\":\"truncate\"}");
    assert_int_equal(run_only(w, post(w, "twice")), 0);
    fault(w, "{\"method\":\"POST\",\"route\":\"/channels/{id}/messages\","
             "\"times\":1,\"do\":\"status 503\"}");
    assert_int_equal(run_only(w, post(w, "thrice")), 0);
    assert_int_equal(run(w,
                         (struct remote_request){.op = REMOTE_LIST,
                                                 .channel = w->channel,
                                                 .limit = 100},
                         &r),
                     0);
    assert_int_equal(r.n_messages, 3);
    remote_reply_release(&r);
}

static void lost_channel_creation_is_told(void **state)
{
    struct world *w = *state;
    struct remote_request q = {
        .op = REMOTE_CHANNEL_CREATE,
        .guild = w->e.guild,
        .kind = REMOTE_CHANNEL_TEXT,
        .name = "idx-people-name",
    };
    struct remote_reply r;
    int made = 0;

    fault(w, "{\"method\":\"POST\",\"route\":\"/guilds/{id}/channels\","
             "\"times\":1,\"do\":\"drop-after\"}");
    assert_int_equal(run_only(w, q), -EIO);
    assert_int_equal(
        run(w,
            (struct remote_request){.op = REMOTE_CHANNELS, .guild = w->e.guild},
            &r),
        0);
    for (size_t i = 0; i < r.n_channels; i++)
        made += strcmp(r.channels[i].name, "idx-people-name") == 0;
    assert_int_equal(made, 1);
    remote_reply_release(&r);
}

static void refusal_is_waited_out(void **state)
{
    struct world *w = *state;

    fault(w, "{\"method\":\"POST\",\"route\":\"/channels/{id}/messages\","
             "\"times\":1,\"do\":\"429 0.4\"}");
    int64_t before = clock_mono_ms();
    assert_int_equal(run_only(w, post(w, "x")), 0);
    assert_true(clock_mono_ms() - before >= 400);
}

struct batch {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int over, failed;
};

static void one_over(void *arg, int r, struct remote_reply *reply,
                     const struct err *err)
{
    struct batch *b = arg;

    (void)reply;
    pthread_mutex_lock(&b->lock);
    b->over++;
    if (r < 0) {
        b->failed++;
        print_message("(%s)\n", err->text);
    }
    pthread_cond_signal(&b->changed);
    pthread_mutex_unlock(&b->lock);
}

/* More than any bucket takes, at once and on several routes: all of it comes
 * through, and nothing that was known to be refused was sent. */
static void burst_meets_no_limit(void **state)
{
    struct world *w = *state;
    struct batch b = {.lock = PTHREAD_MUTEX_INITIALIZER,
                      .changed = PTHREAD_COND_INITIALIZER};
    enum { POSTS = 14, EDITS = 8 };
    uint64_t id = id_of(w, post(w, "first"));

    for (int i = 0; i < POSTS; i++) {
        struct remote_request q = post(w, "row");
        q.priority = i % 2 ? REMOTE_BACKGROUND : REMOTE_INTERACTIVE;
        remote_submit(w->r, &q, one_over, &b);
    }
    for (int i = 0; i < EDITS; i++) {
        struct remote_request q = post(w, "edited");
        q.op = REMOTE_EDIT;
        q.message = id;
        q.priority = REMOTE_BACKGROUND;
        remote_submit(w->r, &q, one_over, &b);
    }
    pthread_mutex_lock(&b.lock);
    while (b.over < POSTS + EDITS)
        pthread_cond_wait(&b.changed, &b.lock);
    pthread_mutex_unlock(&b.lock);
    assert_int_equal(b.failed, 0);
    assert_int_equal(
        emulated_count(&w->e, "POST", "/channels/{id}/messages", 200),
        POSTS + 1);
    assert_int_equal(emulated_count(&w->e, "", "", 429), 0);
}

static void search_finds(void **state)
{
    struct world *w = *state;
    struct remote_search s = {
        .content = "k9a7b3",
        .channels = &w->channel,
        .n_channels = 1,
        .limit = 25,
    };
    struct remote_request q = {
        .op = REMOTE_SEARCH, .guild = w->e.guild, .search = &s};
    struct remote_reply r;
    AUTO_BUF struct buf out = BUF_INIT;

    uint64_t id = id_of(w, post(w, "row k9a7b3"));
    assert_int_equal(run_only(w, post(w, "row other")), 0);
    for (int i = 0; i < 20; i++) {
        emulated_tell(&w->e, "POST", "/emulator/clock",
                      "{\"advance_ms\":10000}", &out);
        assert_int_equal(run(w, q, &r), 0);
        bool found = !r.index_not_ready && r.n_messages > 0;
        if (found) {
            assert_int_equal(r.n_messages, 1);
            assert_true(r.messages[0].id == id);
            assert_int_equal(r.total, 1);
        }
        remote_reply_release(&r);
        if (found)
            return;
    }
    fail_msg("never found");
}

/* --- the bot --- */

struct listener {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int messages, deleted, channels, gaps, connected, disconnected;
};

static void hear(void *arg, const struct remote_event *e)
{
    struct listener *l = arg;

    pthread_mutex_lock(&l->lock);
    l->messages += e->kind == REMOTE_EVENT_MESSAGE;
    l->deleted += e->kind == REMOTE_EVENT_DELETED;
    l->channels += e->kind == REMOTE_EVENT_CHANNEL && e->created;
    l->gaps += e->kind == REMOTE_EVENT_GAP;
    l->connected += e->kind == REMOTE_EVENT_CONNECTED;
    l->disconnected += e->kind == REMOTE_EVENT_DISCONNECTED;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

/* Until *count has reached n, or for twenty seconds. */
static void await(struct listener *l, const int *count, int n)
{
    struct timespec end;
    int r = 0;

    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += 20;
    pthread_mutex_lock(&l->lock);
    while (*count < n && r == 0)
        r = pthread_cond_timedwait(&l->changed, &l->lock, &end);
    int there = *count;
    pthread_mutex_unlock(&l->lock);
    assert_int_equal(there, n);
}

static struct bot *listen_to(struct world *w, struct listener *l)
{
    struct bot_options o = {
        .guilds = &w->e.guild, .n_guilds = 1, .event = hear, .arg = l};
    struct bot *bot = NULL;
    struct err err = ERR_INIT;

    if (bot_start(w->d, &o, &bot, &err) < 0)
        fail_msg("%s", err.text);
    await(l, &l->connected, 1);
    return bot;
}

static void gateway_does(struct world *w, const char *what)
{
    AUTO_BUF struct buf out = BUF_INIT;
    char json[64];

    snprintf(json, sizeof(json), "{\"do\":\"%s\"}", what);
    emulated_tell(&w->e, "POST", "/emulator/gateway", json, &out);
}

static void bot_hears_and_stays_connected(void **state)
{
    struct world *w = *state;
    struct listener l = {.lock = PTHREAD_MUTEX_INITIALIZER,
                         .changed = PTHREAD_COND_INITIALIZER};
    struct bot *bot = listen_to(w, &l);
    AUTO_BUF struct buf status = BUF_INIT;

    uint64_t id = id_of(w, post(w, "one"));
    await(&l, &l.messages, 1);
    assert_int_equal(run_only(w, (struct remote_request){.op = REMOTE_DELETE,
                                                         .channel = w->channel,
                                                         .message = id}),
                     0);
    await(&l, &l.deleted, 1);
    id_of(w, (struct remote_request){.op = REMOTE_CHANNEL_CREATE,
                                     .guild = w->e.guild,
                                     .parent = w->category,
                                     .kind = REMOTE_CHANNEL_TEXT,
                                     .name = "table-cities"});
    await(&l, &l.channels, 1);

    /* Cut off, and resumed: what happened meanwhile comes, and no gap. */
    gateway_does(w, "drop");
    assert_int_equal(run_only(w, post(w, "two")), 0);
    await(&l, &l.messages, 2);
    await(&l, &l.connected, 2);
    gateway_does(w, "reconnect");
    await(&l, &l.connected, 3);
    assert_int_equal(l.gaps, 0);

    /* The session is gone: a new one, and a gap. */
    gateway_does(w, "invalid-session");
    await(&l, &l.connected, 4);
    assert_int_equal(l.gaps, 1);
    assert_int_equal(run_only(w, post(w, "three")), 0);
    await(&l, &l.messages, 3);

    bot_status(bot, &status);
    struct json_object *o = json_tokener_parse(status.data);
    assert_non_null(o);
    assert_int_equal(json_object_get_int(json_object_object_get(o, "sessions")),
                     2);
    assert_int_equal(json_object_get_int(json_object_object_get(o, "resumes")),
                     2);
    json_object_put(o);
    bot_stop(bot);
    assert_int_equal(l.disconnected, 4);
}

static void status_is_json_without_the_token(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf b = BUF_INIT;

    discord_status(w->d, &b);
    struct json_object *o = json_tokener_parse(b.data);
    assert_non_null(o);
    json_object_put(o);
    assert_non_null(strstr(b.data, "\"POST /guilds/{id}/channels\":2"));
    assert_null(strstr(b.data, w->e.token));
}

static void wrong_token_is_told_once(void **state)
{
    struct world *w = *state;
    struct discord *d = NULL;
    struct remote_reply r = {0};
    struct err err = ERR_INIT;
    struct remote_request q = {.op = REMOTE_ME};

    assert_int_equal(
        discord_open(&(struct discord_options){.api_url = w->e.api,
                                               .token = "not.the.token"},
                     &d, NULL),
        0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(remote_run(discord_remote(d), &q, &r, &err), -EPERM);
    assert_non_null(strstr(err.text, "DISCORD_BOT_TOKEN"));
    assert_int_equal(emulated_count(&w->e, "", "", 401), 1);
    remote_close(discord_remote(d));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(bot_and_guild_are_known),
        CASE(message_lives),
        CASE(pages_are_oldest_first_from_either_end),
        CASE(thread_is_started_once),
        CASE(file_comes_back_as_it_went),
        CASE(lost_answers_make_no_second_message),
        CASE(lost_channel_creation_is_told),
        CASE(refusal_is_waited_out),
        CASE(burst_meets_no_limit),
        CASE(search_finds),
        CASE(bot_hears_and_stays_connected),
        CASE(status_is_json_without_the_token),
        CASE(wrong_token_is_told_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
