/* A state machine over bytes, so that a row can be judged while it is still
 * being written:
 *
 *     lex   what the next byte belongs to: the gap between tokens, a string,
 *           an escape, a character of several bytes, a number, a word
 *     want  what the grammar allows where the gap ends
 *     nest  one bit for each open bracket: 1 an object, 0 an array
 *
 * Nearly all bytes of real rows are plain characters in strings; those are
 * taken eight at a time. */
#include "engine/json.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "engine/base/str.h"

enum lex {
    LEX_GAP,
    LEX_STRING,
    LEX_ESCAPE, /* behind a backslash */
    LEX_HEX,    /* sub: digits of \uXXXX still to come */
    LEX_UTF8,   /* sub: bytes still to come; utf8: lowest | highest << 8 */
    LEX_NUMBER, /* sub: enum number */
    LEX_WORD,   /* sub: letters taken; utf8: index into words[] */
};

enum want {
    WANT_START,
    WANT_NAME_OR_END,
    WANT_NAME,
    WANT_COLON,
    WANT_VALUE,
    WANT_VALUE_OR_END,
    WANT_NEXT, /* ',' or the closing bracket */
    WANT_NOTHING,
};

enum number {
    NUM_MINUS,
    NUM_ZERO,
    NUM_INT,
    NUM_POINT,
    NUM_FRACTION,
    NUM_E,
    NUM_SIGN,
    NUM_EXPONENT,
};

static const char *const words[] = {"true", "false", "null"};

const char json_why_utf8[] = "a byte that is not UTF-8";

/* What to say where a byte does not fit, by what was wanted. */
static const char *const wanted[] = {
    [WANT_START] = "expected '{': a row is one JSON object",
    [WANT_NAME_OR_END] = "expected a name in quotes, or '}'",
    [WANT_NAME] = "expected a name in quotes after ','",
    [WANT_COLON] = "expected ':' after a name",
    [WANT_VALUE] = "expected a value",
    [WANT_VALUE_OR_END] = "expected a value, or ']'",
    [WANT_NEXT] = NULL, /* depends on the bracket that is open */
    [WANT_NOTHING] = "expected nothing more after the closing '}'",
};

void json_scan_init(struct json_scan *s)
{
    memset(s, 0, sizeof(*s));
    s->line = 1;
    s->column = 1;
}

static bool in_object(const struct json_scan *s)
{
    unsigned top = s->depth - 1u;
    return s->nest[top / 8] >> (top % 8) & 1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static const char *open_bracket(struct json_scan *s, char c)
{
    if (s->depth == JSON_DEPTH_MAX)
        return "nested too deep: 256 levels is the most";

    unsigned char bit = (unsigned char)(1u << (s->depth % 8));
    if (c == '{')
        s->nest[s->depth / 8] |= bit;
    else
        s->nest[s->depth / 8] &= (unsigned char)~bit;
    s->depth++;
    s->want = c == '{' ? WANT_NAME_OR_END : WANT_VALUE_OR_END;
    return NULL;
}

static const char *close_bracket(struct json_scan *s)
{
    s->depth--;
    s->want = s->depth ? WANT_NEXT : WANT_NOTHING;
    if (s->depth == 0)
        s->state = JSON_DONE;
    return NULL;
}

static const char *begin_value(struct json_scan *s, char c)
{
    switch (c) {
    case '{':
    case '[':
        return open_bracket(s, c);
    case '"':
        s->lex = LEX_STRING;
        return NULL;
    case '-':
        s->lex = LEX_NUMBER;
        s->sub = NUM_MINUS;
        return NULL;
    case '0':
        s->lex = LEX_NUMBER;
        s->sub = NUM_ZERO;
        return NULL;
    case 't':
    case 'f':
    case 'n':
        s->lex = LEX_WORD;
        s->sub = 1;
        s->utf8 = c == 't' ? 0 : c == 'f' ? 1 : 2;
        return NULL;
    case '\'':
        return "expected a value: strings take double quotes";
    default:
        if (!is_digit(c))
            return wanted[s->want];
        s->lex = LEX_NUMBER;
        s->sub = NUM_INT;
        return NULL;
    }
}

/* The first byte of a token. NULL, or what is wrong. */
static const char *begin_token(struct json_scan *s, char c)
{
    switch ((enum want)s->want) {
    case WANT_START:
        if (c == '\xef')
            return "expected '{', not a byte order mark";
        return c == '{' ? open_bracket(s, c) : wanted[WANT_START];
    case WANT_NAME_OR_END:
        if (c == '}')
            return close_bracket(s);
        /* fall through */
    case WANT_NAME:
        if (c == '"') {
            s->lex = LEX_STRING;
            return NULL;
        }
        if (s->want == WANT_NAME && c == '}')
            return "expected a name after ',': no comma before '}'";
        return wanted[s->want];
    case WANT_COLON:
        if (c != ':')
            return wanted[WANT_COLON];
        s->want = WANT_VALUE;
        return NULL;
    case WANT_VALUE_OR_END:
        if (c == ']')
            return close_bracket(s);
        /* fall through */
    case WANT_VALUE:
        return begin_value(s, c);
    case WANT_NEXT:
        if (in_object(s)) {
            if (c == '}')
                return close_bracket(s);
            if (c != ',')
                return "expected ',' or '}' after a value";
            s->want = WANT_NAME;
        } else {
            if (c == ']')
                return close_bracket(s);
            if (c != ',')
                return "expected ',' or ']' after a value";
            s->want = WANT_VALUE;
        }
        return NULL;
    case WANT_NOTHING:
        break;
    }
    return wanted[WANT_NOTHING];
}

static void end_value(struct json_scan *s)
{
    s->lex = LEX_GAP;
    s->want = WANT_NEXT;
}

static void end_string(struct json_scan *s)
{
    bool name = s->want == WANT_NAME || s->want == WANT_NAME_OR_END;

    s->lex = LEX_GAP;
    s->want = name ? WANT_COLON : WANT_NEXT;
}

/* The lead byte of a character of several bytes, in a string. The second
 * byte's range is what keeps out overlong forms and surrogates. */
static const char *begin_utf8(struct json_scan *s, unsigned char c)
{
    unsigned lowest = 0x80, highest = 0xbf;

    if (c < 0xc2 || c > 0xf4)
        return json_why_utf8;
    if (c == 0xe0)
        lowest = 0xa0;
    else if (c == 0xed)
        highest = 0x9f;
    else if (c == 0xf0)
        lowest = 0x90;
    else if (c == 0xf4)
        highest = 0x8f;
    s->lex = LEX_UTF8;
    s->sub = c < 0xe0 ? 1 : c < 0xf0 ? 2 : 3;
    s->utf8 = lowest | highest << 8;
    return NULL;
}

/* One byte more of a number. True: it belongs to it. */
static bool number_takes(struct json_scan *s, char c, const char **why)
{
    enum number next;

    switch ((enum number)s->sub) {
    case NUM_MINUS:
        if (!is_digit(c)) {
            *why = "expected a digit after '-'";
            return false;
        }
        next = c == '0' ? NUM_ZERO : NUM_INT;
        break;
    case NUM_ZERO:
        if (is_digit(c)) {
            *why = "a number may not begin with 0";
            return false;
        }
        /* fall through */
    case NUM_INT:
        if (is_digit(c))
            next = NUM_INT;
        else if (c == '.')
            next = NUM_POINT;
        else if (c == 'e' || c == 'E')
            next = NUM_E;
        else
            return false;
        break;
    case NUM_POINT:
        if (!is_digit(c)) {
            *why = "expected a digit after the decimal point";
            return false;
        }
        next = NUM_FRACTION;
        break;
    case NUM_FRACTION:
        if (is_digit(c))
            next = NUM_FRACTION;
        else if (c == 'e' || c == 'E')
            next = NUM_E;
        else
            return false;
        break;
    case NUM_E:
        if (c == '+' || c == '-') {
            next = NUM_SIGN;
            break;
        }
        /* fall through */
    case NUM_SIGN:
    case NUM_EXPONENT:
        if (is_digit(c)) {
            next = NUM_EXPONENT;
            break;
        }
        if (s->sub != NUM_EXPONENT)
            *why = "expected a digit in the exponent";
        return false;
    default:
        return false;
    }
    s->sub = (unsigned char)next;
    return true;
}

#define EACH(byte) (0x0101010101010101u * (byte))

/* Is none of these eight bytes a quote, a backslash, a control character or
 * beyond ASCII? (A byte is zero where subtracting one borrows.) */
static bool plain_8(const char *p)
{
    uint64_t x;

    memcpy(&x, p, 8);
    uint64_t quote = x ^ EACH('"'), back = x ^ EACH('\\');
    uint64_t hit = ((quote - EACH(1u)) & ~quote) | ((back - EACH(1u)) & ~back) |
                   ((x - EACH(0x20u)) & ~x) | x;
    return (hit & EACH(0x80u)) == 0;
}

static size_t plain_run(const char *p, size_t len)
{
    size_t n = 0;

    while (len - n >= 8 && plain_8(p + n))
        n += 8;
    while (n < len) {
        unsigned char c = (unsigned char)p[n];
        if (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
            break;
        n++;
    }
    return n;
}

/* Characters of several bytes that lie whole in p: how many bytes, and into
 * *chars how many characters. What is odd is left to the slow path, which
 * knows how to complain. */
static size_t wide_run(const char *p, size_t len, size_t *chars)
{
    size_t n = 0;

    while (n < len && (unsigned char)p[n] >= 0x80) {
        uint32_t cp;
        size_t bytes = utf8_decode(p + n, len - n, &cp);
        if (bytes == 0)
            break;
        n += bytes;
        ++*chars;
    }
    return n;
}

/* One byte inside a string, escape or character. NULL, or what is wrong. */
static const char *string_byte(struct json_scan *s, char c)
{
    unsigned char u = (unsigned char)c;

    switch ((enum lex)s->lex) {
    case LEX_STRING:
        if (c == '"')
            end_string(s);
        else if (c == '\\')
            s->lex = LEX_ESCAPE;
        else if (u == '\n' || u == '\r')
            return "a string ends before the line does: missing '\"', or "
                   "write \\n";
        else if (u < 0x20)
            return "a control character in a string: write it as \\u00XX";
        else if (u >= 0x80)
            return begin_utf8(s, u);
        return NULL;
    case LEX_ESCAPE:
        if (c == 'u') {
            s->lex = LEX_HEX;
            s->sub = 4;
            return NULL;
        }
        if (c == '\0' || !strchr("\"\\/bfnrt", c))
            return "expected one of \" \\ / b f n r t u after a backslash";
        s->lex = LEX_STRING;
        return NULL;
    case LEX_HEX:
        if (!is_digit(c) && !((c | 0x20) >= 'a' && (c | 0x20) <= 'f'))
            return "expected four hexadecimal digits after \\u";
        if (--s->sub == 0)
            s->lex = LEX_STRING;
        return NULL;
    case LEX_UTF8:
        if (u < (s->utf8 & 0xff) || u > s->utf8 >> 8)
            return json_why_utf8;
        s->utf8 = 0x80 | 0xbf << 8;
        if (--s->sub == 0)
            s->lex = LEX_STRING;
        return NULL;
    case LEX_GAP:
    case LEX_NUMBER:
    case LEX_WORD:
        break;
    }
    return "lost"; /* not reached */
}

static enum json_state bad(struct json_scan *s, const char *why)
{
    s->state = JSON_BAD;
    s->why = why;
    return JSON_BAD;
}

enum json_state json_scan_feed(struct json_scan *s, const char *data,
                               size_t len)
{
    if (s->state == JSON_BAD)
        return JSON_BAD;

    for (size_t i = 0; i < len;) {
        const char *why = NULL;
        char c = data[i];

        switch ((enum lex)s->lex) {
        case LEX_GAP:
            if (is_space(c)) {
                if (c == '\n') {
                    s->line++;
                    s->column = 0; /* and one for this byte, below */
                }
                break;
            }
            why = begin_token(s, c);
            break;
        case LEX_STRING: {
            size_t n = plain_run(data + i, len - i);
            size_t chars = n;
            n += wide_run(data + i + n, len - i - n, &chars);
            if (n > 0) {
                i += n;
                s->offset += n;
                s->column += chars;
                continue;
            }
            why = string_byte(s, c);
            break;
        }
        case LEX_ESCAPE:
        case LEX_HEX:
        case LEX_UTF8:
            why = string_byte(s, c);
            break;
        case LEX_NUMBER:
            if (!number_takes(s, c, &why) && !why) {
                end_value(s);
                continue; /* the byte is looked at again, as what follows */
            }
            break;
        case LEX_WORD:
            if (words[s->utf8][s->sub] != c)
                why = "expected a value: true, false, null, a number, or a "
                      "string in quotes";
            else if (words[s->utf8][++s->sub] == '\0')
                end_value(s);
            break;
        }
        if (why)
            return bad(s, why);
        i++;
        s->offset++;
        /* A character of several bytes counts when its last has come. */
        if (s->lex != LEX_UTF8)
            s->column++;
    }
    return s->state;
}

bool json_scan_lacks_end(const struct json_scan *s)
{
    return s->state == JSON_MORE && s->lex == LEX_GAP && s->want == WANT_NEXT;
}

int json_scan_error(const struct json_scan *s, struct err *err)
{
    if (s->state == JSON_BAD)
        return err_set(err, -EINVAL, "line %zu, column %zu: %s", s->line,
                       s->column, s->why);
    if (s->want == WANT_START)
        return err_set(err, -EINVAL, "the text is empty: %s",
                       wanted[WANT_START]);

    const char *where = wanted[s->want];
    if (s->lex == LEX_NUMBER || s->lex == LEX_WORD)
        where = "in the middle of a value";
    else if (s->lex != LEX_GAP)
        where = "in the middle of a string";
    else if (s->want == WANT_NEXT)
        where = in_object(s) ? "expected ',' or '}'" : "expected ',' or ']'";
    return err_set(err, -EINVAL,
                   "line %zu, column %zu: the text ends here, %s (%u %s open)",
                   s->line, s->column, where, s->depth,
                   s->depth == 1 ? "bracket is" : "brackets are");
}

int json_check(const char *text, size_t len, struct err *err)
{
    struct json_scan s;

    json_scan_init(&s);
    if (json_scan_feed(&s, text, len) == JSON_DONE)
        return 0;
    return json_scan_error(&s, err);
}

/* --- spans of a text that was checked ------------------------------------- */

static size_t skip_space(const char *text, size_t len, size_t i)
{
    while (i < len && is_space(text[i]))
        i++;
    return i;
}

/* i: at the opening quote. Behind the closing one. */
static size_t skip_string(const char *text, size_t len, size_t i)
{
    i++;
    while (i < len) {
        const char *quote = memchr(text + i, '"', len - i);
        if (!quote)
            return len;
        size_t end = (size_t)(quote - text), slash = end;
        while (slash > i && text[slash - 1] == '\\')
            slash--;
        if ((end - slash) % 2 == 0)
            return end + 1;
        i = end + 1;
    }
    return len;
}

static size_t skip_value(const char *text, size_t len, size_t i)
{
    size_t depth = 0;

    while (i < len) {
        switch (text[i]) {
        case '"':
            i = skip_string(text, len, i);
            break;
        case '{':
        case '[':
            depth++;
            i++;
            break;
        case '}':
        case ']':
            if (depth == 0)
                return i;
            depth--;
            i++;
            break;
        default:
            /* Inside of brackets also gaps, commas and colons. */
            while (depth == 0 && i < len && !is_space(text[i]) &&
                   text[i] != ',' && text[i] != '}' && text[i] != ']')
                i++;
            i += depth > 0;
        }
        if (depth == 0)
            return i;
    }
    return len;
}

enum json_type json_type_of(const char *value, size_t len)
{
    switch (len ? value[0] : 'n') {
    case '{':
        return JSON_OBJECT;
    case '[':
        return JSON_ARRAY;
    case '"':
        return JSON_STRING;
    case 't':
    case 'f':
        return JSON_BOOL;
    case 'n':
        return JSON_NULL;
    default:
        return JSON_NUMBER;
    }
}

/* Behind an opening bracket or a comma: where the next item starts, or len. */
static size_t item_start(const char *text, size_t len, size_t at, char open)
{
    size_t i = skip_space(text, len, at);

    if (at == 0) {
        if (i >= len || text[i] != open)
            return len;
        return skip_space(text, len, i + 1);
    }
    if (i < len && text[i] == ',')
        return skip_space(text, len, i + 1);
    return len;
}

bool json_next(const char *text, size_t len, size_t *at,
               struct json_member *out)
{
    size_t i = item_start(text, len, *at, '{');

    if (i >= len || text[i] != '"')
        return false;
    size_t end = skip_string(text, len, i);
    size_t v = skip_space(text, len, end);
    if (end < i + 2 || v >= len || text[v] != ':')
        return false;
    v = skip_space(text, len, v + 1);
    size_t behind = skip_value(text, len, v);
    if (behind == v)
        return false;

    *out = (struct json_member){
        .name = text + i + 1,
        .name_len = end - i - 2,
        .value = text + v,
        .value_len = behind - v,
        .type = json_type_of(text + v, behind - v),
    };
    *at = behind;
    return true;
}

bool json_element(const char *text, size_t len, size_t *at,
                  struct json_member *out)
{
    size_t i = item_start(text, len, *at, '[');
    size_t behind = i < len ? skip_value(text, len, i) : i;

    if (behind == i)
        return false;
    *out = (struct json_member){
        .value = text + i,
        .value_len = behind - i,
        .type = json_type_of(text + i, behind - i),
    };
    *at = behind;
    return true;
}

bool json_name_is(const struct json_member *m, const char *name,
                  size_t name_len)
{
    if (!memchr(m->name, '\\', m->name_len))
        return m->name_len == name_len && memcmp(m->name, name, name_len) == 0;
    if (m->name_len < name_len)
        return false;

    struct json_chars c;
    const char *run;
    size_t n, at = 0;
    json_chars_init(&c, m->name, m->name_len);
    for (; json_chars_next(&c, &run, &n); at += n)
        if (n > name_len - at || memcmp(run, name + at, n) != 0)
            return false;
    return at == name_len;
}

bool json_find(const char *text, size_t len, const char *name,
               struct json_member *out)
{
    struct json_member m;
    size_t name_len = strlen(name);

    for (size_t at = 0; json_next(text, len, &at, &m);) {
        if (!json_name_is(&m, name, name_len))
            continue;
        *out = m;
        return true;
    }
    return false;
}

/* --- values --------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits at s as a number, or -1. */
static int32_t hex_4(const char *s, size_t len)
{
    int32_t v = 0;

    if (len < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(s[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static size_t put_utf8(char b[4], uint32_t cp)
{
    if (cp < 0x80) {
        b[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        b[0] = (char)(0xc0 | cp >> 6);
        b[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        b[0] = (char)(0xe0 | cp >> 12);
        b[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        b[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    b[0] = (char)(0xf0 | cp >> 18);
    b[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    b[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    b[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* s: behind "\u". The bytes of out that were set; *taken of s. */
static size_t unescape_u(const char *s, size_t len, char out[4], size_t *taken)
{
    int32_t cp = hex_4(s, len), low;

    *taken = 0;
    if (cp < 0)
        return 0;
    if (cp >= 0xd800 && cp < 0xdc00 && len >= 10 && s[4] == '\\' &&
        s[5] == 'u' && (low = hex_4(s + 6, len - 6)) >= 0xdc00 &&
        low < 0xe000) {
        *taken = 10;
        return put_utf8(out, 0x10000u + ((uint32_t)(cp - 0xd800) << 10) +
                                 (uint32_t)(low - 0xdc00));
    }
    *taken = 4;
    return put_utf8(out, (uint32_t)cp);
}

void json_chars_init(struct json_chars *c, const char *s, size_t len)
{
    if (len >= 2 && s[0] == '"' && s[len - 1] == '"') {
        s++;
        len -= 2;
    }
    c->at = s;
    c->end = s + len;
}

bool json_chars_next(struct json_chars *c, const char **run, size_t *len)
{
    size_t left = (size_t)(c->end - c->at);

    if (left == 0)
        return false;
    const char *slash = memchr(c->at, '\\', left);
    if (slash != c->at) {
        *run = c->at;
        *len = slash ? (size_t)(slash - c->at) : left;
        c->at += *len;
        return true;
    }
    if (left == 1)
        return false;

    char escape = c->at[1];
    size_t taken = 0;
    c->at += 2;
    *run = c->few;
    *len = 1;
    switch (escape) {
    case 'b':
        c->few[0] = '\b';
        break;
    case 'f':
        c->few[0] = '\f';
        break;
    case 'n':
        c->few[0] = '\n';
        break;
    case 'r':
        c->few[0] = '\r';
        break;
    case 't':
        c->few[0] = '\t';
        break;
    case 'u':
        *len = unescape_u(c->at, left - 2, c->few, &taken);
        c->at += taken;
        break;
    default:
        c->few[0] = escape;
    }
    return true;
}

void json_unescape(const char *s, size_t len, struct buf *out)
{
    struct json_chars c;
    const char *run;
    size_t n;

    json_chars_init(&c, s, len);
    buf_reserve(out, len);
    while (json_chars_next(&c, &run, &n))
        buf_add(out, run, n);
}

/* A number as sign, digits without zeros at either end, and the power of ten
 * behind the first digit's decimal point: 0.00120 is + 12 -3. Zero has no
 * digits. */
struct decimal {
    bool negative;
    const char *at; /* in the text; a point may lie between the digits */
    size_t digits;
    int64_t power;
};

/* Exponents beyond this are all the same: no text is long enough to make up
 * for the difference. */
#define POWER_MAX ((int64_t)1 << 60)

static struct decimal decimal_of(const char *s, size_t len)
{
    struct decimal d = {0};
    size_t i = 0;
    int64_t before = 0, exponent = 0;
    size_t first = 0, last = 0, zeros_after_point = 0;
    bool point = false, any = false, down = false;

    if (i < len && s[i] == '-') {
        d.negative = true;
        i++;
    }
    for (; i < len && (is_digit(s[i]) || s[i] == '.'); i++) {
        if (s[i] == '.') {
            point = true;
            continue;
        }
        if (!any && s[i] == '0') {
            if (point)
                zeros_after_point++;
            continue;
        }
        if (!any) {
            any = true;
            first = i;
        }
        if (s[i] != '0')
            last = i;
        if (!point)
            before++;
    }
    if (!any) {
        d.negative = false;
        return d;
    }
    if (i < len && (s[i] == 'e' || s[i] == 'E')) {
        i++;
        if (i < len && (s[i] == '-' || s[i] == '+'))
            down = s[i++] == '-';
        for (; i < len && is_digit(s[i]); i++)
            if (exponent < POWER_MAX / 16)
                exponent = exponent * 10 + (s[i] - '0');
    }
    d.at = s + first;
    for (size_t k = first; k <= last; k++)
        d.digits += s[k] != '.';
    d.power = before > 0 ? before - 1 : -1 - (int64_t)zeros_after_point;
    d.power += down ? -exponent : exponent;
    return d;
}

void json_number_canonical(const char *s, size_t len, struct buf *out)
{
    struct decimal d = decimal_of(s, len);

    if (d.negative)
        buf_addc(out, '-');
    if (d.digits == 0)
        buf_addc(out, '0');
    for (size_t n = 0, i = 0; n < d.digits; i++) {
        if (d.at[i] == '.')
            continue;
        buf_addc(out, d.at[i]);
        n++;
    }
    if (d.digits > 0)
        buf_printf(out, "e%lld", (long long)d.power);
}

/* |a| against |b| */
static int compare_size(const struct decimal *a, const struct decimal *b)
{
    if (a->digits == 0 || b->digits == 0)
        return (a->digits > 0) - (b->digits > 0);
    if (a->power != b->power)
        return a->power < b->power ? -1 : 1;
    for (size_t n = 0, i = 0, j = 0; n < a->digits && n < b->digits; n++) {
        if (a->at[i] == '.')
            i++;
        if (b->at[j] == '.')
            j++;
        if (a->at[i] != b->at[j])
            return a->at[i] < b->at[j] ? -1 : 1;
        i++;
        j++;
    }
    return (a->digits > b->digits) - (a->digits < b->digits);
}

int json_number_compare(const char *a, size_t a_len, const char *b,
                        size_t b_len)
{
    struct decimal x = decimal_of(a, a_len), y = decimal_of(b, b_len);

    if (x.negative != y.negative)
        return x.negative ? -1 : 1;
    return x.negative ? compare_size(&y, &x) : compare_size(&x, &y);
}

/* --- one member put in or changed ----------------------------------------- */

/* The text's own habits, seen at its first members. */
struct style {
    size_t open;               /* behind '{' */
    const char *gap, *colon;   /* '{' to first name; name to value */
    size_t gap_len, colon_len; /* colon has the ':' in it */
    const char *comma;         /* what is between ',' and the next name */
    size_t comma_len;
};

static struct style style_of(const char *text, size_t len)
{
    struct style st = {.colon = ":", .colon_len = 1, .comma = ""};
    struct json_member first, second;
    size_t at = 0;

    st.open = skip_space(text, len, 0) + 1;
    st.gap = text + st.open;
    if (!json_next(text, len, &at, &first))
        return st;

    const char *end = first.name + first.name_len + 1;
    st.gap_len = (size_t)(first.name - 1 - st.gap);
    st.colon = end;
    st.colon_len = (size_t)(first.value - end);
    if (json_next(text, len, &at, &second)) {
        const char *comma =
            memchr(first.value + first.value_len, ',',
                   (size_t)(second.name - first.value) - first.value_len);
        assert(comma);
        st.comma = comma + 1;
        st.comma_len = (size_t)(second.name - 1 - st.comma);
    } else if (memchr(st.gap, '\n', st.gap_len)) {
        st.comma = st.gap;
        st.comma_len = st.gap_len;
    } else if (st.colon_len > 1) {
        st.comma = " ";
        st.comma_len = 1;
    }
    return st;
}

void json_with_member(const char *text, size_t len, const char *name,
                      const char *value, size_t value_len, struct buf *out)
{
    struct json_member m;
    size_t at = 0;

    buf_reserve(out, len + value_len + 32);
    if (json_find(text, len, name, &m)) {
        size_t before = (size_t)(m.value - text);
        buf_add(out, text, before);
        buf_add(out, value, value_len);
        buf_add(out, m.value + m.value_len, len - before - m.value_len);
        return;
    }

    struct style st = style_of(text, len);
    bool empty = !json_next(text, len, &at, &m);
    buf_add(out, text, st.open);
    buf_add(out, st.gap, st.gap_len);
    buf_add_json(out, name, strlen(name));
    buf_add(out, st.colon, st.colon_len);
    buf_add(out, value, value_len);
    if (!empty) {
        buf_addc(out, ',');
        buf_add(out, st.comma, st.comma_len);
    }
    buf_add(out, text + st.open + st.gap_len, len - st.open - st.gap_len);
}

/* --- plain values ---------------------------------------------------------
 */

static size_t digits(const char *s, size_t len)
{
    size_t n = 0;

    while (n < len && s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

static bool is_number(const char *s, size_t len)
{
    size_t at = len && s[0] == '-', n = digits(s + at, len - at);

    if (n == 0 || (n > 1 && s[at] == '0'))
        return false;
    at += n;
    if (at < len && s[at] == '.') {
        n = digits(s + at + 1, len - at - 1);
        if (n == 0)
            return false;
        at += 1 + n;
    }
    if (at < len && (s[at] == 'e' || s[at] == 'E')) {
        at++;
        at += at < len && (s[at] == '+' || s[at] == '-');
        n = digits(s + at, len - at);
        if (n == 0)
            return false;
        at += n;
    }
    return at == len;
}

bool json_is_plain(const char *s, size_t len)
{
    return (len == 4 &&
            (memcmp(s, "true", 4) == 0 || memcmp(s, "null", 4) == 0)) ||
           (len == 5 && memcmp(s, "false", 5) == 0) || is_number(s, len);
}
