/* An emulator of our own for a test: started on a free port, ended with the
 * test. Its program is in $DBCORD_EMULATOR; without it the test is skipped. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/buf.h"

struct emulated {
    char api[128], base[128], token[256];
    uint64_t guild;
    int pid;
    int out; /* its standard output */
};

/* limits: "real" or "off". Ends the program (exit 77) where there is none. */
void emulated_start(struct emulated *e, const char *limits);
void emulated_stop(struct emulated *e);

/* A control route: method, path ("/emulator/…"), JSON or NULL. The answer's
 * body, which must be a success. */
void emulated_tell(const struct emulated *e, const char *method,
                   const char *path, const char *json, struct buf *out);

/* How many requests of this method and route ("/channels/{id}/messages") it
 * had, and with this status if status is not 0. "" counts all routes. */
int emulated_count(const struct emulated *e, const char *method,
                   const char *route, int status);
