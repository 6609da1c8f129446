/* The first byte chooses: a message of an index, or the lines of its file
 * behind a digest that is right. What is taken can be written again, and then
 * is the same. */
#include <string.h>

#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "engine/index_log.h"
#include "engine/index_text.h"
#include "tests/fuzz/fuzz.h"

static void require_same(const struct index_message *a,
                         const struct index_message *b)
{
    REQUIRE(a->n == b->n && a->table == b->table && a->over == b->over);
    for (size_t i = 0; i < a->n; i++) {
        const struct index_entry *x = &a->list[i], *y = &b->list[i];
        REQUIRE(x->key_len == y->key_len &&
                memcmp(x->key, y->key, x->key_len) == 0);
        REQUIRE(x->version == y->version && x->of == y->of && x->in == y->in);
        REQUIRE((x->value == NULL) == (y->value == NULL));
        REQUIRE(x->value_len == y->value_len &&
                (!x->value || memcmp(x->value, y->value, x->value_len) == 0));
    }
}

static void write_again(struct index_message *im)
{
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    struct index_message got;
    struct err err = ERR_INIT;
    size_t taken;

    REQUIRE(index_build(im, UINT64_MAX, &taken, &draft, &storage, &err) == 0);
    REQUIRE(taken == im->n);
    struct remote_file file = {.id = 7};
    struct remote_message m = {
        .id = 1300,
        .content = draft.content.data,
        .content_len = draft.content.len,
        .files = &file,
        .n_files = draft.n_files,
    };
    REQUIRE(index_parse(&m, &got, &err) == 0);
    if (got.file)
        REQUIRE(index_parse_file(&got, m.id, storage.data, storage.len, &err) ==
                0);
    require_same(im, &got);
    struct index_log *log = index_log_new();
    index_log_add(log, m.id, &got);
    for (size_t i = 0; i < got.n; i++) {
        struct index_hit hit;
        REQUIRE(index_log_get(log, got.list[i].key, got.list[i].key_len, &hit));
        REQUIRE(hit.version >= got.list[i].version);
    }
    index_log_free(log);
    index_message_release(&got);
    remote_draft_release(&draft);
    buf_release(&storage);
}

static void try_message(const char *text, size_t size)
{
    struct index_message im;
    struct err err = ERR_INIT;
    char *copy = malloc(size + 1);
    struct remote_file file = {.id = 7};
    struct remote_message m = {
        .id = 1300,
        .content = copy,
        .content_len = size,
        .files = &file,
        .n_files = 1,
    };

    REQUIRE(copy);
    memcpy(copy, text, size);
    copy[size] = '\0';
    if (index_parse(&m, &im, &err) != 0) {
        REQUIRE(err.text[0]);
    } else {
        REQUIRE(im.field_len > 0 && utf8_valid(im.field, im.field_len));
        if (!im.file)
            write_again(&im);
        index_message_release(&im);
    }
    free(copy);
}

static void try_file(const char *text, size_t size)
{
    struct index_message im = {
        .field = "f", .field_len = 1, .table = 5, .file_len = size};
    struct err err = ERR_INIT;
    char digested[64];

    for (size_t i = 0; i < size; i++)
        im.count += text[i] == '\n';
    int n = snprintf(digested, sizeof(digested), "index %zu len %zu\n",
                     im.count, size);
    struct sha256 d = sha256_of_two(digested, (size_t)n, text, size);
    memcpy(im.file_sha, d.byte, sizeof(im.file_sha));
    if (index_parse_file(&im, 1300, text, size, &err) != 0)
        REQUIRE(err.text[0] && im.n == 0);
    else
        write_again(&im);
    index_message_release(&im);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;

    if (size == 0)
        return 0;
    if (text[0] == 'f')
        try_file(text + 1, size - 1);
    else
        try_message(text + 1, size - 1);
    return 0;
}
