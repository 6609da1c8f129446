#include "bot/inflate.h"

#include <errno.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/alloc.h"

#define IN_MAX (16u << 20)
#define OUT_MAX (64u << 20)

struct inflater {
    z_stream z;
    struct buf in; /* since the last whole message */
};

struct inflater *inflater_new(void)
{
    struct inflater *inf = xcalloc(1, sizeof(*inf));

    if (inflateInit(&inf->z) != Z_OK) {
        free(inf);
        alloc_check(NULL); /* it fails for want of memory alone */
    }
    return inf;
}

void inflater_free(struct inflater *inf)
{
    if (!inf)
        return;
    inflateEnd(&inf->z);
    buf_release(&inf->in);
    free(inf);
}

static bool is_whole(const struct buf *b)
{
    return b->len >= 4 && memcmp(b->data + b->len - 4, "\0\0\xff\xff", 4) == 0;
}

int inflater_feed(struct inflater *inf, const void *data, size_t len,
                  struct buf *out, struct err *err)
{
    buf_reset(out);
    if (len > IN_MAX - inf->in.len)
        return err_set(err, -EBADMSG, "a message of over %u bytes", IN_MAX);
    buf_add(&inf->in, data, len);
    if (!is_whole(&inf->in))
        return 0;

    inf->z.next_in = (unsigned char *)inf->in.data;
    inf->z.avail_in = (uInt)inf->in.len;
    for (;;) {
        if (out->len >= OUT_MAX)
            return err_set(err, -EBADMSG, "a message of over %u bytes",
                           OUT_MAX);
        size_t room = out->len < 16384 ? 16384 : out->len;
        buf_reserve(out, room);
        inf->z.next_out = (unsigned char *)out->data + out->len;
        inf->z.avail_out = (uInt)room;
        int r = inflate(&inf->z, Z_SYNC_FLUSH);
        out->len += room - inf->z.avail_out;
        out->data[out->len] = '\0';
        if (r == Z_BUF_ERROR && inf->z.avail_in == 0)
            break;
        if (r != Z_OK)
            return err_set(err, -EBADMSG, "the compressed stream is damaged");
        if (inf->z.avail_in == 0 && inf->z.avail_out > 0)
            break;
    }
    buf_reset(&inf->in);
    return 1;
}
