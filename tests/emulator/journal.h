/* The append-only log behind --data.
 *
 * Changes are collected with journal_add() and written together, as one
 * transaction, by journal_commit(): with write(2), before any answer leaves
 * the process, so that whatever was answered survives kill -9. A torn last
 * transaction is cut off at the next start. Without --data nothing is
 * written. Format: journal.c. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"

struct emulator;
struct journal;
struct json_object;

/* A record of `kind` ("message.put"): the part before the dot says whose it
 * is. record is copied as text now; the caller keeps it. */
void journal_add(struct emulator *e, const char *kind,
                 struct json_object *record);

/* A record with bytes behind it. */
void journal_add_blob(struct emulator *e, const char *kind,
                      struct json_object *record, const void *data, size_t len);

/* Writes what was added. The process stops when it cannot: an answer that
 * might be forgotten must not be given. */
void journal_commit(struct emulator *e);

/* Who takes up records at replay, chosen by the word before the dot, in the
 * order in which they were added. data is of the record's bytes, if any, and
 * record's and data's only for the call. They neither journal nor dispatch. */
void state_replay(struct emulator *e, const char *kind,
                  struct json_object *record, const void *data,
                  size_t len); /* all but these: state.c */
void commands_replay(struct emulator *e, const char *kind,
                     struct json_object *record, const void *data,
                     size_t len); /* "command.…": commands.c */

/* path NULL: memory only. */
int journal_open(struct emulator *e, const char *path, struct err *err);
void journal_close(struct emulator *e);
