#include "fs/writer.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool program_is_shell(const char *program)
{
    static const char *const shells[] = {"bash", "dash",  "sh",     "zsh",
                                         "ksh",  "ksh93", "mksh",   "ash",
                                         "fish", "yash",  "busybox"};

    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;
    size_t len = strcspn(name, " "); /* "bash (deleted)" */
    for (size_t i = 0; i < sizeof(shells) / sizeof(*shells); i++)
        if (strlen(shells[i]) == len && memcmp(shells[i], name, len) == 0)
            return true;
    return false;
}

bool writer_is_shell(pid_t pid)
{
    char link[64], program[256];

    if (pid <= 0)
        return false;
    /* The program and not the name of the process: that of a script is the
     * script's. */
    snprintf(link, sizeof(link), "/proc/%ld/exe", (long)pid);
    ssize_t n = readlink(link, program, sizeof(program) - 1);
    if (n <= 0)
        return false;
    program[n] = '\0';
    return program_is_shell(program);
}
