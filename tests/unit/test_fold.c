/* engine/fold: the same records make the same table, in whatever order and how
 * often they come. */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/fold.h"

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

static enum fold_result apply(struct fold *f, struct record r)
{
    struct fold_change c;
    enum fold_result res = fold_apply_one(f, &r, &c);

    assert_int_equal(!!c.now, res == FOLD_APPLIED);
    fold_change_release(&c);
    return res;
}

static void home(struct fold *f, const char *key, uint64_t id, uint64_t shows)
{
    fold_home(f, key, strlen(key), id, shows);
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

    assert_int_equal(fold_apply_one(f, &r, &c), FOLD_APPLIED);
    assert_null(c.old);
    assert_int_equal(c.now->version, 1);
    assert_string_equal(c.now->by, "ada");
    assert_string_equal(row_key(c.now), "k");
    uint64_t seq = c.now->seq;
    fold_change_release(&c);

    r = put("k", 20, 2, 10, "{\"a\":1}");
    assert_int_equal(fold_apply_one(f, &r, &c), FOLD_APPLIED);
    assert_int_equal(c.old->id, 10);
    assert_string_equal(row_text(c.old), "{}\n");
    assert_int_equal(c.now->id, 20);
    assert_int_equal(c.now->seq, seq);
    fold_change_release(&c);
    assert_int_equal(fold_count(f), 1);
    assert_int_equal(fold_bytes(f), 8);

    r = delete ("k", 30, 3, 20);
    assert_int_equal(fold_apply_one(f, &r, &c), FOLD_APPLIED);
    assert_true(c.now->deleted);
    fold_change_release(&c);
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
    assert_int_equal(fold_apply_one(f, &r, &c), FOLD_APPLIED);
    assert_int_equal(c.voided->id, 40);
    assert_int_equal(c.old->id, 40);
    assert_int_equal(c.now->id, 20);
    fold_change_release(&c);
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
    assert_int_equal(fold_apply_one(f, &r, &c), FOLD_APPLIED);
    assert_null(c.old);
    assert_int_equal(c.now->version, 3);
    fold_change_release(&c);
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

static void checkpoint(struct fold *f, struct record r, enum fold_result want)
{
    struct fold_change c;

    assert_int_equal(fold_checkpoint_one(f, &r, &c), want);
    fold_change_release(&c);
}

static void a_snapshot_needs_no_past(void **state)
{
    struct fold *f = *state;

    checkpoint(f, put("k", 50, 5, 40, "{\"v\":5}"), FOLD_APPLIED);
    assert_row(f, "k", "{\"v\":5}");
    /* The past may still come; it changes nothing. */
    assert_int_equal(apply(f, put("k", 10, 1, 0, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 40, 4, 30, "{}")), FOLD_KNOWN);
    assert_int_equal(apply(f, put("k", 50, 5, 40, "{}")), FOLD_KNOWN);
    /* Nor does what came too late. */
    assert_int_equal(apply(f, put("k", 60, 5, 40, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 70, 6, 60, "{}")), FOLD_VOID);
    assert_int_equal(apply(f, put("k", 80, 6, 50, "{\"v\":6}")), FOLD_APPLIED);
    checkpoint(f, put("k", 50, 5, 40, "{}"), FOLD_KNOWN);
    checkpoint(f, put("k", 30, 3, 20, "{}"), FOLD_KNOWN);
    assert_row(f, "k", "{\"v\":6}");
}

static void a_snapshot_may_come_after_its_records(void **state)
{
    struct fold *f = *state;

    apply(f, put("k", 10, 1, 0, "{}"));
    home(f, "k", 10, 10);
    apply(f, put("k", 60, 6, 50, "{\"v\":6}"));
    apply(f, put("k", 70, 6, 55, "{}"));
    checkpoint(f, put("k", 50, 5, 40, "{\"v\":5}"), FOLD_APPLIED);
    assert_row(f, "k", "{\"v\":6}");
    assert_int_equal(fold_find(f, "k", 1)->home, 10);
}

/* --- anything ------------------------------------------------------------- */

#define KEYS 6
#define NODES 40

/* Some records of one key, with conflicts, gaps and deletions. */
struct node {
    struct record r;
    char text[32];
    int parent; /* index, -1: none */
    bool sent;
};

struct history {
    char key[8];
    struct node nodes[NODES];
    int n;
    struct {
        uint64_t home, shows;
    } claims[4];
    int n_claims;
};

static uint64_t rng = 1;

static uint32_t draw(uint32_t below)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 33) % below;
}

static bool id_taken(const struct history *h, uint64_t id, uint32_t version)
{
    for (int i = 0; i < h->n; i++)
        if (h->nodes[i].r.id == id && h->nodes[i].r.version == version)
            return true;
    return false;
}

static void make_history(struct history *h, int number)
{
    *h = (struct history){0};
    snprintf(h->key, sizeof(h->key), "k%d", number);
    int want = 1 + (int)draw(NODES - 1);
    while (h->n < want) {
        struct node *n = &h->nodes[h->n];
        n->parent = (int)draw((uint32_t)h->n + 1) - 1;
        /* Mostly one line, else a bush. */
        if (h->n > 0 && draw(3) > 0)
            n->parent = h->n - 1;
        const struct node *p = n->parent < 0 ? NULL : &h->nodes[n->parent];
        uint32_t version = p ? p->r.version + 1 : 1;
        uint64_t base = p ? p->r.id : 0;
        uint64_t id = base + (p && draw(6) == 0 ? 0 : 1 + draw(40));
        if (id_taken(h, id, version))
            continue;
        snprintf(n->text, sizeof(n->text), "{\"n\":%u}", draw(100000));
        n->r = p && draw(5) == 0 ? delete (h->key, id, version, base)
                                 : put(h->key, id, version, base, n->text);
        n->sent = draw(12) > 0;
        h->n++;
    }
    for (int i = (int)draw(4); i > 0; i--) {
        const struct node *n = &h->nodes[draw((uint32_t)h->n)];
        /* A message is the home of one key. */
        h->claims[h->n_claims].home =
            n->r.id * 64 + (uint64_t)i * 8 + (uint64_t)number;
        h->claims[h->n_claims++].shows = h->nodes[draw((uint32_t)h->n)].r.id;
    }
}

/* The rules as DESIGN says them. The nodes that count, oldest first. */
static int reference(const struct history *h, const struct node **chain)
{
    int n = 0, last = -1;

    for (;;) {
        int best = -1;
        for (int i = 0; i < h->n; i++) {
            if (!h->nodes[i].sent || h->nodes[i].parent != last)
                continue;
            if (best < 0 || h->nodes[i].r.id < h->nodes[best].r.id)
                best = i;
        }
        if (best < 0)
            return n;
        chain[n++] = &h->nodes[best];
        last = best;
    }
}

struct event {
    const struct history *h;
    int node, claim;
};

static void shuffle(struct event *e, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t k = draw((uint32_t)i);
        struct event t = e[i - 1];
        e[i - 1] = e[k];
        e[k] = t;
    }
}

static void deliver(struct fold *f, const struct event *e)
{
    if (e->node < 0) {
        home(f, e->h->key, e->h->claims[e->claim].home,
             e->h->claims[e->claim].shows);
        return;
    }
    struct record r = e->h->nodes[e->node].r;
    if (draw(4) == 0) {
        r.copy = true;
        r.holder = 100000 + draw(100000);
        if (r.verb == RECORD_PUT && draw(2))
            r.verb = RECORD_WAS;
    }
    struct fold_change c;
    enum fold_result res = fold_apply_one(f, &r, &c);
    if (res == FOLD_APPLIED) {
        assert_non_null(c.now);
        assert_ptr_equal(c.now, fold_head(f, r.key, r.key_len));
    }
    fold_change_release(&c);
}

static size_t gather(const struct history *hs, struct event *events)
{
    size_t n = 0;

    for (int k = 0; k < KEYS; k++) {
        for (int i = 0; i < hs[k].n; i++)
            for (uint32_t twice = hs[k].nodes[i].sent * (1 + draw(2)); twice;
                 twice--)
                events[n++] = (struct event){&hs[k], i, -1};
        for (int i = 0; i < hs[k].n_claims; i++)
            events[n++] = (struct event){&hs[k], -1, i};
    }
    return n;
}

static void assert_key(struct fold *f, const struct history *h)
{
    const struct node *chain[NODES];
    int n = reference(h, chain);
    struct row *row = fold_head(f, h->key, strlen(h->key));

    if (n == 0) {
        assert_null(row);
        return;
    }
    const struct record *want = &chain[n - 1]->r;
    assert_non_null(row);
    assert_int_equal(row->id, want->id);
    assert_int_equal(row->version, want->version);
    assert_int_equal(row->deleted, want->verb == RECORD_DELETE);
    if (!row->deleted)
        assert_memory_equal(row_text(row), want->text, want->text_len);

    uint64_t at = 0;
    for (int i = 0; i < h->n_claims; i++)
        for (int k = 0; k < n; k++)
            if (h->claims[i].shows == chain[k]->r.id && h->claims[i].home > at)
                at = h->claims[i].home;
    assert_int_equal(row->home, at);
    if (at)
        assert_ptr_equal(fold_at_home(f, at), row);
}

static void assert_table(struct fold *f, const struct history *hs,
                         bool all_known)
{
    size_t count = 0, unsettled = 0, listed = 0, n;
    uint64_t bytes = 0, after = 0;

    for (int k = 0; k < KEYS; k++) {
        const struct node *chain[NODES];
        int len = reference(&hs[k], chain);
        assert_key(f, &hs[k]);
        for (int i = 0; i < hs[k].n; i++)
            unsettled += hs[k].nodes[i].sent;
        unsettled -= (size_t)len;
        if (len == 0 || chain[len - 1]->r.verb == RECORD_DELETE)
            continue;
        count++;
        bytes += chain[len - 1]->r.text_len + 1;
    }
    assert_int_equal(fold_count(f), count);
    assert_int_equal(fold_bytes(f), bytes);
    if (all_known)
        assert_int_equal(fold_pending(f), unsettled);

    struct row *page[3];
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
    assert_int_equal(listed, count);
}

static void any_order_gives_the_same_table(void **state)
{
    static struct history hs[KEYS];
    static struct event events[KEYS * (2 * NODES + 4)];
    (void)state;

    for (uint64_t seed = 1; seed <= 3000; seed++) {
        struct stale first = {0}, other;
        rng = seed * 0x9e3779b97f4a7c15u;
        for (int k = 0; k < KEYS; k++)
            make_history(&hs[k], k);
        size_t n = gather(hs, events);
        uint64_t sum = 0;
        for (int order = 0; order < 3; order++) {
            struct fold *f = fold_new();
            shuffle(events, n);
            for (size_t i = 0; i < n; i++)
                deliver(f, &events[i]);
            assert_table(f, hs, true);
            count_stale(f, order ? &other : &first);
            uint64_t mine = 0;
            for (size_t i = 0; order && i < other.n; i++)
                mine += other.list[i].home * 31 + other.list[i].now;
            for (size_t i = 0; !order && i < first.n; i++)
                sum += first.list[i].home * 31 + first.list[i].now;
            if (order) {
                assert_int_equal(other.n, first.n);
                assert_int_equal(mine, sum);
            }
            fold_free(f);
        }
    }
}

/* A fold that began at a snapshot agrees with one that read everything. */
static void a_snapshot_gives_the_same_table(void **state)
{
    static struct history hs[KEYS], past[KEYS];
    static struct event events[KEYS * (2 * NODES + 4)];
    (void)state;

    for (uint64_t seed = 1; seed <= 2000; seed++) {
        rng = seed * 0xd1342543de82ef95u;
        for (int k = 0; k < KEYS; k++)
            make_history(&hs[k], k);
        uint64_t until = draw(400);
        memcpy(past, hs, sizeof(hs));
        struct fold *f = fold_new();
        for (int k = 0; k < KEYS; k++) {
            const struct node *chain[NODES];
            for (int i = 0; i < past[k].n; i++)
                past[k].nodes[i].sent &= past[k].nodes[i].r.id <= until;
            int n = reference(&past[k], chain);
            if (n == 0)
                continue;
            struct fold_change c;
            assert_int_equal(fold_checkpoint_one(f, &chain[n - 1]->r, &c),
                             FOLD_APPLIED);
            fold_change_release(&c);
        }

        size_t n = gather(hs, events), kept = 0;
        for (size_t i = 0; i < n; i++) {
            const struct event *e = &events[i];
            /* Of what the snapshot has, some comes again. */
            if (e->node < 0 || e->h->nodes[e->node].r.id > until ||
                draw(3) == 0)
                events[kept++] = *e;
        }
        shuffle(events, kept);
        for (size_t i = 0; i < kept; i++)
            deliver(f, &events[i]);
        for (int k = 0; k < KEYS; k++)
            hs[k].n_claims = 0;
        for (int k = 0; k < KEYS; k++) {
            const struct node *chain[NODES];
            int len = reference(&hs[k], chain);
            struct row *row = fold_head(f, hs[k].key, strlen(hs[k].key));
            assert_int_equal(!!row, len > 0);
            if (row) {
                assert_int_equal(row->id, chain[len - 1]->r.id);
                assert_int_equal(row->version, chain[len - 1]->r.version);
            }
        }
        fold_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
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
        TEST(a_snapshot_may_come_after_its_records),
        cmocka_unit_test(any_order_gives_the_same_table),
        cmocka_unit_test(a_snapshot_gives_the_same_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
