/* GET /guilds/{id}/messages/search, as unreliable as the real one.
 *
 * Each guild has an index, built some time after the first search asked for
 * it; until then the answer is 202. Changes reach it `lag_ms` late, by the
 * emulator's clock. Hits are read from the messages as they are now, so that
 * one deleted meanwhile counts in total_results and leaves a gap in its page,
 * and one edited meanwhile is found by its old words and shows its new ones. */
#include "tests/emulator/search.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/clock.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/gateway.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/route.h"
#include "tests/emulator/search_index.h"
#include "tests/emulator/user.h"

enum {
    BUILD_MS = 500,
    LIMIT_MAX = 25,
    OFFSET_MAX = 9975,
    SLOP = 2,
    SLOP_MAX = 100,
    CONTENT_MAX = 1024,
};

/* A change on its way into the index. */
struct pending {
    int64_t due;
    uint64_t id, channel_id;
};

struct index {
    uint64_t guild_id;
    struct search_index *words;
    int64_t ready_at;
    bool built;
    struct pending *queue; /* by due, from head on */
    size_t head, n, cap;
};

struct search {
    struct index **list;
    size_t n;
    int64_t lag_ms, build_ms;
    int64_t drop_every; /* of the changes, that many reach no index; 0: none */
    int64_t changes;
    bool reorder, off;
};

void search_open(struct emulator *e)
{
    e->search = xcalloc(1, sizeof(*e->search));
    e->search->lag_ms = e->options.search_lag_ms;
    e->search->build_ms = BUILD_MS;
}

static void forget_all(struct search *s)
{
    for (size_t i = 0; i < s->n; i++) {
        search_index_free(s->list[i]->words);
        free(s->list[i]->queue);
        free(s->list[i]);
    }
    free(s->list);
    s->list = NULL;
    s->n = 0;
}

void search_close(struct emulator *e)
{
    if (!e->search)
        return;
    forget_all(e->search);
    free(e->search);
    e->search = NULL;
}

/* --- the index --- */

static struct index *index_of(struct search *s, uint64_t guild_id)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->list[i]->guild_id == guild_id)
            return s->list[i];
    }
    return NULL;
}

static struct index *index_start(struct emulator *e, uint64_t guild_id)
{
    struct search *s = e->search;
    struct index *ix = xcalloc(1, sizeof(*ix));

    ix->guild_id = guild_id;
    ix->words = search_index_new();
    ix->ready_at = emulator_now(e) + s->build_ms;
    s->list = xrealloc(s->list, (s->n + 1) * sizeof(struct index *));
    s->list[s->n++] = ix;
    return ix;
}

static void note(struct emulator *e, struct index *ix, uint64_t id,
                 uint64_t channel_id)
{
    struct search *s = e->search;

    s->changes++;
    if (s->drop_every > 0 && s->changes % s->drop_every == 0)
        return;
    if (ix->head > 0 && ix->head == ix->n)
        ix->head = ix->n = 0;
    if (ix->n == ix->cap) {
        ix->cap = ix->cap ? ix->cap * 2 : 64;
        ix->queue = xrealloc(ix->queue, ix->cap * sizeof(*ix->queue));
    }
    ix->queue[ix->n++] =
        (struct pending){emulator_now(e) + s->lag_ms, id, channel_id};
}

void search_note(struct emulator *e, const char *type, uint64_t guild_id,
                 struct json_object *payload)
{
    struct index *ix =
        e->search && guild_id ? index_of(e->search, guild_id) : NULL;
    uint64_t channel;
    json_object *ids;

    if (!ix || !str_starts(type, "MESSAGE_") ||
        str_starts(type, "MESSAGE_REACTION"))
        return;
    channel = snowflake_of(json_object_object_get(payload, "channel_id"));
    if (!json_object_object_get_ex(payload, "ids", &ids)) {
        note(e, ix, snowflake_of(json_object_object_get(payload, "id")),
             channel);
        return;
    }
    for (size_t i = 0; i < json_object_array_length(ids); i++)
        note(e, ix, snowflake_of(json_object_array_get_idx(ids, i)), channel);
}

static void index_channel(struct index *ix, const struct channel *ch)
{
    for (size_t i = 0; i < ch->message_count; i++) {
        const struct message *m = ch->messages[i];
        search_index_put(ix->words, m->id, ch->id, m->content);
    }
}

/* What is due by now. */
static void catch_up(struct emulator *e, struct index *ix)
{
    int64_t now = emulator_now(e);

    if (!ix->built && now >= ix->ready_at) {
        const struct guild *g = guild_find(e, ix->guild_id);
        for (size_t i = 0; i < g->channel_count; i++)
            index_channel(ix, g->channels[i]);
        for (size_t i = 0; i < g->thread_count; i++)
            index_channel(ix, g->threads[i]);
        ix->built = true;
    }
    for (; ix->head < ix->n && ix->queue[ix->head].due <= now; ix->head++) {
        const struct pending *p = &ix->queue[ix->head];
        const struct message *m = message_find(e, p->channel_id, p->id);
        if (m)
            search_index_put(ix->words, m->id, m->channel_id, m->content);
        else
            search_index_remove(ix->words, p->id);
    }
}

/* --- what was asked --- */

/* A list of words of the query that are to be, or not to be ('-'). */
struct words {
    const char **at;
    size_t n;
};

struct query {
    int64_t limit, offset, slop;
    const char *content;
    uint64_t min_id, max_id;
    struct id_list channels, authors, mentions, mention_roles, reply_users,
        reply_messages;
    struct words author_types, has, embed_types, providers, hosts, names,
        extensions;
    bool want_everyone, everyone, want_pinned, pinned, nsfw;
    bool ascending, relevance;
};

static void query_release(struct query *q)
{
    id_list_release(&q->channels);
    id_list_release(&q->authors);
    id_list_release(&q->mentions);
    id_list_release(&q->mention_roles);
    id_list_release(&q->reply_users);
    id_list_release(&q->reply_messages);
    free(q->author_types.at);
    free(q->has.at);
    free(q->embed_types.at);
    free(q->providers.at);
    free(q->hosts.at);
    free(q->names.at);
    free(q->extensions.at);
}

static void read_int(struct form *f, const struct http_request *r,
                     const char *key, int64_t min, int64_t max, int64_t *out)
{
    const char *s = request_query(r, key);
    uint64_t v;

    if (!s)
        return;
    if (!str_to_u64(s, &v))
        form_error(f, key, "NUMBER_TYPE_COERCE", "Value \"%s\" is not int.", s);
    else if (v > (uint64_t)max)
        form_error(f, key, "NUMBER_TYPE_MAX",
                   "int value should be less than or equal to %lld.",
                   (long long)max);
    else if ((int64_t)v < min)
        form_error(f, key, "NUMBER_TYPE_MIN",
                   "int value should be greater than or equal to %lld.",
                   (long long)min);
    else
        *out = (int64_t)v;
}

static void not_a_snowflake(struct form *f, const char *key, const char *s)
{
    form_error(f, key, "NUMBER_TYPE_COERCE", "Value \"%s\" is not snowflake.",
               s);
}

static void read_id(struct form *f, const struct http_request *r,
                    const char *key, uint64_t *out)
{
    const char *s = request_query(r, key);

    if (s && !snowflake_parse(s, out))
        not_a_snowflake(f, key, s);
}

static void too_many(struct form *f, const char *key, size_t max)
{
    form_error(f, key, "BASE_TYPE_MAX_LENGTH",
               "Must be %zu or fewer in length.", max);
}

static void read_ids(struct form *f, const struct http_request *r,
                     const char *key, size_t max, struct id_list *out)
{
    size_t at = 0;
    const char *s;
    uint64_t id;

    while ((s = request_query_next(r, key, &at)) != NULL) {
        if (!snowflake_parse(s, &id))
            not_a_snowflake(f, key, s);
        else
            id_list_put(out, id);
    }
    if (out->n > max)
        too_many(f, key, max);
}

/* allowed: words by blanks, a '-' in front inverts; NULL: any text. */
static void read_words(struct form *f, const struct http_request *r,
                       const char *key, const char *allowed, size_t max,
                       size_t max_text, struct words *out)
{
    size_t at = 0;
    const char *s;

    while ((s = request_query_next(r, key, &at)) != NULL) {
        const char *bare = *s == '-' ? s + 1 : s;
        const char *hit = allowed && *bare ? strstr(allowed, bare) : NULL;
        size_t n = strlen(bare);
        if (allowed && (!hit || hit[n] != ' ' || hit[-1] != ' '))
            form_error(f, key, "BASE_TYPE_CHOICES",
                       "Value must be one of (%s).", allowed);
        if (strlen(s) > max_text)
            too_many(f, key, max_text);
        out->at = xrealloc(out->at, (out->n + 1) * sizeof(*out->at));
        out->at[out->n++] = s;
    }
    if (out->n > max)
        too_many(f, key, max);
}

/* Whether the key is there. */
static bool read_bool(struct form *f, const struct http_request *r,
                      const char *key, bool *out)
{
    bool bad = false;

    *out = request_query_bool(r, key, false, &bad);
    if (bad)
        form_error(f, key, "BOOLEAN_TYPE_CONVERT",
                   "Must be either true or false.");
    return request_query(r, key) != NULL;
}

/* One of two words; true for the second. */
static bool read_either(struct form *f, const struct http_request *r,
                        const char *key, const char *first, const char *second)
{
    const char *s = request_query(r, key);

    if (s && strcmp(s, first) != 0 && strcmp(s, second) != 0)
        form_error(f, key, "BASE_TYPE_CHOICES",
                   "Value must be one of ('%s', '%s').", first, second);
    return s && strcmp(s, second) == 0;
}

static void query_read(struct form *f, const struct http_request *r,
                       struct query *q)
{
    *q = (struct query){.limit = LIMIT_MAX, .slop = SLOP, .max_id = UINT64_MAX};

    read_int(f, r, "limit", 1, LIMIT_MAX, &q->limit);
    read_int(f, r, "offset", 0, OFFSET_MAX, &q->offset);
    read_int(f, r, "slop", 0, SLOP_MAX, &q->slop);
    read_id(f, r, "min_id", &q->min_id);
    read_id(f, r, "max_id", &q->max_id);
    q->content = request_query(r, "content");
    if (q->content && utf16_units(q->content, strlen(q->content)) > CONTENT_MAX)
        too_many(f, "content", CONTENT_MAX);
    read_ids(f, r, "channel_id", 500, &q->channels);
    read_ids(f, r, "author_id", 100, &q->authors);
    read_ids(f, r, "mentions", 100, &q->mentions);
    read_ids(f, r, "mentions_role_id", 100, &q->mention_roles);
    read_ids(f, r, "replied_to_user_id", 100, &q->reply_users);
    read_ids(f, r, "replied_to_message_id", 100, &q->reply_messages);
    read_words(f, r, "author_type", " user bot webhook ", 6, 16,
               &q->author_types);
    read_words(f, r, "has",
               " link embed file image video sound sticker poll snapshot ", 18,
               16, &q->has);
    read_words(f, r, "embed_type", " image video gif sound article ", 5, 16,
               &q->embed_types);
    read_words(f, r, "embed_provider", NULL, 100, 256, &q->providers);
    read_words(f, r, "link_hostname", NULL, 100, 256, &q->hosts);
    read_words(f, r, "attachment_filename", NULL, 100, 1024, &q->names);
    read_words(f, r, "attachment_extension", NULL, 100, 256, &q->extensions);
    q->want_everyone = read_bool(f, r, "mention_everyone", &q->everyone);
    q->want_pinned = read_bool(f, r, "pinned", &q->pinned);
    read_bool(f, r, "include_nsfw", &q->nsfw);
    q->relevance = read_either(f, r, "sort_by", "timestamp", "relevance");
    q->ascending = read_either(f, r, "sort_order", "desc", "asc");
}

/* --- what matches --- */

static bool any_id(const struct id_list *wanted, const struct id_list *have)
{
    for (size_t i = 0; i < wanted->n; i++) {
        if (id_list_has(have, wanted->at[i]))
            return true;
    }
    return false;
}

static bool has_media(const struct message *m, const char *kind)
{
    size_t n = strlen(kind);

    for (size_t i = 0; i < m->attachment_count; i++) {
        const char *type = m->attachments[i].content_type;
        if (type && strncmp(type, kind, n) == 0 && type[n] == '/')
            return true;
    }
    return false;
}

static size_t length_of(json_object *list)
{
    return list ? json_object_array_length(list) : 0;
}

static bool has_link(const struct message *m)
{
    return strstr(m->content, "http://") || strstr(m->content, "https://");
}

static bool message_has(const struct message *m, const char *what)
{
    if (strcmp(what, "link") == 0)
        return has_link(m);
    if (strcmp(what, "embed") == 0)
        return length_of(m->embeds) + length_of(m->link_embeds) > 0;
    if (strcmp(what, "file") == 0)
        return m->attachment_count > 0;
    if (strcmp(what, "image") == 0 || strcmp(what, "video") == 0)
        return has_media(m, what);
    if (strcmp(what, "sound") == 0)
        return has_media(m, "audio");
    if (strcmp(what, "snapshot") == 0)
        return m->reference_type == 1;
    return false; /* stickers and polls: there are none here */
}

static bool is_author_type(struct emulator *e, const struct message *m,
                           const char *what)
{
    const struct user *u = user_find(e, m->author_id);

    /* An interaction's answer is the application's, not a webhook's. */
    bool webhook = m->webhook_id && m->webhook_id != m->application_id;
    if (strcmp(what, "webhook") == 0)
        return webhook;
    return !webhook && u && u->bot == (strcmp(what, "bot") == 0);
}

/* With '-': none of those; without: any of those that have none. */
static bool words_fit(struct emulator *e, const struct message *m,
                      const struct words *w,
                      bool (*is)(struct emulator *e, const struct message *m,
                                 const char *what))
{
    bool wanted = false, found = false;

    for (size_t i = 0; i < w->n; i++) {
        const char *s = w->at[i];
        if (*s == '-') {
            if (is(e, m, s + 1))
                return false;
        } else {
            wanted = true;
            found |= is(e, m, s);
        }
    }
    return !wanted || found;
}

static bool does_have(struct emulator *e, const struct message *m,
                      const char *what)
{
    (void)e;
    return message_has(m, what);
}

static bool has_file_named(struct emulator *e, const struct message *m,
                           const char *name)
{
    (void)e;
    for (size_t i = 0; i < m->attachment_count; i++) {
        if (strcasecmp(m->attachments[i].filename, name) == 0)
            return true;
    }
    return false;
}

static bool has_extension(struct emulator *e, const struct message *m,
                          const char *extension)
{
    (void)e;
    for (size_t i = 0; i < m->attachment_count; i++) {
        const char *dot = strrchr(m->attachments[i].filename, '.');
        if (dot && strcasecmp(dot + 1, extension) == 0)
            return true;
    }
    return false;
}

static bool has_host(struct emulator *e, const struct message *m,
                     const char *host)
{
    size_t n = strlen(host);

    (void)e;
    for (const char *p = m->content; (p = strstr(p, "://")) != NULL;) {
        p += 3;
        if (strncasecmp(p, host, n) == 0 && !strchr("-.", p[n]))
            return true;
    }
    return false;
}

static bool in_embeds(const struct message *m, const char *key,
                      const char *inner, const char *value)
{
    json_object *lists[] = {m->embeds, m->link_embeds};

    for (int l = 0; l < 2; l++) {
        for (size_t i = 0; i < length_of(lists[l]); i++) {
            json_object *v = json_object_object_get(
                json_object_array_get_idx(lists[l], i), key);
            if (v && inner)
                v = json_object_object_get(v, inner);
            if (v && strcmp(json_object_get_string(v), value) == 0)
                return true;
        }
    }
    return false;
}

static bool has_embed_type(struct emulator *e, const struct message *m,
                           const char *type)
{
    (void)e;
    return in_embeds(m, "type", NULL, strcmp(type, "gif") == 0 ? "gifv" : type);
}

static bool has_provider(struct emulator *e, const struct message *m,
                         const char *name)
{
    (void)e;
    return in_embeds(m, "provider", "name", name);
}

static bool reply_fits(struct emulator *e, const struct message *m,
                       const struct query *q)
{
    const struct message *to =
        m->ref_channel ? message_find(e, m->ref_channel, m->ref_message) : NULL;

    if (q->reply_messages.n > 0 &&
        (!m->ref_channel || !id_list_has(&q->reply_messages, m->ref_message)))
        return false;
    return q->reply_users.n == 0 ||
           (to && id_list_has(&q->reply_users, to->author_id));
}

/* Whether q asks for anything that only the message itself can tell. */
static bool message_fits(struct emulator *e, const struct message *m,
                         const struct query *q)
{
    return (q->authors.n == 0 || id_list_has(&q->authors, m->author_id)) &&
           (q->mentions.n == 0 || any_id(&q->mentions, &m->mentions)) &&
           (q->mention_roles.n == 0 ||
            any_id(&q->mention_roles, &m->mention_roles)) &&
           (!q->want_everyone || q->everyone == m->mention_everyone) &&
           (!q->want_pinned || q->pinned == m->pinned) && reply_fits(e, m, q) &&
           words_fit(e, m, &q->author_types, is_author_type) &&
           words_fit(e, m, &q->has, does_have) &&
           words_fit(e, m, &q->embed_types, has_embed_type) &&
           words_fit(e, m, &q->providers, has_provider) &&
           words_fit(e, m, &q->hosts, has_host) &&
           words_fit(e, m, &q->names, has_file_named) &&
           words_fit(e, m, &q->extensions, has_extension);
}

/* Asks once for each channel, not for each of its messages. */
struct visible {
    uint64_t channel_id;
    bool yes;
};

static bool channel_fits(struct emulator *e, uint64_t channel_id,
                         const struct query *q, struct visible *last)
{
    const uint64_t need = PERM_VIEW_CHANNEL | PERM_READ_HISTORY;

    if (last->channel_id == channel_id)
        return last->yes;
    const struct channel *ch = channel_find(e, channel_id);
    last->channel_id = channel_id;
    last->yes = ch &&
                (q->channels.n == 0 || id_list_has(&q->channels, channel_id)) &&
                (q->nsfw || !channel_perm_root(e, ch)->nsfw) &&
                (perm_in_channel(e, ch, e->bot->id) & need) == need;
    return last->yes;
}

static size_t keep_fitting(struct emulator *e, const struct query *q,
                           struct search_hit *hits, size_t n)
{
    struct visible last = {0};
    size_t kept = 0;

    for (size_t i = 0; i < n; i++) {
        const struct search_hit *h = &hits[i];
        if (h->id <= q->min_id || h->id >= q->max_id ||
            !channel_fits(e, h->channel_id, q, &last))
            continue;
        /* One that is gone fits by what the index still holds of it. */
        const struct message *m = message_find(e, h->channel_id, h->id);
        if (!m || message_fits(e, m, q))
            hits[kept++] = *h;
    }
    return kept;
}

static int by_score(const void *a, const void *b)
{
    const struct search_hit *x = a, *y = b;

    if (x->score != y->score)
        return x->score > y->score ? -1 : 1;
    return x->id > y->id ? -1 : 1;
}

static void reverse(struct search_hit *hits, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        struct search_hit swap = hits[i];
        hits[i] = hits[n - 1 - i];
        hits[n - 1 - i] = swap;
    }
}

/* --- the answer --- */

static json_object *hit_json(struct emulator *e, const struct message *m)
{
    json_object *one = json_object_new_array();
    json_object *o = message_json(e, m);

    json_object_object_del(o, "reactions");
    json_object_object_add(o, "hit", json_object_new_boolean(1));
    json_object_array_add(one, o);
    return one;
}

static void add_thread(struct emulator *e, uint64_t channel_id,
                       struct id_list *seen, json_object *threads,
                       json_object *members)
{
    const struct channel *ch = channel_find(e, channel_id);

    if (!ch || !channel_is_thread(ch) || !id_list_put(seen, channel_id))
        return;
    json_object_array_add(threads, channel_json(e, ch, 0));
    json_object *self = thread_member_json(ch, e->bot->id);
    if (self)
        json_object_array_add(members, self);
}

static json_object *result_json(struct emulator *e, const struct index *ix,
                                const struct query *q,
                                const struct search_hit *hits, size_t n)
{
    json_object *o = json_object_new_object();
    json_object *messages = json_object_new_array();
    json_object *threads = json_object_new_array();
    json_object *members = json_object_new_array();
    struct id_list seen = {0};

    for (size_t i = (size_t)q->offset;
         i < n && i < (size_t)(q->offset + q->limit); i++) {
        const struct message *m =
            message_find(e, hits[i].channel_id, hits[i].id);
        if (!m)
            continue;
        json_object_array_add(messages, hit_json(e, m));
        /* A search within named channels leaves the threads out. */
        if (q->channels.n == 0)
            add_thread(e, m->channel_id, &seen, threads, members);
    }
    id_list_release(&seen);

    json_object_object_add(o, "analytics_id",
                           json_object_new_string("emulated"));
    json_object_object_add(o, "doing_deep_historical_index",
                           json_object_new_boolean(0));
    json_object_object_add(o, "total_results",
                           json_object_new_int64((int64_t)n));
    json_object_object_add(
        o, "documents_indexed",
        json_object_new_int64((int64_t)search_index_count(ix->words)));
    json_object_object_add(o, "messages", messages);
    if (json_object_array_length(threads) > 0) {
        json_object_object_add(o, "threads", threads);
        json_object_object_add(o, "members", members);
    } else {
        json_object_put(threads);
        json_object_put(members);
    }
    return o;
}

static void answer_not_ready(struct call *c, const struct index *ix)
{
    json_object *o = json_object_new_object();
    int64_t left = ix->ready_at - emulator_now(c->e);

    json_object_object_add(
        o, "message",
        json_object_new_string("Index not yet available. Try again later"));
    json_object_object_add(o, "code", json_object_new_int(110000));
    json_object_object_add(o, "documents_indexed", json_object_new_int(0));
    /* Whole seconds, rounded down: 0 means a little, not at once. */
    json_object_object_add(o, "retry_after",
                           json_object_new_int64(left / 1000));
    call_json(c, 202, o);
}

static void answer_query(struct call *c, struct index *ix,
                         const struct query *q)
{
    struct search_hit *hits;
    size_t n =
        search_index_find(ix->words, q->content, (unsigned)q->slop, &hits);

    n = keep_fitting(c->e, q, hits, n);
    if (q->relevance && n > 0)
        qsort(hits, n, sizeof(*hits), by_score);
    else if (!q->ascending)
        reverse(hits, n);
    if (c->e->search->reorder && (size_t)q->offset < n) {
        size_t page = n - (size_t)q->offset;
        reverse(hits + q->offset,
                page < (size_t)q->limit ? page : (size_t)q->limit);
    }
    call_json(c, 200, result_json(c->e, ix, q, hits, n));
    free(hits);
}

static void get_search(struct call *c)
{
    struct emulator *e = c->e;
    struct form f = FORM_INIT;
    struct query q;

    const struct guild *g = guild_find(e, c->ids[0]);
    if (!g) {
        call_unknown(c, 10004, "Guild");
        return;
    }
    if (!perm_require_guild(c, g, PERM_READ_HISTORY))
        return;
    if (e->search->off || !application_has_message_content(e->app)) {
        call_missing_access(c);
        return;
    }
    query_read(&f, &c->req, &q);
    if (form_failed(&f)) {
        call_form(c, &f);
        query_release(&q);
        return;
    }
    struct index *ix = index_of(e->search, g->id);
    if (!ix)
        ix = index_start(e, g->id);
    catch_up(e, ix);
    if (ix->built)
        answer_query(c, ix, &q);
    else
        answer_not_ready(c, ix);
    query_release(&q);
}

/* --- POST /emulator/search --- */

static void set_int(json_object *body, const char *key, int64_t *out)
{
    json_object *v = json_object_object_get(body, key);

    if (json_object_is_type(v, json_type_int) && json_object_get_int64(v) >= 0)
        *out = json_object_get_int64(v);
}

static void set_bool(json_object *body, const char *key, bool *out)
{
    json_object *v = json_object_object_get(body, key);

    if (json_object_is_type(v, json_type_boolean))
        *out = json_object_get_boolean(v);
}

static void get_control(struct call *c)
{
    const struct search *s = c->e->search;
    json_object *o = json_object_new_object();
    size_t documents = 0, waiting = 0;

    for (size_t i = 0; i < s->n; i++) {
        catch_up(c->e, s->list[i]);
        documents += search_index_count(s->list[i]->words);
        waiting += s->list[i]->n - s->list[i]->head;
    }
    json_object_object_add(o, "lag_ms", json_object_new_int64(s->lag_ms));
    json_object_object_add(o, "build_ms", json_object_new_int64(s->build_ms));
    json_object_object_add(o, "drop_every",
                           json_object_new_int64(s->drop_every));
    json_object_object_add(o, "reorder", json_object_new_boolean(s->reorder));
    json_object_object_add(o, "off", json_object_new_boolean(s->off));
    json_object_object_add(o, "documents",
                           json_object_new_int64((int64_t)documents));
    json_object_object_add(o, "waiting",
                           json_object_new_int64((int64_t)waiting));
    call_json(c, 200, o);
}

static void post_control(struct call *c)
{
    struct search *s = c->e->search;
    json_object *body = control_object(c);
    bool forget = false;

    if (!body)
        return;
    set_int(body, "lag_ms", &s->lag_ms);
    set_int(body, "build_ms", &s->build_ms);
    set_int(body, "drop_every", &s->drop_every);
    set_bool(body, "reorder", &s->reorder);
    set_bool(body, "off", &s->off);
    set_bool(body, "forget", &forget);
    json_object_put(body);
    if (forget)
        forget_all(s);
    get_control(c);
}

/* No number is known; one that a client has to reckon with. */
static const struct bucket search_bucket = {"search", 5, 5000, false};

const struct route search_routes[] = {
    {"GET", "/guilds/{guild.id}/messages/search", get_search, &search_bucket,
     NULL, 0},
    {"GET", "/emulator/search", get_control, NULL, NULL, ROUTE_CONTROL},
    {"POST", "/emulator/search", post_control, NULL, NULL, ROUTE_CONTROL},
    {NULL},
};
