/* Users, the application, and where the gateway is. */
#include <stdio.h>

#include <json-c/json.h>

#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/gateway.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

static void get_self(struct call *c)
{
    call_json(c, 200, user_self_json(c->e->bot));
}

static void get_user(struct call *c)
{
    const struct user *u = user_find(c->e, c->ids[0]);
    if (u)
        call_json(c, 200, user_json(u));
    else
        call_unknown(c, 10013, "User");
}

static void get_application(struct call *c)
{
    call_json(c, 200, application_json(c->e));
}

static void get_guilds(struct call *c)
{
    struct emulator *e = c->e;
    bool has_after, has_before, bad = false;
    uint64_t after = 0, before = UINT64_MAX;
    int64_t limit;
    bool counts = request_query_bool(&c->req, "with_counts", false, &bad);
    struct json_object *list;

    if (!rest_limit(c, "limit", 1, 200, 200, &limit) ||
        !rest_query_id(c, "after", &has_after, &after) ||
        !rest_query_id(c, "before", &has_before, &before))
        return;
    list = json_object_new_array();
    for (size_t i = 0; i < e->guild_count; i++) {
        const struct guild *g = e->guilds[i];
        if ((has_after && g->id <= after) || (has_before && g->id >= before) ||
            (int64_t)json_object_array_length(list) == limit)
            continue;
        struct json_object *o = json_object_new_object();
        char bits[24];
        snprintf(bits, sizeof bits, "%llu",
                 (unsigned long long)perm_in_guild(e, g, e->bot->id));
        json_object_object_add(o, "id", snowflake_json(g->id));
        json_object_object_add(o, "name", json_object_new_string(g->name));
        json_object_object_add(o, "icon", NULL);
        json_object_object_add(o, "banner", NULL);
        json_object_object_add(
            o, "owner", json_object_new_boolean(g->owner_id == e->bot->id));
        json_object_object_add(o, "permissions", json_object_new_string(bits));
        json_object_object_add(o, "features", json_object_new_array());
        if (counts) {
            json_object_object_add(o, "approximate_member_count",
                                   json_object_new_uint64(g->member_count));
            json_object_object_add(o, "approximate_presence_count",
                                   json_object_new_int(1));
        }
        json_object_array_add(list, o);
    }
    call_json(c, 200, list);
}

static struct json_object *gateway_json(const struct call *c)
{
    struct json_object *o = json_object_new_object();
    char url[GATEWAY_URL_SIZE];
    json_object_object_add(o, "url",
                           json_object_new_string(gateway_url(c->e, url)));
    return o;
}

static void get_gateway(struct call *c)
{
    call_json(c, 200, gateway_json(c));
}

static void get_gateway_bot(struct call *c)
{
    struct json_object *o = gateway_json(c);
    struct json_object *limit = json_object_new_object();
    int64_t reset = 0;
    int left = gateway_identifies_left(c->e, &reset);

    json_object_object_add(limit, "total",
                           json_object_new_int(SESSION_IDENTIFIES_A_DAY));
    json_object_object_add(limit, "remaining", json_object_new_int(left));
    json_object_object_add(limit, "reset_after", json_object_new_int64(reset));
    json_object_object_add(limit, "max_concurrency", json_object_new_int(1));
    json_object_object_add(o, "shards", json_object_new_int(1));
    json_object_object_add(o, "session_start_limit", limit);
    call_json(c, 200, o);
}

static const struct bucket gateway_bot = {"gateway-bot", 2, 5000, true};

const struct route user_routes[] = {
    {"GET", "/users/@me", get_self, NULL, NULL, 0},
    {"GET", "/users/@me/guilds", get_guilds, NULL, NULL, 0},
    {"GET", "/users/{user.id}", get_user, NULL, NULL, 0},
    {"GET", "/applications/@me", get_application, NULL, NULL, 0},
    {"GET", "/oauth2/applications/@me", get_application, NULL, NULL, 0},
    {"GET", "/gateway", get_gateway, NULL, NULL, ROUTE_NO_AUTH},
    {"GET", "/gateway/bot", get_gateway_bot, &gateway_bot, NULL, 0},
    {0},
};
