/* Tells the kernel what it must forget. Its own thread does, since a
 * notification can wait for a request that a handler is working on.
 *
 * Several of them: forgetting a file's content waits at most for a READ, which
 * is answered from memory. Forgetting a name waits for its directory, which
 * the kernel keeps locked while an unlink or a rename in it waits for Discord;
 * nobody else may wait behind that, so each directory that names are being
 * forgotten of has a thread to itself. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mount;
struct node;
struct notify;

struct notify *notify_new(struct mount *m);
/* Ends the threads. What is queued is carried out first, without telling the
 * kernel any more: the mount ends. Has to come while requests are still
 * answered, since a notification under way may wait for one. Again is fine. */
void notify_stop(struct notify *n);
void notify_free(struct notify *n);
size_t notify_waiting(struct notify *n);

/* The node's attributes and content (a directory's: its listing) are new. */
void notify_changed(struct notify *n, struct node *node);

/* As notify_changed(), and then fn: an answer to a program that may look at
 * once. fn runs on the notifier's thread and must not wait. */
void notify_then(struct notify *n, struct node *node, void (*fn)(void *arg),
                 void *arg);

/* The name in this directory stands for something else now, or nothing. With
 * child, what it stood for is gone. */
void notify_name(struct notify *n, struct node *dir, const char *name,
                 struct node *child);

/* The name is to be looked up again, and then fn, as notify_then(). */
void notify_name_then(struct notify *n, struct node *dir, const char *name,
                      void (*fn)(void *arg), void *arg);

/* fn(arg) at a time of clock_mono_ms(), on the notifier's thread; at
 * notify_stop() those that are left are called with `late` set. */
void notify_at(struct notify *n, int64_t mono_ms,
               void (*fn)(void *arg, bool late), void *arg);
