/* The table of commands in words, for a Discord client. Pure. */
#pragma once

#include "bot/show.h"

struct command;

/* One command, or with NULL the list of all. */
void manual_show(const struct command *c, struct shown *out);
