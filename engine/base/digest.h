/* SHA-256 over OpenSSL, and its short forms as text. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct sha256 {
    unsigned char byte[32];
};

struct sha256 sha256_of(const void *data, size_t len);

/* Over a and then b. */
struct sha256 sha256_of_two(const void *a, size_t a_len, const void *b,
                            size_t b_len);

/* The first n bytes (n <= 32) as 2 n lower-case hex digits and a NUL. */
const char *hex_of(const unsigned char *bytes, size_t n, char *out);
