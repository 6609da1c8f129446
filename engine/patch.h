/* RFC 7396 on texts: what the patch does not name keeps every byte. Pure. */
#pragma once

#include <stddef.h>

#include "engine/base/buf.h"
#include "engine/base/err.h"

/* Both are JSON objects, text one that json_check() accepted. -EINVAL where
 * the patch is not. out is appended to. */
int patch_merge(const char *text, size_t len, const char *patch,
                size_t patch_len, struct buf *out, struct err *err);
