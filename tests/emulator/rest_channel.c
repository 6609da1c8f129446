/* Channels: made, changed, moved, removed; who may what in them. Threads are
 * changed in rest_thread.c. */
#include "tests/emulator/channel.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/event.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/limits.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/rest.h"
#include "tests/emulator/rest_thread.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

enum {
    CHANNELS_MAX = 500,
    CATEGORY_MAX = 50,   /* channels in one */
    CATEGORIES_MAX = 50, /* of them in a guild */
    OVERWRITES_MAX = 1000,
    HIDDEN_EDITS = 2, /* of name, and of topic */
    HIDDEN_EDITS_MS = 600 * 1000,
};

static size_t children(const struct guild *g, uint64_t category)
{
    size_t n = 0;
    for (size_t i = 0; i < g->channel_count; i++)
        n += g->channels[i]->parent_id == category;
    return n;
}

static size_t categories(const struct guild *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->channel_count; i++)
        n += g->channels[i]->type == CHANNEL_CATEGORY;
    return n;
}

static void check_parent(struct call *c, struct form *f, const struct guild *g,
                         const struct channel *ch, uint64_t parent)
{
    const struct channel *p = channel_find(c->e, parent);
    if (!p || p->guild_id != g->id)
        form_error(f, "parent_id", "CHANNEL_PARENT_INVALID",
                   "Category does not exist");
    else if (p->type != CHANNEL_CATEGORY || ch->type == CHANNEL_CATEGORY)
        form_error(f, "parent_id", "CHANNEL_PARENT_INVALID_TYPE",
                   "Not a category");
    else if (ch->parent_id != parent && children(g, parent) >= CATEGORY_MAX)
        form_error(f, "parent_id", "CHANNEL_PARENT_MAX_CHANNELS",
                   "Maximum number of channels in category reached (%d)",
                   CATEGORY_MAX);
}

/* What a body says of a channel, read before anything is touched. */
struct wish {
    char *name;  /* NULL: as it is */
    char *topic; /* NULL: none */
    bool topic_given;
    uint64_t parent;
    bool parent_given;
    int64_t position, slow, archive, slow_threads;
    bool nsfw;
};

static void wish_release(struct wish *w)
{
    free(w->name);
    free(w->topic);
}

static bool archive_ok(int64_t minutes)
{
    return minutes == 60 || minutes == 1440 || minutes == 4320 ||
           minutes == 10080;
}

static void read_wish(struct call *c, struct form *f, const struct guild *g,
                      const struct channel *ch, struct wish *w)
{
    struct json_object *body = c->req.json;
    const char *s;

    *w = (struct wish){
        .position = ch->position,
        .slow = ch->rate_limit_per_user,
        .archive = ch->default_auto_archive_minutes,
        .slow_threads = ch->default_thread_rate_limit,
        .nsfw = ch->nsfw,
    };
    if (field_string(f, body, "", "name", 1, 100, &s) == FIELD_OK) {
        w->name = ch->type == CHANNEL_TEXT || ch->type == CHANNEL_ANNOUNCEMENT
                      ? channel_name_normalize(s)
                      : xstrdup(s);
        if (!*w->name)
            form_error(f, "name", "BASE_TYPE_BAD_LENGTH",
                       "Must be between 1 and 100 in length.");
    }
    enum field got = field_string(f, body, "", "topic", 0, 1024, &s);
    w->topic_given = got == FIELD_OK || got == FIELD_NULL;
    if (got == FIELD_OK && *s)
        w->topic = xstrdup(s);
    field_int(f, body, "", "position", 0, 100000, &w->position);
    field_int(f, body, "", "rate_limit_per_user", 0, 21600, &w->slow);
    field_int(f, body, "", "default_thread_rate_limit_per_user", 0, 21600,
              &w->slow_threads);
    field_bool(f, body, "", "nsfw", &w->nsfw);
    if (field_int(f, body, "", "default_auto_archive_duration", 60, 10080,
                  &w->archive) == FIELD_OK &&
        !archive_ok(w->archive))
        form_error(f, "default_auto_archive_duration", "BASE_TYPE_CHOICES",
                   "Value must be one of (60, 1440, 4320, 10080).");

    got = field_id(f, body, "", "parent_id", &w->parent);
    w->parent_given = got == FIELD_OK || got == FIELD_NULL;
    if (got == FIELD_OK)
        check_parent(c, f, g, ch, w->parent);
}

static void grant_wish(struct channel *ch, struct wish *w)
{
    if (w->name) {
        free(ch->name);
        ch->name = w->name;
        w->name = NULL;
    }
    if (w->topic_given) {
        free(ch->topic);
        ch->topic = w->topic;
        w->topic = NULL;
    }
    if (w->parent_given)
        ch->parent_id = w->parent;
    ch->position = (int)w->position;
    ch->rate_limit_per_user = (int)w->slow;
    ch->default_auto_archive_minutes = (int)w->archive;
    ch->default_thread_rate_limit = (int)w->slow_threads;
    ch->nsfw = w->nsfw;
}

static int next_position(const struct guild *g, const struct channel *ch)
{
    int at = 0;
    bool category = ch->type == CHANNEL_CATEGORY;
    for (size_t i = 0; i < g->channel_count; i++)
        if (category == (g->channels[i]->type == CHANNEL_CATEGORY) &&
            g->channels[i]->position >= at)
            at = g->channels[i]->position + 1;
    return at;
}

static void post_channel(struct call *c)
{
    struct guild *g = rest_guild(c, 0);
    struct form f = FORM_INIT;
    int64_t type = CHANNEL_TEXT;
    struct wish w = {0};

    if (!g || !perm_require_guild(c, g, PERM_MANAGE_CHANNELS))
        return;
    field_int(&f, c->req.json, "", "type", 0, 16, &type);
    if (type != CHANNEL_TEXT && type != CHANNEL_CATEGORY &&
        type != CHANNEL_VOICE && type != CHANNEL_ANNOUNCEMENT)
        form_error(&f, "type", "BASE_TYPE_CHOICES",
                   "Value must be one of (0, 2, 4, 5).");
    /* Null counts as absent here, as it does in the lookup. */
    if (!json_object_object_get(c->req.json, "name"))
        form_error(&f, "name", "BASE_TYPE_REQUIRED", "This field is required");

    struct channel *ch = channel_draft(g->id, (enum channel_type)type, "");
    ch->position = next_position(g, ch);
    read_wish(c, &f, g, ch, &w);
    bool answered = false;
    if (json_object_object_get(c->req.json, "permission_overwrites") &&
        !form_failed(&f))
        answered = !rest_take_overwrites(c, &f, c->req.json, ch);
    if (answered) {
        /* A right it may not give. */
    } else if (form_failed(&f)) {
        call_form(c, &f);
    } else if (g->channel_count >= CHANNELS_MAX) {
        call_error(c, 400, 30013,
                   "Maximum number of guild channels reached (500)");
    } else if (type == CHANNEL_CATEGORY && categories(g) >= CATEGORIES_MAX) {
        /* Its own code is not known. */
        call_error(c, 400, 30013,
                   "Maximum number of guild channels reached (50)");
    } else {
        /* A channel is born with its category's overwrites. */
        const struct channel *p =
            w.parent_given ? channel_find(c->e, w.parent) : NULL;
        grant_wish(ch, &w);
        if (p && p->overwrite_count && !ch->overwrites) {
            ch->overwrites =
                xcalloc(p->overwrite_count, sizeof *ch->overwrites);
            memcpy(ch->overwrites, p->overwrites,
                   p->overwrite_count * sizeof *ch->overwrites);
            ch->overwrite_count = p->overwrite_count;
        }
        channel_insert(c->e, ch);
        wish_release(&w);
        call_json(c, 201, channel_json(c->e, ch, 0));
        return;
    }
    form_release(&f);
    wish_release(&w);
    channel_draft_free(ch);
}

static void get_channel(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    if (ch)
        call_json(c, 200, channel_json(c->e, ch, c->e->bot->id));
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The limits on names and topics that no header tells of. */
static bool may_rename(struct call *c, const struct channel *ch,
                       const struct wish *w)
{
    if (w->name && !same(w->name, ch->name) &&
        !limits_hidden(c, "channel-name", ch->id, HIDDEN_EDITS, HIDDEN_EDITS_MS,
                       "shared", 0))
        return false;
    return !w->topic_given || same(w->topic, ch->topic) ||
           limits_hidden(c, "channel-topic", ch->id, HIDDEN_EDITS,
                         HIDDEN_EDITS_MS, "shared", 0);
}

static void patch_channel(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    struct form f = FORM_INIT;
    struct wish w = {0};
    int64_t type;

    if (!ch)
        return;
    if (ch->thread) {
        rest_patch_thread(c, ch);
        return;
    }
    if (!perm_require(c, ch, PERM_MANAGE_CHANNELS))
        return;
    struct guild *g = channel_guild(c->e, ch);
    type = ch->type;
    field_int(&f, c->req.json, "", "type", 0, 16, &type);
    if (type != (int64_t)ch->type &&
        !((ch->type == CHANNEL_TEXT || ch->type == CHANNEL_ANNOUNCEMENT) &&
          (type == CHANNEL_TEXT || type == CHANNEL_ANNOUNCEMENT)))
        form_error(&f, "type", "BASE_TYPE_CHOICES",
                   "Value must be one of (0, 5).");
    read_wish(c, &f, g, ch, &w);
    if (form_failed(&f)) {
        call_form(c, &f);
    } else if (may_rename(c, ch, &w)) {
        bool answered = false;
        if (json_object_object_get(c->req.json, "permission_overwrites"))
            answered = !perm_require(c, ch, PERM_MANAGE_ROLES) ||
                       !rest_take_overwrites(c, &f, c->req.json, ch);
        if (!answered && form_failed(&f)) {
            call_form(c, &f);
        } else if (!answered) {
            ch->type = (enum channel_type)type;
            grant_wish(ch, &w);
            channel_changed(c->e, ch);
            for (size_t i = 0;
                 ch->type == CHANNEL_CATEGORY && i < g->channel_count; i++)
                if (g->channels[i]->parent_id == ch->id)
                    channel_changed(c->e, g->channels[i]);
            call_json(c, 200, channel_json(c->e, ch, 0));
        }
    }
    wish_release(&w);
}

static void delete_channel(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, 0);
    if (!ch ||
        !perm_require(c, ch,
                      ch->thread ? PERM_MANAGE_THREADS : PERM_MANAGE_CHANNELS))
        return;
    struct json_object *o = channel_json(c->e, ch, c->e->bot->id);
    channel_remove(c->e, ch);
    call_json(c, 200, o);
}

/* [{id,position?,parent_id?,lock_permissions?}] */
static void patch_positions(struct call *c)
{
    struct json_object *list = c->req.json;
    struct guild *g = rest_guild(c, 0);
    struct form f = FORM_INIT;
    size_t moves = 0;

    if (!g || !perm_require_guild(c, g, PERM_MANAGE_CHANNELS))
        return;
    if (!json_object_is_type(list, json_type_array)) {
        call_form_error(c, "", "LIST_TYPE_CONVERT",
                        "Only iterables may be used in a ListType");
        return;
    }
    size_t n = json_object_array_length(list);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i);
        char at[FORM_PATH_SIZE];
        uint64_t id = 0, parent = 0;
        int64_t position;
        form_index(at, "", i);
        field_id(&f, o, at, "id", &id);
        field_int(&f, o, at, "position", 0, 100000, &position);
        const struct channel *ch = channel_find(c->e, id);
        if (!ch || ch->guild_id != g->id || ch->thread) {
            form_release(&f);
            call_unknown(c, 10003, "Channel");
            return;
        }
        enum field got = field_id(&f, o, at, "parent_id", &parent);
        if (got == FIELD_ABSENT || parent == ch->parent_id)
            continue;
        moves++;
        if (got == FIELD_OK)
            check_parent(c, &f, g, ch, parent);
        if (!(perm_in_channel(c->e, ch, c->e->bot->id) & PERM_VIEW_CHANNEL)) {
            form_release(&f);
            call_missing_access(c);
            return;
        }
    }
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    if (moves > 1) {
        call_error(c, 400, 40009,
                   "Only one channel's parent can be modified at a time");
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(list, i), *v;
        struct channel *ch =
            channel_find(c->e, snowflake_of(json_object_object_get(o, "id")));
        if ((v = json_object_object_get(o, "position")))
            ch->position = json_object_get_int(v);
        if (json_object_object_get_ex(o, "parent_id", &v))
            ch->parent_id = snowflake_of(v);
        const struct channel *p = channel_find(c->e, ch->parent_id);
        if (p && json_object_get_boolean(
                     json_object_object_get(o, "lock_permissions"))) {
            free(ch->overwrites);
            ch->overwrites =
                xcalloc(p->overwrite_count, sizeof *ch->overwrites);
            if (p->overwrite_count)
                memcpy(ch->overwrites, p->overwrites,
                       p->overwrite_count * sizeof *ch->overwrites);
            ch->overwrite_count = p->overwrite_count;
        }
        channel_changed(c->e, ch);
    }
    call_empty(c);
}

static void put_overwrite(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_MANAGE_ROLES);
    struct form f = FORM_INIT;
    struct overwrite w = {0};
    int64_t type = 0;

    if (!ch)
        return;
    w.id = c->ids[1];
    if (field_int(&f, c->req.json, "", "type", 0, 1, &type) == FIELD_ABSENT)
        form_error(&f, "type", "BASE_TYPE_REQUIRED", "This field is required");
    field_bits(&f, c->req.json, "", "allow", &w.allow);
    field_bits(&f, c->req.json, "", "deny", &w.deny);
    w.type = (int)type;
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    struct guild *g = channel_guild(c->e, ch);
    if (ch->thread) {
        call_error(c, 400, 50024, "Cannot execute action on this channel type");
        return;
    }
    if (w.type == 0 ? !guild_role(g, w.id) : !guild_member(g, w.id)) {
        call_unknown(c, w.type == 0 ? 10011 : 10013,
                     w.type == 0 ? "Role" : "User");
        return;
    }
    uint64_t held = perm_in_channel(c->e, ch, c->e->bot->id);
    if (!perm_may_give(held, w.allow | w.deny)) {
        call_missing_permissions(c);
        return;
    }
    size_t i = 0;
    while (i < ch->overwrite_count && ch->overwrites[i].id != w.id)
        i++;
    if (i == OVERWRITES_MAX) {
        call_error(c, 400, 30060,
                   "Maximum number of channel permission overwrites reached "
                   "(1000)");
        return;
    }
    if (i == ch->overwrite_count)
        ch->overwrites = xrealloc(ch->overwrites, ++ch->overwrite_count *
                                                      sizeof *ch->overwrites);
    ch->overwrites[i] = w;
    channel_changed(c->e, ch);
    call_empty(c);
}

static void delete_overwrite(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_MANAGE_ROLES);
    if (!ch)
        return;
    for (size_t i = 0; i < ch->overwrite_count; i++) {
        if (ch->overwrites[i].id != c->ids[1])
            continue;
        memmove(ch->overwrites + i, ch->overwrites + i + 1,
                (ch->overwrite_count - i - 1) * sizeof *ch->overwrites);
        ch->overwrite_count--;
        channel_changed(c->e, ch);
        call_empty(c);
        return;
    }
    call_error(c, 404, 10009, "Unknown permission overwrite");
}

static void post_typing(struct call *c)
{
    struct channel *ch = rest_channel(c, 0, PERM_SEND_MESSAGES);
    if (!ch)
        return;
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "channel_id", snowflake_json(ch->id));
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    json_object_object_add(o, "user_id", snowflake_json(c->e->bot->id));
    json_object_object_add(o, "timestamp",
                           json_object_new_int64(emulator_now(c->e) / 1000));
    event_dispatch(c->e, "TYPING_START", ch->guild_id, ch->id, o);
    json_object_put(o);
    call_empty(c);
}

static const struct bucket channel_patch = {"channel-patch", 5, 15000, false};
static const struct bucket channel_create = {"channel-create", 50, 10000,
                                             false};
static const struct bucket overwrites = {"overwrites", 10, 15000, false};
static const struct bucket typing = {"typing", 5, 5000, false};

const struct route channel_routes[] = {
    {"POST", "/guilds/{guild.id}/channels", post_channel, &channel_create, NULL,
     0},
    {"PATCH", "/guilds/{guild.id}/channels", patch_positions, NULL, NULL, 0},
    {"GET", "/channels/{channel.id}", get_channel, NULL, NULL, 0},
    {"PATCH", "/channels/{channel.id}", patch_channel, &channel_patch, NULL, 0},
    {"DELETE", "/channels/{channel.id}", delete_channel, NULL, NULL, 0},
    {"PUT", "/channels/{channel.id}/permissions/{overwrite.id}", put_overwrite,
     &overwrites, NULL, 0},
    {"DELETE", "/channels/{channel.id}/permissions/{overwrite.id}",
     delete_overwrite, &overwrites, NULL, 0},
    {"POST", "/channels/{channel.id}/typing", post_typing, &typing, NULL, 0},
    {0},
};
