/* What the bot must be allowed in a server. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct need {
    unsigned bit;
    const char *name; /* as Discord's client shows it */
    const char *what_for;
};

extern const struct need needs[];
extern const size_t n_needs;

/* All of them, as a number for Discord. */
uint64_t needs_bits(void);
