/* A multipart body as it comes from any client: a line with the Content-Type,
 * then the body. Parts lie inside the body and have names. */
#include <string.h>

#include "engine/base/alloc.h"
#include "tests/emulator/multipart.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *eol = size ? memchr(text, '\n', size) : NULL;

    if (!eol)
        return 0;
    AUTO_STR char *type = xstrndup(text, (size_t)(eol - text));
    AUTO_STR char *boundary = multipart_boundary(type);
    if (!boundary)
        return 0;

    const char *body = eol + 1;
    size_t len = size - (size_t)(body - text), n;
    struct http_part *parts;
    if (multipart_parse(body, len, boundary, &parts, &n) < 0)
        return 0;
    for (size_t i = 0; i < n; i++) {
        REQUIRE(parts[i].name);
        REQUIRE(parts[i].data >= body && parts[i].len <= len &&
                parts[i].data + parts[i].len <= body + len);
    }
    multipart_free(parts, n);
    return 0;
}
