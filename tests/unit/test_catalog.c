/* Namespaces and tables: created, renamed, dropped, by one process and by two,
 * and whatever a crash leaves in between. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/message_text.h"
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

static struct database *db(struct process *p)
{
    return engine_database_at(p->engine, 0);
}

static bool has_table(struct process *p, const char *name)
{
    struct table *t = table_find(p->ns, name);

    table_unref(t);
    return t != NULL;
}

static bool has_namespace(struct process *p, const char *name)
{
    struct namespace *ns = namespace_find(db(p), name);

    namespace_unref(ns);
    return ns != NULL;
}

static int create_table(struct process *p, const char *name)
{
    struct err err = ERR_INIT;

    int r = table_create(p->ns, name, NULL, NULL, &err);
    assert_true(r == 0 || err.text[0]);
    return r;
}

/* What users see of a table's channels; what it costs. */
static void a_table_is_a_channel_with_a_thread(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_reset_counts(s);
    assert_int_equal(create_table(&p, "people"), 0);
    /* channel, card, thread, entry */
    assert_int_equal(memstore_count_all(s), 4);
    uint64_t channel = memstore_channel(s, "table-people", 0);
    assert_int_not_equal(channel, 0);
    struct table *t = table_find(p.ns, "people");
    assert_int_equal(table_id(t), channel);
    assert_int_equal(table_history_id(t), memstore_message_at(s, channel, 0));
    table_unref(t);
    assert_int_equal(create_table(&p, "people"), -EEXIST);
    assert_int_equal(create_table(&p, "a/b"), -EINVAL);
    assert_int_equal(create_table(&p, ""), -EINVAL);
    process_stop(&p);
}

/* True names come from the catalog. */
static void any_name_will_do(void **state)
{
    static const char *const names[] = {"Über Größe", "users", "USERS",
                                        "users!",     "2024",  "a b"};
    struct memstore *s = *state;
    struct process p;
    struct namespace *ns;
    struct err err = ERR_INIT;

    process_start_bare(&p, s, false, 0);
    assert_int_equal(namespace_create(db(&p), "Prod & Co", &ns, &err), 0);
    p.ns = ns;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(create_table(&p, names[i]), 0);
    process_stop(&p);

    process_start_bare(&p, s, false, 0);
    p.ns = namespace_find(db(&p), "Prod & Co");
    assert_non_null(p.ns);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_true(has_table(&p, names[i]));
    size_t n;
    struct table **list = table_list(p.ns, &n);
    assert_int_equal(n, sizeof(names) / sizeof(names[0]));
    for (size_t i = 0; i < n; i++)
        table_unref(list[i]);
    free(list);
    process_stop(&p);
}

/* Wherever the process dies in a create, the next one completes it, and no
 * channel is left over. */
static void an_interrupted_create_is_taken_up(void **state)
{
    static const enum remote_op ops[] = {REMOTE_POST, REMOTE_THREAD_START,
                                         REMOTE_POST};
    struct memstore *s = *state;
    struct process p;

    /* So that a channel without a card is old enough to be nobody's. */
    memstore_set_age(s, 20000);
    process_start(&p, s);
    size_t channels = memstore_channels(s);
    process_stop(&p);
    for (size_t i = 0; i < 3; i++) {
        char name[16];
        snprintf(name, sizeof(name), "t%zu", i);
        process_start(&p, s);
        if (i < 2) {
            memstore_fail(s, ops[i], 1, -EIO, false);
            assert_int_equal(create_table(&p, name), -EIO);
        } else {
            /* The entry: the second post. */
            memstore_fail(s, REMOTE_THREAD_START, 1, -EIO, true);
            assert_int_equal(create_table(&p, name), -EIO);
        }
        memstore_set_age(s, 0);
        assert_false(has_table(&p, name));
        process_kill(&p);

        process_start(&p, s);
        assert_false(has_table(&p, name));
        assert_int_equal(create_table(&p, name), 0);
        assert_int_equal(memstore_channels(s), channels + i + 1);
        struct table *t = table_find(p.ns, name);
        struct err err = ERR_INIT;
        assert_int_equal(table_open_wait(t, &err), 0);
        assert_int_equal(put(t, "a", "{}"), 0);
        assert_int_equal(put(t, "a", "{\"n\":1}"), 0);
        table_unref(t);
        process_stop(&p);
    }
}

static void an_interrupted_namespace_is_taken_up(void **state)
{
    static const enum remote_op ops[] = {REMOTE_CHANNEL_CREATE, REMOTE_POST};
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    for (size_t i = 0; i < 2; i++) {
        const char *name = i == 0 ? "one" : "two";
        process_start_bare(&p, s, false, 0);
        memstore_hold(s, REMOTE_CHANNEL_CREATE, i == 0);
        if (i == 0) {
            /* The category is made by hand, as if the rest had not come. */
            struct remote_request req = {.op = REMOTE_CHANNEL_CREATE,
                                         .guild = memstore_guild(s),
                                         .kind = REMOTE_CHANNEL_CATEGORY,
                                         .name = "dbcord-one"};
            struct remote_reply reply;
            memstore_hold(s, REMOTE_CHANNEL_CREATE, false);
            assert_int_equal(remote_run(p.remote, &req, &reply, &err), 0);
            remote_reply_release(&reply);
        } else {
            memstore_fail(s, ops[i], 1, -EACCES, false);
            assert_int_equal(namespace_create(db(&p), name, NULL, &err),
                             -EACCES);
        }
        assert_false(has_namespace(&p, name));
        process_kill(&p);

        size_t channels = memstore_channels(s);
        process_start_bare(&p, s, false, 0);
        assert_int_equal(namespace_create(db(&p), name, NULL, &err), 0);
        assert_true(has_namespace(&p, name));
        assert_int_equal(memstore_channels(s), channels + (i == 0));
        process_stop(&p);
    }
}

static void a_table_is_renamed_with_its_rows(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    process_wait_changes(&q, 1);
    memstore_reset_counts(s);
    assert_int_equal(table_rename(p.table, p.ns, "people", &err), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);
    assert_true(has_table(&p, "people"));
    assert_false(has_table(&p, "users"));
    /* The other sees a rename: the same table, open as it was. */
    process_wait_tables(&q, 1);
    assert_int_equal(q.table_changes, 1);
    assert_string_equal(q.last_old_name, "users");
    assert_false(q.last_gone);
    struct table *t = table_find(q.ns, "people");
    assert_ptr_equal(t, q.table);
    assert_int_equal(row_count(t), 1);
    table_unref(t);

    assert_int_equal(create_table(&p, "users"), 0);
    assert_int_equal(table_rename(p.table, p.ns, "users", &err), -EEXIST);
    process_stop(&p);
    process_stop(&q);
    process_start_bare(&p, s, false, 0);
    p.ns = namespace_find(db(&p), "prod");
    assert_true(has_table(&p, "people") && has_table(&p, "users"));
    process_stop(&p);
}

static void a_table_moves_to_another_namespace(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct namespace *to;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    assert_int_equal(namespace_create(db(&p), "test", &to, &err), 0);
    process_start(&q, s);
    assert_int_equal(table_rename(p.table, to, "users2", &err), 0);
    assert_false(has_table(&p, "users"));
    assert_ptr_equal(table_namespace(p.table), to);
    assert_int_equal(row_count(p.table), 1);
    assert_int_equal(put(p.table, "b", "{}"), 0);
    namespace_unref(to);
    process_wait_changes(&q, 1);
    assert_string_equal(q.last_key, "b");
    memstore_quiet(s);
    assert_false(has_table(&q, "users"));
    process_stop(&p);
    process_stop(&q);
    process_start_bare(&p, s, false, 0);
    p.ns = namespace_find(db(&p), "test");
    assert_true(has_table(&p, "users2"));
    process_stop(&p);
}

struct mover {
    pthread_t thread;
    struct table *table;
    struct namespace *to;
    int r;
};

static void *move_it(void *arg)
{
    struct mover *m = arg;
    struct err err = ERR_INIT;

    m->r = table_rename(m->table, m->to, "moved", &err);
    return NULL;
}

/* Between the new entry and the end of the old one the later counts. */
static void a_move_that_stopped_half_way_is_one_table(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct mover m = {0};
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    assert_int_equal(namespace_create(db(&p), "test", &m.to, &err), 0);
    uint64_t from = memstore_channel(s, "dbc-catalog", 0);
    uint64_t to = memstore_channel(s, "dbc-catalog", 1);
    size_t n = memstore_messages(s, to);
    m.table = p.table;
    memstore_hold(s, REMOTE_POST, true);
    pthread_create(&m.thread, NULL, move_it, &m);
    memstore_wait_held(s, REMOTE_POST, 1);
    size_t before = memstore_messages(s, from);
    /* The first may go; the process dies before the second does. */
    memstore_let_one(s, REMOTE_POST);
    memstore_wait_held(s, REMOTE_POST, 1);
    memstore_kill(p.remote);
    memstore_hold(s, REMOTE_POST, false);
    pthread_join(m.thread, NULL);
    assert_true(m.r < 0);
    assert_int_equal(memstore_messages(s, to), n + 1);
    assert_int_equal(memstore_messages(s, from), before);
    namespace_unref(m.to);
    process_kill(&p);

    process_start_bare(&p, s, false, 0);
    p.ns = namespace_find(db(&p), "prod");
    assert_false(has_table(&p, "users"));
    namespace_unref(p.ns);
    p.ns = namespace_find(db(&p), "test");
    p.table = table_find(p.ns, "moved");
    assert_non_null(p.table);
    assert_int_equal(table_open_wait(p.table, &err), 0);
    assert_int_equal(row_count(p.table), 1);
    process_stop(&p);
}

static void dropping_leaves_nothing(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    assert_int_equal(table_drop(p.table, true, &err), -ENOTEMPTY);
    assert_int_equal(namespace_drop(p.ns, &err), -ENOTEMPTY);
    assert_int_equal(drop_row(p.table, "a"), 0);
    assert_int_equal(table_drop(p.table, true, &err), 0);
    process_wait_tables(&q, 1);
    assert_true(q.last_gone);
    assert_false(has_table(&q, "users"));
    assert_int_equal(put(q.table, "b", "{}"), -ENOENT);
    assert_int_equal(namespace_drop(p.ns, &err), 0);
    assert_int_equal(memstore_channels(s), 0);
    assert_false(has_namespace(&p, "prod"));
    memstore_quiet(s);
    assert_false(has_namespace(&q, "prod"));
    /* And again from the start. */
    struct namespace *ns;
    assert_int_equal(namespace_create(db(&q), "prod", &ns, &err), 0);
    namespace_unref(ns);
    process_stop(&p);
    process_stop(&q);
}

/* A table of a name that was dropped begins anew. */
static void a_name_can_be_used_again(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(table_drop(p.table, false, &err), 0);
        table_unref(p.table);
        assert_int_equal(table_create(p.ns, "users", NULL, &p.table, &err), 0);
        assert_int_equal(table_open_wait(p.table, &err), 0);
        assert_int_equal(row_count(p.table), 0);
    }
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(row_count(p.table), 0);
    process_stop(&p);
}

/* The channel of a dropped table could not be deleted: nobody takes it for a
 * new one, since its rows would come back. */
static void a_dropped_tables_channel_is_not_taken_up(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    memstore_fail(s, REMOTE_CHANNEL_DELETE, 1, -EACCES, false);
    assert_int_equal(table_drop(p.table, false, &err), 0);
    table_unref(p.table);
    p.table = NULL;
    assert_int_equal(table_create(p.ns, "users", NULL, &p.table, &err), 0);
    assert_int_equal(table_open_wait(p.table, &err), 0);
    assert_int_equal(row_count(p.table), 0);
    process_stop(&p);
}

/* A channel deleted by hand takes its table with it. */
static void a_deleted_channel_is_a_table_gone(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct remote_reply reply;
    struct err err = ERR_INIT;

    process_start(&p, s);
    struct remote_request req = {.op = REMOTE_CHANNEL_DELETE,
                                 .channel = table_id(p.table)};
    assert_int_equal(remote_run(p.remote, &req, &reply, &err), 0);
    process_wait_tables(&p, 1);
    assert_true(p.last_gone);
    assert_false(has_table(&p, "users"));
    assert_int_equal(put(p.table, "a", "{}"), -ENOENT);
    process_stop(&p);
}

static void news_of_the_other_process_arrives(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct namespace *ns;
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(create_table(&p, "people"), 0);
    process_wait_tables(&q, 1);
    assert_true(has_table(&q, "people"));
    assert_int_equal(namespace_create(db(&p), "test", &ns, &err), 0);
    namespace_unref(ns);
    while (!has_namespace(&q, "test"))
        memstore_quiet(s);
    /* The same after events were lost. */
    memstore_lose_events(q.remote, true);
    assert_int_equal(create_table(&p, "more"), 0);
    assert_int_equal(namespace_create(db(&p), "third", &ns, &err), 0);
    namespace_unref(ns);
    memstore_lose_events(q.remote, false);
    process_wait_tables(&q, 2);
    assert_true(has_table(&q, "more"));
    while (!has_namespace(&q, "third"))
        memstore_quiet(s);
    process_stop(&p);
    process_stop(&q);
}

/* Two processes create one table: one of them is told, there is one table, and
 * no channel too many. */
static void a_table_is_created_once(void **state)
{
    struct memstore *s = *state;
    struct process p, q;

    process_start(&p, s);
    process_start(&q, s);
    memstore_hold_events(q.remote, true);
    assert_int_equal(create_table(&p, "people"), 0);
    size_t channels = memstore_channels(s);
    /* q knows nothing of it, and what it posts last comes second. */
    int r = create_table(&q, "people");
    memstore_hold_events(q.remote, false);
    memstore_quiet(s);
    assert_true(r == -EEXIST || r == 0);
    struct table *a = table_find(p.ns, "people");
    struct table *b = table_find(q.ns, "people");
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(table_id(a), table_id(b));
    if (r == -EEXIST)
        assert_int_equal(memstore_channels(s), channels);
    table_unref(a);
    table_unref(b);
    process_stop(&p);
    process_stop(&q);
}

/* More than 50 tables need a second category; more than 500 channels there
 * cannot be. */
static void full_categories_are_followed_by_others(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char name[16];
    struct err err = ERR_INIT;
    int i = 0, r;

    process_start(&p, s);
    for (; i < 60; i++) {
        snprintf(name, sizeof(name), "t%d", i);
        assert_int_equal(create_table(&p, name), 0);
    }
    assert_int_not_equal(memstore_channel(s, "dbcord-prod-2", 0), 0);
    process_stop(&p);
    process_start(&p, s);
    assert_true(has_table(&p, "t59"));
    do {
        snprintf(name, sizeof(name), "t%d", i++);
        r = table_create(p.ns, name, NULL, NULL, &err);
    } while (r == 0);
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(err.text, "500"));
    process_stop(&p);
}

static void a_schema_is_checked_and_kept(void **state)
{
    static const char text[] =
        "{\"pk\":\"id\",\"required\":[\"n\"],\"properties\":{\"n\":\"int\"}}";
    struct memstore *s = *state;
    struct process p, q;
    struct schema *schema;
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":\"x\"}"), 0);
    assert_int_equal(schema_parse(text, strlen(text), &schema, &err), 0);
    assert_int_equal(table_schema_set(p.table, schema, false, &err), -EINVAL);
    assert_non_null(strstr(err.text, "'b'"));
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    assert_int_equal(table_schema_set(p.table, schema, false, &err), 0);
    schema_unref(schema);
    assert_int_equal(put(p.table, "c", "{}"), -EINVAL);
    process_wait_tables(&q, 1);
    assert_int_equal(put(q.table, "c", "{\"n\":true}"), -EINVAL);
    process_stop(&p);
    process_stop(&q);
    process_start(&p, s);
    size_t len;
    schema = table_schema(p.table);
    assert_int_equal(strncmp(schema_text(schema, &len), text, strlen(text)), 0);
    schema_unref(schema);
    process_stop(&p);
}

/* A schema too big for a message is an attachment in the catalog. */
static void a_big_schema_is_kept(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct schema *schema;
    struct err err = ERR_INIT;
    struct buf b = BUF_INIT;

    buf_addstr(&b, "{\"pk\":\"id\",\"properties\":{\"id\":\"str\"");
    for (int i = 0; i < 300; i++)
        buf_printf(&b, ",\"field_%d\":\"int?\"", i);
    buf_addstr(&b, "}}");
    assert_int_equal(schema_parse(b.data, b.len, &schema, &err), 0);
    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(table_schema_set(p.table, schema, true, &err), 0);
    schema_unref(schema);
    assert_int_equal(put(p.table, "c", "{\"field_7\":\"x\"}"), -EINVAL);
    process_wait_tables(&q, 1);
    assert_int_equal(put(q.table, "c", "{\"field_7\":\"x\"}"), -EINVAL);
    process_stop(&p);
    process_stop(&q);
    process_start(&p, s);
    assert_int_equal(put(p.table, "c", "{\"field_7\":\"x\"}"), -EINVAL);
    process_stop(&p);
    buf_release(&b);
}

static void a_namespace_is_renamed(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct namespace *ns;
    struct err err = ERR_INIT;

    process_start(&p, s);
    process_start(&q, s);
    assert_int_equal(namespace_create(db(&p), "test", &ns, &err), 0);
    assert_int_equal(namespace_rename(ns, "prod", &err), -EEXIST);
    assert_int_equal(namespace_rename(ns, "Live", &err), 0);
    namespace_unref(ns);
    assert_true(has_namespace(&p, "Live"));
    assert_false(has_namespace(&p, "test"));
    while (!has_namespace(&q, "Live"))
        memstore_quiet(s);
    process_stop(&p);
    process_stop(&q);

    /* Without reading all catalogs at first it is found all the same. */
    uint64_t guild = memstore_guild(s);
    struct engine *e;
    struct remote *r = memstore_connect(s);
    struct engine_options o = {.remote = r, .guilds = &guild, .n_guilds = 1};
    assert_int_equal(engine_open(&o, &e, &err), 0);
    memstore_reset_counts(s);
    assert_int_equal(
        namespace_open_wait(engine_database_at(e, 0), "prod", &ns, &err), 0);
    assert_int_equal(memstore_count(s, REMOTE_LIST), 1);
    namespace_unref(ns);
    assert_int_equal(
        namespace_open_wait(engine_database_at(e, 0), "Live", &ns, &err), 0);
    namespace_unref(ns);
    assert_int_equal(
        namespace_open_wait(engine_database_at(e, 0), "nope", &ns, &err),
        -ENOENT);
    engine_close(e, 0);
    remote_close(r);
}

/* A catalog of a later version is left alone. */
static void a_newer_format_is_refused(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    uint64_t catalog = memstore_channel(s, "dbc-catalog", 0);
    process_stop(&p);
    /* As a later version would have written it. */
    struct message_builder mb = {0};
    struct remote_draft draft = {0};
    struct buf storage = BUF_INIT;
    struct record rec = {
        .verb = RECORD_PUT,
        .version = 2,
        .base = memstore_message_at(s, catalog, 0),
        .at_ms = 1,
        .mtime_ms = 1,
        .key = "namespace",
        .key_len = 9,
        .by = "later",
        .by_len = 5,
        .text = "{\"format\":99,\"name\":\"prod\"}",
        .text_len = 27,
    };
    message_add(&mb, &rec);
    assert_int_equal(message_finish(&mb, 1000000, &draft, &storage, &err), 0);
    memstore_post_as(s, catalog, memstore_self(s), draft.content.data);
    message_builder_release(&mb);
    remote_draft_release(&draft);
    buf_release(&storage);

    process_start_bare(&p, s, false, 0);
    struct namespace *ns = namespace_find(db(&p), "prod");
    assert_non_null(ns);
    assert_int_equal(namespace_load(ns, &err), -EPROTONOSUPPORT);
    assert_non_null(strstr(err.text, "99"));
    p.ns = ns;
    assert_int_equal(create_table(&p, "x"), -EPROTONOSUPPORT);
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_table_is_a_channel_with_a_thread),
        CASE(any_name_will_do),
        CASE(an_interrupted_create_is_taken_up),
        CASE(an_interrupted_namespace_is_taken_up),
        CASE(a_table_is_renamed_with_its_rows),
        CASE(a_table_moves_to_another_namespace),
        CASE(a_move_that_stopped_half_way_is_one_table),
        CASE(dropping_leaves_nothing),
        CASE(a_name_can_be_used_again),
        CASE(a_dropped_tables_channel_is_not_taken_up),
        CASE(a_deleted_channel_is_a_table_gone),
        CASE(news_of_the_other_process_arrives),
        CASE(a_table_is_created_once),
        CASE(full_categories_are_followed_by_others),
        CASE(a_schema_is_checked_and_kept),
        CASE(a_big_schema_is_kept),
        CASE(a_namespace_is_renamed),
        CASE(a_newer_format_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
