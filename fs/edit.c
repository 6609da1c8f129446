#include "fs/edit.h"

#include <errno.h>
#include <string.h>

static void rescan(struct edit *e)
{
    json_scan_init(&e->scan);
}

void edit_start(struct edit *e, const char *base, size_t len, bool append,
                size_t max)
{
    buf_reset(&e->text);
    if (base)
        buf_add(&e->text, base, len);
    /* Who can only append cannot mend what is there: the old text counts as
     * his, and a second object behind it is refused at once. */
    e->ours = append ? e->text.len : 0;
    e->max = max;
    e->append = append;
    e->active = true;
    e->dirty = false;
    rescan(e);
    if (append && e->text.len > 0)
        json_scan_feed(&e->scan, e->text.data, e->text.len);
}

void edit_release(struct edit *e)
{
    buf_release(&e->text);
    e->active = e->dirty = false;
}

static enum edit_verdict refuse(const struct edit *e, int *r, struct err *err)
{
    *r = json_scan_error(&e->scan, err);
    return EDIT_REFUSE;
}

/* Feeds what the scan has not seen. Offsets in front of it were reset. */
static enum json_state scan_all(struct edit *e)
{
    if (e->scan.offset > e->text.len)
        rescan(e);
    if (e->scan.offset < e->text.len && e->scan.state != JSON_BAD)
        json_scan_feed(&e->scan, e->text.data + e->scan.offset,
                       e->text.len - e->scan.offset);
    return e->scan.state;
}

static bool only_space(const char *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!memchr(" \t\r\n", data[i], 4))
            return false;
    return true;
}

static enum edit_verdict too_big(const struct edit *e, int *r, struct err *err)
{
    *r = err_set(err, -EFBIG, "larger than the %zu bytes a file may have here",
                 e->max);
    return EDIT_REFUSE;
}

enum edit_verdict edit_write(struct edit *e, uint64_t offset, const char *data,
                             size_t len, int *r, struct err *err)
{
    if (e->append)
        offset = e->text.len;
    /* One byte more for the newline at the end, which is not stored. */
    if (offset > e->max + 1 || len > e->max + 1 - offset) {
        e->dirty = true;
        return too_big(e, r, err);
    }

    size_t at = (size_t)offset, end = at + len;
    bool behind = at == e->text.len && e->ours == e->text.len;

    /* After a commit: white space at the end is dropped anyway. */
    if (behind && !e->dirty && e->scan.state == JSON_DONE &&
        e->scan.offset == e->text.len && only_space(data, len)) {
        buf_add(&e->text, data, len);
        e->ours = e->text.len;
        scan_all(e);
        return EDIT_WAIT;
    }

    if (at > e->text.len) {
        size_t gap = at - e->text.len;
        buf_reserve(&e->text, gap + len);
        memset(e->text.data + e->text.len, 0, gap);
        e->text.len = at;
        e->text.data[at] = '\0';
    }
    if (at < e->scan.offset)
        rescan(e);
    if (end > e->text.len) {
        buf_truncate(&e->text, at);
        buf_add(&e->text, data, len);
    } else if (len > 0) {
        memcpy(e->text.data + at, data, len);
    }
    e->dirty = true;
    if (at <= e->ours && end > e->ours)
        e->ours = end;
    if (e->ours < e->text.len)
        return EDIT_WAIT;

    switch (scan_all(e)) {
    case JSON_DONE:
        return EDIT_COMMIT;
    case JSON_BAD:
        return refuse(e, r, err);
    case JSON_MORE:
        break;
    }
    return EDIT_WAIT;
}

enum edit_verdict edit_truncate(struct edit *e, uint64_t size, int *r,
                                struct err *err)
{
    if (size > e->max + 1)
        return too_big(e, r, err);

    size_t len = (size_t)size;
    if (len == e->text.len && !e->dirty)
        return EDIT_WAIT;
    if (len > e->text.len) {
        size_t gap = len - e->text.len;
        buf_reserve(&e->text, gap);
        memset(e->text.data + e->text.len, 0, gap);
        e->text.len = len;
        e->text.data[len] = '\0';
        e->dirty = true;
        return EDIT_WAIT;
    }
    if (len < e->text.len) {
        buf_truncate(&e->text, len);
        if (e->ours > len)
            e->ours = len;
        if (e->scan.offset > len)
            rescan(e);
        e->dirty = true;
    }
    /* An empty file is the beginning of a new text, not a text. */
    if (len == 0) {
        e->dirty = false;
        return EDIT_WAIT;
    }
    return scan_all(e) == JSON_DONE ? EDIT_COMMIT : EDIT_WAIT;
}

enum edit_verdict edit_flush(struct edit *e, int *r, struct err *err)
{
    if (!e->active || !e->dirty)
        return EDIT_WAIT;
    if (scan_all(e) == JSON_DONE)
        return EDIT_COMMIT;
    e->dirty = false;
    return refuse(e, r, err);
}

bool edit_lacks_end(const struct edit *e, size_t size)
{
    return e->active && e->dirty && e->ours == size && e->text.len == size &&
           json_scan_lacks_end(&e->scan);
}

void edit_committed(struct edit *e)
{
    e->dirty = false;
    e->ours = e->text.len;
}

void edit_reset(struct edit *e)
{
    buf_release(&e->text);
    e->ours = 0;
    e->dirty = false;
    rescan(e);
}
