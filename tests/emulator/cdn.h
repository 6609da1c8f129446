/* The CDN: links to attachments, signed, good for a day. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct call;
struct emulator;

/* A link signed now; free() it. */
char *cdn_link(struct emulator *e, uint64_t channel_id, uint64_t attachment_id,
               const char *filename);

/* GET and HEAD of /attachments/{channel}/{attachment}/{file}. */
void cdn_call(struct call *c);
