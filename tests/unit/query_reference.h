/* What a where means, written a second time on json-c's trees: slow, and
 * nothing of it is the engine's. Numbers are doubles here, names and field
 * paths C strings, no name may be in an object twice. */
#pragma once

#include <stdbool.h>

/* where: fields with an object of operators each. */
bool reference_matches(const char *where, const char *row);

/* Two scalars as JSON text: <0, 0, >0. */
int reference_order(const char *a, const char *b);
