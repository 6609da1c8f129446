/* Channels and threads: what happens to them, and how they look. */
#include "tests/emulator/channel.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"
#include "tests/emulator/emulator.h"
#include "tests/emulator/event.h"
#include "tests/emulator/guild.h"
#include "tests/emulator/message.h"
#include "tests/emulator/record.h"
#include "tests/emulator/user.h"

struct channel *channel_find(struct emulator *e, uint64_t id)
{
    return map_get(&e->channels, hash_u64(id), &id);
}

bool channel_holds_messages(const struct channel *ch)
{
    return ch->type != CHANNEL_CATEGORY;
}

const struct channel *channel_perm_root(struct emulator *e,
                                        const struct channel *ch)
{
    const struct channel *parent =
        ch->thread ? channel_find(e, ch->parent_id) : NULL;
    return parent ? parent : ch;
}

struct guild *channel_guild(struct emulator *e, const struct channel *ch)
{
    return guild_find(e, ch->guild_id);
}

size_t channel_message_at(const struct channel *ch, uint64_t id)
{
    size_t lo = 0, hi = ch->message_count;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (ch->messages[mid]->id < id)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo;
}

struct channel *channel_draft(uint64_t guild_id, enum channel_type type,
                              const char *name)
{
    struct channel *ch = xcalloc(1, sizeof *ch);
    ch->guild_id = guild_id;
    ch->type = type;
    ch->name = xstrdup(name);
    if (type >= CHANNEL_ANNOUNCEMENT_THREAD && type <= CHANNEL_PRIVATE_THREAD) {
        ch->thread = xcalloc(1, sizeof *ch->thread);
        ch->thread->auto_archive_minutes = 4320;
        ch->thread->invitable = true;
    }
    return ch;
}

void channel_draft_free(struct channel *ch)
{
    channel_free(NULL, ch); /* no timer is set yet */
}

static void channel_event(struct emulator *e, const struct channel *ch,
                          const char *verb, bool fresh)
{
    char type[32];
    struct json_object *o = channel_json(e, ch, e->bot->id);
    if (fresh && ch->thread)
        json_object_object_add(o, "newly_created",
                               json_object_new_boolean(true));
    snprintf(type, sizeof type, "%s_%s", ch->thread ? "THREAD" : "CHANNEL",
             verb);
    event_dispatch(e, type, ch->guild_id, ch->id, o);
    json_object_put(o);
}

void channel_insert(struct emulator *e, struct channel *ch)
{
    if (!ch->id)
        ch->id = snowflake_new(e);
    if (ch->thread) {
        int64_t now = emulator_now(e);
        ch->thread->created_at = ch->thread->archive_at = now;
        ch->thread->last_activity = now;
        if (ch->thread->owner_id && !ch->thread->member_count) {
            ch->thread->members = xcalloc(1, sizeof *ch->thread->members);
            ch->thread->members[0] =
                (struct thread_member){ch->thread->owner_id, now};
            ch->thread->member_count = 1;
        }
    }
    channel_link(e, ch);
    record_channel(e, ch);
    thread_arm(e, ch);
    channel_event(e, ch, "CREATE", true);
}

void channel_changed(struct emulator *e, struct channel *ch)
{
    record_channel(e, ch);
    thread_arm(e, ch);
    channel_event(e, ch, "UPDATE", false);
}

void channel_remove(struct emulator *e, struct channel *ch)
{
    struct guild *g = channel_guild(e, ch);

    if (ch->thread) {
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "id", snowflake_json(ch->id));
        json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
        json_object_object_add(o, "parent_id", snowflake_json(ch->parent_id));
        json_object_object_add(o, "type", json_object_new_int(ch->type));
        event_dispatch(e, "THREAD_DELETE", ch->guild_id, ch->id, o);
        json_object_put(o);
    } else {
        channel_event(e, ch, "DELETE", false);
        for (size_t i = g->thread_count; i-- > 0;) {
            if (g->threads[i]->parent_id != ch->id)
                continue;
            record_channel_gone(e, g->threads[i]->id);
            channel_unlink(e, g->threads[i]);
        }
    }

    uint64_t id = ch->id;
    record_channel_gone(e, id);
    channel_unlink(e, ch);
    for (size_t i = 0; i < g->channel_count; i++) {
        if (g->channels[i]->parent_id == id) {
            g->channels[i]->parent_id = 0;
            channel_changed(e, g->channels[i]);
        }
    }
    if (g->system_channel_id == id) {
        g->system_channel_id = 0;
        record_guild(e, g);
    }
}

/* --- threads --- */

void thread_set_archived(struct emulator *e, struct channel *ch, bool archived)
{
    ch->thread->archived = archived;
    ch->thread->archive_at = ch->thread->last_activity = emulator_now(e);
    channel_changed(e, ch);
}

static void on_archive(struct emulator *e, void *arg)
{
    struct channel *ch = arg;
    ch->thread->archiver = NULL;

    /* Activity since the timer was set moves the moment on. */
    if (emulator_now(e) - ch->thread->last_activity <
        ch->thread->auto_archive_minutes * 60000LL)
        thread_arm(e, ch);
    else
        thread_set_archived(e, ch, true);
}

void thread_arm(struct emulator *e, struct channel *ch)
{
    if (!ch->thread)
        return;
    timer_cancel(e, ch->thread->archiver);
    ch->thread->archiver = NULL;
    if (!ch->thread->archived)
        ch->thread->archiver =
            timer_at(e,
                     ch->thread->last_activity +
                         ch->thread->auto_archive_minutes * 60000LL,
                     on_archive, ch);
}

bool thread_has_member(const struct channel *ch, uint64_t user_id)
{
    for (size_t i = 0; i < ch->thread->member_count; i++)
        if (ch->thread->members[i].user_id == user_id)
            return true;
    return false;
}

static void members_event(struct emulator *e, const struct channel *ch,
                          uint64_t added, uint64_t removed)
{
    struct json_object *o = json_object_new_object();
    json_object_object_add(o, "id", snowflake_json(ch->id));
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    json_object_object_add(o, "member_count",
                           json_object_new_uint64(ch->thread->member_count < 50
                                                      ? ch->thread->member_count
                                                      : 50));
    struct json_object *list = json_object_new_array();
    if (added) {
        json_object_array_add(list, thread_member_json(ch, added));
        json_object_object_add(o, "added_members", list);
    } else {
        json_object_array_add(list, snowflake_json(removed));
        json_object_object_add(o, "removed_member_ids", list);
    }
    event_dispatch(e, "THREAD_MEMBERS_UPDATE", ch->guild_id, ch->id, o);
    json_object_put(o);
}

bool thread_join(struct emulator *e, struct channel *ch, uint64_t user_id)
{
    struct thread *t = ch->thread;
    if (thread_has_member(ch, user_id))
        return false;
    t->members =
        xrealloc(t->members, (t->member_count + 1) * sizeof *t->members);
    t->members[t->member_count++] =
        (struct thread_member){user_id, emulator_now(e)};
    record_channel(e, ch);
    members_event(e, ch, user_id, 0);
    return true;
}

bool thread_leave(struct emulator *e, struct channel *ch, uint64_t user_id)
{
    struct thread *t = ch->thread;
    for (size_t i = 0; i < t->member_count; i++) {
        if (t->members[i].user_id != user_id)
            continue;
        memmove(t->members + i, t->members + i + 1,
                (t->member_count - i - 1) * sizeof *t->members);
        t->member_count--;
        record_channel(e, ch);
        members_event(e, ch, 0, user_id);
        return true;
    }
    return false;
}

size_t guild_active_threads(const struct guild *g)
{
    size_t n = 0;
    for (size_t i = 0; i < g->thread_count; i++)
        n += !g->threads[i]->thread->archived;
    return n;
}

/* --- as JSON --- */

static void add_stamp(struct json_object *o, const char *key, int64_t ms)
{
    char at[CLOCK_STAMP_SIZE];
    json_object_object_add(
        o, key, ms ? json_object_new_string(clock_stamp(ms, at)) : NULL);
}

static void add_bits(struct json_object *o, const char *key, uint64_t bits)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)bits);
    json_object_object_add(o, key, json_object_new_string(text));
}

struct json_object *thread_member_json(const struct channel *ch,
                                       uint64_t user_id)
{
    for (size_t i = 0; i < ch->thread->member_count; i++) {
        const struct thread_member *m = &ch->thread->members[i];
        if (m->user_id != user_id)
            continue;
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "id", snowflake_json(ch->id));
        json_object_object_add(o, "user_id", snowflake_json(user_id));
        add_stamp(o, "join_timestamp", m->joined_at);
        json_object_object_add(o, "flags", json_object_new_int(1));
        return o;
    }
    return NULL;
}

static struct json_object *overwrites_json(const struct channel *ch)
{
    struct json_object *list = json_object_new_array();
    for (size_t i = 0; i < ch->overwrite_count; i++) {
        const struct overwrite *w = &ch->overwrites[i];
        struct json_object *o = json_object_new_object();
        json_object_object_add(o, "id", snowflake_json(w->id));
        json_object_object_add(o, "type", json_object_new_int(w->type));
        add_bits(o, "allow", w->allow);
        add_bits(o, "deny", w->deny);
        json_object_array_add(list, o);
    }
    return list;
}

static void add_thread_keys(struct json_object *o, const struct channel *ch,
                            uint64_t viewer)
{
    const struct thread *t = ch->thread;
    json_object_object_add(o, "owner_id", snowflake_json(t->owner_id));
    json_object_object_add(o, "message_count",
                           json_object_new_int(t->message_count));
    json_object_object_add(o, "total_message_sent",
                           json_object_new_int(t->total_message_sent));
    json_object_object_add(
        o, "member_count",
        json_object_new_uint64(t->member_count < 50 ? t->member_count : 50));

    struct json_object *meta = json_object_new_object();
    json_object_object_add(meta, "archived",
                           json_object_new_boolean(t->archived));
    add_stamp(meta, "archive_timestamp", t->archive_at);
    json_object_object_add(meta, "auto_archive_duration",
                           json_object_new_int(t->auto_archive_minutes));
    json_object_object_add(meta, "locked", json_object_new_boolean(t->locked));
    add_stamp(meta, "create_timestamp", t->created_at);
    if (ch->type == CHANNEL_PRIVATE_THREAD)
        json_object_object_add(meta, "invitable",
                               json_object_new_boolean(t->invitable));
    json_object_object_add(o, "thread_metadata", meta);

    struct json_object *member = viewer ? thread_member_json(ch, viewer) : NULL;
    if (member)
        json_object_object_add(o, "member", member);
}

struct json_object *channel_json(struct emulator *e, const struct channel *ch,
                                 uint64_t viewer)
{
    struct json_object *o = json_object_new_object();
    bool text = ch->type != CHANNEL_CATEGORY;
    (void)e;

    json_object_object_add(o, "id", snowflake_json(ch->id));
    json_object_object_add(o, "type", json_object_new_int(ch->type));
    json_object_object_add(o, "guild_id", snowflake_json(ch->guild_id));
    json_object_object_add(o, "name", json_object_new_string(ch->name));
    json_object_object_add(o, "parent_id", snowflake_json(ch->parent_id));
    json_object_object_add(o, "flags", json_object_new_int64(ch->flags));
    if (text) {
        json_object_object_add(o, "last_message_id",
                               snowflake_json(ch->last_message_id));
        json_object_object_add(o, "rate_limit_per_user",
                               json_object_new_int(ch->rate_limit_per_user));
    }
    if (ch->thread) {
        add_thread_keys(o, ch, viewer);
        return o;
    }

    json_object_object_add(o, "position", json_object_new_int(ch->position));
    json_object_object_add(o, "permission_overwrites", overwrites_json(ch));
    if (!text)
        return o;
    json_object_object_add(
        o, "topic", ch->topic ? json_object_new_string(ch->topic) : NULL);
    json_object_object_add(o, "nsfw", json_object_new_boolean(ch->nsfw));
    if (ch->last_pin_at)
        add_stamp(o, "last_pin_timestamp", ch->last_pin_at);
    if (ch->type == CHANNEL_VOICE) {
        json_object_object_add(o, "bitrate", json_object_new_int(64000));
        json_object_object_add(o, "user_limit", json_object_new_int(0));
        json_object_object_add(o, "rtc_region", NULL);
    }
    if (ch->default_auto_archive_minutes)
        json_object_object_add(
            o, "default_auto_archive_duration",
            json_object_new_int(ch->default_auto_archive_minutes));
    if (ch->default_thread_rate_limit)
        json_object_object_add(
            o, "default_thread_rate_limit_per_user",
            json_object_new_int(ch->default_thread_rate_limit));
    return o;
}
