/* A query as JSON again. */
#include <string.h>

#include "engine/query_impl.h"

static void add_operator(const struct query_term *t, struct buf *out)
{
    for (size_t i = 0; i < t->n_values; i++) {
        /* Several values of a ne: none of them, so each on its own. */
        if (i > 0 && t->op == QUERY_IN)
            break;
        if (i > 0)
            buf_addc(out, ',');
        buf_printf(out, "\"$%s\":", query_op_names[t->op]);
        if (t->op != QUERY_IN)
            buf_add(out, t->values[i].json, t->values[i].json_len);
    }
    if (t->op == QUERY_EXISTS)
        buf_printf(out, "\"$exists\":%s", t->exists ? "true" : "false");
    if (t->op != QUERY_IN)
        return;
    if (t->n_values == 0)
        buf_addstr(out, "\"$in\":");
    buf_addc(out, '[');
    for (size_t i = 0; i < t->n_values; i++) {
        if (i > 0)
            buf_addc(out, ',');
        buf_add(out, t->values[i].json, t->values[i].json_len);
    }
    buf_addc(out, ']');
}

static void add_where(const struct query *q, struct buf *out)
{
    buf_addc(out, '{');
    for (size_t slot = 0; slot < q->match.n; slot++) {
        int first = q->first[slot];
        const struct query_term *t = &q->terms[first]->pub;

        if (slot > 0)
            buf_addc(out, ',');
        buf_add_json(out, t->spelled, strlen(t->spelled));
        buf_addc(out, ':');
        if (q->next[first] < 0 && t->op == QUERY_EQ &&
            t->values[0].type != JSON_OBJECT) {
            buf_add(out, t->values[0].json, t->values[0].json_len);
            continue;
        }
        buf_addc(out, '{');
        for (int i = first; i >= 0; i = q->next[i]) {
            if (i != first)
                buf_addc(out, ',');
            add_operator(&q->terms[i]->pub, out);
        }
        buf_addc(out, '}');
    }
    buf_addc(out, '}');
}

static void add_list(const struct query_pick *p, const bool *down,
                     struct buf *out)
{
    AUTO_BUF struct buf list = BUF_INIT;

    for (size_t i = 0; i < p->n; i++) {
        if (i > 0)
            buf_addc(&list, ',');
        if (down && down[i])
            buf_addc(&list, '-');
        buf_addstr(&list, p->path[i]->spelled);
    }
    buf_add_json(out, list.data, list.len);
}

void query_print(const struct query *q, struct buf *out)
{
    const char *comma = "";

    buf_addc(out, '{');
    if (q->n_terms > 0) {
        buf_addstr(out, "\"where\":");
        add_where(q, out);
        comma = ",";
    }
    if (q->sort.n > 0) {
        buf_printf(out, "%s\"sort\":", comma);
        add_list(&q->sort, q->down, out);
        comma = ",";
    }
    if (q->has_skip) {
        buf_printf(out, "%s\"skip\":%llu", comma, (unsigned long long)q->skip);
        comma = ",";
    }
    if (q->has_limit) {
        buf_printf(out, "%s\"limit\":%llu", comma,
                   (unsigned long long)q->limit);
        comma = ",";
    }
    if (q->fields.n > 0) {
        buf_printf(out, "%s\"fields\":", comma);
        add_list(&q->fields, NULL, out);
    }
    buf_addc(out, '}');
}
