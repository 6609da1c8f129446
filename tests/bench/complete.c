/* How long it takes to tell what a person may mean by the key that is being
 * typed, of a table of a million rows: Discord forgets the question after three
 * seconds, and it comes at each keystroke.
 *
 *     bench_complete [rows]      a million where none are given */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bot/complete.h"
#include "bot/interaction.h"
#include "engine/base/clock.h"
#include "engine/import.h"
#include "tests/lib/world.h"

static void must(int r, const struct err *err)
{
    if (r < 0) {
        fprintf(stderr, "%s\n", err_text(err, r));
        exit(1);
    }
}

static void fill(struct process *p, size_t rows)
{
    struct import_options o = {.format = IMPORT_NDJSON};
    struct import_result res;
    struct err err = ERR_INIT;
    AUTO_BUF struct buf all = BUF_INIT;

    for (size_t i = 0; i < rows; i++)
        buf_printf(&all, "{\"id\":\"user-%07zu\",\"n\":%zu}\n", i, i);
    must(table_import_wait(p->table, all.data, all.len, &o, &res, &err), &err);
    import_result_release(&res);
}

/* The slowest of several, in milliseconds. */
static void measure(struct process *p, const char *what, const char *typed)
{
    AUTO_BUF struct buf event = BUF_INIT;
    struct interaction in;
    struct err err = ERR_INIT;
    int64_t most = 0;
    size_t found = 0;

    buf_printf(&event,
               "{\"type\":4,\"id\":\"1\",\"application_id\":\"2\",\"token\":"
               "\"t\",\"guild_id\":\"3\",\"user\":{\"id\":\"5\",\"username\":"
               "\"ada\"},\"data\":{\"name\":\"dbc_get\",\"options\":["
               "{\"name\":\"database\",\"type\":3,\"value\":\"prod\"},"
               "{\"name\":\"table\",\"type\":3,\"value\":\"users\"},"
               "{\"name\":\"key\",\"type\":3,\"value\":\"%s\",\"focused\":true}"
               "]}}",
               typed);
    struct json_object *o = json_tokener_parse(event.data);
    must(interaction_parse(o, &in, &err), &err);
    for (int i = 0; i < 10; i++) {
        AUTO_BUF struct buf out = BUF_INIT;
        int64_t begun = clock_mono_ms();
        complete_choices(engine_database_at(p->engine, 0), &in, &out);
        int64_t took = clock_mono_ms() - begun;
        most = took > most ? took : most;
        found = 0;
        for (const char *c = out.data; (c = strstr(c, "\"name\"")); c++)
            found++;
    }
    printf("%-34s %4lld ms at most, %2zu choices\n", what, (long long)most,
           found);
    interaction_release(&in);
    json_object_put(o);
}

int main(int argc, char **argv)
{
    size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 1000000;
    struct memstore *s = memstore_new();
    struct process p;
    char last[32], near_last[32];

    process_start(&p, s);
    fill(&p, rows);
    snprintf(last, sizeof(last), "user-%07zu", rows - 1);
    snprintf(near_last, sizeof(near_last), "%.*s", (int)strlen(last) - 1, last);
    measure(&p, "nothing typed", "");
    measure(&p, "what many begin with", "user-00");
    measure(&p, "the last but a letter", near_last);
    measure(&p, "the last, whole", last);
    measure(&p, "what none begins with", "zebra");
    process_kill(&p);
    memstore_free(s);
    return 0;
}
