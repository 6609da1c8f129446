/* multipart/form-data, RFC 7578. Pure. Parts point into the body. */
#pragma once

#include <stddef.h>

#include "tests/emulator/http.h"

/* The boundary of a Content-Type; free() it. NULL: there is none. */
char *multipart_boundary(const char *content_type);

/* 0, or -1 where the body is not what it says to be. The list is for
 * multipart_free(). */
int multipart_parse(const char *body, size_t len, const char *boundary,
                    struct http_part **out, size_t *count);
void multipart_free(struct http_part *parts, size_t count);
