#include "engine/base/err.h"

#include <stdio.h>
#include <string.h>

/* vsnprintf may have cut in the middle of a UTF-8 sequence. */
static void trim_partial(char *text)
{
    size_t len = strlen(text), i = len;

    while (i > 0 && len - i < 3 && ((unsigned char)text[i - 1] & 0xc0) == 0x80)
        i--;
    if (i == 0)
        return;
    unsigned char lead = (unsigned char)text[i - 1];
    size_t want = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
    if (want > len - i + 1)
        text[i - 1] = '\0';
}

int err_set(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    trim_partial(e->text);
    return code;
}

int err_wrap(struct err *e, int code, const char *fmt, ...)
{
    va_list ap;

    if (!e)
        return code;

    struct err old = *e;
    const char *inner = err_text(&old, code);

    va_start(ap, fmt);
    int n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof(e->text))
        snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", inner);
    trim_partial(e->text);
    return code;
}

const char *err_text(const struct err *e, int code)
{
    if (e && e->text[0])
        return e->text;
    return strerror(code < 0 ? -code : code);
}
