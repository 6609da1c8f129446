/* status: what this process does for whom. */
#include "engine/command/internal.h"

static int run(struct command_call *c, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;

    engine_status(c->engine, &b);
    return call_put(c, &b, err);
}

const struct command command_status = {
    .name = "status",
    .summary = "Show databases, open tables, queues and the background writer",
    .run = run,
};
