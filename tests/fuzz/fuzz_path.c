/* A key and its name are one to one: every key has a name that fits and is
 * read back, every name that is read is the one its key has. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "fs/path.h"
#include "tests/fuzz/fuzz.h"

static void as_key(const char *key, size_t len)
{
    AUTO_BUF struct buf name = BUF_INIT;
    struct path p;

    path_of_key(key, len, &name);
    REQUIRE(name.len <= PATH_NAME_MAX);
    REQUIRE(!memchr(name.data, '/', name.len));
    REQUIRE(strlen(name.data) == name.len && name.data[0] != '.');
    REQUIRE(path_parse(name.data, &p) == 0);
    REQUIRE(p.kind == (path_is_shortened(key, len) ? PATH_SHORT : PATH_ROW));
    if (p.kind == PATH_ROW)
        REQUIRE(buf_equals(&p.text, key, len));
    buf_release(&p.text);
}

static void as_name(const char *name)
{
    AUTO_BUF struct buf own = BUF_INIT;
    struct path p;

    int r = path_parse(name, &p);
    REQUIRE(r == 0 || r == -EINVAL || r == -EILSEQ);
    if (r == 0 && p.kind == PATH_ROW && strlen(name) <= PATH_NAME_MAX) {
        path_of_key(p.text.data, p.text.len, &own);
        REQUIRE(strcmp(own.data, name) == 0);
    }
    if (r == 0 && p.kind == PATH_VERSION)
        REQUIRE(p.version > 0 && p.text.len > 0);
    buf_release(&p.text);

    buf_reset(&own);
    if (path_dir_name(name, &own) == 0 && strlen(name) <= PATH_NAME_MAX) {
        AUTO_BUF struct buf again = BUF_INIT;
        path_of_dir(own.data, &again);
        REQUIRE(strcmp(again.data, name) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    AUTO_STR char *name = xmalloc(size + 1);

    if (size > 0)
        memcpy(name, text, size);
    name[size] = '\0';
    as_name(name);
    if (size > 0 && utf8_valid(text, size))
        as_key(text, size);
    return 0;
}
