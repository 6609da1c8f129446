/* What went wrong, for the person who reads it. The number beside it (a
 * negative errno) is for code that decides; each layer adds what only it
 * knows. The engine returns errors, the edges log them, once. */
#pragma once

#include <stdarg.h>

/* Text is cut at the end of the array, on a character's border. */
struct err {
    char text[600];
};

#define ERR_INIT ((struct err){{0}})

/* Writes the message and returns code, so that `return err_set(…)` works.
 * e may be NULL where nobody will read it. */
int err_set(struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<fmt>: " before what e says already. */
int err_wrap(struct err *e, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The message, or strerror(-code) where nothing was said. */
const char *err_text(const struct err *e, int code);
