#include "engine/pattern.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "engine/base/alloc.h"
#include "engine/base/str.h"

struct pattern {
    char *text;
    regex_t regex; /* of text */
};

/* The library's compiler multiplies out what {m,n} repeats, so that a pattern
 * of a few bytes could take all memory; and \1 takes exponential time. */
static const char *pattern_fault(const char *s)
{
    unsigned long product = 1;

    if (strlen(s) > 512)
        return "longer than 512 bytes";
    for (; *s; s++) {
        if (*s == '\\') {
            if (s[1] >= '1' && s[1] <= '9')
                return "references back (\\1) are not supported";
            if (s[1])
                s++;
            continue;
        }
        if (*s != '{')
            continue;
        unsigned long most = 1, bound = 0;
        for (s++; *s && *s != '}'; s++) {
            if (*s == ',')
                bound = 0;
            else if (*s >= '0' && *s <= '9' && bound < 10000)
                bound = bound * 10 + (unsigned long)(*s - '0');
            if (bound > most)
                most = bound;
        }
        product *= most;
        if (product > 1000)
            return "repeats in braces come to more than 1000";
        if (!*s)
            break;
    }
    return NULL;
}

int pattern_new(const char *text, size_t len, struct pattern **out,
                struct err *err)
{
    if (memchr(text, '\0', len) || !utf8_valid(text, len))
        return err_set(err, -EINVAL, "not UTF-8, or a NUL in it");

    AUTO_STR char *copy = xstrndup(text, len);
    const char *fault = pattern_fault(copy);
    if (fault)
        return err_set(err, -EINVAL, "%s", fault);

    struct pattern *p = xcalloc(1, sizeof(*p));
    int r = regcomp(&p->regex, copy, REG_EXTENDED | REG_NOSUB);
    if (r != 0) {
        char why[128];
        regerror(r, &p->regex, why, sizeof(why));
        free(p);
        return err_set(err, -EINVAL, "%s", why);
    }
    p->text = copy;
    copy = NULL;
    *out = p;
    return 0;
}

void pattern_free(struct pattern *p)
{
    if (!p)
        return;
    regfree(&p->regex);
    free(p->text);
    free(p);
}

const char *pattern_text(const struct pattern *p)
{
    return p->text;
}

bool pattern_matches(const struct pattern *p, const char *s, size_t len)
{
    /* regexec() would see the string end at a NUL. */
    if (memchr(s, '\0', len))
        return false;
    return regexec(&p->regex, s, 0, NULL, 0) == 0;
}
