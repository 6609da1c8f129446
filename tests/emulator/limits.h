/* The limits a handler finds for itself, on top of the route's bucket: those
 * that headers do not announce. All follow the emulator's clock, and none
 * refuses anything with --limits off. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;
struct emulator;

/* Takes one use of a hidden limit for `key` (a channel, a guild, 0 for the
 * bot). True: go on. False: the call was answered with a 429 of this scope
 * and code (0: none). Take it when everything else was checked. */
bool limits_hidden(struct call *c, const char *name, uint64_t key, int limit,
                   int64_t window_ms, const char *scope, int code);
