/* Batches: the records that have no room in a message's content, as the lines
 * of a file that hangs on it. message_text.h draws the form. Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "engine/base/err.h"
#include "engine/message_text.h"
#include "engine/record.h"

/* The file of a batch. The whole digest is checked first: all or nothing. */
int batch_parse(const struct records *head, uint64_t message, const char *data,
                size_t len, struct records *out, struct err *err);

/* Bytes this record takes in a batch file, exactly (a text that is not here
 * counts as none): who gathers commits stops before their sum is above the
 * upload limit. */
size_t batch_line_len(const struct record *r);
