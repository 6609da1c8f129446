/* A snapshot's message, its file packed or not, and the lines in it: by the
 * first byte. */
#include <string.h>

#include "engine/base/str.h"
#include "engine/json.h"
#include "engine/snapshot_text.h"
#include "tests/fuzz/fuzz.h"

static void try_head(const char *text, size_t size)
{
    struct remote_file f = {.id = 5, .size = 5};
    char name[] = "users.ndjson.gz";
    char *content = malloc(size + 1);
    struct snapshot_head h;
    struct err err = ERR_INIT;

    memcpy(content, text, size);
    content[size] = '\0';
    f.name = name;
    struct remote_message m = {
        .id = 1500,
        .content = content,
        .content_len = size,
        .files = &f,
        .n_files = 1,
    };
    if (snapshot_parse(&m, &h, &err) == 0) {
        struct remote_draft d = {0};
        struct snapshot_head again;
        struct buf file_name = BUF_INIT;
        REQUIRE(!h.label || utf8_valid(h.label, h.label_len));
        buf_add(&file_name, h.file_name, h.file_name_len);
        buf_addstr(&file_name, "");
        h.file_name = file_name.data ? file_name.data : "";
        if (snapshot_build(&h, "12345", 5, &d)) {
            m.content = d.content.data;
            m.content_len = d.content.len;
            REQUIRE(snapshot_parse(&m, &again, &err) == 0);
            REQUIRE(snapshot_check_file(&again, 1500, "12345", 5, &err) == 0);
            REQUIRE(again.cut == h.cut && again.part == h.part);
            snapshot_head_release(&again);
        }
        remote_draft_release(&d);
        buf_release(&file_name);
        snapshot_head_release(&h);
    } else {
        REQUIRE(err.text[0]);
    }
    free(content);
}

static int try_line(void *arg, const char *line, size_t len, struct err *err)
{
    struct buf arena = BUF_INIT, b = BUF_INIT;
    struct snapshot_line l;
    struct snapshot_meta meta;
    const char *why;
    size_t at;

    (void)arg;
    if (snapshot_read_line(line, len, &arena, &l, &why, &at)) {
        REQUIRE(l.rec.key_len > 0 && utf8_valid(l.rec.key, l.rec.key_len));
        REQUIRE(!l.rec.text ||
                json_check(l.rec.text, l.rec.text_len, NULL) == 0);
        REQUIRE(l.rec.verb == RECORD_DELETE || l.rec.text || l.rec.file);
        snapshot_add_line(&b, &l);
        struct snapshot_line again;
        struct buf other = BUF_INIT;
        REQUIRE(
            snapshot_read_line(b.data, b.len - 1, &other, &again, &why, &at));
        REQUIRE(again.rec.id == l.rec.id && again.home == l.home);
        buf_release(&other);
    } else {
        REQUIRE(why && at <= len);
    }
    buf_reset(&b);
    if (snapshot_read_meta(line, len, &meta, err) == 0) {
        snapshot_add_meta(&b, &meta);
        snapshot_meta_release(&meta);
        REQUIRE(snapshot_read_meta(b.data, b.len - 1, &meta, err) == 0);
        snapshot_meta_release(&meta);
    }
    buf_release(&b);
    buf_release(&arena);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    struct err err = ERR_INIT;

    if (size == 0)
        return 0;
    if (text[0] == '-') {
        try_head(text, size);
    } else if (text[0] == '{') {
        try_line(NULL, text, size, &err);
    } else {
        struct snapshot_unpacker *u = snapshot_unpacker_new(try_line, NULL);
        int r = snapshot_unpack(u, text, size, &err);
        if (r == 0)
            r = snapshot_unpack_end(u, &err);
        REQUIRE(r == 0 || err.text[0]);
        snapshot_unpacker_free(u);
    }
    return 0;
}
