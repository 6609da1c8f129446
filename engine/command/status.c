/* status: what this process does for whom. */
#include "engine/command/internal.h"

#include <stdio.h>
#include <string.h>

#include "engine/json.h"

/* Is it the one this call may tell of? */
static bool is_ours(const struct command_call *c, const struct json_member *d)
{
    struct json_member id;
    char wanted[32];

    snprintf(wanted, sizeof(wanted), "\"%llu\"",
             (unsigned long long)database_id(c->database));
    return json_find(d->value, d->value_len, "id", &id) &&
           id.value_len == strlen(wanted) &&
           memcmp(id.value, wanted, id.value_len) == 0;
}

static void add_own(const struct command_call *c, const struct json_member *all,
                    struct buf *out)
{
    struct json_member d;
    size_t n = 0;

    buf_addc(out, '[');
    for (size_t at = 0; json_element(all->value, all->value_len, &at, &d);) {
        if (!is_ours(c, &d))
            continue;
        if (n++ > 0)
            buf_addc(out, ',');
        buf_add(out, d.value, d.value_len);
    }
    buf_addc(out, ']');
}

static int run(struct command_call *c, struct err *err)
{
    AUTO_BUF struct buf b = BUF_INIT;
    AUTO_BUF struct buf own = BUF_INIT;
    struct json_member m;

    engine_status(c->engine, &b);
    if (!c->database)
        return call_put(c, &b, err);

    /* Numbers of the process are everybody's, names are their guild's. */
    buf_addc(&own, '{');
    for (size_t at = 0; json_next(b.data, b.len, &at, &m);) {
        if (own.len > 1)
            buf_addc(&own, ',');
        buf_printf(&own, "\"%.*s\":", (int)m.name_len, m.name);
        if (json_name_is(&m, "databases", 9))
            add_own(c, &m, &own);
        else
            buf_add(&own, m.value, m.value_len);
    }
    buf_addc(&own, '}');
    return call_put(c, &own, err);
}

const struct command command_status = {
    .name = "status",
    .summary = "Show databases, open tables, queues and the background writer",
    .run = run,
};
