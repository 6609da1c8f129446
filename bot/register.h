/* Slash commands as Discord is told of them: the one table of commands
 * (engine/command) with its options, written for a guild only where something
 * is different from what is registered there already (a guild may be told of
 * 200 new commands a day). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

struct discord;
struct json_object;

#define SLASH_PREFIX "dbc_"

/* The option every command has in Discord beside those of the table: the
 * answer is for everybody in the channel. */
#define SLASH_PUBLIC "public"

/* The list of commands, the body of a PUT. open: Discord lets everybody use
 * them, since this process looks at roles itself; else those who may manage the
 * server, until an administrator says otherwise. */
void register_write(bool open, struct buf *out);

/* Is that what is registered (the answer of a GET)? What Discord adds of its
 * own, and defaults it leaves out, make no difference. */
bool register_is_same(struct json_object *theirs, struct json_object *ours);

/* Registers them for one guild if they are not. Waits. *written (may be NULL)
 * says whether that was needed. */
int register_commands(struct discord *d, uint64_t application, uint64_t guild,
                      bool open, bool *written, struct err *err);
