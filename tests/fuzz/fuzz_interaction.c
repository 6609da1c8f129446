/* What Discord says somebody did: whatever is in it, what was read of it is
 * whole, and what was not has a reason. */
#include <json-c/json.h>
#include <string.h>

#include "bot/complete.h"
#include "bot/interaction.h"
#include "engine/discord/message.h"
#include "tests/fuzz/fuzz.h"

static void check_option(const struct interaction_option *o)
{
    REQUIRE(o->name && o->value);
    REQUIRE(o->value_len == 0 || o->value[o->value_len] == '\0');
    REQUIRE(!o->url == !o->file_name);
}

static void read_event(const char *text, size_t len)
{
    struct json_object *o = message_json(text, len);
    struct interaction in;
    struct err err = ERR_INIT;
    AUTO_BUF struct buf choices = BUF_INIT;

    int r = interaction_parse(o, &in, &err);
    if (r < 0) {
        REQUIRE(err.text[0] != '\0');
    } else {
        REQUIRE(in.id && in.token && in.user && in.user_name);
        REQUIRE(in.kind == INTERACTION_PRESS ? in.custom_id != NULL
                                             : in.command != NULL);
        for (size_t i = 0; i < in.n_options; i++)
            check_option(&in.options[i]);
        if (in.kind == INTERACTION_TYPING) {
            complete_choices(NULL, &in, &choices);
            REQUIRE(choices.len > 0);
        }
    }
    interaction_release(&in);
    json_object_put(o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    read_event((const char *)data, size);
    return 0;
}
