/* The examples of docs/queries.md do what is said there.
 *
 *     test_query_docs FILE
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query.h"

#define ROWS_MAX 16
#define ARROW "→ "

static char *rows[ROWS_MAX];
static size_t n_rows, n_examples;
static struct schema *schema;
static int failures;

static void fail(const char *line, const char *got)
{
    fprintf(stderr, "%s\n    got %s\n", line, got);
    failures++;
}

static int read_query(struct query *q, const char *text, struct err *err)
{
    if (*text == '{')
        return query_add_where(q, text, strlen(text), err);
    for (size_t n; *text; text += n + (text[n] == '/')) {
        n = strcspn(text, "/");
        int r = query_add_term(q, text, n, err);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The keys, or the rows where only some fields are asked for. */
static void add_found(const struct query *q, struct buf *out)
{
    struct query_top *top = query_top_new(q);
    size_t n;

    for (size_t i = 0; i < n_rows; i++)
        if (query_matches(q, rows[i], strlen(rows[i])))
            query_top_add(top, rows[i], strlen(rows[i]), i, rows[i]);
    void **items = query_top_items(top, &n);
    for (size_t i = (size_t)query_skip(q); i < n; i++) {
        struct json_member id;
        if (out->len > 0)
            buf_addc(out, ' ');
        if (query_projects(q))
            query_project(q, items[i], strlen(items[i]), out);
        else if (json_find(items[i], strlen(items[i]), "id", &id))
            json_unescape(id.value, id.value_len, out);
    }
    if (out->len == 0)
        buf_addstr(out, "none");
    query_top_free(top);
}

static void run_example(const char *line)
{
    const char *arrow = strstr(line, ARROW);
    struct err err = ERR_INIT;
    AUTO_BUF struct buf got = BUF_INIT;

    if (!arrow) {
        fail(line, "no arrow");
        return;
    }
    size_t len = (size_t)(arrow - line);
    while (len > 0 && line[len - 1] == ' ')
        len--;
    AUTO_STR char *text = xstrndup(line, len);
    struct query *q = query_new(schema);
    int r = read_query(q, text, &err);
    if (r < 0)
        buf_printf(&got, "refused: %s %s", r == -ENOENT ? "ENOENT" : "EINVAL",
                   err.text);
    else
        add_found(q, &got);
    if (strcmp(got.data, arrow + strlen(ARROW)) != 0)
        fail(line, got.data);
    query_unref(q);
    n_examples++;
}

static void take_line(const char *block, const char *line)
{
    struct err err = ERR_INIT;

    if (strcmp(block, "rows") == 0 && n_rows < ROWS_MAX) {
        rows[n_rows++] = xstrdup(line);
        if (json_check(line, strlen(line), &err) < 0)
            fail(line, err.text);
    } else if (strcmp(block, "schema") == 0) {
        if (schema_parse(line, strlen(line), &schema, &err) < 0)
            fail(line, err.text);
    } else if (strcmp(block, "find") == 0) {
        run_example(line);
    }
}

int main(int argc, char **argv)
{
    char line[2048], block[32] = "";
    FILE *f = argc > 1 ? fopen(argv[1], "r") : NULL;

    if (!f) {
        fprintf(stderr, "usage: %s docs/queries.md\n", argv[0]);
        return 2;
    }
    while (fgets(line, sizeof(line), f)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "```", 3) == 0)
            snprintf(block, sizeof(block), "%.31s", line + 3);
        else if (block[0])
            take_line(block, line);
    }
    fclose(f);
    printf("%zu examples, %d wrong\n", n_examples, failures);
    for (size_t i = 0; i < n_rows; i++)
        free(rows[i]);
    schema_unref(schema);
    return failures > 0 || n_examples == 0;
}
