/* What the API's handlers share. */
#include "tests/emulator/rest.h"

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
#include "tests/emulator/user.h"

enum { OVERWRITES_A_REQUEST = 100 };

struct guild *rest_guild(struct call *c, int i)
{
    struct guild *g = guild_find(c->e, c->ids[i]);
    if (!g)
        call_unknown(c, 10004, "Guild");
    return g;
}

struct channel *rest_channel(struct call *c, int i, uint64_t bits)
{
    struct channel *ch = channel_find(c->e, c->ids[i]);
    if (!ch) {
        call_unknown(c, 10003, "Channel");
        return NULL;
    }
    return perm_require(c, ch, bits) ? ch : NULL;
}

struct message *rest_message(struct call *c, const struct channel *ch, int i)
{
    struct message *m = message_find(c->e, ch->id, c->ids[i]);
    /* An ephemeral one is its interaction's alone. */
    if (!m || m->ephemeral_to) {
        call_unknown(c, 10008, "Message");
        return NULL;
    }
    return m;
}

bool rest_limit(struct call *c, const char *key, int64_t min, int64_t max,
                int64_t fallback, int64_t *out)
{
    const char *s = request_query(&c->req, key);
    char *end;

    *out = fallback;
    if (!s)
        return true;
    int64_t v = strtoll(s, &end, 10);
    if (!*s || *end)
        call_form_error(c, key, "NUMBER_TYPE_COERCE",
                        "Value \"%.100s\" is not int.", s);
    else if (v < min)
        call_form_error(c, key, "NUMBER_TYPE_MIN",
                        "int value should be greater than or equal to %lld.",
                        (long long)min);
    else if (v > max)
        call_form_error(c, key, "NUMBER_TYPE_MAX",
                        "int value should be less than or equal to %lld.",
                        (long long)max);
    else {
        *out = v;
        return true;
    }
    return false;
}

bool rest_query_id(struct call *c, const char *key, bool *given, uint64_t *id)
{
    const char *s = request_query(&c->req, key);

    *given = s != NULL;
    if (!s || snowflake_parse(s, id))
        return true;
    call_form_error(c, key, "NUMBER_TYPE_COERCE",
                    "Value \"%.100s\" is not snowflake.", s);
    return false;
}

bool rest_members_intent(struct call *c)
{
    if (application_has_members(c->e->app))
        return true;
    call_missing_access(c);
    return false;
}

bool rest_may_edit(struct call *c, const struct message *m)
{
    if (emulator_now(c->e) - m->at <= 3600 * 1000)
        return true;
    return limits_hidden(c, "edit-old", m->channel_id, 3, 6000, "user", 30046);
}

bool rest_take_overwrites(struct call *c, struct form *f,
                          struct json_object *body, struct channel *ch)
{
    struct json_object *list;
    enum field got = field_array(f, body, "", "permission_overwrites",
                                 OVERWRITES_A_REQUEST, &list);
    if (got != FIELD_OK)
        return true;

    struct guild *g = channel_guild(c->e, ch);
    uint64_t held = perm_in_guild(c->e, g, c->e->bot->id);
    size_t n = json_object_array_length(list);
    struct overwrite *made = xcalloc(n, sizeof *made);
    bool over = false;
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        char at[FORM_PATH_SIZE], path[FORM_PATH_SIZE];
        int64_t type = 0;
        form_index(at, "permission_overwrites", i);
        if (field_id(f, o, at, "id", &made[i].id) == FIELD_ABSENT)
            form_error(f, form_path(path, at, "id"), "BASE_TYPE_REQUIRED",
                       "This field is required");
        field_int(f, o, at, "type", 0, 1, &type);
        field_bits(f, o, at, "allow", &made[i].allow);
        field_bits(f, o, at, "deny", &made[i].deny);
        made[i].type = (int)type;
        over |= !perm_may_give(held, made[i].allow | made[i].deny);
    }
    if (over || form_failed(f)) {
        free(made);
        if (!over)
            return true; /* the form tells */
        form_release(f);
        call_missing_permissions(c);
        return false;
    }
    free(ch->overwrites);
    ch->overwrites = made;
    ch->overwrite_count = n;
    return true;
}
