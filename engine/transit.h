/* What a message's content brings back as it was sent. Pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/base/buf.h"

/* Would Discord give these bytes back unchanged inside a message? Refuses
 * what it is known or suspected to strip: control and invisible characters,
 * custom emoji, and what is not UTF-8. */
bool text_survives_transit(const char *text, size_t len);

/* The same for one character alone (a newline and a tab stay). */
bool transit_strips(uint32_t cp);

/* UTF-8 as a JSON string of one line whose content survives: what might be
 * stripped is escaped. */
void transit_add_string(struct buf *b, const char *s, size_t len);
