/* The state's own upkeep: maps, lists, counts, nonces. What is here neither
 * journals nor dispatches, so that replay and the living code share it. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/message.h"
#include "tests/emulator/record.h"
#include "tests/emulator/user.h"

/* "Past few minutes", says Discord; never published. */
#define NONCE_MS (5 * 60 * 1000)

/* Every item begins with its id. */
static uint64_t item_hash(const void *item)
{
    return hash_u64(*(const uint64_t *)item);
}

static bool item_has_key(const void *item, const void *key)
{
    return *(const uint64_t *)item == *(const uint64_t *)key;
}

static const struct map_type by_id = {item_hash, item_has_key};

struct nonce {
    uint64_t author, message;
    char *text;
    int64_t at;
};

struct nonces {
    struct nonce *ring; /* oldest first */
    size_t first, n, cap;
};

void state_init(struct emulator *e)
{
    e->users = MAP_INIT(&by_id);
    e->channels = MAP_INIT(&by_id);
    e->messages = MAP_INIT(&by_id);
    e->blobs = MAP_INIT(&by_id);
    e->nonces = xcalloc(1, sizeof *e->nonces);
}

static void blob_free(struct blob *b)
{
    free(b->filename);
    free(b->content_type);
    free(b->data);
    free(b);
}

static void guild_free(struct guild *g)
{
    for (size_t i = 0; i < g->role_count; i++) {
        free(g->roles[i]->name);
        free(g->roles[i]);
    }
    for (size_t i = 0; i < g->member_count; i++) {
        id_list_release(&g->members[i]->roles);
        free(g->members[i]->nick);
        free(g->members[i]);
    }
    free(g->roles);
    free(g->members);
    free(g->channels);
    free(g->threads);
    free(g->name);
    free(g);
}

void state_release(struct emulator *e)
{
    size_t at = 0;
    for (struct message *m; (m = map_next(&e->messages, &at));)
        message_free(m);
    map_release(&e->messages);
    at = 0;
    for (struct channel *ch; (ch = map_next(&e->channels, &at));) {
        ch->message_count = 0;
        channel_free(e, ch);
    }
    map_release(&e->channels);
    at = 0;
    for (struct blob *b; (b = map_next(&e->blobs, &at));)
        blob_free(b);
    map_release(&e->blobs);
    at = 0;
    for (struct user *u; (u = map_next(&e->users, &at));) {
        free(u->username);
        free(u->global_name);
        free(u);
    }
    map_release(&e->users);
    for (size_t i = 0; i < e->guild_count; i++)
        guild_free(e->guilds[i]);
    free(e->guilds);
    if (e->app)
        free(e->app->name);
    free(e->app);
    free(e->token);
    for (size_t i = 0; i < e->nonces->n; i++)
        free(e->nonces->ring[(e->nonces->first + i) % e->nonces->cap].text);
    free(e->nonces->ring);
    free(e->nonces);
}

void guild_link(struct emulator *e, struct guild *g)
{
    e->guilds = xrealloc(e->guilds, (e->guild_count + 1) * sizeof(void *));
    e->guilds[e->guild_count++] = g;
}

static void list_add(struct channel ***list, size_t *n, struct channel *ch)
{
    *list = xrealloc(*list, (*n + 1) * sizeof(void *));
    size_t at = *n;
    while (at && (*list)[at - 1]->id > ch->id) {
        (*list)[at] = (*list)[at - 1];
        at--;
    }
    (*list)[at] = ch;
    (*n)++;
}

static void list_drop(struct channel **list, size_t *n,
                      const struct channel *ch)
{
    for (size_t i = 0; i < *n; i++) {
        if (list[i] == ch) {
            memmove(list + i, list + i + 1, (*n - i - 1) * sizeof(void *));
            (*n)--;
            return;
        }
    }
}

void channel_link(struct emulator *e, struct channel *ch)
{
    struct guild *g = channel_guild(e, ch);
    map_put(&e->channels, &ch->id, ch);
    if (ch->thread)
        list_add(&g->threads, &g->thread_count, ch);
    else
        list_add(&g->channels, &g->channel_count, ch);
}

void channel_free(struct emulator *e, struct channel *ch)
{
    if (ch->thread) {
        if (ch->thread->archiver)
            timer_cancel(e, ch->thread->archiver);
        free(ch->thread->members);
        free(ch->thread);
    }
    free(ch->name);
    free(ch->topic);
    free(ch->overwrites);
    free(ch->messages);
    free(ch);
}

void channel_unlink(struct emulator *e, struct channel *ch)
{
    struct guild *g = channel_guild(e, ch);

    while (ch->message_count) {
        struct message *m = ch->messages[--ch->message_count];
        map_remove(&e->messages, hash_u64(m->id), &m->id);
        for (size_t i = 0; i < m->attachment_count; i++)
            blob_drop(e, m->attachments[i].id);
        message_free(m);
    }
    map_remove(&e->channels, hash_u64(ch->id), &ch->id);
    list_drop(g->threads, &g->thread_count, ch);
    list_drop(g->channels, &g->channel_count, ch);
    channel_free(e, ch);
}

void message_free(struct message *m)
{
    if (!m)
        return;
    free(m->content);
    id_list_release(&m->mentions);
    id_list_release(&m->mention_roles);
    for (size_t i = 0; i < m->attachment_count; i++) {
        free(m->attachments[i].filename);
        free(m->attachments[i].title);
        free(m->attachments[i].description);
        free(m->attachments[i].content_type);
    }
    free(m->attachments);
    json_object_put(m->embeds);
    json_object_put(m->link_embeds);
    json_object_put(m->components);
    json_object_put(m->nonce);
    json_object_put(m->interaction_metadata);
    for (size_t i = 0; i < m->reaction_count; i++) {
        free(m->reactions[i].emoji);
        id_list_release(&m->reactions[i].users);
    }
    free(m->reactions);
    free(m);
}

/* The starter does not count, and what the system says about the thread. */
static bool counts_in_thread(const struct message *m)
{
    return m->type != MESSAGE_THREAD_STARTER;
}

void message_link(struct emulator *e, struct message *m)
{
    map_put(&e->messages, &m->id, m);
    if (m->nonce)
        nonce_note(e, m);

    struct channel *ch = channel_find(e, m->channel_id);
    if (m->ephemeral_to || !ch)
        return;
    if (ch->message_count == ch->message_cap) {
        ch->message_cap = ch->message_cap ? ch->message_cap * 2 : 16;
        ch->messages = xrealloc(ch->messages, ch->message_cap * sizeof(void *));
    }
    ch->messages[ch->message_count++] = m;
    ch->last_message_id = m->id;
    ch->pin_count += m->pinned;
    if (ch->thread) {
        if (counts_in_thread(m)) {
            ch->thread->message_count++;
            ch->thread->total_message_sent++;
        }
        ch->thread->last_activity = m->at;
    }
}

void message_unlink(struct emulator *e, struct message *m)
{
    struct channel *ch = channel_find(e, m->channel_id);

    map_remove(&e->messages, hash_u64(m->id), &m->id);
    if (!m->ephemeral_to && ch) {
        size_t i = channel_message_at(ch, m->id);
        memmove(ch->messages + i, ch->messages + i + 1,
                (ch->message_count - i - 1) * sizeof(void *));
        ch->message_count--;
        ch->pin_count -= m->pinned;
        if (ch->thread && counts_in_thread(m))
            ch->thread->message_count--;
    }
    message_free(m);
}

void blob_link(struct emulator *e, struct blob *b)
{
    map_put(&e->blobs, &b->id, b);
}

void blob_drop(struct emulator *e, uint64_t id)
{
    struct blob *b = map_remove(&e->blobs, hash_u64(id), &id);
    if (b)
        blob_free(b);
}

void nonce_note(struct emulator *e, const struct message *m)
{
    struct nonces *l = e->nonces;
    int64_t now = emulator_now(e);

    while (l->n && l->ring[l->first].at + NONCE_MS < now) {
        free(l->ring[l->first].text);
        l->first = (l->first + 1) % l->cap;
        l->n--;
    }
    if (l->n == l->cap) {
        size_t cap = l->cap ? l->cap * 2 : 64;
        struct nonce *ring = xcalloc(cap, sizeof *ring);
        for (size_t i = 0; i < l->n; i++)
            ring[i] = l->ring[(l->first + i) % l->cap];
        free(l->ring);
        l->ring = ring;
        l->cap = cap;
        l->first = 0;
    }
    l->ring[(l->first + l->n++) % l->cap] = (struct nonce){
        .author = m->author_id,
        .message = m->id,
        .text = xstrdup(json_object_get_string(m->nonce)),
        .at = m->at,
    };
}

uint64_t nonce_find(struct emulator *e, uint64_t author,
                    struct json_object *nonce)
{
    const struct nonces *l = e->nonces;
    const char *text = json_object_get_string(nonce);
    int64_t now = emulator_now(e);

    for (size_t i = l->n; i-- > 0;) {
        const struct nonce *n = &l->ring[(l->first + i) % l->cap];
        if (n->at + NONCE_MS < now)
            break;
        if (n->author == author && strcmp(n->text, text) == 0)
            return n->message;
    }
    return 0;
}
