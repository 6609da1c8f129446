/* The control routes, under /emulator: outside the API, without a token. What
 * they change is changed without limits or permissions, journalled, and told
 * to the gateway like anything else.
 *
 *   GET    /emulator/requests      counts since start or the last DELETE
 *   DELETE /emulator/requests
 *   GET    /emulator/trace?since=N the newest exchanges, in full
 *   GET    /emulator/faults        what is still to happen
 *   POST   /emulator/faults        {"route","method"?,"times"?,"do"}
 *   DELETE /emulator/faults
 *   GET    /emulator/clock         {"now":ms}
 *   POST   /emulator/clock         {"advance_ms":n}
 *   GET    /emulator/guild         everything that is held
 *   POST   /emulator/guilds        {"name"}: another guild with the bot in it
 *   POST   /emulator/users         {"name"}: a person, member of every guild
 *   POST   /emulator/application   {"flags":n} or
 * {"intents":["message_content", "members","presence"]}: what the portal allows
 *   POST   /emulator/permissions   {"guild_id"?,"permissions":"bits"} or
 *                                  {"grant":"bits"} / {"revoke":"bits"}: of
 *                                  the bot's role
 *   POST   /emulator/messages      {"channel_id","user"?,"content"}: somebody
 *                                  writes ("owner" if not said)
 *   PATCH  /emulator/messages      {"channel_id","message_id","content"}: the
 *                                  text is changed by force: damage
 *   DELETE /emulator/messages      {"channel_id","message_id"}: removed by a
 *                                  moderator's hand
 *   DELETE /emulator/channels      {"channel_id"}
 */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/fault.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/record.h"
#include "tests/emulator/route.h"
#include "tests/emulator/tally.h"
#include "tests/emulator/user.h"

static void wrong(struct call *c, const char *what)
{
    call_error(c, 400, 0, what);
}

static const char *text_member(struct call *c, const char *key)
{
    struct json_object *v = json_object_object_get(c->req.json, key);
    return json_object_is_type(v, json_type_string) ? json_object_get_string(v)
                                                    : NULL;
}

static bool has_body(struct call *c)
{
    if (json_object_is_type(c->req.json, json_type_object))
        return true;
    wrong(c, "a JSON object is wanted as the body");
    return false;
}

static void get_requests(struct call *c)
{
    call_json(c, 200, tally_json(c->e));
}

static void delete_requests(struct call *c)
{
    tally_clear(c->e);
    call_empty(c);
}

static void get_trace(struct call *c)
{
    const char *since = request_query(&c->req, "since");
    call_json(c, 200, trace_json(c->e, since ? strtoull(since, NULL, 10) : 0));
}

static void get_faults(struct call *c)
{
    call_json(c, 200, faults_json(c->e));
}

static void post_faults(struct call *c)
{
    if (!has_body(c))
        return;
    const char *bad = faults_add(c->e, c->req.json);
    if (bad)
        wrong(c, bad);
    else
        call_json(c, 200, faults_json(c->e));
}

static void delete_faults(struct call *c)
{
    faults_clear(c->e);
    call_empty(c);
}

static void get_clock(struct call *c)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "now", json_object_new_int64(emulator_now(c->e)));
    call_json(c, 200, o);
}

static void post_clock(struct call *c)
{
    if (!has_body(c))
        return;
    struct json_object *v = json_object_object_get(c->req.json, "advance_ms");
    int64_t ms = json_object_get_int64(v);
    if (!json_object_is_type(v, json_type_int) || ms < 0 ||
        ms > 100LL * 366 * 24 * 3600 * 1000) {
        wrong(c, "\"advance_ms\" must be a number of milliseconds, 0 or more");
        return;
    }
    clock_advance(c->e, ms);
    record_clock(c->e);
    get_clock(c);
}

/* --- everything --- */

static struct json_object *channel_whole(struct emulator *e,
                                         const struct channel *ch)
{
    struct json_object *o = channel_json(e, ch, e->bot->id);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < ch->message_count; i++)
        json_object_array_add(list, message_full_json(e, ch->messages[i]));
    json_object_object_add(o, "messages", list);
    return o;
}

static struct json_object *guild_whole(struct emulator *e,
                                       const struct guild *g)
{
    struct json_object *o = guild_json(e, g, true);
    struct json_object *channels = json_object_new_array();
    struct json_object *threads = json_object_new_array();
    struct json_object *members = json_object_new_array();
    for (size_t i = 0; i < g->channel_count; i++)
        json_object_array_add(channels, channel_whole(e, g->channels[i]));
    for (size_t i = 0; i < g->thread_count; i++)
        json_object_array_add(threads, channel_whole(e, g->threads[i]));
    for (size_t i = 0; i < g->member_count; i++)
        json_object_array_add(members, member_json(e, g, g->members[i], true));
    json_object_object_add(o, "channels", channels);
    json_object_object_add(o, "threads", threads);
    json_object_object_add(o, "members", members);
    return o;
}

static int by_id(const void *a, const void *b)
{
    const struct user *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* By id: a map has no order of its own. */
static struct json_object *users_whole(struct emulator *e)
{
    struct json_object *list = json_object_new_array();
    const struct user **all = xcalloc(e->users.count, sizeof *all);
    size_t at = 0, n = 0;

    for (const struct user *u; (u = map_next(&e->users, &at));)
        all[n++] = u;
    qsort(all, n, sizeof *all, by_id);
    for (size_t i = 0; i < n; i++)
        json_object_array_add(list, user_json(all[i]));
    free(all);
    return list;
}

/* The first guild's keys stand at the top, all guilds under "guilds". */
static void get_guild(struct call *c)
{
    struct emulator *e = c->e;
    struct json_object *o = guild_whole(e, e->guilds[0]);
    struct json_object *guilds = json_object_new_array();

    for (size_t i = 0; i < e->guild_count; i++)
        json_object_array_add(guilds, guild_whole(e, e->guilds[i]));
    json_object_object_add(o, "guilds", guilds);
    json_object_object_add(o, "users", users_whole(e));
    json_object_object_add(o, "application", application_json(e));
    json_object_object_add(o, "now", json_object_new_int64(emulator_now(e)));
    call_json(c, 200, o);
}

/* --- changes from outside --- */

static void post_guilds(struct call *c)
{
    if (!has_body(c))
        return;
    const char *name = text_member(c, "name");
    if (!name || !*name)
        wrong(c, "\"name\" is missing");
    else
        call_json(c, 201, guild_json(c->e, guild_new(c->e, name), false));
}

static void post_users(struct call *c)
{
    if (!has_body(c))
        return;
    const char *name = text_member(c, "name");
    if (!name || !*name || user_by_name(c->e, name)) {
        wrong(c, "\"name\" is missing or taken");
        return;
    }
    struct user *u = user_new(c->e, name, false);
    for (size_t i = 0; i < c->e->guild_count; i++)
        member_new(c->e, c->e->guilds[i], u);
    call_json(c, 201, user_json(u));
}

static void post_application(struct call *c)
{
    if (!has_body(c))
        return;
    struct json_object *flags = json_object_object_get(c->req.json, "flags");
    struct json_object *names = json_object_object_get(c->req.json, "intents");
    uint32_t v = 0;

    if (json_object_is_type(flags, json_type_int)) {
        v = (uint32_t)json_object_get_int64(flags);
    } else if (json_object_is_type(names, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(names); i++) {
            const char *s =
                json_object_get_string(json_object_array_get_idx(names, i));
            if (s && strcmp(s, "message_content") == 0)
                v |= APP_FLAG_MESSAGE_CONTENT_LIMITED;
            else if (s && strcmp(s, "members") == 0)
                v |= APP_FLAG_MEMBERS_LIMITED;
            else if (s && strcmp(s, "presence") == 0)
                v |= APP_FLAG_PRESENCE_LIMITED;
            else {
                wrong(c, "intents are \"message_content\", \"members\" and "
                         "\"presence\"");
                return;
            }
        }
    } else {
        wrong(c, "\"flags\" (a number) or \"intents\" (names) is missing");
        return;
    }
    c->e->app->flags = v;
    application_changed(c->e);
    call_json(c, 200, application_json(c->e));
}

static void post_permissions(struct call *c)
{
    struct emulator *e = c->e;
    if (!has_body(c))
        return;
    struct json_object *id = json_object_object_get(c->req.json, "guild_id");
    struct guild *g = id ? guild_find(e, snowflake_of(id)) : e->guilds[0];
    struct role *r = g ? guild_bot_role(e, g) : NULL;
    static const char *const ways[] = {"permissions", "grant", "revoke"};

    if (!r) {
        wrong(c, "there is no such guild, or the bot has no role in it");
        return;
    }
    uint64_t bits = r->permissions;
    bool any = false;
    for (int i = 0; i < 3; i++) {
        struct json_object *v = json_object_object_get(c->req.json, ways[i]);
        uint64_t n;
        if (!v || !str_to_u64(json_object_get_string(v), &n))
            continue;
        any = true;
        bits = i == 0 ? n : i == 1 ? bits | n : bits & ~n;
    }
    if (!any) {
        wrong(c, "\"permissions\", \"grant\" or \"revoke\" with bits is "
                 "missing");
        return;
    }
    r->permissions = bits;
    role_changed(e, g, r);
    call_json(c, 200, role_json(r));
}

static struct channel *named_channel(struct call *c)
{
    if (!has_body(c))
        return NULL;
    struct channel *ch = channel_find(
        c->e, snowflake_of(json_object_object_get(c->req.json, "channel_id")));
    if (!ch)
        wrong(c, "\"channel_id\" names no channel");
    return ch;
}

static struct message *named_message(struct call *c)
{
    struct channel *ch = named_channel(c);
    if (!ch)
        return NULL;
    struct message *m = message_find(
        c->e, ch->id,
        snowflake_of(json_object_object_get(c->req.json, "message_id")));
    if (!m)
        wrong(c, "\"message_id\" names no message of that channel");
    return m;
}

static void post_messages(struct call *c)
{
    struct channel *ch = named_channel(c);
    if (!ch)
        return;
    const char *name = text_member(c, "user");
    const char *content = text_member(c, "content");
    const struct user *u = user_by_name(c->e, name ? name : "owner");
    if (!u || !content || !*content || !channel_holds_messages(ch)) {
        wrong(c, "\"content\" is missing, or there is no such \"user\", or "
                 "the channel holds no messages");
        return;
    }
    call_json(c, 200,
              message_full_json(c->e, message_say(c->e, ch, u->id, content)));
}

static void patch_messages(struct call *c)
{
    struct message *m = named_message(c);
    if (!m)
        return;
    const char *content = text_member(c, "content");
    if (!content) {
        wrong(c, "\"content\" is missing");
        return;
    }
    free(m->content);
    m->content = xstrdup(content);
    m->edited_at = emulator_now(c->e);
    message_changed(c->e, m);
    call_json(c, 200, message_full_json(c->e, m));
}

static void delete_messages(struct call *c)
{
    struct message *m = named_message(c);
    if (!m)
        return;
    message_remove(c->e, m);
    call_empty(c);
}

static void delete_channels(struct call *c)
{
    struct channel *ch = named_channel(c);
    if (!ch)
        return;
    channel_remove(c->e, ch);
    call_empty(c);
}

const struct route control_routes[] = {
    {"GET", "/emulator/requests", get_requests, NULL, NULL, ROUTE_CONTROL},
    {"DELETE", "/emulator/requests", delete_requests, NULL, NULL,
     ROUTE_CONTROL},
    {"GET", "/emulator/trace", get_trace, NULL, NULL, ROUTE_CONTROL},
    {"GET", "/emulator/faults", get_faults, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/faults", post_faults, NULL, NULL, ROUTE_CONTROL},
    {"DELETE", "/emulator/faults", delete_faults, NULL, NULL, ROUTE_CONTROL},
    {"GET", "/emulator/clock", get_clock, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/clock", post_clock, NULL, NULL, ROUTE_CONTROL},
    {"GET", "/emulator/guild", get_guild, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/guilds", post_guilds, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/users", post_users, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/application", post_application, NULL, NULL,
     ROUTE_CONTROL},
    {"POST", "/emulator/permissions", post_permissions, NULL, NULL,
     ROUTE_CONTROL},
    {"POST", "/emulator/messages", post_messages, NULL, NULL, ROUTE_CONTROL},
    {"PATCH", "/emulator/messages", patch_messages, NULL, NULL, ROUTE_CONTROL},
    {"DELETE", "/emulator/messages", delete_messages, NULL, NULL,
     ROUTE_CONTROL},
    {"DELETE", "/emulator/channels", delete_channels, NULL, NULL,
     ROUTE_CONTROL},
    {0},
};
