#include "engine/query_pick.h"

#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/query_impl.h"
#include "engine/value.h"

/* --- paths ---------------------------------------------------------------- */

static int add_name(struct query_path *p, size_t from, size_t len,
                    struct err *err)
{
    if (p->n == QUERY_DEPTH_MAX)
        return err_set(err, -EINVAL, "a field's path has %d names at most",
                       QUERY_DEPTH_MAX);
    p->name[p->n].at = from;
    p->name[p->n++].len = len;
    return 0;
}

static void take_bytes(struct query_path *p, struct buf *bytes)
{
    p->len = bytes->len;
    p->bytes = buf_take_str(bytes);
}

/* s begins with a quote: the bytes up to the closing one and with it; 0 where
 * it is no JSON string. */
static size_t quoted_len(const char *s, size_t len)
{
    size_t n = 1;

    while (n < len && s[n] != '"')
        n += s[n] == '\\' ? 2 : 1;
    if (n >= len)
        return 0;
    n++;
    AUTO_BUF struct buf b = BUF_INIT;
    buf_addc(&b, '{');
    buf_add(&b, s, n);
    buf_addstr(&b, ":0}");
    return json_check(b.data, b.len, NULL) == 0 ? n : 0;
}

static int read_exact(struct query_path *p, const char *s, size_t len,
                      const char *stops, size_t *used, struct err *err)
{
    AUTO_BUF struct buf bytes = BUF_INIT;
    size_t i = 0;

    p->exact = true;
    for (;;) {
        size_t from = bytes.len, n = 0;
        if (i < len && s[i] == '"') {
            n = quoted_len(s + i, len - i);
            if (n == 0)
                return err_set(err, -EINVAL,
                               "a field that begins with a quote is spelled "
                               "as JSON strings joined by dots, like "
                               "\"a.b\".\"c\"");
            json_unescape(s + i, n, &bytes);
        } else {
            while (i + n < len && s[i + n] != '.' && s[i + n] != '"' &&
                   !(s[i + n] && strchr(stops, s[i + n])))
                n++;
            buf_add(&bytes, s + i, n);
        }
        i += n;
        int r = add_name(p, from, bytes.len - from, err);
        if (r < 0)
            return r;
        if (i == len || (s[i] && strchr(stops, s[i])))
            break;
        if (s[i] != '.')
            return err_set(err, -EINVAL,
                           "expected '.' or the end behind a field's name in "
                           "quotes");
        i++;
        buf_addc(&bytes, '\0');
    }
    *used = i;
    take_bytes(p, &bytes);
    return 0;
}

static int read_plain(struct query_path *p, const char *s, size_t len,
                      const char *stops, size_t *used, struct err *err)
{
    AUTO_BUF struct buf bytes = BUF_INIT;
    size_t end = 0, from = 0;

    while (end < len && !(s[end] && strchr(stops, s[end])))
        end++;
    if (end == 0)
        return err_set(err, -EINVAL, "a field's name is missing");
    if (memchr(s, '\0', end))
        return err_set(err, -EINVAL,
                       "a NUL in a field's name: spell it in quotes, like "
                       "\"a\\u0000b\"");
    for (size_t i = 0; i <= end; i++) {
        if (i < end && s[i] != '.')
            continue;
        int r = add_name(p, from, i - from, err);
        if (r < 0)
            return r;
        from = i + 1;
    }
    buf_add(&bytes, s, end);
    *used = end;
    take_bytes(p, &bytes);
    return 0;
}

/* One name that needs no quotes means the same without them; and what would be
 * read as something else without them gets them. */
static void spell(struct query_path *p)
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (p->exact && p->n == 1 && p->len > 0 &&
        !memchr(p->bytes, '\0', p->len) && !memchr(p->bytes, '.', p->len))
        p->exact = false;
    bool bare =
        !p->exact && !strchr("\"$-", p->bytes[0]) && !strchr(p->bytes, ',');
    if (bare || (!p->exact && p->n > 1)) {
        p->spelled = xstrndup(p->bytes, p->len);
        return;
    }
    for (size_t i = 0; i < p->n; i++) {
        if (i > 0)
            buf_addc(&b, '.');
        buf_add_json(&b, query_path_at(p, i), p->name[i].len);
    }
    p->spelled = buf_take_str(&b);
}

int query_path_read(const char *s, size_t len, const char *stops,
                    struct query_path **out, size_t *used, struct err *err)
{
    struct query_path *p = xcalloc(1, sizeof(*p));

    int r = len > 0 && s[0] == '"' ? read_exact(p, s, len, stops, used, err)
                                   : read_plain(p, s, len, stops, used, err);
    if (r == 0 && p->len > QUERY_FIELD_LEN)
        r = err_set(err, -EINVAL, "a field's path has %d bytes at most",
                    QUERY_FIELD_LEN);
    /* Escapes can spell half a surrogate pair. */
    if (r == 0 && !utf8_valid(p->bytes, p->len))
        r = err_set(err, -EINVAL, "a field's name must be UTF-8");
    if (r < 0) {
        query_path_free(p);
        return r;
    }
    spell(p);
    *out = p;
    return 0;
}

void query_path_free(struct query_path *p)
{
    if (!p)
        return;
    free(p->spelled);
    free(p->bytes);
    free(p);
}

struct query_path *query_path_copy(const struct query_path *p)
{
    struct query_path *c = xmalloc(sizeof(*c));

    *c = *p;
    c->spelled = xstrdup(p->spelled);
    c->bytes = xmalloc(p->len + 1);
    memcpy(c->bytes, p->bytes, p->len + 1);
    return c;
}

bool query_path_same(const struct query_path *a, const struct query_path *b)
{
    if (a->exact != b->exact || a->len != b->len || a->n != b->n ||
        memcmp(a->bytes, b->bytes, a->len) != 0)
        return false;
    /* A NUL may be within a name or between two. */
    for (size_t i = 0; i < a->n; i++)
        if (a->name[i].len != b->name[i].len)
            return false;
    return true;
}

const char *query_path_name(const struct query_path *p, size_t *len)
{
    if (p->exact && (p->n > 1 || memchr(p->bytes, '\0', p->len)))
        return NULL;
    *len = p->len;
    return p->bytes;
}

/* --- picking -------------------------------------------------------------- */

void query_pick_release(struct query_pick *p)
{
    for (size_t i = 0; i < p->n; i++)
        query_path_free(p->path[i]);
    *p = (struct query_pick){.n = 0};
}

size_t query_pick_add(struct query_pick *p, struct query_path *path)
{
    for (size_t i = 0; i < p->n; i++) {
        if (!query_path_same(p->path[i], path))
            continue;
        query_path_free(path);
        return i;
    }
    p->path[p->n] = path;
    p->n_deep += path->n > 1;
    return p->n++;
}

/* A member's name, and whether it has escapes once somebody must know. */
struct name {
    const struct json_member *m;
    signed char escaped; /* -1: not looked yet */
};

static bool is_escaped(struct name *name)
{
    if (name->escaped < 0)
        name->escaped = memchr(name->m->name, '\\', name->m->name_len) != NULL;
    return name->escaped;
}

static bool name_is(struct name *name, const char *s, size_t len)
{
    const struct json_member *m = name->m;

    /* Escapes make it longer. */
    if (m->name_len < len)
        return false;
    if (m->name_len == len && memcmp(m->name, s, len) != 0)
        return false;
    if (!is_escaped(name))
        return m->name_len == len;
    return json_name_is(m, s, len);
}

/* Is the name all of the path, or its beginning up to a dot? */
static bool name_begins(struct name *name, const struct query_path *p,
                        size_t *len)
{
    const struct json_member *m = name->m;

    if (!is_escaped(name)) {
        if (m->name_len > p->len || memcmp(p->bytes, m->name, m->name_len) != 0)
            return false;
        *len = m->name_len;
    } else {
        struct json_chars c;
        const char *run;
        size_t n, at = 0;
        json_chars_init(&c, m->name, m->name_len);
        for (; json_chars_next(&c, &run, &n); at += n)
            if (n > p->len - at || memcmp(run, p->bytes + at, n) != 0)
                return false;
        *len = at;
    }
    return *len == p->len || p->bytes[*len] == '.';
}

static struct query_span walk_names(const struct query_path *p,
                                    const struct json_member *m)
{
    struct json_member at = *m;

    for (size_t i = 1; i < p->n; i++) {
        struct json_member in;
        size_t place = 0;
        bool found = false;
        if (at.type != JSON_OBJECT)
            return (struct query_span){NULL, 0};
        while (!found && json_next(at.value, at.value_len, &place, &in))
            found = json_name_is(&in, query_path_at(p, i), p->name[i].len);
        if (!found)
            return (struct query_span){NULL, 0};
        at = in;
    }
    return (struct query_span){at.value, at.value_len};
}

/* A slot against a member. True: it is settled by it. */
static bool look(const struct query_path *p, struct name *name,
                 struct query_picked *out, size_t slot)
{
    const struct json_member *m = name->m;
    struct query_span value = {m->value, m->value_len};
    struct json_member in;
    size_t len;

    if (p->n == 1 || p->exact) {
        if (!name_is(name, query_path_at(p, 0), p->name[0].len))
            return false;
        out->span[slot] = p->n == 1 ? value : walk_names(p, m);
        return true;
    }
    if (!name_begins(name, p, &len))
        return false;
    if (len == p->len) {
        out->span[slot] = value;
        return true;
    }
    /* The longest name wins that leads to something, of several with one name
     * the first alone. */
    uint32_t bit = 1;
    for (size_t i = 0; i < len; i++)
        bit <<= p->bytes[i] == '.';
    if ((out->seen[slot] & bit) || m->type != JSON_OBJECT ||
        len + 1 < out->head[slot]) {
        out->seen[slot] |= bit;
        return false;
    }
    out->seen[slot] |= bit;
    if (value_at(m->value, m->value_len, p->bytes + len + 1, &in)) {
        out->span[slot] = (struct query_span){in.value, in.value_len};
        out->head[slot] = len + 1;
    }
    return false;
}

bool query_pick_run(const struct query_pick *p, const char *text, size_t len,
                    struct query_picked *out, query_found *found, void *arg)
{
    uint64_t settled = 0;
    size_t left = p->n;
    struct json_member m;

    for (size_t i = 0; i < p->n; i++)
        out->span[i] = (struct query_span){NULL, 0};
    if (p->n_deep) {
        memset(out->head, 0, p->n * sizeof(out->head[0]));
        memset(out->seen, 0, p->n * sizeof(out->seen[0]));
    }
    for (size_t at = 0; left > 0 && json_next(text, len, &at, &m);) {
        struct name name = {&m, -1};
        for (size_t i = 0; i < p->n; i++) {
            if ((settled >> i & 1) || !look(p->path[i], &name, out, i))
                continue;
            settled |= (uint64_t)1 << i;
            left--;
            if (found && !found(arg, i, out->span[i]))
                return false;
        }
    }
    return true;
}
