/* Embeds and components of a message's body: checked, and as Discord keeps
 * them. */
#pragma once

#include "tests/emulator/error.h"

struct json_object;

/* A new array, trimmed and with only what may be set; errors go to f under
 * `at`, and NULL may be returned then. */
struct json_object *embeds_take(struct form *f, struct json_object *list,
                                const char *at);

/* Checks components, classic or (v2) the newer kinds; a copy with ids. */
struct json_object *components_take(struct form *f, struct json_object *list,
                                    const char *at, bool v2);
