#include "tests/unit/life.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/snapshot.h"

static void save(struct life *l, struct saved *s)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        const struct model_row *r = &l->m.rows[i];
        free(s->texts[i]);
        s->texts[i] = r->there ? xstrdup(r->text) : NULL;
    }
}

void life_snapshot(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    struct saved *s = &l->saved[draw(&l->rng, SNAPSHOTS)];
    bool labelled = draw(&l->rng, 2);
    struct err err = ERR_INIT;
    int r;

    life_no_faults(l);
    if (!labelled) {
        r = table_snapshot_wait(p->table, NULL, NULL, NULL, &err);
        say(l, "p%d takes a checkpoint -> %d", who, r);
        CHECK(l, r == 0, "%s", err.text);
        return;
    }
    if (s->label[0]) {
        r = table_snapshot_drop_wait(p->table, s->label, &err);
        say(l, "p%d drops snapshot %s -> %d", who, s->label, r);
        CHECK(l, r == 0, "%s", err.text);
        s->label[0] = '\0';
        return;
    }
    snprintf(s->label, sizeof(s->label), "s%d", l->step);
    r = table_snapshot_wait(p->table, s->label, NULL, NULL, &err);
    say(l, "p%d takes snapshot %s -> %d", who, s->label, r);
    CHECK(l, r == 0, "%s", err.text);
    save(l, s);
}

/* Would two rows of the snapshot have one value in a field that is unique by
 * now? */
static bool cannot_be_restored(const struct life *l, const struct saved *s)
{
    struct model then = {0};
    char key[MODEL_KEY_SIZE];
    bool clash = false;

    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        then.rows[i].there = s->texts[i];
        if (s->texts[i])
            fields_read(s->texts[i], &then.rows[i].f, key);
    }
    for (int f = 0; f < MODEL_FIELDS; f++)
        clash |= l->m.unique[f] && model_has_duplicates(&then, f);
    return clash;
}

void life_snapshot_restore(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    const struct saved *s = &l->saved[draw(&l->rng, SNAPSHOTS)];
    struct snapshot_restored done = {0};
    struct err err = ERR_INIT;
    size_t put = 0, deleted = 0;

    if (!s->label[0])
        return;
    life_no_faults(l);
    bool clash = cannot_be_restored(l, s);
    int r = table_snapshot_restore_wait(p->table, s->label, NULL, NULL, NULL,
                                        &done, &err);
    say(l,
        "p%d goes back to %s -> %d, %zu put, %zu deleted, %zu same, %zu "
        "overtaken",
        who, s->label, r, done.put, done.deleted, done.same, done.overtaken);
    if (clash) {
        CHECK(l, r == -EEXIST, "%d %s", r, err.text);
        return;
    }
    CHECK(l, r == 0, "%s", err.text);
    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        struct model_row *row = &l->m.rows[i];
        struct fields f;
        char said[MODEL_KEY_SIZE];
        if (!s->texts[i] && row->there) {
            model_delete(&l->m, i);
            deleted++;
        } else if (s->texts[i] &&
                   (!row->there || strcmp(row->text, s->texts[i]) != 0)) {
            fields_read(s->texts[i], &f, said);
            /* It had to make room for another, and came back. */
            if (row->there &&
                version_of(p->table, model_key(i, said)) == row->version + 2)
                model_delete(&l->m, i);
            model_put(&l->m, i, &f, s->texts[i]);
            put++;
        }
    }
    CHECK(l, done.put == put && done.deleted == deleted,
          "%zu and %zu were to be", put, deleted);
    life_calm_down(l);
    life_take_order(l, p->table);
}
