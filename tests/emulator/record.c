/* State to records and back. Short keys: there is one record for every
 * change. */
#include "tests/emulator/record.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/journal.h"
#include "tests/emulator/message.h"
#include "tests/emulator/user.h"

/* --- writing and reading of members --- */

static void put_id(struct json_object *o, const char *key, uint64_t v)
{
    if (v)
        json_object_object_add(o, key, json_object_new_uint64(v));
}

static void put_int(struct json_object *o, const char *key, int64_t v)
{
    if (v)
        json_object_object_add(o, key, json_object_new_int64(v));
}

static void put_bool(struct json_object *o, const char *key, bool v)
{
    if (v)
        json_object_object_add(o, key, json_object_new_boolean(true));
}

static void put_text(struct json_object *o, const char *key, const char *v)
{
    if (v)
        json_object_object_add(o, key, json_object_new_string(v));
}

static void put_json(struct json_object *o, const char *key,
                     struct json_object *v)
{
    if (v)
        json_object_object_add(o, key, json_object_get(v));
}

static uint64_t get_id(struct json_object *o, const char *key)
{
    return json_object_get_uint64(json_object_object_get(o, key));
}

static int64_t get_int(struct json_object *o, const char *key)
{
    return json_object_get_int64(json_object_object_get(o, key));
}

static bool get_bool(struct json_object *o, const char *key)
{
    return json_object_get_boolean(json_object_object_get(o, key));
}

static char *get_text(struct json_object *o, const char *key)
{
    const char *s = json_object_get_string(json_object_object_get(o, key));
    return s ? xstrdup(s) : NULL;
}

static struct json_object *get_json(struct json_object *o, const char *key)
{
    return json_object_get(json_object_object_get(o, key));
}

/* The i-th of an array member; NULL behind its end. */
static struct json_object *item(struct json_object *o, const char *key,
                                size_t i)
{
    struct json_object *a = json_object_object_get(o, key);
    return json_object_is_type(a, json_type_array)
               ? json_object_array_get_idx(a, i)
               : NULL;
}

static size_t items(struct json_object *o, const char *key)
{
    struct json_object *a = json_object_object_get(o, key);
    return json_object_is_type(a, json_type_array) ? json_object_array_length(a)
                                                   : 0;
}

static void add(struct emulator *e, const char *kind, struct json_object *o)
{
    journal_add(e, kind, o);
    json_object_put(o);
}

static void gone(struct emulator *e, const char *kind, uint64_t id)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", id);
    add(e, kind, o);
}

/* --- records --- */

void record_clock(struct emulator *e)
{
    struct json_object *o = json_object_new_object();
    put_int(o, "offset", e->clock.offset);
    add(e, "clock.put", o);
}

void record_application(struct emulator *e)
{
    struct json_object *o = json_object_new_object();
    char key[sizeof e->link_key * 2 + 1];
    for (size_t i = 0; i < sizeof e->link_key; i++) {
        static const char hex[] = "0123456789abcdef";
        key[i * 2] = hex[e->link_key[i] >> 4];
        key[i * 2 + 1] = hex[e->link_key[i] & 15];
    }
    key[sizeof key - 1] = '\0';
    put_id(o, "id", e->app->id);
    put_text(o, "name", e->app->name);
    put_int(o, "flags", e->app->flags);
    put_text(o, "token", e->token);
    put_text(o, "link_key", key);
    put_id(o, "owner", e->owner->id);
    put_id(o, "bot", e->bot->id);
    add(e, "application.put", o);
}

void record_user(struct emulator *e, const struct user *u)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", u->id);
    put_text(o, "name", u->username);
    put_text(o, "global", u->global_name);
    put_bool(o, "bot", u->bot);
    add(e, "user.put", o);
}

void record_guild(struct emulator *e, const struct guild *g)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", g->id);
    put_text(o, "name", g->name);
    put_id(o, "owner", g->owner_id);
    put_id(o, "system", g->system_channel_id);
    put_int(o, "created", g->created_at);
    add(e, "guild.put", o);
}

void record_role(struct emulator *e, const struct guild *g,
                 const struct role *r)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "guild", g->id);
    put_id(o, "id", r->id);
    put_text(o, "name", r->name);
    put_id(o, "bits", r->permissions);
    put_int(o, "position", r->position);
    put_int(o, "color", r->color);
    put_bool(o, "hoist", r->hoist);
    put_bool(o, "mentionable", r->mentionable);
    put_bool(o, "managed", r->managed);
    put_id(o, "bot", r->bot_id);
    add(e, "role.put", o);
}

void record_role_gone(struct emulator *e, const struct guild *g, uint64_t id)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "guild", g->id);
    put_id(o, "id", id);
    add(e, "role.gone", o);
}

void record_member(struct emulator *e, const struct guild *g,
                   const struct member *m)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "guild", g->id);
    put_id(o, "user", m->user_id);
    put_text(o, "nick", m->nick);
    put_int(o, "joined", m->joined_at);
    json_object_object_add(o, "roles", id_list_json(&m->roles));
    add(e, "member.put", o);
}

void record_channel(struct emulator *e, const struct channel *ch)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", ch->id);
    put_id(o, "guild", ch->guild_id);
    put_id(o, "parent", ch->parent_id);
    put_int(o, "type", ch->type);
    put_text(o, "name", ch->name);
    put_text(o, "topic", ch->topic);
    put_int(o, "position", ch->position);
    put_bool(o, "nsfw", ch->nsfw);
    put_int(o, "slow", ch->rate_limit_per_user);
    put_int(o, "archive_default", ch->default_auto_archive_minutes);
    put_int(o, "slow_default", ch->default_thread_rate_limit);
    put_int(o, "flags", ch->flags);
    put_int(o, "last_pin", ch->last_pin_at);

    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < ch->overwrite_count; i++) {
        const struct overwrite *w = &ch->overwrites[i];
        struct json_object *x = json_object_new_object();
        put_id(x, "id", w->id);
        put_int(x, "type", w->type);
        put_id(x, "allow", w->allow);
        put_id(x, "deny", w->deny);
        json_object_array_add(list, x);
    }
    json_object_object_add(o, "overwrites", list);

    const struct thread *t = ch->thread;
    if (t) {
        struct json_object *x = json_object_new_object();
        put_id(x, "owner", t->owner_id);
        put_bool(x, "archived", t->archived);
        put_bool(x, "locked", t->locked);
        put_bool(x, "invitable", t->invitable);
        put_int(x, "minutes", t->auto_archive_minutes);
        put_int(x, "archive_at", t->archive_at);
        put_int(x, "created", t->created_at);
        put_int(x, "active", t->last_activity);
        struct json_object *members = json_object_new_array();
        for (size_t i = 0; i < t->member_count; i++) {
            struct json_object *m = json_object_new_object();
            put_id(m, "user", t->members[i].user_id);
            put_int(m, "joined", t->members[i].joined_at);
            json_object_array_add(members, m);
        }
        json_object_object_add(x, "members", members);
        json_object_object_add(o, "thread", x);
    }
    add(e, "channel.put", o);
}

void record_channel_gone(struct emulator *e, uint64_t id)
{
    gone(e, "channel.gone", id);
}

void record_message(struct emulator *e, const struct message *m)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", m->id);
    put_id(o, "channel", m->channel_id);
    put_id(o, "author", m->author_id);
    put_int(o, "type", m->type);
    put_text(o, "content", m->content);
    put_int(o, "at", m->at);
    put_int(o, "edited", m->edited_at);
    put_int(o, "flags", m->flags);
    put_bool(o, "tts", m->tts);
    put_bool(o, "everyone", m->mention_everyone);
    put_bool(o, "pinned", m->pinned);
    put_int(o, "pinned_at", m->pinned_at);
    if (m->mentions.n)
        json_object_object_add(o, "mentions", id_list_json(&m->mentions));
    if (m->mention_roles.n)
        json_object_object_add(o, "roles", id_list_json(&m->mention_roles));

    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < m->attachment_count; i++) {
        const struct attachment *a = &m->attachments[i];
        struct json_object *x = json_object_new_object();
        put_id(x, "id", a->id);
        put_text(x, "file", a->filename);
        put_text(x, "title", a->title);
        put_text(x, "description", a->description);
        put_text(x, "type", a->content_type);
        put_int(x, "size", (int64_t)a->size);
        put_bool(x, "spoiler", a->spoiler);
        json_object_array_add(list, x);
    }
    json_object_object_add(o, "attachments", list);
    put_json(o, "embeds", m->embeds);
    put_json(o, "links", m->link_embeds);
    put_json(o, "components", m->components);
    put_json(o, "nonce", m->nonce);
    put_int(o, "ref_type", m->reference_type);
    put_id(o, "ref_message", m->ref_message);
    put_id(o, "ref_channel", m->ref_channel);

    struct json_object *reactions = json_object_new_array();
    for (size_t i = 0; i < m->reaction_count; i++) {
        struct json_object *x = json_object_new_object();
        put_text(x, "emoji", m->reactions[i].emoji);
        put_id(x, "id", m->reactions[i].emoji_id);
        json_object_object_add(x, "users",
                               id_list_json(&m->reactions[i].users));
        json_object_array_add(reactions, x);
    }
    json_object_object_add(o, "reactions", reactions);
    put_id(o, "application", m->application_id);
    put_id(o, "webhook", m->webhook_id);
    put_id(o, "ephemeral_to", m->ephemeral_to);
    put_json(o, "interaction", m->interaction_metadata);
    add(e, "message.put", o);
}

void record_message_gone(struct emulator *e, uint64_t id)
{
    gone(e, "message.gone", id);
}

void record_blob(struct emulator *e, const struct blob *b)
{
    struct json_object *o = json_object_new_object();
    put_id(o, "id", b->id);
    put_id(o, "channel", b->channel_id);
    put_text(o, "file", b->filename);
    put_text(o, "type", b->content_type);
    journal_add_blob(e, "blob.put", o, b->data ? b->data : "", b->len);
    json_object_put(o);
}

void record_blob_gone(struct emulator *e, uint64_t id)
{
    gone(e, "blob.gone", id);
}

/* --- replay --- */

static void replay_application(struct emulator *e, struct json_object *o)
{
    if (!e->app)
        e->app = xcalloc(1, sizeof *e->app);
    free(e->app->name);
    free(e->token);
    e->app->id = get_id(o, "id");
    e->app->name = get_text(o, "name");
    e->app->flags = (uint32_t)get_int(o, "flags");
    e->token = get_text(o, "token");
    e->owner = user_find(e, get_id(o, "owner"));
    e->bot = user_find(e, get_id(o, "bot"));

    AUTO_STR char *key = get_text(o, "link_key");
    for (size_t i = 0; key && i < sizeof e->link_key && key[i * 2]; i++) {
        char two[3] = {key[i * 2], key[i * 2 + 1], '\0'};
        e->link_key[i] = (unsigned char)strtoul(two, NULL, 16);
    }
}

static void replay_user(struct emulator *e, struct json_object *o)
{
    uint64_t id = get_id(o, "id");
    struct user *u = user_find(e, id);
    if (!u) {
        u = xcalloc(1, sizeof *u);
        u->id = id;
        map_put(&e->users, &u->id, u);
    }
    free(u->username);
    free(u->global_name);
    u->username = get_text(o, "name");
    u->global_name = get_text(o, "global");
    u->bot = get_bool(o, "bot");
}

static void replay_guild(struct emulator *e, struct json_object *o)
{
    struct guild *g = guild_find(e, get_id(o, "id"));
    if (!g) {
        g = xcalloc(1, sizeof *g);
        g->id = get_id(o, "id");
        guild_link(e, g);
    }
    free(g->name);
    g->name = get_text(o, "name");
    g->owner_id = get_id(o, "owner");
    g->system_channel_id = get_id(o, "system");
    g->created_at = get_int(o, "created");
}

static void replay_role(struct emulator *e, struct json_object *o)
{
    struct guild *g = guild_find(e, get_id(o, "guild"));
    struct role *r = guild_role(g, get_id(o, "id"));
    if (!r) {
        r = xcalloc(1, sizeof *r);
        r->id = get_id(o, "id");
        g->roles = xrealloc(g->roles, (g->role_count + 1) * sizeof(void *));
        g->roles[g->role_count++] = r;
    }
    free(r->name);
    r->name = get_text(o, "name");
    r->permissions = get_id(o, "bits");
    r->position = (int)get_int(o, "position");
    r->color = (uint32_t)get_int(o, "color");
    r->hoist = get_bool(o, "hoist");
    r->mentionable = get_bool(o, "mentionable");
    r->managed = get_bool(o, "managed");
    r->bot_id = get_id(o, "bot");
}

static void replay_role_gone(struct emulator *e, struct json_object *o)
{
    struct guild *g = guild_find(e, get_id(o, "guild"));
    uint64_t id = get_id(o, "id");
    for (size_t i = 0; i < g->role_count; i++) {
        if (g->roles[i]->id == id) {
            free(g->roles[i]->name);
            free(g->roles[i]);
            memmove(g->roles + i, g->roles + i + 1,
                    (g->role_count - i - 1) * sizeof(void *));
            g->role_count--;
            return;
        }
    }
}

static void replay_member(struct emulator *e, struct json_object *o)
{
    struct guild *g = guild_find(e, get_id(o, "guild"));
    struct member *m = guild_member(g, get_id(o, "user"));
    if (!m) {
        m = xcalloc(1, sizeof *m);
        m->user_id = get_id(o, "user");
        g->members =
            xrealloc(g->members, (g->member_count + 1) * sizeof(void *));
        g->members[g->member_count++] = m;
    }
    free(m->nick);
    m->nick = get_text(o, "nick");
    m->joined_at = get_int(o, "joined");
    id_list_from(&m->roles, json_object_object_get(o, "roles"));
}

static void replay_thread(struct channel *ch, struct json_object *o)
{
    struct thread *t = ch->thread;
    t->owner_id = get_id(o, "owner");
    t->archived = get_bool(o, "archived");
    t->locked = get_bool(o, "locked");
    t->invitable = get_bool(o, "invitable");
    t->auto_archive_minutes = (int)get_int(o, "minutes");
    t->archive_at = get_int(o, "archive_at");
    t->created_at = get_int(o, "created");
    t->last_activity = get_int(o, "active");
    free(t->members);
    t->member_count = items(o, "members");
    t->members = xcalloc(t->member_count, sizeof *t->members);
    for (size_t i = 0; i < t->member_count; i++) {
        struct json_object *m = item(o, "members", i);
        t->members[i] =
            (struct thread_member){get_id(m, "user"), get_int(m, "joined")};
    }
}

static void replay_channel(struct emulator *e, struct json_object *o)
{
    struct channel *ch = channel_find(e, get_id(o, "id"));
    if (!ch) {
        ch = channel_draft(get_id(o, "guild"),
                           (enum channel_type)get_int(o, "type"), "");
        ch->id = get_id(o, "id");
        channel_link(e, ch);
    }
    free(ch->name);
    free(ch->topic);
    free(ch->overwrites);
    ch->type = (enum channel_type)get_int(o, "type");
    ch->name = get_text(o, "name");
    ch->topic = get_text(o, "topic");
    ch->parent_id = get_id(o, "parent");
    ch->position = (int)get_int(o, "position");
    ch->nsfw = get_bool(o, "nsfw");
    ch->rate_limit_per_user = (int)get_int(o, "slow");
    ch->default_auto_archive_minutes = (int)get_int(o, "archive_default");
    ch->default_thread_rate_limit = (int)get_int(o, "slow_default");
    ch->flags = (uint32_t)get_int(o, "flags");
    ch->last_pin_at = get_int(o, "last_pin");
    ch->overwrite_count = items(o, "overwrites");
    ch->overwrites = xcalloc(ch->overwrite_count, sizeof *ch->overwrites);
    for (size_t i = 0; i < ch->overwrite_count; i++) {
        struct json_object *x = item(o, "overwrites", i);
        ch->overwrites[i] =
            (struct overwrite){get_id(x, "id"), (int)get_int(x, "type"),
                               get_id(x, "allow"), get_id(x, "deny")};
    }
    if (ch->thread)
        replay_thread(ch, json_object_object_get(o, "thread"));
}

/* A message's second record replaces what the first one said, in place. */
static void message_fill(struct message *m, struct json_object *o)
{
    m->channel_id = get_id(o, "channel");
    m->author_id = get_id(o, "author");
    m->type = (enum message_type)get_int(o, "type");
    m->content = get_text(o, "content");
    m->at = get_int(o, "at");
    m->edited_at = get_int(o, "edited");
    m->flags = (uint32_t)get_int(o, "flags");
    m->tts = get_bool(o, "tts");
    m->mention_everyone = get_bool(o, "everyone");
    m->pinned = get_bool(o, "pinned");
    m->pinned_at = get_int(o, "pinned_at");
    id_list_from(&m->mentions, json_object_object_get(o, "mentions"));
    id_list_from(&m->mention_roles, json_object_object_get(o, "roles"));
    m->attachment_count = items(o, "attachments");
    m->attachments = xcalloc(m->attachment_count, sizeof *m->attachments);
    for (size_t i = 0; i < m->attachment_count; i++) {
        struct json_object *x = item(o, "attachments", i);
        m->attachments[i] = (struct attachment){
            .id = get_id(x, "id"),
            .filename = get_text(x, "file"),
            .title = get_text(x, "title"),
            .description = get_text(x, "description"),
            .content_type = get_text(x, "type"),
            .size = (size_t)get_int(x, "size"),
            .spoiler = get_bool(x, "spoiler"),
        };
    }
    m->embeds = get_json(o, "embeds");
    m->link_embeds = get_json(o, "links");
    m->components = get_json(o, "components");
    m->nonce = get_json(o, "nonce");
    m->reference_type = (int)get_int(o, "ref_type");
    m->ref_message = get_id(o, "ref_message");
    m->ref_channel = get_id(o, "ref_channel");
    m->reaction_count = items(o, "reactions");
    m->reactions = xcalloc(m->reaction_count, sizeof *m->reactions);
    for (size_t i = 0; i < m->reaction_count; i++) {
        struct json_object *x = item(o, "reactions", i);
        m->reactions[i].emoji = get_text(x, "emoji");
        m->reactions[i].emoji_id = get_id(x, "id");
        id_list_from(&m->reactions[i].users,
                     json_object_object_get(x, "users"));
    }
    m->application_id = get_id(o, "application");
    m->webhook_id = get_id(o, "webhook");
    m->ephemeral_to = get_id(o, "ephemeral_to");
    m->interaction_metadata = get_json(o, "interaction");
}

static void replay_message(struct emulator *e, struct json_object *o)
{
    uint64_t id = get_id(o, "id");
    struct message *fresh = xcalloc(1, sizeof *fresh);
    fresh->id = id;
    message_fill(fresh, o);

    struct message *m = map_get(&e->messages, hash_u64(id), &id);
    if (!m) {
        message_link(e, fresh);
        return;
    }
    struct channel *ch = channel_find(e, m->channel_id);
    if (ch && !m->ephemeral_to)
        ch->pin_count += (size_t)fresh->pinned - (size_t)m->pinned;
    struct message old = *m;
    *m = *fresh;
    *fresh = old;
    message_free(fresh);
}

static void replay_blob(struct emulator *e, struct json_object *o,
                        const void *data, size_t len)
{
    struct blob *b = xcalloc(1, sizeof *b);
    b->id = get_id(o, "id");
    b->channel_id = get_id(o, "channel");
    b->filename = get_text(o, "file");
    b->content_type = get_text(o, "type");
    b->data = xmalloc(len);
    if (len)
        memcpy(b->data, data, len);
    b->len = len;
    blob_link(e, b);
}

void state_replay(struct emulator *e, const char *kind,
                  struct json_object *record, const void *data, size_t len)
{
    uint64_t id = get_id(record, "id");
    snowflake_seen(e, id);

    if (strcmp(kind, "message.put") == 0) {
        replay_message(e, record);
    } else if (strcmp(kind, "message.gone") == 0) {
        struct message *m = map_get(&e->messages, hash_u64(id), &id);
        if (m)
            message_unlink(e, m);
    } else if (strcmp(kind, "blob.put") == 0) {
        replay_blob(e, record, data, len);
    } else if (strcmp(kind, "blob.gone") == 0) {
        blob_drop(e, id);
    } else if (strcmp(kind, "channel.put") == 0) {
        replay_channel(e, record);
    } else if (strcmp(kind, "channel.gone") == 0) {
        struct channel *ch = channel_find(e, id);
        if (ch)
            channel_unlink(e, ch);
    } else if (strcmp(kind, "role.put") == 0) {
        replay_role(e, record);
    } else if (strcmp(kind, "role.gone") == 0) {
        replay_role_gone(e, record);
    } else if (strcmp(kind, "member.put") == 0) {
        replay_member(e, record);
    } else if (strcmp(kind, "guild.put") == 0) {
        replay_guild(e, record);
    } else if (strcmp(kind, "user.put") == 0) {
        replay_user(e, record);
    } else if (strcmp(kind, "application.put") == 0) {
        replay_application(e, record);
    } else if (strcmp(kind, "clock.put") == 0) {
        e->clock.offset = get_int(record, "offset");
    }
}
