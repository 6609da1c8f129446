/* Messages: from being said to being gone, and their events. */
#include "tests/emulator/message.h"

#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/event.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/record.h"

/* How long Discord takes to fetch a page and make its embed. */
#define LINK_EMBED_MS 1500

struct message *message_find(struct emulator *e, uint64_t channel_id,
                             uint64_t id)
{
    struct message *m = map_get(&e->messages, hash_u64(id), &id);
    return m && m->channel_id == channel_id ? m : NULL;
}

struct message *message_draft(const struct channel *ch, uint64_t author_id,
                              enum message_type type)
{
    struct message *m = xcalloc(1, sizeof *m);
    m->channel_id = ch->id;
    m->author_id = author_id;
    m->type = type;
    m->content = xstrdup("");
    return m;
}

void message_draft_free(struct message *m)
{
    message_free(m);
}

static void message_event(struct emulator *e, const struct message *m,
                          const char *type)
{
    const struct channel *ch = channel_find(e, m->channel_id);
    struct json_object *o = message_event_json(e, m);
    if (m->nonce && strcmp(type, "MESSAGE_CREATE") == 0)
        json_object_object_add(o, "nonce", json_object_get(m->nonce));
    event_dispatch(e, type, ch ? ch->guild_id : 0, m->channel_id, o);
    json_object_put(o);
}

/* --- embeds made from links --- */

static size_t link_length(const char *s)
{
    return strcspn(s, " \t\r\n<>\"|)");
}

/* The first link of the content that is not in <…>, or NULL. */
static const char *first_link(const char *s)
{
    for (const char *p = s; (p = strstr(p, "http")); p += 4) {
        if (strncmp(p, "http://", 7) != 0 && strncmp(p, "https://", 8) != 0)
            continue;
        if (p > s && p[-1] == '<')
            continue;
        if (link_length(p) > 9)
            return p;
    }
    return NULL;
}

static void on_link(struct emulator *e, void *arg)
{
    /* The id itself, in the pointer's bits: the message may be gone. */
    uint64_t id = (uintptr_t)arg;
    struct message *m = map_get(&e->messages, hash_u64(id), &id);
    const char *link = m ? first_link(m->content) : NULL;

    if (!link || m->flags & MESSAGE_SUPPRESS_EMBEDS || m->link_embeds)
        return;
    AUTO_STR char *url = xstrndup(link, link_length(link));
    struct json_object *embed = json_object_new_object();
    json_object_object_add(embed, "type", json_object_new_string("link"));
    json_object_object_add(embed, "url", json_object_new_string(url));
    json_object_object_add(embed, "title", json_object_new_string(url));
    m->link_embeds = json_object_new_array();
    json_object_array_add(m->link_embeds, embed);
    message_changed(e, m);
}

static void expect_link(struct emulator *e, const struct message *m)
{
    const struct channel *ch = channel_find(e, m->channel_id);

    if (!first_link(m->content) || m->flags & MESSAGE_SUPPRESS_EMBEDS ||
        m->ephemeral_to || !ch ||
        !(perm_in_channel(e, ch, m->author_id) & PERM_EMBED_LINKS))
        return;
    timer_at(e, emulator_now(e) + LINK_EMBED_MS, on_link,
             (void *)(uintptr_t)m->id);
}

/* --- changes --- */

void message_insert(struct emulator *e, struct message *m)
{
    struct channel *ch = channel_find(e, m->channel_id);

    m->id = m->id ? m->id : snowflake_new(e);
    m->at = emulator_now(e);
    if (ch->thread && !m->ephemeral_to && m->type != MESSAGE_THREAD_STARTER) {
        if (ch->thread->archived)
            thread_set_archived(e, ch, false);
        if (m->type == MESSAGE_DEFAULT || m->type == MESSAGE_REPLY)
            thread_join(e, ch, m->author_id);
    }
    message_link(e, m);
    record_message(e, m);
    message_event(e, m, "MESSAGE_CREATE");
    expect_link(e, m);
}

void message_changed(struct emulator *e, struct message *m)
{
    record_message(e, m);
    message_event(e, m, "MESSAGE_UPDATE");
    if (!m->link_embeds)
        expect_link(e, m);
}

static void forget(struct emulator *e, struct message *m)
{
    for (size_t i = 0; i < m->attachment_count; i++) {
        record_blob_gone(e, m->attachments[i].id);
        blob_drop(e, m->attachments[i].id);
    }
    record_message_gone(e, m->id);
    message_unlink(e, m);
}

void message_remove(struct emulator *e, struct message *m)
{
    const struct channel *ch = channel_find(e, m->channel_id);
    struct json_object *o = json_object_new_object();

    json_object_object_add(o, "id", snowflake_json(m->id));
    json_object_object_add(o, "channel_id", snowflake_json(m->channel_id));
    if (ch && !m->ephemeral_to)
        json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    forget(e, m);
    event_dispatch(e, "MESSAGE_DELETE", ch ? ch->guild_id : 0, ch ? ch->id : 0,
                   o);
    json_object_put(o);
}

void message_remove_bulk(struct emulator *e, struct channel *ch,
                         struct message **list, size_t n)
{
    struct json_object *o = json_object_new_object();
    struct json_object *ids = json_object_new_array();

    for (size_t i = 0; i < n; i++) {
        json_object_array_add(ids, snowflake_json(list[i]->id));
        forget(e, list[i]);
    }
    json_object_object_add(o, "ids", ids);
    json_object_object_add(o, "channel_id", snowflake_json(ch->id));
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    if (n)
        event_dispatch(e, "MESSAGE_DELETE_BULK", ch->guild_id, ch->id, o);
    json_object_put(o);
}

/* --- attachments --- */

struct blob *blob_find(struct emulator *e, uint64_t attachment_id)
{
    return map_get(&e->blobs, hash_u64(attachment_id), &attachment_id);
}

struct attachment attachment_new(struct emulator *e, const struct channel *ch,
                                 const char *filename, const char *content_type,
                                 const void *data, size_t len)
{
    struct attachment a = {.id = snowflake_new(e), .size = len};
    a.filename = file_name_normalize(filename);
    if (strcmp(a.filename, filename) != 0)
        a.title = xstrdup(filename);
    a.content_type = xstrdup(content_type);
    a.spoiler = strncmp(a.filename, "SPOILER_", 8) == 0;

    struct blob *b = xcalloc(1, sizeof *b);
    b->id = a.id;
    b->channel_id = ch->id;
    b->filename = xstrdup(a.filename);
    b->content_type = xstrdup(content_type);
    b->data = xmalloc(len);
    memcpy(b->data, data, len);
    b->len = len;
    blob_link(e, b);
    record_blob(e, b);
    return a;
}

void attachment_release(struct emulator *e, struct attachment *a)
{
    record_blob_gone(e, a->id);
    blob_drop(e, a->id);
    free(a->filename);
    free(a->title);
    free(a->description);
    free(a->content_type);
}

struct message *message_say(struct emulator *e, struct channel *ch,
                            uint64_t author_id, const char *content)
{
    struct message *m = message_draft(ch, author_id, MESSAGE_DEFAULT);
    free(m->content);
    m->content = xstrdup(content);

    /* <@id> and <@&id>, as far as there is such a user or role. */
    const struct guild *g = channel_guild(e, ch);
    for (const char *p = content; (p = strstr(p, "<@")); p += 2) {
        bool role = p[2] == '&';
        const char *digits = p + 2 + (role || p[2] == '!');
        size_t n = strspn(digits, "0123456789");
        AUTO_STR char *text = xstrndup(digits, n);
        uint64_t id;
        if (digits[n] != '>' || !snowflake_parse(text, &id))
            continue;
        if (role && guild_role(g, id))
            id_list_put(&m->mention_roles, id);
        else if (!role && guild_member(g, id))
            id_list_put(&m->mentions, id);
    }
    m->mention_everyone =
        (strstr(content, "@everyone") || strstr(content, "@here")) &&
        perm_in_channel(e, ch, author_id) & PERM_MENTION_EVERYONE;
    message_insert(e, m);
    return m;
}
