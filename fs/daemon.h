/* Into the background, and the word back to the shell: the parent stays until
 * the child says that it is ready, or why it is not.
 *
 * The fork comes before the first thread: a fork takes no threads along. */
#pragma once

#include <signal.h>
#include <sys/types.h>

#include "engine/base/err.h"

struct daemon {
    int pipe;      /* parent: to read from; child: to write to */
    pid_t pid;     /* parent: the child; child: 0 */
    sigset_t mask; /* the caller's; the parent holds signals back from the fork
                      until daemon_wait() knows what to do with them */
};

/* d->pid tells who returns. */
int daemon_fork(struct daemon *d, struct err *err);

/* Parent. 0: the child is ready and on its own now. Else the child's exit
 * code, and its message in err. SIGINT and SIGTERM go to the child, which
 * then unmounts. */
int daemon_wait(struct daemon *d, struct err *err);

/* Child: lets the parent go, and the terminal. */
void daemon_ready(struct daemon *d);

/* Child: the parent prints the message and exits with the code (not 0). */
void daemon_failed(struct daemon *d, int code, const char *message);
