/* How fast a query goes over rows: each row is referenced, asked and given
 * back, as a scan of a table does it. The measure beside it is a pass that
 * looks at each byte once (memchr for a byte that is not there).
 *
 *     query_scan [ROWS]
 *
 * One JSON object a line: name, rows a second, and the time as a multiple of
 * the pass over the same bytes. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/query.h"
#include "engine/row.h"

static uint64_t rng = 0x9e3779b97f4a7c15u;

static unsigned draw(unsigned below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (unsigned)(rng >> 33) % below;
}

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* About 300 bytes, as people have them. */
static struct row *make_row(unsigned i)
{
    static const char *const roles[] = {"student", "teacher", "admin", "guest"};
    AUTO_BUF struct buf b = BUF_INIT;
    char key[32];

    snprintf(key, sizeof(key), "u_%u", i);
    buf_printf(&b, "{\"id\":\"%s\",\"email\":\"user%u@example.org\",", key, i);
    buf_printf(&b, "\"name\":\"Somebody Number %u\",\"role\":\"%s\",", i,
               roles[draw(4)]);
    buf_printf(&b,
               "\"address\":{\"street\":\"%u Long Street\",\"city\":\"City "
               "%u\",\"zip\":\"%05u\"},",
               draw(400), draw(1000), draw(100000));
    buf_printf(&b, "\"tags\":[\"t%u\",\"t%u\"],\"score\":%u.%u,", draw(50),
               draw(50), draw(100), draw(10));
    if (draw(20) > 0)
        buf_printf(&b, "\"age\":%u,", 10 + draw(70));
    buf_addstr(&b, "\"bio\":\"");
    while (b.len < 290)
        buf_addstr(&b, "likes long walks ");
    buf_addstr(&b, "\"}");
    return row_new(key, strlen(key), b.data, b.len);
}

struct rows {
    struct row **list;
    size_t n;
    double pass; /* seconds for a look at each byte */
};

static size_t byte_pass(const struct rows *rows)
{
    size_t hits = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *r = row_ref(rows->list[i]);
        hits += memchr(row_text(r), '\x01', r->text_len) != NULL;
        row_unref(r);
    }
    return hits;
}

static void report(const struct rows *rows, const char *name, size_t hits,
                   double seconds)
{
    printf("{\"scan\":\"%s\",\"rows\":%zu,\"hits\":%zu,\"rows_per_s\":%.0f,"
           "\"times_byte_pass\":%.1f}\n",
           name, rows->n, hits, (double)rows->n / seconds,
           seconds / rows->pass);
}

static struct query *parse(const char *where, const char *sort,
                           const char *limit)
{
    struct query *q = query_new(NULL);
    struct err err = ERR_INIT;

    if (query_add_where(q, where, strlen(where), &err) < 0 ||
        (sort && query_add_sort(q, sort, strlen(sort), &err) < 0) ||
        (limit && query_add_limit(q, limit, strlen(limit), &err) < 0)) {
        fprintf(stderr, "%s: %s\n", where, err.text);
        exit(1);
    }
    return q;
}

static size_t scan(const struct rows *rows, const struct query *q)
{
    size_t hits = 0;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *r = row_ref(rows->list[i]);
        hits += query_matches(q, row_text(r), r->text_len);
        row_unref(r);
    }
    return hits;
}

/* The best of three: what else the machine does is not the question. */
static void time_scan(const struct rows *rows, const char *where)
{
    struct query *q = parse(where, NULL, NULL);
    double best = 1e9;
    size_t hits = 0;

    for (int i = 0; i < 3; i++) {
        double start = now();
        hits = scan(rows, q);
        double took = now() - start;
        best = took < best ? took : best;
    }
    AUTO_BUF struct buf name = BUF_INIT;
    buf_add_json(&name, where, strlen(where));
    /* Without its quotes: report() has them. */
    name.data[name.len - 1] = '\0';
    report(rows, name.data + 1, hits, best);
    query_unref(q);
}

static void time_sort(const struct rows *rows, const char *sort,
                      const char *limit)
{
    struct query *q = parse("{}", sort, limit);
    double start = now();
    struct query_top *top = query_top_new(q);
    size_t n;

    for (size_t i = 0; i < rows->n; i++) {
        struct row *r = rows->list[i];
        query_top_add(top, row_text(r), r->text_len, i, r);
    }
    query_top_items(top, &n);
    double took = now() - start;
    AUTO_BUF struct buf name = BUF_INIT;
    buf_printf(&name, "sort %s limit %s", sort, limit ? limit : "none");
    report(rows, name.data, n, took);
    query_top_free(top);
    query_unref(q);
}

int main(int argc, char **argv)
{
    struct rows rows = {.n = argc > 1 ? strtoul(argv[1], NULL, 10) : 300000};

    rows.list = xcalloc(rows.n, sizeof(struct row *));
    for (size_t i = 0; i < rows.n; i++)
        rows.list[i] = make_row((unsigned)i);
    rows.pass = 1e9;
    for (int i = 0; i < 3; i++) {
        double start = now();
        if (byte_pass(&rows) > 0)
            return 1;
        double took = now() - start;
        rows.pass = took < rows.pass ? took : rows.pass;
    }
    report(&rows, "byte pass", 0, rows.pass);
    time_scan(&rows, "{\"role\":\"student\",\"age\":{\"$gte\":18}}");
    time_scan(&rows, "{\"id\":\"u_77\"}");
    time_scan(&rows, "{\"missing\":{\"$exists\":true}}");
    time_scan(&rows, "{\"address.city\":\"City 7\"}");
    time_scan(&rows, "{\"bio\":{\"$contains\":\"walks alone\"}}");
    time_scan(&rows, "{\"tags\":{\"$contains\":\"t7\"}}");
    time_sort(&rows, "-age,id", "10");
    time_sort(&rows, "-age,id", NULL);
    for (size_t i = 0; i < rows.n; i++)
        row_unref(rows.list[i]);
    free(rows.list);
    return 0;
}
