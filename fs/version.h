/* A version of a row as a file: as `<key>@<version>.json` beside the row, where
 * writing compares and swaps, and as .history/<key>/<version>.json, where it
 * can be read alone. A version never changes, so the kernel may keep it. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "engine/history.h"
#include "fs/inode.h"
#include "fs/local.h"

struct fuse_req;

struct version_file {
    struct node node;
    /* all set at creation */
    struct table *table; /* a reference */
    struct local *local;
    char *key;
    size_t key_len;
    uint32_t number;

    /* A LOOKUP in the table's directory must not wait: there a version is known
     * by its number alone until somebody looks at it. */
    pthread_mutex_t lock;   /* leaf */
    atomic_bool loaded;     /* version is set, and stays */
    struct version version; /* under lock before */
};

/* Answers LOOKUP of such a name in a table's directory, from memory. */
void version_lookup(struct fuse_req *req, struct node *dir, const char *name);

/* The same in .history/<key>, where it may ask Discord; shown is its path in
 * the table, for .errors. */
void version_lookup_number(struct fuse_req *req, struct node *dir,
                           struct table *t, const char *name, const char *shown,
                           const char *key, size_t key_len, uint32_t number);

/* The node in .history/<key> of a version that is known, which moves into it; a
 * reference. */
struct node *version_node(struct node *dir, struct table *t, const char *name,
                          const char *key, size_t key_len, struct version *v);

/* A row has another version, or its listing another row: for the .history of
 * this table's directory. */
void history_changed(struct node *table, const struct row *row, bool keys);
/* A version that was answered is none: another has its number. */
void history_voided(struct node *table, const struct row *row);
