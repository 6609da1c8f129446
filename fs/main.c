/* dbcord: what holds for the whole process. */
#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "fs/cli.h"

/* gcc tells by a macro, clang by a question. */
#if defined(__SANITIZE_ADDRESS__)
#define LEAKS_ARE_LOOKED_FOR 1
#elif defined(__has_feature)
#define LEAKS_ARE_LOOKED_FOR __has_feature(address_sanitizer)
#else
#define LEAKS_ARE_LOOKED_FOR 0
#endif

/* The token is in this process's memory: no core file, and no look into it
 * by other processes of the same user. */
static void keep_memory_private(void)
{
    struct rlimit none = {0, 0};

    setrlimit(RLIMIT_CORE, &none);
    /* The leak sanitizer looks at its own process as a debugger does. */
    if (!LEAKS_ARE_LOOKED_FOR)
        prctl(PR_SET_DUMPABLE, 0);
}

/* Who closed a standard file (`>&-`) must not find a connection to Discord in
 * its place: what is read or written there fails. */
static void fill_standard_files(void)
{
    static const int mode[] = {O_WRONLY, O_RDONLY, O_WRONLY};

    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", mode[fd]) < 0)
            abort();
}

int main(int argc, char **argv)
{
    fill_standard_files();
    setlocale(LC_CTYPE, "");
    keep_memory_private();
    /* A reader that goes away is an error of write(), with an exit code. */
    signal(SIGPIPE, SIG_IGN);

    enum cli_exit code = cli_main(argc, argv);

    /* A full disk behind a redirection shows here at the latest. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        if (errno != EPIPE)
            fprintf(stderr, "dbcord: cannot write the result: %s\n",
                    strerror(errno));
        if (code == CLI_OK)
            code = CLI_FAILED;
    }
    return code;
}
