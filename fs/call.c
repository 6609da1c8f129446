#include "fs/call.h"

#include "engine/base/alloc.h"
#include "engine/base/log.h"
#include "fs/pending.h"

struct call *call_new(struct node *node, const char *name,
                      void (*run)(fuse_req_t req, struct call *c))
{
    struct call *c = xcalloc(1, sizeof(*c));

    c->node = node_ref(node);
    if (name)
        c->name = xstrdup(name);
    c->run = run;
    return c;
}

void call_free(struct call *c)
{
    node_unref(c->node);
    node_unref(c->node2);
    free(c->name);
    free(c->new_name);
    if (c->release)
        c->release(c->data);
    free(c);
}

static void opened(void *arg, int r, const struct err *err)
{
    struct call *c = arg;
    struct pendings *ps = c->node->mount->pendings;
    fuse_req_t req = pending_finish(c->pending);

    c->pending = NULL;
    if (req && r < 0)
        fs_reply_failure(req, r, err, "opening the table");
    else if (req)
        c->run(req, c);
    call_free(c);
    pendings_unhold(ps);
}

void call_when_open(fuse_req_t req, struct table *t, struct call *c)
{
    if (table_is_open(t)) {
        c->run(req, c);
        call_free(c);
        return;
    }
    c->pending = pending_new(fs_of(req)->pendings, req);
    if (table_open(t, opened, c) == 0)
        opened(c, 0, NULL);
}

static void spawned(void *arg)
{
    struct call *c = arg;
    struct err err = ERR_INIT;

    struct pendings *ps = c->node->mount->pendings;
    int r = c->work(c, &err);
    fuse_req_t req = pending_finish(c->pending);
    c->pending = NULL;
    if (r < 0 && req)
        fs_reply_failure(req, r, &err, "%s", c->name ? c->name : "");
    else if (r < 0)
        log_warn("%s, given up by its caller: %s", c->name ? c->name : "",
                 err_text(&err, r));
    else if (req)
        c->run(req, c);
    call_free(c);
    pendings_unhold(ps);
}

void call_spawn(fuse_req_t req, struct call *c)
{
    c->pending = pending_new(fs_of(req)->pendings, req);
    pending_cancels(c->pending, &c->cancelled);
    engine_spawn(c->node->mount->engine, spawned, c);
}
