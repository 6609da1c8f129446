/* The addresses this process talks to: https:// and wss:// anywhere, http://
 * and ws:// on this machine alone, so that a token or a row never crosses a
 * network in the clear. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "engine/base/err.h"

struct url {
    bool tls;
    bool loopback;
    char host[256]; /* without brackets */
    uint16_t port;
    char path[1024]; /* "" or "/…", with its query; no fragment */
};

/* Takes scheme://host[:port][/path]; nothing before the host. -EINVAL with the
 * reason, which never repeats the path: a link's query is a key. */
int url_parse(const char *text, struct url *out, struct err *err);
