/* Discord's computation, discord-api.md section 9. */
#include "tests/emulator/perm.h"

#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/user.h"

static bool holds_role(const uint64_t *ids, unsigned n, uint64_t id)
{
    for (unsigned i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

uint64_t perm_overwritten(uint64_t base, uint64_t guild_id, uint64_t user_id,
                          const uint64_t *role_ids, unsigned role_count,
                          const struct overwrite *overwrites, unsigned count)
{
    if (base & PERM_ADMINISTRATOR)
        return PERM_ALL;

    uint64_t bits = base, allow = 0, deny = 0;
    for (unsigned i = 0; i < count; i++)
        if (overwrites[i].type == 0 && overwrites[i].id == guild_id)
            bits = (bits & ~overwrites[i].deny) | overwrites[i].allow;
    for (unsigned i = 0; i < count; i++) {
        const struct overwrite *o = &overwrites[i];
        if (o->type == 0 && o->id != guild_id &&
            holds_role(role_ids, role_count, o->id)) {
            allow |= o->allow;
            deny |= o->deny;
        }
    }
    bits = (bits & ~deny) | allow;
    for (unsigned i = 0; i < count; i++)
        if (overwrites[i].type == 1 && overwrites[i].id == user_id)
            bits = (bits & ~overwrites[i].deny) | overwrites[i].allow;
    return bits;
}

bool perm_may_give(uint64_t held, uint64_t bits)
{
    if (held & PERM_ADMINISTRATOR)
        return true;
    return !(bits & ~held) && !(bits & PERM_MANAGE_ROLES);
}

uint64_t perm_in_guild(struct emulator *e, const struct guild *g,
                       uint64_t user_id)
{
    (void)e;
    const struct member *m = guild_member(g, user_id);
    if (!m)
        return 0;
    if (g->owner_id == user_id)
        return PERM_ALL;

    uint64_t bits = g->roles[0]->permissions;
    for (size_t i = 0; i < m->roles.n; i++) {
        const struct role *r = guild_role(g, m->roles.at[i]);
        if (r)
            bits |= r->permissions;
    }
    return bits & PERM_ADMINISTRATOR ? PERM_ALL : bits;
}

uint64_t perm_in_channel(struct emulator *e, const struct channel *ch,
                         uint64_t user_id)
{
    const struct guild *g = channel_guild(e, ch);
    const struct member *m = guild_member(g, user_id);
    const struct channel *root = channel_perm_root(e, ch);

    if (!m)
        return 0;
    if (g->owner_id == user_id)
        return PERM_ALL;
    uint64_t bits = perm_in_guild(e, g, user_id);
    bits = perm_overwritten(bits, g->id, user_id, m->roles.at,
                            (unsigned)m->roles.n, root->overwrites,
                            (unsigned)root->overwrite_count);
    if (!(bits & PERM_VIEW_CHANNEL))
        return 0;
    if (ch->type == CHANNEL_PRIVATE_THREAD && !(bits & PERM_MANAGE_THREADS) &&
        !thread_has_member(ch, user_id))
        return 0;
    return bits;
}

static bool require(struct call *c, uint64_t have, uint64_t bits)
{
    if ((have & bits) == bits)
        return true;
    if (have & PERM_VIEW_CHANNEL)
        call_missing_permissions(c);
    else
        call_missing_access(c);
    return false;
}

bool perm_require(struct call *c, const struct channel *ch, uint64_t bits)
{
    return require(c, perm_in_channel(c->e, ch, c->e->bot->id),
                   bits | PERM_VIEW_CHANNEL);
}

bool perm_require_guild(struct call *c, const struct guild *g, uint64_t bits)
{
    if ((perm_in_guild(c->e, g, c->e->bot->id) & bits) == bits)
        return true;
    call_missing_permissions(c);
    return false;
}
