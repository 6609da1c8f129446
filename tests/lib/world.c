#include "tests/lib/world.h"

#include <assert.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/base/alloc.h"
#include "engine/base/log.h"

static void watch(void *arg, const struct change *c)
{
    struct process *p = arg;

    pthread_mutex_lock(&p->lock);
    switch (c->kind) {
    case CHANGE_ROW:
        p->row_changes++;
        free(p->last_key);
        p->last_key = xstrdup(row_key(c->now ? c->now : c->old));
        break;
    case CHANGE_VOIDED:
        p->voided++;
        break;
    case CHANGE_TABLE:
        p->table_changes++;
        break;
    case CHANGE_NAMESPACE:
        p->namespace_changes++;
        break;
    case CHANGE_DATABASE:
        break;
    }
    if (c->kind != CHANGE_ROW && c->kind != CHANGE_VOIDED) {
        free(p->last_old_name);
        p->last_old_name = c->old_name ? xstrdup(c->old_name) : NULL;
        p->last_gone = c->gone;
    }
    pthread_cond_broadcast(&p->told);
    void (*also)(void *, const struct change *) = p->also;
    pthread_mutex_unlock(&p->lock);
    if (also)
        also(p->also_arg, c);
}

static void pass_on(void *arg, const struct remote_event *ev)
{
    engine_event(arg, ev);
}

static void must(int r, const struct err *err)
{
    if (r < 0)
        fprintf(stderr, "%s\n", err_text(err, r));
    assert(r == 0);
}

void process_watch(struct process *p,
                   void (*fn)(void *arg, const struct change *c), void *arg)
{
    pthread_mutex_lock(&p->lock);
    p->also = fn;
    p->also_arg = arg;
    pthread_mutex_unlock(&p->lock);
}

static void start(struct process *p, struct memstore *s, bool read_only,
                  bool all, int64_t settle_ms)
{
    uint64_t guild = memstore_guild(s);
    struct err err = ERR_INIT;

    *p = (struct process){.store = s};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->told, NULL);
    p->remote = memstore_connect(s);
    struct engine_options o = {
        .remote = p->remote,
        .guilds = &guild,
        .n_guilds = 1,
        .by = "ada@test",
        .read_only = read_only,
        .all = all,
        .settle_ms = settle_ms ? settle_ms : WORLD_SETTLE_MS,
        .watch = watch,
        .watch_arg = p,
    };
    must(engine_open(&o, &p->engine, &err), &err);
}

void process_start_bare(struct process *p, struct memstore *s, bool read_only,
                        int64_t settle_ms)
{
    start(p, s, read_only, true, settle_ms);
    memstore_listen(p->remote, pass_on, p->engine);
}

void process_start_cold(struct process *p, struct memstore *s)
{
    struct err err = ERR_INIT;

    start(p, s, false, false, 0);
    must(namespace_open_wait(engine_database_at(p->engine, 0), "prod", &p->ns,
                             &err),
         &err);
    p->table = table_find(p->ns, "users");
    assert(p->table);
}

void process_open_table(struct process *p)
{
    struct database *d = engine_database_at(p->engine, 0);
    struct err err = ERR_INIT;

    p->ns = namespace_find(d, "prod");
    if (!p->ns)
        must(namespace_create(d, "prod", &p->ns, &err), &err);
    p->table = table_find(p->ns, "users");
    if (!p->table)
        must(table_create(p->ns, "users", NULL, &p->table, &err), &err);
    must(table_open_wait(p->table, &err), &err);
}

static long long status_number(const char *status, const char *name)
{
    const char *at = strstr(status, name);

    assert(at);
    return strtoll(at + strlen(name), NULL, 10);
}

/* Has it nothing under way? Gives how many jobs it had begun. */
static bool is_idle(struct process *p, long long *begun)
{
    struct buf b = BUF_INIT;

    engine_status(p->engine, &b);
    *begun = status_number(b.data, "\"jobs_begun\":");
    bool idle = status_number(b.data, "\"jobs_under_way\":") == 0 &&
                status_number(b.data, "\"catching_up\":") == 0 &&
                status_number(b.data, "\"requests_under_way\":") == 0;
    buf_release(&b);
    return idle;
}

/* Once connected it lists again what it knows: one thing after another, by
 * jobs and requests. */
void process_wait_idle(struct process *p)
{
    long long before, after;

    do {
        while (!is_idle(p, &before)) {
            memstore_quiet(p->store);
            sched_yield();
        }
        memstore_quiet(p->store);
    } while (!is_idle(p, &after) || after != before);
}

void process_start(struct process *p, struct memstore *s)
{
    process_start_bare(p, s, false, 0);
    process_open_table(p);
    process_wait_idle(p);
    pthread_mutex_lock(&p->lock);
    p->row_changes = p->table_changes = p->namespace_changes = 0;
    pthread_mutex_unlock(&p->lock);
}

static void end(struct process *p, int64_t patience_ms)
{
    memstore_listen(p->remote, NULL, NULL);
    table_unref(p->table);
    namespace_unref(p->ns);
    engine_close(p->engine, patience_ms);
    remote_close(p->remote);
    pthread_cond_destroy(&p->told);
    pthread_mutex_destroy(&p->lock);
    free(p->last_key);
    free(p->last_old_name);
    *p = (struct process){0};
}

void process_stop(struct process *p)
{
    end(p, 10000);
}

void process_kill(struct process *p)
{
    memstore_kill(p->remote);
    end(p, 0);
}

static void wait_for(struct process *p, const size_t *count, size_t n)
{
    pthread_mutex_lock(&p->lock);
    while (*count < n)
        pthread_cond_wait(&p->told, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void process_wait_changes(struct process *p, size_t n)
{
    wait_for(p, &p->row_changes, n);
}

void process_wait_voided(struct process *p, size_t n)
{
    wait_for(p, &p->voided, n);
}

void process_wait_tables(struct process *p, size_t n)
{
    wait_for(p, &p->table_changes, n);
}

/* The status is what there is to see of the background writer. */
void process_wait_settled(struct process *p)
{
    for (;;) {
        struct buf b = BUF_INIT;
        engine_status(p->engine, &b);
        bool idle = status_number(b.data, "\"indexes_behind\":") == 0;
        for (char *at = b.data; (at = strstr(at, "\"stale\":")); at++)
            idle &= strncmp(at, "\"stale\":0,", 10) == 0;
        buf_release(&b);
        if (idle)
            break;
        struct timespec ts = {0, 2000000};
        nanosleep(&ts, NULL);
    }
    memstore_quiet(p->store);
}

/* --- rows ------------------------------------------------------------------
 */

static int do_write(struct table *t, const struct write *w)
{
    struct err err = ERR_INIT;

    int r = table_write_wait(t, w, NULL, &err);
    /* A refusal says why. */
    assert(r == 0 || err.text[0]);
    return r;
}

int put(struct table *t, const char *key, const char *text)
{
    struct write w = {
        .kind = WRITE_PUT,
        .key = key,
        .key_len = strlen(key),
        .text = text,
        .text_len = strlen(text),
    };
    return do_write(t, &w);
}

int put_new(struct table *t, const char *key, const char *text)
{
    struct write w = {
        .kind = WRITE_PUT,
        .key = key,
        .key_len = strlen(key),
        .text = text,
        .text_len = strlen(text),
        .must_be_new = true,
    };
    return do_write(t, &w);
}

int drop_row(struct table *t, const char *key)
{
    struct write w = {.kind = WRITE_DELETE, .key = key, .key_len = strlen(key)};
    return do_write(t, &w);
}

int move_row(struct table *t, const char *from, const char *to)
{
    struct write w = {
        .kind = WRITE_RENAME,
        .key = from,
        .key_len = strlen(from),
        .to = to,
        .to_len = strlen(to),
    };
    return do_write(t, &w);
}

char *text_of(struct table *t, const char *key)
{
    struct row *r = row_find(t, key, strlen(key));
    struct text *text;
    struct err err = ERR_INIT;

    if (!r)
        return NULL;
    int res = row_load_text_wait(t, r, &text, &err);
    row_unref(r);
    if (res < 0)
        return xstrdup(err_text(&err, res));
    assert(text->len > 0 && text->data[text->len - 1] == '\n');
    char *out = xstrndup(text->data, text->len - 1);
    text_unref(text);
    return out;
}

uint32_t version_of(struct table *t, const char *key)
{
    struct row *r = row_find(t, key, strlen(key));
    uint32_t v = r ? r->version : 0;

    row_unref(r);
    return v;
}

uint64_t home_of(struct table *t, const char *key)
{
    struct row *r = row_find(t, key, strlen(key));
    uint64_t home = r ? r->home : 0;

    row_unref(r);
    return home;
}

/* --- writes that do not wait -----------------------------------------------
 */

void writes_init(struct writes *w)
{
    *w = (struct writes){0};
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->done, NULL);
}

static void written(void *arg, int r, struct row *row, const struct err *err)
{
    struct writes *w = arg;

    row_unref(row);
    pthread_mutex_lock(&w->lock);
    w->answered++;
    if (r < 0) {
        w->failed++;
        w->last_error = r;
        snprintf(w->last_text, sizeof(w->last_text), "%s", err_text(err, r));
    }
    pthread_cond_broadcast(&w->done);
    pthread_mutex_unlock(&w->lock);
}

void writes_do(struct writes *w, struct table *t, const struct write *what,
               uint64_t *ticket)
{
    struct err err = ERR_INIT;

    pthread_mutex_lock(&w->lock);
    w->asked++;
    pthread_mutex_unlock(&w->lock);
    must(table_write(t, what, written, w, ticket, &err), &err);
}

void writes_put(struct writes *w, struct table *t, const char *key,
                const char *text)
{
    struct write what = {
        .kind = WRITE_PUT,
        .key = key,
        .key_len = strlen(key),
        .text = text,
        .text_len = strlen(text),
    };
    writes_do(w, t, &what, NULL);
}

void writes_wait(struct writes *w)
{
    pthread_mutex_lock(&w->lock);
    while (w->answered < w->asked)
        pthread_cond_wait(&w->done, &w->lock);
    pthread_mutex_unlock(&w->lock);
}
