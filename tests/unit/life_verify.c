#include "tests/unit/life.h"

#include <errno.h>
#include <string.h>

#include "engine/vacuum.h"
#include "engine/verify.h"

struct findings {
    struct life *l;
    size_t unwell, leavings;
};

/* What a process that dies may leave behind: no row is at stake, and who comes
 * after it may not know. A message that Discord changed while its answer was
 * lost stays too. */
static bool is_leaving(const struct life *l, const char *kind,
                       enum finding_severity severity)
{
    return (l->killed && severity == FINDING_WARNING &&
            (strcmp(kind, "left_over_row_message") == 0 ||
             strcmp(kind, "missing_index_entry") == 0 ||
             strcmp(kind, "stale_row_message") == 0)) ||
           (l->stripped && strcmp(kind, "damaged_message") == 0);
}

static int take_finding(void *arg, const struct finding *f, struct err *err)
{
    struct findings *fs = arg;

    (void)err;
    say(fs->l, "     %s: %s: %s%s", finding_severity_name(f->severity), f->kind,
        f->text, f->repaired ? " (repaired)" : "");
    if (f->severity == FINDING_NOTE || f->repaired)
        return 0;
    if (is_leaving(fs->l, f->kind, f->severity))
        fs->leavings++;
    else
        fs->unwell++;
    return 0;
}

static size_t verify(struct life *l, struct process *p, bool repair)
{
    struct findings fs = {.l = l};
    struct verify_options o = {.repair = repair};
    struct verify_summary sum = {0};
    struct err err = ERR_INIT;

    int r = verify_wait(p->ns, p->table, &o, take_finding, &fs, &sum, &err);
    say(l, "%s -> %d, %zu errors, %zu warnings", repair ? "repair" : "verify",
        r, sum.errors, sum.warnings);
    CHECK(l, r == 0, "%s", err.text);
    CHECK(l, fs.unwell == 0, "it is not well");
    CHECK(l, sum.rows == model_count(&l->m), "%zu rows", sum.rows);
    return fs.leavings;
}

void life_verify(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);

    life_settle(l);
    life_calm_down(l);
    if (verify(l, p, false) == 0)
        return;
    verify(l, p, true);
    life_quiet(l);
    life_check(l, p->table, "after a repair");
    life_settle(l);
    CHECK(l, verify(l, p, false) == 0 || l->stripped, "repaired in vain");
}

static int count_gone(void *arg, const struct vacuumed *g, struct err *err)
{
    (void)g;
    (void)err;
    (*(size_t *)arg)++;
    return 0;
}

/* Rows stay as they are, with their newest versions. */
void life_vacuum(struct life *l)
{
    int who;
    struct process *p = life_someone(l, &who);
    struct vacuum_options o = {.versions = 1 + draw(&l->rng, 4)};
    struct vacuum_summary sum = {0};
    struct err err = ERR_INIT;
    size_t would = 0, did = 0;

    life_settle(l);
    o.dry_run = true;
    int r = table_vacuum_wait(p->table, &o, count_gone, &would, &sum, &err);
    if (r == 0) {
        o.dry_run = false;
        r = table_vacuum_wait(p->table, &o, count_gone, &did, &sum, &err);
    }
    say(l, "p%d keeps %u versions -> %d, %zu messages go, %zu went", who,
        o.versions, r, would, did);
    if (r == -EBUSY && l->stripped)
        return;
    CHECK(l, r == 0, "%s", err.text);
    CHECK(l, did == would, "%zu went, not %zu", did, would);
    life_calm_down(l);
    for (int i = 0; i < PROCESSES; i++)
        life_check(l, l->p[i].table, "after a vacuum");
}
