#include "tests/unit/life.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/history.h"

char *life_version_text(struct life *l, struct table *t,
                        const struct version *v)
{
    struct text *text;
    struct err err = ERR_INIT;

    if (v->deleted)
        return NULL;
    int r = version_text_wait(t, v, &text, &err);
    CHECK(l, r == 0, "v%u: %s", v->number, err.text);
    CHECK(l, text->len > 0 && text->data[text->len - 1] == '\n', "v%u",
          v->number);
    char *out = xstrndup(text->data, text->len - 1);
    text_unref(text);
    return out;
}

void life_check_history(struct life *l, struct table *t, uint32_t i)
{
    const struct model_row *row = &l->m.rows[i];
    struct history h = {0};
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE];

    model_key(i, key);
    int r = table_history_wait(t, key, strlen(key), &h, &err);
    CHECK(l, r == (row->version ? 0 : -ENOENT), "%s v%u: %d %s", key,
          row->version, r, err.text);
    CHECK(l, h.n == row->version && h.removed == 0,
          "%s has v%u, and %zu versions", key, row->version, h.n);
    for (size_t k = 0; k < h.n; k++) {
        const struct version *v = &h.list[k];
        const struct version_of_row *m = model_version(&l->m, i, v->number);
        CHECK(l, v->r == 0 && m, "%s v%u: %s", key, v->number, v->why);
        char *text = life_version_text(l, t, v);
        CHECK(l,
              text && m->text ? strcmp(text, m->text) == 0 : !text == !m->text,
              "%s v%u is '%s', not '%s'", key, v->number, text, m->text);
        free(text);
    }
    history_release(&h);
}

void life_history(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    uint32_t i = draw(&l->rng, MODEL_KEYS);

    life_no_faults(l);
    say(l, "p%d tells of %u's history", who, i);
    life_check_history(l, p->table, i);
}

void life_restore(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    uint32_t i = draw(&l->rng, MODEL_KEYS);
    const struct model_row *row = &l->m.rows[i];
    uint32_t number = draw(&l->rng, row->version + 2);
    const struct version_of_row *v = model_version(&l->m, i, number);
    struct err err = ERR_INIT;
    char key[MODEL_KEY_SIZE], said[MODEL_KEY_SIZE];
    bool changed = false;
    struct fields f = {0};

    model_key(i, key);
    int r = table_restore_wait(p->table, key, strlen(key), number, NULL,
                               &changed, NULL, &err);
    say(l, "p%d restores %s v%u -> %d %s", who, key, number, r,
        changed ? "changed" : "");
    if (v && v->text)
        CHECK(l, fields_read(v->text, &f, said), "%s", v->text);
    bool same = v && v->text && row->there && strcmp(v->text, row->text) == 0;
    int wanted = !v                                             ? -ENOENT
                 : !v->text                                     ? -EINVAL
                 : same                                         ? 0
                 : model_conflict(&l->m, i, i, &f) < MODEL_KEYS ? -EEXIST
                                                                : 0;
    if (is_failure(r)) {
        life_calm_down(l);
        if (wanted < 0 || same || version_of(p->table, key) != row->version + 1)
            return;
        changed = true;
        r = 0;
    }
    CHECK(l, r == wanted, "%d (%s) instead of %d", r, err.text, wanted);
    CHECK(l, r < 0 || changed == !same, "v%u of v%u", number, row->version);
    if (r == 0 && changed) {
        char *text = xstrdup(v->text);
        model_put(&l->m, i, &f, text);
        free(text);
    }
}
