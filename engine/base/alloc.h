/* Memory that is there or the process is not: a daemon that has lost an
 * allocation half-way through a commit has nothing better to do than to stop
 * with a message, and what was answered is in Discord already. Sizes that
 * come from outside are bounded before they come here. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void *alloc_check(void *p)
{
    if (!p) {
        fputs("dbcord: out of memory\n", stderr);
        abort();
    }
    return p;
}

static inline void *xmalloc(size_t size)
{
    return alloc_check(malloc(size ? size : 1));
}

static inline void *xcalloc(size_t n, size_t size)
{
    return alloc_check(calloc(n ? n : 1, size ? size : 1));
}

static inline void *xrealloc(void *p, size_t size)
{
    return alloc_check(realloc(p, size ? size : 1));
}

static inline char *xstrdup(const char *s)
{
    return alloc_check(strdup(s));
}

static inline char *xstrndup(const char *s, size_t n)
{
    return alloc_check(strndup(s, n));
}

static inline void free_charp(char **s)
{
    free(*s);
}

/* A heap string freed at the end of the scope. */
#define AUTO_STR __attribute__((cleanup(free_charp)))
