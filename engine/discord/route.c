#include "engine/discord/route.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "engine/base/str.h"

#define EPOCH_MS INT64_C(1420070400000)
#define HOUR_MS INT64_C(3600000)
#define DAY_MS (24 * HOUR_MS)

/* Clocks differ: what is nearly an hour old here may be over it there. */
#define SKEW_MS INT64_C(60000)

int64_t snowflake_ms(uint64_t id)
{
    return (int64_t)(id >> 22) + EPOCH_MS;
}

void route_release(struct route *r)
{
    buf_release(&r->path);
}

/* FNV-1a: two interactions of one application are two resources. */
static uint64_t token_hash(const char *s, size_t len)
{
    uint64_t h = 0xcbf29ce484222325u;

    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)s[i]) * 0x100000001b3u;
    return h;
}

static bool same(const char *s, size_t len, const char *word)
{
    return strlen(word) == len && memcmp(s, word, len) == 0;
}

struct namer {
    struct route *r;
    size_t len;
};

static void name_add(struct namer *n, const char *s, size_t len)
{
    size_t room = sizeof(n->r->name) - 1 - n->len;

    if (len > room)
        len = room;
    memcpy(n->r->name + n->len, s, len);
    n->len += len;
    n->r->name[n->len] = '\0';
}

/* Fills name, major and exempt from the path's segments. */
static void describe(struct route *r, const char *path)
{
    struct namer n = {r, 0};
    const char *first = "", *before = "";
    size_t first_len = 0, before_len = 0;
    bool keyed = false; /* the first word is followed by id and token */

    name_add(&n, r->method, strlen(r->method));
    name_add(&n, " ", 1);
    for (int i = 0; *path == '/'; i++) {
        const char *seg = path + 1;
        size_t len = strcspn(seg, "/?");
        uint64_t id;

        name_add(&n, "/", 1);
        if (i == 0) {
            first = seg;
            first_len = len;
            keyed =
                same(seg, len, "webhooks") || same(seg, len, "interactions");
            r->exempt = keyed;
            name_add(&n, seg, len);
        } else if (i == 2 && keyed) {
            r->major ^= token_hash(seg, len);
            name_add(&n, "{token}", 7);
        } else if (same(before, before_len, "reactions")) {
            name_add(&n, "{emoji}", 7);
        } else if (str_to_u64_n(seg, len, &id)) {
            if (i == 1 && (keyed || same(first, first_len, "channels") ||
                           same(first, first_len, "guilds")))
                r->major = id;
            name_add(&n, "{id}", 4);
        } else {
            name_add(&n, seg, len);
        }
        before = seg;
        before_len = len;
        path = seg + len;
    }
}

int route_make(struct route *r, const char *method, const char *path,
               struct err *err)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH",
                                          "DELETE"};
    bool known = false;

    *r = (struct route){0};
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        known = known || strcmp(methods[i], method) == 0;
    if (!known)
        return err_set(err, -EINVAL, "'%s' is not a method", method);
    if (path[0] != '/' || strlen(path) > 8000)
        return err_set(err, -EINVAL, "'%.80s' is not a path", path);
    for (const char *c = path; *c; c++)
        if ((unsigned char)*c <= 0x20 || (unsigned char)*c >= 0x7f || *c == '#')
            return err_set(err, -EINVAL, "'%.80s' is not a path", path);

    snprintf(r->method, sizeof(r->method), "%s", method);
    buf_addstr(&r->path, path);
    describe(r, path);

    /* A command's create replaces one of the same name; a message has one
     * thread at most; who was deleted stays so; an interaction takes one first
     * answer and says so to the next (40060). */
    r->repeatable = strcmp(method, "POST") != 0 ||
                    str_ends(r->name, "/commands") ||
                    str_ends(r->name, "/{token}/callback") ||
                    str_ends(r->name, "/messages/{id}/threads") ||
                    str_ends(r->name, "/messages/bulk-delete");
    return 0;
}

static void add_escaped(struct buf *b, const char *s)
{
    static const char hex[] = "0123456789ABCDEF";

    for (; *s; s++) {
        unsigned char c = (unsigned char)*s;
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
            (c >= '0' && c <= '9') || strchr("-._~", c)) {
            buf_addc(b, (char)c);
        } else {
            buf_addc(b, '%');
            buf_addc(b, hex[c >> 4]);
            buf_addc(b, hex[c & 15]);
        }
    }
}

static int list_path(const struct remote_request *q, struct buf *p,
                     struct err *err)
{
    if (q->limit < 1 || q->limit > 100)
        return err_set(err, -EINVAL, "a page has 1 to 100 messages, not %d",
                       q->limit);
    if (q->before && q->after)
        return err_set(err, -EINVAL,
                       "a page is before or after a message, "
                       "not both");
    buf_printf(p, "/channels/%" PRIu64 "/messages?limit=%d", q->channel,
               q->limit);
    if (q->before)
        buf_printf(p, "&before=%" PRIu64, q->before);
    /* Without a bound the newest come: the oldest are behind the first id. */
    if (q->after)
        buf_printf(p, "&after=%" PRIu64, q->after);
    return 0;
}

static int search_path(const struct remote_request *q, struct buf *p,
                       struct err *err)
{
    const struct remote_search *s = q->search;

    if (!s)
        return err_set(err, -EINVAL, "a search for nothing");
    if (s->limit < 1 || s->limit > 25 || s->offset < 0 || s->offset > 9975)
        return err_set(err, -EINVAL,
                       "a search gives 1 to 25 hits from offset 0 to 9975, "
                       "not %d from %d",
                       s->limit, s->offset);
    if (s->content && utf16_units(s->content, strlen(s->content)) > 1024)
        return err_set(err, -EINVAL, "a search has at most 1024 characters");
    if (s->n_channels > 500)
        return err_set(err, -EINVAL, "a search names at most 500 channels");

    buf_printf(p,
               "/guilds/%" PRIu64 "/messages/search?limit=%d&offset=%d"
               "&sort_by=timestamp&sort_order=%s&include_nsfw=true",
               q->guild, s->limit, s->offset, s->oldest_first ? "asc" : "desc");
    if (s->author)
        buf_printf(p, "&author_id=%" PRIu64, s->author);
    if (s->min_id)
        buf_printf(p, "&min_id=%" PRIu64, s->min_id);
    if (s->max_id)
        buf_printf(p, "&max_id=%" PRIu64, s->max_id);
    for (size_t i = 0; i < s->n_channels; i++)
        buf_printf(p, "&channel_id=%" PRIu64, s->channels[i]);
    if (s->content && *s->content) {
        buf_addstr(p, "&content=");
        add_escaped(p, s->content);
        /* Else no more than two others may stand between two words. */
        if (strchr(s->content, ' '))
            buf_addstr(p, "&slop=100");
    }
    if (p->len > 8000)
        return err_set(err, -EINVAL, "a search of %zu bytes is too long",
                       p->len);
    return 0;
}

static int check_ids(const struct remote_request *q, int64_t wall_ms,
                     struct err *err)
{
    if (q->n_ids < 2 || q->n_ids > 100)
        return err_set(err, -EINVAL,
                       "2 to 100 messages are deleted at once, not %zu",
                       q->n_ids);
    for (size_t i = 0; i < q->n_ids; i++) {
        if (snowflake_ms(q->ids[i]) < wall_ms - 14 * DAY_MS + SKEW_MS)
            return err_set(err, -EINVAL,
                           "message %" PRIu64 " is over 14 days old and must "
                           "be deleted on its own",
                           q->ids[i]);
        for (size_t j = 0; j < i; j++)
            if (q->ids[i] == q->ids[j])
                return err_set(err, -EINVAL,
                               "message %" PRIu64 " is to be deleted twice",
                               q->ids[i]);
    }
    return 0;
}

static int check_name(const char *name, struct err *err)
{
    size_t n = name ? strlen(name) : 0;

    if (n == 0 || !utf8_valid(name, n) || utf16_units(name, n) > 100)
        return err_set(err, -EINVAL, "a name has 1 to 100 characters");
    return 0;
}

/* Which of the ids an operation needs are missing. */
static int check_needed(const struct remote_request *q, struct err *err)
{
    enum { GUILD = 1, CHANNEL = 2, MESSAGE = 4, FILE_ = 8 };
    static const unsigned char needs[] = {
        [REMOTE_ME] = 0,
        [REMOTE_GUILD] = GUILD,
        [REMOTE_CHANNELS] = GUILD,
        [REMOTE_CHANNEL_CREATE] = GUILD,
        [REMOTE_CHANNEL] = CHANNEL,
        [REMOTE_CHANNEL_DELETE] = CHANNEL,
        [REMOTE_THREAD_START] = CHANNEL | MESSAGE,
        [REMOTE_LIST] = CHANNEL,
        [REMOTE_GET] = CHANNEL | MESSAGE,
        [REMOTE_POST] = CHANNEL,
        [REMOTE_EDIT] = CHANNEL | MESSAGE,
        [REMOTE_DELETE] = CHANNEL | MESSAGE,
        [REMOTE_DELETE_MANY] = CHANNEL,
        [REMOTE_SEARCH] = GUILD,
        [REMOTE_DOWNLOAD] = CHANNEL | MESSAGE | FILE_,
    };

    if ((unsigned)q->op >= sizeof(needs))
        return err_set(err, -EINVAL, "no such operation: %d", (int)q->op);
    unsigned n = needs[q->op];
    if (((n & GUILD) && !q->guild) || ((n & CHANNEL) && !q->channel) ||
        ((n & MESSAGE) && !q->message) || ((n & FILE_) && !q->file))
        return err_set(err, -EINVAL, "a request without the id it is about");
    return 0;
}

int route_of(struct route *r, const struct remote_request *q, int64_t wall_ms,
             struct err *err)
{
    AUTO_BUF struct buf p = BUF_INIT;
    const char *method = "GET";
    int e = 0;

    *r = (struct route){0};
    e = check_needed(q, err);
    if (e < 0)
        return e;

    switch (q->op) {
    case REMOTE_ME:
        buf_addstr(&p, "/users/@me");
        break;
    case REMOTE_GUILD:
        buf_printf(&p, "/guilds/%" PRIu64, q->guild);
        break;
    case REMOTE_CHANNELS:
        buf_printf(&p, "/guilds/%" PRIu64 "/channels", q->guild);
        break;
    case REMOTE_CHANNEL_CREATE:
        method = "POST";
        e = check_name(q->name, err);
        if (e == 0 && q->kind != REMOTE_CHANNEL_TEXT &&
            q->kind != REMOTE_CHANNEL_CATEGORY)
            e = err_set(err, -EINVAL,
                        "only text channels and categories are made");
        if (e == 0 && q->topic &&
            utf16_units(q->topic, strlen(q->topic)) > 1024)
            e = err_set(err, -EINVAL, "a topic has at most 1024 characters");
        buf_printf(&p, "/guilds/%" PRIu64 "/channels", q->guild);
        break;
    case REMOTE_CHANNEL:
        buf_printf(&p, "/channels/%" PRIu64, q->channel);
        break;
    case REMOTE_CHANNEL_DELETE:
        method = "DELETE";
        buf_printf(&p, "/channels/%" PRIu64, q->channel);
        break;
    case REMOTE_THREAD_START:
        method = "POST";
        e = check_name(q->name, err);
        buf_printf(&p, "/channels/%" PRIu64 "/messages/%" PRIu64 "/threads",
                   q->channel, q->message);
        break;
    case REMOTE_LIST:
        e = list_path(q, &p, err);
        break;
    case REMOTE_POST:
        method = "POST";
        buf_printf(&p, "/channels/%" PRIu64 "/messages", q->channel);
        break;
    case REMOTE_EDIT:
        method = "PATCH";
        buf_printf(&p, "/channels/%" PRIu64 "/messages/%" PRIu64, q->channel,
                   q->message);
        break;
    case REMOTE_DELETE:
        method = "DELETE";
        buf_printf(&p, "/channels/%" PRIu64 "/messages/%" PRIu64, q->channel,
                   q->message);
        break;
    case REMOTE_DELETE_MANY:
        method = "POST";
        e = check_ids(q, wall_ms, err);
        buf_printf(&p, "/channels/%" PRIu64 "/messages/bulk-delete",
                   q->channel);
        break;
    case REMOTE_SEARCH:
        e = search_path(q, &p, err);
        break;
    case REMOTE_GET:
    case REMOTE_DOWNLOAD:
        buf_printf(&p, "/channels/%" PRIu64 "/messages/%" PRIu64, q->channel,
                   q->message);
        break;
    }
    if (e < 0)
        return e;
    e = route_make(r, method, p.data, err);
    if (e < 0)
        return e;

    int64_t age = wall_ms - snowflake_ms(q->message);
    if (q->op == REMOTE_EDIT)
        r->old_edit = age > HOUR_MS - SKEW_MS;
    /* Each age of message has a delete bucket of its own. */
    if (q->op == REMOTE_DELETE && (age < 10000 || age > 14 * DAY_MS)) {
        struct namer n = {r, strlen(r->name)};
        const char *note = age < 10000 ? " (fresh)" : " (old)";
        name_add(&n, note, strlen(note));
    }
    /* Its nonce makes it so. */
    if (q->op == REMOTE_POST)
        r->repeatable = true;
    return 0;
}
