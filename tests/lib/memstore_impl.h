/* The inside of the store in memory: memstore.c keeps the guild and carries
 * out requests, memsearch.c searches it, memclient.c has the queues, the
 * threads and the faults. */
#pragma once

#include <pthread.h>

#include "engine/base/buf.h"
#include "engine/remote.h"
#include "tests/lib/memstore.h"

#define MEM_OPS (REMOTE_DOWNLOAD + 1)

struct mem_file {
    uint64_t id;
    char *name;
    struct buf data;
};

struct mem_message {
    uint64_t id, author, thread;
    int type;
    int64_t edited_ms;
    char *content;
    struct mem_file files[8];
    size_t n_files;
    bool hidden;
};

struct mem_channel {
    uint64_t id, parent;
    enum remote_channel_kind kind;
    char *name;
    struct mem_message **messages; /* by id */
    size_t n_messages;
};

/* What the search knows of a message. */
struct mem_entry {
    uint64_t id, channel;
    char *content;
};

struct mem_search {
    struct memstore_search how;
    struct mem_entry *entries; /* by id */
    size_t n, cap;
    struct mem_entry *late; /* changes the index has not heard of */
    size_t n_late;
    size_t changes;
};

struct mem_request {
    struct mem_request *next;
    uint64_t number;
    struct mem_client *client;
    struct remote_request req;   /* its strings are owned */
    struct remote_search search; /* req.search, its pointers owned */
    remote_done *done;
    void *arg;
    bool cancelled;
};

struct mem_event {
    struct mem_event *next;
    struct remote_event ev; /* owned */
};

struct mem_client {
    struct remote remote; /* first */
    struct memstore *store;
    struct mem_client *next;

    /* under store->lock */
    bool dead, closing;
    bool dying; /* after so many requests: */
    size_t lives;
    size_t waiting; /* its requests that are not answered */
    memstore_event *event;
    void *event_arg;
    struct mem_event *events, **events_last;
    bool hold, lose, lost, delivering, ending;
    pthread_t thread;
};

struct memstore {
    uint64_t guild, self;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* with lock; for everybody */
    /* under lock, all below */
    struct mem_channel **channels;
    size_t n_channels;
    uint64_t last_id;
    int64_t age_ms;
    uint64_t max_file;
    uint64_t hide_next;      /* channel */
    const char *hide_prefix; /* NULL: none */
    char strip;

    struct mem_client *clients;
    struct mem_request *queue; /* by arrival */
    uint64_t last_number;
    bool busy, ending;
    pthread_t worker;

    bool held[MEM_OPS];
    int passes[MEM_OPS]; /* of those held, so many may leave */
    struct {
        int times, r;
        bool after;
    } faults[MEM_OPS];
    size_t counts[MEM_OPS];
    int64_t interval_ms;
    struct {
        uint64_t channel;
        int64_t at_ms;
    } last_posts[64];
    size_t n_last_posts;
    struct mem_search search;
};

/* memstore.c; the caller holds the lock */
int mem_execute(struct memstore *s, struct remote_request *req,
                struct remote_reply *reply, struct err *err);
void mem_guild_free(struct memstore *s);
struct mem_message *mem_find_message(const struct memstore *s, uint64_t channel,
                                     uint64_t id);
void mem_copy_message(uint64_t channel, const struct mem_message *m,
                      struct remote_message *out);

/* memsearch.c; the caller holds the lock. A message came, changed or went. */
void mem_search_note(struct memstore *s, uint64_t channel, uint64_t id);
void mem_search_catch_up(struct memstore *s);
int mem_search(struct memstore *s, const struct remote_request *req,
               struct remote_reply *reply, struct err *err);
void mem_search_free(struct memstore *s);

/* memclient.c; the caller holds the lock. Takes what ev owns. */
void mem_emit(struct memstore *s, struct remote_event *ev);
void mem_event_release(struct remote_event *ev);
