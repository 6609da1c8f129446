/* Rate limits as the emulator's requests meet them: the route's bucket, the
 * global 50 a second, the hidden ones, and the ban for too many invalid
 * requests. All follow the emulator's clock; with --limits off nothing is
 * refused and the headers stay. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct bucket;
struct call;
struct emulator;

void limits_open(struct emulator *e);
void limits_close(struct emulator *e);

/* The router's: true: go on. False: the call was answered. limits_banned asks
 * whether this address is shut out for its invalid requests; limits_global
 * takes one of the 50 a second; limits_bucket takes from the bucket and puts
 * the X-RateLimit headers on the answer, whatever it will be. */
bool limits_banned(struct call *c);
bool limits_global(struct call *c);
bool limits_bucket(struct call *c, const struct bucket *b, uint64_t key);

/* An answer of 401, 403 or 429 (but not of shared scope) was given. */
void limits_invalid(struct emulator *e);

/* Takes one use of a hidden limit for `key` (a channel, a guild, 0 for the
 * bot), one that no header announces. True: go on. False: the call was
 * answered with a 429 of this scope and code (0: none). Take it when
 * everything else was checked. */
bool limits_hidden(struct call *c, const char *name, uint64_t key, int limit,
                   int64_t window_ms, const char *scope, int code);
