/* What a person is shown: each line of the input is a row of an answer.
 * Whatever is in it, a page fits into a message, and no row gets out of its
 * block. */
#include <stdbool.h>
#include <string.h>

#include "bot/show.h"
#include "engine/base/str.h"
#include "engine/json.h"
#include "tests/fuzz/fuzz.h"

static size_t fences(const char *text)
{
    size_t n = 0;

    while ((text = strstr(text, "```"))) {
        n++;
        text += 3;
    }
    return n;
}

static void check_page(const char *page)
{
    size_t len = strlen(page), n = fences(page);

    REQUIRE(len > 0 && utf16_units(page, len) <= SHOW_CONTENT_MAX);
    REQUIRE(utf8_valid(page, len));
    REQUIRE(n == 0 || n == 2);
    for (size_t i = 0; i < len; i++)
        REQUIRE((unsigned char)page[i] >= 0x20 || page[i] == '\n' ||
                page[i] == '\t');
}

static void show_rows(const char *text, size_t size, bool many, bool columns)
{
    struct show show = {.many = many, .columns = columns, .max = 1 << 20};
    struct shown shown;
    struct err err = ERR_INIT;

    while (size > 0 && (many || show.n == 0)) {
        const char *end = memchr(text, '\n', size);
        size_t len = end ? (size_t)(end - text) : size;
        if (json_check(text, len, NULL) == 0)
            REQUIRE(show_add(&show, text, len, &err) == 0);
        len += end ? 1 : 0;
        text += len;
        size -= len;
    }
    show_finish(&show, "find", &shown);
    REQUIRE(shown.n > 0 && (!shown.as_file || shown.n == 1));
    for (size_t i = 0; i < shown.n; i++)
        check_page(shown.pages[i]);
    shown_release(&shown);
    show_release(&show);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    AUTO_BUF struct buf block = BUF_INIT;

    show_rows(text, size, true, false);
    show_rows(text, size, true, true);
    show_rows(text, size, false, false);
    show_block(&block, "", text, size, SHOW_CONTENT_MAX / 2);
    REQUIRE(fences(block.data) == 2);
    REQUIRE(utf16_units(block.data, block.len) <= SHOW_CONTENT_MAX / 2 + 20);
    return 0;
}
