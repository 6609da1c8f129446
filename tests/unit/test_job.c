/* The pool: work that waits holds up nothing else while there are threads. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "engine/job.h"

#define ROUNDS 100
#define PATIENCE_S 5

/* Two jobs of which one waits for the other. */
struct pair {
    pthread_mutex_t lock;
    pthread_cond_t moved; /* with lock */
    /* under lock */
    bool other_ran, ended, gave_up;
};

static void wait_for_other(void *arg)
{
    struct pair *p = arg;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&p->lock);
    while (!p->other_ran && !p->gave_up)
        p->gave_up = pthread_cond_timedwait(&p->moved, &p->lock, &until) != 0;
    p->ended = true;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

static void other(void *arg)
{
    struct pair *p = arg;

    pthread_mutex_lock(&p->lock);
    p->other_ran = true;
    pthread_cond_broadcast(&p->moved);
    pthread_mutex_unlock(&p->lock);
}

/* Whether both came to their end, in time. */
static bool came_to_an_end(struct pair *p)
{
    pthread_mutex_lock(&p->lock);
    while (!p->ended || !p->other_ran)
        pthread_cond_wait(&p->moved, &p->lock);
    bool in_time = !p->gave_up;
    pthread_mutex_unlock(&p->lock);
    return in_time;
}

/* A pool whose first thread has had work before. */
static struct job_pool *used_pool(struct pair *p)
{
    struct job_pool *pool = job_pool_new(2);

    *p = (struct pair){.ended = true};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->moved, NULL);
    job_run(pool, other, p);
    assert_true(came_to_an_end(p));
    pthread_mutex_lock(&p->lock);
    p->ended = p->other_ran = false;
    pthread_mutex_unlock(&p->lock);
    return pool;
}

/* Two that come at once are not given to the one thread that sleeps. */
static void two_that_come_at_once_run_at_once(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct pair p;
        struct job_pool *pool = used_pool(&p);
        job_run(pool, wait_for_other, &p);
        job_run(pool, other, &p);
        assert_true(came_to_an_end(&p));
        job_pool_free(pool);
    }
}

/* Nor does a timer wait for the thread that slept until it was due. */
static void a_timer_comes_while_work_waits(void **state)
{
    (void)state;
    for (int i = 0; i < ROUNDS; i++) {
        struct pair p;
        struct job_pool *pool = used_pool(&p);
        job_after(pool, 2, other, &p);
        job_run(pool, wait_for_other, &p);
        assert_true(came_to_an_end(&p));
        job_pool_free(pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_that_come_at_once_run_at_once),
        cmocka_unit_test(a_timer_comes_while_work_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
