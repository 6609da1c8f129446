/* Interactions once they are sent: three seconds for the first answer, a
 * quarter of an hour for what follows.
 *
 *    sent --callback--> answered ---+
 *     |  \--deferral--> loading ----+--edit, followup--> final
 *     |                    |
 *     +--3 s--> dead       +--15 min--> dead
 *
 * The control call that started one is answered when it is final or dead. */
#include "tests/emulator/interactions.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/digest.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/clock.h"
#include "tests/emulator/commands.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/event.h"
#include "tests/emulator/gateway.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/modules.h"
#include "tests/emulator/perm.h"
#include "tests/emulator/route.h"
#include "tests/emulator/user.h"

enum { FIRST_ANSWER_MS = 3000, TOKEN_MS = 15 * 60 * 1000, REMEMBERED = 1000 };

enum callback_type {
    CALLBACK_PONG = 1,
    CALLBACK_MESSAGE = 4,
    CALLBACK_DEFER = 5,
    CALLBACK_DEFER_UPDATE = 6,
    CALLBACK_UPDATE = 7,
    CALLBACK_CHOICES = 8,
    CALLBACK_MODAL = 9,
};

#define REPLY_FLAGS                                                            \
    (MESSAGE_SUPPRESS_EMBEDS | MESSAGE_EPHEMERAL |                             \
     MESSAGE_SUPPRESS_NOTIFICATIONS | MESSAGE_COMPONENTS_V2)

struct interactions {
    struct interaction *list; /* newest first */
    size_t n;
};

void interactions_open(struct emulator *e)
{
    e->interactions = xcalloc(1, sizeof(*e->interactions));
}

static void interaction_free(struct emulator *e, struct interaction *it)
{
    timer_cancel(e, it->timer);
    for (size_t i = 0; i < it->file_count; i++)
        attachment_release(e, &it->files[i]);
    free(it->files);
    id_list_release(&it->followups);
    json_object_put(it->choices);
    json_object_put(it->modal);
    free(it->name);
    free(it);
}

void interactions_close(struct emulator *e)
{
    if (!e->interactions)
        return;
    for (struct interaction *it = e->interactions->list, *next; it; it = next) {
        next = it->next;
        interaction_free(e, it);
    }
    free(e->interactions);
    e->interactions = NULL;
}

static struct interaction *interaction_new(struct emulator *e, uint64_t guild,
                                           uint64_t user)
{
    struct interaction *it = xcalloc(1, sizeof(*it));
    unsigned char secret[32];

    if (getrandom(secret, sizeof(secret), 0) != (ssize_t)sizeof(secret))
        abort();
    hex_of(secret, sizeof(secret), it->token);
    it->id = snowflake_new(e);
    it->guild_id = guild;
    it->user_id = user;
    it->born = emulator_now(e);
    it->name = xstrdup("");
    return it;
}

/* Old ones are known by their token for a while, for the right error. */
static void forget_oldest(struct emulator *e)
{
    struct interactions *is = e->interactions;
    struct interaction **last = &is->list;

    while ((*last)->next)
        last = &(*last)->next;
    if (!(*last)->dead)
        return;
    interaction_free(e, *last);
    *last = NULL;
    is->n--;
}

static void remember(struct emulator *e, struct interaction *it)
{
    struct interactions *is = e->interactions;

    it->next = is->list;
    is->list = it;
    if (++is->n > REMEMBERED)
        forget_oldest(e);
}

static struct interaction *by_token(struct emulator *e, const char *token)
{
    for (struct interaction *it = e->interactions->list; it; it = it->next) {
        if (strcmp(it->token, token) == 0)
            return it;
    }
    return NULL;
}

/* --- what the person is told --- */

static void add_message(struct emulator *e, const struct interaction *it,
                        uint64_t id, json_object *list)
{
    const struct message *m = id ? message_find(e, it->channel_id, id) : NULL;

    if (m)
        json_object_array_add(list, message_full_json(e, m));
}

/* Answers the call that waits; failed NULL: all went well. */
static void finish(struct emulator *e, struct interaction *it,
                   const char *failed)
{
    struct call *c = it->waiting;

    if (!c)
        return;
    it->waiting = NULL;
    json_object *o = json_object_new_object();
    json_object *messages = json_object_new_array();
    add_message(e, it, it->original_id, messages);
    for (size_t i = 0; i < it->followups.n; i++)
        add_message(e, it, it->followups.at[i], messages);
    json_object_object_add(o, "id", snowflake_json(it->id));
    json_object_object_add(o, "messages", messages);
    json_object_object_add(o, "choices",
                           it->choices ? json_object_get(it->choices)
                                       : json_object_new_array());
    if (it->modal)
        json_object_object_add(o, "modal", json_object_get(it->modal));
    if (failed)
        json_object_object_add(o, "failed", json_object_new_string(failed));
    call_json(c, 200, o);
}

static void on_old(struct emulator *e, void *arg)
{
    struct interaction *it = arg;

    it->timer = NULL;
    it->dead = true;
    finish(e, it, "did not finish within 15 minutes");
}

static void on_unanswered(struct emulator *e, void *arg)
{
    struct interaction *it = arg;

    it->timer = NULL;
    it->dead = true;
    finish(e, it, "did not respond");
}

/* --- POST /emulator/interactions --- */

static struct guild *guild_said(struct call *c, json_object *body)
{
    json_object *id = json_object_object_get(body, "guild_id");
    struct guild *g = id ? guild_find(c->e, snowflake_of(id))
                      : c->e->guild_count > 0 ? c->e->guilds[0]
                                              : NULL;

    if (!g)
        call_unknown(c, 10004, "guild");
    return g;
}

static const char *locale_said(json_object *body)
{
    json_object *v = json_object_object_get(body, "locale");

    return v ? json_object_get_string(v) : "en-US";
}

static void send_interaction(struct call *c, json_object *body)
{
    struct emulator *e = c->e;
    struct guild *g = guild_said(c, body);
    struct member *actor = g ? interaction_actor(c, g, body) : NULL;

    if (!actor)
        return;
    struct interaction *it = interaction_new(e, g->id, actor->user_id);
    json_object *data = interaction_data(c, it, body);
    if (!data) {
        interaction_free(e, it);
        return;
    }
    remember(e, it);
    it->waiting = c;
    it->timer = timer_at(e, it->born + FIRST_ANSWER_MS, on_unanswered, it);

    json_object *payload = interaction_payload(e, it, data, locale_said(body));
    event_dispatch(e, "INTERACTION_CREATE", it->guild_id, it->channel_id,
                   payload);
    json_object_put(payload);
}

static void post_interaction(struct call *c)
{
    json_object *body = control_object(c);

    if (!body)
        return;
    send_interaction(c, body);
    json_object_put(body);
}

/* --- the first answer --- */

static json_object *metadata(struct emulator *e, const struct interaction *it)
{
    json_object *o = json_object_new_object();
    json_object *owners = json_object_new_object();
    const struct user *u = user_find(e, it->user_id);

    json_object_object_add(owners, "0", snowflake_json(it->guild_id));
    json_object_object_add(o, "id", snowflake_json(it->id));
    json_object_object_add(o, "type", json_object_new_int((int)it->type));
    if (u)
        json_object_object_add(o, "user", user_json(u));
    json_object_object_add(o, "authorizing_integration_owners", owners);
    if (it->type == INTERACTION_COMMAND) {
        json_object_object_add(o, "name", json_object_new_string(it->name));
        json_object_object_add(o, "command_type",
                               json_object_new_int(COMMAND_CHAT));
    }
    if (it->type == INTERACTION_COMPONENT)
        json_object_object_add(o, "interacted_message_id",
                               snowflake_json(it->source_id));
    return o;
}

/* A message of the application by this interaction, not yet inserted. A reply
 * to what is shown, unless that is ephemeral. */
static struct message *
reply_draft(struct emulator *e, const struct interaction *it, uint64_t shown_id)
{
    const struct channel *ch = channel_find(e, it->channel_id);
    const struct message *shown =
        shown_id ? message_find(e, ch->id, shown_id) : NULL;
    struct message *m = message_draft(
        ch, e->bot->id,
        it->type == INTERACTION_COMMAND && !shown_id ? MESSAGE_COMMAND
                                                     : MESSAGE_DEFAULT);

    if (shown && !shown->ephemeral_to) {
        m->type = MESSAGE_REPLY;
        m->ref_message = shown->id;
        m->ref_channel = ch->id;
    }
    m->application_id = e->app->id;
    m->webhook_id = e->app->id;
    m->interaction_metadata = metadata(e, it);
    return m;
}

/* A loading message has no text yet; everything else goes by its rules. */
static struct message_rules reply_rules(const char *at, bool edit)
{
    return (struct message_rules){
        .edit = edit,
        .at = at,
        .flags = edit ? MESSAGE_SUPPRESS_EMBEDS | MESSAGE_COMPONENTS_V2
                      : REPLY_FLAGS,
        .default_users_only = true,
        .permissions = PERM_ALL,
    };
}

static void insert_reply(struct emulator *e, const struct interaction *it,
                         struct message *m)
{
    if (m->flags & MESSAGE_EPHEMERAL)
        m->ephemeral_to = it->user_id;
    message_insert(e, m);
}

static bool callback_message(struct call *c, struct interaction *it,
                             json_object *data)
{
    struct message *m = reply_draft(c->e, it, it->source_id);
    struct message_rules rules = reply_rules("data", false);

    if (!message_body_apply(c, data, m, &rules)) {
        message_draft_free(m);
        return false;
    }
    insert_reply(c->e, it, m);
    it->original_id = m->id;
    return true;
}

static bool callback_defer(struct call *c, struct interaction *it,
                           json_object *data)
{
    struct message *m = reply_draft(c->e, it, it->source_id);
    json_object *flags = data ? json_object_object_get(data, "flags") : NULL;

    m->flags = MESSAGE_LOADING;
    if ((uint32_t)json_object_get_int(flags) & MESSAGE_EPHEMERAL)
        m->flags |= MESSAGE_EPHEMERAL;
    insert_reply(c->e, it, m);
    it->original_id = m->id;
    it->loading = true;
    return true;
}

static bool callback_update(struct call *c, struct interaction *it,
                            json_object *data)
{
    struct message *m = message_find(c->e, it->channel_id, it->source_id);
    struct message_rules rules = reply_rules("data", true);

    if (!m) {
        call_unknown(c, 10008, "message");
        return false;
    }
    if (data && !message_body_apply(c, data, m, &rules))
        return false;
    m->edited_at = emulator_now(c->e);
    message_changed(c->e, m);
    it->original_id = m->id;
    return true;
}

static bool choice_fits(json_object *value, int type)
{
    if (type == OPTION_INTEGER)
        return json_object_is_type(value, json_type_int);
    if (type == OPTION_NUMBER)
        return json_object_is_type(value, json_type_int) ||
               json_object_is_type(value, json_type_double);
    return json_object_is_type(value, json_type_string);
}

static void check_choice(struct form *f, json_object *choice, const char *at,
                         int type)
{
    char path[FORM_PATH_SIZE];
    json_object *value = json_object_object_get(choice, "value");
    const char *text;

    if (field_string(f, choice, at, "name", 1, 100, &text) == FIELD_ABSENT)
        form_error(f, form_path(path, at, "name"), "BASE_TYPE_REQUIRED",
                   "This field is required");
    if (!value)
        form_error(f, form_path(path, at, "value"), "BASE_TYPE_REQUIRED",
                   "This field is required");
    else if (!choice_fits(value, type))
        form_error(f, form_path(path, at, "value"),
                   "APPLICATION_COMMAND_OPTIONS_CHOICE_TYPE_INVALID",
                   "The choice's value is not of the option's type");
    else if (json_object_is_type(value, json_type_string))
        field_string(f, choice, at, "value", 0, 100, &text);
}

static bool callback_choices(struct call *c, struct interaction *it,
                             json_object *data)
{
    struct form f = FORM_INIT;
    json_object *choices = NULL;
    char at[FORM_PATH_SIZE];

    switch (field_array(&f, data, "data", "choices", 25, &choices)) {
    case FIELD_ABSENT:
    case FIELD_NULL:
        form_error(&f, "data.choices", "BASE_TYPE_REQUIRED",
                   "This field is required");
        break;
    case FIELD_BAD:
        break;
    case FIELD_OK:
        for (size_t i = 0; i < json_object_array_length(choices); i++)
            check_choice(&f, json_object_array_get_idx(choices, i),
                         form_index(at, "data.choices", i), it->focused_type);
        break;
    }
    if (form_failed(&f)) {
        call_form(c, &f);
        return false;
    }
    it->choices = json_object_get(choices);
    return true;
}

static bool callback_modal(struct call *c, struct interaction *it,
                           json_object *data)
{
    static const char *const texts[] = {"custom_id", "title"};
    static const size_t most[] = {100, 45};
    struct form f = FORM_INIT;
    char path[FORM_PATH_SIZE];
    json_object *list;
    const char *s;

    for (int i = 0; i < 2; i++) {
        enum field r = field_string(&f, data, "data", texts[i], 1, most[i], &s);
        if (r == FIELD_ABSENT || r == FIELD_NULL)
            form_error(&f, form_path(path, "data", texts[i]),
                       "BASE_TYPE_REQUIRED", "This field is required");
    }
    enum field r = field_array(&f, data, "data", "components", 40, &list);
    if (r != FIELD_BAD &&
        (r != FIELD_OK || json_object_array_length(list) == 0))
        form_error(&f, "data.components", "BASE_TYPE_BAD_LENGTH",
                   "Must be between 1 and 40 in length.");
    if (form_failed(&f)) {
        call_form(c, &f);
        return false;
    }
    it->modal = json_object_get(data);
    return true;
}

/* Which answers fit which question. */
static bool callback_fits(const struct interaction *it, int64_t type)
{
    switch (type) {
    case CALLBACK_MESSAGE:
    case CALLBACK_DEFER:
        return it->type != INTERACTION_AUTOCOMPLETE;
    case CALLBACK_DEFER_UPDATE:
    case CALLBACK_UPDATE:
        return it->source_id != 0;
    case CALLBACK_CHOICES:
        return it->type == INTERACTION_AUTOCOMPLETE;
    case CALLBACK_MODAL:
        return it->type == INTERACTION_COMMAND ||
               it->type == INTERACTION_COMPONENT;
    default:
        return false;
    }
}

/* False: the call was answered with what is wrong. */
static bool callback_apply(struct call *c, struct interaction *it, int64_t type,
                           json_object *data)
{
    bool need = type == CALLBACK_MESSAGE || type == CALLBACK_CHOICES ||
                type == CALLBACK_MODAL;

    if (need && !data) {
        call_form_error(c, "data", "BASE_TYPE_REQUIRED",
                        "This field is required");
        return false;
    }
    switch (type) {
    case CALLBACK_MESSAGE:
        return callback_message(c, it, data);
    case CALLBACK_DEFER:
        return callback_defer(c, it, data);
    case CALLBACK_DEFER_UPDATE:
        it->original_id = it->source_id;
        it->loading = true;
        return true;
    case CALLBACK_UPDATE:
        return callback_update(c, it, data);
    case CALLBACK_CHOICES:
        return callback_choices(c, it, data);
    default:
        return callback_modal(c, it, data);
    }
}

static void answer_callback(struct call *c, const struct interaction *it,
                            int64_t type)
{
    const struct message *m =
        it->original_id ? message_find(c->e, it->channel_id, it->original_id)
                        : NULL;
    bool bad = false;

    if (!request_query_bool(&c->req, "with_response", false, &bad)) {
        call_empty(c);
        return;
    }
    json_object *o = json_object_new_object();
    json_object *about = json_object_new_object();
    json_object_object_add(about, "id", snowflake_json(it->id));
    json_object_object_add(about, "type", json_object_new_int((int)it->type));
    json_object_object_add(about, "guild_id", snowflake_json(it->guild_id));
    json_object_object_add(about, "channel_id", snowflake_json(it->channel_id));
    json_object_object_add(o, "interaction", about);
    if (m) {
        bool update = m->id == it->source_id;
        json_object *resource = json_object_new_object();
        json_object_object_add(about, "response_message_id",
                               snowflake_json(m->id));
        json_object_object_add(
            about, "response_message_loading",
            json_object_new_boolean((m->flags & MESSAGE_LOADING) != 0));
        json_object_object_add(about, "response_message_ephemeral",
                               json_object_new_boolean(m->ephemeral_to != 0));
        json_object_object_add(
            resource, "type",
            json_object_new_int(update ? CALLBACK_UPDATE : CALLBACK_MESSAGE));
        json_object_object_add(resource, "message", message_json(c->e, m));
        if (type != CALLBACK_DEFER_UPDATE)
            json_object_object_add(o, "resource", resource);
        else
            json_object_put(resource);
    }
    call_json(c, 200, o);
}

static void post_callback(struct call *c)
{
    struct emulator *e = c->e;
    struct interaction *it = by_token(e, c->args[1]);
    struct form f = FORM_INIT;
    json_object *data = NULL;
    int64_t type = 0;

    if (!it || it->id != c->ids[0] || (it->dead && !it->acked)) {
        call_unknown(c, 10062, "interaction");
        return;
    }
    if (it->acked) {
        call_error(c, 400, 40060, "Interaction has already been acknowledged.");
        return;
    }
    if (!json_object_is_type(c->req.json, json_type_object)) {
        call_form_error(c, "", "MODEL_TYPE_CONVERT",
                        "Only dictionaries may be used in a ModelType");
        return;
    }
    enum field r = field_int(&f, c->req.json, "", "type", 1, 12, &type);
    if (r == FIELD_ABSENT || r == FIELD_NULL)
        form_error(&f, "type", "BASE_TYPE_REQUIRED", "This field is required");
    field_object(&f, c->req.json, "", "data", &data);
    if (!form_failed(&f) && !callback_fits(it, type))
        form_error(&f, "type", "INTERACTION_RESPONSE_TYPE_INVALID",
                   "This interaction cannot be answered with type %lld",
                   (long long)type);
    if (form_failed(&f)) {
        call_form(c, &f);
        return;
    }
    if (!callback_apply(c, it, type, data))
        return;

    it->acked = true;
    timer_cancel(e, it->timer);
    it->timer = timer_at(e, it->born + TOKEN_MS, on_old, it);
    answer_callback(c, it, type);
    if (!it->loading)
        finish(e, it, NULL);
}

/* --- what follows, by the token --- */

/* The interaction of a webhook path. NULL: answered. */
static struct interaction *webhook_of(struct call *c)
{
    struct interaction *it =
        c->ids[0] == c->e->app->id ? by_token(c->e, c->args[1]) : NULL;

    if (it && it->dead && it->acked) {
        call_error(c, 401, 50027, "Invalid Webhook Token");
        return NULL;
    }
    /* Until it is answered an interaction has no webhook. */
    if (!it || !it->acked) {
        call_unknown(c, 10015, "Webhook");
        return NULL;
    }
    if (!channel_find(c->e, it->channel_id)) {
        call_unknown(c, 10003, "channel");
        return NULL;
    }
    return it;
}

/* The message of the path, @original or an id, which must be this
 * interaction's. NULL: answered. */
static struct message *webhook_message(struct call *c, struct interaction *it,
                                       bool original)
{
    uint64_t id = original ? it->original_id : c->ids[2];
    struct message *m = NULL;

    if (id && (id == it->original_id || id_list_has(&it->followups, id)))
        m = message_find(c->e, it->channel_id, id);
    if (!m)
        call_unknown(c, 10008, "message");
    return m;
}

static void get_message(struct call *c, bool original)
{
    struct interaction *it = webhook_of(c);
    const struct message *m = it ? webhook_message(c, it, original) : NULL;

    if (m)
        call_json(c, 200, message_json(c->e, m));
}

/* The promise of a deferral is kept. */
static void loaded(struct emulator *e, struct interaction *it)
{
    if (!it->loading)
        return;
    it->loading = false;
    finish(e, it, NULL);
}

/* Edits m with the request's body, and answers. */
static void apply_edit(struct call *c, struct interaction *it,
                       struct message *m)
{
    struct message_rules rules = reply_rules("", true);
    bool was_loading = (m->flags & MESSAGE_LOADING) != 0;
    bool first = m->id == it->original_id;
    struct emulator *e = c->e;

    if (!message_body_apply(c, c->req.json, m, &rules))
        return;
    m->flags &= ~MESSAGE_LOADING;
    if (!was_loading)
        m->edited_at = emulator_now(e);
    message_changed(e, m);
    call_json(c, 200, message_json(e, m));
    if (first)
        loaded(e, it);
}

static void patch_message(struct call *c, bool original)
{
    struct interaction *it = webhook_of(c);
    struct message *m = it ? webhook_message(c, it, original) : NULL;

    if (m)
        apply_edit(c, it, m);
}

static void delete_message(struct call *c, bool original)
{
    struct emulator *e = c->e;
    struct interaction *it = webhook_of(c);
    struct message *m = it ? webhook_message(c, it, original) : NULL;

    if (!m)
        return;
    bool first = m->id == it->original_id;
    id_list_drop(&it->followups, m->id);
    message_remove(e, m);
    if (first)
        it->original_id = 0;
    call_empty(c);
    if (first)
        loaded(e, it);
}

static void post_followup(struct call *c)
{
    struct emulator *e = c->e;
    struct interaction *it = webhook_of(c);

    if (!it)
        return;
    struct message *first =
        it->original_id ? message_find(e, it->channel_id, it->original_id)
                        : NULL;
    /* Deprecated and still so: it takes the place of the loading message. */
    if (first && (first->flags & MESSAGE_LOADING)) {
        apply_edit(c, it, first);
        return;
    }
    struct message *m = reply_draft(e, it, it->original_id);
    struct message_rules rules = reply_rules("", false);
    if (!message_body_apply(c, c->req.json, m, &rules)) {
        message_draft_free(m);
        return;
    }
    insert_reply(e, it, m);
    id_list_add(&it->followups, m->id);
    call_json(c, 200, message_json(e, m));
    loaded(e, it);
}

/* --- the table --- */

#define BOTH(verb)                                                             \
    static void verb##_original(struct call *c)                                \
    {                                                                          \
        verb(c, true);                                                         \
    }                                                                          \
    static void verb##_by_id(struct call *c)                                   \
    {                                                                          \
        verb(c, false);                                                        \
    }

BOTH(get_message)
BOTH(patch_message)
BOTH(delete_message)

static const struct bucket followups = {"webhook", 5, 2000, false};

#define OPEN (ROUTE_NO_AUTH | ROUTE_NO_GLOBAL)
#define CALLBACK "/interactions/{interaction.id}/{interaction.token}/callback"
#define WEBHOOK "/webhooks/{webhook.id}/{webhook.token}"

const struct route interaction_routes[] = {
    {"POST", "/emulator/interactions", post_interaction, NULL, NULL,
     ROUTE_CONTROL},
    {"POST", CALLBACK, post_callback, NULL, NULL, OPEN},
    {"POST", WEBHOOK, post_followup, &followups, NULL, OPEN},
    {"GET", WEBHOOK "/messages/@original", get_message_original, &followups,
     NULL, OPEN},
    {"PATCH", WEBHOOK "/messages/@original", patch_message_original, &followups,
     NULL, OPEN},
    {"DELETE", WEBHOOK "/messages/@original", delete_message_original,
     &followups, NULL, OPEN},
    {"GET", WEBHOOK "/messages/{message.id}", get_message_by_id, &followups,
     NULL, OPEN},
    {"PATCH", WEBHOOK "/messages/{message.id}", patch_message_by_id, &followups,
     NULL, OPEN},
    {"DELETE", WEBHOOK "/messages/{message.id}", delete_message_by_id,
     &followups, NULL, OPEN},
    {NULL},
};
