#include "engine/discord/errand.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/discord/discord.h"
#include "engine/discord/message.h"

#define API_ANSWER_MAX (32u << 20)
#define FILE_BYTES_MAX (128u << 20)

/* Without a byte of progress a request is given up after so long, waits for
 * limits not counted; a large one is given the time it takes on a slow line. */
#define PATIENCE_MS 60000
#define SLOWEST_BYTES_PER_MS 32

/* 128 random bits as 22 characters; Discord takes 25. */
static void draw_nonce(char out[32])
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz"
                                 "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
    unsigned char raw[16];
    unsigned bits = 0, have = 0;
    size_t n = 0;

    /* Cannot fail for so few bytes once the kernel has its seed. */
    while (getrandom(raw, sizeof(raw), 0) != (ssize_t)sizeof(raw))
        ;
    for (size_t i = 0; i < sizeof(raw); i++) {
        bits = bits << 8 | raw[i];
        for (have += 8; have >= 6; have -= 6)
            out[n++] = digits[bits >> (have - 6) & 63];
    }
    out[n++] = digits[bits << (6 - have) & 63];
    out[n] = '\0';
}

void errand_fail(struct errand *e, int result, const char *fmt, ...)
{
    AUTO_BUF struct buf text = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&text, fmt, ap);
    va_end(ap);
    e->result = err_set(&e->err, result, "%s", text.data);
    e->state = ERRAND_OVER;
}

static void write_body(struct errand *e, const struct remote_request *req)
{
    switch (req->op) {
    case REMOTE_CHANNEL_CREATE:
        message_write_channel(req, &e->json);
        break;
    case REMOTE_THREAD_START:
        message_write_thread(req->name, &e->json);
        break;
    case REMOTE_DELETE_MANY:
        message_write_ids(req->ids, req->n_ids, &e->json);
        break;
    default:
        break; /* none, or written by errand_prepare() */
    }
}

/* From the message to the file, if a link to it is known. */
static bool use_link(struct errand *e, struct facts *facts, int64_t wall_ms)
{
    if (!facts_link(facts, e->file, wall_ms, &e->link, &e->file_size) ||
        e->file_size > FILE_BYTES_MAX)
        return false;
    e->step = STEP_FILE;
    return true;
}

struct errand *errand_new(struct remote_request *req, remote_done *done,
                          void *arg, struct facts *facts, int64_t wall_ms)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    e->op = req->op;
    e->priority =
        req->priority <= REMOTE_BACKGROUND ? req->priority : REMOTE_BACKGROUND;
    e->guild = req->guild;
    e->channel = req->channel;
    e->message = req->message;
    e->file = req->file;
    e->draft = req->draft;
    req->draft = (struct remote_draft){0};
    e->build = req->op == REMOTE_POST ? req->build : NULL;
    e->done = done;
    e->arg = arg;
    e->patience_ms = PATIENCE_MS;

    e->result = route_of(&e->route, req, wall_ms, &e->err);
    if (e->result == 0 && req->nonce &&
        (strlen(req->nonce) > 25 || !*req->nonce))
        e->result = err_set(&e->err, -EINVAL, "a nonce has 1 to 25 characters");
    if (e->result == 0 &&
        (req->op == REMOTE_EDIT || (req->op == REMOTE_POST && !req->build)))
        e->result = message_check_draft(
            &e->draft, req->op == REMOTE_EDIT,
            facts_max_file(facts, req->guild, req->channel), &e->err);
    if (e->result < 0) {
        e->state = ERRAND_OVER;
        return e;
    }

    if (req->op == REMOTE_POST && req->nonce)
        snprintf(e->nonce, sizeof(e->nonce), "%s", req->nonce);
    else if (req->op == REMOTE_POST)
        draw_nonce(e->nonce);
    write_body(e, req);
    if (req->op == REMOTE_DOWNLOAD && use_link(e, facts, wall_ms))
        e->link_kept = true;
    return e;
}

struct errand *errand_new_raw(const char *method, const char *path,
                              const char *json,
                              const struct remote_upload *files, size_t n_files,
                              enum remote_priority priority, remote_done *done,
                              void *arg, long *status)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    e->raw = true;
    e->priority = priority;
    e->done = done;
    e->arg = arg;
    e->raw_status = status;
    e->raw_files = files;
    e->n_raw_files = n_files;
    e->patience_ms = PATIENCE_MS;
    if (json)
        buf_addstr(&e->json, json);
    for (size_t i = 0; i < n_files; i++)
        e->patience_ms += (int64_t)(files[i].len / SLOWEST_BYTES_PER_MS);
    e->result = route_make(&e->route, method, path, &e->err);
    if (e->result < 0)
        e->state = ERRAND_OVER;
    return e;
}

struct errand *errand_new_file(const char *url, uint64_t size,
                               enum remote_priority priority, remote_done *done,
                               void *arg)
{
    struct errand *e = xcalloc(1, sizeof(*e));

    e->op = REMOTE_DOWNLOAD;
    e->step = STEP_FILE;
    e->priority = priority;
    e->done = done;
    e->arg = arg;
    e->patience_ms = PATIENCE_MS + (int64_t)(size / SLOWEST_BYTES_PER_MS);
    e->file_size = size;
    buf_addstr(&e->link, url);
    e->result = route_make(&e->route, "GET", "/attachments", &e->err);
    e->route.exempt = e->route.repeatable = true;
    if (e->result == 0 && size > FILE_BYTES_MAX)
        e->result = err_set(&e->err, -EFBIG,
                            "a file of %" PRIu64 " bytes; at most %u are read",
                            size, FILE_BYTES_MAX);
    if (e->result < 0)
        e->state = ERRAND_OVER;
    return e;
}

void errand_free(struct errand *e)
{
    if (!e)
        return;
    remote_draft_release(&e->draft);
    remote_reply_release(&e->reply);
    route_release(&e->route);
    route_release(&e->main_route);
    buf_release(&e->json);
    buf_release(&e->link);
    free(e);
}

int errand_prepare(struct errand *e, struct facts *facts)
{
    if (e->raw || e->built || (e->op != REMOTE_POST && e->op != REMOTE_EDIT))
        return 0;
    e->built = true;

    if (e->build) {
        int r = e->build(e->arg, &e->draft);
        if (r == 0)
            r = message_check_draft(&e->draft, false,
                                    facts_max_file(facts, e->guild, e->channel),
                                    &e->err);
        if (r < 0) {
            e->result = r;
            e->state = ERRAND_OVER;
            return r;
        }
    }
    if (e->op == REMOTE_POST)
        message_write_post(&e->draft, e->nonce, &e->json);
    else
        message_write_edit(&e->draft, &e->json);
    for (size_t i = 0; i < e->draft.n_files; i++)
        e->patience_ms +=
            (int64_t)(e->draft.files[i].len / SLOWEST_BYTES_PER_MS);
    return 0;
}

const char *errand_json(const struct errand *e, size_t *len)
{
    static const char wake_up[] = "{\"archived\":false}";

    if (e->step == STEP_UNARCHIVE) {
        *len = sizeof(wake_up) - 1;
        return wake_up;
    }
    *len = e->step == STEP_MAIN ? e->json.len : 0;
    return e->step == STEP_MAIN ? e->json.data : NULL;
}

const struct remote_upload *errand_files(const struct errand *e, size_t *n)
{
    if (e->step != STEP_MAIN) {
        *n = 0;
        return NULL;
    }
    *n = e->raw ? e->n_raw_files : e->draft.n_files;
    return e->raw ? e->raw_files : e->draft.files;
}

bool errand_is_file(const struct errand *e)
{
    return e->step == STEP_FILE;
}

size_t errand_max_answer(const struct errand *e)
{
    /* Room for the page that says why not. */
    return e->step == STEP_FILE ? (size_t)e->file_size + 4096 : API_ANSWER_MAX;
}

/* Another step on another route; STEP_MAIN's comes back with it. */
static bool go(struct errand *e, enum errand_step step, const char *method,
               const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static bool go(struct errand *e, enum errand_step step, const char *method,
               const char *fmt, ...)
{
    AUTO_BUF struct buf path = BUF_INIT;
    va_list ap;

    va_start(ap, fmt);
    buf_vprintf(&path, fmt, ap);
    va_end(ap);
    if (e->step == STEP_MAIN)
        e->main_route = e->route;
    else
        route_release(&e->route);
    int r = route_make(&e->route, method, path.data, &e->err);
    if (r < 0) {
        errand_fail(e, r, "%s", err_text(&e->err, r));
        return false;
    }
    e->step = step;
    e->attempts = 0;
    return true;
}

static bool go_back(struct errand *e)
{
    route_release(&e->route);
    e->route = e->main_route;
    e->main_route = (struct route){0};
    e->step = STEP_MAIN;
    e->attempts = 0;
    return true;
}

static bool finish(struct errand *e)
{
    e->state = ERRAND_OVER;
    return false;
}

static bool bad_answer(struct errand *e)
{
    errand_fail(e, -EIO, "Discord's answer to %s cannot be read",
                e->route.name);
    return false;
}

static bool take_me(struct errand *e, struct json_object *o,
                    struct facts *facts)
{
    uint64_t id = message_id(o, "id");
    const char *name = message_text(o, "username", NULL);

    if (!id || !name)
        return bad_answer(e);
    facts_note_me(facts, id);
    e->reply.user_id = id;
    free(e->reply.user_name);
    e->reply.user_name = xstrdup(name);
    return finish(e);
}

static bool go_member(struct errand *e, struct facts *facts)
{
    uint64_t me = facts_me(facts);

    if (!me)
        return go(e, STEP_ME, "GET", "/users/@me");
    return go(e, STEP_MEMBER, "GET", "/guilds/%" PRIu64 "/members/%" PRIu64,
              e->guild, me);
}

static bool take_guild(struct errand *e, struct json_object *o,
                       struct facts *facts)
{
    const char *name = message_text(o, "name", NULL);

    if (message_id(o, "id") != e->guild || !name)
        return bad_answer(e);
    facts_note_guild(facts, o);
    e->reply.guild.id = e->guild;
    free(e->reply.guild.name);
    e->reply.guild.name = xstrdup(name);
    return go_member(e, facts);
}

static bool take_member(struct errand *e, struct json_object *o,
                        struct facts *facts)
{
    facts_note_member(facts, e->guild, o);
    e->reply.guild.permissions = facts_guild_bits(facts, e->guild);
    e->reply.guild.max_file = facts_max_file(facts, e->guild, 0);
    return finish(e);
}

static int take_channel_object(struct json_object *o, uint64_t guild,
                               struct facts *facts, struct remote_channel *c)
{
    int r = discord_parse_channel(o, c);

    if (r < 0)
        return r;
    if (!c->guild_id)
        c->guild_id = guild;
    facts_note_channel(facts, guild, o);
    facts_rights(facts, c);
    return 0;
}

static bool take_channels(struct errand *e, struct json_object *o,
                          struct facts *facts)
{
    if (!json_object_is_type(o, json_type_array))
        return bad_answer(e);

    size_t n = json_object_array_length(o);
    e->reply.channels = xcalloc(n, sizeof(*e->reply.channels));
    for (size_t i = 0; i < n; i++) {
        if (take_channel_object(json_object_array_get_idx(o, i), e->guild,
                                facts, &e->reply.channels[i]) < 0)
            return bad_answer(e);
        e->reply.n_channels++;
    }
    return finish(e);
}

static bool take_channel(struct errand *e, struct json_object *o,
                         struct facts *facts)
{
    e->reply.channels = xcalloc(1, sizeof(*e->reply.channels));
    if (take_channel_object(o, e->guild, facts, e->reply.channels) < 0)
        return bad_answer(e);
    e->reply.n_channels = 1;
    return finish(e);
}

static void note_files(struct errand *e, struct facts *facts)
{
    for (size_t i = 0; i < e->reply.n_messages; i++)
        facts_note_files(facts, &e->reply.messages[i]);
}

static bool take_message(struct errand *e, struct json_object *o,
                         struct facts *facts)
{
    e->reply.messages = xcalloc(1, sizeof(*e->reply.messages));
    if (discord_parse_message(o, e->reply.messages) < 0)
        return bad_answer(e);
    e->reply.n_messages = 1;
    note_files(e, facts);
    return finish(e);
}

static bool take_list(struct errand *e, struct json_object *o,
                      struct facts *facts)
{
    int r = e->op == REMOTE_SEARCH ? message_read_search(o, &e->reply)
                                   : message_read_list(o, &e->reply);

    if (r < 0)
        return bad_answer(e);
    note_files(e, facts);
    return finish(e);
}

/* The message that has the file: its links are fresh. */
static bool take_holder(struct errand *e, struct json_object *o,
                        struct facts *facts)
{
    struct remote_message m;
    bool found = false;

    if (discord_parse_message(o, &m) < 0)
        return bad_answer(e);
    facts_note_files(facts, &m);
    for (size_t i = 0; i < m.n_files; i++) {
        if (m.files[i].id != e->file)
            continue;
        buf_reset(&e->link);
        buf_addstr(&e->link, m.files[i].url);
        e->file_size = m.files[i].size;
        found = true;
    }
    remote_message_release(&m);
    if (!found) {
        errand_fail(e, -ENOENT, "message %" PRIu64 " has no file %" PRIu64,
                    e->message, e->file);
        return false;
    }
    if (e->file_size > FILE_BYTES_MAX) {
        errand_fail(e, -EFBIG,
                    "file %" PRIu64 " of message %" PRIu64 " has %" PRIu64
                    " bytes; at most %u are read",
                    e->file, e->message, e->file_size, FILE_BYTES_MAX);
        return false;
    }
    e->step = STEP_FILE;
    e->link_kept = false;
    e->attempts = 0;
    return true;
}

/* What the bytes behind a link are, or that the link is dead. */
static bool take_file(struct errand *e, const struct status *s,
                      struct buf *body, struct facts *facts)
{
    if (s->http == 200 && body->len == e->file_size) {
        e->reply.body = buf_take(body);
        return finish(e);
    }
    facts_forget_link(facts, e->file);
    if (e->link_kept) {
        /* Links die; the message has new ones. */
        e->link_kept = false;
        e->step = STEP_MAIN;
        e->attempts = 0;
        return true;
    }
    if (s->http == 200)
        errand_fail(e, -EIO,
                    "file %" PRIu64 " of message %" PRIu64
                    " came with %zu bytes instead of %" PRIu64,
                    e->file, e->message, body->len, e->file_size);
    else
        errand_fail(e, -EIO,
                    "file %" PRIu64 " of message %" PRIu64
                    " cannot be fetched (HTTP %ld)",
                    e->file, e->message, s->http);
    return false;
}

static bool take_success(struct errand *e, struct json_object *o,
                         struct facts *facts)
{
    switch (e->step) {
    case STEP_ME:
        take_me(e, o, facts);
        if (e->result < 0)
            return false;
        return go_member(e, facts);
    case STEP_MEMBER:
        return take_member(e, o, facts);
    case STEP_THREAD:
        return take_channel(e, o, facts);
    case STEP_UNARCHIVE:
        return go_back(e);
    case STEP_MAIN:
    case STEP_FILE:
        break;
    }

    switch (e->op) {
    case REMOTE_ME:
        return take_me(e, o, facts);
    case REMOTE_GUILD:
        return take_guild(e, o, facts);
    case REMOTE_CHANNELS:
        return take_channels(e, o, facts);
    case REMOTE_CHANNEL:
    case REMOTE_CHANNEL_CREATE:
    case REMOTE_THREAD_START:
        return take_channel(e, o, facts);
    case REMOTE_LIST:
    case REMOTE_SEARCH:
        return take_list(e, o, facts);
    case REMOTE_GET:
    case REMOTE_POST:
    case REMOTE_EDIT:
        return take_message(e, o, facts);
    case REMOTE_CHANNEL_DELETE:
        facts_channel_gone(facts, e->channel);
        return finish(e);
    case REMOTE_DELETE:
    case REMOTE_DELETE_MANY:
        return finish(e);
    case REMOTE_DOWNLOAD:
        return take_holder(e, o, facts);
    }
    return bad_answer(e);
}

static bool take_failure(struct errand *e, const struct status *s)
{
    bool deletes = e->op == REMOTE_DELETE || e->op == REMOTE_CHANNEL_DELETE;
    bool changes = e->op == REMOTE_DELETE || e->op == REMOTE_DELETE_MANY ||
                   e->op == REMOTE_EDIT;

    if (e->step == STEP_MAIN && deletes && s->http == 404 && e->doubtful_since)
        return finish(e); /* an earlier attempt's doing */

    if (e->step == STEP_MAIN && e->op == REMOTE_THREAD_START &&
        s->code == 160004)
        return go(e, STEP_THREAD, "GET", "/channels/%" PRIu64, e->message);

    if (e->step == STEP_MAIN && changes && s->code == 50083 && !e->unarchived) {
        e->unarchived = true;
        return go(e, STEP_UNARCHIVE, "PATCH", "/channels/%" PRIu64, e->channel);
    }
    if (e->op == REMOTE_POST && s->code == 10008 && e->doubtful_since) {
        errand_fail(e, -EIO,
                    "the message was posted and somebody deleted it at once");
        return false;
    }
    e->result = status_error(s, e->route.exempt, &e->err);
    return finish(e);
}

static enum errand_verdict verdict(bool more)
{
    return more ? ERRAND_STEP : ERRAND_DECIDED;
}

enum errand_verdict errand_answered(struct errand *e, const struct status *s,
                                    struct buf *body, struct facts *facts)
{
    if (e->raw) {
        if (e->raw_status)
            *e->raw_status = s->http;
        buf_release(&e->reply.body); /* an earlier attempt's */
        e->reply.body = buf_take(body);
        if (s->http < 200 || s->http >= 300)
            e->result = status_error(s, e->route.exempt, &e->err);
        return verdict(finish(e));
    }
    if (e->step == STEP_FILE)
        return verdict(take_file(e, s, body, facts));
    if (e->op == REMOTE_SEARCH && s->http == 202) {
        e->reply.index_not_ready = true;
        return verdict(finish(e));
    }
    if (s->http < 200 || s->http >= 300)
        return verdict(take_failure(e, s));

    /* Whoever deletes needs no answer but the status. */
    bool status_is_all = e->op == REMOTE_DELETE ||
                         e->op == REMOTE_DELETE_MANY ||
                         e->op == REMOTE_CHANNEL_DELETE;
    struct json_object *o = message_json(body->data, body->len);
    if (!o && !status_is_all)
        return ERRAND_UNREADABLE;
    bool more = take_success(e, o, facts);
    json_object_put(o);
    return verdict(more);
}
