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
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "script_server.h"

#define TOKEN "unit.test.token-0123456789"
#define MESSAGE "{\"id\":\"9\",\"channel_id\":\"8\",\"content\":\"hello\"}"

struct world {
    struct script *s;
    struct discord *d;
    struct remote *r;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));
    char url[128];
    struct err err = ERR_INIT;

    w->s = script_new();
    snprintf(url, sizeof(url), "%s/api/v10", script_url(w->s));
    int r = discord_open(
        &(struct discord_options){.api_url = url, .token = TOKEN}, &w->d, &err);
    if (r < 0) {
        fprintf(stderr, "%s\n", err.text);
        return -1;
    }
    w->r = discord_remote(w->d);
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    if (w->r)
        remote_close(w->r);
    script_free(w->s);
    free(w);
    return 0;
}

/* A request that was submitted and is waited for later. */
struct pending {
    pthread_mutex_t lock;
    pthread_cond_t over;
    bool is_over;
    int calls, r;
    struct remote_reply reply;
    struct err err;
    uint64_t number;
};

static void pending_done(void *arg, int r, struct remote_reply *reply,
                         const struct err *err)
{
    struct pending *p = arg;

    pthread_mutex_lock(&p->lock);
    p->r = r;
    p->reply = *reply;
    *reply = (struct remote_reply){0};
    p->err = *err;
    p->calls++;
    p->is_over = true;
    pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->lock);
}

static void start(struct world *w, struct pending *p, struct remote_request q)
{
    *p = (struct pending){0};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->over, NULL);
    p->number = remote_submit(w->r, &q, pending_done, p);
    assert_int_not_equal(p->number, 0);
}

static int await(struct pending *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->is_over)
        pthread_cond_wait(&p->over, &p->lock);
    pthread_mutex_unlock(&p->lock);
    assert_int_equal(p->calls, 1);
    remote_reply_release(&p->reply);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->over);
    return p->r;
}

static int run(struct world *w, struct remote_request q,
               struct remote_reply *reply, struct err *err)
{
    *reply = (struct remote_reply){0};
    *err = ERR_INIT;
    int r = remote_run(w->r, &q, reply, err);
    if (r < 0) {
        assert_true(strlen(err->text) > 0);
    }
    assert_null(strstr(err->text, TOKEN));
    return r;
}

/* As run, for who looks at the number alone. */
static int run_only(struct world *w, struct remote_request q)
{
    struct remote_reply reply;
    struct err err;
    int r = run(w, q, &reply, &err);

    remote_reply_release(&reply);
    return r;
}

static struct remote_request get_message(void)
{
    return (struct remote_request){
        .op = REMOTE_GET, .channel = 8, .message = 9};
}

static struct remote_request post(const char *text)
{
    struct remote_request q = {.op = REMOTE_POST, .channel = 8};

    buf_addstr(&q.draft.content, text);
    return q;
}

static void message_is_fetched(void **state)
{
    struct world *w = *state;
    struct remote_reply reply;
    struct err err;

    script_answer(w->s, "GET /api/v10/channels/8/messages/9", 200, "", MESSAGE);
    assert_int_equal(run(w, get_message(), &reply, &err), 0);
    assert_int_equal(reply.n_messages, 1);
    assert_string_equal(reply.messages[0].content, "hello");
    remote_reply_release(&reply);

    const char *sent = script_request(w->s, "GET ", 0);
    assert_non_null(strstr(sent, "\r\nAuthorization: Bot " TOKEN "\r\n"));
    assert_non_null(strstr(sent, "\r\nUser-Agent: DiscordBot ("));
}

static void failures_that_pass_are_asked_again(void **state)
{
    struct world *w = *state;

    script_answer(w->s, "GET ", 503, "", "");
    script_drop(w->s, "GET ");
    script_answer(w->s, "GET ", 200,
                  "Content-Length: 40\r\nConnection: close"
                  "\r\n",
                  "{\"id\":");
    script_answer(w->s, "GET ", 200, "", "{\"id\":\"9\",");
    script_answer(w->s, "GET ", 200, "", MESSAGE);
    assert_int_equal(run_only(w, get_message()), 0);
    assert_int_equal(script_count(w->s, "GET "), 5);
}

static void failure_that_stays_is_told(void **state)
{
    struct world *w = *state;
    struct remote_reply reply;
    struct err err;

    for (int i = 0; i < 10; i++)
        script_answer(w->s, "GET ", 502, "", "<html>bad gateway</html>");
    struct remote_request q = get_message();
    assert_int_equal(run(w, q, &reply, &err), -EIO);
    assert_non_null(strstr(err.text, "502"));
    assert_in_range(script_count(w->s, "GET "), 3, 9);
}

/* The body of the n-th request that begins so, as JSON. */
static struct json_object *body_of(struct world *w, const char *line, int n)
{
    const char *text = strstr(script_request(w->s, line, n), "\r\n\r\n");

    assert_non_null(text);
    struct json_object *o = json_tokener_parse(text + 4);
    assert_non_null(o);
    return o;
}

static const char *text_of(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    assert_true(json_object_object_get_ex(o, name, &v));
    return json_object_get_string(v);
}

static void retried_post_keeps_its_nonce_and_a_new_one_has_its_own(void **state)
{
    struct world *w = *state;

    script_drop(w->s, "POST ");
    script_answer(w->s, "POST ", 500, "", "");
    script_answer(w->s, "POST ", 200, "", MESSAGE);
    script_answer(w->s, "POST ", 200, "", MESSAGE);
    assert_int_equal(run_only(w, post("hello")), 0);
    assert_int_equal(run_only(w, post("hello")), 0);

    struct json_object *o[4];
    for (int i = 0; i < 4; i++) {
        o[i] = body_of(w, "POST ", i);
        assert_string_equal(text_of(o[i], "enforce_nonce"), "true");
        assert_in_range(strlen(text_of(o[i], "nonce")), 16, 25);
    }
    assert_string_equal(text_of(o[0], "nonce"), text_of(o[1], "nonce"));
    assert_string_equal(text_of(o[0], "nonce"), text_of(o[2], "nonce"));
    assert_string_not_equal(text_of(o[0], "nonce"), text_of(o[3], "nonce"));
    for (int i = 0; i < 4; i++)
        json_object_put(o[i]);
}

static void channel_creation_in_doubt_is_not_repeated(void **state)
{
    struct world *w = *state;
    struct remote_request q = {
        .op = REMOTE_CHANNEL_CREATE, .guild = 7, .name = "table-people"};
    struct remote_reply reply;
    struct err err;

    script_drop(w->s, "POST ");
    script_answer(w->s, "POST ", 500, "", "");
    assert_int_equal(run(w, q, &reply, &err), -EIO);
    assert_non_null(strstr(err.text, "not known"));
    assert_int_equal(script_count(w->s, "POST "), 1);
    assert_int_equal(run(w, q, &reply, &err), -EIO);
    assert_int_equal(script_count(w->s, "POST "), 2);
}

/* A kept connection that the other side has closed: libcurl would send again
 * on its own. */
static void channel_creation_does_not_use_an_old_connection(void **state)
{
    struct world *w = *state;
    struct remote_request q = {
        .op = REMOTE_CHANNEL_CREATE, .guild = 7, .name = "table-people"};

    script_answer(w->s, "GET ", 200, "", MESSAGE);
    assert_int_equal(run_only(w, get_message()), 0);
    script_drop(w->s, "POST ");
    script_answer(w->s, "POST ", 201, "", "{\"id\":\"5\",\"type\":0}");
    assert_int_equal(run_only(w, q), -EIO);
    assert_int_equal(script_count(w->s, "POST "), 1);
}

static void thread_that_exists_is_found(void **state)
{
    struct world *w = *state;
    struct remote_request q = {.op = REMOTE_THREAD_START,
                               .channel = 8,
                               .message = 9,
                               .name = "history"};
    struct remote_reply reply;
    struct err err;

    script_drop(w->s, "POST /api/v10/channels/8/messages/9/threads");
    script_answer(w->s, "POST /api/v10/channels/8/messages/9/threads", 400, "",
                  "{\"message\":\"A thread has already been created\","
                  "\"code\":160004}");
    script_answer(w->s, "GET /api/v10/channels/9 ", 200, "",
                  "{\"id\":\"9\",\"type\":11,\"parent_id\":\"8\",\"name\":"
                  "\"history\"}");
    assert_int_equal(run(w, q, &reply, &err), 0);
    assert_int_equal(reply.n_channels, 1);
    assert_int_equal(reply.channels[0].id, 9);
    assert_int_equal(reply.channels[0].kind, REMOTE_CHANNEL_THREAD);
    remote_reply_release(&reply);
}

static void deleted_by_an_earlier_attempt_is_deleted(void **state)
{
    struct world *w = *state;
    struct remote_request q = {.op = REMOTE_DELETE, .channel = 8, .message = 9};
    static const char gone[] = "{\"message\":\"Unknown Message\",\"code\":"
                               "10008}";

    script_drop(w->s, "DELETE ");
    script_answer(w->s, "DELETE ", 404, "", gone);
    script_answer(w->s, "DELETE ", 404, "", gone);
    assert_int_equal(run_only(w, q), 0);
    assert_int_equal(run_only(w, q), -ENOENT);
}

static void archived_thread_is_woken_for_an_edit(void **state)
{
    struct world *w = *state;
    struct remote_request q = {.op = REMOTE_EDIT, .channel = 8, .message = 9};

    buf_addstr(&q.draft.content, "new");
    script_answer(w->s, "PATCH /api/v10/channels/8/messages/9", 400, "",
                  "{\"message\":\"Thread is archived\",\"code\":50083}");
    script_answer(w->s, "PATCH /api/v10/channels/8 ", 200, "", "{}");
    script_answer(w->s, "PATCH /api/v10/channels/8/messages/9", 200, "",
                  MESSAGE);
    assert_int_equal(run_only(w, q), 0);
    assert_non_null(
        strstr(script_request(w->s, "PATCH /api/v10/channels/8 ", 0),
               "{\"archived\":false}"));
}

static void refused_token_ends_all(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf status = BUF_INIT;

    script_answer(w->s, "GET ", 401, "",
                  "{\"message\":\"401: Unauthorized\",\"code\":0}");
    assert_int_equal(run_only(w, get_message()), -EPERM);
    assert_int_equal(run_only(w, get_message()), -EPERM);
    assert_int_equal(run_only(w, post("x")), -EPERM);
    assert_int_equal(script_count(w->s, ""), 1);
    discord_status(w->d, &status);
    assert_non_null(strstr(status.data, "\"token\":\"refused\""));
    assert_null(strstr(status.data, TOKEN));
}

static void limited_request_waits_as_long_as_it_was_told(void **state)
{
    struct world *w = *state;

    script_answer(w->s, "GET ", 429,
                  "Retry-After: 1\r\nX-RateLimit-Scope: user\r\n"
                  "X-RateLimit-Bucket: b\r\nX-RateLimit-Limit: 5\r\n"
                  "X-RateLimit-Remaining: 0\r\nX-RateLimit-Reset-After: 9\r\n",
                  "{\"message\":\"You are being rate limited.\","
                  "\"retry_after\":0.301,\"global\":false}");
    script_answer(w->s, "GET ", 200, "", MESSAGE);
    int64_t before = clock_mono_ms();
    assert_int_equal(run_only(w, get_message()), 0);
    assert_in_range(clock_mono_ms() - before, 300, 5000);
}

/* When it was submitted the message was not an hour old yet. */
static void edit_that_became_old_waits_with_the_old_ones(void **state)
{
    struct world *w = *state;
    uint64_t fresh = (uint64_t)(clock_wall_ms() - INT64_C(1420070400000)) << 22;
    struct remote_request q = {
        .op = REMOTE_EDIT, .channel = 8, .message = fresh};

    buf_addstr(&q.draft.content, "new");
    script_answer(w->s, "PATCH ", 429, "",
                  "{\"message\":\"x\",\"code\":30046,\"retry_after\":0.7}");
    script_answer(w->s, "PATCH ", 200, "", MESSAGE);
    int64_t before = clock_mono_ms();
    assert_int_equal(run_only(w, q), 0);
    assert_in_range(clock_mono_ms() - before, 699, 5000);
    assert_int_equal(script_count(w->s, "PATCH "), 2);
}

static void waiting_for_a_limit_holds_up_no_other_channel(void **state)
{
    struct world *w = *state;
    struct pending held;
    struct remote_request other = {
        .op = REMOTE_GET, .channel = 18, .message = 9};

    script_answer(w->s, "GET /api/v10/channels/8/", 429, "Retry-After: 600\r\n",
                  "{\"message\":\"x\",\"retry_after\":600}");
    script_answer(w->s, "GET /api/v10/channels/18/", 200, "", MESSAGE);
    start(w, &held, get_message());
    assert_true(script_await(w->s, "GET /api/v10/channels/8/", 1));
    assert_int_equal(run_only(w, other), 0);
    /* What was refused has not happened: it can be cancelled. The answer may
     * still be on its way. */
    while (!remote_cancel(w->r, held.number))
        ;
    assert_int_equal(await(&held), -ECANCELED);
    assert_int_equal(script_count(w->s, "GET /api/v10/channels/8/"), 1);
}

static void deadline_ends_what_waits_and_what_hangs(void **state)
{
    struct world *w = *state;
    struct pending waits, hangs;
    struct remote_request q = get_message();

    /* The bucket is unknown: the second waits for the first's answer. */
    script_hang(w->s, "GET ");
    q.timeout_ms = 600;
    start(w, &hangs, q);
    q.timeout_ms = 300; /* over before the way is free again */
    start(w, &waits, q);
    assert_int_equal(await(&waits), -ETIMEDOUT);
    assert_int_equal(await(&hangs), -ETIMEDOUT);
    assert_int_equal(script_count(w->s, "GET "), 1);
}

static void close_fails_what_waits(void **state)
{
    struct world *w = *state;
    struct pending under_way, waits;

    script_hang(w->s, "GET ");
    start(w, &under_way, get_message());
    assert_true(script_await(w->s, "GET ", 1));
    start(w, &waits, get_message());
    remote_close(w->r);
    w->r = NULL;
    assert_int_equal(await(&waits), -ESHUTDOWN);
    assert_int_equal(await(&under_way), -ESHUTDOWN);
}

static void what_is_known_to_fail_is_not_sent(void **state)
{
    struct world *w = *state;
    struct remote_request q = post("");

    assert_int_equal(run_only(w, q), -EINVAL);
    q = post("x");
    q.nonce = "abcdefghijklmnopqrstuvwxyz";
    assert_int_equal(run_only(w, q), -EINVAL);
    assert_int_equal(run_only(w, (struct remote_request){.op = REMOTE_LIST}),
                     -EINVAL);
    assert_int_equal(script_count(w->s, ""), 0);
}

struct builder {
    struct pending p; /* first: the callback's argument is the build's too */
    int built;
    int result;
};

static int build_now(void *arg, struct remote_draft *draft)
{
    struct builder *b = arg;

    buf_printf(&draft->content, "built %d", ++b->built);
    return b->result;
}

static void message_is_built_once_and_when_it_leaves(void **state)
{
    struct world *w = *state;
    struct builder good = {.result = 0}, bad = {.result = -EAGAIN};
    struct remote_request q = {
        .op = REMOTE_POST, .channel = 8, .build = build_now};

    script_drop(w->s, "POST ");
    script_answer(w->s, "POST ", 200, "", MESSAGE);
    start(w, &good.p, q);
    assert_int_equal(await(&good.p), 0);
    assert_int_equal(good.built, 1);
    for (int i = 0; i < 2; i++) {
        struct json_object *o = body_of(w, "POST ", i);
        assert_string_equal(text_of(o, "content"), "built 1");
        json_object_put(o);
    }

    /* What cannot be built is not sent. */
    start(w, &bad.p, q);
    assert_int_equal(await(&bad.p), -EAGAIN);
    assert_int_equal(script_count(w->s, "POST "), 2);
}

static void files_go_beside_the_message(void **state)
{
    struct world *w = *state;
    struct remote_request q = {.op = REMOTE_EDIT, .channel = 8, .message = 9};

    q.draft.files[0] = (struct remote_upload){.name = "row.json",
                                              .type = "application/json",
                                              .data = "{\"a\":1}",
                                              .len = 7};
    q.draft.n_files = 1;
    q.draft.keep[0] = 77;
    q.draft.n_keep = 1;
    script_answer(w->s, "PATCH ", 503, "", "");
    script_answer(w->s, "PATCH ", 200, "", MESSAGE);
    assert_int_equal(run_only(w, q), 0);
    for (int i = 0; i < 2; i++) { /* the retry sends the whole again */
        const char *sent = script_request(w->s, "PATCH ", i);
        assert_non_null(strstr(sent, "multipart/form-data"));
        assert_non_null(strstr(sent, "name=\"payload_json\""));
        assert_non_null(strstr(sent,
                               "\"attachments\":[{\"id\":\"77\"},{\"id\":\"0\","
                               "\"filename\":\"row.json\"}]"));
        assert_non_null(strstr(sent, "name=\"files[0]\"; "
                                     "filename=\"row.json\""));
        assert_non_null(strstr(sent, "\r\n\r\n{\"a\":1}\r\n"));
    }
}

/* A message with a file whose link points to the script, and dies when said. */
static void answer_with_file(struct world *w, const char *line,
                             const char *path, size_t size)
{
    char body[512];

    snprintf(body, sizeof(body),
             "{\"id\":\"9\",\"channel_id\":\"8\",\"attachments\":[{\"id\":"
             "\"50\",\"filename\":\"f\",\"size\":%zu,\"url\":\"%s%s\"}]}",
             size, script_url(w->s), path);
    script_answer(w->s, line, 200, "", body);
}

static struct remote_request download(void)
{
    return (struct remote_request){
        .op = REMOTE_DOWNLOAD, .channel = 8, .message = 9, .file = 50};
}

static void file_is_fetched_without_the_token(void **state)
{
    struct world *w = *state;
    struct remote_reply reply;
    struct err err;

    answer_with_file(w, "GET /api/", "/cdn/a?ex=ffffffff", 5);
    script_answer(w->s, "GET /cdn/a", 200, "", "bytes");
    script_answer(w->s, "GET /cdn/a", 200, "", "bytes");
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run(w, download(), &reply, &err), 0);
        assert_true(buf_equals(&reply.body, "bytes", 5));
        remote_reply_release(&reply);
    }
    assert_null(strstr(script_request(w->s, "GET /cdn/a", 0), TOKEN));
    /* The second time the link was known. */
    assert_int_equal(script_count(w->s, "GET /api/"), 1);
}

static void dead_link_is_renewed_once(void **state)
{
    struct world *w = *state;

    answer_with_file(w, "GET /api/", "/cdn/a?ex=ffffffff", 5);
    assert_int_equal(run_only(w, get_message()), 0);
    script_answer(w->s, "GET /cdn/a", 404, "",
                  "This content is no longer "
                  "available.");
    answer_with_file(w, "GET /api/", "/cdn/b?ex=ffffffff", 5);
    script_answer(w->s, "GET /cdn/b", 200, "", "bytes");
    assert_int_equal(run_only(w, download()), 0);

    script_answer(w->s, "GET /cdn/b", 404, "", "");
    answer_with_file(w, "GET /api/", "/cdn/c?ex=ffffffff", 5);
    script_answer(w->s, "GET /cdn/c", 404, "", "");
    assert_int_equal(run_only(w, download()), -EIO);
    assert_int_equal(script_unexpected(w->s), 0);
}

static void file_of_another_size_is_not_believed(void **state)
{
    struct world *w = *state;

    answer_with_file(w, "GET /api/", "/cdn/a?ex=ffffffff", 5);
    script_answer(w->s, "GET /cdn/a", 200, "", "byt");
    assert_int_equal(run_only(w, download()), -EIO);
    answer_with_file(w, "GET /api/", "/cdn/b?ex=ffffffff", 5);
    script_answer(w->s, "GET /cdn/b", 200, "", "bytes and more");
    assert_int_equal(run_only(w, download()), -EIO);
}

static void link_to_elsewhere_is_not_followed(void **state)
{
    struct world *w = *state;
    struct remote_reply reply;
    struct err err;

    script_answer(w->s, "GET /api/", 200, "",
                  "{\"id\":\"9\",\"channel_id\":\"8\",\"attachments\":[{\"id\":"
                  "\"50\",\"filename\":\"f\",\"size\":1,\"url\":"
                  "\"http://192.0.2.1/secret\"}]}");
    assert_int_equal(run(w, download(), &reply, &err), -EIO);
    assert_non_null(strstr(err.text, "TLS"));
    assert_null(strstr(err.text, "secret"));
}

static void redirect_is_not_followed(void **state)
{
    struct world *w = *state;
    char header[128];

    snprintf(header, sizeof(header), "Location: %s/elsewhere\r\n",
             script_url(w->s));
    script_answer(w->s, "GET /api/", 302, header, "");
    assert_int_equal(run_only(w, get_message()), -EIO);
    assert_int_equal(script_count(w->s, "GET /elsewhere"), 0);
}

static void search_that_is_not_ready_says_so(void **state)
{
    struct world *w = *state;
    struct remote_search s = {.content = "x", .limit = 25};
    struct remote_request q = {.op = REMOTE_SEARCH, .guild = 7, .search = &s};
    struct remote_reply reply;
    struct err err;

    script_answer(w->s, "GET /api/v10/guilds/7/messages/search", 202, "",
                  "{\"message\":\"Index not yet available\",\"code\":110000,"
                  "\"retry_after\":2}");
    assert_int_equal(run(w, q, &reply, &err), 0);
    assert_true(reply.index_not_ready);
    assert_int_equal(reply.n_messages, 0);
    remote_reply_release(&reply);
}

static void guild_brings_roles_and_rights(void **state)
{
    struct world *w = *state;
    struct remote_request q = {.op = REMOTE_GUILD, .guild = 1};
    struct remote_reply reply;
    struct err err;

    script_answer(w->s, "GET /api/v10/guilds/1 ", 200, "",
                  "{\"id\":\"1\",\"name\":\"home\",\"owner_id\":\"2\","
                  "\"roles\":[{\"id\":\"1\",\"permissions\":\"1024\"},"
                  "{\"id\":\"4\",\"permissions\":\"65536\"}]}");
    script_answer(w->s, "GET /api/v10/users/@me ", 200, "",
                  "{\"id\":\"3\",\"username\":\"bot\"}");
    script_answer(w->s, "GET /api/v10/guilds/1/members/3 ", 200, "",
                  "{\"user\":{\"id\":\"3\"},\"roles\":[\"4\"]}");
    assert_int_equal(run(w, q, &reply, &err), 0);
    assert_string_equal(reply.guild.name, "home");
    assert_int_equal(reply.guild.permissions, 1024 + 65536);
    assert_int_equal(reply.guild.max_file, 10 << 20);
    remote_reply_release(&reply);

    script_answer(w->s, "GET /api/v10/guilds/1/channels ", 200, "",
                  "[{\"id\":\"5\",\"type\":0,\"name\":\"a\"}]");
    q.op = REMOTE_CHANNELS;
    assert_int_equal(run(w, q, &reply, &err), 0);
    assert_true(reply.channels[0].viewable);
    assert_false(reply.channels[0].writable);
    assert_int_equal(reply.channels[0].guild_id, 1);
    remote_reply_release(&reply);
}

static void raw_requests_give_status_and_body(void **state)
{
    struct world *w = *state;
    AUTO_BUF struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    long status = -1;

    script_answer(w->s, "PUT /api/v10/x ", 200, "", "[1]");
    assert_int_equal(discord_request(w->d, "PUT", "/x", "{\"a\":2}",
                                     REMOTE_NORMAL, &status, &out, &err),
                     0);
    assert_int_equal(status, 200);
    assert_true(buf_equals(&out, "[1]", 3));
    assert_non_null(strstr(script_request(w->s, "PUT ", 0), "{\"a\":2}"));

    script_answer(w->s, "GET /api/v10/y ", 403, "",
                  "{\"message\":\"Missing Access\",\"code\":50001}");
    assert_int_equal(discord_request(w->d, "GET", "/y", NULL, REMOTE_NORMAL,
                                     &status, &out, &err),
                     -EACCES);
    assert_int_equal(status, 403);
    assert_non_null(strstr(out.data, "50001"));
    assert_int_equal(discord_request(w->d, "GET", "y", NULL, REMOTE_NORMAL,
                                     &status, &out, &err),
                     -EINVAL);
    assert_int_equal(status, 0);
}

static void gateway_says_where_it_is(void **state)
{
    struct world *w = *state;
    struct discord_gateway g;
    struct err err = ERR_INIT;

    script_answer(w->s, "GET /api/v10/gateway/bot ", 200, "",
                  "{\"url\":\"wss://gateway.discord.gg\",\"shards\":1,"
                  "\"session_start_limit\":{\"total\":1000,\"remaining\":7,"
                  "\"reset_after\":14400000,\"max_concurrency\":1}}");
    assert_int_equal(discord_gateway(w->d, &g, &err), 0);
    assert_string_equal(g.url, "wss://gateway.discord.gg");
    assert_int_equal(g.identifies_left, 7);
    assert_int_equal(g.identifies_reset_ms, 14400000);

    script_answer(w->s, "GET /api/v10/gateway/bot ", 200, "",
                  "{\"url\":\"ws://gateway.example.org\"}");
    assert_int_equal(discord_gateway(w->d, &g, &err), -EBADMSG);
}

static void connections_are_bounded_and_people_go_first(void **state)
{
    struct world *w = *state;
    enum { MANY = 60 };
    static struct pending p[MANY];
    struct pending first;

    /* Twelve places for what nobody waits for: the rest of the sixteen is
     * kept. Each channel is a bucket of its own. */
    for (int i = 0; i < 12; i++)
        script_hang(w->s, "GET /api/v10/channels/1");
    for (int i = 0; i < MANY; i++)
        start(w, &p[i],
              (struct remote_request){
                  .op = REMOTE_GET,
                  .channel = 1000 + (uint64_t)i,
                  .message = 9,
                  .priority = REMOTE_BACKGROUND,
              });
    assert_true(script_await(w->s, "GET /api/v10/channels/1", 12));
    script_answer(w->s, "GET /api/v10/channels/2/", 200, "", MESSAGE);
    start(
        w, &first,
        (struct remote_request){.op = REMOTE_GET, .channel = 2, .message = 9});
    assert_int_equal(await(&first), 0);
    assert_int_equal(script_count(w->s, "GET /api/v10/channels/1"), 12);
    for (int i = MANY - 1; i >= 0; i--)
        remote_cancel(w->r, p[i].number);
    remote_close(w->r);
    w->r = NULL;
    for (int i = 0; i < MANY; i++)
        assert_true(await(&p[i]) < 0);
    assert_true(script_most_at_once(w->s) <= 13);
}

static void unreachable_host_is_told_as_such(void **state)
{
    struct world *w = *state;
    struct discord *d = NULL;
    struct remote_reply reply = {0};
    struct err err = ERR_INIT;
    struct remote_request q = {.op = REMOTE_ME, .timeout_ms = 1000};

    (void)w;
    /* Nobody listens on port 1. */
    assert_int_equal(
        discord_open(
            &(struct discord_options){.api_url = "http://127.0.0.1:1/api",
                                      .token = TOKEN},
            &d, &err),
        0);
    int r = remote_run(discord_remote(d), &q, &reply, &err);
    assert_true(r == -ENETUNREACH || r == -ETIMEDOUT);
    assert_non_null(strstr(err.text, "127.0.0.1"));
    remote_close(discord_remote(d));
}

static void bad_options_are_refused(void **state)
{
    struct discord *d = NULL;
    struct err err = ERR_INIT;

    (void)state;
    assert_int_equal(
        discord_open(&(struct discord_options){.api_url = "https://a/api",
                                               .token = "a b"},
                     &d, &err),
        -EINVAL);
    assert_int_equal(
        discord_open(
            &(struct discord_options){.api_url = "https://a/api", .token = ""},
            &d, &err),
        -EINVAL);
    assert_int_equal(
        discord_open(&(struct discord_options){.api_url = "http://a/api",
                                               .token = TOKEN},
                     &d, &err),
        -EINVAL);
    assert_null(d);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(message_is_fetched),
        CASE(failures_that_pass_are_asked_again),
        CASE(failure_that_stays_is_told),
        CASE(retried_post_keeps_its_nonce_and_a_new_one_has_its_own),
        CASE(channel_creation_in_doubt_is_not_repeated),
        CASE(channel_creation_does_not_use_an_old_connection),
        CASE(thread_that_exists_is_found),
        CASE(deleted_by_an_earlier_attempt_is_deleted),
        CASE(archived_thread_is_woken_for_an_edit),
        CASE(refused_token_ends_all),
        CASE(limited_request_waits_as_long_as_it_was_told),
        CASE(edit_that_became_old_waits_with_the_old_ones),
        CASE(waiting_for_a_limit_holds_up_no_other_channel),
        CASE(deadline_ends_what_waits_and_what_hangs),
        CASE(close_fails_what_waits),
        CASE(what_is_known_to_fail_is_not_sent),
        CASE(message_is_built_once_and_when_it_leaves),
        CASE(files_go_beside_the_message),
        CASE(file_is_fetched_without_the_token),
        CASE(dead_link_is_renewed_once),
        CASE(file_of_another_size_is_not_believed),
        CASE(link_to_elsewhere_is_not_followed),
        CASE(redirect_is_not_followed),
        CASE(search_that_is_not_ready_says_so),
        CASE(guild_brings_roles_and_rights),
        CASE(raw_requests_give_status_and_body),
        CASE(gateway_says_where_it_is),
        CASE(connections_are_bounded_and_people_go_first),
        CASE(unreachable_host_is_told_as_such),
        cmocka_unit_test(bad_options_are_refused),
    };
    /* Nobody listens there: this machine is reached without a proxy. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
