/* Messages, their attachments, the nonces by which they were sent. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/emulator/snowflake.h"

struct call;
struct channel;
struct emulator;
struct http_request;
struct json_object;

enum message_type {
    MESSAGE_DEFAULT = 0,
    MESSAGE_NAME_CHANGE = 4,
    MESSAGE_PINNED = 6,
    MESSAGE_THREAD_CREATED = 18,
    MESSAGE_REPLY = 19,
    MESSAGE_COMMAND = 20,
    MESSAGE_THREAD_STARTER = 21,
};

#define MESSAGE_SUPPRESS_EMBEDS (1u << 2)
#define MESSAGE_HAS_THREAD (1u << 5)
#define MESSAGE_EPHEMERAL (1u << 6)
#define MESSAGE_LOADING (1u << 7)
#define MESSAGE_SUPPRESS_NOTIFICATIONS (1u << 12)
#define MESSAGE_COMPONENTS_V2 (1u << 15)

/* The bytes are in e->blobs under the same id, as long as the message is. */
struct attachment {
    uint64_t id;
    char *filename;    /* as rewritten */
    char *title;       /* the original, where it was rewritten; or NULL */
    char *description; /* or NULL */
    char *content_type;
    size_t size;
    bool spoiler;
};

struct blob {
    uint64_t id;         /* the attachment's */
    uint64_t channel_id; /* in its link */
    char *filename;
    char *content_type;
    char *data;
    size_t len;
};

struct reaction {
    char *emoji;       /* name */
    uint64_t emoji_id; /* 0: unicode */
    struct id_list users;
};

struct message {
    uint64_t id, channel_id, author_id;
    enum message_type type;
    char *content; /* never NULL */
    int64_t at, edited_at;
    uint32_t flags;
    bool tts, mention_everyone, pinned;
    int64_t pinned_at;
    struct id_list mentions, mention_roles;
    struct attachment *attachments;
    size_t attachment_count;
    struct json_object *embeds;      /* an array, or NULL */
    struct json_object *link_embeds; /* made from URLs; shown behind embeds */
    struct json_object *components;  /* an array, or NULL */
    struct json_object *nonce;       /* string or int, or NULL; told when the
                                      * message is made, and never after */
    bool enforce_nonce;

    int reference_type;                /* 0 reply and the like, 1 forward */
    uint64_t ref_message, ref_channel; /* ref_channel 0: no reference */
    struct reaction *reactions;
    size_t reaction_count;

    /* Of interactions and webhooks. */
    uint64_t application_id, webhook_id;
    uint64_t ephemeral_to; /* the one user who sees it; then it is in
                            * e->messages and in no channel */
    struct json_object *interaction_metadata; /* or NULL */
};

/* In this channel, or ephemeral of this channel; NULL if there is none. */
struct message *message_find(struct emulator *e, uint64_t channel_id,
                             uint64_t id);

/* A blank one for message_insert, or for message_draft_free. Time and id are
 * set at the insertion. */
struct message *message_draft(const struct channel *ch, uint64_t author_id,
                              enum message_type type);
void message_draft_free(struct message *m);

/* Takes it over. Unarchives a thread, joins the author to it, counts; journals;
 * dispatches MESSAGE_CREATE (for an ephemeral one too); puts embeds of links
 * on their way. */
void message_insert(struct emulator *e, struct message *m);

/* Journals; dispatches MESSAGE_UPDATE. The caller sets edited_at for edits. */
void message_changed(struct emulator *e, struct message *m);

/* Journals; MESSAGE_DELETE. Freed. */
void message_remove(struct emulator *e, struct message *m);
/* All of one channel; one MESSAGE_DELETE_BULK. */
void message_remove_bulk(struct emulator *e, struct channel *ch,
                         struct message **list, size_t n);

/* An attachment's bytes; the result's id is new. Copies. */
struct attachment attachment_new(struct emulator *e, const struct channel *ch,
                                 const char *filename, const char *content_type,
                                 const void *data, size_t len);
void attachment_release(struct emulator *e, struct attachment *a);
struct blob *blob_find(struct emulator *e, uint64_t attachment_id);
/* With a link signed now. */
struct json_object *attachment_json(struct emulator *e, uint64_t channel_id,
                                    const struct attachment *a, bool ephemeral);

/* As the API shows it to the bot: without the MESSAGE_CONTENT intent in the
 * application's flags, content of others' messages is blank. */
struct json_object *message_json(struct emulator *e, const struct message *m);
/* All of it, whoever asks: for events (the gateway strips) and controls. */
struct json_object *message_full_json(struct emulator *e,
                                      const struct message *m);
/* message_full_json with guild_id, member, channel_type: MESSAGE_CREATE's and
 * MESSAGE_UPDATE's payload. */
struct json_object *message_event_json(struct emulator *e,
                                       const struct message *m);
/* Blanks content, embeds, attachments, components of a message's JSON unless
 * it is the bot's own, mentions it, or is a DM. */
void message_strip(struct emulator *e, struct json_object *message);

/* message_body.c: what a body that creates or edits a message says. */
struct message_rules {
    bool edit;               /* absent keys keep, attachments is a keep-list */
    const char *at;          /* the path of the object in errors: "", "data" */
    uint32_t flags;          /* the flags that may be set */
    bool default_users_only; /* without allowed_mentions: of interactions */
    bool allow_empty;        /* of a deferred answer */
    uint64_t permissions;    /* the author's in this channel; PERM_ALL: all */
};

/* Checks body and the request's files against the rules, and changes m, whole
 * or not at all: false means that the call was answered with the error. Files
 * become blobs; parsing of nonce, references and sticker_ids is the create
 * route's. body may be NULL (files only). */
bool message_body_apply(struct call *c, struct json_object *body,
                        struct message *m, const struct message_rules *rules);

/* MESSAGE_CREATE's way for somebody who is not the bot (controls, tests): no
 * limits, no permissions, mentions parsed. */
struct message *message_say(struct emulator *e, struct channel *ch,
                            uint64_t author_id, const char *content);
