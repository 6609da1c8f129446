/* Buttons: the question before what cannot be undone, and the pages of long
 * lists. Both live in memory for a while; a button whose question or list is
 * gone (the process was started again) says so.
 *
 *     dbc:yes:NUMBER   dbc:no:NUMBER   dbc:page:NUMBER:PAGE
 */
#include "bot/slash_impl.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "bot/register.h"
#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/str.h"
#include "engine/command/command.h"
#include "engine/discord/message.h"
#include "engine/job.h"

#define ASK_MS 60000

/* Lists that are kept: so many bytes, the newest. The links of an answer die
 * after 15 minutes anyway. */
#define LISTS_MAX ((size_t)8 << 20)

struct question {
    uint64_t number;   /* first: the map's key */
    struct turn *turn; /* a reference */
};

struct list {
    uint64_t number;   /* first: the map's key */
    struct list *next; /* newer */
    uint64_t user;
    size_t bytes;
    struct shown shown;
};

static uint64_t number_hash(const void *item)
{
    return hash_u64(*(const uint64_t *)item);
}

static bool number_is(const void *item, const void *key)
{
    return *(const uint64_t *)item == *(const uint64_t *)key;
}

static const struct map_type by_number = {number_hash, number_is};

/* Not to be guessed, and not that of an earlier process. */
static uint64_t draw_number(void)
{
    uint64_t n = 0;

    if (getrandom(&n, sizeof(n), 0) != (ssize_t)sizeof(n))
        n = (uint64_t)clock_wall_ms();
    return n ? n : 1;
}

static void put_locked(struct map *m, void *item)
{
    if (!m->type)
        *m = MAP_INIT(&by_number);
    map_put(m, item, item);
}

static void *get_locked(struct map *m, uint64_t number)
{
    return m->type ? map_get(m, hash_u64(number), &number) : NULL;
}

static void *take_locked(struct map *m, uint64_t number)
{
    return m->type ? map_remove(m, hash_u64(number), &number) : NULL;
}

/* --- questions ------------------------------------------------------------ */

static struct question *question_take(struct slash *s, uint64_t number)
{
    pthread_mutex_lock(&s->lock);
    struct question *q = take_locked(&s->questions, number);
    pthread_mutex_unlock(&s->lock);
    return q;
}

static void question_free(struct question *q)
{
    turn_unref(q->turn);
    free(q);
}

struct expiry {
    struct turn *turn; /* a reference */
    uint64_t number;
};

static void question_over(void *arg)
{
    struct expiry *e = arg;
    struct slash *s = e->turn->slash;
    struct question *q = question_take(s, e->number);

    pthread_mutex_lock(&s->lock);
    bool stopping = s->stopping;
    pthread_mutex_unlock(&s->lock);
    if (q) {
        turn_edit_now(
            q->turn,
            &(struct reply){
                .content = stopping ? "dbcord was stopped before anybody "
                                      "answered; nothing was done."
                                    : "Nobody answered in time; nothing was "
                                      "done.",
            });
        question_free(q);
    }
    turn_unref(e->turn);
    free(e);
}

static void describe(const struct turn *t, struct buf *out)
{
    const struct command *c = run_command_of(t);
    AUTO_BUF struct buf what = BUF_INIT;

    buf_printf(&what, "%s", t->in.command);
    for (size_t i = 0; i < t->in.n_options; i++) {
        const struct interaction_option *o = &t->in.options[i];
        if (strcmp(o->name, SLASH_PUBLIC) == 0)
            continue;
        buf_printf(&what, " %s:", o->name);
        if (o->file_name)
            buf_addstr(&what, o->file_name);
        else
            buf_add(&what, o->value, o->value_len);
    }
    buf_printf(out, "**%s?** This cannot be undone.\n", c->summary);
    show_block(out, "", what.data, what.len, SHOW_CONTENT_MAX / 2);
}

void press_ask(struct turn *t)
{
    struct slash *s = t->slash;
    struct question *q = xcalloc(1, sizeof(*q));
    struct expiry *e = xcalloc(1, sizeof(*e));
    AUTO_BUF struct buf content = BUF_INIT;
    char yes[48], no[48];

    q->number = draw_number();
    q->turn = turn_ref(t);
    *e = (struct expiry){turn_ref(t), q->number};
    snprintf(yes, sizeof(yes), "dbc:yes:%" PRIu64, q->number);
    snprintf(no, sizeof(no), "dbc:no:%" PRIu64, q->number);
    describe(t, &content);
    pthread_mutex_lock(&s->lock);
    put_locked(&s->questions, q);
    pthread_mutex_unlock(&s->lock);

    const struct reply_button buttons[] = {
        {.id = yes, .label = "Yes, do it", .danger = true},
        {.id = no, .label = "No"},
    };
    turn_answer(t,
                &(struct reply){
                    .content = content.data,
                    .buttons = buttons,
                    .n_buttons = 2,
                },
                NULL);
    job_after(s->quick, ASK_MS, question_over, e);
}

/* --- lists ---------------------------------------------------------------- */

static void list_free(struct list *l)
{
    shown_release(&l->shown);
    free(l);
}

/* Caller holds the lock. Those that have no room any more, to be freed. */
static struct list *drop_oldest_locked(struct slash *s)
{
    struct list *dropped = NULL;

    while (s->list_bytes > LISTS_MAX && s->oldest != s->newest) {
        struct list *l = s->oldest;
        s->oldest = l->next;
        s->list_bytes -= l->bytes;
        take_locked(&s->lists, l->number);
        l->next = dropped;
        dropped = l;
    }
    return dropped;
}

static void add_list(struct slash *s, struct list *l)
{
    pthread_mutex_lock(&s->lock);
    put_locked(&s->lists, l);
    if (s->newest)
        s->newest->next = l;
    else
        s->oldest = l;
    s->newest = l;
    s->list_bytes += l->bytes;
    struct list *dropped = drop_oldest_locked(s);
    pthread_mutex_unlock(&s->lock);
    while (dropped) {
        struct list *next = dropped->next;
        list_free(dropped);
        dropped = next;
    }
}

/* The buttons of a page; ids has room for three of them. */
static void page_buttons(uint64_t number, size_t page, size_t n,
                         char ids[2][64], char place[32],
                         struct reply_button out[3])
{
    snprintf(ids[0], 64, "dbc:page:%" PRIu64 ":%zu", number,
             page ? page - 1 : 0);
    snprintf(ids[1], 64, "dbc:page:%" PRIu64 ":%zu", number, page + 1);
    snprintf(place, 32, "%zu of %zu", page + 1, n);
    out[0] = (struct reply_button){
        .id = page ? ids[0] : "dbc:first",
        .label = "◀",
        .disabled = page == 0,
    };
    out[1] = (struct reply_button){
        .id = "dbc:place",
        .label = place,
        .disabled = true,
    };
    out[2] = (struct reply_button){
        .id = ids[1],
        .label = "▶",
        .disabled = page + 1 >= n,
    };
}

void press_show_list(struct turn *t, struct shown *pages)
{
    struct list *l = xcalloc(1, sizeof(*l));
    AUTO_STR char *first = xstrdup(pages->pages[0]);
    struct reply_button buttons[3];
    char ids[2][64], place[32];

    l->number = draw_number();
    l->user = t->in.user;
    l->shown = *pages;
    *pages = (struct shown){0};
    for (size_t i = 0; i < l->shown.n; i++)
        l->bytes += strlen(l->shown.pages[i]);
    page_buttons(l->number, 0, l->shown.n, ids, place, buttons);
    add_list(t->slash, l);
    turn_answer(t,
                &(struct reply){
                    .content = first,
                    .buttons = buttons,
                    .n_buttons = 3,
                },
                NULL);
}

/* --- pressing ------------------------------------------------------------- */

static void only_them(struct turn *t)
{
    turn_answer_now(t,
                    &(struct reply){
                        .content = "Only who typed the command may press this.",
                    },
                    REPLY_MESSAGE);
}

/* A press that is a yes; counted as a command that waits. */
struct sure {
    struct question *question;
    struct turn *press; /* a reference */
};

static void sure_run(void *arg)
{
    struct sure *sure = arg;

    run_command(sure->question->turn, sure->press);
    question_free(sure->question);
    turn_end(sure->press);
    free(sure);
}

static void answer_question(struct turn *t, uint64_t number, bool yes)
{
    struct slash *s = t->slash;

    pthread_mutex_lock(&s->lock);
    struct question *q = get_locked(&s->questions, number);
    bool theirs = q && q->turn->in.user == t->in.user;
    if (theirs)
        take_locked(&s->questions, number);
    bool stopping = s->stopping;
    s->waiting += theirs && yes && !stopping;
    pthread_mutex_unlock(&s->lock);

    if (!q) {
        turn_answer_now(t,
                        &(struct reply){
                            .content = "This was answered already, or it is "
                                       "too old. Type the command again if it "
                                       "is still wanted.",
                        },
                        REPLY_UPDATE);
    } else if (!theirs) {
        only_them(t);
    } else if (!yes || stopping) {
        turn_answer_now(t,
                        &(struct reply){
                            .content = yes ? "dbcord is being stopped; nothing "
                                             "was done."
                                           : "Nothing was done.",
                        },
                        REPLY_UPDATE);
        question_free(q);
    } else {
        struct sure *sure = xmalloc(sizeof(*sure));
        *sure = (struct sure){q, turn_ref(t)};
        t->is_public = q->turn->is_public;
        turn_answer_now(t, &(struct reply){.content = "Working …"},
                        REPLY_UPDATE);
        turn_tell_progress(t);
        job_run(s->workers, sure_run, sure);
    }
}

static void list_is_over(struct turn *t)
{
    struct json_object *message = NULL;
    AUTO_BUF struct buf content = BUF_INIT;

    json_object_object_get_ex(t->in.json, "message", &message);
    const char *old = message_text(message, "content", NULL);
    if (old && utf16_units(old, strlen(old)) < SHOW_CONTENT_MAX - 100)
        buf_printf(&content, "%s\n", old);
    buf_addstr(&content, "-# The list has ended: type the command again for "
                         "the other pages.");
    turn_answer_now(t, &(struct reply){.content = content.data}, REPLY_UPDATE);
}

static void turn_page(struct turn *t, uint64_t number, uint64_t page)
{
    struct slash *s = t->slash;
    AUTO_STR char *content = NULL;
    struct reply_button buttons[3];
    char ids[2][64], place[32];
    size_t n = 0;

    pthread_mutex_lock(&s->lock);
    const struct list *l = get_locked(&s->lists, number);
    bool theirs = l && l->user == t->in.user;
    if (theirs && page < l->shown.n) {
        content = xstrdup(l->shown.pages[page]);
        n = l->shown.n;
    }
    pthread_mutex_unlock(&s->lock);
    if (l && !theirs) {
        only_them(t);
        return;
    }
    if (!content) {
        list_is_over(t);
        return;
    }
    page_buttons(number, page, n, ids, place, buttons);
    turn_answer_now(t,
                    &(struct reply){
                        .content = content,
                        .buttons = buttons,
                        .n_buttons = 3,
                    },
                    REPLY_UPDATE);
}

static bool parse_number(const char **at, uint64_t *out)
{
    size_t n = strspn(*at, "0123456789");
    bool ok = str_to_u64_n(*at, n, out);

    *at += n;
    return ok;
}

void press_run(void *arg)
{
    struct turn *t = arg;
    const char *id = t->in.custom_id;
    uint64_t number, page;
    bool yes = str_starts(id, "dbc:yes:");
    bool known = false;

    if (!turn_allowed(t)) {
        only_them(t);
        known = true;
    } else if (yes || str_starts(id, "dbc:no:")) {
        id += yes ? 8 : 7;
        known = parse_number(&id, &number) && !*id;
        if (known)
            answer_question(t, number, yes);
    } else if (str_starts(id, "dbc:page:")) {
        id += 9;
        known = parse_number(&id, &number) && *id == ':';
        if (known) {
            id++;
            known = parse_number(&id, &page) && !*id;
        }
        if (known)
            turn_page(t, number, page);
    }
    if (!known)
        turn_answer_now(t,
                        &(struct reply){.content = "This button is not known."},
                        REPLY_MESSAGE);
    turn_unref(t);
}

void press_release(struct slash *s)
{
    struct question *q;
    struct list *l;

    for (size_t at = 0;
         s->questions.type && (q = map_next(&s->questions, &at));)
        question_free(q);
    for (size_t at = 0; s->lists.type && (l = map_next(&s->lists, &at));)
        list_free(l);
    map_release(&s->questions);
    map_release(&s->lists);
}
