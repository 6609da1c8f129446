/* The engine against a trivial model (model.h), over long random histories.
 *
 * Two or three processes share one store. Most of the time one acts while the
 * others look on, and the model says what must come of it, to the letter:
 * results, texts, versions, order. What fails without a clear answer is looked
 * up and taken as it is found.
 *
 * Now and then comes a storm: processes that do not hear of each other, or
 * lose events, or die, write the same rows at the same time. What they are
 * told then are claims, to be settled when all is quiet: a write answered with
 * success is there, unless its process was told that it lost (CHANGE_VOIDED)
 * or died before it could be; one that was refused is not; nothing is there
 * that nobody wrote. And all processes agree, with one that has just come too.
 * Then the model takes over what is there.
 *
 * One thread drives it all and decides what leaves the store when, so that a
 * seed makes the same history as far as the engine's own threads allow. A
 * failure prints seed and history; DBCORD_MODEL_SEED repeats it, or tries
 * another life, DBCORD_MODEL_STEPS makes it longer. */
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/life.h"

enum { STEPS = 300 };
static int steps = STEPS;

struct kind {
    int weight;
    void (*step)(struct life *l);
};

/* Discord takes away a letter, or does not any more. */
static void strip(struct life *l)
{
    l->stripped = true;
    memstore_strip(l->store, draw(&l->rng, 2) ? '~' : 0);
}

static const struct kind kinds[] = {
    {30, life_write},
    {8, life_write_many},
    {8, life_patch},
    {5, life_fault},
    {2, life_restart},
    {1, life_settle},
    {1, life_move_clock},
    {1, strip},
    {2, life_storm},
    {4, life_history},
    {4, life_restore},
    {10, life_find},
    {6, life_find_cold},
    {2, life_search},
    {3, life_import},
    {1, life_verify},
    {3, life_index},
    {4, life_snapshot},
    {2, life_snapshot_restore},
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static void one_step(struct life *l)
{
    int weights = 0, choice;
    size_t i = 0;

    for (size_t k = 0; k < KINDS; k++)
        weights += kinds[k].weight;
    choice = (int)draw(&l->rng, (uint32_t)weights);
    while (choice >= kinds[i].weight)
        choice -= kinds[i++].weight;
    kinds[i].step(l);

    life_quiet(l);
    int who = (int)draw(&l->rng, PROCESSES);
    life_check_row(l, l->p[who].table, "somebody", draw(&l->rng, MODEL_KEYS));
    if (draw(&l->rng, 10) == 0)
        life_check(l, l->p[who].table, "somebody");
}

static void live(uint64_t seed)
{
    struct life l;
    struct process last;

    life_init(&l, seed, steps);
    for (l.step = 1; l.step <= steps; l.step++)
        one_step(&l);

    life_settle(&l);
    for (int i = 0; i < PROCESSES; i++) {
        life_check(&l, l.p[i].table, "who was there all the time");
        process_stop(&l.p[i]);
    }
    process_start(&last, l.store);
    life_check(&l, last.table, "who came last");
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        life_check_history(&l, last.table, i);
    process_stop(&last);

    for (int i = 0; i < PROCESSES; i++)
        life_start(&l, i);
    life_vacuum(&l);
    life_verify(&l);
    for (int i = 0; i < PROCESSES; i++)
        process_stop(&l.p[i]);
    process_start(&last, l.store);
    life_check(&l, last.table, "who came after the vacuum");
    process_stop(&last);
    life_release(&l);
}

static int if_failed(void **state)
{
    (void)state;
    life_print();
    return 0;
}

static void a_life_of_one_seed(void **state)
{
    live(*(const uint64_t *)*state);
}

int main(void)
{
    const char *seed = getenv("DBCORD_MODEL_SEED");
    const char *length = getenv("DBCORD_MODEL_STEPS");
    uint64_t seeds[] = {1, 2, 3};

    if (length)
        steps = atoi(length);
    if (seed)
        seeds[0] = strtoull(seed, NULL, 10);
    struct CMUnitTest tests[3];
    for (size_t i = 0; i < 3; i++)
        tests[i] =
            (struct CMUnitTest){"a life agrees with a model",
                                a_life_of_one_seed, NULL, if_failed, &seeds[i]};
    if (seed)
        tests[1] = tests[2] = tests[0];
    return _cmocka_run_group_tests("model", tests, seed ? 1 : 3, NULL, NULL);
}
