#include "tests/unit/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/import.h"

struct line {
    uint32_t i;
    struct fields f;
    char *text;
};

/* Rows for some keys, each once; some as they are already. */
static size_t random_lines(struct life *l, struct line *lines, struct buf *file)
{
    bool used[MODEL_KEYS] = {0};
    size_t n = 0;

    for (uint32_t k = draw(&l->rng, 12) + 1; k > 0; k--) {
        uint32_t i = draw(&l->rng, MODEL_KEYS);
        const struct model_row *row = &l->m.rows[i];
        struct buf text = BUF_INIT;
        char key[MODEL_KEY_SIZE];
        struct line *line = &lines[n];
        if (used[i] || (row->there && strchr(row->text, '\n')))
            continue;
        used[i] = true;
        line->i = i;
        if (row->there && draw(&l->rng, 2)) {
            line->f = row->f;
            buf_addstr(&text, row->text);
        } else {
            line->f = fields_random(&l->rng);
            fields_write(&line->f, model_key(i, key), &l->rng, &text);
            life_number(l, &text);
            for (size_t at = 0; at < text.len; at++)
                if (text.data[at] == '\n')
                    text.data[at] = ' ';
        }
        line->text = buf_take_str(&text);
        buf_printf(file, "%s\n", line->text);
        n++;
    }
    return n;
}

/* What must come of it: the rows of the file, one after the other, in m. */
static int play_lines(struct model *m, const struct line *lines, size_t n,
                      bool upsert)
{
    int r = 0;

    for (size_t k = 0; k < n; k++) {
        const struct line *line = &lines[k];
        const struct model_row *row = &m->rows[line->i];
        if (row->there && strcmp(row->text, line->text) == 0)
            continue;
        if ((row->there && !upsert) ||
            model_conflict(m, line->i, line->i, &line->f) < MODEL_KEYS)
            r = -EEXIST;
        model_put(m, line->i, &line->f, line->text);
    }
    return r;
}

void life_import(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    struct import_options o = {
        .format = IMPORT_NDJSON,
        .upsert = draw(&l->rng, 3) != 0,
    };
    struct import_result res;
    struct line lines[MODEL_KEYS];
    struct err err = ERR_INIT;
    AUTO_BUF struct buf file = BUF_INIT;
    struct model then;

    life_no_faults(l);
    size_t n = random_lines(l, lines, &file);
    model_copy(&l->m, &then);
    int wanted = play_lines(&then, lines, n, o.upsert);
    int r = table_import_wait(p->table, file.data, file.len, &o, &res, &err);
    say(l, "p%d imports %zu rows%s -> %d, %zu new, %zu replaced, %zu skipped",
        who, n, o.upsert ? ", in place of others" : "", r, res.inserted,
        res.replaced, res.skipped);
    for (size_t k = 0; r < 0 && k < n; k++)
        say(l, "     %s", lines[k].text);
    CHECK(l, r == wanted, "%d (%s) instead of %d", r, err.text, wanted);
    CHECK(l, r == 0 || res.inserted + res.replaced == 0,
          "refused, and %zu rows written", res.inserted + res.replaced);
    if (r == 0) {
        model_release(&l->m);
        l->m = then;
        CHECK(l, res.inserted + res.replaced + res.skipped == n, "of %zu", n);
    } else {
        model_release(&then);
    }
    import_result_release(&res);
    for (size_t k = 0; k < n; k++)
        free(lines[k].text);
}
