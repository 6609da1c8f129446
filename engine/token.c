#include "engine/token.h"

#include <string.h>

#include "engine/base/digest.h"

/* Not a hash of anything that is likely, and of the same shape. */
const char token_overflow[TOKEN_LEN + 1] = "qvqvqvqvqvqvq";

/* No vowels, no y, no s: nothing that a stemmer takes for an ending. */
static const char letters[] = "bcdfghjklmnpqrtv";

static void spell(const struct buf *what, char out[TOKEN_LEN + 1])
{
    struct sha256 d = sha256_of(what->data, what->len);

    out[0] = 'q';
    for (size_t i = 0; i < 6; i++) {
        out[1 + 2 * i] = letters[d.byte[i] >> 4];
        out[2 + 2 * i] = letters[d.byte[i] & 15];
    }
    out[TOKEN_LEN] = '\0';
}

void token_of(const char *field, size_t field_len, const char *value,
              size_t value_len, char out[TOKEN_LEN + 1])
{
    AUTO_BUF struct buf b = BUF_INIT;

    if (!field) {
        buf_add(&b, "\0key:", 5);
        buf_add(&b, value, value_len);
        spell(&b, out);
        return;
    }
    buf_add(&b, field, field_len);
    buf_addc(&b, '\0');
    switch (json_type_of(value, value_len)) {
    case JSON_STRING:
        buf_addstr(&b, "str:");
        json_unescape(value, value_len, &b);
        break;
    case JSON_NUMBER:
        buf_addstr(&b, "num:");
        json_number_canonical(value, value_len, &b);
        break;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        buf_addstr(&b, "raw:");
        buf_add(&b, value, value_len);
        break;
    }
    spell(&b, out);
}

void token_of_canonical(const char *field, size_t field_len, const char *value,
                        size_t value_len, char out[TOKEN_LEN + 1])
{
    AUTO_BUF struct buf b = BUF_INIT;

    buf_add(&b, field, field_len);
    buf_addc(&b, '\0');
    buf_add(&b, value, value_len);
    spell(&b, out);
}

static void add_token(struct buf *out, const char *token)
{
    buf_addc(out, ' ');
    buf_add(out, token, TOKEN_LEN);
}

void tokens_of_row(const char *key, size_t key_len, const char *text,
                   size_t len, size_t room, struct buf *out)
{
    size_t places = room / (TOKEN_LEN + 1);
    char token[TOKEN_LEN + 1];
    struct json_member m;

    if (places == 0)
        return;
    token_of(NULL, 0, key, key_len, token);
    add_token(out, token);
    places--;
    for (size_t at = 0; json_next(text, len, &at, &m);) {
        if (m.type == JSON_OBJECT || m.type == JSON_ARRAY)
            continue;
        if (places == 0) {
            /* The last one that found room gives way. */
            buf_truncate(out, out->len - (TOKEN_LEN + 1));
            add_token(out, token_overflow);
            break;
        }
        AUTO_BUF struct buf name = BUF_INIT;
        json_unescape(m.name, m.name_len, &name);
        token_of(name.data, name.len, m.value, m.value_len, token);
        add_token(out, token);
        places--;
    }
}
