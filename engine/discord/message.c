#include "engine/discord/message.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/discord/discord.h"

/* Components nest, and nothing else does deeply. */
#define DEPTH_MAX 64

#define FLAG_SUPPRESS_EMBEDS (1 << 2)
#define FLAG_HAS_THREAD (1 << 5)

/* Ten are sent at most; more than this many is not a message. */
#define FILES_MAX 100

struct json_object *message_json(const char *data, size_t len)
{
    if (len == 0 || len > INT_MAX)
        return NULL;

    struct json_tokener *t = json_tokener_new_ex(DEPTH_MAX);
    alloc_check(t);
    json_tokener_set_flags(t, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    struct json_object *o = json_tokener_parse_ex(t, data, (int)len);
    if (json_tokener_get_error(t) != json_tokener_success) {
        json_object_put(o);
        o = NULL;
    }
    json_tokener_free(t);
    return o;
}

static struct json_object *member(struct json_object *o, const char *name,
                                  enum json_type type)
{
    struct json_object *v = NULL;

    if (!json_object_is_type(o, json_type_object) ||
        !json_object_object_get_ex(o, name, &v) ||
        !json_object_is_type(v, type))
        return NULL;
    return v;
}

/* There, and neither null nor of this type. */
static bool is_other(struct json_object *o, const char *name,
                     enum json_type type)
{
    struct json_object *v = NULL;

    return json_object_object_get_ex(o, name, &v) && v &&
           !json_object_is_type(v, type);
}

static uint64_t id_of(struct json_object *v)
{
    uint64_t id = 0;

    if (json_object_is_type(v, json_type_string)) {
        if (!str_to_u64_n(json_object_get_string(v),
                          (size_t)json_object_get_string_len(v), &id))
            return 0;
    } else if (json_object_is_type(v, json_type_int)) {
        int64_t n = json_object_get_int64(v);
        id = n > 0 ? (uint64_t)n : 0;
    }
    return id;
}

bool message_id_of(struct json_object *v, uint64_t *id)
{
    *id = id_of(v);
    return *id != 0;
}

uint64_t message_id(struct json_object *o, const char *name)
{
    struct json_object *v = NULL;

    if (!json_object_is_type(o, json_type_object) ||
        !json_object_object_get_ex(o, name, &v))
        return 0;
    return id_of(v);
}

const char *message_text(struct json_object *o, const char *name, size_t *len)
{
    struct json_object *v = member(o, name, json_type_string);

    if (!v)
        return NULL;
    if (len)
        *len = (size_t)json_object_get_string_len(v);
    return json_object_get_string(v);
}

int64_t message_int(struct json_object *o, const char *name, int64_t fallback)
{
    struct json_object *v = member(o, name, json_type_int);
    return v ? json_object_get_int64(v) : fallback;
}

/* "2017-07-11T17:27:07.299000+00:00". An edit at a time we cannot read is
 * still an edit: 1. */
static int64_t read_time(const char *s)
{
    struct tm tm = {0};
    int sec, used = 0;

    if (sscanf(s, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon,
               &tm.tm_mday, &tm.tm_hour, &tm.tm_min, &sec, &used) != 6 ||
        tm.tm_year < 2015 || tm.tm_mon < 1)
        return 1;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    tm.tm_sec = sec;
    s += used;

    int64_t ms = 0;
    if (*s == '.') {
        int scale = 100;
        for (s++; *s >= '0' && *s <= '9'; s++, scale /= 10)
            ms += (*s - '0') * scale;
    }
    int h = 0, m = 0;
    int64_t offset = 0;
    if ((*s == '+' || *s == '-') && sscanf(s + 1, "%2d:%2d", &h, &m) == 2)
        offset = (*s == '-' ? -1 : 1) * (h * 60 + m) * INT64_C(60000);
    int64_t t = (int64_t)timegm(&tm) * 1000 + ms - offset;
    return t > 0 ? t : 1;
}

static int read_file(struct json_object *o, struct remote_file *f)
{
    const char *name = message_text(o, "filename", NULL);
    const char *url = message_text(o, "url", NULL);
    int64_t size = message_int(o, "size", -1);

    f->id = message_id(o, "id");
    if (!f->id || !name || size < 0)
        return -EBADMSG;
    f->size = (uint64_t)size;
    f->name = xstrdup(name);
    f->url = xstrdup(url ? url : "");
    return 0;
}

static int read_files(struct json_object *o, struct remote_message *m)
{
    struct json_object *a = member(o, "attachments", json_type_array);
    size_t n = a ? json_object_array_length(a) : 0;

    if (is_other(o, "attachments", json_type_array) || n > FILES_MAX)
        return -EBADMSG;
    m->files = n > 0 ? xcalloc(n, sizeof(*m->files)) : NULL;
    for (size_t i = 0; i < n; i++) {
        int r = read_file(json_object_array_get_idx(a, i), &m->files[i]);
        if (r < 0)
            return r;
        m->n_files++;
    }
    return 0;
}

int discord_parse_message(struct json_object *o, struct remote_message *out)
{
    struct remote_message m = {0};

    if (!json_object_is_type(o, json_type_object))
        return -EBADMSG;
    m.id = message_id(o, "id");
    m.channel_id = message_id(o, "channel_id");
    m.author_id = message_id(member(o, "author", json_type_object), "id");
    m.type = (int)message_int(o, "type", 0);
    if (!m.id || !m.channel_id || is_other(o, "content", json_type_string))
        return -EBADMSG;

    m.thread_id = message_id(member(o, "thread", json_type_object), "id");
    if (!m.thread_id && (message_int(o, "flags", 0) & FLAG_HAS_THREAD))
        m.thread_id = m.id;
    const char *edited = message_text(o, "edited_timestamp", NULL);
    m.edited_ms = edited ? read_time(edited) : 0;

    const char *text = message_text(o, "content", &m.content_len);
    m.content = xmalloc(m.content_len + 1);
    memcpy(m.content, text ? text : "", m.content_len);
    m.content[m.content_len] = '\0';

    int r = read_files(o, &m);
    if (r < 0) {
        remote_message_release(&m);
        return r;
    }
    *out = m;
    return 0;
}

int discord_parse_channel(struct json_object *o, struct remote_channel *out)
{
    const char *name = message_text(o, "name", NULL);
    int64_t type = message_int(o, "type", -1);
    struct remote_channel c = {
        .id = message_id(o, "id"),
        .guild_id = message_id(o, "guild_id"),
        .parent_id = message_id(o, "parent_id"),
        .position = (int)message_int(o, "position", 0),
        .viewable = true,
        .writable = true,
        .manageable = true,
    };

    if (!c.id || type < 0)
        return -EBADMSG;
    switch (type) {
    case 0:
    case 5: /* announcement: text that can be followed */
        c.kind = REMOTE_CHANNEL_TEXT;
        break;
    case 4:
        c.kind = REMOTE_CHANNEL_CATEGORY;
        break;
    case 10:
    case 11:
    case 12:
        c.kind = REMOTE_CHANNEL_THREAD;
        break;
    default:
        c.kind = REMOTE_CHANNEL_OTHER;
    }
    struct json_object *meta = member(o, "thread_metadata", json_type_object);
    struct json_object *archived = member(meta, "archived", json_type_boolean);
    struct json_object *locked = member(meta, "locked", json_type_boolean);
    c.archived = archived && json_object_get_boolean(archived);
    c.locked = locked && json_object_get_boolean(locked);
    c.name = xstrdup(name ? name : "");
    *out = c;
    return 0;
}

static int by_id(const void *a, const void *b)
{
    const struct remote_message *x = a, *y = b;
    return x->id < y->id ? -1 : x->id > y->id;
}

/* By id: messages of one instant may come in either order, and twice. */
static void sort_messages(struct remote_reply *r)
{
    size_t kept = 0;

    if (r->n_messages == 0)
        return;
    qsort(r->messages, r->n_messages, sizeof(*r->messages), by_id);
    for (size_t i = 0; i < r->n_messages; i++) {
        if (kept > 0 && r->messages[kept - 1].id == r->messages[i].id)
            remote_message_release(&r->messages[i]);
        else
            r->messages[kept++] = r->messages[i];
    }
    r->n_messages = kept;
}

int message_read_list(struct json_object *array, struct remote_reply *reply)
{
    if (!json_object_is_type(array, json_type_array))
        return -EBADMSG;

    size_t n = json_object_array_length(array);
    reply->messages = xcalloc(n, sizeof(*reply->messages));
    for (size_t i = 0; i < n; i++) {
        int r = discord_parse_message(json_object_array_get_idx(array, i),
                                      &reply->messages[i]);
        if (r < 0)
            return r;
        reply->n_messages++;
    }
    sort_messages(reply);
    return 0;
}

/* A hit comes in an array, for the context it once had around it. */
static struct json_object *hit_of(struct json_object *group)
{
    if (!json_object_is_type(group, json_type_array))
        return NULL;

    size_t n = json_object_array_length(group);
    for (size_t i = 0; i < n; i++) {
        struct json_object *o = json_object_array_get_idx(group, i);
        struct json_object *hit = member(o, "hit", json_type_boolean);
        if (hit && json_object_get_boolean(hit))
            return o;
    }
    return n > 0 ? json_object_array_get_idx(group, 0) : NULL;
}

int message_read_search(struct json_object *o, struct remote_reply *reply)
{
    struct json_object *groups = member(o, "messages", json_type_array);
    struct json_object *deep =
        member(o, "doing_deep_historical_index", json_type_boolean);

    /* Not "no rows": the answer of an index that does not exist yet. */
    if (!groups)
        return -EBADMSG;
    reply->index_not_ready = deep && json_object_get_boolean(deep);
    int64_t total = message_int(o, "total_results", 0);
    reply->total = total > 0 ? (uint64_t)total : 0;

    size_t n = json_object_array_length(groups);
    reply->messages = xcalloc(n, sizeof(*reply->messages));
    for (size_t i = 0; i < n; i++) {
        struct json_object *hit = hit_of(json_object_array_get_idx(groups, i));
        if (!hit) /* a deleted message leaves an empty place for a while */
            continue;
        int r = discord_parse_message(hit, &reply->messages[reply->n_messages]);
        if (r < 0)
            return r;
        reply->n_messages++;
    }
    sort_messages(reply);
    return 0;
}

static int check_file(const struct remote_upload *f, uint64_t max_file,
                      struct err *err)
{
    if (!f->name || !*f->name || strlen(f->name) > 1024 ||
        strpbrk(f->name, "\"\\/\r\n") || !utf8_valid(f->name, strlen(f->name)))
        return err_set(err, -EINVAL, "a file without a usable name");
    if (f->len > max_file)
        return err_set(err, -EFBIG,
                       "file '%s' has %zu bytes; this server takes at most "
                       "%" PRIu64,
                       f->name, f->len, max_file);
    return 0;
}

int message_check_draft(const struct remote_draft *d, bool edit,
                        uint64_t max_file, struct err *err)
{
    size_t total = d->content.len,
           most = sizeof(d->files) / sizeof(d->files[0]);
    size_t units =
        utf16_units(d->content.data ? d->content.data : "", d->content.len);

    if (d->n_files > most || d->n_keep > most || (d->n_keep > 0 && !edit))
        return err_set(err, -EINVAL, "a message with too many files");
    if (d->content.len > 0 && !utf8_valid(d->content.data, d->content.len))
        return err_set(err, -EINVAL, "a message's text is not UTF-8");
    if (units > REMOTE_CONTENT_MAX)
        return err_set(err, -EINVAL,
                       "a message's text has %zu characters; Discord takes at "
                       "most %d",
                       units, REMOTE_CONTENT_MAX);
    if (d->content.len == 0 && d->n_files == 0 && d->n_keep == 0)
        return err_set(err, -EINVAL, "a message without text or file");
    for (size_t i = 0; i < d->n_files; i++) {
        int r = check_file(&d->files[i], max_file, err);
        if (r < 0)
            return r;
        total += d->files[i].len;
    }
    /* Escaping can make six bytes of one, and the form has its own. */
    if (total + d->content.len * 5 + 8192 > MESSAGE_REQUEST_MAX)
        return err_set(err, -EFBIG,
                       "a message of %zu bytes; Discord takes at most %u in "
                       "one request",
                       total, MESSAGE_REQUEST_MAX);
    return 0;
}

/* What every message says, new or edited: ping nobody, unfold no links. */
static void write_common(const struct remote_draft *d, struct buf *out)
{
    bool first = true;

    buf_addstr(out, "{\"content\":");
    buf_add_json(out, d->content.data ? d->content.data : "", d->content.len);
    buf_printf(out,
               ",\"allowed_mentions\":{\"parse\":[]},\"flags\":%d,"
               "\"attachments\":[",
               FLAG_SUPPRESS_EMBEDS);
    for (size_t i = 0; i < d->n_keep; i++, first = false)
        buf_printf(out, "%s{\"id\":\"%" PRIu64 "\"}", first ? "" : ",",
                   d->keep[i]);
    for (size_t i = 0; i < d->n_files; i++, first = false) {
        buf_printf(out, "%s{\"id\":\"%zu\",\"filename\":", first ? "" : ",", i);
        buf_add_json(out, d->files[i].name, strlen(d->files[i].name));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

void message_write_post(const struct remote_draft *d, const char *nonce,
                        struct buf *out)
{
    write_common(d, out);
    buf_addstr(out, ",\"nonce\":");
    buf_add_json(out, nonce, strlen(nonce));
    buf_addstr(out, ",\"enforce_nonce\":true}");
}

void message_write_edit(const struct remote_draft *d, struct buf *out)
{
    write_common(d, out);
    buf_addc(out, '}');
}

void message_write_channel(const struct remote_request *req, struct buf *out)
{
    buf_addstr(out, "{\"name\":");
    buf_add_json(out, req->name, strlen(req->name));
    buf_printf(out, ",\"type\":%d",
               req->kind == REMOTE_CHANNEL_CATEGORY ? 4 : 0);
    if (req->parent)
        buf_printf(out, ",\"parent_id\":\"%" PRIu64 "\"", req->parent);
    if (req->topic) {
        buf_addstr(out, ",\"topic\":");
        buf_add_json(out, req->topic, strlen(req->topic));
    }
    buf_addc(out, '}');
}

void message_write_thread(const char *name, struct buf *out)
{
    buf_addstr(out, "{\"name\":");
    buf_add_json(out, name, strlen(name));
    /* A week, the longest: each message in it starts the time again. */
    buf_addstr(out, ",\"auto_archive_duration\":10080}");
}

void message_write_ids(const uint64_t *ids, size_t n, struct buf *out)
{
    buf_addstr(out, "{\"messages\":[");
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s\"%" PRIu64 "\"", i ? "," : "", ids[i]);
    buf_addstr(out, "]}");
}
