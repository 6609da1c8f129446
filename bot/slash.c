/* What comes in, and how it is answered in time.
 *
 *     NEW --answer within a second--------------------------> ANSWERED
 *      +---told that it takes longer---> PUT_OFF --edit-----> ANSWERED
 *                                         | ^
 *                                         progress
 *
 * What Discord delivers late (events come again after a dropped connection) is
 * run only once Discord has said that somebody still waits for it: who was told
 * that the application does not answer types the command again. */
#include "bot/slash.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bot/complete.h"
#include "bot/register.h"
#include "bot/slash_impl.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/discord/discord.h"
#include "engine/discord/message.h"
#include "engine/job.h"

/* A write waits a second and more for its turn, and leaves with all that wait:
 * a thread for each of them. They start when they are needed. */
#define WORKERS 256
#define QUICK 4
/* Looking through a large table takes a processor: what puts commands off in
 * time does not wait behind it, nor does the mount. */
#define OFFERS 1

/* More than this many commands at a time are declined: behind them nobody
 * would have an answer while he still looks at it. */
#define WAITING_MAX 512

/* Discord forgets an interaction that has heard nothing for 3 s, counted from
 * when it was made; the way here and back needs some of that. */
#define PUT_OFF_MS 1200
/* What seems to be older than this is put off before it is run. The age is by
 * two clocks: it decides when Discord is told something, and nothing else. */
#define STALE_MS 2000
/* What was typed so long ago is typed further by now. */
#define OFFER_STALE_MS 1500

#define PROGRESS_MS 3000
#define REGISTER_AGAIN_MS 60000

/* Discord's ids tell milliseconds since 2015. */
#define ID_EPOCH_MS INT64_C(1420070400000)

#define PERMISSION_ADMINISTRATOR (UINT64_C(1) << 3)
#define PERMISSION_MANAGE_GUILD (UINT64_C(1) << 5)

/* --- turns ---------------------------------------------------------------- */

struct turn *turn_ref(struct turn *t)
{
    pthread_mutex_lock(&t->slash->lock);
    t->refs++;
    pthread_mutex_unlock(&t->slash->lock);
    return t;
}

void turn_unref(struct turn *t)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    bool last = --t->refs == 0;
    pthread_mutex_unlock(&s->lock);
    if (!last)
        return;
    interaction_release(&t->in);
    free(t->progress);
    free(t);
}

bool turn_allowed(const struct turn *t)
{
    const struct slash *s = t->slash;

    if (s->n_roles == 0 || (t->in.permissions & (PERMISSION_ADMINISTRATOR |
                                                 PERMISSION_MANAGE_GUILD)))
        return true;
    for (size_t i = 0; i < s->n_roles; i++)
        for (size_t k = 0; k < t->in.n_roles; k++)
            if (s->roles[i] == t->in.roles[k])
                return true;
    return false;
}

/* --- answers -------------------------------------------------------------- */

static void callback_path(const struct interaction *in, struct buf *out)
{
    buf_printf(out, "/interactions/%" PRIu64 "/%s/callback", in->id, in->token);
}

static void edit_path(const struct interaction *in, struct buf *out)
{
    buf_printf(out, "/webhooks/%" PRIu64 "/%s/messages/@original",
               in->application, in->token);
}

static void note_failure(struct turn *t, int r, const struct err *err)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    s->failed++;
    /* It is unknown after 3 seconds, and its token dies after 15 minutes. */
    s->late += r == -ENOENT || r == -EACCES;
    pthread_mutex_unlock(&s->lock);
    log_warn("slash command: an answer did not reach %s: %s", t->in.user_name,
             err_text(err, r));
}

/* Caller holds the lock. */
static void wait_told_locked(struct turn *t)
{
    while (t->state == TURN_TELLING)
        pthread_cond_wait(&t->slash->told, &t->slash->lock);
}

static int send_answer(struct turn *t, const struct reply *r, bool first,
                       const struct remote_upload *file, struct err *err)
{
    AUTO_BUF struct buf path = BUF_INIT;
    AUTO_BUF struct buf body = BUF_INIT;

    if (first)
        callback_path(&t->in, &path);
    else
        edit_path(&t->in, &path);
    reply_write(r, first ? REPLY_MESSAGE : REPLY_EDIT, &body);
    return discord_request_files(t->slash->d, first ? "POST" : "PATCH",
                                 path.data, body.data, file, file ? 1 : 0,
                                 REMOTE_INTERACTIVE, NULL, NULL, err);
}

void turn_answer(struct turn *t, const struct reply *r,
                 const struct remote_upload *file)
{
    struct slash *s = t->slash;
    struct reply reply = *r;
    struct err err = ERR_INIT;

    pthread_mutex_lock(&s->lock);
    wait_told_locked(t);
    bool first = t->state == TURN_NEW;
    t->state = TURN_ANSWERED;
    pthread_mutex_unlock(&s->lock);

    reply.is_public = t->is_public;
    if (file)
        reply.file_name = file->name;
    int res = send_answer(t, &reply, first, file, &err);
    /* An earlier attempt arrived, though its answer was lost. */
    if (first && res == -EALREADY)
        res = send_answer(t, &reply, false, file, &err);
    if (res < 0)
        note_failure(t, res, &err);
}

void turn_say(struct turn *t, const char *fmt, ...)
{
    va_list ap;
    AUTO_BUF struct buf b = BUF_INIT;

    va_start(ap, fmt);
    buf_vprintf(&b, fmt, ap);
    va_end(ap);
    turn_answer(t, &(struct reply){.content = b.data}, NULL);
}

/* A request that nobody waits for. */
static void told(void *arg, int r, struct remote_reply *reply,
                 const struct err *err)
{
    struct turn *t = arg;
    struct slash *s = t->slash;

    (void)reply;
    bool took = r == 0 || r == -EALREADY;
    if (!took)
        note_failure(t, r, err);
    pthread_mutex_lock(&s->lock);
    t->heard = t->heard || took;
    if (t->state == TURN_TELLING)
        t->state = t->heard ? TURN_PUT_OFF : TURN_NEW;
    pthread_cond_broadcast(&s->told);
    pthread_mutex_unlock(&s->lock);
    turn_unref(t);

    pthread_mutex_lock(&s->lock);
    s->asking--; /* the last touch: slash_stop() waits for it */
    pthread_cond_broadcast(&s->told);
    pthread_mutex_unlock(&s->lock);
}

/* After this the turn is TELLING until Discord has heard it. */
static void submit(struct turn *t, const char *method, const struct buf *path,
                   const struct buf *body)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    s->asking++;
    pthread_mutex_unlock(&s->lock);
    discord_submit(s->d, method, path->data, body->data, REMOTE_INTERACTIVE,
                   told, turn_ref(t));
}

void turn_answer_now(struct turn *t, const struct reply *r,
                     enum reply_kind kind)
{
    AUTO_BUF struct buf path = BUF_INIT;
    AUTO_BUF struct buf body = BUF_INIT;
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    bool first = t->state == TURN_NEW;
    if (first)
        t->state = TURN_TELLING;
    pthread_mutex_unlock(&s->lock);
    if (!first)
        return;
    callback_path(&t->in, &path);
    reply_write(r, kind, &body);
    submit(t, "POST", &path, &body);
}

void turn_edit_now(struct turn *t, const struct reply *r)
{
    AUTO_BUF struct buf path = BUF_INIT;
    AUTO_BUF struct buf body = BUF_INIT;

    edit_path(&t->in, &path);
    reply_write(r, REPLY_EDIT, &body);
    submit(t, "PATCH", &path, &body);
}

/* --- in time -------------------------------------------------------------- */

static void put_off(void *arg)
{
    struct turn *t = arg;

    turn_answer_now(t, &(struct reply){.is_public = t->is_public}, REPLY_LATER);
    turn_unref(t);
}

/* Tells how far it is, if there is news. */
static void tell_progress(void *arg)
{
    struct turn *t = arg;
    struct slash *s = t->slash;
    AUTO_STR char *text = NULL;

    pthread_mutex_lock(&s->lock);
    bool on = !t->ended && !s->stopping;
    if (on && t->state == TURN_PUT_OFF && t->progress) {
        text = t->progress;
        t->progress = NULL;
        t->state = TURN_TELLING;
    }
    pthread_mutex_unlock(&s->lock);
    if (text) {
        AUTO_BUF struct buf content = BUF_INIT;
        show_block(&content, "", text, strlen(text), SHOW_CONTENT_MAX / 2);
        turn_edit_now(t, &(struct reply){.content = content.data});
    }
    if (on)
        job_after(s->quick, PROGRESS_MS, tell_progress, t);
    else
        turn_unref(t);
}

void turn_tell_progress(struct turn *t)
{
    job_after(t->slash->quick, PROGRESS_MS, tell_progress, turn_ref(t));
}

void turn_end(struct turn *t)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    t->ended = true;
    s->waiting--;
    pthread_cond_broadcast(&s->told);
    pthread_mutex_unlock(&s->lock);
    turn_unref(t);
}

static int64_t age_ms(const struct turn *t)
{
    int64_t age = clock_wall_ms() - (int64_t)(t->in.id >> 22) - ID_EPOCH_MS;

    return age > 0 ? age : 0;
}

/* Does Discord still let it be answered? Waits, until it has said so. */
static bool is_awaited(struct turn *t)
{
    struct slash *s = t->slash;

    turn_answer_now(t, &(struct reply){.is_public = t->is_public}, REPLY_LATER);
    pthread_mutex_lock(&s->lock);
    wait_told_locked(t);
    bool heard = t->heard;
    pthread_mutex_unlock(&s->lock);
    return heard;
}

/* --- coming in ------------------------------------------------------------ */

static void command_run(void *arg)
{
    struct turn *t = arg;
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        turn_say(t, "dbcord is being stopped; nothing was done. Try again when "
                    "it is back.");
    else if (age_ms(t) > STALE_MS && !is_awaited(t))
        log_warn("slash command: %s of %s came too late and was not run",
                 t->in.command, t->in.user_name);
    else
        run_command(t, t);
    turn_end(t);
}

static void choices_run(void *arg)
{
    struct turn *t = arg;
    AUTO_BUF struct buf path = BUF_INIT;
    AUTO_BUF struct buf body = BUF_INIT;

    if (turn_allowed(t) && clock_mono_ms() - t->came_ms < OFFER_STALE_MS)
        complete_choices(t->database, &t->in, &body);
    else
        reply_write_choices(NULL, 0, &body);
    callback_path(&t->in, &path);
    submit(t, "POST", &path, &body);
    turn_unref(t);
}

static void decline(struct turn *t, const char *why)
{
    turn_answer_now(t, &(struct reply){.content = why}, REPLY_MESSAGE);
    turn_unref(t);
}

static void take_command(struct turn *t)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    bool full = s->waiting >= WAITING_MAX;
    if (full)
        s->declined++;
    else
        s->waiting++;
    pthread_mutex_unlock(&s->lock);
    if (full) {
        decline(t, "Too many commands at once; nothing was done. Please try "
                   "again in a few seconds.");
        return;
    }
    job_after(s->quick, PUT_OFF_MS - age_ms(t), put_off, turn_ref(t));
    turn_tell_progress(t);
    job_run(s->workers, command_run, t);
}

static struct database *database_of(struct slash *s, uint64_t guild)
{
    for (size_t i = 0; i < engine_database_count(s->engine); i++) {
        struct database *d = engine_database_at(s->engine, i);
        if (database_id(d) == guild)
            return d;
    }
    return NULL;
}

static bool wants_public(const struct interaction *in)
{
    const struct interaction_option *o = interaction_option(in, SLASH_PUBLIC);

    return o && o->value_len == 4 && memcmp(o->value, "true", 4) == 0;
}

static void count(struct slash *s, const struct interaction *in)
{
    pthread_mutex_lock(&s->lock);
    s->commands += in->kind == INTERACTION_COMMAND;
    s->presses += in->kind == INTERACTION_PRESS;
    s->typings += in->kind == INTERACTION_TYPING;
    pthread_mutex_unlock(&s->lock);
}

void slash_interaction(struct slash *s, struct json_object *data)
{
    struct turn *t = xcalloc(1, sizeof(*t));
    struct err err = ERR_INIT;

    t->slash = s;
    t->refs = 1;
    t->came_ms = clock_mono_ms();
    /* A tree of one's own: json-c counts references without a lock, unless it
     * was built to. */
    struct json_object *copy = NULL;
    json_object_deep_copy(data, &copy, NULL);
    int r = interaction_parse(copy, &t->in, &err);
    json_object_put(copy);
    if (r < 0) {
        log_warn("slash command: %s", err_text(&err, r));
        if (t->in.id && t->in.token && t->in.user_name)
            decline(t, "This is not something dbcord understands.");
        else
            turn_unref(t);
        return;
    }
    count(s, &t->in);
    t->is_public = wants_public(&t->in);
    t->database = database_of(s, t->in.guild);
    if (!t->database) {
        if (t->in.kind == INTERACTION_TYPING)
            job_run(s->offers, choices_run, t);
        else
            decline(t, "This server is not one that this dbcord serves: set "
                       "its id in DBCORD_GUILD_ID and start it again.");
        return;
    }
    switch (t->in.kind) {
    case INTERACTION_COMMAND:
        take_command(t);
        break;
    case INTERACTION_PRESS:
        job_run(s->quick, press_run, t);
        break;
    case INTERACTION_TYPING:
        job_run(s->offers, choices_run, t);
        break;
    }
}

/* --- registration --------------------------------------------------------- */

static uint64_t application_id(struct slash *s, struct err *err)
{
    AUTO_BUF struct buf body = BUF_INIT;

    if (discord_request(s->d, "GET", "/applications/@me", NULL, REMOTE_NORMAL,
                        NULL, &body, err) < 0)
        return 0;
    struct json_object *o = message_json(body.data ? body.data : "", body.len);
    uint64_t id = message_id(o, "id");
    json_object_put(o);
    if (!id)
        err_set(err, -EBADMSG, "the application has no id");
    return id;
}

static void register_run(void *arg)
{
    struct slash *s = arg;
    struct err err = ERR_INIT;
    uint64_t done = 0;
    size_t n = engine_database_count(s->engine);

    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (stopping)
        return;
    uint64_t application = application_id(s, &err);
    int r = application ? 0 : -EIO;
    for (size_t i = 0; i < n && application; i++) {
        uint64_t guild = database_id(engine_database_at(s->engine, i));
        int res = register_commands(s->d, application, guild, s->n_roles > 0,
                                    NULL, &err);
        if (res < 0)
            r = res;
        else
            done++;
    }
    pthread_mutex_lock(&s->lock);
    s->registered = done;
    pthread_mutex_unlock(&s->lock);
    if (r == 0)
        return;
    log_warn("slash commands: %s", err_text(&err, r));
    if (r != -EPERM && r != -EACCES && r != -EINVAL && r != -ESHUTDOWN)
        job_after(s->workers, REGISTER_AGAIN_MS, register_run, s);
}

/* --- start and end -------------------------------------------------------- */

struct slash *slash_start(const struct slash_options *o)
{
    struct slash *s = xcalloc(1, sizeof(*s));

    s->d = o->discord;
    s->engine = o->engine;
    s->roles = xcalloc(o->n_roles, sizeof(*s->roles));
    if (o->n_roles > 0)
        memcpy(s->roles, o->roles, o->n_roles * sizeof(*s->roles));
    s->n_roles = o->n_roles;
    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->told, NULL);
    s->workers = job_pool_new(WORKERS);
    s->quick = job_pool_new(QUICK);
    s->offers = job_pool_new(OFFERS);
    job_run(s->workers, register_run, s);
    return s;
}

void slash_stop(struct slash *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->stopping = true;
    /* The two pools hand work to each other. What was counted before the word
     * was said ends first; after that nothing is given to the workers. */
    while (s->waiting > 0)
        pthread_cond_wait(&s->told, &s->lock);
    pthread_mutex_unlock(&s->lock);
    job_pool_free(s->workers);
    job_pool_free(s->offers);
    job_pool_free(s->quick);
    press_release(s);
    pthread_mutex_lock(&s->lock);
    while (s->asking > 0)
        pthread_cond_wait(&s->told, &s->lock);
    pthread_mutex_unlock(&s->lock);
    pthread_cond_destroy(&s->told);
    pthread_mutex_destroy(&s->lock);
    free(s->roles);
    free(s);
}

void slash_status(struct slash *s, struct buf *out)
{
    pthread_mutex_lock(&s->lock);
    buf_printf(out,
               "{\"commands\":%" PRIu64 ",\"presses\":%" PRIu64
               ",\"typings\":%" PRIu64 ",\"waiting\":%zu,\"declined\":%" PRIu64
               ",\"failed\":%" PRIu64 ",\"late\":%" PRIu64
               ",\"registered\":%" PRIu64 "}",
               s->commands, s->presses, s->typings, s->waiting, s->declined,
               s->failed, s->late, s->registered);
    pthread_mutex_unlock(&s->lock);
}
