/* Requests of the kernel's that wait: for Discord, mostly. The worker that
 * took such a request is free again; whoever gets the result answers it, on
 * any thread. A Ctrl-C meanwhile answers it with EINTR. Exactly one of the
 * two wins.
 *
 *               pending_finish()          -> the request, to be answered
 *     waiting <
 *               interrupt: table_write_cancel(), EINTR to the kernel
 *                                         -> pending_finish() gives NULL
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/engine.h"

struct fuse_req;
struct pending;
struct pendings;

struct pendings *pendings_new(void);
void pendings_free(struct pendings *ps); /* none may be left */

/* Requests not answered yet. */
size_t pendings_waiting(struct pendings *ps);

/* Work under way that answers no request; pendings_drain() waits for it too.
 */
void pendings_hold(struct pendings *ps);
void pendings_unhold(struct pendings *ps);

/* Waits until each has been finished by its owner, at most patience_ms; then
 * interrupts what still waits. False: it came to that, and owners may be at
 * work still. */
bool pendings_expire(struct pendings *ps, int64_t patience_ms);
/* As pendings_expire(), and then waits for the owners. */
void pendings_drain(struct pendings *ps, int64_t patience_ms);

/* From the handler that got the request, before it starts what it will wait
 * for. Where the interrupt came already, that is found out at the end. */
struct pending *pending_new(struct pendings *ps, struct fuse_req *req);

/* table_write(), told to hold the write back where the interrupt comes in
 * time. As table_write(): negative, then done is not called. */
int pending_write(struct pending *p, struct table *t, const struct write *w,
                  write_done *done, void *arg, struct err *err);

/* *flag is set as soon as the interrupt comes, if it does before the end: for
 * work that looks at it now and then. */
void pending_cancels(struct pending *p, atomic_bool *flag);

/* Was it answered with EINTR? For its owner alone. */
bool pending_is_over(struct pending *p);

/* The end, exactly once: the request to answer, or NULL where it was answered
 * with EINTR. Frees p. The owner goes on being waited for until he has cleaned
 * up: pendings_unhold(). */
struct fuse_req *pending_finish(struct pending *p);
