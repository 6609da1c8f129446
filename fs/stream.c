#include "fs/stream.h"

#include <string.h>

void stream_release(struct stream *s)
{
    buf_release(&s->text);
}

void stream_add(struct stream *s, const char *lines, size_t len, int64_t now_ms)
{
    buf_add(&s->text, lines, len);
    s->mtime_ms = now_ms;
    if (s->text.len <= s->max)
        return;

    size_t drop = s->text.len - s->max / 2;
    const char *line =
        memchr(s->text.data + drop - 1, '\n', s->text.len - (drop - 1));
    buf_consume(&s->text,
                line ? (size_t)(line + 1 - s->text.data) : s->text.len);
}
