/* What could be meant by what somebody is typing: names of databases, tables,
 * fields, keys, commands. From memory alone, in a bounded time, so that it may
 * be asked at each keystroke. */
#pragma once

#include "bot/interaction.h"
#include "engine/base/buf.h"

struct database;

/* The answer for the option that is focused; without choices where there is
 * nothing to say, or the person's server is none of ours (d NULL). A table that
 * is not in memory begins to be read, for the next keystroke. */
void complete_choices(struct database *d, const struct interaction *in,
                      struct buf *out);
