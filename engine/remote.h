/* What the engine asks of a message store: channels that hold messages, files
 * on messages, one thread on a message, a search that is a hint. Discord is
 * one (discord/discord.h), the tests have another in memory.
 *
 * One call, remote_submit(), takes every request; the reply comes by callback
 * on a thread of the store's. Waiting for a rate limit is the store's affair:
 * a request is held back until it may go, and never sent when it is known to
 * fail. A caller that wants to wait uses remote_run().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* An attachment as the store describes it. url may expire; the store renews it
 * inside REMOTE_DOWNLOAD by reading the message again. */
struct remote_file {
    uint64_t id;
    uint64_t size;
    char *name;
    char *url;
};

struct remote_message {
    uint64_t id, channel_id, author_id;
    uint64_t thread_id; /* of the thread started from it, 0 if none */
    int type;           /* 0: an ordinary message (discord-api, "Types") */
    int64_t edited_ms;  /* 0: never */
    char *content;      /* UTF-8, never NULL */
    size_t content_len;
    struct remote_file *files;
    size_t n_files;
};

enum remote_channel_kind {
    REMOTE_CHANNEL_TEXT,
    REMOTE_CHANNEL_CATEGORY,
    REMOTE_CHANNEL_THREAD,
    REMOTE_CHANNEL_OTHER,
};

struct remote_channel {
    uint64_t id, guild_id, parent_id;
    enum remote_channel_kind kind;
    int position;
    bool archived, locked; /* threads */
    bool viewable;         /* this bot may see and read it … */
    bool writable;   /* … and write and attach (for a thread: in threads) */
    bool manageable; /* … and edit or delete it */
    char *name;      /* as the store normalised it */
};

struct remote_guild {
    uint64_t id;
    char *name;
    uint64_t permissions; /* this bot's, guild-wide */
    uint64_t max_file;    /* bytes one attachment may have */
};

/* A file to send. data is borrowed until the request's callback has returned.
 */
struct remote_upload {
    const char
        *name; /* [A-Za-z0-9][A-Za-z0-9.-]*, else the store rewrites it */
    const char *type; /* MIME */
    const void *data;
    size_t len;
};

/* The body of a post or an edit. */
struct remote_draft {
    struct buf content;            /* owned */
    struct remote_upload files[4]; /* names and data borrowed */
    size_t n_files;
    uint64_t keep[4]; /* edit: attachments that stay; all others go */
    size_t n_keep;
};

void remote_draft_release(struct remote_draft *d);

/* More than this many UTF-16 units of content the store refuses. */
#define REMOTE_CONTENT_MAX 2000

enum remote_op {
    REMOTE_ME,             /* -> user_id, name */
    REMOTE_GUILD,          /* guild -> guild */
    REMOTE_CHANNELS,       /* guild -> channels, no threads */
    REMOTE_CHANNEL_CREATE, /* guild, parent, kind, name, topic -> channel */
    REMOTE_CHANNEL,        /* channel (or thread) -> channel */
    REMOTE_CHANNEL_DELETE, /* channel */
    REMOTE_THREAD_START, /* channel, message, name -> channel (id = message) */
    REMOTE_LIST,         /* channel, before|after, limit -> messages */
    REMOTE_GET,          /* channel, message -> messages[0] */
    REMOTE_POST,         /* channel, draft or build, nonce -> messages[0] */
    REMOTE_EDIT,         /* channel, message, draft -> messages[0] */
    REMOTE_DELETE,       /* channel, message */
    REMOTE_DELETE_MANY,  /* channel, ids: 2 to 100, none older than 14 days */
    REMOTE_SEARCH,       /* guild, search -> messages, total */
    REMOTE_DOWNLOAD,     /* channel, message, file id -> body */
};

/* Who waits decides who goes first where a limit holds both back. */
enum remote_priority { REMOTE_INTERACTIVE, REMOTE_NORMAL, REMOTE_BACKGROUND };

struct remote_search {
    const char *content; /* words that must occur, NULL for none */
    const uint64_t *channels;
    size_t n_channels;
    uint64_t author;         /* 0: anybody */
    uint64_t min_id, max_id; /* 0: open */
    int limit, offset;
    bool oldest_first;
};

/* Every pointer is borrowed until remote_submit() returns, except where said.
 * Unused fields are zero. */
struct remote_request {
    enum remote_op op;
    enum remote_priority priority;
    uint64_t guild, channel, message, parent, file;
    uint64_t before, after; /* LIST: at most one of them; after gives the oldest
                               behind it. The reply is oldest first, always. */
    int limit;              /* LIST: 1 to 100 */
    enum remote_channel_kind kind;
    const char *name, *topic;
    const uint64_t *ids;
    size_t n_ids;
    const struct remote_search *search;

    /* POST, EDIT: moved into the request. */
    struct remote_draft draft;

    /* POST instead of draft: called on the store's thread when the message is
     * about to leave and may not wait longer, so that all that came meanwhile
     * leaves with it. Must not block. Fills *draft and returns 0, or a
     * negative errno: then nothing is sent and the callback gets that number.
     * Called once for each request: a retry sends the same draft. */
    int (*build)(void *arg, struct remote_draft *draft);

    /* POST: names this post for some minutes, so that posting it twice makes
     * one message; at most 25 characters. NULL: the store draws one, and its
     * own retries use that. */
    const char *nonce;

    /* From submission to the answer, waits for limits and all. 0: the store's
     * own patience, which a wait for a limit does not try, but silence does. */
    int64_t timeout_ms;
};

/* Filled for the callback; what the callback wants to keep it moves out and
 * zeroes. remote_reply_release() frees the rest. */
struct remote_reply {
    struct remote_message *messages; /* oldest first */
    size_t n_messages;
    struct remote_channel *channels;
    size_t n_channels;
    struct remote_guild guild;
    uint64_t user_id;
    char *user_name;
    struct buf body;
    uint64_t total;       /* SEARCH: about how many there are */
    bool index_not_ready; /* SEARCH: nothing can be concluded from no hits */
    unsigned sent; /* times the store's API was asked for this, repeats too;
                      files come from elsewhere. Also where it failed. */
};

void remote_message_release(struct remote_message *m);
void remote_reply_release(struct remote_reply *r);

/* r: 0, or a negative errno, the same for every store:
 *   -ENOENT     no such channel, message or guild
 *   -EACCES     the bot's permissions do not allow it
 *   -EPERM      the token was refused; no more requests will be sent
 *   -EINVAL     the store found the request malformed
 *   -EFBIG      a file above the upload limit
 *   -ENOSPC     a limit of counts (channels in a guild, …)
 *   -ETIMEDOUT, -ENETUNREACH   not reached in time; nothing was done, or for a
 *               post perhaps (its nonce makes a repeat harmless)
 *   -EAGAIN     search index not ready, resource overloaded: later
 *   -ECANCELED  cancelled before it left
 *   -ESHUTDOWN  the store is being closed
 *   -EIO        failed for good */
typedef void remote_done(void *arg, int r, struct remote_reply *reply,
                         const struct err *err);

struct remote;

struct remote_ops {
    /* Returns a number for cancel, never 0. done is called exactly once, on
     * another thread or, never, inside this call. */
    uint64_t (*submit)(struct remote *r, struct remote_request *req,
                       remote_done *done, void *arg);
    /* True: it had not left; done comes with -ECANCELED. False: too late, or
     * done already. */
    bool (*cancel)(struct remote *r, uint64_t number);
    /* Fails what waits with -ESHUTDOWN, waits for callbacks, frees. */
    void (*close)(struct remote *r);
};

/* The first member of every store. */
struct remote {
    const struct remote_ops *ops;
};

/* Never blocks. Takes the draft out of req. */
uint64_t remote_submit(struct remote *r, struct remote_request *req,
                       remote_done *done, void *arg);
bool remote_cancel(struct remote *r, uint64_t number);
void remote_close(struct remote *r);

/* Submits and waits. Not from a callback of the store's. *reply is filled on
 * success alone; the caller releases it. */
int remote_run(struct remote *r, struct remote_request *req,
               struct remote_reply *reply, struct err *err);

/* News from the store, by its push connection, in its order. */
enum remote_event_kind {
    REMOTE_EVENT_MESSAGE,      /* message: created or changed */
    REMOTE_EVENT_DELETED,      /* channel, ids */
    REMOTE_EVENT_CHANNEL,      /* chan: created or changed (threads too) */
    REMOTE_EVENT_CHANNEL_GONE, /* chan.id */
    REMOTE_EVENT_GUILD,        /* guild.id, guild.name: came or changed */
    REMOTE_EVENT_GUILD_GONE,   /* guild.id */
    REMOTE_EVENT_GAP,          /* events may have been missed: list again */
    REMOTE_EVENT_CONNECTED,    /* from now on events come */
    REMOTE_EVENT_DISCONNECTED, /* from now on they do not */
};

struct remote_event {
    enum remote_event_kind kind;
    bool created; /* MESSAGE, CHANNEL: new, not changed */
    struct remote_message message;
    struct remote_channel chan;
    struct remote_guild guild;
    uint64_t channel;
    const uint64_t *ids;
    size_t n_ids;
};
