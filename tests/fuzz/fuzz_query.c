/* A query (a where, or path terms parted by '/'), a NUL, and a row. What is
 * refused says why; what is accepted prints as an equal query, matches what an
 * index or a key would find, and gives JSON. */
#include <errno.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query.h"
#include "engine/value.h"
#include "tests/fuzz/fuzz.h"

static int add_terms(struct query *q, const char *s, size_t len,
                     struct err *err)
{
    for (size_t at = 0; at <= len;) {
        const char *slash = at < len ? memchr(s + at, '/', len - at) : NULL;
        size_t end = slash ? (size_t)(slash - s) : len;
        int r = query_add_term(q, s + at, end - at, err);
        if (r < 0)
            return r;
        at = end + 1;
    }
    return 0;
}

static void check_again(struct schema *s, const struct query *q,
                        const char *row, size_t len)
{
    AUTO_BUF struct buf first = BUF_INIT;
    AUTO_BUF struct buf second = BUF_INIT;
    AUTO_BUF struct buf list = BUF_INIT;
    struct query *again = query_new(s);
    struct json_member m;

    query_print(q, &first);
    REQUIRE(json_check(first.data, first.len, NULL) == 0);
    if (json_find(first.data, first.len, "where", &m))
        REQUIRE(query_add_where(again, m.value, m.value_len, NULL) == 0);
    if (json_find(first.data, first.len, "sort", &m)) {
        json_unescape(m.value, m.value_len, &list);
        REQUIRE(query_add_sort(again, list.data, list.len, NULL) == 0);
    }
    if (json_find(first.data, first.len, "fields", &m)) {
        buf_reset(&list);
        json_unescape(m.value, m.value_len, &list);
        REQUIRE(query_add_fields(again, list.data, list.len, NULL) == 0);
    }
    if (json_find(first.data, first.len, "skip", &m))
        REQUIRE(query_add_skip(again, m.value, m.value_len, NULL) == 0);
    if (json_find(first.data, first.len, "limit", &m))
        REQUIRE(query_add_limit(again, m.value, m.value_len, NULL) == 0);
    query_print(again, &second);
    REQUIRE(buf_equals(&first, second.data, second.len));
    REQUIRE(query_matches(q, row, len) == query_matches(again, row, len));
    query_unref(again);
}

/* A row that matches has a value that an index would have been asked for. */
static void check_indexed(const struct query_term *t, const char *row,
                          size_t len)
{
    AUTO_BUF struct buf form = BUF_INIT;
    bool listed = false;

    if (!query_is_equality(t) || !t->field)
        return;
    REQUIRE(value_find(row, len, t->field, &form));
    for (size_t i = 0; i < t->n_values && !listed; i++)
        listed = buf_equals(&form, t->values[i].canonical,
                            t->values[i].canonical_len);
    REQUIRE(listed);
}

static void check_row(struct schema *s, const struct query *q, const char *row,
                      size_t len)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf key = BUF_INIT;
    AUTO_BUF struct buf same = BUF_INIT;
    int item;

    if (query_matches(q, row, len)) {
        REQUIRE(!query_never(q));
        for (size_t i = 0; i < query_term_count(q); i++)
            check_indexed(query_term_at(q, i), row, len);
    }
    check_again(s, q, row, len);
    query_project(q, row, len, &b);
    REQUIRE(json_check(b.data, b.len, NULL) == 0);

    query_sort_key(q, row, len, &key);
    query_sort_key(q, row, len, &same);
    REQUIRE(buf_equals(&key, same.data, same.len));
    struct query_top *top = query_top_new(q);
    size_t n;
    REQUIRE(query_top_add(top, row, len, 1, &item) == NULL);
    REQUIRE(query_top_items(top, &n)[0] == &item && n == 1);
    query_top_free(top);
}

static void run(struct schema *s, const char *text, size_t len, const char *row,
                size_t row_len)
{
    struct query *q = query_new(s);
    struct err err = ERR_INIT;
    const struct query_key *keys;
    size_t n;

    int r = len > 0 && strchr("{ \n", text[0]) && text[0]
                ? query_add_where(q, text, len, &err)
                : add_terms(q, text, len, &err);
    REQUIRE((r == 0) == (err.text[0] == '\0'));
    REQUIRE(r == 0 || r == -EINVAL || r == -ENOENT);
    if (r == 0) {
        for (size_t i = 0; query_field_at(q, i); i++)
            ;
        if (query_keys(q, &keys, &n))
            for (size_t i = 0; i < n; i++)
                REQUIRE(keys[i].len > 0);
        struct query *copy = query_copy(q);
        query_unref(q);
        q = copy;
        if (row && json_check(row, row_len, NULL) == 0)
            check_row(s, q, row, row_len);
    }
    query_unref(q);
}

static struct schema *schema(const char *text)
{
    struct schema *s = NULL;

    REQUIRE(schema_parse(text, strlen(text), &s, NULL) == 0);
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct schema *typed, *closed, *bare;
    const char *text = (const char *)data;
    const char *end = size ? memchr(text, '\0', size) : NULL;
    size_t len = end ? (size_t)(end - text) : size;
    const char *row = end ? end + 1 : NULL;
    size_t row_len = end ? size - len - 1 : 0;

    if (!typed) {
        typed = schema("{\"pk\":\"id\",\"properties\":{\"id\":\"str\","
                       "\"age\":\"int\",\"role\":\"str?\",\"size\":\"float\","
                       "\"ok\":\"bool\",\"address\":\"object\","
                       "\"tags\":\"array\"}}");
        closed = schema("{\"pk\":\"id\",\"properties\":{\"age\":\"int?\","
                        "\"a\":\"any\",\"a.b\":\"any\"},"
                        "\"additional\":false}");
        bare = schema_new_default("id");
    }
    run(NULL, text, len, row, row_len);
    run(typed, text, len, row, row_len);
    run(closed, text, len, row, row_len);
    run(bare, text, len, row, row_len);
    return 0;
}
