/* The channels of indexes: they are made, follow the rows, and whatever happens
 * no entry is missing that their marks vouch for. */
#include <errno.h>
#include <pthread.h>
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
#include "engine/index_log.h"
#include "engine/value.h"
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

static void index_by(struct table *t, const char *field, bool unique)
{
    struct err err = ERR_INIT;

    if (table_index_create(t, field, unique, &err) != 0)
        fail_msg("%s", err.text);
}

/* --- what a channel says ---------------------------------------------------
 */

static int ask(struct remote *r, struct remote_request *req,
               struct remote_reply *reply)
{
    struct err err = ERR_INIT;

    *reply = (struct remote_reply){0};
    return remote_run(r, req, reply, &err);
}

/* All of it, from its beginning, as another program would read it. */
static struct index_log *read_channel(struct memstore *s, uint64_t channel)
{
    struct remote *r = memstore_connect(s);
    struct index_log *log = index_log_new();
    uint64_t after = channel;
    size_t n;

    do {
        struct remote_reply page, file = {0};
        struct remote_request list = {.op = REMOTE_LIST,
                                      .channel = channel,
                                      .after = after,
                                      .limit = 100};
        assert_int_equal(ask(r, &list, &page), 0);
        n = page.n_messages;
        for (size_t i = 0; i < n; i++) {
            const struct remote_message *m = &page.messages[i];
            struct index_message im;
            struct err err = ERR_INIT;
            after = m->id;
            if (m->type != 0)
                continue;
            if (index_parse(m, &im, &err) != 0)
                fail_msg("%s", err.text);
            if (im.file) {
                struct remote_request get = {.op = REMOTE_DOWNLOAD,
                                             .channel = channel,
                                             .message = m->id,
                                             .file = im.file};
                assert_int_equal(ask(r, &get, &file), 0);
                assert_int_equal(index_parse_file(&im, m->id, file.body.data,
                                                  file.body.len, &err),
                                 0);
            }
            index_log_add(log, m->id, &im);
            index_message_release(&im);
            remote_reply_release(&file);
            file = (struct remote_reply){0};
        }
        remote_reply_release(&page);
    } while (n == 100);
    remote_close(r);
    return log;
}

static uint64_t channel_of(struct table *t, const char *field)
{
    size_t n;
    struct table_index *list = table_indexes(t, &n);
    uint64_t channel = 0;

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].field, field) == 0)
            channel = list[i].channel;
    table_indexes_free(list, n);
    return channel;
}

static struct table_index look(struct table *t, const char *field)
{
    size_t n;
    struct table_index *list = table_indexes(t, &n), got = {0};

    for (size_t i = 0; i < n; i++)
        if (strcmp(list[i].field, field) == 0)
            got = list[i];
    got.field = NULL;
    table_indexes_free(list, n);
    return got;
}

/* Until the entries of all changes are written. */
static void wait_indexed(struct process *p)
{
    for (;;) {
        size_t n, behind = 0;
        struct table_index *list = table_indexes(p->table, &n);
        for (size_t i = 0; i < n; i++)
            behind += list[i].behind;
        table_indexes_free(list, n);
        if (behind == 0)
            break;
        struct timespec ts = {0, 2000000};
        nanosleep(&ts, NULL);
    }
    process_wait_idle(p);
}

/* Is each row found by its value, by what the log says or because the log does
 * not vouch for it? all: only by what it says. The number of entries. */
static size_t assert_found(struct process *p, const char *field, bool all)
{
    struct index_log *log = read_channel(p->store, channel_of(p->table, field));
    struct row *rows[64];
    uint64_t after = 0, upto[2];
    size_t n, entries = 0, at = 0;
    struct index_hit hit;

    index_log_upto(log, upto);
    while ((n = row_list(p->table, after, rows, 64)) > 0) {
        after = rows[n - 1]->seq;
        for (size_t i = 0; i < n; i++) {
            AUTO_BUF struct buf value = BUF_INIT;
            struct row *r = rows[i];
            struct text *text;
            assert_int_equal(row_load_text_wait(p->table, r, &text, NULL), 0);
            bool has = value_find(text->data, text->len, field, &value);
            bool told = index_log_get(log, row_key(r), r->key_len, &hit);
            bool right =
                told
                    ? (hit.value != NULL) == has &&
                          (!has || buf_equals(&value, hit.value, hit.value_len))
                    : !has;
            if (!right && (all || (r->id <= upto[0] && r->id <= upto[1])))
                fail_msg("the index by '%s' tells of '%s': %s, and it is %s",
                         field, row_key(r),
                         !told       ? "nothing"
                         : hit.value ? hit.value
                                     : "none",
                         has ? value.data : "none");
            text_unref(text);
            row_unref(r);
        }
    }
    while (index_log_next(log, &at, &hit)) {
        struct row *r = row_find(p->table, hit.key, hit.key_len);
        if (all && hit.value && !r)
            fail_msg("the index by '%s' tells of '%s', which is gone", field,
                     hit.key);
        row_unref(r);
        entries += hit.value != NULL;
    }
    index_log_free(log);
    return entries;
}

static void fill(struct process *p, int n)
{
    struct writes w;
    char key[16], text[64];

    writes_init(&w);
    for (int i = 0; i < n; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"n\":%d,\"half\":%d}", i, i / 2);
        writes_put(&w, p->table, key, text);
    }
    writes_wait(&w);
    assert_int_equal(w.failed, 0);
}

/* --- made ------------------------------------------------------------------
 */

static void an_index_of_a_full_table_has_all_its_rows(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    fill(&p, 300);
    index_by(p.table, "half", false);
    assert_int_equal(assert_found(&p, "half", true), 300);
    uint64_t channel = channel_of(p.table, "half");
    assert_int_equal(channel, memstore_channel(s, "idx-users-half", 0));
    assert_int_equal(memstore_messages(s, channel), 1);
    struct err err = ERR_INIT;
    assert_int_equal(table_index_create(p.table, "half", false, &err), -EEXIST);
    process_stop(&p);

    /* Another process knows it from the catalog. */
    process_start(&p, s);
    assert_int_equal(channel_of(p.table, "half"), channel);
    assert_false(look(p.table, "half").unique);
    process_stop(&p);
}

static void values_of_every_kind_are_told(void **state)
{
    static const char *const texts[] = {
        "{\"a\":{\"b\":1}}",
        "{\"a\":{\"b\":\"x\\ny\"}}",
        "{\"a\":{\"b\":null}}",
        "{\"a\":{\"b\":true}}",
        "{\"a\":{\"b\":[1, 2]}}",
        "{\"a\":{\"b\":{\"c\":1}}}",
        "{\"a\":{}}",
        "{\"a\":5}",
        "{\"a.b\":\"literally\"}",
        "{}",
    };
    struct memstore *s = *state;
    struct process p;
    char key[8];

    process_start(&p, s);
    for (size_t i = 0; i < 5; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        assert_int_equal(put(p.table, key, texts[i]), 0);
    }
    index_by(p.table, "a.b", false);
    assert_found(&p, "a.b", true);
    for (size_t i = 5; i < 10; i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        assert_int_equal(put(p.table, key, texts[i]), 0);
    }
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "a.b", true), 7);
    index_by(p.table, "\u00dcber / \"all\"", false);
    assert_found(&p, "\u00dcber / \"all\"", true);
    process_stop(&p);
}

static void what_is_not_unique_is_named_and_nothing_is_made(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    fill(&p, 5);
    size_t channels = memstore_channels(s);
    assert_int_equal(table_index_create(p.table, "half", true, &err), -EEXIST);
    assert_non_null(strstr(err.text, "'k0' and 'k1'"));
    assert_int_equal(memstore_channels(s), channels);
    assert_int_equal(channel_of(p.table, "half"), 0);
    index_by(p.table, "n", true);
    assert_true(look(p.table, "n").unique);
    index_by(p.table, "half", false);
    assert_int_equal(table_index_set_unique(p.table, "half", true, &err),
                     -EEXIST);
    assert_false(look(p.table, "half").unique);
    assert_int_equal(table_index_set_unique(p.table, "n", false, &err), 0);
    assert_false(look(p.table, "n").unique);
    assert_int_equal(table_index_set_unique(p.table, "n", true, &err), 0);
    assert_true(look(p.table, "n").unique);
    process_stop(&p);
}

static void a_unique_value_is_taken_once(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    fill(&p, 3);
    index_by(p.table, "n", true);
    assert_int_equal(put(p.table, "x", "{\"n\":1.0}"), -EEXIST);
    assert_int_equal(put(p.table, "x", "{\"n\":7}"), 0);
    assert_int_equal(put(p.table, "k1", "{\"n\":7}"), -EEXIST);
    assert_int_equal(put(p.table, "k1", "{\"n\":null}"), 0);
    assert_int_equal(put(p.table, "k2", "{\"n\":null}"), 0);
    assert_int_equal(put(p.table, "k0", "{\"n\":1}"), 0);
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(put(p.table, "y", "{\"n\":7}"), -EEXIST);
    assert_int_equal(table_index_drop(p.table, "n", &err), 0);
    assert_int_equal(put(p.table, "y", "{\"n\":7}"), 0);
    process_stop(&p);
    /* What was void then stays so, and what counts now does later. */
    process_start(&p, s);
    assert_int_equal(version_of(p.table, "y"), 1);
    assert_int_equal(version_of(p.table, "x"), 1);
    process_stop(&p);
}

static void a_schema_makes_and_drops_indexes(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct schema *schema;
    struct table *other;
    struct err err = ERR_INIT;
    static const char two[] =
        "{\"pk\":\"id\",\"indexes\":{\"n\":{\"unique\":true},\"half\":{}}}";
    static const char one[] = "{\"pk\":\"id\",\"indexes\":{\"half\":{}}}";
    static const char none[] = "{\"pk\":\"id\",\"required\":[\"n\"]}";

    process_start(&p, s);
    fill(&p, 10);
    assert_int_equal(schema_parse(two, strlen(two), &schema, &err), 0);
    assert_int_equal(table_schema_set(p.table, schema, false, &err), 0);
    assert_int_equal(assert_found(&p, "n", true), 10);
    assert_int_equal(assert_found(&p, "half", true), 10);
    assert_true(look(p.table, "n").unique);
    /* A table that is made with it has its channels at once. */
    assert_int_equal(table_create(p.ns, "more", schema, &other, &err), 0);
    assert_int_not_equal(memstore_channel(s, "idx-more-half", 0), 0);
    assert_int_not_equal(channel_of(other, "n"), 0);
    schema_unref(schema);

    assert_int_equal(schema_parse(one, strlen(one), &schema, &err), 0);
    assert_int_equal(table_schema_set(p.table, schema, false, &err), 0);
    schema_unref(schema);
    assert_int_equal(memstore_channel(s, "idx-users-n", 0), 0);
    assert_int_equal(channel_of(p.table, "n"), 0);

    /* One that does not speak of indexes leaves them as they are. */
    assert_int_equal(schema_parse(none, strlen(none), &schema, &err), 0);
    assert_int_equal(table_schema_set(p.table, schema, false, &err), 0);
    schema_unref(schema);
    assert_int_equal(assert_found(&p, "half", true), 10);

    assert_int_equal(table_rename(p.table, p.ns, "people", &err), 0);
    assert_int_equal(assert_found(&p, "half", true), 10);
    assert_int_equal(table_drop(p.table, false, &err), 0);
    assert_int_equal(memstore_channel(s, "idx-users-half", 0), 0);
    assert_int_equal(table_drop(other, false, &err), 0);
    assert_int_equal(memstore_channel(s, "idx-more-half", 0), 0);
    assert_int_equal(memstore_channel(s, "idx-more-n", 0), 0);
    table_unref(other);
    process_stop(&p);
}

/* --- follows ---------------------------------------------------------------
 */

static void changes_of_the_field_are_told_and_no_others(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    fill(&p, 20);
    index_by(p.table, "half", false);
    uint64_t channel = channel_of(p.table, "half");
    size_t before = memstore_messages(s, channel);

    for (int i = 0; i < 10; i++) {
        char text[40];
        snprintf(text, sizeof(text), "{\"n\":%d,\"half\":0}", 100 + i);
        assert_int_equal(put(p.table, "k0", text), 0);
    }
    assert_int_equal(look(p.table, "half").behind, 0);
    process_wait_settled(&p);
    process_wait_idle(&p);
    assert_int_equal(memstore_messages(s, channel), before);

    assert_int_equal(put(p.table, "k1", "{\"half\":\"other\"}"), 0);
    assert_int_equal(put(p.table, "k2", "{}"), 0);
    assert_int_equal(drop_row(p.table, "k3"), 0);
    assert_int_equal(put_new(p.table, "new", "{\"half\":3}"), 0);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "half", true), 19);
    /* One message for all of them, or two where it fell between. */
    assert_in_range(memstore_messages(s, channel), before + 1, before + 2);
    process_stop(&p);
}

static void closing_writes_what_is_gathered(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    index_by(p.table, "n", false);
    process_stop(&p);
    process_start_bare(&p, s, false, 60000);
    process_open_table(&p);
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    assert_int_equal(put(p.table, "b", "{\"n\":2}"), 0);
    /* Until then it is told how far it is behind. */
    AUTO_BUF struct buf status = BUF_INIT;
    assert_int_equal(look(p.table, "n").behind, 2);
    engine_status(p.engine, &status);
    assert_non_null(strstr(status.data, "\"indexes_behind\":1,"));
    assert_non_null(strstr(status.data, "\"entries\":2,\"behind\":2,"));
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(assert_found(&p, "n", true), 2);
    process_stop(&p);
}

static void large_rows_are_told_too(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char *text = xmalloc(5000);

    memset(text, 'x', 4999);
    memcpy(text, "{\"n\":7,\"pad\":\"", 14);
    memcpy(text + 4997, "\"}", 3);
    process_start(&p, s);
    assert_int_equal(put(p.table, "big", text), 0);
    index_by(p.table, "n", false);
    assert_int_equal(assert_found(&p, "n", true), 1);
    text[5] = '8';
    assert_int_equal(put(p.table, "big", text), 0);
    assert_int_equal(put(p.table, "big2", text), 0);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "n", true), 2);
    process_stop(&p);
    free(text);
}

static void a_long_log_is_written_again(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char text[40];

    process_start(&p, s);
    fill(&p, 10);
    index_by(p.table, "n", false);
    uint64_t channel = channel_of(p.table, "n");
    for (int i = 0; i < 80; i++) {
        snprintf(text, sizeof(text), "{\"n\":%d}", 1000 + i);
        assert_int_equal(put(p.table, "k3", text), 0);
        if (i % 10 == 0)
            assert_int_equal(drop_row(p.table, "k4"), i ? -ENOENT : 0);
        wait_indexed(&p);
    }
    assert_in_range(memstore_messages(s, channel), 1, 40);
    assert_int_equal(assert_found(&p, "n", true), 9);
    process_stop(&p);
}

/* Too many rows to write them all again: what came since is merged. */
static void small_messages_of_a_large_log_are_merged(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char key[16], text[40];

    process_start(&p, s);
    fill(&p, 21000);
    index_by(p.table, "n", false);
    uint64_t channel = channel_of(p.table, "n");
    size_t whole = memstore_messages(s, channel);
    for (int i = 0; i < 140; i++) {
        snprintf(key, sizeof(key), "k%d", i % 90);
        snprintf(text, sizeof(text), "{\"n\":\"%d\"}", i);
        assert_int_equal(put(p.table, key, text), 0);
        wait_indexed(&p);
    }
    assert_in_range(memstore_messages(s, channel), whole + 1, whole + 80);
    assert_int_equal(assert_found(&p, "n", true), 21000);
    process_stop(&p);
}

/* --- whatever happens ------------------------------------------------------
 */

struct making {
    struct process *p;
    int result;
    char said[600];
};

static void *make(void *arg)
{
    struct making *m = arg;
    struct err err = ERR_INIT;

    m->result = table_index_create(m->p->table, "half", true, &err);
    snprintf(m->said, sizeof(m->said), "%s", err.text);
    return NULL;
}

/* It dies when so many requests of a kind have left; the next one ends it. */
static void dies_while_making(struct memstore *s, enum remote_op op, size_t n)
{
    struct process p;
    struct making m = {.p = &p};
    pthread_t thread;
    char text[40];

    process_start(&p, s);
    memstore_hold(s, op, true);
    pthread_create(&thread, NULL, make, &m);
    for (size_t i = 0; i < n; i++) {
        memstore_wait_held(s, op, 1);
        memstore_let_one(s, op);
    }
    memstore_wait_held(s, op, 1);
    memstore_kill(p.remote);
    memstore_hold(s, op, false);
    pthread_join(thread, NULL);
    process_kill(&p);
    assert_true(m.result < 0);

    process_start(&p, s);
    struct err err = ERR_INIT;
    int r = table_index_create(p.table, "half", true, &err);
    if (r != 0 && r != -EEXIST)
        fail_msg("%s", err.text);
    assert_int_equal(memstore_channel(s, "idx-users-half", 1), 0);
    snprintf(text, sizeof(text), "{\"half\":%zu}", 5000 + 10 * op + n);
    assert_int_equal(put(p.table, "more", text), 0);
    wait_indexed(&p);
    assert_found(&p, "half", true);
    assert_int_equal(table_index_drop(p.table, "half", &err), 0);
    assert_int_equal(memstore_channel(s, "idx-users-half", 0), 0);
    process_stop(&p);
}

static void a_crash_while_it_is_made_can_be_made_up_for(void **state)
{
    struct memstore *s = *state;
    struct process p;
    char key[16], text[40];

    /* An empty channel is nobody's after a while. */
    memstore_set_age(s, 20000);
    process_start(&p, s);
    for (int i = 0; i < 10; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"half\":%d}", i);
        assert_int_equal(put(p.table, key, text), 0);
    }
    process_stop(&p);
    dies_while_making(s, REMOTE_CHANNEL_CREATE, 0);
    dies_while_making(s, REMOTE_POST, 0);
    dies_while_making(s, REMOTE_POST, 1);
}

static void *drop_index(void *arg)
{
    struct making *m = arg;

    m->result = table_index_drop(m->p->table, "n", NULL);
    return NULL;
}

static void a_channel_that_a_drop_left_is_used_again(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct making m = {.p = &p};
    pthread_t thread;

    process_start(&p, s);
    fill(&p, 10);
    index_by(p.table, "n", true);
    uint64_t channel = channel_of(p.table, "n");
    memstore_hold(s, REMOTE_CHANNEL_DELETE, true);
    pthread_create(&thread, NULL, drop_index, &m);
    memstore_wait_held(s, REMOTE_CHANNEL_DELETE, 1);
    memstore_kill(p.remote);
    memstore_hold(s, REMOTE_CHANNEL_DELETE, false);
    pthread_join(thread, NULL);
    process_kill(&p);

    process_start(&p, s);
    assert_int_equal(channel_of(p.table, "n"), 0);
    assert_int_equal(memstore_channel(s, "idx-users-n", 0), channel);
    /* Nobody enters these. */
    assert_int_equal(put(p.table, "k1", "{\"n\":2}"), 0);
    assert_int_equal(put(p.table, "k2", "{\"n\":\"other\"}"), 0);
    assert_int_equal(put(p.table, "k3", "{}"), 0);
    assert_int_equal(drop_row(p.table, "k4"), 0);
    index_by(p.table, "n", false);
    assert_int_equal(channel_of(p.table, "n"), channel);
    assert_int_equal(assert_found(&p, "n", true), 8);
    assert_int_equal(memstore_messages(s, channel), 1);
    process_stop(&p);
}

static void a_lost_answer_leaves_one_channel(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    fill(&p, 10);
    for (int after = 0; after < 2; after++) {
        memstore_fail(s, REMOTE_POST, 1, -EIO, after == 1);
        assert_true(table_index_create(p.table, "half", false, &err) < 0);
        assert_int_equal(table_index_create(p.table, "half", false, &err), 0);
        assert_found(&p, "half", true);
        assert_int_equal(memstore_channel(s, "idx-users-half", 1), 0);
        assert_int_equal(table_index_drop(p.table, "half", &err), 0);
    }
    process_stop(&p);
}

static void what_a_crash_left_unwritten_is_made_up_for(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    fill(&p, 10);
    index_by(p.table, "n", false);
    process_stop(&p);
    process_start_bare(&p, s, false, 60000);
    process_open_table(&p);
    assert_int_equal(put(p.table, "k1", "{\"n\":\"changed\"}"), 0);
    assert_int_equal(put(p.table, "new", "{\"n\":\"new\"}"), 0);
    assert_int_equal(drop_row(p.table, "k2"), 0);
    assert_found(&p, "n", false);
    process_kill(&p);

    process_start(&p, s);
    assert_found(&p, "n", false);
    assert_int_equal(put(p.table, "k5", "{\"n\":\"five\"}"), 0);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "n", true), 10);
    process_stop(&p);
}

static void a_failure_is_tried_again(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    index_by(p.table, "n", false);
    uint64_t channel = channel_of(p.table, "n");
    assert_int_equal(put(p.table, "a", "{\"n\":1}"), 0);
    /* Of the index: the row is answered already. */
    memstore_fail(s, REMOTE_POST, 2, -EIO, false);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "n", true), 1);
    process_stop(&p);
    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{\"n\":2}"), 0);
    memstore_fail(s, REMOTE_LIST, 1, -EIO, false);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "n", true), 1);
    assert_int_equal(channel_of(p.table, "n"), channel);
    process_stop(&p);
}

static void two_processes_write_one_index(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct err err = ERR_INIT;
    char key[16], text[40];

    process_start(&a, s);
    process_start(&b, s);
    fill(&a, 10);
    index_by(a.table, "n", false);
    memstore_quiet(s);
    process_wait_idle(&b);
    assert_int_equal(channel_of(b.table, "n"), channel_of(a.table, "n"));
    for (int i = 0; i < 30; i++) {
        struct process *p = i % 2 ? &a : &b;
        snprintf(key, sizeof(key), "k%d", i % 7);
        snprintf(text, sizeof(text), "{\"n\":\"%d\"}", i);
        /* The other may have been first: then this one's turn is over. */
        int r = put(p->table, key, text);
        assert_true(r == 0 || r == -ESTALE);
    }
    memstore_quiet(s);
    wait_indexed(&a);
    wait_indexed(&b);
    memstore_quiet(s);
    assert_found(&a, "n", true);
    assert_found(&b, "n", true);
    /* One writes it all again while the other goes on. */
    assert_int_equal(put(b.table, "k9", "{\"n\":\"late\"}"), 0);
    assert_int_equal(table_reindex(a.table, NULL, NULL, NULL, &err), 0);
    memstore_quiet(s);
    wait_indexed(&a);
    wait_indexed(&b);
    assert_found(&a, "n", true);
    process_stop(&a);
    process_stop(&b);
    process_start(&a, s);
    assert_found(&a, "n", true);
    process_stop(&a);
}

static void what_another_process_has_written_is_not_written_again(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct writes w;
    char key[16], text[40];

    process_start(&a, s);
    index_by(a.table, "n", false);
    process_start(&b, s);
    uint64_t channel = channel_of(a.table, "n");
    writes_init(&w);
    for (int i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(text, sizeof(text), "{\"n\":%d}", i);
        writes_put(&w, a.table, key, text);
    }
    writes_wait(&w);
    wait_indexed(&a);
    size_t messages = memstore_messages(s, channel);
    memstore_quiet(s);
    wait_indexed(&b);
    assert_int_equal(memstore_messages(s, channel), messages);
    assert_int_equal(assert_found(&b, "n", true), 1000);
    process_stop(&b);
    process_stop(&a);
}

static void of_two_processes_one_has_a_unique_value(void **state)
{
    struct memstore *s = *state;
    struct process a, b;

    process_start(&a, s);
    process_start(&b, s);
    fill(&a, 3);
    index_by(a.table, "n", true);
    memstore_quiet(s);
    process_wait_idle(&b);
    assert_true(look(b.table, "n").unique);
    assert_int_equal(put(b.table, "y", "{\"n\":1}"), -EEXIST);
    /* It cannot know yet that the other was first. */
    memstore_hold_events(b.remote, true);
    assert_int_equal(put(a.table, "x", "{\"n\":50}"), 0);
    assert_int_equal(put(b.table, "y", "{\"n\":50}"), 0);
    memstore_hold_events(b.remote, false);
    memstore_quiet(s);
    process_wait_idle(&b);
    process_wait_voided(&b, 1);
    assert_int_equal(version_of(a.table, "x"), 1);
    assert_int_equal(version_of(b.table, "x"), 1);
    assert_int_equal(version_of(a.table, "y"), 0);
    assert_int_equal(version_of(b.table, "y"), 0);
    wait_indexed(&a);
    wait_indexed(&b);
    assert_found(&a, "n", false);
    process_stop(&b);
    process_stop(&a);
    process_start(&a, s);
    assert_int_equal(version_of(a.table, "y"), 0);
    assert_int_equal(put(a.table, "y", "{\"n\":51}"), 0);
    process_stop(&a);
}

static void what_came_between_check_and_commit_is_found(void **state)
{
    struct memstore *s = *state;
    struct process a, b;
    struct making m = {.p = &a};
    pthread_t thread;

    process_start(&a, s);
    process_start(&b, s);
    assert_int_equal(put(a.table, "x", "{\"half\":1}"), 0);
    memstore_quiet(s);
    memstore_hold(s, REMOTE_CHANNEL_CREATE, true);
    pthread_create(&thread, NULL, make, &m);
    memstore_wait_held(s, REMOTE_CHANNEL_CREATE, 1);
    /* Here it is refused from the check on, there it is not. */
    assert_int_equal(put(a.table, "y", "{\"half\":1}"), -EEXIST);
    assert_int_equal(put(b.table, "z", "{\"half\":1}"), 0);
    memstore_quiet(s);
    memstore_hold(s, REMOTE_CHANNEL_CREATE, false);
    pthread_join(thread, NULL);
    assert_int_equal(m.result, -EEXIST);
    assert_non_null(strstr(m.said, "'x' and 'z'"));
    assert_false(look(a.table, "half").unique);
    assert_int_equal(put(a.table, "y", "{\"half\":1}"), 0);
    assert_int_equal(assert_found(&a, "half", false), 2);
    process_stop(&b);
    process_stop(&a);
}

/* --- hands -----------------------------------------------------------------
 */

static void a_message_that_somebody_deleted_comes_again(void **state)
{
    struct memstore *s = *state;
    struct process p;

    process_start(&p, s);
    fill(&p, 30);
    index_by(p.table, "n", false);
    uint64_t channel = channel_of(p.table, "n");
    uint64_t first = memstore_message_at(s, channel, 0);
    memstore_delete_as(s, channel, first);
    memstore_quiet(s);
    assert_int_equal(memstore_messages(s, channel), 0);
    memstore_wait_count(s, REMOTE_POST, memstore_count(s, REMOTE_POST) + 1);
    process_wait_idle(&p);
    assert_int_equal(assert_found(&p, "n", true), 30);
    process_stop(&p);
}

static void a_channel_that_somebody_deleted_is_noticed(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    struct remote_reply reply;

    process_start(&p, s);
    fill(&p, 10);
    index_by(p.table, "n", false);
    uint64_t channel = channel_of(p.table, "n");
    struct remote *hand = memstore_connect(s);
    struct remote_request del = {.op = REMOTE_CHANNEL_DELETE,
                                 .channel = channel};
    assert_int_equal(ask(hand, &del, &reply), 0);
    remote_close(hand);
    memstore_quiet(s);
    assert_true(look(p.table, "n").lost);
    assert_int_equal(put(p.table, "k1", "{\"n\":\"x\"}"), 0);
    assert_int_equal(table_reindex(p.table, "n", NULL, NULL, &err), 0);
    assert_false(look(p.table, "n").lost);
    assert_int_not_equal(channel_of(p.table, "n"), channel);
    assert_int_equal(assert_found(&p, "n", true), 10);
    assert_int_equal(put(p.table, "k2", "{\"n\":\"y\"}"), 0);
    wait_indexed(&p);
    assert_int_equal(assert_found(&p, "n", true), 10);
    assert_int_equal(table_reindex(p.table, "x", NULL, NULL, &err), -ENOENT);
    process_stop(&p);
}

static void a_guild_that_is_full_says_so(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;
    char field[16];
    int r = 0;

    process_start(&p, s);
    for (int i = 0; i < 600 && r == 0; i++) {
        snprintf(field, sizeof(field), "f%d", i);
        struct remote_reply reply;
        struct remote_request req = {.op = REMOTE_CHANNEL_CREATE,
                                     .guild = memstore_guild(s),
                                     .kind = REMOTE_CHANNEL_TEXT,
                                     .name = field};
        r = memstore_channels(s) >= 499 ? 1 : ask(p.remote, &req, &reply);
        if (r == 0)
            remote_reply_release(&reply);
    }
    process_stop(&p);
    process_start(&p, s);
    r = table_index_create(p.table, "a", false, &err);
    if (r == 0)
        r = table_index_create(p.table, "b", false, &err);
    assert_int_equal(r, -ENOSPC);
    assert_non_null(strstr(err.text, "500"));
    assert_int_equal(put(p.table, "k", "{\"a\":1}"), 0);
    process_stop(&p);
}

#define CASE(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_index_of_a_full_table_has_all_its_rows),
        CASE(values_of_every_kind_are_told),
        CASE(what_is_not_unique_is_named_and_nothing_is_made),
        CASE(a_unique_value_is_taken_once),
        CASE(a_schema_makes_and_drops_indexes),
        CASE(changes_of_the_field_are_told_and_no_others),
        CASE(closing_writes_what_is_gathered),
        CASE(large_rows_are_told_too),
        CASE(a_long_log_is_written_again),
        CASE(small_messages_of_a_large_log_are_merged),
        CASE(a_crash_while_it_is_made_can_be_made_up_for),
        CASE(a_channel_that_a_drop_left_is_used_again),
        CASE(a_lost_answer_leaves_one_channel),
        CASE(what_a_crash_left_unwritten_is_made_up_for),
        CASE(a_failure_is_tried_again),
        CASE(two_processes_write_one_index),
        CASE(what_another_process_has_written_is_not_written_again),
        CASE(of_two_processes_one_has_a_unique_value),
        CASE(what_came_between_check_and_commit_is_found),
        CASE(a_message_that_somebody_deleted_comes_again),
        CASE(a_channel_that_somebody_deleted_is_noticed),
        CASE(a_guild_that_is_full_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
