#include "engine/remote.h"

#include <assert.h>
#include <pthread.h>

#include "engine/base/alloc.h"

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

/* One caller that waits; lives on its stack. */
struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t done; /* with lock */
    bool is_done;        /* under lock, as all below */
    int result;
    struct remote_reply *reply;
    struct err *err;
};

static void wake(void *arg, int r, struct remote_reply *reply,
                 const struct err *err)
{
    struct waiter *w = arg;

    pthread_mutex_lock(&w->lock);
    w->result = r;
    if (r == 0) {
        *w->reply = *reply;
        *reply = (struct remote_reply){0};
    } else if (w->err && err) {
        *w->err = *err;
    }
    w->is_done = true;
    /* Under the lock: the waiter's stack frame is gone once it is let go. */
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

int remote_run(struct remote *r, struct remote_request *req,
               struct remote_reply *reply, struct err *err)
{
    struct waiter w = {
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .done = PTHREAD_COND_INITIALIZER,
        .reply = reply,
        .err = err,
    };

    remote_submit(r, req, wake, &w);
    pthread_mutex_lock(&w.lock);
    while (!w.is_done)
        pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.done);
    return w.result;
}
