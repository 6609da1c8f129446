/* A table from the outside: rows in, rows out, what they cost, what is there
 * when it is opened again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

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

static void assert_text(struct table *t, const char *key, const char *expected)
{
    char *text = text_of(t, key);

    if (expected)
        assert_non_null(text);
    if (expected)
        assert_string_equal(text, expected);
    else
        assert_null(text);
    free(text);
}

/* Each kind of write is one request, and reading none. */
static void a_write_is_one_request(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    memstore_reset_counts(s);
    assert_int_equal(put(p.table, "u_1", "{\"id\":\"u_1\",\"n\":1}"), 0);
    assert_int_equal(memstore_count_all(s), 1);
    assert_text(p.table, "u_1", "{\"id\":\"u_1\",\"n\":1}");
    assert_int_equal(memstore_count(s, REMOTE_POST), 1);

    assert_int_equal(put(p.table, "u_1", "{\"id\":\"u_1\",\"n\":2}"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 2);
    assert_int_equal(version_of(p.table, "u_1"), 2);
    assert_int_equal(move_row(p.table, "u_1", "u_2"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 3);
    assert_text(p.table, "u_1", NULL);
    assert_text(p.table, "u_2", "{\"id\":\"u_2\",\"n\":2}");
    assert_int_equal(drop_row(p.table, "u_2"), 0);
    assert_int_equal(memstore_count(s, REMOTE_POST), 4);
    assert_text(p.table, "u_2", NULL);
    assert_int_equal(memstore_count(s, REMOTE_LIST), 0);
    process_stop(&p);
}

/* Reopened, the table is what it was. */
static void reopening_finds_everything(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "c", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    assert_int_equal(drop_row(p.table, "c"), 0);
    process_stop(&p);

    process_start(&p, s);
    assert_int_equal(row_count(p.table), 2);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":1}");
    assert_text(p.table, "b", "{\"id\":\"b\",\"n\":2}");
    assert_int_equal(version_of(p.table, "b"), 2);
    assert_text(p.table, "c", NULL);
    process_stop(&p);
}

/* {"pad":"xxx…"}: too big for a message. */
static char *big_text(char c, size_t len)
{
    char *text = malloc(len + 1);

    assert_non_null(text);
    memset(text, c, len);
    memcpy(text, "{\"id\":\"a\",\"pad\":\"", 17);
    memcpy(text + len - 2, "\"}", 3);
    return text;
}

/* What was written is what is read, byte for byte. */
static void bytes_are_kept(void **state)
{
    static const char *const texts[] = {
        "{\"id\":\"a\"}",
        "{ \"id\" : \"a\",\n\t\"x\": [1,2 , 3]\r\n}",
        "{\"id\":\"a\",\"s\":\"```\\n```json\\n-# dbcord put\"}",
        "{\"id\":\"a\",\"s\":\"@everyone <@1> :x: \u200b\u00a0\"}",
        "{\"id\":\"a\",\"s\":\"\xf0\x9f\x98\x80 \\u0000\"}",
    };
    struct memstore *s = *state;
    struct process p;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        process_start(&p, s);
        assert_int_equal(put(p.table, "a", texts[i]), 0);
        assert_text(p.table, "a", texts[i]);
        process_wait_settled(&p);
        process_stop(&p);
        process_start(&p, s);
        assert_text(p.table, "a", texts[i]);
        process_stop(&p);
    }
}

/* A row too big for a message is an attachment: fetched once by however many
 * ask, and not at all where it was written. */
static void big_rows_are_files(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *text = big_text('x', 100000);

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", text), 0);
    memstore_reset_counts(s);
    assert_text(p.table, "a", text);
    assert_int_equal(memstore_count_all(s), 0);
    process_stop(&p);

    process_start(&p, s);
    struct row *r = row_find(p.table, "a", 1);
    assert_non_null(r);
    assert_null(row_text(r));
    assert_int_equal(r->text_len, 100001);
    row_unref(r);
    memstore_reset_counts(s);
    assert_text(p.table, "a", text);
    assert_text(p.table, "a", text);
    assert_int_equal(memstore_count(s, REMOTE_DOWNLOAD), 1);
    /* Moved and changed like any other. */
    assert_int_equal(move_row(p.table, "a", "b"), 0);
    process_wait_settled(&p);
    process_stop(&p);
    process_start(&p, s);
    memcpy(text, "{\"id\":\"b\"", 9);
    assert_text(p.table, "b", text);
    assert_text(p.table, "a", NULL);
    process_stop(&p);
    free(text);
}

struct reader {
    pthread_t thread;
    struct table *table;
    size_t got;
};

static void *read_big(void *arg)
{
    struct reader *r = arg;
    char *text = text_of(r->table, "a");

    r->got = text ? strlen(text) : 0;
    free(text);
    return NULL;
}

static void readers_share_a_download(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct reader readers[8];
    char *text = big_text('x', 50000);

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", text), 0);
    process_stop(&p);
    process_start(&p, s);
    memstore_reset_counts(s);
    memstore_hold(s, REMOTE_DOWNLOAD, true);
    for (size_t i = 0; i < 8; i++) {
        readers[i] = (struct reader){.table = p.table};
        pthread_create(&readers[i].thread, NULL, read_big, &readers[i]);
    }
    memstore_wait_held(s, REMOTE_DOWNLOAD, 1);
    memstore_hold(s, REMOTE_DOWNLOAD, false);
    for (size_t i = 0; i < 8; i++) {
        pthread_join(readers[i].thread, NULL);
        assert_int_equal(readers[i].got, 50000);
    }
    assert_int_equal(memstore_count(s, REMOTE_DOWNLOAD), 1);
    process_stop(&p);
    free(text);
}

/* A move of a row whose text must be fetched first. */
static void a_big_row_moves_after_a_restart(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *text = big_text('x', 50000);

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", text), 0);
    process_stop(&p);
    process_start(&p, s);
    struct writes w;
    writes_init(&w);
    struct write move = {
        .kind = WRITE_RENAME, .key = "a", .key_len = 1, .to = "b", .to_len = 1};
    /* What is written to the same key behind it waits for its turn. */
    writes_do(&w, p.table, &move, NULL);
    writes_put(&w, p.table, "a", "{\"n\":2}");
    writes_put(&w, p.table, "c", "{\"n\":3}");
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
    memcpy(text, "{\"id\":\"b\"", 9);
    assert_text(p.table, "b", text);
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    assert_text(p.table, "c", "{\"id\":\"c\",\"n\":3}");
    /* If its text cannot be had nothing happens to it. */
    process_stop(&p);
    process_start(&p, s);
    memstore_fail(s, REMOTE_DOWNLOAD, 1, -EIO, false);
    assert_int_equal(move_row(p.table, "b", "d"), -EIO);
    assert_text(p.table, "b", text);
    process_stop(&p);
    free(text);
}

/* An update of a small row by a big one takes the old version along. */
static void a_big_update_keeps_the_small_version(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *text = big_text('x', 50000);

    process_start(&p, s);
    uint64_t thread = table_history_id(p.table);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", text), 0);
    uint64_t id = memstore_message_at(s, thread, 0);
    char *content = memstore_content(s, thread, id);
    assert_non_null(strstr(content, "\"n\":1"));
    assert_int_equal(memstore_files(s, thread, id), 1);
    free(content);
    process_wait_settled(&p);
    process_stop(&p);
    process_start(&p, s);
    assert_text(p.table, "a", text);
    process_stop(&p);
    free(text);
}

/* A row whose text is gone is there, and cannot be read. */
static void a_text_that_was_deleted_is_an_error(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct text *text = NULL;
    char *big = big_text('x', 200000);

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", big), 0);
    process_stop(&p);
    process_start(&p, s);
    memstore_hold_events(p.remote, true);
    struct row *row = row_find(p.table, "a", 1);
    memstore_delete_as(s, table_id(p.table), home_of(p.table, "a"));
    assert_int_equal(row_load_text_wait(p.table, row, &text, &err), -EIO);
    assert_non_null(strstr(err.text, "'a'"));
    row_unref(row);
    memstore_hold_events(p.remote, false);
    process_stop(&p);
    free(big);
}

static void what_is_too_large_is_refused_with_the_number(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    char *text = big_text('x', 200000);
    struct write w = {.kind = WRITE_PUT,
                      .key = "a",
                      .key_len = 1,
                      .text = text,
                      .text_len = 200000};

    memstore_set_max_file(s, 100000);
    process_start(&p, s);
    assert_int_equal(table_write_wait(p.table, &w, NULL, &err), -EFBIG);
    assert_non_null(strstr(err.text, "200000"));
    assert_non_null(strstr(err.text, "100000"));
    process_stop(&p);
    free(text);
}

/* Pages of 100, both places at once, and little else. */
static void opening_costs_a_request_for_each_hundred(void **state)
{
    enum { ROWS = 450 };
    struct memstore *s = *state;
    struct process p;
    char key[16];

    process_start(&p, s);
    for (int i = 0; i < ROWS; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        assert_int_equal(put(p.table, key, "{}"), 0);
    }
    process_stop(&p);
    memstore_reset_counts(s);
    process_start_bare(&p, s, false, 0);
    /* me, guild, channels, catalog; and once more when events begin. */
    memstore_wait_count(s, REMOTE_LIST, 2);
    memstore_wait_count(s, REMOTE_CHANNELS, 2);
    memstore_quiet(s);
    assert_int_equal(memstore_count_all(s), 6);
    memstore_reset_counts(s);
    process_open_table(&p);
    assert_int_equal(row_count(p.table), ROWS);
    assert_in_range(memstore_count_all(s), 1, (ROWS + 99) / 100 + 6);
    process_stop(&p);
}

/* Callbacks of table_open(), counted. */
struct openings {
    pthread_mutex_t lock;
    pthread_cond_t done; /* with lock */
    size_t answered;
    int last;
};

static void opened(void *arg, int r, const struct err *err)
{
    struct openings *o = arg;

    (void)err;
    pthread_mutex_lock(&o->lock);
    o->answered++;
    o->last = r;
    pthread_cond_broadcast(&o->done);
    pthread_mutex_unlock(&o->lock);
}

/* They share one listing, and its failure; the next tries again. */
static void openers_share_an_opening(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct openings o = {.lock = PTHREAD_MUTEX_INITIALIZER,
                         .done = PTHREAD_COND_INITIALIZER};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    process_stop(&p);
    memstore_reset_counts(s);
    process_start_bare(&p, s, false, 0);
    /* The catalog, and again when events begin. */
    memstore_wait_count(s, REMOTE_LIST, 2);
    memstore_quiet(s);
    p.ns = namespace_find(engine_database_at(p.engine, 0), "prod");
    p.table = table_find(p.ns, "users");
    assert_false(table_is_open(p.table));
    for (size_t round = 0; round < 2; round++) {
        memstore_reset_counts(s);
        memstore_fail(s, REMOTE_LIST, round == 0, -ETIMEDOUT, false);
        memstore_hold(s, REMOTE_LIST, true);
        for (int i = 0; i < 5; i++)
            assert_int_equal(table_open(p.table, opened, &o), 1);
        memstore_hold(s, REMOTE_LIST, false);
        pthread_mutex_lock(&o.lock);
        while (o.answered < 5 * (round + 1))
            pthread_cond_wait(&o.done, &o.lock);
        assert_int_equal(o.last, round == 0 ? -ETIMEDOUT : 0);
        pthread_mutex_unlock(&o.lock);
        /* The thread first: it may have a snapshot. */
        assert_int_equal(memstore_count(s, REMOTE_LIST), round + 1);
    }
    assert_int_equal(table_open(p.table, opened, &o), 0);
    assert_text(p.table, "a", "{\"id\":\"a\"}");
    process_stop(&p);
}

/* A gap in the events while the table is being listed, behind a page that has
 * been read: it is not missed. */
static void a_gap_during_an_opening_is_filled(void **state)
{
    struct memstore *s = *state;
    struct process p, q;
    struct openings o = {.lock = PTHREAD_MUTEX_INITIALIZER,
                         .done = PTHREAD_COND_INITIALIZER};

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    memstore_reset_counts(s);
    process_start_bare(&q, s, false, 0);
    memstore_wait_count(s, REMOTE_LIST, 2);
    memstore_quiet(s);
    q.ns = namespace_find(engine_database_at(q.engine, 0), "prod");
    q.table = table_find(q.ns, "users");
    memstore_hold(s, REMOTE_LIST, true);
    assert_int_equal(table_open(q.table, opened, &o), 1);
    memstore_wait_held(s, REMOTE_LIST, 1);
    memstore_reset_counts(s);
    memstore_let_one(s, REMOTE_LIST);
    memstore_wait_count(s, REMOTE_LIST, 1);
    memstore_wait_held(s, REMOTE_LIST, 1);
    memstore_lose_events(q.remote, true);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    memstore_lose_events(q.remote, false);
    memstore_quiet(s);
    memstore_hold(s, REMOTE_LIST, false);
    process_wait_changes(&q, 1);
    assert_text(q.table, "a", "{\"id\":\"a\",\"n\":1}");
    process_stop(&p);
    process_stop(&q);
}

static bool status_has(struct process *p, const char *what)
{
    struct buf b = BUF_INIT;

    engine_status(p->engine, &b);
    bool has = strstr(b.data, what) != NULL;
    buf_release(&b);
    return has;
}

/* Damage is reported, and the rest of the table is there. */
static void damage_is_named_and_skipped(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    char key[16];

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t a = home_of(p.table, "a"), channel = table_id(p.table);
    assert_int_equal(put(p.table, "b", "{\"n\":1}"), 0);
    writes_init(&w);
    memstore_hold(s, REMOTE_POST, true);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        writes_put(&w, p.table, key, "{\"some\":\"text that takes room\"}");
    }
    memstore_hold(s, REMOTE_POST, false);
    writes_wait(&w);
    /* Without a checkpoint, which would still have what is damaged. */
    process_kill(&p);

    memstore_damage_content(s, channel, a);
    memstore_damage_file(s, channel, memstore_message_at(s, channel, 3));
    process_start(&p, s);
    assert_text(p.table, "a", NULL);
    assert_text(p.table, "b", "{\"id\":\"b\",\"n\":1}");
    assert_int_equal(row_count(p.table), 1);
    assert_true(status_has(&p, "\"damaged\":2"));
    char message[32];
    snprintf(message, sizeof(message), "message %llu is damaged",
             (unsigned long long)a);
    assert_true(status_has(&p, message));
    process_stop(&p);
}

/* A damaged attachment is an error of the row that has it. */
static void a_damaged_text_is_an_error(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct text *text;
    char *big = big_text('x', 50000);

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", big), 0);
    memstore_damage_file(s, table_id(p.table), home_of(p.table, "a"));
    process_stop(&p);
    process_start(&p, s);
    struct row *r = row_find(p.table, "a", 1);
    assert_int_equal(row_load_text_wait(p.table, r, &text, &err), -EBADMSG);
    assert_non_null(strstr(err.text, "digest"));
    row_unref(r);
    process_stop(&p);
    free(big);
}

/* What people write in a table's channel is ignored, and counted. */
static void messages_of_others_are_ignored(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    uint64_t channel = table_id(p.table);
    char *content = memstore_content(s, channel, home_of(p.table, "a"));
    uint64_t chat = memstore_post_as(s, channel, 42, "hello");
    memstore_post_as(s, channel, 42, content);
    memstore_post_as(s, table_history_id(p.table), 42, content);
    free(content);
    memstore_quiet(s);
    assert_int_equal(row_count(p.table), 1);
    assert_true(status_has(&p, "\"ignored\":3"));
    memstore_delete_as(s, channel, chat);
    memstore_quiet(s);
    assert_true(status_has(&p, "\"damaged\":0"));
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(row_count(p.table), 1);
    assert_true(status_has(&p, "\"ignored\":2"));
    process_stop(&p);
}

static void a_patch_merges(void **state)
{
    static const struct {
        const char *text, *patch, *result;
    } cases[] = {
        {"{\"id\":\"a\",\"n\":1}", "{\"n\":2}", "{\"id\":\"a\",\"n\":2}"},
        {"{\"id\":\"a\", \"n\" : 1 }", "{\"m\":[1]}",
         "{\"id\":\"a\", \"n\" : 1,\"m\":[1] }"},
        {"{\"id\":\"a\",\"n\":1,\"m\":2}", "{\"n\":null}",
         "{\"id\":\"a\",\"m\":2}"},
        {"{\"id\":\"a\",\n \"n\":1\n}", "{\"n\":null,\"zz\":null}",
         "{\"id\":\"a\"\n}"},
        {"{\"id\":\"a\",\"o\":{\"x\":1,\"y\":{\"z\":1}}}",
         "{\"o\":{\"y\":{\"z\":null,\"w\":2}}}",
         "{\"id\":\"a\",\"o\":{\"x\":1,\"y\":{\"w\":2}}}"},
        {"{\"id\":\"a\"}", "{\"o\":{\"x\":null,\"y\":1}}",
         "{\"id\":\"a\",\"o\":{\"y\":1}}"},
        {"{\"id\":\"a\",\"o\":{\"n\":1}}", "{\"o\":{\"n\\u0000x\":2}}",
         "{\"id\":\"a\",\"o\":{\"n\":1,\"n\\u0000x\":2}}"},
    };
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(put(p.table, "a", cases[i].text), 0);
        assert_int_equal(table_patch_wait(p.table, "a", 1, cases[i].patch,
                                          strlen(cases[i].patch), 0, NULL,
                                          &err),
                         0);
        assert_text(p.table, "a", cases[i].result);
    }
    assert_int_equal(table_patch_wait(p.table, "a", 1, "[1]", 3, 0, NULL, &err),
                     -EINVAL);
    assert_int_equal(table_patch_wait(p.table, "a", 1, "{}", 2, 1, NULL, &err),
                     -ESTALE);
    assert_int_equal(table_patch_wait(p.table, "b", 1, "{}", 2, 0, NULL, &err),
                     -ENOENT);
    process_stop(&p);
}

struct patcher {
    pthread_t thread;
    struct table *table;
    int number, r;
};

static void *patch_own_field(void *arg)
{
    struct patcher *pp = arg;
    struct err err = ERR_INIT;
    char patch[32];

    snprintf(patch, sizeof(patch), "{\"f%d\":1}", pp->number);
    pp->r = table_patch_wait(pp->table, "a", 1, patch, strlen(patch), 0, NULL,
                             &err);
    return NULL;
}

/* Patches of different fields at the same time are all there. */
static void patches_at_the_same_time_all_count(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct patcher patchers[4];

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    for (int i = 0; i < 4; i++) {
        patchers[i] = (struct patcher){.table = p.table, .number = i};
        pthread_create(&patchers[i].thread, NULL, patch_own_field,
                       &patchers[i]);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(patchers[i].thread, NULL);
        assert_int_equal(patchers[i].r, 0);
    }
    char *text = text_of(p.table, "a");
    for (int i = 0; i < 4; i++) {
        char field[16];
        snprintf(field, sizeof(field), "\"f%d\":1", i);
        assert_non_null(strstr(text, field));
    }
    free(text);
    process_stop(&p);
}

/* Read-only, nothing is sent, whatever is asked. */
static void read_only_writes_nothing(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct namespace *ns;

    process_start_bare(&p, s, false, 1000000);
    process_open_table(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    process_kill(&p);
    process_start_bare(&p, s, true, 0);
    process_open_table(&p);
    memstore_quiet(s);
    memstore_reset_counts(s);
    assert_int_equal(put(p.table, "a", "{\"n\":3}"), -EROFS);
    assert_int_equal(drop_row(p.table, "a"), -EROFS);
    assert_int_equal(table_drop(p.table, false, &err), -EROFS);
    assert_int_equal(table_create(p.ns, "x", NULL, NULL, &err), -EROFS);
    assert_int_equal(
        namespace_create(engine_database_at(p.engine, 0), "y", &ns, &err),
        -EROFS);
    assert_false(table_writable(p.table));
    assert_text(p.table, "a", "{\"id\":\"a\",\"n\":2}");
    process_wait_settled(&p);
    /* It may still be listing: the first connection is as good as a gap. */
    static const enum remote_op changing[] = {
        REMOTE_POST,         REMOTE_EDIT,           REMOTE_DELETE,
        REMOTE_DELETE_MANY,  REMOTE_CHANNEL_CREATE, REMOTE_CHANNEL_DELETE,
        REMOTE_THREAD_START,
    };
    for (size_t i = 0; i < sizeof(changing) / sizeof(changing[0]); i++)
        assert_int_equal(memstore_count(s, changing[i]), 0);
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_write_is_one_request),
        CASE(reopening_finds_everything),
        CASE(bytes_are_kept),
        CASE(big_rows_are_files),
        CASE(readers_share_a_download),
        CASE(a_big_row_moves_after_a_restart),
        CASE(a_big_update_keeps_the_small_version),
        CASE(a_text_that_was_deleted_is_an_error),
        CASE(what_is_too_large_is_refused_with_the_number),
        CASE(opening_costs_a_request_for_each_hundred),
        CASE(openers_share_an_opening),
        CASE(a_gap_during_an_opening_is_filled),
        CASE(damage_is_named_and_skipped),
        CASE(a_damaged_text_is_an_error),
        CASE(messages_of_others_are_ignored),
        CASE(a_patch_merges),
        CASE(patches_at_the_same_time_all_count),
        CASE(read_only_writes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
