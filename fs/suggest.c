#include "fs/suggest.h"

#include <stdbool.h>
#include <string.h>

/* Names are short; a longer word is like none of them. */
#define NAME_MAX_LEN 48

static size_t least(size_t a, size_t b, size_t c)
{
    size_t m = a < b ? a : b;
    return m < c ? m : c;
}

/* Optimal string alignment: the usual table of prefixes. */
size_t suggest_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t d[NAME_MAX_LEN + 1][NAME_MAX_LEN + 1];

    if (n > NAME_MAX_LEN || m > NAME_MAX_LEN)
        return n > m ? n : m;
    for (size_t i = 0; i <= n; i++)
        d[i][0] = i;
    for (size_t j = 0; j <= m; j++)
        d[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        for (size_t j = 1; j <= m; j++) {
            size_t other = a[i - 1] != b[j - 1];

            d[i][j] = least(d[i - 1][j] + 1, d[i][j - 1] + 1,
                            d[i - 1][j - 1] + other);
            bool swapped =
                i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < d[i][j])
                d[i][j] = d[i - 2][j - 2] + 1;
        }
    }
    return d[n][m];
}

void suggest_try(struct suggest *s, const char *name)
{
    size_t n = strlen(s->wanted);
    size_t distance = suggest_distance(s->wanted, name);
    size_t near = n < 4 ? 1 : n / 3 + 1;

    /* The beginning of a name is as good as one slip. */
    if (n >= 3 && strncmp(name, s->wanted, n) == 0)
        distance = 1;
    if (distance <= near && (!s->best || distance < s->distance)) {
        s->best = name;
        s->distance = distance;
    }
}
