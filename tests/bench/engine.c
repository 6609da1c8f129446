/* What a large table costs: a million rows of 300 bytes over the store in
 * memory, which answers at once, so that what is measured is ours.
 *
 * Processor time is given beside that of two passes over the same bytes in the
 * same run, a copy and a parse, and memory beside the rows' own bytes, so that
 * the figures mean something on another machine, and one that does other things
 * too. Nothing here passes or fails.
 *
 *     engine [rows]      a million where none are given */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/buf.h"
#include "engine/find.h"
#include "engine/import.h"
#include "engine/json.h"
#include "engine/query.h"
#include "engine/snapshot.h"
#include "tests/lib/world.h"

enum { ROW = 300, FINDS = 20000, WRITES = 20000 };

/* --- measuring -------------------------------------------------------------
 */

static double seconds(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static atomic_size_t allocations;

/* glibc's own, under the names it keeps for this. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

void *malloc(size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed);
    return __libc_realloc(p, size);
}

/* What is allocated, without what the allocator keeps free. */
static size_t in_use(void)
{
    struct mallinfo2 m = mallinfo2();

    return m.uordblks + m.hblkhd;
}

/* What the kernel has given, once the allocator gave back what it can. */
static size_t resident(void)
{
    size_t pages = 0;

    malloc_trim(0);
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f || fscanf(f, "%*u %zu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

struct stage {
    double wall, cpu;
    size_t allocations;
};

static void begin(struct stage *s)
{
    s->allocations = atomic_load(&allocations);
    s->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID);
    s->wall = seconds(CLOCK_MONOTONIC);
}

static void end(struct stage *s)
{
    s->wall = seconds(CLOCK_MONOTONIC) - s->wall;
    s->cpu = seconds(CLOCK_PROCESS_CPUTIME_ID) - s->cpu;
    s->allocations = atomic_load(&allocations) - s->allocations;
}

static size_t rows = 1000000;
static double copy_pass, parse_pass; /* seconds over all rows' bytes */
static size_t row_bytes;

static void report(const char *what, size_t n, const struct stage *s)
{
    printf("%-34s %8.2f s  %7.2f s cpu: %6.2f us a row, %9.0f rows/s, "
           "%6.1f copies, %5.1f parses  %4.1f allocations\n",
           what, s->wall, s->cpu, s->cpu * 1e6 / (double)n, (double)n / s->cpu,
           s->cpu / copy_pass * (double)rows / (double)n,
           s->cpu / parse_pass * (double)rows / (double)n,
           (double)s->allocations / (double)n);
    fflush(stdout);
}

static void report_memory(const char *what, size_t used, size_t given)
{
    double bound = 1.5 * (double)row_bytes + 100.0 * (double)rows + (32 << 20);

    printf("%-34s %6.1f MiB  %6.1f B a row  %4.2f of the rows' bytes  "
           "%4.2f of the bound  (resident: %.1f MiB, %4.2f of the bound)\n",
           what, (double)used / (1 << 20), (double)used / (double)rows,
           (double)used / (double)row_bytes, (double)used / bound,
           (double)given / (1 << 20), (double)given / bound);
    fflush(stdout);
}

static void must(int r, const struct err *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err_text(err, r));
        exit(1);
    }
}

/* --- rows ------------------------------------------------------------------
 */

static void write_row(size_t i, struct buf *out)
{
    static const char *const roles[] = {"student", "admin"};
    size_t from = out->len;

    buf_printf(out,
               "{\"id\":\"u_%07zu\",\"email\":\"person.%zu@example.org\","
               "\"role\":\"%s\",\"age\":%zu,\"score\":%zu.%zu,\"ok\":true,"
               "\"address\":{\"city\":\"city %zu\"},\"pad\":\"",
               i, i, roles[i % 2], i % 97, i % 1013, i % 10, i % 500);
    while (out->len - from < ROW - 2)
        buf_addc(out, (char)('a' + (i * 7 + out->len * 13) % 26));
    buf_addstr(out, "\"}");
}

static void passes(const struct buf *all)
{
    struct err err = ERR_INIT;
    char *copy = xmalloc(all->len);

    memcpy(copy, all->data, all->len);
    double from = seconds(CLOCK_PROCESS_CPUTIME_ID);
    memcpy(copy, all->data, all->len);
    copy_pass = seconds(CLOCK_PROCESS_CPUTIME_ID) - from;

    from = seconds(CLOCK_PROCESS_CPUTIME_ID);
    for (const char *at = copy; at < copy + all->len;) {
        const char *eol = memchr(at, '\n', (size_t)(copy + all->len - at));
        must(json_check(at, (size_t)(eol - at), &err), &err);
        at = eol + 1;
    }
    parse_pass = seconds(CLOCK_PROCESS_CPUTIME_ID) - from;
    free(copy);
    printf("%zu rows of %d bytes; one copy of them: %.3f s, one parse: %.3f s "
           "(%.0f rows/s)\n",
           rows, ROW, copy_pass, parse_pass, (double)rows / parse_pass);
}

/* --- queries ---------------------------------------------------------------
 */

static int take_row(void *arg, struct row *row, const char *text, size_t len,
                    struct err *err)
{
    (void)row;
    (void)text;
    (void)len;
    (void)err;
    (*(size_t *)arg)++;
    return 0;
}

static struct query *query_of(struct table *t, const char *where)
{
    struct schema *schema = table_schema(t);
    struct query *q = query_new(schema);
    struct err err = ERR_INIT;

    schema_unref(schema);
    must(query_add_where(q, where, strlen(where), &err), &err);
    return q;
}

static void bench_finds(struct table *t)
{
    struct find_options o = {.resident = true};
    struct err err = ERR_INIT;
    struct stage s;
    size_t hits = 0;
    uint64_t count;
    char where[100];

    begin(&s);
    for (size_t i = 0; i < FINDS; i++) {
        snprintf(where, sizeof(where), "{\"email\":\"person.%zu@example.org\"}",
                 i * 7919 % rows);
        struct query *q = query_of(t, where);
        must(table_find_wait(t, q, &o, take_row, &hits, &err), &err);
        query_unref(q);
    }
    end(&s);
    report("find by a unique index, query made", FINDS, &s);
    if (hits != FINDS)
        printf("    %zu hits instead of %d\n", hits, FINDS);

    struct query *q = query_of(t, "{\"email\":\"person.77@example.org\"}");
    begin(&s);
    for (size_t i = 0; i < FINDS; i++)
        must(table_find_wait(t, q, &o, take_row, &hits, &err), &err);
    end(&s);
    query_unref(q);
    report("find by a unique index", FINDS, &s);

    static const char *const scans[] = {
        "{\"age\":{\"$gte\":90}}",
        "{\"pad\":{\"$contains\":\"zzzz\"}}",
        "{\"address.city\":\"city 77\",\"score\":{\"$lt\":100}}",
    };
    for (size_t i = 0; i < 3; i++) {
        AUTO_BUF struct buf name = BUF_INIT;
        q = query_of(t, scans[i]);
        begin(&s);
        must(table_count_wait(t, q, &o, &count, &err), &err);
        end(&s);
        query_unref(q);
        buf_printf(&name, "scan %.28s", scans[i]);
        report(name.data, rows, &s);
    }
}

/* --- the run ---------------------------------------------------------------
 */

static void open_again(struct process *p, struct memstore *s, const char *what,
                       const char *memory)
{
    struct stage stage;
    struct err err = ERR_INIT;

    size_t before = in_use(), given = resident();
    process_start_cold(p, s);
    memstore_reset_counts(s);
    begin(&stage);
    must(table_open_wait(p->table, &err), &err);
    end(&stage);
    report(what, rows, &stage);
    printf("    %zu requests, %zu downloads, %.0f MB of rows/s\n",
           memstore_count_all(s) - memstore_count(s, REMOTE_DOWNLOAD),
           memstore_count(s, REMOTE_DOWNLOAD),
           (double)row_bytes / 1e6 / stage.cpu);
    report_memory(memory, in_use() - before, resident() - given);
}

static void import_all(struct process *p, struct buf *all)
{
    struct import_options o = {.format = IMPORT_NDJSON};
    struct import_result res;
    struct err err = ERR_INIT;
    struct stage s;

    begin(&s);
    int r = table_import_wait(p->table, all->data, all->len, &o, &res, &err);
    end(&s);
    must(r, &err);
    import_result_release(&res);
    report("import", rows, &s);
}

static void bench_writes(struct process *p)
{
    struct stage s;
    struct writes w;
    AUTO_BUF struct buf text = BUF_INIT;
    char key[32];

    for (int update = 0; update < 2; update++) {
        writes_init(&w);
        begin(&s);
        for (size_t i = 0; i < WRITES; i++) {
            size_t n = update ? i * 37 % rows : rows + i;
            buf_reset(&text);
            write_row(n, &text);
            /* Another email, so that an update changes an index. */
            text.data[text.len - 3] = (char)('A' + i % 26);
            snprintf(key, sizeof(key), "u_%07zu", n);
            writes_put(&w, p->table, key, text.data);
        }
        writes_wait(&w);
        end(&s);
        report(update ? "updates, many at once" : "inserts, many at once",
               WRITES, &s);
        if (w.failed)
            printf("    %zu failed: %s\n", w.failed, w.last_text);
    }
}

int main(int argc, char **argv)
{
    struct memstore *s = memstore_new();
    struct process p;
    struct err err = ERR_INIT;
    struct stage stage;
    struct buf all = BUF_INIT;

    if (argc > 1)
        rows = (size_t)strtoul(argv[1], NULL, 10);
    for (size_t i = 0; i < rows; i++) {
        write_row(i, &all);
        buf_addc(&all, '\n');
    }
    row_bytes = all.len - rows;
    passes(&all);

    process_start(&p, s);
    import_all(&p, &all);
    buf_release(&all);
    process_stop(&p);

    open_again(&p, s, "open by a full listing", "memory, no index");
    begin(&stage);
    must(table_snapshot_wait(p.table, "one", NULL, NULL, &err), &err);
    end(&stage);
    report("take a snapshot", rows, &stage);
    process_stop(&p);

    open_again(&p, s, "open from the snapshot", "memory, no index");
    begin(&stage);
    must(table_index_create(p.table, "email", true, &err), &err);
    end(&stage);
    report("make a unique index", rows, &stage);
    must(table_snapshot_wait(p.table, "two", NULL, NULL, &err), &err);
    process_stop(&p);

    open_again(&p, s, "open from a snapshot, 1 index", "memory, 1 index");
    begin(&stage);
    must(table_index_create(p.table, "role", false, &err), &err);
    end(&stage);
    report("make an index of two values", rows, &stage);
    must(table_snapshot_wait(p.table, "three", NULL, NULL, &err), &err);
    process_stop(&p);

    open_again(&p, s, "open from a snapshot, 2 indexes", "memory, 2 indexes");
    bench_finds(p.table);
    bench_writes(&p);
    process_stop(&p);
    memstore_free(s);
    return 0;
}
