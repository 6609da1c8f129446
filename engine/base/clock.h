/* Time. What computes with time takes it as an argument, so that a test can
 * move it; only the edges ask here. Milliseconds everywhere. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Never goes back; for time-outs and limits. */
int64_t clock_mono_ms(void);

/* The same in microseconds; for what is measured. */
int64_t clock_mono_us(void);

/* Since 1970; for what people read. */
int64_t clock_wall_ms(void);

/* "2026-11-22T23:51:34.123Z", 25 bytes with the NUL. */
#define CLOCK_ISO_SIZE 32
const char *clock_iso(int64_t wall_ms, char out[CLOCK_ISO_SIZE]);
