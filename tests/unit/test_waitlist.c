#include "engine/discord/waitlist.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "engine/base/alloc.h"

struct world {
    struct waitlist *w;
    struct ratelimit *rl;
    struct facts *facts;
    uint64_t numbers;
};

static int set_up(void **state)
{
    struct world *w = xcalloc(1, sizeof(*w));

    w->w = waitlist_new();
    w->rl = ratelimit_new();
    w->facts = facts_new();
    *state = w;
    return 0;
}

static void drop(struct errand *list)
{
    while (list) {
        struct errand *next = list->next;
        errand_free(list);
        list = next;
    }
}

static int tear_down(void **state)
{
    struct world *w = *state;

    drop(waitlist_all(w->w));
    waitlist_free(w->w);
    ratelimit_free(w->rl);
    facts_free(w->facts);
    free(w);
    return 0;
}

/* Asks for a message of this channel; its number. */
static struct errand *wait_for(struct world *w, uint64_t channel,
                               enum remote_priority priority, int64_t deadline)
{
    struct remote_request q = {
        .op = REMOTE_GET,
        .channel = channel,
        .message = 9,
        .priority = priority,
    };
    struct errand *e = errand_new(&q, NULL, NULL, w->facts, 1790000000000);

    e->number = ++w->numbers;
    e->deadline = deadline;
    waitlist_add(w->w, e, false);
    return e;
}

/* The channel of the next that may leave, 0 if none may. */
static uint64_t next(struct world *w, int room, int64_t now, int64_t *wait)
{
    int64_t unused = INT64_MAX;
    struct errand *e =
        waitlist_pick(w->w, w->rl, room, now, wait ? wait : &unused);
    uint64_t channel = e ? e->channel : 0;

    errand_free(e);
    return channel;
}

static void people_go_first_and_each_channel_in_turn(void **state)
{
    struct world *w = *state;

    wait_for(w, 1, REMOTE_BACKGROUND, 0);
    wait_for(w, 2, REMOTE_NORMAL, 0);
    wait_for(w, 3, REMOTE_INTERACTIVE, 0);
    wait_for(w, 4, REMOTE_INTERACTIVE, 0);
    assert_int_equal(next(w, 10, 0, NULL), 3);
    assert_int_equal(next(w, 10, 0, NULL), 4);
    assert_int_equal(next(w, 10, 0, NULL), 2);
    assert_int_equal(next(w, 10, 0, NULL), 1);
    assert_int_equal(next(w, 10, 0, NULL), 0);
}

static void busy_channel_does_not_keep_others_waiting(void **state)
{
    struct world *w = *state;
    uint64_t order[4];

    /* Channel 1's bucket is known and wide. */
    struct ratelimit_route lane = {.name = "GET /channels/{id}/messages/{id}",
                                   .major = 1};
    struct ratelimit_headers h = {
        .bucket = "b", .limit = 9, .remaining = 8, .reset_after_ms = 5000};
    uint64_t ticket = ratelimit_sent(w->rl, &lane, 0);
    ratelimit_answered(w->rl, &lane, ticket, &h, 200, 0);

    for (int i = 0; i < 3; i++)
        wait_for(w, 1, REMOTE_NORMAL, 0);
    wait_for(w, 2, REMOTE_NORMAL, 0);
    for (int i = 0; i < 4; i++)
        order[i] = next(w, 10, 0, NULL);
    assert_int_equal(order[0], 1);
    assert_int_equal(order[1], 2);
    assert_int_equal(order[2], 1);
    assert_int_equal(order[3], 1);
}

static void last_places_are_kept_for_people(void **state)
{
    struct world *w = *state;

    wait_for(w, 1, REMOTE_BACKGROUND, 0);
    wait_for(w, 2, REMOTE_NORMAL, 0);
    assert_int_equal(next(w, 2, 0, NULL), 0);
    assert_int_equal(next(w, 3, 0, NULL), 2);
    assert_int_equal(next(w, 3, 0, NULL), 0);
    wait_for(w, 3, REMOTE_INTERACTIVE, 0);
    assert_int_equal(next(w, 1, 0, NULL), 3);
    assert_int_equal(next(w, 0, 0, NULL), 0);
    assert_int_equal(next(w, 5, 0, NULL), 1);
}

static void pause_holds_up_only_who_pauses(void **state)
{
    struct world *w = *state;
    int64_t wait = INT64_MAX;

    struct errand *again = wait_for(w, 1, REMOTE_NORMAL, 0);
    again->not_before = 700;
    wait_for(w, 1, REMOTE_NORMAL, 0);
    assert_int_equal(next(w, 10, 0, NULL), 1);
    ratelimit_lost(w->rl,
                   &(struct ratelimit_route){
                       .name = "GET /channels/{id}/messages/{id}", .major = 1},
                   0);
    assert_int_equal(next(w, 10, 0, &wait), 0);
    assert_int_equal(wait, 700);
    assert_int_equal(next(w, 10, 700, NULL), 1);
}

static void limit_says_when_to_come_back(void **state)
{
    struct world *w = *state;
    int64_t wait = INT64_MAX;
    struct ratelimit_route lane = {.name = "GET /channels/{id}/messages/{id}",
                                   .major = 1};

    ratelimit_refused(w->rl, &lane, RATELIMIT_USER, 1500, 0);
    wait_for(w, 1, REMOTE_INTERACTIVE, 0);
    assert_int_equal(next(w, 10, 0, &wait), 0);
    assert_int_equal(wait, 1500);
    assert_int_equal(waitlist_count(w->w, REMOTE_INTERACTIVE), 1);
    assert_int_equal(next(w, 10, 1500, NULL), 1);
    assert_int_equal(waitlist_count(w->w, REMOTE_INTERACTIVE), 0);
}

static void what_is_in_doubt_is_not_cancelled(void **state)
{
    struct world *w = *state;
    struct errand *a = wait_for(w, 1, REMOTE_NORMAL, 0);
    struct errand *b = wait_for(w, 1, REMOTE_NORMAL, 0);

    b->doubtful_since = 5;
    assert_null(waitlist_cancel(w->w, b->number));
    assert_null(waitlist_cancel(w->w, 12345));
    assert_ptr_equal(waitlist_cancel(w->w, a->number), a);
    assert_null(waitlist_cancel(w->w, a->number));
    errand_free(a);
    assert_int_equal(waitlist_count(w->w, REMOTE_NORMAL), 1);
}

static void deadlines_end_those_that_have_them(void **state)
{
    struct world *w = *state;
    int64_t wait = INT64_MAX;
    struct errand *first = wait_for(w, 1, REMOTE_NORMAL, 100);

    wait_for(w, 1, REMOTE_NORMAL, 0);
    wait_for(w, 2, REMOTE_NORMAL, 300);
    assert_null(waitlist_late(w->w, 99, &wait));
    assert_int_equal(wait, 1);
    wait = INT64_MAX;
    struct errand *late = waitlist_late(w->w, 100, &wait);
    assert_ptr_equal(late, first);
    assert_null(late->next);
    assert_int_equal(wait, 200);
    drop(late);
    assert_int_equal(waitlist_count(w->w, REMOTE_NORMAL), 2);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        CASE(people_go_first_and_each_channel_in_turn),
        CASE(busy_channel_does_not_keep_others_waiting),
        CASE(last_places_are_kept_for_people),
        CASE(pause_holds_up_only_who_pauses),
        CASE(limit_says_when_to_come_back),
        CASE(what_is_in_doubt_is_not_cancelled),
        CASE(deadlines_end_those_that_have_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
