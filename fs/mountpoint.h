/* The directory that is mounted on, before and after. */
#pragma once

#include "engine/base/err.h"

/* Is it a directory, and free? A mount whose daemon died is taken off. */
int mountpoint_prepare(const char *path, struct err *err);
