/* engine/fold: the same records make the same table, in whatever order and how
 * often they come. */
#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/fold.h"
#include "engine/value.h"

static struct record put(const char *key, uint64_t id, uint32_t version,
                         uint64_t base, const char *text)
{
    return (struct record){
        .verb = RECORD_PUT,
        .version = version,
        .id = id,
        .holder = id,
        .base = base,
        .at_ms = (int64_t)id,
        .mtime_ms = (int64_t)id,
        .key = key,
        .key_len = strlen(key),
        .by = "ada",
        .by_len = 3,
        .text = text,
        .text_len = strlen(text),
    };
}

static struct record delete (const char *key, uint64_t id, uint32_t version,
                             uint64_t base)
{
    struct record r = put(key, id, version, base, "");

    r.verb = RECORD_DELETE;
    r.text = NULL;
    return r;
}

/* One record as a message of its own. */
static enum fold_result apply_to(struct fold *f, struct record r,
                                 struct fold_change *c)
{
    struct fold_changes out = {0};
    enum fold_result res;

    fold_apply(f, &r, 1, &res, NULL, &out);
    assert_in_range(out.n, 0, 1);
    *c = out.n ? out.list[0] : (struct fold_change){0};
    free(out.list);
    return res;
}

static void release(struct fold_change *c)
{
    row_unref(c->old);
    row_unref(c->now);
    row_unref(c->voided);
}

static enum fold_result apply(struct fold *f, struct record r)
{
    struct fold_change c;
    enum fold_result res = apply_to(f, r, &c);

    release(&c);
    return res;
}

/* A message that shows a version whose text is elsewhere. */
static void home(struct fold *f, const char *key, uint64_t id, uint64_t shows)
{
    struct record r = put(key, shows, 7, 1, "");

    r.text = NULL;
    r.text_len = 100;
    r.copy = r.elsewhere = true;
    r.holder = r.home = id;
    assert_int_equal(apply(f, r), FOLD_KNOWN);
}

static void assert_row(struct fold *f, const char *key, const char *text)
{
    struct row *r = fold_find(f, key, strlen(key));

    if (!text) {
        assert_null(r);
        return;
    }
    assert_non_null(r);
    assert_int_equal(r->text_len, strlen(text) + 1);
    assert_int_equal(row_text(r)[r->text_len - 1], '\n');
    assert_memory_equal(row_text(r), text, strlen(text));
}

static int set_up(void **state)
{
    *state = fold_new();
    return 0;
}

static int tear_down(void **state)
{
    fold_free(*state);
    return 0;
}

static void a_row_lives_through_its_versions(void **state)
{
    struct fold *f = *state;
    struct fold_change c;
    struct record r = put("k", 10, 1, 0, "{}");

    assert_int_equal(apply_to(f, r, &c), FOLD_APPLIED);
    assert_null(c.old);
    assert_int_equal(c.now->version, 1);
    assert_string_equal(c.now->by, "ada");
    assert_string_equal(row_key(c.now), "k");
    uint64_t seq = c.now->seq;
    release(&c);

    r = put("k", 20, 2, 10, "{\"a\":1}");
    assert_int_equal(apply_to(f, r, &c), FOLD_APPLIED);
    assert_int_equal(c.old->id, 10);
    assert_string_equal(row_text(c.old), "{}\n");
    assert_int_equal(c.now->id, 20);
    assert_int_equal(c.now->seq, seq);
    release(&c);
    assert_int_equal(fold_count(f), 1);
    assert_int_equal(fold_bytes(f), 8);

    r = delete ("k", 30, 3, 20);
    assert_int_equal(apply_to(f, r, &c), FOLD_APPLIED);
    assert_true(c.now->deleted);
    release(&c);
    assert_row(f, "k", NULL);
    assert_int_equal(fold_head(f, "k", 1)->version, 3);
    assert_int_equal(fold_count(f), 0);
    assert_int_equal(fold_bytes(f), 0);

    /* Back again, as another row of the listing. */
    assert_int_equal(apply(f, put("k", 40, 4, 30, "{}")), FOLD_APPLIED);
    assert_row(f, "k", "{}");
    assert_true(fold_find(f, "k", 1)->seq > seq);
}

static void what_was_seen_changes_nothing(void **state)
{
    struct fold *f = *state;

    apply(f, put("k", 10, 1, 0, "{}"));
    assert_int_equal(apply(f, put("k", 10, 1, 0, "{}")), FOLD_KNOWN);
    apply(f, put("k", 20, 2, 10, "{}"));
    assert_int_equal(apply(f, put("k", 10, 1, 0, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 20, 2, 10, "{}")), FOLD_KNOWN);
    assert_int_equal(fold_head(f, "k", 1)->id, 20);
}

static void of_two_with_one_base_the_lower_counts(void **state)
{
    struct fold *f = *state;
    struct fold_change c;

    apply(f, put("k", 10, 1, 0, "{}"));
    apply(f, put("k", 30, 2, 10, "{\"late\":1}"));
    apply(f, put("k", 40, 3, 30, "{\"later\":1}"));
    assert_int_equal(apply(f, put("k", 35, 2, 10, "{}")), FOLD_VOID);

    struct record r = put("k", 20, 2, 10, "{\"early\":1}");
    assert_int_equal(apply_to(f, r, &c), FOLD_APPLIED);
    assert_int_equal(c.voided->id, 40);
    assert_int_equal(c.old->id, 40);
    assert_int_equal(c.now->id, 20);
    release(&c);
    assert_row(f, "k", "{\"early\":1}");

    /* What was built on the losers is void, whenever it comes. */
    assert_int_equal(apply(f, put("k", 50, 4, 40, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 60, 5, 50, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 30, 2, 10, "{}")), FOLD_KNOWN);
    assert_int_equal(fold_head(f, "k", 1)->id, 20);
    assert_int_equal(fold_pending(f), 5);
}

static void two_inserts_of_one_key_are_a_conflict_too(void **state)
{
    struct fold *f = *state;

    apply(f, put("k", 20, 1, 0, "{\"b\":1}"));
    apply(f, put("k", 30, 2, 20, "{\"b\":2}"));
    assert_int_equal(apply(f, put("k", 10, 1, 0, "{\"a\":1}")), FOLD_APPLIED);
    assert_row(f, "k", "{\"a\":1}");
    assert_int_equal(fold_count(f), 1);
}

static void early_records_wait_for_their_base(void **state)
{
    struct fold *f = *state;
    struct fold_change c;

    assert_int_equal(apply(f, put("k", 30, 3, 20, "{\"v\":3}")), FOLD_PENDING);
    assert_int_equal(apply(f, put("k", 20, 2, 10, "{\"v\":2}")), FOLD_PENDING);
    assert_int_equal(apply(f, put("k", 20, 2, 10, "{\"v\":2}")), FOLD_KNOWN);
    assert_row(f, "k", NULL);
    assert_int_equal(fold_pending(f), 2);

    struct record r = put("k", 10, 1, 0, "{}");
    assert_int_equal(apply_to(f, r, &c), FOLD_APPLIED);
    assert_null(c.old);
    assert_int_equal(c.now->version, 3);
    release(&c);
    assert_row(f, "k", "{\"v\":3}");
    assert_int_equal(fold_pending(f), 0);
}

static void one_message_can_hold_several_versions(void **state)
{
    struct fold *f = *state;

    apply(f, put("k", 10, 1, 0, "{}"));
    apply(f, put("k", 10, 2, 10, "{\"v\":2}"));
    apply(f, put("k", 10, 3, 10, "{\"v\":3}"));
    assert_row(f, "k", "{\"v\":3}");
    /* The number says which of them is meant. */
    assert_int_equal(apply(f, put("k", 20, 3, 10, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 21, 4, 10, "{\"v\":4}")), FOLD_APPLIED);
}

/* Once its message shows version 2, version 1 is told by the copy alone. */
static void a_copy_is_as_good_as_its_original(void **state)
{
    struct fold *f = *state;
    struct record was = put("k", 10, 1, 0, "{}");
    struct record shown = put("k", 20, 2, 10, "");

    was.verb = RECORD_WAS;
    was.copy = true;
    was.holder = 20;
    shown.copy = true;
    shown.elsewhere = true;
    shown.text = NULL;
    shown.text_len = 4000;
    shown.holder = 10;

    assert_int_equal(apply(f, shown), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 20, 2, 10, "{\"v\":2}")), FOLD_PENDING);
    home(f, "k", 10, 20);
    assert_int_equal(apply(f, was), FOLD_APPLIED);
    assert_row(f, "k", "{\"v\":2}");
    assert_int_equal(fold_find(f, "k", 1)->home, 10);
}

static void a_text_in_a_file_is_known_by_its_place(void **state)
{
    struct fold *f = *state;
    struct record r = put("k", 10, 1, 0, "");

    r.text = NULL;
    r.text_len = 5000;
    r.file = 77;
    assert_int_equal(apply(f, r), FOLD_APPLIED);
    struct row *row = row_ref(fold_find(f, "k", 1));
    assert_null(row_text(row));
    assert_int_equal(row->file, 77);
    assert_int_equal(row->text_len, 5001);
    assert_int_equal(fold_bytes(f), 5001);

    /* Posted again, since somebody had deleted the message. */
    r.copy = true;
    r.holder = 90;
    r.file = 78;
    assert_int_equal(apply(f, r), FOLD_KNOWN);
    assert_int_equal(fold_find(f, "k", 1)->file, 78);
    assert_int_equal(fold_find(f, "k", 1)->holder, 90);
    assert_int_equal(fold_find(f, "k", 1)->id, 10);
    /* Who holds the row sees it unchanged. */
    assert_int_equal(row->file, 77);
    row_unref(row);
}

/* --- homes ---------------------------------------------------------------- */

struct stale {
    size_t n;
    struct {
        uint64_t home, now;
    } list[64];
};

static void note_stale(void *arg, struct row *now, uint64_t at)
{
    struct stale *s = arg;

    assert_true(s->n < 64);
    s->list[s->n].home = at;
    s->list[s->n++].now = now->id;
}

static size_t count_stale(struct fold *f, struct stale *s)
{
    *s = (struct stale){0};
    fold_stale_homes(f, note_stale, s);
    return s->n;
}

static void a_home_follows_its_row(void **state)
{
    struct fold *f = *state;
    struct stale s;

    apply(f, put("k", 10, 1, 0, "{}"));
    home(f, "k", 10, 10);
    assert_int_equal(fold_find(f, "k", 1)->home, 10);
    assert_ptr_equal(fold_at_home(f, 10), fold_find(f, "k", 1));
    assert_int_equal(count_stale(f, &s), 0);

    apply(f, put("k", 20, 2, 10, "{}"));
    assert_int_equal(fold_at_home(f, 10)->id, 20);
    assert_int_equal(count_stale(f, &s), 1);
    assert_int_equal(s.list[0].home, 10);
    assert_int_equal(s.list[0].now, 20);
    home(f, "k", 10, 20);
    assert_int_equal(count_stale(f, &s), 0);

    apply(f, delete ("k", 30, 3, 20));
    assert_int_equal(count_stale(f, &s), 1);
    assert_true(fold_at_home(f, 10)->deleted);
    fold_home_gone(f, "k", 1, 10);
    assert_int_equal(count_stale(f, &s), 0);
    assert_null(fold_at_home(f, 10));
}

static void a_home_may_be_told_first(void **state)
{
    struct fold *f = *state;

    home(f, "k", 10, 10);
    assert_null(fold_at_home(f, 10));
    apply(f, put("k", 10, 1, 0, "{}"));
    assert_int_equal(fold_at_home(f, 10)->id, 10);
}

static void a_row_somebody_holds_is_not_changed(void **state)
{
    struct fold *f = *state;

    apply(f, put("k", 10, 1, 0, "{}"));
    struct row *r = row_ref(fold_find(f, "k", 1));
    home(f, "k", 10, 10);
    assert_int_equal(r->home, 0);
    assert_int_equal(fold_find(f, "k", 1)->home, 10);
    row_unref(r);

    struct row *listed[2];
    assert_int_equal(fold_list(f, 0, listed, 2), 1);
    assert_int_equal(listed[0]->home, 10);
    row_unref(listed[0]);
}

static void a_void_message_is_no_home(void **state)
{
    struct fold *f = *state;
    struct stale s;

    apply(f, put("k", 20, 1, 0, "{}"));
    home(f, "k", 20, 20);
    apply(f, put("k", 10, 1, 0, "{}"));
    assert_int_equal(fold_find(f, "k", 1)->home, 0);
    home(f, "k", 10, 10);
    assert_int_equal(fold_find(f, "k", 1)->home, 10);
    assert_null(fold_at_home(f, 20));
    assert_int_equal(count_stale(f, &s), 0);
}

/* Deleted and created again before the old message was removed. */
static void a_home_left_over_shows_the_deletion_or_goes(void **state)
{
    struct fold *f = *state;
    struct stale s;

    apply(f, put("k", 10, 1, 0, "{}"));
    home(f, "k", 10, 10);
    apply(f, delete ("k", 20, 2, 10));
    apply(f, put("k", 30, 3, 20, "{}"));
    home(f, "k", 30, 30);
    assert_int_equal(fold_find(f, "k", 1)->home, 30);
    assert_int_equal(count_stale(f, &s), 1);
    assert_int_equal(s.list[0].home, 10);

    /* It keeps a file, so it stays and says that the row was deleted. */
    home(f, "k", 10, 20);
    assert_int_equal(count_stale(f, &s), 0);
    apply(f, put("k", 40, 4, 30, "{}"));
    assert_int_equal(count_stale(f, &s), 1);
    assert_int_equal(s.list[0].home, 30);
    fold_home_gone(f, "k", 1, 10);
    assert_int_equal(fold_find(f, "k", 1)->home, 30);
}

/* --- the listing ---------------------------------------------------------- */

static void a_listing_neither_misses_nor_repeats(void **state)
{
    struct fold *f = *state;
    char key[16];
    bool seen[1000] = {0};

    for (uint64_t i = 0; i < 1000; i++) {
        snprintf(key, sizeof(key), "%" PRIu64, i);
        apply(f, put(key, 1000 + i, 1, 0, "{}"));
    }

    struct row *page[7];
    uint64_t after = 0, id = 10000;
    size_t n, total = 0;
    while ((n = fold_list(f, after, page, 7)) > 0) {
        for (size_t i = 0; i < n; i++) {
            unsigned long k = strtoul(row_key(page[i]), NULL, 10);
            assert_true(page[i]->seq > after);
            after = page[i]->seq;
            assert_false(seen[k]);
            seen[k] = true;
            total++;
            row_unref(page[i]);
            /* Meanwhile rows change and, every other one, go. */
            snprintf(key, sizeof(key), "%lu", k);
            if (k % 2)
                apply(f, delete (key, id++, 2, 1000 + k));
            else
                apply(f, put(key, id++, 2, 1000 + k, "{}"));
        }
    }
    assert_int_equal(total, 1000);
    assert_int_equal(fold_count(f), 500);
    after = total = 0;
    while ((n = fold_list(f, after, page, 7)) > 0) {
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(strtoul(row_key(page[i]), NULL, 10) % 2, 0);
            after = page[i]->seq;
            row_unref(page[i]);
        }
        total += n;
    }
    assert_int_equal(total, 500);
}

/* --- snapshots ------------------------------------------------------------ */

static void a_snapshot_needs_no_past(void **state)
{
    struct fold *f = *state;
    struct record r = put("k", 50, 5, 40, "{\"v\":5}");

    fold_load_begin(f, 55, NULL);
    fold_checkpoint(f, &r, 0, 0);
    fold_load_end(f);
    assert_row(f, "k", "{\"v\":5}");
    assert_int_equal(fold_find(f, "k", 1)->base, 40);
    /* The past may still come; it changes nothing. */
    assert_int_equal(apply(f, put("k", 10, 1, 0, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 40, 4, 30, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 50, 5, 40, "{}")), FOLD_KNOWN);
    /* Nor does what came too late. */
    assert_int_equal(apply(f, put("k", 60, 5, 40, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 70, 6, 60, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 80, 6, 50, "{\"v\":6}")), FOLD_APPLIED);
    assert_row(f, "k", "{\"v\":6}");
}

/* --- values --------------------------------------------------------------- */

static const uint64_t since_5[] = {5};
static const struct fold_rule unique_email = {"email", since_5, 1};

static void set_rules(struct fold *f, const struct fold_rule *rules, size_t n,
                      struct fold_changes *out)
{
    assert_int_equal(fold_set_rules(f, rules, n, out), FOLD_APPLIED);
}

static size_t count_value(struct fold *f, const char *field, const char *form)
{
    return index_count(fold_index(f, field), form, strlen(form));
}

static void a_unique_value_is_for_one(void **state)
{
    struct fold *f = *state;
    const char *field;

    set_rules(f, &unique_email, 1, NULL);
    assert_int_equal(apply(f, put("a", 10, 1, 0, "{\"email\":\"x\"}")),
                     FOLD_APPLIED);
    assert_int_equal(apply(f, put("b", 20, 1, 0, "{\"email\":\"x\"}")),
                     FOLD_TAKEN);
    assert_int_equal(apply(f, put("c", 30, 1, 0, "{\"email\":null}")),
                     FOLD_APPLIED);
    assert_int_equal(apply(f, put("d", 40, 1, 0, "{\"email\":null}")),
                     FOLD_APPLIED);
    assert_int_equal(apply(f, put("e", 50, 1, 0, "{}")), FOLD_APPLIED);
    assert_row(f, "b", NULL);
    assert_ptr_equal(
        fold_taken(f, "z", 1, "{\"email\":\"\\u0078\"}", 18, NULL, &field),
        fold_find(f, "a", 1));
    assert_string_equal(field, "email");
    assert_null(fold_taken(f, "a", 1, "{\"email\":\"x\"}", 13, NULL, NULL));
    assert_null(fold_taken(f, "z", 1, "{\"email\":null}", 14, NULL, NULL));
    assert_int_equal(count_value(f, "email", "str:x"), 1);
    assert_int_equal(count_value(f, "email", "raw:null"), 2);

    /* A deletion frees it, a new version keeps it. */
    apply(f, put("a", 60, 2, 10, "{\"email\":\"x\",\"n\":1}"));
    assert_int_equal(apply(f, put("b", 70, 1, 0, "{\"email\":\"x\"}")),
                     FOLD_TAKEN);
    apply(f, delete ("a", 80, 3, 60));
    assert_int_equal(apply(f, put("b", 90, 1, 0, "{\"email\":\"x\"}")),
                     FOLD_APPLIED);
}

/* A deletion that comes late gives life to what was void. */
static void late_records_change_who_counts(void **state)
{
    struct fold *f = *state;
    struct fold_changes out = {0};
    struct record r;

    set_rules(f, &unique_email, 1, NULL);
    apply(f, put("a", 10, 1, 0, "{\"email\":\"x\"}"));
    assert_int_equal(apply(f, put("b", 30, 1, 0, "{\"email\":\"x\"}")),
                     FOLD_TAKEN);
    r = delete ("a", 20, 2, 10);
    fold_apply(f, &r, 1, NULL, NULL, &out);
    assert_int_equal(out.n, 2);
    assert_string_equal(row_key(out.list[0].now), "a");
    assert_true(out.list[0].now->deleted);
    assert_string_equal(row_key(out.list[1].now), "b");
    assert_null(out.list[1].old);
    fold_changes_release(&out);

    /* And an insert takes a value from who thought to have it. */
    r = put("c", 15, 1, 0, "{\"email\":\"y\"}");
    apply(f, put("d", 17, 1, 0, "{\"email\":\"y\"}"));
    fold_apply(f, &r, 1, NULL, NULL, &out);
    assert_int_equal(out.n, 2);
    assert_string_equal(row_key(out.list[0].now), "c");
    assert_string_equal(row_key(out.list[1].old), "d");
    assert_true(out.list[1].now->deleted);
    assert_int_equal(out.list[1].now->version, 0);
    assert_int_equal(out.list[1].voided->id, 17);
    fold_changes_release(&out);
    assert_null(fold_head(f, "d", 1));
}

static void joined_records_count_together(void **state)
{
    struct fold *f = *state;
    struct fold_changes out = {0};
    enum fold_result res[2];
    struct record move[] = {delete ("a", 30, 2, 10), put("b", 30, 1, 0, "{}")};

    apply(f, put("a", 10, 1, 0, "{}"));
    apply(f, put("b", 20, 1, 0, "{\"other\":1}"));
    move[1].joined = true;
    fold_apply(f, move, 2, res, NULL, &out);
    assert_int_equal(res[0], FOLD_VOID);
    assert_int_equal(res[1], FOLD_VOID);
    assert_int_equal(out.n, 0);
    assert_row(f, "a", "{}");

    /* Within one the first makes room for the second. */
    set_rules(f, &unique_email, 1, NULL);
    apply(f, put("c", 40, 1, 0, "{\"email\":\"x\"}"));
    struct record more[] = {delete ("c", 50, 2, 40),
                            put("d", 50, 1, 0, "{\"email\":\"x\"}")};
    more[1].joined = true;
    fold_apply(f, more, 2, res, NULL, &out);
    assert_int_equal(res[0], FOLD_APPLIED);
    assert_int_equal(res[1], FOLD_APPLIED);
    assert_int_equal(out.n, 2);
    fold_changes_release(&out);
}

static void rules_judge_what_came_before_them(void **state)
{
    struct fold *f = *state;
    struct fold_changes out = {0};
    uint64_t since_15[] = {15}, until_35[] = {15, 35};
    struct fold_rule rule = {"email", since_15, 1};

    apply(f, put("a", 10, 1, 0, "{\"email\":\"x\"}"));
    apply(f, put("b", 12, 1, 0, "{\"email\":\"x\"}"));
    apply(f, put("c", 20, 1, 0, "{\"email\":\"x\"}"));
    apply(f, put("d", 30, 1, 0, "{\"email\":\"y\"}"));
    apply(f, put("e", 40, 1, 0, "{\"email\":\"y\"}"));
    set_rules(f, &rule, 1, &out);
    assert_int_equal(out.n, 2);
    fold_changes_release(&out);
    assert_row(f, "c", NULL);
    assert_row(f, "e", NULL);
    assert_true(fold_is_unique(f, "email"));

    rule = (struct fold_rule){"email", until_35, 2};
    set_rules(f, &rule, 1, &out);
    assert_int_equal(out.n, 1);
    fold_changes_release(&out);
    assert_row(f, "c", NULL);
    assert_row(f, "e", "{\"email\":\"y\"}");
    assert_false(fold_is_unique(f, "email"));
    assert_int_equal(count_value(f, "email", "str:y"), 2);
    set_rules(f, NULL, 0, &out);
    assert_row(f, "c", "{\"email\":\"x\"}");
    assert_null(fold_index(f, "email"));
    fold_changes_release(&out);
}

static void a_text_elsewhere_has_values(void **state)
{
    struct fold *f = *state;
    struct fold_rule rule = {"email", since_5, 1};
    struct record r = put("a", 10, 1, 0, "");
    struct row *lacking[2];

    r.text = NULL;
    r.text_len = 5000;
    r.file = 70;
    apply(f, r);
    set_rules(f, &rule, 1, NULL);
    assert_int_equal(fold_lacking(f, 0, lacking, 2), 1);
    assert_int_equal(index_rows(fold_index(f, "email")), 0);
    fold_give_values(f, lacking[0], "{\"email\":\"x\"}", 13);
    row_unref(lacking[0]);
    assert_int_equal(fold_lacking(f, 0, lacking, 2), 0);
    assert_int_equal(count_value(f, "email", "str:x"), 1);
    assert_int_equal(fold_find(f, "a", 1)->file, 70);

    AUTO_BUF struct buf values = BUF_INIT;
    fold_values(f, "{\"email\":\"x\"}", 13, &values);
    r = put("b", 20, 1, 0, "");
    r.text = NULL;
    r.text_len = 5000;
    r.file = 71;
    r.values = values.data;
    r.values_len = values.len;
    assert_int_equal(apply(f, r), FOLD_TAKEN);
    assert_ptr_equal(fold_taken(f, "b", 1, NULL, 0, values.data, NULL),
                     fold_find(f, "a", 1));
    apply(f, delete ("a", 30, 2, 10));
    r.id = r.holder = 40;
    assert_int_equal(apply(f, r), FOLD_APPLIED);
    assert_int_equal(count_value(f, "email", "str:x"), 1);
}

/* A loading does not hold all texts of rows with long lives. */
static void long_lives_are_loaded_in_little_memory(void **state)
{
    struct fold *f = *state;
    char text[2000], key[8];

    memset(text, 'x', sizeof(text));
    memcpy(text, "{\"email\":\"0\",\"s\":\"", 18);
    memcpy(text + sizeof(text) - 3, "\"}", 3);
    set_rules(f, &unique_email, 1, NULL);
    fold_keep(f, 100, 50000, 1000);
    fold_load_begin(f, 0, NULL);
    struct mallinfo2 before = mallinfo2();
    size_t most = 0;
    for (uint64_t v = 1; v <= 2000; v++)
        for (uint64_t k = 0; k < 3; k++) {
            snprintf(key, sizeof(key), "k%" PRIu64, k);
            text[10] = (char)('0' + k);
            struct record r = put(key, v * 100 + k, (uint32_t)v,
                                  v > 1 ? (v - 1) * 100 + k : 0, text);
            r.text_len = sizeof(text) - 1;
            fold_load_add(f, &r, 1);
            size_t now = mallinfo2().uordblks - before.uordblks;
            most = now > most ? now : most;
        }
    fold_load_end(f);
    assert_in_range(most, 0, 2500000); /* of 12 million bytes */
    assert_int_equal(fold_find(f, "k2", 2)->version, 2000);
    assert_memory_equal(row_text(fold_find(f, "k2", 2)), text, 1999);
    assert_int_equal(count_value(f, "email", "str:2"), 1);
    assert_true(fold_mark(f, 5000) > 190000);
}

/* --- too late ------------------------------------------------------------- */

static void what_is_too_old_to_judge_is_said_so(void **state)
{
    struct fold *f = *state;
    char key[16];

    fold_keep(f, 10, 1 << 20, FOLD_KEEP_AGE);
    for (uint64_t i = 0; i < 100; i++) {
        snprintf(key, sizeof(key), "k%" PRIu64, i);
        apply(f, put(key, 1000 + i * 10, 1, 0, "{}"));
    }
    /* Seen, or void whatever was; waiting; and of a key of its own. */
    assert_int_equal(apply(f, put("k5", 1050, 1, 0, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k5", 1055, 1, 0, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k5", 1056, 2, 1055, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k5", 1057, 5, 1011, "{}")), FOLD_PENDING);
    assert_int_equal(apply(f, put("new", 1058, 1, 0, "{}")), FOLD_APPLIED);
    assert_int_equal(apply(f, put("new", 1059, 2, 1058, "{}")), FOLD_APPLIED);
    /* This would have been first. */
    assert_int_equal(apply(f, put("k5", 1045, 1, 0, "{}")), FOLD_LATE);
    assert_int_equal(fold_find(f, "k5", 2)->id, 1050);
    /* The last ones can still be told. */
    assert_int_equal(apply(f, put("k95", 1945, 1, 0, "{}")), FOLD_APPLIED);
    assert_int_equal(fold_find(f, "k95", 3)->id, 1945);
    set_rules(f, &(struct fold_rule){"email", NULL, 0}, 1, NULL);
    assert_int_equal(
        fold_set_rules(f, &unique_email, 1, &(struct fold_changes){0}),
        FOLD_LATE);
    assert_int_equal(apply(f, put("more", 1060, 1, 0, "{}")), FOLD_LATE);
}

/* --- anything ------------------------------------------------------------- */

/* A random life of a table: writers that have seen more or less of it write
 * messages; some are lost, some are known by copies alone. */

#define KEYS 7
#define MESSAGES 60
#define RECORDS 5

struct message {
    struct record list[RECORDS];
    char texts[RECORDS][64];
    size_t n;
    bool lost;
    uint64_t id;
};

struct version {
    uint64_t id;
    uint32_t version;
};

struct world {
    struct message messages[MESSAGES];
    size_t n;
    char keys[KEYS][16];
    bool no_copies;
    uint64_t unique[3];
    struct fold_rule rules[2];
    size_t n_rules;
};

static uint64_t rng = 1;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

/* A record as the naive table takes it. */
struct told {
    struct record r;
    size_t pos;
    bool joined;
};

struct naive {
    struct told heads[KEYS]; /* version 0: none */
    struct version chain[KEYS][MESSAGES * RECORDS];
    size_t n_chain[KEYS];
    size_t void_or_waiting;
};

static int key_number(const struct record *r)
{
    return r->key[1] - '0';
}

static void value_of(const struct record *r, const char *field, struct buf *out)
{
    buf_reset(out);
    if (r->text && value_find(r->text, r->text_len, field, out))
        return;
    buf_reset(out);
}

static bool holds_at(const struct fold_rule *rule, uint64_t id)
{
    bool on = false;

    for (size_t i = 0; i < rule->n_unique; i++) {
        if (id == rule->unique[i] && i % 2 == 1)
            return false;
        if (id > rule->unique[i])
            on = !on;
    }
    return on;
}

static bool naive_counts(const struct naive *t, const struct world *w,
                         const struct record *r)
{
    const struct record *head = &t->heads[key_number(r)].r;
    AUTO_BUF struct buf mine = BUF_INIT, other = BUF_INIT;

    if (r->version != head->version + 1 ||
        (r->version > 1 && r->base != head->id))
        return false;
    for (size_t i = 0; i < w->n_rules && r->verb != RECORD_DELETE; i++) {
        if (!holds_at(&w->rules[i], r->id))
            continue;
        value_of(r, w->rules[i].field, &mine);
        if (mine.len == 0 || strcmp(mine.data, "raw:null") == 0)
            continue;
        for (int k = 0; k < KEYS; k++) {
            const struct record *h = &t->heads[k].r;
            if (k == key_number(r) || h->version == 0 ||
                h->verb == RECORD_DELETE)
                continue;
            value_of(h, w->rules[i].field, &other);
            if (other.len && strcmp(other.data, mine.data) == 0)
                return false;
        }
    }
    return true;
}

static int by_order(const void *a, const void *b)
{
    const struct told *x = a, *y = b;

    if (x->r.id != y->r.id)
        return x->r.id < y->r.id ? -1 : 1;
    if (x->pos != y->pos)
        return x->pos < y->pos ? -1 : 1;
    int c = strcmp(x->r.key, y->r.key);
    return c ? c : (int)x->r.version - (int)y->r.version;
}

static void naive_play(struct naive *t, const struct world *w,
                       struct told *list, size_t n)
{
    qsort(list, n, sizeof(*list), by_order);
    for (size_t i = 0, end; i < n; i = end) {
        struct naive *before = malloc(sizeof(*before));
        bool all = true;
        *before = *t;
        for (end = i + 1;
             end < n && list[end].joined && list[end].r.id == list[i].r.id;)
            end++;
        for (size_t k = i; k < end && all; k++) {
            int key = key_number(&list[k].r);
            all = naive_counts(t, w, &list[k].r);
            t->heads[key] = list[k];
            t->chain[key][t->n_chain[key]++] =
                (struct version){list[k].r.id, list[k].r.version};
        }
        if (!all) {
            *t = *before;
            t->void_or_waiting += end - i;
        }
        free(before);
    }
}

static size_t tell(const struct message *m, struct told *list, size_t n)
{
    for (size_t i = 0; i < m->n; i++) {
        const struct record *r = &m->list[i];
        struct told told = {*r, r->copy ? 0 : i + 1, r->joined};
        size_t k = 0;
        if (r->verb != RECORD_DELETE && !r->text)
            continue;
        while (k < n &&
               (list[k].r.id != r->id || list[k].r.version != r->version ||
                strcmp(list[k].r.key, r->key) != 0))
            k++;
        if (k < n && told.pos == 0)
            continue;
        list[k] = told;
        n += k == n;
    }
    return n;
}

static void naive_of(struct naive *t, const struct world *w, uint64_t until,
                     bool lost_too)
{
    static struct told list[MESSAGES * RECORDS];
    size_t n = 0;

    *t = (struct naive){0};
    for (size_t i = 0; i < w->n && w->messages[i].id <= until; i++)
        if (lost_too || !w->messages[i].lost)
            n = tell(&w->messages[i], list, n);
    naive_play(t, w, list, n);
}

static struct record *add_record(struct message *m)
{
    return &m->list[m->n++];
}

static void add_put(struct message *m, const struct naive *view,
                    const char *key, uint64_t id)
{
    static const char *const emails[] = {"\"a\"", "\"b\"", "\"c\"",
                                         "null",  "1.0",   "10e-1"};
    const struct record *head = &view->heads[key[1] - '0'].r;
    char *text = m->texts[m->n];

    if (draw(8) == 0)
        snprintf(text, 64, "{\"n\":%u}", draw(3));
    else
        snprintf(text, 64, "{\"email\":%s,\"n\":%u}", emails[draw(6)], draw(3));
    *add_record(m) = put(key, id, head->version + 1, head->id, text);
}

static void add_delete(struct message *m, const struct naive *view,
                       const char *key, uint64_t id)
{
    const struct record *head = &view->heads[key[1] - '0'].r;

    *add_record(m) = delete (key, id, head->version + 1, head->id);
}

/* A copy of some record told before. */
static void add_copy(struct message *m, const struct world *w, uint64_t holder)
{
    const struct message *from = &w->messages[draw((uint32_t)w->n + 1)];
    if (from->n == 0 || from == m)
        return;
    const struct record *r = &from->list[draw((uint32_t)from->n)];
    if (r->copy)
        return;
    struct record *copy = add_record(m);
    *copy = *r;
    copy->copy = true;
    copy->joined = false;
    copy->holder = holder;
    copy->home = 0;
    if (r->verb == RECORD_PUT && draw(2))
        copy->verb = RECORD_WAS;
    if (draw(4) == 0 && r->verb == RECORD_PUT) {
        copy->verb = RECORD_PUT;
        copy->text = NULL;
    }
}

static bool is_live(const struct naive *view, const char *key)
{
    const struct record *head = &view->heads[key[1] - '0'].r;
    return head->version > 0 && head->verb != RECORD_DELETE;
}

static void write_message(struct world *w, uint64_t id)
{
    static struct naive view;
    struct message *m = &w->messages[w->n];
    /* Mostly what there is; else what was some messages ago. */
    uint64_t seen = draw(3) ? id - 1 : id - 1 - draw(60);
    const char *key = w->keys[draw(KEYS)], *to = w->keys[draw(KEYS)];

    naive_of(&view, w, seen, true);
    *m = (struct message){.id = id};
    switch (draw(6)) {
    case 0:
        if (is_live(&view, key)) {
            add_delete(m, &view, key, id);
            break;
        }
        __attribute__((fallthrough));
    case 1:
    case 2:
        add_put(m, &view, key, id);
        if (draw(2)) {
            m->list[0].home = id;
            break;
        }
        if (to != key)
            add_put(m, &view, to, id);
        break;
    case 3:
    case 4:
        if (key == to || !is_live(&view, key)) {
            add_put(m, &view, key, id);
            break;
        }
        add_delete(m, &view, key, id);
        add_put(m, &view, to, id);
        m->list[1].joined = true;
        break;
    default:
        /* A life in one message. */
        add_put(m, &view, key, id);
        m->list[1] = put(key, id, m->list[0].version + 1, id, "{\"n\":9}");
        m->list[2] = delete (key, id, m->list[0].version + 2, id);
        m->n = 2 + draw(2);
    }
    while (!w->no_copies && m->n < RECORDS && draw(3) == 0)
        add_copy(m, w, id);
    if (m->n > 1)
        m->list[0].home = 0;
    m->lost = draw(12) == 0;
    w->n++;
}

static void make_world(struct world *w, bool copies)
{
    uint64_t id = 100;

    *w = (struct world){.no_copies = !copies};
    for (int k = 0; k < KEYS; k++)
        snprintf(w->keys[k], sizeof(w->keys[k]), "k%d", k);
    w->unique[0] = 100 + draw(100);
    w->unique[1] = w->unique[0] + draw(100);
    w->unique[2] = w->unique[1] + draw(50);
    w->rules[0] = (struct fold_rule){"email", w->unique, draw(4)};
    w->rules[1] = (struct fold_rule){"n", NULL, 0};
    w->n_rules = draw(3);
    size_t want = 2 + draw(MESSAGES - 2);
    while (w->n < want) {
        id += 1 + draw(12);
        write_message(w, id);
    }
}

/* What a watcher believes, by the changes alone. */
struct belief {
    struct version heads[KEYS];
    bool live[KEYS];
};

static void believe(struct belief *b, struct fold_changes *changes)
{
    for (size_t i = 0; i < changes->n; i++) {
        const struct fold_change *c = &changes->list[i];
        int k = row_key(c->now)[1] - '0';
        assert_int_equal(c->old ? c->old->id : 0, b->heads[k].id);
        assert_int_equal(c->old ? c->old->version : 0, b->heads[k].version);
        b->heads[k] = (struct version){c->now->id, c->now->version};
        b->live[k] = !c->now->deleted;
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(row_key(changes->list[j].now),
                                    row_key(c->now));
    }
    fold_changes_release(changes);
}

static void assert_listing(struct fold *f, const struct naive *t)
{
    struct row *page[3];
    uint64_t after = 0, bytes = 0;
    size_t listed = 0, live = 0, n;

    for (int k = 0; k < KEYS; k++) {
        const struct record *h = &t->heads[k].r;
        if (h->version == 0 || h->verb == RECORD_DELETE)
            continue;
        live++;
        bytes += h->text_len + 1;
    }
    assert_int_equal(fold_count(f), live);
    assert_int_equal(fold_bytes(f), bytes);
    while ((n = fold_list(f, after, page, 3)) > 0) {
        for (size_t i = 0; i < n; i++) {
            assert_true(page[i]->seq > after);
            after = page[i]->seq;
            assert_ptr_equal(page[i],
                             fold_find(f, row_key(page[i]), page[i]->key_len));
            row_unref(page[i]);
        }
        listed += n;
    }
    assert_int_equal(listed, live);
}

static void assert_indexes(struct fold *f, const struct world *w,
                           const struct naive *t)
{
    AUTO_BUF struct buf form = BUF_INIT, other = BUF_INIT;

    for (size_t i = 0; i < w->n_rules; i++) {
        const struct index *ix = fold_index(f, w->rules[i].field);
        size_t rows = 0, walked = 0, count, at = 0;
        for (int k = 0; k < KEYS; k++) {
            struct row *found[KEYS], *row = fold_find(f, w->keys[k], 2);
            size_t same = 0;
            bool there = false;
            value_of(&t->heads[k].r, w->rules[i].field, &form);
            if (!row || form.len == 0)
                continue;
            rows++;
            for (int j = 0; j < KEYS; j++) {
                value_of(&t->heads[j].r, w->rules[i].field, &other);
                same += fold_find(f, w->keys[j], 2) && other.len == form.len &&
                        memcmp(other.data, form.data, form.len) == 0;
            }
            size_t n = index_find(ix, form.data, form.len, 0, found, KEYS);
            assert_int_equal(n, same);
            assert_int_equal(index_count(ix, form.data, form.len), same);
            for (size_t j = 0; j < n; j++) {
                there |= found[j] == row;
                assert_true(j == 0 || found[j - 1]->seq < found[j]->seq);
            }
            assert_true(there);
        }
        assert_int_equal(index_rows(ix), rows);
        while (index_next(ix, &at, &count))
            walked += count;
        assert_int_equal(walked, rows);
    }
}

/* Homes are messages of this test's, so only their claims are looked at. */
static void assert_homes(struct fold *f, const struct world *w,
                         const struct naive *t)
{
    for (int k = 0; k < KEYS; k++) {
        uint64_t home = 0;
        struct row *head = fold_head(f, w->keys[k], 2);
        for (size_t i = 0; i < w->n; i++) {
            const struct record *r = &w->messages[i].list[0];
            if (w->messages[i].lost || !r->home || key_number(r) != k)
                continue;
            for (size_t c = 0; c < t->n_chain[k]; c++)
                if (t->chain[k][c].id == r->id && r->home > home)
                    home = r->home;
        }
        if (!head)
            continue;
        assert_int_equal(head->home, home);
        if (home)
            assert_ptr_equal(fold_at_home(f, home), head);
    }
}

static void assert_world(struct fold *f, const struct world *w,
                         const struct naive *t)
{
    for (int k = 0; k < KEYS; k++) {
        const struct record *want = &t->heads[k].r;
        struct row *row = fold_head(f, w->keys[k], 2);
        if (want->version == 0) {
            assert_null(row);
            continue;
        }
        assert_non_null(row);
        assert_int_equal(row->id, want->id);
        assert_int_equal(row->version, want->version);
        assert_int_equal(row->base, want->base);
        assert_int_equal(row->deleted, want->verb == RECORD_DELETE);
        if (!row->deleted)
            assert_memory_equal(row_text(row), want->text, want->text_len);
    }
    assert_listing(f, t);
    assert_indexes(f, w, t);
}

static void shuffle(size_t *order, size_t n)
{
    for (size_t i = 0; i < n; i++)
        order[i] = i;
    /* All over the place, or only a little. */
    uint32_t reach = draw(2) ? (uint32_t)n : 4;
    for (size_t i = n; i > 1; i--) {
        size_t k = i - 1 - draw(reach < i ? reach : (uint32_t)i);
        size_t x = order[i - 1];
        order[i - 1] = order[k];
        order[k] = x;
    }
}

static void live(struct fold *f, const struct message *m, struct belief *b)
{
    struct fold_changes out = {0};
    enum fold_result results[RECORDS];

    fold_apply(f, m->list, m->n, results, NULL, &out);
    for (size_t i = 0; i < m->n; i++)
        assert_int_not_equal(results[i], FOLD_LATE);
    believe(b, &out);
}

static struct belief belief_of(struct fold *f, const struct world *w)
{
    struct belief b = {0};

    for (int k = 0; k < KEYS; k++) {
        struct row *head = fold_head(f, w->keys[k], 2);
        if (!head)
            continue;
        b.heads[k] = (struct version){head->id, head->version};
        b.live[k] = !head->deleted;
    }
    return b;
}

static void assert_believed(struct fold *f, const struct world *w,
                            const struct belief *b)
{
    for (int k = 0; k < KEYS; k++) {
        struct row *head = fold_head(f, w->keys[k], 2);
        assert_int_equal(head ? head->id : 0, b->heads[k].id);
        assert_int_equal(head ? head->version : 0, b->heads[k].version);
        assert_int_equal(head && !head->deleted, b->live[k]);
    }
}

static uint64_t seeds(uint64_t *first)
{
    const char *seed = getenv("FOLD_SEED");

    *first = seed ? strtoull(seed, NULL, 10) : 1;
    return seed ? 1 : 1000;
}

/* For who looks into a failure: FOLD_SEED=<this> test_fold. */
static uint64_t seed_now;

#define FOR_EACH_WORLD(w, copies)                                              \
    uint64_t first_seed, n_seeds = seeds(&first_seed);                         \
    for (uint64_t seed = first_seed;                                           \
         seed < first_seed + n_seeds &&                                        \
         (rng = seed * 0x9e3779b97f4a7c15u, seed_now = seed,                   \
         make_world(w, copies), true);                                         \
         seed++)

static int print_seed(void **state)
{
    (void)state;
    if (seed_now)
        print_message("its last seed was FOLD_SEED=%" PRIu64 "\n", seed_now);
    seed_now = 0;
    return 0;
}

static void any_order_gives_the_same_table(void **state)
{
    static struct world w;
    static struct naive want;
    size_t order[MESSAGES];
    (void)state;

    FOR_EACH_WORLD(&w, true)
    {
        naive_of(&want, &w, UINT64_MAX, false);
        for (int turn = 0; turn < 4; turn++) {
            struct fold *f = fold_new();
            struct fold_changes none = {0};
            struct belief b = {0};
            /* Some is loaded, some comes live, rules at some time. */
            size_t loaded = turn ? draw((uint32_t)w.n + 1) : 0;
            size_t ruled = draw((uint32_t)w.n + 1);
            if (turn == 3) {
                /* What is superseded is let go while more comes. */
                loaded = w.n;
                fold_keep(f, FOLD_KEEP, 20, draw(60));
            }
            shuffle(order, w.n);
            if (ruled <= loaded)
                set_rules(f, w.rules, w.n_rules, &none);
            if (turn) {
                fold_load_begin(f, 0, NULL);
                for (size_t i = 0; i < loaded; i++)
                    if (!w.messages[order[i]].lost)
                        fold_load_add(f, w.messages[order[i]].list,
                                      w.messages[order[i]].n);
                fold_load_end(f);
                b = belief_of(f, &w);
            }
            for (size_t i = loaded; i < w.n; i++) {
                const struct message *m = &w.messages[order[i]];
                if (i == ruled && ruled > loaded) {
                    struct fold_changes out = {0};
                    set_rules(f, w.rules, w.n_rules, &out);
                    believe(&b, &out);
                }
                if (m->lost)
                    continue;
                live(f, m, &b);
                if (draw(5) == 0)
                    live(f, m, &b);
            }
            if (ruled == w.n && ruled > loaded) {
                struct fold_changes out = {0};
                set_rules(f, w.rules, w.n_rules, &out);
                believe(&b, &out);
            }
            assert_world(f, &w, &want);
            assert_homes(f, &w, &want);
            assert_believed(f, &w, &b);
            assert_int_equal(fold_pending(f), want.void_or_waiting);
            fold_free(f);
        }
    }
}

/* A fold that knows little of the past says so, or is right. (No copies: one
 * that comes before its original, and the original when its place is beyond
 * memory, is taken for the original.) */
static void a_short_memory_is_never_wrong(void **state)
{
    static struct world w;
    static struct naive want;
    size_t order[MESSAGES], lates = 0;
    (void)state;

    FOR_EACH_WORLD(&w, false)
    {
        struct fold *f = fold_new();
        struct belief b = {0};
        shuffle(order, w.n);
        naive_of(&want, &w, UINT64_MAX, false);
        set_rules(f, w.rules, w.n_rules, NULL);
        fold_keep(f, 1 + draw(20), 1 << 20, FOLD_KEEP_AGE);
        for (size_t i = 0; i < w.n; i++) {
            const struct message *m = &w.messages[order[i]];
            struct fold_changes out = {0};
            enum fold_result results[RECORDS];
            bool late = false;
            if (m->lost)
                continue;
            fold_apply(f, m->list, m->n, results, NULL, &out);
            believe(&b, &out);
            for (size_t k = 0; k < m->n; k++)
                late |= results[k] == FOLD_LATE;
            if (!late)
                continue;
            /* Loaded again, with all that was seen. */
            struct fold *anew = fold_new();
            set_rules(anew, w.rules, w.n_rules, NULL);
            fold_keep(anew, 1 + draw(20), 1 << 20, FOLD_KEEP_AGE);
            fold_load_begin(anew, 0, f);
            for (size_t k = 0; k <= i; k++)
                if (!w.messages[order[k]].lost)
                    fold_load_add(anew, w.messages[order[k]].list,
                                  w.messages[order[k]].n);
            fold_load_end(anew);
            fold_difference(anew, f, &out);
            believe(&b, &out);
            assert_believed(anew, &w, &b);
            fold_free(f);
            f = anew;
            lates++;
        }
        assert_world(f, &w, &want);
        assert_believed(f, &w, &b);
        fold_free(f);
    }
    assert_true(lates > 0 || n_seeds == 1);
}

static void checkpoint(void *arg, struct row *r, uint64_t home, uint64_t shows)
{
    struct record rec = {
        .verb = r->deleted ? RECORD_DELETE : RECORD_PUT,
        .version = r->version,
        .id = r->id,
        .holder = r->holder,
        .base = r->base,
        .at_ms = r->at_ms,
        .mtime_ms = r->mtime_ms,
        .key = row_key(r),
        .key_len = r->key_len,
        .by = r->by,
        .by_len = strlen(r->by),
        .text = row_text(r),
        .text_len = r->deleted ? 0 : r->text_len - 1,
    };

    fold_checkpoint(arg, &rec, home, shows);
}

/* A fold that begins at a snapshot agrees with one that read everything. */
static void a_snapshot_gives_the_same_table(void **state)
{
    static struct world w;
    static struct naive want;
    size_t order[MESSAGES];
    (void)state;

    FOR_EACH_WORLD(&w, true)
    {
        struct fold *f = fold_new(), *anew = fold_new();
        struct belief b = {0};
        set_rules(f, w.rules, w.n_rules, NULL);
        set_rules(anew, w.rules, w.n_rules, NULL);
        fold_keep(f, 1 + draw(40), 1 << 20, FOLD_KEEP_AGE);
        naive_of(&want, &w, UINT64_MAX, false);
        fold_load_begin(f, 0, NULL);
        for (size_t i = 0; i < w.n; i++)
            if (!w.messages[i].lost)
                fold_load_add(f, w.messages[i].list, w.messages[i].n);
        fold_load_end(f);
        uint64_t mark = fold_mark(f, 100 + draw(400));
        shuffle(order, w.n);
        fold_load_begin(anew, mark, NULL);
        fold_past(f, mark, checkpoint, anew);
        size_t i = 0;
        for (; i < w.n / 2; i++) {
            const struct message *m = &w.messages[order[i]];
            if (!m->lost && m->id > mark)
                fold_load_add(anew, m->list, m->n);
        }
        fold_load_end(anew);
        b = belief_of(anew, &w);
        for (; i < w.n; i++) {
            const struct message *m = &w.messages[order[i]];
            if (!m->lost && m->id > mark)
                live(anew, m, &b);
        }
        assert_world(anew, &w, &want);
        for (int k = 0; k < KEYS; k++) {
            struct row *row = fold_head(anew, w.keys[k], 2);
            struct row *whole = fold_head(f, w.keys[k], 2);
            if (row)
                assert_int_equal(row->home, whole->home);
        }
        fold_free(f);
        fold_free(anew);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define RANDOM(name) cmocka_unit_test_teardown(name, print_seed)
        TEST(a_row_lives_through_its_versions),
        TEST(what_was_seen_changes_nothing),
        TEST(of_two_with_one_base_the_lower_counts),
        TEST(two_inserts_of_one_key_are_a_conflict_too),
        TEST(early_records_wait_for_their_base),
        TEST(one_message_can_hold_several_versions),
        TEST(a_copy_is_as_good_as_its_original),
        TEST(a_text_in_a_file_is_known_by_its_place),
        TEST(a_home_follows_its_row),
        TEST(a_home_may_be_told_first),
        TEST(a_row_somebody_holds_is_not_changed),
        TEST(a_void_message_is_no_home),
        TEST(a_home_left_over_shows_the_deletion_or_goes),
        TEST(a_listing_neither_misses_nor_repeats),
        TEST(a_snapshot_needs_no_past),
        TEST(a_unique_value_is_for_one),
        TEST(late_records_change_who_counts),
        TEST(joined_records_count_together),
        TEST(rules_judge_what_came_before_them),
        TEST(a_text_elsewhere_has_values),
        TEST(long_lives_are_loaded_in_little_memory),
        TEST(what_is_too_old_to_judge_is_said_so),
        RANDOM(any_order_gives_the_same_table),
        RANDOM(a_short_memory_is_never_wrong),
        RANDOM(a_snapshot_gives_the_same_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
