#include "tests/unit/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <json-c/json.h>

#include "engine/base/alloc.h"

const char *const model_roles[MODEL_ROLES] = {"student", "admin", "guest",
                                              "Stu dent\xc3\xbc"};
const char *const model_field_names[MODEL_FIELDS] = {
    "id", "email", "role", "age", "obj.a.b", "ok", "tags"};

uint32_t draw(uint64_t *rng, uint32_t n)
{
    *rng = *rng * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*rng >> 33) % n;
}

/* --- rows ------------------------------------------------------------------
 */

void model_release(struct model *m)
{
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        free(m->rows[i].text);
        for (size_t k = 0; k < m->rows[i].n_versions; k++)
            free(m->rows[i].versions[k].text);
        free(m->rows[i].versions);
    }
    *m = (struct model){0};
}

void model_copy(const struct model *m, struct model *out)
{
    *out = *m;
    for (size_t i = 0; i < MODEL_KEYS; i++) {
        struct model_row *r = &out->rows[i];
        r->text = r->text ? xstrdup(r->text) : NULL;
        r->versions = xcalloc(r->n_versions + 1, sizeof(*r->versions));
        for (size_t k = 0; k < r->n_versions; k++) {
            const struct version_of_row *v = &m->rows[i].versions[k];
            r->versions[k] = (struct version_of_row){
                v->number, v->text ? xstrdup(v->text) : NULL};
        }
    }
}

/* Some are dull, some are not. */
const char *model_key(uint32_t i, char out[MODEL_KEY_SIZE])
{
    switch (i % 8) {
    case 5:
        snprintf(out, MODEL_KEY_SIZE, "key %02u", i);
        break;
    case 6:
        snprintf(out, MODEL_KEY_SIZE, "K\xc3\xb6.%02u", i);
        break;
    case 7:
        snprintf(out, MODEL_KEY_SIZE, "<a&'*_%02u", i);
        break;
    default:
        snprintf(out, MODEL_KEY_SIZE, "k%02u", i);
        break;
    }
    return out;
}

uint32_t model_number(const char *key)
{
    char own[MODEL_KEY_SIZE];
    size_t len = strlen(key);
    uint32_t i = len > 2 ? (uint32_t)strtoul(key + len - 2, NULL, 10) : 0;

    return i < MODEL_KEYS && strcmp(model_key(i, own), key) == 0 ? i
                                                                 : MODEL_KEYS;
}

static struct value value_of(uint32_t i, const struct fields *f,
                             enum model_field field);
static bool same_value(const struct value *a, const struct value *b);

static bool conflicts(const struct model *m, uint32_t i, const struct fields *f,
                      enum model_field field, uint32_t other)
{
    struct value mine = value_of(i, f, field);
    struct value its = value_of(other, &m->rows[other].f, field);

    return mine.kind != V_MISSING && mine.kind != V_NULL &&
           same_value(&mine, &its);
}

uint32_t model_conflict(const struct model *m, uint32_t i, uint32_t besides,
                        const struct fields *f)
{
    for (uint32_t k = 0; k < MODEL_KEYS; k++) {
        if (k == i || k == besides || !m->rows[k].there)
            continue;
        for (int field = 0; field < MODEL_FIELDS; field++)
            if (m->unique[field] && conflicts(m, i, f, field, k))
                return k;
    }
    return MODEL_KEYS;
}

bool model_has_duplicates(const struct model *m, enum model_field field)
{
    for (uint32_t i = 0; i < MODEL_KEYS; i++)
        for (uint32_t k = 0; k < i; k++)
            if (m->rows[i].there && m->rows[k].there &&
                conflicts(m, i, &m->rows[i].f, field, k))
                return true;
    return false;
}

static void add_version(struct model_row *r, const char *text)
{
    r->version++;
    r->versions =
        xrealloc(r->versions, (r->n_versions + 1) * sizeof(*r->versions));
    r->versions[r->n_versions++] =
        (struct version_of_row){r->version, text ? xstrdup(text) : NULL};
}

void model_put(struct model *m, uint32_t i, const struct fields *f,
               const char *text)
{
    struct model_row *r = &m->rows[i];
    char *copy = xstrdup(text);

    if (!r->there)
        r->born = ++m->births;
    r->there = true;
    r->f = *f;
    free(r->text);
    r->text = copy;
    add_version(r, text);
}

void model_delete(struct model *m, uint32_t i)
{
    struct model_row *r = &m->rows[i];

    r->there = false;
    free(r->text);
    r->text = NULL;
    add_version(r, NULL);
}

const struct version_of_row *model_version(const struct model *m, uint32_t i,
                                           uint32_t number)
{
    const struct model_row *r = &m->rows[i];

    return number > 0 && number <= r->n_versions ? &r->versions[number - 1]
                                                 : NULL;
}

size_t model_count(const struct model *m)
{
    uint32_t list[MODEL_KEYS];
    return model_list(m, list);
}

size_t model_list(const struct model *m, uint32_t out[MODEL_KEYS])
{
    size_t n = 0;

    for (uint32_t i = 0; i < MODEL_KEYS; i++) {
        if (!m->rows[i].there)
            continue;
        size_t at = n++;
        while (at > 0 && m->rows[out[at - 1]].born > m->rows[i].born) {
            out[at] = out[at - 1];
            at--;
        }
        out[at] = i;
    }
    return n;
}

/* --- rows as text ----------------------------------------------------------
 */

struct fields fields_random(uint64_t *rng)
{
    static const int pads[] = {0,   0,    0,    0,    10,  100,
                               700, 1500, 1900, 3000, 9000};
    struct fields f = {
        .email = (int)draw(rng, 16) - 2,
        .role = (int)draw(rng, MODEL_ROLES + 1) - 1,
        .age = (int)draw(rng, 9) - 1,
        .deep = (int)draw(rng, 5) - 1,
        .ok = (int)draw(rng, 4) - 2,
        .tags = (int)draw(rng, (1 << MODEL_TAGS) + 1) - 1,
        .pad = pads[draw(rng, 11)],
    };
    return f;
}

bool fields_equal(const struct fields *a, const struct fields *b)
{
    return a->email == b->email && a->role == b->role && a->age == b->age &&
           a->deep == b->deep && a->ok == b->ok && a->tags == b->tags &&
           a->pad == b->pad;
}

/* A number of halves, in one of the ways of writing it. */
static void write_number(int halves, uint64_t *rng, struct buf *out)
{
    int way = rng ? (int)draw(rng, 5) : 0;

    if (halves < 2)
        buf_addstr(out, halves ? (way == 1 ? "5e-1" : "0.5")
                               : (way == 1   ? "0.0"
                                  : way == 3 ? "-0"
                                             : "0"));
    else if (halves % 2)
        buf_printf(out, "%d%s", halves / 2, way == 1 ? "5e-1" : ".5");
    else if (way == 1)
        buf_printf(out, "%d.0", halves / 2);
    else if (way == 2)
        buf_printf(out, "%d0e-1", halves / 2);
    else
        buf_printf(out, "%d", halves / 2);
}

static void write_string(const char *s, uint64_t *rng, struct buf *out)
{
    buf_addc(out, '"');
    for (; *s; s++)
        if (*s == '"' || *s == '\\')
            buf_printf(out, "\\%c", *s);
        else if (rng && *s > 0 && draw(rng, 40) == 0)
            buf_printf(out, "\\u%04x", (unsigned)*s);
        else
            buf_addc(out, *s);
    buf_addc(out, '"');
}

static void write_email(int email, uint64_t *rng, struct buf *out)
{
    char s[MODEL_KEY_SIZE];

    if (email == IS_NULL) {
        buf_addstr(out, "null");
        return;
    }
    snprintf(s, sizeof(s), "e%d@x.org", email);
    write_string(s, rng, out);
}

static void write_tags(int tags, struct buf *out)
{
    const char *comma = "";

    buf_addc(out, '[');
    for (int i = 0; i < MODEL_TAGS; i++) {
        if (!(tags >> i & 1))
            continue;
        buf_printf(out, "%s\"t%d\"", comma, i);
        comma = ",";
    }
    buf_addc(out, ']');
}

static void write_ok(int ok, struct buf *out)
{
    buf_addstr(out, ok == IS_NULL ? "null" : ok ? "true" : "false");
}

void fields_write(const struct fields *f, const char *key, uint64_t *rng,
                  struct buf *out)
{
    static const char *const blanks[] = {"", "", "", " ", "\n  "};
    const char *blank = blanks[draw(rng, 5)];

    buf_addstr(out, "{");
    buf_printf(out, "%s\"id\":%s", blank, blank);
    write_string(key, NULL, out);
    if (f->email != NONE) {
        buf_printf(out, ",%s\"email\":", blank);
        write_email(f->email, rng, out);
    }
    if (f->age != NONE) {
        buf_printf(out, ",%s\"age\":", blank);
        write_number(f->age, rng, out);
    }
    if (f->role != NONE) {
        buf_printf(out, ",%s\"role\":", blank);
        write_string(model_roles[f->role], rng, out);
    }
    if (f->deep != NONE) {
        buf_printf(out, ",%s\"obj\":{%s\"a\":{\"b\":", blank, blank);
        write_number(f->deep * 2, rng, out);
        buf_addstr(out, "}}");
    }
    if (f->ok != NONE) {
        buf_printf(out, ",%s\"ok\":", blank);
        write_ok(f->ok, out);
    }
    if (f->tags != NONE) {
        buf_printf(out, ",%s\"tags\":", blank);
        write_tags(f->tags, out);
    }
    if (f->pad) {
        buf_printf(out, ",%s\"pad\":\"", blank);
        for (int i = 0; i < f->pad; i++)
            buf_addc(out, i == 9 ? '~' : (char)('a' + i % 26));
        buf_addstr(out, "\"");
    }
    buf_addstr(out, "}");
}

static bool get(json_object *o, const char *name, json_object **out)
{
    return json_object_is_type(o, json_type_object) &&
           json_object_object_get_ex(o, name, out);
}

static int read_tags(json_object *o)
{
    int tags = 0;

    for (size_t i = 0; i < json_object_array_length(o); i++) {
        const char *s = json_object_get_string(json_object_array_get_idx(o, i));
        tags |= 1 << (s[1] - '0');
    }
    return tags;
}

bool fields_read(const char *text, struct fields *out, char key[MODEL_KEY_SIZE])
{
    json_object *root = json_tokener_parse(text), *o;

    *out = (struct fields){NONE, NONE, NONE, NONE, NONE, NONE, 0};
    if (!get(root, "id", &o)) {
        json_object_put(root);
        return false;
    }
    snprintf(key, MODEL_KEY_SIZE, "%s", json_object_get_string(o));
    if (get(root, "email", &o))
        out->email = o ? atoi(json_object_get_string(o) + 1) : IS_NULL;
    if (get(root, "role", &o))
        for (int i = 0; i < MODEL_ROLES; i++)
            if (strcmp(model_roles[i], json_object_get_string(o)) == 0)
                out->role = i;
    if (get(root, "age", &o))
        out->age = (int)(json_object_get_double(o) * 2);
    if (get(root, "obj", &o) && get(o, "a", &o) && get(o, "b", &o))
        out->deep = (int)json_object_get_double(o);
    if (get(root, "ok", &o))
        out->ok = o ? json_object_get_boolean(o) : IS_NULL;
    if (get(root, "tags", &o))
        out->tags = read_tags(o);
    if (get(root, "pad", &o))
        out->pad = json_object_get_string_len(o);
    json_object_put(root);
    return true;
}

void fields_patch(struct fields *f, uint64_t *rng, struct buf *patch)
{
    const char *comma = "";

    buf_addc(patch, '{');
    if (draw(rng, 2)) {
        f->role = (int)draw(rng, MODEL_ROLES + 1) - 1;
        buf_addstr(patch, "\"role\":");
        if (f->role == NONE)
            buf_addstr(patch, "null");
        else
            write_string(model_roles[f->role], rng, patch);
        comma = ",";
    }
    if (draw(rng, 2)) {
        f->age = (int)draw(rng, 9) - 1;
        buf_printf(patch, "%s\"age\":", comma);
        if (f->age == NONE)
            buf_addstr(patch, "null");
        else
            write_number(f->age, rng, patch);
        comma = ",";
    }
    if (draw(rng, 3) == 0) {
        f->email = (int)draw(rng, 15) - 1;
        buf_printf(patch, "%s\"email\":", comma);
        if (f->email == NONE)
            buf_addstr(patch, "null");
        else
            write_email(f->email, rng, patch);
        comma = ",";
    }
    if (draw(rng, 3) == 0) {
        f->deep = (int)draw(rng, 4);
        buf_printf(patch, "%s\"obj\":{\"a\":{\"b\":%d}}", comma, f->deep);
    }
    buf_addc(patch, '}');
}

/* --- values ----------------------------------------------------------------
 */

static struct value value_of(uint32_t i, const struct fields *f,
                             enum model_field field)
{
    struct value v = {.kind = V_MISSING};
    int n = NONE;

    switch (field) {
    case FIELD_ID:
        v.kind = V_STR;
        model_key(i, v.s);
        return v;
    case FIELD_EMAIL:
        if (f->email >= 0) {
            v.kind = V_STR;
            snprintf(v.s, sizeof(v.s), "e%d@x.org", f->email);
        } else if (f->email == IS_NULL) {
            v.kind = V_NULL;
        }
        return v;
    case FIELD_ROLE:
        if (f->role >= 0) {
            v.kind = V_STR;
            snprintf(v.s, sizeof(v.s), "%s", model_roles[f->role]);
        }
        return v;
    case FIELD_OK:
        if (f->ok >= 0)
            v = (struct value){.kind = V_BOOL, .n = f->ok};
        else if (f->ok == IS_NULL)
            v.kind = V_NULL;
        return v;
    case FIELD_TAGS:
        if (f->tags >= 0)
            v = (struct value){.kind = V_ARRAY, .n = f->tags};
        return v;
    case FIELD_AGE:
        n = f->age;
        break;
    case FIELD_DEEP:
        n = f->deep >= 0 ? f->deep * 2 : NONE;
        break;
    }
    if (n != NONE)
        v = (struct value){.kind = V_NUM, .n = n};
    return v;
}

static bool same_value(const struct value *a, const struct value *b)
{
    return a->kind == b->kind && a->n == b->n && strcmp(a->s, b->s) == 0;
}

/* Of values that can be compared. */
static int compare(const struct value *a, const struct value *b)
{
    return a->kind == V_STR ? strcmp(a->s, b->s) : a->n - b->n;
}

static void write_value(const struct value *v, uint64_t *rng, struct buf *out)
{
    switch (v->kind) {
    case V_MISSING:
    case V_NULL:
        buf_addstr(out, "null");
        break;
    case V_BOOL:
        buf_addstr(out, v->n ? "true" : "false");
        break;
    case V_NUM:
        write_number(v->n, rng, out);
        break;
    case V_STR:
        write_string(v->s, rng, out);
        break;
    case V_ARRAY:
        write_tags(v->n, out);
        break;
    }
}

/* --- queries ---------------------------------------------------------------
 */

static bool term_matches(const struct model_term *t, const struct value *v)
{
    const struct value *w = &t->v[0];
    bool ordered = v->kind == w->kind && v->kind != V_MISSING &&
                   v->kind != V_NULL && v->kind != V_ARRAY;
    bool same = v->kind != V_MISSING && same_value(v, w);

    switch (t->op) {
    case OP_EQ:
        return same;
    case OP_NE:
        return !same;
    case OP_GT:
        return ordered && compare(v, w) > 0;
    case OP_GTE:
        return ordered && compare(v, w) >= 0;
    case OP_LT:
        return ordered && compare(v, w) < 0;
    case OP_LTE:
        return ordered && compare(v, w) <= 0;
    case OP_IN:
        for (size_t i = 0; i < t->n; i++)
            if (v->kind != V_MISSING && same_value(v, &t->v[i]))
                return true;
        return false;
    case OP_EXISTS:
        return (v->kind != V_MISSING) == (w->n != 0);
    case OP_PREFIX:
        return v->kind == V_STR && strncmp(v->s, w->s, strlen(w->s)) == 0;
    case OP_CONTAINS:
        if (v->kind == V_STR)
            return w->kind == V_STR && strstr(v->s, w->s);
        return v->kind == V_ARRAY && w->kind == V_STR && w->s[0] == 't' &&
               v->n >> (w->s[1] - '0') & 1;
    }
    return false;
}

/* A value that some row has in the field, or one that none may have. */
static struct value random_value(const struct model *m, enum model_field field,
                                 uint64_t *rng)
{
    uint32_t i = draw(rng, MODEL_KEYS);
    struct fields f =
        draw(rng, 4) && m->rows[i].there ? m->rows[i].f : fields_random(rng);
    return value_of(i, &f, field);
}

static bool is_range(enum model_op op)
{
    return op == OP_GT || op == OP_GTE || op == OP_LT || op == OP_LTE;
}

static void random_term(struct model_term *t, const struct model *m,
                        uint64_t *rng)
{
    *t = (struct model_term){
        .field = draw(rng, MODEL_FIELDS),
        .op = draw(rng, 3) ? OP_EQ : draw(rng, OP_CONTAINS + 1),
        .n = 1,
    };
    if (is_range(t->op))
        t->field = draw(rng, FIELD_TAGS);
    if (t->op == OP_IN)
        t->n = draw(rng, 4);
    if (t->op == OP_PREFIX)
        t->field = draw(rng, 2) ? FIELD_EMAIL : FIELD_ROLE;
    if (t->op == OP_CONTAINS)
        t->field = draw(rng, 2) ? FIELD_TAGS : FIELD_EMAIL;
    for (size_t i = 0; i < t->n; i++) {
        struct value *v = &t->v[i];
        do
            *v = random_value(m, t->field, rng);
        while (v->kind == V_MISSING ||
               (is_range(t->op) && (v->kind == V_NULL || v->kind == V_ARRAY)) ||
               (t->op >= OP_PREFIX && v->kind == V_NULL));
        if (t->op >= OP_PREFIX && t->field == FIELD_TAGS) {
            v->kind = V_STR;
            snprintf(v->s, sizeof(v->s), "t%u", draw(rng, MODEL_TAGS));
        } else if (t->op >= OP_PREFIX) {
            /* Whole characters, whatever they are. */
            v->s[draw(rng, 3)] = '\0';
        } else if (t->op == OP_EXISTS) {
            *v = (struct value){.kind = V_BOOL, .n = (int)draw(rng, 2)};
        }
    }
}

void query_random(struct model_query *q, const struct model *m, uint64_t *rng)
{
    *q = (struct model_query){.n_terms = draw(rng, 4)};
    for (size_t i = 0; i < q->n_terms; i++) {
        random_term(&q->terms[i], m, rng);
        /* A field stands in a where once. */
        for (size_t k = 0; k < i; k++)
            if (q->terms[k].field == q->terms[i].field)
                q->n_terms = i;
    }
    q->n_sort = draw(rng, 3);
    for (size_t i = 0; i < q->n_sort; i++) {
        q->sort[i] = draw(rng, FIELD_TAGS); /* arrays have no order of ours */
        q->down[i] = draw(rng, 2);
    }
    if (q->n_sort == 2 && q->sort[0] == q->sort[1])
        q->n_sort = 1;
    if (draw(rng, 3) == 0)
        q->limit = 1 + draw(rng, 5);
    if (draw(rng, 4) == 0)
        q->skip = 1 + draw(rng, 4);
}

void query_where(const struct model_query *q, uint64_t *rng, struct buf *out)
{
    static const char *const names[] = {"$eq",     "$ne",      "$gt", "$gte",
                                        "$lt",     "$lte",     "$in", "$exists",
                                        "$prefix", "$contains"};

    buf_addc(out, '{');
    for (size_t i = 0; i < q->n_terms; i++) {
        const struct model_term *t = &q->terms[i];
        buf_printf(out, "%s\"%s\":", i ? "," : "", model_field_names[t->field]);
        if (t->op == OP_EQ && t->v[0].kind != V_ARRAY && draw(rng, 2)) {
            write_value(&t->v[0], rng, out);
            continue;
        }
        buf_printf(out, "{\"%s\":%s", names[t->op], t->op == OP_IN ? "[" : "");
        for (size_t k = 0; k < t->n; k++) {
            buf_addstr(out, k ? "," : "");
            write_value(&t->v[k], rng, out);
        }
        buf_addstr(out, t->op == OP_IN ? "]}" : "}");
    }
    buf_addc(out, '}');
}

void query_sort_list(const struct model_query *q, struct buf *out)
{
    for (size_t i = 0; i < q->n_sort; i++)
        buf_printf(out, "%s%s%s", i ? "," : "", q->down[i] ? "-" : "",
                   model_field_names[q->sort[i]]);
}

/* By what q sorts by. */
static int order_by(const struct model *m, const struct model_query *q,
                    uint32_t a, uint32_t b)
{
    for (size_t i = 0; i < q->n_sort; i++) {
        struct value x = value_of(a, &m->rows[a].f, q->sort[i]);
        struct value y = value_of(b, &m->rows[b].f, q->sort[i]);
        int c = x.kind != y.kind ? (int)x.kind - (int)y.kind : compare(&x, &y);
        if (c)
            return q->down[i] ? -c : c;
    }
    return 0;
}

static int order(const struct model *m, const struct model_query *q, uint32_t a,
                 uint32_t b)
{
    int c = order_by(m, q, a, b);

    if (c)
        return c;
    return m->rows[a].born < m->rows[b].born ? -1 : 1;
}

bool query_ties(const struct model *m, const struct model_query *q, uint32_t a,
                uint32_t b)
{
    return order_by(m, q, a, b) == 0;
}

static bool row_matches(const struct model *m, const struct model_query *q,
                        uint32_t i)
{
    for (size_t k = 0; k < q->n_terms; k++) {
        struct value v = value_of(i, &m->rows[i].f, q->terms[k].field);
        if (!term_matches(&q->terms[k], &v))
            return false;
    }
    return true;
}

size_t model_find(const struct model *m, const struct model_query *q,
                  uint32_t out[MODEL_KEYS])
{
    uint32_t all[MODEL_KEYS], hits[MODEL_KEYS];
    size_t n = model_list(m, all), n_hits = 0, n_out = 0;

    for (size_t i = 0; i < n; i++) {
        if (!row_matches(m, q, all[i]))
            continue;
        size_t at = n_hits++;
        while (at > 0 && order(m, q, hits[at - 1], all[i]) > 0) {
            hits[at] = hits[at - 1];
            at--;
        }
        hits[at] = all[i];
    }
    for (size_t i = q->skip; i < n_hits; i++)
        if (!q->limit || n_out < q->limit)
            out[n_out++] = hits[i];
    return n_out;
}
