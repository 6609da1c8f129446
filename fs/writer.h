/* Who writes, where it matters: a shell's own echo and printf never look at
 * what close() says, so what is wrong must be said by the write itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Is the writer a shell, with a builtin of its own? pid: of the thread that
 * writes, as the kernel tells it; false where nothing can be learned. */
bool writer_is_shell(pid_t pid);

/* Is this the name of a shell's program? */
bool program_is_shell(const char *program);
