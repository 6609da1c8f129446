/* The line of a snapshot, the lines of its file, and its packing. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/snapshot_text.h"

static struct remote_message message_of(struct remote_draft *d,
                                        struct remote_file *f)
{
    *f = (struct remote_file){.id = 77, .size = d->files[0].len};
    f->name = xstrdup(d->files[0].name);
    return (struct remote_message){
        .id = 1500,
        .content = d->content.data,
        .content_len = d->content.len,
        .files = f,
        .n_files = 1,
    };
}

static void line_of_a_message_comes_back(void **state)
{
    static const char label[] = "vor \xe2\x80\x8b\"Umbau\"";
    struct snapshot_head h = {
        .label = label,
        .label_len = sizeof(label) - 1,
        .rows = 3,
        .bytes = 96,
        .cut = 1401,
        .upto = {1300, 1302},
        .settled = 1400,
        .over = 1200,
        .at_ms = 1795391494123,
        .by = "ada@host",
        .by_len = 8,
        .parts = {11, 12},
        .n_parts = 2,
        .file_name = "users.ndjson.gz",
        .file_name_len = 15,
    };
    struct remote_draft d = {0};
    struct remote_file f;
    struct snapshot_head back;
    struct err err = ERR_INIT;

    (void)state;
    assert_true(snapshot_build(&h, "bytes", 5, &d));
    struct remote_message m = message_of(&d, &f);
    assert_true(snapshot_is(&m));
    assert_int_equal(snapshot_parse(&m, &back, &err), 0);
    assert_int_equal(back.label_len, h.label_len);
    assert_memory_equal(back.label, label, h.label_len);
    assert_int_equal(back.rows, 3);
    assert_int_equal(back.bytes, 96);
    assert_int_equal(back.cut, 1401);
    assert_int_equal(back.upto[0], 1300);
    assert_int_equal(back.upto[1], 1302);
    assert_int_equal(back.settled, 1400);
    assert_int_equal(back.over, 1200);
    assert_int_equal(back.n_parts, 2);
    assert_int_equal(back.parts[1], 12);
    assert_int_equal(back.at_ms, h.at_ms);
    assert_int_equal(back.file, 77);
    assert_int_equal(snapshot_check_file(&back, m.id, "bytes", 5, &err), 0);
    assert_int_equal(snapshot_check_file(&back, m.id, "bytez", 5, &err),
                     -EBADMSG);
    assert_non_null(strstr(err.text, "message 1500"));
    snapshot_head_release(&back);

    /* The digest is over the line too: another mark is another snapshot. */
    char *cut = strstr(d.content.data, "cut 1401");
    cut[7] = '2';
    assert_int_equal(snapshot_parse(&m, &back, &err), 0);
    assert_int_equal(snapshot_check_file(&back, m.id, "bytes", 5, &err),
                     -EBADMSG);
    snapshot_head_release(&back);
    cut[4] = 'x';
    assert_int_equal(snapshot_parse(&m, &back, &err), -EBADMSG);
    free(f.name);
    remote_draft_release(&d);
}

static void part_comes_back(void **state)
{
    struct snapshot_head h = {
        .part = 3, .file_name = "users.ndjson.gz", .file_name_len = 15};
    struct remote_draft d = {0};
    struct remote_file f;
    struct snapshot_head back;
    struct err err = ERR_INIT;

    (void)state;
    assert_true(snapshot_build(&h, "bytes", 5, &d));
    struct remote_message m = message_of(&d, &f);
    assert_int_equal(snapshot_parse(&m, &back, &err), 0);
    assert_int_equal(back.part, 3);
    assert_int_equal(snapshot_check_file(&back, m.id, "bytes", 5, &err), 0);
    snapshot_head_release(&back);
    free(f.name);
    remote_draft_release(&d);
}

static void too_many_words_do_not_fit(void **state)
{
    char label[2000];
    struct snapshot_head h = {
        .label = label,
        .label_len = sizeof(label),
        .by = "",
        .file_name = "t.ndjson.gz",
        .file_name_len = 11,
    };
    struct remote_draft d = {0};

    (void)state;
    memset(label, 'a', sizeof(label));
    assert_false(snapshot_build(&h, "", 0, &d));
    remote_draft_release(&d);
}

static void round_trip(const struct snapshot_line *l)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf again = BUF_INIT;
    AUTO_BUF struct buf arena = BUF_INIT;
    struct snapshot_line back;
    const char *why;
    size_t at;

    snapshot_add_line(&b, l);
    assert_int_equal(b.data[b.len - 1], '\n');
    assert_true(
        snapshot_read_line(b.data, b.len - 1, &arena, &back, &why, &at));
    assert_int_equal(back.rec.verb, l->rec.verb);
    assert_int_equal(back.rec.version, l->rec.version);
    assert_int_equal(back.rec.id, l->rec.id);
    assert_int_equal(back.rec.base, l->rec.base);
    assert_int_equal(back.rec.holder, l->rec.holder);
    assert_int_equal(back.rec.mtime_ms, l->rec.mtime_ms);
    assert_int_equal(back.home, l->home);
    assert_int_equal(back.shows, l->shows);
    assert_int_equal(back.again, l->again);
    assert_int_equal(back.rec.key_len, l->rec.key_len);
    assert_memory_equal(back.rec.key, l->rec.key, l->rec.key_len);
    assert_int_equal(back.rec.text_len, l->rec.text_len);
    if (l->rec.text)
        assert_memory_equal(back.rec.text, l->rec.text, l->rec.text_len);
    else
        assert_null(back.rec.text);
    assert_int_equal(back.rec.file, l->rec.file);
    snapshot_add_line(&again, &back);
    assert_true(buf_equals(&again, b.data, b.len));
    /* Nothing that is cut short is taken for a line. */
    for (size_t n = 0; n < b.len - 1; n++)
        assert_false(snapshot_read_line(b.data, n, &arena, &back, &why, &at));
}

static void rows_come_back(void **state)
{
    struct snapshot_line l = {
        .rec = {.verb = RECORD_PUT,
                .version = 2,
                .id = 1401,
                .holder = 1401,
                .base = 1300,
                .at_ms = 1795391494123,
                .mtime_ms = 1795391494123,
                .key = "u_\"1\n",
                .key_len = 5,
                .by = "ada@host",
                .by_len = 8,
                .text = "{\"id\":\"u_1\"}",
                .text_len = 12},
        .home = 1300,
        .shows = 1401,
    };

    (void)state;
    round_trip(&l);
    l.shows = 1300;
    l.again = true;
    l.rec.mtime_ms = -5;
    l.rec.holder = 1300;
    round_trip(&l);
    l.rec.text = "{\n\"id\":\"u_1\"}";
    l.rec.text_len = 13;
    round_trip(&l);

    l.rec.text = NULL;
    l.rec.file = 99;
    l.rec.file_name = "u-1.json";
    l.rec.file_name_len = 8;
    l.place = SNAPSHOT_IN_THREAD;
    memset(l.rec.sha, 0xa5, 16);
    round_trip(&l);
    l.values = "{\"email\":\"str:a}b\\\"\"}";
    l.values_len = strlen(l.values);
    round_trip(&l);
    l.rec.verb = RECORD_WAS;
    l.home = 0;
    l.values_len = 0;
    round_trip(&l);
}

static void tombstones_come_back(void **state)
{
    struct snapshot_line l = {
        .rec = {.verb = RECORD_DELETE,
                .version = 7,
                .id = 1401,
                .holder = 1401,
                .key = "k",
                .key_len = 1,
                .by = ""},
    };

    (void)state;
    round_trip(&l);
}

static void wrong_lines_are_refused(void **state)
{
    static const char *const lines[] = {
        "",
        "{}",
        "{\"op\":\"put\",\"key\":\"a\",\"v\":1,\"id\":\"1\",\"at\":1,\"by\":"
        "\"\","
        "\"row\":{\"a\":}}",
        "{\"op\":\"put\",\"key\":\"a\",\"v\":1,\"id\":\"0\",\"at\":1,\"by\":"
        "\"\","
        "\"row\":{}}",
        "{\"op\":\"put\",\"key\":\"a\",\"v\":1,\"id\":\"2\",\"base\":\"1\","
        "\"at\":"
        "1,\"by\":\"\",\"row\":{}}",
        "{\"op\":\"put\",\"key\":\"a\",\"v\":0,\"id\":\"2\",\"at\":1,\"by\":"
        "\"\","
        "\"row\":{}}",
        "{\"op\":\"delete\",\"key\":\"a\",\"v\":1,\"id\":\"2\",\"at\":1,\"by\":"
        "\"\"}",
        "{\"op\":\"put\",\"key\":\"\",\"v\":1,\"id\":\"2\",\"at\":1,\"by\":"
        "\"\","
        "\"row\":{}}",
        "{\"op\":\"put\",\"key\":\"\xff\",\"v\":1,\"id\":\"2\",\"at\":1,\"by\":"
        "\"\",\"row\":{}}",
    };
    AUTO_BUF struct buf arena = BUF_INIT;
    struct snapshot_line l;
    const char *why;
    size_t at;

    (void)state;
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_false(snapshot_read_line(lines[i], strlen(lines[i]), &arena, &l,
                                        &why, &at));
        assert_non_null(why);
    }
}

static void first_line_comes_back(void **state)
{
    uint64_t seen[] = {1301, 1303}, parts[] = {9};
    struct snapshot_damage damage = {1250, (char *)"message 1250 is \"lost\""};
    struct snapshot_known known = {
        .id = 1200,
        .cut = 1199,
        .rows = 5,
        .bytes = 500,
        .size = 90,
        .at_ms = 1795391494123,
        .label = (char *)"monday",
        .by = (char *)"ada@host",
        .parts = {parts, 1},
    };
    struct snapshot_meta m = {
        .cut = 1401,
        .upto = {1300, 1302},
        .over = 1200,
        .mtime_ms = 1795391494000,
        .unique = (char *)"\"email\" 1100;",
        .seen = {seen, 2},
        .damage = &damage,
        .n_damage = 1,
        .known = &known,
        .n_known = 1,
    };
    AUTO_BUF struct buf b = BUF_INIT;
    struct snapshot_meta back;
    struct err err = ERR_INIT;

    (void)state;
    snapshot_add_meta(&b, &m);
    assert_int_equal(snapshot_read_meta(b.data, b.len - 1, &back, &err), 0);
    assert_int_equal(back.cut, 1401);
    assert_int_equal(back.upto[1], 1302);
    assert_int_equal(back.over, 1200);
    assert_int_equal(back.mtime_ms, m.mtime_ms);
    assert_string_equal(back.unique, m.unique);
    assert_int_equal(back.seen.n, 2);
    assert_int_equal(back.seen.list[1], 1303);
    assert_int_equal(back.others.n, 0);
    assert_int_equal(back.n_damage, 1);
    assert_string_equal(back.damage[0].text, damage.text);
    assert_int_equal(back.n_known, 1);
    assert_string_equal(back.known[0].label, "monday");
    assert_int_equal(back.known[0].parts.list[0], 9);
    snapshot_meta_release(&back);

    static const char *const wrong[] = {
        "[]",
        "{\"op\":\"put\"}",
        "{\"op\":\"snapshot\",\"format\":2}",
        "{\"op\":\"snapshot\",\"format\":1,\"cut\":5}",
        "{\"op\":\"snapshot\",\"format\":1}",
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(
            snapshot_read_meta(wrong[i], strlen(wrong[i]), &back, &err),
            -EBADMSG);
}

/* --- packing ---------------------------------------------------------------
 */

struct files {
    struct buf list[64];
    size_t n;
    uint64_t max;
    bool last;
};

static int packed(void *arg, struct buf *file, bool last, struct err *err)
{
    struct files *f = arg;

    (void)err;
    assert_false(f->last);
    assert_true(file->len <= f->max);
    assert_true(f->n < 64);
    f->last = last;
    f->list[f->n++] = buf_take(file);
    return 0;
}

static int told(void *arg, const char *line, size_t len, struct err *err)
{
    (void)err;
    buf_add(arg, line, len);
    buf_addc(arg, '\n');
    return 0;
}

static void pack_and_unpack(uint64_t max, size_t lines, bool noise)
{
    struct files f = {.max = max};
    AUTO_BUF struct buf in = BUF_INIT;
    AUTO_BUF struct buf out = BUF_INIT;
    struct err err = ERR_INIT;
    uint64_t rng = 7;

    struct snapshot_packer *p = snapshot_packer_new(max, packed, &f);
    for (size_t i = 0; i < lines; i++) {
        struct buf line = BUF_INIT;
        buf_printf(&line, "{\"n\":%zu,\"s\":\"", i);
        for (size_t k = 0; k < 200; k++) {
            rng = rng * 6364136223846793005u + 1442695040888963407u;
            buf_addc(&line, noise ? (char)(32 + (rng >> 33) % 90) : 'x');
        }
        buf_addstr(&line, "\"}\n");
        assert_int_equal(snapshot_pack(p, line.data, line.len, &err), 0);
        buf_add(&in, line.data, line.len);
        buf_release(&line);
    }
    assert_int_equal(snapshot_pack_end(p, &err), 0);
    snapshot_packer_free(p);
    assert_true(f.last);

    struct snapshot_unpacker *u = snapshot_unpacker_new(told, &out);
    for (size_t i = 0; i < f.n; i++) {
        /* In pieces, as if they came over a wire. */
        for (size_t at = 0; at < f.list[i].len; at += 1000) {
            size_t n = f.list[i].len - at;
            assert_int_equal(snapshot_unpack(u, f.list[i].data + at,
                                             n < 1000 ? n : 1000, &err),
                             0);
        }
    }
    assert_int_equal(snapshot_unpack_end(u, &err), 0);
    snapshot_unpacker_free(u);
    assert_int_equal(in.len, out.len);
    assert_true(in.len == 0 || memcmp(in.data, out.data, in.len) == 0);

    /* What is cut off is missed, what is changed is noticed. */
    if (lines > 0) {
        struct buf *last = &f.list[f.n - 1];
        u = snapshot_unpacker_new(told, &out);
        for (size_t i = 0; i < f.n; i++)
            snapshot_unpack(u, f.list[i].data,
                            i + 1 < f.n ? f.list[i].len : last->len - 1, &err);
        assert_int_equal(snapshot_unpack_end(u, &err), -EBADMSG);
        snapshot_unpacker_free(u);
        u = snapshot_unpacker_new(told, &out);
        assert_int_equal(snapshot_unpack(u, "no gzip at all", 14, &err),
                         -EBADMSG);
        snapshot_unpacker_free(u);
    }
    for (size_t i = 0; i < f.n; i++)
        buf_release(&f.list[i]);
    if (noise && lines * 200 > max * 2)
        assert_true(f.n > 1);
}

static void files_hold_what_was_packed(void **state)
{
    (void)state;
    pack_and_unpack(10000000, 0, false);
    pack_and_unpack(10000000, 1, false);
    pack_and_unpack(10000000, 20000, false);
    pack_and_unpack(10000000, 3000, true);
}

static void large_ones_are_cut_into_files(void **state)
{
    (void)state;
    pack_and_unpack(4096, 400, true);
    pack_and_unpack(20000, 3000, true);
    pack_and_unpack(4096, 3000, false);
}

static void names_of_files_are_safe(void **state)
{
    AUTO_BUF struct buf b = BUF_INIT;

    (void)state;
    snapshot_file_name("gr\xc3\xb6\xc3\x9f"
                       "e und mehr",
                       &b);
    assert_string_equal(b.data, "gr-e-und-mehr.ndjson.gz");
    buf_reset(&b);
    snapshot_file_name("..", &b);
    assert_string_equal(b.data, "table.ndjson.gz");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_of_a_message_comes_back),
        cmocka_unit_test(part_comes_back),
        cmocka_unit_test(too_many_words_do_not_fit),
        cmocka_unit_test(rows_come_back),
        cmocka_unit_test(tombstones_come_back),
        cmocka_unit_test(wrong_lines_are_refused),
        cmocka_unit_test(first_line_comes_back),
        cmocka_unit_test(files_hold_what_was_packed),
        cmocka_unit_test(large_ones_are_cut_into_files),
        cmocka_unit_test(names_of_files_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
