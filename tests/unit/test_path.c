/* Keys as file names and back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "engine/base/buf.h"
#include "engine/base/str.h"
#include "fs/path.h"

static void names_n(const char *key, size_t len, const char *name)
{
    AUTO_BUF struct buf got = BUF_INIT;
    struct path p;

    path_of_key(key, len, &got);
    assert_string_equal(got.data, name);
    assert_int_equal(path_parse(name, &p), 0);
    assert_int_equal(p.kind, PATH_ROW);
    assert_true(buf_equals(&p.text, key, len));
    buf_release(&p.text);
}

static void names(const char *key, const char *name)
{
    names_n(key, strlen(key), name);
}

static int parse(const char *name, enum path_kind *kind)
{
    struct path p;

    int r = path_parse(name, &p);
    *kind = p.kind;
    buf_release(&p.text);
    return r;
}

static void key_and_name_are_one_to_one(void **state)
{
    (void)state;
    names("u_1", "u_1.json");
    names("two words", "two words.json");
    names("ünï😀", "ünï😀.json");
    names("a/b", "a%2Fb.json");
    names("100%", "100%25.json");
    names(".hidden", "%2Ehidden.json");
    names("in.the.middle", "in.the.middle.json");
    names("tab\there\x7f", "tab%09here%7F.json");
    names("a.json", "a.json.json");
    names("~", "~.json");
    names_n("a\0b", 3, "a%00b.json");
}

static void at_before_digits_is_escaped(void **state)
{
    (void)state;
    names("tail@3", "tail%403.json");
    names("@12", "%4012.json");
    names("mail@x.org", "mail@x.org.json");
    names("end@", "end@.json");
    names("a@1b", "a@1b.json");
    names("a@1@2", "a@1%402.json");
}

static void at_and_digits_name_a_version(void **state)
{
    struct path p;
    enum path_kind kind;

    (void)state;
    assert_int_equal(path_parse("a%2Fb@12.json", &p), 0);
    assert_int_equal(p.kind, PATH_VERSION);
    assert_int_equal(p.version, 12);
    assert_string_equal(p.text.data, "a/b");
    buf_release(&p.text);
    assert_int_equal(parse("a@0.json", &kind), -EINVAL);
    assert_int_equal(parse("a@01.json", &kind), -EINVAL);
    assert_int_equal(parse("a@99999999999.json", &kind), -EINVAL);
    assert_int_equal(parse("@3.json", &kind), -EINVAL);
}

static void only_the_listed_form_is_a_name(void **state)
{
    static const char *const wrong[] = {
        "a%41.json", "a%2f.json",  "a%.json",       "a%4.json",
        "a%zz.json", "tab\t.json", "mail%40x.json",
    };
    enum path_kind kind;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
        assert_int_equal(parse(wrong[i], &kind), -EINVAL);
    assert_int_equal(parse("\xff.json", &kind), -EILSEQ);
    assert_int_equal(parse("a%FF.json", &kind), -EILSEQ);
    assert_int_equal(parse("\xff", &kind), -EILSEQ);
}

static void other_names_are_no_rows(void **state)
{
    static const char *const other[] = {
        ".ada.json", ".json",        "ada.json~", "4913",         "#ada.json#",
        "ada",       ".ada.json.Xy", "ada.JSON",  "ada.json.bak",
    };
    enum path_kind kind;

    (void)state;
    for (size_t i = 0; i < sizeof(other) / sizeof(*other); i++) {
        assert_int_equal(parse(other[i], &kind), 0);
        assert_int_equal(kind, PATH_OTHER);
    }
}

static void long_keys_are_shortened(void **state)
{
    char key[400];
    AUTO_BUF struct buf one = BUF_INIT, two = BUF_INIT;
    enum path_kind kind;

    (void)state;
    memset(key, 'k', sizeof(key));
    assert_false(path_is_shortened(key, 250));
    path_of_key(key, 250, &one);
    assert_int_equal(one.len, 255);
    assert_int_equal(parse(one.data, &kind), 0);
    assert_int_equal(kind, PATH_ROW);

    assert_true(path_is_shortened(key, 251));
    buf_reset(&one);
    path_of_key(key, 251, &one);
    path_of_key(key, 252, &two);
    assert_int_equal(one.len, 255);
    assert_string_not_equal(one.data, two.data);
    assert_int_equal(parse(one.data, &kind), 0);
    assert_int_equal(kind, PATH_SHORT);
}

/* The cut is made where a name stays text. */
static void shortened_names_are_utf8_and_whole_escapes(void **state)
{
    char key[600];

    (void)state;
    for (size_t lead = 0; lead < 6; lead++) {
        AUTO_BUF struct buf umlauts = BUF_INIT, slashes = BUF_INIT;
        memset(key, 'x', lead);
        for (size_t i = lead; i + 2 <= 500; i += 2)
            memcpy(key + i, "ä", 2);
        path_of_key(key, lead + (500 - lead) / 2 * 2, &umlauts);
        assert_true(umlauts.len <= 255);
        assert_true(utf8_valid(umlauts.data, umlauts.len));

        memset(key + lead, '/', 300);
        path_of_key(key, lead + 300, &slashes);
        assert_true(slashes.len <= 255);
        const char *mark = strstr(slashes.data, "%~");
        assert_non_null(mark);
        assert_int_equal((size_t)(mark - slashes.data - (long)lead) % 3, 0);
    }
}

static void directories_are_escaped_the_same_way(void **state)
{
    AUTO_BUF struct buf name = BUF_INIT, back = BUF_INIT;

    (void)state;
    path_of_dir("R&D/Über uns", &name);
    assert_string_equal(name.data, "R&D%2FÜber uns");
    assert_int_equal(path_dir_name(name.data, &back), 0);
    assert_string_equal(back.data, "R&D/Über uns");
    assert_int_equal(path_dir_name("a%41", &back), -EINVAL);
    assert_int_equal(path_dir_name("a%00", &back), -EINVAL);
    assert_int_equal(path_dir_name("\xc3", &back), -EILSEQ);
}

static void texts_may_hold_a_nul(void **state)
{
    AUTO_BUF struct buf name = BUF_INIT, back = BUF_INIT, term = BUF_INIT;

    (void)state;
    path_of_text(".a\0@12", 6, &name);
    assert_string_equal(name.data, "%2Ea%00%4012");
    assert_int_equal(path_text(name.data, &back), 0);
    assert_true(buf_equals(&back, ".a\0@12", 6));
    assert_int_equal(path_text("a%41", &back), -EINVAL);
    assert_int_equal(path_text("\xc3", &back), -EILSEQ);

    /* What people type need not be the one form. */
    assert_int_equal(path_decode("a=x@12%2F%41", &term), 0);
    assert_string_equal(term.data, "a=x@12/A");
    assert_int_equal(path_decode("50%", &term), -EINVAL);
    assert_int_equal(path_decode("%zz", &term), -EINVAL);
    assert_int_equal(path_decode("%C3", &term), -EILSEQ);
    assert_string_equal(term.data, "a=x@12/A");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_and_name_are_one_to_one),
        cmocka_unit_test(at_before_digits_is_escaped),
        cmocka_unit_test(at_and_digits_name_a_version),
        cmocka_unit_test(only_the_listed_form_is_a_name),
        cmocka_unit_test(other_names_are_no_rows),
        cmocka_unit_test(long_keys_are_shortened),
        cmocka_unit_test(shortened_names_are_utf8_and_whole_escapes),
        cmocka_unit_test(directories_are_escaped_the_same_way),
        cmocka_unit_test(texts_may_hold_a_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
