/* The scanner agrees with itself however a text is cut; what it accepts can be
 * walked, and changed to something it accepts. */
#include <string.h>

#include "engine/json.h"
#include "engine/token.h"
#include "tests/fuzz/fuzz.h"

static void check_span(const char *text, size_t len, const char *s, size_t n)
{
    REQUIRE(s >= text && n <= len && (size_t)(s - text) <= len - n);
}

static void walk(const char *text, size_t len)
{
    struct json_member m;
    AUTO_BUF struct buf b = BUF_INIT;

    for (size_t at = 0; text[0] == '[' ? json_element(text, len, &at, &m)
                                       : json_next(text, len, &at, &m);) {
        check_span(text, len, m.value, m.value_len);
        REQUIRE(m.value_len > 0);
        if (m.name)
            json_unescape(m.name, m.name_len, &b);
        switch (m.type) {
        case JSON_STRING:
            REQUIRE(m.value_len >= 2 && m.value[m.value_len - 1] == '"');
            json_unescape(m.value, m.value_len, &b);
            break;
        case JSON_NUMBER:
            json_number_canonical(m.value, m.value_len, &b);
            REQUIRE(json_number_compare(m.value, m.value_len, m.value,
                                        m.value_len) == 0);
            break;
        case JSON_OBJECT:
        case JSON_ARRAY:
            walk(m.value, m.value_len);
            break;
        case JSON_BOOL:
        case JSON_NULL:
            break;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct json_scan whole, parts;

    json_scan_init(&whole);
    json_scan_feed(&whole, text, size);
    size_t cut = size ? data[size / 2] % (size + 1) : 0;
    json_scan_init(&parts);
    json_scan_feed(&parts, text, cut);
    json_scan_feed(&parts, text + cut, size - cut);
    REQUIRE(parts.state == whole.state && parts.offset == whole.offset);
    REQUIRE(parts.line == whole.line && parts.column == whole.column);
    REQUIRE((json_check(text, size, NULL) == 0) == (whole.state == JSON_DONE));
    if (whole.state != JSON_DONE) {
        /* What was not accepted must still not be read beyond. */
        struct json_member m;
        for (size_t at = 0; json_next(text, size, &at, &m);)
            check_span(text, size, m.value, m.value_len);
        return 0;
    }

    const char *start = memchr(text, '{', size);
    walk(start, size - (size_t)(start - text));
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf words = BUF_INIT;
    struct json_member m;
    json_with_member(text, size, "id", "\"x\"", 3, &b);
    REQUIRE(json_check(b.data, b.len, NULL) == 0);
    REQUIRE(json_find(b.data, b.len, "id", &m) && m.value_len == 3);
    size_t room = size % 64;
    tokens_of_row("k", 1, text, size, room, &words);
    REQUIRE(words.len <= room);
    return 0;
}
