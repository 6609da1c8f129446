/* Tables opened from snapshots: the same as from all their messages, whatever
 * happened before, and whatever became of the snapshots. The seed is printed;
 * DBCORD_TEST_SEED repeats it. */
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
#include "engine/base/clock.h"
#include "engine/checkpoint.h"
#include "engine/engine_impl.h"
#include "engine/snapshot.h"
#include "tests/lib/world.h"

static uint64_t seed;

static uint32_t draw(uint64_t *rng, uint32_t n)
{
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*rng >> 33) % n;
}

static int setup(void **state)
{
    *state = memstore_new();
    return 0;
}

static int teardown(void **state)
{
    memstore_free(*state);
    return 0;
}

static uint64_t thread_of(struct process *p)
{
    return table_history_id(p->table);
}

/* Messages of this form in the thread: how many, and the newest. */
static size_t count_form(struct memstore *s, uint64_t thread, const char *form,
                         uint64_t *newest)
{
    size_t n = 0;

    for (size_t i = 0; i < memstore_messages(s, thread); i++) {
        uint64_t id = memstore_message_at(s, thread, i);
        char *content = memstore_content(s, thread, id);
        if (strncmp(content, form, strlen(form)) == 0) {
            n++;
            if (newest)
                *newest = id;
        }
        free(content);
    }
    return n;
}

static size_t snapshots_in(struct memstore *s, uint64_t thread,
                           uint64_t *newest)
{
    return count_form(s, thread, "-# dbcord snapshot ", newest) -
           count_form(s, thread, "-# dbcord snapshot part ", NULL);
}

/* All there is to see of a table, as text. */
static void describe(struct process *p, bool homes, struct buf *out)
{
    struct row *rows[32];
    uint64_t after = 0;
    size_t n;

    while ((n = row_list(p->table, after, rows, 32)) > 0) {
        for (size_t i = 0; i < n; i++) {
            struct row *r = rows[i];
            char *text = text_of(p->table, row_key(r));
            after = r->seq;
            buf_printf(out, "%s v%u %llu %lld %lld %s", row_key(r), r->version,
                       (unsigned long long)r->id, (long long)r->at_ms,
                       (long long)r->mtime_ms, r->by);
            if (homes)
                buf_printf(out, " home %llu", (unsigned long long)r->home);
            buf_printf(out, " %s\n", text);
            free(text);
            row_unref(r);
        }
    }
}

/* Reads all messages, whatever snapshots there are. */
static void describe_all(struct memstore *s, bool homes, struct buf *out)
{
    struct process p;

    process_start_bare(&p, s, true, 0);
    p.ns = namespace_find(engine_database_at(p.engine, 0), "prod");
    p.table = table_find(p.ns, "users");
    struct err err = ERR_INIT;
    /* Once connected it would list again, and see what is shown by then. */
    process_wait_idle(&p);
    memstore_hide(s, "-# dbcord snapshot ");
    assert_int_equal(table_open_wait(p.table, &err), 0);
    memstore_show(s);
    assert_int_equal(checkpoint_newest(p.table->ledger), 0);
    describe(&p, homes, out);
    process_stop(&p);
}

static void open_read_only(struct process *p, struct memstore *s)
{
    struct err err = ERR_INIT;

    process_start_bare(p, s, true, 0);
    p->ns = namespace_find(engine_database_at(p->engine, 0), "prod");
    p->table = table_find(p->ns, "users");
    process_wait_idle(p);
    memstore_reset_counts(s);
    assert_int_equal(table_open_wait(p->table, &err), 0);
}

static bool opened_from_snapshot(struct process *p)
{
    return checkpoint_newest(p->table->ledger) != 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Puts the lines of a text in order. */
static void sort_lines(struct buf *b)
{
    struct buf sorted = BUF_INIT;
    char **lines = xcalloc(b->len + 1, sizeof(*lines));
    size_t n = 0;
    char *save;

    for (char *l = strtok_r(b->data, "\n", &save); l;
         l = strtok_r(NULL, "\n", &save))
        lines[n++] = l;
    qsort(lines, n, sizeof(*lines), by_text);
    for (size_t i = 0; i < n; i++)
        buf_printf(&sorted, "%s\n", lines[i]);
    free(lines);
    buf_release(b);
    *b = sorted;
}

static void check_opens_the_same(struct memstore *s, bool homes, bool in_order)
{
    struct process p;
    AUTO_BUF struct buf all = BUF_INIT;
    AUTO_BUF struct buf some = BUF_INIT;

    describe_all(s, homes, &all);
    open_read_only(&p, s);
    describe(&p, homes, &some);
    process_stop(&p);
    if (!in_order && all.len > 0 && some.len > 0) {
        sort_lines(&all);
        sort_lines(&some);
    }
    const char *a = all.data ? all.data : "", *b = some.data ? some.data : "";
    while (strcspn(a, "\n") == strcspn(b, "\n") && *a &&
           memcmp(a, b, strcspn(a, "\n") + 1) == 0) {
        a += strcspn(a, "\n") + 1;
        b += strcspn(b, "\n") + 1;
    }
    if (*a || *b)
        fprintf(stderr, "from all:      %.100s\nfrom snapshot: %.100s\n", a, b);
    assert_true(!*a && !*b);
}

static void assert_opens_the_same(struct memstore *s, bool homes)
{
    check_opens_the_same(s, homes, true);
}

/* Two processes that wrote at once may each list the rows in the order in which
 * they heard of them, and a snapshot keeps its writer's. */
static void assert_holds_the_same(struct memstore *s)
{
    check_opens_the_same(s, false, false);
}

static void put_many(struct table *t, size_t from, size_t n, size_t pad)
{
    struct writes w;
    struct buf text = BUF_INIT;
    uint64_t rng = from + pad;

    writes_init(&w);
    for (size_t i = from; i < from + n; i++) {
        char key[32];
        snprintf(key, sizeof(key), "row %zu", i);
        buf_reset(&text);
        buf_printf(&text, "{\"id\":\"%s\",\"pad\":\"", key);
        for (size_t k = 0; k < pad; k++)
            buf_addc(&text, (char)('#' + draw(&rng, 50)));
        buf_addstr(&text, "\"}");
        writes_put(&w, t, key, text.data);
    }
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    buf_release(&text);
}

/* --- taking and opening -----------------------------------------------------
 */

static void unmount_leaves_a_checkpoint(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread;

    process_start(&p, s);
    thread = thread_of(&p);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\"}"), 0);
    assert_int_equal(put(p.table, "b", "{\"id\":\"b\"}"), 0);
    assert_int_equal(drop_row(p.table, "a"), 0);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, NULL), 1);

    open_read_only(&p, s);
    assert_true(opened_from_snapshot(&p));
    assert_int_equal(memstore_count(s, REMOTE_LIST), 2);
    assert_int_equal(row_count(p.table), 1);
    char *text = text_of(p.table, "b");
    assert_string_equal(text, "{\"id\":\"b\"}");
    free(text);
    process_stop(&p);
    assert_opens_the_same(s, true);

    /* Nothing changed: nothing is written. */
    process_start(&p, s);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, NULL), 1);

    /* A version goes on where the tombstone was. */
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\",\"n\":2}"), 0);
    assert_int_equal(version_of(p.table, "a"), 3);
    process_stop(&p);
    assert_opens_the_same(s, true);
}

static void one_shot_commands_leave_none(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread;

    process_start(&p, s);
    thread = thread_of(&p);
    process_stop(&p);
    size_t before = snapshots_in(s, thread, NULL);
    process_start_cold(&p, s);
    struct err err = ERR_INIT;
    assert_int_equal(table_open_wait(p.table, &err), 0);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\"}"), 0);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, NULL), before);
}

static void long_tail_is_cut(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread;

    process_start(&p, s);
    thread = thread_of(&p);
    for (int i = 0; i < CHECKPOINT_TAIL + 5; i++) {
        char text[64];
        snprintf(text, sizeof(text), "{\"id\":\"a\",\"n\":%d}", i);
        assert_int_equal(put(p.table, "a", text), 0);
    }
    while (snapshots_in(s, thread, NULL) == 0)
        memstore_quiet(s);
    process_kill(&p);
    open_read_only(&p, s);
    assert_true(opened_from_snapshot(&p));
    assert_true(memstore_count_all(s) - memstore_count(s, REMOTE_DOWNLOAD) <=
                6);
    process_stop(&p);
    assert_opens_the_same(s, false);
}

static void large_tables_open_in_few_requests(void **state)
{
    struct memstore *s = *state;
    struct process p;

    memstore_set_max_file(s, 100000);
    process_start(&p, s);
    uint64_t thread = thread_of(&p);
    put_many(p.table, 0, 5000, 400);
    struct err err = ERR_INIT;
    assert_int_equal(checkpoint_take(p.table->ledger, NULL, NULL, true,
                                     REMOTE_NORMAL, NULL, &err),
                     0);
    assert_true(count_form(s, thread, "-# dbcord snapshot part ", NULL) > 2);
    /* As many messages as may come before the next. */
    for (int i = 0; i < CHECKPOINT_TAIL - 40; i++) {
        char key[32], text[64];
        snprintf(key, sizeof(key), "row %d", i * 3);
        snprintf(text, sizeof(text), "{\"id\":\"%s\",\"n\":%d}", key, i);
        assert_int_equal(put(p.table, key, text), 0);
    }
    process_kill(&p);
    open_read_only(&p, s);
    assert_true(opened_from_snapshot(&p));
    assert_int_equal(row_count(p.table), 5000);
    assert_true(memstore_count_all(s) - memstore_count(s, REMOTE_DOWNLOAD) <=
                6);
    process_stop(&p);
    assert_opens_the_same(s, false);
}

/* Is there a snapshot of all rows behind this message? */
static bool is_whole_behind(struct memstore *s, uint64_t thread, uint64_t after)
{
    bool found = false;

    for (size_t i = 0; i < memstore_messages(s, thread) && !found; i++) {
        uint64_t id = memstore_message_at(s, thread, i);
        char *content = memstore_content(s, thread, id);
        found = id > after &&
                strncmp(content, "-# dbcord snapshot rows ", 24) == 0 &&
                !strstr(content, " over ");
        free(content);
    }
    return found;
}

static void changes_alone_are_written_over_a_whole(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    uint64_t thread;

    process_start(&p, s);
    thread = thread_of(&p);
    put_many(p.table, 0, 3000, 600);
    process_stop(&p);
    /* Many small commits may have called for more than the one at the end. */
    assert_true(snapshots_in(s, thread, NULL) >= 1);

    /* Over what it was opened from. */
    process_start(&p, s);
    put_many(p.table, 2990, 30, 600);
    assert_int_equal(drop_row(p.table, "row 5"), 0);
    assert_int_equal(drop_row(p.table, "row 6"), 0);
    assert_int_equal(put(p.table, "row 6", "{\"id\":\"row 6\"}"), 0);
    assert_int_equal(move_row(p.table, "row 7", "moved"), 0);
    process_stop(&p);
    uint64_t newest;
    assert_true(snapshots_in(s, thread, &newest) >= 2);
    char *content = memstore_content(s, thread, newest);
    assert_non_null(strstr(content, " over "));
    free(content);
    open_read_only(&p, s);
    assert_true(opened_from_snapshot(&p));
    assert_true(memstore_count(s, REMOTE_LIST) <= 3);
    process_stop(&p);
    assert_opens_the_same(s, false);

    /* And again: never over one that is over another. */
    process_start(&p, s);
    put_many(p.table, 10, 30, 500);
    assert_int_equal(checkpoint_take(p.table->ledger, NULL, NULL, false,
                                     REMOTE_NORMAL, NULL, &err),
                     0);
    put_many(p.table, 20, 30, 400);
    assert_int_equal(checkpoint_take(p.table->ledger, NULL, NULL, false,
                                     REMOTE_NORMAL, NULL, &err),
                     0);
    process_wait_idle(&p);
    process_kill(&p);
    size_t before = snapshots_in(s, thread, &newest);
    assert_true(before >= 4);
    assert_opens_the_same(s, false);

    /* Much has changed: all is written. */
    process_start(&p, s);
    put_many(p.table, 100, 1500, 610);
    process_wait_idle(&p);
    assert_int_equal(checkpoint_take(p.table->ledger, NULL, NULL, false,
                                     REMOTE_NORMAL, NULL, &err),
                     0);
    process_kill(&p);
    assert_true(snapshots_in(s, thread, NULL) > before);
    assert_true(is_whole_behind(s, thread, newest));
    assert_opens_the_same(s, false);
}

/* --- asked for ---------------------------------------------------------------
 */

struct seen {
    size_t n;
    char keys[500];
};

static int see(void *arg, const struct snapshot_row *r, struct err *err)
{
    struct seen *seen = arg;

    (void)err;
    assert_int_equal(r->text[r->text_len - 1], '\n');
    seen->n++;
    strncat(seen->keys, r->key, r->key_len);
    strcat(seen->keys, " ");
    return 0;
}

static void labels_are_kept(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct snapshot_info info;
    struct snapshot_list list;
    struct seen seen = {0};
    char big[5000], id[24];

    memset(big, 'x', sizeof(big));
    memcpy(big, "{\"id\":\"big\",\"t\":\"", 17);
    memcpy(big + sizeof(big) - 3, "\"}", 3);
    process_start(&p, s);
    assert_int_equal(put(p.table, "b", "{\"id\":\"b\"}"), 0);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\"}"), 0);
    assert_int_equal(put(p.table, "big", big), 0);
    assert_int_equal(table_snapshot_wait(p.table, ".x", NULL, &info, &err),
                     -EINVAL);
    assert_int_equal(table_snapshot_wait(p.table, "12", NULL, &info, &err),
                     -EINVAL);
    assert_int_equal(
        table_snapshot_wait(p.table, "monday", "eve@host", &info, &err), 0);
    assert_string_equal(info.label, "monday");
    assert_string_equal(info.by, "eve@host");
    assert_int_equal(info.rows, 3);
    snprintf(id, sizeof(id), "%llu", (unsigned long long)info.id);
    snapshot_info_release(&info);
    assert_int_equal(table_snapshot_wait(p.table, "monday", NULL, NULL, &err),
                     -EEXIST);
    assert_int_equal(drop_row(p.table, "a"), 0);
    assert_int_equal(put(p.table, "b", "{\"id\":\"b\",\"n\":2}"), 0);
    assert_int_equal(put(p.table, "c", "{\"id\":\"c\"}"), 0);
    process_stop(&p);

    /* Another process knows it, by the checkpoint behind it. */
    process_start(&p, s);
    assert_int_equal(table_snapshots_wait(p.table, &list, &err), 0);
    assert_int_equal(list.n, 2);
    assert_string_equal(list.list[0].label, "monday");
    assert_null(list.list[1].label);
    snapshot_list_release(&list);
    assert_int_equal(
        table_snapshot_read_wait(p.table, "monday", see, &seen, &err), 0);
    assert_string_equal(seen.keys, "b a big ");
    assert_int_equal(table_snapshot_read_wait(p.table, "no", see, &seen, &err),
                     -ENOENT);
    assert_int_equal(table_snapshot_read_wait(p.table, id, see, &seen, &err),
                     0);
    assert_int_equal(seen.n, 6);

    struct snapshot_restored did;
    memstore_reset_counts(s);
    assert_int_equal(table_snapshot_restore_wait(p.table, "monday", NULL, NULL,
                                                 NULL, &did, &err),
                     0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);
    assert_int_equal(did.put, 2);
    assert_int_equal(did.deleted, 1);
    assert_int_equal(did.same, 1);
    char *text = text_of(p.table, "b");
    assert_string_equal(text, "{\"id\":\"b\"}");
    free(text);
    assert_int_equal(version_of(p.table, "b"), 3);
    assert_int_equal(version_of(p.table, "a"), 3);
    assert_null(text_of(p.table, "c"));
    assert_int_equal(table_snapshot_restore_wait(p.table, "monday", NULL, NULL,
                                                 NULL, &did, &err),
                     0);
    assert_int_equal(did.put + did.deleted, 0);

    uint64_t *ids;
    size_t n;
    assert_int_equal(table_snapshot_needs_wait(p.table, false, &ids, &n, &err),
                     0);
    assert_true(n >= 3);
    free(ids);
    assert_int_equal(table_snapshot_drop_wait(p.table, "monday", &err), 0);
    assert_int_equal(table_snapshot_drop_wait(p.table, "monday", &err),
                     -ENOENT);
    assert_int_equal(table_snapshot_wait(p.table, "monday", NULL, NULL, &err),
                     0);
    process_stop(&p);
    assert_opens_the_same(s, false);
}

/* --- damage ----------------------------------------------------------------
 */

static void damaged_ones_are_passed_over(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread, first, second;

    process_start(&p, s);
    thread = thread_of(&p);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\"}"), 0);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, &first), 1);
    process_start(&p, s);
    assert_int_equal(put(p.table, "b", "{\"id\":\"b\"}"), 0);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\",\"n\":1}"), 0);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, &second), 2);

    memstore_damage_file(s, thread, second);
    open_read_only(&p, s);
    assert_int_equal(checkpoint_newest(p.table->ledger), first);
    struct buf status = BUF_INIT;
    table_status(p.table, &status);
    assert_non_null(strstr(status.data, "\"damaged\":1"));
    buf_release(&status);
    process_stop(&p);
    assert_opens_the_same(s, true);

    memstore_damage_file(s, thread, first);
    open_read_only(&p, s);
    assert_false(opened_from_snapshot(&p));
    process_stop(&p);
    assert_opens_the_same(s, true);

    /* Who may write writes one that is right, though nothing else changed. */
    process_start(&p, s);
    process_stop(&p);
    assert_int_equal(snapshots_in(s, thread, &second), 3);
    open_read_only(&p, s);
    assert_int_equal(checkpoint_newest(p.table->ledger), second);
    process_stop(&p);
    assert_opens_the_same(s, true);
}

static void a_part_that_is_gone_is_noticed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread, part = 0;

    memstore_set_max_file(s, 20000);
    process_start(&p, s);
    thread = thread_of(&p);
    put_many(p.table, 0, 600, 300);
    process_stop(&p);
    assert_true(count_form(s, thread, "-# dbcord snapshot part ", &part) > 0);
    memstore_delete_as(s, thread, part);
    open_read_only(&p, s);
    assert_false(opened_from_snapshot(&p));
    process_stop(&p);
    assert_opens_the_same(s, false);
}

/* A message whose id is before the cut, and that nobody had seen. */
static void late_messages_are_noticed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    uint64_t thread;

    process_start(&p, s);
    thread = thread_of(&p);
    uint64_t channel = table_id(p.table);
    assert_int_equal(put(p.table, "a", "{\"id\":\"a\"}"), 0);
    memstore_hide_next(s, channel);
    struct writes w;
    writes_init(&w);
    writes_put(&w, p.table, "b", "{\"id\":\"b\"}");
    writes_wait(&w);
    process_kill(&p);

    struct process q;
    process_start(&q, s);
    assert_int_equal(put(q.table, "c", "{\"id\":\"c\"}"), 0);
    process_stop(&q);
    assert_int_equal(snapshots_in(s, thread, NULL), 1);
    memstore_show(s);
    open_read_only(&q, s);
    assert_false(opened_from_snapshot(&q));
    assert_int_equal(row_count(q.table), 3);
    process_stop(&q);
    assert_opens_the_same(s, true);
}

/* --- crashes ----------------------------------------------------------------
 */

static void crash_at_each_request(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    memstore_set_max_file(s, 20000);
    process_start(&p, s);
    put_many(p.table, 0, 500, 300);
    process_kill(&p);
    for (int at = 0; at < 12; at++) {
        process_start(&p, s);
        char key[32];
        snprintf(key, sizeof(key), "new %d", at);
        char text[64];
        snprintf(text, sizeof(text), "{\"id\":\"%s\"}", key);
        assert_int_equal(put(p.table, key, text), 0);
        memstore_quiet(s);
        memstore_die_after(p.remote, (size_t)at);
        int r = checkpoint_take(p.table->ledger, NULL, NULL, true,
                                REMOTE_NORMAL, NULL, &err);
        process_kill(&p);
        assert_opens_the_same(s, false);
        if (r == 0)
            return;
    }
    fail_msg("it takes more requests than that");
}

/* --- long lives --------------------------------------------------------------
 */

static char *random_text(uint64_t *rng, const char *key)
{
    static const size_t pads[] = {0, 10, 100, 1500, 1900, 3000};
    struct buf b = BUF_INIT;
    size_t pad = pads[draw(rng, 6)];

    buf_printf(&b, "{\"id\":\"%s\",\"n\":%u,%s\"pad\":\"", key,
               draw(rng, 1000000), draw(rng, 3) ? "" : "\n ");
    for (size_t i = 0; i < pad; i++)
        buf_addc(&b, (char)('a' + draw(rng, 26)));
    if (draw(rng, 5) == 0)
        buf_addstr(&b, "\xe2\x80\x8b~");
    buf_addstr(&b, "\"}");
    return buf_take_str(&b);
}

static void random_step(struct process *p, uint64_t *rng)
{
    char key[16], to[16];

    snprintf(key, sizeof(key), "key %u", draw(rng, 12));
    snprintf(to, sizeof(to), "key %u", draw(rng, 12));
    switch (draw(rng, 8)) {
    case 0:
    case 1:
        drop_row(p->table, key);
        break;
    case 2:
        if (strcmp(key, to) != 0)
            move_row(p->table, key, to);
        break;
    default: {
        char *text = random_text(rng, key);
        put(p->table, key, text);
        free(text);
    }
    }
}

static void random_lives(void **state)
{
    struct memstore *s = *state;
    uint64_t rng = seed;
    struct err err = ERR_INIT;
    bool raced = false;

    for (int life = 0; life < 25; life++) {
        struct process p, q;
        bool two = draw(&rng, 3) == 0;

        process_start(&p, s);
        if (two)
            process_start(&q, s);
        for (uint32_t i = draw(&rng, 40); i > 0; i--) {
            random_step(two && draw(&rng, 2) ? &q : &p, &rng);
            if (draw(&rng, 20) == 0) {
                struct process *who = two && draw(&rng, 2) ? &q : &p;
                checkpoint_take(who->table->ledger, NULL, NULL, draw(&rng, 2),
                                REMOTE_NORMAL, NULL, &err);
            }
            if (draw(&rng, 10) == 0)
                process_wait_settled(&p);
        }
        if (two) {
            if (draw(&rng, 2))
                process_stop(&q);
            else
                process_kill(&q);
        }
        if (draw(&rng, 2))
            process_stop(&p);
        else
            process_kill(&p);
        raced = raced || two;
        if (raced)
            assert_holds_the_same(s);
        else
            assert_opens_the_same(s, false);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(unmount_leaves_a_checkpoint, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_shot_commands_leave_none, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(long_tail_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(large_tables_open_in_few_requests,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(changes_alone_are_written_over_a_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(labels_are_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(damaged_ones_are_passed_over, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_part_that_is_gone_is_noticed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(late_messages_are_noticed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(crash_at_each_request, setup, teardown),
        cmocka_unit_test_setup_teardown(random_lives, setup, teardown),
    };
    const char *given = getenv("DBCORD_TEST_SEED");

    seed = given ? strtoull(given, NULL, 10) : (uint64_t)clock_wall_ms();
    fprintf(stderr, "seed %llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
