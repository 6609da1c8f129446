/* The emulator: Discord on loopback, one guild or several, in one thread.
 *
 * Everything runs on the event loop's thread: no locks anywhere. A handler
 * reads and changes the state, the change is journalled and dispatched to the
 * gateway's sessions, and the journal is written before the answer leaves
 * (journal_commit(), called by the router and by the timers). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/map.h"
#include "tests/emulator/clock.h"
#include "tests/emulator/snowflake.h"

struct application;
struct commands;
struct faults;
struct gateway;
struct guild;
struct interactions;
struct journal;
struct limits;
struct nonces;
struct search;
struct server;
struct tally;
struct user;

struct emulator_options {
    const char *listen_host; /* a loopback address */
    int port;                /* 0: a free one */
    const char *data;        /* the journal's file, or NULL */
    bool limits;             /* off: nothing is refused, headers stay */
    int64_t search_lag_ms;
    const char *token; /* NULL: a random one */
    const char *guild_name;
};

struct emulator {
    struct emulator_options options;

    struct emulator_clock clock;
    struct snowflakes ids;
    struct journal *journal;

    /* Set once the state was replayed or made. */
    char *token;
    unsigned char link_key[32]; /* signs CDN links */
    struct application *app;    /* application.h */
    struct user *bot;           /* user.h; the application's user */
    struct user *owner;         /* the guilds' owner, a person */

    struct guild **guilds; /* guild.h, oldest first */
    size_t guild_count;
    struct map users;    /* id -> struct user */
    struct map channels; /* id -> struct channel, threads too */
    struct map messages; /* id -> struct message, ephemeral ones too */
    struct map blobs;    /* attachment id -> struct blob */
    struct nonces *nonces;

    struct limits *limits;
    struct faults *faults;
    struct tally *tally; /* counts and the trace of requests */
    struct server *server;

    /* The gateway half's own, made by their *_open(). */
    struct gateway *gateway;
    struct commands *commands;
    struct interactions *interactions;
    struct search *search;
};

/* http://127.0.0.1:PORT and ws://127.0.0.1:PORT, no slash at the end. */
const char *emulator_http_base(const struct emulator *e);
const char *emulator_ws_base(const struct emulator *e);
