/* The lines of a batch file, behind a digest that is right. */
#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/batch.h"
#include "engine/json.h"
#include "engine/message_text.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct records head = {.batch_len = size}, found;
    struct err err = ERR_INIT;
    char digested[64];

    for (size_t i = 0; i < size; i++)
        head.batch_count += text[i] == '\n';
    int n = snprintf(digested, sizeof(digested), "batch %u len %zu\n",
                     head.batch_count, size);
    struct sha256 d = sha256_of_two(digested, (size_t)n, data, size);
    memcpy(head.batch_sha, d.byte, sizeof(head.batch_sha));

    if (batch_parse(&head, 1300, text, size, &found, &err) != 0) {
        REQUIRE(err.text[0]);
        return 0;
    }
    REQUIRE(found.n == head.batch_count);
    struct message_builder b = {0};
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    for (size_t i = 0; i < found.n; i++) {
        const struct record *r = &found.list[i];
        REQUIRE(r->key_len > 0 && utf8_valid(r->key, r->key_len));
        REQUIRE((r->text == NULL) == (r->verb == RECORD_DELETE));
        REQUIRE(!r->text || json_check(r->text, r->text_len, NULL) == 0);
        message_add(&b, r);
    }
    if (found.n > 0)
        REQUIRE(message_finish(&b, size * 8 + 4096, &draft, &storage, &err) ==
                0);
    message_builder_release(&b);
    remote_draft_release(&draft);
    buf_release(&storage);
    records_release(&found);
    return 0;
}
