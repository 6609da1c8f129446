/* What somebody did in a Discord client: a command typed, a button pressed, an
 * option being typed. Read from INTERACTION_CREATE's data; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct json_object;

enum interaction_kind {
    INTERACTION_COMMAND = 2,
    INTERACTION_PRESS = 3, /* a button, or another component */
    INTERACTION_TYPING = 4,
};

struct interaction_option {
    const char *name;
    const char *value; /* as text, whatever its type; an attachment: its id */
    size_t value_len;
    bool focused; /* TYPING: what is being typed */

    /* An attachment, else url is NULL. */
    const char *url, *file_name;
    uint64_t file_size;
};

/* Strings are the json's, which it keeps. */
struct interaction {
    struct json_object *json; /* a reference */
    enum interaction_kind kind;
    uint64_t id, application, guild, channel;
    const char *token; /* a secret for 15 minutes: not to be logged */
    uint64_t user;
    const char *user_name;
    uint64_t permissions; /* the user's, in this channel */
    uint64_t *roles;      /* owned */
    size_t n_roles;

    const char *command;                /* COMMAND, TYPING */
    struct interaction_option *options; /* owned */
    size_t n_options;

    const char *custom_id; /* PRESS */
    uint64_t message;      /* PRESS: the message the button is on */
};

/* -EBADMSG: not a form that is known; id and token are filled where they could
 * be read. -ENOTSUP: of a kind that nothing here asks for. In every case
 * interaction_release(). */
int interaction_parse(struct json_object *data, struct interaction *out,
                      struct err *err);
void interaction_release(struct interaction *in);

/* NULL: not given. */
const struct interaction_option *
interaction_option(const struct interaction *in, const char *name);
