#include "bot/manual.h"

#include <stdlib.h>
#include <string.h>

#include "bot/register.h"
#include "engine/base/alloc.h"
#include "engine/base/str.h"
#include "engine/command/command.h"

static void add_page(struct shown *out, struct buf *page)
{
    out->pages = xrealloc(out->pages, (out->n + 1) * sizeof(*out->pages));
    out->pages[out->n++] = buf_take_str(page);
}

static void add_option(const struct command_option *o, struct buf *out)
{
    buf_printf(out, "- `%s`%s: %s", o->name, o->required ? "" : " (optional)",
               o->help);
    if (o->instead)
        buf_printf(out, "; or give `%s`", o->instead);
    for (size_t i = 0; o->type == COMMAND_CHOICE && o->choices[i]; i++)
        buf_printf(out, "%s`%s`", i ? ", " : ": ", o->choices[i]);
    buf_addc(out, '\n');
}

static void show_one(const struct command *c, struct shown *out)
{
    struct buf page = BUF_INIT;

    buf_printf(&page, "**/" SLASH_PREFIX "%s**: %s.\n", c->name, c->summary);
    if (c->details)
        buf_printf(&page, "%s\n", c->details);
    for (size_t i = 0; i < c->n_options; i++)
        add_option(&c->options[i], &page);
    buf_addstr(&page, "- `" SLASH_PUBLIC "` (optional): show the answer to "
                      "everybody in this channel\n");
    if (c->destructive)
        buf_addstr(&page, "Asks before it does anything.\n");
    add_page(out, &page);
}

void manual_show(const struct command *c, struct shown *out)
{
    struct buf page = BUF_INIT;
    AUTO_BUF struct buf line = BUF_INIT;

    *out = (struct shown){0};
    if (c) {
        show_one(c, out);
        return;
    }
    for (size_t i = 0; i < command_count(); i++) {
        const struct command *one = command_at(i);
        buf_reset(&line);
        buf_printf(&line, "**/" SLASH_PREFIX "%s**: %s\n", one->name,
                   one->summary);
        if (page.len + line.len > SHOW_CONTENT_MAX)
            add_page(out, &page);
        buf_add(&page, line.data, line.len);
    }
    add_page(out, &page);
}
