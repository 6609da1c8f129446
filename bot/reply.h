/* Answers to interactions as Discord wants them. Pure. No message of ours
 * pings anybody or shows a preview of a link. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "engine/base/buf.h"

/* Kinds of first answers (discord-api, "Types"). */
enum reply_kind {
    REPLY_EDIT = 0, /* no first answer: the body of an edit or a follow-up */
    REPLY_MESSAGE = 4,
    REPLY_LATER = 5,  /* "is thinking": an edit follows */
    REPLY_UPDATE = 7, /* a button's message becomes this */
};

struct reply_button {
    const char *id; /* custom_id: at most 100 characters */
    const char *label;
    bool danger, disabled;
};

struct reply {
    const char *content; /* NULL: none */
    bool is_public;      /* for all to see; said with the first answer only */
    const struct reply_button *buttons;
    size_t n_buttons;      /* at most 5 */
    const char *file_name; /* NULL: no file */
};

/* Appends the JSON. An edit and an update take away what is not given. */
void reply_write(const struct reply *r, enum reply_kind kind, struct buf *out);

struct reply_choice {
    const char *name, *value; /* at most 100 units */
    bool number;              /* the value of an integer option */
};

/* An answer to somebody who types: at most 25 choices. */
void reply_write_choices(const struct reply_choice *list, size_t n,
                         struct buf *out);
