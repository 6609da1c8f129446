/* What Discord sends, read as each thing it could be: nothing is believed that
 * does not hold, and what is read is complete. */
#include <json-c/json.h>
#include <string.h>

#include "engine/base/str.h"
#include "engine/discord/discord.h"
#include "engine/discord/facts.h"
#include "engine/discord/message.h"
#include "engine/discord/status.h"
#include "tests/fuzz/fuzz.h"

static void check_message(const struct remote_message *m)
{
    REQUIRE(m->id && m->channel_id && m->content);
    REQUIRE(m->content[m->content_len] == '\0');
    REQUIRE(utf8_valid(m->content, m->content_len));
    for (size_t i = 0; i < m->n_files; i++)
        REQUIRE(m->files[i].id && m->files[i].name && m->files[i].url);
}

static void check_page(struct remote_reply *r)
{
    for (size_t i = 0; i < r->n_messages; i++) {
        check_message(&r->messages[i]);
        REQUIRE(i == 0 || r->messages[i - 1].id < r->messages[i].id);
    }
}

static void check_rights(struct json_object *o)
{
    struct facts *f = facts_new();
    struct remote_channel c = {.id = message_id(o, "id")};

    facts_note_me(f, 7);
    facts_note_guild(f, o);
    facts_note_member(f, message_id(o, "id"), o);
    facts_note_role(f, message_id(o, "id"), o);
    facts_note_channel(f, 1, o);
    facts_rights(f, &c);
    REQUIRE(facts_max_file(f, c.id, 0) >= 10 << 20);
    facts_free(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct json_object *o = message_json((const char *)data, size);
    struct remote_message m;
    struct remote_channel c;
    struct remote_reply page = {0}, hits = {0};
    struct status s;
    struct err err = ERR_INIT;

    status_read(&s, 400, (const char *)data, size);
    REQUIRE(status_error(&s, false, &err) < 0 && err.text[0]);
    REQUIRE(utf8_valid(err.text, strlen(err.text)));

    struct buf body = {(char *)(uintptr_t)data, size, size};
    struct discord_gateway g;
    if (discord_parse_gateway(&body, &g, NULL) == 0)
        REQUIRE(strncmp(g.url, "ws", 2) == 0 || strncmp(g.url, "http", 4) == 0);

    if (discord_parse_message(o, &m) == 0) {
        check_message(&m);
        remote_message_release(&m);
    }
    if (discord_parse_channel(o, &c) == 0) {
        REQUIRE(c.id && c.name);
        free(c.name);
    }
    if (message_read_list(o, &page) == 0)
        check_page(&page);
    remote_reply_release(&page);
    if (message_read_search(o, &hits) == 0)
        check_page(&hits);
    remote_reply_release(&hits);
    if (o)
        check_rights(o);
    json_object_put(o);
    return 0;
}
