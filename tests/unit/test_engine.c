/* The engine against a model: random operations, faults and restarts, by one
 * process and by several threads; whatever was answered is there afterwards.
 * The seed is printed; DBCORD_TEST_SEED repeats it. */
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
#include "engine/base/clock.h"
#include "engine/json.h"
#include "tests/lib/world.h"

#define KEYS 8

struct model {
    char *text[KEYS]; /* NULL: no such row */
    uint32_t version[KEYS];
};

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

static void key_of(uint32_t i, char out[16])
{
    snprintf(out, 16, "key %u", i);
}

/* A row: mostly small, now and then too big for a message, or with what does
 * not survive in one. */
static char *random_text(uint64_t *rng, const char *key)
{
    static const size_t pads[] = {0, 10, 100, 1500, 1900, 3000, 20000};
    struct buf b = BUF_INIT;
    size_t pad = pads[draw(rng, 7)];

    buf_printf(&b, "{\"id\":\"%s\",\"n\":%u,%s\"pad\":\"", key,
               draw(rng, 1000000), draw(rng, 3) ? "" : "\n ");
    for (size_t i = 0; i < pad; i++)
        buf_addc(&b, (char)('a' + i % 26));
    if (draw(rng, 5) == 0)
        buf_addstr(&b, "\xe2\x80\x8b~");
    buf_addstr(&b, "\"}");
    return buf_take_str(&b);
}

static void assert_is_model(struct process *p, const struct model *m)
{
    size_t there = 0;

    for (uint32_t i = 0; i < KEYS; i++) {
        char key[16];
        key_of(i, key);
        char *text = text_of(p->table, key);
        if (!m->text[i]) {
            assert_null(text);
        } else {
            assert_non_null(text);
            assert_string_equal(text, m->text[i]);
            assert_int_equal(version_of(p->table, key), m->version[i]);
            there++;
        }
        free(text);
    }
    assert_int_equal(row_count(p->table), there);
}

static void set(struct model *m, uint32_t i, char *text)
{
    free(m->text[i]);
    m->text[i] = text;
    m->version[i]++;
}

/* The row's text with another key in front. */
static char *rekeyed(const char *text, const char *from, const char *to)
{
    struct buf b = BUF_INIT;

    buf_printf(&b, "{\"id\":\"%s\"%s", to, text + 8 + strlen(from));
    return buf_take_str(&b);
}

static void random_fault(struct memstore *s, uint64_t *rng)
{
    static const enum remote_op ops[] = {REMOTE_POST, REMOTE_EDIT, REMOTE_LIST,
                                         REMOTE_DELETE};
    static const int codes[] = {-ETIMEDOUT, -EIO, -ENETUNREACH};
    enum remote_op op = ops[draw(rng, 4)];

    memstore_fail(s, op, 1, codes[draw(rng, 3)],
                  op != REMOTE_LIST && draw(rng, 2));
}

static void random_write(struct process *p, struct model *m, uint64_t *rng)
{
    uint32_t i = draw(rng, KEYS), k = draw(rng, KEYS);
    char key[16], to[16];
    int r;

    key_of(i, key);
    key_of(k, to);
    switch (draw(rng, 5)) {
    case 0:
        r = drop_row(p->table, key);
        if (r == 0)
            set(m, i, NULL);
        else
            assert_true(m->text[i] ? r != -ENOENT : r == -ENOENT);
        break;
    case 1:
        if (i == k)
            break;
        r = move_row(p->table, key, to);
        if (r == 0) {
            set(m, k, rekeyed(m->text[i], key, to));
            set(m, i, NULL);
        } else {
            assert_true(m->text[i] ? r != -ENOENT : r == -ENOENT);
        }
        break;
    case 2: {
        char *text = random_text(rng, key);
        r = put_new(p->table, key, text);
        assert_true((r == -EEXIST) == (m->text[i] != NULL));
        if (r == 0)
            set(m, i, text);
        else
            free(text);
        break;
    }
    default: {
        char *text = random_text(rng, key);
        if (put(p->table, key, text) == 0)
            set(m, i, text);
        else
            free(text);
        break;
    }
    }
}

static void random_life_agrees_with_a_model(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct model m = {0};
    uint64_t rng = seed;

    process_start(&p, s);
    for (int step = 0; step < 600; step++) {
        switch (draw(&rng, 40)) {
        case 0:
            memstore_strip(s, 0);
            memstore_fail(s, REMOTE_LIST, 0, 0, false);
            process_stop(&p);
            process_start(&p, s);
            assert_is_model(&p, &m);
            break;
        case 1:
            memstore_strip(s, 0);
            memstore_fail(s, REMOTE_LIST, 0, 0, false);
            process_kill(&p);
            process_start(&p, s);
            assert_is_model(&p, &m);
            break;
        case 2:
            process_wait_settled(&p);
            break;
        case 3:
            memstore_strip(s, draw(&rng, 2) ? '~' : 0);
            break;
        case 4:
        case 5:
            random_fault(s, &rng);
            break;
        case 6:
            memstore_hold_events(p.remote, draw(&rng, 2));
            break;
        default:
            random_write(&p, &m, &rng);
            break;
        }
    }
    assert_is_model(&p, &m);
    memstore_strip(s, 0);
    memstore_fail(s, REMOTE_LIST, 0, 0, false);
    memstore_hold_events(p.remote, false);
    process_stop(&p);
    process_start(&p, s);
    assert_is_model(&p, &m);
    process_wait_settled(&p);
    assert_is_model(&p, &m);
    process_stop(&p);
    for (int i = 0; i < KEYS; i++)
        free(m.text[i]);
}

/* --- a process that is killed ----------------------------------------------
 */

struct writer {
    pthread_t thread;
    struct table *table;
    int number;
    int answered, tried; /* the last n of its key */
};

/* Counts one key up until nothing works any more. */
static void *count_up(void *arg)
{
    struct writer *w = arg;
    char key[16], text[64];

    snprintf(key, sizeof(key), "w%d", w->number);
    for (;;) {
        w->tried++;
        snprintf(text, sizeof(text), "{\"n\":%d}", w->tried);
        if (put(w->table, key, text) < 0)
            return NULL;
        w->answered = w->tried;
    }
}

static void what_was_answered_survives_a_kill(void **state)
{
    enum { WRITERS = 6, ROUNDS = 5 };
    struct memstore *s = *state;
    struct process p;
    struct writer writers[WRITERS] = {0};
    uint64_t rng = seed;

    for (int round = 0; round < ROUNDS; round++) {
        process_start(&p, s);
        memstore_reset_counts(s);
        for (int i = 0; i < WRITERS; i++) {
            writers[i].table = p.table;
            writers[i].number = i;
            pthread_create(&writers[i].thread, NULL, count_up, &writers[i]);
        }
        memstore_wait_count(s, REMOTE_POST, 5 + draw(&rng, 40));
        memstore_kill(p.remote);
        for (int i = 0; i < WRITERS; i++)
            pthread_join(writers[i].thread, NULL);
        process_kill(&p);

        process_start(&p, s);
        for (int i = 0; i < WRITERS; i++) {
            char key[16];
            int n = 0;
            snprintf(key, sizeof(key), "w%d", i);
            char *text = text_of(p.table, key);
            if (text)
                assert_int_equal(sscanf(text, "{\"id\":\"w%*d\",\"n\":%d}", &n),
                                 1);
            free(text);
            assert_in_range(n, writers[i].answered, writers[i].tried);
            writers[i].answered = writers[i].tried = n;
        }
        process_stop(&p);
    }
}

/* Two processes write the same rows at the same time, and see the same in the
 * end, as does a third that was not there. */
static void processes_agree_in_the_end(void **state)
{
    enum { WRITERS = 3 };
    struct memstore *s = *state;
    struct process p[2], third;
    uint64_t rng = seed;

    process_start(&p[0], s);
    process_start(&p[1], s);
    for (int step = 0; step < 150; step++) {
        struct process *one = &p[draw(&rng, 2)];
        char key[16];
        key_of(draw(&rng, 4), key);
        if (draw(&rng, 10) == 0)
            memstore_hold_events(one->remote, draw(&rng, 2));
        char *text = random_text(&rng, key);
        int r;
        switch (draw(&rng, 4)) {
        case 0:
            r = drop_row(one->table, key);
            break;
        case 1:
            r = put_new(one->table, key, text);
            break;
        default:
            r = put(one->table, key, text);
            break;
        }
        free(text);
        assert_true(r == 0 || r == -ENOENT || r == -EEXIST || r == -ESTALE);
    }
    memstore_hold_events(p[0].remote, false);
    memstore_hold_events(p[1].remote, false);
    memstore_quiet(s);
    process_wait_settled(&p[0]);
    process_wait_settled(&p[1]);
    process_start(&third, s);
    for (uint32_t i = 0; i < 4; i++) {
        char key[16];
        key_of(i, key);
        char *expected = text_of(third.table, key);
        for (int k = 0; k < 2; k++) {
            char *text = text_of(p[k].table, key);
            assert_true((text == NULL) == (expected == NULL));
            if (text)
                assert_string_equal(text, expected);
            assert_int_equal(version_of(p[k].table, key),
                             version_of(third.table, key));
            free(text);
        }
        free(expected);
    }
    process_stop(&third);
    process_stop(&p[0]);
    process_stop(&p[1]);
}

/* --- the rest of it --------------------------------------------------------
 */

struct job {
    pthread_mutex_t lock;
    pthread_cond_t done; /* with lock */
    struct process *p;
    size_t ran;
    int r;
};

static void write_one(void *arg)
{
    struct job *j = arg;

    int r = put(j->p->table, "a", "{}");
    pthread_mutex_lock(&j->lock);
    j->ran++;
    j->r |= r;
    pthread_cond_broadcast(&j->done);
    pthread_mutex_unlock(&j->lock);
}

/* Work that waits can be handed to the engine's threads, more of it than there
 * are threads; and closing waits for it. */
static void spawned_work_may_wait(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct job j = {.lock = PTHREAD_MUTEX_INITIALIZER,
                    .done = PTHREAD_COND_INITIALIZER,
                    .p = &p};

    process_start(&p, s);
    for (int i = 0; i < 20; i++)
        engine_spawn(p.engine, write_one, &j);
    pthread_mutex_lock(&j.lock);
    while (j.ran < 20)
        pthread_cond_wait(&j.done, &j.lock);
    pthread_mutex_unlock(&j.lock);
    assert_int_equal(j.r, 0);
    assert_int_equal(version_of(p.table, "a"), 20);
    process_stop(&p);
}

/* Closing commits what was accepted. */
static void closing_commits_what_was_accepted(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct writes w;
    char key[16];

    process_start(&p, s);
    writes_init(&w);
    for (int i = 0; i < 50; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        writes_put(&w, p.table, key, "{}");
    }
    process_stop(&p);
    assert_int_equal(w.answered, 50);
    assert_int_equal(w.failed, 0);
    process_start(&p, s);
    assert_int_equal(row_count(p.table), 50);
    process_stop(&p);
}

/* An engine that cannot reach its guild says which, and leaves nothing. */
static void opening_fails_with_a_reason(void **state)
{
    struct memstore *s = *state;
    struct remote *r = memstore_connect(s);
    uint64_t guild = 77;
    struct engine_options o = {.remote = r, .guilds = &guild, .n_guilds = 1};
    struct engine *e;
    struct err err = ERR_INIT;

    assert_int_equal(engine_open(&o, &e, &err), -ENOENT);
    assert_non_null(strstr(err.text, "77"));
    remote_close(r);
}

static void status_is_json(void **state)
{
    struct memstore *s = *state;
    struct process p;
    struct err err = ERR_INIT;

    process_start(&p, s);
    assert_int_equal(put(p.table, "a", "{}"), 0);
    struct buf b = BUF_INIT;
    engine_status(p.engine, &b);
    assert_int_equal(json_check(b.data, b.len, &err), 0);
    assert_non_null(strstr(b.data, "\"rows\":1"));
    buf_release(&b);
    process_stop(&p);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(random_life_agrees_with_a_model),
        CASE(what_was_answered_survives_a_kill),
        CASE(processes_agree_in_the_end),
        CASE(spawned_work_may_wait),
        CASE(closing_commits_what_was_accepted),
        CASE(opening_fails_with_a_reason),
        CASE(status_is_json),
    };
    const char *given = getenv("DBCORD_TEST_SEED");

    seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
    printf("DBCORD_TEST_SEED=%llu\n", (unsigned long long)seed);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
