#include "engine/discord/perm.h"

#include <json-c/json.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/map.h"
#include "engine/base/str.h"
#include "engine/discord/message.h"

#define ALL UINT64_MAX
#define MIB (UINT64_C(1) << 20)

struct role {
    uint64_t id, bits;
};

struct overwrite {
    uint64_t id, allow, deny;
    bool member; /* of one user, else of a role */
};

struct guild {
    uint64_t id, owner;
    int tier;
    bool roles_known, member_known;
    struct role *roles;
    size_t n_roles;
    uint64_t *mine; /* ids of this bot's roles */
    size_t n_mine;
};

struct channel {
    uint64_t id, guild, parent;
    bool thread;
    struct overwrite *overwrites;
    size_t n_overwrites;
};

struct perm {
    uint64_t me;
    struct map guilds, channels;
};

static uint64_t guild_hash(const void *item)
{
    return hash_u64(((const struct guild *)item)->id);
}

static bool guild_has(const void *item, const void *key)
{
    return ((const struct guild *)item)->id == *(const uint64_t *)key;
}

static uint64_t channel_hash(const void *item)
{
    return hash_u64(((const struct channel *)item)->id);
}

static bool channel_has(const void *item, const void *key)
{
    return ((const struct channel *)item)->id == *(const uint64_t *)key;
}

static const struct map_type guild_type = {guild_hash, guild_has};
static const struct map_type channel_type = {channel_hash, channel_has};

struct perm *perm_new(void)
{
    struct perm *p = xcalloc(1, sizeof(*p));

    p->guilds = MAP_INIT(&guild_type);
    p->channels = MAP_INIT(&channel_type);
    return p;
}

static void guild_free(struct guild *g)
{
    if (!g)
        return;
    free(g->roles);
    free(g->mine);
    free(g);
}

static void channel_free(struct channel *c)
{
    if (!c)
        return;
    free(c->overwrites);
    free(c);
}

void perm_free(struct perm *p)
{
    if (!p)
        return;

    size_t at = 0;
    struct guild *g;
    while ((g = map_next(&p->guilds, &at)) != NULL)
        guild_free(g);
    at = 0;
    struct channel *c;
    while ((c = map_next(&p->channels, &at)) != NULL)
        channel_free(c);
    map_release(&p->guilds);
    map_release(&p->channels);
    free(p);
}

void perm_note_me(struct perm *p, uint64_t user)
{
    p->me = user;
}

static struct guild *guild_find(const struct perm *p, uint64_t id)
{
    return map_get(&p->guilds, hash_u64(id), &id);
}

static struct guild *guild_get(struct perm *p, uint64_t id)
{
    struct guild *g = guild_find(p, id);

    if (!g) {
        g = xcalloc(1, sizeof(*g));
        g->id = id;
        map_put(&p->guilds, &g->id, g);
    }
    return g;
}

static struct channel *channel_find(const struct perm *p, uint64_t id)
{
    return map_get(&p->channels, hash_u64(id), &id);
}

static struct json_object *array_of(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    if (!json_object_is_type(o, json_type_object) ||
        !json_object_object_get_ex(o, name, &v) ||
        !json_object_is_type(v, json_type_array))
        return NULL;
    return v;
}

/* Permission bits are decimal strings; what cannot be read grants nothing. */
static uint64_t bits_of(struct json_object *o, const char *name)
{
    return message_id(o, name);
}

static void note_role(struct guild *g, struct json_object *o)
{
    struct role r = {message_id(o, "id"), bits_of(o, "permissions")};

    if (!r.id)
        return;
    for (size_t i = 0; i < g->n_roles; i++) {
        if (g->roles[i].id == r.id) {
            g->roles[i] = r;
            return;
        }
    }
    g->roles = xrealloc(g->roles, (g->n_roles + 1) * sizeof(*g->roles));
    g->roles[g->n_roles++] = r;
}

void perm_note_guild(struct perm *p, struct json_object *o)
{
    uint64_t id = message_id(o, "id");
    struct json_object *roles = array_of(o, "roles");

    if (!id || !roles)
        return;

    struct guild *g = guild_get(p, id);
    g->owner = message_id(o, "owner_id");
    g->tier = (int)message_int(o, "premium_tier", 0);
    g->n_roles = 0;
    for (size_t i = 0; i < json_object_array_length(roles); i++)
        note_role(g, json_object_array_get_idx(roles, i));
    g->roles_known = true;

    struct json_object *members = array_of(o, "members");
    for (size_t i = 0; members && i < json_object_array_length(members); i++)
        perm_note_member(p, id, json_object_array_get_idx(members, i));
}

void perm_guild_gone(struct perm *p, uint64_t id)
{
    guild_free(map_remove(&p->guilds, hash_u64(id), &id));
}

void perm_note_member(struct perm *p, uint64_t guild, struct json_object *o)
{
    struct json_object *user = NULL, *roles = array_of(o, "roles");

    if (!guild || !p->me || !roles ||
        !json_object_object_get_ex(o, "user", &user) ||
        message_id(user, "id") != p->me)
        return;

    struct guild *g = guild_get(p, guild);
    size_t n = json_object_array_length(roles);
    g->mine = xrealloc(g->mine, n * sizeof(*g->mine));
    g->n_mine = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(roles, i);
        uint64_t id;
        if (json_object_is_type(v, json_type_string) &&
            str_to_u64(json_object_get_string(v), &id))
            g->mine[g->n_mine++] = id;
    }
    g->member_known = true;
}

void perm_note_role(struct perm *p, uint64_t guild, struct json_object *role)
{
    struct guild *g = guild_find(p, guild);

    if (g)
        note_role(g, role);
}

void perm_role_gone(struct perm *p, uint64_t guild, uint64_t role)
{
    struct guild *g = guild_find(p, guild);

    for (size_t i = 0; g && i < g->n_roles; i++) {
        if (g->roles[i].id == role) {
            g->roles[i] = g->roles[--g->n_roles];
            return;
        }
    }
}

void perm_note_channel(struct perm *p, uint64_t guild, struct json_object *o)
{
    uint64_t id = message_id(o, "id");
    uint64_t own_guild = message_id(o, "guild_id");
    struct json_object *ow = array_of(o, "permission_overwrites");
    int64_t type = message_int(o, "type", -1);

    if (!id)
        return;

    struct channel *c = channel_find(p, id);
    if (!c) {
        c = xcalloc(1, sizeof(*c));
        c->id = id;
        map_put(&p->channels, &c->id, c);
    }
    if (own_guild || guild)
        c->guild = own_guild ? own_guild : guild;
    c->parent = message_id(o, "parent_id");
    c->thread = type >= 10 && type <= 12;
    if (!ow)
        return;

    size_t n = json_object_array_length(ow);
    c->overwrites = xrealloc(c->overwrites, n * sizeof(*c->overwrites));
    c->n_overwrites = 0;
    for (size_t i = 0; i < n; i++) {
        struct json_object *v = json_object_array_get_idx(ow, i);
        struct overwrite w = {
            .id = message_id(v, "id"),
            .allow = bits_of(v, "allow"),
            .deny = bits_of(v, "deny"),
            .member = message_int(v, "type", 0) == 1,
        };
        if (w.id)
            c->overwrites[c->n_overwrites++] = w;
    }
}

void perm_channel_gone(struct perm *p, uint64_t id)
{
    channel_free(map_remove(&p->channels, hash_u64(id), &id));
}

static bool is_mine(const struct guild *g, uint64_t role)
{
    for (size_t i = 0; i < g->n_mine; i++)
        if (g->mine[i] == role)
            return true;
    return false;
}

uint64_t perm_in_guild(const struct perm *p, uint64_t guild)
{
    const struct guild *g = guild_find(p, guild);
    uint64_t bits = 0;

    if (!g || !g->roles_known || !g->member_known || g->owner == p->me)
        return ALL;
    /* The role with the guild's own id is everyone's. */
    for (size_t i = 0; i < g->n_roles; i++)
        if (g->roles[i].id == g->id || is_mine(g, g->roles[i].id))
            bits |= g->roles[i].bits;
    return bits & PERM_ADMINISTRATOR ? ALL : bits;
}

/* Everyone's overwrite, then the union of the roles', then the member's. */
static uint64_t overwrite_all(const struct perm *p, const struct guild *g,
                              const struct channel *c, uint64_t bits)
{
    uint64_t allow = 0, deny = 0;

    for (size_t i = 0; i < c->n_overwrites; i++) {
        const struct overwrite *w = &c->overwrites[i];
        if (!w->member && w->id == g->id)
            bits = (bits & ~w->deny) | w->allow;
    }
    for (size_t i = 0; i < c->n_overwrites; i++) {
        const struct overwrite *w = &c->overwrites[i];
        if (w->member || w->id == g->id || !is_mine(g, w->id))
            continue;
        allow |= w->allow;
        deny |= w->deny;
    }
    bits = (bits & ~deny) | allow;
    for (size_t i = 0; i < c->n_overwrites; i++) {
        const struct overwrite *w = &c->overwrites[i];
        if (w->member && w->id == p->me)
            bits = (bits & ~w->deny) | w->allow;
    }
    return bits;
}

uint64_t perm_in_channel(const struct perm *p, uint64_t channel)
{
    const struct channel *c = channel_find(p, channel);

    if (!c)
        return ALL;
    if (c->thread) /* its parent's, and the parent is no thread */
        c = channel_find(p, c->parent);
    if (!c || c->thread)
        return ALL;

    uint64_t bits = perm_in_guild(p, c->guild);
    if (bits == ALL)
        return ALL;
    bits = overwrite_all(p, guild_find(p, c->guild), c, bits);
    return bits & PERM_VIEW_CHANNEL ? bits : 0;
}

void perm_rights(const struct perm *p, struct remote_channel *c)
{
    uint64_t bits = perm_in_channel(p, c->id);
    bool thread = c->kind == REMOTE_CHANNEL_THREAD;
    uint64_t view = PERM_VIEW_CHANNEL | PERM_READ_MESSAGE_HISTORY;
    uint64_t send = thread ? PERM_SEND_MESSAGES_IN_THREADS : PERM_SEND_MESSAGES;
    /* Without the right to send, the one to attach is without effect; a thread
     * asks for its own right alone. */
    uint64_t write = PERM_VIEW_CHANNEL | PERM_ATTACH_FILES | send;
    uint64_t manage = thread ? PERM_MANAGE_THREADS : PERM_MANAGE_CHANNELS;

    c->viewable = (bits & view) == view;
    c->writable = (bits & write) == write;
    c->manageable = (bits & manage) != 0;
}

uint64_t perm_guild_of(const struct perm *p, uint64_t channel)
{
    const struct channel *c = channel_find(p, channel);
    return c ? c->guild : 0;
}

uint64_t perm_max_file(const struct perm *p, uint64_t guild)
{
    const struct guild *g = guild_find(p, guild);

    /* Boosts raise the limit of a file to 50 and 100 MiB, but one request
     * with a message has at most 25 MiB, and this is all we send. */
    return g && g->tier >= 2 ? 24 * MIB : 10 * MIB;
}
