/* What a way costs is put into one number: the time it takes, about. Requests
 * outweigh all else, as Discord lets a bot have few of them; then come bytes;
 * then the rows that are looked at. */
#include "engine/find_plan.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

const char *const find_way_names[] = {
    [FIND_NONE] = "none", [FIND_KEY] = "key",   [FIND_INDEX] = "index",
    [FIND_SCAN] = "scan", [FIND_OPEN] = "open", [FIND_SEARCH] = "search",
};

/* In microseconds. */
#define REQUEST_COST 300000.0
#define BYTE_COST 0.2
#define LOOK_COST 1.0 /* at a row in memory */
#define LOAD_COST 3.0 /* of a row into memory */

#define PAGE 100
#define HITS 25        /* that one search gives at most */
#define SEARCHES_MAX 8 /* where more would be needed, opening is as good */

/* Where nothing tells how long a table is: one that nobody took a snapshot of
 * is short, since a snapshot is due after so many messages. */
#define UNKNOWN_REQUESTS 4.0
#define UNKNOWN_BYTES 100000.0

static struct find_candidate *add(struct find_report *out, enum find_way way,
                                  const char *field)
{
    assert(out->n < FIND_CANDIDATES_MAX);
    struct find_candidate *c = &out->list[out->n++];
    *c = (struct find_candidate){.way = way, .field = field, .possible = true};
    return c;
}

static void not_so(struct find_candidate *c, const char *why)
{
    c->possible = false;
    snprintf(c->why, sizeof(c->why), "%s", why);
}

static void weigh(struct find_candidate *c, double each_row)
{
    c->cost =
        c->requests * REQUEST_COST + c->bytes * BYTE_COST + c->rows * each_row;
}

/* --- an open table ---------------------------------------------------------
 */

static void plan_open_table(const struct find_facts *f, struct find_report *out)
{
    for (size_t i = 0; i < f->n_terms; i++) {
        const struct find_term *t = &f->terms[i];
        struct find_candidate *c =
            add(out, t->field ? FIND_INDEX : FIND_KEY, t->field);

        if (!t->field)
            c->rows = (double)t->values;
        else if (t->indexed)
            c->rows = (double)t->rows;
        else
            not_so(c, "the field has no index, or it is still being built");
        weigh(c, LOOK_COST);
    }
    struct find_candidate *scan = add(out, FIND_SCAN, NULL);
    scan->rows = (double)f->rows;
    weigh(scan, LOOK_COST);
}

/* --- one that is not -------------------------------------------------------
 */

static void plan_opening(const struct find_facts *f, struct find_report *out)
{
    struct find_candidate *c = add(out, FIND_OPEN, NULL);

    c->rows = (double)f->rows;
    c->bytes = UNKNOWN_BYTES;
    switch (f->seen) {
    case FIND_SEEN_NOTHING:
        c->requests = 2;
        snprintf(c->why, sizeof(c->why), "what it takes is not known before");
        break;
    case FIND_SEEN_SNAPSHOT:
        c->requests = 2 + (f->long_channel ? 2 : 0) + (f->chained ? 1 : 0) +
                      (f->parts > PAGE / 2 ? 1 : 0);
        c->bytes = (double)f->packed;
        snprintf(c->why, sizeof(c->why),
                 "from a snapshot of %" PRIu64 " rows, %" PRIu64 " bytes",
                 f->rows, f->packed);
        break;
    case FIND_SEEN_ALL:
        c->requests = f->long_channel ? UNKNOWN_REQUESTS + 1 : 2;
        snprintf(c->why, sizeof(c->why), "there is no snapshot%s",
                 f->long_channel ? ", and more than a page of messages" : "");
        break;
    case FIND_SEEN_LATE:
        c->requests = UNKNOWN_REQUESTS;
        snprintf(c->why, sizeof(c->why),
                 "no snapshot among the newest %d messages", PAGE);
        break;
    }
    weigh(c, LOAD_COST);
}

static void plan_search(const struct find_facts *f, const struct find_term *t,
                        struct find_report *out)
{
    struct find_candidate *c = add(out, FIND_SEARCH, t->field);
    bool one_each = !t->field || t->unique;
    size_t pages = one_each ? 1 : (size_t)((f->limit + HITS - 1) / HITS);
    double searches = (double)(t->values * pages);

    /* Presence can be proved, absence cannot: all that is wanted must be
     * found. */
    if (f->no_search)
        not_so(c, f->no_search);
    else if (!one_each && f->limit == UINT64_MAX)
        not_so(c, "a search may miss rows, and how many there are is not "
                  "known");
    else if (!t->worded)
        not_so(c, "there is no word to search for: a row's words are for its "
                  "strings, numbers, true, false and null");
    else if (searches > SEARCHES_MAX || (!one_each && f->limit > HITS * 4))
        not_so(c, "more rows than a search is good for");
    /* The page that was looked at, the search, and what stands before a hit. */
    c->requests = 2 + searches;
    c->rows = one_each ? (double)t->values : 0;
    if (!one_each && f->limit != UINT64_MAX)
        c->rows = (double)f->limit;
    c->bytes = c->rows * 2000 + 2 * PAGE * 1000;
    weigh(c, LOAD_COST);
}

void find_plan(const struct find_facts *f, struct find_report *out)
{
    out->n = out->choice = 0;
    if (f->never) {
        add(out, FIND_NONE, NULL);
        return;
    }
    if (f->open) {
        plan_open_table(f, out);
    } else {
        for (size_t i = 0; i < f->n_terms; i++)
            plan_search(f, &f->terms[i], out);
        plan_opening(f, out);
    }

    /* The last is always possible; of equal ones the first. */
    size_t best = out->n - 1;
    for (size_t i = out->n; i > 0; i--)
        if (out->list[i - 1].possible &&
            out->list[i - 1].cost <= out->list[best].cost)
            best = i - 1;
    out->choice = best;
}

/* --- as JSON ---------------------------------------------------------------
 */

static void add_text(struct buf *out, const char *name, const char *text)
{
    buf_printf(out, ",\"%s\":", name);
    buf_add_json(out, text, strlen(text));
}

static void print_candidate(const struct find_candidate *c, struct buf *out)
{
    buf_printf(out, "{\"way\":\"%s\"", find_way_names[c->way]);
    if (c->field)
        add_text(out, "field", c->field);
    buf_printf(out, ",\"possible\":%s", c->possible ? "true" : "false");
    if (c->possible)
        buf_printf(out, ",\"requests\":%.0f,\"rows\":%.0f,\"bytes\":%.0f",
                   c->requests, c->rows, c->bytes);
    if (c->why[0])
        add_text(out, c->possible ? "note" : "why_not", c->why);
    buf_addc(out, '}');
}

void find_report_print(const struct find_report *r, const struct query *q,
                       struct buf *out)
{
    const struct find_candidate *choice = &r->list[r->choice];

    buf_addstr(out, "{\"query\":");
    query_print(q, out);
    buf_addstr(out, ",\"candidates\":[");
    for (size_t i = 0; i < r->n; i++) {
        if (i > 0)
            buf_addc(out, ',');
        print_candidate(&r->list[i], out);
    }
    buf_printf(out, "],\"choice\":\"%s\"", find_way_names[choice->way]);
    if (choice->field)
        add_text(out, "field", choice->field);
    if (r->fell_back)
        add_text(out, "fell_back", r->fallback);
    add_text(out, "how", find_way_names[r->how]);
    if (r->how_field)
        add_text(out, "how_field", r->how_field);
    buf_printf(out,
               ",\"expected_requests\":%.0f,\"requests\":%" PRIu64
               ",\"examined\":%" PRIu64 ",\"matched\":%" PRIu64
               ",\"returned\":%" PRIu64 ",\"ms\":%" PRIu64 ".%03" PRIu64 "}",
               choice->requests, r->requests, r->examined, r->matched,
               r->returned, r->micros / 1000, r->micros % 1000);
}
