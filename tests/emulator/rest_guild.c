/* Guilds, roles, members, and a guild's channels as a list. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

static void get_guild(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    bool bad = false;
    if (g)
        call_json(c, 200,
                  guild_json(
                      c->e, g,
                      request_query_bool(&c->req, "with_counts", false, &bad)));
}

static void get_channels(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    if (!g)
        return;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < g->channel_count; i++)
        json_object_array_add(list, channel_json(c->e, g->channels[i], 0));
    call_json(c, 200, list);
}

static void get_roles(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    if (!g)
        return;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < g->role_count; i++)
        json_object_array_add(list, role_json(g->roles[i]));
    call_json(c, 200, list);
}

/* Name, bits, colour and the like of a body into r. False: answered. */
static bool take_role(struct call *c, struct guild *g, struct role *r)
{
    struct form f = FORM_INIT;
    const char *name = NULL;
    uint64_t bits = r->permissions;
    int64_t color = r->color;
    bool hoist = r->hoist, mentionable = r->mentionable;

    field_string(&f, c->req.json, "", "name", 0, 100, &name);
    field_bits(&f, c->req.json, "", "permissions", &bits);
    field_int(&f, c->req.json, "", "color", 0, 0xFFFFFF, &color);
    field_bool(&f, c->req.json, "", "hoist", &hoist);
    field_bool(&f, c->req.json, "", "mentionable", &mentionable);
    if (form_failed(&f)) {
        call_form(c, &f);
        return false;
    }
    if ((bits ^ r->permissions) & ~perm_in_guild(c->e, g, c->e->bot->id)) {
        call_missing_permissions(c);
        return false;
    }
    if (name) {
        free(r->name);
        r->name = xstrdup(name);
    }
    r->permissions = bits;
    r->color = (uint32_t)color;
    r->hoist = hoist;
    r->mentionable = mentionable;
    return true;
}

static void post_role(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    if (!g || !perm_require_guild(c, g, PERM_MANAGE_ROLES))
        return;
    /* Tried on a role that is not there yet: a refused one leaves nothing. */
    struct role draft = {.name = xstrdup("new role"),
                         .permissions = g->roles[0]->permissions};
    if (take_role(c, g, &draft)) {
        struct role *r = role_new(c->e, g, draft.name, draft.permissions);
        r->color = draft.color;
        r->hoist = draft.hoist;
        r->mentionable = draft.mentionable;
        if (r->color || r->hoist || r->mentionable)
            role_changed(c->e, g, r);
        call_json(c, 200, role_json(r));
    }
    free(draft.name);
}

static struct role *rest_role(struct call *c, const struct guild *g, int i)
{
    struct role *r = guild_role(g, c->ids[i]);
    if (!r)
        call_unknown(c, 10011, "Role");
    return r;
}

static void patch_role(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    struct role *r;
    if (!g || !perm_require_guild(c, g, PERM_MANAGE_ROLES) ||
        !(r = rest_role(c, g, 1)) || !take_role(c, g, r))
        return;
    role_changed(c->e, g, r);
    call_json(c, 200, role_json(r));
}

static void delete_role(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    struct role *r;
    if (!g || !perm_require_guild(c, g, PERM_MANAGE_ROLES) ||
        !(r = rest_role(c, g, 1)))
        return;
    if (r->managed || r->id == g->id) {
        call_error(c, 400, 50028, "Invalid Role");
        return;
    }
    role_remove(c->e, g, r);
    call_empty(c);
}

static void answer_member(struct call *c, uint64_t user_id)
{
    struct guild *g = rest_guild(c, 0);
    if (!g)
        return;
    const struct member *m = guild_member(g, user_id);
    if (m)
        call_json(c, 200, member_json(c->e, g, m, true));
    else if (user_find(c->e, user_id))
        call_unknown(c, 10007, "Member");
    else
        call_unknown(c, 10013, "User");
}

static void get_member(struct call *c)
{
    answer_member(c, c->ids[1]);
}

static void get_members(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    bool given;
    uint64_t after = 0;
    int64_t limit;
    if (!g || !rest_members_intent(c) ||
        !rest_limit(c, "limit", 1, 1000, 1, &limit) ||
        !rest_query_id(c, "after", &given, &after))
        return;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < g->member_count; i++)
        if (g->members[i]->user_id > after &&
            (int64_t)json_object_array_length(list) < limit)
            json_object_array_add(list,
                                  member_json(c->e, g, g->members[i], true));
    call_json(c, 200, list);
}

static void search_members(struct call *c)
{
    const char *query = request_query(&c->req, "query");
    struct guild *g = rest_guild(c, 0);
    int64_t limit;
    if (!g || !rest_limit(c, "limit", 1, 1000, 1, &limit))
        return;
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; query && i < g->member_count; i++) {
        const struct user *u = user_find(c->e, g->members[i]->user_id);
        if (strncasecmp(u->username, query, strlen(query)) == 0 &&
            (int64_t)json_object_array_length(list) < limit)
            json_object_array_add(list,
                                  member_json(c->e, g, g->members[i], true));
    }
    call_json(c, 200, list);
}

static void patch_self(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    struct form f = FORM_INIT;
    const char *nick = NULL;
    if (!g)
        return;
    struct member *m = guild_member(g, c->e->bot->id);
    enum field got = field_string(&f, c->req.json, "", "nick", 0, 32, &nick);
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    if (got != FIELD_ABSENT) {
        free(m->nick);
        m->nick = nick && *nick ? xstrdup(nick) : NULL;
        member_changed(c->e, g, m);
    }
    call_json(c, 200, member_json(c->e, g, m, true));
}

/* Roles of a member, put and taken away. */
static void change_role(struct call *c, bool put)
{
    struct guild *g = rest_guild(c, 0);
    struct role *r;
    if (!g || !perm_require_guild(c, g, PERM_MANAGE_ROLES))
        return;
    struct member *m = guild_member(g, c->ids[1]);
    if (!m) {
        call_unknown(c, 10007, "Member");
        return;
    }
    if (!(r = rest_role(c, g, 2)))
        return;
    if (r->managed || r->id == g->id) {
        call_error(c, 400, 50028, "Invalid Role");
        return;
    }
    if (put ? id_list_put(&m->roles, r->id) : id_list_drop(&m->roles, r->id))
        member_changed(c->e, g, m);
    call_empty(c);
}

static void put_member_role(struct call *c)
{
    change_role(c, true);
}

static void delete_member_role(struct call *c)
{
    change_role(c, false);
}

const struct route guild_routes[] = {
    {"GET", "/guilds/{guild.id}", get_guild, NULL, NULL, 0},
    {"GET", "/guilds/{guild.id}/channels", get_channels, NULL, NULL, 0},
    {"GET", "/guilds/{guild.id}/roles", get_roles, NULL, NULL, 0},
    {"POST", "/guilds/{guild.id}/roles", post_role, NULL, NULL, 0},
    {"PATCH", "/guilds/{guild.id}/roles/{role.id}", patch_role, NULL, NULL, 0},
    {"DELETE", "/guilds/{guild.id}/roles/{role.id}", delete_role, NULL, NULL,
     0},
    {"GET", "/guilds/{guild.id}/members", get_members, NULL, NULL, 0},
    {"GET", "/guilds/{guild.id}/members/search", search_members, NULL, NULL, 0},
    {"PATCH", "/guilds/{guild.id}/members/@me", patch_self, NULL, NULL, 0},
    {"GET", "/guilds/{guild.id}/members/{user.id}", get_member, NULL, NULL, 0},
    {"PUT", "/guilds/{guild.id}/members/{user.id}/roles/{role.id}",
     put_member_role, NULL, NULL, 0},
    {"DELETE", "/guilds/{guild.id}/members/{user.id}/roles/{role.id}",
     delete_member_role, NULL, NULL, 0},
    {0},
};
