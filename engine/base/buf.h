/* A growing run of bytes. data is NULL or ends in a NUL that len does not
 * count, so that text in a buf is a C string; it may hold NULs of its own. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;
    size_t len, cap;
};

#define BUF_INIT ((struct buf){NULL, 0, 0})

void buf_release(struct buf *b);

/* A buf released at the end of the scope; give it BUF_INIT. */
#define AUTO_BUF __attribute__((cleanup(buf_release)))

/* Empty, memory kept. */
void buf_reset(struct buf *b);

/* Room for extra more bytes and the NUL. */
void buf_reserve(struct buf *b, size_t extra);

void buf_add(struct buf *b, const void *data, size_t len);
void buf_addc(struct buf *b, char c);
void buf_addstr(struct buf *b, const char *s);
void buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void buf_vprintf(struct buf *b, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));

/* s as a JSON string with its quotes: what must be escaped is escaped, UTF-8
 * passes as it is. */
void buf_add_json(struct buf *b, const char *s, size_t len);

/* Drops all behind len; len <= b->len. */
void buf_truncate(struct buf *b, size_t len);

/* Drops the first n bytes; n <= b->len. */
void buf_consume(struct buf *b, size_t n);

/* The contents move to the result, b is empty again. */
struct buf buf_take(struct buf *b);

/* As buf_take, as a C string for free(); never NULL. */
char *buf_take_str(struct buf *b);

bool buf_equals(const struct buf *b, const void *data, size_t len);
