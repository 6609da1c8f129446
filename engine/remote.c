#include "engine/remote.h"

#include <assert.h>

#include "engine/base/alloc.h"
#include "engine/base/waiter.h"

void remote_draft_release(struct remote_draft *d)
{
    buf_release(&d->content);
    d->n_files = 0;
    d->n_keep = 0;
}

void remote_message_release(struct remote_message *m)
{
    for (size_t i = 0; i < m->n_files; i++) {
        free(m->files[i].name);
        free(m->files[i].url);
    }
    free(m->files);
    free(m->content);
    *m = (struct remote_message){0};
}

void remote_reply_release(struct remote_reply *r)
{
    for (size_t i = 0; i < r->n_messages; i++)
        remote_message_release(&r->messages[i]);
    free(r->messages);
    for (size_t i = 0; i < r->n_channels; i++)
        free(r->channels[i].name);
    free(r->channels);
    free(r->guild.name);
    free(r->user_name);
    buf_release(&r->body);
    *r = (struct remote_reply){0};
}

uint64_t remote_submit(struct remote *r, struct remote_request *req,
                       remote_done *done, void *arg)
{
    return r->ops->submit(r, req, done, arg);
}

bool remote_cancel(struct remote *r, uint64_t number)
{
    return r->ops->cancel(r, number);
}

void remote_close(struct remote *r)
{
    if (r)
        r->ops->close(r);
}

/* remote_run()'s: where its answer goes. */
struct wait {
    struct waiter waiter;
    struct remote_reply *reply;
};

static void wake(void *arg, int r, struct remote_reply *reply,
                 const struct err *err)
{
    struct wait *w = arg;

    if (r == 0) {
        *w->reply = *reply;
        *reply = (struct remote_reply){0};
    }
    waiter_done(&w->waiter, r, err);
}

int remote_run(struct remote *r, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    struct wait w = {.reply = reply};

    waiter_init(&w.waiter, err);
    remote_submit(r, req, wake, &w);
    int res = waiter_wait(&w.waiter);
    waiter_release(&w.waiter);
    return res;
}
