/* engine/query: what a query means, what is refused and in which words; and
 * random queries over random rows against a second writing of the language
 * (query_reference.c). That one prints its seed; DBCORD_TEST_SEED repeats it.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/base/alloc.h"
#include "engine/query.h"
#include "engine/value.h"
#include "tests/unit/query_reference.h"

/* --- helpers -------------------------------------------------------------- */

static struct schema *people;  /* typed, open */
static struct schema *closed;  /* "additional": false */
static struct schema *untyped; /* a key and nothing more */

static struct schema *schema(const char *text)
{
    struct schema *s = NULL;
    struct err err = ERR_INIT;

    if (schema_parse(text, strlen(text), &s, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return s;
}

static int set_up(void **state)
{
    (void)state;
    people = schema(
        "{\"pk\":\"id\",\"properties\":{\"id\":\"str\",\"name\":\"str\","
        "\"nick\":\"str?\",\"age\":\"int\",\"size\":\"float\",\"ok\":\"bool\","
        "\"rank\":\"int?\",\"address\":\"object\",\"tags\":\"array\","
        "\"free\":\"any\"}}");
    closed = schema("{\"pk\":\"n\",\"properties\":{\"n\":\"int\",\"in\":"
                    "\"object\",\"a.b\":\"str\"},\"additional\":false}");
    untyped = schema_new_default("id");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    schema_unref(people);
    schema_unref(closed);
    schema_unref(untyped);
    return 0;
}

static struct query *where(struct schema *s, const char *text)
{
    struct query *q = query_new(s);
    struct err err = ERR_INIT;

    if (query_add_where(q, text, strlen(text), &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return q;
}

/* Terms parted by '/'. */
static int add_path(struct query *q, const char *path, struct err *err)
{
    while (*path) {
        size_t n = strcspn(path, "/");
        int r = query_add_term(q, path, n, err);
        if (r < 0)
            return r;
        path += n + (path[n] == '/');
    }
    return 0;
}

static struct query *path(struct schema *s, const char *text)
{
    struct query *q = query_new(s);
    struct err err = ERR_INIT;

    if (add_path(q, text, &err) < 0)
        fail_msg("%s: %s", text, err.text);
    return q;
}

static bool matches(const struct query *q, const char *row)
{
    /* Of exact size, so that a sanitizer sees a read behind it. */
    size_t len = strlen(row);
    char *copy = xmalloc(len);
    memcpy(copy, row, len);
    bool is = query_matches(q, copy, len);
    free(copy);
    return is;
}

static void assert_match(const char *text, const char *row, bool want)
{
    struct query *q = where(NULL, text);

    if (json_check(row, strlen(row), NULL) < 0)
        fail_msg("not a row: %s", row);
    if (matches(q, row) != want)
        fail_msg("%s %s %s", text, want ? "should match" : "matches", row);
    query_unref(q);
}

static void assert_print(const struct query *q, const char *want)
{
    AUTO_BUF struct buf b = BUF_INIT;

    query_print(q, &b);
    assert_string_equal(b.data, want);
}

static void assert_path(struct schema *s, const char *text, const char *want)
{
    struct query *q = path(s, text);

    assert_print(q, want);
    query_unref(q);
}

static void assert_path_matches(struct schema *s, const char *text,
                                const char *row, bool want)
{
    struct query *q = path(s, text);

    if (matches(q, row) != want)
        fail_msg("%s %s %s", text, want ? "should match" : "matches", row);
    query_unref(q);
}

static void assert_where_refused(struct schema *s, const char *text,
                                 const char *why)
{
    struct query *q = query_new(s);
    struct err err = ERR_INIT;

    int r = query_add_where(q, text, strlen(text), &err);
    if (r != -EINVAL)
        fail_msg("%s: %d, should be refused", text, r);
    if (strcmp(err.text, why) != 0)
        fail_msg("%s\n  said   %s\n  wanted %s", text, err.text, why);
    query_unref(q);
}

static void assert_path_refused(struct schema *s, const char *text, int code,
                                const char *why)
{
    struct query *q = query_new(s);
    struct err err = ERR_INIT;

    int r = add_path(q, text, &err);
    if (r != code)
        fail_msg("%s: %d, wanted %d", text, r, code);
    if (strcmp(err.text, why) != 0)
        fail_msg("%s\n  said   %s\n  wanted %s", text, err.text, why);
    query_unref(q);
}

/* --- operators and types -------------------------------------------------- */

/* One value of each type, with what each operator says of it against operands
 * of each type. */
static const char *const values[] = {
    NULL, "null", "false", "true", "1", "2.5", "\"a\"", "\"b\"", "[1]", "{}",
};
#define VALUES (sizeof(values) / sizeof(values[0]))

static bool same_order_type(size_t i, size_t k)
{
    /* false true | 1 2.5 | "a" "b" */
    return i >= 2 && i < 8 && k >= 2 && k < 8 && i / 2 == k / 2;
}

static void each_operator_on_each_type(void **state)
{
    (void)state;
    for (size_t k = 1; k < VALUES; k++)       /* the operand */
        for (size_t i = 0; i < VALUES; i++) { /* the row's */
            AUTO_BUF struct buf row = BUF_INIT;
            bool order = same_order_type(i, k);
            const struct {
                const char *op;
                bool holds, ordered;
            } say[] = {
                {"$eq", i == k, false},        {"$ne", i != k, false},
                {"$gt", order && i > k, true}, {"$gte", order && i >= k, true},
                {"$lt", order && i < k, true}, {"$lte", order && i <= k, true},
            };
            buf_addstr(&row, "{\"x\":0");
            if (values[i])
                buf_printf(&row, ",\"f\":%s", values[i]);
            buf_addc(&row, '}');
            for (size_t n = 0; n < sizeof(say) / sizeof(say[0]); n++) {
                AUTO_BUF struct buf w = BUF_INIT;
                if (say[n].ordered && (k < 2 || k > 7))
                    continue;
                buf_printf(&w, "{\"f\":{\"%s\":%s}}", say[n].op, values[k]);
                assert_match(w.data, row.data, say[n].holds);
            }
            AUTO_BUF struct buf in = BUF_INIT;
            buf_printf(&in, "{\"f\":{\"$in\":[%s,\"zz\",17]}}", values[k]);
            assert_match(in.data, row.data, i == k);
            assert_match("{\"f\":{\"$exists\":true}}", row.data, i != 0);
            assert_match("{\"f\":{\"$exists\":false}}", row.data, i == 0);
            assert_match("{\"f\":{\"$prefix\":\"a\"}}", row.data, i == 6);
            assert_match("{\"f\":{\"$contains\":1}}", row.data, i == 8);
        }
}

static void equality_is_of_values_not_of_bytes(void **state)
{
    (void)state;
    static const char *const equal[][2] = {
        {"1", "1.0"},
        {"1", "1e0"},
        {"1", "10e-1"},
        {"0", "-0.0e5"},
        {"100", "1E+2"},
        {"9007199254740993", "9007199254740993.0"},
        {"123456789012345678901234567890", "123456789012345678901234567890"},
        {"\"\\u0061\"", "\"a\""},
        {"\"\\ud83d\\ude00\"", "\"\U0001f600\""},
        {"\"\\/\"", "\"/\""},
        {"\"\\u0000\"", "\"\\u0000\""},
        {"\"\\ud800\"", "\"\\uD800\""},
        {"[1, 2.0]", "[1.0,2]"},
        {"{\"a\":1,\"b\":[]}", "{ \"b\" : [ ], \"\\u0061\" : 1e0 }"},
        {"{\"f\":{\"g\":null}}", "{\"f\":{\"g\":null}}"},
    };
    static const char *const different[][2] = {
        {"9007199254740992", "9007199254740993"},
        {"9223372036854775808", "9223372036854775807"},
        {"0.1", "0.10000000000000001"},
        {"1e400", "1e401"},
        {"\"a\"", "\"A\""},
        {"\"\u00e9\"", "\"e\u0301\""},
        {"\"1\"", "1"},
        {"\"\"", "null"},
        {"false", "0"},
        {"[]", "{}"},
        {"[1,2]", "[2,1]"},
        {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
        {"\"a\\u0000\"", "\"a\""},
    };

    for (size_t i = 0; i < sizeof(equal) / sizeof(equal[0]); i++)
        for (int turn = 0; turn < 2; turn++) {
            AUTO_BUF struct buf w = BUF_INIT;
            AUTO_BUF struct buf row = BUF_INIT;
            buf_printf(&w, "{\"f\":{\"$eq\":%s,\"$in\":[%s,3]}}",
                       equal[i][turn], equal[i][turn]);
            buf_printf(&row, "{\"f\":%s}", equal[i][!turn]);
            assert_match(w.data, row.data, true);
            buf_reset(&w);
            buf_printf(&w, "{\"f\":{\"$ne\":%s}}", equal[i][turn]);
            assert_match(w.data, row.data, false);
        }
    for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++)
        for (int turn = 0; turn < 2; turn++) {
            AUTO_BUF struct buf w = BUF_INIT;
            AUTO_BUF struct buf row = BUF_INIT;
            buf_printf(&w, "{\"f\":{\"$eq\":%s}}", different[i][turn]);
            buf_printf(&row, "{\"f\":%s}", different[i][!turn]);
            assert_match(w.data, row.data, false);
        }
}

static void numbers_are_ordered_by_exact_value(void **state)
{
    (void)state;
    static const char *const up[] = {
        "-1e400",
        "-9223372036854775809",
        "-9223372036854775808",
        "-10",
        "-9.99",
        "-1",
        "-0.5",
        "-1e-400",
        "0",
        "1e-400",
        "0.1",
        "0.10000000000000001",
        "1",
        "2",
        "10",
        "99",
        "9007199254740992",
        "9007199254740993",
        "999999999999999999",
        "1000000000000000000",
        "9223372036854775807",
        "9223372036854775808",
        "1e400",
    };
    size_t n = sizeof(up) / sizeof(up[0]);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            AUTO_BUF struct buf row = BUF_INIT;
            AUTO_BUF struct buf w = BUF_INIT;
            buf_printf(&row, "{\"f\":%s}", up[i]);
            buf_printf(&w, "{\"f\":{\"$gt\":%s}}", up[k]);
            assert_match(w.data, row.data, i > k);
            buf_reset(&w);
            buf_printf(&w, "{\"f\":{\"$lte\":%s}}", up[k]);
            assert_match(w.data, row.data, i <= k);
        }
}

static void strings_are_ordered_by_bytes(void **state)
{
    (void)state;
    static const char *const up[] = {
        "\"\"",  "\"\\u0000\"",  "\"\\n\"",    "\"A\"",
        "\"a\"", "\"a\\u0000\"", "\"a\\tb\"",  "\"ab\"",
        "\"b\"", "\"\\u00e9\"",  "\"\u00ea\"", "\"\U0001f600\"",
    };
    size_t n = sizeof(up) / sizeof(up[0]);

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < n; k++) {
            AUTO_BUF struct buf row = BUF_INIT;
            AUTO_BUF struct buf w = BUF_INIT;
            buf_printf(&row, "{\"f\":%s}", up[i]);
            buf_printf(&w, "{\"f\":{\"$gte\":%s}}", up[k]);
            assert_match(w.data, row.data, i >= k);
            buf_reset(&w);
            buf_printf(&w, "{\"f\":{\"$lt\":%s}}", up[k]);
            assert_match(w.data, row.data, i < k);
        }
}

static void contains_looks_into_strings_lists_and_objects(void **state)
{
    (void)state;
    static const struct {
        const char *row, *operand;
        bool want;
    } cases[] = {
        {"\"abcabd\"", "\"abd\"", true},
        {"\"abcabd\"", "\"abe\"", false},
        {"\"abcabd\"", "\"\"", true},
        {"\"\"", "\"\"", true},
        {"\"\"", "\"a\"", false},
        {"\"aa\\u0062aab\\u0064\"", "\"aabd\"", true},
        {"\"a\\na\\nab\"", "\"a\\nab\"", true},
        {"\"a\\nb\"", "\"\\\\n\"", false},
        {"\"a\\\\nb\"", "\"\\\\n\"", true},
        {"\"x\\u00e9y\"", "\"\u00e9\"", true},
        {"\"room 12b\"", "12", true},
        {"\"it is true\"", "true", true},
        {"[1,2,3]", "2.0", true},
        {"[1,2,3]", "4", false},
        {"[\"a\",\"\\u0062\"]", "\"b\"", true},
        {"[\"abc\"]", "\"b\"", false},
        {"[\"1\"]", "1", false},
        {"[null]", "null", true},
        {"[[1,2],{\"a\":1}]", "{\"a\":1.0}", true},
        {"[[1,2],{\"a\":1}]", "[1,2]", true},
        {"[[1,2]]", "1", false},
        {"[]", "null", false},
        {"{\"a\":1}", "\"a\"", true},
        {"{\"\\u0061\":1}", "\"a\"", true},
        {"{\"b\":{\"a\":1}}", "\"a\"", false},
        {"{\"b\":\"a\"}", "\"a\"", false},
        {"12", "\"1\"", false},
        {"null", "null", false},
        {"true", "true", false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        AUTO_BUF struct buf row = BUF_INIT;
        AUTO_BUF struct buf w = BUF_INIT;
        buf_printf(&row, "{\"f\":%s}", cases[i].row);
        buf_printf(&w, "{\"f\":{\"$contains\":%s}}", cases[i].operand);
        assert_match(w.data, row.data, cases[i].want);
    }
}

static void prefix_looks_at_the_beginning(void **state)
{
    (void)state;
    assert_match("{\"f\":{\"$prefix\":\"ab\"}}", "{\"f\":\"abc\"}", true);
    assert_match("{\"f\":{\"$prefix\":\"ab\"}}", "{\"f\":\"ab\"}", true);
    assert_match("{\"f\":{\"$prefix\":\"ab\"}}", "{\"f\":\"a\"}", false);
    assert_match("{\"f\":{\"$prefix\":\"ab\"}}", "{\"f\":\"xab\"}", false);
    assert_match("{\"f\":{\"$prefix\":\"\"}}", "{\"f\":\"\"}", true);
    assert_match("{\"f\":{\"$prefix\":\"\"}}", "{\"f\":1}", false);
    assert_match("{\"f\":{\"$prefix\":\"a\\nb\"}}",
                 "{\"f\":\"\\u0061\\n\\u0062c\"}", true);
    assert_match("{\"f\":{\"$prefix\":\"\\ud83d\\ude00x\"}}",
                 "{\"f\":\"\U0001f600xyz\"}", true);
}

static void a_list_finds_each_of_its_values(void **state)
{
    (void)state;
    struct query *q =
        where(NULL, "{\"f\":{\"$in\":[3,\"b\",null,true,[1],1.50,\"a\",{\"x\":"
                    "1},false,-7,\"c\\n\",12345678901234567890]}}");
    static const char *const in[] = {
        "3.0",   "\"b\"", "null",         "true",
        "[1.0]", "15e-1", "\"a\"",        "{\"x\":1}",
        "false", "-7",    "\"c\\u000a\"", "12345678901234567890",
    };
    static const char *const out[] = {
        "2",         "\"\"", "\"d\"",
        "[]",        "[2]",  "{}",
        "{\"y\":1}", "1.51", "12345678901234567891",
    };
    AUTO_BUF struct buf row = BUF_INIT;

    for (size_t i = 0; i < sizeof(in) / sizeof(in[0]); i++) {
        buf_reset(&row);
        buf_printf(&row, "{\"f\":%s}", in[i]);
        if (!matches(q, row.data))
            fail_msg("%s is in the list", in[i]);
    }
    for (size_t i = 0; i < sizeof(out) / sizeof(out[0]); i++) {
        buf_reset(&row);
        buf_printf(&row, "{\"f\":%s}", out[i]);
        if (matches(q, row.data))
            fail_msg("%s is not in the list", out[i]);
    }
    assert_false(matches(q, "{}"));
    query_unref(q);
    assert_match("{\"f\":{\"$in\":[]}}", "{\"f\":null}", false);
}

static void terms_are_joined_by_and(void **state)
{
    (void)state;
    const char *w = "{\"role\":\"student\",\"age\":{\"$gte\":18,\"$lt\":30}}";

    assert_match(w, "{\"role\":\"student\",\"age\":18}", true);
    assert_match(w, "{\"age\":29.9,\"x\":{},\"role\":\"student\"}", true);
    assert_match(w, "{\"role\":\"student\",\"age\":30}", false);
    assert_match(w, "{\"role\":\"student\",\"age\":17}", false);
    assert_match(w, "{\"role\":\"admin\",\"age\":20}", false);
    assert_match(w, "{\"age\":20}", false);
    assert_match("{}", "{}", true);
    assert_match(" \n", "{}", true);
    assert_match("", "{\"a\":1}", true);
    assert_match("{\"a\":{\"$ne\":1,\"$ne\":2}}", "{\"a\":2}", false);
    assert_match("{\"a\":{\"$ne\":1,\"$ne\":2}}", "{\"a\":3}", true);
}

/* --- fields --------------------------------------------------------------- */

static void dotted_fields_reach_into_objects(void **state)
{
    (void)state;
    assert_match("{\"a.b\":1}", "{\"a\":{\"b\":1}}", true);
    assert_match("{\"a.b.c\":1}", "{\"a\":{\"x\":{\"c\":1},\"b\":{\"c\":1}}}",
                 true);
    assert_match("{\"a.b\":1}", "{\"b\":1}", false);
    assert_match("{\"a.b\":1}", "{\"a\":[{\"b\":1}]}", false);
    assert_match("{\"a.b\":1}", "{\"a\":1}", false);
    assert_match("{\"a.b\":{\"$exists\":false}}", "{\"a\":{}}", true);
    /* A member of that very name wins, wherever it stands. */
    assert_match("{\"a.b\":1}", "{\"a\":{\"b\":1},\"a.b\":2}", false);
    assert_match("{\"a.b\":2}", "{\"a\":{\"b\":1},\"a.b\":2}", true);
    assert_match("{\"a.b\":2}", "{\"a.b\":2,\"a\":{\"b\":1}}", true);
    assert_match("{\"a.b.c\":1}", "{\"a\":{\"b.c\":1,\"b\":{\"c\":2}}}", true);
    /* The longest name first; where it leads nowhere, the next. */
    assert_match("{\"a.b.c\":1}", "{\"a\":{\"b\":{\"c\":2}},\"a.b\":{\"c\":1}}",
                 true);
    assert_match("{\"a.b.c\":2}", "{\"a\":{\"b\":{\"c\":2}},\"a.b\":{\"x\":1}}",
                 true);
    assert_match("{\"a.b.c\":1}", "{\"a.b\":{\"c\":1},\"a\":{\"b\":{\"c\":2}}}",
                 true);
    assert_match("{\"a.b.c\":2}", "{\"a.b\":7,\"a\":{\"b\":{\"c\":2}}}", true);
    /* Of two with one name the first. */
    assert_match("{\"a\":1}", "{\"a\":1,\"a\":2}", true);
    assert_match("{\"a.b\":1}", "{\"a\":{\"b\":1},\"a\":{\"b\":2}}", true);
    /* Odd names. */
    assert_match("{\"a.\":1}", "{\"a\":{\"\":1}}", true);
    assert_match("{\".a\":1}", "{\"\":{\"a\":1}}", true);
    assert_match("{\"\\u00e9.x\":1}", "{\"\\u00E9\":{\"\\u0078\":1}}", true);
    assert_match("{\"a.b\":1}", "{\"\\u0061\\u002eb\":1}", true);
    assert_match("{\"a.b\":1}", "{\"\\u0061\":{\"\\u0062\":1}}", true);
    assert_match("{\"a\\\\nb\":1}", "{\"a\\nb\":1}", false);
    assert_match("{\"a\\\\nb\":1}", "{\"a\\\\nb\":1}", true);
}

static void quotes_spell_a_field_exactly(void **state)
{
    (void)state;
    assert_match("{\"\\\"a.b\\\"\":1}", "{\"a.b\":1}", true);
    assert_match("{\"\\\"a.b\\\"\":1}", "{\"a\":{\"b\":1}}", false);
    assert_match("{\"\\\"a\\\".b\":1}", "{\"a\":{\"b\":1},\"a.b\":2}", true);
    assert_match("{\"\\\"a.b\\\".c\":1}", "{\"a.b\":{\"c\":1}}", true);
    assert_match("{\"\\\"a.b\\\".c\":1}", "{\"a\":{\"b\":{\"c\":1}}}", false);
    assert_match("{\"\\\"$or\\\"\":1}", "{\"$or\":1}", true);
    assert_match("{\"\\\"\\\"\":1}", "{\"\":1}", true);
    assert_match("{\"\\\"a\\\\u0000\\\"\":1}", "{\"a\\u0000\":1}", true);
    assert_match("{\"_sort\":1}", "{\"_sort\":1}", true);
    assert_path_matches(NULL, "\"_sort\"=1", "{\"_sort\":1}", true);
    assert_path_matches(NULL, "\"a=b\"=1", "{\"a=b\":1}", true);
    assert_path_matches(NULL, "\"$x\"=1", "{\"$x\":1}", true);
    assert_path_matches(NULL, "\"a\".\"b=c\"=gte.1", "{\"a\":{\"b=c\":1}}",
                        true);
    assert_path_matches(NULL, "a.b=1", "{\"a\":{\"b\":1}}", true);
    assert_path(NULL, "\"a,b\"=1/_sort=-\"a,b\",\"-c\"/_fields=\"a,b\",x",
                "{\"where\":{\"\\\"a,b\\\"\":1},\"sort\":"
                "\"-\\\"a,b\\\",\\\"-c\\\"\",\"fields\":\"\\\"a,b\\\",x\"}");
    assert_path(NULL, "\"plain\"=1/\"a.b\"=2",
                "{\"where\":{\"plain\":1,\"\\\"a.b\\\"\":2}}");
}

static void an_index_name_is_there_where_one_can_answer(void **state)
{
    struct query *q =
        where(NULL, "{\"a\":1,\"a.b\":{\"$in\":[1]},\"\\\"c.d\\\"\":1,"
                    "\"\\\"a\\\".\\\"b\\\"\":1,\"x\":{\"$gt\":1}}");
    const struct query_term *t;
    (void)state;

    assert_int_equal(query_term_count(q), 5);
    t = query_term_at(q, 0);
    assert_string_equal(t->field, "a");
    assert_true(query_is_equality(t));
    assert_string_equal(t->values[0].canonical, "num:1e0");
    assert_int_equal(t->values[0].canonical_len, 7);
    assert_string_equal(query_term_at(q, 1)->field, "a.b");
    assert_string_equal(query_term_at(q, 2)->field, "c.d");
    assert_string_equal(query_term_at(q, 2)->spelled, "\"c.d\"");
    assert_null(query_term_at(q, 3)->field);
    assert_string_equal(query_term_at(q, 3)->spelled, "\"a\".\"b\"");
    assert_false(query_is_equality(query_term_at(q, 4)));
    query_unref(q);
}

/* --- path terms ----------------------------------------------------------- */

static void path_values_are_read_by_type(void **state)
{
    (void)state;
    assert_path(people, "name=12/age=12/size=1e3/ok=true/free=12",
                "{\"where\":{\"name\":\"12\",\"age\":12,\"size\":1e3,"
                "\"ok\":true,\"free\":12}}");
    assert_path(people, "name=null/nick=null/rank=null/free=null",
                "{\"where\":{\"name\":\"null\",\"nick\":null,\"rank\":null,"
                "\"free\":null}}");
    assert_path(people,
                "free=true/free=ne.text/free=ne.{\"a\":1}/free=ne.\"q\"",
                "{\"where\":{\"free\":{\"$eq\":true,\"$ne\":\"text\","
                "\"$ne\":\"{\\\"a\\\":1}\",\"$ne\":\"\\\"q\\\"\"}}}");
    assert_path(people, "free=-0.5e1/free=ne.01/free=ne.1 /free=ne.+1",
                "{\"where\":{\"free\":{\"$eq\":-0.5e1,\"$ne\":\"01\","
                "\"$ne\":\"1 \",\"$ne\":\"+1\"}}}");
    assert_path(people, "tags=[1, \"a b\"]/address={\"zip\":\"1 2\"}",
                "{\"where\":{\"tags\":[1,\"a b\"],"
                "\"address\":{\"$eq\":{\"zip\":\"1 2\"}}}}");
    assert_path(people, "tags=contains.red/tags=contains.3",
                "{\"where\":{\"tags\":{\"$contains\":\"red\","
                "\"$contains\":3}}}");
    assert_path(people, "address=contains.3/name=contains.3/name=prefix.3",
                "{\"where\":{\"address\":{\"$contains\":\"3\"},\"name\":"
                "{\"$contains\":\"3\",\"$prefix\":\"3\"}}}");
    assert_path(people, "free=prefix.19/free=contains.19",
                "{\"where\":{\"free\":{\"$prefix\":\"19\",\"$contains\":19}}}");
    assert_path(people, "age=in.1,2/name=in.a,,b/name=in.",
                "{\"where\":{\"age\":{\"$in\":[1,2]},\"name\":"
                "{\"$in\":[\"a\",\"\",\"b\"],\"$in\":[\"\"]}}}");
    assert_path(people, "address.zip=12/free.x=true",
                "{\"where\":{\"address.zip\":12,\"free.x\":true}}");
    assert_path(people, "name=", "{\"where\":{\"name\":\"\"}}");
    assert_path(people, "other=a\"b\\c\n",
                "{\"where\":{\"other\":\"a\\\"b\\\\c\\n\"}}");
}

static void a_term_is_split_at_the_first_equals_sign(void **state)
{
    (void)state;
    assert_path(people, "name=a=b", "{\"where\":{\"name\":\"a=b\"}}");
    assert_path(people, "name=eq.gte.5", "{\"where\":{\"name\":\"gte.5\"}}");
    assert_path(people, "name=gte.5",
                "{\"where\":{\"name\":{\"$gte\":\"5\"}}}");
    assert_path(people, "name=ada@x.org",
                "{\"where\":{\"name\":\"ada@x.org\"}}");
    assert_path(people, "name=gt", "{\"where\":{\"name\":\"gt\"}}");
    assert_path(people, "name=like.x", "{\"where\":{\"name\":\"like.x\"}}");
    assert_path(people, "name=exists.false/age=exists.true",
                "{\"where\":{\"name\":{\"$exists\":false},"
                "\"age\":{\"$exists\":true}}}");
    assert_path(people, "age=gt.1/age=gte.2/age=lt.9/age=lte.8/age=ne.5",
                "{\"where\":{\"age\":{\"$gt\":1,\"$gte\":2,\"$lt\":9,"
                "\"$lte\":8,\"$ne\":5}}}");
    assert_path(people, "age=gte.17.5",
                "{\"where\":{\"age\":{\"$gte\":17.5}}}");
    assert_path(people, "age=18.0", "{\"where\":{\"age\":18.0}}");
}

static void modifiers_come_in_any_order(void **state)
{
    static const char want[] =
        "{\"where\":{\"age\":{\"$gte\":18}},\"sort\":\"-age,id\","
        "\"skip\":20,\"limit\":10,\"fields\":\"id,address.zip\"}";
    (void)state;

    assert_path(people,
                "_limit=10/_fields=id,address.zip/age=gte.18/_skip=20/"
                "_sort=-age,id",
                want);
    assert_path(people,
                "age=gte.18/_sort=-age,id/_skip=20/_limit=10/"
                "_fields=id,address.zip",
                want);
    struct query *q = path(people, "_skip=0");
    assert_int_equal(query_skip(q), 0);
    assert_true(query_limit(q) == UINT64_MAX);
    assert_false(query_sorts(q) || query_projects(q));
    query_unref(q);
}

static void an_untyped_key_may_be_a_number_or_a_string(void **state)
{
    (void)state;
    assert_path_matches(untyped, "id=42", "{\"id\":42}", true);
    assert_path_matches(untyped, "id=42", "{\"id\":\"42\"}", true);
    assert_path_matches(untyped, "id=042", "{\"id\":42}", false);
    assert_path_matches(untyped, "id=042", "{\"id\":\"042\"}", true);
    assert_path_matches(untyped, "id=1e3", "{\"id\":1000}", true);
    assert_path_matches(untyped, "id=1e3", "{\"id\":\"1e3\"}", true);
    assert_path_matches(untyped, "id=1.5", "{\"id\":\"1.5\"}", true);
    assert_path_matches(untyped, "id=null", "{\"id\":\"null\"}", true);
    assert_path_matches(untyped, "id=ne.42", "{\"id\":\"42\"}", false);
    assert_path_matches(untyped, "id=ne.42", "{\"id\":42}", false);
    assert_path_matches(untyped, "id=ne.42", "{\"id\":43}", true);
    assert_path_matches(untyped, "id=in.7,true,x", "{\"id\":\"7\"}", true);
    assert_path_matches(untyped, "id=in.7,true,x", "{\"id\":\"true\"}", true);
    assert_path(untyped, "id=42", "{\"where\":{\"id\":{\"$in\":[42,\"42\"]}}}");
    assert_path(untyped, "id=ne.42",
                "{\"where\":{\"id\":{\"$ne\":42,\"$ne\":\"42\"}}}");
    assert_path(untyped, "id=prefix.4/id=gt.3",
                "{\"where\":{\"id\":{\"$prefix\":\"4\",\"$gt\":3}}}");
}

/* --- refusals ------------------------------------------------------------- */

static void broken_wheres_are_refused(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"role=student",
         "where: expected a JSON object like "
         "{\"role\":\"student\",\"age\":{\"$gte\":18}}, found role=student"},
        {"[1]", "where: expected a JSON object like "
                "{\"role\":\"student\",\"age\":{\"$gte\":18}}, found [1]"},
        {"{\"a\":1", "where: line 1, column 7: the text ends here, in the "
                     "middle of a value (1 bracket is open)"},
        {"{\"a\":}", "where: line 1, column 6: expected a value"},
        {"{} {}", "where: line 1, column 4: expected nothing more after the "
                  "closing '}'"},
        {"{\"$or\":[{\"a\":1}]}",
         "where: there is no $or: all terms must hold. For one of several "
         "values write {\"$in\":[…]}, for any but one {\"$ne\":…}"},
        {"{\"a\":{\"$not\":{\"$gt\":1}}}",
         "where: field 'a': there is no $not: all terms must hold. For one of "
         "several values write {\"$in\":[…]}, for any but one {\"$ne\":…}"},
        {"{\"$where\":\"1\"}",
         "where: there is no operator '$where'; there are $eq $ne $gt $gte $lt "
         "$lte $contains $in $exists $prefix"},
        {"{\"$gt\":1}",
         "where: $gt belongs to a field: write {\"field\":{\"$gt\":…}}; a "
         "field of that name is spelled \"\\\"$gt\\\"\""},
        {"{\"a\":{\"$regex\":\"x\"}}",
         "where: field 'a': there is no operator '$regex'; there are $eq $ne "
         "$gt $gte $lt $lte $contains $in $exists $prefix"},
        {"{\"a\":{\"\\u0024gtt\":\"x\"}}",
         "where: field 'a': there is no operator '\\u0024gtt'; there are $eq "
         "$ne $gt $gte $lt $lte $contains $in $exists $prefix"},
        {"{\"a\":{\"$gt\":1,\"b\":2}}",
         "where: field 'a': operators and other names in one object; to "
         "compare with an object that has such names write {\"$eq\":{…}}"},
        {"{\"a\":{\"$in\":3}}",
         "where: field 'a': $in expects a list like {\"$in\":[1,2]}, found 3"},
        {"{\"a\":{\"$exists\":1}}",
         "where: field 'a': $exists expects true or false, found 1"},
        {"{\"a\":{\"$gt\":null}}",
         "where: field 'a': expected a number, a string or a boolean, found "
         "null; write {\"a\":{\"$gt\":18}}"},
        {"{\"a\":{\"$lt\":[1]}}",
         "where: field 'a': expected a number, a string or a boolean, found "
         "[1]; write {\"a\":{\"$lt\":18}}"},
        {"{\"a\":{\"$prefix\":1}}",
         "where: field 'a': expected a string, found 1; write "
         "{\"a\":{\"$prefix\":\"text\"}}"},
        {"{\"a\":1,\"b\":2,\"\\u0061\":3}",
         "where: field 'a': it is there twice: put its operators into one "
         "object, like {\"$gte\":1,\"$lt\":9}"},
        {"{\"\":1}", "where: field '': a field's name is missing"},
        {"{\"a\\u0000b\":1}",
         "where: field 'a\\u0000b': a NUL in a field's name: spell it in "
         "quotes, like \"a\\u0000b\""},
        {"{\"\\\"\\\\ud800\\\"\":1}",
         "where: field '\\\"\\\\ud800\\\"': a field's name must be UTF-8"},
        {"{\"\\\"a\":1}",
         "where: field '\\\"a': a field that begins with a quote is spelled as "
         "JSON strings joined by dots, like \"a.b\".\"c\""},
        {"{\"\\\"a\\\"b\":1}",
         "where: field '\\\"a\\\"b': expected '.' or the end behind a field's "
         "name in quotes"},
        {"{\"a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q\":1}",
         "where: field 'a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q': a field's path has "
         "16 names at most"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_where_refused(NULL, cases[i][0], cases[i][1]);
}

static void values_of_the_wrong_type_are_refused(void **state)
{
    (void)state;
    static const char *const wheres[][2] = {
        {"{\"age\":\"18\"}",
         "where: field 'age': expected int, found \"18\"; write {\"age\":18}"},
        {"{\"age\":{\"$gte\":\"old\"}}",
         "where: field 'age': expected int, found \"old\"; write "
         "{\"age\":{\"$gte\":18}}"},
        {"{\"age\":18.5}",
         "where: field 'age': expected int, found 18.5; write {\"age\":18}"},
        {"{\"age\":null}",
         "where: field 'age': expected int, found null; write {\"age\":18}, "
         "or for rows without it {\"age\":{\"$exists\":false}}"},
        {"{\"rank\":true}", "where: field 'rank': expected int or null, found "
                            "true; write {\"rank\":18}"},
        {"{\"rank\":{\"$gt\":null}}",
         "where: field 'rank': expected int, found null; write "
         "{\"rank\":{\"$gt\":18}}"},
        {"{\"size\":\"1\"}",
         "where: field 'size': expected float, found \"1\"; write "
         "{\"size\":1.5}"},
        {"{\"ok\":1}",
         "where: field 'ok': expected bool, found 1; write {\"ok\":true}"},
        {"{\"name\":1}", "where: field 'name': expected str, found 1; write "
                         "{\"name\":\"text\"}"},
        {"{\"name\":{\"$in\":[\"a\",2]}}",
         "where: field 'name': expected str, found 2; write "
         "{\"name\":{\"$in\":[\"text\"]}}"},
        {"{\"name\":{\"$contains\":2}}",
         "where: field 'name': expected a string, found 2; write "
         "{\"name\":{\"$contains\":\"text\"}}"},
        {"{\"tags\":\"x\"}",
         "where: field 'tags': expected array, found \"x\"; write "
         "{\"tags\":[1,2]}"},
        {"{\"address\":[]}",
         "where: field 'address': expected object, found []; write "
         "{\"address\":{\"a\":1}}"},
        {"{\"address\":{\"$contains\":1}}",
         "where: field 'address': expected a string, found 1; write "
         "{\"address\":{\"$contains\":\"text\"}}"},
        {"{\"tags\":{\"$gt\":1}}",
         "where: field 'tags': gt needs an order, which int, float, str and "
         "bool have, and this field is array"},
        {"{\"age\":{\"$contains\":1}}",
         "where: field 'age': contains looks into str, array and object, and "
         "this field is int"},
        {"{\"ok\":{\"$prefix\":\"t\"}}",
         "where: field 'ok': prefix looks at the beginning of a str, and this "
         "field is bool"},
        {"{\"name.first\":\"x\"}",
         "where: field 'name.first': 'name' is str: there are no fields in it"},
        {"{\"id.x\":\"x\"}", "where: field 'id.x': 'id' is the primary key: "
                             "there are no fields in it"},
    };

    for (size_t i = 0; i < sizeof(wheres) / sizeof(wheres[0]); i++)
        assert_where_refused(people, wheres[i][0], wheres[i][1]);
    assert_where_refused(untyped, "{\"id\":true}",
                         "where: field 'id': expected a string or a whole "
                         "number, found true; write {\"id\":\"text\"}");
    assert_where_refused(untyped, "{\"id\":1.5}",
                         "where: field 'id': expected a string or a whole "
                         "number, found 1.5; write {\"id\":\"text\"}");
    assert_where_refused(closed, "{\"m\":1}",
                         "where: field 'm': there is none of this name; the "
                         "schema has n, in, a.b");
    assert_where_refused(closed, "{\"a.c\":1}",
                         "where: field 'a.c': there is none of this name; the "
                         "schema has n, in, a.b");
    query_unref(where(closed, "{\"in.x\":1,\"a.b\":\"s\",\"n\":1,"
                              "\"\\\"a.b\\\"\":\"x\",\"\\\"in\\\".y\":2}"));
}

static void wrong_path_terms_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int code;
        const char *why;
    } cases[] = {
        {"age", -ENOENT,
         "'age' is no term: write field=value, like role=student or "
         "age=gte.18"},
        {".git", -ENOENT,
         "'.git' is no term: write field=value, like role=student or "
         "age=gte.18"},
        {"_order=age", -ENOENT,
         "there is no modifier '_order'; there are _sort _limit _skip _fields. "
         "A field of that name is spelled in quotes: \"_order\"=…"},
        {"=5", -EINVAL, "'=5': a field's name is missing"},
        {"$gte=5", -EINVAL,
         "operators are written field=op.value, like age=gte.18; a field whose "
         "name begins with '$' is spelled in quotes: \"$name\"=…"},
        {"\"age=5", -EINVAL,
         "'\"age=5': a field that begins with a quote is spelled as JSON "
         "strings joined by dots, like \"a.b\".\"c\""},
        {"age=old", -EINVAL,
         "field 'age': expected int, found \"old\"; write age=18"},
        {"age=", -EINVAL,
         "field 'age': expected int, found \"\"; write age=18"},
        {"age=gtt.18", -EINVAL,
         "field 'age': expected int, found \"gtt.18\"; write age=18"},
        {"age=gte.18y", -EINVAL,
         "field 'age': expected int, found \"18y\"; write age=gte.18"},
        {"age=in.1,x", -EINVAL,
         "field 'age': expected int, found \"x\"; write age=in.18"},
        {"age=null", -EINVAL,
         "field 'age': expected int, found null; write age=18, or for "
         "rows without it age=exists.false"},
        {"ok=yes", -EINVAL,
         "field 'ok': expected bool, found \"yes\"; write ok=true"},
        {"tags=red", -EINVAL,
         "field 'tags': expected array, found \"red\"; write tags=[1,2]"},
        {"name=exists.yes", -EINVAL,
         "field 'name': exists expects true or false, found 'yes'; write "
         "name=exists.true"},
        {"name=\xff", -EINVAL, "field 'name': its value is not UTF-8"},
        {"\xff=1", -EINVAL, "'…': a field's name must be UTF-8"},
        {"_limit=-1", -EINVAL,
         "limit: expected a whole number from 1, found '-1'"},
        {"_limit=0", -EINVAL,
         "limit: expected a whole number from 1, found '0'"},
        {"_limit=ten", -EINVAL,
         "limit: expected a whole number from 1, found 'ten'"},
        {"_limit=1e3", -EINVAL,
         "limit: expected a whole number from 1, found '1e3'"},
        {"_limit=99999999999999999999", -EINVAL,
         "limit: expected a whole number from 1, found "
         "'99999999999999999999'"},
        {"_skip=-1", -EINVAL,
         "skip: expected a whole number from 0, found "
         "'-1'"},
        {"_limit=1/_limit=1", -EINVAL, "the limit is there twice"},
        {"_skip=1/_skip=1", -EINVAL, "the skip is there twice"},
        {"_sort=age/_sort=id", -EINVAL,
         "the order is there twice: write one list, like -age,id"},
        {"_fields=age/_fields=id", -EINVAL,
         "the fields are there twice: write one list, like id,email"},
        {"_sort=", -EINVAL, "sort: a field's name is missing"},
        {"_sort=-", -EINVAL, "sort: a field's name is missing"},
        {"_sort=age,", -EINVAL, "sort: a field's name is missing"},
        {"_sort=age,-age", -EINVAL, "sort: field 'age': it is there twice"},
        {"_sort=tags", -EINVAL, "sort: field 'tags': arrays have no order"},
        {"_sort=a,b,c,d,e,f,g,h,i", -EINVAL, "sort: 8 fields at most"},
        {"_fields=", -EINVAL, "fields: a field's name is missing"},
        {"_fields=id,id", -EINVAL, "fields: field 'id': it is there twice"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_path_refused(people, cases[i].text, cases[i].code, cases[i].why);
    assert_path_refused(closed, "m=1", -ENOENT,
                        "field 'm': there is none of this name; the schema has "
                        "n, in, a.b");
    assert_path_refused(closed, "_sort=m", -ENOENT,
                        "sort: field 'm': there is none of this name; the "
                        "schema has n, in, a.b");
    assert_path_refused(closed, "_fields=n,m", -ENOENT,
                        "fields: field 'm': there is none of this name; the "
                        "schema has n, in, a.b");

    /* As a command's options no name is missing: they are wrong. */
    struct query *q = query_new(closed);
    assert_int_equal(query_add_sort(q, "m", 1, NULL), -EINVAL);
    assert_int_equal(query_add_fields(q, "m", 1, NULL), -EINVAL);
    query_unref(q);
}

static void too_much_is_refused(void **state)
{
    struct query *q = query_new(NULL);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf b = BUF_INIT;
    (void)state;

    for (int i = 0; i < QUERY_TERMS_MAX; i++)
        assert_int_equal(query_add_term(q, "a=1", 3, &err), 0);
    assert_int_equal(query_add_term(q, "a=1", 3, &err), -EINVAL);
    assert_string_equal(err.text, "field 'a': a query has 64 terms at most");
    query_unref(q);

    q = query_new(NULL);
    buf_addc(&b, '{');
    for (int i = 0; i <= QUERY_TERMS_MAX; i++)
        buf_printf(&b, "%s\"f%d\":1", i ? "," : "", i);
    buf_addc(&b, '}');
    assert_int_equal(query_add_where(q, b.data, b.len, &err), -EINVAL);
    query_unref(q);

    for (int n = QUERY_VALUES_MAX; n <= QUERY_VALUES_MAX + 1; n++) {
        bool fits = n == QUERY_VALUES_MAX;
        buf_reset(&b);
        buf_addstr(&b, "{\"a\":{\"$in\":[");
        for (int i = 0; i < n; i++)
            buf_printf(&b, "%s%d", i ? "," : "", i);
        buf_addstr(&b, "]}}");
        q = query_new(NULL);
        assert_int_equal(query_add_where(q, b.data, b.len, &err),
                         fits ? 0 : -EINVAL);
        if (fits)
            assert_true(matches(q, "{\"a\":999}"));
        query_unref(q);

        buf_reset(&b);
        buf_addstr(&b, "a=in.");
        for (int i = 0; i < n; i++)
            buf_printf(&b, "%s%d", i ? "," : "", i);
        q = query_new(NULL);
        assert_int_equal(query_add_term(q, b.data, b.len, &err),
                         fits ? 0 : -EINVAL);
        if (!fits)
            assert_string_equal(
                err.text, "field 'a': in takes 1000 values at most, found "
                          "1001");
        query_unref(q);
    }

    /* As keys each of them may be two. */
    q = query_new(untyped);
    buf_reset(&b);
    buf_addstr(&b, "id=in.");
    for (int i = 0; i < 2000; i++)
        buf_printf(&b, "%s%d", i ? "," : "", i);
    assert_int_equal(query_add_term(q, b.data, b.len, &err), -EINVAL);
    query_unref(q);

    q = query_new(NULL);
    buf_reset(&b);
    for (int i = 0; i <= QUERY_FIELD_LEN; i++)
        buf_addc(&b, 'x');
    buf_addstr(&b, "=1");
    assert_int_equal(query_add_term(q, b.data, b.len, &err), -EINVAL);
    query_unref(q);

    q = query_new(NULL);
    buf_reset(&b);
    buf_addstr(&b, "a=");
    while (b.len <= QUERY_TEXT_MAX)
        buf_addstr(&b, "xxxxxxxxxxxxxxxx");
    assert_int_equal(query_add_term(q, b.data, b.len, &err), -EINVAL);
    assert_int_equal(query_add_where(q, b.data, b.len, &err), -EINVAL);
    query_unref(q);
}

/* --- what else is known of a query ---------------------------------------- */

static void keys_are_told(void **state)
{
    const struct query_key *keys;
    size_t n;
    struct query *q = where(untyped, "{\"id\":{\"$in\":[\"a\",42,42.0,\"42\","
                                     "1.2e3,\"b\\u0000c\"]},\"x\":1}");
    (void)state;

    assert_true(query_keys(q, &keys, &n));
    assert_int_equal(n, 4);
    assert_string_equal(keys[0].key, "a");
    assert_string_equal(keys[1].key, "42");
    assert_string_equal(keys[2].key, "1200");
    assert_int_equal(keys[3].len, 3);
    assert_memory_equal(keys[3].key, "b\0c", 3);
    assert_true(query_term_at(q, 0)->is_key);
    query_unref(q);

    q = path(untyped, "id=42");
    assert_true(query_keys(q, &keys, &n));
    assert_int_equal(n, 1);
    query_unref(q);
    q = path(untyped, "id=2/id=in.1,2,3");
    assert_true(query_keys(q, &keys, &n));
    assert_int_equal(n, 1);
    query_unref(q);
    q = path(untyped, "id=in.1,2,3/id=2");
    assert_true(query_keys(q, &keys, &n));
    assert_int_equal(n, 1);
    assert_string_equal(keys[0].key, "2");
    query_unref(q);
    q = where(untyped, "{\"id\":{\"$in\":[]}}");
    assert_true(query_keys(q, &keys, &n));
    assert_int_equal(n, 0);
    query_unref(q);
    q = path(untyped, "id=gte.1/x=1/id=ne.3");
    assert_false(query_keys(q, &keys, &n));
    query_unref(q);
    q = where(NULL, "{\"id\":1}");
    assert_false(query_keys(q, &keys, &n));
    query_unref(q);
}

static void a_query_that_cannot_match_is_known(void **state)
{
    (void)state;
    static const char *const never[] = {
        "{\"a\":{\"$in\":[]}}",
        "{\"a\":{\"$eq\":1,\"$eq\":2}}",
        "{\"a\":{\"$eq\":1,\"$ne\":1.0}}",
        "{\"a\":{\"$in\":[1,2],\"$gt\":2}}",
        "{\"a\":{\"$gt\":5,\"$lt\":5}}",
        "{\"a\":{\"$gte\":5,\"$lt\":5}}",
        "{\"a\":{\"$gte\":6,\"$lte\":5}}",
        "{\"a\":{\"$gt\":\"x\",\"$gt\":5}}",
        "{\"a\":{\"$prefix\":\"x\",\"$gt\":5}}",
        "{\"a\":{\"$exists\":false,\"$exists\":true}}",
        "{\"a\":{\"$exists\":false,\"$gt\":1}}",
        "{\"a\":{\"$exists\":false,\"$eq\":null}}",
        "{\"b\":1,\"a\":{\"$exists\":false,\"$contains\":1}}",
    };
    static const char *const maybe[] = {
        "{}",
        "{\"a\":1}",
        "{\"a\":{\"$gte\":5,\"$lte\":5}}",
        "{\"a\":{\"$exists\":false,\"$ne\":1}}",
        "{\"a\":{\"$exists\":false}}",
        "{\"a\":{\"$exists\":true,\"$ne\":1}}",
        "{\"a\":{\"$in\":[1,2,3],\"$gt\":2}}",
        "{\"a\":{\"$gt\":1,\"$gt\":2,\"$lt\":9}}",
        "{\"a\":{\"$contains\":1,\"$contains\":2}}",
    };

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        struct query *q = where(NULL, never[i]);
        if (!query_never(q))
            fail_msg("%s can never match", never[i]);
        query_unref(q);
    }
    for (size_t i = 0; i < sizeof(maybe) / sizeof(maybe[0]); i++) {
        struct query *q = where(NULL, maybe[i]);
        if (query_never(q))
            fail_msg("%s can match", maybe[i]);
        query_unref(q);
    }
}

static void the_fields_looked_at_are_told(void **state)
{
    struct query *q = path(NULL, "b=1/a.b=2/b=ne.3/_sort=c,-b,d/_fields=z");
    (void)state;

    assert_string_equal(query_field_at(q, 0), "b");
    assert_string_equal(query_field_at(q, 1), "a.b");
    assert_string_equal(query_field_at(q, 2), "c");
    assert_string_equal(query_field_at(q, 3), "d");
    assert_null(query_field_at(q, 4));
    query_unref(q);
}

static void a_copy_goes_its_own_way(void **state)
{
    struct query *q = path(people, "age=gte.18/_sort=-age/_fields=id,name");
    struct query *c = query_copy(q);
    AUTO_BUF struct buf out = BUF_INIT;
    (void)state;

    assert_int_equal(query_add_term(c, "name=ada", 8, NULL), 0);
    assert_int_equal(query_add_term(c, "_limit=2", 8, NULL), 0);
    assert_true(matches(q, "{\"age\":20}"));
    assert_false(matches(c, "{\"age\":20}"));
    assert_print(q, "{\"where\":{\"age\":{\"$gte\":18}},\"sort\":\"-age\","
                    "\"fields\":\"id,name\"}");
    query_unref(q);
    assert_true(matches(c, "{\"age\":20,\"name\":\"ada\"}"));
    assert_print(c, "{\"where\":{\"age\":{\"$gte\":18},\"name\":\"ada\"},"
                    "\"sort\":\"-age\",\"limit\":2,\"fields\":\"id,name\"}");
    query_project(c, "{\"name\":\"x\",\"id\":1}", 19, &out);
    assert_string_equal(out.data, "{\"id\":1,\"name\":\"x\"}");
    query_unref(query_ref(c));
    query_unref(c);
    query_unref(NULL);
}

/* --- order ---------------------------------------------------------------- */

/* The ids of rows in the query's order, by commas. */
static void assert_order(const char *text, const char *const *rows, size_t n,
                         const char *want)
{
    struct query *q = path(NULL, text);
    struct query_top *top = query_top_new(q);
    AUTO_BUF struct buf got = BUF_INIT;
    size_t kept;

    for (size_t i = 0; i < n; i++)
        query_top_add(top, rows[i], strlen(rows[i]), i,
                      (void *)(uintptr_t)rows[i]);
    void **items = query_top_items(top, &kept);
    for (size_t i = (size_t)query_skip(q); i < kept; i++) {
        struct json_member m;
        assert_true(json_find(items[i], strlen(items[i]), "id", &m));
        if (got.len > 0)
            buf_addc(&got, ',');
        buf_add(&got, m.value, m.value_len);
    }
    if (strcmp(got.data ? got.data : "", want) != 0)
        fail_msg("%s: %s, wanted %s", text, got.data, want);
    query_top_free(top);
    query_unref(q);
}

static void rows_are_put_in_order(void **state)
{
    (void)state;
    static const char *const mixed[] = {
        "{\"id\":1,\"f\":[1]}",     "{\"id\":2,\"f\":\"b\"}",
        "{\"id\":3,\"f\":10}",      "{\"id\":4,\"f\":true}",
        "{\"id\":5,\"f\":null}",    "{\"id\":6}",
        "{\"id\":7,\"f\":\"\"}",    "{\"id\":8,\"f\":-10}",
        "{\"id\":9,\"f\":false}",   "{\"id\":10,\"f\":{}}",
        "{\"id\":11,\"f\":9.5}",    "{\"id\":12,\"f\":-9.5}",
        "{\"id\":13,\"f\":0}",      "{\"id\":14,\"f\":\"\\u0062a\"}",
        "{\"id\":15,\"f\":-0.0e3}", "{\"id\":16}",
        "{\"id\":17,\"f\":1e1}",
    };
    static const char *const two[] = {
        "{\"id\":1,\"a\":{\"x\":2},\"b\":\"x\"}",
        "{\"id\":2,\"a\":{\"x\":1},\"b\":\"y\"}",
        "{\"id\":3,\"a\":{\"x\":2},\"b\":\"y\"}",
        "{\"id\":4,\"a\":{\"x\":1},\"b\":\"x\"}",
        "{\"id\":5,\"a\":{\"x\":2},\"b\":\"y\"}",
    };

    assert_order("_sort=f", mixed, 17,
                 "6,16,5,9,4,8,12,13,15,11,3,17,7,2,14,1,10");
    /* Ties stay in order of creation, whichever way the rest goes. */
    assert_order("_sort=-f", mixed, 17,
                 "1,10,14,2,7,3,17,11,13,15,12,8,4,9,5,6,16");
    assert_order("_sort=f/_limit=3", mixed, 17, "6,16,5");
    assert_order("_sort=f/_limit=3/_skip=2", mixed, 17, "5,9,4");
    assert_order("_sort=f/_skip=15", mixed, 17, "1,10");
    assert_order("_sort=f/_skip=99", mixed, 17, "");
    assert_order("_limit=2/_skip=1", mixed, 17, "2,3");
    assert_order("_sort=-a.x,b", two, 5, "1,3,5,4,2");
    assert_order("_sort=a.x,-b", two, 5, "2,4,3,5,1");
    assert_order("_sort=-a.x,-b,-id", two, 5, "5,3,1,2,4");
}

static void what_is_not_kept_comes_back(void **state)
{
    struct query *q = path(NULL, "_sort=-n/_limit=2");
    struct query_top *top = query_top_new(q);
    int items[4];
    size_t n;
    (void)state;

    assert_null(query_top_add(top, "{\"n\":1}", 7, 0, &items[0]));
    assert_null(query_top_add(top, "{\"n\":3}", 7, 1, &items[1]));
    assert_ptr_equal(query_top_add(top, "{\"n\":2}", 7, 2, &items[2]),
                     &items[0]);
    assert_ptr_equal(query_top_add(top, "{\"n\":2}", 7, 3, &items[3]),
                     &items[3]);
    void **kept = query_top_items(top, &n);
    assert_int_equal(n, 2);
    assert_ptr_equal(kept[0], &items[1]);
    assert_ptr_equal(kept[1], &items[2]);
    query_top_free(top);
    query_top_free(NULL);
    query_unref(q);
}

/* However rows come in, those kept are the beginning of the whole order, and
 * equal ones are in order of creation. */
static void what_is_kept_is_the_beginning_of_the_order(void **state)
{
    static const size_t limits[] = {1, 2, 7, 100, 300, 1000};
    static char rows[300][16];
    static unsigned number[300];
    (void)state;

    for (unsigned i = 0; i < 300; i++) {
        number[i] = i * 7919 % 10;
        snprintf(rows[i], sizeof(rows[i]), "{\"n\":%u}", number[i]);
    }
    for (size_t k = 0; k < sizeof(limits) / sizeof(limits[0]); k++) {
        char text[32];
        size_t n;
        snprintf(text, sizeof(text), "_sort=-n/_limit=%zu", limits[k]);
        struct query *q = path(NULL, text);
        struct query_top *top = query_top_new(q);
        for (unsigned i = 0; i < 300; i++) {
            unsigned seq = i * 77 % 300; /* each once */
            query_top_add(top, rows[seq], strlen(rows[seq]), seq, rows[seq]);
        }
        void **items = query_top_items(top, &n);
        assert_int_equal(n, limits[k] < 300 ? limits[k] : 300);
        size_t at = 0;
        for (unsigned d = 10; d-- > 0;)
            for (unsigned seq = 0; seq < 300 && at < n; seq++)
                if (number[seq] == d)
                    assert_ptr_equal(items[at++], rows[seq]);
        assert_int_equal(at, n);
        query_top_free(top);
        query_unref(q);
    }
}

/* --- projection ----------------------------------------------------------- */

static void assert_projected(const char *fields, const char *row,
                             const char *want)
{
    struct query *q = query_new(NULL);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf out = BUF_INIT;

    if (query_add_fields(q, fields, strlen(fields), &err) < 0)
        fail_msg("%s: %s", fields, err.text);
    query_project(q, row, strlen(row), &out);
    if (strcmp(out.data, want) != 0)
        fail_msg("%s of %s: %s, wanted %s", fields, row, out.data, want);
    assert_int_equal(json_check(out.data, out.len, NULL), 0);
    query_unref(q);
}

static void projection_keeps_the_bytes_of_values(void **state)
{
    static const char row[] =
        "{ \"id\" : 1.0 , \"s\":\"a\\u0062\\/\", \"o\": { \"x\" : [1, 2] , "
        "\"y\":{\"z\":1e5}, \"w\":null}, \"p.q\":\"lit\", \"p\":{\"q\":\"in\"},"
        "\"t\\u00e9\":true }\n";
    (void)state;

    assert_projected("id", row, "{\"id\":1.0}");
    assert_projected("s,id", row, "{\"s\":\"a\\u0062\\/\",\"id\":1.0}");
    assert_projected("o", row,
                     "{\"o\":{ \"x\" : [1, 2] , \"y\":{\"z\":1e5}, "
                     "\"w\":null}}");
    assert_projected("o.x", row, "{\"o\":{\"x\":[1, 2]}}");
    assert_projected("o.y.z,id,o.w", row,
                     "{\"o\":{\"y\":{\"z\":1e5},\"w\":null},\"id\":1.0}");
    assert_projected("o.y.z,o.y,o.x", row,
                     "{\"o\":{\"y\":{\"z\":1e5},\"x\":[1, 2]}}");
    assert_projected("o.x,o,id", row,
                     "{\"o\":{ \"x\" : [1, 2] , \"y\":{\"z\":1e5}, "
                     "\"w\":null},\"id\":1.0}");
    assert_projected("p.q", row, "{\"p.q\":\"lit\"}");
    assert_projected("\"p\".q,p.q", row,
                     "{\"p\":{\"q\":\"in\"},\"p.q\":\"lit\"}");
    assert_projected("t\u00e9", row, "{\"t\u00e9\":true}");
    assert_projected("nothing,o.nothing,id.x", row, "{}");
    assert_projected("nothing,id", row, "{\"id\":1.0}");
    assert_projected("a.,a.b", "{\"\\u0061\":{\"\":1,\"b\":2}}",
                     "{\"a\":{\"\":1,\"b\":2}}");
    assert_projected("a.b.c.d", "{\"a.b\":{\"c.d\":1}}",
                     "{\"a.b\":{\"c.d\":1}}");

    /* Without fields the text is the answer, but for white space behind it. */
    struct query *q = query_new(NULL);
    AUTO_BUF struct buf out = BUF_INIT;
    query_project(q, row, sizeof(row) - 1, &out);
    assert_int_equal(out.len, sizeof(row) - 2);
    assert_memory_equal(out.data, row, sizeof(row) - 2);
    query_unref(q);
}

/* --- against a slow reference --------------------------------------------- */

static uint64_t rng;

static unsigned draw(unsigned below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % below;
}

#define PICK(list) ((list)[draw(sizeof(list) / sizeof((list)[0]))])

static const char *const some_scalars[] = {
    "null",
    "true",
    "false",
    "0",
    "-0",
    "1",
    "1.0",
    "1e0",
    "10e-1",
    "2",
    "2.5",
    "-3",
    "-3.0",
    "12",
    "1.2e1",
    "120",
    "\"\"",
    "\"a\"",
    "\"\\u0061\"",
    "\"ab\"",
    "\"b\"",
    "\"a\\nb\"",
    "\"\\\\\"",
    "\"\\\"\"",
    "\"\u00e9\"",
    "\"\\u00e9\"",
    "\"1\"",
    "\"aab\"",
    "\"a\\u0061\\u0062\"",
    "\"\\u0000\"",
    "\"\U0001f600\"",
    "\"\\ud83d\\ude00\"",
};
static const char *const some_names[] = {
    "a", "b", "c", "a.b", "b.c", "a.b.c", "\\u0061b", "x\\\\y", "\u00e9", "",
};
static const char *const some_fields[] = {
    "a",    "b",      "c",   "a.b",   "b.c",       "a.b.c",   "ab",
    "x\\y", "\u00e9", "a.a", "c.b.a", "ab.\u00e9", "a.b.c.a",
};

static void add_gap(struct buf *b)
{
    static const char *const gaps[] = {"", "", "", " ", "\n\t"};
    buf_addstr(b, PICK(gaps));
}

static void add_random(struct buf *b, int depth)
{
    unsigned kind = draw(depth > 0 ? 8 : 5), n = draw(4);

    if (kind < 5) {
        buf_addstr(b, PICK(some_scalars));
        return;
    }
    buf_addc(b, kind == 5 ? '[' : '{');
    add_gap(b);
    unsigned first = draw(10), step = 1 + 2 * draw(2);
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        add_gap(b);
        if (kind != 5) {
            /* No name twice: the two parsers would differ on it. */
            buf_printf(b, "\"%s\"", some_names[(first + i * step) % 10]);
            add_gap(b);
            buf_addc(b, ':');
            add_gap(b);
        }
        add_random(b, depth - 1);
        add_gap(b);
    }
    buf_addc(b, kind == 5 ? ']' : '}');
}

static void random_row(struct buf *b)
{
    unsigned first = draw(10), n = draw(9), step = draw(2) ? 1 : 7;

    buf_addc(b, '{');
    for (unsigned i = 0; i < n; i++) {
        buf_printf(b, "%s\"%s\":", i ? "," : "",
                   some_names[(first + i * step) % 10]);
        add_gap(b);
        add_random(b, 3);
        add_gap(b);
    }
    buf_addc(b, '}');
    if (draw(2))
        buf_addc(b, '\n');
}

/* Each field and each operator once. */
static void random_where(struct buf *b)
{
    unsigned n = draw(4), first = draw(13);

    buf_addc(b, '{');
    for (unsigned i = 0; i < n; i++) {
        if (i > 0)
            buf_addc(b, ',');
        const char *name = some_fields[(first + i) % 13];
        buf_add_json(b, name, strlen(name));
        buf_addstr(b, ":{");
        unsigned ops = 1 + draw(2), op = draw(QUERY_OPS);
        for (unsigned k = 0; k < ops; k++, op = (op + 1) % QUERY_OPS) {
            buf_printf(b, "%s\"$%s\":", k ? "," : "", query_op_names[op]);
            switch (op) {
            case QUERY_EQ:
            case QUERY_NE:
                add_random(b, draw(3) ? 0 : 2);
                break;
            case QUERY_EXISTS:
                buf_addstr(b, draw(2) ? "true" : "false");
                break;
            case QUERY_IN: {
                unsigned many = draw(6);
                buf_addc(b, '[');
                for (unsigned m = 0; m < many; m++) {
                    if (m > 0)
                        buf_addc(b, ',');
                    add_random(b, draw(4) ? 0 : 1);
                }
                buf_addc(b, ']');
                break;
            }
            case QUERY_CONTAINS: {
                /* Numbers whose text json-c writes as it stood. */
                const char *s;
                do
                    s = PICK(some_scalars);
                while (strpbrk(s, ".-e") && s[0] != '"' && s[0] != 't' &&
                       s[0] != 'f');
                buf_addstr(b, s);
                break;
            }
            case QUERY_PREFIX:
                buf_addstr(b, some_scalars[16 + draw(16)]);
                break;
            default:
                buf_addstr(b, some_scalars[1 + draw(31)]);
            }
        }
        buf_addc(b, '}');
    }
    buf_addc(b, '}');
}

static void check_print(const struct query *q, const char *row)
{
    AUTO_BUF struct buf first = BUF_INIT;
    AUTO_BUF struct buf second = BUF_INIT;
    struct json_member m;

    query_print(q, &first);
    struct query *again = query_new(NULL);
    if (json_find(first.data, first.len, "where", &m))
        assert_int_equal(query_add_where(again, m.value, m.value_len, NULL), 0);
    query_print(again, &second);
    assert_string_equal(first.data, second.data);
    assert_int_equal(matches(q, row), matches(again, row));
    query_unref(again);
}

/* The picker finds what value_at() finds. */
static void check_fields(const char *row)
{
    for (size_t i = 0; i < sizeof(some_fields) / sizeof(some_fields[0]); i++) {
        struct json_member m;
        AUTO_BUF struct buf text = BUF_INIT;
        struct query *q = query_new(NULL);
        bool there = value_at(row, strlen(row), some_fields[i], &m);
        buf_addc(&text, '{');
        buf_add_json(&text, some_fields[i], strlen(some_fields[i]));
        buf_addc(&text, ':');
        if (there) {
            buf_addstr(&text, "{\"$eq\":");
            buf_add(&text, m.value, m.value_len);
            buf_addstr(&text, "}}");
        } else {
            buf_addstr(&text, "{\"$exists\":false}}");
        }
        assert_int_equal(query_add_where(q, text.data, text.len, NULL), 0);
        if (!matches(q, row))
            fail_msg("%s should match %s", text.data, row);
        query_unref(q);
    }
}

static void the_matcher_agrees_with_a_slow_one(void **state)
{
    const char *given = getenv("DBCORD_TEST_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    size_t hits = 0, rounds = 20000;
    (void)state;

    rng = seed * 2 + 1;
    print_message("seed %llu\n", (unsigned long long)seed);
    for (size_t i = 0; i < rounds; i++) {
        AUTO_BUF struct buf w = BUF_INIT;
        AUTO_BUF struct buf row = BUF_INIT;
        struct err err = ERR_INIT;
        random_where(&w);
        random_row(&row);
        if (json_check(row.data, row.len, &err) < 0)
            fail_msg("%s: %s", row.data, err.text);
        struct query *q = query_new(NULL);
        if (query_add_where(q, w.data, w.len, &err) < 0) {
            /* Only what has no order may be refused here. */
            if (!strstr(err.text, "expected a number, a string or a boolean"))
                fail_msg("%s: %s", w.data, err.text);
        } else {
            bool want = reference_matches(w.data, row.data);
            if (matches(q, row.data) != want)
                fail_msg("seed %llu: %s %s %s", (unsigned long long)seed,
                         w.data, want ? "should match" : "matches", row.data);
            if (want && query_never(q))
                fail_msg("seed %llu: %s matches %s and never should",
                         (unsigned long long)seed, w.data, row.data);
            hits += want;
            check_print(q, row.data);
        }
        query_unref(q);
        if (i % 16 == 0)
            check_fields(row.data);
    }
    /* Both answers must have come up often enough to mean something. */
    assert_in_range(hits, rounds / 20, rounds - rounds / 20);
}

/* What memcmp says of two sort keys is the order of the values. */
static void sort_keys_agree_with_a_slow_order(void **state)
{
    struct query *up = path(NULL, "_sort=f"), *down = path(NULL, "_sort=-f");
    (void)state;

    for (size_t i = 0; i < sizeof(some_scalars) / sizeof(some_scalars[0]); i++)
        for (size_t k = 0; k < sizeof(some_scalars) / sizeof(some_scalars[0]);
             k++) {
            AUTO_BUF struct buf a = BUF_INIT;
            AUTO_BUF struct buf b = BUF_INIT;
            AUTO_BUF struct buf x = BUF_INIT;
            AUTO_BUF struct buf y = BUF_INIT;
            buf_printf(&a, "{\"f\":%s}", some_scalars[i]);
            buf_printf(&b, "{\"f\":%s}", some_scalars[k]);
            int want = reference_order(some_scalars[i], some_scalars[k]);
            for (int turn = 0; turn < 2; turn++) {
                buf_reset(&x);
                buf_reset(&y);
                query_sort_key(turn ? down : up, a.data, a.len, &x);
                query_sort_key(turn ? down : up, b.data, b.len, &y);
                size_t least = x.len < y.len ? x.len : y.len;
                int got = memcmp(x.data, y.data, least);
                if (got == 0)
                    got = (x.len > y.len) - (x.len < y.len);
                got = turn ? -got : got;
                if ((got > 0) != (want > 0) || (got < 0) != (want < 0))
                    fail_msg("%s against %s: %d, wanted %d", some_scalars[i],
                             some_scalars[k], got, want);
            }
        }
    query_unref(up);
    query_unref(down);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_operator_on_each_type),
        cmocka_unit_test(equality_is_of_values_not_of_bytes),
        cmocka_unit_test(numbers_are_ordered_by_exact_value),
        cmocka_unit_test(strings_are_ordered_by_bytes),
        cmocka_unit_test(contains_looks_into_strings_lists_and_objects),
        cmocka_unit_test(prefix_looks_at_the_beginning),
        cmocka_unit_test(a_list_finds_each_of_its_values),
        cmocka_unit_test(terms_are_joined_by_and),
        cmocka_unit_test(dotted_fields_reach_into_objects),
        cmocka_unit_test(quotes_spell_a_field_exactly),
        cmocka_unit_test(an_index_name_is_there_where_one_can_answer),
        cmocka_unit_test(path_values_are_read_by_type),
        cmocka_unit_test(a_term_is_split_at_the_first_equals_sign),
        cmocka_unit_test(modifiers_come_in_any_order),
        cmocka_unit_test(an_untyped_key_may_be_a_number_or_a_string),
        cmocka_unit_test(broken_wheres_are_refused),
        cmocka_unit_test(values_of_the_wrong_type_are_refused),
        cmocka_unit_test(wrong_path_terms_are_refused),
        cmocka_unit_test(too_much_is_refused),
        cmocka_unit_test(keys_are_told),
        cmocka_unit_test(a_query_that_cannot_match_is_known),
        cmocka_unit_test(the_fields_looked_at_are_told),
        cmocka_unit_test(a_copy_goes_its_own_way),
        cmocka_unit_test(rows_are_put_in_order),
        cmocka_unit_test(what_is_not_kept_comes_back),
        cmocka_unit_test(what_is_kept_is_the_beginning_of_the_order),
        cmocka_unit_test(projection_keeps_the_bytes_of_values),
        cmocka_unit_test(the_matcher_agrees_with_a_slow_one),
        cmocka_unit_test(sort_keys_agree_with_a_slow_order),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
