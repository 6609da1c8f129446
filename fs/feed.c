#include "fs/feed.h"

#include <stdio.h>
#include <string.h>

#include "engine/base/alloc.h"

/* Kept while it stands in the feed, and while it is among what a reader read
 * last: so a line that was begun is read to its end, whatever is dropped. */
struct line {
    unsigned refs;
    int64_t at; /* place in all that was ever added */
    size_t len;
    char text[];
};

struct feed {
    struct line **ring; /* of size `room`, a power of two */
    size_t room;
    uint64_t first, next; /* numbers of lines: the oldest kept, the next */
    int64_t end;
    size_t bytes, max;
};

/* What a reader read last, in his offsets. */
struct held {
    struct line *line; /* a reference */
    int64_t off;
};

struct feed_reader {
    struct feed *feed;
    struct held *held;
    size_t n_held, room;
    int64_t
        held_end;    /* offset behind the last of them: there the next begins */
    int64_t at;      /* offset behind the last read */
    uint64_t next;   /* its number */
    int64_t next_at; /* its place in the feed */
};

struct feed *feed_new(size_t max)
{
    struct feed *f = xcalloc(1, sizeof(*f));

    f->max = max;
    f->room = 64;
    f->ring = xcalloc(f->room, sizeof(struct line *));
    return f;
}

static void line_unref(struct line *l)
{
    if (--l->refs == 0)
        free(l);
}

static struct line **slot(const struct feed *f, uint64_t number)
{
    return &f->ring[number & (f->room - 1)];
}

static void drop_oldest(struct feed *f)
{
    struct line *l = *slot(f, f->first++);

    f->bytes -= l->len;
    line_unref(l);
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    while (f->first < f->next)
        drop_oldest(f);
    free(f->ring);
    free(f);
}

static void grow(struct feed *f)
{
    struct line **old = f->ring;
    size_t room = f->room;

    f->room *= 2;
    f->ring = xcalloc(f->room, sizeof(struct line *));
    for (uint64_t i = f->first; i < f->next; i++)
        *slot(f, i) = old[i & (room - 1)];
    free(old);
}

static struct line *line_new(const char *text, size_t len, int64_t at)
{
    struct line *l = xmalloc(sizeof(*l) + len);

    l->refs = 1;
    l->at = at;
    l->len = len;
    memcpy(l->text, text, len);
    return l;
}

void feed_add(struct feed *f, const char *line, size_t len)
{
    while (f->first < f->next && f->bytes + len > f->max)
        drop_oldest(f);
    if (f->next - f->first == f->room)
        grow(f);
    *slot(f, f->next++) = line_new(line, len, f->end);
    f->bytes += len;
    f->end += (int64_t)len;
}

int64_t feed_end(const struct feed *f)
{
    return f->end;
}

/* Where what is kept begins. */
static int64_t feed_begin(const struct feed *f)
{
    return f->first < f->next ? (*slot(f, f->first))->at : f->end;
}

/* --- readers -------------------------------------------------------------- */

struct feed_reader *feed_reader_new(struct feed *f)
{
    struct feed_reader *r = xcalloc(1, sizeof(*r));

    r->feed = f;
    r->next = f->next;
    r->next_at = f->end;
    return r;
}

/* Lets go of the first n of what is held. */
static void let_go(struct feed_reader *r, size_t n)
{
    for (size_t i = 0; i < n; i++)
        line_unref(r->held[i].line);
    r->n_held -= n;
    memmove(r->held, r->held + n, r->n_held * sizeof(*r->held));
}

void feed_reader_free(struct feed_reader *r)
{
    if (!r)
        return;
    if (r->held)
        let_go(r, r->n_held);
    free(r->held);
    free(r);
}

bool feed_has_more(const struct feed_reader *r)
{
    return r->at < r->held_end || r->next < r->feed->next;
}

void feed_unread(struct feed_reader *r, int64_t off)
{
    r->at = off;
}

/* Nothing is held; the next line is this one, and begins at this offset. */
static void go_to(struct feed_reader *r, uint64_t number, int64_t place,
                  int64_t off)
{
    if (r->n_held)
        let_go(r, r->n_held);
    r->next = number;
    r->next_at = place;
    r->held_end = r->at = off;
}

void feed_seek_end(struct feed_reader *r)
{
    go_to(r, r->feed->next, r->feed->end, r->feed->end);
}

/* Takes a reference over. */
static void hold(struct feed_reader *r, struct line *l)
{
    if (r->n_held == r->room) {
        r->room = r->room ? r->room * 2 : 4;
        r->held = xrealloc(r->held, r->room * sizeof(*r->held));
    }
    r->held[r->n_held++] = (struct held){l, r->held_end};
    r->held_end += (int64_t)l->len;
}

/* The number of the line in which this place is, one that is kept. */
static uint64_t number_at(const struct feed *f, int64_t place)
{
    uint64_t low = f->first, high = f->next - 1;

    while (low < high) {
        uint64_t mid = low + (high - low + 1) / 2;
        if ((*slot(f, mid))->at <= place)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

/* Somewhere else than behind what was read, or in it. */
static void jump(struct feed_reader *r, int64_t off)
{
    const struct feed *f = r->feed;
    int64_t place = r->next_at + (off - r->held_end);

    if (place >= f->end) {
        go_to(r, f->next, f->end, off);
    } else if (place < feed_begin(f)) {
        go_to(r, f->first, feed_begin(f), off + (feed_begin(f) - place));
    } else {
        uint64_t number = number_at(f, place);
        int64_t at = (*slot(f, number))->at;
        go_to(r, number, at, off - (place - at));
    }
}

/* The line that comes next for him; false: there is none yet. */
static bool take_next(struct feed_reader *r)
{
    struct feed *f = r->feed;

    if (r->next < f->first) {
        char text[64];
        int len = snprintf(text, sizeof(text), "{\"op\":\"lost\",\"n\":%ju}\n",
                           (uintmax_t)(f->first - r->next));
        r->next = f->first;
        r->next_at = feed_begin(f);
        hold(r, line_new(text, (size_t)len, 0));
        return true;
    }
    if (r->next == f->next)
        return false;
    struct line *l = *slot(f, r->next++);
    l->refs++;
    r->next_at += (int64_t)l->len;
    hold(r, l);
    return true;
}

bool feed_read(struct feed_reader *r, int64_t off, size_t size, struct buf *out)
{
    size_t before = out->len, i = 0;
    int64_t from = r->n_held ? r->held[0].off : r->held_end;

    if (off < from || off > r->held_end)
        jump(r, off);
    /* Before what is kept. */
    for (; size > 0 && r->n_held == 0 && off < r->held_end; off++, size--)
        buf_addc(out, '\n');
    /* Of what was held, that which is read again stays. */
    while (i < r->n_held &&
           r->held[i].off + (int64_t)r->held[i].line->len <= off)
        i++;
    if (i)
        let_go(r, i);
    for (i = 0; size > 0; i++) {
        if (i == r->n_held && (off < r->held_end || !take_next(r)))
            break;
        const struct held *h = &r->held[i];
        size_t skip = (size_t)(off - h->off), n = h->line->len;
        if (skip >= n)
            continue;
        n = n - skip < size ? n - skip : size;
        buf_add(out, h->line->text + skip, n);
        off += (int64_t)n;
        size -= n;
    }
    r->at = off;
    return out->len > before;
}
