/* Interactions in two halves: what a person does in the client becomes the
 * event (interaction_build.c); what the application answers becomes what that
 * person sees (interactions.c). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/emulator/message.h"

struct call;
struct channel;
struct emulator;
struct guild;
struct json_object;

enum interaction_type {
    INTERACTION_PING = 1,
    INTERACTION_COMMAND = 2,
    INTERACTION_COMPONENT = 3,
    INTERACTION_AUTOCOMPLETE = 4,
    INTERACTION_MODAL = 5,
};

struct interaction {
    struct interaction *next;
    uint64_t id, guild_id, channel_id, user_id;
    enum interaction_type type;
    char token[65];
    int64_t born;
    char *name;           /* of the command; "" for components */
    int focused_type;     /* of the option typed in, for autocomplete */
    uint64_t source_id;   /* the message whose component was used, or 0 */
    uint64_t original_id; /* what @original means, or 0 */
    struct id_list followups;
    struct attachment *files; /* uploaded with the command */
    size_t file_count;

    bool acked;   /* a callback has come */
    bool loading; /* it was a deferral, and what it promised has not come */
    bool dead;    /* not answered in time, or too old */
    struct json_object *choices, *modal; /* what an answer brought, or NULL */
    struct call *waiting; /* of POST /emulator/interactions, or NULL */
    struct timer *timer;  /* the end of 3 s, then of 15 min */
};

/* The member who acts: {"user":name,"roles":[…]}, made where there is none
 * yet; roles are names, ids or {"name","permissions"}. NULL: answered. */
struct member *interaction_actor(struct call *c, struct guild *g,
                                 struct json_object *body);

/* The `data` of the event for what body says the person did, and into it the
 * type, name, source and files. NULL: answered with why no client would send
 * that. Reference for the caller. */
struct json_object *interaction_data(struct call *c, struct interaction *it,
                                     struct json_object *body);

/* The whole event's payload around data (taken over). */
struct json_object *interaction_payload(struct emulator *e,
                                        const struct interaction *it,
                                        struct json_object *data,
                                        const char *locale);
