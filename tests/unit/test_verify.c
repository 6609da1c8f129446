/* Verification: every kind of damage is planted by hand, found with its place,
 * healed where it can be, and gone when looked for again. */
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
#include "engine/base/buf.h"
#include "engine/verify.h"
#include "tests/lib/world.h"

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

/* --- what was found ---------------------------------------------------------
 */

struct seen {
    char *kind, *key, *text;
    enum finding_severity severity;
    uint64_t channel, message;
    bool repaired;
};

struct report {
    struct seen list[64];
    size_t n;
    struct verify_summary sum;
};

static int note(void *arg, const struct finding *f, struct err *err)
{
    struct report *rp = arg;

    (void)err;
    assert_true(rp->n < 64);
    assert_non_null(f->text);
    assert_non_null(f->remedy);
    rp->list[rp->n++] = (struct seen){
        .kind = xstrdup(f->kind),
        .key = f->key ? xstrndup(f->key, f->key_len) : NULL,
        .text = xstrdup(f->text),
        .severity = f->severity,
        .channel = f->channel,
        .message = f->message,
        .repaired = f->repaired,
    };
    return 0;
}

static void report_release(struct report *rp)
{
    for (size_t i = 0; i < rp->n; i++) {
        free(rp->list[i].kind);
        free(rp->list[i].key);
        free(rp->list[i].text);
    }
    *rp = (struct report){0};
}

static void verify_with(struct process *p, struct table *t, bool repair,
                        struct report *rp)
{
    struct verify_options o = {.repair = repair};
    struct err err = ERR_INIT;

    report_release(rp);
    int r = verify_wait(p->ns, t, &o, note, rp, &rp->sum, &err);
    if (r < 0)
        fail_msg("verify: %s", err_text(&err, r));
}

static void verify(struct process *p, struct report *rp)
{
    verify_with(p, NULL, false, rp);
}

static void repair(struct process *p, struct report *rp)
{
    verify_with(p, NULL, true, rp);
}

static void show(const struct report *rp, struct buf *out)
{
    for (size_t i = 0; i < rp->n; i++)
        buf_printf(out, "\n  %s %s %s: %s%s",
                   finding_severity_name(rp->list[i].severity),
                   rp->list[i].kind, rp->list[i].key ? rp->list[i].key : "-",
                   rp->list[i].text, rp->list[i].repaired ? " (repaired)" : "");
}

/* The only one of this kind, about this key (NULL: any). */
static const struct seen *found(const struct report *rp, const char *kind,
                                const char *key)
{
    AUTO_BUF struct buf all = BUF_INIT;

    for (size_t i = 0; i < rp->n; i++)
        if (strcmp(rp->list[i].kind, kind) == 0 &&
            (!key || (rp->list[i].key && strcmp(rp->list[i].key, key) == 0)))
            return &rp->list[i];
    show(rp, &all);
    fail_msg("no %s of %s among:%s", kind, key ? key : "any", all.data);
    return NULL;
}

static void assert_clean(const struct report *rp)
{
    AUTO_BUF struct buf all = BUF_INIT;

    show(rp, &all);
    if (rp->sum.errors || rp->sum.warnings)
        fail_msg("not clean:%s", all.data);
}

/* Found so, healed, and not there any more when looked at anew, by this
 * process and by a fresh one. */
static void assert_heals(struct memstore *s, struct process *p,
                         const char *kind, const char *key)
{
    struct report rp = {0};

    repair(p, &rp);
    if (!found(&rp, kind, key)->repaired) {
        AUTO_BUF struct buf all = BUF_INIT;
        show(&rp, &all);
        fail_msg("%s was not repaired:%s", kind, all.data);
    }
    process_wait_settled(p);
    memstore_quiet(s);
    verify(p, &rp);
    assert_clean(&rp);
    process_stop(p);
    process_start(p, s);
    verify(p, &rp);
    assert_clean(&rp);
    report_release(&rp);
}

static void assert_text(struct table *t, const char *key, const char *expected)
{
    char *text = text_of(t, key);

    if (!expected) {
        assert_null(text);
        return;
    }
    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

/* {"pad":"xxx…"}: too big for a message. */
static char *big_text(char c)
{
    char *text = xmalloc(5000);

    memset(text, c, 4999);
    memcpy(text, "{\"pad\":\"", 8);
    memcpy(text + 4997, "\"}", 3);
    return text;
}

/* --- all is well ------------------------------------------------------------
 */

static void all_is_well(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    char *big = big_text('x');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "b", "{}"), 0);
    assert_int_equal(drop_row(p.table, "b"), 0);
    assert_int_equal(put(p.table, "b", "{\"again\":true}"), 0);
    assert_int_equal(put(p.table, "big", big), 0);
    assert_int_equal(put(p.table, "big", "{\"small\":1}"), 0);
    assert_int_equal(put(p.table, "c", "{}"), 0);
    assert_int_equal(move_row(p.table, "c", "d"), 0);
    process_wait_settled(&p);
    verify(&p, &rp);
    assert_clean(&rp);
    assert_int_equal(rp.n, 0);
    assert_int_equal(rp.sum.tables, 1);
    assert_int_equal(rp.sum.rows, 4);
    assert_true(rp.sum.files >= 1);
    process_stop(&p);
    report_release(&rp);
    free(big);
}

/* --- messages ---------------------------------------------------------------
 */

static void foreign_messages_are_noted(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    for (int i = 0; i < 8; i++)
        memstore_post_as(s, table_id(p.table), 77, "hello");
    uint64_t in_thread =
        memstore_post_as(s, table_history_id(p.table), 77, "hello there");
    verify(&p, &rp);
    assert_clean(&rp);
    assert_int_equal(rp.sum.notes, 9);
    assert_int_equal(rp.n, 6); /* five by name, and how many more */
    assert_int_equal(found(&rp, "foreign_message", NULL)->severity,
                     FINDING_NOTE);
    assert_int_not_equal(in_thread, 0);
    process_stop(&p);
    report_release(&rp);
}

static void unknown_messages_are_errors(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    uint64_t id = memstore_post_as(s, table_history_id(p.table),
                                   memstore_self(s), "-# dbcord merge \"x\"");
    verify(&p, &rp);
    assert_true(found(&rp, "unknown_message", NULL)->message == id);
    assert_int_equal(rp.sum.errors, 1);
    process_stop(&p);
    report_release(&rp);
}

/* --- row messages -----------------------------------------------------------
 */

static void a_row_message_removed_by_hand(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    uint64_t home = home_of(p.table, "a");
    process_stop(&p);
    memstore_delete_as(s, memstore_channel(s, "table-users", 0), home);

    /* A process that never saw it. */
    process_start(&p, s);
    verify(&p, &rp);
    assert_true(found(&rp, "missing_row_message", "a")->message == home);
    assert_heals(s, &p, "missing_row_message", "a");
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_int_not_equal(home_of(p.table, "a"), 0);
    process_stop(&p);
    report_release(&rp);
}

/* It alone told the row; the process that is open has it still. */
static void a_row_that_only_memory_has(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t home = home_of(p.table, "a");
    memstore_lose_events(p.remote, true);
    memstore_delete_as(s, table_id(p.table), home);
    verify(&p, &rp);
    assert_true(found(&rp, "missing_row_message", "a")->message == home);
    assert_int_equal(rp.sum.errors, 1);
    memstore_lose_events(p.remote, false);
    assert_heals(s, &p, "missing_row_message", "a");
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    process_stop(&p);
    report_release(&rp);
}

static void a_row_message_that_was_changed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    uint64_t home = home_of(p.table, "a");
    memstore_damage_content(s, table_id(p.table), home);
    verify(&p, &rp);
    assert_true(found(&rp, "damaged_message", "a")->message == home);
    assert_heals(s, &p, "damaged_message", "a");
    assert_int_equal(home_of(p.table, "a"), home);
    process_stop(&p);
    report_release(&rp);
}

static void a_stale_row_message(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t home = home_of(p.table, "a");
    char *old = memstore_content(s, table_id(p.table), home);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    memstore_lose_events(p.remote, true);
    memstore_edit_as(s, table_id(p.table), home, old);
    free(old);
    verify(&p, &rp);
    assert_true(found(&rp, "stale_row_message", "a")->message == home);
    assert_int_equal(rp.sum.errors, 0);
    memstore_lose_events(p.remote, false);
    assert_heals(s, &p, "stale_row_message", "a");
    process_stop(&p);
    report_release(&rp);
}

static void a_row_message_twice(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    uint64_t home = home_of(p.table, "a");
    process_stop(&p);
    uint64_t channel = memstore_channel(s, "table-users", 0);
    char *content = memstore_content(s, channel, home);
    memstore_post_as(s, channel, memstore_self(s), content);
    free(content);

    process_start(&p, s);
    verify(&p, &rp);
    assert_true(found(&rp, "duplicate_row_message", "a")->message == home);
    assert_heals(s, &p, "duplicate_row_message", "a");
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    process_stop(&p);
    report_release(&rp);
}

static void a_row_message_of_a_deleted_row(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    char *content =
        memstore_content(s, table_id(p.table), home_of(p.table, "a"));
    uint64_t channel = table_id(p.table);
    assert_int_equal(drop_row(p.table, "a"), 0);
    process_wait_settled(&p);
    process_stop(&p);
    uint64_t left = memstore_post_as(s, channel, memstore_self(s), content);
    free(content);

    process_start(&p, s);
    verify(&p, &rp);
    assert_true(found(&rp, "left_over_row_message", "a")->message == left);
    assert_heals(s, &p, "left_over_row_message", "a");
    assert_null(memstore_content(s, channel, left));
    assert_text(p.table, "a", NULL);
    process_stop(&p);
    report_release(&rp);
}

/* --- records ----------------------------------------------------------------
 */

/* An update in the thread is gone; the next one is there. */
static void a_version_in_between_is_lost(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    uint64_t second;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    struct row *row = row_find(p.table, "a", 1);
    second = row->id;
    row_unref(row);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    process_wait_settled(&p);
    uint64_t thread = table_history_id(p.table);
    process_kill(&p); /* without a snapshot */
    memstore_delete_as(s, thread, second);

    process_start(&p, s);
    assert_text(p.table, "a", NULL);
    verify(&p, &rp);
    found(&rp, "waiting_record", "a");
    assert_heals(s, &p, "waiting_record", "a");
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    process_stop(&p);
    report_release(&rp);
}

/* The same where a snapshot has told what the row became. */
static void a_version_before_a_snapshot_is_lost(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), 0);
    process_wait_settled(&p);
    uint64_t thread = table_history_id(p.table);
    uint64_t second = memstore_message_at(s, thread, 0);
    process_stop(&p);
    memstore_delete_as(s, thread, second);

    process_start(&p, s);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    verify(&p, &rp);
    found(&rp, "waiting_record", "a");
    assert_heals(s, &p, "waiting_record", "a");
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":3}");
    assert_int_equal(version_of(p.table, "a"), 3);
    process_stop(&p);
    report_release(&rp);
}

/* The newest version is gone from the thread; memory has it. */
static void a_version_that_only_memory_has(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    assert_int_equal(drop_row(p.table, "b"), 0);
    memstore_lose_events(p.remote, true);
    process_wait_settled(&p);
    uint64_t thread = table_history_id(p.table);
    uint64_t deletion =
        memstore_message_at(s, thread, memstore_messages(s, thread) - 1);
    memstore_delete_as(s, thread, deletion);
    verify(&p, &rp);
    assert_true(found(&rp, "lost_record", "b")->message == deletion);
    memstore_lose_events(p.remote, false);
    assert_heals(s, &p, "lost_record", "b");
    assert_text(p.table, "b", NULL);
    process_stop(&p);
    report_release(&rp);
}

static void a_damaged_update(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_wait_settled(&p);
    uint64_t thread = table_history_id(p.table);
    uint64_t update = memstore_message_at(s, thread, 0);
    memstore_damage_content(s, thread, update);
    verify(&p, &rp);
    assert_true(found(&rp, "damaged_message", NULL)->message == update);
    assert_int_equal(rp.sum.errors, 1);
    process_stop(&p);
    report_release(&rp);
}

static void two_writers_make_a_void_record(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct report rp = {0};

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "k", "{\"n\":1}"), 0);
    memstore_quiet(s);
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "k", "{\"by\":\"a\"}"), 0);
    (void)put(b.table, "k", "{\"by\":\"b\"}");
    memstore_hold_events(b.remote, false);
    memstore_quiet(s);
    process_wait_settled(&a);
    process_wait_settled(&b);
    verify(&a, &rp);
    assert_clean(&rp);
    assert_int_equal(found(&rp, "void_record", "k")->severity, FINDING_NOTE);
    process_stop(&a);
    process_stop(&b);
    report_release(&rp);
}

/* --- attachments ------------------------------------------------------------
 */

static void an_attachment_that_was_damaged(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    char *big = big_text('x');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", big), 0);
    uint64_t home = home_of(p.table, "a");
    memstore_damage_file(s, table_id(p.table), home);
    verify(&p, &rp);
    assert_true(found(&rp, "damaged_attachment", "a")->message == home);
    /* The writer has its text still in memory. */
    assert_heals(s, &p, "damaged_attachment", "a");
    process_stop(&p);
    report_release(&rp);
    free(big);
}

static void an_attachment_that_is_gone(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    char *big = big_text('x');

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", big), 0);
    uint64_t home = home_of(p.table, "a");
    uint64_t channel = table_id(p.table);
    process_stop(&p);
    memstore_drop_files(s, channel, home);

    process_start(&p, s);
    verify(&p, &rp);
    const struct seen *f = found(&rp, "missing_attachment", NULL);
    assert_true(f->message == home);
    assert_int_equal(f->severity, FINDING_ERROR);
    repair(&p, &rp);
    assert_false(found(&rp, "missing_attachment", NULL)->repaired);
    assert_true(rp.sum.errors > rp.sum.repaired);
    process_stop(&p);
    report_release(&rp);
    free(big);
}

/* --- channels ---------------------------------------------------------------
 */

static void channels_nobody_names(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    struct err err = ERR_INIT;
    struct remote_reply reply = {0};

    process_start(&p, s);
    struct remote_request req = {
        .op = REMOTE_CHANNEL_CREATE,
        .guild = memstore_guild(s),
        .parent = namespace_id(p.ns),
        .kind = REMOTE_CHANNEL_TEXT,
        .name = "table-ghost",
    };
    assert_int_equal(remote_run(p.remote, &req, &reply, &err), 0);
    uint64_t ghost = reply.channels[0].id;
    remote_reply_release(&reply);
    verify(&p, &rp);
    assert_true(found(&rp, "orphan_channel", NULL)->channel == ghost);
    process_stop(&p);
    report_release(&rp);
}

static void a_channel_that_is_gone(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    struct err err = ERR_INIT;
    struct remote_reply reply = {0};
    struct remote_request req = {.op = REMOTE_CHANNEL_DELETE};

    process_start(&p, s);
    req.channel = table_id(p.table);
    assert_int_equal(remote_run(p.remote, &req, &reply, &err), 0);
    remote_reply_release(&reply);
    verify(&p, &rp);
    assert_true(found(&rp, "missing_channel", NULL)->channel == req.channel);
    process_stop(&p);
    report_release(&rp);
}

static void a_thread_that_is_gone(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    struct err err = ERR_INIT;
    struct remote_reply reply = {0};
    struct remote_request req = {.op = REMOTE_CHANNEL_DELETE};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    assert_int_equal(drop_row(p.table, "b"), 0);
    process_wait_settled(&p);
    req.channel = table_history_id(p.table);
    assert_int_equal(remote_run(p.remote, &req, &reply, &err), 0);
    remote_reply_release(&reply);
    verify(&p, &rp);
    assert_true(found(&rp, "missing_thread", NULL)->channel == req.channel);
    assert_heals(s, &p, "missing_thread", NULL);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_text(p.table, "b", NULL);
    process_stop(&p);
    report_release(&rp);
}

/* --- rows -------------------------------------------------------------------
 */

static void a_row_against_the_schema(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    struct err err = ERR_INIT;
    struct schema *schema;
    static const char text[] =
        "{\"pk\":\"id\",\"required\":[\"email\"],\"properties\":{}}";

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"email\":\"b@x.org\"}"), 0);
    assert_int_equal(schema_parse(text, strlen(text), &schema, &err), 0);
    assert_int_equal(table_schema_set(p.table, schema, true, &err), 0);
    schema_unref(schema);
    verify(&p, &rp);
    found(&rp, "schema_violation", "a");
    assert_int_equal(rp.sum.warnings, 1);
    process_stop(&p);
    report_release(&rp);
}

/* Entries of rows that the log claims to have; it is a while since. */
static void an_entry_that_is_gone(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct report rp = {0};
    struct err err = ERR_INIT;

    memstore_set_age(s, 3600 * 1000);
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"email\":\"a@x.org\"}"), 0);
    assert_int_equal(put(p.table, "b", "{\"email\":\"b@x.org\"}"), 0);
    assert_int_equal(table_index_create(p.table, "email", true, &err), 0);
    uint64_t channel = memstore_channel(s, "idx-users-email", 0);
    memstore_set_age(s, 1800 * 1000);
    verify(&p, &rp);
    assert_clean(&rp);

    /* The log claims to have all, and lacks one. */
    AUTO_BUF struct buf log = BUF_INIT;
    uint64_t whole = memstore_message_at(s, channel, 0);
    unsigned long long b = home_of(p.table, "b");
    buf_printf(&log,
               "-# dbcord index \"email\" of %llu entries 1 upto %llu %llu\n"
               "+ \"b\" v1 of %llu in %llu \"str:b@x.org\"",
               (unsigned long long)table_id(p.table), b, b, b, b);
    memstore_post_as(s, channel, memstore_self(s), log.data);
    memstore_delete_as(s, channel, whole);
    verify(&p, &rp);
    const struct seen *f = found(&rp, "missing_index_entry", "a");
    assert_int_equal(f->severity, FINDING_ERROR);
    assert_heals(s, &p, "missing_index_entry", "a");
    process_stop(&p);
    report_release(&rp);
}

static void a_read_only_process_repairs_nothing(void **state)
{
    struct memstore *s = *state;
    struct process p, ro;
    struct report rp = {0};
    struct verify_options o = {.repair = true};
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start_bare(&ro, s, true, 0);
    process_open_table(&ro);
    assert_int_equal(verify_wait(ro.ns, NULL, &o, note, &rp, &rp.sum, &err),
                     -EROFS);
    process_stop(&ro);
    process_stop(&p);
    report_release(&rp);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_is_well),
        CASE(foreign_messages_are_noted),
        CASE(unknown_messages_are_errors),
        CASE(a_row_message_removed_by_hand),
        CASE(a_row_that_only_memory_has),
        CASE(a_row_message_that_was_changed),
        CASE(a_stale_row_message),
        CASE(a_row_message_twice),
        CASE(a_row_message_of_a_deleted_row),
        CASE(a_version_in_between_is_lost),
        CASE(a_version_before_a_snapshot_is_lost),
        CASE(a_version_that_only_memory_has),
        CASE(a_damaged_update),
        CASE(two_writers_make_a_void_record),
        CASE(an_attachment_that_was_damaged),
        CASE(an_attachment_that_is_gone),
        CASE(channels_nobody_names),
        CASE(a_channel_that_is_gone),
        CASE(a_thread_that_is_gone),
        CASE(a_row_against_the_schema),
        CASE(an_entry_that_is_gone),
        CASE(a_read_only_process_repairs_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
