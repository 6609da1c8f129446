#include "fs/mount.h"

#include <errno.h>
#include <linux/fuse.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/base/alloc.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "engine/base/str.h"
#include "fs/changes.h"
#include "fs/file.h"
#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/local.h"
#include "fs/mountpoint.h"
#include "fs/notify.h"
#include "fs/ops.h"
#include "fs/path.h"
#include "fs/pending.h"
#include "fs/table.h"
#include "fs/tree.h"
#include "fs/version.h"
#include "fs/view.h"

#define DRAFTS_MAX ((size_t)64 << 20)
/* What waits for Discord when the mount is to end gets so long. */
#define END_PATIENCE_MS 10000

/* --- options -------------------------------------------------------------- */

static int parse_size(const char *s, size_t *out, struct err *err)
{
    size_t len = strlen(s), shift = 0;
    uint64_t n;

    switch (len ? s[len - 1] : '\0') {
    case 'K':
    case 'k':
        shift = 10;
        break;
    case 'M':
    case 'm':
        shift = 20;
        break;
    case 'G':
    case 'g':
        shift = 30;
        break;
    default:
        break;
    }
    if (!str_to_u64_n(s, len - (shift > 0), &n) || n == 0 ||
        n > (SIZE_MAX >> shift))
        return err_set(err, -EINVAL,
                       "cache=%s: expected a size as in cache=256M", s);
    *out = (size_t)n << shift;
    return 0;
}

static int parse_one(const char *s, struct mount_options *o, struct buf *rest,
                     struct err *err)
{
    if (strcmp(s, "ro") == 0) {
        o->read_only = true;
    } else if (strcmp(s, "rw") == 0) {
        o->read_only = false;
    } else if (strcmp(s, "allow_other") == 0) {
        o->allow_other = true;
    } else if (strcmp(s, "nobot") == 0) {
        o->no_bot = true;
    } else if (str_starts(s, "cache=")) {
        return parse_size(s + strlen("cache="), &o->cache_bytes, err);
    } else if (str_starts(s, "root=")) {
        const char *root = s + strlen("root=");
        while (*root == '/')
            root++;
        if (*root == '\0')
            return err_set(
                err, -EINVAL,
                "root=: expected <database>[/<namespace>[/<table>]]");
        free(o->root);
        o->root = xstrdup(root);
    } else if (*s) {
        if (rest->len)
            buf_addc(rest, ',');
        buf_addstr(rest, s);
    }
    return 0;
}

int mount_options_parse(const char *text, struct mount_options *o,
                        struct err *err)
{
    AUTO_BUF struct buf rest = BUF_INIT;
    AUTO_STR char *copy = xstrdup(text ? text : "");
    char *save = NULL;

    for (char *s = strtok_r(copy, ",", &save); s;
         s = strtok_r(NULL, ",", &save)) {
        int r = parse_one(s, o, &rest, err);
        if (r < 0) {
            mount_options_release(o);
            return r;
        }
    }
    o->rest = rest.len ? buf_take_str(&rest) : NULL;
    return 0;
}

void mount_options_release(struct mount_options *o)
{
    free(o->root);
    free(o->rest);
    o->root = o->rest = NULL;
}

/* --- what changed --------------------------------------------------------- */

/* Another process made a row of a name that is here a file without content
 * yet: the row it is, unless somebody is just writing his own. */
static void name_taken(struct local *l, const char *name, struct node *n)
{
    struct file *f = (struct file *)n;

    pthread_mutex_lock(&l->lock);
    struct draft_name *d = draft_set_find(&l->drafts, name);
    if (d && d->new_row && (!f || (f->is_new && f->writers == 0))) {
        draft_set_remove(&l->drafts, name);
        if (f)
            file_becomes_row_locked(f, NULL, 0);
    }
    pthread_mutex_unlock(&l->lock);
}

static void row_changed(struct mount *m, const struct change *c)
{
    const struct row *row = c->now ? c->now : c->old;
    struct node *dir = node_find_id(m->inodes, table_id(c->table));
    AUTO_BUF struct buf name = BUF_INIT;
    bool there = c->now && !c->now->deleted;
    bool was = c->old && !c->old->deleted;

    if (!dir || !row) {
        node_unref(dir);
        return;
    }
    local_changed(local_of(m, table_id(c->table)));
    path_of_key(row_key(row), row->key_len, &name);
    struct node *n = node_find(m->inodes, dir, name.data);
    if (there)
        name_taken(local_of(m, table_id(c->table)), name.data, n);
    if (n && there && file_freeze((struct file *)n)) {
        notify_name(m->notify, dir, name.data, NULL);
    } else if (n && there) {
        file_changed((struct file *)n);
    } else if (n) {
        struct file *f = (struct file *)n;
        pthread_mutex_lock(&f->local->lock);
        bool gone = !f->draft;
        if (gone)
            file_gone_locked(f);
        pthread_mutex_unlock(&f->local->lock);
        if (gone) {
            notify_changed(m->notify, n);
            notify_name(m->notify, dir, name.data, n);
        }
    }
    if (there != was)
        notify_changed(m->notify, dir);
    history_changed(dir, row, there != was);
    fields_changed(dir, row);
    /* Last, so that who reads of it and looks sees it. */
    changes_tell(m, dir, c);
    node_unref(n);
    node_unref(dir);
}

/* A version was answered with success, and then it turned out that another
 * process had written first: the one thing that is told after the fact. */
static void row_voided(struct mount *m, const struct change *c)
{
    AUTO_BUF struct buf name = BUF_INIT;
    const struct row *row = c->now;

    if (!row)
        return;
    path_of_key(row_key(row), row->key_len, &name);
    struct node *dir = node_find_id(m->inodes, table_id(c->table));
    if (dir)
        history_voided(dir, row);
    node_unref(dir);
    const char *text = row_text(row);
    local_refused(local_of(m, table_id(c->table)), name.data, -ESTALE,
                  "another process wrote this row first; this text was "
                  "accepted and then lost to it",
                  text, text ? row->text_len : 0);
}

/* A directory came, went or has another name in its own. */
static void dir_changed(struct mount *m, struct node *parent, uint64_t id,
                        const char *name, const struct change *c)
{
    AUTO_BUF struct buf path = BUF_INIT;

    if (!parent)
        return;
    notify_changed(m->notify, parent);
    if (c->gone || c->old_name) {
        struct node *n = c->gone ? node_find_id(m->inodes, id) : NULL;
        path_of_dir(c->old_name ? c->old_name : name, &path);
        if (n)
            node_unhash(n);
        notify_name(m->notify, parent, path.data, n);
        node_unref(n);
    }
    node_unref(parent);
}

void mount_watch(void *mount, const struct change *c)
{
    struct mount *m = mount;
    AUTO_STR char *name = NULL;

    pthread_rwlock_rdlock(&m->watch);
    if (m->serving) {
        switch (c->kind) {
        case CHANGE_ROW:
            row_changed(m, c);
            break;
        case CHANGE_VOIDED:
            row_voided(m, c);
            break;
        case CHANGE_TABLE:
            if (c->gone)
                changes_gone(m, c->table);
            name = table_name(c->table);
            local_changed(local_of(m, table_id(c->table)));
            dir_changed(
                m,
                node_find_id(
                    m->inodes,
                    namespace_id(c->ns ? c->ns : table_namespace(c->table))),
                table_id(c->table), name, c);
            break;
        case CHANGE_NAMESPACE:
            name = namespace_name(c->ns);
            dir_changed(m, node_find_id(m->inodes, database_id(c->database)),
                        namespace_id(c->ns), name, c);
            break;
        case CHANGE_DATABASE:
            name = database_name(c->database);
            dir_changed(m, node_ref(m->root), database_id(c->database), name,
                        c);
            break;
        }
    }
    pthread_rwlock_unlock(&m->watch);
}

/* --- life ----------------------------------------------------------------- */

void mount_block_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    /* A reader of ours who went away is no reason to end. */
    signal(SIGPIPE, SIG_IGN);
}

struct mount *mount_new(const struct mount_options *o)
{
    struct mount *m = xcalloc(1, sizeof(*m));

    m->o = *o;
    m->uid = getuid();
    m->gid = getgid();
    m->started_ms = clock_wall_ms();
    atomic_init(&m->drafts.used, 0);
    m->drafts.max = DRAFTS_MAX;
    atomic_init(&m->handles, 0);
    atomic_init(&m->ending, false);
    pthread_mutex_init(&m->lock, NULL);
    pthread_rwlock_init(&m->watch, NULL);
    m->locals = MAP_INIT(&locals_type);
    m->open = MAP_INIT(&handles_type);
    m->inodes = inodes_new(m);
    m->pendings = pendings_new();
    return m;
}

void mount_free(struct mount *m)
{
    struct local *l;
    size_t at = 0;

    if (!m)
        return;
    while ((l = map_next(&m->locals, &at)))
        local_free(l);
    map_release(&m->locals);
    map_release(&m->open);
    inodes_free(m->inodes);
    pendings_free(m->pendings);
    pthread_mutex_destroy(&m->lock);
    pthread_rwlock_destroy(&m->watch);
    free(m);
}

/* The part that is mounted: root=<database>[/<ns>[/<table>]]. */
static int find_root(struct mount *m, struct err *err)
{
    AUTO_STR char *path = xstrdup(m->o.root ? m->o.root : "");
    char *save = NULL;

    m->root = node_get(m->inodes, &type_root, NULL, "", NULL);
    for (char *s = strtok_r(path, "/", &save); s;
         s = strtok_r(NULL, "/", &save)) {
        struct node *n = tree_child(m->root, s);
        node_unref(m->root);
        m->root = n;
        if (!n)
            return err_set(err, -ENOENT, "root=%s: there is no '%s'", m->o.root,
                           s);
    }
    return 0;
}

/* libfuse's own words, for the log and for who could not mount. */
static char fuse_said[256]; /* the mounting thread's, until the loop starts */
static atomic_bool fuse_serving;

__attribute__((format(printf, 2, 0))) static void
fuse_logs(enum fuse_log_level level, const char *fmt, va_list ap)
{
    AUTO_BUF struct buf line = BUF_INIT;

    buf_vprintf(&line, fmt, ap);
    while (line.len > 0 && line.data[line.len - 1] == '\n')
        buf_truncate(&line, line.len - 1);
    if (line.len == 0)
        return;
    if (!atomic_load(&fuse_serving))
        snprintf(fuse_said, sizeof(fuse_said), "%s", line.data);
    else if (level <= FUSE_LOG_WARNING)
        log_warn("%s", line.data);
    else if (level == FUSE_LOG_DEBUG)
        /* Asked for with -o debug: every request, not for the log. */
        fprintf(stderr, "%s\n", line.data);
    else
        log_info("%s", line.data);
}

static void op_init(void *arg, struct fuse_conn_info *conn)
{
    const struct mount *m = arg;

    conn->want &=
        ~(unsigned)(FUSE_CAP_AUTO_INVAL_DATA | FUSE_CAP_READDIRPLUS_AUTO |
                    FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE |
                    FUSE_CAP_SPLICE_MOVE | FUSE_CAP_WRITEBACK_CACHE |
                    FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS);
    conn->want |=
        conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_EXPLICIT_INVAL_DATA |
                         FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_NO_OPENDIR_SUPPORT |
                         FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ);
    /* Without OPEN nobody says that a view which changes by itself is to be
     * read past the cache: the kernel must see that by its size and time. */
    if (m->o.read_only) {
        conn->want &= ~(unsigned)FUSE_CAP_EXPLICIT_INVAL_DATA;
        conn->want |= conn->capable & FUSE_CAP_AUTO_INVAL_DATA;
    }
#if FUSE_VERSION >= FUSE_MAKE_VERSION(3, 17)
    fuse_set_feature_flag(conn, FUSE_CAP_PARALLEL_DIROPS);
#endif
}

#if FUSE_VERSION < FUSE_MAKE_VERSION(3, 17)
/* libfuse before 3.17 does not pass on that lookups may come side by side:
 * put in where its first answer, INIT's, goes out. */
static atomic_bool greeted;

static ssize_t greet(int fd, struct iovec *iov, int count, void *arg)
{
    (void)arg;
    if (!atomic_exchange(&greeted, true) && count == 2 &&
        iov[1].iov_len >= 16) {
        struct fuse_init_out *init = iov[1].iov_base;
        init->flags |= FUSE_PARALLEL_DIROPS;
    }
    return writev(fd, iov, count);
}

static ssize_t read_request(int fd, void *data, size_t len, void *arg)
{
    (void)arg;
    return read(fd, data, len);
}

static void allow_parallel_lookups(struct fuse_session *se)
{
    static const struct fuse_custom_io io = {
        .writev = greet,
        .read = read_request,
    };

    fuse_session_custom_io(se, &io, fuse_session_fd(se));
}
#else
static void allow_parallel_lookups(struct fuse_session *se)
{
    (void)se;
}
#endif

/* While the loop goes on. Once it has ended nobody reads what the kernel asks:
 * a LOOKUP or CREATE keeps its directory locked then, and a notification about
 * a name in it would wait for ever. So what waits comes to its end and the
 * notifier is stopped before. */
static void finish_up(struct mount *m)
{
    atomic_store(&m->ending, true);
    changes_end(m);
    pendings_expire(m->pendings, END_PATIENCE_MS);
    notify_stop(m->notify);
}

/* Ends the loop on SIGTERM, SIGINT, SIGHUP. libfuse's own handler counts on
 * the signal reaching the thread that runs the loop; here the others block
 * it, and the one that waits for it knows whom to wake. */
struct ender {
    struct mount *mount;
    pthread_t loop;
    int signals;
    int stop[2]; /* a pipe: closed at the other end when the loop has ended */
};

static void nothing(int sig)
{
    (void)sig;
}

static void *wait_for_signal(void *arg)
{
    struct ender *e = arg;
    struct pollfd fds[2] = {
        {.fd = e->signals, .events = POLLIN},
        {.fd = e->stop[0], .events = POLLIN},
    };
    bool ending = false;

    /* The wake-up is lost if it comes a moment before the loop goes to sleep:
     * hence again, until it has ended. */
    while (poll(fds, 2, ending ? 50 : -1) >= 0 || errno == EINTR) {
        if (fds[1].revents)
            return NULL;
        struct signalfd_siginfo info;
        if (!ending && fds[0].revents &&
            read(e->signals, &info, sizeof(info)) == sizeof(info)) {
            log_info("%s: unmounting", strsignal((int)info.ssi_signo));
            ending = true;
            finish_up(e->mount);
            fuse_session_exit(e->mount->session);
        }
        if (ending) {
            fds[0].fd = -1;
            pthread_kill(e->loop, SIGUSR1);
        }
    }
    return NULL;
}

static int serve(struct mount *m, struct err *err)
{
    struct ender e = {.mount = m, .loop = pthread_self()};
    struct sigaction wake = {.sa_handler = nothing};
    struct fuse_loop_config *cfg = fuse_loop_cfg_create();
    pthread_t ender;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    e.signals = signalfd(-1, &set, SFD_CLOEXEC);
    if (e.signals < 0 || pipe2(e.stop, O_CLOEXEC) < 0)
        return err_set(err, -errno, "signals: %s", strerror(errno));
    sigaction(SIGUSR1, &wake, NULL);
    alloc_check(pthread_create(&ender, NULL, wait_for_signal, &e) == 0 ? &e
                                                                       : NULL);

    fuse_loop_cfg_set_clone_fd(cfg, 0);
    int r = fuse_session_loop_mt(m->session, cfg);
    fuse_loop_cfg_destroy(cfg);

    close(e.stop[1]);
    pthread_join(ender, NULL);
    close(e.stop[0]);
    close(e.signals);
    /* A signal's number is positive: asked to end. */
    return r < 0 ? err_set(err, -EIO, "the mount broke: %s", strerror(-r)) : 0;
}

static int make_session(struct mount *m, struct err *err)
{
    AUTO_BUF struct buf opts = BUF_INIT;
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    struct fuse_lowlevel_ops ops = fs_ops;

    ops.init = op_init;
    buf_addstr(&opts, "fsname=dbcord,subtype=dbcord,default_permissions");
    if (m->o.read_only)
        buf_addstr(&opts, ",ro");
    if (m->o.allow_other)
        buf_addstr(&opts, ",allow_other");
    if (m->o.rest)
        buf_printf(&opts, ",%s", m->o.rest);
    fuse_opt_add_arg(&args, "dbcord");
    fuse_opt_add_arg(&args, "-o");
    fuse_opt_add_arg(&args, opts.data);
    if (m->o.debug)
        fuse_opt_add_arg(&args, "-d");
    m->session = fuse_session_new(&args, &ops, sizeof(ops), m);
    fuse_opt_free_args(&args);
    if (!m->session)
        return err_set(err, -EINVAL, "-o %s: %s",
                       m->o.rest ? m->o.rest : opts.data, fuse_said);
    if (fuse_session_mount(m->session, m->o.mountpoint) != 0)
        return err_set(err, -EIO, "%s: cannot mount: %s", m->o.mountpoint,
                       fuse_said[0] ? fuse_said : "see fusermount3(1)");
    allow_parallel_lookups(m->session);
    return 0;
}

/* Gives back all that is the engine's; what callbacks may still touch stays
 * until mount_free(). */
static void let_go(struct mount *m)
{
    struct local *l;
    size_t at = 0;

    pthread_rwlock_wrlock(&m->watch);
    m->serving = false;
    pthread_rwlock_unlock(&m->watch);

    atomic_store(&m->ending, true);
    changes_end(m);
    /* Where the mount was taken away there was no finish_up(), and the kernel
     * has let go of all that waited. */
    pendings_drain(m->pendings, END_PATIENCE_MS);
    notify_stop(m->notify);
    /* A row that was moved away a moment ago may just have been sent off. */
    pendings_drain(m->pendings, END_PATIENCE_MS);
    if (m->session) {
        fuse_session_unmount(m->session);
        fuse_session_destroy(m->session);
        m->session = NULL;
    }
    notify_free(m->notify);
    m->notify = NULL;
    while ((l = map_next(&m->locals, &at)))
        local_forget_away(l);
    handles_free(m);
    inodes_free(m->inodes);
    m->inodes = NULL;
    m->root = NULL;
}

int mount_run(struct mount *m, struct engine *e, struct err *err)
{
    m->engine = e;
    atomic_store(&fuse_serving, false);
    fuse_said[0] = '\0';
    fuse_set_log_func(fuse_logs);

    int r = mountpoint_prepare(m->o.mountpoint, err);
    if (r == 0)
        r = find_root(m, err);
    m->notify = notify_new(m);
    if (r == 0)
        r = make_session(m, err);
    if (r == 0) {
        pthread_rwlock_wrlock(&m->watch);
        m->serving = true;
        pthread_rwlock_unlock(&m->watch);
        atomic_store(&fuse_serving, true);
        log_info("mounted at %s", m->o.mountpoint);
        if (m->o.mounted)
            m->o.mounted(m->o.mounted_arg);
        r = serve(m, err);
    }
    let_go(m);
    if (r == 0)
        log_info("unmounted %s", m->o.mountpoint);
    return r;
}
