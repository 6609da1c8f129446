/* /.dbcord: how the process is, and what it said lately. */
#include "fs/fs.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "fs/notify.h"
#include "fs/pending.h"
#include "fs/stream.h"
#include "fs/view.h"

static const struct node_type *const control_views[] = {
    &view_status,
    &view_log,
    NULL,
};

static uint64_t view_ino(const struct node_type *type)
{
    return fs_hash_ino(0, type->name, strlen(type->name));
}

static int control_attr(struct node *n, struct stat *st)
{
    fs_stat_dir(n->mount, view_ino(&view_control), n->mount->started_ms, false,
                st);
    return 0;
}

static void control_lookup(fuse_req_t req, struct node *dir, const char *name)
{
    if (!view_reply(req, dir, control_views, name))
        fuse_reply_err(req, ENOENT);
}

static void control_list(struct node *dir, struct listing *l)
{
    bool room = listing_dots(l, view_ino(&view_control), FUSE_ROOT_ID);
    size_t i = l->after > 2 ? (size_t)(l->after - 2) : 0;

    for (; room && i < 2; i++) {
        struct node *n = view_find(dir, control_views, control_views[i]->name);
        struct stat st = {
            .st_ino = view_ino(control_views[i]),
            .st_mode = S_IFREG,
        };
        room = listing_add(l, control_views[i]->name, n, &st, (off_t)i + 3);
        node_unref(n);
    }
    listing_reply(l);
}

const struct node_type view_control = {
    .name = ".dbcord",
    .type = S_IFDIR,
    .size = sizeof(struct node),
    .attr = control_attr,
    .lookup = control_lookup,
    .list = control_list,
};

/* --- status.json ---------------------------------------------------------- */

/* A part that somebody else writes; null where he has nothing to say. */
static void add_part(struct buf *out, const char *name,
                     void (*part)(void *arg, struct buf *out), void *arg)
{
    size_t before;

    buf_printf(out, ",\n  \"%s\": ", name);
    before = out->len;
    if (part)
        part(arg, out);
    while (out->len > before && strchr("\r\n ", out->data[out->len - 1]))
        buf_truncate(out, out->len - 1);
    if (out->len == before)
        buf_addstr(out, "null");
}

static void engine_part(void *arg, struct buf *out)
{
    engine_status(arg, out);
}

static void add_guilds(struct mount *m, struct buf *out)
{
    buf_addstr(out, ",\n  \"guilds\": [");
    for (size_t i = 0; i < engine_database_count(m->engine); i++) {
        struct database *d = engine_database_at(m->engine, i);
        AUTO_STR char *name = database_name(d);
        buf_printf(out, "%s{\"id\": \"%ju\", \"name\": ", i ? ", " : "",
                   (uintmax_t)database_id(d));
        buf_add_json(out, name, strlen(name));
        buf_addc(out, '}');
    }
    buf_addc(out, ']');
}

static void status_text(struct node *n, struct buf *out)
{
    struct mount *m = n->mount;
    char since[CLOCK_ISO_SIZE];

    buf_printf(out, "{\n  \"pid\": %ld,\n  \"version\": \"%s\"", (long)getpid(),
               DBCORD_VERSION);
    buf_addstr(out, ",\n  \"mountpoint\": ");
    buf_add_json(out, m->o.mountpoint, strlen(m->o.mountpoint));
    buf_printf(out, ",\n  \"read_only\": %s,\n  \"since\": \"%s\"",
               m->o.read_only ? "true" : "false",
               clock_iso(m->started_ms, since));
    add_guilds(m, out);
    add_part(out, "gateway", m->o.gateway_status, m->o.status_arg);
    add_part(out, "rate_limits", m->o.rest_status, m->o.status_arg);
    add_part(out, "engine", engine_part, m->engine);
    buf_printf(out,
               ",\n  \"queues\": {\"waiting\": %zu, \"notifications\": %zu}",
               pendings_waiting(m->pendings), notify_waiting(m->notify));
    buf_printf(out,
               ",\n  \"caches\": {\"nodes\": %zu, \"open_files\": %zu, "
               "\"draft_bytes\": %zu, \"draft_bytes_max\": %zu}\n}\n",
               inodes_count(m->inodes), atomic_load(&m->handles),
               atomic_load(&m->drafts.used), m->drafts.max);
}

static int status_attr(struct node *n, struct stat *st)
{
    AUTO_BUF struct buf text = BUF_INIT;

    status_text(n, &text);
    fs_stat_file(n->mount, view_ino(n->type), clock_wall_ms(), false, text.len,
                 st);
    return 0;
}

const struct node_type view_status = {
    .name = "status.json",
    .type = S_IFREG,
    .size = sizeof(struct node),
    .live = true,
    .attr = status_attr,
    .text = status_text,
};

/* --- log ------------------------------------------------------------------ */

/* base keeps the newest lines in a ring, which would slide under the feet of
 * somebody who follows it: here they are kept as a text that grows. */
struct log_view {
    struct node node;
    pthread_mutex_t lock; /* order: before the log's own */
    struct stream stream; /* under lock */
    uint64_t seen;        /* under lock: lines taken from the log */
};

#define LOG_TEXT_MAX (256 * 1024)

static struct log_view *log_of(struct node *n)
{
    return (struct log_view *)n;
}

static void log_init(struct node *n, const void *arg)
{
    (void)arg;
    pthread_mutex_init(&log_of(n)->lock, NULL);
    log_of(n)->stream = STREAM_INIT(LOG_TEXT_MAX);
}

static void log_release(struct node *n)
{
    stream_release(&log_of(n)->stream);
    pthread_mutex_destroy(&log_of(n)->lock);
}

/* Caller holds v->lock. */
static void catch_up_locked(struct log_view *v)
{
    AUTO_BUF struct buf lines = BUF_INIT;

    v->seen = log_since(v->seen, &lines);
    if (lines.len > 0)
        stream_add(&v->stream, lines.data, lines.len, clock_wall_ms());
}

static int log_attr(struct node *n, struct stat *st)
{
    struct log_view *v = log_of(n);

    pthread_mutex_lock(&v->lock);
    catch_up_locked(v);
    fs_stat_file(n->mount, view_ino(n->type),
                 v->stream.mtime_ms ? v->stream.mtime_ms : n->mount->started_ms,
                 false, v->stream.text.len, st);
    pthread_mutex_unlock(&v->lock);
    return 0;
}

static void log_text(struct node *n, struct buf *out)
{
    struct log_view *v = log_of(n);

    pthread_mutex_lock(&v->lock);
    catch_up_locked(v);
    buf_add(out, v->stream.text.data, v->stream.text.len);
    pthread_mutex_unlock(&v->lock);
}

const struct node_type view_log = {
    .name = "log",
    .type = S_IFREG,
    .size = sizeof(struct log_view),
    .live = true,
    .init = log_init,
    .release = log_release,
    .attr = log_attr,
    .text = log_text,
};
