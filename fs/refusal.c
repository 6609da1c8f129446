#include "fs/refusal.h"

#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"

void refusals_init(struct refusals *f)
{
    *f = (struct refusals){.lines = STREAM_INIT(REFUSAL_LINES_MAX)};
    atomic_init(&f->budget.used, 0);
    f->budget.max = REFUSAL_BYTES_MAX;
    draft_set_init(&f->rejected);
}

void refusals_release(struct refusals *f)
{
    stream_release(&f->lines);
    draft_set_release(&f->rejected);
}

static bool drop_oldest(struct refusals *f, struct buf *dropped)
{
    struct draft_name *n = draft_set_next(&f->rejected, 0);

    if (!n)
        return false;
    buf_add(dropped, n->name, strlen(n->name) + 1);
    draft_uncount(n->draft);
    return draft_set_remove(&f->rejected, n->name);
}

static void add_line(struct refusals *f, int64_t now_ms, const char *path,
                     int r, const char *why)
{
    AUTO_BUF struct buf line = BUF_INIT;
    char when[CLOCK_ISO_SIZE];
    const char *name = strerrorname_np(-r);

    buf_printf(&line, "%s %s %s %s", clock_iso(now_ms, when), path,
               name ? name : "EIO", why);
    /* One refusal is one line, whatever a name or a text had in it. */
    for (size_t i = 0; i < line.len; i++)
        if ((unsigned char)line.data[i] < 0x20)
            line.data[i] = ' ';
    buf_addc(&line, '\n');
    stream_add(&f->lines, line.data, line.len, now_ms);
}

void refusals_add(struct refusals *f, int64_t now_ms, const char *path, int r,
                  const char *why, const char *text, size_t len, uid_t uid,
                  gid_t gid, struct buf *dropped)
{
    add_line(f, now_ms, path, r, why);
    if (!text)
        return;

    while (f->rejected.names.count >= REFUSAL_TEXTS_MAX &&
           drop_oldest(f, dropped))
        ;
    /* Who has the old text of this path open sees the new one. */
    const struct draft_name *old = draft_set_find(&f->rejected, path);
    struct draft *d = old ? draft_ref(old->draft) : NULL;
    if (d) {
        draft_truncate(d, 0, now_ms);
        draft_set_remove(&f->rejected, path);
    }
    while (!d && !(d = draft_new(&f->budget, 0644, uid, gid, now_ms)))
        if (!drop_oldest(f, dropped))
            return;
    while (len > 0 && draft_write(d, 0, text, len, now_ms) < 0)
        if (!drop_oldest(f, dropped))
            break;
    struct draft_name *n = draft_set_put(&f->rejected, path, d);
    n->note = xstrdup(why);
    draft_unref(d);
}

void refusals_settled(struct refusals *f, const char *path)
{
    struct draft_name *n = draft_set_find(&f->rejected, path);

    if (!n)
        return;
    free(n->note);
    n->note = NULL;
}

const char *refusals_why(const struct refusals *f, const char *path)
{
    const struct draft_name *n = draft_set_find(&f->rejected, path);

    return n ? n->note : NULL;
}
