#include "tests/unit/life.h"

#include <string.h>

#include "engine/verify.h"

static int take_finding(void *arg, const struct finding *f, struct err *err)
{
    struct life *l = arg;

    (void)err;
    /* A message that Discord changed, and nobody knows: its answer was lost. */
    l->unwell += f->severity != FINDING_NOTE &&
                 !(l->stripped && strcmp(f->kind, "damaged_message") == 0);
    say(l, "     %s: %s: %s", finding_severity_name(f->severity), f->kind,
        f->text);
    return 0;
}

/* Nothing that we do leaves anything to be found, once it is settled. */
void life_verify(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    struct verify_options o = {0};
    struct verify_summary sum = {0};
    struct err err = ERR_INIT;

    life_settle(l);
    life_calm_down(l);
    l->unwell = 0;
    int r = verify_wait(p->ns, p->table, &o, take_finding, l, &sum, &err);
    say(l, "p%d verifies -> %d, %zu errors, %zu warnings", who, r, sum.errors,
        sum.warnings);
    CHECK(l, r == 0, "%s", err.text);
    CHECK(l, l->unwell == 0, "it is not well");
    CHECK(l, sum.rows == model_count(&l->m), "%zu rows", sum.rows);
}
