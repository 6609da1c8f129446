/* Guild search as the event side sees it. */
#pragma once

#include <stdint.h>

struct emulator;
struct json_object;

/* Any event that is dispatched; those of messages reach the index after its
 * lag. */
void search_note(struct emulator *e, const char *type, uint64_t guild_id,
                 struct json_object *payload);
