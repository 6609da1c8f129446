#include "bot/presence.h"

#include <stdlib.h>

#include "bot/bot.h"
#include "bot/slash.h"
#include "engine/base/alloc.h"
#include "engine/engine.h"

struct presence {
    struct engine *engine; /* set before the first thread, as all */
    struct bot *bot;
    struct slash *slash; /* NULL: no commands */
};

/* On the gateway's thread, as the next. */
static void on_event(void *arg, const struct remote_event *event)
{
    struct presence *p = arg;

    engine_event(p->engine, event);
}

static void on_interaction(void *arg, struct json_object *data)
{
    struct presence *p = arg;

    slash_interaction(p->slash, data);
}

int presence_start(const struct presence_options *o, struct presence **out,
                   struct err *err)
{
    struct presence *p = xcalloc(1, sizeof(*p));
    struct bot_options options = {
        .guilds = o->guilds,
        .n_guilds = o->n_guilds,
        .event = on_event,
        .interaction = o->commands ? on_interaction : NULL,
        .arg = p,
    };

    p->engine = o->engine;
    if (o->commands) {
        struct slash_options slash = {
            .discord = o->discord,
            .engine = o->engine,
            .roles = o->roles,
            .n_roles = o->n_roles,
        };
        p->slash = slash_start(&slash);
    }
    int r = bot_start(o->discord, &options, &p->bot, err);
    if (r < 0) {
        slash_stop(p->slash);
        free(p);
        return r;
    }
    *out = p;
    return 0;
}

void presence_stop(struct presence *p)
{
    if (!p)
        return;
    bot_stop(p->bot);
    slash_stop(p->slash);
    free(p);
}

bool presence_is_fatal(struct presence *p, struct err *why)
{
    return bot_is_fatal(p->bot, why);
}

void presence_status(struct presence *p, struct buf *out)
{
    bot_status(p->bot, out);
    if (!p->slash || out->len == 0 || out->data[out->len - 1] != '}')
        return;
    buf_truncate(out, out->len - 1);
    buf_addstr(out, ",\"commands\":");
    slash_status(p->slash, out);
    buf_addc(out, '}');
}
