#include "engine/base/digest.h"

#include <openssl/evp.h>

#include "engine/base/alloc.h"

struct sha256 sha256_of(const void *data, size_t len)
{
    struct sha256 d;
    unsigned int n = 0;

    if (EVP_Digest(data, len, d.byte, &n, EVP_sha256(), NULL) != 1)
        abort(); /* SHA-256 fails only when the library cannot be used */
    return d;
}

const char *hex_of(const unsigned char *bytes, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    out[2 * n] = '\0';
    return out;
}
