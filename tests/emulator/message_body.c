/* A body that creates or edits a message. Everything is checked into a plan
 * first; only a plan without errors touches the message. */
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "tests/emulator/channel.h"
#include "tests/emulator/content.h"
#include "tests/emulator/embed.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/error.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/http.h"
#include "tests/emulator/message.h"
#include "tests/emulator/perm.h"

enum {
    CONTENT_MAX = 2000,
    EMBEDS_MAX = 10,
    FILES_MAX = 10,
    FILE_BYTES_MAX = 10 * 1024 * 1024,
    FILE_NAME_MAX = 1024,
};

/* One attachment the message will have: kept, or of a file. */
struct slot {
    const struct attachment *kept; /* or NULL */
    const struct http_part *file;  /* or NULL */
    const char *filename;          /* where the body names it anew */
    const char *title, *description;
    bool spoiler, spoiler_given;
};

struct allowed {
    bool given, users, roles, everyone, replied;
    struct id_list user_ids, role_ids;
};

struct plan {
    struct form f;
    char *content; /* NULL: as before */
    struct json_object *embeds;
    bool embeds_given;
    struct json_object *components;
    bool components_given;
    uint32_t flags;
    struct slot slots[FILES_MAX];
    size_t slot_count;
    bool files_given;
    struct allowed allowed;
};

static void plan_release(struct plan *p)
{
    form_release(&p->f);
    free(p->content);
    json_object_put(p->embeds);
    json_object_put(p->components);
    id_list_release(&p->allowed.user_ids);
    id_list_release(&p->allowed.role_ids);
}

static void read_content(struct plan *p, struct json_object *body,
                         const char *at)
{
    const char *s;
    switch (field_string(&p->f, body, at, "content", 0, CONTENT_MAX, &s)) {
    case FIELD_OK:
        p->content = content_clean(s);
        break;
    case FIELD_NULL:
        p->content = xstrdup("");
        break;
    default:
        break;
    }
}

static void read_flags(struct plan *p, struct json_object *body,
                       const struct message *m,
                       const struct message_rules *rules)
{
    int64_t v;
    p->flags = m->flags;
    if (field_int(&p->f, body, rules->at, "flags", 0, UINT32_MAX, &v) !=
        FIELD_OK)
        return;
    /* What may not be set is ignored. Components v2 stays once it is set. */
    uint32_t settable = rules->flags, wanted = (uint32_t)v & settable;
    if (m->flags & MESSAGE_COMPONENTS_V2)
        wanted |= settable & MESSAGE_COMPONENTS_V2;
    p->flags = (m->flags & ~settable) | wanted;
}

static void read_embeds(struct plan *p, struct json_object *body,
                        const char *at)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE];
    enum field got = field_array(&p->f, body, at, "embeds", EMBEDS_MAX, &list);
    p->embeds_given = got == FIELD_OK || got == FIELD_NULL;
    if (got == FIELD_OK)
        p->embeds = embeds_take(&p->f, list, form_path(path, at, "embeds"));
}

static void read_components(struct plan *p, struct json_object *body,
                            const char *at)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE];
    enum field got = field_array(&p->f, body, at, "components", 40, &list);
    p->components_given = got == FIELD_OK || got == FIELD_NULL;
    if (got == FIELD_OK)
        p->components =
            components_take(&p->f, list, form_path(path, at, "components"),
                            p->flags & MESSAGE_COMPONENTS_V2);
}

static void read_id_list(struct form *f, struct json_object *o, const char *at,
                         const char *key, struct id_list *out)
{
    struct json_object *list;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];
    if (field_array(f, o, at, key, 100, &list) != FIELD_OK)
        return;
    form_path(path, at, key);
    for (size_t i = 0; i < json_object_array_length(list); i++) {
        struct json_object *v = json_object_array_get_idx(list, i);
        uint64_t id = snowflake_of(v);
        if (id)
            id_list_put(out, id);
        else
            form_error(f, form_index(each, path, i), "NUMBER_TYPE_COERCE",
                       "Value \"%.100s\" is not snowflake.",
                       json_object_get_string(v));
    }
}

static void read_allowed(struct plan *p, struct json_object *body,
                         const struct message_rules *rules)
{
    struct allowed *a = &p->allowed;
    struct json_object *o, *parse;
    char at[FORM_PATH_SIZE], path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];

    if (field_object(&p->f, body, rules->at, "allowed_mentions", &o) !=
        FIELD_OK) {
        a->users = true;
        a->replied = true;
        a->roles = a->everyone = !rules->default_users_only;
        return;
    }
    a->given = true;
    form_path(at, rules->at, "allowed_mentions");
    if (field_array(&p->f, o, at, "parse", 3, &parse) == FIELD_OK) {
        form_path(path, at, "parse");
        for (size_t i = 0; i < json_object_array_length(parse); i++) {
            struct json_object *v = json_object_array_get_idx(parse, i);
            const char *s = v ? json_object_get_string(v) : "";
            if (strcmp(s, "users") == 0)
                a->users = true;
            else if (strcmp(s, "roles") == 0)
                a->roles = true;
            else if (strcmp(s, "everyone") == 0)
                a->everyone = true;
            else
                form_error(&p->f, form_index(each, path, i),
                           "BASE_TYPE_CHOICES",
                           "Value must be one of ('users', 'roles', "
                           "'everyone').");
        }
    }
    read_id_list(&p->f, o, at, "users", &a->user_ids);
    read_id_list(&p->f, o, at, "roles", &a->role_ids);
    field_bool(&p->f, o, at, "replied_user", &a->replied);
    if ((a->users && a->user_ids.n) || (a->roles && a->role_ids.n))
        form_error(&p->f, at, "MESSAGE_ALLOWED_MENTIONS_PARSE_EXCLUSIVE",
                   "parse:[\"%s\"] and %s: [ids...] are mutually exclusive.",
                   a->users && a->user_ids.n ? "users" : "roles",
                   a->users && a->user_ids.n ? "users" : "roles");
}

/* --- files --- */

static const char *slot_name(const struct slot *s)
{
    return s->filename && *s->filename ? s->filename : s->file->filename;
}

static bool slot_used(const struct plan *p, const struct http_part *file)
{
    for (size_t i = 0; i < p->slot_count; i++)
        if (p->slots[i].file == file)
            return true;
    return false;
}

static bool slot_keeps(const struct plan *p, const struct attachment *kept)
{
    for (size_t i = 0; i < p->slot_count; i++)
        if (p->slots[i].kept == kept)
            return true;
    return false;
}

static void read_slot(struct plan *p, struct call *c, struct json_object *o,
                      const char *at, const struct message *m, bool edit)
{
    struct slot s = {0};
    uint64_t id = 0;
    char path[FORM_PATH_SIZE];

    if (field_id(&p->f, o, at, "id", &id) == FIELD_ABSENT) {
        form_error(&p->f, form_path(path, at, "id"), "BASE_TYPE_REQUIRED",
                   "This field is required");
        return;
    }
    for (size_t i = 0; edit && i < m->attachment_count; i++)
        if (m->attachments[i].id == id)
            s.kept = &m->attachments[i];
    if (!s.kept && id <= UINT32_MAX)
        s.file = request_file(&c->req, (unsigned)id);
    if ((!s.kept && !s.file) || (s.file && slot_used(p, s.file)) ||
        (s.kept && slot_keeps(p, s.kept))) {
        form_error(&p->f, form_path(path, at, "id"), "ATTACHMENT_NOT_FOUND",
                   "Attachment not found.");
        return;
    }
    field_string(&p->f, o, at, "filename", 0, FILE_NAME_MAX, &s.filename);
    field_string(&p->f, o, at, "title", 0, 1024, &s.title);
    field_string(&p->f, o, at, "description", 0, 1024, &s.description);
    s.spoiler_given =
        field_bool(&p->f, o, at, "is_spoiler", &s.spoiler) == FIELD_OK;
    p->slots[p->slot_count++] = s;
}

/* False: the call was answered. */
static bool read_files(struct plan *p, struct call *c, struct json_object *body,
                       const struct message *m,
                       const struct message_rules *rules)
{
    const struct http_request *r = &c->req;
    struct json_object *list = NULL;
    char path[FORM_PATH_SIZE], each[FORM_PATH_SIZE];
    enum field got =
        field_array(&p->f, body, rules->at, "attachments", FILES_MAX, &list);
    size_t files = 0;

    for (size_t i = 0; i < r->part_count; i++) {
        if (!r->parts[i].filename)
            continue;
        files++;
        if (r->parts[i].len > FILE_BYTES_MAX) {
            call_error(c, 413, 40005, "Request entity too large");
            return false;
        }
        if (strlen(r->parts[i].filename) > FILE_NAME_MAX)
            form_error(&p->f, r->parts[i].name, "BASE_TYPE_MAX_LENGTH",
                       "Must be %d or fewer in length.", FILE_NAME_MAX);
        for (size_t k = 0; k < i; k++)
            if (strcmp(r->parts[k].name, r->parts[i].name) == 0)
                form_error(&p->f, r->parts[i].name, "BASE_TYPE_DUPLICATE",
                           "The name of each file must be unique.");
    }
    if (files > FILES_MAX) {
        call_error(c, 400, 30015,
                   "Maximum number of attachments in a message reached (10)");
        return false;
    }

    p->files_given = files || got == FIELD_OK || got == FIELD_NULL;
    form_path(path, rules->at, "attachments");
    for (size_t i = 0; got == FIELD_OK && i < json_object_array_length(list);
         i++)
        read_slot(p, c, json_object_array_get_idx(list, i),
                  form_index(each, path, i), m, rules->edit);
    for (size_t i = 0; i < r->part_count; i++) {
        if (!r->parts[i].filename || slot_used(p, &r->parts[i]))
            continue;
        if (p->slot_count == FILES_MAX) {
            call_error(c, 400, 30015,
                       "Maximum number of attachments in a message reached "
                       "(10)");
            return false;
        }
        p->slots[p->slot_count++] = (struct slot){.file = &r->parts[i]};
    }
    return true;
}

static bool has_file_named(const struct plan *p, const struct message *m,
                           const char *name)
{
    for (size_t i = 0; !p->files_given && i < m->attachment_count; i++)
        if (strcmp(m->attachments[i].filename, name) == 0)
            return true;
    for (size_t i = 0; i < p->slot_count; i++) {
        const struct slot *s = &p->slots[i];
        AUTO_STR char *own = s->kept ? xstrdup(s->kept->filename)
                                     : file_name_normalize(slot_name(s));
        if (strcmp(own, name) == 0)
            return true;
    }
    return false;
}

/* A component that shows a file does so by the name the file has here, which
 * need not be the one it was sent with. */
static void check_file_links(struct plan *p, const struct message *m,
                             struct json_object *o, const char *at)
{
    char path[FORM_PATH_SIZE];

    if (json_object_is_type(o, json_type_array)) {
        for (size_t i = 0; i < json_object_array_length(o); i++)
            check_file_links(p, m, json_object_array_get_idx(o, i),
                             form_index(path, at, i));
        return;
    }
    if (!json_object_is_type(o, json_type_object))
        return;
    json_object_object_foreach(o, key, v)
    {
        const char *url =
            strcmp(key, "url") == 0 ? json_object_get_string(v) : NULL;
        form_path(path, at, key);
        if (!url)
            check_file_links(p, m, v, path);
        else if (str_starts(url, "attachment://") &&
                 !has_file_named(p, m, url + strlen("attachment://")))
            form_error(&p->f, path,
                       "UNFURLED_MEDIA_ITEM_REFERENCED_ATTACHMENT_NOT_FOUND",
                       "The referenced attachment was not found");
    }
}

/* What a browser would be told, by the name, where the client did not say. */
static const char *guess_type(const char *name)
{
    static const struct {
        const char *end, *type;
    } known[] = {{".json", "application/json; charset=utf-8"},
                 {".txt", "text/plain; charset=utf-8"},
                 {".csv", "text/csv; charset=utf-8"},
                 {".png", "image/png"},
                 {".jpg", "image/jpeg"},
                 {".gif", "image/gif"},
                 {".webp", "image/webp"},
                 {".gz", "application/gzip"},
                 {".zip", "application/zip"}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (str_ends(name, known[i].end))
            return known[i].type;
    return "application/octet-stream";
}

static void set_text(char **at, const char *s)
{
    if (!s)
        return;
    free(*at);
    *at = *s ? xstrdup(s) : NULL;
}

static void apply_files(struct plan *p, struct call *c, struct message *m)
{
    struct emulator *e = c->e;
    const struct channel *ch = channel_find(e, m->channel_id);
    struct attachment *next = xcalloc(p->slot_count, sizeof *next);

    for (size_t i = 0; i < p->slot_count; i++) {
        const struct slot *s = &p->slots[i];
        if (s->kept) {
            size_t k = (size_t)(s->kept - m->attachments);
            next[i] = m->attachments[k];
            m->attachments[k].id = 0; /* moved */
        } else {
            const char *name = slot_name(s);
            const char *type = s->file->content_type;
            next[i] = attachment_new(e, ch, name,
                                     type && *type ? type : guess_type(name),
                                     s->file->data, s->file->len);
            set_text(&next[i].title, s->title);
        }
        set_text(&next[i].description, s->description);
        if (s->spoiler_given)
            next[i].spoiler = s->spoiler;
    }
    for (size_t i = 0; i < m->attachment_count; i++)
        if (m->attachments[i].id)
            attachment_release(e, &m->attachments[i]);
    free(m->attachments);
    m->attachments = next;
    m->attachment_count = p->slot_count;
}

/* --- mentions --- */

static void apply_mentions(struct plan *p, struct call *c, struct message *m,
                           const struct message_rules *rules)
{
    const struct allowed *a = &p->allowed;
    struct emulator *e = c->e;
    const struct channel *ch = channel_find(e, m->channel_id);
    const struct guild *g = channel_guild(e, ch);
    bool all = rules->permissions & PERM_MENTION_EVERYONE;
    size_t at = 0;
    uint64_t id;

    m->mentions.n = m->mention_roles.n = 0;
    m->mention_everyone = false;
    for (enum mention k; (k = content_mention(m->content, &at, &id));) {
        if (k == MENTION_EVERYONE) {
            m->mention_everyone |= a->everyone && all;
        } else if (k == MENTION_ROLE) {
            const struct role *r = guild_role(g, id);
            if (r && (r->mentionable || all) &&
                (a->roles || id_list_has(&a->role_ids, id)))
                id_list_put(&m->mention_roles, id);
        } else if (guild_member(g, id) &&
                   (a->users || id_list_has(&a->user_ids, id))) {
            id_list_put(&m->mentions, id);
        }
    }

    const struct message *to =
        m->type == MESSAGE_REPLY
            ? message_find(e, m->ref_channel, m->ref_message)
            : NULL;
    if (to && a->replied)
        id_list_put(&m->mentions, to->author_id);
}

/* --- all of it --- */

/* Whether anything will be left to see. */
static bool is_empty(const struct plan *p, const struct message *m)
{
    bool content = p->content ? *p->content != '\0' : *m->content != '\0';
    struct json_object *e = p->embeds_given ? p->embeds : m->embeds;
    struct json_object *k = p->components_given ? p->components : m->components;
    size_t files = p->files_given ? p->slot_count : m->attachment_count;
    /* There, files show only where a component shows them. */
    if (p->flags & MESSAGE_COMPONENTS_V2)
        files = 0;
    return !content && !files && !(e && json_object_array_length(e)) &&
           !(k && json_object_array_length(k)) && !m->reference_type;
}

static bool checked(struct plan *p, struct call *c, struct json_object *body,
                    struct message *m, const struct message_rules *rules)
{
    char path[FORM_PATH_SIZE];

    if (body && !json_object_is_type(body, json_type_object)) {
        form_error(&p->f, rules->at, "MODEL_TYPE_CONVERT",
                   "Only dictionaries may be used in a ModelType");
        call_form(c, &p->f);
        return false;
    }
    read_flags(p, body, m, rules);
    read_content(p, body, rules->at);
    read_embeds(p, body, rules->at);
    read_components(p, body, rules->at);
    read_allowed(p, body, rules);
    if (!read_files(p, c, body, m, rules))
        return false;

    if (p->components_given)
        check_file_links(p, m, p->components,
                         form_path(path, rules->at, "components"));

    bool v2 = p->flags & MESSAGE_COMPONENTS_V2;
    const char *content = p->content ? p->content : m->content;
    struct json_object *embeds = p->embeds_given ? p->embeds : m->embeds;
    if (v2 && *content)
        form_error(&p->f, form_path(path, rules->at, "content"),
                   "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                   "The 'content' field cannot be used when using "
                   "MessageFlags.IS_COMPONENTS_V2");
    if (v2 && embeds && json_object_array_length(embeds))
        form_error(&p->f, form_path(path, rules->at, "embeds"),
                   "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                   "The 'embeds' field cannot be used when using "
                   "MessageFlags.IS_COMPONENTS_V2");
    if (form_failed(&p->f)) {
        call_form(c, &p->f);
        return false;
    }
    if (is_empty(p, m) && !rules->allow_empty) {
        call_error(c, 400, 50006, "Cannot send an empty message");
        return false;
    }

    bool new_file = false;
    for (size_t i = 0; i < p->slot_count; i++)
        new_file |= p->slots[i].file != NULL;
    uint64_t need =
        (new_file ? PERM_ATTACH_FILES : 0) |
        (p->embeds && json_object_array_length(p->embeds) ? PERM_EMBED_LINKS
                                                          : 0);
    if ((rules->permissions & need) != need) {
        call_missing_permissions(c);
        return false;
    }
    return true;
}

bool message_body_apply(struct call *c, struct json_object *body,
                        struct message *m, const struct message_rules *rules)
{
    struct plan p = {0};
    bool ok = checked(&p, c, body, m, rules);

    if (ok) {
        m->flags = p.flags;
        if (p.content) {
            bool same = strcmp(m->content, p.content) == 0;
            free(m->content);
            m->content = p.content;
            p.content = NULL;
            if (!same) {
                json_object_put(m->link_embeds);
                m->link_embeds = NULL;
            }
            apply_mentions(&p, c, m, rules);
        } else if (!rules->edit) {
            apply_mentions(&p, c, m, rules);
        }
        if (p.embeds_given) {
            json_object_put(m->embeds);
            m->embeds = p.embeds;
            p.embeds = NULL;
            if (!m->embeds) {
                json_object_put(m->link_embeds);
                m->link_embeds = NULL;
            }
        }
        if (p.components_given) {
            json_object_put(m->components);
            m->components = p.components;
            p.components = NULL;
        }
        if (p.files_given)
            apply_files(&p, c, m);
    }
    plan_release(&p);
    return ok;
}
