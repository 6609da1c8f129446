/* A schema, a key and a row, with a NUL between: what a schema accepts it
 * accepts again, unchanged. */
#include <string.h>

#include "engine/json.h"
#include "engine/schema.h"
#include "tests/fuzz/fuzz.h"

static void check_row(const struct schema *s, const char *key, size_t key_len,
                      const char *text, size_t len)
{
    AUTO_BUF struct buf stored = BUF_INIT;
    AUTO_BUF struct buf again = BUF_INIT;
    AUTO_BUF struct buf found = BUF_INIT;
    AUTO_BUF struct buf moved = BUF_INIT;
    struct err err = ERR_INIT;

    if (schema_check(s, key, key_len, text, len, &stored, &found, &err) != 0) {
        REQUIRE(err.text[0] && stored.len == 0 && found.len == 0);
        return;
    }
    REQUIRE(json_check(stored.data, stored.len, NULL) == 0);
    buf_reset(&found);
    REQUIRE(schema_check(s, NULL, 0, stored.data, stored.len, &again, &found,
                         &err) == 0);
    REQUIRE(buf_equals(&again, stored.data, stored.len));
    REQUIRE(!key || buf_equals(&found, key, key_len));
    if (schema_rekey(s, "7", 1, stored.data, stored.len, &moved, NULL) == 0) {
        buf_reset(&again);
        REQUIRE(schema_check(s, "7", 1, moved.data, moved.len, &again, NULL,
                             &err) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    const char *end = size ? memchr(text, '\0', size) : NULL;
    struct schema *s;
    struct err err = ERR_INIT;

    if (schema_parse(text, end ? (size_t)(end - text) : size, &s, &err) != 0) {
        REQUIRE(err.text[0]);
        return 0;
    }
    if (end) {
        const char *key = end + 1;
        size_t left = size - (size_t)(key - text);
        const char *row = memchr(key, '\0', left);
        if (row) {
            size_t key_len = (size_t)(row - key);
            row++;
            check_row(s, key, key_len, row, left - key_len - 1);
            check_row(s, NULL, 0, row, left - key_len - 1);
        }
    }
    for (size_t i = 0; i < schema_index_count(s); i++) {
        bool unique;
        REQUIRE(schema_index_at(s, i, &unique));
    }
    schema_unref(s);
    return 0;
}
