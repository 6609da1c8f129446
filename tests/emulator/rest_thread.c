/* Threads: started, listed, changed, joined. */
#include "tests/emulator/rest_thread.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/message.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

enum {
    ACTIVE_MAX = 1000,
    MEMBERS_MAX = 1000,
    CREATES = 50, /* by the bot, in 300 s */
    CREATES_MS = 300 * 1000,
    RENAMES = 2,
    RENAMES_MS = 600 * 1000,
    DEFAULT_MINUTES = 4320,
};

/* --- start --- */

static bool minutes_field(struct form *f, struct json_object *body,
                          int64_t *minutes)
{
    if (field_int(f, body, "", "auto_archive_duration", 60, 10080, minutes) !=
        FIELD_OK)
        return false;
    if (*minutes != 60 && *minutes != 1440 && *minutes != 4320 &&
        *minutes != 10080)
        form_error(f, "auto_archive_duration", "BASE_TYPE_CHOICES",
                   "Value must be one of (60, 1440, 4320, 10080).");
    return true;
}

/* What the body asks for, as a draft; NULL: answered. */
static struct channel *draft(struct call *c, const struct channel *parent,
                             enum channel_type type)
{
    struct form f = FORM_INIT;
    struct json_object *body = c->req.json;
    const char *name = "";
    int64_t slow = parent->default_thread_rate_limit;
    int64_t minutes = parent->default_auto_archive_minutes
                          ? parent->default_auto_archive_minutes
                          : DEFAULT_MINUTES;
    bool invitable = true;

    enum field got = field_string(&f, body, "", "name", 1, 100, &name);
    if (got == FIELD_ABSENT || got == FIELD_NULL)
        form_error(&f, "name", "BASE_TYPE_REQUIRED", "This field is required");
    minutes_field(&f, body, &minutes);
    field_int(&f, body, "", "rate_limit_per_user", 0, 21600, &slow);
    field_bool(&f, body, "", "invitable", &invitable);
    if (form_failed(&f)) {
        call_form(c, &f);
        return NULL;
    }
    if (guild_active_threads(channel_guild(c->e, parent)) >= ACTIVE_MAX) {
        call_error(c, 400, 160006, "Maximum number of active threads reached");
        return NULL;
    }
    if (!limits_hidden(c, "thread-create", 0, CREATES, CREATES_MS, "shared", 0))
        return NULL;

    struct channel *t = channel_draft(parent->guild_id, type, name);
    t->parent_id = parent->id;
    t->rate_limit_per_user = (int)slow;
    t->thread->owner_id = c->e->bot->id;
    t->thread->auto_archive_minutes = (int)minutes;
    t->thread->invitable = invitable;
    return t;
}

/* "… started a thread" in the parent. */
static void announce(struct emulator *e, const struct channel *parent,
                     const struct channel *t)
{
    struct message *m =
        message_draft(parent, t->thread->owner_id, MESSAGE_THREAD_CREATED);
    free(m->content);
    m->content = xstrdup(t->name);
    m->ref_channel = t->id;
    message_insert(e, m);
}

static bool parent_type_ok(struct call *c, const struct channel *parent)
{
    if (parent->type == CHANNEL_TEXT || parent->type == CHANNEL_ANNOUNCEMENT)
        return true;
    call_error(c, 400, 50024, "Cannot execute action on this channel type");
    return false;
}

static enum channel_type public_type(const struct channel *parent)
{
    return parent->type == CHANNEL_ANNOUNCEMENT ? CHANNEL_ANNOUNCEMENT_THREAD
                                                : CHANNEL_PUBLIC_THREAD;
}

static void post_on_message(struct call *c)
{
    struct channel *parent = rest_channel(c, 0, PERM_CREATE_PUBLIC_THREADS);
    struct message *m;

    if (!parent || !parent_type_ok(c, parent) ||
        !(m = rest_message(c, parent, 1)))
        return;
    if (channel_find(c->e, m->id)) {
        call_error(c, 400, 160004,
                   "A thread has already been created for this message");
        return;
    }
    if (m->type != MESSAGE_DEFAULT && m->type != MESSAGE_REPLY &&
        m->type != MESSAGE_COMMAND) {
        call_error(c, 400, 50068, "Invalid message type");
        return;
    }
    struct channel *t = draft(c, parent, public_type(parent));
    if (!t)
        return;
    bool newest = parent->messages[parent->message_count - 1] == m;
    t->id = m->id;
    channel_insert(c->e, t);

    struct message *starter =
        message_draft(t, c->e->bot->id, MESSAGE_THREAD_STARTER);
    starter->ref_channel = parent->id;
    starter->ref_message = m->id;
    message_insert(c->e, starter);

    m->flags |= MESSAGE_HAS_THREAD;
    message_changed(c->e, m);
    /* Under the newest message the thread is seen where it is. */
    if (!newest)
        announce(c->e, parent, t);
    call_json(c, 201, channel_json(c->e, t, c->e->bot->id));
}

static void post_thread(struct call *c)
{
    struct channel *parent = rest_channel(c, 0, 0);
    int64_t type = CHANNEL_PRIVATE_THREAD;
    struct form f = FORM_INIT;

    if (!parent || !parent_type_ok(c, parent))
        return;
    field_int(&f, c->req.json, "", "type", 10, 12, &type);
    /* Announcements have threads of their own kind, and no others. */
    bool text = parent->type == CHANNEL_TEXT;
    if (type != public_type(parent) &&
        !(text && type == CHANNEL_PRIVATE_THREAD))
        form_error(&f, "type", "BASE_TYPE_CHOICES", "Value must be one of %s.",
                   text ? "(11, 12)" : "(10,)");
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    if (!perm_require(c, parent,
                      type == CHANNEL_PRIVATE_THREAD
                          ? PERM_CREATE_PRIVATE_THREADS
                          : PERM_CREATE_PUBLIC_THREADS))
        return;
    struct channel *t = draft(c, parent, (enum channel_type)type);
    if (!t)
        return;
    channel_insert(c->e, t);
    if (type != CHANNEL_PRIVATE_THREAD)
        announce(c->e, parent, t);
    call_json(c, 201, channel_json(c->e, t, c->e->bot->id));
}

/* --- change --- */

void rest_patch_thread(struct call *c, struct channel *ch)
{
    struct thread *t = ch->thread;
    struct json_object *body = c->req.json;
    struct form f = FORM_INIT;
    const char *name = NULL;
    bool archived = t->archived, locked = t->locked, invitable = t->invitable;
    int64_t minutes = t->auto_archive_minutes, slow = ch->rate_limit_per_user;
    uint64_t bits = perm_in_channel(c->e, ch, c->e->bot->id);
    bool manages = bits & PERM_MANAGE_THREADS;
    bool owns = t->owner_id == c->e->bot->id;

    field_string(&f, body, "", "name", 1, 100, &name);
    field_bool(&f, body, "", "archived", &archived);
    field_bool(&f, body, "", "locked", &locked);
    field_bool(&f, body, "", "invitable", &invitable);
    minutes_field(&f, body, &minutes);
    field_int(&f, body, "", "rate_limit_per_user", 0, 21600, &slow);
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    if (t->archived && archived) {
        call_error(c, 400, 50083, "Thread is archived");
        return;
    }
    /* Anyone who may write in it wakes a sleeping thread; a locked one only
     * who manages threads. Everything else is its creator's or theirs. */
    bool wakes_only = t->archived && !archived && !t->locked && !name &&
                      locked == t->locked && bits & PERM_SEND_IN_THREADS;
    bool creators = (locked == t->locked || manages) && !t->locked &&
                    slow == ch->rate_limit_per_user && owns;
    if (!manages && !wakes_only && !creators) {
        call_missing_permissions(c);
        return;
    }
    if (t->archived && !archived &&
        guild_active_threads(channel_guild(c->e, ch)) >= ACTIVE_MAX) {
        call_error(c, 400, 160006, "Maximum number of active threads reached");
        return;
    }
    bool renamed = name && strcmp(name, ch->name) != 0;
    if (renamed && !limits_hidden(c, "channel-name", ch->id, RENAMES,
                                  RENAMES_MS, "shared", 0))
        return;

    if (renamed) {
        free(ch->name);
        ch->name = xstrdup(name);
    }
    t->locked = locked;
    t->invitable = invitable;
    t->auto_archive_minutes = (int)minutes;
    ch->rate_limit_per_user = (int)slow;
    if (archived != t->archived)
        thread_set_archived(c->e, ch, archived);
    else
        channel_changed(c->e, ch);
    if (renamed && !archived) {
        struct message *m =
            message_draft(ch, c->e->bot->id, MESSAGE_NAME_CHANGE);
        free(m->content);
        m->content = xstrdup(ch->name);
        message_insert(c->e, m);
    }
    call_json(c, 200, channel_json(c->e, ch, c->e->bot->id));
}

/* --- members --- */

static struct channel *rest_thread(struct call *c, uint64_t bits)
{
    struct channel *ch = rest_channel(c, 0, bits);
    if (ch && !ch->thread) {
        call_error(c, 400, 50024, "Cannot execute action on this channel type");
        return NULL;
    }
    return ch;
}

static struct channel *rest_open_thread(struct call *c, uint64_t bits)
{
    struct channel *ch = rest_thread(c, bits);
    if (ch && ch->thread->archived) {
        call_error(c, 400, 50083, "Thread is archived");
        return NULL;
    }
    return ch;
}

static void join(struct call *c, struct channel *ch, uint64_t user_id)
{
    if (!guild_member(channel_guild(c->e, ch), user_id)) {
        call_unknown(c, 10013, "User");
        return;
    }
    if (!thread_has_member(ch, user_id) &&
        ch->thread->member_count >= MEMBERS_MAX) {
        call_error(c, 400, 30033,
                   "Maximum number of thread participants has been reached "
                   "(1000)");
        return;
    }
    thread_join(c->e, ch, user_id);
    call_empty(c);
}

static void put_self(struct call *c)
{
    struct channel *ch = rest_open_thread(c, 0);
    if (ch)
        join(c, ch, c->e->bot->id);
}

static void put_member(struct call *c)
{
    struct channel *ch = rest_open_thread(c, PERM_SEND_IN_THREADS);
    if (ch)
        join(c, ch, c->ids[1]);
}

static void delete_self(struct call *c)
{
    struct channel *ch = rest_open_thread(c, 0);
    if (!ch)
        return;
    thread_leave(c->e, ch, c->e->bot->id);
    call_empty(c);
}

static void delete_member(struct call *c)
{
    struct channel *ch = rest_open_thread(c, 0);
    if (!ch)
        return;
    bool private_owner = ch->type == CHANNEL_PRIVATE_THREAD &&
                         ch->thread->owner_id == c->e->bot->id;
    if (!private_owner && !perm_require(c, ch, PERM_MANAGE_THREADS))
        return;
    thread_leave(c->e, ch, c->ids[1]);
    call_empty(c);
}

static struct json_object *member_of(struct call *c, const struct channel *ch,
                                     uint64_t user_id)
{
    struct json_object *o = thread_member_json(ch, user_id);
    bool bad = false;
    if (o && request_query_bool(&c->req, "with_member", false, &bad)) {
        const struct guild *g = channel_guild(c->e, ch);
        const struct member *m = guild_member(g, user_id);
        if (m)
            json_object_object_add(o, "member", member_json(c->e, g, m, true));
    }
    return o;
}

static void get_member(struct call *c)
{
    struct channel *ch = rest_thread(c, 0);
    if (!ch)
        return;
    uint64_t id = c->ids[1] ? c->ids[1] : c->e->bot->id;
    struct json_object *o = member_of(c, ch, id);
    if (o)
        call_json(c, 200, o);
    else
        call_unknown(c, 10007, "Member");
}

static void get_members(struct call *c)
{
    struct channel *ch = rest_thread(c, 0);
    if (!ch || !rest_members_intent(c))
        return;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < ch->thread->member_count; i++)
        json_object_array_add(list,
                              member_of(c, ch, ch->thread->members[i].user_id));
    call_json(c, 200, list);
}

/* --- lists --- */

static void add_thread(struct call *c, struct json_object *threads,
                       struct json_object *members, const struct channel *t)
{
    json_object_array_add(threads, channel_json(c->e, t, c->e->bot->id));
    struct json_object *m = thread_member_json(t, c->e->bot->id);
    if (m)
        json_object_array_add(members, m);
}

static void get_active(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    if (!g)
        return;
    struct json_object *o = json_object_new_object();
    struct json_object *threads = json_object_new_array();
    struct json_object *members = json_object_new_array();
    for (size_t i = g->thread_count; i-- > 0;)
        if (!g->threads[i]->thread->archived &&
            perm_in_channel(c->e, g->threads[i], c->e->bot->id))
            add_thread(c, threads, members, g->threads[i]);
    json_object_object_add(o, "threads", threads);
    json_object_object_add(o, "members", members);
    json_object_object_add(o, "has_more", json_object_new_boolean(false));
    call_json(c, 200, o);
}

static int by_archive(const void *a, const void *b)
{
    const struct channel *const *x = a, *const *y = b;
    int64_t p = (*x)->thread->archive_at, q = (*y)->thread->archive_at;
    if (p != q)
        return p < q ? 1 : -1;
    return ((*x)->id < (*y)->id) - ((*x)->id > (*y)->id);
}

static int by_id_down(const void *a, const void *b)
{
    const struct channel *const *x = a, *const *y = b;
    return ((*x)->id < (*y)->id) - ((*x)->id > (*y)->id);
}

/* private_type: private threads, else public ones; joined: only those the
 * bot is in, ordered and cut by id instead of by time. */
static void list_archived(struct call *c, bool private_type, bool joined)
{
    uint64_t bits = PERM_READ_HISTORY;
    if (private_type && !joined)
        bits |= PERM_MANAGE_THREADS;
    const char *before = request_query(&c->req, "before");
    struct channel *parent = rest_channel(c, 0, bits);
    int64_t limit, until = INT64_MAX;
    uint64_t below = UINT64_MAX;

    if (!parent || !rest_limit(c, "limit", 2, 100, 50, &limit))
        return;
    if (before && (joined ? !snowflake_parse(before, &below)
                          : !clock_parse_stamp(before, &until))) {
        call_form_error(c, "before", "DATE_TIME_TYPE_PARSE",
                        "Could not parse %.60s. Should be ISO8601.", before);
        return;
    }
    const struct guild *g = channel_guild(c->e, parent);
    struct channel **found = xcalloc(g->thread_count, sizeof *found);
    size_t n = 0;
    for (size_t i = 0; i < g->thread_count; i++) {
        struct channel *t = g->threads[i];
        if (t->parent_id != parent->id || !t->thread->archived ||
            private_type != (t->type == CHANNEL_PRIVATE_THREAD) ||
            (joined && !thread_has_member(t, c->e->bot->id)) ||
            t->thread->archive_at >= until || t->id >= below)
            continue;
        found[n++] = t;
    }
    if (n)
        qsort(found, n, sizeof *found, joined ? by_id_down : by_archive);

    struct json_object *o = json_object_new_object();
    struct json_object *threads = json_object_new_array();
    struct json_object *members = json_object_new_array();
    for (size_t i = 0; i < n && i < (size_t)limit; i++)
        add_thread(c, threads, members, found[i]);
    free(found);
    json_object_object_add(o, "threads", threads);
    json_object_object_add(o, "members", members);
    json_object_object_add(o, "has_more",
                           json_object_new_boolean(n > (size_t)limit));
    call_json(c, 200, o);
}

static void get_archived_public(struct call *c)
{
    list_archived(c, false, false);
}

static void get_archived_private(struct call *c)
{
    list_archived(c, true, false);
}

static void get_archived_joined(struct call *c)
{
    list_archived(c, true, true);
}

static const struct bucket membership = {"thread-members", 5, 5000, true};

#define THREADS "/channels/{channel.id}/threads"
#define MEMBERS "/channels/{channel.id}/thread-members"

const struct route thread_routes[] = {
    {"POST", "/channels/{channel.id}/messages/{message.id}/threads",
     post_on_message, NULL, NULL, 0},
    {"POST", THREADS, post_thread, NULL, NULL, 0},
    {"GET", "/guilds/{guild.id}/threads/active", get_active, NULL, NULL, 0},
    {"GET", THREADS "/archived/public", get_archived_public, NULL, NULL, 0},
    {"GET", THREADS "/archived/private", get_archived_private, NULL, NULL, 0},
    {"GET", "/channels/{channel.id}/users/@me/threads/archived/private",
     get_archived_joined, NULL, NULL, 0},
    {"GET", MEMBERS, get_members, NULL, NULL, 0},
    {"GET", MEMBERS "/@me", get_member, NULL, NULL, 0},
    {"GET", MEMBERS "/{user.id}", get_member, NULL, NULL, 0},
    {"PUT", MEMBERS "/@me", put_self, &membership, NULL, 0},
    {"PUT", MEMBERS "/{user.id}", put_member, &membership, NULL, 0},
    {"DELETE", MEMBERS "/@me", delete_self, &membership, NULL, 0},
    {"DELETE", MEMBERS "/{user.id}", delete_member, &membership, NULL, 0},
    {0},
};
