/* What a fuzz target is: fuzz_<name>.c has LLVMFuzzerTestOneInput(), the
 * corpus is corpus/<name>/. Built with -Dfuzz=true (clang) it is a libFuzzer
 * program; else driver.c runs it over the corpus and a fixed number of
 * mutations of it, as one of the tests. */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* As assert(), and there in every build. */
#define REQUIRE(what)                                                          \
    do {                                                                       \
        if (!(what)) {                                                         \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);         \
            abort();                                                           \
        }                                                                      \
    } while (0)
