/* Discord's gateway protocol as a plain state machine: told what happened and
 * what time it is, it answers what to do and when to come back. No I/O, no
 * clock, no thread; conn.c does what it says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"
#include "engine/discord/discord.h"

struct gateway;
struct json_object;

#define GATEWAY_GUILDS (1u << 0)
#define GATEWAY_GUILD_MESSAGES (1u << 9)
#define GATEWAY_MESSAGE_CONTENT (1u << 15)

enum gateway_event_kind {
    GATEWAY_TIME,       /* the time it wanted to be woken at, or any other */
    GATEWAY_ADDRESS,    /* address: the answer to todo.ask */
    GATEWAY_NO_ADDRESS, /* code, text: why there was none */
    GATEWAY_OPENED,     /* the connection stands */
    GATEWAY_FRAME,      /* text, len: one message came */
    GATEWAY_CLOSED,     /* code: the other side's, 0 if it just broke; text.
                           Not for a connection that todo.close ended */
};

struct gateway_event {
    enum gateway_event_kind kind;
    const char *text;
    size_t len;
    int code;
    const struct discord_gateway *address;
};

enum gateway_news {
    GATEWAY_NOTHING_NEW,
    GATEWAY_READY,   /* a new session: events before it are lost */
    GATEWAY_RESUMED, /* the old one goes on: nothing is lost */
    GATEWAY_LOST,    /* events stop coming */
};

/* What to do, in this order. */
struct gateway_todo {
    enum gateway_news news;
    struct json_object *dispatch; /* an event's data; the caller puts it */
    char type[48];                /* and its name */
    struct buf send;              /* a message to send, if not empty. Holds the
                                     token at times: wipe it */
    int close;                    /* close with this code, if not 0 */
    bool ask;                     /* ask for the address: discord_gateway() */
    bool connect;                 /* connect to gateway_url() */
    int64_t wake;                 /* step again then; INT64_MAX: never */
};

/* token: borrowed. seed: of the jitter. */
struct gateway *gateway_new(const char *token, unsigned intents, uint64_t seed);
void gateway_free(struct gateway *gw);

/* *todo is filled anew. */
void gateway_step(struct gateway *gw, const struct gateway_event *ev,
                  int64_t now, struct gateway_todo *todo);

/* Where todo.connect goes. */
const char *gateway_url(const struct gateway *gw);

/* Why it will never try again, or NULL. */
const char *gateway_fatal(const struct gateway *gw);

/* Was MESSAGE_CONTENT refused, because it is switched off in the developer
 * portal? Then messages of others come without their text. */
bool gateway_lacks_content(const struct gateway *gw);

/* Appends a JSON object for status.json. */
void gateway_status(const struct gateway *gw, int64_t now, struct buf *out);
