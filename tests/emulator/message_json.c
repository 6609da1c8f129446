/* How a message looks: to the API, in events, without its content. */

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/cdn.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/message.h"
#include "tests/emulator/user.h"

static struct json_object *text_or_null(const char *s)
{
    return s ? json_object_new_string(s) : NULL;
}

static struct json_object *array_of(struct json_object *a)
{
    return a ? json_object_get(a) : json_object_new_array();
}

struct json_object *attachment_json(struct emulator *e, uint64_t channel_id,
                                    const struct attachment *a, bool ephemeral)
{
    struct json_object *o = json_object_new_object();
    AUTO_STR char *url = cdn_link(e, channel_id, a->id, a->filename);

    json_object_object_add(o, "id", snowflake_json(a->id));
    json_object_object_add(o, "filename", json_object_new_string(a->filename));
    json_object_object_add(o, "size", json_object_new_uint64(a->size));
    json_object_object_add(o, "url", json_object_new_string(url));
    json_object_object_add(o, "proxy_url", json_object_new_string(url));
    json_object_object_add(o, "content_type",
                           json_object_new_string(a->content_type));
    json_object_object_add(o, "flags",
                           json_object_new_int(a->spoiler ? 1 << 3 : 0));
    if (a->title)
        json_object_object_add(o, "title", json_object_new_string(a->title));
    if (a->description)
        json_object_object_add(o, "description",
                               json_object_new_string(a->description));
    if (ephemeral)
        json_object_object_add(o, "ephemeral", json_object_new_boolean(true));
    return o;
}

static struct json_object *embeds_json(const struct message *m)
{
    struct json_object *all = json_object_new_array();
    struct json_object *const from[] = {m->embeds, m->link_embeds};

    if (m->flags & MESSAGE_SUPPRESS_EMBEDS)
        return all;
    for (size_t k = 0; k < 2; k++) {
        size_t n = from[k] ? json_object_array_length(from[k]) : 0;
        for (size_t i = 0; i < n; i++)
            json_object_array_add(
                all, json_object_get(json_object_array_get_idx(from[k], i)));
    }
    return all;
}

static struct json_object *reactions_json(struct emulator *e,
                                          const struct message *m)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < m->reaction_count; i++) {
        const struct reaction *r = &m->reactions[i];
        struct json_object *o = json_object_new_object();
        struct json_object *emoji = json_object_new_object();
        struct json_object *count = json_object_new_object();
        json_object_object_add(emoji, "id", snowflake_json(r->emoji_id));
        json_object_object_add(emoji, "name", json_object_new_string(r->emoji));
        json_object_object_add(count, "normal",
                               json_object_new_uint64(r->users.n));
        json_object_object_add(count, "burst", json_object_new_int(0));
        json_object_object_add(o, "emoji", emoji);
        json_object_object_add(o, "count", json_object_new_uint64(r->users.n));
        json_object_object_add(o, "count_details", count);
        json_object_object_add(o, "burst_colors", json_object_new_array());
        json_object_object_add(o, "me_burst", json_object_new_boolean(false));
        json_object_object_add(o, "burst_me", json_object_new_boolean(false));
        json_object_object_add(o, "burst_count", json_object_new_int(0));
        json_object_object_add(
            o, "me",
            json_object_new_boolean(id_list_has(&r->users, e->bot->id)));
        json_object_array_add(list, o);
    }
    return list;
}

static struct json_object *users_json(struct emulator *e,
                                      const struct id_list *l)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < l->n; i++) {
        const struct user *u = user_find(e, l->at[i]);
        if (u)
            json_object_array_add(list, user_json(u));
    }
    return list;
}

static struct json_object *build(struct emulator *e, const struct message *m,
                                 bool nested);

static void add_reference(struct emulator *e, struct json_object *o,
                          const struct message *m, bool nested)
{
    const struct channel *ch = channel_find(e, m->ref_channel);
    struct json_object *ref = json_object_new_object();

    json_object_object_add(ref, "type", json_object_new_int(m->reference_type));
    json_object_object_add(ref, "channel_id", snowflake_json(m->ref_channel));
    if (m->ref_message)
        json_object_object_add(ref, "message_id",
                               snowflake_json(m->ref_message));
    if (ch)
        json_object_object_add(ref, "guild_id", snowflake_json(ch->guild_id));
    json_object_object_add(o, "message_reference", ref);

    if (nested ||
        (m->type != MESSAGE_REPLY && m->type != MESSAGE_THREAD_STARTER))
        return;
    const struct message *to = message_find(e, m->ref_channel, m->ref_message);
    json_object_object_add(o, "referenced_message",
                           to ? build(e, to, true) : NULL);
}

static struct json_object *build(struct emulator *e, const struct message *m,
                                 bool nested)
{
    struct json_object *o = json_object_new_object();
    const struct user *author = user_find(e, m->author_id);
    char at[CLOCK_STAMP_SIZE];

    json_object_object_add(o, "type", json_object_new_int(m->type));
    json_object_object_add(o, "content", json_object_new_string(m->content));
    json_object_object_add(o, "mentions", users_json(e, &m->mentions));
    json_object_object_add(o, "mention_roles", id_list_json(&m->mention_roles));

    struct json_object *files = json_object_new_array();
    for (size_t i = 0; i < m->attachment_count; i++)
        json_object_array_add(files, attachment_json(e, m->channel_id,
                                                     &m->attachments[i],
                                                     m->ephemeral_to != 0));
    json_object_object_add(o, "attachments", files);
    json_object_object_add(o, "embeds", embeds_json(m));
    json_object_object_add(o, "timestamp",
                           json_object_new_string(clock_stamp(m->at, at)));
    json_object_object_add(
        o, "edited_timestamp",
        m->edited_at ? text_or_null(clock_stamp(m->edited_at, at)) : NULL);
    json_object_object_add(o, "flags", json_object_new_int64(m->flags));
    json_object_object_add(o, "components", array_of(m->components));
    json_object_object_add(o, "id", snowflake_json(m->id));
    json_object_object_add(o, "channel_id", snowflake_json(m->channel_id));
    json_object_object_add(o, "author", author ? user_json(author) : NULL);
    json_object_object_add(o, "pinned", json_object_new_boolean(m->pinned));
    json_object_object_add(o, "mention_everyone",
                           json_object_new_boolean(m->mention_everyone));
    json_object_object_add(o, "tts", json_object_new_boolean(m->tts));
    if (m->reaction_count)
        json_object_object_add(o, "reactions", reactions_json(e, m));
    if (m->ref_channel)
        add_reference(e, o, m, nested);
    if (m->application_id)
        json_object_object_add(o, "application_id",
                               snowflake_json(m->application_id));
    if (m->webhook_id)
        json_object_object_add(o, "webhook_id", snowflake_json(m->webhook_id));
    if (m->interaction_metadata)
        json_object_object_add(o, "interaction_metadata",
                               json_object_get(m->interaction_metadata));

    const struct channel *ch = channel_find(e, m->channel_id);
    const struct channel *thread =
        m->flags & MESSAGE_HAS_THREAD ? channel_find(e, m->id) : NULL;
    if (thread && !nested)
        json_object_object_add(o, "thread",
                               channel_json(e, thread, e->bot->id));
    if (ch && ch->thread && !m->ephemeral_to)
        json_object_object_add(
            o, "position",
            json_object_new_uint64(channel_message_at(ch, m->id)));
    return o;
}

struct json_object *message_full_json(struct emulator *e,
                                      const struct message *m)
{
    return build(e, m, false);
}

void message_strip(struct emulator *e, struct json_object *o)
{
    struct json_object *author = json_object_object_get(o, "author");
    struct json_object *mentions = json_object_object_get(o, "mentions");

    struct json_object *nested =
        json_object_object_get(o, "referenced_message");
    if (nested)
        message_strip(e, nested);

    if (snowflake_of(json_object_object_get(author, "id")) == e->bot->id)
        return;
    for (size_t i = 0; mentions && i < json_object_array_length(mentions); i++)
        if (snowflake_of(json_object_object_get(
                json_object_array_get_idx(mentions, i), "id")) == e->bot->id)
            return;
    json_object_object_add(o, "content", json_object_new_string(""));
    json_object_object_add(o, "embeds", json_object_new_array());
    json_object_object_add(o, "attachments", json_object_new_array());
    json_object_object_add(o, "components", json_object_new_array());
    json_object_object_del(o, "poll");
}

struct json_object *message_json(struct emulator *e, const struct message *m)
{
    struct json_object *o = build(e, m, false);
    if (!application_has_message_content(e->app))
        message_strip(e, o);
    return o;
}

struct json_object *message_event_json(struct emulator *e,
                                       const struct message *m)
{
    struct json_object *o = build(e, m, false);
    const struct channel *ch = channel_find(e, m->channel_id);
    const struct guild *g = ch ? channel_guild(e, ch) : NULL;

    if (ch)
        json_object_object_add(o, "channel_type",
                               json_object_new_int(ch->type));
    if (m->ephemeral_to || !g)
        return o;
    json_object_object_add(o, "guild_id", snowflake_json(g->id));
    const struct member *author = guild_member(g, m->author_id);
    if (author && !m->webhook_id)
        json_object_object_add(o, "member", member_json(e, g, author, false));

    struct json_object *mentions = json_object_object_get(o, "mentions");
    for (size_t i = 0; i < json_object_array_length(mentions); i++) {
        struct json_object *u = json_object_array_get_idx(mentions, i);
        const struct member *who =
            guild_member(g, snowflake_of(json_object_object_get(u, "id")));
        if (who)
            json_object_object_add(u, "member", member_json(e, g, who, false));
    }
    return o;
}
