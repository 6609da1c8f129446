#include "tests/lib/memstore_impl.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

#define EPOCH_MS 1420070400000
#define FORTNIGHT_MS ((int64_t)14 * 24 * 3600 * 1000)

/* --- ids and copies --------------------------------------------------------
 */

static uint64_t next_id(struct memstore *s)
{
    uint64_t now = (uint64_t)(clock_wall_ms() - s->age_ms - EPOCH_MS) << 22;

    s->last_id = now > s->last_id ? now : s->last_id + 1;
    return s->last_id;
}

static bool is_old(uint64_t id)
{
    int64_t born = (int64_t)(id >> 22) + EPOCH_MS;
    return clock_wall_ms() - born > FORTNIGHT_MS;
}

void mem_copy_message(uint64_t channel, const struct mem_message *m,
                      struct remote_message *out)
{
    *out = (struct remote_message){
        .id = m->id,
        .channel_id = channel,
        .author_id = m->author,
        .thread_id = m->thread,
        .type = m->type,
        .edited_ms = m->edited_ms,
        .content = xstrdup(m->content),
        .content_len = strlen(m->content),
        .files = xcalloc(m->n_files, sizeof(struct remote_file)),
        .n_files = m->n_files,
    };
    for (size_t i = 0; i < m->n_files; i++)
        out->files[i] = (struct remote_file){
            .id = m->files[i].id,
            .size = m->files[i].data.len,
            .name = xstrdup(m->files[i].name),
            .url = xstrdup("memory:"),
        };
}

static void copy_channel(const struct memstore *s, const struct mem_channel *c,
                         struct remote_channel *out)
{
    *out = (struct remote_channel){
        .id = c->id,
        .guild_id = s->guild,
        .parent_id = c->parent,
        .kind = c->kind,
        .viewable = true,
        .writable = true,
        .manageable = true,
        .name = xstrdup(c->name),
    };
}

/* --- finding ---------------------------------------------------------------
 */

static struct mem_channel *find_channel(const struct memstore *s, uint64_t id)
{
    for (size_t i = 0; i < s->n_channels; i++)
        if (s->channels[i]->id == id)
            return s->channels[i];
    return NULL;
}

/* The first message that is not before id. */
static size_t message_place(const struct mem_channel *c, uint64_t id)
{
    size_t low = 0, high = c->n_messages;

    while (low < high) {
        size_t mid = (low + high) / 2;
        if (c->messages[mid]->id < id)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

static struct mem_message *find_message(const struct mem_channel *c,
                                        uint64_t id)
{
    size_t i = message_place(c, id);
    return i < c->n_messages && c->messages[i]->id == id ? c->messages[i]
                                                         : NULL;
}

struct mem_message *mem_find_message(const struct memstore *s, uint64_t channel,
                                     uint64_t id)
{
    const struct mem_channel *c = find_channel(s, channel);
    return c ? find_message(c, id) : NULL;
}

static int no_channel(struct err *err, uint64_t id)
{
    return err_set(err, -ENOENT, "there is no channel %llu",
                   (unsigned long long)id);
}

static int no_message(struct err *err, uint64_t id)
{
    return err_set(err, -ENOENT, "there is no message %llu",
                   (unsigned long long)id);
}

/* --- events ----------------------------------------------------------------
 */

static void emit_message(struct memstore *s, const struct mem_channel *c,
                         const struct mem_message *m, bool created)
{
    struct remote_event ev = {.kind = REMOTE_EVENT_MESSAGE, .created = created};

    mem_copy_message(c->id, m, &ev.message);
    mem_search_note(s, c->id, m->id);
    mem_emit(s, &ev);
}

static void emit_deleted(struct memstore *s, uint64_t channel,
                         const uint64_t *ids, size_t n)
{
    uint64_t *copy = xcalloc(n, sizeof(*copy));
    struct remote_event ev = {
        .kind = REMOTE_EVENT_DELETED,
        .channel = channel,
        .ids = copy,
        .n_ids = n,
    };

    memcpy(copy, ids, n * sizeof(*copy));
    for (size_t i = 0; i < n; i++)
        mem_search_note(s, channel, ids[i]);
    mem_emit(s, &ev);
}

static void emit_channel(struct memstore *s, const struct mem_channel *c,
                         enum remote_event_kind kind, bool created)
{
    struct remote_event ev = {.kind = kind, .created = created};

    copy_channel(s, c, &ev.chan);
    mem_emit(s, &ev);
}

/* --- messages --------------------------------------------------------------
 */

static void file_release(struct mem_file *f)
{
    free(f->name);
    buf_release(&f->data);
}

static void message_free(struct mem_message *m)
{
    for (size_t i = 0; i < m->n_files; i++)
        file_release(&m->files[i]);
    free(m->content);
    free(m);
}

/* What Discord makes of a content. */
static char *in_transit(const struct memstore *s, const char *data, size_t len)
{
    struct buf b = BUF_INIT;

    while (len > 0 && isspace((unsigned char)data[len - 1]))
        len--;
    while (len > 0 && isspace((unsigned char)data[0])) {
        data++;
        len--;
    }
    for (size_t i = 0; i < len; i++)
        if (!s->strip || data[i] != s->strip)
            buf_addc(&b, data[i]);
    return buf_take_str(&b);
}

static void add_files(struct memstore *s, struct mem_message *m,
                      const struct remote_draft *d)
{
    for (size_t i = 0; i < d->n_files; i++) {
        struct mem_file *f = &m->files[m->n_files++];
        *f = (struct mem_file){.id = next_id(s),
                               .name = xstrdup(d->files[i].name)};
        buf_add(&f->data, d->files[i].data, d->files[i].len);
    }
}

static int check_draft(const struct memstore *s, const struct remote_draft *d,
                       struct err *err)
{
    for (size_t i = 0; i < d->n_files; i++)
        if (d->files[i].len > s->max_file)
            return err_set(err, -EFBIG, "a file of %zu bytes", d->files[i].len);
    if (d->content.len > REMOTE_CONTENT_MAX * 4)
        return err_set(err, -EINVAL, "content of %zu bytes", d->content.len);
    if (d->content.len == 0 && d->n_files == 0)
        return err_set(err, -EINVAL, "an empty message");
    return 0;
}

static struct mem_message *add_message(struct memstore *s,
                                       struct mem_channel *c, uint64_t author,
                                       int type, char *content)
{
    struct mem_message *m = xcalloc(1, sizeof(*m));

    m->id = next_id(s);
    m->author = author;
    m->type = type;
    m->content = content;
    c->messages =
        xrealloc(c->messages, (c->n_messages + 1) * sizeof(*c->messages));
    c->messages[c->n_messages++] = m;
    return m;
}

static int post(struct memstore *s, struct remote_request *req,
                struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    if (!c || c->kind == REMOTE_CHANNEL_CATEGORY)
        return no_channel(err, req->channel);
    int r = check_draft(s, &req->draft, err);
    if (r < 0)
        return r;

    char *content =
        in_transit(s, req->draft.content.data, req->draft.content.len);
    struct mem_message *m = add_message(s, c, s->self, 0, content);
    add_files(s, m, &req->draft);
    m->hidden = s->hide_next == c->id;
    if (m->hidden)
        s->hide_next = 0;
    else
        emit_message(s, c, m, true);
    reply->messages = xcalloc(1, sizeof(*reply->messages));
    reply->n_messages = 1;
    mem_copy_message(c->id, m, &reply->messages[0]);
    return 0;
}

static void keep_files(struct mem_message *m, const struct remote_draft *d)
{
    size_t n = 0;

    for (size_t i = 0; i < m->n_files; i++) {
        bool keep = false;
        for (size_t k = 0; k < d->n_keep; k++)
            keep |= d->keep[k] == m->files[i].id;
        if (keep)
            m->files[n++] = m->files[i];
        else
            file_release(&m->files[i]);
    }
    m->n_files = n;
}

static int edit(struct memstore *s, struct remote_request *req,
                struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    struct mem_message *m = c ? find_message(c, req->message) : NULL;
    if (!m)
        return no_message(err, req->message);
    int r = check_draft(s, &req->draft, err);
    if (r < 0)
        return r;

    free(m->content);
    m->content = in_transit(s, req->draft.content.data, req->draft.content.len);
    keep_files(m, &req->draft);
    add_files(s, m, &req->draft);
    m->edited_ms = clock_wall_ms();
    emit_message(s, c, m, false);
    reply->messages = xcalloc(1, sizeof(*reply->messages));
    reply->n_messages = 1;
    mem_copy_message(c->id, m, &reply->messages[0]);
    return 0;
}

static bool remove_message(struct mem_channel *c, uint64_t id)
{
    size_t i = message_place(c, id);

    if (i == c->n_messages || c->messages[i]->id != id)
        return false;
    message_free(c->messages[i]);
    for (c->n_messages--; i < c->n_messages; i++)
        c->messages[i] = c->messages[i + 1];
    return true;
}

static int delete_one(struct memstore *s, const struct remote_request *req,
                      struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);

    if (!c || !remove_message(c, req->message))
        return no_message(err, req->message);
    emit_deleted(s, c->id, &req->message, 1);
    return 0;
}

static int delete_many(struct memstore *s, const struct remote_request *req,
                       struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);

    if (!c)
        return no_channel(err, req->channel);
    if (req->n_ids < 2 || req->n_ids > 100)
        return err_set(err, -EINVAL, "%zu ids", req->n_ids);
    for (size_t i = 0; i < req->n_ids; i++)
        if (is_old(req->ids[i]))
            return err_set(err, -EINVAL, "older than 14 days");
    for (size_t i = 0; i < req->n_ids; i++)
        remove_message(c, req->ids[i]);
    emit_deleted(s, c->id, req->ids, req->n_ids);
    return 0;
}

static bool is_hidden(const struct memstore *s, const struct mem_message *m)
{
    return m->hidden ||
           (s->hide_prefix &&
            strncmp(m->content, s->hide_prefix, strlen(s->hide_prefix)) == 0);
}

static int list(struct memstore *s, const struct remote_request *req,
                struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    if (!c)
        return no_channel(err, req->channel);
    if (req->limit < 1 || req->limit > 100 || (req->before && req->after))
        return err_set(err, -EINVAL, "limit %d", req->limit);

    size_t limit = (size_t)req->limit, n = 0;
    bool up =
        req->after != 0; /* from the oldest on; else from the newest back */
    size_t at = up            ? message_place(c, req->after + 1)
                : req->before ? message_place(c, req->before)
                              : c->n_messages;
    struct mem_message **found = xcalloc(limit, sizeof(*found));
    while (n < limit && (up ? at < c->n_messages : at > 0)) {
        struct mem_message *m = c->messages[up ? at++ : --at];
        if (!is_hidden(s, m))
            found[n++] = m;
    }
    reply->messages = xcalloc(n, sizeof(*reply->messages));
    reply->n_messages = n;
    for (size_t i = 0; i < n; i++)
        mem_copy_message(c->id, found[up ? i : n - 1 - i], &reply->messages[i]);
    free(found);
    return 0;
}

static int get(struct memstore *s, const struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    struct mem_message *m = c ? find_message(c, req->message) : NULL;

    if (!m)
        return no_message(err, req->message);
    reply->messages = xcalloc(1, sizeof(*reply->messages));
    reply->n_messages = 1;
    mem_copy_message(c->id, m, &reply->messages[0]);
    return 0;
}

static int download(struct memstore *s, const struct remote_request *req,
                    struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    struct mem_message *m = c ? find_message(c, req->message) : NULL;

    if (!m)
        return no_message(err, req->message);
    for (size_t i = 0; i < m->n_files; i++) {
        if (m->files[i].id != req->file)
            continue;
        buf_add(&reply->body, m->files[i].data.data, m->files[i].data.len);
        return 0;
    }
    return err_set(err, -ENOENT, "message %llu has no file %llu",
                   (unsigned long long)req->message,
                   (unsigned long long)req->file);
}

/* --- channels --------------------------------------------------------------
 */

static struct mem_channel *add_channel(struct memstore *s, uint64_t id,
                                       enum remote_channel_kind kind,
                                       uint64_t parent, const char *name)
{
    struct mem_channel *c = xcalloc(1, sizeof(*c));

    c->id = id;
    c->kind = kind;
    c->parent = parent;
    c->name = xstrdup(name);
    for (char *p = c->name; kind == REMOTE_CHANNEL_TEXT && *p; p++)
        *p = *p == ' ' ? '-' : (char)tolower((unsigned char)*p);
    s->channels =
        xrealloc(s->channels, (s->n_channels + 1) * sizeof(*s->channels));
    s->channels[s->n_channels++] = c;
    return c;
}

static int create_channel(struct memstore *s, const struct remote_request *req,
                          struct remote_reply *reply, struct err *err)
{
    size_t all = 0, siblings = 0;

    for (size_t i = 0; i < s->n_channels; i++) {
        all += s->channels[i]->kind != REMOTE_CHANNEL_THREAD;
        siblings += req->parent && s->channels[i]->parent == req->parent;
    }
    if (all >= 500 || siblings >= 50)
        return err_set(err, -ENOSPC, "too many channels");
    if (req->parent && !find_channel(s, req->parent))
        return err_set(err, -EINVAL, "no category %llu",
                       (unsigned long long)req->parent);
    struct mem_channel *c =
        add_channel(s, next_id(s), req->kind, req->parent, req->name);
    emit_channel(s, c, REMOTE_EVENT_CHANNEL, true);
    reply->channels = xcalloc(1, sizeof(*reply->channels));
    reply->n_channels = 1;
    copy_channel(s, c, &reply->channels[0]);
    return 0;
}

static int get_channel(struct memstore *s, const struct remote_request *req,
                       struct remote_reply *reply, struct err *err)
{
    const struct mem_channel *c = find_channel(s, req->channel);

    if (!c)
        return no_channel(err, req->channel);
    reply->channels = xcalloc(1, sizeof(*reply->channels));
    reply->n_channels = 1;
    copy_channel(s, c, &reply->channels[0]);
    return 0;
}

static void channel_free(struct mem_channel *c)
{
    for (size_t i = 0; i < c->n_messages; i++)
        message_free(c->messages[i]);
    free(c->messages);
    free(c->name);
    free(c);
}

static void remove_channel(struct memstore *s, uint64_t id)
{
    size_t i = 0;

    while (s->channels[i]->id != id)
        i++;
    emit_channel(s, s->channels[i], REMOTE_EVENT_CHANNEL_GONE, false);
    channel_free(s->channels[i]);
    for (s->n_channels--; i < s->n_channels; i++)
        s->channels[i] = s->channels[i + 1];
}

static int delete_channel(struct memstore *s, const struct remote_request *req,
                          struct err *err)
{
    if (!find_channel(s, req->channel))
        return no_channel(err, req->channel);
    for (size_t i = 0; i < s->n_channels;) {
        struct mem_channel *c = s->channels[i];
        if (c->parent != req->channel) {
            i++;
        } else if (c->kind == REMOTE_CHANNEL_THREAD) {
            remove_channel(s, c->id);
            i = 0;
        } else {
            c->parent = 0;
            emit_channel(s, c, REMOTE_EVENT_CHANNEL, false);
        }
    }
    remove_channel(s, req->channel);
    return 0;
}

static int start_thread(struct memstore *s, const struct remote_request *req,
                        struct remote_reply *reply, struct err *err)
{
    struct mem_channel *c = find_channel(s, req->channel);
    struct mem_message *m = c ? find_message(c, req->message) : NULL;

    if (!m)
        return no_message(err, req->message);
    if (m->thread && find_channel(s, m->thread))
        return err_set(err, -EINVAL, "it has a thread");
    m->thread = m->id;
    emit_message(s, c, m, false);
    struct mem_channel *t =
        add_channel(s, m->id, REMOTE_CHANNEL_THREAD, c->id, req->name);
    add_message(s, t, s->self, 21, xstrdup(""));
    emit_channel(s, t, REMOTE_EVENT_CHANNEL, true);
    reply->channels = xcalloc(1, sizeof(*reply->channels));
    reply->n_channels = 1;
    copy_channel(s, t, &reply->channels[0]);
    return 0;
}

static void list_channels(struct memstore *s, struct remote_reply *reply)
{
    reply->channels = xcalloc(s->n_channels, sizeof(*reply->channels));
    for (size_t i = 0; i < s->n_channels; i++)
        if (s->channels[i]->kind != REMOTE_CHANNEL_THREAD)
            copy_channel(s, s->channels[i],
                         &reply->channels[reply->n_channels++]);
}

int mem_execute(struct memstore *s, struct remote_request *req,
                struct remote_reply *reply, struct err *err)
{
    switch (req->op) {
    case REMOTE_ME:
        reply->user_id = s->self;
        reply->user_name = xstrdup("dbcord");
        return 0;
    case REMOTE_GUILD:
        if (req->guild != s->guild)
            return err_set(err, -ENOENT, "no such guild");
        reply->guild = (struct remote_guild){
            .id = s->guild,
            .name = xstrdup("home"),
            .permissions = ~(uint64_t)0,
            .max_file = s->max_file,
        };
        return 0;
    case REMOTE_CHANNELS:
        list_channels(s, reply);
        return 0;
    case REMOTE_CHANNEL_CREATE:
        return create_channel(s, req, reply, err);
    case REMOTE_CHANNEL:
        return get_channel(s, req, reply, err);
    case REMOTE_CHANNEL_DELETE:
        return delete_channel(s, req, err);
    case REMOTE_THREAD_START:
        return start_thread(s, req, reply, err);
    case REMOTE_LIST:
        return list(s, req, reply, err);
    case REMOTE_GET:
        return get(s, req, reply, err);
    case REMOTE_POST:
        return post(s, req, reply, err);
    case REMOTE_EDIT:
        return edit(s, req, reply, err);
    case REMOTE_DELETE:
        return delete_one(s, req, err);
    case REMOTE_DELETE_MANY:
        return delete_many(s, req, err);
    case REMOTE_DOWNLOAD:
        return download(s, req, reply, err);
    case REMOTE_SEARCH:
        return mem_search(s, req, reply, err);
    }
    return err_set(err, -EINVAL, "no such request");
}

void mem_guild_free(struct memstore *s)
{
    for (size_t i = 0; i < s->n_channels; i++)
        channel_free(s->channels[i]);
    free(s->channels);
    mem_search_free(s);
}

/* --- a look inside ---------------------------------------------------------
 */

uint64_t memstore_channel(struct memstore *s, const char *name, size_t nth)
{
    uint64_t id = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_channels && !id; i++)
        if (strcmp(s->channels[i]->name, name) == 0 && nth-- == 0)
            id = s->channels[i]->id;
    pthread_mutex_unlock(&s->lock);
    return id;
}

size_t memstore_channels(struct memstore *s)
{
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < s->n_channels; i++)
        n += s->channels[i]->kind != REMOTE_CHANNEL_THREAD;
    pthread_mutex_unlock(&s->lock);
    return n;
}

size_t memstore_messages(struct memstore *s, uint64_t channel)
{
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    for (size_t i = 0; c && i < c->n_messages; i++)
        n += c->messages[i]->type == 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t memstore_message_at(struct memstore *s, uint64_t channel, size_t nth)
{
    uint64_t id = 0;

    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    for (size_t i = 0; c && i < c->n_messages && !id; i++)
        if (c->messages[i]->type == 0 && nth-- == 0)
            id = c->messages[i]->id;
    pthread_mutex_unlock(&s->lock);
    return id;
}

char *memstore_content(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    struct mem_message *m = c ? find_message(c, id) : NULL;
    char *content = m ? xstrdup(m->content) : NULL;
    pthread_mutex_unlock(&s->lock);
    return content;
}

size_t memstore_files(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    struct mem_message *m = c ? find_message(c, id) : NULL;
    size_t n = m ? m->n_files : 0;
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t memstore_post_as(struct memstore *s, uint64_t channel, uint64_t author,
                          const char *content)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    struct mem_message *m = add_message(s, c, author, 0, xstrdup(content));
    uint64_t id = m->id;
    emit_message(s, c, m, true);
    pthread_mutex_unlock(&s->lock);
    return id;
}

void memstore_delete_as(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    if (remove_message(c, id))
        emit_deleted(s, channel, &id, 1);
    pthread_mutex_unlock(&s->lock);
}

void memstore_damage_file(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_message *m = find_message(find_channel(s, channel), id);
    assert(m && m->n_files > 0);
    m->files[0].data.data[m->files[0].data.len / 2] ^= 1;
    pthread_mutex_unlock(&s->lock);
}

void memstore_damage_content(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_message *m = find_message(find_channel(s, channel), id);
    char *at = strstr(m->content, "```json\n{");
    assert(at);
    at[9]++;
    pthread_mutex_unlock(&s->lock);
}

void memstore_edit_as(struct memstore *s, uint64_t channel, uint64_t id,
                      const char *content)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    struct mem_message *m = find_message(c, id);
    free(m->content);
    m->content = xstrdup(content);
    m->edited_ms = clock_wall_ms();
    emit_message(s, c, m, false);
    pthread_mutex_unlock(&s->lock);
}

void memstore_drop_files(struct memstore *s, uint64_t channel, uint64_t id)
{
    pthread_mutex_lock(&s->lock);
    struct mem_channel *c = find_channel(s, channel);
    struct mem_message *m = find_message(c, id);
    for (size_t i = 0; i < m->n_files; i++)
        file_release(&m->files[i]);
    m->n_files = 0;
    emit_message(s, c, m, false);
    pthread_mutex_unlock(&s->lock);
}

uint64_t memstore_self(struct memstore *s)
{
    return s->self;
}
