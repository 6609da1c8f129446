/* Reactions. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/event.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/record.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

enum { REACTIONS_MAX = 20 };

struct emoji {
    char *name;
    uint64_t id;
};

/* "🔥" or "name:id" (percent-decoded). False: answered. */
static bool read_emoji(struct call *c, struct emoji *out)
{
    const char *s = c->args[2];
    const char *colon = strrchr(s, ':');

    *out = (struct emoji){0};
    if (colon && colon > s && snowflake_parse(colon + 1, &out->id)) {
        out->name = xstrndup(s, (size_t)(colon - s));
        return true;
    }
    /* An emoji is beyond ASCII but for keycaps, and short. */
    size_t n = strlen(s);
    bool beyond = false;
    for (size_t i = 0; i < n; i++)
        beyond |= (unsigned char)s[i] >= 0x80;
    if (!beyond || n > 64 || !utf8_valid(s, n)) {
        call_error(c, 400, 10014, "Unknown Emoji");
        return false;
    }
    out->name = xstrdup(s);
    return true;
}

static struct reaction *find(const struct message *m, const struct emoji *e)
{
    for (size_t i = 0; i < m->reaction_count; i++)
        if (m->reactions[i].emoji_id == e->id &&
            (e->id || strcmp(m->reactions[i].emoji, e->name) == 0))
            return &m->reactions[i];
    return NULL;
}

static void reaction_event(struct call *c, const struct message *m,
                           const struct channel *ch, const char *type,
                           uint64_t user_id, const struct emoji *e)
{
    struct json_object *o = json_object_new_object();
    if (user_id)
        json_object_object_add(o, "user_id", snowflake_json(user_id));
    json_object_object_add(o, "channel_id", snowflake_json(ch->id));
    json_object_object_add(o, "message_id", snowflake_json(m->id));
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    if (e) {
        struct json_object *emoji = json_object_new_object();
        json_object_object_add(emoji, "id", snowflake_json(e->id));
        json_object_object_add(emoji, "name", json_object_new_string(e->name));
        json_object_object_add(o, "emoji", emoji);
        json_object_object_add(o, "burst", json_object_new_boolean(false));
        json_object_object_add(o, "type", json_object_new_int(0));
    }
    if (strcmp(type, "MESSAGE_REACTION_ADD") == 0) {
        const struct member *who =
            guild_member(channel_guild(c->e, ch), user_id);
        if (who)
            json_object_object_add(
                o, "member",
                member_json(c->e, channel_guild(c->e, ch), who, true));
        json_object_object_add(o, "message_author_id",
                               snowflake_json(m->author_id));
    }
    event_dispatch(c->e, type, ch->guild_id, ch->id, o);
    json_object_put(o);
}

static struct message *target(struct call *c, uint64_t bits,
                              struct channel **ch)
{
    *ch = rest_channel(c, 0, bits);
    struct message *m = *ch ? rest_message(c, *ch, 1) : NULL;
    if (m && (*ch)->thread && (*ch)->thread->archived) {
        call_error(c, 400, 50083, "Thread is archived");
        return NULL;
    }
    return m;
}

static void put_own(struct call *c)
{
    struct channel *ch;
    struct message *m = target(c, PERM_READ_HISTORY, &ch);
    struct emoji e;
    if (!m || !read_emoji(c, &e))
        return;
    struct reaction *r = find(m, &e);
    if (!r && !perm_require(c, ch, PERM_ADD_REACTIONS)) {
        free(e.name);
        return;
    }
    if (!r && m->reaction_count == REACTIONS_MAX) {
        free(e.name);
        call_error(c, 400, 30010, "Maximum number of reactions reached (20)");
        return;
    }
    if (!r) {
        m->reactions = xrealloc(m->reactions,
                                (m->reaction_count + 1) * sizeof *m->reactions);
        r = &m->reactions[m->reaction_count++];
        *r = (struct reaction){.emoji = xstrdup(e.name), .emoji_id = e.id};
    }
    if (id_list_put(&r->users, c->e->bot->id)) {
        record_message(c->e, m);
        reaction_event(c, m, ch, "MESSAGE_REACTION_ADD", c->e->bot->id, &e);
    }
    free(e.name);
    call_empty(c);
}

static void drop(struct message *m, struct reaction *r)
{
    free(r->emoji);
    id_list_release(&r->users);
    size_t i = (size_t)(r - m->reactions);
    memmove(r, r + 1, (m->reaction_count - i - 1) * sizeof *r);
    m->reaction_count--;
}

static void remove_user(struct call *c, uint64_t user_id, uint64_t bits)
{
    struct channel *ch;
    struct message *m = target(c, bits, &ch);
    struct emoji e;
    if (!m || !read_emoji(c, &e))
        return;
    struct reaction *r = find(m, &e);
    if (r && id_list_drop(&r->users, user_id)) {
        if (!r->users.n)
            drop(m, r);
        record_message(c->e, m);
        reaction_event(c, m, ch, "MESSAGE_REACTION_REMOVE", user_id, &e);
    }
    free(e.name);
    call_empty(c);
}

static void delete_own(struct call *c)
{
    remove_user(c, c->e->bot->id, PERM_READ_HISTORY);
}

static void delete_users(struct call *c)
{
    remove_user(c, c->ids[3], PERM_READ_HISTORY | PERM_MANAGE_MESSAGES);
}

static void delete_emoji(struct call *c)
{
    struct channel *ch;
    struct message *m =
        target(c, PERM_READ_HISTORY | PERM_MANAGE_MESSAGES, &ch);
    struct emoji e;
    if (!m || !read_emoji(c, &e))
        return;
    struct reaction *r = find(m, &e);
    if (r) {
        drop(m, r);
        record_message(c->e, m);
        reaction_event(c, m, ch, "MESSAGE_REACTION_REMOVE_EMOJI", 0, &e);
    }
    free(e.name);
    call_empty(c);
}

static void delete_all(struct call *c)
{
    struct channel *ch;
    struct message *m =
        target(c, PERM_READ_HISTORY | PERM_MANAGE_MESSAGES, &ch);
    if (!m)
        return;
    if (m->reaction_count) {
        while (m->reaction_count)
            drop(m, &m->reactions[m->reaction_count - 1]);
        record_message(c->e, m);
        reaction_event(c, m, ch, "MESSAGE_REACTION_REMOVE_ALL", 0, NULL);
    }
    call_empty(c);
}

static void get_users(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_READ_HISTORY);
    struct message *m = ch ? rest_message(c, ch, 1) : NULL;
    struct emoji e;
    int64_t limit;
    bool given;
    uint64_t after = 0;
    if (!m || !rest_limit(c, "limit", 1, 100, 25, &limit) ||
        !rest_query_id(c, "after", &given, &after) || !read_emoji(c, &e))
        return;
    const struct reaction *r = find(m, &e);
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; r && i < r->users.n; i++) {
        const struct user *u = user_find(c->e, r->users.at[i]);
        if (u && u->id > after &&
            (int64_t)json_object_array_length(list) < limit)
            json_object_array_add(list, user_json(u));
    }
    free(e.name);
    call_json(c, 200, list);
}

static const struct bucket reactions = {"reactions", 1, 250, false};

#define ALL "/channels/{channel.id}/messages/{message.id}/reactions"

const struct route reaction_routes[] = {
    {"PUT", ALL "/{emoji}/@me", put_own, &reactions, NULL, 0},
    {"DELETE", ALL "/{emoji}/@me", delete_own, &reactions, NULL, 0},
    {"DELETE", ALL "/{emoji}/{user.id}", delete_users, &reactions, NULL, 0},
    {"GET", ALL "/{emoji}", get_users, &reactions, NULL, 0},
    {"DELETE", ALL "/{emoji}", delete_emoji, &reactions, NULL, 0},
    {"DELETE", ALL, delete_all, &reactions, NULL, 0},
    {0},
};
