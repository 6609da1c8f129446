/* One row after the other. What is compared is the text as it stands: strings
 * byte by byte with their escapes resolved on the way, numbers by their digits;
 * a tree, or a copy, is not made. */
#include <stdint.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/query_impl.h"
#include "engine/value.h"

bool query_small_number(const char *s, size_t len, int64_t *out)
{
    size_t i = s[0] == '-';
    int64_t v = 0;

    if (len == i || len - i > 18)
        return false;
    for (; i < len; i++) {
        unsigned digit = (unsigned char)s[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        v = v * 10 + digit;
    }
    *out = s[0] == '-' ? -v : v;
    return true;
}

/* --- operands ------------------------------------------------------------- */

/* json without the blanks between its tokens. */
static void add_compact(struct buf *out, const char *json, size_t len)
{
    bool string = false;

    for (size_t i = 0; i < len; i++) {
        char c = json[i];
        if (!string && (c == ' ' || c == '\n' || c == '\t' || c == '\r'))
            continue;
        if (c == '"')
            string = !string;
        buf_addc(out, c);
        if (string && c == '\\' && i + 1 < len)
            buf_addc(out, json[++i]);
    }
}

void query_operand_init(struct query_operand *o, struct query_value *value,
                        struct query_span json, bool contains)
{
    AUTO_BUF struct buf compact = BUF_INIT;
    AUTO_BUF struct buf form = BUF_INIT;

    add_compact(&compact, json.at, json.len);
    value_canonical(compact.data, compact.len, &form);
    *value = (struct query_value){
        .type = json_type_of(compact.data, compact.len),
        .json_len = compact.len,
        .canonical_len = form.len,
    };
    *o = (struct query_operand){
        .type = value->type,
        .value = value,
        .json = buf_take_str(&compact),
        .form = buf_take_str(&form),
    };
    value->json = o->json;
    value->canonical = o->form;
    if (value->type == JSON_NUMBER)
        o->small = query_small_number(value->json, value->json_len, &o->n);
    /* What is looked for in strings is a number's own text. */
    bool text =
        value->type == JSON_STRING || (contains && value->type <= JSON_NUMBER);
    if (!text)
        return;
    AUTO_BUF struct buf b = BUF_INIT;
    json_unescape(value->json, value->json_len, &b);
    o->str_len = b.len;
    o->str = buf_take_str(&b);
    if (!contains)
        return;
    o->fail = xcalloc(o->str_len + 1, sizeof(*o->fail));
    for (size_t i = 1, k = 0; i < o->str_len; i++) {
        while (k > 0 && o->str[k] != o->str[i])
            k = o->fail[k - 1];
        if (o->str[k] == o->str[i])
            k++;
        o->fail[i] = k;
    }
}

void query_operand_release(struct query_operand *o)
{
    free(o->json);
    free(o->form);
    free(o->str);
    free(o->fail);
}

/* --- comparing ------------------------------------------------------------ */

static int compare_string(struct query_span v, const char *s, size_t len)
{
    struct json_chars c;
    const char *run;
    size_t n, at = 0;

    json_chars_init(&c, v.at, v.len);
    for (; json_chars_next(&c, &run, &n); at += n) {
        size_t least = n < len - at ? n : len - at;
        int d = memcmp(run, s + at, least);
        if (d != 0)
            return d;
        if (n > least)
            return 1;
    }
    return at < len ? -1 : 0;
}

static int compare_number(struct query_span v, const struct query_operand *o)
{
    int64_t n;

    if (o->small && query_small_number(v.at, v.len, &n))
        return (n > o->n) - (n < o->n);
    return json_number_compare(v.at, v.len, o->value->json, o->value->json_len);
}

int query_compare(struct query_span v, const struct query_operand *o)
{
    switch (o->type) {
    case JSON_STRING:
        return compare_string(v, o->str, o->str_len);
    case JSON_NUMBER:
        return compare_number(v, o);
    case JSON_BOOL:
        return (v.at[0] == 't') - (o->value->json[0] == 't');
    case JSON_NULL:
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    return 0;
}

static bool is_composite(enum json_type type)
{
    return type == JSON_ARRAY || type == JSON_OBJECT;
}

static bool has_form(struct query_span v, const struct query_value *value)
{
    AUTO_BUF struct buf form = BUF_INIT;

    value_canonical(v.at, v.len, &form);
    return buf_equals(&form, value->canonical, value->canonical_len);
}

static bool equals(struct query_span v, const struct query_operand *o)
{
    if (json_type_of(v.at, v.len) != o->type)
        return false;
    return is_composite(o->type) ? has_form(v, o->value)
                                 : query_compare(v, o) == 0;
}

int query_operand_compare(const void *a, const void *b)
{
    const struct query_operand *x = a, *y = b;
    struct query_span v = {x->value->json, x->value->json_len};

    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return query_compare(v, y);
}

/* The operands stand in order of type and value. */
static bool equals_any(struct query_span v, const struct query_term_box *t)
{
    enum json_type type = json_type_of(v.at, v.len);
    size_t low = 0, high = t->pub.n_values;

    if (high == 1)
        return equals(v, &t->operands[0]);
    if (is_composite(type)) {
        AUTO_BUF struct buf form = BUF_INIT;
        for (size_t i = high; i > 0 && t->operands[i - 1].type >= type; i--) {
            const struct query_operand *o = &t->operands[i - 1];
            if (o->type != type)
                continue;
            if (form.len == 0)
                value_canonical(v.at, v.len, &form);
            if (buf_equals(&form, o->value->canonical, o->value->canonical_len))
                return true;
        }
        return false;
    }
    while (low < high) {
        size_t mid = (low + high) / 2;
        const struct query_operand *o = &t->operands[mid];
        int d =
            type != o->type ? (type < o->type ? -1 : 1) : query_compare(v, o);
        if (d == 0)
            return true;
        if (d < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return false;
}

static bool begins(struct query_span v, const struct query_operand *o)
{
    struct json_chars c;
    const char *run;
    size_t n, at = 0;

    if (json_type_of(v.at, v.len) != JSON_STRING)
        return false;
    json_chars_init(&c, v.at, v.len);
    for (; at < o->str_len && json_chars_next(&c, &run, &n); at += n) {
        size_t least = n < o->str_len - at ? n : o->str_len - at;
        if (memcmp(run, o->str + at, least) != 0)
            return false;
        if (n > least)
            return true;
    }
    return at == o->str_len;
}

/* Its bytes with escapes resolved have those of the operand in them. */
static bool string_contains(struct query_span v, const struct query_operand *o)
{
    struct json_chars c;
    const char *run;
    size_t n, k = 0;

    if (o->str_len == 0)
        return true;
    if (!memchr(v.at, '\\', v.len))
        return memmem(v.at + 1, v.len - 2, o->str, o->str_len) != NULL;
    json_chars_init(&c, v.at, v.len);
    while (json_chars_next(&c, &run, &n))
        for (size_t i = 0; i < n; i++) {
            while (k > 0 && o->str[k] != run[i])
                k = o->fail[k - 1];
            k += o->str[k] == run[i];
            if (k == o->str_len)
                return true;
        }
    return false;
}

static bool contains(struct query_span v, const struct query_operand *o)
{
    struct json_member m;

    switch (json_type_of(v.at, v.len)) {
    case JSON_STRING:
        return o->str && string_contains(v, o);
    case JSON_ARRAY:
        for (size_t at = 0; json_element(v.at, v.len, &at, &m);)
            if (equals((struct query_span){m.value, m.value_len}, o))
                return true;
        return false;
    case JSON_OBJECT:
        for (size_t at = 0; o->str && json_next(v.at, v.len, &at, &m);)
            if (json_name_is(&m, o->str, o->str_len))
                return true;
        return false;
    case JSON_NULL:
    case JSON_BOOL:
    case JSON_NUMBER:
        break;
    }
    return false;
}

/* --- terms ---------------------------------------------------------------- */

static bool in_order(struct query_span v, const struct query_term_box *t)
{
    const struct query_operand *o = &t->operands[0];

    if (json_type_of(v.at, v.len) != o->type)
        return false;
    int d = query_compare(v, o);
    switch (t->pub.op) {
    case QUERY_GT:
        return d > 0;
    case QUERY_GTE:
        return d >= 0;
    case QUERY_LT:
        return d < 0;
    default:
        return d <= 0;
    }
}

bool query_term_holds(const struct query_term_box *t, struct query_span v)
{
    if (t->pub.op == QUERY_EXISTS)
        return (v.at != NULL) == t->pub.exists;
    if (!v.at)
        return t->pub.op == QUERY_NE;
    switch (t->pub.op) {
    case QUERY_EQ:
    case QUERY_IN:
        return t->pub.n_values > 0 && equals_any(v, t);
    case QUERY_NE:
        return !equals_any(v, t);
    case QUERY_GT:
    case QUERY_GTE:
    case QUERY_LT:
    case QUERY_LTE:
        return in_order(v, t);
    case QUERY_CONTAINS:
        return contains(v, &t->operands[0]);
    case QUERY_PREFIX:
        return begins(v, &t->operands[0]);
    case QUERY_EXISTS:
        break;
    }
    return false;
}

/* --- rows ----------------------------------------------------------------- */

struct matching {
    const struct query *q;
    uint64_t done; /* slots whose terms all hold */
};

static bool check_slot(void *arg, size_t slot, struct query_span value)
{
    struct matching *s = arg;

    for (int i = s->q->first[slot]; i >= 0; i = s->q->next[i])
        if (!query_term_holds(s->q->terms[i], value))
            return false;
    s->done |= (uint64_t)1 << slot;
    return true;
}

bool query_matches(const struct query *q, const char *text, size_t len)
{
    struct query_picked picked;
    struct matching s = {.q = q};

    if (!query_pick_run(&q->match, text, len, &picked, check_slot, &s))
        return false;
    /* Those that only the end of the row could settle, and the missing. */
    for (size_t i = 0; i < q->match.n; i++)
        if (!(s.done >> i & 1) && !check_slot(&s, i, picked.span[i]))
            return false;
    return true;
}
