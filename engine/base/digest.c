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

struct sha256 sha256_of_two(const void *a, size_t a_len, const void *b,
                            size_t b_len)
{
    struct sha256 d;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    if (!ctx || EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1 ||
        EVP_DigestUpdate(ctx, a, a_len) != 1 ||
        EVP_DigestUpdate(ctx, b, b_len) != 1 ||
        EVP_DigestFinal_ex(ctx, d.byte, NULL) != 1)
        abort(); /* as above */
    EVP_MD_CTX_free(ctx);
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
