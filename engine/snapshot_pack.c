/* The file of a snapshot: lines in, gzip out, and back. A file that would
 * grow above what one upload may have is ended, and the next begun: each is a
 * gzip file of its own, and so are all of them one behind the other. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "engine/base/alloc.h"
#include "engine/snapshot_text.h"

#define GZIP (15 + 16) /* zlib: the widest window, and gzip around it */

/* Rows are much alike: what a higher level would gain is little. */
#define LEVEL 4

/* What is packed at once, at most: it bounds how far a file may grow before
 * it is known that the next must be begun. */
#define SLICE ((size_t)256 * 1024)

/* A line has a row's text in it: that of a whole batch at most, escaped. */
#define LINE_MAX_LEN ((size_t)512 * 1024 * 1024)

/* --- packing ---------------------------------------------------------------
 */

struct snapshot_packer {
    z_stream z;
    bool began;
    size_t max, slice;
    snapshot_packed *done;
    void *arg;
    struct buf in, out;
};

struct snapshot_packer *snapshot_packer_new(uint64_t max, snapshot_packed *done,
                                            void *arg)
{
    struct snapshot_packer *p = xcalloc(1, sizeof(*p));

    /* As much as is packed at once must fit into one file in any case. */
    p->max = max > SIZE_MAX / 2 ? SIZE_MAX / 2 : (size_t)max;
    p->slice = p->max / 4 < SLICE ? p->max / 4 : SLICE;
    if (p->slice == 0)
        p->slice = 1;
    p->done = done;
    p->arg = arg;
    return p;
}

void snapshot_packer_free(struct snapshot_packer *p)
{
    if (!p)
        return;
    if (p->began)
        deflateEnd(&p->z);
    buf_release(&p->in);
    buf_release(&p->out);
    free(p);
}

static void run_deflate(struct snapshot_packer *p, const char *data, size_t len,
                        int flush)
{
    p->z.next_in = (Bytef *)(uintptr_t)data;
    p->z.avail_in = (uInt)len;
    do {
        buf_reserve(&p->out, 16 * 1024);
        size_t room = p->out.cap - p->out.len - 1;
        if (room > UINT32_MAX)
            room = UINT32_MAX;
        p->z.next_out = (Bytef *)p->out.data + p->out.len;
        p->z.avail_out = (uInt)room;
        /* Cannot fail: the stream is whole and there is room. */
        deflate(&p->z, flush);
        p->out.len += room - p->z.avail_out;
    } while (p->z.avail_out == 0);
    p->out.data[p->out.len] = '\0';
}

static int end_file(struct snapshot_packer *p, bool last, struct err *err)
{
    run_deflate(p, NULL, 0, Z_FINISH);
    deflateEnd(&p->z);
    p->began = false;
    struct buf file = buf_take(&p->out);
    int r = p->done(p->arg, &file, last, err);
    buf_release(&file);
    return r;
}

static void begin_file(struct snapshot_packer *p)
{
    p->z = (z_stream){0};
    if (deflateInit2(&p->z, LEVEL, Z_DEFLATED, GZIP, 8, Z_DEFAULT_STRATEGY) !=
        Z_OK)
        alloc_check(NULL);
    p->began = true;
}

/* What deflate() holds back is bounded by what it was given since the file
 * began or the last flush: all is flushed when it might get near the end. */
static int pack_slice(struct snapshot_packer *p, struct err *err)
{
    int r = 0;

    if (p->in.len == 0)
        return 0;
    if (!p->began)
        begin_file(p);
    /* Of what is in, and what zlib has not given out yet (at most a window and
     * a block of symbols). */
    size_t worst = deflateBound(&p->z, p->in.len) + 64;
    if (p->out.len + worst > p->max && p->out.len > 0) {
        r = end_file(p, false, err);
        begin_file(p);
    }
    run_deflate(p, p->in.data, p->in.len, Z_SYNC_FLUSH);
    buf_reset(&p->in);
    return r;
}

int snapshot_pack(struct snapshot_packer *p, const char *data, size_t len,
                  struct err *err)
{
    int r = 0;

    while (len > 0 && r == 0) {
        size_t n = p->slice - p->in.len;
        if (n > len)
            n = len;
        buf_add(&p->in, data, n);
        data += n;
        len -= n;
        if (p->in.len == p->slice)
            r = pack_slice(p, err);
    }
    return r;
}

int snapshot_pack_end(struct snapshot_packer *p, struct err *err)
{
    int r = pack_slice(p, err);

    if (r < 0)
        return r;
    if (!p->began)
        begin_file(p);
    return end_file(p, true, err);
}

/* --- unpacking -------------------------------------------------------------
 */

struct snapshot_unpacker {
    z_stream z;
    bool began; /* inside of a file */
    snapshot_unpacked *line;
    void *arg;
    struct buf out; /* unpacked, and not told yet */
};

struct snapshot_unpacker *snapshot_unpacker_new(snapshot_unpacked *line,
                                                void *arg)
{
    struct snapshot_unpacker *u = xcalloc(1, sizeof(*u));

    u->line = line;
    u->arg = arg;
    if (inflateInit2(&u->z, GZIP) != Z_OK)
        alloc_check(NULL);
    return u;
}

void snapshot_unpacker_free(struct snapshot_unpacker *u)
{
    if (!u)
        return;
    inflateEnd(&u->z);
    buf_release(&u->out);
    free(u);
}

/* Tells the lines that are complete; from: where what is new begins. */
static int tell_lines(struct snapshot_unpacker *u, size_t from, struct err *err)
{
    char *at = u->out.data, *end = at + u->out.len, *look = at + from, *eol;
    int r = 0;

    while (r == 0 && (eol = memchr(look, '\n', (size_t)(end - look)))) {
        r = u->line(u->arg, at, (size_t)(eol - at), err);
        look = at = eol + 1;
    }
    buf_consume(&u->out, (size_t)(at - u->out.data));
    return r;
}

int snapshot_unpack(struct snapshot_unpacker *u, const char *data, size_t len,
                    struct err *err)
{
    while (len > 0) {
        size_t n = len > UINT32_MAX ? UINT32_MAX : len;
        u->z.next_in = (Bytef *)(uintptr_t)data;
        u->z.avail_in = (uInt)n;
        while (u->z.avail_in > 0 || u->z.avail_out == 0) {
            buf_reserve(&u->out, SLICE);
            size_t from = u->out.len, room = u->out.cap - from - 1;
            if (room > SLICE)
                room = SLICE;
            u->z.next_out = (Bytef *)u->out.data + from;
            u->z.avail_out = (uInt)room;
            u->began = true;
            int z = inflate(&u->z, Z_NO_FLUSH);
            u->out.len += room - u->z.avail_out;
            if (z != Z_OK && z != Z_STREAM_END && z != Z_BUF_ERROR)
                return err_set(err, -EBADMSG, "the snapshot is no gzip file");
            int r = tell_lines(u, from, err);
            if (r < 0)
                return r;
            if (u->out.len > LINE_MAX_LEN)
                return err_set(err, -EBADMSG,
                               "the snapshot has a line above %zu bytes",
                               LINE_MAX_LEN);
            if (z == Z_STREAM_END) {
                u->began = false;
                inflateReset(&u->z);
                u->z.avail_out = 1; /* nothing is left inside */
            } else if (z == Z_BUF_ERROR) {
                break;
            }
        }
        data += n;
        len -= n;
    }
    return 0;
}

int snapshot_unpack_end(struct snapshot_unpacker *u, struct err *err)
{
    if (u->began || u->out.len > 0)
        return err_set(err, -EBADMSG, "the snapshot ends too early");
    return 0;
}
