/* A request's arguments, kept while it waits: for a table to be opened, or
 * for work that may wait itself. */
#pragma once

#include <stdatomic.h>

#include "fs/fs.h"

struct pending;

struct call {
    struct node *node, *node2; /* references; node2 may be NULL */
    char *name, *new_name;
    unsigned flags;
    mode_t mode;
    struct fuse_file_info fi;
    struct listing listing;
    void *data; /* with its destructor */
    void (*release)(void *data);

    /* May wait. 0, or why not. */
    int (*work)(struct call *c, struct err *err);
    /* Answers. c is freed afterwards. */
    void (*run)(fuse_req_t req, struct call *c);

    atomic_bool cancelled; /* its caller waits no longer; work may look */

    struct pending *pending; /* private */
};

struct call *call_new(struct node *node, const char *name,
                      void (*run)(fuse_req_t req, struct call *c));

void call_free(struct call *c);

/* run, as soon as the table is open; at once if it is. */
void call_when_open(fuse_req_t req, struct table *t, struct call *c);

/* work on a thread that may wait, then run where it went well, else the
 * failure is logged and answered. Where an interrupt came first, work is
 * carried out all the same, unless it looks at c->cancelled. */
void call_spawn(fuse_req_t req, struct call *c);
