/* Channels, categories and threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tests/emulator/snowflake.h"

struct emulator;
struct guild;
struct json_object;
struct message;
struct timer;

enum channel_type {
    CHANNEL_TEXT = 0,
    CHANNEL_VOICE = 2,
    CHANNEL_CATEGORY = 4,
    CHANNEL_ANNOUNCEMENT = 5,
    CHANNEL_ANNOUNCEMENT_THREAD = 10,
    CHANNEL_PUBLIC_THREAD = 11,
    CHANNEL_PRIVATE_THREAD = 12,
};

struct overwrite {
    uint64_t id;
    int type; /* 0 role, 1 member */
    uint64_t allow, deny;
};

struct thread_member {
    uint64_t user_id;
    int64_t joined_at;
};

/* What a channel has only as a thread. */
struct thread {
    uint64_t owner_id;
    int message_count;      /* without the starter and the deleted */
    int total_message_sent; /* never falls */
    struct thread_member *members;
    size_t member_count;
    bool archived, locked, invitable;
    int auto_archive_minutes;
    int64_t archive_at; /* the time of the last change of archived */
    int64_t created_at;
    int64_t last_activity;
    struct timer *archiver;
};

struct channel {
    uint64_t id, guild_id, parent_id; /* parent: category, or a thread's
                                       * channel; 0: none */
    enum channel_type type;
    char *name;
    char *topic; /* or NULL */
    int position;
    bool nsfw;
    int rate_limit_per_user;
    int default_auto_archive_minutes; /* 0: null */
    int default_thread_rate_limit;
    uint32_t flags;
    struct overwrite *overwrites;
    size_t overwrite_count;
    uint64_t last_message_id;
    int64_t last_pin_at; /* 0: never */

    struct message **messages; /* by id, ascending; no ephemeral ones */
    size_t message_count, message_cap;
    size_t pin_count;

    struct thread *thread; /* NULL: not a thread */
};

struct channel *channel_find(struct emulator *e, uint64_t id);
static inline bool channel_is_thread(const struct channel *ch)
{
    return ch->thread != NULL;
}
/* Can messages be sent in it? Text, announcement, voice, threads. */
bool channel_holds_messages(const struct channel *ch);
/* The parent for a thread, else itself: where permissions are. */
const struct channel *channel_perm_root(struct emulator *e,
                                        const struct channel *ch);
struct guild *channel_guild(struct emulator *e, const struct channel *ch);

/* The index of the first message with an id >= id. */
size_t channel_message_at(const struct channel *ch, uint64_t id);

/* A blank one for channel_insert; the id may be set (threads on a message). */
struct channel *channel_draft(uint64_t guild_id, enum channel_type type,
                              const char *name);
void channel_draft_free(struct channel *ch);
/* Takes it over, gives it an id if it has none; journals; CHANNEL_CREATE or
 * THREAD_CREATE with newly_created. */
void channel_insert(struct emulator *e, struct channel *ch);
/* Journals; CHANNEL_UPDATE or THREAD_UPDATE. */
void channel_changed(struct emulator *e, struct channel *ch);
/* Journals; CHANNEL_DELETE or THREAD_DELETE. Messages, threads go too; a
 * category's children stay, parentless, with a CHANNEL_UPDATE each. The
 * channel is freed. */
void channel_remove(struct emulator *e, struct channel *ch);

/* Threads. Journal and dispatch. */
void thread_set_archived(struct emulator *e, struct channel *ch, bool archived);
/* False: was a member already. */
bool thread_join(struct emulator *e, struct channel *ch, uint64_t user_id);
bool thread_leave(struct emulator *e, struct channel *ch, uint64_t user_id);
bool thread_has_member(const struct channel *ch, uint64_t user_id);
size_t guild_active_threads(const struct guild *g);
/* Sets the timer of the auto-archiving from last_activity. */
void thread_arm(struct emulator *e, struct channel *ch);

/* For `viewer`: a thread gets its `member`. 0: nobody's view. */
struct json_object *channel_json(struct emulator *e, const struct channel *ch,
                                 uint64_t viewer);
struct json_object *thread_member_json(const struct channel *ch,
                                       uint64_t user_id); /* or NULL */

/* names.c: as the server writes a text channel's name; free() it. Empty if
 * nothing is left. */
char *channel_name_normalize(const char *name);
/* As the server writes a file's name; never empty. */
char *file_name_normalize(const char *name);
